//! Real nodes over real sockets.
fn main() {}
