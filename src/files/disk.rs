//! All changes that partial files make to a disk, so that tests can simulate one that is full or
//! broken, or a power failure.
//!
//! Reads go directly to the file, because they cannot lose anything.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::path::Path;
use std::time::SystemTime;

use crate::sys::files::{self, Facts, Owner, Positional};

/// The changes that partial files need. Every default method does what the system does.
pub trait Disk: Debug + Send + Sync {
    /// Creates a file that does not exist yet, for reading and writing.
    ///
    /// # Errors
    /// The system's error.
    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(path)
    }

    /// Writes some of `bytes` at `offset`, from the first on; returns how many.
    ///
    /// # Errors
    /// The system's error.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }

    /// Reads what is at `offset`, as much as comes; returns how much.
    ///
    /// # Errors
    /// The system's error.
    fn read_at(&self, file: &File, space: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(space, offset)
    }

    /// Reserves space for a part of a file that is about to be written, without changing its
    /// content. Writing is then cheaper, as the system need not find space page by page. Does
    /// nothing where that is not possible.
    ///
    /// # Errors
    /// The system's error, also if this disk cannot do it.
    fn take_room(&self, file: &File, offset: u64, bytes: u64) -> io::Result<()> {
        files::take_room(file, offset, bytes)
    }

    /// Shortens a file, or extends it by a hole.
    ///
    /// # Errors
    /// The system's error.
    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    /// Returns once what was written to a file would survive a loss of power. After an error nobody
    /// knows how much of it would, even if it can still be read (P. Rebello et al., "Can
    /// Applications Recover from fsync Failures?", USENIX ATC 2020).
    ///
    /// # Errors
    /// The system's error.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    /// The same for the names in a folder.
    ///
    /// # Errors
    /// The system's error.
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        files::sync_folder(folder)
    }

    /// Renames a file in one step. The new name must not exist: nothing is ever replaced.
    ///
    /// # Errors
    /// The system's error, also if this disk cannot do it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        files::rename_new(from, to)
    }

    /// Gives a file a second name, which must not exist yet.
    ///
    /// # Errors
    /// The system's error, also if this disk cannot do it.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    /// Renames a file, replacing the file that has that name.
    ///
    /// # Errors
    /// The system's error.
    fn rename_over(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Exchanges two folders in one step.
    ///
    /// # Errors
    /// The system's error, also if this disk cannot do it.
    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        files::exchange(one, other)
    }

    /// Locks a file against other programs, unless one has it locked.
    ///
    /// # Errors
    /// That another program has it locked, or the system's error, also if this disk cannot do it.
    fn try_lock(&self, file: &File) -> Result<(), TryLockError> {
        file.try_lock()
    }

    /// Who owns a file.
    ///
    /// # Errors
    /// The system's error.
    fn owner(&self, file: &File) -> io::Result<Owner> {
        Ok(Facts::of(file)?.owner)
    }

    /// Sets the time of a file's last change.
    ///
    /// # Errors
    /// The system's error, also if this disk or another owner does not allow it.
    fn set_modified(&self, file: &File, time: SystemTime) -> io::Result<()> {
        file.set_modified(time)
    }

    /// Checks whether a file can have this length here, as far as that is known without trying.
    ///
    /// # Errors
    /// That it cannot.
    fn reaches(&self, mut file: &File, len: u64) -> io::Result<()> {
        // The file's own position is not used for reading or writing.
        let sought = file.seek(SeekFrom::Start(len));
        sought.map(drop).map_err(|_| io::ErrorKind::FileTooLarge.into())
    }

    /// Removes a name.
    ///
    /// # Errors
    /// The system's error.
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// The system's own disk.
#[derive(Debug, Clone, Copy)]
pub struct SystemDisk;

impl Disk for SystemDisk {}

/// Writes all of `bytes` at `offset`.
pub(super) fn write_all_at(
    disk: &dyn Disk,
    file: &File,
    mut bytes: &[u8],
    mut offset: u64,
) -> io::Result<()> {
    while !bytes.is_empty() {
        match disk.write_at(file, bytes, offset) {
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
