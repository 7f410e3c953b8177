//! Marks become messages: what each link is still to be told, as far as its outbox has room.

use std::sync::Arc;

use super::Router;
use super::event::Effect;
use super::ids::ConnId;
use super::message::{Have, Message};
use super::signed::{SignedEntry, pages};

/// Pages of a have-vector said to one link per event.
const PAGES_AT_ONCE: usize = 4;
/// Presence records said to one link per event.
const RECORDS_AT_ONCE: usize = 128;
/// Their signed bytes: others choose how long records are, and an outbox takes them at once.
const RECORDS_AT_ONCE_BYTES: usize = 64 * 1024;
/// Signed bytes in one message of an answer: base64 and JSON fit into 32 KiB with them.
const ANSWER_PART_BYTES: usize = 20 * 1024;
/// What an entry of an answer costs beside its bytes.
const ENTRY_EXTRA_BYTES: usize = 160;
/// Chunk numbers in one message.
const GAINED_AT_ONCE: usize = 1_024;

impl Router {
    pub(super) fn flush_links(&mut self) {
        self.expire_questions();
        while let Some(id) = self.cx.next_marked() {
            self.flush(id);
        }
    }

    fn flush(&mut self, id: ConnId) {
        let Some(link) = self.conns.get(&id).and_then(|conn| conn.link()) else { return };
        if link.congested.is_some() {
            return;
        }
        let mut messages = Vec::new();
        self.flush_records(id, &mut messages);
        self.flush_presence(id, &mut messages);
        self.flush_files(id, &mut messages);
        self.flush_haves(id, &mut messages);
        self.flush_answer(id, &mut messages);
        messages.extend(self.next_question(id));
        for message in messages {
            self.cx.effect(Effect::Send { conn: id, message });
        }
    }

    fn flush_records(&mut self, id: ConnId, messages: &mut Vec<Message>) {
        let registry = &self.registry;
        let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link_mut()) else { return };
        let (mut records, mut bytes) = (Vec::new(), 0);
        while bytes < RECORDS_AT_ONCE_BYTES
            && let Some(record) = link.say_records.pop_first()
        {
            if let Some(record) = registry.record(&record) {
                bytes += record.bytes.len();
                records.push(record.clone());
            }
        }
        messages.extend(pages(&records).into_iter().map(Message::Records));
        messages.extend(self.secrets_to_say(id));
    }

    fn flush_presence(&mut self, id: ConnId, messages: &mut Vec<Message>) {
        let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link_mut()) else { return };
        if let Some(number) = link.pong.take() {
            messages.push(Message::Pong(number));
        }
        let (mut count, mut bytes) = (0, 0);
        while count < RECORDS_AT_ONCE && bytes < RECORDS_AT_ONCE_BYTES {
            let link = self.conns.get_mut(&id).and_then(|conn| conn.link_mut());
            let Some(member) = link.and_then(|link| link.say_presence.pop_first()) else { break };
            if let Some(record) = self.record_of(&member) {
                count += 1;
                bytes += record.bytes.len();
                messages.push(Message::Presence(record));
            }
        }
    }

    fn flush_haves(&mut self, id: ConnId, messages: &mut Vec<Message>) {
        let (now, page) = (self.cx.now, self.cx.config.limits.have_page);
        let log = &self.room.log;
        let unlinked = self.presence.unlinked();
        let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link_mut()) else { return };
        for _ in 0..PAGES_AT_ONCE {
            let Some(after) = link.vector else { break };
            let chains: Vec<_> = log.chains_after(after).take(page).copied().collect();
            let haves: Vec<Have> = chains.iter().filter_map(|chain| log.have(chain)).collect();
            link.vector = (chains.len() == page).then(|| chains.last().copied());
            if haves.len() == page || link.vector.is_none() {
                messages.push(Message::Have(haves));
            }
        }
        if link.vector.is_none() && Router::haves_due(now, link.say_haves_at) {
            let known = |have: &Have| link.theirs.get(&have.chain) == Some(have);
            let changed = std::mem::take(&mut link.say_haves);
            let haves: Vec<Have> = changed
                .iter()
                .filter_map(|chain| log.have(chain))
                // Its own chain is always said: that is the receipt. So are those of members that
                // we cannot reach, for it to pass on.
                .filter(|have| {
                    let author = have.chain.author;
                    author == link.member || unlinked.contains(&author) || !known(have)
                })
                .collect();
            messages.extend(haves.chunks(page).map(|haves| Message::Have(haves.to_vec())));
            link.say_haves_at = None;
        }
        for (holder, chain) in std::mem::take(&mut link.say_receipts) {
            let holders = self.members.get(&holder).and_then(|member| member.conn);
            let have = holders
                .and_then(|conn| self.conns.get(&conn))
                .and_then(|conn| conn.link())
                .and_then(|link| link.theirs.get(&chain).copied());
            messages.extend(have.map(|have| Message::Receipt { holder, have }));
        }
    }

    fn flush_answer(&mut self, id: ConnId, messages: &mut Vec<Message>) {
        let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link_mut()) else { return };
        let Some((number, chains)) = link.question.take() else { return };
        let entries = self.room.log.answer(&chains, &self.cx.config.limits);
        let mut part: Vec<Arc<SignedEntry>> = Vec::new();
        let mut bytes = 0;
        for entry in entries {
            let cost = entry.bytes().len() + ENTRY_EXTRA_BYTES;
            if bytes + cost > ANSWER_PART_BYTES && !part.is_empty() {
                let entries = std::mem::take(&mut part);
                messages.push(Message::Answer { number, entries, last: false });
                bytes = 0;
            }
            bytes += cost;
            part.push(entry);
        }
        messages.push(Message::Answer { number, entries: part, last: true });
    }

    fn flush_files(&mut self, id: ConnId, messages: &mut Vec<Message>) {
        let now = self.cx.now;
        let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link_mut()) else { return };
        let mut files = Vec::new();
        while files.len() < 64
            && let Some(file) = link.say_hosting.pop_first()
        {
            link.say_gained.remove(&file);
            files.push(file);
        }
        for file in files {
            messages.push(self.hosting_message(file));
        }
        let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link_mut()) else { return };
        if link.say_gained_at.is_none_or(|at| at <= now) {
            if link.say_gained_at.take().is_some() {
                link.gained_said = now;
            }
            for (file, chunks) in std::mem::take(&mut link.say_gained) {
                let chunks: Vec<u32> = chunks.into_iter().collect();
                for chunks in chunks.chunks(GAINED_AT_ONCE) {
                    messages.push(Message::Gained { file, chunks: chunks.to_vec() });
                }
            }
        }
    }
}
