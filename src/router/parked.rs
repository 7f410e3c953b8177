//! Own offers of a room that was left: served again when this node comes back to it.
//!
//! An offer outlives its author's stay in the log of the room, and in nothing else: what served it
//! is laid aside at `leave` and taken up again only in the very room that it was offered in, under
//! the very lock that held when it was left, and only if the file did not change meanwhile. So a
//! file is never served to anybody whom it was not offered to.

use std::collections::{BTreeMap, BTreeSet};

use super::Router;
use super::event::{Effect, Parking};
use super::ids::{FileId, RecordId, RoomId};
use super::text::Untrusted;

/// Files that are named one by one.
const NAMED_MAX: usize = 4;

/// What was offered in the room that was left last.
#[derive(Debug, Default)]
pub(super) struct Parked {
    place: Option<(RoomId, Vec<RecordId>)>,
    files: BTreeMap<FileId, ParkedFile>,
}

/// An offer that is laid aside.
#[derive(Debug)]
struct ParkedFile {
    /// Its file is being looked at, in order to be served again.
    checking: bool,
}

impl Router {
    fn is_parked_here(&self) -> bool {
        self.parked.place == Some(self.parking_place())
    }

    /// The room, and the closings that are in force in it.
    fn parking_place(&self) -> (RoomId, Vec<RecordId>) {
        let closings = self.registry.membership().closings();
        (self.room.id, closings.map(|closing| closing.id).collect())
    }

    /// The room is about to be left: lays aside what is offered in it.
    pub(super) fn park_offers(&mut self) {
        let offered = self.catalogue.offers_by(self.cx.my_id).map(|offered| offered.file);
        let files: BTreeSet<_> = offered.filter(|file| self.swarm.holds_all(file)).collect();
        // A room in which nothing was offered does not take the place of one that has offers.
        if files.is_empty() || !self.room.settled {
            return;
        }
        if !self.is_parked_here() {
            for file in std::mem::take(&mut self.parked.files).into_keys() {
                self.cx.effect(Effect::Park { file, step: Parking::Forget });
            }
            self.parked.place = Some(self.parking_place());
        }
        self.unalias_paths();
        for file in files {
            self.parked.files.insert(file, ParkedFile { checking: false });
            self.cx.effect(Effect::Park { file, step: Parking::Begin });
        }
    }

    /// An offer of an earlier stay in this room came with its history.
    pub(super) fn offer_came_back(&mut self, file: FileId) {
        let here = self.is_parked_here() && !self.swarm.holds_all(&file);
        if let Some(laid) = self.parked.files.get_mut(&file).filter(|_| here) {
            laid.checking = true;
            self.cx.effect(Effect::Park { file, step: Parking::Check });
        }
    }

    /// A file that was laid aside was looked at.
    pub(super) fn parked_checked(&mut self, file: FileId, intact: bool) {
        // Left again, locked anew, or withdrawn meanwhile: then it stays where it is.
        if !self.is_parked_here() || self.swarm.holds_all(&file) {
            self.parked.files.get_mut(&file).into_iter().for_each(|laid| laid.checking = false);
            return;
        }
        let offered = self.catalogue.offers_of(self.cx.my_id, file).next();
        let Some(name) = offered.map(|offered| Untrusted::new(&offered.name)) else { return };
        if self.parked.files.remove(&file).is_none() {
            return;
        }
        let step = if intact { Parking::Resume } else { Parking::Forget };
        self.cx.effect(Effect::Park { file, step });
        if intact {
            self.swarm.share_all(&mut self.cx, file);
            self.cx.remark(format!("you serve {name} again"));
        } else if self.withdraw_file(file).is_ok() {
            self.complain_of_change(&name);
        }
    }

    /// It is served no more, here or on coming back.
    pub(super) fn forget_parked(&mut self, file: FileId) {
        if self.parked.files.remove(&file).is_some() {
            self.cx.effect(Effect::Park { file, step: Parking::Forget });
        }
    }

    /// Tells of own offers that stand in this room and that nobody here can fetch.
    pub(super) fn tell_unserved(&mut self) {
        let here = self.is_parked_here();
        let served = |file: &FileId| {
            self.swarm.holds_all(file)
                || here && self.parked.files.get(file).is_some_and(|laid| laid.checking)
                || self.hosts_of(file) > 0
        };
        let own = self.catalogue.offers_by(self.cx.my_id);
        let unserved: BTreeSet<String> = own
            .filter(|offered| !served(&offered.file))
            .map(|offered| Untrusted::new(&offered.name).short())
            .collect();
        let (first, verb) = match unserved.len() {
            0 => return,
            1 => ("an offer of yours".to_owned(), "is"),
            count => (format!("{count} offers of yours"), "are"),
        };
        let mut names: Vec<String> = unserved.iter().take(NAMED_MAX).cloned().collect();
        if unserved.len() > NAMED_MAX {
            names.push(format!("{} more", unserved.len() - NAMED_MAX));
        }
        let them = if unserved.len() == 1 { "it" } else { "them" };
        self.cx.remark(format!(
            "{first} from an earlier stay {verb} not served now: {}; send {them} again, or cancel \
             {them}",
            names.join(", ")
        ));
    }
}
