//! Blocking threads around sockets.
