//! How fast a host delivers, and how much to request from it at a time.

use crate::router::time::Millis;

/// How long bytes are counted before they make a new rate.
const SAMPLE_MS: u64 = 500;
/// The first rate is known sooner.
const FIRST_MS: u64 = 50;
/// What passes between the end of one chunk and the request for the next, apart from the network's
/// round trip: threads that wake each other.
const TURN_MS: u64 = 5;
/// How long nothing need be known of a host.
pub(super) const GRACE_MS: u64 = 1_000;

/// The pace of one host.
#[derive(Debug, Default)]
pub(crate) struct HostPace {
    /// Bytes per second, once something is known.
    rate: Option<u64>,
    /// Since when bytes are counted; `None` without requests.
    since: Option<Millis>,
    bytes: u64,
}

impl HostPace {
    /// A host without requests gets one.
    pub(crate) fn begin(&mut self, now: Millis) {
        if self.since.is_none() {
            self.since = Some(now);
            self.bytes = 0;
        }
    }

    /// It has no more requests.
    pub(crate) fn rest(&mut self) {
        self.since = None;
    }

    /// Bytes came from it.
    pub(crate) fn came(&mut self, now: Millis, bytes: u64) {
        let Some(since) = self.since else { return };
        self.bytes += bytes;
        let took = now.since(since);
        let enough = if self.rate.is_none() { FIRST_MS } else { SAMPLE_MS };
        if took >= enough {
            let sample = self.bytes.saturating_mul(1000) / took;
            // A stall is believed at once, a speed-up by half.
            self.rate = Some(self.rate.map_or(sample, |rate| (rate + sample) / 2));
            self.since = Some(now);
            self.bytes = 0;
        }
    }

    /// Nothing has come yet.
    pub(super) fn is_unknown(&self) -> bool {
        self.rate.is_none()
    }

    /// Bytes per second, as far as one can tell: while a host is silent, this decreases.
    pub(crate) fn rate(&self, now: Millis) -> Option<u64> {
        let waited = self.since.map_or(0, |since| now.since(since));
        if waited < GRACE_MS {
            return self.rate;
        }
        let sample = self.bytes.saturating_mul(1000) / waited;
        Some(self.rate.map_or(sample, |rate| rate.min(sample)))
    }

    /// Bytes to have requested at a time, so that it never waits for a request; `None` while
    /// nothing is known. Twice what is under way at its rate during one round trip of `rtt_ms`.
    pub(super) fn window(&self, rtt_ms: u64) -> Option<u64> {
        self.rate.map(|rate| 2 * rate.saturating_mul(rtt_ms + TURN_MS) / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_known_after_a_sample_and_falls_in_silence() {
        let mut pace = HostPace::default();
        assert_eq!(pace.rate(Millis(5_000)), None);
        pace.begin(Millis(0));
        pace.came(Millis(20), 1_000);
        assert_eq!(pace.rate(Millis(20)), None);
        pace.came(Millis(500), 1_000);
        assert_eq!(pace.rate(Millis(600)), Some(4_000));
        assert_eq!(pace.window(100), Some(840));
        assert_eq!(pace.rate(Millis(4_500)), Some(0), "nothing came for four seconds");
        pace.rest();
        assert_eq!(pace.rate(Millis(99_000)), Some(4_000), "nothing was asked of it");
        pace.begin(Millis(100_000));
        assert_eq!(pace.rate(Millis(100_100)), Some(4_000));
    }
}
