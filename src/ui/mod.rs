//! The faces: lines to commands, notices to lines or JSON.
//!
//! Everything here is a value, or reads a stream that it is given: threads, the router and the
//! choice of streams belong to the node.

pub mod address;
pub mod careful;
pub mod command;
pub mod json;
pub mod known;
pub mod line_reader;
pub mod lines;
pub mod live;
pub mod notice;
pub mod paint;
pub mod rate;
mod rooms;
pub(crate) mod slash;
mod tables;
pub mod terminal;
pub mod width;
