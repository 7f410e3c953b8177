//! Who may link with this node, and which record denies it to others.

use std::sync::Arc;

use super::{Registry, lets_in};
use crate::router::ids::{MemberId, RecordId};
use crate::router::membership::kept_id;
use crate::router::membership::record::Record;
use crate::router::notice::Standing;
use crate::router::signed::SignedRecord;

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
