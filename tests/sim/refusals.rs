//! Nodes that refuse different entries: no messages are lost, and all order them the same way.

use klatch::limits::Limits;
use klatch::router::notice::Notice;

use crate::world::World;

/// Limits of a node that takes about 60 long texts from one member.
fn small() -> Limits {
    Limits { log_bytes: 1024 * 1024, ..Limits::default() }
}

fn honest(world: &World, node: usize) -> Vec<String> {
    let mut texts = world.texts(node);
    texts.retain(|text| !text.starts_with('x'));
    texts
}

#[test]
fn nodes_that_refused_different_entries_show_all_honest_texts_in_one_order() {
    for seed in 0..5 {
        let mut world = World::new(seed);
        world.strict = false; // What was refused is shown nowhere.
        let bob = world.add("bob");
        world.limits = small();
        let alice = world.add("alice");
        world.limits = Limits { log_bytes: 2 * 1024 * 1024, ..small() };
        let dave = world.add("dave");
        world.limits = Limits::default();
        let [carol, eve] = ["carol", "eve"].map(|name| world.add(name));
        for node in [alice, dave, carol, eve] {
            world.join(node, bob);
        }
        world.run(5_000);
        let long = "x".repeat(7_000);
        for number in 0..200 {
            world.say(eve, &format!("{long}{number}"));
            // All reply to what they see, of which alice and dave see less.
            let node = [alice, bob, carol, dave][number % 4];
            world.say(node, &format!("honest {number}"));
            world.run(200);
        }
        world.run(60_000);
        let flood = |world: &World, node: usize| {
            world.texts(node).iter().filter(|text| text.starts_with('x')).count()
        };
        assert_eq!((flood(&world, bob), flood(&world, carol)), (200, 200));
        assert!(flood(&world, alice) < flood(&world, dave) && flood(&world, dave) < 200);
        let texts = honest(&world, bob);
        assert_eq!(texts.len(), 200, "seed {seed}");
        for node in [alice, carol, dave] {
            assert_eq!(honest(&world, node), texts, "seed {seed}");
            world.check_held(node);
        }
        // Eve reads who refused her.
        let refused = |notice: &Notice| match notice {
            Notice::Held { refused_by, .. } => refused_by.len() == 2,
            _ => false,
        };
        assert!(world.count(eve, refused) > 0, "seed {seed}");
        // A newcomer gets all of it from those who have it, no matter who admits it.
        let frank = world.add("frank");
        world.join(frank, alice);
        world.run(60_000);
        assert_eq!(honest(&world, frank), texts, "seed {seed}");
        assert_eq!(world.overflows, 0);
    }
}
