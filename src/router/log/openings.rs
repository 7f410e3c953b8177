//! How many chains each author may still begin over its own link, counted across links: a chain
//! costs every node something for as long as the room lives.

use std::collections::BTreeMap;

use crate::router::ids::MemberId;
use crate::router::time::Millis;

/// Chains that an author may begin at once: each run of a script begins one.
const BURST: u64 = 64;
/// Time after which it may begin another.
const EACH_MS: u64 = 60_000;

/// When each author may begin that many again.
#[derive(Debug, Default)]
pub(super) struct Openings {
    rested: BTreeMap<MemberId, Millis>,
}

impl Openings {
    /// Whether an author may begin another chain now.
    pub(super) fn has_one(&self, author: &MemberId, now: Millis) -> bool {
        let rested = self.rested.get(author).copied().unwrap_or(now);
        rested <= now.plus((BURST - 1) * EACH_MS)
    }

    /// It began one. Of more than `most` authors those are forgotten that rest soonest.
    pub(super) fn take(&mut self, author: MemberId, now: Millis, most: usize) {
        let rested = self.rested.get(&author).copied().unwrap_or(now).max(now);
        if self.rested.len() >= most && !self.rested.contains_key(&author) {
            self.rested.retain(|_, rested| *rested > now);
            let soonest = self.rested.iter().min_by_key(|(_, rested)| **rested);
            if let Some((soonest, _)) = soonest.filter(|_| self.rested.len() >= most) {
                let soonest = *soonest;
                self.rested.remove(&soonest);
            }
        }
        self.rested.insert(author, rested.plus(EACH_MS));
    }

    /// Authors that began one lately.
    pub(super) fn len(&self) -> usize {
        self.rested.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_begins_many_chains_and_then_one_a_minute() {
        let (eve, bob) = (MemberId([1; 32]), MemberId([2; 32]));
        let mut openings = Openings::default();
        let mut begun = |now| {
            let may = openings.has_one(&eve, now);
            if may {
                openings.take(eve, now, 8);
            }
            may
        };
        let hour = Millis(3_600_000);
        assert_eq!((0..100).filter(|_| begun(Millis(0))).count(), 64);
        assert_eq!((0..100).filter(|_| begun(Millis(10 * 60_000))).count(), 10);
        assert_eq!((0..100).filter(|_| begun(hour.plus(100 * hour.0))).count(), 64);
        assert!(openings.has_one(&bob, hour));
        for number in 10..100 {
            openings.take(MemberId([number; 32]), hour, 8);
        }
        assert_eq!(openings.len(), 8);
    }
}
