//! Files: from one host to many, from many to one, and what goes wrong on the way.

use klatch::router::command::{Command, Wait};
use klatch::router::event::Event;
use klatch::router::notice::{Code, Notice};

use crate::world::World;

const MIB: u64 = 1 << 20;

pub fn fetched(world: &World, node: usize) -> Vec<(u64, usize)> {
    let bytes = |notice: &Notice| match notice {
        Notice::DownloadFinished { bytes_fetched, hosts, .. } => Some((*bytes_fetched, *hosts)),
        _ => None,
    };
    world.nodes[node].notices.iter().filter_map(|(_, notice)| bytes(notice)).collect()
}

/// A room of one host and this many others, with a file of `size` bytes offered.
pub fn room(seed: u64, others: usize, size: u64) -> (World, usize, Vec<usize>) {
    let mut world = World::new(seed);
    let host = world.add("host");
    let others: Vec<_> = (0..others).map(|n| world.add(&format!("n{n}"))).collect();
    for node in &others {
        world.join(*node, host);
    }
    let line = world.send_file(host, "film.mkv", size);
    assert_eq!(world.finish(host, line), Ok(()));
    world.run(3_000);
    (world, host, others)
}

#[test]
fn every_size_arrives_exact() {
    for size in [0, 1, 16 * 1024, 262_144, 262_145, 3 * MIB, 600 * MIB + 1] {
        let (mut world, host, others) = room(1, 1, size);
        let line = world.download(others[0], "film.mkv");
        assert_eq!(world.finish(others[0], line), Ok(()), "{size}");
        assert_eq!(fetched(&world, others[0]), [(size, usize::from(size > 0))]);
        world.run(10_000);
        world.check_room(&[host, others[0]]);
        assert_eq!(world.nodes[host].ends.len(), 1, "idle lanes closed");
    }
}

#[test]
fn members_help_each_other() {
    let (mut world, _, others) = room(2, 6, 100 * MIB);
    let lines: Vec<_> =
        others.iter().map(|node| (*node, world.download(*node, "film.mkv"))).collect();
    for (node, line) in lines {
        assert_eq!(world.finish(node, line), Ok(()));
    }
    for node in others {
        let (bytes, hosts) = fetched(&world, node)[0];
        // A chunk taken over from a slower host may already have been on its way.
        assert!((100 * MIB..=101 * MIB).contains(&bytes), "{bytes}");
        assert!(hosts > 1, "a member still downloading serves what it has");
    }
}

#[test]
fn a_liar_is_found_out_and_the_file_is_exact() {
    let (mut world, host, others) = room(3, 2, 20 * MIB);
    let [eve, bob] = others[..] else { panic!("two others") };
    let line = world.download(eve, "film.mkv");
    assert_eq!(world.finish(eve, line), Ok(()));
    world.nodes[eve].disk.lies = true;
    world.run(1_000);
    let line = world.download(bob, "film.mkv");
    assert_eq!(world.finish(bob, line), Ok(()));
    let told: Vec<_> =
        world.remarks(bob).into_iter().filter(|text| text.starts_with("bad_chunk")).collect();
    assert!(!told.is_empty() && told[0].contains("from n0"), "{told:?}");
    world.run(2_000);
    world.check_room(&[host, eve, bob]);
}

#[test]
fn a_host_behind_a_wall_serves_by_dialling_back() {
    let mut world = World::new(4);
    let (alice, bob) = (world.add("alice"), world.add("bob"));
    world.no_dial.insert((bob, alice));
    world.join(alice, bob);
    world.send_file(alice, "a.bin", 5 * MIB);
    world.send_file(bob, "b.bin", 5 * MIB);
    world.run(3_000);
    let there = world.download(bob, "a.bin");
    let back = world.download(alice, "b.bin");
    assert_eq!(world.finish(bob, there), Ok(()));
    assert_eq!(world.finish(alice, back), Ok(()));
}

#[test]
fn a_host_that_vanishes_and_returns_sends_no_chunk_twice() {
    for seed in 0..20 {
        let (mut world, host, others) = room(seed, 1, 50 * MIB);
        let bob = others[0];
        let line = world.download(bob, "film.mkv");
        world.run(300 + 150 * seed);
        world.crash(host, seed % 2 == 0);
        world.run(20_000);
        assert_eq!(world.result(bob, line), None, "seed {seed}: it waits");
        world.start(host);
        world.join(host, bob);
        let (size, content) = world.nodes[host].disk.local["film.mkv"];
        world.nodes[host].disk.local.insert("film.mkv".into(), (size, content));
        world.command(host, Command::Send { paths: vec!["film.mkv".into()] });
        assert_eq!(world.finish(bob, line), Ok(()), "seed {seed}");
        assert_eq!(fetched(&world, bob)[0].0, 50 * MIB, "seed {seed}");
    }
}

#[test]
fn a_cancelled_download_goes_on_where_it_was() {
    let (mut world, _, others) = room(6, 1, 50 * MIB);
    let bob = others[0];
    let line = world.download(bob, "film.mkv");
    world.run(1_500);
    let cancel = world.command(bob, Command::Cancel { wanted: "film.mkv".into() });
    assert_eq!(world.finish(bob, cancel), Ok(()));
    assert_eq!(world.finish(bob, line), Err(Code::Cancelled));
    world.run(1_000);
    let line = world.download(bob, "film.mkv");
    assert_eq!(world.finish(bob, line), Ok(()));
    assert!(fetched(&world, bob)[0].0 < 40 * MIB, "{:?}", fetched(&world, bob));
}

/// Chunks are called off outside the lanes, so that may cross with the next request for one.
#[test]
fn who_changes_his_mind_at_once_loses_no_host() {
    for seed in 0..20 {
        let (mut world, _, others) = room(seed, 1, 50 * MIB);
        let bob = others[0];
        let mut line = world.download(bob, "film.mkv");
        for turn in 0..5 {
            world.run(50 + 11 * (seed + turn));
            world.command(bob, Command::Cancel { wanted: "film.mkv".into() });
            let again = world.download(bob, "film.mkv");
            assert_eq!(world.finish(bob, line), Err(Code::Cancelled), "seed {seed}");
            line = again;
        }
        assert_eq!(world.finish(bob, line), Ok(()), "seed {seed}");
    }
}

#[test]
fn offers_are_withdrawn_and_hosts_are_missed() {
    let (mut world, host, others) = room(7, 2, MIB);
    let [bob, carol] = others[..] else { panic!("two others") };
    let line = world.download(bob, "nothing.txt");
    assert_eq!(world.finish(bob, line), Err(Code::NoSuchOffer));
    world.crash(host, false);
    world.run(10_000);
    let line = world.download(bob, "film.mkv");
    assert_eq!(world.finish(bob, line), Err(Code::NoHost));
    world.start(host);
    world.join(host, bob);
    world.command(host, Command::Send { paths: vec!["film.mkv".into()] });
    world.run(3_000);
    let line = world.download(bob, "film.mkv");
    assert_eq!(world.finish(bob, line), Ok(()));
    let line = world.command(host, Command::Cancel { wanted: "film.mkv".into() });
    assert_eq!(world.finish(host, line), Ok(()));
    world.run(2_000);
    let line = world.download(carol, "film.mkv");
    assert_eq!(world.finish(carol, line), Err(Code::NoSuchOffer), "bob has it, but offers nothing");
}

#[test]
fn many_files_at_once_all_arrive() {
    let (mut world, host, others) = room(8, 3, MIB);
    for n in 0..40 {
        world.send_file(host, &format!("f{n}"), n * 200_000);
    }
    world.run(5_000);
    let mut lines = Vec::new();
    for node in &others {
        for n in 0..40 {
            lines.push((*node, world.download(*node, &format!("f{n}"))));
        }
    }
    for (node, line) in lines {
        assert_eq!(world.finish(node, line), Ok(()));
    }
}

#[test]
fn what_somebody_waits_for_comes_first() {
    let (mut world, _, others) = room(9, 1, 100 * MIB);
    let bob = others[0];
    let line = world.download(bob, "film.mkv");
    let held = |world: &World| {
        let stored = world.nodes[bob].disk.files.values().next();
        stored.map_or(vec![], |stored| stored.chunks.iter().map(Option::is_some).collect())
    };
    let count = |world: &World| held(world).iter().filter(|here| **here).count();
    assert!(world.run_until(60_000, |world| count(world) > 20));
    let (before, chunks) = (count(&world), held(&world).len());
    let wanted: Vec<usize> = (chunks / 2..chunks / 2 + 8).filter(|c| !held(&world)[*c]).collect();
    let (first, last) = (chunks as u32 / 2, chunks as u32 / 2 + 7);
    let file = *world.nodes[bob].disk.open.keys().next().unwrap();
    world.feed(bob, Event::ChunkUrgent { file, first, last });
    assert!(world.run_until(60_000, |world| wanted.iter().all(|c| held(world)[*c])));
    // Chunks requested before that come as well, and some requested meanwhile.
    let came = count(&world) - before;
    assert!(!wanted.is_empty() && came < 100 && came < chunks - before, "{came} of {chunks}");
    assert_eq!(world.finish(bob, line), Ok(()));
}

#[test]
fn an_errand_for_what_nobody_offers_says_so_and_ends_as_a_download_without_a_host_does() {
    let (mut world, host, others) = room(28, 1, 3 * MIB);
    let bob = others[0];
    let wants = |world: &mut World, name: &str| {
        let what = Wait::Offer(Some(name.to_owned()));
        let line = world.command(bob, Command::Wait { what, within_ms: 60_000 });
        world.run(10);
        (line, world.remarks(bob).pop().unwrap_or_default())
    };
    let (line, told) = wants(&mut world, "film.mkw");
    let slip = "nobody here offers film.mkw (did you mean film.mkv?)";
    assert_eq!(told, format!("{slip}; waiting up to 60 s for it"));
    assert_eq!(world.finish(bob, line), Err(Code::NoHost));
    assert_eq!(world.failure(bob, line), slip);
    let before = world.remarks(bob).len();
    let (line, _) = wants(&mut world, "film.mkv");
    assert_eq!(world.finish(bob, line), Ok(()));
    assert_eq!(world.remarks(bob).len(), before, "there is nothing to say");
    world.crash(host, false);
    world.run(60_000);
    let (line, told) = wants(&mut world, "film.mkv");
    assert!(told.starts_with("film.mkv was offered, but nobody who has it is here now"), "{told}");
    assert_eq!(world.finish(bob, line), Err(Code::NoHost));
}

/// Two members cannot reach each other: the fetcher is told at once why nothing comes, and who
/// could pass the file on; once that member has it, it comes.
#[test]
fn who_does_not_reach_the_host_is_told_who_could_pass_it_on() {
    let (mut world, host, others) = room(8, 2, MIB);
    let [bob, carol] = others[..] else { panic!("two others") };
    world.partition(&[host], &[bob]);
    world.run(60_000);
    let line = world.download(bob, "film.mkv");
    world.run(100);
    let told = world.remarks(bob);
    let way = "n1 can reach you both";
    assert!(told.iter().any(|text| text.contains(way)), "{told:?}");
    let passing = world.download(carol, "film.mkv");
    assert_eq!(world.finish(carol, passing), Ok(()));
    assert_eq!(world.finish(bob, line), Ok(()));
}

/// A host that falls silent, and a file whose chunks take longer than anybody waits.
#[test]
fn a_rate_is_0_soon_after_nothing_came_any_more() {
    let (mut world, host, others) = room(31, 1, 600 * MIB);
    let bob = others[0];
    world.download(bob, "film.mkv");
    let told = |world: &World| {
        let rate = |(at, notice): &(u64, Notice)| match notice {
            Notice::DownloadProgress { bytes_per_second, seconds_left, .. } => {
                Some((*at, *bytes_per_second, *seconds_left))
            }
            _ => None,
        };
        world.nodes[bob].notices.iter().filter_map(rate).collect::<Vec<_>>()
    };
    assert!(world.run_until(60_000, |world| told(world).len() > 20));
    assert!(told(&world).iter().all(|(_, rate, _)| *rate > 0), "{:?}", told(&world));
    world.cut(host, bob);
    let cut_at = world.now_ms;
    world.run(3_000);
    let (at, rate, seconds_left) = *told(&world).last().unwrap();
    assert_eq!((rate, seconds_left), (0, None), "{at}");
    assert!(at < cut_at + 2_500, "{at} {cut_at}");
    world.run(1_000);
    assert_eq!(told(&world).last().unwrap().0, at, "it is told once");
}
