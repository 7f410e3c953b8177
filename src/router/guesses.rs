//! How often strangers may try passwords.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::ids::ConnId;
use super::links::plain_ip;
use super::time::Millis;
use crate::limits::Limits;

/// Password exchanges with this node that did not succeed (yet).
#[derive(Debug, Default)]
pub(super) struct Guesses {
    by_addr: BTreeMap<IpAddr, VecDeque<Millis>>,
    all: VecDeque<Millis>,
    under_way: BTreeSet<ConnId>,
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

    pub(super) fn end(&mut self, conn: ConnId) {
        self.under_way.remove(&conn);
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
