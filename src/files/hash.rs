//! Hashes a file on disk: on all cores, each byte once, in small reused buffers.

use std::fs::File;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::merkle::{ChunkHasher, FileTree, chunk_count, chunk_range};
use super::source::Stamp;
use crate::router::ids::Digest32;
use crate::sys::files::Positional;
use crate::thread::{STACK_LARGE_BYTES, spawn_scoped};

/// Bytes read at a time: few enough to stay in a core's cache while they are hashed.
pub const BUFFER_BYTES: usize = 256 * 1024;
/// Bytes hashed between two reports of progress.
const PROGRESS_BYTES: u64 = 16 * 1024 * 1024;

/// Why a file could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Its length or modification time changed meanwhile.
    #[error("the file changed while being read: try again when nothing writes to it")]
    Changed,
    /// The caller cancelled it.
    #[error("hashing the file was cancelled")]
    Cancelled,
    /// The disk could not read the bytes.
    #[error("cannot read the file: {0}")]
    Read(#[from] io::Error),
}

/// Hashes `file`, of `len` bytes, on up to `threads` threads, including the caller's. The others
/// inherit its priority where the system does that (Linux).
///
/// `progress` gets the number of bytes hashed about every 16 MiB, and `len` at the end; the calls
/// come from any of the threads and may be slightly out of order. Setting `cancel` ends the work
/// within one buffer.
///
/// # Errors
/// [`HashError::Changed`] if the file is not `len` bytes long, or if its length or modification
/// time changed while it was read.
pub fn hash_file(
    file: &File,
    len: u64,
    threads: usize,
    progress: &(dyn Fn(u64) + Sync),
    cancel: &AtomicBool,
) -> Result<FileTree, HashError> {
    let before = Stamp::of(file)?;
    if before.len != len {
        return Err(HashError::Changed);
    }
    let work = HashWork {
        file,
        len,
        next: AtomicU32::new(0),
        done_bytes: AtomicU64::new(0),
        failure: OnceLock::new(),
        progress,
        cancel,
    };
    let chunks = work.share(threads);
    if let Some(failure) = work.failure.into_inner() {
        return Err(failure);
    }
    if Stamp::of(file)? != before {
        return Err(HashError::Changed);
    }
    progress(len);
    FileTree::new(len, chunks)
        .ok_or_else(|| HashError::Read(io::Error::other("a hashing thread ended early")))
}

/// Shared by the hashing threads: they take the chunks in order, so that the disk is read forward.
struct HashWork<'a> {
    file: &'a File,
    len: u64,
    next: AtomicU32,
    done_bytes: AtomicU64,
    /// The first failure; threads that see it stop.
    failure: OnceLock<HashError>,
    progress: &'a (dyn Fn(u64) + Sync),
    cancel: &'a AtomicBool,
}

impl HashWork<'_> {
    /// Hashes all chunks; some are missing if a thread failed.
    fn share(&self, threads: usize) -> Vec<Digest32> {
        let helpers = threads.min(chunk_count(self.len) as usize).saturating_sub(1);
        let mut hashes = std::thread::scope(|scope| {
            // If the system refuses to start a thread, the others do its part.
            let helpers: Vec<_> = (1..=helpers)
                .map_while(|n| {
                    let name = format!("hash {n}");
                    spawn_scoped(scope, &name, STACK_LARGE_BYTES, || self.run()).ok()
                })
                .collect();
            let mut hashes = self.run();
            for helper in helpers {
                hashes.extend(helper.join().unwrap_or_default());
            }
            hashes
        });
        hashes.sort_unstable_by_key(|(index, _)| *index);
        hashes.into_iter().map(|(_, hash)| hash).collect()
    }

    /// Takes chunk after chunk until none is left or a thread has failed.
    fn run(&self) -> Vec<(u32, Digest32)> {
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut hashes = Vec::new();
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= chunk_count(self.len) {
                return hashes;
            }
            let read_at = |space: &mut [u8], offset| self.file.read_at(space, offset);
            let read = |bytes: &[u8]| self.read(bytes.len() as u64);
            match hash_chunk(read_at, self.len, index, &mut buffer, read) {
                Ok(hash) => hashes.push((index, hash)),
                Err(error) => {
                    // Only the first failure is reported.
                    let _ = self.failure.set(error);
                    return hashes;
                }
            }
        }
    }

    fn read(&self, bytes: u64) -> Result<(), HashError> {
        let before = self.done_bytes.fetch_add(bytes, Ordering::Relaxed);
        let done = before + bytes;
        if before / PROGRESS_BYTES != done / PROGRESS_BYTES {
            (self.progress)(done);
        }
        if self.cancel.load(Ordering::Relaxed) || self.failure.get().is_some() {
            return Err(HashError::Cancelled);
        }
        Ok(())
    }
}

/// Hashes chunk `index` of a file of `len` bytes, which `read_at` reads into `buffer`; `read` gets
/// the bytes as they come and may end the work.
pub(super) fn hash_chunk(
    read_at: impl Fn(&mut [u8], u64) -> io::Result<usize>,
    len: u64,
    index: u32,
    buffer: &mut [u8],
    mut read: impl FnMut(&[u8]) -> Result<(), HashError>,
) -> Result<Digest32, HashError> {
    let (mut offset, bytes) = chunk_range(len, index).ok_or(HashError::Changed)?;
    let mut left = bytes as usize;
    let mut hasher = ChunkHasher::new(len, index);
    while left > 0 {
        let room = left.min(buffer.len());
        let space = buffer.get_mut(..room).unwrap_or_default();
        let got = match read_at(space, offset) {
            Ok(0) => return Err(HashError::Changed),
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let bytes = space.get(..got).unwrap_or_default();
        hasher.update(bytes);
        offset += got as u64;
        left -= got;
        read(bytes)?;
    }
    hasher.finish().ok_or(HashError::Changed)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::SystemTime;

    use super::*;
    use crate::files::testing::{count_bytes, tree_of, vectors};

    fn temp_file(len: u64) -> File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&count_bytes(0, len as usize), 0).unwrap();
        file
    }

    fn quiet(file: &File, len: u64, threads: usize) -> Result<FileTree, HashError> {
        hash_file(file, len, threads, &|_| (), &AtomicBool::new(false))
    }

    fn zeros(len: u64) {
        let file = tempfile::tempfile().unwrap();
        file.set_len(len).unwrap();
        let tree = quiet(&file, len, 8).unwrap();
        let vector = vectors().into_iter().find(|v| v.content == "zero" && v.len == len).unwrap();
        assert_eq!(tree.root().to_string(), vector.root);
    }

    #[test]
    fn a_sparse_file_of_1_gib_has_the_root_that_libtorrent_gives() {
        zeros(1 << 30);
    }

    #[test]
    #[ignore = "takes a minute: run by hand, and watch that memory stays small"]
    fn a_sparse_file_of_20_gb_has_the_root_that_libtorrent_gives() {
        zeros(20_000_000_000);
    }

    #[test]
    fn any_number_of_threads_gives_the_same_tree() {
        let len = 5 * 1024 * 1024 + 11;
        let file = temp_file(len);
        let tree = tree_of(len, count_bytes);
        for threads in [0, 1, 2, 7, 100] {
            assert_eq!(quiet(&file, len, threads).unwrap(), tree);
        }
        assert!(quiet(&tempfile::tempfile().unwrap(), 0, 4).unwrap().is_empty());
    }

    #[test]
    fn progress_is_told_seldom_and_ends_at_the_length() {
        let len = 40 * 1024 * 1024;
        let file = tempfile::tempfile().unwrap();
        file.set_len(len).unwrap();
        let told = Mutex::new(Vec::new());
        let progress = |done| told.lock().unwrap().push(done);
        hash_file(&file, len, 2, &progress, &AtomicBool::new(false)).unwrap();
        let told = told.into_inner().unwrap();
        assert_eq!(told.len(), 3);
        assert_eq!(told.last(), Some(&len));
    }

    #[test]
    fn a_file_that_changes_meanwhile_is_refused() {
        let len = 40 * 1024 * 1024;
        let path = tempfile::NamedTempFile::new().unwrap();
        let (file, other) = (File::open(&path).unwrap(), path.reopen().unwrap());
        let refused = |progress: &(dyn Fn(u64) + Sync)| {
            other.set_len(len).unwrap();
            let result = hash_file(&file, len, 2, progress, &AtomicBool::new(false));
            assert!(matches!(result, Err(HashError::Changed)), "{result:?}");
        };
        refused(&|_| other.set_len(1000).unwrap());
        refused(&|_| other.set_len(len + 1).unwrap());
        refused(&|done| {
            if done < len {
                other.write_all_at(b"edited", 0).unwrap();
                // A file system's clock may be too coarse to show so quick an edit.
                other.set_modified(SystemTime::UNIX_EPOCH).unwrap();
            }
        });
        assert!(matches!(quiet(&file, len - 1, 1), Err(HashError::Changed)));
    }

    #[test]
    fn cancelling_ends_the_work() {
        let len = 64 * 1024 * 1024;
        let file = tempfile::tempfile().unwrap();
        file.set_len(len).unwrap();
        let cancel = AtomicBool::new(false);
        let progress = |_| cancel.store(true, Ordering::Relaxed);
        let result = hash_file(&file, len, 2, &progress, &cancel);
        assert!(matches!(result, Err(HashError::Cancelled)));
    }
}
