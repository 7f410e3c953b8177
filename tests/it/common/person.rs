//! A person at a terminal: a `klatch` on a pseudo-terminal, and what its screen shows.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::DEADLINE;
use super::program::show_last;

/// Enter.
pub(crate) const ENTER: &str = "\r";
/// Ctrl-C, Ctrl-D, Tab and the arrow up.
pub(crate) const CTRL_C: &str = "\x03";
pub(crate) const CTRL_D: &str = "\x04";
pub(crate) const TAB: &str = "\t";
pub(crate) const UP: &str = "\x1b[A";

/// A program on a terminal of its own; killed when dropped.
pub(crate) struct Person {
    name: String,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    /// Everything that was written to the terminal.
    pub(crate) raw: Vec<u8>,
}

impl Person {
    /// Starts `klatch` without a data directory, on a screen of 100 columns and 50 rows.
    pub(crate) fn start(name: &str, folder: &std::path::Path, args: &[&str]) -> Self {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_klatch"));
        command.args(["--ui", "terminal", "--name", name, "--listen", "127.0.0.1:0"]);
        if !args.contains(&"--data-dir") {
            command.arg("--ephemeral");
        }
        command.args(args);
        command.cwd(folder);
        Self::spawn(name, command)
    }

    pub(crate) fn spawn(name: &str, mut command: CommandBuilder) -> Self {
        for variable in ["KLATCH_DATA_DIR", "NO_COLOR", "TERM_PROGRAM"] {
            command.env_remove(variable);
        }
        command.env("TERM", "xterm-256color");
        command.env("TZ", "UTC");
        let size = PtySize { rows: 50, cols: 100, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a terminal");
        let child = pair.slave.spawn_command(command).expect("the program starts");
        let mut reader = pair.master.try_clone_reader().expect("the terminal is read");
        let keys = pair.master.take_writer().expect("the terminal has keys");
        let (send, output) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 65_536];
            // When nobody holds a terminal open any more, reading it gives the end or EIO.
            while let Ok(length) = reader.read(&mut bytes) {
                if length == 0 || send.send(bytes[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            name: name.to_owned(),
            master: pair.master,
            keys,
            child,
            output,
            screen: vt100::Parser::new(size_of(50), size_of(100), 1_000),
            raw: Vec::new(),
        }
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Clears the line being typed. Anything typed in one go with Ctrl-C would be lost with it, as
    /// on any terminal.
    pub(crate) fn clears(&mut self) {
        // A line that is redrawn looks empty for a moment: what counts is that another begins.
        let begun = self.lines_begun();
        let deadline = Instant::now() + DEADLINE;
        self.types(CTRL_C);
        let is_empty = |screen: &str| {
            screen.trim_end_matches('\n').rsplit('\n').next().is_some_and(|row| row.trim() == ">")
        };
        while self.lines_begun() == begun || !is_empty(&self.screen()) {
            assert!(self.pump(deadline), "{}'s line is not empty:\n{}", self.name, self.screen());
        }
    }

    /// Answers a question without echo, and waits until the answer is taken.
    pub(crate) fn answers_unseen(&mut self, text: &str) {
        let column = |person: &Self| usize::from(person.screen.screen().cursor_position().1);
        let typed = column(self) + text.len();
        let deadline = Instant::now() + DEADLINE;
        self.types(text);
        while column(self) != typed {
            assert!(
                self.pump(deadline),
                "{}'s answer is not taken in:\n{}",
                self.name,
                self.screen()
            );
        }
        // The question is gone when the next line begins.
        let begun = self.lines_begun();
        self.types(ENTER);
        while self.lines_begun() == begun {
            assert!(self.pump(deadline), "{}'s answer is not taken:\n{}", self.name, self.screen());
        }
    }

    /// How many lines the program began to edit: each time it asks for bracketed paste.
    fn lines_begun(&self) -> usize {
        let asks = b"\x1b[?2004h";
        self.raw.windows(asks.len()).filter(|part| part == asks).count()
    }

    /// What the screen shows.
    pub(crate) fn screen(&self) -> String {
        self.screen.screen().contents()
    }

    /// Waits until the screen shows this.
    pub(crate) fn sees(&mut self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text))
    }

    /// Waits until the screen satisfies `wanted`.
    pub(crate) fn until(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            if !self.pump(deadline) {
                panic!("{} does not see {what}", self.name);
            }
        }
    }

    /// Waits until the terminal's output, from its beginning, contains this.
    pub(crate) fn has_written(&mut self, text: &str) {
        let deadline = Instant::now() + DEADLINE;
        // What came before was searched already, except for a possible half match at its end.
        let mut from = 0;
        loop {
            let found = self.raw[from..].windows(text.len()).any(|part| part == text.as_bytes());
            if found {
                return;
            }
            from = self.raw.len().saturating_sub(text.len());
            assert!(self.pump(deadline), "{} does not write {text:?}", self.name);
        }
    }

    /// Takes in what was written; false when no more will come, or not in time.
    fn pump(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.output.recv_timeout(left) {
            Ok(bytes) => {
                self.screen.process(&bytes);
                self.raw.extend(bytes);
                true
            }
            Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => false,
        }
    }

    /// Where others reach it.
    pub(crate) fn address(&mut self) -> String {
        let screen = self.sees("type a message, or help");
        let line = screen.lines().find(|line| line.contains("on this computer: connect ")).unwrap();
        line.rsplit_once("connect ").unwrap().1.trim().replacen(' ', ":", 1)
    }

    pub(crate) fn resize(&mut self, cols: u16, rows: u16) {
        self.screen.screen_mut().set_size(size_of(rows), size_of(cols));
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        self.master.resize(size).expect("the terminal has another size");
    }

    /// Whether the terminal echoes and edits lines by itself, as it does for a shell.
    pub(crate) fn is_as_it_was(&self) -> bool {
        use rustix::termios::{InputModes, LocalModes, tcgetattr};
        let modes = tcgetattr(self.tty()).expect("it is a terminal");
        let local = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        modes.local_modes.contains(local) && modes.input_modes.contains(InputModes::ICRNL)
    }

    /// The terminal, as another program on it would open it.
    pub(crate) fn tty(&self) -> std::fs::File {
        let path = self.master.tty_name().expect("the terminal has a name");
        std::fs::File::open(path).expect("the terminal is there")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.process_id().expect("it runs")
    }

    /// Waits until the program has ended; returns its exit code.
    pub(crate) fn ends(&mut self) -> u32 {
        let deadline = Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                break status;
            }
            // Nothing more may come until it ends.
            let soon = Instant::now() + std::time::Duration::from_millis(20);
            self.pump(soon);
            assert!(Instant::now() < deadline, "{} does not end:\n{}", self.name, self.screen());
        };
        while self.pump(Instant::now() + std::time::Duration::from_millis(20)) {}
        status.exit_code()
    }
}

fn size_of(cells: u16) -> std::num::NonZeroU16 {
    cells.try_into().expect("a screen has cells")
}

impl Drop for Person {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let screen = self.screen();
            let lines: Vec<_> = screen.trim_end().lines().collect();
            show_last(&format!("screen of {}", self.name), &lines);
        }
    }
}
