//! The log: repair, long histories, forks, and entries that nobody honest sends.

use std::collections::BTreeSet;

use klatch::crypto::identity::Identity;
use klatch::router::event::{Draw, Effect, Event};
use klatch::router::ids::{EntryId, LogNonce, MemberId};
use klatch::router::message::{Have, Message, Wanted};
use klatch::router::notice::{Code, Notice};
use klatch::router::signed::{Chain, EntryBody, EntryRef, Kind, SignedEntry};

use crate::world::{WALL_MS, World};

fn forks_told(world: &World, node: usize) -> usize {
    world.count(node, |notice| match notice {
        Notice::Error { failure, .. } => failure.code == Code::ChainForked,
        _ => false,
    })
}

#[test]
fn both_sides_of_a_partition_end_with_one_order() {
    for seed in 0..10 {
        let (mut world, [alice, bob, carol, dave]) =
            World::of(seed, ["alice", "bob", "carol", "dave"]);
        for node in [bob, carol, dave] {
            world.join(node, alice);
        }
        world.run(5_000);
        world.partition(&[alice, bob], &[carol, dave]);
        for n in 0..200 {
            world.say([alice, carol, bob, dave][n % 4], &format!("text {n}"));
            world.run(100);
        }
        world.heal_all();
        world.run(60_000);
        world.check_room(&[alice, bob, carol, dave]);
        assert_eq!(world.texts(alice).len(), 200);
    }
}

#[test]
fn a_hundred_thousand_entries_reach_a_newcomer_without_a_link_being_dropped() {
    let (mut world, [alice, bob, carol, dave]) = World::of(1, ["alice", "bob", "carol", "dave"]);
    world.strict = false;
    for n in 0..50_000 {
        world.say(alice, &format!("a{n}"));
        world.say(bob, &format!("b{n}"));
    }
    world.join(alice, bob);
    assert!(world.run_until(600_000, |world| world.nodes[bob].view.messages.len() == 100_000));
    world.run(10_000);
    world.join(carol, alice);
    world.join(dave, bob);
    let began = world.now_ms;
    assert!(world.run_until(600_000, |world| world.nodes[carol].view.messages.len() == 100_000));
    println!("100,000 entries took {} s", (world.now_ms - began) / 1_000);
    assert!(world.run_until(600_000, |world| world.nodes[dave].view.messages.len() == 100_000));
    world.run(10_000);
    let left = |notice: &Notice| matches!(notice, Notice::MemberLeft { .. });
    for node in [alice, bob, carol, dave] {
        assert_eq!(world.count(node, left), 0, "no link was dropped");
    }
    world.nodes.iter_mut().for_each(|node| node.view.said.clear());
    world.check_room(&[alice, bob, carol, dave]);
}

#[test]
fn a_member_that_never_answers_does_not_keep_others_from_it() {
    let (mut world, [alice, bob, carol]) = World::of(2, ["alice", "bob", "carol"]);
    world.join(alice, bob);
    for n in 0..300 {
        world.say(alice, &format!("text {n}"));
    }
    world.run(5_000);
    world.nodes[alice].withholds = Some(|message| matches!(message, Message::Answer { .. }));
    world.connect(carol, alice);
    assert!(world.run_until(20_000, |world| world.texts(carol).len() == 300));
    world.run(15_000);
    world.check_room(&[alice, bob, carol]);
}

#[test]
fn two_programs_of_one_chain_are_found_out_and_everybody_agrees() {
    for seed in 0..10 {
        let (mut world, [alice, bob, carol]) = World::of(seed, ["alice", "bob", "carol"]);
        world.strict = false;
        world.join(alice, bob);
        world.join(carol, bob);
        world.run(2_000);
        // One key, one chain, two machines that each see half of the room.
        let key = world.draw_bytes();
        let (one, two) = (world.add_with_key("eve", key), world.add_with_key("eve", key));
        let draw = world.draw();
        for node in [one, two] {
            world.crash(node, false);
            let draw = Draw { nonce: draw.nonce, ..world.draw() };
            world.start_with(node, draw);
        }
        world.partition(&[one], &[bob, two, carol]);
        world.partition(&[two], &[alice, one]);
        world.join(one, alice);
        world.join(two, bob);
        for (node, n) in [(one, 1), (two, 2)] {
            for text in ["first", "second", "third"] {
                world.say(node, &format!("{text} of {n}"));
            }
        }
        world.say(carol, "who is that?");
        world.run(10_000);
        let honest = [alice, bob, carol];
        let logs: BTreeSet<_> = honest.iter().map(|node| world.inspect(*node).entries).collect();
        assert_eq!(logs.len(), 1, "seed {seed}: all converge");
        for node in honest {
            assert!(forks_told(&world, node) > 0, "seed {seed}: all are told");
            assert!(world.texts(node).contains(&"who is that?".to_owned()));
        }
        let told = [one, two].map(|node| forks_told(&world, node));
        assert!(told.iter().all(|told| *told > 0), "seed {seed}: the forkers too: {told:?}");
        let line = world.say(one, "and now?");
        assert_eq!(world.finish(one, line), Err(Code::ChainForked));
        let line = world.say(alice, "we go on");
        assert_eq!(world.finish(alice, line), Ok(()));
        world.run(5_000);
        assert!(honest.iter().all(|node| world.texts(*node).contains(&"we go on".to_owned())));
    }
}

/// An entry of `author` that no honest program makes.
fn forge(world: &mut World, author: usize, change: impl FnOnce(&mut EntryBody)) -> Message {
    let room = world.inspect(author).room;
    let me = Identity::from_seed(world.nodes[author].key);
    let chain = Chain { author: MemberId(me.public()), nonce: LogNonce(world.draw_bytes()) };
    let kind = Kind::Text("poison".into());
    let (prev, parents) = (None, Vec::new());
    let mut body = EntryBody { chain, seq: 1, depth: 1, prev, parents, time_ms: 0, kind };
    change(&mut body);
    Message::Entry(SignedEntry::sign(&room, &me, body).into())
}

#[test]
fn poison_entries_hold_nobody_up() {
    let (mut world, [alice, bob, eve]) = World::of(3, ["alice", "bob", "eve"]);
    world.strict = false;
    world.join(alice, bob);
    world.join(eve, alice);
    world.run(3_000);
    let nobody = Chain { author: MemberId([9; 32]), nonce: LogNonce([9; 8]) };
    for n in 0..6_000u64 {
        let id = EntryId(world.draw_bytes());
        let parent = EntryRef { chain: nobody, seq: n + 1, id };
        let message = match n % 4 {
            0 => forge(&mut world, eve, |body| body.parents.push(parent)),
            1 => forge(&mut world, eve, |body| (body.seq, body.prev) = (1 << 60, Some(id))),
            2 => forge(&mut world, eve, |body| (body.seq, body.prev) = (2, Some(id))),
            _ => forge(&mut world, eve, |body| body.time_ms = i64::MIN),
        };
        for to in [alice, bob] {
            if let Some(conn) = world.link(eve, to) {
                world.perform(eve, Effect::Send { conn, message: message.clone() });
            }
        }
        if n % 50 == 0 {
            world.run(20);
            let text = format!("honest {n}");
            world.say([alice, bob][n as usize / 50 % 2], &text);
        }
    }
    world.run(10_000);
    let honest = |world: &World, node| {
        world.texts(node).into_iter().filter(|text| text.starts_with("honest")).count()
    };
    assert_eq!((honest(&world, alice), honest(&world, bob)), (120, 120));
    for node in [alice, bob] {
        for load in world.nodes[node].router.as_ref().unwrap().loads() {
            assert!(load.size <= load.bound, "{load:?}");
        }
    }
    // A newcomer gets the history in spite of all that.
    let carol = world.add("carol");
    world.join(carol, bob);
    world.run(20_000);
    assert_eq!(honest(&world, carol), 120);
    assert_eq!(world.overflows, 0);
}

#[test]
fn claims_of_astronomic_lengths_cost_nothing() {
    let (mut world, [alice, bob, eve]) = World::of(4, ["alice", "bob", "eve"]);
    world.join(alice, bob);
    world.join(eve, alice);
    world.say(alice, "hello");
    world.run(3_000);
    let conn = world.link(eve, alice).unwrap();
    let chain_of = |world: &World, node: usize| {
        let entry = world.entries.values().find(|e| e.body.chain.author == world.id(node));
        entry.map(|entry| entry.body.chain)
    };
    let mut chains: Vec<_> = chain_of(&world, alice).into_iter().collect();
    for _ in 0..10_000 {
        chains.push(Chain {
            author: MemberId(world.draw_bytes()),
            nonce: LogNonce(world.draw_bytes()),
        });
    }
    let before = world.trace.events;
    for page in chains.chunks(100) {
        let haves = page.iter().map(|chain| {
            let head = EntryId(world.rng.next_u64().to_be_bytes().repeat(4).try_into().unwrap());
            Have { chain: *chain, len: 1 << 60, head, forked: false, refused: false }
        });
        let message = Message::Have(haves.collect());
        world.perform(eve, Effect::Send { conn, message });
        let wanted = page.iter().map(|chain| Wanted { chain: *chain, from: 1 << 60 }).collect();
        let message = Message::Ask { number: 7, chains: wanted };
        world.perform(eve, Effect::Send { conn, message });
        world.run(20);
    }
    for n in 0..20 {
        world.say([alice, bob][n % 2], &format!("text {n}"));
        world.run(200);
    }
    world.run(60_000);
    assert_eq!(world.texts(bob).len(), 21);
    world.check_room(&[alice, bob, eve]);
    let events = world.trace.events - before;
    assert!(events < 6_000, "{events} events for claims that nobody can meet");
}

#[test]
fn made_up_holders_and_histories_are_bounded() {
    let (mut world, [alice, eve]) = World::of(5, ["alice", "eve"]);
    world.nodes[eve].withholds = Some(|message| matches!(message, Message::Have(_)));
    world.connect(alice, eve);
    world.run(2_000);
    world.say(alice, "mine");
    world.nodes[eve].withholds = None;
    let conn = world.link(eve, alice).unwrap();
    let mine = world.entries.values().next().unwrap().body.chain;
    for _ in 0..100 {
        let mut haves = Vec::new();
        for _ in 0..100 {
            let holder = MemberId(world.draw_bytes());
            let head = EntryId([1; 32]);
            let have = Have { chain: mine, len: 1 << 60, head, forked: false, refused: false };
            world.perform(eve, Effect::Send { conn, message: Message::Receipt { holder, have } });
            let chain = Chain { author: holder, nonce: LogNonce([2; 8]) };
            haves.push(Have { chain, len: 1, head, forked: false, refused: false });
        }
        world.perform(eve, Effect::Send { conn, message: Message::Have(haves) });
        world.run(50);
    }
    for load in world.nodes[alice].router.as_ref().unwrap().loads() {
        assert!(load.size <= load.bound, "{load:?}");
    }
}

#[test]
fn receipts_are_believed_only_of_whom_nobody_hears_here_and_with_the_right_head() {
    let (mut world, [alice, bob, eve]) = World::of(5, ["alice", "bob", "eve"]);
    world.join(bob, alice);
    world.join(eve, alice);
    world.run(3_000);
    for silent in [bob, eve] {
        world.nodes[silent].withholds = Some(|message| matches!(message, Message::Have(_)));
    }
    world.say(alice, "mine");
    world.run(3_000);
    let (holder, conn) = (world.id(bob), world.link(eve, alice).unwrap());
    let mine = world.entries.values().filter(|entry| entry.body.chain.author == world.id(alice));
    let last = mine.max_by_key(|entry| entry.body.seq).unwrap();
    let (chain, len, id) = (last.body.chain, last.body.seq, last.id);
    let held = |notice: &Notice| matches!(notice, Notice::Held { held_by: 1.., .. });
    for head in [EntryId([0; 32]), id] {
        let have = Have { chain, len, head, forked: false, refused: false };
        world.perform(eve, Effect::Send { conn, message: Message::Receipt { holder, have } });
    }
    let have = Have { chain, len, head: EntryId([0; 32]), forked: false, refused: false };
    world.nodes[eve].withholds = None;
    world.perform(eve, Effect::Send { conn, message: Message::Have(vec![have]) });
    world.run(1_000);
    assert_eq!(world.count(alice, held), 0, "bob has a link, and eve's is a lie");
}

#[test]
fn many_short_chains_come_page_after_page() {
    let mut world = World::new(5);
    // Allows this many chains of authors whom nobody is known to have let in.
    world.limits.chains = 16 * 1_024;
    let [alice, eve, bob] = ["alice", "eve", "bob"].map(|name| world.add(name));
    world.join(eve, alice);
    let room = world.inspect(alice).room;
    for n in 0..900 {
        let me = Identity::from_seed(world.draw_bytes());
        let chain = Chain { author: MemberId(me.public()), nonce: LogNonce(world.draw_bytes()) };
        let kind = Kind::Text(format!("text {n}").into());
        let (prev, parents) = (None, Vec::new());
        let body = EntryBody { chain, seq: 1, depth: 1, prev, parents, time_ms: 0, kind };
        let poison = Message::Entry(SignedEntry::sign(&room, &me, body).into());
        let conn = world.link(eve, alice).unwrap();
        world.perform(eve, Effect::Send { conn, message: poison });
        world.run(60);
    }
    world.run(5_000);
    assert_eq!(world.inspect(alice).entries.len(), 900);
    world.join(bob, alice);
    world.run(3_000);
    assert_eq!(world.inspect(bob).entries.len(), 900);
}

/// A computer sleeps, or its clock is set: later messages bear the new time.
#[test]
fn a_message_bears_the_time_that_the_wall_clock_shows_now() {
    const NIGHT_MS: i64 = 8 * 3_600 * 1_000;
    let (mut world, [alice, bob]) = World::of(3, ["alice", "bob"]);
    world.join(bob, alice);
    let morning = |notice: &Notice| match notice {
        Notice::Message { time_ms, .. } => *time_ms >= WALL_MS + NIGHT_MS,
        _ => false,
    };
    world.say(alice, "good night");
    world.run(1_000);
    assert_eq!(world.count(bob, morning), 0);
    world.feed(alice, Event::ClockSet { wall_at_zero_ms: WALL_MS + NIGHT_MS });
    world.say(alice, "good morning");
    world.run(1_000);
    assert_eq!(world.count(bob, morning), 1);
}
