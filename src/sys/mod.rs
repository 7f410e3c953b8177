//! The differences between operating systems: the only module that names them.
//!
//! There is one file per topic; each function says what it means and what happens on a system
//! without a counterpart: either an error of the kind `Unsupported`, or a documented fallback. The
//! rest of the crate has no `cfg` for a system, and so compiles on Linux, macOS and Windows by
//! construction (`tests/tidy.rs`).
//!
//! It decides nothing: no file here knows peers, rooms, offers or settings.

pub mod errors;
pub mod files;
pub mod folders;
pub mod heap;
pub mod interfaces;
pub mod local;
pub mod process;
pub mod signals;
pub mod sockets;
pub mod terminal;

#[cfg(test)]
pub(crate) mod testing;
