//! The network's conditions: latency, cuts, partitions, and who cannot dial whom.

use crate::world::World;

impl World {
    pub fn latency(&mut self, a: usize, b: usize) -> u64 {
        let pair = (a.min(b), a.max(b));
        if !self.latencies.contains_key(&pair) {
            let latency = self.rng.between(self.latency_ms.0, self.latency_ms.1);
            self.latencies.insert(pair, latency);
        }
        self.latencies[&pair] + self.rng.below(3)
    }

    /// Nothing passes between two machines.
    pub fn cut(&mut self, a: usize, b: usize) {
        let text = format!("cut {} {}", self.nodes[a].name, self.nodes[b].name);
        self.trace.remark(self.now_ms, &text);
        self.cuts.insert((a.min(b), a.max(b)));
    }

    /// Everything passes again, including what was held up.
    pub fn heal(&mut self, a: usize, b: usize) {
        if self.cuts.remove(&(a.min(b), a.max(b))) {
            let text = format!("heal {} {}", self.nodes[a].name, self.nodes[b].name);
            self.trace.remark(self.now_ms, &text);
            self.release(a, b);
            self.release(b, a);
        }
    }

    /// Cuts everything between two groups.
    pub fn partition(&mut self, left: &[usize], right: &[usize]) {
        for a in left {
            for b in right {
                self.cut(*a, *b);
            }
        }
    }

    /// Heals every cut.
    pub fn heal_all(&mut self) {
        for (a, b) in self.cuts.clone() {
            self.heal(a, b);
        }
    }

    /// Neither can dial the other.
    pub fn hide(&mut self, a: usize, b: usize) {
        self.no_dial.insert((a, b));
        self.no_dial.insert((b, a));
    }

    pub fn is_cut(&self, a: usize, b: usize) -> bool {
        self.cuts.contains(&(a.min(b), a.max(b)))
    }
}
