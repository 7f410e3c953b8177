//! Messages between linked nodes as valid values; `wire` turns them into bytes and back.

use core::net::{IpAddr, SocketAddr};
use core::ops::Deref;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use super::bitmap::Bitmap;
use super::ids::{Digest32, EntryId, FileId, MemberId, RecordId, RunId};
use super::notice::Code;
use super::signed::{Chain, SignedEntry, SignedInvitation, SignedPresence, SignedRecord};
use crate::crypto::invite::FindKey;
use crate::crypto::opaque::PasswordData;

/// Each side's first record, before it knows anything of the other. The room tag that goes with it
/// on the wire is made and compared by `net`, which knows the handshake hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// This run of the program.
    pub run: RunId,
    /// Whether a link was ever committed in the room.
    pub settled: bool,
    /// Whether the room is closed.
    pub locked: bool,
    /// Whether a password admits to it.
    pub password: bool,
    /// The dialer enters the room that it dials, if it may; redials and lanes only link.
    pub moves: bool,
    /// What the dialer brings to be admitted.
    pub brings: Brings,
    /// What the sender can do beyond what every klatch can.
    pub can: BTreeSet<Capability>,
}

/// Something that not every klatch of this protocol can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Compare words.
    Verify,
}

impl Capability {
    /// All that this program has.
    pub const ALL: [Self; 1] = [Self::Verify];

    /// Its name in Hello.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Verify => "verify",
        }
    }

    /// The capability with this name, if it is one of ours.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.word() == word)
    }
}

/// An entry that is pushed to several links: the first one encodes it, and the others reuse that.
#[derive(Debug, Clone)]
pub struct PushedEntry {
    entry: Arc<SignedEntry>,
    form: Arc<OnceLock<Box<[u8]>>>,
}

impl PushedEntry {
    /// The bytes for the wire, written once for all clones.
    pub fn form(&self, write: impl FnOnce(&SignedEntry) -> Box<[u8]>) -> &[u8] {
        self.form.get_or_init(|| write(&self.entry))
    }
}

impl From<Arc<SignedEntry>> for PushedEntry {
    fn from(entry: Arc<SignedEntry>) -> Self {
        Self { entry, form: Arc::default() }
    }
}

impl Deref for PushedEntry {
    type Target = Arc<SignedEntry>;

    fn deref(&self) -> &Self::Target {
        &self.entry
    }
}

impl PartialEq for PushedEntry {
    fn eq(&self, other: &Self) -> bool {
        self.entry == other.entry
    }
}

impl Eq for PushedEntry {}

/// What a dialer brings, which alone decides how it enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brings {
    /// Nothing: it is a member, or the room is open.
    Nothing,
    /// A password: an open room will not do.
    Password,
    /// An invitation.
    Invitation,
}

/// Why a connection is refused, as told to the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub why: Why,
    /// How long to wait before retrying, if that helps.
    pub wait_ms: Option<u64>,
    /// The record that puts the refused peer out, signed by its author.
    pub record: Option<Arc<SignedRecord>>,
    /// The author's ticket as a steward, if it is one. Without that the refused peer would not
    /// accept the record, and would never agree with those that do.
    pub steward: Option<Arc<SignedRecord>>,
}

impl Refusal {
    /// A refusal without details.
    #[must_use]
    pub fn of(why: Why) -> Self {
        Self { why, wait_ms: None, record: None, steward: None }
    }
}

/// The reasons for refusing or closing a connection that travel on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Another connection is moving this node at the moment: try again in 100 to 300 ms.
    Busy,
    /// Both ends are the same run.
    SelfConnect,
    /// This pair is linked already, or another connection of it is further along.
    Crossing,
    /// The room is closed and nothing was brought.
    Locked,
    /// A password was brought to an open room.
    NotLocked,
    /// Both are settled in different rooms.
    InARoom,
    /// The dialer is in a closed room of its own: the other side should dial.
    DialerLocked,
    /// A redial found another room.
    OtherRoom,
    /// The room is closed, and the peer is not a member of it.
    NotMember,
    /// A member removed the peer.
    Removed,
    /// The room is closed and no password admits to it.
    NoPassword,
    /// The invitation is not known here, or has ended.
    NoInvitation,
    /// The invitation has admitted as many as it may.
    InvitationUsed,
    /// The invitation has expired.
    InvitationExpired,
    /// The password does not open the lock.
    WrongPassword,
    /// Too many attempts.
    TooManyAttempts,
    /// No space for another link or ticket.
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
        (Why::NotMember, "not_a_member"),
        (Why::Removed, "removed"),
        (Why::NoPassword, "no_password"),
        (Why::NoInvitation, "no_invitation"),
        (Why::InvitationUsed, "invitation_used"),
        (Why::InvitationExpired, "invitation_expired"),
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
            Why::Locked | Why::NotMember => Code::RoomLocked,
            Why::Removed => Code::Removed,
            Why::NoPassword => Code::MembersOnly,
            Why::NoInvitation => Code::NoInvitation,
            Why::InvitationUsed => Code::InvitationUsed,
            Why::InvitationExpired => Code::InvitationExpired,
            Why::NotLocked => Code::RoomNotLocked,
            Why::InARoom | Why::DialerLocked | Why::OtherRoom => Code::InARoom,
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

/// How much of a chain a node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Have {
    /// The chain.
    pub chain: Chain,
    /// Entries held without a gap; for a forked chain, those before the fork.
    pub len: u64,
    /// Id of the last of them, or the hash of the two that prove the fork.
    pub head: EntryId,
    /// The chain is known to be forked right after `len`.
    pub forked: bool,
    /// What comes after `len` was refused: its author's share of the sender's log is used up.
    pub refused: bool,
}

impl Have {
    /// Everything of a chain was refused.
    #[must_use]
    pub fn nothing_of(chain: Chain) -> Self {
        Self { chain, len: 0, head: EntryId([0; 32]), forked: false, refused: true }
    }
}

/// One line of a question: the entries of `chain` after the first `from`.
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

/// Why a member that holds nothing of a file will not fetch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// It had all of it, and did not keep it.
    Fetched,
    /// It fetches nothing.
    Declined,
}

/// A control message of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Before the link: the sender is ready; the link is committed when both are.
    Ready {
        /// The receiver's address as the sender sees it.
        seen: IpAddr,
    },
    /// The connection ends, with the reason.
    Refuse(Refusal),
    /// Before the link: names the sender's register; equal registers have equal names.
    Register(Digest32),
    /// Before the link, if the registers differ: a page of the sender's record ids.
    Ids {
        /// Records that the sender has.
        list: Vec<RecordId>,
        /// Whether this is the last page.
        last: bool,
    },
    /// Records of the register: before the link those that the receiver lacks, later new ones.
    Records(Vec<Arc<SignedRecord>>),
    /// What members keep of the password in force.
    Password {
        /// The lock that names it.
        lock: RecordId,
        /// The data.
        data: PasswordData,
    },
    /// An invitation that is valid, and what a guest is recognised by.
    Invitation {
        /// The invitation.
        invitation: Arc<SignedInvitation>,
        /// All that members know of its secret.
        find: FindKey,
    },
    /// Starts comparing words: commits to the value that follows when the peer's is known.
    VerifyCommit(Digest32),
    /// A value for comparing words.
    VerifyNonce(Digest32),
    /// A member's presence record.
    Presence(Arc<SignedPresence>),
    /// A new entry, sent unasked.
    Entry(PushedEntry),
    /// How much of some chains the sender has.
    Have(Vec<Have>),
    /// How much of a chain `holder` has, passed on to its author.
    Receipt {
        /// The member that has it.
        holder: MemberId,
        /// How much.
        have: Have,
    },
    /// Asks for the entries after these.
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
        /// Whether the answer ends with this.
        last: bool,
    },
    /// Asks for a pong.
    Ping(u32),
    /// Answers a ping.
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
    /// The sender holds nothing of a file.
    Dropped {
        /// The file.
        file: FileId,
        /// Why it will not fetch it, if so.
        done: Option<Done>,
    },
    /// Asks the receiver to dial with `lane-serve`, because the sender cannot reach it.
    LaneWanted,
    /// A requested chunk is no longer needed.
    Unwanted {
        /// The file.
        file: FileId,
        /// The chunk.
        chunk: u32,
    },
    /// A chunk from the receiver does not match its hash.
    BadChunk {
        /// The file.
        file: FileId,
        /// The chunk.
        chunk: u32,
    },
}

/// A peer's address, as the shell knows it.
pub type Remote = SocketAddr;
