//! The work of a lane's thread: reads what was requested in pieces, verifies and writes it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::Transfers;
use super::content::Content;
use super::failures;
use super::folders::{FolderContent, ManifestContent};
use super::owed::ReplyGuard;
use crate::files::held::HeldUnits;
use crate::files::merkle::{FileTree, chunk_count, chunk_range};
use crate::files::part::{ChunkWriter, PartError};
use crate::files::served::Served;
use crate::net::chunk::Answers;
use crate::net::lane::{ChunkWanted, HASH_BYTES, Request, TELL};
use crate::router::event::{Closed, Event, FetchError, Fetched};
use crate::router::ids::{ConnId, Digest32, FileId};

/// Which download a request is for.
pub(super) struct FetchTask {
    pub(super) content: TaskContent,
    pub(super) turn: u64,
}

/// What is fetched.
#[derive(Clone)]
pub(super) enum TaskContent {
    File(Arc<Content>),
    Manifest(Arc<ManifestContent>),
    Folder(Arc<FolderContent>),
}

impl TaskContent {
    /// What is verified of it; `None` before that can be.
    pub(super) fn held(&self) -> Option<&HeldUnits> {
        match self {
            Self::File(content) => content.served().map(|served| served.chunks()),
            Self::Manifest(content) => content.served().map(|served| served.chunks()),
            Self::Folder(content) => Some(content.served.held()),
        }
    }
}

/// A lane over which this node fetches, on the lane's own thread.
pub(super) struct Fetching<'a> {
    pub(super) transfers: &'a Transfers,
    pub(super) conn: ConnId,
    pub(super) answers: Answers,
}

impl Fetching<'_> {
    /// Takes answers to the requests until the lane ends, or nothing was requested for `idle`;
    /// returns how it ended.
    pub(super) fn run(mut self, asked: Receiver<(Request, FetchTask)>, idle: Duration) -> Closed {
        while let Ok((request, task)) = asked.recv_timeout(idle) {
            match (request.wanted.clone(), task.content.clone()) {
                (ChunkWanted::ListOf(entry), TaskContent::Folder(content)) => {
                    self.folder_list(&request, (content, task.turn), entry);
                }
                (_, TaskContent::Manifest(content)) if request.wanted == ChunkWanted::List => {
                    self.manifest_list(&request, (content, task.turn));
                }
                (_, TaskContent::File(content)) if request.wanted == ChunkWanted::List => {
                    self.list(&request, (content, task.turn));
                }
                _ => self.chunk(&request, &task),
            }
            if let Some(closed) = self.answers.closed() {
                return closed;
            }
        }
        Closed::ByUs
    }

    /// Fetches the list of chunk hashes, which counts only if it is the one of the file.
    fn list(&mut self, request: &Request, (content, turn): (Arc<Content>, u64)) {
        let (file, conn) = (request.file, self.conn);
        let answer = move |result| Event::ListFetched { file, turn, conn, result };
        let tree = match self.tree(request, content.size, &content.file) {
            Ok(tree) => tree,
            Err(error) => return self.tell(answer(Err(error))),
        };
        let shared = Arc::clone(&self.transfers.shared);
        // What an earlier run left must be hashed, which may take long: others wait for this lane.
        let submitted = self.transfers.slow.submit(move || {
            let owed = ReplyGuard::new(&shared.host.inbox, answer(Err(FetchError::Lane)));
            let adopted = shared.adopt(&content, turn, tree);
            owed.send(answer(adopted.map(|served| served.held()).map_err(FetchError::Disk)));
        });
        if submitted.is_err() {
            self.tell(answer(Err(FetchError::Busy)));
        }
    }

    pub(super) fn tree(
        &mut self,
        request: &Request,
        size: u64,
        id: &FileId,
    ) -> Result<FileTree, FetchError> {
        let count = chunk_count(size) as usize;
        self.answers.begin(request, |_| (count * HASH_BYTES) as u64)?;
        let mut bytes = Vec::new();
        while self.answers.left() > 0 {
            bytes.extend_from_slice(self.answers.read()?);
        }
        let hashes = bytes.as_chunks().0.iter().copied().map(Digest32).collect();
        FileTree::verified(id, size, hashes).ok_or(FetchError::Bad)
    }

    /// Fetches a chunk to its place.
    fn chunk(&mut self, request: &Request, task: &FetchTask) {
        let (file, turn, conn) = (request.file, task.turn, self.conn);
        let chunk = match request.wanted {
            ChunkWanted::Chunk(chunk) | ChunkWanted::Files { unit: chunk, .. } => Some(chunk),
            _ => None,
        };
        let result = Err(FetchError::Lane);
        let mut fetched = Fetched { file, turn, conn, chunk, bytes: 0, more: 0, result };
        fetched.result = match &task.content {
            TaskContent::File(content) => self.fetch(request, content, &mut fetched),
            TaskContent::Manifest(content) => self.fetch_manifest(request, content, &mut fetched),
            TaskContent::Folder(content) => self.fetch_unit(request, content, &mut fetched),
        };
        let chunk = fetched.chunk;
        self.tell(Event::ChunkFetched(fetched));
        // A disk may take seconds for it. Without a thread a later chunk asks again.
        let slow = &self.transfers.slow;
        match (&task.content, chunk) {
            (TaskContent::File(content), _) if content.part.wants_sync() => {
                let synced = Arc::clone(content);
                if slow.submit(move || synced.part.sync_early()).is_err() {
                    content.part.skip_sync();
                }
            }
            (TaskContent::Folder(content), Some(unit)) if content.staging.wants_sync(unit) => {
                let synced = Arc::clone(content);
                if slow.submit(move || synced.staging.sync_early(unit)).is_err() {
                    content.staging.skip_sync(unit);
                }
            }
            _ => {}
        }
    }

    fn fetch(
        &mut self,
        request: &Request,
        content: &Content,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        let length =
            |chunk| chunk_range(content.size, chunk).map_or(0, |(_, bytes)| u64::from(bytes));
        let chunk = self.begin(request, fetched, length)?;
        let served = content.served().ok_or(FetchError::NotHeld)?;
        let expected = served.tree().chunk(chunk).ok_or(FetchError::NotHeld)?;
        // Not before this: the lane that has waited longest for its host should not keep the chunk
        // from one whose bytes are here.
        let mut writing = content.part.writer(chunk).ok_or(PartError::Superseded);
        self.take(chunk, fetched, |piece| {
            let held = std::mem::replace(&mut writing, Err(PartError::Superseded));
            writing = write(held, piece);
        })?;
        settle(served, chunk, writing, expected)
    }

    /// Waits for a chunk to begin, and tells which if the host picked it.
    pub(super) fn begin(
        &mut self,
        request: &Request,
        fetched: &mut Fetched,
        length: impl Fn(u32) -> u64,
    ) -> Result<u32, FetchError> {
        let (file, turn, conn) = (fetched.file, fetched.turn, fetched.conn);
        let chunk = self.answers.begin(request, length)?;
        if fetched.chunk.replace(chunk).is_none() {
            self.tell(Event::ChunkPicked { file, turn, conn, chunk });
        }
        Ok(chunk)
    }

    /// Takes the bytes of a chunk as they come.
    pub(super) fn take(
        &mut self,
        chunk: u32,
        fetched: &mut Fetched,
        mut with: impl FnMut(&[u8]),
    ) -> Result<(), FetchError> {
        let (file, conn) = (fetched.file, fetched.conn);
        let mut told = Instant::now();
        while self.answers.left() > 0 {
            let piece = self.answers.read()?;
            fetched.bytes += piece.len() as u64;
            fetched.more += piece.len() as u64;
            with(piece);
            if told.elapsed() >= TELL {
                told = Instant::now();
                let bytes = std::mem::take(&mut fetched.more);
                self.tell(Event::ChunkCame { file, conn, chunk, bytes });
            }
        }
        Ok(())
    }

    pub(super) fn tell(&self, event: Event) {
        // Without a router nobody wants to know.
        let _ = self.transfers.shared.host.inbox.send(event);
    }
}

/// Writes a piece. If it has nowhere to go, because the disk failed or another lane has the chunk,
/// it is still read to its end: the answers after it must not be lost.
fn write<'w>(
    writing: Result<ChunkWriter<'w>, PartError>,
    piece: &[u8],
) -> Result<ChunkWriter<'w>, PartError> {
    let mut writer = writing?;
    writer.write(piece)?;
    Ok(writer)
}

fn settle(
    served: &Served,
    chunk: u32,
    writing: Result<ChunkWriter<'_>, PartError>,
    expected: &Digest32,
) -> Result<(), FetchError> {
    match writing.and_then(|writer| writer.finish(expected)) {
        Ok(true) => {
            served.set_held(chunk);
            Ok(())
        }
        Ok(false) => Err(FetchError::Bad),
        Err(PartError::Superseded) if served.holds(chunk) => Ok(()),
        // The other lane is still fetching it, and may yet fail.
        Err(PartError::Superseded) => Err(FetchError::Busy),
        Err(error) => Err(FetchError::Disk(failures::of_part(&error))),
    }
}
