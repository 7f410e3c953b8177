//! Own offers that were just taken back: for a while the person can have them back, and until then
//! what served them is laid aside and a copy that was made for a page stays.

use std::collections::BTreeMap;

use super::Router;
use super::event::{Effect, Parking};
use super::ids::{FaceId, FileId};
use super::notice::{Code, Failure};
use super::signed::{Kind, Offer};
use super::time::{Earliest, Millis};

/// So long an offer that was taken back can be had again.
const UNDO_MS: u64 = 10_000;
/// Offers that are laid aside so: each keeps a file open. The oldest give way.
const KEPT_MAX: usize = 256;

/// What was taken back, by file.
#[derive(Debug, Default)]
pub(super) struct Undo {
    kept: BTreeMap<FileId, Kept>,
}

/// An offer that was taken back.
#[derive(Debug)]
struct Kept {
    offer: Offer,
    until: Millis,
}

impl Router {
    /// Takes an own offer back, for good only after a while.
    pub(super) fn take_back(&mut self, face: FaceId, line: u64, file: FileId) {
        let Some(offered) = self.catalogue.offers_of(self.my_id, file) else {
            let text = "you do not offer that file any more";
            let failure = Failure::new(Code::NoSuchOffer, text);
            return self.reply(face, line, "withdraw", Err(failure));
        };
        let (name, size, root) = (offered.name.clone(), offered.size, offered.root);
        if self.sharing.holds_all(&file) {
            self.forget_parked(file);
            self.effect(Effect::Park { file, step: Parking::Begin });
            let until = self.now.plus(UNDO_MS);
            self.undo.kept.insert(file, Kept { offer: Offer { name, size, root }, until });
        }
        let result = self.withdraw(file);
        if result.is_err() {
            self.offered_again(file);
        }
        let oldest = self.undo.kept.iter().min_by_key(|(_, kept)| kept.until);
        if let Some((&oldest, _)) = oldest.filter(|_| self.undo.kept.len() > KEPT_MAX) {
            self.forget_taken_back(oldest);
        }
        self.reply(face, line, "withdraw", result);
    }

    /// Offers again what was just taken back.
    pub(super) fn restore(&mut self, face: FaceId, line: u64, file: FileId) {
        let result = match self.undo.kept.get(&file).map(|kept| kept.offer.clone()) {
            Some(offer) => self.offer_again(file, offer),
            None => {
                let text = "that offer was taken back too long ago: share the file again";
                Err(Failure::new(Code::NoSuchOffer, text))
            }
        };
        self.reply(face, line, "restore", result);
    }

    fn offer_again(&mut self, file: FileId, offer: Offer) -> Result<(), Failure> {
        self.utter(Kind::Offer(offer))?;
        self.undo.kept.remove(&file);
        self.effect(Effect::Park { file, step: Parking::Resume });
        self.sharing.share_all(file);
        self.tell_hosting(file);
        Ok(())
    }

    /// The same content is offered by other means: there is nothing left to undo.
    pub(super) fn offered_again(&mut self, file: FileId) {
        if self.undo.kept.remove(&file).is_some() {
            self.effect(Effect::Park { file, step: Parking::Forget });
        }
    }

    /// It is taken back for good.
    fn forget_taken_back(&mut self, file: FileId) {
        if self.undo.kept.remove(&file).is_some() {
            self.effect(Effect::Park { file, step: Parking::Forget });
            self.discard_copy(file);
        }
    }

    /// The room is left or the program ends: nobody can undo anything there.
    pub(super) fn forget_all_taken_back(&mut self) {
        while let Some((&file, _)) = self.undo.kept.first_key_value() {
            self.forget_taken_back(file);
        }
    }

    pub(super) fn undo_timers(&mut self) {
        let due = |kept: &Kept| kept.until <= self.now;
        let due = self.undo.kept.iter().filter(|(_, kept)| due(kept)).map(|(file, _)| *file);
        for file in due.collect::<Vec<_>>() {
            self.forget_taken_back(file);
        }
    }

    pub(super) fn undo_deadlines(&self, earliest: &mut Earliest) {
        for kept in self.undo.kept.values() {
            earliest.at(kept.until);
        }
    }
}
