//! How the tests start programs and read their output.

mod alone;
mod content;
mod peer;
pub(crate) mod person;
mod program;
mod relay;
#[path = "../../../src/ui/schema_tests.rs"]
mod schema;
pub(crate) mod shape;
mod tap;

pub(crate) use alone::{alone, is_alone};
pub(crate) use content::{Folder, content, root, same};
pub(crate) use peer::{Options, Peer, has_joined, join, room};
pub(crate) use program::{DEADLINE, Program};
pub(crate) use relay::relay;
pub(crate) use tap::Tap;
