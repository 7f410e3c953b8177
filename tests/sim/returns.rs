//! Members that leave a room and return: what they offered, and what it is called then.

use klatch::router::command::{Command, LeaveWhen};
use klatch::router::ids::EntryId;
use klatch::router::notice::{Code, Notice};

use crate::swarms::{fetched, room};
use crate::world::World;

const SIZE: u64 = 3 << 20;
const PASSWORD: &str = "a word to the wise";

/// A room whose first member offers a file and then leaves.
fn left(seed: u64) -> (World, [usize; 3]) {
    let (mut world, host, others) = room(seed, 2, SIZE);
    world.run(2_000);
    let line = world.command(host, Command::Leave(LeaveWhen::Now));
    assert_eq!(world.finish(host, line), Ok(()));
    world.run(2_000);
    assert!(world.nodes[host].disk.serving.is_empty(), "it serves in no other room");
    (world, [host, others[0], others[1]])
}

fn fetch(world: &mut World, node: usize) -> u64 {
    world.command(
        node,
        Command::Download {
            wanted: "film.mkv".into(),
            paths: Vec::new(),
            patient: false,
            asks: false,
        },
    )
}

fn says(world: &World, node: usize, words: &str) -> usize {
    world.remarks(node).iter().filter(|text| text.contains(words)).count()
}

#[test]
fn an_offer_is_served_again_in_the_room_that_it_was_made_in() {
    let (mut world, [host, bob, carol]) = left(21);
    let line = fetch(&mut world, bob);
    assert_eq!(world.finish(bob, line), Err(Code::NoHost), "nobody has it");
    world.join(host, carol);
    world.run(2_000);
    assert_eq!(says(&world, host, "you serve film.mkv again"), 1);
    assert_eq!(says(&world, host, "not served now"), 0);
    let line = fetch(&mut world, bob);
    assert_eq!(world.finish(bob, line), Ok(()));
    assert_eq!(fetched(&world, bob)[0].0, SIZE);
    // It works each time that it returns.
    let line = world.command(host, Command::Leave(LeaveWhen::Now));
    assert_eq!(world.finish(host, line), Ok(()));
    world.run(2_000);
    world.join(host, bob);
    world.run(2_000);
    assert_eq!(says(&world, host, "you serve film.mkv again"), 2);
}

#[test]
fn in_another_room_or_behind_another_lock_it_is_not_served() {
    let (mut world, [host, bob, carol]) = left(22);
    let line = world.lock(bob, PASSWORD);
    assert_eq!(world.finish(bob, line), Ok(()));
    world.run(2_000);
    let dave = world.add("dave");
    let erin = world.add("erin");
    world.join(dave, erin);
    world.join(host, dave);
    world.run(5_000);
    assert!(world.nodes[host].disk.serving.is_empty(), "dave's room was never offered it");
    let line = world.command(host, Command::Leave(LeaveWhen::Now));
    assert_eq!(world.finish(host, line), Ok(()));
    let line = world.connect_with(host, carol, PASSWORD);
    assert_eq!(world.finish(host, line), Ok(()));
    world.run(5_000);
    assert!(world.nodes[host].disk.serving.is_empty(), "others may be in the room by now");
    assert_eq!(says(&world, host, "an offer of yours from an earlier stay is not served now"), 1);
    // Sent again, it is served.
    let line = world.command(host, Command::Send { paths: vec!["film.mkv".into()] });
    assert_eq!(world.finish(host, line), Ok(()));
    let line = fetch(&mut world, bob);
    assert_eq!(world.finish(bob, line), Ok(()));
}

#[test]
fn after_a_restart_an_offer_waits_for_its_author_who_is_told() {
    let (mut world, host, others) = room(27, 1, SIZE);
    let bob = others[0];
    world.crash(host, false);
    world.run(20_000);
    world.start(host);
    world.join(host, bob);
    world.run(2_000);
    assert!(world.nodes[host].disk.serving.is_empty());
    assert_eq!(says(&world, host, "an offer of yours from an earlier stay is not served now"), 1);
    let line = world.command(host, Command::Send { paths: vec!["film.mkv".into()] });
    assert_eq!(world.finish(host, line), Ok(()));
    assert_eq!(says(&world, host, "you serve film.mkv again"), 1);
    let line = fetch(&mut world, bob);
    assert_eq!(world.finish(bob, line), Ok(()));
}

#[test]
fn a_file_that_changed_meanwhile_is_offered_no_more() {
    let (mut world, [host, bob, _]) = left(23);
    let parked = world.nodes[host].disk.parked.clone();
    assert_eq!(parked.len(), 1);
    world.nodes[host].disk.changed = parked;
    world.join(host, bob);
    world.run(5_000);
    assert!(world.nodes[host].disk.serving.is_empty());
    let changed = |notice: &Notice| match notice {
        Notice::Error { failure, .. } => failure.code == Code::HostChangedFile,
        _ => false,
    };
    assert_eq!(world.count(host, changed), 1);
    let withdrawn = |notice: &Notice| matches!(notice, Notice::FileWithdrawn { .. });
    assert_eq!(world.count(bob, withdrawn), 1);
}

/// Bob's goodbye outranks his new run until that has outdone it. Carol comes in meanwhile, and the
/// two cannot dial each other.
#[test]
fn a_goodbye_from_before_the_clock_was_set_back_hides_nobody() {
    let (mut world, [alice, bob, carol]) = World::of(28, ["alice", "bob", "carol"]);
    world.hide(bob, carol);
    world.join(bob, alice);
    world.say(bob, "hello");
    world.run(5_000);
    world.command(bob, Command::Quit(LeaveWhen::Now));
    world.run(5_000);
    world.nodes[bob].skew_ms = -60_000;
    world.start(bob);
    world.join(bob, alice);
    world.join(carol, alice);
    world.run(60_000);
    world.check_room(&[alice, bob, carol]);
}

#[test]
fn leaving_as_the_last_host_is_asked_about_as_quitting_is() {
    let (mut world, host, others) = room(24, 1, 50 << 20);
    let bob = others[0];
    let download = fetch(&mut world, bob);
    world.run(1_000);
    assert_eq!(world.result(bob, download), None, "it is under way");
    let alone = |world: &World| says(world, host, "you are alone in a new open room");
    let line = world.command(host, Command::Leave(LeaveWhen::Confirmed));
    assert_eq!(world.finish(host, line), Ok(()));
    assert_eq!(says(&world, host, "to leave anyway, leave again"), 1);
    assert_eq!(alone(&world), 0);
    // Through a pipe, leaving waits until bob has the file.
    let line = world.command(host, Command::Leave(LeaveWhen::Served));
    assert_eq!(world.finish(bob, download), Ok(()));
    assert_eq!(world.finish(host, line), Ok(()));
    assert_eq!(alone(&world), 1);
    assert_eq!(world.nodes[host].exit_code, None, "it left the room, not the program");
}

#[test]
fn a_visitor_leaves_no_mark_on_the_name_that_it_took() {
    let (mut world, [alice, bob]) = World::of(25, ["alice", "bob"]);
    world.join(bob, alice);
    let visitor = world.add("bob");
    let names = |world: &World, node: usize| {
        let name = |(_, notice): &(u64, Notice)| match notice {
            Notice::Message { from, .. } => Some(from.name.raw().to_owned()),
            _ => None,
        };
        world.nodes[node].notices.iter().filter_map(name).collect::<Vec<_>>()
    };
    let say = |world: &mut World, node: usize| {
        world.say(node, "it is me");
        world.run(1_000);
        names(world, alice).pop().unwrap()
    };
    assert_eq!(say(&mut world, bob), "bob");
    world.join(visitor, alice);
    let digits = |world: &World, node: usize| world.id(node).short()[..4].to_owned();
    let (his, theirs) = (digits(&world, bob), digits(&world, visitor));
    assert_eq!(say(&mut world, bob), format!("bob·{his}"));
    assert_eq!(say(&mut world, visitor), format!("bob·{theirs}"));
    world.command(visitor, Command::Name { name: "rob".into() });
    world.run(1_000);
    let renamed = |notice: &Notice| match notice {
        Notice::NameChanged { before, member } => {
            before.raw() == format!("bob·{theirs}") && member.who.name.raw() == "rob"
        }
        _ => false,
    };
    assert_eq!(world.count(alice, renamed), 1, "the old name as it was on the screen");
    assert_eq!(say(&mut world, bob), "bob");
    world.command(visitor, Command::Name { name: "bob".into() });
    world.run(1_000);
    let line = world.command(visitor, Command::Leave(LeaveWhen::Now));
    assert_eq!(world.finish(visitor, line), Ok(()));
    world.run(1_000);
    let gone = |notice: &Notice| match notice {
        Notice::MemberLeft { member } => member.who.name.raw() == format!("bob·{theirs}"),
        _ => false,
    };
    assert_eq!(world.count(alice, gone), 1, "the one who left and the one who stays differ");
    assert_eq!(say(&mut world, bob), "bob");
    // Those who come later see who said what.
    let dave = world.add("dave");
    world.join(dave, alice);
    world.run(2_000);
    let told = names(&world, dave);
    assert!(
        told.contains(&"bob".to_owned()) && told.contains(&format!("bob·{theirs}")),
        "{told:?}"
    );
}

#[test]
fn people_are_told_of_wrong_passwords_and_not_of_each_in_a_storm() {
    let (mut world, [alice, bob]) = World::of(26, ["alice", "bob"]);
    world.join(bob, alice);
    let line = world.lock(alice, PASSWORD);
    assert_eq!(world.finish(alice, line), Ok(()));
    let guess = |world: &mut World, node: usize| {
        let line = world.connect_with(node, alice, "something else");
        world.run_until(60_000, |world| world.result(node, line).is_some());
    };
    let eve = world.add("eve");
    guess(&mut world, eve);
    world.run(1_000);
    let place = world.nodes[eve].ip;
    let one = format!("warning: wrong password tried from {place}");
    assert_eq!(says(&world, alice, &one), 1, "{:?}", world.remarks(alice));
    assert_eq!(says(&world, bob, "tried"), 0, "bob was not asked");
    world.run(30_000);
    let before = world.remarks(alice).len();
    for name in ["mallory", "oscar", "trudy", "sybil", "walter", "victor"] {
        let node = world.add(name);
        guess(&mut world, node);
        guess(&mut world, node);
    }
    world.run(30_000);
    let told = world.remarks(alice).split_off(before);
    let tried: u64 = told
        .iter()
        .filter_map(|text| text.strip_prefix("warning: "))
        .map(|text| text.split(' ').next().unwrap().parse().unwrap_or(1))
        .sum();
    assert!(told.len() <= 1 + usize::try_from(world.now_ms / 10_000).unwrap(), "{told:?}");
    assert!(tried >= 12, "each is counted: {told:?}");
    // Somebody who has the password is not reported.
    let before = says(&world, alice, "wrong password");
    let dave = world.add("dave");
    let line = world.connect_with(dave, alice, PASSWORD);
    assert_eq!(world.finish(dave, line), Ok(()));
    world.run(30_000);
    assert_eq!(says(&world, alice, "wrong password"), before);
}

fn last_offer(world: &World, node: usize) -> EntryId {
    let offered = world.nodes[node].notices.iter().rev().find_map(|(_, notice)| match notice {
        Notice::FileOffered { id, .. } => Some(*id),
        _ => None,
    });
    offered.expect("something was offered")
}

#[test]
fn an_offer_that_was_taken_back_can_be_had_again_for_ten_seconds() {
    let (mut world, host, others) = room(29, 1, SIZE);
    let bob = others[0];
    world.run(2_000);
    let file = *world.nodes[host].disk.serving.iter().next().unwrap();
    let offer = last_offer(&world, host);
    let line = world.command(host, Command::Withdraw { offers: vec![offer] });
    assert_eq!(world.finish(host, line), Ok(()));
    world.run(9_000);
    assert!(world.nodes[host].disk.serving.is_empty(), "it is taken back at once");
    let line = world.command(host, Command::Restore { offers: vec![offer] });
    assert_eq!(world.finish(host, line), Ok(()));
    world.run(2_000);
    let line = fetch(&mut world, bob);
    assert_eq!(world.finish(bob, line), Ok(()));
    let offer = last_offer(&world, host);
    let line = world.command(host, Command::Withdraw { offers: vec![offer] });
    assert_eq!(world.finish(host, line), Ok(()));
    world.run(11_000);
    assert!(world.nodes[host].disk.parked.is_empty(), "nothing is laid aside for ever");
    let line = world.command(host, Command::Restore { offers: vec![offer] });
    assert_eq!(world.finish(host, line), Err(Code::NoSuchOffer));
    // A new offer made meanwhile is not undone by an earlier withdrawal.
    let send = Command::Send { paths: vec!["film.mkv".into()] };
    let line = world.command(host, send.clone());
    assert_eq!(world.finish(host, line), Ok(()));
    let offer = last_offer(&world, host);
    let line = world.command(host, Command::Withdraw { offers: vec![offer] });
    assert_eq!(world.finish(host, line), Ok(()));
    let line = world.command(host, send);
    assert_eq!(world.finish(host, line), Ok(()));
    world.run(11_000);
    assert!(world.nodes[host].disk.serving.contains(&file));
}
