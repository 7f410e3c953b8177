//! Locks: passwords, changes, those who missed one, and what each is told.

use klatch::router::command::{Command, LockWish};
use klatch::router::notice::{Code, Notice};

use crate::world::World;

const FIRST: &str = "correct horse";
const SECOND: &str = "battery staple";

/// Alice and bob in a room locked by alice.
fn locked(seed: u64) -> (World, [usize; 4]) {
    let (mut world, nodes) = World::of(seed, ["alice", "bob", "carol", "dave"]);
    let [alice, bob, ..] = nodes;
    world.join(bob, alice);
    let line = world.lock(alice, FIRST);
    assert_eq!(world.finish(alice, line), Ok(()));
    world.run(1_000);
    (world, nodes)
}

fn told(world: &World, node: usize, text: &str) -> bool {
    world.remarks(node).iter().any(|remark| remark.contains(text))
}

fn locks_seen(world: &World, node: usize) -> usize {
    world.count(node, |notice| matches!(notice, Notice::RoomLocked { .. }))
}

#[test]
fn a_wrong_password_is_refused_three_times_and_says_so() {
    let (mut world, [alice, _, carol, _]) = locked(1);
    world.nodes[carol].answers.extend([Some(SECOND), Some("open sesame!"), Some(SECOND)]);
    let line = world.connect(carol, alice);
    assert_eq!(world.finish(carol, line), Err(Code::WrongPassword));
    assert_eq!(
        world.failure(carol, line),
        "the password does not open the room at 10.0.0.1 port 51692: connect again for another try"
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
    let line = world.connect_with(carol, alice, FIRST);
    assert_eq!(world.finish(carol, line), Ok(()));
}

#[test]
fn a_missing_password_is_asked_for() {
    let (mut world, [alice, bob, carol, dave]) = locked(2);
    let line = world.connect(carol, alice);
    assert_eq!(world.finish(carol, line), Err(Code::PasswordRequired));
    world.nodes[carol].answers.push_back(Some(FIRST));
    let line = world.connect(carol, alice);
    assert_eq!(world.finish(carol, line), Ok(()));
    // Bob did not found the room; he admits all the same.
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
    let line = world.connect_with(bob, alice, FIRST);
    assert_eq!(world.finish(bob, line), Ok(()));
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
    let line = world.connect_with(carol, alice, SECOND);
    assert_eq!(world.finish(carol, line), Ok(()));
    world.run(5_000);
    world.check_room(&[alice, bob, carol]);
}

#[test]
fn an_unlocked_room_lets_everybody_in() {
    let (mut world, [alice, bob, carol, _]) = locked(6);
    let line = world.command(bob, Command::Unlock);
    assert_eq!(world.finish(bob, line), Ok(()));
    let line = world.command(bob, Command::Unlock);
    assert_eq!(world.finish(bob, line), Err(Code::RoomNotLocked));
    world.run(1_000);
    world.join(carol, alice);
    world.run(5_000);
    world.check_room(&[alice, bob, carol]);
}

#[test]
fn of_two_changes_at_once_one_wins_everywhere_and_the_loser_is_told() {
    for seed in 0..20 {
        let (mut world, [alice, bob, carol, dave]) = locked(seed);
        let line = world.connect_with(carol, bob, FIRST);
        assert_eq!(world.finish(carol, line), Ok(()));
        world.run(2_000);
        world.lock(alice, SECOND);
        world.lock(bob, "open sesame!");
        world.run(5_000);
        let overruled =
            |notice: &Notice| matches!(notice, Notice::RoomLocked { overruled: true, .. });
        let lost = [alice, bob].map(|node| world.count(node, overruled));
        let mark = world.inspect(alice).lock;
        if mark.epoch == 2 {
            assert_eq!(lost.iter().sum::<usize>(), 1, "seed {seed}: {lost:?}");
        } else {
            assert_eq!(lost, [0, 0], "seed {seed}: the later change follows the earlier");
        }
        let winner = world.password_of(&mark).unwrap();
        let line = world.connect_with(dave, carol, &winner);
        assert_eq!(world.finish(dave, line), Ok(()), "seed {seed}");
        world.run(5_000);
        world.check_room(&[alice, bob, carol, dave]);
    }
}

#[test]
fn of_two_changes_across_a_partition_the_losers_come_back_by_password() {
    for seed in 0..10 {
        let (mut world, [alice, bob, carol, dave]) = locked(seed);
        for node in [carol, dave] {
            let line = world.connect_with(node, bob, FIRST);
            assert_eq!(world.finish(node, line), Ok(()));
        }
        world.say(carol, "before");
        world.run(5_000);
        world.partition(&[alice, bob], &[carol, dave]);
        world.run(60_000);
        world.lock(alice, SECOND);
        world.lock(carol, "open sesame!");
        world.say(alice, "on this side");
        world.say(carol, "on that side");
        world.run(5_000);
        world.heal_all();
        world.run(60_000);
        let (here, there) = (world.inspect(alice).lock, world.inspect(carol).lock);
        let (winners, losers) = if here > there {
            ([alice, bob], [carol, dave])
        } else {
            ([carol, dave], [alice, bob])
        };
        world.check_room(&winners);
        let winning = world.password_of(&here.max(there)).unwrap();
        for loser in losers {
            assert!(told(&world, loser, "to come back, type: connect 10.0.0."), "seed {seed}");
            let line = world.connect_with(loser, winners[0], &winning);
            assert_eq!(world.finish(loser, line), Ok(()), "seed {seed}");
        }
        world.run(30_000);
        world.check_room(&[alice, bob, carol, dave]);
        assert_eq!(world.texts(dave).len(), 3);
    }
}

#[test]
fn a_change_during_a_short_cut_is_followed_without_a_question() {
    let (mut world, [alice, bob, carol, _]) = locked(7);
    let line = world.connect_with(carol, bob, FIRST);
    assert_eq!(world.finish(carol, line), Ok(()));
    world.run(3_000);
    world.partition(&[alice, bob], &[carol]);
    world.run(1_000);
    let line = world.lock(bob, SECOND);
    assert_eq!(world.finish(bob, line), Ok(()));
    world.run(2_000);
    world.heal_all();
    world.run(20_000);
    assert!(!told(&world, carol, "to come back"));
    world.check_room(&[alice, bob, carol]);
}

#[test]
fn a_member_who_missed_the_change_is_told_and_comes_back_with_its_history() {
    let (mut world, [alice, bob, carol, _]) = locked(8);
    let line = world.connect_with(carol, bob, FIRST);
    assert_eq!(world.finish(carol, line), Ok(()));
    world.say(carol, "before");
    world.run(3_000);
    world.partition(&[alice, bob], &[carol]);
    world.run(60_000);
    world.lock(bob, SECOND);
    world.run(2_000);
    world.say(carol, "alone");
    world.heal_all();
    world.run(60_000);
    assert_eq!(world.links(carol), 0);
    let line = "to come back, type: connect 10.0.0.";
    assert!(told(&world, carol, line), "{:?}", world.remarks(carol));
    world.check_room(&[alice, bob]);
    world.nodes[carol].answers.push_back(Some(SECOND));
    let line = world.connect(carol, alice);
    assert_eq!(world.finish(carol, line), Ok(()), "the face asks for the password");
    world.run(10_000);
    world.check_room(&[alice, bob, carol]);
    assert_eq!(world.texts(alice), ["before", "alone"]);
}

#[test]
fn the_expelled_cannot_lead_the_room_away() {
    let (mut world, [alice, bob, eve, _]) = locked(9);
    let line = world.connect_with(eve, bob, FIRST);
    assert_eq!(world.finish(eve, line), Ok(()));
    world.run(3_000);
    world.partition(&[alice, bob], &[eve]);
    world.run(60_000);
    world.lock(alice, SECOND);
    for _ in 0..5 {
        world.lock(eve, "all your base");
        world.run(1_000);
    }
    let kept = world.inspect(alice).lock;
    assert!(world.inspect(eve).lock > kept, "eve's changes rank higher");
    world.heal_all();
    world.run(60_000);
    assert_eq!(world.inspect(alice).lock, kept);
    assert_eq!(world.links(eve), 0);
    world.check_room(&[alice, bob]);
}

#[test]
fn commands_given_while_a_lock_is_prepared_wait_for_it() {
    let (mut world, [alice, bob]) = World::of(10, ["alice", "bob"]);
    world.join(alice, bob);
    let lines = [
        world.lock(alice, FIRST),
        world.lock(alice, SECOND),
        world.command(alice, Command::Unlock),
        world.lock(alice, FIRST),
        world.command(alice, Command::Leave),
    ];
    for line in lines {
        assert_eq!(world.finish(alice, line), Ok(()));
    }
    world.run(1_000);
    assert_eq!(locks_seen(&world, bob), 3);
    assert_eq!(world.inspect(bob).lock.epoch, 4);
}

#[test]
fn a_lock_set_while_a_newcomer_is_admitted_holds_for_it() {
    for delay in (0..1_200).step_by(25) {
        let (mut world, [alice, bob, carol]) = World::of(11, ["alice", "bob", "carol"]);
        world.latency_ms = (60, 90);
        world.join(alice, bob);
        world.run(2_000);
        let line = world.connect(carol, bob);
        world.run(delay);
        world.lock(alice, FIRST);
        let result = world.finish(carol, line);
        world.run(20_000);
        let lock = world.inspect(alice).lock;
        assert!(lock.locked);
        for node in [alice, bob] {
            if world.link(node, carol).is_some() {
                assert_eq!(world.inspect(carol).lock, lock, "delay {delay}: {result:?}");
            }
        }
    }
}
