//! Whether those who are here have what a face of this node offered: what a one-shot offer waits
//! for.

use std::collections::BTreeSet;

use super::Router;
use super::ids::{FaceId, MemberId};
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

    /// Who is here and lacks some of what the face offered; `None` when nobody is here or nothing
    /// is offered.
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
        Some(self.roster.present().map(|(id, _)| *id).filter(lacks).collect())
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
        let here = self.roster.present().map(|(id, _)| *id);
        let done: BTreeSet<_> =
            here.filter(|id| !lacking.contains(id) && !told.fetched.contains(id)).collect();
        told.fetched.extend(&done);
        // Whoever comes later is waited for only where nobody was here.
        let all = until.is_some() || told.at_first.is_empty();
        let lacking = if all { lacking } else { self.missing(face, told) };
        let came = !lacking.is_subset(&told.waited_for);
        told.waited_for.extend(&lacking);
        if !came && done.is_empty() {
            return None;
        }
        let names = |ids: &BTreeSet<MemberId>| few(ids.iter().map(|id| self.who(id).marked()));
        let (have, lack) = (names(&done), names(&lacking));
        let files = self.sharing.files_of(face);
        let files = files.into_iter().filter_map(|file| self.catalogue.any(&file));
        let files = few(files.map(|offered| Untrusted::new(&offered.name).to_string()));
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
