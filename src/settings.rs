//! Saved settings: a small TOML file in the data directory. Options override it.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::router::notice::{Code, Failure};
use crate::router::text::check_name;
use crate::sys::files::make_private_folder;
use crate::ui::rate::parse_rate;

/// The file in the data directory.
pub const FILE: &str = "settings.toml";
/// Longest file read, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// What `klatch --init-config` writes: every setting, explained and commented out.
pub const TEMPLATE: &str = "\
# Settings of klatch. The lines below show the defaults; remove the # to change one. Options on the
# command line override this file.

# Your nickname (default: your login name).
# name = \"ana\"

# Where downloads go (default: the folder that klatch is started in).
# downloads = \"~/Downloads\"

# Ring the terminal's bell when somebody mentions you.
# bell = false

# Colours on a terminal.
# color = true

# Maximum number of links.
# max_peers = 128

# Folder for files shared from the page (default: `shared` in the data directory).
# share_dir = \"~/Shared\"

# Upload and download limits of files: \"5MB/s\", \"20Mbit/s\", \"off\".
# limit_up = \"off\"
# limit_down = \"off\"

# Do not count wrong passwords from this computer.
# trust_loopback = false
";

/// What the file says; `None` for settings that are not in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// Nickname.
    pub name: Option<String>,
    /// Folder for downloads; may begin with `~`.
    pub downloads: Option<PathBuf>,
    /// Whether a mention rings the bell.
    pub bell: Option<bool>,
    /// Whether a terminal shows colours.
    pub color: Option<bool>,
    /// The most links.
    pub max_peers: Option<u16>,
    /// Folder for files that are given in the page; may begin with `~`.
    pub share_dir: Option<PathBuf>,
    /// How much of the network sending files may use.
    pub limit_up: Option<String>,
    /// How much of the network fetching files may use.
    pub limit_down: Option<String>,
    /// Whether wrong passwords from this computer are not counted.
    pub trust_loopback: Option<bool>,
}

impl Saved {
    /// Reads the settings of a data directory; without a file, none are set.
    ///
    /// # Errors
    /// `usage` for an invalid line, with its number; `io_error` if the file cannot be read.
    pub fn read(data_dir: &Path) -> Result<Self, Failure> {
        let path = data_dir.join(FILE);
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if missing(&error) => return Ok(Self::default()),
            Err(error) => return Err(unreadable(&path, &error)),
        };
        let mut text = String::new();
        io::Read::read_to_string(&mut io::Read::take(file, MAX_BYTES), &mut text)
            .map_err(|error| unreadable(&path, &error))?;
        Self::parse(&text).map_err(|(line, what)| {
            let text = format!("{} line {line}: {what}", path.display());
            Failure::new(Code::Usage, text)
        })
    }

    /// Reads a text.
    ///
    /// # Errors
    /// The number of a line, and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let saved: Self = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            (line_at(text, start), error.message().replace('\n', ", "))
        })?;
        let wrong = |key: &str, what: String| (line_of(text, key), format!("{key}: {what}"));
        if let Some(name) = &saved.name {
            check_name(name).map_err(|error| wrong("name", error.to_string()))?;
        }
        if saved.max_peers.is_some_and(|peers| !(1..=1_024).contains(&peers)) {
            return Err(wrong("max_peers", "write a number from 1 to 1024".into()));
        }
        for (key, rate) in [("limit_up", &saved.limit_up), ("limit_down", &saved.limit_down)] {
            rate.as_deref().map(parse_rate).transpose().map_err(|error| wrong(key, error))?;
        }
        Ok(saved)
    }

    /// Bytes of files sent per second at most.
    #[must_use]
    pub fn limit_up(&self) -> Option<u64> {
        // Only valid rates were read.
        self.limit_up.as_deref().and_then(|rate| parse_rate(rate).ok().flatten())
    }

    /// Bytes of files fetched per second at most.
    #[must_use]
    pub fn limit_down(&self) -> Option<u64> {
        self.limit_down.as_deref().and_then(|rate| parse_rate(rate).ok().flatten())
    }

    /// The folder for downloads, with `~` resolved.
    #[must_use]
    pub fn downloads(&self) -> Option<PathBuf> {
        self.downloads.as_deref().map(at_home)
    }

    /// The folder for files that are given in the page, with `~` resolved.
    #[must_use]
    pub fn share_dir(&self) -> Option<PathBuf> {
        self.share_dir.as_deref().map(at_home)
    }
}

/// Writes a file that explains every setting, unless there is one already.
///
/// # Errors
/// `usage` if there is one; `data_dir_not_writable`.
pub fn init(data_dir: &Path) -> Result<PathBuf, Failure> {
    let path = data_dir.join(FILE);
    let failed = |error: io::Error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            let text = format!("{} already exists: edit it", path.display());
            return Failure::new(Code::Usage, text);
        }
        let text = format!("cannot write {}: {error}", path.display());
        Failure::new(Code::DataDirNotWritable, text)
    };
    make_private_folder(data_dir).map_err(failed)?;
    let mut file = std::fs::File::create_new(&path).map_err(failed)?;
    io::Write::write_all(&mut file, TEMPLATE.as_bytes()).map_err(failed)?;
    Ok(path)
}

fn at_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), etcetera::home_dir()) {
        (Ok(rest), Ok(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

fn missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let text = format!("cannot read {}: {error}; remove it, or let it be read", path.display());
    Failure::new(Code::IoError, text)
}

fn line_at(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|b| *b == b'\n').count() + 1
}

fn line_of(text: &str, key: &str) -> usize {
    let is_it = |line: &str| {
        let rest = line.trim_start().strip_prefix(key);
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    text.lines().position(is_it).map_or(1, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_template_explains_is_what_can_be_set() {
        assert_eq!(Saved::parse(TEMPLATE), Ok(Saved::default()));
        let is_setting = |line: &&str| line.starts_with("# ") && line.contains(" = ");
        let settings: Vec<&str> = TEMPLATE.lines().filter(is_setting).map(|l| &l[2..]).collect();
        let all = Saved::parse(&settings.join("\n")).unwrap();
        let set = Saved {
            name: Some("ana".into()),
            downloads: Some("~/Downloads".into()),
            bell: Some(false),
            color: Some(true),
            max_peers: Some(128),
            share_dir: Some("~/Shared".into()),
            limit_up: Some("off".into()),
            limit_down: Some("off".into()),
            trust_loopback: Some(false),
        };
        assert_eq!(all, set, "every setting has its line");
        assert!(all.downloads().unwrap().is_absolute() && all.share_dir().unwrap().is_absolute());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line, part) in [
            ("bell = true\n\nnme = \"ana\"\n", 3, "nme"),
            ("bell = \"loud\"\n", 1, "bool"),
            ("# fine\nname = \"a:b\"\n", 2, "name"),
            ("max_peers = 0", 1, "max_peers"),
            ("\nlimit_up = \"fast\"", 2, "limit_up: a rate"),
            ("bell = true\nbell = false\n", 2, "duplicate"),
            ("bell true", 1, ""),
            ("\n\nname = \"ana", 3, ""),
        ] {
            let (number, what) = Saved::parse(text).unwrap_err();
            assert_eq!(number, line, "{text:?}: {what}");
            assert!(what.contains(part) && !what.contains('\n'), "{text:?}: {what}");
        }
    }

    #[test]
    fn a_file_is_written_once_and_read_back() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("klatch");
        assert_eq!(Saved::read(&dir), Ok(Saved::default()));
        let path = init(&dir).unwrap();
        assert_eq!(Saved::read(&dir), Ok(Saved::default()));
        assert_eq!(init(&dir).unwrap_err().code, Code::Usage);
        std::fs::write(&path, "colour = false\n").unwrap();
        let failure = Saved::read(&dir).unwrap_err();
        assert!(failure.text.contains("line 1") && failure.text.contains("colour"), "{failure:?}");
    }
}
