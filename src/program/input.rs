//! Commands from stdin, one line at a time: from a person, who goes on typing, or from a pipe,
//! where each command ends before the next line is read.

use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::Receiver;

use super::failures::Failures;
use super::output::Output;
use super::pages::Pages;
use crate::crypto::password::{self, Password};
use crate::node::{Answer, Feed, Handle, Stopped};
use crate::router::command::Command;
use crate::router::ids::FaceId;
use crate::router::notice::{Code, Failure, Notice};
use crate::ui::command::{Input, LocalCommand, help_lines, parse, read_password};
use crate::ui::line_reader::{Line, LineReader};
use crate::ui::terminal::{password_from_file, password_from_lines, password_from_terminal};

/// Notices that may wait for the printer while stdin is still read.
const LAG: u64 = 512;

/// No command is waited for.
pub(super) const NOBODY: u64 = u64::MAX;

/// Stdin as a face of the node.
pub(super) struct Stdin<R> {
    /// Its lines.
    pub(super) lines: LineReader<R>,
    /// How many of them were read, answers to questions among them.
    pub(super) number: u64,
    /// A person types, and is asked for passwords on the terminal.
    pub(super) interactive: bool,
    /// Answers password questions, in place of lines.
    pub(super) password_file: Option<PathBuf>,
    /// Where commands go.
    pub(super) handle: Handle,
    /// This face.
    pub(super) face: FaceId,
    /// Answers to the command that is waited for.
    pub(super) answers: Receiver<Answer>,
    /// The line of that command, or [`NOBODY`].
    pub(super) awaited: Arc<AtomicU64>,
    /// What the node tells, for its position.
    pub(super) feed: Feed,
    /// Where answers are printed.
    pub(super) output: Arc<Output>,
    /// Notes failed commands.
    pub(super) failures: Arc<Failures>,
    /// The browser's side.
    pub(super) pages: Arc<Pages>,
}

/// How stdin ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// No more lines.
    Stdin,
    /// The node is ending.
    Node,
}

impl<R: BufRead> Stdin<R> {
    /// Gives the commands of the command line, then those of stdin until it ends.
    pub(super) fn run(&mut self, first: Vec<Command>) -> Ended {
        for command in first {
            if self.give(0, command, false).is_err() {
                return Ended::Node;
            }
        }
        loop {
            // While the printer lags, nothing is read, so that no answer is lost.
            self.output.wait_for(self.feed.position().saturating_sub(LAG));
            let line = match self.lines.next_line() {
                Ok(Line::End) | Err(_) => return Ended::Stdin,
                Ok(line) => line,
            };
            self.number += 1;
            let number = self.number;
            let input = line.into_text().and_then(|text| parse(&text.unwrap_or_default()));
            let given = match input {
                Ok(Input::Empty) => Ok(()),
                Ok(Input::Command(mut command)) => {
                    match &mut command {
                        Command::Download { patient: person, .. }
                        | Command::QuitWhenServed { asks: person } => *person = self.interactive,
                        _ => {}
                    }
                    let wait = !self.interactive || asks_passwords(&command);
                    self.give(number, command, !wait)
                }
                Ok(Input::Help(topic)) => {
                    for text in help_lines(topic.as_deref()) {
                        self.output.print(&Notice::Remark { text });
                    }
                    Ok(())
                }
                Ok(Input::Local(LocalCommand::Browser)) => {
                    self.print_page(number);
                    Ok(())
                }
                Ok(Input::Local(local)) => {
                    self.failures.say(&self.output, number, Some(local.word()), local.failure());
                    Ok(())
                }
                Err(failure) => {
                    self.failures.say(&self.output, number, None, failure);
                    Ok(())
                }
            };
            if given.is_err() {
                return Ended::Node;
            }
        }
    }

    /// In browser mode: prints the page's address, and opens the browser at another.
    pub(super) fn show_page(&self) {
        if !self.pages.is_started() {
            return;
        }
        if let Ok(url) = self.pages.address() {
            // `started` is the first notice of all.
            self.output.print_after(1, &Notice::Bridge { url });
        }
        if let Err(failure) = self.pages.open_browser() {
            self.output.print(&Notice::Remark { text: failure.text });
        }
    }

    /// The command `browser`.
    fn print_page(&self, line: u64) {
        let command = LocalCommand::Browser.word();
        match self.pages.address() {
            Ok(url) => {
                self.output.print(&Notice::Bridge { url });
                self.output.print(&Notice::CommandDone { line, command });
            }
            Err(failure) => self.failures.say(&self.output, line, Some(command), failure),
        }
    }

    /// Gives a command and, unless a person goes on typing, waits until it ends.
    fn give(&mut self, line: u64, command: Command, go_on: bool) -> Result<(), Stopped> {
        self.awaited.store(if go_on { NOBODY } else { line }, Ordering::SeqCst);
        self.handle.command(self.face, line, command)?;
        if go_on {
            return Ok(());
        }
        loop {
            match self.answers.recv().map_err(|_| Stopped)? {
                Answer::Reply { .. } => return Ok(()),
                Answer::Told { .. } | Answer::Overview { .. } => {}
                Answer::AskPassword { line: of, address, again, after } => {
                    let password = self.ask(of, address, again, after);
                    self.handle.password(self.face, of, password)?;
                }
            }
        }
    }

    fn ask(&mut self, line: u64, address: String, again: bool, after: u64) -> Option<Password> {
        self.output.wait_for(after);
        let own_room = address.is_empty();
        if let Some(file) = &self.password_file {
            // The same file would give the same wrong password.
            return if again { None } else { self.heard(line, password_from_file(file)) };
        }
        if !self.interactive {
            if again {
                return None;
            }
            self.output.print_after(after, &Notice::PasswordRequired { address, line: None });
            self.number += 1;
            let password = password_from_lines(&mut self.lines);
            return self.heard(line, password);
        }
        let prompt = match (own_room, again) {
            (true, _) => "New password (empty: make one up): ".to_owned(),
            (false, false) => format!("Password of the room at {address}: "),
            (false, true) => "That is not the password. Again (empty: give up): ".to_owned(),
        };
        self.output.wait_for(after);
        match password_from_terminal(&prompt) {
            Err(failure) if own_room && failure.code == Code::PasswordTooShort => {
                self.suggest_or_complain(line, failure)
            }
            answer => self.heard(line, answer),
        }
    }

    /// An empty answer means that klatch shall make up a password.
    fn suggest_or_complain(&mut self, line: u64, failure: Failure) -> Option<Password> {
        let empty = read_password("").is_err_and(|of_empty| of_empty == failure);
        if !empty {
            return self.heard(line, Err(failure));
        }
        let password = password::suggest();
        let text = format!("the new password is: {}", password.expose());
        self.output.print(&Notice::Remark { text });
        Some(password)
    }

    fn heard(&self, line: u64, answer: Result<Password, Failure>) -> Option<Password> {
        answer.map_err(|failure| self.failures.say(&self.output, line, None, failure)).ok()
    }
}

/// Whether a command may ask for a password, which a person then types instead of a line.
fn asks_passwords(command: &Command) -> bool {
    matches!(
        command,
        Command::Connect { .. } | Command::Password { .. } | Command::QuitWhenServed { .. }
    )
}
