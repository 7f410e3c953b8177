//! Closing, passwords, opening again: who stays, who comes in, and what each is told.

use klatch::router::command::{Command, LeaveWhen, LockWish};
use klatch::router::notice::{Code, Notice};

use crate::world::World;

const FIRST: &str = "correct horse";
const SECOND: &str = "battery staple";
const THIRD: &str = "open sesame!";

/// Alice and bob in alice's room, which she closed.
pub fn locked(seed: u64) -> (World, [usize; 4]) {
    let (mut world, nodes) = World::of(seed, ["alice", "bob", "carol", "dave"]);
    let [alice, bob, ..] = nodes;
    world.join(bob, alice);
    let line = world.lock(alice, FIRST);
    assert_eq!(world.finish(alice, line), Ok(()));
    world.run(1_000);
    (world, nodes)
}

fn enters(world: &mut World, node: usize, to: usize, password: &str) {
    let line = world.connect_with(node, to, password);
    assert_eq!(world.finish(node, line), Ok(()));
}

fn locks_seen(world: &World, node: usize) -> usize {
    world.count(node, |notice| matches!(notice, Notice::RoomLocked { .. }))
}

#[test]
fn a_wrong_password_is_refused_three_times_and_says_so() {
    let (mut world, [alice, _, carol, _]) = locked(1);
    world.nodes[carol].answers.extend([Some(SECOND), Some(THIRD), Some(SECOND)]);
    let line = world.connect(carol, alice);
    assert_eq!(world.finish(carol, line), Err(Code::WrongPassword));
    assert_eq!(
        world.failure(carol, line),
        "the password does not open the room at 10.0.0.1 port 51692: check it and try again"
    );
    assert_eq!(world.links(carol), 0);
    assert!(!world.inspect(carol).settled, "carol's own room is as fresh as before");
}

#[test]
fn the_sixth_wrong_password_of_an_address_has_to_wait() {
    let (mut world, [alice, _, carol, _]) = locked(1);
    for _ in 0..2 {
        world.nodes[carol].answers.extend([Some(SECOND), Some(SECOND), Some(SECOND)]);
        let line = world.connect(carol, alice);
        let _ = world.finish(carol, line);
    }
    let line = world.connect_with(carol, alice, FIRST);
    assert_eq!(world.finish(carol, line), Err(Code::TooManyAttempts));
    world.run(10 * 60_000);
    enters(&mut world, carol, alice, FIRST);
}

#[test]
fn a_missing_password_is_asked_for() {
    let (mut world, [alice, bob, carol, dave]) = locked(2);
    let line = world.connect(carol, alice);
    assert_eq!(world.finish(carol, line), Err(Code::PasswordRequired));
    world.nodes[carol].answers.push_back(Some(FIRST));
    let line = world.connect(carol, alice);
    assert_eq!(world.finish(carol, line), Ok(()));
    // Bob did not found the room, but he can admit.
    world.nodes[dave].answers.push_back(Some(FIRST));
    let line = world.connect_as(dave, bob, LockWish::Locked);
    assert_eq!(world.finish(dave, line), Ok(()));
    world.run(5_000);
    world.check_room(&[alice, bob, carol, dave]);
}

#[test]
fn a_password_for_an_open_room_is_not_sent() {
    let (mut world, [alice, bob]) = World::of(3, ["alice", "bob"]);
    let line = world.connect_with(bob, alice, FIRST);
    assert_eq!(world.finish(bob, line), Err(Code::RoomNotLocked));
    assert_eq!((world.links(alice), world.links(bob)), (0, 0));
}

#[test]
fn whoever_locked_its_room_has_the_others_come() {
    let (mut world, [alice, bob]) = World::of(4, ["alice", "bob"]);
    let line = world.lock(alice, FIRST);
    assert_eq!(world.finish(alice, line), Ok(()));
    let line = world.connect(alice, bob);
    assert_eq!(world.finish(alice, line), Err(Code::InARoom));
    assert!(world.failure(alice, line).contains("connect 10.0.0.1 51692 locked"));
    enters(&mut world, bob, alice, FIRST);
    world.run(2_000);
    world.check_room(&[alice, bob]);
}

#[test]
fn a_changed_password_keeps_members_and_shuts_the_old_one_out() {
    let (mut world, [alice, bob, carol, _]) = locked(5);
    let line = world.lock(bob, SECOND);
    assert_eq!(world.finish(bob, line), Ok(()));
    world.run(1_000);
    assert_eq!((locks_seen(&world, alice), locks_seen(&world, bob)), (2, 2));
    let line = world.connect_with(carol, alice, FIRST);
    assert_eq!(world.finish(carol, line), Err(Code::WrongPassword));
    enters(&mut world, carol, alice, SECOND);
    world.run(5_000);
    world.check_room(&[alice, bob, carol]);
}

#[test]
fn whoever_closed_the_room_or_stands_above_opens_it_again() {
    let (mut world, [alice, bob, carol, dave]) = locked(6);
    let line = world.command(bob, Command::Unlock);
    assert_eq!(world.finish(bob, line), Err(Code::NotAbove), "alice closed it, who is above bob");
    // Bob closes it as well: alice, who is above him, opens everything.
    let line = world.lock(bob, SECOND);
    assert_eq!(world.finish(bob, line), Ok(()));
    world.run(1_000);
    let line = world.command(alice, Command::Unlock);
    assert_eq!(world.finish(alice, line), Ok(()));
    let line = world.command(alice, Command::Unlock);
    assert_eq!(world.finish(alice, line), Err(Code::RoomNotLocked));
    world.run(1_000);
    world.join(carol, bob);
    world.run(5_000);
    world.check_room(&[alice, bob, carol]);
    // Bob opens what only he closed.
    let line = world.shut_door(bob);
    assert_eq!(world.finish(bob, line), Ok(()));
    world.run(1_000);
    let line = world.command(bob, Command::Unlock);
    assert_eq!(world.finish(bob, line), Ok(()));
    world.run(1_000);
    world.join(dave, carol);
    world.run(5_000);
    world.check_room(&[alice, bob, carol, dave]);
}

#[test]
fn passers_by_are_out_when_the_room_is_closed_and_those_present_stay() {
    let (mut world, [alice, bob, carol, dave]) = World::of(12, ["alice", "bob", "carol", "dave"]);
    for node in [bob, carol, dave] {
        world.join(node, alice);
        let text = format!("hello from {node}");
        world.say(node, &text);
    }
    world.run(2_000);
    // Carol leaves, and dave's machine loses its network: both are away when alice closes.
    world.command(carol, Command::Quit(LeaveWhen::Now));
    world.partition(&[alice, bob], &[dave]);
    world.run(120_000);
    let line = world.shut_door(alice);
    assert_eq!(world.finish(alice, line), Ok(()));
    world.heal_all();
    world.run(60_000);
    assert!(world.counts(alice, bob) && !world.counts(alice, carol) && !world.counts(alice, dave));
    world.check_room(&[alice, bob]);
    let told = |notice: &Notice| matches!(notice, Notice::RoomLocked { me_out: true, .. });
    assert_eq!(world.count(dave, told), 1, "dave reads who closed the room");
    assert_eq!(world.links(dave), 0);
    let line = world.connect(dave, alice);
    assert_eq!(world.finish(dave, line), Err(Code::MembersOnly), "it has no password");
}

#[test]
fn whoever_is_kept_when_asked_comes_back() {
    let (mut world, [alice, bob, carol]) = World::of(13, ["alice", "bob", "carol"]);
    for node in [bob, carol] {
        world.join(node, alice);
        let text = format!("hello from {node}");
        world.say(node, &text);
    }
    world.run(2_000);
    world.partition(&[alice, bob], &[carol]);
    world.run(120_000);
    let password = Some(klatch::router::command::NewPassword::Nothing);
    let line = world.command(alice, Command::Password { password, asks: true });
    assert_eq!(world.finish(alice, line), Ok(()));
    assert_eq!(world.nodes[alice].asked, 1, "whether carol, who spoke, is to stay");
    world.heal_all();
    world.run(60_000);
    world.check_room(&[alice, bob, carol]);
}

#[test]
fn whoever_gives_up_the_question_closes_nothing() {
    let (mut world, [alice, bob, carol]) = World::of(13, ["alice", "bob", "carol"]);
    for node in [bob, carol] {
        world.join(node, alice);
    }
    world.say(carol, "hello");
    world.run(2_000);
    world.partition(&[alice, bob], &[carol]);
    world.run(120_000);
    let password = || Some(klatch::router::command::NewPassword::Nothing);
    world.nodes[alice].agrees = None;
    let line = world.command(alice, Command::Password { password: password(), asks: true });
    assert_eq!(world.finish(alice, line).unwrap_err(), Code::Cancelled);
    let closed = |notice: &Notice| matches!(notice, Notice::RoomLocked { .. });
    world.run(2_000);
    assert_eq!(world.count(alice, closed) + world.count(bob, closed), 0);
    world.nodes[alice].agrees = Some(true);
    let line = world.command(alice, Command::Password { password: password(), asks: true });
    assert_eq!(world.finish(alice, line), Ok(()), "the question keeps nothing waiting");
    world.run(2_000);
    assert_eq!(world.count(bob, closed), 1);
}

#[test]
fn of_two_changes_at_once_one_wins_everywhere() {
    for seed in 0..20 {
        let (mut world, [alice, bob, carol, dave]) = locked(seed);
        enters(&mut world, carol, bob, FIRST);
        world.run(2_000);
        world.lock(alice, SECOND);
        world.lock(bob, THIRD);
        world.run(5_000);
        let winner = world.password_of(alice).unwrap();
        for node in [bob, carol] {
            assert_eq!(world.password_of(node), Some(winner.clone()), "seed {seed}");
        }
        enters(&mut world, dave, carol, &winner);
        world.run(5_000);
        world.check_room(&[alice, bob, carol, dave]);
    }
}

#[test]
fn two_halves_that_close_with_different_passwords_meet_and_all_are_linked() {
    for seed in 0..10 {
        let (mut world, [alice, bob, carol, dave]) = locked(seed);
        for node in [carol, dave] {
            enters(&mut world, node, bob, FIRST);
        }
        world.say(carol, "before");
        world.run(5_000);
        world.partition(&[alice, bob], &[carol, dave]);
        world.run(60_000);
        world.lock(alice, SECOND);
        world.lock(carol, THIRD);
        world.say(alice, "on this side");
        world.say(carol, "on that side");
        world.run(5_000);
        world.heal_all();
        world.run(60_000);
        world.check_room(&[alice, bob, carol, dave]);
        assert!([alice, bob, carol, dave].iter().all(|node| world.nodes[*node].asked == 0));
        assert_eq!(world.texts(dave).len(), 3);
        // Of the two, alice is nearer to the founder: she is the founder.
        assert_eq!(world.password_of(dave).as_deref(), Some(SECOND), "seed {seed}");
        let erin = world.add("erin");
        enters(&mut world, erin, dave, SECOND);
        let frank = world.add("frank");
        let line = world.connect_with(frank, carol, THIRD);
        assert_eq!(world.finish(frank, line), Err(Code::WrongPassword));
    }
}

/// A member who came in by password returns after a change that it missed, without typing anything.
#[test]
fn a_member_who_missed_the_change_comes_back_with_nothing_typed() {
    for (seed, away_ms) in [(7, 1_000), (8, 60_000), (9, 600_000)] {
        let (mut world, [alice, bob, carol, _]) = locked(seed);
        enters(&mut world, carol, bob, FIRST);
        world.say(carol, "before");
        world.run(3_000);
        world.partition(&[alice, bob], &[carol]);
        world.run(away_ms);
        let line = world.lock(bob, SECOND);
        assert_eq!(world.finish(bob, line), Ok(()));
        world.run(2_000);
        world.say(carol, "alone");
        world.heal_all();
        world.run(60_000);
        assert_eq!(world.nodes[carol].asked, 0);
        world.check_room(&[alice, bob, carol]);
        assert_eq!(world.texts(alice), ["before", "alone"]);
        assert_eq!(world.password_of(carol).as_deref(), Some(SECOND));
    }
}

#[test]
fn the_removed_cannot_lead_the_room_away() {
    let (mut world, [alice, bob, eve, _]) = locked(9);
    enters(&mut world, eve, bob, FIRST);
    world.run(3_000);
    world.partition(&[alice, bob], &[eve]);
    world.run(60_000);
    let line = world.remove(alice, eve, false);
    assert_eq!(world.finish(alice, line), Ok(()));
    assert_eq!(world.password_of(alice), None, "eve knows the old one");
    world.lock(alice, SECOND);
    for _ in 0..5 {
        world.lock(eve, "all your base");
        world.run(1_000);
    }
    world.heal_all();
    world.run(60_000);
    assert_eq!(world.password_of(bob).as_deref(), Some(SECOND));
    assert_eq!(world.links(eve), 0);
    let told = |notice: &Notice| matches!(notice, Notice::MemberRemoved { me_out: true, .. });
    assert_eq!(world.count(eve, told), 1, "eve reads who removed her");
    world.check_room(&[alice, bob]);
    // Nor does she get in by what she knows, or by another way below alice.
    for password in [FIRST, SECOND] {
        let line = world.connect_with(eve, bob, password);
        assert_ne!(world.finish(eve, line), Ok(()));
    }
    let line = world.remove(alice, eve, true);
    assert_eq!(world.finish(alice, line), Ok(()));
    world.run(60_000);
    let line = world.connect(eve, alice);
    assert_eq!(world.finish(eve, line), Ok(()), "alice took her in again");
    world.run(30_000);
    world.check_room(&[alice, bob, eve]);
}

#[test]
fn commands_given_while_a_lock_is_prepared_wait_for_it() {
    let (mut world, [alice, bob]) = World::of(10, ["alice", "bob"]);
    world.join(bob, alice);
    let lines = [
        world.lock(alice, FIRST),
        world.lock(alice, SECOND),
        world.command(alice, Command::Unlock),
        world.lock(alice, FIRST),
        world.command(alice, Command::Leave(LeaveWhen::Now)),
    ];
    for line in lines {
        assert_eq!(world.finish(alice, line), Ok(()));
    }
    world.run(1_000);
    assert_eq!(locks_seen(&world, bob), 2, "the second was open again at once");
    let opened = |notice: &Notice| matches!(notice, Notice::RoomUnlocked { .. });
    assert_eq!(world.count(bob, opened), 1);
    assert!(world.inspect(bob).closed);
}

#[test]
fn a_lock_set_while_a_newcomer_is_admitted_holds_for_it() {
    for delay in (0..1_200).step_by(25) {
        let (mut world, [alice, bob, carol]) = World::of(11, ["alice", "bob", "carol"]);
        world.latency_ms = (60, 90);
        world.join(bob, alice);
        world.run(2_000);
        let line = world.connect(carol, bob);
        world.run(delay);
        world.lock(alice, FIRST);
        let result = world.finish(carol, line);
        world.run(20_000);
        let seen = world.inspect(alice);
        assert!(seen.closed);
        for node in [alice, bob] {
            if world.link(node, carol).is_some() {
                let theirs = world.inspect(carol).register;
                assert_eq!(theirs, seen.register, "delay {delay}: {result:?}");
            }
        }
    }
}

/// The same for a password that is replaced while somebody comes in by it.
#[test]
fn a_password_that_changes_while_somebody_comes_by_it_lets_nobody_in() {
    for delay in (0..1_600).step_by(25) {
        let (mut world, [alice, bob, carol, _]) = locked(14);
        world.latency_ms = (60, 90);
        let line = world.connect_with(carol, bob, FIRST);
        world.run(delay);
        world.lock(alice, SECOND);
        let result = world.finish(carol, line);
        world.run(5_000);
        let inside = world.counts(alice, carol);
        assert_eq!(inside, result.is_ok(), "delay {delay}: {result:?}");
        world.check_agreement(&[alice, bob]);
    }
}

/// Those put out are told what to do, cannot talk into the void, and hear of the pardon.
#[test]
fn whoever_is_out_says_nothing_and_hears_that_it_is_in_again() {
    let (mut world, [alice, bob]) = World::of(31, ["alice", "bob"]);
    world.join(bob, alice);
    world.say(bob, "hello");
    world.run(2_000);
    let line = world.remove(alice, bob, false);
    assert_eq!(world.finish(alice, line), Ok(()));
    world.run(2_000);
    let told = |world: &World, words: &str| {
        world.remarks(bob).iter().filter(|text| text.contains(words)).count()
    };
    assert_eq!(told(&world, "nobody in this room hears you any more: /leave"), 1);
    let line = world.say(bob, "is anybody there?");
    assert_eq!(world.finish(bob, line), Err(Code::Removed));
    assert_eq!(told(&world, "it will be delivered when someone joins"), 0);
    let line = world.command(bob, Command::Doctor);
    assert_eq!(world.finish(bob, line), Ok(()));
    world.run(100);
    let finds = |notice: &Notice| match notice {
        Notice::Doctor { list } => list.iter().any(|of| of.text.contains("alice put you out")),
        _ => false,
    };
    assert_eq!(world.count(bob, finds), 1);
    let line = world.remove(alice, bob, true);
    assert_eq!(world.finish(alice, line), Ok(()));
    world.connect(bob, alice);
    world.run(5_000);
    assert_eq!(told(&world, "you are in again: alice took you in"), 1);
    let line = world.say(bob, "back");
    assert_eq!(world.finish(bob, line), Ok(()));
}
