//! What klatch tells its faces: one closed enum, which `ui` turns into lines for people.
//!
//! Programs and the page read it directly: its JSON form follows from the derives here, with
//! `"event"` first and fields in order, and so does the schema of `--json-schema`. Fields outside
//! the contract are skipped, or appear only where they have a value.
//!
//! Every text that a peer can influence is [`Untrusted`]: faces cannot print it unescaped.

mod failure;
mod files;
pub mod form;

use core::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

pub use self::failure::{Code, Failure};
pub use self::files::{
    FileInfo, FileLine, FolderInfo, FolderRow, MovingFile, TransferLine, TransferState,
};
use super::ids::{EntryId, InvitationId, MemberId, RoomId};
use super::text::{Untrusted, VERIFIED_MARK};

/// Who said or did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Who {
    /// The member.
    pub id: MemberId,
    /// Its nickname, told apart from another of the same name (`ana·3f9c`).
    pub name: Untrusted,
    /// This node's person compared words with it, and they were the same.
    #[serde(skip_serializing_if = "form::is_false")]
    pub verified: bool,
}

impl Who {
    /// The name for a sentence of klatch's: escaped, and marked if it is verified.
    #[must_use]
    pub fn marked(&self) -> String {
        let mut name = self.name.short();
        name.extend(self.verified.then_some(VERIFIED_MARK));
        name
    }
}

/// A member as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MemberInfo {
    /// Identity and name.
    #[serde(flatten)]
    pub who: Who,
    /// `host:port` of its link or of its first known address; empty if unknown.
    pub address: String,
}

/// One line of `members`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MemberLine {
    /// The member.
    #[serde(flatten)]
    pub member: MemberInfo,
    /// Whether this node is linked with it (otherwise it is known through others).
    pub linked: bool,
    /// This node itself.
    pub own: bool,
    /// Since when it is linked; `None` without a link.
    #[serde(rename = "since", serialize_with = "form::time_if_any")]
    #[schemars(with = "Option<form::Time>")]
    pub since_ms: Option<i64>,
    /// How long a message there and back took when it was last measured.
    pub round_trip_ms: Option<u64>,
    /// Digits of its identity, in groups.
    pub fingerprint: String,
    /// What it is in the room.
    pub standing: Standing,
    /// Who let it in; `None`: nobody, or unknown.
    pub through: Option<Who>,
    /// This node's person hides it.
    pub ignored: bool,
}

/// What somebody is in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It made the room.
    Founder,
    /// The founder put it above the others.
    Steward,
    /// A member by password, invitation, or because somebody kept it.
    Member,
    /// It came in while the room was open.
    Visitor,
    /// It is no longer a member.
    Outside,
}

impl Standing {
    /// The word that scripts see.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Founder => "founder",
            Self::Steward => "steward",
            Self::Member => "member",
            Self::Visitor => "visitor",
            Self::Outside => "outside",
        }
    }
}

/// A valid invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct InvitationLine {
    /// Its id.
    pub id: InvitationId,
    /// Who made it.
    pub maker: Who,
    /// This node made it.
    pub own: bool,
    /// When it expires.
    #[serde(rename = "expires", serialize_with = "form::time")]
    #[schemars(with = "form::Time")]
    pub until_ms: i64,
    /// Guests that it can still admit, as far as this node knows; `None`: any number.
    pub left: Option<u32>,
}

/// One line of `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// Whether all is well.
    pub good: bool,
    /// The finding; foreign text in it is already escaped.
    pub text: String,
    /// What to do about it; empty when it is good.
    pub advice: String,
}

impl Finding {
    /// Something that is fine.
    pub fn good(text: impl Into<String>) -> Self {
        Self { good: true, text: text.into(), advice: String::new() }
    }

    /// A problem, and what to do about it.
    pub fn bad(text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { good: false, text: text.into(), advice: advice.into() }
    }
}

/// How things stand: what a face must know before news make sense to it. What was said in the
/// room is not here: the feed keeps that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// This node.
    pub me: Who,
    /// Its identity is for this run only.
    pub temporary: bool,
    /// The room.
    pub room: RoomId,
    /// Whether it is closed.
    pub locked: bool,
    /// Whether a password lets people in.
    pub password: bool,
    /// Who founded it.
    pub founder: Who,
    /// Whether anybody else was ever in it.
    pub settled: bool,
    /// Where others reach this node, best first.
    pub addresses: Vec<String>,
    /// Who is here, this node first.
    pub members: Vec<MemberLine>,
    /// Where this node reached linked members; other addresses are members' own statements.
    pub reached: Vec<SocketAddr>,
    /// What is offered, by name.
    pub files: Vec<FileLine>,
    /// What is moving.
    pub transfers: Vec<TransferLine>,
    /// Own messages that not every present member holds yet.
    pub unheld: Vec<Receipt>,
}

/// How many present members hold an own message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Receipt {
    /// The entry, under the id first shown.
    pub id: EntryId,
    /// Other members present that hold it.
    pub held_by: usize,
    /// Other members present.
    pub present: usize,
    /// Those of them that refused it: this node's share of their log is used up.
    pub refused_by: Vec<Who>,
}

/// Why a message counts no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WithdrawalReason {
    /// Two programs speak with the identity of its author, and what differs is left out.
    Fork,
}

/// Something to tell the faces. Times are wall-clock milliseconds since 1970 UTC; programs see
/// them in the form of RFC 3339, ids as lower-case hex, sizes in bytes and paths as absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Notice {
    /// The first of all.
    Started {
        /// This node's identity and name.
        #[serde(flatten, serialize_with = "form::program")]
        #[schemars(with = "form::Program")]
        who: Who,
        /// The identity is for this run only.
        temporary: bool,
        /// The room is closed from the start.
        locked: bool,
    },
    /// Where peers reach us.
    Listening {
        /// `host:port`, LAN addresses first.
        addresses: Vec<String>,
        /// Those that lead through a tunnel, with its name.
        #[serde(skip)]
        tunnels: Vec<(String, String)>,
    },
    /// A new address of the page, which works once.
    Bridge {
        /// With its code.
        url: String,
    },
    /// The first link of a room is up; once per room, at both ends.
    Joined {
        /// The room.
        room: RoomId,
        /// Members known at this moment, without this node.
        members: Vec<MemberInfo>,
        /// Whether it is closed.
        locked: bool,
        /// Whose room it is.
        founder: Who,
    },
    /// We left a room.
    Left {
        /// The room.
        room: RoomId,
    },
    /// A member is present now.
    MemberJoined {
        /// The member.
        member: MemberInfo,
    },
    /// A member is no longer present.
    MemberLeft {
        /// The member.
        member: MemberInfo,
    },
    /// A member changed its name.
    NameChanged {
        /// The member under its new name.
        member: MemberInfo,
        /// The name before, as it was shown.
        before: Untrusted,
    },
    /// A text was said.
    Message {
        /// The entry, under the id first shown.
        id: EntryId,
        /// Its author.
        from: Who,
        /// The text; empty when `known` is false.
        text: Untrusted,
        /// When the author's clock said it was written.
        #[serde(rename = "time", serialize_with = "form::time")]
        #[schemars(with = "form::Time")]
        time_ms: i64,
        /// Said by this node.
        own: bool,
        /// Was said before this node came.
        history: bool,
        /// Sortable: late messages may belong before earlier ones.
        order: String,
        /// False for a kind of entry that this version does not know (a placeholder is shown).
        #[serde(skip_serializing_if = "form::is_true")]
        known: bool,
    },
    /// A message that was told counts no more: it was taken back.
    MessageWithdrawn {
        /// The entry, under the id first shown.
        id: EntryId,
        /// Why.
        reason: WithdrawalReason,
    },
    /// How many present members hold an own message.
    Held {
        /// The entry, under the id first shown.
        id: EntryId,
        /// Other members present that hold it.
        held_by: usize,
        /// Other members present.
        present: usize,
        /// Those of them that refused it: this node's share of their log is used up.
        refused_by: Vec<Who>,
    },
    /// A file to offer is being hashed.
    HashProgress {
        /// Its path.
        #[serde(serialize_with = "form::path")]
        #[schemars(with = "String")]
        path: PathBuf,
        /// Bytes hashed.
        bytes_done: u64,
        /// Bytes in all.
        size: u64,
    },
    /// Hashing ended without an offer; only where [`Notice::HashProgress`] was told.
    HashFailed {
        /// The path.
        #[serde(serialize_with = "form::path")]
        #[schemars(with = "String")]
        path: PathBuf,
        /// Why.
        #[serde(flatten)]
        failure: Failure,
    },
    /// A file is offered.
    FileOffered {
        /// The offer, under the id first shown.
        id: EntryId,
        /// The file.
        file: FileInfo,
        /// Who offers it.
        from: Who,
        /// When the author's clock said it was offered.
        #[serde(rename = "time", serialize_with = "form::time")]
        #[schemars(with = "form::Time")]
        time_ms: i64,
        /// Offered by this node.
        own: bool,
        /// Was offered before this node came.
        history: bool,
        /// The offer that it replaces as a new version.
        replaces: Option<EntryId>,
        /// What is in it, if it is a folder.
        folder: Option<FolderInfo>,
        /// Sortable, among messages as well.
        order: String,
        /// Another file of this name is offered as well: only ids tell them apart.
        #[serde(skip)]
        alike: bool,
    },
    /// An offer was withdrawn.
    FileWithdrawn {
        /// The offer, under the id first shown.
        id: EntryId,
        /// The file.
        file: FileInfo,
        /// Who had offered it.
        from: Who,
        /// When the author's clock said so.
        #[serde(rename = "time", serialize_with = "form::time")]
        #[schemars(with = "form::Time")]
        time_ms: i64,
        /// Withdrawn by this node.
        own: bool,
        /// Was withdrawn before this node came.
        history: bool,
        /// Sortable, among messages as well.
        order: String,
    },
    /// Answer to `download` of a file that is already here: it is not downloaded again.
    #[serde(rename = "notice")]
    AlreadyHave {
        /// The file.
        #[serde(flatten, serialize_with = "form::already_have")]
        #[schemars(with = "form::AlreadyHave")]
        file: FileInfo,
        /// Its absolute path.
        #[serde(serialize_with = "form::path")]
        #[schemars(with = "String")]
        path: PathBuf,
    },
    /// A download waits for earlier ones.
    DownloadQueued {
        /// The file.
        file: FileInfo,
    },
    /// A download began.
    DownloadStarted {
        /// The file.
        file: FileInfo,
    },
    /// Progress of a download, every 250 ms while bytes arrive.
    DownloadProgress {
        /// The file.
        file: FileInfo,
        /// Bytes verified.
        bytes_done: u64,
        /// Over the last few seconds.
        bytes_per_second: u64,
        /// Seconds left at this rate; `None`: unknown.
        seconds_left: Option<u64>,
        /// Hosts in use.
        hosts: usize,
    },
    /// A download is complete and in place.
    DownloadFinished {
        /// The file.
        file: FileInfo,
        /// Its absolute path.
        #[serde(serialize_with = "form::path")]
        #[schemars(with = "String")]
        path: PathBuf,
        /// Bytes that came over the network for this download.
        bytes_fetched: u64,
        /// How long it took, in milliseconds.
        #[serde(rename = "seconds", serialize_with = "form::seconds")]
        #[schemars(with = "f64")]
        took_ms: u64,
        /// Hosts that delivered at least one chunk.
        hosts: usize,
    },
    /// A download ended without a file.
    DownloadFailed {
        /// The file.
        file: FileInfo,
        /// Why.
        #[serde(flatten)]
        failure: Failure,
    },
    /// The room was closed, or its password changed.
    RoomLocked {
        /// By whom.
        by: Who,
        /// By this node.
        #[serde(skip)]
        own: bool,
        /// A password admits people; otherwise only invitations do.
        password: bool,
        /// Members that it put out.
        out: Vec<Who>,
        /// It put this node out.
        me_out: bool,
    },
    /// The room was opened.
    RoomUnlocked {
        /// By whom.
        by: Who,
        /// By this node.
        #[serde(skip)]
        own: bool,
    },
    /// A member was removed.
    MemberRemoved {
        /// Who.
        #[serde(serialize_with = "form::member_without_address")]
        #[schemars(with = "MemberInfo")]
        member: Who,
        /// By whom.
        by: Who,
        /// By this node.
        #[serde(skip)]
        own: bool,
        /// It is this node, or this node went with it.
        me_out: bool,
        /// Members that it had let in and that went out with it.
        also: Vec<Who>,
    },
    /// A member became a steward, or is no longer one.
    StewardChanged {
        /// Who.
        #[serde(serialize_with = "form::member_without_address")]
        #[schemars(with = "MemberInfo")]
        member: Who,
        /// This node made the change.
        #[serde(skip)]
        own: bool,
        /// It is no longer one.
        off: bool,
    },
    /// Answer to `/invite`: the invitation to send.
    Invitation {
        /// The invitation.
        #[serde(flatten, serialize_with = "form::invitation")]
        #[schemars(with = "form::InvitationForm")]
        text: String,
        /// When it expires.
        #[serde(rename = "expires", serialize_with = "form::time")]
        #[schemars(with = "form::Time")]
        until_ms: i64,
        /// It admits one guest only.
        once: bool,
    },
    /// Answer to `/invite`: the valid invitations.
    Invitations {
        /// Own ones first.
        list: Vec<InvitationLine>,
    },
    /// A password is needed to continue a command of one face.
    PasswordRequired {
        /// `host:port` of the locked room; empty for the own room's new password.
        address: String,
        /// The command that needs it, where the face may have given several.
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<u64>,
    },
    /// Answer to `members`.
    Members {
        /// This node first.
        list: Vec<MemberLine>,
    },
    /// Answer to `verify`: what both sides read to each other.
    #[serde(rename = "verify")]
    Words {
        /// The member.
        member: MemberInfo,
        /// The words, with spaces between.
        words: String,
        /// The member asked for it, not this node.
        asked: bool,
    },
    /// The words were the same: from now on this member is marked.
    MemberVerified {
        /// The member.
        member: MemberInfo,
    },
    /// Answer to `doctor`.
    Doctor {
        /// Oneself first.
        list: Vec<Finding>,
    },
    /// Answer to `files`.
    Files {
        /// By name.
        list: Vec<FileLine>,
    },
    /// Answer to `files` with the name of a folder: what lies in it, one level at a time.
    Folder {
        /// The folder.
        file: FileInfo,
        /// Where in it, with a slash behind it; empty at the top.
        path: Untrusted,
        /// Folders, then files, by their names; 1,000 at most.
        list: Vec<FolderRow>,
        /// How many more there are.
        more: u32,
    },
    /// Answer to `transfers`.
    Transfers {
        /// Downloads first.
        list: Vec<TransferLine>,
    },
    /// A command ended well.
    CommandDone {
        /// The line of stdin that gave it.
        line: u64,
        /// Its word.
        command: &'static str,
    },
    /// A plain remark.
    #[serde(rename = "notice")]
    Remark {
        /// A finished line; foreign text in it is already escaped.
        text: String,
    },
    /// A command failed, or something went wrong at start.
    Error {
        /// The line of stdin that gave the command; `None` at start or for no command.
        line: Option<u64>,
        /// The command's word.
        command: Option<&'static str>,
        /// What went wrong.
        #[serde(flatten)]
        failure: Failure,
    },
    /// The last of all.
    Stopped {
        /// The program's exit code.
        exit_code: u8,
    },
}
