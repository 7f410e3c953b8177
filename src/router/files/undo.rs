//! Own offers that were just taken back: for a while the person can have them back, and until then
//! what served them is laid aside and a copy that was made for a page stays.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::catalogue::Offered;
use crate::router::context::Context;
use crate::router::event::{Effect, Parking};
use crate::router::ids::{EntryId, FileId};
use crate::router::signed::Offer;
use crate::router::time::Millis;
use crate::router::timers::Timer;

/// So long an offer that was taken back can be had again.
const UNDO_MS: u64 = 10_000;
/// Offers that can be had again at a time: all that a page takes back with one press, which are no
/// more than it keeps in mind of a room. The oldest give way.
const TAKEN_BACK_MAX: usize = 4096;

/// What was taken back.
#[derive(Debug, Default)]
pub(super) struct Undo {
    /// By the ids that faces know.
    taken_back: BTreeMap<EntryId, TakenBack>,
    /// Files that are offered no more, whose serving is laid aside.
    laid_aside: BTreeSet<FileId>,
}

/// An offer that was taken back.
#[derive(Debug)]
struct TakenBack {
    file: FileId,
    offer: Offer,
    /// Where the file lies, and whether that is a copy that was made for a page.
    place: Option<(PathBuf, bool)>,
    until: Millis,
}

impl Undo {
    /// The last offer of a file that is served is about to be taken back.
    pub(super) fn lay_aside(&mut self, cx: &mut Context, file: FileId) {
        cx.effect(Effect::Park { file, step: Parking::Begin });
        self.laid_aside.insert(file);
    }

    /// An offer was taken back; only what was `served` as a whole can be had again.
    pub(super) fn taken_back(
        &mut self,
        cx: &mut Context,
        offered: &Offered,
        place: Option<(PathBuf, bool)>,
        served: bool,
    ) {
        let of = offered.named_file().clone();
        let offer = Offer { name: of.name, size: of.size, root: of.root, replaces: None };
        let taken = TakenBack { file: of.id, offer, place, until: cx.now.plus(UNDO_MS) };
        self.taken_back.insert(offered.shown(), taken);
        if !served {
            self.forget(cx, &offered.shown());
        }
        let oldest = self.taken_back.iter().min_by_key(|(_, of)| of.until).map(|(id, _)| *id);
        if let Some(oldest) = oldest.filter(|_| self.taken_back.len() > TAKEN_BACK_MAX) {
            self.forget(cx, &oldest);
        }
        self.rearm(cx);
    }

    /// The offer under this id, if its file is here still.
    pub(super) fn offer(
        &self,
        shown: &EntryId,
        holds_all: impl Fn(&FileId) -> bool,
    ) -> Option<Offer> {
        let here = |of: &&TakenBack| self.laid_aside.contains(&of.file) || holds_all(&of.file);
        self.taken_back.get(shown).filter(here).map(|of| of.offer.clone())
    }

    /// An offer stands again: its file, and where that lies.
    pub(super) fn take(
        &mut self,
        cx: &mut Context,
        shown: &EntryId,
    ) -> Option<(FileId, Option<(PathBuf, bool)>)> {
        let of = self.taken_back.remove(shown)?;
        self.rearm(cx);
        Some((of.file, of.place))
    }

    /// Serves again what was laid aside; false if nothing was.
    pub(super) fn resume(&mut self, cx: &mut Context, file: FileId) -> bool {
        let aside = self.laid_aside.remove(&file);
        if aside {
            cx.effect(Effect::Park { file, step: Parking::Resume });
        }
        aside
    }

    /// The same content is served by other means.
    pub(super) fn offered_again(&mut self, cx: &mut Context, file: FileId) {
        if self.laid_aside.remove(&file) {
            cx.effect(Effect::Park { file, step: Parking::Forget });
        }
    }

    /// An offer is taken back for good.
    fn forget(&mut self, cx: &mut Context, shown: &EntryId) {
        let Some(TakenBack { file, place, .. }) = self.taken_back.remove(shown) else { return };
        // Only by what serves it can be seen whether a copy is still what klatch wrote.
        if let Some((path, true)) = place {
            cx.effect(Effect::DiscardCopy { file, path });
        }
        if self.taken_back.values().all(|of| of.file != file) {
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
            self.forget_those(cx, |of| of.file == file);
        }
    }

    /// The room is left or the program ends: nobody can undo anything there.
    pub(super) fn forget_all(&mut self, cx: &mut Context) {
        self.forget_those(cx, |_| true);
    }

    pub(super) fn due(&mut self, cx: &mut Context) {
        let now = cx.now;
        self.forget_those(cx, |of| of.until <= now);
    }

    fn rearm(&self, cx: &mut Context) {
        let first = self.taken_back.values().map(|of| of.until).min();
        cx.timers.set(Timer::Undo, first);
    }
}
