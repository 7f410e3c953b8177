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
    /// A stay in which nobody was met yet.
    pub(crate) fn new(room: RoomId) -> Self {
        Self { room, settled: false, announced: false, told_outside: false, met: false }
    }

    /// The room.
    pub(crate) fn room(&self) -> RoomId {
        self.room
    }

    /// Whether a link was ever committed in it.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }

    /// A link was committed.
    pub(crate) fn settle(&mut self) {
        self.settled = true;
    }

    /// Whether `joined` was reported.
    pub(crate) fn is_announced(&self) -> bool {
        self.announced
    }

    /// Whether to report `joined` now.
    pub(crate) fn announce(&mut self) -> bool {
        !std::mem::replace(&mut self.announced, true)
    }

    /// Whether to report now that others do not consider this node a member.
    pub(crate) fn tell_outside(&mut self) -> bool {
        !std::mem::replace(&mut self.told_outside, true)
    }

    /// Whether anybody was ever present.
    pub(crate) fn has_met(&self) -> bool {
        self.met
    }

    /// Somebody is present.
    pub(crate) fn meet(&mut self) {
        self.met = true;
    }
}
