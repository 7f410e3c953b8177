//! Whether those who are here have what this node offers: what a one-shot offer waits for.

use std::collections::BTreeSet;

use super::Router;
use super::ids::MemberId;
use super::text::{Untrusted, few};

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

    /// Who has fetched what is offered since those in `lacked` did not have it, and who is still
    /// waited for; `None` when that is no news.
    pub(super) fn fetching_news(&self, lacked: &mut BTreeSet<MemberId>) -> Option<String> {
        let lacking = self.lacking().unwrap_or_default();
        let came = lacking.difference(lacked).next().is_some();
        let here = |id: &&MemberId| self.roster.get(id).is_some_and(|member| member.present);
        let have: Vec<_> = lacked.difference(&lacking).filter(here).copied().collect();
        *lacked = lacking;
        let names = |ids: &mut dyn Iterator<Item = &MemberId>| {
            few(ids.map(|id| self.who(id).marked().to_string()))
        };
        let files = self.sharing.files().into_iter().filter_map(|file| self.catalogue.any(&file));
        let files = few(files.map(|offered| Untrusted::new(&offered.name).to_string()));
        let (have, lack) = (names(&mut have.iter()), names(&mut lacked.iter()));
        match (have.is_empty(), lack.is_empty()) {
            (true, _) => came.then(|| format!("waiting for {lack} to fetch {files}")),
            (false, true) => Some(format!("{have} fetched {files}")),
            (false, false) => Some(format!("{have} fetched {files}; waiting for {lack}")),
        }
    }
}
