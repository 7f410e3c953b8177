//! `/remove` and `/steward`: who is thrown out, who goes along, who is taken in again.

use std::collections::{BTreeSet, VecDeque};

use super::Router;
use super::changes::{kept_below, kept_ticket};
use super::command::NewPassword;
use super::event::Effect;
use super::ids::{FaceId, InvitationId, MemberId, RecordId};
use super::membership::Membership;
use super::membership::record::{How, Kept, Record, Removal, Ticket};
use super::membership::register::INVITATIONS_MAX;
use super::notice::{Code, Failure};
use super::text::{Untrusted, VERIFIED_MARK};

/// A password that the removed may know opens nothing.
const WITHOUT_PASSWORD: &str = "the password from before opens this room no more, and it has no \
                                other: people come in by /invite, or after a new /lock";

/// What is still to be asked after a removal.
#[derive(Debug)]
pub(super) struct Removing {
    face: FaceId,
    line: u64,
    questions: VecDeque<Question>,
}

#[derive(Debug)]
enum Question {
    /// Take these in again, who went along.
    Guests(Vec<MemberId>),
    /// End this invitation of somebody else's.
    Invitation(InvitationId, MemberId),
    /// Set a new password.
    Password,
}

impl Router {
    pub(super) fn remove(&mut self, face: FaceId, line: u64, nick: &str, undo: bool, asks: bool) {
        let result = self.find_known(nick).and_then(|member| {
            self.publish_ticket();
            if undo {
                self.take_in_again(member).map(|()| None)
            } else {
                self.throw_out(member).map(Some)
            }
        });
        match result {
            Ok(Some(questions)) if asks && !questions.is_empty() => {
                self.commands.removing.push(Removing { face, line, questions });
                self.ask_next(face, line);
            }
            Ok(questions) => {
                let password = |of: &Question| matches!(of, Question::Password);
                if questions.is_some_and(|questions| questions.iter().any(password)) {
                    self.cx.remark(WITHOUT_PASSWORD);
                }
                self.cx.reply(face, line, "remove", Ok(()));
            }
            Err(failure) => self.cx.reply(face, line, "remove", Err(failure)),
        }
    }

    /// Throws `member` out at once; gives what is to be asked after that.
    fn throw_out(&mut self, member: MemberId) -> Result<VecDeque<Question>, Failure> {
        if member == self.cx.my_id {
            return Err(Failure::new(Code::Usage, "to go yourself, type: leave"));
        }
        self.may_remove(member)?;
        self.may_act("remove anybody")?;
        let before = self.registry.membership().clone();
        let (was_closed, had_password) = (before.is_closed(), before.password().is_some());
        // A visitor's ticket is known to whoever issued it; now others have to know it too.
        if let Some(ticket) = self.registry.issued_to(&member).cloned() {
            self.records_arrived(&[ticket], None);
        }
        let before = self.registry.membership().clone();
        let invitations: BTreeSet<InvitationId> = before
            .tickets_of(&member)
            .filter_map(|seat| seat.invited.map(|invited| invited.invitation))
            .take(INVITATIONS_MAX) // Its tickets end with it anyway.
            .collect();
        let mut removal = Removal {
            by: self.cx.my_id,
            member: Some(member),
            invitations: invitations.clone(),
            earlier: self.registry.removals_by(&self.cx.my_id, &member),
            kept: Vec::new(),
        };
        // Guests of those invitations came on their own; guests of the member go with it.
        let through = |id: &MemberId| self.came_through(id, &member);
        let stays = |id: &MemberId| *id != member && !through(id);
        removal.kept = self.registry.plan_keep(&Record::Removal(removal.clone()), &stays);
        let removal = self.register_own_keeping(Record::Removal(removal));
        self.must_hold(&removal, "remove anybody")?;
        for invitation in &invitations {
            self.registry.forget_invitation(invitation);
        }
        // A removal opens no door, not even where the removed had closed it.
        if was_closed && !self.registry.is_closed() {
            self.close_room(None, &[])?;
        }
        if !was_closed {
            self.cx.remark(
                "the room is open: whoever was removed can come back with a new identity; close \
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
    ) -> VecDeque<Question> {
        let mut questions = VecDeque::new();
        let registry = &self.registry;
        let lost = before.members().filter(|id| *id != member && !registry.is_member(id));
        let lost: Vec<MemberId> = lost.collect();
        if !lost.is_empty() {
            questions.push_back(Question::Guests(lost));
        }
        for live in registry.invitations() {
            let (id, maker) = (live.invitation.id, live.invitation.body.maker);
            let ticket = live.invitation.body.ticket;
            let above = maker == self.cx.my_id
                || registry.founder() == self.cx.my_id
                || ticket
                    .is_some_and(|ticket| registry.membership().is_above(&self.cx.my_id, &ticket));
            if above {
                questions.push_back(Question::Invitation(id, maker));
            }
        }
        if had_password {
            questions.push_back(Question::Password);
        }
        questions
    }

    /// Whether `id` came in through `member`, by its ticket or by the one that answered it.
    fn came_through(&self, id: &MemberId, member: &MemberId) -> bool {
        let membership = self.registry.membership();
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

    fn may_remove(&self, member: MemberId) -> Result<(), Failure> {
        let registry = &self.registry;
        let membership = registry.membership();
        let over_all = registry.founder() == self.cx.my_id
            || membership.stewards().contains(&self.cx.my_id)
                && member != registry.founder()
                && !membership.stewards().contains(&member);
        let issued = registry.issued_to(&member).is_some();
        if over_all || issued || membership.may_remove(&self.cx.my_id, &member) {
            return Ok(());
        }
        let name = self.members.who(&member).marked();
        let founder = self.members.who(&registry.founder()).marked();
        if member == registry.founder() {
            let text =
                format!("{name} founded this room and cannot be removed: start another room");
            return Err(Failure::new(Code::NotAbove, text));
        }
        let tickets = membership.tickets_of(&member);
        let mut could: Vec<MemberId> =
            tickets.flat_map(|seat| membership.above(&seat.id)).collect();
        let mut seen = BTreeSet::new();
        could.retain(|id| *id != self.cx.my_id && seen.insert(*id));
        let could = if could.is_empty() { founder } else { self.names(&could) };
        let text = format!("{name} did not come in through you; who can remove {name}: {could}");
        Err(Failure::new(Code::NotAbove, text))
    }

    /// Takes somebody in again who was removed, or dropped out.
    fn take_in_again(&mut self, member: MemberId) -> Result<(), Failure> {
        self.may_act("take anybody in")?;
        let registry = &self.registry;
        let membership = registry.membership();
        let name = self.members.who(&member).marked();
        if membership.is_member(&member) {
            let text = format!("{name} is a member and need not be taken in");
            return Err(Failure::new(Code::Usage, text));
        }
        if !registry.has_room_for_ticket(&self.cx.my_id) {
            let text = "your share of this room's register is full";
            return Err(Failure::new(Code::RoomFull, text));
        }
        let standing = registry.my_standing().flatten();
        let mut pardons = BTreeSet::new();
        for (removal, by) in membership.removals_of(&member) {
            let founder = registry.founder() == self.cx.my_id;
            let above_author = || {
                let mut tickets = membership.tickets_of(&by);
                tickets.any(|seat| membership.is_above(&self.cx.my_id, &seat.id))
            };
            if by == self.cx.my_id || founder || above_author() {
                pardons.insert(removal);
            }
        }
        let ticket = kept_ticket(self.cx.my_id, standing, member, pardons);
        self.register_own(ticket, None);
        if self.registry.is_member(&member) {
            self.cx.remark(format!("{name} may come in again"));
            return Ok(());
        }
        let removers = self.registry.membership().removals_of(&member);
        let removers: Vec<MemberId> = removers.into_iter().map(|(_, by)| by).collect();
        if removers.is_empty() {
            let text = format!("there is no place for {name} in the register of this room");
            return Err(Failure::new(Code::RoomFull, text));
        }
        let removers = self.names(&removers);
        let text = format!(
            "{removers} removed {name}: only {removers} or somebody above takes {name} in again"
        );
        Err(Failure::new(Code::NotAbove, text))
    }

    fn ask_next(&mut self, face: FaceId, line: u64) {
        let of = |removing: &Removing| (removing.face, removing.line) == (face, line);
        let Some(at) = self.commands.removing.iter().position(of) else { return };
        let next = self.commands.removing.get(at).and_then(|removing| removing.questions.front());
        let question = match next {
            None => {
                self.commands.removing.remove(at);
                return self.cx.reply(face, line, "remove", Ok(()));
            }
            Some(Question::Password) => return self.ask_new_password(face, line),
            Some(Question::Guests(guests)) => {
                format!(
                    "{} came in through the one you removed and went along; take them in again?",
                    self.names(guests)
                )
            }
            Some(Question::Invitation(_, maker)) if *maker == self.cx.my_id => {
                "an invitation of yours still lets people in, and others may hold it; end it?"
                    .to_owned()
            }
            Some(Question::Invitation(_, maker)) => format!(
                "an invitation by {} still lets people in, and others may hold it; end it?",
                self.members.who(maker).marked()
            ),
        };
        self.cx.effect(Effect::Confirm { face, line, question });
    }

    /// The room was left: nothing is asked any more.
    pub(super) fn drop_questions(&mut self) {
        for Removing { face, line, .. } in std::mem::take(&mut self.commands.removing) {
            self.cx.reply(face, line, "remove", Ok(()));
        }
    }

    /// An answer to a question after a removal; false if nobody asked.
    pub(super) fn removal_confirmed(&mut self, face: FaceId, line: u64, yes: Option<bool>) -> bool {
        let of = |removing: &Removing| (removing.face, removing.line) == (face, line);
        let Some(at) = self.commands.removing.iter().position(of) else { return false };
        let Some(yes) = yes else {
            self.commands.removing.remove(at);
            let text = "given up: the removal holds (/remove <nick> off takes back), and nothing \
                        else was changed";
            let failure = Failure::new(Code::Cancelled, text);
            self.cx.reply(face, line, "remove", Err(failure));
            return true;
        };
        let Some(removing) = self.commands.removing.get_mut(at) else { return true };
        match removing.questions.pop_front() {
            Some(Question::Guests(guests)) if yes => {
                for guest in guests {
                    if let Err(failure) = self.take_in_again(guest) {
                        self.cx.complain(failure);
                    }
                }
            }
            Some(Question::Invitation(id, _)) if yes => self.end_invitations([id].into()),
            _ => {}
        }
        self.ask_next(face, line);
        true
    }

    /// The new password after a removal was given, or not; false if nobody asked.
    pub(super) fn removal_password(
        &mut self,
        face: FaceId,
        line: u64,
        password: Option<NewPassword>,
    ) -> bool {
        let of = |removing: &Removing| (removing.face, removing.line) == (face, line);
        let Some(at) = self.commands.removing.iter().position(of) else { return false };
        self.commands.removing.remove(at);
        match password {
            Some(NewPassword::Set(_)) if self.commands.locking.is_some() => {
                let text = "somebody at another screen is closing the room just now: set a new \
                            password after that";
                self.cx.reply(face, line, "remove", Err(Failure::new(Code::Cancelled, text)));
            }
            Some(choice @ NewPassword::Set(_)) => self.lock((face, line, "remove"), choice, false),
            _ => {
                self.cx.remark(WITHOUT_PASSWORD);
                self.cx.reply(face, line, "remove", Ok(()));
            }
        }
        true
    }

    // Stewards.

    pub(super) fn steward(&mut self, face: FaceId, line: u64, nick: &str, off: bool) {
        let result = self.find_known(nick).and_then(|member| self.change_steward(member, off));
        self.cx.reply(face, line, "steward", result);
    }

    fn change_steward(&mut self, member: MemberId, off: bool) -> Result<(), Failure> {
        let registry = &self.registry;
        let founder = registry.founder();
        if founder != self.cx.my_id {
            let text = format!(
                "only {}, whose room it is, names stewards",
                self.members.who(&founder).marked()
            );
            return Err(Failure::new(Code::NotAbove, text));
        }
        let name = self.members.who(&member).marked();
        let before = registry.membership().clone();
        let stewards = before.stewards();
        if stewards.contains(&member) != off || member == self.cx.my_id {
            let is = if off { "is no steward" } else { "is above everybody already" };
            return Err(Failure::new(Code::Usage, format!("{name} {is}")));
        }
        // Who was a steward before was removed as one: that is over, whichever way it goes now.
        let removals = before.removals_of(&member);
        let pardons: BTreeSet<RecordId> = removals.into_iter().map(|(id, _)| id).collect();
        if !off {
            let ranks = registry.records().filter_map(|record| match &record.record {
                Record::Ticket(Ticket { how: How::Steward, rank, .. }) => Some(*rank),
                _ => None,
            });
            let rank = ranks.max().unwrap_or(0).saturating_add(1);
            let mut ticket = kept_ticket(self.cx.my_id, None, member, pardons);
            if let Record::Ticket(ticket) = &mut ticket {
                (ticket.how, ticket.rank) = (How::Steward, rank);
            }
            self.register_own(ticket, None);
            self.keep_through_naming(&before);
            return Ok(());
        }
        let mut removal = Removal {
            by: self.cx.my_id,
            member: Some(member),
            invitations: BTreeSet::new(),
            earlier: registry.removals_by(&self.cx.my_id, &member),
            kept: Vec::new(),
        };
        let mut own: Vec<Kept> = kept_below([member], None);
        own.iter_mut().for_each(|kept| kept.pardons.clone_from(&pardons));
        removal.kept.clone_from(&own);
        let plan = registry.plan_keep(&Record::Removal(removal.clone()), &|_| true);
        removal.kept = own;
        removal.kept.extend(plan.into_iter().filter(|kept| kept.member != member));
        let removal = self.register_own_keeping(Record::Removal(removal));
        self.must_hold(&removal, "change the stewards")?;
        self.keep_out_after_steward(&before)
    }

    /// What a new steward did before reaches everybody now: who was in in spite of it stays in.
    fn keep_through_naming(&mut self, before: &Membership) {
        let lost = before.members().filter(|id| !self.registry.is_member(id));
        for member in lost.collect::<Vec<_>>() {
            if let Err(failure) = self.take_in_again(member) {
                self.cx.complain(failure);
            }
        }
    }

    /// What a steward did reaches nobody any more: whom it had put out stays out, and what it had
    /// closed stays closed.
    fn keep_out_after_steward(&mut self, before: &Membership) -> Result<(), Failure> {
        let after = self.registry.membership();
        let back: Vec<MemberId> = after.members().filter(|id| !before.is_member(id)).collect();
        let mut result = Ok(());
        if before.is_closed() && !self.registry.is_closed() {
            result = self.close_room(None, &[]);
        }
        for member in back {
            if self.registry.is_member(&member) {
                result = result.and(self.throw_out(member).map(drop));
            }
        }
        result
    }

    /// Who is meant by a name, present or not.
    pub(super) fn find_known(&self, nick: &str) -> Result<MemberId, Failure> {
        if let Ok(id) = self.find_member(nick) {
            return Ok(id);
        }
        let bare = nick.strip_suffix(VERIFIED_MARK).unwrap_or(nick);
        let known = self.members.known_as(bare);
        match known.as_slice() {
            [one] => Ok(*one),
            [] => self.find_member(nick),
            several => {
                let names = self.names(several);
                let text = format!("several are called {}: {names}", Untrusted::new(bare));
                Err(Failure::new(Code::AmbiguousName, text))
            }
        }
    }
}
