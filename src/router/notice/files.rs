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
    /// Length in bytes.
    pub size: u64,
}

/// One line of `files`: an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FileLine {
    /// The offer, under the id first shown.
    pub id: EntryId,
    /// The file.
    pub file: FileInfo,
    /// Who offers it.
    pub from: Who,
    /// Present members (this one included) that hold all of it or a part.
    pub hosts: usize,
    /// Offered by this node.
    pub own: bool,
    /// All of it lies on this computer.
    pub held: bool,
    /// It is being fetched.
    pub fetching: bool,
    /// Bytes that an earlier run left here of a download that was not finished.
    pub kept: u64,
}

/// One line of `transfers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TransferLine {
    /// The file.
    pub file: MovingFile,
    /// What becomes of it.
    pub state: TransferState,
    /// Bytes verified (download), sent (serving) or hashed.
    pub bytes_done: u64,
    /// Bytes per second over the last few seconds.
    pub bytes_per_second: u64,
    /// Seconds until the rest is here at this rate (download); `None`: nobody can tell.
    pub seconds_left: Option<u64>,
    /// Hosts in use (download), 0 when serving.
    pub hosts: usize,
    /// The member served, when serving.
    pub to: Option<Who>,
}

/// A file that is moving.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MovingFile {
    /// Its content id; `None` while it is not known.
    pub id: Option<FileId>,
    /// Its name.
    pub name: Untrusted,
    /// Its length in bytes; 0 where that is not known.
    pub size: u64,
}

/// What becomes of a file of [`TransferLine`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransferState {
    /// It is being fetched, or waits for somebody who has it.
    Fetching,
    /// It will be fetched when others, asked for before, are here.
    Queued,
    /// The disk does not take this download now; it goes on when it does.
    Waiting,
    /// It is being sent to somebody.
    Serving,
    /// It is being read, in order to be offered.
    Hashing,
    /// It will be read when others are.
    HashQueued,
}

impl TransferState {
    /// Whether it is on its way here.
    #[must_use]
    pub fn is_download(self) -> bool {
        matches!(self, Self::Fetching | Self::Queued | Self::Waiting)
    }
}
