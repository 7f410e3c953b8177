//! Comings and goings: a few are told one by one, many as one sentence.

use std::collections::VecDeque;

use crate::router::notice::Who;
use crate::ui::lines::{listed, nick};

/// So many rows of comings and goings within [`WINDOW_MS`] are told one by one.
const ROWS_MAX: usize = 4;
/// See above.
const WINDOW_MS: i64 = 10_000;
/// What was kept back is told when so long nobody came or went, or the window is over.
const QUIET_MS: i64 = 1_500;
/// Names that are remembered for one sentence; a member more is only counted.
const NAMES_MAX: usize = 64;

/// What was told and what is kept back.
#[derive(Debug, Default)]
pub(super) struct Noise {
    told_at: VecDeque<i64>,
    joined: Vec<String>,
    left: Vec<String>,
    unnamed: usize,
    /// When the first and the last of them came.
    kept: Option<(i64, i64)>,
}

impl Noise {
    /// Whether this one is told by itself; otherwise it is kept for the summary.
    pub(super) fn admit(&mut self, who: &Who, joined: bool, now_ms: i64) -> bool {
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

    pub(super) fn due_ms(&self) -> Option<i64> {
        let (first, last) = self.kept?;
        Some(last.saturating_add(QUIET_MS).min(first.saturating_add(WINDOW_MS)))
    }

    /// The sentence for what was kept back, if it is due.
    pub(super) fn summary(&mut self, now_ms: i64) -> Option<String> {
        if self.due_ms()? > now_ms {
            return None;
        }
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
        Some(parts.join("; "))
    }
}
