//! klatch as a program: started, given commands, listened to, and measured.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Nothing here takes this long unless something is wrong.
pub(crate) const SOON: Duration = Duration::from_secs(120);
/// Events that may wait to be read.
const EVENTS: usize = 4_096;

/// A running klatch that speaks JSON. Dropping it ends it.
pub(crate) struct Program {
    child: Child,
    stdin: ChildStdin,
    events: Receiver<(Instant, Value)>,
    /// When it was started.
    pub(crate) began: Instant,
}

impl Program {
    /// Starts klatch alone on a free port of loopback, with nothing kept on disk.
    pub(crate) fn start(options: &[&str]) -> Result<Self> {
        Self::start_within(&[], "127.0.0.1:0", options)
    }

    /// The same, listening elsewhere, behind a wrapper such as `nsenter …`.
    pub(crate) fn start_within(wrapper: &[&str], listen: &str, options: &[&str]) -> Result<Self> {
        let began = Instant::now();
        let mut command = match wrapper.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program());
                command
            }
            None => Command::new(program()),
        };
        let mut child = command
            .args(["--ui", "terminal", "--json", "--ephemeral", "--stay"])
            .args(["--listen", listen])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting klatch")?;
        let stdin = child.stdin.take().context("klatch has no stdin")?;
        let stdout = child.stdout.take().context("klatch has no stdout")?;
        let (send, events) = sync_channel(EVENTS);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let at = Instant::now();
                let event = serde_json::from_str(&line).unwrap_or(Value::Null);
                if send.send((at, event)).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, stdin, events, began })
    }

    /// Gives a line of stdin.
    pub(crate) fn tell(&mut self, line: &str) -> Result<()> {
        writeln!(self.stdin, "{line}").with_context(|| format!("telling klatch {line:?}"))
    }

    /// Gives a command and waits until it succeeds.
    pub(crate) fn run(&mut self, line: &str) -> Result<()> {
        self.tell(line)?;
        let word = line.split(' ').next().unwrap_or_default();
        self.event_that(line, |event| {
            name_of(event) == "command_done" && text(event, "/command") == Some(word)
        })?;
        Ok(())
    }

    /// Waits for an event with this name; returns it and the time when it was printed.
    pub(crate) fn event(&self, name: &str) -> Result<(Instant, Value)> {
        self.event_that(name, |event| name_of(event) == name)
    }

    /// Waits for an event that is `wanted`. Any other error that klatch reports fails this, too.
    pub(crate) fn event_that(
        &self,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<(Instant, Value)> {
        let found = self.find(Instant::now() + SOON, wanted)?;
        found.with_context(|| format!("no event {what:?}"))
    }

    /// The same for an event with this name that may not come in time.
    pub(crate) fn event_within(
        &self,
        name: &str,
        within: Duration,
    ) -> Result<Option<(Instant, Value)>> {
        self.find(Instant::now() + within, |event| name_of(event) == name)
    }

    fn find(
        &self,
        deadline: Instant,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Option<(Instant, Value)>> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (at, event) = match self.events.recv_timeout(left) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => bail!("klatch ended"),
            };
            if wanted(&event) {
                return Ok(Some((at, event)));
            }
            if matches!(name_of(&event), "error" | "download_failed") {
                bail!("klatch says {event}");
            }
        }
    }

    /// `address:port` under which it listens.
    pub(crate) fn address(&self) -> Result<String> {
        let (_, event) = self.event("listening")?;
        Ok(text(&event, "/addresses/0").context("klatch names no address")?.to_owned())
    }

    /// Takes the events that nothing has waited for yet.
    pub(crate) fn catch_up(&self) -> Vec<Value> {
        self.events.try_iter().map(|(_, event)| event).collect()
    }

    /// Offers a file; returns when this was requested.
    pub(crate) fn send(&mut self, source: &Path) -> Result<Instant> {
        let began = Instant::now();
        self.tell(&format!("send {}", source.display()))?;
        Ok(began)
    }

    /// Waits for a file that somebody offers; returns the time and its name.
    pub(crate) fn offered(&self) -> Result<(Instant, String)> {
        let (at, event) = self.event("file_offered")?;
        Ok((at, text(&event, "/file/name").context("the offer has no name")?.to_owned()))
    }

    /// Waits for the end of a download; returns the time and the file's path.
    pub(crate) fn downloaded(&self) -> Result<(Instant, PathBuf)> {
        let (at, event) = self.event("download_finished")?;
        Ok((at, text(&event, "/path").context("a download without a path")?.into()))
    }

    /// Bytes of memory that are resident now.
    pub(crate) fn resident_bytes(&self) -> Result<f64> {
        self.status_bytes("VmRSS:")
    }

    /// Most bytes of memory that were ever resident.
    pub(crate) fn peak_bytes(&self) -> Result<f64> {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, field: &str) -> Result<f64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.context("no such field in /proc")?.parse::<f64>()? * 1024.0)
    }

    /// Seconds of CPU that it has used, including ended threads, to a hundredth.
    pub(crate) fn cpu_s(&self) -> Result<f64> {
        cpu_s(&format!("/proc/{}/stat", self.child.id()), OWN_TIME)
    }

    /// Time that its live threads have spent on a CPU, to the nanosecond.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut spent_ns = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let schedstat = std::fs::read_to_string(task?.path().join("schedstat"))?;
            let on_cpu = schedstat.split_whitespace().next().context("schedstat is empty")?;
            spent_ns += on_cpu.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(spent_ns))
    }

    /// Threads whose names begin so.
    pub(crate) fn threads_called(&self, name: &str) -> Result<usize> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id()))?;
        // A thread that has just ended no longer has a name.
        let names = tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("comm")));
        Ok(names.flatten().filter(|called| called.starts_with(name)).count())
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// How many threads it has.
    pub(crate) fn threads(&self) -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/task", self.child.id()))?.count())
    }
}

/// The program: the one just built, unless told otherwise.
pub(crate) fn program() -> OsString {
    let built = || env!("CARGO_BIN_EXE_klatch").into();
    std::env::var_os("KLATCH_BIN").unwrap_or_else(built)
}

/// The name of an event.
pub(crate) fn name_of(event: &Value) -> &str {
    text(event, "/event").unwrap_or_default()
}

/// A text in an event, by its JSON pointer.
pub(crate) fn text<'a>(event: &'a Value, pointer: &str) -> Option<&'a str> {
    event.pointer(pointer).and_then(Value::as_str)
}

/// Alice and bob, linked; bob's downloads go to `downloads`.
pub(crate) fn pair(downloads: &Path) -> Result<(Program, Program)> {
    let alice = Program::start(&["--name", "alice"])?;
    let (address, downloads) = (alice.address()?, downloads.to_string_lossy());
    let bob = Program::start(&["--name", "bob", "--downloads", &downloads, "--connect", &address])?;
    alice.event("joined")?;
    bob.event("joined")?;
    Ok((alice, bob))
}

/// Seconds of CPU that the ended children of this process have used.
pub(crate) fn cpu_of_children_s() -> Result<f64> {
    cpu_s("/proc/self/stat", CHILDRENS_TIME)
}

/// Fields of `/proc/PID/stat` after the program's name: user and system time (proc(5), 14 to 17).
const OWN_TIME: [usize; 2] = [11, 12];
const CHILDRENS_TIME: [usize; 2] = [13, 14];
/// Their unit, the same on every Linux.
const TICKS_PER_S: f64 = 100.0;

fn cpu_s(path: &str, fields: [usize; 2]) -> Result<f64> {
    let stat = std::fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    let (_, rest) = stat.rsplit_once(") ").context("no name in /proc")?;
    let numbers: Vec<&str> = rest.split_whitespace().collect();
    let mut ticks = 0.0;
    for field in fields {
        ticks += numbers.get(field).context("no such field in /proc")?.parse::<f64>()?;
    }
    Ok(ticks / TICKS_PER_S)
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
