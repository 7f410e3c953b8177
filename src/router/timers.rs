//! The one clock of all machines: named deadlines, in order.

use std::collections::{BTreeMap, BTreeSet};

use super::ids::ConnId;
use super::time::Millis;

/// What is due at some time: one name for each thing that waits, so that it has one deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// An attempt is tried again, or its history did not come in time.
    Attempt(u64),
    /// Something is told that others caused too often.
    Notices,
    /// Wrong passwords are reported to people.
    Guesses,
    /// A connection is looked at: both have to agree, or it may be silent.
    Link(ConnId),
    /// Somebody may have come or gone, or is dialled again.
    Members,
    /// More presence records are to be told over a link.
    Presence(ConnId),
    /// Something is due to be said or asked about the log over a link.
    Repair(ConnId),
    /// Records from links are to be taken in.
    Records,
    /// Records of the register are left to be said over a link.
    RecordsLeft(ConnId),
    /// It is to be looked whether anybody still needs what is about to leave.
    Departure,
    /// A script waits no longer.
    Waits,
    /// Words are not waited for any longer.
    Words,
    /// Entries wait no longer for what they refer to.
    Parents,
    /// Counts of own messages are to be told.
    Receipts,
    /// Something of a download, a host or a lane.
    Swarm,
    /// An offer that was taken back is so for good.
    Undo,
    /// A link is still to be told of files.
    SayFiles(ConnId),
}

/// Deadlines by name and by time.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_name: BTreeMap<Timer, Millis>,
    by_time: BTreeSet<(Millis, Timer)>,
}

impl Timers {
    /// Sets the deadline of something, in place of the one that it had; `None`: it has none now.
    pub(crate) fn set(&mut self, timer: Timer, at: Option<Millis>) {
        let before = match at {
            Some(at) => self.by_name.insert(timer, at),
            None => self.by_name.remove(&timer),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, timer));
        }
        if let Some(at) = at {
            self.by_time.insert((at, timer));
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Millis> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out all that is due, the earliest first. What is set again meanwhile for a time that
    /// has come waits for the next event.
    pub(crate) fn take_due(&mut self, now: Millis) -> Vec<Timer> {
        let mut due = Vec::new();
        while let Some((at, timer)) = self.by_time.pop_first() {
            if at > now {
                self.by_time.insert((at, timer));
                break;
            }
            self.by_name.remove(&timer);
            due.push(timer);
        }
        due
    }
}
