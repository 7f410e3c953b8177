//! The one-shot commands `send`, `get` and `say`.

// Descriptions of options are shown as they stand: they are no Markdown.
#![allow(rustdoc::broken_intra_doc_links)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use crate::ui::command::is_invitation;

/// What klatch does in one go: it takes no commands from stdin, and prints its result only.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum OneShotCommand {
    /// Offer files until those in the room have them
    Send(SendArgs),
    /// Download files
    Get(GetArgs),
    /// Send a message
    Say(SayArgs),
}

/// `klatch send`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct SendArgs {
    /// Files, folders, globs, or - for stdin
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,

    /// An invitation or ADDRESS[:PORT] [default: the room of your running klatch, or else a new
    /// closed room; then the line that fetches the files is printed]
    #[arg(long, value_name = "WHERE")]
    pub to: Vec<String>,

    /// The name under which to offer the file, without folders
    #[arg(long = "as", value_name = "NAME")]
    pub offered_as: Option<String>,

    /// Exit when N members have it [default: those who are here when it is offered, or the first
    /// who comes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub until: Option<u32>,

    /// Give up after this time, e.g. 90s, 10m, 2h
    #[arg(long, value_name = "TIME", value_parser = time_value)]
    pub within: Option<Duration>,
}

/// `klatch get`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct GetArgs {
    /// An invitation, then names, ids or globs; without any, everything that is offered. A name
    /// that begins with a dash goes last, behind --
    #[arg(value_name = "INVITATION|NAME")]
    pub wanted: Vec<String>,

    /// An invitation or ADDRESS[:PORT] [default: the room of your running klatch]
    #[arg(long, value_name = "WHERE")]
    pub from: Vec<String>,

    /// Where to save: a folder, a new name, or - for stdout; a folder that klatch fetched to this
    /// name before is brought up to date
    #[arg(long, value_name = "PATH|-")]
    pub output: Option<PathBuf>,

    /// Skip files that already exist under their own name
    #[arg(long)]
    pub skip_existing: bool,

    /// Where --output names a folder that klatch made before: remove what is gone at the sender
    #[arg(long, requires = "output")]
    pub delete: bool,

    /// Give up after this time, e.g. 90s, 10m, 2h
    #[arg(long, value_name = "TIME", value_parser = time_value)]
    pub within: Option<Duration>,
}

/// `klatch say`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct SayArgs {
    /// The message, or - for stdin, one message per line; no line is a command
    #[arg(value_name = "TEXT|-", required = true)]
    pub text: Vec<String>,

    /// An invitation or ADDRESS[:PORT] [default: the room of your running klatch]
    #[arg(long, value_name = "WHERE")]
    pub to: Vec<String>,

    /// Give up after this time, e.g. 90s, 10m, 2h
    #[arg(long, value_name = "TIME", value_parser = time_value)]
    pub within: Option<Duration>,
}

/// One-shot use: what to do, and how long that may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneShot {
    /// What to do.
    pub task: Task,
    /// The one-shot fails after this time.
    pub within: Option<Duration>,
}

impl OneShot {
    /// Whether what it fetches goes to stdout, so that nothing else may.
    #[must_use]
    pub fn takes_stdout(&self) -> bool {
        matches!(&self.task, Task::Get { output: Some(output), .. } if is_stdout(output))
    }
}

/// What a one-shot does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Offer files.
    Send {
        /// Paths, globs, or `-`.
        paths: Vec<OsString>,
        /// The name under which the only file is offered.
        name: Option<String>,
        /// End when this many have it.
        until: Option<usize>,
    },
    /// Fetch files.
    Get {
        /// Names, ids or globs.
        names: Vec<String>,
        /// Where the files go, if not to the downloads folder.
        output: Option<OsString>,
        /// Skip what is there already.
        skip_existing: bool,
        /// Remove from an earlier version of a folder what the sender no longer has.
        #[serde(default)]
        delete: bool,
    },
    /// Send a message; `None`: each line of stdin.
    Say(Option<String>),
}

impl OneShotCommand {
    /// The task, and where.
    pub(super) fn parts(self) -> (OneShot, Vec<String>) {
        match self {
            Self::Send(SendArgs { paths, to, offered_as: name, until, within }) => {
                let until = until.and_then(|members| usize::try_from(members).ok());
                let paths = paths.into_iter().map(PathBuf::into_os_string).collect();
                (OneShot { task: Task::Send { paths, name, until }, within }, to)
            }
            Self::Get(GetArgs { mut wanted, mut from, output, skip_existing, delete, within }) => {
                // The whole line that others told the user to type is accepted as well.
                if let [program, next, ..] = wanted.as_slice()
                    && program == "klatch"
                    && is_invitation(next)
                {
                    wanted.remove(0);
                }
                if wanted.first().is_some_and(|first| is_invitation(first)) {
                    from.push(wanted.remove(0));
                }
                let output = output.map(PathBuf::into_os_string);
                let task = Task::Get { names: wanted, output, skip_existing, delete };
                (OneShot { task, within }, from)
            }
            Self::Say(SayArgs { text, to, within }) => {
                let text = (text != ["-"]).then(|| text.join(" "));
                (OneShot { task: Task::Say(text), within }, to)
            }
        }
    }
}

/// `-`, which stands for stdin or stdout.
#[must_use]
pub fn is_stdout(path: impl AsRef<Path>) -> bool {
    path.as_ref().as_os_str() == "-"
}

/// `90s`, `10m`, `2h`; a number alone counts seconds.
fn time_value(text: &str) -> Result<Duration, String> {
    let (number, unit_s) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) if text.ends_with('m') => (number, 60),
        Some(number) if text.ends_with('h') => (number, 3_600),
        Some(number) => (number, 1),
        None => (text, 1),
    };
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let seconds = number.parse::<u64>().ok().filter(|_| digits).and_then(|n| n.checked_mul(unit_s));
    // More than a year means that nobody waits for it.
    let seconds = seconds.filter(|seconds| (1..=366 * 86_400).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| "write a time such as 90s, 10m or 2h".into())
}
