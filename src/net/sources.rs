//! What this node serves, by content: files, folders, and the manifests of these.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::files::folder::served::ServedFolder;
use crate::files::served::Served;
use crate::router::ids::{FileId, MemberId};

/// What this node serves: its own files, and downloads as far as they have come.
#[derive(Debug, Default)]
pub struct Sources {
    by_file: Mutex<BTreeMap<FileId, Arc<Served>>>,
    folders: Mutex<BTreeMap<FileId, Arc<ServedFolder>>>,
    /// The manifests of folders. Apart from the files, because somebody may share the same as a
    /// file: one can end without the other.
    manifests: Mutex<BTreeMap<FileId, Arc<Served>>>,
    came: Condvar,
}

impl Sources {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<FileId, Arc<Served>>> {
        self.by_file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folders(&self) -> MutexGuard<'_, BTreeMap<FileId, Arc<ServedFolder>>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The source of a folder.
    #[must_use]
    pub fn folder(&self, folder: &FileId) -> Option<Arc<ServedFolder>> {
        self.folders().get(folder).cloned()
    }

    /// All folders that are served.
    #[must_use]
    pub fn all_folders(&self) -> Vec<Arc<ServedFolder>> {
        self.folders().values().cloned().collect()
    }

    /// Serves a folder from here on, in place of an earlier source of it.
    pub fn insert_folder(&self, folder: FileId, source: Arc<ServedFolder>) {
        self.folders().insert(folder, source);
    }

    /// Serves a folder unless there is a source of it already.
    pub fn insert_folder_if_absent(&self, folder: FileId, source: Arc<ServedFolder>) {
        self.folders().entry(folder).or_insert(source);
    }

    /// Where those folders lie that are served whole.
    #[must_use]
    pub fn places_of_folders(&self) -> Vec<(FileId, PathBuf)> {
        let folders = self.folders();
        folders.iter().filter_map(|(folder, source)| Some((*folder, source.path()?))).collect()
    }

    /// Stops serving a folder from this very source.
    pub fn remove_this_folder(&self, folder: &FileId, source: &Arc<ServedFolder>) {
        remove_this(&mut self.folders(), folder, source);
    }

    fn manifests(&self) -> MutexGuard<'_, BTreeMap<FileId, Arc<Served>>> {
        self.manifests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The source of a manifest, as that of a folder.
    #[must_use]
    pub fn manifest(&self, file: &FileId) -> Option<Arc<Served>> {
        self.manifests().get(file).cloned()
    }

    /// Serves a manifest from here on, in place of an earlier source of it.
    pub fn insert_manifest(&self, file: FileId, source: Arc<Served>) {
        self.manifests().insert(file, source);
    }

    /// Serves a manifest unless there is a source of it already.
    pub fn insert_manifest_if_absent(&self, file: FileId, source: Arc<Served>) {
        self.manifests().entry(file).or_insert(source);
    }

    /// Stops serving a manifest.
    pub fn remove_manifest(&self, file: &FileId) {
        self.manifests().remove(file);
    }

    /// Stops serving a manifest from this very source.
    pub fn remove_this_manifest(&self, file: &FileId, source: &Arc<Served>) {
        remove_this(&mut self.manifests(), file, source);
    }

    /// The source of a file, or of a manifest: the one that has all of it, if both are here.
    #[must_use]
    pub fn get(&self, file: &FileId) -> Option<Arc<Served>> {
        let plain = self.plain(file);
        match plain.as_ref().is_some_and(|plain| plain.path().is_some()) {
            true => plain,
            false => self.manifest(file).or(plain),
        }
    }

    /// The source of a file, as somebody shares or fetches it.
    #[must_use]
    pub fn plain(&self, file: &FileId) -> Option<Arc<Served>> {
        self.lock().get(file).cloned()
    }

    /// The source of a file; waits up to `patience` for one.
    #[must_use]
    pub fn wait_for(&self, file: &FileId, patience: Duration) -> Option<Arc<Served>> {
        let lacking = |sources: &mut BTreeMap<_, _>| !sources.contains_key(file);
        let waited = self.came.wait_timeout_while(self.lock(), patience, lacking);
        waited.unwrap_or_else(PoisonError::into_inner).0.get(file).cloned()
    }

    /// Everything that is served.
    #[must_use]
    pub fn all(&self) -> Vec<(FileId, Arc<Served>)> {
        self.lock().iter().map(|(file, source)| (*file, Arc::clone(source))).collect()
    }

    /// Serves a file from now on, replacing any earlier source of it.
    pub fn insert(&self, file: FileId, source: Arc<Served>) {
        self.lock().insert(file, source);
        self.came.notify_all();
    }

    /// Serves a file unless it already has a source.
    pub fn insert_if_absent(&self, file: FileId, source: Arc<Served>) {
        self.lock().entry(file).or_insert(source);
        self.came.notify_all();
    }

    /// Stops serving a file or folder.
    pub fn remove(&self, file: &FileId) {
        self.lock().remove(file);
        self.folders().remove(file);
    }

    /// A member has left: others can get what it was sent only from here.
    pub fn forget_member(&self, member: &MemberId) {
        for source in self.lock().values() {
            source.chunks().sent().forget(member);
        }
        for source in self.manifests().values() {
            source.chunks().sent().forget(member);
        }
        for source in self.folders().values() {
            source.held().sent().forget(member);
        }
    }

    /// Stops serving a file from this particular source.
    pub fn remove_this(&self, file: &FileId, source: &Arc<Served>) {
        remove_this(&mut self.lock(), file, source);
    }
}

fn remove_this<T>(all: &mut BTreeMap<FileId, Arc<T>>, id: &FileId, source: &Arc<T>) {
    if all.get(id).is_some_and(|current| Arc::ptr_eq(current, source)) {
        all.remove(id);
    }
}
