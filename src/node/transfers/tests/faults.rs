//! What must not happen, whatever a host, a disk or a network does.

use std::fs::{File, OpenOptions};

use super::*;
use crate::crypto::noise::RECORD_MAX_PLAIN_BYTES;
use crate::files::testing::write;
use crate::net::channel::RecvError;
use crate::net::lane::{
    ChunkWanted, DATA_BYTES, HEADER_BYTES, Header, REQUEST_BYTES, Request, Status,
};
use crate::router::swarm::choice::LANE_QUEUE;
use crate::sys::files::Positional;
use crate::sys::testing::{POSIX, link};

const CHUNK: usize = 262_144;

fn nodes() -> (Node, Node) {
    (Node::new(Limits::default()), Node::new(Limits::default()))
}

/// A host that sends what the test wants.
struct Liar {
    channel: Channel,
    lane: Running,
}

impl Liar {
    fn towards(node: &Node) -> Self {
        let (asks, channel) = channels();
        Self { channel, lane: Running::start(node, true, asks) }
    }

    fn request(&mut self) -> Request {
        Request::from_bytes(self.channel.recv(REQUEST_BYTES).unwrap()).unwrap()
    }

    fn send_header(&mut self, request: &Request, status: Status, bytes: u64) {
        self.channel.send(&Header::of(request, 0, status, bytes).to_bytes()).unwrap();
    }
}

/// A member that requests what the test wants.
struct Asker {
    channel: Channel,
    lane: Running,
}

impl Asker {
    fn of(node: &Node) -> Self {
        let (channel, serves) = channels();
        Self { channel, lane: Running::start(node, false, serves) }
    }

    /// Reads an answer: its status, and its bytes, as many as came before it was broken off.
    fn answer(&mut self) -> (Status, Vec<u8>) {
        let header = Header::from_bytes(self.channel.recv(HEADER_BYTES).unwrap()).unwrap();
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < header.bytes {
            let record = self.channel.recv(RECORD_MAX_PLAIN_BYTES).unwrap();
            if record.is_empty() {
                break;
            }
            bytes.extend_from_slice(record);
        }
        (header.status, bytes)
    }
}

fn withdrawn(node: &Node, offer: &Hashed) {
    node.find(|event| {
        let changed = Event::SourceChecked { file: offer.file, intact: false, path: None };
        (event == changed).then_some(())
    });
}

#[test]
fn one_wrong_byte_costs_one_chunk() {
    let (alice, bob) = nodes();
    let path = write(alice.dir.path(), "a", &bytes(3 << 20));
    let offer = alice.offer(&path);
    // Length and time do not show it.
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"!", 3 * CHUNK as u64 + 77).unwrap();
    file.set_modified(modified).unwrap();

    let (asks, _serves) = lane(&alice, &bob);
    bob.begin(&offer, asks.conn);
    for (chunk, result) in [(2, Ok(())), (3, Err(FetchError::Bad)), (4, Ok(()))] {
        bob.fetch(offer.file, asks.conn, chunk);
        assert_eq!(bob.fetched(), (chunk, CHUNK as u64, result));
    }
    for (chunk, intact) in [(4, true), (3, false)] {
        assert_eq!(alice.perform(Effect::Recheck { file: offer.file, chunk }), None);
        let checked = alice.find(|event| match event {
            Event::SourceChecked { intact, .. } => Some(intact),
            _ => None,
        });
        assert_eq!(checked, intact);
    }
}

#[test]
fn an_edited_truncated_or_swapped_file_is_not_served() {
    type Harm = fn(&Path);
    let edit: Harm = |path| OpenOptions::new().append(true).open(path).unwrap().set_len(9).unwrap();
    let touch: Harm = |path| File::open(path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let remove: Harm = |path| std::fs::remove_file(path).unwrap();
    let swap: Harm = |path| {
        std::fs::remove_file(path).unwrap();
        if POSIX {
            link(Path::new("/dev/zero"), path);
        }
    };
    let (alice, bob) = nodes();
    for (number, harm) in [edit, touch, remove, swap].into_iter().enumerate() {
        let path = write(alice.dir.path(), "a", &bytes((3 << 20) + number));
        let offer = alice.offer(&path);
        let (asks, _serves) = lane(&alice, &bob);
        bob.begin(&offer, asks.conn);
        harm(&path);
        bob.fetch(offer.file, asks.conn, 2);
        assert_eq!(bob.fetched(), (2, 0, Err(FetchError::NotHeld)));
        withdrawn(&alice, &offer);
        std::fs::remove_file(&path).unwrap_or_default();
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_breaks_off_and_the_lane_goes_on() {
    let alice = Node::new(Limits::default());
    let other = alice.offer(&write(alice.dir.path(), "other", &bytes(1000)));
    let path = write(alice.dir.path(), "a", b"");
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(1 << 30).unwrap();
    let offer = alice.offer(&path);
    let mut asker = Asker::of(&alice);
    for chunk in 0..15 {
        let request = Request { file: offer.file, wanted: ChunkWanted::Chunk(chunk) };
        asker.channel.send(&request.to_bytes()).unwrap();
    }
    let last = Request { file: other.file, wanted: ChunkWanted::Chunk(0) };
    asker.channel.send(&last.to_bytes()).unwrap();
    // The first has come, and more than the sockets can hold has not: alice is in the middle.
    assert_eq!(asker.answer(), (Status::Ok, vec![0; 1 << 20]));
    file.set_len(0).unwrap();
    let answers: Vec<_> = (1..15).map(|_| asker.answer()).collect();
    assert!(answers.iter().all(|(_, bytes)| bytes.iter().all(|byte| *byte == 0)));
    assert!(answers.iter().any(|(_, bytes)| bytes.len() < 1 << 20));
    assert_eq!(answers[13], (Status::Changed, vec![]));
    withdrawn(&alice, &offer);
    assert_eq!(asker.answer(), (Status::Ok, bytes(1000)));
}

#[test]
fn a_lane_that_is_cut_at_any_record_never_gives_a_chunk() {
    let (alice, bob) = nodes();
    let offer = alice.offer(&write(alice.dir.path(), "a", &bytes(CHUNK)));
    assert!(matches!(bob.open(&offer, TURN, false), PartState::Verified(_)));
    let records = CHUNK / DATA_BYTES;
    for sent in 0..=records + 1 {
        let mut liar = Liar::towards(&bob);
        bob.fetch(offer.file, liar.lane.conn, 0);
        let request = liar.request();
        if sent > 0 {
            liar.send_header(&request, Status::Ok, CHUNK as u64);
        }
        for piece in bytes(CHUNK).chunks(DATA_BYTES).take(sent.saturating_sub(1)) {
            liar.channel.send(piece).unwrap();
        }
        drop(liar.channel);
        let (_, _, result) = bob.fetched();
        if sent <= records {
            assert_eq!(result, Err(FetchError::Lane), "{sent}");
            assert_eq!(liar.lane.closed(), Closed::Gone);
            let name = "early".to_owned();
            bob.perform(Effect::FinishPart {
                file: offer.file,
                turn: TURN,
                name,
                save: Default::default(),
            });
            let early = bob.find(|event| match event {
                Event::PartFinished { result, .. } => Some(result),
                _ => None,
            });
            assert!(early.is_err(), "{sent}");
        } else {
            assert_eq!(result, Ok(()));
        }
    }
    assert_eq!(std::fs::read(bob.finish(offer.file)).unwrap(), bytes(CHUNK));
}

#[test]
fn answers_that_do_not_fit_end_the_lane() {
    let (alice, bob) = nodes();
    let offer = alice.offer(&write(alice.dir.path(), "a", &bytes(CHUNK)));
    bob.open(&offer, TURN, false);
    type Lie = fn(&mut Liar, Request);
    let other_chunk: Lie = |liar, request| {
        let other = Request { wanted: ChunkWanted::Chunk(1), ..request };
        liar.send_header(&other, Status::Ok, CHUNK as u64);
    };
    let wrong_length: Lie = |liar, request| liar.send_header(&request, Status::Ok, u64::MAX);
    let refused_with_bytes: Lie = |liar, request| liar.send_header(&request, Status::Busy, 1);
    let no_header: Lie = |liar, _| liar.channel.send(b"GET / HTTP/1.1").unwrap();
    let too_many: Lie = |liar, request| {
        liar.send_header(&request, Status::Ok, CHUNK as u64);
        (0..5).for_each(|_| liar.channel.send(&[0; 60_000]).unwrap());
    };
    let not_sealed: Lie = |liar, _| {
        liar.channel.stream().write(&[0, 30].repeat(40)).unwrap();
    };
    for lie in [other_chunk, wrong_length, refused_with_bytes, no_header, too_many, not_sealed] {
        let mut liar = Liar::towards(&bob);
        bob.fetch(offer.file, liar.lane.conn, 0);
        let request = liar.request();
        lie(&mut liar, request);
        assert_eq!(bob.fetched().2, Err(FetchError::Lane));
        assert!(matches!(liar.lane.closed(), Closed::Protocol(_)));
    }
}

#[test]
fn busy_hosts_and_broken_off_chunks_leave_the_lane_open() {
    let (alice, bob) = nodes();
    let offer = alice.offer(&write(alice.dir.path(), "a", &bytes(CHUNK)));
    bob.open(&offer, TURN, false);
    let mut liar = Liar::towards(&bob);
    for result in [FetchError::Busy, FetchError::NotHeld, FetchError::NotHeld, FetchError::Bad] {
        bob.fetch(offer.file, liar.lane.conn, 0);
        let request = liar.request();
        match result {
            FetchError::Busy => liar.send_header(&request, Status::Busy, 0),
            FetchError::Bad => {
                liar.send_header(&request, Status::Ok, CHUNK as u64);
                (0..8).for_each(|_| liar.channel.send(&[0; DATA_BYTES]).unwrap());
            }
            _ => {
                liar.send_header(&request, Status::Ok, CHUNK as u64);
                liar.channel.send(&[]).unwrap();
            }
        }
        assert_eq!(bob.fetched().2, Err(result));
    }
}

#[test]
fn a_list_that_is_not_of_the_file_is_bad() {
    let (alice, bob) = nodes();
    let offer = alice.offer(&write(alice.dir.path(), "a", &bytes(2 * CHUNK)));
    assert_eq!(bob.open(&offer, TURN, false), PartState::NeedsList);
    let mut liar = Liar::towards(&bob);
    let (file, turn, conn) = (offer.file, TURN, liar.lane.conn);
    assert_eq!(bob.perform(Effect::FetchList { file, turn, conn }), None);
    let request = liar.request();
    liar.send_header(&request, Status::Ok, 64);
    liar.channel.send(&[7; 64]).unwrap();
    let result = Err(FetchError::Bad);
    let listed = |event| matches!(event, Event::ListFetched { .. }).then_some(event);
    assert_eq!(bob.find(listed), Event::ListFetched { file, turn, conn, result });
    // Nothing can be fetched before the list is known.
    let fetch = Effect::Fetch { file, turn, conn, want: Want::Chunk(0) };
    let Some(Event::ChunkFetched(fetched)) = bob.perform(fetch) else { panic!("it began") };
    assert!(matches!(fetched.result, Err(FetchError::Disk(_))), "{fetched:?}");
}

#[test]
fn a_slow_host_cannot_spoil_what_a_faster_one_has_brought() {
    let (alice, bob) = nodes();
    let offer = alice.offer(&write(alice.dir.path(), "a", &bytes(CHUNK)));
    bob.open(&offer, TURN, false);
    let mut liar = Liar::towards(&bob);
    let (slow, (fast, _serves)) = (liar.lane.conn, lane(&alice, &bob));
    bob.fetch(offer.file, slow, 0);
    let request = liar.request();
    liar.send_header(&request, Status::Ok, CHUNK as u64);
    (0..7).for_each(|_| liar.channel.send(&[0; DATA_BYTES]).unwrap());
    bob.fetch(offer.file, fast.conn, 0);
    assert_eq!(bob.fetched(), (0, CHUNK as u64, Ok(())));
    let place = bob.finish(offer.file);
    // The slow lane is still fetching when the file is wanted again.
    assert_eq!(bob.open(&offer, 2, true), PartState::Complete);
    liar.channel.send(&[0; DATA_BYTES]).unwrap();
    assert_eq!(bob.fetched(), (0, CHUNK as u64, Ok(())));
    assert_eq!(std::fs::read(place).unwrap(), bytes(CHUNK));
    bob.perform(Effect::FinishPart {
        file: offer.file,
        turn: 2,
        name: "again".to_owned(),
        save: Default::default(),
    });
    let again = bob.find(|event| match event {
        Event::PartFinished { turn: 2, result, .. } => Some(result.unwrap()),
        _ => None,
    });
    assert_eq!(std::fs::read(again).unwrap(), bytes(CHUNK));
}

#[test]
fn seventeen_requests_at_once_close_the_lane_and_sixteen_do_not() {
    let alice = Node::new(Limits::default());
    let offer = alice.offer(&write(alice.dir.path(), "a", &bytes(CHUNK)));
    let request = Request { file: offer.file, wanted: ChunkWanted::Chunk(0) }.to_bytes();
    for (requests, allowed) in [(16, true), (17, false)] {
        let Asker { channel, lane } = Asker::of(&alice);
        let (mut sender, mut receiver) = channel.split();
        (0..requests).for_each(|_| sender.queue(&request).unwrap());
        sender.flush().unwrap();
        if allowed {
            for _ in 0..requests * (1 + CHUNK / DATA_BYTES) {
                receiver.recv(RECORD_MAX_PLAIN_BYTES).unwrap();
            }
        } else {
            assert_eq!(receiver.recv(RECORD_MAX_PLAIN_BYTES), Err(RecvError::Closed));
            assert!(matches!(lane.closed(), Closed::Protocol(_)));
        }
    }
}

#[test]
fn what_is_no_request_closes_the_lane() {
    let alice = Node::new(Limits::default());
    for record in [&[0; REQUEST_BYTES][..], &[1; 3], &[1; REQUEST_BYTES], &[2; 60_000], &[]] {
        let mut asker = Asker::of(&alice);
        asker.channel.send(record).unwrap();
        assert!(matches!(asker.lane.closed(), Closed::Protocol(_)));
    }
}

#[test]
fn what_is_asked_leaves_while_an_answer_comes() {
    let (alice, bob) = nodes();
    let offer = alice.offer(&write(alice.dir.path(), "a", &bytes(3 << 20)));
    let (asks, _serves) = lane(&alice, &bob);
    bob.begin(&offer, asks.conn);
    let mut liar = Liar::towards(&bob);
    bob.fetch(offer.file, liar.lane.conn, 0);
    let first = liar.request();
    liar.send_header(&first, Status::Ok, CHUNK as u64);
    liar.channel.send(&[0; DATA_BYTES]).unwrap();
    for chunk in 1..16 {
        bob.fetch(offer.file, liar.lane.conn, chunk);
        assert_eq!(liar.request().wanted, ChunkWanted::Chunk(chunk));
    }
}

#[test]
fn a_full_lane_is_busy_and_one_that_is_gone_is_told() {
    let alice = Node::new(Limits::default());
    let bob = Node::new(Limits::default());
    let offer = alice.offer(&write(alice.dir.path(), "a", &bytes(CHUNK)));
    bob.open(&offer, TURN, false);
    let mut liar = Liar::towards(&bob);
    let (file, turn, conn, chunk) = (offer.file, TURN, liar.lane.conn, 0);
    bob.fetch(file, conn, chunk);
    liar.request();
    let failed = |error| {
        let (chunk, result) = (Some(chunk), Err(error));
        Event::ChunkFetched(Fetched { file, turn, conn, chunk, bytes: 0, more: 0, result })
    };
    let ask = || bob.perform(Effect::Fetch { file, turn, conn, want: Want::Chunk(chunk) });
    // LANE_QUEUE requests may be unanswered, and as many may wait behind one about to be sent.
    let busy = (0..=2 * LANE_QUEUE).find_map(|_| ask());
    assert_eq!(busy, Some(failed(FetchError::Busy)));
    bob.transfers.close_lane(conn);
    assert_eq!(bob.fetched().2, Err(FetchError::Lane));
    assert_eq!(liar.lane.closed(), Closed::Gone);
    let sent = std::iter::from_fn(|| liar.channel.recv(REQUEST_BYTES).ok().map(drop)).count();
    assert!(sent < LANE_QUEUE, "no more were sent, but {sent}");
    assert_eq!(ask(), Some(failed(FetchError::Lane)));
    assert!(bob.events.is_empty(), "what was not asked is not answered");
}

#[test]
fn idle_and_silent_lanes_end() {
    let bob = Node::new(Limits { lane_idle_ms: 50, ..Limits::default() });
    assert_eq!(Liar::towards(&bob).lane.closed(), Closed::ByUs);
    let bob = Node::new(Limits { stuck_link_ms: 300, ..Limits::default() });
    let alice = Node::new(Limits::default());
    let offer = alice.offer(&write(alice.dir.path(), "a", &bytes(CHUNK)));
    bob.open(&offer, TURN, false);
    let liar = Liar::towards(&bob);
    bob.fetch(offer.file, liar.lane.conn, 0);
    assert_eq!(bob.fetched().2, Err(FetchError::Lane));
    assert_eq!(liar.lane.closed(), Closed::Silent);
    let mut liar = Liar::towards(&bob);
    bob.fetch(offer.file, liar.lane.conn, 0);
    let request = liar.request();
    liar.send_header(&request, Status::Ok, CHUNK as u64);
    let stream = liar.channel.stream();
    // One byte at a time: there is always something, but never a record.
    while bob.events.is_empty() && stream.write(&[0x40]).is_ok_and(|count| count > 0) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(bob.fetched().2, Err(FetchError::Lane));
    assert_eq!(liar.lane.closed(), Closed::Silent);
    // One-byte records, one at a time: there is always a record, but never a chunk.
    let mut liar = Liar::towards(&bob);
    bob.fetch(offer.file, liar.lane.conn, 0);
    let request = liar.request();
    liar.send_header(&request, Status::Ok, CHUNK as u64);
    while bob.events.is_empty() && liar.channel.send(&[7]).is_ok() {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(bob.fetched().2, Err(FetchError::Lane));
    assert_eq!(liar.lane.closed(), Closed::Silent);
    // A member that never asks takes up a thread only for a limited time.
    assert_eq!(Asker::of(&bob).lane.closed(), Closed::Silent);
}

#[test]
fn shutdown_ends_every_thread_in_time() {
    let (alice, bob) = nodes();
    let path = write(alice.dir.path(), "big", b"");
    OpenOptions::new().write(true).open(&path).unwrap().set_len(64 << 30).unwrap();
    let offer = alice.offer(&write(alice.dir.path(), "a", &bytes(CHUNK)));
    bob.open(&offer, TURN, false);
    let liar = Liar::towards(&bob);
    bob.fetch(offer.file, liar.lane.conn, 0);
    let (asks, serves) = lane(&alice, &bob);
    alice.perform(Effect::Hash { job: 1000, path: path.clone() });
    let before = Instant::now();
    for node in [&alice, &bob] {
        node.transfers.shutdown();
        assert!(node.transfers.join(before + Duration::from_secs(10)));
    }
    for running in [liar.lane, asks, serves] {
        assert!(matches!(running.closed(), Closed::ByUs | Closed::Gone));
    }
    let (late, _other) = channels();
    assert_eq!(alice.transfers.lane(ConnId(0), MemberId([9; 32]), false, late), Closed::ByUs);
}
