//! Files as faces see them: offers and transfers.

use schemars::JsonSchema;
use serde::Serialize;

use super::Who;
use crate::router::ids::{EntryId, FileId};
use crate::router::text::Untrusted;

/// A file as the room knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FileInfo {
    /// Content id.
    pub id: FileId,
    /// Name as offered.
    pub name: Untrusted,
    /// Length in bytes; of a folder those of its files together.
    pub size: u64,
}

/// A folder as its offer describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FolderInfo {
    /// Number of files in it.
    pub files: u32,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// A file or folder in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FolderRow {
    /// Its name.
    pub name: Untrusted,
    /// It is a folder.
    pub folder: bool,
    /// Number of files in it, or 1.
    pub files: u32,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// One line of `files`: an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FileLine {
    /// The offer, under the id first shown.
    pub id: EntryId,
    /// The file.
    pub file: FileInfo,
    /// What is in it, if it is a folder.
    pub folder: Option<FolderInfo>,
    /// Who offers it.
    pub from: Who,
    /// Present members (this one included) that hold all of it or a part.
    pub hosts: usize,
    /// Offered by this node.
    pub own: bool,
    /// All of it is on this computer.
    pub held: bool,
    /// It is being fetched.
    pub fetching: bool,
    /// Bytes of an unfinished download of an earlier run.
    pub kept: u64,
}

/// One line of `transfers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TransferLine {
    /// The file.
    pub file: MovingFile,
    /// Its state.
    pub state: TransferState,
    /// Bytes verified (download), sent (serving) or hashed.
    pub bytes_done: u64,
    /// Bytes per second over the last few seconds.
    pub bytes_per_second: u64,
    /// Seconds left at this rate (download); `None`: unknown.
    pub seconds_left: Option<u64>,
    /// Hosts in use (download), 0 when serving.
    pub hosts: usize,
    /// The member served, when serving.
    pub to: Option<Who>,
}

/// A file in transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MovingFile {
    /// Its content id; `None` while it is not known.
    pub id: Option<FileId>,
    /// Its name.
    pub name: Untrusted,
    /// Its length in bytes; 0 where that is not known.
    pub size: u64,
}

/// The state of a [`TransferLine`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransferState {
    /// It is being fetched, or waits for somebody who has it.
    Fetching,
    /// It waits for earlier downloads.
    Queued,
    /// It waits for the disk, and resumes by itself.
    Waiting,
    /// It is being sent to somebody.
    Serving,
    /// It is being read, in order to be offered.
    Hashing,
    /// It waits for other files to be read.
    HashQueued,
}

impl TransferState {
    /// Whether it is on its way here.
    #[must_use]
    pub fn is_download(self) -> bool {
        matches!(self, Self::Fetching | Self::Queued | Self::Waiting)
    }
}
