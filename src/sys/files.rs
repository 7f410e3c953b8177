//! Files: their identity, positional reads and writes, renaming, and access rights.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, IoSliceMut};
use std::path::Path;

use tempfile::TempDir;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as system;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as system;

/// What a path or a handle leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A named pipe.
    Pipe,
    /// A local socket.
    Socket,
    /// A device.
    Device,
    /// Something else.
    Other,
}

/// What tells a file apart from all others of this computer, under whatever name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The disk that holds it.
    pub device: u64,
    /// Its number there. That of a file that is gone may be given again.
    pub number: u64,
}

/// The system's facts about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// What it is.
    pub kind: FileKind,
    /// Length in bytes.
    pub len: u64,
    /// Time of the last modification, in nanoseconds since 1970.
    pub modified_ns: i128,
    /// Which file it is.
    pub id: FileId,
    /// How many names it has; some disks count none.
    pub names: u64,
    /// Bytes that it takes on the disk; holes take none. Windows: its length, holes or not.
    pub allocated_bytes: u64,
    /// To whom it belongs.
    pub owner: Owner,
    /// Whether its owner may execute it. Windows: false.
    pub is_executable: bool,
}

/// Somebody to whom files can belong: the number of a user. Windows: always 0, so that all files
/// count as the own ones; what others may do to them is up to the lists of their folders.
pub type Owner = u32;

impl Facts {
    /// Of an open file.
    ///
    /// # Errors
    /// The system's error.
    pub fn of(file: &File) -> io::Result<Self> {
        system::facts_of(file)
    }

    /// Of what a path leads to, through symbolic links.
    ///
    /// # Errors
    /// The system's error, for instance when nothing is there.
    pub fn at(path: &Path) -> io::Result<Self> {
        system::facts_at(path)
    }

    /// Of the entry with this very name: a symbolic link counts as itself.
    ///
    /// # Errors
    /// The system's error, for instance when nothing is there.
    pub fn of_name(path: &Path) -> io::Result<Self> {
        system::facts_of_name(path)
    }
}

/// Whom the files belong to that this program makes.
#[must_use]
pub fn me() -> Owner {
    system::me()
}

/// Whether metadata, of an entry of a folder for instance, are of something of this user's.
/// Windows: always true, see [`Owner`].
#[must_use]
pub fn is_mine(metadata: &Metadata) -> bool {
    system::is_mine(metadata)
}

/// Reading and writing at a place of a file that the call names, so that threads can share it.
/// Windows moves the file's own position along, which is then of no use.
pub trait Positional {
    /// Reads what is at `offset`, as much as comes; says how much. Nothing comes behind the end.
    ///
    /// # Errors
    /// The system's error.
    fn read_at(&self, space: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes a first part of `bytes` at `offset`; says how many.
    ///
    /// # Errors
    /// The system's error.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Reads into several places, one behind the other, as much as comes; says how much. One call
    /// of the system where it has such a call.
    ///
    /// # Errors
    /// The system's error.
    fn read_vectored_at(&self, space: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize>;

    /// Fills `space` with what is at `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` where the file ends before; what the system says.
    fn read_exact_at(&self, mut space: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !space.is_empty() {
            match self.read_at(space, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    space = space.get_mut(read..).unwrap_or_default();
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// `WriteZero` where the system takes nothing more; what the system says.
    fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Reserves disk space for `bytes` bytes from `offset`; the file looks the same as before. Does
/// nothing except on Linux, because it only saves work.
///
/// # Errors
/// The system's error, also when this disk cannot do it.
pub fn take_room(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    system::take_room(file, offset, bytes)
}

/// Lets `to`, which is empty, share the bytes of `from` on the disk until one of them is changed.
///
/// # Errors
/// The system's error, also when this disk cannot do it; `Unsupported` elsewhere than on Linux.
pub fn clone_bytes(from: &File, to: &File) -> io::Result<()> {
    system::clone_bytes(from, to)
}

/// Gives a file another name in one step, which must not exist: nothing is ever replaced.
///
/// # Errors
/// `AlreadyExists`; what the system says, also that this disk cannot do it.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    system::rename_new(from, to)
}

/// Returns once the names in a folder would outlive a loss of power. Windows cannot be asked for
/// that and keeps a journal of names: nothing is done there.
///
/// # Errors
/// The system's error.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    system::sync_folder(folder)
}

/// Opens a folder to lock it. Windows opens it and locks no folders.
///
/// # Errors
/// The system's error.
pub fn open_folder(folder: &Path) -> io::Result<File> {
    system::open_folder(folder)
}

/// Opens for reading what a path leads to; never waits for the other end of a pipe, and makes no
/// terminal the program's own.
///
/// # Errors
/// The system's error.
pub fn open_quietly(path: &Path) -> io::Result<File> {
    system::open_quietly(path)
}

/// The same for what bears this very name, and for writing too if so wanted. A symbolic link is
/// not followed: that is an error, or (Windows) what is opened is no regular file.
///
/// # Errors
/// The system's error.
pub fn open_as_it_is(path: &Path, write: bool) -> io::Result<File> {
    system::open_as_it_is(path, write)
}

/// A file that these options make is for its owner alone (mode 0600). Windows: it is for whom its
/// folder is.
pub fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    system::private(options)
}

/// Makes a folder and those above it that are missing, for their owner alone (mode 0700); one that
/// is there stays as it is. Windows: they are for whom the folder above is.
///
/// # Errors
/// The system's error.
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    system::make_private_folder(path)
}

/// Makes a folder in `base`, whose name begins with `prefix`, for its owner alone (mode 0700); it
/// goes with what is in it when it is dropped. Windows: it is for whom `base` is.
///
/// # Errors
/// The system's error.
pub fn make_temporary_folder(base: &Path, prefix: &str) -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    system::private_folders(builder.prefix(prefix)).tempdir_in(base)
}

/// Bytes that this user can still write on the disk that holds a folder.
///
/// # Errors
/// The system's error; `Unsupported` on Windows, where it is not asked.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    system::free_bytes(folder)
}
