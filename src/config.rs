//! Options of the command line and what follows from them: the settings of one run.
//!
//! [`Options`] is what was typed; [`Settings`] is what holds, with the defaults of this machine
//! filled in. Nothing here opens a file or a socket.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use etcetera::base_strategy::BaseStrategy;

use crate::router::notice::{Code, Failure};
use crate::router::text::{NAME_MAX_CHARS, check_name, is_control, is_format};
use crate::settings::Saved;
use crate::ui::rate::parse_rate;

/// Where peers reach a klatch unless told otherwise.
pub const DEFAULT_PORT: u16 = 51_692;
/// Where the browser bridge listens unless told otherwise.
pub const DEFAULT_BRIDGE_PORT: u16 = 8_765;
/// Links at most unless told otherwise.
const DEFAULT_MAX_PEERS: u16 = 128;
/// Names the data directory, but for `--data-dir`.
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
    /// Chosen by the person: never replaced by another.
    pub explicit: bool,
}

/// What was typed on the command line.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(name = "klatch", version, about, max_term_width = 100)]
pub struct Options {
    /// Where to begin: an invitation (klatch:…), or ADDRESS[:PORT]
    #[arg(value_name = "WHERE", num_args = 0..=3)]
    pub place: Vec<String>,

    /// Which interface to use; without it klatch asks
    #[arg(long, value_name = "terminal|browser", hide_possible_values = true)]
    pub ui: Option<UiChoice>,

    /// Your nickname [default: your login name]
    #[arg(short, long, value_name = "NICK", value_parser = name_value)]
    pub name: Option<String>,

    /// Where others reach you [default: all addresses, port 51692 or any free one]
    #[arg(short, long, value_name = "[ADDR:]PORT", value_parser = listen_value)]
    pub listen: Option<ListenAt>,

    /// The same as WHERE; may be given more than once
    #[arg(short, long, value_name = "WHERE")]
    pub connect: Vec<String>,

    /// Where the browser finds klatch [default: 127.0.0.1:8765 or the next free port]
    #[arg(long, value_name = "[ADDR:]PORT", value_parser = bridge_value)]
    pub bridge: Option<ListenAt>,

    /// Where downloads go [default: the current directory]
    #[arg(short, long, value_name = "DIR")]
    pub downloads: Option<PathBuf>,

    /// Where files given in the page lie [default: `shared` in the data directory]
    #[arg(long, value_name = "DIR")]
    pub share_dir: Option<PathBuf>,

    /// Identity and settings [default: the platform's data directory; env: KLATCH_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Keep nothing on disk but downloads; the identity is for this run only
    #[arg(long)]
    pub ephemeral: bool,

    /// How many peers to link with at most [default: 128]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub max_peers: Option<u16>,

    /// Offer these files, stay until everybody here has fetched them, and end
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub send: Vec<PathBuf>,

    /// Fetch these files as soon as they are offered, and end
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub get: Vec<String>,

    /// Send at most so many bytes of files in a second, e.g. 5MB/s
    #[arg(long, value_name = "RATE", value_parser = rate_value)]
    pub limit_up: Option<Rate>,

    /// Fetch at most so many bytes of files in a second
    #[arg(long, value_name = "RATE", value_parser = rate_value)]
    pub limit_down: Option<Rate>,

    /// Print one JSON event per line on stdout, and nothing else there
    #[arg(long)]
    pub json: bool,

    /// Do not open the browser, only print the page's address
    #[arg(long)]
    pub no_open: bool,

    /// Keep running when stdin ends
    #[arg(long)]
    pub stay: bool,

    /// Answer password questions with the content of this file, less its final newline
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// Say more: every address, and a log on stderr
    #[arg(short, long)]
    pub verbose: bool,

    /// Write a settings file with explanations into the data directory, and end
    #[arg(long)]
    pub init_config: bool,

    /// Print the JSON Schema of the events of --json, and end
    #[arg(long)]
    pub json_schema: bool,

    /// Print the completions for a shell, and end
    #[arg(long, value_name = "bash|zsh|fish")]
    pub completions: Option<Shell>,

    /// Print the man page, and end
    #[arg(long)]
    pub man: bool,
}

/// A shell that completes options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Where identity and settings lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir {
    /// The folder (absolute; it may not exist yet).
    pub path: PathBuf,
    /// Chosen by option or environment: when it is in use, klatch refuses to start; the default
    /// one is left to the klatch that holds it, at the price of a temporary identity.
    pub chosen: bool,
}

/// What holds for this run: the options with every default filled in; all paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The face, or `None`: ask.
    pub ui: Option<UiChoice>,
    /// A valid nickname.
    pub name: String,
    /// Where peers reach us.
    pub listen: ListenAt,
    /// Peers to connect to and invitations, as typed: `ui::command::connect_argument` reads them.
    pub connect: Vec<String>,
    /// Where the browser finds us; its address is always given.
    pub bridge: ListenAt,
    /// Where downloads go.
    pub downloads: PathBuf,
    /// Where files given in the page lie; `None` means a temporary folder of this run.
    pub share_dir: Option<PathBuf>,
    /// `None` when nothing is kept.
    pub data_dir: Option<DataDir>,
    /// Links at most.
    pub max_peers: usize,
    /// Bytes of files sent in a second at most.
    pub limit_up: Option<u64>,
    /// Bytes of files fetched in a second at most.
    pub limit_down: Option<u64>,
    /// Events for programs on stdout.
    pub json: bool,
    /// Open the browser by ourselves.
    pub open_browser: bool,
    /// Keep running when stdin ends.
    pub stay: bool,
    /// Answers password questions.
    pub password_file: Option<PathBuf>,
    /// Say more.
    pub verbose: bool,
    /// A message that calls this person by name rings the terminal's bell.
    pub bell: bool,
    /// Colours on a terminal.
    pub color: bool,
    /// Wrong passwords from this computer are not counted.
    pub trust_loopback: bool,
    /// What this run is for, if it is not for talking.
    pub errand: Option<Errand>,
}

/// One-shot use: files to offer and to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// Paths of files to offer until everybody here has them.
    pub send: Vec<PathBuf>,
    /// Names of files to fetch.
    pub get: Vec<String>,
}

impl Options {
    /// Reads the command line; the first argument is the program's name.
    ///
    /// # Errors
    /// A wrong usage, or the text of `--help` and `--version`: [`clap::Error::exit`] prints each
    /// where it belongs and ends with 2 or 0.
    pub fn parse_args(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(args)
    }

    /// Fills in the defaults from the environment and the platform's directories.
    ///
    /// # Errors
    /// When no data directory can be named, or the current directory is gone.
    pub fn resolve(self, saved: &Saved) -> Result<Settings, Failure> {
        self.resolve_with(saved, |variable| std::env::var_os(variable), data_home().as_deref())
    }

    /// Where identity and settings lie; `None` when nothing is kept.
    ///
    /// # Errors
    /// When no data directory can be named.
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

    /// The same with the environment and the platform's data directory given.
    fn resolve_with(
        self,
        saved: &Saved,
        env: impl Fn(&str) -> Option<OsString>,
        data_home: Option<&Path>,
    ) -> Result<Settings, Failure> {
        let env = |variable: &str| env(variable).filter(|value| !value.is_empty());
        let data_dir = self.data_dir_with(env, data_home)?;
        let is_errand = !self.send.is_empty() || !self.get.is_empty();
        let errand = is_errand.then(|| Errand { send: self.send.clone(), get: self.get.clone() });
        let downloads = self.downloads.or_else(|| saved.downloads());
        let name = self.name.or_else(|| saved.name.clone());
        let max_peers = self.max_peers.or(saved.max_peers).unwrap_or(DEFAULT_MAX_PEERS);
        let share_dir = match (self.share_dir, &data_dir) {
            (Some(chosen), _) => Some(absolute(&chosen)?),
            (None, kept) => kept.as_ref().map(|dir| dir.path.join("shared")),
        };
        // What others are told to type has spaces, and need not be quoted.
        let place = (!self.place.is_empty()).then(|| self.place.join(" "));
        let login = || env("USER").or_else(|| env("LOGNAME"));
        Ok(Settings {
            // An errand has nobody to ask.
            ui: if is_errand { Some(UiChoice::Terminal) } else { self.ui },
            name: name.unwrap_or_else(|| name_from_login(login())),
            listen: self.listen.unwrap_or(ListenAt {
                addr: None,
                port: DEFAULT_PORT,
                explicit: false,
            }),
            connect: place.into_iter().chain(self.connect).collect(),
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
            password_file: self.password_file,
            verbose: self.verbose,
            bell: saved.bell.unwrap_or(false),
            color: saved.color.unwrap_or(true),
            trust_loopback: saved.trust_loopback.unwrap_or(false),
            errand,
        })
    }
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
    // The current directory as it stands: without the `/.` that `absolute` would keep.
    let full =
        if path == Path::new(".") { std::env::current_dir() } else { std::path::absolute(path) };
    full.map_err(|error| {
        let text = format!("cannot tell the full path of {path:?}: {error}");
        Failure::new(Code::IoError, text)
    })
}

/// The login name, less what a nickname may not hold; `guest` when nothing is left.
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

/// The bridge serves this computer only, unless its person names another address.
fn bridge_value(text: &str) -> Result<ListenAt, String> {
    let place = listen_value(text)?;
    let addr = place.addr.unwrap_or(Ipv4Addr::LOCALHOST.into());
    if !addr.is_loopback() {
        return Err("the page is for this computer only, for whoever can open it is you in the \
                    room, and nothing on the way is encrypted: give a port alone, or an address \
                    of this computer's own such as 127.0.0.1 or [::1]"
            .into());
    }
    Ok(ListenAt { addr: Some(addr), ..place })
}

/// `u16::from_str` would take a leading `+`.
fn port_value(text: &str) -> Option<u16> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Result<Options, clap::Error> {
        let words = std::iter::once("klatch").chain(line.split_whitespace());
        Options::parse_args(words.map(OsString::from))
    }

    fn settings(line: &str, env: &[(&str, &str)]) -> Settings {
        let env = |wanted: &str| {
            env.iter().find(|(name, _)| *name == wanted).map(|(_, value)| OsString::from(value))
        };
        let home = Path::new("/home/ana/.local/share");
        typed(line).unwrap().resolve_with(&Saved::default(), env, Some(home)).unwrap()
    }

    #[test]
    fn without_options_two_people_can_start_at_once() {
        let settings = settings("", &[("USER", "ana")]);
        assert_eq!(settings.name, "ana");
        assert_eq!(settings.listen, ListenAt { addr: None, port: 51_692, explicit: false });
        assert_eq!(settings.bridge.addr, Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!((settings.bridge.port, settings.bridge.explicit), (8_765, false));
        let kept = DataDir { path: "/home/ana/.local/share/klatch".into(), chosen: false };
        assert_eq!(settings.share_dir, Some(kept.path.join("shared")));
        assert_eq!(settings.data_dir, Some(kept));
        assert_eq!(settings.downloads, std::env::current_dir().unwrap());
        assert_eq!((settings.max_peers, settings.open_browser), (128, true));
        assert_eq!(settings.ui, None);
    }

    #[test]
    fn every_option_of_the_contract_is_read() {
        let all = typed(
            "--ui browser -n bob -l [::1]:5000 -c alice.example -c 10.0.0.1:9 --bridge 8080 \
             -d down --share-dir share --data-dir data --ephemeral --max-peers 9 --json --no-open \
             --stay --password-file secret -v",
        );
        let all = all.unwrap();
        assert_eq!(all.ui, Some(UiChoice::Browser));
        let six = Some(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST));
        assert_eq!(all.listen, Some(ListenAt { addr: six, port: 5_000, explicit: true }));
        assert_eq!(all.connect, ["alice.example", "10.0.0.1:9"]);
        let four = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(all.bridge, Some(ListenAt { addr: four, port: 8_080, explicit: true }));
        assert_eq!(all.max_peers, Some(9));
        assert!(all.ephemeral && all.json && all.no_open && all.stay && all.verbose);
        assert_eq!(typed("--listen 0").unwrap().listen.unwrap().port, 0);
    }

    #[test]
    fn the_page_is_served_to_this_computer_only() {
        for place in ["8080", "127.0.0.1:0", "127.8.0.1:9", "[::1]:0"] {
            let bridge = typed(&format!("--bridge {place}")).unwrap().bridge.unwrap();
            assert!(bridge.addr.unwrap().is_loopback(), "{place}");
        }
        for place in ["0.0.0.0:8765", "192.168.1.5:8765", "[::]:0", "[fe80::1]:0"] {
            let refused = typed(&format!("--bridge {place}")).unwrap_err().to_string();
            assert!(refused.contains("for this computer only"), "{place}: {refused}");
        }
    }

    #[test]
    fn where_to_begin_is_an_invitation_an_address_or_the_line_that_others_type() {
        for (line, places) in [
            ("alice.example:9", &["alice.example:9"][..]),
            ("192.168.1.5 51692", &["192.168.1.5 51692"]),
            ("connect 192.168.1.5 51692", &["connect 192.168.1.5 51692"]),
            ("--name ben klatch:abc -c bob", &["klatch:abc", "bob"]),
            ("-c bob -c klatch:abc", &["bob", "klatch:abc"]),
            ("", &[]),
        ] {
            assert_eq!(settings(line, &[]).connect, places, "{line}");
        }
    }

    #[test]
    fn wrong_usage_ends_with_2_and_help_with_0() {
        for wrong in [
            "--ui page",
            "--name a:b",
            "--listen localhost:5000",
            "--listen +5000",
            "--listen 65536",
            "--listen ::1:5000",
            "--listen 127.0.0.1",
            "--max-peers 0",
            "--nonsense",
            "a b c d",
            "--ui",
        ] {
            let error = typed(wrong).expect_err(wrong);
            assert_eq!(error.exit_code(), 2, "{wrong}");
        }
        for right in ["--help", "-h", "--version"] {
            assert_eq!(typed(right).expect_err(right).exit_code(), 0, "{right}");
        }
    }

    #[test]
    fn the_option_outranks_the_environment_and_ephemeral_both() {
        let env = [(DATA_DIR_VARIABLE, "/env"), ("LOGNAME", "bob")];
        let from_env = settings("", &env);
        assert_eq!(from_env.name, "bob");
        assert_eq!(from_env.data_dir, Some(DataDir { path: "/env".into(), chosen: true }));
        let from_option = settings("--data-dir /option", &env).data_dir;
        assert_eq!(from_option, Some(DataDir { path: "/option".into(), chosen: true }));
        let none = settings("--ephemeral", &env);
        assert_eq!((none.data_dir, none.share_dir), (None, None));
        assert!(!settings("", &[(DATA_DIR_VARIABLE, "")]).data_dir.unwrap().chosen);
    }

    #[test]
    fn what_is_remembered_holds_unless_an_option_says_otherwise() {
        let saved = Saved {
            name: Some("grace".into()),
            downloads: Some("/down".into()),
            max_peers: Some(7),
            ..Saved::default()
        };
        let resolved = |line: &str| {
            let home = Some(Path::new("/home"));
            typed(line).unwrap().resolve_with(&saved, |_| None, home).unwrap()
        };
        let plain = resolved("");
        assert_eq!((plain.name.as_str(), plain.max_peers), ("grace", 7));
        assert_eq!(plain.downloads, Path::new("/down"));
        let typed = resolved("--name ana --downloads /other --max-peers 9");
        assert_eq!((typed.name.as_str(), typed.max_peers), ("ana", 9));
        assert_eq!(typed.downloads, Path::new("/other"));
    }

    #[test]
    fn an_errand_asks_nothing() {
        let errand = settings("--send a b --get c", &[]);
        assert_eq!(errand.ui, Some(UiChoice::Terminal));
        let send = ["a", "b"].map(PathBuf::from).into();
        let get = vec!["c".to_owned()];
        assert_eq!(errand.errand, Some(Errand { send, get }));
        assert_eq!(settings("", &[]).errand, None);
    }

    #[test]
    fn without_a_home_klatch_says_what_to_do() {
        let failure =
            typed("").unwrap().resolve_with(&Saved::default(), |_| None, None).unwrap_err();
        assert_eq!(failure.code, Code::DataDirNotWritable);
        assert!(failure.text.contains("--data-dir") && failure.text.contains("--ephemeral"));
        let ephemeral = typed("--ephemeral").unwrap();
        assert!(ephemeral.resolve_with(&Saved::default(), |_| None, None).is_ok());
    }

    #[test]
    fn any_login_name_becomes_a_valid_nickname() {
        for (login, name) in [
            ("ana", "ana"),
            ("* /ana", "ana"),
            ("a:na\u{202e}\u{1b}", "ana"),
            ("", "guest"),
            ("::", "guest"),
        ] {
            assert_eq!(name_from_login(Some(login.into())), name);
        }
        let long = name_from_login(Some("x".repeat(99).into()));
        assert_eq!(long.len(), NAME_MAX_CHARS);
        assert_eq!(name_from_login(None), "guest");
    }
}
