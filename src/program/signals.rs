//! SIGINT and SIGTERM: the first leaves, the second ends the program at once, as SIGQUIT does.
//! SIGCONT: klatch was stopped, and goes on.
//!
//! Who sends one signal may deliver it twice: `timeout` signals its child and then its whole group.
//! The same signal again, right after the first, is therefore still the first.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGCONT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::thread;

/// Exit code after a second SIGINT.
const INTERRUPTED: i32 = 130;
/// Exit code after SIGQUIT.
const QUIT: i32 = 131;
/// Exit code after a second SIGTERM.
const TERMINATED: i32 = 143;
/// Nobody who means it a second time is quicker than this.
const ECHO: Duration = Duration::from_millis(100);

/// Calls `leave` at the first signal, unless it is a SIGINT that `taken` makes use of; `last` comes
/// right before the program ends at once, and `resumed` when it goes on after a stop.
///
/// # Errors
/// When a handler cannot be installed.
pub(super) fn watch(
    leave: impl Fn() + Clone + Send + 'static,
    taken: impl Fn() -> bool + Send + 'static,
    last: impl Fn() + Clone + Send + 'static,
    resumed: impl Fn() + Send + 'static,
) -> io::Result<()> {
    static FIRST: Mutex<Option<(i32, Instant)>> = Mutex::new(None);
    let at_once = last.clone();
    let signal = move |exit_code: i32| {
        {
            let mut first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((kind, at)) = *first {
                if kind == exit_code && at.elapsed() < ECHO {
                    return;
                }
                last();
                std::process::exit(exit_code);
            }
            *first = Some((exit_code, Instant::now()));
        }
        // The router may be busy; the next signal must find this thread free.
        if thread::spawn_exempt("leaving", leave.clone()).is_err() {
            last();
            std::process::exit(exit_code);
        }
    };
    let interrupted = signal.clone();
    ctrlc::set_handler(move || {
        if !taken() {
            interrupted(INTERRUPTED);
        }
    })
    .map_err(io::Error::other)?;
    let mut signals = Signals::new([SIGTERM, SIGQUIT, SIGCONT])?;
    thread::spawn_exempt("signals", move || {
        for kind in signals.forever() {
            match kind {
                SIGCONT => resumed(),
                // Whoever presses Ctrl-\ has no patience.
                SIGQUIT => {
                    at_once();
                    std::process::exit(QUIT)
                }
                _ => signal(TERMINATED),
            }
        }
    })
}
