//! This node's own presence record and its contents.

use core::net::{IpAddr, SocketAddr};
use std::cmp::Reverse;
use std::sync::Arc;

use crate::router::address::{Reach, is_loopback, neighbourhood_of, plain_ip, reach};
use crate::router::context::Context;
use crate::router::ids::{MemberId, RoomId};
use crate::router::signed::{Presence, SignedPresence};
use crate::router::time::Millis;

/// Members that a record lists as out of reach: more would not fit into a message.
pub(super) const UNLINKED_MAX: usize = 128;
/// Addresses at which others saw this node that are told.
const SEEN_MAX: usize = 2;
/// Places whose word on that is remembered.
const VOICES_MAX: usize = 16;

/// Where this node is, as seen from one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Voice {
    from: Option<IpAddr>,
    seen: IpAddr,
    /// Whoever says so reached this node there.
    reached: bool,
}

/// One's own record and what goes into it.
#[derive(Debug, Default)]
pub(crate) struct Own {
    port: u16,
    interfaces: Vec<SocketAddr>,
    /// As others see us, one word from each place, newest last.
    voices: Vec<Voice>,
    /// What most of them say, best first.
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
        self.voices.clear();
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
        let mut addresses: Vec<_> = self.seen.clone();
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

    /// Somebody who is `from` somewhere sees this node at an address, and `reached` it there or
    /// was dialled; whether that changes what others are told. Each place has one word. Others are
    /// told where this node was reached first, for as long as whoever says so does not say
    /// otherwise, and what most of the rest say: strangers that lie displace nothing that works.
    pub(super) fn see(&mut self, from: Option<IpAddr>, seen: IpAddr, reached: bool) -> bool {
        let (seen, from) = (plain_ip(seen), from.map(plain_ip));
        if self.port == 0 || !means_something(from, seen) {
            return false;
        }
        let voice = Voice { from: from.map(neighbourhood_of), seen, reached };
        let same = |known: &&mut Voice| (known.from, known.reached) == (voice.from, reached);
        if let Some(known) = self.voices.iter_mut().find(same) {
            known.seen = seen;
        } else {
            if self.voices.len() >= VOICES_MAX {
                let weak = self.voices.iter().rposition(|voice| !voice.reached);
                self.voices.remove(weak.unwrap_or(VOICES_MAX - 1));
            }
            self.voices.push(voice);
        }
        let before = std::mem::take(&mut self.seen);
        let first = self.voices.iter().find(|voice| voice.reached).map(|voice| voice.seen);
        let mut all: Vec<IpAddr> = Vec::new();
        for voice in &self.voices {
            if !all.contains(&voice.seen) {
                all.push(voice.seen);
            }
        }
        let votes = |ip: IpAddr| self.voices.iter().filter(|voice| voice.seen == ip).count();
        // Of those with as many votes the one that was said first.
        all.sort_by_key(|ip| Reverse((Some(*ip) == first, votes(*ip))));
        all.truncate(SEEN_MAX);
        self.seen = all.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect();
        self.seen != before
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

/// Whether an address can be this node's as seen from somewhere: one computer's, of the same
/// family, and of no narrower reach than the place from which it is seen.
fn means_something(from: Option<IpAddr>, seen: IpAddr) -> bool {
    let Some(from) = from else { return false };
    from.is_ipv4() == seen.is_ipv4()
        && match reach(seen) {
            Reach::Public => true,
            Reach::Near | Reach::Here => reach(from) == reach(seen),
            Reach::Nowhere => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn listening() -> Own {
        let mut own = Own::default();
        own.listen(51_692, Vec::new());
        own
    }

    fn told(own: &Own) -> Vec<String> {
        own.addresses(4).iter().map(|at| at.ip().to_string()).collect()
    }

    /// R8: alice taught broadcast and multicast addresses as hers.
    #[test]
    fn r8_strangers_do_not_decide_where_this_node_is() {
        let mut own = listening();
        for lie in ["255.255.255.255", "224.0.0.251", "0.0.0.0", "127.0.0.1", "10.0.0.1", "::1"] {
            assert!(!own.see(Some(ip("198.51.100.1")), ip(lie), true), "{lie}");
        }
        assert!(!own.see(Some(ip("198.51.100.1")), ip("2001:db8::7"), true), "another family");
        assert!(!own.see(Some(ip("fe80::1")), ip("ff02::1"), true));
        assert!(told(&own).is_empty());
        assert!(own.see(Some(ip("203.0.113.5")), ip("192.0.2.7"), true));
        // Strangers from many places have one of the two; those from one place have one word.
        for stranger in 0..100 {
            let lie = ip(&format!("8.8.{}.8", stranger % 4));
            own.see(Some(ip(&format!("198.51.{stranger}.1"))), lie, stranger % 2 == 0);
            assert_eq!(told(&own)[0], "192.0.2.7");
        }
        assert!(own.voices.len() <= VOICES_MAX);
        for neighbour in 1..100 {
            own.see(Some(ip(&format!("198.51.100.{neighbour}"))), ip("8.8.8.8"), true);
        }
        assert!(own.voices.len() <= VOICES_MAX);
        // Whoever was first may say otherwise: this node may have moved.
        assert!(own.see(Some(ip("203.0.113.5")), ip("192.0.2.99"), true));
        assert_eq!(told(&own)[0], "192.0.2.99");
        // And where a liar was first, those who come later outvote it for the other place.
        let mut own = listening();
        own.see(Some(ip("198.51.100.1")), ip("8.8.8.8"), true);
        own.see(Some(ip("198.51.101.1")), ip("9.9.9.9"), true);
        own.see(Some(ip("203.0.113.5")), ip("192.0.2.7"), true);
        own.see(Some(ip("203.0.114.5")), ip("192.0.2.7"), false);
        assert_eq!(told(&own), ["8.8.8.8", "192.0.2.7"]);
    }

    #[test]
    fn neighbours_see_this_node_beside_them() {
        let mut own = listening();
        assert!(own.see(Some(ip("::ffff:192.168.1.9")), ip("192.168.1.5"), false));
        assert!(own.see(Some(ip("127.0.0.1")), ip("127.0.0.1"), false));
        assert!(!own.see(Some(ip("127.0.0.1")), ip("127.0.0.1"), false), "no news");
        assert_eq!(told(&own), ["192.168.1.5", "127.0.0.1"]);
    }
}
