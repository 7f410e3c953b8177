//! Opens files below a folder, component by component.

use std::ffi::OsStr;
use std::fs::File;
use std::io;

use crate::sys::folders::FolderHandle;

/// A folder, and the folders in it on the way to what was opened last: files of one folder, one
/// after the other, cost one call each. No link is followed.
#[derive(Debug)]
pub struct FolderChain {
    top: FolderHandle,
    open: Vec<(String, FolderHandle)>,
}

impl FolderChain {
    /// Begins with the folder itself.
    #[must_use]
    pub fn new(top: FolderHandle) -> Self {
        Self { top, open: Vec::new() }
    }

    /// Opens a file for reading by its path below the folder, components apart by `/`.
    ///
    /// # Errors
    /// The system's error, also when something on the way is no folder.
    pub fn file(&mut self, path: &str) -> io::Result<File> {
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut depth = 0;
        for component in folders.split('/').filter(|component| !component.is_empty()) {
            let is_open = self.open.get(depth).is_some_and(|(name, _)| name == component);
            if !is_open {
                self.open.truncate(depth);
                let folder = self.last().folder(OsStr::new(component))?;
                self.open.push((component.to_owned(), folder));
            }
            depth += 1;
        }
        self.open.truncate(depth);
        self.last().file(OsStr::new(name), false)
    }

    fn last(&self) -> &FolderHandle {
        self.open.last().map_or(&self.top, |(_, folder)| folder)
    }
}
