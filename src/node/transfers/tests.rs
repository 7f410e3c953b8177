//! Alice shares, bob fetches, over a real channel inside this process.

mod disks;
mod faults;
mod folders;
mod speed;
mod whole;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use super::Transfers;
use crate::crypto::noise::Handshake;
use crate::files::disk::{Disk, SystemDisk};
use crate::limits::Limits;
use crate::net::channel::Channel;
use crate::net::memory;
use crate::net::stream::Stream;
use crate::router::event::Want;
use crate::router::event::{Closed, Effect, Event, FetchError, Fetched, Hashed, PartState};
use crate::router::ids::{ConnId, FileId, MemberId};
use crate::thread::{STACK_SMALL_BYTES, spawn};

const TURN: u64 = 1;

/// One node: its transfers, what they tell the router, and a folder.
struct Node {
    transfers: Arc<Transfers>,
    events: Receiver<Event>,
    dir: tempfile::TempDir,
}

impl Node {
    fn new(limits: Limits) -> Self {
        Self::at(limits, tempfile::tempdir().unwrap())
    }

    fn at(limits: Limits, dir: tempfile::TempDir) -> Self {
        Self::on(limits, dir, Arc::new(SystemDisk))
    }

    fn on(limits: Limits, dir: tempfile::TempDir, disk: Arc<dyn Disk>) -> Self {
        let (inbox, events) = bounded(1_024);
        let folder = dir.path().to_owned();
        let transfers = Transfers::new(inbox, Arc::new(limits), folder, disk);
        Self { transfers: Arc::new(transfers), events, dir }
    }

    /// Another run in the same folder, once nothing of this one is left: the thread of its lane may
    /// hold the partial file until it ends.
    fn restarted(self, lane: Running) -> Self {
        self.transfers.shutdown();
        assert!(self.transfers.join(soon()));
        lane.closed();
        Self::at(Limits::default(), self.dir)
    }

    fn event(&self) -> Event {
        self.events.recv_timeout(Duration::from_secs(30)).unwrap()
    }

    /// The next event that `pick` accepts; others are dropped.
    fn find<T>(&self, pick: impl Fn(Event) -> Option<T>) -> T {
        loop {
            if let Some(found) = pick(self.event()) {
                return found;
            }
        }
    }

    fn perform(&self, effect: Effect) -> Option<Event> {
        self.transfers.perform(effect)
    }

    /// Hashes and serves a file.
    fn offer(&self, path: &Path) -> Hashed {
        static JOBS: AtomicU64 = AtomicU64::new(0);
        let job = JOBS.fetch_add(1, Ordering::Relaxed);
        let path = path.to_owned();
        assert_eq!(self.perform(Effect::Hash { job, path }), None);
        let hashed = self.find(|event| match event {
            Event::Hashed { job: done, result } if done == job => Some(result),
            _ => None,
        });
        let hashed = hashed.unwrap();
        assert_eq!(self.perform(Effect::Serve { file: hashed.file, job }), None);
        hashed
    }

    fn open(&self, offer: &Hashed, turn: u64, copy: bool) -> PartState {
        let Hashed { file, size, root, .. } = *offer;
        let name = offer.name.clone();
        let folder = None;
        let open = Effect::OpenPart { file, turn, size, root, name, copy, folder };
        assert_eq!(self.perform(open), None);
        let opened = self.find(|event| match event {
            Event::PartOpened { turn: opened, result, .. } if opened == turn => Some(result),
            _ => None,
        });
        opened.unwrap()
    }

    fn fetch(&self, file: FileId, conn: ConnId, chunk: u32) {
        let want = Want::Chunk(chunk);
        if let Some(event) = self.perform(Effect::Fetch { file, turn: TURN, conn, want }) {
            panic!("{event:?}");
        }
    }

    fn fetched(&self) -> (u32, u64, Result<(), FetchError>) {
        self.find(|event| match event {
            Event::ChunkFetched(Fetched { chunk, bytes, result, .. }) => {
                Some((chunk.unwrap(), bytes, result))
            }
            _ => None,
        })
    }

    fn finish(&self, file: FileId) -> PathBuf {
        let name = "from alice.bin".to_owned();
        assert_eq!(
            self.perform(Effect::FinishPart { file, turn: TURN, name, save: Default::default() }),
            None
        );
        let finished = self.find(|event| match event {
            Event::PartFinished { result, .. } => Some(result),
            _ => None,
        });
        finished.unwrap()
    }

    /// Opens a download and fetches its list if it needs one; returns the chunks that are missing.
    fn begin(&self, offer: &Hashed, conn: ConnId) -> Vec<u32> {
        let file = offer.file;
        let held = match self.open(offer, TURN, false) {
            PartState::Verified(held) => held,
            PartState::NeedsList => {
                assert_eq!(self.perform(Effect::FetchList { file, turn: TURN, conn }), None);
                let listed = self.find(|event| match event {
                    Event::ListFetched { result, .. } => Some(result),
                    _ => None,
                });
                listed.unwrap()
            }
            state => panic!("{state:?}"),
        };
        (0..held.len()).filter(|chunk| !held.has(*chunk)).collect()
    }

    /// Fetches these chunks over these lanes, three in flight on each; all must arrive.
    fn fetch_all(&self, file: FileId, conns: &[ConnId], chunks: &[u32]) {
        let mut waiting = chunks.iter().zip(conns.iter().cycle());
        let mut open = 0;
        for (chunk, conn) in waiting.by_ref().take(3 * conns.len()) {
            self.fetch(file, *conn, *chunk);
            open += 1;
        }
        while open > 0 {
            let (conn, result) = self.find(|event| match event {
                Event::ChunkFetched(Fetched { conn, result, .. }) => Some((conn, result)),
                _ => None,
            });
            result.unwrap();
            open -= 1;
            if let Some((chunk, _)) = waiting.next() {
                self.fetch(file, conn, *chunk);
                open += 1;
            }
        }
    }
}

/// The two ends of a channel.
fn channels() -> (Channel, Channel) {
    let (dialled, accepted) = memory::pair();
    let mut wire = [0; 64];
    let mut dialer = Handshake::dialer(b"test").unwrap();
    let mut answerer = Handshake::listener(b"test").unwrap();
    let length = dialer.write(&mut wire).unwrap();
    answerer.read(&wire[..length]).unwrap();
    let length = answerer.write(&mut wire).unwrap();
    dialer.read(&wire[..length]).unwrap();
    let end = |stream: Arc<dyn Stream>, handshake: Handshake| {
        let (sealer, opener, _) = handshake.finish().unwrap();
        Channel::new(stream, sealer, opener, (Ipv4Addr::LOCALHOST, 9).into())
    };
    (end(dialled, dialer), end(accepted, answerer))
}

/// A lane that runs on a thread of its own, as a connection's does.
struct Running {
    conn: ConnId,
    thread: JoinHandle<()>,
    closed: Receiver<Closed>,
}

impl Running {
    fn start(node: &Node, fetch: bool, channel: Channel) -> Self {
        Self::with(node, MemberId([9; 32]), fetch, channel)
    }

    /// The same with this member at the other end.
    fn with(node: &Node, member: MemberId, fetch: bool, channel: Channel) -> Self {
        static CONNS: AtomicU64 = AtomicU64::new(1);
        let conn = ConnId(CONNS.fetch_add(1, Ordering::Relaxed));
        let (tell, closed) = bounded(1);
        let transfers = Arc::clone(&node.transfers);
        let work = move || {
            tell.send(transfers.lane(conn, member, fetch, channel)).unwrap();
        };
        let thread = spawn("lane", STACK_SMALL_BYTES, work).unwrap();
        node.find(|event| (event == Event::LaneOpened { conn }).then_some(()));
        Self { conn, thread, closed }
    }

    fn closed(self) -> Closed {
        let closed = self.closed.recv_timeout(Duration::from_secs(30)).unwrap();
        self.thread.join().unwrap();
        closed
    }
}

/// A lane over which bob fetches from alice: bob's end, and alice's.
fn lane(alice: &Node, bob: &Node) -> (Running, Running) {
    let (asks, serves) = channels();
    (Running::start(bob, true, asks), Running::start(alice, false, serves))
}

/// R9: 64 lanes without requests kept a download waiting for 20 s.
#[test]
fn r9_idle_lanes_give_way() {
    let alice = Node::new(Limits { serve_threads: 4, ..Limits::default() });
    let start = |member: u8| {
        let (theirs, ours) = channels();
        (Running::with(&alice, MemberId([member; 32]), false, ours), theirs)
    };
    let ben = start(1);
    let eves: Vec<_> = (0..3).map(|_| start(2)).collect();
    let _mia = start(3);
    let mut eves = eves.into_iter();
    let (first, _ours) = eves.next().unwrap();
    assert_eq!(first.closed(), Closed::Gone, "the oldest lane of the member with most");
    let _another = start(4);
    let (second, _ours) = eves.next().unwrap();
    assert_eq!(second.closed(), Closed::Gone);
    assert!(ben.0.closed.is_empty(), "a single lane does not give way");
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// Bytes in which no two pages are equal.
fn bytes(len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33) as u8).collect()
}
