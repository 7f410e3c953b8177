//! SIGINT and SIGTERM: the first leaves, the second ends the program at once.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;

use crate::thread;

/// Exit code after a second SIGINT.
const INTERRUPTED: i32 = 130;
/// Exit code after a second SIGTERM.
const TERMINATED: i32 = 143;

/// Calls `leave` at the first signal, unless it is a SIGINT that `taken` makes use of; `last` comes
/// right before the program ends at once.
///
/// # Errors
/// When a handler cannot be installed.
pub(super) fn watch(
    leave: impl Fn() + Clone + Send + 'static,
    taken: impl Fn() -> bool + Send + 'static,
    last: impl Fn() + Clone + Send + 'static,
) -> io::Result<()> {
    static LEAVING: AtomicBool = AtomicBool::new(false);
    let signal = move |exit_code: i32| {
        if LEAVING.swap(true, Ordering::SeqCst) {
            last();
            std::process::exit(exit_code);
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
    let mut signals = Signals::new([SIGTERM])?;
    thread::spawn_exempt("signals", move || {
        for _ in signals.forever() {
            signal(TERMINATED);
        }
    })
}
