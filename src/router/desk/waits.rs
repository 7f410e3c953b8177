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

/// Messages of others that no `wait message` has looked at yet.
const SEEN_MAX: usize = 4_096;
/// The longest that anything is waited for.
const LONGEST_MS: u64 = 366 * 24 * 3_600_000;

/// A `wait` that is not satisfied yet.
#[derive(Debug)]
pub(crate) struct ScriptWait {
    face: FaceId,
    line: u64,
    what: Wait,
    /// Of those who are to fetch what is offered.
    told: Told,
    until: Millis,
    /// Changes of the catalogue when it last looked at offers and who has them.
    looked: Option<u64>,
}

impl ScriptWait {
    /// A script waits for something from now on.
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

    /// Who waits.
    pub(crate) fn face(&self) -> FaceId {
        self.face
    }

    /// What for.
    pub(crate) fn what(&self) -> &Wait {
        &self.what
    }

    /// What was told of those who are to fetch what is offered.
    pub(crate) fn told(&self) -> &Told {
        &self.told
    }

    /// To tell more of them.
    pub(crate) fn told_mut(&mut self) -> &mut Told {
        &mut self.told
    }

    /// Whether offers, or who has them, may have changed since it last looked.
    pub(crate) fn looks_at(&mut self, changes: u64) -> bool {
        self.looked.replace(changes) != Some(changes)
    }

    /// Whether it is waited for no longer.
    pub(crate) fn is_over(&self, now: Millis) -> bool {
        now >= self.until
    }

    /// Tells whoever waits.
    pub(crate) fn tell(&self, cx: &mut Context, notice: Notice) {
        cx.effect(Effect::Tell { face: self.face, line: self.line, notice });
    }

    /// Tells whoever waits something in words.
    pub(crate) fn remark(&self, cx: &mut Context, text: String) {
        self.tell(cx, Notice::Remark { text });
    }

    /// It is over.
    pub(crate) fn end(&self, cx: &mut Context, result: Result<(), Failure>) {
        cx.reply(self.face, self.line, "wait", result);
    }
}

/// What scripts wait for, and what they may wait for.
#[derive(Debug, Default)]
pub(super) struct Waits {
    waiting: Vec<ScriptWait>,
    /// Texts of others, oldest first, behind the one that satisfied the last `wait message`.
    seen: VecDeque<Untrusted>,
    /// A wait for others was in vain, and that was said.
    in_vain: bool,
}

impl Waits {
    /// A face waits for nothing any more.
    pub(super) fn forget(&mut self, face: FaceId) {
        self.waiting.retain(|waiting| waiting.face != face);
    }

    /// Nothing was said in this room yet.
    pub(super) fn forget_texts(&mut self) {
        self.seen.clear();
    }
}

impl Desk {
    /// What is waited for, to be looked at and given back.
    pub(crate) fn take_waits(&mut self) -> Vec<ScriptWait> {
        std::mem::take(&mut self.waits.waiting)
    }

    /// What is still waited for.
    pub(crate) fn keep_waiting(&mut self, cx: &mut Context, waiting: Vec<ScriptWait>) {
        self.waits.waiting.extend(waiting);
        cx.timers.set(Timer::Waits, self.waits.waiting.iter().map(|of| of.until).min());
    }

    /// Whether a face waits for something.
    pub(crate) fn is_waiting(&self, face: FaceId) -> bool {
        self.waits.waiting.iter().any(|waiting| waiting.face == face)
    }

    /// A wait for others was in vain, and that is said.
    pub(crate) fn note_waited_in_vain(&mut self) {
        self.waits.in_vain = true;
    }

    /// Whether that was said.
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

    /// Whether somebody else said something with this text in it, behind what was found before.
    pub(crate) fn find_message(&mut self, text: &str) -> bool {
        let found = self.waits.seen.iter().position(|said| said.raw().contains(text));
        if let Some(index) = found {
            self.waits.seen.drain(..=index);
        }
        found.is_some()
    }
}
