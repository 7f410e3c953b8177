//! `password`, `/lock` and `unlock`: closing the room, changing its password, opening it again.

use std::collections::BTreeSet;

use super::Router;
use super::changes::kept_below;
use super::command::NewPassword;
use super::event::Effect;
use super::ids::{Digest32, FaceId, MemberId, RecordId, RoomId};
use super::membership::record::{Kept, Lock, Record};
use super::notice::{Code, Failure, Notice};
use crate::crypto::opaque::PasswordData;

/// Acts that one lock names; further ones are named by locks before it.
const OVER_MAX: usize = 128;
/// Names in one question.
const NAMED_MAX: usize = 8;

/// A change of the lock that a person asked for and that is not made yet.
#[derive(Debug)]
pub(super) struct Locking {
    face: FaceId,
    line: u64,
    /// The command's word.
    word: &'static str,
    choice: NewPassword,
    /// Who spoke here, is not present, and would be out.
    absent: Vec<MemberId>,
    /// They stay.
    keeps: bool,
    /// Somebody is asked whether they do.
    asking: bool,
}

impl Router {
    /// Begins to close the room, or to change its password.
    pub(super) fn lock(
        &mut self,
        (face, line, word): (FaceId, u64, &'static str),
        choice: NewPassword,
        asks: bool,
    ) {
        self.publish_ticket();
        if let Err(failure) = self.may_act("close the room") {
            return self.cx.reply(face, line, word, Err(failure));
        }
        let absent = self.absent_speakers();
        let question = (asks && !absent.is_empty()).then(|| {
            format!(
                "{} spoke here and {} not here now; keep {} in?",
                self.names(&absent),
                if absent.len() == 1 { "is" } else { "are" },
                if absent.len() == 1 { "this person" } else { "them" }
            )
        });
        self.commands.locking = Some(Locking {
            face,
            line,
            word,
            choice,
            absent,
            keeps: false,
            asking: question.is_some(),
        });
        match question {
            Some(question) => self.cx.effect(Effect::Confirm { face, line, question }),
            None => self.prepare_lock(),
        }
    }

    /// Whether those who are absent stay was answered; false if nobody asked.
    pub(super) fn lock_confirmed(&mut self, face: FaceId, line: u64, yes: Option<bool>) -> bool {
        let of = |locking: &&mut Locking| (locking.face, locking.line) == (face, line);
        let Some(locking) = self.commands.locking.as_mut().filter(of) else { return false };
        let Some(yes) = yes else {
            // Whoever answered before may not take back what is being made.
            if locking.asking {
                let text = "given up: nothing was changed, the room stays as it is";
                self.lock_failed(face, line, Failure::new(Code::Cancelled, text));
            }
            return true;
        };
        locking.keeps = yes;
        locking.asking = false;
        self.prepare_lock();
        true
    }

    /// A question that nobody answered keeps no other command waiting.
    pub(super) fn cancel_asked_lock(&mut self) {
        if let Some(locking) = self.commands.locking.take_if(|locking| locking.asking) {
            let failure = Failure::new(Code::Cancelled, "another command came first");
            self.cx.reply(locking.face, locking.line, locking.word, Err(failure));
        }
    }

    fn prepare_lock(&mut self) {
        let Some(locking) = &self.commands.locking else { return };
        let (face, line, room) = (locking.face, locking.line, self.room.id);
        match locking.choice.clone() {
            NewPassword::Set(password) => {
                self.cx.effect(Effect::PrepareLock { face, line, room, password });
            }
            NewPassword::Nothing => self.finish_lock(room, None),
        }
    }

    pub(super) fn lock_prepared(
        &mut self,
        face: FaceId,
        line: u64,
        room: RoomId,
        data: PasswordData,
    ) {
        if self.commands.locking.as_ref().is_some_and(|of| (of.face, of.line) == (face, line)) {
            self.finish_lock(room, Some(data));
        }
    }

    fn finish_lock(&mut self, room: RoomId, data: Option<PasswordData>) {
        let Some(locking) = self.commands.locking.take() else { return };
        let Locking { face, line, word, absent, keeps, .. } = locking;
        let result = if room == self.room.id {
            let absent = if keeps { absent } else { Vec::new() };
            self.close_room(data, &absent)
        } else {
            Err(Failure::new(Code::Cancelled, "the room was left before it was closed"))
        };
        self.cx.reply(face, line, word, result);
        self.run_deferred();
    }

    pub(super) fn lock_failed(&mut self, face: FaceId, line: u64, failure: Failure) {
        let of = |locking: &mut Locking| (locking.face, locking.line) == (face, line);
        let Some(Locking { word, .. }) = self.commands.locking.take_if(of) else { return };
        self.cx.reply(face, line, word, Err(failure));
        self.run_deferred();
    }

    /// Whether this node may sign a lock or a removal.
    pub(super) fn may_act(&self, what: &str) -> Result<(), Failure> {
        let registry = &self.registry;
        if registry.my_standing().is_none() && registry.is_closed() {
            let text = format!("you cannot {what}: you are not a member of this room any more");
            return Err(Failure::new(Code::MembersOnly, text));
        }
        if registry.my_standing().is_none() {
            let text = format!("you cannot {what} yet: say something first, or connect again");
            return Err(Failure::new(Code::MembersOnly, text));
        }
        if !registry.has_room_for_act(&self.cx.my_id) {
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
        data: Option<PasswordData>,
        keep: &[MemberId],
    ) -> Result<(), Failure> {
        self.publish_ticket();
        self.may_act("close the room")?;
        let password = data.as_ref().map(|data| Digest32(data.hash()));
        let lock = self.sign_lock(true, password, keep);
        self.must_hold(&lock, "close the room")?;
        if let Some(data) = data {
            self.password_told(lock, data);
        }
        self.tell_who_can_come();
        Ok(())
    }

    /// The first room is closed before anybody can come, by its founder alone; its password, if it
    /// gets one, comes later.
    pub(super) fn close_at_start(&mut self) {
        if let Err(failure) = self.close_room(None, &[]) {
            self.cx.complain(failure);
        }
        // That it is closed is what is told first; whoever waits for the event waits for the
        // password.
        let is_closing =
            |effect: &Effect| matches!(effect, Effect::Notify(Notice::RoomLocked { .. }));
        self.cx.retract(is_closing);
    }

    /// A record of this node's own may find no place when the register is full.
    pub(super) fn must_hold(&self, id: &RecordId, what: &str) -> Result<(), Failure> {
        if self.registry.holds(id) {
            return Ok(());
        }
        let text = format!("you cannot {what}: the register of this room has no place for it");
        Err(Failure::new(Code::RoomFull, text))
    }

    /// Whoever closes and is not above everybody hears whom that does not keep out.
    fn tell_who_can_come(&mut self) {
        let registry = &self.registry;
        let membership = registry.membership();
        let mut through: BTreeSet<MemberId> = BTreeSet::new();
        let mut passers_by = Vec::new();
        let others = membership.members().filter(|id| *id != self.cx.my_id);
        for member in others.filter(|id| membership.is_passer_by(id)) {
            let seat = membership.tickets_of(&member).next();
            let parent = seat.and_then(|seat| seat.parent);
            let holder = parent.and_then(|parent| membership.ticket(&parent));
            through.insert(holder.map_or(registry.founder(), |seat| seat.member));
            passers_by.push(member);
        }
        if !passers_by.is_empty() {
            let through: Vec<MemberId> = through.into_iter().collect();
            let text = format!(
                "you are not above everybody here: {} came in through {} by the open door and can \
                 still come in",
                self.names(&passers_by),
                self.names(&through)
            );
            self.cx.remark(text);
        }
    }

    /// Makes a lock and puts it in force; those of its acts that it has no room for are named by
    /// locks before it.
    fn sign_lock(
        &mut self,
        closed: bool,
        password: Option<Digest32>,
        keep: &[MemberId],
    ) -> RecordId {
        let mut new: BTreeSet<RecordId> = self.registry.membership().acts_new_to(&self.cx.my_id);
        while new.len() > OVER_MAX {
            let over: BTreeSet<RecordId> = new.iter().take(OVER_MAX).copied().collect();
            new.retain(|id| !over.contains(id));
            new.insert(self.sign_one_lock(closed, None, over, keep));
        }
        self.sign_one_lock(closed, password, new, keep)
    }

    fn sign_one_lock(
        &mut self,
        closed: bool,
        password: Option<Digest32>,
        over: BTreeSet<RecordId>,
        keep: &[MemberId],
    ) -> RecordId {
        let (by, membership) = (self.cx.my_id, self.registry.membership());
        let standing = membership.standing_of_lock(&by);
        let mut lock = Lock { by, standing, closed, password, over, kept: Vec::new() };
        if closed {
            lock.kept = self.kept_by(&Record::Lock(lock.clone()), keep);
        }
        self.register_own_keeping(Record::Lock(lock))
    }

    /// Whom a closing keeps: those present, those named, and all who came by more than an open
    /// door.
    fn kept_by(&self, act: &Record, keep: &[MemberId]) -> Vec<Kept> {
        let registry = &self.registry;
        let membership = registry.membership();
        // Of people without a link anybody can tell: they stay if they are members, or spoke here.
        let spoke = |id: &MemberId| self.log.is_author(id);
        let here = self.members.present().filter(|id| {
            self.members.conn_of(id).is_some() || membership.is_member(id) || spoke(id)
        });
        let mut present: BTreeSet<MemberId> = here.collect();
        present.extend(keep);
        let stays = |id: &MemberId| present.contains(id) || !membership.is_passer_by(id);
        let mut kept = registry.plan_keep(act, &stays);
        // Visitors hold no ticket that the register knows.
        let visitors = present.iter().filter(|id| !registry.is_member(id));
        let standing = registry.my_standing().flatten();
        let issuer = (self.cx.my_id, standing);
        let allowed = visitors.filter(|id| registry.removal_against(id, issuer).is_none());
        kept.extend(kept_below(allowed.copied(), standing));
        kept
    }

    /// People who said something here, are not present, and would not stay in a closed room.
    fn absent_speakers(&self) -> Vec<MemberId> {
        let registry = &self.registry;
        let membership = registry.membership();
        let authors: BTreeSet<MemberId> = self.log.authors().collect();
        let present = |id: &MemberId| self.members.is_present(id);
        let out = |id: &MemberId| {
            let member = membership.is_member(id);
            (!registry.is_closed() && !member || membership.is_passer_by(id))
                && registry.may_link(id).is_ok()
        };
        let absent = |id: &MemberId| *id != self.cx.my_id && !present(id) && out(id);
        authors.into_iter().filter(absent).collect()
    }

    pub(super) fn names(&self, ids: &[MemberId]) -> String {
        let mut names: Vec<String> =
            ids.iter().take(NAMED_MAX).map(|id| self.members.who(id).marked()).collect();
        if ids.len() > NAMED_MAX {
            names.push(format!("{} others", ids.len() - NAMED_MAX));
        }
        match names.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, first)) => format!("{} and {last}", first.join(", ")),
            None => String::new(),
        }
    }

    pub(super) fn unlock(&mut self, face: FaceId, line: u64) {
        let result = self.open_room();
        self.cx.reply(face, line, "unlock", result);
    }

    fn open_room(&mut self) -> Result<(), Failure> {
        if !self.registry.is_closed() {
            return Err(Failure::new(Code::RoomNotLocked, "the room is open already"));
        }
        self.may_act("open the room")?;
        let membership = self.registry.membership();
        let refused: BTreeSet<MemberId> = membership
            .closings()
            .filter(|closing| !membership.may_open(&self.cx.my_id, &closing.id))
            .map(|closing| closing.by)
            .collect();
        if !refused.is_empty() {
            let founder = self.registry.founder();
            let by_founder = refused.contains(&founder);
            let closers = self.names(&refused.into_iter().collect::<Vec<_>>());
            let above = match by_founder {
                true => String::new(),
                false => {
                    format!(" or somebody above, such as {},", self.members.who(&founder).marked())
                }
            };
            let text = format!("{closers} closed the room: only {closers}{above} opens it again");
            return Err(Failure::new(Code::NotAbove, text));
        }
        let lock = self.sign_lock(false, None, &[]);
        self.must_hold(&lock, "open the room")
    }

    /// What the prompt for a new password of one's own room asks.
    pub(super) fn ask_new_password(&mut self, face: FaceId, line: u64) {
        self.cx.effect(Effect::AskPassword { face, line, address: String::new(), again: false });
    }
}
