//! Tickets: the one under which this node signs, and open tickets, which are shown to others only
//! when their holders do something.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Registry;
use crate::router::ids::{MemberId, RecordId};
use crate::router::membership::record::{How, Record, Ticket};
use crate::router::membership::{DEPTH_MAX, SignsAs};
use crate::router::signed::SignedRecord;

/// Closings that one ticket names: with these it is far from too long.
pub(super) const KNOWN_MAX: usize = 256;
/// Open tickets that are remembered until they are shown.
const ISSUED_MAX: usize = 1_024;

impl Registry {
    /// Whether this node may sign one more record of its own without taking more than its share.
    pub(super) fn has_room_for_ticket(&self) -> bool {
        let standing = self.my_standing().flatten();
        let depth = standing.map_or(0, |ticket| self.membership().depth(&ticket));
        self.register.room_for(&self.me).tickets > 0 && depth < DEPTH_MAX
    }

    /// Whether this node may sign one more lock or removal.
    pub(super) fn has_room_for_act(&self) -> bool {
        self.register.room_for(&self.me).acts > 0
    }

    /// As what this node signs: `None` if it may not, `Some(None)` as the founder.
    pub(super) fn my_standing(&self) -> Option<Option<RecordId>> {
        match self.membership().standing(&self.me) {
            SignsAs::Founder => Some(None),
            SignsAs::Ticket(id) => {
                let first = self.came_by.filter(|first| self.membership().lives(first));
                Some(Some(first.unwrap_or(id)))
            }
            SignsAs::Outside if self.is_closed() => None,
            SignsAs::Outside if !self.holds_living_ticket() => None,
            SignsAs::Outside => self.held.last().map(|ticket| Some(ticket.id)),
        }
    }

    /// What makes `member` a steward.
    pub(super) fn steward_ticket_of(&self, member: &MemberId) -> Option<Arc<SignedRecord>> {
        let mut seats = self.membership().tickets_of(member);
        let seat = seats.find(|seat| seat.how == How::Steward)?;
        self.record(&seat.record).cloned()
    }

    /// What makes `member` a member, parents first.
    pub(crate) fn chain_of(&self, member: &MemberId) -> Vec<Arc<SignedRecord>> {
        let ids = self.register.chain_of(member);
        ids.iter().filter_map(|id| self.record(id).cloned()).collect()
    }

    /// What makes this node a member, parents first.
    pub(crate) fn my_chain(&self) -> Vec<Arc<SignedRecord>> {
        let chain = self.chain_of(&self.me);
        if chain.is_empty() { self.held.clone() } else { chain }
    }

    /// Whether it is an open ticket of this node, which it need not show.
    pub(crate) fn is_visitors_ticket(record: &SignedRecord, me: &MemberId) -> bool {
        matches!(&record.record, Record::Ticket(Ticket { member, how: How::Open, .. })
            if member == me)
    }

    /// Closings that an open ticket below `parent` must name, or they would end it. If there are
    /// too many, only those that can: others count if their authors become stewards.
    pub(super) fn closings_to_know(&self, parent: Option<RecordId>) -> BTreeSet<RecordId> {
        let membership = self.membership();
        let mut closings = membership.all_closings();
        if closings.len() > KNOWN_MAX {
            let seat = parent.and_then(|parent| membership.ticket(&parent));
            let mut above = parent.map_or(vec![self.founder], |parent| membership.above(&parent));
            above.extend(seat.map(|seat| seat.member));
            above.extend(membership.stewards());
            closings.retain(|id| self.record(id).is_some_and(|of| above.contains(&of.record.by())));
        }
        closings
    }

    fn holds_living_ticket(&self) -> bool {
        let held = self.held.iter().map(|record| (record.id, &record.record));
        !self.held.is_empty() && self.register.membership_with(held).is_member(&self.me)
    }

    /// Keeps an open ticket of this node, unless it has one that lives.
    pub(crate) fn hold(&mut self, ticket: Arc<SignedRecord>) {
        if self.holds_living_ticket() {
            return;
        }
        if let Record::Ticket(Ticket { parent, .. }) = &ticket.record {
            let holder = parent.and_then(|parent| self.membership().ticket(&parent));
            let mut chain = holder.map_or(Vec::new(), |seat| self.chain_of(&seat.member));
            chain.push(ticket);
            self.held = chain;
        }
    }

    /// This node's open ticket, to be published now that it does something.
    pub(super) fn take_held(&mut self) -> Vec<Arc<SignedRecord>> {
        if self.is_member(&self.me) { Vec::new() } else { std::mem::take(&mut self.held) }
    }

    /// Keeps an open ticket that its holder has not shown yet.
    pub(super) fn remember_issued(&mut self, member: MemberId, ticket: Arc<SignedRecord>) {
        if self.issued.len() >= ISSUED_MAX && !self.issued.contains_key(&member) {
            return; // Those who are here keep theirs.
        }
        self.ways.get_mut().remove(&member);
        self.issued.insert(member, ticket);
    }

    /// Open tickets of those who are `here`, and of this node, that make them members although a
    /// closing or a removal by somebody beside them puts out everybody without a ticket.
    pub(super) fn tickets_to_show(&self, here: &BTreeSet<MemberId>) -> Vec<Arc<SignedRecord>> {
        let membership = self.membership();
        let stays = |member: &MemberId, tickets: &[Arc<SignedRecord>]| {
            let shown = tickets.iter().map(|record| (record.id, &record.record));
            !membership.is_member(member)
                && (self.is_closed() || !membership.removals_of(member).is_empty())
                && self.register.membership_with(shown).is_member(member)
        };
        let issued = self.issued.iter().filter(|(member, _)| here.contains(*member));
        let issued = issued.filter(|(member, ticket)| stays(member, &[(*ticket).clone()]));
        let mut tickets: Vec<Arc<SignedRecord>> =
            issued.map(|(_, ticket)| ticket.clone()).collect();
        if !self.held.is_empty() && stays(&self.me, &self.held) {
            tickets.extend(self.held.iter().filter(|of| !self.holds(&of.id)).cloned());
        }
        tickets
    }

    /// The ticket that this node issued to a visitor who has not shown it.
    pub(super) fn issued_to(&self, member: &MemberId) -> Option<&Arc<SignedRecord>> {
        self.issued.get(member)
    }
}
