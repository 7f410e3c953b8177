//! The choice: what to ask of which host next, over which lane, and what to take back.
//!
//! A machine of its own within the router, without any of its other state, so that swarms of a
//! thousand members can be played with nothing but this and a model of their links
//! (`tests/fluid`). Told what happened, it answers [`Choice::orders`].
//!
//! - Each host has as much asked of it as keeps it busy ([`super::pace`]): so hosts are used in
//!   proportion to what they deliver.
//! - The rarest chunk first; what only one host has that host chooses ([`super::picker`]).
//! - When nothing is free any more, a host without work takes over what would come later from
//!   another one; the other is told to spare itself the bytes.

use core::ops::Range;
use std::collections::{BTreeMap, BTreeSet};

use super::host::{Host, Lane, Task};
use super::pace::GRACE_MS;
use super::picker::{Picker, Want};
use crate::limits::Limits;
use crate::router::bitmap::Bitmap;
use crate::router::ids::{ConnId, FileId, MemberId};
use crate::router::rng::Rng;
use crate::router::time::{Earliest, Millis};

/// A lane for which no thread was free, or whose host was busy, is left alone for so long.
const REST_MS: u64 = 50;
/// So often it is looked at whether somebody is too slow, while others have nothing to do.
const LOOK_MS: u64 = 100;
/// What is taken over must come at least so much sooner.
const GAIN_MS: u64 = 100;
/// Of two hosts one is slow if the other is so many times as fast.
const SLOW_FACTOR: u64 = 8;
/// A host that was too slow is left alone for so long at first; each time twice as long.
const SLOW_REST_MS: u64 = 2_000;
/// But not longer.
const SLOW_REST_MAX_MS: u64 = 60_000;

/// What the choice wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
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

/// What to ask of whom.
#[derive(Debug, Default)]
pub struct Choice {
    /// Files that are being fetched, by the order in which that began.
    files: BTreeMap<u64, (FileId, Picker)>,
    turns: BTreeMap<FileId, u64>,
    hosts: BTreeMap<MemberId, Host>,
    lanes: BTreeMap<ConnId, MemberId>,
    /// Requests that are not answered: each keeps a thread.
    asked: usize,
    /// Hosts that may have room for requests, or have something new.
    dirty: BTreeSet<MemberId>,
    /// Before then no host takes over from others while something is free.
    take_over_at: Millis,
    /// When to look again although nothing happened.
    look_at: Option<Millis>,
    /// What is to be done.
    out: Vec<Order>,
}

impl Choice {
    // What is fetched.

    /// Fetching begins, with the list of hashes. `turn` counts up.
    pub fn begin(&mut self, turn: u64, file: FileId, size: u64) {
        self.turns.insert(file, turn);
        self.files.insert(turn, (file, Picker::new(size)));
    }

    /// The list of hashes is here, and these chunks.
    pub fn listed(&mut self, file: &FileId, held: &Bitmap) {
        if let Some(picker) = self.picker_mut(file) {
            picker.listed(held);
            let hosts: Vec<_> = picker.hosts().collect();
            self.dirty.extend(hosts);
        }
    }

    /// Fetching ends, one way or another. Requests that are under way are answered all the same.
    pub fn end(&mut self, file: &FileId) {
        if let Some(turn) = self.turns.remove(file) {
            self.files.remove(&turn);
        }
        for (id, host) in &mut self.hosts {
            let tasks = host.lanes.values_mut().flat_map(|lane| &mut lane.tasks);
            for task in tasks.filter(|task| task.file == *file && !task.revoked) {
                task.revoked = true;
                let revoke = |chunk| Order::Revoke { host: *id, file: *file, chunk };
                self.out.extend(task.chunk.map(revoke));
            }
        }
    }

    /// The state of a file that is being fetched.
    #[must_use]
    pub fn picker(&self, file: &FileId) -> Option<&Picker> {
        self.files.get(self.turns.get(file)?).map(|(_, picker)| picker)
    }

    fn picker_mut(&mut self, file: &FileId) -> Option<&mut Picker> {
        self.files.get_mut(self.turns.get(file)?).map(|(_, picker)| picker)
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
            self.dirty.insert(host);
        }
    }

    /// `host` has more chunks of a file.
    pub fn gained(&mut self, host: MemberId, file: &FileId, chunks: &[u32]) {
        if let Some(picker) = self.picker_mut(file) {
            picker.gained(&host, chunks);
            self.dirty.insert(host);
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

    /// What `host` sent of a file does not fit: nothing more of it is taken from there. False if
    /// that was so already.
    pub fn ban(&mut self, host: MemberId, file: &FileId) -> bool {
        self.picker_mut(file).is_some_and(|picker| picker.ban(host))
    }

    /// Nothing is asked for of a file until that is taken back.
    pub fn pause(&mut self, file: &FileId, paused: bool) {
        if let Some(picker) = self.picker_mut(file) {
            picker.pause(paused);
            let hosts: Vec<_> = picker.hosts().collect();
            self.dirty.extend(hosts);
        }
    }

    /// The round trip to `host`.
    pub fn rtt(&mut self, host: MemberId, rtt_ms: u64) {
        self.hosts.entry(host).or_default().rtt_ms = rtt_ms;
    }

    // Lanes.

    /// A lane to `host` is open.
    pub fn opened(&mut self, host: MemberId, conn: ConnId) {
        self.hosts.entry(host).or_default().lanes.insert(conn, Lane::default());
        self.lanes.insert(conn, host);
        self.dirty.insert(host);
    }

    /// A lane is gone; what was asked over it is free again.
    pub fn closed(&mut self, conn: ConnId) {
        let Some(host) = self.lanes.remove(&conn) else { return };
        let lane = self.hosts.get_mut(&host).and_then(|host| host.lanes.remove(&conn));
        for task in lane.into_iter().flat_map(|lane| lane.tasks) {
            self.asked -= 1;
            self.free(&task);
        }
        self.settle(host);
    }

    /// The host of a lane.
    #[must_use]
    pub fn host_of(&self, conn: ConnId) -> Option<MemberId> {
        self.lanes.get(&conn).copied()
    }

    /// Hosts from which something is asked for a file.
    #[must_use]
    pub fn hosts_in_use(&self, file: &FileId) -> usize {
        let uses = |host: &&Host| host.tasks().any(|task| task.file == *file && !task.revoked);
        self.hosts.values().filter(uses).count()
    }

    /// Whether a host was found too slow, and has not yet been asked again.
    #[must_use]
    pub fn rests(&self, host: &MemberId, now: Millis) -> bool {
        self.hosts.get(host).is_some_and(|host| host.rests_until > now)
    }

    /// Counts a request that the choice did not order (for a list of hashes).
    pub fn ask_list(&mut self, conn: ConnId, file: FileId, now: Millis) {
        self.note(conn, Task { file, chunk: None, left: 0, asked: now, revoked: true });
    }

    /// A lane to `host` for a request that the choice does not order.
    #[must_use]
    pub fn free_lane(&self, host: &MemberId, now: Millis, limits: &Limits) -> Option<ConnId> {
        if self.asked >= limits.fetch_threads {
            return None;
        }
        self.hosts.get(host)?.free_lane(now, limits)
    }

    fn note(&mut self, conn: ConnId, task: Task) {
        let Some(host) = self.lanes.get(&conn).and_then(|host| self.hosts.get_mut(host)) else {
            return;
        };
        host.pace.begin(task.asked);
        if let Some(lane) = host.lanes.get_mut(&conn) {
            lane.tasks.push_back(task);
            self.asked += 1;
        }
    }

    // What came.

    /// The host of a lane chose a chunk.
    pub fn picked(&mut self, conn: ConnId, file: &FileId, chunk: u32) {
        let Some(turn) = self.turns.get(file) else { return };
        let Some((_, picker)) = self.files.get_mut(turn) else { return };
        let host = self.lanes.get(&conn).and_then(|host| self.hosts.get_mut(host));
        let lane = host.and_then(|host| host.lanes.get_mut(&conn));
        let tasks = lane.into_iter().flat_map(|lane| &mut lane.tasks);
        let mut picks = tasks.filter(|task| task.file == *file && task.chunk.is_none());
        if let Some(task) = picks.find(|task| !task.revoked) {
            task.chunk = Some(chunk);
            task.left = picker.bytes_of(chunk);
            picker.asked(chunk);
        }
    }

    /// Bytes of a chunk came over a lane; more are to come.
    pub fn came(&mut self, conn: ConnId, file: &FileId, chunk: u32, bytes: u64, now: Millis) {
        let Some(id) = self.lanes.get(&conn) else { return };
        let Some(host) = self.hosts.get_mut(id) else { return };
        host.pace.came(now, bytes);
        let lane = host.lanes.get_mut(&conn).into_iter();
        let mut tasks = lane.flat_map(|lane| &mut lane.tasks);
        if let Some(task) = tasks.find(|t| t.file == *file && t.chunk == Some(chunk)) {
            task.left = task.left.saturating_sub(bytes);
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

    fn answered(
        &mut self,
        conn: ConnId,
        file: &FileId,
        chunk: Option<u32>,
        bytes: u64,
        now: Millis,
    ) -> Option<Task> {
        let id = *self.lanes.get(&conn)?;
        let host = self.hosts.get_mut(&id)?;
        host.pace.came(now, bytes);
        let tasks = &mut host.lanes.get_mut(&conn)?.tasks;
        let place = tasks.iter().position(|task| task.file == *file && task.chunk == chunk);
        // The choice of a host may be told by its end only.
        let pick = || tasks.iter().position(|task| task.file == *file && task.chunk.is_none());
        let place = place.or_else(pick)?;
        let task = tasks.remove(place)?;
        self.asked -= 1;
        self.settle(id);
        Some(task)
    }

    /// What was asked may be asked of others, unless they have been asked already.
    fn free(&mut self, task: &Task) {
        if let (Some(chunk), false) = (task.chunk, task.revoked) {
            if let Some(picker) = self.picker_mut(&task.file) {
                picker.freed(chunk);
            }
            self.dirty.extend(self.lanes.values());
        }
    }

    fn settle(&mut self, id: MemberId) {
        self.dirty.insert(id);
        if let Some(host) = self.hosts.get_mut(&id)
            && host.asked() == 0
        {
            host.pace.rest();
        }
    }

    // The choice.

    /// What to do now.
    pub fn orders(&mut self, now: Millis, limits: &Limits, rng: &mut Rng) -> Vec<Order> {
        if self.look_at.is_some_and(|at| at <= now) {
            self.look_at = None;
            self.dirty.extend(self.lanes.values());
            // Those who rest may have no lane left; the end of it must not be forgotten.
            let rests = self.hosts.iter().filter(|(_, host)| host.rests_until > now);
            self.dirty.extend(rests.map(|(id, _)| *id));
        }
        // Hosts take turns, so that all of them work before any has a queue.
        let mut idle: Vec<MemberId> = std::mem::take(&mut self.dirty).into_iter().collect();
        let mut out_of_work = Vec::new();
        while !idle.is_empty() {
            idle.retain(|host| match self.ask(*host, now, limits, rng) {
                Asked::Something => true,
                Asked::Nothing => {
                    out_of_work.push(*host);
                    false
                }
                Asked::Full => false,
            });
        }
        // Looking at what everyone was asked for is dear: while something is free, now and then.
        let free = self.files.values().any(|(_, picker)| picker.free().next().is_some());
        if free && now < self.take_over_at {
            if !out_of_work.is_empty() {
                self.look(self.take_over_at);
            }
        } else if !out_of_work.is_empty() {
            self.take_over_at = now.plus(LOOK_MS);
            for host in out_of_work {
                self.take_over(host, now, limits);
            }
        }
        std::mem::take(&mut self.out)
    }

    /// Asks `host` for one more thing.
    fn ask(&mut self, id: MemberId, now: Millis, limits: &Limits, rng: &mut Rng) -> Asked {
        let Some(host) = self.hosts.get(&id) else { return Asked::Full };
        let Some(conn) = host.free_lane(now, limits) else {
            let rests = host.lanes.values().map(|lane| lane.rests_until);
            let rests = rests.chain([host.rests_until]).filter(|until| *until > now).min();
            rests.into_iter().for_each(|until| self.look(until));
            return Asked::Full;
        };
        if self.asked >= limits.fetch_threads {
            self.make_room(id, now);
            return Asked::Full;
        }
        let host = self.hosts.get(&id);
        let picks = |file: &FileId| {
            let tasks = host.into_iter().flat_map(Host::tasks);
            tasks.filter(|t| t.file == *file && t.chunk.is_none() && !t.revoked).count()
        };
        let mut wait = None;
        let found = self.files.values().find_map(|(file, picker)| {
            let want = picker.next(&id, now, rng);
            if want.is_none() {
                wait = wait.or(picker.elsewhere_until(&id, now));
            }
            match want? {
                // More picks than there is to pick from would come to nothing.
                Want::Pick(of) if of.count() as usize <= picks(file) => None,
                want => Some((*file, want)),
            }
        });
        wait.into_iter().for_each(|until| self.look(until));
        let Some((file, want)) = found else { return Asked::Nothing };
        let Some(picker) = self.picker_mut(&file) else { return Asked::Nothing };
        let (chunk, left) = match &want {
            Want::Chunk(chunk) => {
                picker.asked(*chunk);
                (Some(*chunk), picker.bytes_of(*chunk))
            }
            Want::Pick(_) => (None, picker.chunk_bytes()),
        };
        self.note(conn, Task { file, chunk, left, asked: now, revoked: false });
        self.out.push(Order::Ask { conn, file, want });
        Asked::Something
    }

    /// A host with nothing to do takes over the chunk that would come last, if it brings it much
    /// sooner.
    fn take_over(&mut self, id: MemberId, now: Millis, limits: &Limits) {
        let Some(host) = self.hosts.get(&id) else { return };
        let Some(conn) = host.free_lane(now, limits) else { return };
        if host.slow || self.asked >= limits.fetch_threads {
            return;
        }
        let mut last: Option<(u64, MemberId, ConnId, FileId, u32)> = None;
        let mut others_work = false;
        for (other, slow) in self.hosts.iter().filter(|(other, h)| **other != id && h.asked() > 0) {
            let mut ahead = 0;
            let lanes = slow.lanes.iter();
            let mut tasks: Vec<_> =
                lanes.flat_map(|(conn, lane)| lane.tasks.iter().map(|t| (*conn, t))).collect();
            tasks.sort_by_key(|(conn, task)| (task.asked, *conn));
            for (its, task) in tasks {
                ahead += task.left;
                let Some(chunk) = task.chunk.filter(|_| !task.revoked) else { continue };
                let Some(picker) = self.picker(&task.file).filter(|p| p.has(&id, chunk)) else {
                    continue;
                };
                others_work = true;
                let left_ms = slow.takes_ms(now, ahead);
                let here = host.bytes_left() + picker.bytes_of(chunk);
                let unproven_ms = if host.pace.rate(now).is_none() { GRACE_MS } else { 0 };
                let here_ms = host.takes_ms(now, here).max(unproven_ms);
                let young = slow.pace.rate(now).is_none();
                if !young
                    && left_ms > here_ms.saturating_mul(2).saturating_add(GAIN_MS)
                    && last.is_none_or(|(latest, ..)| left_ms > latest)
                {
                    last = Some((left_ms, *other, its, task.file, chunk));
                }
            }
        }
        if others_work {
            self.look(now.plus(LOOK_MS));
        }
        let Some((_, other, its, file, chunk)) = last else { return };
        self.revoke(other, its, file, chunk, now);
        let left = self.picker(&file).map_or(0, |picker| picker.bytes_of(chunk));
        self.note(conn, Task { file, chunk: Some(chunk), left, asked: now, revoked: false });
        self.out.push(Order::Ask { conn, file, want: Want::Chunk(chunk) });
        self.dirty.insert(id);
    }

    fn revoke(&mut self, host: MemberId, conn: ConnId, file: FileId, chunk: u32, now: Millis) {
        let Some(slow) = self.hosts.get_mut(&host) else { return };
        let stuck = slow.takes_ms(now, slow.bytes_left()) > SLOW_REST_MS;
        let tasks = slow.lanes.get_mut(&conn).into_iter().flat_map(|lane| &mut lane.tasks);
        for task in tasks.filter(|task| task.file == file && task.chunk == Some(chunk)) {
            task.revoked = true;
        }
        self.out.push(Order::Revoke { host, file, chunk });
        if stuck {
            self.give_up(host, conn, now);
        }
    }

    /// All threads wait for hosts, and `id` has none: the slowest lane gives its own up, if it is
    /// much slower.
    fn make_room(&mut self, id: MemberId, now: Millis) {
        self.look(now.plus(LOOK_MS));
        let rate = |host: &Host| host.pace.rate(now);
        let Some(fast) = self.hosts.get(&id).and_then(rate) else { return };
        let slowest = self
            .hosts
            .iter()
            .filter(|(other, host)| **other != id && host.asked() > 0)
            .filter_map(|(other, host)| Some((rate(host)?, *other)))
            .min();
        let Some((slow, host)) = slowest else { return };
        if slow.saturating_mul(SLOW_FACTOR) >= fast {
            return;
        }
        let lanes = self.hosts.get(&host).into_iter().flat_map(|host| &host.lanes);
        let busiest = lanes.max_by_key(|(_, lane)| lane.tasks.len()).map(|(conn, _)| *conn);
        if let Some(conn) = busiest {
            self.give_up(host, conn, now);
        }
    }

    /// Closes a lane of a host that is too slow, and leaves the host alone for a while.
    fn give_up(&mut self, host: MemberId, conn: ConnId, now: Millis) {
        if let Some(slow) = self.hosts.get_mut(&host) {
            slow.slow = true;
            slow.rest_ms = (2 * slow.rest_ms).clamp(SLOW_REST_MS, SLOW_REST_MAX_MS);
            slow.rests_until = now.plus(slow.rest_ms);
        }
        self.out.push(Order::Drop { conn });
        self.closed(conn);
    }

    fn look(&mut self, at: Millis) {
        self.look_at = Some(self.look_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// When to ask for [`Choice::orders`] although nothing happened.
    pub(in crate::router) fn deadlines(&self, earliest: &mut Earliest) {
        self.look_at.into_iter().for_each(|at| earliest.at(at));
    }

    /// [`Choice::deadlines`] for those who have no other.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        self.look_at
    }
}

/// What became of asking a host.
enum Asked {
    Something,
    /// It has room, and nothing that is free.
    Nothing,
    /// It has no room.
    Full,
}
