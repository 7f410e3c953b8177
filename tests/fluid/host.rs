//! The serving side of a node, as `net::serve` and `net::places` do it: each lane answers its
//! requests in order, a few chunks are sent at a time, first come first served, and a host chooses
//! a chunk for a pick only when there is a place.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use klatch::router::bitmap::Bitmap;
use klatch::router::event::Want;
use klatch::router::swarm::sent::{Picked, Sent};

use crate::events::{Answer, Event};
use crate::flows::Flow;
use crate::world::{World, member};
use klatch::node::transfers::SERVING_CHUNKS;

/// A place held this long is given to the next in the queue.
const HELD: u64 = 1_000_000;
/// A request that waited this long for a place is answered busy.
const PATIENCE: u64 = 5_000_000;
/// How long chunks are remembered that are no longer needed.
const CANCELLED: u64 = 3_000_000;
/// A lane: who asks whom, and which requests the host has not answered.
#[derive(Debug)]
pub struct Lane {
    pub host: usize,
    pub fetcher: usize,
    pub open: bool,
    queue: VecDeque<Want>,
    /// It waits for a place with the first request of the queue, or sends.
    busy: bool,
    flow: Option<usize>,
    /// Requests whose answers the fetcher has not seen, and since when.
    pub asked: usize,
    pub idle_since: u64,
}

impl Lane {
    pub fn new(host: usize, fetcher: usize, now: u64) -> Self {
        let queue = VecDeque::new();
        let (open, busy, flow, asked) = (true, false, None, 0);
        Self { host, fetcher, open, queue, busy, flow, asked, idle_since: now }
    }
}

#[derive(Debug)]
pub struct Host {
    pub held: Bitmap,
    sent: Sent,
    /// Places that are taken.
    taken: usize,
    waiting: VecDeque<(usize, u64)>,
    cancelled: BTreeMap<(usize, u32), u64>,
    /// Lanes that are being served: each takes a thread.
    pub lanes: BTreeSet<usize>,
    pub sent_bytes: f64,
}

impl Host {
    pub fn new(held: Bitmap) -> Self {
        Self {
            sent: Sent::new(held.len()),
            held,
            taken: 0,
            waiting: VecDeque::new(),
            cancelled: BTreeMap::new(),
            lanes: BTreeSet::new(),
            sent_bytes: 0.0,
        }
    }

    /// A member has left.
    pub fn forget(&mut self, node: usize) {
        self.sent.forget(&member(node));
    }
}

impl World {
    /// A request has come.
    pub fn asked(&mut self, lane: usize, want: Want) {
        if self.lanes[lane].open {
            self.lanes[lane].queue.push_back(want);
            self.serve(lane);
        }
    }

    /// A member no longer needs a chunk.
    pub fn spare(&mut self, host: usize, fetcher: usize, chunk: u32) {
        let now = self.now;
        let of = |lane: &usize| {
            let lane = &self.lanes[*lane];
            lane.flow.filter(|_| lane.fetcher == fetcher)
        };
        let flows: Vec<_> = self.nodes[host].host.lanes.iter().filter_map(of).collect();
        let sends = |flow: &usize| self.flows.get(*flow).is_some_and(|flow| flow.chunk == chunk);
        if let Some(flow) = flows.into_iter().find(sends) {
            return self.break_off(flow);
        }
        let cancelled = &mut self.nodes[host].host.cancelled;
        cancelled.retain(|_, at| now - *at < CANCELLED);
        cancelled.insert((fetcher, chunk), now);
    }

    fn break_off(&mut self, slot: usize) {
        let flow = self.finish(slot);
        self.nodes[flow.from].host.sent.forget_chunk(&member(flow.to), flow.chunk);
        let more = flow.done(self.now) - flow.told;
        let answer = Answer::Broken { chunk: flow.chunk, bytes: more };
        self.answer(flow.lane, answer);
        self.serve(flow.lane);
        self.give_places(flow.from);
    }

    /// The last byte of a chunk was sent.
    pub fn served(&mut self, slot: usize) {
        let flow = self.finish(slot);
        let more = flow.bytes - flow.told;
        self.answer(flow.lane, Answer::Chunk { chunk: flow.chunk, bytes: more });
        self.serve(flow.lane);
        self.give_places(flow.from);
    }

    /// Ends a flow and gives up its place.
    fn finish(&mut self, slot: usize) -> Flow {
        let flow = self.flows.end(slot);
        let host = &mut self.nodes[flow.from].host;
        host.taken -= usize::from(flow.placed);
        host.sent_bytes += flow.done(self.now);
        let lane = &mut self.lanes[flow.lane];
        lane.flow = None;
        lane.busy = false;
        flow
    }

    /// A lane starts its next request: it waits for a place.
    fn serve(&mut self, id: usize) {
        let now = self.now;
        let lane = &mut self.lanes[id];
        if lane.busy || lane.queue.is_empty() {
            return;
        }
        lane.busy = true;
        let host = lane.host;
        self.nodes[host].host.waiting.push_back((id, now));
        self.give_places(host);
    }

    /// Gives places to waiting lanes, as long as there are any.
    fn give_places(&mut self, id: usize) {
        while self.nodes[id].host.taken < SERVING_CHUNKS {
            let Some((lane, _)) = self.nodes[id].host.waiting.pop_front() else { return };
            if !self.lanes[lane].busy {
                continue;
            }
            let Some(want) = self.lanes[lane].queue.pop_front() else { continue };
            match self.choose(id, lane, &want) {
                Ok(chunk) => self.send(id, lane, chunk, matches!(want, Want::Pick(_))),
                Err(refusal) => {
                    self.answer(lane, refusal);
                    self.lanes[lane].busy = false;
                    let now = self.now;
                    if !self.lanes[lane].queue.is_empty() {
                        self.lanes[lane].busy = true;
                        self.nodes[id].host.waiting.push_back((lane, now));
                    }
                }
            }
        }
    }

    /// Which chunk to send of those wanted.
    fn choose(&mut self, id: usize, lane: usize, want: &Want) -> Result<u32, Answer> {
        let (now, fetcher) = (self.now, self.lanes[lane].fetcher);
        let host = &mut self.nodes[id].host;
        let held = &host.held;
        match want {
            Want::Pick(of) => match host.sent.pick(member(fetcher), of, |chunk| held.has(chunk)) {
                Picked::Chunk(chunk) => Ok(chunk),
                Picked::Elsewhere => Err(Answer::Elsewhere),
                Picked::Nothing => Err(Answer::NotHeld { chunk: None }),
            },
            Want::Chunk(chunk) => {
                let cancelled = host.cancelled.remove(&(fetcher, *chunk));
                if cancelled.is_some_and(|at| now - at < CANCELLED) {
                    return Err(Answer::Busy { chunk: Some(*chunk) });
                }
                let chunk = *chunk;
                host.held.has(chunk).then_some(chunk).ok_or(Answer::NotHeld { chunk: Some(chunk) })
            }
        }
    }

    fn send(&mut self, id: usize, lane: usize, chunk: u32, picked: bool) {
        let fetcher = self.lanes[lane].fetcher;
        let host = &mut self.nodes[id].host;
        host.taken += 1;
        host.sent.note(member(fetcher), chunk);
        let bytes = self.bytes_of(chunk);
        let flow = self.flows.begin(self.now, lane, chunk, [id, fetcher], bytes);
        self.lanes[lane].flow = Some(flow);
        self.watch(flow);
        if picked {
            self.answer(lane, Answer::Picked { chunk });
        }
    }

    fn answer(&mut self, lane: usize, answer: Answer) {
        let (host, fetcher) = (self.lanes[lane].host, self.lanes[lane].fetcher);
        let after = self.latency(host, fetcher);
        self.after(after, Event::Answer { lane, answer });
    }

    /// The host learns that a lane has ended.
    pub fn hung_up(&mut self, id: usize) {
        let lane = &mut self.lanes[id];
        lane.open = false;
        lane.queue.clear();
        lane.busy = false;
        let (host, fetcher) = (lane.host, lane.fetcher);
        self.nodes[host].host.lanes.remove(&id);
        if let Some(slot) = lane.flow {
            let flow = self.finish(slot);
            self.nodes[host].host.sent.forget_chunk(&member(fetcher), flow.chunk);
        }
        self.give_places(host);
    }

    /// Takes places away from slow receivers, and answers those that waited too long.
    pub fn look_at_places(&mut self, id: usize) {
        let now = self.now;
        if self.nodes[id].host.waiting.is_empty() {
            return;
        }
        for slot in self.flows.from(id) {
            let Some(flow) = self.flows.get(slot) else { continue };
            if flow.placed && now - flow.began >= HELD {
                flow.placed = false;
                self.nodes[id].host.taken -= 1;
            }
        }
        self.give_places(id);
        while let Some((lane, since)) = self.nodes[id].host.waiting.front().copied() {
            if now - since < PATIENCE {
                break;
            }
            self.nodes[id].host.waiting.pop_front();
            self.lanes[lane].busy = false;
            let Some(want) = self.lanes[lane].queue.pop_front() else { continue };
            let chunk = match want {
                Want::Chunk(chunk) => Some(chunk),
                Want::Pick(_) => None,
            };
            self.answer(lane, Answer::Busy { chunk });
            self.serve(lane);
        }
    }
}
