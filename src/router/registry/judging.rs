//! Who may link with this node, and which record denies it to others.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Registry, lets_in};
use crate::router::ids::{MemberId, RecordId};
use crate::router::log::WayIn;
use crate::router::membership::record::{How, Record};
use crate::router::membership::{DEPTH_MAX, Seat, kept_id};
use crate::router::notice::Standing;
use crate::router::signed::SignedRecord;

/// Members that let one in, as far as they are looked at.
const WAYS_MAX: usize = 8;
/// Tickets of somebody on the way, as far as they are looked at.
const TICKETS_MAX: usize = 8;
/// Members whose ways in are remembered.
const REMEMBERED_MAX: usize = 1_024;

/// What is known of a peer that proved its identity.
#[derive(Debug)]
pub(crate) enum Judged {
    /// It may link.
    Known,
    /// It has to show why.
    Unknown,
    /// These records make it a member.
    KnownBy(Vec<Arc<SignedRecord>>),
    /// It may not, because of this record.
    Outside(Option<Arc<SignedRecord>>),
}

impl Registry {
    /// Whether somebody who proved who it is, and shows these records, may link.
    pub(crate) fn judge(&self, member: &MemberId, chain: Option<&[Arc<SignedRecord>]>) -> Judged {
        let Err(record) = self.may_link(member) else { return Judged::Known };
        let Some(chain) = chain else { return Judged::Unknown };
        let shown = chain.iter().map(|record| (record.id, &record.record));
        let together = self.register.membership_with(shown);
        if together.is_member(member) {
            return Judged::KnownBy(chain.to_vec());
        }
        // It does not know what ended its ticket, or it would not have shown it.
        let tickets = chain.iter().flat_map(|record| [record.id, kept_id(&record.id, member)]);
        let own = tickets.filter(|id| together.ticket(id).is_some_and(|of| of.member == *member));
        let ends: Vec<RecordId> = own.filter_map(|id| together.end_of(&id)).collect();
        let end = ends.iter().find_map(|id| self.record(id).cloned());
        Judged::Outside(end.or(record))
    }

    /// Whether somebody may be linked with this node; else the record that puts it out.
    pub(crate) fn may_link(&self, member: &MemberId) -> Result<(), Option<Arc<SignedRecord>>> {
        let membership = self.membership();
        if membership.is_member(member) {
            return Ok(());
        }
        if let Some(removal) = self.removal_in_force(member) {
            return Err(Some(removal));
        }
        match membership.closings().next() {
            None => Ok(()),
            // A closing names people: only those with a ticket are shown it.
            Some(closing) => {
                let known = self.records().any(|record| lets_in(&record.record, member));
                Err(self.record(&closing.id).filter(|_| known).cloned())
            }
        }
    }

    /// The removal that puts out a non-member. Others' removals of a visitor count once its ticket
    /// is known: only then is it known who is above it.
    fn removal_in_force(&self, member: &MemberId) -> Option<Arc<SignedRecord>> {
        let membership = self.membership();
        let removals = membership.removals_of(member);
        let (first, _) = removals.first()?;
        // Members that this node let in itself, and that the removal does not reach.
        let issued = self.issued.get(member).map(|of| (of.id, &of.record));
        if issued.is_some_and(|of| self.register.membership_with([of]).is_member(member)) {
            return None;
        }
        let stewards = membership.stewards();
        let over_all = |by: &MemberId| *by == self.founder || stewards.contains(by);
        let own = self.held.iter().filter(|_| *member == self.me);
        let had_ticket = || self.records().chain(own).any(|of| lets_in(&of.record, member));
        let found = removals.iter().find(|(_, by)| over_all(by)).map(|(id, _)| id);
        self.record(found.or_else(|| had_ticket().then_some(first))?).cloned()
    }

    /// A removal that would make a ticket for `member` by `issuer` dead.
    pub(super) fn removal_against(
        &self,
        member: &MemberId,
        (issuer, ticket): (MemberId, Option<RecordId>),
    ) -> Option<Arc<SignedRecord>> {
        let membership = self.membership();
        if membership.is_member(member) {
            return None;
        }
        let above = |by: &MemberId| {
            *by == issuer
                || *by == self.founder
                || membership.stewards().contains(by)
                || ticket.is_some_and(|ticket| membership.is_above(by, &ticket))
        };
        let removals = membership.removals_of(member);
        let (id, _) = removals.iter().find(|(_, by)| above(by))?;
        self.record(id).cloned()
    }

    /// How often `by` removed `member`.
    pub(super) fn removals_by(&self, by: &MemberId, member: &MemberId) -> u32 {
        let removals = self.records().filter(|record| match &record.record {
            Record::Removal(removal) => removal.by == *by && removal.member == Some(*member),
            _ => false,
        });
        u32::try_from(removals.count()).unwrap_or(u32::MAX)
    }

    /// How somebody came in, by its tickets, the nearest to the founder first; one for each who
    /// let it in and whether by an open door, and nothing if nobody knows.
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
        let mut ways: Vec<((MemberId, bool), WayIn)> = Vec::new();
        let issued = self.issued_to(id).and_then(|issued| match &issued.record {
            Record::Ticket(ticket) => Some((ticket.how, ticket.by, ticket.parent)),
            _ => None,
        });
        for (how, by, parent) in self.membership().tickets_of(id).map(let_in_by).chain(issued) {
            let kind = (by, how == How::Open);
            if ways.len() < WAYS_MAX && ways.iter().all(|(other, _)| *other != kind) {
                ways.push((kind, self.way_up(how, by, parent)));
            }
        }
        ways.into_iter().map(|(_, way)| way).collect()
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

    // For people.

    /// What somebody is in the room.
    pub(crate) fn standing_of(&self, id: &MemberId) -> Standing {
        let membership = self.membership();
        if *id == self.founder() {
            Standing::Founder
        } else if membership.stewards().contains(id) {
            Standing::Steward
        } else if membership.is_member(id) && !membership.is_passer_by(id) {
            Standing::Member
        } else if self.may_link(id).is_ok() {
            Standing::Visitor
        } else {
            Standing::Outside
        }
    }

    /// Through whom somebody came in: the holder of the ticket above its own.
    pub(crate) fn let_in_by(&self, id: &MemberId) -> Option<MemberId> {
        let membership = self.membership();
        if *id == self.founder() {
            return None;
        }
        if self.issued_to(id).is_some() && !membership.is_member(id) {
            return Some(self.me);
        }
        let seat = membership.tickets_of(id).next()?;
        let above = match seat.parent {
            Some(parent) => membership.ticket(&parent)?.member,
            None => self.founder(),
        };
        Some(above)
    }
}

/// How somebody came by a ticket, who let it in, and by which ticket of its own. Whoever answers an
/// invitation lets the guest in, not its maker: that one may know nothing of it.
fn let_in_by(seat: &Seat) -> (How, MemberId, Option<RecordId>) {
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
