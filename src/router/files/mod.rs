//! The machine of offers, by anybody and by this node.
//!
//! It decides which offers stand, which of them a word means, and what becomes of this node's own:
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
use std::sync::Arc;

use self::catalogue::Catalogue;
pub(crate) use self::catalogue::Offered;
use self::hashing::Hashing;
pub(crate) use self::lookup::Lookup;
use self::own::OwnOffers;
use super::ids::{EntryId, FileId, MemberId, RecordId, RoomId};
use super::log::EntryOrder;
use super::members::Members;
use super::notice::TransferLine;
use super::signed::{Kind, Offer, SignedEntry};
use super::swarm::Swarm;
use super::time::Millis;
use super::word::FileWord;

/// Offers of the room, and what belongs to those of this node.
#[derive(Debug)]
pub(crate) struct Files {
    me: MemberId,
    catalogue: Catalogue,
    own: OwnOffers,
    hashing: Hashing,
    /// Where what is parked was offered.
    parked_in: Option<ParkingPlace>,
    /// Files that were offered there; true while one is being looked at, in order to be served
    /// again.
    parked: BTreeMap<FileId, bool>,
    /// Own offers that were just taken back, by the ids that faces know.
    taken_back: BTreeMap<EntryId, TakenBack>,
    /// Files that are offered no more, whose serving is laid aside until that is for good.
    laid_aside: BTreeSet<FileId>,
}

/// A room, and the closings that are in force in it.
pub(crate) type ParkingPlace = (RoomId, Vec<RecordId>);

/// An offer that was taken back.
#[derive(Debug)]
struct TakenBack {
    offered: Offered,
    /// Where the file lies, and whether that is a copy that was made for a page.
    place: Option<(PathBuf, bool)>,
    until: Millis,
}

/// What came of an entry that offers something.
#[derive(Debug)]
pub(crate) struct OfferCame {
    pub(crate) offered: Offered,
    /// Another offer that stands has this name too, and another content.
    pub(crate) alike: bool,
    /// It was not taken back before.
    pub(crate) stands: bool,
    /// The offer in whose place it is.
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

    // What is offered.

    /// In view of who is here and holds what.
    pub(crate) fn lookup<'a>(&'a self, swarm: &'a Swarm, members: &'a Members) -> Lookup<'a> {
        Lookup { catalogue: &self.catalogue, swarm, members, me: self.me }
    }

    /// What a word means may have changed.
    pub(crate) fn touch(&mut self) {
        self.catalogue.touch();
    }

    /// It is worthwhile to look again what a word means, if this is not what it was then.
    pub(crate) fn changes(&self) -> u64 {
        self.catalogue.changes()
    }

    /// Any offer of a file: its length and root are the same in all.
    pub(crate) fn any(&self, file: &FileId) -> Option<&Offered> {
        self.catalogue.of_file(*file).next()
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

    /// An entry offers something, and faces know it under this id.
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

    /// Somebody takes an offer back; returned if it stood.
    pub(crate) fn withdrawn(
        &mut self,
        author: MemberId,
        id: EntryId,
        order: EntryOrder,
    ) -> Option<Offered> {
        self.catalogue.end(author, id, order)
    }

    /// After a fork some entries count no more: these do.
    pub(crate) fn rebuild(
        &mut self,
        entries: impl Iterator<Item = (EntryOrder, EntryId, Arc<SignedEntry>)>,
    ) {
        self.catalogue.clear();
        for (order, shown, entry) in entries {
            match &entry.body.kind {
                Kind::Offer(offer) => drop(self.offer_came(&entry, offer, (order, shown))),
                Kind::Withdraw(id) => drop(self.withdrawn(entry.body.chain.author, *id, order)),
                Kind::Text(_) | Kind::Name(_) | Kind::Unknown => {}
            }
        }
    }

    /// Another room: nothing is offered there yet.
    pub(crate) fn clear(&mut self) {
        self.catalogue.clear();
    }

    // What is being hashed.

    /// The jobs of hashing.
    pub(crate) fn hashing(&mut self) -> &mut Hashing {
        &mut self.hashing
    }

    pub(crate) fn is_hashing(&self) -> bool {
        !self.hashing.is_idle()
    }

    /// What is being hashed, in the order asked; what waits for its turn comes last.
    pub(crate) fn hash_rows(&self, now: Millis) -> Vec<TransferLine> {
        self.hashing.rows(now)
    }
}
