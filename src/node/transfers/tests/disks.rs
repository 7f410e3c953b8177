//! S7, and leftovers of downloads: the disk's side of things.

use super::*;
use crate::files::faulty::FaultyDisk;
use crate::files::testing::write;
use crate::net::lane::REQUEST_BYTES;
use crate::router::event::{DiskError, Leftover, Leftovers};
use crate::router::ids::FaceId;
use crate::router::notice::{Code, Failure};

const CHUNK: u64 = 262_144;

fn try_part(node: &Node, file: FileId, chunks: &[u32]) -> Result<(), DiskError> {
    let chunks = chunks.to_vec();
    assert_eq!(node.perform(Effect::TryPart { file, turn: TURN, chunks }), None);
    node.find(|event| match event {
        Event::PartTried { result, .. } => Some(result),
        _ => None,
    })
}

fn remove(node: &Node, prefix: &str) -> Result<Option<u64>, Failure> {
    let (face, line, wanted) = (FaceId(1), 7, "a".to_owned());
    let prefix = Some(prefix.to_owned());
    assert_eq!(node.perform(Effect::RemovePart { face, line, wanted, prefix }), None);
    node.find(|event| match event {
        Event::PartRemoved { result, .. } => Some(result),
        _ => None,
    })
}

fn entries(node: &Node) -> usize {
    std::fs::read_dir(node.dir.path()).unwrap().count()
}

#[test]
fn s7_what_a_full_disk_does_not_take_costs_neither_lane_nor_chunk() {
    let alice = Node::new(Limits::default());
    let disk = Arc::new(FaultyDisk::default());
    let bob = Node::on(Limits::default(), tempfile::tempdir().unwrap(), disk.clone());
    let path = write(alice.dir.path(), "a", &bytes(3 << 20));
    let offer = alice.offer(&path);
    let (asks, _serves) = lane(&alice, &bob);
    let missing = bob.begin(&offer, asks.conn);
    disk.change(|faults| faults.room_bytes = Some(CHUNK + CHUNK / 2));
    bob.fetch(offer.file, asks.conn, 0);
    assert_eq!(bob.fetched(), (0, CHUNK, Ok(())));
    for chunk in [1, 2] {
        bob.fetch(offer.file, asks.conn, chunk);
        let (_, bytes, result) = bob.fetched();
        assert_eq!(bytes, CHUNK, "it is read to its end: the lane goes on");
        let Err(FetchError::Disk(error)) = result else { panic!("{result:?}") };
        assert!(error.may_pass && error.failure.code == Code::DiskFull, "{error:?}");
    }
    assert!(try_part(&bob, offer.file, &[1, 2]).is_err());
    disk.change(|faults| faults.room_bytes = None);
    assert_eq!(try_part(&bob, offer.file, &[0, 1, 2]), Ok(()));
    bob.fetch_all(offer.file, &[asks.conn], &missing[1..]);
    assert_eq!(std::fs::read(bob.finish(offer.file)).unwrap(), std::fs::read(path).unwrap());
}

#[test]
fn what_is_left_is_told_at_the_start_and_removed_when_asked() {
    let (alice, bob) = (Node::new(Limits::default()), Node::new(Limits::default()));
    let offer = alice.offer(&write(alice.dir.path(), "a", &bytes(3 << 20)));
    let id = offer.file.to_string();
    let (asks, _serves) = lane(&alice, &bob);
    bob.begin(&offer, asks.conn);
    bob.fetch_all(offer.file, &[asks.conn], &[1, 2]);
    assert!(remove(&bob, &id).is_err(), "it is under way");
    assert_eq!(entries(&bob), 2);
    bob.perform(Effect::DropPart { file: offer.file, turn: TURN });
    let bob = bob.restarted(asks);

    bob.transfers.look_for_leftovers();
    let Event::LeftoversFound(Leftovers { folder, files }) = bob.event() else { panic!() };
    assert_eq!(folder, bob.dir.path().canonicalize().unwrap());
    let [Leftover { id: left, name, bytes }] = &files[..] else { panic!("{files:?}") };
    assert!(*left == id[..16] && *bytes >= 2 * CHUNK);
    assert_eq!(name.as_deref(), Some("a"), "people know it by its name");
    assert!(remove(&bob, &id[..8]).unwrap().unwrap() >= 2 * CHUNK);
    assert_eq!(entries(&bob), 0);
    assert_eq!(remove(&bob, &id), Ok(None));
}

#[test]
fn what_a_slow_host_keeps_open_is_removed_all_the_same() {
    let (alice, bob) = (Node::new(Limits::default()), Node::new(Limits::default()));
    let offer = alice.offer(&write(alice.dir.path(), "a", &bytes(3 << 20)));
    let (asks, _serves) = lane(&alice, &bob);
    bob.begin(&offer, asks.conn);
    bob.fetch_all(offer.file, &[asks.conn], &[3]);
    // A host that never answers, so its lane holds the partial file.
    let (silent, mut host) = channels();
    let silent = Running::start(&bob, true, silent);
    bob.fetch(offer.file, silent.conn, 0);
    host.recv(REQUEST_BYTES).unwrap();
    bob.perform(Effect::DropPart { file: offer.file, turn: TURN });
    assert!(remove(&bob, &offer.file.to_string()).unwrap().is_some());
    assert_eq!(entries(&bob), 0);
    // The next download starts with a file of its own, which the old lane cannot harm.
    assert_eq!(bob.open(&offer, 2, false), PartState::NeedsList);
    bob.transfers.close_lane(silent.conn);
    assert_eq!(bob.fetched().2, Err(FetchError::Lane));
    assert_eq!(entries(&bob), 2);
}
