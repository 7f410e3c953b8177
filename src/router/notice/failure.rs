//! A failure: a code for scripts, and a line for people.

use schemars::JsonSchema;
use serde::Serialize;

/// An error of a command or at start: a code that scripts can rely on and a line for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Failure {
    /// One of the codes of the contract.
    pub code: Code,
    /// What was tried, on what, and what to do; foreign text in it is already escaped.
    pub text: String,
}

impl Failure {
    /// Puts a code and a line together.
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

macro_rules! codes {
    ($($variant:ident = $word:literal),* $(,)?) => {
        /// The error codes of the contract, stable for scripts.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema,
        )]
        #[allow(missing_docs)]
        pub enum Code { $(#[serde(rename = $word)] $variant),* }

        impl Code {
            /// Every code, in the order of the contract.
            pub const ALL: &'static [Code] = &[$(Code::$variant),*];

            /// The word that scripts see.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Code::$variant => $word),* }
            }

            /// Reads the word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Code::$variant),)* _ => None }
            }
        }
    };
}

codes! {
    Usage = "usage",
    UnknownCommand = "unknown_command",
    BadAddress = "bad_address",
    NameNotFound = "name_not_found",
    Unreachable = "unreachable",
    Timeout = "timeout",
    NotKlatch = "not_klatch",
    VersionMismatch = "version_mismatch",
    SelfConnect = "self_connect",
    InARoom = "in_a_room",
    RoomLocked = "room_locked",
    RoomNotLocked = "room_not_locked",
    RoomFull = "room_full",
    WrongPassword = "wrong_password",
    PasswordRequired = "password_required",
    PasswordTooShort = "password_too_short",
    TooManyAttempts = "too_many_attempts",
    FileNotFound = "file_not_found",
    NotAFile = "not_a_file",
    PermissionDenied = "permission_denied",
    NoSuchOffer = "no_such_offer",
    AmbiguousName = "ambiguous_name",
    NoHost = "no_host",
    DiskFull = "disk_full",
    IoError = "io_error",
    MessageTooLong = "message_too_long",
    InvalidUtf8 = "invalid_utf8",
    WaitTimeout = "wait_timeout",
    Cancelled = "cancelled",
    PortInUse = "port_in_use",
    DataDirInUse = "data_dir_in_use",
    DataDirNotWritable = "data_dir_not_writable",
    NobodyPresent = "nobody_present",
    IdentityInUse = "identity_in_use",
    AlreadyHave = "already_have",
    ChainForked = "chain_forked",
    BadChunk = "bad_chunk",
    HostChangedFile = "host_changed_file",
    NotAbove = "not_above",
    MembersOnly = "members_only",
    Removed = "removed",
    NoInvitation = "no_invitation",
    InvitationUsed = "invitation_used",
    InvitationExpired = "invitation_expired",
    DidYouMean = "did_you_mean",
    OutputFailed = "output_failed",
    FolderChanged = "folder_changed",
    TooManyFiles = "too_many_files",
    BadManifest = "bad_manifest",
    NothingMatches = "nothing_matches",
    RoomUnknown = "room_unknown",
}
