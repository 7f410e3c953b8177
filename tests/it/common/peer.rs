//! A `klatch` that speaks JSON, and what the test expects of it, event by event.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::program::{DEADLINE, Program, with_hangups};
use super::shape;

/// How a peer is started.
pub(crate) struct Options {
    name: String,
    command: Command,
    home: TempDir,
}

impl Options {
    /// A peer in the terminal, on a free port of this computer, that stores nothing.
    pub(crate) fn new(name: &str) -> Self {
        Self::bare(name).args(["--ui", "terminal", "--ephemeral", "--listen", "127.0.0.1:0"])
    }

    /// A peer with no options but its name, `--json`, and a downloads folder of its own.
    pub(crate) fn bare(name: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = Program::command();
        // By default downloads go to the current directory.
        command.args(["--json", "--name", name]).current_dir(home.path());
        command.env("HOME", home.path()).env("XDG_DATA_HOME", home.path().join("data"));
        Self { name: name.to_owned(), command, home }
    }

    /// The same, in the folder of an earlier peer.
    pub(crate) fn at_home(mut self, home: TempDir) -> Self {
        self.command.current_dir(home.path());
        self.command.env("HOME", home.path()).env("XDG_DATA_HOME", home.path().join("data"));
        self.home = home;
        self
    }

    /// A one-shot run by the same person on the same computer, in a folder of its own.
    pub(crate) fn beside(peer: &Peer) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = Program::command();
        command.arg("--json").current_dir(home.path());
        command.env("HOME", peer.folder()).env("XDG_DATA_HOME", peer.folder().join("data"));
        Self { name: format!("beside {}", peer.program.name), command, home }
    }

    pub(crate) fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.command.args(args);
        self
    }

    /// An option and its value, which need not be valid text.
    pub(crate) fn arg(mut self, option: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(option).arg(value);
        self
    }

    pub(crate) fn env(mut self, variable: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(variable, value);
        self
    }

    /// Starts it behind a wrapper such as `ip netns exec …`.
    pub(crate) fn within(mut self, wrapper: &[&str]) -> Self {
        // The wrapper's handling of hangups is passed on to the program.
        let words = [with_hangups(), wrapper].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(self.home.path());
        let own = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        command.args(own.skip(with_hangups().len()));
        for (variable, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
        self.command = command;
        self
    }

    /// Starts it without waiting for anything.
    pub(crate) fn launch(mut self) -> Peer {
        Peer {
            program: Program::spawn(&self.name, &mut self.command),
            events: Vec::new(),
            lines_typed: 0,
            address: String::new(),
            id: String::new(),
            home: self.home,
        }
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(self) -> Peer {
        let mut peer = self.launch();
        let started = peer.expect(json!({"event": "started"}));
        peer.id = started["id"].as_str().unwrap().to_owned();
        let listening = peer.expect(json!({"event": "listening"}));
        peer.address = listening["addresses"][0].as_str().unwrap().to_owned();
        peer
    }
}

/// A running peer.
pub(crate) struct Peer {
    pub(crate) program: Program,
    /// What it printed, and whether the test has expected it.
    events: Vec<(Value, bool)>,
    lines_typed: u64,
    /// `host:port` where others reach it.
    pub(crate) address: String,
    /// Its identity, in hex.
    pub(crate) id: String,
    home: TempDir,
}

impl Peer {
    pub(crate) fn start(name: &str) -> Self {
        Options::new(name).start()
    }

    /// Kills it at once, and keeps what it has on disk.
    pub(crate) fn killed(mut self) -> TempDir {
        self.program.signal(rustix::process::Signal::KILL);
        self.ended();
        self.home
    }

    /// Where its downloads go.
    pub(crate) fn folder(&self) -> &Path {
        self.home.path()
    }

    /// The visible files in its folder, sorted.
    pub(crate) fn saved(&self) -> Vec<PathBuf> {
        let is_hidden =
            |path: &PathBuf| path.file_name().unwrap().as_encoded_bytes().starts_with(b".");
        let mut paths = self.entries();
        paths.retain(|path| path.is_file() && !is_hidden(path));
        paths
    }

    /// Everything in the download folder, hidden or not.
    pub(crate) fn entries(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder()).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }

    /// Types a line without waiting; returns its number.
    pub(crate) fn say(&mut self, line: &str) -> u64 {
        self.program.type_line(line);
        self.lines_typed += 1;
        self.lines_typed
    }

    /// The same with bytes, line feed included, that may not be valid text.
    pub(crate) fn say_bytes(&mut self, bytes: &[u8]) -> u64 {
        self.program.type_bytes(bytes);
        self.lines_typed += 1;
        self.lines_typed
    }

    /// Gives a command and waits until it succeeds.
    pub(crate) fn done(&mut self, line: &str) {
        let number = self.say(line);
        self.ended_well(number);
    }

    pub(crate) fn ended_well(&mut self, number: u64) {
        if let Err(error) = self.outcome(number) {
            panic!("{}: line {number} failed: {error}", self.program.name);
        }
    }

    /// Gives a command and waits until it fails with this code; returns the error's text.
    pub(crate) fn refused(&mut self, line: &str, code: &str) -> String {
        let number = self.say(line);
        self.failed(number, code)
    }

    pub(crate) fn failed(&mut self, number: u64, code: &str) -> String {
        let name = self.program.name.clone();
        let error = self.outcome(number).expect_err(&format!("{name}: line {number} went well"));
        assert_eq!(error["code"], code, "{name}: {error}");
        error["text"].as_str().unwrap().to_owned()
    }

    fn outcome(&mut self, number: u64) -> Result<(), Value> {
        let what = format!("outcome of line {number}");
        let event = self.expect_that(&what, |event| {
            event["line"] == number && (event["event"] == "command_done" || is_error(event))
        });
        if is_error(&event) { Err(event) } else { Ok(()) }
    }

    /// Waits for an event, printed before or not, that has at least these fields and that no
    /// earlier expectation took.
    pub(crate) fn expect(&mut self, pattern: Value) -> Value {
        self.expect_that(&pattern.to_string(), |event| matches(event, &pattern))
    }

    pub(crate) fn expect_that(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + DEADLINE;
        let taken = self.events.iter_mut().find(|(event, used)| !used && wanted(event));
        if let Some((event, used)) = taken {
            *used = true;
            return event.clone();
        }
        while let Some(event) = self.pull(what, deadline) {
            if wanted(&event) {
                self.events.last_mut().unwrap().1 = true;
                return event;
            }
        }
        panic!("{} ended without {what}", self.program.name)
    }

    fn pull(&mut self, what: &str, deadline: Instant) -> Option<Value> {
        let line = self.program.next_line(what, deadline)?;
        let event: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        shape::check(line);
        self.events.push((event.clone(), false));
        Some(event)
    }

    /// A message with this text, from anybody, itself included.
    pub(crate) fn hears(&mut self, text: &str) -> Value {
        self.expect(json!({"event": "message", "text": text}))
    }

    /// All events so far that have at least these fields.
    pub(crate) fn all(&self, pattern: Value) -> Vec<&Value> {
        let events = self.events.iter().map(|(event, _)| event);
        events.filter(|event| matches(event, &pattern)).collect()
    }

    /// The position of an event among all of them.
    pub(crate) fn place(&self, pattern: Value) -> usize {
        let place = self.events.iter().position(|(event, _)| matches(event, &pattern));
        place.unwrap_or_else(|| panic!("{}: no {pattern}", self.program.name))
    }

    /// Ends stdin, reads everything until the end, and returns the exit code.
    pub(crate) fn end(&mut self) -> i32 {
        self.program.close_stdin();
        self.ended()
    }

    /// Reads everything until the program ends, which something else causes; returns the exit code.
    pub(crate) fn ended(&mut self) -> i32 {
        let deadline = Instant::now() + DEADLINE;
        while self.pull("end", deadline).is_some() {}
        let code = self.program.end();
        if code >= 0 {
            let (last, _) = self.events.last().expect("something was said");
            assert_eq!(last["event"], "stopped", "{}: the last event", self.program.name);
            assert_eq!(last["exit_code"], code, "{}", self.program.name);
        }
        code
    }

    /// Quits, and checks that all went well.
    pub(crate) fn quit(&mut self) {
        self.quit_with(0);
    }

    pub(crate) fn quit_with(&mut self, exit_code: i32) {
        self.say("quit");
        assert_eq!(self.ended(), exit_code, "{}", self.program.name);
    }
}

fn is_error(event: &Value) -> bool {
    event["event"] == "error"
}

/// Whether `value` has at least what `pattern` has.
fn matches(value: &Value, pattern: &Value) -> bool {
    match (value, pattern) {
        (Value::Object(fields), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| fields.get(key).is_some_and(|field| matches(field, wanted))),
        _ => value == pattern,
    }
}

/// `newcomer` connects to `member`, and both have seen it.
pub(crate) fn join(newcomer: &mut Peer, member: &mut Peer) {
    newcomer.done(&format!("connect {}", member.address));
    let id = member.id.clone();
    newcomer.expect_that("member here", |event| has_joined(event, &id));
    let id = newcomer.id.clone();
    member.expect_that("newcomer here", |event| has_joined(event, &id));
}

/// Whether the event says that the member with this id is here now.
pub(crate) fn has_joined(event: &Value, id: &str) -> bool {
    let of_list = |list: &Value| list.as_array().unwrap().iter().any(|member| member["id"] == id);
    match event["event"].as_str().unwrap() {
        "joined" => of_list(&event["members"]),
        "member_joined" => event["member"]["id"] == id,
        _ => false,
    }
}

/// A room of these people, each admitted by the first, all linked.
pub(crate) fn room<const N: usize>(names: [&str; N]) -> [Peer; N] {
    let mut peers = names.map(Peer::start);
    let (first, others) = peers.split_first_mut().unwrap();
    for other in others {
        join(other, first);
    }
    for peer in &mut peers {
        peer.done(&format!("wait members {}", N - 1));
    }
    peers
}
