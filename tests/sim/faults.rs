//! Disks that fill up, programs that are killed, hosts that vanish or boast.

use klatch::router::command::{Command, LeaveWhen};
use klatch::router::message::{Held, Message};
use klatch::router::notice::{Code, Notice, TransferState};

use crate::swarms::{fetched, room};
use crate::world::World;

const MIB: u64 = 1 << 20;
const SIZE: u64 = 50 * MIB;
/// The chunk size of such a file.
const CHUNK: u64 = 256 * 1024;

fn complaints(world: &World, node: usize, code: Code) -> usize {
    world.count(node, |notice| match notice {
        Notice::Error { failure, .. } => failure.code == code,
        _ => false,
    })
}

fn fetch(world: &mut World, node: usize, patient: bool) -> u64 {
    world.command(
        node,
        Command::Download { wanted: "film.mkv".into(), paths: Vec::new(), patient, asks: false },
    )
}

/// Chunks of the file on a node's disk.
fn chunks(world: &World, node: usize) -> u64 {
    let files = world.nodes[node].disk.files.values();
    files.map(|file| file.chunks.iter().flatten().count() as u64).sum()
}

/// Runs until a node has this many chunks.
fn run_until_chunks(world: &mut World, node: usize, count: u64) {
    assert!(world.run_until(120_000, |world| chunks(world, node) >= count), "{count} chunks");
}

/// The most that one member may have in flight: a chunk for each request.
fn in_flight_bytes(world: &World, node: usize) -> u64 {
    world.nodes[node].limits.unanswered_requests as u64 * CHUNK
}

#[test]
fn s7_a_download_waits_for_a_disk_that_is_full_and_goes_on_by_itself() {
    for (seed, code) in [(1, Code::DiskFull), (2, Code::IoError), (3, Code::DiskFull)] {
        let (mut world, host, others) = room(seed, 1, SIZE);
        let bob = others[0];
        let line = fetch(&mut world, bob, true);
        run_until_chunks(&mut world, bob, 40 * seed);
        world.nodes[bob].disk.broken = Some(code);
        world.run(5 * 60_000);
        assert_eq!(world.result(bob, line), None, "it waits");
        assert_eq!(complaints(&world, bob, code), 1, "it is told once");
        let held = chunks(&world, bob);
        world.command(bob, Command::Transfers);
        let waiting = |notice: &Notice| match notice {
            Notice::Transfers { list } => {
                list.iter().any(|row| row.state == TransferState::Waiting)
            }
            _ => false,
        };
        assert_eq!(world.count(bob, waiting), 1);
        world.say(host, "are you there?");
        world.say(bob, "yes");
        world.run(1_000);
        assert!(world.texts(bob).contains(&"are you there?".to_owned()), "chat lives");
        assert!(world.texts(host).contains(&"yes".to_owned()));
        world.nodes[bob].disk.broken = None;
        assert_eq!(world.finish(bob, line), Ok(()));
        let (bytes, _) = fetched(&world, bob)[0];
        assert!(bytes <= SIZE + in_flight_bytes(&world, bob), "{bytes} with {held} chunks held");
        let relieved = world
            .remarks(bob)
            .iter()
            .filter(|text| text.contains("resumes: the disk works again"))
            .count();
        assert_eq!(relieved, 1);
        world.run(10_000);
        world.check_room(&[host, bob]);
    }
}

#[test]
fn s7_what_cannot_be_opened_or_finished_waits_as_well() {
    let (mut world, host, others) = room(4, 1, SIZE);
    let bob = others[0];
    world.nodes[bob].disk.broken = Some(Code::DiskFull);
    let line = fetch(&mut world, bob, true);
    world.run(10_000);
    assert_eq!(world.result(bob, line), None);
    world.nodes[bob].disk.broken = None;
    world.nodes[bob].disk.broken_at_the_end = Some(Code::IoError);
    run_until_chunks(&mut world, bob, SIZE / CHUNK);
    world.run(90_000);
    assert_eq!(world.result(bob, line), None);
    world.nodes[bob].disk.broken_at_the_end = None;
    assert_eq!(world.finish(bob, line), Ok(()));
    assert_eq!(fetched(&world, bob)[0].0, SIZE, "nothing is fetched twice");
    world.run(10_000);
    world.check_room(&[host, bob]);
}

#[test]
fn s7_a_command_of_a_pipe_waits_for_the_disk_for_a_minute() {
    for code in [Code::DiskFull, Code::IoError] {
        let (mut world, _, others) = room(5, 1, SIZE);
        let bob = others[0];
        let line = fetch(&mut world, bob, false);
        run_until_chunks(&mut world, bob, 40);
        world.nodes[bob].disk.broken = Some(code);
        world.run(58_000);
        assert_eq!(world.result(bob, line), None);
        assert_eq!(world.finish(bob, line), Err(code));
        let held = chunks(&world, bob);
        world.nodes[bob].disk.broken = None;
        let line = fetch(&mut world, bob, false);
        assert_eq!(world.finish(bob, line), Ok(()));
        assert_eq!(fetched(&world, bob)[0].0, SIZE - held * CHUNK, "what is verified stays");
    }
}

/// The end of stdin does not wait for ever either, for a download begun before it.
#[test]
fn s7_the_end_of_stdin_waits_for_the_disk_for_a_minute() {
    let (mut world, _, others) = room(6, 1, SIZE);
    let bob = others[0];
    let line = fetch(&mut world, bob, true);
    run_until_chunks(&mut world, bob, 40);
    world.nodes[bob].disk.broken = Some(Code::DiskFull);
    world.run(5 * 60_000);
    world.command(bob, Command::EndOfInput);
    world.run(58_000);
    assert_eq!(world.result(bob, line), None);
    world.run(10_000);
    assert_eq!(world.result(bob, line), Some(Err(Code::DiskFull)));
    assert_eq!(world.nodes[bob].exit_code, Some(1));
}

/// S5: all hosts vanish at a given number of chunks, and one returns, perhaps after minutes.
#[test]
fn s5_all_hosts_vanish_at_100_points_and_one_returns() {
    for point in 0..100 {
        let (mut world, host, others) = room(point, 3, SIZE);
        let [bob, carol, dave] = others[..] else { panic!("three others") };
        for node in [carol, dave] {
            let line = fetch(&mut world, node, true);
            assert_eq!(world.finish(node, line), Ok(()));
        }
        let line = fetch(&mut world, bob, true);
        run_until_chunks(&mut world, bob, SIZE / CHUNK * point / 100);
        for node in [host, carol, dave] {
            world.crash(node, point % 3 == 0);
        }
        world.run([1_000, 20_000, 5 * 60_000][point as usize % 3]);
        assert_eq!(world.result(bob, line), None, "point {point}: it waits");
        world.start(host);
        world.join(host, bob);
        world.command(host, Command::Send { paths: vec!["film.mkv".into()] });
        assert_eq!(world.finish(bob, line), Ok(()), "point {point}");
        assert_eq!(fetched(&world, bob)[0].0, SIZE, "point {point}: a verified chunk came again");
    }
}

#[test]
fn a_download_that_is_killed_at_100_points_goes_on_with_what_it_has() {
    for point in 0..100 {
        let (mut world, host, others) = room(point, 1, SIZE);
        let bob = others[0];
        fetch(&mut world, bob, true);
        run_until_chunks(&mut world, bob, SIZE / CHUNK * point / 100);
        let held = chunks(&world, bob);
        world.crash(bob, point % 2 == 0);
        world.run(20_000);
        world.start(bob);
        world.join(bob, host);
        let line = fetch(&mut world, bob, true);
        assert_eq!(world.finish(bob, line), Ok(()), "point {point}");
        assert_eq!(fetched(&world, bob)[0].0, SIZE - held * CHUNK, "point {point}");
    }
}

#[test]
fn a_second_cancel_removes_what_the_first_one_kept() {
    let (mut world, host, others) = room(7, 1, SIZE);
    let bob = others[0];
    let cancel = |world: &mut World, wanted: &str| {
        let line = world.command(bob, Command::Cancel { wanted: wanted.into() });
        world.finish(bob, line)
    };
    assert_eq!(cancel(&mut world, "film.mkv"), Err(Code::NoSuchOffer));
    let line = fetch(&mut world, bob, true);
    run_until_chunks(&mut world, bob, 40);
    assert_eq!(cancel(&mut world, "film.mkv"), Ok(()));
    assert_eq!(world.finish(bob, line), Err(Code::Cancelled));
    assert!(chunks(&world, bob) >= 40);
    world.run(1_000);
    // The host is gone, and the file with it, but its name is still known.
    world.crash(host, false);
    world.run(10_000);
    assert_eq!(cancel(&mut world, "film.mkv"), Ok(()));
    assert_eq!(chunks(&world, bob), 0);
    let remarks = world.remarks(bob);
    assert!(remarks.iter().any(|text| text.contains("film.mkv is removed")), "{remarks:?}");
    assert_eq!(cancel(&mut world, "film.mkv"), Err(Code::NoSuchOffer));
    assert_eq!(cancel(&mut world, "0123456789"), Err(Code::NoSuchOffer));
}

/// S2: time and bytes of a download from two hosts, with or without a member that claims all the
/// time to have everything, and has nothing.
#[test]
fn s2_a_liar_about_its_chunks_costs_half_of_the_time_at_most() {
    let mut took = [0, 0];
    for (liar, took) in [false, true].into_iter().zip(&mut took) {
        let (mut world, host, others) = room(8, 3, SIZE);
        let [bob, carol, eve] = others[..] else { panic!("three others") };
        let line = fetch(&mut world, carol, true);
        assert_eq!(world.finish(carol, line), Ok(()));
        let file = *world.nodes[host].disk.files.first_key_value().unwrap().0;
        let began = world.now_ms;
        let line = fetch(&mut world, bob, true);
        while world.result(bob, line).is_none() {
            if liar {
                let conn = world.link(eve, bob).unwrap();
                let (held, fetching) = (Held::All, false);
                world.send(eve, conn, Message::Hosting { file, held, fetching });
            }
            world.run(50);
        }
        assert_eq!(world.result(bob, line), Some(Ok(())));
        assert_eq!(fetched(&world, bob)[0].0, SIZE);
        *took = world.now_ms - began;
    }
    assert!(took[1] * 2 <= took[0] * 3, "{} ms with the liar, {} without", took[1], took[0]);
}

#[test]
fn only_who_has_all_of_a_file_is_told_before_it_leaves() {
    let (mut world, host, others) = room(9, 2, SIZE);
    let [bob, carol] = others[..] else { panic!("two others") };
    for node in [bob, carol] {
        fetch(&mut world, node, true);
    }
    run_until_chunks(&mut world, bob, 40);
    let quits = |world: &mut World, node: usize| {
        world.command(node, Command::Quit(LeaveWhen::Confirmed));
        world.run(100);
        world.nodes[node].exit_code.is_some()
    };
    assert!(!quits(&mut world, host), "it is told first");
    assert!(world.remarks(host).iter().any(|text| text.contains("only you have all of film.mkv")));
    assert!(quits(&mut world, host), "said twice, it is meant");
    assert!(quits(&mut world, bob), "he has a part only");
}

#[test]
fn a_last_host_in_a_pipe_ends_when_it_is_needed_no_more() {
    let (mut world, host, others) = room(10, 1, SIZE);
    let line = fetch(&mut world, others[0], true);
    run_until_chunks(&mut world, others[0], 40);
    world.command(host, Command::Quit(LeaveWhen::Served));
    world.run(100);
    assert_eq!(world.nodes[host].exit_code, None);
    assert_eq!(world.finish(others[0], line), Ok(()));
    world.run(1_000);
    assert_eq!(world.nodes[host].exit_code, Some(0));
}
