//! Hosts that are slow, or slow on purpose: others take over from them.

use super::{Choice, Chosen, HostLoad, HostTask, LOOK_MS};
use crate::limits::Limits;
use crate::router::event::Want;
use crate::router::ids::{ConnId, FileId, MemberId};
use crate::router::swarm::pace::GRACE_MS;
use crate::router::time::Millis;

/// How much sooner a chunk must arrive to be taken over.
const GAIN_MS: u64 = 100;
/// How long a host that was too slow is left alone at first; this doubles each time.
const SLOW_REST_MS: u64 = 2_000;
/// The longest that it is left alone.
const SLOW_REST_MAX_MS: u64 = 60_000;
/// One of two hosts is slow, and requests to it are stuck, if the other is more than this many
/// times as fast.
const SLOW_FACTOR: u64 = 16;
/// Bytes per second expected of an unknown host.
const HOPED_RATE: u64 = 1024 * 1024;
/// While more than this part of all bytes came twice, chunks are taken over only from the slowest.
const WASTE_PART: u64 = 64;

impl Choice {
    /// A host with nothing to do takes over the chunk that would come last, if it delivers it much
    /// sooner.
    pub(super) fn take_over(&mut self, id: MemberId, now: Millis, limits: &Limits) {
        let Some(host) = self.hosts.get(&id) else { return };
        let Some(conn) = host.free_lane(now) else { return };
        if host.slow || self.asked >= limits.unanswered_requests {
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
                    && (left_ms > SLOW_REST_MS || !self.is_wasteful())
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
        self.note(
            conn,
            HostTask { file, chunk: Some(chunk), came: 0, left, asked: now, revoked: false },
        );
        self.out.push(Chosen::Ask { conn, file, want: Want::Chunk(chunk) });
        self.queue(id);
    }

    /// Whether too much of what came had also come from somebody else.
    fn is_wasteful(&self) -> bool {
        WASTE_PART * self.twice_bytes > self.came_bytes
    }

    fn revoke(&mut self, host: MemberId, conn: ConnId, file: FileId, chunk: u32, now: Millis) {
        let Some(slow) = self.hosts.get_mut(&host) else { return };
        let stuck = slow.takes_ms(now, slow.bytes_left()) > SLOW_REST_MS;
        let tasks = slow.lanes.get_mut(&conn).into_iter().flat_map(|lane| &mut lane.tasks);
        for task in tasks.filter(|task| task.file == file && task.chunk == Some(chunk)) {
            task.revoked = true;
        }
        slow.call_off(file, chunk);
        self.out.push(Chosen::Revoke { host, file, chunk });
        if stuck {
            self.give_up(host, conn, now);
        }
    }

    /// Finds requests that are stuck or no longer needed, and how far away hosts are.
    pub(super) fn inspect(&mut self, now: Millis) {
        self.inspect_at = now.plus(LOOK_MS);
        let asked = || self.hosts.values().filter(|host| host.asked() > 0);
        let rate = |host: &HostLoad| host.pace.rate(now);
        let useful = self.hosts.iter().filter(|(id, host)| self.is_useful(id, host, now));
        let known = asked().chain(useful.map(|(_, host)| host));
        let fastest = known.filter_map(rate).max().unwrap_or(0);
        let stuck = |host: &&HostLoad| rate(host).is_some_and(|rate| SLOW_FACTOR * rate < fastest);
        let of = |host: &HostLoad| match stuck(&host) {
            true => host.asked(),
            false => host.tasks().filter(|task| task.revoked).count(),
        };
        self.stuck = asked().map(of).sum();
        self.far_ms = asked().map(|host| host.rtt_ms).max().unwrap_or(0);
    }

    /// Whether a host without requests waits for its turn, and could be asked.
    fn is_useful(&self, id: &MemberId, host: &HostLoad, now: Millis) -> bool {
        let free = host.waits && host.asked() == 0 && host.free_lane(now).is_some();
        free && self.files.values().any(|(_, picker)| picker.gives(id))
    }

    /// No more may be requested: if a host that has something waits for its turn, and may be much
    /// faster than the slowest, the slowest loses a lane.
    pub(super) fn make_room(&mut self, now: Millis) {
        let rate = |host: &HostLoad| host.pace.rate(now);
        let waiting = self.hosts.iter().filter(|(id, host)| self.is_useful(id, host, now));
        let Some(fast) = waiting.map(|(_, host)| rate(host).unwrap_or(HOPED_RATE)).max() else {
            return;
        };
        let asked = self.hosts.iter().filter(|(_, host)| host.asked() > 0);
        let slowest = asked.filter_map(|(id, host)| Some((rate(host)?, *id))).min();
        let Some((slow, host)) = slowest else { return };
        if SLOW_FACTOR * slow >= fast {
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
        self.out.push(Chosen::Drop { conn });
        self.closed(conn);
    }
}
