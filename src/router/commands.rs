//! Commands: who gave them, what is still under way, and how the program ends.

use core::net::SocketAddr;
use std::collections::{BTreeMap, VecDeque};

use super::Router;
use super::closing::Locking;
use super::command::{Command, NewPassword, SaveAs, Wait};
use super::event::{Draw, Effect};
use super::ids::{FaceId, RoomId};
use super::notice::{Code, Failure, Notice, Overview};
use super::removing::Removing;
use super::signed::Kind;
use super::time::{Earliest, Millis};
use super::undo::each;
use super::waits::{Seen, Waiting};
use crate::crypto::binding::Side;

/// How long the end of stdin waits for members to hold what was said.
const HELD_MS: u64 = 10_000;
/// The longest that anything is waited for.
const LONGEST_MS: u64 = 366 * 24 * 3_600_000;
/// How often it looks.
const LOOK_MS: u64 = 50;
/// Commands that may wait for a change of the lock.
const DEFERRED_MAX: usize = 64;

#[derive(Debug)]
struct Deferred {
    face: FaceId,
    line: u64,
    command: Command,
    draw: Draw,
}

/// The end of stdin: what is still waited for.
#[derive(Debug)]
struct Ending {
    face: FaceId,
    line: u64,
    began: Millis,
    /// Since when nothing but receipts, or nothing but serving, is waited for.
    idle_since: Option<Millis>,
    look_at: Millis,
}

/// Commands that are not answered yet, but for those of attempts, sharing and downloads.
#[derive(Debug, Default)]
pub(super) struct Pending {
    deferred: VecDeque<Deferred>,
    /// A change of the lock that is not made yet.
    pub(super) locking: Option<Locking>,
    /// Removals after which something is still to be asked.
    pub(super) removing: Vec<Removing>,
    asking_password: Option<(FaceId, u64, bool, Draw)>,
    pub(super) waits: Vec<Waiting>,
    /// What others said, for `wait message`.
    pub(super) seen: Seen,
    /// Faces that mean one room.
    pub(super) meant: BTreeMap<FaceId, RoomId>,
    ending: Option<Ending>,
    /// A wait for others was in vain, and that was said.
    pub(super) told_in_vain: bool,
    told_alone: bool,
}

impl Pending {
    /// A face ended: nothing of it is answered any more.
    pub(super) fn forget(&mut self, face: FaceId) {
        self.waits.retain(|waiting| waiting.face != face);
        self.meant.remove(&face);
    }
}

impl Router {
    pub(super) fn commanded(&mut self, face: FaceId, line: u64, command: Command, draw: Draw) {
        let ends = matches!(command, Command::EndFace { .. });
        if let Some(failure) = self.is_elsewhere(face).filter(|_| !ends) {
            return self.cx.reply(face, line, command.word(), Err(failure));
        }
        let waits_for_lock = matches!(
            command,
            Command::Password { .. }
                | Command::Unlock
                | Command::Leave
                | Command::Invite { .. }
                | Command::InviteOff
                | Command::Remove { .. }
                | Command::Steward { .. }
        );
        if waits_for_lock {
            self.cancel_asked_lock();
        }
        if waits_for_lock && self.commands.locking.is_some() {
            if self.commands.deferred.len() < DEFERRED_MAX {
                self.commands.deferred.push_back(Deferred { face, line, command, draw });
            } else {
                let failure = Failure::new(Code::Timeout, "too many commands wait: try again");
                self.cx.reply(face, line, command.word(), Err(failure));
            }
            return;
        }
        let word = command.word();
        if command.needs_others()
            && let Err(failure) = self.must_be_in()
        {
            return self.cx.reply(face, line, word, Err(failure));
        }
        match command {
            Command::Say { text } => {
                let result = self.post(Kind::Text(text.into())).map(|_| ());
                if result.is_ok() {
                    self.remark_alone();
                }
                self.cx.reply(face, line, word, result);
            }
            Command::Connect { host, port, lock } => {
                self.attempts.connect(&mut self.cx, (face, line), (host, port), lock, None);
            }
            Command::Join { link } => self.attempts.join(&mut self.cx, (face, line), link, None),
            Command::Reach { by, within_ms } => self.reach((face, line), *by, within_ms),
            Command::Password { password: Some(choice), asks } => {
                self.lock((face, line, word), choice, asks);
            }
            Command::Password { password: None, asks } => {
                let before = self.commands.asking_password.replace((face, line, asks, draw));
                if let Some((face, line, ..)) = before {
                    let failure = Failure::new(Code::Cancelled, "another password command came");
                    self.cx.reply(face, line, word, Err(failure));
                }
                self.ask_new_password(face, line);
            }
            Command::Unlock => self.unlock(face, line),
            Command::Remove { nick, undo, asks } => self.remove(face, line, &nick, undo, asks),
            Command::Steward { nick, off } => self.steward(face, line, &nick, off),
            Command::Invite { once, for_ms } => self.invite(face, line, (once, for_ms), &draw),
            Command::InviteOff => self.invite_off(face, line),
            Command::Ignore { nick, off } => self.ignore(face, line, &nick, off),
            Command::Send { paths } => self.send(face, line, paths),
            Command::SendAs { path, name } => self.send_as(face, line, path, name),
            Command::Share { path, name } => self.share(face, line, path, name),
            Command::Download { wanted, patient, asks } => {
                let place = (SaveAs::Dated, None);
                self.download((face, line), &wanted, (patient, asks), place);
            }
            Command::Fetch { wanted, patient, save, folder } => {
                self.download((face, line), &wanted, (patient, false), (save, folder));
            }
            Command::Cancel { wanted } => self.cancel(face, line, &wanted),
            Command::Withdraw { offers } => {
                let result = each(&offers, |offer| self.take_back(offer));
                self.cx.reply(face, line, word, result);
            }
            Command::Restore { offers } => {
                let result = each(&offers, |offer| self.restore(offer));
                self.cx.reply(face, line, word, result);
            }
            Command::GiveUp { of } => {
                self.give_up((face, of));
                self.cx.reply(face, line, word, Ok(()));
            }
            Command::Files => self.answer(face, line, word, Self::files_notice),
            Command::Members => {
                self.answer(face, line, word, Self::members_notice);
                self.ping_all();
            }
            Command::Doctor => self.doctor(face, line),
            Command::Verify { nick, same } => self.verify(face, line, &nick, same),
            Command::Transfers => self.answer(face, line, word, Self::transfers_notice),
            Command::Name { name } => self.change_name(face, line, &name),
            Command::Wait { what, within_ms } => self.wait(face, line, what, within_ms),
            Command::Leave => {
                self.leave(&draw);
                self.cx.reply(face, line, word, Ok(()));
            }
            Command::Limit { change } => {
                self.limit(face, line, change);
                self.cx.reply(face, line, word, Ok(()));
            }
            Command::LeaveWhenServed { asks } => {
                self.end_when_served(face, line, asks, Command::Leave, draw);
            }
            Command::QuitWhenServed { asks } => {
                self.end_when_served(face, line, asks, Command::Quit, draw);
            }
            Command::BeginFace { room } => {
                self.commands.meant.insert(face, room);
                let result = self.is_elsewhere(face).map_or(Ok(()), Err);
                self.cx.reply(face, line, word, result);
            }
            Command::EndFace { keep_offers } => self.end_face(face, keep_offers),
            Command::Quit => {
                self.cx.reply(face, line, word, Ok(()));
                self.stop();
            }
            Command::EndOfInput => {
                self.commands.ending = Some(Ending {
                    face,
                    line,
                    began: self.cx.now,
                    idle_since: None,
                    look_at: self.cx.now,
                });
            }
        }
    }

    /// Why a face that means another room does nothing in this one.
    pub(super) fn is_elsewhere(&self, face: FaceId) -> Option<Failure> {
        let meant = self.commands.meant.get(&face)?;
        let text = format!("the room {}… was left meanwhile", meant.short());
        (*meant != self.room.id).then(|| Failure::new(Code::Cancelled, text))
    }

    fn answer(&mut self, face: FaceId, line: u64, word: &'static str, of: fn(&Self) -> Notice) {
        let notice = of(self);
        self.cx.effect(Effect::Tell { face, line, notice });
        self.cx.reply(face, line, word, Ok(()));
    }

    /// A question of yes or no was answered; nobody asked any more if the room was left.
    pub(super) fn confirmed(&mut self, face: FaceId, line: u64, yes: Option<bool>) {
        if !self.lock_confirmed(face, line, yes)
            && !self.swarm.again_confirmed(&mut self.cx, (face, line), yes)
        {
            self.removal_confirmed(face, line, yes);
        }
    }

    pub(super) fn password_given(
        &mut self,
        face: FaceId,
        line: u64,
        password: Option<NewPassword>,
    ) {
        let asked = self.commands.asking_password.take_if(|(f, l, ..)| (*f, *l) == (face, line));
        if let Some((_, _, asks, draw)) = asked {
            match password {
                // It waits for another change to end, as if it had come with its password.
                password @ Some(_) => {
                    self.commanded(face, line, Command::Password { password, asks }, draw);
                }
                None => {
                    let failure = Failure::new(
                        Code::PasswordRequired,
                        "no password was given: the room stays as it is",
                    );
                    self.cx.reply(face, line, "password", Err(failure));
                }
            }
        } else if !self.removal_password(face, line, password.clone()) {
            let password = match password {
                Some(NewPassword::Set(password)) => Some(password),
                _ => None,
            };
            self.attempt_password((face, line), password);
        }
    }

    /// Commands that waited for a change of the lock go on.
    pub(super) fn run_deferred(&mut self) {
        for deferred in std::mem::take(&mut self.commands.deferred) {
            let Deferred { face, line, command, draw } = deferred;
            self.commanded(face, line, command, draw);
        }
    }

    /// Whoever speaks to an empty room learns that it waits, once.
    pub(super) fn remark_alone(&mut self) {
        if self.members.present_count() == 0 {
            if !std::mem::replace(&mut self.commands.told_alone, true) {
                self.cx.remark("nobody else is here yet; it will be delivered when someone joins");
            }
        } else {
            self.commands.told_alone = false;
        }
    }

    fn change_name(&mut self, face: FaceId, line: u64, name: &str) {
        if self.cx.config.name != name {
            self.cx.config.name = name.to_owned();
            self.rename(self.cx.my_id, name, false);
            self.renew_presence();
            // A name that nobody ever heard needs no place in the log.
            if self.room.settled || self.log.has_spoken() {
                let result = self.post(Kind::Name(name.to_owned())).map(|_| ());
                if result.is_err() {
                    return self.cx.reply(face, line, "name", result);
                }
            }
        }
        self.cx.reply(face, line, "name", Ok(()));
    }

    /// Tells a face how things stand.
    pub(super) fn overview(&mut self, face: FaceId) {
        let overview = Overview {
            me: self.members.who(&self.cx.my_id),
            temporary: self.cx.config.temporary,
            room: self.room.id,
            locked: self.registry.is_closed(),
            password: self.registry.password_data().is_some(),
            founder: self.members.who(&self.registry.founder()),
            settled: self.room.settled,
            addresses: self.presence.spoken_addresses(),
            members: self.member_lines(),
            reached: self.reached(),
            files: self.file_rows(),
            transfers: self.transfer_rows(),
            unheld: self.log.unheld_receipts(&self.members),
        };
        self.cx.effect(Effect::Overview { face, overview: Box::new(overview) });
    }

    /// Addresses that this node dialled and where a member proved to be.
    fn reached(&self) -> Vec<SocketAddr> {
        let linked = self.links().filter_map(|(conn, _)| self.conns.get(&conn));
        let dialled = linked.filter(|conn| conn.side == Side::Dialer);
        dialled.filter_map(|conn| conn.remote).collect()
    }

    fn wait(&mut self, face: FaceId, line: u64, what: Wait, within_ms: u64) {
        let until = match what {
            Wait::Time(ms) => self.cx.now.plus(ms.min(within_ms)),
            _ => self.cx.now.plus(within_ms.min(LONGEST_MS)),
        };
        if let Wait::Offer(name) = &what
            && self.meant_by(name.as_deref()).is_empty()
        {
            let (missing, seconds) = (self.nobody_offers(name.as_deref()), within_ms / 1_000);
            let text = format!("{missing}; waiting up to {seconds} s for it");
            self.cx.effect(Effect::Tell { face, line, notice: Notice::Remark { text } });
        }
        let by_others = what.is_for_others();
        if by_others && self.members.present_count() == 0 {
            let text = "nobody else is here yet; waiting for someone to join".to_owned();
            self.cx.effect(Effect::Tell { face, line, notice: Notice::Remark { text } });
        }
        if by_others && face == FaceId::TERMINAL {
            self.decline_files();
        }
        let told = self.told_from_now_on();
        self.commands.waits.push(Waiting { face, line, what, until, looked: None, told });
    }

    /// Leaves: everyone linked is told, then the shell ends the program.
    pub(super) fn stop(&mut self) {
        self.forget_all_taken_back();
        let exit_code = u8::from(self.cx.replies.has_failed());
        self.acknowledge();
        self.say_bye();
        if self.room.announced {
            self.cx.notify(Notice::Left { room: self.room.id });
        }
        let conns: Vec<_> = self.conns.keys().copied().collect();
        for conn in conns {
            self.cx.effect(Effect::Close { conn });
        }
        self.cx.notify(Notice::Stopped { exit_code });
        self.cx.effect(Effect::Stop { exit_code });
        self.stopping = true;
    }

    /// Says at once what is still to be said: how far we have every chain, so that authors know
    /// what arrived, and our last change of the lock.
    pub(super) fn acknowledge(&mut self) {
        self.log.acknowledge(&mut self.cx);
        self.flush_links();
    }

    pub(super) fn command_timers(&mut self) {
        self.quitting_timers();
        let Some(ending) = &self.commands.ending else { return };
        if ending.look_at > self.cx.now {
            return;
        }
        let (face, line, began) = (ending.face, ending.line, ending.began);
        let idle_since = ending.idle_since;
        let busy = !self.attempts.is_empty()
            || self.commands.waits.iter().any(|waiting| waiting.face == face)
            || self.commands.locking.is_some()
            || self.swarm.is_asking()
            || !self.hashing.is_idle();
        let fetching = self.swarm.fail_stuck(&mut self.cx, Some(began));
        let since = if busy || fetching { None } else { Some(idle_since.unwrap_or(self.cx.now)) };
        let waited = since.map_or(0, |since| self.cx.now.since(since));
        let unheld = self.room.ever_met && self.log.has_unheld(&self.members) && waited < HELD_MS;
        let serving = self.only_host_of_somebody() && waited < self.cx.limits().last_host_ms;
        if since.is_some() && !unheld && !serving {
            return self.end_input(face, line);
        }
        if let Some(ending) = &mut self.commands.ending {
            ending.idle_since = since;
            ending.look_at = self.cx.now.plus(LOOK_MS);
        }
    }

    fn end_input(&mut self, face: FaceId, line: u64) {
        self.commands.ending = None;
        if self.log.has_spoken() && !self.room.ever_met && !self.commands.told_in_vain {
            let failure = Failure::new(
                Code::NobodyPresent,
                "nobody was ever here to hear what was said: connect first, or wait members 1",
            );
            self.cx.reply(face, line, "end_of_input", Err(failure));
        } else {
            self.cx.reply(face, line, "end_of_input", Ok(()));
        }
        self.stop();
    }

    pub(super) fn command_deadlines(&self, earliest: &mut Earliest) {
        self.quitting_deadlines(earliest);
        for waiting in &self.commands.waits {
            earliest.at(waiting.until);
        }
        if let Some(ending) = &self.commands.ending {
            earliest.at(ending.look_at);
        }
    }
}
