//! What this node holds and serves: offering, withdrawing, and telling others which chunks there
//! are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Router;
use super::catalogue::Offered;
use super::command::RateLimit;
use super::event::{Effect, Hashed};
use super::ids::{EntryId, FaceId, FileId};
use super::notice::{Code, Failure, Notice};
use super::signed::{Kind, Offer};
use super::text::{Untrusted, size};

/// Paths of own offers that are kept in mind.
const PATHS_MAX: usize = 65_536;

/// How files are bounded, for people.
fn limit_text(up: bool, bytes_per_second: Option<u64>) -> String {
    let way = if up { "upload" } else { "download" };
    match bytes_per_second {
        Some(rate) => format!("{way} limit: {}/s", size(rate)),
        None => format!("no {way} limit"),
    }
}

/// Shares, own offers and what was served.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// Where the files of own offers lie, in this room or in one that was left, by the ids that
    /// faces know; true for a copy that was made for a page, and goes with the offer.
    lying: BTreeMap<(PathBuf, EntryId), bool>,
    /// What each face offered, by the ids that faces know: the file, and whether the offer goes
    /// with the face, for it did not stand before.
    offered_by: BTreeMap<FaceId, BTreeMap<EntryId, (FileId, bool)>>,
}

impl Sharing {
    /// The files that a face offered and that still are offered.
    pub(super) fn files_of(&self, face: FaceId) -> BTreeSet<FileId> {
        let offered = self.offered_by.get(&face).into_iter().flatten();
        offered.map(|(_, (file, _))| *file).collect()
    }

    /// The same as offers, by the ids that faces know.
    pub(super) fn offers_of(&self, face: FaceId) -> impl Iterator<Item = EntryId> {
        self.offered_by.get(&face).into_iter().flatten().map(|(shown, _)| *shown)
    }

    /// An offer goes with a face: it was made for it.
    fn goes_with(&self, face: FaceId, shown: &EntryId) -> bool {
        self.offered_by.get(&face).and_then(|of| of.get(shown)).is_some_and(|(_, goes)| *goes)
    }

    /// A face ended: its offers that go with it. Those that another face made as well go with that
    /// one from now on.
    fn take_offers_of(&mut self, face: FaceId) -> Vec<EntryId> {
        let offered = self.offered_by.remove(&face).unwrap_or_default();
        let mut going = Vec::new();
        for (shown, _) in offered.into_iter().filter(|(_, (_, goes))| *goes) {
            match self.offered_by.values_mut().find_map(|of| of.get_mut(&shown)) {
                Some((_, goes)) => *goes = true,
                None => going.push(shown),
            }
        }
        going
    }

    /// An offer does not stand any more, whichever face made it.
    fn forget_offered(&mut self, shown: &EntryId) {
        self.offered_by.retain(|_, offered| {
            offered.remove(shown);
            !offered.is_empty()
        });
    }

    /// The path of an offer is not known: it was made by an earlier run.
    fn is_astray(&self, offer: &EntryId) -> bool {
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
}

impl Router {
    /// An own offer of this name that stands and whose file lies at a path.
    fn offered_at(&self, path: &Path, name: &str) -> Option<Offered> {
        let first = (path.to_owned(), EntryId([0; 32]));
        let here = self.sharing.lying.range(first..).take_while(|((at, _), _)| at == path);
        let mut offers = here.filter_map(|((_, offer), _)| self.own_offer(offer));
        offers.find(|offered| offered.name == name)
    }

    /// An own offer that stands, by the id that faces know.
    pub(super) fn own_offer(&self, shown: &EntryId) -> Option<Offered> {
        let own = |offered: &&Offered| offered.author == self.cx.my_id;
        let aliased = || {
            // Signed anew for another room: few were offered while alone.
            let mut own = self.catalogue.offers_by(self.cx.my_id);
            own.find(|offered| self.log.shown(&offered.id) == *shown)
        };
        self.catalogue.get(shown).filter(own).or_else(aliased).cloned()
    }

    /// Whoever comes back to the room finds own offers under the ids of their entries.
    pub(super) fn unalias_paths(&mut self) {
        let own = self.catalogue.offers_by(self.cx.my_id);
        let ids: BTreeMap<_, _> = own.map(|own| (self.log.shown(&own.id), own.id)).collect();
        let lying = std::mem::take(&mut self.sharing.lying).into_iter();
        let now = |offer: EntryId| ids.get(&offer).copied().unwrap_or(offer);
        let lying = lying.map(|((path, offer), copy)| ((path, now(offer)), copy));
        self.sharing.lying = lying.collect();
    }

    pub(super) fn offer(
        &mut self,
        number: u64,
        (face, copy): (FaceId, bool),
        hashed: &Hashed,
    ) -> Result<EntryId, Failure> {
        let Hashed { path, name, file, size, root } = hashed;
        let file = *file;
        // Under another name it is another thing.
        let before = self.offered_at(path, name);
        let same = |offered: &Offered| offered.file == file && offered.name == *name;
        // An offer outlives the program that made it, and comes back with the room.
        let astray = || {
            let mut own = self.catalogue.offers_of(self.cx.my_id, file);
            let astray = |id: &EntryId| self.sharing.is_astray(&self.log.shown(id));
            own.find(|offered| same(offered) && astray(&offered.id)).cloned()
        };
        let again = before.clone().filter(same).or_else(astray);
        let held = self.swarm.holds_all(&file);
        // Whoever ends badly leaves what others had offered before.
        let goes = match again.as_ref().or(before.as_ref()) {
            Some(stood) => self.sharing.goes_with(face, &self.log.shown(&stood.id)),
            None => true,
        };
        self.offered_again(file);
        let id = match &again {
            Some(offered) => offered.id,
            None => {
                let replaces = before.as_ref().map(|before| before.id);
                let (name, size, root) = (name.clone(), *size, *root);
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
        let shown = self.log.shown(&id);
        self.sharing.put_place(shown, path.clone(), copy);
        self.sharing.offered_by.entry(face).or_default().insert(shown, (file, goes));
        self.desk.remark_alone(&mut self.cx, &self.members);
        Ok(id)
    }

    /// An own offer does not stand any more: its copy goes, and its file is served no more unless
    /// another own offer is of the same content.
    pub(super) fn own_offer_ended(&mut self, offered: &Offered) {
        let file = offered.file;
        let shown = self.log.shown(&offered.id);
        if let Some((path, true)) = self.sharing.take_place(&shown) {
            self.cx.effect(Effect::DiscardCopy { file, path });
        }
        self.sharing.forget_offered(&shown);
        if !self.catalogue.offers(self.cx.my_id, file) {
            self.last_offer_ended(file);
            self.swarm.unshare(&mut self.cx, file);
            self.forget_parked(file);
        }
    }

    /// Takes own offers back.
    pub(super) fn withdraw(&mut self, offers: &[Offered]) -> Result<(), Failure> {
        for offered in offers {
            self.post(Kind::Withdraw(offered.id))?;
            self.own_offer_ended(offered);
        }
        Ok(())
    }

    /// A face ended: nothing is hashed for it any more, and what it offered is taken back unless
    /// that is to stay.
    pub(super) fn end_offers_of(&mut self, face: FaceId, keep: bool) {
        self.end_jobs_of(face);
        for shown in self.sharing.take_offers_of(face).iter().filter(|_| !keep) {
            // What cannot be taken back for want of room in the log ends with this program.
            let _ = self.own_offer(shown).map(|offered| self.withdraw(&[offered]));
        }
    }

    /// Stops serving a file, and takes back what was offered of it.
    pub(super) fn withdraw_file(&mut self, file: FileId) -> Result<(), Failure> {
        let own: Vec<_> = self.catalogue.offers_of(self.cx.my_id, file).cloned().collect();
        self.withdraw(&own)?;
        self.swarm.unshare(&mut self.cx, file);
        self.forget_parked(file);
        Ok(())
    }

    /// A serving thread or a recheck says whether a file on disk is still what it was.
    pub(super) fn source_checked(&mut self, file: FileId, intact: bool) {
        if intact {
            return;
        }
        let name = self.catalogue.any(&file).map(|offered| Untrusted::new(&offered.name));
        let name = name.unwrap_or_else(|| Untrusted::new(file.short()));
        if self.swarm.is_shared(&file) && self.withdraw_file(file).is_ok() {
            self.complain_of_change(&name);
        }
    }

    pub(super) fn complain_of_change(&mut self, name: &Untrusted) {
        self.cx.complain(Failure::new(
            Code::HostChangedFile,
            format!(
                "{name} changed on disk since it was offered, or cannot be read any more, so it \
                 is offered no more: send it again"
            ),
        ));
    }

    /// Bounds what files may take of the network, from now on; or tells who asks how it is bounded.
    pub(super) fn limit(&mut self, face: FaceId, line: u64, change: Option<RateLimit>) {
        let Some(RateLimit { up, bytes_per_second }) = change else {
            let limits = self.cx.limits();
            let (up, down) = (limits.up_bytes_per_s, limits.down_bytes_per_s);
            for text in [limit_text(true, up), limit_text(false, down)] {
                self.cx.effect(Effect::Tell { face, line, notice: Notice::Remark { text } });
            }
            return;
        };
        let limits = &mut self.cx.config.limits;
        let limit = if up { &mut limits.up_bytes_per_s } else { &mut limits.down_bytes_per_s };
        *limit = bytes_per_second;
        self.cx.effect(Effect::Limit { up, bytes_per_second });
        self.cx.remark(limit_text(up, bytes_per_second));
    }

    pub(super) fn drop_shares(&mut self) {
        self.forget_all_taken_back();
        self.swarm.drop_shares(&mut self.cx);
        self.sharing.offered_by.clear();
        self.drop_jobs();
    }
}
