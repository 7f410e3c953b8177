//! Results of work on this computer's files.

use std::path::PathBuf;

use crate::router::bitmap::Bitmap;
use crate::router::ids::{Digest32, FileId};
use crate::router::notice::Failure;

/// What to ask a host for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// This chunk.
    Chunk(u32),
    /// Whichever of these the host has sent to nobody who is linked with it.
    Pick(Bitmap),
}

/// A hashed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashed {
    /// Its absolute path.
    pub path: PathBuf,
    /// Name to offer it under.
    pub name: String,
    /// Content id.
    pub file: FileId,
    /// Length in bytes.
    pub size: u64,
    /// BEP 52 root.
    pub root: Digest32,
}

/// A partial file that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartState {
    /// The list of chunk hashes must be fetched first.
    NeedsList,
    /// The list is known (short files need none); these chunks are verified.
    Verified(Bitmap),
    /// All of it was already on this computer and lies in the partial file now.
    Complete,
}

/// Why a chunk or a list did not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchError {
    /// The lane ended.
    Lane,
    /// The host says that it does not have it.
    NotHeld,
    /// It does not fit its hash: the host lied or its copy is damaged.
    Bad,
    /// The host was to choose, and has sent each of these chunks to somebody already.
    Elsewhere,
    /// This computer could not write it.
    Disk(DiskError),
    /// No thread could be had.
    Busy,
}

/// What the disk of this computer did not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskError {
    /// What was tried, on what, and why it failed.
    pub failure: Failure,
    /// It may go well later without anybody's typing anything: when there is room again, or when
    /// a device that failed answers. Otherwise the download cannot go on.
    pub may_pass: bool,
}

/// Partial files of earlier downloads that no program holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftovers {
    /// The folder.
    pub folder: PathBuf,
    /// Each of them.
    pub files: Vec<Leftover>,
}

/// What is left of a download of an earlier run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// The first digits of its file's id.
    pub id: String,
    /// The name under which it was begun, if that can still be read.
    pub name: Option<String>,
    /// Bytes that it takes on disk.
    pub bytes: u64,
}

/// What becomes of a file that is offered in a room which is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parking {
    /// Lay aside what serves it: it is served no more until it is taken up again.
    Begin,
    /// Look whether it is still what it was.
    Check,
    /// Serve it again.
    Resume,
    /// Forget it.
    Forget,
}
