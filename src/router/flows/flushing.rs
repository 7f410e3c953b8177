//! Turns marks into messages for each link, as far as its outbox has room.

use crate::router::Router;
use crate::router::event::Effect;
use crate::router::ids::ConnId;
use crate::router::links::Link;

impl Router {
    pub(crate) fn flush_links(&mut self) {
        while let Some(id) = self.cx.next_marked() {
            self.flush(id);
        }
    }

    fn flush(&mut self, id: ConnId) {
        if self.links.link(id).is_none_or(Link::is_congested) {
            return;
        }
        let mut messages = Vec::new();
        self.registry.flush(&mut self.cx, id, &mut messages);
        self.links.flush(id, &mut messages);
        self.members.flush(&mut self.cx, id, &mut messages);
        self.swarm.flush(&mut self.cx, id, &mut messages);
        self.log.flush(&mut self.cx, id, &self.members, &mut messages);
        for message in messages {
            self.cx.effect(Effect::Send { conn: id, message });
        }
    }
}
