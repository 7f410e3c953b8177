//! The fetching side of a data lane: threads that take turns on one connection.
//!
//! Each request gets a ticket while it is sent, so tickets are in the order of the answers. The
//! holder of the lowest ticket reads; as soon as it has read its last byte the next one reads,
//! while the first still hashes and writes. Whoever breaks off in the middle of an answer ends the
//! lane, for nobody else could make sense of what follows.
//! Absent is what becomes of the bytes: that is the business of who asks.

use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::channel::{Channel, RecvHalf, SendHalf};
use super::lane::{
    BATCH_BYTES, HEADER_BYTES, Header, Request, Status, closed_by_recv, closed_by_send, violation,
};
use super::stream::Stream;
use super::throttle::Throttle;
use crate::crypto::noise::RECORD_MAX_PLAIN_BYTES;
use crate::router::event::{Closed, FetchError};

/// A host that sends slower is given up, after the lane's patience. Those that are merely slow are
/// the business of the choice: they may be all there is.
const LEAST_BYTES_PER_S: u32 = 1024;

/// A lane over which this side asks. Shared by the threads that ask.
#[derive(Debug)]
pub struct FetchLane {
    /// Requests that may be unanswered.
    most: usize,
    /// The first record comes within so long, and each that follows earns time for the next, or
    /// the lane ends: a host that drips must not keep a chunk and a thread.
    patience: Duration,
    sender: Mutex<SendHalf>,
    receiver: Mutex<RecvHalf>,
    turns: Mutex<Turns>,
    /// One for each ticket that can wait, so that a turn wakes the one thread that it concerns.
    turned: Box<[Condvar]>,
    /// For the thread that watches over the lane.
    ended: Condvar,
    throttle: Arc<Throttle>,
    stream: Arc<dyn Stream>,
}

#[derive(Debug)]
struct Turns {
    /// The next ticket.
    next: u64,
    /// Whose turn it is to read.
    now: u64,
    /// When the last answer ended.
    idle_since: Instant,
    /// How the lane ended; the first cause.
    closed: Option<Closed>,
}

impl FetchLane {
    /// Begins to fetch over `channel`, with up to `most` requests unanswered. The lane ends when a
    /// record that is due takes longer than `patience`.
    #[must_use]
    pub fn new(channel: Channel, most: usize, patience: Duration, throttle: Arc<Throttle>) -> Self {
        let stream = Arc::clone(channel.stream());
        let (sender, mut receiver) = channel.split();
        receiver.set_read_ahead(BATCH_BYTES);
        let turns = Turns { next: 0, now: 0, idle_since: Instant::now(), closed: None };
        let most = most.max(1);
        Self {
            most,
            patience,
            sender: Mutex::new(sender),
            receiver: Mutex::new(receiver),
            turns: Mutex::new(turns),
            turned: (0..most).map(|_| Condvar::new()).collect(),
            ended: Condvar::new(),
            throttle,
            stream,
        }
    }

    /// Sends a request. Whoever asked must [`AnswerTurn::wait`]: a ticket that is dropped ends the
    /// lane.
    ///
    /// # Errors
    /// [`FetchError::Busy`] when the lane has as many requests as it may have;
    /// [`FetchError::Lane`] when it ended.
    pub fn ask(&self, request: Request) -> Result<AnswerTurn<'_>, FetchError> {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = {
            let mut turns = self.lock();
            if turns.closed.is_some() {
                return Err(FetchError::Lane);
            }
            if turns.next - turns.now >= self.most as u64 {
                return Err(FetchError::Busy);
            }
            turns.next += 1;
            AnswerTurn { lane: self, number: turns.next - 1, request: Some(request), waited: false }
        };
        let bytes = ticket.request.as_ref().map(Request::to_bytes).unwrap_or_default();
        // Sent under the lock of the sender: tickets and requests are in the same order.
        if let Err(error) = sender.send(&bytes) {
            self.close(closed_by_send(error));
            return Err(FetchError::Lane);
        }
        Ok(ticket)
    }

    /// Watches over the lane on the calling thread until it has ended, and ends it once nothing
    /// was asked for so long.
    #[must_use]
    pub fn watch(&self, idle: Duration) -> Closed {
        let mut turns = self.lock();
        loop {
            if let Some(closed) = &turns.closed {
                return closed.clone();
            }
            let left = idle.saturating_sub(turns.idle_since.elapsed());
            let busy = turns.next != turns.now;
            if !busy && left.is_zero() {
                drop(turns);
                self.close(Closed::ByUs);
                turns = self.lock();
                continue;
            }
            let left = if busy { idle } else { left };
            let waited = self.ended.wait_timeout(turns, left);
            turns = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends the lane; all who wait on it learn it. Only the first cause is kept.
    pub fn close(&self, how: Closed) {
        self.lock().closed.get_or_insert(how);
        // A stream that is gone already needs no shutting down.
        let _ = self.stream.shut(Shutdown::Both);
        self.turned.iter().for_each(Condvar::notify_all);
        self.ended.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turned(&self, number: u64) -> Option<&Condvar> {
        self.turned.get((number % self.most as u64) as usize)
    }

    /// When what comes next is due, after `bytes` bytes came of which the last were due at `due`.
    fn earned(&self, due: Instant, bytes: usize) -> Instant {
        let earned = Duration::from_secs(1) * bytes as u32 / LEAST_BYTES_PER_S;
        (due + earned).min(Instant::now() + self.patience)
    }

    fn fail(&self, closed: Closed) -> FetchError {
        self.close(closed);
        FetchError::Lane
    }

    /// Lets the next one read.
    fn pass(&self) {
        let mut turns = self.lock();
        turns.now += 1;
        turns.idle_since = Instant::now();
        let next = self.turned(turns.now);
        drop(turns);
        next.into_iter().for_each(Condvar::notify_all);
    }
}

/// A place in the order of answers.
#[derive(Debug)]
pub struct AnswerTurn<'a> {
    lane: &'a FetchLane,
    number: u64,
    request: Option<Request>,
    waited: bool,
}

impl<'a> AnswerTurn<'a> {
    /// Waits for the answer to begin. The host must have as many bytes to send as `length` says
    /// of the chunk that it sends (0 for the list).
    ///
    /// # Errors
    /// [`FetchError::Lane`], [`FetchError::NotHeld`] (also of a file that changed),
    /// [`FetchError::Busy`] and [`FetchError::Elsewhere`].
    pub fn wait(mut self, length: impl Fn(u32) -> u64) -> Result<ChunkAnswer<'a>, FetchError> {
        let lane = self.lane;
        let mut turns = lane.lock();
        loop {
            if turns.closed.is_some() {
                return Err(FetchError::Lane);
            }
            if turns.now == self.number {
                break;
            }
            let Some(turned) = lane.turned(self.number) else { return Err(FetchError::Lane) };
            turns = turned.wait(turns).unwrap_or_else(PoisonError::into_inner);
        }
        drop(turns);
        self.waited = true;
        let receiver = lane.receiver.lock().unwrap_or_else(PoisonError::into_inner);
        let due = Instant::now() + lane.patience;
        let mut answer = ChunkAnswer { lane, receiver, due, chunk: 0, left: 0, ended: false };
        match self.request.take() {
            Some(request) => answer.begin(&request, length)?,
            None => return Err(FetchError::Lane),
        }
        Ok(answer)
    }
}

impl Drop for AnswerTurn<'_> {
    fn drop(&mut self) {
        if !self.waited {
            self.lane.close(Closed::Gone);
        }
    }
}

/// An answer while it comes. Dropped before its end, it ends the lane.
#[derive(Debug)]
pub struct ChunkAnswer<'a> {
    lane: &'a FetchLane,
    receiver: MutexGuard<'a, RecvHalf>,
    /// When the next record must be there.
    due: Instant,
    chunk: u32,
    left: u64,
    ended: bool,
}

impl ChunkAnswer<'_> {
    /// The chunk that comes; 0 for the list.
    #[must_use]
    pub fn chunk(&self) -> u32 {
        self.chunk
    }

    /// Bytes that are still to come.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next bytes: what is there, up to [`BATCH_BYTES`]. They stay until the next call.
    ///
    /// # Errors
    /// [`FetchError::Lane`], and [`FetchError::NotHeld`] when the host broke off.
    pub fn read(&mut self) -> Result<&[u8], FetchError> {
        let lane = self.lane;
        // Under a limit a record at a time, whatever its length.
        let most = lane.throttle.piece_bytes(BATCH_BYTES).max(RECORD_MAX_PLAIN_BYTES);
        let most = usize::try_from(self.left).map_or(most, |left| left.min(most));
        let bytes = self.receiver.recv_joined(most, self.due);
        let bytes = bytes.map_err(|error| lane.fail(closed_by_recv(error)))?;
        if bytes.is_empty() && self.left > 0 {
            self.ended = true;
            return Err(FetchError::NotHeld);
        }
        self.left -= bytes.len() as u64;
        self.ended = self.left == 0;
        // The host is not to blame for our own limit.
        self.due = lane.earned(self.due + lane.throttle.take(bytes.len()), bytes.len());
        Ok(bytes)
    }

    fn begin(&mut self, request: &Request, length: impl Fn(u32) -> u64) -> Result<(), FetchError> {
        let lane = self.lane;
        let record = self.receiver.recv_by(HEADER_BYTES, self.due);
        let header = Header::from_bytes(record.map_err(|error| lane.fail(closed_by_recv(error)))?);
        self.due = lane.earned(self.due, HEADER_BYTES);
        let Some(header) = header.filter(|header| request.is_answered_by(header)) else {
            return Err(self.lane.fail(violation("no answer to what was asked")));
        };
        let expected = if header.status == Status::Ok { length(header.chunk) } else { 0 };
        if header.bytes != expected {
            return Err(self.lane.fail(violation("an answer of a wrong length")));
        }
        self.chunk = header.chunk;
        self.left = expected;
        self.ended = expected == 0;
        match header.status {
            Status::Ok => Ok(()),
            Status::Busy => Err(FetchError::Busy),
            Status::Elsewhere => Err(FetchError::Elsewhere),
            Status::NotHeld | Status::Changed => Err(FetchError::NotHeld),
        }
    }
}

impl Drop for ChunkAnswer<'_> {
    fn drop(&mut self) {
        if self.ended { self.lane.pass() } else { self.lane.close(Closed::Gone) }
    }
}
