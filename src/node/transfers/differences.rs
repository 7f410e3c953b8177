//! What of a folder need not be fetched, because it lies on this computer: in what is offered from
//! here, and in what was downloaded by this run.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::TransferShared;
use super::folders::FolderContent;
use crate::files::folder::chain::FolderChain;
use crate::files::folder::served::ServedFolder;
use crate::files::merkle::file_id;
use crate::files::part::PartError;
use crate::files::source::open;
use crate::router::ids::Digest32;
use crate::router::swarm::FILE_MAX_BYTES;
use crate::sys::files::{Facts, FileKind};
use crate::sys::folders::FolderHandle;

/// Folders that are remembered: so many, with so many bytes of manifests.
const PAST: usize = 16;
const PAST_BYTES: usize = 1 << 24;

/// What the folders that this run downloaded have in them, the latest last.
#[derive(Debug, Default)]
pub(super) struct PastFolders(Mutex<VecDeque<Arc<ServedFolder>>>);

impl PastFolders {
    /// A folder is whole and in place.
    pub(super) fn note(&self, folder: &Arc<ServedFolder>) {
        let mut folders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        folders.push_back(Arc::clone(folder));
        let bytes = |folders: &VecDeque<Arc<ServedFolder>>| {
            folders.iter().map(|folder| folder.manifest().bytes().len()).sum::<usize>()
        };
        while folders.len() > PAST || folders.len() > 1 && bytes(&folders) > PAST_BYTES {
            folders.pop_front();
        }
    }

    fn all(&self) -> Vec<Arc<ServedFolder>> {
        let folders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        folders.iter().rev().cloned().collect()
    }
}

/// Entries that are wanted, by length and root.
type WantedFiles = HashMap<(u64, Digest32), u32>;

impl TransferShared {
    /// Copies into a folder that is built what lies here under any name; what does not verify is
    /// fetched. `here` is looked at first.
    pub(super) fn copy_known(
        &self,
        content: &FolderContent,
        here: Option<Arc<ServedFolder>>,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), PartError> {
        let sources = &self.host.sources;
        let mut wanted = content.staging.missing_files();
        let known = here.into_iter().chain(self.past.all()).chain(sources.all_folders());
        let mut looked: Vec<Arc<ServedFolder>> = Vec::new();
        for folder in known.filter(|folder| folder.path().is_some()) {
            if wanted.is_empty() {
                break;
            }
            if !looked.iter().any(|other| Arc::ptr_eq(other, &folder)) {
                copy_of_folder(content, &folder, &mut wanted, go_on)?;
                looked.push(folder);
            }
        }
        copy_of_earlier(content, &mut wanted, go_on)?;
        for ((size, root), entry) in wanted {
            if !go_on() {
                return Err(PartError::Cancelled);
            }
            let served = sources.get(&file_id(size, &root));
            let Some(path) = served.as_ref().and_then(|served| served.path_now()) else { continue };
            // What cannot be read is fetched.
            if let Ok((file, _)) = open(&path, FILE_MAX_BYTES) {
                content.copy_in(entry, &file, go_on)?;
            }
        }
        for unit in content.staging.verified().iter() {
            content.served.held().insert(unit);
        }
        Ok(())
    }
}

/// Copies what a folder that lies here has of what is wanted.
fn copy_of_folder(
    content: &FolderContent,
    folder: &ServedFolder,
    wanted: &mut WantedFiles,
    go_on: &(dyn Fn() -> bool + Sync),
) -> Result<(), PartError> {
    let listed: Vec<_> = folder.manifest().listed().collect();
    let content_of = |entry: u32| {
        let file = listed.get(entry as usize).copied().flatten()?;
        Some((file.size, file.root))
    };
    let count = u32::try_from(listed.len()).unwrap_or(u32::MAX);
    let is_wanted = |entry: &u32| content_of(*entry).is_some_and(|of| wanted.contains_key(&of));
    let entries: Vec<u32> = (0..count).filter(is_wanted).collect();
    let mut end = Ok(());
    folder.each_file(&entries, |from, file| {
        let Some((of, to)) = content_of(from).and_then(|of| Some((of, *wanted.get(&of)?))) else {
            return true;
        };
        match content.copy_in(to, file, go_on) {
            Ok(copied) => {
                if copied {
                    wanted.remove(&of);
                }
                if !go_on() {
                    end = Err(PartError::Cancelled);
                }
            }
            Err(error) => end = Err(error),
        }
        end.is_ok()
    });
    end
}

/// Copies what the earlier version has of it, which klatch made here.
fn copy_of_earlier(
    content: &FolderContent,
    wanted: &mut WantedFiles,
    go_on: &(dyn Fn() -> bool + Sync),
) -> Result<(), PartError> {
    let Some(earlier) = &content.earlier else { return Ok(()) };
    let Ok(top) = FolderHandle::open(&earlier.path) else { return Ok(()) };
    let mut chain = FolderChain::new(top);
    for entry in earlier.marker.manifest.iter() {
        let of = entry.file.map(|file| (file.size, file.root));
        let Some((of, to)) = of.and_then(|of| Some((of, *wanted.get(&of)?))) else { continue };
        if !go_on() {
            return Err(PartError::Cancelled);
        }
        let Ok(file) = chain.file(&entry.path) else { continue };
        let Ok(facts) = Facts::of(&file) else { continue };
        if facts.kind == FileKind::File && content.copy_in(to, &file, go_on)? {
            wanted.remove(&of);
        }
    }
    Ok(())
}

impl FolderContent {
    /// Takes over a file, and its list of chunk hashes; says whether it was the right one.
    fn copy_in(
        &self,
        entry: u32,
        from: &std::fs::File,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<bool, PartError> {
        let Some(tree) = self.staging.copy_in(entry, from, go_on)? else { return Ok(false) };
        if tree.chunks().len() > 1 {
            self.served.add_tree(entry, Arc::new(tree));
        }
        Ok(true)
    }
}
