//! The faces: lines to commands, notices to lines or JSON.

pub mod command;
pub mod notice;
pub mod terminal;
