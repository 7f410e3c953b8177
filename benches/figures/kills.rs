//! Programs that are killed during transfers, and what that costs.
//!
//! Each kill comes at a random moment of a transfer and hits the downloader or the host, which is
//! then restarted and continues. No wrong bytes may ever be saved as the file, and nothing that was
//! on disk may be fetched again, except a chunk that a lane was bringing.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use klatch::crypto::random::random;
use serde_json::Value;

use crate::Options;
use crate::files::{Source, files_in, memory_folder};
use crate::program::{Program, SOON, program, text};
use crate::report::{Report, times};

const FILE_BYTES: u64 = 16 << 20;
/// Bytes of a chunk of that file, and of most units of a folder.
const CHUNK_BYTES: u64 = 256 << 10;
/// The downloader's limit, if the program has one: kills then hit more often.
const LIMIT: &str = "64MB/s";
/// Each lane that fetches has one thread with this name.
const FETCHING: &str = "asker";
/// How many undisturbed transfers are timed first.
const WATCHED: usize = 5;

/// 200 kills, unless `--rounds` says otherwise, while a file or a folder is fetched.
pub(crate) fn kills(folder: bool, options: &Options, report: &mut Report) -> Result<()> {
    let help = Command::new(program()).arg("--help").output()?.stdout;
    let mut soak = Soak {
        source: if folder { Source::mixed()? } else { Source::random(FILE_BYTES)? },
        limited: String::from_utf8(help)?.contains("--limit-down"),
        left: 0,
        took: Duration::ZERO,
        tally: Tally::default(),
    };
    for _ in 0..WATCHED {
        soak.download()?;
    }
    soak.left = options.rounds(200);
    while soak.left > 0 {
        soak.download()?;
    }
    let Tally { whole, downloader, host, underway, again, again_most } = soak.tally;
    report.note("kills of the downloader", downloader.to_string());
    report.note("kills of the host", host.to_string());
    report.note("kills with some chunks on disk and some not", underway.to_string());
    report.note("whole in the end, no byte wrong", whole.to_string());
    let each = again / (downloader + host).max(1) as f64;
    report.note("chunks fetched again for a kill, mean", format!("{each:.2}"));
    report.at_most("the same for each lane, at most", again_most, 1.0, times);
    Ok(())
}

struct Soak {
    source: Source,
    /// Whether the program can be limited.
    limited: bool,
    /// Kills that are still to come.
    left: usize,
    /// The longest that an undisturbed transfer took.
    took: Duration,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    whole: usize,
    downloader: usize,
    host: usize,
    underway: usize,
    /// Chunks that were fetched again.
    again: f64,
    /// The most such chunks in one download, over the number of lanes that its kills cut off.
    again_most: f64,
}

impl Soak {
    /// Fetches one file in spite of all kills, and compares it.
    fn download(&mut self) -> Result<()> {
        // In memory: a kill spares what was written, and syncing would take most of the time.
        let folder = memory_folder()?;
        let mut host = self.host(&[])?;
        let mut guest = self.guest(folder.path(), &host)?;
        let mut began = Instant::now();
        // Bytes on disk when the fetching guest began, and chunks that may come twice.
        let (mut held, mut cut_short) = (0, 0);
        loop {
            let patience = self.patience();
            let Some((at, event)) = guest.0.event_within("download_finished", patience)? else {
                self.left -= 1;
                let lanes = guest.0.threads_called(FETCHING)?.max(1);
                if random::<1>()[0] < 128 {
                    guest.0.kill()?;
                    self.tally.downloader += 1;
                    held = match self.look(folder.path())? {
                        Some(held) => held,
                        // It had finished, but was killed before it could say so.
                        None => return Ok(()),
                    };
                    cut_short = lanes;
                    guest = self.guest(folder.path(), &host)?;
                    began = Instant::now();
                } else {
                    host.0.kill()?;
                    self.tally.host += 1;
                    cut_short += lanes;
                    host = self.host(&["--connect", &guest.1])?;
                }
                continue;
            };
            if cut_short == 0 {
                self.took = self.took.max(at.saturating_duration_since(began));
            }
            let fetched = event.get("bytes_fetched").and_then(Value::as_u64);
            let fetched = fetched.context("no bytes_fetched")?;
            let again = fetched.saturating_sub(self.source.bytes - held) as f64;
            let again = again / CHUNK_BYTES as f64;
            self.tally.again += again;
            let for_each = again / cut_short.max(1) as f64;
            self.tally.again_most = self.tally.again_most.max(for_each);
            self.tally.whole += 1;
            let path = text(&event, "/path").context("a download without a path")?;
            return self.source.take_back(path.as_ref());
        }
    }

    /// The time until the next kill; for ever if none is left.
    fn patience(&self) -> Duration {
        if self.left == 0 {
            return SOON;
        }
        let part = f64::from(u32::from_be_bytes(random())) / f64::from(u32::MAX);
        self.took.mul_f64(part)
    }

    /// A program that offers the file, with its address.
    fn host(&self, options: &[&str]) -> Result<(Program, String)> {
        let mut host = Program::start(&[&["--name", "host"], options].concat())?;
        let address = host.address()?;
        if !options.is_empty() {
            host.event("joined")?;
        }
        host.run(&format!("send {}", self.source.path().display()))?;
        Ok((host, address))
    }

    /// A program that fetches it from there, with its address.
    fn guest(&self, folder: &Path, host: &(Program, String)) -> Result<(Program, String)> {
        let folder = folder.to_string_lossy();
        let mut options = vec!["--name", "guest", "--downloads", &folder, "--connect", &host.1];
        if self.limited {
            options.extend(["--limit-down", LIMIT]);
        }
        let mut guest = Program::start(&options)?;
        let address = guest.address()?;
        let (_, name) = guest.offered()?;
        guest.tell(&format!("download {name}"))?;
        guest.event("download_started")?;
        Ok((guest, address))
    }

    /// How many bytes on disk are those of whole, right chunks, or `None` if all is in place.
    fn look(&mut self, folder: &Path) -> Result<Option<u64>> {
        let mut held = 0;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !name.starts_with('.') {
                // Anything with a visible name must be right.
                self.source.take_back(&path)?;
                self.tally.whole += 1;
                return Ok(None);
            }
            if name.ends_with(".part") {
                held = right_bytes(&self.source.path(), &path)?;
            } else if name.ends_with(".folder") {
                held = 0;
                for (file, _) in files_in(&self.source.path())? {
                    held += right_bytes(&self.source.path().join(&file), &path.join(&file))?;
                }
            }
        }
        self.tally.underway += usize::from(held > 0 && held < self.source.bytes);
        Ok(Some(held))
    }
}

/// How many bytes of whole, right chunks of a file there are.
fn right_bytes(ours: &Path, theirs: &Path) -> Result<u64> {
    let ours = File::open(ours)?;
    let theirs = match File::open(theirs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        theirs => theirs?,
    };
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let (len, mut offset, mut held) = (ours.metadata()?.len(), 0, 0);
    while offset < len {
        let bytes = (len - offset).min(CHUNK_BYTES);
        left.resize(bytes as usize, 0);
        right.resize(bytes as usize, 0);
        ours.read_exact_at(&mut left, offset)?;
        let there = theirs.read_exact_at(&mut right, offset).is_ok();
        held += if there && left == right { bytes } else { 0 };
        offset += bytes;
    }
    Ok(held)
}
