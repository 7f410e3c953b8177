//! What is offered: equal names, equal contents, new versions, and more than a node stores.

use klatch::router::command::{Command, Wait};
use klatch::router::ids::FaceId;
use klatch::router::notice::{Code, FileLine, Notice, TransferLine, TransferState};

use crate::swarms::fetched;
use crate::world::World;

const SIZE: u64 = 3 << 20;

/// Alice and these people, all in one room.
fn room<const N: usize>(seed: u64, names: [&str; N]) -> (World, [usize; N]) {
    let (mut world, nodes) = World::of(seed, names);
    for node in &nodes[1..] {
        world.join(*node, nodes[0]);
    }
    (world, nodes)
}

fn offer(world: &mut World, node: usize, path: &str, size: u64) {
    let line = world.send_file(node, path, size);
    assert_eq!(world.finish(node, line), Ok(()));
    world.run(1_000);
}

fn give(world: &mut World, node: usize, command: Command) -> Result<(), Code> {
    let line = world.command(node, command);
    world.finish(node, line)
}

fn files(world: &mut World, node: usize) -> Vec<FileLine> {
    assert_eq!(give(world, node, Command::Files), Ok(()));
    let lists = world.nodes[node].notices.iter().rev();
    let list = lists.filter_map(|(_, notice)| match notice {
        Notice::Files { list } => Some(list.clone()),
        _ => None,
    });
    list.into_iter().next().unwrap_or_default()
}

fn transfers(world: &mut World, node: usize) -> Vec<TransferLine> {
    assert_eq!(give(world, node, Command::Transfers), Ok(()));
    let lists = world.nodes[node].notices.iter().rev();
    let list = lists.filter_map(|(_, notice)| match notice {
        Notice::Transfers { list } => Some(list.clone()),
        _ => None,
    });
    list.into_iter().next().unwrap_or_default()
}

fn cancel(world: &mut World, node: usize, wanted: &str) -> Result<(), Code> {
    give(world, node, Command::Cancel { wanted: wanted.to_owned() })
}

#[test]
fn two_files_of_one_name_stand_side_by_side_and_are_named_by_their_ids() {
    let (mut world, [alice, bob]) = room(61, ["alice", "bob"]);
    offer(&mut world, alice, "monday/shot.png", SIZE);
    offer(&mut world, alice, "tuesday/shot.png", SIZE + 1);
    let rows = files(&mut world, bob);
    let [first, second] = &rows[..] else { panic!("{rows:?}") };
    let line = world.download(bob, "shot.png");
    assert_eq!(world.finish(bob, line), Err(Code::AmbiguousName));
    let text = world.failure(bob, line);
    for row in [first, second] {
        assert!(text.contains(&row.file.id.short()) && text.contains("alice"), "{text}");
    }
    // By the file's id, and by the offer's id.
    for wanted in [first.file.id.short(), second.id.to_string()] {
        let line = world.download(bob, &wanted);
        assert_eq!(world.finish(bob, line), Ok(()), "{wanted}");
    }
    assert_eq!(fetched(&world, bob).len(), 2);
    assert_eq!(cancel(&mut world, alice, "shot.png"), Err(Code::AmbiguousName));
    assert_eq!(cancel(&mut world, alice, &second.id.to_string()), Ok(()));
    world.run(1_000);
    let rows = files(&mut world, bob);
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [first.id]);
}

#[test]
fn a_path_that_is_offered_again_is_a_new_version_in_every_room_that_it_comes_to() {
    let (mut world, [alice, bob]) = World::of(62, ["alice", "bob"]);
    // Said alone: entries are signed again for the room that she enters.
    offer(&mut world, alice, "plan.txt", SIZE);
    offer(&mut world, alice, "plan.txt", SIZE + 1);
    offer(&mut world, alice, "notes.txt", 9);
    assert_eq!(cancel(&mut world, alice, "notes.txt"), Ok(()));
    world.join(alice, bob);
    world.run(3_000);
    let rows = files(&mut world, bob);
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(row.file.size, SIZE + 1);
    offer(&mut world, alice, "plan.txt", SIZE + 2);
    let rows = files(&mut world, bob);
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(row.file.size, SIZE + 2);
    let replaces =
        |notice: &Notice| matches!(notice, Notice::FileOffered { replaces: Some(_), .. });
    assert!(world.count(bob, replaces) >= 1);
    assert_eq!(world.nodes[alice].disk.serving.len(), 1, "what was replaced is served no more");
}

#[test]
fn equal_contents_have_an_offer_each_and_are_served_as_long_as_one_stands() {
    let (mut world, [alice, bob, carol]) = room(63, ["alice", "bob", "carol"]);
    offer(&mut world, alice, "report.pdf", SIZE);
    let line = world.download(bob, "report.pdf");
    assert_eq!(world.finish(bob, line), Ok(()));
    // The same bytes under a name of bob's own.
    let bytes = world.nodes[alice].disk.local["report.pdf"];
    world.nodes[bob].disk.local.insert("final.pdf".into(), bytes);
    assert_eq!(give(&mut world, bob, Command::Send { paths: vec!["final.pdf".into()] }), Ok(()));
    world.run(1_000);
    let rows = files(&mut world, carol);
    let shown: Vec<_> = rows.iter().map(|row| (row.file.name.raw(), row.from.name.raw())).collect();
    assert_eq!(shown, [("final.pdf", "bob"), ("report.pdf", "alice")]);
    assert_eq!(cancel(&mut world, bob, "final.pdf"), Ok(()));
    world.run(1_000);
    let rows = files(&mut world, carol);
    assert_eq!(rows.len(), 1, "{rows:?}");
    let line = world.download(carol, "report.pdf");
    assert_eq!(world.finish(carol, line), Ok(()));
}

#[test]
fn a_name_is_found_in_every_normalisation() {
    let (mut world, [alice, bob]) = room(64, ["alice", "bob"]);
    offer(&mut world, alice, "cafe\u{301}.txt", SIZE);
    let line = world.download(bob, "caf\u{e9}.txt");
    assert_eq!(world.finish(bob, line), Ok(()));
}

#[test]
fn what_is_beyond_the_files_kept_in_mind_is_fetched_all_the_same() {
    let (mut world, nodes) = World::of(65, ["alice", "bob", "carol"]);
    let [alice, bob, carol] = nodes;
    world.nodes[bob].limits.hosted_files_per_member = 2;
    world.start(bob);
    world.join(bob, alice);
    world.join(carol, alice);
    (0..6).for_each(|number| offer(&mut world, alice, &format!("{number}.bin"), SIZE + number));
    for number in 0..6 {
        let line = world.download(bob, &format!("{number}.bin"));
        assert_eq!(world.finish(bob, line), Ok(()), "{number}.bin");
    }
    let rows = files(&mut world, bob);
    assert!(rows.iter().all(|row| row.hosts > 0), "{rows:?}");
}

#[test]
fn downloads_are_queued_in_the_order_asked_and_the_moving_ones_are_shown_first() {
    let (mut world, [alice, bob]) = World::of(66, ["alice", "bob"]);
    world.nodes[bob].limits.moving_downloads = 1;
    world.start(bob);
    world.join(bob, alice);
    let names = ["c", "a", "d", "b"];
    names
        .iter()
        .zip(0..)
        .for_each(|(name, more)| offer(&mut world, alice, name, (40 << 20) + more));
    let lines: Vec<u64> = names.iter().map(|name| world.download(bob, name)).collect();
    let rows = transfers(&mut world, bob);
    let shown: Vec<_> = rows.iter().map(|row| (row.file.name.raw(), row.state)).collect();
    let queued = TransferState::Queued;
    let expected = [("c", TransferState::Fetching), ("a", queued), ("d", queued), ("b", queued)];
    assert_eq!(shown, expected);
    let told = |notice: &Notice| matches!(notice, Notice::DownloadQueued { .. });
    assert_eq!(world.count(bob, told), 3);
    assert_eq!(cancel(&mut world, bob, "d"), Ok(()));
    let results: Vec<_> = lines.iter().map(|line| world.finish(bob, *line)).collect();
    assert_eq!(results, [Ok(()), Ok(()), Err(Code::Cancelled), Ok(())]);
    let done = world.nodes[bob].notices.iter().filter_map(|(_, notice)| match notice {
        Notice::DownloadFinished { file, .. } => Some(file.name.raw().to_owned()),
        _ => None,
    });
    assert_eq!(done.collect::<Vec<_>>(), ["c", "a", "b"]);
}

#[test]
fn what_is_here_already_is_said_and_fetched_again_only_when_somebody_says_yes() {
    let (mut world, [alice, bob]) = room(67, ["alice", "bob"]);
    offer(&mut world, alice, "film.mkv", SIZE);
    let download = |asks| Command::Download {
        wanted: "film.mkv".into(),
        paths: Vec::new(),
        patient: false,
        asks,
    };
    assert_eq!(give(&mut world, bob, download(false)), Ok(()));
    assert_eq!(give(&mut world, bob, download(false)), Ok(()), "it is no failure");
    let has = |notice: &Notice| match notice {
        Notice::AlreadyHave { path, .. } => path.ends_with("1_film.mkv"),
        _ => false,
    };
    assert_eq!(world.count(bob, has), 1, "{:?}", world.nodes[bob].notices);
    assert_eq!(fetched(&world, bob).len(), 1);
    world.nodes[bob].agrees = None;
    let given_up = give(&mut world, bob, download(true)).unwrap_err();
    assert_eq!(given_up, Code::Cancelled);
    world.nodes[bob].agrees = Some(false);
    assert_eq!(give(&mut world, bob, download(true)), Ok(()));
    world.run(5_000);
    assert_eq!((fetched(&world, bob).len(), world.nodes[bob].asked), (1, 2));
    world.nodes[bob].agrees = Some(true);
    assert_eq!(give(&mut world, bob, download(true)), Ok(()));
    world.run(5_000);
    assert_eq!(fetched(&world, bob).len(), 2);
}

#[test]
fn cancel_ends_hashing_and_transfers_shows_it() {
    let (mut world, [alice, bob]) = room(68, ["alice", "bob"]);
    let line = world.send_file(alice, "disk/huge.img", 900_000_000_000);
    world.run(1_000);
    let rows = transfers(&mut world, alice);
    let shown: Vec<_> = rows.iter().map(|row| (row.file.name.raw(), row.state)).collect();
    assert_eq!(shown, [("huge.img", TransferState::Hashing)]);
    assert_eq!(cancel(&mut world, alice, "huge.img"), Ok(()));
    assert_eq!(world.finish(alice, line), Err(Code::Cancelled));
    assert!(transfers(&mut world, alice).is_empty());
    world.run(2_000_000);
    assert!(files(&mut world, bob).is_empty());
}

/// The names of the files that a one-shot finds for a word.
fn meant(world: &mut World, node: usize, word: Option<&str>) -> Vec<String> {
    let what = Wait::Offer(word.map(str::to_owned));
    let before = world.nodes[node].notices.len();
    assert_eq!(give(world, node, Command::Wait { what, within_ms: 1_000 }), Ok(()), "{word:?}");
    let lists = world.nodes[node].notices[before..].iter().filter_map(|(_, notice)| match notice {
        Notice::Files { list } => Some(list),
        _ => None,
    });
    lists.flatten().map(|row| row.file.name.raw().to_owned()).collect()
}

#[test]
fn a_file_that_is_named_like_a_glob_hides_nothing_that_the_glob_fits() {
    let (mut world, [alice, bob, eve]) = room(69, ["alice", "bob", "eve"]);
    offer(&mut world, alice, "cafe\u{301}.txt", SIZE);
    offer(&mut world, eve, "*", SIZE + 1);
    offer(&mut world, eve, "*.txt", SIZE + 2);
    assert_eq!(meant(&mut world, bob, None), ["cafe\u{301}.txt", "*", "*.txt"]);
    assert_eq!(meant(&mut world, bob, Some("*")), ["cafe\u{301}.txt", "*", "*.txt"]);
    assert_eq!(meant(&mut world, bob, Some("*.txt")), ["cafe\u{301}.txt", "*.txt"]);
    assert_eq!(meant(&mut world, bob, Some("caf\u{e9}.txt")), ["cafe\u{301}.txt"]);
}

#[test]
fn a_file_that_is_named_like_the_id_of_another_does_not_take_its_place() {
    let (mut world, [alice, bob, eve]) = room(70, ["alice", "bob", "eve"]);
    offer(&mut world, alice, "report.pdf", SIZE);
    let id = files(&mut world, bob)[0].file.id;
    offer(&mut world, eve, &id.short(), SIZE + 1);
    let line = world.download(bob, &id.short());
    assert_eq!(world.finish(bob, line), Err(Code::AmbiguousName));
    let text = world.failure(bob, line);
    assert!(text.contains(&format!("{id} from alice")) && text.contains("from eve"), "{text}");
    let line = world.download(bob, &id.to_string());
    assert_eq!(world.finish(bob, line), Ok(()));
    let saved = |notice: &Notice| match notice {
        Notice::DownloadFinished { file, .. } => file.name.raw() == "report.pdf",
        _ => false,
    };
    assert_eq!(world.count(bob, saved), 1);
}

#[test]
fn those_who_only_give_do_not_wait_for_each_other() {
    let (mut world, [alice, bob, carol]) = room(71, ["alice", "bob", "carol"]);
    offer(&mut world, bob, "b.txt", SIZE);
    offer(&mut world, carol, "c.txt", SIZE + 1);
    let wait = || Command::Wait { what: Wait::Fetched, within_ms: 600_000 };
    let lines = [bob, carol].map(|node| (node, world.command(node, wait())));
    world.run(30_000);
    for name in ["b.txt", "c.txt"] {
        let line = world.download(alice, name);
        assert_eq!(world.finish(alice, line), Ok(()));
    }
    for (node, line) in lines {
        assert_eq!(world.finish(node, line), Ok(()));
    }
    let told = world.remarks(bob);
    assert!(told.iter().any(|text| text.ends_with("alice fetched b.txt")), "{told:?}");
}

#[test]
fn whoever_waits_for_others_is_told_the_name_of_its_own_offer() {
    let (mut world, [alice, bob]) = room(72, ["alice", "bob"]);
    offer(&mut world, alice, "older.txt", SIZE);
    let bytes = world.nodes[alice].disk.local["older.txt"];
    world.nodes[alice].disk.local.insert("stdin".into(), bytes);
    let face = FaceId(7);
    let line = world.command_by(face, alice, Command::Send { paths: vec!["stdin".into()] });
    assert_eq!(world.finish(alice, line), Ok(()));
    let wait = Command::Wait { what: Wait::Fetched, within_ms: 60_000 };
    let line = world.command_by(face, alice, wait);
    world.run(1_000);
    assert_eq!(world.remarks(alice).pop().unwrap(), "waiting for bob to fetch stdin");
    let fetch = world.download(bob, "stdin");
    assert_eq!(world.finish(bob, fetch), Ok(()));
    assert_eq!(world.finish(alice, line), Ok(()));
}
