//! A token bucket: how much a peer may do at once.

use super::time::Millis;

/// What a peer may still do at once of what costs us something: more with time.
#[derive(Debug)]
pub(crate) struct Tokens {
    per_s: u64,
    burst: u64,
    thousandths: u64,
    counted: Millis,
}

impl Tokens {
    pub(crate) fn new(per_s: u32, burst: u32, now: Millis) -> Self {
        let burst = 1000 * u64::from(burst);
        Self { per_s: per_s.into(), burst, thousandths: burst, counted: now }
    }

    /// Takes this many; false, and none are taken, when there are fewer.
    pub(crate) fn take(&mut self, many: u64, now: Millis) -> bool {
        let more = now.since(self.counted).saturating_mul(self.per_s);
        self.thousandths = self.thousandths.saturating_add(more).min(self.burst);
        self.counted = now;
        let left = self.thousandths.checked_sub(many.saturating_mul(1000));
        self.thousandths = left.unwrap_or(self.thousandths);
        left.is_some()
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
    }
}
