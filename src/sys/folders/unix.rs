//! Open folders on POSIX systems: calls relative to a descriptor.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, linkat, mkdirat, openat, renameat_with,
    statat, unlinkat,
};
use rustix::io::Errno;

use crate::sys::files::{Facts, FileKind};

/// How a folder is opened.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

#[derive(Debug)]
pub(super) struct FolderHandle(File);

impl FolderHandle {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(openat(CWD, path, FOLDER, Mode::empty())?.into()))
    }

    pub(super) fn facts(&self) -> io::Result<Facts> {
        Facts::of(&self.0)
    }

    pub(super) fn names(&self, most: usize) -> io::Result<Vec<(OsString, FileKind)>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if names.len() == most {
                break;
            }
            let name = OsStr::from_bytes(name);
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    let flags = AtFlags::SYMLINK_NOFOLLOW;
                    FileType::from_raw_mode(statat(&self.0, name, flags)?.st_mode)
                }
                known => known,
            };
            names.push((name.to_owned(), kind_of(kind)));
        }
        Ok(names)
    }

    pub(super) fn folder(&self, name: &OsStr) -> io::Result<Self> {
        let flags = FOLDER | OFlags::NOFOLLOW;
        let folder = openat(&self.0, name, flags, Mode::empty()).map_err(refused)?;
        Ok(Self(folder.into()))
    }

    pub(super) fn file(&self, name: &OsStr, write: bool) -> io::Result<File> {
        let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
        let quietly = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        Ok(openat(&self.0, name, access | quietly, Mode::empty()).map_err(refused)?.into())
    }

    pub(super) fn create_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(mkdirat(&self.0, name, 0o777.into())?)
    }

    pub(super) fn create_file(&self, name: &OsStr) -> io::Result<File> {
        let new = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let flags = new | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.0, name, flags, 0o666.into())?.into())
    }

    pub(super) fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, AtFlags::empty())?)
    }

    pub(super) fn link(&self, name: &OsStr, to: &Self, new: &OsStr) -> io::Result<()> {
        Ok(linkat(&self.0, name, &to.0, new, AtFlags::empty())?)
    }

    pub(super) fn rename(&self, name: &OsStr, to: &Self, new: &OsStr) -> io::Result<()> {
        Ok(renameat_with(&self.0, name, &to.0, new, RenameFlags::NOREPLACE)?)
    }

    pub(super) fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    pub(super) fn take_mode_of(&self, other: &Self) -> io::Result<()> {
        let mode = |of: &File| Ok::<_, io::Error>(of.metadata()?.permissions().mode() & 0o777);
        // Its owner has to be able to work in it.
        let wanted = mode(&other.0)? | 0o700;
        // A disk without modes has the same one for all.
        if mode(&self.0)? == wanted {
            Ok(())
        } else {
            self.0.set_permissions(Permissions::from_mode(wanted))
        }
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    #[cfg(target_os = "linux")]
    pub(super) fn sync_disk(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.0)?)
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn sync_disk(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Why something was not opened: some systems report a link as a loop.
fn refused(errno: Errno) -> io::Error {
    if errno == Errno::LOOP { io::ErrorKind::InvalidFilename.into() } else { errno.into() }
}

fn kind_of(kind: FileType) -> FileKind {
    match kind {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Folder,
        FileType::Symlink => FileKind::Link,
        FileType::Fifo => FileKind::Pipe,
        FileType::Socket => FileKind::Socket,
        FileType::CharacterDevice | FileType::BlockDevice => FileKind::Device,
        FileType::Unknown => FileKind::Other,
    }
}

pub(super) fn make_executable(file: &File) -> io::Result<()> {
    let mode = file.metadata()?.permissions().mode();
    file.set_permissions(Permissions::from_mode(mode | (mode & 0o444) >> 2))
}
