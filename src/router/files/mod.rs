//! Files as they are offered in the room, by anybody and by this node.
//!
//! Decides which offers stand, which of them a word means, and what becomes of the offers of this
//! node: where their files lie, which face they go with, what is hashed for the next ones, and
//! what can be had again after it was taken back or after its room was left. It says nothing in
//! the room: an offer stands once its entry is in the log. What is held of a file, here or by
//! others, is the business of [`super::swarm`], which it only looks at.

mod catalogue;
pub(super) mod fetched;
mod hashing;
mod lookup;
mod own;
mod parked;
mod undo;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use self::catalogue::Catalogue;
pub(super) use self::catalogue::Offered;
use self::hashing::Hashing;
pub(super) use self::lookup::Lookup;
use self::own::OwnOffers;
use self::parked::Parked;
pub(super) use self::parked::ParkingPlace;
use self::undo::Undo;
use super::context::Context;
use super::event::{Effect, Hashed};
use super::ids::{EntryId, FaceId, FileId, MemberId};
use super::log::Order;
use super::members::Members;
use super::notice::TransferLine;
use super::signed::{Kind, Offer, SignedEntry};
use super::swarm::Swarm;
use super::time::Millis;
use super::word::Word;

/// Offers of the room, and what belongs to those of this node.
#[derive(Debug)]
pub(super) struct Files {
    me: MemberId,
    catalogue: Catalogue,
    own: OwnOffers,
    hashing: Hashing,
    parked: Parked,
    undo: Undo,
}

/// What came of an entry that offers something.
#[derive(Debug)]
pub(super) struct OfferCame {
    pub(super) offered: Offered,
    /// Another offer that stands has this name too, and another content.
    pub(super) alike: bool,
    /// It was not taken back before.
    pub(super) stands: bool,
    /// The offer in whose place it is.
    pub(super) before: Option<Offered>,
}

/// How a file that was hashed is going to be offered.
#[derive(Debug)]
pub(super) struct OfferPlan {
    /// The very offer stands already.
    pub(super) again: Option<Offered>,
    /// What lay at its path before, under its name.
    pub(super) before: Option<Offered>,
    /// The offer goes with the face that asks for it.
    pub(super) goes: bool,
}

impl Files {
    pub(super) fn new(me: MemberId) -> Self {
        Self {
            me,
            catalogue: Catalogue::default(),
            own: OwnOffers::default(),
            hashing: Hashing::default(),
            parked: Parked::default(),
            undo: Undo::default(),
        }
    }

    // What is offered.

    /// In view of who is here and holds what.
    pub(super) fn lookup<'a>(&'a self, swarm: &'a Swarm, members: &'a Members) -> Lookup<'a> {
        Lookup { catalogue: &self.catalogue, swarm, members, me: self.me }
    }

    /// What a word means may have changed.
    pub(super) fn touch(&mut self) {
        self.catalogue.touch();
    }

    /// It is worthwhile to look again what a word means, if this is not what it was then.
    pub(super) fn changes(&self) -> u64 {
        self.catalogue.changes()
    }

    /// Any offer of a file: its length and root are the same in all.
    pub(super) fn any(&self, file: &FileId) -> Option<&Offered> {
        self.catalogue.of_file(*file).next()
    }

    /// An offer by its entry.
    pub(super) fn get(&self, id: &EntryId) -> Option<&Offered> {
        self.catalogue.get(id)
    }

    pub(super) fn is_offered_by(&self, author: MemberId, file: FileId) -> bool {
        self.catalogue.offers(author, file)
    }

    pub(super) fn offered_by(&self, author: MemberId) -> impl Iterator<Item = FileId> {
        self.catalogue.offers_by(author).map(Offered::file)
    }

    /// Files that are offered under a name.
    pub(super) fn files_named(&self, word: &Word) -> BTreeSet<FileId> {
        self.catalogue.named(word).map(Offered::file).collect()
    }

    /// An entry offers something, and faces know it under this id.
    pub(super) fn offer_came(
        &mut self,
        entry: &SignedEntry,
        offer: &Offer,
        (order, shown): (Order, EntryId),
    ) -> OfferCame {
        let offered = Offered::of(entry, offer, order, shown);
        let alike = self.catalogue.is_alike(&offered);
        let (stands, before) = self.catalogue.insert(offered.clone(), offer.replaces);
        OfferCame { offered, alike, stands, before }
    }

    /// Somebody takes an offer back; returned if it stood.
    pub(super) fn withdrawn(
        &mut self,
        author: MemberId,
        id: EntryId,
        order: Order,
    ) -> Option<Offered> {
        self.catalogue.end(author, id, order)
    }

    /// After a fork some entries count no more: these do.
    pub(super) fn rebuild(
        &mut self,
        entries: impl Iterator<Item = (Order, EntryId, Arc<SignedEntry>)>,
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
    pub(super) fn clear(&mut self) {
        self.catalogue.clear();
    }

    // Own offers.

    /// Own offers of a file.
    pub(super) fn own_of(&self, file: FileId) -> Vec<Offered> {
        self.catalogue.offers_of(self.me, file).cloned().collect()
    }

    /// An own offer that stands, by the id that faces know.
    pub(super) fn own_offer(&self, shown: &EntryId) -> Option<&Offered> {
        let own = |offered: &&Offered| offered.author() == self.me;
        let aliased = || {
            // Signed anew for another room: few were offered while alone.
            let mut own = self.catalogue.offers_by(self.me);
            own.find(|offered| offered.shown() == *shown)
        };
        self.catalogue.get(shown).filter(own).or_else(aliased)
    }

    /// The files that a face offered and that still are offered.
    pub(super) fn files_of(&self, face: FaceId) -> BTreeSet<FileId> {
        self.own.made_by(face).map(|(_, file)| file).collect()
    }

    /// How a file that a face wants to offer is going to be offered.
    pub(super) fn plan(&self, face: FaceId, hashed: &Hashed) -> OfferPlan {
        let Hashed { path, name, file, .. } = hashed;
        let mut here = self.own.lying_at(path).filter_map(|offer| self.own_offer(offer));
        // Under another name it is another thing.
        let before = here.find(|offered| offered.named_file().name == *name);
        let same =
            |offered: &&Offered| offered.file() == *file && offered.named_file().name == *name;
        // An offer outlives the program that made it, and comes back with the room.
        let astray = || {
            let mut own = self.catalogue.offers_of(self.me, *file);
            own.find(|offered| same(offered) && self.own.is_astray(&offered.shown()))
        };
        let again = before.filter(same).or_else(astray);
        // Whoever ends badly leaves what others had offered before.
        let goes = again.or(before).is_none_or(|of| self.own.goes_with(face, &of.shown()));
        OfferPlan { again: again.cloned(), before: before.cloned(), goes }
    }

    /// A face made an offer, known to faces under this id. `copy`: the file was written for it.
    pub(super) fn offer_made(
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
    pub(super) fn own_offer_ended(&mut self, cx: &mut Context, offered: &Offered) -> bool {
        let file = offered.file();
        if let Some((path, true)) = self.own.take_place(&offered.shown()) {
            cx.effect(Effect::DiscardCopy { file, path });
        }
        self.own.forget_made(&offered.shown());
        let last = !self.catalogue.offers(self.me, file);
        if last {
            self.undo.last_offer_ended(cx, file);
            self.parked.forget(cx, file);
        }
        last
    }

    /// The offers that go with a face that ended; nothing is hashed for it any more.
    pub(super) fn end_face(&mut self, cx: &mut Context, face: FaceId) -> Vec<EntryId> {
        self.hashing.end_face(cx, face);
        self.own.take_made_by(face)
    }

    /// The room was left, and with it what was offered there and what was going to be.
    pub(super) fn left(&mut self, cx: &mut Context) {
        self.undo.forget_all(cx);
        self.own.forget_all_made();
        self.hashing.drop_all(cx);
    }

    // What can be had again.

    /// The room is about to be left: lays aside what is offered in it, if it is served.
    pub(super) fn park(&mut self, cx: &mut Context, place: ParkingPlace, swarm: &Swarm) {
        let own = self.offered_by(self.me).filter(|file| swarm.holds_all(file));
        let files: BTreeSet<_> = own.collect();
        // A room in which nothing was offered does not take the place of one that has offers.
        if files.is_empty() {
            return;
        }
        // Whoever comes back to the room finds own offers under the ids of their entries.
        let own = self.catalogue.offers_by(self.me);
        self.own.rename(&own.map(|offered| (offered.shown(), offered.id())).collect());
        self.parked.park(cx, place, files);
    }

    /// An offer of an earlier stay in this room came with its history.
    pub(super) fn came_back(
        &mut self,
        cx: &mut Context,
        place: &ParkingPlace,
        file: FileId,
        swarm: &Swarm,
    ) {
        if !swarm.holds_all(&file) {
            self.parked.check(cx, place, file);
        }
    }

    /// A file that was laid aside was looked at: the offer that is served again, or has to be taken
    /// back because the file changed.
    pub(super) fn parked_checked(
        &mut self,
        cx: &mut Context,
        place: &ParkingPlace,
        (file, intact): (FileId, bool),
        swarm: &Swarm,
    ) -> Option<&Offered> {
        // Left again, locked anew, or withdrawn meanwhile: then it stays where it is.
        if swarm.holds_all(&file) || !self.parked.is_at(place) {
            self.parked.not_now(&file);
            return None;
        }
        let offered = self.catalogue.offers_of(self.me, file).next()?;
        self.parked.take(cx, file, intact).then_some(offered)
    }

    /// Names of own offers that stand in this room and that nobody here can fetch.
    pub(super) fn unserved(
        &self,
        place: &ParkingPlace,
        swarm: &Swarm,
        members: &Members,
    ) -> BTreeSet<String> {
        let lookup = self.lookup(swarm, members);
        let served = |file: &FileId| {
            swarm.holds_all(file)
                || self.parked.is_checking(place, file)
                || lookup.hosts_of(file) > 0
        };
        let own = self.catalogue.offers_by(self.me);
        own.filter(|of| !served(&of.file())).map(|offered| offered.name().short()).collect()
    }

    /// It is served no more, here or on coming back.
    pub(super) fn forget_parked(&mut self, cx: &mut Context, file: FileId) {
        self.parked.forget(cx, file);
    }

    /// An own offer is about to be taken back, to be had again for a while: where its file lies.
    pub(super) fn begin_taking_back(
        &mut self,
        cx: &mut Context,
        offered: &Offered,
        swarm: &Swarm,
    ) -> Option<(PathBuf, bool)> {
        let file = offered.file();
        let last = self.catalogue.offers_of(self.me, file).count() == 1;
        if last && swarm.holds_all(&file) {
            self.parked.forget(cx, file);
            self.undo.lay_aside(cx, file);
        }
        self.own.take_place(&offered.shown())
    }

    /// It could not be taken back.
    pub(super) fn not_taken_back(
        &mut self,
        cx: &mut Context,
        offered: &Offered,
        place: Option<(PathBuf, bool)>,
    ) {
        if let Some((path, copy)) = place {
            self.own.put_place(offered.shown(), path, copy);
        }
        self.undo.offered_again(cx, offered.file());
    }

    /// It was taken back; what was not `served` as a whole is not here to be offered again.
    pub(super) fn taken_back(
        &mut self,
        cx: &mut Context,
        offered: &Offered,
        place: Option<(PathBuf, bool)>,
        served: bool,
    ) {
        self.undo.taken_back(cx, offered, place, served);
    }

    /// The offer that was taken back under this id, if it can be had again.
    pub(super) fn can_be_restored(&self, shown: &EntryId, swarm: &Swarm) -> Option<Offer> {
        self.undo.offer(shown, |file| swarm.holds_all(file))
    }

    /// It is offered again, under another id. The file that is served again with it, if it was
    /// served no more.
    pub(super) fn restored(
        &mut self,
        cx: &mut Context,
        shown: &EntryId,
        now: EntryId,
    ) -> Option<FileId> {
        let (file, place) = self.undo.take(cx, shown)?;
        if let Some((path, copy)) = place {
            self.own.put_place(now, path, copy);
        }
        self.undo.resume(cx, file).then_some(file)
    }

    /// The same content is served by other means.
    pub(super) fn offered_again(&mut self, cx: &mut Context, file: FileId) {
        self.undo.offered_again(cx, file);
    }

    /// What was taken back is so for good by now.
    pub(super) fn undo_due(&mut self, cx: &mut Context) {
        self.undo.due(cx);
    }

    /// Nobody can undo anything any more.
    pub(super) fn forget_taken_back(&mut self, cx: &mut Context) {
        self.undo.forget_all(cx);
    }

    // What is being hashed.

    /// The jobs of hashing.
    pub(super) fn hashing(&mut self) -> &mut Hashing {
        &mut self.hashing
    }

    pub(super) fn is_hashing(&self) -> bool {
        !self.hashing.is_idle()
    }

    /// What is being hashed, in the order asked; what waits for its turn comes last.
    pub(super) fn hash_rows(&self, now: Millis) -> Vec<TransferLine> {
        self.hashing.rows(now)
    }
}
