//! One connection: its purpose, its peer, and its stage.

use core::net::SocketAddr;
use std::collections::BTreeSet;

use super::agreement::Agreement;
use crate::crypto::binding::{Role, Side};
use crate::router::ids::{MemberId, RecordId, RoomId, RunId};
use crate::router::message::{Brings, Capability, Hello};
use crate::router::order::Purpose;
use crate::router::time::Millis;

/// How far a connection is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Dialled, or its Hello is under way.
    Opening,
    /// A plan is being carried out.
    Planned,
    /// The peer is known.
    Agreeing(Box<Agreement>),
    /// A session of the room.
    Linked(Box<Link>),
    /// A data connection.
    Lane(Lane),
}

/// A data connection, once both ends are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lane {
    pub(crate) member: MemberId,
    /// This side fetches.
    pub(crate) fetch: bool,
    /// Chunks can be asked for.
    pub(crate) open: bool,
}

/// A committed link, as the transport shows it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) member: MemberId,
    pub(super) run: RunId,
    pub(super) congested: Option<Millis>,
    pub(super) heard: Millis,
    pub(super) pinged: Option<(u32, Millis)>,
    pub(super) rtt_ms: Option<u64>,
    pub(super) pong: Option<u32>,
}

impl Link {
    pub(super) fn new(member: MemberId, run: RunId, now: Millis) -> Self {
        let (congested, pinged, rtt_ms, pong) = Default::default();
        Self { member, run, congested, heard: now, pinged, rtt_ms, pong }
    }

    /// Who is at its other end.
    pub(crate) fn member(&self) -> MemberId {
        self.member
    }

    /// The program that runs there.
    pub(crate) fn run(&self) -> RunId {
        self.run
    }

    /// It takes less than is to be said.
    pub(crate) fn is_congested(&self) -> bool {
        self.congested.is_some()
    }

    /// When something last came.
    pub(crate) fn heard(&self) -> Millis {
        self.heard
    }

    /// The round trip, once it was measured.
    pub(crate) fn rtt_ms(&self) -> Option<u64> {
        self.rtt_ms
    }
}

/// A connection of any kind.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(super) side: Side,
    pub(super) role: Role,
    pub(super) remote: Option<SocketAddr>,
    pub(super) purpose: Option<Purpose>,
    pub(super) began: Millis,
    /// What this node said, and of which room.
    pub(super) my_hello: Option<(Hello, RoomId)>,
    pub(super) their_run: Option<RunId>,
    /// A password admits to the peer's room.
    pub(super) their_password: bool,
    pub(super) their_can: BTreeSet<Capability>,
    pub(super) same_room: bool,
    /// The dialer is let in with this; `None`: both are in the room already.
    pub(super) enters: Option<Brings>,
    /// The lock whose password lets the dialer in.
    pub(super) lock: Option<RecordId>,
    pub(super) stage: Stage,
}

impl Conn {
    pub(super) fn new(side: Side, role: Role, began: Millis) -> Self {
        Self {
            side,
            role,
            remote: None,
            purpose: None,
            began,
            my_hello: None,
            their_run: None,
            their_password: false,
            their_can: BTreeSet::new(),
            same_room: false,
            enters: None,
            lock: None,
            stage: Stage::Opening,
        }
    }

    /// Whether this node dialled.
    pub(crate) fn is_dialled(&self) -> bool {
        self.side == Side::Dialer
    }

    /// What it carries.
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Where the peer is.
    pub(crate) fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// What it was dialled for.
    pub(crate) fn purpose(&self) -> Option<Purpose> {
        self.purpose
    }

    /// When the channel was up.
    pub(crate) fn began(&self) -> Millis {
        self.began
    }

    /// The room that this node said it is in.
    pub(crate) fn my_room(&self) -> Option<RoomId> {
        self.my_hello.as_ref().map(|(_, room)| *room)
    }

    /// The program at the other end.
    pub(crate) fn their_run(&self) -> Option<RunId> {
        self.their_run
    }

    /// A password admits to the peer's room.
    pub(crate) fn their_password(&self) -> bool {
        self.their_password
    }

    /// Whether the peer's klatch can do something.
    pub(crate) fn can(&self, capability: Capability) -> bool {
        self.their_can.contains(&capability)
    }

    /// Both said that they are in one room.
    pub(crate) fn is_same_room(&self) -> bool {
        self.same_room
    }

    /// What the dialer is let in with; `None`: both are in the room already.
    pub(crate) fn enters(&self) -> Option<Brings> {
        self.enters
    }

    /// The lock whose password lets the dialer in.
    pub(crate) fn lock(&self) -> Option<RecordId> {
        self.lock
    }

    /// The peer, once it is known.
    pub(crate) fn member(&self) -> Option<MemberId> {
        match &self.stage {
            Stage::Agreeing(agreement) => Some(agreement.member()),
            Stage::Linked(link) => Some(link.member),
            Stage::Lane(lane) => Some(lane.member),
            Stage::Opening | Stage::Planned => None,
        }
    }

    /// What is being agreed on.
    pub(crate) fn agreement(&self) -> Option<&Agreement> {
        match &self.stage {
            Stage::Agreeing(agreement) => Some(agreement),
            _ => None,
        }
    }

    pub(super) fn agreement_mut(&mut self) -> Option<&mut Agreement> {
        match &mut self.stage {
            Stage::Agreeing(agreement) => Some(agreement),
            _ => None,
        }
    }

    /// The link that it is.
    pub(crate) fn link(&self) -> Option<&Link> {
        match &self.stage {
            Stage::Linked(link) => Some(link),
            _ => None,
        }
    }

    pub(super) fn link_mut(&mut self) -> Option<&mut Link> {
        match &mut self.stage {
            Stage::Linked(link) => Some(link),
            _ => None,
        }
    }

    /// The lane that it is.
    pub(crate) fn lane(&self) -> Option<Lane> {
        match &self.stage {
            Stage::Lane(lane) => Some(*lane),
            _ => None,
        }
    }
}
