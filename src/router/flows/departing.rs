//! How this node leaves: not while others need it, and not before its own work is done.

use std::collections::BTreeSet;

use crate::router::Router;
use crate::router::command::{Command, LeaveWhen};
use crate::router::desk::{LAST_HOST_MS, Needs};
use crate::router::event::Effect;
use crate::router::files::Offered;
use crate::router::ids::{FileId, MemberId};
use crate::router::notice::{Code, Failure, Notice};
use crate::router::order::{GivenCommand, Order};
use crate::router::text::{Untrusted, few};

impl Router {
    /// Carries out `quit`, `leave` or the end of stdin, now or once nobody needs this node.
    pub(crate) fn depart(&mut self, mut given: GivenCommand) {
        let when = match &mut given.command {
            Command::Leave(when) | Command::Quit(when) => std::mem::replace(when, LeaveWhen::Now),
            _ => return self.desk.depart_later(&mut self.cx, given),
        };
        match when {
            LeaveWhen::Served | LeaveWhen::Confirmed => self.depart_when_served(given, when),
            LeaveWhen::Now if matches!(given.command, Command::Quit(_)) => {
                self.cx.answer(&given, Ok(()));
                self.stop();
            }
            LeaveWhen::Now => {
                self.leave(&given.draw);
                self.cx.answer(&given, Ok(()));
            }
        }
    }

    fn depart_when_served(&mut self, given: GivenCommand, when: LeaveWhen) {
        let (needed, word) = (self.swarm.needed_here(), given.command.word());
        let files = needed.iter().map(|(file, _)| *file).collect();
        let asks = when == LeaveWhen::Confirmed;
        if needed.is_empty() {
            self.desk.forget_told();
            return self.cx.order(Order::Command(given));
        }
        if asks && self.desk.is_confirmed(self.cx.now, word, files) {
            return self.cx.order(Order::Command(given));
        }
        let (files, members) = self.name_needed(&needed);
        let fetching = format!("only you have all of {files}, and {members} still fetching it");
        if asks {
            self.cx.remark(format!(
                "{fetching}: better wait until that is done; to {word} anyway, {word} again"
            ));
            self.cx.answer(&given, Ok(()));
        } else if word == "leave" && self.desk.is_quitting() {
            self.cx.answer(&given, Ok(())); // Klatch ends in any case, which includes leaving.
        } else {
            self.desk.depart_later(&mut self.cx, given);
            let seconds = LAST_HOST_MS / 1000;
            let then = if word == "quit" { "klatch ends" } else { "you leave" };
            self.cx.remark(format!("{fetching}: {then} when that is done, or in {seconds} s"));
        }
    }

    /// Checks whether anybody still needs this node before it leaves.
    pub(crate) fn look_at_departures(&mut self) {
        let ended = self.desk.input_ended();
        let busy = ended.is_some_and(|(face, began)| {
            // Downloads without a host end with the input, too.
            let fetching = self.swarm.fail_stuck(&mut self.cx, Some(began));
            fetching
                || !self.attempts.is_empty()
                || self.desk.is_waiting(face)
                || self.registry.is_locking()
                || self.swarm.is_asking()
                || self.files.is_hashing()
        });
        let needs = Needs {
            busy,
            unheld: self.stay.has_met() && self.log.has_unheld(&self.members),
            served: !self.swarm.needed_here().is_empty(),
        };
        match self.desk.departure_due(&mut self.cx, &needs) {
            Some(given) if matches!(given.command, Command::EndOfInput) => self.end_input(&given),
            Some(given) => self.cx.order(Order::Command(given)),
            None => {}
        }
    }

    fn end_input(&mut self, given: &GivenCommand) {
        let in_vain = self.log.has_spoken() && !self.stay.has_met() && !self.desk.waited_in_vain();
        let text = "nobody was ever here to get your messages: connect first, or wait members 1";
        let result = if in_vain { Err(Failure::new(Code::NobodyPresent, text)) } else { Ok(()) };
        self.cx.answer(given, result);
        self.stop();
    }

    fn name_needed(&self, needed: &[(FileId, Vec<MemberId>)]) -> (String, String) {
        let file = |(file, _): &(FileId, Vec<MemberId>)| {
            let offered = self.files.any(file).map(Offered::name);
            offered.unwrap_or_else(|| Untrusted::new(file.short())).to_string()
        };
        let members: BTreeSet<_> = needed.iter().flat_map(|(_, members)| members).collect();
        let verb = if members.len() == 1 { "is" } else { "are" };
        let people = few(members.iter().map(|id| self.members.who(id).marked()));
        (few(needed.iter().map(file)), format!("{people} {verb}"))
    }

    /// Leaves: everyone linked is told, then the shell ends the program.
    pub(crate) fn stop(&mut self) {
        self.files.forget_taken_back(&mut self.cx);
        let exit_code = u8::from(self.cx.replies.has_failed());
        self.acknowledge();
        self.members.say_goodbye(&mut self.cx);
        if self.stay.is_announced() {
            self.cx.notify(Notice::Left { room: self.stay.room() });
        }
        self.links.close_all(&mut self.cx);
        self.cx.notify(Notice::Stopped { exit_code });
        self.cx.effect(Effect::Stop { exit_code });
        self.stopping = true;
    }

    /// Says at once what has yet to be said: how much we have of every chain, so that authors know
    /// what arrived, and our last lock change.
    pub(crate) fn acknowledge(&mut self) {
        self.log.acknowledge(&mut self.cx);
        self.flush_links();
    }
}
