//! The questions that a set of records answers: who is a member, what is closed.

use std::collections::BTreeSet;

use super::acts::{self, Acts, Closing};
use super::record::{How, Record, Ticket};
use super::seat::Seat;
use super::tree::{self, TicketNode, Tree};
use crate::router::ids::{Digest32, InvitationId, MemberId, RecordId};

/// The ticket under which a member signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignsAs {
    /// As the founder, without a ticket.
    Founder,
    /// Under this ticket: of its living ones, the nearest to the founder.
    Ticket(RecordId),
    /// Not at all: it is not a member.
    Outside,
}

/// Who is a member, what is closed, and which password is in force.
#[derive(Debug, Clone)]
pub struct Membership {
    founder: MemberId,
    tree: Tree,
    acts: Acts,
}

impl Membership {
    /// Judges `records` of the room of `founder`. Duplicate records count once.
    #[must_use]
    pub fn of<'a>(
        founder: MemberId,
        records: impl IntoIterator<Item = (RecordId, &'a Record)>,
    ) -> Self {
        let mut records: Vec<(RecordId, &Record)> = records.into_iter().collect();
        if !records.is_sorted_by(|left, right| left.0 < right.0) {
            records.sort_by_key(|(id, _)| *id);
            records.dedup_by_key(|(id, _)| *id);
        }
        let mut tree = Tree::of(founder, &records);
        let mut acts = Acts::of(&tree, &records);
        tree.judge(&acts);
        acts.weigh(&tree);
        Self { founder, tree, acts }
    }

    /// Adds one ticket, if it changes nothing but its holder's membership; `false`: it changes
    /// more, and the whole set must be judged again.
    pub(super) fn admit(&mut self, id: RecordId, ticket: &Ticket) -> bool {
        self.tree.admit(id, ticket, &self.acts)
    }

    /// Removes a ticket, if that changes nothing but its holder's membership; `false`: it changes
    /// more, and the whole set must be judged again.
    pub(super) fn retire(&mut self, id: &RecordId) -> bool {
        self.tree.retire(id, &self.acts)
    }

    /// Tickets in their places.
    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Removals and locks.
    pub(super) fn acts(&self) -> &Acts {
        &self.acts
    }

    /// The founder.
    #[must_use]
    pub fn founder(&self) -> MemberId {
        self.founder
    }

    /// Whether `member` is the founder or holds a living ticket.
    #[must_use]
    pub fn is_member(&self, member: &MemberId) -> bool {
        *member == self.founder || self.tree.person(member).is_some_and(|p| self.tree.is_in(p))
    }

    /// All members with the founder, smallest first.
    pub fn members(&self) -> impl Iterator<Item = MemberId> {
        self.tree.members()
    }

    /// The living tickets of `member`, those nearest to the founder first, then by smaller id.
    pub fn tickets_of(&self, member: &MemberId) -> impl Iterator<Item = &Seat> {
        self.living(member).map(|node| &node.seat)
    }

    /// Whether `member` has only open tickets, so that a closing by somebody above puts it out
    /// unless it keeps it.
    #[must_use]
    pub fn is_passer_by(&self, member: &MemberId) -> bool {
        let mut any = false;
        let open = self.tickets_of(member).all(|seat| {
            any = true;
            seat.how == How::Open
        });
        any && open
    }

    /// Whether the ticket `id` lives.
    #[must_use]
    pub fn lives(&self, id: &RecordId) -> bool {
        self.tree.find(id).is_some_and(TicketNode::lives)
    }

    /// The ticket `id`, living, ended or waiting.
    #[must_use]
    pub fn ticket(&self, id: &RecordId) -> Option<&Seat> {
        self.tree.find(id).map(|node| &node.seat)
    }

    /// Who is above the ticket `id`: holders of the tickets above it, the nearest first, then the
    /// stewards, the last first, then the founder. Empty for a ticket that waits.
    #[must_use]
    pub fn above(&self, id: &RecordId) -> Vec<MemberId> {
        self.tree.find(id).map(|node| self.tree.above(node)).unwrap_or_default()
    }

    /// Whether `upper` stands above the ticket `id`.
    #[must_use]
    pub fn is_above(&self, upper: &MemberId, id: &RecordId) -> bool {
        match (self.tree.person(upper), self.tree.find(id)) {
            (Some(upper), Some(node)) => self.tree.is_above(upper, node),
            _ => false,
        }
    }

    /// Tickets from the founder's down to `id`, including it; 0 for one that waits.
    #[must_use]
    pub fn depth(&self, id: &RecordId) -> usize {
        self.tree.find(id).map_or(0, |node| node.depth)
    }

    /// The ticket under which `member` signs.
    #[must_use]
    pub fn standing(&self, member: &MemberId) -> SignsAs {
        if *member == self.founder {
            return SignsAs::Founder;
        }
        self.tickets_of(member).next().map_or(SignsAs::Outside, |seat| SignsAs::Ticket(seat.id))
    }

    /// The `standing` of a lock of `member`: a selection of its living tickets, such that a member
    /// above all of these is above all living ones. At most `DEPTH_MAX` + 1, however many tickets
    /// others give it.
    #[must_use]
    pub fn standing_of_lock(&self, member: &MemberId) -> BTreeSet<RecordId> {
        let mut named = BTreeSet::new();
        let mut common: Option<Vec<MemberId>> = None;
        for node in self.living(member) {
            let shared = match &common {
                None => self.tree.above(node),
                Some(common) => {
                    let here = |upper: &MemberId| self.is_above(upper, &node.seat.id);
                    common.iter().copied().filter(here).collect()
                }
            };
            if common.as_ref().is_none_or(|common| shared.len() < common.len()) {
                named.insert(node.seat.id);
                common = Some(shared);
            }
        }
        named
    }

    /// The stewards, in the order in which they were named.
    #[must_use]
    pub fn stewards(&self) -> Vec<MemberId> {
        self.tree.stewards()
    }

    /// Whether the room is closed: some closing is in force.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.acts.closings(&self.tree).next().is_some()
    }

    /// The closings in force, the smallest id first.
    pub fn closings(&self) -> impl Iterator<Item = Closing> {
        self.acts.closings(&self.tree)
    }

    /// Every closing in the set, in force or not: those that an issuer knows.
    #[must_use]
    pub fn all_closings(&self) -> BTreeSet<RecordId> {
        self.acts.all_closings()
    }

    /// The password in force: the lock that set it, and the hash of its data.
    #[must_use]
    pub fn password(&self) -> Option<(RecordId, Digest32)> {
        self.acts.password()
    }

    /// Whether an opening by `by` undoes the closing: `by` made it, or is the founder, or is above
    /// every ticket under which it was made.
    #[must_use]
    pub fn may_open(&self, by: &MemberId, closing: &RecordId) -> bool {
        let lock = self.acts.lock(closing).filter(|lock| lock.closed);
        match (self.tree.person(by), lock) {
            (Some(by), Some(lock)) => acts::may_open(&self.tree, by, lock),
            _ => false,
        }
    }

    /// Whether a removal of `member` by `by` ends anything now.
    #[must_use]
    pub fn may_remove(&self, by: &MemberId, member: &MemberId) -> bool {
        self.tree
            .person(by)
            .is_some_and(|by| self.living(member).any(|node| self.tree.is_above(by, node)))
    }

    /// The removals of `member` whose authors are members, each with its author.
    #[must_use]
    pub fn removals_of(&self, member: &MemberId) -> Vec<(RecordId, MemberId)> {
        let Some(person) = self.tree.person(member) else { return Vec::new() };
        let removals = self.acts.removals.iter().filter(|removal| removal.member == Some(person));
        removals
            .filter(|removal| self.tree.is_in(removal.by))
            .map(|removal| (removal.id, self.tree.id_of(removal.by)))
            .collect()
    }

    /// The removals that a password must know in order to be in force: those by members that put
    /// somebody out, not those that only end invitations or keep the member that they name.
    pub fn holds(&self) -> impl Iterator<Item = RecordId> {
        let removals = self.acts.removals.iter();
        removals.filter(|removal| removal.holds(&self.tree)).map(|removal| removal.id)
    }

    /// Whether a removal ends the invitation that `maker` made under `ticket` (`None`: as the
    /// founder): one that names it, by its maker or by somebody above the maker's ticket.
    #[must_use]
    pub fn is_ended(
        &self,
        invitation: &InvitationId,
        maker: &MemberId,
        ticket: Option<&RecordId>,
    ) -> bool {
        let node = ticket.and_then(|ticket| self.tree.find(ticket));
        self.acts.removals.iter().any(|removal| {
            removal.invitations.binary_search(invitation).is_ok()
                && (self.tree.id_of(removal.by) == *maker
                    || removal.by == tree::FOUNDER
                    || node.is_some_and(|node| self.tree.is_above(removal.by, node)))
        })
    }

    /// All locks and removals except those that earlier locks of `author` name: the next lock of
    /// `author` is `over` these.
    #[must_use]
    pub fn acts_new_to(&self, author: &MemberId) -> BTreeSet<RecordId> {
        self.acts.new_to(self.tree.person(author))
    }

    /// Two locks of `author` that do not know each other: it runs twice, or one is a forgery.
    #[must_use]
    pub fn copies_of(&self, author: &MemberId) -> Option<(RecordId, RecordId)> {
        self.acts.copies_of(self.tree.person(author)?)
    }

    /// Whether the lock `later` knows the act `earlier`.
    #[must_use]
    pub fn knows(&self, later: &RecordId, earlier: &RecordId) -> bool {
        self.acts.lock_knows(later, earlier)
    }

    /// The living tickets of `member`, with their places.
    pub(super) fn living(&self, member: &MemberId) -> impl Iterator<Item = &TicketNode> {
        self.tree.person(member).into_iter().flat_map(|person| self.tree.living(person))
    }
}
