//! Messages of a link, and repair of the log: who has what, questions and answers.

use std::sync::Arc;

use super::Router;
use super::ids::{ConnId, MemberId};
use super::log::Placed;
use super::message::{Have, Message, Wanted, Why};
use super::signed::{Chain, SignedEntry};
use super::time::Millis;

/// An answer that takes longer than this will not come.
pub(super) const ANSWER_MS: u64 = 30_000;

impl Router {
    /// A message of any connection.
    pub(super) fn said(&mut self, id: ConnId, message: Message) {
        let now = self.cx.now;
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let Some(link) = conn.link_mut() else { return self.said_before_link(id, message) };
        link.heard = now;
        let (member, run) = (link.member, link.run);
        match message {
            Message::Ping(number) => self.mark_link(id, |link| link.pong = Some(number)),
            Message::Pong(number) => self.pong(id, number),
            Message::Entry(entry) => self.entry_pushed(id, &entry),
            Message::Have(haves) => self.haves_arrived(id, haves),
            Message::Receipt { holder, have } => self.receipt_told(holder, &have),
            Message::Ask { number, chains } => {
                self.mark_link(id, |link| link.question = Some((number, chains)));
            }
            Message::Answer { number, entries, last } => self.answered(id, number, &entries, last),
            Message::Presence(record) => self.presence_arrived(id, &record),
            // What was dropped would never be said again: the link goes, and both begin anew.
            Message::Records(records) if !link.record_tokens.take(records.len() as u64, now) => {
                return self.refuse(id, Why::Busy);
            }
            Message::Records(records) => self.records_arrived(&records, Some(id)),
            Message::Password { lock, data } => self.password_told(lock, data),
            Message::Invitation { invitation, find } => {
                self.invitation_told(invitation, find);
            }
            Message::VerifyCommit(digest) => self.verify_committed(id, digest),
            Message::VerifyNonce(value) => self.verify_revealed(id, value),
            Message::Hosting { file, held, fetching } => self.hosting(id, file, held, fetching),
            Message::Gained { file, chunks } => self.gained(id, file, &chunks),
            Message::Dropped { file, done } => self.dropped(id, file, done),
            Message::LaneWanted => self.lane_wanted(id),
            Message::Unwanted { file, chunk } => self.unwanted(id, file, chunk),
            Message::BadChunk { file, chunk } => self.bad_chunk_told(id, file, chunk),
            Message::Refuse(refusal) => self.refused(id, &refusal),
            // Of an agreement that is over.
            Message::Ready { .. } | Message::Register(_) | Message::Ids { .. } => {}
        }
        self.link_lives(member, run);
    }

    pub(super) fn ping(&mut self, id: ConnId) {
        let now = self.cx.now;
        let number = self.cx.rng.next_u64() as u32;
        let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link_mut()) else { return };
        if link.pinged.is_none() {
            link.pinged = Some((number, now));
            self.cx.effect(super::event::Effect::Send { conn: id, message: Message::Ping(number) });
        }
    }

    fn pong(&mut self, id: ConnId, number: u32) {
        let now = self.cx.now;
        if let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link_mut())
            && let Some((expected, at)) = link.pinged
            && expected == number
        {
            link.pinged = None;
            link.rtt_ms = now.since(at);
            link.rtt_known = true;
            let (member, rtt_ms) = (link.member, link.rtt_ms);
            self.swarm.choice.rtt(member, rtt_ms);
        }
    }

    fn entry_pushed(&mut self, id: ConnId, entry: &Arc<SignedEntry>) {
        let now = self.cx.now;
        let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link_mut()) else { return };
        if !link.push_tokens.take(1, now) {
            return; // Repair brings it at a pace that we set.
        }
        let from_author = link.member == entry.body.chain.author;
        if self.place(id, entry) && from_author {
            self.pass_on(entry);
        }
    }

    /// Takes an entry in; returns whether it is new here.
    fn place(&mut self, via: ConnId, entry: &Arc<SignedEntry>) -> bool {
        let chain = entry.body.chain;
        match self.room.log.place(entry, &self.cx.config.limits) {
            Placed::Accepted(entries) => {
                for entry in &entries {
                    self.accepted(entry, false);
                }
                true
            }
            Placed::Forked(entries) => {
                self.forked(chain);
                for entry in &entries {
                    self.accepted(entry, false);
                }
                true
            }
            Placed::Proof => {
                self.say_fork(chain);
                true
            }
            Placed::Conflict => {
                self.mark_link(via, |link| {
                    link.probes.entry(chain).or_insert(0);
                    link.behind.insert(chain);
                });
                false
            }
            Placed::Known | Placed::Waits | Placed::Refused => false,
        }
    }

    /// The proof of a fork is another: all must come to the same one.
    fn say_fork(&mut self, chain: Chain) {
        let due = self.cx.now;
        self.mark_links(|link| {
            link.say_haves.insert(chain);
            link.say_haves_at = Some(due);
        });
    }

    fn forked(&mut self, chain: Chain) {
        self.say_fork(chain);
        let entries: Vec<_> = self.room.log.entries().cloned().collect();
        self.rebuild_catalogue(&entries);
        let name = self.members.who(&chain.author).marked();
        let mine = chain == self.room.chain;
        self.cx.complain(super::notice::Failure::new(
            super::notice::Code::ChainForked,
            if mine {
                "another program speaks with your identity in this room; leave and connect again"
                    .to_owned()
            } else {
                format!("two programs speak with the identity of {name}; what differs is left out")
            },
        ));
    }

    /// Members that the author cannot reach get its entries through us.
    fn pass_on(&mut self, entry: &Arc<SignedEntry>) {
        let author = entry.body.chain.author;
        let unreached = |record: &super::signed::SignedPresence| record.body.unlinked.clone();
        let mut targets =
            self.members.get(&author).and_then(|a| a.record.as_deref()).map_or(vec![], unreached);
        for (id, member) in self.members.present() {
            let record = member.record.as_ref();
            if record.is_some_and(|record| record.body.unlinked.contains(&author)) {
                targets.push(*id);
            }
        }
        if !targets.is_empty() {
            self.push(entry, Some(&targets));
        }
    }

    fn haves_arrived(&mut self, id: ConnId, haves: Vec<Have>) {
        let short = haves.len() < self.cx.limits().have_page;
        let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link_mut()) else { return };
        let member = link.member;
        let first_vector = !link.vector_heard;
        if short {
            link.vector_heard = true;
        }
        let admitting = self.room.history_from == Some(member) && first_vector;
        for have in haves {
            let room_left = self.room.history.len() < self.cx.config.limits.chains;
            if admitting && room_left && have.chain != self.room.chain {
                self.room.history.insert(have.chain, have.len);
            }
            self.have_arrived(id, member, have);
        }
        if admitting && short {
            self.room.history_from = None;
        }
        self.cx.mark(id);
    }

    fn have_arrived(&mut self, id: ConnId, member: MemberId, have: Have) {
        let chains = self.cx.config.limits.chains;
        let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link_mut()) else { return };
        if link.theirs.len() >= chains && !link.theirs.contains_key(&have.chain) {
            return;
        }
        link.theirs.insert(have.chain, have);
        link.probes.remove(&have.chain);
        if self.room.log.lacks(&have, &self.cx.config.limits).is_some() {
            link.behind.insert(have.chain);
        } else {
            link.behind.remove(&have.chain);
        }
        self.receipt(member, &have);
        self.pass_on_receipt(member, &have);
    }

    /// Somebody tells what another holds: believed of those only who cannot say it themselves.
    fn receipt_told(&mut self, holder: MemberId, have: &Have) {
        if self.link_of(&holder).is_none() {
            self.receipt(holder, have);
        }
    }

    /// Somebody holds a chain: counts when it is ours, as we have it.
    fn receipt(&mut self, holder: MemberId, have: &Have) {
        if have.chain != self.room.chain || !self.members.members.contains_key(&holder) {
            return;
        }
        let log = &self.room.log;
        let head = match have.forked {
            true => log.have(&have.chain).filter(|ours| ours.forked).map(|ours| ours.head),
            false => log.entry_at(&have.chain, have.len).map(|entry| entry.id),
        };
        if head != Some(have.head) {
            return;
        }
        let len = have.len.min(log.chain_len(&have.chain));
        let held = self.room.receipts.entry(holder).or_default();
        if len > *held {
            *held = len;
            self.tell_held();
        }
    }

    /// The author of a chain that the holder cannot reach learns through us that it arrived.
    fn pass_on_receipt(&mut self, holder: MemberId, have: &Have) {
        let author = have.chain.author;
        if !self.have_no_link(&holder, &author) {
            return;
        }
        if let Some((conn, _)) = self.link_of(&author) {
            let chain = have.chain;
            self.mark_link(conn, |link| {
                link.say_receipts.insert((holder, chain));
            });
        }
    }

    /// Whether one of two members says that it cannot reach the other.
    fn have_no_link(&self, a: &MemberId, b: &MemberId) -> bool {
        let lists = |of: &MemberId, whom: &MemberId| {
            self.members
                .get(of)
                .and_then(|member| member.record.as_ref())
                .is_some_and(|record| record.body.unlinked.contains(whom))
        };
        lists(a, b) || lists(b, a)
    }

    /// A member that has just linked with us learns what those hold of it that it cannot reach.
    pub(super) fn receipts_for(&mut self, author: MemberId) {
        let holders: Vec<_> = self
            .links()
            .map(|(_, link)| link.member)
            .filter(|holder| self.have_no_link(holder, &author))
            .collect();
        for holder in holders {
            self.receipts_between(author, holder);
        }
    }

    /// Two members have no link any more: each learns from us what the other already holds of it.
    pub(super) fn receipts_between(&mut self, a: MemberId, b: MemberId) {
        for (author, holder) in [(a, b), (b, a)] {
            let Some((_, link)) = self.link_of(&holder) else { continue };
            let held = link.theirs.keys().filter(|chain| chain.author == author);
            let receipts: Vec<_> = held.map(|chain| (holder, *chain)).collect();
            if let Some((conn, _)) = self.link_of(&author) {
                self.mark_link(conn, |link| link.say_receipts.extend(receipts));
            }
        }
    }

    /// Everybody is told how far we have the chains of a member that we cannot reach: somebody
    /// can pass it on.
    pub(super) fn say_haves_of(&mut self, author: &MemberId) {
        let chains: Vec<_> = self.room.log.chains_of(author).copied().collect();
        let due = self.cx.now.plus(1_000);
        self.mark_links(|link| {
            if !chains.is_empty() {
                link.say_haves.extend(chains.iter().copied());
                link.say_haves_at.get_or_insert(due);
            }
        });
    }

    fn answered(&mut self, id: ConnId, number: u32, entries: &[Arc<SignedEntry>], last: bool) {
        let most = self.cx.limits().answer_entries;
        let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link_mut()) else { return };
        let Some(asked) = &mut link.asked else { return };
        if asked.number != number {
            return;
        }
        if asked.received + entries.len() > most {
            return self.refuse(id, super::message::Why::Protocol);
        }
        asked.received += entries.len();
        let wanted: Vec<_> = asked.chains.iter().map(|wanted| wanted.chain).collect();
        for entry in entries {
            let chain = entry.body.chain;
            if !wanted.contains(&chain) {
                continue;
            }
            self.place(id, entry);
            let seq = entry.body.seq;
            if let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link_mut())
                && let Some(probe) = link.probes.get_mut(&chain)
            {
                *probe = (*probe).max(seq);
            }
        }
        if last {
            self.answer_ended(id);
        }
    }

    /// What the answer did not bring is not asked of this link again until it says more.
    fn answer_ended(&mut self, id: ConnId) {
        let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link_mut()) else { return };
        let Some(asked) = link.asked.take() else { return };
        let mut any = false;
        for wanted in &asked.chains {
            self.asked.remove(&wanted.chain);
            let Some(have) = link.theirs.get(&wanted.chain) else { continue };
            let lacks = self.room.log.lacks(have, &self.cx.config.limits);
            let progress = match (lacks, link.probes.get(&wanted.chain)) {
                // It came whole.
                (None, _) => asked.received > 0,
                (Some(Err(())), Some(probe)) => *probe > wanted.from,
                (Some(Err(())), None) => true,
                (Some(Ok(from)), Some(probe)) => from > wanted.from || *probe > wanted.from,
                (Some(Ok(from)), None) => from > wanted.from,
            };
            any |= progress;
            if lacks.is_none() || !progress && asked.received == 0 {
                link.behind.remove(&wanted.chain);
            } else if progress {
                link.behind.insert(wanted.chain);
            }
        }
        if !any {
            // What it sent could not be taken, for want of room or of parents: not at once again.
            link.rests_until = Some(self.cx.now.plus(self.cx.config.limits.ask_timeout_ms));
        }
        self.mark_links(|_| {});
    }

    /// The next question for a link, if it has something that we lack.
    pub(super) fn next_question(&mut self, id: ConnId) -> Option<Message> {
        let (now, timeout) = (self.cx.now, self.cx.limits().ask_timeout_ms);
        let page = self.cx.limits().have_page;
        let link = self.conns.get_mut(&id)?.link_mut()?;
        link.rests_until.take_if(|until| now >= *until);
        if link.asked.is_some() || link.behind.is_empty() || link.rests_until.is_some() {
            return None;
        }
        let missing = self.room.log.missing();
        let first = link.behind.intersection(&missing);
        let rest = link.behind.difference(&missing);
        let (mut chains, mut settled) = (Vec::new(), Vec::new());
        for chain in first.chain(rest) {
            let elsewhere = self.asked.get(chain);
            if elsewhere.is_some_and(|(conn, at)| *conn != id && now < at.plus(timeout)) {
                continue;
            }
            let Some(have) = link.theirs.get(chain) else { continue };
            let probe = link.probes.get(chain).copied();
            let from = match self.room.log.lacks(have, &self.cx.config.limits) {
                Some(Ok(from)) => probe.map_or(from, |probe| probe.min(from)),
                Some(Err(())) => probe.unwrap_or(0),
                None => {
                    settled.push(*chain);
                    continue;
                }
            };
            chains.push(Wanted { chain: *chain, from });
            if chains.len() >= page {
                break;
            }
        }
        let link = self.conns.get_mut(&id)?.link_mut()?;
        for chain in &settled {
            link.behind.remove(chain);
        }
        if chains.is_empty() {
            return None;
        }
        for wanted in &chains {
            self.asked.insert(wanted.chain, (id, now));
            if self.room.log.chain_len(&wanted.chain) > wanted.from {
                link.probes.entry(wanted.chain).or_insert(wanted.from);
            }
        }
        link.next_number = link.next_number.wrapping_add(1);
        let number = link.next_number;
        link.asked = Some(super::links::Asked {
            number,
            until: now.plus(timeout),
            expired: false,
            chains: chains.clone(),
            received: 0,
        });
        Some(Message::Ask { number, chains })
    }

    /// Questions that nobody answered may go to others; the slow link is asked again later.
    pub(super) fn expire_questions(&mut self) {
        let now = self.cx.now;
        let mut freed = false;
        for conn in self.conns.values_mut() {
            let Some(link) = conn.link_mut() else { continue };
            let Some(asked) = link.asked.as_mut() else { continue };
            if asked.expired && now >= asked.until.plus(ANSWER_MS) {
                link.asked = None; // Its answer is lost: ask anew.
                freed = true;
            } else if now >= asked.until && !asked.expired {
                asked.expired = true;
                for wanted in &asked.chains {
                    freed |= self.asked.remove(&wanted.chain).is_some();
                }
            }
        }
        if freed {
            self.mark_links(|_| {});
        }
    }

    /// Whether the first have-vector of a member is here, and all that it promised.
    pub(super) fn has_history_of(&self, member: MemberId) -> bool {
        let Some((_, link)) = self.link_of(&member) else { return true };
        link.vector_heard && link.behind.is_empty() && link.asked.is_none()
    }

    pub(super) fn congested(&mut self, id: ConnId, congested: bool) {
        let now = self.cx.now;
        self.mark_link(id, |link| {
            link.congested = congested.then(|| link.congested.unwrap_or(now));
        });
    }

    /// Marks the time at which a link may be spoken to about haves.
    pub(super) fn haves_due(now: Millis, at: Option<Millis>) -> bool {
        at.is_none_or(|at| at <= now)
    }
}
