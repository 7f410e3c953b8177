//! What two sides say before they are linked, in the order of the handshake.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::bytes::{Blob, Signature};
use super::message::{WireSigned, records};
use super::{WireError, WireRefusal, encode};
use crate::limits::Limits;
use crate::router::ids::{Digest32, MemberId, RoomId, RoomNonce, RunId};
use crate::router::message::{Brings, Capability, Hello, Refusal};
use crate::router::signed::{SignedInvitation, SignedRecord};

/// Most bytes of a record before admission: everything is small then. Records that contain other
/// records may be longer; they are accepted only from members and from those that we dialled.
pub const RECORD_MAX_BYTES: usize = 4 * 1024;

/// A record of the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// The first record of both sides.
    Hello {
        /// What the sender says about itself.
        hello: Hello,
        /// Its room, hashed for this connection (`binding::room_tag`).
        tag: [u8; 32],
    },
    /// The connection ends, with the reason.
    Refuse(Refusal),
    /// The sender's identity, in a room that both know.
    Identity {
        /// Its public key.
        member: MemberId,
        /// Over `binding::identity_message`; not verified here.
        signature: [u8; 64],
    },
    /// The sender's key, before it knows the room.
    Newcomer {
        /// Its public key.
        member: MemberId,
        /// Over `binding::newcomer_message`; not verified here.
        signature: [u8; 64],
    },
    /// The sender's register lets the peer link.
    Known,
    /// It does not: the peer must show its chain.
    Unknown,
    /// A part of the tickets that make the sender a member, parents first.
    Chain {
        /// The records that contain them; their signatures were verified.
        list: Vec<Arc<SignedRecord>>,
        /// The chain ends with this.
        last: bool,
    },
    /// The newcomer is admitted: the room's id is computed from these.
    Grant {
        /// The founder.
        founder: MemberId,
        /// Its nonce.
        nonce: RoomNonce,
    },
    /// A message of OPAQUE (RFC 9807): KE1, KE2, KE3 are numbered 1, 2, 3.
    Password {
        /// Which of them.
        step: u8,
        /// The message.
        bytes: Vec<u8>,
    },
    /// The guest knows the secret of an invitation (`binding::find_proof`).
    Find([u8; 32]),
    /// The member knows the find key as well.
    Found([u8; 32]),
    /// The guest's key, and proof that it has the invitation.
    Guest {
        /// Its public key.
        member: MemberId,
        /// By the guest over `binding::newcomer_message`.
        signature: [u8; 64],
        /// By the invitation's key over `binding::guest_message`.
        invitation: [u8; 64],
    },
    /// The invitation that was found; its signature was verified.
    Invitation(Arc<SignedInvitation>),
    /// By the invitation's key over `Claim::message`; the guest's ticket will carry it.
    Claim([u8; 64]),
    /// The lane may be used.
    Ready,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum WireOpening<'a> {
    #[serde(borrow)]
    Hello(WireHello<'a>),
    Refuse(WireRefusal<'a>),
    Identity {
        key: MemberId,
        signature: Signature,
    },
    Newcomer {
        key: MemberId,
        signature: Signature,
    },
    Known,
    Unknown,
    Chain {
        list: Vec<WireSigned<'a>>,
        last: bool,
    },
    Grant {
        founder: MemberId,
        nonce: Digest32,
    },
    Opaque1 {
        bytes: Blob<'a>,
    },
    Opaque2 {
        bytes: Blob<'a>,
    },
    Opaque3 {
        bytes: Blob<'a>,
    },
    Find {
        proof: Digest32,
    },
    Found {
        proof: Digest32,
    },
    Guest {
        key: MemberId,
        signature: Signature,
        invitation: Signature,
    },
    Invitation(WireSigned<'a>),
    Claim {
        signature: Signature,
    },
    Ready,
}

#[derive(Serialize, Deserialize)]
struct WireHello<'a> {
    run: RunId,
    settled: bool,
    locked: bool,
    #[serde(default)]
    password: bool,
    #[serde(default)]
    moves: bool,
    #[serde(default)]
    brings: WireBrings,
    /// Unknown words are from a later klatch.
    #[serde(default, borrow)]
    can: Vec<Cow<'a, str>>,
    tag: Digest32,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireBrings {
    #[default]
    Nothing,
    Password,
    Invitation,
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

    /// Reads a record of the handshake. What is signed for a room is verified for `room`: one's
    /// own, or the one that was granted.
    ///
    /// # Errors
    /// [`WireError`]: a wrong form, an unknown kind, too many records, or one that nobody signed.
    pub fn decode(plain: &[u8], room: &RoomId) -> Result<Self, WireError> {
        let wire = serde_json::from_slice(plain).map_err(|error| WireError::form(&error))?;
        Self::from_wire(wire, room)
    }

    fn to_wire(&self) -> WireOpening<'_> {
        match self {
            Self::Hello { hello, tag } => WireOpening::Hello(WireHello {
                run: hello.run,
                settled: hello.settled,
                locked: hello.locked,
                password: hello.password,
                moves: hello.moves,
                brings: hello.brings.into(),
                can: hello.can.iter().map(|of| of.word().into()).collect(),
                tag: Digest32(*tag),
            }),
            Self::Refuse(refusal) => WireOpening::Refuse(refusal.into()),
            Self::Identity { member, signature } => {
                WireOpening::Identity { key: *member, signature: Signature(*signature) }
            }
            Self::Newcomer { member, signature } => {
                WireOpening::Newcomer { key: *member, signature: Signature(*signature) }
            }
            Self::Known => WireOpening::Known,
            Self::Unknown => WireOpening::Unknown,
            Self::Chain { list, last } => {
                let list = list.iter().map(|of| WireSigned::of(&of.bytes, &of.signature));
                WireOpening::Chain { list: list.collect(), last: *last }
            }
            Self::Grant { founder, nonce } => {
                WireOpening::Grant { founder: *founder, nonce: Digest32(*nonce) }
            }
            Self::Password { step: 1, bytes } => WireOpening::Opaque1 { bytes: Blob::of(bytes) },
            Self::Password { step: 2, bytes } => WireOpening::Opaque2 { bytes: Blob::of(bytes) },
            Self::Password { bytes, .. } => WireOpening::Opaque3 { bytes: Blob::of(bytes) },
            Self::Find(proof) => WireOpening::Find { proof: Digest32(*proof) },
            Self::Found(proof) => WireOpening::Found { proof: Digest32(*proof) },
            Self::Guest { member, signature, invitation } => WireOpening::Guest {
                key: *member,
                signature: Signature(*signature),
                invitation: Signature(*invitation),
            },
            Self::Invitation(of) => {
                WireOpening::Invitation(WireSigned::of(&of.bytes, &of.signature))
            }
            Self::Claim(signature) => WireOpening::Claim { signature: Signature(*signature) },
            Self::Ready => WireOpening::Ready,
        }
    }

    fn from_wire(wire: WireOpening<'_>, room: &RoomId) -> Result<Self, WireError> {
        let password = |step, bytes: Blob<'_>| Self::Password { step, bytes: bytes.0.into() };
        Ok(match wire {
            WireOpening::Hello(wire) => Self::Hello {
                hello: Hello {
                    run: wire.run,
                    settled: wire.settled,
                    locked: wire.locked,
                    password: wire.password,
                    moves: wire.moves,
                    brings: wire.brings.into(),
                    can: wire.can.iter().filter_map(|word| Capability::of(word)).collect(),
                },
                tag: wire.tag.0,
            },
            WireOpening::Refuse(refusal) => Self::Refuse(refusal.in_room(room)),
            WireOpening::Identity { key, signature } => {
                Self::Identity { member: key, signature: signature.0 }
            }
            WireOpening::Newcomer { key, signature } => {
                Self::Newcomer { member: key, signature: signature.0 }
            }
            WireOpening::Known => Self::Known,
            WireOpening::Unknown => Self::Unknown,
            WireOpening::Chain { list, last } => Self::Chain { list: records(&list, room)?, last },
            WireOpening::Grant { founder, nonce } => Self::Grant { founder, nonce: nonce.0 },
            WireOpening::Opaque1 { bytes } => password(1, bytes),
            WireOpening::Opaque2 { bytes } => password(2, bytes),
            WireOpening::Opaque3 { bytes } => password(3, bytes),
            WireOpening::Find { proof } => Self::Find(proof.0),
            WireOpening::Found { proof } => Self::Found(proof.0),
            WireOpening::Guest { key, signature, invitation } => {
                Self::Guest { member: key, signature: signature.0, invitation: invitation.0 }
            }
            WireOpening::Invitation(of) => {
                let (bytes, signature) = of.parts();
                Self::Invitation(SignedInvitation::verify(room, bytes, signature)?)
            }
            WireOpening::Claim { signature } => Self::Claim(signature.0),
            WireOpening::Ready => Self::Ready,
        })
    }
}

impl From<Brings> for WireBrings {
    fn from(brings: Brings) -> Self {
        match brings {
            Brings::Nothing => Self::Nothing,
            Brings::Password => Self::Password,
            Brings::Invitation => Self::Invitation,
        }
    }
}

impl From<WireBrings> for Brings {
    fn from(brings: WireBrings) -> Self {
        match brings {
            WireBrings::Nothing => Self::Nothing,
            WireBrings::Password => Self::Password,
            WireBrings::Invitation => Self::Invitation,
        }
    }
}
