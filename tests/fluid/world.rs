//! A swarm in virtual time: nodes, each a `Choice`, a `Sent` and the chunks that it holds, linked
//! to a bounded number of others over a network of flows.
//!
//! Around the choice there is only as much of the program as it deals with: links that announce
//! chunks, lanes that are opened, refused, dropped and idle, and hosts ([`super::host`]). Every
//! node has the list of hashes from the start; disks and processors take no time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant};

use klatch::files::merkle;
use klatch::limits::Limits;
use klatch::router::bitmap::Bitmap;
use klatch::router::ids::{ConnId, FileId, MemberId};
use klatch::router::layout::Layout;
use klatch::router::rng::Rng;
use klatch::router::swarm::choice::{Choice, Chosen};
use klatch::router::time::Millis;

use crate::events::{Answer, Event, Timed};
use crate::flows::{Flow, Flows};
use crate::host::{Host, Lane};
use klatch::router::swarm::LANES_PER_PAIR;

/// How often rates are recomputed, in microseconds like all times here.
pub const TICK: u64 = 2_000;
/// How often slow things are checked.
const SCAN: u64 = 100_000;
/// How long announcements wait for others to join them.
const SAY: u64 = 20_000;
/// Parts of a chunk are reported no sooner than this.
const TELL: u64 = 500_000;
/// And in units of this many bytes.
const BATCH: f64 = 256.0 * 1024.0;
/// A lane without requests for this long closes.
const IDLE: u64 = 5_000_000;
/// A refused or lost lane is retried after this long.
const REFUSED: u64 = 2_000_000;
const LOST: u64 = 50_000;
/// A lane that brings less than 1 KiB/s for this long is given up.
const DRIP: u64 = 20_000_000;
/// A node that is silent for this long is dead.
const DEAD: u64 = 15_000_000;
/// One in this many calls of the choice is timed.
const TIMED: u64 = 16;
/// A call that took this long was interrupted by the scheduler.
const INTERRUPTED: Duration = Duration::from_millis(1);

pub const FILE: FileId = FileId([1; 32]);

pub fn member(node: usize) -> MemberId {
    let mut id = [0; 32];
    // Spread out, so that the order of ids says nothing about nodes.
    let number = Rng::new(node as u64).next_u64();
    id[..8].copy_from_slice(&number.to_be_bytes());
    id[8..16].copy_from_slice(&(node as u64).to_be_bytes());
    MemberId(id)
}

fn node_of(member: &MemberId) -> usize {
    let mut number = [0; 8];
    number.copy_from_slice(&member.0[8..16]);
    u64::from_be_bytes(number) as usize
}

#[derive(Debug, Default)]
pub struct Link {
    latency: u64,
    /// Lanes over which this node fetches, and whether more are being opened.
    lanes: Vec<usize>,
    dialling: bool,
}

#[derive(Debug)]
pub struct Node {
    pub host: Host,
    pub choice: Choice,
    rng: Rng,
    pub links: BTreeMap<usize, Link>,
    pub present: bool,
    /// It fetches, and does not have everything yet.
    fetching: bool,
    wake_at: u64,
    say: Vec<u32>,
    pub began: u64,
    pub finished: Option<u64>,
    pub came_bytes: f64,
}

impl Node {
    /// Reads what the choice will read. A real member has a processor's cache to itself, but the
    /// thousand played here do not fit into one.
    fn warm(&self) {
        if let Some(picker) = self.choice.picker(&FILE) {
            let helping = picker.hosts().filter(|host| picker.helps(host)).count();
            black_box((helping, picker.free().count(), self.choice.hosts_in_use(&FILE)));
        }
    }
}

pub struct World {
    pub now: u64,
    queue: BinaryHeap<Reverse<Timed>>,
    count: u64,
    pub nodes: Vec<Node>,
    pub lanes: Vec<Lane>,
    pub flows: Flows,
    pub limits: Limits,
    size: u64,
    tick_at: u64,
    /// Calls of choices, how many were timed, and how long those took.
    pub calls: u64,
    pub timed: (u64, Duration),
}

impl World {
    /// Node 0 has everything; `links` are bytes per microsecond, up and down.
    pub fn new(seed: u64, size: u64, links: &[(f64, f64)]) -> Self {
        let chunks = merkle::chunk_count(size);
        let mut rng = Rng::new(seed);
        let node = |id: usize| Node {
            host: Host::new(if id == 0 { Bitmap::all(chunks) } else { Bitmap::none(chunks) }),
            choice: Choice::default(),
            rng: Rng::new(rng.next_u64()),
            links: BTreeMap::new(),
            present: id == 0,
            fetching: false,
            wake_at: u64::MAX,
            say: Vec::new(),
            began: 0,
            finished: None,
            came_bytes: 0.0,
        };
        let nodes = (0..links.len()).map(node).collect();
        Self {
            now: 0,
            queue: BinaryHeap::new(),
            count: 0,
            nodes,
            lanes: Vec::new(),
            flows: Flows::new(links),
            limits: Limits::default(),
            size,
            tick_at: 0,
            calls: 0,
            timed: (0, Duration::ZERO),
        }
    }

    pub fn bytes_of(&self, chunk: u32) -> f64 {
        merkle::chunk_range(self.size, chunk).map_or(0.0, |(_, bytes)| f64::from(bytes))
    }

    pub fn link(&mut self, a: usize, b: usize, latency: u64) {
        for (a, b) in [(a, b), (b, a)] {
            self.nodes[a].links.insert(b, Link { latency, ..Link::default() });
        }
    }

    pub fn latency(&self, a: usize, b: usize) -> u64 {
        self.nodes[a].links.get(&b).map_or(0, |link| link.latency)
    }

    pub fn after(&mut self, micros: u64, event: Event) {
        self.count += 1;
        self.queue.push(Reverse(Timed(self.now + micros, self.count, event)));
    }

    /// Plays until every node that is present and fast enough has everything, or until `end`.
    pub fn run(&mut self, end: u64, matters: impl Fn(usize) -> bool) {
        self.after(0, Event::Tick);
        self.after(0, Event::Scan);
        let starting = |event: &Event| matches!(event, Event::Start { .. });
        let mut to_come = self.queue.iter().filter(|Reverse(timed)| starting(&timed.2)).count();
        let mut wakes = (0, 0);
        while let Some(Reverse(Timed(at, _, event))) = self.queue.pop() {
            self.now = at;
            to_come -= usize::from(starting(&event));
            if matches!(event, Event::Wake { .. }) {
                wakes = if wakes.0 == at { (at, wakes.1 + 1) } else { (at, 0) };
                assert!(wakes.1 < 10 * self.nodes.len(), "the choice spins at {at} us");
            }
            let scan = matches!(event, Event::Scan);
            self.handle(event);
            let unfinished = |(id, node): (usize, &Node)| node.fetching && matters(id);
            if scan && to_come == 0 && !self.nodes.iter().enumerate().any(unfinished) || at > end {
                return;
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Wake { node } => {
                if self.nodes[node].wake_at == self.now {
                    self.nodes[node].wake_at = u64::MAX;
                    self.orders(node);
                }
            }
            Event::Tick => self.tick(),
            Event::Scan => self.scan(),
            Event::Asked { lane, want } => self.asked(lane, want),
            Event::Sent { flow, lane } => {
                let now = self.now;
                let ends = |f: &mut Flow| f.lane == lane && f.left(now) < 1.0;
                if self.flows.get(flow).is_some_and(ends) {
                    self.served(flow);
                }
            }
            Event::Answer { lane, answer } => self.answered(lane, answer),
            Event::Say { node } => self.say(node),
            Event::Gained { to, from, chunks } => {
                if self.nodes[to].fetching {
                    self.ask(to, |choice, _| choice.gained(member(from), &FILE, &chunks));
                    self.want_lanes(to, from);
                }
            }
            Event::Hosting { to, from, held } => {
                if self.nodes[to].fetching && self.nodes[from].present {
                    self.ask(to, |choice, _| choice.hosted(member(from), &FILE, held.as_deref()));
                    self.want_lanes(to, from);
                }
            }
            Event::Spare { host, fetcher, chunk } => self.spare(host, fetcher, chunk),
            Event::HungUp { lane } => self.hung_up(lane),
            Event::Dial { fetcher, host } => {
                if let Some(link) = self.nodes[fetcher].links.get_mut(&host) {
                    link.dialling = false;
                    self.want_lanes(fetcher, host);
                }
            }
            Event::Dialled { fetcher, host } => self.dialled(fetcher, host),
            Event::Start { node } => self.start(node),
            Event::Leave { node } => {
                self.stop(node);
                self.gone(node);
            }
            Event::Vanish { node } => {
                self.stop(node);
                self.flows.cut(node);
                self.after(DEAD, Event::Gone { node });
            }
            Event::Gone { node } => self.gone(node),
        }
    }

    fn start(&mut self, id: usize) {
        let (size, now) = (self.size, self.now);
        let node = &mut self.nodes[id];
        (node.present, node.fetching, node.began) = (true, true, now);
        node.choice.begin(1, FILE, Layout::File(size));
        node.choice.listed(&FILE, &node.host.held);
        self.tell_all(id);
        let others: Vec<_> = self.nodes[id].links.iter().map(|(o, l)| (*o, l.latency)).collect();
        for (other, latency) in others {
            if self.nodes[other].present {
                let held = Some(Rc::new(self.nodes[other].host.held.clone()));
                self.after(latency, Event::Hosting { to: id, from: other, held });
            }
        }
    }

    /// Links to nodes that fetch, with their latencies.
    fn fetchers(&self, id: usize) -> Vec<(usize, u64)> {
        let links = self.nodes[id].links.iter().filter(|(other, _)| self.nodes[**other].fetching);
        links.map(|(other, link)| (*other, link.latency)).collect()
    }

    /// Everybody hears what a node holds.
    fn tell_all(&mut self, id: usize) {
        let held = &self.nodes[id].host.held;
        let held = (!held.is_all()).then(|| Rc::new(held.clone()));
        for (to, latency) in self.fetchers(id) {
            self.after(latency, Event::Hosting { to, from: id, held: held.clone() });
        }
    }

    fn say(&mut self, id: usize) {
        let chunks: Rc<[u32]> = std::mem::take(&mut self.nodes[id].say).into();
        if self.nodes[id].present && !chunks.is_empty() {
            for (to, latency) in self.fetchers(id) {
                self.after(latency, Event::Gained { to, from: id, chunks: Rc::clone(&chunks) });
            }
        }
    }

    /// Tells a choice something, and carries out its orders.
    fn ask<T>(&mut self, id: usize, tell: impl FnOnce(&mut Choice, Millis) -> T) -> T {
        let now = Millis(self.now / 1000);
        let told = self.timed(id, |world| tell(&mut world.nodes[id].choice, now));
        self.orders(id);
        told
    }

    fn timed<T>(&mut self, id: usize, call: impl FnOnce(&mut Self) -> T) -> T {
        self.calls += 1;
        if !self.calls.is_multiple_of(TIMED) {
            return call(self);
        }
        self.nodes[id].warm();
        let began = Instant::now();
        let result = call(self);
        let took = began.elapsed();
        if took < INTERRUPTED {
            self.timed.0 += 1;
            self.timed.1 += took;
        }
        result
    }

    fn orders(&mut self, id: usize) {
        let now = Millis(self.now / 1000);
        let orders = self.timed(id, |world| {
            let Node { choice, rng, .. } = &mut world.nodes[id];
            choice.orders(now, &world.limits, rng)
        });
        for order in orders {
            match order {
                Chosen::Ask { conn, want, .. } => {
                    let lane = conn.0 as usize;
                    self.lanes[lane].asked += 1;
                    let after = self.latency(id, self.lanes[lane].host);
                    self.after(after, Event::Asked { lane, want });
                }
                Chosen::Revoke { host, chunk, .. } => {
                    let host = node_of(&host);
                    let after = self.latency(id, host);
                    self.after(after, Event::Spare { host, fetcher: id, chunk });
                }
                Chosen::Drop { conn } => self.hang_up(conn.0 as usize),
            }
        }
        if let Some(at) = self.nodes[id].choice.next_deadline() {
            let at = (at.0 * 1000).max(self.now);
            if at < self.nodes[id].wake_at {
                self.nodes[id].wake_at = at;
                self.after(at - self.now, Event::Wake { node: id });
            }
        }
    }

    // Lanes.

    fn want_lanes(&mut self, id: usize, host: usize) {
        let now = Millis(self.now / 1000);
        let Node { choice, links, fetching, .. } = &mut self.nodes[id];
        let Some(link) = links.get_mut(&host) else { return };
        let helps = choice.picker(&FILE).is_some_and(|picker| picker.helps(&member(host)));
        if !*fetching || link.dialling || link.lanes.len() >= LANES_PER_PAIR || !helps {
            return;
        }
        link.dialling = true;
        // A connection and its handshake.
        let after = 4 * link.latency;
        if choice.rests(&member(host), now) {
            self.after(SCAN, Event::Dial { fetcher: id, host });
        } else {
            self.after(after, Event::Dialled { fetcher: id, host });
        }
    }

    fn dialled(&mut self, id: usize, host: usize) {
        let free = self.limits.serve_threads.saturating_sub(self.nodes[host].host.lanes.len());
        let present = self.nodes[host].present;
        let Some(link) = self.nodes[id].links.get_mut(&host) else { return };
        let wanted = LANES_PER_PAIR - link.lanes.len();
        let opened = if present { wanted.min(free) } else { 0 };
        link.dialling = opened < wanted;
        if opened < wanted {
            self.after(REFUSED, Event::Dial { fetcher: id, host });
        }
        for _ in 0..opened {
            let lane = self.lanes.len();
            self.lanes.push(Lane::new(host, id, self.now));
            self.nodes[host].host.lanes.insert(lane);
            let rtt = 2 * self.latency(id, host) / 1000;
            self.nodes[id].links.get_mut(&host).into_iter().for_each(|link| link.lanes.push(lane));
            self.ask(id, |choice, _| {
                choice.rtt(member(host), rtt);
                choice.opened(member(host), ConnId(lane as u64));
            });
        }
    }

    /// The fetcher has finished with a lane.
    fn hang_up(&mut self, lane: usize) {
        let (host, fetcher) = (self.lanes[lane].host, self.lanes[lane].fetcher);
        if let Some(link) = self.nodes[fetcher].links.get_mut(&host) {
            link.lanes.retain(|other| *other != lane);
            let after = link.latency;
            self.after(after, Event::HungUp { lane });
            self.after(LOST, Event::Dial { fetcher, host });
        }
    }

    fn answered(&mut self, lane: usize, answer: Answer) {
        let id = self.lanes[lane].fetcher;
        let conn = ConnId(lane as u64);
        if self.nodes[id].choice.host_of(conn).is_none() {
            return;
        }
        let host = member(self.lanes[lane].host);
        match answer {
            Answer::Picked { .. } | Answer::Came { .. } => {}
            _ => {
                self.lanes[lane].asked -= 1;
                self.lanes[lane].idle_since = self.now;
            }
        }
        match answer {
            Answer::Picked { chunk } => {
                self.ask(id, |choice, _| choice.picked(conn, &FILE, chunk));
            }
            Answer::Came { chunk, bytes } => {
                self.nodes[id].came_bytes += bytes;
                self.ask(id, |choice, now| choice.came(conn, &FILE, chunk, bytes as u64, now));
            }
            Answer::Chunk { chunk, bytes } => {
                self.nodes[id].came_bytes += bytes;
                let fetched = |choice: &mut Choice, now| {
                    choice.fetched(conn, &FILE, chunk, bytes as u64, now)
                };
                if self.ask(id, fetched) {
                    self.gain(id, chunk);
                }
            }
            Answer::Broken { chunk, bytes } => {
                self.nodes[id].came_bytes += bytes;
                self.failed(id, conn, Some(chunk), bytes as u64, |_, _| ());
            }
            Answer::Busy { chunk } => {
                self.failed(id, conn, chunk, 0, |choice, now| choice.rest(conn, now));
            }
            Answer::NotHeld { chunk } => {
                self.failed(id, conn, chunk, 0, |choice, _| choice.lacks(&host, &FILE, chunk));
            }
            Answer::Elsewhere => self.ask(id, |choice, now| {
                choice.failed(conn, &FILE, None, 0, now);
                choice.elsewhere(conn, &FILE, now);
            }),
        }
    }

    fn failed(
        &mut self,
        id: usize,
        conn: ConnId,
        chunk: Option<u32>,
        bytes: u64,
        then: impl FnOnce(&mut Choice, Millis),
    ) {
        self.ask(id, |choice, now| {
            if choice.failed(conn, &FILE, chunk, bytes, now) {
                then(choice, now);
            }
        });
    }

    /// A chunk is here and verified.
    fn gain(&mut self, id: usize, chunk: u32) {
        let now = self.now;
        let node = &mut self.nodes[id];
        node.host.held.insert(chunk);
        if node.host.held.is_all() && node.fetching {
            node.fetching = false;
            node.finished = Some(now);
            self.ask(id, |choice, _| choice.end(&FILE));
            self.tell_all(id);
            return;
        }
        node.say.push(chunk);
        if node.say.len() == 1 {
            self.after(SAY, Event::Say { node: id });
        }
    }

    // Nodes that go.

    fn stop(&mut self, id: usize) {
        self.nodes[id].present = false;
        self.nodes[id].fetching = false;
        self.nodes[id].choice = Choice::default();
    }

    /// Everybody learns that a node has left.
    fn gone(&mut self, id: usize) {
        for lane in 0..self.lanes.len() {
            let Lane { host, fetcher, open, .. } = self.lanes[lane];
            if open && (host == id || fetcher == id) {
                self.hung_up(lane);
                if host == id && self.nodes[fetcher].present {
                    self.ask(fetcher, |choice, _| choice.closed(ConnId(lane as u64)));
                }
            }
        }
        let links = std::mem::take(&mut self.nodes[id].links);
        for other in links.into_keys() {
            self.nodes[other].links.remove(&id);
            self.nodes[other].host.forget(id);
            if self.nodes[other].fetching {
                self.ask(other, |choice, _| choice.lost(&member(id)));
            }
        }
    }

    // Time.

    /// Schedules the end of a flow, if it comes before the next tick.
    pub fn watch(&mut self, slot: usize) {
        let (now, tick_at) = (self.now, self.tick_at);
        let Some(flow) = self.flows.get(slot) else { return };
        let ends = flow.ends().max(now);
        if ends <= tick_at {
            let lane = flow.lane;
            self.after(ends - now, Event::Sent { flow: slot, lane });
        }
    }

    fn tick(&mut self) {
        let now = self.now;
        self.flows.fill(now);
        self.tick_at = now + TICK;
        self.after(TICK, Event::Tick);
        let mut ending = Vec::new();
        let mut telling = Vec::new();
        for (slot, flow) in self.flows.iter_mut() {
            if flow.ends() <= now + TICK {
                ending.push(slot);
            }
            let batched = (flow.done(now) / BATCH).floor() * BATCH;
            if batched > flow.told && now - flow.told_at >= TELL {
                telling.push((flow.lane, flow.chunk, batched - flow.told));
                (flow.told, flow.told_at) = (batched, now);
            }
        }
        ending.into_iter().for_each(|slot| self.watch(slot));
        for (lane, chunk, bytes) in telling {
            let after = self.latency(self.lanes[lane].host, self.lanes[lane].fetcher);
            self.after(after, Event::Answer { lane, answer: Answer::Came { chunk, bytes } });
        }
    }

    fn scan(&mut self) {
        let now = self.now;
        self.after(SCAN, Event::Scan);
        (0..self.nodes.len()).for_each(|id| self.look_at_places(id));
        let drips = |flow: &Flow| {
            now - flow.began > DRIP && flow.done(now) < 1024.0 * (now - flow.began) as f64 / 1e6
        };
        let dripping = self.flows.iter_mut().filter(|(_, flow)| drips(flow));
        let mut ending: Vec<_> = dripping.map(|(_, flow)| flow.lane).collect();
        let open = self.lanes.iter().enumerate().filter(|(_, lane)| lane.open && lane.asked == 0);
        ending.extend(open.filter(|(_, l)| now - l.idle_since > IDLE).map(|(lane, _)| lane));
        for lane in ending {
            let fetcher = self.lanes[lane].fetcher;
            if self.nodes[fetcher].choice.host_of(ConnId(lane as u64)).is_some() {
                self.hang_up(lane);
                self.ask(fetcher, |choice, _| choice.closed(ConnId(lane as u64)));
            }
        }
    }
}
