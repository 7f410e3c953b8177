//! SIGINT, SIGTERM and SIGHUP: the first one leaves, the second ends the program at once, as
//! SIGQUIT does. SIGCONT: klatch was stopped, and continues. SIGXFSZ is left to the write that
//! fails.
//!
//! One signal may be delivered twice: `timeout` signals its child and then its whole group.
//! Therefore the same signal again, right after the first, does not count.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::sys::signals::{Signal, Signals};
use crate::thread;

/// Exit code after a second SIGHUP.
const HUNG_UP: i32 = 129;
/// Exit code after a second SIGINT.
const INTERRUPTED: i32 = 130;
/// Exit code after SIGQUIT.
const QUIT: i32 = 131;
/// Exit code after a second SIGTERM.
const TERMINATED: i32 = 143;
/// Nobody repeats a signal on purpose faster than this.
const ECHO: Duration = Duration::from_millis(100);

/// The first signal's exit code, and when it came.
static FIRST: Mutex<Option<(i32, Instant)>> = Mutex::new(None);

/// The exit code of the signal that ends the program, if one does.
pub(super) fn first() -> Option<u8> {
    let first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
    first.and_then(|(exit_code, _)| u8::try_from(exit_code).ok())
}

/// Calls `leave` at the first signal, unless it is a SIGINT that `taken` uses; `last` is called
/// right before the program ends at once, and `resumed` when it continues after a stop.
///
/// # Errors
/// When a handler cannot be installed.
pub(super) fn watch(
    leave: impl Fn() + Clone + Send + 'static,
    taken: impl Fn() -> bool + Send + 'static,
    last: impl Fn() + Clone + Send + 'static,
    resumed: impl Fn() + Send + 'static,
) -> io::Result<()> {
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
        // The router may be busy, and this thread must be free for the next signal.
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
    let signals = Signals::listen()?;
    thread::spawn_exempt("signals", move || {
        signals.each(|kind| match kind {
            Signal::Continue => resumed(),
            Signal::HangUp => signal(HUNG_UP),
            // Ctrl-\ ends at once.
            Signal::Quit => {
                at_once();
                std::process::exit(QUIT)
            }
            Signal::Terminate => signal(TERMINATED),
        });
    })
}
