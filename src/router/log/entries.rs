//! Signed entries in chains: their causal order, forks, and what a peer has that we lack.
//!
//! Invariants: an entry is accepted after all that it refers to; a chain has no gaps; two nodes
//! with the same set of entries and forks have the same order. A fork costs what it takes back.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use super::placing::{EntryOrder, Placed, Terms};
use super::shares::{Amount, LogShares, WaysIn};
use super::waiting::{Waiter, Waiting};
use crate::crypto::hash::digest;
use crate::limits::Limits;
use crate::router::ids::{EntryId, MemberId};
use crate::router::message::{Have, Wanted};
use crate::router::signed::{Chain, ENTRY_MAX_BYTES, EntryRef, PARENTS_MAX, SignedEntry};
use crate::router::time::Millis;

/// Bytes in one answer of repair.
pub(super) const ANSWER_BYTES: usize = 256 * 1024;
/// So much may be needed for the next entry: what would not fit is not asked for.
const NEXT_BYTES: usize = 2 * ENTRY_MAX_BYTES + 256;

/// An entry waits so long for entries of other chains. Then these count as absent.
const PARENTS_WAIT_MS: u64 = 3_000;
/// An entry waits this long for those before it in its own chain. Then it goes: repair brings it
/// with them.
const GAP_WAIT_MS: u64 = 60_000;
/// How far the depth of an entry may be above that of what it refers to and is here. It is more
/// than a log can hold, so that whoever is honest stays within it, whatever was refused here.
const DEPTH_AHEAD_MAX: u64 = 1 << 20;

#[derive(Debug)]
struct ChainItem {
    /// Place in `Entries::accepted`.
    pos: usize,
    depth: u64,
    /// It is of the reserve.
    reserved: bool,
}

#[derive(Debug)]
struct Fork {
    /// The first seq of which there are two entries.
    at: u64,
    /// The two smallest ids among them.
    proof: [Arc<SignedEntry>; 2],
}

#[derive(Debug, Default)]
struct ChainState {
    items: Vec<ChainItem>,
    fork: Option<Fork>,
    /// The next entry was refused.
    refused: bool,
}

/// All accepted entries of a room.
#[derive(Debug)]
pub(crate) struct Entries {
    /// In the order of acceptance; `None` where a fork took an entry back.
    accepted: Vec<Option<Arc<SignedEntry>>>,
    /// How often that is.
    gaps: usize,
    chains: BTreeMap<Chain, ChainState>,
    heads: BTreeSet<EntryRef>,
    shares: LogShares,
    waiting: Waiting,
}

enum Fitness {
    Yes,
    Lacks(Chain, u64),
    Never,
}

impl Entries {
    pub(crate) fn new(me: MemberId) -> Self {
        Self {
            accepted: Vec::new(),
            gaps: 0,
            chains: BTreeMap::new(),
            heads: BTreeSet::new(),
            shares: LogShares::new(me),
            waiting: Waiting::default(),
        }
    }

    /// Accepted entries in the order of acceptance.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Arc<SignedEntry>> {
        self.accepted.iter().flatten()
    }

    /// Chains behind `after` in key order, for paging.
    pub(crate) fn chains_after(&self, after: Option<Chain>) -> impl Iterator<Item = &Chain> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.chains.range((after.map_or(Unbounded, Excluded), Unbounded)).map(|(chain, _)| chain)
    }

    /// Every chain of an author.
    pub(crate) fn chains_of(&self, author: &MemberId) -> impl Iterator<Item = &Chain> {
        self.chains.range(Chain::all_of(author)).map(|(chain, _)| chain)
    }

    /// Accepted length of a chain.
    pub(crate) fn chain_len(&self, chain: &Chain) -> u64 {
        self.chains.get(chain).map_or(0, |state| state.items.len() as u64)
    }

    /// Chains of which anything is held.
    pub(crate) fn chain_count(&self) -> usize {
        self.chains.len()
    }

    /// Authors of whom anything is held, and authors that were refused.
    pub(crate) fn author_counts(&self) -> (usize, usize) {
        self.shares.counts()
    }

    /// Entries that wait for what they refer to.
    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// Waiting entries as listed under what they wait for.
    pub(crate) fn blocked_count(&self) -> usize {
        self.waiting.blocked_len()
    }

    /// Whether a chain is known to be forked.
    pub(crate) fn is_forked(&self, chain: &Chain) -> bool {
        self.chains.get(chain).is_some_and(|state| state.fork.is_some())
    }

    /// Seq, depth, previous id and parents for the next entry of one's own `chain`. It counts as
    /// said after everything that is here, and names nothing by authors who say too much: others
    /// may not have it yet, and would wait.
    pub(crate) fn next_of(
        &self,
        chain: &Chain,
        says_too_much: impl Fn(&MemberId) -> bool,
    ) -> (u64, u64, Option<EntryId>, Vec<EntryRef>) {
        let seq = self.chain_len(chain) + 1;
        let prev = self.entry_at(chain, seq - 1).map(|entry| entry.id);
        let mut heads: Vec<_> =
            self.heads.iter().filter(|head| head.chain != *chain).copied().collect();
        heads.sort_by_key(|head| Reverse(self.depth_at(&head.chain, head.seq)));
        let above = |head: &EntryRef| self.depth_at(&head.chain, head.seq);
        let before = self.depth_at(chain, seq - 1).max(heads.first().and_then(above));
        heads.retain(|head| !says_too_much(&head.chain.author));
        heads.truncate(PARENTS_MAX);
        (seq, 1 + before.unwrap_or(0), prev, heads)
    }

    /// Where an accepted entry stands in the common order.
    pub(crate) fn order_of(&self, entry: &SignedEntry) -> EntryOrder {
        let body = &entry.body;
        (self.depth_at(&body.chain, body.seq).unwrap_or(0), body.chain, body.seq)
    }

    /// Whether an entry changes nothing: it is here, accepted or waiting, or behind a fork.
    pub(crate) fn knows(&self, entry: &SignedEntry) -> bool {
        let (chain, seq) = (&entry.body.chain, entry.body.seq);
        let fork = self.chains.get(chain).and_then(|state| state.fork.as_ref());
        fork.is_some_and(|fork| {
            seq > fork.at || seq == fork.at && fork.proof.iter().any(|proof| proof.id == entry.id)
        }) || self.entry_at(chain, seq).is_some_and(|ours| ours.id == entry.id)
            || self.waiting.holds(entry)
    }

    /// Takes an entry in, if its time has come.
    pub(crate) fn place(&mut self, entry: &Arc<SignedEntry>, terms: Terms<'_>) -> Placed {
        let (chain, seq) = (entry.body.chain, entry.body.seq);
        if self.waiting.holds(entry) {
            return Placed::Waits;
        }
        if self.knows(entry) {
            return Placed::Known;
        }
        if let Some(state) = self.chains.get(&chain) {
            if let Some(fork) = &state.fork
                && seq == fork.at
            {
                let prefix = self.entry_at(&chain, seq - 1).map(|entry| entry.id);
                return if entry.body.prev == prefix {
                    self.improve_proof(entry)
                } else {
                    Placed::Conflict
                };
            }
            if let Some(ours) = self.entry_at(&chain, seq) {
                if ours.body.prev != entry.body.prev {
                    // The first difference lies further back: both must be seen there.
                    return Placed::Conflict;
                }
                let ours = ours.clone();
                return self.fork(chain, seq, ours, entry.clone(), terms);
            }
        }
        if !self.has_room_for(entry, terms) {
            return self.refuse(&chain, terms);
        }
        match self.fit(entry, terms) {
            Fitness::Yes => {
                self.accept(entry.clone(), terms);
                let mut accepted = vec![entry.clone()];
                self.wake(chain, seq, &mut accepted, terms);
                Placed::Accepted(accepted)
            }
            Fitness::Lacks(on, _) if on == chain && self.has_refused(&chain) => {
                self.refuse(&chain, terms)
            }
            Fitness::Lacks(chain, seq) => {
                if !self.waiting.has_room_for(entry, terms.limits) {
                    return Placed::Crowded;
                }
                let gap = chain == entry.body.chain;
                let most_ms = if gap { GAP_WAIT_MS } else { PARENTS_WAIT_MS };
                let (on, until) = ((chain, seq), terms.now.plus(most_ms));
                self.waiting.insert(Waiter::new(entry.clone(), on, until));
                Placed::Waits
            }
            Fitness::Never => Placed::Conflict,
        }
    }

    /// An entry of this chain is not taken.
    pub(crate) fn refuse(&mut self, chain: &Chain, terms: Terms<'_>) -> Placed {
        if let Some(state) = self.chains.get_mut(chain) {
            state.refused = true;
        }
        self.shares.refused(chain.author, terms.from, terms.ways);
        Placed::Refused
    }

    /// Whether the next entry of a chain was refused.
    fn has_refused(&self, chain: &Chain) -> bool {
        self.chains.get(chain).is_some_and(|state| state.refused)
    }

    /// A member is linked here from now on, or no more.
    pub(crate) fn link(&mut self, member: MemberId, linked: bool) {
        self.shares.link(member, linked);
    }

    /// Refused authors that came in by a way that has room, as is known by now.
    pub(crate) fn take_refused(&mut self, ways: WaysIn<'_>, limits: &Limits) -> Vec<MemberId> {
        self.shares.take_refused(NEXT_BYTES, ways, limits)
    }

    /// Whether an entry begins a chain of which nothing is here.
    pub(crate) fn opens(&self, entry: &SignedEntry) -> bool {
        let chain = &entry.body.chain;
        entry.body.seq == 1 && !self.chains.contains_key(chain) && !self.waiting.holds(entry)
    }

    /// How far we have a chain.
    pub(crate) fn have(&self, chain: &Chain) -> Option<Have> {
        let state = self.chains.get(chain)?;
        let len = state.items.len() as u64;
        let head = match &state.fork {
            Some(fork) => {
                let [a, b] = &fork.proof;
                EntryId(digest(&[b"klatch fork 1\0", &a.id.0, &b.id.0]))
            }
            None => self.entry_at(chain, len)?.id,
        };
        let (forked, refused) = (state.fork.is_some(), state.refused);
        Some(Have { chain: *chain, len, head, forked, refused })
    }

    /// Behind which length to ask somebody who has `theirs`; `None`: nothing that we lack, or
    /// that we would take. `Some(Err(()))`: the two versions of the chain differ somewhere.
    pub(crate) fn lacks(&self, theirs: &Have, limits: &Limits) -> Option<Result<u64, ()>> {
        let Some(state) = self.chains.get(&theirs.chain) else {
            let refused = self.refuses(&theirs.chain, limits, None);
            return (!refused && (theirs.len > 0 || theirs.forked))
                .then(|| Ok(self.waiting.reaches(&theirs.chain, 0)));
        };
        let len = state.items.len() as u64;
        if theirs.forked {
            let same = state.fork.is_some()
                && self.have(&theirs.chain).is_some_and(|ours| ours.head == theirs.head);
            let lower_here = state.fork.is_some() && len < theirs.len;
            return (!same && !lower_here).then(|| Ok(len.min(theirs.len)));
        }
        if state.fork.is_some() {
            return None;
        }
        if let Some(ours) = self.entry_at(&theirs.chain, theirs.len) {
            return (ours.id != theirs.head).then_some(Err(()));
        }
        (theirs.len > len && !self.refuses(&theirs.chain, limits, None))
            .then(|| Ok(self.waiting.reaches(&theirs.chain, len)))
    }

    /// Chains that waiting entries lack something of.
    pub(crate) fn missing(&self) -> BTreeSet<Chain> {
        self.waiting.missing()
    }

    /// What answers a question, in the order of acceptance, within the bounds of one answer.
    pub(crate) fn answer(&self, wanted: &[Wanted], limits: &Limits) -> Vec<Arc<SignedEntry>> {
        let mut next = BinaryHeap::new();
        for (which, want) in wanted.iter().enumerate() {
            if let Some(pos) = self.pos_at(&want.chain, want.from.saturating_add(1)) {
                next.push(Reverse((pos, which, want.from.saturating_add(1))));
            }
        }
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while let Some(Reverse((pos, which, seq))) = next.pop() {
            let Some(entry) = self.accepted.get(pos).and_then(Option::as_ref) else { continue };
            bytes += entry.bytes().len();
            if entries.len() >= limits.answer_entries || bytes > ANSWER_BYTES {
                return entries;
            }
            entries.push(entry.clone());
            let chain = entry.body.chain;
            if let Some(pos) = self.pos_at(&chain, seq + 1) {
                next.push(Reverse((pos, which, seq + 1)));
            }
        }
        for want in wanted {
            let fork = self.chains.get(&want.chain).and_then(|state| state.fork.as_ref());
            for proof in fork.iter().flat_map(|fork| &fork.proof) {
                if entries.len() < limits.answer_entries {
                    entries.push(proof.clone());
                }
            }
        }
        entries
    }

    /// Whether nothing more of a chain is taken, so that nobody asks or waits for it.
    fn refuses(&self, chain: &Chain, limits: &Limits, ways: Option<WaysIn<'_>>) -> bool {
        let chains = usize::from(!self.chains.contains_key(chain));
        let next = Amount { bytes: NEXT_BYTES, chains };
        !self.shares.has_room(&chain.author, next, ways, limits)
    }

    fn cost_of(&self, entry: &SignedEntry) -> Amount {
        let chains = usize::from(!self.chains.contains_key(&entry.body.chain));
        Amount { bytes: entry.cost_bytes(), chains }
    }

    fn has_room_for(&self, entry: &SignedEntry, terms: Terms<'_>) -> bool {
        let (author, cost) = (&entry.body.chain.author, self.cost_of(entry));
        self.shares.has_room(author, cost, Some(terms.ways), terms.limits)
    }

    fn fit(&self, entry: &SignedEntry, terms: Terms<'_>) -> Fitness {
        let fits = self.fit_in_chain(entry);
        let lacked = entry.body.parents.iter().find(|parent| {
            let state = self.chains.get(&parent.chain);
            let fork = state.and_then(|state| state.fork.as_ref());
            let forked = fork.is_some_and(|fork| parent.seq >= fork.at);
            !forked
                && self.held(parent).is_none()
                && !self.refuses(&parent.chain, terms.limits, Some(terms.ways))
                && !terms.pushes.has_overrun(&parent.chain.author, terms.now)
        });
        match (fits, lacked) {
            (Fitness::Yes, Some(parent)) => Fitness::Lacks(parent.chain, parent.seq),
            (fits, _) => fits,
        }
    }

    /// Whether an entry is the next of its chain.
    fn fit_in_chain(&self, entry: &SignedEntry) -> Fitness {
        let body = &entry.body;
        let len = self.chain_len(&body.chain);
        let fork = self.chains.get(&body.chain).and_then(|state| state.fork.as_ref());
        if fork.is_some_and(|fork| body.seq >= fork.at) {
            return Fitness::Never;
        }
        if body.seq > len + 1 {
            return Fitness::Lacks(body.chain, body.seq - 1);
        }
        if body.prev != self.entry_at(&body.chain, len).map(|head| head.id) {
            return Fitness::Never;
        }
        Fitness::Yes
    }

    /// The very entry that is referred to.
    fn held(&self, parent: &EntryRef) -> Option<&ChainItem> {
        let there = self.entry_at(&parent.chain, parent.seq)?;
        (there.id == parent.id).then(|| self.item_at(&parent.chain, parent.seq))?
    }

    fn accept(&mut self, entry: Arc<SignedEntry>, terms: Terms<'_>) {
        let body = &entry.body;
        let depth = self.depth_of(&entry);
        if let Some(prev) = body.prev {
            self.heads.remove(&EntryRef { chain: body.chain, seq: body.seq - 1, id: prev });
        }
        for parent in &body.parents {
            self.heads.remove(parent);
        }
        self.heads.insert(EntryRef { chain: body.chain, seq: body.seq, id: entry.id });
        let cost = self.cost_of(&entry);
        let reserved = self.shares.take(body.chain.author, cost, terms.ways, terms.limits);
        let pos = self.accepted.len();
        let state = self.chains.entry(body.chain).or_default();
        state.refused = false;
        state.items.push(ChainItem { pos, depth, reserved });
        self.accepted.push(Some(entry));
    }

    /// The depth that its author gave it, as far as that can be.
    fn depth_of(&self, entry: &SignedEntry) -> u64 {
        let body = &entry.body;
        let prev = self.depth_at(&body.chain, body.seq - 1).unwrap_or(0);
        let parents = body.parents.iter().filter_map(|parent| Some(self.held(parent)?.depth));
        body.depth.min(parents.fold(prev, u64::max).saturating_add(DEPTH_AHEAD_MAX))
    }

    /// Looks again at what waited for `seq` of `chain`, and at what waited for that in turn.
    fn wake(
        &mut self,
        chain: Chain,
        seq: u64,
        accepted: &mut Vec<Arc<SignedEntry>>,
        terms: Terms<'_>,
    ) {
        let mut ready = self.waiting.take_blocked((chain, seq));
        while let Some(Waiter { entry, until, .. }) = ready.pop() {
            match self.fit(&entry, terms) {
                Fitness::Yes if self.has_room_for(&entry, terms) => {
                    let at = (entry.body.chain, entry.body.seq);
                    self.accept(entry.clone(), terms);
                    accepted.push(entry);
                    ready.extend(self.waiting.take_blocked(at));
                }
                Fitness::Lacks(chain, seq) => {
                    self.waiting.insert(Waiter::new(entry, (chain, seq), until));
                }
                Fitness::Yes => {
                    // Others may have brought it.
                    drop(self.refuse(&entry.body.chain, Terms { from: None, ..terms }));
                }
                Fitness::Never => {}
            }
        }
    }

    /// Nobody waits any longer for what an author said.
    pub(crate) fn hurry(&mut self, author: &MemberId, now: Millis) {
        self.waiting.hurry(author, now);
    }

    /// When [`Self::take_overdue`] has something to do.
    pub(crate) fn next_overdue(&self) -> Option<Millis> {
        self.waiting.next_end()
    }

    /// Accepts entries that have waited long enough for those of other chains, with all that
    /// waited for them. Nobody's words are lost because nobody brings what they refer to.
    pub(crate) fn take_overdue(&mut self, terms: Terms<'_>) -> Vec<Arc<SignedEntry>> {
        let mut accepted = Vec::new();
        while let Some(waiter) = self.waiting.take_overdue(terms.now) {
            let Waiter { entry, until, .. } = waiter;
            // Who was hurried may wait for others as well.
            let hurried = until > terms.now;
            let fits = if hurried { self.fit(&entry, terms) } else { self.fit_in_chain(&entry) };
            match fits {
                Fitness::Lacks(chain, seq) if hurried => {
                    self.waiting.insert(Waiter::new(entry, (chain, seq), until));
                }
                Fitness::Yes if self.has_room_for(&entry, terms) => {
                    self.accept(entry.clone(), terms);
                    accepted.push(entry.clone());
                    self.wake(entry.body.chain, entry.body.seq, &mut accepted, terms);
                }
                Fitness::Yes | Fitness::Lacks(..) | Fitness::Never => {}
            }
        }
        accepted
    }

    fn improve_proof(&mut self, entry: &Arc<SignedEntry>) -> Placed {
        let Some(fork) =
            self.chains.get_mut(&entry.body.chain).and_then(|state| state.fork.as_mut())
        else {
            return Placed::Known;
        };
        if entry.id >= fork.proof[1].id {
            return Placed::Known;
        }
        fork.proof[1] = entry.clone();
        fork.proof.sort_by_key(|proof| proof.id);
        Placed::Proof
    }

    /// Keeps the prefix of a chain, and as proof the two entries of its first forked seq.
    fn fork(
        &mut self,
        chain: Chain,
        at: u64,
        ours: Arc<SignedEntry>,
        other: Arc<SignedEntry>,
        terms: Terms<'_>,
    ) -> Placed {
        let Some(state) = self.chains.get_mut(&chain) else { return Placed::Known };
        let kept = usize::try_from(at - 1).unwrap_or(usize::MAX).min(state.items.len());
        let dropped: Vec<_> = state.items.drain(kept..).collect();
        let mut proof = [ours, other];
        proof.sort_by_key(|entry| entry.id);
        let first = state.fork.replace(Fork { at, proof }).is_none();
        let (mut freed, mut reserved) = (0, 0);
        let taken = dropped.into_iter().rev().map(|item| {
            let entry = self.accepted.get_mut(item.pos)?.take()?;
            freed += entry.cost_bytes();
            reserved += if item.reserved { entry.cost_bytes() } else { 0 };
            let depth = item.depth;
            Some(((depth, chain, entry.body.seq), entry))
        });
        let dropped: Vec<_> = taken.flatten().collect();
        self.shares.free(&chain.author, freed, reserved);
        self.gaps += dropped.len();
        self.close_gaps();
        if let Some((_, last)) = dropped.first() {
            self.heads.remove(&EntryRef { chain, seq: last.body.seq, id: last.id });
        }
        let mut woken = Vec::new();
        for (chain, seq) in self.waiting.places_behind(chain, at) {
            self.wake(chain, seq, &mut woken, terms);
        }
        self.waiting.drop_behind(chain, at);
        Placed::Forked { first, dropped, woken }
    }

    /// Closes the gaps once they are the greater part, so that forks do not make the log longer
    /// and longer.
    fn close_gaps(&mut self) {
        if self.gaps <= self.accepted.len() / 2 {
            return;
        }
        self.accepted.retain(Option::is_some);
        self.gaps = 0;
        for (pos, entry) in self.accepted.iter().flatten().enumerate() {
            let state = self.chains.get_mut(&entry.body.chain);
            if let Some(item) = state.and_then(|of| of.items.get_mut(index(entry.body.seq))) {
                item.pos = pos;
            }
        }
    }

    fn item_at(&self, chain: &Chain, seq: u64) -> Option<&ChainItem> {
        if seq == 0 {
            return None;
        }
        self.chains.get(chain)?.items.get(index(seq))
    }

    fn pos_at(&self, chain: &Chain, seq: u64) -> Option<usize> {
        self.item_at(chain, seq).map(|item| item.pos)
    }

    fn depth_at(&self, chain: &Chain, seq: u64) -> Option<u64> {
        self.item_at(chain, seq).map(|item| item.depth)
    }

    /// The accepted entry at a place of a chain.
    pub(crate) fn entry_at(&self, chain: &Chain, seq: u64) -> Option<&Arc<SignedEntry>> {
        self.accepted.get(self.pos_at(chain, seq)?)?.as_ref()
    }
}

/// Place in `items` of an entry numbered from 1.
fn index(seq: u64) -> usize {
    usize::try_from(seq.saturating_sub(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
#[path = "entries_tests.rs"]
mod tests;
