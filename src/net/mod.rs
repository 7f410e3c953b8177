//! Blocking threads around sockets.

pub mod stream;

pub mod chunk;
pub mod lane;
pub mod serve;
