//! What linked nodes say to each other: valid values; `wire` turns them into bytes and back.

use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::bitmap::Bitmap;
use super::ids::{EntryId, FileId, MemberId, RecordHash, RunId};
use super::notice::Code;
use super::signed::{Chain, SignedEntry, SignedPresence, SignedRecord};

/// The first record of both sides, before anything is known of the other. The room tag that goes
/// with it on the wire is made and compared by `net`, which knows the handshake hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// This run of the program.
    pub run: RunId,
    /// Whether a link was ever committed in the room.
    pub settled: bool,
    /// Whether the room is locked.
    pub locked: bool,
    /// Whether this node is about to move with another connection, or changes its lock.
    pub joining: bool,
    /// The dialer may move or be joined (a person's `connect`); redials only link.
    pub moves: bool,
    /// The dialer brings a password and accepts nothing but a locked room.
    pub password: bool,
}

/// Why a connection is refused, as told to the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// A code of the contract, or one of the silent ones.
    pub why: Why,
    /// How long to wait before another try, if that helps.
    pub wait_ms: Option<u64>,
    /// Port on which the refusing side listens, so that a line to type can be shown.
    pub port: Option<u16>,
}

impl Refusal {
    /// A refusal without particulars.
    #[must_use]
    pub fn of(why: Why) -> Self {
        Self { why, wait_ms: None, port: None }
    }
}

/// The reasons for refusing or closing a connection that travel on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Another connection is moving this node just now: try again in 100 to 300 ms.
    Busy,
    /// Both ends are the same run.
    SelfConnect,
    /// This pair is linked already, or another connection of it is further along.
    Crossing,
    /// The room is locked and no password was brought.
    Locked,
    /// A password was brought to an open room.
    NotLocked,
    /// Both are settled in different rooms.
    InARoom,
    /// The dialer is in a locked room: the other side should dial, with the password.
    DialerLocked,
    /// A redial found another room.
    OtherRoom,
    /// No room key is shared.
    NoKey,
    /// The newest lock record does not list this member.
    NotListed,
    /// The password does not open the lock.
    WrongPassword,
    /// Too many attempts.
    TooManyAttempts,
    /// No place for another peer.
    Full,
    /// Another run of the same identity is linked.
    IdentityInUse,
    /// Not the member that was expected.
    Unexpected,
    /// No live session for a lane.
    NoSession,
    /// The other side broke the protocol.
    Protocol,
    /// The other side left.
    Leaving,
}

impl Why {
    /// Every reason, with the word that travels on the wire.
    pub const ALL: &'static [(Why, &'static str)] = &[
        (Why::Busy, "busy"),
        (Why::SelfConnect, "self_connect"),
        (Why::Crossing, "crossing"),
        (Why::Locked, "room_locked"),
        (Why::NotLocked, "room_not_locked"),
        (Why::InARoom, "in_a_room"),
        (Why::DialerLocked, "dialer_locked"),
        (Why::OtherRoom, "other_room"),
        (Why::NoKey, "no_key"),
        (Why::NotListed, "not_listed"),
        (Why::WrongPassword, "wrong_password"),
        (Why::TooManyAttempts, "too_many_attempts"),
        (Why::Full, "room_full"),
        (Why::IdentityInUse, "identity_in_use"),
        (Why::Unexpected, "unexpected"),
        (Why::NoSession, "no_session"),
        (Why::Protocol, "protocol"),
        (Why::Leaving, "leaving"),
    ];

    /// The word that travels on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(why, _)| *why == self).map_or("protocol", |(_, word)| word)
    }

    /// Reads the word; unknown ones count as a protocol error.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        Self::ALL.iter().find(|(_, known)| *known == word).map_or(Why::Protocol, |(why, _)| *why)
    }

    /// The code of the contract that a failed `connect` shows for it.
    #[must_use]
    pub fn code(self) -> Code {
        match self {
            Why::SelfConnect => Code::SelfConnect,
            Why::Locked | Why::NotListed => Code::RoomLocked,
            Why::NotLocked => Code::RoomNotLocked,
            Why::InARoom | Why::DialerLocked | Why::OtherRoom | Why::NoKey => Code::InARoom,
            Why::WrongPassword => Code::WrongPassword,
            Why::TooManyAttempts => Code::TooManyAttempts,
            Why::Full => Code::RoomFull,
            Why::IdentityInUse => Code::IdentityInUse,
            Why::Busy | Why::Crossing => Code::Timeout,
            Why::Unexpected | Why::NoSession | Why::Protocol => Code::NotKlatch,
            Why::Leaving => Code::Unreachable,
        }
    }
}

/// How far somebody has a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Have {
    /// The chain.
    pub chain: Chain,
    /// Entries held without a gap; for a forked chain those before the fork.
    pub len: u64,
    /// Id of the last of them, or the hash of the two that prove the fork.
    pub head: EntryId,
    /// The chain is known to be forked right behind `len`.
    pub forked: bool,
}

/// One line of a question: the entries of `chain` behind the first `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The chain.
    pub chain: Chain,
    /// Entries that the asker has.
    pub from: u64,
}

/// Which chunks of a file a member holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Every chunk.
    All,
    /// Some of them.
    Some(Bitmap),
}

/// A control message of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Before the link: nothing more to agree on; committed when both said so.
    Ready {
        /// Port on which the sender listens (0: not at all).
        port: u16,
        /// The receiver's address as the sender sees it.
        seen: IpAddr,
    },
    /// The connection ends, and why.
    Refuse(Refusal),
    /// A lock record: before the link to agree on the newest, later as it is made.
    Record(Arc<SignedRecord>),
    /// Somebody's presence record.
    Presence(Arc<SignedPresence>),
    /// A new entry, unasked.
    Entry(Arc<SignedEntry>),
    /// How far the sender has some chains.
    Have(Vec<Have>),
    /// How far `holder` has a chain, passed on to its author.
    Receipt {
        /// Who has it.
        holder: MemberId,
        /// How far.
        have: Have,
    },
    /// Please send what is behind these.
    Ask {
        /// Number of the question on this link.
        number: u32,
        /// At most a page.
        chains: Vec<Wanted>,
    },
    /// A part of the answer.
    Answer {
        /// Number of the question.
        number: u32,
        /// Entries in the order in which the sender accepted them.
        entries: Vec<Arc<SignedEntry>>,
        /// The answer ends with this.
        last: bool,
    },
    /// Are you there?
    Ping(u32),
    /// Yes.
    Pong(u32),
    /// The sender holds these chunks of a file.
    Hosting {
        /// The file.
        file: FileId,
        /// What it holds.
        held: Held,
        /// It is fetching the rest, so it wants to hear of new chunks.
        fetching: bool,
    },
    /// The sender holds more chunks of a file.
    Gained {
        /// The file.
        file: FileId,
        /// The new ones.
        chunks: Vec<u32>,
    },
    /// The sender no longer holds a file.
    Dropped(FileId),
    /// Please dial me with a `lane-serve`: I cannot reach you.
    LaneWanted,
    /// A chunk that was asked of you comes from somebody else: do not send it.
    Unwanted {
        /// The file.
        file: FileId,
        /// The chunk.
        chunk: u32,
    },
    /// A chunk that you sent does not fit its hash.
    BadChunk {
        /// The file.
        file: FileId,
        /// The chunk.
        chunk: u32,
    },
}

/// Names a lock record and its key; marks rank as their records do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyMark {
    /// Epoch.
    pub epoch: u64,
    /// Locked; at one epoch locked ranks over open.
    pub locked: bool,
    /// The record.
    pub hash: RecordHash,
}

/// Where a peer is, as the shell knows it.
pub type Remote = SocketAddr;
