//! Admission control: bounds on connections that are not admitted yet.
//!
//! Strangers cost a thread and a handshake each, so their number is bounded in total, per address
//! and per second. Addresses of admitted sessions are exempt from the bounds per address and per
//! second, and the last place is theirs, so that strangers cannot lock members out.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::limits::Limits;

/// Where a connection comes from: an IPv4 address, or the /64 that one IPv6 site has to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct AddressSource(IpAddr);

impl AddressSource {
    fn of(addr: IpAddr) -> Self {
        match addr.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
            v4 => Self(v4),
        }
    }
}

/// One's own computer. The other addresses of 127/8 are not meant: tests play strangers there.
fn is_own_computer(addr: IpAddr) -> bool {
    let addr = addr.to_canonical();
    addr == IpAddr::V4(Ipv4Addr::LOCALHOST) || addr == IpAddr::V6(Ipv6Addr::LOCALHOST)
}

/// No place just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied;

/// The bounds and what is counted against them.
#[derive(Debug)]
pub struct Gate {
    places: usize,
    places_per_source: usize,
    rate_per_s: u32,
    burst: u32,
    state: Mutex<GateState>,
}

#[derive(Debug)]
struct GateState {
    pending: usize,
    pending_by_source: BTreeMap<AddressSource, usize>,
    admitted_by_source: BTreeMap<AddressSource, usize>,
    /// Handshakes that may begin at once, in millionths: a bucket that fills with time.
    tokens: u64,
    filled: Instant,
}

/// Millionths of a handshake in one.
const ONE: u64 = 1_000_000;

impl Gate {
    /// A gate with the bounds of `limits`.
    #[must_use]
    pub fn new(limits: &Limits, now: Instant) -> Arc<Self> {
        Arc::new(Self {
            places: limits.pending_conns,
            places_per_source: limits.pending_conns_per_addr,
            rate_per_s: limits.handshakes_per_s,
            burst: limits.handshake_burst,
            state: Mutex::new(GateState {
                pending: 0,
                pending_by_source: BTreeMap::new(),
                admitted_by_source: BTreeMap::new(),
                tokens: u64::from(limits.handshake_burst) * ONE,
                filled: now,
            }),
        })
    }

    /// A place for a connection from `addr`, until the permit is dropped.
    ///
    /// # Errors
    /// [`Denied`]: there is none; another try a second later may have one.
    pub fn enter(self: &Arc<Self>, addr: IpAddr, now: Instant) -> Result<Permit, Denied> {
        let source = AddressSource::of(addr);
        let mut state = self.lock();
        let favoured = state.admitted_by_source.contains_key(&source);
        // One place stays free for members.
        let places = if favoured { self.places } else { self.places.saturating_sub(1) };
        let from_source = state.pending_by_source.get(&source).copied().unwrap_or(0);
        let bounded = !favoured && !is_own_computer(addr);
        if state.pending >= places || bounded && from_source >= self.places_per_source {
            return Err(Denied);
        }
        if !favoured && !self.spend(&mut state, now) {
            return Err(Denied);
        }
        state.pending += 1;
        *state.pending_by_source.entry(source).or_default() += 1;
        Ok(Permit { gate: Arc::clone(self), source, admitted: false })
    }

    /// Favours `addr` until the permit is dropped.
    #[must_use]
    pub fn admitted(self: &Arc<Self>, addr: IpAddr) -> Permit {
        let source = AddressSource::of(addr);
        *self.lock().admitted_by_source.entry(source).or_default() += 1;
        Permit { gate: Arc::clone(self), source, admitted: true }
    }

    /// Takes one handshake out of the bucket, after filling it for the time that passed.
    fn spend(&self, state: &mut GateState, now: Instant) -> bool {
        let passed_us = now.saturating_duration_since(state.filled).as_micros();
        let gained = u64::try_from(passed_us).unwrap_or(u64::MAX);
        let gained = gained.saturating_mul(u64::from(self.rate_per_s));
        state.tokens = state.tokens.saturating_add(gained).min(u64::from(self.burst) * ONE);
        state.filled = state.filled.max(now);
        let spent = state.tokens.checked_sub(ONE);
        state.tokens = spent.unwrap_or(state.tokens);
        spent.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place at the gate; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    source: AddressSource,
    admitted: bool,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        let counts = if self.admitted {
            &mut state.admitted_by_source
        } else {
            state.pending = state.pending.saturating_sub(1);
            &mut state.pending_by_source
        };
        if let Some(count) = counts.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn gate(pending_conns: usize, handshake_burst: u32) -> (Arc<Gate>, Instant) {
        let limits = Limits {
            pending_conns,
            pending_conns_per_addr: 2,
            handshake_burst,
            handshakes_per_s: 10,
            ..Limits::default()
        };
        let now = Instant::now();
        (Gate::new(&limits, now), now)
    }

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_few_places_however_it_is_written() {
        let (gate, now) = gate(100, 100);
        let first = gate.enter(addr("192.0.2.1"), now).unwrap();
        let _second = gate.enter(addr("::ffff:192.0.2.1"), now).unwrap();
        assert_eq!(gate.enter(addr("192.0.2.1"), now).err(), Some(Denied));
        let _other = gate.enter(addr("192.0.2.2"), now).unwrap();
        drop(first);
        let _third = gate.enter(addr("192.0.2.1"), now).unwrap();

        let _site = [addr("2001:db8::1"), addr("2001:db8::2")].map(|a| gate.enter(a, now).unwrap());
        assert_eq!(gate.enter(addr("2001:db8::3"), now).err(), Some(Denied));
        let _another_site = gate.enter(addr("2001:db8:0:1::1"), now).unwrap();
    }

    #[test]
    fn only_127_0_0_1_and_1_are_ones_own_computer() {
        let (gate, now) = gate(100, 100);
        let own = ["127.0.0.1", "::1", "::ffff:127.0.0.1"];
        let _own: Vec<_> = own.repeat(5).iter().map(|a| gate.enter(addr(a), now)).collect();
        assert!(gate.enter(addr("127.0.0.1"), now).is_ok());
        let _strangers = ["127.0.0.2"; 2].map(|a| gate.enter(addr(a), now).unwrap());
        assert!(gate.enter(addr("127.0.0.2"), now).is_err());
    }

    #[test]
    fn the_last_place_is_kept_for_members() {
        let (gate, now) = gate(2, 100);
        let _stranger = gate.enter(addr("192.0.2.1"), now).unwrap();
        assert!(gate.enter(addr("192.0.2.2"), now).is_err());
        let member = gate.admitted(addr("192.0.2.3"));
        let _lane = gate.enter(addr("192.0.2.3"), now).unwrap();
        drop(member);
        assert!(gate.enter(addr("192.0.2.3"), now).is_err());
    }

    #[test]
    fn the_rate_is_bounded_but_not_for_members() {
        let (gate, now) = gate(100, 2);
        let knock = |at| gate.enter(addr("127.0.0.1"), at).map(drop);
        assert_eq!([knock(now), knock(now), knock(now)], [Ok(()), Ok(()), Err(Denied)]);
        assert!(knock(now + Duration::from_millis(90)).is_err());
        assert!(knock(now + Duration::from_millis(101)).is_ok());
        let _member = gate.admitted(addr("127.0.0.1"));
        assert!(knock(now + Duration::from_millis(101)).is_ok());
    }
}
