//! Whether the members here have what a face of this node offered, for a one-shot `send` that waits
//! for that.

use std::collections::BTreeSet;

use super::Files;
use crate::router::ids::{FaceId, MemberId};
use crate::router::members::Members;
use crate::router::message::Done;
use crate::router::swarm::Swarm;
use crate::router::text::few;

/// What a waiting face was told: once for each member that it waits for it, and once that it has
/// everything.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Members that were here when the wait began.
    at_first: BTreeSet<MemberId>,
    waited_for: BTreeSet<MemberId>,
    /// Members that had everything at some time, whether or not they are still here.
    fetched: BTreeSet<MemberId>,
    /// Members that were here at the start, still are, and lack something.
    missing: BTreeSet<MemberId>,
}

/// How far the members here have come with several files.
#[derive(Default)]
struct Fetchers {
    /// They still have to fetch some of it.
    lacking: BTreeSet<MemberId>,
    /// They will not fetch some of it, and have the rest.
    declining: BTreeSet<MemberId>,
    /// They have or had everything.
    done: BTreeSet<MemberId>,
}

impl Told {
    /// For a face that begins to wait: it was told nothing yet.
    pub(crate) fn new(members: &Members) -> Self {
        Self { at_first: members.present().collect(), ..Self::default() }
    }

    /// How many members had everything.
    pub(crate) fn count(&self) -> usize {
        self.fetched.len()
    }

    /// Whether those who were here at the start, and stayed, have every file that the face offered;
    /// if none stayed, whether somebody has. [`Told::news`] recorded who that is.
    pub(crate) fn is_fetched(&self) -> bool {
        !self.fetched.is_empty() && self.missing.is_empty()
    }

    /// Why the wait failed.
    pub(crate) fn why_in_vain(&self, members: &Members) -> String {
        match self.missing.is_empty() {
            true => "nobody fetched what is offered".to_owned(),
            false => {
                let names = few(self.missing.iter().map(|id| members.who(id).marked()));
                format!("{names} did not fetch what is offered")
            }
        }
    }

    /// Members that the face now also waits for, and those that have since fetched what it offered;
    /// `None` if there is no news. `until` this many have it.
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
        // Later members are waited for only if none that was here may fetch anything.
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

/// How far the members here have come with what the face offered; `None` if nobody is here or
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
