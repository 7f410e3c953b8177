//! The terminal on stdin, stdout and stderr: its modes and its size.
//!
//! The Windows console is not supported: there, whole lines are read, without editing.

pub use system::{
    Modes, columns_of_stderr, is_in_background, size_of_stdout, waiting_bytes_of_stdin,
    write_to_stdout,
};

#[cfg(unix)]
mod system {
    use std::io;

    use rustix::process::getpgrp;
    use rustix::termios::{
        InputModes, LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcgetwinsize,
        tcsetattr,
    };

    /// How a terminal treats what is typed.
    #[derive(Debug, Clone)]
    pub struct Modes(Termios);

    impl Modes {
        /// The present modes of the terminal on stdin.
        ///
        /// # Errors
        /// When stdin is not a terminal.
        pub fn of_stdin() -> io::Result<Self> {
            Ok(Self(tcgetattr(io::stdin())?))
        }

        /// The same, except that nothing typed is echoed or collected into lines. Keys still raise
        /// signals, and Enter stays what an editor expects.
        #[must_use]
        pub fn quiet(&self) -> Self {
            let mut quiet = self.0.clone();
            quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
            quiet.input_modes.remove(InputModes::ICRNL);
            Self(quiet)
        }

        /// Whether all keys go to the program: none are echoed, and none raise signals.
        #[must_use]
        pub fn are_raw(&self) -> bool {
            let keys = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
            !self.0.local_modes.intersects(keys)
        }

        /// Sets them on the terminal on stdin.
        ///
        /// # Errors
        /// When the terminal is gone.
        pub fn set(&self) -> io::Result<()> {
            Ok(tcsetattr(io::stdin(), OptionalActions::Now, &self.0)?)
        }
    }

    #[cfg(test)]
    impl Modes {
        /// The modes of the terminal that this file is.
        pub(crate) fn of(terminal: &std::fs::File) -> io::Result<Self> {
            Ok(Self(tcgetattr(terminal)?))
        }

        /// Whether some keys raise signals.
        pub(crate) fn raise_signals(&self) -> bool {
            self.0.local_modes.contains(LocalModes::ISIG)
        }

        /// Whether typed characters are echoed, and collected into lines.
        pub(crate) fn echo_lines(&self) -> bool {
            self.0.local_modes.contains(LocalModes::ECHO | LocalModes::ICANON)
        }

        /// Whether both treat what is typed the same way.
        pub(crate) fn are_like(&self, other: &Self) -> bool {
            (self.0.local_modes, self.0.input_modes) == (other.0.local_modes, other.0.input_modes)
        }
    }

    /// Whether the terminal on stdin is now another program's: touching it would stop this one.
    #[must_use]
    pub fn is_in_background() -> bool {
        tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground != getpgrp())
    }

    /// Writes to stdout at once, even while its lock is held; returns the number of bytes.
    ///
    /// # Errors
    /// The system's error.
    pub fn write_to_stdout(bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(io::stdout(), bytes)?)
    }

    /// Columns and rows of the terminal on stdout; either may be 0. `None` if it is not a terminal,
    /// and on Windows.
    #[must_use]
    pub fn size_of_stdout() -> Option<(u16, u16)> {
        tcgetwinsize(io::stdout()).ok().map(|size| (size.ws_col, size.ws_row))
    }

    /// Columns of the terminal on stderr, which may be 0; `None` if it is not a terminal, and on
    /// Windows.
    #[must_use]
    pub fn columns_of_stderr() -> Option<u16> {
        tcgetwinsize(io::stderr()).ok().map(|size| size.ws_col)
    }

    /// Bytes waiting to be read from stdin; 0 if this is not known, as for a file or on Windows.
    #[must_use]
    pub fn waiting_bytes_of_stdin() -> u64 {
        rustix::io::ioctl_fionread(io::stdin()).unwrap_or(0)
    }
}

#[cfg(windows)]
mod system {
    use std::io::{self, Write};

    /// How a terminal treats what is typed: not known here.
    #[derive(Debug, Clone)]
    pub struct Modes(());

    impl Modes {
        /// The present modes of the terminal on stdin.
        ///
        /// # Errors
        /// `Unsupported`, always.
        pub fn of_stdin() -> io::Result<Self> {
            let text = "the modes of this console are not known to klatch";
            Err(io::Error::new(io::ErrorKind::Unsupported, text))
        }

        /// The same, except that nothing typed is echoed or collected into lines.
        #[must_use]
        pub fn quiet(&self) -> Self {
            self.clone()
        }

        /// Whether all keys go to the program.
        #[must_use]
        pub fn are_raw(&self) -> bool {
            false
        }

        /// Sets them on the terminal on stdin.
        ///
        /// # Errors
        /// `Unsupported`, always.
        pub fn set(&self) -> io::Result<()> {
            Self::of_stdin().map(drop)
        }
    }

    #[cfg(test)]
    impl Modes {
        /// The modes of the terminal that this file is.
        pub(crate) fn of(_terminal: &std::fs::File) -> io::Result<Self> {
            Self::of_stdin()
        }

        /// Whether some keys raise signals.
        pub(crate) fn raise_signals(&self) -> bool {
            false
        }

        /// Whether typed characters are echoed, and collected into lines.
        pub(crate) fn echo_lines(&self) -> bool {
            false
        }

        /// Whether both treat what is typed the same way.
        pub(crate) fn are_like(&self, _other: &Self) -> bool {
            false
        }
    }

    /// Whether the terminal on stdin now belongs to another program: never here.
    #[must_use]
    pub fn is_in_background() -> bool {
        false
    }

    /// Writes to stdout when nobody else does; returns the number of bytes.
    ///
    /// # Errors
    /// The system's error.
    pub fn write_to_stdout(bytes: &[u8]) -> io::Result<usize> {
        io::stdout().write(bytes)
    }

    /// Columns and rows of the terminal on stdout: not known here.
    #[must_use]
    pub fn size_of_stdout() -> Option<(u16, u16)> {
        None
    }

    /// Columns of the terminal on stderr: not known here.
    #[must_use]
    pub fn columns_of_stderr() -> Option<u16> {
        None
    }

    /// Bytes waiting to be read from stdin; 0 because this is not known.
    #[must_use]
    pub fn waiting_bytes_of_stdin() -> u64 {
        0
    }
}
