//! How fast a file is over loopback: run by hand, in release mode, to compare with the floor.

use super::*;

/// Environment: `KLATCH_SPEED_FILE`, a file, best on a memory disk; `KLATCH_SPEED_TO`, a folder;
/// `KLATCH_SPEED_LANES` and `KLATCH_SPEED_RUNS`, numbers.
#[test]
#[ignore = "a measurement, not a test"]
fn a_file_over_loopback() {
    let var = |name: &str, otherwise: &str| {
        std::env::var(format!("KLATCH_SPEED_{name}")).unwrap_or_else(|_| otherwise.to_owned())
    };
    let (file, to) = (PathBuf::from(var("FILE", "/dev/shm/src.bin")), var("TO", "/tmp"));
    let lanes: usize = var("LANES", "2").parse().unwrap();
    let alice = Node::new(Limits::default());
    let offer = alice.offer(&file);
    for _ in 0..var("RUNS", "1").parse().unwrap() {
        let bob = Node::at(Limits::default(), tempfile::tempdir_in(&to).unwrap());
        let lanes: Vec<_> = (0..lanes).map(|_| lane(&alice, &bob)).collect();
        let conns: Vec<_> = lanes.iter().map(|(asks, _)| asks.conn).collect();
        let begin = Instant::now();
        let missing = bob.begin(&offer, conns[0]);
        bob.fetch_all(offer.file, &conns, &missing);
        let fetched = begin.elapsed();
        bob.finish(offer.file);
        let all = begin.elapsed();
        println!("fetched {:.3} s, in place {:.3} s", fetched.as_secs_f64(), all.as_secs_f64());
        while alice.events.try_recv().is_ok() {}
    }
}
