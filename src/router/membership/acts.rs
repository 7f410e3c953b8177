//! Removals and locks: what they end, which closings are in force, and which password.
//!
//! A lock knows the acts that it names, and what the earlier locks *of its own author* among them
//! know. What other authors' locks name never counts; otherwise one hostile record that some nodes
//! refused would change what honest ones know.

use std::collections::{BTreeMap, BTreeSet};

use super::index::Index;
use super::record::Record;
use super::tree::{FOUNDER, TicketNode, Tree};
use crate::router::ids::{Digest32, InvitationId, MemberId, RecordId};

/// A closing in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing {
    /// The lock.
    pub id: RecordId,
    /// Its author.
    pub by: MemberId,
    /// The hash of its password data.
    pub password: Option<Digest32>,
}

/// A removal, with numbers in place of names.
#[derive(Debug, Clone)]
pub(super) struct Removing {
    pub(super) id: RecordId,
    pub(super) by: usize,
    pub(super) member: Option<usize>,
    pub(super) invitations: Box<[InvitationId]>,
    /// It keeps the member that it names, who only loses what it held until then.
    keeps: bool,
}

impl Removing {
    /// Whether a password must know of it.
    pub(super) fn holds(&self, tree: &Tree) -> bool {
        self.member.is_some() && !self.keeps && tree.is_in(self.by)
    }
}

/// A lock, with numbers in place of names.
#[derive(Debug, Clone)]
pub(super) struct Locking {
    pub(super) id: RecordId,
    pub(super) by: usize,
    pub(super) closed: bool,
    password: Option<Digest32>,
    standing: Box<[RecordId]>,
    /// Numbers of the acts that it names.
    over: Box<[usize]>,
    /// What it knows, once computed; only for members' locks.
    before: Bits,
}

/// What a removal names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    Member(usize),
    Invitation(InvitationId),
}

/// All acts. Removals have the first numbers, locks the next.
#[derive(Debug, Clone)]
pub(super) struct Acts {
    pub(super) removals: Vec<Removing>,
    pub(super) locks: Vec<Locking>,
    /// Removals of a member, by what they name and by author.
    ends: BTreeMap<Named, BTreeMap<usize, Vec<usize>>>,
    /// Closings by author.
    closings: BTreeMap<usize, Vec<usize>>,
    /// Locks of each author.
    by_author: BTreeMap<usize, Vec<usize>>,
    /// Authors of any act.
    authors: BTreeSet<usize>,
    /// Closings in force.
    force: Vec<usize>,
    password: Option<(RecordId, Digest32)>,
}

impl Acts {
    /// Takes the acts from `records`, which are sorted.
    pub(super) fn of(tree: &Tree, records: &[(RecordId, &Record)]) -> Self {
        let mut acts = Self {
            removals: Vec::new(),
            locks: Vec::new(),
            ends: BTreeMap::new(),
            closings: BTreeMap::new(),
            by_author: BTreeMap::new(),
            authors: BTreeSet::new(),
            force: Vec::new(),
            password: None,
        };
        for (id, record) in records {
            acts.add(tree, *id, record);
        }
        acts.resolve(records);
        acts
    }

    fn add(&mut self, tree: &Tree, id: RecordId, record: &Record) {
        let Some(by) = tree.person(&record.by()) else { return };
        match record {
            Record::Ticket(_) => return,
            Record::Removal(removal) => {
                let number = self.removals.len();
                let member = removal.member.and_then(|member| tree.person(&member));
                if let Some(member) = member {
                    let invitations = removal.invitations.iter().copied().map(Named::Invitation);
                    for named in invitations.chain([Named::Member(member)]) {
                        let ends = self.ends.entry(named).or_default();
                        ends.entry(by).or_default().push(number);
                    }
                }
                self.removals.push(Removing {
                    id,
                    by,
                    member,
                    invitations: removal.invitations.iter().copied().collect(),
                    keeps: removal.kept.iter().any(|kept| Some(kept.member) == removal.member),
                });
            }
            Record::Lock(lock) => {
                let number = self.locks.len();
                if lock.closed {
                    self.closings.entry(by).or_default().push(number);
                }
                self.by_author.entry(by).or_default().push(number);
                self.locks.push(Locking {
                    id,
                    by,
                    closed: lock.closed,
                    password: lock.password,
                    standing: lock.standing.iter().copied().collect(),
                    over: Box::default(),
                    before: Bits::default(),
                });
            }
        }
        self.authors.insert(by);
    }

    /// Finds the acts that the locks name.
    fn resolve(&mut self, records: &[(RecordId, &Record)]) {
        let removals = Index::of(self.removals.iter().map(|removal| removal.id.0));
        let locks = Index::of(self.locks.iter().map(|lock| lock.id.0));
        let first_lock = self.removals.len();
        let find = |id: &RecordId| {
            removals.find(&id.0).or_else(|| locks.find(&id.0).map(|number| number + first_lock))
        };
        let values = records.iter().filter_map(|(_, record)| match record {
            Record::Lock(lock) => Some(lock),
            _ => None,
        });
        for (locking, lock) in self.locks.iter_mut().zip(values) {
            locking.over = lock.over.iter().filter_map(find).collect();
        }
    }

    /// The number of an act.
    fn number(&self, id: &RecordId) -> Option<usize> {
        let lock = |_| self.locks.binary_search_by_key(id, |lock| lock.id);
        let removal = self.removals.binary_search_by_key(id, |removal| removal.id);
        removal.or_else(|place| lock(place).map(|number| number + self.removals.len())).ok()
    }

    /// The removal that ends a ticket of this holder at this place.
    pub(super) fn end_of_member(&self, tree: &Tree, node: &TicketNode) -> Option<usize> {
        self.end(tree, node, Named::Member(node.member))
    }

    /// The removal that ends a ticket by this invitation at this place.
    pub(super) fn end_of_invitation(&self, tree: &Tree, node: &TicketNode) -> Option<usize> {
        self.end(tree, node, Named::Invitation(node.seat.invited?.invitation))
    }

    fn end(&self, tree: &Tree, node: &TicketNode, named: Named) -> Option<usize> {
        let by_author = self.ends.get(&named)?;
        reaching(by_author, tree, node).find_map(|(author, removals)| {
            // A pardon counts if its author is at least as high above the ticket as the remover.
            let pardons = tree.height(node.by, node) >= tree.height(author, node);
            let pardoned = if pardons { &*node.pardons } else { &[] };
            let id = |number: usize| self.removals.get(number).map(|removal| removal.id);
            first_not_in(removals, id, pardoned)
        })
    }

    /// A closing by somebody above the open ticket that the ticket's issuer did not know.
    pub(super) fn closing_unknown_to(&self, tree: &Tree, node: &TicketNode) -> Option<usize> {
        reaching(&self.closings, tree, node).find_map(|(_, closings)| {
            let id = |number: usize| self.locks.get(number).map(|lock| lock.id);
            first_not_in(closings, id, &node.knows)
        })
    }

    /// Computes what is in force, once the members are known.
    pub(super) fn weigh(&mut self, tree: &Tree) {
        self.close_over(tree);
        self.force = self.in_force(tree);
        self.password = self.newest_password(tree);
    }

    /// Computes what members' locks know: for each author older ones first, on a stack of its own,
    /// because a chain of locks may be as long as the register is large.
    fn close_over(&mut self, tree: &Tree) {
        let mut entered = vec![false; self.locks.len()];
        let mut ranks = vec![0; self.locks.len()];
        let mut rank = 0;
        let of_members = self.locks.iter().enumerate().filter(|(_, lock)| tree.is_in(lock.by));
        let mut stack: Vec<(usize, bool)> = of_members.map(|(lock, _)| (lock, false)).collect();
        while let Some((lock, older_done)) = stack.pop() {
            if older_done {
                rank += 1;
                ranks.get_mut(lock).into_iter().for_each(|slot| *slot = rank);
                let before = self.closure(lock, &ranks);
                self.locks.get_mut(lock).into_iter().for_each(|lock| lock.before = before.clone());
            } else if !std::mem::replace(entered.get_mut(lock).unwrap_or(&mut true), true) {
                stack.push((lock, true));
                let fresh = |older: &usize| entered.get(*older) == Some(&false);
                stack.extend(self.own_older(lock).filter(fresh).map(|older| (older, false)));
            }
        }
    }

    /// The locks of the same author that a lock names.
    fn own_older(&self, lock: usize) -> impl Iterator<Item = usize> {
        let lock = self.locks.get(lock);
        let over = lock.into_iter().flat_map(|lock| lock.over.iter());
        let older = over.filter_map(|act| act.checked_sub(self.removals.len()));
        let by = lock.map(|lock| lock.by);
        older.filter(move |older| self.locks.get(*older).map(|older| older.by) == by)
    }

    /// What one lock knows, once that is known for its older ones. The newest of those comes first,
    /// because what it covers need not be added again.
    fn closure(&self, lock: usize, ranks: &[usize]) -> Bits {
        let mut covered = Bits::new(self.removals.len() + self.locks.len());
        let newest = self.own_older(lock).max_by_key(|older| ranks.get(*older).copied());
        for older in newest.into_iter().chain(self.own_older(lock)) {
            if !covered.has(older + self.removals.len())
                && let Some(older) = self.locks.get(older)
            {
                covered.add_all(&older.before);
            }
        }
        let over = self.locks.get(lock).into_iter().flat_map(|lock| lock.over.iter());
        over.for_each(|act| covered.add(*act));
        covered
    }

    /// The members' closings that no opening by somebody entitled has undone.
    fn in_force(&self, tree: &Tree) -> Vec<usize> {
        let good = |lock: &&Locking| tree.is_in(lock.by);
        let mut openings: BTreeMap<usize, Bits> = BTreeMap::new();
        let size = self.removals.len() + self.locks.len();
        for opening in self.locks.iter().filter(good).filter(|lock| !lock.closed) {
            openings.entry(opening.by).or_insert_with(|| Bits::new(size)).add_all(&opening.before);
        }
        let undone = |number: usize, closing: &Locking| {
            let knowing = |known: &Bits| known.has(number + self.removals.len());
            let mut by = openings.iter().filter(|(_, known)| knowing(known)).map(|(by, _)| *by);
            let mut above = None;
            by.any(|by| {
                by == closing.by
                    || by == FOUNDER
                    || above.get_or_insert_with(|| above_all(tree, closing)).contains(&by)
            })
        };
        let closings = self.locks.iter().enumerate().filter(|(_, lock)| lock.closed);
        closings
            .filter(|(number, lock)| good(lock) && !undone(*number, lock))
            .map(|(number, _)| number)
            .collect()
    }

    /// The password of the closing that no other in force knows and that knows every removal that
    /// holds; of several, by the author nearest to the founder, then with the smaller id.
    fn newest_password(&self, tree: &Tree) -> Option<(RecordId, Digest32)> {
        let size = self.removals.len() + self.locks.len();
        let mut known = Bits::new(size);
        for closing in self.force.iter().filter_map(|number| self.locks.get(*number)) {
            known.add_all(&closing.before);
        }
        let mut holds = Bits::new(size);
        for (number, removal) in self.removals.iter().enumerate() {
            if removal.holds(tree) {
                holds.add(number);
            }
        }
        let heads = self.force.iter().filter(|lock| !known.has(**lock + self.removals.len()));
        let heads = heads.filter_map(|number| self.locks.get(*number));
        let newest = heads
            .filter(|lock| lock.before.has_all(&holds))
            .min_by_key(|lock| (tree.depth_of(lock.by), lock.id))?;
        newest.password.map(|password| (newest.id, password))
    }

    pub(super) fn closings(&self, tree: &Tree) -> impl Iterator<Item = Closing> {
        self.force.iter().filter_map(|number| self.locks.get(*number)).map(|lock| Closing {
            id: lock.id,
            by: tree.id_of(lock.by),
            password: lock.password,
        })
    }

    pub(super) fn all_closings(&self) -> BTreeSet<RecordId> {
        self.locks.iter().filter(|lock| lock.closed).map(|lock| lock.id).collect()
    }

    pub(super) fn password(&self) -> Option<(RecordId, Digest32)> {
        self.password
    }

    pub(super) fn lock(&self, id: &RecordId) -> Option<&Locking> {
        let number = self.number(id)?.checked_sub(self.removals.len())?;
        self.locks.get(number)
    }

    pub(super) fn lock_knows(&self, later: &RecordId, earlier: &RecordId) -> bool {
        match (self.lock(later), self.number(earlier)) {
            (Some(lock), Some(number)) => lock.before.has(number),
            _ => false,
        }
    }

    pub(super) fn new_to(&self, author: Option<usize>) -> BTreeSet<RecordId> {
        let mut known = Bits::new(self.removals.len() + self.locks.len());
        let own = author.and_then(|author| self.by_author.get(&author)).into_iter().flatten();
        for lock in own.filter_map(|number| self.locks.get(*number)) {
            known.add_all(&lock.before);
        }
        let removals = self.removals.iter().map(|removal| removal.id);
        let acts = removals.chain(self.locks.iter().map(|lock| lock.id)).enumerate();
        acts.filter(|(number, _)| !known.has(*number)).map(|(_, id)| id).collect()
    }

    /// If there is only one copy of the author, its locks, sorted by how many of its own each
    /// knows, each know all those before. Returns two that do not.
    pub(super) fn copies_of(&self, author: usize) -> Option<(RecordId, RecordId)> {
        let own = self.by_author.get(&author)?;
        let mut mask = Bits::new(self.removals.len() + self.locks.len());
        own.iter().for_each(|lock| mask.add(lock + self.removals.len()));
        let mut counted: Vec<(usize, usize)> = own
            .iter()
            .filter_map(|number| Some((self.locks.get(*number)?.before.common(&mask), *number)))
            .collect();
        counted.sort_unstable();
        let (place, odd) = counted.iter().enumerate().find(|(place, (known, _))| known < place)?;
        let odd = self.locks.get(odd.1)?;
        let other = counted.get(..place)?.iter().rev().find_map(|(_, number)| {
            let unknown = !odd.before.has(*number + self.removals.len());
            self.locks.get(*number).filter(|_| unknown)
        })?;
        Some((other.id.min(odd.id), other.id.max(odd.id)))
    }

    /// Whether the person signed any act.
    pub(super) fn has_by(&self, person: usize) -> bool {
        self.authors.contains(&person)
    }
}

/// Whether `by` undoes the closing with an opening that knows it.
pub(super) fn may_open(tree: &Tree, by: usize, closing: &Locking) -> bool {
    by == closing.by || by == FOUNDER || above_all(tree, closing).contains(&by)
}

/// Who is above every ticket under which the closing was made. Nobody, if one of these is missing
/// or not its author's.
fn above_all(tree: &Tree, closing: &Locking) -> Vec<usize> {
    let mut common: Option<Vec<usize>> = None;
    for id in &closing.standing {
        let node = tree.find(id).filter(|node| node.member == closing.by && node.is_placed());
        let Some(node) = node else { return Vec::new() };
        let path = tree.path(node).map(|upper| upper.member);
        let above: Vec<usize> = path.chain(tree.stewards_above(node).iter().copied()).collect();
        match &mut common {
            None => common = Some(above),
            Some(common) => common.retain(|upper| above.contains(upper)),
        }
    }
    common.unwrap_or_default()
}

/// The first of `numbers`, whose ids ascend, with an id that is not in `known`, which ascends.
fn first_not_in(
    numbers: &[usize],
    id: impl Fn(usize) -> Option<RecordId>,
    known: &[RecordId],
) -> Option<usize> {
    let mut rest = known;
    numbers.iter().copied().find(|number| {
        let Some(id) = id(*number) else { return false };
        // Doubling steps: cheap if the two lists are similar, and if one is far longer.
        let mut step = 1;
        while rest.get(step).is_some_and(|known| *known < id) {
            step *= 2;
        }
        let reach = rest.get(..step).unwrap_or(rest);
        rest = rest.get(reach.partition_point(|known| *known < id)..).unwrap_or_default();
        rest.first() != Some(&id)
    })
}

/// The entries of `by_author` whose author is above `node`. Goes through everybody above or through
/// all authors, whichever are fewer.
fn reaching<'a, T>(
    by_author: &'a BTreeMap<usize, T>,
    tree: &'a Tree,
    node: &'a TicketNode,
) -> impl Iterator<Item = (usize, &'a T)> {
    let stewards = tree.stewards_above(node);
    let few = by_author.len() <= stewards.len() + node.depth + 1;
    let authors = by_author
        .iter()
        .filter(move |(author, _)| few && tree.is_above(**author, node))
        .map(|(author, of_author)| (*author, of_author));
    let path = tree.path(node).map(|upper| upper.member);
    let above = path.chain(stewards.iter().copied()).chain([FOUNDER]).filter(move |_| !few);
    authors.chain(above.filter_map(|author| Some((author, by_author.get(&author)?))))
}

/// A set of small numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Bits(Vec<u64>);

impl Bits {
    fn new(size: usize) -> Self {
        Self(vec![0; size.div_ceil(64)])
    }

    fn add(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    fn has(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    fn add_all(&mut self, other: &Self) {
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    fn has_all(&self, other: &Self) -> bool {
        let empty = std::iter::repeat(&0);
        other.0.iter().zip(self.0.iter().chain(empty)).all(|(want, have)| want & !have == 0)
    }

    fn common(&self, other: &Self) -> usize {
        let words = self.0.iter().zip(&other.0);
        words.map(|(left, right)| (left & right).count_ones() as usize).sum()
    }
}
