//! Own offers, from hashing the file to withdrawing the offer and undoing that.

use crate::files::merkle;
use crate::router::Router;
use crate::router::event::{Effect, Hashed};
use crate::router::files::Offered;
use crate::router::files::own::OfferPlan;
use crate::router::ids::{EntryId, FaceId, FileId};
use crate::router::notice::{Code, Failure, Notice};
use crate::router::signed::{Kind, Offer};
use crate::router::text::Untrusted;

impl Router {
    /// A file to be offered was hashed.
    pub(crate) fn hashed(&mut self, number: u64, result: Result<Hashed, Failure>) {
        let job = self.files.hashing().take(&mut self.cx, number, &result);
        let Some(job) = job else { return };
        let (face, line) = job.of();
        let offered = result.and_then(|hashed| {
            self.desk.is_elsewhere(face, &self.stay.room()).map_or(Ok(()), Err)?;
            self.must_be_in()?;
            self.offer(number, (face, job.is_copy()), &hashed)
        });
        if offered.is_err() {
            self.cx.effect(Effect::CancelHash { job: number });
        }
        if let (true, Ok(id)) = (job.is_copy(), &offered) {
            let row = self.files.get(id).map(|offered| self.lookup().row(offered));
            let notice = Notice::Files { list: row.into_iter().collect() };
            self.cx.effect(Effect::Tell { face, line, notice });
        }
        self.files.hashing().end(&mut self.cx, job, offered.map(|_| ()));
    }

    fn offer(
        &mut self,
        number: u64,
        (face, copy): (FaceId, bool),
        hashed: &Hashed,
    ) -> Result<EntryId, Failure> {
        let Hashed { path, name, file, size, root, folder, left_out } = hashed.clone();
        let OfferPlan { again, before, goes } = self.files.plan(face, hashed);
        let held = self.swarm.holds_all(&file);
        self.files.offered_again(&mut self.cx, file);
        let id = match &again {
            Some(offered) => offered.id(),
            None => {
                let (name, replaces) = (name.clone(), before.as_ref().map(Offered::id));
                self.post(Kind::Offer(Offer { name, size, root, folder, replaces }))?
            }
        };
        self.cx.effect(Effect::Serve { file, job: number });
        self.share_offered(file, folder.map(|_| merkle::file_id(size, &root)));
        if let Some(left_out) = left_out {
            let name = Untrusted::new(&*name);
            self.cx.remark(format!("left out of {name}: {left_out}"));
        }
        if again.is_some() {
            let name = Untrusted::new(name);
            let (how, since) = if held { ("offer", "already") } else { ("serve", "again") };
            self.cx.remark(format!("you {how} {name} {since}"));
        } else if let Some(before) = before {
            self.own_offer_ended(&before);
        }
        self.files.offer_made(face, (self.log.shown(&id), goes), (file, path, copy));
        self.desk.remark_alone(&mut self.cx, &self.members);
        Ok(id)
    }

    /// All of what is offered is here, and with a folder its manifest.
    fn share_offered(&mut self, file: FileId, manifest: Option<FileId>) {
        match manifest {
            Some(manifest) => self.swarm.share_folder(&mut self.cx, file, manifest),
            None => self.swarm.share_all(&mut self.cx, file),
        }
    }

    fn manifest_of(&self, file: &FileId) -> Option<FileId> {
        Some(self.files.any(file)?.named_file().folder?.manifest)
    }

    /// Takes own offers back.
    pub(crate) fn withdraw(&mut self, offers: &[Offered]) -> Result<(), Failure> {
        for offered in offers {
            self.post(Kind::Withdraw(offered.id()))?;
            self.own_offer_ended(offered);
        }
        Ok(())
    }

    /// A face ended: nothing more is hashed for it, and its offers are withdrawn unless they should
    /// stay.
    pub(crate) fn end_offers_of(&mut self, face: FaceId, keep: bool) {
        for shown in self.files.end_face(&mut self.cx, face).iter().filter(|_| !keep) {
            // Offers that cannot be withdrawn, because the log is full, end with this program.
            let _ = self.files.own_offer(shown).cloned().map(|own| self.withdraw(&[own]));
        }
    }

    /// Stops serving a file, and withdraws its offers.
    fn withdraw_file(&mut self, file: FileId) -> Result<(), Failure> {
        self.withdraw(&self.files.own_of(file))?;
        self.swarm.unshare(&mut self.cx, file);
        self.files.forget_parked(&mut self.cx, file);
        Ok(())
    }

    /// A serving thread or a recheck reports whether a file on disk, or all files in a folder, are
    /// still the same; if not, which file in a folder is not.
    pub(crate) fn source_checked(&mut self, file: FileId, intact: bool, path: Option<&str>) {
        if intact || !self.swarm.is_shared(&file) {
            return;
        }
        let name = self.files.any(&file).map(Offered::name);
        let name = name.unwrap_or_else(|| Untrusted::new(file.short()));
        self.withdraw_changed(file, name, path.map(Untrusted::new));
    }

    fn withdraw_changed(&mut self, file: FileId, name: Untrusted, path: Option<Untrusted>) {
        if self.withdraw_file(file).is_ok() {
            let (what, offered) = match path {
                Some(path) => (format!("{path} in {name}"), name.to_string()),
                None => (name.to_string(), "it".to_owned()),
            };
            self.cx.complain(Failure::new(
                Code::HostChangedFile,
                format!(
                    "{what} changed on disk since it was offered, or cannot be read any more, so \
                     {offered} is no longer offered: send it again"
                ),
            ));
        }
    }

    // Offers that can be restored.

    /// Withdraws own offers, at first so that they can be restored; returns the first failure.
    pub(crate) fn take_back(&mut self, offers: &[EntryId]) -> Result<(), Failure> {
        let results: Vec<_> = offers.iter().map(|shown| self.take_one_back(shown)).collect();
        results.into_iter().collect()
    }

    fn take_one_back(&mut self, shown: &EntryId) -> Result<(), Failure> {
        let Some(offered) = self.files.own_offer(shown).cloned() else {
            let text = "you no longer offer that file";
            return Err(Failure::new(Code::NoSuchOffer, text));
        };
        self.files.take_back(&mut self.cx, &offered, &self.swarm);
        let result = self.withdraw(std::slice::from_ref(&offered));
        if result.is_err() {
            self.files.not_taken_back(&mut self.cx, &offered);
        }
        result
    }

    /// Restores offers that were just withdrawn; returns the first failure.
    pub(crate) fn restore(&mut self, offers: &[EntryId]) -> Result<(), Failure> {
        let results: Vec<_> = offers.iter().map(|shown| self.restore_one(shown)).collect();
        results.into_iter().collect()
    }

    fn restore_one(&mut self, shown: &EntryId) -> Result<(), Failure> {
        let Some(offer) = self.files.can_be_restored(shown, &self.swarm) else {
            let text = "that offer was withdrawn too long ago: share the file again";
            return Err(Failure::new(Code::NoSuchOffer, text));
        };
        let id = self.post(Kind::Offer(offer))?;
        let now = self.log.shown(&id);
        if let Some(file) = self.files.restored(&mut self.cx, shown, now) {
            let manifest = self.manifest_of(&file);
            self.share_offered(file, manifest);
        }
        Ok(())
    }

    /// A parked file was checked.
    pub(crate) fn parked_checked(&mut self, file: FileId, intact: bool) {
        let place = self.parking_place();
        let found = (file, intact);
        let back = self.files.parked_checked(&mut self.cx, &place, found, &self.swarm);
        let Some(name) = back.map(Offered::name) else { return };
        if intact {
            let manifest = self.manifest_of(&file);
            self.share_offered(file, manifest);
            self.cx.remark(format!("you serve {name} again"));
        } else {
            self.withdraw_changed(file, name, None);
        }
    }
}
