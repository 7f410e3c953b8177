//! Other programs for the same job, beside klatch: the same file, each to a synced copy.
//!
//! Programs are looked up in the folder of `--peers` (benches/README.md says how to fill it) and on
//! the search path; missing ones are skipped. The serving side already runs when the clock starts,
//! as klatch's does.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::Options;
use crate::files::{Ballast, Source};
use crate::report::{Report, median, rate, times};
use crate::transfer::klatch_transfer;

/// No transfer takes this long unless something is wrong.
const TIMEOUT_S: &str = "120";
/// Time for a server to start listening.
const SOON: Duration = Duration::from_secs(20);

/// Another program, set up.
type Peer = Box<dyn FnMut(&Source, &Path) -> Result<f64>>;

/// Its name, how many times as fast klatch must be, its setup, and how to get it.
type Kind = (&'static str, f64, fn(&Options) -> Result<Peer>, &'static str);

const PEERS: &[Kind] = &[
    ("scp aes128-gcm", 1.5, scp, "apt-get install openssh-server openssh-client"),
    ("libtorrent", 2.3, libtorrent, "DIR/venv/bin/pip install libtorrent; --peers DIR"),
    ("magic-wormhole", 3.2, wormhole, "DIR/venv/bin/pip install magic-wormhole …; --peers DIR"),
    ("sendme", 5.0, sendme, "cargo install --locked --root DIR/cargo sendme; --peers DIR"),
];

/// Seconds that klatch and each of the others take, in turns.
pub(crate) fn peers(options: &Options, report: &mut Report) -> Result<()> {
    let source = Source::random(options.size_mib << 20)?;
    let folder = tempfile::tempdir()?;
    let mut here = Vec::new();
    for (name, goal, set_up, how) in PEERS {
        match set_up(options) {
            Ok(peer) => here.push((*name, *goal, peer, Vec::new())),
            Err(error) => {
                eprintln!("  no {name}: {error:#}");
                report.skip(&format!("klatch against {name}"), how);
            }
        }
    }
    let _warm = Ballast::load()?;
    let mut klatchs = Vec::new();
    for _ in 0..options.rounds(5) {
        rustix::fs::sync();
        let klatch_s = klatch_transfer(&source, folder.path())?.transfer_s;
        klatchs.push(klatch_s);
        eprint!("  klatch {klatch_s:.2} s");
        for (name, _, peer, took) in &mut here {
            rustix::fs::sync();
            let peer_s = peer(&source, folder.path()).with_context(|| format!("running {name}"))?;
            took.push((peer_s, peer_s / klatch_s));
            eprint!(", {name} {peer_s:.2} s");
        }
        eprintln!();
    }
    report.note("klatch, beside them", rate(source.bytes, median(klatchs)));
    for (name, goal, _, took) in here {
        let speed = median(took.iter().map(|(seconds, _)| *seconds).collect());
        report.note(name, rate(source.bytes, speed));
        let ratio = median(took.into_iter().map(|(_, ratio)| ratio).collect());
        report.at_least(&format!("klatch against {name}"), ratio, goal, times);
    }
    Ok(())
}

/// `scp` from an `sshd` of our own.
fn scp(_: &Options) -> Result<Peer> {
    let ssh = OwnSsh::start()?;
    found("scp", &[])?;
    Ok(Box::new(move |source, folder| {
        let out = folder.join("scp.bin");
        let mut command = Command::new("scp");
        command.arg("-q").args(["-P", &ssh.port.to_string()]).args(ssh.options());
        command.arg(ssh.remote(&source.path())).arg(&out);
        timed(&mut command, source, &out)
    }))
}

/// An `sshd` of our own, with throw-away keys.
pub(crate) struct OwnSsh {
    home: TempDir,
    user: String,
    /// Where it listens on loopback.
    pub(crate) port: u16,
    _server: Background,
}

impl OwnSsh {
    pub(crate) fn start() -> Result<Self> {
        let home = tempfile::tempdir()?;
        let path = |name: &str| home.path().join(name);
        let sshd = found("sshd", &["/usr/sbin", "/usr/local/sbin", "/sbin"])?;
        for key in ["host", "user"] {
            run(Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(path(key)))?;
        }
        let port = free_port()?;
        let config = [
            format!("Port {port}"),
            "ListenAddress 127.0.0.1".to_owned(),
            format!("HostKey {}", path("host").display()),
            format!("AuthorizedKeysFile {}", path("user.pub").display()),
            format!("PidFile {}", path("pid").display()),
            "PermitRootLogin prohibit-password".to_owned(),
            "StrictModes no".to_owned(),
            "UsePAM no".to_owned(),
            "Subsystem sftp internal-sftp".to_owned(),
        ];
        std::fs::write(path("config"), config.join("\n") + "\n")?;
        // sshd asks for its folder, which a system without a running sshd may lack.
        let _ = std::fs::create_dir("/run/sshd");
        let mut command = Command::new(sshd);
        let server = Background::start(command.args(["-D", "-f"]).arg(path("config")))?;
        server.listens(port)?;
        let user = Command::new("id").arg("-un").output()?.stdout;
        let user = String::from_utf8(user)?.trim().to_owned();
        Ok(Self { home, user, port, _server: server })
    }

    /// Options of `ssh` and `scp` that let them in here without a question.
    pub(crate) fn options(&self) -> Vec<String> {
        let key = self.home.path().join("user");
        let mut options = vec!["-i".to_owned(), key.display().to_string()];
        options.extend(["-c", "aes128-gcm@openssh.com"].map(str::to_owned));
        for option in ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
        {
            options.extend(["-o".to_owned(), option.to_owned()]);
        }
        options
    }

    /// A path behind it, as `scp` and `rsync` write it.
    pub(crate) fn remote(&self, path: &Path) -> String {
        format!("{}@127.0.0.1:{}", self.user, path.display())
    }
}

/// Two libtorrent clients; the seed has hashed the file already.
fn libtorrent(options: &Options) -> Result<Peer> {
    let python = venv(options, "python")?;
    run(Command::new(&python).args(["-c", "import libtorrent"]))?;
    let client = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/libtorrent_peer.py");
    Ok(Box::new(move |source, folder| {
        let torrent = folder.join("source.torrent");
        let seed = format!("127.0.0.1:{}", free_port()?);
        let mut command = Command::new(&python);
        command.args([client, "seed"]).arg(source.path()).arg(&torrent).arg(&seed);
        let mut seeding = Background::start(&mut command)?;
        seeding.says("seeding")?;
        let listen = format!("127.0.0.2:{}", free_port()?);
        let mut command = Command::new(&python);
        command.args([client, "fetch"]).arg(folder).arg(&torrent).args([&listen, &seed]);
        timed(&mut command, source, &folder.join("source.bin"))
    }))
}

/// Python's wormhole, with a mailbox and a transit relay of its own.
fn wormhole(options: &Options) -> Result<Peer> {
    let (wormhole, twist) = (venv(options, "wormhole")?, venv(options, "twist")?);
    let home = tempfile::tempdir()?;
    let (mailbox, transit) = (free_port()?, free_port()?);
    let endpoint = |port| format!("tcp:{port}:interface=127.0.0.1");
    let mut command = Command::new(&twist);
    command.args(["wormhole-mailbox", "--port", &endpoint(mailbox), "--channel-db", "mail.db"]);
    let mailboxes = Background::start(command.current_dir(home.path()))?;
    let mut command = Command::new(&twist);
    command.args(["transitrelay", "--port", &endpoint(transit)]).current_dir(home.path());
    let relaying = Background::start(&mut command)?;
    mailboxes.listens(mailbox)?;
    relaying.listens(transit)?;
    let (mailbox, transit) =
        (format!("ws://127.0.0.1:{mailbox}/v1"), format!("tcp:127.0.0.1:{transit}"));
    let mut round = 0;
    Ok(Box::new(move |source, folder| {
        let _running = (&home, &mailboxes, &relaying);
        round += 1;
        let code = format!("{round}-dry-run");
        let client = |word: &str| {
            let mut command = Command::new(&wormhole);
            command.args(["--relay-url", &mailbox, "--transit-helper", &transit]);
            command.args([word, "--hide-progress"]);
            command
        };
        // Loads the program into memory: on a warm machine its start is not part of the comparison.
        run(Command::new(&wormhole).arg("--version"))?;
        let out = folder.join("wormhole.bin");
        let mut sending = client("send");
        sending.args(["--no-qr", "--code", &code]).arg(source.path());
        let mut receiving = client("receive");
        receiving.args(["--accept-file", "-o"]).arg(&out).arg(&code);
        let began = Instant::now();
        let _sending = Background::start(&mut sending)?;
        let starting_s = began.elapsed().as_secs_f64();
        Ok(starting_s + timed(&mut receiving, source, &out)?)
    }))
}

/// iroh's sendme, without any relay.
fn sendme(options: &Options) -> Result<Peer> {
    let sendme = options.peers.as_deref().context("no --peers")?.join("cargo/bin/sendme");
    run(Command::new(&sendme).arg("--version"))?;
    Ok(Box::new(move |source, folder| {
        let homes = [TempDir::new_in(folder)?, TempDir::new_in(folder)?];
        let client = |home: &TempDir, word: &str| {
            let mut command = Command::new(&sendme);
            command.args([word, "--relay", "disabled", "--no-progress"]);
            command.current_dir(home.path());
            command
        };
        let mut sending = client(&homes[0], "send");
        sending.args(["--ticket-type", "addresses", "--magic-ipv4-addr"]);
        sending.arg(format!("127.0.0.1:{}", free_port()?)).arg(source.path());
        let mut sending = Background::start(&mut sending)?;
        let line = sending.says("sendme receive ")?;
        let ticket = line.split(' ').next_back().context("sendme gives no ticket")?;
        let mut receiving = client(&homes[1], "receive");
        receiving.arg(ticket);
        timed(&mut receiving, source, &homes[1].path().join("source.bin"))
    }))
}

/// Seconds until `command` has ended and `out` is on disk, as klatch's copy is when it says so.
fn timed(command: &mut Command, source: &Source, out: &Path) -> Result<f64> {
    let mut within = Command::new("timeout");
    within.arg(TIMEOUT_S).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        within.current_dir(folder);
    }
    let began = Instant::now();
    run(&mut within)?;
    File::open(out)?.sync_all()?;
    let seconds = began.elapsed().as_secs_f64();
    source.take_back(out)?;
    Ok(seconds)
}

/// Runs a program to its end; what it says is shown only when it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("starting {:?}", command.get_program()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{:?}: {}: {}", command.get_program(), output.status, said.trim());
    }
    Ok(())
}

/// A program in the Python environment of `--peers`.
fn venv(options: &Options, name: &str) -> Result<PathBuf> {
    let peers = options.peers.as_deref().context("no --peers")?;
    let path = peers.canonicalize()?.join("venv/bin").join(name);
    path.exists().then_some(path).with_context(|| format!("no venv/bin/{name} there"))
}

/// A program on the search path, or in one of these folders.
pub(crate) fn found(name: &str, folders: &[&str]) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::env::split_paths(&path).chain(folders.iter().map(PathBuf::from));
    let mut candidates = paths.map(|folder| folder.join(name));
    candidates.find(|path| path.is_file()).with_context(|| format!("no {name} here"))
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A program that runs until this is dropped.
struct Background {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Background {
    fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child =
            command.spawn().with_context(|| format!("starting {:?}", command.get_program()))?;
        let said = BufReader::new(child.stdout.take().context("no stdout")?);
        Ok(Self { child, said })
    }

    /// Waits for a line that contains `text`.
    fn says(&mut self, text: &str) -> Result<String> {
        let mut line = String::new();
        while self.said.read_line(&mut line)? > 0 {
            if line.contains(text) {
                return Ok(line.trim().to_owned());
            }
            line.clear();
        }
        bail!("it ended without saying {text:?}")
    }

    /// Waits until something listens on a port of loopback.
    fn listens(&self, port: u16) -> Result<()> {
        let deadline = Instant::now() + SOON;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline {
                bail!("nobody listens on port {port}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
