//! Everything a person, a script or a page can ask for: one closed enum for every face.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ids::{EntryId, RoomId};
use super::invite_link::InviteLink;
use crate::crypto::password::Password;

/// A bound of what files may take of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Towards others; otherwise what is fetched.
    pub up: bool,
    /// Bytes per second; `None`: as fast as it goes.
    pub bytes_per_second: Option<u64>,
}

/// A parsed command with valid values; `ui::command` reads it from a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Say a text to the room.
    Say {
        /// Valid message text (checked by [`crate::router::text::check_message`]).
        text: String,
    },
    /// Link with a peer.
    Connect {
        /// Host name or address, without brackets.
        host: String,
        /// TCP port.
        port: u16,
        /// What is known of the lock, and the password if one was given.
        lock: LockWish,
    },
    /// Enter a room by an invitation, through any of its addresses that answers.
    Join {
        /// The invitation.
        link: InviteLink,
    },
    /// [`Command::Connect`] or [`Command::Join`], tried again for as long as it may still work.
    Reach {
        /// That command.
        by: Box<Command>,
        /// Give up after this long.
        within_ms: u64,
    },
    /// Close the room, or change its password; `None` asks for it.
    Password {
        /// The new password.
        password: Option<NewPassword>,
        /// Somebody is there to answer questions ([`super::event::Effect::Confirm`]).
        asks: bool,
    },
    /// Open the room again.
    Unlock,
    /// Throw somebody out who came in through oneself or below.
    Remove {
        /// Its name, as it is shown or as it is.
        nick: String,
        /// Take it in again instead.
        undo: bool,
        /// Somebody is there to answer questions.
        asks: bool,
    },
    /// Put somebody above everybody but oneself, the founder, and earlier stewards.
    Steward {
        /// Its name.
        nick: String,
        /// It is a steward no more.
        off: bool,
    },
    /// Make an invitation, close the room if it is open, and list the invitations that live.
    Invite {
        /// It lets in one guest only.
        once: bool,
        /// How long it admits; `None`: a day.
        for_ms: Option<u64>,
    },
    /// End the invitations that this node made.
    InviteOff,
    /// Hide somebody here, and serve it nothing.
    Ignore {
        /// Its name.
        nick: String,
        /// Hide it no more.
        off: bool,
    },
    /// Offer files, one after the other.
    Send {
        /// The paths.
        paths: Vec<PathBuf>,
    },
    /// Offer a file under a name of one's own choice.
    SendAs {
        /// The path.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// Offer a file that a page gave, by the copy that was made of it.
    Share {
        /// Where the copy lies; it goes when the offer is taken back.
        path: PathBuf,
        /// The file's own name.
        name: String,
    },
    /// Fetch a file.
    Download {
        /// A name, or a prefix of 8 or more hex digits of the id of a file or an offer.
        wanted: String,
        /// Wait for a host as long as it takes; otherwise a minute without one ends it.
        patient: bool,
        /// Somebody is there to answer questions, and goes on typing when the download has begun:
        /// it is answered then. Otherwise it is answered at its end.
        asks: bool,
    },
    /// Fetch a file, as [`Command::Download`], and say how it is to be called.
    Fetch {
        /// A name, or a prefix of 8 or more hex digits of the id of a file or an offer.
        wanted: String,
        /// Wait for a host as long as it takes; otherwise a minute without one ends it.
        patient: bool,
        /// Its name on this computer.
        save: SaveAs,
        /// Where it goes, if not into the folder for downloads. What lies elsewhere already is
        /// copied there.
        folder: Option<PathBuf>,
    },
    /// Stop a download or hashing, or withdraw one's own offer.
    Cancel {
        /// A name, or a prefix of 8 or more hex digits of the id of a file or an offer.
        wanted: String,
    },
    /// Take own offers back; for a while [`Command::Restore`] undoes it.
    Withdraw {
        /// As faces know them.
        offers: Vec<EntryId>,
    },
    /// Offer again what was just taken back.
    Restore {
        /// As faces know them.
        offers: Vec<EntryId>,
    },
    /// End a `connect` or `/join` of the same face that is still under way.
    GiveUp {
        /// The line of that command.
        of: u64,
    },
    /// What is offered.
    Files,
    /// Who is here.
    Members,
    /// What is moving.
    Transfers,
    /// Bound what files may take of the network, or say how it is bounded.
    Limit {
        /// What is to change; `None`: say what holds.
        change: Option<RateLimit>,
    },
    /// Change the nickname.
    Name {
        /// A valid name (checked by [`crate::router::text::check_name`]).
        name: String,
    },
    /// For scripts: wait until something holds.
    Wait {
        /// What to wait for.
        what: Wait,
        /// Give up after this long.
        within_ms: u64,
    },
    /// What is wrong and what to do.
    Doctor,
    /// Compare words with a member.
    Verify {
        /// Its name, as it is shown or as it is.
        nick: String,
        /// They were compared, and are the same.
        same: bool,
    },
    /// Into a fresh room alone.
    Leave,
    /// Into a fresh room alone, but not under those who can fetch a file from this node only: see
    /// [`Command::QuitWhenServed`].
    LeaveWhenServed {
        /// Somebody is there to decide.
        asks: bool,
    },
    /// End the program, but not under those who can fetch a file from this node only.
    QuitWhenServed {
        /// Somebody is there to decide: told, and asked to say it again. Otherwise klatch ends by
        /// itself, when they have it or after a minute.
        asks: bool,
    },
    /// The face that gives this means this room: in another one it does nothing more.
    BeginFace {
        /// The room.
        room: RoomId,
    },
    /// The face that gives this ends: what it waits for, hashes and fetches ends with it.
    EndFace {
        /// What it offered stays offered; otherwise that is taken back.
        keep_offers: bool,
    },
    /// End the program now.
    Quit,
    /// The end of piped stdin: finish what is under way, then end.
    EndOfInput,
}

impl Wait {
    /// It holds once others got what was said or offered.
    #[must_use]
    pub fn is_for_others(&self) -> bool {
        matches!(self, Self::Fetched | Self::FetchedBy(_) | Self::Held)
    }
}

impl Command {
    /// Whether it is for others to hear, or to serve.
    #[must_use]
    pub fn needs_others(&self) -> bool {
        matches!(
            self,
            Self::Say { .. }
                | Self::Send { .. }
                | Self::SendAs { .. }
                | Self::Share { .. }
                | Self::Download { .. }
                | Self::Fetch { .. }
        )
    }

    /// Whether it waits until a change of the lock that is under way is done.
    #[must_use]
    pub fn waits_for_lock(&self) -> bool {
        matches!(
            self,
            Self::Password { .. }
                | Self::Unlock
                | Self::Leave
                | Self::Invite { .. }
                | Self::InviteOff
                | Self::Remove { .. }
                | Self::Steward { .. }
        )
    }

    /// The command's word, as `--json` names it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Command::Say { .. } => "say",
            Command::Connect { .. } => "connect",
            Command::Password { .. } => "password",
            Command::Join { .. } => "join",
            Command::Reach { by, .. } => by.word(),
            Command::Unlock => "unlock",
            Command::Remove { .. } => "remove",
            Command::Steward { .. } => "steward",
            Command::Invite { .. } | Command::InviteOff => "invite",
            Command::Ignore { .. } => "ignore",
            Command::Send { .. } | Command::SendAs { .. } => "send",
            Command::Share { .. } => "share",
            Command::Download { .. } | Command::Fetch { .. } => "download",
            Command::Cancel { .. } => "cancel",
            Command::Withdraw { .. } => "withdraw",
            Command::Restore { .. } => "restore",
            Command::GiveUp { .. } => "give_up",
            Command::Files => "files",
            Command::Members => "members",
            Command::Transfers => "transfers",
            Command::Limit { .. } => "limit",
            Command::Name { .. } => "name",
            Command::Wait { .. } => "wait",
            Command::Doctor => "doctor",
            Command::Verify { .. } => "verify",
            Command::LeaveWhenServed { .. } | Command::Leave => "leave",
            Command::BeginFace { .. } => "begin_face",
            Command::EndFace { .. } => "end_face",
            Command::QuitWhenServed { .. } | Command::Quit => "quit",
            Command::EndOfInput => "end_of_input",
        }
    }
}

/// What a person wants the password of its room to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewPassword {
    /// This.
    Set(Password),
    /// None: only members and people with an invitation get in.
    Nothing,
}

/// What the person at the keyboard said about the lock of the room that they connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockWish {
    /// Nothing: join an open room; of a locked one, ask for the password.
    Unknown,
    /// `connect … locked`: the face asks for the password before anything is dialled.
    Locked,
    /// A password is at hand: accept nothing but a locked room that it opens.
    Password(Password),
}

/// How a download is called on this computer. No file is ever replaced: where the name is taken,
/// it is dated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SaveAs {
    /// The time, and the name under which it is offered.
    #[default]
    Dated,
    /// The name under which it is offered.
    Plain,
    /// This one.
    Named(String),
    /// This one, for as long as it takes to pass its bytes on: it is not served from there.
    Passing(String),
}

/// What `wait` can wait for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wait {
    /// This many milliseconds.
    Time(u64),
    /// This many other members present, or more.
    Members(usize),
    /// An offer of this name by anyone present.
    File(String),
    /// Offers that this name, glob or id means, or whatever is offered, for whoever wants to have
    /// them and nothing else: told what is missing, and in the end what there is.
    Offer(Option<String>),
    /// A message of another member that contains this text, after the one that satisfied the last.
    Message(String),
    /// Every download, from whichever face it was begun.
    Downloads,
    /// Everything that the face which waits has offered held by those who are present now, as far
    /// as they stay, or by the first who comes.
    Fetched,
    /// This many members hold everything that the waiting face has offered.
    FetchedBy(usize),
    /// Everything that was said here held by those present, and by somebody.
    Held,
}
