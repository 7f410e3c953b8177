//! The user's own files: hashing them, and checking them again.

use std::path::PathBuf;
use std::sync::Arc;

use super::hashing::HashJob;
use super::owed::ReplyGuard;
use super::{Transfers, failures};
use crate::files::served::Place;
use crate::router::event::{Event, Parking};
use crate::router::ids::{FaceId, FileId};
use crate::router::notice::{Code, Failure};
use crate::router::swarm::FILE_MAX_BYTES;

impl Transfers {
    pub(super) fn hash(&self, job: u64, path: PathBuf, hash_job: HashJob) -> Option<Event> {
        let hash_job = Arc::new(hash_job);
        self.shared.lock().hash_jobs.insert(job, Arc::clone(&hash_job));
        let shared = Arc::clone(&self.shared);
        let hashed = self.hashing.submit(move || {
            let inbox = &shared.host.inbox;
            let owed =
                ReplyGuard::new(inbox, Event::Hashed { job, result: Err(failures::inside()) });
            let result = hash_job.run(job, path, FILE_MAX_BYTES, inbox, &shared.open_files);
            if result.is_err() {
                shared.lock().hash_jobs.remove(&job);
            }
            owed.send(Event::Hashed { job, result });
        });
        hashed.err().map(|_| {
            self.shared.lock().hash_jobs.remove(&job);
            let text = "cannot send the file: too many are being hashed; try again later";
            Event::Hashed { job, result: Err(Failure::new(Code::IoError, text)) }
        })
    }

    /// Serves what a job hashed.
    pub(super) fn serve(&self, file: FileId, job: u64) {
        let job = self.shared.lock().hash_jobs.remove(&job);
        let Some(job) = job else { return };
        let Some(served) = job.served() else { return };
        let sources = &self.shared.host.sources;
        // A file that is served already gets one more place where it can be read.
        match sources.get(&file).filter(|known| known.path().is_some()) {
            Some(known) => known.lies_too(served),
            None => sources.insert(file, Arc::clone(served)),
        }
    }

    /// Looks up the path of a file that is served whole.
    pub(super) fn look(&self, face: FaceId, line: u64, file: FileId) -> Option<Event> {
        let nowhere = Event::LookedAt { face, line, path: None };
        let Some(served) = self.shared.host.sources.get(&file) else { return Some(nowhere) };
        let (shared, otherwise) = (Arc::clone(&self.shared), nowhere.clone());
        let submitted = self.disk.submit(move || {
            let owed = ReplyGuard::new(&shared.host.inbox, otherwise);
            owed.send(Event::LookedAt { face, line, path: served.path_now() });
        });
        submitted.err().map(|_| nowhere)
    }

    /// Parks a file that is offered in a room being left, or undoes that, step by step.
    pub(super) fn park(&self, file: FileId, step: Parking) -> Option<Event> {
        let sources = &self.shared.host.sources;
        match step {
            Parking::Begin => {
                let served = sources.get(&file)?;
                self.shared.lock().parked.insert(file, served);
            }
            Parking::Check => return self.check_parked(file),
            Parking::Resume => {
                let served = self.shared.lock().parked.remove(&file)?;
                sources.insert(file, served);
            }
            Parking::Forget => drop(self.shared.lock().parked.remove(&file)),
        }
        None
    }

    fn check_parked(&self, file: FileId) -> Option<Event> {
        let changed = Event::ParkedChecked { file, intact: false };
        let Some(parked) = self.shared.lock().parked.get(&file).cloned() else {
            return Some(changed);
        };
        let (shared, otherwise) = (Arc::clone(&self.shared), changed.clone());
        let submitted = self.disk.submit(move || {
            let owed = ReplyGuard::new(&shared.host.inbox, otherwise);
            owed.send(Event::ParkedChecked { file, intact: parked.unchanged() });
        });
        submitted.err().map(|_| changed)
    }

    /// Removes the copy that was made for an offer, if there is one.
    pub(super) fn discard_copy(&self, file: &FileId, path: PathBuf) {
        let parked = || self.shared.lock().parked.get(file).cloned();
        let Some(served) = self.shared.host.sources.get(file).or_else(parked) else { return };
        if let Some(copy) = served.leave_place(&path) {
            let unwanted = Unwanted(copy);
            // If the job cannot be queued, dropping it here does the work.
            let _ = self.disk.submit(move || drop(unwanted));
        }
    }

    /// Checks whether a chunk is still what was offered. If there is too much to do, the router
    /// gets no answer, as if nobody had complained: the member that did will not ask here again.
    pub(super) fn recheck(&self, file: FileId, chunk: u32) {
        let Some(served) = self.shared.host.sources.get(&file) else { return };
        let shared = Arc::clone(&self.shared);
        let submitted = self.disk.submit(move || {
            let intact = !served.holds(chunk)
                || served.unchanged() && served.recheck(chunk).unwrap_or(false);
            // Without a router nobody wants to know.
            let _ = shared.host.inbox.send(Event::SourceChecked { file, intact });
        });
        if submitted.is_err() {
            tracing::warn!(file = %file.short(), chunk, "no time to look at a disputed chunk");
        }
    }
}

/// A copy that is removed when this is dropped.
struct Unwanted(Place);

impl Drop for Unwanted {
    fn drop(&mut self) {
        // If somebody replaced or changed it, it is not klatch's to remove.
        let path = self.0.path();
        if self.0.is_unchanged()
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::warn!(%error, path = %path.display(), "a copy could not be removed");
        }
    }
}
