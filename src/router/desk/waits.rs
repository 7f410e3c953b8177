//! `wait`: what scripts wait for.

use std::collections::VecDeque;

use super::Desk;
use crate::router::command::Wait;
use crate::router::context::Context;
use crate::router::event::Effect;
use crate::router::files::fetched::Told;
use crate::router::ids::FaceId;
use crate::router::notice::{Failure, Notice};
use crate::router::text::Untrusted;
use crate::router::time::Millis;
use crate::router::timers::Timer;

/// Most messages from others that no `wait message` has examined yet.
const SEEN_MAX: usize = 4_096;
/// The longest possible wait.
const LONGEST_MS: u64 = 366 * 24 * 3_600_000;

/// A `wait` that is not satisfied yet.
#[derive(Debug)]
pub(crate) struct ScriptWait {
    face: FaceId,
    line: u64,
    what: Wait,
    /// What was told about those who should fetch its offers.
    told: Told,
    until: Millis,
    /// Changes of the catalogue when it last looked at offers and hosts.
    looked: Option<u64>,
}

impl ScriptWait {
    /// From now on a script waits for something.
    pub(crate) fn new(
        now: Millis,
        (face, line): (FaceId, u64),
        (what, within_ms): (Wait, u64),
        told: Told,
    ) -> Self {
        let until = now.plus(match what {
            Wait::Time(ms) => ms.min(within_ms),
            _ => within_ms.min(LONGEST_MS),
        });
        Self { face, line, what, until, looked: None, told }
    }

    /// The face that waits.
    pub(crate) fn face(&self) -> FaceId {
        self.face
    }

    /// What it waits for.
    pub(crate) fn what(&self) -> &Wait {
        &self.what
    }

    /// What was told about those who should fetch its offers.
    pub(crate) fn told(&self) -> &Told {
        &self.told
    }

    /// The same, for telling more.
    pub(crate) fn told_mut(&mut self) -> &mut Told {
        &mut self.told
    }

    /// Whether offers or hosts may have changed since it last looked.
    pub(crate) fn looks_at(&mut self, changes: u64) -> bool {
        self.looked.replace(changes) != Some(changes)
    }

    /// Whether its time is over.
    pub(crate) fn is_over(&self, now: Millis) -> bool {
        now >= self.until
    }

    /// Tells the waiting face.
    pub(crate) fn tell(&self, cx: &mut Context, notice: Notice) {
        cx.effect(Effect::Tell { face: self.face, line: self.line, notice });
    }

    /// Tells the waiting face something in words.
    pub(crate) fn remark(&self, cx: &mut Context, text: String) {
        self.tell(cx, Notice::Remark { text });
    }

    /// Ends the wait.
    pub(crate) fn end(&self, cx: &mut Context, result: Result<(), Failure>) {
        cx.reply(self.face, self.line, "wait", result);
    }
}

/// What scripts wait for, and what may satisfy a wait.
#[derive(Debug, Default)]
pub(super) struct Waits {
    waiting: Vec<ScriptWait>,
    /// Texts from others, oldest first, after the one that satisfied the last `wait message`.
    seen: VecDeque<Untrusted>,
    /// A wait for others failed, and this was reported.
    in_vain: bool,
}

impl Waits {
    /// A face no longer waits for anything.
    pub(super) fn forget(&mut self, face: FaceId) {
        self.waiting.retain(|waiting| waiting.face != face);
    }

    /// Nothing has been said in this room yet.
    pub(super) fn forget_texts(&mut self) {
        self.seen.clear();
    }
}

impl Desk {
    /// Takes out all waits, so that they can be checked and put back.
    pub(crate) fn take_waits(&mut self) -> Vec<ScriptWait> {
        std::mem::take(&mut self.waits.waiting)
    }

    /// Puts back the waits that go on.
    pub(crate) fn keep_waiting(&mut self, cx: &mut Context, waiting: Vec<ScriptWait>) {
        self.waits.waiting.extend(waiting);
        cx.timers.set(Timer::Waits, self.waits.waiting.iter().map(|of| of.until).min());
    }

    /// Whether a face waits for something.
    pub(crate) fn is_waiting(&self, face: FaceId) -> bool {
        self.waits.waiting.iter().any(|waiting| waiting.face == face)
    }

    /// Notes that a wait for others failed, which is reported.
    pub(crate) fn note_waited_in_vain(&mut self) {
        self.waits.in_vain = true;
    }

    /// Whether that was reported.
    pub(crate) fn waited_in_vain(&self) -> bool {
        self.waits.in_vain
    }

    /// Somebody else said something.
    pub(crate) fn message_seen(&mut self, text: &Untrusted) {
        let seen = &mut self.waits.seen;
        if seen.len() >= SEEN_MAX {
            seen.pop_front();
        }
        seen.push_back(text.clone());
    }

    /// Whether somebody else said something that contains this text, after the last match.
    pub(crate) fn find_message(&mut self, text: &str) -> bool {
        let found = self.waits.seen.iter().position(|said| said.raw().contains(text));
        if let Some(index) = found {
            self.waits.seen.drain(..=index);
        }
        found.is_some()
    }
}
