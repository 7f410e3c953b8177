//! How fast entries are taken unasked, whoever passes them on and over whichever links they come.
//! What comes faster is dropped, and repair brings it.
//!
//! An entry counts for its author, and for all who let the author in, like its bytes in the log
//! (`shares.rs`): nobody says more under many keys than a few scripts at once would. Whoever is
//! linked has a little of its own, so that a noisy neighbour in its branch does not hold up its
//! words.

use std::collections::BTreeMap;

use super::shares::LogPart;
use crate::router::ids::MemberId;
use crate::router::time::Millis;
use crate::router::tokens::{Buckets, TokenRate};

/// Authors that are counted; one more takes the place of who said least.
pub(super) const AUTHORS_MAX: usize = 1_024;
/// 50 a second, and a page of lines out of a pipe at once.
const RATE: TokenRate = TokenRate { per_min: 3_000, burst: 1_000 };
/// All whom a member let in: four scripts at once.
const BRANCH_RATE: TokenRate = TokenRate { per_min: 12_000, burst: 4_000 };
/// All who came by the founder's open door, and whom they let in.
const FOUNDERS_DOOR_RATE: TokenRate = TokenRate { per_min: 24_000, burst: 8_000 };
/// What a linked author may say although those who let it in have no tokens left.
const LINKED_RATE: TokenRate = TokenRate { per_min: 120, burst: 100 };
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

impl Accountable {
    fn member(self) -> MemberId {
        match self {
            Self::Author(member) | Self::StrangersBy(member) => member,
        }
    }
}

/// What each of them may still say.
#[derive(Debug)]
pub(super) struct Pushes {
    tokens: Buckets<Accountable>,
    /// Those of whoever let them in.
    branches: Buckets<LogPart>,
    /// What linked authors have beside these.
    linked: Buckets<MemberId>,
    /// Authors that said more than that, and until when nobody waits for them.
    overran: BTreeMap<MemberId, Millis>,
}

impl Default for Pushes {
    fn default() -> Self {
        Self {
            tokens: Buckets::new(AUTHORS_MAX),
            branches: Buckets::new(AUTHORS_MAX),
            linked: Buckets::new(AUTHORS_MAX),
            overran: BTreeMap::new(),
        }
    }
}

impl Pushes {
    /// Whether another entry is taken for which `who` answers, and for whom all of one of its
    /// `ways` in answer. `linked`: it comes over the author's own link.
    pub(super) fn take(
        &mut self,
        who: Accountable,
        ways: &[Vec<LogPart>],
        linked: bool,
        now: Millis,
    ) -> bool {
        if !self.tokens.get(who, RATE, now).has(1, now) {
            return false;
        }
        let member = who.member();
        let free = ways.iter().find(|parts| {
            let mut others = parts.iter().filter(|part| !is_of(**part, &member));
            others.all(|part| self.branches.get(*part, rate_of(*part), now).has(1, now))
        });
        let taken = match free {
            Some(parts) => {
                for part in parts.iter().filter(|part| !is_of(**part, &member)) {
                    self.branches.get(*part, rate_of(*part), now).take(1, now);
                }
                true
            }
            None => linked && self.linked.get(member, LINKED_RATE, now).take(1, now),
        };
        taken && self.tokens.get(who, RATE, now).take(1, now)
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

    /// Authors that said something lately, that said too much, and those that let authors in.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        (self.tokens.len(), self.overran.len(), self.branches.len())
    }
}

/// How fast those say something who count for a part.
fn rate_of(part: LogPart) -> TokenRate {
    match part {
        LogPart::Branch(_) | LogPart::Door(_) => BRANCH_RATE,
        LogPart::FoundersDoor => FOUNDERS_DOOR_RATE,
        LogPart::Unknown => RATE,
    }
}

/// Whether a part is of a member itself, whose rate is lower than that of all below it.
fn is_of(part: LogPart, member: &MemberId) -> bool {
    matches!(part, LogPart::Branch(of) | LogPart::Door(of) if of == *member)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_too_much_is_dropped_and_not_waited_for() {
        let (eve, bob) = (MemberId([1; 32]), MemberId([2; 32]));
        let mut pushes = Pushes::default();
        let mut take = |who, at| pushes.take(who, &[Vec::new()], true, Millis(at));
        let taken = (0..2_000).filter(|_| take(Accountable::Author(eve), 0)).count();
        assert_eq!(taken, 1_000);
        assert!(!pushes.has_overrun(&eve, Millis(0)));
        assert!(pushes.overrun(eve, Millis(0)));
        assert!(!pushes.overrun(eve, Millis(0)), "that is known");
        assert!(pushes.has_overrun(&eve, Millis(9_999)));
        assert!(!pushes.has_overrun(&eve, Millis(10_000)));
        for other in [Accountable::Author(bob), Accountable::StrangersBy(eve)] {
            assert!(pushes.take(other, &[Vec::new()], true, Millis(0)), "nobody else is slowed");
        }
        assert!(!pushes.has_overrun(&bob, Millis(0)));
        for number in 0..=u8::MAX {
            for other in 0..8 {
                let mut id = [number; 32];
                id[0] = other;
                let who = MemberId(id);
                let ways = [vec![LogPart::Branch(who), LogPart::Door(who)]];
                pushes.take(Accountable::Author(who), &ways, true, Millis(1));
                pushes.take(Accountable::StrangersBy(bob), &ways, false, Millis(1));
                pushes.overrun(who, Millis(1));
            }
        }
        assert_eq!(pushes.counts(), (AUTHORS_MAX, AUTHORS_MAX, AUTHORS_MAX));
    }

    /// A member that let in twenty keys said a thousand things a second, and more at once.
    #[test]
    fn whoever_lets_in_many_keys_says_no_more_than_a_few_scripts() {
        let who = |number| MemberId([number; 32]);
        let (eve, bob, carol) = (who(1), who(2), who(3));
        let below_eve = [vec![LogPart::Branch(eve), LogPart::Branch(bob)]];
        let below_bob = [vec![LogPart::Branch(bob)]];
        let mut pushes = Pushes::default();
        let mut said = |by: u8, ways: &[Vec<LogPart>], linked, many, at| {
            let who = Accountable::Author(who(by));
            (0..many).filter(|_| pushes.take(who, ways, linked, Millis(at))).count()
        };
        let puppets = 100..120;
        let burst: usize = puppets.clone().map(|by| said(by, &below_eve, false, 1_000, 0)).sum();
        assert_eq!(burst, 4_000);
        let later = (1..=100).flat_map(|tenth| puppets.clone().map(move |by| (by, 100 * tenth)));
        let later: usize = later.map(|(by, at)| said(by, &below_eve, false, 5, at)).sum();
        assert_eq!(later, 2_000, "200 a second for ten seconds");
        // Bob, who let her in, says what he likes, and so do those of other branches. His other
        // guests have a little of their own, and so has who comes by another way as well.
        let now = 10_000;
        assert_eq!(said(2, &below_bob, false, 1_000, now), 1_000);
        assert_eq!(said(4, &[vec![LogPart::Branch(carol)]], false, 1_000, now), 1_000);
        assert_eq!(said(5, &below_bob, false, 1_000, now), 0);
        assert_eq!(said(5, &below_bob, true, 1_000, now), 100);
        let both = [below_bob[0].clone(), vec![LogPart::Branch(carol)]];
        assert_eq!(said(6, &both, false, 1_000, now), 1_000);
    }
}
