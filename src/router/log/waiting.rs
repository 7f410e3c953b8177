//! Entries that wait for what they refer to, each for one thing at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::limits::Limits;
use crate::router::ids::{EntryId, MemberId};
use crate::router::signed::{Chain, SignedEntry};
use crate::router::time::Millis;

/// A waiting entry: its chain, seq and id.
pub(super) type WaitingKey = (Chain, u64, EntryId);
/// A place of a chain that an entry waits for.
pub(super) type ChainPlace = (Chain, u64);

/// An entry that waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) entry: Arc<SignedEntry>,
    /// For what.
    pub(super) on: ChainPlace,
    /// How long it waits.
    pub(super) until: Millis,
    /// When it is looked at again.
    due: Millis,
}

impl Waiter {
    /// An entry that waits for a place.
    pub(super) fn new(entry: Arc<SignedEntry>, on: ChainPlace, until: Millis) -> Self {
        Self { entry, on, until, due: until }
    }
}

/// What waits, and for what.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    waiters: BTreeMap<WaitingKey, Waiter>,
    bytes: usize,
    /// Who waits for a place.
    blocked: BTreeMap<ChainPlace, BTreeSet<WaitingKey>>,
    /// Who is looked at again, and when.
    ends: BTreeSet<(Millis, WaitingKey)>,
}

fn key_of(entry: &SignedEntry) -> WaitingKey {
    (entry.body.chain, entry.body.seq, entry.id)
}

const FIRST: EntryId = EntryId([0; 32]);

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Entries as listed under what they wait for.
    pub(super) fn blocked_len(&self) -> usize {
        self.blocked.values().map(BTreeSet::len).sum()
    }

    pub(super) fn holds(&self, entry: &SignedEntry) -> bool {
        self.waiters.contains_key(&key_of(entry))
    }

    /// Whether an entry may wait as well: only so many and so many bytes may, and no author takes
    /// more than a quarter of either.
    pub(super) fn has_room_for(&self, entry: &SignedEntry, limits: &Limits) -> bool {
        let most = (limits.waiting_entries, limits.log_bytes / 16);
        let fits = |count: usize, bytes: usize, part: usize| {
            count < most.0 / part && bytes + entry.cost_bytes() <= most.1 / part
        };
        fits(self.waiters.len(), self.bytes, 1)
            && (fits(self.waiters.len(), self.bytes, 4) || {
                let (first, last) = Chain::all_of(&entry.body.chain.author).into_inner();
                let all = (first, 0, FIRST)..=(last, u64::MAX, EntryId([u8::MAX; 32]));
                let of_author = self.waiters.range(all).map(|(_, of)| of.entry.cost_bytes());
                let (count, bytes) = of_author.fold((0, 0), |(n, sum), of| (n + 1, sum + of));
                fits(count, bytes, 4)
            })
    }

    /// An entry waits for a place.
    pub(super) fn insert(&mut self, waiter: Waiter) {
        let key = key_of(&waiter.entry);
        self.blocked.entry(waiter.on).or_default().insert(key);
        self.ends.insert((waiter.due, key));
        self.bytes += waiter.entry.cost_bytes();
        self.waiters.insert(key, waiter);
    }

    fn take(&mut self, key: &WaitingKey) -> Option<Waiter> {
        let waiter = self.waiters.remove(key)?;
        self.bytes -= waiter.entry.cost_bytes();
        self.ends.remove(&(waiter.due, *key));
        if let Some(keys) = self.blocked.get_mut(&waiter.on) {
            keys.remove(key);
            if keys.is_empty() {
                self.blocked.remove(&waiter.on);
            }
        }
        Some(waiter)
    }

    /// Those that waited for a place wait no more.
    pub(super) fn take_blocked(&mut self, on: ChainPlace) -> Vec<Waiter> {
        let keys = self.blocked.get(&on).cloned().unwrap_or_default();
        keys.iter().filter_map(|key| self.take(key)).collect()
    }

    /// Others' entries that wait for one by this author are looked at again.
    pub(super) fn hurry(&mut self, author: &MemberId, now: Millis) {
        let (first, last) = Chain::all_of(author).into_inner();
        let places = self.blocked.range((first, 0)..=(last, u64::MAX));
        let keys = places.flat_map(|(_, keys)| keys).filter(|(of, ..)| of.author != *author);
        for key in keys.copied().collect::<Vec<_>>() {
            if let Some(waiter) = self.waiters.get_mut(&key) {
                self.ends.remove(&(waiter.due, key));
                waiter.due = waiter.due.min(now);
                self.ends.insert((waiter.due, key));
            }
        }
    }

    /// When somebody is to be looked at again.
    pub(super) fn next_end(&self) -> Option<Millis> {
        self.ends.first().map(|(until, _)| *until)
    }

    /// Somebody who has.
    pub(super) fn take_overdue(&mut self, now: Millis) -> Option<Waiter> {
        let (_, key) = *self.ends.first().filter(|(until, _)| *until <= now)?;
        self.take(&key)
    }

    /// Entries of a chain from a place on will never be accepted.
    pub(super) fn drop_behind(&mut self, chain: Chain, at: u64) {
        let keys = self.waiters.range((chain, at, FIRST)..).map(|(key, _)| *key);
        let keys: Vec<_> = keys.take_while(|(of, ..)| *of == chain).collect();
        keys.iter().for_each(|key| drop(self.take(key)));
    }

    /// Places of a chain from one on that are waited for.
    pub(super) fn places_behind(&self, chain: Chain, at: u64) -> Vec<ChainPlace> {
        self.blocked.range((chain, at)..=(chain, u64::MAX)).map(|(place, _)| *place).collect()
    }

    /// How far a chain is here, counting what waits without a gap behind the first `len`.
    pub(super) fn reaches(&self, chain: &Chain, len: u64) -> u64 {
        let mut from = len;
        for (of, seq, _) in self.waiters.range((*chain, len + 1, FIRST)..).map(|(key, _)| key) {
            if of != chain || *seq > from + 1 {
                break;
            }
            from = *seq;
        }
        from
    }

    /// Chains that something is waited for of.
    pub(super) fn missing(&self) -> BTreeSet<Chain> {
        self.blocked.keys().map(|(chain, _)| *chain).collect()
    }
}
