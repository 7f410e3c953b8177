//! Own offers of a room that was left: served again when this node comes back to it.
//!
//! An offer outlives its author's stay in the log of the room, and in nothing else: what served it
//! is laid aside at `leave` and taken up again only in the very room that it was offered in, under
//! the very lock that held when it was left, and only if the file did not change meanwhile. So a
//! file is never served to anybody whom it was not offered to.

use std::collections::{BTreeMap, BTreeSet};

use crate::router::context::Context;
use crate::router::event::{Effect, Parking};
use crate::router::ids::{FileId, RecordId, RoomId};

/// A room, and the closings that are in force in it.
pub(in crate::router) type ParkingPlace = (RoomId, Vec<RecordId>);

/// What was offered in the room that was left last.
#[derive(Debug, Default)]
pub(super) struct Parked {
    place: Option<ParkingPlace>,
    /// True while the file is being looked at, in order to be served again.
    files: BTreeMap<FileId, bool>,
}

impl Parked {
    /// Whether this is where the offers stood.
    pub(super) fn is_at(&self, place: &ParkingPlace) -> bool {
        self.place.as_ref() == Some(place)
    }

    /// Lays files aside, in place of those of another room.
    pub(super) fn park(&mut self, cx: &mut Context, place: ParkingPlace, files: BTreeSet<FileId>) {
        if !self.is_at(&place) {
            for file in std::mem::take(&mut self.files).into_keys() {
                cx.effect(Effect::Park { file, step: Parking::Forget });
            }
            self.place = Some(place);
        }
        for file in files {
            self.files.insert(file, false);
            cx.effect(Effect::Park { file, step: Parking::Begin });
        }
    }

    /// Has a file looked at that was laid aside there.
    pub(super) fn check(&mut self, cx: &mut Context, place: &ParkingPlace, file: FileId) {
        let here = self.is_at(place);
        if let Some(checking) = self.files.get_mut(&file).filter(|_| here) {
            *checking = true;
            cx.effect(Effect::Park { file, step: Parking::Check });
        }
    }

    /// A file that was looked at stays aside.
    pub(super) fn not_now(&mut self, file: &FileId) {
        self.files.entry(*file).and_modify(|checking| *checking = false);
    }

    pub(super) fn is_checking(&self, place: &ParkingPlace, file: &FileId) -> bool {
        self.is_at(place) && self.files.get(file).is_some_and(|checking| *checking)
    }

    /// Takes a file up again, or forgets it because it changed; false if it is not aside.
    pub(super) fn take(&mut self, cx: &mut Context, file: FileId, intact: bool) -> bool {
        let aside = self.files.remove(&file).is_some();
        if aside {
            let step = if intact { Parking::Resume } else { Parking::Forget };
            cx.effect(Effect::Park { file, step });
        }
        aside
    }

    /// A file is served no more, here or on coming back.
    pub(super) fn forget(&mut self, cx: &mut Context, file: FileId) {
        self.take(cx, file, false);
    }
}
