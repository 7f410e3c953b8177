//! How messages fare while a file takes all it can of the same link.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use klatch::router::notice::Notice;

use crate::Options;
use crate::files::{Ballast, Source};
use crate::people::Someone;
use crate::report::{Report, Times, ms};

/// Pause between two messages of alice's.
const PAUSE: Duration = Duration::from_millis(5);
/// Messages before a transfer. Together with those during it they are fewer than a node's burst.
const QUIET: usize = 100;
/// The length of a text: a long sentence.
const TEXT_BYTES: usize = 100;
/// Members that only listen.
const IDLE: usize = 2;
/// Round trip, in microseconds.
const ROUND_TRIP_US: f64 = 10_000.0;

/// Alice and bob talk while bob fetches from alice; two others are in the room.
pub(crate) fn chat(options: &Options, report: &mut Report) -> Result<()> {
    let source = Source::random(options.size_mib << 20)?;
    let _warm = Ballast::load()?;
    let (mut idle, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds(5) {
        let (quiet, loaded) = talk(&source)?;
        let slowest = |times: &[Duration]| ms(Times::new(times.to_vec()).percentile_us(100));
        eprintln!("  slowest {} before and {} during", slowest(&quiet), slowest(&loaded));
        idle.extend(quiet);
        busy.extend(loaded);
    }
    let (count, idle, busy) = (busy.len(), Times::new(idle), Times::new(busy));
    report.note("message round trip in a room of 4, p50", ms(idle.percentile_us(50)));
    report.note("the same, p99", ms(idle.percentile_us(99)));
    report.note("the same during a transfer, p50", ms(busy.percentile_us(50)));
    let figure = format!("the same during a transfer, p99 of {count}");
    report.at_most(&figure, busy.percentile_us(99), ROUND_TRIP_US, ms);
    Ok(())
}

/// Round trips before and during a transfer.
fn talk(source: &Source) -> Result<(Vec<Duration>, Vec<Duration>)> {
    let folder = tempfile::tempdir()?;
    let (mut alice, mut bob) = (Someone::new("alice")?, Someone::saving_to("bob", folder.path())?);
    bob.connect(alice.addr())?;
    let mut others = Vec::new();
    for number in 0..IDLE {
        let mut other = Someone::new(&format!("listener {number}"))?;
        other.connect(alice.addr())?;
        others.push(other);
    }
    for member in others.iter_mut().chain([&mut alice, &mut bob]) {
        member.wait_members(1 + IDLE)?;
    }
    alice.send(&source.path())?;
    bob.hears(|notice| matches!(notice, Notice::FileOffered { .. }))?;
    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..QUIET {
        quiet.extend(round_trip(&mut alice, &mut bob)?.ok());
    }
    bob.download("source.bin")?;
    bob.hears(|notice| matches!(notice, Notice::DownloadStarted { .. }))?;
    let path = loop {
        match round_trip(&mut alice, &mut bob)? {
            Ok(took) => busy.push(took),
            Err(path) => break path,
        }
    };
    source.take_back(&path)?;
    Ok((quiet, busy))
}

/// Alice says something, bob answers, alice hears it. If bob's download ended meanwhile: the path
/// of the file instead.
fn round_trip(alice: &mut Someone, bob: &mut Someone) -> Result<Result<Duration, PathBuf>> {
    std::thread::sleep(PAUSE);
    let said = "x".repeat(TEXT_BYTES);
    let began = Instant::now();
    alice.say(&said)?;
    let heard = bob.hears(|notice| {
        matches!(notice, Notice::Message { own: false, .. } | Notice::DownloadFinished { .. })
    })?;
    if let Notice::DownloadFinished { path, .. } = &*heard {
        return Ok(Err(path.clone()));
    }
    bob.say(&said)?;
    alice.hears_message()?;
    Ok(Ok(began.elapsed()))
}
