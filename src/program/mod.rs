//! The program: options, identity, the node, and its terminal face.

mod attend;
pub mod data_dir;
mod failures;
mod input;
pub mod live;
mod log;
mod output;
mod pages;
pub mod print;
mod signals;
mod verified;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;

use crate::bridge::{self, Door};
use crate::config::{ListenAt, Options, Settings, UiChoice};
use crate::limits::Limits;
use crate::net::listener::Listen;
use crate::node::{Node, NodeConfig};
use crate::router::notice::{Code, Failure, Notice};
use crate::router::text::Untrusted;
use crate::settings::{self, Saved};
use crate::ui::command::connect_argument;
use crate::ui::notice::{Format, Style};
use crate::ui::terminal::ask_ui;
use attend::Kept;
use output::Output;
use pages::Pages;
use verified::Memory;

/// Exit code of wrong usage.
const WRONG_USAGE: u8 = 2;
/// Exit code when the program could not start.
const COULD_NOT_START: u8 = 3;
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
    if let Some(printed) = print::print(&options, &mut io::stdout().lock()) {
        // Whoever stopped reading has what they wanted.
        return printed.map_or_else(|error| u8::from(!is_gone(&error)), |()| 0);
    }
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

fn style(options: &Options) -> Style {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || !io::stdout().is_terminal();
    let style = if plain {
        Style::plain()
    } else {
        // What a person typed stands on the screen already.
        Style { echo_own: false, ..Style::here() }
    };
    Style { verbose: options.verbose, ..style }
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
    let settings = options.resolve(&saved).map_err(could_not)?;
    let style = Style { color: style.color && settings.color, ..style };
    let mut first = Vec::new();
    for address in &settings.connect {
        first.push(connect_argument(address).map_err(usage)?);
    }
    // Read only when a password is asked for: it may be a pipe.
    if let Some(file) = &settings.password_file
        && let Err(error) = file.metadata()
    {
        let shown = Untrusted::new(file.to_string_lossy());
        let text = format!("cannot read the password file {shown}: {error}; check its name");
        return Err(could_not(Failure::new(Code::IoError, text)));
    }
    let ui = choose_ui(&settings).map_err(usage)?;
    let held = data_dir::open(settings.data_dir.as_ref()).map_err(could_not)?;
    // A temporary identity leaves the directory to the program that uses it.
    let kept_dir = data_dir.filter(|_| held.temporary.is_none());
    let (memory, verified) = Memory::open(kept_dir.as_deref()).map_err(|error| {
        let text = format!("cannot read who was verified: {error}");
        could_not(Failure::new(Code::IoError, text))
    })?;
    bridge::clear_up();
    let remark = make_downloads(&settings.downloads).map_err(could_not)?;
    // Before the node: who cannot have the page that was asked for has met nobody yet.
    let door = (ui == UiChoice::Browser).then(|| Door::bind(&settings.bridge)).transpose();
    let door = door.map_err(could_not)?;
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
        listen: listen(&settings.listen),
        downloads: settings.downloads.clone(),
        virtual_interfaces: settings.verbose,
        verified,
    })
    .map_err(could_not)?;
    let pages = Arc::new(Pages::new(node.access(), &settings, secret, limits));
    if let Some(door) = door {
        pages.start(door).map_err(could_not)?;
    }
    let kept = Kept { dir: kept_dir, memory, remark };
    Ok(attend::attend(node, &settings, output, (first, style), (kept, pages)))
}

/// Makes the folder for downloads if it is missing, and says so. A folder around it that is missing
/// as well is more likely a slip, or a disk that is not there.
fn make_downloads(folder: &Path) -> Result<Option<String>, Failure> {
    let shown = Untrusted::new(folder.to_string_lossy());
    let failed = |error: io::Error| {
        let (code, advice) = match error.kind() {
            io::ErrorKind::NotFound => (Code::FileNotFound, "make the folder that it lies in, or"),
            io::ErrorKind::PermissionDenied => (Code::PermissionDenied, "make it yourself, or"),
            io::ErrorKind::NotADirectory => (Code::IoError, "that is no folder:"),
            _ => (Code::IoError, "is its disk there?"),
        };
        let text = format!(
            "cannot use {shown} for downloads: {error}; {advice} name another folder with \
             --downloads"
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
