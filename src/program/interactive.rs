//! Runs the terminal: the threads that print, read and answer, until the node has ended.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};

use super::failures::Failures;
use super::input::{InputEnded, NOBODY, Pulse, Source, Stdin};
use super::job::Jobs;
use super::live::{self, Tty, is_dumb};
use super::one_shot::SaveTarget;
use super::output::{Output, now_ms};
use super::pages::Pages;
use super::seat::FaceSeat;
use super::verified::Memory;
use super::{job, log, signals};
use crate::config::{Backlog, OneShot, Settings};
use crate::node::{self, Handle, Node};
use crate::router::command::{Command, LeaveWhen};
use crate::router::ids::FaceId;
use crate::router::notice::{Code, Failure, Notice};
use crate::router::rights::FaceRights;
use crate::thread;
use crate::ui::line_reader::{LINE_MAX_BYTES, LineReader};
use crate::ui::live::LiveView;
use crate::ui::notice::{Style, error_line};

/// How long the end waits for a slow reader of stdout.
const LAST_LINES: Duration = Duration::from_secs(2);
/// How many earlier messages a person sees, unless told otherwise.
const BACKLOG: usize = 20;

/// What is kept from run to run.
#[derive(Debug)]
pub(super) struct RunState {
    /// The data directory, unless this run's identity is temporary.
    pub(super) dir: Option<PathBuf>,
    /// Identities that the person has verified.
    pub(super) memory: Memory,
    /// What people should know from the start.
    pub(super) remarks: Vec<String>,
    /// The socket for jobs, if this klatch takes any.
    pub(super) jobs: Option<job::JobListener>,
}

type StdinSource = Source<io::BufReader<io::Stdin>>;

/// Serves the terminal until the node has ended; returns the exit code.
pub(super) fn run_interactive(
    node: Node,
    settings: &Settings,
    output: &Arc<Output>,
    (first, style, target): (Vec<Command>, Style, SaveTarget),
    (kept, pages): (RunState, Arc<Pages>),
) -> u8 {
    // A person sees what fails, and makes typing mistakes.
    let failures =
        Arc::new(Failures::new(settings.one_shot.is_some() || !is_interactive(settings)));
    let ending = Ending {
        failures: Arc::clone(&failures),
        done: Arc::new(AtomicBool::new(settings.one_shot.is_none())),
    };
    let face = node.handle().face(FaceRights::TERMINAL);
    let quit = {
        let handle = node.handle().clone();
        move || {
            // It may have ended already.
            let _ = handle.end();
        }
    };
    let (interrupt, interrupts) = bounded(1);
    let awaited = Arc::new(AtomicU64::new(NOBODY));
    let tty = Arc::new(OnceLock::<Tty>::new());
    // Before klatch shows anything: somebody who sees it may send a signal.
    let signals = {
        let (tty, awaited) = (Arc::clone(&tty), Arc::clone(&awaited));
        let on_tty = |act: fn(&Tty)| {
            let tty = Arc::clone(&tty);
            move || tty.get().into_iter().for_each(act)
        };
        let (last, resumed) = (on_tty(Tty::restore), on_tty(Tty::resume));
        let interrupt = interrupt.clone();
        let taken = move || {
            let taken = tty.get().is_some() && is_taken(&interrupt, &awaited);
            tty.get().into_iter().filter(|_| taken).for_each(Tty::wake);
            taken
        };
        signals::watch(quit.clone(), taken, last, resumed)
    };
    let source = source(settings, output, style, kept.dir.as_deref(), &tty);
    let talks = is_interactive(settings) && settings.one_shot.is_none();
    let most = talks.then_some(BACKLOG);
    output.bound_backlog(settings.backlog.map_or(most, |Backlog(most)| most));
    if let Some(one_shot) = &settings.one_shot {
        output.show_results(!one_shot.takes_stdout());
        if io::stderr().is_terminal() && !is_dumb() {
            output.show_bar(None);
        }
    }
    let seat = FaceSeat {
        handle: node.handle().clone(),
        face: face.id,
        feed: node.feed().clone(),
        output: Arc::clone(output),
        failures: Arc::clone(&failures),
        pages: Arc::clone(&pages),
        tty: Arc::clone(&tty),
        awaited,
        one_shot: settings.one_shot.is_some(),
    };
    let (stdin, answers) = seat.take(source);
    let stdin = Stdin {
        interactive: is_interactive(settings),
        // The answer to the question at the start was a line, too.
        number: u64::from(settings.ui.is_none()),
        password_file: settings.password_file.clone(),
        interrupt,
        interrupts,
        ..stdin
    };
    let (pulse, folders) = (Arc::clone(&stdin.pulse), Arc::clone(&stdin.kept));
    let jobs = kept.jobs;
    let jobs =
        jobs.map(|listener| Jobs::start(listener, (node.access(), node.addr()), &pages, &folders));
    let target = Arc::new(target);
    let reader = node.feed().reader();
    let printing = {
        let output = Arc::clone(output);
        let broken = Broken {
            failures: Arc::clone(&failures),
            handle: node.handle().clone(),
            face: face.id,
            one_shot: settings.one_shot.is_some(),
            pulse,
        };
        let (memory, remarks) = (kept.memory, kept.remarks);
        let noted = move |notice: &Notice| match notice {
            Notice::Started { .. } => {
                remarks.iter().map(|text| Notice::Remark { text: text.clone() }).collect()
            }
            _ => memory.hear(notice).into_iter().collect(),
        };
        thread::spawn_exempt("printer", move || {
            output.run(reader, move |failure, live| broken.tell(failure, live), noted)
        })
    };
    let reading = {
        let (handle, quit) = (node.handle().clone(), quit.clone());
        let stay = settings.stay || pages.is_started() && !stdin.interactive;
        let one_shot = settings.one_shot.clone();
        let (target, done) = (Arc::clone(&target), Arc::clone(&ending.done));
        thread::spawn_exempt("stdin", move || {
            let _quit = QuitOnPanic(quit);
            match one_shot {
                Some(one_shot) => {
                    run_one_shot(stdin, first, (one_shot, &target), (&handle, stay, &done))
                }
                None => read_commands(stdin, first, &handle, stay),
            }
        })
    };
    let (end, ended) = bounded(1);
    let (last, said) = bounded(1);
    let answering = {
        let ending = ending.clone();
        thread::spawn_exempt("answers", move || {
            answers.run(&face);
            let Ok(node_code) = ended.recv() else { return };
            let exit_code = ending.exit_code(node_code);
            answers.output.wait_ended(LAST_LINES);
            answers.output.print(&Notice::Stopped { exit_code });
            answers.output.close();
            // The client that was waiting for it may be gone.
            let _ = last.send(exit_code);
        })
    };
    for started in [signals, printing, reading, answering] {
        if let Err(error) = started {
            let text = format!("cannot start a thread: {error}");
            failures.say(output, 0, None, Failure::new(Code::IoError, text));
            quit();
        }
    }
    let node_code = node.wait_stopped();
    pages.stop();
    drop(jobs);
    // Nothing from here on touches stdout: if nobody reads it, that blocks the printing threads,
    // and must not block the end.
    let _ = end.send(node_code);
    let code = said.recv_timeout(LAST_LINES);
    if let Some(tty) = tty.get() {
        tty.restore();
    }
    code.unwrap_or_else(|_| ending.exit_code(node_code))
}

/// Stdout cannot be written any more: stderr and the exit code report it, and the script is still
/// carried out.
struct Broken {
    failures: Arc<Failures>,
    handle: Handle,
    face: FaceId,
    one_shot: bool,
    pulse: Arc<Pulse>,
}

impl Broken {
    fn tell(&self, failure: &Failure, live: bool) {
        self.failures.note_in_any_case();
        // If errors cannot be written there is nobody to tell.
        let _ = writeln!(io::stderr(), "{}", error_line(failure, &Style::plain()));
        let (handle, face) = (self.handle.clone(), self.face);
        if live {
            // The terminal is gone, and so is whoever used it.
            let _ = handle.end();
        } else if !self.one_shot {
            let pulse = Arc::clone(&self.pulse);
            let end = move || {
                pulse.wait_idle();
                // It may have ended already.
                let _ = handle.command(face, 0, Command::EndOfInput);
            };
            if let Err(error) = thread::spawn_exempt("last lines", end) {
                tracing::error!(%error, "no thread could be started");
                let _ = self.handle.end();
            }
        }
    }
}

/// What the exit code depends on.
#[derive(Debug, Clone)]
struct Ending {
    failures: Arc<Failures>,
    /// Whether a one-shot has done everything; otherwise false.
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

/// Whether a person is typing.
fn is_interactive(settings: &Settings) -> bool {
    io::stdin().is_terminal() && !settings.json
}

/// A live terminal, kept in `tty`, if there is one and colours are allowed; otherwise plain lines.
fn source(
    settings: &Settings,
    output: &Output,
    style: Style,
    data_dir: Option<&Path>,
    tty: &OnceLock<Tty>,
) -> StdinSource {
    let talks = is_interactive(settings) && settings.one_shot.is_none();
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
                return Source::Live(Box::new(reads));
            }
            Err(error) => {
                let text = format!("lines cannot be edited on this terminal: {error}");
                output.print(&Notice::Remark { text });
            }
        }
    }
    log::to_stderr(settings.verbose);
    let lines = LineReader::new(io::BufReader::new(io::stdin()), LINE_MAX_BYTES);
    Source::Stream(lines)
}

/// At a live terminal, Ctrl-C while a command is awaited ends only the waiting.
fn is_taken(interrupt: &Sender<()>, awaited: &AtomicU64) -> bool {
    awaited.load(Ordering::SeqCst) != NOBODY && interrupt.try_send(()).is_ok()
}

/// If the reading thread panics, it must not leave a klatch that nobody can talk to.
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
    // A live terminal has a key for leaving, whatever the options say.
    if stdin.run(first) == InputEnded::Node || stay && !live {
        return;
    }
    let last = match (live, interactive) {
        // The terminal is gone, and so is whoever used it.
        (true, _) => Command::Quit(LeaveWhen::Now),
        // Somebody who typed Ctrl-D cannot be asked any more.
        (false, true) => Command::Quit(LeaveWhen::Served),
        (false, false) => Command::EndOfInput,
    };
    // It may have ended already.
    let _ = handle.command(face, 0, last);
}

fn run_one_shot<R: io::BufRead>(
    mut stdin: Stdin<R>,
    first: Vec<Command>,
    (one_shot, target): (OneShot, &SaveTarget),
    (handle, stay, done): (&Handle, bool, &AtomicBool),
) {
    let face = stdin.face;
    let Ok(did) = stdin.run_one_shot(first, one_shot, target, stay) else { return };
    done.store(did.all, Ordering::SeqCst);
    if !(stay && did.serves) {
        // It may have ended already.
        let _ = handle.command(face, 0, Command::EndOfInput);
    }
}
