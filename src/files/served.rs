//! What is served to other members: a file of the user's own, a finished download, or one that
//! still grows.
//!
//! A source may be edited, truncated or swapped while it is served. That costs nobody a wrong byte,
//! for every chunk is verified where it arrives; [`Served::unchanged`] and [`Served::recheck`] let
//! a host notice first and withdraw its offer.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use super::hash::{BUFFER_BYTES, HashError, hash_chunk};
use super::merkle::{FileTree, chunk_bytes, chunk_count};
use super::source::Stamp;
use crate::router::bitmap::Bitmap;
use crate::router::ids::MemberId;
use crate::router::swarm::sent::{Picked, Sent};

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
    sent: Mutex<Sent>,
    /// Chunks that came.
    arrivals: AtomicU64,
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
        let tree_len = tree.len();
        let chunks = chunk_count(tree_len) as usize;
        Self {
            tree,
            file,
            place: RwLock::new(place),
            held: (0..chunks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            sent: Mutex::new(Sent::new(chunk_count(tree_len))),
            arrivals: AtomicU64::new(0),
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
            self.arrivals.fetch_add(1, Ordering::Relaxed);
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

    /// Another number than before whenever other chunks may be held, or have been sent.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.arrivals.load(Ordering::Relaxed).wrapping_add(self.sent().changes())
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
        self.read_into(offset, &mut [IoSliceMut::new(out)])
    }

    /// The same into several places, one behind the other, with one call of the system.
    ///
    /// # Errors
    /// As there.
    pub fn read_into(&self, offset: u64, out: &mut [IoSliceMut<'_>]) -> Result<(), ServeError> {
        let length: usize = out.iter().map(|out| out.len()).sum();
        if length == 0 {
            return Ok(());
        }
        let end = offset.saturating_add(length as u64);
        let chunk = u64::from(chunk_bytes(self.tree.len()));
        let held = |index| u32::try_from(index).is_ok_and(|index| self.holds(index));
        if end > self.tree.len() || !(offset / chunk..=(end - 1) / chunk).all(held) {
            return Err(ServeError::NotHeld { offset, end });
        }
        if rustix::io::preadv(&self.file, out, offset).is_ok_and(|read| read == length) {
            return Ok(());
        }
        // Interrupted, short, or a failure that the next call will name.
        let mut offset = offset;
        for out in out {
            self.file.read_exact_at(out, offset).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => ServeError::Truncated,
                _ => ServeError::Read(error),
            })?;
            offset += out.len() as u64;
        }
        Ok(())
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

    /// What was sent to whom.
    pub fn sent(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Picks what to send to `member`, of the chunks that it wants ([`Sent::pick`]).
    pub fn pick(&self, member: MemberId, of: &Bitmap) -> Picked {
        self.sent().pick(member, of, |chunk| self.holds(chunk))
    }

    /// Hashes `chunk` from the disk again: whether it is still what the tree says.
    ///
    /// # Errors
    /// When the disk does not give the bytes.
    pub fn recheck(&self, chunk: u32) -> Result<bool, ServeError> {
        let mut buffer = vec![0; BUFFER_BYTES];
        let read_at = |space: &mut [u8], offset| self.file.read_at(space, offset);
        match hash_chunk(read_at, self.tree.len(), chunk, &mut buffer, |_| Ok(())) {
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
    fn threads_that_pick_at_once_never_pick_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), "zeros", b"");
        File::options().write(true).open(&path).unwrap().set_len(1 << 27).unwrap();
        let (file, stamp) = open(&path, MAX).unwrap();
        let tree = tree_of(1 << 27, |_, bytes| vec![0; bytes]);
        let served = Served::complete(tree, file, path, stamp);
        let (all, alice) = (Bitmap::all(served.chunk_count()), MemberId([1; 32]));
        let pick = || (0..128).map(|_| served.pick(alice, &all)).collect();
        let picks: Vec<Vec<Picked>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(pick)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let number = |picked: &Picked| match picked {
            Picked::Chunk(chunk) => *chunk,
            other => panic!("{other:?}"),
        };
        let distinct: BTreeSet<u32> = picks.iter().flatten().map(number).collect();
        assert_eq!(distinct.len(), 512);
    }
}
