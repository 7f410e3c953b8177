//! Whole folders, beside what people use for them today.
//!
//! Everything takes turns over loopback, near and 20 ms away, and is timed until the copy is on
//! disk. klatch's host has made its offer, and the others' servers run, when the clock starts.

use std::fs;
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::Options;
use crate::files::{Source, files_in, random_files};
use crate::narrow::{NarrowRelay, Way};
use crate::peers::{OwnSsh, found, run};
use crate::program::Program;
use crate::report::{Report, median, mib, times};

/// Small files of a second, near and 20 ms away.
const NEAR_FILES_PER_S: f64 = 1_000.0;
const AWAY_FILES_PER_S: f64 = 500.0;
/// Share of the speed of `tar | tar`, which neither encrypts nor verifies nor goes on later.
const OF_TAR: f64 = 0.5;
/// How many times as fast as `scp -r` and `rsync -a`.
const OF_OTHERS: f64 = 1.0;
/// A round trip of 20 ms; nothing else is narrow.
const AWAY: Way =
    Way { bytes_per_s: 1e9, delay: Duration::from_millis(10), crawls_after: u64::MAX };
/// Files of the folder whose memory is measured, and the peak of either side, in bytes.
const MANY: usize = 100_000;
const PEAK_BYTES: f64 = 64.0 * 1024.0 * 1024.0;
/// Seconds after which a program is stopped and counts as having taken so long.
const PATIENCE_S: u32 = 60;
/// How `timeout` ends when it stops a program.
const STOPPED: i32 = 124;
/// The others, in the order of their columns.
const OTHERS: [&str; 3] = ["tar | tar", "scp -r", "rsync -a"];

/// A folder to send.
struct Tree {
    source: Source,
    name: &'static str,
    files: usize,
    /// Whether its files are so small that their number is what counts.
    small: bool,
}

impl Tree {
    /// Random files of one size.
    fn of(name: &'static str, files: usize, bytes: usize) -> Result<Self> {
        let source = Source::folder(|top| random_files(top, files, bytes))?;
        Ok(Self { source, name, files, small: bytes <= 4_096 })
    }

    /// This project with what was built of it: all that lies beside this program.
    fn project() -> Result<Self> {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let source = Source::folder(|top| {
            for name in ["src", "tests", "benches", "frontend", "docs"] {
                run(Command::new("cp").arg("-r").arg(project.join(name)).arg(top))?;
            }
            let built = std::env::current_exe()?;
            let built = built.parent().context("this program lies nowhere")?;
            run(Command::new("cp").arg("-r").arg(built).arg(top.join("built")))?;
            // A folder is sent without links.
            run(Command::new("find").arg(top).args(["-type", "l", "-delete"]))
        })?;
        let files = files_in(&source.path())?.len();
        Ok(Self { source, name: "this project, built", files, small: false })
    }
}

/// Seconds that klatch and the others take for four kinds of folder.
pub(crate) fn folders(options: &Options, report: &mut Report) -> Result<()> {
    let others = Others::new();
    let make: [fn() -> Result<Tree>; 4] = [
        || Tree::of("2,000 files of 4 KiB", 2_000, 4_096),
        || Tree::of("20,000 files of 4 KiB", 20_000, 4_096),
        Tree::project,
        || Tree::of("100 files of 5 MB", 100, 5_000_000),
    ];
    for make in make {
        let tree = make()?;
        for (away, place) in [(false, "near"), (true, "20 ms away")] {
            let (mut klatchs, mut ratios) = (Vec::new(), OTHERS.map(|_| Vec::new()));
            for _ in 0..options.rounds(3) {
                let klatch_s = klatch(&tree, away)?;
                klatchs.push(klatch_s);
                eprint!("  {}, {place}: klatch {klatch_s:.2} s", tree.name);
                for (name, ratios) in OTHERS.iter().zip(&mut ratios) {
                    if let Some(took_s) = others.run(name, &tree, away)? {
                        eprint!(", {name} {took_s:.2} s");
                        ratios.push(took_s / klatch_s);
                    }
                }
                eprintln!();
            }
            let what = format!("{}, {place}", tree.name);
            let per_s = tree.files as f64 / median(klatchs);
            let shown = |per_s: f64| format!("{per_s:.0} files/s");
            match (tree.small, away) {
                (true, false) => report.at_least(&what, per_s, NEAR_FILES_PER_S, shown),
                (true, true) => report.at_least(&what, per_s, AWAY_FILES_PER_S, shown),
                (false, _) => report.note(&what, shown(per_s)),
            }
            for (name, ratios) in OTHERS.iter().zip(ratios) {
                let goal = if *name == "tar | tar" { OF_TAR } else { OF_OTHERS };
                let row = format!("  the same, against {name}");
                if ratios.is_empty() {
                    report.skip(&row, "apt-get install openssh-server openssh-client rsync tar");
                } else {
                    report.at_least(&row, median(ratios), goal, times);
                }
            }
        }
    }
    Ok(())
}

/// Peak memory of both sides with very many files.
pub(crate) fn memory(report: &mut Report) -> Result<()> {
    let tree = Tree::of("100,000 files of 100 bytes", MANY, 100)?;
    let downloads = tempfile::tempdir()?;
    let (alice, bob, took_s) = fetched(&tree, false, downloads.path())?;
    report.note("100,000 files of 100 bytes", format!("{:.0} files/s", MANY as f64 / took_s));
    for (side, program) in [("sender", &alice), ("receiver", &bob)] {
        report.at_most(&format!("  {side}'s peak"), program.peak_bytes()?, PEAK_BYTES, mib);
    }
    Ok(())
}

/// Seconds from `download` to `download_finished`.
fn klatch(tree: &Tree, away: bool) -> Result<f64> {
    let downloads = tempfile::tempdir()?;
    Ok(fetched(tree, away, downloads.path())?.2)
}

/// Alice has sent the folder to bob, and so long it took.
fn fetched(tree: &Tree, away: bool, downloads: &Path) -> Result<(Program, Program, f64)> {
    let mut alice = Program::start(&["--name", "alice"])?;
    let address = relayed(alice.address()?.parse()?, away)?.to_string();
    let folder = downloads.to_string_lossy();
    let bob = ["--name", "bob", "--downloads", &folder, "--connect", &address];
    let mut bob = Program::start(&bob)?;
    alice.event("joined")?;
    bob.event("joined")?;
    alice.send(&tree.source.path())?;
    let (_, name) = bob.offered()?;
    rustix::fs::sync();
    let began = Instant::now();
    bob.tell(&format!("download {name}"))?;
    let (finished, path) = bob.downloaded()?;
    tree.source.take_back(&path)?;
    Ok((alice, bob, finished.saturating_duration_since(began).as_secs_f64()))
}

/// The address, or that of a relay before it.
fn relayed(address: SocketAddr, away: bool) -> Result<SocketAddr> {
    Ok(if away { NarrowRelay::start(address, AWAY)?.addr } else { address })
}

/// The other programs, as far as they are here.
struct Others {
    ssh: Option<OwnSsh>,
    rsync: bool,
}

impl Others {
    fn new() -> Self {
        let ssh = OwnSsh::start().map_err(|error| eprintln!("  no sshd: {error:#}")).ok();
        Self { ssh, rsync: found("rsync", &[]).is_ok() }
    }

    /// Seconds until the copy is on disk; `None` where the program is missing.
    fn run(&self, name: &str, tree: &Tree, away: bool) -> Result<Option<f64>> {
        let folder = tempfile::tempdir()?;
        let out = folder.path().join("tree");
        let ssh = match (&self.ssh, name) {
            (_, "tar | tar") => None,
            (Some(ssh), _) if name != "rsync -a" || self.rsync => Some(ssh),
            _ => return Ok(None),
        };
        let listening = ssh.map(|ssh| SocketAddr::from(([127, 0, 0, 1], ssh.port)));
        let port = listening.map(|at| relayed(at, away)).transpose()?.map(|at| at.port());
        let port = port.unwrap_or_default().to_string();
        rustix::fs::sync();
        let began = Instant::now();
        let mut command = Command::new("timeout");
        command.arg(PATIENCE_S.to_string());
        match (ssh, name) {
            (Some(ssh), "scp -r") => {
                command.args(["scp", "-q", "-r", "-P", &port]).args(ssh.options());
                command.arg(ssh.remote(&tree.source.path())).arg(&out);
            }
            (Some(ssh), _) => {
                let shell = format!("ssh -p {port} {}", ssh.options().join(" "));
                command.args(["rsync", "-a", "-e", &shell]);
                command.arg(ssh.remote(&tree.source.path()) + "/").arg(&out);
            }
            (None, _) => tar(&tree.source.path(), &out, away)?,
        }
        if ssh.is_some() {
            let status = command.stdin(Stdio::null()).status().context("starting timeout")?;
            if status.code() == Some(STOPPED) {
                return Ok(Some(PATIENCE_S.into()));
            }
            if !status.success() {
                bail!("{name}: {status}");
            }
        }
        rustix::fs::syncfs(fs::File::open(folder.path())?)?;
        let took_s = began.elapsed().as_secs_f64();
        tree.source.take_back(&out)?;
        Ok(Some(took_s))
    }
}

/// `tar` writes into a connection, and another one reads from it.
fn tar(from: &Path, out: &Path, away: bool) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = relayed(listener.local_addr()?, away)?;
    fs::create_dir(out)?;
    let mut packing = Command::new("tar");
    packing.arg("-C").arg(from).args(["-cf", "-", "."]).stdout(Stdio::piped());
    let mut packing = packing.spawn().context("starting tar")?;
    let mut unpacking = Command::new("tar");
    unpacking.arg("-C").arg(out).args(["-xf", "-"]).stdin(Stdio::piped());
    let mut unpacking = unpacking.spawn().context("starting tar")?;
    let mut packed = packing.stdout.take().context("tar has no stdout")?;
    let mut into = unpacking.stdin.take().context("tar has no stdin")?;
    let sending = std::thread::spawn(move || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        std::io::copy(&mut packed, &mut stream)?;
        stream.shutdown(Shutdown::Write)
    });
    let (mut stream, _) = listener.accept()?;
    std::io::copy(&mut stream, &mut into)?;
    into.flush()?;
    drop(into);
    if !unpacking.wait()?.success() || !packing.wait()?.success() {
        bail!("tar failed");
    }
    sending.join().map_err(|_| anyhow::anyhow!("the sending thread failed"))??;
    Ok(())
}
