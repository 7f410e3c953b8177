//! The socket in the data directory: `socket`, for its owner only.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::sys::files::{Facts, me};
use crate::sys::local::{self, LocalListener, Stream};

/// Its name in the data directory.
const NAME: &str = "socket";

/// A listening socket; dropping this removes its file.
#[derive(Debug)]
pub(in crate::program) struct JobListener {
    pub(super) socket: LocalListener,
    path: PathBuf,
}

impl JobListener {
    /// Listens in `dir`, whose lock the caller holds: any socket there is left from a killed
    /// klatch.
    ///
    /// # Errors
    /// When the system cannot create a socket there.
    pub(in crate::program) fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join(NAME);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self { socket: LocalListener::bind(dir, NAME)?, path })
    }
}

impl Drop for JobListener {
    fn drop(&mut self) {
        // If it remains, the next klatch replaces it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether a klatch of this user listens in `dir`, or did so when it was killed.
pub(super) fn is_ours(dir: &Path) -> bool {
    // In a folder that others can write to, anybody could listen.
    Facts::of_name(&dir.join(NAME)).is_ok_and(|socket| socket.owner == me())
}

/// Connects to the klatch that listens in `dir`, if there is one.
pub(super) fn connect(dir: &Path) -> Option<Stream> {
    if !is_ours(dir) {
        return None;
    }
    local::connect(dir, NAME).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::local::{ARE_THERE, LONG_PATHS};
    use crate::sys::testing::mode;

    #[test]
    fn a_socket_is_for_its_owner_replaces_a_stale_one_and_goes_in_the_end() {
        let home = tempfile::tempdir().unwrap();
        assert!(connect(home.path()).is_none());
        if !ARE_THERE {
            return;
        }
        let listener = JobListener::open(home.path()).unwrap();
        assert_eq!(mode(&home.path().join(NAME)), 0o600);
        assert!(connect(home.path()).is_some());
        // As a killed klatch leaves it.
        let stale = home.path().join("stale");
        fs::rename(home.path().join(NAME), &stale).unwrap();
        drop(listener);
        fs::rename(&stale, home.path().join(NAME)).unwrap();
        assert!(connect(home.path()).is_none());
        let listener = JobListener::open(home.path()).unwrap();
        assert!(connect(home.path()).is_some());
        drop(listener);
        assert!(!home.path().join(NAME).exists());
    }

    #[test]
    fn a_path_may_be_longer_than_an_address() {
        if !LONG_PATHS {
            return;
        }
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("d".repeat(120)).join("e".repeat(120));
        fs::create_dir_all(&dir).unwrap();
        let _listener = JobListener::open(&dir).unwrap();
        assert_eq!(mode(&dir.join(NAME)), 0o600);
        assert!(connect(&dir).is_some());
    }
}
