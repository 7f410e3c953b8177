//! The tree of a folder that is received: each component is opened from the folder above it, and
//! what is found there instead of klatch's own is neither followed nor written to.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use super::{FolderPlan, GoOn, Staging, lock_of, tree_of};
use crate::files::disk::{Disk, write_all_at};
use crate::files::folder::manifest::{ListedFile, ManifestEntry};
use crate::files::folder::paths::{LocalPaths, TOP};
use crate::files::hash::BUFFER_BYTES;
use crate::files::merkle::FileTree;
use crate::files::part::PartError;
use crate::sys::files::{Facts, FileId, FileKind, clone_bytes, me};
use crate::sys::folders::{FolderHandle, make_executable};

/// Folders, and as many long files, that are kept open.
const OPEN_MAX: usize = 64;
/// Entries that are looked at when a folder is removed.
pub(super) const LOOKED_AT: usize = 1 << 20;
/// Disks keep times as coarsely as this.
const TIMES_APART: Duration = Duration::from_secs(2);

/// The tree on the disk.
#[derive(Debug)]
pub(super) struct StagedTree {
    dir: PathBuf,
    name: OsString,
    path: PathBuf,
    /// Which folder it is.
    id: FileId,
    /// Folders that are open, by their numbers.
    open: Mutex<HashMap<u32, Arc<FolderHandle>>>,
    long: Mutex<LongFiles>,
}

/// Files of several units that were begun.
#[derive(Debug, Default)]
struct LongFiles {
    all: HashMap<u32, Arc<Mutex<LongFile>>>,
    /// Those that are open.
    open: Vec<u32>,
}

impl LongFiles {
    fn close(&mut self) {
        for long in self.open.drain(..).filter_map(|entry| self.all.get(&entry)) {
            lock_of(long).file = None;
        }
    }
}

impl StagedTree {
    /// Opens the folder with this name in `dir`, or makes it; `None` when something else, or
    /// somebody else's, has the name.
    pub(super) fn open(dir: &Path, name: OsString) -> io::Result<Option<Self>> {
        let above = FolderHandle::open(dir)?;
        match above.create_folder(&name) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let Ok(top) = above.folder(&name) else { return Ok(None) };
        let facts = top.facts()?;
        if facts.owner != me() && facts.owner != above.facts()?.owner {
            return Ok(None);
        }
        Ok(Some(Self {
            dir: dir.to_owned(),
            path: dir.join(&name),
            name,
            id: facts.id,
            open: Mutex::default(),
            long: Mutex::default(),
        }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still leads to this folder, and not through a link.
    pub(super) fn in_place(&self) -> bool {
        Facts::of_name(&self.path)
            .is_ok_and(|facts| facts.kind == FileKind::Folder && facts.id == self.id)
    }

    /// Opens one of the folders in it, and makes those on the way that are missing.
    ///
    /// # Errors
    /// The system's error, also when something else is in its place.
    pub(super) fn folder(&self, paths: &LocalPaths, number: u32) -> io::Result<Arc<FolderHandle>> {
        if let Some(folder) = lock_of(&self.open).get(&number) {
            return Ok(Arc::clone(folder));
        }
        let folder = if number == TOP {
            self.top()?
        } else {
            let local = paths.folders().get(number as usize).ok_or(io::ErrorKind::NotFound)?;
            let above = self.folder(paths, local.parent)?;
            open_or_make(&above, OsStr::new(&*local.name))?
        };
        let folder = Arc::new(folder);
        let mut open = lock_of(&self.open);
        if open.len() >= OPEN_MAX {
            open.clear();
        }
        open.insert(number, Arc::clone(&folder));
        Ok(folder)
    }

    pub(super) fn top(&self) -> io::Result<FolderHandle> {
        let top = FolderHandle::open(&self.dir)?.folder(&self.name)?;
        match top.facts()?.id == self.id {
            true => Ok(top),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Closes everything, since some systems rename no folder in which something is open.
    pub(super) fn close(&self) {
        lock_of(&self.open).clear();
        lock_of(&self.long).close();
    }

    /// The folder and the name of an entry.
    pub(super) fn place<'a>(
        &self,
        plan: &'a FolderPlan,
        entry: u32,
        listed: &'a ManifestEntry,
    ) -> io::Result<(Arc<FolderHandle>, &'a OsStr)> {
        let place = plan.paths.place(entry, &listed.path);
        let (folder, name) = place.ok_or(io::ErrorKind::NotFound)?;
        Ok((self.folder(&plan.paths, folder)?, OsStr::new(name)))
    }

    /// Makes a file anew: what had its name is removed, and never written to.
    pub(super) fn create(
        &self,
        plan: &FolderPlan,
        entry: u32,
        listed: &ManifestEntry,
    ) -> io::Result<File> {
        let (folder, name) = self.place(plan, entry, listed)?;
        let file = match folder.create_file(name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                folder.remove_file(name)?;
                folder.create_file(name)?
            }
            created => created?,
        };
        if plan.exec && listed.file.is_some_and(|file| file.executable) {
            make_executable(&file)?;
        }
        Ok(file)
    }

    /// Opens a file of an earlier run: a regular one of this user's, under this name only.
    pub(super) fn open_own(
        &self,
        plan: &FolderPlan,
        entry: u32,
        listed: &ManifestEntry,
        write: bool,
    ) -> io::Result<File> {
        let (folder, name) = self.place(plan, entry, listed)?;
        let file = folder.file(name, write)?;
        let facts = Facts::of(&file)?;
        let own = facts.owner == me() || facts.owner == folder.facts()?.owner;
        match facts.kind == FileKind::File && facts.names <= 1 && own {
            true => Ok(file),
            false => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Gives a file the time of the manifest, as far as the disk takes it.
    pub(super) fn date(&self, disk: &dyn Disk, file: &File, listed: &ListedFile) {
        if let Some(time) = time_of(listed.modified_s) {
            let _ = disk.set_modified(file, time);
        }
    }

    /// Copies a file to the place of an entry; gives its tree if it has the length listed, and
    /// `go_on` does not say no.
    pub(super) fn copy(
        &self,
        (disk, plan): (&dyn Disk, &FolderPlan),
        (entry, listed): (u32, &ManifestEntry),
        from: &File,
        go_on: GoOn<'_>,
    ) -> io::Result<Option<FileTree>> {
        let Some(facts) = listed.file else { return Ok(None) };
        if from.metadata()?.len() != facts.size {
            return Ok(None);
        }
        let to = self.create(plan, entry, listed)?;
        copy_bytes(disk, from, &to, (facts.size, go_on))?;
        let tree = match tree_of(&to, facts.size, go_on) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(None),
            tree => tree?,
        };
        self.date(disk, &to, &facts);
        Ok(Some(tree))
    }

    /// Removes the file of an entry, if there is one.
    pub(super) fn remove(&self, plan: &FolderPlan, entry: u32, listed: &ManifestEntry) {
        if let Ok((folder, name)) = self.place(plan, entry, listed) {
            let _ = folder.remove_file(name);
        }
    }

    /// Whether nothing is in it, as far as that can be seen.
    pub(super) fn is_empty(&self) -> bool {
        self.top().and_then(|top| top.names(1)).is_ok_and(|names| names.is_empty())
    }

    /// Removes the whole folder.
    pub(super) fn remove_all(&self) -> io::Result<()> {
        self.close();
        remove_in(&self.top()?)?;
        FolderHandle::open(&self.dir)?.remove_folder(&self.name)
    }

    /// Bytes that the files in it take up on the disk.
    pub(super) fn allocated_bytes(&self) -> io::Result<u64> {
        allocated_in(&self.top()?)
    }

    /// Begins a file of several units anew.
    pub(super) fn forget(&self, entry: u32) {
        let mut files = lock_of(&self.long);
        files.all.remove(&entry);
        files.open.retain(|open| *open != entry);
    }

    /// A file of several units, if it was begun.
    pub(super) fn begun(&self, entry: u32) -> Option<Arc<Mutex<LongFile>>> {
        lock_of(&self.long).all.get(&entry).map(Arc::clone)
    }

    /// Whether others may have changed a file of several units.
    pub(super) fn is_meddled(&self, entry: u32) -> bool {
        self.begun(entry).is_some_and(|long| lock_of(&long).meddled)
    }

    /// A file of several units, opened or made.
    pub(super) fn long_file(
        &self,
        staging: &Staging,
        entry: u32,
        listed: &ManifestEntry,
    ) -> Result<Arc<Mutex<LongFile>>, PartError> {
        let mut files = lock_of(&self.long);
        let long = Arc::clone(files.all.entry(entry).or_default());
        if lock_of(&long).file.is_some() {
            return Ok(long);
        }
        if files.open.len() >= OPEN_MAX {
            files.close();
        }
        let mut held = lock_of(&long);
        held.entry = entry;
        let opened = self.open_long(&*staging.disk, &staging.plan, &mut held, listed);
        held.file = Some(Arc::new(opened.map_err(|error| staging.failed("create", error))?));
        drop(held);
        files.open.push(entry);
        Ok(long)
    }

    fn open_long(
        &self,
        disk: &dyn Disk,
        plan: &FolderPlan,
        long: &mut LongFile,
        listed: &ManifestEntry,
    ) -> io::Result<File> {
        let facts = listed.file.ok_or(io::ErrorKind::NotFound)?;
        let file = match self.open_own(plan, long.entry, listed, true) {
            Ok(file) => file,
            Err(_) if long.began => return Err(io::ErrorKind::NotFound.into()),
            Err(_) => self.create(plan, long.entry, listed)?,
        };
        disk.reaches(&file, facts.size)?;
        if file.metadata()?.len() > facts.size {
            disk.set_len(&file, facts.size)?;
            long.meddled |= long.began;
        }
        if long.began {
            long.meddled |= file.metadata()?.modified().ok() != long.shown;
        } else {
            long.listed = Some(facts);
            long.mark(disk, &file);
        }
        long.began = true;
        Ok(file)
    }
}

/// A file of several units. Between klatch's own changes it has the time of the manifest: if
/// another program changes it, that shows.
#[derive(Debug, Default)]
pub(super) struct LongFile {
    entry: u32,
    file: Option<Arc<File>>,
    listed: Option<ListedFile>,
    /// It was opened once.
    began: bool,
    /// Its time, as the disk gives it back.
    shown: Option<SystemTime>,
    /// Others may have changed it.
    pub(super) meddled: bool,
    /// Bytes that were written since a sync began, and whether one runs or is about to.
    pub(super) unsynced_bytes: u64,
    pub(super) is_syncing: bool,
}

/// A long file that is open and held.
pub(super) struct HeldFile<'a> {
    long: MutexGuard<'a, LongFile>,
    disk: &'a dyn Disk,
    file: Arc<File>,
}

impl LongFile {
    /// Holds the file, and opens it for this time where it was closed for others.
    pub(super) fn held<'a>(
        long: &'a Mutex<Self>,
        staging: &'a Staging,
    ) -> Result<HeldFile<'a>, PartError> {
        let mut long = lock_of(long);
        let Staging { plan, tree, disk, .. } = staging;
        let open = |long: &mut Self| {
            let listed = plan.manifest.entry(long.entry).ok_or(io::ErrorKind::NotFound)?;
            tree.open_long(&**disk, plan, long, &listed).map(Arc::new)
        };
        let file = match &long.file {
            Some(file) => Arc::clone(file),
            None => open(&mut long).map_err(|error| staging.failed("write", error))?,
        };
        Ok(HeldFile { long, disk: &**disk, file })
    }

    /// The file, if it is open.
    pub(super) fn handle(&self) -> Option<Arc<File>> {
        self.file.clone()
    }

    fn mark(&mut self, disk: &dyn Disk, file: &File) {
        let time = self.listed.and_then(|listed| time_of(listed.modified_s));
        let set = time.is_some_and(|time| disk.set_modified(file, time).is_ok());
        self.shown = file.metadata().and_then(|metadata| metadata.modified()).ok();
        // Where no time can be set nothing can be told: all is hashed again.
        self.meddled |= !set;
    }
}

impl HeldFile<'_> {
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Writes bytes, and looks before whether others changed the file.
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let Self { long, disk, file } = self;
        let shown = file.metadata().and_then(|metadata| metadata.modified()).ok();
        long.meddled |= shown != long.shown;
        long.unsynced_bytes += bytes.len() as u64;
        let written = write_all_at(*disk, file, bytes, offset);
        long.mark(*disk, file);
        written
    }
}

/// Opens a folder in another, and makes it if there is none.
fn open_or_make(above: &FolderHandle, name: &OsStr) -> io::Result<FolderHandle> {
    match above.folder(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    match above.create_folder(name) {
        // Another thread was faster.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => above.folder(name),
    }
}

/// Removes what is in a folder; links go as they are.
pub(super) fn remove_in(folder: &FolderHandle) -> io::Result<()> {
    for (name, kind) in folder.names(LOOKED_AT)? {
        match kind {
            FileKind::Folder => {
                remove_in(&folder.folder(&name)?)?;
                folder.remove_folder(&name)?;
            }
            _ => folder.remove_file(&name)?,
        }
    }
    Ok(())
}

/// Bytes that files in a folder take up on the disk.
fn allocated_in(folder: &FolderHandle) -> io::Result<u64> {
    let mut bytes = 0;
    for (name, kind) in folder.names(LOOKED_AT)? {
        bytes += match kind {
            FileKind::Folder => allocated_in(&folder.folder(&name)?)?,
            FileKind::File => Facts::of(&folder.file(&name, false)?)?.allocated_bytes,
            _ => 0,
        };
    }
    Ok(bytes)
}

/// Copies a file that has this length through the disk, whose faults tests simulate.
pub(super) fn copy_bytes(
    disk: &dyn Disk,
    from: &File,
    to: &File,
    (len, go_on): (u64, GoOn<'_>),
) -> io::Result<()> {
    if clone_bytes(from, to).is_ok() {
        return Ok(());
    }
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut offset = 0;
    while offset < len && go_on() {
        match disk.read_at(from, &mut buffer, offset) {
            Ok(0) => break,
            Ok(read) => {
                let bytes = buffer.get(..read).unwrap_or_default();
                write_all_at(disk, to, bytes, offset)?;
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A time in seconds since 1970, as far as the system knows it.
pub(crate) fn time_of(seconds: i64) -> Option<SystemTime> {
    let apart = Duration::from_secs(seconds.unsigned_abs());
    match seconds < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(apart),
        false => SystemTime::UNIX_EPOCH.checked_add(apart),
    }
}

/// Whether a file still has the time that it was given, as its disk keeps it.
pub(in crate::files::folder) fn has_time(modified_ns: i128, seconds: i64) -> bool {
    let apart = (modified_ns - i128::from(seconds) * 1_000_000_000).unsigned_abs();
    apart <= TIMES_APART.as_nanos()
}
