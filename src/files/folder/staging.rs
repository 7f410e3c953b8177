//! A folder that is received.

/// What the name of a folder that is received ends with until it is whole.
pub(super) const FOLDER: &str = ".folder";
/// What the name of the file of hints about its units ends with.
pub(super) const UNITS: &str = ".units";
