//! The room that this node is in: what is said in it, and moving to another.

use crate::router::Router;
use crate::router::event::{Draw, Effect};
use crate::router::ids::{MemberId, RoomId};
use crate::router::log::Log;
use crate::router::notice::Notice;
use crate::router::registry::Registry;

/// A room, and this node's stay in it.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) id: RoomId,
    /// A link was committed in it.
    pub(crate) settled: bool,
    /// `joined` was told.
    pub(crate) announced: bool,
    /// It was told that others say that we are no member.
    pub(crate) told_outside: bool,
    /// Somebody was present at some time.
    pub(crate) ever_met: bool,
}

impl Room {
    pub(crate) fn new(id: RoomId) -> Self {
        Self { id, settled: false, announced: false, told_outside: false, ever_met: false }
    }
}

impl Router {
    /// Into another room, taking along what was said and offered while alone.
    pub(crate) fn move_to(&mut self, id: RoomId, registry: Registry, via: MemberId) {
        debug_assert_eq!(id, registry.room());
        self.registry.enter(registry);
        self.room = Room::new(id);
        self.members.move_to(id);
        let old = self.log.replace(via);
        self.files.clear();
        self.say_again(&old);
    }

    /// Alone into a fresh room; the old one is told.
    pub(crate) fn leave(&mut self, draw: &Draw) {
        let (old, announced) = (self.room.id, self.room.announced);
        self.acknowledge();
        self.members.say_goodbye(&mut self.cx);
        self.drop_all_conns();
        self.leave_files();
        self.registry.enter(Registry::new(self.cx.my_id, self.cx.my_id, draw.room));
        self.room = Room::new(self.registry.room());
        self.log = Log::new(self.cx.my_id, draw.nonce);
        self.members.leave(&self.cx, self.room.id);
        self.files.clear();
        self.cx.effect(Effect::Forget);
        self.guesses.forget_untold();
        self.desk.room_left(&mut self.cx);
        if announced {
            self.cx.notify(Notice::Left { room: old });
        }
        self.cx.remark("you are alone in a new open room");
    }

    /// Ends every connection and forgets who was on them.
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
