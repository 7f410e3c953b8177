//! Commands from stdin, one line at a time: from a person, who goes on typing, or from a pipe,
//! where each command ends before the next line is read.

use std::collections::VecDeque;
use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, select};

use super::failures::Failures;
use super::live::{LiveInput, Typed};
use super::output::Output;
use super::pages::Pages;
use crate::config::Errand;
use crate::crypto::password::{self, Password};
use crate::node::{Answer, Feed, Handle, Stopped};
use crate::router::command::{Command, Wait};
use crate::router::ids::FaceId;
use crate::router::notice::{Code, Failure, Notice};
use crate::router::text::Untrusted;
use crate::ui::command::{
    Input, WAIT_DEFAULT_MS, help_lines, message, parse, read_password, secret_part,
};
use crate::ui::line_reader::{Line, LineReader};
use crate::ui::terminal::{password_from_file, password_from_lines, password_from_terminal};

/// Notices that may wait for the printer while stdin is still read.
const LAG: u64 = 512;

/// How long a person who quits sees no prompt: by then klatch leaves, or asks whether it shall.
const LEAVING: Duration = Duration::from_millis(500);

/// No command is waited for.
pub(super) const NOBODY: u64 = u64::MAX;

/// Where lines come from.
pub(super) enum Source<R> {
    /// A pipe, or a terminal that edits its lines itself.
    Stream(LineReader<R>),
    /// A live terminal, and pasted lines that wait for their turn.
    Live(Box<LiveInput>, VecDeque<String>),
}

/// Stdin as a face of the node.
pub(super) struct Stdin<R> {
    /// Its lines.
    pub(super) source: Source<R>,
    /// How many of them were read, answers to questions among them.
    pub(super) number: u64,
    /// A person types, and is asked for passwords on the terminal.
    pub(super) interactive: bool,
    /// A person was asked for a password, and what followed from the answer was not what they
    /// hoped for: what they type next may be a password again.
    pub(super) wary: bool,
    /// Answers password questions, in place of lines.
    pub(super) password_file: Option<PathBuf>,
    /// Where commands go.
    pub(super) handle: Handle,
    /// This face.
    pub(super) face: FaceId,
    /// Answers to the command that is waited for.
    pub(super) answers: Receiver<Answer>,
    /// Ctrl-C while a command is waited for.
    pub(super) interrupts: Receiver<()>,
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
            let Some(input) = self.next_input() else { return Ended::Stdin };
            if self.take(input).is_err() {
                return Ended::Node;
            }
        }
    }

    /// Gives the commands of the command line, then fetches and offers what the errand is about;
    /// a step that fails ends those that follow from it.
    pub(super) fn run_errand(
        &mut self,
        first: Vec<Command>,
        errand: Errand,
    ) -> Result<(), Stopped> {
        for command in first {
            if !self.give(0, command, false)? {
                return Ok(());
            }
        }
        for name in errand.get {
            let offered = Wait::Offer(name.clone());
            let wait = Command::Wait { what: offered, within_ms: WAIT_DEFAULT_MS };
            if self.give(0, wait, false)? {
                self.give(0, Command::Download { wanted: name, patient: false }, false)?;
            }
        }
        let mut offered = false;
        for path in errand.send {
            offered |= self.give(0, Command::Send { paths: vec![path] }, false)?;
        }
        if offered {
            let wait = Command::Wait { what: Wait::Fetched, within_ms: WAIT_DEFAULT_MS };
            self.give(0, wait, false)?;
        }
        Ok(())
    }

    /// The next line and what it means; `None` when there will be no more.
    fn next_input(&mut self) -> Option<Result<Input, Failure>> {
        let input = match &mut self.source {
            Source::Stream(lines) => match lines.next_line() {
                Ok(Line::End) | Err(_) => return None,
                Ok(line) => {
                    let input = line.into_text().and_then(|text| parse(&text.unwrap_or_default()));
                    if is_message(&input) && std::mem::take(&mut self.wary) {
                        let text = "that line was not sent, as it may be a password: type it again \
                                    to send it";
                        self.output.print(&Notice::Remark { text: text.into() });
                        Ok(Input::Empty)
                    } else {
                        input
                    }
                }
            },
            Source::Live(live, waiting) => {
                let line = match waiting.pop_front() {
                    Some(line) => line,
                    None => match live.next() {
                        Typed::Lines(lines) => {
                            waiting.extend(lines);
                            waiting.pop_front().unwrap_or_default()
                        }
                        Typed::Message(text) => {
                            let input = message(&text);
                            self.number += 1;
                            if !is_meant(&mut self.wary, live, &input) {
                                return Some(Ok(Input::Empty));
                            }
                            live.remember(&text, false);
                            return Some(input);
                        }
                        Typed::Quit => {
                            let quit = Command::QuitWhenServed { asks: true };
                            return Some(Ok(Input::Command(quit)));
                        }
                        Typed::End => return None,
                    },
                };
                let input = parse(&line);
                if is_meant(&mut self.wary, live, &input) {
                    note_line(live, &self.output, &line, &input, self.wary);
                    input
                } else {
                    waiting.clear();
                    Ok(Input::Empty)
                }
            }
        };
        self.number += 1;
        Some(input)
    }

    /// Does what a line says.
    fn take(&mut self, input: Result<Input, Failure>) -> Result<(), Stopped> {
        let number = self.number;
        match input {
            Ok(Input::Empty) => {}
            Ok(Input::Command(mut command)) => {
                match &mut command {
                    Command::Download { patient: person, .. }
                    | Command::LeaveWhenServed { asks: person }
                    | Command::QuitWhenServed { asks: person } => *person = self.interactive,
                    _ => {}
                }
                let wait = !self.interactive || asks_something(&command);
                let compared = match &command {
                    Command::Verify { nick, same: false } => Some(nick.clone()),
                    _ => None,
                };
                let leaves = matches!(command, Command::QuitWhenServed { .. });
                let done = self.give(number, command, !wait)?;
                if leaves && self.output.ends_within(LEAVING) {
                    return Err(Stopped);
                }
                if let (Some(nick), true, Source::Live(live, _)) =
                    (compared, done, &mut self.source)
                {
                    if live.confirm("* do both of you have the same words?") {
                        self.give(number, Command::Verify { nick, same: true }, true)?;
                    } else {
                        let nick = Untrusted::new(&nick);
                        let text = format!(
                            "{nick} is not verified; if the words differ, somebody may stand \
                             between you: say nothing secret here"
                        );
                        self.output.print(&Notice::Remark { text });
                    }
                }
            }
            Ok(Input::Help(topic)) => {
                for text in help_lines(topic.as_deref()) {
                    self.output.print(&Notice::Remark { text });
                }
            }
            Ok(Input::Browser) => self.print_page(number),
            Err(failure) => self.failures.say(&self.output, number, None, failure),
        }
        Ok(())
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
        let command = "browser";
        match self.pages.address() {
            Ok(url) => {
                self.output.print(&Notice::Bridge { url });
                self.output.print(&Notice::CommandDone { line, command });
            }
            Err(failure) => self.failures.say(&self.output, line, Some(command), failure),
        }
    }

    /// Gives a command and, unless a person goes on typing, waits until it ends; whether it failed
    /// as far as is known.
    fn give(&mut self, line: u64, command: Command, go_on: bool) -> Result<bool, Stopped> {
        let word = command.word();
        // An interrupt of an earlier command means nothing to this one.
        let _ = self.interrupts.try_recv();
        self.awaited.store(if go_on { NOBODY } else { line }, Ordering::SeqCst);
        self.handle.command(self.face, line, command)?;
        if go_on {
            return Ok(true);
        }
        loop {
            let answer = select! {
                recv(self.answers) -> answer => answer.map_err(|_| Stopped)?,
                recv(self.interrupts) -> _ => {
                    self.awaited.store(NOBODY, Ordering::SeqCst);
                    let text = format!("{word} goes on by itself");
                    self.output.print(&Notice::Remark { text });
                    return Ok(false);
                }
            };
            match answer {
                // An answer to a command that was waited for until Ctrl-C came.
                Answer::Reply { line: of, .. } if of != line => {}
                Answer::Told { .. } | Answer::Overview { .. } => {}
                Answer::Reply { result, after, .. } => {
                    self.awaited.store(NOBODY, Ordering::SeqCst);
                    if matches!(self.source, Source::Live(..)) {
                        // What it has to show comes before what is typed next.
                        self.output.wait_for(after);
                    }
                    if matches!(word, "connect" | "password") {
                        self.wary &= result.is_err();
                    }
                    return Ok(result.is_ok());
                }
                Answer::AskPassword { line: of, address, again, after } => {
                    let password = self.ask(of, &address, again, after);
                    self.handle.password(self.face, of, password)?;
                }
            }
        }
    }

    fn ask(&mut self, line: u64, address: &str, again: bool, after: u64) -> Option<Password> {
        self.output.wait_for(after);
        let own_room = address.is_empty();
        if let Some(file) = &self.password_file {
            // The same file would give the same wrong password.
            return if again { None } else { self.heard(line, password_from_file(file)) };
        }
        let prompt = match (own_room, again) {
            (true, _) => "New password (empty: make one up): ".to_owned(),
            (false, false) => format!("Password of the room at {}: ", Untrusted::new(address)),
            (false, true) => "That is not the password. Again (empty: give up): ".to_owned(),
        };
        self.wary = self.interactive;
        let answer = match &mut self.source {
            Source::Live(live, waiting) => {
                // What was pasted behind the command is no answer to a question.
                waiting.clear();
                match live.ask_hidden(&prompt) {
                    Some(text) => read_password(&text),
                    None => Err(Failure::new(Code::Cancelled, "no password was given")),
                }
            }
            Source::Stream(_) if self.interactive => password_from_terminal(&prompt),
            Source::Stream(_) if again => return None,
            Source::Stream(lines) => {
                let address = address.to_owned();
                self.output.print_after(after, &Notice::PasswordRequired { address, line: None });
                self.number += 1;
                let password = password_from_lines(lines);
                return self.heard(line, password);
            }
        };
        match answer {
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

fn is_message(input: &Result<Input, Failure>) -> bool {
    matches!(input, Ok(Input::Command(Command::Say { .. })))
}

/// Whether a line may do what it says. After a password that was refused, or not given, a message
/// may be the password once more, typed where the question is expected: the room gets it only if
/// the person says so.
fn is_meant(wary: &mut bool, live: &mut LiveInput, input: &Result<Input, Failure>) -> bool {
    if !*wary || !is_message(input) {
        return true;
    }
    *wary = !live.confirm("* this may be a password: send it to the room as a message?");
    if *wary {
        live.remark("* not sent");
    }
    !*wary
}

/// A line that was typed at a live terminal: commands are shown again, without their secrets, and
/// messages by the notice that they were said; all but secrets are remembered, and nothing on disk
/// that may be one.
fn note_line(
    live: &mut LiveInput,
    output: &Output,
    line: &str,
    input: &Result<Input, Failure>,
    wary: bool,
) {
    let is_message = is_message(input);
    match secret_part(line) {
        Some((open, _)) => output.echo(&format!("> {}•••", Untrusted::new(open))),
        None => {
            if !is_message && !line.trim().is_empty() {
                output.echo(&format!("> {}", Untrusted::new(line)));
            }
            if !line.trim().is_empty() {
                live.remember(line, input.is_ok() && !is_message && !wary);
            }
        }
    }
}

/// Whether a command may ask something, which a person then answers instead of typing a line.
fn asks_something(command: &Command) -> bool {
    matches!(
        command,
        Command::Connect { .. }
            | Command::Password { .. }
            | Command::Verify { .. }
            | Command::QuitWhenServed { .. }
    )
}
