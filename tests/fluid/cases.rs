//! The swarms that are played, and what is reported about them.

use core::fmt;
use std::collections::BTreeSet;

use klatch::router::rng::Rng;

use crate::events::Event;
use crate::world::{Node, World};

const MIB: u64 = 1 << 20;
/// Bytes per microsecond of one Mbit/s.
const MBIT: f64 = 0.125;
/// Links of a node in a large room; the seed has as many as allowed.
const DEGREE: usize = 48;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// 100 Mbit/s each way.
    Same,
    /// The same, in one house: half a millisecond apart.
    Near,
    /// 10, 50, 100 or 1,000 Mbit/s each way; the seed 100.
    Mixed,
    /// The seed has 20 up, all others 100 each way.
    SlowSeed,
    /// The seed has 1,000 up, all others 100 each way.
    FastSeed,
    /// One node has a hundredth of the others' 100 Mbit/s, and one a byte per second.
    TwoSlow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Churn {
    None,
    /// A quarter leaves halfway through, one after another.
    Leaving,
    /// A quarter vanishes halfway through, one after another, without a word.
    Vanishing,
    /// Half come later, one after another.
    Coming,
}

#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub others: usize,
    pub size: u64,
    pub links: Links,
    pub churn: Churn,
}

const fn case(others: usize, size: u64, links: Links, churn: Churn) -> Case {
    Case { others, size: size * MIB, links, churn }
}

pub const CASES: &[Case] = &[
    case(4, 64, Links::Near, Churn::None),
    case(8, 64, Links::Near, Churn::None),
    case(4, 256, Links::Same, Churn::None),
    case(8, 256, Links::Same, Churn::None),
    case(16, 256, Links::Same, Churn::None),
    case(64, 256, Links::Same, Churn::None),
    case(250, 256, Links::Same, Churn::None),
    case(1_000, 256, Links::Same, Churn::None),
    case(16, 256, Links::Mixed, Churn::None),
    case(64, 256, Links::Mixed, Churn::None),
    case(250, 256, Links::Mixed, Churn::None),
    case(16, 256, Links::SlowSeed, Churn::None),
    case(250, 256, Links::SlowSeed, Churn::None),
    case(16, 256, Links::FastSeed, Churn::None),
    case(250, 256, Links::FastSeed, Churn::None),
    case(8, 256, Links::TwoSlow, Churn::None),
    case(64, 256, Links::TwoSlow, Churn::None),
    case(16, 256, Links::Same, Churn::Leaving),
    case(250, 256, Links::Same, Churn::Leaving),
    case(16, 256, Links::Same, Churn::Vanishing),
    case(250, 256, Links::Same, Churn::Vanishing),
    case(16, 256, Links::Same, Churn::Coming),
    case(250, 256, Links::Same, Churn::Coming),
];

/// The result of a swarm.
#[derive(Debug)]
pub struct Played {
    case: Case,
    /// Nodes that should have finished but did not.
    pub unfinished: usize,
    /// Seconds that the slowest and the median node needed.
    last: f64,
    middle: f64,
    bound: f64,
    pub ratio: f64,
    /// Bytes that the seed sent, as a multiple of the file.
    pub seed_sent: f64,
    /// Bytes that came twice, as a share of all.
    pub twice: f64,
    calls: u64,
    /// Microseconds per call of the choice.
    call_us: f64,
}

impl Case {
    pub fn name(&self) -> String {
        let links = match self.links {
            Links::Same => "same",
            Links::Near => "near",
            Links::Mixed => "mixed",
            Links::SlowSeed => "slow seed",
            Links::FastSeed => "fast seed",
            Links::TwoSlow => "two slow",
        };
        let churn = match self.churn {
            Churn::None => "",
            Churn::Leaving => ", leaving",
            Churn::Vanishing => ", vanishing",
            Churn::Coming => ", coming",
        };
        format!("{} MiB, {links}{churn}", self.size / MIB)
    }

    fn links(&self) -> Vec<(f64, f64)> {
        let of = |node: usize| {
            let (up, down) = match (self.links, node) {
                (Links::Mixed, 1..) => ([10.0, 50.0, 100.0, 1_000.0][node % 4], None),
                (Links::SlowSeed, 0) => (20.0, None),
                (Links::FastSeed, 0) => (1_000.0, None),
                (Links::TwoSlow, 1) => (1.0, None),
                (Links::TwoSlow, 2) => (8e-6, Some(100.0)),
                _ => (100.0, None),
            };
            (up * MBIT, down.unwrap_or(up) * MBIT)
        };
        (0..=self.others).map(of).collect()
    }

    /// Whether a node counts for the last finish: those that are slow on purpose do not.
    fn matters(&self, node: usize) -> bool {
        self.links != Links::TwoSlow || node > 2
    }

    /// Seconds that no plan could beat.
    fn bound(&self, links: &[(f64, f64)]) -> f64 {
        let file = self.size as f64;
        let slowest =
            links.iter().enumerate().skip(1).filter(|(node, _)| self.matches_bound(*node));
        let slowest = slowest.map(|(_, (_, down))| *down).fold(f64::MAX, f64::min);
        let all_up: f64 = links.iter().map(|(up, _)| up).sum();
        let fetching = (1..links.len()).filter(|node| self.matches_bound(*node)).count();
        let bounds = [file / links[0].0, file / slowest, fetching as f64 * file / all_up];
        bounds.into_iter().fold(0.0, f64::max) / 1e6
    }

    fn matches_bound(&self, node: usize) -> bool {
        node > 0 && self.matters(node)
    }

    fn connect(&self, world: &mut World, rng: &mut Rng) {
        let (nodes, near) = (self.others + 1, self.links == Links::Near);
        let mut linked: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); nodes];
        let mut link = |world: &mut World, a: usize, b: usize, rng: &mut Rng| {
            if a != b && linked[a].insert(b) {
                linked[b].insert(a);
                let (least, most) = if near { (100, 500) } else { (5_000, 50_000) };
                world.link(a, b, rng.between(least, most));
            }
            linked[a].len()
        };
        let most = world.limits.peers;
        if nodes <= most {
            for a in 0..nodes {
                for b in 0..a {
                    link(world, a, b, rng);
                }
            }
            return;
        }
        while link(world, 0, 1 + rng.below(nodes as u64 - 1) as usize, rng) < most {}
        for a in 1..nodes {
            while link(world, a, 1 + rng.below(nodes as u64 - 1) as usize, rng) < DEGREE {}
        }
    }

    pub fn play(&self, seed: u64) -> Played {
        let links = self.links();
        let mut rng = Rng::new(seed);
        let mut world = World::new(rng.next_u64(), self.size, &links);
        self.connect(&mut world, &mut rng);
        let bound = self.bound(&links);
        let micros = |seconds: f64| (seconds * 1e6) as u64;
        let mut leavers = 0;
        for node in 1..=self.others {
            let part = bound / 2.0 + bound / 4.0 * node as f64 / self.others as f64;
            let goes = node % 4 == 0 && self.churn != Churn::Coming && self.churn != Churn::None;
            leavers += usize::from(goes);
            match self.churn {
                Churn::Leaving if goes => world.after(micros(part), Event::Leave { node }),
                Churn::Vanishing if goes => world.after(micros(part), Event::Vanish { node }),
                _ => {}
            }
            let late = self.churn == Churn::Coming && node % 2 == 0;
            let begins = if late { bound * node as f64 / self.others as f64 } else { 0.0 };
            world.after(micros(begins), Event::Start { node });
        }
        world.run(micros(20.0 * bound), |node| self.matters(node));
        self.report(&world, bound, leavers)
    }

    fn report(&self, world: &World, bound: f64, leavers: usize) -> Played {
        let those = world.nodes.iter().enumerate().skip(1).filter(|(node, _)| self.matters(*node));
        let those: Vec<_> = those.map(|(_, node)| node).collect();
        let took = |node: &&Node| Some((node.finished? - node.began) as f64 / 1e6);
        let mut times: Vec<f64> = those.iter().filter_map(took).collect();
        times.sort_by(f64::total_cmp);
        let done: Vec<_> = those.iter().filter(|node| node.finished.is_some()).collect();
        let came: f64 = done.iter().map(|node| node.came_bytes).sum();
        let wanted = done.len() as f64 * self.size as f64;
        let last = times.last().copied().unwrap_or(f64::NAN);
        Played {
            case: *self,
            unfinished: those.len().saturating_sub(done.len() + leavers),
            last,
            middle: times.get(times.len() / 2).copied().unwrap_or(f64::NAN),
            bound,
            ratio: last / bound,
            seed_sent: world.nodes[0].host.sent_bytes / self.size as f64,
            twice: (came - wanted) / came,
            calls: world.calls,
            call_us: world.timed.1.as_secs_f64() * 1e6 / world.timed.0.max(1) as f64,
        }
    }
}

impl Played {
    pub const HEAD: &str = "| swarm | others | bound s | middle s | last s | last / bound \
                            | seed sent | twice | unfinished | calls | us per call |\n\
                            |---|---|---|---|---|---|---|---|---|---|---|";
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, unfinished, last, middle, bound, ratio, .. } = self;
        let Self { seed_sent, twice, calls, call_us, .. } = self;
        let (name, others, twice) = (case.name(), case.others, 100.0 * twice);
        write!(f, "| {name} | {others} | {bound:.2} | {middle:.2} | {last:.2} | {ratio:.3} ")?;
        write!(f, "| {seed_sent:.3} | {twice:.2} % | {unfinished} | {calls} | {call_us:.2} |")
    }
}
