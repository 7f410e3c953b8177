//! What is served to other members: a file of the user's own, a finished download, or one still in
//! progress.
//!
//! A source may be edited, truncated or swapped while it is served. Nobody accepts a wrong byte,
//! because every chunk is verified where it arrives; with [`Served::unchanged`] and
//! [`Served::recheck`] a host can notice first and withdraw its offer.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::folder::manifest::Manifest;
use super::folder::memory::ManifestBytes;
use super::hash::{BUFFER_BYTES, HashError, hash_chunk};
use super::held::HeldUnits;
use super::merkle::{FileTree, chunk_bytes, chunk_count};
use super::source::{self, OfferError, Stamp};
use crate::router::bitmap::Bitmap;
use crate::sys::errors::is_scarcity;
use crate::sys::files::{Facts, Positional};

/// Why bytes cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The range is not entirely within chunks that are held.
    #[error("bytes {offset} to {end} are not held here")]
    NotHeld {
        /// First byte requested.
        offset: u64,
        /// One past the last byte requested.
        end: u64,
    },
    /// It is no longer at its place, or another file is.
    #[error("the file is not what was offered: offer it again")]
    Changed,
    /// The file is shorter than before.
    #[error("the file is shorter than when it was offered: offer it again")]
    Truncated,
    /// The system allows no more open files at the moment.
    #[error("too many files are open: try again later")]
    Scarce,
    /// The disk could not read the bytes.
    #[error("cannot read the file: {0}")]
    Read(#[from] io::Error),
}

impl ServeError {
    pub(super) fn of(error: io::Error) -> Self {
        if is_scarcity(&error) { Self::Scarce } else { Self::Read(error) }
    }

    /// Whether this says nothing of the file itself.
    #[must_use]
    pub fn is_scarcity(&self) -> bool {
        matches!(self, Self::Scarce)
    }
}

/// The path of a finished file, and its stamp there.
#[derive(Debug, Clone)]
pub struct Place {
    path: PathBuf,
    stamp: Stamp,
}

impl Place {
    fn new(path: PathBuf, stamp: Stamp) -> Self {
        // A relative path would change its meaning with the working directory.
        let path = std::path::absolute(&path).unwrap_or(path);
        Self { path, stamp }
    }

    /// The absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still leads to that file, with the same length and modification time.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        Stamp::at(&self.path).is_ok_and(|now| now == self.stamp)
    }
}

/// Finished files that are open for reading, up to a limit: then the least recently used is closed
/// for the next. A reader keeps its file open until it is done.
#[derive(Debug)]
pub struct OpenFiles {
    most: usize,
    /// The most recently used is last.
    open: Mutex<VecDeque<(Stamp, Arc<File>)>>,
}

impl OpenFiles {
    /// Keeps at most `most` files open.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, open: Mutex::default() }
    }

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn get(&self, place: &Place) -> Result<Arc<File>, ServeError> {
        let mut open = self.lock();
        if let Some(at) = open.iter().position(|(stamp, _)| *stamp == place.stamp)
            && let Some(known) = open.remove(at)
            // If it was edited meanwhile, it is no longer that file.
            && Stamp::of(&known.1).is_ok_and(|now| now == place.stamp)
        {
            let file = Arc::clone(&known.1);
            open.push_back(known);
            return Ok(file);
        }
        drop(open);
        let (file, stamp) = match source::open(&place.path, u64::MAX) {
            Ok(opened) => opened,
            Err(OfferError::Io { source, .. }) => return Err(ServeError::of(source)),
            Err(_) => return Err(ServeError::Changed),
        };
        if stamp != place.stamp {
            return Err(ServeError::Changed);
        }
        let file = Arc::new(file);
        let mut open = self.lock();
        open.push_back((stamp, Arc::clone(&file)));
        while open.len() > self.most {
            open.pop_front();
        }
        Ok(file)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Stamp, Arc<File>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the bytes are.
#[derive(Debug)]
enum Lies {
    /// In the partial file of a download in progress.
    Growing(Arc<File>),
    /// In memory: the manifest of a folder.
    Memory(Arc<ManifestBytes>),
    /// In a file of its own, or in several of one content; opened when it is read.
    Finished(Vec<Place>),
}

/// A file that is served to other members, completely or as far as it is held. The threads that
/// serve it share it; reads are positional, so they do not disturb each other.
#[derive(Debug)]
pub struct Served {
    tree: FileTree,
    lies: RwLock<Lies>,
    open_files: Arc<OpenFiles>,
    chunks: HeldUnits,
}

impl Served {
    /// A file with every chunk held. `stamp` is what it was when opened, before hashing.
    #[must_use]
    pub fn complete(
        tree: FileTree,
        path: PathBuf,
        stamp: Stamp,
        open_files: &Arc<OpenFiles>,
    ) -> Self {
        let lies = Lies::Finished(vec![Place::new(path, stamp)]);
        let chunks = HeldUnits::all(chunk_count(tree.len()));
        Self::new(tree, lies, chunks, open_files)
    }

    /// A download with no chunk held yet; `file` is its partial file.
    #[must_use]
    pub fn partial(tree: FileTree, file: File, open_files: &Arc<OpenFiles>) -> Self {
        let chunks = HeldUnits::none(chunk_count(tree.len()));
        Self::new(tree, Lies::Growing(Arc::new(file)), chunks, open_files)
    }

    /// The manifest of a folder, of which these chunks are held.
    #[must_use]
    pub fn in_memory(
        tree: FileTree,
        bytes: Arc<ManifestBytes>,
        chunks: HeldUnits,
        open_files: &Arc<OpenFiles>,
    ) -> Self {
        Self::new(tree, Lies::Memory(bytes), chunks, open_files)
    }

    fn new(tree: FileTree, lies: Lies, chunks: HeldUnits, open_files: &Arc<OpenFiles>) -> Self {
        Self { tree, lies: RwLock::new(lies), open_files: Arc::clone(open_files), chunks }
    }

    /// Notes that the download is complete, and at `path` from now on.
    ///
    /// # Errors
    /// When the system cannot say what the file is.
    pub fn finished(&self, path: PathBuf) -> io::Result<()> {
        let mut lies = self.lies.write().unwrap_or_else(PoisonError::into_inner);
        if let Lies::Growing(file) = &*lies {
            let stamp = Stamp::of(file)?;
            *lies = Lies::Finished(vec![Place::new(path, stamp)]);
        }
        Ok(())
    }

    /// Notes that the same content is at `other`'s places: it is read there too if necessary.
    pub fn lies_too(&self, other: &Self) {
        let more = match &*other.lies.read().unwrap_or_else(PoisonError::into_inner) {
            Lies::Finished(places) => places.clone(),
            Lies::Growing(_) | Lies::Memory(_) => return,
        };
        let mut lies = self.lies.write().unwrap_or_else(PoisonError::into_inner);
        if let Lies::Finished(places) = &mut *lies {
            places.retain(|place| more.iter().all(|more| more.path != place.path));
            places.extend(more);
        }
    }

    /// Stops reading it at `path`; returns what was there.
    pub fn leave_place(&self, path: &Path) -> Option<Place> {
        let mut lies = self.lies.write().unwrap_or_else(PoisonError::into_inner);
        let Lies::Finished(places) = &mut *lies else { return None };
        let at = places.iter().position(|place| place.path == path)?;
        Some(places.remove(at))
    }

    /// What to read from.
    fn source(&self) -> Result<ReadSource, ServeError> {
        let places = match &*self.lies.read().unwrap_or_else(PoisonError::into_inner) {
            Lies::Growing(file) => return Ok(ReadSource::File(Arc::clone(file))),
            Lies::Memory(bytes) => return Ok(ReadSource::Memory(Arc::clone(bytes))),
            Lies::Finished(places) => places.clone(),
        };
        let mut failed = ServeError::Changed;
        for place in &places {
            match self.open_files.get(place) {
                Ok(file) => return Ok(ReadSource::File(file)),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// The file, for several reads: it stays open as long as this lives.
    ///
    /// # Errors
    /// As [`Served::read_at`].
    pub fn reader(&self) -> Result<Reader<'_>, ServeError> {
        Ok(Reader { served: self, source: self.source()? })
    }

    /// The chunk hashes and the root.
    #[must_use]
    pub fn tree(&self) -> &FileTree {
        &self.tree
    }

    /// Its chunks: which are held, and what was sent of them.
    #[must_use]
    pub fn chunks(&self) -> &HeldUnits {
        &self.chunks
    }

    /// Number of chunks, held or not.
    #[must_use]
    pub fn chunk_count(&self) -> u32 {
        self.chunks.count()
    }

    /// Whether `chunk` is held; false beyond the end.
    #[must_use]
    pub fn holds(&self, chunk: u32) -> bool {
        self.chunks.has(chunk)
    }

    /// Notes that `chunk` is verified and on disk. Beyond the end nothing happens.
    pub fn set_held(&self, chunk: u32) {
        self.chunks.insert(chunk);
    }

    /// Where the finished file is; `None` while it is downloading.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        match &*self.lies.read().unwrap_or_else(PoisonError::into_inner) {
            Lies::Growing(_) | Lies::Memory(_) => None,
            Lies::Finished(places) => places.first().map(|place| place.path.clone()),
        }
    }

    /// Whether it lies in memory: the manifest of a folder.
    #[must_use]
    pub fn is_manifest(&self) -> bool {
        matches!(&*self.lies.read().unwrap_or_else(PoisonError::into_inner), Lies::Memory(_))
    }

    /// The manifest of a folder, if this is one and all of it is here.
    #[must_use]
    pub fn manifest(&self) -> Option<Arc<Manifest>> {
        match &*self.lies.read().unwrap_or_else(PoisonError::into_inner) {
            Lies::Memory(bytes) if self.held().is_all() => bytes.read().ok(),
            _ => None,
        }
    }

    /// Where it lies as it was, as far as one can see without reading it.
    #[must_use]
    pub fn path_now(&self) -> Option<PathBuf> {
        let places = match &*self.lies.read().unwrap_or_else(PoisonError::into_inner) {
            Lies::Growing(_) | Lies::Memory(_) => return None,
            Lies::Finished(places) => places.clone(),
        };
        places.into_iter().find(Place::is_unchanged).map(|place| place.path)
    }

    /// The chunks held, in the form that is advertised.
    #[must_use]
    pub fn held(&self) -> Bitmap {
        self.chunks.to_bitmap()
    }

    /// Fills `out` with the bytes from `offset`: all of them, from held chunks, or none.
    ///
    /// # Errors
    /// When part of the range is not held, when the file was changed, or when the disk fails.
    pub fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), ServeError> {
        self.reader()?.read_into(offset, &mut [IoSliceMut::new(out)])
    }

    /// Whether a path still leads to the file that was hashed, with the same length and
    /// modification time; for a download in progress, whether its partial file still exists.
    #[must_use]
    pub fn unchanged(&self) -> bool {
        match &*self.lies.read().unwrap_or_else(PoisonError::into_inner) {
            // Under any name: it may just be getting its final one.
            Lies::Growing(file) => Facts::of(file).is_ok_and(|now| now.names > 0),
            Lies::Memory(_) => true,
            Lies::Finished(places) => places.iter().any(Place::is_unchanged),
        }
    }

    /// Hashes `chunk` from the disk again: whether it is still what the tree says.
    ///
    /// # Errors
    /// When the disk cannot read the bytes.
    pub fn recheck(&self, chunk: u32) -> Result<bool, ServeError> {
        let file = match self.source() {
            Err(ServeError::Changed) => return Ok(false),
            Ok(ReadSource::Memory(_)) => return Ok(true),
            Ok(ReadSource::File(file)) => file,
            Err(error) => return Err(error),
        };
        let mut buffer = vec![0; BUFFER_BYTES];
        let read_at = |space: &mut [u8], offset| file.read_at(space, offset);
        match hash_chunk(read_at, self.tree.len(), chunk, &mut buffer, |_| Ok(())) {
            Ok(hash) => Ok(self.tree.chunk(chunk) == Some(&hash)),
            Err(HashError::Read(error)) => Err(error.into()),
            Err(HashError::Changed | HashError::Cancelled) => Ok(false),
        }
    }
}

/// A served file that stays open.
#[derive(Debug)]
pub struct Reader<'a> {
    served: &'a Served,
    source: ReadSource,
}

/// What bytes are read from.
#[derive(Debug)]
enum ReadSource {
    File(Arc<File>),
    Memory(Arc<ManifestBytes>),
}

impl Reader<'_> {
    /// Like [`Served::read_at`], but into several places one after another, with one system call.
    ///
    /// # Errors
    /// As [`Served::read_at`].
    pub fn read_into(&self, offset: u64, out: &mut [IoSliceMut<'_>]) -> Result<(), ServeError> {
        let length: usize = out.iter().map(|out| out.len()).sum();
        if length == 0 {
            return Ok(());
        }
        let end = offset.saturating_add(length as u64);
        let len = self.served.tree.len();
        let chunk = u64::from(chunk_bytes(len));
        let held = |index| u32::try_from(index).is_ok_and(|index| self.served.holds(index));
        if end > len || !(offset / chunk..=(end - 1) / chunk).all(held) {
            return Err(ServeError::NotHeld { offset, end });
        }
        let file = match &self.source {
            ReadSource::File(file) => file,
            ReadSource::Memory(bytes) => {
                let mut from = offset;
                for out in out {
                    if !bytes.read_at(from, out) {
                        return Err(ServeError::Truncated);
                    }
                    from += out.len() as u64;
                }
                return Ok(());
            }
        };
        if file.read_vectored_at(out, offset).is_ok_and(|read| read == length) {
            return Ok(());
        }
        // Interrupted, short, or a failure that the next call will report.
        let mut offset = offset;
        for out in out {
            file.read_exact_at(out, offset).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => ServeError::Truncated,
                _ => ServeError::Read(error),
            })?;
            offset += out.len() as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::OpenOptions;
    use std::path::Path;
    use std::time::SystemTime;

    use super::*;
    use crate::files::source::open;
    use crate::files::testing::{count_bytes, tree_of, write};
    use crate::router::ids::MemberId;
    use crate::router::swarm::sent::Picked;
    use crate::sys::testing::{POSIX, link};

    const MAX: u64 = 1 << 41;

    fn open_files() -> Arc<OpenFiles> {
        Arc::new(OpenFiles::new(4))
    }

    const LEN: u64 = 3 * 256 * 1024 + 5;

    fn served(dir: &Path) -> (PathBuf, Served) {
        let path = write(dir, "data", &count_bytes(0, LEN as usize));
        let (_, stamp) = open(&path, MAX).unwrap();
        let tree = tree_of(LEN, count_bytes);
        (path.clone(), Served::complete(tree, path, stamp, &open_files()))
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
        let part = Served::partial(tree, File::open(&path).unwrap(), &open_files());
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
        // It was open when that happened.
        assert!(!served.recheck(0).unwrap() && !served.recheck(1).unwrap());

        file.set_len(600_000).unwrap();
        let mut out = [0; 10];
        assert!(matches!(served.read_at(LEN - 10, &mut out), Err(ServeError::Changed)));
        assert!(!served.recheck(3).unwrap() && !served.recheck(99).unwrap());
    }

    #[test]
    fn a_source_swapped_for_a_symlink_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, served) = served(dir.path());
        let other = write(dir.path(), "other", &count_bytes(0, LEN as usize));
        std::fs::remove_file(&path).unwrap();
        assert!(!served.unchanged());
        if POSIX {
            link(&other, &path);
        }
        assert!(!served.unchanged());
        let mut out = [0; 10];
        assert!(matches!(served.read_at(0, &mut out), Err(ServeError::Changed)));
        assert!(!served.recheck(0).unwrap());
    }

    #[test]
    fn files_are_opened_when_they_are_read_and_only_so_many_stay_open() {
        let dir = tempfile::tempdir().unwrap();
        let open_files = open_files();
        let all: Vec<Served> = (0..20)
            .map(|number| {
                let path = write(dir.path(), &number.to_string(), &count_bytes(0, 1_000));
                let (_, stamp) = open(&path, MAX).unwrap();
                let tree = tree_of(1_000, count_bytes);
                Served::complete(tree, path, stamp, &open_files)
            })
            .collect();
        assert_eq!(open_files.count(), 0, "what nobody asked for is not open");
        let first = all[0].reader().unwrap();
        let mut out = [0; 1_000];
        for served in all.iter().chain(&all[..3]) {
            served.read_at(0, &mut out).unwrap();
            assert_eq!(out[..], count_bytes(0, 1_000));
            assert!(open_files.count() <= 4);
        }
        // A reader is not disturbed by those that came later.
        first.read_into(0, &mut [IoSliceMut::new(&mut out)]).unwrap();
    }

    #[test]
    fn equal_contents_are_read_wherever_they_still_lie() {
        let dir = tempfile::tempdir().unwrap();
        let (path, served) = served(dir.path());
        let copy = write(dir.path(), "copy", &count_bytes(0, LEN as usize));
        let (_, stamp) = open(&copy, MAX).unwrap();
        let tree = tree_of(LEN, count_bytes);
        served.lies_too(&Served::complete(tree, copy.clone(), stamp, &open_files()));
        std::fs::write(&path, b"edited").unwrap();
        assert!(served.unchanged() && served.recheck(0).unwrap());
        assert_eq!(served.path_now(), Some(copy.clone()));
        assert!(served.leave_place(&path).is_some_and(|place| !place.is_unchanged()));
        assert!(served.leave_place(&copy).is_some_and(|place| place.is_unchanged()));
        assert!(!served.unchanged() && served.path().is_none());
    }

    #[test]
    fn a_growing_download_is_unchanged_until_it_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), "part", b"");
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let tree = tree_of(LEN, count_bytes);
        let served = Served::partial(tree, file.try_clone().unwrap(), &open_files());
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
        let served = Served::partial(tree, file, &open_files());
        std::fs::remove_file(place).unwrap();
        assert!(!served.unchanged());
    }

    #[test]
    fn threads_that_pick_at_once_never_pick_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), "zeros", b"");
        File::options().write(true).open(&path).unwrap().set_len(1 << 27).unwrap();
        let (_, stamp) = open(&path, MAX).unwrap();
        let tree = tree_of(1 << 27, |_, bytes| vec![0; bytes]);
        let served = Served::complete(tree, path, stamp, &open_files());
        let (all, alice) = (Bitmap::all(served.chunk_count()), MemberId([1; 32]));
        let pick = || (0..128).map(|_| served.chunks().pick(alice, &all)).collect();
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
