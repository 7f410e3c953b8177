//! The rules of membership again, written from the contract and not from the code: plain sets and
//! recursion, for small registers. Whatever a node concludes must be what this says.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use klatch::router::ids::{Digest32, MemberId, RecordId};
use klatch::router::membership::kept_id;
use klatch::router::membership::record::{Below, How, Invited, Lock, Record, Removal};
use klatch::router::signed::SignedRecord;

/// Most tickets below each other.
const DEEPEST: usize = 32;

/// A ticket, or a member that a record keeps.
#[derive(Debug, Clone)]
pub struct Seat {
    pub by: MemberId,
    pub parent: Option<RecordId>,
    pub member: MemberId,
    pub how: How,
    rank: u32,
    knows: BTreeSet<RecordId>,
    pub pardons: BTreeSet<RecordId>,
    pub invited: Option<Invited>,
}

/// A register and what follows from it.
#[derive(Debug)]
pub struct Oracle {
    pub founder: MemberId,
    pub records: BTreeMap<RecordId, Arc<SignedRecord>>,
    pub seats: BTreeMap<RecordId, Seat>,
    pub removals: BTreeMap<RecordId, Removal>,
    pub locks: BTreeMap<RecordId, Lock>,
    pub stewards: Vec<MemberId>,
    pub members: BTreeSet<MemberId>,
    /// Closings in force.
    pub closings: BTreeSet<RecordId>,
    pub password: Option<(RecordId, Digest32)>,
    levels: RefCell<BTreeMap<RecordId, Option<usize>>>,
    lives: RefCell<BTreeMap<RecordId, bool>>,
}

impl Oracle {
    pub fn of(founder: MemberId, records: impl IntoIterator<Item = Arc<SignedRecord>>) -> Self {
        let mut oracle = Self {
            founder,
            records: records.into_iter().map(|record| (record.id, record)).collect(),
            seats: BTreeMap::new(),
            removals: BTreeMap::new(),
            locks: BTreeMap::new(),
            stewards: Vec::new(),
            members: BTreeSet::new(),
            closings: BTreeSet::new(),
            password: None,
            levels: RefCell::default(),
            lives: RefCell::default(),
        };
        for record in oracle.records.clone().into_values() {
            oracle.add(&record);
        }
        oracle.name_stewards();
        let living = oracle.seats.keys().filter(|id| oracle.lives(id));
        oracle.members = living.map(|id| oracle.seats[id].member).collect();
        oracle.members.insert(founder);
        oracle.closings = oracle.in_force();
        oracle.password = oracle.in_force_password();
        oracle
    }

    fn add(&mut self, record: &SignedRecord) {
        match &record.record {
            Record::Ticket(ticket) => {
                let ticket = ticket.clone();
                let seat = Seat {
                    by: ticket.by,
                    parent: ticket.parent,
                    member: ticket.member,
                    how: ticket.how,
                    rank: ticket.rank,
                    knows: ticket.knows,
                    pardons: ticket.pardons,
                    invited: ticket.invited,
                };
                self.seats.insert(record.id, seat);
            }
            Record::Removal(removal) => {
                self.removals.insert(record.id, removal.clone());
            }
            Record::Lock(lock) => {
                self.locks.insert(record.id, lock.clone());
            }
        }
        let mut before: BTreeMap<MemberId, RecordId> = BTreeMap::new();
        for kept in record.record.kept() {
            let parent = match kept.below {
                Below::Founder => None,
                Below::Ticket(id) => Some(id),
                Below::Kept(upper) => Some(before[&upper]),
            };
            let mut pardons = kept.pardons.clone();
            if let Record::Removal(removal) = &record.record
                && removal.member == Some(kept.member)
            {
                pardons.insert(record.id);
            }
            let id = kept_id(&record.id, &kept.member);
            before.insert(kept.member, id);
            let (by, member) = (record.record.by(), kept.member);
            let (knows, how) = (BTreeSet::new(), How::Kept);
            let seat = Seat { by, parent, member, how, rank: 0, knows, pardons, invited: None };
            self.seats.insert(id, seat);
        }
    }

    /// The founder's namings of stewards, judged first and in order.
    fn name_stewards(&mut self) {
        let named = self.seats.iter().filter(|(_, seat)| seat.how == How::Steward);
        let mut named: Vec<(u32, RecordId)> = named.map(|(id, seat)| (seat.rank, *id)).collect();
        named.sort_unstable();
        for (_, id) in named {
            let member = self.seats[&id].member;
            if self.lives(&id) && !self.stewards.contains(&member) {
                self.stewards.push(member);
            }
        }
        // Only stewards were judged so far, and what decided that stays.
        let seats = &self.seats;
        self.lives.borrow_mut().retain(|id, _| seats[id].how == How::Steward);
    }

    /// How deep a ticket is, counting both tickets that it depends on; `None`: it waits for one.
    fn level(&self, id: &RecordId) -> Option<usize> {
        if let Some(level) = self.levels.borrow().get(id) {
            return *level;
        }
        let seat = self.seats.get(id)?;
        let standing = seat.invited.and_then(|invited| invited.standing);
        let of = |upper: Option<RecordId>| upper.map_or(Some(0), |upper| self.level(&upper));
        let level = match (of(seat.parent), of(standing)) {
            (Some(above), Some(beside)) if above.max(beside) < DEEPEST => {
                Some(above.max(beside) + 1)
            }
            _ => None,
        };
        self.levels.borrow_mut().insert(*id, level);
        level
    }

    /// Who stands above a ticket, the nearest first.
    pub fn above(&self, id: &RecordId) -> Vec<MemberId> {
        if self.level(id).is_none() {
            return Vec::new();
        }
        let mut above = Vec::new();
        let mut at = self.seats[id].parent;
        while let Some(upper) = at {
            above.push(self.seats[&upper].member);
            at = self.seats[&upper].parent;
        }
        let seat = &self.seats[id];
        let stewards = if seat.how == How::Steward {
            self.stewards_before(seat.rank, id)
        } else {
            self.stewards.clone()
        };
        above.extend(stewards.into_iter().rev());
        above.push(self.founder);
        above
    }

    /// The stewards that were named before this one.
    fn stewards_before(&self, rank: u32, id: &RecordId) -> Vec<MemberId> {
        let named = |member: &MemberId| {
            let own = self.seats.iter().filter(|(_, seat)| {
                seat.how == How::Steward && seat.member == *member && seat.by == self.founder
            });
            let lives = own.filter(|(own, _)| self.lives.borrow().get(*own) == Some(&true));
            lives.map(|(own, seat)| (seat.rank, *own)).min()
        };
        let earlier = |member: &&MemberId| named(member).is_some_and(|first| first < (rank, *id));
        self.stewards.iter().filter(earlier).copied().collect()
    }

    pub fn lives(&self, id: &RecordId) -> bool {
        if let Some(lives) = self.lives.borrow().get(id) {
            return *lives;
        }
        let lives = self.seats.get(id).is_some_and(|seat| self.is_good(id, seat));
        self.lives.borrow_mut().insert(*id, lives);
        lives
    }

    fn is_good(&self, id: &RecordId, seat: &Seat) -> bool {
        let sound = seat.member != self.founder
            && (seat.how == How::Invitation) == seat.invited.is_some()
            && (seat.how != How::Steward || seat.by == self.founder && seat.parent.is_none());
        let above = self.above(id);
        if !sound || !above.contains(&seat.by) {
            return false;
        }
        if seat.parent.is_some_and(|parent| !self.lives(&parent)) {
            return false;
        }
        if let Some(Invited { answerer, standing, .. }) = seat.invited {
            let answered = match standing {
                None => answerer == self.founder,
                Some(of) => self.seats[&of].member == answerer && self.lives(&of),
            };
            if !answered {
                return false;
            }
        }
        let height = |member: &MemberId| above.iter().rposition(|upper| upper == member);
        let ended =
            self.removals.iter().any(|(removal, Removal { by, member, invitations, .. })| {
                let names = *member == Some(seat.member)
                    || member.is_some()
                        && seat.invited.is_some_and(|of| invitations.contains(&of.invitation));
                let pardoned = seat.pardons.contains(removal) && height(&seat.by) >= height(by);
                names && height(by).is_some() && !pardoned
            });
        let closed = seat.how == How::Open
            && self.locks.iter().any(|(id, lock)| {
                lock.closed && above.contains(&lock.by) && !seat.knows.contains(id)
            });
        !ended && !closed
    }

    /// Living tickets of a member.
    pub fn living(&self, member: &MemberId) -> Vec<RecordId> {
        let own = self.seats.iter().filter(|(id, seat)| seat.member == *member && self.lives(id));
        own.map(|(id, _)| *id).collect()
    }

    /// Everybody who can change anything about a ticket: above it, or above what it depends on.
    pub fn reach(&self, id: &RecordId) -> BTreeSet<MemberId> {
        let mut reach = BTreeSet::from([self.founder]);
        let (mut stack, mut entered) = (vec![*id], BTreeSet::new());
        while let Some(id) = stack.pop() {
            let Some(seat) = self.seats.get(&id).filter(|_| entered.insert(id)) else { continue };
            reach.extend(self.above(&id));
            reach.insert(seat.by);
            reach.extend(seat.invited.map(|invited| invited.answerer));
            stack.extend(seat.parent);
            stack.extend(seat.invited.and_then(|invited| invited.standing));
        }
        reach
    }

    /// What a lock knows of: what it names, and what its author's earlier locks know of.
    pub fn before(&self, lock: &RecordId) -> BTreeSet<RecordId> {
        let (mut seen, Some(lock)) = (BTreeSet::new(), self.locks.get(lock)) else {
            return BTreeSet::new();
        };
        let mut todo: Vec<RecordId> = lock.over.iter().copied().collect();
        while let Some(id) = todo.pop() {
            if seen.insert(id)
                && let Some(older) = self.locks.get(&id).filter(|older| older.by == lock.by)
            {
                todo.extend(&older.over);
            }
        }
        seen
    }

    pub fn may_open(&self, by: &MemberId, closing: &RecordId) -> bool {
        let Some(lock) = self.locks.get(closing) else { return false };
        let above = |id: &RecordId| {
            self.seats.get(id).is_some_and(|seat| seat.member == lock.by)
                && self.above(id).contains(by)
        };
        *by == lock.by
            || *by == self.founder
            || !lock.standing.is_empty() && lock.standing.iter().all(above)
    }

    fn in_force(&self) -> BTreeSet<RecordId> {
        let good = self.locks.iter().filter(|(_, lock)| self.members.contains(&lock.by));
        let (closed, open): (Vec<_>, Vec<_>) = good.partition(|(_, lock)| lock.closed);
        let open: Vec<_> = open.iter().map(|(id, lock)| (lock.by, self.before(id))).collect();
        let undone = |id: &RecordId| {
            open.iter().any(|(by, known)| known.contains(id) && self.may_open(by, id))
        };
        closed.iter().map(|(id, _)| **id).filter(|id| !undone(id)).collect()
    }

    /// Removals that a password must know of.
    fn holds(&self) -> BTreeSet<RecordId> {
        let holds = self.removals.iter().filter(|(_, removal)| {
            removal.member.is_some_and(|of| removal.kept.iter().all(|kept| kept.member != of))
                && self.members.contains(&removal.by)
        });
        holds.map(|(id, _)| *id).collect()
    }

    fn depth(&self, member: &MemberId) -> usize {
        let depth =
            |id: &RecordId| std::iter::successors(Some(*id), |id| self.seats[id].parent).count();
        self.living(member).iter().map(depth).min().unwrap_or(0)
    }

    fn in_force_password(&self) -> Option<(RecordId, Digest32)> {
        let known: BTreeMap<RecordId, BTreeSet<RecordId>> =
            self.closings.iter().map(|id| (*id, self.before(id))).collect();
        let holds = self.holds();
        let head = |id: &&RecordId| !known.values().any(|known| known.contains(id));
        let knows = |id: &&RecordId| holds.is_subset(&known[*id]);
        let heads = self.closings.iter().filter(head).filter(knows);
        let first = heads.min_by_key(|id| (self.depth(&self.locks[*id].by), **id))?;
        self.locks[first].password.map(|password| (*first, password))
    }

    /// Whether a removal keeps somebody out: it is by a member, and its target is none.
    pub fn is_removed(&self, member: &MemberId) -> bool {
        !self.members.contains(member)
            && self.removals.values().any(|removal| {
                removal.member == Some(*member) && self.members.contains(&removal.by)
            })
    }
}
