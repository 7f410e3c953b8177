//! What linked nodes say to each other.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::bytes::{Blob, Signature};
use super::{WireError, WireRefusal, at_most, encode as encode_json};
use crate::crypto::invite::FindKey;
use crate::crypto::opaque::PasswordData;
use crate::limits::Limits;
use crate::router::bitmap::Bitmap;
use crate::router::ids::{Digest32, EntryId, FileId, LogNonce, MemberId, RecordId, RoomId};
use crate::router::message::{Done, Have, Held, Message, Wanted};
use crate::router::signed::{
    Chain, Ids, SignedEntry, SignedError, SignedInvitation, SignedPresence, SignedRecord,
};
use crate::router::swarm::FILE_CHUNKS_MAX;

/// Most new chunks in one message.
pub const GAINED_MAX: usize = 4_096;
/// Most records in one message.
pub const RECORDS_MAX: usize = 64;

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum WireMessage<'a> {
    Ready {
        seen: IpAddr,
    },
    Refuse(WireRefusal<'a>),
    Register {
        digest: Digest32,
    },
    Ids {
        list: Ids,
        last: bool,
    },
    Records {
        list: Vec<WireSigned<'a>>,
    },
    Password {
        lock: RecordId,
        setup: Blob<'a>,
        registration: Blob<'a>,
    },
    Invitation {
        bytes: Blob<'a>,
        signature: Signature,
        find: Digest32,
    },
    VerifyCommit {
        digest: Digest32,
    },
    VerifyNonce {
        value: Digest32,
    },
    Presence(WireSigned<'a>),
    Entry(WireSigned<'a>),
    Have {
        list: Vec<WireHave>,
    },
    Receipt {
        holder: MemberId,
        have: WireHave,
    },
    Ask {
        number: u32,
        chains: Vec<WireWanted>,
    },
    Answer {
        number: u32,
        entries: Vec<WireSigned<'a>>,
        last: bool,
    },
    Ping {
        number: u32,
    },
    Pong {
        number: u32,
    },
    Hosting {
        file: FileId,
        /// Number of the file's chunks, and which of them are held; absent if all are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chunks: Option<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held: Option<Blob<'a>>,
        fetching: bool,
    },
    Gained {
        file: FileId,
        chunks: Vec<u32>,
    },
    Dropped {
        file: FileId,
        /// Why the sender will not fetch it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        done: Option<Done>,
    },
    LaneWanted,
    Unwanted {
        file: FileId,
        chunk: u32,
    },
    BadChunk {
        file: FileId,
        chunk: u32,
    },
    /// Something from a later version.
    #[serde(other)]
    Unknown,
}

#[derive(Serialize, Deserialize)]
pub(super) struct WireSigned<'a> {
    bytes: Blob<'a>,
    signature: Signature,
}

#[derive(Serialize, Deserialize)]
struct WireHave {
    author: MemberId,
    nonce: LogNonce,
    len: u64,
    head: EntryId,
    #[serde(default)]
    forked: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    refused: bool,
}

#[derive(Serialize, Deserialize)]
struct WireWanted {
    author: MemberId,
    nonce: LogNonce,
    from: u64,
}

/// Appends the bytes of `message` to `out`; on an error `out` stays as it was.
///
/// # Errors
/// [`WireError::TooLong`] above `limits.message_max_bytes`: messages are composed to be shorter, so
/// this is a bug.
pub fn encode(message: &Message, limits: &Limits, out: &mut Vec<u8>) -> Result<(), WireError> {
    if let Message::Entry(pushed) = message {
        let form = pushed.form(|entry| {
            let wire = WireMessage::Entry(WireSigned::of(entry.bytes(), &entry.signature));
            // Bytes and texts can always be written as JSON.
            serde_json::to_vec(&wire).unwrap_or_default().into()
        });
        let (bytes, max) = (form.len(), limits.message_max_bytes);
        if bytes > max {
            return Err(WireError::TooLong { bytes, max });
        }
        out.extend_from_slice(form);
        return Ok(());
    }
    // The only part that a wire form does not borrow.
    let bitmap = match message {
        Message::Hosting { held: Held::Some(bitmap), .. } => bitmap.to_bytes(),
        _ => Vec::new(),
    };
    encode_json(&to_wire(message, &bitmap), limits.message_max_bytes, out)
}

/// Reads a message sent in `room`; `None` means a kind that this version does not know. Signatures
/// are verified.
///
/// # Errors
/// [`WireError`]: a wrong form, too many elements, or an invalid signature.
pub fn decode(plain: &[u8], room: &RoomId, limits: &Limits) -> Result<Option<Message>, WireError> {
    ReadMessage::of(plain)?.verify(room, limits)
}

/// A message as a peer wrote it: no signature in it is verified yet.
pub struct ReadMessage<'a>(WireMessage<'a>);

impl<'a> ReadMessage<'a> {
    /// Reads it.
    ///
    /// # Errors
    /// [`WireError`]: a wrong form.
    pub fn of(plain: &'a [u8]) -> Result<Self, WireError> {
        serde_json::from_slice(plain).map(Self).map_err(|error| WireError::form(&error))
    }

    /// The author that a pushed entry names; `None` for other messages, and if it names nobody.
    #[must_use]
    pub fn claimed_author(&self) -> Option<MemberId> {
        match &self.0 {
            WireMessage::Entry(signed) => SignedEntry::claimed_author(&signed.bytes.0),
            _ => None,
        }
    }

    /// What it says, if it was said in `room`; `None` means a kind that this version does not know.
    ///
    /// # Errors
    /// [`WireError`]: too many elements, or an invalid signature.
    pub fn verify(self, room: &RoomId, limits: &Limits) -> Result<Option<Message>, WireError> {
        from_wire(self.0, room, limits)
    }
}

/// Roughly how many bytes `message` will have, without encoding it: for an outbox's budget.
#[must_use]
pub fn size_hint(message: &Message) -> usize {
    const OVERHEAD: usize = 128;
    let signed = |bytes: &[u8]| bytes.len() / 3 * 4 + OVERHEAD;
    match message {
        Message::Ids { list, .. } => 43 * list.len() + OVERHEAD,
        Message::Records(list) => {
            list.iter().map(|record| signed(&record.bytes)).sum::<usize>() + OVERHEAD
        }
        Message::Refuse(refusal) => {
            let records = refusal.record.iter().chain(&refusal.steward);
            records.map(|record| signed(&record.bytes)).sum::<usize>() + OVERHEAD
        }
        Message::Password { .. } | Message::Invitation { .. } => 8 * OVERHEAD,
        Message::Presence(presence) => signed(&presence.bytes),
        Message::Entry(entry) => signed(entry.bytes()),
        Message::Answer { entries, .. } => {
            entries.iter().map(|entry| signed(entry.bytes())).sum::<usize>() + OVERHEAD
        }
        Message::Have(list) => 2 * OVERHEAD * list.len(),
        Message::Ask { chains, .. } => OVERHEAD * (chains.len() + 1),
        Message::Hosting { held: Held::Some(bitmap), .. } => bitmap.len() as usize / 6 + OVERHEAD,
        Message::Gained { chunks, .. } => 8 * chunks.len() + OVERHEAD,
        _ => 2 * OVERHEAD,
    }
}

fn to_wire<'a>(message: &'a Message, bitmap: &'a [u8]) -> WireMessage<'a> {
    match message {
        Message::Ready { seen } => WireMessage::Ready { seen: *seen },
        Message::Refuse(refusal) => WireMessage::Refuse(refusal.into()),
        Message::Register(digest) => WireMessage::Register { digest: *digest },
        Message::Ids { list, last } => WireMessage::Ids { list: Ids::of(list), last: *last },
        Message::Records(list) => {
            let list = list.iter().map(|record| WireSigned::of(&record.bytes, &record.signature));
            WireMessage::Records { list: list.collect() }
        }
        Message::Password { lock, data } => WireMessage::Password {
            lock: *lock,
            setup: Blob::of(data.setup()),
            registration: Blob::of(data.registration()),
        },
        Message::Invitation { invitation, find } => WireMessage::Invitation {
            bytes: Blob::of(&invitation.bytes),
            signature: Signature(invitation.signature),
            find: Digest32(*find.expose()),
        },
        Message::VerifyCommit(digest) => WireMessage::VerifyCommit { digest: *digest },
        Message::VerifyNonce(value) => WireMessage::VerifyNonce { value: *value },
        Message::Presence(signed) => {
            WireMessage::Presence(WireSigned::of(&signed.bytes, &signed.signature))
        }
        Message::Entry(signed) => {
            WireMessage::Entry(WireSigned::of(signed.bytes(), &signed.signature))
        }
        Message::Have(list) => {
            WireMessage::Have { list: list.iter().map(WireHave::from).collect() }
        }
        Message::Receipt { holder, have } => {
            WireMessage::Receipt { holder: *holder, have: have.into() }
        }
        Message::Ask { number, chains } => WireMessage::Ask {
            number: *number,
            chains: chains.iter().map(WireWanted::from).collect(),
        },
        Message::Answer { number, entries, last } => WireMessage::Answer {
            number: *number,
            entries: entries.iter().map(|e| WireSigned::of(e.bytes(), &e.signature)).collect(),
            last: *last,
        },
        Message::Ping(number) => WireMessage::Ping { number: *number },
        Message::Pong(number) => WireMessage::Pong { number: *number },
        Message::Hosting { file, held, fetching } => {
            let (chunks, held) = match held {
                Held::All => (None, None),
                Held::Some(chunks) => (Some(chunks.len()), Some(Blob::of(bitmap))),
            };
            WireMessage::Hosting { file: *file, chunks, held, fetching: *fetching }
        }
        Message::Gained { file, chunks } => {
            WireMessage::Gained { file: *file, chunks: chunks.clone() }
        }
        Message::Dropped { file, done } => WireMessage::Dropped { file: *file, done: *done },
        Message::LaneWanted => WireMessage::LaneWanted,
        Message::Unwanted { file, chunk } => WireMessage::Unwanted { file: *file, chunk: *chunk },
        Message::BadChunk { file, chunk } => WireMessage::BadChunk { file: *file, chunk: *chunk },
    }
}

fn from_wire(
    wire: WireMessage<'_>,
    room: &RoomId,
    limits: &Limits,
) -> Result<Option<Message>, WireError> {
    Ok(Some(match wire {
        WireMessage::Ready { seen } => Message::Ready { seen: seen.to_canonical() },
        WireMessage::Refuse(refusal) => Message::Refuse(refusal.in_room(room)),
        WireMessage::Register { digest } => Message::Register(digest),
        WireMessage::Ids { list, last } => {
            let list = list.0.into_iter().map(RecordId).collect();
            Message::Ids { list, last }
        }
        WireMessage::Records { list } => Message::Records(records(&list, room)?),
        WireMessage::Password { lock, setup, registration } => {
            let data = PasswordData::from_bytes(&setup.0, &registration.0);
            Message::Password { lock, data: data.map_err(|_| WireError::Impossible("password"))? }
        }
        WireMessage::Invitation { bytes, signature, find } => {
            let invitation = SignedInvitation::verify(room, &bytes.0, &signature.0)?;
            let find = FindKey::from_bytes(find.0);
            if find.hash() != invitation.body.find.0 {
                return Err(WireError::Impossible("find key"));
            }
            Message::Invitation { invitation, find }
        }
        WireMessage::VerifyCommit { digest } => Message::VerifyCommit(digest),
        WireMessage::VerifyNonce { value } => Message::VerifyNonce(value),
        WireMessage::Presence(signed) => Message::Presence(presence(&signed, room, limits)?),
        WireMessage::Entry(signed) => Message::Entry(signed.entry(room)?.into()),
        WireMessage::Have { list } => {
            at_most("chains", list.len(), limits.have_page)?;
            Message::Have(list.into_iter().map(Have::from).collect())
        }
        WireMessage::Receipt { holder, have } => Message::Receipt { holder, have: have.into() },
        WireMessage::Ask { number, chains } => {
            at_most("chains", chains.len(), limits.have_page)?;
            Message::Ask { number, chains: chains.into_iter().map(Wanted::from).collect() }
        }
        WireMessage::Answer { number, entries, last } => {
            at_most("entries", entries.len(), limits.answer_entries)?;
            let entries = entries.iter().map(|signed| signed.entry(room));
            Message::Answer { number, entries: entries.collect::<Result<_, _>>()?, last }
        }
        WireMessage::Ping { number } => Message::Ping(number),
        WireMessage::Pong { number } => Message::Pong(number),
        WireMessage::Hosting { file, chunks, held, fetching } => {
            Message::Hosting { file, held: held_of(chunks, held)?, fetching }
        }
        WireMessage::Gained { file, chunks } => {
            at_most("chunks", chunks.len(), GAINED_MAX)?;
            Message::Gained { file, chunks }
        }
        WireMessage::Dropped { file, done } => Message::Dropped { file, done },
        WireMessage::LaneWanted => Message::LaneWanted,
        WireMessage::Unwanted { file, chunk } => Message::Unwanted { file, chunk },
        WireMessage::BadChunk { file, chunk } => Message::BadChunk { file, chunk },
        WireMessage::Unknown => return Ok(None),
    }))
}

fn presence(
    signed: &WireSigned<'_>,
    room: &RoomId,
    limits: &Limits,
) -> Result<Arc<SignedPresence>, WireError> {
    let presence = SignedPresence::verify(room, &signed.bytes.0, &signed.signature.0)?;
    at_most("addresses", presence.body.addresses.len(), limits.addresses_per_member)?;
    at_most("members", presence.body.unlinked.len(), limits.members)?;
    Ok(presence)
}

/// The records of kinds that this version knows.
pub(super) fn records(
    list: &[WireSigned<'_>],
    room: &RoomId,
) -> Result<Vec<Arc<SignedRecord>>, WireError> {
    at_most("records", list.len(), RECORDS_MAX)?;
    let verified = list.iter().map(|of| SignedRecord::verify(room, &of.bytes.0, &of.signature.0));
    let known = verified.filter(|result| *result != Err(SignedError::Unknown));
    Ok(known.collect::<Result<_, _>>()?)
}

/// What is held of a file; its number of chunks is checked before a bitmap is made.
fn held_of(chunks: Option<u32>, held: Option<Blob<'_>>) -> Result<Held, WireError> {
    match (chunks, held) {
        (None, None) => Ok(Held::All),
        (Some(chunks), Some(held)) if chunks <= FILE_CHUNKS_MAX => {
            let bitmap = Bitmap::from_bytes(chunks, &held.0);
            bitmap.map(Held::Some).ok_or(WireError::Impossible("bitmap"))
        }
        _ => Err(WireError::Impossible("number of chunks")),
    }
}

impl<'a> WireSigned<'a> {
    pub(super) fn of(bytes: &'a [u8], signature: &[u8; 64]) -> Self {
        Self { bytes: Blob::of(bytes), signature: Signature(*signature) }
    }

    pub(super) fn parts(&self) -> (&[u8], &[u8; 64]) {
        (&self.bytes.0, &self.signature.0)
    }

    fn entry(&self, room: &RoomId) -> Result<Arc<SignedEntry>, WireError> {
        Ok(SignedEntry::verify(room, &self.bytes.0, &self.signature.0)?)
    }
}

impl From<&Have> for WireHave {
    fn from(have: &Have) -> Self {
        let Have { chain: Chain { author, nonce }, len, head, forked, refused } = *have;
        Self { author, nonce, len, head, forked, refused }
    }
}

impl From<WireHave> for Have {
    fn from(wire: WireHave) -> Self {
        let WireHave { author, nonce, len, head, forked, refused } = wire;
        Self { chain: Chain { author, nonce }, len, head, forked, refused }
    }
}

impl From<&Wanted> for WireWanted {
    fn from(wanted: &Wanted) -> Self {
        let Wanted { chain: Chain { author, nonce }, from } = *wanted;
        Self { author, nonce, from }
    }
}

impl From<WireWanted> for Wanted {
    fn from(wire: WireWanted) -> Self {
        let WireWanted { author, nonce, from } = wire;
        Self { chain: Chain { author, nonce }, from }
    }
}
