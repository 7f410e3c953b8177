//! The channel of one connection: sealed records over a stream.
//!
//! A record is the length of its ciphertext (two bytes, big-endian), then the ciphertext. A
//! [`Channel`] is split into halves for two threads; both share one stream, so shutting it down
//! wakes both.
//!
//! Invariants: a length is checked against the limit of its stage before anything is allocated for
//! it; a half that failed is not used again; buffers can be released while idle. The channel does
//! not know what the records contain.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{Shutdown, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::stream::Stream;
use crate::crypto::noise::{Opener, RECORD_MAX_PLAIN_BYTES, Sealer, TAG_BYTES};

/// Bytes before a record: the length of its ciphertext.
const LENGTH_BYTES: usize = 2;
/// Bytes that a record adds to its content.
const AROUND_BYTES: usize = LENGTH_BYTES + TAG_BYTES;
/// Bytes that a receiving half requests from the stream when nothing indicates that more will come.
const READ_AHEAD_BYTES: usize = 4 * 1024;
/// The kernel's send buffer for a lane: larger ones measured slower, smaller ones no better.
const UNSENT_BYTES: u32 = 32 * 1024;

/// Why nothing was received.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecvError {
    /// The peer or this side closed the connection, or it broke.
    #[error("the connection was closed")]
    Closed,
    /// Nothing, or not enough, came in time. What came is kept, so receiving can continue.
    #[error("nothing came from the peer in time")]
    TimedOut,
    /// The peer announced a record longer than this stage allows.
    #[error("the peer announced a record of {bytes} bytes; {max} are allowed here")]
    TooLong {
        /// Size of the record's content, in bytes.
        bytes: usize,
        /// Most bytes that it may have.
        max: usize,
    },
    /// The record is not the next one that the peer sealed.
    #[error("a record from the peer was altered, repeated or left out")]
    BadRecord,
}

/// Why nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The connection is closed or broken.
    #[error("the connection was closed")]
    Closed,
    /// The peer took nothing for the stream's whole write timeout.
    #[error("the peer takes nothing")]
    Stuck,
    /// Too long for one record. Nothing was sealed, so sending can continue.
    #[error("{bytes} bytes do not fit into one record; at most {RECORD_MAX_PLAIN_BYTES} do")]
    TooLong {
        /// How many bytes there were.
        bytes: usize,
    },
    /// The channel has used up its record numbers.
    #[error("the channel is used up; connect again")]
    UsedUp,
}

/// Both directions of an encrypted connection.
#[derive(Debug)]
pub struct Channel {
    sender: SendHalf,
    receiver: RecvHalf,
    remote: SocketAddr,
}

impl Channel {
    /// The channel of `stream` after its handshake; `remote` is the peer's address, unmapped.
    #[must_use]
    pub fn new(
        stream: Arc<dyn Stream>,
        sealer: Sealer,
        opener: Opener,
        remote: SocketAddr,
    ) -> Self {
        let sender = SendHalf { stream: Arc::clone(&stream), sealer, sealed: Vec::new(), used: 0 };
        let receiver = RecvHalf {
            stream,
            opener,
            sealed: Vec::new(),
            filled: 0..0,
            read_ahead: READ_AHEAD_BYTES,
            timeout: None,
            lean: false,
        };
        Self { sender, receiver, remote }
    }

    /// The peer's address.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// The stream, for its timeouts and for shutting it down.
    #[must_use]
    pub fn stream(&self) -> &Arc<dyn Stream> {
        &self.sender.stream
    }

    /// [`SendHalf::send`].
    ///
    /// # Errors
    /// As [`SendHalf::send`].
    pub fn send(&mut self, plain: &[u8]) -> Result<(), SendError> {
        self.sender.send(plain)
    }

    /// [`RecvHalf::recv`].
    ///
    /// # Errors
    /// As [`RecvHalf::recv`].
    pub fn recv(&mut self, max: usize) -> Result<&[u8], RecvError> {
        self.receiver.recv(max)
    }

    /// [`RecvHalf::recv_by`].
    ///
    /// # Errors
    /// As [`RecvHalf::recv_by`].
    pub fn recv_by(&mut self, max: usize, deadline: Instant) -> Result<&[u8], RecvError> {
        self.receiver.recv_by(max, deadline)
    }

    /// Sets how long one read and one write of the stream may block.
    ///
    /// # Errors
    /// When the system refuses, for instance because the stream is gone.
    pub fn set_timeouts(&self, read: Duration, write: Duration) -> io::Result<()> {
        self.stream().set_read_timeout(read)?;
        self.stream().set_write_timeout(write)
    }

    /// Lets the kernel hold little that it cannot send yet: nearly all that was written has then
    /// left, so turns at sending are decided here. Where this is not possible, turns are rough.
    pub fn bound_unsent(&self) {
        self.stream().bound_unsent(UNSENT_BYTES);
    }

    /// The two directions, each for a thread of its own.
    #[must_use]
    pub fn split(self) -> (SendHalf, RecvHalf) {
        (self.sender, self.receiver)
    }
}

/// The sending direction.
#[derive(Debug)]
pub struct SendHalf {
    stream: Arc<dyn Stream>,
    sealer: Sealer,
    /// Sealed records in its first `used` bytes; the rest is free.
    sealed: Vec<u8>,
    used: usize,
}

impl SendHalf {
    /// Sends one record, after those queued before it, with one write.
    ///
    /// # Errors
    /// [`SendError`]; except after [`SendError::TooLong`] the channel cannot be used any more.
    pub fn send(&mut self, plain: &[u8]) -> Result<(), SendError> {
        self.queue(plain)?;
        self.flush()
    }

    /// Seals a record for the next [`SendHalf::flush`], so that several leave with one write.
    ///
    /// # Errors
    /// [`SendError::TooLong`] and [`SendError::UsedUp`].
    pub fn queue(&mut self, plain: &[u8]) -> Result<(), SendError> {
        if plain.len() > RECORD_MAX_PLAIN_BYTES {
            return Err(SendError::TooLong { bytes: plain.len() });
        }
        self.room(plain.len()).copy_from_slice(plain);
        self.seal(plain.len())
    }

    /// Lets `fill` write `bytes` bytes, as the plain text of records of `record_bytes` each (the
    /// last may be shorter), into the places where they are then sealed. If `fill` fails, nothing
    /// is queued.
    ///
    /// # Errors
    /// The inner one is that of `fill`; else [`SendError::TooLong`] and [`SendError::UsedUp`].
    pub fn queue_filled<E>(
        &mut self,
        bytes: usize,
        record_bytes: usize,
        fill: impl FnOnce(&mut [IoSliceMut<'_>]) -> Result<(), E>,
    ) -> Result<Result<(), E>, SendError> {
        if record_bytes == 0 || record_bytes > RECORD_MAX_PLAIN_BYTES {
            return Err(SendError::TooLong { bytes: record_bytes });
        }
        let records = bytes.div_ceil(record_bytes);
        let needed = bytes + records * AROUND_BYTES;
        let end = self.used + needed;
        if self.sealed.len() < end {
            self.sealed.resize(end, 0);
        }
        let space = self.sealed.get_mut(self.used..end).unwrap_or_default();
        let mut places: Vec<_> = space
            .chunks_mut(record_bytes + AROUND_BYTES)
            .filter_map(|place| {
                let plain = LENGTH_BYTES..place.len().checked_sub(TAG_BYTES)?;
                place.get_mut(plain).map(IoSliceMut::new)
            })
            .collect();
        if let Err(error) = fill(&mut places) {
            return Ok(Err(error));
        }
        let mut left = bytes;
        while left > 0 {
            let length = left.min(record_bytes);
            self.seal(length)?;
            left -= length;
        }
        Ok(Ok(()))
    }

    /// The place for the next record's plain text.
    fn room(&mut self, bytes: usize) -> &mut [u8] {
        let needed = self.used + bytes + AROUND_BYTES;
        if self.sealed.len() < needed {
            self.sealed.resize(needed, 0);
        }
        let start = self.used + LENGTH_BYTES;
        self.sealed.get_mut(start..start + bytes).unwrap_or_default()
    }

    /// Seals the next record, whose plain text is in place.
    fn seal(&mut self, bytes: usize) -> Result<(), SendError> {
        let end = self.used + bytes + AROUND_BYTES;
        let record = self.sealed.get_mut(self.used..end);
        let parts = record.and_then(|record| record.split_first_chunk_mut::<LENGTH_BYTES>());
        let (head, body) = parts.ok_or(SendError::UsedUp)?;
        let length = u16::try_from(body.len()).map_err(|_| SendError::TooLong { bytes })?;
        *head = length.to_be_bytes();
        self.sealer.seal(body).map_err(|_| SendError::UsedUp)?;
        self.used = end;
        Ok(())
    }

    /// Bytes that are waiting for [`SendHalf::flush`].
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.used
    }

    /// Writes what is queued: one system call unless the stream's buffer is full.
    ///
    /// # Errors
    /// [`SendError::Closed`], and [`SendError::Stuck`] if nothing at all was taken within one write
    /// timeout.
    pub fn flush(&mut self) -> Result<(), SendError> {
        let mut rest = self.sealed.get(..self.used).unwrap_or_default();
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(0) => return Err(SendError::Closed),
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Err(SendError::Stuck),
                Err(_) => return Err(SendError::Closed),
            }
        }
        self.used = 0;
        Ok(())
    }

    /// Gives the buffer back while nothing is queued.
    pub fn release(&mut self) {
        if self.used == 0 {
            self.sealed = Vec::new();
        }
    }

    /// Tells the peer that nothing more will come; receiving continues.
    pub fn finish(&mut self) {
        // A stream that is closed already needs no shutdown.
        let _ = self.stream.shut(Shutdown::Write);
    }

    /// The stream, for its timeouts and for shutting it down.
    #[must_use]
    pub fn stream(&self) -> &Arc<dyn Stream> {
        &self.stream
    }
}

/// The receiving direction.
#[derive(Debug)]
pub struct RecvHalf {
    stream: Arc<dyn Stream>,
    opener: Opener,
    /// Bytes from the stream; those in `filled` are not opened yet.
    sealed: Vec<u8>,
    filled: Range<usize>,
    read_ahead: usize,
    /// What the stream's read timeout was last set to.
    timeout: Option<Duration>,
    lean: bool,
}

impl RecvHalf {
    /// The next record, of at most `max` bytes; waits up to the stream's read timeout for each part
    /// of it. The bytes stay valid until the next call.
    ///
    /// # Errors
    /// [`RecvError`]; after [`RecvError::TimedOut`] the caller may try again.
    pub fn recv(&mut self, max: usize) -> Result<&[u8], RecvError> {
        self.recv_within(max, None)
    }

    /// The next record, of at most `max` bytes, if it is complete by `deadline`, however slowly it
    /// drips. Changes the stream's read timeout.
    ///
    /// # Errors
    /// [`RecvError`]; after [`RecvError::TimedOut`] the caller may try again.
    pub fn recv_by(&mut self, max: usize, deadline: Instant) -> Result<&[u8], RecvError> {
        self.recv_within(max, Some(deadline))
    }

    /// Sets how many bytes are read from the stream at once: few for messages, many for bulk.
    pub fn set_read_ahead(&mut self, bytes: usize) {
        self.read_ahead = bytes;
    }

    /// Whether to release all buffers before waiting for the peer: then a silent link needs no
    /// buffer, and a busy one makes one more system call per burst.
    pub fn set_lean(&mut self, lean: bool) {
        self.lean = lean;
    }

    /// Releases the buffers that are empty.
    pub fn release(&mut self) {
        if self.filled.is_empty() {
            self.sealed = Vec::new();
            self.filled = 0..0;
        }
    }

    /// The stream, for its timeouts and for shutting it down.
    #[must_use]
    pub fn stream(&self) -> &Arc<dyn Stream> {
        &self.stream
    }

    fn recv_within(&mut self, max: usize, deadline: Option<Instant>) -> Result<&[u8], RecvError> {
        let body = self.next_record(max, deadline)?;
        let (start, end) = (body.start, body.end);
        let room = self.sealed.get_mut(body).ok_or(RecvError::BadRecord)?;
        let length = self.opener.open(room, 0).map_err(|_| RecvError::BadRecord)?;
        self.filled.start = end;
        self.sealed.get(start..start + length).ok_or(RecvError::BadRecord)
    }

    /// The next records that are there, at least one, joined: up to `max` bytes, or fewer if the
    /// next would exceed that, or is empty. An empty result is an empty record. The bytes stay
    /// valid until the next call.
    ///
    /// # Errors
    /// [`RecvError`]; it is too long if the first record has more than `max` bytes.
    pub fn recv_joined(&mut self, max: usize, deadline: Instant) -> Result<&[u8], RecvError> {
        let body = self.next_record(max.min(RECORD_MAX_PLAIN_BYTES), Some(deadline))?;
        let start = body.start;
        let mut length = self.open_into(start, body)?;
        while length > 0 && length < max {
            let Some(body) = self.waiting_record() else { break };
            let bytes = body.len().saturating_sub(TAG_BYTES);
            if bytes == 0 || length + bytes > max {
                break;
            }
            length += self.open_into(start + length, body)?;
        }
        self.sealed.get(start..start + length).ok_or(RecvError::BadRecord)
    }

    /// Opens the record at `body` to the position `at`, before it; returns its length.
    fn open_into(&mut self, at: usize, body: Range<usize>) -> Result<usize, RecvError> {
        let from = body.start.checked_sub(at).ok_or(RecvError::BadRecord)?;
        let room = self.sealed.get_mut(at..body.end).ok_or(RecvError::BadRecord)?;
        let length = self.opener.open(room, from).map_err(|_| RecvError::BadRecord)?;
        self.filled.start = body.end;
        Ok(length)
    }

    /// Where the next record is, if all of it is there.
    fn waiting_record(&self) -> Option<Range<usize>> {
        let filled = self.sealed.get(self.filled.clone())?;
        let length = usize::from(u16::from_be_bytes(*filled.first_chunk()?));
        let start = self.filled.start + LENGTH_BYTES;
        (LENGTH_BYTES + length <= filled.len() && length >= TAG_BYTES)
            .then(|| start..start + length)
    }

    /// Where in `sealed` the ciphertext of the next record is, once all of it is there.
    fn next_record(
        &mut self,
        max: usize,
        deadline: Option<Instant>,
    ) -> Result<Range<usize>, RecvError> {
        self.fill(LENGTH_BYTES, deadline)?;
        let head = self.sealed.get(self.filled.clone()).and_then(<[u8]>::first_chunk);
        let length = usize::from(u16::from_be_bytes(*head.ok_or(RecvError::BadRecord)?));
        let bytes = length.checked_sub(TAG_BYTES).ok_or(RecvError::BadRecord)?;
        if bytes > max {
            return Err(RecvError::TooLong { bytes, max });
        }
        self.fill(LENGTH_BYTES + length, deadline)?;
        let start = self.filled.start + LENGTH_BYTES;
        Ok(start..start + length)
    }

    /// Reads until `needed` bytes are waiting to be opened.
    fn fill(&mut self, needed: usize, deadline: Option<Instant>) -> Result<(), RecvError> {
        while self.filled.len() < needed {
            if self.filled.is_empty() {
                self.filled = 0..0;
                if self.lean {
                    self.release();
                    self.read(deadline, |stream, _| stream.wait())?;
                }
            }
            self.make_room(needed);
            let count = self.read(deadline, |stream, room| stream.read(room))?;
            self.filled.end += count;
        }
        Ok(())
    }

    fn make_room(&mut self, needed: usize) {
        if self.filled.start + needed <= self.sealed.len() {
            return;
        }
        self.sealed.copy_within(self.filled.clone(), 0);
        self.filled = 0..self.filled.len();
        let wanted = needed.max(self.read_ahead);
        if self.sealed.len() < wanted {
            self.sealed.resize(wanted, 0);
        }
    }

    /// One system call into the free space, repeated only if a signal interrupted it.
    fn read(
        &mut self,
        deadline: Option<Instant>,
        call: impl Fn(&dyn Stream, &mut [u8]) -> io::Result<usize>,
    ) -> Result<usize, RecvError> {
        loop {
            if let Some(deadline) = deadline {
                self.wait_until(deadline)?;
            }
            let room = self.sealed.get_mut(self.filled.end..).unwrap_or_default();
            match call(&*self.stream, room) {
                Ok(0) => return Err(RecvError::Closed),
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The timeout may be shorter than the deadline, so that is checked again.
                Err(error) if is_timeout(&error) && deadline.is_some() => {}
                Err(error) if is_timeout(&error) => return Err(RecvError::TimedOut),
                Err(_) => return Err(RecvError::Closed),
            }
        }
    }

    /// Sets the stream's timeout for a read that ends at `deadline`, unless it is about right
    /// already: bulk reads are too frequent for a system call with each.
    fn wait_until(&mut self, deadline: Instant) -> Result<(), RecvError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(RecvError::TimedOut);
        }
        if self.timeout.is_none_or(|set| set > left || set < left / 2) {
            self.stream.set_read_timeout(left).map_err(|_| RecvError::Closed)?;
            self.timeout = Some(left);
        }
        Ok(())
    }
}

/// Whether a blocking call hit the stream's timeout (the system reports it in two ways).
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
