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

/// What a path or a handle refers to.
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

/// What distinguishes a file from all others on this computer, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The disk that holds it.
    pub device: u64,
    /// Its number there. The number of a removed file may be used again.
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
    /// Bytes that it takes up on the disk; holes take none. Windows: its length, holes or not.
    pub allocated_bytes: u64,
    /// Who owns it.
    pub owner: Owner,
    /// Whether its owner may execute it. Windows: false.
    pub is_executable: bool,
}

/// A user that can own files, by number. Windows: always 0, so all files count as this user's; what
/// others may do to them depends on the access lists of their folders.
pub type Owner = u32;

impl Facts {
    /// The facts of an open file.
    ///
    /// # Errors
    /// The system's error.
    pub fn of(file: &File) -> io::Result<Self> {
        system::facts_of(file)
    }

    /// The facts of what a path leads to, through symbolic links.
    ///
    /// # Errors
    /// The system's error, for instance if there is nothing.
    pub fn at(path: &Path) -> io::Result<Self> {
        system::facts_at(path)
    }

    /// The facts of the entry with this exact name: a symbolic link counts as itself.
    ///
    /// # Errors
    /// The system's error, for instance if there is nothing.
    pub fn of_name(path: &Path) -> io::Result<Self> {
        system::facts_of_name(path)
    }
}

/// The owner of files that this program makes.
#[must_use]
pub fn me() -> Owner {
    system::me()
}

/// Whether metadata, for instance of a folder's entry, belong to something of this user's. Windows:
/// always true, see [`Owner`].
#[must_use]
pub fn is_mine(metadata: &Metadata) -> bool {
    system::is_mine(metadata)
}

/// Reading and writing at a given offset of a file, so that threads can share it. Windows moves the
/// file's own position as well, which is then useless.
pub trait Positional {
    /// Reads what is at `offset`, as much as comes; returns how much. Nothing comes after the end.
    ///
    /// # Errors
    /// The system's error.
    fn read_at(&self, space: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes some of `bytes` at `offset`, from the first on; returns how many.
    ///
    /// # Errors
    /// The system's error.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Reads into several places, one after another, as much as comes; returns how much. A single
    /// system call, if the system has one for that.
    ///
    /// # Errors
    /// The system's error.
    fn read_vectored_at(&self, space: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize>;

    /// Fills `space` with what is at `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before; the system's error.
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
    /// `WriteZero` if the system takes no more; the system's error.
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

/// Reserves disk space for `bytes` bytes from `offset`, without changing the file's content. Does
/// nothing except on Linux, because it only saves work.
///
/// # Errors
/// The system's error, also if this disk cannot do it.
pub fn take_room(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    system::take_room(file, offset, bytes)
}

/// Lets `to`, which is empty, share the bytes of `from` on the disk until one of them changes.
///
/// # Errors
/// The system's error, also if this disk cannot do it; `Unsupported` except on Linux.
pub fn clone_bytes(from: &File, to: &File) -> io::Result<()> {
    system::clone_bytes(from, to)
}

/// Renames a file in one step. The new name must not exist: nothing is ever replaced.
///
/// # Errors
/// `AlreadyExists`; the system's error, also if this disk cannot do it.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    system::rename_new(from, to)
}

/// Exchanges what lies at two paths of one disk, in one step.
///
/// # Errors
/// The system's error, also if this system or disk cannot do it.
pub fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    system::exchange(one, other)
}

/// Returns once the names in a folder would survive a loss of power. Does nothing on Windows, which
/// has no such call and keeps a journal of names.
///
/// # Errors
/// The system's error.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    system::sync_folder(folder)
}

/// Opens a folder in order to lock it. Windows opens it, but cannot lock folders.
///
/// # Errors
/// The system's error.
pub fn open_folder(folder: &Path) -> io::Result<File> {
    system::open_folder(folder)
}

/// Opens what a path leads to for reading; never waits for the other end of a pipe, and makes no
/// terminal the program's own.
///
/// # Errors
/// The system's error.
pub fn open_quietly(path: &Path) -> io::Result<File> {
    system::open_quietly(path)
}

/// The same for the entry with this exact name, and if `write` for writing too. A symbolic link is
/// not followed: that is an error, or (Windows) what is opened is not a regular file.
///
/// # Errors
/// The system's error.
pub fn open_as_it_is(path: &Path, write: bool) -> io::Result<File> {
    system::open_as_it_is(path, write)
}

/// Files made with these options are for their owner only (mode 0600). Windows: for whoever may use
/// the folder.
pub fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    system::private(options)
}

/// Makes a folder, and missing ones above it, for their owner only (mode 0700); existing ones stay
/// as they are. Windows: for whoever may use the folder above.
///
/// # Errors
/// The system's error.
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    system::make_private_folder(path)
}

/// Makes a folder in `base`, with a name that begins with `prefix`, for its owner only (mode 0700);
/// dropping it removes it with its content. Windows: for whoever may use `base`.
///
/// # Errors
/// The system's error.
pub fn make_temporary_folder(base: &Path, prefix: &str) -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    system::private_folders(builder.prefix(prefix)).tempdir_in(base)
}

/// Bytes that this user can still write on the disk with this folder.
///
/// # Errors
/// The system's error; `Unsupported` on Windows, which is not asked.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    system::free_bytes(folder)
}
