//! `password`, `/lock` and `unlock`: a change of the lock, from question to answer.

use std::collections::BTreeSet;

use super::{Registry, Scene};
use crate::crypto::opaque::PasswordData;
use crate::router::command::NewPassword;
use crate::router::context::Context;
use crate::router::event::Effect;
use crate::router::ids::{FaceId, MemberId, RoomId};
use crate::router::notice::{Code, Failure};
use crate::router::order::Order;

/// A change of the lock that a person asked for and that is not made yet.
#[derive(Debug)]
pub(super) struct LockChange {
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

impl Registry {
    /// Begins to close the room, or to change its password.
    pub(crate) fn lock(
        &mut self,
        at: &mut Scene<'_>,
        (face, line, word): (FaceId, u64, &'static str),
        choice: NewPassword,
        asks: bool,
    ) {
        self.publish_ticket(at);
        if let Err(failure) = self.may_act("close the room") {
            return at.cx.reply(face, line, word, Err(failure));
        }
        let absent = self.absent_speakers(at);
        let question = (asks && !absent.is_empty()).then(|| {
            format!(
                "{} spoke here and {} not here now; keep {} in?",
                at.members.names(&absent),
                if absent.len() == 1 { "is" } else { "are" },
                if absent.len() == 1 { "this person" } else { "them" }
            )
        });
        self.locking = Some(LockChange {
            face,
            line,
            word,
            choice,
            absent,
            keeps: false,
            asking: question.is_some(),
        });
        match question {
            Some(question) => at.cx.effect(Effect::Confirm { face, line, question }),
            None => self.prepare_lock(at),
        }
    }

    /// Whether those who are absent stay was answered; false if nobody asked.
    pub(super) fn lock_confirmed(
        &mut self,
        at: &mut Scene<'_>,
        (face, line): (FaceId, u64),
        yes: Option<bool>,
    ) -> bool {
        let of = |locking: &&mut LockChange| (locking.face, locking.line) == (face, line);
        let Some(locking) = self.locking.as_mut().filter(of) else { return false };
        let Some(yes) = yes else {
            // Another face must not cancel what is being made.
            if locking.asking {
                let text = "given up: nothing was changed, the room stays as it is";
                self.lock_failed(at.cx, (face, line), Failure::new(Code::Cancelled, text));
            }
            return true;
        };
        locking.keeps = yes;
        locking.asking = false;
        self.prepare_lock(at);
        true
    }

    /// Whether a change of the lock is under way.
    pub(crate) fn is_locking(&self) -> bool {
        self.locking.is_some()
    }

    /// A question that nobody answered keeps no other command waiting.
    pub(crate) fn cancel_asked_lock(&mut self, cx: &mut Context) {
        if let Some(locking) = self.locking.take_if(|locking| locking.asking) {
            let failure = Failure::new(Code::Cancelled, "another command came first");
            cx.reply(locking.face, locking.line, locking.word, Err(failure));
        }
    }

    fn prepare_lock(&mut self, at: &mut Scene<'_>) {
        let Some(locking) = &self.locking else { return };
        let (face, line, room) = (locking.face, locking.line, self.room());
        match locking.choice.clone() {
            NewPassword::Set(password) => {
                at.cx.effect(Effect::PrepareLock { face, line, room, password });
            }
            NewPassword::Nothing => self.finish_lock(at, room, None),
        }
    }

    /// What members keep of the new password is made.
    pub(crate) fn lock_prepared(
        &mut self,
        at: &mut Scene<'_>,
        (face, line): (FaceId, u64),
        room: RoomId,
        data: PasswordData,
    ) {
        if self.locking.as_ref().is_some_and(|of| (of.face, of.line) == (face, line)) {
            self.finish_lock(at, room, Some(data));
        }
    }

    fn finish_lock(&mut self, at: &mut Scene<'_>, room: RoomId, data: Option<PasswordData>) {
        let Some(locking) = self.locking.take() else { return };
        let LockChange { face, line, word, absent, keeps, .. } = locking;
        let result = if room == self.room() {
            let absent = if keeps { absent } else { Vec::new() };
            self.close_room(at, data, &absent)
        } else {
            Err(Failure::new(Code::Cancelled, "the room was left before it was closed"))
        };
        at.cx.reply(face, line, word, result);
        at.cx.order(Order::LockSettled);
    }

    /// A change of the lock is given up.
    pub(crate) fn lock_failed(
        &mut self,
        cx: &mut Context,
        (face, line): (FaceId, u64),
        failure: Failure,
    ) {
        let of = |locking: &mut LockChange| (locking.face, locking.line) == (face, line);
        let Some(LockChange { word, .. }) = self.locking.take_if(of) else { return };
        cx.reply(face, line, word, Err(failure));
        cx.order(Order::LockSettled);
    }

    /// People who said something here, are not present, and would not stay in a closed room.
    fn absent_speakers(&self, at: &Scene<'_>) -> Vec<MemberId> {
        let membership = self.membership();
        let authors: BTreeSet<MemberId> = at.log.authors().collect();
        let present = |id: &MemberId| at.members.is_present(id);
        let out = |id: &MemberId| {
            let member = membership.is_member(id);
            (!self.is_closed() && !member || membership.is_passer_by(id))
                && self.may_link(id).is_ok()
        };
        let absent = |id: &MemberId| *id != self.me && !present(id) && out(id);
        authors.into_iter().filter(absent).collect()
    }

    /// What the prompt for a new password of one's own room asks.
    pub(crate) fn ask_new_password(cx: &mut Context, face: FaceId, line: u64) {
        cx.effect(Effect::AskPassword { face, line, address: String::new(), again: false });
    }
}
