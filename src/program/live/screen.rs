//! The rows above the line being typed: the only code that writes to a live terminal.
//!
//! While the editor runs, only its thread writes: new rows wait here, and [`Screen::redraw`] gives
//! them to the editor as part of its prompt. So every row appears in one write above the line being
//! typed, in order, and never through it. While the editor does not run, rows are written at once.
//!
//! The last own message (the tail) and the transfers (the block) are redrawn in place as long as
//! nothing else was printed below them; after that, a tail is an ordinary row.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, bounded};

use super::gate::{EditorGate, Inside};
use crate::router::ids::EntryId;
use crate::ui::live::Piece;
use crate::ui::width::width;

/// Bytes that may wait for the editor; beyond that, printing threads wait for it.
const PENDING_MAX_BYTES: usize = 64 * 1024;

/// Makes a terminal show what it has got so far (synchronised updates).
const END_OF_UPDATE: &str = "\x1b[?2026l";

/// Most rows that can be shown again after the terminal's size changes.
const SHOWN_MAX: usize = 500;
/// Goes to the screen's first row and clears everything.
const TO_THE_TOP: &str = "\x1b[H\x1b[J";

/// The screen, shared by the printer and the editor.
#[derive(Debug)]
pub(super) struct Screen {
    state: Mutex<ScreenState>,
    drawn: Condvar,
    gate: EditorGate,
}

#[derive(Debug, Default)]
struct ScreenState {
    editing: bool,
    closed: bool,
    /// Whole rows, each with its line feed.
    pending: String,
    tail: Option<(EntryId, String)>,
    block: Vec<String>,
    /// Typed lines that are waiting for their turn.
    ahead: Vec<String>,
    /// The screen does not show the tail and the block as they are here.
    stale: bool,
    /// How many rows both take, directly above the prompt.
    live_rows: usize,
    /// The last rows above them.
    shown: VecDeque<String>,
    /// The terminal's columns and rows when it was last drawn.
    size: Option<(usize, usize)>,
}

impl Screen {
    /// A screen without an editor, and the receiver through which to wake one.
    pub(super) fn new() -> (Self, Receiver<()>) {
        let (wake, wakes) = bounded(1);
        let gate = EditorGate::new(wake);
        (Self { state: Mutex::default(), drawn: Condvar::new(), gate }, wakes)
    }

    /// What the editor has to pass.
    pub(super) fn gate(&self) -> &EditorGate {
        &self.gate
    }

    /// Something else wrote to the terminal meanwhile: redraws what belongs there.
    pub(super) fn resume(&self) {
        let mut state = self.lock();
        state.live_rows = 0;
        state.stale = true;
        if state.editing {
            self.gate.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, ScreenState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows pieces, in order, and the current transfers.
    ///
    /// # Errors
    /// When the terminal does not accept any more.
    pub(super) fn show(&self, pieces: Vec<Piece>, block: Option<Vec<String>>) -> io::Result<()> {
        let mut state = self.lock();
        while state.editing && state.pending.len() >= PENDING_MAX_BYTES {
            state = self.drawn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        for piece in pieces {
            state.take(piece);
        }
        if let Some(block) = block.filter(|block| *block != state.block) {
            state.block = block;
            state.stale = true;
        }
        if state.editing {
            if state.stale || !state.pending.is_empty() {
                self.gate.wake();
            }
            return Ok(());
        }
        let rows = state.take_pending();
        write_out(&rows)
    }

    /// From now on shows these lines directly above the prompt.
    pub(super) fn show_ahead(&self, rows: Vec<String>) {
        let mut state = self.lock();
        if state.ahead != rows {
            state.ahead = rows;
            state.stale = true;
        }
    }

    /// Shows a row of the log, unless too much is waiting already: logging must not block.
    pub(super) fn log(&self, row: &str) {
        let mut state = self.lock();
        if state.pending.len() >= PENDING_MAX_BYTES {
            return;
        }
        state.take(Piece::Rows(row.to_owned()));
        if state.editing {
            self.gate.wake();
        } else {
            let rows = state.take_pending();
            // If rows cannot be written there is nobody to tell.
            let _ = write_out(&rows);
        }
    }

    /// The editor starts. Does not return if the program ends.
    pub(super) fn begin(&self) -> Inside<'_> {
        let inside = self.gate.enter();
        let mut state = self.lock();
        state.editing = true;
        state.stale = true;
        state.live_rows = 0;
        inside
    }

    /// What the editor should write before its prompt, whose first row it has just cleared. Does
    /// not return if the program ends; then [`Screen::close`] shows `left`, the prompt and its
    /// line.
    pub(super) fn redraw(&self, left: impl FnOnce() -> String) -> String {
        self.gate.pass(left);
        let mut state = self.lock();
        let size = super::size();
        let resized = state.size.replace(size).is_some_and(|before| before != size);
        if !state.editing || (state.pending.is_empty() && !state.stale && !resized) {
            return String::new();
        }
        let mut out = up_and_clear(state.live_rows);
        out += &state.take_pending();
        if resized {
            // Terminals differ in what they then do with long rows, so nobody knows where things
            // are. Waiting rows that no longer fit go up first.
            out += TO_THE_TOP;
            out += &state.last_rows(size);
        }
        state.live_rows = 0;
        let ScreenState { tail, block, ahead, .. } = &*state;
        let rows: Vec<&str> = tail
            .iter()
            .flat_map(|(_, rows)| rows.lines())
            .chain(block.iter().chain(ahead).map(String::as_str))
            .collect();
        for row in &rows {
            out += row;
            out.push('\n');
        }
        state.live_rows = rows.iter().map(|row| rows_of(row, size.0)).sum();
        state.stale = false;
        drop(state);
        self.drawn.notify_all();
        out
    }

    /// Something else was written below the tail and the block: they stay where they are.
    pub(super) fn detach(&self) {
        let mut state = self.lock();
        state.live_rows = 0;
    }

    /// The editor ended with the cursor `rows` rows below its prompt's first: removes what it
    /// wrote, and shows what was waiting.
    ///
    /// # Errors
    /// When the terminal does not accept any more.
    pub(super) fn end(&self, rows: usize) -> io::Result<()> {
        let mut state = self.lock();
        state.editing = false;
        let mut out = up_and_clear(rows + state.live_rows);
        state.live_rows = 0;
        out += &state.take_pending();
        let written = write_out(&out);
        drop(state);
        self.drawn.notify_all();
        written
    }

    /// The same for a line that was broken off during an update, with the cursor in its first row
    /// and nothing of it left.
    ///
    /// # Errors
    /// As [`Screen::end`].
    pub(super) fn break_off(&self) -> io::Result<()> {
        write_out(END_OF_UPDATE)?;
        self.end(0)
    }

    /// The program ends: shows whatever is waiting, below a line that may still be in the editor,
    /// whose thread does not continue.
    pub(super) fn close(&self) {
        let left = self.gate.close();
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.closed = true;
        let mut out = String::new();
        match (std::mem::take(&mut state.editing), left) {
            (true, Some(line)) if line.is_empty() => out += "\r\x1b[J",
            (true, Some(line)) => out = out + "\r\x1b[J" + &line + "\n",
            (true, None) => out += "\n\x1b[J",
            (false, _) => {}
        }
        if let Some((_, rows)) = state.tail.take().filter(|_| state.live_rows == 0) {
            out = out + &rows + "\n";
        }
        out += &state.take_pending();
        // A terminal that is gone needs no last words.
        let _ = write_out(&out);
        drop(state);
        self.drawn.notify_all();
    }
}

impl ScreenState {
    /// Takes the waiting rows, to show them.
    fn take_pending(&mut self) -> String {
        let rows = std::mem::take(&mut self.pending);
        for row in rows.lines() {
            if self.shown.len() >= SHOWN_MAX {
                self.shown.pop_front();
            }
            self.shown.push_back(row.replace('\x07', ""));
        }
        rows
    }

    /// As many of the last rows as fit above the tail, the block and a prompt.
    fn last_rows(&self, (columns, rows): (usize, usize)) -> String {
        let tail = self.tail.iter().flat_map(|(_, rows)| rows.lines());
        let live = tail.chain(self.block.iter().chain(&self.ahead).map(String::as_str));
        let live: usize = live.map(|row| rows_of(row, columns)).sum();
        let mut room = rows.saturating_sub(live + 1);
        let fits = |row: &&String| {
            let left = room.checked_sub(rows_of(row, columns));
            room = left.unwrap_or(0);
            left.is_some()
        };
        let last: Vec<&String> = self.shown.iter().rev().take_while(fits).collect();
        last.into_iter().rev().map(|row| format!("{row}\n")).collect()
    }

    fn take(&mut self, piece: Piece) {
        match piece {
            Piece::Rows(rows) => {
                self.commit_tail();
                self.pending += &rows;
                self.pending.push('\n');
            }
            Piece::Tail(id, rows) => {
                self.commit_tail();
                if self.closed {
                    self.pending += &rows;
                    self.pending.push('\n');
                } else {
                    self.tail = Some((id, rows));
                    self.stale = true;
                }
            }
            Piece::Remark(id, rows) => {
                if let Some(tail) = self.tail.as_mut().filter(|tail| tail.0 == id) {
                    tail.1 = rows;
                    self.stale = true;
                }
            }
            Piece::Bell => self.pending.push('\x07'),
        }
    }

    fn commit_tail(&mut self) {
        if let Some((_, rows)) = self.tail.take() {
            self.pending += &rows;
            self.pending.push('\n');
            self.stale = true;
        }
    }
}

/// How many rows a text without line feeds fills.
fn rows_of(text: &str, columns: usize) -> usize {
    width(text).div_ceil(columns.max(1)).max(1)
}

fn up_and_clear(rows: usize) -> String {
    let mut out = String::new();
    if rows > 0 {
        // Writing to memory cannot fail.
        let _ = write!(out, "\x1b[{rows}A\r\x1b[J");
    }
    out
}

fn write_out(text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
