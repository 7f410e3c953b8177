//! The terminal's modes: nothing typed between two lines is echoed, and the modes are restored
//! however klatch ends.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::screen::Screen;
use crate::sys::terminal::{Modes, is_in_background, write_to_stdout};

/// Turns off the modes that an editor may have left on: bracketed paste, synchronised updates, a
/// hidden cursor, colours.
const RESET: &[u8] = b"\x1b[?2004l\x1b[?2026l\x1b[?25h\x1b[0m";

/// The terminal on stdin; dropping the last handle restores it.
#[derive(Debug, Clone)]
pub struct Tty(Arc<SavedModes>);

#[derive(Debug)]
struct SavedModes {
    modes: Mutex<Option<Modes>>,
    screen: Arc<Screen>,
}

/// Whether the terminal here accepts nothing but text.
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

    /// Turns off the echo until [`Tty::restore`]. Keys still raise signals while no line is edited.
    ///
    /// # Errors
    /// When stdin is not a terminal.
    pub(super) fn take(screen: Arc<Screen>) -> io::Result<Self> {
        let saved = Modes::of_stdin()?;
        let quiet = saved.quiet();
        quiet.set()?;
        screen.gate().keep_quiet(quiet);
        Ok(Self(Arc::new(SavedModes { modes: Mutex::new(Some(saved)), screen })))
    }

    /// klatch was stopped and continues: a shell had the terminal meanwhile. (After Ctrl-Z the
    /// editor restores its own modes, but perhaps too early: any thread of the program can take
    /// that signal, so klatch may not have stopped yet.)
    pub fn resume(&self) {
        self.0.screen.gate().resume();
        self.0.screen.resume();
    }

    /// Makes the editor check whether its line should be broken off.
    pub fn wake(&self) {
        self.0.screen.gate().wake();
    }

    /// Restores everything, once; editing is over.
    pub fn restore(&self) {
        self.0.restore();
    }
}

impl SavedModes {
    fn restore(&self) {
        self.screen.gate().close();
        // A second caller may end the program right away, so it waits until the first has finished.
        let mut modes = self.modes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(saved) = modes.take() else { return };
        set(&saved);
        let _ = write_to_stdout(RESET);
        let _ = io::stdout().flush();
    }
}

/// Gives the terminal these modes, unless klatch runs in the background: then they are the shell's,
/// and touching them would stop klatch.
pub(super) fn set(modes: &Modes) {
    if is_in_background() {
        return;
    }
    // Nothing can be done for a terminal that is gone.
    let _ = modes.set();
}

/// The terminal's modes, if a line is being edited on it: then all keys go to the editor.
pub(super) fn modes_of_a_line() -> Option<Modes> {
    Modes::of_stdin().ok().filter(Modes::are_raw)
}

impl Drop for SavedModes {
    fn drop(&mut self) {
        self.restore();
    }
}
