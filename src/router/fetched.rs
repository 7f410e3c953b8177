//! Whether those who are here have what a face of this node offered: what a one-shot offer waits
//! for.

use std::collections::BTreeSet;

use super::Router;
use super::ids::{FaceId, FileId, MemberId};
use super::text::{Untrusted, few};

/// What whoever waits was told: of each member once that it is waited for, and once that it has
/// everything, whatever it says.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Who was here when the waiting began.
    at_first: BTreeSet<MemberId>,
    waited_for: BTreeSet<MemberId>,
    /// Who had everything at some time, here or gone meanwhile.
    fetched: BTreeSet<MemberId>,
}

impl Told {
    /// How many members had everything.
    pub(super) fn count(&self) -> usize {
        self.fetched.len()
    }
}

impl Router {
    /// Nothing was told yet to whoever begins to wait now.
    pub(super) fn told_from_now_on(&self) -> Told {
        let at_first = self.roster.present().map(|(id, _)| *id).collect();
        Told { at_first, ..Told::default() }
    }

    /// Those who were here at first have all of every file that the face offered, as far as they
    /// stayed, or else somebody has. [`Router::fetching_news`] took note of who that is.
    pub(super) fn is_fetched(&self, face: FaceId, told: &Told) -> bool {
        !told.fetched.is_empty() && self.missing(face, told).is_empty()
    }

    /// Who was here at first, is still, and lacks something.
    fn missing(&self, face: FaceId, told: &Told) -> BTreeSet<MemberId> {
        let lacking = self.lacking(face).unwrap_or_default();
        told.at_first.intersection(&lacking).copied().collect()
    }

    /// Why the waiting was in vain.
    pub(super) fn not_fetched(&self, face: FaceId, told: &Told) -> String {
        let missing = self.missing(face, told);
        match missing.is_empty() {
            true => "nobody fetched what is offered".to_owned(),
            false => {
                let names = few(missing.iter().map(|id| self.who(id).marked()));
                format!("{names} did not fetch what is offered")
            }
        }
    }

    /// Who is here and lacks some of what the face offered, but for those who mean not to fetch it;
    /// `None` when nobody is here or nothing is offered.
    fn lacking(&self, face: FaceId) -> Option<BTreeSet<MemberId>> {
        let files = self.sharing.files_of(face);
        if files.is_empty() || self.roster.present_count() == 0 {
            return None;
        }
        let lacks = |id: &MemberId| {
            let link = self.link_of(id).map(|(_, link)| link);
            files.iter().any(|file| {
                let hosting = link.and_then(|link| link.hosting.get(file));
                hosting.is_none_or(|hosting| hosting.held.is_some())
            })
        };
        let declining = self.declining(face);
        let here = self.roster.present().map(|(id, _)| *id);
        Some(here.filter(|id| !declining.contains(id) && lacks(id)).collect())
    }

    /// Who means not to fetch what the face offered.
    fn declining(&self, face: FaceId) -> BTreeSet<MemberId> {
        let files = self.sharing.files_of(face);
        let declining = self.links().filter(|(_, link)| !link.declined.is_disjoint(&files));
        declining.map(|(_, link)| link.member).collect()
    }

    /// Whoever only gives waits for others and not for each other: from now on those whose files
    /// are offered hear that they are not fetched here.
    pub(super) fn decline_files(&mut self) {
        self.sharing.only_gives = true;
        let members: Vec<_> = self.links().map(|(_, link)| link.member).collect();
        for member in members {
            for file in self.declined_of(member) {
                self.decline(member, file);
            }
        }
    }

    /// What a member offers and nobody here fetches.
    pub(super) fn declined_of(&self, member: MemberId) -> BTreeSet<FileId> {
        let offers = self.catalogue.offers_by(member).filter(|_| self.sharing.only_gives);
        offers.map(|offered| offered.file).collect()
    }

    /// A member that offers a file is to hear that it is not here.
    pub(super) fn decline(&mut self, member: MemberId, file: FileId) {
        let Some((conn, _)) = self.link_of(&member).filter(|_| self.sharing.only_gives) else {
            return;
        };
        self.mark_link(conn, |link| {
            link.say_hosting.insert(file);
        });
    }

    /// The names under which the face offered its files, whatever others call the same content.
    fn names_offered(&self, face: FaceId) -> BTreeSet<String> {
        let own = |file| self.catalogue.offers_of(self.my_id, file);
        let offers = self.sharing.offers_of(face).filter_map(|(file, id)| {
            let this = own(file).find(|offered| Some(self.room.shown(&offered.id)) == id);
            this.or_else(|| own(file).next())
        });
        offers.map(|offered| Untrusted::new(&offered.name).to_string()).collect()
    }

    /// Who is newly waited for, and who has fetched what the face offered meanwhile; `None` when
    /// that is no news. `until` so many have it.
    pub(super) fn fetching_news(
        &self,
        face: FaceId,
        told: &mut Told,
        until: Option<usize>,
    ) -> Option<String> {
        let lacking = self.lacking(face)?;
        let declining = self.declining(face);
        let not_done = |id: &&MemberId| {
            lacking.contains(id) || declining.contains(id) || told.fetched.contains(id)
        };
        let here = self.roster.present().map(|(id, _)| id);
        let done: BTreeSet<_> = here.filter(|id| !not_done(id)).copied().collect();
        told.fetched.extend(&done);
        // Whoever comes later is waited for only where nobody was here who may fetch anything.
        let all = until.is_some() || told.at_first.is_subset(&declining);
        let lacking = if all { lacking } else { self.missing(face, told) };
        let came = !lacking.is_subset(&told.waited_for);
        told.waited_for.extend(&lacking);
        if !came && done.is_empty() {
            return None;
        }
        let names = |ids: &BTreeSet<MemberId>| few(ids.iter().map(|id| self.who(id).marked()));
        let (have, lack) = (names(&done), names(&lacking));
        let files = few(self.names_offered(face));
        let count = |members: usize| format!("{} of {members} have {files}", told.count());
        Some(match (have.is_empty(), until, lack.is_empty()) {
            (true, Some(members), _) => format!("waiting for {lack} ({})", count(members)),
            (true, None, _) => format!("waiting for {lack} to fetch {files}"),
            (false, Some(members), _) => format!("{have} fetched {files} ({})", count(members)),
            (false, None, true) => format!("{have} fetched {files}"),
            (false, None, false) => format!("{have} fetched {files}; waiting for {lack}"),
        })
    }
}
