//! Everything that a person, a script or a page can ask for: one closed enum for every face.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ids::{EntryId, MemberId, RoomId};
use super::invite_link::InviteLink;
use super::part::PathPattern;
use crate::crypto::password::Password;

/// A bandwidth limit of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// The limit is for uploads; otherwise for downloads.
    pub up: bool,
    /// Bytes per second; `None`: no limit.
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
    /// Join a peer's room.
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
    /// [`Command::Connect`] or [`Command::Join`], with retries.
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
        /// A person can answer questions ([`super::event::Effect::Confirm`]).
        asks: bool,
    },
    /// Open the room again.
    Unlock,
    /// Remove somebody who came in through this node, directly or indirectly.
    Remove {
        /// Its name, as shown or as it really is.
        nick: String,
        /// Admit it again instead.
        undo: bool,
        /// A person can answer questions.
        asks: bool,
    },
    /// Put somebody above everybody except the founder (this node) and earlier stewards.
    Steward {
        /// Its name.
        nick: String,
        /// It is no longer a steward.
        off: bool,
    },
    /// Make an invitation, close the room if it is open, and list the valid invitations.
    Invite {
        /// It admits one guest only.
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
        /// Stop ignoring it.
        off: bool,
    },
    /// Offer files, one after the other.
    Send {
        /// The paths.
        paths: Vec<PathBuf>,
    },
    /// Offer a file under another name.
    SendAs {
        /// The path.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// Offer a file shared from a page, by its copy.
    Share {
        /// The copy's path; it is deleted when the offer is withdrawn.
        path: PathBuf,
        /// The file's own name.
        name: String,
    },
    /// Fetch a file.
    Download {
        /// A name, or a prefix of 8 or more hex digits of the id of a file or an offer.
        wanted: String,
        /// What of a folder, if not all of it.
        paths: Vec<PathPattern>,
        /// Wait for a host indefinitely; otherwise it fails after a minute without one.
        patient: bool,
        /// A person can answer questions, and keeps typing once the download has begun: then the
        /// command is answered. Otherwise it is answered when the download ends.
        asks: bool,
    },
    /// Fetch a file, as [`Command::Download`], under a given name.
    Fetch {
        /// A name, or a prefix of 8 or more hex digits of the id of a file or an offer.
        wanted: String,
        /// Wait for a host indefinitely; otherwise it fails after a minute without one.
        patient: bool,
        /// Its name on this computer.
        save: SaveAs,
        /// Where it goes, if not into the downloads folder. A file that is already elsewhere is
        /// copied there.
        folder: Option<PathBuf>,
    },
    /// Stop a download or hashing, or withdraw one's own offer.
    Cancel {
        /// A name, or a prefix of 8 or more hex digits of the id of a file or an offer.
        wanted: String,
    },
    /// Withdraw own offers; for a while [`Command::Restore`] undoes it.
    Withdraw {
        /// As faces know them.
        offers: Vec<EntryId>,
    },
    /// Restore offers that were just withdrawn.
    Restore {
        /// As faces know them.
        offers: Vec<EntryId>,
    },
    /// End a `connect` or `/join` of the same face that is still in progress.
    GiveUp {
        /// The line of that command.
        of: u64,
    },
    /// List offers.
    Files,
    /// List what is in a folder, one level at a time.
    Inside {
        /// The folder as for [`Command::Download`], perhaps with a path in it behind a `/` or a
        /// blank.
        wanted: String,
        /// The path, if it is given by itself.
        path: Option<String>,
    },
    /// List members.
    Members,
    /// List transfers.
    Transfers,
    /// Limit the bandwidth of files, or show the limits.
    Limit {
        /// The change; `None`: show the limits.
        change: Option<RateLimit>,
    },
    /// Change the nickname.
    Name {
        /// A valid name (checked by [`crate::router::text::check_name`]).
        name: String,
    },
    /// For scripts: wait for a condition.
    Wait {
        /// What to wait for.
        what: Wait,
        /// Give up after this long.
        within_ms: u64,
    },
    /// Find problems, and say what to do.
    Doctor,
    /// Compare words with a member.
    Verify {
        /// Its name, as shown or as it really is.
        nick: String,
        /// The words were compared, and are the same.
        same: bool,
    },
    /// Leave for a new room.
    Leave(LeaveWhen),
    /// End the program.
    Quit(LeaveWhen),
    /// Binds the face to this room: in any other it can do nothing more.
    BeginFace {
        /// The room.
        room: RoomId,
    },
    /// The face ends, and so do its waiting, hashing and downloads.
    EndFace {
        /// Its offers stay; otherwise they are withdrawn.
        keep_offers: bool,
    },
    /// The end of piped stdin: finish what is in progress, then end.
    EndOfInput,
}

/// When to carry out a `leave` or `quit` if members can fetch a file only from this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaveWhen {
    /// At once: the person was asked already, or nobody can be.
    Now,
    /// When it is repeated: a person decides, and is told what it would cut off.
    Confirmed,
    /// When they have it, or after a minute.
    Served,
}

impl Wait {
    /// Whether it counts only once others have received what was said or offered.
    #[must_use]
    pub fn is_for_others(&self) -> bool {
        matches!(self, Self::Fetched | Self::FetchedBy(_) | Self::Held)
    }
}

impl Command {
    /// Whether others must hear or serve it.
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

    /// Whether it waits until a lock change in progress is done.
    #[must_use]
    pub fn waits_for_lock(&self) -> bool {
        matches!(
            self,
            Self::Password { .. }
                | Self::Unlock
                | Self::Leave(LeaveWhen::Now)
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
            Command::Files | Command::Inside { .. } => "files",
            Command::Members => "members",
            Command::Transfers => "transfers",
            Command::Limit { .. } => "limit",
            Command::Name { .. } => "name",
            Command::Wait { .. } => "wait",
            Command::Doctor => "doctor",
            Command::Verify { .. } => "verify",
            Command::Leave(_) => "leave",
            Command::BeginFace { .. } => "begin_face",
            Command::EndFace { .. } => "end_face",
            Command::Quit(_) => "quit",
            Command::EndOfInput => "end_of_input",
        }
    }
}

/// The password that a person wants for the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewPassword {
    /// This password.
    Set(Password),
    /// None: only members and people with an invitation can join.
    Nothing,
}

/// What the person said about the lock of the room to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockWish {
    /// Nothing: join an open room; ask for the password of a locked one.
    Unknown,
    /// `connect … locked`: the face asks for the password before anything is dialled.
    Locked,
    /// A password is at hand: accept nothing but a locked room that it opens.
    Password(Password),
}

/// The name of a download on this computer. No file is ever replaced: if the name is taken, the
/// file gets a dated one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SaveAs {
    /// The time, then the name under which it is offered.
    #[default]
    Dated,
    /// The name under which it is offered.
    Plain,
    /// This one.
    Named(String),
    /// The folder itself gets this one, and takes the place of an earlier version that klatch made
    /// of what this member offers under the same name.
    Mirror {
        /// The name.
        name: String,
        /// Who offers it.
        from: MemberId,
        /// What klatch made and the member no longer has is removed.
        delete: bool,
    },
    /// This one, only to pass on the bytes: the file is not served from there.
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
    /// Offers that this name, glob or id means, or any offers, for a one-shot that needs only them:
    /// it is told what is missing, and in the end what there is.
    Offer(Option<String>),
    /// Another member's message with this text in it, after the one that satisfied the last wait.
    Message(String),
    /// Every download, of any face.
    Downloads,
    /// The members present now, as long as they stay, or else the first that comes, hold everything
    /// that the waiting face has offered.
    Fetched,
    /// This many members hold everything that the waiting face has offered.
    FetchedBy(usize),
    /// All members present, at least one, hold everything that was said here.
    Held,
}
