//! Open folders on Windows, with only the standard library: by path, checked each time.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::sys::files::{Facts, FileKind, rename_new};

/// Opens folders as well (`FILE_FLAG_BACKUP_SEMANTICS`).
const FOLDERS_TOO: u32 = 0x0200_0000;
/// Opens the entry with this exact name (`FILE_FLAG_OPEN_REPARSE_POINT`).
const AS_IT_IS: u32 = 0x0020_0000;
/// Others may read and write it, but neither rename nor remove it.
const STAYS: u32 = 0x1 | 0x2;

#[derive(Debug)]
pub(super) struct FolderHandle {
    file: File,
    path: PathBuf,
}

impl FolderHandle {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::opened(path.canonicalize()?)
    }

    /// Opens a path without following its last component.
    fn opened(path: PathBuf) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).share_mode(STAYS).custom_flags(FOLDERS_TOO | AS_IT_IS);
        let file = options.open(&path)?;
        match Facts::of(&file)?.kind {
            FileKind::Folder => Ok(Self { file, path }),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn facts(&self) -> io::Result<Facts> {
        Facts::of(&self.file)
    }

    /// The path of something in it, if the folder's own path still leads to it.
    fn path_of(&self, name: &OsStr) -> io::Result<PathBuf> {
        if Facts::of_name(&self.path)?.id != self.facts()?.id {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(self.path.join(name))
    }

    pub(super) fn names(&self, most: usize) -> io::Result<Vec<(OsString, FileKind)>> {
        let here = self.path_of(OsStr::new(""))?;
        let named = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            let kind = match entry.file_type()? {
                kind if kind.is_file() => FileKind::File,
                kind if kind.is_dir() => FileKind::Folder,
                kind if kind.is_symlink() => FileKind::Link,
                _ => FileKind::Other,
            };
            Ok((entry.file_name(), kind))
        };
        fs::read_dir(here)?.take(most).map(named).collect()
    }

    pub(super) fn folder(&self, name: &OsStr) -> io::Result<Self> {
        Self::opened(self.path_of(name)?)
    }

    pub(super) fn file(&self, name: &OsStr, write: bool) -> io::Result<File> {
        let path = self.path_of(name)?;
        let mut options = OpenOptions::new();
        let file = options.read(true).write(write).custom_flags(AS_IT_IS).open(path)?;
        match Facts::of(&file)?.kind {
            FileKind::Link => Err(io::ErrorKind::InvalidFilename.into()),
            _ => Ok(file),
        }
    }

    pub(super) fn create_folder(&self, name: &OsStr) -> io::Result<()> {
        fs::create_dir(self.path_of(name)?)
    }

    pub(super) fn create_file(&self, name: &OsStr) -> io::Result<File> {
        let path = self.path_of(name)?;
        OpenOptions::new().read(true).write(true).create_new(true).open(path)
    }

    pub(super) fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_file(self.path_of(name)?)
    }

    pub(super) fn link(&self, name: &OsStr, to: &Self, new: &OsStr) -> io::Result<()> {
        fs::hard_link(self.path_of(name)?, to.path_of(new)?)
    }

    pub(super) fn rename(&self, name: &OsStr, to: &Self, new: &OsStr) -> io::Result<()> {
        rename_new(&self.path_of(name)?, &to.path_of(new)?)
    }

    pub(super) fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_dir(self.path_of(name)?)
    }

    pub(super) fn take_mode_of(&self, _: &Self) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn sync_disk(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

pub(super) fn make_executable(_file: &File) -> io::Result<()> {
    Ok(())
}
