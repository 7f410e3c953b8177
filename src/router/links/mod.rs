//! Connections and links as values: what a connection is for, how far it is, and the one rule by
//! which two Hellos decide what happens.

mod pulse;

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::crypto::binding::{Role, Side};
use crate::router::ids::{Digest32, MemberId, RecordId, RoomId, RunId};
use crate::router::message::{Brings, Hello, Why};
use crate::router::registry::Registry;
use crate::router::signed::{SignedPresence, SignedRecord};
use crate::router::time::Millis;

/// What both ends conclude from both Hellos.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing comes of it.
    Refuse(Why),
    /// One room: both show who they are.
    Recognise,
    /// The dialer enters the listener's room with what it brings.
    Enter(Brings),
}

/// The one rule, the same at both ends: it sees nothing but the Hellos and who dialled. Only a
/// dialer moves, so no stranger moves anybody.
#[must_use]
pub fn decide(dialer: &Hello, listener: &Hello, same_room: bool) -> Verdict {
    let free = !dialer.settled && !dialer.locked;
    let refuse = match dialer.brings {
        _ if dialer.run == listener.run => Why::SelfConnect,
        Brings::Password if !listener.locked => Why::NotLocked,
        Brings::Password if !listener.password => Why::NoPassword,
        Brings::Password | Brings::Invitation if same_room || free => {
            return Verdict::Enter(dialer.brings);
        }
        Brings::Password | Brings::Invitation => Why::InARoom,
        Brings::Nothing if same_room => return Verdict::Recognise,
        Brings::Nothing if !dialer.moves => Why::OtherRoom,
        Brings::Nothing if !free && dialer.settled => Why::InARoom,
        Brings::Nothing if !free => Why::DialerLocked,
        Brings::Nothing if listener.locked => Why::Locked,
        Brings::Nothing => return Verdict::Enter(Brings::Nothing),
    };
    Verdict::Refuse(refuse)
}

/// Why this node dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::router) enum Purpose {
    /// A person's `connect`, by the number of its attempt.
    Attempt(u64),
    /// A known member, without moving anyone.
    Redial(MemberId),
    /// To fetch from a member.
    Lane(MemberId),
    /// To serve a member that cannot dial here.
    Serve(MemberId),
}

/// What is known once the peer is, until both are ready.
#[derive(Debug)]
pub(in crate::router) struct Agreement {
    pub(in crate::router) member: MemberId,
    pub(in crate::router) room: RoomId,
    pub(in crate::router) reason: Reason,
    /// Our register when we named it.
    pub(in crate::router) my_digest: Option<Digest32>,
    pub(in crate::router) their_digest: Option<Digest32>,
    pub(in crate::router) sent_ids: bool,
    pub(in crate::router) their_ids: BTreeSet<RecordId>,
    /// Records that came.
    pub(in crate::router) records_heard: usize,
    /// All of them came.
    pub(in crate::router) ids_heard: bool,
    pub(in crate::router) sent_ready: bool,
    /// An older link of this pair was pinged then.
    pub(in crate::router) doubts: Option<Millis>,
    pub(in crate::router) presence: Option<Arc<SignedPresence>>,
    /// The peer is ready; our address as it sees it.
    pub(in crate::router) ready: Option<IpAddr>,
}

/// Why the two may link.
#[derive(Debug)]
pub(in crate::router) enum Reason {
    /// Both are in the room.
    Recognised,
    /// We let the peer in with this ticket.
    Admitted { ticket: Arc<SignedRecord> },
    /// We were let in: what we know of the room.
    Entered { registry: Box<Registry> },
}

/// How far a connection is.
#[derive(Debug)]
pub(in crate::router) enum Stage {
    /// Dialled, or its Hello is under way.
    Opening,
    /// A plan is being carried out.
    Planned,
    /// The peer is known.
    Agreeing(Box<Agreement>),
    /// A session of the room.
    Linked(Box<Link>),
    /// A data connection; `bool`: this side fetches.
    Lane { member: MemberId, fetch: bool, open: bool },
}

/// A connection of any kind.
#[derive(Debug)]
pub(in crate::router) struct Conn {
    pub(in crate::router) side: Side,
    pub(in crate::router) role: Role,
    pub(in crate::router) remote: Option<SocketAddr>,
    pub(in crate::router) purpose: Option<Purpose>,
    pub(in crate::router) began: Millis,
    pub(in crate::router) my_hello: Option<(Hello, RoomId)>,
    pub(in crate::router) their_run: Option<RunId>,
    /// A password admits to the peer's room.
    pub(in crate::router) their_password: bool,
    pub(in crate::router) same_room: bool,
    /// The dialer is let in with this; `None`: both are in the room already.
    pub(in crate::router) enters: Option<Brings>,
    /// The lock whose password lets the dialer in.
    pub(in crate::router) lock: Option<RecordId>,
    pub(in crate::router) stage: Stage,
}

impl Conn {
    pub(in crate::router) fn new(side: Side, role: Role, began: Millis) -> Self {
        Self {
            side,
            role,
            remote: None,
            purpose: None,
            began,
            my_hello: None,
            their_run: None,
            their_password: false,
            same_room: false,
            enters: None,
            lock: None,
            stage: Stage::Opening,
        }
    }

    pub(in crate::router) fn agreement(&self) -> Option<&Agreement> {
        match &self.stage {
            Stage::Agreeing(agreement) => Some(agreement),
            _ => None,
        }
    }

    /// The room that was entered, and what is known of it.
    pub(in crate::router) fn take_entered(&mut self) -> Option<(RoomId, Registry)> {
        let agreement = match std::mem::replace(&mut self.stage, Stage::Planned) {
            Stage::Agreeing(agreement) => *agreement,
            other => {
                self.stage = other;
                return None;
            }
        };
        match agreement.reason {
            Reason::Entered { registry } => Some((agreement.room, *registry)),
            _ => None,
        }
    }

    pub(in crate::router) fn link(&self) -> Option<&Link> {
        match &self.stage {
            Stage::Linked(link) => Some(link),
            _ => None,
        }
    }

    pub(in crate::router) fn link_mut(&mut self) -> Option<&mut Link> {
        match &mut self.stage {
            Stage::Linked(link) => Some(link),
            _ => None,
        }
    }
}

/// A committed link: what is known of the peer, and what is still to be said to it.
///
/// Nothing waits here as a copy: everything to say is a mark, and becomes a message when the
/// outbox has room.
#[derive(Debug)]
pub(in crate::router) struct Link {
    pub(in crate::router) member: MemberId,
    pub(in crate::router) run: RunId,
    pub(in crate::router) congested: Option<Millis>,

    pub(in crate::router) heard: Millis,
    pub(in crate::router) pinged: Option<(u32, Millis)>,
    pub(in crate::router) rtt_ms: u64,
    /// It was measured.
    pub(in crate::router) rtt_known: bool,

    pub(in crate::router) pong: Option<u32>,
}

impl Link {
    pub(in crate::router) fn new(member: MemberId, run: RunId, now: Millis) -> Self {
        Self {
            member,
            run,
            congested: None,
            heard: now,
            pinged: None,
            rtt_ms: 0,
            rtt_known: false,
            pong: None,
        }
    }
}

/// An address in the form in which it is compared and counted.
pub(in crate::router) fn plain_ip(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}
