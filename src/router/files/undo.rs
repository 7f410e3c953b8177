//! Own offers that were just withdrawn: for a while the person can undo that; until then their
//! sources are kept, and so are copies made for a page.

use super::{Files, Offered, TakenBack};
use crate::router::context::Context;
use crate::router::event::{Effect, Parking};
use crate::router::ids::{EntryId, FileId};
use crate::router::signed::Offer;
use crate::router::swarm::Swarm;
use crate::router::timers::Timer;

/// So long an offer that was taken back can be had again.
const UNDO_MS: u64 = 10_000;
/// Offers that can be had again at a time: all that a page takes back with one press, which are no
/// more than it keeps in mind of a room. The oldest give way.
const TAKEN_BACK_MAX: usize = 4096;

impl Files {
    /// An own offer is about to be taken back: it can be had again, unless its file is not served
    /// as a whole.
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

    /// It could not be taken back.
    pub(crate) fn not_taken_back(&mut self, cx: &mut Context, offered: &Offered) {
        let of = self.taken_back.remove(&offered.shown());
        if let Some((path, copy)) = of.and_then(|of| of.place) {
            self.own.put_place(offered.shown(), path, copy);
        }
        self.offered_again(cx, offered.file());
        self.rearm(cx);
    }

    /// The offer that was taken back under this id, if it can be had again.
    pub(crate) fn can_be_restored(&self, shown: &EntryId, swarm: &Swarm) -> Option<Offer> {
        let of = &self.taken_back.get(shown)?.offered;
        let here = self.laid_aside.contains(&of.file()) || swarm.holds_all(&of.file());
        here.then(|| of.named_file().to_offer())
    }

    /// It is offered again, under another id. The file that is served again with it, if it was
    /// served no more.
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

    /// The same content is served by other means.
    pub(crate) fn offered_again(&mut self, cx: &mut Context, file: FileId) {
        if self.laid_aside.remove(&file) {
            cx.effect(Effect::Park { file, step: Parking::Forget });
        }
    }

    /// An offer is taken back for good.
    fn forget(&mut self, cx: &mut Context, shown: &EntryId) {
        let Some(TakenBack { offered, place, .. }) = self.taken_back.remove(shown) else { return };
        let file = offered.file();
        // Only by what serves it can be seen whether a copy is still what klatch wrote.
        if let Some((path, true)) = place {
            cx.effect(Effect::DiscardCopy { file, path });
        }
        if self.taken_back.values().all(|of| of.offered.file() != file) {
            self.offered_again(cx, file);
        }
    }

    /// Those for which that is so are taken back for good.
    fn forget_those(&mut self, cx: &mut Context, is_it: impl Fn(&TakenBack) -> bool) {
        let those = self.taken_back.iter().filter(|(_, of)| is_it(of)).map(|(shown, _)| *shown);
        for shown in those.collect::<Vec<_>>() {
            self.forget(cx, &shown);
        }
        self.rearm(cx);
    }

    /// The last offer of a file ends for good: what was taken back of it before ends with it.
    pub(super) fn last_offer_ended(&mut self, cx: &mut Context, file: FileId) {
        if !self.laid_aside.contains(&file) {
            self.forget_those(cx, |of| of.offered.file() == file);
        }
    }

    /// The room is left or the program ends: nobody can undo anything any more.
    pub(crate) fn forget_taken_back(&mut self, cx: &mut Context) {
        self.forget_those(cx, |_| true);
    }

    /// The withdrawals are final by now.
    pub(crate) fn undo_due(&mut self, cx: &mut Context) {
        let now = cx.now;
        self.forget_those(cx, |of| of.until <= now);
    }

    fn rearm(&self, cx: &mut Context) {
        let first = self.taken_back.values().map(|of| of.until).min();
        cx.timers.set(Timer::Undo, first);
    }
}
