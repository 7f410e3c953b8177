//! The signed form of invitations. They are not part of the register: members tell each other the
//! valid ones, and a ticket by invitation contains its own.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{SignedError, parse, to_bytes};
use crate::crypto::hash::digest;
use crate::crypto::identity::{self, Identity};
use crate::router::ids::{Digest32, InvitationId, MemberId, RecordId, RoomId};

/// Longest signed bytes of an invitation; a full one of this version has 400.
const INVITATION_MAX_BYTES: usize = 1024;

const INVITATION: &[u8] = b"klatch invitation 1\0";
const INVITATION_SIGNATURE: &[u8] = b"klatch invitation signature 1\0";
const INVITE_ROOM: &[u8] = b"klatch invite room 1\0";

/// What its maker states about an invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Who made it.
    pub maker: MemberId,
    /// The maker's ticket, below which guests get theirs. `None`: the maker is the founder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<RecordId>,
    /// Ed25519 public key, derived from the guest's secret.
    pub key: Digest32,
    /// Names the find key ([`crate::crypto::invite::FindKey::hash`]).
    pub find: Digest32,
    /// When it expires, in milliseconds since 1970 UTC by the answering member's clock.
    pub until: i64,
    /// Most guests that it admits; `None`: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
}

/// An invitation whose signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedInvitation {
    /// SHA-256 over label, room and bytes.
    pub id: InvitationId,
    /// The signed bytes.
    pub bytes: Box<[u8]>,
    /// Ed25519 by the maker over label and id.
    pub signature: [u8; 64],
    /// The bytes, parsed.
    pub body: Invitation,
}

impl SignedInvitation {
    /// Signs one's own invitation for `room`.
    #[must_use]
    pub fn sign(room: &RoomId, me: &Identity, body: Invitation) -> Arc<Self> {
        let bytes = to_bytes(&body);
        let id = invitation_id(room, &bytes);
        let signature = me.sign(&[INVITATION_SIGNATURE, &id.0].concat());
        Arc::new(Self { id, bytes, signature, body })
    }

    /// Verifies, then parses.
    ///
    /// # Errors
    /// When the bytes are too long, of the wrong form, or not signed by the maker that they name.
    pub fn verify(
        room: &RoomId,
        bytes: &[u8],
        signature: &[u8; 64],
    ) -> Result<Arc<Self>, SignedError> {
        if bytes.len() > INVITATION_MAX_BYTES {
            return Err(SignedError::TooLarge);
        }
        let body: Invitation = parse(bytes)?;
        let id = invitation_id(room, bytes);
        let message = [INVITATION_SIGNATURE, &id.0].concat();
        if !identity::verify(&body.maker.0, &message, signature) {
            return Err(SignedError::Signature);
        }
        Ok(Arc::new(Self { id, bytes: bytes.into(), signature: *signature, body }))
    }
}

fn invitation_id(room: &RoomId, bytes: &[u8]) -> InvitationId {
    InvitationId(digest(&[INVITATION, &room.0, bytes]))
}

/// Identifies room and maker in the guest's text: 8 bytes of SHA-256 over label, room and maker.
#[must_use]
pub fn room_hint(room: &RoomId, maker: &MemberId) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = digest(&[INVITE_ROOM, &room.0, &maker.0]);
    [a, b, c, d, e, f, g, h]
}
