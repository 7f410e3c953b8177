//! Opens files below a folder, component by component.

use std::ffi::OsStr;
use std::fs::File;
use std::io;

use crate::sys::folders::FolderHandle;

/// A folder, and the folder in it from which a file was opened last: files of one folder, one
/// after the other, cost one call each. However deep they lie, only these two stay open. No link is
/// followed.
#[derive(Debug)]
pub struct FolderChain {
    top: FolderHandle,
    deepest: Option<(String, FolderHandle)>,
}

impl FolderChain {
    /// Begins with the folder itself.
    #[must_use]
    pub fn new(top: FolderHandle) -> Self {
        Self { top, deepest: None }
    }

    /// Opens a file for reading by its path below the folder, components apart by `/`.
    ///
    /// # Errors
    /// The system's error, also when something on the way is no folder.
    pub fn file(&mut self, path: &str) -> io::Result<File> {
        let (folder, name) = self.above(path)?;
        folder.file(OsStr::new(name), false)
    }

    /// Removes a file by its path below the folder.
    ///
    /// # Errors
    /// The system's error.
    pub fn remove_file(&mut self, path: &str) -> io::Result<()> {
        let (folder, name) = self.above(path)?;
        folder.remove_file(OsStr::new(name))
    }

    /// Removes an empty folder by its path below the folder.
    ///
    /// # Errors
    /// The system's error.
    pub fn remove_folder(&mut self, path: &str) -> io::Result<()> {
        let (folder, name) = self.above(path)?;
        folder.remove_folder(OsStr::new(name))
    }

    /// The folder in which something lies, and its name there.
    fn above<'a>(&mut self, path: &'a str) -> io::Result<(&FolderHandle, &'a str)> {
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.enter(folders)?;
        Ok((self.deepest.as_ref().map_or(&self.top, |(_, folder)| folder), name))
    }

    /// Opens the folder with this path, from the one that is open if that is it or above it.
    fn enter(&mut self, path: &str) -> io::Result<()> {
        let below = |open: &str| {
            let rest = path.strip_prefix(open)?;
            if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
        };
        let (mut folder, rest) = match self.deepest.take() {
            Some((open, folder)) => match below(&open) {
                Some(rest) => (Some(folder), rest),
                None => (None, path),
            },
            None => (None, path),
        };
        for component in rest.split('/').filter(|component| !component.is_empty()) {
            folder = Some(folder.as_ref().unwrap_or(&self.top).folder(OsStr::new(component))?);
        }
        self.deepest = folder.map(|folder| (path.to_owned(), folder));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;

    use super::*;

    #[test]
    fn files_are_opened_from_wherever_the_last_one_lay() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b/c")).unwrap();
        fs::create_dir_all(dir.path().join("a/bc")).unwrap();
        let paths = ["a/1", "a/b/2", "a/b/c/3", "a/bc/4", "a/b/5", "6"];
        for path in paths {
            fs::write(dir.path().join(path), path).unwrap();
        }
        let mut chain = FolderChain::new(FolderHandle::open(dir.path()).unwrap());
        for path in paths.iter().chain(paths.iter().rev()) {
            let mut read = String::new();
            chain.file(path).unwrap().read_to_string(&mut read).unwrap();
            assert_eq!(read, *path);
        }
        assert!(chain.file("a/x/1").is_err() && chain.file("a/1").is_ok());
    }
}
