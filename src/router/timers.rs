//! The one clock for all machines: named deadlines, in order.

use std::collections::{BTreeMap, BTreeSet};

use super::ids::ConnId;
use super::time::Millis;

/// What is due at some time: one name, and so one deadline, for each thing that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// An attempt is retried, or its history did not come in time.
    Attempt(u64),
    /// It is time to report something that others caused too often.
    Notices,
    /// Wrong passwords are reported to people.
    Guesses,
    /// A connection is checked: both must agree, or it may be silent.
    Link(ConnId),
    /// Somebody may have come or gone, or must be redialled.
    Members,
    /// More presence records should go over a link.
    Presence(ConnId),
    /// Something about the log should be said or asked over a link.
    Repair(ConnId),
    /// Records from links are to be taken in.
    Records,
    /// Records of the register still have to go over a link.
    RecordsLeft(ConnId),
    /// Check whether anybody still needs this node before it leaves.
    Departure,
    /// A script's wait is over.
    Waits,
    /// The wait for words is over.
    Words,
    /// Entries no longer wait for what they refer to.
    Parents,
    /// Counts of own messages should be reported.
    Receipts,
    /// Something of a download, a host or a lane.
    Swarm,
    /// Withdrawn offers can no longer be restored.
    Undo,
    /// A link has yet to be told of files.
    SayFiles(ConnId),
}

/// Deadlines by name and by time.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_name: BTreeMap<Timer, Millis>,
    by_time: BTreeSet<(Millis, Timer)>,
}

impl Timers {
    /// Sets a deadline, replacing its earlier one; `None`: it has none now.
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

    /// Takes out everything due, the earliest first. If one is set again meanwhile, for a time that
    /// has come, it waits for the next event.
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
