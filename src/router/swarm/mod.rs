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
mod folders;
mod holders;
mod hosts;
mod lanes;
mod leftovers;
mod looking;
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
use self::folders::FolderLists;
use self::holders::Holders;
pub use self::lanes::LANES_PER_PAIR;
use self::leftovers::PartialFiles;
pub(crate) use self::looking::FolderLook;
use self::looking::FolderLooks;
use self::progress::DownloadProgress;
pub use self::queue::FILE_CHUNKS_MAX;
pub(crate) use self::queue::{DOWNLOADS_MAX, FILE_MAX_BYTES, QUEUED_MAX};
use self::shares::{Portion, Shares};
use self::uploads::Uploads;
use super::command::SaveAs;
use super::ids::{ConnId, Digest32, FaceId, FileId, MemberId};
use super::layout::Layout;
use super::notice::{Code, Failure, FileInfo, FolderInfo};
use super::part::FolderPart;
use super::signed::{FolderSummary, Offer};
use super::text::Untrusted;
use super::time::Millis;
use super::word::{FileWord, best};
use crate::files::folder::manifest::folder_id;
use crate::files::merkle;

/// A file, with the name that somebody gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedFile {
    pub(crate) id: FileId,
    pub(crate) name: String,
    /// Bytes in it.
    pub(crate) size: u64,
    /// Of a folder that of its manifest.
    pub(crate) root: Digest32,
    pub(crate) folder: Option<NamedFolder>,
}

/// What an offer says of a folder beside its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NamedFolder {
    pub(crate) manifest: FileId,
    pub(crate) manifest_bytes: u64,
    pub(crate) files: u32,
    pub(crate) units: u32,
}

impl NamedFile {
    pub(crate) fn of(offer: &Offer) -> Self {
        let Offer { name, size, root, .. } = offer.clone();
        let id = merkle::file_id(size, &root);
        let Some(summary) = offer.folder else {
            return Self { id, name, size, root, folder: None };
        };
        let FolderSummary { files, bytes, units } = summary;
        let folder = NamedFolder { manifest: id, manifest_bytes: size, files, units };
        Self { id: FileId(folder_id(&id)), name, size: bytes, root, folder: Some(folder) }
    }

    /// The offer of it, in place of no other.
    pub(crate) fn to_offer(&self) -> Offer {
        let Self { name, size, root, folder, .. } = self.clone();
        let summary =
            |of: NamedFolder| FolderSummary { files: of.files, bytes: size, units: of.units };
        Offer {
            name,
            size: folder.map_or(size, |of| of.manifest_bytes),
            root,
            folder: folder.map(summary),
            replaces: None,
        }
    }

    /// The same folder with these figures, which its manifest says.
    fn measured(self, summary: FolderSummary) -> Self {
        let FolderSummary { files, bytes, units } = summary;
        let Some(folder) = self.folder else { return self };
        Self { size: bytes, folder: Some(NamedFolder { files, units, ..folder }), ..self }
    }

    /// In which chunks it is fetched; `None` of a folder, whose manifest says it.
    pub(crate) fn layout(&self) -> Option<Layout> {
        self.folder.is_none().then_some(Layout::File(self.size))
    }

    /// As faces know it.
    pub(crate) fn info(&self) -> FileInfo {
        FileInfo { id: self.id, name: Untrusted::new(&self.name), size: self.size }
    }

    /// The list of the folder tells of other files than its offer.
    fn other_files(&self) -> Failure {
        let name = Untrusted::new(&self.name);
        let text = format!("{name} is not what was offered: its list tells of other files");
        Failure::new(Code::BadManifest, text)
    }

    /// A folder as faces are told of it.
    pub(crate) fn folder_info(&self) -> Option<FolderInfo> {
        self.folder.map(|of| FolderInfo { files: of.files, bytes: self.size })
    }
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
    /// What of a folder is wanted; `None`: all.
    pub(crate) part: Option<FolderPart>,
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
    /// The manifest of the folder is fetched first, by a download of its own.
    Manifest,
    /// The list of chunk hashes is wanted, and asked for over these lanes, last at that time.
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
    /// In which chunks it is fetched.
    layout: Layout,
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
    /// It is the manifest of this folder, and nobody asked for it.
    part_of: Option<FileId>,
    lists: FolderLists,
    /// What of a folder is wanted; `None`: all.
    part: Option<FolderPart>,
}

impl Download {
    /// One that nobody asked for yet.
    fn new(file: NamedFile, place: SavePlace, patient: bool, now: Millis) -> Self {
        Self {
            // Of a folder it is known once its manifest is here.
            layout: file.layout().unwrap_or(Layout::File(0)),
            file,
            commands: Vec::new(),
            number: 0,
            turn: 0,
            stage: DownloadStage::Opening,
            helped: BTreeSet::new(),
            bytes_fetched: 0,
            began: now,
            progress: DownloadProgress::new(now),
            hostless_since: None,
            told_no_way: false,
            stops: DiskStops::default(),
            patient,
            place,
            faces: BTreeSet::new(),
            then: Vec::new(),
            part_of: None,
            lists: FolderLists::default(),
            part: None,
        }
    }

    fn info(&self) -> FileInfo {
        self.file.info()
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
    /// Of folders that are here, wholly or in part.
    manifests: BTreeMap<FileId, FileId>,
    looks: FolderLooks,
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
        let asked = self.downloads.iter().filter(|(_, of)| of.part_of.is_none());
        best(asked.chain(&self.queued).filter_map(fits))
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

    /// Bytes of a download that are verified here.
    fn bytes_done(&self, download: &Download) -> u64 {
        if download.is_whole() {
            return download.file.size;
        }
        let picker = self.choice.picker(&download.file.id);
        picker.map_or(0, |picker| download.layout.bytes_of(picker.held()))
    }

    fn live(&mut self, file: &FileId, turn: u64) -> Option<&mut Download> {
        self.downloads.get_mut(file).filter(|download| download.turn == turn)
    }
}
