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

/// Most requests queued on one lane.
pub const LANE_QUEUE: usize = 16;
/// How long a lane whose host was busy is not used.
const REST_MS: u64 = 50;
/// How often to check whether some host is too slow while others have nothing to do.
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
        /// Which part of it.
        want: Want,
    },
    /// Tell a host that a requested chunk is no longer needed.
    Revoke {
        /// The host.
        host: MemberId,
        /// The file.
        file: FileId,
        /// The chunk.
        chunk: u32,
    },
    /// Close a lane: what was requested over it comes sooner from others.
    Drop {
        /// The lane.
        conn: ConnId,
    },
}

/// An unanswered request.
#[derive(Debug)]
struct HostTask {
    file: FileId,
    /// `None`: the host picks, and has not done so yet.
    chunk: Option<u32>,
    /// Bytes that came, and those still to come.
    came: u64,
    left: u64,
    asked: Millis,
    /// It is now requested elsewhere.
    revoked: bool,
}

/// The requests on a lane, in order.
#[derive(Debug, Default)]
struct LaneQueue {
    tasks: VecDeque<HostTask>,
    rests_until: Millis,
}

/// A host from the choice's point of view.
#[derive(Debug, Default)]
struct HostLoad {
    lanes: BTreeMap<ConnId, LaneQueue>,
    /// Requests over all lanes, and their bytes still to come.
    asked: usize,
    left: u64,
    /// It waits for its turn.
    waits: bool,
    pace: HostPace,
    rtt_ms: u64,
    /// It was too slow: until it proves better, it gets one request at a time.
    slow: bool,
    rests_until: Millis,
    rest_ms: u64,
    /// Chunks that it was told not to send, and has not broken off yet.
    called_off: VecDeque<(FileId, u32)>,
}

/// What to request from whom.
#[derive(Debug, Default)]
pub struct Choice {
    /// Files being fetched, in the order in which that began.
    files: BTreeMap<u64, (FileId, Picker)>,
    numbers: BTreeMap<FileId, u64>,
    hosts: BTreeMap<MemberId, HostLoad>,
    lanes: BTreeMap<ConnId, MemberId>,
    /// Unanswered requests.
    asked: usize,
    /// How fast all hosts deliver together.
    pace: HostPace,
    /// Bytes that came, and how many of those had been requested elsewhere meanwhile.
    came_bytes: u64,
    twice_bytes: u64,
    /// As of the last look at hosts: the longest round trip to one that has requests, and the
    /// requests that are stuck or no longer needed.
    far_ms: u64,
    stuck: usize,
    /// Until then hosts are not checked again, and nothing is requested beyond what is enough.
    inspect_at: Millis,
    /// Until then no host takes over from others while something is free.
    take_over_at: Millis,
    /// When to look again even if nothing happens.
    look_at: Option<Millis>,
    /// Orders not handed out yet.
    out: Vec<Chosen>,
}

impl Choice {
    // What is fetched.

    /// Fetching begins, with the list of hashes. `turn` counts up.
    pub fn begin(&mut self, turn: u64, file: FileId, layout: Layout) {
        self.numbers.insert(file, turn);
        self.files.insert(turn, (file, Picker::new(layout)));
    }

    /// The list of hashes is here, and so are these chunks.
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

    /// Something of these chunks is here: they are asked for by number, and no host picks them.
    pub fn begun(&mut self, file: &FileId, begun: &Bitmap) {
        if let Some(picker) = self.picker_mut(file) {
            picker.begun(begun);
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

    /// Somebody is viewing these chunks already: they are fetched first, in this order.
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

    /// `host` no longer has anything of a file.
    pub fn dropped(&mut self, host: &MemberId, file: &FileId) {
        if let Some(picker) = self.picker_mut(file) {
            picker.lost(host);
        }
    }

    /// `host` is no longer linked.
    pub fn lost(&mut self, host: &MemberId) {
        for (_, picker) in self.files.values_mut() {
            picker.lost(host);
        }
        // A host whose lanes outlive its link is kept for them.
        if self.hosts.get(host).is_some_and(|host| host.lanes.is_empty()) {
            self.hosts.remove(host);
        }
    }

    /// What `host` sent of a file is wrong: nothing more of it is taken from there, and its lanes
    /// are closed, so that others may bring what it was asked for. False if it was banned already.
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

    /// Pauses or resumes requests for a file.
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

    /// A lane is gone; what was requested over it is free again.
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

    /// How many hosts have requests for a file.
    #[must_use]
    pub fn hosts_in_use(&self, file: &FileId) -> usize {
        let uses = |host: &&HostLoad| host.tasks().any(|task| task.file == *file && !task.revoked);
        self.hosts.values().filter(uses).count()
    }

    /// Whether a host was found too slow, and is still left alone.
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

    /// A lane to `host`, for a request that the choice does not order.
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

    /// Counts answered requests.
    fn settle(&mut self, requests: usize) {
        self.asked -= requests;
        if self.asked == 0 {
            self.pace.rest();
        }
    }

    // What came.

    /// A lane's host picked a chunk.
    pub fn picked(&mut self, conn: ConnId, file: &FileId, chunk: u32) {
        let Some(turn) = self.numbers.get(file) else { return };
        let Some((_, picker)) = self.files.get_mut(turn) else { return };
        let host = self.lanes.get(&conn).and_then(|host| self.hosts.get_mut(host));
        if host.is_some_and(|host| host.picked(conn, file, chunk, picker.bytes_of(chunk))) {
            picker.asked(chunk);
        }
    }

    /// Bytes of a chunk came over a lane; more will follow.
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

    /// A request was not answered in full (`chunk` is `None` for a list, and for a pick that came
    /// to nothing). True if that matters, because nobody else has been asked for it.
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

    /// Nothing is requested over a lane for a moment.
    pub fn rest(&mut self, conn: ConnId, now: Millis) {
        let host = self.lanes.get(&conn).and_then(|host| self.hosts.get_mut(host));
        if let Some(lane) = host.and_then(|host| host.lanes.get_mut(&conn)) {
            lane.rests_until = now.plus(REST_MS);
        }
    }

    /// A lane's host has already sent others everything that only it has of a file.
    pub fn elsewhere(&mut self, conn: ConnId, file: &FileId, now: Millis) {
        if let (Some(host), Some(picker)) = (self.host_of(conn), self.picker_mut(file)) {
            picker.elsewhere(&host, now);
        }
    }

    /// A host lacks a chunk (`None`: the list) that it claimed to have.
    pub fn lacks(&mut self, host: &MemberId, file: &FileId, chunk: Option<u32>) {
        if let Some(picker) = self.picker_mut(file) {
            picker.lacks(host, chunk);
        }
    }

    /// Whether `host` may have broken off a chunk because an earlier request for it was called off:
    /// then it still has it. Asking forgets it.
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

    /// What was requested may be requested from others, unless it has been already.
    fn free(&mut self, task: &HostTask) {
        if let (Some(chunk), false) = (task.chunk, task.revoked) {
            if let Some(picker) = self.picker_mut(&task.file) {
                picker.freed(chunk);
            }
            self.ask_all();
        }
    }

    /// A host may have room for a request, or something new: it is queued for a turn.
    fn queue(&mut self, id: MemberId) {
        if let Some(host) = self.hosts.get_mut(&id) {
            host.waits = true;
        }
    }

    fn ask_all(&mut self) {
        for host in self.hosts.values_mut() {
            // A host that rests may have no lane left, but the end of the rest must not be missed.
            host.waits |= !host.lanes.is_empty() || host.rest_ms > 0;
        }
    }

    fn look(&mut self, at: Millis) {
        self.look_at = Some(self.look_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// When to call [`Choice::orders`] even if nothing happens.
    pub(crate) fn deadlines(&self, earliest: &mut Earliest) {
        self.look_at.into_iter().for_each(|at| earliest.at(at));
    }

    /// [`Choice::deadlines`] for callers that have no others.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        self.look_at
    }
}
