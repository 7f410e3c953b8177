//! The simulator: whole rooms of the pure core in a virtual world, from one seed.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::print_stdout)]

mod checks;
mod crossing;
mod disk;
mod effects;
mod faces;
mod faults;
mod floods;
mod folders;
mod handshake;
mod hostile;
mod keeping;
mod lane;
mod links;
mod locks;
mod logs;
mod net;
mod offers;
mod oracle;
mod people;
mod pipe;
mod refusals;
mod returns;
mod scenario;
mod secrets;
mod settle;
mod shares;

mod swarms;
mod trace;
mod truth;
mod weather;
mod world;

/// Seeds that `cargo test` plays.
const SEEDS: u64 = 300;

#[test]
fn seeds_hold() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("KLATCH_SIM_SEED") {
        scenario::play(seed, std::env::var_os("KLATCH_SIM_QUIET").is_none());
        return;
    }
    let first = number("KLATCH_SIM_FIRST").unwrap_or(1);
    let count = number("KLATCH_SIM_SEEDS").unwrap_or(SEEDS);
    let began = std::time::Instant::now();
    let (mut failing, mut events) = (Vec::new(), 0);
    // The failures are printed at the end, together.
    std::panic::set_hook(Box::new(|_| {}));
    for seed in first..first + count {
        match std::panic::catch_unwind(|| scenario::play(seed, false)) {
            Ok((_, handled)) => events += handled,
            Err(why) => failing.push((seed, text_of(&*why))),
        }
    }
    let _ = std::panic::take_hook();
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{count} seeds, {events} events in {seconds:.1} s: {:.1} seeds/s",
        count as f64 / seconds
    );
    for (seed, why) in &failing {
        println!("seed {seed}: {why}\n    replay: KLATCH_SIM_SEED={seed} scripts/sim");
    }
    assert!(failing.is_empty(), "{} of {count} seeds fail", failing.len());
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 1..=5 {
        assert_eq!(scenario::play(seed, false), scenario::play(seed, false), "seed {seed}");
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}
