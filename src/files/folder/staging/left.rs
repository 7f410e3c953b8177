//! Folders that earlier runs left unfinished.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::tree::StagedTree;
use super::{FOLDER, Hints};
use crate::files::disk::Disk;
use crate::files::hidden::{lock, open_own};
use crate::files::publish::leads_to;

/// A folder of an earlier run, held against every other program.
#[derive(Debug)]
pub(in crate::files) struct LeftFolder {
    disk: Arc<dyn Disk>,
    hints: Hints,
    /// `None` if only the hints are left.
    tree: Option<StagedTree>,
}

impl LeftFolder {
    /// Holds the folder whose hints lie at `path`; `None` where another program holds it, or it is
    /// not this user's.
    pub(in crate::files) fn open(disk: &Arc<dyn Disk>, path: &Path) -> io::Result<Option<Self>> {
        let Some(file) = open_own(&**disk, path)? else { return Ok(None) };
        if lock(&**disk, &file, path).is_none() {
            return Ok(None);
        }
        let hints = Hints { file, path: path.to_owned(), bytes: Mutex::default() };
        let left = path.with_extension(FOLDER.trim_start_matches('.'));
        let (Some(dir), Some(name)) = (left.parent(), left.file_name()) else { return Ok(None) };
        let tree = match left.symlink_metadata() {
            Err(_) => None,
            Ok(_) => match StagedTree::open(dir, name.to_owned())? {
                Some(tree) => Some(tree),
                None => return Ok(None),
            },
        };
        Ok(Some(Self { disk: Arc::clone(disk), hints, tree }))
    }

    /// Bytes that its files take up on the disk.
    pub(in crate::files) fn allocated_bytes(&self) -> u64 {
        self.tree.as_ref().map_or(0, |tree| tree.allocated_bytes().unwrap_or(0))
    }

    /// Removes the folder and its hints.
    pub(in crate::files) fn remove(&self) -> io::Result<()> {
        self.tree.as_ref().map_or(Ok(()), StagedTree::remove_all)?;
        match leads_to(&self.hints.path, &self.hints.file) {
            true => self.disk.remove(&self.hints.path),
            false => Ok(()),
        }
    }
}
