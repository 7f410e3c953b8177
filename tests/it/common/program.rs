//! A `klatch` process with pipes.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// No test waits longer than this for anything that it expects.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// How many lines a failing test shows at most, of all its programs together.
const SHOWN_LINES: usize = 90;
/// How many of each program's last lines are shown, and how many characters of each line.
const LAST_LINES: usize = 40;
const LINE_CHARS: usize = 500;

thread_local! {
    static STILL_SHOWN: Cell<usize> = const { Cell::new(SHOWN_LINES) };
}

/// Shows the last lines of a program, unless this test has shown too much already.
pub(crate) fn show_last(title: &str, lines: &[&str]) {
    let left = STILL_SHOWN.get();
    let most = left.saturating_sub(1).min(LAST_LINES);
    let hidden = lines.len().saturating_sub(most);
    if left > 0 {
        eprintln!("== {title}, without the first {hidden} lines");
        for line in &lines[hidden..] {
            eprintln!("{}", line.chars().take(LINE_CHARS).collect::<String>());
        }
        STILL_SHOWN.set(left - 1 - (lines.len() - hidden));
    }
}

/// A running `klatch`; dropping kills it, and shows the end of its output if the test failed.
pub(crate) struct Program {
    /// Shown in failures.
    pub(crate) name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    out: Receiver<String>,
    /// Every line of stdout so far, without its line feed.
    pub(crate) lines: Vec<String>,
    errors: Option<JoinHandle<String>>,
    /// All of stderr, once the program has ended.
    pub(crate) stderr: String,
    ended: Option<ExitStatus>,
}

/// A wrapper that makes hangups count even where the tests were started with them ignored, as under
/// `nohup`; only Linux shows whether they are.
pub(crate) fn with_hangups() -> &'static [&'static str] {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let odd = ['1', '3', '5', '7', '9', 'b', 'd', 'f'];
    match mask.is_some_and(|mask| mask.trim_end().ends_with(odd)) {
        true => &["env", "--default-signal=HUP"],
        false => &[],
    }
}

impl Program {
    /// The program without anything of this machine's environment that it looks at: no variables,
    /// and no hangups ignored because they are for the tests.
    pub(crate) fn command() -> Command {
        let words = [with_hangups(), &[env!("CARGO_BIN_EXE_klatch")]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        for variable in ["KLATCH_DATA_DIR", "NO_COLOR"] {
            command.env_remove(variable);
        }
        command.env("USER", "nobody").env("TZ", "UTC");
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(name: &str, args: impl IntoIterator<Item = S>) -> Self {
        Self::spawn(name, Self::command().args(args))
    }

    pub(crate) fn spawn(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("klatch starts");
        let (send, out) = channel();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut line = Vec::new();
            while stdout.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
                let text = String::from_utf8(std::mem::take(&mut line)).expect("stdout is UTF-8");
                let text = text.strip_suffix('\n').expect("every line ends").to_owned();
                if send.send(text).is_err() {
                    return;
                }
            }
        });
        let mut stderr = child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8(text).expect("stderr is UTF-8")
        });
        Self {
            name: name.to_owned(),
            stdin: child.stdin.take(),
            child,
            out,
            lines: Vec::new(),
            errors: Some(errors),
            stderr: String::new(),
            ended: None,
        }
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, line: &str) {
        self.type_bytes(format!("{line}\n").as_bytes());
    }

    pub(crate) fn type_bytes(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        stdin.write_all(bytes).expect("klatch reads its stdin");
    }

    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// The next line of stdout; `None` when there will be no more.
    pub(crate) fn next_line(&mut self, waiting_for: &str, deadline: Instant) -> Option<&str> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.out.recv_timeout(left) {
            Ok(line) => self.lines.push(line),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("{}: nothing more in time, and no {waiting_for}", self.name)
            }
        }
        self.lines.last().map(String::as_str)
    }

    /// Waits for a line of stdout that contains `part`, printed before or not, and returns it.
    pub(crate) fn expect_line(&mut self, part: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        if let Some(line) = self.lines.iter().find(|line| line.contains(part)) {
            return line.clone();
        }
        loop {
            match self.next_line(part, deadline) {
                Some(line) if line.contains(part) => return line.to_owned(),
                Some(_) => {}
                None => panic!("{} ended without \"{part}\"", self.name),
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        assert!(self.ended.is_none(), "{} has ended", self.name);
        kill_process(Pid::from_child(&self.child), signal).expect("the process is there");
    }

    /// Closes stdin, reads the rest of stdout and stderr, and returns the exit code.
    pub(crate) fn end(&mut self) -> i32 {
        self.close_stdin();
        let deadline = Instant::now() + DEADLINE;
        while self.next_line("end", deadline).is_some() {}
        if let Some(errors) = self.errors.take() {
            self.stderr = errors.join().expect("stderr is UTF-8");
        }
        let status = self.child.wait().expect("klatch ends");
        self.ended = Some(status);
        // Killed by a signal, it has no code.
        status.code().unwrap_or(-1)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.ended.is_none() {
            // It may have ended by itself.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            while let Ok(line) = self.out.recv_timeout(Duration::from_secs(1)) {
                self.lines.push(line);
            }
            if let Some(errors) = self.errors.take() {
                self.stderr = errors.join().unwrap_or_default();
            }
            let Self { name, lines, stderr, .. } = self;
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            show_last(&format!("stdout of {name}"), &lines);
            show_last(&format!("stderr of {name}"), &stderr.lines().collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_failing_test_shows_its_last_lines_and_no_flood() {
    // On a thread of its own, so that what other tests may show is not used up.
    let flooded = std::thread::spawn(|| {
        let flood: Vec<_> = std::iter::repeat_n("a line", 150_000).collect();
        for _ in 0..6 {
            show_last("a flood", &flood);
        }
        STILL_SHOWN.get()
    });
    assert_eq!(flooded.join().unwrap(), 0);
}
