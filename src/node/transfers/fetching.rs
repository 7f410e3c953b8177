//! The work of a chunk thread: ask over a lane, receive in small pieces, verify, write.

use super::content::Content;
use super::failures;
use crate::files::merkle::{FileTree, chunk_count, chunk_range};
use crate::files::part::{ChunkWriter, PartError};
use crate::files::served::Served;
use crate::net::chunk::FetchLane;
use crate::net::lane::{BATCH_BYTES, HASH_BYTES, Request, Wanted};
use crate::router::event::FetchError;
use crate::router::ids::Digest32;
use crate::router::notice::{Code, Failure};

/// Fetches the list of chunk hashes, which counts only if it is the one of the file.
pub(super) fn list(
    content: &Content,
    lane: &FetchLane,
    buffer: &mut Vec<u8>,
) -> Result<FileTree, FetchError> {
    let count = chunk_count(content.size) as usize;
    let request = Request { file: content.file, wanted: Wanted::List };
    let mut answer = lane.ask(request)?.wait((count * HASH_BYTES) as u64)?;
    let mut bytes = Vec::new();
    while answer.left() > 0 {
        answer.read(buffer)?;
        bytes.extend_from_slice(buffer);
    }
    drop(answer);
    let hashes = bytes.as_chunks().0.iter().copied().map(Digest32).collect();
    FileTree::verified(&content.file, content.size, hashes).ok_or(FetchError::Bad)
}

/// What became of a chunk.
pub(super) struct Fetched {
    /// Bytes that came over the network.
    pub(super) bytes: u64,
    /// Verified and written, or why not.
    pub(super) result: Result<(), FetchError>,
}

/// Fetches one chunk into its place.
pub(super) fn chunk(
    content: &Content,
    served: &Served,
    lane: &FetchLane,
    chunk: u32,
    buffer: &mut Vec<u8>,
) -> Fetched {
    let mut fetching = Fetching { content, served, chunk, bytes: 0 };
    let result = fetching.run(lane, buffer);
    Fetched { bytes: fetching.bytes, result }
}

struct Fetching<'a> {
    content: &'a Content,
    served: &'a Served,
    chunk: u32,
    bytes: u64,
}

impl Fetching<'_> {
    fn run(&mut self, lane: &FetchLane, buffer: &mut Vec<u8>) -> Result<(), FetchError> {
        let range = chunk_range(self.content.size, self.chunk);
        let (Some((_, bytes)), Some(expected)) = (range, self.served.tree().chunk(self.chunk))
        else {
            return Err(FetchError::NotHeld);
        };
        if self.served.holds(self.chunk) {
            return Ok(());
        }
        buffer.reserve_exact(BATCH_BYTES);
        let request = Request { file: self.content.file, wanted: Wanted::Chunk(self.chunk) };
        let mut answer = lane.ask(request)?.wait(u64::from(bytes))?;
        // Only from here on: whoever has waited longest for its host should not keep the chunk
        // from one whose bytes are here.
        let mut writing = self.content.part.writer(self.chunk).ok_or(PartError::Superseded);
        loop {
            answer.read(buffer)?;
            self.bytes += buffer.len() as u64;
            if answer.left() == 0 {
                break;
            }
            writing = self.write(writing, buffer);
        }
        // The next thread reads while this one hashes and writes its last piece.
        drop(answer);
        let writing = self.write(writing, buffer);
        self.settle(writing, expected)
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
        writing: Result<ChunkWriter<'_>, PartError>,
        expected: &Digest32,
    ) -> Result<(), FetchError> {
        match writing.and_then(|writer| writer.finish(expected)) {
            Ok(true) => {
                self.served.set_held(self.chunk);
                Ok(())
            }
            Ok(false) => Err(FetchError::Bad),
            Err(PartError::Superseded) if self.served.holds(self.chunk) => Ok(()),
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
