//! Own offers that were just withdrawn. For a while the person can undo that; until then their
//! sources are kept, and so are copies made for a page.

use super::{Files, Offered, TakenBack};
use crate::router::context::Context;
use crate::router::event::{Effect, Parking};
use crate::router::ids::{EntryId, FileId};
use crate::router::signed::Offer;
use crate::router::swarm::Swarm;
use crate::router::timers::Timer;

/// How long a withdrawn offer can be restored.
const UNDO_MS: u64 = 10_000;
/// Most offers that can be restored at a time: a page can withdraw as many at once, and never
/// remembers more of a room. The oldest give way.
const TAKEN_BACK_MAX: usize = 4096;

impl Files {
    /// An own offer is about to be withdrawn: it can be restored, unless its file is not completely
    /// served.
    pub(crate) fn take_back(&mut self, cx: &mut Context, offered: &Offered, swarm: &Swarm) {
        let file = offered.file();
        if !swarm.holds_all(&file) {
            return;
        }
        let place = self.own.take_place(&offered.shown());
        if self.catalogue.offers_of(self.me, file).count() == 1 {
            self.forget_parked(cx, file);
            cx.effect(Effect::Park { file, step: Parking::Begin });
            self.laid_aside.insert(file);
        }
        let of = TakenBack { offered: offered.clone(), place, until: cx.now.plus(UNDO_MS) };
        self.taken_back.insert(offered.shown(), of);
        let oldest = self.taken_back.iter().min_by_key(|(_, of)| of.until).map(|(id, _)| *id);
        if let Some(oldest) = oldest.filter(|_| self.taken_back.len() > TAKEN_BACK_MAX) {
            self.forget(cx, &oldest);
        }
        self.rearm(cx);
    }

    /// It could not be withdrawn.
    pub(crate) fn not_taken_back(&mut self, cx: &mut Context, offered: &Offered) {
        let of = self.taken_back.remove(&offered.shown());
        if let Some((path, copy)) = of.and_then(|of| of.place) {
            self.own.put_place(offered.shown(), path, copy);
        }
        self.offered_again(cx, offered.file());
        self.rearm(cx);
    }

    /// The offer withdrawn under this id, if it can be restored.
    pub(crate) fn can_be_restored(&self, shown: &EntryId, swarm: &Swarm) -> Option<Offer> {
        let of = &self.taken_back.get(shown)?.offered;
        let here = self.laid_aside.contains(&of.file()) || swarm.holds_all(&of.file());
        here.then(|| of.named_file().to_offer())
    }

    /// It is offered again, with a new id. Returns the file that is served again with it, if it was
    /// no longer served.
    pub(crate) fn restored(
        &mut self,
        cx: &mut Context,
        shown: &EntryId,
        now: EntryId,
    ) -> Option<FileId> {
        let TakenBack { offered, place, .. } = self.taken_back.remove(shown)?;
        self.rearm(cx);
        if let Some((path, copy)) = place {
            self.own.put_place(now, path, copy);
        }
        let file = offered.file();
        self.laid_aside.remove(&file).then(|| {
            cx.effect(Effect::Park { file, step: Parking::Resume });
            file
        })
    }

    /// The same content is served for another reason.
    pub(crate) fn offered_again(&mut self, cx: &mut Context, file: FileId) {
        if self.laid_aside.remove(&file) {
            cx.effect(Effect::Park { file, step: Parking::Forget });
        }
    }

    /// A withdrawal becomes final.
    fn forget(&mut self, cx: &mut Context, shown: &EntryId) {
        let Some(TakenBack { offered, place, .. }) = self.taken_back.remove(shown) else { return };
        let file = offered.file();
        // Only with its source can we see whether a copy is still what klatch wrote.
        if let Some((path, true)) = place {
            cx.effect(Effect::DiscardCopy { file, path });
        }
        if self.taken_back.values().all(|of| of.offered.file() != file) {
            self.offered_again(cx, file);
        }
    }

    /// The withdrawals for which `is_it` holds become final.
    fn forget_those(&mut self, cx: &mut Context, is_it: impl Fn(&TakenBack) -> bool) {
        let those = self.taken_back.iter().filter(|(_, of)| is_it(of)).map(|(shown, _)| *shown);
        for shown in those.collect::<Vec<_>>() {
            self.forget(cx, &shown);
        }
        self.rearm(cx);
    }

    /// The last offer of a file ends for good, and so do all its earlier withdrawn ones.
    pub(super) fn last_offer_ended(&mut self, cx: &mut Context, file: FileId) {
        if !self.laid_aside.contains(&file) {
            self.forget_those(cx, |of| of.offered.file() == file);
        }
    }

    /// The room is left or the program ends: nothing can be undone any more.
    pub(crate) fn forget_taken_back(&mut self, cx: &mut Context) {
        self.forget_those(cx, |_| true);
    }

    /// Withdrawals whose time is over become final.
    pub(crate) fn undo_due(&mut self, cx: &mut Context) {
        let now = cx.now;
        self.forget_those(cx, |of| of.until <= now);
    }

    fn rearm(&self, cx: &mut Context) {
        let first = self.taken_back.values().map(|of| of.until).min();
        cx.timers.set(Timer::Undo, first);
    }
}
