//! The choice: which chunk comes next from which host.

use super::{Router, Stage};
use crate::router::event::Effect;
use crate::router::ids::{FileId, MemberId};

impl Router {
    /// Gives every lane with room its next chunk.
    pub(in crate::router) fn schedule(&mut self) {
        if self.swarm.downloads.is_empty() {
            return;
        }
        let files: Vec<_> = self.swarm.downloads.keys().copied().collect();
        for file in files {
            self.schedule_file(file);
        }
    }

    fn schedule_file(&mut self, file: FileId) {
        let Some(download) = self.swarm.downloads.get(&file) else { return };
        let wants_list = download.stage == Stage::List(None);
        if !wants_list && download.stage != Stage::Fetching {
            return;
        }
        let hosts: Vec<MemberId> = self
            .links()
            .filter(|(_, link)| {
                !download.banned.contains(&link.member)
                    && link.hosting.get(&file).is_some_and(|hosting| {
                        wants_list
                            || hosting.held.as_ref().is_none_or(|h| h.adds_to(&download.held))
                    })
            })
            .map(|(_, link)| link.member)
            .collect();
        let now = self.now;
        let hostless = hosts.is_empty();
        if let Some(download) = self.swarm.downloads.get_mut(&file) {
            let since = download.hostless_since.take();
            download.hostless_since = hostless.then(|| since.unwrap_or(now));
        }
        for host in &hosts {
            self.want_lanes(*host);
        }
        if wants_list {
            let lane = hosts.iter().find_map(|host| self.free_lane(host));
            if let (Some(conn), Some(download)) = (lane, self.swarm.downloads.get_mut(&file)) {
                download.stage = Stage::List(Some(conn));
                let turn = download.turn;
                self.lane_taken(conn);
                self.effect(Effect::FetchList { file, turn, conn });
            }
            return;
        }
        // Hosts take turns, so that all of them work before any has a queue.
        let mut idle = hosts;
        while !idle.is_empty() && self.swarm.fetching < self.limits().fetch_threads {
            let mut rest = Vec::new();
            for host in idle {
                if self.fetch_one(file, host) {
                    rest.push(host);
                }
            }
            idle = rest;
        }
    }

    /// Asks one host for one chunk; false when there is nothing (more) to ask of it now.
    fn fetch_one(&mut self, file: FileId, host: MemberId) -> bool {
        if self.swarm.fetching >= self.limits().fetch_threads {
            return false;
        }
        let Some(conn) = self.free_lane(&host) else { return false };
        let Some(chunk) = self.rarest(file, host) else { return false };
        let Some(download) = self.swarm.downloads.get_mut(&file) else { return false };
        download.in_flight.insert(chunk, conn);
        let turn = download.turn;
        self.lane_taken(conn);
        self.effect(Effect::Fetch { file, turn, conn, chunk });
        true
    }

    /// The chunk that the fewest hosts have, of those that this host has and we lack; ties are
    /// broken at random, so that members fetch different chunks and can help each other.
    fn rarest(&mut self, file: FileId, host: MemberId) -> Option<u32> {
        self.count_hosts(file);
        let (_, link) = self.link_of(&host)?;
        let hosting = link.hosting.get(&file)?;
        let download = self.swarm.downloads.get(&file)?;
        let counts = download.hosts_of.as_ref()?;
        let missing = |chunk: &u32| {
            !download.held.has(*chunk)
                && !download.in_flight.contains_key(chunk)
                && hosting.has(*chunk)
        };
        if let Some((first, last)) = download.urgent
            && let Some(chunk) = (first..=last.min(download.held.len())).find(missing)
        {
            return Some(chunk);
        }
        let (mut best, mut ties) = (None, 0u64);
        let mut rng = self.rng.clone();
        for (chunk, count) in (0u32..).zip(counts) {
            if !missing(&chunk) {
                continue;
            }
            match best {
                Some((_, fewest)) if *count > fewest => {}
                Some((_, fewest)) if *count == fewest => {
                    ties += 1;
                    if rng.below(ties) == 0 {
                        best = Some((chunk, *count));
                    }
                }
                _ => {
                    ties = 1;
                    best = Some((chunk, *count));
                }
            }
        }
        self.rng = rng;
        best.map(|(chunk, _)| chunk)
    }

    fn count_hosts(&mut self, file: FileId) {
        let Some(download) = self.swarm.downloads.get(&file) else { return };
        if download.hosts_of.is_some() {
            return;
        }
        let mut counts = vec![0u16; download.held.len() as usize];
        for (_, link) in self.links() {
            let Some(hosting) = link.hosting.get(&file) else { continue };
            for (chunk, count) in (0u32..).zip(counts.iter_mut()) {
                *count = count.saturating_add(u16::from(hosting.has(chunk)));
            }
        }
        if let Some(download) = self.swarm.downloads.get_mut(&file) {
            download.hosts_of = Some(counts);
        }
    }
}
