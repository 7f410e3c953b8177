//! Detects changes by other programs: between klatch's own changes a partial file has a
//! modification time that nobody else would give it.

use std::time::{Duration, SystemTime};

use crate::files::hidden::Hidden;

/// How long before its opening the file's time is set: no change by others can have that time,
/// however coarse a disk's clock is.
const BEFORE: Duration = Duration::from_secs(60);

/// The modification time of a partial file between klatch's own changes.
#[derive(Debug)]
pub(super) struct Mark {
    time: SystemTime,
    /// The time as the disk returns it; `None` if it was not accepted.
    pub(super) shown: Option<SystemTime>,
    /// Others may have changed the file.
    pub(super) meddled: bool,
}

impl Mark {
    /// Marks the file.
    pub(super) fn new(hidden: &Hidden) -> Self {
        let mut mark = Self {
            time: SystemTime::now().checked_sub(BEFORE).unwrap_or(SystemTime::UNIX_EPOCH),
            shown: None,
            // Another holder may change it at any time.
            meddled: !hidden.is_locked,
        };
        mark.set(hidden);
        mark
    }

    /// Checks whether others changed the file since it was marked.
    pub(super) fn look(&mut self, hidden: &Hidden) {
        let shown = hidden.file.metadata().and_then(|metadata| metadata.modified()).ok();
        self.meddled |= shown != self.shown;
    }

    /// Marks the file again after a change of ours.
    pub(super) fn set(&mut self, hidden: &Hidden) {
        let set = hidden.disk.set_modified(&hidden.file, self.time);
        let shown = || hidden.file.metadata().and_then(|metadata| metadata.modified());
        let shown = set.and_then(|()| self.shown.map_or_else(shown, Ok));
        // If no time can be set, changes cannot be detected: everything is hashed again.
        self.meddled |= shown.is_err();
        self.shown = shown.ok();
    }
}
