//! How the tests start programs and hear them.

mod alone;
mod content;
mod peer;
mod program;
mod relay;
pub(crate) mod shape;
mod tap;

pub(crate) use alone::{alone, is_alone};
pub(crate) use content::{Folder, content, root, same};
pub(crate) use peer::{Options, Peer, has_joined, join, room};
pub(crate) use program::{DEADLINE, Program};
pub(crate) use relay::relay;
pub(crate) use tap::Tap;
