//! What reaches the router, and what it decides: closed enums of plain data.

mod conn;
mod disk;

use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::path::PathBuf;

pub use self::conn::{Closed, Outcome, Plan, Target};
pub use self::disk::{DiskError, FetchError, Hashed, Leftovers, Parking, PartState};
use super::bitmap::Bitmap;
use super::command::Command;
use super::ids::{ConnId, Digest32, FaceId, FileId, LogNonce, MemberId, RoomId, RunId};
use super::message::{Hello, Message, Refusal};
use super::notice::{Failure, Notice, Overview};
use super::swarm::picker::Want;
use crate::crypto::binding::{Role, Side};
use crate::crypto::room_key::RoomKey;
use crate::crypto::{lock::Lock, password::Password};

/// Fresh secrets, drawn by the shell for the events that may need them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    /// A room that nobody has been in.
    pub room: RoomId,
    /// A room key that nobody has seen.
    pub key: RoomKey,
    /// A new chain of this author.
    pub nonce: LogNonce,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Time passed: a deadline is due.
    Tick,
    /// Where this node can be reached by others, its listening port last known.
    Listening {
        /// The port.
        port: u16,
        /// Addresses of the interfaces, best first.
        addresses: Vec<SocketAddr>,
    },
    /// The machine slept: the wall clock ran ahead of the steady one.
    Woke,
    /// A face gave a command. It is answered by one [`Effect::Reply`].
    Commanded {
        /// The face.
        face: FaceId,
        /// The line of its input.
        line: u64,
        /// The command.
        command: Command,
        /// Secrets for commands that make a room or a key.
        draw: Draw,
    },
    /// A face answered [`Effect::AskPassword`]; `None`: it did not want to.
    PasswordGiven {
        /// The face.
        face: FaceId,
        /// The line of the command that asked.
        line: u64,
        /// The answer.
        password: Option<Password>,
    },
    /// A face begins, or begins anew: answered by [`Effect::Overview`].
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
        /// The room that it is for.
        room: RoomId,
        /// What members keep.
        lock: Lock,
        /// The next epoch's key.
        key: RoomKey,
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
    /// The plan was carried out and the peer proved who it is.
    Identified {
        /// The connection.
        conn: ConnId,
        /// The peer.
        member: MemberId,
        /// What the plan gave.
        outcome: Outcome,
        /// Secrets, should this node move.
        draw: Draw,
    },
    /// The peer said something; the first is `Ready`, `Record` or `Refuse`.
    Said {
        /// The connection.
        conn: ConnId,
        /// What.
        message: Message,
    },
    /// The outbox of a connection is half full: only what must go is queued from here on.
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
    /// Hashing goes on.
    HashProgressed {
        /// The job.
        job: u64,
        /// The file.
        path: PathBuf,
        /// Bytes hashed.
        bytes_done: u64,
        /// Bytes in all.
        size: u64,
    },
    /// [`Effect::Hash`] is done.
    Hashed {
        /// The job.
        job: u64,
        /// The file, or why not.
        result: Result<Hashed, Failure>,
    },
    /// [`Effect::OpenPart`] is done.
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
        /// Whether the disk takes bytes.
        result: Result<(), DiskError>,
    },
    /// At the start: what earlier runs left in the folder for downloads.
    LeftoversFound(Leftovers),
    /// [`Effect::RemovePart`] is done.
    PartRemoved {
        /// The face.
        face: FaceId,
        /// The line of the command.
        line: u64,
        /// What was removed, in the words of the command.
        wanted: String,
        /// Bytes that it took on disk; `None`: there is no such file.
        result: Result<Option<u64>, Failure>,
    },
    /// [`Effect::FetchList`] is done.
    ListFetched {
        /// The file.
        file: FileId,
        /// Which opening.
        turn: u64,
        /// The lane it came over.
        conn: ConnId,
        /// Verified chunks on disk, now that there is something to verify them against.
        result: Result<Bitmap, FetchError>,
    },
    /// The host chose a chunk ([`Want::Pick`]); it is on its way.
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
    /// Somebody waits for these chunks of a download, as a player does: they come first.
    ChunkUrgent {
        /// The file.
        file: FileId,
        /// The first of them.
        first: u32,
        /// The last of them.
        last: u32,
    },
    /// A part of a chunk came; told now and then while a chunk takes long.
    ChunkCame {
        /// The file.
        file: FileId,
        /// The lane.
        conn: ConnId,
        /// The chunk.
        chunk: u32,
        /// Bytes since this was last told.
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
        /// Where it lies.
        result: Result<PathBuf, DiskError>,
    },
    /// [`Effect::Recheck`] is done, or a serving thread saw that a file changed.
    SourceChecked {
        /// The file.
        file: FileId,
        /// It is still what was offered.
        intact: bool,
    },
    /// [`Parking::Check`] is done.
    ParkedChecked {
        /// The file.
        file: FileId,
        /// It is what it was when it was laid aside.
        intact: bool,
    },
    /// A serving thread sent a chunk.
    ChunkServed {
        /// To whom.
        member: MemberId,
        /// The file.
        file: FileId,
        /// Bytes sent.
        bytes: u64,
    },
}

/// What became of [`Effect::Fetch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The file.
    pub file: FileId,
    /// Which opening.
    pub turn: u64,
    /// The lane it came over.
    pub conn: ConnId,
    /// The chunk; `None` when the host was to choose and did not.
    pub chunk: Option<u32>,
    /// Bytes that came over the network.
    pub bytes: u64,
    /// Those of them that [`Event::ChunkCame`] did not tell.
    pub more: u64,
    /// Verified and written, or why not.
    pub result: Result<(), FetchError>,
}

/// Something to do. The shell performs effects in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Connect, and make the channel; answered by `ConnOpened` or `DialFailed`.
    Dial {
        /// Number of the connection, drawn by the router.
        conn: ConnId,
        /// Where to.
        target: Target,
        /// What for.
        role: Role,
    },
    /// Send this Hello, with the tag of this room.
    SendHello {
        /// The connection.
        conn: ConnId,
        /// What to say.
        hello: Hello,
        /// For the tag; never sent.
        room: RoomId,
    },
    /// Go on with the handshake; `password`: the longer deadline holds.
    Proceed {
        /// The connection.
        conn: ConnId,
        /// How.
        plan: Plan,
    },
    /// Queue a message.
    Send {
        /// The connection.
        conn: ConnId,
        /// What.
        message: Message,
    },
    /// The link is committed: handshake deadlines end.
    Linked {
        /// The connection.
        conn: ConnId,
        /// With whom.
        member: MemberId,
    },
    /// Tell the peer why, then close.
    Refuse {
        /// The connection.
        conn: ConnId,
        /// Why.
        refusal: Refusal,
    },
    /// Send what is queued (for at most half a second), then close.
    Close {
        /// The connection.
        conn: ConnId,
    },
    /// The lane is admitted: say ready; then serve, or hand it to the fetching threads.
    StartLane {
        /// The connection.
        conn: ConnId,
        /// With whom.
        member: MemberId,
        /// This side asks; otherwise it serves.
        fetch: bool,
    },

    /// Ask a face for a password.
    AskPassword {
        /// The face.
        face: FaceId,
        /// The line of the command.
        line: u64,
        /// `host:port` of the locked room; empty for a new password of one's own room.
        address: String,
        /// The last one was wrong.
        again: bool,
    },
    /// Make a lock from a password (slow, elsewhere).
    PrepareLock {
        /// The face.
        face: FaceId,
        /// The line of the command.
        line: u64,
        /// The room.
        room: RoomId,
        /// The password.
        password: Password,
    },
    /// Tell all faces.
    Notify(Notice),
    /// Tell one face what it asked for.
    Tell {
        /// The face.
        face: FaceId,
        /// The line of the command that asked.
        line: u64,
        /// What.
        notice: Notice,
    },
    /// Tell one face how things stand.
    Overview {
        /// The face.
        face: FaceId,
        /// How.
        overview: Box<Overview>,
    },
    /// Answer a command; on success with its lists before this.
    Reply {
        /// The face.
        face: FaceId,
        /// The line of the command.
        line: u64,
        /// Its word.
        command: &'static str,
        /// How it ended.
        result: Result<(), Failure>,
    },
    /// The room was left: faces forget its log.
    Forget,

    /// Hash the first of these paths that exists.
    Hash {
        /// Number of the job.
        job: u64,
        /// Candidates.
        paths: Vec<String>,
    },
    /// Hash a copy that a page made of a file on its person's disk.
    HashCopy {
        /// Number of the job.
        job: u64,
        /// Where the copy lies.
        path: PathBuf,
        /// The name to offer it under.
        name: String,
    },
    /// The offer was taken back by its author: a copy that was made for it goes with it.
    DiscardCopy {
        /// The file.
        file: FileId,
    },
    /// Stop hashing.
    CancelHash {
        /// The job.
        job: u64,
    },
    /// Serve what this job hashed.
    Serve {
        /// The file.
        file: FileId,
        /// The job.
        job: u64,
    },
    /// Stop serving a file.
    Unserve {
        /// The file.
        file: FileId,
    },
    /// Lay a file that is served aside, or do something with one that was.
    Park {
        /// The file.
        file: FileId,
        /// What to do.
        step: Parking,
    },
    /// Open a partial file for a download, and copy what is already here.
    OpenPart {
        /// The file.
        file: FileId,
        /// Which opening.
        turn: u64,
        /// Length in bytes.
        size: u64,
        /// BEP 52 root.
        root: Digest32,
        /// A complete source of the same content is served here: copy it.
        copy: bool,
    },
    /// Fetch the chunk hashes over a lane.
    FetchList {
        /// The file.
        file: FileId,
        /// Which opening.
        turn: u64,
        /// The lane.
        conn: ConnId,
    },
    /// Fetch a chunk over a lane.
    Fetch {
        /// The file.
        file: FileId,
        /// Which opening.
        turn: u64,
        /// The lane.
        conn: ConnId,
        /// What to ask for.
        want: Want,
    },
    /// A member does not need a chunk any more that it asked for: it need not be sent.
    Spare {
        /// The member.
        member: MemberId,
        /// The file.
        file: FileId,
        /// The chunk.
        chunk: u32,
    },
    /// So many bytes of files may pass in a second; chat is never limited.
    Limit {
        /// Towards others; otherwise what is fetched.
        up: bool,
        /// Bytes per second; `None`: as fast as it goes.
        bytes_per_second: Option<u64>,
    },
    /// A member is not linked any more: what it was sent, others can have from us only, and what it
    /// did not need, it may need again.
    ForgetServed {
        /// The member.
        member: MemberId,
    },
    /// Every chunk is verified: put the file in place under a name.
    FinishPart {
        /// The file.
        file: FileId,
        /// Which opening.
        turn: u64,
        /// Name as offered.
        name: String,
    },
    /// Stop a download; the verified chunks stay on disk.
    DropPart {
        /// The file.
        file: FileId,
        /// Which opening.
        turn: u64,
    },
    /// Write into the partial file where these chunks will lie, to see whether the disk takes it.
    TryPart {
        /// The file.
        file: FileId,
        /// Which opening.
        turn: u64,
        /// Chunks that are neither verified nor on their way.
        chunks: Vec<u32>,
    },
    /// Remove the partial files whose id begins so and that no download uses.
    RemovePart {
        /// The face.
        face: FaceId,
        /// The line of the command.
        line: u64,
        /// What the command named.
        wanted: String,
        /// Hex digits, 8 or more.
        prefix: String,
    },
    /// Rehash a chunk that somebody calls bad.
    Recheck {
        /// The file.
        file: FileId,
        /// The chunk.
        chunk: u32,
    },
    /// End the program with this code.
    Stop {
        /// 0, or 1 when a command failed.
        exit_code: u8,
    },
}

/// What the shell tells the router once, at the start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Nickname.
    pub name: String,
    /// The identity is for this run only.
    pub temporary: bool,
    /// Drawn at start.
    pub run: RunId,
    /// The wall clock when the steady clock showed 0, milliseconds since 1970 UTC.
    pub wall_at_zero_ms: i64,
    /// Bounds.
    pub limits: crate::limits::Limits,
    /// First room, key and chain.
    pub draw: Draw,
    /// Members that were verified in earlier runs, with the names that they had then.
    pub verified: BTreeMap<MemberId, String>,
}
