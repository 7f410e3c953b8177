//! The live terminal: a line being typed, with everything else above it.
//!
//! Three threads take part. The printer (see [`super::output`]) turns notices into rows; the stdin
//! thread runs the editor and is the only one that writes while a line is typed; and because the
//! editor's external printer can block, a separate thread wakes the editor through it.

mod ahead;
mod editor;
mod gate;
mod history;
mod screen;
mod tty;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustyline::ExternalPrinter;

use crate::router::notice::Notice;
use crate::router::text::Untrusted;
use crate::sys::terminal::size_of_stdout;
use crate::thread;
use crate::ui::known::Known;
use crate::ui::live::{LiveView, Piece};
use ahead::{Ahead, Next};
use editor::{LineEditor, Read};
use history::History;
use screen::Screen;
pub use tty::{Tty, is_dumb};

/// Wakes the editor: moves up and down again, so that it redraws its prompt, and changes nothing by
/// itself.
const WAKE: &str = "\x1b[A\n";

/// The output half of a live terminal.
#[derive(Debug)]
pub struct LiveOutput {
    view: LiveView,
    screen: Arc<Screen>,
    known: Arc<Mutex<Known>>,
    batch: Vec<Piece>,
    batch_bytes: usize,
}

/// The input half.
pub struct LiveInput {
    editor: LineEditor,
    history: History,
    screen: Arc<Screen>,
    /// Whether Ctrl-C was the last thing typed.
    interrupted: bool,
    /// What was typed while something else was going on.
    ahead: Ahead,
    /// How the person left meanwhile.
    end: Option<Read>,
}

/// What a person typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Typed {
    /// A line; `confirm_next`: a password was asked for after it was typed, so it may be one.
    Line {
        /// The line.
        text: String,
        /// See above.
        confirm_next: bool,
    },
    /// Pasted lines that are one message.
    Message {
        /// The lines.
        text: String,
        /// As for a line.
        confirm_next: bool,
    },
    /// The keys that leave.
    Quit,
    /// Nothing more will come.
    End,
}

/// Rows collected before they are shown: enough for one screen, and quickly drawn.
const BATCH_BYTES: usize = 16 * 1024;

/// A live terminal on stdin and stdout, whose modes are saved, and the thread that wakes its
/// editor.
///
/// # Errors
/// When there is none, or no thread can be started.
pub fn open(
    view: LiveView,
    color: bool,
    data_dir: Option<&Path>,
) -> io::Result<(Tty, LiveOutput, LiveInput)> {
    let (screen, wakes) = Screen::new();
    let screen = Arc::new(screen);
    let tty = Tty::take(Arc::clone(&screen))?;
    let known = Arc::new(Mutex::new(Known::default()));
    let history = History::open(data_dir);
    let made = LineEditor::new(Arc::clone(&screen), Arc::clone(&known), &history, color);
    let (editor, mut printer) = made.map_err(io::Error::other)?;
    thread::spawn_exempt("waker", move || {
        for () in wakes {
            if printer.print(WAKE.to_owned()).is_err() {
                return;
            }
        }
    })?;
    let output =
        LiveOutput { view, screen: Arc::clone(&screen), known, batch: Vec::new(), batch_bytes: 0 };
    Ok((
        tty,
        output,
        LiveInput {
            editor,
            history,
            screen,
            interrupted: false,
            ahead: Ahead::default(),
            end: None,
        },
    ))
}

/// Columns of the terminal.
fn columns() -> usize {
    size().0
}

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    let Some((columns, rows)) = size_of_stdout() else { return (80, 24) };
    let or = |cells: u16, usual: usize| if cells == 0 { usual } else { usize::from(cells) };
    (or(columns, 80), or(rows, 24))
}

/// Panics are reported above the line being typed; if one ends the program or its editor, the
/// terminal is left as it was.
pub(super) fn report_panics(tty: Tty, log: LogAbove) {
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        let text = Untrusted::new(format!("klatch has a bug: thread {name}: {panic}")).line();
        match name {
            "main" => {
                log.0.close();
                tty.restore();
            }
            // The editor still restores the modes that it found, and klatch its own at the end.
            "stdin" => log.0.close(),
            _ => {}
        }
        log.0.log(&format!("* {text}"));
    }));
}

impl LiveOutput {
    /// Takes in a notice; returns whether enough is collected to be shown.
    pub(super) fn hear(&mut self, notice: &Notice, now_ms: i64) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).hear(notice);
        self.view.resize(columns());
        let pieces = self.view.hear(notice, now_ms);
        self.gather(pieces)
    }

    fn gather(&mut self, pieces: Vec<Piece>) -> bool {
        for piece in pieces {
            self.batch_bytes += match &piece {
                Piece::Rows(rows) | Piece::Tail(_, rows) | Piece::Remark(_, rows) => rows.len(),
                Piece::Bell => 1,
            };
            self.batch.push(piece);
        }
        self.batch_bytes >= BATCH_BYTES
    }

    /// The time at which something must be shown even without a notice.
    pub(super) fn due_ms(&self) -> Option<i64> {
        self.view.due_ms()
    }

    /// Shows what is collected and what is due.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(super) fn flush(&mut self, now_ms: i64) -> io::Result<()> {
        self.view.resize(columns());
        let pieces = self.view.tick(now_ms);
        self.gather(pieces);
        self.batch_bytes = 0;
        self.screen.show(std::mem::take(&mut self.batch), Some(self.view.block()))
    }

    /// Shows a command that was given.
    pub(super) fn echo(&mut self, line: &str) {
        let pieces = self.view.aside(line);
        // It is shown together with its results.
        self.gather(pieces);
    }

    /// Where to send a log that would otherwise be written across the line being typed.
    pub(super) fn log(&self) -> LogAbove {
        LogAbove(Arc::clone(&self.screen))
    }

    /// Shows the last rows: editing is over.
    pub(super) fn close(&self) {
        self.screen.close();
    }
}

/// Writes whole lines of a log above the line being typed.
#[derive(Debug, Clone)]
pub(super) struct LogAbove(Arc<Screen>);

impl io::Write for LogAbove {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.log(String::from_utf8_lossy(bytes).trim_end_matches('\n'));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LiveInput {
    /// What the person types next, or has typed already.
    pub(super) fn next(&mut self) -> Typed {
        loop {
            let before = std::mem::take(&mut self.interrupted);
            let (read, confirm_next) = match self.ahead.next() {
                Some(Next { text, pasted: true, confirm_next }) => {
                    self.show_ahead();
                    return Typed::Line { text, confirm_next };
                }
                Some(Next { text, confirm_next, .. }) => {
                    self.show_ahead();
                    (Read::Line(text), confirm_next)
                }
                None => (self.end.take().unwrap_or_else(|| self.editor.read()), false),
            };
            match read {
                Read::Line(line) if line.trim_end_matches('\n').contains('\n') => {
                    if let Some(typed) = self.pasted(&line, confirm_next) {
                        return typed;
                    }
                }
                Read::Line(line) => {
                    let text = line.trim_end_matches('\n').to_owned();
                    return Typed::Line { text, confirm_next };
                }
                Read::Interrupted { typed: false } if before => {
                    self.interrupted = true;
                    return Typed::Quit;
                }
                Read::Interrupted { typed } => {
                    self.interrupted = true;
                    if !typed {
                        self.remark("* Ctrl-C once more leaves");
                    }
                }
                // Nothing breaks this one off.
                Read::Broken(line) => self.editor.begin_with(line),
                Read::Leave => return Typed::Quit,
                Read::End => return Typed::End,
            }
        }
    }

    /// Takes in what is typed while something else is going on, until `breaks`; false if the person
    /// does not want to wait any longer. `secret`: it may be a password.
    pub(super) fn type_ahead(
        &mut self,
        secret: bool,
        breaks: impl Fn() -> bool + Send + Sync + 'static,
    ) -> bool {
        let breaks = Arc::new(breaks);
        loop {
            let again = Arc::clone(&breaks);
            match self.editor.read_until(secret, Box::new(move || again())) {
                Read::Line(line) => {
                    if !line.trim().is_empty() {
                        self.ahead.push(line, secret);
                    }
                    self.show_ahead();
                }
                Read::Broken(line) => {
                    self.editor.begin_with(line);
                    return true;
                }
                Read::Interrupted { typed: true } => {}
                Read::Interrupted { typed: false } => return false,
                end @ (Read::Leave | Read::End) => {
                    self.end = Some(end);
                    return false;
                }
            }
        }
    }

    /// A question begins, so what was typed before it is no answer. `secret`: it may have been
    /// meant as one all the same.
    fn before_question(&mut self, secret: bool) {
        // If nothing was typed, the line ends as soon as it begins.
        self.screen.gate().wake();
        self.type_ahead(secret, || true);
        if secret {
            // The text in the line may be the beginning of a secret.
            if let Some(begun) = self.editor.take_begun().filter(|begun| !begun.trim().is_empty()) {
                self.ahead.push(begun, true);
                self.show_ahead();
            }
            self.ahead.confirm_next();
        }
    }

    fn show_ahead(&self) {
        self.screen.show_ahead(self.ahead.rows(columns()));
    }

    /// The next line begins with this text, as if it had been typed, followed by everything typed
    /// ahead, up to what must not be shown: so a person who corrects it sees what follows.
    pub(super) fn put_back(&mut self, line: String) {
        let begun = self.editor.take_begun();
        let lines = std::iter::once(line).chain(self.ahead.take_shown()).chain(begun);
        let text = lines.collect::<Vec<_>>().join("\n");
        self.show_ahead();
        self.editor.begin_with(text);
    }

    /// Asks a question: `y` or `yes` means yes, anything else no.
    pub(super) fn confirm(&mut self, question: &str) -> bool {
        self.decide(question) == Some(true)
    }

    /// The same; `None` if the person gives up (Ctrl-C, Ctrl-D) instead of answering.
    pub(super) fn decide(&mut self, question: &str) -> Option<bool> {
        self.before_question(false);
        let begun = self.editor.take_begun();
        let answer = self.editor.ask(&format!("{question} [y/N] "));
        self.editor.begin_with(begun.unwrap_or_default());
        let Read::Line(line) = answer else { return None };
        Some(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// Asks for something secret; `None` if the person gives up.
    pub(super) fn ask_hidden(&mut self, question: &str) -> Option<String> {
        self.before_question(true);
        let begun = self.editor.take_begun();
        let answer = self.editor.ask_hidden(question);
        self.editor.begin_with(begun.unwrap_or_default());
        match answer {
            Read::Line(line) => Some(line.trim_end_matches('\n').to_owned()),
            _ => None,
        }
    }

    /// Remembers a line; if it is a `command`, for later runs as well.
    pub(super) fn remember(&mut self, line: &str, command: bool) {
        self.editor.remember(line, history::host_of(line));
        if command {
            self.history.append(line);
        }
    }

    pub(super) fn remark(&self, row: &str) {
        // If the terminal is gone, the next line shows it.
        let _ = self.screen.show(vec![Piece::Rows(row.to_owned())], None);
    }

    /// Asks before sending several lines: it may be a mistake, and cannot be undone.
    fn pasted(&mut self, text: &str, confirm_next: bool) -> Option<Typed> {
        let text = text.trim_matches('\n');
        let lines: Vec<String> =
            text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
        if lines.len() < 2 {
            let text = lines.into_iter().next().unwrap_or_default();
            return Some(Typed::Line { text, confirm_next });
        }
        let question = format!(
            "send these {} lines? y: line by line, o: as one message, anything else: not ",
            lines.len()
        );
        self.before_question(false);
        let begun = self.editor.take_begun();
        let answer = self.editor.ask(&question);
        self.editor.begin_with(begun.unwrap_or_default());
        let Read::Line(answer) = answer else { return None };
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => {
                self.ahead.put_first(lines, confirm_next);
                self.ahead.next().map(|next| Typed::Line { text: next.text, confirm_next })
            }
            "o" | "one" => Some(Typed::Message { text: text.to_owned(), confirm_next }),
            _ => {
                self.editor.remember(text, None);
                self.remark("* nothing was sent: the arrow up brings the lines back");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
