//! Results of work on this computer's files.

use std::path::PathBuf;

use crate::router::bitmap::Bitmap;
use crate::router::ids::{Digest32, FileId};
use crate::router::layout::FolderLayout;
use crate::router::notice::{Failure, FolderRow};
use crate::router::signed::FolderSummary;

/// What to request from a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// This chunk.
    Chunk(u32),
    /// One of these, which the host picks.
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
    /// Length in bytes; of a folder that of its manifest.
    pub size: u64,
    /// BEP 52 root; of a folder that of its manifest.
    pub root: Digest32,
    /// What is in it, if it is a folder.
    pub folder: Option<FolderSummary>,
    /// What of a folder is not sent, in words for people.
    pub left_out: Option<String>,
}

/// What the manifest of a folder says, as far as it matters for fetching.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadManifest {
    /// What its offer has to say.
    pub summary: FolderSummary,
    /// In which units it is fetched.
    pub layout: FolderLayout,
}

/// What lies in one folder of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderListing {
    /// Where, with a slash behind it; nothing means the whole.
    pub path: String,
    /// Folders, then files, by their names.
    pub list: Vec<FolderRow>,
    /// How many more there are.
    pub more: u32,
}

/// A partial file that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartState {
    /// The list of chunk hashes must be fetched first.
    NeedsList,
    /// The list is known (short files need none); these chunks are verified.
    Verified(Bitmap),
    /// The same of a folder of which only a part is wanted, or some files are here already.
    Partly {
        /// Verified.
        held: Bitmap,
        /// Needed, verified or not; `None`: all.
        needed: Option<Bitmap>,
        /// Not verified, but some of the files in them are: only the others are asked for.
        begun: Bitmap,
    },
    /// All of it was already on this computer and lies in the partial file now.
    Complete,
}

/// Why a chunk or a list was not received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchError {
    /// The lane ended.
    Lane,
    /// The host says that it does not have it.
    NotHeld,
    /// It does not match its hash: the host lied or its copy is damaged.
    Bad,
    /// The host should pick, but has already sent each of these chunks to somebody.
    Elsewhere,
    /// This computer could not write it.
    Disk(DiskError),
    /// No thread was free.
    Busy,
}

/// An error of this computer's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskError {
    /// What was tried, on what, and why it failed.
    pub failure: Failure,
    /// It may succeed later without anybody typing anything: when there is space again, or a failed
    /// device answers. Otherwise the download cannot go on.
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

/// A partial file of an earlier run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// The first digits of its file's id.
    pub id: String,
    /// The name under which it was started, if that can still be read.
    pub name: Option<String>,
    /// Bytes that it takes up on disk.
    pub bytes: u64,
}

/// What happens to a file offered in a room that is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parking {
    /// Park its source: it is not served until it is restored.
    Begin,
    /// Check whether it is unchanged.
    Check,
    /// Serve it again.
    Resume,
    /// Forget it.
    Forget,
}
