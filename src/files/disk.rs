//! What partial files do to a disk, in one place: tests put a disk here that is full or broken, or
//! a computer that loses its power.
//!
//! What is only looked at goes to the file itself, for that cannot be lost.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
#[cfg(target_os = "linux")]
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

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
        #[cfg(target_os = "linux")]
        fallocate(file, FallocateFlags::KEEP_SIZE, offset, bytes)?;
        #[cfg(not(target_os = "linux"))]
        let _ = (file, offset, bytes);
        Ok(())
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
        File::open(folder)?.sync_all()
    }

    /// Gives a file another name in one step, which must not exist: nothing is ever replaced.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Some network disks cannot do it in one step; a hard link replaces nothing either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => link_new(from, to),
            renamed => Ok(renamed?),
        }
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

fn link_new(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)?;
    // The file has its name; a second, hidden one that stays behind takes no space.
    let _ = fs::remove_file(from);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::testing::write;

    #[test]
    fn a_name_that_is_taken_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let taken = write(dir.path(), "taken", b"old");
        let rename = |from: &Path, to: &Path| SystemDisk.rename(from, to);
        let ways: [fn(&Path, &Path) -> io::Result<()>; 2] = [rename, link_new];
        for publish in ways {
            let from = write(dir.path(), "from", b"new");
            let error = publish(&from, &taken).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            let to = dir.path().join("to");
            publish(&from, &to).unwrap();
            assert!(!from.exists());
            assert_eq!(fs::read(&to).unwrap(), b"new");
            fs::remove_file(&to).unwrap();
        }
        assert_eq!(fs::read(&taken).unwrap(), b"old");
    }
}
