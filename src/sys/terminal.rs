//! The terminal on stdin, stdout and stderr: its modes and its size.
//!
//! The Windows console is not supported: there, lines are read whole, without editing.

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
        /// Those of the terminal on stdin now.
        ///
        /// # Errors
        /// When stdin is no terminal.
        pub fn of_stdin() -> io::Result<Self> {
            Ok(Self(tcgetattr(io::stdin())?))
        }

        /// The same, but that nothing typed is echoed or gathered to lines. Keys go on to raise
        /// signals, and Enter stays what an editor takes it for.
        #[must_use]
        pub fn quiet(&self) -> Self {
            let mut quiet = self.0.clone();
            quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
            quiet.input_modes.remove(InputModes::ICRNL);
            Self(quiet)
        }

        /// Whether all keys go to the program: none is echoed, and none raises a signal.
        #[must_use]
        pub fn are_raw(&self) -> bool {
            let keys = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
            !self.0.local_modes.intersects(keys)
        }

        /// Gives them to the terminal on stdin.
        ///
        /// # Errors
        /// When it is gone.
        pub fn set(&self) -> io::Result<()> {
            Ok(tcsetattr(io::stdin(), OptionalActions::Now, &self.0)?)
        }
    }

    #[cfg(test)]
    impl Modes {
        /// Those of the terminal that a file is.
        pub(crate) fn of(terminal: &std::fs::File) -> io::Result<Self> {
            Ok(Self(tcgetattr(terminal)?))
        }

        /// Whether some keys raise signals.
        pub(crate) fn raise_signals(&self) -> bool {
            self.0.local_modes.contains(LocalModes::ISIG)
        }

        /// Whether what is typed is echoed, and gathered to lines.
        pub(crate) fn echo_lines(&self) -> bool {
            self.0.local_modes.contains(LocalModes::ECHO | LocalModes::ICANON)
        }

        /// Whether both treat what is typed alike.
        pub(crate) fn are_like(&self, other: &Self) -> bool {
            (self.0.local_modes, self.0.input_modes) == (other.0.local_modes, other.0.input_modes)
        }
    }

    /// Whether the terminal on stdin is another program's now: it is stopped who touches it.
    #[must_use]
    pub fn is_in_background() -> bool {
        tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground != getpgrp())
    }

    /// Writes to stdout at once, whoever holds its lock; says how many bytes.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_to_stdout(bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(io::stdout(), bytes)?)
    }

    /// Columns and rows of the terminal on stdout, either of which may be 0; `None` where it is no
    /// terminal, and on Windows.
    #[must_use]
    pub fn size_of_stdout() -> Option<(u16, u16)> {
        tcgetwinsize(io::stdout()).ok().map(|size| (size.ws_col, size.ws_row))
    }

    /// Columns of the terminal on stderr, which may be 0; `None` where it is no terminal, and on
    /// Windows.
    #[must_use]
    pub fn columns_of_stderr() -> Option<u16> {
        tcgetwinsize(io::stderr()).ok().map(|size| size.ws_col)
    }

    /// Bytes that wait to be read from stdin. What cannot tell, as a file or on Windows, has none.
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
        /// Those of the terminal on stdin now.
        ///
        /// # Errors
        /// `Unsupported`, always.
        pub fn of_stdin() -> io::Result<Self> {
            let text = "the modes of this console are not known to klatch";
            Err(io::Error::new(io::ErrorKind::Unsupported, text))
        }

        /// The same, but that nothing typed is echoed or gathered to lines.
        #[must_use]
        pub fn quiet(&self) -> Self {
            self.clone()
        }

        /// Whether all keys go to the program.
        #[must_use]
        pub fn are_raw(&self) -> bool {
            false
        }

        /// Gives them to the terminal on stdin.
        ///
        /// # Errors
        /// `Unsupported`, always.
        pub fn set(&self) -> io::Result<()> {
            Self::of_stdin().map(drop)
        }
    }

    #[cfg(test)]
    impl Modes {
        /// Those of the terminal that a file is.
        pub(crate) fn of(_terminal: &std::fs::File) -> io::Result<Self> {
            Self::of_stdin()
        }

        /// Whether some keys raise signals.
        pub(crate) fn raise_signals(&self) -> bool {
            false
        }

        /// Whether what is typed is echoed, and gathered to lines.
        pub(crate) fn echo_lines(&self) -> bool {
            false
        }

        /// Whether both treat what is typed alike.
        pub(crate) fn are_like(&self, _other: &Self) -> bool {
            false
        }
    }

    /// Whether the terminal on stdin is another program's now: never here.
    #[must_use]
    pub fn is_in_background() -> bool {
        false
    }

    /// Writes to stdout when nobody else does; says how many bytes.
    ///
    /// # Errors
    /// What the system says.
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

    /// Bytes that wait to be read from stdin: what cannot tell has none.
    #[must_use]
    pub fn waiting_bytes_of_stdin() -> u64 {
        0
    }
}
