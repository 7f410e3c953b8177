//! All changes that partial files make to a disk, so that tests can simulate a full or broken disk,
//! or a power failure.
//!
//! Reads go to the file directly, because they cannot lose anything.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::path::Path;
use std::time::SystemTime;

use crate::sys::files::{self, Facts, Owner, Positional};

/// The changes that partial files need. Every method does what the system does.
pub trait Disk: Debug + Send + Sync {
    /// Creates a file that does not exist yet, for reading and writing.
    ///
    /// # Errors
    /// What the system says.
    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(path)
    }

    /// Writes a first part of `bytes` at `offset`; says how many.
    ///
    /// # Errors
    /// What the system says.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }

    /// Reads what is at `offset`, as much as comes; says how much.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, file: &File, space: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(space, offset)
    }

    /// Takes room for what is about to be written to a part of a file, of which nothing can be seen
    /// until then: a system that has not to find it page by page writes with less work. Where it
    /// cannot be done nothing is.
    ///
    /// # Errors
    /// What the system says, also that this disk cannot do it.
    fn take_room(&self, file: &File, offset: u64, bytes: u64) -> io::Result<()> {
        files::take_room(file, offset, bytes)
    }

    /// Cuts a file off, or makes it longer by a hole.
    ///
    /// # Errors
    /// What the system says.
    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    /// Returns once what was written to a file would outlive a loss of power. After an error
    /// nobody knows what of it does, even if it can still be read (P. Rebello et al., "Can
    /// Applications Recover from fsync Failures?", USENIX ATC 2020).
    ///
    /// # Errors
    /// What the system says.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    /// The same for the names in a folder.
    ///
    /// # Errors
    /// What the system says.
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        files::sync_folder(folder)
    }

    /// Gives a file another name in one step, which must not exist: nothing is ever replaced.
    ///
    /// # Errors
    /// What the system says, also that this disk cannot do it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        files::rename_new(from, to)
    }

    /// Gives a file a second name, which must not exist.
    ///
    /// # Errors
    /// What the system says, also that this disk cannot do it.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    /// Gives a file another name, in the place of the file that has it.
    ///
    /// # Errors
    /// What the system says.
    fn rename_over(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Holds a file against other programs, if none holds it.
    ///
    /// # Errors
    /// That somebody does, or what the system says, also that this disk cannot do it.
    fn try_lock(&self, file: &File) -> Result<(), TryLockError> {
        file.try_lock()
    }

    /// To whom a file belongs.
    ///
    /// # Errors
    /// What the system says.
    fn owner(&self, file: &File) -> io::Result<Owner> {
        Ok(Facts::of(file)?.owner)
    }

    /// Says when a file was last changed.
    ///
    /// # Errors
    /// What the system says, also that this disk or another owner does not allow it.
    fn set_modified(&self, file: &File, time: SystemTime) -> io::Result<()> {
        file.set_modified(time)
    }

    /// Whether a file can have this length here, as far as that is known without trying.
    ///
    /// # Errors
    /// That it cannot.
    fn reaches(&self, mut file: &File, len: u64) -> io::Result<()> {
        // Nothing reads or writes where the file's own position is.
        let sought = file.seek(SeekFrom::Start(len));
        sought.map(drop).map_err(|_| io::ErrorKind::FileTooLarge.into())
    }

    /// Removes a name.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// The disk that the system has.
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
