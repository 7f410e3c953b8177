//! How members came into the room: by which tickets, and who answers for them on the way.

use std::collections::BTreeSet;

use super::Registry;
use crate::router::ids::{MemberId, RecordId};
use crate::router::log::WayIn;
use crate::router::membership::record::{How, Record};
use crate::router::membership::{DEPTH_MAX, Seat};

/// Ways in of a member that are looked at, and as many through open doors. Four that have nobody in
/// common would do: no more than three branches can have used up a quarter of what is shared out.
pub(super) const WAYS_MAX: usize = 8;
/// Tickets of somebody on the way, as far as they are looked at.
const TICKETS_MAX: usize = 8;
/// Members whose ways in are remembered.
const REMEMBERED_MAX: usize = 1_024;

/// How somebody came by a ticket, who let it in, and by which ticket of its own.
type LetIn = (How, MemberId, Option<RecordId>);

impl Registry {
    /// How somebody came in, by its tickets, the nearest to the founder first; at most one for each
    /// who let it in and whether by an open door, and nothing if nobody knows.
    pub(crate) fn ways_in(&self, id: &MemberId) -> Vec<WayIn> {
        if let Some(ways) = self.ways.borrow().get(id) {
            return ways.clone();
        }
        let ways = self.find_ways(id);
        let mut known = self.ways.borrow_mut();
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(*id, ways.clone());
        ways
    }

    fn find_ways(&self, id: &MemberId) -> Vec<WayIn> {
        if *id == self.founder {
            return vec![WayIn::default()];
        }
        let issued = self.issued_to(id).and_then(|issued| match &issued.record {
            Record::Ticket(ticket) => Some((ticket.how, ticket.by, ticket.parent)),
            _ => None,
        });
        let mut kinds = BTreeSet::new();
        let tickets = self.membership().tickets_of(id).map(let_in_by).chain(issued);
        let tickets: Vec<LetIn> =
            tickets.filter(|(how, by, _)| kinds.insert((*by, *how == How::Open))).collect();
        let chosen = if tickets.len() <= WAYS_MAX {
            (0..tickets.len()).collect()
        } else {
            most_different(tickets.iter().map(|ticket| self.route(*ticket)).collect())
        };
        let tickets = tickets.into_iter().enumerate().filter(|(at, _)| chosen.contains(at));
        tickets.map(|(_, (how, by, parent))| self.way_up(how, by, parent)).collect()
    }

    /// Whose tickets are above this one, and whether one of all these is open.
    fn route(&self, (how, by, parent): LetIn) -> Route {
        let (mut open, mut members, mut at) = (how == How::Open, vec![by], parent);
        for _ in 0..DEPTH_MAX {
            let Some(seat) = at.and_then(|id| self.membership().ticket(&id)) else { break };
            let (how, _, parent) = let_in_by(seat);
            open |= how == How::Open;
            members.push(seat.member);
            at = parent;
        }
        members.dedup();
        members.retain(|member| *member != self.founder);
        members.reverse();
        Route { members, open }
    }

    /// The way up to the founder from a ticket of this kind, by this signer, below `parent`.
    fn way_up(&self, how: How, by: MemberId, parent: Option<RecordId>) -> WayIn {
        let mut way = WayIn::default();
        let (mut open, mut signers) = (false, BTreeSet::new());
        let mut at = Some((how, by, parent));
        // Deeper tickets do not live.
        for _ in 0..DEPTH_MAX {
            let Some((how, by, parent)) = at else { break };
            signers.insert(by);
            if how == How::Open {
                open = true;
                way.by_founder |= by == self.founder;
                note(&mut way.doors, Some(by).filter(|by| *by != self.founder));
            }
            let upper = parent.and_then(|parent| self.membership().ticket(&parent));
            let holder = upper.map(|seat| seat.member);
            let charged = holder.filter(|of| signers.contains(of) || self.may_place(&by, of));
            note(if open { &mut way.doors } else { &mut way.above }, charged);
            at = upper.map(let_in_by);
        }
        way
    }

    /// Whether `signer` is believed about whom `holder` let in: it could put it out. Anybody can
    /// give anybody a ticket, and put others below that.
    fn may_place(&self, signer: &MemberId, holder: &MemberId) -> bool {
        let membership = self.membership();
        let tickets: Vec<_> = membership.tickets_of(holder).take(TICKETS_MAX + 1).collect();
        *signer == self.founder
            || tickets.len() <= TICKETS_MAX
                && tickets.iter().all(|seat| membership.is_above(signer, &seat.id))
    }
}

/// A way in from the founder down, as far as it takes to compare it with others.
struct Route {
    members: Vec<MemberId>,
    open: bool,
}

impl Route {
    /// How far two ways are the same.
    fn in_common(&self, other: &Self) -> usize {
        self.members.iter().zip(&other.members).take_while(|(one, other)| one == other).count()
    }
}

/// Which ways are looked at, by their places in the list. Anybody can give tickets to somebody
/// else: where there are many ways, those count that part nearest to the founder, so that nobody
/// hides others behind tickets by keys of its own. Ways through open doors are chosen apart.
fn most_different(routes: Vec<Route>) -> BTreeSet<usize> {
    let mut chosen = BTreeSet::new();
    let (open, closed): (Vec<_>, Vec<_>) =
        routes.into_iter().enumerate().partition(|(_, route)| route.open);
    for routes in [open, closed] {
        let mut left: Vec<_> = routes.into_iter().map(|(at, route)| (0, at, route)).collect();
        for _ in 0..WAYS_MAX {
            let places = left.iter().enumerate();
            let next = places.min_by_key(|(_, (shared, at, _))| (*shared, *at)).map(|(of, _)| of);
            let Some((_, at, route)) = next.map(|place| left.swap_remove(place)) else { break };
            for (shared, _, other) in &mut left {
                *shared = route.in_common(other).max(*shared);
            }
            chosen.insert(at);
        }
    }
    chosen
}

/// Whoever answers an invitation lets the guest in, not its maker: that one may know nothing of it.
fn let_in_by(seat: &Seat) -> LetIn {
    match seat.invited {
        Some(invited) => (seat.how, invited.answerer, invited.standing),
        None => (seat.how, seat.by, seat.parent),
    }
}

/// Adds somebody to a list, once.
fn note(list: &mut Vec<MemberId>, member: Option<MemberId>) {
    let new = member.filter(|member| !list.contains(member));
    list.extend(new);
}
