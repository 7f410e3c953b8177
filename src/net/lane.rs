//! The protocol of a data lane: requests one way, bytes the other.
//!
//! A lane is a connection that was admitted like a session and then carries nothing but files. One
//! side asks, and the other answers each request in turn. Everything travels in records of the
//! channel ([`super::stream`]); integers are big-endian.
//!
//! A **request** is one record:
//!
//! | bytes | meaning |
//! |---|---|
//! | 1 | kind, see below |
//! | 32 | id of the file or folder |
//! | 4 | number, see below |
//! | 2 | only for kind 4: how many files the bundle has |
//! | n | for kinds 3 and 4: which, one bit each, the first in the highest bit of byte 0 |
//!
//! | kind | asks for | number |
//! |---|---|---|
//! | 1 | the list of chunk hashes | 0 |
//! | 2 | a chunk or unit | its own |
//! | 3 | one of those marked, which the host picks | how many there are |
//! | 4 | the files of a bundle that are marked, joined | of the unit |
//! | 5 | the list of chunk hashes of a file in a folder | index of its entry |
//!
//! Up to 16 requests may be unanswered; a host closes a lane on which it finds more.
//!
//! An **answer** begins with one record:
//!
//! | bytes | meaning |
//! |---|---|
//! | 1 | kind, as asked |
//! | 1 | status: 0 the bytes follow, 1 not held, 2 busy, 3 the file changed on disk, 4 elsewhere |
//! | 32 | id of the file, as asked |
//! | 4 | number of the chunk, as asked or picked; 0 where nothing was picked |
//! | 8 | number of bytes that follow; 0 unless the status is 0 |
//!
//! *Elsewhere* answers a pick if each acceptable chunk was sent to a member that is linked: those
//! members will announce it soon.
//!
//! Then come **data records** that together carry exactly that many bytes, none of them empty. An
//! empty record instead says that the host cannot read on (the file changed or its disk failed):
//! the answer ends there, and the lane goes on with the next.
//!
//! The list contains the hashes of all chunks, 32 bytes each; it is checked against the file's root
//! before any chunk is requested. The asking side knows the length of every answer from the file's
//! size; an answer of another length is a violation that ends the lane.

use std::time::Duration;

use super::channel::{RecvError, SendError};
use crate::files::folder::units::BUNDLE_FILES_MAX;
use crate::router::bitmap::Bitmap;
use crate::router::event::Closed;
use crate::router::ids::FileId;
use crate::router::swarm::FILE_CHUNKS_MAX;

/// Bytes of a request that is no pick, and of the part of a pick before the bitmap.
pub const REQUEST_BYTES: usize = 37;
/// Bytes of the record that begins an answer.
pub const HEADER_BYTES: usize = 46;
/// Bytes in a data record, except the last of an answer, as this program sends them: a power of
/// two, so that buffers, leaves and pages end together, and small enough for a core's first cache.
pub const DATA_BYTES: usize = 32 * 1024;
/// Bytes that are read, sealed and written at a time: the memory that a thread needs for bulk.
pub const BATCH_BYTES: usize = 256 * 1024;

/// While a chunk takes longer than this, both routers are told its progress.
pub const TELL: Duration = Duration::from_millis(500);

/// Bytes of a chunk's hash in the list.
pub const HASH_BYTES: usize = 32;

/// What is requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChunkWanted {
    /// The hashes of all chunks.
    List,
    /// A chunk.
    Chunk(u32),
    /// One of these, chosen by the host.
    Pick(Bitmap),
    /// Some files of a bundle, joined.
    Files {
        /// Number of the unit.
        unit: u32,
        /// Which of its files, in order.
        of: Bitmap,
    },
    /// The hashes of all chunks of a file in a folder, by the index of its entry.
    ListOf(u32),
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The file.
    pub file: FileId,
    /// Which part of it.
    pub wanted: ChunkWanted,
}

/// How an answer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The bytes follow.
    Ok,
    /// The host has no such file, or not this part of it.
    NotHeld,
    /// The host serves too many others.
    Busy,
    /// The file is no longer what was offered.
    Changed,
    /// All chunks to pick from were sent to others, which will pass them on.
    Elsewhere,
}

const STATUSES: [Status; 5] =
    [Status::Ok, Status::NotHeld, Status::Busy, Status::Changed, Status::Elsewhere];

/// The first record of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Kind of the request that it answers.
    pub kind: u8,
    /// Its status.
    pub status: Status,
    /// The file.
    pub file: FileId,
    /// The chunk; 0 if there is none.
    pub chunk: u32,
    /// Number of bytes that follow.
    pub bytes: u64,
}

impl Request {
    /// Its kind, as it travels.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self.wanted {
            ChunkWanted::List => 1,
            ChunkWanted::Chunk(_) => 2,
            ChunkWanted::Pick(_) => 3,
            ChunkWanted::Files { .. } => 4,
            ChunkWanted::ListOf(_) => 5,
        }
    }

    /// The record's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (number, which) = match &self.wanted {
            ChunkWanted::List => (0, Vec::new()),
            ChunkWanted::Chunk(chunk) => (*chunk, Vec::new()),
            ChunkWanted::Pick(of) => (of.len(), of.to_bytes()),
            ChunkWanted::Files { unit, of } => {
                let count = u16::try_from(of.len()).unwrap_or(u16::MAX);
                (*unit, [&count.to_be_bytes()[..], &of.to_bytes()].concat())
            }
            ChunkWanted::ListOf(entry) => (*entry, Vec::new()),
        };
        [&[self.kind()][..], &self.file.0, &number.to_be_bytes(), &which].concat()
    }

    /// Reads a record; `None` if it is not a request.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (file, rest) = rest.split_first_chunk()?;
        let (number, which) = rest.split_first_chunk()?;
        let wanted = match (kind, u32::from_be_bytes(*number)) {
            (1, 0) if which.is_empty() => ChunkWanted::List,
            (2, chunk) if which.is_empty() => ChunkWanted::Chunk(chunk),
            // The length is checked before anything is allocated.
            (3, chunks) => ChunkWanted::Pick(Bitmap::from_bytes(chunks, which)?),
            (4, unit) => {
                let (count, which) = which.split_first_chunk()?;
                let count = u32::from(u16::from_be_bytes(*count));
                let of = Bitmap::from_bytes(count, which).filter(|of| of.count() > 0)?;
                (count <= BUNDLE_FILES_MAX).then_some(ChunkWanted::Files { unit, of })?
            }
            (5, entry) if which.is_empty() => ChunkWanted::ListOf(entry),
            _ => return None,
        };
        Some(Self { file: FileId(*file), wanted })
    }

    /// Whether a header answers it; a host may pick only an acceptable chunk.
    #[must_use]
    pub fn is_answered_by(&self, header: &Header) -> bool {
        let fits = match &self.wanted {
            ChunkWanted::List => header.chunk == 0,
            ChunkWanted::Chunk(chunk) => header.chunk == *chunk,
            ChunkWanted::Pick(of) => header.status != Status::Ok || of.has(header.chunk),
            ChunkWanted::Files { unit, .. } => header.chunk == *unit,
            ChunkWanted::ListOf(entry) => header.chunk == *entry,
        };
        fits && header.kind == self.kind() && header.file == self.file
    }
}

/// Bytes of the longest request: a pick from the longest file.
pub const REQUEST_MAX_BYTES: usize = REQUEST_BYTES + (FILE_CHUNKS_MAX as usize).div_ceil(8);

impl Header {
    /// The header that answers `request`; `chunk` is the one that was picked.
    #[must_use]
    pub fn of(request: &Request, chunk: u32, status: Status, bytes: u64) -> Self {
        let chunk = match &request.wanted {
            ChunkWanted::List => 0,
            ChunkWanted::Chunk(chunk) => *chunk,
            ChunkWanted::Files { unit, .. } => *unit,
            ChunkWanted::ListOf(entry) => *entry,
            ChunkWanted::Pick(_) => chunk,
        };
        Self { kind: request.kind(), status, file: request.file, chunk, bytes }
    }

    /// The record's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let status = STATUSES.iter().position(|status| *status == self.status).unwrap_or(1);
        let (file, chunk, length) =
            (self.file.0, self.chunk.to_be_bytes(), self.bytes.to_be_bytes());
        let mut bytes = [0; HEADER_BYTES];
        put(&mut bytes, &[&[self.kind, status as u8], &file, &chunk, &length]);
        bytes
    }

    /// Reads a record; `None` if it does not begin an answer.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let ([kind, status], rest) = bytes.split_first_chunk()?;
        let (file, rest) = rest.split_first_chunk()?;
        let (chunk, rest) = rest.split_first_chunk()?;
        let status = *STATUSES.get(usize::from(*status))?;
        let bytes = u64::from_be_bytes(rest.try_into().ok()?);
        let (file, chunk) = (FileId(*file), u32::from_be_bytes(*chunk));
        Some(Self { kind: *kind, status, file, chunk, bytes })
    }
}

/// How a lane ends after a receiving error.
pub(super) fn closed_by_recv(error: RecvError) -> Closed {
    match error {
        RecvError::Closed => Closed::Gone,
        RecvError::TimedOut => Closed::Silent,
        RecvError::TooLong { .. } | RecvError::BadRecord => Closed::Protocol(error.to_string()),
    }
}

/// How a lane ends after a sending error.
pub(super) fn closed_by_send(error: SendError) -> Closed {
    match error {
        SendError::Closed | SendError::TooLong { .. } | SendError::UsedUp => Closed::Gone,
        SendError::Stuck => Closed::Silent,
    }
}

/// How a lane ends after something that must not come.
pub(super) fn violation(what: &str) -> Closed {
    Closed::Protocol(format!("what came over a data lane is {what}"))
}

/// Writes the parts one after another into `out`, which is as long as all of them.
fn put(out: &mut [u8], parts: &[&[u8]]) {
    for (place, byte) in out.iter_mut().zip(parts.iter().flat_map(|part| part.iter())) {
        *place = *byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_back_and_others_refused() {
        let file = FileId([7; 32]);
        let mut some = Bitmap::none(10);
        some.insert(3);
        some.insert(9);
        let files = ChunkWanted::Files { unit: 7, of: some.clone() };
        let pick = ChunkWanted::Pick(some);
        let [first, last] = [0, u32::MAX].map(ChunkWanted::Chunk);
        for wanted in [ChunkWanted::List, first, last, pick, files, ChunkWanted::ListOf(9)] {
            let request = Request { file, wanted };
            let bytes = request.to_bytes();
            assert_eq!(Request::from_bytes(&bytes), Some(request));
            assert_eq!(Request::from_bytes(&bytes[..bytes.len() - 1]), None);
            assert_eq!(Request::from_bytes(&[&bytes[..], &[0]].concat()), None);
        }
        let mut list = Request { file, wanted: ChunkWanted::List }.to_bytes();
        list[36] = 1;
        assert_eq!(Request::from_bytes(&list), None);
        list[36] = 0;
        for kind in [4, 6] {
            list[0] = kind;
            assert_eq!(Request::from_bytes(&list), None);
        }
        assert_eq!(Request::from_bytes(&[]), None);
    }

    #[test]
    fn a_pick_of_two_to_the_32_chunks_is_refused_before_anything_is_allocated() {
        let mut bytes = [3; REQUEST_BYTES + 8];
        bytes[33..37].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(Request::from_bytes(&bytes), None);
    }

    #[test]
    fn headers_are_read_back_and_others_refused() {
        let request = Request { file: FileId([7; 32]), wanted: ChunkWanted::Chunk(0x0102_0304) };
        for status in STATUSES {
            let header = Header::of(&request, 0, status, u64::MAX - 1);
            let bytes = header.to_bytes();
            assert_eq!(Header::from_bytes(&bytes), Some(header));
            assert_eq!(bytes[34..38], [1, 2, 3, 4]);
            assert_eq!(Header::from_bytes(&bytes[..45]), None);
            assert_eq!(Header::from_bytes(&[&bytes[..], &[0]].concat()), None);
        }
        let mut bytes = Header::of(&request, 0, Status::Ok, 0).to_bytes();
        bytes[1] = 5;
        assert_eq!(Header::from_bytes(&bytes), None);
    }

    #[test]
    fn a_host_picks_only_what_would_do() {
        let mut some = Bitmap::none(10);
        some.insert(3);
        let request = Request { file: FileId([7; 32]), wanted: ChunkWanted::Pick(some) };
        assert!(request.is_answered_by(&Header::of(&request, 3, Status::Ok, 5)));
        assert!(!request.is_answered_by(&Header::of(&request, 4, Status::Ok, 5)));
        assert!(request.is_answered_by(&Header::of(&request, 0, Status::Elsewhere, 0)));
        let chunk = Request { wanted: ChunkWanted::Chunk(3), ..request.clone() };
        assert!(!request.is_answered_by(&Header::of(&chunk, 3, Status::Ok, 5)));
    }
}
