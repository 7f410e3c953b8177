//! The machine of the swarm: all members that hold or fetch a file, and this node's part in it.
//!
//! It decides what is fetched, over which lanes and in which order, what people are told of it, and
//! what linked members hear of what this node holds. [`choice`] decides which chunk to fetch from
//! whom. Files are known by their content only: who offers them, and under which names, is decided
//! by [`super::files`]. It never speaks in the room and dials nobody.

pub mod choice;
mod disk;
mod ending;
mod fetching;
mod folders;
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
use self::folders::FolderLists;
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
use super::layout::Layout;
use super::notice::{Failure, FileInfo, FolderInfo};
use super::signed::{FolderSummary, Offer};
use super::text::Untrusted;
use super::time::Millis;
use super::word::{FileWord, best};
use crate::files::folder::manifest::folder_id;
use crate::files::merkle;

/// A file under the name that somebody gave it.
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

    /// In which chunks it is fetched; `None` of a folder, whose manifest says it.
    pub(crate) fn layout(&self) -> Option<Layout> {
        self.folder.is_none().then_some(Layout::File(self.size))
    }

    /// A folder as faces are told of it.
    pub(crate) fn folder_info(&self) -> Option<FolderInfo> {
        self.folder.map(|of| FolderInfo { files: of.files, bytes: self.size })
    }
}

/// How a download is called on this computer, and in which folder; `None`: that for downloads.
pub(crate) type SavePlace = (SaveAs, Option<PathBuf>);

/// Somebody wants a file.
#[derive(Debug)]
pub(crate) struct FileRequest {
    pub(crate) face: FaceId,
    pub(crate) line: u64,
    pub(crate) file: NamedFile,
    /// The face that asked for it does not wait: the download may wait for a host.
    pub(crate) patient: bool,
    /// A person is there to be asked, and is answered before the download has ended.
    pub(crate) asks: bool,
    pub(crate) place: SavePlace,
    /// What of a folder is wanted; `None`: all.
    pub(crate) part: Option<String>,
}

impl FileRequest {
    /// The command that is to be answered in the end; a person was answered already.
    fn command(&self) -> Option<(FaceId, u64)> {
        Some((self.face, self.line)).filter(|_| !self.asks)
    }
}

/// How far a download is.
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
    /// The disk does not take it now.
    Waiting(DiskWait),
}

/// A download that waits for the disk.
#[derive(Debug, PartialEq, Eq)]
struct DiskWait {
    step: DiskStep,
    failure: Failure,
    /// `None` while the disk is being looked at.
    look_at: Option<Millis>,
}

/// What failed and is tried again.
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
    /// Since when nothing could be written; a look that went well does not end it, a chunk does.
    since: Option<Millis>,
    told: Option<Millis>,
    /// It was told that the download waits, and not yet that it goes on.
    owes_relief: bool,
}

/// A file that is being fetched.
#[derive(Debug)]
struct Download {
    file: NamedFile,
    /// In which chunks it is fetched.
    layout: Layout,
    commands: Vec<(FaceId, u64)>,
    /// Which in the order asked.
    number: u64,
    turn: u64,
    stage: DownloadStage,
    helped: BTreeSet<MemberId>,
    bytes_fetched: u64,
    began: Millis,
    progress: DownloadProgress,
    hostless_since: Option<Millis>,
    /// It was told that who has it is here, and out of reach.
    told_no_way: bool,
    stops: DiskStops,
    patient: bool,
    place: SavePlace,
    /// Who wants it there.
    faces: BTreeSet<FaceId>,
    /// The same file elsewhere as well: copied when it is here.
    then: Vec<FileRequest>,
    /// It is the manifest of this folder, and nobody asked for it.
    part_of: Option<FileId>,
    lists: FolderLists,
    /// What of a folder is wanted; `None`: all.
    part: Option<String>,
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
        let NamedFile { id, name, size, .. } = &self.file;
        FileInfo { id: *id, name: Untrusted::new(name), size: *size }
    }

    fn name(&self) -> Untrusted {
        Untrusted::new(&self.file.name)
    }

    /// Every chunk is here.
    fn is_whole(&self) -> bool {
        match &self.stage {
            DownloadStage::Finishing => true,
            DownloadStage::Waiting(wait) => wait.step == DiskStep::Finish,
            _ => false,
        }
    }
}

/// How lanes to one host are doing.
#[derive(Debug, Default)]
struct HostLanes {
    /// Lanes over which we fetch from it, open or on their way.
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
    /// Downloads that wait for those which were asked for before.
    queued: BTreeMap<FileId, Download>,
    /// The same in the order asked.
    queue: BTreeMap<u64, FileId>,
    /// Of what is here already: nothing is done about it before that was looked at and, where
    /// somebody is there, asked about.
    again: Vec<FileRequest>,
    next_turn: u64,
    next_number: u64,
    lanes: BTreeMap<MemberId, HostLanes>,
    choice: Choice,
    leftovers: PartialFiles,
    /// Of folders that are here, wholly or in part.
    manifests: BTreeMap<FileId, FileId>,
    /// Counts changes of who holds what.
    changes: u64,
}

impl Swarm {
    /// Whether a file is being fetched, or queued for it.
    pub(crate) fn is_fetching(&self, file: &FileId) -> bool {
        self.downloads.contains_key(file) || self.queued.contains_key(file)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.downloads.is_empty() && self.queued.is_empty()
    }

    /// Somebody may still be asked about a download.
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

    /// All of a file is here.
    pub(crate) fn holds_all(&self, file: &FileId) -> bool {
        self.shares.portion(file) == Some(Portion::Whole)
    }

    /// Something of a file may be here.
    pub(crate) fn is_shared(&self, file: &FileId) -> bool {
        self.shares.portion(file).is_some()
    }

    /// Bytes that an earlier run left of a download of this file.
    pub(crate) fn kept_of(&self, file: &FileId) -> u64 {
        self.leftovers.bytes_of(file)
    }

    /// It is worthwhile to look again who holds what, if this is not what it was then.
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
