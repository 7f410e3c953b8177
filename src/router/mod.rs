//! The pure core: the room's state machine. No socket, file, thread, channel, clock or entropy.

pub mod bitmap;
pub mod command;
pub mod event;
pub mod ids;
pub mod message;
pub mod notice;
pub mod signed;
pub mod text;
pub mod time;
