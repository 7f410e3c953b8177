//! The router's time: steady milliseconds, always an argument.

use std::collections::VecDeque;

/// Milliseconds of a steady clock since the program started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// This moment and `ms` more.
    #[must_use]
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`; 0 if that is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// How many settings of the wall clock are remembered: suspends and changes by hand.
const SETTINGS: usize = 64;

/// The wall clock, which may be set at any time and continues while a computer sleeps.
#[derive(Debug)]
pub(crate) struct WallClock {
    /// Milliseconds since 1970 UTC at the steady clock's zero.
    settings: VecDeque<(Millis, i64)>,
}

impl WallClock {
    pub(crate) fn new(at_zero_ms: i64) -> Self {
        Self { settings: VecDeque::from([(Millis(0), at_zero_ms)]) }
    }

    /// From now on it shows another time.
    pub(crate) fn set(&mut self, now: Millis, at_zero_ms: i64) {
        if self.settings.len() >= SETTINGS {
            self.settings.pop_front();
        }
        self.settings.push_back((now, at_zero_ms));
    }

    /// Its time at a moment: milliseconds since 1970 UTC.
    pub(crate) fn at(&self, moment: Millis) -> i64 {
        let then = self.settings.iter().rev().find(|(from, _)| *from <= moment);
        let at_zero_ms = then.or(self.settings.front()).map_or(0, |(_, at_zero_ms)| *at_zero_ms);
        at_zero_ms.saturating_add_unsigned(moment.0)
    }
}

/// Keeps the earliest of the deadlines that it is given.
#[derive(Debug, Default)]
pub(crate) struct Earliest(pub(super) Option<Millis>);

impl Earliest {
    pub(crate) fn at(&mut self, deadline: Millis) {
        self.0 = Some(self.0.map_or(deadline, |earliest| earliest.min(deadline)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_wall_clock_showed_stays_and_what_it_shows_follows_it() {
        let mut clock = WallClock::new(1_000_000);
        assert_eq!(clock.at(Millis(5)), 1_000_005);
        // The computer slept for an hour.
        clock.set(Millis(10), 4_600_000);
        assert_eq!(clock.at(Millis(5)), 1_000_005);
        assert_eq!(clock.at(Millis(10)), 4_600_010);
        for back in 0..1_000 {
            clock.set(Millis(20), 4_600_000 - back);
        }
        assert_eq!(clock.at(Millis(20)), 4_600_020 - 999);
        assert_eq!(clock.settings.len(), SETTINGS);
    }
}
