//! The bounded set of a room's records.
//!
//! Shares are per signer: a signer that exceeds its share keeps the smallest ids, so the order of
//! arrival does not matter. When the whole register is full, the largest branch gives way: a member
//! that floods the room through guests of its own displaces only its own branch. Nothing that an
//! honest member depends on is refused before that, and an honest klatch asks
//! [`Register::room_for`] first.
//!
//! Tickets that have ended stay, because the standing of locks names them.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::judged::Membership;
use super::keep::plan_keep;
use super::order;
use super::record::{Below, How, Kept, Record};
use super::shares::{Branches, Share, ShareKind};
use super::tree::is_sound;
use crate::crypto::hash;
use crate::router::ids::{Digest32, MemberId, RecordId};

/// Most tickets of one signer in the register, including those that its acts keep.
pub const TICKETS_MAX: usize = 256;
/// Most removals and locks of one signer in the register.
pub const ACTS_MAX: usize = 256;
/// Most tickets, acts and kept members of a room.
pub const TOTAL_MAX: usize = 4096;
/// Most open tickets of a room.
pub const OPEN_MAX: usize = TOTAL_MAX / 2;
/// Most members that one record may keep.
pub const KEPT_MAX: usize = 200;
/// Most tickets that a lock may name as its standing; see [`Membership::standing_of_lock`].
pub const STANDING_MAX: usize = 64;
/// Most invitations that one removal may end.
pub const INVITATIONS_MAX: usize = 64;
/// Most records in a chain, which shows a member's membership to others.
pub const CHAIN_MAX: usize = 64;

const DIGEST: &[u8] = b"klatch register 1\0";

/// Result of inserting a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// It was added, and these gave way to it.
    New {
        /// The records that are no longer there.
        evicted: Vec<RecordId>,
    },
    /// It was there already.
    Known,
    /// It was not added, and nothing changed.
    Refused(Refused),
}

/// Why a record is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// More than [`KEPT_MAX`].
    #[error("the record keeps more than {KEPT_MAX} members")]
    TooManyKept,
    /// A record must not keep anybody twice, nor before the member below whom it is kept.
    #[error("the record keeps a member twice, or in front of whom it is below")]
    KeptInDisorder,
    /// The founder needs no ticket.
    #[error("the record lets the founder in")]
    Founder,
    /// A steward's ticket that is not by the founder, or a ticket with only half of an invitation.
    #[error("the ticket is no sound one of its kind")]
    Unsound,
    /// More than [`STANDING_MAX`] or [`INVITATIONS_MAX`].
    #[error("the record names too much")]
    NamesTooMuch,
    /// The signer's share is full of smaller ids.
    #[error("the signer's share of the register is full")]
    ShareFull,
    /// The register is full, and the record belongs to the largest branch.
    #[error("the register is full")]
    Full,
}

/// How much of a signer's share is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Tickets, including those that acts keep.
    pub tickets: usize,
    /// Open tickets.
    pub open_tickets: usize,
    /// Removals and locks.
    pub acts: usize,
}

/// The records of a room, each in a form `S` that contains its signed bytes.
#[derive(Debug)]
pub struct Register<S> {
    founder: MemberId,
    records: BTreeMap<RecordId, Arc<S>>,
    shares: BTreeMap<MemberId, Share>,
    /// Members that the founder has ever named stewards, and in how many records.
    stewards: BTreeMap<MemberId, usize>,
    total: usize,
    open: usize,
    digest: OnceCell<Digest32>,
    membership: OnceCell<Membership>,
}

/// What is bounded, and by what.
const BOUNDS: [(ShareKind, usize); 2] = [(ShareKind::Open, OPEN_MAX), (ShareKind::Any, TOTAL_MAX)];

impl<S: AsRef<Record>> Register<S> {
    /// The empty register of a room.
    #[must_use]
    pub fn new(founder: MemberId) -> Self {
        Self {
            founder,
            records: BTreeMap::new(),
            shares: BTreeMap::new(),
            stewards: BTreeMap::new(),
            total: 0,
            open: 0,
            digest: OnceCell::new(),
            membership: OnceCell::new(),
        }
    }

    /// The founder.
    #[must_use]
    pub fn founder(&self) -> MemberId {
        self.founder
    }

    /// Adds a verified record.
    pub fn insert(&mut self, id: RecordId, record: Arc<S>) -> Inserted {
        let inserted = self.insert_in_share(id, record);
        let Inserted::New { mut evicted } = inserted else { return inserted };
        evicted.extend(self.trim_total());
        unless_refused(&id, evicted, Refused::Full)
    }

    /// Adds the verified records of a list, and returns which of them are new. What gives way is
    /// found once for all of them: that takes long where the register is full, and somebody hostile
    /// may keep it full.
    pub fn insert_all(
        &mut self,
        list: impl IntoIterator<Item = (RecordId, Arc<S>)>,
    ) -> Vec<RecordId> {
        let mut new = Vec::new();
        for (id, record) in list {
            if matches!(self.insert_in_share(id, record), Inserted::New { .. }) {
                new.push(id);
            }
        }
        self.trim_total();
        new.retain(|id| self.records.contains_key(id));
        new
    }

    /// Adds a record, within its signer's share: the whole may be too much then.
    fn insert_in_share(&mut self, id: RecordId, record: Arc<S>) -> Inserted {
        if self.records.contains_key(&id) {
            return Inserted::Known;
        }
        if let Err(refused) = check(self.founder, (*record).as_ref()) {
            return Inserted::Refused(refused);
        }
        self.add(id, record);
        let evicted = self.trim_share(id);
        unless_refused(&id, evicted, Refused::ShareFull)
    }

    fn add(&mut self, id: RecordId, record: Arc<S>) {
        let value = (*record).as_ref();
        let signer = value.signer();
        self.admit(id, value);
        self.digest.take();
        self.total += weight(value);
        self.open += usize::from(is_open(value));
        if let Some(steward) = steward(value) {
            *self.stewards.entry(steward).or_default() += 1;
        }
        self.shares.entry(signer).or_default().add(id, value);
        self.records.insert(id, record);
    }

    /// Updates what is known of the membership if that is cheap, otherwise discards it.
    fn admit(&mut self, id: RecordId, value: &Record) {
        let admitted = match (value, self.membership.get_mut()) {
            (Record::Ticket(ticket), Some(membership)) => membership.admit(id, ticket),
            _ => false,
        };
        if !admitted {
            self.membership.take();
        }
    }

    fn remove(&mut self, id: RecordId) {
        let Some(record) = self.records.remove(&id) else { return };
        let value = (*record).as_ref();
        let signer = value.signer();
        self.retire(&id);
        self.digest.take();
        self.total = self.total.saturating_sub(weight(value));
        self.open = self.open.saturating_sub(usize::from(is_open(value)));
        if let Some(steward) = steward(value)
            && let Some(count) = self.stewards.get_mut(&steward)
        {
            *count = count.saturating_sub(1);
            self.stewards.retain(|_, count| *count > 0);
        }
        if let Some(share) = self.shares.get_mut(&signer) {
            share.remove(&id, value);
            if share.is_empty() {
                self.shares.remove(&signer);
            }
        }
    }

    /// Like [`Self::admit`], for a record that is removed.
    fn retire(&mut self, id: &RecordId) {
        let retired = self.membership.get_mut().is_some_and(|membership| membership.retire(id));
        if !retired {
            self.membership.take();
        }
    }

    /// Signers bounded only by the whole register: the founder, and members that it has ever named
    /// a steward. Former stewards count, or their records would give way when they lose that rank.
    fn is_exempt(&self, signer: &MemberId) -> bool {
        *signer == self.founder || self.stewards.contains_key(signer)
    }

    fn trim_share(&mut self, id: RecordId) -> Vec<RecordId> {
        let mut evicted = Vec::new();
        let Some(record) = self.records.get(&id) else { return evicted };
        let signer = (**record).as_ref().signer();
        if self.is_exempt(&signer) {
            return evicted;
        }
        while let Some(excess) = self.shares.get(&signer).and_then(Share::excess) {
            self.remove(excess);
            evicted.push(excess);
        }
        evicted
    }

    /// Who is below whom is computed once, before the first record is removed.
    fn trim_total(&mut self) -> Vec<RecordId> {
        let mut evicted = Vec::new();
        for (kind, max) in BOUNDS {
            if self.count(kind) <= max {
                continue;
            }
            let mut branches = Branches::of(kind, self.membership(), &self.shares);
            while self.count(kind) > max {
                let victim = branches.victim(&self.shares);
                let record = victim.and_then(|id| Some((id, self.records.get(&id)?)));
                let Some((victim, record)) = record else { break };
                branches.shrink((**record).as_ref());
                self.remove(victim);
                evicted.push(victim);
            }
        }
        evicted
    }

    fn count(&self, kind: ShareKind) -> usize {
        match kind {
            ShareKind::Open => self.open,
            ShareKind::Any => self.total,
        }
    }

    /// Who is a member by these records.
    pub fn membership(&self) -> &Membership {
        self.membership.get_or_init(|| Membership::of(self.founder, self.values()))
    }

    /// Who is a member by these records together with others, such as a chain that is shown; the
    /// set itself does not change.
    pub fn membership_with<'a>(
        &'a self,
        others: impl IntoIterator<Item = (RecordId, &'a Record)>,
    ) -> Membership {
        Membership::of(self.founder, self.values().chain(others))
    }

    /// The members that `act` should keep: [`plan_keep`].
    pub fn plan_keep(&self, act: &Record, stay: &dyn Fn(&MemberId) -> bool) -> Vec<Kept> {
        plan_keep(self.founder, self.values(), act, stay)
    }

    /// The record `id`.
    #[must_use]
    pub fn get(&self, id: &RecordId) -> Option<&Arc<S>> {
        self.records.get(id)
    }

    /// All ids, the smallest first.
    pub fn ids(&self) -> impl Iterator<Item = RecordId> {
        self.records.keys().copied()
    }

    /// All records, the smallest id first.
    pub fn values(&self) -> impl Iterator<Item = (RecordId, &Record)> {
        self.records.iter().map(|(id, record)| (*id, (**record).as_ref()))
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// SHA-256 over label and all ids, the smallest first: equal for equal sets.
    pub fn digest(&self) -> Digest32 {
        *self.digest.get_or_init(|| {
            let ids: Vec<&[u8]> = self.records.keys().map(|id| id.0.as_slice()).collect();
            Digest32(hash::digest(&[&[DIGEST], ids.as_slice()].concat()))
        })
    }

    /// Records that are not in `known`: parents before children, and where the order is free, the
    /// founder's own first, because those that it names stewards have no share.
    #[must_use]
    pub fn missing_from(&self, known: &BTreeSet<RecordId>) -> Vec<RecordId> {
        let missing = self.records.iter().filter(|(id, _)| !known.contains(id));
        let mut missing: Vec<(RecordId, &Record)> =
            missing.map(|(id, record)| (*id, (**record).as_ref())).collect();
        missing.sort_by_key(|(id, record)| (record.by() != self.founder, *id));
        order::parents_first(self.membership(), &missing)
    }

    /// Records that show the membership of `member` to a node that knows none of them, parents
    /// first: its living ticket nearest to the founder that needs at most [`CHAIN_MAX`], with all
    /// that it depends on. Empty for the founder and for non-members.
    #[must_use]
    pub fn chain_of(&self, member: &MemberId) -> Vec<RecordId> {
        let membership = self.membership();
        let chains = membership.tickets_of(member).map(|seat| order::chain(membership, &seat.id));
        let records = |ids: BTreeSet<RecordId>| {
            let found = ids.iter().filter_map(|id| Some((*id, (**self.records.get(id)?).as_ref())));
            order::parents_first(membership, &found.collect::<Vec<_>>())
        };
        chains.map(records).find(|chain| chain.len() <= CHAIN_MAX).unwrap_or_default()
    }

    /// What `signer` may still sign before its share or the whole register is full.
    #[must_use]
    pub fn room_for(&self, signer: &MemberId) -> Left {
        // When the whole is full, one member gives way: only that one cannot add anything.
        let gives_way = |kind| {
            let branches = Branches::of(kind, self.membership(), &self.shares);
            let victim = branches.victim(&self.shares).and_then(|id| self.records.get(&id));
            victim.is_none_or(|record| (**record).as_ref().signer() == *signer)
        };
        let left = |max: usize, used: usize, kind| match max.saturating_sub(used) {
            0 if !gives_way(kind) => max,
            left => left,
        };
        let total = left(TOTAL_MAX, self.total, ShareKind::Any);
        let open = left(OPEN_MAX, self.open, ShareKind::Open);
        if self.is_exempt(signer) {
            return Left { tickets: total, open_tickets: total.min(open), acts: total };
        }
        let (tickets, acts) = self.shares.get(signer).map_or((0, 0), Share::used);
        let tickets = total.min(TICKETS_MAX.saturating_sub(tickets));
        let acts = total.min(ACTS_MAX.saturating_sub(acts));
        Left { tickets, open_tickets: tickets.min(open), acts }
    }
}

/// The result for a record to which others gave way, or which itself did.
fn unless_refused(id: &RecordId, mut evicted: Vec<RecordId>, refused: Refused) -> Inserted {
    match evicted.iter().position(|gone| gone == id) {
        Some(_) if evicted.len() == 1 => Inserted::Refused(refused),
        Some(place) => {
            evicted.remove(place);
            Inserted::New { evicted }
        }
        None => Inserted::New { evicted },
    }
}

/// Whether a record is well-formed, whatever else there is.
fn check(founder: MemberId, record: &Record) -> Result<(), Refused> {
    let kept = record.kept();
    if kept.len() > KEPT_MAX {
        return Err(Refused::TooManyKept);
    }
    let mut before = BTreeSet::new();
    for Kept { member, below, .. } in kept {
        if *member == founder {
            return Err(Refused::Founder);
        }
        let placed = !matches!(below, Below::Kept(upper) if !before.contains(upper));
        if !placed || !before.insert(*member) {
            return Err(Refused::KeptInDisorder);
        }
    }
    match record {
        Record::Ticket(ticket) if ticket.member == founder => Err(Refused::Founder),
        Record::Ticket(ticket) if !is_sound(founder, ticket) => Err(Refused::Unsound),
        Record::Removal(removal) if removal.invitations.len() > INVITATIONS_MAX => {
            Err(Refused::NamesTooMuch)
        }
        Record::Lock(lock) if lock.standing.len() > STANDING_MAX => Err(Refused::NamesTooMuch),
        _ => Ok(()),
    }
}

/// How much of the whole a record takes up.
pub(super) fn weight(record: &Record) -> usize {
    1 + record.kept().len()
}

/// Whether it is an open ticket.
pub(super) fn is_open(record: &Record) -> bool {
    matches!(record, Record::Ticket(ticket) if ticket.how == How::Open)
}

fn steward(record: &Record) -> Option<MemberId> {
    match record {
        Record::Ticket(ticket) if ticket.how == How::Steward => Some(ticket.member),
        _ => None,
    }
}
