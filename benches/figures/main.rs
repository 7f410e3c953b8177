//! The figures that klatch promises, each measured beside its goal in one run on one machine.
//!
//! `cargo bench --bench figures -- [NAME...] [--size MIB]` measures all of them, or those named.
//! Nodes run in this process where only time is measured, and as real programs where memory, CPU
//! or start-up is. benches/README.md says what each figure means.

#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "../floor/mod.rs"]
mod floor;
mod links;
mod messages;
mod people;
mod program;
mod report;
mod start;
mod transfer;

use anyhow::{Context, Result, bail};

use report::Report;

/// The program's own heap, so that what is timed in this process costs what it costs there.
#[cfg(target_os = "linux")]
#[global_allocator]
static HEAP: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// A figure's name on the command line, and what measures it.
type Figure = (&'static str, fn(&Options, &mut Report) -> Result<()>);

const FIGURES: &[Figure] = &[
    ("start", |_, report| start::start_up(report)),
    ("idle", |_, report| links::idle(report)),
    ("links", |_, report| links::hundred(report)),
    ("message", |_, report| messages::round_trip(report)),
    ("room", |_, report| messages::receipts(report)),
    ("transfer", |options, report| transfer::transfer(options.size_mib, report)),
];

/// What the command line says.
struct Options {
    names: Vec<String>,
    /// Size of the file that is transferred.
    size_mib: u64,
}

fn main() -> Result<()> {
    let mut args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if args.first().is_some_and(|first| first == floor::WORD) {
        return floor::main(args.get(1..).unwrap_or_default());
    }
    let options = options(&mut args)?;
    let mut report = Report::begin();
    let mut failed = Vec::new();
    for (name, measure) in FIGURES {
        if options.names.is_empty() || options.names.iter().any(|wanted| wanted == name) {
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
    let mut size_mib = 1024;
    if let Some(at) = args.iter().position(|arg| arg == "--size") {
        let size = args.get(at + 1).context("--size needs a number of MiB")?;
        size_mib = size.parse().context("--size needs a number of MiB")?;
        args.drain(at..at + 2);
    }
    let known = |name: &&String| FIGURES.iter().all(|(figure, _)| figure != name);
    if let Some(unknown) = args.iter().find(known) {
        let names: Vec<_> = FIGURES.iter().map(|(name, _)| *name).collect();
        bail!("there is no figure {unknown:?}; there are {}", names.join(", "));
    }
    Ok(Options { names: std::mem::take(args), size_mib })
}
