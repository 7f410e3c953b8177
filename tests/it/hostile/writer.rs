//! What eve says in the room's log: chains of her own, or of anybody whose key she has.

use std::sync::Arc;

use klatch::crypto::identity::Identity;
use klatch::crypto::random::random;
use klatch::router::ids::{EntryId, LogNonce, MemberId, RoomId};
use klatch::router::message::Message;
use klatch::router::signed::{Chain, EntryBody, EntryRef, Kind, SignedEntry};

use super::eve::Session;

impl Session {
    /// A new chain of eve's.
    pub(super) fn chain(&self) -> Writer {
        Writer::new(self.identity.clone(), self.room)
    }
}

/// One chain of somebody, entry by entry.
pub(super) struct Writer {
    pub(super) identity: Identity,
    pub(super) room: RoomId,
    pub(super) chain: Chain,
    pub(super) seq: u64,
    pub(super) prev: Option<EntryId>,
    pub(super) time_ms: i64,
}

impl Writer {
    pub(super) fn new(identity: Identity, room: RoomId) -> Self {
        let chain = Chain { author: MemberId(identity.public()), nonce: LogNonce(random()) };
        Self { identity, room, chain, seq: 0, prev: None, time_ms: 1_700_000_000_000 }
    }

    /// The next entry.
    pub(super) fn write(&mut self, kind: Kind) -> Arc<SignedEntry> {
        self.write_after(Vec::new(), kind)
    }

    pub(super) fn write_after(&mut self, parents: Vec<EntryRef>, kind: Kind) -> Arc<SignedEntry> {
        let entry = self.draft(self.seq + 1, parents, kind);
        self.seq += 1;
        self.prev = Some(entry.id);
        entry
    }

    /// An entry with any number, which the chain does not record.
    pub(super) fn draft(&self, seq: u64, parents: Vec<EntryRef>, kind: Kind) -> Arc<SignedEntry> {
        let prev = if seq == 1 { None } else { Some(self.prev.unwrap_or_default()) };
        let (chain, time_ms) = (self.chain, self.time_ms);
        let depth = seq;
        let body = EntryBody { chain, seq, depth, prev, parents, time_ms, kind };
        SignedEntry::sign(&self.room, &self.identity, body)
    }

    pub(super) fn text(&mut self, text: &str) -> Message {
        Message::Entry(self.write(Kind::Text(text.into())).into())
    }
}
