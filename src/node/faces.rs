//! How faces (the terminal, browser tabs) talk to a node: commands in, answers out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};
use thiserror::Error;

use crate::net::draw;
use crate::router::command::{Command, NewPassword};
use crate::router::event::Event;
use crate::router::ids::{FaceId, FileId};
use crate::router::notice::{Failure, Notice, Overview};

/// Answers that may wait for a face; one that leaves more unread is cut off.
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
        /// Its word.
        command: &'static str,
        /// How.
        result: Result<(), Failure>,
        /// The feed's position when it ended: what came before it belongs in front of it.
        after: u64,
    },
    /// What the face asked for.
    Told {
        /// The line that asked.
        line: u64,
        /// The answer.
        notice: Notice,
        /// The feed's position when it was given.
        after: u64,
    },
    /// How things stand; asked for by [`Handle::overview`].
    Overview {
        /// How.
        overview: Box<Overview>,
        /// The feed's position at that moment: what comes from there on is news to it.
        after: u64,
    },
    /// A password is needed; [`Handle::password`] gives it.
    AskPassword {
        /// The line of the command that needs it.
        line: u64,
        /// `host:port` of the locked room; empty for a new password of one's own room.
        address: String,
        /// The last one was wrong.
        again: bool,
        /// The feed's position when it was asked.
        after: u64,
    },
    /// A question of yes or no; [`Handle::confirm`] answers it. Only faces that said that somebody
    /// is there are asked.
    Confirm {
        /// The line of the command that asks.
        line: u64,
        /// The question; foreign text in it is already escaped.
        question: String,
        /// The feed's position when it was asked.
        after: u64,
    },
}

/// Where a node takes commands; clones are handles to the same node.
#[derive(Debug, Clone)]
pub struct Handle {
    inbox: Sender<Event>,
    faces: Arc<Faces>,
}

impl Handle {
    pub(super) fn new(inbox: Sender<Event>, faces: Arc<Faces>) -> Self {
        Self { inbox, faces }
    }

    /// A new face. The first is the terminal's, number 0.
    #[must_use]
    pub fn face(&self) -> Face {
        let (send, answers) = bounded(ANSWERS_MAX);
        let mut state = self.faces.lock();
        let id = FaceId(state.next);
        state.next = state.next.wrapping_add(1);
        if !state.ended {
            state.open.insert(id, send);
        }
        Face { id, answers, faces: Arc::clone(&self.faces) }
    }

    /// Ends a face: nothing more is answered to it.
    pub fn close(&self, face: FaceId) {
        self.faces.lock().open.remove(&face);
    }

    /// Gives a command, numbered by the face; it is answered by one [`Answer::Reply`]. Waits
    /// while the router is busy.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn command(&self, face: FaceId, line: u64, command: Command) -> Result<(), Stopped> {
        self.send(Event::Commanded { face, line, command, draw: draw() })
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

    /// Asks how things stand; answered by one [`Answer::Overview`].
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn overview(&self, face: FaceId) -> Result<(), Stopped> {
        self.send(Event::OverviewWanted { face })
    }

    /// Says that somebody waits for these chunks of a download.
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

/// One face; it is forgotten when dropped.
#[derive(Debug)]
pub struct Face {
    /// Its number.
    pub id: FaceId,
    /// What it is told; disconnected when the node has ended, or the face read too slowly.
    pub answers: Receiver<Answer>,
    faces: Arc<Faces>,
}

impl Answer {
    /// The feed's position when it was given: what came before it belongs in front of it.
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
        self.faces.lock().open.remove(&self.id);
    }
}

/// All faces, as the shell sees them.
#[derive(Debug, Default)]
pub(super) struct Faces {
    state: Mutex<FacesState>,
}

#[derive(Debug, Default)]
struct FacesState {
    open: BTreeMap<FaceId, Sender<Answer>>,
    next: u32,
    ended: bool,
}

impl Faces {
    fn lock(&self) -> MutexGuard<'_, FacesState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never blocks.
    pub(super) fn answer(&self, face: FaceId, answer: Answer) {
        let mut state = self.lock();
        let lost = state.open.get(&face).is_some_and(|answers| answers.try_send(answer).is_err());
        if lost {
            state.open.remove(&face);
        }
    }

    /// Nothing more will be answered.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.open.clear();
    }
}
