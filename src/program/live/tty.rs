//! The terminal's modes: nothing typed between two lines is echoed, and the modes are restored
//! however klatch ends.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::screen::Screen;
use crate::sys::terminal::{Modes, is_in_background, write_to_stdout};

/// What takes back modes that an editor may have left on: bracketed paste, synchronised updates,
/// a hidden cursor, colours.
const RESET: &[u8] = b"\x1b[?2004l\x1b[?2026l\x1b[?25h\x1b[0m";

/// The terminal on stdin; dropping the last handle restores it.
#[derive(Debug, Clone)]
pub struct Tty(Arc<SavedModes>);

#[derive(Debug)]
struct SavedModes {
    modes: Mutex<Option<Modes>>,
    screen: Arc<Screen>,
}

/// Whether nobody may send a terminal here anything but text.
#[must_use]
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

impl Tty {
    /// Whether a line can be edited here: both streams are terminals that can move a cursor.
    #[must_use]
    pub fn is_there() -> bool {
        io::stdin().is_terminal() && io::stdout().is_terminal() && !is_dumb()
    }

    /// Turns the echo off until [`Tty::restore`]. Keys go on to raise signals while no line is
    /// edited.
    ///
    /// # Errors
    /// When stdin is no terminal.
    pub(super) fn take(screen: Arc<Screen>) -> io::Result<Self> {
        let saved = Modes::of_stdin()?;
        let quiet = saved.quiet();
        quiet.set()?;
        screen.gate().keep_quiet(quiet);
        Ok(Self(Arc::new(SavedModes { modes: Mutex::new(Some(saved)), screen })))
    }

    /// klatch was stopped and goes on: a shell had the terminal meanwhile. (The editor puts its
    /// modes back after Ctrl-Z, but may do so before it is stopped: any thread of the program takes
    /// that signal.)
    pub fn resume(&self) {
        self.0.screen.gate().resume();
        self.0.screen.resume();
    }

    /// Makes the editor look whether its line is to be broken off.
    pub fn wake(&self) {
        self.0.screen.gate().wake();
    }

    /// Puts everything back, once; nothing is edited any more.
    pub fn restore(&self) {
        self.0.restore();
    }
}

impl SavedModes {
    fn restore(&self) {
        self.screen.gate().close();
        // Who comes second may end the program right away, and waits until the first is done.
        let mut modes = self.modes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(saved) = modes.take() else { return };
        set(&saved);
        let _ = write_to_stdout(RESET);
        let _ = io::stdout().flush();
    }
}

/// Gives the terminal these modes, unless klatch runs in the background: they are the shell's then,
/// and who touched them would be stopped.
pub(super) fn set(modes: &Modes) {
    if is_in_background() {
        return;
    }
    // Nothing can be done for a terminal that is gone.
    let _ = modes.set();
}

/// The modes of the terminal, if a line is edited on it: all keys are the editor's.
pub(super) fn modes_of_a_line() -> Option<Modes> {
    Modes::of_stdin().ok().filter(Modes::are_raw)
}

impl Drop for SavedModes {
    fn drop(&mut self) {
        self.restore();
    }
}
