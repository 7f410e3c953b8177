//! Writes a unit as its bytes come.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use super::tree::LongFile;
use super::{Staging, UnitSlot, lock_of};
use crate::files::disk::write_all_at;
use crate::files::folder::units::{BundledFile, UnitContent};
use crate::files::merkle::{ChunkHasher, chunk_range};
use crate::files::part::PartError;
use crate::router::ids::Digest32;

/// Writes one unit in order. A bundle is kept until it is whole, since a file is only made when its
/// root was compared; chunks are written and hashed as they come.
pub struct UnitWriter<'a> {
    staging: &'a Staging,
    unit: u32,
    number: u32,
    filling: Filling,
    /// More came than belongs there.
    spoiled: bool,
}

enum Filling {
    Bundle { files: Vec<BundledFile>, bytes: Vec<u8>, len: usize },
    Chunks(Box<Chunks>),
}

/// Chunks that are being written.
struct Chunks {
    long: Arc<Mutex<LongFile>>,
    /// Length of the whole file.
    size: u64,
    /// Those that are not whole.
    left: Range<u32>,
    hasher: ChunkHasher,
    /// Where the next byte goes, and how many are to come of the chunk.
    offset: u64,
    chunk_left: usize,
    hashes: Vec<Option<Digest32>>,
}

impl<'a> UnitWriter<'a> {
    pub(super) fn new(
        staging: &'a Staging,
        unit: u32,
        number: u32,
        content: UnitContent,
    ) -> Result<Self, PartError> {
        let filling = match content {
            UnitContent::Bundle(_) => {
                let files = staging.wanted_of(unit);
                let len = files.iter().map(|file| file.len as usize).sum();
                Filling::Bundle { files, bytes: Vec::new(), len }
            }
            UnitContent::Chunks { entry, chunks, offset } => {
                let gone = || PartError::Meddled { path: staging.path().to_owned() };
                let (listed, facts) = staging.plan.file(entry).ok_or_else(gone)?;
                let long = staging.tree.long_file(staging, entry, &listed)?;
                let size = facts.size;
                let chunk_left = chunk_range(size, chunks.start).map_or(0, |(_, len)| len as usize);
                let hasher = ChunkHasher::new(size, chunks.start);
                let (left, hashes) = (chunks, Vec::new());
                let chunks = Chunks { long, size, left, hasher, offset, chunk_left, hashes };
                Filling::Chunks(Box::new(chunks))
            }
        };
        Ok(Self { staging, unit, number, filling, spoiled: false })
    }

    /// Writes the next bytes of the unit. Bytes beyond its end are not written and spoil it. After
    /// an error of the disk the unit is begun again.
    ///
    /// # Errors
    /// [`PartError::Superseded`] when a newer writer has the unit; else what the disk says.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), PartError> {
        let slot = slot(self.staging, self.unit, self.number)?;
        match &mut self.filling {
            Filling::Bundle { bytes: came, len, .. } => {
                self.spoiled |= came.len() + bytes.len() > *len;
                if !self.spoiled {
                    came.extend_from_slice(bytes);
                }
            }
            Filling::Chunks(chunks) => self.spoiled |= !chunks.write(self.staging, bytes)?,
        }
        drop(slot);
        Ok(())
    }

    /// Ends the unit: it counts if each of its files has the root listed, or each of its chunks the
    /// hash in `chunks`, which is not looked at for a bundle. False means that its sender sent a
    /// wrong byte, or too few or too many; files of a bundle that are right stay.
    ///
    /// # Errors
    /// [`PartError::Superseded`] when a newer writer has the unit; else what the disk says.
    pub fn finish(self, chunks: &[Digest32]) -> Result<bool, PartError> {
        let Self { staging, unit, number, filling, spoiled } = self;
        let mut slot = slot(staging, unit, number)?;
        let good = match filling {
            Filling::Bundle { files, bytes, len } => {
                let whole = !spoiled && bytes.len() == len;
                whole && place_files(staging, &files, &bytes)?
            }
            Filling::Chunks(came) => {
                let expected = chunks.iter().map(|hash| Some(*hash));
                !spoiled && came.left.is_empty() && came.hashes.into_iter().eq(expected)
            }
        };
        staging.settle(unit, &mut slot, good);
        Ok(good)
    }

    /// Number of the unit.
    #[must_use]
    pub fn unit(&self) -> u32 {
        self.unit
    }
}

/// The unit's slot, held, as long as this is the number of its newest writer.
fn slot(staging: &Staging, unit: u32, number: u32) -> Result<MutexGuard<'_, UnitSlot>, PartError> {
    let slot = staging.slot(unit);
    slot.filter(|slot| slot.writer == number && !slot.verified).ok_or(PartError::Superseded)
}

impl Chunks {
    /// Writes bytes; says whether they belong to the chunks.
    fn write(&mut self, staging: &Staging, mut bytes: &[u8]) -> Result<bool, PartError> {
        while !bytes.is_empty() {
            if self.left.is_empty() {
                return Ok(false);
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.chunk_left));
            let mut held = LongFile::held(&self.long, staging)?;
            held.write(now, self.offset).map_err(|error| staging.failed("write", error))?;
            drop(held);
            self.hasher.update(now);
            self.offset += now.len() as u64;
            self.chunk_left -= now.len();
            bytes = later;
            if self.chunk_left == 0 {
                self.next();
            }
        }
        Ok(true)
    }

    fn next(&mut self) {
        self.left.next();
        let next = ChunkHasher::new(self.size, self.left.start);
        self.hashes.push(std::mem::replace(&mut self.hasher, next).finish());
        let range = chunk_range(self.size, self.left.start);
        self.chunk_left = range.map_or(0, |(_, len)| len as usize);
    }
}

/// Makes the files of a bundle that are what is listed; says whether all are.
fn place_files(
    staging: &Staging,
    files: &[BundledFile],
    mut bytes: &[u8],
) -> Result<bool, PartError> {
    let mut all = true;
    for file in files {
        let (own, later) = bytes.split_at(bytes.len().min(file.len as usize));
        bytes = later;
        all &= place_file(staging, file.entry, own)?;
    }
    Ok(all)
}

fn place_file(staging: &Staging, entry: u32, bytes: &[u8]) -> Result<bool, PartError> {
    let Some((listed, facts)) = staging.plan.file(entry) else { return Ok(false) };
    if root(bytes) != Some(facts.root) {
        return Ok(false);
    }
    let disk = &*staging.disk;
    let placed = staging.tree.create(&staging.plan, entry, &listed).and_then(|file| {
        write_all_at(disk, &file, bytes, 0)?;
        staging.tree.date(disk, &file, &facts);
        Ok(())
    });
    placed.map_err(|error| staging.failed("write", error))?;
    lock_of(&staging.present).insert(entry);
    Ok(true)
}

/// The root of a file with these bytes.
fn root(mut bytes: &[u8]) -> Option<Digest32> {
    let len = bytes.len() as u64;
    let mut chunks = Vec::new();
    for chunk in 0.. {
        let Some((_, chunk_len)) = chunk_range(len, chunk) else { break };
        let (own, later) = bytes.split_at_checked(chunk_len as usize)?;
        let mut hasher = ChunkHasher::new(len, chunk);
        hasher.update(own);
        chunks.push(hasher.finish()?);
        bytes = later;
    }
    crate::files::merkle::root(len, &chunks)
}
