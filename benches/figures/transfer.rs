//! A large file from one program to another, beside the floor: time, CPU and memory.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use ring::digest;

use crate::Options;
use crate::files::{Ballast, Source};
use crate::floor;
use crate::program::{cpu_of_children_s, pair};
use crate::report::{Report, median, mib, rate, seconds, times};

/// Sizes whose memory is compared, in bytes.
const SIZES: [u64; 2] = [1 << 30, 10 << 30];
const GIB: f64 = (1 << 30) as f64;

/// Share of the floor's speed that klatch must reach.
const OF_FLOOR: f64 = 0.85;
/// CPU of both sides, in seconds for each GiB.
const CPU_S_PER_GIB: f64 = 1.9;
/// From `send` to the offer, over one pass of SHA-256 on one thread.
const OFFER_OVER_PASS: f64 = 0.65;
/// Resident memory of either side, in bytes.
const PEAK_BYTES: f64 = 24.0 * 1024.0 * 1024.0;

/// The transfer of a random file over loopback; both sync at the end.
pub(crate) fn transfer(options: &Options, report: &mut Report) -> Result<()> {
    let source = Source::random(options.size_mib << 20)?;
    let folder = tempfile::tempdir()?;
    let _warm = Ballast::load()?;
    let (mut floors, mut klatchs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut floor_cpus, mut klatch_cpus) = (Vec::new(), Vec::new());
    let (mut passes, mut offers) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds(5) {
        rustix::fs::sync();
        let out = folder.path().join("floor.bin");
        let before_s = cpu_of_children_s()?;
        let floor_s = floor::transfer(&source.path(), &out)?;
        floor_cpus.push(cpu_of_children_s()? - before_s);
        source.take_back(&out)?;
        let pass_s = hash_once(&source.path())?;
        rustix::fs::sync();
        let klatch = klatch_transfer(&source, folder.path())?;
        eprintln!(
            "  floor {floor_s:.2} s, klatch {:.2} s; SHA-256 {pass_s:.2} s, offer {:.2} s",
            klatch.transfer_s, klatch.offer_s
        );
        ratios.push(floor_s / klatch.transfer_s);
        floors.push(floor_s);
        klatchs.push(klatch.transfer_s);
        klatch_cpus.push(klatch.cpu_s);
        offers.push(klatch.offer_s / pass_s);
        passes.push(pass_s);
    }
    let (size, gib) = (options.size_mib, source.bytes as f64 / GIB);
    report.note(&format!("floor, {size} MiB"), rate(source.bytes, median(floors)));
    report.note(&format!("klatch, {size} MiB"), rate(source.bytes, median(klatchs)));
    report.at_least("klatch / floor", median(ratios), OF_FLOOR, times);
    report.note("floor, CPU of both sides for each GiB", seconds(median(floor_cpus) / gib));
    let cpu_s = median(klatch_cpus) / gib;
    report.at_most("klatch, CPU of both sides for each GiB", cpu_s, CPU_S_PER_GIB, seconds);
    report.note("SHA-256 on one thread", rate(source.bytes, median(passes)));
    report.at_most("`send` until offered / SHA-256", median(offers), OFFER_OVER_PASS, times);
    Ok(())
}

/// Peak memory of both sides: the same for any size.
pub(crate) fn memory(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    for size in SIZES {
        let source = Source::sparse(size)?;
        let klatch = klatch_transfer(&source, folder.path())?;
        let gib = size >> 30;
        for (side, peak_bytes) in [("sender", klatch.peaks[0]), ("receiver", klatch.peaks[1])] {
            report.at_most(&format!("{side}'s peak, {gib} GiB"), peak_bytes, PEAK_BYTES, mib);
        }
    }
    Ok(())
}

/// What a transfer took.
pub(crate) struct Took {
    offer_s: f64,
    /// From `download` to the synced file.
    pub(crate) transfer_s: f64,
    /// Peak memory of the sender and of the receiver, in bytes.
    peaks: [f64; 2],
    cpu_s: f64,
}

/// From `download` to `download_finished`, between two linked programs.
pub(crate) fn klatch_transfer(source: &Source, folder: &Path) -> Result<Took> {
    let (mut alice, mut bob) = pair(folder)?;
    let asked = alice.send(&source.path())?;
    let (offered, name) = bob.offered()?;
    let cpu_before_s = alice.cpu_s()? + bob.cpu_s()?;
    let began = Instant::now();
    bob.tell(&format!("download {name}"))?;
    let (finished, path) = bob.downloaded()?;
    let took = Took {
        offer_s: offered.saturating_duration_since(asked).as_secs_f64(),
        transfer_s: finished.saturating_duration_since(began).as_secs_f64(),
        cpu_s: alice.cpu_s()? + bob.cpu_s()? - cpu_before_s,
        peaks: [alice.peak_bytes()?, bob.peak_bytes()?],
    };
    source.take_back(&path)?;
    Ok(took)
}

/// One pass of SHA-256 on this thread, in seconds.
fn hash_once(path: &Path) -> Result<f64> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 256 * 1024];
    let began = Instant::now();
    let mut hash = digest::Context::new(&digest::SHA256);
    loop {
        let count = file.read(&mut buffer)?;
        let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else { break };
        hash.update(read);
    }
    std::hint::black_box(hash.finish());
    Ok(began.elapsed().as_secs_f64())
}
