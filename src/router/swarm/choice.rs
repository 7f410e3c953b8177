//! The choice: what to ask of which host next, over which lane, and what to take back.
//!
//! A machine of its own within the router, without any of its other state, so that swarms of a
//! thousand members can be played with nothing but this and a model of their links
//! (`tests/fluid`). Told what happened, it answers [`Choice::orders`].
//!
//! - Each host has as much asked of it as keeps it busy ([`super::pace`]): so hosts are used in
//!   proportion to what they deliver. Of all together no more is asked than keeps the line busy,
//!   and of the least busy first: so nobody waits long in the queues of a large swarm.
//! - The rarest chunk first; what only one host has that host chooses ([`super::picker`]).
//! - When nothing is free any more, a host without work takes over what would come later from
//!   another one; the other is told to spare itself the bytes.

use core::ops::Range;
use std::collections::BTreeMap;

mod slow;

use super::host::{Host, Lane, Task};
use super::pace::Pace;
use super::picker::Picker;
use crate::files::merkle::CHUNK_MIN_BYTES;
use crate::limits::Limits;
use crate::router::bitmap::Bitmap;
use crate::router::event::Want;
use crate::router::ids::{ConnId, FileId, MemberId};
use crate::router::rng::Rng;
use crate::router::time::{Earliest, Millis};

/// A lane for which no thread was free, or whose host was busy, is left alone for so long.
const REST_MS: u64 = 50;
/// So often it is looked at whether somebody is too slow, while others have nothing to do.
const LOOK_MS: u64 = 100;
/// So many requests are enough unless hosts are far: where many fetch, more of them only wait at
/// hosts that are busy with others, and what waits is passed on later.
const ENOUGH: usize = 16;
/// And so many for somebody who has less of a file than the others.
const ENOUGH_BEHIND: usize = 24;

/// Who alone has everything is spared what others have if they bring all that is asked of them
/// within so long.
const SOON_MS: u64 = 500;

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
    numbers: BTreeMap<FileId, u64>,
    hosts: BTreeMap<MemberId, Host>,
    lanes: BTreeMap<ConnId, MemberId>,
    /// Requests that are not answered: each keeps a thread.
    asked: usize,
    /// How fast all hosts deliver together.
    pace: Pace,
    /// Bytes that came, and those of them that were asked of somebody else meanwhile.
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
    out: Vec<Order>,
}

impl Choice {
    // What is fetched.

    /// Fetching begins, with the list of hashes. `turn` counts up.
    pub fn begin(&mut self, turn: u64, file: FileId, size: u64) {
        self.numbers.insert(file, turn);
        self.files.insert(turn, (file, Picker::new(size)));
    }

    /// The list of hashes is here, and these chunks.
    pub fn listed(&mut self, file: &FileId, held: &Bitmap) {
        if let Some(picker) = self.picker_mut(file) {
            picker.listed(held);
            self.ask_all();
        }
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
            let revoke = |chunk| Order::Revoke { host: *id, file: *file, chunk };
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
            self.out.push(Order::Drop { conn });
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
        self.hosts.entry(host).or_default().lanes.insert(conn, Lane::default());
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
        self.note(conn, Task { file, chunk: None, came: 0, left: 0, asked: now, revoked: true });
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
        let (now, host) = (task.asked, self.lanes.get(&conn));
        if host.and_then(|host| self.hosts.get_mut(host)).is_some_and(|h| h.note(conn, task)) {
            self.pace.begin(now);
            self.asked += 1;
        }
    }

    /// So many requests are answered.
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
    ) -> Option<Task> {
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
    fn free(&mut self, task: &Task) {
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

    // The choice.

    /// What to do now.
    pub fn orders(&mut self, now: Millis, limits: &Limits, rng: &mut Rng) -> Vec<Order> {
        if self.look_at.is_some_and(|at| at <= now) {
            self.look_at = None;
            self.ask_all();
        }
        let mut out_of_work = Vec::new();
        while let Some(id) = self.next_turn(now, limits) {
            match self.ask(id, now, limits, rng) {
                Asked::Something => self.queue(id),
                Asked::Nothing => out_of_work.push(id),
                Asked::Full => {}
            }
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

    /// Whose turn it is to be asked for more, if more is to be asked for: who alone has everything,
    /// else of whom the least is asked, so that all of them work before any has a queue; and of
    /// several who brings it soonest.
    fn next_turn(&mut self, now: Millis, limits: &Limits) -> Option<MemberId> {
        let full = self.asked >= limits.fetch_threads;
        if full || self.is_enough() {
            if now < self.inspect_at {
                return self.no_turn();
            }
            self.inspect(now, limits);
            if full {
                self.make_room(now, limits);
                return self.no_turn();
            }
        }
        // One of which nothing is known is tried nevertheless: who is asked may be slow on purpose.
        let enough = self.is_enough();
        let may = |host: &Host| !enough || host.can_be_tried(now, limits);
        let lone = self.files.values().find_map(|(_, picker)| picker.lone());
        let waiting = self.hosts.iter_mut().filter(|(_, host)| host.waits && may(host));
        let first = waiting.min_by_key(|(id, host)| {
            let shared = host.asked() > 0 || lone != Some(**id);
            let bytes = host.bytes_left() + u64::from(CHUNK_MIN_BYTES);
            (shared, host.asked(), host.takes_ms(now, bytes))
        });
        if let Some((id, host)) = first {
            host.waits = false;
            return Some(*id);
        }
        self.no_turn()
    }

    /// Those who still wait may have a turn when hosts are looked at again.
    fn no_turn(&mut self) -> Option<MemberId> {
        if self.hosts.values().any(|host| host.waits) {
            self.look(self.inspect_at);
        }
        None
    }

    /// Whether so much is asked for that more would only wait at hosts that are busy with others.
    /// Who is behind those others asks for more, at their expense.
    fn is_enough(&self) -> bool {
        let first = self.files.values().next();
        let behind = || first.is_some_and(|(_, picker)| picker.is_behind());
        let asked = self.asked.saturating_sub(self.stuck);
        let far = |window| window > u64::from(CHUNK_MIN_BYTES) * asked as u64;
        asked >= ENOUGH
            && (asked >= ENOUGH_BEHIND || !behind())
            && !self.pace.window(self.far_ms).is_some_and(far)
    }

    /// Whether what is asked for of a file of all hosts but one comes soon without its help.
    fn others_suffice(&self, id: MemberId, file: &FileId, now: Millis) -> bool {
        let others = self.hosts.iter().filter(|(other, host)| **other != id && host.asked() > 0);
        let (mut requests, mut bytes, mut rate) = (0, 0, 0);
        for (_, host) in others {
            for task in host.tasks().filter(|task| task.file == *file && !task.revoked) {
                requests += 1;
                bytes += task.left;
            }
            rate += host.pace.rate(now).unwrap_or(0);
        }
        requests >= ENOUGH / 2 && 1000 * bytes <= SOON_MS * rate
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
        let picks = |file: &FileId| {
            host.tasks().filter(|t| t.file == *file && t.chunk.is_none() && !t.revoked).count()
        };
        let mut wait = None;
        let found = self.files.values().find_map(|(file, picker)| {
            let spared = picker.lone() == Some(id) && self.others_suffice(id, file, now);
            let Some(want) = picker.next(&id, spared, now, rng) else {
                let spared_until = spared.then(|| now.plus(LOOK_MS));
                wait = wait.or(spared_until).or(picker.elsewhere_until(&id, now));
                return None;
            };
            match want {
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
        self.note(conn, Task { file, chunk, came: 0, left, asked: now, revoked: false });
        self.out.push(Order::Ask { conn, file, want });
        Asked::Something
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
