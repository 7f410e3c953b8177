//! Temporary folders that are removed with their run, or by a later one if their run was killed.
//!
//! Each is private to this user and locked while its run lives; one that can be locked is a
//! leftover.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use tempfile::TempDir;

use crate::sys::files::{is_mine, make_temporary_folder, open_folder};

/// Prefix of the name of one for copies.
pub(super) const SHARED: &str = "klatch-shared-";
/// Most names checked in the temporary folder.
const LOOKED_AT: usize = 16_384;
/// Another run may take a folder that was just made for a leftover.
const TRIES: usize = 8;

/// Removed when dropped.
#[derive(Debug)]
pub(crate) struct Temporary {
    folder: TempDir,
    /// Held until the folder is gone.
    _lock: File,
}

impl Temporary {
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Makes one in `base`, readable for nobody else, with a name that begins so.
pub(crate) fn make(base: &Path, prefix: &str) -> io::Result<Temporary> {
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for _ in 0..TRIES {
        let folder = make_temporary_folder(base, prefix)?;
        let locked = open_folder(folder.path()).and_then(|lock| match lock.try_lock() {
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            // If folders cannot be locked, none is ever taken for a leftover.
            _ => fs::metadata(folder.path()).map(|_| lock),
        });
        match locked {
            Ok(lock) => return Ok(Temporary { folder, _lock: lock }),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Removes, by `remove`, those in `base` whose run was killed. What cannot be removed costs only
/// disk space.
pub(crate) fn clear(base: &Path, prefix: &str, remove: impl Fn(&Path) -> io::Result<()>) {
    for entry in fs::read_dir(base).into_iter().flatten().take(LOOKED_AT).flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()) {
            continue;
        }
        // Facts of the entry itself: a link is left alone.
        let Ok(metadata) = entry.metadata() else { continue };
        if !metadata.is_dir() || !is_mine(&metadata) {
            continue;
        }
        let Ok(lock) = open_folder(&entry.path()) else { continue };
        if lock.try_lock().is_ok() {
            let removed = remove(&entry.path());
            tracing::info!(?removed, "a folder was left by a run that was killed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing::{POSIX, link, mode};

    #[test]
    fn it_is_private_and_only_what_nobody_holds_is_removed() {
        let base = tempfile::tempdir().unwrap();
        let held = make(base.path(), SHARED).unwrap();
        assert!(!POSIX || mode(held.path()) == 0o700);
        fs::write(held.path().join("a"), b"a").unwrap();
        // As a killed run leaves it: nothing is removed, but the lock is gone.
        let killed = make(base.path(), SHARED).unwrap();
        fs::write(killed.path().join("b"), b"b").unwrap();
        let Temporary { folder, _lock } = killed;
        let left = folder.keep();
        drop(_lock);
        let mine = base.path().join("klatch-other");
        fs::create_dir(&mine).unwrap();
        let linked = base.path().join("klatch-shared-link");
        if POSIX {
            link(&mine, &linked);
        }
        clear(base.path(), SHARED, |folder| fs::remove_dir_all(folder));
        // Other systems lock no folder, so none is taken for a leftover.
        assert_eq!(left.exists(), !POSIX);
        assert!(held.path().join("a").exists() && mine.exists());
        assert!(!POSIX || linked.is_symlink());
        let path = held.path().to_owned();
        drop(held);
        assert!(!path.exists());
    }
}
