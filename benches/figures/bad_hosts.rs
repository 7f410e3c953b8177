//! Useless hosts: what they cost those who ask them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use data_encoding::HEXLOWER;
use klatch::router::ids::FileId;
use serde_json::Value;

use crate::Options;
use crate::files::{Source, memory_folder};
use crate::hostile::liar::lie;
use crate::narrow::{NarrowRelay, Way};
use crate::program::{Program, text};
use crate::report::{Report, median, seconds, times};

const FILE_BYTES: u64 = 64 << 20;
/// The link to a good host: 100 Mbit/s, and near.
const GOOD: Way = Way { bytes_per_s: 12.5e6, delay: Duration::ZERO, crawls_after: u64::MAX };
/// The link to a bad one: enough for a session and its offers, and then a byte per second.
const CRAWLING: Way = Way { crawls_after: 96 * 1024, ..GOOD };
/// Bad hosts beside the good one.
const BAD: usize = 3;
/// With all but one host at a byte per second: the time, over that of the good one alone.
const CRAWLING_OVER_ALONE: f64 = 2.0;
/// With hosts that lie: the time, over that without them.
const LYING_OVER_ALONE: f64 = 1.5;

/// What is wrong with the bad hosts.
#[derive(Clone, Copy)]
enum Bad {
    /// They have the file and send a byte of it per second.
    Crawl,
    /// They say that they have it, and refuse every chunk.
    Lie,
}

/// All hosts but one at a byte per second.
pub(crate) fn crawling(options: &Options, report: &mut Report) -> Result<()> {
    compare(Bad::Crawl, "at 1 byte/s", CRAWLING_OVER_ALONE, options, report)
}

/// All hosts but one claim chunks that they do not have.
pub(crate) fn lying(options: &Options, report: &mut Report) -> Result<()> {
    compare(Bad::Lie, "that lie", LYING_OVER_ALONE, options, report)
}

/// A good host alone, and the same beside bad ones, in turns.
fn compare(
    what: Bad,
    how: &str,
    over_alone: f64,
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    let source = Source::random(FILE_BYTES)?;
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds(3) {
        let (first, second) = (run(&source, what, 0)?, run(&source, what, BAD)?);
        eprintln!("  alone {first:.2} s, beside {BAD} hosts {how} {second:.2} s");
        alone.push(first);
        together.push(second);
    }
    let (alone, together) = (median(alone), median(together));
    report.note("64 MiB from a host at 100 Mbit/s", seconds(alone));
    let figure = format!("beside {BAD} hosts {how}");
    report.note(&figure, seconds(together));
    report.at_most(&format!("{figure} / alone"), together / alone, over_alone, times);
    Ok(())
}

/// Seconds that a download takes from a good host and `bad` bad ones.
fn run(source: &Source, what: Bad, bad: usize) -> Result<f64> {
    let downloads = memory_folder()?;
    let folder = downloads.path().to_string_lossy();
    let mut bob = Program::start(&["--name", "bob", "--downloads", &folder])?;
    let addr = bob.address()?.parse()?;
    let (mut hosts, mut ways) = (Vec::new(), vec![GOOD]);
    if let Bad::Crawl = what {
        ways.extend(std::iter::repeat_n(CRAWLING, bad));
    }
    for way in ways {
        let host = Program::start(&["--name", "host"])?;
        let relay = NarrowRelay::start(host.address()?.parse()?, way)?;
        // Done before bob knows anybody else, so that the link goes through the relay.
        bob.run(&format!("connect {}", relay.addr))?;
        hosts.push((host, relay));
    }
    let others = hosts.len();
    for (host, _) in &mut hosts {
        host.run(&format!("wait members {others}"))?;
        host.run(&format!("send {}", source.path().display()))?;
    }
    let mut file = Value::Null;
    for _ in 0..others {
        file = bob.event("file_offered")?.1;
    }
    if let Bad::Lie = what {
        let id = text(&file, "/file/id").context("an offer without an id")?;
        let id = HEXLOWER.decode(id.as_bytes())?.try_into();
        let id = FileId(id.ok().context("an id of another length")?);
        (0..bad).try_for_each(|_| lie(addr, id))?;
    }
    let began = Instant::now();
    bob.tell(&format!("download {}", text(&file, "/file/name").context("no name")?))?;
    let (at, path) = bob.downloaded()?;
    let fetched: u64 = hosts.iter().map(|(_, relay)| relay.came_back_bytes()).sum();
    if fetched < source.bytes {
        bail!("bytes went another way than through the relays");
    }
    source.take_back(&path)?;
    Ok(at.saturating_duration_since(began).as_secs_f64())
}
