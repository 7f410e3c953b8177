//! This node's stay in a room: which one, and what has happened in it so far.

use super::ids::RoomId;

/// A room, and this node's stay in it.
#[derive(Debug)]
pub(crate) struct Stay {
    room: RoomId,
    settled: bool,
    announced: bool,
    told_outside: bool,
    met: bool,
}

impl Stay {
    /// Nobody was met in this room yet.
    pub(crate) fn new(room: RoomId) -> Self {
        Self { room, settled: false, announced: false, told_outside: false, met: false }
    }

    /// The room.
    pub(crate) fn room(&self) -> RoomId {
        self.room
    }

    /// A link was committed in it.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }

    /// A link is committed.
    pub(crate) fn settle(&mut self) {
        self.settled = true;
    }

    /// `joined` was told.
    pub(crate) fn is_announced(&self) -> bool {
        self.announced
    }

    /// Whether `joined` is to be told now.
    pub(crate) fn announce(&mut self) -> bool {
        !std::mem::replace(&mut self.announced, true)
    }

    /// Whether it is to be told now that others call this node no member.
    pub(crate) fn tell_outside(&mut self) -> bool {
        !std::mem::replace(&mut self.told_outside, true)
    }

    /// Somebody was present at some time.
    pub(crate) fn has_met(&self) -> bool {
        self.met
    }

    /// Somebody is present.
    pub(crate) fn meet(&mut self) {
        self.met = true;
    }
}
