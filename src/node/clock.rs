//! The steady clock that the router lives by, and the wall clock that shows when the machine
//! slept.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::router::time::Millis;

/// The wall clock is ahead by more than this after a suspend (or after somebody set it).
const SLEPT: Duration = Duration::from_secs(5);

/// Time since the start of a node.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    /// Where both clocks were last seen together.
    seen: (Instant, SystemTime),
}

impl Clock {
    pub(super) fn start() -> Self {
        let now = Instant::now();
        Self { start: now, seen: (now, SystemTime::now()) }
    }

    /// The wall clock at the start, milliseconds since 1970 UTC.
    pub(super) fn wall_at_zero_ms(&self) -> i64 {
        let since = self.seen.1.duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    pub(super) fn now(&self) -> Millis {
        self.at(Instant::now())
    }

    fn at(&self, instant: Instant) -> Millis {
        let since = instant.saturating_duration_since(self.start).as_millis();
        Millis(u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// When the steady clock shows `at`.
    pub(super) fn instant(&self, at: Millis) -> Instant {
        self.start.checked_add(Duration::from_millis(at.0)).unwrap_or(self.start)
    }

    /// Whether the machine slept since the last call: most steady clocks stand still meanwhile.
    pub(super) fn slept(&mut self) -> bool {
        self.slept_until(Instant::now(), SystemTime::now())
    }

    fn slept_until(&mut self, steady: Instant, wall: SystemTime) -> bool {
        let (last_steady, last_wall) = std::mem::replace(&mut self.seen, (steady, wall));
        let steady = steady.saturating_duration_since(last_steady);
        // A wall clock that was set back tells nothing.
        wall.duration_since(last_wall).is_ok_and(|wall| wall > steady + SLEPT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_wall_clock_far_ahead_means_sleep() {
        let mut clock = Clock::start();
        let (mut steady, mut wall) = clock.seen;
        let mut after = |steady_s, wall_s: i64| {
            steady += Duration::from_secs(steady_s);
            let change = Duration::from_secs(wall_s.unsigned_abs());
            wall = if wall_s < 0 { wall - change } else { wall + change };
            clock.slept_until(steady, wall)
        };
        assert!(!after(2, 2));
        assert!(!after(2, 6));
        assert!(after(2, 3_600));
        assert!(!after(2, 2));
        assert!(!after(2, -3_600));
        assert!(!after(60, 62));
    }
}
