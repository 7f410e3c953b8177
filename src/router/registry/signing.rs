//! Signs this node's own records and puts them in force.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::tickets::KNOWN_MAX;
use super::{Registry, Scene};
use crate::router::ids::{MemberId, RecordId};
use crate::router::membership::record::{Below, How, Invited, Kept, Record, Ticket};
use crate::router::signed::{Claim, KEPT_MAX, RECORD_MAX_BYTES, SignedRecord};

impl Registry {
    /// Signs a record of this node's and puts it in force, here and for everybody linked.
    pub(super) fn register_own(&mut self, at: &mut Scene<'_>, record: Record) -> RecordId {
        let signed = SignedRecord::sign(&self.room(), &at.cx.me, record, None);
        let id = signed.id;
        self.take_in(at, &[signed], None);
        id
    }

    /// The same for a record that keeps people. Those whom it has no room for are kept by tickets
    /// of their own, right after it.
    pub(super) fn register_own_keeping(
        &mut self,
        at: &mut Scene<'_>,
        mut record: Record,
    ) -> RecordId {
        let mut rest = Vec::new();
        let signed = loop {
            let signed = SignedRecord::sign(&self.room(), &at.cx.me, record.clone(), None);
            let list = match &mut record {
                Record::Removal(removal) => &mut removal.kept,
                Record::Lock(lock) => &mut lock.kept,
                Record::Ticket(_) => break signed,
            };
            let fits = signed.bytes.len() <= RECORD_MAX_BYTES && list.len() <= KEPT_MAX;
            if fits || list.is_empty() {
                break signed;
            }
            let half = (list.len() / 2).min(KEPT_MAX);
            rest = [list.split_off(half), rest].concat();
        };
        let (id, standing) = (signed.id, self.my_standing().flatten());
        self.take_in(at, &[signed], None);
        let mut tickets = Vec::new();
        for kept in rest {
            let parent = match kept.below {
                Below::Ticket(ticket) if self.membership().lives(&ticket) => Some(ticket),
                _ => standing,
            };
            let ticket = kept_ticket(self.me, parent, kept.member, kept.pardons);
            tickets.push(SignedRecord::sign(&self.room(), &at.cx.me, ticket, None));
        }
        // All at once: what follows from the register is found once for all of them.
        self.take_in(at, &tickets, None);
        id
    }

    /// This node does something in an open room: from now on others know through whom it came.
    pub(crate) fn publish_ticket(&mut self, at: &mut Scene<'_>) {
        let held = self.take_held();
        if !held.is_empty() {
            self.take_in(at, &held, None);
        }
    }

    /// Lets somebody in. A ticket for an open door is shown to its holder only, unless somebody
    /// removed that one; `None`: this node's share of the register is full, or it is no member
    /// itself.
    pub(crate) fn issue(
        &mut self,
        at: &mut Scene<'_>,
        member: MemberId,
        how: How,
        claim: Option<Claim>,
    ) -> Option<Arc<SignedRecord>> {
        self.publish_ticket(at);
        let standing = self.my_standing()?;
        if !self.has_room_for_ticket() {
            return None;
        }
        let mut ticket = Ticket {
            by: self.me,
            parent: standing,
            member,
            how,
            rank: 0,
            knows: BTreeSet::new(),
            pardons: BTreeSet::new(),
            invited: None,
        };
        if let Some(claim) = &claim {
            let body = &claim.invitation.body;
            (ticket.by, ticket.parent) = (body.maker, body.ticket);
            let invitation = claim.invitation.id;
            ticket.invited = Some(Invited { invitation, answerer: self.me, standing });
        } else if how == How::Open {
            if self.is_closed() {
                return None; // Who comes by an open door cannot know what closed it.
            }
            ticket.knows = self.closings_to_know(standing);
            if ticket.knows.len() > KNOWN_MAX {
                return None;
            }
        }
        let signed = SignedRecord::sign(&self.room(), &at.cx.me, Record::Ticket(ticket), claim);
        // Others have to know by what somebody is in whom somebody removed.
        let removed = !self.membership().removals_of(&member).is_empty();
        if how == How::Open && !removed {
            self.remember_issued(member, signed.clone());
        } else {
            self.take_in(at, std::slice::from_ref(&signed), None);
        }
        Some(signed)
    }
}

/// A plain ticket `how: kept` below `parent`.
pub(super) fn kept_ticket(
    by: MemberId,
    parent: Option<RecordId>,
    member: MemberId,
    pardons: BTreeSet<RecordId>,
) -> Record {
    Record::Ticket(Ticket {
        by,
        parent,
        member,
        how: How::Kept,
        rank: 0,
        knows: BTreeSet::new(),
        pardons,
        invited: None,
    })
}

/// Whom a record keeps besides those who would drop out: people who hold no ticket yet.
pub(super) fn kept_below(
    members: impl IntoIterator<Item = MemberId>,
    parent: Option<RecordId>,
) -> Vec<Kept> {
    let below = parent.map_or(Below::Founder, Below::Ticket);
    members.into_iter().map(|member| Kept { member, below, pardons: BTreeSet::new() }).collect()
}
