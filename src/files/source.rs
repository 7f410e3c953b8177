//! Files of the user's own: which can be offered, and how to tell that one was changed.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// What tells that a file is still the one that was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Length in bytes.
    pub len: u64,
    /// Time of the last modification, in nanoseconds since 1970.
    pub mtime_ns: i128,
    /// The device that holds it.
    pub device: u64,
    /// Its number on that device.
    pub inode: u64,
}

impl Stamp {
    /// Reads the stamp of a file.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            len: metadata.len(),
            mtime_ns: i128::from(metadata.mtime()) * 1_000_000_000
                + i128::from(metadata.mtime_nsec()),
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    /// Whether both are of one file, whatever is in it.
    #[must_use]
    pub fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// Why a file cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nothing there.
    #[error("cannot send {path}: there is no such file; check the name and the folder")]
    NotFound {
        /// As given.
        path: PathBuf,
    },
    /// A folder.
    #[error(
        "cannot send {path}: folders are not supported yet: send the files in it, or an archive"
    )]
    Folder {
        /// As given.
        path: PathBuf,
    },
    /// A pipe, a socket or a device.
    #[error("cannot send {path}: it is {kind}; only regular files can be sent")]
    NotAFile {
        /// As given.
        path: PathBuf,
        /// What it is, with its article.
        kind: &'static str,
    },
    /// Not readable.
    #[error("cannot send {path}: you are not allowed to read it; change its permissions first")]
    Permission {
        /// As given.
        path: PathBuf,
    },
    /// Longer than the limit.
    #[error(
        "cannot send {path}: it has {len} bytes, and {max} at most can be sent; split it first"
    )]
    TooLarge {
        /// As given.
        path: PathBuf,
        /// Its length in bytes.
        len: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// Anything else.
    #[error("cannot send {path}: {source}")]
    Io {
        /// As given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Opens a file of the user's own for sending; a symbolic link is followed. Never blocks on a pipe
/// or wakes a device.
///
/// # Errors
/// Anything but a readable regular file of at most `max_bytes` bytes is refused.
pub fn open(path: &Path, max_bytes: u64) -> Result<(File, Stamp), SendError> {
    let failed = |error| refusal(path, error);
    // Opening a device can move something, so what it is comes first.
    check_kind(path, std::fs::metadata(path).map_err(failed)?.file_type())?;
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    let file = options.open(path).map_err(failed)?;
    // It may have been swapped in between; thanks to the flags that did not block us.
    let metadata = file.metadata().map_err(failed)?;
    check_kind(path, metadata.file_type())?;
    if metadata.len() > max_bytes {
        let (path, len) = (path.to_owned(), metadata.len());
        return Err(SendError::TooLarge { path, len, max: max_bytes });
    }
    Ok((file, Stamp::of(&metadata)))
}

fn refusal(path: &Path, source: io::Error) -> SendError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => SendError::NotFound { path },
        io::ErrorKind::PermissionDenied => SendError::Permission { path },
        _ => SendError::Io { path, source },
    }
}

fn check_kind(path: &Path, kind: FileType) -> Result<(), SendError> {
    let path = path.to_owned();
    let kind = match kind {
        _ if kind.is_file() => return Ok(()),
        _ if kind.is_dir() => return Err(SendError::Folder { path }),
        _ if kind.is_fifo() => "a pipe",
        _ if kind.is_socket() => "a socket",
        _ if kind.is_block_device() || kind.is_char_device() => "a device",
        _ => "something special",
    };
    Err(SendError::NotAFile { path, kind })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::files::testing::write;

    const MAX: u64 = 1 << 41;

    #[test]
    fn a_pipe_is_refused_without_blocking() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, 0o600.into()).unwrap();
        let before = Instant::now();
        let refused = open(&path, MAX).unwrap_err();
        assert!(matches!(refused, SendError::NotAFile { kind: "a pipe", .. }), "{refused}");
        assert!(before.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn whatever_is_no_readable_regular_file_is_refused_clearly() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), "data", b"four");
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        assert_eq!(open(&link, MAX).unwrap().1, open(&path, 4).unwrap().1);
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let text = |path: &Path, max| open(path, max).unwrap_err().to_string();
        assert!(text(dir.path(), MAX).contains("folders are not supported yet"));
        assert!(text(&dir.path().join("none"), MAX).contains("no such file"));
        assert!(text(&path.join("none"), MAX).contains("no such file"));
        assert!(text(&socket, MAX).contains("a socket"));
        assert!(text(Path::new("/dev/zero"), MAX).contains("a device"));
        assert!(text(&path, 3).contains("4 bytes, and 3 at most"));
    }
}
