//! A host as the choice sees it: its lanes, what is asked of it, and how much more may be.

use std::collections::{BTreeMap, VecDeque};

use super::pace::Pace;
use crate::limits::Limits;
use crate::router::ids::{ConnId, FileId};
use crate::router::time::Millis;

/// Chunks to ask of a host at least: one that comes and one that waits.
const ASKED_MIN: usize = 2;

/// A request that is not answered yet.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) file: FileId,
    /// `None`: the host picks, and has not yet.
    pub(super) chunk: Option<u32>,
    /// Bytes that are still to come.
    pub(super) left: u64,
    pub(super) asked: Millis,
    /// Somebody else has it now.
    pub(super) revoked: bool,
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) tasks: VecDeque<Task>,
    pub(super) rests_until: Millis,
}

#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) lanes: BTreeMap<ConnId, Lane>,
    pub(super) pace: Pace,
    pub(super) rtt_ms: u64,
    /// It was too slow: until it proves better, one chunk is asked of it at a time.
    pub(super) slow: bool,
    pub(super) rests_until: Millis,
    pub(super) rest_ms: u64,
}

impl Host {
    pub(super) fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.lanes.values().flat_map(|lane| &lane.tasks)
    }

    pub(super) fn asked(&self) -> usize {
        self.lanes.values().map(|lane| lane.tasks.len()).sum()
    }

    pub(super) fn bytes_left(&self) -> u64 {
        self.tasks().map(|task| task.left).sum()
    }

    /// The lane that has room for another request, if the host should have one.
    pub(super) fn free_lane(&self, now: Millis, limits: &Limits) -> Option<ConnId> {
        if self.rests_until > now {
            return None;
        }
        let asked = self.asked();
        let room = match self.pace.window(self.rtt_ms) {
            _ if self.slow => asked == 0,
            None => asked < ASKED_MIN,
            Some(bytes) => asked < ASKED_MIN || self.bytes_left() < bytes,
        };
        let lanes = self.lanes.iter().filter(|(_, lane)| {
            room && lane.tasks.len() < limits.lane_queue && lane.rests_until <= now
        });
        // Few streams at a time: each is faster, and where many meet in one line some are dropped.
        lanes.min_by_key(|(_, lane)| lane.tasks.len() / ASKED_MIN).map(|(conn, _)| *conn)
    }

    /// Milliseconds until it has delivered `bytes` more; without end if it delivers nothing.
    pub(super) fn takes_ms(&self, now: Millis, bytes: u64) -> u64 {
        match self.pace.rate(now) {
            None => self.rtt_ms,
            Some(0) => u64::MAX,
            Some(rate) => self.rtt_ms.saturating_add(bytes.saturating_mul(1000) / rate),
        }
    }
}
