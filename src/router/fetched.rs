//! Whether those who are here have what this node offers: what a one-shot offer waits for.

use std::collections::BTreeSet;

use super::Router;
use super::ids::MemberId;
use super::text::{Untrusted, few};

/// What whoever waits was told: of each member once that it is waited for, and once that it has
/// everything, whatever it says.
#[derive(Debug, Default)]
pub(super) struct Told {
    waited_for: BTreeSet<MemberId>,
    fetched: BTreeSet<MemberId>,
}

impl Router {
    /// Somebody is here, and all of them hold all of every file offered here.
    pub(super) fn is_fetched_by_all(&self) -> bool {
        self.lacking().is_some_and(|lacking| lacking.is_empty())
    }

    /// Who is here and lacks some of what is offered here; `None` when nobody is here or nothing
    /// is offered.
    fn lacking(&self) -> Option<BTreeSet<MemberId>> {
        let files = self.sharing.files();
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

    /// Who is newly waited for, and who has fetched what is offered meanwhile; `None` when that is
    /// no news.
    pub(super) fn fetching_news(&self, told: &mut Told) -> Option<String> {
        let lacking = self.lacking()?;
        let came = !lacking.is_subset(&told.waited_for);
        told.waited_for.extend(&lacking);
        let here = |id: &&MemberId| self.roster.get(id).is_some_and(|member| member.present);
        let done = told.waited_for.difference(&lacking).filter(here);
        let done: BTreeSet<_> = done.filter(|id| !told.fetched.contains(id)).copied().collect();
        if !came && done.is_empty() {
            return None;
        }
        told.fetched.extend(&done);
        let names = |ids: &BTreeSet<MemberId>| few(ids.iter().map(|id| self.who(id).marked()));
        let (have, lack) = (names(&done), names(&lacking));
        let files = self.sharing.files().into_iter().filter_map(|file| self.catalogue.any(&file));
        let files = few(files.map(|offered| Untrusted::new(&offered.name).to_string()));
        Some(match (have.is_empty(), lack.is_empty()) {
            (true, _) => format!("waiting for {lack} to fetch {files}"),
            (false, true) => format!("{have} fetched {files}"),
            (false, false) => format!("{have} fetched {files}; waiting for {lack}"),
        })
    }
}
