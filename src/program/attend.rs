//! Serving the terminal: the threads that print, read and answer, until the node has ended.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::errand::Target;
use super::failures::{self, Failures};
use super::input::{Ended, NOBODY, Pulse, Source, Stdin};
use super::live::{self, Tty, is_dumb};
use super::output::{Output, now_ms};
use super::pages::Pages;
use super::verified::Memory;
use super::{log, signals};
use crate::config::{Backlog, Errand, Settings};
use crate::limits::Limits;
use crate::node::{self, Answer, Face, Handle, Node};
use crate::router::command::Command;
use crate::router::ids::FaceId;
use crate::router::notice::{Code, Failure, Notice};
use crate::thread;
use crate::ui::line_reader::LineReader;
use crate::ui::live::LiveView;
use crate::ui::notice::{Style, error_line};

/// How long the end waits for a slow reader of stdout.
const LAST_LINES: Duration = Duration::from_secs(2);
/// Messages from before that a person sees unless told otherwise.
const BACKLOG: usize = 20;
/// Answers on their way to stdin: it waits for one at a time.
const TURNS: usize = 16;

/// What is kept from run to run.
#[derive(Debug)]
pub(super) struct Kept {
    /// The data directory, if this run's identity is its own.
    pub(super) dir: Option<PathBuf>,
    /// Whom the person has verified.
    pub(super) memory: Memory,
    /// What people are to know from the start.
    pub(super) remark: Option<String>,
}

type StdinSource = Source<io::BufReader<io::Stdin>>;

/// Serves the terminal until the node has ended; gives the exit code.
pub(super) fn attend(
    node: Node,
    settings: &Settings,
    output: &Arc<Output>,
    (first, style, target): (Vec<Command>, Style, Target),
    (kept, pages): (Kept, Arc<Pages>),
) -> u8 {
    // A person sees what fails, and mistypes things.
    let failures = Arc::new(Failures::new(settings.errand.is_some() || !is_interactive(settings)));
    let ending = Ending {
        failures: Arc::clone(&failures),
        done: Arc::new(AtomicBool::new(settings.errand.is_none())),
    };
    let face = node.handle().face();
    let quit = {
        let (handle, face) = (node.handle().clone(), face.id);
        move || {
            // A node that has ended already need not be told.
            let _ = handle.command(face, 0, Command::Quit);
        }
    };
    let (turns, answers) = bounded(TURNS);
    let (interrupt, interrupts) = bounded(1);
    let awaited = Arc::new(AtomicU64::new(NOBODY));
    let tty = Arc::new(OnceLock::<Tty>::new());
    // Before anything is seen of klatch: whoever sees it may send a signal.
    let signals = {
        let (tty, awaited) = (Arc::clone(&tty), Arc::clone(&awaited));
        let on_tty = |act: fn(&Tty)| {
            let tty = Arc::clone(&tty);
            move || tty.get().into_iter().for_each(act)
        };
        let (last, resumed) = (on_tty(Tty::restore), on_tty(Tty::resume));
        let taken = move || tty.get().is_some() && is_taken(&interrupt, &awaited);
        signals::watch(quit.clone(), taken, last, resumed)
    };
    let source = source(settings, output, style, kept.dir.as_deref(), &tty);
    let talks = is_interactive(settings) && settings.errand.is_none();
    let most = talks.then_some(BACKLOG);
    output.bound_backlog(settings.backlog.map_or(most, |Backlog(most)| most));
    if let Some(errand) = &settings.errand {
        output.show_results(!errand.takes_stdout());
        if io::stderr().is_terminal() && !is_dumb() {
            output.show_bar();
        }
    }
    let pulse = Arc::new(Pulse::default());
    let folders = Arc::new(Mutex::new(Vec::new()));
    let stdin = Stdin {
        interactive: is_interactive(settings),
        wary: false,
        taken: None,
        source,
        // The answer to the question of the start was a line as well.
        number: u64::from(settings.ui.is_none()),
        password_file: settings.password_file.clone(),
        handle: node.handle().clone(),
        face: face.id,
        answers,
        interrupts,
        awaited: Arc::clone(&awaited),
        feed: node.feed().clone(),
        output: Arc::clone(output),
        failures: Arc::clone(&failures),
        pages: Arc::clone(&pages),
        told: None,
        deadline: None,
        kept: Arc::clone(&folders),
        pulse: Arc::clone(&pulse),
    };
    let target = Arc::new(target);
    let reader = node.feed().reader();
    let printing = {
        let output = Arc::clone(output);
        let broken = Broken {
            failures: Arc::clone(&failures),
            handle: node.handle().clone(),
            face: face.id,
            errand: settings.errand.is_some(),
            pulse,
        };
        let (memory, remark) = (kept.memory, kept.remark);
        let noted = move |notice: &Notice| match notice {
            Notice::Started { .. } => remark.clone().map(|text| Notice::Remark { text }),
            _ => memory.hear(notice),
        };
        thread::spawn_exempt("printer", move || {
            output.run(reader, move |failure, live| broken.tell(failure, live), noted)
        })
    };
    let reading = {
        let (handle, quit) = (node.handle().clone(), quit.clone());
        let stay = settings.stay || pages.is_started() && !stdin.interactive;
        let errand = settings.errand.clone();
        let (target, done) = (Arc::clone(&target), Arc::clone(&ending.done));
        thread::spawn_exempt("stdin", move || {
            let _quit = QuitOnPanic(quit);
            match errand {
                Some(errand) => run_errand(stdin, first, (errand, &target), (&handle, stay, &done)),
                None => read_commands(stdin, first, &handle, stay),
            }
        })
    };
    let (end, ended) = bounded(1);
    let (last, said) = bounded(1);
    let answering = {
        let answers = Answering {
            output: Arc::clone(output),
            failures: Arc::clone(&failures),
            handle: node.handle().clone(),
            turns,
            awaited,
            errand: settings.errand.is_some(),
            ending: ending.clone(),
        };
        thread::spawn_exempt("answers", move || {
            answers.run(&face);
            answers.finish(&ended, &last);
        })
    };
    for started in [signals, printing, reading, answering] {
        if let Err(error) = started {
            let text = format!("the system starts no thread for klatch: {error}");
            failures.say(output, 0, None, Failure::new(Code::IoError, text));
            quit();
        }
    }
    let node_code = node.wait_stopped();
    pages.stop();
    // Nothing from here on touches stdout, which nobody may be reading: that holds up the threads
    // that print, and must not hold up the end.
    let _ = end.send(node_code);
    let code = said.recv_timeout(LAST_LINES);
    if let Some(tty) = tty.get() {
        tty.restore();
    }
    code.unwrap_or_else(|_| ending.exit_code(node_code))
}

/// Stdout cannot be written any more: whoever watches stderr and the exit code hears of it, and
/// what is to be said is still said.
struct Broken {
    failures: Arc<Failures>,
    handle: Handle,
    face: FaceId,
    errand: bool,
    pulse: Arc<Pulse>,
}

impl Broken {
    fn tell(&self, failure: &Failure, live: bool) {
        self.failures.note_in_any_case();
        // Where errors cannot be written there is nobody to tell.
        let _ = writeln!(io::stderr(), "{}", error_line(failure, &Style::plain()));
        let (handle, face) = (self.handle.clone(), self.face);
        if live {
            // The terminal is gone, and who sat there with it.
            let _ = handle.command(face, 0, Command::Quit);
        } else if !self.errand {
            let pulse = Arc::clone(&self.pulse);
            let end = move || {
                pulse.wait_idle();
                // A node that has ended already need not be told.
                let _ = handle.command(face, 0, Command::EndOfInput);
            };
            if let Err(error) = thread::spawn_exempt("last lines", end) {
                tracing::error!(%error, "no thread could be started");
                let _ = self.handle.command(face, 0, Command::Quit);
            }
        }
    }
}

/// What the exit code follows from.
#[derive(Debug, Clone)]
struct Ending {
    failures: Arc<Failures>,
    /// A one-shot has done all that was named; everything else has nothing to be done with.
    done: Arc<AtomicBool>,
}

impl Ending {
    fn exit_code(&self, node_code: u8) -> u8 {
        let failed = self.failures.any() || node_code == node::FAILED;
        match signals::first() {
            Some(code) if !failed && !self.done.load(Ordering::SeqCst) => code,
            _ => failed.into(),
        }
    }
}

/// Whether a person types.
fn is_interactive(settings: &Settings) -> bool {
    io::stdin().is_terminal() && !settings.json
}

/// A live terminal, kept in `tty`, where there is one and colours are welcome; otherwise plain
/// lines.
fn source(
    settings: &Settings,
    output: &Output,
    style: Style,
    data_dir: Option<&Path>,
    tty: &OnceLock<Tty>,
) -> StdinSource {
    let talks = is_interactive(settings) && settings.errand.is_none();
    if talks && Tty::is_there() {
        let style = Style { echo_own: true, ..style };
        let view = LiveView::new(style, settings.bell, now_ms());
        match live::open(view, style.color, data_dir) {
            Ok((taken, shows, reads)) => {
                tty.get_or_init(|| taken.clone());
                let writer = shows.log();
                log::begin(settings.verbose, move || writer.clone());
                live::report_panics(taken, shows.log());
                output.go_live(shows);
                return Source::Live(Box::new(reads), Default::default());
            }
            Err(error) => {
                let text = format!("lines cannot be edited on this terminal: {error}");
                output.print(&Notice::Remark { text });
            }
        }
    }
    log::to_stderr(settings.verbose);
    let lines = LineReader::new(io::BufReader::new(io::stdin()), Limits::default().line_max_bytes);
    Source::Stream(lines)
}

/// Ctrl-C at a live terminal while a command is waited for ends only the waiting.
fn is_taken(interrupt: &Sender<()>, awaited: &AtomicU64) -> bool {
    awaited.load(Ordering::SeqCst) != NOBODY && interrupt.try_send(()).is_ok()
}

/// A panic of the thread that reads must not leave a klatch that nobody can talk to.
struct QuitOnPanic<Q: Fn()>(Q);

impl<Q: Fn()> Drop for QuitOnPanic<Q> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)();
        }
    }
}

fn read_commands<R: io::BufRead>(
    mut stdin: Stdin<R>,
    first: Vec<Command>,
    handle: &Handle,
    stay: bool,
) {
    let (face, interactive) = (stdin.face, stdin.interactive);
    let live = matches!(stdin.source, Source::Live(..));
    stdin.show_page();
    // At a live terminal there is a key for leaving, whatever the options say.
    if stdin.run(first) == Ended::Node || stay && !live {
        return;
    }
    let last = if interactive { Command::Quit } else { Command::EndOfInput };
    // A node that has ended already need not be told.
    let _ = handle.command(face, 0, last);
}

fn run_errand<R: io::BufRead>(
    mut stdin: Stdin<R>,
    first: Vec<Command>,
    (errand, target): (Errand, &Target),
    (handle, stay, done): (&Handle, bool, &AtomicBool),
) {
    let face = stdin.face;
    let Ok(did) = stdin.run_errand(first, errand, target, stay) else { return };
    done.store(did.all, Ordering::SeqCst);
    if !(stay && did.serves) {
        // A node that has ended already need not be told.
        let _ = handle.command(face, 0, Command::EndOfInput);
    }
}

/// What prints how commands ended, and passes the news on to stdin.
struct Answering {
    output: Arc<Output>,
    failures: Arc<Failures>,
    handle: Handle,
    turns: Sender<Answer>,
    awaited: Arc<AtomicU64>,
    /// Nobody types: what stdout shows is for a script, and hints belong on stderr.
    errand: bool,
    ending: Ending,
}

impl Answering {
    /// Until the node has ended.
    fn run(&self, face: &Face) {
        while let Ok(answer) = face.answers.recv() {
            if let Answer::Reply { line, command, result, after } = &answer {
                self.print_reply(*line, command, result, *after);
            }
            if let Answer::Told { line, notice, after } = &answer {
                match notice {
                    Notice::Remark { text } if self.errand => self.output.hint(*after, text),
                    notice => self.output.print_after(*after, notice),
                }
                let is_asked = matches!(notice, Notice::Files { .. } | Notice::Invitation { .. });
                if self.errand && is_asked && *line == self.awaited.load(Ordering::SeqCst) {
                    // If stdin has ended, nobody waits.
                    let _ = self.turns.send(answer);
                    continue;
                }
            }
            let (Answer::Reply { line, .. }
            | Answer::AskPassword { line, .. }
            | Answer::Confirm { line, .. }) = &answer
            else {
                continue;
            };
            if *line == self.awaited.load(Ordering::SeqCst) {
                // If stdin has ended, nobody waits.
                let _ = self.turns.send(answer);
            } else {
                self.decline(face, &answer);
            }
        }
    }

    /// Nobody waits for the command any more, so nobody is asked.
    fn decline(&self, face: &Face, question: &Answer) {
        // A node that has ended waits for no answer.
        let _ = match question {
            Answer::AskPassword { line, .. } => self.handle.password(face.id, *line, None),
            Answer::Confirm { line, .. } => self.handle.confirm(face.id, *line, false),
            _ => Ok(()),
        };
    }

    fn print_reply(
        &self,
        line: u64,
        command: &'static str,
        result: &Result<(), Failure>,
        after: u64,
    ) {
        let command = (command != Command::EndOfInput.word()).then_some(command);
        match (result, command) {
            (Err(failure), _) => {
                self.failures.note();
                let error = failures::error(line, command, failure.clone());
                self.output.print_after(after, &error);
            }
            (Ok(()), Some(command)) if line > 0 => {
                self.output.print_after(after, &Notice::CommandDone { line, command });
            }
            (Ok(()), _) => {}
        }
    }

    fn finish(&self, ended: &Receiver<u8>, last: &Sender<u8>) {
        let Ok(node_code) = ended.recv() else { return };
        let exit_code = self.ending.exit_code(node_code);
        self.output.wait_ended(LAST_LINES);
        self.output.print(&Notice::Stopped { exit_code });
        self.output.close();
        // Who waited for it may have gone.
        let _ = last.send(exit_code);
    }
}
