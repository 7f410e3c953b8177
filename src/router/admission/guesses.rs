//! How often strangers may try passwords, and how people here are told that they do.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::limits::Limits;
use crate::router::address::{is_own_computer, neighbourhood_of, plain_ip, source_of};
use crate::router::context::Context;
use crate::router::ids::ConnId;
use crate::router::time::Millis;
use crate::router::timers::Timer;

/// How long an attempt from an address counts.
const WINDOW_MS: u64 = 10 * 60_000;
const HOUR_MS: u64 = 3_600_000;
/// Most password exchanges in progress at once.
const PASSWORD_EXCHANGES: usize = 4;
/// The last part of the hour's budget, one in this many, is given out slowly.
const SCARCE: usize = 4;
/// People are told of wrong passwords at most this often.
const TOLD_MS: u64 = 10_000;
/// Most addresses named at a time.
const NAMED_MAX: usize = 4;

/// Password exchanges with this node that have not succeeded (yet).
#[derive(Debug, Default)]
pub(crate) struct Guesses {
    by_addr: BTreeMap<IpAddr, VecDeque<Millis>>,
    /// When they happened in the last hour, and from which neighbourhood.
    all: VecDeque<(Millis, IpAddr)>,
    under_way: BTreeSet<ConnId>,
    /// Failed ones that nobody has been told of.
    untold: BTreeMap<IpAddr, u32>,
    /// How many of those are from addresses beyond the number remembered.
    untold_elsewhere: u32,
    /// Nobody is told again before this.
    quiet_until: Millis,
}

impl Guesses {
    /// Counts an attempt that begins, or returns how long to wait.
    ///
    /// While little of the hour's budget is left, attempts come one at a time, and each source
    /// waits longer the more its neighbourhood has used: so guesses from many places slow down,
    /// without keeping out people from elsewhere.
    pub(crate) fn begin(
        &mut self,
        conn: ConnId,
        ip: IpAddr,
        now: Millis,
        limits: &Limits,
    ) -> Result<(), u64> {
        self.forget_old(now);
        if self.under_way.len() >= PASSWORD_EXCHANGES {
            return Err(1_000);
        }
        let own = is_own_computer(ip);
        if !(own && limits.trust_loopback) {
            let source = source_of(ip);
            let times = self.by_addr.get(&source);
            if !own && times.is_some_and(|at| at.len() >= limits.password_attempts_per_addr) {
                let first = times.and_then(|times| times.front());
                return Err(first.map_or(0, |at| left(*at, WINDOW_MS, now)));
            }
            let wait = self.wait_when_scarce(ip, now, limits);
            if wait > 0 {
                return Err(wait);
            }
            self.by_addr.entry(source).or_default().push_back(now);
            self.all.push_back((now, neighbourhood_of(ip)));
        }
        self.under_way.insert(conn);
        Ok(())
    }

    fn forget_old(&mut self, now: Millis) {
        self.by_addr.retain(|_, times| {
            while times.front().is_some_and(|at| left(*at, WINDOW_MS, now) == 0) {
                times.pop_front();
            }
            !times.is_empty()
        });
        while self.all.front().is_some_and(|(at, _)| left(*at, HOUR_MS, now) == 0) {
            self.all.pop_front();
        }
    }

    /// How long to wait when most of the hour's budget is used up.
    fn wait_when_scarce(&self, ip: IpAddr, now: Millis, limits: &Limits) -> u64 {
        let budget = limits.password_attempts_per_hour;
        if self.all.len() < budget - budget / SCARCE {
            return 0;
        }
        let pace_ms = HOUR_MS / u64::try_from(budget.max(1)).unwrap_or(u64::MAX);
        let near = neighbourhood_of(ip);
        let used = self.all.iter().filter(|(_, of)| *of == near);
        let (count, last) = used.fold((0, None), |(count, _), (at, _)| (count + 1, Some(*at)));
        // A source that had none goes before all that had some.
        let turn_ms = if count == 0 { pace_ms } else { 2 * pace_ms };
        let next = self.all.back().map_or(0, |(at, _)| left(*at, turn_ms, now));
        let own = last.map_or(0, |at| left(at, pace_ms.saturating_mul(count), now));
        next.max(own)
    }

    /// Nobody is told of what happened in another room.
    pub(crate) fn forget_untold(&mut self) {
        self.untold.clear();
        self.untold_elsewhere = 0;
    }

    /// The connection is over; returns whether it was an attempt that did not succeed.
    pub(crate) fn end(&mut self, conn: ConnId) -> bool {
        self.under_way.remove(&conn)
    }

    /// The password was right: the attempt does not count.
    pub(crate) fn succeeded(&mut self, conn: ConnId, ip: IpAddr) {
        if self.under_way.remove(&conn) {
            if let Some(times) = self.by_addr.get_mut(&source_of(ip)) {
                times.pop_back();
            }
            let near = neighbourhood_of(ip);
            if let Some(at) = self.all.iter().rposition(|(_, of)| *of == near) {
                self.all.remove(at);
            }
        }
    }

    /// A password did not open this room, or its owner broke off before that was clear: the first
    /// message that answers a guess already tells the guesser.
    pub(crate) fn failed(&mut self, cx: &mut Context, ip: IpAddr) {
        let ip = plain_ip(ip);
        if self.untold.len() < NAMED_MAX || self.untold.contains_key(&ip) {
            *self.untold.entry(ip).or_default() += 1;
        } else {
            self.untold_elsewhere += 1;
        }
        cx.timers.set(Timer::Guesses, Some(self.quiet_until));
    }

    /// Tells people what failed since they were last told.
    pub(crate) fn tell(&mut self, cx: &mut Context) {
        let untold = std::mem::take(&mut self.untold);
        let elsewhere = std::mem::take(&mut self.untold_elsewhere);
        let total = untold.values().sum::<u32>() + elsewhere;
        if total == 0 {
            return;
        }
        self.quiet_until = cx.now.plus(TOLD_MS);
        let mut places: Vec<String> =
            untold.iter().map(|(ip, count)| format!("{count} from {ip}")).collect();
        if elsewhere > 0 {
            places.push(format!("{elsewhere} from elsewhere"));
        }
        cx.remark(match (total, untold.first_key_value()) {
            (1, Some((ip, _))) => format!("warning: wrong password tried from {ip}"),
            _ => format!("warning: {total} wrong passwords tried: {}", places.join(", ")),
        });
    }
}

/// How much is left of `span_ms`, which began at `at`.
fn left(at: Millis, span_ms: u64, now: Millis) -> u64 {
    span_ms.saturating_sub(now.since(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(guesses: &mut Guesses, number: u64, ip: &str, now_ms: u64) -> Result<(), u64> {
        let limits = Limits::default();
        let conn = ConnId(number);
        let begun = guesses.begin(conn, ip.parse().unwrap(), Millis(now_ms), &limits);
        guesses.end(conn);
        begun
    }

    /// R9: strangers from many addresses use up the hour; somebody from elsewhere still gets in.
    #[test]
    fn a_budget_that_is_nearly_used_up_slows_down_and_favours_who_used_least() {
        let mut guesses = Guesses::default();
        let mut passed = 0;
        for number in 0..200 {
            let ip = format!("198.51.100.{}", number % 40);
            passed += u32::from(guess(&mut guesses, number, &ip, 0).is_ok());
        }
        assert_eq!(passed, 45, "three quarters of 60 at once");
        // Another place only waits for its turn, but the guessers for an hour's worth of turns.
        assert_eq!(guess(&mut guesses, 300, "203.0.113.1", 0), Err(60_000));
        assert_eq!(guess(&mut guesses, 301, "203.0.113.1", 60_000), Ok(()));
        assert!(guess(&mut guesses, 302, "198.51.100.77", 120_000).unwrap_err() > 40 * 60_000);
        assert_eq!(guess(&mut guesses, 303, "2001:db8::1", 120_000), Ok(()));
        // Never more than one a minute.
        let mut more = 0;
        for number in 0..1_000 {
            let ip = format!("10.{}.{}.1", number / 250, number % 250);
            more += u32::from(guess(&mut guesses, 400 + number, &ip, 130_000).is_ok());
        }
        assert_eq!(more, 0);
    }

    /// R9: twelve addresses guessed as often as allowed, and newcomers were shut out for an hour.
    #[test]
    fn r9_the_next_turn_is_for_who_had_none() {
        let mut guesses = Guesses::default();
        let (mut number, mut came) = (0, None);
        for second in 0..600 {
            for place in 0..12 {
                number += 1;
                // Most of these only hear that they must wait.
                let _ = guess(&mut guesses, number, &format!("10.{place}.0.1"), second * 1_000);
            }
            number += 1;
            let mut tries = || guess(&mut guesses, number, "203.0.113.1", second * 1_000);
            if second >= 300 && came.is_none() && tries().is_ok() {
                came = Some(second);
            }
        }
        assert!(came.is_some_and(|second| second <= 360), "{came:?}");
    }

    #[test]
    fn this_computer_counts_in_the_hour_unless_it_is_trusted() {
        let mut guesses = Guesses::default();
        let many = |guesses: &mut Guesses, limits: &Limits| {
            let ip = "127.0.0.1".parse().unwrap();
            let begun = (0..100).filter(|number| {
                let conn = ConnId(*number);
                let begun = guesses.begin(conn, ip, Millis(0), limits).is_ok();
                guesses.end(conn);
                begun
            });
            begun.count()
        };
        assert_eq!(many(&mut guesses, &Limits::default()), 45);
        let trusting = Limits { trust_loopback: true, ..Limits::default() };
        assert_eq!(many(&mut Guesses::default(), &trusting), 100);
    }

    #[test]
    fn the_right_password_is_given_back() {
        let mut guesses = Guesses::default();
        for number in 0..100 {
            let ip = "198.51.100.1".parse().unwrap();
            let begun = guesses.begin(ConnId(number), ip, Millis(0), &Limits::default());
            assert_eq!(begun, Ok(()));
            guesses.succeeded(ConnId(number), ip);
        }
        assert!(guesses.all.is_empty());
    }
}
