//! This node's own presence record and its contents.

use core::net::SocketAddr;
use std::sync::Arc;

use crate::router::address::is_loopback;
use crate::router::context::Context;
use crate::router::ids::{MemberId, RoomId};
use crate::router::signed::{Presence, SignedPresence};
use crate::router::time::Millis;

/// Members that a record lists as out of reach: more would not fit into a message.
pub(super) const UNLINKED_MAX: usize = 128;
/// Addresses at which others saw this node that are told.
const SEEN_MAX: usize = 2;

/// One's own record and what goes into it.
#[derive(Debug, Default)]
pub(crate) struct Own {
    port: u16,
    interfaces: Vec<SocketAddr>,
    /// As others see us, newest last.
    seen: Vec<SocketAddr>,
    version: u64,
    pub(super) unlinked: Vec<MemberId>,
    pub(super) refreshed: Millis,
    record: Option<Arc<SignedPresence>>,
    /// Others hold a record of an earlier run of ours with a higher version.
    pub(super) outdone: bool,
}

impl Own {
    pub(super) fn listen(&mut self, port: u16, interfaces: Vec<SocketAddr>) {
        self.port = port;
        self.interfaces = interfaces;
        self.seen.clear();
    }

    /// Where others can dial this node, once it listens.
    pub(crate) fn port(&self) -> Option<u16> {
        (self.port != 0).then_some(self.port)
    }

    /// Addresses of this computer's interfaces, best first.
    pub(crate) fn interfaces(&self) -> &[SocketAddr] {
        &self.interfaces
    }

    /// This node's addresses as others see them.
    pub(crate) fn seen(&self) -> &[SocketAddr] {
        &self.seen
    }

    /// The interfaces' addresses as people type them, best first.
    pub(crate) fn spoken_addresses(&self) -> Vec<String> {
        self.interfaces.iter().map(ToString::to_string).collect()
    }

    /// Where others may dial this node: as they saw it, and as it sees itself.
    pub(crate) fn addresses(&self, most: usize) -> Vec<SocketAddr> {
        let mut addresses: Vec<_> = self.seen.iter().rev().copied().collect();
        for address in &self.interfaces {
            if !is_loopback(address.ip()) && !addresses.contains(address) {
                addresses.push(*address);
            }
        }
        addresses.truncate(most);
        addresses
    }

    /// Members that count as present and cannot be reached from here.
    pub(crate) fn unlinked(&self) -> &[MemberId] {
        &self.unlinked
    }

    /// The record is of another room.
    pub(super) fn forget(&mut self) {
        self.record = None;
        self.unlinked.clear();
    }

    /// Somebody sees this node at an address; whether that is news.
    pub(super) fn see(&mut self, address: SocketAddr) -> bool {
        if self.seen.contains(&address) {
            return false;
        }
        self.seen.push(address);
        if self.seen.len() > SEEN_MAX {
            self.seen.remove(0);
        }
        true
    }

    /// Others hold a record of another run with this version: ours has to outdo it.
    pub(super) fn outdo(&mut self, version: u64) {
        if version >= self.version {
            self.version = version;
            self.outdone = true;
        }
    }

    fn body(&mut self, cx: &Context, bye: bool) -> Presence {
        let clock = u64::try_from(cx.wall_ms()).unwrap_or(0);
        self.version = clock.max(self.version.saturating_add(1));
        Presence {
            member: cx.my_id,
            run: cx.config.run,
            version: self.version,
            name: cx.config.name.clone(),
            addresses: self.addresses(cx.limits().addresses_per_member),
            unlinked: self.unlinked.iter().take(UNLINKED_MAX).copied().collect(),
            bye,
        }
    }

    /// The record for a room that this node may be about to enter.
    pub(super) fn sign(&mut self, cx: &Context, room: &RoomId) -> Arc<SignedPresence> {
        let body = self.body(cx, false);
        SignedPresence::sign(room, &cx.me, body)
    }

    /// The record for the room that this node is in.
    pub(super) fn record(&mut self, cx: &Context, room: &RoomId) -> Arc<SignedPresence> {
        if let Some(record) = &self.record {
            return record.clone();
        }
        let record = self.sign(cx, room);
        self.record = Some(record.clone());
        record
    }

    /// The record has to be signed anew.
    pub(super) fn renew(&mut self, now: Millis) {
        self.record = None;
        self.outdone = false;
        self.refreshed = now;
    }

    /// The record by which others hear that this node goes.
    pub(super) fn goodbye(&mut self, cx: &Context, room: &RoomId) -> Arc<SignedPresence> {
        let body = self.body(cx, true);
        SignedPresence::sign(room, &cx.me, body)
    }
}
