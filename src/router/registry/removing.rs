//! Removals: who is removed, who goes with them, who is taken in again.

use std::collections::{BTreeSet, VecDeque};

use super::signing::kept_ticket;
use super::{Registry, Scene};
use crate::router::ids::{InvitationId, MemberId, RecordId};
use crate::router::membership::Membership;
use crate::router::membership::record::{Record, Removal};
use crate::router::membership::register::INVITATIONS_MAX;
use crate::router::notice::{Code, Failure};

/// What is still to be asked after a removal.
#[derive(Debug)]
pub(super) enum RemovalQuestion {
    /// Take these in again, who went along.
    Guests(Vec<MemberId>),
    /// End this invitation of somebody else's.
    Invitation(InvitationId, MemberId),
    /// Set a new password.
    Password,
}

impl Registry {
    /// Throws `member` out at once; gives what is to be asked after that.
    pub(super) fn throw_out(
        &mut self,
        at: &mut Scene<'_>,
        member: MemberId,
    ) -> Result<VecDeque<RemovalQuestion>, Failure> {
        if member == self.me {
            return Err(Failure::new(Code::Usage, "to go yourself, type: leave"));
        }
        self.may_remove(at, member)?;
        self.may_act("remove anybody")?;
        let before = self.membership().clone();
        let (was_closed, had_password) = (before.is_closed(), before.password().is_some());
        // Only the issuer knows a visitor's ticket; now others have to know it too.
        if let Some(ticket) = self.issued_to(&member).cloned() {
            self.take_in(at, &[ticket], None);
        }
        let before = self.membership().clone();
        let invitations: BTreeSet<InvitationId> = before
            .tickets_of(&member)
            .filter_map(|seat| seat.invited.map(|invited| invited.invitation))
            .take(INVITATIONS_MAX) // Its tickets end with it anyway.
            .collect();
        let mut removal = Removal {
            by: self.me,
            member: Some(member),
            invitations: invitations.clone(),
            earlier: self.removals_by(&self.me, &member),
            kept: Vec::new(),
        };
        // Guests of those invitations came on their own; guests of the member go with it.
        let through = |id: &MemberId| self.came_through(id, &member);
        let stays = |id: &MemberId| *id != member && !through(id);
        removal.kept = self.plan_keep(&Record::Removal(removal.clone()), &stays);
        let removal = self.register_own_keeping(at, Record::Removal(removal));
        self.must_hold(&removal, "remove anybody")?;
        for invitation in &invitations {
            self.forget_invitation(invitation);
        }
        // A removal opens no door, not even where the removed had closed it.
        if was_closed && !self.is_closed() {
            self.close_room(at, None, &[])?;
        }
        if !was_closed {
            at.cx.remark(
                "the room is open: the removed member can come back with a new identity; close \
                 it with /lock to prevent that",
            );
        }
        Ok(self.questions_after(&before, member, had_password))
    }

    fn questions_after(
        &self,
        before: &Membership,
        member: MemberId,
        had_password: bool,
    ) -> VecDeque<RemovalQuestion> {
        let mut questions = VecDeque::new();
        let lost = before.members().filter(|id| *id != member && !self.is_member(id));
        let lost: Vec<MemberId> = lost.collect();
        if !lost.is_empty() {
            questions.push_back(RemovalQuestion::Guests(lost));
        }
        for live in self.invitations() {
            let (id, maker) = (live.invitation.id, live.invitation.body.maker);
            let ticket = live.invitation.body.ticket;
            let above = maker == self.me
                || self.founder() == self.me
                || ticket.is_some_and(|ticket| self.membership().is_above(&self.me, &ticket));
            if above {
                questions.push_back(RemovalQuestion::Invitation(id, maker));
            }
        }
        if had_password {
            questions.push_back(RemovalQuestion::Password);
        }
        questions
    }

    /// Whether `id` came in through `member`, by its ticket or by the one that answered it.
    fn came_through(&self, id: &MemberId, member: &MemberId) -> bool {
        let membership = self.membership();
        let mut tickets: Vec<RecordId> = membership.tickets_of(id).map(|seat| seat.id).collect();
        let mut seen = BTreeSet::new();
        // All of its tickets must come through the member, or it does not need that one.
        while let Some(ticket) = tickets.pop() {
            let Some(seat) = membership.ticket(&ticket).filter(|_| seen.insert(ticket)) else {
                continue;
            };
            let above = seat.parent.and_then(|parent| membership.ticket(&parent));
            let answerer = seat.invited.map(|invited| invited.answerer);
            if above.is_some_and(|above| above.member == *member) || answerer == Some(*member) {
                return true;
            }
            tickets.extend(seat.parent);
            tickets.extend(seat.invited.and_then(|invited| invited.standing));
        }
        false
    }

    fn may_remove(&self, at: &Scene<'_>, member: MemberId) -> Result<(), Failure> {
        let membership = self.membership();
        let over_all = self.founder() == self.me
            || membership.stewards().contains(&self.me)
                && member != self.founder()
                && !membership.stewards().contains(&member);
        let issued = self.issued_to(&member).is_some();
        if over_all || issued || membership.may_remove(&self.me, &member) {
            return Ok(());
        }
        let name = at.members.who(&member).marked();
        let founder = at.members.who(&self.founder()).marked();
        if member == self.founder() {
            let text =
                format!("{name} founded this room and cannot be removed: start another room");
            return Err(Failure::new(Code::NotAbove, text));
        }
        let tickets = membership.tickets_of(&member);
        let mut could: Vec<MemberId> =
            tickets.flat_map(|seat| membership.above(&seat.id)).collect();
        let mut seen = BTreeSet::new();
        could.retain(|id| *id != self.me && seen.insert(*id));
        let could = if could.is_empty() { founder } else { at.members.names(&could) };
        let text = format!("{name} did not come in through you; who can remove {name}: {could}");
        Err(Failure::new(Code::NotAbove, text))
    }

    /// Takes somebody in again who was removed, or dropped out.
    pub(super) fn take_in_again(
        &mut self,
        at: &mut Scene<'_>,
        member: MemberId,
    ) -> Result<(), Failure> {
        self.may_act("take anybody in")?;
        let membership = self.membership();
        let name = at.members.who(&member).marked();
        if membership.is_member(&member) {
            let text = format!("{name} is a member and need not be taken in");
            return Err(Failure::new(Code::Usage, text));
        }
        if !self.has_room_for_ticket() {
            let text = "your share of this room's register is full";
            return Err(Failure::new(Code::RoomFull, text));
        }
        let standing = self.my_standing().flatten();
        let mut pardons = BTreeSet::new();
        for (removal, by) in membership.removals_of(&member) {
            let founder = self.founder() == self.me;
            let above_author = || {
                let mut tickets = membership.tickets_of(&by);
                tickets.any(|seat| membership.is_above(&self.me, &seat.id))
            };
            if by == self.me || founder || above_author() {
                pardons.insert(removal);
            }
        }
        let ticket = kept_ticket(self.me, standing, member, pardons);
        self.register_own(at, ticket);
        if self.is_member(&member) {
            at.cx.remark(format!("{name} may come in again"));
            return Ok(());
        }
        let removers = self.membership().removals_of(&member);
        let removers: Vec<MemberId> = removers.into_iter().map(|(_, by)| by).collect();
        if removers.is_empty() {
            let text = format!("there is no place for {name} in the register of this room");
            return Err(Failure::new(Code::RoomFull, text));
        }
        let removers = at.members.names(&removers);
        let text = format!(
            "{removers} removed {name}: only {removers} or somebody above can take {name} in again"
        );
        Err(Failure::new(Code::NotAbove, text))
    }
}
