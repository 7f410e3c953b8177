//! Own offers of a room that was left, which are served again when this node comes back to it.
//!
//! An offer outlives its author's stay in the room's log. Its source is parked at `leave`, and
//! restored only in the same room, with the same closings in force, and only if the file did not
//! change. So a file is never served to anybody to whom it was not offered.

use std::collections::BTreeSet;

use super::{Files, Offered, ParkingPlace};
use crate::router::context::Context;
use crate::router::event::{Effect, Parking};
use crate::router::ids::FileId;
use crate::router::members::Members;
use crate::router::swarm::Swarm;

impl Files {
    fn is_parked_in(&self, place: &ParkingPlace) -> bool {
        self.parked_in.as_ref() == Some(place)
    }

    /// The room is about to be left: parks what is offered in it, if it is served.
    pub(crate) fn park(&mut self, cx: &mut Context, place: ParkingPlace, swarm: &Swarm) {
        let own = self.offered_by(self.me).filter(|file| swarm.holds_all(file));
        let files: BTreeSet<_> = own.collect();
        // A room without offers does not replace one that has offers.
        if files.is_empty() {
            return;
        }
        // Back in the room, own offers are found by the ids of their entries.
        let own = self.catalogue.offers_by(self.me);
        self.own.rename(&own.map(|offered| (offered.shown(), offered.id())).collect());
        if !self.is_parked_in(&place) {
            for file in std::mem::take(&mut self.parked).into_keys() {
                cx.effect(Effect::Park { file, step: Parking::Forget });
            }
            self.parked_in = Some(place);
        }
        for file in files {
            self.parked.insert(file, false);
            cx.effect(Effect::Park { file, step: Parking::Begin });
        }
    }

    /// An offer from an earlier stay in this room came with its history.
    pub(crate) fn came_back(
        &mut self,
        cx: &mut Context,
        place: &ParkingPlace,
        file: FileId,
        swarm: &Swarm,
    ) {
        let here = self.is_parked_in(place) && !swarm.holds_all(&file);
        if let Some(checking) = self.parked.get_mut(&file).filter(|_| here) {
            *checking = true;
            cx.effect(Effect::Park { file, step: Parking::Check });
        }
    }

    /// A parked file was checked: returns the offer that is served again, or that must be withdrawn
    /// because the file changed.
    pub(crate) fn parked_checked(
        &mut self,
        cx: &mut Context,
        place: &ParkingPlace,
        (file, intact): (FileId, bool),
        swarm: &Swarm,
    ) -> Option<&Offered> {
        // If it was left again, closed differently, or withdrawn meanwhile, it stays parked.
        if swarm.holds_all(&file) || !self.is_parked_in(place) {
            self.parked.entry(file).and_modify(|checking| *checking = false);
            return None;
        }
        let offered = self.catalogue.offers_of(self.me, file).next()?;
        self.parked.remove(&file)?;
        let step = if intact { Parking::Resume } else { Parking::Forget };
        cx.effect(Effect::Park { file, step });
        Some(offered)
    }

    /// Names of own offers that stand in this room but that nobody here can fetch.
    pub(crate) fn unserved(
        &self,
        place: &ParkingPlace,
        swarm: &Swarm,
        members: &Members,
    ) -> BTreeSet<String> {
        let lookup = self.lookup(swarm, members);
        let here = self.is_parked_in(place);
        let served = |file: &FileId| {
            swarm.holds_all(file)
                || here && self.parked.get(file).is_some_and(|checking| *checking)
                || lookup.hosts_of(file) > 0
        };
        let own = self.catalogue.offers_by(self.me);
        own.filter(|of| !served(&of.file())).map(|offered| offered.name().short()).collect()
    }

    /// A file is no longer served, neither here nor on coming back.
    pub(crate) fn forget_parked(&mut self, cx: &mut Context, file: FileId) {
        if self.parked.remove(&file).is_some() {
            cx.effect(Effect::Park { file, step: Parking::Forget });
        }
    }
}
