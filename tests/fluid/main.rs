//! Swarms of up to a thousand members in a fluid network, from one seed: how close the choice comes
//! to what the links allow, and what it costs.
//!
//! `cargo test` plays the small ones; `scripts/sim-swarm` prints the table of all.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::print_stdout)]

mod cases;
mod events;
mod flows;
mod host;
mod world;

use cases::{CASES, Case, Churn, Links, Played};

const MIB: u64 = 1 << 20;

#[test]
#[ignore = "takes minutes: scripts/sim-swarm"]
fn table() {
    let text = |name| std::env::var(name).ok();
    let most = text("KLATCH_FLUID_MOST").and_then(|most| most.parse().ok()).unwrap_or(1_000);
    let only = text("KLATCH_FLUID_ONLY").unwrap_or_default();
    println!("{}", Played::HEAD);
    for case in CASES {
        if case.others <= most && case.name().contains(&only) {
            println!("{}", case.play(1));
        }
    }
}

#[test]
fn four_and_eight_come_near_the_bound() {
    for others in [4, 8] {
        let case = Case { others, size: 64 * MIB, links: Links::Near, churn: Churn::None };
        let played = case.play(1);
        assert_eq!(played.unfinished, 0, "{played}");
        assert!(played.ratio <= 1.10, "{played}");
        assert!(played.seed_sent <= 1.05, "{played}");
        assert!(played.twice <= 0.02, "{played}");
    }
}
