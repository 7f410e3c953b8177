//! Real programs over real sockets: what people and scripts are promised, seen from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod common;

mod absent;
mod bad_input;
mod bridge;
mod contract;
mod disks;
mod downloads;
mod endings;
mod examples;
mod folders;
mod hostile;
mod inviting;
mod jobs;
mod kills;
mod live;
mod locks;
mod nodes;
mod oneshots;
mod partition;
mod people;
mod places;
mod removing;
mod scripts;
mod starting;
mod strangers;
mod swarm;
mod talk;
mod waiting;
