//! One host at the other end of a long and narrow link.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::Options;
use crate::files::{Source, memory_folder};
use crate::narrow::{NarrowRelay, Way};
use crate::program::{Program, name_of};
use crate::report::{Report, median, percent, rate};

const FILE_BYTES: u64 = 256 << 20;
/// 100 Mbit/s, and a round trip of 200 ms.
const WAY: Way =
    Way { bytes_per_s: 12.5e6, delay: Duration::from_millis(100), crawls_after: u64::MAX };
/// How long raw TCP is measured.
const RAW: Duration = Duration::from_secs(3);
/// Time that the transfer gets to reach its speed.
const STARTING: Duration = Duration::from_secs(5);
/// Share of the link that it must fill from then on.
const OF_LINK: f64 = 0.90;

/// The rate once it is steady, over that of the link.
pub(crate) fn far(options: &Options, report: &mut Report) -> Result<()> {
    let raw = raw_rate()?;
    report.note("raw TCP through the same relay", rate(1, 1.0 / raw));
    let source = Source::random(FILE_BYTES)?;
    let mut rates = Vec::new();
    for _ in 0..options.rounds(3) {
        let bytes_per_s = run(&source)?;
        eprintln!("  {}", rate(1, 1.0 / bytes_per_s));
        rates.push(bytes_per_s);
    }
    let bytes_per_s = median(rates);
    report.note("200 ms away at 100 Mbit/s, after 5 s", rate(1, 1.0 / bytes_per_s));
    report.at_least("the same over the link", bytes_per_s / WAY.bytes_per_s, OF_LINK, percent);
    Ok(())
}

/// Bytes per second that come out of the relay at full speed, to check that it slows nobody down
/// more than it says.
fn raw_rate() -> Result<f64> {
    let source = TcpListener::bind("127.0.0.1:0")?;
    let relay = NarrowRelay::start(source.local_addr()?, WAY)?;
    let mut sink = TcpStream::connect(relay.addr)?;
    let (mut pushing, _) = source.accept()?;
    std::thread::spawn(move || {
        let zeros = vec![0; 1 << 20];
        while pushing.write_all(&zeros).is_ok() {}
    });
    let mut buffer = vec![0; 1 << 20];
    sink.read_exact(&mut buffer)?;
    let (began, mut bytes) = (Instant::now(), 0);
    while began.elapsed() < RAW {
        bytes += sink.read(&mut buffer)?;
    }
    Ok(bytes as f64 / began.elapsed().as_secs_f64())
}

/// Bytes per second that are fetched and verified after the start.
fn run(source: &Source) -> Result<f64> {
    let downloads = memory_folder()?;
    let mut alice = Program::start(&["--name", "alice"])?;
    let relay = NarrowRelay::start(alice.address()?.parse()?, WAY)?;
    let (address, folder) = (relay.addr.to_string(), downloads.path().to_string_lossy());
    let mut bob =
        Program::start(&["--name", "bob", "--downloads", &folder, "--connect", &address])?;
    alice.event("joined")?;
    bob.event("joined")?;
    alice.send(&source.path())?;
    let (_, name) = bob.offered()?;
    let before = relay.came_back_bytes();
    bob.tell(&format!("download {name}"))?;
    let began = Instant::now();
    let (from, event) = bob.event_that("progress after 5 s", |event| {
        name_of(event) == "download_progress" && began.elapsed() >= STARTING
    })?;
    let done = event.get("bytes_done").and_then(Value::as_u64).context("no bytes_done")?;
    let (at, path) = bob.downloaded()?;
    if relay.came_back_bytes() - before < source.bytes {
        bail!("bytes went another way than through the relay");
    }
    source.take_back(&path)?;
    let seconds = at.saturating_duration_since(from).as_secs_f64();
    Ok(source.bytes.saturating_sub(done) as f64 / seconds)
}
