//! Authors of whom something was refused: another way in, which this node learns of later, may have
//! room for them. They have shares like the log itself, so that nobody takes the place of others
//! with keys of its own.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::shares::LogPart;
use crate::router::ids::MemberId;

/// Refused authors that are remembered.
pub(super) const REFUSED_MAX: usize = 1_024;
/// So many of them are looked at whenever the register changes.
pub(super) const LOOKED_AT_ONCE: usize = 32;

/// Those that are remembered.
#[derive(Debug, Default)]
pub(super) struct RefusedAuthors {
    /// Each with what it counts for.
    authors: BTreeMap<MemberId, Vec<LogPart>>,
    counts: BTreeMap<LogPart, usize>,
    /// The last of them that was looked at, if others are left.
    looked_at: Option<MemberId>,
}

impl RefusedAuthors {
    pub(super) fn len(&self) -> usize {
        self.authors.len()
    }

    pub(super) fn contains(&self, author: &MemberId) -> bool {
        self.authors.contains_key(author)
    }

    /// An author is remembered if one of the ways that count for it has a place.
    pub(super) fn insert(&mut self, author: MemberId, ways: Vec<Vec<LogPart>>) {
        if self.contains(&author) || self.len() >= REFUSED_MAX {
            return;
        }
        let has_place = |part: &LogPart| {
            let (share, of) = part.share();
            self.counts.get(part).copied().unwrap_or(0) < REFUSED_MAX / of * share
        };
        if let Some(parts) = ways.into_iter().find(|parts| parts.iter().all(has_place)) {
            for part in &parts {
                *self.counts.entry(*part).or_default() += 1;
            }
            self.authors.insert(author, parts);
        }
    }

    pub(super) fn remove(&mut self, author: &MemberId) {
        for part in self.authors.remove(author).unwrap_or_default() {
            if let Some(count) = self.counts.get_mut(&part) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&part);
                }
            }
        }
    }

    /// Those that are looked at next.
    pub(super) fn take_turns(&mut self) -> Vec<MemberId> {
        let behind = self.looked_at.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.authors.range((behind, Bound::Unbounded)).map(|(author, _)| *author);
        let next: Vec<_> = rest.take(LOOKED_AT_ONCE).collect();
        self.looked_at = next.last().copied().filter(|_| next.len() == LOOKED_AT_ONCE);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_the_place_of_others_with_keys_of_its_own() {
        let who = |number: u16| {
            let mut id = [9; 32];
            id[..2].copy_from_slice(&number.to_be_bytes());
            MemberId(id)
        };
        let below =
            |upper: u16, of: u16| vec![vec![LogPart::Branch(who(of)), LogPart::Branch(who(upper))]];
        let (eve, bob) = (1, 2);
        let mut refused = RefusedAuthors::default();
        for puppet in 1_000..3_000 {
            refused.insert(who(puppet), below(eve, puppet));
        }
        assert_eq!(refused.len(), REFUSED_MAX / 4);
        // Whom another lets in as well is remembered all the same.
        let ways = [below(eve, 10), below(bob, 10)].concat();
        refused.insert(who(10), ways);
        refused.insert(who(11), below(bob, 11));
        assert!(refused.contains(&who(10)) && refused.contains(&who(11)));
        refused.insert(who(3_000), below(eve, 3_000));
        assert!(!refused.contains(&who(3_000)));
        // Who is welcome leaves a place.
        refused.remove(&who(1_000));
        refused.insert(who(3_000), below(eve, 3_000));
        assert!(refused.contains(&who(3_000)));
        let all: Vec<_> = (0..9).flat_map(|_| refused.take_turns()).collect();
        assert_eq!(all.len(), refused.len());
    }
}
