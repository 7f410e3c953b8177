//! What is served to other members: a file of the user's own, a finished download, or one that
//! still grows.
//!
//! A source may be edited, truncated or swapped while it is served. That costs nobody a wrong byte,
//! for every chunk is verified where it arrives; [`Served::unchanged`] and [`Served::recheck`] let
//! a host notice first and withdraw its offer.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError, RwLock};
use std::time::Duration;

use super::hash::{BUFFER_BYTES, HashError, hash_chunk};
use super::merkle::{FileTree, chunk_bytes, chunk_count};
use super::source::Stamp;
use crate::router::bitmap::Bitmap;

/// Why bytes cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The range is not wholly in chunks that are held.
    #[error("bytes {offset} to {end} are not held here")]
    NotHeld {
        /// First byte asked for.
        offset: u64,
        /// One past the last byte asked for.
        end: u64,
    },
    /// The file is shorter than it was.
    #[error("the file is shorter than when it was offered: offer it again")]
    Truncated,
    /// The disk did not give the bytes.
    #[error("cannot read the file: {0}")]
    Read(#[from] io::Error),
}

/// Where a finished file lies and what it looked like there.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    stamp: Stamp,
}

impl Place {
    fn new(path: PathBuf, stamp: Stamp) -> Self {
        // A relative path would change its meaning with the working folder.
        let path = std::path::absolute(&path).unwrap_or(path);
        Self { path, stamp }
    }
}

/// A file that is served to other members, wholly or as far as it is held. Shared by the threads
/// that serve it; reads are positional, so they do not disturb each other.
#[derive(Debug)]
pub struct Served {
    tree: FileTree,
    file: File,
    /// `None` while it still downloads.
    place: RwLock<Option<Place>>,
    held: Box<[AtomicU64]>,
    sent: Box<[AtomicU32]>,
    /// Grows with every chunk that came or was sent.
    changes: AtomicU64,
    /// Told when a chunk came.
    came: (Mutex<()>, Condvar),
}

impl Served {
    /// A file of which every chunk is held. `stamp` is what it looked like when it was opened,
    /// before it was hashed.
    #[must_use]
    pub fn complete(tree: FileTree, file: File, path: PathBuf, stamp: Stamp) -> Self {
        let served = Self::new(tree, file, Some(Place::new(path, stamp)));
        (0..served.chunk_count()).for_each(|chunk| served.set_held(chunk));
        served
    }

    /// A download of which no chunk is held yet; `file` is its partial file.
    #[must_use]
    pub fn partial(tree: FileTree, file: File) -> Self {
        Self::new(tree, file, None)
    }

    fn new(tree: FileTree, file: File, place: Option<Place>) -> Self {
        let chunks = chunk_count(tree.len()) as usize;
        Self {
            tree,
            file,
            place: RwLock::new(place),
            held: (0..chunks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            sent: (0..chunks).map(|_| AtomicU32::new(0)).collect(),
            changes: AtomicU64::new(0),
            came: (Mutex::new(()), Condvar::new()),
        }
    }

    /// Says that the download is complete and lies at `path` now.
    ///
    /// # Errors
    /// When the system cannot say what the file is.
    pub fn finished(&self, path: PathBuf) -> io::Result<()> {
        let stamp = Stamp::of(&self.file.metadata()?);
        let place = Some(Place::new(path, stamp));
        *self.place.write().unwrap_or_else(PoisonError::into_inner) = place;
        Ok(())
    }

    /// The chunk hashes and the root.
    #[must_use]
    pub fn tree(&self) -> &FileTree {
        &self.tree
    }

    /// Number of chunks, held or not.
    #[must_use]
    pub fn chunk_count(&self) -> u32 {
        chunk_count(self.tree.len())
    }

    /// Whether `chunk` is held; false beyond the end.
    #[must_use]
    pub fn holds(&self, chunk: u32) -> bool {
        // Acquire: who sees the bit sees the bytes, which were written before it was set.
        chunk < self.chunk_count()
            && self
                .held
                .get(chunk as usize / 64)
                .is_some_and(|word| word.load(Ordering::Acquire) >> (chunk % 64) & 1 == 1)
    }

    /// Says that `chunk` is verified and on disk. Beyond the end nothing happens.
    pub fn set_held(&self, chunk: u32) {
        if let Some(word) = self.held.get(chunk as usize / 64) {
            word.fetch_or(1 << (chunk % 64), Ordering::AcqRel);
            self.changes.fetch_add(1, Ordering::Relaxed);
            // Whoever looked before this and saw nothing is waiting when it is told.
            drop(self.came.0.lock().unwrap_or_else(PoisonError::into_inner));
            self.came.1.notify_all();
        }
    }

    /// Waits for a chunk for at most `patience`; says whether it is held.
    #[must_use]
    pub fn wait_for(&self, chunk: u32, patience: Duration) -> bool {
        let (lock, came) = &self.came;
        let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let lacking = |(): &mut ()| !self.holds(chunk);
        // Poisoned or not, what counts is the chunk.
        drop(came.wait_timeout_while(guard, patience, lacking));
        self.holds(chunk)
    }

    /// The chunks that were sent to somebody.
    #[must_use]
    pub fn sent(&self) -> Bitmap {
        let mut bitmap = Bitmap::none(self.chunk_count());
        for (chunk, times) in (0..).zip(&self.sent) {
            if times.load(Ordering::Relaxed) > 0 {
                bitmap.insert(chunk);
            }
        }
        bitmap
    }

    /// A number that is another one whenever [`Served::held`] or [`Served::sent`] may be.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Where the finished file lies; `None` while it still downloads.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        let place = self.place.read().unwrap_or_else(PoisonError::into_inner);
        place.as_ref().map(|place| place.path.clone())
    }

    /// The chunks held, as they are advertised.
    #[must_use]
    pub fn held(&self) -> Bitmap {
        let mut bitmap = Bitmap::none(self.chunk_count());
        for chunk in (0..self.chunk_count()).filter(|&chunk| self.holds(chunk)) {
            bitmap.insert(chunk);
        }
        bitmap
    }

    /// Fills `out` with the bytes from `offset`: all of them, out of chunks that are held, or none.
    ///
    /// # Errors
    /// When part of the range is not held, when the file was truncated, or when the disk fails.
    pub fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), ServeError> {
        if out.is_empty() {
            return Ok(());
        }
        let end = offset.saturating_add(out.len() as u64);
        let chunk = u64::from(chunk_bytes(self.tree.len()));
        let held = |index| u32::try_from(index).is_ok_and(|index| self.holds(index));
        if end > self.tree.len() || !(offset / chunk..=(end - 1) / chunk).all(held) {
            return Err(ServeError::NotHeld { offset, end });
        }
        self.file.read_exact_at(out, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ServeError::Truncated,
            _ => ServeError::Read(error),
        })
    }

    /// Whether the path still leads to the file that was hashed, with the same length and time of
    /// modification; for a download in progress, whether its partial file was not deleted.
    #[must_use]
    pub fn unchanged(&self) -> bool {
        let place = self.place.read().unwrap_or_else(PoisonError::into_inner);
        match &*place {
            Some(Place { path, stamp }) => {
                std::fs::metadata(path).is_ok_and(|now| Stamp::of(&now) == *stamp)
            }
            // Under whatever name: it may just be getting its final one.
            None => self.file.metadata().is_ok_and(|now| now.nlink() > 0),
        }
    }

    /// Picks the chunk that this host has sent least often, of those that it holds, that are not
    /// in `exclude` and that are `wanted`; the lowest of several. The pick counts as sent at once,
    /// so that two threads never pick the same copy.
    pub fn next_least_sent(&self, exclude: &[u32], wanted: impl Fn(u32) -> bool) -> Option<u32> {
        loop {
            let mut least: Option<(u32, &AtomicU32, u32)> = None;
            for (chunk, counter) in (0..).zip(&self.sent) {
                let times = counter.load(Ordering::Relaxed);
                let fewer = least.is_none_or(|(_, _, fewest)| times < fewest);
                if fewer && self.holds(chunk) && !exclude.contains(&chunk) && wanted(chunk) {
                    least = Some((chunk, counter, times));
                    if times == 0 {
                        break;
                    }
                }
            }
            let (chunk, counter, times) = least?;
            let (order, next) = (Ordering::Relaxed, times.saturating_add(1));
            if counter.compare_exchange(times, next, order, order).is_ok() {
                self.changes.fetch_add(1, Ordering::Relaxed);
                return Some(chunk);
            }
        }
    }

    /// Counts a chunk that was asked for by its number.
    pub fn note_sent(&self, chunk: u32) {
        self.count_sent(chunk, |times| times.saturating_add(1));
    }

    /// Takes one count back: the chunk did not reach the other end.
    pub fn note_unsent(&self, chunk: u32) {
        self.count_sent(chunk, |times| times.saturating_sub(1));
    }

    fn count_sent(&self, chunk: u32, change: impl Fn(u32) -> u32) {
        if let Some(counter) = self.sent.get(chunk as usize) {
            counter.update(Ordering::Relaxed, Ordering::Relaxed, change);
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Hashes `chunk` from the disk again: whether it is still what the tree says.
    ///
    /// # Errors
    /// When the disk does not give the bytes.
    pub fn recheck(&self, chunk: u32) -> Result<bool, ServeError> {
        let mut buffer = vec![0; BUFFER_BYTES];
        match hash_chunk(&self.file, self.tree.len(), chunk, &mut buffer, |_| Ok(())) {
            Ok(hash) => Ok(self.tree.chunk(chunk) == Some(&hash)),
            Err(HashError::Read(error)) => Err(error.into()),
            Err(HashError::Changed | HashError::Cancelled) => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::OpenOptions;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::time::SystemTime;

    use super::*;
    use crate::files::source::open;
    use crate::files::testing::{count_bytes, tree_of, write};

    const MAX: u64 = 1 << 41;
    const LEN: u64 = 3 * 256 * 1024 + 5;

    fn served(dir: &Path) -> (PathBuf, Served) {
        let path = write(dir, "data", &count_bytes(0, LEN as usize));
        let (file, stamp) = open(&path, MAX).unwrap();
        let tree = tree_of(LEN, count_bytes);
        (path.clone(), Served::complete(tree, file, path, stamp))
    }

    #[test]
    fn exact_bytes_come_out_of_held_chunks_only() {
        let dir = tempfile::tempdir().unwrap();
        let (path, whole) = served(dir.path());
        let mut out = vec![0; 1000];
        whole.read_at(262_144 - 8, &mut out).unwrap();
        assert_eq!(out, count_bytes(262_144 - 8, 1000));
        assert!(matches!(whole.read_at(LEN - 999, &mut out), Err(ServeError::NotHeld { .. })));
        assert!(matches!(whole.read_at(u64::MAX, &mut out), Err(ServeError::NotHeld { .. })));

        let tree = whole.tree().clone();
        let part = Served::partial(tree, File::open(&path).unwrap());
        assert!(part.held().count() == 0 && whole.held().is_all());
        part.set_held(1);
        part.set_held(9);
        assert_eq!(part.held().iter().collect::<Vec<_>>(), [1]);
        part.read_at(262_144, &mut out).unwrap();
        assert!(matches!(part.read_at(262_144 - 8, &mut out), Err(ServeError::NotHeld { .. })));
    }

    #[test]
    fn an_edited_truncated_or_swapped_source_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, served) = served(dir.path());
        assert!(served.unchanged() && served.recheck(3).unwrap());

        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(b"edited", 300_000).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(!served.unchanged());
        assert!(served.recheck(0).unwrap() && !served.recheck(1).unwrap());

        file.set_len(600_000).unwrap();
        let mut out = [0; 10];
        assert!(matches!(served.read_at(LEN - 10, &mut out), Err(ServeError::Truncated)));
        assert!(!served.recheck(3).unwrap() && !served.recheck(99).unwrap());
    }

    #[test]
    fn a_source_swapped_for_a_symlink_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, served) = served(dir.path());
        let other = write(dir.path(), "other", &count_bytes(0, LEN as usize));
        std::fs::remove_file(&path).unwrap();
        assert!(!served.unchanged());
        symlink(&other, &path).unwrap();
        assert!(!served.unchanged());
        // The bytes offered are still those that are served.
        assert!(served.recheck(0).unwrap());
    }

    #[test]
    fn a_growing_download_is_unchanged_until_it_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), "part", b"");
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let tree = tree_of(LEN, count_bytes);
        let served = Served::partial(tree, file.try_clone().unwrap());
        file.write_all_at(&count_bytes(0, LEN as usize), 0).unwrap();
        assert!(served.unchanged());
        let place = dir.path().join("done");
        std::fs::rename(&path, &place).unwrap();
        assert!(served.unchanged());
        served.finished(place.clone()).unwrap();
        assert!(served.unchanged());
        file.set_len(1).unwrap();
        assert!(!served.unchanged());
        let tree = tree_of(LEN, count_bytes);
        let served = Served::partial(tree, file);
        std::fs::remove_file(place).unwrap();
        assert!(!served.unchanged());
    }

    #[test]
    fn a_lone_host_repeats_itself_least() {
        let dir = tempfile::tempdir().unwrap();
        let (_, served) = served(dir.path());
        served.note_sent(0);
        let all = |_| true;
        let picks: Vec<_> = (0..3).filter_map(|_| served.next_least_sent(&[], all)).collect();
        assert_eq!(picks, [1, 2, 3]);
        served.note_unsent(2);
        assert_eq!(served.next_least_sent(&[], all), Some(2));
        assert_eq!(served.next_least_sent(&[0, 1], all), Some(2));
        assert_eq!(served.next_least_sent(&[0, 1], |chunk| chunk != 3), Some(2));
        assert_eq!(served.next_least_sent(&[0, 1, 2, 3], all), None);
    }

    #[test]
    fn threads_that_pick_at_once_never_pick_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), "zeros", b"");
        File::options().write(true).open(&path).unwrap().set_len(1 << 27).unwrap();
        let (file, stamp) = open(&path, MAX).unwrap();
        let tree = tree_of(1 << 27, |_, bytes| vec![0; bytes]);
        let served = Served::complete(tree, file, path, stamp);
        let pick = || (0..128).filter_map(|_| served.next_least_sent(&[], |_| true)).collect();
        let picks: Vec<Vec<u32>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(pick)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let distinct: BTreeSet<u32> = picks.iter().flatten().copied().collect();
        assert_eq!(distinct.len(), 512);
    }
}
