//! How soon two peers are linked, whichever dials, and who can delay it.

use klatch::router::notice::{Code, Notice};

use crate::locks::locked;
use crate::world::World;

/// How much round trips vary.
const JITTER_MS: u64 = 6;

/// How long the link took from the channel on, at the slower end.
fn took_ms(world: &mut World, a: usize, b: usize) -> u64 {
    let conn = world.link(a, b).unwrap();
    let (pipe, _) = world.end_of(a, conn).unwrap();
    let pipe = &world.pipes[pipe];
    pipe.linked_ms.iter().map(|at| at.unwrap()).max().unwrap() - pipe.up_ms.unwrap()
}

fn errors(world: &World, node: usize) -> usize {
    world.count(node, |notice| matches!(notice, Notice::Error { .. }))
}

fn check_pair(world: &mut World, [a, b]: [usize; 2], latency: u64, why: &str) {
    let took = took_ms(world, a, b);
    let most = 3 * 2 * (latency + JITTER_MS);
    assert!(took <= most, "{why}: linked after {took} ms, more than 3 round trips of {latency}");
    world.run(5_000);
    for node in [a, b] {
        assert_eq!(world.nodes[node].ends.len(), 1, "{why}: exactly one link");
        assert_eq!(errors(world, node), 0, "{why}: {:?}", world.remarks(node));
    }
    world.check_room(&[a, b]);
}

#[test]
fn two_fresh_ones_who_dial_each_other_at_once_are_linked_within_three_round_trips() {
    for latency in [1, 40, 150, 300] {
        for seed in 0..20 {
            let (mut world, [alice, bob]) = World::of(seed, ["alice", "bob"]);
            world.latency_ms = (latency, latency + 1);
            let there = world.connect(alice, bob);
            world.run(seed % 5 * latency / 4);
            let back = world.connect(bob, alice);
            let why = format!("latency {latency}, seed {seed}");
            assert_eq!(world.finish(alice, there), Ok(()), "{why}");
            assert_eq!(world.finish(bob, back), Ok(()), "{why}");
            check_pair(&mut world, [alice, bob], latency, &why);
        }
    }
}

#[test]
fn two_members_who_dial_each_other_at_once_are_linked_within_three_round_trips() {
    for latency in [1, 40, 150, 300] {
        for seed in 0..20 {
            let (mut world, [alice, bob]) = World::of(seed, ["alice", "bob"]);
            world.latency_ms = (latency, latency + 1);
            world.join(bob, alice);
            world.say(bob, "here I am");
            world.run(5_000);
            if seed % 2 == 0 {
                let line = world.shut_door(alice);
                assert_eq!(world.finish(alice, line), Ok(()));
                world.run(5_000);
            }
            // Both see it end at once, and redial after a moment.
            world.reset(alice, bob);
            let why = format!("latency {latency}, seed {seed}");
            let linked = |world: &mut World| {
                world.link(alice, bob).is_some() && world.link(bob, alice).is_some()
            };
            assert!(world.run_until(20_000, linked), "{why}: never");
            check_pair(&mut world, [alice, bob], latency, &why);
        }
    }
}

#[test]
fn a_handshake_that_hangs_delays_nobody() {
    let (mut world, [alice, bob, carol, eve]) = World::of(1, ["alice", "bob", "carol", "eve"]);
    world.join(bob, alice);
    world.run(1_000);
    // Eve says Hello with carol's run id, then nothing, again and again.
    world.nodes[eve].hangs = true;
    world.nodes[eve].poses_as = Some(world.nodes[carol].run_id);
    for to in [alice, bob] {
        world.connect(eve, to);
        world.connect(eve, to);
    }
    world.run(200);
    let began = world.now_ms;
    let line = world.connect(carol, alice);
    assert_eq!(world.finish(carol, line), Ok(()));
    assert!(world.now_ms - began < 1_500, "it took {} ms", world.now_ms - began);
    world.run(10_000);
    assert_eq!(world.links(eve), 0);
    world.check_room(&[alice, bob, carol]);
}

/// A peer in no room, dialled by somebody who hangs, can still go where it wants.
#[test]
fn whoever_is_dialled_by_a_stranger_goes_where_it_likes() {
    let (mut world, [alice, bob, eve]) = World::of(2, ["alice", "bob", "eve"]);
    world.nodes[eve].hangs = true;
    world.nodes[eve].poses_as = Some(world.nodes[alice].run_id);
    world.connect(eve, bob);
    world.run(100);
    let began = world.now_ms;
    world.join(bob, alice);
    assert!(world.now_ms - began < 1_500, "it took {} ms", world.now_ms - began);
    world.check_room(&[alice, bob]);
    assert_eq!(world.oracle(bob).founder, world.id(alice), "the dialer moves");
}

#[test]
fn by_password_and_by_invitation_it_takes_four_round_trips() {
    for latency in [1, 40, 200] {
        let (mut world, [alice, _, carol, dave]) = locked(1);
        world.latency_ms = (latency, latency + 1);
        let line = world.connect_with(carol, alice, "correct horse");
        assert_eq!(world.finish(carol, line), Ok(()));
        let took = took_ms(&mut world, carol, alice);
        assert!(took <= 8 * (latency + JITTER_MS) + 400, "by password {took} ms at {latency}");
        world.run(5_000);
        let link = world.invite(alice, true).unwrap();
        let line = world.enter(dave, &link);
        assert_eq!(world.finish(dave, line), Ok(()));
        let took = took_ms(&mut world, dave, alice);
        assert!(took <= 8 * (latency + JITTER_MS), "by invitation {took} ms at {latency}");
        world.run(5_000);
        // The invitation is used up.
        let erin = world.add("erin");
        let line = world.enter(erin, &link);
        assert_eq!(world.finish(erin, line), Err(Code::InvitationUsed));
    }
}

/// Two guests come at once to one member, with one invitation for one.
#[test]
fn an_invitation_for_one_lets_in_one_of_two_who_come_at_once() {
    for delay in (0..400).step_by(20) {
        let (mut world, [alice, _, carol, dave]) = locked(3);
        world.latency_ms = (40, 50);
        let link = world.invite(alice, true).unwrap();
        let lines = [world.enter(carol, &link), {
            world.run(delay);
            world.enter(dave, &link)
        }];
        let results = [world.finish(carol, lines[0]), world.finish(dave, lines[1])];
        let inside = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(inside, 1, "delay {delay}: {results:?}");
    }
}

/// Three connections of one pair at once: one of them becomes the link, at both ends.
#[test]
fn whoever_dials_twice_while_it_is_dialled_has_one_link() {
    for seed in 0..60 {
        let (mut world, [alice, bob]) = World::of(seed, ["alice", "bob"]);
        world.latency_ms = (20, 120);
        world.join(bob, alice);
        world.say(bob, "here I am");
        world.run(5_000);
        world.reset(alice, bob);
        let [first, second] = if seed % 2 == 0 { [alice, bob] } else { [bob, alice] };
        let lines = [0, 1, 2].map(|number| {
            let (node, to) = if number == 1 { (second, first) } else { (first, second) };
            world.run(seed / 2 % 7 * 10);
            (node, world.connect(node, to))
        });
        for (node, line) in lines {
            assert_eq!(world.finish(node, line), Ok(()), "seed {seed}");
        }
        world.run(10_000);
        world.check_room(&[alice, bob]);
        assert_eq!(world.nodes[alice].ends.len(), 1, "seed {seed}");
    }
}
