//! Marks become messages: what each link is still to be told, as far as its outbox has room.

use super::Router;
use super::event::Effect;
use super::ids::ConnId;
use super::message::Message;

/// Chunk numbers in one message.
const GAINED_AT_ONCE: usize = 1_024;

impl Router {
    pub(super) fn flush_links(&mut self) {
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
        self.registry.flush(&mut self.cx, id, &mut messages);
        self.flush_presence(id, &mut messages);
        self.flush_files(id, &mut messages);
        self.log.flush(&mut self.cx, id, &self.members, &mut messages);
        for message in messages {
            self.cx.effect(Effect::Send { conn: id, message });
        }
    }

    fn flush_presence(&mut self, id: ConnId, messages: &mut Vec<Message>) {
        let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link_mut()) else { return };
        if let Some(number) = link.pong.take() {
            messages.push(Message::Pong(number));
        }
        self.members.flush(&mut self.cx, id, messages);
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
