//! Many that want a file, or many that have it, each on a link of its own.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::Options;
use crate::files::Source;
use crate::netns::{Link, NEEDS, Net};
use crate::program::Program;
use crate::report::{Report, median, seconds, times};

const FILE_BYTES: u64 = 64 << 20;
/// What TCP gets of a link: headers take the rest.
const GOODPUT: f64 = 0.957;
/// The last finish in a swarm, over what its links allow.
const OVER_BOUND: f64 = 1.10;
/// What the seed sends, over the length of the file.
const SEED_SENT: f64 = 1.05;
/// A download from four hosts, over what their links allow.
const OVER_FOUR: f64 = 1.03;
/// Time until everybody knows who has what.
const SETTLE: Duration = Duration::from_secs(1);

/// One host that has the file and `downloaders` that want it, 100 Mbit/s each way.
pub(crate) fn one_seed(downloaders: usize, options: &Options, report: &mut Report) -> Result<()> {
    let name = format!("1 seed + {downloaders} downloaders");
    seeded(&name, downloaders, &|| Source::random(FILE_BYTES), options, report)
}

/// The same with a folder of small and long files.
pub(crate) fn one_folder(downloaders: usize, options: &Options, report: &mut Report) -> Result<()> {
    let name = format!("a folder, 1 seed + {downloaders} downloaders");
    seeded(&name, downloaders, &Source::mixed, options, report)
}

fn seeded(
    name: &str,
    downloaders: usize,
    make: &dyn Fn() -> Result<Source>,
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    let links = vec![Link { up: 100, down: 100 }; 1 + downloaders];
    // Limits: what the seed can send, and a downloader receive; what all can send together.
    let (one, all) = (FILE_BYTES as f64 / rate(100), downloaders as f64 * FILE_BYTES as f64);
    let bound_s = one.max(all / rate(100 * (1 + downloaders as u32)));
    let Some(took) = runs(name, &links, (1, make), options, report)? else { return Ok(()) };
    report.note(&format!("{name}, last finish"), seconds(took.last_s));
    report.note(&format!("{name}, first finish"), seconds(took.first_s));
    report.at_most(&format!("{name} / bound"), took.last_s / bound_s, OVER_BOUND, times);
    report.at_most(&format!("{name}, sent by the seed"), took.seed_sent, SEED_SENT, times);
    Ok(())
}

/// Four hosts that have the file, 50 Mbit/s up, and one that wants it.
pub(crate) fn four_hosts(options: &Options, report: &mut Report) -> Result<()> {
    let name = "4 hosts, 1 downloader";
    let mut links = vec![Link { up: 50, down: 1000 }; 4];
    links.push(Link { up: 1000, down: 1000 });
    let bound_s = FILE_BYTES as f64 / rate(4 * 50);
    let make = || Source::random(FILE_BYTES);
    let Some(took) = runs(name, &links, (4, &make), options, report)? else { return Ok(()) };
    report.note(&format!("{name}, finish"), seconds(took.last_s));
    report.at_most(&format!("{name} / bound"), took.last_s / bound_s, OVER_FOUR, times);
    Ok(())
}

/// Bytes per second that TCP gets through this many Mbit/s.
fn rate(mbit: u32) -> f64 {
    f64::from(mbit) * 125_000.0 * GOODPUT
}

/// What a run took, or the medians of several.
struct Took {
    first_s: f64,
    last_s: f64,
    /// Bytes that the first host sent, over the length of the file.
    seed_sent: f64,
}

/// Medians of several runs; `None` if such a network is not possible.
fn runs(
    name: &str,
    links: &[Link],
    (hosts, make): (usize, &dyn Fn() -> Result<Source>),
    options: &Options,
    report: &mut Report,
) -> Result<Option<Took>> {
    if !Net::possible() {
        report.skip(name, NEEDS);
        return Ok(None);
    }
    let source = make()?;
    let mut all = Vec::new();
    for _ in 0..options.rounds(5) {
        let took = run(&source, links, hosts)?;
        eprintln!(
            "  first {:.2} s, last {:.2} s, the first host sent {:.3} x",
            took.first_s, took.last_s, took.seed_sent
        );
        all.push(took);
    }
    let of = |part: fn(&Took) -> f64| median(all.iter().map(part).collect());
    let (first_s, last_s) = (of(|took| took.first_s), of(|took| took.last_s));
    Ok(Some(Took { first_s, last_s, seed_sent: of(|took| took.seed_sent) }))
}

/// The first `hosts` offer the file, and all others request it at once.
fn run(source: &Source, links: &[Link], hosts: usize) -> Result<Took> {
    let net = Net::lay(links)?;
    let mut members = Vec::new();
    for host in 0..links.len() {
        members.push(Member::start(&net, host)?);
    }
    for member in &mut members {
        member.program.run(&format!("wait members {}", links.len() - 1))?;
    }
    let (having, wanting) = members.split_at_mut(hosts);
    let path = source.path();
    for member in having {
        member.program.run(&format!("send {}", path.display()))?;
    }
    let mut name = String::new();
    for member in wanting.iter() {
        for _ in 0..hosts {
            name = member.program.offered()?.1;
        }
    }
    std::thread::sleep(SETTLE);
    let before = net.sent_bytes(0)?;
    let began = Instant::now();
    for member in wanting.iter_mut() {
        member.program.tell(&format!("download {name}"))?;
    }
    let done = wanting.iter().map(|member| member.program.downloaded());
    let done = done.collect::<Result<Vec<_>>>()?;
    let sent = net.sent_bytes(0)?.saturating_sub(before);
    let mut took = Vec::new();
    for (at, path) in done {
        took.push(at.saturating_duration_since(began).as_secs_f64());
        source.take_back(&path)?;
    }
    let least = took.iter().copied().min_by(f64::total_cmp).context("nobody downloads")?;
    let most = took.iter().copied().max_by(f64::total_cmp).context("nobody downloads")?;
    Ok(Took { first_s: least, last_s: most, seed_sent: sent as f64 / source.bytes as f64 })
}

/// A klatch on a host, in one room with the klatch on the first host.
struct Member {
    program: Program,
    _downloads: TempDir,
}

impl Member {
    fn start(net: &Net, host: usize) -> Result<Self> {
        // In memory, because the network is what is measured.
        let downloads = crate::files::memory_folder()?;
        let wrapper = net.wrapper(host);
        let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        let listen = format!("{}:51692", net.addr(host));
        let (name, folder) = (format!("host {host}"), downloads.path().to_string_lossy());
        let mut options = vec!["--name", &name, "--downloads", &folder];
        let first = format!("{}:51692", net.addr(0));
        if host > 0 {
            options.extend(["--connect", &first]);
        }
        let program = Program::start_within(&wrapper, &listen, &options)?;
        program.event("listening")?;
        Ok(Self { program, _downloads: downloads })
    }
}
