//! The program: options, identity, the node, and its terminal face.

pub mod data_dir;
mod failures;
mod input;
mod output;
mod pages;
mod signals;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use time::UtcOffset;

use crate::bridge::Door;
use crate::config::{ListenAt, Options, Settings, UiChoice};
use crate::limits::Limits;
use crate::net::listener::Listen;
use crate::node::{Answer, Face, Handle, Node, NodeConfig};
use crate::router::command::Command;
use crate::router::notice::{Code, Failure, Notice};
use crate::thread;
use crate::ui::command::connect_argument;
use crate::ui::line_reader::LineReader;
use crate::ui::notice::{Format, Style};
use crate::ui::terminal::ask_ui;
use failures::Failures;
use input::{Ended, NOBODY, Stdin};
use output::Output;
use pages::Pages;

/// Exit code of wrong usage.
const WRONG_USAGE: u8 = 2;
/// Exit code when the program could not start.
const COULD_NOT_START: u8 = 3;
/// How long the end waits for a slow reader of stdout.
const LAST_LINES: Duration = Duration::from_secs(2);
/// Answers on their way to stdin: it waits for one at a time.
const TURNS: usize = 16;

/// Runs klatch with these arguments (the program's name first) and returns its exit code.
#[must_use]
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let options = match Options::parse_args(args) {
        Ok(options) => options,
        Err(error) => {
            // Help and version go to stdout and are no error.
            let code = if error.use_stderr() { WRONG_USAGE } else { 0 };
            let _ = error.print();
            return code;
        }
    };
    let json = options.json;
    let output = Output::new(if json { Format::Json } else { Format::People(style(&options)) });
    match start(options, &output) {
        Ok(code) => code,
        Err((code, failure)) => {
            output.print(&failures::error(0, None, failure));
            output.print(&Notice::Stopped { exit_code: code });
            code
        }
    }
}

fn style(options: &Options) -> Style {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || !io::stdout().is_terminal();
    let style = if plain {
        Style::plain()
    } else {
        let offset = UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC);
        // What a person typed stands on the screen already.
        Style { echo_own: false, ..Style::terminal(offset) }
    };
    Style { verbose: options.verbose, ..style }
}

fn start(options: Options, output: &Arc<Output>) -> Result<u8, (u8, Failure)> {
    let settings = options.resolve().map_err(|failure| (COULD_NOT_START, failure))?;
    log_to_stderr(settings.verbose);
    let usage = |failure| (WRONG_USAGE, failure);
    let mut first = Vec::new();
    for address in &settings.connect {
        first.push(connect_argument(address).map_err(usage)?);
    }
    let ui = choose_ui(&settings).map_err(usage)?;
    let could_not = |failure| (COULD_NOT_START, failure);
    let held = data_dir::open(settings.data_dir.as_ref()).map_err(could_not)?;
    // Before the node: who cannot have the page that was asked for has met nobody yet.
    let door = (ui == UiChoice::Browser).then(|| Door::bind(&settings.bridge)).transpose();
    let door = door.map_err(could_not)?;
    let limits = Limits {
        peers: settings.max_peers,
        up_bytes_per_s: settings.limit_up,
        down_bytes_per_s: settings.limit_down,
        ..Limits::default()
    };
    let secret = held.page_secret().map_err(could_not)?;
    let node = Node::start(NodeConfig {
        name: settings.name.clone(),
        identity: held.identity.clone(),
        temporary: held.temporary.is_some(),
        limits: limits.clone(),
        listen: listen(&settings.listen),
        downloads: settings.downloads.clone(),
        virtual_interfaces: settings.verbose,
    })
    .map_err(could_not)?;
    let pages = Arc::new(Pages::new(node.access(), &settings, secret, limits));
    if let Some(door) = door {
        pages.start(door).map_err(could_not)?;
    }
    Ok(attend(node, &settings, output, (first, pages)))
}

fn choose_ui(settings: &Settings) -> Result<UiChoice, Failure> {
    if let Some(ui) = settings.ui {
        return Ok(ui);
    }
    let interactive = io::stdin().is_terminal();
    if settings.json {
        ask_ui(&mut io::stdin().lock(), &mut io::stderr(), interactive)
    } else {
        ask_ui(&mut io::stdin().lock(), &mut io::stdout(), interactive)
    }
}

fn listen(at: &ListenAt) -> Listen {
    Listen { ip: at.addr, port: at.explicit.then_some(at.port) }
}

/// Serves the terminal until the node has ended; gives the exit code.
fn attend(
    node: Node,
    settings: &Settings,
    output: &Arc<Output>,
    (first, pages): (Vec<Command>, Arc<Pages>),
) -> u8 {
    let failures = Arc::new(Failures::default());
    let face = node.handle().face();
    let reader = node.feed().reader();
    let quit = {
        let (handle, face) = (node.handle().clone(), face.id);
        move || {
            // A node that has ended already need not be told.
            let _ = handle.command(face, 0, Command::Quit);
        }
    };
    let printing = {
        let (output, quit) = (Arc::clone(output), quit.clone());
        thread::spawn_exempt("printer", move || output.run(reader, quit))
    };
    let (turns, answers) = bounded(TURNS);
    let awaited = Arc::new(AtomicU64::new(NOBODY));
    let lines = LineReader::new(io::BufReader::new(io::stdin()), Limits::default().line_max_bytes);
    let stdin = Stdin {
        lines,
        // The answer to the question of the start was a line as well.
        number: u64::from(settings.ui.is_none()),
        interactive: io::stdin().is_terminal() && !settings.json,
        password_file: settings.password_file.clone(),
        handle: node.handle().clone(),
        face: face.id,
        answers,
        awaited: Arc::clone(&awaited),
        feed: node.feed().clone(),
        output: Arc::clone(output),
        failures: Arc::clone(&failures),
        pages: Arc::clone(&pages),
    };
    let reading = {
        let (handle, stay) =
            (node.handle().clone(), settings.stay || pages.is_started() && !stdin.interactive);
        thread::spawn_exempt("stdin", move || read_commands(stdin, first, &handle, stay))
    };
    let signals = signals::watch(quit.clone());
    let (end, ended) = bounded(1);
    let (last, said) = bounded(1);
    let answering = {
        let (output, failures) = (Arc::clone(output), Arc::clone(&failures));
        thread::spawn_exempt("answers", move || {
            answer_commands(&face, &output, &failures, (&turns, &awaited));
            let Ok(node_code) = ended.recv() else { return };
            let exit_code = u8::max(node_code, failures.any().into());
            output.wait_ended(LAST_LINES);
            output.print(&Notice::Stopped { exit_code });
            // Who waited for it may have gone.
            let _ = last.send(exit_code);
        })
    };
    for started in [printing, reading, signals, answering] {
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
    said.recv_timeout(LAST_LINES).unwrap_or_else(|_| node_code.max(failures.any().into()))
}

fn read_commands<R: io::BufRead>(
    mut stdin: Stdin<R>,
    first: Vec<Command>,
    handle: &Handle,
    stay: bool,
) {
    let (face, interactive) = (stdin.face, stdin.interactive);
    stdin.show_page();
    if stdin.run(first) == Ended::Node || stay {
        return;
    }
    let last = if interactive { Command::Quit } else { Command::EndOfInput };
    // A node that has ended already need not be told.
    let _ = handle.command(face, 0, last);
}

/// Prints how commands ended, and passes the news on to stdin, until the node has ended.
fn answer_commands(
    face: &Face,
    output: &Output,
    failures: &Failures,
    (turns, awaited): (&Sender<Answer>, &AtomicU64),
) {
    while let Ok(answer) = face.answers.recv() {
        if let Answer::Reply { line, command, result, after } = &answer {
            let command = (*command != Command::EndOfInput.word()).then_some(*command);
            match (result, command) {
                (Err(failure), _) => {
                    failures.note();
                    output.print_after(*after, &failures::error(*line, command, failure.clone()));
                }
                (Ok(()), Some(command)) if *line > 0 => {
                    output.print_after(*after, &Notice::CommandDone { line: *line, command });
                }
                (Ok(()), _) => {}
            }
        }
        if let Answer::Told { notice, after, .. } = &answer {
            output.print_after(*after, notice);
        }
        let (Answer::Reply { line, .. } | Answer::AskPassword { line, .. }) = &answer else {
            continue;
        };
        if *line == awaited.load(Ordering::SeqCst) {
            // If stdin has ended, nobody waits.
            let _ = turns.send(answer);
        }
    }
}

fn log_to_stderr(verbose: bool) {
    use tracing_subscriber::filter::LevelFilter;
    let level = if verbose { LevelFilter::INFO } else { LevelFilter::ERROR };
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false);
    // A second call in one process changes nothing.
    let _ = log.try_init();
}
