//! Comings and goings: a few are shown one by one, but many in one sentence, and so are repeated
//! visits.

use std::collections::{BTreeMap, VecDeque};

use crate::router::ids::MemberId;
use crate::router::notice::Who;
use crate::ui::lines::{listed, nick};

/// Most comings and goings within [`WINDOW_MS`] that are shown one by one.
const ROWS_MAX: usize = 4;
/// See above.
const WINDOW_MS: i64 = 10_000;
/// Notices held back are shown after this long without comings and goings, or after the window.
const QUIET_MS: i64 = 1_500;
/// Most names remembered for one sentence; further members are only counted.
const NAMES_MAX: usize = 64;

/// A shorter stay is a visit, such as a script's one-shot makes.
const VISIT_MS: i64 = 30_000;
/// A member that visited this recently is expected to do so again: it is shown only if it stays.
const AGAIN_MS: i64 = 600_000;
/// Visits within this time make one sentence.
const VISITS_MS: i64 = 300_000;

/// What was shown and what is held back.
#[derive(Debug, Default)]
pub(super) struct Noise {
    told_at: VecDeque<i64>,
    joined: Vec<String>,
    left: Vec<String>,
    unnamed: usize,
    /// When the first and the last of them came.
    kept: Option<(i64, i64)>,
    /// Members that came since this began watching, and are here.
    here: BTreeMap<MemberId, NoisyStay>,
    /// Those whose last stay was a visit. By name, because a one-shot has another id each time.
    visitors: BTreeMap<String, Visitor>,
    /// When the first visit that has not been shown ended.
    visits_since: Option<i64>,
}

#[derive(Debug)]
struct NoisyStay {
    name: String,
    since_ms: i64,
    /// Whether it was held back.
    kept: bool,
}

#[derive(Debug)]
struct Visitor {
    left_ms: i64,
    /// Visits that were not shown.
    visits: usize,
}

impl Noise {
    /// Whether to show this one by itself; otherwise it is kept for the summary.
    pub(super) fn admit(&mut self, who: &Who, joined: bool, now_ms: i64) -> bool {
        let told = if joined { self.came(who, now_ms) } else { self.went(who, now_ms) };
        if !told {
            return false;
        }
        self.told_at.retain(|at| now_ms.saturating_sub(*at) < WINDOW_MS);
        if self.kept.is_none() && self.told_at.len() < ROWS_MAX {
            self.told_at.push_back(now_ms);
            return true;
        }
        let first = self.kept.map_or(now_ms, |(first, _)| first);
        self.kept = Some((first, now_ms));
        if self.joined.len() + self.left.len() < NAMES_MAX {
            let names = if joined { &mut self.joined } else { &mut self.left };
            names.push(nick(who));
        } else {
            self.unnamed += 1;
        }
        false
    }

    fn came(&mut self, who: &Who, now_ms: i64) -> bool {
        let name = nick(who);
        let lately = |visitor: &Visitor| now_ms.saturating_sub(visitor.left_ms) < AGAIN_MS;
        let kept = self.visitors.get(&name).is_some_and(lately);
        self.here.insert(who.id, NoisyStay { name, since_ms: now_ms, kept });
        !kept
    }

    fn went(&mut self, who: &Who, now_ms: i64) -> bool {
        let Some(NoisyStay { name, since_ms, kept }) = self.here.remove(&who.id) else {
            return true;
        };
        if !kept && now_ms.saturating_sub(since_ms) >= VISIT_MS {
            return true;
        }
        if self.visitors.len() >= NAMES_MAX && !self.visitors.contains_key(&name) {
            let told = |(_, visitor): &(&String, &Visitor)| visitor.visits == 0;
            let oldest = self.visitors.iter().filter(told).min_by_key(|(_, it)| it.left_ms);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else { return true };
            self.visitors.remove(&oldest);
        }
        let visitor = self.visitors.entry(name).or_insert(Visitor { left_ms: 0, visits: 0 });
        visitor.left_ms = now_ms;
        if kept {
            visitor.visits += 1;
            self.visits_since.get_or_insert(now_ms);
        }
        !kept
    }

    /// The room changes: it is not known who is in the new one.
    pub(super) fn leave(&mut self) {
        self.here.clear();
        self.visitors.clear();
        self.visits_since = None;
    }

    pub(super) fn due_ms(&self) -> Option<i64> {
        let crowd = self.crowd_due_ms();
        let visits = self.visits_since.map(|since| since.saturating_add(VISITS_MS));
        let kept = self.here.values().filter(|stay| stay.kept);
        let stays = kept.map(|stay| stay.since_ms.saturating_add(VISIT_MS)).min();
        [crowd, visits, stays].into_iter().flatten().min()
    }

    fn crowd_due_ms(&self) -> Option<i64> {
        let (first, last) = self.kept?;
        Some(last.saturating_add(QUIET_MS).min(first.saturating_add(WINDOW_MS)))
    }

    /// The sentences for what was held back and is due.
    pub(super) fn summaries(&mut self, now_ms: i64) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.crowd_due_ms().is_some_and(|due| due <= now_ms) {
            sentences.push(self.crowd(now_ms));
        }
        let stays =
            |stay: &&mut NoisyStay| stay.kept && stay.since_ms.saturating_add(VISIT_MS) <= now_ms;
        let mut stayed = Vec::new();
        for stay in self.here.values_mut().filter(stays) {
            stay.kept = false;
            stayed.push(stay.name.clone());
        }
        if !stayed.is_empty() {
            sentences.push(format!("{} joined", listed(&stayed)));
        }
        let due = |since: i64| since.saturating_add(VISITS_MS) <= now_ms;
        if self.visits_since.take_if(|since| due(*since)).is_some() {
            let visited = self.visitors.iter_mut().filter(|(_, visitor)| visitor.visits > 0);
            let visits = visited.map(|(name, visitor)| match std::mem::take(&mut visitor.visits) {
                1 => name.clone(),
                times => format!("{name} ({times} times)"),
            });
            sentences.push(format!("{} came and went", listed(&visits.collect::<Vec<_>>())));
        }
        sentences
    }

    fn crowd(&mut self, now_ms: i64) -> String {
        self.kept = None;
        self.told_at.push_back(now_ms);
        let mut parts = Vec::new();
        for (names, verb) in [(&mut self.joined, "joined"), (&mut self.left, "left")] {
            if !names.is_empty() {
                parts.push(format!("{} {verb}", listed(names)));
            }
            names.clear();
        }
        let unnamed = std::mem::take(&mut self.unnamed);
        if unnamed > 0 {
            parts.push(format!("{unnamed} more came or went"));
        }
        parts.join("; ")
    }
}
