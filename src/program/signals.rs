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

/// Calls `leave` at the first signal.
///
/// # Errors
/// When a handler cannot be installed.
pub(super) fn watch(leave: impl Fn() + Clone + Send + 'static) -> io::Result<()> {
    static LEAVING: AtomicBool = AtomicBool::new(false);
    let first = |leave: Box<dyn Fn() + Send>, second: i32| {
        if LEAVING.swap(true, Ordering::SeqCst) {
            std::process::exit(second);
        }
        // The router may be busy; the next signal must find this thread free.
        if thread::spawn_exempt("leaving", leave).is_err() {
            std::process::exit(second);
        }
    };
    let on_interrupt = leave.clone();
    ctrlc::set_handler(move || first(Box::new(on_interrupt.clone()), INTERRUPTED))
        .map_err(io::Error::other)?;
    let mut signals = Signals::new([SIGTERM])?;
    thread::spawn_exempt("signals", move || {
        for _ in signals.forever() {
            first(Box::new(leave.clone()), TERMINATED);
        }
    })
}
