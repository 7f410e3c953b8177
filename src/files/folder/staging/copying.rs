//! Takes files over from elsewhere on this computer.

use std::collections::HashMap;
use std::fs::File;

use super::{GoOn, Staging, lock_of};
use crate::files::folder::units::{EntrySource, UnitContent};
use crate::files::merkle::FileTree;
use crate::files::part::PartError;
use crate::router::bitmap::Bitmap;
use crate::router::ids::Digest32;

/// Keeps others from writing a file while it is copied.
struct CopiedFile<'a> {
    staging: &'a Staging,
    entry: u32,
}

impl Drop for CopiedFile<'_> {
    fn drop(&mut self) {
        lock_of(&self.staging.copied).remove(&self.entry);
    }
}

impl Staging {
    /// Takes over a file that lies somewhere else on this computer, if it is what the entry lists:
    /// it is copied, by sharing its bytes where the disk can do that, and verified. Its units are
    /// not needed any more then. A long file of which something is verified already is not taken
    /// over. Writers of its units, also of an earlier opening, have to begin again.
    ///
    /// Gives the tree of the file, if it was taken over. When `go_on` says no, it is not.
    ///
    /// # Errors
    /// What the disk says.
    pub fn copy_in(
        &self,
        entry: u32,
        from: &File,
        go_on: GoOn<'_>,
    ) -> Result<Option<FileTree>, PartError> {
        let Some((listed, facts)) = self.plan.file(entry) else { return Ok(None) };
        if !self.fetched.has(entry) || !lock_of(&self.copied).insert(entry) {
            return Ok(None);
        }
        // From here on nobody begins to write it; then those who did are stopped.
        let _copied = CopiedFile { staging: self, entry };
        if !self.supersede(entry) || lock_of(&self.present).has(entry) {
            return Ok(None);
        }
        let copied = self.tree.copy((&*self.disk, &self.plan), (entry, &listed), from, go_on);
        let copied = copied.map_err(|error| self.failed("write", error))?;
        let is_right = |tree: &FileTree| facts.size == 0 || *tree.root() == facts.root;
        let Some(tree) = copied.filter(is_right) else {
            self.tree.remove(&self.plan, entry, &listed);
            return Ok(None);
        };
        lock_of(&self.present).insert(entry);
        if let Some(EntrySource::Units(units)) = self.plan.units.source(entry) {
            for unit in units.filter(|unit| self.wanted_of(*unit).is_empty()) {
                if let Some(mut slot) = self.slot(unit).filter(|slot| !slot.verified) {
                    self.settle(unit, &mut slot, true);
                }
            }
        }
        Ok(Some(tree))
    }

    /// The files that are still to come, by what is in them; empty ones are not among them.
    #[must_use]
    pub fn missing_files(&self) -> HashMap<(u64, Digest32), u32> {
        let present = lock_of(&self.present);
        let is_missing = |entry: u32| self.fetched.has(entry) && !present.has(entry);
        let listed = (0..).zip(self.plan.manifest.listed());
        let missing = listed.filter_map(|(entry, file)| {
            let file = file.filter(|file| file.size > 0 && is_missing(entry))?;
            let is_copy = matches!(self.plan.units.source(entry), Some(EntrySource::Copy(_)));
            (!is_copy).then_some(((file.size, file.root), entry))
        });
        missing.collect()
    }

    /// The bundles of which some files are here and some are still to come.
    #[must_use]
    pub fn begun(&self) -> Bitmap {
        let present = lock_of(&self.present).clone();
        let mut begun = Bitmap::none(self.plan.units.count());
        for entry in present.iter() {
            if let Some(EntrySource::Units(units)) = self.plan.units.source(entry) {
                let is_open = |unit: &u32| self.slot(*unit).is_some_and(|slot| !slot.verified);
                for unit in units.filter(is_open) {
                    begun.insert(unit);
                }
            }
        }
        begun
    }

    /// Whether some file of a unit is being copied.
    pub(super) fn is_copied(&self, content: &UnitContent) -> bool {
        let copied = lock_of(&self.copied);
        match content {
            UnitContent::Chunks { entry, .. } => copied.contains(entry),
            UnitContent::Bundle(files) => {
                !copied.is_empty() && files.iter().any(|file| copied.contains(&file.entry))
            }
        }
    }

    /// Ends the work of all who write this file, unless some of it is verified; says whether none
    /// is.
    fn supersede(&self, entry: u32) -> bool {
        let Some(EntrySource::Units(units)) = self.plan.units.source(entry) else { return true };
        for unit in units {
            let Some(mut slot) = self.slot(unit).filter(|slot| !slot.verified) else {
                return false;
            };
            slot.writer = slot.writer.wrapping_add(1);
        }
        self.tree.forget(entry);
        true
    }
}
