//! Signals other than Ctrl-C's, which every system has and `ctrlc` handles.

/// What a signal asks of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: the terminal is gone. Not reported if the program was started so that it ignores
    /// this (`nohup`).
    HangUp,
    /// SIGTERM: end.
    Terminate,
    /// SIGQUIT: end at once.
    Quit,
    /// SIGCONT: the program was stopped and continues.
    Continue,
}

pub use system::{Signals, ignore_file_limit};

#[cfg(unix)]
mod system {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use signal_hook::consts::{SIGCONT, SIGHUP, SIGQUIT, SIGTERM, SIGXFSZ};

    use super::Signal;

    /// The signals from now on. Windows has none of them, so it never reports any.
    #[derive(Debug)]
    pub struct Signals(signal_hook::iterator::Signals);

    impl Signals {
        /// Takes the signals over from the system.
        ///
        /// # Errors
        /// When a handler cannot be installed.
        pub fn listen() -> io::Result<Self> {
            let mut kinds = vec![SIGTERM, SIGQUIT, SIGCONT];
            if !is_hangup_ignored() {
                kinds.push(SIGHUP);
            }
            signal_hook::iterator::Signals::new(kinds).map(Self)
        }

        /// Calls `hear` for each one as it comes. Returns only if none can come.
        pub fn each(mut self, mut hear: impl FnMut(Signal)) {
            for kind in self.0.forever() {
                hear(match kind {
                    SIGCONT => Signal::Continue,
                    SIGHUP => Signal::HangUp,
                    SIGQUIT => Signal::Quit,
                    _ => Signal::Terminate,
                });
            }
        }
    }

    /// If a file grows too long (`ulimit -f`), lets the write fail instead of SIGXFSZ ending the
    /// program. Windows has no such limit.
    pub fn ignore_file_limit() {
        let nobody_looks = Arc::new(AtomicBool::new(false));
        // If this fails, nothing has changed.
        let _ = signal_hook::flag::register(SIGXFSZ, nobody_looks);
    }

    /// Whether this program was started so that it ignores hangups (`nohup`). If the system does
    /// not tell, as any but Linux, it counts as so started.
    fn is_hangup_ignored() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        // The lowest bit is for signal 1.
        mask.is_none_or(|mask| mask & 1 << (SIGHUP - 1) != 0)
    }
}

#[cfg(windows)]
mod system {
    use std::io;

    use super::Signal;

    /// The signals from now on: Windows has none of them, so it never reports any.
    #[derive(Debug)]
    pub struct Signals;

    impl Signals {
        /// Takes the signals over from the system.
        ///
        /// # Errors
        /// None here.
        pub fn listen() -> io::Result<Self> {
            Ok(Self)
        }

        /// Calls `hear` for each one as it comes. Returns at once, because none can come.
        pub fn each(self, _hear: impl FnMut(Signal)) {}
    }

    /// Windows has no limit that ends a program for writing too long a file: does nothing.
    pub fn ignore_file_limit() {}
}
