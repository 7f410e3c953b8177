//! Blocking threads around sockets.

pub mod stream;
