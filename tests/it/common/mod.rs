//! How the tests start programs and hear them.

mod content;
mod peer;
mod program;
pub(crate) mod shape;

pub(crate) use content::{Folder, content, root, same};
pub(crate) use peer::{Options, Peer, join, room};
pub(crate) use program::{DEADLINE, Program};
