//! The machine for the swarm: all members that hold or fetch a file, and this node's part in it.
//!
//! It decides what is fetched, over which lanes and in which order, what people are told of it, and
//! what linked members hear of what this node holds. [`choice`] decides which chunk to fetch from
//! whom. Files are known only by content: who offers them, and under which names, is up to
//! [`super::files`]. It never speaks in the room and dials nobody.

pub mod choice;
mod disk;
mod ending;
mod fetching;
mod holders;
mod hosts;
mod lanes;
mod leftovers;
pub(crate) mod pace;
pub mod picker;
mod progress;
mod queue;
mod schedule;
pub mod sent;
mod serving;
mod shares;
pub(crate) mod telling;
#[cfg(test)]
mod tests;
mod uploads;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use self::choice::Choice;
use self::holders::Holders;
pub use self::lanes::LANES_PER_PAIR;
use self::leftovers::PartialFiles;
use self::progress::DownloadProgress;
pub use self::queue::FILE_CHUNKS_MAX;
pub(crate) use self::queue::{DOWNLOADS_MAX, FILE_MAX_BYTES, QUEUED_MAX};
use self::shares::{Portion, Shares};
use self::uploads::Uploads;
use super::command::SaveAs;
use super::ids::{ConnId, Digest32, FaceId, FileId, MemberId};
use super::notice::{Failure, FileInfo};
use super::text::Untrusted;
use super::time::Millis;
use super::word::{FileWord, best};
use crate::files::merkle;

/// A file, with the name that somebody gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedFile {
    pub(crate) id: FileId,
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) root: Digest32,
}

/// The name of a download on this computer, and its folder; `None`: the downloads folder.
pub(crate) type SavePlace = (SaveAs, Option<PathBuf>);

/// A request for a file.
#[derive(Debug)]
pub(crate) struct FileRequest {
    pub(crate) face: FaceId,
    pub(crate) line: u64,
    pub(crate) file: NamedFile,
    /// The requesting face does not wait, so the download may wait for a host.
    pub(crate) patient: bool,
    /// A person can answer questions, and the command is answered before the download ends.
    pub(crate) asks: bool,
    pub(crate) place: SavePlace,
}

impl FileRequest {
    /// The command to be answered at the end; a person's was answered already.
    fn command(&self) -> Option<(FaceId, u64)> {
        Some((self.face, self.line)).filter(|_| !self.asks)
    }
}

/// How far a download has come.
#[derive(Debug, PartialEq, Eq)]
enum DownloadStage {
    /// The partial file is being opened.
    Opening,
    /// The list of chunk hashes is needed, and requested over these lanes, last at that time.
    List(BTreeSet<ConnId>, Millis),
    Fetching,
    /// Every chunk is here.
    Finishing,
    /// The disk does not accept it at the moment.
    Waiting(DiskWait),
}

/// A download that waits for the disk.
#[derive(Debug, PartialEq, Eq)]
struct DiskWait {
    step: DiskStep,
    failure: Failure,
    /// `None` while the disk is being tried.
    look_at: Option<Millis>,
}

/// What failed and will be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DiskStep {
    Open,
    List,
    Fetch,
    Finish,
}

/// How the disk has treated a download so far.
#[derive(Debug, Default)]
struct DiskStops {
    /// Since when nothing could be written; a successful try does not end it, but a chunk does.
    since: Option<Millis>,
    told: Option<Millis>,
    /// It was reported that the download waits, and not yet that it resumes.
    owes_relief: bool,
}

/// A file that is being fetched.
#[derive(Debug)]
struct Download {
    file: NamedFile,
    commands: Vec<(FaceId, u64)>,
    /// Its number in the order of the requests.
    number: u64,
    turn: u64,
    stage: DownloadStage,
    helped: BTreeSet<MemberId>,
    bytes_fetched: u64,
    began: Millis,
    progress: DownloadProgress,
    hostless_since: Option<Millis>,
    /// It was reported that its only hosts here are out of reach.
    told_no_way: bool,
    stops: DiskStops,
    patient: bool,
    place: SavePlace,
    /// The faces that want it there.
    faces: BTreeSet<FaceId>,
    /// Requests for the same file at other places: it is copied when it is here.
    then: Vec<FileRequest>,
}

impl Download {
    fn info(&self) -> FileInfo {
        let NamedFile { id, name, size, .. } = &self.file;
        FileInfo { id: *id, name: Untrusted::new(name), size: *size }
    }

    fn name(&self) -> Untrusted {
        Untrusted::new(&self.file.name)
    }

    /// Whether every chunk is here.
    fn is_whole(&self) -> bool {
        match &self.stage {
            DownloadStage::Finishing => true,
            DownloadStage::Waiting(wait) => wait.step == DiskStep::Finish,
            _ => false,
        }
    }
}

/// The state of the lanes to one host.
#[derive(Debug, Default)]
struct HostLanes {
    /// Lanes for fetching from it, open or on their way.
    fetching: BTreeSet<ConnId>,
    next_address: usize,
    /// No dial before then.
    retry_at: Millis,
    /// It was asked to dial us, and we wait for that.
    asked_back: bool,
}

/// What is held here, what linked members hold, all downloads, and the lanes to their hosts.
#[derive(Debug, Default)]
pub(crate) struct Swarm {
    shares: Shares,
    holders: Holders,
    uploads: Uploads,
    downloads: BTreeMap<FileId, Download>,
    /// Downloads that wait for earlier ones.
    queued: BTreeMap<FileId, Download>,
    /// The same, in the order of the requests.
    queue: BTreeMap<u64, FileId>,
    /// Requests for what is already here: nothing is done until that was checked and, if a person
    /// is there, confirmed.
    again: Vec<FileRequest>,
    next_turn: u64,
    next_number: u64,
    lanes: BTreeMap<MemberId, HostLanes>,
    choice: Choice,
    leftovers: PartialFiles,
    /// Counts changes of who holds what.
    changes: u64,
}

impl Swarm {
    /// Whether a file is being fetched, or queued for that.
    pub(crate) fn is_fetching(&self, file: &FileId) -> bool {
        self.downloads.contains_key(file) || self.queued.contains_key(file)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.downloads.is_empty() && self.queued.is_empty()
    }

    /// Whether somebody may still be asked about a download.
    pub(crate) fn is_asking(&self) -> bool {
        !self.again.is_empty()
    }

    /// The downloads that a person may mean.
    pub(crate) fn named(&self, word: &FileWord) -> Vec<FileId> {
        let fits =
            |(file, of): (&FileId, &Download)| Some((word.fit(&of.file.name, [file])?, *file));
        best(self.downloads.iter().chain(&self.queued).filter_map(fits))
    }

    /// Whether all of a file is here.
    pub(crate) fn holds_all(&self, file: &FileId) -> bool {
        self.shares.portion(file) == Some(Portion::Whole)
    }

    /// Whether something of a file may be here.
    pub(crate) fn is_shared(&self, file: &FileId) -> bool {
        self.shares.portion(file).is_some()
    }

    /// Bytes that an earlier run left from a download of this file.
    pub(crate) fn kept_of(&self, file: &FileId) -> u64 {
        self.leftovers.bytes_of(file)
    }

    /// If this is no longer the same, it is worth checking again who holds what.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// How many of the chunks of a download are verified here.
    fn chunks_done(&self, download: &Download) -> u32 {
        match download.is_whole() {
            true => merkle::chunk_count(download.file.size),
            false => self.choice.picker(&download.file.id).map_or(0, |of| of.held().count()),
        }
    }

    fn bytes_done(&self, download: &Download) -> u64 {
        let chunk = u64::from(merkle::chunk_bytes(download.file.size));
        (u64::from(self.chunks_done(download)) * chunk).min(download.file.size)
    }

    fn live(&mut self, file: &FileId, turn: u64) -> Option<&mut Download> {
        self.downloads.get_mut(file).filter(|download| download.turn == turn)
    }
}
