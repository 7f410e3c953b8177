//! klatch: rooms without a server.
//!
//! People connect to each other by address and port, chat, close their room and share files; every
//! member that has a piece of a file serves it to the others.
//!
//! Dependencies point one way: `crypto <- router <- wire <- net <- node <- bridge <- main`, with
//! `ui` between `router` and `bridge`, and `sys` below everything that touches the system.
//! ARCHITECTURE.md is the map.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout))]

pub mod bridge;
pub mod config;
pub mod crypto;
pub mod files;
pub mod limits;
pub mod net;
pub mod node;
pub mod program;
pub mod router;
pub mod settings;
pub mod sys;
pub mod thread;
pub mod ui;
pub mod wire;
