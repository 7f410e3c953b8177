//! Members that lie, and members that flood, beside honest ones: the tests' Eve, who speaks the
//! protocol and says what she likes.

#[allow(dead_code, clippy::unwrap_used, clippy::expect_used)] // She panics where a test would.
#[path = "../../../tests/it/hostile/eve.rs"]
mod eve;
mod flood;
pub(crate) mod liar;
mod share;
#[allow(dead_code)]
#[path = "../../../tests/it/hostile/writer.rs"]
mod writer;

mod host {
    use std::time::Duration;

    pub(super) const SOON: Duration = Duration::from_secs(20);
}

pub(crate) use share::one_hostile_member;
