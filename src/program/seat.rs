//! A place for commands at the node, for the terminal and for each job.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use crossbeam_channel::{bounded, never};

use super::answers::Answering;
use super::failures::Failures;
use super::input::{Source, Stdin};
use super::live::Tty;
use super::output::Output;
use super::pages::Pages;
use crate::node::{Feed, Handle};
use crate::router::ids::FaceId;

/// Most answers on their way to stdin, which waits for one at a time.
const TURNS: usize = 16;

/// Shared by the threads of one face.
pub(super) struct FaceSeat {
    /// Where commands go.
    pub(super) handle: Handle,
    /// The face.
    pub(super) face: FaceId,
    /// The node's feed, for its position.
    pub(super) feed: Feed,
    /// Where answers are printed.
    pub(super) output: Arc<Output>,
    /// Records failed commands.
    pub(super) failures: Arc<Failures>,
    /// The browser's side.
    pub(super) pages: Arc<Pages>,
    /// The terminal where a person may type ahead of an answer.
    pub(super) tty: Arc<OnceLock<Tty>>,
    /// The line of the awaited command, or [`super::input::NOBODY`].
    pub(super) awaited: Arc<AtomicU64>,
    /// Whether it belongs to a one-shot.
    pub(super) one_shot: bool,
}

impl FaceSeat {
    /// What gives commands from these lines, and what prints their results.
    pub(super) fn take<R>(&self, source: Source<R>) -> (Stdin<R>, Answering) {
        let (turns, answers) = bounded(TURNS);
        let stdin = Stdin {
            source,
            number: 0,
            interactive: false,
            confirm_next: false,
            taken: None,
            password_file: None,
            handle: self.handle.clone(),
            face: self.face,
            answers,
            interrupt: bounded(1).0,
            interrupts: never(),
            awaited: Arc::clone(&self.awaited),
            feed: self.feed.clone(),
            output: Arc::clone(&self.output),
            failures: Arc::clone(&self.failures),
            pages: Arc::clone(&self.pages),
            folder: PathBuf::new(),
            job: false,
            told: None,
            deadline: None,
            kept: Arc::default(),
            pulse: Arc::default(),
        };
        let answering = Answering {
            output: Arc::clone(&self.output),
            failures: Arc::clone(&self.failures),
            handle: self.handle.clone(),
            turns,
            tty: Arc::clone(&self.tty),
            awaited: Arc::clone(&self.awaited),
            one_shot: self.one_shot,
        };
        (stdin, answering)
    }
}
