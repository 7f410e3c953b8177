//! The pure core: the room's state machine. No socket, file, thread, channel, clock or entropy.

pub mod bitmap;
pub mod command;
pub mod ids;
pub mod notice;
pub mod text;
