//! The downloads in progress, as far as this disk is concerned.
//!
//! Each partial file is held by one [`Content`], however often its download is started and dropped:
//! lanes may still be fetching for an earlier opening when the next one comes, and then share it.
//! What was verified for one opening is verified for the next.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use crate::files::disk::Disk;
use crate::files::merkle::{FileTree, chunk_range};
use crate::files::part::{Part, PartError};
use crate::files::served::{OpenFiles, Served};
use crate::net::lane::BATCH_BYTES;
use crate::router::bitmap::Bitmap;
use crate::router::ids::FileId;

/// Not a turn of the router's, which counts up.
const NO_TURN: u64 = u64::MAX;

/// A partial file, and what is known of it.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) file: FileId,
    pub(super) size: u64,
    pub(super) part: Part,
    /// What an earlier run claimed to have.
    claimed: Bitmap,
    served: OnceLock<Arc<Served>>,
    turn: AtomicU64,
    /// The last field, so that it is notified after the partial file is closed.
    gone: RoomForMore,
}

impl Content {
    /// The verified chunks and the list of hashes, once the list is known.
    pub(super) fn served(&self) -> Option<&Arc<Served>> {
        self.served.get()
    }

    /// Whether `turn` is still the opening that the router wants.
    pub(super) fn is_for(&self, turn: u64) -> bool {
        self.turn.load(Ordering::Acquire) == turn
    }

    /// From now on the router wants this opening.
    pub(super) fn set_turn(&self, turn: u64) {
        self.turn.store(turn, Ordering::Release);
    }

    /// The router has dropped the download: its workers stop when convenient.
    pub(super) fn abandon(&self) {
        self.set_turn(NO_TURN);
    }

    /// The file has its final name: downloading it again starts with another partial file.
    pub(super) fn retire(&self) {
        self.abandon();
        self.gone.tell();
    }

    /// Takes the list of hashes, and verifies what is claimed as long as `go_on` allows.
    pub(super) fn adopt(
        &self,
        tree: FileTree,
        open_files: &Arc<OpenFiles>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<&Arc<Served>, PartError> {
        let served = match self.served.get() {
            Some(served) => served,
            None => {
                let file = self.part.file()?;
                self.served.get_or_init(|| Arc::new(Served::partial(tree, file, open_files)))
            }
        };
        for chunk in self.claimed.iter().take_while(|_| go_on()) {
            let expected = served.tree().chunk(chunk).filter(|_| !served.holds(chunk));
            if let Some(expected) = expected
                && self.part.verify_claimed(chunk, expected)
            {
                served.set_held(chunk);
            }
        }
        Ok(served)
    }

    /// Copies what is missing from another source of the same content, verifying it on the way.
    /// What the source cannot give must still be fetched.
    pub(super) fn copy_from(
        &self,
        source: &Served,
        served: &Served,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), PartError> {
        let mut buffer = vec![0; BATCH_BYTES];
        for (chunk, expected) in (0..).zip(served.tree().chunks()) {
            if !go_on() {
                return Err(PartError::Cancelled);
            }
            let Some((mut offset, bytes)) = chunk_range(self.size, chunk) else { break };
            let Some(mut writer) = self.part.writer(chunk) else { continue };
            let end = offset + u64::from(bytes);
            while offset < end {
                let left = usize::try_from(end - offset).unwrap_or(usize::MAX);
                let piece = buffer.get_mut(..left.min(BATCH_BYTES)).unwrap_or_default();
                if source.read_at(offset, piece).is_err() {
                    return Ok(());
                }
                writer.write(piece)?;
                offset += piece.len() as u64;
            }
            if !writer.finish(expected)? {
                return Ok(());
            }
            served.set_held(chunk);
        }
        Ok(())
    }
}

/// Every partial file that this program has open.
#[derive(Debug, Default)]
pub(super) struct Contents {
    by_file: Mutex<BTreeMap<FileId, Weak<Content>>>,
    changed: Condvar,
    /// Partial files are opened one at a time: to see whether one is free, a thread must hold it.
    opening: Mutex<()>,
}

impl Contents {
    /// The open partial file of `file`, or the one in `folder`, which is opened. Waits while
    /// another thread opens or closes it.
    pub(super) fn obtain(
        self: &Arc<Self>,
        disk: &Arc<dyn Disk>,
        folder: &Path,
        (file, size): (FileId, u64),
        max_bytes: u64,
    ) -> Result<Arc<Content>, PartError> {
        let gone = match self.reserve(file) {
            Ok(gone) => gone,
            Err(open) => return Ok(open),
        };
        let opened = self.alone(|| Part::open(disk, folder, &file, size, max_bytes));
        let (part, claimed) = opened?;
        let (served, turn) = (OnceLock::new(), AtomicU64::new(NO_TURN));
        let content = Content { file, size, part, claimed, served, turn, gone };
        let content = Arc::new(content);
        self.lock().insert(file, Arc::downgrade(&content));
        self.changed.notify_all();
        Ok(content)
    }

    /// Does something with partial files while no other thread opens one.
    pub(super) fn alone<T>(&self, work: impl FnOnce() -> T) -> T {
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        work()
    }

    /// The open ones whose ids begin so.
    pub(super) fn open(&self, prefix: &str) -> Vec<Arc<Content>> {
        let by_file = self.lock();
        let named = by_file.iter().filter(|(file, _)| file.to_string().starts_with(prefix));
        named.filter_map(|(_, content)| content.upgrade()).collect()
    }

    /// The right to open `file`, or its content if it is open already.
    fn reserve(self: &Arc<Self>, file: FileId) -> Result<RoomForMore, Arc<Content>> {
        let mut by_file = self.lock();
        while let Some(known) = by_file.get(&file) {
            if let Some(open) = known.upgrade() {
                return Err(open);
            }
            by_file = self.changed.wait(by_file).unwrap_or_else(PoisonError::into_inner);
        }
        by_file.insert(file, Weak::new());
        Ok(RoomForMore { contents: Arc::clone(self), file, told: AtomicBool::new(false) })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<FileId, Weak<Content>>> {
        self.by_file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes way for the next opening of a file, at the latest when dropped.
#[derive(Debug)]
struct RoomForMore {
    contents: Arc<Contents>,
    file: FileId,
    told: AtomicBool,
}

impl RoomForMore {
    fn tell(&self) {
        // Only once: afterwards there may be another one of this file.
        if !self.told.swap(true, Ordering::AcqRel) {
            self.contents.lock().remove(&self.file);
            self.contents.changed.notify_all();
        }
    }
}

impl Drop for RoomForMore {
    fn drop(&mut self) {
        self.tell();
    }
}
