//! The serving side of a data lane: answers requests in order, out of what is held on this disk.
//!
//! One thread per lane reads and sends; nothing is hashed here, for whoever asked verifies. Chunks
//! are sent a few at a time ([`super::places`]), so that each arrives, and can be passed on, soon.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::lane::{
    BATCH_BYTES, DATA_BYTES, HASH_BYTES, Header, REQUEST_BYTES, Request, Status, Wanted,
    closed_by_recv, closed_by_send, violation,
};
use super::places::{Place, Places};
use super::stream::{Channel, RecvHalf, SendHalf};
use crate::files::merkle::chunk_range;
use crate::files::served::Served;
use crate::limits::Limits;
use crate::router::event::{Closed, Event};
use crate::router::ids::{FileId, MemberId};

/// What this node serves: its own files, and downloads as far as they have come.
#[derive(Debug, Default)]
pub struct Sources {
    by_file: Mutex<BTreeMap<FileId, Arc<Served>>>,
    came: Condvar,
}

impl Sources {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<FileId, Arc<Served>>> {
        self.by_file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The source of a file.
    #[must_use]
    pub fn get(&self, file: &FileId) -> Option<Arc<Served>> {
        self.lock().get(file).cloned()
    }

    /// The source of a file; waits for one for at most `patience`.
    #[must_use]
    pub fn wait_for(&self, file: &FileId, patience: Duration) -> Option<Arc<Served>> {
        let lacking = |sources: &mut BTreeMap<_, _>| !sources.contains_key(file);
        let waited = self.came.wait_timeout_while(self.lock(), patience, lacking);
        waited.unwrap_or_else(PoisonError::into_inner).0.get(file).cloned()
    }

    /// Everything that is served.
    #[must_use]
    pub fn all(&self) -> Vec<(FileId, Arc<Served>)> {
        self.lock().iter().map(|(file, source)| (*file, Arc::clone(source))).collect()
    }

    /// Serves a file from here on, in place of an earlier source of it.
    pub fn insert(&self, file: FileId, source: Arc<Served>) {
        self.lock().insert(file, source);
        self.came.notify_all();
    }

    /// Serves a file unless there is a source of it already.
    pub fn insert_if_absent(&self, file: FileId, source: Arc<Served>) {
        self.lock().entry(file).or_insert(source);
        self.came.notify_all();
    }

    /// Stops serving a file.
    pub fn remove(&self, file: &FileId) {
        self.lock().remove(file);
    }

    /// Stops serving a file from this very source.
    pub fn remove_this(&self, file: &FileId, source: &Arc<Served>) {
        let mut sources = self.lock();
        if sources.get(file).is_some_and(|current| Arc::ptr_eq(current, source)) {
            sources.remove(file);
        }
    }
}

/// What all serving threads of a node share.
#[derive(Debug)]
pub struct Host {
    /// What is served.
    pub sources: Sources,
    /// How many chunks are sent at a time.
    pub places: Places,
    /// To the router.
    pub inbox: Sender<Event>,
    /// Bounds.
    pub limits: Arc<Limits>,
}

/// Serves a lane on the calling thread until it ends, and says how it ended.
#[must_use]
pub fn serve(channel: Channel, member: MemberId, host: &Host) -> Closed {
    let (sender, receiver) = channel.split();
    let buffer = vec![0; BATCH_BYTES];
    let waiting = VecDeque::new();
    let mut serving = Serving { sender, receiver, member, host, waiting, buffer };
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
    /// Requests that were read and not answered.
    waiting: VecDeque<Request>,
    buffer: Vec<u8>,
}

/// The host cannot read what it promised to send.
struct Unreadable;

impl Serving<'_> {
    fn next_request(&mut self) -> Result<Request, Closed> {
        while self.waiting.is_empty() {
            let record = self.receiver.recv(REQUEST_BYTES).map_err(closed_by_recv)?;
            self.waiting.push_back(request(record)?);
        }
        // A deadline that has come reads nothing more: these are the records that came along.
        while let Ok(record) = self.receiver.recv_by(REQUEST_BYTES, Instant::now()) {
            self.waiting.push_back(request(record)?);
            if self.waiting.len() > self.host.limits.lane_queue {
                return Err(violation("more requests at once than a lane may have"));
            }
        }
        self.waiting.pop_front().ok_or(Closed::Gone)
    }

    fn answer(&mut self, request: &Request) -> Result<(), Closed> {
        match (self.host.sources.get(&request.file), request.wanted) {
            (None, _) => self.refuse(request, Status::NotHeld),
            (Some(source), Wanted::List) => self.send_list(request, &source),
            (Some(source), Wanted::Chunk(chunk)) => self.send_chunk(request, &source, chunk),
        }
    }

    fn refuse(&mut self, request: &Request, status: Status) -> Result<(), Closed> {
        let header = Header { request: *request, status, bytes: 0 };
        self.sender.send(&header.to_bytes()).map_err(closed_by_send)
    }

    fn send_list(&mut self, request: &Request, source: &Served) -> Result<(), Closed> {
        let hashes = source.tree().chunks();
        let bytes = (hashes.len() * HASH_BYTES) as u64;
        let mut left = hashes.iter();
        let read = |_, out: &mut [u8]| {
            for (place, hash) in out.chunks_exact_mut(HASH_BYTES).zip(&mut left) {
                place.copy_from_slice(&hash.0);
            }
            Ok(())
        };
        self.send_bytes(request, bytes, None, read).map(|_| ())
    }

    fn send_chunk(&mut self, request: &Request, source: &Served, chunk: u32) -> Result<(), Closed> {
        let Some((start, bytes)) = chunk_range(source.tree().len(), chunk) else {
            return self.refuse(request, Status::NotHeld);
        };
        if !source.holds(chunk) {
            return self.refuse(request, Status::NotHeld);
        }
        let host = self.host;
        let Some(place) = host.places.take() else {
            return self.refuse(request, Status::Busy);
        };
        if !source.unchanged() {
            drop(place);
            self.refuse(request, Status::Changed)?;
            return self.changed(request.file);
        }
        let bytes = u64::from(bytes);
        let read = |offset, out: &mut [u8]| {
            let last = offset + out.len() as u64 == bytes;
            source.read_at(start + offset, out).map_err(|_| Unreadable)?;
            // Looked at again before the last bytes leave: one that is being edited is found out
            // before the other side takes the host for a liar.
            if last && !source.unchanged() { Err(Unreadable) } else { Ok(()) }
        };
        source.note_sent(chunk);
        let sent = self.send_bytes(request, bytes, Some(&place), read);
        drop(place);
        if !matches!(sent, Ok(true)) {
            source.note_unsent(chunk);
        }
        if sent? {
            let (member, file) = (self.member, request.file);
            return self.tell(Event::ChunkServed { member, file, bytes });
        }
        self.changed(request.file)
    }

    /// Sends a header and what `read` gives; false when it had to be broken off.
    fn send_bytes(
        &mut self,
        request: &Request,
        bytes: u64,
        place: Option<&Place<'_>>,
        mut read: impl FnMut(u64, &mut [u8]) -> Result<(), Unreadable>,
    ) -> Result<bool, Closed> {
        let header = Header { request: *request, status: Status::Ok, bytes };
        self.sender.queue(&header.to_bytes()).map_err(closed_by_send)?;
        let mut offset = 0;
        while offset < bytes {
            let left = usize::try_from(bytes - offset).unwrap_or(usize::MAX);
            let out = self.buffer.get_mut(..left.min(BATCH_BYTES)).unwrap_or_default();
            if read(offset, out).is_err() {
                return self.sender.send(&[]).map(|()| false).map_err(closed_by_send);
            }
            for piece in out.chunks(DATA_BYTES) {
                self.sender.queue(piece).map_err(closed_by_send)?;
            }
            offset += out.len() as u64;
            self.sender.flush().map_err(closed_by_send)?;
            if let Some(place) = place {
                place.progressed();
            }
        }
        // An empty answer is its header alone.
        self.sender.flush().map_err(closed_by_send)?;
        Ok(true)
    }

    fn changed(&self, file: FileId) -> Result<(), Closed> {
        self.tell(Event::SourceChecked { file, intact: false })
    }

    fn tell(&self, event: Event) -> Result<(), Closed> {
        // Without a router there is nobody to serve for.
        self.host.inbox.send(event).map_err(|_| Closed::ByUs)
    }
}

fn request(record: &[u8]) -> Result<Request, Closed> {
    Request::from_bytes(record).ok_or_else(|| violation("no request"))
}
