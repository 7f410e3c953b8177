//! What the router decides and the shell performs.

use std::path::PathBuf;

use super::disk::Want;
use super::{Parking, Plan, Target};
use crate::crypto::binding::Role;
use crate::crypto::password::Password;
use crate::router::command::SaveAs;
use crate::router::ids::{ConnId, Digest32, FaceId, FileId, MemberId, RoomId};
use crate::router::message::{Hello, Message, Refusal};
use crate::router::notice::{Failure, FileInfo, Notice, Overview};
use crate::router::part::FolderPart;

/// Something to do. The shell performs effects in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Connect, and make the channel; answered by `ConnOpened` or `DialFailed`.
    Dial {
        /// Number of the connection, drawn by the router.
        conn: ConnId,
        /// The target.
        target: Target,
        /// The role of the connection.
        role: Role,
    },
    /// Send this Hello, with the tag of this room.
    SendHello {
        /// The connection.
        conn: ConnId,
        /// The Hello.
        hello: Hello,
        /// The room for the tag; never sent.
        room: RoomId,
    },
    /// Continue the handshake by this plan.
    Proceed {
        /// The connection.
        conn: ConnId,
        /// The plan.
        plan: Plan,
    },
    /// Whether the peer is known to be allowed to link, or must show its chain.
    Judge {
        /// The connection.
        conn: ConnId,
        /// Whether it is known.
        known: bool,
    },
    /// Draw 32 random bytes; answered by [`super::Event::ValueDrawn`].
    DrawValue {
        /// The connection that they are for.
        conn: ConnId,
    },
    /// Queue a message.
    Send {
        /// The connection.
        conn: ConnId,
        /// The message.
        message: Message,
    },
    /// The link is committed: handshake deadlines end.
    Linked {
        /// The connection.
        conn: ConnId,
        /// The member at the other end.
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
    /// The lane is admitted: say ready; then serve, or fetch over it.
    StartLane {
        /// The connection.
        conn: ConnId,
        /// The member at the other end.
        member: MemberId,
        /// This side requests; otherwise it serves.
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
    /// Ask a face a yes-or-no question; only for commands that say that a person is there.
    Confirm {
        /// The face.
        face: FaceId,
        /// The line of the command.
        line: u64,
        /// The question; foreign text in it is already escaped.
        question: String,
    },
    /// Make password data (slow, on another thread).
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
        /// The answer.
        notice: Notice,
    },
    /// Give one face the overview.
    Overview {
        /// The face.
        face: FaceId,
        /// The overview.
        overview: Box<Overview>,
    },
    /// Answer a command; on success with its lists before this.
    Reply {
        /// The face.
        face: FaceId,
        /// The line of the command.
        line: u64,
        /// The command's word.
        command: &'static str,
        /// How it ended.
        result: Result<(), Failure>,
    },
    /// The room was left: faces forget its log.
    Forget,

    /// Hash a file.
    Hash {
        /// Number of the job.
        job: u64,
        /// The path.
        path: PathBuf,
    },
    /// Hash a file that will be offered under this name.
    HashAs {
        /// The job.
        job: u64,
        /// Its path.
        path: PathBuf,
        /// Its name in the offer.
        name: String,
    },
    /// The offer was withdrawn: delete the copy that was made for it.
    DiscardCopy {
        /// The file.
        file: FileId,
        /// The copy's path.
        path: PathBuf,
    },
    /// Stop hashing.
    CancelHash {
        /// The job.
        job: u64,
    },
    /// Serve the file that this job hashed.
    Serve {
        /// The file.
        file: FileId,
        /// The job.
        job: u64,
    },
    /// Stop serving a file or folder.
    Unserve {
        /// The file.
        file: FileId,
    },
    /// Stop serving the manifest of a folder; a file of the same content stays.
    UnserveManifest {
        /// The manifest.
        file: FileId,
    },
    /// Park a served file, or change one that is parked.
    Park {
        /// The file.
        file: FileId,
        /// What to do.
        step: Parking,
    },
    /// Find where on this computer a completely served file is.
    Look {
        /// The face.
        face: FaceId,
        /// The line of the command.
        line: u64,
        /// The file.
        file: FileId,
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
        /// Name as offered, under which a partial file is listed later.
        name: String,
        /// A complete source of the same content is served here: copy it.
        copy: bool,
        /// Where it goes, if not into the downloads folder.
        folder: Option<PathBuf>,
    },
    /// Begin to fetch the manifest of a folder, which is kept in memory; otherwise like a partial
    /// file.
    OpenManifest {
        /// The manifest.
        file: FileId,
        /// Which opening.
        turn: u64,
        /// Length in bytes.
        size: u64,
        /// BEP 52 root.
        root: Digest32,
        /// It is served here: take that.
        copy: bool,
    },
    /// Every chunk of a manifest is verified: look what it says, and serve it from memory.
    ReadManifest {
        /// The manifest.
        file: FileId,
        /// Which opening.
        turn: u64,
    },
    /// Look into the manifest of a folder, which is here.
    ListFolder {
        /// The face that wants to know.
        face: FaceId,
        /// The line of its command.
        line: u64,
        /// The folder.
        folder: FileInfo,
        /// Its manifest.
        manifest: FileId,
        /// Where in the folder; nothing means the whole.
        path: String,
    },
    /// Begin to build a folder, whose manifest is here; the units are its chunks.
    OpenFolder {
        /// The folder.
        file: FileId,
        /// Which opening.
        turn: u64,
        /// Its manifest.
        manifest: FileId,
        /// Name as offered.
        name: String,
        /// What of it is wanted; `None`: all.
        part: Option<FolderPart>,
        /// The whole folder is served here: copy it.
        copy: bool,
        /// Where it goes, if not into the folder for downloads.
        folder: Option<PathBuf>,
        /// Its name there.
        save: SaveAs,
    },
    /// Fetch the chunk hashes of a long file in a folder over a lane.
    FetchFolderList {
        /// The folder.
        file: FileId,
        /// Which opening.
        turn: u64,
        /// The lane.
        conn: ConnId,
        /// Index of the file's entry.
        entry: u32,
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
        /// What to request.
        want: Want,
    },
    /// A member no longer needs a chunk that it requested: it need not be sent.
    CancelChunk {
        /// The member.
        member: MemberId,
        /// The file.
        file: FileId,
        /// The chunk.
        chunk: u32,
    },
    /// Limit the bytes of files per second; chat is never limited.
    Limit {
        /// Uploads; otherwise downloads.
        up: bool,
        /// Bytes per second; `None`: no limit.
        bytes_per_second: Option<u64>,
    },
    /// A member is no longer linked: others can get what it was sent only from us, and it may again
    /// need what it had called off.
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
        /// Its name on this computer.
        save: SaveAs,
    },
    /// Stop a download; the verified chunks stay on disk.
    DropPart {
        /// The file.
        file: FileId,
        /// Which opening.
        turn: u64,
    },
    /// Write to these chunks' places in the partial file, to see whether the disk accepts it.
    TryPart {
        /// The file.
        file: FileId,
        /// Which opening.
        turn: u64,
        /// Chunks that are neither verified nor on their way.
        chunks: Vec<u32>,
    },
    /// Remove the partial files that no download uses and whose ids begin so, or that were started
    /// under the name in the command.
    RemovePart {
        /// The face.
        face: FaceId,
        /// The line of the command.
        line: u64,
        /// The command's word for it.
        wanted: String,
        /// Hex digits, 8 or more; `None`: only the name is known.
        prefix: Option<String>,
    },
    /// Check whether the download folder is usable.
    ExamineFolder {
        /// The face.
        face: FaceId,
        /// The line of the command.
        line: u64,
    },
    /// Rehash a chunk that was reported as bad.
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
