//! What can go wrong with a download on this disk.

use std::io;
use std::path::{Path, PathBuf};

use crate::sys::errors::is_transient;

/// Why a download cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// The offer is longer than the limit; nothing was touched.
    #[error("the file has {len} bytes, and {max} at most can be fetched")]
    TooLarge {
        /// Length offered, in bytes.
        len: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// The folder for downloads is missing.
    #[error(
        "there is no folder {path}: create it, or choose another (--downloads, or --output of get)"
    )]
    NoFolder {
        /// The folder.
        path: PathBuf,
    },
    /// Where a folder should go, something lies that is no earlier version of it.
    #[error(
        "{path} is there already, and is no earlier version of {name} that klatch made of what \
         this member offers: choose another name, or {path}/ to save into it"
    )]
    Foreign {
        /// What lies there.
        path: PathBuf,
        /// The name of the folder that is offered.
        name: String,
    },
    /// Every number for a partial file of this download is in use.
    #[error(
        "too many programs fetch this file into {path}: choose another (--downloads, or --output \
         of get)"
    )]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// The disk, or the user's quota, is full.
    #[error("cannot {action} {path}: the disk is full, make room")]
    DiskFull {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
    },
    /// The disk does not support files of this length.
    #[error(
        "cannot {action} {path}: its disk takes no file so long; choose another \
        (--downloads, or --output of get)"
    )]
    DiskTooSimple {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
    },
    /// Not writable for this user.
    #[error(
        "cannot {action} {path}: permission denied; choose another \
        (--downloads, or --output of get)"
    )]
    Permission {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
    },
    /// Not writable for anybody.
    #[error(
        "cannot {action} {path}: its disk is read-only; choose another \
        (--downloads, or --output of get)"
    )]
    ReadOnly {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
    },
    /// An error of this folder or its disk that will occur again.
    #[error("cannot {action} {path}: {source}; choose another (--downloads, or --output of get)")]
    Unfit {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A system error that may pass.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Another program moved, changed, shortened or replaced the partial file.
    #[error(
        "{path} was changed by another program: download the file again; what is still right \
         stays"
    )]
    Meddled {
        /// The partial file.
        path: PathBuf,
    },
    /// After a failed sync not everything could be written again.
    #[error("the disk lost what was written to {path}: download the file again")]
    Lost {
        /// The partial file.
        path: PathBuf,
    },
    /// Another writer has taken this chunk over, or it is already verified.
    #[error("the chunk is being written by another")]
    Superseded,
    /// Chunks are missing.
    #[error("{missing} chunks of the file are still missing")]
    Incomplete {
        /// How many.
        missing: u32,
    },
    /// It has its final name already, or is discarded.
    #[error("the download has ended already")]
    Ended,
    /// The caller cancelled it.
    #[error("the download was cancelled; verified chunks are kept for next time")]
    Cancelled,
}

impl PartError {
    /// Whether it may succeed later without anybody typing anything.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::DiskFull { .. } | Self::Io { .. })
    }

    /// Turns the system's error for `action` on `path` into this error.
    pub(in crate::files) fn on(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { action, path }
            }
            io::ErrorKind::FileTooLarge => Self::DiskTooSimple { action, path },
            io::ErrorKind::PermissionDenied => Self::Permission { action, path },
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { action, path },
            _ if is_transient(&source) => Self::Io { action, path, source },
            _ => Self::Unfit { action, path, source },
        }
    }
}
