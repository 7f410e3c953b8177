//! The user's own files: hashing them, and checking them again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::hashing::{HashJob, HashedSource};
use super::owed::ReplyGuard;
use super::{Transfers, failures};
use crate::files::folder::served::ServedFolder;
use crate::files::served::{Place, ServeError};
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
            let known = (&shared.open_files, &shared.roots);
            let result = hash_job.run(job, path, FILE_MAX_BYTES, inbox, known);
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
        let sources = &self.shared.host.sources;
        let served = match job.served() {
            Some(HashedSource::File(served)) => served,
            Some(HashedSource::Folder(folder, manifest)) => {
                sources.insert_manifest(manifest.tree().id(), Arc::clone(manifest));
                if let Some(known) = sources.folder(&file) {
                    folder.lies_too(&known);
                }
                return sources.insert_folder(file, Arc::clone(folder));
            }
            None => return,
        };
        // What is served already has one more place to be read from.
        match sources.get(&file).filter(|known| known.path().is_some()) {
            Some(known) => known.lies_too(served),
            None => sources.insert(file, Arc::clone(served)),
        }
    }

    /// Looks up the path of a file that is served whole.
    pub(super) fn look(&self, face: FaceId, line: u64, file: FileId) -> Option<Event> {
        let nowhere = Event::LookedAt { face, line, path: None };
        let sources = &self.shared.host.sources;
        let (served, folder) = (sources.get(&file), sources.folder(&file));
        let (shared, otherwise) = (Arc::clone(&self.shared), nowhere.clone());
        let submitted = self.disk.submit(move || {
            let owed = ReplyGuard::new(&shared.host.inbox, otherwise);
            let folder = || folder.and_then(|folder| folder.path().filter(|_| folder.unchanged()));
            let path = served.and_then(|served| served.path_now()).or_else(folder);
            owed.send(Event::LookedAt { face, line, path });
        });
        submitted.err().map(|_| nowhere)
    }

    /// Parks a file that is offered in a room being left, or undoes that, step by step.
    pub(super) fn park(&self, file: FileId, step: Parking) -> Option<Event> {
        let sources = &self.shared.host.sources;
        if self.park_folder(file, step) {
            return None;
        }
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

    /// The same for a folder, if it is one; looking at it is not different.
    fn park_folder(&self, file: FileId, step: Parking) -> bool {
        let sources = &self.shared.host.sources;
        match step {
            Parking::Check => false,
            Parking::Begin => {
                let Some(folder) = sources.folder(&file) else { return false };
                self.shared.lock().parked_folders.insert(file, folder);
                true
            }
            Parking::Resume => {
                let folder = self.shared.lock().parked_folders.remove(&file);
                let Some(folder) = folder else { return false };
                if let Some(list) = folder.list() {
                    sources.insert_manifest(list.tree().id(), Arc::clone(list));
                }
                sources.insert_folder(file, folder);
                true
            }
            Parking::Forget => self.shared.lock().parked_folders.remove(&file).is_some(),
        }
    }

    fn check_parked(&self, file: FileId) -> Option<Event> {
        let changed = Event::ParkedChecked { file, intact: false };
        let (parked, folder) = {
            let state = self.shared.lock();
            (state.parked.get(&file).cloned(), state.parked_folders.get(&file).cloned())
        };
        let (shared, otherwise) = (Arc::clone(&self.shared), changed.clone());
        let submitted = self.disk.submit(move || {
            let owed = ReplyGuard::new(&shared.host.inbox, otherwise);
            let intact = parked.is_some_and(|parked| parked.unchanged())
                || folder.is_some_and(|folder| folder.unchanged());
            owed.send(Event::ParkedChecked { file, intact });
        });
        submitted.err().map(|_| changed)
    }

    /// Removes the copy that was made for an offer, if there is one.
    pub(super) fn discard_copy(&self, file: &FileId, path: PathBuf) {
        let copy = self.leave_file(file, &path).or_else(|| self.leave_folder(file, &path));
        if let Some(unwanted) = copy {
            // If the job cannot be queued, dropping it here does the work.
            let _ = self.disk.submit(move || drop(unwanted));
        }
    }

    fn leave_file(&self, file: &FileId, path: &Path) -> Option<Unwanted> {
        let parked = || self.shared.lock().parked.get(file).cloned();
        let served = self.shared.host.sources.get(file).or_else(parked)?;
        served.leave_place(path).map(Unwanted::File)
    }

    fn leave_folder(&self, file: &FileId, path: &Path) -> Option<Unwanted> {
        let sources = &self.shared.host.sources;
        if let Some(served) = sources.folder(file) {
            let left = served.leave_place(path)?;
            left.next.into_iter().for_each(|next| sources.insert_folder(*file, next));
            return Some(Unwanted::Folder(left.copy));
        }
        let parked = &mut self.shared.lock().parked_folders;
        let left = parked.get(file)?.leave_place(path)?;
        left.next.and_then(|next| parked.insert(*file, next));
        Some(Unwanted::Folder(left.copy))
    }

    /// Checks whether a chunk is still what was offered. If there is too much to do, the router
    /// gets no answer, as if nobody had complained: the member that did will not ask here again.
    pub(super) fn recheck(&self, file: FileId, chunk: u32) {
        let sources = &self.shared.host.sources;
        let (served, folder) = (sources.get(&file), sources.folder(&file));
        if served.is_none() && folder.is_none() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        // Too many open files are nothing that a chunk can help.
        let right =
            |looked: Result<bool, ServeError>| looked.unwrap_or_else(|error| error.is_scarcity());
        let submitted = self.disk.submit(move || {
            let intact = served.is_none_or(|served| {
                !served.holds(chunk) || served.unchanged() && right(served.recheck(chunk))
            }) && folder
                .as_ref()
                .is_none_or(|folder| !folder.held().has(chunk) || right(folder.recheck(chunk)));
            let path = folder.and_then(|folder| folder.changed_path());
            // Without a router nobody wants to know.
            let _ = shared.host.inbox.send(Event::SourceChecked { file, intact, path });
        });
        if submitted.is_err() {
            tracing::warn!(file = %file.short(), chunk, "no time to look at a disputed chunk");
        }
    }
}

/// A copy that is removed when this is dropped.
enum Unwanted {
    File(Place),
    Folder(Arc<ServedFolder>),
}

impl Drop for Unwanted {
    fn drop(&mut self) {
        // If somebody replaced or changed it, it is not klatch's to remove.
        let removed = match self {
            Self::File(place) if place.is_unchanged() => std::fs::remove_file(place.path()),
            Self::File(_) => Ok(()),
            Self::Folder(folder) => folder.remove_copy(),
        };
        if let Err(error) = removed {
            tracing::warn!(%error, "a copy could not be removed");
        }
    }
}
