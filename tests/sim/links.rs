//! Who links with whom, and what is said if a link fails.

use klatch::router::command::{Command, LeaveWhen};
use klatch::router::event::Effect;
use klatch::router::ids::{MemberId, RunId};
use klatch::router::message::Message;
use klatch::router::notice::{Code, Notice};
use klatch::router::signed::{Presence, SignedPresence};

use crate::world::{PORT, World};

#[test]
fn two_nodes_chat() {
    let (mut world, [alice, bob]) = World::of(1, ["alice", "bob"]);
    world.join(alice, bob);
    world.say(alice, "hello");
    world.say(bob, "hi");
    world.run(3_000);
    assert_eq!(world.texts(alice).len(), 2);
    world.check_room(&[alice, bob]);
    let joined = |notice: &Notice| matches!(notice, Notice::Joined { .. });
    assert_eq!((world.count(alice, joined), world.count(bob, joined)), (1, 1));
}

#[test]
fn dials_that_cross_leave_exactly_one_link_and_both_end_well() {
    for seed in 0..60 {
        let (mut world, [alice, bob]) = World::of(seed, ["alice", "bob"]);
        let there = world.connect(alice, bob);
        world.run(seed % 7 * 10);
        let back = world.connect(bob, alice);
        assert_eq!(world.finish(alice, there), Ok(()), "seed {seed}");
        assert_eq!(world.finish(bob, back), Ok(()), "seed {seed}");
        world.run(1_000);
        world.check_room(&[alice, bob]);
        assert_eq!(world.nodes[alice].ends.len(), 1, "seed {seed}");
    }
}

#[test]
fn connecting_to_oneself_gives_no_link_and_says_so() {
    let (mut world, [alice]) = World::of(1, ["alice"]);
    let line = world.connect(alice, alice);
    assert_eq!(world.finish(alice, line), Err(Code::SelfConnect));
    // The invitation's maker may be gone, and its own guest may listen at that address now.
    let [bob, carol] = ["bob", "carol"].map(|name| world.add(name));
    let mut link = world.invite(bob, false).unwrap();
    link.addrs = vec![(world.nodes[carol].ip, PORT).into()];
    let line = world.enter(carol, &link);
    assert_eq!(world.finish(carol, line), Err(Code::Unreachable));
    world.run(1_000);
    assert_eq!((world.links(alice), world.nodes[alice].ends.len()), (0, 0));
    assert!(!world.inspect(alice).settled);
}

#[test]
fn who_comes_behind_two_others_is_heard_of_and_linked_with() {
    let (mut world, [alice, bob, carol, dave]) = World::of(1, ["alice", "bob", "carol", "dave"]);
    for (one, other) in [(alice, carol), (bob, dave)] {
        world.hide(one, other);
    }
    world.join(dave, alice);
    world.join(bob, alice);
    world.join(carol, dave);
    world.run(20_000);
    world.check_room(&[alice, bob, carol, dave]);
    assert_eq!(world.links(bob), 2, "alice and carol");
}

#[test]
fn connecting_again_ends_well() {
    let (mut world, [alice, bob]) = World::of(1, ["alice", "bob"]);
    world.join(alice, bob);
    world.join(alice, bob);
    world.join(bob, alice);
    assert!(world.remarks(alice).contains(&"you are already linked with bob".to_owned()));
    assert!(world.remarks(bob).contains(&"you are already linked with alice".to_owned()));
    world.check_room(&[alice, bob]);
}

#[test]
fn two_rooms_stay_two() {
    let (mut world, [alice, bob, carol, dave]) = World::of(1, ["alice", "bob", "carol", "dave"]);
    world.join(alice, bob);
    world.join(carol, dave);
    let line = world.connect(alice, carol);
    assert_eq!(world.finish(alice, line), Err(Code::InARoom));
    assert_eq!(world.failure(alice, line), "you are in a room with bob; leave first");
    world.run(5_000);
    world.check_room(&[alice, bob]);
    world.check_room(&[carol, dave]);
}

#[test]
fn a_crowd_that_connects_at_once_becomes_one_room() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        let crowd: Vec<_> = (0..8).map(|n| world.add(&format!("n{n}"))).collect();
        let lines: Vec<_> = crowd.iter().skip(1).map(|n| (*n, world.connect(*n, 0))).collect();
        for (node, line) in lines {
            assert_eq!(world.finish(node, line), Ok(()), "seed {seed}: n{node}");
        }
        world.run(5_000);
        world.check_room(&crowd);
    }
}

#[test]
fn what_was_said_alone_waits_and_is_shown_once() {
    for seed in 0..10 {
        let (mut world, [alice, bob]) = World::of(seed, ["alice", "bob"]);
        world.say(alice, "one");
        world.say(bob, "eins");
        world.say(alice, "two");
        world.send_file(alice, "a.txt", 1_000);
        world.run(500);
        let waits = "nobody else is here yet; it will be delivered when someone joins";
        assert_eq!(world.remarks(alice).iter().filter(|text| *text == waits).count(), 1);
        world.join(alice, bob);
        world.run(2_000);
        world.check_room(&[alice, bob]);
        assert_eq!(world.texts(bob).len(), 3);
        let offered = |notice: &Notice| matches!(notice, Notice::FileOffered { .. });
        assert_eq!((world.count(alice, offered), world.count(bob, offered)), (1, 1));
        let line = world.download(bob, "a.txt");
        assert_eq!(world.finish(bob, line), Ok(()));
    }
}

#[test]
fn a_late_joiner_gets_history_and_offers() {
    let (mut world, [alice, bob, carol]) = World::of(3, ["alice", "bob", "carol"]);
    world.join(alice, bob);
    for n in 0..20 {
        world.say([alice, bob][n % 2], &format!("text {n}"));
    }
    world.send_file(bob, "b.txt", 5);
    world.run(2_000);
    let line = world.connect(carol, alice);
    assert_eq!(world.finish(carol, line), Ok(()));
    assert_eq!(world.texts(carol).len(), 20, "connect ends when the history is here");
    assert!(world.nodes[carol].view.messages.values().all(|shown| shown.history));
    world.run(2_000);
    world.say(carol, "hello");
    world.run(2_000);
    world.check_room(&[alice, bob, carol]);
    let fresh = world.nodes[alice].view.messages.values().find(|shown| shown.text == "hello");
    assert!(!fresh.unwrap().history);
}

#[test]
fn a_pair_that_cannot_link_talks_through_another() {
    for seed in 0..10 {
        let (mut world, [alice, bob, carol]) = World::of(seed, ["alice", "bob", "carol"]);
        world.hide(alice, bob);
        world.join(alice, carol);
        world.join(bob, carol);
        world.run(20_000);
        world.say(alice, "to bob");
        world.run(500);
        world.say(bob, "to alice");
        world.run(1_500);
        assert_eq!(world.texts(bob), ["to bob", "to alice"]);
        world.run(20_000);
        world.check_room(&[alice, bob, carol]);
        assert_eq!((world.links(alice), world.links(bob), world.links(carol)), (1, 1, 2));
    }
}

#[test]
fn a_link_that_dies_silently_keeps_its_pair_in_the_room() {
    let (mut world, [alice, bob, carol]) = World::of(5, ["alice", "bob", "carol"]);
    world.join(alice, carol);
    world.join(bob, carol);
    world.run(5_000);
    world.cut(alice, bob);
    world.run(60_000);
    world.say(alice, "through carol");
    world.run(3_000);
    assert_eq!(world.texts(bob), ["through carol"]);
    let (a, b) = (world.id(alice), world.id(bob));
    assert!(world.inspect(alice).present.contains(&b));
    assert!(world.inspect(bob).present.contains(&a));
    world.heal_all();
    world.run(60_000);
    world.check_room(&[alice, bob, carol]);
}

#[test]
fn whoever_leaves_is_gone_at_once_and_may_come_back() {
    let (mut world, [alice, bob, carol]) = World::of(2, ["alice", "bob", "carol"]);
    world.join(alice, bob);
    world.join(carol, bob);
    world.say(alice, "before");
    world.run(2_000);
    world.command(alice, Command::Leave(LeaveWhen::Now));
    world.run(1_000);
    assert!(world.inspect(alice).present.is_empty() && world.texts(alice).is_empty());
    world.check_room(&[bob, carol]);
    world.join(alice, carol);
    world.run(3_000);
    world.check_room(&[alice, bob, carol]);
    assert_eq!(world.texts(alice), ["before"]);
}

#[test]
fn a_machine_that_lost_power_replaces_its_dead_link() {
    let (mut world, [alice, bob]) = World::of(4, ["alice", "bob"]);
    world.join(alice, bob);
    world.run(1_000);
    world.crash(alice, true);
    world.run(300);
    world.start(alice);
    let began = world.now_ms;
    world.join(alice, bob);
    assert!(world.now_ms - began < 5_000, "the old link was pinged, silent, and replaced");
    world.run(5_000);
    world.check_room(&[alice, bob]);
}

#[test]
fn a_second_program_of_one_identity_is_refused_and_both_ends_are_told() {
    let (mut world, [alice, bob]) = World::of(6, ["alice", "bob"]);
    world.join(alice, bob);
    let key = world.nodes[alice].key;
    let twin = world.add_with_key("alice", key);
    let line = world.connect(twin, bob);
    assert_eq!(world.finish(twin, line), Err(Code::IdentityInUse));
    assert!(world.remarks(bob).iter().any(|text| text.contains("identity of alice")));
    let line = world.connect(twin, alice);
    assert_eq!(world.finish(twin, line), Err(Code::IdentityInUse));
    assert_eq!((world.links(alice), world.links(bob), world.links(twin)), (1, 1, 0));
    world.say(alice, "still here");
    world.run(2_000);
    world.check_room(&[alice, bob]);
}

#[test]
fn a_suspended_machine_comes_back() {
    let (mut world, [alice, bob, carol]) = World::of(9, ["alice", "bob", "carol"]);
    world.join(alice, bob);
    world.join(carol, bob);
    world.run(3_000);
    world.suspend(alice, 3_600_000);
    world.run(60_000);
    world.say(bob, "good night");
    world.run(3_600_000);
    world.run(20_000);
    world.check_room(&[alice, bob, carol]);
    assert_eq!(world.texts(alice), ["good night"]);
}

#[test]
fn a_teller_of_ten_thousand_addresses_makes_nobody_dial_them() {
    let (mut world, [alice, eve]) = World::of(8, ["alice", "eve"]);
    world.join(alice, eve);
    world.run(1_000);
    let room = world.inspect(eve).room;
    let conn = world.link(eve, alice).unwrap();
    let before = world.dials[&alice];
    for n in 0..10_000u32 {
        let me = klatch::crypto::identity::Identity::from_seed(world.draw_bytes());
        let ip = core::net::Ipv4Addr::from(0xc633_6400 + n % 256);
        let body = Presence {
            member: MemberId(me.public()),
            run: RunId([1; 16]),
            version: 1,
            name: format!("ghost {n}"),
            addresses: vec![(ip, PORT).into(); 4],
            unlinked: Vec::new(),
            bye: false,
        };
        let message = Message::Presence(SignedPresence::sign(&room, &me, body));
        world.perform(eve, Effect::Send { conn, message });
        if n % 100 == 0 {
            world.run(10);
        }
    }
    world.run(60_000);
    let dialled = world.dials[&alice] - before;
    assert!(dialled <= 60, "{dialled} dials for what one teller taught");
    for load in world.nodes[alice].router.as_ref().unwrap().loads() {
        assert!(load.size <= load.bound, "{load:?}");
    }
    world.say(alice, "unmoved");
    world.run(3_000);
    assert_eq!(world.texts(eve), ["unmoved"]);
}

#[test]
fn who_came_while_somebody_left_does_not_wait_for_the_one_who_left() {
    for pause_ms in (0..3_000).step_by(100) {
        let (mut world, [alice, bob, carol]) = World::of(pause_ms, ["alice", "bob", "carol"]);
        world.hide(bob, carol);
        world.join(bob, alice);
        world.run(5_000);
        world.join(carol, alice);
        world.run(pause_ms);
        world.command(bob, Command::Quit(LeaveWhen::Now));
        let alone = |world: &mut World| world.inspect(carol).present.len() == 1;
        assert!(world.run_until(300, alone), "bob left {pause_ms} ms after carol came");
        world.run(5_000);
        assert!(alone(&mut world), "bob left {pause_ms} ms after carol came");
    }
}
