//! Syncs long files while bytes are still coming, so that little is left for the end.

use std::sync::{Arc, Mutex};

use super::tree::LongFile;
use super::{Staging, lock_of};
use crate::files::folder::units::UnitContent;

/// So much of a file is written between syncs.
const SYNC_BYTES: u64 = 64 * 1024 * 1024;

impl Staging {
    /// Whether so much of the file of this unit was written since it was last synced that the
    /// caller should run [`Staging::sync_early`] on a thread that may wait for the disk.
    #[must_use]
    pub fn wants_sync(&self, unit: u32) -> bool {
        self.wants_sync_after(unit, SYNC_BYTES)
    }

    pub(super) fn wants_sync_after(&self, unit: u32, bytes: u64) -> bool {
        let Some(long) = self.long_of(unit) else { return false };
        let mut long = lock_of(&long);
        let wants = long.unsynced_bytes >= bytes && !long.is_syncing;
        long.is_syncing |= wants;
        wants
    }

    /// No thread could sync it just now.
    pub fn skip_sync(&self, unit: u32) {
        if let Some(long) = self.long_of(unit) {
            lock_of(&long).is_syncing = false;
        }
    }

    /// Syncs the file of this unit.
    pub fn sync_early(&self, unit: u32) {
        let Some(long) = self.long_of(unit) else { return };
        let file = {
            let mut long = lock_of(&long);
            long.unsynced_bytes = 0;
            // One that was closed is synced at the end.
            long.handle()
        };
        if file.is_some_and(|file| self.disk.sync(&file).is_err()) {
            self.distrust();
        }
        lock_of(&long).is_syncing = false;
    }

    fn long_of(&self, unit: u32) -> Option<Arc<Mutex<LongFile>>> {
        match self.plan.units.content(unit)? {
            UnitContent::Chunks { entry, .. } => self.tree.begun(entry),
            UnitContent::Bundle(_) => None,
        }
    }
}
