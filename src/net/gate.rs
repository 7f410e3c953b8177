//! Admission control: bounds on connections that are not admitted yet.
//!
//! Strangers cost a thread and a handshake each, so their number is bounded in total, per address
//! and per second. Addresses of admitted sessions are exempt from the bounds per address and per
//! second, and the last place is reserved for them, so that strangers cannot lock members out.
//! Among strangers, quiet neighbourhoods are favoured: when all places are taken, the oldest
//! connection of the busiest neighbourhood gives way.

use std::collections::BTreeMap;
use std::net::{IpAddr, Shutdown};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::stream::Stream;
use crate::limits::Limits;
use crate::router::address::{is_own_computer, neighbourhood_of, source_of};
use crate::router::time::Millis;
use crate::router::tokens::{Buckets, TokenRate, Tokens};

/// A connection that has waited this long may give way to one from an equally busy neighbourhood.
const GIVES_WAY: Duration = Duration::from_secs(1);
/// When few handshakes are left this second, a neighbourhood may still begin this many.
const SCARCE: TokenRate = TokenRate { per_min: 120, burst: 8 };
/// How many neighbourhoods' use is remembered.
const NEIGHBOURHOODS_MAX: usize = 4_096;

/// There is no place at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied;

/// The bounds and what is counted against them.
#[derive(Debug)]
pub struct Gate {
    places: usize,
    places_per_source: usize,
    burst: u32,
    began: Instant,
    state: Mutex<GateState>,
}

#[derive(Debug)]
struct GateState {
    /// By permit number: the oldest first.
    pending: BTreeMap<u64, Pending>,
    next: u64,
    admitted_by_source: BTreeMap<IpAddr, usize>,
    /// Handshakes that may begin.
    tokens: Tokens,
    tokens_near: Buckets<IpAddr>,
}

/// A connection that nobody has admitted.
#[derive(Debug)]
struct Pending {
    addr: IpAddr,
    since: Instant,
    /// The stream to close when it gives way.
    stream: Option<Arc<dyn Stream>>,
}

/// This computer is a neighbourhood of its own.
fn near(addr: IpAddr) -> IpAddr {
    if is_own_computer(addr) { addr.to_canonical() } else { neighbourhood_of(addr) }
}

impl Gate {
    /// A gate with the bounds of `limits`.
    #[must_use]
    pub fn new(limits: &Limits, now: Instant) -> Arc<Self> {
        let (per_s, burst) = (limits.handshakes_per_s, limits.handshake_burst);
        Arc::new(Self {
            places: limits.pending_conns,
            places_per_source: limits.pending_conns_per_addr,
            burst,
            began: now,
            state: Mutex::new(GateState {
                pending: BTreeMap::new(),
                next: 0,
                admitted_by_source: BTreeMap::new(),
                tokens: Tokens::new(per_s, burst, Millis(0)),
                tokens_near: Buckets::new(NEIGHBOURHOODS_MAX),
            }),
        })
    }

    /// A place for a connection from `addr`, until the permit is dropped or it gives way.
    ///
    /// # Errors
    /// [`Denied`]: there is none; a second later there may be one.
    pub fn enter(self: &Arc<Self>, addr: IpAddr, now: Instant) -> Result<Permit, Denied> {
        let source = source_of(addr);
        let mut state = self.lock();
        let favoured = state.admitted_by_source.contains_key(&source);
        // One place stays free for members.
        let places = if favoured { self.places } else { self.places.saturating_sub(1) };
        let bounded = !favoured && !is_own_computer(addr);
        let from_source = state.from(source).count();
        let mut leaves = None;
        if bounded && from_source >= self.places_per_source {
            leaves = Some(state.oldest_of_source(source, now).ok_or(Denied)?);
        } else if state.pending.len() >= places {
            leaves = Some(state.to_give_way(addr, now).ok_or(Denied)?);
        }
        if !favoured && !self.spend(&mut state, addr, now) {
            return Err(Denied);
        }
        if let Some(pending) = leaves.and_then(|number| state.pending.remove(&number))
            && let Some(stream) = pending.stream
        {
            // It may be closed already, which is what we want.
            let _ = stream.shut(Shutdown::Both);
        }
        let number = state.next;
        state.next += 1;
        state.pending.insert(number, Pending { addr, since: now, stream: None });
        Ok(Permit { gate: Arc::clone(self), source, pending: Some(number) })
    }

    /// Favours `addr` until the permit is dropped.
    #[must_use]
    pub fn admitted(self: &Arc<Self>, addr: IpAddr) -> Permit {
        let source = source_of(addr);
        *self.lock().admitted_by_source.entry(source).or_default() += 1;
        Permit { gate: Arc::clone(self), source, pending: None }
    }

    /// Takes one handshake out of the bucket. When little is left in it, neighbourhoods that have
    /// used much must leave that to others.
    fn spend(&self, state: &mut GateState, addr: IpAddr, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.began).as_millis();
        let now = Millis(u64::try_from(passed).unwrap_or(u64::MAX));
        let near_has = state.tokens_near.get(near(addr), SCARCE, now).take(1, now);
        let is_scarce = !state.tokens.has(u64::from(self.burst / 4), now);
        (near_has || !is_scarce || is_own_computer(addr)) && state.tokens.take(1, now)
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GateState {
    fn from(&self, source: IpAddr) -> impl Iterator<Item = (u64, &Pending)> {
        let all = self.pending.iter().map(|(number, pending)| (*number, pending));
        all.filter(move |(_, pending)| source_of(pending.addr) == source)
    }

    /// The oldest connection of one source, if it has waited long.
    fn oldest_of_source(&self, source: IpAddr, now: Instant) -> Option<u64> {
        let (number, oldest) = self.from(source).next()?;
        oldest.is_old(now).then_some(number)
    }

    /// The oldest connection of the busiest neighbourhood, if that has more connections than the
    /// one of `addr`, or if the connection has waited long.
    fn to_give_way(&self, addr: IpAddr, now: Instant) -> Option<u64> {
        let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for pending in self.pending.values() {
            *counts.entry(near(pending.addr)).or_default() += 1;
        }
        let (busiest, most) = counts.iter().max_by_key(|(_, count)| **count)?;
        let own = counts.get(&near(addr)).copied().unwrap_or(0);
        let mut of_busiest = self.pending.iter().filter(|(_, of)| near(of.addr) == *busiest);
        let (number, oldest) = of_busiest.next()?;
        (*most > own + 1 || oldest.is_old(now)).then_some(*number)
    }
}

impl Pending {
    fn is_old(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= GIVES_WAY
    }
}

/// A place at the gate; dropping it gives it back.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    source: IpAddr,
    /// The place of a connection that is not admitted; otherwise its source is favoured.
    pending: Option<u64>,
}

impl Permit {
    /// The stream to close when the connection gives way to another.
    pub fn attach(&self, stream: &Arc<dyn Stream>) {
        let mut state = self.gate.lock();
        if let Some(of) = self.pending.and_then(|number| state.pending.get_mut(&number)) {
            of.stream = Some(Arc::clone(stream));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        if let Some(number) = self.pending {
            // It may have given way already.
            state.pending.remove(&number);
            return;
        }
        if let Some(count) = state.admitted_by_source.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                state.admitted_by_source.remove(&self.source);
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

    /// R9: 17 strangers with idle connections took all places.
    #[test]
    fn r9_who_has_many_idle_connections_gives_way_to_who_has_few() {
        let limits = Limits { handshake_burst: 1_000, ..Limits::default() };
        let start = Instant::now();
        let gate = Gate::new(&limits, start);
        let stranger = |n: usize| addr(&format!("198.51.{}.{}", n / 4, n % 4));
        // Each neighbourhood has all the connections that it may have, and then tries another.
        let mut idle: Vec<_> =
            (0..17 * 4).map_while(|n| gate.enter(stranger(n), start).ok()).collect();
        let places = limits.pending_conns - 1;
        assert!(idle.len() >= places, "{}", idle.len());
        let newcomer = gate.enter(addr("203.0.113.5"), start).unwrap();
        assert_eq!(gate.lock().pending.len(), places);
        let gone = idle.iter().filter(|permit| {
            permit.pending.is_some_and(|number| !gate.lock().pending.contains_key(&number))
        });
        assert!(gone.count() >= 1);
        // A connection that gave way does not free a place again.
        idle.clear();
        assert_eq!(gate.lock().pending.len(), 1);
        drop(newcomer);
        assert!(gate.lock().pending.is_empty());
    }

    /// R9: of one address the newest connection counts, not an idle older one.
    #[test]
    fn r9_an_old_idle_connection_gives_way_to_its_neighbour() {
        let (gate, now) = gate(100, 100);
        let (ours, theirs) = crate::net::memory::pair();
        let stuck = gate.enter(addr("192.0.2.1"), now).unwrap();
        let stream: Arc<dyn Stream> = ours;
        stuck.attach(&stream);
        let _second = gate.enter(addr("192.0.2.1"), now).unwrap();
        assert!(gate.enter(addr("192.0.2.1"), now + GIVES_WAY / 2).is_err(), "not yet");
        let _third = gate.enter(addr("192.0.2.1"), now + GIVES_WAY).unwrap();
        assert!(gate.enter(addr("192.0.2.1"), now + GIVES_WAY).is_ok());
        assert_eq!(theirs.read(&mut [0; 1]).ok(), Some(0), "it was closed");
    }

    /// R9: when handshakes run short, neighbourhoods that had many leave the rest to others.
    #[test]
    fn r9_the_last_handshakes_are_for_those_who_had_few() {
        let limits = Limits::default();
        let now = Instant::now();
        let gate = Gate::new(&limits, now);
        let knocks = |at| gate.enter(addr("198.51.100.1"), at).is_ok();
        let burst = (0..10_000).filter(|_| knocks(now)).count();
        assert!((100..=160).contains(&burst), "{burst}");
        for n in 0..40 {
            assert!(gate.enter(addr(&format!("203.0.{n}.5")), now).is_ok(), "{n}");
        }
        // They do not get new ones either.
        let later = now + Duration::from_millis(200);
        assert!(!(0..10_000).any(|_| knocks(later)));
        assert!(gate.enter(addr("192.0.2.1"), later).is_ok());
    }
}
