//! Events and values of connections and handshakes.

use core::net::SocketAddr;
use std::sync::Arc;

use crate::crypto::invite::FindKey;
use crate::crypto::opaque::PasswordData;
use crate::crypto::password::Password;
use crate::router::ids::{MemberId, RoomId, RoomNonce};
use crate::router::invite_link::InviteLink;
use crate::router::membership::record::How;
use crate::router::message::{Refusal, Why};
use crate::router::signed::{Claim, SignedInvitation, SignedRecord};

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// The peer refused, and said why.
    Refused(Refusal),
    /// This side refused.
    ByUs,
    /// The socket closed.
    Gone,
    /// Nothing came for too long.
    Silent,
    /// What came was no valid protocol.
    Protocol(String),
}

/// What the handshake goes on with, decided by both Hellos.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// One room: both show who they are, and each looks the other up.
    Recognise {
        /// The room.
        room: RoomId,
        /// What makes this node a member, should the peer not know it.
        chain: Vec<Arc<SignedRecord>>,
    },
    /// Let a newcomer in.
    Admit {
        /// The room.
        home: Home,
        /// By which way.
        entrance: Entrance,
    },
    /// Be let in.
    Enter(Entry),
}

/// A room as its members show it to newcomers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Its id, made of the two below.
    pub room: RoomId,
    /// Who founded it.
    pub founder: MemberId,
    /// The founder's nonce.
    pub nonce: RoomNonce,
    /// What makes the one who shows it a member, parents first.
    pub chain: Vec<Arc<SignedRecord>>,
}

/// How a newcomer is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entrance {
    /// The room is open.
    Open,
    /// It has to know the password.
    Password(PasswordData),
    /// It has to hold one of these.
    Invitations(Vec<Findable>),
}

/// An invitation that a guest may turn out to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findable {
    /// The invitation.
    pub invitation: Arc<SignedInvitation>,
    /// By what its guest is known.
    pub find: FindKey,
    /// It lets nobody in any more, and why.
    pub over: Option<Why>,
    /// What makes its maker a member, parents first.
    pub chain: Vec<Arc<SignedRecord>>,
}

/// What a newcomer brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Nothing: an open room is entered.
    Open,
    /// The password of the room.
    Password(Password),
    /// An invitation.
    Invitation(InviteLink),
}

/// What the handshake gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Both are in one room and know each other.
    Recognised,
    /// The newcomer proved what it had to.
    Admitted {
        /// How it is let in.
        how: How,
        /// What it gave for its ticket, by invitation.
        claim: Option<Claim>,
    },
    /// We were let in, and the router found the room to be what it should be.
    Entered(Home),
}

/// Where to dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// What a person typed.
    Host {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A known address.
    Addr(SocketAddr),
}
