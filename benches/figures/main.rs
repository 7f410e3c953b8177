//! The figures that klatch promises, each measured beside its goal in one run on one machine.
//!
//! `cargo bench --bench figures -- [NAME...] [OPTION...]` measures all of them, or those named.
//! Nodes run in this process if only time is measured, and as real programs for memory, CPU or
//! start-up. benches/README.md explains each figure.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bad_hosts;
mod chat;
mod far;
mod files;
#[path = "../floor/mod.rs"]
mod floor;
mod folders;
mod hostile;
mod kills;
mod links;
mod messages;
mod narrow;
mod netns;
mod peers;
mod people;
mod program;
#[path = "../../tests/it/common/relay.rs"]
mod relay;
mod report;
mod start;
mod swarm;
mod transfer;
mod typing;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use report::Report;

/// The program's own heap, so that timings in this process match the program.
#[cfg(target_os = "linux")]
#[global_allocator]
static HEAP: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// A figure's name on the command line, and the function that measures it.
type Figure = (&'static str, fn(&Options, &mut Report) -> Result<()>);

const FIGURES: &[Figure] = &[
    ("start", |_, report| start::start_up(report)),
    ("idle", |_, report| links::idle(report)),
    ("links", |_, report| links::hundred(report)),
    ("message", |_, report| messages::round_trip(report)),
    ("room", |_, report| messages::receipts(report)),
    ("kept", |_, report| messages::kept(report)),
    ("typing", |_, report| typing::echo(report)),
    ("transfer", transfer::transfer),
    ("peers", peers::peers),
    ("swarm4", |options, report| swarm::one_seed(4, options, report)),
    ("swarm8", |options, report| swarm::one_seed(8, options, report)),
    ("folder4", |options, report| swarm::one_folder(4, options, report)),
    ("folder8", |options, report| swarm::one_folder(8, options, report)),
    ("hosts4", swarm::four_hosts),
    ("folders", folders::folders),
    ("entries", |_, report| folders::memory(report)),
    ("far", far::far),
    ("chat", chat::chat),
    ("crawling", bad_hosts::crawling),
    ("lying", bad_hosts::lying),
    ("memory", |_, report| transfer::memory(report)),
    ("hostile", |_, report| hostile::one_hostile_member(report)),
];

/// Measured only when named, because they take long.
const LONG: &[Figure] = &[
    ("kills", |options, report| kills::kills(false, options, report)),
    ("killed", |options, report| kills::kills(true, options, report)),
];

/// What the command line says.
struct Options {
    names: Vec<String>,
    /// Size of the file that is transferred.
    size_mib: u64,
    /// How many rounds the things compared take turns; without it each figure has its own number.
    rounds: Option<usize>,
    /// The folder with the other programs.
    peers: Option<PathBuf>,
}

impl Options {
    fn rounds(&self, unless_told: usize) -> usize {
        self.rounds.unwrap_or(unless_told).max(1)
    }
}

fn main() -> Result<()> {
    let mut args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if args.first().is_some_and(|first| first == floor::WORD) {
        return floor::main(args.get(1..).unwrap_or_default());
    }
    let options = options(&mut args)?;
    let mut report = Report::begin();
    let mut failed = Vec::new();
    for (name, measure) in FIGURES.iter().chain(LONG) {
        let named = options.names.iter().any(|wanted| wanted == name);
        let usual = FIGURES.iter().any(|(figure, _)| figure == name);
        if named || (options.names.is_empty() && usual) {
            eprintln!("measuring {name} ...");
            if let Err(error) = measure(&options, &mut report) {
                eprintln!("  {name} could not be measured: {error:#}");
                failed.push(*name);
            }
        }
    }
    report.print();
    if failed.is_empty() { Ok(()) } else { bail!("not measured: {}", failed.join(", ")) }
}

fn options(args: &mut Vec<String>) -> Result<Options> {
    let size_mib = take_number(args, "--size")?.unwrap_or(1024);
    let rounds = take_number(args, "--rounds")?.map(|rounds| rounds as usize);
    let peers = take(args, "--peers")?.map(PathBuf::from);
    let peers = peers.or_else(|| std::env::var_os("PERF_DIR").map(PathBuf::from));
    let all = || FIGURES.iter().chain(LONG);
    let unknown = |name: &&String| all().all(|(figure, _)| figure != name);
    if let Some(unknown) = args.iter().find(unknown) {
        let names: Vec<_> = all().map(|(name, _)| *name).collect();
        bail!("there is no figure {unknown:?}; there are {}", names.join(", "));
    }
    Ok(Options { names: std::mem::take(args), size_mib, rounds, peers })
}

/// Takes an option and its value from the arguments.
fn take(args: &mut Vec<String>, option: &str) -> Result<Option<String>> {
    let Some(at) = args.iter().position(|arg| arg == option) else { return Ok(None) };
    args.remove(at);
    if at == args.len() {
        bail!("{option} needs a value");
    }
    Ok(Some(args.remove(at)))
}

fn take_number(args: &mut Vec<String>, option: &str) -> Result<Option<u64>> {
    let Some(value) = take(args, option)? else { return Ok(None) };
    Ok(Some(value.parse().with_context(|| format!("{option} needs a number"))?))
}
