//! Hashing files of the user's own, so that they can be offered.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::failures;
use crate::files::hash::{HashError, hash_file};
use crate::files::names::offer_name;
use crate::files::served::{OpenFiles, Served};
use crate::files::source::open;
use crate::router::event::{Event, Hashed};
use crate::router::notice::Failure;

/// Progress is reported at most this often.
const PROGRESS: Duration = Duration::from_millis(100);

/// A file that is being hashed, or that was and waits to be served.
#[derive(Debug, Default)]
pub(super) struct HashJob {
    /// The name in the offer, if it is not the file's own.
    name: Option<String>,
    cancelled: AtomicBool,
    served: OnceLock<Arc<Served>>,
}

impl HashJob {
    /// Hashes a file that is offered under this name.
    pub(super) fn named(name: String) -> Self {
        Self { name: Some(name), ..Self::default() }
    }

    /// Ends the work soon.
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// The hashed file, ready to be served.
    pub(super) fn served(&self) -> Option<&Arc<Served>> {
        self.served.get()
    }

    /// Hashes the file at `path` on all cores, and reports progress to `inbox`.
    pub(super) fn run(
        &self,
        job: u64,
        path: PathBuf,
        max_bytes: u64,
        inbox: &Sender<Event>,
        open_files: &Arc<OpenFiles>,
    ) -> Result<Hashed, Failure> {
        let cancelled = || self.cancelled.load(Ordering::Relaxed);
        if cancelled() {
            return Err(failures::of_hash(&HashError::Cancelled));
        }
        let path = std::path::absolute(&path).unwrap_or(path);
        let opened = open(&path, max_bytes);
        let (file, stamp) = opened.map_err(|error| failures::of_send(&error))?;
        // Without a router nobody wants to know.
        let _ = inbox.send(Event::HashBegan { job, path: path.clone(), size: stamp.len });
        let told = Mutex::new(Instant::now());
        let progress = |bytes_done| {
            // If it is locked, somebody is just reporting, so this need not.
            if let Ok(mut told) = told.try_lock()
                && told.elapsed() >= PROGRESS
            {
                *told = Instant::now();
                let _ = inbox.send(Event::HashProgressed { job, bytes_done });
            }
        };
        let threads = available_parallelism().map_or(1, |cores| cores.get());
        let tree = hash_file(&file, stamp.len, threads, &progress, &self.cancelled)
            .map_err(|error| failures::of_hash(&error))?;
        let name = self.name.clone().unwrap_or_else(|| offer_name(&path));
        let (id, size, root) = (tree.id(), tree.len(), *tree.root());
        let served = Arc::new(Served::complete(tree, path.clone(), stamp, open_files));
        self.served.get_or_init(|| served);
        Ok(Hashed { path, name, file: id, size, root })
    }
}
