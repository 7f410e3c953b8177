//! `/remove`: a removal and the questions after it.

use super::removing::RemovalQuestion;
use super::{Registry, Scene};
use crate::router::command::NewPassword;
use crate::router::context::Context;
use crate::router::event::Effect;
use crate::router::ids::{FaceId, MemberId};
use crate::router::notice::{Code, Failure};

/// A password that the removed may know opens nothing.
const WITHOUT_PASSWORD: &str = "the old password no longer opens this room, and there is no \
                                new one: let people in by /invite, or set one with /lock";

impl Registry {
    /// Throws somebody out, or takes it in again.
    pub(crate) fn remove(
        &mut self,
        at: &mut Scene<'_>,
        (face, line): (FaceId, u64),
        member: MemberId,
        (undo, asks): (bool, bool),
    ) {
        self.publish_ticket(at);
        let result = if undo {
            self.take_in_again(at, member).map(|()| None)
        } else {
            self.throw_out(at, member).map(Some)
        };
        match result {
            Ok(Some(questions)) if asks && !questions.is_empty() => {
                self.removing.insert((face, line), questions);
                self.ask_next(at, (face, line));
            }
            Ok(questions) => {
                let password = |of: &RemovalQuestion| matches!(of, RemovalQuestion::Password);
                if questions.is_some_and(|questions| questions.iter().any(password)) {
                    at.cx.remark(WITHOUT_PASSWORD);
                }
                at.cx.reply(face, line, "remove", Ok(()));
            }
            Err(failure) => at.cx.reply(face, line, "remove", Err(failure)),
        }
    }

    fn ask_next(&mut self, at: &mut Scene<'_>, (face, line): (FaceId, u64)) {
        let Some(questions) = self.removing.get(&(face, line)) else { return };
        let question = match questions.front() {
            None => {
                self.removing.remove(&(face, line));
                return at.cx.reply(face, line, "remove", Ok(()));
            }
            Some(RemovalQuestion::Password) => return Self::ask_new_password(at.cx, face, line),
            Some(RemovalQuestion::Guests(guests)) => {
                format!(
                    "{} came in through the member you removed and went out too; take them in \
                     again?",
                    at.members.names(guests)
                )
            }
            Some(RemovalQuestion::Invitation(_, maker)) if *maker == self.me => {
                "an invitation of yours can still be used, and others may have it; end it?"
                    .to_owned()
            }
            Some(RemovalQuestion::Invitation(_, maker)) => format!(
                "an invitation by {} can still be used, and others may have it; end it?",
                at.members.who(maker).marked()
            ),
        };
        at.cx.effect(Effect::Confirm { face, line, question });
    }

    /// The room was left: nothing is asked any more.
    pub(crate) fn drop_questions(&mut self, cx: &mut Context) {
        for (face, line) in std::mem::take(&mut self.removing).into_keys() {
            cx.reply(face, line, "remove", Ok(()));
        }
    }

    /// A question of yes or no was answered; false if nobody asked it here.
    pub(crate) fn confirmed(
        &mut self,
        at: &mut Scene<'_>,
        of: (FaceId, u64),
        yes: Option<bool>,
    ) -> bool {
        self.lock_confirmed(at, of, yes) || self.removal_confirmed(at, of, yes)
    }

    /// An answer to a question after a removal; false if nobody asked.
    fn removal_confirmed(
        &mut self,
        at: &mut Scene<'_>,
        (face, line): (FaceId, u64),
        yes: Option<bool>,
    ) -> bool {
        let Some(questions) = self.removing.get_mut(&(face, line)) else { return false };
        let Some(yes) = yes else {
            self.removing.remove(&(face, line));
            let text = "given up: the removal stands (/remove <nick> off undoes it), and nothing \
                        else was changed";
            let failure = Failure::new(Code::Cancelled, text);
            at.cx.reply(face, line, "remove", Err(failure));
            return true;
        };
        match questions.pop_front() {
            Some(RemovalQuestion::Guests(guests)) if yes => {
                for guest in guests {
                    if let Err(failure) = self.take_in_again(at, guest) {
                        at.cx.complain(failure);
                    }
                }
            }
            Some(RemovalQuestion::Invitation(id, _)) if yes => {
                self.end_invitations(at, [id].into())
            }
            _ => {}
        }
        self.ask_next(at, (face, line));
        true
    }

    /// The new password after a removal was given, or not; false if nobody asked.
    pub(crate) fn removal_password(
        &mut self,
        at: &mut Scene<'_>,
        (face, line): (FaceId, u64),
        password: Option<NewPassword>,
    ) -> bool {
        if self.removing.remove(&(face, line)).is_none() {
            return false;
        }
        match password {
            Some(NewPassword::Set(_)) if self.locking.is_some() => {
                let text = "the room is being closed from another screen: set a new password \
                            after that";
                at.cx.reply(face, line, "remove", Err(Failure::new(Code::Cancelled, text)));
            }
            Some(choice @ NewPassword::Set(_)) => {
                self.lock(at, (face, line, "remove"), choice, false)
            }
            _ => {
                at.cx.remark(WITHOUT_PASSWORD);
                at.cx.reply(face, line, "remove", Ok(()));
            }
        }
        true
    }
}
