//! A branch of the room that fills the register: what it costs, and who is refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use klatch::crypto::identity::Identity;
use klatch::router::command::Command;
use klatch::router::ids::{MemberId, RecordId, RoomId};
use klatch::router::membership::record::{How, Record, Ticket};
use klatch::router::message::Message;
use klatch::router::signed::SignedRecord;

use crate::world::World;

/// Keys of the hostile branch.
const KEYS: usize = 4_000;
/// Guests of each guest: more would exceed the signer's share.
const EACH: usize = 15;

fn ticket(by: MemberId, parent: RecordId, member: MemberId, how: How) -> Record {
    let (knows, pardons) = (BTreeSet::new(), BTreeSet::new());
    let parent = Some(parent);
    Record::Ticket(Ticket { by, parent, member, how, rank: 0, knows, pardons, invited: None })
}

/// Tickets of a branch below `root`, parents first.
fn branch(
    world: &mut World,
    room: &RoomId,
    (me, root): (&Identity, RecordId),
    how: How,
) -> Vec<Arc<SignedRecord>> {
    let mut records: Vec<Arc<SignedRecord>> = Vec::new();
    let by = MemberId(me.public());
    while records.len() < KEYS {
        let guest = Identity::from_seed(world.draw_bytes());
        let member = MemberId(guest.public());
        let upper = SignedRecord::sign(room, me, ticket(by, root, member, how), None);
        let parent = upper.id;
        records.push(upper);
        for _ in 0..EACH {
            let id = MemberId(Identity::from_seed(world.draw_bytes()).public());
            let record = ticket(member, parent, id, how);
            records.push(SignedRecord::sign(room, &guest, record, None));
        }
    }
    records
}

/// Alice founds; bob and eve are below her, carol is below bob.
fn room(seed: u64, closed: bool) -> (World, [usize; 4]) {
    let (mut world, nodes) = World::of(seed, ["alice", "bob", "eve", "carol"]);
    let [alice, bob, eve, carol] = nodes;
    world.truth.lax = true;
    world.join(bob, alice);
    world.join(eve, alice);
    world.join(carol, bob);
    for node in [bob, eve, carol] {
        world.say(node, "here");
    }
    world.run(5_000);
    if closed {
        let line = world.lock(alice, "correct horse");
        assert_eq!(world.finish(alice, line), Ok(()));
    }
    world.run(5_000);
    (world, nodes)
}

/// Eve's branch is sent to these nodes; `order` sorts it for each.
fn flood(world: &mut World, eve: usize, to: &[usize], how: How) -> u64 {
    let id = world.id(eve);
    let room = world.inspect(eve).room;
    let me = Identity::from_seed(world.nodes[eve].key);
    let root = world.nodes[eve].router.as_ref().unwrap();
    let root = root.membership().tickets_of(&id).next().unwrap().id;
    let records = branch(world, &room, (&me, root), how);
    let began = std::time::Instant::now();
    for (number, &node) in to.iter().enumerate() {
        let mut records = records.clone();
        if number % 2 == 1 {
            records.reverse();
        }
        for list in records.chunks(30) {
            let Some(conn) = world.link(eve, node) else { return 0 };
            world.say_anyway(eve, conn, Message::Records(list.to_vec()));
            world.run(20);
        }
    }
    world.run(60_000);
    u64::try_from(began.elapsed().as_millis()).unwrap()
}

#[test]
fn a_branch_of_four_thousand_keys_crowds_out_nobody_else() {
    let (mut world, [alice, bob, eve, carol]) = room(1, true);
    let honest = [alice, bob, carol];
    let took_ms = flood(&mut world, eve, &[alice], How::Password);
    for node in honest {
        let members = world.inspect(node).members.len();
        let bytes: usize = {
            let router = world.nodes[node].router.as_ref().unwrap();
            router.records().map(|record| record.bytes.len()).sum()
        };
        println!("{}: {members} members, {bytes} bytes", world.nodes[node].name);
        assert!(honest.iter().all(|other| world.counts(node, *other)));
        assert!(honest.iter().all(|other| node == *other || world.link(node, *other).is_some()));
    }
    println!("{took_ms} ms for {KEYS} keys at all nodes");
    // Others still come in, and are let in by anybody.
    let dave = world.add("dave");
    let line = world.connect_with(dave, carol, "correct horse");
    assert_eq!(world.finish(dave, line), Ok(()), "carol has her share");
    world.run(10_000);
    for node in honest {
        assert!(world.counts(node, dave), "{}", world.nodes[node].name);
    }
    // The founder gets rid of all of it with one record.
    let line = world.remove(alice, eve, false);
    assert_eq!(world.finish(alice, line), Ok(()), "the founder is never refused");
    world.run(30_000);
    for node in honest {
        assert_eq!(world.inspect(node).members.len(), 4, "{}", world.nodes[node].name);
        assert_eq!(world.links(eve), 0);
    }
}

#[test]
fn the_register_is_full_and_who_is_honest_can_still_act() {
    let (mut world, [alice, bob, eve, carol]) = room(2, true);
    let honest = [alice, bob, carol];
    flood(&mut world, eve, &[alice], How::Password);
    let took_ms = flood(&mut world, eve, &[bob], How::Password);
    println!("{took_ms} ms for {KEYS} keys more than there is room for");
    for node in honest {
        assert!(honest.iter().all(|other| world.counts(node, *other)));
    }
    let dave = world.add("dave");
    let line = world.connect_with(dave, carol, "correct horse");
    assert_eq!(world.finish(dave, line), Ok(()), "carol may let somebody in");
    let line = world.remove(carol, dave, false);
    assert_eq!(world.finish(carol, line), Ok(()), "carol may remove whom she let in");
    let line = world.remove(alice, eve, false);
    assert_eq!(world.finish(alice, line), Ok(()), "the founder may remove whom she likes");
    world.run(30_000);
    for node in honest {
        assert!(honest.iter().all(|other| world.counts(node, *other)));
        assert!(!world.counts(node, eve));
    }
}

#[test]
fn nodes_that_refused_different_records_agree_on_everybody_honest() {
    for (seed, how) in [(3, How::Password), (4, How::Open)] {
        let (mut world, [alice, bob, eve, carol]) = room(seed, how == How::Password);
        let honest = [alice, bob, carol];
        world.partition(&[alice], &[bob, carol]);
        world.partition(&[bob], &[carol]);
        world.run(60_000);
        for node in honest {
            flood(&mut world, eve, &[node], how);
        }
        world.heal_all();
        world.run(120_000);
        for node in honest {
            for other in honest {
                let names = [node, other].map(|n| world.nodes[n].name.clone());
                assert!(world.counts(node, other), "seed {seed}: {names:?}");
                assert!(node == other || world.link(node, other).is_some(), "{names:?}");
            }
        }
        let line = world.remove(alice, eve, false);
        assert_eq!(world.finish(alice, line), Ok(()));
        world.run(30_000);
        for node in honest {
            assert!(!world.counts(node, eve), "{}", world.nodes[node].name);
        }
        let line = world.command(alice, Command::Unlock);
        let _ = world.finish(alice, line);
    }
}
