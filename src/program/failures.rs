//! Which commands failed: the exit code remembers.

use std::sync::atomic::{AtomicBool, Ordering};

use super::output::Output;
use crate::router::notice::{Failure, Notice};

/// Whether any command of this program failed.
#[derive(Debug)]
pub(super) struct Failures {
    any: AtomicBool,
    /// What fails counts; otherwise a person saw it.
    counts: bool,
}

impl Failures {
    /// Nothing failed yet.
    pub(super) fn new(counts: bool) -> Self {
        Self { any: AtomicBool::new(false), counts }
    }

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
        self.any.fetch_or(self.counts, Ordering::SeqCst);
    }

    /// Notes a failure that counts whoever saw it.
    pub(super) fn note_in_any_case(&self) {
        self.any.store(true, Ordering::SeqCst);
    }

    /// Whether there was one.
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::SeqCst)
    }
}

/// The notice of a failed command.
#[must_use]
pub(super) fn error(line: u64, command: Option<&'static str>, failure: Failure) -> Notice {
    Notice::Error { line: (line > 0).then_some(line), command, failure }
}
