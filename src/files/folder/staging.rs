//! A folder that is received: built under a hidden name beside its destination, and renamed when
//! every file in it is verified. It is whole, or it is not there.
//!
//! - Everything in it is reached from the folder above it, and no link is followed: whoever can
//!   write there cannot lead klatch elsewhere ([`tree`]).
//! - A file counts when its root was compared, a chunk of a long file when its hash was.
//! - A unit has one writer at a time, and the newest wins.
//! - After a crash, claimed units are a hint; they are hashed again before they count.
//! - Files bear the times of the manifest as soon as they are written: one that does not in the end
//!   was changed by another program, and is hashed again.
//! - Nothing is merged into an existing folder, and nothing is replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(in crate::files) use self::left::{LeftFolder, hints_of};
pub(super) use self::tree::has_time;
pub(crate) use self::tree::time_of;
use self::tree::{LongFile, StagedTree};
pub use self::update::{FolderUpdate, foreign};
pub use self::writer::UnitWriter;
use super::manifest::{ListedFile, Manifest, ManifestEntry};
use super::paths::LocalPaths;
use super::units::{BundledFile, EntrySource, UnitContent, Units};
use crate::crypto::hash::digest;
use crate::files::disk::{Disk, write_all_at};
use crate::files::hash::{BUFFER_BYTES, HashError, hash_chunk, hash_file};
use crate::files::hidden::{NUMBERS, lock, open_or_create};
use crate::files::merkle::FileTree;
use crate::files::noted::note_name;
use crate::files::part::PartError;
use crate::files::publish::leads_to;
use crate::files::source::Stamp;
use crate::router::bitmap::Bitmap;
use crate::router::ids::Digest32;
use crate::sys::files::Positional;

mod copying;
mod finish;
mod left;
mod sweep;
mod syncing;
#[cfg(test)]
mod tests;
mod tree;
mod update;
mod writer;

/// What the name of a folder that is received ends with until it is whole.
pub(in crate::files) const FOLDER: &str = ".folder";
/// What the name of the file of hints about its units ends with.
pub(in crate::files) const UNITS: &str = ".units";
/// The same of zeros that show whether the disk has room.
const ROOM: &str = "room";
/// The same with its dot.
pub(in crate::files) const ROOM_ENDING: &str = ".room";
/// Hex digits of the id in both names.
const STEM_DIGITS: usize = 16;

/// Whether somebody still wants the folder.
type GoOn<'a> = &'a (dyn Fn() -> bool + Sync);

/// What is to be received.
#[derive(Debug, Clone)]
pub struct FolderPlan {
    /// The list.
    pub manifest: Arc<Manifest>,
    /// Its units.
    pub units: Arc<Units>,
    /// The names here.
    pub paths: Arc<LocalPaths>,
    /// Which entries are wanted.
    pub wanted: Bitmap,
    /// Whether files that can be executed stay so.
    pub exec: bool,
}

impl FolderPlan {
    /// The wanted entries, and those that are copied for some of them: what is fetched.
    fn fetched(&self) -> Bitmap {
        let mut fetched = self.wanted.clone();
        for entry in self.wanted.iter() {
            if let Some(EntrySource::Copy(of)) = self.units.source(entry) {
                fetched.insert(of);
            }
        }
        fetched
    }

    /// The units that some of these entries lie in.
    fn needed(&self, fetched: &Bitmap) -> Bitmap {
        let mut needed = Bitmap::none(self.units.count());
        for entry in fetched.iter() {
            if let Some(EntrySource::Units(units)) = self.units.source(entry) {
                for unit in units {
                    needed.insert(unit);
                }
            }
        }
        needed
    }

    fn file(&self, entry: u32) -> Option<(ManifestEntry, ListedFile)> {
        let entry = self.manifest.entry(entry)?;
        let file = entry.file?;
        Some((entry, file))
    }
}

/// Who may write a unit.
#[derive(Debug, Default)]
struct UnitSlot {
    /// Number of its newest writer.
    writer: u32,
    verified: bool,
}

/// A folder that is received. Threads share it and write different units at once.
#[derive(Debug)]
pub struct Staging {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    tree: StagedTree,
    plan: FolderPlan,
    fetched: Bitmap,
    needed: Bitmap,
    /// Files of `fetched` that are whole and verified.
    present: Mutex<Bitmap>,
    /// Files that are being copied from elsewhere: nobody begins to write them meanwhile.
    copied: Mutex<BTreeSet<u32>>,
    slots: Box<[Mutex<UnitSlot>]>,
    verified: AtomicU32,
    hints: Hints,
    /// A sync failed: what was written before may be lost.
    distrusted: AtomicBool,
    ended: AtomicBool,
    /// Finished files whose times the disk does not keep, as they were found.
    untimed: Mutex<BTreeMap<u32, Stamp>>,
    /// This disk cannot take the folder, now or later.
    unfit: AtomicBool,
}

/// Which units a new run is to look at, in a file whose lock holds the folder as well.
#[derive(Debug)]
struct Hints {
    file: File,
    path: PathBuf,
    bytes: Mutex<Vec<u8>>,
}

impl Staging {
    /// Opens what an earlier run left in `dir` of the folder with this id, or begins it, and holds
    /// it against every other program. Also returns the units that an earlier run claimed: none
    /// counts before [`Staging::verify_claimed`].
    ///
    /// # Errors
    /// When the files are longer than `max_bytes`, and when `dir` cannot be used.
    pub fn open(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        id: &[u8; 32],
        plan: FolderPlan,
        max_bytes: u64,
    ) -> Result<(Self, Bitmap), PartError> {
        let len = plan.manifest.total_bytes();
        if len > max_bytes {
            return Err(PartError::TooLarge { len, max: max_bytes });
        }
        let dir = dir.canonicalize().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => PartError::NoFolder { path: dir.to_owned() },
            _ => PartError::on("open the folder", dir)(error),
        })?;
        let (hints, tree) = hold(disk, &dir, &stem(id, &plan.wanted))
            .map_err(PartError::on("create a folder in", &dir))?
            .ok_or_else(|| PartError::Busy { path: dir.clone() })?;
        // A killed run left it.
        let _ = disk.remove(&hints.path.with_extension(ROOM));
        let count = plan.units.count();
        let claimed = read_hints(&**disk, &hints, count).map_err(|error| {
            // Nobody needs what was just made.
            if tree.is_empty() && tree.remove_all().is_ok() {
                let _ = disk.remove(&hints.path);
            }
            PartError::on("open", &hints.path)(error)
        })?;
        *lock_of(&hints.bytes) = claimed.to_bytes();
        let fetched = plan.fetched();
        let staging = Self {
            disk: Arc::clone(disk),
            dir,
            tree,
            needed: plan.needed(&fetched),
            present: Mutex::new(Bitmap::none(plan.manifest.len())),
            copied: Mutex::default(),
            fetched,
            plan,
            slots: (0..count).map(|_| Mutex::default()).collect(),
            verified: AtomicU32::new(0),
            hints,
            distrusted: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            untimed: Mutex::default(),
            unfit: AtomicBool::new(false),
        };
        // What stays in the way is told at the end.
        let _ = staging.sweep();
        Ok((staging, claimed))
    }

    /// Saves the name that people know the folder by, after the hints: a leftover is later known by
    /// it.
    pub fn note_name(&self, name: &str) {
        let at = lock_of(&self.hints.bytes).len() as u64;
        // Without it, a leftover is known by its id.
        let _ = note_name(&*self.disk, &self.hints.file, at, name);
    }

    /// Where the folder lies until it is whole.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.tree.path()
    }

    /// Of a finished folder those files whose times the disk did not take, as they were found.
    #[must_use]
    pub fn take_untimed(&self) -> BTreeMap<u32, Stamp> {
        std::mem::take(&mut lock_of(&self.untimed))
    }

    /// The entries that are wanted.
    #[must_use]
    pub fn wanted(&self) -> &Bitmap {
        &self.plan.wanted
    }

    /// The units in which something wanted lies.
    #[must_use]
    pub fn needed(&self) -> &Bitmap {
        &self.needed
    }

    /// The units that are verified.
    #[must_use]
    pub fn verified(&self) -> Bitmap {
        let mut verified = Bitmap::none(self.plan.units.count());
        for (unit, slot) in (0..).zip(&self.slots) {
            if lock_of(slot).verified {
                verified.insert(unit);
            }
        }
        verified
    }

    /// Whether every unit that is needed is verified.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing() == 0
    }

    /// The files of a bundle that are still to come, in order: what is requested of it. Nothing for
    /// the chunks of a file, and beyond the end.
    #[must_use]
    pub fn wanted_of(&self, unit: u32) -> Vec<BundledFile> {
        let Some(UnitContent::Bundle(files)) = self.plan.units.content(unit) else {
            return Vec::new();
        };
        let present = lock_of(&self.present);
        let is_wanted =
            |file: &BundledFile| self.fetched.has(file.entry) && !present.has(file.entry);
        files.into_iter().filter(is_wanted).collect()
    }

    /// Begins to write a unit from its first byte, and ends the work of an earlier writer: of a
    /// bundle the files that [`UnitWriter::files`] gives, joined. `None` when it is verified
    /// already, not needed, beyond the end, or when a file in it is just being copied.
    ///
    /// # Errors
    /// When the file that the chunks belong to cannot be opened.
    pub fn writer(&self, unit: u32) -> Result<Option<UnitWriter<'_>>, PartError> {
        let Some(content) = self.plan.units.content(unit) else { return Ok(None) };
        let Some(mut slot) = self.slot(unit) else { return Ok(None) };
        if slot.verified || !self.needed.has(unit) || self.is_copied(&content) {
            return Ok(None);
        }
        slot.writer = slot.writer.wrapping_add(1);
        // The slot stays held: what is to come of the unit is settled for this writer alone.
        UnitWriter::new(self, unit, slot.writer, content).map(Some)
    }

    /// Hashes a unit from the disk; it counts from then on if all is right, else it is no longer
    /// claimed. `chunks` are the hashes of its chunks, and not looked at for a bundle. What cannot
    /// be read does not count now.
    #[must_use]
    pub fn verify_claimed(&self, unit: u32, chunks: &[Digest32]) -> bool {
        let Some(content) = self.plan.units.content(unit) else { return false };
        let Some(mut slot) = self.slot(unit) else { return false };
        if slot.verified || !self.needed.has(unit) || self.is_copied(&content) {
            return slot.verified;
        }
        let good = match content {
            UnitContent::Bundle(files) => self.verify_bundle(&files),
            UnitContent::Chunks { entry, chunks: numbers, .. } => {
                numbers.len() == chunks.len()
                    && self.verify_chunks(entry, numbers.start, chunks).unwrap_or(false)
            }
        };
        self.settle(unit, &mut slot, good);
        good
    }

    /// Compares what is fetched of a bundle, all of it: what is right need not be requested.
    fn verify_bundle(&self, files: &[BundledFile]) -> bool {
        let mut all = true;
        for file in files.iter().filter(|file| self.fetched.has(file.entry)) {
            all &= self.verify_small(file.entry).unwrap_or(false);
        }
        all
    }

    /// Compares a small file of an earlier run with its root.
    fn verify_small(&self, entry: u32) -> io::Result<bool> {
        if lock_of(&self.present).has(entry) {
            return Ok(true);
        }
        let Some((listed, facts)) = self.plan.file(entry) else { return Ok(false) };
        let file = self.tree.open_own(&self.plan, entry, &listed, true)?;
        if file.metadata()?.len() != facts.size || root_of(&file, facts.size)? != facts.root {
            return Ok(false);
        }
        self.tree.date(&*self.disk, &file, &facts);
        lock_of(&self.present).insert(entry);
        Ok(true)
    }

    fn verify_chunks(
        &self,
        entry: u32,
        first: u32,
        chunks: &[Digest32],
    ) -> Result<bool, PartError> {
        let Some((listed, facts)) = self.plan.file(entry) else { return Ok(false) };
        let long = self.tree.long_file(self, entry, &listed)?;
        let long = LongFile::held(&long, self)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        for (chunk, expected) in (first..).zip(chunks) {
            let read = |space: &mut [u8], offset| self.disk.read_at(long.file(), space, offset);
            match hash_chunk(read, facts.size, chunk, &mut buffer, |_| Ok(())) {
                Ok(hash) if hash == *expected => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Writes as many zeros as these units are long beside the folder, and removes them, to see
    /// whether the disk has room.
    ///
    /// # Errors
    /// What the disk says.
    pub fn try_room(&self, units: &[u32]) -> Result<(), PartError> {
        let lens = units.iter().filter_map(|unit| self.plan.units.len_bytes(*unit));
        let bytes = lens.map(u64::from).sum();
        let path = self.hints.path.with_extension(ROOM);
        let tried = self.try_bytes(&path, bytes);
        // One that a killed run left goes with the next try.
        let _ = self.disk.remove(&path);
        tried.map_err(|error| PartError::on("write", self.path())(error))
    }

    fn try_bytes(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let file = match self.disk.create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.remove(path)?;
                self.disk.create(path)?
            }
            created => created?,
        };
        let zeros = vec![0; BUFFER_BYTES];
        let mut offset = 0;
        while offset < bytes {
            let left = usize::try_from(bytes - offset).unwrap_or(usize::MAX);
            let piece = zeros.get(..left.min(zeros.len())).unwrap_or_default();
            write_all_at(&*self.disk, &file, piece, offset)?;
            offset += piece.len() as u64;
        }
        Ok(())
    }

    /// Removes what there is of the folder and ends the hold.
    ///
    /// # Errors
    /// When it has ended already, or the disk fails.
    pub fn discard(&self) -> Result<(), PartError> {
        if self.ended.swap(true, Ordering::AcqRel) {
            return Err(PartError::Ended);
        }
        let removed = self.tree.remove_all();
        self.release();
        removed.map_err(PartError::on("remove", self.path()))
    }

    /// Ends the hold, and removes the hints.
    fn release(&self) {
        if leads_to(&self.hints.path, &self.hints.file) {
            // Hints that stay behind cost a few bytes.
            let _ = self.disk.remove(&self.hints.path);
        }
        let _ = self.hints.file.unlock();
    }

    fn missing(&self) -> u32 {
        self.needed.count().saturating_sub(self.verified.load(Ordering::Acquire))
    }

    fn slot(&self, unit: u32) -> Option<MutexGuard<'_, UnitSlot>> {
        Some(lock_of(self.slots.get(unit as usize)?))
    }

    /// Counts a unit that was compared, and writes the hint for the next run.
    fn settle(&self, unit: u32, slot: &mut UnitSlot, good: bool) {
        if good {
            slot.verified = true;
            self.verified.fetch_add(1, Ordering::AcqRel);
        }
        let mut bytes = lock_of(&self.hints.bytes);
        let (index, bit) = (unit as usize / 8, 0x80 >> (unit % 8));
        let Some(byte) = bytes.get_mut(index) else { return };
        let hint = if good { *byte | bit } else { *byte & !bit };
        if hint != *byte {
            *byte = hint;
            // Losing the hint costs fetching the unit again after a crash, and no more.
            let _ = write_all_at(&*self.disk, &self.hints.file, &[hint], index as u64);
        }
    }

    /// What is in the way, is missing or has another content is somebody else's work.
    fn failed(&self, action: &'static str, error: io::Error) -> PartError {
        let path = self.path().to_owned();
        match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::InvalidFilename => PartError::Meddled { path },
            _ => {
                let error = PartError::on(action, &path)(error);
                let lasts = matches!(error, PartError::Unfit { .. });
                if lasts || matches!(error, PartError::DiskTooSimple { .. }) {
                    self.unfit.store(true, Ordering::Release);
                }
                error
            }
        }
    }

    /// Written data may be lost although it can still be read: for this run and the next.
    fn distrust(&self) {
        self.distrusted.store(true, Ordering::Release);
        let mut bytes = lock_of(&self.hints.bytes);
        bytes.fill(0);
        // A disk that takes not even this has lost what a new run could trust.
        let _ = write_all_at(&*self.disk, &self.hints.file, &bytes, 0);
    }
}

impl Drop for Staging {
    /// A download that received nothing leaves nothing behind, nor does one that this disk can
    /// never take.
    fn drop(&mut self) {
        let nothing = lock_of(&self.hints.bytes).iter().all(|&byte| byte == 0);
        let useless = nothing || self.unfit.load(Ordering::Acquire);
        if !self.ended.load(Ordering::Acquire) && useless {
            let _ = self.tree.remove_all();
            self.release();
        }
        let _ = self.hints.file.unlock();
    }
}

fn lock_of<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The digits in the hidden names: those of the folder, and, where only some of it is wanted,
/// others for this choice.
fn stem(id: &[u8; 32], wanted: &Bitmap) -> String {
    let digits = |id| {
        let mut digits = Digest32(id).to_string();
        digits.truncate(STEM_DIGITS);
        digits
    };
    match wanted.is_all() {
        true => digits(*id),
        false => format!("{}-{}", digits(*id), digits(digest(&[id, &wanted.to_bytes()]))),
    }
}

/// Holds `.klatch-<stem>.folder` with its hints, or, where another program has them, those of
/// `<stem>-2` and so on; `Ok(None)` when all are held.
fn hold(disk: &Arc<dyn Disk>, dir: &Path, stem: &str) -> io::Result<Option<(Hints, StagedTree)>> {
    for number in 1..=NUMBERS {
        let number = if number == 1 { String::new() } else { format!("-{number}") };
        let path = dir.join(format!(".klatch-{stem}{number}{UNITS}"));
        let Some((file, fresh)) = open_or_create(&**disk, &path)? else { continue };
        if lock(&**disk, &file, &path).is_none() {
            continue;
        }
        let tree = StagedTree::open(dir, format!(".klatch-{stem}{number}{FOLDER}").into());
        let Ok(Some(tree)) = tree else {
            if fresh {
                disk.remove(&path)?;
            }
            tree?;
            continue;
        };
        let hints = Hints { file, path, bytes: Mutex::default() };
        return Ok(Some((hints, tree)));
    }
    Ok(None)
}

/// Reads which units an earlier run claimed.
fn read_hints(disk: &dyn Disk, hints: &Hints, units: u32) -> io::Result<Bitmap> {
    let mut bytes = Bitmap::none(units).to_bytes();
    // It is a hint at any length.
    let written = hints.file.metadata()?.len().min(bytes.len() as u64) as usize;
    hints.file.read_exact_at(bytes.get_mut(..written).unwrap_or_default(), 0)?;
    let claimed = Bitmap::from_bytes(units, &bytes).unwrap_or_else(|| Bitmap::none(units));
    // Written whole, so that a disk that is full later has room for every hint.
    write_all_at(disk, &hints.file, &claimed.to_bytes(), 0)?;
    Ok(claimed)
}

/// The root of a file that has this length.
fn root_of(file: &File, len: u64) -> io::Result<Digest32> {
    if len == 0 {
        return Ok(Digest32::default());
    }
    tree_of(file, len, &|| true).map(|tree| *tree.root())
}

/// The tree of a file that has this length.
fn tree_of(file: &File, len: u64, go_on: GoOn<'_>) -> io::Result<FileTree> {
    let stop = AtomicBool::new(false);
    let progress = |_| {
        if !go_on() {
            stop.store(true, Ordering::Relaxed);
        }
    };
    match hash_file(file, len, 1, &progress, &stop) {
        Ok(tree) => Ok(tree),
        Err(HashError::Read(error)) => Err(error),
        // It changes while it is read: then it has no root.
        Err(HashError::Changed | HashError::Cancelled) => Err(io::ErrorKind::InvalidData.into()),
    }
}
