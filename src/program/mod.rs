//! The program: options, identity, the node, and its terminal face.

mod answers;
mod backlog;
pub mod data_dir;
mod failures;
#[doc(hidden)]
pub mod foreign;
mod input;
mod interactive;
mod job;
pub mod live;
mod log;
mod one_shot;
mod opener;
mod output;
mod pages;
mod paths;
pub mod print;
mod seat;
mod signals;
mod verified;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use crate::bridge::{self, BridgeListener};
use crate::config::{ListenAt, Options, Settings, Task, UiChoice};
use crate::limits::Limits;
use crate::net::listener::Listen;
use crate::node::{Node, NodeConfig};
use crate::router::command::{Command, LockWish};
use crate::router::near::nearest;
use crate::router::notice::{Code, Failure, Notice};
use crate::router::text::Untrusted;
use crate::settings::{self, Saved};
use crate::sys::signals::ignore_file_limit;
use crate::ui::command::{connect_argument, read_new_password};
use crate::ui::notice::{Format, Style, error_line};
use crate::ui::terminal::{answer_from_file, ask_ui};
use interactive::RunState;
use one_shot::SaveTarget;
use output::Output;
use pages::Pages;
use verified::Memory;

/// Exit code of wrong usage.
const WRONG_USAGE: u8 = 2;
/// Exit code when the program could not start.
const COULD_NOT_START: u8 = 3;
/// Exit code when a command, or printing, failed.
const OUTPUT_FAILED: u8 = 1;

/// Runs klatch with these arguments (the program's name first) and returns its exit code.
#[must_use]
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    ignore_file_limit();
    let options = match Options::parse_args(args) {
        Ok(options) => options,
        Err(error) => {
            // Help and version go to stdout and are no error.
            let code = if error.use_stderr() { WRONG_USAGE } else { 0 };
            return printed(error.print().and_then(|()| io::stdout().flush()), code);
        }
    };
    let mut out = io::stdout().lock();
    if let Some(done) = print::print(&options, &mut out) {
        return printed(done.and_then(|()| out.flush()), 0);
    }
    drop(out);
    let json = options.json;
    let style = style(&options);
    let output = Output::new(if json { Format::Json } else { Format::People(style) });
    match start(options, &output, style) {
        Ok(code) => code,
        Err((code, failure)) => {
            output.print(&failures::error(0, None, failure));
            output.print(&Notice::Stopped { exit_code: code });
            code
        }
    }
}

/// The exit code after klatch printed something about itself.
fn printed(done: io::Result<()>, code: u8) -> u8 {
    match done {
        Ok(()) => code,
        // A reader that has stopped got what it wanted.
        Err(error) if is_gone(&error) => code,
        Err(error) => {
            // If this cannot be printed either, there is nobody to tell.
            let line = error_line(&output::failed(&error), &Style::plain());
            let _ = writeln!(io::stderr(), "{line}");
            OUTPUT_FAILED
        }
    }
}

/// Output to a terminal depends on its abilities; anything else gets only text.
fn style(options: &Options) -> Style {
    let terminal = io::stdout().is_terminal();
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let color = terminal && !no_color && !live::is_dumb();
    let color_errors = color && io::stderr().is_terminal();
    let timestamps = terminal || options.timestamps;
    // A person's input is on the screen already.
    Style {
        color,
        color_errors,
        timestamps,
        // Times are in the system's time zone when they are shown.
        offset: if timestamps { None } else { Style::plain().offset },
        verbose: options.verbose,
        ..Style::plain()
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

fn start(options: Options, output: &Arc<Output>, style: Style) -> Result<u8, (u8, Failure)> {
    let could_not = |failure| (COULD_NOT_START, failure);
    let usage = |failure| (WRONG_USAGE, failure);
    let data_dir = options.data_dir().map_err(could_not)?.map(|dir| dir.path);
    if options.init_config {
        let Some(dir) = data_dir else {
            let text = "--ephemeral keeps nothing: name a --data-dir for --init-config";
            return Err(usage(Failure::new(Code::Usage, text)));
        };
        let path = settings::init(&dir).map_err(could_not)?;
        output.print(&Notice::Remark { text: format!("wrote {}", path.display()) });
        return Ok(0);
    }
    let saved = match &data_dir {
        Some(dir) => Saved::read(dir).map_err(usage)?,
        None => Saved::default(),
    };
    let mut settings = options.resolve(&saved).map_err(could_not)?;
    settings.check().map_err(usage)?;
    let color_errors = style.color_errors && settings.color;
    let style = Style { color: style.color && settings.color, color_errors, ..style };
    output.restyle(style);
    let mut first = Vec::new();
    if settings.lock && (settings.one_shot.is_none() || settings.password_file.is_some()) {
        first.push(Command::Password { password: None, asks: false });
    }
    for address in &settings.connect {
        let mut command =
            connect_argument(address).map_err(|failure| usage(meant(address, failure)))?;
        // A password implies a closed room: nothing is sent to an open one.
        if let Command::Connect { lock: lock @ LockWish::Unknown, .. } = &mut command
            && settings.password_file.is_some()
        {
            *lock = LockWish::Locked;
        }
        first.push(command);
    }
    if let Some(file) = &settings.password_file {
        let kind = file.metadata().map_err(|error| {
            let shown = Untrusted::new(file.to_string_lossy()).line();
            let text = format!("cannot read the password file {shown}: {error}; check its name");
            could_not(Failure::new(Code::IoError, text))
        })?;
        // A pipe is read only when a password is asked for.
        if settings.lock && kind.is_file() {
            answer_from_file(file).and_then(|text| read_new_password(&text)).map_err(could_not)?;
        }
    }
    let target = match &settings.one_shot {
        Some(one_shot) => SaveTarget::of(&one_shot.task, &settings.downloads),
        None => Ok(SaveTarget::Folder(settings.downloads.clone())),
    };
    let target = target.map_err(|failure| (OUTPUT_FAILED, failure))?;
    settings.downloads = target.folder().to_owned();
    let unknown = |failure: Failure| match failure.code {
        Code::RoomUnknown => (OUTPUT_FAILED, failure),
        _ => usage(failure),
    };
    let mut made = None;
    if let Some(one_shot) = &settings.one_shot {
        if matches!(one_shot.task, Task::Get { .. }) {
            made = make_downloads(&settings.downloads).map_err(could_not)?;
        }
        let task = (&first[..], &target, made.clone());
        if let Some(code) = job::hand_over((&settings, one_shot), (style, output), task)? {
            return Ok(code);
        }
    }
    settings.check_place().map_err(unknown)?;
    let ui = choose_ui(&settings).map_err(usage)?;
    let held = data_dir::open(settings.data_dir.as_ref()).map_err(could_not)?;
    // A temporary identity leaves the directory to the program that uses it.
    let kept_dir = data_dir.filter(|_| held.temporary.is_none());
    let (memory, verified) = Memory::open(kept_dir.as_deref()).map_err(|error| {
        let text = format!("cannot read who was verified: {error}");
        could_not(Failure::new(Code::IoError, text))
    })?;
    bridge::clear_up();
    opener::clear_up();
    let made = made.or(make_downloads(&settings.downloads).map_err(could_not)?);
    let unused = settings.password_file.is_some() && !settings.lock && first.is_empty();
    let open = || "the room is open: --password-file answers questions only, --lock closes it";
    let mut remarks: Vec<_> =
        made.or_else(|| unused.then(|| open().to_owned())).into_iter().collect();
    // Before the node, because there may be jobs as soon as it is seen to run.
    let takes_jobs = kept_dir.as_ref().filter(|_| settings.one_shot.is_none());
    let jobs =
        takes_jobs.map(|dir| job::JobListener::open(dir)).transpose().unwrap_or_else(|error| {
            remarks.push(format!("klatch send, get and say cannot act in this klatch: {error}"));
            None
        });
    // Before the node: if the requested page is not possible, nobody has been met yet.
    let listener =
        (ui == UiChoice::Browser).then(|| BridgeListener::bind(&settings.bridge)).transpose();
    let listener = listener.map_err(could_not)?;
    let limits = Limits {
        peers: settings.max_peers,
        up_bytes_per_s: settings.limit_up,
        down_bytes_per_s: settings.limit_down,
        trust_loopback: settings.trust_loopback,
        ..Limits::default()
    };
    let secret = held.page_secret().map_err(could_not)?;
    let node = Node::start(NodeConfig {
        name: settings.name.clone(),
        identity: held.identity.clone(),
        temporary: held.temporary.is_some(),
        limits: limits.clone(),
        locked: settings.lock,
        listen: listen(&settings.listen),
        downloads: settings.downloads.clone(),
        virtual_interfaces: settings.verbose,
        verified,
    })
    .map_err(could_not)?;
    let pages = Arc::new(Pages::new(node.access(), &settings, secret));
    if let Some(listener) = listener {
        pages.start(listener).map_err(could_not)?;
    }
    let kept = RunState { dir: kept_dir, memory, remarks, jobs };
    Ok(interactive::run_interactive(node, &settings, output, (first, style, target), (kept, pages)))
}

/// What is wrong with a place, with what the person may have meant.
fn meant(place: &str, failure: Failure) -> Failure {
    let first = place.split_whitespace().next().unwrap_or_default();
    match nearest(first, ["send", "get", "say"]) {
        Some(near) => {
            let text = format!("{} (did you mean klatch {near} …?)", failure.text);
            Failure { text, ..failure }
        }
        None => failure,
    }
}

/// Makes the downloads folder if it is missing, and reports that. If its parent is missing too,
/// that is more likely a slip, or a missing disk.
fn make_downloads(folder: &Path) -> Result<Option<String>, Failure> {
    let shown = Untrusted::new(folder.to_string_lossy()).line();
    let failed = |error: io::Error| {
        let (code, advice) = match error.kind() {
            io::ErrorKind::NotFound => (Code::FileNotFound, "make the folder that it lies in, or"),
            io::ErrorKind::PermissionDenied => (Code::PermissionDenied, "make it yourself, or"),
            io::ErrorKind::NotADirectory => (Code::IoError, "that is no folder:"),
            _ => (Code::IoError, "is its disk there?"),
        };
        let text = format!(
            "cannot use {shown} for downloads: {error}; {advice} name another folder \
             (--downloads, or --output of get)"
        );
        Failure::new(code, text)
    };
    match std::fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(None),
        Ok(_) => Err(failed(io::ErrorKind::NotADirectory.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir(folder).map_err(failed)?;
            Ok(Some(format!("made the folder {shown} for downloads")))
        }
        Err(error) => Err(failed(error)),
    }
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
