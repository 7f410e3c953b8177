//! Several faces of one node: what each waits for, where its downloads go, and what ends with it.

use klatch::router::command::{Command, LeaveWhen, SaveAs, Wait};
use klatch::router::ids::FaceId;
use klatch::router::notice::{Code, Notice};

use crate::swarms::fetched;
use crate::world::World;

const SIZE: u64 = 3 << 20;
const FACE: FaceId = FaceId(7);

fn give(world: &mut World, node: usize, face: FaceId, command: Command) -> u64 {
    world.command_by(face, node, command)
}

fn send(world: &mut World, node: usize, face: FaceId, name: &str) {
    world.nodes[node].disk.local.insert(name.to_owned(), (SIZE, name.len() as u64));
    let line = give(world, node, face, Command::Send { paths: vec![name.into()] });
    assert_eq!(world.finish(node, line), Ok(()));
    world.run(1_000);
}

fn fetch(world: &mut World, node: usize, face: FaceId, name: &str, folder: &str) -> u64 {
    let (wanted, folder) = (name.to_owned(), Some(folder.into()));
    let fetch = Command::Fetch { wanted, patient: true, save: SaveAs::Plain, folder };
    give(world, node, face, fetch)
}

fn withdrawn(world: &World, node: usize) -> Vec<String> {
    let notices = world.nodes[node].notices.iter().map(|(_, notice)| notice);
    let names = notices.filter_map(|notice| match notice {
        Notice::FileWithdrawn { file, .. } => Some(file.name.raw().to_owned()),
        _ => None,
    });
    names.collect()
}

fn room(seed: u64) -> (World, [usize; 2]) {
    let (mut world, [alice, bob]) = World::of(seed, ["alice", "bob"]);
    world.join(bob, alice);
    (world, [alice, bob])
}

#[test]
fn a_face_waits_for_what_it_offered_and_takes_back_no_more_than_that() {
    let (mut world, [alice, bob]) = room(171);
    send(&mut world, alice, FaceId::TERMINAL, "of the person");
    send(&mut world, alice, FACE, "of the face");
    // The person has offered this already, and it stays the person's.
    let again = Command::Send { paths: vec!["of the person".into()] };
    let line = give(&mut world, alice, FaceId(8), again);
    assert_eq!(world.finish(alice, line), Ok(()));
    let wait = Command::Wait { what: Wait::Fetched, within_ms: 600_000 };
    let waits = give(&mut world, alice, FACE, wait.clone());
    let line = world.download(bob, "of the face");
    assert_eq!(world.finish(bob, line), Ok(()));
    assert_eq!(world.finish(alice, waits), Ok(()));
    for face in [FACE, FaceId(8)] {
        give(&mut world, alice, face, Command::EndFace { keep_offers: false });
    }
    world.run(1_000);
    assert_eq!(withdrawn(&world, bob), ["of the face"]);
    // A wait for what is withdrawn fails.
    send(&mut world, alice, FACE, "of the face again");
    let waits = give(&mut world, alice, FACE, wait);
    let cancel = Command::Cancel { wanted: "of the face again".into() };
    let line = world.command(alice, cancel);
    assert_eq!(world.finish(alice, line), Ok(()));
    assert_eq!(world.finish(alice, waits), Err(Code::Cancelled));
    // An offer that is to be kept is kept.
    send(&mut world, alice, FACE, "to stay");
    give(&mut world, alice, FACE, Command::EndFace { keep_offers: true });
    world.run(1_000);
    let line = world.download(bob, "to stay");
    assert_eq!(world.finish(bob, line), Ok(()));
}

#[test]
fn an_offer_that_two_faces_made_goes_with_the_last_of_them() {
    let (mut world, [alice, bob]) = room(175);
    let others = FaceId(8);
    send(&mut world, alice, FACE, "of both");
    send(&mut world, alice, others, "of both");
    send(&mut world, alice, FACE, "to stay");
    send(&mut world, alice, FaceId::TERMINAL, "to stay");
    let end = || Command::EndFace { keep_offers: false };
    give(&mut world, alice, FACE, end());
    world.run(1_000);
    assert!(withdrawn(&world, bob).is_empty());
    give(&mut world, alice, others, end());
    world.run(1_000);
    assert_eq!(withdrawn(&world, bob), ["of both"]);
    // A new version of what the person offered belongs to the person, too.
    world.nodes[alice].disk.local.insert("to stay".into(), (SIZE, 99));
    let line = give(&mut world, alice, FACE, Command::Send { paths: vec!["to stay".into()] });
    assert_eq!(world.finish(alice, line), Ok(()));
    give(&mut world, alice, FACE, end());
    world.run(1_000);
    let line = world.download(bob, "to stay");
    assert_eq!(world.finish(bob, line), Ok(()));
}

#[test]
fn what_was_passed_on_counts_as_fetched() {
    let (mut world, [alice, bob]) = room(176);
    let pass = |wanted: &str| Command::Fetch {
        wanted: wanted.to_owned(),
        patient: true,
        save: SaveAs::Passing("content".into()),
        folder: Some("/elsewhere".into()),
    };
    let wait = || Command::Wait { what: Wait::Fetched, within_ms: 60_000 };
    send(&mut world, alice, FACE, "a.bin");
    let waits = give(&mut world, alice, FACE, wait());
    let line = give(&mut world, bob, FACE, pass("a.bin"));
    assert_eq!(world.finish(bob, line), Ok(()));
    assert_eq!(world.finish(alice, waits), Ok(()));
    // Also for somebody who asks only later, over another link.
    world.cut(alice, bob);
    world.run(1_000);
    world.heal_all();
    world.run(30_000);
    let waits = give(&mut world, alice, FACE, wait());
    assert_eq!(world.finish(alice, waits), Ok(()));
}

#[test]
fn what_two_faces_want_in_two_places_is_fetched_once_and_copied() {
    let (mut world, [alice, bob]) = room(172);
    send(&mut world, alice, FaceId::TERMINAL, "a.bin");
    let first = world.download(bob, "a.bin");
    let second = fetch(&mut world, bob, FACE, "a.bin", "/elsewhere");
    let third = fetch(&mut world, bob, FaceId(8), "a.bin", "/elsewhere");
    for line in [first, second, third] {
        assert_eq!(world.finish(bob, line), Ok(()));
    }
    assert_eq!(fetched(&world, bob).len(), 2);
    // And for what is here already.
    let line = fetch(&mut world, bob, FACE, "a.bin", "/a third place");
    assert_eq!(world.finish(bob, line), Ok(()));
    assert_eq!(fetched(&world, bob).len(), 3);
    let bytes: u64 = fetched(&world, bob).iter().map(|(bytes, _)| *bytes).sum();
    assert_eq!(bytes, SIZE);
}

#[test]
fn a_face_that_means_one_room_does_nothing_in_another() {
    let (mut world, [alice, bob]) = room(174);
    let here = world.inspect(bob).room;
    let begin = give(&mut world, bob, FACE, Command::BeginFace { room: here });
    assert_eq!(world.finish(bob, begin), Ok(()));
    let wait = Command::Wait { what: Wait::Message("never said".into()), within_ms: 600_000 };
    let waits = give(&mut world, bob, FACE, wait);
    let line = world.command(bob, Command::Leave(LeaveWhen::Now));
    assert_eq!(world.finish(bob, line), Ok(()));
    assert_eq!(world.finish(bob, waits), Err(Code::Cancelled));
    let say = || Command::Say { text: "for that room".into() };
    let line = give(&mut world, bob, FACE, say());
    assert_eq!(world.finish(bob, line), Err(Code::Cancelled));
    give(&mut world, bob, FACE, Command::EndFace { keep_offers: true });
    let line = give(&mut world, bob, FACE, Command::BeginFace { room: here });
    assert_eq!(world.finish(bob, line), Err(Code::Cancelled));
    assert!(world.texts(alice).is_empty() && world.texts(bob).is_empty());
}

#[test]
fn a_download_ends_with_the_last_face_that_wants_it() {
    let (mut world, [alice, bob]) = room(173);
    for name in ["one.bin", "another.bin"] {
        send(&mut world, alice, FaceId::TERMINAL, name);
    }
    fetch(&mut world, bob, FACE, "one.bin", "/elsewhere");
    fetch(&mut world, bob, FACE, "another.bin", "/elsewhere");
    let wanted = world.download(bob, "another.bin");
    give(&mut world, bob, FACE, Command::EndFace { keep_offers: false });
    assert_eq!(world.finish(bob, wanted), Ok(()));
    world.run(10_000);
    let names: Vec<_> = world.nodes[bob]
        .notices
        .iter()
        .filter_map(|(_, notice)| match notice {
            Notice::DownloadFailed { file, .. } => Some(file.name.raw().to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(names, ["one.bin"]);
}

#[test]
fn a_download_that_nobody_wants_any_more_ends_whoever_began_it() {
    let (mut world, [alice, bob]) = room(177);
    send(&mut world, alice, FaceId::TERMINAL, "a.bin");
    let others = FaceId(8);
    fetch(&mut world, bob, FACE, "a.bin", "/here");
    fetch(&mut world, bob, others, "a.bin", "/there");
    for face in [FACE, others] {
        give(&mut world, bob, face, Command::EndFace { keep_offers: false });
    }
    world.run(30_000);
    assert_eq!(world.count(bob, |of| matches!(of, Notice::DownloadFailed { .. })), 1);
    assert_eq!(fetched(&world, bob).len(), 0);
}
