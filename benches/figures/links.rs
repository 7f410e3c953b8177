//! What links cost while nobody talks: memory and CPU of one program.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::people::Someone;
use crate::program::Program;
use crate::report::{Report, kib, mib, ms_per_s};

/// Links whose memory is measured.
const LINKS: usize = 100;
/// Links while idle CPU is measured.
const FEW_LINKS: usize = 8;
/// Time until the memory used for starting and linking is given back.
const SETTLE: Duration = Duration::from_secs(8);
/// How long idle CPU is counted: two rounds of pings and more.
const WATCH: Duration = Duration::from_secs(20);
/// Resident memory of an idle node, in bytes.
const IDLE_BYTES: f64 = 8.0 * 1024.0 * 1024.0;
/// Resident memory of an idle link, in bytes.
const LINK_BYTES: f64 = 40.0 * 1024.0;
/// Idle CPU, in milliseconds each second.
const IDLE_CPU_MS_PER_S: f64 = 1.0;

/// An idle node, and its CPU with a few idle links.
pub(crate) fn idle(report: &mut Report) -> Result<()> {
    let hub = Program::start(&[])?;
    let addr: SocketAddr = hub.address()?.parse()?;
    std::thread::sleep(Duration::from_secs(3));
    report.at_most("idle node, resident", hub.resident_bytes()?, IDLE_BYTES, mib);
    let _others = satellites(FEW_LINKS, addr)?;
    std::thread::sleep(SETTLE);
    let (began, before) = (Instant::now(), hub.cpu()?);
    std::thread::sleep(WATCH);
    let spent = hub.cpu()?.saturating_sub(before).as_secs_f64() * 1e3;
    let rate = spent / began.elapsed().as_secs_f64();
    let figure = format!("idle CPU with {FEW_LINKS} links");
    report.at_most(&figure, rate, IDLE_CPU_MS_PER_S, ms_per_s);
    Ok(())
}

/// What a link adds to a node's memory. The first one does not count: it loads the code for the
/// handshake, once.
pub(crate) fn hundred(report: &mut Report) -> Result<()> {
    let hub = Program::start(&[])?;
    let addr: SocketAddr = hub.address()?.parse()?;
    let _first = satellites(1, addr)?;
    std::thread::sleep(SETTLE);
    let (before, threads) = (hub.resident_bytes()?, hub.threads()?);
    let _others = satellites(LINKS, addr)?;
    std::thread::sleep(SETTLE);
    let after = hub.resident_bytes()?;
    let figure = format!("one of {LINKS} idle links, resident");
    report.at_most(&figure, (after - before) / LINKS as f64, LINK_BYTES, kib);
    report.note("with them, resident in all", mib(after));
    let more = hub.threads()?.saturating_sub(threads);
    report.note("threads of a link", format!("{:.2}", more as f64 / LINKS as f64));
    Ok(())
}

fn satellites(count: usize, hub: SocketAddr) -> Result<Vec<Someone>> {
    let mut satellites = Vec::with_capacity(count);
    for number in 0..count {
        let mut satellite = Someone::satellite(&format!("satellite {number}"))?;
        satellite.connect(hub).with_context(|| format!("linking satellite {number}"))?;
        satellites.push(satellite);
    }
    Ok(satellites)
}
