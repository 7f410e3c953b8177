//! What to request next, and from whom.

use super::{Choice, Chosen, HostLoad, HostTask, LOOK_MS};
use crate::files::merkle::CHUNK_MIN_BYTES;
use crate::limits::Limits;
use crate::router::event::Want;
use crate::router::ids::{FileId, MemberId};
use crate::router::rng::Rng;
use crate::router::time::Millis;

/// This many requests are enough unless hosts are far away: if many fetch, further ones only wait
/// at hosts that are busy with others, and what waits is passed on later.
const ENOUGH: usize = 16;
/// The same for a node that has less of a file than the others.
const ENOUGH_BEHIND: usize = 24;

/// The only host that has everything is spared what others have, if they will deliver all their
/// requests within this time.
const SOON_MS: u64 = 500;

/// Result of asking a host.
enum AskEnd {
    Something,
    /// It has room, but nothing that is free.
    Nothing,
    /// It has no room.
    Full,
}

impl Choice {
    /// What to do now.
    pub fn orders(&mut self, now: Millis, limits: &Limits, rng: &mut Rng) -> Vec<Chosen> {
        if self.look_at.is_some_and(|at| at <= now) {
            self.look_at = None;
            self.ask_all();
        }
        let mut out_of_work = Vec::new();
        while let Some(id) = self.next_turn(now, limits) {
            match self.ask(id, now, rng) {
                AskEnd::Something => self.queue(id),
                AskEnd::Nothing => out_of_work.push(id),
                AskEnd::Full => {}
            }
        }
        // Checking everybody's requests is dear: while something is free, it is done now and then.
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

    /// Whose turn it is to get another request, if there should be any: first the only host that
    /// has everything, otherwise the one with the fewest requests, so that all work before any has
    /// a queue; and of several, the one that delivers soonest.
    fn next_turn(&mut self, now: Millis, limits: &Limits) -> Option<MemberId> {
        let full = self.asked >= limits.unanswered_requests;
        if full || self.is_enough() {
            if now < self.inspect_at {
                return self.no_turn();
            }
            self.inspect(now);
            if full {
                self.make_room(now);
                return self.no_turn();
            }
        }
        // An unknown host is tried all the same: the others may be slow on purpose.
        let enough = self.is_enough();
        let may = |host: &HostLoad| !enough || host.can_be_tried(now);
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

    /// Hosts that still wait may have a turn after the next check.
    fn no_turn(&mut self) -> Option<MemberId> {
        if self.hosts.values().any(|host| host.waits) {
            self.look(self.inspect_at);
        }
        None
    }

    /// Whether enough is requested, so that more would only wait at hosts that are busy with
    /// others. A node that is behind the others requests more, at their expense.
    fn is_enough(&self) -> bool {
        let first = self.files.values().next();
        let behind = || first.is_some_and(|(_, picker)| picker.is_behind());
        let asked = self.asked.saturating_sub(self.stuck);
        let far = |window| window > u64::from(CHUNK_MIN_BYTES) * asked as u64;
        asked >= ENOUGH
            && (asked >= ENOUGH_BEHIND || !behind())
            && !self.pace.window(self.far_ms).is_some_and(far)
    }

    /// Whether what is requested of a file from all hosts but one will soon come without its help.
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

    /// Makes one more request to `host`.
    fn ask(&mut self, id: MemberId, now: Millis, rng: &mut Rng) -> AskEnd {
        let Some(host) = self.hosts.get(&id) else { return AskEnd::Full };
        let Some(conn) = host.free_lane(now) else {
            let rests = host.lanes.values().map(|lane| lane.rests_until);
            let rests = rests.chain([host.rests_until]).filter(|until| *until > now).min();
            rests.into_iter().for_each(|until| self.look(until));
            return AskEnd::Full;
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
                // More picks than there are chunks to pick would come to nothing.
                Want::Pick(of) if of.count() as usize <= picks(file) => None,
                want => Some((*file, want)),
            }
        });
        wait.into_iter().for_each(|until| self.look(until));
        let Some((file, want)) = found else { return AskEnd::Nothing };
        let Some(picker) = self.picker_mut(&file) else { return AskEnd::Nothing };
        let (chunk, left) = match &want {
            Want::Chunk(chunk) => {
                picker.asked(*chunk);
                (Some(*chunk), picker.bytes_of(*chunk))
            }
            Want::Pick(_) => (None, picker.chunk_bytes()),
        };
        self.note(conn, HostTask { file, chunk, came: 0, left, asked: now, revoked: false });
        self.out.push(Chosen::Ask { conn, file, want });
        AskEnd::Something
    }
}
