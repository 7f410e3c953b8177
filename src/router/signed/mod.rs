//! What members sign: entries of the log, presence records, records of the register and
//! invitations, with their bytes.
//!
//! A signed body is a byte string: a JSON object, kept and passed on exactly as it was signed. The
//! room is not part of the bytes but hashed before them, so that nothing can be replayed in another
//! room. Entries and records are named by a hash that does not cover the signature, so a malleated
//! signature makes no second entry.

mod invitation;
mod record;

use core::net::SocketAddr;
use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ids::{Digest32, EntryId, LogNonce, MemberId, RoomId, RunId};
use super::text::Untrusted;
use crate::crypto::hash::digest;
use crate::crypto::identity::{self, Identity};

pub use invitation::{Invitation, SignedInvitation, room_hint};
pub(crate) use record::Ids;
pub(crate) use record::RECORD_EXTRA_BYTES;
pub use record::{Claim, KEPT_MAX, RECORD_MAX_BYTES, SignedRecord, pages};

/// Longest signed bytes of an entry. Part of what is *valid*, so it never changes.
///
/// Enough for a message of 8 KiB, every character escaped, with all parents.
pub const ENTRY_MAX_BYTES: usize = 20 * 1024;
/// Longest signed bytes of a presence record; a full one of this version has 10 KiB.
pub const PRESENCE_MAX_BYTES: usize = 16 * 1024;
/// Most parents that an entry names.
pub const PARENTS_MAX: usize = 8;

const ENTRY: &[u8] = b"klatch entry 1\0";
const ENTRY_SIGNATURE: &[u8] = b"klatch entry signature 1\0";
const PRESENCE: &[u8] = b"klatch presence 1\0";

/// Why signed bytes are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    /// Larger than its kind allows.
    #[error("signed bytes are larger than allowed")]
    TooLarge,
    /// Not the JSON object that its kind requires.
    #[error("signed bytes have the wrong form")]
    Form,
    /// The signature is not its author's.
    #[error("a signature does not fit")]
    Signature,
    /// Of a kind that this version does not know.
    #[error("signed bytes are of an unknown kind")]
    Unknown,
}

/// One stay of one author in one room: entries of a chain are numbered without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Chain {
    /// Who signs.
    pub author: MemberId,
    /// Which of the author's chains.
    pub nonce: LogNonce,
}

impl Chain {
    /// The range of all chains of an author.
    pub(crate) fn all_of(author: &MemberId) -> std::ops::RangeInclusive<Self> {
        let chain = |nonce| Self { author: *author, nonce: LogNonce(nonce) };
        chain([0; 8])..=chain([u8::MAX; 8])
    }
}

/// A reference to an entry of another chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryRef {
    /// Its chain.
    #[serde(flatten)]
    pub chain: Chain,
    /// Its place in the chain, from 1.
    pub seq: u64,
    /// Its id.
    pub id: EntryId,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A message.
    Text(Untrusted),
    /// A file is offered.
    Offer(Offer),
    /// The author withdraws an own offer.
    Withdraw(EntryId),
    /// The author's new nickname.
    Name(String),
    /// Something a later version says: stored, passed on, shown as a placeholder.
    Unknown,
}

/// A file as its offer describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Name; hostile until made safe.
    pub name: String,
    /// Length in bytes.
    pub size: u64,
    /// BEP 52 root.
    pub root: Digest32,
    /// The author's own offer that it replaces: an earlier version of the same file on its disk.
    pub replaces: Option<EntryId>,
}

/// The parsed bytes of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryBody {
    /// Its chain.
    pub chain: Chain,
    /// Its place in the chain, from 1.
    pub seq: u64,
    /// Its place in the room, from 1: one more than the greatest that the author had seen.
    pub depth: u64,
    /// The entry before it in the chain; `None` exactly for the first.
    pub prev: Option<EntryId>,
    /// Heads of other chains that the author had seen.
    pub parents: Vec<EntryRef>,
    /// The author's wall clock, milliseconds since 1970 UTC; for display only.
    pub time_ms: i64,
    /// What it says.
    pub kind: Kind,
}

/// An entry whose signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedEntry {
    /// SHA-256 over label, room and bytes.
    pub id: EntryId,
    /// The signed bytes: JSON, which contains the body's text.
    json: Arc<str>,
    /// Ed25519 over label and id.
    pub signature: [u8; 64],
    /// The bytes, parsed.
    pub body: EntryBody,
}

/// A text as it is in the JSON, if none of its characters are escaped there.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct PlainText<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Serialize, Deserialize)]
struct WireEntry<'a> {
    #[serde(flatten)]
    chain: Chain,
    seq: u64,
    depth: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prev: Option<EntryId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parents: Vec<EntryRef>,
    time: i64,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    text: Option<PlainText<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root: Option<Digest32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaces: Option<EntryId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entry: Option<EntryId>,
}

impl SignedEntry {
    /// Signs an entry for `room`.
    #[must_use]
    pub fn sign(room: &RoomId, me: &Identity, mut body: EntryBody) -> Arc<Self> {
        let json: Arc<str> = wire_of(&body).into();
        // Here, too, the text is kept as a piece of the JSON.
        if let (Kind::Text(_), Ok(wire)) = (&body.kind, parse::<WireEntry>(json.as_bytes()))
            && let Some(PlainText(text)) = &wire.text
        {
            body.kind = Kind::Text(Untrusted::within(&json, text));
        }
        let id = entry_id(room, json.as_bytes());
        let signature = me.sign(&[ENTRY_SIGNATURE, &id.0].concat());
        Arc::new(Self { id, json, signature, body })
    }

    /// Verifies, then parses.
    ///
    /// # Errors
    /// When the bytes are too large, of the wrong form, or not signed by the author that they name.
    pub fn verify(
        room: &RoomId,
        bytes: &[u8],
        signature: &[u8; 64],
    ) -> Result<Arc<Self>, SignedError> {
        if bytes.len() > ENTRY_MAX_BYTES {
            return Err(SignedError::TooLarge);
        }
        let json = std::str::from_utf8(bytes).map_err(|_| SignedError::Form)?;
        let json: Arc<str> = json.into();
        // The author's key is inside the bytes, so they are parsed before the signature is checked,
        // and nothing of them is used unless it is valid.
        let wire: WireEntry = parse(json.as_bytes())?;
        let id = entry_id(room, bytes);
        let message = [ENTRY_SIGNATURE, &id.0].concat();
        if !identity::verify(&wire.chain.author.0, &message, signature) {
            return Err(SignedError::Signature);
        }
        let body = body_of(&json, wire).ok_or(SignedError::Form)?;
        Ok(Arc::new(Self { id, json, signature: *signature, body }))
    }

    /// The author that signed bytes name. Nothing is verified, so anybody may have written it.
    #[must_use]
    pub fn claimed_author(bytes: &[u8]) -> Option<MemberId> {
        #[derive(Deserialize)]
        struct Authored {
            author: MemberId,
        }
        Some(parse::<Authored>(bytes).ok()?.author)
    }

    /// The signed bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.json.as_bytes()
    }

    /// Roughly how many bytes keeping this entry costs.
    #[must_use]
    pub fn cost_bytes(&self) -> usize {
        self.json.len() + 512
    }
}

fn wire_of(body: &EntryBody) -> String {
    let mut wire = WireEntry {
        chain: body.chain,
        seq: body.seq,
        depth: body.depth,
        prev: body.prev,
        parents: body.parents.clone(),
        time: body.time_ms,
        kind: Cow::Borrowed(""),
        text: None,
        name: None,
        size: None,
        root: None,
        replaces: None,
        entry: None,
    };
    let kind = match &body.kind {
        Kind::Text(text) => {
            wire.text = Some(PlainText(text.raw().into()));
            "text"
        }
        Kind::Offer(offer) => {
            wire.name = Some(offer.name.as_str().into());
            wire.size = Some(offer.size);
            wire.root = Some(offer.root);
            wire.replaces = offer.replaces;
            "offer"
        }
        Kind::Withdraw(entry) => {
            wire.entry = Some(*entry);
            "withdraw"
        }
        Kind::Name(name) => {
            wire.name = Some(name.as_str().into());
            "name"
        }
        Kind::Unknown => "unknown",
    };
    wire.kind = Cow::Borrowed(kind);
    // Serialising a struct of strings and numbers into memory cannot fail.
    serde_json::to_string(&wire).unwrap_or_default()
}

#[inline(never)]
fn body_of(json: &Arc<str>, wire: WireEntry) -> Option<EntryBody> {
    let parents_fit = wire.parents.len() <= PARENTS_MAX
        && wire.parents.iter().all(|parent| parent.seq > 0 && parent.chain != wire.chain);
    if wire.seq == 0 || wire.depth == 0 || (wire.seq == 1) != wire.prev.is_none() || !parents_fit {
        return None;
    }
    // A known kind with invalid content is treated like an unknown kind: it takes its place in the
    // chain, so that the author's later entries flow, and is shown as a placeholder.
    let kind = match &*wire.kind {
        "text" => wire
            .text
            .filter(|PlainText(text)| super::text::check_message(text).is_ok())
            .map_or(Kind::Unknown, |PlainText(text)| Kind::Text(Untrusted::within(json, &text))),
        "offer" => match (wire.name, wire.size, wire.root) {
            (Some(name), Some(size), Some(root)) if name.len() <= 1024 => {
                let name = name.into_owned();
                Kind::Offer(Offer { name, size, root, replaces: wire.replaces })
            }
            _ => Kind::Unknown,
        },
        "withdraw" => wire.entry.map_or(Kind::Unknown, Kind::Withdraw),
        "name" => wire
            .name
            .and_then(|name| super::text::read_name(&name).ok())
            .map_or(Kind::Unknown, Kind::Name),
        _ => Kind::Unknown,
    };
    Some(EntryBody {
        chain: wire.chain,
        seq: wire.seq,
        depth: wire.depth,
        prev: wire.prev,
        parents: wire.parents,
        time_ms: wire.time,
        kind,
    })
}

fn entry_id(room: &RoomId, bytes: &[u8]) -> EntryId {
    EntryId(digest(&[ENTRY, &room.0, bytes]))
}

/// What a member states about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Who.
    pub member: MemberId,
    /// Which run of the program.
    pub run: RunId,
    /// Higher replaces lower: milliseconds of the member's wall clock, or one more than the last.
    pub version: u64,
    /// Nickname.
    pub name: String,
    /// Where it can be dialled: at most 4.
    pub addresses: Vec<SocketAddr>,
    /// Members with which it failed to link.
    pub unlinked: Vec<MemberId>,
    /// Whether it is leaving.
    pub bye: bool,
}

/// A presence record whose signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPresence {
    /// The signed bytes.
    pub bytes: Box<[u8]>,
    /// Ed25519 over label, room and bytes.
    pub signature: [u8; 64],
    /// The bytes, parsed.
    pub body: Presence,
}

impl SignedPresence {
    /// Signs one's own record for `room`.
    #[must_use]
    pub fn sign(room: &RoomId, me: &Identity, body: Presence) -> Arc<Self> {
        let bytes = to_bytes(&body);
        let signature = me.sign(&[PRESENCE, &room.0, &bytes].concat());
        Arc::new(Self { bytes, signature, body })
    }

    /// Verifies, then parses.
    ///
    /// # Errors
    /// When the bytes are too long, of the wrong form, contain a forbidden name, or are not signed
    /// by the member that they name.
    pub fn verify(
        room: &RoomId,
        bytes: &[u8],
        signature: &[u8; 64],
    ) -> Result<Arc<Self>, SignedError> {
        if bytes.len() > PRESENCE_MAX_BYTES {
            return Err(SignedError::TooLarge);
        }
        let mut body: Presence = parse(bytes)?;
        let message = [PRESENCE, &room.0, bytes].concat();
        if !identity::verify(&body.member.0, &message, signature) {
            return Err(SignedError::Signature);
        }
        body.name = super::text::read_name(&body.name).map_err(|_| SignedError::Form)?;
        Ok(Arc::new(Self { bytes: bytes.into(), signature: *signature, body }))
    }
}

/// Out of line, like [`body_of`]: a signature is checked between the two, on a stack that every
/// link has, and the stack for parsing would be added to that.
#[inline(never)]
fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, SignedError> {
    serde_json::from_slice(bytes).map_err(|_| SignedError::Form)
}

fn to_bytes<T: Serialize>(value: &T) -> Box<[u8]> {
    // Serialising a struct of strings and numbers into memory cannot fail.
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_entry_says_lies_in_its_bytes_once() {
        let (room, me) = (RoomId([7; 32]), Identity::from_seed([1; 32]));
        let chain = Chain { author: MemberId(me.public()), nonce: LogNonce([2; 8]) };
        for (text, shares) in [("plain", true), ("héllo ✓", true), ("two\nlines", false)] {
            let (prev, parents, kind) = (None, Vec::new(), Kind::Text(text.into()));
            let (seq, depth, time_ms) = (1, 1, 0);
            let body = EntryBody { chain, seq, depth, prev, parents, time_ms, kind };
            let signed = SignedEntry::sign(&room, &me, body);
            let heard = SignedEntry::verify(&room, signed.bytes(), &signed.signature).unwrap();
            assert_eq!(signed, heard);
            for entry in [signed, heard] {
                assert!(matches!(&entry.body.kind, Kind::Text(said) if said.raw() == text));
                assert_eq!(Arc::strong_count(&entry.json) == 2, shares, "{text}");
            }
        }
    }
}
