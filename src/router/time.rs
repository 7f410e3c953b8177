//! Time as the core sees it: an argument.

/// Milliseconds of the steady clock since the program started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub u64);
