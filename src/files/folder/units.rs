//! In which pieces a folder is fetched: everybody computes the same from its manifest.
//!
//! - A *span* is 256 KiB, doubled until there are at most [`UNITS_MAX`] units, and 16 MiB at most.
//! - A file longer than the span is fetched by its chunks, in as many at a time as fit the span.
//! - Shorter files gather in the order of the manifest, in *bundles* that are no longer than the
//!   span and have [`BUNDLE_FILES_MAX`] files at most. Longer files between them do not end a
//!   bundle.
//! - Units are numbered by their first file.
//! - An empty file takes no place, nor does one that occurred before with the same size and root:
//!   that is copied here.
//!
//! Pure: arithmetic on sizes and roots.

use std::collections::HashMap;
use std::ops::Range;

use super::manifest::{ListedFile, Manifest, ManifestError};
use crate::files::merkle::{CHUNK_MAX_BYTES, CHUNK_MIN_BYTES, chunk_bytes};

#[cfg(test)]
mod tests;

/// Units of a folder, at most.
pub const UNITS_MAX: u32 = 131_072;
/// Files in a bundle, at most.
pub const BUNDLE_FILES_MAX: u32 = 512;

/// Marks an entry without a unit: the rest of the number is the entry that it is a copy of.
const COPY: u32 = 1 << 31;
/// Marks an entry without bytes.
const NOTHING: u32 = u32::MAX;

/// Where the bytes of an entry come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntrySource {
    /// It has none: an empty file or an empty folder.
    Nothing,
    /// Another entry, which comes before it.
    Copy(u32),
    /// These units: one bundle, or the chunks of this file.
    Units(Range<u32>),
}

/// What is in a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitContent {
    /// Chunks of one file.
    Chunks {
        /// Index of its entry.
        entry: u32,
        /// Which chunks.
        chunks: Range<u32>,
        /// Where the first begins in the file, in bytes.
        offset: u64,
    },
    /// Whole files, joined.
    Bundle(Vec<BundledFile>),
}

/// A file in a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BundledFile {
    /// Index of its entry.
    pub entry: u32,
    /// Where it begins in the bundle, in bytes.
    pub offset: u32,
    /// Its length in bytes, never 0.
    pub len: u32,
}

/// The units of a folder: twelve bytes for each entry, and eight for each unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Units {
    span: u32,
    /// Of each entry: its first unit, or one of the marks.
    places: Vec<u32>,
    sizes: Vec<u64>,
    units: Vec<Unit>,
    total_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unit {
    /// Index of its first entry.
    first: u32,
    len: u32,
}

impl Units {
    /// The units of what a manifest lists.
    ///
    /// # Errors
    /// [`ManifestError::TooManyUnits`].
    pub fn of(manifest: &Manifest) -> Result<Self, ManifestError> {
        Self::of_files(manifest.listed())
    }

    fn of_files(files: impl Iterator<Item = Option<ListedFile>>) -> Result<Self, ManifestError> {
        let (places, sizes) = without_copies(files);
        let fits = |span: &u32| count_units(*span, &places, &sizes) <= u64::from(UNITS_MAX);
        let doubled = |span: &u32| span.checked_mul(2).filter(|span| *span <= CHUNK_MAX_BYTES);
        let span = std::iter::successors(Some(CHUNK_MIN_BYTES), doubled)
            .find(fits)
            .ok_or(ManifestError::TooManyUnits)?;
        let total_bytes = taken(&places, &sizes).map(|(_, size)| size).sum();
        let mut units = Self { span, places, sizes, units: Vec::new(), total_bytes };
        units.gather();
        Ok(units)
    }

    /// Numbers the units, and gives each entry its first.
    fn gather(&mut self) {
        let mut bundles = Bundles::new(self.span);
        let mut open = 0;
        for ((first, place), &size) in (0..).zip(&mut self.places).zip(&self.sizes) {
            if *place != 0 {
                continue;
            }
            let next = u32::try_from(self.units.len()).unwrap_or(u32::MAX);
            if size > u64::from(self.span) {
                *place = next;
                let step = u64::from(unit_bytes(self.span, size));
                for unit in 0..size.div_ceil(step) {
                    let len = u32::try_from(step.min(size - unit * step)).unwrap_or(u32::MAX);
                    self.units.push(Unit { first, len });
                }
                continue;
            }
            let len = u32::try_from(size).unwrap_or(u32::MAX);
            if bundles.begins_with(len) {
                open = next;
                self.units.push(Unit { first, len: 0 });
            }
            *place = open;
            if let Some(unit) = self.units.get_mut(open as usize) {
                unit.len += len;
            }
        }
    }

    /// Number of units.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.units.len()).unwrap_or(u32::MAX)
    }

    /// Length of a unit in bytes; `None` beyond the end.
    #[must_use]
    pub fn len_bytes(&self, unit: u32) -> Option<u32> {
        Some(self.units.get(unit as usize)?.len)
    }

    /// Bytes of all units together: what is fetched for the whole folder.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// What is in a unit; `None` beyond the end.
    #[must_use]
    pub fn content(&self, unit: u32) -> Option<UnitContent> {
        let Unit { first, len } = *self.units.get(unit as usize)?;
        let size = *self.sizes.get(first as usize)?;
        if size <= u64::from(self.span) {
            return Some(UnitContent::Bundle(self.bundle(unit, first, len)));
        }
        let before = unit.checked_sub(*self.places.get(first as usize)?)?;
        let step = unit_bytes(self.span, size);
        let chunk = chunk_bytes(size);
        let begin = before.checked_mul(step / chunk)?;
        let chunks = begin..begin + len.div_ceil(chunk);
        let offset = u64::from(before) * u64::from(step);
        Some(UnitContent::Chunks { entry: first, chunks, offset })
    }

    fn bundle(&self, unit: u32, first: u32, bundle_bytes: u32) -> Vec<BundledFile> {
        let from = first as usize;
        let mut entries = (first..)
            .zip(self.places.iter().zip(&self.sizes).skip(from))
            .filter(|(_, (place, _))| **place == unit);
        let mut files = Vec::new();
        let mut offset = 0;
        while offset < bundle_bytes
            && let Some((entry, (_, size))) = entries.next()
        {
            let len = u32::try_from(*size).unwrap_or(u32::MAX);
            files.push(BundledFile { entry, offset, len });
            offset = offset.saturating_add(len);
        }
        files
    }

    /// Where the bytes of an entry come from; `None` beyond the last entry.
    #[must_use]
    pub fn source(&self, entry: u32) -> Option<EntrySource> {
        let place = *self.places.get(entry as usize)?;
        let size = *self.sizes.get(entry as usize)?;
        if place == NOTHING {
            return Some(EntrySource::Nothing);
        }
        if place & COPY != 0 {
            return Some(EntrySource::Copy(place & !COPY));
        }
        let count = match u64::from(self.span) {
            span if size <= span => 1,
            _ => size.div_ceil(unit_bytes(self.span, size).into()),
        };
        Some(EntrySource::Units(place..place + u32::try_from(count).unwrap_or(u32::MAX)))
    }
}

/// Bytes of the units of a file that is longer than the span: whole chunks, but for the last.
fn unit_bytes(span: u32, size: u64) -> u32 {
    chunk_bytes(size).max(span)
}

/// For each entry 0 or the mark of one without a unit, and its size.
fn without_copies(files: impl Iterator<Item = Option<ListedFile>>) -> (Vec<u32>, Vec<u64>) {
    let mut seen = HashMap::new();
    let place = |(index, file): (u32, Option<ListedFile>)| match file {
        Some(file) if file.size > 0 => {
            let first = *seen.entry((file.size, file.root)).or_insert(index);
            (if first == index { 0 } else { COPY | first }, file.size)
        }
        _ => (NOTHING, 0),
    };
    (0..).zip(files).map(place).unzip()
}

/// Index and size of each entry that takes a place.
fn taken<'a>(places: &'a [u32], sizes: &'a [u64]) -> impl Iterator<Item = (u32, u64)> + 'a {
    let all = (0..).zip(places).zip(sizes);
    all.filter(|((_, place), _)| **place & COPY == 0).map(|((index, _), size)| (index, *size))
}

fn count_units(span: u32, places: &[u32], sizes: &[u64]) -> u64 {
    let mut bundles = Bundles::new(span);
    let units = taken(places, sizes).map(|(_, size)| match u32::try_from(size) {
        Ok(len) if len <= span => u64::from(bundles.begins_with(len)),
        _ => size.div_ceil(unit_bytes(span, size).into()),
    });
    units.sum()
}

/// Gathers files into bundles, one after the other.
struct Bundles {
    span: u32,
    left: u32,
    files: u32,
}

impl Bundles {
    fn new(span: u32) -> Self {
        Self { span, left: 0, files: 0 }
    }

    /// Takes a file, no longer than the span; says whether it begins a bundle.
    fn begins_with(&mut self, len: u32) -> bool {
        let begins = len > self.left || self.files == BUNDLE_FILES_MAX;
        if begins {
            (self.left, self.files) = (self.span, 0);
        }
        self.left -= len;
        self.files += 1;
        begins
    }
}
