//! The serving side of a data lane: answers requests in order from what this disk holds.
//!
//! One thread per lane reads and sends; nothing is hashed here, because the requester verifies.
//! Only a few chunks are sent at a time ([`super::places`]), so that each arrives, and can be
//! passed on, soon.

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSliceMut;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::channel::{Channel, RecvHalf, SendHalf};
use super::lane::{
    BATCH_BYTES, ChunkWanted, DATA_BYTES, HASH_BYTES, Header, REQUEST_MAX_BYTES, Request, Status,
    TELL, closed_by_recv, closed_by_send, violation,
};
use super::places::Places;
use super::sources::Sources;
use super::throttle::Throttle;
use crate::files::folder::served::{ServedFolder, UnitReader};
use crate::files::held::HeldUnits;
use crate::files::merkle::{FileTree, chunk_range};
use crate::files::served::{Reader, ServeError, Served};
use crate::limits::Limits;
use crate::router::bitmap::Bitmap;
use crate::router::event::{Closed, Event};
use crate::router::ids::{FileId, MemberId};
use crate::router::swarm::choice::LANE_QUEUE;
use crate::router::swarm::sent::Picked;

/// How long an unwanted chunk is remembered.
const CANCELLED: Duration = Duration::from_secs(3);
/// Most unwanted chunks of one member: more than it can have requested over its lanes.
const CANCELLED_EACH: usize = 64;
/// Most unwanted chunks in all.
const CANCELLED_MAX: usize = 1_024;

/// Chunks that members requested here but then got from somebody else.
#[derive(Debug, Default)]
pub struct CancelledChunks {
    chunks: Mutex<BTreeMap<(MemberId, FileId, u32), Instant>>,
}

impl CancelledChunks {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(MemberId, FileId, u32), Instant>> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `member` no longer needs `chunk`. Forgotten after a while, because the request may have been
    /// answered already.
    pub fn insert(&self, member: MemberId, file: FileId, chunk: u32) {
        let (now, mut chunks) = (Instant::now(), self.lock());
        chunks.retain(|_, at| now.saturating_duration_since(*at) < CANCELLED);
        let first = (member, FileId([0; 32]), 0);
        let its = chunks.range(first..).take_while(|((by, ..), _)| *by == member).count();
        if its < CANCELLED_EACH && chunks.len() < CANCELLED_MAX {
            chunks.insert((member, file, chunk), now);
        }
    }

    /// A member has left, so what it said no longer matters.
    pub fn forget_member(&self, member: &MemberId) {
        self.lock().retain(|(by, ..), _| by != member);
    }

    /// Whether `member` no longer needs `chunk`; asking forgets it.
    fn take(&self, member: MemberId, file: FileId, chunk: u32) -> bool {
        let at = self.lock().remove(&(member, file, chunk));
        at.is_some_and(|at| at.elapsed() < CANCELLED)
    }
}

/// What all serving threads of a node share.
#[derive(Debug)]
pub struct Host {
    /// What is served.
    pub sources: Sources,
    /// How many chunks are sent at a time.
    pub places: Places,
    /// Chunks that members requested and no longer need.
    pub cancelled: CancelledChunks,
    /// How much may be sent in a second.
    pub throttle: Throttle,
    /// To the router.
    pub inbox: Sender<Event>,
    /// Bounds.
    pub limits: Arc<Limits>,
}

/// Since when a lane has had no requests: an idle one may give way to another.
#[derive(Debug)]
pub struct LaneUse(Mutex<Option<Instant>>);

impl LaneUse {
    /// For a lane that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self(Mutex::new(Some(Instant::now())))
    }

    /// Since when it is idle; `None` while it answers.
    #[must_use]
    pub fn idle_since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, idle_since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = idle_since;
    }
}

impl Default for LaneUse {
    fn default() -> Self {
        Self::new()
    }
}

/// Serves a lane on the calling thread until it ends; returns how it ended.
#[must_use]
pub fn serve(channel: Channel, member: MemberId, host: &Host, used: &LaneUse) -> Closed {
    let (sender, receiver) = channel.split();
    let waiting = VecDeque::new();
    let mut serving = Serving { sender, receiver, member, host, used, waiting };
    loop {
        let answered = serving.next_request().and_then(|request| serving.answer(&request));
        if let Err(closed) = answered {
            return closed;
        }
    }
}

struct Serving<'a> {
    sender: SendHalf,
    receiver: RecvHalf,
    member: MemberId,
    host: &'a Host,
    used: &'a LaneUse,
    /// Requests that were read but not answered.
    waiting: VecDeque<Request>,
}

/// What chunks or units are sent from.
#[derive(Clone, Copy)]
enum ServedUnits<'a> {
    Chunks(&'a Served),
    Folder(&'a ServedFolder),
}

impl<'a> ServedUnits<'a> {
    fn held(&self) -> &'a HeldUnits {
        match self {
            Self::Chunks(file) => file.chunks(),
            Self::Folder(folder) => folder.held(),
        }
    }

    /// Of a folder each file is looked at when it is read.
    fn unchanged(&self) -> bool {
        match self {
            Self::Chunks(file) => file.unchanged(),
            Self::Folder(_) => true,
        }
    }

    /// Opens a chunk or unit, of a bundle the files that are asked for; or how to refuse it.
    fn open(&self, request: &Request, unit: u32) -> Result<UnitBytes<'a>, Status> {
        if !self.held().has(unit) {
            return Err(Status::NotHeld);
        }
        if !self.unchanged() {
            return Err(Status::Changed);
        }
        let files = match &request.wanted {
            ChunkWanted::Files { of, .. } => Some(of),
            _ => None,
        };
        match self.reader(unit, files) {
            Ok(reader) => reader.ok_or(Status::NotHeld),
            Err(ServeError::Scarce) => Err(Status::Busy),
            Err(_) => Err(Status::Changed),
        }
    }

    /// Reads a chunk or unit; of a bundle only the files that are marked.
    fn reader(&self, unit: u32, of: Option<&Bitmap>) -> Result<Option<UnitBytes<'a>>, ServeError> {
        match self {
            Self::Folder(folder) => Ok(folder.reader(unit, of)?.map(UnitBytes::Unit)),
            Self::Chunks(file) => {
                let range = chunk_range(file.tree().len(), unit).filter(|_| of.is_none());
                let Some((start, bytes)) = range else { return Ok(None) };
                let bytes = bytes.into();
                Ok(Some(UnitBytes::Chunk { reader: file.reader()?, start, bytes }))
            }
        }
    }
}

/// The bytes of a chunk or unit.
enum UnitBytes<'a> {
    Chunk { reader: Reader<'a>, start: u64, bytes: u64 },
    Unit(UnitReader<'a>),
}

impl UnitBytes<'_> {
    fn len_bytes(&self) -> u64 {
        match self {
            Self::Chunk { bytes, .. } => *bytes,
            Self::Unit(reader) => reader.len_bytes(),
        }
    }

    fn read_into(&mut self, offset: u64, out: &mut [IoSliceMut<'_>]) -> Result<(), ServeError> {
        match self {
            Self::Chunk { reader, start, .. } => reader.read_into(*start + offset, out),
            Self::Unit(reader) => reader.read_into(offset, out),
        }
    }
}

/// Why an answer is broken off.
enum BrokenOff {
    /// The host cannot read what it promised to send.
    Unreadable,
    /// It cannot be read at the moment, because too many files are open.
    Scarce,
    /// The member no longer needs it.
    Unwanted,
}

impl Serving<'_> {
    fn next_request(&mut self) -> Result<Request, Closed> {
        if self.waiting.is_empty() {
            self.used.set(Some(Instant::now()));
        }
        while self.waiting.is_empty() {
            // The whole request within the lane's patience, however it drips.
            let due = Instant::now() + Duration::from_millis(self.host.limits.stuck_link_ms);
            let record = self.receiver.recv_by(REQUEST_MAX_BYTES, due).map_err(closed_by_recv)?;
            self.waiting.push_back(request(record)?);
        }
        self.used.set(None);
        // With a deadline of now nothing more is read: these are the records that came along.
        while let Ok(record) = self.receiver.recv_by(REQUEST_MAX_BYTES, Instant::now()) {
            self.waiting.push_back(request(record)?);
            if self.waiting.len() > LANE_QUEUE {
                return Err(violation("more requests at once than a lane may have"));
            }
        }
        self.waiting.pop_front().ok_or(Closed::Gone)
    }

    fn answer(&mut self, request: &Request) -> Result<(), Closed> {
        let sources = &self.host.sources;
        if let Some(source) = sources.get(&request.file) {
            return match request.wanted {
                ChunkWanted::List => self.send_list(request, source.tree()),
                ChunkWanted::Chunk(_) | ChunkWanted::Pick(_) => {
                    self.send_unit(request, ServedUnits::Chunks(&source))
                }
                ChunkWanted::Files { .. } | ChunkWanted::ListOf(_) => {
                    self.refuse(request, Status::NotHeld)
                }
            };
        }
        let Some(source) = sources.folder(&request.file) else {
            return self.refuse(request, Status::NotHeld);
        };
        match request.wanted {
            ChunkWanted::List => self.refuse(request, Status::NotHeld),
            ChunkWanted::ListOf(entry) => match source.tree(entry) {
                Some(tree) => self.send_list(request, &tree),
                None => self.refuse(request, Status::NotHeld),
            },
            ChunkWanted::Chunk(_) | ChunkWanted::Pick(_) | ChunkWanted::Files { .. } => {
                self.send_unit(request, ServedUnits::Folder(&source))
            }
        }
    }

    fn refuse(&mut self, request: &Request, status: Status) -> Result<(), Closed> {
        let header = Header::of(request, 0, status, 0);
        self.sender.send(&header.to_bytes()).map_err(closed_by_send)
    }

    fn send_list(&mut self, request: &Request, tree: &FileTree) -> Result<(), Closed> {
        let hashes = tree.chunks();
        let header = Header::of(request, 0, Status::Ok, (hashes.len() * HASH_BYTES) as u64);
        let mut left = hashes.iter().flat_map(|hash| hash.0);
        let read = |_, out: &mut [IoSliceMut<'_>]| {
            for byte in out.iter_mut().flat_map(|out| out.iter_mut()) {
                *byte = left.next().unwrap_or(0);
            }
            Ok(())
        };
        self.send_bytes(&header, read).map(|_| ())
    }

    fn send_unit(&mut self, request: &Request, source: ServedUnits<'_>) -> Result<(), Closed> {
        let (host, member, file) = (self.host, self.member, request.file);
        let Some(place) = host.places.take() else {
            return self.refuse(request, Status::Busy);
        };
        // Only now, because the best choice may have changed while it waited.
        let chunk = match &request.wanted {
            ChunkWanted::List | ChunkWanted::ListOf(_) => {
                return self.refuse(request, Status::NotHeld);
            }
            ChunkWanted::Chunk(chunk) | ChunkWanted::Files { unit: chunk, .. } => {
                if host.cancelled.take(member, file, *chunk) {
                    drop(place);
                    return self.refuse(request, Status::Busy);
                }
                *chunk
            }
            ChunkWanted::Pick(of) => match source.held().pick(member, of) {
                Picked::Chunk(chunk) => {
                    // An earlier cancellation cannot have meant a chunk that is chosen only now.
                    host.cancelled.take(member, file, chunk);
                    chunk
                }
                Picked::Elsewhere => return self.refuse(request, Status::Elsewhere),
                Picked::Nothing => return self.refuse(request, Status::NotHeld),
            },
        };
        let mut reader = match source.open(request, chunk) {
            Ok(reader) => reader,
            Err(status) => {
                drop(place);
                source.held().sent().forget_chunk(&member, chunk);
                self.refuse(request, status)?;
                return match status {
                    Status::Changed => self.changed(file, source),
                    _ => Ok(()),
                };
            }
        };
        let bytes = reader.len_bytes();
        let (mut told, mut told_at) = (0, Instant::now());
        let read = |offset, out: &mut [IoSliceMut<'_>]| {
            let length: usize = out.iter().map(|out| out.len()).sum();
            let last = offset + length as u64 == bytes;
            if offset > 0 && host.cancelled.take(member, file, chunk) {
                return Err(BrokenOff::Unwanted);
            }
            if told_at.elapsed() >= TELL {
                told_at = Instant::now();
                let served = offset - std::mem::replace(&mut told, offset);
                // Without a router nobody wants to know.
                let _ = host.inbox.send(Event::ChunkServed { member, file, bytes: served });
            }
            reader.read_into(offset, out).map_err(|error| match error.is_scarcity() {
                true => BrokenOff::Scarce,
                false => BrokenOff::Unreadable,
            })?;
            // Looked at again before the last bytes leave: one that is being edited is found out
            // before the other side takes the host for a liar.
            if last && !source.unchanged() { Err(BrokenOff::Unreadable) } else { Ok(()) }
        };
        source.held().sent().note(member, chunk);
        let header = Header::of(request, chunk, Status::Ok, bytes);
        let sent = self.send_bytes(&header, read);
        drop(place);
        if !matches!(sent, Ok(None)) {
            source.held().sent().forget_chunk(&member, chunk);
        }
        match sent? {
            None => self.tell(Event::ChunkServed { member, file, bytes: bytes - told }),
            // Whoever gets half an answer takes the rest for not held, and would not ask again:
            // without its lane it does.
            Some(BrokenOff::Scarce) => Err(Closed::ByUs),
            Some(BrokenOff::Unwanted) => Ok(()),
            Some(BrokenOff::Unreadable) => self.changed(file, source),
        }
    }

    /// Sends a header and what `read` gives; returns why if it had to be broken off.
    fn send_bytes(
        &mut self,
        header: &Header,
        mut read: impl FnMut(u64, &mut [IoSliceMut<'_>]) -> Result<(), BrokenOff>,
    ) -> Result<Option<BrokenOff>, Closed> {
        let throttle = &self.host.throttle;
        self.sender.queue(&header.to_bytes()).map_err(closed_by_send)?;
        let mut offset = 0;
        while offset < header.bytes {
            let left = usize::try_from(header.bytes - offset).unwrap_or(usize::MAX);
            // Under a limit one record at a time, so short that even a trickle is steady.
            let batch = match throttle.is_limited() {
                true => throttle.piece_bytes(DATA_BYTES),
                false => BATCH_BYTES,
            };
            let bytes = left.min(batch);
            let filled = self.sender.queue_filled(bytes, DATA_BYTES, |out| read(offset, out));
            if let Err(why) = filled.map_err(closed_by_send)? {
                if matches!(why, BrokenOff::Scarce) {
                    return Ok(Some(why));
                }
                return self.sender.send(&[]).map(|()| Some(why)).map_err(closed_by_send);
            }
            throttle.take(bytes);
            offset += bytes as u64;
            self.sender.flush().map_err(closed_by_send)?;
        }
        // An empty answer is its header alone.
        self.sender.flush().map_err(closed_by_send)?;
        Ok(None)
    }

    fn changed(&self, file: FileId, source: ServedUnits<'_>) -> Result<(), Closed> {
        let path = match source {
            ServedUnits::Chunks(_) => None,
            ServedUnits::Folder(folder) => folder.changed_path(),
        };
        self.tell(Event::SourceChecked { file, intact: false, path })
    }

    fn tell(&self, event: Event) -> Result<(), Closed> {
        // Without a router there is nobody to serve for.
        self.host.inbox.send(event).map_err(|_| Closed::ByUs)
    }
}

fn request(record: &[u8]) -> Result<Request, Closed> {
    Request::from_bytes(record).ok_or_else(|| violation("no request"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_member_does_not_need_is_forgotten_once_it_was_cancelled_or_is_gone() {
        let (cancelled, file) = (CancelledChunks::default(), FileId([7; 32]));
        let (alice, bob) = (MemberId([1; 32]), MemberId([2; 32]));
        for member in [alice, bob] {
            (0..100).for_each(|chunk| cancelled.insert(member, file, chunk));
        }
        assert!(cancelled.take(alice, file, 5));
        assert!(!cancelled.take(alice, file, 5), "it asks again because it needs it");
        assert!(!cancelled.take(alice, file, CANCELLED_EACH as u32), "of one member only so many");
        cancelled.forget_member(&alice);
        assert!(!cancelled.take(alice, file, 6), "another run of it may need it");
        assert!(cancelled.take(bob, file, 6));
    }
}
