//! One content in several places, and copies that are removed when nobody wants them any more.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::{ServedFolder, ServedNames};
use crate::files::folder::chain::FolderChain;
use crate::sys::folders::FolderHandle;

/// What is left when a folder is not served from a place any more.
#[derive(Debug)]
pub struct LeftFolderPlace {
    /// The folder in that place.
    pub copy: Arc<ServedFolder>,
    /// From where to serve the content instead, if it was served from there.
    pub next: Option<Arc<ServedFolder>>,
}

impl ServedFolder {
    /// Takes over from `before`, which is the same content: where that lies it is served from when
    /// this place is given up.
    pub fn lies_too(&self, before: &Arc<Self>) {
        let mut more = std::mem::take(&mut *before.elsewhere());
        // One that is not whole cannot take over.
        if before.path().is_some() {
            more.push(Arc::clone(before));
        }
        more.retain(|other| other.path() != self.path());
        self.elsewhere().extend(more);
    }

    /// Stops serving it from `path`; `None` unless it lies there.
    #[must_use]
    pub fn leave_place(self: &Arc<Self>, path: &Path) -> Option<LeftFolderPlace> {
        let mut elsewhere = self.elsewhere();
        let lies_there = |folder: &Arc<Self>| folder.path().as_deref() == Some(path);
        if let Some(at) = elsewhere.iter().position(lies_there) {
            let copy = elsewhere.remove(at);
            copy.given_up.store(true, Ordering::Release);
            return Some(LeftFolderPlace { copy, next: None });
        }
        if !lies_there(self) {
            return None;
        }
        self.given_up.store(true, Ordering::Release);
        let next = elsewhere.pop();
        if let Some(next) = &next {
            next.elsewhere().append(&mut elsewhere);
        }
        Some(LeftFolderPlace { copy: Arc::clone(self), next })
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }

    fn elsewhere(&self) -> MutexGuard<'_, Vec<Arc<Self>>> {
        self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a copy of a folder: the files that are as klatch wrote them, and the folders that
    /// are empty then. What somebody changed or put there is not klatch's to remove. A folder that
    /// was received stays.
    ///
    /// # Errors
    /// The first error of the disk; the rest is removed all the same.
    pub fn remove_copy(&self) -> io::Result<()> {
        if !matches!(self.names, ServedNames::Own(_)) {
            return Ok(());
        }
        let top = self.top();
        let mut chain = FolderChain::new(FolderHandle::open(&top)?);
        let (mut folders, mut result) = (BTreeSet::new(), Ok(()));
        for (entry, listed) in (0..).zip(self.manifest.iter()) {
            let mut path = listed.path.as_str();
            if listed.file.is_none() {
                folders.insert(path.to_owned());
            } else if self.open_here(&mut chain, entry).is_ok() {
                result = result.and(chain.remove_file(path));
            }
            while let Some((above, _)) = path.rsplit_once('/') {
                // Those above it are there then, too.
                if !folders.insert(above.to_owned()) {
                    break;
                }
                path = above;
            }
        }
        // What lies in a folder comes after it.
        for path in folders.iter().rev() {
            // One that is not empty holds what is somebody else's.
            let _ = chain.remove_folder(path);
        }
        drop(chain);
        let _ = std::fs::remove_dir(&top);
        result
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::files::folder::manifest::Manifest;
    use crate::files::folder::scan::{self, KnownRoots, scan};
    use crate::files::folder::units::Units;

    /// A folder with some files, as it would be served.
    fn copy(top: PathBuf) -> Arc<ServedFolder> {
        fs::create_dir_all(top.join("2024/empty")).unwrap();
        fs::create_dir_all(top.join("2024/may")).unwrap();
        for path in ["2024/a.jpg", "2024/may/b.jpg", "c.txt"] {
            fs::write(top.join(path), path).unwrap();
        }
        let scanned = scan(&top, &|| false).unwrap();
        let hashed =
            scan::hash(&top, &scanned, &KnownRoots::default(), 1, &|_| (), &|| false).unwrap();
        // Copies differ in nothing but their places.
        let mut entries = hashed.entries;
        for file in entries.iter_mut().filter_map(|entry| entry.file.as_mut()) {
            file.modified_s = 0;
        }
        let manifest = Manifest::encode(&entries).unwrap();
        let units = Units::of(&manifest).unwrap();
        let stamps = scanned.entries.iter().map(|entry| Some(entry.file?.stamp)).collect();
        let content = (Arc::new(manifest), Arc::new(units));
        Arc::new(ServedFolder::own(content, top, stamps, hashed.trees))
    }

    #[test]
    fn a_copy_is_removed_whole_and_nothing_of_anybody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let (whole, used) = (dir.path().join("whole"), dir.path().join("used"));
        copy(whole.clone()).remove_copy().unwrap();
        assert!(!whole.exists());
        let folder = copy(used.clone());
        fs::write(used.join("2024/may/own.txt"), "mine").unwrap();
        fs::write(used.join("c.txt"), "changed").unwrap();
        folder.remove_copy().unwrap();
        assert_eq!(fs::read_to_string(used.join("2024/may/own.txt")).unwrap(), "mine");
        assert_eq!(fs::read_to_string(used.join("c.txt")).unwrap(), "changed");
        assert!(!used.join("2024/a.jpg").exists() && !used.join("2024/empty").exists());
    }

    #[test]
    fn what_lies_in_two_places_is_served_from_the_one_that_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let [first, second, third] = ["1", "2", "3"].map(|name| copy(path(name)));
        second.lies_too(&first);
        third.lies_too(&second);
        assert!(third.leave_place(&path("none")).is_none());
        let left = third.leave_place(&path("2")).unwrap();
        assert!(Arc::ptr_eq(&left.copy, &second) && left.next.is_none());
        let left = third.leave_place(&path("3")).unwrap();
        assert!(Arc::ptr_eq(&left.copy, &third));
        left.copy.remove_copy().unwrap();
        let next = left.next.unwrap();
        assert!(Arc::ptr_eq(&next, &first) && next.unchanged());
        // Whoever still reads there is told to ask again, and not that it was changed.
        assert!(third.reader(0, None).is_err_and(|error| error.is_scarcity()));
        assert!(next.reader(0, None).unwrap().is_some());
    }
}
