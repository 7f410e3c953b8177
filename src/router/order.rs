//! What one machine wants of the router because other machines are involved.
//!
//! A machine never calls another one. It gets a read-only view of others; if something should
//! happen elsewhere, it orders that, and the router carries it out once the machine is done.

use super::command::Command;
use super::event::{Closed, Draw, Target};
use super::ids::{ConnId, FaceId, MemberId};
use super::message::Refusal;
use super::notice::Failure;

/// Something that involves more than one machine.
#[derive(Debug)]
pub(crate) enum Order {
    /// A connection ended; `refusal`: why this side refused it.
    EndConn { conn: ConnId, how: Closed, refusal: Option<Refusal> },
    /// The agreement on this connection continues.
    Agree(ConnId),
    /// The register changed: end links and lanes with those who are no longer members.
    CloseOutsiders,
    /// Nobody sends this node anything any more.
    FailDownloads(Failure),
    /// A command continues.
    Command(GivenCommand),
    /// A lock change is over: commands that waited for it continue.
    LockSettled,
    /// Dial somebody, over a connection with this id.
    Dial { conn: ConnId, target: Target, purpose: Purpose },
    /// Nothing more should come over a lane.
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
