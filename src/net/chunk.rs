//! The fetching side of a data lane.
//!
//! The lane's thread owns the receiving half and reads the answers in order. Requests are sent by a
//! thread of their own, so that the next ones are under way while an answer comes. Absent is what
//! happens to the bytes: that is up to the caller.

use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::channel::{RecvHalf, SendHalf};
use super::lane::{BATCH_BYTES, HEADER_BYTES, Header, Request, Status, closed_by_recv, violation};
use super::throttle::Throttle;
use crate::crypto::noise::RECORD_MAX_PLAIN_BYTES;
use crate::router::event::{Closed, FetchError};

/// A slower host is given up once the lane's patience runs out. Hosts that are merely slow are up
/// to the choice, as there may be no others.
const LEAST_BYTES_PER_S: u32 = 1024;

/// Sends the requests from `queue`, each with what its asker keeps for the answer, until the queue
/// or the lane ends; then the stream is shut. A request is sent once it has a place in `asked`,
/// which so bounds how many are unanswered.
pub fn send_requests<T>(
    mut sender: SendHalf,
    queue: &Receiver<(Request, T)>,
    asked: &Sender<(Request, T)>,
) {
    for (request, kept) in queue {
        let record = request.to_bytes();
        if asked.send((request, kept)).is_err() || sender.send(&record).is_err() {
            break;
        }
    }
    // Wakes the thread that waits for an answer. A stream that is closed already is fine.
    let _ = sender.stream().shut(Shutdown::Both);
}

/// The answers that come over a lane, one after another. If one is not read to its end, the lane is
/// useless, because nobody could make sense of what follows.
#[derive(Debug)]
pub struct Answers {
    receiver: RecvHalf,
    throttle: Arc<Throttle>,
    /// The first record must come within this time, and each that follows earns time for the next,
    /// or the lane ends: a host that drips must not hold a chunk and a thread.
    patience: Duration,
    /// How long the next record may take.
    granted: Duration,
    /// Bytes of the answer still to come.
    left: u64,
    closed: Option<Closed>,
}

impl Answers {
    /// The answers from `receiver`. The lane ends when a record that is due takes longer than
    /// `patience`.
    #[must_use]
    pub fn new(mut receiver: RecvHalf, patience: Duration, throttle: Arc<Throttle>) -> Self {
        receiver.set_read_ahead(BATCH_BYTES);
        Self { receiver, throttle, patience, granted: patience, left: 0, closed: None }
    }

    /// How the lane ended, if it has.
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        self.closed.clone().or_else(|| (self.left > 0).then_some(Closed::Gone))
    }

    /// Bytes of the answer still to come.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Waits until the answer to `request` begins; returns the chunk that comes, or 0 for the list.
    /// The host must announce as many bytes as `length` gives for that chunk.
    ///
    /// # Errors
    /// [`FetchError::Lane`], [`FetchError::NotHeld`] (also for a file that changed),
    /// [`FetchError::Busy`] and [`FetchError::Elsewhere`].
    pub fn begin(
        &mut self,
        request: &Request,
        length: impl Fn(u32) -> u64,
    ) -> Result<u32, FetchError> {
        self.granted = self.patience;
        let began = Instant::now();
        let header = match self.receiver.recv_by(HEADER_BYTES, began + self.granted) {
            Ok(record) => Header::from_bytes(record),
            Err(error) => return Err(self.fail(closed_by_recv(error))),
        };
        self.granted = grant(self.granted, began.elapsed(), HEADER_BYTES).min(self.patience);
        let Some(header) = header.filter(|header| request.is_answered_by(header)) else {
            return Err(self.fail(violation("no answer to what was asked")));
        };
        let expected = if header.status == Status::Ok { length(header.chunk) } else { 0 };
        if header.bytes != expected {
            return Err(self.fail(violation("an answer of a wrong length")));
        }
        self.left = expected;
        match header.status {
            Status::Ok => Ok(header.chunk),
            Status::Busy => Err(FetchError::Busy),
            Status::Elsewhere => Err(FetchError::Elsewhere),
            Status::NotHeld | Status::Changed => Err(FetchError::NotHeld),
        }
    }

    /// The next bytes that are there, up to [`BATCH_BYTES`]. They stay valid until the next call.
    ///
    /// # Errors
    /// [`FetchError::Lane`], and [`FetchError::NotHeld`] if the host broke off.
    pub fn read(&mut self) -> Result<&[u8], FetchError> {
        // Under a limit, one record at a time, however long.
        let most = self.throttle.piece_bytes(BATCH_BYTES).max(RECORD_MAX_PLAIN_BYTES);
        let most = usize::try_from(self.left).map_or(most, |left| left.min(most));
        let began = Instant::now();
        let bytes = match self.receiver.recv_joined(most, began + self.granted) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.closed = Some(closed_by_recv(error));
                return Err(FetchError::Lane);
            }
        };
        if bytes.is_empty() && self.left > 0 {
            self.left = 0;
            return Err(FetchError::NotHeld);
        }
        self.left -= bytes.len() as u64;
        // Only the wait counts: the host is not to blame for our own limit or disk.
        let took = began.elapsed();
        self.granted = grant(self.granted, took, bytes.len()).min(self.patience);
        self.throttle.take(bytes.len());
        Ok(bytes)
    }

    fn fail(&mut self, closed: Closed) -> FetchError {
        self.closed = Some(closed);
        FetchError::Lane
    }
}

/// The time for the next record, after `bytes` bytes that took `took` of the time granted.
fn grant(granted: Duration, took: Duration, bytes: usize) -> Duration {
    granted.saturating_sub(took) + Duration::from_secs(1) * bytes as u32 / LEAST_BYTES_PER_S
}
