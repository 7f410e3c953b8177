//! Binds everything said in a handshake to one connection.
//!
//! Noise's NN pattern authenticates neither side: a man in the middle can have a channel with each.
//! But the two channels have different handshake hashes (Noise specification, 11.2), and every tag,
//! proof and signature covers the hash of its channel, so none is valid in another. It also covers
//! the side that makes it (so that it cannot be reflected) and the role, and begins with a label of
//! its kind. All fields have a fixed length, so no two lists of fields give the same bytes.

use super::hash;
use super::noise::HandshakeHash;

/// The first bytes of everything that is hashed, MACed or signed: the protocol, its major version
/// and the kind. All labels have the same length, so none is the beginning of another, and each
/// names one kind in all of klatch.
pub type Label = [u8; 24];

/// Bytes of a room tag or a MAC.
pub const TAG_BYTES: usize = 32;

const ROOM_TAG: Label = *b"klatch/1 room tag       ";
const IDENTITY: Label = *b"klatch/1 identity       ";
const NEWCOMER: Label = *b"klatch/1 newcomer       ";
const PASSWORD: Label = *b"klatch/1 password       ";
const FIND: Label = *b"klatch/1 find           ";
const GUEST: Label = *b"klatch/1 guest          ";

/// A side of a connection. The values are part of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Side {
    /// Who opened the connection: Noise's initiator.
    Dialer = 1,
    /// Who accepted it: Noise's responder.
    Listener = 2,
}

impl Side {
    /// The side at the other end.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Dialer => Self::Listener,
            Self::Listener => Self::Dialer,
        }
    }

    /// Its fixed value.
    #[must_use]
    pub fn byte(self) -> u8 {
        self as u8
    }
}

/// What a connection is for; declared by the dialer. The values are part of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Role {
    /// Control messages between two members.
    Session = 1,
    /// Chunks, asked for by the dialer.
    LaneFetch = 2,
    /// Chunks, served by the dialer.
    LaneServe = 3,
}

impl Role {
    /// Its fixed value.
    #[must_use]
    pub fn byte(self) -> u8 {
        self as u8
    }

    /// The role with this value, if this version knows it.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Session, Self::LaneFetch, Self::LaneServe].into_iter().find(|r| r.byte() == byte)
    }
}

/// The connection, and the side of it, that a tag, proof or signature is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// The side that *makes* it. To check, pass the other side's binding.
    pub side: Side,
    /// What the connection is for.
    pub role: Role,
    /// The connection itself.
    pub h: HandshakeHash,
}

impl Binding {
    /// The same connection, for what the other side makes.
    #[must_use]
    pub fn other_side(self) -> Self {
        Self { side: self.side.other(), ..self }
    }

    /// The bytes: label, side, role, handshake hash, then `fields`, each of a fixed length.
    fn message(&self, label: &Label, fields: &[&[u8]]) -> Vec<u8> {
        let mut bytes = label.to_vec();
        bytes.extend([self.side.byte(), self.role.byte()]);
        bytes.extend(self.h.0);
        bytes.extend(fields.concat());
        bytes
    }
}

/// The room's id, hashed for this connection: members of one room recognise each other by it, and
/// others learn nothing from it, because room ids are random.
#[must_use]
pub fn room_tag(binding: &Binding, room: &[u8; 32]) -> [u8; TAG_BYTES] {
    hash::digest(&[&binding.message(&ROOM_TAG, &[room])])
}

/// What a member signs to prove its identity in this connection and room.
#[must_use]
pub fn identity_message(binding: &Binding, room: &[u8; 32]) -> Vec<u8> {
    binding.message(&IDENTITY, &[room])
}

/// What a newcomer signs to prove its identity before it knows the room. `entrance` is the public
/// key of the invitation that it brings, or zeros.
#[must_use]
pub fn newcomer_message(binding: &Binding, entrance: &[u8; 32]) -> Vec<u8> {
    binding.message(&NEWCOMER, &[entrance])
}

/// Proves knowledge of an invitation's secret, and tells a stranger nothing: HMAC-SHA256 under
/// `find`, which is derived from the secret. The guest sends its proof first, then the member.
#[must_use]
pub fn find_proof(binding: &Binding, find: &[u8; 32]) -> [u8; TAG_BYTES] {
    hash::hmac(find, &binding.message(&FIND, &[]))
}

/// Whether `proof` is the [`find_proof`] of the side that `binding` names, in constant time.
#[must_use]
pub fn check_find_proof(binding: &Binding, find: &[u8; 32], proof: &[u8; TAG_BYTES]) -> bool {
    hash::check_hmac(find, &binding.message(&FIND, &[]), proof)
}

/// What an invitation's key signs: its holder is in this connection, as `guest`.
#[must_use]
pub fn guest_message(binding: &Binding, guest: &[u8; 32], invitation: &[u8; 32]) -> Vec<u8> {
    binding.message(&GUEST, &[guest, invitation])
}

/// OPAQUE's context (RFC 9807): an exchange that a man in the middle relays fails, because its two
/// ends have different contexts. The newcomer is always the dialer, and the role is in the prologue
/// that `h` covers, so neither is repeated here.
#[must_use]
pub fn password_context(h: &HandshakeHash) -> Vec<u8> {
    [&PASSWORD[..], &h.0[..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: [u8; 32] = [1; 32];
    const KEY: [u8; 32] = [2; 32];

    fn binding() -> Binding {
        Binding { side: Side::Dialer, role: Role::Session, h: HandshakeHash([3; 32]) }
    }

    /// The binding with each of its fields changed, one at a time.
    fn others() -> Vec<Binding> {
        let mine = binding();
        vec![
            mine.other_side(),
            Binding { role: Role::LaneFetch, ..mine },
            Binding { role: Role::LaneServe, ..mine },
            Binding { h: HandshakeHash([4; 32]), ..mine },
        ]
    }

    #[test]
    fn a_room_tag_holds_for_one_side_role_connection_and_room() {
        let tag = room_tag(&binding(), &ROOM);
        assert_eq!(tag, room_tag(&binding(), &ROOM));
        assert_ne!(tag, room_tag(&binding(), &[9; 32]));
        assert!(others().iter().all(|other| room_tag(other, &ROOM) != tag));
    }

    #[test]
    fn a_find_proof_holds_for_one_secret_and_binding_and_cannot_be_sent_back() {
        let proof = find_proof(&binding(), &KEY);
        assert!(check_find_proof(&binding(), &KEY, &proof));
        assert!(!check_find_proof(&binding(), &[9; 32], &proof));
        assert!(others().iter().all(|other| !check_find_proof(other, &KEY, &proof)));
    }

    #[test]
    fn what_newcomers_and_guests_sign_covers_everything() {
        let newcomer = newcomer_message(&binding(), &KEY);
        assert_ne!(newcomer, newcomer_message(&binding(), &[0; 32]));
        assert!(others().iter().all(|other| newcomer_message(other, &KEY) != newcomer));
        // A newcomer's signature is not valid as a member's, though its fields have the same form.
        assert_ne!(newcomer, identity_message(&binding(), &KEY));
        let guest = guest_message(&binding(), &ROOM, &KEY);
        assert_ne!(guest, guest_message(&binding(), &KEY, &ROOM));
        assert!(others().iter().all(|other| guest_message(other, &ROOM, &KEY) != guest));
    }

    #[test]
    fn an_identity_message_covers_side_role_connection_and_room() {
        let message = identity_message(&binding(), &ROOM);
        assert_ne!(message, identity_message(&binding(), &[9; 32]));
        assert!(others().iter().all(|other| identity_message(other, &ROOM) != message));
        assert!(message.starts_with(&IDENTITY));
    }

    #[test]
    fn a_password_context_belongs_to_one_connection() {
        let context = password_context(&binding().h);
        assert_ne!(context, password_context(&HandshakeHash([4; 32])));
        assert_eq!(context.len(), size_of::<Label>() + 32);
    }

    #[test]
    fn labels_are_distinct_and_values_are_stable() {
        let labels = [ROOM_TAG, IDENTITY, NEWCOMER, PASSWORD, FIND, GUEST];
        assert_eq!(std::collections::BTreeSet::from(labels).len(), labels.len());
        assert_eq!([Side::Dialer.byte(), Side::Listener.byte()], [1, 2]);
        for (byte, role) in [(1, Role::Session), (2, Role::LaneFetch), (3, Role::LaneServe)] {
            assert_eq!((role.byte(), Role::from_byte(byte)), (byte, Some(role)));
        }
        assert_eq!((Role::from_byte(0), Role::from_byte(4)), (None, None));
    }
}
