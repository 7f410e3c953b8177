//! How often strangers may try passwords, and that people here are told when they do.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Router;
use super::ids::ConnId;
use super::links::plain_ip;
use super::time::{Earliest, Millis};
use crate::limits::Limits;

/// People are told of wrong passwords so often at most.
const TOLD_MS: u64 = 10_000;
/// Addresses that are named at a time.
const NAMED_MAX: usize = 4;

/// Password exchanges with this node that did not succeed (yet).
#[derive(Debug, Default)]
pub(super) struct Guesses {
    by_addr: BTreeMap<IpAddr, VecDeque<Millis>>,
    all: VecDeque<Millis>,
    under_way: BTreeSet<ConnId>,
    /// Failed ones that nobody was told of yet.
    untold: BTreeMap<IpAddr, u32>,
    /// Those of them from addresses that are too many to be named.
    untold_elsewhere: u32,
    /// Before this nobody is told again.
    quiet_until: Millis,
}

impl Guesses {
    /// Counts an attempt that begins, or says how long to wait.
    pub(super) fn begin(
        &mut self,
        conn: ConnId,
        ip: IpAddr,
        now: Millis,
        limits: &Limits,
    ) -> Result<(), u64> {
        const HOUR_MS: u64 = 3_600_000;
        let drop_old = |times: &mut VecDeque<Millis>, window_ms: u64| {
            while times.front().is_some_and(|at| now.since(*at) >= window_ms) {
                times.pop_front();
            }
        };
        self.by_addr.retain(|_, times| {
            drop_old(times, limits.password_window_ms);
            !times.is_empty()
        });
        drop_old(&mut self.all, HOUR_MS);
        if self.under_way.len() >= limits.password_exchanges {
            return Err(1_000);
        }
        let wait = |times: &VecDeque<Millis>, window_ms: u64| {
            times.front().map_or(0, |at| window_ms.saturating_sub(now.since(*at)))
        };
        let key = source_of(ip);
        if !is_own_loopback(ip) {
            if let Some(times) = self.by_addr.get(&key)
                && times.len() >= limits.password_attempts_per_addr
            {
                return Err(wait(times, limits.password_window_ms));
            }
            if self.all.len() >= limits.password_attempts_per_hour {
                return Err(wait(&self.all, HOUR_MS));
            }
            self.by_addr.entry(key).or_default().push_back(now);
            self.all.push_back(now);
        }
        self.under_way.insert(conn);
        Ok(())
    }

    /// Nobody is told of what happened in another room.
    pub(super) fn forget_untold(&mut self) {
        self.untold.clear();
        self.untold_elsewhere = 0;
    }

    /// The connection is over; whether it was an attempt that did not succeed.
    pub(super) fn end(&mut self, conn: ConnId) -> bool {
        self.under_way.remove(&conn)
    }

    /// The password was right: the attempt does not count.
    pub(super) fn succeeded(&mut self, conn: ConnId, ip: IpAddr) {
        self.under_way.remove(&conn);
        if !is_own_loopback(ip) {
            if let Some(times) = self.by_addr.get_mut(&source_of(ip)) {
                times.pop_back();
            }
            self.all.pop_back();
        }
    }
}

impl Router {
    /// A password did not open this room, or whoever tried it broke off before that was clear:
    /// the first message of the exchange that answers a guess tells the guesser.
    pub(super) fn guess_failed(&mut self, ip: IpAddr) {
        let guesses = &mut self.guesses;
        let ip = plain_ip(ip);
        if guesses.untold.len() < NAMED_MAX || guesses.untold.contains_key(&ip) {
            *guesses.untold.entry(ip).or_default() += 1;
        } else {
            guesses.untold_elsewhere += 1;
        }
    }

    pub(super) fn guess_timers(&mut self) {
        if self.guesses.untold.is_empty() || self.now < self.guesses.quiet_until {
            return;
        }
        self.guesses.quiet_until = self.now.plus(TOLD_MS);
        let untold = std::mem::take(&mut self.guesses.untold);
        let elsewhere = std::mem::take(&mut self.guesses.untold_elsewhere);
        let mut places: Vec<String> =
            untold.iter().map(|(ip, count)| format!("{count} from {ip}")).collect();
        if elsewhere > 0 {
            places.push(format!("{elsewhere} from elsewhere"));
        }
        let total = untold.values().sum::<u32>() + elsewhere;
        self.remark(match (total, untold.first_key_value()) {
            (1, Some((ip, _))) => {
                format!("careful: somebody at {ip} tried a password that does not open the room")
            }
            _ => format!(
                "careful: {total} passwords were tried that do not open the room: {}",
                places.join(", ")
            ),
        });
    }

    pub(super) fn guess_deadlines(&self, earliest: &mut Earliest) {
        if !self.guesses.untold.is_empty() {
            earliest.at(self.guesses.quiet_until.max(self.now));
        }
    }
}

/// Addresses are counted one by one in IPv4 and by /64 in IPv6.
#[must_use]
pub(crate) fn source_of(ip: IpAddr) -> IpAddr {
    match plain_ip(ip) {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (!0u128 << 64)).into()),
    }
}

/// 127.0.0.1 and ::1 are this computer's own; other 127/8 addresses count as strangers.
#[must_use]
pub(crate) fn is_own_loopback(ip: IpAddr) -> bool {
    matches!(plain_ip(ip), IpAddr::V4(core::net::Ipv4Addr::LOCALHOST))
        || ip == IpAddr::V6(core::net::Ipv6Addr::LOCALHOST)
}
