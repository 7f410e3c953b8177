//! A host from the choice's point of view: what is requested from it, and how much more may be.

use std::collections::VecDeque;

use super::LANE_QUEUE;
use super::{HostLoad, HostTask};
use crate::router::ids::{ConnId, FileId};
use crate::router::time::Millis;

/// Fewest chunks to request from a host: one that comes and one that waits.
const ASKED_MIN: usize = 2;

/// Most called-off chunks that are remembered: more than a host can have been told before it
/// forgets the first of them (it keeps 64 of one member, for 3 s).
const CALLED_OFF_MAX: usize = 512;

impl HostLoad {
    pub(super) fn tasks(&self) -> impl Iterator<Item = &HostTask> {
        self.lanes.values().flat_map(|lane| &lane.tasks)
    }

    /// Nothing is known of it, and it can be tried.
    pub(super) fn can_be_tried(&self, now: Millis) -> bool {
        let unknown = self.asked == 0 && !self.slow && self.pace.is_unknown();
        unknown && self.free_lane(now).is_some()
    }

    /// Unanswered requests.
    pub(super) fn asked(&self) -> usize {
        self.asked
    }

    pub(super) fn bytes_left(&self) -> u64 {
        self.left
    }

    /// Records a request on a lane; false if there is no such lane.
    pub(super) fn note(&mut self, conn: ConnId, task: HostTask) -> bool {
        let Some(lane) = self.lanes.get_mut(&conn) else { return false };
        self.pace.begin(task.asked);
        self.asked += 1;
        self.left += task.left;
        lane.tasks.push_back(task);
        true
    }

    /// The request for `chunk` over a lane is answered. Which chunk a host picked may be known only
    /// from the answer's end.
    pub(super) fn take(
        &mut self,
        conn: ConnId,
        file: &FileId,
        chunk: Option<u32>,
    ) -> Option<HostTask> {
        let tasks = &mut self.lanes.get_mut(&conn)?.tasks;
        let of = |chunk| tasks.iter().position(|t: &HostTask| t.file == *file && t.chunk == chunk);
        let place = of(chunk).or_else(|| of(None))?;
        let task = tasks.remove(place)?;
        self.asked -= 1;
        self.left -= task.left;
        if self.asked == 0 {
            self.pace.rest();
        }
        Some(task)
    }

    /// A lane is gone; returns what was requested over it.
    pub(super) fn close(&mut self, conn: ConnId) -> VecDeque<HostTask> {
        let tasks = self.lanes.remove(&conn).map(|lane| lane.tasks).unwrap_or_default();
        self.asked -= tasks.len();
        self.left -= tasks.iter().map(|task| task.left).sum::<u64>();
        if self.asked == 0 {
            self.pace.rest();
        }
        tasks
    }

    /// It picked a chunk of this many bytes. True if that matters.
    pub(super) fn picked(&mut self, conn: ConnId, file: &FileId, chunk: u32, bytes: u64) -> bool {
        let tasks = self.lanes.get_mut(&conn).into_iter().flat_map(|lane| &mut lane.tasks);
        let mut picks = tasks.filter(|task| task.file == *file && task.chunk.is_none());
        let Some(task) = picks.find(|task| !task.revoked) else { return false };
        self.left = self.left - task.left + bytes;
        task.chunk = Some(chunk);
        task.left = bytes;
        true
    }

    /// Bytes of a chunk came over a lane; more will follow.
    pub(super) fn came(
        &mut self,
        conn: ConnId,
        file: &FileId,
        chunk: u32,
        bytes: u64,
        now: Millis,
    ) {
        self.pace.came(now, bytes);
        let mut tasks = self.lanes.get_mut(&conn).into_iter().flat_map(|lane| &mut lane.tasks);
        if let Some(task) = tasks.find(|t| t.file == *file && t.chunk == Some(chunk)) {
            task.came += bytes;
            let bytes = bytes.min(task.left);
            task.left -= bytes;
            self.left -= bytes;
        }
    }

    /// It is told that a requested chunk is no longer needed.
    pub(super) fn call_off(&mut self, file: FileId, chunk: u32) {
        if self.called_off.len() == CALLED_OFF_MAX {
            self.called_off.pop_front();
        }
        self.called_off.push_back((file, chunk));
    }

    /// Nothing requested from it of a file is needed any more; returns those chunks.
    pub(super) fn call_off_all(&mut self, file: &FileId) -> Vec<u32> {
        let tasks = self.lanes.values_mut().flat_map(|lane| &mut lane.tasks);
        let mut chunks = Vec::new();
        for task in tasks.filter(|task| task.file == *file && !task.revoked) {
            task.revoked = true;
            chunks.extend(task.chunk);
        }
        chunks.iter().for_each(|chunk| self.call_off(*file, *chunk));
        chunks
    }

    /// Whether it may have broken off a chunk because it was told to; asking forgets it.
    pub(super) fn was_called_off(&mut self, file: &FileId, chunk: u32) -> bool {
        let place = self.called_off.iter().position(|called| *called == (*file, chunk));
        place.and_then(|place| self.called_off.remove(place)).is_some()
    }

    /// The lane with room for another request, if the host should get one.
    pub(super) fn free_lane(&self, now: Millis) -> Option<ConnId> {
        if self.rests_until > now {
            return None;
        }
        let asked = self.asked;
        let room = match self.pace.window(self.rtt_ms) {
            _ if self.slow => asked == 0,
            None => asked < ASKED_MIN,
            Some(bytes) => asked < ASKED_MIN || self.left < bytes,
        };
        let lanes = self
            .lanes
            .iter()
            .filter(|(_, lane)| room && lane.tasks.len() < LANE_QUEUE && lane.rests_until <= now);
        // Few streams at a time: each is faster, and where many meet on one line some are dropped.
        lanes.min_by_key(|(_, lane)| lane.tasks.len() / ASKED_MIN).map(|(conn, _)| *conn)
    }

    /// Milliseconds until it has delivered `bytes` more; forever if it delivers nothing.
    pub(super) fn takes_ms(&self, now: Millis, bytes: u64) -> u64 {
        match self.pace.rate(now) {
            None => self.rtt_ms,
            Some(0) => u64::MAX,
            Some(rate) => self.rtt_ms.saturating_add(bytes.saturating_mul(1000) / rate),
        }
    }
}
