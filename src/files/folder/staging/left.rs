//! Folders that earlier runs left unfinished.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::tree::StagedTree;
use super::{FOLDER, Hints, ROOM};
use crate::files::disk::Disk;
use crate::files::hidden::{lock, open_or_create};
use crate::files::noted::name_in;
use crate::files::publish::leads_to;
use crate::sys::files::Facts;

/// A folder of an earlier run, held against every other program.
#[derive(Debug)]
pub(in crate::files) struct LeftFolder {
    disk: Arc<dyn Disk>,
    hints: Hints,
    /// The hints were made to hold it, because there were none.
    is_fresh: bool,
    /// `None` if only the hints are left.
    tree: Option<StagedTree>,
    /// The zeros that show whether the disk has room, if they were left.
    room: Option<PathBuf>,
}

impl LeftFolder {
    /// Holds the folder whose hints lie at `path`, or would; `None` where another program holds it,
    /// or it is not this user's.
    pub(in crate::files) fn open(disk: &Arc<dyn Disk>, path: &Path) -> io::Result<Option<Self>> {
        let left = path.with_extension(FOLDER.trim_start_matches('.'));
        let (Some(dir), Some(name)) = (left.parent(), left.file_name()) else { return Ok(None) };
        let room = Some(path.with_extension(ROOM)).filter(|room| is_there(room));
        let Some((file, is_fresh)) = open_or_create(&**disk, path)? else { return Ok(None) };
        if lock(&**disk, &file, path).is_none() {
            return Ok(None);
        }
        let hints = Hints { file, path: path.to_owned(), bytes: Mutex::default() };
        let disk = Arc::clone(disk);
        let mut found = Self { disk, hints, is_fresh, tree: None, room };
        if is_there(&left) {
            // It is dropped, and its hints with it, if somebody else's folder has the name.
            let Some(tree) = StagedTree::open(dir, name.to_owned())? else { return Ok(None) };
            found.tree = Some(tree);
        }
        Ok(Some(found))
    }

    /// The name that people know it by, if it was noted; a peer chose it.
    pub(in crate::files) fn name(&self) -> Option<String> {
        name_in(&self.hints.file)
    }

    /// Bytes that its files take up on the disk.
    pub(in crate::files) fn allocated_bytes(&self) -> u64 {
        let room = self.room.as_deref().and_then(|room| Facts::of_name(room).ok());
        self.tree.as_ref().map_or(0, |tree| tree.allocated_bytes().unwrap_or(0))
            + room.map_or(0, |room| room.allocated_bytes)
    }

    /// Removes the folder and its hints.
    pub(in crate::files) fn remove(&self) -> io::Result<()> {
        self.tree.as_ref().map_or(Ok(()), StagedTree::remove_all)?;
        self.room.as_deref().map_or(Ok(()), |room| self.disk.remove(room))?;
        self.remove_hints()
    }

    fn remove_hints(&self) -> io::Result<()> {
        match leads_to(&self.hints.path, &self.hints.file) {
            true => self.disk.remove(&self.hints.path),
            false => Ok(()),
        }
    }
}

impl Drop for LeftFolder {
    fn drop(&mut self) {
        if self.is_fresh {
            // Hints that stay behind cost nothing.
            let _ = self.remove_hints();
        }
        let _ = self.hints.file.unlock();
    }
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// The path of the hints that belong to a hidden folder, or to the zeros beside it.
pub(in crate::files) fn hints_of(path: &Path) -> PathBuf {
    path.with_extension(OsStr::new(super::UNITS.trim_start_matches('.')))
}
