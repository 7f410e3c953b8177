//! Which commands failed: the exit code remembers.

use std::sync::atomic::{AtomicBool, Ordering};

use super::output::Output;
use crate::router::notice::{Failure, Notice};

/// Whether any command of this program failed.
#[derive(Debug, Default)]
pub(super) struct Failures(AtomicBool);

impl Failures {
    /// Prints a failure of the command that line `line` gave (0: the command line) and notes it.
    pub(super) fn say(
        &self,
        output: &Output,
        line: u64,
        command: Option<&'static str>,
        failure: Failure,
    ) {
        self.note();
        output.print(&error(line, command, failure));
    }

    /// Notes a failure that is printed elsewhere.
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether there was one.
    pub(super) fn any(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The notice of a failed command.
#[must_use]
pub(super) fn error(line: u64, command: Option<&'static str>, failure: Failure) -> Notice {
    Notice::Error { line: (line > 0).then_some(line), command, failure }
}
