//! What differs between operating systems, and nothing else: the one place that names them.
//!
//! A file for each topic; each function says what it means and what is true where a system has no
//! counterpart: either an error of the kind `Unsupported`, or a fallback that its documentation
//! names. The rest of the crate has no `cfg` for a system, and compiles on Linux, macOS and Windows
//! by construction (`tests/tidy.rs`).
//!
//! It decides nothing: no file here knows peers, rooms, offers or settings.

pub mod errors;
pub mod files;
pub mod heap;
pub mod interfaces;
pub mod local;
pub mod process;
pub mod signals;
pub mod sockets;
pub mod terminal;

#[cfg(test)]
pub(crate) mod testing;
