//! What one machine wants of the router because other machines are involved.
//!
//! A machine never calls another one. It gets a read-only view of others; what should happen
//! elsewhere it orders, and the router carries that out once the machine is done.

use super::command::Command;
use super::event::{Closed, Draw, Target};
use super::ids::{ConnId, FaceId, MemberId};
use super::message::Refusal;
use super::notice::Failure;

/// Something that concerns more than one machine.
#[derive(Debug)]
pub(crate) enum Order {
    /// A connection ended; `refusal`: what this side had against it.
    EndConn { conn: ConnId, how: Closed, refusal: Option<Refusal> },
    /// What two are agreeing on goes on.
    Agree(ConnId),
    /// The register changed: links and lanes with those who are no members end.
    CloseOutsiders,
    /// Nobody sends this node anything any more.
    FailDownloads(Failure),
    /// A command goes on.
    Command(GivenCommand),
    /// A change of the lock is over: commands that waited for it go on.
    LockSettled,
    /// Dial somebody, over a connection of this id.
    Dial { conn: ConnId, target: Target, purpose: Purpose },
    /// Nothing is to come over a lane any more.
    DropLane(ConnId),
}

/// Why this node dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A person's `connect`, by the number of its attempt.
    Attempt(u64),
    /// A known member, without moving anyone.
    Redial(MemberId),
    /// Bulk data, to fetch it.
    Lane(MemberId),
    /// Bulk data, to serve it.
    Serve(MemberId),
}

/// A command as it was given.
#[derive(Debug)]
pub(crate) struct GivenCommand {
    pub(crate) face: FaceId,
    pub(crate) line: u64,
    pub(crate) command: Command,
    pub(crate) draw: Draw,
}
