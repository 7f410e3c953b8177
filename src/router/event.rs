//! Events, which reach the router, and effects, which it returns: closed enums of plain data.

mod conn;
mod disk;
mod effect;

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub use self::conn::{Closed, Entrance, Entry, Findable, Home, Outcome, Plan, Target};
pub use self::disk::{
    DiskError, FetchError, FolderListing, Hashed, Leftover, Leftovers, Parking, PartState,
    ReadManifest, Want,
};
pub use self::effect::Effect;
use super::bitmap::Bitmap;
use super::command::{Command, NewPassword};
use super::ids::{
    ConnId, FaceId, FileId, InvitationId, LogNonce, MemberId, RoomId, RoomNonce, RunId,
};
use super::message::{Hello, Message};
use super::notice::{Failure, FileInfo, Finding};
use super::rights::FaceRights;
use super::signed::{SignedInvitation, SignedRecord};
use crate::crypto::binding::{Role, Side};
use crate::crypto::invite::InviteSecret;
use crate::crypto::opaque::PasswordData;

/// Fresh secrets, drawn by the shell for the events that may need them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    /// The nonce of a new room.
    pub room: RoomNonce,
    /// The nonce of a new chain.
    pub nonce: LogNonce,
    /// The secret of a new invitation.
    pub secret: InviteSecret,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Time passed: a deadline is due.
    Tick,
    /// Where others can reach this node.
    Listening {
        /// The port.
        port: u16,
        /// Addresses of the interfaces, best first.
        addresses: Vec<SocketAddr>,
        /// Those that go through a tunnel, with its name.
        tunnels: Vec<(IpAddr, String)>,
    },
    /// The machine was suspended: the wall clock got ahead of the steady one.
    Woke,
    /// The wall clock was set, or continued while the machine was suspended.
    ClockSet {
        /// What it would have shown when the steady clock showed 0, milliseconds since 1970 UTC.
        wall_at_zero_ms: i64,
    },
    /// A face gave a command. It is answered by one [`Effect::Reply`].
    Commanded {
        /// The face.
        face: FaceId,
        /// What it may do.
        rights: FaceRights,
        /// The line of its input.
        line: u64,
        /// The command.
        command: Command,
        /// Secrets for commands that make a room or a key.
        draw: Draw,
    },
    /// A face answered [`Effect::AskPassword`]; `None`: it declined.
    PasswordGiven {
        /// The face.
        face: FaceId,
        /// The line of the command that asked.
        line: u64,
        /// The answer; [`NewPassword::Nothing`] only for a new password of one's own room.
        password: Option<NewPassword>,
    },
    /// A face answered [`Effect::Confirm`].
    Confirmed {
        /// The face.
        face: FaceId,
        /// The line of the command that asked.
        line: u64,
        /// The answer; `None`: cancel the whole command.
        yes: Option<bool>,
    },
    /// A face starts, or needs a new snapshot: answered by [`Effect::Overview`].
    OverviewWanted {
        /// The face.
        face: FaceId,
    },
    /// [`Effect::PrepareLock`] is done.
    LockPrepared {
        /// The face.
        face: FaceId,
        /// The line of the command.
        line: u64,
        /// The room that the lock is for.
        room: RoomId,
        /// What members keep of the password.
        data: PasswordData,
    },

    /// [`Effect::PrepareLock`] failed.
    LockFailed {
        /// The face.
        face: FaceId,
        /// The line of the command.
        line: u64,
        /// Why.
        failure: Failure,
    },

    /// A dial failed before the peer's Hello.
    DialFailed {
        /// The dial.
        conn: ConnId,
        /// Why.
        failure: Failure,
    },
    /// A channel is up, dialled or accepted; it waits for [`Effect::SendHello`].
    ConnOpened {
        /// The connection.
        conn: ConnId,
        /// Which side this node is.
        side: Side,
        /// What the connection is for.
        role: Role,
        /// The peer's address.
        remote: SocketAddr,
    },
    /// The peer's Hello arrived; the connection waits for [`Effect::Proceed`] or a refusal.
    HelloArrived {
        /// The connection.
        conn: ConnId,
        /// What the peer says.
        theirs: Hello,
        /// The room tags say that both are in one room.
        same_room: bool,
    },
    /// The peer proved that it is this member; the connection waits for [`Effect::Judge`].
    Shown {
        /// The connection.
        conn: ConnId,
        /// The peer.
        member: MemberId,
        /// Its chain, if it was asked for it.
        chain: Option<Vec<Arc<SignedRecord>>>,
        /// The invitation that it holds.
        invitation: Option<InvitationId>,
    },
    /// A room admits us, and the answering member proved its identity; the connection waits
    /// for [`Effect::Judge`].
    Welcomed {
        /// The connection.
        conn: ConnId,
        /// The member that admits us.
        member: MemberId,
        /// The room; its id follows from founder and nonce.
        home: Home,
        /// The invitation that we brought: its secret and the room's hint are those of our text.
        invitation: Option<Arc<SignedInvitation>>,
    },
    /// The plan was carried out.
    Identified {
        /// The connection.
        conn: ConnId,
        /// The peer.
        member: MemberId,
        /// The result.
        outcome: Outcome,
    },
    /// [`Effect::DrawValue`] is done.
    ValueDrawn {
        /// The connection that it was for.
        conn: ConnId,
        /// Random bytes.
        value: [u8; 32],
    },
    /// The peer sent a message; the first is `Register` or `Refuse`.
    Said {
        /// The connection.
        conn: ConnId,
        /// The message.
        message: Message,
    },
    /// The outbox of a connection is half full: from now on only necessary messages are queued.
    Congested {
        /// The connection.
        conn: ConnId,
    },
    /// The outbox drained.
    Drained {
        /// The connection.
        conn: ConnId,
    },
    /// A connection ended.
    ConnClosed {
        /// The connection.
        conn: ConnId,
        /// How.
        how: Closed,
    },

    /// A lane is ready for use.
    LaneOpened {
        /// The connection.
        conn: ConnId,
    },
    /// A hashing job has started.
    HashBegan {
        /// The job.
        job: u64,
        /// The file.
        path: PathBuf,
        /// Its bytes.
        size: u64,
    },
    /// Progress of hashing.
    HashProgressed {
        /// The job.
        job: u64,
        /// Bytes hashed.
        bytes_done: u64,
    },
    /// [`Effect::Hash`] is done.
    Hashed {
        /// The job.
        job: u64,
        /// The file, or why not.
        result: Result<Hashed, Failure>,
    },
    /// [`Effect::Look`] is done.
    LookedAt {
        /// The face.
        face: FaceId,
        /// The line of the command.
        line: u64,
        /// Where the file is; `None`: it is gone or has changed.
        path: Option<PathBuf>,
    },
    /// [`Effect::OpenPart`], [`Effect::OpenManifest`] or [`Effect::OpenFolder`] is done.
    PartOpened {
        /// The file.
        file: FileId,
        /// Which opening: answers to earlier ones are ignored.
        turn: u64,
        /// Chunks that are verified on disk, and whether the list of hashes is known.
        result: Result<PartState, DiskError>,
    },
    /// [`Effect::TryPart`] is done.
    PartTried {
        /// The file.
        file: FileId,
        /// Which opening.
        turn: u64,
        /// Whether the disk accepts bytes.
        result: Result<(), DiskError>,
    },
    /// At the start: partial files of earlier runs in the download folder.
    LeftoversFound(Leftovers),
    /// [`Effect::RemovePart`] is done.
    PartRemoved {
        /// The face.
        face: FaceId,
        /// The line of the command.
        line: u64,
        /// The word of the command.
        wanted: String,
        /// Bytes that it took up on disk; `None`: there was no such file.
        result: Result<Option<u64>, Failure>,
    },
    /// [`Effect::ExamineFolder`] is done.
    FolderExamined {
        /// The face.
        face: FaceId,
        /// The line of the command.
        line: u64,
        /// What was found.
        list: Vec<Finding>,
    },
    /// [`Effect::FetchList`] is done.
    ListFetched {
        /// The file.
        file: FileId,
        /// Which opening.
        turn: u64,
        /// The lane that it came over.
        conn: ConnId,
        /// Verified chunks on disk, now that the list allows verifying them.
        result: Result<Bitmap, FetchError>,
    },
    /// [`Effect::FetchFolderList`] is done.
    FolderListFetched {
        /// The folder.
        file: FileId,
        /// Which opening.
        turn: u64,
        /// The lane it came over.
        conn: ConnId,
        /// Index of the file's entry.
        entry: u32,
        /// Verified units of the folder, now that those of the file can be verified.
        result: Result<Bitmap, FetchError>,
    },
    /// [`Effect::ReadManifest`] is done.
    ManifestRead {
        /// The manifest.
        file: FileId,
        /// Which opening.
        turn: u64,
        /// What it says, or why it is none.
        result: Result<ReadManifest, Failure>,
    },
    /// [`Effect::ListFolder`] is done.
    FolderListed {
        /// The face.
        face: FaceId,
        /// The line of its command.
        line: u64,
        /// The folder.
        folder: FileInfo,
        /// What lies there, or why that is not known.
        result: Result<FolderListing, Failure>,
    },
    /// The host picked a chunk ([`Want::Pick`]); it is on its way.
    ChunkPicked {
        /// The file.
        file: FileId,
        /// Which opening.
        turn: u64,
        /// The lane.
        conn: ConnId,
        /// The chunk.
        chunk: u32,
    },
    /// These chunks of a download are needed first, for instance by a player.
    ChunkUrgent {
        /// The file.
        file: FileId,
        /// The first of them.
        first: u32,
        /// The last of them.
        last: u32,
    },
    /// A part of a chunk came; reported while a chunk takes long.
    ChunkCame {
        /// The file.
        file: FileId,
        /// The lane.
        conn: ConnId,
        /// The chunk.
        chunk: u32,
        /// Bytes since the last report.
        bytes: u64,
    },
    /// [`Effect::Fetch`] is done.
    ChunkFetched(Fetched),
    /// [`Effect::FinishPart`] is done.
    PartFinished {
        /// The file.
        file: FileId,
        /// Which opening.
        turn: u64,
        /// Where it is.
        result: Result<PathBuf, DiskError>,
        /// Of a folder: what people are told of the names in it.
        names: Option<String>,
    },
    /// [`Effect::Recheck`] is done, or a serving thread noticed that a file changed.
    SourceChecked {
        /// The file.
        file: FileId,
        /// Whether it is still what was offered.
        intact: bool,
        /// If not, and it is a folder: the file in it that changed, if that is known.
        path: Option<String>,
    },
    /// [`Parking::Check`] is done.
    ParkedChecked {
        /// The file.
        file: FileId,
        /// Whether it is unchanged since it was parked.
        intact: bool,
    },
    /// A serving thread sent a chunk, or a part of one that takes long.
    ChunkServed {
        /// To which member.
        member: MemberId,
        /// The file.
        file: FileId,
        /// Bytes sent since the last report.
        bytes: u64,
    },
}

/// The result of [`Effect::Fetch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The file.
    pub file: FileId,
    /// Which opening.
    pub turn: u64,
    /// The lane that it came over.
    pub conn: ConnId,
    /// The chunk; `None` if the host should have picked one and did not.
    pub chunk: Option<u32>,
    /// Bytes that came over the network.
    pub bytes: u64,
    /// How many of them [`Event::ChunkCame`] did not report.
    pub more: u64,
    /// Verified and written, or why not.
    pub result: Result<(), FetchError>,
}

/// What the shell tells the router once, at the start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Nickname.
    pub name: String,
    /// The identity is for this run only.
    pub temporary: bool,
    /// The first room is closed before anybody can join.
    pub locked: bool,
    /// This run of the program.
    pub run: RunId,
    /// The wall clock when the steady clock showed 0, milliseconds since 1970 UTC; later values
    /// come as [`Event::ClockSet`].
    pub wall_at_zero_ms: i64,
    /// Bounds.
    pub limits: crate::limits::Limits,
    /// First room and chain.
    pub draw: Draw,
    /// Members verified in earlier runs, with the names that they had then.
    pub verified: BTreeMap<MemberId, String>,
}
