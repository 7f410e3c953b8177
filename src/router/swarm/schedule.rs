//! Carries out what the choice decides: requests, lanes, lists of hashes.

use std::collections::BTreeSet;

use super::choice::Order;
use super::{Router, Stage};
use crate::router::event::{Effect, FetchError};
use crate::router::ids::ConnId;
use crate::router::message::Message;
use crate::router::time::Earliest;

/// A list that is not here after so long is asked of another host as well.
const LIST_MS: u64 = 1_000;

impl Router {
    /// Has every host asked for as much as keeps it busy.
    pub(in crate::router) fn schedule(&mut self) {
        if !self.swarm.is_idle() {
            self.look_for_hosts();
            self.begin_queued();
            self.ask_for_lists();
        }
        let (now, limits) = (self.cx.now, &self.cx.config.limits);
        for order in self.swarm.choice.orders(now, limits, &mut self.cx.rng) {
            match order {
                Order::Ask { conn, file, want } => {
                    let Some(turn) = self.swarm.downloads.get(&file).map(|d| d.turn) else {
                        continue;
                    };
                    self.cx.effect(Effect::Fetch { file, turn, conn, want });
                }
                Order::Revoke { host, file, chunk } => {
                    if let Some((conn, _)) = self.link_of(&host) {
                        let message = Message::Unwanted { file, chunk };
                        self.cx.effect(Effect::Send { conn, message });
                    }
                }
                Order::Drop { conn } => self.drop_lane(conn),
            }
        }
    }

    /// Notes which downloads have no host, and sees to lanes for the hosts of the others.
    fn look_for_hosts(&mut self) {
        let now = self.cx.now;
        let (mut useful, mut stalled) = (BTreeSet::new(), Vec::new());
        let mut alone = Vec::new();
        for (file, download) in &mut self.swarm.downloads {
            if !matches!(download.stage, Stage::List(..) | Stage::Fetching) {
                continue;
            }
            let Some(picker) = self.swarm.choice.picker(file) else { continue };
            let before = useful.len();
            let hosts = picker.hosts().filter(|host| picker.helps(host));
            useful.extend(hosts);
            let hostless = useful.len() == before && !picker.hosts().any(|h| picker.helps(&h));
            let since = download.hostless_since.take();
            download.hostless_since = hostless.then(|| since.unwrap_or(now));
            if hostless && since.is_none() {
                alone.push(*file);
                stalled.extend(matches!(download.stage, Stage::Fetching).then_some(*file));
            }
        }
        for file in alone {
            self.tell_no_way(file);
        }
        for file in stalled {
            self.tell_stall(file);
        }
        for host in useful {
            self.want_lanes(host);
        }
    }

    /// Asks a host for each list that is missing, and another one when that takes long.
    fn ask_for_lists(&mut self) {
        let now = self.cx.now;
        let missing: Vec<_> = self
            .swarm
            .downloads
            .iter()
            .filter(|(_, download)| {
                let Stage::List(lanes, at) = &download.stage else { return false };
                lanes.is_empty() || now.since(*at) >= LIST_MS
            })
            .map(|(file, download)| (*file, download.turn))
            .collect();
        for (file, turn) in missing {
            let Some(picker) = self.swarm.choice.picker(&file) else { continue };
            let Some(download) = self.swarm.downloads.get(&file) else { continue };
            let Stage::List(lanes, _) = &download.stage else { continue };
            let asked: BTreeSet<_> =
                lanes.iter().filter_map(|conn| self.member_of(*conn)).collect();
            let limits = self.cx.limits();
            let lane = picker
                .hosts()
                .filter(|host| !asked.contains(host))
                .find_map(|host| self.swarm.choice.free_lane(&host, now, limits));
            let (Some(conn), Some(download)) = (lane, self.swarm.downloads.get_mut(&file)) else {
                continue;
            };
            if let Stage::List(lanes, at) = &mut download.stage {
                lanes.insert(conn);
                *at = now;
            }
            self.swarm.choice.ask_list(conn, file, now);
            self.cx.effect(Effect::FetchList { file, turn, conn });
        }
    }

    /// What an error says of the lane over which it came.
    pub(super) fn lane_suffers(&mut self, conn: ConnId, error: Option<&FetchError>) {
        match error {
            Some(FetchError::Busy) => self.swarm.choice.rest(conn, self.cx.now),
            // It must not be chosen again, however long the news of its end takes.
            Some(FetchError::Lane) => self.drop_lane(conn),
            _ => {}
        }
    }

    fn drop_lane(&mut self, conn: ConnId) {
        self.swarm.choice.closed(conn);
        if let Some(member) = self.member_of(conn)
            && self.conns.remove(&conn).is_some()
        {
            self.cx.effect(Effect::Close { conn });
            self.lane_down(conn, member);
        }
    }

    pub(super) fn schedule_deadlines(&self, earliest: &mut Earliest) {
        if self.swarm.downloads.is_empty() {
            return;
        }
        self.swarm.choice.deadlines(earliest);
        for (file, download) in &self.swarm.downloads {
            if let Stage::List(lanes, at) = &download.stage
                && !lanes.is_empty()
            {
                // Only while there is somebody else to ask; a lane that opens is an event.
                let asked = lanes.len();
                let hosts = self.swarm.choice.picker(file).map_or(0, |p| p.hosts().count());
                let due = at.plus(LIST_MS);
                if hosts > asked && due > self.cx.now {
                    earliest.at(due);
                }
            }
        }
    }
}
