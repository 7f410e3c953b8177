//! Bytes that flow: every chunk on its way has a rate, by max-min fairness over the uplinks of the
//! senders and the downlinks of the receivers.
//!
//! The rates are exact right after [`Flows::fill`], which runs every [`super::world::TICK`]. In
//! between, a flow that ends leaves its rate to its two links, and one that begins takes what is
//! left on both. No link ever exceeds its capacity, and capacity that a flow could use stays unused
//! for a tick at most. Absent are slow start, loss and queues.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A chunk on its way.
#[derive(Debug, Clone)]
pub struct Flow {
    pub lane: usize,
    pub chunk: u32,
    pub from: usize,
    pub to: usize,
    pub bytes: f64,
    /// Bytes still to come, at `since`.
    left: f64,
    since: u64,
    /// Bytes per microsecond.
    pub rate: f64,
    pub began: u64,
    /// Bytes that the receiver's choice has been told of.
    pub told: f64,
    pub told_at: u64,
    /// Whether it holds one of its sender's places.
    pub placed: bool,
}

impl Flow {
    pub fn left(&self, now: u64) -> f64 {
        (self.left - self.rate * (now - self.since) as f64).max(0.0)
    }

    pub fn done(&self, now: u64) -> f64 {
        self.bytes - self.left(now)
    }

    /// When it ends, at this rate.
    pub fn ends(&self) -> u64 {
        if self.rate <= 0.0 {
            return u64::MAX;
        }
        self.since + (self.left / self.rate).ceil().min(1e15) as u64
    }
}

#[derive(Debug, Clone, Default)]
struct Pipe {
    rate: f64,
    /// The capacity that no flow uses.
    spare: f64,
    flows: Vec<usize>,
    /// Flows that have no rate yet, while rates are assigned.
    open: usize,
}

/// All flows, and the links that they use: first all uplinks, then all downlinks.
#[derive(Debug, Default)]
pub struct Flows {
    slots: Vec<Option<Flow>>,
    vacant: Vec<usize>,
    pipes: Vec<Pipe>,
    nodes: usize,
    changed: bool,
}

impl Flows {
    /// Links with these capacities in bytes per microsecond, up and down.
    pub fn new(links: &[(f64, f64)]) -> Self {
        let pipe = |rate: f64| Pipe { rate, spare: rate, ..Pipe::default() };
        let ups = links.iter().map(|(up, _)| pipe(*up));
        let pipes = ups.chain(links.iter().map(|(_, down)| pipe(*down))).collect();
        Self { pipes, nodes: links.len(), ..Self::default() }
    }

    /// From now on a node's links carry nothing.
    pub fn cut(&mut self, node: usize) {
        for pipe in [node, self.nodes + node] {
            self.pipes[pipe].rate = 0.0;
            self.pipes[pipe].spare = 0.0;
        }
        self.changed = true;
    }

    pub fn begin(
        &mut self,
        now: u64,
        lane: usize,
        chunk: u32,
        ends: [usize; 2],
        bytes: f64,
    ) -> usize {
        let [from, to] = ends;
        let pipes = [from, self.nodes + to];
        let rate = pipes.map(|pipe| self.pipes[pipe].spare.max(0.0));
        let rate = rate[0].min(rate[1]);
        let flow = Flow {
            lane,
            chunk,
            from,
            to,
            bytes,
            left: bytes,
            since: now,
            rate,
            began: now,
            told: 0.0,
            told_at: now,
            placed: true,
        };
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(flow);
        for pipe in pipes {
            self.pipes[pipe].spare -= rate;
            self.pipes[pipe].flows.push(slot);
        }
        self.changed = true;
        slot
    }

    pub fn end(&mut self, slot: usize) -> Flow {
        let flow = self.slots[slot].take().expect("a flow that ends flows");
        for pipe in [flow.from, self.nodes + flow.to] {
            let pipe = &mut self.pipes[pipe];
            pipe.spare += flow.rate;
            let place = pipe.flows.iter().position(|other| *other == slot);
            pipe.flows.swap_remove(place.expect("its links know it"));
        }
        self.vacant.push(slot);
        self.changed = true;
        flow
    }

    pub fn get(&mut self, slot: usize) -> Option<&mut Flow> {
        self.slots.get_mut(slot)?.as_mut()
    }

    /// Flows that leave a node.
    pub fn from(&self, node: usize) -> Vec<usize> {
        self.pipes[node].flows.clone()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Flow)> {
        let slots = self.slots.iter_mut().enumerate();
        slots.filter_map(|(slot, flow)| Some((slot, flow.as_mut()?)))
    }

    /// Assigns every flow its rate.
    pub fn fill(&mut self, now: u64) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        for flow in self.slots.iter_mut().flatten() {
            flow.left = flow.left(now);
            flow.since = now;
            flow.rate = -1.0;
        }
        // Rates are not negative, so their bits have the same order.
        let share = |pipe: &Pipe| (pipe.spare.max(0.0) / pipe.open as f64).to_bits();
        let mut tightest = BinaryHeap::new();
        for (index, pipe) in self.pipes.iter_mut().enumerate() {
            pipe.spare = pipe.rate;
            pipe.open = pipe.flows.len();
            if pipe.open > 0 {
                tightest.push(Reverse((share(pipe), index)));
            }
        }
        while let Some(Reverse((bits, index))) = tightest.pop() {
            let pipe = &self.pipes[index];
            if pipe.open == 0 {
                continue;
            }
            // Shares only grow while others are assigned.
            if share(pipe) > bits {
                tightest.push(Reverse((share(pipe), index)));
                continue;
            }
            let rate = f64::from_bits(bits);
            for slot in pipe.flows.clone() {
                let Some(flow) = &mut self.slots[slot] else { continue };
                if flow.rate < 0.0 {
                    flow.rate = rate;
                    for pipe in [flow.from, self.nodes + flow.to] {
                        self.pipes[pipe].spare -= rate;
                        self.pipes[pipe].open -= 1;
                    }
                }
            }
        }
    }
}

#[test]
fn rates_are_fair_and_no_link_is_idle_that_could_be_used() {
    // One sender of 8 to three receivers: one can take only 1, and one has a second sender.
    let mut flows = Flows::new(&[(8.0, 8.0), (0.0, 1.0), (0.0, 10.0), (0.0, 5.0), (4.0, 0.0)]);
    let slots = [[0, 1], [0, 2], [0, 3], [4, 3]].map(|ends| flows.begin(0, 0, 0, ends, 100.0));
    flows.fill(0);
    let mut rates = slots.map(|slot| flows.get(slot).unwrap().rate);
    assert_eq!(rates, [1.0, 4.5, 2.5, 2.5]);
    flows.end(slots[1]);
    let slot = flows.begin(10, 0, 0, [0, 2], 100.0);
    assert_eq!(flows.get(slot).unwrap().rate, 4.5, "it takes what the other left");
    flows.end(slots[3]);
    flows.fill(20);
    rates = [slots[0], slot, slots[2], slots[0]].map(|slot| flows.get(slot).unwrap().rate);
    assert_eq!(rates, [1.0, 3.5, 3.5, 1.0]);
    assert_eq!(flows.get(slots[0]).unwrap().left(20), 80.0);
}
