//! Moving into another room, and leaving one.

use crate::router::Router;
use crate::router::event::{Draw, Effect};
use crate::router::ids::{MemberId, RoomId};
use crate::router::log::Log;
use crate::router::notice::Notice;
use crate::router::registry::Registry;
use crate::router::stay::Stay;

impl Router {
    /// Moves into another room, taking along what was said and offered while alone.
    pub(crate) fn move_to(&mut self, id: RoomId, registry: Registry, via: MemberId) {
        debug_assert_eq!(id, registry.room());
        self.registry.enter(registry);
        self.stay = Stay::new(id);
        self.members.move_to(id);
        let old = self.log.replace(via);
        self.files.clear();
        self.say_again(&old);
    }

    /// Moves alone into a new room; the old one is told.
    pub(crate) fn leave(&mut self, draw: &Draw) {
        let (old, announced) = (self.stay.room(), self.stay.is_announced());
        self.acknowledge();
        self.members.say_goodbye(&mut self.cx);
        self.drop_all_conns();
        self.leave_files();
        self.registry.enter(Registry::new(self.cx.my_id, self.cx.my_id, draw.room));
        self.stay = Stay::new(self.registry.room());
        self.log = Log::new(self.cx.my_id, draw.nonce);
        self.members.leave(&self.cx, self.stay.room());
        self.files.clear();
        self.cx.effect(Effect::Forget);
        self.cx.forget_notices();
        self.guesses.forget_untold();
        self.desk.room_left(&mut self.cx);
        if announced {
            self.cx.notify(Notice::Left { room: old });
        }
        self.cx.remark("you are alone in a new open room");
    }

    /// Ends every connection and forgets its peer.
    fn drop_all_conns(&mut self) {
        for id in self.links.close_all(&mut self.cx) {
            self.comparisons.link_down(&mut self.cx, id);
            self.registry.link_down(&mut self.cx, id);
            self.guesses.end(id);
        }
        self.members.drop_links();
        self.attempts.end_all(&mut self.cx);
        self.registry.drop_questions(&mut self.cx);
    }
}
