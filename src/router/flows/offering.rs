//! Offers of the room, as their entries come; and those of this node, from the file that is hashed
//! to the offer that is taken back.

use std::sync::Arc;

use crate::router::Router;
use crate::router::event::{Effect, Hashed};
use crate::router::files::{Lookup, OfferPlan, Offered, ParkingPlace};
use crate::router::ids::{EntryId, FaceId, FileId, MemberId};
use crate::router::log::{Order, order_text};
use crate::router::notice::{Code, Failure, Notice};
use crate::router::signed::{Kind, Offer, SignedEntry};
use crate::router::text::Untrusted;

/// Files that are named one by one.
const NAMED_MAX: usize = 4;

impl Router {
    /// What is offered, in view of who is here and holds what.
    pub(in crate::router) fn lookup(&self) -> Lookup<'_> {
        self.files.lookup(&self.swarm, &self.members)
    }

    // Entries.

    pub(in crate::router) fn offered(
        &mut self,
        entry: &Arc<SignedEntry>,
        offer: &Offer,
        order: Order,
        again: bool,
        history: bool,
    ) {
        let author = entry.body.chain.author;
        let own = author == self.cx.my_id;
        let shown = self.log.shown(&entry.id);
        let came = self.files.offer_came(entry, offer, (order, shown));
        let file = came.offered.info();
        if own && !self.log.is_own(entry) {
            if let Some(before) = &came.before {
                self.own_offer_ended(before);
            }
            if came.stands {
                let place = self.parking_place();
                self.files.came_back(&mut self.cx, &place, file.id, &self.swarm);
            }
        }
        self.swarm.say_done_with(&mut self.cx, author, file.id);
        let quiet = (again || self.members.is_ignored(&author)) && !own;
        if quiet || !came.stands || shown != entry.id {
            return;
        }
        self.cx.notify(Notice::FileOffered {
            id: shown,
            file,
            from: self.members.who(&author),
            time_ms: entry.body.time_ms,
            own,
            history,
            replaces: came.before.map(|before| before.shown()),
            order: order_text(order),
            alike: came.alike,
        });
    }

    pub(in crate::router) fn withdrawn(
        &mut self,
        entry: &Arc<SignedEntry>,
        id: EntryId,
        order: Order,
        again: bool,
        history: bool,
    ) {
        let author = entry.body.chain.author;
        let own = author == self.cx.my_id;
        let Some(offered) = self.files.withdrawn(author, id, order) else { return };
        if own && !self.log.is_own(entry) {
            // Said in an earlier stay, after an offer that was just taken up again.
            self.own_offer_ended(&offered);
        }
        if again || self.members.is_ignored(&author) {
            return;
        }
        self.cx.notify(Notice::FileWithdrawn {
            id: offered.shown(),
            file: offered.info(),
            from: self.members.who(&author),
            time_ms: entry.body.time_ms,
            own,
            history,
            order: order_text(order),
        });
    }

    /// After a fork some entries count no more.
    pub(in crate::router) fn rebuild_offers(&mut self) {
        let entries: Vec<_> = self.log.entries().cloned().collect();
        let log = &mut self.log;
        let known = |of: Arc<SignedEntry>| (log.order_of(&of), log.shown(&of.id), of);
        self.files.rebuild(entries.into_iter().map(known));
    }

    // Own offers.

    /// A file that is to be offered was hashed.
    pub(in crate::router) fn hashed(&mut self, number: u64, result: Result<Hashed, Failure>) {
        let job = self.files.hashing().take(&mut self.cx, number, &result);
        let Some(job) = job else { return };
        let (face, line) = job.of();
        let offered = result.and_then(|hashed| {
            self.desk.is_elsewhere(face, &self.room.id).map_or(Ok(()), Err)?;
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
        let Hashed { path, name, file, size, root } = hashed.clone();
        let OfferPlan { again, before, goes } = self.files.plan(face, hashed);
        let held = self.swarm.holds_all(&file);
        self.files.offered_again(&mut self.cx, file);
        let id = match &again {
            Some(offered) => offered.id(),
            None => {
                let (name, replaces) = (name.clone(), before.as_ref().map(Offered::id));
                self.post(Kind::Offer(Offer { name, size, root, replaces }))?
            }
        };
        self.cx.effect(Effect::Serve { file, job: number });
        self.swarm.share_all(&mut self.cx, file);
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

    /// An own offer does not stand any more: its file is served no more unless another own offer
    /// is of the same content.
    fn own_offer_ended(&mut self, offered: &Offered) {
        if self.files.own_offer_ended(&mut self.cx, offered) {
            self.swarm.unshare(&mut self.cx, offered.file());
        }
    }

    /// Takes own offers back.
    pub(in crate::router) fn withdraw(&mut self, offers: &[Offered]) -> Result<(), Failure> {
        for offered in offers {
            self.post(Kind::Withdraw(offered.id()))?;
            self.own_offer_ended(offered);
        }
        Ok(())
    }

    /// A face ended: nothing is hashed for it any more, and what it offered is taken back unless
    /// that is to stay.
    pub(in crate::router) fn end_offers_of(&mut self, face: FaceId, keep: bool) {
        for shown in self.files.end_face(&mut self.cx, face).iter().filter(|_| !keep) {
            // What cannot be taken back for want of room in the log ends with this program.
            let _ = self.files.own_offer(shown).cloned().map(|own| self.withdraw(&[own]));
        }
    }

    /// Stops serving a file, and takes back what was offered of it.
    fn withdraw_file(&mut self, file: FileId) -> Result<(), Failure> {
        self.withdraw(&self.files.own_of(file))?;
        self.swarm.unshare(&mut self.cx, file);
        self.files.forget_parked(&mut self.cx, file);
        Ok(())
    }

    /// A serving thread or a recheck says whether a file on disk is still what it was.
    pub(in crate::router) fn source_checked(&mut self, file: FileId, intact: bool) {
        if intact || !self.swarm.is_shared(&file) {
            return;
        }
        let name = self.files.any(&file).map(Offered::name);
        self.withdraw_changed(file, name.unwrap_or_else(|| Untrusted::new(file.short())));
    }

    fn withdraw_changed(&mut self, file: FileId, name: Untrusted) {
        if self.withdraw_file(file).is_ok() {
            self.cx.complain(Failure::new(
                Code::HostChangedFile,
                format!(
                    "{name} changed on disk since it was offered, or cannot be read any more, so \
                     it is offered no more: send it again"
                ),
            ));
        }
    }

    /// Whoever only gives waits for others and not for each other.
    pub(in crate::router) fn decline_files(&mut self) {
        let offered_by = |member: &MemberId| self.files.offered_by(*member).collect();
        self.swarm.only_give(&mut self.cx, offered_by);
    }

    // What can be had again.

    /// Takes own offers back, for good only after a while; the first failure stands for all.
    pub(in crate::router) fn take_back(&mut self, offers: &[EntryId]) -> Result<(), Failure> {
        let results: Vec<_> = offers.iter().map(|shown| self.take_one_back(shown)).collect();
        results.into_iter().collect()
    }

    fn take_one_back(&mut self, shown: &EntryId) -> Result<(), Failure> {
        let Some(offered) = self.files.own_offer(shown).cloned() else {
            let text = "you do not offer that file any more";
            return Err(Failure::new(Code::NoSuchOffer, text));
        };
        // What is not served as a whole is not here to be offered again.
        let served = self.swarm.holds_all(&offered.file());
        let place = self.files.begin_taking_back(&mut self.cx, &offered, &self.swarm);
        if let Err(failure) = self.withdraw(std::slice::from_ref(&offered)) {
            self.files.not_taken_back(&mut self.cx, &offered, place);
            return Err(failure);
        }
        self.files.taken_back(&mut self.cx, &offered, place, served);
        Ok(())
    }

    /// Offers again what was just taken back; the first failure stands for all.
    pub(in crate::router) fn restore(&mut self, offers: &[EntryId]) -> Result<(), Failure> {
        let results: Vec<_> = offers.iter().map(|shown| self.restore_one(shown)).collect();
        results.into_iter().collect()
    }

    fn restore_one(&mut self, shown: &EntryId) -> Result<(), Failure> {
        let Some(offer) = self.files.can_be_restored(shown, &self.swarm) else {
            let text = "that offer was taken back too long ago: share the file again";
            return Err(Failure::new(Code::NoSuchOffer, text));
        };
        let id = self.post(Kind::Offer(offer))?;
        let now = self.log.shown(&id);
        if let Some(file) = self.files.restored(&mut self.cx, shown, now) {
            self.swarm.share_all(&mut self.cx, file);
        }
        Ok(())
    }

    /// The room, and the closings that are in force in it.
    fn parking_place(&self) -> ParkingPlace {
        let closings = self.registry.membership().closings();
        (self.room.id, closings.map(|closing| closing.id).collect())
    }

    /// The room is about to be left, and there are no links any more: nothing is fetched or served,
    /// and what is offered in it is laid aside.
    pub(in crate::router) fn leave_files(&mut self) {
        self.swarm.drop_links(&mut self.cx);
        self.swarm.drop_downloads(&mut self.cx);
        if self.room.settled {
            let place = self.parking_place();
            self.files.park(&mut self.cx, place, &self.swarm);
        }
        self.files.left(&mut self.cx);
        self.swarm.drop_shares(&mut self.cx);
    }

    /// A file that was laid aside was looked at.
    pub(in crate::router) fn parked_checked(&mut self, file: FileId, intact: bool) {
        let place = self.parking_place();
        let found = (file, intact);
        let back = self.files.parked_checked(&mut self.cx, &place, found, &self.swarm);
        let Some(name) = back.map(Offered::name) else { return };
        if intact {
            self.swarm.share_all(&mut self.cx, file);
            self.cx.remark(format!("you serve {name} again"));
        } else {
            self.withdraw_changed(file, name);
        }
    }

    /// Tells of own offers that stand in this room and that nobody here can fetch.
    pub(in crate::router) fn tell_unserved(&mut self) {
        let unserved = self.files.unserved(&self.parking_place(), &self.swarm, &self.members);
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
