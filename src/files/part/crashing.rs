//! A simulated power failure: unsynced data may be lost, page by page.
//!
//! Files are real, so that written data can be read as from a system's cache; a copy of each is
//! what the disk would hold.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use crate::files::disk::{Disk, SystemDisk};
use crate::router::rng::Rng;
use crate::sys::errors::Errno;
use crate::sys::files::Facts;

/// The unit in which a system writes to a disk.
const PAGE: usize = 4_096;

/// A renaming that is not on disk yet.
#[derive(Debug)]
enum Renaming {
    Create(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

/// A change to a file that is not on disk yet.
#[derive(Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

#[derive(Debug, Default)]
struct Stored {
    on_disk: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Debug, Default)]
struct CrashState {
    /// By inode.
    files: BTreeMap<u64, Stored>,
    names_on_disk: BTreeMap<PathBuf, u64>,
    renamings: Vec<Renaming>,
    /// Changes until the power fails.
    power: u64,
    /// Syncs that fail from now on, each losing what it should write.
    failing_syncs: u32,
}

/// The computer, from its start until its power fails.
#[derive(Debug)]
pub(super) struct Computer {
    state: Mutex<CrashState>,
}

impl Computer {
    /// Starts with the content of `folder`, and runs for `power` changes.
    pub(super) fn boot(folder: &Path, power: u64) -> Self {
        let mut state = CrashState { power, ..CrashState::default() };
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let (inode, on_disk) = (Facts::at(&path).unwrap().id.number, fs::read(&path).unwrap());
            state.files.insert(inode, Stored { on_disk, changes: Vec::new() });
            state.names_on_disk.insert(path, inode);
        }
        Self { state: Mutex::new(state) }
    }

    /// Makes the next syncs fail, this many.
    pub(super) fn fail_syncs(&self, count: u32) {
        self.state.lock().unwrap().failing_syncs = count;
    }

    /// Leaves in the folder `to` what may be found when the power is back.
    pub(super) fn crash(&self, rng: &mut Rng, to: &Path) {
        let mut state = self.state.lock().unwrap();
        state.power = 0;
        let mut names = state.names_on_disk.clone();
        let kept = rng.below(state.renamings.len() as u64 + 1) as usize;
        for renaming in &state.renamings[..kept] {
            match renaming {
                Renaming::Create(path, inode) => drop(names.insert(path.clone(), *inode)),
                Renaming::Remove(path) => drop(names.remove(path)),
                Renaming::Rename(from, to) => {
                    let inode = names.remove(from).unwrap();
                    names.insert(to.clone(), inode);
                }
            }
        }
        for (path, inode) in names {
            let bytes = state.files[&inode].after_crash(rng);
            fs::write(to.join(path.file_name().unwrap()), bytes).unwrap();
        }
    }

    /// The state, if there is power for one more change.
    fn powered(&self) -> io::Result<MutexGuard<'_, CrashState>> {
        let mut state = self.state.lock().unwrap();
        state.power = state.power.checked_sub(1).ok_or_else(broken)?;
        Ok(state)
    }
}

impl Stored {
    /// Everything is written.
    fn sync(&mut self) {
        for change in self.changes.drain(..) {
            change.apply(&mut self.on_disk, |_| true);
        }
    }

    /// Any pages may have been written, in any order, and the length before them.
    fn after_crash(&self, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = self.on_disk.clone();
        let written = rng.below(4);
        for change in &self.changes {
            change.apply(&mut bytes, |_| rng.below(4) < written + 1);
        }
        let longest = self.changes.iter().fold(bytes.len(), |longest, change| match change {
            Change::Write(offset, data) => longest.max(*offset as usize + data.len()),
            Change::Length(_) => longest,
        });
        if rng.below(2) == 0 {
            bytes.resize(longest, 0);
        }
        bytes
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>, mut is_written: impl FnMut(usize) -> bool) {
        match self {
            Self::Length(len) => bytes.resize(*len as usize, 0),
            Self::Write(offset, data) => {
                let mut at = *offset as usize;
                let mut rest = &data[..];
                while !rest.is_empty() {
                    let (page, after) = rest.split_at(rest.len().min(PAGE - at % PAGE));
                    if is_written(at / PAGE) {
                        bytes.resize(bytes.len().max(at + page.len()), 0);
                        bytes[at..at + page.len()].copy_from_slice(page);
                    }
                    at += page.len();
                    rest = after;
                }
            }
        }
    }
}

fn broken() -> io::Error {
    Errno::IO.into()
}

fn inode(file: &File) -> u64 {
    Facts::of(file).unwrap().id.number
}

impl Disk for Computer {
    fn create(&self, path: &Path) -> io::Result<File> {
        let mut state = self.powered()?;
        let file = SystemDisk.create(path)?;
        // A removed file's inode number may be used again.
        state.files.insert(inode(&file), Stored::default());
        state.renamings.push(Renaming::Create(path.to_owned(), inode(&file)));
        Ok(file)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.powered()?;
        let written = SystemDisk.write_at(file, bytes, offset)?;
        let stored = state.files.entry(inode(file)).or_default();
        stored.changes.push(Change::Write(offset, bytes[..written].to_vec()));
        Ok(written)
    }

    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        let mut state = self.powered()?;
        SystemDisk.set_len(file, len)?;
        state.files.entry(inode(file)).or_default().changes.push(Change::Length(len));
        Ok(())
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let mut state = self.powered()?;
        let fails = state.failing_syncs > 0;
        state.failing_syncs = state.failing_syncs.saturating_sub(1);
        let stored = state.files.entry(inode(file)).or_default();
        if fails {
            // The system gives up what it could not write, and counts it as written.
            stored.changes.clear();
            return Err(broken());
        }
        stored.sync();
        Ok(())
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        let mut state = self.powered()?;
        for renaming in std::mem::take(&mut state.renamings) {
            let names = &mut state.names_on_disk;
            match renaming {
                Renaming::Create(path, inode) => drop(names.insert(path, inode)),
                Renaming::Remove(path) => drop(names.remove(&path)),
                Renaming::Rename(from, to) => {
                    let inode = names.remove(&from).unwrap();
                    names.insert(to, inode);
                }
            }
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.powered()?;
        SystemDisk.rename(from, to)?;
        state.renamings.push(Renaming::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.powered()?;
        SystemDisk.remove(path)?;
        state.renamings.push(Renaming::Remove(path.to_owned()));
        Ok(())
    }
}
