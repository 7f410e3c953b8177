//! Bytes to types and back: no I/O.
//!
//! Everything except bulk data is one JSON object per record, with its kind in `kind`: identifiers,
//! keys and digests of 32 bytes as lower-case hex, longer bytes as base64. Unknown fields are
//! ignored, so that later versions can say more.
//!
//! Decoding gives valid values or an error, whatever the bytes: page sizes are within the limits,
//! signatures are verified, and nothing is allocated for a number that a peer chose. Its errors
//! quote nothing of the peer's, so that they can be shown and logged as they are.

pub mod message;
pub mod opening;

mod bytes;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::router::ids::RoomId;
use crate::router::message::{Refusal, Why};
use crate::router::signed::SignedError;
use bytes::Word;

/// Why bytes are not a valid message, or a message cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// Not the JSON object that its kind requires.
    #[error("a message has the wrong form at byte {at}")]
    Form {
        /// Where, counted from 1.
        at: usize,
    },
    /// A kind that does not belong here.
    #[error("a message came out of turn")]
    OutOfTurn,
    /// More elements than a message may have.
    #[error("a message holds {count} {what}; at most {max} are allowed")]
    TooMany {
        /// The name of the elements.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// A value that is not possible.
    #[error("a message holds an impossible {0}")]
    Impossible(&'static str),
    /// Signed bytes that are not valid.
    #[error("a message is not what somebody signed: {0}")]
    Signed(#[from] SignedError),
    /// Longer than one record may be. Only encoding reports this.
    #[error("a message of {bytes} bytes does not fit into a record of {max}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
        /// Bytes allowed.
        max: usize,
    },
}

impl WireError {
    /// serde_json's own text quotes its input, which is the peer's, so only the position is kept.
    fn form(error: &serde_json::Error) -> Self {
        Self::Form { at: error.column() }
    }
}

fn at_most(what: &'static str, count: usize, max: usize) -> Result<(), WireError> {
    if count > max { Err(WireError::TooMany { what, count, max }) } else { Ok(()) }
}

/// Appends `value` as JSON to `out`, unless it is longer than `max` bytes.
fn encode<T: Serialize>(value: &T, max: usize, out: &mut Vec<u8>) -> Result<(), WireError> {
    let before = out.len();
    let written = serde_json::to_writer(&mut *out, value).map_err(|error| WireError::form(&error));
    let bytes = out.len() - before;
    let result = match written {
        Ok(()) if bytes > max => Err(WireError::TooLong { bytes, max }),
        written => written,
    };
    if result.is_err() {
        out.truncate(before);
    }
    result
}

/// The JSON form of a refusal, which can come at every step of a connection.
#[derive(Serialize, Deserialize)]
struct WireRefusal<'a> {
    why: Word<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wait_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record: Option<message::WireSigned<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    steward: Option<message::WireSigned<'a>>,
}

impl<'a> From<&'a Refusal> for WireRefusal<'a> {
    fn from(refusal: &'a Refusal) -> Self {
        let Refusal { why, wait_ms, record, steward } = refusal;
        let [record, steward] = [record, steward].map(|record| {
            record.as_ref().map(|of| message::WireSigned::of(&of.bytes, &of.signature))
        });
        Self { why: Word(why.word().into()), wait_ms: *wait_ms, record, steward }
    }
}

impl WireRefusal<'_> {
    /// The refusal, as far as it is valid in `room`: a record of another room proves nothing.
    fn in_room(self, room: &RoomId) -> Refusal {
        let why = Why::from_word(&self.why.0);
        let [record, steward] = [self.record, self.steward]
            .map(|record| record.and_then(|of| message::records(&[of], room).ok()?.pop()));
        Refusal { why, wait_ms: self.wait_ms, record, steward }
    }
}
