//! Failures of files on this disk, in the codes of the contract.

use std::io;

use crate::files::folder::manifest::ManifestError;
use crate::files::folder::scan::ScanError;
use crate::files::hash::HashError;
use crate::files::part::PartError;
use crate::files::source::OfferError;
use crate::router::event::DiskError;
use crate::router::notice::{Code, Failure};

/// Why a file cannot be offered.
pub(super) fn of_send(error: &OfferError) -> Failure {
    let code = match error {
        OfferError::NotFound { .. } => Code::FileNotFound,
        OfferError::NotAFile { .. } => Code::NotAFile,
        OfferError::Permission { .. } => Code::PermissionDenied,
        OfferError::TooLarge { .. } | OfferError::Io { .. } => Code::IoError,
    };
    Failure::new(code, error.to_string())
}

/// Why a file could not be hashed.
pub(super) fn of_hash(error: &HashError) -> Failure {
    let code = match error {
        HashError::Cancelled => Code::Cancelled,
        HashError::Changed | HashError::Read(_) => Code::IoError,
    };
    Failure::new(code, error.to_string())
}

/// Why a folder cannot be offered.
pub(super) fn of_scan(error: &ScanError) -> Failure {
    let of_io = |source: &io::Error| match source.kind() {
        io::ErrorKind::PermissionDenied => Code::PermissionDenied,
        io::ErrorKind::NotFound => Code::FileNotFound,
        _ => Code::IoError,
    };
    let code = match error {
        ScanError::Folder { source, .. } | ScanError::Unreadable { source, .. } => of_io(source),
        ScanError::NotText { .. } => Code::InvalidUtf8,
        ScanError::TooManyFiles => Code::TooManyFiles,
        ScanError::Changed { .. } => Code::FolderChanged,
        ScanError::Cancelled => Code::Cancelled,
        ScanError::Path { .. } | ScanError::TooLarge => Code::IoError,
    };
    Failure::new(code, error.to_string())
}

/// Why no list can be made of a folder.
pub(super) fn of_manifest(error: &ManifestError) -> Failure {
    let code = match error {
        ManifestError::TooLong { .. }
        | ManifestError::TooManyEntries { .. }
        | ManifestError::TooManyFolders { .. }
        | ManifestError::TooManyUnits => Code::TooManyFiles,
        _ => Code::IoError,
    };
    Failure::new(code, format!("cannot send the folder: {error}"))
}

/// Why a download cannot go on.
pub(super) fn of_part(error: &PartError) -> DiskError {
    let code = match error {
        PartError::DiskFull { .. } => Code::DiskFull,
        PartError::Permission { .. } | PartError::ReadOnly { .. } => Code::PermissionDenied,
        PartError::Cancelled => Code::Cancelled,
        _ => Code::IoError,
    };
    DiskError { failure: Failure::new(code, error.to_string()), may_pass: error.may_pass() }
}

/// A download cannot go on, whatever happens to the disk.
pub(super) fn lasting(failure: Failure) -> DiskError {
    DiskError { failure, may_pass: false }
}

/// There are too many jobs for the disk: within its limits no node gets here.
pub(super) fn too_much() -> Failure {
    Failure::new(Code::IoError, "too much is being done on this disk; try again later")
}

/// A bug: the work that should have answered panicked.
pub(super) fn inside() -> Failure {
    Failure::new(Code::IoError, "klatch failed inside; please report this")
}
