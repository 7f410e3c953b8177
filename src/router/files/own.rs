//! Own offers: where their files are, which faces made them, and what ends with them. All ids are
//! those that faces know.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Files, Offered};
use crate::router::context::Context;
use crate::router::event::{Effect, Hashed};
use crate::router::ids::{EntryId, FaceId, FileId};

/// Most paths of own offers that are remembered.
const PATHS_MAX: usize = 65_536;

/// What belongs to own offers.
#[derive(Debug, Default)]
pub(super) struct OwnOffers {
    /// The paths of their files, in this room or in one that was left; true for a copy that was
    /// made for a page, which goes with the offer.
    lying: BTreeMap<(PathBuf, EntryId), bool>,
    /// What each face offered: the file, and whether the offer goes with the face, because it did
    /// not stand before.
    made: BTreeMap<FaceId, BTreeMap<EntryId, (FileId, bool)>>,
}

impl OwnOffers {
    /// Offers whose file is at a path.
    pub(super) fn lying_at<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a EntryId> {
        let first = (path.to_owned(), EntryId([0; 32]));
        let here = self.lying.range(first..).take_while(move |((at, _), _)| at == path);
        here.map(|((_, offer), _)| offer)
    }

    /// Whether an offer's path is unknown: an earlier run made it.
    pub(super) fn is_astray(&self, offer: &EntryId) -> bool {
        self.lying.keys().all(|(_, of)| of != offer)
    }

    /// Forgets the path of an offer's file, and returns it, with whether it is a copy.
    pub(super) fn take_place(&mut self, offer: &EntryId) -> Option<(PathBuf, bool)> {
        let place = self.lying.keys().find(|(_, of)| of == offer)?.clone();
        let copy = self.lying.remove(&place)?;
        Some((place.0, copy))
    }

    /// Records the path of an offer's file.
    pub(super) fn put_place(&mut self, offer: EntryId, path: PathBuf, copy: bool) {
        if self.lying.len() >= PATHS_MAX {
            self.lying.pop_first();
        }
        self.lying.insert((path, offer), copy);
    }

    /// From now on offers have other ids.
    pub(super) fn rename(&mut self, ids: &BTreeMap<EntryId, EntryId>) {
        let now = |offer: EntryId| ids.get(&offer).copied().unwrap_or(offer);
        let lying = std::mem::take(&mut self.lying).into_iter();
        self.lying = lying.map(|((path, offer), copy)| ((path, now(offer)), copy)).collect();
    }

    /// A face made an offer.
    pub(super) fn made(&mut self, face: FaceId, offer: EntryId, of: (FileId, bool)) {
        self.made.entry(face).or_default().insert(offer, of);
    }

    /// What a face offered, as far as it is still offered.
    pub(super) fn made_by(&self, face: FaceId) -> impl Iterator<Item = (&EntryId, FileId)> {
        self.made.get(&face).into_iter().flatten().map(|(offer, (file, _))| (offer, *file))
    }

    /// Whether an offer goes with a face, because it was made for it.
    pub(super) fn goes_with(&self, face: FaceId, offer: &EntryId) -> bool {
        self.made.get(&face).and_then(|of| of.get(offer)).is_some_and(|(_, goes)| *goes)
    }

    /// A face ended: returns the offers that go with it. Those that another face made as well will
    /// go with that one.
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

    /// An offer no longer stands, whichever face made it.
    pub(super) fn forget_made(&mut self, offer: &EntryId) {
        self.made.retain(|_, offered| {
            offered.remove(offer);
            !offered.is_empty()
        });
    }

    /// The room was left, with all faces' offers; their files stay where they are.
    pub(super) fn forget_all_made(&mut self) {
        self.made.clear();
    }
}

/// How a hashed file will be offered.
#[derive(Debug)]
pub(crate) struct OfferPlan {
    /// This very offer stands already.
    pub(crate) again: Option<Offered>,
    /// The earlier file with the same path and name.
    pub(crate) before: Option<Offered>,
    /// The offer goes with the face that asked for it.
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
            // Entries are signed again for another room; while alone, few are offered.
            let mut own = self.catalogue.offers_by(self.me);
            own.find(|offered| offered.shown() == *shown)
        };
        self.catalogue.get(shown).filter(own).or_else(aliased)
    }

    /// The files that a face offered and that are still offered.
    pub(crate) fn files_of(&self, face: FaceId) -> BTreeSet<FileId> {
        self.own.made_by(face).map(|(_, file)| file).collect()
    }

    /// How a file that a face wants to offer will be offered.
    pub(crate) fn plan(&self, face: FaceId, hashed: &Hashed) -> OfferPlan {
        let Hashed { path, name, file, .. } = hashed;
        let is_called = |offered: &&Offered| offered.named_file().name == *name;
        // Under another name it is something else.
        let mut here = self.own.lying_at(path).filter_map(|offer| self.own_offer(offer));
        let before = here.find(is_called);
        // An offer outlives the program that made it, and comes back with the room.
        let astray = || {
            let mut own = self.catalogue.offers_of(self.me, *file).filter(is_called);
            own.find(|offered| self.own.is_astray(&offered.shown()))
        };
        let again = before.filter(|offered| offered.file() == *file).or_else(astray);
        // If a face ends badly, what others had offered before stays.
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

    /// An own offer no longer stands, and its copy goes. True if nothing else with its content is
    /// offered here, so that the content is no longer served.
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

    /// The offers that go with a face that ended; nothing more is hashed for it.
    pub(crate) fn end_face(&mut self, cx: &mut Context, face: FaceId) -> Vec<EntryId> {
        self.hashing.end_face(cx, face);
        self.own.take_made_by(face)
    }

    /// The room was left, and with it the present and future offers.
    pub(crate) fn left(&mut self, cx: &mut Context) {
        self.forget_taken_back(cx);
        self.own.forget_all_made();
        self.hashing.drop_all(cx);
    }
}
