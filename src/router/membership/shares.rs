//! How much of the register each signer takes up, and what gives way when it is full.

use std::collections::{BTreeMap, BTreeSet};

use super::dominators::Graph;
use super::judged::Membership;
use super::record::Record;
use super::register::{ACTS_MAX, TICKETS_MAX, is_open, weight};
use super::tree::{FOUNDER, Tree};
use crate::router::ids::{MemberId, RecordId};

/// The records of one signer.
#[derive(Debug, Clone, Default)]
pub(super) struct Share {
    /// Its tickets.
    tickets: BTreeSet<RecordId>,
    /// Those of its tickets that are open.
    open: BTreeSet<RecordId>,
    /// Its removals and locks, each with the number of members that it keeps.
    acts: BTreeMap<RecordId, usize>,
    /// How many members its acts keep in all.
    kept: usize,
}

impl Share {
    pub(super) fn add(&mut self, id: RecordId, record: &Record) {
        match record {
            Record::Ticket(_) => {
                self.tickets.insert(id);
                if is_open(record) {
                    self.open.insert(id);
                }
            }
            Record::Removal(_) | Record::Lock(_) => {
                self.acts.insert(id, record.kept().len());
                self.kept += record.kept().len();
            }
        }
    }

    pub(super) fn remove(&mut self, id: &RecordId, record: &Record) {
        self.tickets.remove(id);
        self.open.remove(id);
        if self.acts.remove(id).is_some() {
            self.kept = self.kept.saturating_sub(weight(record) - 1);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tickets.is_empty() && self.acts.is_empty()
    }

    /// Tickets, including the kept, and acts.
    pub(super) fn used(&self) -> (usize, usize) {
        (self.tickets.len() + self.kept, self.acts.len())
    }

    /// The record to remove first if the signer exceeds its share: the one with the largest id, of
    /// the kind that exceeds it.
    pub(super) fn excess(&self) -> Option<RecordId> {
        let (tickets, acts) = self.used();
        if acts > ACTS_MAX {
            return self.acts.last_key_value().map(|(id, _)| *id);
        }
        if tickets <= TICKETS_MAX {
            return None;
        }
        let keeping = self.acts.iter().rev().find(|(_, kept)| **kept > 0).map(|(id, _)| *id);
        self.tickets.last().copied().max(keeping)
    }

    fn weight(&self, kind: ShareKind) -> usize {
        match kind {
            ShareKind::Open => self.open.len(),
            ShareKind::Any => self.tickets.len() + self.acts.len() + self.kept,
        }
    }

    /// The record of this signer that gives way: first the ticket with the largest id, then acts.
    fn victim(&self, kind: ShareKind) -> Option<RecordId> {
        match kind {
            ShareKind::Open => self.open.last().copied(),
            ShareKind::Any => {
                let act = || self.acts.last_key_value().map(|(id, _)| *id);
                self.tickets.last().copied().or_else(act)
            }
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShareKind {
    /// Open tickets.
    Open,
    /// Everything.
    Any,
}

/// How much each member takes up together with those below it, and how much signers take up that
/// are not members.
///
/// A ticket is charged to its signer. The parent of a member is the nearest other member on every
/// path to it from the founder, along signers and holders of living tickets. So giving a ticket to
/// a member of another branch moves nobody into the giver's own.
#[derive(Debug)]
pub(super) struct Branches {
    kind: ShareKind,
    /// By the membership's numbers.
    people: Vec<Branch>,
    /// The numbers of the signers that are members.
    numbers: BTreeMap<MemberId, usize>,
    /// What the other signers take up.
    out: BTreeMap<MemberId, usize>,
}

#[derive(Debug)]
struct Branch {
    id: MemberId,
    /// The member above; none for the founder and for non-members.
    upper: Option<usize>,
    lower: Vec<usize>,
    own: usize,
    whole: usize,
}

impl Branches {
    pub(super) fn of(
        kind: ShareKind,
        membership: &Membership,
        shares: &BTreeMap<MemberId, Share>,
    ) -> Self {
        let tree = membership.tree();
        let empty = |number| Branch {
            id: tree.id_of(number),
            upper: None,
            lower: Vec::new(),
            own: 0,
            whole: 0,
        };
        let mut branches = Self {
            kind,
            people: (0..tree.people()).map(empty).collect(),
            numbers: BTreeMap::new(),
            out: BTreeMap::new(),
        };
        for (number, upper) in ways(tree).dominators() {
            if let Some(branch) = branches.people.get_mut(number) {
                branch.upper = Some(upper);
            }
            if let Some(upper) = branches.people.get_mut(upper) {
                upper.lower.push(number);
            }
        }
        for (signer, share) in shares {
            branches.grow(tree, *signer, share.weight(kind));
        }
        branches
    }

    fn grow(&mut self, tree: &Tree, signer: MemberId, weight: usize) {
        let hangs = |number: &usize| {
            *number == FOUNDER || self.people.get(*number).is_some_and(|b| b.upper.is_some())
        };
        match tree.person(&signer).filter(hangs) {
            _ if weight == 0 => {}
            Some(number) => {
                self.numbers.insert(signer, number);
                self.change(number, |taken| taken.saturating_add(weight));
            }
            None => _ = self.out.insert(signer, weight),
        }
    }

    /// The record that gives way. While signers that are not members have any, it belongs to the
    /// one of them that takes up most: nothing that lives depends on it. After that it is found
    /// from the founder down, always into the largest branch, until somebody takes up at least as
    /// much as all below it together; the founder's own come last.
    pub(super) fn victim(&self, shares: &BTreeMap<MemberId, Share>) -> Option<RecordId> {
        let fattest_out = self.out.iter().max_by_key(|(id, taken)| (**taken, **id));
        let signer = match fattest_out {
            Some((signer, _)) => *signer,
            None => self.fattest()?,
        };
        shares.get(&signer).and_then(|share| share.victim(self.kind))
    }

    fn fattest(&self) -> Option<MemberId> {
        let mut at = FOUNDER;
        loop {
            let branch = self.people.get(at)?;
            let lower = branch.lower.iter().filter_map(|number| {
                let lower = self.people.get(*number)?;
                (lower.whole > 0).then_some((lower.whole, lower.id, *number))
            });
            let below = branch.whole.saturating_sub(branch.own);
            match lower.max() {
                Some((.., lower)) if at == FOUNDER || below > branch.own => at = lower,
                _ => return Some(branch.id),
            }
        }
    }

    /// Notes that a record of the signer was removed.
    pub(super) fn shrink(&mut self, record: &Record) {
        let (signer, weight) = (record.signer(), self.weight_of(record));
        if let Some(number) = self.numbers.get(&signer) {
            self.change(*number, |taken| taken.saturating_sub(weight));
        } else if let Some(taken) = self.out.get_mut(&signer) {
            *taken = taken.saturating_sub(weight);
            self.out.retain(|_, taken| *taken > 0);
        }
    }

    /// How much a record takes up of what is counted here.
    fn weight_of(&self, record: &Record) -> usize {
        match self.kind {
            ShareKind::Open => usize::from(is_open(record)),
            ShareKind::Any => weight(record),
        }
    }

    fn change(&mut self, number: usize, change: impl Fn(usize) -> usize) {
        if let Some(branch) = self.people.get_mut(number) {
            branch.own = change(branch.own);
        }
        let mut at = Some(number);
        while let Some(branch) = at.and_then(|number| self.people.get_mut(number)) {
            branch.whole = change(branch.whole);
            at = branch.upper;
        }
    }
}

/// Who let in whom, by living tickets. What a steward signs counts as the founder's, because
/// stewards are above everybody.
fn ways(tree: &Tree) -> Graph {
    let mut graph = Graph::new(tree.people());
    for node in tree.nodes().filter(|node| node.lives()) {
        let signer = match node.seat.invited {
            Some(invited) => tree.person(&invited.answerer),
            None => Some(node.by),
        };
        let member = signer.filter(|signer| tree.steward_place(*signer).is_none());
        graph.add_edge(member.unwrap_or(FOUNDER), node.member);
    }
    graph
}
