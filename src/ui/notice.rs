//! What a face writes for a notice, and where: stdout or stderr.

use std::collections::HashMap;

pub use super::json::{schema, to_json};
use super::lines::hint_line;
pub use super::lines::{error_line, size, to_lines};
pub use super::paint::{Seen, Style};
use crate::router::notice::Notice;

/// Most files whose progress is shown at the same time; that of others is not.
const FOLLOWED_MAX: usize = 1_024;

/// The form of the output on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Lines for people.
    People(Style),
    /// `--json`: one event per line; stderr is still for people, in plain text.
    Json,
}

/// What to write for one notice; no text ends with a line feed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NoticeOutput {
    /// For stdout.
    pub out: Option<String>,
    /// For stderr.
    pub err: Option<String>,
}

/// Turns notices into output; its only state is how much progress people have seen.
#[derive(Debug)]
pub struct Renderer {
    format: Format,
    progress: ProgressLine,
}

impl Renderer {
    /// A renderer that has shown nothing yet.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self { format, progress: ProgressLine::default() }
    }

    /// From now on lines for people look like this.
    pub fn restyle(&mut self, style: Style) {
        if let Format::People(now) = &mut self.format {
            *now = style;
        }
    }

    /// Sets the time of now, so that times on other days are shown with their dates.
    pub fn set_now(&mut self, now_ms: i64) {
        if let Format::People(style) = &mut self.format
            && style.timestamps
        {
            style.seen.now_ms = Some(now_ms);
        }
    }

    /// Whether stdout is for people.
    #[must_use]
    pub fn is_for_people(&self) -> bool {
        matches!(self.format, Format::People(_))
    }

    /// What to write for a hint to people, on stderr; programs get it as a notice.
    pub fn hint(&mut self, text: &str) -> NoticeOutput {
        let json = matches!(self.format, Format::Json);
        let notice = || to_json(&Notice::Remark { text: text.to_owned() });
        NoticeOutput { out: json.then(notice), err: Some(hint_line(text)) }
    }

    /// What to write for the notice.
    pub fn render(&mut self, notice: &Notice) -> NoticeOutput {
        match (&mut self.format, notice) {
            (Format::Json, Notice::Error { failure, .. }) => NoticeOutput {
                out: Some(to_json(notice)),
                err: Some(error_line(failure, &Style::plain())),
            },
            (Format::Json, _) => NoticeOutput { out: Some(to_json(notice)), err: None },
            (Format::People(style), Notice::Error { failure, .. }) => {
                let style = Style { color: style.color_errors, ..*style };
                NoticeOutput { out: None, err: Some(error_line(failure, &style)) }
            }
            (Format::People(style), _) if self.progress.is_worth_a_line(notice) => {
                let out = to_lines(notice, style);
                style.seen.hear(notice);
                NoticeOutput { out, err: None }
            }
            (Format::People(_), _) => NoticeOutput::default(),
        }
    }
}

/// Shows a line of progress each time that another tenth of a file is done, and no more often.
#[derive(Debug, Default)]
struct ProgressLine {
    tenths_shown: HashMap<String, u64>,
}

impl ProgressLine {
    fn is_worth_a_line(&mut self, notice: &Notice) -> bool {
        let (key, done, size) = match notice {
            Notice::DownloadProgress { file, bytes_done, .. } => {
                (file.id.to_string(), *bytes_done, file.size)
            }
            Notice::HashProgress { path, bytes_done, size } => {
                (path.to_string_lossy().into_owned(), *bytes_done, *size)
            }
            Notice::DownloadStarted { file }
            | Notice::DownloadFinished { file, .. }
            | Notice::DownloadFailed { file, .. } => {
                self.tenths_shown.remove(&file.id.to_string());
                return true;
            }
            _ => return true,
        };
        if done >= size {
            // The next line says that it is done.
            self.tenths_shown.remove(&key);
            return false;
        }
        let tenths = (u128::from(done) * 10).checked_div(u128::from(size)).unwrap_or(10) as u64;
        if !self.tenths_shown.contains_key(&key) && self.tenths_shown.len() >= FOLLOWED_MAX {
            return false;
        }
        let shown = self.tenths_shown.entry(key).or_insert(0);
        let is_news = tenths > *shown;
        *shown = tenths.max(*shown);
        is_news
    }
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod schema_tests;
#[cfg(test)]
#[path = "notice_tests.rs"]
mod tests;
