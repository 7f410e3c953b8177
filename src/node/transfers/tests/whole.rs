//! What must work: every byte arrives, once.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use super::super::hashing::{HashJob, RootCache};
use super::*;
use crate::files::testing::write;
use crate::router::notice::Code;

fn same(left: &Path, right: &Path) -> bool {
    let (mut left, mut right) = (File::open(left).unwrap(), File::open(right).unwrap());
    let (mut ours, mut theirs) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let length = left.read(&mut ours).unwrap();
        if length == 0 {
            return right.read(&mut theirs).unwrap() == 0;
        }
        if right.read_exact(&mut theirs[..length]).is_err() || ours[..length] != theirs[..length] {
            return false;
        }
    }
}

fn download(alice: &Node, bob: &Node, offer: &Hashed, lanes: usize) -> PathBuf {
    let lanes: Vec<_> = (0..lanes).map(|_| lane(alice, bob)).collect();
    let conns: Vec<_> = lanes.iter().map(|(asks, _)| asks.conn).collect();
    let missing = bob.begin(offer, conns[0]);
    bob.fetch_all(offer.file, &conns, &missing);
    let path = bob.finish(offer.file);
    for (asks, serves) in lanes {
        bob.transfers.close_lane(asks.conn);
        assert_eq!(asks.closed(), Closed::ByUs);
        assert_eq!(serves.closed(), Closed::Gone);
    }
    path
}

#[test]
fn files_of_every_size_arrive_exact() {
    let (alice, bob) = (Node::new(Limits::default()), Node::new(Limits::default()));
    for len in [0, 1, 16_384, 262_143, 262_144, 262_145, 3 << 20, (3 << 20) + 5] {
        let path = write(alice.dir.path(), &format!("{len}.bin"), &bytes(len));
        let offer = alice.offer(&path);
        assert_eq!((offer.size, offer.name), (len as u64, format!("{len}.bin")));
        let offer = alice.offer(&path);
        let saved = download(&alice, &bob, &offer, 2);
        assert!(same(&path, &saved), "{len}");
        let name = saved.file_name().unwrap().to_str().unwrap();
        assert!(saved.is_absolute() && name.contains("_from alice"), "{name}");
    }
}

#[test]
fn a_sparse_file_of_256_mib_arrives_exact() {
    let (alice, bob) = (Node::new(Limits::default()), Node::new(Limits::default()));
    let path = write(alice.dir.path(), "big", b"");
    let mut file = File::options().write(true).open(&path).unwrap();
    file.set_len(1 << 28).unwrap();
    for at in [0, 12_345_678, (1 << 28) - 7] {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(b"klatch!").unwrap();
    }
    let offer = alice.offer(&path);
    assert!(same(&path, &download(&alice, &bob, &offer, 2)));
}

#[test]
fn what_bob_has_verified_carol_can_fetch_from_him_at_once() {
    let nodes = || Node::new(Limits::default());
    let (alice, bob, carol) = (nodes(), nodes(), nodes());
    let offer = alice.offer(&write(alice.dir.path(), "a", &bytes(3 << 20)));
    let (from_alice, _serves) = lane(&alice, &bob);
    bob.begin(&offer, from_alice.conn);
    bob.fetch_all(offer.file, &[from_alice.conn], &[4]);

    let (from_bob, _serves) = lane(&bob, &carol);
    assert_eq!(carol.begin(&offer, from_bob.conn).len(), 12);
    carol.fetch(offer.file, from_bob.conn, 4);
    assert_eq!(carol.fetched(), (4, 262_144, Ok(())));
    carol.fetch(offer.file, from_bob.conn, 5);
    assert_eq!(carol.fetched(), (5, 0, Err(FetchError::NotHeld)));
    carol.fetch(offer.file, from_bob.conn, 12);
    assert_eq!(carol.fetched(), (12, 0, Err(FetchError::NotHeld)));
}

#[test]
fn a_dropped_download_goes_on_where_it_was() {
    let (alice, bob) = (Node::new(Limits::default()), Node::new(Limits::default()));
    let path = write(alice.dir.path(), "a", &bytes(3 << 20));
    let offer = alice.offer(&path);
    let (asks, _serves) = lane(&alice, &bob);
    bob.begin(&offer, asks.conn);
    bob.fetch_all(offer.file, &[asks.conn], &[0, 7, 11]);
    assert_eq!(bob.perform(Effect::DropPart { file: offer.file, turn: TURN }), None);
    // In another run: what was verified is claimed on disk, and counts once it is rehashed.
    let bob = bob.restarted(asks);
    let (asks, _serves) = lane(&alice, &bob);
    let missing = bob.begin(&offer, asks.conn);
    assert_eq!(missing, [1, 2, 3, 4, 5, 6, 8, 9, 10]);
    bob.fetch_all(offer.file, &[asks.conn], &missing);
    assert!(same(&path, &bob.finish(offer.file)));
}

#[test]
fn an_opening_that_is_dropped_and_begun_again_keeps_what_it_has() {
    let (alice, bob) = (Node::new(Limits::default()), Node::new(Limits::default()));
    let offer = alice.offer(&write(alice.dir.path(), "a", &bytes(3 << 20)));
    let (asks, _serves) = lane(&alice, &bob);
    bob.begin(&offer, asks.conn);
    bob.fetch_all(offer.file, &[asks.conn], &[3]);
    for turn in 2..30 {
        assert_eq!(bob.perform(Effect::DropPart { file: offer.file, turn: turn - 1 }), None);
        match bob.open(&offer, turn, false) {
            // Still open somewhere, or reopened with nothing to verify against.
            PartState::Verified(held) => assert_eq!(held.iter().collect::<Vec<_>>(), [3]),
            PartState::NeedsList => {}
            state => panic!("eleven chunks are missing: {state:?}"),
        }
    }
}

#[test]
fn content_that_is_served_here_is_copied() {
    let alice = Node::new(Limits::default());
    for len in [0, 100, 3 << 20] {
        let path = write(alice.dir.path(), "a", &bytes(len));
        let offer = alice.offer(&path);
        assert_eq!(alice.open(&offer, TURN, true), PartState::Complete);
        assert!(same(&path, &alice.finish(offer.file)));
    }
}

#[test]
fn a_finished_download_is_served_from_its_place() {
    let nodes = || Node::new(Limits::default());
    let (alice, bob, carol) = (nodes(), nodes(), nodes());
    let path = write(alice.dir.path(), "a", &bytes(3 << 20));
    let offer = alice.offer(&path);
    download(&alice, &bob, &offer, 1);
    assert_eq!(bob.perform(Effect::DropPart { file: offer.file, turn: TURN }), None);
    assert!(same(&path, &download(&bob, &carol, &offer, 1)));
    assert_eq!(bob.perform(Effect::Unserve { file: offer.file }), None);
    let dave = nodes();
    let (asks, _serves) = lane(&bob, &dave);
    dave.open(&offer, TURN, false);
    let (file, conn) = (offer.file, asks.conn);
    assert_eq!(dave.perform(Effect::FetchList { file, turn: TURN, conn }), None);
    let result = Err(FetchError::NotHeld);
    assert_eq!(dave.event(), Event::ListFetched { file, turn: TURN, conn, result });
}

#[test]
fn serving_is_told_per_chunk() {
    let (alice, bob) = (Node::new(Limits::default()), Node::new(Limits::default()));
    let offer = alice.offer(&write(alice.dir.path(), "a", &bytes(262_144 + 9)));
    download(&alice, &bob, &offer, 1);
    let mut told: Vec<u64> = (0..2)
        .map(|_| {
            alice.find(|event| match event {
                Event::ChunkServed { file, bytes, .. } if file == offer.file => Some(bytes),
                _ => None,
            })
        })
        .collect();
    told.sort_unstable();
    assert_eq!(told, [9, 262_144]);
}

#[test]
fn what_cannot_be_offered_is_refused_with_its_code() {
    let alice = Node::new(Limits::default());
    let dir = alice.dir.path().to_str().unwrap().to_owned();
    let path = write(alice.dir.path(), "there", b"x").to_str().unwrap().to_owned();
    let none = format!("{dir}/none");
    let ask = |job, path: &str| {
        assert_eq!(alice.perform(Effect::Hash { job, path: path.into() }), None);
        alice.find(|event| match event {
            Event::Hashed { result, .. } => Some(result.map_err(|failure| failure.code)),
            Event::HashBegan { .. } => None,
            event => panic!("{event:?}"),
        })
    };
    assert_eq!(ask(1, &none).unwrap_err(), Code::FileNotFound);
    assert!(ask(2, &dir).unwrap().folder.is_some_and(|folder| folder.files == 1));
    assert_eq!(ask(3, &path).unwrap().name, "there");
}

#[test]
fn what_is_offered_keeps_no_file_open() {
    let alice = Node::new(Limits { open_files: 4, ..Limits::default() });
    let offers: Vec<Hashed> = (0..50)
        .map(|number| alice.offer(&write(alice.dir.path(), &number.to_string(), &[number; 9])))
        .collect();
    let open_files = &alice.transfers.shared.open_files;
    assert_eq!(open_files.count(), 0, "nobody asked for anything yet");
    for offer in &offers {
        let served = alice.transfers.library().file(&offer.file, Duration::ZERO).unwrap();
        let mut out = [0; 9];
        served.read_at(0, &mut out).unwrap();
        assert!(open_files.count() <= 4);
    }
}

#[test]
fn a_job_that_was_cancelled_before_its_turn_reads_nothing() {
    let alice = Node::new(Limits::default());
    let path = write(alice.dir.path(), "there", b"x");
    let job = HashJob::default();
    job.cancel();
    let (inbox, open_files) =
        (&alice.transfers.shared.host.inbox, &alice.transfers.shared.open_files);
    let result = job.run(1, path, 1 << 20, inbox, (open_files, &RootCache::default()));
    assert_eq!(result.unwrap_err().code, Code::Cancelled);
    assert!(alice.events.is_empty(), "it never began");
}
