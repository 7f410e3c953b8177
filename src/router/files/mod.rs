//! The machine for offers, by anybody and by this node.
//!
//! It decides which offers stand, which of them a word means, and what happens to this node's own:
//! where their files are, which face they belong to, what is hashed next, and what can be restored
//! after it was withdrawn or its room was left. It never speaks in the room: an offer stands once
//! its entry is in the log. [`super::swarm`] decides what is held of a file; this machine only
//! looks at it.

mod catalogue;
pub(crate) mod fetched;
mod hashing;
mod lookup;
pub(crate) mod own;
mod parked;
#[cfg(test)]
mod tests;
mod undo;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use self::catalogue::Catalogue;
pub(crate) use self::catalogue::Offered;
use self::hashing::Hashing;
pub(crate) use self::lookup::Lookup;
use self::own::OwnOffers;
use super::ids::{EntryId, FileId, MemberId, RecordId, RoomId};
use super::log::EntryOrder;
use super::members::Members;
use super::notice::TransferLine;
use super::signed::{FolderSummary, Kind, Offer, SignedEntry};
use super::swarm::Swarm;
use super::time::Millis;
use super::word::FileWord;

/// The offers of the room, with the state of this node's own.
#[derive(Debug)]
pub(crate) struct Files {
    me: MemberId,
    catalogue: Catalogue,
    own: OwnOffers,
    hashing: Hashing,
    /// The room in which parked files were offered.
    parked_in: Option<ParkingPlace>,
    /// Files that were offered there; true while one is being checked before it is served again.
    parked: BTreeMap<FileId, bool>,
    /// Own offers that were just withdrawn, by the ids that faces know.
    taken_back: BTreeMap<EntryId, TakenBack>,
    /// Withdrawn files whose sources are kept until that can no longer be undone.
    laid_aside: BTreeSet<FileId>,
}

/// A room, with the closings in force in it.
pub(crate) type ParkingPlace = (RoomId, Vec<RecordId>);

/// A withdrawn offer.
#[derive(Debug)]
struct TakenBack {
    offered: Offered,
    /// The file's path, and whether it is a copy that was made for a page.
    place: Option<(PathBuf, bool)>,
    until: Millis,
}

/// The result of an entry that offers something.
#[derive(Debug)]
pub(crate) struct OfferCame {
    pub(crate) offered: Offered,
    /// Another standing offer has the same name and another content.
    pub(crate) alike: bool,
    /// It was not withdrawn before.
    pub(crate) stands: bool,
    /// The offer that it replaces.
    pub(crate) before: Option<Offered>,
}

impl Files {
    pub(crate) fn new(me: MemberId) -> Self {
        Self {
            me,
            catalogue: Catalogue::default(),
            own: OwnOffers::default(),
            hashing: Hashing::default(),
            parked_in: None,
            parked: BTreeMap::new(),
            taken_back: BTreeMap::new(),
            laid_aside: BTreeSet::new(),
        }
    }

    // The offers.

    /// The offers, with regard to who is here and holds what.
    pub(crate) fn lookup<'a>(&'a self, swarm: &'a Swarm, members: &'a Members) -> Lookup<'a> {
        Lookup { catalogue: &self.catalogue, swarm, members, me: self.me }
    }

    /// A word's meaning may have changed.
    pub(crate) fn touch(&mut self) {
        self.catalogue.touch();
    }

    /// If this is no longer the same, it is worth checking again what a word means.
    pub(crate) fn changes(&self) -> u64 {
        self.catalogue.changes()
    }

    /// Any offer of a file: its length and root are the same in all.
    pub(crate) fn any(&self, file: &FileId) -> Option<&Offered> {
        self.catalogue.of_file(*file).next()
    }

    /// Whether somebody offers this folder with these figures.
    pub(crate) fn offers_as(&self, folder: &FileId, summary: FolderSummary) -> bool {
        let mut offers = self.catalogue.of_file(*folder);
        offers.any(|offered| offered.named_file().to_offer().folder == Some(summary))
    }

    /// An offer by its entry.
    pub(crate) fn get(&self, id: &EntryId) -> Option<&Offered> {
        self.catalogue.get(id)
    }

    pub(crate) fn is_offered_by(&self, author: MemberId, file: FileId) -> bool {
        self.catalogue.offers(author, file)
    }

    pub(crate) fn offered_by(&self, author: MemberId) -> impl Iterator<Item = FileId> {
        self.catalogue.offers_by(author).map(Offered::file)
    }

    /// Files that are offered under a name.
    pub(crate) fn files_named(&self, word: &FileWord) -> BTreeSet<FileId> {
        self.catalogue.named(word).map(Offered::file).collect()
    }

    /// An entry offers something, and faces know it by this id.
    pub(crate) fn offer_came(
        &mut self,
        entry: &SignedEntry,
        offer: &Offer,
        (order, shown): (EntryOrder, EntryId),
    ) -> OfferCame {
        let offered = Offered::of(entry, offer, order, shown);
        let alike = self.catalogue.is_alike(&offered);
        let (stands, before) = self.catalogue.insert(offered.clone(), offer.replaces);
        OfferCame { offered, alike, stands, before }
    }

    /// Somebody withdraws an offer, which is returned if it stood.
    pub(crate) fn withdrawn(
        &mut self,
        author: MemberId,
        id: EntryId,
        order: EntryOrder,
    ) -> Option<Offered> {
        self.catalogue.end(author, id, order)
    }

    /// A fork undid an entry; returns the offer that therefore no longer stands. What the entry had
    /// ended may stand again.
    pub(crate) fn undo(&mut self, entry: &SignedEntry, order: EntryOrder) -> Option<Offered> {
        let author = entry.body.chain.author;
        match &entry.body.kind {
            Kind::Offer(offer) => {
                if let Some(before) = offer.replaces {
                    self.catalogue.undo_end(author, before, order);
                }
                return self.catalogue.undo_offer(&entry.id);
            }
            Kind::Withdraw(id) => self.catalogue.undo_end(author, *id, order),
            Kind::Text(_) | Kind::Name(_) | Kind::Unknown => {}
        }
        None
    }

    /// The room changes: nothing is offered in the new one yet.
    pub(crate) fn clear(&mut self) {
        self.catalogue.clear();
    }

    // Files being hashed.

    /// The jobs of hashing.
    pub(crate) fn hashing(&mut self) -> &mut Hashing {
        &mut self.hashing
    }

    pub(crate) fn is_hashing(&self) -> bool {
        !self.hashing.is_idle()
    }

    /// The files being hashed, in the order of the requests; those still to begin come last.
    pub(crate) fn hash_rows(&self, now: Millis) -> Vec<TransferLine> {
        self.hashing.rows(now)
    }
}
