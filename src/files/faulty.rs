//! A simulated disk that is full, broken or slow.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::SystemTime;

use super::disk::{Disk, SystemDisk};
use crate::sys::errors::Errno;
use crate::sys::files::Facts;

/// What goes wrong from now on.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Bytes that can still be written.
    pub(crate) room_bytes: Option<u64>,
    pub(crate) create: Option<Errno>,
    pub(crate) write: Option<Errno>,
    pub(crate) read: Option<Errno>,
    pub(crate) sync: Option<Errno>,
    pub(crate) rename: Option<Errno>,
    pub(crate) link: Option<Errno>,
    pub(crate) rename_over: Option<Errno>,
    pub(crate) exchange: Option<Errno>,
    pub(crate) lock: Option<Errno>,
    pub(crate) set_modified: Option<Errno>,
    /// The owner of all files.
    pub(crate) owner: Option<u32>,
    /// The number of a file that belongs to another user all the same.
    pub(crate) foreign: Option<u64>,
    /// Most bytes of a name.
    pub(crate) name_bytes: Option<usize>,
    /// Names with non-ASCII characters are refused.
    pub(crate) ascii: bool,
    /// Most bytes of a file.
    pub(crate) file_bytes: Option<u64>,
    /// Most bytes that one write takes; every third write is interrupted.
    pub(crate) most_bytes: Option<usize>,
    writes: u64,
}

/// A disk with faults that a test can change at any time.
#[derive(Debug, Default)]
pub(crate) struct FaultyDisk {
    faults: Mutex<Faults>,
}

impl FaultyDisk {
    pub(crate) fn change(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.faults.lock().unwrap());
    }
}

fn fail(errno: Option<Errno>) -> io::Result<()> {
    errno.map_or(Ok(()), |errno| Err(errno.into()))
}

impl Faults {
    /// Whether a file may have this name.
    fn name(&self, path: &Path) -> io::Result<()> {
        let name = path.file_name().unwrap().as_encoded_bytes();
        let long = self.name_bytes.is_some_and(|most| name.len() > most);
        fail(long.then_some(Errno::NAMETOOLONG))?;
        fail((self.ascii && !name.is_ascii()).then_some(Errno::INVAL))
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        let faults = self.faults.lock().unwrap();
        fail(faults.create)?;
        faults.name(path)?;
        SystemDisk.create(path)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut faults = self.faults.lock().unwrap();
        fail(faults.write)?;
        faults.writes += 1;
        if faults.most_bytes.is_some() && faults.writes.is_multiple_of(3) {
            return Err(Errno::INTR.into());
        }
        let mut length = bytes.len().min(faults.most_bytes.unwrap_or(usize::MAX));
        if let Some(room) = &mut faults.room_bytes {
            length = length.min(usize::try_from(*room).unwrap());
            *room -= length as u64;
            if length == 0 {
                return Err(Errno::NOSPC.into());
            }
        }
        SystemDisk.write_at(file, &bytes[..length], offset)
    }

    fn read_at(&self, file: &File, space: &mut [u8], offset: u64) -> io::Result<usize> {
        fail(self.faults.lock().unwrap().read)?;
        SystemDisk.read_at(file, space, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        fail(self.faults.lock().unwrap().sync)?;
        SystemDisk.sync(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let faults = self.faults.lock().unwrap();
        fail(faults.rename)?;
        faults.name(to)?;
        SystemDisk.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let faults = self.faults.lock().unwrap();
        fail(faults.link)?;
        faults.name(to)?;
        SystemDisk.link(from, to)
    }

    fn rename_over(&self, from: &Path, to: &Path) -> io::Result<()> {
        fail(self.faults.lock().unwrap().rename_over)?;
        SystemDisk.rename_over(from, to)
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        fail(self.faults.lock().unwrap().exchange)?;
        SystemDisk.exchange(one, other)
    }

    fn try_lock(&self, file: &File) -> Result<(), TryLockError> {
        match self.faults.lock().unwrap().lock {
            Some(errno) => Err(TryLockError::Error(errno.into())),
            None => SystemDisk.try_lock(file),
        }
    }

    fn owner(&self, file: &File) -> io::Result<u32> {
        let faults = self.faults.lock().unwrap();
        if faults.foreign == Some(Facts::of(file)?.id.number) {
            return Ok(u32::MAX - 1);
        }
        faults.owner.map_or_else(|| SystemDisk.owner(file), Ok)
    }

    fn set_modified(&self, file: &File, time: SystemTime) -> io::Result<()> {
        fail(self.faults.lock().unwrap().set_modified)?;
        SystemDisk.set_modified(file, time)
    }

    fn reaches(&self, file: &File, len: u64) -> io::Result<()> {
        let most = self.faults.lock().unwrap().file_bytes;
        fail(most.is_some_and(|most| len > most).then_some(Errno::FBIG))?;
        SystemDisk.reaches(file, len)
    }
}
