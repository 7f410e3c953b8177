//! The work of a chunk thread: ask over a lane, receive in pieces, verify, write.

use std::time::Instant;

use crossbeam_channel::Sender;

use super::content::Content;
use super::failures;
use crate::files::merkle::{FileTree, chunk_count, chunk_range};
use crate::files::part::{ChunkWriter, PartError};
use crate::files::served::Served;
use crate::net::chunk::FetchLane;
use crate::net::lane::{ChunkWanted, HASH_BYTES, Request, TELL};
use crate::router::event::Want;
use crate::router::event::{Event, FetchError, Fetched};
use crate::router::ids::{ConnId, Digest32};
use crate::router::notice::{Code, Failure};

/// Fetches the list of chunk hashes, which counts only if it is the one of the file.
pub(super) fn list(content: &Content, lane: &FetchLane) -> Result<FileTree, FetchError> {
    let count = chunk_count(content.size) as usize;
    let request = Request { file: content.file, wanted: ChunkWanted::List };
    let mut answer = lane.ask(request)?.wait(|_| (count * HASH_BYTES) as u64)?;
    let mut bytes = Vec::new();
    while answer.left() > 0 {
        bytes.extend_from_slice(answer.read()?);
    }
    drop(answer);
    let hashes = bytes.as_chunks().0.iter().copied().map(Digest32).collect();
    FileTree::verified(&content.file, content.size, hashes).ok_or(FetchError::Bad)
}

/// One chunk on its way into its place.
pub(super) struct Fetching<'a> {
    pub(super) content: &'a Content,
    pub(super) served: &'a Served,
    pub(super) lane: &'a FetchLane,
    /// To the router.
    pub(super) inbox: &'a Sender<Event>,
    pub(super) conn: ConnId,
    pub(super) turn: u64,
}

impl Fetching<'_> {
    /// Fetches what is wanted.
    pub(super) fn run(&self, want: Want) -> Fetched {
        let (file, turn, conn) = (self.content.file, self.turn, self.conn);
        let chunk = match &want {
            Want::Chunk(chunk) => Some(*chunk),
            Want::Pick(_) => None,
        };
        let result = Err(FetchError::Lane);
        let mut fetched = Fetched { file, turn, conn, chunk, bytes: 0, more: 0, result };
        fetched.result = self.fetch(want, &mut fetched);
        fetched
    }

    fn fetch(&self, want: Want, fetched: &mut Fetched) -> Result<(), FetchError> {
        let (file, size) = (self.content.file, self.content.size);
        let picks = matches!(want, Want::Pick(_));
        let wanted = match want {
            Want::Chunk(chunk) if self.served.holds(chunk) => return Ok(()),
            Want::Chunk(chunk) => ChunkWanted::Chunk(chunk),
            Want::Pick(of) => ChunkWanted::Pick(of),
        };
        let length = |chunk| chunk_range(size, chunk).map_or(0, |(_, bytes)| u64::from(bytes));
        let mut answer = self.lane.ask(Request { file, wanted })?.wait(length)?;
        let chunk = answer.chunk();
        if picks {
            fetched.chunk = Some(chunk);
            self.tell(Event::ChunkPicked { file, turn: self.turn, conn: self.conn, chunk });
        }
        let expected = self.served.tree().chunk(chunk).ok_or(FetchError::NotHeld)?;
        // Only from here on: whoever has waited longest for its host should not keep the chunk
        // from one whose bytes are here.
        let mut writing = self.content.part.writer(chunk).ok_or(PartError::Superseded);
        let mut told = Instant::now();
        while answer.left() > 0 {
            let piece = answer.read()?;
            fetched.bytes += piece.len() as u64;
            fetched.more += piece.len() as u64;
            writing = self.write(writing, piece);
            if told.elapsed() >= TELL {
                told = Instant::now();
                let bytes = std::mem::take(&mut fetched.more);
                self.tell(Event::ChunkCame { file, conn: self.conn, chunk, bytes });
            }
        }
        // The next thread reads while this one settles.
        drop(answer);
        self.settle(chunk, writing, expected)
    }

    fn tell(&self, event: Event) {
        // Without a router nobody wants to know.
        let _ = self.inbox.send(event);
    }

    /// Writes a piece. What has nowhere to go, for the disk failed or another thread has the
    /// chunk, is still read to its end: the answers behind it must not be lost.
    fn write<'w>(
        &self,
        writing: Result<ChunkWriter<'w>, PartError>,
        piece: &[u8],
    ) -> Result<ChunkWriter<'w>, PartError> {
        let mut writer = writing?;
        writer.write(piece)?;
        Ok(writer)
    }

    fn settle(
        &self,
        chunk: u32,
        writing: Result<ChunkWriter<'_>, PartError>,
        expected: &Digest32,
    ) -> Result<(), FetchError> {
        match writing.and_then(|writer| writer.finish(expected)) {
            Ok(true) => {
                self.served.set_held(chunk);
                Ok(())
            }
            Ok(false) => Err(FetchError::Bad),
            Err(PartError::Superseded) if self.served.holds(chunk) => Ok(()),
            // The other thread is still at it, and may yet fail.
            Err(PartError::Superseded) => Err(FetchError::Busy),
            Err(error) => Err(FetchError::Disk(failures::of_part(&error))),
        }
    }
}

/// The router asked for something of a download that is not open.
pub(super) fn not_open() -> FetchError {
    let text = "the download is not open; start it again";
    FetchError::Disk(failures::lasting(Failure::new(Code::IoError, text)))
}
