//! Closing the room, changing its password, opening it again.

use std::collections::BTreeSet;

use super::signing::kept_below;
use super::{Registry, Scene};
use crate::crypto::opaque::PasswordData;
use crate::router::event::Effect;
use crate::router::ids::{Digest32, MemberId, RecordId};
use crate::router::membership::record::{Kept, Lock, Record};
use crate::router::notice::{Code, Failure, Notice};

/// Acts that one lock names; further ones are named by locks before it.
const OVER_MAX: usize = 128;

impl Registry {
    /// Whether this node may sign a lock or a removal.
    pub(super) fn may_act(&self, what: &str) -> Result<(), Failure> {
        if self.my_standing().is_none() && self.is_closed() {
            let text = format!("you cannot {what}: you are not a member of this room any more");
            return Err(Failure::new(Code::MembersOnly, text));
        }
        if self.my_standing().is_none() {
            let text = format!("you cannot {what} yet: say something first, or connect again");
            return Err(Failure::new(Code::MembersOnly, text));
        }
        if !self.has_room_for_act() {
            let text = format!(
                "you cannot {what}: your share of this room's register is full; ask whoever let \
                 you in, or start another room"
            );
            return Err(Failure::new(Code::RoomFull, text));
        }
        Ok(())
    }

    /// Closes the room, with those who are present and these kept.
    pub(super) fn close_room(
        &mut self,
        at: &mut Scene<'_>,
        data: Option<PasswordData>,
        keep: &[MemberId],
    ) -> Result<(), Failure> {
        self.publish_ticket(at);
        self.may_act("close the room")?;
        let password = data.as_ref().map(|data| Digest32(data.hash()));
        let lock = self.sign_lock(at, true, password, keep);
        self.must_hold(&lock, "close the room")?;
        if let Some(data) = data {
            self.password_told(at.cx, lock, data);
        }
        self.tell_who_can_come(at);
        Ok(())
    }

    /// The first room is closed before anybody can come, by its founder alone; its password, if it
    /// gets one, comes later.
    pub(crate) fn close_at_start(&mut self, at: &mut Scene<'_>) {
        if let Err(failure) = self.close_room(at, None, &[]) {
            at.cx.complain(failure);
        }
        // That it is closed is what is told first; whoever waits for the event waits for the
        // password.
        let is_closing =
            |effect: &Effect| matches!(effect, Effect::Notify(Notice::RoomLocked { .. }));
        at.cx.retract(is_closing);
    }

    /// A record of this node's own may find no place when the register is full.
    pub(super) fn must_hold(&self, id: &RecordId, what: &str) -> Result<(), Failure> {
        if self.holds(id) {
            return Ok(());
        }
        let text = format!("you cannot {what}: the register of this room has no place for it");
        Err(Failure::new(Code::RoomFull, text))
    }

    /// If this node is not above everybody, tells the person whom a closing does not keep out.
    fn tell_who_can_come(&mut self, at: &mut Scene<'_>) {
        let membership = self.membership();
        let mut through: BTreeSet<MemberId> = BTreeSet::new();
        let mut passers_by = Vec::new();
        let others = membership.members().filter(|id| *id != self.me);
        for member in others.filter(|id| membership.is_passer_by(id)) {
            let seat = membership.tickets_of(&member).next();
            let parent = seat.and_then(|seat| seat.parent);
            let holder = parent.and_then(|parent| membership.ticket(&parent));
            through.insert(holder.map_or(self.founder(), |seat| seat.member));
            passers_by.push(member);
        }
        if !passers_by.is_empty() {
            let through: Vec<MemberId> = through.into_iter().collect();
            let text = format!(
                "you are not above everybody here: {} came in through {} while the room was open, \
                 and can still come in",
                at.members.names(&passers_by),
                at.members.names(&through)
            );
            at.cx.remark(text);
        }
    }

    /// Makes a lock and puts it in force; those of its acts that it has no room for are named by
    /// locks before it.
    fn sign_lock(
        &mut self,
        at: &mut Scene<'_>,
        closed: bool,
        password: Option<Digest32>,
        keep: &[MemberId],
    ) -> RecordId {
        let mut new: BTreeSet<RecordId> = self.membership().acts_new_to(&self.me);
        while new.len() > OVER_MAX {
            let over: BTreeSet<RecordId> = new.iter().take(OVER_MAX).copied().collect();
            new.retain(|id| !over.contains(id));
            new.insert(self.sign_one_lock(at, closed, None, over, keep));
        }
        self.sign_one_lock(at, closed, password, new, keep)
    }

    fn sign_one_lock(
        &mut self,
        at: &mut Scene<'_>,
        closed: bool,
        password: Option<Digest32>,
        over: BTreeSet<RecordId>,
        keep: &[MemberId],
    ) -> RecordId {
        let (by, membership) = (self.me, self.membership());
        let standing = membership.standing_of_lock(&by);
        let mut lock = Lock { by, standing, closed, password, over, kept: Vec::new() };
        if closed {
            lock.kept = self.kept_by(at, &Record::Lock(lock.clone()), keep);
        }
        self.register_own_keeping(at, Record::Lock(lock))
    }

    /// Whom a closing keeps: those present, those named, and all who came by more than an open
    /// door.
    fn kept_by(&self, at: &Scene<'_>, act: &Record, keep: &[MemberId]) -> Vec<Kept> {
        let membership = self.membership();
        // Of people without a link anybody can tell: they stay if they are members, or spoke here.
        let spoke = |id: &MemberId| at.log.is_author(id);
        let stands = |id: &MemberId| self.links.has(id) || membership.is_member(id) || spoke(id);
        let mut present: BTreeSet<MemberId> = at.members.present().filter(stands).collect();
        present.extend(keep);
        let stays = |id: &MemberId| present.contains(id) || !membership.is_passer_by(id);
        let mut kept = self.plan_keep(act, &stays);
        // Visitors hold no ticket that the register knows.
        let visitors = present.iter().filter(|id| !self.is_member(id));
        let standing = self.my_standing().flatten();
        let issuer = (self.me, standing);
        let allowed = visitors.filter(|id| self.removal_against(id, issuer).is_none());
        kept.extend(kept_below(allowed.copied(), standing));
        kept
    }

    /// Opens the room again.
    pub(crate) fn open_room(&mut self, at: &mut Scene<'_>) -> Result<(), Failure> {
        if !self.is_closed() {
            return Err(Failure::new(Code::RoomNotLocked, "the room is open already"));
        }
        self.may_act("open the room")?;
        let membership = self.membership();
        let refused: BTreeSet<MemberId> = membership
            .closings()
            .filter(|closing| !membership.may_open(&self.me, &closing.id))
            .map(|closing| closing.by)
            .collect();
        if !refused.is_empty() {
            let founder = self.founder();
            let by_founder = refused.contains(&founder);
            let closers = at.members.names(&refused.into_iter().collect::<Vec<_>>());
            let above = match by_founder {
                true => String::new(),
                false => {
                    format!(" or somebody above, such as {},", at.members.who(&founder).marked())
                }
            };
            let text = format!("{closers} closed the room: only {closers}{above} opens it again");
            return Err(Failure::new(Code::NotAbove, text));
        }
        let lock = self.sign_lock(at, false, None, &[]);
        self.must_hold(&lock, "open the room")
    }
}
