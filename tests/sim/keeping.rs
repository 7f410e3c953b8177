//! Who stays a member through changes that it missed, and who does not; and what a hostile member
//! can do to it.

use klatch::router::command::Command;
use klatch::router::membership::record::{How, Lock, Record, Removal, Ticket};
use klatch::router::message::Message;
use klatch::router::notice::{Code, Notice};
use klatch::router::rng::Rng;
use klatch::router::signed::SignedRecord;

use crate::hostile::Hostile;
use crate::locks::locked;
use crate::world::World;

const PASSWORDS: [&str; 6] = [
    "correct horse",
    "battery staple",
    "open sesame!",
    "speak friend and enter",
    "swordfish, or so",
    "twelve lamps",
];

fn enters(world: &mut World, node: usize, to: usize, password: &str) {
    let line = world.connect_with(node, to, password);
    assert_eq!(world.finish(node, line), Ok(()), "{}", world.nodes[node].name);
}

/// Of ten members eight are cut off while the password changes five times and one is removed.
#[test]
fn eight_of_ten_come_back_after_five_passwords_with_nothing_typed() {
    for seed in 0..4 {
        let mut world = World::new(seed);
        let alice = world.add("alice");
        let line = world.lock(alice, PASSWORDS[0]);
        assert_eq!(world.finish(alice, line), Ok(()));
        let mut members = vec![alice];
        for n in 1..11 {
            let node = world.add(&format!("n{n}"));
            // Through anybody who is in already, except the one to be removed, who lets nobody in.
            let host = members[(seed as usize + n) % members.len()];
            enters(&mut world, node, host, PASSWORDS[0]);
            if n < 10 {
                members.push(node);
            }
        }
        let mallory = 10;
        world.run(20_000);
        let (here, away) = ([alice, 1], &members[2..]);
        for (at, node) in away.iter().enumerate() {
            world.partition(&[*node], &[alice, 1, mallory]);
            world.partition(&[*node], &away[at + 1..]);
        }
        world.run(60_000);
        for (n, password) in PASSWORDS.iter().enumerate().skip(1) {
            if n == 3 {
                let line = world.remove(alice, mallory, false);
                assert_eq!(world.finish(alice, line), Ok(()));
            }
            let who = here[n % 2];
            let line = world.lock(who, password);
            assert_eq!(world.finish(who, line), Ok(()));
            world.run(30_000);
        }
        world.heal_all();
        world.run(120_000);
        assert!(members.iter().all(|node| world.nodes[*node].asked == 0), "nobody is asked");
        assert_eq!(world.links(mallory), 0);
        world.check_room(&members);
        assert_eq!(world.password_of(9).as_deref(), Some(PASSWORDS[5]));
    }
}

#[test]
fn the_removed_comes_back_through_one_who_slept_until_that_one_hears_of_it() {
    for seed in 0..6 {
        let (mut world, [alice, bob, carol, eve]) = locked(seed);
        for node in [carol, eve] {
            enters(&mut world, node, alice, PASSWORDS[0]);
        }
        world.run(5_000);
        world.partition(&[alice, bob, eve], &[carol]);
        world.suspend(carol, 300_000);
        world.run(60_000);
        let line = world.remove(alice, eve, false);
        assert_eq!(world.finish(alice, line), Ok(()));
        world.run(1_000);
        assert_eq!(world.links(eve), 0, "out at once");
        let told = |notice: &Notice| matches!(notice, Notice::MemberRemoved { me_out: true, .. });
        assert_eq!(world.count(eve, told), 1);
        world.run(300_000);
        // Carol has not heard of it, but eve has: she restores an old copy of her data.
        world.start(eve);
        world.heal(eve, carol);
        enters(&mut world, eve, carol, PASSWORDS[0]);
        let guest = world.add("guest");
        enters(&mut world, guest, eve, PASSWORDS[0]);
        world.run(5_000);
        world.heal_all();
        world.run(120_000);
        // Everything below alice is out: eve came in by carol's ticket, which is there.
        assert!(world.link(carol, eve).is_none(), "carol heard of it");
        for node in [alice, bob, carol] {
            assert!(!world.counts(node, eve) && !world.counts(node, guest), "seed {seed}");
        }
        world.check_room(&[alice, bob, carol]);
    }
}

#[test]
fn the_removed_lose_their_guests_unless_these_are_kept() {
    let (mut world, [alice, bob, carol, dave]) = locked(5);
    // Carol comes in through bob, dave by alice's invitation, which bob answers.
    enters(&mut world, carol, bob, PASSWORDS[0]);
    let link = world.invite(alice, false).unwrap();
    world.run(2_000);
    world.hide(dave, alice);
    let mut through_bob = link.clone();
    through_bob.addrs = vec![(world.nodes[bob].ip, crate::world::PORT).into()];
    let line = world.enter(dave, &through_bob);
    assert_eq!(world.finish(dave, line), Ok(()));
    world.run(5_000);
    let line = world.remove(alice, bob, false);
    assert_eq!(world.finish(alice, line), Ok(()));
    world.run(2_000);
    for node in [bob, carol, dave] {
        assert!(!world.counts(alice, node), "{} went", world.nodes[node].name);
        assert_eq!(world.links(node), 0);
    }
    let also = |notice: &Notice| match notice {
        Notice::MemberRemoved { also, .. } => also.len() == 2,
        _ => false,
    };
    assert_eq!(world.count(alice, also), 1, "alice reads who went along");
    let line = world.remove(alice, carol, true);
    assert_eq!(world.finish(alice, line), Ok(()));
    world.run(60_000);
    let line = world.connect(carol, alice);
    assert_eq!(world.finish(carol, line), Ok(()), "carol may come in again");
    assert_eq!(world.nodes[carol].asked, 0);
    world.check_room(&[alice, carol]);
}

#[test]
fn who_is_out_is_told_so_by_everything_that_needs_others() {
    let (mut world, [alice, bob]) = World::of(6, ["alice", "bob"]);
    world.join(bob, alice);
    for number in 0..12 {
        let line = world.send_file(alice, &format!("{number}.bin"), 64 << 20);
        assert_eq!(world.finish(alice, line), Ok(()));
    }
    world.run(1_000);
    let downloads: Vec<_> = (0..12).map(|n| world.download(bob, &format!("{n}.bin"))).collect();
    let line = world.remove(alice, bob, false);
    assert_eq!(world.finish(alice, line), Ok(()));
    for line in downloads {
        assert_eq!(world.finish(bob, line), Err(Code::Removed), "moving or queued");
    }
    let say = world.command(bob, Command::Say { text: "is anybody there?".into() });
    let fetch = world.download(bob, "1.bin");
    let send = world.send_file(bob, "mine.bin", 1 << 20);
    for line in [say, fetch, send] {
        assert_eq!(world.finish(bob, line), Err(Code::Removed));
    }
}

#[test]
fn a_guest_of_the_removed_is_not_out_of_an_open_room() {
    let (mut world, [alice, bob, carol]) = World::of(7, ["alice", "bob", "carol"]);
    world.join(bob, alice);
    let link = world.invite(bob, false).unwrap();
    world.run(2_000);
    let line = world.enter(carol, &link);
    assert_eq!(world.finish(carol, line), Ok(()));
    world.run(5_000);
    let line = world.remove(alice, bob, false);
    assert_eq!(world.finish(alice, line), Ok(()));
    world.run(30_000);
    let out = |notice: &Notice| matches!(notice, Notice::MemberRemoved { me_out: true, .. });
    assert_eq!((world.count(bob, out), world.count(carol, out)), (1, 0));
    let line = world.command(carol, Command::Say { text: "still here".into() });
    assert_eq!(world.finish(carol, line), Ok(()));
    world.run(5_000);
    assert_eq!(world.texts(alice), ["still here"]);
}

/// Alice founds; mallory is below her, dave below mallory; bob and carol are beside it.
fn tree(seed: u64) -> (World, [usize; 5]) {
    let (mut world, nodes) = World::of(seed, ["alice", "bob", "mallory", "carol", "dave"]);
    let [alice, bob, mallory, carol, dave] = nodes;
    world.join(bob, alice);
    world.join(mallory, alice);
    world.join(carol, bob);
    world.join(dave, mallory);
    for node in [bob, mallory, carol, dave] {
        world.say(node, "here");
    }
    world.run(5_000);
    if seed.is_multiple_of(2) {
        let line = world.lock(alice, PASSWORDS[0]);
        assert_eq!(world.finish(alice, line), Ok(()));
    }
    world.run(10_000);
    (world, nodes)
}

fn tell_all(world: &mut World, node: usize, records: &[Record]) {
    let room = world.inspect(node).room;
    let me = klatch::crypto::identity::Identity::from_seed(world.nodes[node].key);
    for (_, conn) in world.inspect(node).links {
        for record in records {
            let record = SignedRecord::sign(&room, &me, record.clone(), None);
            world.say_anyway(node, conn, Message::Records(vec![record]));
        }
    }
}

#[test]
fn somebody_hostile_in_the_middle_harms_nobody_above_or_beside_it() {
    for seed in 0..40 {
        let (mut world, [alice, bob, mallory, carol, dave]) = tree(seed);
        let honest = [alice, bob, carol];
        let pairs = [(alice, bob), (alice, carol), (bob, carol)];
        let before = pairs.map(|(a, b)| world.link(a, b));
        assert!(before.iter().all(Option::is_some));
        let mut rng = Rng::new(seed);
        let by = world.id(mallory);
        world.truth.hostile.insert(by);
        let own = world.oracle(mallory).living(&by);
        for who in [alice, bob, carol, dave] {
            let member = world.id(who);
            let removal = Removal {
                by,
                member: Some(member),
                invitations: Default::default(),
                earlier: 0,
                kept: Vec::new(),
            };
            let steward = Ticket {
                by,
                parent: None,
                member: by,
                how: How::Steward,
                rank: 0,
                knows: Default::default(),
                pardons: Default::default(),
                invited: None,
            };
            let (removal, steward) = (Record::Removal(removal), Record::Ticket(steward));
            tell_all(&mut world, mallory, &[removal, steward]);
        }
        // A different lock for each.
        for (number, (_, conn)) in world.inspect(mallory).links.into_iter().enumerate() {
            let lock = Lock {
                by,
                standing: own.iter().copied().collect(),
                closed: number % 3 > 0,
                password: None,
                over: world.oracle(mallory).locks.keys().copied().collect(),
                kept: Vec::new(),
            };
            let me = klatch::crypto::identity::Identity::from_seed(world.nodes[mallory].key);
            let room = world.inspect(mallory).room;
            let lock = SignedRecord::sign(&room, &me, Record::Lock(lock), None);
            world.say_anyway(mallory, conn, Message::Records(vec![lock]));
        }
        for _ in 0..60 {
            world.run(200);
            let links = world.inspect(mallory).links;
            let Some(mut hostile) = Hostile::at(&mut world, &mut rng, mallory) else { break };
            let records: Vec<_> = links.iter().map(|_| hostile.record()).collect();
            for ((_, conn), record) in links.into_iter().zip(records) {
                world.say_anyway(mallory, conn, Message::Records(vec![record]));
            }
        }
        world.run(30_000);
        let after = pairs.map(|(a, b)| world.link(a, b));
        assert_eq!(before, after, "seed {seed}: no link above or beside it ended");
        world.check_agreement(&honest);
        for node in honest {
            assert!(honest.iter().all(|other| world.counts(node, *other)), "seed {seed}");
        }
        // And alice gets rid of it with one command.
        let line = world.remove(alice, mallory, false);
        assert_eq!(world.finish(alice, line), Ok(()));
        world.run(10_000);
        assert!(honest.iter().all(|node| !world.counts(*node, mallory)), "seed {seed}");
        assert_eq!(world.links(mallory), 0, "seed {seed}");
    }
}

/// A visitor that never said a word, beside a hostile member that closes the room.
#[test]
fn a_closing_puts_out_no_visitor_that_came_through_somebody_else() {
    let (mut world, [alice, bob, mallory, carol]) =
        World::of(4, ["alice", "bob", "mallory", "carol"]);
    world.join(mallory, alice);
    world.say(mallory, "hello");
    world.join(bob, alice);
    world.join(carol, bob);
    world.run(10_000);
    let by = world.id(mallory);
    world.truth.hostile.insert(by);
    let standing = world.oracle(mallory).living(&by).into_iter().collect();
    let lock = Lock {
        by,
        standing,
        closed: true,
        password: None,
        over: Default::default(),
        kept: Vec::new(),
    };
    tell_all(&mut world, mallory, &[Record::Lock(lock)]);
    world.run(60_000);
    for node in [alice, bob, carol] {
        assert!(world.inspect(node).closed, "{}", world.nodes[node].name);
    }
    assert!(world.link(alice, bob).is_some() && world.link(alice, carol).is_some());
    assert!(world.link(bob, carol).is_some());
    let line = world.command(alice, Command::Unlock);
    assert_eq!(world.finish(alice, line), Ok(()));
}

/// Everybody let dave in. Those beside him who remove him end only the tickets that they gave, and
/// hear of the ticket by which he stays.
#[test]
fn who_is_removed_by_some_beside_stays_by_the_ticket_of_another() {
    let (mut world, [alice, bob, carol, dave]) = World::of(9, ["alice", "bob", "carol", "dave"]);
    for (node, text) in [(bob, "hello"), (carol, "hi")] {
        world.join(node, alice);
        world.say(node, text);
    }
    world.run(5_000);
    for node in [bob, carol, alice] {
        world.join(dave, node);
    }
    world.run(20_000);
    for node in [bob, carol] {
        let line = world.remove(node, dave, false);
        assert_eq!(world.finish(node, line), Ok(()));
        world.run(10_000);
    }
    world.run(60_000);
    assert!(world.counts(bob, dave) && world.counts(carol, dave), "by alice's ticket");
    world.check_room(&[alice, bob, carol, dave]);
}

/// Grace let dave in as well, and hears only from dave that carol removed him.
#[test]
fn who_is_removed_hears_of_it_first_and_stays_by_the_ticket_of_another() {
    let (mut world, [alice, carol, grace, dave]) =
        World::of(9, ["alice", "carol", "grace", "dave"]);
    for (node, text) in [(carol, "hi"), (grace, "hello")] {
        world.join(node, alice);
        world.say(node, text);
    }
    world.run(5_000);
    world.hide(alice, dave);
    world.join(dave, carol);
    world.run(5_000);
    assert!(world.link(grace, dave).is_some());
    world.say(dave, "here I am");
    world.run(5_000);
    world.partition(&[grace], &[alice, carol, dave]);
    world.run(60_000);
    let line = world.remove(carol, dave, false);
    assert_eq!(world.finish(carol, line), Ok(()));
    world.run(5_000);
    assert_eq!(world.links(dave), 0);
    world.heal(grace, dave);
    world.run(60_000);
    assert!(world.link(grace, dave).is_some());
    world.heal_all();
    world.run(60_000);
    assert!(world.counts(alice, dave) && world.counts(carol, dave), "by grace's ticket");
    world.check_room(&[alice, carol, grace, dave]);
}

#[test]
fn a_visitor_who_speaks_is_known_through_whom_it_came() {
    let (mut world, [alice, bob, carol]) = World::of(6, ["alice", "bob", "carol"]);
    world.join(bob, alice);
    world.say(bob, "hello");
    world.join(carol, bob);
    world.run(5_000);
    let through = |world: &mut World, node: usize, who: usize| {
        let id = world.id(who);
        world.command(node, Command::Members);
        let found = world.nodes[node].notices.iter().rev().find_map(|(_, notice)| match notice {
            Notice::Members { list } => Some(list.clone()),
            _ => None,
        });
        let line = found.unwrap().into_iter().find(|line| line.member.who.id == id).unwrap();
        line.through.map(|who| who.id)
    };
    assert!(!world.counts(alice, carol), "it leaves no trace");
    world.say(carol, "here I am");
    world.run(2_000);
    let bobs = world.id(bob);
    assert_eq!(through(&mut world, alice, carol), Some(bobs));
    // Alice is above, so she may remove it; carol may not remove bob.
    let line = world.remove(carol, bob, false);
    assert_eq!(world.finish(carol, line), Err(Code::NotAbove));
    let line = world.remove(alice, carol, false);
    assert_eq!(world.finish(alice, line), Ok(()));
    world.run(2_000);
    assert_eq!(world.links(carol), 0);
    world.check_room(&[alice, bob]);
}

/// Eve becomes a steward, which puts bob and his password out until the founder's next record.
#[test]
fn a_password_outlives_that_its_author_is_out_for_a_moment() {
    for seed in 0..10 {
        let (mut world, [alice, bob, carol, eve]) =
            World::of(seed, ["alice", "bob", "carol", "eve"]);
        for (node, text) in [(bob, "hello"), (carol, "hi"), (eve, "here I am")] {
            world.join(node, alice);
            world.say(node, text);
        }
        world.run(5_000);
        for (node, password) in [(eve, PASSWORDS[0]), (bob, PASSWORDS[1])] {
            let line = world.lock(node, password);
            assert_eq!(world.finish(node, line), Ok(()));
            world.run(5_000);
        }
        let line = world.steward(alice, eve, false);
        assert_eq!(world.finish(alice, line), Ok(()));
        world.run(60_000);
        for node in [alice, bob, carol, eve] {
            let name = world.nodes[node].name.clone();
            assert_eq!(world.password_of(node).as_deref(), Some(PASSWORDS[1]), "seed {seed}");
            assert!(world.inspect(node).password.is_some(), "{name} knows it, seed {seed}");
        }
        world.check_room(&[alice, bob, carol, eve]);
    }
}

/// A steward may do what the founder may; when it is no longer one, it stays a member.
#[test]
fn a_steward_removes_what_hangs_beside_it() {
    let (mut world, [alice, bob, carol, dave]) = locked(8);
    for node in [carol, dave] {
        enters(&mut world, node, alice, PASSWORDS[0]);
    }
    world.run(5_000);
    let line = world.remove(bob, dave, false);
    assert_eq!(world.finish(bob, line), Err(Code::NotAbove));
    let line = world.steward(alice, bob, false);
    assert_eq!(world.finish(alice, line), Ok(()));
    world.run(2_000);
    // The founder's machine is lost; bob carries on.
    world.crash(alice, true);
    world.run(60_000);
    let line = world.remove(bob, dave, false);
    assert_eq!(world.finish(bob, line), Ok(()));
    let line = world.command(bob, Command::Unlock);
    assert_eq!(world.finish(bob, line), Err(Code::NotAbove), "nobody is above the founder");
    world.run(5_000);
    assert!(world.counts(carol, bob) && !world.counts(carol, dave));
}
