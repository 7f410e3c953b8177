//! Whether the members here have what a face of this node offered, which a one-shot `send` waits
//! for.

use std::collections::BTreeSet;

use super::Files;
use crate::router::ids::{FaceId, MemberId};
use crate::router::members::Members;
use crate::router::message::Done;
use crate::router::swarm::Swarm;
use crate::router::text::few;

/// What whoever waits was told: of each member once that it is waited for, and once that it has
/// everything, whatever it says.
#[derive(Debug, Default)]
pub(crate) struct Told {
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
    /// A face that begins to wait now was told nothing yet.
    pub(crate) fn new(members: &Members) -> Self {
        Self { at_first: members.present().collect(), ..Self::default() }
    }

    /// How many members had everything.
    pub(crate) fn count(&self) -> usize {
        self.fetched.len()
    }

    /// Those who were here at first have all of every file that the face offered, as far as they
    /// stayed, or else somebody has. [`Told::news`] took note of who that is.
    pub(crate) fn is_fetched(&self) -> bool {
        !self.fetched.is_empty() && self.missing.is_empty()
    }

    /// Why the waiting was in vain.
    pub(crate) fn why_in_vain(&self, members: &Members) -> String {
        match self.missing.is_empty() {
            true => "nobody fetched what is offered".to_owned(),
            false => {
                let names = few(self.missing.iter().map(|id| members.who(id).marked()));
                format!("{names} did not fetch what is offered")
            }
        }
    }

    /// Who is newly waited for, and who has fetched what the face offered meanwhile; `None` when
    /// that is no news. `until` so many have it.
    pub(crate) fn news(
        &mut self,
        (files, swarm, members): (&Files, &Swarm, &Members),
        face: FaceId,
        until: Option<usize>,
    ) -> Option<String> {
        let Fetchers { lacking, declining, done } = fetchers(files, swarm, members, face)?;
        let done: BTreeSet<_> = done.difference(&self.fetched).copied().collect();
        self.fetched.extend(&done);
        let lacking: BTreeSet<_> = lacking.difference(&self.fetched).copied().collect();
        // Later members are waited for only if nobody was here who may fetch anything.
        let all = until.is_some() || self.at_first.is_subset(&declining);
        let lacking = if all { lacking } else { &lacking & &self.at_first };
        self.missing = &lacking & &self.at_first;
        let came = !lacking.is_subset(&self.waited_for);
        self.waited_for.extend(&lacking);
        if !came && done.is_empty() {
            return None;
        }
        let names = |ids: &BTreeSet<MemberId>| few(ids.iter().map(|id| members.who(id).marked()));
        let (have, lack) = (names(&done), names(&lacking));
        // The names under which the face offered them, whatever others call the same content.
        let made = files.own.made_by(face).filter_map(|(offer, _)| files.own_offer(offer));
        let files = few(made.map(|of| of.name().to_string()).collect::<BTreeSet<_>>());
        let count = |members: usize| format!("{} of {members} have {files}", self.count());
        Some(match (have.is_empty(), until, lack.is_empty()) {
            (true, Some(members), _) => format!("waiting for {lack} ({})", count(members)),
            (true, None, _) => format!("waiting for {lack} to fetch {files}"),
            (false, Some(members), _) => format!("{have} fetched {files} ({})", count(members)),
            (false, None, true) => format!("{have} fetched {files}"),
            (false, None, false) => format!("{have} fetched {files}; waiting for {lack}"),
        })
    }
}

/// How far those who are here are with what the face offered; `None` when nobody is here or
/// nothing is offered.
fn fetchers(files: &Files, swarm: &Swarm, members: &Members, face: FaceId) -> Option<Fetchers> {
    let files = files.files_of(face);
    if files.is_empty() || members.present_count() == 0 {
        return None;
    }
    let mut fetchers = Fetchers::default();
    for id in members.present() {
        let mut worst = Some(Done::Fetched);
        for file in &files {
            worst = worst.and_then(|worst| Some(worst.max(swarm.done_with(&id, file)?)));
        }
        match worst {
            None => fetchers.lacking.insert(id),
            Some(Done::Declined) => fetchers.declining.insert(id),
            Some(Done::Fetched) => fetchers.done.insert(id),
        };
    }
    Some(fetchers)
}
