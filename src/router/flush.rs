//! Marks become messages: what each link is still to be told, as far as its outbox has room.

use super::Router;
use super::event::Effect;
use super::ids::ConnId;
use super::message::Message;

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
        self.swarm.flush(&mut self.cx, id, &mut messages);
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
}
