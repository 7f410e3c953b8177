//! Real nodes over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod hostile;
