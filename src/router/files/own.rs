//! Own offers: where their files lie, and which faces made them. All by the ids that faces know.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
