//! Files of the user's own: which can be offered, and how changes are detected.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::sys::files::{Facts, FileId, FileKind, open_quietly};

/// Facts that show that a file is still the one that was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Length in bytes.
    pub len: u64,
    /// Time of the last modification, in nanoseconds since 1970.
    pub modified_ns: i128,
    /// Which file it is, whatever its content.
    pub id: FileId,
}

impl Stamp {
    /// The stamp of an open file.
    ///
    /// # Errors
    /// When the system cannot say what the file is.
    pub fn of(file: &File) -> io::Result<Self> {
        Facts::of(file).map(|facts| Self::in_facts(&facts))
    }

    /// The stamp of the file at a path.
    ///
    /// # Errors
    /// As [`Stamp::of`], and when there is no file.
    pub fn at(path: &Path) -> io::Result<Self> {
        Facts::at(path).map(|facts| Self::in_facts(&facts))
    }

    /// The stamp in these facts.
    #[must_use]
    pub fn in_facts(facts: &Facts) -> Self {
        Self { len: facts.len, modified_ns: facts.modified_ns, id: facts.id }
    }
}

/// Why a file cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// There is nothing.
    #[error("cannot send {path}: there is no such file; check the name and the folder")]
    NotFound {
        /// As given.
        path: PathBuf,
    },
    /// A folder, a pipe, a socket or a device.
    #[error("cannot send {path}: it is {kind}; only regular files can be sent")]
    NotAFile {
        /// As given.
        path: PathBuf,
        /// What it is, with an article.
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
        /// The system's error.
        source: io::Error,
    },
}

/// Opens a file of the user's own for sending; follows symbolic links. Never blocks on a pipe or
/// wakes a device.
///
/// # Errors
/// Anything but a readable regular file of at most `max_bytes` bytes is refused.
pub fn open(path: &Path, max_bytes: u64) -> Result<(File, Stamp), OfferError> {
    let failed = |error| refusal(path, error);
    // Opening a device can start something, so its kind is checked first.
    check_kind(path, Facts::at(path).map_err(failed)?.kind)?;
    // It may have been swapped in between; opening it so does not block.
    let file = open_quietly(path).map_err(failed)?;
    let facts = Facts::of(&file).map_err(failed)?;
    check_kind(path, facts.kind)?;
    if facts.len > max_bytes {
        let (path, len) = (path.to_owned(), facts.len);
        return Err(OfferError::TooLarge { path, len, max: max_bytes });
    }
    Ok((file, Stamp::in_facts(&facts)))
}

fn refusal(path: &Path, source: io::Error) -> OfferError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => OfferError::NotFound { path },
        io::ErrorKind::PermissionDenied => OfferError::Permission { path },
        _ => OfferError::Io { path, source },
    }
}

fn check_kind(path: &Path, kind: FileKind) -> Result<(), OfferError> {
    let path = path.to_owned();
    let kind = match kind {
        FileKind::File => return Ok(()),
        // It was none when it was looked at first.
        FileKind::Folder => "a folder",
        FileKind::Pipe => "a pipe",
        FileKind::Socket => "a socket",
        FileKind::Device => "a device",
        FileKind::Link | FileKind::Other => "something special",
    };
    Err(OfferError::NotAFile { path, kind })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::files::testing::write;
    use crate::sys::testing::{POSIX, link, pipe, socket};

    const MAX: u64 = 1 << 41;

    #[test]
    fn a_pipe_is_refused_without_blocking() {
        if !POSIX {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        pipe(&path);
        let before = Instant::now();
        let refused = open(&path, MAX).unwrap_err();
        assert!(matches!(refused, OfferError::NotAFile { kind: "a pipe", .. }), "{refused}");
        assert!(before.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn whatever_is_no_readable_regular_file_is_refused_clearly() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), "data", b"four");
        let text = |path: &Path, max| open(path, max).unwrap_err().to_string();
        assert!(text(dir.path(), MAX).contains("it is a folder; only regular files"));
        assert!(text(&dir.path().join("none"), MAX).contains("no such file"));
        assert!(text(&path.join("none"), MAX).contains("no such file"));
        assert!(text(&path, 3).contains("4 bytes, and 3 at most"));
        if !POSIX {
            return;
        }
        let linked = dir.path().join("link");
        link(&path, &linked);
        assert_eq!(open(&linked, MAX).unwrap().1, open(&path, 4).unwrap().1);
        let listening = dir.path().join("socket");
        let _listener = socket(&listening);
        assert!(text(&listening, MAX).contains("a socket"));
        assert!(text(Path::new("/dev/zero"), MAX).contains("a device"));
    }
}
