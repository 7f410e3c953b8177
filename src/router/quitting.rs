//! `quit` and `leave`, with regard to those who can fetch a file from here only.

use super::Router;
use super::command::Command;
use super::event::Draw;
use super::ids::{FaceId, FileId, MemberId};
use super::text::{Untrusted, few};
use super::time::{Earliest, Millis};

/// Whoever was told so, and says it again within this, means it.
const MEANT_MS: u64 = 60_000;

/// A `quit` or `leave` that waits.
#[derive(Debug, Default)]
pub(super) struct Quitting {
    /// When somebody was told what it would cut off, and what they had said.
    told: Option<(Millis, &'static str, Vec<FileId>)>,
    pending: Option<Pending>,
}

/// A command of a script: who gave it, and until when it waits.
#[derive(Debug)]
struct Pending {
    face: FaceId,
    line: u64,
    until: Millis,
    command: Command,
    draw: Draw,
}

impl Router {
    /// Somebody present is fetching a file that nobody else has whole.
    pub(super) fn only_host_of_somebody(&self) -> bool {
        !self.swarm.needed_here().is_empty()
    }

    /// Does what `command` says (`quit` or `leave`), but not under those who need this node.
    pub(super) fn end_when_served(
        &mut self,
        face: FaceId,
        line: u64,
        asks: bool,
        command: Command,
        draw: Draw,
    ) {
        let (needed, word) = (self.swarm.needed_here(), command.word());
        let meant = self.quitting.told.as_ref().is_some_and(|(told, said, files)| {
            let of_all = needed.iter().all(|(file, _)| files.contains(file));
            *said == word && of_all && self.cx.now.since(*told) < MEANT_MS
        });
        if needed.is_empty() || (asks && meant) {
            self.quitting.told = None;
            return self.commanded(face, line, command, draw);
        }
        let (files, members) = self.name_needed(&needed);
        let fetching = format!("only you have all of {files}, and {members} still fetching it");
        if asks {
            let files = needed.iter().map(|(file, _)| *file).collect();
            self.quitting.told = Some((self.cx.now, word, files));
            self.cx.remark(format!(
                "{fetching}: better stay until that is done; to {word} all the same, {word} again"
            ));
            self.cx.reply(face, line, word, Ok(()));
        } else {
            let until = self.cx.now.plus(self.cx.limits().last_host_ms);
            let quits = |pending: &Pending| pending.command.word() == "quit";
            if word == "leave" && self.quitting.pending.as_ref().is_some_and(quits) {
                // Klatch ends in any case, and that is to leave.
                return self.cx.reply(face, line, word, Ok(()));
            }
            let pending = Pending { face, line, until, command, draw };
            if let Some(before) = self.quitting.pending.replace(pending) {
                self.cx.reply(before.face, before.line, before.command.word(), Ok(()));
            }
            let seconds = self.cx.limits().last_host_ms / 1000;
            let then = if word == "quit" { "klatch ends" } else { "you leave" };
            self.cx.remark(format!("{fetching}: {then} when that is done, or in {seconds} s"));
        }
    }

    fn name_needed(&self, needed: &[(FileId, Vec<MemberId>)]) -> (String, String) {
        let file = |(file, _): &(FileId, Vec<MemberId>)| {
            let offered = self.catalogue.any(file).map(|offered| Untrusted::new(&offered.name));
            offered.unwrap_or_else(|| Untrusted::new(file.short())).to_string()
        };
        let members: std::collections::BTreeSet<_> =
            needed.iter().flat_map(|(_, members)| members).collect();
        let verb = if members.len() == 1 { "is" } else { "are" };
        let people = few(members.iter().map(|id| self.members.who(id).marked()));
        (few(needed.iter().map(file)), format!("{people} {verb}"))
    }

    /// The room is left: nobody has to wait for that any more.
    pub(super) fn end_of_leave(&mut self) {
        let leaves = |pending: &mut Pending| pending.command.word() == "leave";
        if let Some(Pending { face, line, .. }) = self.quitting.pending.take_if(leaves) {
            self.cx.reply(face, line, "leave", Ok(()));
        }
    }

    /// Ends what waited for others to be done.
    pub(super) fn quitting_timers(&mut self) {
        let Some(until) = self.quitting.pending.as_ref().map(|pending| pending.until) else {
            return;
        };
        if (self.cx.now >= until || !self.only_host_of_somebody())
            && let Some(Pending { face, line, command, draw, .. }) = self.quitting.pending.take()
        {
            self.commanded(face, line, command, draw);
        }
    }

    pub(super) fn quitting_deadlines(&self, earliest: &mut Earliest) {
        if let Some(pending) = &self.quitting.pending {
            earliest.at(pending.until);
        }
    }
}
