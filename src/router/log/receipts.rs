//! Who holds what this node said.

use std::collections::{BTreeMap, VecDeque};

use crate::router::context::Context;
use crate::router::ids::{EntryId, MemberId};
use crate::router::notice::{Notice, Receipt};
use crate::router::time::Millis;
use crate::router::timers::Timer;

/// Own messages whose receipts are still counted.
const UNHELD_MAX: usize = 1_000;
/// Least time between two counts that are told of one message.
const TELL_MS: u64 = 1_000;
/// Least time between two looks.
const PAUSE_MS: u64 = 50;
/// Messages of which the count is told at once.
const TOLD_AT_ONCE: usize = 16;

/// An own message that not every present member holds yet.
#[derive(Debug)]
struct Unheld {
    seq: u64,
    shown: EntryId,
    /// Holders and members present, as last told.
    told: Option<(usize, usize)>,
    tell_at: Millis,
}

/// How far members hold this node's chain.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    held: BTreeMap<MemberId, u64>,
    unheld: VecDeque<Unheld>,
}

impl Receipts {
    /// From now on receipts of an own message are counted.
    pub(super) fn expect(&mut self, cx: &mut Context, seq: u64, shown: EntryId) {
        if self.unheld.len() >= UNHELD_MAX {
            self.unheld.pop_front();
        }
        let tell_at = cx.now.plus(TELL_MS);
        self.unheld.push_back(Unheld { seq, shown, told: None, tell_at });
        self.rearm(cx);
    }

    /// A member holds so much of the chain; whether that is more than was known.
    pub(super) fn hold(&mut self, holder: MemberId, len: u64) -> bool {
        let held = self.held.entry(holder).or_default();
        let more = len > *held;
        *held = len.max(*held);
        more
    }

    /// A member is not present any more.
    pub(super) fn forget(&mut self, holder: &MemberId) {
        self.held.remove(holder);
    }

    /// How far a member holds the chain.
    pub(super) fn held_by(&self, holder: &MemberId) -> u64 {
        self.held.get(holder).copied().unwrap_or(0)
    }

    /// Members of whom anything is known.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Receipts of own messages that not all of those `present` hold yet.
    pub(super) fn outstanding(&self, present: impl Iterator<Item = MemberId>) -> Vec<Receipt> {
        let lengths: Vec<u64> = present.map(|id| self.held_by(&id)).collect();
        let receipts = self.unheld.iter().map(|unheld| Receipt {
            id: unheld.shown,
            held_by: lengths.iter().filter(|len| **len >= unheld.seq).count(),
            present: lengths.len(),
        });
        receipts.collect()
    }

    /// Tells `held` for messages that all of those present hold now, and from time to time for
    /// those that some hold.
    pub(super) fn tell(&mut self, cx: &mut Context, present: impl Iterator<Item = MemberId>) {
        let lengths: Vec<u64> = present.map(|id| self.held_by(&id)).collect();
        let Some(floor) = lengths.iter().copied().min() else { return };
        let present = lengths.len();
        let mut told = Vec::new();
        while let Some(unheld) = self.unheld.pop_front_if(|unheld| unheld.seq <= floor) {
            told.push((unheld.shown, present));
        }
        let due = self.unheld.iter_mut().filter(|unheld| unheld.tell_at <= cx.now);
        for unheld in due.take(TOLD_AT_ONCE) {
            let held_by = lengths.iter().filter(|len| **len >= unheld.seq).count();
            unheld.tell_at = cx.now.plus(TELL_MS);
            if unheld.told.replace((held_by, present)) != Some((held_by, present)) {
                told.push((unheld.shown, held_by));
            }
        }
        for (id, held_by) in told {
            cx.notify(Notice::Held { id, held_by, present });
        }
        self.rearm(cx);
    }

    fn rearm(&self, cx: &mut Context) {
        let next = self.unheld.iter().map(|unheld| unheld.tell_at).min();
        // What was not told with the others is told a little later.
        let soon = cx.now.plus(PAUSE_MS);
        cx.timers.set(Timer::Receipts, next.map(|at| at.max(soon)));
    }
}
