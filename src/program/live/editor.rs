//! The line being typed: rustyline, with klatch's completion, hints and hidden passwords.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::{History as _, MemHistory};
use rustyline::validate::Validator;
use rustyline::{
    ColorMode, CompletionType, Config, Context, Editor, ExternalPrinter, GraphemeClusterMode,
    Helper,
};
use unicode_segmentation::UnicodeSegmentation;

use super::history::History;
use super::screen::Screen;
use crate::router::text::{is_control, is_format};
use crate::ui::command::{is_command, secret_part};
use crate::ui::known::{Known, OutsidePlaces};

/// The prompt before the line being typed.
const PROMPT: &str = "> ";
/// A sequence that begins with Esc must continue within this time.
const ESCAPE_MS: u16 = 200;
/// Columns between tab stops.
const TAB_STOP: usize = 8;
/// For the words of commands, while they are typed: such a line will not go to the room.
const COMMAND_COLOUR: &str = "\x1b[36m";
const PLAIN: &str = "\x1b[0m";

/// How a line ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Read {
    /// With Enter.
    Line(String),
    /// With Ctrl-C; whether anything had been typed.
    Interrupted {
        /// The line was not empty.
        typed: bool,
    },
    /// With Ctrl-D on an empty line.
    Leave,
    /// By klatch, with the text that was in it.
    Broken(String),
    /// The terminal is gone.
    End,
}

/// Tells whether the line being edited should be broken off.
pub(super) type Breaks = Box<dyn Fn() -> bool + Send>;

/// Carries a broken line out of the editor.
struct BrokenLine;

/// An editor on this process's terminal.
pub(super) struct LineEditor {
    editor: Editor<Assistant, MemHistory>,
    screen: Arc<Screen>,
    /// Text with which the next line begins.
    begun: String,
}

impl LineEditor {
    /// An editor that draws the screen's waiting rows, with the means to wake it for that.
    ///
    /// # Errors
    /// When there is no terminal to edit on.
    pub(super) fn new(
        screen: Arc<Screen>,
        known: Arc<Mutex<Known>>,
        history: &History,
        color: bool,
    ) -> rustyline::Result<(Self, impl ExternalPrinter + Send + use<>)> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .completion_show_all_if_ambiguous(true)
            // The colours are ours: the highlighter draws the screen's waiting rows.
            .color_mode(ColorMode::Forced)
            .max_history_size(super::history::LINES_MAX)?
            .tab_stop(TAB_STOP as u8)
            // Otherwise, after a lone Esc, it would react to nothing else until the next key.
            .keyseq_timeout(Some(ESCAPE_MS))
            .build();
        let past = MemHistory::with_config(&config);
        let mut editor = Editor::with_history(config, past)?;
        for line in history.lines() {
            editor.add_history_entry(line.as_str())?;
        }
        editor.set_helper(Some(Assistant {
            screen: Arc::clone(&screen),
            known,
            hosts: RefCell::new(history.hosts()),
            hidden: Cell::new(false),
            line: RefCell::default(),
            breaks: RefCell::default(),
            by_key: Cell::new(false),
            color,
        }));
        let printer = editor.create_external_printer()?;
        Ok((Self { editor, screen, begun: String::new() }, printer))
    }

    /// Reads a line after the room's prompt.
    pub(super) fn read(&mut self) -> Read {
        let begun = std::mem::take(&mut self.begun);
        self.read_behind(PROMPT, &begun)
    }

    /// The next line after the room's prompt begins with this text.
    pub(super) fn begin_with(&mut self, text: String) {
        self.begun = text;
    }

    /// Takes the text with which the next line would have begun.
    pub(super) fn take_begun(&mut self) -> Option<String> {
        Some(std::mem::take(&mut self.begun)).filter(|begun| !begun.is_empty())
    }

    /// Reads a line until `breaks` interrupts it, but not before taking in all that was typed up to
    /// then; a change of `breaks` must wake the editor. `secret`: nothing of the line is shown.
    pub(super) fn read_until(&mut self, secret: bool, breaks: Breaks) -> Read {
        if let Some(assistant) = self.editor.helper() {
            *assistant.breaks.borrow_mut() = Some(breaks);
            assistant.hidden.set(secret);
        }
        let read = self.read();
        if let Some(assistant) = self.editor.helper() {
            *assistant.breaks.borrow_mut() = None;
            assistant.hidden.set(false);
        }
        read
    }

    /// Reads the answer to a question.
    pub(super) fn ask(&mut self, question: &str) -> Read {
        self.read_behind(question, "")
    }

    /// Reads something that must not be seen.
    pub(super) fn ask_hidden(&mut self, question: &str) -> Read {
        if let Some(assistant) = self.editor.helper() {
            assistant.hidden.set(true);
        }
        let read = self.read_behind(question, "");
        if let Some(assistant) = self.editor.helper() {
            assistant.hidden.set(false);
        }
        read
    }

    fn read_behind(&mut self, prompt: &str, begun: &str) -> Read {
        if let Some(assistant) = self.editor.helper() {
            assistant.line.borrow_mut().clear();
        }
        let _inside = self.screen.begin();
        let edit = AssertUnwindSafe(|| self.editor.readline_with_initial(prompt, (begun, "")));
        let read = match catch_unwind(edit) {
            Ok(read) => read,
            Err(cause) if cause.is::<BrokenLine>() => return self.broken(),
            Err(panic) => resume_unwind(panic),
        };
        let line = match (&read, self.editor.helper()) {
            (Ok(line), _) => line.clone(),
            (Err(_), Some(assistant)) => assistant.line.borrow().clone(),
            (Err(_), None) => String::new(),
        };
        let columns = super::columns();
        let rows = rows_below(prompt, &line, columns, GraphemeClusterMode::from_env()) + 1;
        let gone = self.screen.end(rows).is_err();
        match read {
            _ if gone => Read::End,
            Ok(line) => Read::Line(line),
            Err(ReadlineError::Interrupted) => Read::Interrupted { typed: !line.is_empty() },
            Err(ReadlineError::Eof) => Read::Leave,
            Err(error) => {
                tracing::error!(%error, "the terminal cannot be read");
                Read::End
            }
        }
    }

    /// A line was broken off just before its prompt was drawn.
    fn broken(&self) -> Read {
        let line = self.editor.helper().map(|assistant| assistant.line.take());
        match self.screen.break_off() {
            Ok(()) => Read::Broken(line.unwrap_or_default()),
            Err(_) => Read::End,
        }
    }

    /// Remembers a line for the arrow keys, and a host for completion.
    pub(super) fn remember(&mut self, line: &str, host: Option<String>) {
        // A line equal to the last one is not kept twice, which is no failure.
        let _ = self.editor.history_mut().add(line);
        if let (Some(host), Some(assistant)) = (host, self.editor.helper()) {
            let mut hosts = assistant.hosts.borrow_mut();
            hosts.retain(|known| *known != host);
            hosts.insert(0, host);
        }
    }
}

/// Rows from the prompt's first to the cursor after the line, as the editor counts them.
fn rows_below(prompt: &str, line: &str, columns: usize, mode: GraphemeClusterMode) -> usize {
    let (mut row, mut column) = (0, 0);
    for text in [prompt, line] {
        for grapheme in text.graphemes(true) {
            let width = match grapheme {
                "\n" => {
                    row += 1;
                    column = 0;
                    continue;
                }
                "\t" => TAB_STOP - column % TAB_STOP,
                _ => usize::from(mode.width(grapheme)),
            };
            column += width;
            if column > columns {
                row += 1;
                column = width;
            }
        }
        if column == columns {
            row += 1;
            column = 0;
        }
    }
    row
}

/// Answers the editor's questions while a line is typed.
struct Assistant {
    screen: Arc<Screen>,
    known: Arc<Mutex<Known>>,
    hosts: RefCell<Vec<String>>,
    /// Whether the line is secret.
    hidden: Cell<bool>,
    /// The line as it was last edited.
    line: RefCell<String>,
    breaks: RefCell<Option<Breaks>>,
    /// Whether a key came since the prompt was last drawn.
    by_key: Cell<bool>,
    color: bool,
}

impl Helper for Assistant {}
impl Validator for Assistant {}

impl Hinter for Assistant {
    type Hint = String;

    /// Gives no hint, but is called whenever the line changes.
    fn hint(&self, line: &str, _pos: usize, _context: &Context<'_>) -> Option<String> {
        line.clone_into(&mut self.line.borrow_mut());
        // Only here can a test make the editor's own thread panic while it edits.
        #[cfg(test)]
        assert!(line != super::tests::TRAP, "panic while a line is edited");
        None
    }
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        if self.hidden.get() {
            return Ok((pos, Vec::new()));
        }
        let head = line.get(..pos).unwrap_or_default();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (start, found) = known.complete(head, self);
        if found.len() > 1 {
            // The list that follows comes between the rows above and the prompt.
            self.screen.detach();
        }
        let pair = |candidate: crate::ui::known::Candidate| Pair {
            display: candidate.shown,
            replacement: candidate.replacement,
        };
        Ok((start, found.into_iter().map(pair).collect()))
    }
}

impl OutsidePlaces for Assistant {
    fn folder(&self, path: &str) -> Vec<(String, bool)> {
        let home = || etcetera::home_dir().ok();
        let folder = match (path.strip_prefix("~/"), home()) {
            (Some(rest), Some(home)) => home.join(rest),
            _ if path.is_empty() => PathBuf::from("."),
            _ => PathBuf::from(path),
        };
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let entries = entries.filter_map(Result::ok).take(10_000);
        let named = entries.filter_map(|entry| {
            let is_folder = entry.path().is_dir();
            Some((entry.file_name().into_string().ok()?, is_folder))
        });
        named.collect()
    }

    fn hosts(&self) -> Vec<String> {
        self.hosts.borrow().clone()
    }
}

impl Highlighter for Assistant {
    /// Draws the waiting rows above the prompt; called exactly when the prompt's row is clear.
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(
        &'s self,
        prompt: &'p str,
        _default: bool,
    ) -> Cow<'b, str> {
        let by_key = self.by_key.replace(false);
        if self.breaks.borrow().as_ref().is_some_and(|breaks| breaks()) {
            self.screen.gate().pass(|| self.left(prompt));
            if by_key {
                // If the waker caused this redraw, no keys are waiting anywhere.
                self.screen.gate().wake();
                return Cow::Owned(self.screen.redraw(|| self.left(prompt)) + prompt);
            }
            // There is no other way to end the editor's line from outside, and it keeps nothing
            // that this would leave half done.
            resume_unwind(Box::new(BrokenLine));
        }
        Cow::Owned(self.screen.redraw(|| self.left(prompt)) + prompt)
    }

    fn highlight<'l>(&self, line: &'l str, _pos: usize) -> Cow<'l, str> {
        if self.hidden.get() {
            return Cow::Owned(covered(line, ' '));
        }
        if let Some((open, secret)) = secret_part(line) {
            return Cow::Owned(self.command_coloured(&harmless(open)) + &covered(secret, '•'));
        }
        Cow::Owned(self.command_coloured(&harmless(line)))
    }

    fn highlight_char(&self, line: &str, _pos: usize, kind: CmdKind) -> bool {
        self.by_key.set(true);
        kind != CmdKind::MoveCursor
            && (self.hidden.get()
                || starts_as_command(line).is_some()
                || line.chars().any(|c| is_control(c) || is_format(c)))
    }

    fn highlight_candidate<'c>(&self, candidate: &'c str, _: CompletionType) -> Cow<'c, str> {
        Cow::Borrowed(candidate)
    }
}

impl Assistant {
    /// The rows that a line which will not be ended leaves on the screen.
    fn left(&self, prompt: &str) -> String {
        let line = self.line.borrow();
        if line.is_empty() || self.hidden.get() {
            return String::new();
        }
        prompt.to_owned() + &self.highlight(&line, 0)
    }

    fn command_coloured(&self, line: &str) -> String {
        match starts_as_command(line).filter(|_| self.color) {
            Some(length) => {
                let (word, rest) = line.split_at(length);
                format!("{COMMAND_COLOUR}{word}{PLAIN}{rest}")
            }
            None => line.to_owned(),
        }
    }
}

/// The length of the command word, including the slash, with which a line begins.
fn starts_as_command(line: &str) -> Option<usize> {
    let body = line.strip_prefix('/').unwrap_or(line);
    let word = body.split([' ', '\t']).next().unwrap_or_default();
    let slash = body.len() < line.len();
    is_command(word, slash).then_some(line.len() - body.len() + word.len())
}

/// As wide as the text, but showing nothing of it.
fn covered(text: &str, by: char) -> String {
    let mode = GraphemeClusterMode::from_env();
    text.graphemes(true)
        .map(|grapheme| match grapheme {
            "\n" | "\t" => grapheme.to_owned(),
            _ => by.to_string().repeat(usize::from(mode.width(grapheme))),
        })
        .collect()
}

/// The text without anything that a terminal would act on. For the editor that has no width either,
/// except a sequence after an escape character, which it takes for a colour.
fn harmless(text: &str) -> String {
    let mode = GraphemeClusterMode::from_env();
    let mut out = String::with_capacity(text.len());
    let mut sequence = 0;
    for grapheme in text.graphemes(true) {
        match (sequence, grapheme) {
            (1, "[") => sequence = 2,
            (2, g) if g == ";" || g.starts_with(|c: char| c.is_ascii_digit()) => {}
            (1 | 2, _) => sequence = 0,
            (_, "\x1b") => sequence = 1,
            (_, "\n" | "\t") => out += grapheme,
            (_, g) if g.chars().any(|c| is_control(c) || is_format(c) && c != '\u{200d}') => {
                out += &"·".repeat(usize::from(mode.width(g)));
            }
            (_, g) => out += g,
        }
    }
    out
}
