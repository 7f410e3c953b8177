//! Commands from stdin, line by line: from a person, who keeps typing, or from a pipe, where each
//! command ends before the next line is read.

use std::io::BufRead;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, at, never, select};
use tempfile::TempDir;

use super::failures::{Failures, error};
use super::live::{LiveInput, Typed};
use super::output::Output;
use super::pages::Pages;
use super::paths;
use crate::crypto::password::{self, Password};
use crate::node::{Answer, Feed, Handle, Stopped};
use crate::router::command::{Command, LeaveWhen, NewPassword};
use crate::router::ids::FaceId;
use crate::router::notice::{Code, Failure, Notice};
use crate::router::text::Untrusted;
use crate::sys::terminal::waiting_bytes_of_stdin;
use crate::ui::careful::{Doubt, certain, doubt, is_sentence};
use crate::ui::command::{
    Input, help_lines, message, parse, read_new_password, read_password, secret_part,
};
use crate::ui::line_reader::{Line, LineReader};
use crate::ui::terminal::{answer_from_file, answer_from_lines, answer_from_terminal};

/// Notices that may wait for the printer while stdin is still read.
const LAG: u64 = 512;

/// How long a person who quits sees no prompt: by then klatch leaves, or asks whether to.
const LEAVING: Duration = Duration::from_millis(500);

/// A person sees no prompt while the answer to a command may come this soon.
const SOON: Duration = Duration::from_millis(100);

/// No command is awaited.
pub(super) const NOBODY: u64 = u64::MAX;

/// Where lines come from.
pub(super) enum Source<R> {
    /// A pipe, or a terminal that edits its lines itself.
    Stream(LineReader<R>),
    /// A live terminal.
    Live(Box<LiveInput>),
}

/// Stdin as a face of the node.
pub(super) struct Stdin<R> {
    /// Where its lines come from.
    pub(super) source: Source<R>,
    /// How many lines were read, including answers to questions.
    pub(super) number: u64,
    /// A person types, and is asked for passwords on the terminal.
    pub(super) interactive: bool,
    /// A person was asked for a password, and the result was not what they hoped for: what they
    /// type next may be a password again.
    pub(super) confirm_next: bool,
    /// A password that klatch made up and a person accepted: shown once it is in force.
    pub(super) taken: Option<Password>,
    /// Answers password questions instead of lines.
    pub(super) password_file: Option<PathBuf>,
    /// Where commands go.
    pub(super) handle: Handle,
    /// This face.
    pub(super) face: FaceId,
    /// Answers to the awaited command.
    pub(super) answers: Receiver<Answer>,
    /// Ctrl-C while a command is awaited.
    pub(super) interrupts: Receiver<()>,
    /// The same, as a key.
    pub(super) interrupt: Sender<()>,
    /// The line of that command, or [`NOBODY`].
    pub(super) awaited: Arc<AtomicU64>,
    /// The node's feed, for its position.
    pub(super) feed: Feed,
    /// Where answers are printed.
    pub(super) output: Arc<Output>,
    /// Records failed commands.
    pub(super) failures: Arc<Failures>,
    /// The browser's side.
    pub(super) pages: Arc<Pages>,
    /// Where relative paths begin; empty: where this program was started.
    pub(super) folder: PathBuf,
    /// The program runs anyway and is in its room: what is done here ends without it.
    pub(super) job: bool,
    /// What the awaited command has reported.
    pub(super) told: Option<Notice>,
    /// When a one-shot gives up.
    pub(super) deadline: Option<Instant>,
    /// Folders that are removed with the program.
    pub(super) kept: Arc<Mutex<Vec<TempDir>>>,
    /// Shows how reading goes on.
    pub(super) pulse: Arc<Pulse>,
}

/// Counts each start and end of reading a line: odd while a thread reads.
#[derive(Debug, Default)]
pub(super) struct Pulse(AtomicU64);

impl Pulse {
    /// No more lines will be read.
    const ENDED: u64 = u64::MAX;
    /// If there is a line, its reader takes it sooner than this.
    const QUIET: Duration = Duration::from_millis(200);

    fn beat(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn end(&self) {
        self.0.store(Self::ENDED, Ordering::SeqCst);
    }

    /// Waits until stdin has ended, or has had nothing to read for a while.
    pub(super) fn wait_idle(&self) {
        loop {
            let before = self.0.load(Ordering::SeqCst);
            std::thread::sleep(Self::QUIET);
            let reads = before % 2 == 1 && self.0.load(Ordering::SeqCst) == before;
            // A stream that cannot tell counts as empty.
            let nothing = waiting_bytes_of_stdin() == 0;
            if before == Self::ENDED || reads && nothing {
                return;
            }
        }
    }
}

/// How stdin ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InputEnded {
    /// There are no more lines.
    Stdin,
    /// The node is ending.
    Node,
}

impl<R: BufRead> Stdin<R> {
    /// Gives the command line's commands, then those from stdin until it ends.
    pub(super) fn run(&mut self, first: Vec<Command>) -> InputEnded {
        // `started` comes before every answer.
        self.output.wait_for(1);
        for command in first {
            if self.give(0, command, false).is_err() {
                return InputEnded::Node;
            }
        }
        loop {
            // While the printer lags behind, nothing is read, so that no answer is lost.
            self.output.wait_for(self.feed.position().saturating_sub(LAG));
            self.pulse.beat();
            let input = self.next_input();
            self.pulse.beat();
            let Some(input) = input else {
                self.pulse.end();
                return InputEnded::Stdin;
            };
            if self.take(input).is_err() {
                return InputEnded::Node;
            }
        }
    }

    /// The next line and its meaning; `None` when there will be no more.
    fn next_input(&mut self) -> Option<Result<Input, Failure>> {
        let mut sentence = false;
        let input = match &mut self.source {
            Source::Stream(lines) => match lines.next_line() {
                Ok(Line::End) | Err(_) => return None,
                Ok(line) => {
                    let input = line.into_text().and_then(|text| {
                        let text = text.unwrap_or_default();
                        sentence = is_sentence(&text);
                        certain(&text).and_then(|()| parse(&text))
                    });
                    if is_message(&input) && std::mem::take(&mut self.confirm_next) {
                        let text = "that line was not sent, as it may be a password: type it again \
                                    to send it";
                        self.output.print(&Notice::Remark { text: text.into() });
                        Ok(Input::Empty)
                    } else {
                        input
                    }
                }
            },
            Source::Live(live) => {
                let (mut line, confirm_next) = match live.next() {
                    Typed::Line { text, confirm_next } => (text, confirm_next),
                    Typed::Message { text, confirm_next } => {
                        let input = message(&text);
                        self.number += 1;
                        if !confirm_send((&mut self.confirm_next, confirm_next), live, &input) {
                            return Some(Ok(Input::Empty));
                        }
                        live.remember(&text, false);
                        return Some(input);
                    }
                    Typed::Quit => {
                        let quit = Command::Quit(LeaveWhen::Confirmed);
                        return Some(Ok(Input::Command(quit)));
                    }
                    Typed::End => return None,
                };
                sentence = is_sentence(&line);
                let input = match doubt(&line) {
                    None => parse(&line),
                    Some(doubt) if !is_sure(live, &doubt, &line) => {
                        live.put_back(line);
                        return Some(Ok(Input::Empty));
                    }
                    Some(Doubt::Run) => parse(&line),
                    Some(Doubt::Enter(enters)) => {
                        line = enters;
                        parse(&line)
                    }
                    Some(Doubt::Say(_)) => {
                        // One question is enough.
                        self.confirm_next = false;
                        message(&line)
                    }
                };
                if confirm_send((&mut self.confirm_next, confirm_next), live, &input) {
                    note_line(live, &self.output, &line, &input, self.confirm_next || confirm_next);
                    input
                } else {
                    Ok(Input::Empty)
                }
            }
        };
        self.number += 1;
        if sentence {
            self.failures.note_sentence(self.number);
        }
        Some(input)
    }

    /// Does what a line says.
    fn take(&mut self, input: Result<Input, Failure>) -> Result<(), Stopped> {
        let number = self.number;
        match input {
            Ok(Input::Empty) => {}
            Ok(Input::Command(mut command)) => {
                if let Command::Send { paths: files } = &mut command {
                    let line = files.pop().unwrap_or_default();
                    match paths::meant(&line.to_string_lossy()) {
                        Ok(meant) => *files = meant,
                        Err(failure) => {
                            self.failures.say(&self.output, number, Some("send"), failure);
                            return Ok(());
                        }
                    }
                }
                match &mut command {
                    Command::Download { patient, asks, .. } => {
                        *patient = self.interactive;
                        *asks = matches!(self.source, Source::Live(..));
                    }
                    Command::Leave(when) | Command::Quit(when) if self.interactive => {
                        *when = LeaveWhen::Confirmed;
                    }
                    Command::Password { asks, .. } | Command::Remove { asks, .. } => {
                        *asks = matches!(self.source, Source::Live(..));
                    }
                    _ => {}
                }
                let wait = !self.interactive || asks_something(&command);
                let compared = match &command {
                    Command::Verify { nick, same: false } => Some(nick.clone()),
                    _ => None,
                };
                let leaves = matches!(command, Command::Quit(_));
                let done = self.give(number, command, !wait)?;
                if leaves && self.output.ends_within(LEAVING) {
                    return Err(Stopped);
                }
                if let (Some(nick), true, Source::Live(live)) = (compared, done, &mut self.source) {
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

    /// In browser mode: prints the page's address, and opens the browser at another one.
    pub(super) fn show_page(&self) {
        if !self.pages.is_started() {
            return;
        }
        if let Ok(url) = self.pages.address() {
            // `started` is always the first notice.
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

    /// Gives a command and, unless a person keeps typing, waits until it ends; returns whether it
    /// failed as far as known.
    pub(super) fn give(
        &mut self,
        line: u64,
        command: Command,
        go_on: bool,
    ) -> Result<bool, Stopped> {
        let word = command.word();
        // An interrupt meant for an earlier command does not affect this one.
        let _ = self.interrupts.try_recv();
        self.awaited.store(if go_on { NOBODY } else { line }, Ordering::SeqCst);
        self.handle.command(self.face, line, command)?;
        if go_on {
            return Ok(true);
        }
        // A wait has its own end, and reports itself what it waited for in vain.
        let timed = matches!(word, "send" | "download" | "say" | "password" | "invite");
        let over = self.deadline.filter(|_| timed).map_or_else(never, at);
        self.told = None;
        loop {
            self.type_ahead(word);
            let answer = select! {
                recv(self.answers) -> answer => answer.map_err(|_| Stopped)?,
                recv(over) -> _ => {
                    let text = format!(
                        "{word} took longer than --within allows: what arrived so far is kept for \
                         the next time"
                    );
                    let failure = Failure::new(Code::WaitTimeout, text);
                    self.failures.say(&self.output, line, Some(word), failure);
                    if !self.job {
                        self.handle.command(self.face, 0, Command::Quit(LeaveWhen::Now))?;
                    }
                    return Err(Stopped);
                }
                recv(self.interrupts) -> _ => {
                    self.awaited.store(NOBODY, Ordering::SeqCst);
                    let text = format!("{word} continues in the background");
                    self.output.print(&Notice::Remark { text });
                    // The question that showed it is gone, and it may still come into force.
                    self.tell_taken(true);
                    return Ok(false);
                }
            };
            match answer {
                // An answer to an earlier command, awaited until Ctrl-C came, or to the end that a
                // signal wants.
                Answer::Reply { line: of, command, .. } if (of, command) != (line, word) => {}
                Answer::Told { notice, .. } => self.told = Some(*notice),
                Answer::Overview { .. } => {}
                Answer::Reply { result, after, .. } => {
                    self.awaited.store(NOBODY, Ordering::SeqCst);
                    if matches!(self.source, Source::Live(..)) {
                        // Its output comes before the next input.
                        self.output.wait_for(after);
                    }
                    if matches!(word, "connect" | "password" | "remove") {
                        self.confirm_next &= result.is_err();
                    }
                    self.tell_taken(result.is_ok());
                    return Ok(result.is_ok());
                }
                Answer::AskPassword { line: of, address, again, after } => {
                    let password = self.ask(of, &address, again, after);
                    self.handle.password(self.face, of, password)?;
                }
                Answer::Confirm { line: of, question, after } => {
                    let yes = self.confirm(&question, after);
                    self.handle.confirm(self.face, of, yes)?;
                }
            }
        }
    }

    /// Lets a person keep typing until there is an answer or an interrupt.
    fn type_ahead(&mut self, word: &str) {
        let Source::Live(live) = &mut self.source else { return };
        // Most answers come before anybody sees a prompt.
        let (answers, interrupts) = (self.answers.clone(), self.interrupts.clone());
        let over = move || !(answers.is_empty() && interrupts.is_empty());
        let soon = Instant::now() + SOON;
        while !over() && Instant::now() < soon {
            std::thread::sleep(SOON / 20);
        }
        // A line typed after a question for a password may be another try.
        let secret = word == "password" || self.confirm_next;
        if !over() && !live.type_ahead(secret, over) {
            // One that is under way already will do.
            let _ = self.interrupt.try_send(());
        }
    }

    /// Asks a person; without one the answer is no, and a person who leaves cancels the command.
    fn confirm(&mut self, question: &str, after: u64) -> Option<bool> {
        self.output.wait_for(after);
        let Source::Live(live) = &mut self.source else { return Some(false) };
        live.decide(&format!("* {}", Untrusted::new(question).line()))
    }

    fn ask(&mut self, line: u64, address: &str, again: bool, after: u64) -> Option<NewPassword> {
        self.output.wait_for(after);
        let answer = if address.is_empty() {
            self.ask_new(after)
        } else {
            self.ask_of(address, again, after)?.map(NewPassword::Set)
        };
        answer.map_err(|failure| self.failures.say(&self.output, line, None, failure)).ok()
    }

    /// The password of somebody else's room; `None` if nobody should be asked again.
    fn ask_of(
        &mut self,
        address: &str,
        again: bool,
        after: u64,
    ) -> Option<Result<Password, Failure>> {
        if let Some(file) = &self.password_file {
            // The same file would give the same wrong password.
            return (!again).then(|| read_password(&answer_from_file(file)?));
        }
        if again && !self.interactive {
            return None;
        }
        let prompt = match again {
            false => format!("Password of the room at {}: ", Untrusted::new(address)),
            true => "That is not the password. Again (empty: give up): ".to_owned(),
        };
        Some(self.answer_that_fits(&prompt, address, after, read_password))
    }

    /// Asks again if the answer cannot be a password: otherwise a person would retype it, and the
    /// room would read it. An empty answer gives up.
    fn answer_that_fits<T>(
        &mut self,
        prompt: &str,
        address: &str,
        after: u64,
        read: fn(&str) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        loop {
            let text = self.answer(prompt, address, after)?;
            match read(&text) {
                Err(failure) if self.interactive && !text.is_empty() => {
                    self.output.print(&error(0, None, failure));
                }
                Err(_) if self.interactive => {
                    return Err(Failure::new(Code::Cancelled, "no password was given"));
                }
                result => return result,
            }
        }
    }

    /// A new password for one's own room. A person may take the suggested one, which is shown so
    /// that it can be passed on; a script must bring its own.
    fn ask_new(&mut self, after: u64) -> Result<NewPassword, Failure> {
        if let Some(file) = &self.password_file {
            return read_new_password(&answer_from_file(file)?);
        }
        let offered = password::suggest();
        let prompt = format!("New password (Enter takes {}, - for none): ", offered.expose());
        loop {
            let text = self.answer(&prompt, "", after)?;
            if text.is_empty() && self.interactive {
                self.taken = Some(offered.clone());
                return Ok(NewPassword::Set(offered));
            }
            match read_new_password(&text) {
                // Asks again: otherwise a person would retype it, and the room would read it.
                Err(failure) if self.interactive => self.output.print(&error(0, None, failure)),
                result => return result,
            }
        }
    }

    /// A line typed without echo, or the next line from a pipe.
    fn answer(&mut self, prompt: &str, address: &str, after: u64) -> Result<String, Failure> {
        self.confirm_next = self.interactive;
        match &mut self.source {
            Source::Live(live) => {
                let given_up = || Failure::new(Code::Cancelled, "no password was given");
                live.ask_hidden(prompt).ok_or_else(given_up)
            }
            Source::Stream(_) if self.interactive => answer_from_terminal(prompt),
            Source::Stream(lines) => {
                let address = address.to_owned();
                self.output.print_after(after, &Notice::PasswordRequired { address, line: None });
                self.number += 1;
                answer_from_lines(lines)
            }
        }
    }

    /// A person who took the suggested password needs to see it, to pass it on.
    fn tell_taken(&mut self, holds: bool) {
        if let Some(password) = self.taken.take().filter(|_| holds) {
            let text = format!("the password is {}: pass it on", password.expose());
            self.output.print(&Notice::Remark { text });
        }
    }
}

fn is_message(input: &Result<Input, Failure>) -> bool {
    matches!(input, Ok(Input::Command(Command::Say { .. })))
}

/// Whether a line may do what it says. After a password was refused or not given, a message may be
/// the password again, typed where the question was expected, and so may one that was typed before
/// the question (`this_one`): the room gets it only if the person agrees.
fn confirm_send(
    (confirm_next, this_one): (&mut bool, bool),
    live: &mut LiveInput,
    input: &Result<Input, Failure>,
) -> bool {
    if !(*confirm_next || this_one) || !is_message(input) {
        return true;
    }
    let meant = live.confirm("* this may be a password: send it to the room as a message?");
    if !meant {
        live.remark("* not sent");
    }
    *confirm_next &= !meant;
    meant
}

/// Asks about a line that may be a slip.
fn is_sure(live: &mut LiveInput, doubt: &Doubt, line: &str) -> bool {
    live.confirm(&format!("* {}: {}", doubt.about(line), doubt.question()))
}

/// Shows and remembers a line typed at a live terminal. Commands are shown without their secrets,
/// and messages by the notice that they were said; everything but secrets is remembered, and on
/// disk nothing that may be one.
fn note_line(
    live: &mut LiveInput,
    output: &Output,
    line: &str,
    input: &Result<Input, Failure>,
    confirm_next: bool,
) {
    let is_message = is_message(input);
    match secret_part(line) {
        Some((open, _)) => output.echo(&format!("> {}•••", Untrusted::new(open).line())),
        None => {
            if !is_message && !line.trim().is_empty() {
                output.echo(&format!("> {}", Untrusted::new(line).line()));
            }
            if !line.trim().is_empty() {
                live.remember(line, input.is_ok() && !is_message && !confirm_next);
            }
        }
    }
}

/// Whether a command may ask something, so that a person answers instead of typing a line.
fn asks_something(command: &Command) -> bool {
    matches!(
        command,
        Command::Connect { .. }
            | Command::Download { asks: true, .. }
            | Command::Password { .. }
            | Command::Remove { .. }
            | Command::Verify { .. }
            | Command::Quit(_)
    )
}
