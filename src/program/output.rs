//! What the program prints: notices as they come, answers where they belong among them.

use std::io::{self, BufWriter, Stderr, Stdout, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::node::{Heard, Reader};
use crate::router::notice::Notice;
use crate::ui::notice::{Format, Renderer};

/// The screen or the pipe, shared by the printer and by whoever answers commands.
#[derive(Debug)]
pub(super) struct Output {
    state: Mutex<State>,
    passed: Condvar,
}

#[derive(Debug)]
struct State {
    renderer: Renderer,
    out: BufWriter<Stdout>,
    err: Stderr,
    /// How far the printer is in the feed.
    position: u64,
    /// Nobody reads stdout any more.
    broken: bool,
    ended: bool,
}

impl Output {
    /// Prints in this format on stdout and stderr.
    #[must_use]
    pub(super) fn new(format: Format) -> Arc<Self> {
        let state = State {
            renderer: Renderer::new(format),
            out: BufWriter::new(io::stdout()),
            err: io::stderr(),
            position: 0,
            broken: false,
            ended: false,
        };
        Arc::new(Self { state: Mutex::new(state), passed: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints a notice now.
    pub(super) fn print(&self, notice: &Notice) {
        let mut state = self.lock();
        state.print(notice);
        state.flush();
    }

    /// Prints a notice once the printer has passed `after`, so that it stands where it belongs.
    pub(super) fn print_after(&self, after: u64, notice: &Notice) {
        let mut state = self.wait_until(after);
        state.print(notice);
        state.flush();
    }

    /// Waits until the printer has passed `position` (or nothing more comes).
    pub(super) fn wait_for(&self, position: u64) {
        drop(self.wait_until(position));
    }

    fn wait_until(&self, position: u64) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        while state.position < position && !state.ended {
            state = self.passed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    /// Waits until the printer has printed everything, for at most `patience`.
    pub(super) fn wait_ended(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut state = self.lock();
        while !state.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.passed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Prints what `reader` brings until nothing more comes. `closed` is called once when stdout
    /// is gone. The last notice of all is left to the caller, who knows the exit code.
    pub(super) fn run(&self, mut reader: Reader, closed: impl Fn()) {
        let mut told_closed = false;
        loop {
            let heard = match reader.next(Some(Duration::ZERO)) {
                Heard::Nothing => {
                    self.lock().flush();
                    reader.next(None)
                }
                heard => heard,
            };
            let mut state = self.lock();
            match heard {
                Heard::Notice(notice) if matches!(*notice, Notice::Stopped { .. }) => {}
                Heard::Notice(notice) => state.print(&notice),
                Heard::Missed(count) => {
                    let text = format!("{count} notices were not shown: the output was too slow");
                    state.print(&Notice::Remark { text });
                }
                Heard::Forget | Heard::Nothing => {}
                Heard::Ended => {
                    state.ended = true;
                    state.flush();
                }
            }
            state.position = reader.position();
            let ended = state.ended;
            let broken = state.broken;
            drop(state);
            self.passed.notify_all();
            if broken && !std::mem::replace(&mut told_closed, true) {
                closed();
            }
            if ended {
                return;
            }
        }
    }
}

impl State {
    fn print(&mut self, notice: &Notice) {
        let output = self.renderer.render(notice);
        if let Some(lines) = output.out
            && !self.broken
            && writeln!(self.out, "{lines}").is_err()
        {
            self.broken = true;
        }
        if let Some(line) = output.err {
            // What came before belongs in front of it, should both go to one screen.
            self.flush();
            // Where errors cannot be written there is nobody to tell.
            let _ = writeln!(self.err, "{line}");
        }
    }

    fn flush(&mut self) {
        if !self.broken && self.out.flush().is_err() {
            self.broken = true;
        }
    }
}
