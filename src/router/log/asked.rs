//! Of which links each chain was asked.
//!
//! A chain is asked of one link at a time. A link that does not answer delays it, and anybody may
//! say that it has a chain: after each that was late one more is asked at once. So the number of
//! links that are asked doubles with each turn, and liars cost a few turns, however many they are.

use std::collections::BTreeMap;

use crate::router::ids::ConnId;
use crate::router::signed::Chain;
use crate::router::time::Millis;

/// An unanswered question of repair goes to other links after so long.
pub(super) const ASK_TIMEOUT_MS: u64 = 2_000;
/// So long it counts that links were late.
const LATE_MS: u64 = 30_000;

#[derive(Debug, Default)]
struct AskedChain {
    /// Who is to answer, and when it was asked.
    links: BTreeMap<ConnId, Millis>,
    /// How many were late since somebody brought some of it.
    late: usize,
    /// Until when that counts.
    late_until: Millis,
}

impl AskedChain {
    fn is_waited_for(&self, now: Millis) -> bool {
        self.links.values().any(|at| now < at.plus(ASK_TIMEOUT_MS))
    }
}

/// The chains that were asked for.
#[derive(Debug, Default)]
pub(super) struct AskedChains {
    chains: BTreeMap<Chain, AskedChain>,
}

impl AskedChains {
    pub(super) fn len(&self) -> usize {
        self.chains.len()
    }

    /// Whether a chain may be asked of a link now.
    pub(super) fn may_ask(&self, chain: &Chain, conn: ConnId, now: Millis) -> bool {
        let Some(asked) = self.chains.get(chain) else { return true };
        let waits = |(of, at): &(&ConnId, &Millis)| **of != conn && now < at.plus(ASK_TIMEOUT_MS);
        let late = if now < asked.late_until { asked.late } else { 0 };
        asked.links.iter().filter(waits).count() <= late
    }

    /// A chain is asked of a link. No more than `most` are remembered.
    pub(super) fn ask(&mut self, chain: Chain, conn: ConnId, now: Millis, most: usize) {
        if self.len() >= most && !self.chains.contains_key(&chain) {
            self.chains.retain(|_, asked| asked.is_waited_for(now));
        }
        if self.len() < most || self.chains.contains_key(&chain) {
            self.chains.entry(chain).or_default().links.insert(conn, now);
        }
    }

    /// A link did not answer in time; whether others may be asked for it.
    pub(super) fn is_late(&mut self, chain: &Chain, conn: ConnId, now: Millis) -> bool {
        let Some(asked) = self.chains.get_mut(chain) else { return false };
        if asked.links.remove(&conn).is_none() {
            return false;
        }
        asked.late = if now < asked.late_until { asked.late + 1 } else { 1 };
        asked.late_until = now.plus(LATE_MS);
        true
    }

    /// A link answered. If it brought much of what it has, it is asked for the rest before others.
    pub(super) fn answered(&mut self, chain: &Chain, conn: ConnId, (much, now): (bool, Millis)) {
        let Some(asked) = self.chains.get_mut(chain) else { return };
        if much {
            asked.links.insert(conn, now);
            asked.late = 0;
        } else {
            asked.links.remove(&conn);
            if asked.links.is_empty() && (asked.late == 0 || now >= asked.late_until) {
                self.chains.remove(chain);
            }
        }
    }

    /// Nothing of a chain is lacking.
    pub(super) fn is_here(&mut self, chain: &Chain) {
        self.chains.remove(chain);
    }

    /// A link is over; whether anything was asked of it.
    pub(super) fn link_down(&mut self, conn: ConnId) -> bool {
        let mut any = false;
        self.chains.retain(|_, asked| {
            any |= asked.links.remove(&conn).is_some();
            !asked.links.is_empty() || asked.late > 0
        });
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::ids::{LogNonce, MemberId};

    fn chain(number: u8) -> Chain {
        Chain { author: MemberId([number; 32]), nonce: LogNonce([1; 8]) }
    }

    /// All links that may be asked are asked.
    fn ask(asked: &mut AskedChains, chain: Chain, left: &mut Vec<ConnId>, now: Millis) -> usize {
        let before = left.len();
        left.retain(|conn| {
            let may = asked.may_ask(&chain, *conn, now);
            if may {
                asked.ask(chain, *conn, now, 8);
            }
            !may
        });
        before - left.len()
    }

    #[test]
    fn many_that_only_say_they_have_a_chain_delay_it_for_a_few_turns() {
        let mut asked = AskedChains::default();
        let mut left: Vec<ConnId> = (0..100).map(ConnId).collect();
        let (mut turns, mut now) = (Vec::new(), Millis(0));
        while !left.is_empty() {
            let from = 100 - left.len() as u64;
            let many = ask(&mut asked, chain(1), &mut left, now);
            turns.push(many);
            now = now.plus(ASK_TIMEOUT_MS);
            for conn in from..from + many as u64 {
                assert!(asked.is_late(&chain(1), ConnId(conn), now));
            }
        }
        assert_eq!(turns, [1, 2, 4, 8, 16, 32, 37]);
        // Much later that is forgotten.
        let mut left: Vec<ConnId> = (0..100).map(ConnId).collect();
        assert_eq!(ask(&mut asked, chain(1), &mut left, now.plus(LATE_MS)), 1);
    }

    #[test]
    fn whoever_brings_a_chain_is_asked_for_the_rest() {
        let mut asked = AskedChains::default();
        let (liar, honest, now) = (ConnId(1), ConnId(2), Millis(10));
        asked.ask(chain(1), liar, Millis(0), 8);
        assert!(!asked.may_ask(&chain(1), honest, now));
        assert!(asked.is_late(&chain(1), liar, now));
        asked.ask(chain(1), honest, now, 8);
        asked.answered(&chain(1), honest, (true, now));
        assert!(asked.may_ask(&chain(1), honest, now));
        assert!(!asked.may_ask(&chain(1), liar, now));
        assert!(asked.may_ask(&chain(1), liar, now.plus(ASK_TIMEOUT_MS)), "unless it stops");
        asked.answered(&chain(1), honest, (false, now));
        assert_eq!(asked.len(), 0);
        for number in 0..=u8::MAX {
            asked.ask(chain(number), honest, now, 8);
        }
        assert_eq!(asked.len(), 8);
        assert!(asked.link_down(honest) && !asked.link_down(honest));
        assert_eq!(asked.len(), 0);
    }
}
