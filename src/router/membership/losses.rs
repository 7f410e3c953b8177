//! Who is no longer a member, and why, for people.

use super::judged::Membership;
use super::tree::{FOUNDER, TicketFault, TicketNode};
use crate::router::ids::{MemberId, RecordId};

/// Somebody who is no longer a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Who.
    pub member: MemberId,
    /// The member with whom it went out: the holder of the ended ticket above its own, or its
    /// invitation's answerer. `None`: its own ticket ended.
    pub with: Option<MemberId>,
    /// Why that ticket ended.
    pub cause: Cause,
}

/// Why a ticket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// `by` removed its holder.
    Removed {
        /// The remover.
        by: MemberId,
        /// Its record.
        removal: RecordId,
    },
    /// `by` removed somebody and ended the invitation by which the holder came.
    InvitationEnded {
        /// The remover.
        by: MemberId,
        /// Its record.
        removal: RecordId,
    },
    /// The holder came into an open room that `by` had closed.
    ClosedOut {
        /// Who closed it.
        by: MemberId,
        /// Its record.
        lock: RecordId,
    },
    /// The issuer admitted it as a steward, and is no longer one.
    IssuerGone {
        /// The issuer.
        issuer: MemberId,
    },
    /// Records that it depends on gave way, because the register was full.
    Missing,
}

impl Cause {
    /// The record that caused it.
    #[must_use]
    pub fn record(&self) -> Option<RecordId> {
        match self {
            Self::Removed { removal, .. } | Self::InvitationEnded { removal, .. } => Some(*removal),
            Self::ClosedOut { lock, .. } => Some(*lock),
            Self::IssuerGone { .. } | Self::Missing => None,
        }
    }
}

impl Membership {
    /// Why the ticket `id`, whose place is valid, does not live: the record that ended it, or that
    /// ended the one above it with which it went.
    #[must_use]
    pub fn end_of(&self, id: &RecordId) -> Option<RecordId> {
        let node = self.tree().find(id).filter(|node| node.is_placed() && !node.lives())?;
        loss(self, node.seat.member, node).cause.record()
    }
}

/// Who was a member in `before` but is none in `after`, the smallest first.
#[must_use]
pub fn lost_between(before: &Membership, after: &Membership) -> Vec<Loss> {
    let lost = before.members().filter(|member| !after.is_member(member));
    lost.map(|member| {
        let nearest = before.tickets_of(&member).next();
        match nearest.and_then(|seat| after.tree().find(&seat.id)) {
            Some(node) => loss(after, member, node),
            None => Loss { member, with: None, cause: Cause::Missing },
        }
    })
    .collect()
}

/// Walks up to the ticket that ended for its own reason. Each step is nearer to the founder.
fn loss(after: &Membership, member: MemberId, node: &TicketNode) -> Loss {
    let mut ended = node;
    loop {
        let upper = match ended.fault {
            Some(TicketFault::Parent) => ended.parent,
            Some(TicketFault::Answerer) => ended.standing,
            _ => None,
        };
        match upper.and_then(|place| after.tree().node_at(place)).filter(|node| !node.lives()) {
            Some(upper) => ended = upper,
            None => break,
        }
    }
    let with = (ended.seat.member != member).then_some(ended.seat.member);
    Loss { member, with, cause: cause(after, ended) }
}

fn cause(after: &Membership, ended: &TicketNode) -> Cause {
    let removal = |number: usize| {
        let removal = after.acts().removals.get(number);
        removal.map(|removal| (after.tree().id_of(removal.by), removal.id))
    };
    let cause = match ended.fault {
        Some(TicketFault::Removed(number)) => {
            removal(number).map(|(by, removal)| Cause::Removed { by, removal })
        }
        Some(TicketFault::InvitationEnded(number)) => {
            removal(number).map(|(by, removal)| Cause::InvitationEnded { by, removal })
        }
        Some(TicketFault::ClosedOut(number)) => after
            .acts()
            .locks
            .get(number)
            .map(|lock| Cause::ClosedOut { by: after.tree().id_of(lock.by), lock: lock.id }),
        Some(TicketFault::NotAbove) if ended.by != FOUNDER => {
            Some(Cause::IssuerGone { issuer: ended.seat.by })
        }
        _ => None,
    };
    cause.unwrap_or(Cause::Missing)
}
