//! Time as the router knows it: steady milliseconds, always an argument.

/// Milliseconds of a steady clock since the program started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// This moment and `ms` more.
    #[must_use]
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`; 0 if that lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Keeps the earliest of the deadlines that it is shown.
#[derive(Debug, Default)]
pub(super) struct Earliest(pub(super) Option<Millis>);

impl Earliest {
    pub(super) fn at(&mut self, deadline: Millis) {
        self.0 = Some(self.0.map_or(deadline, |earliest| earliest.min(deadline)));
    }
}
