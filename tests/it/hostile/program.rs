//! The program itself as the victim: every byte that it prints is recorded.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, bounded};
use tempfile::TempDir;

#[cfg(target_os = "linux")]
use super::eve::wait_until;
use super::host::SOON;

pub(super) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Vec<u8>>,
    /// Everything read from stdout so far.
    pub(super) stdout: Vec<u8>,
    errors: Option<JoinHandle<Vec<u8>>>,
    pub(super) addr: SocketAddr,
    _home: TempDir,
}

impl Program {
    pub(super) fn start(name: &str, json: bool) -> Self {
        let command = Command::new(env!("CARGO_BIN_EXE_klatch"));
        Self::start_as(command, name, json)
    }

    /// Starts it through a command that accepts klatch's options.
    pub(super) fn start_as(mut command: Command, name: &str, json: bool) -> Self {
        let home = tempfile::tempdir().unwrap();
        command.args([
            "--ui",
            "terminal",
            "--ephemeral",
            "--listen",
            "127.0.0.1:0",
            "--name",
            name,
        ]);
        command.args(json.then_some("--json")).arg("--downloads").arg(home.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("HOME", home.path()).current_dir(home.path());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = bounded(100_000);
        std::thread::spawn(move || {
            let mut line = Vec::new();
            while out.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                if tell.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        });
        let mut err = child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut all = Vec::new();
            err.read_to_end(&mut all).unwrap();
            all
        });
        let stdin = child.stdin.take();
        let addr = "127.0.0.1:0".parse().unwrap();
        let errors = Some(errors);
        let mut program =
            Self { child, stdin, lines, stdout: Vec::new(), errors, addr, _home: home };
        let port = program.reads("its port", |line| {
            let digits = |rest: &str| {
                let digits = rest.chars().take_while(char::is_ascii_digit).collect::<String>();
                digits.parse::<u16>().ok()
            };
            let people = line.split_once("connect 127.0.0.1 ");
            people.or(line.split_once("\"127.0.0.1:")).and_then(|(_, rest)| digits(rest))
        });
        program.addr.set_port(port);
        program
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn types(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// The first line printed from now on from which `pick` gets something.
    pub(super) fn reads<T>(&mut self, what: &str, pick: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + SOON;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("never read: {what}; {}", String::from_utf8_lossy(&self.stdout));
            };
            self.stdout.extend_from_slice(&line);
            if let Some(picked) = pick(&String::from_utf8_lossy(&line)) {
                return picked;
            }
        }
    }

    pub(super) fn reads_text(&mut self, wanted: &str) {
        self.reads(wanted, |line| line.contains(wanted).then_some(()));
    }

    /// Ends it; returns its status, all of stdout and all of stderr.
    pub(super) fn quit(mut self) -> (ExitStatus, Vec<u8>, Vec<u8>) {
        self.types("quit");
        drop(self.stdin.take());
        while let Ok(line) = self.lines.recv_timeout(SOON) {
            self.stdout.extend_from_slice(&line);
        }
        let status = self.child.wait().unwrap();
        let errors = self.errors.take().unwrap().join().unwrap();
        (status, std::mem::take(&mut self.stdout), errors)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // If it has ended already, that is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A number from `/proc/<id>/status`: kilobytes or a count.
#[cfg(target_os = "linux")]
pub(crate) fn status_of(id: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.split_whitespace().find_map(|word| word.parse().ok()).unwrap()
}

/// Stops a program as Ctrl-Z does, and continues it as `fg` does.
#[cfg(target_os = "linux")]
pub(crate) fn stop_for_a_while(id: u32, meanwhile: impl FnOnce()) {
    use rustix::process::{Pid, Signal, kill_process};
    let pid = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
    let stopped = || {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        status.lines().any(|line| line.starts_with("State:\tT"))
    };
    kill_process(pid, Signal::STOP).unwrap();
    wait_until("it stands still", stopped);
    meanwhile();
    kill_process(pid, Signal::CONT).unwrap();
    wait_until("it goes on", || !stopped());
}
