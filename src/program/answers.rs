//! Results of commands: printed in their place, and passed to the thread that waits for them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam_channel::Sender;

use super::failures::{self, Failures};
use super::live::Tty;
use super::output::Output;
use crate::node::{Answer, Face, Handle};
use crate::router::command::Command;
use crate::router::notice::{Failure, Notice};

/// Prints results of commands, and passes them on to stdin.
pub(super) struct Answering {
    pub(super) output: Arc<Output>,
    pub(super) failures: Arc<Failures>,
    pub(super) handle: Handle,
    pub(super) turns: Sender<Answer>,
    /// The terminal where a person may type ahead of the answer.
    pub(super) tty: Arc<OnceLock<Tty>>,
    pub(super) awaited: Arc<AtomicU64>,
    /// Nobody types: stdout is for a script, and hints belong on stderr.
    pub(super) one_shot: bool,
}

impl Answering {
    /// Runs until the node or the face has ended.
    pub(super) fn run(&self, face: &Face) {
        while let Ok(answer) = face.answers.recv() {
            if let Answer::Reply { line, command, result, after } = &answer {
                self.print_reply(*line, command, result, *after);
            }
            if let Answer::Told { line, notice, after } = &answer {
                match &**notice {
                    Notice::Remark { text } if self.one_shot => self.output.hint(*after, text),
                    notice => self.output.print_after(*after, notice),
                }
                let is_asked = matches!(**notice, Notice::Files { .. } | Notice::Invitation { .. });
                if self.one_shot && is_asked && *line == self.awaited.load(Ordering::SeqCst) {
                    // If stdin has ended, nobody waits.
                    let _ = self.turns.send(answer);
                    continue;
                }
            }
            let (Answer::Reply { line, .. }
            | Answer::AskPassword { line, .. }
            | Answer::Confirm { line, .. }) = &answer
            else {
                continue;
            };
            if *line == self.awaited.load(Ordering::SeqCst) {
                // If stdin has ended, nobody waits.
                let _ = self.turns.send(answer);
                self.tty.get().into_iter().for_each(Tty::wake);
            } else {
                self.decline(face, &answer);
            }
        }
    }

    /// Nobody waits for the command any more, so nobody is asked: it continues without a yes.
    fn decline(&self, face: &Face, question: &Answer) {
        // A node that has ended waits for no answer.
        let _ = match question {
            Answer::AskPassword { line, .. } => self.handle.password(face.id, *line, None),
            Answer::Confirm { line, .. } => self.handle.confirm(face.id, *line, Some(false)),
            _ => Ok(()),
        };
    }

    fn print_reply(
        &self,
        line: u64,
        command: &'static str,
        result: &Result<(), Failure>,
        after: u64,
    ) {
        let command = (command != Command::EndOfInput.word()).then_some(command);
        match (result, command) {
            (Err(failure), _) => {
                self.failures.note();
                let failure = self.failures.hinted(line, command, failure.clone());
                let error = failures::error(line, command, failure);
                self.output.print_after(after, &error);
            }
            (Ok(()), Some(command)) if line > 0 => {
                self.output.print_after(after, &Notice::CommandDone { line, command });
            }
            (Ok(()), _) => {}
        }
    }
}
