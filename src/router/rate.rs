//! Transfer rates as people see them: steady while bytes come, and 0 once none do.
//!
//! [`super::swarm::pace`] has the measurements that decide how much to request from whom.

use super::time::Millis;

/// How long bytes are collected before they change a rate.
const SAMPLE_MS: u64 = 250;
/// The weight of the past against a new sample, which makes a rate steady.
const PAST_MS: u64 = 750;
/// After this time without a byte the rate is 0.
const SILENCE_MS: u64 = 2_000;
/// Bytes that come after a longer silence were not on their way all that time.
const PAUSE_MS: u64 = 30_000;

/// Counts what comes.
#[derive(Debug)]
pub(crate) struct MeasuredRate {
    bytes_per_second: u64,
    /// When counting began, and how many bytes came since.
    since: Millis,
    bytes: u64,
    /// When something last came.
    last: Millis,
    /// How much came at once when the rate last changed.
    piece_bytes: u64,
}

impl MeasuredRate {
    /// Nothing has come yet, but may from now on.
    pub(crate) fn new(now: Millis) -> Self {
        Self { bytes_per_second: 0, since: now, bytes: 0, last: now, piece_bytes: 0 }
    }

    /// Bytes came.
    pub(crate) fn came(&mut self, now: Millis, bytes: u64) {
        if bytes == 0 {
            return;
        }
        if now >= self.silent_at() {
            // Earlier bytes do not count. Over a slow link these were on their way since then.
            *self = Self::new(self.last.max(Millis(now.0.saturating_sub(PAUSE_MS))));
        }
        self.bytes += bytes;
        self.last = now;
        let took = now.since(self.since);
        if took < SAMPLE_MS {
            return;
        }
        let past_ms = if self.bytes_per_second == 0 { 0 } else { PAST_MS };
        let past = u128::from(self.bytes_per_second) * u128::from(past_ms);
        let rate = (past + u128::from(self.bytes) * 1_000) / u128::from(past_ms + took);
        self.bytes_per_second = u64::try_from(rate).unwrap_or(u64::MAX);
        (self.since, self.bytes, self.piece_bytes) = (now, 0, bytes);
    }

    /// Bytes per second; 0 if nothing moves.
    pub(crate) fn at(&self, now: Millis) -> u64 {
        if now < self.silent_at() { self.bytes_per_second } else { 0 }
    }

    /// When the rate becomes 0 if nothing more comes. Over a slow link even a steady stream comes
    /// in pieces further apart than [`SILENCE_MS`]: each gets twice the time between two.
    pub(crate) fn silent_at(&self) -> Millis {
        let apart = self.piece_bytes.saturating_mul(2_000).checked_div(self.bytes_per_second);
        self.last.plus(apart.unwrap_or(0).max(SILENCE_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rates seen every 100 ms while pieces come `apart_ms` apart.
    fn seen(piece_bytes: u64, apart_ms: u64) -> Vec<u64> {
        let mut rate = MeasuredRate::new(Millis(0));
        let step = |now| {
            if now % apart_ms == 0 {
                rate.came(Millis(now), piece_bytes);
            }
            rate.at(Millis(now))
        };
        (100..100_000).step_by(100).map(step).collect()
    }

    #[test]
    fn a_rate_is_0_after_two_seconds_of_nothing() {
        let mut rate = MeasuredRate::new(Millis(0));
        assert_eq!(rate.at(Millis(0)), 0);
        for now in (100..=10_000).step_by(100) {
            rate.came(Millis(now), 100_000);
        }
        assert_eq!(rate.at(Millis(11_999)), 1_000_000);
        assert_eq!(rate.silent_at(), Millis(12_000));
        assert_eq!(rate.at(Millis(12_000)), 0);
        // The hour in between must not count against what comes next.
        rate.came(Millis(3_600_000), 100_000);
        assert_eq!(rate.at(Millis(3_600_000)), 3_333);
        for now in (3_600_100..3_605_000).step_by(100) {
            rate.came(Millis(now), 100_000);
        }
        assert!(rate.at(Millis(3_605_000)) > 990_000, "{rate:?}");
    }

    #[test]
    fn one_large_piece_behind_a_trickle_does_not_move_for_ever() {
        let mut rate = MeasuredRate::new(Millis(0));
        for now in (300..=3_000).step_by(300) {
            rate.came(Millis(now), 30);
        }
        rate.came(Millis(3_100), 1 << 20);
        assert!(rate.silent_at() <= Millis(5_100), "{rate:?}");
        rate.came(Millis(3_400), 30);
        assert!(rate.silent_at() <= Millis(5_400), "{rate:?}");
    }

    #[test]
    fn a_slow_but_steady_stream_never_seems_to_stand_still() {
        for (piece_bytes, apart_ms) in [(32_768, 700), (32_768, 3_300), (1 << 20, 20_000)] {
            let rates = seen(piece_bytes, apart_ms);
            let expected = piece_bytes * 1_000 / apart_ms;
            let begun = &rates[(2 * apart_ms / 100) as usize..];
            let near = |rate: &u64| (expected * 9 / 10..=expected * 11 / 10).contains(rate);
            assert!(begun.iter().all(near), "{expected}: {begun:?}");
        }
    }
}
