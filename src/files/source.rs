//! What can be served: a file of the user's own, a finished download, or one that still grows.
//!
//! A source may be edited, truncated or swapped while it is served. That costs nobody a wrong byte,
//! for every chunk is verified where it arrives; [`Served::unchanged`] and [`Served::recheck`] let
//! a host notice first and withdraw its offer.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use rustix::fs::OFlags;

use super::hash::{BUFFER_BYTES, HashError, hash_chunk};
use super::merkle::{FileTree, chunk_bytes, chunk_count};
use crate::router::bitmap::Bitmap;

/// What tells that a file is still the one that was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Length in bytes.
    pub len: u64,
    /// Time of the last modification, in nanoseconds since 1970.
    pub mtime_ns: i128,
    /// The device that holds it.
    pub device: u64,
    /// Its number on that device.
    pub inode: u64,
}

impl Stamp {
    /// Reads the stamp of a file.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            len: metadata.len(),
            mtime_ns: i128::from(metadata.mtime()) * 1_000_000_000
                + i128::from(metadata.mtime_nsec()),
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    /// Whether both are of one file, whatever is in it.
    #[must_use]
    pub fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// Why a file cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nothing there.
    #[error("cannot send {path}: there is no such file; check the name and the folder")]
    NotFound {
        /// As given.
        path: PathBuf,
    },
    /// A folder.
    #[error(
        "cannot send {path}: folders are not supported yet: send the files in it, or an archive"
    )]
    Folder {
        /// As given.
        path: PathBuf,
    },
    /// A pipe, a socket or a device.
    #[error("cannot send {path}: it is {kind}; only regular files can be sent")]
    NotAFile {
        /// As given.
        path: PathBuf,
        /// What it is, with its article.
        kind: &'static str,
    },
    /// Not readable.
    #[error("cannot send {path}: you are not allowed to read it; change its permissions first")]
    Permission {
        /// As given.
        path: PathBuf,
    },
    /// Longer than the limit.
    #[error(
        "cannot send {path}: it has {len} bytes, and {max} at most can be sent; split it first"
    )]
    TooLarge {
        /// As given.
        path: PathBuf,
        /// Its length in bytes.
        len: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// Anything else.
    #[error("cannot send {path}: {source}")]
    Io {
        /// As given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Opens a file of the user's own for sending; a symbolic link is followed. Never blocks on a pipe
/// or wakes a device.
///
/// # Errors
/// Anything but a readable regular file of at most `max_bytes` bytes is refused.
pub fn open(path: &Path, max_bytes: u64) -> Result<(File, Stamp), SendError> {
    let failed = |error| refusal(path, error);
    // Opening a device can move something, so what it is comes first.
    check_kind(path, std::fs::metadata(path).map_err(failed)?.file_type())?;
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    let file = options.open(path).map_err(failed)?;
    // It may have been swapped in between; thanks to the flags that did not block us.
    let metadata = file.metadata().map_err(failed)?;
    check_kind(path, metadata.file_type())?;
    if metadata.len() > max_bytes {
        let (path, len) = (path.to_owned(), metadata.len());
        return Err(SendError::TooLarge { path, len, max: max_bytes });
    }
    Ok((file, Stamp::of(&metadata)))
}

fn refusal(path: &Path, source: io::Error) -> SendError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => SendError::NotFound { path },
        io::ErrorKind::PermissionDenied => SendError::Permission { path },
        _ => SendError::Io { path, source },
    }
}

fn check_kind(path: &Path, kind: FileType) -> Result<(), SendError> {
    let path = path.to_owned();
    let kind = match kind {
        _ if kind.is_file() => return Ok(()),
        _ if kind.is_dir() => return Err(SendError::Folder { path }),
        _ if kind.is_fifo() => "a pipe",
        _ if kind.is_socket() => "a socket",
        _ if kind.is_block_device() || kind.is_char_device() => "a device",
        _ => "something special",
    };
    Err(SendError::NotAFile { path, kind })
}

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

/// Where a served file lies and what it looked like there.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    stamp: Stamp,
    /// Still downloading: length and time change, and only the file must stay the same.
    grows: bool,
}

/// A file that is served to other members, wholly or as far as it is held. Shared by the threads
/// that serve it; reads are positional, so they do not disturb each other.
#[derive(Debug)]
pub struct Served {
    tree: FileTree,
    file: File,
    place: RwLock<Place>,
    held: Box<[AtomicU64]>,
    sent: Box<[AtomicU32]>,
}

impl Served {
    /// A file of which every chunk is held. `stamp` is what it looked like when it was opened,
    /// before it was hashed.
    #[must_use]
    pub fn complete(tree: FileTree, file: File, path: PathBuf, stamp: Stamp) -> Self {
        let served = Self::new(tree, file, Place { path, stamp, grows: false });
        (0..served.chunk_count()).for_each(|chunk| served.set_held(chunk));
        served
    }

    /// A download of which no chunk is held yet; `file` and `path` are those of its partial file.
    ///
    /// # Errors
    /// When the system cannot say what the file is.
    pub fn partial(tree: FileTree, file: File, path: PathBuf) -> io::Result<Self> {
        let stamp = Stamp::of(&file.metadata()?);
        Ok(Self::new(tree, file, Place { path, stamp, grows: true }))
    }

    fn new(tree: FileTree, file: File, place: Place) -> Self {
        // A relative path would change its meaning with the working folder.
        let path = std::path::absolute(&place.path).unwrap_or(place.path);
        let chunks = chunk_count(tree.len()) as usize;
        Self {
            tree,
            file,
            place: RwLock::new(Place { path, ..place }),
            held: (0..chunks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            sent: (0..chunks).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    /// Says that the download is complete and lies at `path` now.
    ///
    /// # Errors
    /// When the system cannot say what the file is.
    pub fn finished(&self, path: PathBuf) -> io::Result<()> {
        let stamp = Stamp::of(&self.file.metadata()?);
        let place = Place { path, stamp, grows: false };
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
        }
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
    /// modification; for a download in progress, whether it still leads to its partial file.
    #[must_use]
    pub fn unchanged(&self) -> bool {
        let place = self.place.read().unwrap_or_else(PoisonError::into_inner);
        std::fs::metadata(&place.path).is_ok_and(|metadata| {
            let now = Stamp::of(&metadata);
            now == place.stamp || place.grows && now.is_same_file(&place.stamp)
        })
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
    use std::os::unix::fs::symlink;
    use std::time::{Duration, Instant, SystemTime};

    use super::*;
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
    fn a_pipe_is_refused_without_blocking() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, 0o600.into()).unwrap();
        let before = Instant::now();
        let refused = open(&path, MAX).unwrap_err();
        assert!(matches!(refused, SendError::NotAFile { kind: "a pipe", .. }), "{refused}");
        assert!(before.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn whatever_is_no_readable_regular_file_is_refused_clearly() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), "data", b"four");
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        assert_eq!(open(&link, MAX).unwrap().1, open(&path, 4).unwrap().1);
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let text = |path: &Path, max| open(path, max).unwrap_err().to_string();
        assert!(text(dir.path(), MAX).contains("folders are not supported yet"));
        assert!(text(&dir.path().join("none"), MAX).contains("no such file"));
        assert!(text(&path.join("none"), MAX).contains("no such file"));
        assert!(text(&socket, MAX).contains("a socket"));
        assert!(text(Path::new("/dev/zero"), MAX).contains("a device"));
        assert!(text(&path, 3).contains("4 bytes, and 3 at most"));
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
        let part = Served::partial(tree, File::open(&path).unwrap(), path).unwrap();
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
        let served = Served::partial(tree, file.try_clone().unwrap(), path.clone()).unwrap();
        file.write_all_at(&count_bytes(0, LEN as usize), 0).unwrap();
        assert!(served.unchanged());
        let place = dir.path().join("done");
        std::fs::rename(&path, &place).unwrap();
        assert!(!served.unchanged());
        served.finished(place).unwrap();
        assert!(served.unchanged());
        file.set_len(1).unwrap();
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
