//! The program: options, identity, the node, and its terminal face.

mod attend;
pub mod data_dir;
mod failures;
mod input;
pub mod live;
mod log;
mod output;
mod signals;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::sync::Arc;

use time::UtcOffset;

use crate::config::{ListenAt, Options, Settings, UiChoice};
use crate::limits::Limits;
use crate::net::listener::Listen;
use crate::node::{Node, NodeConfig};
use crate::router::notice::{Code, Failure, Notice};
use crate::ui::command::connect_argument;
use crate::ui::notice::{Format, Style};
use crate::ui::terminal::ask_ui;
use output::Output;

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
        let offset = UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC);
        // What a person typed stands on the screen already.
        Style { echo_own: false, ..Style::terminal(offset) }
    };
    Style { verbose: options.verbose, ..style }
}

fn start(options: Options, output: &Arc<Output>, style: Style) -> Result<u8, (u8, Failure)> {
    let settings = options.resolve().map_err(|failure| (COULD_NOT_START, failure))?;
    let usage = |failure| (WRONG_USAGE, failure);
    let mut first = Vec::new();
    for address in &settings.connect {
        first.push(connect_argument(address).map_err(usage)?);
    }
    if choose_ui(&settings).map_err(usage)? == UiChoice::Browser {
        let text = "this version has no browser face yet: start it with --ui terminal";
        return Err((WRONG_USAGE, Failure::new(Code::Usage, text)));
    }
    let could_not = |failure| (COULD_NOT_START, failure);
    let held = data_dir::open(settings.data_dir.as_ref()).map_err(could_not)?;
    let limits = Limits { peers: settings.max_peers, ..Limits::default() };
    let node = Node::start(NodeConfig {
        name: settings.name.clone(),
        identity: held.identity.clone(),
        temporary: held.temporary.is_some(),
        limits,
        listen: listen(&settings.listen),
        downloads: settings.downloads.clone(),
        virtual_interfaces: settings.verbose,
    })
    .map_err(could_not)?;
    Ok(attend::attend(node, &settings, output, first, style))
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
