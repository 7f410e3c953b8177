//! A disk that is full, broken or slow to take what it is given.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Mutex;

use rustix::io::Errno;

use super::disk::{Disk, SystemDisk};

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
    /// A write takes so many bytes at most, and every third is interrupted.
    pub(crate) most_bytes: Option<usize>,
    writes: u64,
}

/// A disk with faults that a test may change at any time.
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

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        fail(self.faults.lock().unwrap().create)?;
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
        fail(self.faults.lock().unwrap().rename)?;
        SystemDisk.rename(from, to)
    }
}
