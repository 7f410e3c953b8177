//! What two sides say before they are linked, in the order of the handshake.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::bytes::{Blob, Signature};
use super::{WireError, WireRefusal, at_most, encode};
use crate::crypto::room_key::RoomKey;
use crate::limits::Limits;
use crate::router::ids::{Digest32, MemberId, RecordHash, RoomId, RunId};
use crate::router::message::{Hello, KeyMark, Refusal};
use crate::router::signed::SignedRecord;

/// The minor version of the protocol that this program speaks.
pub const MINOR: u16 = 0;

/// A record of the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// The first record of both sides.
    Hello {
        /// Highest minor version of the protocol that the sender speaks.
        minor: u16,
        /// What the sender says about itself.
        hello: Hello,
        /// Its room, hashed for this connection (`binding::room_tag`).
        tag: [u8; 32],
    },
    /// The connection ends here, and why.
    Refuse(Refusal),
    /// Proofs of the room keys that the sender keeps, newest first.
    Keys(Vec<Proven>),
    /// The sender's fresh open room.
    Room {
        /// Its id.
        room: RoomId,
        /// Its key.
        key: RoomKey,
    },
    /// A message of OPAQUE (RFC 9807): KE1, KE2, KE3 are numbered 1, 2, 3.
    Password {
        /// Which.
        step: u8,
        /// The message.
        bytes: Vec<u8>,
    },
    /// The newcomer is admitted: the room and its newest lock record.
    Grant {
        /// The room.
        room: RoomId,
        /// The record; its signature was verified.
        record: Arc<SignedRecord>,
    },
    /// Who the sender is.
    Identity {
        /// Its public key.
        member: MemberId,
        /// Over `binding::identity_message`; not verified here.
        signature: [u8; 64],
    },
    /// The lane may be used.
    Ready,
}

/// The proof of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proven {
    /// Which key.
    pub mark: KeyMark,
    /// `binding::key_proof`.
    pub proof: [u8; 32],
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Wire<'a> {
    Hello(WireHello),
    Refuse(WireRefusal<'a>),
    Keys { list: Vec<WireProof> },
    Room { room: RoomId, key: Digest32 },
    Opaque1 { bytes: Blob<'a> },
    Opaque2 { bytes: Blob<'a> },
    Opaque3 { bytes: Blob<'a> },
    Grant { room: RoomId, bytes: Blob<'a>, signature: Signature, mac: Digest32 },
    Identity { key: MemberId, signature: Signature },
    Ready,
}

#[derive(Serialize, Deserialize)]
struct WireHello {
    minor: u16,
    run: RunId,
    settled: bool,
    locked: bool,
    #[serde(default)]
    joining: bool,
    #[serde(default)]
    moves: bool,
    #[serde(default)]
    password: bool,
    tag: Digest32,
}

#[derive(Serialize, Deserialize)]
struct WireProof {
    epoch: u64,
    locked: bool,
    hash: RecordHash,
    proof: Digest32,
}

impl Opening {
    /// Its bytes.
    ///
    /// # Errors
    /// [`WireError::TooLong`] above `limits.message_max_bytes`.
    pub fn encode(&self, limits: &Limits) -> Result<Vec<u8>, WireError> {
        let mut out = Vec::new();
        encode(&self.to_wire(), limits.message_max_bytes, &mut out)?;
        Ok(out)
    }

    /// Reads a record of the handshake; a grant's signature is verified.
    ///
    /// # Errors
    /// [`WireError`]: a form that does not fit, a kind that is not known, too many key proofs, a
    /// lock record that nobody signed.
    pub fn decode(plain: &[u8], limits: &Limits) -> Result<Self, WireError> {
        let wire = serde_json::from_slice(plain).map_err(|error| WireError::form(&error))?;
        Self::from_wire(wire, limits)
    }

    fn to_wire(&self) -> Wire<'_> {
        match self {
            Self::Hello { minor, hello, tag } => Wire::Hello(WireHello {
                minor: *minor,
                run: hello.run,
                settled: hello.settled,
                locked: hello.locked,
                joining: hello.joining,
                moves: hello.moves,
                password: hello.password,
                tag: Digest32(*tag),
            }),
            Self::Refuse(refusal) => Wire::Refuse(refusal.into()),
            Self::Keys(list) => Wire::Keys { list: list.iter().map(WireProof::from).collect() },
            Self::Room { room, key } => Wire::Room { room: *room, key: Digest32(*key.as_bytes()) },
            Self::Password { step: 1, bytes } => Wire::Opaque1 { bytes: Blob::of(bytes) },
            Self::Password { step: 2, bytes } => Wire::Opaque2 { bytes: Blob::of(bytes) },
            Self::Password { bytes, .. } => Wire::Opaque3 { bytes: Blob::of(bytes) },
            Self::Grant { room, record } => Wire::Grant {
                room: *room,
                bytes: Blob::of(&record.bytes),
                signature: Signature(record.signature),
                mac: Digest32(record.mac),
            },
            Self::Identity { member, signature } => {
                Wire::Identity { key: *member, signature: Signature(*signature) }
            }
            Self::Ready => Wire::Ready,
        }
    }

    fn from_wire(wire: Wire<'_>, limits: &Limits) -> Result<Self, WireError> {
        let password = |step, bytes: Blob<'_>| Self::Password { step, bytes: bytes.0.into() };
        Ok(match wire {
            Wire::Hello(wire) => Self::Hello {
                minor: wire.minor,
                hello: Hello {
                    run: wire.run,
                    settled: wire.settled,
                    locked: wire.locked,
                    joining: wire.joining,
                    moves: wire.moves,
                    password: wire.password,
                },
                tag: wire.tag.0,
            },
            Wire::Refuse(refusal) => Self::Refuse(refusal.into()),
            Wire::Keys { list } => {
                at_most("key proofs", list.len(), limits.lock_records)?;
                Self::Keys(list.into_iter().map(Proven::from).collect())
            }
            Wire::Room { room, key } => Self::Room { room, key: RoomKey::from_bytes(key.0) },
            Wire::Opaque1 { bytes } => password(1, bytes),
            Wire::Opaque2 { bytes } => password(2, bytes),
            Wire::Opaque3 { bytes } => password(3, bytes),
            Wire::Grant { room, bytes, signature, mac } => {
                let record = SignedRecord::verify(&room, &bytes.0, &signature.0, &mac.0)?;
                Self::Grant { room, record }
            }
            Wire::Identity { key, signature } => {
                Self::Identity { member: key, signature: signature.0 }
            }
            Wire::Ready => Self::Ready,
        })
    }
}

impl From<&Proven> for WireProof {
    fn from(proven: &Proven) -> Self {
        let KeyMark { epoch, locked, hash } = proven.mark;
        Self { epoch, locked, hash, proof: Digest32(proven.proof) }
    }
}

impl From<WireProof> for Proven {
    fn from(wire: WireProof) -> Self {
        let mark = KeyMark { epoch: wire.epoch, locked: wire.locked, hash: wire.hash };
        Self { mark, proof: wire.proof.0 }
    }
}
