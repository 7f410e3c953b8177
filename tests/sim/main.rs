//! The simulator: whole rooms of the pure core in a virtual world, from one seed.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::print_stdout)]

mod disk;
mod lane;
mod net;
mod people;
mod pipe;
mod trace;
mod world;

use world::World;

#[test]
fn two_nodes_chat() {
    let (mut world, [alice, bob]) = World::of(1, ["alice", "bob"]);
    world.join(alice, bob);
    world.say(alice, "hello");
    world.say(bob, "hi");
    world.run(3_000);
    assert_eq!(world.texts(alice).len(), 2);
    assert_eq!(world.texts(alice), world.texts(bob));
    assert_eq!(world.nodes[alice].view.held.len(), 1);
    assert_eq!((world.links(alice), world.links(bob)), (1, 1));
}
