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
    /// A timeout.
    Silent,
    /// The peer violated the protocol.
    Protocol(String),
}

/// How the handshake continues, decided by both Hellos.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// One room: both show their identities, and each looks the other up.
    Recognise {
        /// The room.
        room: RoomId,
        /// This node's chain, for a peer that does not know this node.
        chain: Vec<Arc<SignedRecord>>,
    },
    /// Admit a newcomer.
    Admit {
        /// The room.
        home: Home,
        /// What lets it in.
        entrance: Entrance,
    },
    /// Enter the peer's room.
    Enter(Entry),
}

/// A room as a member shows it to newcomers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Its id, computed from the next two fields.
    pub room: RoomId,
    /// Who founded it.
    pub founder: MemberId,
    /// The founder's nonce.
    pub nonce: RoomNonce,
    /// The chain of the member that shows it, parents first.
    pub chain: Vec<Arc<SignedRecord>>,
}

/// What a newcomer needs to be admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entrance {
    /// Nothing: the room is open.
    Open,
    /// The password.
    Password(PasswordData),
    /// One of these invitations.
    Invitations(Vec<Findable>),
}

/// An invitation that a guest may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findable {
    /// The invitation.
    pub invitation: Arc<SignedInvitation>,
    /// The key by which its guest is recognised.
    pub find: FindKey,
    /// Why it has ended, if it has.
    pub over: Option<Why>,
    /// Its maker's chain, parents first.
    pub chain: Vec<Arc<SignedRecord>>,
}

/// What a newcomer brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Nothing, for an open room.
    Open,
    /// The password of the room.
    Password(Password),
    /// An invitation.
    Invitation(InviteLink),
}

/// The result of a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Both are in one room and know each other.
    Recognised,
    /// The newcomer proved what it had to.
    Admitted {
        /// How it is admitted.
        how: How,
        /// Its claim, if it came by invitation.
        claim: Option<Claim>,
    },
    /// We were admitted, and the router accepted the room.
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
