//! Blocking threads around sockets.

pub mod conn;
pub mod gate;
pub mod outbox;
pub mod stream;

pub mod chunk;
pub mod lane;
pub mod serve;
