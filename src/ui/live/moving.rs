//! Downloads and files being read, a row each, as they stand.

use std::collections::BTreeMap;
use std::path::Path;

use crate::router::notice::Notice;
use crate::ui::lines::{counted, path_text, percent, size};
use crate::ui::tables::time_left;

/// Rows that are shown; what else moves is counted.
const ROWS_MAX: usize = 4;
/// Transfers that are followed.
const FOLLOWED_MAX: usize = 256;
/// Cells of a bar.
const BAR_CELLS: u64 = 16;

/// What moves.
#[derive(Debug, Default)]
pub struct Moving {
    rows: BTreeMap<String, String>,
}

impl Moving {
    /// Takes note of what moved.
    pub fn hear(&mut self, notice: &Notice) {
        match notice {
            Notice::DownloadStarted { file } => {
                let row = format!("⇣ {}: looking for members that have it", file.name);
                self.put(file.id.to_string(), row);
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
                let from = match (*hosts, *bytes_per_second) {
                    (0, 0) => "waiting for somebody who has it".to_owned(),
                    (hosts, rate) => {
                        format!("{}/s{left} from {}", size(rate), counted(hosts, "member"))
                    }
                };
                let row = format!(
                    "⇣ {} {} {} of {}, {from}",
                    file.name,
                    bar(*bytes_done, file.size),
                    percent(*bytes_done, file.size),
                    size(file.size),
                );
                self.put(file.id.to_string(), row);
            }
            Notice::DownloadFinished { file, .. } | Notice::DownloadFailed { file, .. } => {
                self.rows.remove(&file.id.to_string());
            }
            Notice::HashProgress { path, bytes_done, size: of } => {
                let key = path.to_string_lossy().into_owned();
                if bytes_done >= of {
                    self.rows.remove(&key);
                } else {
                    let name = path_text(path.file_name().map_or(path.as_path(), Path::new));
                    let done = percent(*bytes_done, *of);
                    let row = format!("⇡ {name} {} {done} read", bar(*bytes_done, *of));
                    self.put(key, row);
                }
            }
            // What belonged to a room that was left fails or is read no more.
            Notice::Left { .. } => self.rows.clear(),
            _ => {}
        }
    }

    /// What moves, a row each.
    #[must_use]
    pub fn rows(&self) -> Vec<String> {
        let mut rows: Vec<_> = self.rows.values().take(ROWS_MAX).cloned().collect();
        let more = self.rows.len().saturating_sub(ROWS_MAX);
        if more > 0 {
            rows.push(format!("  and {more} more: transfers shows all"));
        }
        rows
    }

    fn put(&mut self, key: String, row: String) {
        if self.rows.len() < FOLLOWED_MAX || self.rows.contains_key(&key) {
            self.rows.insert(key, row);
        }
    }
}

/// `━━━━╌╌╌╌`.
fn bar(done: u64, of: u64) -> String {
    let full = (u128::from(done) * u128::from(BAR_CELLS)).checked_div(u128::from(of));
    let full = full.unwrap_or(u128::from(BAR_CELLS)).min(u128::from(BAR_CELLS)) as usize;
    format!("{}{}", "━".repeat(full), "╌".repeat(BAR_CELLS as usize - full))
}
