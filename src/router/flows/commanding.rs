//! Passes each command and each answer to a question to its machine.

use core::net::SocketAddr;

use crate::router::Router;
use crate::router::command::{Command, NewPassword, SaveAs};
use crate::router::event::Effect;
use crate::router::ids::FaceId;
use crate::router::notice::{Failure, Notice};
use crate::router::order::GivenCommand;
use crate::router::registry::Registry;
use crate::router::signed::Kind;
use crate::router::swarm::telling::limit;

impl Router {
    /// Somebody gave a command: it is done, refused, or waits for a lock change.
    pub(crate) fn commanded(&mut self, given: GivenCommand) {
        let ends = matches!(given.command, Command::EndFace { .. });
        if let Some(failure) =
            self.desk.is_elsewhere(given.face, &self.stay.room()).filter(|_| !ends)
        {
            return self.cx.answer(&given, Err(failure));
        }
        if given.command.waits_for_lock() {
            self.registry.cancel_asked_lock(&mut self.cx);
            if self.registry.is_locking() {
                return self.desk.defer(&mut self.cx, given);
            }
        }
        if given.command.needs_others()
            && let Err(failure) = self.must_be_in()
        {
            return self.cx.answer(&given, Err(failure));
        }
        self.carry_out(given);
    }

    /// Carries out a command. What takes longer is answered by the machine that does it.
    fn carry_out(&mut self, given: GivenCommand) {
        let GivenCommand { face, line, command, draw } = given;
        let (word, of) = (command.word(), (face, line));
        let again = |command| GivenCommand { face, line, command, draw: draw.clone() };
        let result = match command {
            Command::Say { text } => self.say(text),
            Command::Connect { host, port, lock } => {
                return self.attempts.connect(&mut self.cx, of, (host, port), lock, None);
            }
            Command::Join { link } => return self.attempts.join(&mut self.cx, of, link, None),
            Command::Reach { by, within_ms } => return self.reach(of, *by, within_ms),
            Command::Password { password: Some(choice), asks } => {
                return self.with_registry(|registry, at| {
                    registry.lock(at, (face, line, word), choice, asks);
                });
            }
            Command::Password { password: None, .. } => {
                self.desk.await_password(&mut self.cx, again(command));
                return Registry::ask_new_password(&mut self.cx, face, line);
            }
            Command::Unlock => self.with_registry(Registry::open_room),
            Command::Remove { nick, undo, asks } => match self.members.find_known(&nick) {
                Ok(member) => {
                    return self.with_registry(|registry, at| {
                        registry.remove(at, of, member, (undo, asks));
                    });
                }
                Err(failure) => Err(failure),
            },
            Command::Steward { nick, off } => self.members.find_known(&nick).and_then(|member| {
                self.with_registry(|registry, at| registry.change_steward(at, member, off))
            }),
            Command::Invite { once, for_ms } => {
                let made_of = (&draw, self.addresses_to_invite());
                self.with_registry(|registry, at| registry.invite(at, of, (once, for_ms), made_of))
            }
            Command::InviteOff => self.with_registry(Registry::invite_off),
            Command::Ignore { nick, off } => self.ignore(&nick, off),
            Command::Send { paths } => return self.files.hashing().send(&mut self.cx, of, paths),
            Command::SendAs { path, name } => {
                return self.files.hashing().send_as(&mut self.cx, of, (path, name));
            }
            Command::Share { path, name } => {
                return self.files.hashing().share(&mut self.cx, of, (path, name));
            }
            Command::Download { wanted, paths, patient, asks } => {
                let place = (SaveAs::Dated, None);
                return self.download(of, (&wanted, paths), (patient, asks), place);
            }
            Command::Fetch { wanted, patient, save, folder } => {
                let wanted = (wanted.as_str(), Vec::new());
                return self.download(of, wanted, (patient, false), (save, folder));
            }
            Command::Cancel { wanted } => return self.cancel(of, &wanted),
            Command::Withdraw { offers } => self.take_back(&offers),
            Command::Restore { offers } => self.restore(&offers),
            Command::GiveUp { of } => {
                self.give_up((face, of));
                Ok(())
            }
            Command::Files => self.tell(of, Self::files_notice),
            Command::Inside { wanted, path } => return self.look_inside(of, &wanted, path),
            Command::Members => {
                self.ping_all();
                self.tell(of, Self::members_notice)
            }
            // The disk is checked first.
            Command::Doctor => return self.cx.effect(Effect::ExamineFolder { face, line }),
            Command::Verify { nick, same: true } => self.verify_same(&nick),
            Command::Verify { nick, same: false } => match self.members.find_present(&nick) {
                Ok(id) => {
                    return self.comparisons.compare(&mut self.cx, &self.members, of, &id);
                }
                Err(failure) => Err(failure),
            },
            Command::Transfers => self.tell(of, Self::transfers_notice),
            Command::Name { name } => self.change_name(name),
            Command::Wait { what, within_ms } => return self.wait(of, what, within_ms),
            Command::Limit { change } => {
                limit(&mut self.cx, of, change);
                Ok(())
            }
            Command::BeginFace { room } => {
                self.desk.begin_face(face, room);
                self.desk.is_elsewhere(face, &self.stay.room()).map_or(Ok(()), Err)
            }
            Command::EndFace { keep_offers } => return self.end_face(face, keep_offers),
            Command::Leave(_) | Command::Quit(_) | Command::EndOfInput => {
                return self.depart(again(command));
            }
        };
        self.cx.reply(face, line, word, result);
    }

    /// Commands that waited for a lock change continue.
    pub(crate) fn run_deferred(&mut self) {
        for given in self.desk.take_deferred() {
            self.commanded(given);
        }
    }

    /// A yes-or-no question was answered; if the room was left, nothing waits for that.
    pub(crate) fn confirmed(&mut self, of: (FaceId, u64), yes: Option<bool>) {
        if !self.with_registry(|registry, at| registry.confirmed(at, of, yes)) {
            self.swarm.again_confirmed(&mut self.cx, of, yes);
        }
    }

    /// Passes a password, or its refusal, to the machine that asked for it.
    pub(crate) fn password_given(&mut self, of: (FaceId, u64), password: Option<NewPassword>) {
        if let Some(waited) = self.desk.password_given(&mut self.cx, of, password.as_ref()) {
            // It waits for another change to end, as if it had come with its password.
            waited.into_iter().for_each(|given| self.commanded(given));
        } else if !self
            .with_registry(|registry, at| registry.removal_password(at, of, password.clone()))
        {
            let password = match password {
                Some(NewPassword::Set(password)) => Some(password),
                _ => None,
            };
            self.attempt_password(of, password);
        }
    }

    /// A face ended: it no longer waits for anything.
    fn end_face(&mut self, face: FaceId, keep_offers: bool) {
        self.desk.end_face(face);
        self.cx.replies.forget(face);
        self.swarm.end_face(&mut self.cx, face);
        self.end_offers_of(face, keep_offers);
    }

    fn tell(
        &mut self,
        (face, line): (FaceId, u64),
        of: fn(&Self) -> Notice,
    ) -> Result<(), Failure> {
        let notice = of(self);
        self.cx.effect(Effect::Tell { face, line, notice });
        Ok(())
    }

    fn addresses_to_invite(&self) -> Vec<SocketAddr> {
        let all = self.members.own().addresses(usize::MAX);
        if all.is_empty() { self.members.own().interfaces().to_vec() } else { all }
    }

    fn say(&mut self, text: String) -> Result<(), Failure> {
        self.post(Kind::Text(text.into()))?;
        self.desk.remark_alone(&mut self.cx, &self.members);
        Ok(())
    }

    fn ignore(&mut self, nick: &str, off: bool) -> Result<(), Failure> {
        let member = self.members.find_known(nick)?;
        let remark = self.members.change_ignored(member, off)?;
        if !off {
            self.close_lanes_of(member);
        }
        self.cx.remark(remark);
        Ok(())
    }

    fn verify_same(&mut self, nick: &str) -> Result<(), Failure> {
        let id = self.members.find_present(nick)?;
        self.comparisons.confirm(&self.members, &id)?;
        self.members.verify(id);
        self.cx.notify(Notice::MemberVerified { member: self.members.info(&id) });
        Ok(())
    }

    fn change_name(&mut self, name: String) -> Result<(), Failure> {
        if self.cx.config.name == name {
            return Ok(());
        }
        self.cx.config.name.clone_from(&name);
        self.members.rename_me(&mut self.cx, &name);
        // A name that nobody has ever heard needs no place in the log.
        if self.stay.is_settled() || self.log.has_spoken() {
            self.post(Kind::Name(name))?;
        }
        Ok(())
    }
}
