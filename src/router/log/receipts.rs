//! Who holds what this node said.

use std::collections::{BTreeMap, VecDeque};

use crate::router::context::Context;
use crate::router::ids::{EntryId, MemberId};
use crate::router::members::Members;
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
    /// Holders, refusers and members present, as last told.
    told: Option<(usize, usize, usize)>,
    tell_at: Millis,
}

/// What a member has of this node's chain.
#[derive(Debug, Clone, Copy, Default)]
struct Holding {
    len: u64,
    /// It refused what comes behind.
    refuses: bool,
}

/// How far members hold this node's chain.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    held: BTreeMap<MemberId, Holding>,
    unheld: VecDeque<Unheld>,
}

/// What those present have.
struct Present(Vec<(MemberId, Holding)>);

impl Present {
    /// Each of them has so much or refuses more.
    fn floor(&self) -> u64 {
        let open = self.0.iter().filter(|(_, holding)| !holding.refuses);
        open.map(|(_, holding)| holding.len).min().unwrap_or(u64::MAX)
    }

    fn holders(&self, seq: u64) -> usize {
        self.0.iter().filter(|(_, holding)| holding.len >= seq).count()
    }

    fn refusers(&self, seq: u64) -> impl Iterator<Item = &MemberId> {
        let refuse = move |(_, of): &&(MemberId, Holding)| of.refuses && of.len < seq;
        self.0.iter().filter(refuse).map(|(id, _)| id)
    }

    fn receipt(&self, seq: u64, id: EntryId, members: &Members) -> Receipt {
        let refused_by = self.refusers(seq).map(|id| members.who(id)).collect();
        Receipt { id, held_by: self.holders(seq), present: self.0.len(), refused_by }
    }
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

    /// A member holds so much of the chain, and may refuse more; whether that is news.
    pub(super) fn hold(&mut self, holder: MemberId, len: u64, refuses: bool) -> bool {
        let held = self.held.entry(holder).or_default();
        let news = len > held.len || refuses != held.refuses;
        *held = Holding { len: len.max(held.len), refuses };
        news
    }

    /// A member is not present any more.
    pub(super) fn forget(&mut self, holder: &MemberId) {
        self.held.remove(holder);
    }

    /// Whether a member holds so much of the chain, or refuses to.
    pub(super) fn is_settled(&self, member: &MemberId, len: u64) -> bool {
        let held = self.held.get(member).copied().unwrap_or_default();
        held.refuses || held.len >= len
    }

    /// Whether a member holds so much of the chain.
    pub(super) fn is_held(&self, member: &MemberId, len: u64) -> bool {
        self.held.get(member).map_or(0, |held| held.len) >= len
    }

    fn present(&self, members: &Members) -> Present {
        let holding = |id| (id, self.held.get(&id).copied().unwrap_or_default());
        Present(members.present().map(holding).collect())
    }

    /// Members of whom anything is known.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Receipts of own messages that not all of those present hold yet.
    pub(super) fn outstanding(&self, members: &Members) -> Vec<Receipt> {
        let present = self.present(members);
        let receipt = |unheld: &Unheld| present.receipt(unheld.seq, unheld.shown, members);
        self.unheld.iter().map(receipt).collect()
    }

    /// Tells `held` for messages that all of those present hold or refuse by now, and from time to
    /// time for those that some hold.
    pub(super) fn tell(&mut self, cx: &mut Context, members: &Members) {
        let present = self.present(members);
        if present.0.is_empty() {
            return;
        }
        let (floor, mut told) = (present.floor(), Vec::new());
        while let Some(unheld) = self.unheld.pop_front_if(|unheld| unheld.seq <= floor) {
            told.push(present.receipt(unheld.seq, unheld.shown, members));
        }
        let due = self.unheld.iter_mut().filter(|unheld| unheld.tell_at <= cx.now);
        for unheld in due.take(TOLD_AT_ONCE) {
            let seq = unheld.seq;
            let now = (present.holders(seq), present.refusers(seq).count(), present.0.len());
            unheld.tell_at = cx.now.plus(TELL_MS);
            if unheld.told.replace(now) != Some(now) {
                told.push(present.receipt(seq, unheld.shown, members));
            }
        }
        for Receipt { id, held_by, present, refused_by } in told {
            cx.notify(Notice::Held { id, held_by, present, refused_by });
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
