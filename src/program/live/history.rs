//! Commands of earlier runs, for the arrow keys and for completion. Only valid commands are kept on
//! disk, none with a password or an invitation, and never messages.

use std::fs::{self, OpenOptions};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use crate::sys::files::private;
use crate::ui::command::holds_secret;
use crate::ui::line_reader::{Line, LineReader};

/// Most commands kept.
pub(super) const LINES_MAX: usize = 500;
/// Most bytes of one command.
const LINE_MAX_BYTES: usize = 4_096;
/// The file in the data directory.
const FILE: &str = "history";

/// The commands, oldest first, and their file.
#[derive(Debug, Default)]
pub(super) struct History {
    lines: Vec<String>,
    path: Option<PathBuf>,
}

impl History {
    /// What a data directory remembers; without one, nothing is kept. A history that cannot be read
    /// is started afresh, as it is only a convenience.
    pub(super) fn open(data_dir: Option<&Path>) -> Self {
        let Some(path) = data_dir.map(|dir| dir.join(FILE)) else { return Self::default() };
        let mut lines = read(&path).unwrap_or_default();
        if lines.len() > LINES_MAX {
            lines.drain(..lines.len() - LINES_MAX);
            if let Err(error) = rewrite(&path, &lines) {
                tracing::warn!(%error, "the history of commands cannot be shortened");
            }
        }
        Self { lines, path: Some(path) }
    }

    pub(super) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Arguments of `connect`, newest first.
    pub(super) fn hosts(&self) -> Vec<String> {
        let mut hosts: Vec<String> = Vec::new();
        for host in self.lines.iter().rev().filter_map(|line| host_of(line)) {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        hosts
    }

    /// Keeps a command for later runs.
    pub(super) fn append(&mut self, line: &str) {
        let Some(path) = &self.path else { return };
        if holds_secret(line) || line.contains(['\n', '\r']) {
            return;
        }
        let mut options = OpenOptions::new();
        let file = private(options.append(true).create(true)).open(path);
        if let Err(error) = file.and_then(|mut file| writeln!(file, "{line}")) {
            tracing::warn!(%error, "the history of commands cannot be kept");
            self.path = None;
        }
    }
}

/// The argument of a `connect`.
pub(super) fn host_of(line: &str) -> Option<String> {
    let rest = line.strip_prefix('/').unwrap_or(line).strip_prefix("connect ")?.trim();
    (!rest.is_empty() && !holds_secret(line)).then(|| rest.to_owned())
}

fn read(path: &Path) -> io::Result<Vec<String>> {
    let mut reader = LineReader::new(BufReader::new(fs::File::open(path)?), LINE_MAX_BYTES);
    let mut lines = Vec::new();
    loop {
        match reader.next_line()? {
            Line::Text(line) => lines.push(line),
            Line::TooLong { .. } | Line::InvalidUtf8 => {}
            Line::End => return Ok(lines),
        }
        if lines.len() > 4 * LINES_MAX {
            lines.drain(..LINES_MAX);
        }
    }
}

fn rewrite(path: &Path, lines: &[String]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".history-").tempfile_in(folder)?;
    for line in lines {
        writeln!(file, "{line}")?;
    }
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_remembered_and_passwords_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut history = History::open(Some(dir.path()));
        for line in [
            "connect alice.example",
            "connect 10.0.0.1 5000",
            "password four red kettles",
            "/password four red kettles",
            "/lock four red kettles",
            "connect klatch:kettles",
            "/join klatch klatch:kettles",
            "connect alice.example",
            "send \"my file\"",
        ] {
            history.append(line);
        }
        let kept = fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert!(!kept.contains("kettles"), "{kept}");
        let history = History::open(Some(dir.path()));
        assert_eq!(history.lines().len(), 4);
        assert_eq!(history.hosts(), ["alice.example", "10.0.0.1 5000"]);
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        fs::write(&path, "members\n".repeat(3 * LINES_MAX)).unwrap();
        assert_eq!(History::open(Some(dir.path())).lines().len(), LINES_MAX);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), LINES_MAX);
        fs::write(&path, b"\xff\xfe").unwrap();
        assert_eq!(History::open(Some(dir.path())).lines().len(), 0);
        assert_eq!(History::open(None).lines().len(), 0);
    }
}
