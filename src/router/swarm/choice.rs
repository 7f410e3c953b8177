//! The choice: which host to ask for what next, over which lane, and what to cancel.
//!
//! A machine within the router that uses none of its other state, so that swarms of a thousand
//! members can be simulated with nothing but it and a model of their links (`tests/fluid`). It is
//! told what happened, and answers with [`Choice::orders`].
//!
//! - Each host is asked for as much as keeps it busy ([`super::pace`]), so hosts are used in
//!   proportion to what they deliver. In total no more is requested than keeps the line busy, the
//!   least busy host first, so nobody waits long in the queues of a large swarm.
//! - The rarest chunk comes first; among chunks that only one host has, that host picks
//!   ([`super::picker`]).
//! - When no chunk is free any more, an idle host takes over what would arrive later from another
//!   one, whose request is cancelled.

use core::ops::Range;
use std::collections::{BTreeMap, VecDeque};

mod asking;
mod host;
mod slow;
#[cfg(test)]
mod tests;

use super::pace::HostPace;
use super::picker::Picker;
use crate::limits::Limits;
use crate::router::bitmap::Bitmap;
use crate::router::event::Want;
use crate::router::ids::{ConnId, FileId, MemberId};
use crate::router::layout::Layout;
use crate::router::time::{Earliest, Millis};

/// Requests queued on one lane.
pub const LANE_QUEUE: usize = 16;
/// How long a lane whose host was busy is left alone.
const REST_MS: u64 = 50;
/// So often it is looked at whether somebody is too slow, while others have nothing to do.
const LOOK_MS: u64 = 100;

/// What the choice wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    /// Ask for this over the lane.
    Ask {
        /// The lane.
        conn: ConnId,
        /// The file.
        file: FileId,
        /// What of it.
        want: Want,
    },
    /// Tell a host that a chunk that was asked of it is not needed any more.
    Revoke {
        /// The host.
        host: MemberId,
        /// The file.
        file: FileId,
        /// The chunk.
        chunk: u32,
    },
    /// Close a lane: what was asked over it comes sooner from others.
    Drop {
        /// The lane.
        conn: ConnId,
    },
}

/// A request that is not answered yet.
#[derive(Debug)]
struct HostTask {
    file: FileId,
    /// `None`: the host picks, and has not yet.
    chunk: Option<u32>,
    /// Bytes that came, and those that are still to come.
    came: u64,
    left: u64,
    asked: Millis,
    /// Somebody else has it now.
    revoked: bool,
}

/// What is asked over a lane, in that order.
#[derive(Debug, Default)]
struct LaneQueue {
    tasks: VecDeque<HostTask>,
    rests_until: Millis,
}

/// A host as the choice sees it.
#[derive(Debug, Default)]
struct HostLoad {
    lanes: BTreeMap<ConnId, LaneQueue>,
    /// Requests over all lanes, and the bytes that are still to come of them.
    asked: usize,
    left: u64,
    /// It waits for its turn to be asked.
    waits: bool,
    pace: HostPace,
    rtt_ms: u64,
    /// It was too slow: until it proves better, one chunk is asked of it at a time.
    slow: bool,
    rests_until: Millis,
    rest_ms: u64,
    /// What it was told not to send, and did not yet break off.
    called_off: VecDeque<(FileId, u32)>,
}

/// What to ask of whom.
#[derive(Debug, Default)]
pub struct Choice {
    /// Files that are being fetched, by the order in which that began.
    files: BTreeMap<u64, (FileId, Picker)>,
    numbers: BTreeMap<FileId, u64>,
    hosts: BTreeMap<MemberId, HostLoad>,
    lanes: BTreeMap<ConnId, MemberId>,
    /// Requests that are not answered.
    asked: usize,
    /// How fast all hosts deliver together.
    pace: HostPace,
    /// Bytes that came, and how many of them had been requested elsewhere meanwhile.
    came_bytes: u64,
    twice_bytes: u64,
    /// As of when hosts were last looked at: the longest round trip to one that is asked for
    /// something, and the requests that are stuck or not needed any more.
    far_ms: u64,
    stuck: usize,
    /// Before then hosts are not looked at again, and nothing is asked for beyond what is enough.
    inspect_at: Millis,
    /// Before then no host takes over from others while something is free.
    take_over_at: Millis,
    /// When to look again although nothing happened.
    look_at: Option<Millis>,
    /// What is to be done.
    out: Vec<Chosen>,
}

impl Choice {
    // What is fetched.

    /// Fetching begins, with the list of hashes. `turn` counts up.
    pub fn begin(&mut self, turn: u64, file: FileId, layout: Layout) {
        self.numbers.insert(file, turn);
        self.files.insert(turn, (file, Picker::new(layout)));
    }

    /// The list of hashes is here, and these chunks.
    pub fn listed(&mut self, file: &FileId, held: &Bitmap) {
        if let Some(picker) = self.picker_mut(file) {
            picker.listed(held);
            self.ask_all();
        }
    }

    /// Only these chunks are wanted.
    pub fn skip(&mut self, file: &FileId, needed: &Bitmap) {
        if let Some(picker) = self.picker_mut(file) {
            picker.skip(needed);
        }
    }

    /// These chunks cannot be verified before a list of their own is here.
    pub fn hold_back(&mut self, file: &FileId, chunks: Range<u32>) {
        if let Some(picker) = self.picker_mut(file) {
            chunks.for_each(|chunk| picker.asked(chunk));
        }
    }

    /// The list of chunks that were held back is here, and these of them are.
    pub fn list_came(&mut self, file: &FileId, chunks: Range<u32>, held: &Bitmap) {
        let Some(picker) = self.picker_mut(file) else { return };
        for chunk in chunks {
            if held.has(chunk) {
                picker.came(chunk);
            } else {
                picker.freed(chunk);
            }
        }
        self.ask_all();
    }

    /// Fetching ends, one way or another. Requests that are under way are answered all the same.
    pub fn end(&mut self, file: &FileId) {
        if let Some(turn) = self.numbers.remove(file) {
            self.files.remove(&turn);
        }
        if self.files.is_empty() {
            (self.came_bytes, self.twice_bytes) = (0, 0);
        }
        for (id, host) in &mut self.hosts {
            let chunks = host.call_off_all(file);
            let revoke = |chunk| Chosen::Revoke { host: *id, file: *file, chunk };
            self.out.extend(chunks.into_iter().map(revoke));
        }
    }

    /// The state of a file that is being fetched.
    #[must_use]
    pub fn picker(&self, file: &FileId) -> Option<&Picker> {
        self.files.get(self.numbers.get(file)?).map(|(_, picker)| picker)
    }

    fn picker_mut(&mut self, file: &FileId) -> Option<&mut Picker> {
        self.files.get_mut(self.numbers.get(file)?).map(|(_, picker)| picker)
    }

    /// Somebody looks at these chunks already: they are fetched first, in this order.
    pub fn prefer(&mut self, file: &FileId, chunks: Range<u32>) {
        if let Some(picker) = self.picker_mut(file) {
            picker.prefer(chunks);
        }
    }

    // Who has what.

    /// `host` has `held` of a file; `None`: everything.
    pub fn hosted(&mut self, host: MemberId, file: &FileId, held: Option<&Bitmap>) {
        if let Some(picker) = self.picker_mut(file) {
            picker.hosted(host, held);
            self.queue(host);
        }
    }

    /// `host` has more chunks of a file.
    pub fn gained(&mut self, host: MemberId, file: &FileId, chunks: &[u32]) {
        if let Some(picker) = self.picker_mut(file) {
            picker.gained(&host, chunks);
            self.queue(host);
        }
    }

    /// `host` has nothing of a file any more.
    pub fn dropped(&mut self, host: &MemberId, file: &FileId) {
        if let Some(picker) = self.picker_mut(file) {
            picker.lost(host);
        }
    }

    /// `host` is not linked any more.
    pub fn lost(&mut self, host: &MemberId) {
        for (_, picker) in self.files.values_mut() {
            picker.lost(host);
        }
        // One whose lanes outlive its link is kept for them.
        if self.hosts.get(host).is_some_and(|host| host.lanes.is_empty()) {
            self.hosts.remove(host);
        }
    }

    /// What `host` sent of a file does not fit: nothing more of it is taken from there, and its
    /// lanes are closed, so that others may bring what it was asked for. False if that was so
    /// already.
    pub fn ban(&mut self, host: MemberId, file: &FileId) -> bool {
        if !self.picker_mut(file).is_some_and(|picker| picker.ban(host)) {
            return false;
        }
        let lanes =
            self.hosts.get(&host).map(|host| host.lanes.keys().copied().collect::<Vec<_>>());
        for conn in lanes.unwrap_or_default() {
            self.out.push(Chosen::Drop { conn });
            self.closed(conn);
        }
        true
    }

    /// Nothing is asked for of a file until that is taken back.
    pub fn pause(&mut self, file: &FileId, paused: bool) {
        if let Some(picker) = self.picker_mut(file) {
            picker.pause(paused);
            self.ask_all();
        }
    }

    /// The round trip to `host`.
    pub fn rtt(&mut self, host: MemberId, rtt_ms: u64) {
        self.hosts.entry(host).or_default().rtt_ms = rtt_ms;
        self.far_ms = self.far_ms.max(rtt_ms);
    }

    // Lanes.

    /// A lane to `host` is open.
    pub fn opened(&mut self, host: MemberId, conn: ConnId) {
        self.hosts.entry(host).or_default().lanes.insert(conn, LaneQueue::default());
        self.lanes.insert(conn, host);
        self.queue(host);
    }

    /// A lane is gone; what was asked over it is free again.
    pub fn closed(&mut self, conn: ConnId) {
        let Some(host) = self.lanes.remove(&conn) else { return };
        let tasks = self.hosts.get_mut(&host).map(|host| host.close(conn)).unwrap_or_default();
        self.settle(tasks.len());
        for task in &tasks {
            self.twice_bytes += if task.revoked { task.came } else { 0 };
            self.free(task);
        }
        self.queue(host);
    }

    /// The host of a lane.
    #[must_use]
    pub fn host_of(&self, conn: ConnId) -> Option<MemberId> {
        self.lanes.get(&conn).copied()
    }

    /// Hosts from which something is asked for a file.
    #[must_use]
    pub fn hosts_in_use(&self, file: &FileId) -> usize {
        let uses = |host: &&HostLoad| host.tasks().any(|task| task.file == *file && !task.revoked);
        self.hosts.values().filter(uses).count()
    }

    /// Whether a host was found too slow, and has not yet been asked again.
    #[must_use]
    pub fn rests(&self, host: &MemberId, now: Millis) -> bool {
        self.hosts.get(host).is_some_and(|host| host.rests_until > now)
    }

    /// Counts a request that the choice did not order (for a list of hashes).
    pub fn ask_list(&mut self, conn: ConnId, file: FileId, now: Millis) {
        self.note(
            conn,
            HostTask { file, chunk: None, came: 0, left: 0, asked: now, revoked: true },
        );
    }

    /// A lane to `host` for a request that the choice does not order.
    #[must_use]
    pub fn free_lane(&self, host: &MemberId, now: Millis, limits: &Limits) -> Option<ConnId> {
        if self.asked >= limits.unanswered_requests {
            return None;
        }
        self.hosts.get(host)?.free_lane(now)
    }

    fn note(&mut self, conn: ConnId, task: HostTask) {
        let (now, host) = (task.asked, self.lanes.get(&conn));
        if host.and_then(|host| self.hosts.get_mut(host)).is_some_and(|h| h.note(conn, task)) {
            self.pace.begin(now);
            self.asked += 1;
        }
    }

    /// How many requests are answered.
    fn settle(&mut self, requests: usize) {
        self.asked -= requests;
        if self.asked == 0 {
            self.pace.rest();
        }
    }

    // What came.

    /// The host of a lane chose a chunk.
    pub fn picked(&mut self, conn: ConnId, file: &FileId, chunk: u32) {
        let Some(turn) = self.numbers.get(file) else { return };
        let Some((_, picker)) = self.files.get_mut(turn) else { return };
        let host = self.lanes.get(&conn).and_then(|host| self.hosts.get_mut(host));
        if host.is_some_and(|host| host.picked(conn, file, chunk, picker.bytes_of(chunk))) {
            picker.asked(chunk);
        }
    }

    /// Bytes of a chunk came over a lane; more are to come.
    pub fn came(&mut self, conn: ConnId, file: &FileId, chunk: u32, bytes: u64, now: Millis) {
        let Some(id) = self.lanes.get(&conn) else { return };
        if let Some(host) = self.hosts.get_mut(id) {
            host.came(conn, file, chunk, bytes, now);
            self.pace.came(now, bytes);
            self.came_bytes += bytes;
        }
    }

    /// A request was answered in full: `chunk` is here and verified. True if it is new.
    pub fn fetched(
        &mut self,
        conn: ConnId,
        file: &FileId,
        chunk: u32,
        bytes: u64,
        now: Millis,
    ) -> bool {
        self.answered(conn, file, Some(chunk), bytes, now);
        if let Some(host) = self.host_of(conn).and_then(|host| self.hosts.get_mut(&host)) {
            host.slow = false;
            host.rest_ms = 0;
        }
        self.picker_mut(file).is_some_and(|picker| picker.came(chunk))
    }

    /// A request was answered with less than all of it (`chunk` is `None` for a list, and for a
    /// pick that came to nothing). True when that matters: nobody else has it by now.
    pub fn failed(
        &mut self,
        conn: ConnId,
        file: &FileId,
        chunk: Option<u32>,
        bytes: u64,
        now: Millis,
    ) -> bool {
        let Some(task) = self.answered(conn, file, chunk, bytes, now) else { return false };
        self.free(&task);
        !task.revoked
    }

    /// Nothing is asked over a lane for a moment.
    pub fn rest(&mut self, conn: ConnId, now: Millis) {
        let host = self.lanes.get(&conn).and_then(|host| self.hosts.get_mut(host));
        if let Some(lane) = host.and_then(|host| host.lanes.get_mut(&conn)) {
            lane.rests_until = now.plus(REST_MS);
        }
    }

    /// The host of a lane has sent everything that only it has of a file to others already.
    pub fn elsewhere(&mut self, conn: ConnId, file: &FileId, now: Millis) {
        if let (Some(host), Some(picker)) = (self.host_of(conn), self.picker_mut(file)) {
            picker.elsewhere(&host, now);
        }
    }

    /// A host lacks a chunk (`None`: the list) that it said to have.
    pub fn lacks(&mut self, host: &MemberId, file: &FileId, chunk: Option<u32>) {
        if let Some(picker) = self.picker_mut(file) {
            picker.lacks(host, chunk);
        }
    }

    /// Whether `host` may have broken off a chunk because it was told that an earlier request for
    /// it is not needed any more: then it has it all the same. Asking forgets it.
    pub fn was_called_off(&mut self, host: &MemberId, file: &FileId, chunk: u32) -> bool {
        self.hosts.get_mut(host).is_some_and(|host| host.was_called_off(file, chunk))
    }

    fn answered(
        &mut self,
        conn: ConnId,
        file: &FileId,
        chunk: Option<u32>,
        bytes: u64,
        now: Millis,
    ) -> Option<HostTask> {
        let id = *self.lanes.get(&conn)?;
        let host = self.hosts.get_mut(&id)?;
        host.pace.came(now, bytes);
        self.pace.came(now, bytes);
        self.came_bytes += bytes;
        let task = host.take(conn, file, chunk)?;
        self.settle(1);
        if task.revoked && self.picker(file).is_some() {
            self.twice_bytes += task.came + bytes;
        }
        self.queue(id);
        Some(task)
    }

    /// What was asked may be asked of others, unless they have been asked already.
    fn free(&mut self, task: &HostTask) {
        if let (Some(chunk), false) = (task.chunk, task.revoked) {
            if let Some(picker) = self.picker_mut(&task.file) {
                picker.freed(chunk);
            }
            self.ask_all();
        }
    }

    /// A host may have room for a request, or something new: it waits for its turn.
    fn queue(&mut self, id: MemberId) {
        if let Some(host) = self.hosts.get_mut(&id) {
            host.waits = true;
        }
    }

    fn ask_all(&mut self) {
        for host in self.hosts.values_mut() {
            // Those who rest may have no lane left; the end of it must not be forgotten.
            host.waits |= !host.lanes.is_empty() || host.rest_ms > 0;
        }
    }

    fn look(&mut self, at: Millis) {
        self.look_at = Some(self.look_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// When to ask for [`Choice::orders`] although nothing happened.
    pub(crate) fn deadlines(&self, earliest: &mut Earliest) {
        self.look_at.into_iter().for_each(|at| earliest.at(at));
    }

    /// [`Choice::deadlines`] for those who have no other.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        self.look_at
    }
}
