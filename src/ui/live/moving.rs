//! Downloads and files being read, one row each.

use std::path::{Path, PathBuf};

use crate::router::ids::FileId;
use crate::router::notice::Notice;
use crate::ui::lines::{counted, path_text, percent, size};
use crate::ui::tables::time_left;
use crate::ui::width::{fit, fit_middle, width};

/// Most rows shown; further transfers are counted.
const ROWS_MAX: usize = 4;
/// Most transfers followed: running ones, and as many again that are queued.
const FOLLOWED_MAX: usize = 1_024;
/// Cells of a bar.
const BAR_CELLS: u64 = 16;

/// Running transfers, in the order in which they began, then the queued ones.
#[derive(Debug, Default)]
pub struct Moving {
    moving: Vec<(MovingKey, MovingRow)>,
    queued: Vec<(MovingKey, MovingRow)>,
}

#[derive(Debug, PartialEq, Eq)]
enum MovingKey {
    File(FileId),
    Path(PathBuf),
}

/// A transfer: a name, and what to say of it, the longest form first. The others are used if that
/// does not fit.
#[derive(Debug)]
struct MovingRow {
    name: String,
    says: Vec<String>,
}

impl MovingRow {
    /// The name is shortened first, down to half of the row, then the text, then the rest of the
    /// name.
    fn within(&self, columns: usize) -> String {
        let name = fit_middle(&self.name, columns / 2);
        let fits = |says: &&String| width(&name) + width(says) <= columns;
        match self.says.iter().find(fits).or(self.says.last()) {
            Some(says) => {
                let left = columns.saturating_sub(width(says));
                fit(&(fit_middle(&name, left) + says), columns)
            }
            None => name,
        }
    }
}

impl Moving {
    /// Notes what moved.
    pub fn hear(&mut self, notice: &Notice) {
        match notice {
            Notice::DownloadQueued { file } if self.queued.len() < FOLLOWED_MAX => {
                let row =
                    MovingRow { name: format!("⇣ {}", file.name), says: vec![": queued".into()] };
                self.queued.push((MovingKey::File(file.id), row));
            }
            Notice::DownloadStarted { file } => {
                self.queued.retain(|(key, _)| *key != MovingKey::File(file.id));
                let says = vec![": looking for members that have it".into()];
                self.put(
                    MovingKey::File(file.id),
                    MovingRow { name: format!("⇣ {}", file.name), says },
                );
            }
            Notice::DownloadProgress {
                file,
                bytes_done,
                bytes_per_second,
                seconds_left,
                hosts,
            } => {
                let left =
                    seconds_left.map_or(String::new(), |left| format!(", {}", time_left(left)));
                let (pace, from) = match (*hosts, *bytes_per_second) {
                    (0, 0) => ("waiting for somebody who has it".to_owned(), String::new()),
                    (hosts, rate) => {
                        let from = format!(" from {}", counted(hosts, "member"));
                        (format!("{}/s{left}", size(rate)), from)
                    }
                };
                let done = percent(*bytes_done, file.size);
                let of = size(file.size);
                let bar = bar(*bytes_done, file.size);
                let says = vec![
                    format!(" {bar} {done} of {of}, {pace}{from}"),
                    format!(" {bar} {done} of {of}, {pace}"),
                    format!(" {done} of {of}, {pace}"),
                    format!(" {done}, {pace}"),
                ];
                self.put(
                    MovingKey::File(file.id),
                    MovingRow { name: format!("⇣ {}", file.name), says },
                );
            }
            Notice::DownloadFinished { file, .. } | Notice::DownloadFailed { file, .. } => {
                self.end(&MovingKey::File(file.id));
            }
            Notice::HashFailed { path, .. } => self.end(&MovingKey::Path(path.clone())),
            Notice::HashProgress { path, bytes_done, size: of } => {
                let key = MovingKey::Path(path.clone());
                if bytes_done >= of {
                    self.end(&key);
                } else {
                    let name = path_text(path.file_name().map_or(path.as_path(), Path::new));
                    let done = percent(*bytes_done, *of);
                    let bar = bar(*bytes_done, *of);
                    let says = vec![format!(" {bar} {done} read"), format!(" {done} read")];
                    self.put(key, MovingRow { name: format!("⇡ {name}"), says });
                }
            }
            // When a room is left, its transfers fail or are no longer read.
            Notice::Left { .. } => *self = Self::default(),
            _ => {}
        }
    }

    /// The transfers, one row each, no wider than this many columns.
    #[must_use]
    pub fn rows(&self, columns: usize) -> Vec<String> {
        let all = self.moving.iter().chain(&self.queued).map(|(_, row)| row);
        let mut rows: Vec<_> = all.take(ROWS_MAX).map(|row| row.within(columns)).collect();
        let more = (self.moving.len() + self.queued.len()).saturating_sub(ROWS_MAX);
        if more > 0 {
            rows.push(fit(&format!("  and {more} more: transfers shows all"), columns));
        }
        rows
    }

    fn put(&mut self, key: MovingKey, row: MovingRow) {
        if let Some((_, known)) = self.moving.iter_mut().find(|(known, _)| *known == key) {
            *known = row;
        } else if self.moving.len() < FOLLOWED_MAX {
            self.moving.push((key, row));
        }
    }

    fn end(&mut self, key: &MovingKey) {
        self.moving.retain(|(known, _)| known != key);
        self.queued.retain(|(known, _)| known != key);
    }
}

/// `━━━━╌╌╌╌`.
fn bar(done: u64, of: u64) -> String {
    let full = (u128::from(done) * u128::from(BAR_CELLS)).checked_div(u128::from(of));
    let full = full.unwrap_or(u128::from(BAR_CELLS)).min(u128::from(BAR_CELLS)) as usize;
    format!("{}{}", "━".repeat(full), "╌".repeat(BAR_CELLS as usize - full))
}
