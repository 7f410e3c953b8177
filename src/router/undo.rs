//! Own offers that were just taken back: for a while the person can have them back, and until then
//! what served them is laid aside and a copy that was made for a page stays.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::Router;
use super::event::{Effect, Parking};
use super::ids::{EntryId, FileId};
use super::notice::{Code, Failure};
use super::signed::{Kind, Offer};
use super::time::{Earliest, Millis};

/// So long an offer that was taken back can be had again.
const UNDO_MS: u64 = 10_000;
/// Offers that can be had again at a time: all that a page takes back with one press, which are no
/// more than it keeps in mind of a room. The oldest give way.
const KEPT_MAX: usize = 4096;

/// What was taken back.
#[derive(Debug, Default)]
pub(super) struct Undo {
    /// By the ids that faces know.
    kept: BTreeMap<EntryId, Kept>,
    /// Files that are offered no more, whose serving is laid aside.
    laid: BTreeSet<FileId>,
}

/// An offer that was taken back.
#[derive(Debug)]
struct Kept {
    file: FileId,
    offer: Offer,
    /// Where the file lies, and whether that is a copy that was made for a page.
    place: Option<(PathBuf, bool)>,
    until: Millis,
}

/// Does something with each of these offers; the first failure stands for all.
pub(super) fn each(
    offers: &[EntryId],
    act: impl FnMut(&EntryId) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let results: Vec<_> = offers.iter().map(act).collect();
    results.into_iter().collect()
}

impl Router {
    /// Takes an own offer back, for good only after a while.
    pub(super) fn take_back(&mut self, shown: &EntryId) -> Result<(), Failure> {
        let Some(offered) = self.own_offer(shown) else {
            let text = "you do not offer that file any more";
            return Err(Failure::new(Code::NoSuchOffer, text));
        };
        let file = offered.file;
        // What is not served as a whole is not here to be offered again.
        let served = self.swarm.holds_all(&file);
        let place = self.sharing.take_place(shown);
        if served && self.catalogue.offers_of(self.cx.my_id, file).count() == 1 {
            self.forget_parked(file);
            self.cx.effect(Effect::Park { file, step: Parking::Begin });
            self.undo.laid.insert(file);
        }
        if let Err(failure) = self.withdraw(std::slice::from_ref(&offered)) {
            if let Some((path, copy)) = place {
                self.sharing.put_place(*shown, path, copy);
            }
            self.offered_again(file);
            return Err(failure);
        }
        let (name, size, root) = (offered.name, offered.size, offered.root);
        let offer = Offer { name, size, root, replaces: None };
        let until = self.cx.now.plus(UNDO_MS);
        self.undo.kept.insert(*shown, Kept { file, offer, place, until });
        if !served {
            self.forget_taken_back(shown);
        }
        let oldest = self.undo.kept.iter().min_by_key(|(_, kept)| kept.until).map(|(id, _)| *id);
        if let Some(oldest) = oldest.filter(|_| self.undo.kept.len() > KEPT_MAX) {
            self.forget_taken_back(&oldest);
        }
        Ok(())
    }

    /// Offers again what was just taken back.
    pub(super) fn restore(&mut self, shown: &EntryId) -> Result<(), Failure> {
        let here =
            |kept: &Kept| self.undo.laid.contains(&kept.file) || self.swarm.holds_all(&kept.file);
        match self.undo.kept.get(shown).filter(|kept| here(kept)) {
            Some(kept) => self.offer_again(shown, kept.file, kept.offer.clone()),
            None => {
                let text = "that offer was taken back too long ago: share the file again";
                Err(Failure::new(Code::NoSuchOffer, text))
            }
        }
    }

    fn offer_again(&mut self, shown: &EntryId, file: FileId, offer: Offer) -> Result<(), Failure> {
        let id = self.post(Kind::Offer(offer))?;
        if let Some((path, copy)) = self.undo.kept.remove(shown).and_then(|kept| kept.place) {
            self.sharing.put_place(self.log.shown(&id), path, copy);
        }
        if self.undo.laid.remove(&file) {
            self.cx.effect(Effect::Park { file, step: Parking::Resume });
            self.swarm.share_all(&mut self.cx, file);
        }
        Ok(())
    }

    /// The same content is served by other means.
    pub(super) fn offered_again(&mut self, file: FileId) {
        if self.undo.laid.remove(&file) {
            self.cx.effect(Effect::Park { file, step: Parking::Forget });
        }
    }

    /// It is taken back for good.
    fn forget_taken_back(&mut self, shown: &EntryId) {
        let Some(Kept { file, place, .. }) = self.undo.kept.remove(shown) else { return };
        // Only by what serves it can be seen whether a copy is still what klatch wrote.
        if let Some((path, true)) = place {
            self.cx.effect(Effect::DiscardCopy { file, path });
        }
        if self.undo.kept.values().all(|kept| kept.file != file) {
            self.offered_again(file);
        }
    }

    /// The last offer of a file ends for good: what was taken back of it before ends with it.
    pub(super) fn last_offer_ended(&mut self, file: FileId) {
        if self.undo.laid.contains(&file) {
            return;
        }
        let same = self.undo.kept.iter().filter(|(_, kept)| kept.file == file);
        for shown in same.map(|(shown, _)| *shown).collect::<Vec<_>>() {
            self.forget_taken_back(&shown);
        }
    }

    /// The room is left or the program ends: nobody can undo anything there.
    pub(super) fn forget_all_taken_back(&mut self) {
        while let Some((&shown, _)) = self.undo.kept.first_key_value() {
            self.forget_taken_back(&shown);
        }
    }

    pub(super) fn undo_timers(&mut self) {
        let due = |kept: &Kept| kept.until <= self.cx.now;
        let due = self.undo.kept.iter().filter(|(_, kept)| due(kept)).map(|(shown, _)| *shown);
        for shown in due.collect::<Vec<_>>() {
            self.forget_taken_back(&shown);
        }
    }

    pub(super) fn undo_deadlines(&self, earliest: &mut Earliest) {
        for kept in self.undo.kept.values() {
            earliest.at(kept.until);
        }
    }
}
