//! Detects changes by other programs: between klatch's own changes a partial file has a
//! modification time that nobody else would give it.

use std::time::{Duration, SystemTime};

use crate::files::hidden::Hidden;

/// The time lies so long before the file was opened: no change of others can have it, however
/// coarsely a disk keeps time.
const BEFORE: Duration = Duration::from_secs(60);

/// The time that a partial file bears between the changes that are made here.
#[derive(Debug)]
pub(super) struct Mark {
    time: SystemTime,
    /// How the disk gives it back; `None` when it was not taken.
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

    /// Looks whether others changed the file since it was marked.
    pub(super) fn look(&mut self, hidden: &Hidden) {
        let shown = hidden.file.metadata().and_then(|metadata| metadata.modified()).ok();
        self.meddled |= shown != self.shown;
    }

    /// After a change that was made here.
    pub(super) fn set(&mut self, hidden: &Hidden) {
        let set = hidden.disk.set_modified(&hidden.file, self.time);
        let shown = || hidden.file.metadata().and_then(|metadata| metadata.modified());
        let shown = set.and_then(|()| self.shown.map_or_else(shown, Ok));
        // Where no time can be set nothing can be told: all is hashed again.
        self.meddled |= shown.is_err();
        self.shown = shown.ok();
    }
}
