//! A virtual connection: two ends, an outbox each, and what is on the way between them.

use std::collections::VecDeque;

use klatch::crypto::binding::Role;
use klatch::router::event::Want;
use klatch::router::event::{Event, FetchError, Fetched, Plan};
use klatch::router::ids::{ConnId, FileId, RoomId};
use klatch::router::message::{Hello, Message, Refusal};

use crate::handshake::{Step, Turn};

/// Bytes that the network takes in one direction before the sender must wait.
pub const WINDOW_BYTES: usize = 256 * 1024;

/// Something on the way to the other end.
#[derive(Debug, Clone)]
pub enum Parcel {
    /// The handshake's first record.
    Hello(Hello, RoomId),
    /// A later record of the handshake.
    Step(Step),
    /// A control message, and its size in bytes.
    Message(Message, usize),
    /// A refusal, then the end.
    Refused(Refusal),
    /// The peer said that the lane is ready.
    LaneReady,
    /// The end.
    Fin,
}

/// A request on a lane.
#[derive(Debug, Clone)]
pub struct Request {
    pub file: FileId,
    pub turn: u64,
    /// `None`: the list of chunk hashes.
    pub want: Option<Want>,
    /// What the host sends; `None` while it has not chosen.
    pub chunk: Option<u32>,
    pub bytes: u64,
    /// It is for the list of the file of this entry in a folder.
    pub entry: Option<u32>,
}

impl Request {
    /// The event if nothing came.
    pub fn failed(&self, conn: ConnId, error: FetchError) -> Event {
        let (file, turn) = (self.file, self.turn);
        match (&self.want, self.entry) {
            (None, Some(entry)) => {
                Event::FolderListFetched { file, turn, conn, entry, result: Err(error) }
            }
            (None, None) => Event::ListFetched { file, turn, conn, result: Err(error) },
            (Some(_), _) => self.fetched(conn, 0, Err(error)),
        }
    }

    /// The event that reports its result.
    pub fn fetched(&self, conn: ConnId, bytes: u64, result: Result<(), FetchError>) -> Event {
        let (file, turn, chunk) = (self.file, self.turn, self.chunk);
        Event::ChunkFetched(Fetched { file, turn, conn, chunk, bytes, more: bytes, result })
    }
}

/// One end of a connection.
#[derive(Debug)]
pub struct End {
    pub node: usize,
    /// The run of the node's program.
    pub run: u32,
    pub conn: ConnId,
    /// The program still has it.
    pub open: bool,
    /// Its machine lost power: nobody answers, not even a kernel.
    pub vanished: bool,
    pub hello: Option<(Hello, RoomId)>,
    /// The peer's Hello, if it came before ours was sent.
    pub early_hello: Option<(Hello, RoomId)>,
    pub plan: Option<Plan>,
    /// The room for which everything on this connection is signed.
    pub room: RoomId,
    /// What its handshake waits for.
    pub turn: Turn,
    /// What arrived and has not been read yet.
    pub heard: VecDeque<Parcel>,
    /// Whether the peer has shown its identity.
    pub shown: bool,
    /// The handshake is over: each knows the other.
    pub identified: bool,
    /// The peer was let in by a password that was no longer in force.
    pub stale: bool,
    /// Whether the longer deadline applies, for an exchange with a password.
    pub patient: bool,
    /// Whether the handshake's deadlines are over.
    pub admitted: bool,
    pub outbox: VecDeque<(Message, usize)>,
    pub outbox_bytes: usize,
    pub congested: bool,
    /// Closing: what is queued is still sent.
    pub closing: bool,
    /// Until when the line is busy with this end's bytes.
    pub busy_until_us: u64,
    pub pump_armed: bool,
    pub in_flight_bytes: usize,
    pub last_arrival_ms: u64,
    /// Sent by this end, held up by a cut.
    pub stalled: VecDeque<Parcel>,
}

impl End {
    pub fn new(node: usize, run: u32, conn: ConnId) -> Self {
        Self {
            node,
            run,
            conn,
            open: true,
            vanished: false,
            hello: None,
            early_hello: None,
            plan: None,
            room: RoomId::default(),
            turn: Turn::Plan,
            heard: VecDeque::new(),
            shown: false,
            identified: false,
            stale: false,
            patient: false,
            admitted: false,
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            congested: false,
            closing: false,
            busy_until_us: 0,
            pump_armed: false,
            in_flight_bytes: 0,
            last_arrival_ms: 0,
            stalled: VecDeque::new(),
        }
    }
}

/// A connection; end 0 dialled.
#[derive(Debug)]
pub struct Pipe {
    pub role: Role,
    pub ends: [End; 2],
    /// When the dialer's channel was up.
    pub up_ms: Option<u64>,
    /// When each end committed it as a link.
    pub linked_ms: [Option<u64>; 2],
    /// A lane: which end fetches, who said ready, what is asked.
    pub fetcher: Option<usize>,
    pub started: [bool; 2],
    /// Which end heard that the other is ready.
    pub ready: [bool; 2],
    pub queue: VecDeque<Request>,
    /// Changes with each request, so that outdated timers are recognised.
    pub serial: u64,
    /// When the request in progress would have ended without a cut.
    pub overdue_ms: Option<u64>,
}

impl Pipe {
    pub fn new(role: Role, ends: [End; 2]) -> Self {
        Self {
            role,
            ends,
            up_ms: None,
            linked_ms: [None; 2],
            fetcher: None,
            started: [false; 2],
            ready: [false; 2],
            queue: VecDeque::new(),
            serial: 0,
            overdue_ms: None,
        }
    }
}

/// Bytes of a message on the wire, roughly: JSON with base64.
pub fn size_of(message: &Message) -> usize {
    let signed = |bytes: usize| bytes * 4 / 3 + 200;
    match message {
        Message::Entry(entry) => signed(entry.bytes().len()),
        Message::Answer { entries, .. } => {
            60 + entries.iter().map(|entry| signed(entry.bytes().len())).sum::<usize>()
        }
        Message::Have(haves) => 20 + 240 * haves.len(),
        Message::Ask { chains, .. } => 40 + 140 * chains.len(),
        Message::Receipt { .. } => 320,
        Message::Presence(record) => signed(record.bytes.len()),
        Message::Ids { list, .. } => 60 + list.len() * 128 / 3,
        Message::Records(records) => {
            40 + records.iter().map(|record| signed(record.bytes.len())).sum::<usize>()
        }
        Message::Password { .. } => 650,
        Message::Invitation { invitation, .. } => signed(invitation.bytes.len()) + 120,
        Message::Hosting { held: klatch::router::message::Held::Some(bitmap), .. } => {
            140 + (bitmap.len() as usize).div_ceil(8) * 4 / 3
        }
        Message::Gained { chunks, .. } => 120 + 7 * chunks.len(),
        _ => 120,
    }
}
