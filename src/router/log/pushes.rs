//! How fast the entries of each author are taken unasked, whoever passes them on and over whichever
//! links they come. What comes faster is dropped, and repair brings it.

use std::collections::BTreeMap;

use crate::router::ids::MemberId;
use crate::router::time::Millis;
use crate::router::tokens::{Buckets, TokenRate};

/// Authors that are counted; one more takes the place of who said least.
pub(super) const AUTHORS_MAX: usize = 1_024;
/// 50 a second, and a page of lines out of a pipe at once.
const RATE: TokenRate = TokenRate { per_min: 3_000, burst: 1_000 };
/// So long after one was dropped nobody waits for what its author said.
const OVERRUN_MS: u64 = 10_000;

/// Who answers for an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Accountable {
    /// Its author.
    Author(MemberId),
    /// A member that passes on entries of authors of whom nobody knows how they came in.
    StrangersBy(MemberId),
}

/// What each of them may still say.
#[derive(Debug)]
pub(super) struct Pushes {
    tokens: Buckets<Accountable>,
    /// Authors that said more than that, and until when nobody waits for them.
    overran: BTreeMap<MemberId, Millis>,
}

impl Default for Pushes {
    fn default() -> Self {
        Self { tokens: Buckets::new(AUTHORS_MAX), overran: BTreeMap::new() }
    }
}

impl Pushes {
    /// Whether another entry is taken for which `who` answers.
    pub(super) fn take(&mut self, who: Accountable, now: Millis) -> bool {
        self.tokens.get(who, RATE, now).take(1, now)
    }

    /// An entry of an author was dropped; whether that is news.
    pub(super) fn overrun(&mut self, author: MemberId, now: Millis) -> bool {
        let news = !self.has_overrun(&author, now);
        if self.overran.len() >= AUTHORS_MAX && !self.overran.contains_key(&author) {
            let first = self.overran.iter().min_by_key(|(_, until)| **until);
            let first = first.map(|(first, _)| *first);
            first.and_then(|first| self.overran.remove(&first));
        }
        self.overran.insert(author, now.plus(OVERRUN_MS));
        news
    }

    /// Whether entries of an author were dropped lately, so that nodes lack different ones: others
    /// who refer to them are heard at once.
    pub(super) fn has_overrun(&self, author: &MemberId, now: Millis) -> bool {
        self.overran.get(author).is_some_and(|until| now < *until)
    }

    /// Authors that said something lately, and that said too much.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.tokens.len(), self.overran.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_too_much_is_dropped_and_not_waited_for() {
        let (eve, bob) = (MemberId([1; 32]), MemberId([2; 32]));
        let mut pushes = Pushes::default();
        let taken = (0..2_000).filter(|_| pushes.take(Accountable::Author(eve), Millis(0))).count();
        assert_eq!(taken, 1_000);
        assert!(!pushes.has_overrun(&eve, Millis(0)));
        assert!(pushes.overrun(eve, Millis(0)));
        assert!(!pushes.overrun(eve, Millis(0)), "that is known");
        assert!(pushes.has_overrun(&eve, Millis(9_999)));
        assert!(!pushes.has_overrun(&eve, Millis(10_000)));
        for other in [Accountable::Author(bob), Accountable::StrangersBy(eve)] {
            assert!(pushes.take(other, Millis(0)), "nobody else is slowed down");
        }
        assert!(!pushes.has_overrun(&bob, Millis(0)));
        for number in 0..=u8::MAX {
            for other in 0..8 {
                let mut id = [number; 32];
                id[0] = other;
                let who = MemberId(id);
                pushes.take(Accountable::Author(who), Millis(1));
                pushes.overrun(who, Millis(1));
            }
        }
        assert_eq!(pushes.counts(), (AUTHORS_MAX, AUTHORS_MAX));
    }
}
