//! The protocol of a data lane: requests one way, bytes the other.
//!
//! A lane is a connection that was admitted like a session and then carries nothing but files.
//! One side asks, the other answers, each request in its turn. Everything travels in records of
//! the channel ([`super::stream`]); integers are big-endian.
//!
//! A **request** is one record:
//!
//! | bytes | meaning |
//! |---|---|
//! | 1 | kind: 1 the list of chunk hashes, 2 a chunk (3 is kept for letting the host pick one) |
//! | 32 | id of the file |
//! | 4 | number of the chunk; 0 for the list |
//!
//! Up to 16 requests may be unanswered; a host closes a lane on which it finds more.
//!
//! An **answer** begins with one record:
//!
//! | bytes | meaning |
//! |---|---|
//! | 1 | kind, as asked |
//! | 1 | status: 0 the bytes follow, 1 not held, 2 busy, 3 the file changed on disk |
//! | 32 | id of the file, as asked |
//! | 4 | number of the chunk, as asked |
//! | 8 | number of bytes that follow; 0 unless the status is 0 |
//!
//! Then come **data records** that together carry exactly that many bytes, none of them empty.
//! An empty record instead says that the host cannot read on (the file changed or its disk
//! failed): the answer ends there, and the lane goes on with the next.
//!
//! The list is the hashes of all chunks, 32 bytes each; it is checked against the file's root
//! before any chunk is asked for. Whoever asks knows the length of every answer from the size of
//! the file; an answer of another length is a violation that ends the lane.

use super::stream::{RecvError, SendError};
use crate::router::event::Closed;
use crate::router::ids::FileId;

/// Bytes of a request.
pub const REQUEST_BYTES: usize = 37;
/// Bytes of the record that begins an answer.
pub const HEADER_BYTES: usize = 46;
/// Bytes in a data record, but for the last of an answer, as this program sends them: a power of
/// two, so that buffers, leaves and pages end together, and small enough for a core's first cache.
pub const DATA_BYTES: usize = 32 * 1024;
/// Bytes that are read, sealed and written at a time: what a thread needs of memory for bulk.
pub const BATCH_BYTES: usize = 256 * 1024;

/// Bytes of a chunk's hash in the list.
pub const HASH_BYTES: usize = 32;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The hashes of all chunks.
    List,
    /// A chunk.
    Chunk(u32),
}

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Of which file.
    pub file: FileId,
    /// What of it.
    pub wanted: Wanted,
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
}

/// The first record of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The request that it answers.
    pub request: Request,
    /// How.
    pub status: Status,
    /// Number of bytes that follow.
    pub bytes: u64,
}

impl Request {
    /// Kind and number as they travel.
    fn code(&self) -> (u8, u32) {
        match self.wanted {
            Wanted::List => (1, 0),
            Wanted::Chunk(chunk) => (2, chunk),
        }
    }

    fn from_code(kind: u8, file: [u8; 32], number: u32) -> Option<Self> {
        let wanted = match (kind, number) {
            (1, 0) => Wanted::List,
            (2, chunk) => Wanted::Chunk(chunk),
            _ => return None,
        };
        Some(Self { file: FileId(file), wanted })
    }

    /// The record.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; REQUEST_BYTES] {
        let (kind, number) = self.code();
        let mut bytes = [0; REQUEST_BYTES];
        put(&mut bytes, &[&[kind], &self.file.0, &number.to_be_bytes()]);
        bytes
    }

    /// Reads a record; `None` if it is no request.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (file, number) = rest.split_first_chunk()?;
        Self::from_code(*kind, *file, u32::from_be_bytes(number.try_into().ok()?))
    }
}

impl Header {
    /// The record.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let (kind, number) = self.request.code();
        let status = match self.status {
            Status::Ok => 0,
            Status::NotHeld => 1,
            Status::Busy => 2,
            Status::Changed => 3,
        };
        let (file, number) = (self.request.file.0, number.to_be_bytes());
        let mut bytes = [0; HEADER_BYTES];
        put(&mut bytes, &[&[kind, status], &file, &number, &self.bytes.to_be_bytes()]);
        bytes
    }

    /// Reads a record; `None` if it begins no answer.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let ([kind, status], rest) = bytes.split_first_chunk()?;
        let (file, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let request = Request::from_code(*kind, *file, u32::from_be_bytes(*number))?;
        let status = match status {
            0 => Status::Ok,
            1 => Status::NotHeld,
            2 => Status::Busy,
            3 => Status::Changed,
            _ => return None,
        };
        Some(Self { request, status, bytes: u64::from_be_bytes(rest.try_into().ok()?) })
    }
}

/// How a lane ends with what cannot be received.
pub(super) fn closed_by_recv(error: RecvError) -> Closed {
    match error {
        RecvError::Closed => Closed::Gone,
        RecvError::TimedOut => Closed::Silent,
        RecvError::TooLong { .. } | RecvError::BadRecord => Closed::Protocol(error.to_string()),
    }
}

/// How a lane ends with what cannot be sent.
pub(super) fn closed_by_send(error: SendError) -> Closed {
    match error {
        SendError::Closed | SendError::TooLong { .. } | SendError::UsedUp => Closed::Gone,
        SendError::Stuck => Closed::Silent,
    }
}

/// How a lane ends over what should not have come.
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
        for wanted in [Wanted::List, Wanted::Chunk(0), Wanted::Chunk(u32::MAX)] {
            let request = Request { file, wanted };
            let bytes = request.to_bytes();
            assert_eq!(Request::from_bytes(&bytes), Some(request));
            assert_eq!(Request::from_bytes(&bytes[..36]), None);
            assert_eq!(Request::from_bytes(&[&bytes[..], &[0]].concat()), None);
        }
        let mut list = Request { file, wanted: Wanted::List }.to_bytes();
        list[36] = 1;
        assert_eq!(Request::from_bytes(&list), None);
        list[36] = 0;
        list[0] = 3;
        assert_eq!(Request::from_bytes(&list), None);
        assert_eq!(Request::from_bytes(&[]), None);
    }

    #[test]
    fn headers_are_read_back_and_others_refused() {
        let request = Request { file: FileId([7; 32]), wanted: Wanted::Chunk(0x0102_0304) };
        for status in [Status::Ok, Status::NotHeld, Status::Busy, Status::Changed] {
            let header = Header { request, status, bytes: u64::MAX - 1 };
            let bytes = header.to_bytes();
            assert_eq!(Header::from_bytes(&bytes), Some(header));
            assert_eq!(bytes[34..38], [1, 2, 3, 4]);
            assert_eq!(Header::from_bytes(&bytes[..45]), None);
            assert_eq!(Header::from_bytes(&[&bytes[..], &[0]].concat()), None);
        }
        let mut bytes = Header { request, status: Status::Ok, bytes: 0 }.to_bytes();
        bytes[1] = 4;
        assert_eq!(Header::from_bytes(&bytes), None);
    }
}
