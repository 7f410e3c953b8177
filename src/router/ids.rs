//! Identifiers of fixed size, printed as lower-case hex everywhere.

use std::borrow::Cow;
use std::fmt;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A text that is not the hex form of an identifier of the expected length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} hex digits")]
pub struct IdError {
    /// How many hex digits the identifier has.
    pub expected: usize,
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $len:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// Reads the lower-case or upper-case hex form.
            ///
            /// # Errors
            /// When `text` is not exactly twice [`Self::LEN`] hex digits.
            pub fn from_hex(text: &str) -> Result<Self, IdError> {
                let wrong = IdError { expected: 2 * $len };
                if text.len() != 2 * $len {
                    return Err(wrong);
                }
                let mut bytes = [0; $len];
                match HEXLOWER_PERMISSIVE.decode_mut(text.as_bytes(), &mut bytes) {
                    Ok(n) if n == $len => Ok(Self(bytes)),
                    _ => Err(wrong),
                }
            }

            /// The first eight hex digits, enough for people to tell things apart.
            #[must_use]
            pub fn short(&self) -> String {
                let mut text = self.to_string();
                text.truncate(8);
                text
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut digits = [0; 2 * $len];
                HEXLOWER.encode_mut(&self.0, &mut digits);
                f.write_str(std::str::from_utf8(&digits).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.short())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let digits = 2 * $len;
                json_schema!({ "type": "string", "pattern": format!("^[0-9a-f]{{{digits}}}$") })
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                Self::from_hex(&text).map_err(de::Error::custom)
            }
        }
    };
}

hex_id!(
    /// A member: its Ed25519 public key (RFC 8032).
    MemberId,
    32
);
hex_id!(
    /// A room: SHA-256 over label, founder and a random nonce; it never changes.
    RoomId,
    32
);
hex_id!(
    /// One run of one program, drawn at start: tells two runs of one identity apart.
    RunId,
    16
);
hex_id!(
    /// An entry of the room's log: SHA-256 over label, room and signed bytes, not the signature.
    EntryId,
    32
);
hex_id!(
    /// A file: SHA-256 over label, length in bytes and BEP 52 root.
    FileId,
    32
);
hex_id!(
    /// A record of the register: SHA-256 over label, room and signed bytes, not the signature.
    RecordId,
    32
);
hex_id!(
    /// An invitation: SHA-256 over label, room and signed bytes, not the signature.
    InvitationId,
    32
);
hex_id!(
    /// Tells an author's chains apart: drawn at start and at `leave`.
    LogNonce,
    8
);
hex_id!(
    /// A SHA-256 digest: the root of a file's Merkle tree or the hash of a chunk.
    Digest32,
    32
);

/// Drawn by the founder of a room, so that it can found more than one.
pub type RoomNonce = [u8; 32];

impl RoomId {
    /// The room that `founder` made with this nonce.
    #[must_use]
    pub fn of(founder: &MemberId, nonce: &RoomNonce) -> Self {
        Self(crate::crypto::hash::digest(&[b"klatch room 1\0", &founder.0, nonce]))
    }
}

/// A connection of this node, numbered by the shell; handles stay in the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// A face: the terminal is face 0, each browser tab gets the next number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaceId(pub u32);

impl FaceId {
    /// The terminal: its failed commands count as the program's.
    pub const TERMINAL: Self = Self(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_back_and_wrong_lengths_are_refused() {
        let id = MemberId([0xab; 32]);
        assert_eq!(MemberId::from_hex(&id.to_string()), Ok(id));
        assert_eq!(MemberId::from_hex("ab"), Err(IdError { expected: 64 }));
        assert!(MemberId::from_hex(&"zz".repeat(32)).is_err());
        assert_eq!(id.short(), "abababab");
    }
}
