//! Writes a unit as its bytes come.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use super::tree::{LongFile, has_time};
use super::{Staging, UnitSlot, lock_of};
use crate::files::disk::write_all_at;
use crate::files::folder::manifest::{ListedFile, ManifestEntry};
use crate::files::folder::units::{BundledFile, UnitContent};
use crate::files::merkle::{self, ChunkHasher, chunk_count, chunk_range};
use crate::files::part::PartError;
use crate::router::ids::Digest32;
use crate::sys::files::Facts;

/// Writes one unit in order, and hashes what it writes. Of a bundle, one chunk at most is in
/// memory: a file of one chunk is only made when its root was compared, and a longer one is removed
/// again if its root is wrong.
pub struct UnitWriter<'a> {
    staging: &'a Staging,
    unit: u32,
    number: u32,
    filling: Filling,
    /// More came than belongs there.
    spoiled: bool,
}

enum Filling {
    Bundle(Box<Bundle>),
    Chunks(Box<Chunks>),
}

/// Files that come one after the other.
struct Bundle {
    files: Vec<BundledFile>,
    /// Bytes of all that are still to come.
    left: usize,
    /// How many files are over, and whether all of them are what is listed.
    over: usize,
    right: bool,
    /// What came of the file after those: the hashes of its chunks, and the beginning of the next.
    hashes: Vec<Digest32>,
    chunk: Vec<u8>,
    /// That file, once its first chunk is written, and whether another program changed it since.
    file: Option<File>,
    meddled: bool,
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
    /// The slot of the unit must be held.
    pub(super) fn new(
        staging: &'a Staging,
        unit: u32,
        number: u32,
        content: UnitContent,
    ) -> Result<Self, PartError> {
        let filling = match content {
            UnitContent::Bundle(_) => {
                Filling::Bundle(Box::new(Bundle::new(staging.wanted_of(unit))))
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
        let fits = match &mut self.filling {
            Filling::Bundle(bundle) => bundle.write(self.staging, bytes)?,
            Filling::Chunks(chunks) => chunks.write(self.staging, bytes)?,
        };
        drop(slot);
        self.spoiled |= !fits;
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
            Filling::Bundle(came) => !spoiled && came.right && came.over == came.files.len(),
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

    /// The files of a bundle whose bytes are to be written, in order; none for chunks.
    #[must_use]
    pub fn files(&self) -> &[BundledFile] {
        match &self.filling {
            Filling::Bundle(bundle) => &bundle.files,
            Filling::Chunks(_) => &[],
        }
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

impl Bundle {
    fn new(files: Vec<BundledFile>) -> Self {
        let left = files.iter().map(|file| file.len as usize).sum();
        let (hashes, chunk) = (Vec::new(), Vec::new());
        Self { files, left, over: 0, right: true, hashes, chunk, file: None, meddled: false }
    }

    /// Writes bytes; says whether as many belong to the files.
    fn write(&mut self, staging: &Staging, mut bytes: &[u8]) -> Result<bool, PartError> {
        let Some(left) = self.left.checked_sub(bytes.len()) else { return Ok(false) };
        self.left = left;
        while !bytes.is_empty() {
            let Some(file) = self.files.get(self.over).copied() else { return Ok(false) };
            let number = u32::try_from(self.hashes.len()).unwrap_or(u32::MAX);
            let Some((offset, len)) = chunk_range(file.len.into(), number) else {
                return Ok(false);
            };
            let missing = (len as usize).saturating_sub(self.chunk.len());
            let (now, later) = bytes.split_at(bytes.len().min(missing));
            self.chunk.extend_from_slice(now);
            bytes = later;
            if now.len() == missing {
                self.chunk_came(staging, file, offset)?;
            }
        }
        Ok(true)
    }

    /// A chunk of a file is whole, and perhaps the file.
    fn chunk_came(
        &mut self,
        staging: &Staging,
        file: BundledFile,
        offset: u64,
    ) -> Result<(), PartError> {
        let gone = || PartError::Meddled { path: staging.path().to_owned() };
        let (listed, facts) = staging.plan.file(file.entry).ok_or_else(gone)?;
        let number = u32::try_from(self.hashes.len()).unwrap_or(u32::MAX);
        let mut hasher = ChunkHasher::new(facts.size, number);
        hasher.update(&self.chunk);
        self.hashes.push(hasher.finish().unwrap_or_default());
        let is_last = self.hashes.len() == chunk_count(facts.size) as usize;
        if is_last && merkle::root(facts.size, &self.hashes) != Some(facts.root) {
            self.right = false;
            if self.file.is_some() {
                staging.tree.remove(&staging.plan, file.entry, &listed);
            }
        } else {
            let put = self.put(staging, (file.entry, &listed, &facts), offset, is_last);
            put.map_err(|error| staging.failed("write", error))?;
        }
        self.chunk.clear();
        if is_last {
            self.over += 1;
            self.hashes.clear();
            self.file = None;
            self.meddled = false;
        }
        Ok(())
    }

    /// Writes a chunk to its place. Between its chunks a file has the time of the manifest, so that
    /// it shows if another program writes to it: then it is hashed again at the end.
    fn put(
        &mut self,
        staging: &Staging,
        (entry, listed, facts): (u32, &ManifestEntry, &ListedFile),
        offset: u64,
        is_last: bool,
    ) -> io::Result<()> {
        let disk = &*staging.disk;
        let file = match &self.file {
            Some(file) => {
                let modified_ns = Facts::of(file)?.modified_ns;
                self.meddled |= !has_time(modified_ns, facts.modified_s);
                file
            }
            None => self.file.insert(staging.tree.create(&staging.plan, entry, listed)?),
        };
        write_all_at(disk, file, &self.chunk, offset)?;
        if !is_last || !self.meddled {
            staging.tree.date(disk, file, facts);
        }
        if is_last {
            lock_of(&staging.present).insert(entry);
        }
        Ok(())
    }
}
