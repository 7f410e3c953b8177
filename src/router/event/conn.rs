//! How connections begin and end, and what handshakes go on with and give.

use core::net::SocketAddr;
use std::sync::Arc;

use crate::crypto::password::Password;
use crate::crypto::room_key::RoomKey;
use crate::router::ids::RoomId;
use crate::router::message::{KeyMark, Refusal};
use crate::router::signed::SignedRecord;

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
    /// One room: prove knowledge of its keys, newest first.
    Prove {
        /// The room.
        room: RoomId,
        /// Every kept key.
        keys: Vec<(KeyMark, RoomKey)>,
    },
    /// Two fresh open rooms: exchange {room, key}.
    Merge {
        /// One's own room.
        room: RoomId,
        /// Its key.
        key: RoomKey,
    },
    /// Admit a newcomer: after OPAQUE if the newest record holds a lock, then send it.
    Grant {
        /// The room.
        room: RoomId,
        /// The newest record.
        record: Arc<SignedRecord>,
    },
    /// Be admitted.
    Join {
        /// The password; `None` for an open room.
        password: Option<Password>,
    },
}

/// What the handshake gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The peer proved these keys, which this node has too, newest first; and named these.
    Proven {
        /// The newest key that both have.
        common: KeyMark,
        /// The newest that the peer has.
        newest: KeyMark,
    },
    /// The peer's room and key.
    Merged {
        /// Room.
        room: RoomId,
        /// Key.
        key: RoomKey,
    },
    /// The newcomer was admitted.
    Granted,
    /// We were admitted.
    Joined {
        /// The room.
        room: RoomId,
        /// Its newest record.
        record: Arc<SignedRecord>,
    },
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
