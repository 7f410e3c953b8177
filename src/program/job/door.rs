//! The socket in the data directory: `socket`, for its owner alone.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// Its name in the data directory.
const NAME: &str = "socket";
/// A path that long fits into an address of every system (`sun_path`: macOS has 104 bytes).
const PATH_MAX_BYTES: usize = 103;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 16;

/// A socket that listens; its file goes when this is dropped.
#[derive(Debug)]
pub(in crate::program) struct Door {
    pub(super) listener: UnixListener,
    path: PathBuf,
}

impl Door {
    /// Listens in `dir`, whose lock the caller holds: what lies there is of a klatch that was
    /// killed.
    ///
    /// # Errors
    /// When the system makes no socket there.
    pub(in crate::program) fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join(NAME);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let place = Reachable::of(dir)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(&place.path)?)?;
        let listener = || {
            // Nobody can connect before it listens.
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            socket.listen(BACKLOG)?;
            socket.try_clone()
        };
        match listener() {
            Ok(listener) => {
                listener.set_nonblocking(true)?;
                let listener = UnixListener::from(OwnedFd::from(listener));
                Ok(Self { listener, path })
            }
            Err(error) => {
                // What cannot be reached is of no use to anybody.
                let _ = fs::remove_file(&path);
                Err(error)
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // One that stays is replaced by the next klatch.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether a klatch of this user's listens in `dir`, or did so when it was killed.
pub(super) fn is_ours(dir: &Path) -> bool {
    // In a folder that others can write to, anybody could wait for what is to be said.
    let socket = fs::symlink_metadata(dir.join(NAME));
    socket.is_ok_and(|socket| socket.uid() == rustix::process::geteuid().as_raw())
}

/// The klatch that listens in `dir`, if there is one.
pub(super) fn connect(dir: &Path) -> Option<UnixStream> {
    if !is_ours(dir) {
        return None;
    }
    UnixStream::connect(Reachable::of(dir).ok()?.path).ok()
}

/// A path that fits into an address.
struct Reachable {
    path: PathBuf,
    /// What the path leads through.
    _dir: Option<File>,
}

impl Reachable {
    fn of(dir: &Path) -> io::Result<Self> {
        let path = dir.join(NAME);
        if path.as_os_str().len() <= PATH_MAX_BYTES {
            return Ok(Self { path, _dir: None });
        }
        let opened = File::open(dir)?;
        let path = format!("/proc/self/fd/{}/{NAME}", opened.as_raw_fd()).into();
        Ok(Self { path, _dir: Some(opened) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_socket_is_for_its_owner_replaces_a_stale_one_and_goes_in_the_end() {
        let home = tempfile::tempdir().unwrap();
        assert!(connect(home.path()).is_none());
        let door = Door::open(home.path()).unwrap();
        assert_eq!(mode(&home.path().join(NAME)), 0o600);
        assert!(connect(home.path()).is_some());
        // As a klatch leaves it that was killed.
        let stale = home.path().join("stale");
        fs::rename(home.path().join(NAME), &stale).unwrap();
        drop(door);
        fs::rename(&stale, home.path().join(NAME)).unwrap();
        assert!(connect(home.path()).is_none());
        let door = Door::open(home.path()).unwrap();
        assert!(connect(home.path()).is_some());
        drop(door);
        assert!(!home.path().join(NAME).exists());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_path_may_be_longer_than_an_address() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("d".repeat(120)).join("e".repeat(120));
        fs::create_dir_all(&dir).unwrap();
        let _door = Door::open(&dir).unwrap();
        assert_eq!(mode(&dir.join(NAME)), 0o600);
        assert!(connect(&dir).is_some());
    }
}
