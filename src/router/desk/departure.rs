//! `quit`, `leave` and the end of stdin: each of them proceeds once nobody needs this node any
//! more, or once others have had enough time.

use super::{Desk, GivenCommand};
use crate::router::command::Command;
use crate::router::context::Context;
use crate::router::ids::{FaceId, FileId};
use crate::router::time::Millis;
use crate::router::timers::Timer;

/// If a person who was told what leaving would cut off repeats it within this time, it is meant.
const CONFIRMED_MS: u64 = 60_000;
/// How long the end of stdin waits for members to hold what was said.
const HELD_MS: u64 = 10_000;
/// How long members have for files that only this node can give them, when it ends by itself.
pub(crate) const LAST_HOST_MS: u64 = 60_000;
/// How often it checks.
const LOOK_MS: u64 = 50;

/// Why this node is still needed.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// Something that a command started is in progress.
    pub(crate) busy: bool,
    /// Members lack something that was said here.
    pub(crate) unheld: bool,
    /// Somebody is fetching a file of which nobody else has all.
    pub(crate) served: bool,
}

/// An end that waits.
#[derive(Debug)]
struct Departure {
    given: GivenCommand,
    began: Millis,
    /// Since when it waits only for receipts, or only for serving.
    idle_since: Option<Millis>,
}

/// Ends that wait, and what people were told about them.
#[derive(Debug, Default)]
pub(super) struct Departures {
    waiting: Vec<Departure>,
    /// When a person was told what leaving would cut off, by which command, and the files.
    told: Option<(Millis, &'static str, Vec<FileId>)>,
}

impl Departure {
    fn ends_input(&self) -> bool {
        matches!(self.given.command, Command::EndOfInput)
    }

    /// Whether its wait is over. The end of stdin also waits for what this node started.
    fn is_due(&mut self, needs: &Needs, now: Millis) -> bool {
        let own = self.ends_input();
        if own && needs.busy {
            self.idle_since = None;
            return false;
        }
        let waited = now.since(*self.idle_since.get_or_insert(now));
        let unheld = own && needs.unheld && waited < HELD_MS;
        let served = needs.served && waited < LAST_HOST_MS;
        !unheld && !served
    }
}

impl Desk {
    /// Whether a person who was told what `word` would cut off repeats it, with no further files
    /// concerned. If not, they are told now.
    pub(crate) fn is_confirmed(
        &mut self,
        now: Millis,
        word: &'static str,
        files: Vec<FileId>,
    ) -> bool {
        let meant = self.departures.told.take().is_some_and(|(told, said, before)| {
            said == word
                && files.iter().all(|file| before.contains(file))
                && now.since(told) < CONFIRMED_MS
        });
        if !meant {
            self.departures.told = Some((now, word, files));
        }
        meant
    }

    /// Leaving would cut off nothing, so nobody needs to be told.
    pub(crate) fn forget_told(&mut self) {
        self.departures.told = None;
    }

    /// Whether klatch ends in any case, so that a `leave` need not wait.
    pub(crate) fn is_quitting(&self) -> bool {
        self.departures.waiting.iter().any(|of| matches!(of.given.command, Command::Quit(_)))
    }

    /// An end waits until this node is not needed, replacing one that waits already.
    pub(crate) fn depart_later(&mut self, cx: &mut Context, given: GivenCommand) {
        let mut departure = Departure { given, began: cx.now, idle_since: None };
        let ends_input = departure.ends_input();
        let waiting = &mut self.departures.waiting;
        for before in waiting.extract_if(.., |of| of.ends_input() == ends_input) {
            cx.answer(&before.given, Ok(()));
        }
        departure.idle_since = (!ends_input).then_some(cx.now);
        waiting.push(departure);
        cx.timers.set(Timer::Departure, Some(cx.now));
    }

    /// The waiting end of stdin: of which face, and since when.
    pub(crate) fn input_ended(&self) -> Option<(FaceId, Millis)> {
        let ended = self.departures.waiting.iter().find(|of| of.ends_input())?;
        Some((ended.given.face, ended.began))
    }

    /// The end whose wait is over.
    pub(crate) fn departure_due(
        &mut self,
        cx: &mut Context,
        needs: &Needs,
    ) -> Option<GivenCommand> {
        let now = cx.now;
        let waiting = &mut self.departures.waiting;
        let due = waiting.iter_mut().position(|of| of.is_due(needs, now));
        let given = due.map(|at| waiting.remove(at).given);
        cx.timers.set(Timer::Departure, (!waiting.is_empty()).then(|| now.plus(LOOK_MS)));
        given
    }

    /// The room is left, so a `leave` need not wait any more.
    pub(crate) fn room_left(&mut self, cx: &mut Context) {
        let leaves = |of: &mut Departure| matches!(of.given.command, Command::Leave(_));
        for Departure { given, .. } in self.departures.waiting.extract_if(.., leaves) {
            cx.answer(&given, Ok(()));
        }
        self.waits.forget_texts();
    }
}
