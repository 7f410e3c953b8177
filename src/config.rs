//! Command line options, and the settings of one run that follow from them.
//!
//! [`Options`] is what was typed; [`Settings`] is the result, with the defaults of this machine
//! filled in. Nothing here opens a file or a socket.

// Descriptions of options are shown as they stand: they are no Markdown.
#![allow(rustdoc::broken_intra_doc_links)]

mod one_shot;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use etcetera::base_strategy::BaseStrategy;

use crate::router::notice::{Code, Failure};
use crate::router::text::{NAME_MAX_CHARS, check_name, is_control, is_format};
use crate::settings::Saved;
use crate::sys::process::login_name;
use crate::ui::rate::parse_rate;

pub use one_shot::{GetArgs, OneShot, OneShotCommand, SayArgs, SendArgs, Task, is_stdout};

/// Where a klatch listens for peers, unless told otherwise.
pub const DEFAULT_PORT: u16 = 51_692;
/// Where the browser bridge listens unless told otherwise.
pub const DEFAULT_BRIDGE_PORT: u16 = 8_765;
/// The most links, unless told otherwise.
const DEFAULT_MAX_PEERS: u16 = 128;
/// Names the data directory, unless `--data-dir` does.
pub const DATA_DIR_VARIABLE: &str = "KLATCH_DATA_DIR";

/// The face that klatch shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum UiChoice {
    /// Commands and messages in this terminal
    Terminal,
    /// A page in the browser; this terminal still takes commands
    Browser,
}

/// A place to listen at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAt {
    /// One address, or all of them when `None`.
    pub addr: Option<IpAddr>,
    /// TCP port; 0 means any free one.
    pub port: u16,
    /// Chosen by the person, so never replaced.
    pub explicit: bool,
}

/// What was typed on the command line.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(
    name = "klatch",
    version,
    about,
    max_term_width = 100,
    disable_help_subcommand = true,
    override_usage = "klatch [OPTIONS] [WHERE]\n       klatch [OPTIONS] <send|get|say> …"
)]
pub struct Options {
    /// The room to join: an invitation (klatch:…), or ADDRESS[:PORT]
    #[arg(value_name = "WHERE", num_args = 0..=3)]
    pub place: Vec<String>,

    /// The interface to use; klatch asks if it is not given
    #[arg(long, global = true, value_name = "terminal|browser", hide_possible_values = true)]
    pub ui: Option<UiChoice>,

    /// Your nickname [default: your login name]
    #[arg(short, long, global = true, value_name = "NICK", value_parser = name_value)]
    pub name: Option<String>,

    /// Where to listen for others [default: all addresses, port 51692 or any free one]
    #[arg(short, long, global = true, value_name = "[ADDR:]PORT", value_parser = listen_value)]
    pub listen: Option<ListenAt>,

    /// The same as WHERE; may be given more than once
    #[arg(short, long, global = true, value_name = "WHERE")]
    pub connect: Vec<String>,

    /// Where to serve the page [default: 127.0.0.1:8765 or the next free port]
    #[arg(long, global = true, value_name = "[ADDR:]PORT", value_parser = bridge_value)]
    pub bridge: Option<ListenAt>,

    /// Where downloads go [default: the current directory]
    #[arg(short, long, global = true, value_name = "DIR")]
    pub downloads: Option<PathBuf>,

    /// Data directory, with identity and settings [default: the platform's; env: KLATCH_DATA_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Keep nothing on disk but downloads; use a new identity for this run
    #[arg(long, global = true)]
    pub ephemeral: bool,

    /// Upload limit for files, e.g. 5MB/s
    #[arg(long, global = true, value_name = "RATE", value_parser = rate_value)]
    pub limit_up: Option<Rate>,

    /// Download limit for files
    #[arg(long, global = true, value_name = "RATE", value_parser = rate_value)]
    pub limit_down: Option<Rate>,

    /// Print one JSON event per line on stdout, and nothing else there
    #[arg(long, global = true)]
    pub json: bool,

    /// How many earlier messages to print [default: 20 at a terminal, otherwise all]
    #[arg(long, global = true, value_name = "N|all|none", value_parser = backlog_value)]
    pub backlog: Option<Backlog>,

    /// send, get and say: ignore a klatch that runs with this data directory
    #[arg(long, global = true)]
    pub alone: bool,

    /// send, get and say: only in this room of the running klatch (8 or more digits of its id), or
    /// in a new one
    #[arg(long, global = true, value_name = "ID|new", value_parser = room_value)]
    pub room: Option<RoomChoice>,

    /// Show times in plain output
    #[arg(long, global = true)]
    pub timestamps: bool,

    /// Do not open the browser, only print the page's address
    #[arg(long, global = true)]
    pub no_open: bool,

    /// Keep running when stdin ends; `send`: keep offering; `get`: keep serving
    #[arg(long, global = true)]
    pub stay: bool,

    /// Start in a closed room, with the password from --password-file or asked for
    #[arg(long, global = true)]
    pub lock: bool,

    /// Read passwords from this file, without its final newline; with WHERE, refuse an open room
    #[arg(long, global = true, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// Show more: every address, and a log on stderr
    #[arg(short, long, global = true)]
    pub verbose: bool,

    /// Write a settings file with explanations to the data directory, and exit
    #[arg(long)]
    pub init_config: bool,

    /// Print the JSON Schema of the events of --json, and exit
    #[arg(long)]
    pub json_schema: bool,

    /// Print the completion script for a shell, and exit
    #[arg(long, value_name = "bash|zsh|fish")]
    pub completions: Option<Shell>,

    /// Print the man page, and exit
    #[arg(long)]
    pub man: bool,

    /// A single task, instead of a chat
    #[command(subcommand)]
    pub one_shot: Option<OneShotCommand>,
}

/// The room to begin in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomChoice {
    /// A fresh one.
    New,
    /// The one whose id begins with these hex digits (8 or more, in lower case).
    Id(String),
}

/// A shell that completes options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Where identity and settings are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir {
    /// The folder (absolute; it may not exist yet).
    pub path: PathBuf,
    /// Chosen by option or environment. If it is in use, klatch then refuses to start; the default
    /// one is left to the klatch that holds it, and this one takes a temporary identity.
    pub chosen: bool,
}

/// What applies to this run: the options with all defaults filled in; all paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The face; `None` means that klatch asks.
    pub ui: Option<UiChoice>,
    /// A valid nickname.
    pub name: String,
    /// Where peers reach us.
    pub listen: ListenAt,
    /// Peers to connect to and invitations, as typed: `ui::command::connect_argument` reads them.
    pub connect: Vec<String>,
    /// Where the page is served; always a definite address.
    pub bridge: ListenAt,
    /// Where downloads go.
    pub downloads: PathBuf,
    /// Where files given in the page are stored; `None` means a temporary folder of this run.
    pub share_dir: Option<PathBuf>,
    /// `None` if nothing is kept.
    pub data_dir: Option<DataDir>,
    /// The most links.
    pub max_peers: usize,
    /// Most bytes of files sent per second.
    pub limit_up: Option<u64>,
    /// Most bytes of files fetched per second.
    pub limit_down: Option<u64>,
    /// Events for programs on stdout.
    pub json: bool,
    /// Whether klatch opens the browser itself.
    pub open_browser: bool,
    /// Keep running when stdin ends.
    pub stay: bool,
    /// Whether the room is closed from the start.
    pub lock: bool,
    /// The file that answers questions for passwords.
    pub password_file: Option<PathBuf>,
    /// Say more.
    pub verbose: bool,
    /// How many earlier messages are printed, if an option says so.
    pub backlog: Option<Backlog>,
    /// Whether a message that mentions this person rings the terminal's bell.
    pub bell: bool,
    /// Colours on a terminal.
    pub color: bool,
    /// Whether wrong passwords from this computer are not counted.
    pub trust_loopback: bool,
    /// The task of a one-shot.
    pub one_shot: Option<OneShot>,
    /// Ignore a klatch that runs with the same data directory.
    pub alone: bool,
    /// The room to begin in, if an option names one.
    pub room: Option<RoomChoice>,
    /// An option given that needs a klatch of its own.
    pub own_only: Option<&'static str>,
}

impl Options {
    /// Reads the command line; the first argument is the program's name.
    ///
    /// # Errors
    /// A wrong usage, or the text of `--help` and `--version`: [`clap::Error::exit`] prints each
    /// where it belongs and ends with 2 or 0.
    pub fn parse_args(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let args: Vec<OsString> = args.into_iter().collect();
        let options = Self::try_parse_from(&args)?;
        match options.one_shot.as_ref().and_then(|_| attached_value(&args)) {
            None => Ok(options),
            Some(arg) => {
                let (option, value) = arg.split_at(2);
                let text = format!(
                    "{arg} could be a file or {option} {value}: write -- {arg} for the file (last, \
                     behind all options), or {option} {value}"
                );
                Err(Self::command().error(ErrorKind::ArgumentConflict, text))
            }
        }
    }

    /// Fills in the defaults from the environment and the platform's directories.
    ///
    /// # Errors
    /// When no data directory can be determined, or the current directory is gone.
    pub fn resolve(self, saved: &Saved) -> Result<Settings, Failure> {
        self.resolve_with(saved, |variable| std::env::var_os(variable), data_home().as_deref())
    }

    /// Where identity and settings are; `None` if nothing is kept.
    ///
    /// # Errors
    /// When no data directory can be determined.
    pub fn data_dir(&self) -> Result<Option<DataDir>, Failure> {
        self.data_dir_with(|variable| std::env::var_os(variable), data_home().as_deref())
    }

    fn data_dir_with(
        &self,
        env: impl Fn(&str) -> Option<OsString>,
        data_home: Option<&Path>,
    ) -> Result<Option<DataDir>, Failure> {
        if self.ephemeral {
            return Ok(None);
        }
        let from_env = env(DATA_DIR_VARIABLE).filter(|value| !value.is_empty());
        let chosen = self.data_dir.clone().or_else(|| from_env.map(PathBuf::from));
        data_dir(chosen, data_home).map(Some)
    }

    /// The first of the given options that needs a klatch of its own.
    fn own_only(&self) -> Option<&'static str> {
        let given = [
            (self.lock, "--lock"),
            (self.password_file.is_some(), "--password-file"),
            (self.name.is_some(), "--name"),
            (self.listen.is_some(), "--listen"),
            (self.limit_up.is_some(), "--limit-up"),
            (self.limit_down.is_some(), "--limit-down"),
        ];
        given.into_iter().find_map(|(given, option)| given.then_some(option))
    }

    /// The same, with a given environment and platform's data directory.
    fn resolve_with(
        self,
        saved: &Saved,
        env: impl Fn(&str) -> Option<OsString>,
        data_home: Option<&Path>,
    ) -> Result<Settings, Failure> {
        let env = |variable: &str| env(variable).filter(|value| !value.is_empty());
        let data_dir = self.data_dir_with(env, data_home)?;
        let own_only = self.own_only();
        let (one_shot, places) = self.one_shot.map(OneShotCommand::parts).unzip();
        let places = places.unwrap_or_default();
        let downloads = self.downloads.or_else(|| saved.downloads());
        let name = self.name.or_else(|| saved.name.clone());
        let max_peers = saved.max_peers.unwrap_or(DEFAULT_MAX_PEERS);
        let share_dir = match (saved.share_dir(), &data_dir) {
            (Some(chosen), _) => Some(absolute(&chosen)?),
            (None, kept) => kept.as_ref().map(|dir| dir.path.join("shared")),
        };
        // A place that others told the user to type may contain spaces, without quotes.
        let place = (!self.place.is_empty()).then(|| self.place.join(" "));
        let login = || env("USER").or_else(|| env("LOGNAME")).or_else(login_name);
        Ok(Settings {
            // A one-shot can ask nobody.
            ui: if one_shot.is_some() { Some(UiChoice::Terminal) } else { self.ui },
            name: name.unwrap_or_else(|| name_from_login(login())),
            listen: self.listen.unwrap_or(ListenAt {
                addr: None,
                port: DEFAULT_PORT,
                explicit: false,
            }),
            connect: place.into_iter().chain(self.connect).chain(places).collect(),
            bridge: self.bridge.unwrap_or(ListenAt {
                addr: Some(Ipv4Addr::LOCALHOST.into()),
                port: DEFAULT_BRIDGE_PORT,
                explicit: false,
            }),
            downloads: absolute(downloads.as_deref().unwrap_or(Path::new(".")))?,
            share_dir,
            data_dir,
            max_peers: usize::from(max_peers),
            limit_up: self.limit_up.map_or(saved.limit_up(), |Rate(rate)| rate),
            limit_down: self.limit_down.map_or(saved.limit_down(), |Rate(rate)| rate),
            json: self.json,
            open_browser: !self.no_open,
            stay: self.stay,
            lock: self.lock,
            password_file: self.password_file,
            verbose: self.verbose,
            backlog: self.backlog,
            bell: saved.bell.unwrap_or(false),
            color: saved.color.unwrap_or(true),
            trust_loopback: saved.trust_loopback.unwrap_or(false),
            one_shot,
            alone: self.alone,
            room: self.room,
            own_only,
        })
    }
}

impl Settings {
    /// Checks the options as a whole.
    ///
    /// # Errors
    /// `usage`.
    pub fn check(&self) -> Result<(), Failure> {
        let usage = |text: &str| Err(Failure::new(Code::Usage, text));
        if self.lock && !self.connect.is_empty() {
            return usage(
                "--lock closes a room of your own, and WHERE leads into somebody else's: leave \
                 one of them out (only a closed room will do: connect ADDRESS locked)",
            );
        }
        match self.one_shot.as_ref().map(|one_shot| &one_shot.task) {
            Some(Task::Send { name: Some(name), .. }) if name.contains('/') => usage(
                "--as gives the file a name, and what it says is a path: leave out the folders",
            ),
            Some(Task::Send { paths, name: Some(_), .. }) if paths.len() > 1 => {
                usage("--as names one file, and several are given: send them one by one")
            }
            Some(Task::Get { output: Some(output), .. }) if self.json && is_stdout(output) => {
                usage("--output - and --json both want stdout: leave one of them out")
            }
            _ => Ok(()),
        }
    }

    /// Checks that a one-shot without a running klatch knows where to go.
    ///
    /// # Errors
    /// `usage`; `room_unknown` for a room that this one-shot cannot have.
    pub fn check_place(&self) -> Result<(), Failure> {
        if let Some(RoomChoice::Id(id)) = &self.room {
            let text = format!("no klatch with this data directory is in a room {id}…");
            return Err(Failure::new(Code::RoomUnknown, text));
        }
        if !self.connect.is_empty() {
            return Ok(());
        }
        let nobody = match self.alone || self.room.is_some() || self.data_dir.is_none() {
            true => "this one is to do without a running klatch",
            false => "no klatch is running with this data directory",
        };
        let usage = |text: &str| Err(Failure::new(Code::Usage, format!("{text}; {nobody}")));
        match self.one_shot.as_ref().map(|one_shot| &one_shot.task) {
            Some(Task::Get { names, .. }) => {
                let name = names.first().map_or("NAME", String::as_str);
                usage(&format!(
                    "from where? klatch get --from WHERE {}, or klatch get klatch:… (if {} is an \
                     address: klatch get --from {})",
                    "NAME",
                    shown(name),
                    shown(name),
                ))
            }
            Some(Task::Say(_)) => {
                usage("to whom? klatch say TEXT --to WHERE (an invitation or an address)")
            }
            _ => Ok(()),
        }
    }
}

/// An argument of a one-shot that attaches a value to a short option, and so looks like the name of
/// a file with a dash in front.
fn attached_value(args: &[OsString]) -> Option<&str> {
    let words = args.iter().skip(1).take_while(|arg| *arg != "--").filter_map(|arg| arg.to_str());
    let with_value = |arg: &&str| ["-n", "-l", "-c", "-d"].iter().any(|it| arg.starts_with(it));
    words
        .skip_while(|arg| !["send", "get", "say"].contains(arg))
        .find(|arg| arg.len() > 2 && with_value(arg))
}

fn shown(text: &str) -> String {
    crate::router::text::Untrusted::new(text).line()
}

fn data_home() -> Option<PathBuf> {
    let platform = etcetera::base_strategy::choose_native_strategy().ok();
    platform.map(|strategy| strategy.data_dir())
}

fn data_dir(chosen: Option<PathBuf>, data_home: Option<&Path>) -> Result<DataDir, Failure> {
    if let Some(chosen) = chosen {
        return Ok(DataDir { path: absolute(&chosen)?, chosen: true });
    }
    match data_home {
        Some(home) => Ok(DataDir { path: absolute(&home.join("klatch"))?, chosen: false }),
        None => Err(Failure::new(
            Code::DataDirNotWritable,
            "cannot tell where your data directory is, as you have no home directory: name one \
             with --data-dir, or keep nothing with --ephemeral",
        )),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    // The current directory as it is, without the `/.` that `absolute` would keep.
    let full =
        if path == Path::new(".") { std::env::current_dir() } else { std::path::absolute(path) };
    full.map_err(|error| {
        let text = format!("cannot tell the full path of {path:?}: {error}");
        Failure::new(Code::IoError, text)
    })
}

/// The login name without what a nickname may not contain; `guest` if nothing is left.
fn name_from_login(login: Option<OsString>) -> String {
    let login = login.unwrap_or_default();
    let kept = login.to_string_lossy();
    let kept = kept.chars().filter(|&c| !(c == ':' || is_control(c) || is_format(c)));
    let kept: String = kept.skip_while(|c| "*/ ".contains(*c)).take(NAME_MAX_CHARS).collect();
    check_name(&kept).unwrap_or_else(|_| "guest".into())
}

/// Bytes per second, or no limit: what `--limit-up` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub Option<u64>);

fn rate_value(text: &str) -> Result<Rate, String> {
    parse_rate(text).map(Rate)
}

/// The most earlier messages to print; `None`: all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog(pub Option<usize>);

fn backlog_value(text: &str) -> Result<Backlog, String> {
    match text {
        "all" => Ok(Backlog(None)),
        "none" => Ok(Backlog(Some(0))),
        number => number
            .parse()
            .map(|messages| Backlog(Some(messages)))
            .map_err(|_| "write a number of messages, all or none".into()),
    }
}

fn room_value(text: &str) -> Result<RoomChoice, String> {
    let is_id = (8..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    match text {
        "new" => Ok(RoomChoice::New),
        id if is_id => Ok(RoomChoice::Id(id.to_ascii_lowercase())),
        _ => Err("write new, or 8 or more hex digits of a room's id".into()),
    }
}

fn name_value(text: &str) -> Result<String, String> {
    check_name(text).map_err(|error| error.to_string())
}

fn listen_value(text: &str) -> Result<ListenAt, String> {
    if let Some(port) = port_value(text) {
        return Ok(ListenAt { addr: None, port, explicit: true });
    }
    let place = text.parse::<SocketAddr>().map_err(|_| {
        "write a port from 0 to 65535, or an address and a port: 51692, 127.0.0.1:51692, \
         [::1]:51692"
    })?;
    Ok(ListenAt { addr: Some(place.ip()), port: place.port(), explicit: true })
}

/// The bridge serves only this computer, unless the user names another address.
fn bridge_value(text: &str) -> Result<ListenAt, String> {
    let place = listen_value(text)?;
    let addr = place.addr.unwrap_or(Ipv4Addr::LOCALHOST.into());
    if !addr.is_loopback() {
        return Err("the page is for this computer only, because anyone who can open it acts as \
                    you in the room, and nothing on the way is encrypted: give a port alone, or \
                    an address of this computer's own such as 127.0.0.1 or [::1]"
            .into());
    }
    Ok(ListenAt { addr: Some(addr), ..place })
}

/// `u16::from_str` would take a leading `+`.
fn port_value(text: &str) -> Option<u16> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
