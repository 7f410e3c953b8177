//! Whether those who are here have what a face of this node offered: what a one-shot offer waits
//! for.

use std::collections::BTreeSet;

use super::Router;
use super::ids::{FaceId, MemberId};
use super::message::Done;
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
    /// Who was here at first, is still, and lacks something.
    missing: BTreeSet<MemberId>,
}

/// How far those who are here are with several files.
#[derive(Default)]
struct Fetchers {
    /// Some of it is still to be fetched.
    lacking: BTreeSet<MemberId>,
    /// They mean not to fetch some of it, and have the rest.
    declining: BTreeSet<MemberId>,
    /// They have or had everything.
    done: BTreeSet<MemberId>,
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
        let at_first = self.members.present().collect();
        Told { at_first, ..Told::default() }
    }

    /// Those who were here at first have all of every file that the face offered, as far as they
    /// stayed, or else somebody has. [`Router::fetching_news`] took note of who that is.
    pub(super) fn is_fetched(told: &Told) -> bool {
        !told.fetched.is_empty() && told.missing.is_empty()
    }

    /// Why the waiting was in vain.
    pub(super) fn not_fetched(&self, told: &Told) -> String {
        match told.missing.is_empty() {
            true => "nobody fetched what is offered".to_owned(),
            false => {
                let names = few(told.missing.iter().map(|id| self.members.who(id).marked()));
                format!("{names} did not fetch what is offered")
            }
        }
    }

    /// How far those who are here are with what the face offered; `None` when nobody is here or
    /// nothing is offered.
    fn shares_of(&self, face: FaceId) -> Option<Fetchers> {
        let files = self.sharing.files_of(face);
        if files.is_empty() || self.members.present_count() == 0 {
            return None;
        }
        let mut shares = Fetchers::default();
        for id in &self.members.present().collect::<Vec<_>>() {
            let mut worst = Some(Done::Fetched);
            for file in &files {
                worst = worst.and_then(|worst| Some(worst.max(self.swarm.done_with(id, file)?)));
            }
            match worst {
                None => shares.lacking.insert(*id),
                Some(Done::Declined) => shares.declining.insert(*id),
                Some(Done::Fetched) => shares.done.insert(*id),
            };
        }
        Some(shares)
    }

    /// Whoever only gives waits for others and not for each other.
    pub(super) fn decline_files(&mut self) {
        let offered_by =
            |id: &MemberId| self.catalogue.offers_by(*id).map(|offered| offered.file).collect();
        self.swarm.only_give(&mut self.cx, offered_by);
    }

    /// The names under which the face offered its files, whatever others call the same content.
    fn names_offered(&self, face: FaceId) -> BTreeSet<String> {
        let offers = self.sharing.offers_of(face).filter_map(|shown| self.own_offer(&shown));
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
        let Fetchers { lacking, declining, done } = self.shares_of(face)?;
        let done: BTreeSet<_> = done.difference(&told.fetched).copied().collect();
        told.fetched.extend(&done);
        let lacking: BTreeSet<_> = lacking.difference(&told.fetched).copied().collect();
        // Whoever comes later is waited for only where nobody was here who may fetch anything.
        let all = until.is_some() || told.at_first.is_subset(&declining);
        let lacking = if all { lacking } else { &lacking & &told.at_first };
        told.missing = &lacking & &told.at_first;
        let came = !lacking.is_subset(&told.waited_for);
        told.waited_for.extend(&lacking);
        if !came && done.is_empty() {
            return None;
        }
        let names =
            |ids: &BTreeSet<MemberId>| few(ids.iter().map(|id| self.members.who(id).marked()));
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
