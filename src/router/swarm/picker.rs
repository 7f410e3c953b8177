//! One file or folder that is being fetched: who has which chunk, and which is the rarest that a
//! host has and we lack. The units of a folder are chunks here.
//!
//! Free chunks (neither here nor requested) are grouped by the number of hosts that have them, so
//! that the rarest is found by comparing words of 64 chunks. Hosts that have everything make no
//! chunk rarer than another, and are counted separately.

use core::ops::Range;
use std::collections::{BTreeMap, BTreeSet};

use crate::router::bitmap::Bitmap;
use crate::router::event::Want;
use crate::router::ids::MemberId;
use crate::router::layout::Layout;
use crate::router::rng::Rng;
use crate::router::time::Millis;

/// After a host says that it has sent somebody each chunk that only it has, others get this long to
/// announce them before it is asked to send one again.
const ELSEWHERE_MS: u64 = 400;

/// If nobody did, it is asked by number for this many times as long, so that a member that passes
/// nothing on costs the others little.
const VAIN_FACTOR: u64 = 8;

/// A node that has less than the others by this part of the file is behind them.
const BEHIND_PART: u64 = 64;

#[derive(Debug)]
struct ChunkSource {
    /// `None`: every chunk.
    held: Option<Bitmap>,
    /// Until then the chunks that only it has are on their way to others, which will pass them on.
    elsewhere_until: Millis,
}

impl ChunkSource {
    fn words(&self, index: usize) -> u64 {
        self.held.as_ref().map_or(u64::MAX, |held| held.words().get(index).copied().unwrap_or(0))
    }
}

/// Which chunk of a file comes next.
#[derive(Debug)]
pub struct Picker {
    layout: Layout,
    held: Bitmap,
    longest_bytes: u64,
    /// Neither held nor asked of anybody.
    free: Bitmap,
    sources: BTreeMap<MemberId, ChunkSource>,
    /// How many hosts have everything.
    full: usize,
    /// How many of the other hosts have each chunk.
    counts: Vec<u16>,
    counted: u64,
    /// The free chunks, by how many hosts have them.
    levels: Vec<Bitmap>,
    /// Hosts whose bytes did not match the hashes: nothing is requested from them again.
    banned: BTreeSet<MemberId>,
    /// Chunks that somebody waits for, in this order.
    urgent: Range<u32>,
    /// Chunks can be verified, because the list of hashes is here.
    listed: bool,
    /// Chunks cannot be written at the moment.
    paused: bool,
    /// Chunks that are not here and not wanted.
    skipped: Bitmap,
    /// Chunks of which something is here: a host that picked one would send all of it.
    begun: Bitmap,
}

impl Picker {
    /// What is fetched in these units, with nothing here yet.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        let chunks = layout.count();
        Self {
            longest_bytes: layout.longest_bytes(),
            layout,
            held: Bitmap::none(chunks),
            free: Bitmap::all(chunks),
            sources: BTreeMap::new(),
            full: 0,
            counts: vec![0; chunks as usize],
            counted: 0,
            levels: vec![Bitmap::all(chunks)],
            banned: BTreeSet::new(),
            urgent: 0..0,
            listed: false,
            paused: false,
            skipped: Bitmap::none(chunks),
            begun: Bitmap::none(chunks),
        }
    }

    /// The list of hashes is here, and shows which chunks are.
    pub fn listed(&mut self, held: &Bitmap) {
        self.listed = true;
        for chunk in held.iter() {
            self.came(chunk);
        }
    }

    /// Only these chunks are wanted.
    pub fn skip(&mut self, needed: &Bitmap) {
        let unwanted = |chunk: &u32| !needed.has(*chunk) && !self.held.has(*chunk);
        let unwanted: Vec<u32> = (0..self.held.len()).filter(unwanted).collect();
        for chunk in unwanted {
            self.asked(chunk);
            self.skipped.insert(chunk);
        }
    }

    /// Something of these chunks is here.
    pub fn begun(&mut self, begun: &Bitmap) {
        begun.iter().filter(|chunk| *chunk < self.held.len()).for_each(|chunk| {
            self.begun.insert(chunk);
        });
    }

    /// Everything that is wanted is here.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.held.count().saturating_add(self.skipped.count()) >= self.held.len()
    }

    /// What is here and verified.
    #[must_use]
    pub fn held(&self) -> &Bitmap {
        &self.held
    }

    /// Bytes of `chunk`.
    #[must_use]
    pub fn bytes_of(&self, chunk: u32) -> u64 {
        self.layout.unit_bytes(chunk)
    }

    /// Bytes of the longest chunk.
    #[must_use]
    pub fn chunk_bytes(&self) -> u64 {
        self.longest_bytes
    }

    /// `host` has `held` of it; `None`: everything. Replaces what it said before.
    pub fn hosted(&mut self, host: MemberId, held: Option<&Bitmap>) {
        self.lost(&host);
        if self.banned.contains(&host) || held.is_some_and(|held| held.len() != self.held.len()) {
            return;
        }
        match held.filter(|held| !held.is_all()) {
            Some(held) => held.iter().for_each(|chunk| self.rarer(chunk, false)),
            None => self.full += 1,
        }
        let held = held.filter(|held| !held.is_all()).cloned();
        self.sources.insert(host, ChunkSource { held, elsewhere_until: Millis(0) });
    }

    /// `host` has these chunks as well.
    pub fn gained(&mut self, host: &MemberId, chunks: &[u32]) {
        let Some(source) = self.sources.get_mut(host) else { return };
        let Some(held) = &mut source.held else { return };
        let new: Vec<_> = chunks.iter().filter(|&&chunk| held.insert(chunk)).copied().collect();
        if held.is_all() {
            source.held = None;
            self.full += 1;
            let mut counted = Bitmap::all(self.held.len());
            for chunk in new {
                counted.remove(chunk);
            }
            counted.iter().for_each(|chunk| self.rarer(chunk, true));
        } else {
            new.into_iter().for_each(|chunk| self.rarer(chunk, false));
        }
    }

    /// `host` turned out to lack `chunk`, or everything if `None`.
    pub fn lacks(&mut self, host: &MemberId, chunk: Option<u32>) {
        let (Some(source), Some(chunk)) = (self.sources.get_mut(host), chunk) else {
            return self.lost(host);
        };
        if let Some(held) = &mut source.held {
            if held.remove(chunk) {
                self.rarer(chunk, true);
            }
        } else {
            let mut held = Bitmap::all(self.held.len());
            held.remove(chunk);
            self.hosted(*host, Some(&held));
        }
    }

    /// `host` no longer has anything of it, or is gone.
    pub fn lost(&mut self, host: &MemberId) {
        match self.sources.remove(host) {
            Some(ChunkSource { held: Some(held), .. }) => {
                held.iter().for_each(|chunk| self.rarer(chunk, true));
            }
            Some(ChunkSource { held: None, .. }) => self.full -= 1,
            None => {}
        }
    }

    /// Nothing more is taken from `host`; false if it was banned already.
    pub fn ban(&mut self, host: MemberId) -> bool {
        self.lost(&host);
        self.banned.insert(host)
    }

    /// Pauses or resumes requests.
    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Chunks that are neither here nor requested.
    pub fn free(&self) -> impl Iterator<Item = u32> + '_ {
        self.free.iter()
    }

    /// Moves a chunk one level: one host fewer has it, or one more.
    fn rarer(&mut self, chunk: u32, rarer: bool) {
        let Some(count) = self.counts.get_mut(chunk as usize) else { return };
        let level = usize::from(*count);
        *count = if rarer { count.saturating_sub(1) } else { count.saturating_add(1) };
        let next = usize::from(*count);
        self.counted = self.counted + next as u64 - level as u64;
        while self.levels.len() <= next {
            self.levels.push(Bitmap::none(self.held.len()));
        }
        if self.free.has(chunk) {
            self.levels.get_mut(level).map(|level| level.remove(chunk));
            self.levels.get_mut(next).map(|level| level.insert(chunk));
        }
    }

    /// The free chunks that as many hosts have as this one.
    fn level_of(&mut self, chunk: u32) -> Option<&mut Bitmap> {
        let count = self.counts.get(chunk as usize)?;
        self.levels.get_mut(usize::from(*count))
    }

    /// Hosts that have some of it.
    pub fn hosts(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.sources.keys().copied()
    }

    /// The only host that has everything, if there is exactly one.
    #[must_use]
    pub fn lone(&self) -> Option<MemberId> {
        let mut full = self.sources.iter().filter(|(_, source)| source.held.is_none());
        (self.full == 1).then(|| full.next().map(|(host, _)| *host))?
    }

    /// Whether less is here than others have on average, not counting those that have everything.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        let others = (self.sources.len() - self.full) as u64;
        let chunks = u64::from(self.held.len());
        others * (u64::from(self.held.count()) + chunks / BEHIND_PART) < self.counted
    }

    /// Whether `host` has the chunk.
    #[must_use]
    pub fn has(&self, host: &MemberId, chunk: u32) -> bool {
        let source = self.sources.get(host);
        source.is_some_and(|source| source.held.as_ref().is_none_or(|held| held.has(chunk)))
    }

    /// Whether `host` has some chunk of this range.
    #[must_use]
    pub fn has_any(&self, host: &MemberId, chunks: Range<u32>) -> bool {
        let source = self.sources.get(host);
        source.is_some_and(|source| source.held.as_ref().is_none_or(|held| held.has_any(chunks)))
    }

    /// Whether `host` has something that is wanted and missing here.
    #[must_use]
    pub fn helps(&self, host: &MemberId) -> bool {
        let Some(source) = self.sources.get(host) else { return false };
        let needs = self.held.words().iter().zip(self.skipped.words());
        let mut needs = needs.map(|(here, skipped)| !(here | skipped)).enumerate();
        source.held.is_none() || needs.any(|(index, word)| word & source.words(index) != 0)
    }

    /// Whether `host` could be asked for something.
    #[must_use]
    pub fn gives(&self, host: &MemberId) -> bool {
        let source = self.sources.get(host).filter(|_| self.listed && !self.paused);
        source.is_some_and(|source| self.has_free(source))
    }

    fn has_free(&self, source: &ChunkSource) -> bool {
        if self.free.count() == 0 {
            return false;
        }
        let mut words = self.free.words().iter().enumerate();
        words.any(|(index, word)| word & source.words(index) != 0)
    }

    /// These chunks come first, in this order, because somebody is viewing them already.
    pub fn prefer(&mut self, chunks: Range<u32>) {
        self.urgent = chunks;
    }

    /// The chunk came, and is verified.
    pub fn came(&mut self, chunk: u32) -> bool {
        self.asked(chunk);
        self.skipped.remove(chunk);
        self.held.insert(chunk)
    }

    /// The chunk was requested.
    pub fn asked(&mut self, chunk: u32) {
        if self.free.remove(chunk) {
            self.level_of(chunk).map(|level| level.remove(chunk));
        }
    }

    /// The chunk is no longer requested.
    pub fn freed(&mut self, chunk: u32) {
        let is_wanted = !self.held.has(chunk) && !self.skipped.has(chunk);
        if is_wanted && self.free.insert(chunk) {
            self.level_of(chunk).map(|level| level.insert(chunk));
        }
    }

    /// `host` has already sent somebody everything that only it has.
    pub fn elsewhere(&mut self, host: &MemberId, now: Millis) {
        if let Some(source) = self.sources.get_mut(host) {
            source.elsewhere_until = now.plus(ELSEWHERE_MS);
        }
    }

    /// When `host` may again be asked for what only it has; `None`: now.
    #[must_use]
    pub fn elsewhere_until(&self, host: &MemberId, now: Millis) -> Option<Millis> {
        self.sources.get(host).map(|source| source.elsewhere_until).filter(|until| *until > now)
    }

    /// What to request from `host` next, of the free chunks: urgent ones first, then those that the
    /// fewest hosts have, with ties broken at random. Of those that only it has, the host picks
    /// one. A `spared` host is asked for nothing that others have.
    #[must_use]
    pub fn next(&self, host: &MemberId, spared: bool, now: Millis, rng: &mut Rng) -> Option<Want> {
        let source = self.sources.get(host).filter(|_| self.listed && !self.paused)?;
        let mut urgent = self.urgent.clone();
        if let Some(chunk) = urgent.find(|c| self.free.has(*c) && self.has(host, *c)) {
            return Some(Want::Chunk(chunk));
        }
        // Most hosts checked have nothing that is free, which is found out without the levels.
        if !self.has_free(source) {
            return None;
        }
        if self.begun.count() > 0 {
            let words = self.begun.words().iter().zip(self.free.words()).enumerate();
            let mut words = words.map(|(i, (begun, free))| (i, begun & free & source.words(i)));
            if let Some((index, word)) = words.find(|(_, word)| *word != 0) {
                return Some(Want::Chunk(64 * index as u32 + any_bit(word, rng)));
            }
        }
        // The level at which this host is the only one.
        let alone = match (source.held.is_none(), self.full) {
            (true, 1) => Some(0),
            (false, 0) => Some(1),
            _ => None,
        };
        let levels = self.levels.iter().enumerate().filter(|(_, level)| level.count() > 0);
        for (count, level) in levels {
            let words =
                |index: usize| level.words().get(index).copied().unwrap_or(0) & source.words(index);
            let length = level.words().len();
            let start = rng.below(length as u64) as usize;
            let Some(first) = (start..length).chain(0..start).find(|i| words(*i) != 0) else {
                continue;
            };
            if alone != Some(count) && spared {
                return None;
            }
            if alone != Some(count) {
                return Some(Want::Chunk(64 * first as u32 + any_bit(words(first), rng)));
            }
            if source.elsewhere_until > now {
                continue;
            }
            if source.elsewhere_until > Millis(0)
                && now.since(source.elsewhere_until) < VAIN_FACTOR * ELSEWHERE_MS
            {
                // Nobody else announced it.
                return Some(Want::Chunk(64 * first as u32 + any_bit(words(first), rng)));
            }
            return Some(Want::Pick(Bitmap::from_words(level.len(), (0..length).map(words))));
        }
        None
    }
}

/// The number of one of the bits set in `word`, at random.
fn any_bit(mut word: u64, rng: &mut Rng) -> u32 {
    for _ in 0..rng.below(u64::from(word.count_ones())) {
        word &= word - 1;
    }
    word.trailing_zeros()
}
