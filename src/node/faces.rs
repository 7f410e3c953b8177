//! How faces (the terminal, browser tabs) talk to a node: commands in, answers out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};
use thiserror::Error;

use crate::net::draw;
use crate::router::command::{Command, LeaveWhen, NewPassword};
use crate::router::event::Event;
use crate::router::ids::{FaceId, FileId};
use crate::router::notice::{Failure, Notice, Overview};
use crate::router::rights::FaceRights;

/// Answers that may wait for a face; a face with more unread is cut off.
const ANSWERS_MAX: usize = 1_024;

/// The node has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("klatch is ending")]
pub struct Stopped;

/// What one face is told, and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A command ended.
    Reply {
        /// The line that gave it.
        line: u64,
        /// The command's word.
        command: &'static str,
        /// Its result.
        result: Result<(), Failure>,
        /// The feed's position when it ended: earlier notices come before it.
        after: u64,
    },
    /// The face's question is answered.
    Told {
        /// The line that asked.
        line: u64,
        /// The answer.
        notice: Box<Notice>,
        /// The feed's position when it was given.
        after: u64,
    },
    /// The state of things; asked for by [`Handle::overview`].
    Overview {
        /// The state.
        overview: Box<Overview>,
        /// The feed's position at that moment: later notices are news.
        after: u64,
    },
    /// A password is needed; [`Handle::password`] gives it.
    AskPassword {
        /// The line of the command that needs it.
        line: u64,
        /// `host:port` of the locked room; empty for a new password of one's own room.
        address: String,
        /// Whether the last one was wrong.
        again: bool,
        /// The feed's position when it was asked.
        after: u64,
    },
    /// A yes-or-no question; [`Handle::confirm`] answers it. Only faces that said that a person is
    /// there are asked.
    Confirm {
        /// The line of the command that asks.
        line: u64,
        /// The question; peers' text in it is already escaped.
        question: String,
        /// The feed's position when it was asked.
        after: u64,
    },
}

/// Takes a node's commands; clones share the same node.
#[derive(Debug, Clone)]
pub struct Handle {
    inbox: Sender<Event>,
    faces: Arc<Faces>,
}

impl Handle {
    pub(super) fn new(inbox: Sender<Event>, faces: Arc<Faces>) -> Self {
        Self { inbox, faces }
    }

    /// A new face with these rights. The first is the terminal's, number 0.
    #[must_use]
    pub fn face(&self, rights: FaceRights) -> Face {
        let (send, answers) = bounded(ANSWERS_MAX);
        let mut state = self.faces.lock();
        let id = FaceId(state.next);
        state.next = state.next.wrapping_add(1);
        let answers_to = (!state.ended).then_some(send);
        state.known.insert(id, KnownFace { rights, answers: answers_to });
        Face { id, rights, answers, faces: Arc::clone(&self.faces) }
    }

    /// A face gets no more answers; it may still give commands.
    pub fn close(&self, face: FaceId) {
        self.faces.lock().cut(face);
    }

    /// Gives a command, numbered by the face; one [`Answer::Reply`] answers it. Waits while the
    /// router is busy.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn command(&self, face: FaceId, line: u64, command: Command) -> Result<(), Stopped> {
        let rights = self.faces.lock().known.get(&face).map(|known| known.rights);
        let rights = rights.unwrap_or(FaceRights::NONE);
        self.send(Event::Commanded { face, rights, line, command, draw: draw() })
    }

    /// Ends the node at once, regardless of its faces: a signal came, or something failed.
    ///
    /// # Errors
    /// [`Stopped`]: it has ended already.
    pub fn end(&self) -> Result<(), Stopped> {
        let (face, rights) = (FaceId::TERMINAL, FaceRights::TERMINAL);
        let command = Command::Quit(LeaveWhen::Now);
        self.send(Event::Commanded { face, rights, line: 0, command, draw: draw() })
    }

    /// Answers [`Answer::AskPassword`]; `None` gives up, and [`NewPassword::Nothing`] is only for a
    /// new password of one's own room.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn password(
        &self,
        face: FaceId,
        line: u64,
        password: Option<NewPassword>,
    ) -> Result<(), Stopped> {
        self.send(Event::PasswordGiven { face, line, password })
    }

    /// Answers [`Answer::Confirm`]; `None` gives up the command that asked.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn confirm(&self, face: FaceId, line: u64, yes: Option<bool>) -> Result<(), Stopped> {
        self.send(Event::Confirmed { face, line, yes })
    }

    /// Asks for the state of things; one [`Answer::Overview`] answers it.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn overview(&self, face: FaceId) -> Result<(), Stopped> {
        self.send(Event::OverviewWanted { face })
    }

    /// Reports that somebody is waiting for these chunks of a download.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn urgent(&self, file: FileId, first: u32, last: u32) -> Result<(), Stopped> {
        self.send(Event::ChunkUrgent { file, first, last })
    }

    fn send(&self, event: Event) -> Result<(), Stopped> {
        self.inbox.send(event).map_err(|_| Stopped)
    }
}

/// One face; dropping it removes it.
#[derive(Debug)]
pub struct Face {
    /// Its number.
    pub id: FaceId,
    /// What it may do.
    pub rights: FaceRights,
    /// Its answers; disconnected when the node has ended, or if the face read too slowly.
    pub answers: Receiver<Answer>,
    faces: Arc<Faces>,
}

impl Answer {
    /// The feed's position when it was given: earlier notices come before it.
    #[must_use]
    pub fn after(&self) -> u64 {
        match self {
            Self::Reply { after, .. }
            | Self::Told { after, .. }
            | Self::Overview { after, .. }
            | Self::AskPassword { after, .. }
            | Self::Confirm { after, .. } => *after,
        }
    }
}

impl Drop for Face {
    fn drop(&mut self) {
        self.faces.lock().known.remove(&self.id);
    }
}

/// All faces, from the shell's side.
#[derive(Debug, Default)]
pub(super) struct Faces {
    state: Mutex<FacesState>,
}

#[derive(Debug, Default)]
struct FacesState {
    known: BTreeMap<FaceId, KnownFace>,
    next: u32,
    ended: bool,
}

#[derive(Debug)]
struct KnownFace {
    rights: FaceRights,
    /// `None`: it gets no more answers.
    answers: Option<Sender<Answer>>,
}

impl FacesState {
    fn cut(&mut self, face: FaceId) {
        self.known.entry(face).and_modify(|known| known.answers = None);
    }
}

impl Faces {
    fn lock(&self) -> MutexGuard<'_, FacesState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never blocks.
    pub(super) fn answer(&self, face: FaceId, answer: Answer) {
        let mut state = self.lock();
        let answers = state.known.get(&face).and_then(|known| known.answers.as_ref());
        if answers.is_some_and(|answers| answers.try_send(answer).is_err()) {
            state.cut(face);
        }
    }

    /// Nothing more will be answered.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.known.values_mut().for_each(|known| known.answers = None);
    }
}
