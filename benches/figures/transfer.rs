//! A large file from one program to another, beside the floor.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::floor;
use crate::program::{Program, cpu_of_children_s};
use crate::report::{Report, median, mib};

/// Rounds in which the floor and klatch take turns.
const ROUNDS: usize = 3;
/// Bytes that are written and removed before each transfer.
const WARM_BYTES: u64 = 2 << 30;

/// The transfer of a random file over loopback, both syncing at the end.
pub(crate) fn transfer(size_mib: u64, report: &mut Report) -> Result<()> {
    let size = size_mib << 20;
    // The page cache drops clean pages on some machines; memory does not.
    let memory = Path::new("/dev/shm");
    let sources =
        if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? };
    let source = sources.path().join("source.bin");
    random_file(&source, size)?;
    let folder = tempfile::tempdir()?;
    let (mut floors, mut klatchs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut hashing, mut peaks) = (Vec::new(), Vec::new());
    let (mut floor_cpus, mut klatch_cpus) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        warm(sources.path(), size)?;
        let out = folder.path().join("floor.bin");
        let before_s = cpu_of_children_s()?;
        let floor_s = floor::transfer(&source, &out)?;
        floor_cpus.push(cpu_of_children_s()? - before_s);
        remove_checked(&out, size)?;
        warm(sources.path(), size)?;
        let klatch = klatch_transfer(&source, folder.path())?;
        remove_checked(&klatch.path, size)?;
        eprintln!("  floor {floor_s:.2} s, klatch {:.2} s", klatch.transfer_s);
        ratios.push(floor_s / klatch.transfer_s);
        floors.push(floor_s);
        klatchs.push(klatch.transfer_s);
        hashing.push(klatch.offer_s);
        peaks.push(klatch.peak_bytes);
        klatch_cpus.push(klatch.cpu_s);
    }
    let speed = |seconds: f64| format!("{:.0} MB/s", size as f64 / seconds / 1e6);
    report.note(&format!("floor, {size_mib} MiB"), speed(median(floors)));
    report.note(&format!("klatch, {size_mib} MiB"), speed(median(klatchs)));
    report.note("klatch / floor", format!("{:.2} x", median(ratios)));
    let cpu = |seconds: f64| format!("{seconds:.2} s");
    report.note("floor, CPU of both sides", cpu(median(floor_cpus)));
    report.note("klatch, CPU of both sides", cpu(median(klatch_cpus)));
    report.note("hashing before the offer", speed(median(hashing)));
    report.note("receiver's peak, resident", mib(median(peaks)));
    Ok(())
}

/// What a transfer took.
struct Took {
    offer_s: f64,
    transfer_s: f64,
    peak_bytes: f64,
    cpu_s: f64,
    path: PathBuf,
}

/// From `download` to `download_finished`, between two programs that are linked already.
fn klatch_transfer(source: &Path, folder: &Path) -> Result<Took> {
    let mut alice = Program::start(&["--name", "alice"])?;
    let address = alice.address()?;
    let downloads = folder.to_string_lossy();
    let mut bob =
        Program::start(&["--name", "bob", "--downloads", &downloads, "--connect", &address])?;
    alice.event("joined")?;
    bob.event("joined")?;
    let began = Instant::now();
    alice.tell(&format!("send {}", source.display()))?;
    let (offered, event) = bob.event("file_offered")?;
    let name = event.pointer("/file/name").and_then(|name| name.as_str());
    let cpu_before_s = alice.cpu_s()? + bob.cpu_s()?;
    let began_transfer = Instant::now();
    bob.tell(&format!("download {}", name.context("the offer has no name")?))?;
    let (finished, event) = bob.event("download_finished")?;
    let path = event.get("path").and_then(|path| path.as_str()).context("no path")?;
    Ok(Took {
        offer_s: offered.saturating_duration_since(began).as_secs_f64(),
        transfer_s: finished.saturating_duration_since(began_transfer).as_secs_f64(),
        cpu_s: alice.cpu_s()? + bob.cpu_s()? - cpu_before_s,
        peak_bytes: bob.peak_bytes()?,
        path: path.into(),
    })
}

/// Fresh random bytes: nothing on the way can compress or know them.
fn random_file(path: &Path, size: u64) -> Result<()> {
    let mut random = File::open("/dev/urandom")?;
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    std::io::copy(&mut std::io::Read::take(&mut random, size), &mut out)?;
    Ok(out.flush()?)
}

/// A virtual machine hands free memory back to its host, and the next first touch of it is slow:
/// touching some and freeing it right before a transfer makes all transfers alike. `folder` lies
/// in memory where it can, so that no disk is busy with it.
fn warm(folder: &Path, size: u64) -> Result<()> {
    let path = folder.join("warm.bin");
    let mut file = File::create(&path)?;
    let zeros = vec![0; 1 << 20];
    for _ in 0..(WARM_BYTES.min(2 * size) >> 20) {
        file.write_all(&zeros)?;
    }
    drop(file);
    Ok(fs::remove_file(path)?)
}

fn remove_checked(path: &Path, size: u64) -> Result<()> {
    let got = fs::metadata(path)?.len();
    if got != size {
        bail!("{} has {got} bytes in place of {size}", path.display());
    }
    Ok(fs::remove_file(path)?)
}
