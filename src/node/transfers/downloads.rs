//! Downloads: opening the partial file, fetching into it, and giving it its name.

use std::path::PathBuf;
use std::sync::Arc;

use time::OffsetDateTime;

use super::content::Content;
use super::fetching::{FetchTask, TaskContent};
use super::owed::ReplyGuard;
use super::{LaneHold, OpenPart, TransferShared, Transfers, failures};
use crate::files::merkle::{FileTree, chunk_count};
use crate::files::names::{download_name, safe_name, stamp};
use crate::files::served::Served;
use crate::net::lane::{ChunkWanted, Request};
use crate::router::command::SaveAs;
use crate::router::event::Want;
use crate::router::event::{DiskError, Event, FetchError, Fetched, PartState};
use crate::router::ids::{ConnId, Digest32, FileId};
use crate::router::notice::{Code, Failure};
use crate::router::swarm::FILE_MAX_BYTES;

/// [`crate::router::event::Effect::OpenPart`].
#[derive(Debug)]
pub(super) struct PartOpening {
    pub(super) file: FileId,
    pub(super) turn: u64,
    pub(super) size: u64,
    pub(super) root: Digest32,
    pub(super) name: String,
    pub(super) copy: bool,
    pub(super) folder: Option<PathBuf>,
}

/// A download that has its name.
#[derive(Debug)]
pub(super) struct SavedDownload {
    pub(super) path: PathBuf,
    /// Of a folder: what people are told of the names in it.
    pub(super) names: Option<String>,
}

impl Transfers {
    pub(super) fn open_part(&self, opening: PartOpening) -> Option<Event> {
        let PartOpening { file, turn, .. } = opening;
        let download = OpenPart { turn, content: None };
        let earlier = self.shared.lock().downloads.insert(file, download);
        earlier.into_iter().for_each(|earlier| self.put_away(earlier));
        let shared = Arc::clone(&self.shared);
        let submitted = self.disk.submit(move || {
            let result = Err(failures::lasting(failures::inside()));
            let failed = Event::PartOpened { file, turn, result };
            let owed = ReplyGuard::new(&shared.host.inbox, failed);
            let result = shared.open_part(&opening);
            owed.send(Event::PartOpened { file, turn, result });
        });
        submitted.err().map(|_| {
            let result = Err(failures::lasting(failures::too_much()));
            Event::PartOpened { file, turn, result }
        })
    }

    /// Checks whether the disk has room for these chunks.
    pub(super) fn try_part(&self, file: FileId, turn: u64, chunks: Vec<u32>) -> Option<Event> {
        let answer = move |result| Event::PartTried { file, turn, result };
        let shared = Arc::clone(&self.shared);
        let submitted = self.disk.submit(move || {
            let failed = answer(Err(failures::lasting(failures::inside())));
            let owed = ReplyGuard::new(&shared.host.inbox, failed);
            // A download that is gone needs no answer, and this download no chunk.
            let content = shared.lock().task(file, turn);
            let tried = match content {
                Some(TaskContent::File(content)) => content.part.try_room(&chunks),
                Some(TaskContent::Folder(content)) => content.staging.try_room(&chunks),
                Some(TaskContent::Manifest(_)) | None => Ok(()),
            };
            owed.send(answer(tried.map_err(|error| failures::of_part(&error))));
        });
        submitted.err().map(|_| answer(Err(failures::lasting(failures::too_much()))))
    }

    pub(super) fn fetch_list(&self, file: FileId, turn: u64, conn: ConnId) -> Option<Event> {
        let request = Request { file, wanted: ChunkWanted::List };
        let state = self.shared.lock();
        let content = state.task(file, turn).ok_or_else(not_open);
        let asked =
            content.and_then(|content| state.ask(conn, request, FetchTask { content, turn }));
        asked.err().map(|error| Event::ListFetched { file, turn, conn, result: Err(error) })
    }

    pub(super) fn fetch_folder_list(
        &self,
        (file, turn): (FileId, u64),
        conn: ConnId,
        entry: u32,
    ) -> Option<Event> {
        let request = Request { file, wanted: ChunkWanted::ListOf(entry) };
        let folder = self.shared.lock().folder(file, turn);
        if let Some(content) = folder.filter(|of| of.served.tree(entry).is_some()) {
            // It came for an earlier opening.
            let result = Ok(content.served.held().to_bitmap());
            return Some(Event::FolderListFetched { file, turn, conn, entry, result });
        }
        let state = self.shared.lock();
        let content = state.task(file, turn).ok_or_else(not_open);
        let asked =
            content.and_then(|content| state.ask(conn, request, FetchTask { content, turn }));
        let failed = |error| {
            let result = Err(error);
            Event::FolderListFetched { file, turn, conn, entry, result }
        };
        asked.err().map(failed)
    }

    pub(super) fn fetch(&self, file: FileId, turn: u64, conn: ConnId, want: Want) -> Option<Event> {
        let (chunk, wanted) = match want {
            Want::Chunk(chunk) => (Some(chunk), ChunkWanted::Chunk(chunk)),
            Want::Pick(of) => (None, ChunkWanted::Pick(of)),
        };
        let content = self.shared.lock().task(file, turn);
        let held = content.as_ref().and_then(|content| content.held());
        let is_held = held.map(|held| chunk.is_some_and(|chunk| held.has(chunk)));
        let result = match (content, is_held) {
            // An earlier opening had requested it.
            (_, Some(true)) => Ok(()),
            (Some(content), Some(false)) => {
                let wanted = match (&content, chunk) {
                    (TaskContent::Folder(content), Some(unit)) => content.wanted(unit),
                    _ => wanted,
                };
                let request = Request { file, wanted };
                match self.shared.lock().ask(conn, request, FetchTask { content, turn }) {
                    Ok(()) => return None,
                    Err(error) => Err(error),
                }
            }
            _ => Err(not_open()),
        };
        Some(Event::ChunkFetched(Fetched { file, turn, conn, chunk, bytes: 0, more: 0, result }))
    }

    pub(super) fn finish_part(
        &self,
        file: FileId,
        turn: u64,
        name: String,
        save: SaveAs,
    ) -> Option<Event> {
        let answer = move |finished: Result<SavedDownload, DiskError>| {
            let (result, names) = match finished {
                Ok(SavedDownload { path, names }) => (Ok(path), names),
                Err(error) => (Err(error), None),
            };
            Event::PartFinished { file, turn, result, names }
        };
        let shared = Arc::clone(&self.shared);
        let submitted = self.disk.submit(move || {
            let failed = answer(Err(failures::lasting(failures::inside())));
            let owed = ReplyGuard::new(&shared.host.inbox, failed);
            owed.send(answer(shared.finish_part(file, turn, &name, &save)));
        });
        submitted.err().map(|_| answer(Err(failures::lasting(failures::too_much()))))
    }

    pub(super) fn drop_part(&self, file: FileId, turn: u64) {
        self.drop_folder(file, turn);
        let dropped = self.shared.lock().take_download(file, turn);
        dropped.into_iter().for_each(|dropped| self.put_away(dropped));
    }

    /// Ends the interest in a download. Its file is closed elsewhere, because that takes time.
    fn put_away(&self, download: OpenPart) {
        let Some(content) = download.content else { return };
        content.abandon();
        if let Some(served) = content.served() {
            self.shared.host.sources.remove_this(&content.file, served);
        }
        // If the job cannot be queued, the file is closed here: better late than never.
        let _ = self.disk.submit(move || drop(content));
    }
}

impl super::TransfersState {
    fn take_download(&mut self, file: FileId, turn: u64) -> Option<OpenPart> {
        let current = self.downloads.get(&file).is_some_and(|download| download.turn == turn);
        if current { self.downloads.remove(&file) } else { None }
    }

    fn content(&self, file: FileId, turn: u64) -> Option<Arc<Content>> {
        let download = self.downloads.get(&file).filter(|download| download.turn == turn)?;
        download.content.clone()
    }

    /// For what something is fetched.
    fn task(&self, file: FileId, turn: u64) -> Option<TaskContent> {
        let part = || self.content(file, turn).map(TaskContent::File);
        let manifest = || self.manifest(file, turn).map(TaskContent::Manifest);
        let folder = || self.folder(file, turn).map(TaskContent::Folder);
        part().or_else(manifest).or_else(folder)
    }

    /// Has the thread of a lane ask for something.
    fn ask(&self, conn: ConnId, request: Request, task: FetchTask) -> Result<(), FetchError> {
        let Some(LaneHold::Fetch(_, Some(requests))) = self.lanes.get(&conn) else {
            return Err(FetchError::Lane);
        };
        let asked = requests.try_send((request, task));
        asked.map_err(|error| if error.is_full() { FetchError::Busy } else { FetchError::Lane })
    }
}

impl TransferShared {
    fn open_part(&self, opening: &PartOpening) -> Result<PartState, DiskError> {
        let PartOpening { file, turn, size, .. } = *opening;
        let folder = opening.folder.as_ref().unwrap_or(&self.folder);
        let opened = self.contents.obtain(&self.disk, folder, (file, size), FILE_MAX_BYTES);
        let content = opened.map_err(|error| failures::of_part(&error))?;
        content.part.note_name(&opening.name);
        {
            let mut state = self.lock();
            let current = state.downloads.get_mut(&file).filter(|current| current.turn == turn);
            let Some(current) = current else { return Ok(PartState::NeedsList) };
            content.set_turn(turn);
            current.content = Some(Arc::clone(&content));
        }
        let source = self.host.sources.get(&file);
        let known = match content.served() {
            Some(served) => Some(served.tree().clone()),
            None => short_tree(opening).or_else(|| Some(source.as_ref()?.tree().clone())),
        };
        let Some(tree) = known else { return Ok(PartState::NeedsList) };
        let served = self.adopt(&content, turn, tree)?;
        let source = source.filter(|source| opening.copy && !Arc::ptr_eq(source, &served));
        if let Some(source) = source.filter(|source| source.unchanged()) {
            let go_on = || content.is_for(turn) && !self.is_stopping();
            let copied = content.copy_from(&source, &served, &go_on);
            copied.map_err(|error| failures::of_part(&error))?;
            if content.part.is_complete() {
                return Ok(PartState::Complete);
            }
        }
        Ok(PartState::Verified(served.held()))
    }

    /// Takes the list of hashes for a download: from now on it is served as far as it has come.
    pub(super) fn adopt(
        &self,
        content: &Content,
        turn: u64,
        tree: FileTree,
    ) -> Result<Arc<Served>, DiskError> {
        let go_on = || content.is_for(turn) && !self.is_stopping();
        let adopted = content.adopt(tree, &self.open_files, &go_on);
        let served = Arc::clone(adopted.map_err(|error| failures::of_part(&error))?);
        if go_on() {
            self.host.sources.insert_if_absent(content.file, Arc::clone(&served));
        }
        Ok(served)
    }

    fn finish_part(
        &self,
        file: FileId,
        turn: u64,
        name: &str,
        save: &SaveAs,
    ) -> Result<SavedDownload, DiskError> {
        if let Some(finished) = self.finish_folder((file, turn), name, save) {
            return finished;
        }
        let missing = || failures::lasting(failures::inside());
        let content = self.lock().content(file, turn).ok_or_else(missing)?;
        let served = content.served().ok_or_else(missing)?;
        let chosen = match save {
            SaveAs::Dated => None,
            SaveAs::Plain => Some(safe_name(name)),
            SaveAs::Named(chosen)
            | SaveAs::Passing(chosen)
            | SaveAs::Mirror { name: chosen, .. } => Some(chosen.clone()),
        };
        let dated = download_name(&stamp(now()), name);
        let finished = content.part.finish_as(chosen.as_deref(), &dated, served.tree());
        let path = finished.map_err(|error| failures::of_part(&error))?;
        content.retire();
        match served.finished(path.clone()) {
            Ok(()) => self.host.sources.insert_if_absent(file, Arc::clone(served)),
            Err(error) => {
                tracing::warn!(%error, "a finished download is not served");
                self.host.sources.remove_this(&file, served);
            }
        }
        self.lock().take_download(file, turn);
        Ok(SavedDownload { path, names: None })
    }
}

/// The time here; without a time zone that of Greenwich.
pub(super) fn now() -> OffsetDateTime {
    OffsetDateTime::now_local().unwrap_or_else(|_| OffsetDateTime::now_utc())
}

/// The list of a file that needs none: a chunk of its own is its root, an empty one has nothing.
fn short_tree(opening: &PartOpening) -> Option<FileTree> {
    let hashes = match chunk_count(opening.size) {
        0 => Vec::new(),
        1 => vec![opening.root],
        _ => return None,
    };
    FileTree::verified(&opening.file, opening.size, hashes)
}

/// The router requested something of a download that is not open.
fn not_open() -> FetchError {
    let text = "the download is not open; start it again";
    FetchError::Disk(failures::lasting(Failure::new(Code::IoError, text)))
}
