//! Tickets in their places: which are below which, and which live.
//!
//! People and tickets are numbered here, so that a walk towards the founder compares numbers. Every
//! walk is bounded by [`DEPTH_MAX`]: levels are assigned from the founder downwards in that many
//! rounds, and what has no level after them (too deep, or below something missing) waits.

use std::collections::{BTreeMap, BTreeSet};

use super::acts::Acts;
use super::index::{Index, first_bytes};
use super::record::{Below, How, Kept, Record, Ticket};
use super::seat::{DEPTH_MAX, Seat, kept_id};
use crate::router::ids::{MemberId, RecordId};

/// The founder's number.
pub(super) const FOUNDER: usize = 0;

/// Why a ticket does not live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TicketFault {
    /// It depends on a missing ticket, or is too deep.
    Waits,
    /// The issuer is not above the ticket.
    NotAbove,
    /// The ticket above it has ended.
    Parent,
    /// The answerer of the invitation is not a member by the ticket that it named.
    Answerer,
    /// This removal (a number in [`Acts::removals`]) names its holder.
    Removed(usize),
    /// This removal names its invitation.
    InvitationEnded(usize),
    /// The issuer did not know this closing (a number in [`Acts::locks`]).
    ClosedOut(usize),
}

/// A ticket, with numbers in place of names.
#[derive(Debug, Clone)]
pub(super) struct TicketNode {
    pub(super) seat: Seat,
    pub(super) by: usize,
    pub(super) member: usize,
    /// `None`: the founder, or missing.
    pub(super) parent: Option<usize>,
    /// The same for the answerer.
    pub(super) standing: Option<usize>,
    /// Longest path to the founder along both kinds of edges; 0: it waits.
    level: usize,
    /// Length of the path to the founder along parents.
    pub(super) depth: usize,
    rank: u32,
    /// How many stewards, counted from the first, are above it.
    stewards_above: usize,
    /// Ids of the removals that it undoes, sorted.
    pub(super) pardons: Box<[RecordId]>,
    /// Ids of the closings that the issuer knew, sorted; for open tickets only.
    pub(super) knows: Box<[RecordId]>,
    /// How many tickets depend on it: if any, it cannot be removed alone.
    lower: usize,
    pub(super) fault: Option<TicketFault>,
}

impl TicketNode {
    pub(super) fn lives(&self) -> bool {
        self.fault.is_none()
    }

    pub(super) fn is_placed(&self) -> bool {
        self.level > 0
    }
}

/// All tickets and all people.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    people: Vec<Person>,
    numbers: BTreeMap<MemberId, usize>,
    nodes: Vec<TicketNode>,
    places: BTreeMap<RecordId, usize>,
    /// The stewards in order, without duplicates.
    stewards: Vec<usize>,
    /// Ids that are named as a parent or an answerer's ticket but are missing.
    missing: BTreeSet<RecordId>,
    /// Free places in `nodes`, whose tickets were removed.
    free: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Person {
    id: MemberId,
    /// Its living tickets, the nearest to the founder first.
    living: Vec<usize>,
    /// Its place among the stewards.
    steward: Option<usize>,
}

impl Tree {
    /// Puts the tickets of `records`, which are sorted, in their places; judges nothing yet.
    pub(super) fn of(founder: MemberId, records: &[(RecordId, &Record)]) -> Self {
        let (people, numbers) = count_people(founder, records);
        let mut tree = Self {
            people,
            numbers,
            nodes: Vec::with_capacity(records.len()),
            places: BTreeMap::new(),
            stewards: Vec::new(),
            missing: BTreeSet::new(),
            free: Vec::new(),
        };
        // The founder is the first person; the others ascend.
        let index = Index::of(tree.people.iter().skip(1).map(|person| person.id.0));
        let number = |id: &MemberId| index.find(&id.0).map_or(FOUNDER, |place| place + 1);
        for (id, record) in records {
            match record {
                Record::Ticket(ticket) if is_sound(founder, ticket) => {
                    tree.nodes.push(node(*id, ticket, &number));
                }
                Record::Ticket(_) => {}
                Record::Removal(_) | Record::Lock(_) => {
                    tree.add_kept(founder, *id, record, &number);
                }
            }
        }
        tree.join_all();
        tree
    }

    fn join_all(&mut self) {
        let places = self.nodes.iter().enumerate().map(|(place, node)| (node.seat.id, place));
        let mut places: Vec<(RecordId, usize)> = places.collect();
        places.sort_by_key(|(id, _)| *id);
        let index = Index::of(places.iter().map(|(id, _)| id.0));
        let find = |id: &RecordId| Some(places.get(index.find(&id.0)?)?.1);
        for place in 0..self.nodes.len() {
            self.join(place, &find);
        }
        self.places = places.into_iter().collect();
    }

    /// The tickets of those that a removal or a lock keeps.
    fn add_kept(
        &mut self,
        founder: MemberId,
        id: RecordId,
        record: &Record,
        number: &dyn Fn(&MemberId) -> usize,
    ) {
        let mut before: BTreeMap<MemberId, RecordId> = BTreeMap::new();
        for kept in record.kept() {
            let parent = match kept.below {
                Below::Founder => None,
                Below::Ticket(parent) => Some(parent),
                Below::Kept(upper) => match before.get(&upper) {
                    Some(parent) => Some(*parent),
                    None => continue,
                },
            };
            if kept.member == founder || before.contains_key(&kept.member) {
                continue;
            }
            let seat = kept_id(&id, &kept.member);
            before.insert(kept.member, seat);
            let mut node = node(seat, &ticket_of(record, parent, kept), number);
            node.seat.record = id;
            if let Record::Removal(removal) = record
                && removal.member == Some(kept.member)
            {
                // It could not name its own id.
                let mut pardons = kept.pardons.clone();
                pardons.insert(id);
                node.pardons = pardons.into_iter().collect();
            }
            self.nodes.push(node);
        }
    }

    /// Finds the tickets that the node depends on, and notes missing ones.
    fn join(&mut self, place: usize, find: &dyn Fn(&RecordId) -> Option<usize>) {
        let Some(node) = self.nodes.get_mut(place) else { return };
        let standing = node.seat.invited.and_then(|invited| invited.standing);
        node.parent = node.seat.parent.and_then(|id| find(&id));
        node.standing = standing.and_then(|id| find(&id));
        let edges = [(node.seat.parent, node.parent), (standing, node.standing)];
        for (id, found) in edges {
            match (id, found.and_then(|upper| self.nodes.get_mut(upper))) {
                (Some(_), Some(upper)) => upper.lower += 1,
                (Some(id), None) => _ = self.missing.insert(id),
                (None, _) => {}
            }
        }
    }

    /// A node's level and depth, from those of the tickets it depends on; 0 while one waits.
    fn level(&self, node: &TicketNode) -> (usize, usize) {
        let standing = node.seat.invited.and_then(|invited| invited.standing);
        let level = |id: Option<RecordId>, place: Option<usize>| match (id, place) {
            (None, _) => Some((0, 0)),
            (Some(_), place) => self
                .nodes
                .get(place?)
                .filter(|node| node.is_placed())
                .map(|node| (node.level, node.depth)),
        };
        match (level(node.seat.parent, node.parent), level(standing, node.standing)) {
            (Some((above, depth)), Some((beside, _))) if above.max(beside) < DEPTH_MAX => {
                (above.max(beside) + 1, depth + 1)
            }
            _ => (0, 0),
        }
    }

    /// Determines which tickets live.
    pub(super) fn judge(&mut self, acts: &Acts) {
        let order = self.place();
        self.name_stewards(acts);
        for place in order {
            self.judge_one(place, acts);
        }
        for person in 0..self.people.len() {
            self.sort_living(person);
        }
    }

    /// Assigns the levels, round by round, and returns the placed tickets in that order.
    fn place(&mut self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.nodes.len());
        let mut waiting: Vec<usize> = (0..self.nodes.len()).collect();
        let mut found = Vec::new();
        while !waiting.is_empty() {
            waiting.retain(|place| {
                let level = self.nodes.get(*place).map_or((0, 0), |node| self.level(node));
                if level.0 > 0 {
                    found.push((*place, level));
                }
                level.0 == 0
            });
            if found.is_empty() {
                break;
            }
            for (place, (level, depth)) in found.drain(..) {
                if let Some(node) = self.nodes.get_mut(place) {
                    (node.level, node.depth) = (level, depth);
                }
                order.push(place);
            }
        }
        order
    }

    /// Judges the founder's namings one after another: each steward is above all that come after
    /// it.
    fn name_stewards(&mut self, acts: &Acts) {
        let mut named: Vec<(u32, RecordId, usize)> = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.seat.how == How::Steward)
            .map(|(place, node)| (node.rank, node.seat.id, place))
            .collect();
        named.sort_unstable();
        for (_, _, place) in named {
            let above = self.stewards.len();
            let Some(node) = self.nodes.get_mut(place) else { continue };
            node.stewards_above = above;
            let fault = self.nodes.get(place).map(|node| self.fault(node, acts));
            let Some(node) = self.nodes.get_mut(place) else { continue };
            node.fault = fault.unwrap_or(Some(TicketFault::Waits));
            let (lives, member) = (node.lives(), node.member);
            let Some(person) = self.people.get_mut(member).filter(|_| lives) else { continue };
            person.living.push(place);
            if person.steward.is_none() {
                person.steward = Some(above);
                self.stewards.push(member);
            }
        }
    }

    fn judge_one(&mut self, place: usize, acts: &Acts) {
        let above = self.stewards.len();
        match self.nodes.get_mut(place) {
            Some(node) if node.seat.how != How::Steward => node.stewards_above = above,
            _ => return,
        }
        let fault = self.nodes.get(place).map(|node| self.fault(node, acts));
        let Some(node) = self.nodes.get_mut(place) else { return };
        node.fault = fault.unwrap_or(Some(TicketFault::Waits));
        if node.lives()
            && let Some(person) = self.people.get_mut(node.member)
        {
            person.living.push(place);
        }
    }

    fn sort_living(&mut self, person: usize) {
        let Some(person) = self.people.get_mut(person).filter(|p| p.living.len() > 1) else {
            return;
        };
        let key = |place: &usize| self.nodes.get(*place).map(|node| (node.depth, node.seat.id));
        person.living.sort_by_key(key);
    }

    /// Why a placed node, all above which is judged, does not live.
    fn fault(&self, node: &TicketNode, acts: &Acts) -> Option<TicketFault> {
        if !self.is_above(node.by, node) {
            return Some(TicketFault::NotAbove);
        }
        let lives =
            |place: Option<usize>| place.and_then(|p| self.nodes.get(p)).map(TicketNode::lives);
        if lives(node.parent) == Some(false) {
            return Some(TicketFault::Parent);
        }
        if !self.is_answered(node) {
            return Some(TicketFault::Answerer);
        }
        if let Some(removal) = acts.end_of_member(self, node) {
            return Some(TicketFault::Removed(removal));
        }
        if let Some(removal) = acts.end_of_invitation(self, node) {
            return Some(TicketFault::InvitationEnded(removal));
        }
        if node.seat.how == How::Open {
            return acts.closing_unknown_to(self, node).map(TicketFault::ClosedOut);
        }
        None
    }

    /// Whether the answerer is a member by the ticket that it named.
    fn is_answered(&self, node: &TicketNode) -> bool {
        let Some(invited) = node.seat.invited else { return true };
        match node.standing.and_then(|place| self.nodes.get(place)) {
            Some(standing) => standing.seat.member == invited.answerer && standing.lives(),
            None => self.id_of(FOUNDER) == invited.answerer,
        }
    }

    /// Adds one ticket; returns `false`, and does nothing, if that changes more than itself. A lock
    /// that names the ticket is its holder's, and signers of acts are not added in this way.
    pub(super) fn admit(&mut self, id: RecordId, ticket: &Ticket, acts: &Acts) -> bool {
        let founder = self.id_of(FOUNDER);
        let does_more = ticket.how == How::Steward
            || self.places.contains_key(&id)
            || self.missing.contains(&id)
            || self.person(&ticket.member).is_some_and(|person| acts.has_by(person));
        if does_more {
            return false;
        }
        if !is_sound(founder, ticket) {
            return true;
        }
        for member in [ticket.by, ticket.member] {
            let next = self.people.len();
            if *self.numbers.entry(member).or_insert(next) == next {
                self.people.push(Person { id: member, living: Vec::new(), steward: None });
            }
        }
        let number = |id: &MemberId| self.person(id).unwrap_or(FOUNDER);
        let node = node(id, ticket, &number);
        let place = self.free.pop().unwrap_or(self.nodes.len());
        match self.nodes.get_mut(place) {
            Some(free) => *free = node,
            None => self.nodes.push(node),
        }
        let places = std::mem::take(&mut self.places);
        self.join(place, &|id| places.get(id).copied());
        self.places = places;
        self.places.insert(id, place);
        let level = self.nodes.get(place).map_or((0, 0), |node| self.level(node));
        if let Some(node) = self.nodes.get_mut(place).filter(|_| level.0 > 0) {
            (node.level, node.depth) = level;
            let member = node.member;
            self.judge_one(place, acts);
            self.sort_living(member);
        }
        true
    }

    /// Removes a ticket; returns `false`, and does nothing, if that changes more than itself.
    pub(super) fn retire(&mut self, id: &RecordId, acts: &Acts) -> bool {
        let Some(place) = self.places.get(id).copied() else { return false };
        let Some(node) = self.nodes.get_mut(place) else { return false };
        let steward = node.seat.how == How::Steward;
        if steward || node.lower > 0 || acts.has_by(node.member) {
            return false;
        }
        node.level = 0;
        node.fault = Some(TicketFault::Waits);
        let (member, uppers) = (node.member, [node.parent, node.standing]);
        if let Some(person) = self.people.get_mut(member) {
            person.living.retain(|living| *living != place);
        }
        for upper in uppers.into_iter().flatten() {
            if let Some(upper) = self.nodes.get_mut(upper) {
                upper.lower = upper.lower.saturating_sub(1);
            }
        }
        self.places.remove(id);
        self.free.push(place);
        true
    }

    pub(super) fn person(&self, id: &MemberId) -> Option<usize> {
        self.numbers.get(id).copied()
    }

    /// How many people have numbers.
    pub(super) fn people(&self) -> usize {
        self.people.len()
    }

    /// The key of a person; all zeros for a number that was never given.
    pub(super) fn id_of(&self, person: usize) -> MemberId {
        self.people.get(person).map(|person| person.id).unwrap_or_default()
    }

    pub(super) fn is_in(&self, person: usize) -> bool {
        person == FOUNDER || self.people.get(person).is_some_and(|p| !p.living.is_empty())
    }

    pub(super) fn members(&self) -> impl Iterator<Item = MemberId> {
        self.numbers.iter().filter(|(_, person)| self.is_in(**person)).map(|(id, _)| *id)
    }

    pub(super) fn find(&self, id: &RecordId) -> Option<&TicketNode> {
        self.places.get(id).and_then(|place| self.nodes.get(*place))
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &TicketNode> {
        self.nodes.iter()
    }

    pub(super) fn node_at(&self, place: usize) -> Option<&TicketNode> {
        self.nodes.get(place)
    }

    pub(super) fn living(&self, person: usize) -> impl Iterator<Item = &TicketNode> {
        let living = self.people.get(person).into_iter().flat_map(|person| &person.living);
        living.filter_map(|place| self.nodes.get(*place))
    }

    /// Depth of the person's nearest living ticket below the founder; 0 for the founder.
    pub(super) fn depth_of(&self, person: usize) -> usize {
        self.living(person).next().map_or(0, |node| node.depth)
    }

    /// The nodes above, the nearest first.
    pub(super) fn path<'a>(&'a self, node: &TicketNode) -> impl Iterator<Item = &'a TicketNode> {
        let first = node.parent.and_then(|place| self.nodes.get(place));
        std::iter::successors(first, |node| node.parent.and_then(|place| self.nodes.get(place)))
            .take(DEPTH_MAX)
    }

    pub(super) fn stewards(&self) -> Vec<MemberId> {
        self.stewards.iter().map(|person| self.id_of(*person)).collect()
    }

    /// The stewards above `node`, in the order in which they were named.
    pub(super) fn stewards_above(&self, node: &TicketNode) -> &[usize] {
        self.stewards.get(..node.stewards_above).unwrap_or_default()
    }

    /// The place of the person among the stewards.
    pub(super) fn steward_place(&self, person: usize) -> Option<usize> {
        self.people.get(person).and_then(|person| person.steward)
    }

    /// Who is above `node`, the nearest first.
    pub(super) fn above(&self, node: &TicketNode) -> Vec<MemberId> {
        if !node.is_placed() {
            return Vec::new();
        }
        let path = self.path(node).map(|node| node.seat.member);
        let stewards = self.stewards_above(node).iter().rev().map(|person| self.id_of(*person));
        path.chain(stewards).chain([self.id_of(FOUNDER)]).collect()
    }

    pub(super) fn is_above(&self, person: usize, node: &TicketNode) -> bool {
        self.height(person, node).is_some()
    }

    /// How far above `node` the person is at most, counting everything that it holds there: along
    /// the path, then the stewards, the first highest, then the founder.
    pub(super) fn height(&self, person: usize, node: &TicketNode) -> Option<usize> {
        if !node.is_placed() {
            return None;
        }
        if person == FOUNDER {
            return Some(usize::MAX);
        }
        match self.steward_place(person) {
            Some(place) if place < node.stewards_above => {
                Some(DEPTH_MAX + node.stewards_above - place)
            }
            _ => {
                self.path(node).enumerate().filter(|(_, n)| n.member == person).last().map(|x| x.0)
            }
        }
    }
}

/// A ticket without a place yet, with people's numbers.
fn node(id: RecordId, ticket: &Ticket, number: &dyn Fn(&MemberId) -> usize) -> TicketNode {
    let open = ticket.how == How::Open;
    TicketNode {
        seat: Seat {
            id,
            record: id,
            by: ticket.by,
            parent: ticket.parent,
            member: ticket.member,
            how: ticket.how,
            invited: ticket.invited,
        },
        by: number(&ticket.by),
        member: number(&ticket.member),
        parent: None,
        standing: None,
        level: 0,
        depth: 0,
        rank: ticket.rank,
        stewards_above: 0,
        pardons: ticket.pardons.iter().copied().collect(),
        knows: ticket.knows.iter().filter(|_| open).copied().collect(),
        lower: 0,
        fault: Some(TicketFault::Waits),
    }
}

/// A member that a record keeps, as a ticket.
fn ticket_of(record: &Record, parent: Option<RecordId>, kept: &Kept) -> Ticket {
    Ticket {
        by: record.by(),
        parent,
        member: kept.member,
        how: How::Kept,
        rank: 0,
        knows: BTreeSet::new(),
        pardons: kept.pardons.clone(),
        invited: None,
    }
}

/// Whether a ticket is well-formed, whatever else there is. By an invitation it has the answerer's
/// signature instead of that of `by`, so nothing else may use that form.
pub(super) fn is_sound(founder: MemberId, ticket: &Ticket) -> bool {
    let invited = ticket.invited.is_some();
    ticket.member != founder
        && (ticket.how == How::Invitation) == invited
        && (!invited || (ticket.knows.is_empty() && ticket.pardons.is_empty()))
        && (ticket.how != How::Steward || (ticket.by == founder && ticket.parent.is_none()))
}

fn count_people(
    founder: MemberId,
    records: &[(RecordId, &Record)],
) -> (Vec<Person>, BTreeMap<MemberId, usize>) {
    let mut ids = Vec::with_capacity(2 * records.len());
    for (_, record) in records {
        ids.push(record.by());
        match record {
            Record::Ticket(ticket) => ids.push(ticket.member),
            Record::Removal(removal) => ids.extend(removal.member),
            Record::Lock(_) => {}
        }
        ids.extend(record.kept().iter().map(|kept| kept.member));
    }
    ids.retain(|id| *id != founder);
    ids.sort_unstable_by_key(|id| (first_bytes(&id.0), *id));
    ids.dedup();
    ids.insert(0, founder);
    let numbers = ids.iter().enumerate().map(|(number, id)| (*id, number)).collect();
    let person = |id| Person { id, living: Vec::new(), steward: None };
    (ids.into_iter().map(person).collect(), numbers)
}
