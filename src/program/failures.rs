//! Records failed commands, for the exit code.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::output::Output;
use crate::router::notice::{Code, Failure, Notice};

/// Most lines remembered whose commands have not ended; then the oldest are forgotten.
const SENTENCES_MAX: usize = 256;

/// Whether any command of this program failed.
#[derive(Debug)]
pub(super) struct Failures {
    any: AtomicBool,
    /// Whether failures count; otherwise a person saw them.
    counts: bool,
    /// Lines that are commands but might be sentences.
    sentences: Mutex<BTreeSet<u64>>,
}

impl Failures {
    /// Nothing failed yet.
    pub(super) fn new(counts: bool) -> Self {
        Self { any: AtomicBool::new(false), counts, sentences: Mutex::default() }
    }

    /// Prints and records a failure of the command on line `line` (0: the command line).
    pub(super) fn say(
        &self,
        output: &Output,
        line: u64,
        command: Option<&'static str>,
        failure: Failure,
    ) {
        self.note();
        output.print(&error(line, command, self.hinted(line, command, failure)));
    }

    /// The text after this line's command may match nothing because it is a sentence.
    pub(super) fn note_sentence(&self, line: u64) {
        let mut lines = self.sentences.lock().unwrap_or_else(PoisonError::into_inner);
        lines.insert(line);
        if lines.len() > SENTENCES_MAX {
            lines.pop_first();
        }
    }

    /// The failure of this line's command, with what else the line may have meant.
    pub(super) fn hinted(&self, line: u64, command: Option<&str>, mut failure: Failure) -> Failure {
        let mut lines = self.sentences.lock().unwrap_or_else(PoisonError::into_inner);
        let fits_nothing = matches!(
            failure.code,
            Code::FileNotFound
                | Code::NotAFile
                | Code::NothingMatches
                | Code::NoSuchOffer
                | Code::NameNotFound
                | Code::Usage
        );
        if let Some(word) = command.filter(|_| lines.remove(&line) && fits_nothing) {
            failure.text += &format!(" (did you mean to say it? /say {word} …)");
        }
        failure
    }

    /// Records a failure that is printed elsewhere.
    pub(super) fn note(&self) {
        self.any.fetch_or(self.counts, Ordering::SeqCst);
    }

    /// Records a failure that always counts.
    pub(super) fn note_in_any_case(&self) {
        self.any.store(true, Ordering::SeqCst);
    }

    /// Whether any was recorded.
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::SeqCst)
    }
}

/// The notice of a failed command.
#[must_use]
pub(super) fn error(line: u64, command: Option<&'static str>, failure: Failure) -> Notice {
    Notice::Error { line: (line > 0).then_some(line), command, failure }
}
