//! Takes files over from elsewhere on this computer.

use std::fs::File;

use super::{Staging, lock_of};
use crate::files::folder::units::{EntrySource, UnitContent};
use crate::files::part::PartError;

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
    /// # Errors
    /// What the disk says.
    pub fn copy_in(&self, entry: u32, from: &File) -> Result<bool, PartError> {
        let Some((listed, facts)) = self.plan.file(entry) else { return Ok(false) };
        if !self.fetched.has(entry) || !lock_of(&self.copied).insert(entry) {
            return Ok(false);
        }
        // From here on nobody begins to write it; then those who did are stopped.
        let _copied = CopiedFile { staging: self, entry };
        if !self.supersede(entry) || lock_of(&self.present).has(entry) {
            return Ok(false);
        }
        let copied = self.tree.copy(&*self.disk, &self.plan, entry, &listed, from);
        let good = copied
            .map_err(|error| self.failed("write", error))?
            .is_some_and(|root| root == facts.root);
        if !good {
            self.tree.remove(&self.plan, entry, &listed);
            return Ok(false);
        }
        lock_of(&self.present).insert(entry);
        if let Some(EntrySource::Units(units)) = self.plan.units.source(entry) {
            for unit in units.filter(|unit| self.wanted_of(*unit).is_empty()) {
                if let Some(mut slot) = self.slot(unit).filter(|slot| !slot.verified) {
                    self.settle(unit, &mut slot, true);
                }
            }
        }
        Ok(true)
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
