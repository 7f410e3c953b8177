//! From the last unit to a name: copies, what is empty, a last look, syncs, a rename.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::tree::has_time;
use super::{GoOn, Staging, lock_of, root_of};
use crate::files::folder::manifest::ManifestEntry;
use crate::files::folder::paths::TOP;
use crate::files::folder::units::EntrySource;
use crate::files::names::download_name;
use crate::files::part::PartError;
use crate::files::publish::publish_folder;
use crate::files::source::Stamp;
use crate::sys::files::Facts;
use crate::sys::folders::make_executable;
use crate::thread::{STACK_SMALL_BYTES, spawn_scoped};

/// Up to so many files are synced one by one: more, and all of the disk is.
const SYNCED_ALONE: u32 = 256;
/// Threads that sync files and folders: disks take many syncs at once.
const SYNC_THREADS: u32 = 8;
/// Folders and files that a thread takes at a time.
const STEP: u32 = 32;

impl Staging {
    /// Gives the complete folder its name in the folder of downloads, `<stamp>_<safe name>`, or
    /// with ` (2)` and so on where that is taken, and ends the hold. After an error that can be
    /// mended, such as a full disk, it may be called again.
    ///
    /// # Errors
    /// When something is missing, when it has ended already, or when the disk fails.
    pub fn finish(&self, name: &str, stamp: &str) -> Result<PathBuf, PartError> {
        self.finish_as(None, &download_name(stamp, name), &|| true)
    }

    /// The same under `chosen`, one plain component, if that is free; otherwise under `dated`. It
    /// gets no name any more when `go_on` says no.
    ///
    /// # Errors
    /// As [`Staging::finish`].
    pub fn finish_as(
        &self,
        chosen: Option<&str>,
        dated: &str,
        go_on: GoOn<'_>,
    ) -> Result<PathBuf, PartError> {
        self.finish_by(go_on, || Ok(()), || self.publish(chosen, dated))
    }

    /// Completes the folder after `before`, and lets `place` give it its name.
    pub(super) fn finish_by(
        &self,
        go_on: GoOn<'_>,
        before: impl FnOnce() -> Result<(), PartError>,
        place: impl FnOnce() -> Result<PathBuf, PartError>,
    ) -> Result<PathBuf, PartError> {
        if !self.is_complete() {
            return Err(PartError::Incomplete { missing: self.missing() });
        }
        if self.ended.swap(true, Ordering::AcqRel) {
            return Err(PartError::Ended);
        }
        let placed = before().and_then(|()| self.complete(go_on)).and_then(|()| place());
        match placed {
            Ok(_) => self.release(),
            Err(_) => self.ended.store(false, Ordering::Release),
        }
        placed
    }

    /// Makes what was not fetched, looks at everything, and syncs it.
    fn complete(&self, go_on: GoOn<'_>) -> Result<(), PartError> {
        if self.distrusted.load(Ordering::Acquire) {
            return Err(PartError::Lost { path: self.path().to_owned() });
        }
        // What was open before may lie elsewhere by now.
        self.tree.close();
        for entry in self.fetched.iter() {
            if !go_on() {
                return Err(PartError::Cancelled);
            }
            self.make(entry, go_on).map_err(|error| self.failed("write", error))?;
        }
        self.remove_sources().map_err(|error| self.failed("remove", error))?;
        self.look_and_sync(go_on)?;
        if go_on() { Ok(()) } else { Err(PartError::Cancelled) }
    }

    /// Makes an entry that comes in no unit of its own.
    fn make(&self, entry: u32, go_on: GoOn<'_>) -> io::Result<()> {
        let source = self.plan.units.source(entry);
        if lock_of(&self.present).has(entry) || matches!(source, Some(EntrySource::Units(_)) | None)
        {
            return Ok(());
        }
        let listed = self.plan.manifest.entry(entry).ok_or(io::ErrorKind::NotFound)?;
        match (source, listed.file) {
            (Some(EntrySource::Copy(of)), Some(facts)) => {
                let from = self.plan.manifest.entry(of).ok_or(io::ErrorKind::NotFound)?;
                let from = self.tree.open_own(&self.plan, of, &from, false)?;
                let (disk, to) = ((&*self.disk, &self.plan), (entry, &listed));
                let tree = self.tree.copy(disk, to, &from, go_on)?;
                if tree.is_none_or(|tree| *tree.root() != facts.root) {
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
            (_, Some(facts)) => {
                let file = self.tree.create(&self.plan, entry, &listed)?;
                self.tree.date(&*self.disk, &file, &facts);
            }
            (_, None) => {
                let (above, name) = self.tree.place(&self.plan, entry, &listed)?;
                match above.create_folder(name) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    made => made?,
                }
            }
        }
        lock_of(&self.present).insert(entry);
        Ok(())
    }

    /// Removes what was fetched for copies only, with the folders that this leaves empty.
    fn remove_sources(&self) -> io::Result<()> {
        let paths = &self.plan.paths;
        let (expected, mut empty) = (self.expected(), BTreeSet::new());
        for entry in self.fetched.iter().filter(|entry| !self.plan.wanted.has(*entry)) {
            let listed = self.plan.manifest.entry(entry).ok_or(io::ErrorKind::NotFound)?;
            self.tree.remove(&self.plan, entry, &listed);
            let mut folder = paths.folder(entry);
            while let Some(number) = folder.filter(|number| *number != TOP) {
                if expected.get(number as usize) == Some(&0) {
                    empty.insert(number);
                }
                folder = paths.folders().get(number as usize).map(|folder| folder.parent);
            }
        }
        // What lies in a folder has a higher number.
        for number in empty.into_iter().rev() {
            if let Some(folder) = paths.folders().get(number as usize) {
                let above = self.tree.folder(paths, folder.parent)?;
                self.tree.close();
                above.remove_folder(OsStr::new(&*folder.name))?;
            }
        }
        Ok(())
    }

    /// Looks whether exactly what is wanted lies there, and syncs it.
    fn look_and_sync(&self, go_on: GoOn<'_>) -> Result<(), PartError> {
        let files = self.plan.wanted.count();
        let whole = files > SYNCED_ALONE
            && match self.tree.folder(&self.plan.paths, TOP).and_then(|top| top.sync_disk()) {
                Ok(()) => true,
                Err(error) if error.kind() == io::ErrorKind::Unsupported => false,
                Err(error) => {
                    self.distrust();
                    return Err(self.failed("sync", error));
                }
            };
        let looking = Looking { staging: self, sync: !whole, go_on, failure: OnceLock::new() };
        looking.entries();
        if looking.failure.get().is_none() {
            looking.folders();
        }
        match looking.failure.into_inner() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    /// How many names belong in each of the folders; 0 where nothing that is wanted lies.
    fn expected(&self) -> Vec<u32> {
        let folders = self.plan.paths.folders();
        let mut expected = vec![0_u32; folders.len()];
        for entry in self.plan.wanted.iter() {
            let mut folder = self.plan.paths.folder(entry);
            while let Some(count) = folder.and_then(|folder| expected.get_mut(folder as usize)) {
                *count += 1;
                // A folder counts in the one above it when something in it is counted first.
                let above = folder.filter(|folder| *count == 1 && *folder != TOP);
                folder = above.and_then(|above| Some(folders.get(above as usize)?.parent));
            }
        }
        expected
    }

    pub(super) fn publish(&self, chosen: Option<&str>, dated: &str) -> Result<PathBuf, PartError> {
        if !self.tree.in_place() {
            return Err(PartError::Meddled { path: self.path().to_owned() });
        }
        self.tree.close();
        let placed = publish_folder(&*self.disk, self.path(), &self.dir, (chosen, dated));
        let target =
            placed.map_err(|failed| PartError::on("create", &failed.path)(failed.error))?;
        // The folder is whole and in place: a disk that cannot sync folders is no error.
        let _ = self.disk.sync_folder(&self.dir);
        Ok(target)
    }
}

/// The last look at files and folders, by several threads.
struct Looking<'a> {
    staging: &'a Staging,
    sync: bool,
    go_on: GoOn<'a>,
    /// The first failure; threads that see it stop.
    failure: OnceLock<PartError>,
}

impl Looking<'_> {
    fn entries(&self) {
        let Staging { plan, .. } = self.staging;
        self.share(plan.manifest.len(), |entry| {
            if !plan.wanted.has(entry) {
                return Ok(());
            }
            let listed = plan.manifest.entry(entry).ok_or(io::ErrorKind::NotFound);
            let listed = listed.map_err(|kind| self.staging.failed("read", kind.into()))?;
            self.entry(entry, &listed)
        });
    }

    fn entry(&self, entry: u32, listed: &ManifestEntry) -> Result<(), PartError> {
        let Staging { plan, tree, disk, .. } = self.staging;
        let failed = |error| self.staging.failed("read", error);
        let Some(facts) = listed.file else {
            let (above, name) = tree.place(plan, entry, listed).map_err(failed)?;
            let folder = above.folder(name).map_err(failed)?;
            if !folder.names(1).map_err(failed)?.is_empty() {
                return Err(failed(io::ErrorKind::InvalidData.into()));
            }
            return self.synced(if self.sync { folder.sync() } else { Ok(()) });
        };
        let file = tree.open_own(plan, entry, listed, true).map_err(failed)?;
        let found = Facts::of(&file).map_err(failed)?;
        let as_left = !tree.is_meddled(entry) && has_time(found.modified_ns, facts.modified_s);
        let right = found.len == facts.size
            && (as_left || root_of(&file, facts.size).map_err(failed)? == facts.root);
        if !right {
            return Err(failed(io::ErrorKind::InvalidData.into()));
        }
        if plan.exec && facts.executable && !found.is_executable {
            // An earlier run made it.
            make_executable(&file).map_err(failed)?;
        }
        if !as_left {
            tree.date(&**disk, &file, &facts);
            let dated = Facts::of(&file).map_err(failed)?;
            if !has_time(dated.modified_ns, facts.modified_s) {
                lock_of(&self.staging.untimed).insert(entry, Stamp::in_facts(&dated));
            }
        }
        self.synced(if self.sync { disk.sync(&file) } else { Ok(()) })
    }

    /// Looks that nothing lies in the folders that does not belong there.
    fn folders(&self) {
        let Staging { plan, tree, .. } = self.staging;
        let expected = self.staging.expected();
        let count = u32::try_from(expected.len()).unwrap_or(u32::MAX);
        self.share(count, |number| {
            let Some(most) = expected.get(number as usize).filter(|most| **most > 0) else {
                return Ok(());
            };
            let failed = |error| self.staging.failed("read", error);
            let folder = tree.folder(&plan.paths, number).map_err(failed)?;
            let names = folder.names(*most as usize + 1).map_err(failed)?;
            if names.len() != *most as usize {
                return Err(failed(io::ErrorKind::InvalidData.into()));
            }
            self.synced(if self.sync { folder.sync() } else { Ok(()) })
        });
    }

    fn synced(&self, result: io::Result<()>) -> Result<(), PartError> {
        result.map_err(|error| {
            self.staging.distrust();
            self.staging.failed("sync", error)
        })
    }

    /// Lets threads do `work` with each number below `count`.
    fn share(&self, count: u32, work: impl Fn(u32) -> Result<(), PartError> + Sync) {
        let next = AtomicU32::new(0);
        let run = || loop {
            let first = next.fetch_add(STEP, Ordering::Relaxed);
            if first >= count || self.failure.get().is_some() || !(self.go_on)() {
                return;
            }
            for number in first..count.min(first.saturating_add(STEP)) {
                if let Err(error) = work(number) {
                    // Only the first failure is told.
                    let _ = self.failure.set(error);
                    return;
                }
            }
        };
        std::thread::scope(|scope| {
            // Threads that the system refuses to start are not missed.
            for number in 1..SYNC_THREADS.min(count.div_ceil(STEP)) {
                let name = format!("sync {number}");
                let _ = spawn_scoped(scope, &name, STACK_SMALL_BYTES, run);
            }
            run();
        });
    }
}
