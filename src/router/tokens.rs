//! How much somebody may still do: buckets of tokens that refill with time.

use std::collections::BTreeMap;

use super::time::Millis;

/// Parts per token: each millisecond adds as many of them as a minute adds tokens.
const PARTS: i64 = 60_000;

/// How fast a bucket refills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenRate {
    pub(crate) per_min: u32,
    /// What a full bucket holds: a smaller amount at once is never slowed down.
    pub(crate) burst: u32,
}

/// How much a peer may do at once of what costs us something: more as time passes.
#[derive(Debug)]
pub(crate) struct Tokens {
    rate: TokenRate,
    /// In parts of tokens; negative if more was done than there was.
    parts: i64,
    counted: Millis,
}

impl Tokens {
    pub(crate) fn new(per_s: u32, burst: u32, now: Millis) -> Self {
        Self::at(TokenRate { per_min: per_s.saturating_mul(60), burst }, now)
    }

    /// A full bucket.
    pub(crate) fn at(rate: TokenRate, now: Millis) -> Self {
        Self { rate, parts: PARTS * i64::from(rate.burst), counted: now }
    }

    /// Takes this many; returns false, and takes none, if there are fewer.
    pub(crate) fn take(&mut self, many: u64, now: Millis) -> bool {
        let enough = self.has(many, now);
        if enough {
            self.parts -= parts_of(many);
        }
        enough
    }

    /// Whether there are this many.
    pub(crate) fn has(&mut self, many: u64, now: Millis) -> bool {
        self.fill(now);
        self.parts >= parts_of(many)
    }

    /// After how many milliseconds there are this many, if none are taken meanwhile.
    pub(crate) fn wait_ms(&mut self, many: u64, now: Millis) -> u64 {
        self.fill(now);
        let lacking = parts_of(many).saturating_sub(self.parts).max(0).unsigned_abs();
        lacking.div_ceil(u64::from(self.rate.per_min).max(1))
    }

    /// Gives back tokens that were taken in vain.
    pub(crate) fn give(&mut self, many: u64) {
        self.parts = self.parts.saturating_add(parts_of(many)).min(self.most());
    }

    /// Takes this many, even if there are fewer: returns for how many milliseconds there are then
    /// none, and how many were taken. No debt takes longer than `most_ms` to repay.
    pub(crate) fn owe(&mut self, many: u64, most_ms: u64, now: Millis) -> (u64, u64) {
        self.fill(now);
        let most = i64::try_from(most_ms).unwrap_or(i64::MAX);
        let least = most.saturating_mul(self.rate.per_min.into()).saturating_neg();
        let left = self.parts.saturating_sub(parts_of(many)).max(least.min(self.parts));
        let taken = (self.parts - left).unsigned_abs().div_ceil(PARTS.unsigned_abs());
        self.parts = left;
        (self.wait_ms(0, now), taken)
    }

    fn fill(&mut self, now: Millis) {
        let passed = i64::try_from(now.since(self.counted)).unwrap_or(i64::MAX);
        let more = passed.saturating_mul(self.rate.per_min.into());
        self.parts = self.parts.saturating_add(more).min(self.most());
        self.counted = self.counted.max(now);
    }

    fn most(&self) -> i64 {
        PARTS * i64::from(self.rate.burst)
    }
}

fn parts_of(many: u64) -> i64 {
    i64::try_from(many).unwrap_or(i64::MAX).saturating_mul(PARTS)
}

/// A bucket for everybody who did something lately: it outlives their connections.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    most: usize,
    of: BTreeMap<K, Tokens>,
}

impl<K: Ord + Copy> Buckets<K> {
    /// At most `most` buckets. One more replaces that of whoever did least.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, of: BTreeMap::new() }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.of.len()
    }

    /// Somebody's bucket, full if it did nothing lately.
    pub(crate) fn get(&mut self, of: K, rate: TokenRate, now: Millis) -> &mut Tokens {
        if self.of.len() >= self.most && !self.of.contains_key(&of) {
            self.make_room(now);
        }
        self.of.entry(of).or_insert_with(|| Tokens::at(rate, now))
    }

    /// Gives back tokens that somebody took in vain.
    pub(crate) fn give(&mut self, to: K, many: u64) {
        if let Some(tokens) = self.of.get_mut(&to) {
            tokens.give(many);
        }
    }

    /// Removes a full bucket, which is the same as none.
    fn make_room(&mut self, now: Millis) {
        self.of.retain(|_, tokens| !tokens.has(tokens.rate.burst.into(), now));
        let lacking = |tokens: &Tokens| tokens.most() - tokens.parts;
        while self.of.len() >= self.most.max(1)
            && let Some(least) = self.of.iter().min_by_key(|(_, tokens)| lacking(tokens))
        {
            let least = *least.0;
            self.of.remove(&least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_with_time_up_to_a_burst_and_none_are_taken_in_vain() {
        let mut tokens = Tokens::new(10, 100, Millis(0));
        assert!(tokens.take(60, Millis(0)));
        assert!(!tokens.take(60, Millis(0)), "40 are left");
        assert!(tokens.take(40, Millis(0)));
        assert!(!tokens.take(1, Millis(99)));
        assert!(tokens.take(1, Millis(100)));
        assert!(!tokens.take(101, Millis(1_000_000)), "more than a burst");
        assert!(tokens.take(100, Millis(1_000_000)));
        assert!(!tokens.take(u64::MAX, Millis(2_000_000)));
    }

    #[test]
    fn few_a_minute_come_as_well_however_often_one_looks() {
        let mut tokens = Tokens::at(TokenRate { per_min: 4, burst: 1 }, Millis(0));
        assert!(tokens.take(1, Millis(0)));
        let came = (1..=60_000).filter(|ms| tokens.take(1, Millis(*ms))).count();
        assert_eq!(came, 4);
        tokens.give(7);
        assert!(!tokens.has(2, Millis(60_001)), "never more than a burst");
    }

    #[test]
    fn who_does_more_than_there_is_waits() {
        let mut tokens = Tokens::new(10, 5, Millis(0));
        assert_eq!(tokens.owe(5, 1_000, Millis(0)).0, 0);
        assert_eq!(tokens.owe(1, 1_000, Millis(0)).0, 100);
        assert_eq!(tokens.owe(1, 1_000, Millis(0)).0, 200);
        assert_eq!(tokens.owe(0, 1_000, Millis(150)).0, 50);
        assert_eq!(tokens.owe(1, 1_000, Millis(1_000)).0, 0);
    }

    #[test]
    fn buckets_outlive_connections_and_are_bounded() {
        let rate = TokenRate { per_min: 60, burst: 10 };
        let mut buckets = Buckets::new(3);
        for (who, many) in [(1, 9), (2, 1), (3, 5)] {
            assert!(buckets.get(who, rate, Millis(0)).take(many, Millis(0)));
        }
        assert!(!buckets.get(1, rate, Millis(1)).take(2, Millis(1)), "it is remembered");
        // Whoever did least starts afresh.
        buckets.get(4, rate, Millis(2)).take(2, Millis(2));
        assert_eq!(buckets.len(), 3);
        assert!(!buckets.get(1, rate, Millis(3)).take(2, Millis(3)));
        // And so does everybody after a while.
        buckets.get(5, rate, Millis(60_000));
        assert_eq!(buckets.len(), 1);
    }
}
