//! A download in progress: a hidden, sparse file that gets its name when every chunk is verified.
//!
//! - A chunk counts only after its hash was compared; the thread that writes it hashes it.
//! - A chunk has one writer at a time, and the newest wins: late bytes of a slow host never
//!   overwrite a chunk that a faster one has taken over.
//! - Space is reserved for as many bytes of a chunk as have arrived, 1 MiB at most: an offer may
//!   lie about its length.
//! - After a crash, claimed chunks are a hint; they are hashed again before they count.
//! - File, then name, then folder: each is synced before the next step begins.
//! - Between its own changes klatch gives the partial file a modification time of its own: if
//!   another program changes it, that shows, and all of it is hashed again before it is called
//!   finished.
//! - After a failed sync, chunks are written again; the system may have lost them although they can
//!   still be read.

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod crashing;
mod error;
#[cfg(test)]
mod fault_tests;
mod mark;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

pub use self::error::PartError;
use self::mark::Mark;
use super::disk::{Disk, write_all_at};
use super::hash::{BUFFER_BYTES, HashError, hash_chunk};
use super::hidden::Hidden;
use super::merkle::{ChunkHasher, FileTree, chunk_count, chunk_range};
use super::names::download_name;
use super::noted::note_name;
use crate::router::bitmap::Bitmap;
use crate::router::ids::{Digest32, FileId};
use crate::sys::files::Positional;

/// Hex digits of the id in the name of a partial file.
pub(super) const STEM_DIGITS: usize = 16;
/// So much is written between syncs while bytes come.
const SYNC_BYTES: u64 = 64 * 1024 * 1024;
/// How much of a chunk's space is reserved at a time.
const ROOM_BYTES: usize = 1024 * 1024;

/// Who may write a chunk.
#[derive(Debug, Default)]
struct Slot {
    /// Number of its newest writer.
    writer: u32,
    verified: bool,
}

/// A download in progress. Threads share it and write different chunks at once.
#[derive(Debug)]
pub struct Part {
    hidden: Hidden,
    dir: PathBuf,
    len: u64,
    slots: Box<[Mutex<Slot>]>,
    verified: AtomicU32,
    /// Content of the hints file: the bytes of [`Bitmap::to_bytes`].
    claims: Mutex<Vec<u8>>,
    /// One thread writes at a time: in the system's own lock of a file the others would spin.
    writing: Mutex<Mark>,
    /// Bytes written since the last sync began.
    unsynced: AtomicU64,
    /// A sync is running or about to run.
    syncing: AtomicBool,
    /// A sync failed: only what is written again counts.
    distrusted: AtomicBool,
    ended: AtomicBool,
}

impl Part {
    /// Opens the partial file of `id` in the folder `dir`, or creates it, and holds it against
    /// every other program until it is dropped, finished or discarded. Also returns the chunks that
    /// an earlier run claimed: none counts before [`Part::verify_claimed`].
    ///
    /// # Errors
    /// When the file is longer than `max_bytes`, and when the folder cannot be used.
    pub fn open(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        id: &FileId,
        len: u64,
        max_bytes: u64,
    ) -> Result<(Self, Bitmap), PartError> {
        if len > max_bytes {
            return Err(PartError::TooLarge { len, max: max_bytes });
        }
        let dir = dir.canonicalize().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => PartError::NoFolder { path: dir.to_owned() },
            _ => PartError::on("open the folder", dir)(error),
        })?;
        let mut stem = id.to_string();
        stem.truncate(STEM_DIGITS);
        let hidden = Hidden::open(disk, &dir, &stem)
            .map_err(PartError::on("create a file in", &dir))?
            .ok_or_else(|| PartError::Busy { path: dir.clone() })?;
        let chunks = chunk_count(len);
        let reached = hidden.disk.reaches(&hidden.file, len);
        let claimed =
            reached.and_then(|()| read_claims(&hidden, chunks, len)).map_err(|error| {
                if hidden.allocated_bytes() == 0 {
                    // Nobody needs the file that was just made.
                    let _ = hidden.remove();
                }
                PartError::on("open the partial file", &hidden.path)(error)
            })?;
        let mark = Mark::new(&hidden);
        let part = Self {
            hidden,
            dir,
            len,
            slots: (0..chunks).map(|_| Mutex::default()).collect(),
            verified: AtomicU32::new(0),
            claims: Mutex::new(claimed.to_bytes()),
            writing: Mutex::new(mark),
            unsynced: AtomicU64::new(0),
            syncing: AtomicBool::new(false),
            distrusted: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        };
        Ok((part, claimed))
    }

    /// Saves the name that people know the file by, after the hints: a leftover is later known by
    /// it.
    pub fn note_name(&self, name: &str) {
        let Hidden { disk, claims, .. } = &self.hidden;
        let at = self.claims.lock().unwrap_or_else(PoisonError::into_inner).len() as u64;
        // Without it, a leftover is known by its id.
        let _ = note_name(&**disk, claims, at, name);
    }

    /// Length of the whole file in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether this is the empty file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the partial file is until it is finished.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.hidden.path
    }

    /// Another handle to the partial file, for serving what is verified.
    ///
    /// # Errors
    /// When the system gives no further handle.
    pub fn file(&self) -> Result<File, PartError> {
        let failed = PartError::on("serve from", &self.hidden.path);
        self.hidden.file.try_clone().map_err(failed)
    }

    /// Whether every chunk is verified.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing() == 0
    }

    /// Begins to write `chunk` from its first byte, superseding any earlier writer. `None` if it is
    /// verified already, or beyond the end.
    #[must_use]
    pub fn writer(&self, chunk: u32) -> Option<ChunkWriter<'_>> {
        let (offset, bytes) = chunk_range(self.len, chunk)?;
        let mut slot = self.slot(chunk)?;
        if slot.verified {
            return None;
        }
        slot.writer = slot.writer.wrapping_add(1);
        let hasher = ChunkHasher::new(self.len, chunk);
        Some(ChunkWriter {
            part: self,
            chunk,
            number: slot.writer,
            offset,
            left: bytes as usize,
            came: 0,
            room: 0,
            hasher,
        })
    }

    /// Hashes `chunk` from the disk; if its hash is `expected`, it counts from now on, else it is
    /// no longer claimed. If it cannot be read, it does not count now, but may at the next opening.
    #[must_use]
    pub fn verify_claimed(&self, chunk: u32, expected: &Digest32) -> bool {
        let Some(mut slot) = self.slot(chunk) else { return false };
        if slot.verified {
            return true;
        }
        let Hidden { disk, file, .. } = &self.hidden;
        let mut buffer = vec![0; BUFFER_BYTES];
        let read = |space: &mut [u8], offset| disk.read_at(file, space, offset);
        let good = match hash_chunk(read, self.len, chunk, &mut buffer, |_| Ok(())) {
            Ok(hash) => hash == *expected,
            Err(HashError::Read(_)) => return false,
            Err(HashError::Changed | HashError::Cancelled) => false,
        };
        self.settle(chunk, &mut slot, good);
        good
    }

    /// Writes zeros where these chunks will be, to see whether the disk has room. Verified or
    /// claimed chunks are left alone; writers of the others are superseded.
    ///
    /// # Errors
    /// The disk's error.
    pub fn try_room(&self, chunks: &[u32]) -> Result<(), PartError> {
        let zeros = vec![0; BUFFER_BYTES];
        for &chunk in chunks {
            let Some((mut offset, bytes)) = chunk_range(self.len, chunk) else { continue };
            let Some(mut slot) = self.slot(chunk) else { continue };
            if slot.verified || self.is_claimed(chunk) {
                continue;
            }
            slot.writer = slot.writer.wrapping_add(1);
            let end = offset + u64::from(bytes);
            while offset < end {
                let left = usize::try_from(end - offset).unwrap_or(usize::MAX);
                let piece = zeros.get(..left.min(zeros.len())).unwrap_or_default();
                self.write(piece, offset, 0)?;
                offset += piece.len() as u64;
            }
        }
        Ok(())
    }

    /// Gives the complete file its name in the folder, `<stamp>_<safe name>`, with ` (2)` and so on
    /// before the extension if that is taken, and ends the hold. File and folder are synced. `tree`
    /// is what its chunks were verified against. After an error that the user can fix, such as a
    /// full disk, it may be called again.
    ///
    /// # Errors
    /// When a chunk is missing, when the part has ended already, or when the disk fails.
    pub fn finish(&self, name: &str, stamp: &str, tree: &FileTree) -> Result<PathBuf, PartError> {
        self.finish_as(None, &download_name(stamp, name), tree)
    }

    /// The same under `chosen`, one plain component, if that is free; otherwise under `dated`.
    ///
    /// # Errors
    /// As [`Part::finish`].
    pub fn finish_as(
        &self,
        chosen: Option<&str>,
        dated: &str,
        tree: &FileTree,
    ) -> Result<PathBuf, PartError> {
        if !self.is_complete() {
            return Err(PartError::Incomplete { missing: self.missing() });
        }
        if self.ended.swap(true, Ordering::AcqRel) {
            return Err(PartError::Ended);
        }
        let placed = self.place(chosen, dated, tree);
        match placed {
            Ok(_) => self.hidden.release(),
            Err(_) => self.ended.store(false, Ordering::Release),
        }
        placed
    }

    /// Whether so much was written since the last sync that the caller should run
    /// [`Part::sync_early`] on a thread that may wait for the disk.
    #[must_use]
    pub fn wants_sync(&self) -> bool {
        self.unsynced.load(Ordering::Relaxed) >= SYNC_BYTES
            && !self.syncing.swap(true, Ordering::AcqRel)
    }

    /// No thread could sync just now.
    pub fn skip_sync(&self) {
        self.syncing.store(false, Ordering::Release);
    }

    /// Syncs while bytes are still coming, so that little is left for the end.
    pub fn sync_early(&self) {
        let Hidden { disk, file, .. } = &self.hidden;
        self.unsynced.store(0, Ordering::Relaxed);
        if disk.sync(file).is_err() {
            self.distrust();
        }
        self.syncing.store(false, Ordering::Release);
    }

    fn place(
        &self,
        chosen: Option<&str>,
        dated: &str,
        tree: &FileTree,
    ) -> Result<PathBuf, PartError> {
        let Hidden { disk, file, path, .. } = &self.hidden;
        if self.distrusted.load(Ordering::Acquire) {
            let mut mark = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            mark.look(&self.hidden);
            let written = self.write_again(tree);
            mark.set(&self.hidden);
            written?;
        }
        if let Err(error) = disk.sync(file) {
            self.distrust();
            return Err(PartError::on("sync", path)(error));
        }
        self.distrusted.store(false, Ordering::Release);
        let length = file.metadata().map_err(PartError::on("read", path))?.len();
        if length != self.len || !self.hidden.in_place() {
            return Err(PartError::Meddled { path: path.clone() });
        }
        self.check(tree)?;
        let placed = self.hidden.publish(&self.dir, (chosen, dated));
        let target = placed.map_err(|failed| {
            self.writing.lock().unwrap_or_else(PoisonError::into_inner).set(&self.hidden);
            PartError::on("create", &failed.path)(failed.error)
        })?;
        // The file is whole and in place, so a disk that cannot sync folders is no error.
        let _ = disk.sync_folder(&self.dir);
        Ok(target)
    }

    /// Makes sure that what will be called finished is what was verified; from then on the file has
    /// the current time.
    fn check(&self, tree: &FileTree) -> Result<(), PartError> {
        let Hidden { disk, file, path, .. } = &self.hidden;
        let mut mark = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        mark.look(&self.hidden);
        if mark.meddled {
            let mut buffer = vec![0; BUFFER_BYTES];
            let mut wrong = false;
            for (chunk, expected) in (0..).zip(tree.chunks()) {
                let read = |space: &mut [u8], offset| disk.read_at(file, space, offset);
                match hash_chunk(read, self.len, chunk, &mut buffer, |_| Ok(())) {
                    Ok(hash) if hash == *expected => {}
                    Err(HashError::Read(error)) => {
                        return Err(PartError::on("read", path)(error));
                    }
                    _ => {
                        wrong = true;
                        self.unclaim(chunk);
                    }
                }
            }
            if wrong {
                return Err(PartError::Meddled { path: path.clone() });
            }
            mark.meddled = !self.hidden.is_locked;
        }
        mark.shown = None;
        // If the time cannot be set, it is still a recent one.
        let _ = disk.set_modified(file, SystemTime::now());
        Ok(())
    }

    /// Written data may be lost although it can still be read: applies to this run and the next.
    fn distrust(&self) {
        self.distrusted.store(true, Ordering::Release);
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims.fill(0);
        let Hidden { disk, claims: file, .. } = &self.hidden;
        // If even this cannot be written, the disk has lost what a new run could trust.
        let _ = write_all_at(&**disk, file, &claims, 0);
    }

    /// Writes every chunk again that can still be read as it was verified.
    fn write_again(&self, tree: &FileTree) -> Result<(), PartError> {
        let Hidden { disk, file, path, .. } = &self.hidden;
        let mut buffer = vec![0; BUFFER_BYTES];
        for (chunk, expected) in (0..).zip(tree.chunks()) {
            let Some((mut offset, _)) = chunk_range(self.len, chunk) else { break };
            let read = |space: &mut [u8], offset| disk.read_at(file, space, offset);
            let hash = hash_chunk(read, self.len, chunk, &mut buffer, |bytes| {
                write_all_at(&**disk, file, bytes, offset)?;
                offset += bytes.len() as u64;
                Ok(())
            });
            match hash {
                Ok(hash) if hash == *expected => {}
                Err(HashError::Read(error)) => return Err(PartError::on("write", path)(error)),
                _ => return Err(PartError::Lost { path: path.clone() }),
            }
        }
        Ok(())
    }

    /// Removes everything of the download and ends the hold; returns how many bytes it took.
    ///
    /// # Errors
    /// When the part has ended already, or the disk fails.
    pub fn discard(&self) -> Result<u64, PartError> {
        if self.ended.swap(true, Ordering::AcqRel) {
            return Err(PartError::Ended);
        }
        let bytes = self.hidden.allocated_bytes();
        self.hidden.remove().map_err(PartError::on("remove", &self.hidden.path))?;
        Ok(bytes)
    }

    fn missing(&self) -> u32 {
        chunk_count(self.len).saturating_sub(self.verified.load(Ordering::Acquire))
    }

    fn slot(&self, chunk: u32) -> Option<MutexGuard<'_, Slot>> {
        let slot = self.slots.get(chunk as usize)?;
        Some(slot.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_claimed(&self, chunk: u32) -> bool {
        let claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims.get(chunk as usize / 8).is_some_and(|byte| byte & (0x80 >> (chunk % 8)) != 0)
    }

    /// Writes bytes, and first reserves `room` bytes from their start if that is more.
    fn write(&self, bytes: &[u8], offset: u64, room: usize) -> Result<(), PartError> {
        let Hidden { disk, file, path, .. } = &self.hidden;
        let mut mark = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.unsynced.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        mark.look(&self.hidden);
        if room > bytes.len() {
            // A full disk will report it on writing; one that cannot reserve writes all the same.
            let _ = disk.take_room(file, offset, room as u64);
        }
        let written = write_all_at(&**disk, file, bytes, offset);
        mark.set(&self.hidden);
        written.map_err(PartError::on("write", path))
    }

    /// Keeps a new run from trusting this chunk.
    fn unclaim(&self, chunk: u32) {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        self.hint(&mut claims, chunk, false);
    }

    /// Writes the hint for the next run.
    fn hint(&self, claims: &mut [u8], chunk: u32, good: bool) {
        let (index, bit) = (chunk as usize / 8, 0x80 >> (chunk % 8));
        let Some(byte) = claims.get_mut(index) else { return };
        let hint = if good { *byte | bit } else { *byte & !bit };
        if hint != *byte {
            *byte = hint;
            let Hidden { disk, claims: file, .. } = &self.hidden;
            // Losing the hint only means fetching the chunk again after a crash.
            let _ = write_all_at(&**disk, file, &[hint], index as u64);
        }
    }

    /// Counts a chunk whose hash was compared, and writes the hint for the next run.
    fn settle(&self, chunk: u32, slot: &mut Slot, good: bool) {
        if good {
            slot.verified = true;
            self.verified.fetch_add(1, Ordering::AcqRel);
        }
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        self.hint(&mut claims, chunk, good);
    }
}

impl Drop for Part {
    /// A download that received nothing leaves nothing behind.
    fn drop(&mut self) {
        let claims = self.claims.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !self.ended.load(Ordering::Acquire) && claims.iter().all(|&byte| byte == 0) {
            let _ = self.hidden.remove();
        }
    }
}

/// Reads which chunks an earlier run claimed, and removes what cannot belong to the file.
fn read_claims(hidden: &Hidden, chunks: u32, len: u64) -> io::Result<Bitmap> {
    let Hidden { disk, file, claims, .. } = hidden;
    if file.metadata()?.len() > len {
        disk.set_len(file, len)?;
    }
    let mut bytes = Bitmap::none(chunks).to_bytes();
    // A hint of any length will do.
    let written = claims.metadata()?.len().min(bytes.len() as u64) as usize;
    claims.read_exact_at(bytes.get_mut(..written).unwrap_or_default(), 0)?;
    let claimed = Bitmap::from_bytes(chunks, &bytes).unwrap_or_else(|| Bitmap::none(chunks));
    // Written whole, so that every claim has room even if the disk is full later.
    write_all_at(&**disk, claims, &claimed.to_bytes(), 0)?;
    Ok(claimed)
}

/// Writes one chunk in order, and hashes what it writes.
pub struct ChunkWriter<'a> {
    part: &'a Part,
    chunk: u32,
    number: u32,
    /// Where the next byte goes.
    offset: u64,
    /// Bytes of the chunk still to come.
    left: usize,
    /// Bytes that came, and how many of those to come have space reserved.
    came: usize,
    room: usize,
    hasher: ChunkHasher,
}

impl ChunkWriter<'_> {
    /// Writes the next bytes of the chunk. Bytes beyond its end are not written and invalidate it.
    /// After a disk error the same bytes may be passed again.
    ///
    /// # Errors
    /// [`PartError::Superseded`] if a newer writer has the chunk; otherwise the disk's error.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), PartError> {
        let Some(left) = self.left.checked_sub(bytes.len()) else {
            self.hasher.update(bytes);
            return Ok(());
        };
        let slot = self.slot()?;
        let (mut room, mut taken) = (self.room, 0);
        if room < bytes.len() {
            // Never much more than came.
            room = self.left.min(ROOM_BYTES.min(self.came).max(bytes.len()));
            taken = room;
        }
        self.part.write(bytes, self.offset, taken)?;
        drop(slot);
        self.room = room.saturating_sub(bytes.len());
        self.came += bytes.len();
        self.hasher.update(bytes);
        self.left = left;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Ends the chunk: it counts if its hash is `expected`. False means that its sender sent a
    /// wrong byte, or too few or too many.
    ///
    /// # Errors
    /// [`PartError::Superseded`] when a newer writer has the chunk.
    pub fn finish(self, expected: &Digest32) -> Result<bool, PartError> {
        let mut slot = self.slot()?;
        let good = self.hasher.clone().finish() == Some(*expected);
        self.part.settle(self.chunk, &mut slot, good);
        Ok(good)
    }

    /// Number of the chunk.
    #[must_use]
    pub fn chunk(&self) -> u32 {
        self.chunk
    }

    /// The chunk's slot, locked, if this is still its newest writer.
    fn slot(&self) -> Result<MutexGuard<'_, Slot>, PartError> {
        let slot = self.part.slot(self.chunk);
        slot.filter(|slot| slot.writer == self.number && !slot.verified)
            .ok_or(PartError::Superseded)
    }
}
