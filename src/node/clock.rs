//! The router's steady clock, and the wall clock, which shows when the machine was suspended.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::router::time::Millis;

/// After a suspend (or after somebody set it) the wall clock is ahead by more than this.
const SLEPT: Duration = Duration::from_secs(5);

/// Time since the start of a node.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    /// Where both clocks were last seen together.
    seen: (Instant, SystemTime),
    /// The last reported value of [`Clock::wall_at_zero_ms`].
    told_ms: i64,
}

/// Drift of the wall clock against the steady one that is reported, in milliseconds.
const DRIFT_MS: u64 = 500;

impl Clock {
    pub(super) fn start() -> Self {
        let now = Instant::now();
        let wall = SystemTime::now();
        Self { start: now, seen: (now, wall), told_ms: since_1970_ms(wall) }
    }

    /// The wall clock (milliseconds since 1970 UTC) minus the steady clock.
    pub(super) fn wall_at_zero_ms(&self) -> i64 {
        let (steady, wall) = self.seen;
        since_1970_ms(wall).saturating_sub_unsigned(self.at(steady).0)
    }

    /// The same, if the wall clock was set, or ran on during a suspend, since the last report.
    pub(super) fn was_set(&mut self) -> Option<i64> {
        let at_zero_ms = self.wall_at_zero_ms();
        if at_zero_ms.abs_diff(self.told_ms) < DRIFT_MS {
            return None;
        }
        self.told_ms = at_zero_ms;
        Some(at_zero_ms)
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

    /// Whether the machine slept since the last call: most steady clocks stand still during that.
    pub(super) fn slept(&mut self) -> bool {
        self.slept_until(Instant::now(), SystemTime::now())
    }

    fn slept_until(&mut self, steady: Instant, wall: SystemTime) -> bool {
        let (last_steady, last_wall) = std::mem::replace(&mut self.seen, (steady, wall));
        let steady = steady.saturating_duration_since(last_steady);
        // If the wall clock was set back, nobody can tell.
        wall.duration_since(last_wall).is_ok_and(|wall| wall > steady + SLEPT)
    }
}

fn since_1970_ms(wall: SystemTime) -> i64 {
    match wall.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_was_set_is_told_once() {
        let mut clock = Clock::start();
        let (steady, wall) = clock.seen;
        let started_ms = clock.wall_at_zero_ms();
        let second = Duration::from_secs(1);
        let mut after = |steady_s: u32, shown: SystemTime| {
            let _ = clock.slept_until(steady + second * steady_s, shown);
            clock.was_set()
        };
        assert_eq!(after(2, wall + second * 2), None);
        // A night's sleep, then a step back by hand.
        let night = second * 8 * 3_600;
        assert_eq!(after(4, wall + night + second * 4), Some(started_ms + 8 * 3_600_000));
        assert_eq!(after(6, wall + night + second * 6), None);
        assert_eq!(after(8, wall - second * 60), Some(started_ms - 68_000));
    }

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
