//! Own offers: where their files are, which faces made them, and what ends with them, by the ids
//! that faces know.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Files, Offered};
use crate::router::context::Context;
use crate::router::event::{Effect, Hashed};
use crate::router::ids::{EntryId, FaceId, FileId};

/// Paths of own offers that are kept in mind.
const PATHS_MAX: usize = 65_536;

/// What belongs to own offers.
#[derive(Debug, Default)]
pub(super) struct OwnOffers {
    /// Where their files lie, in this room or in one that was left; true for a copy that was made
    /// for a page, and goes with the offer.
    lying: BTreeMap<(PathBuf, EntryId), bool>,
    /// What each face offered: the file, and whether the offer goes with the face, for it did not
    /// stand before.
    made: BTreeMap<FaceId, BTreeMap<EntryId, (FileId, bool)>>,
}

impl OwnOffers {
    /// Offers whose file lies at a path.
    pub(super) fn lying_at<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a EntryId> {
        let first = (path.to_owned(), EntryId([0; 32]));
        let here = self.lying.range(first..).take_while(move |((at, _), _)| at == path);
        here.map(|((_, offer), _)| offer)
    }

    /// The path of an offer is not known: it was made by an earlier run.
    pub(super) fn is_astray(&self, offer: &EntryId) -> bool {
        self.lying.keys().all(|(_, of)| of != offer)
    }

    /// Forgets where the file of an offer lies; gives the path, and whether that is a copy.
    pub(super) fn take_place(&mut self, offer: &EntryId) -> Option<(PathBuf, bool)> {
        let place = self.lying.keys().find(|(_, of)| of == offer)?.clone();
        let copy = self.lying.remove(&place)?;
        Some((place.0, copy))
    }

    /// The file of an offer lies there.
    pub(super) fn put_place(&mut self, offer: EntryId, path: PathBuf, copy: bool) {
        if self.lying.len() >= PATHS_MAX {
            self.lying.pop_first();
        }
        self.lying.insert((path, offer), copy);
    }

    /// Offers have other ids from now on.
    pub(super) fn rename(&mut self, ids: &BTreeMap<EntryId, EntryId>) {
        let now = |offer: EntryId| ids.get(&offer).copied().unwrap_or(offer);
        let lying = std::mem::take(&mut self.lying).into_iter();
        self.lying = lying.map(|((path, offer), copy)| ((path, now(offer)), copy)).collect();
    }

    /// A face made an offer.
    pub(super) fn made(&mut self, face: FaceId, offer: EntryId, of: (FileId, bool)) {
        self.made.entry(face).or_default().insert(offer, of);
    }

    /// What a face offered, as far as it still is offered.
    pub(super) fn made_by(&self, face: FaceId) -> impl Iterator<Item = (&EntryId, FileId)> {
        self.made.get(&face).into_iter().flatten().map(|(offer, (file, _))| (offer, *file))
    }

    /// An offer goes with a face: it was made for it.
    pub(super) fn goes_with(&self, face: FaceId, offer: &EntryId) -> bool {
        self.made.get(&face).and_then(|of| of.get(offer)).is_some_and(|(_, goes)| *goes)
    }

    /// A face ended: its offers that go with it. Those that another face made as well go with that
    /// one from now on.
    pub(super) fn take_made_by(&mut self, face: FaceId) -> Vec<EntryId> {
        let offered = self.made.remove(&face).unwrap_or_default();
        let mut going = Vec::new();
        for (offer, _) in offered.into_iter().filter(|(_, (_, goes))| *goes) {
            match self.made.values_mut().find_map(|of| of.get_mut(&offer)) {
                Some((_, goes)) => *goes = true,
                None => going.push(offer),
            }
        }
        going
    }

    /// An offer does not stand any more, whichever face made it.
    pub(super) fn forget_made(&mut self, offer: &EntryId) {
        self.made.retain(|_, offered| {
            offered.remove(offer);
            !offered.is_empty()
        });
    }

    /// The room was left, and all faces' offers with it; their files lie where they lay.
    pub(super) fn forget_all_made(&mut self) {
        self.made.clear();
    }
}

/// How a file that was hashed is going to be offered.
#[derive(Debug)]
pub(crate) struct OfferPlan {
    /// The very offer stands already.
    pub(crate) again: Option<Offered>,
    /// What lay at its path before, under its name.
    pub(crate) before: Option<Offered>,
    /// The offer goes with the face that asks for it.
    pub(crate) goes: bool,
}

impl Files {
    /// Own offers of a file.
    pub(crate) fn own_of(&self, file: FileId) -> Vec<Offered> {
        self.catalogue.offers_of(self.me, file).cloned().collect()
    }

    /// An own offer that stands.
    pub(crate) fn own_offer(&self, shown: &EntryId) -> Option<&Offered> {
        let own = |offered: &&Offered| offered.author() == self.me;
        let aliased = || {
            // Signed anew for another room: few were offered while alone.
            let mut own = self.catalogue.offers_by(self.me);
            own.find(|offered| offered.shown() == *shown)
        };
        self.catalogue.get(shown).filter(own).or_else(aliased)
    }

    /// The files that a face offered and that still are offered.
    pub(crate) fn files_of(&self, face: FaceId) -> BTreeSet<FileId> {
        self.own.made_by(face).map(|(_, file)| file).collect()
    }

    /// How a file that a face wants to offer is going to be offered.
    pub(crate) fn plan(&self, face: FaceId, hashed: &Hashed) -> OfferPlan {
        let Hashed { path, name, file, .. } = hashed;
        let is_called = |offered: &&Offered| offered.named_file().name == *name;
        // Under another name it is another thing.
        let mut here = self.own.lying_at(path).filter_map(|offer| self.own_offer(offer));
        let before = here.find(is_called);
        // An offer outlives the program that made it, and comes back with the room.
        let astray = || {
            let mut own = self.catalogue.offers_of(self.me, *file).filter(is_called);
            own.find(|offered| self.own.is_astray(&offered.shown()))
        };
        let again = before.filter(|offered| offered.file() == *file).or_else(astray);
        // A face that ends badly leaves what others had offered before.
        let goes = again.or(before).is_none_or(|of| self.own.goes_with(face, &of.shown()));
        OfferPlan { again: again.cloned(), before: before.cloned(), goes }
    }

    /// A face made an offer.
    pub(crate) fn offer_made(
        &mut self,
        face: FaceId,
        (shown, goes): (EntryId, bool),
        (file, path, copy): (FileId, PathBuf, bool),
    ) {
        self.own.put_place(shown, path, copy);
        self.own.made(face, shown, (file, goes));
    }

    /// An own offer does not stand any more: its copy goes. True if nothing else of its content is
    /// offered here, which then is served no more.
    pub(crate) fn own_offer_ended(&mut self, cx: &mut Context, offered: &Offered) -> bool {
        let file = offered.file();
        if let Some((path, true)) = self.own.take_place(&offered.shown()) {
            cx.effect(Effect::DiscardCopy { file, path });
        }
        self.own.forget_made(&offered.shown());
        let last = !self.catalogue.offers(self.me, file);
        if last {
            self.last_offer_ended(cx, file);
            self.forget_parked(cx, file);
        }
        last
    }

    /// The offers that go with a face that ended; nothing is hashed for it any more.
    pub(crate) fn end_face(&mut self, cx: &mut Context, face: FaceId) -> Vec<EntryId> {
        self.hashing.end_face(cx, face);
        self.own.take_made_by(face)
    }

    /// The room was left, and with it what was offered there and what was going to be.
    pub(crate) fn left(&mut self, cx: &mut Context) {
        self.forget_taken_back(cx);
        self.own.forget_all_made();
        self.hashing.drop_all(cx);
    }
}
