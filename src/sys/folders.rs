//! Open folders: what is in them is reached from the handle, so that nobody can lead this program
//! elsewhere by swapping a folder for a link.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::Path;

use super::files::{Facts, FileKind};

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as system;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as system;

/// An open folder. All names given to it are single components, and none may be a symbolic link,
/// which would be an error.
///
/// Windows has no safe calls for this: there the folder cannot be renamed while it is open, its
/// path is checked to still lead to it, and what is opened is checked not to be a link.
#[derive(Debug)]
pub struct FolderHandle(system::FolderHandle);

impl FolderHandle {
    /// Opens what a path leads to, through symbolic links.
    ///
    /// # Errors
    /// The system's error, also if it is not a folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        system::FolderHandle::open(path).map(Self)
    }

    /// The facts about the folder.
    ///
    /// # Errors
    /// The system's error.
    pub fn facts(&self) -> io::Result<Facts> {
        self.0.facts()
    }

    /// Names in it and what they are, at most `most`, in no particular order.
    ///
    /// # Errors
    /// The system's error.
    pub fn names(&self, most: usize) -> io::Result<Vec<(OsString, FileKind)>> {
        self.0.names(most)
    }

    /// Opens a folder in it.
    ///
    /// # Errors
    /// The system's error: of the kind `NotADirectory` or `InvalidFilename` if it is a link.
    pub fn folder(&self, name: &OsStr) -> io::Result<Self> {
        self.0.folder(one_component(name)?).map(Self)
    }

    /// Opens a file in it, if `write` for writing too; never waits for the other end of a pipe.
    /// What it opens may be something other than a file.
    ///
    /// # Errors
    /// The system's error: of the kind `InvalidFilename` if it is a link.
    pub fn file(&self, name: &OsStr, write: bool) -> io::Result<File> {
        self.0.file(one_component(name)?, write)
    }

    /// Makes a folder in it, which must not exist yet.
    ///
    /// # Errors
    /// The system's error.
    pub fn create_folder(&self, name: &OsStr) -> io::Result<()> {
        self.0.create_folder(one_component(name)?)
    }

    /// Makes a file in it, which must not exist yet, for reading and writing.
    ///
    /// # Errors
    /// The system's error.
    pub fn create_file(&self, name: &OsStr) -> io::Result<File> {
        self.0.create_file(one_component(name)?)
    }

    /// Removes a name in it that is not a folder.
    ///
    /// # Errors
    /// The system's error.
    pub fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        self.0.remove_file(one_component(name)?)
    }

    /// Gives something in it that is no folder a second name in another folder, which must not
    /// exist yet. A symbolic link is not followed.
    ///
    /// # Errors
    /// The system's error, also if this disk cannot do it.
    pub fn link(&self, name: &OsStr, to: &Self, new: &OsStr) -> io::Result<()> {
        self.0.link(one_component(name)?, &to.0, one_component(new)?)
    }

    /// Moves something in it into another folder, under a name that must not exist yet.
    ///
    /// # Errors
    /// The system's error, also if this disk cannot do it.
    pub fn rename(&self, name: &OsStr, to: &Self, new: &OsStr) -> io::Result<()> {
        self.0.rename(one_component(name)?, &to.0, one_component(new)?)
    }

    /// Removes an empty folder in it.
    ///
    /// # Errors
    /// The system's error.
    pub fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        self.0.remove_folder(one_component(name)?)
    }

    /// Lets those in whom `other` lets in, and its owner. Windows: does nothing; access lists come
    /// from the folder above.
    ///
    /// # Errors
    /// The system's error.
    pub fn take_mode_of(&self, other: &Self) -> io::Result<()> {
        self.0.take_mode_of(&other.0)
    }

    /// Returns once the names in it would survive a loss of power. Does nothing on Windows, which
    /// keeps a journal of names.
    ///
    /// # Errors
    /// The system's error.
    pub fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    /// The same for everything that was written to the folder's disk.
    ///
    /// # Errors
    /// The system's error; `Unsupported` except on Linux.
    pub fn sync_disk(&self) -> io::Result<()> {
        self.0.sync_disk()
    }
}

/// Makes sure that a name cannot lead elsewhere.
fn one_component(name: &OsStr) -> io::Result<&OsStr> {
    let bytes = name.as_encoded_bytes();
    let separates = |byte: &u8| std::path::is_separator(char::from(*byte));
    match bytes {
        b"" | b"." | b".." => Err(io::ErrorKind::InvalidFilename.into()),
        _ if bytes.iter().any(separates) => Err(io::ErrorKind::InvalidFilename.into()),
        _ => Ok(name),
    }
}

/// Lets everybody who may read a file execute it. Does nothing on Windows, where names decide that.
///
/// # Errors
/// The system's error.
pub fn make_executable(file: &File) -> io::Result<()> {
    system::make_executable(file)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::sys::testing::{POSIX, link};

    #[test]
    fn what_lies_in_a_folder_is_reached_from_it_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let top = FolderHandle::open(dir.path()).unwrap();
        let name = OsStr::new;
        top.create_folder(name("sub")).unwrap();
        assert!(top.create_folder(name("sub")).is_err());
        let sub = top.folder(name("sub")).unwrap();
        drop(sub.create_file(name("a")).unwrap());
        assert!(sub.create_file(name("a")).is_err());
        assert_eq!(sub.names(9).unwrap(), [(name("a").to_owned(), FileKind::File)]);
        assert!(top.folder(name("none")).is_err() && sub.folder(name("a")).is_err());
        for elsewhere in ["", ".", "..", "sub/a", "../a"] {
            assert!(top.file(name(elsewhere), false).is_err(), "{elsewhere}");
        }
        sub.sync().unwrap();
        sub.remove_file(name("a")).unwrap();
        drop(sub);
        top.remove_folder(name("sub")).unwrap();
        assert!(top.names(9).unwrap().is_empty());
        if !POSIX {
            return;
        }
        fs::write(outside.path().join("a"), b"foreign").unwrap();
        link(outside.path(), &dir.path().join("sub"));
        link(&outside.path().join("a"), &dir.path().join("link"));
        assert!(top.folder(name("sub")).is_err());
        assert!(top.file(name("link"), false).is_err());
        assert!(top.create_file(name("link")).is_err());
        let kinds: Vec<_> = top.names(9).unwrap().into_iter().map(|(_, kind)| kind).collect();
        assert_eq!(kinds, [FileKind::Link; 2]);
    }
}
