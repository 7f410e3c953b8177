//! Notices for programs: one JSON object per line, `"event"` first.
//!
//! [`Event`] mirrors [`Notice`] and is the contract: its order is the order of the fields, and a
//! kind of notice that is missing from it does not compile. What is not in the contract's table
//! stands behind `skip_serializing_if` and appears only where it says something.

mod views;

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

use self::views::*;
use crate::router::ids::{EntryId, FileId, RoomId};
use crate::router::notice::{
    Failure, FileInfo, FileLine, Finding, InvitationLine, MemberInfo, MemberLine, Notice, Overview,
    TransferLine, Who,
};
use crate::router::text::{Untrusted, is_control, is_format};

/// Grows when a script that relies on the events has to change.
const SCHEMA: u32 = 3;
/// 0000-01-01T00:00:00Z and the last millisecond of the year 9999: what RFC 3339 can write.
const TIME_MS_RANGE: (i64, i64) = (-62_167_219_200_000, 253_402_300_799_999);

/// The notice as one line of JSON, without a line feed.
///
/// Whatever could touch a terminal (controls, invisible and reordering characters) is written as
/// `\uXXXX`: the same text to a parser, and harmless to look at.
#[must_use]
pub fn to_json(notice: &Notice) -> String {
    let mut json = Vec::new();
    // Writing to memory, with keys that are all texts, cannot fail.
    let _ = Event::serialize(notice, &mut serde_json::Serializer::new(&mut json));
    visible(&String::from_utf8_lossy(&json))
}

/// How things stand, as the one object that a page begins with; so many files were left out of it.
#[must_use]
pub fn snapshot(
    overview: &Overview,
    files_left_out: usize,
    said: &Said<'_>,
    saved: &[(FileId, PathBuf)],
) -> String {
    let Overview { me, temporary, room, locked, settled, addresses, .. } = overview;
    let view = SnapshotView {
        event: "snapshot",
        me: MeView {
            id: me.id,
            name: me.name.raw(),
            temporary: *temporary,
            version: env!("CARGO_PKG_VERSION"),
        },
        room: RoomView {
            id: *room,
            locked: *locked,
            password: overview.password,
            settled: *settled,
            founder: (&overview.founder).into(),
        },
        addresses,
        members: &overview.members,
        messages: said.notices,
        earlier: said.earlier,
        held: overview.unheld.iter().map(ReceiptView::from).collect(),
        files: &overview.files,
        files_left_out,
        transfers: &overview.transfers,
        saved: saved.iter().map(|(id, path)| SavedView { id: *id, path }).collect(),
    };
    text_of(&view)
}

/// A page of what was said, in answer to the command `history`.
#[must_use]
pub fn history(line: u64, said: &Said<'_>) -> String {
    let view =
        HistoryView { event: "history", line, messages: said.notices, earlier: said.earlier };
    text_of(&view)
}

/// A part of what was said in the room, in its order, and how much came before it.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// Messages, offers and withdrawals.
    pub notices: &'a [Arc<Notice>],
    /// How many there are in front of them.
    pub earlier: usize,
}

fn text_of(view: &impl Serialize) -> String {
    // Views are made of texts, numbers and lists: writing them to memory cannot fail.
    visible(&serde_json::to_string(view).unwrap_or_default())
}

/// RFC 3339 in UTC with milliseconds; a time that it cannot write becomes the nearest that it can.
#[must_use]
pub fn rfc3339(time_ms: i64) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    utc(time_ms).format(format).unwrap_or_default()
}

/// The moment, held within the years 0 to 9999.
pub(super) fn utc(time_ms: i64) -> OffsetDateTime {
    let (first, last) = TIME_MS_RANGE;
    let nanos = i128::from(time_ms.clamp(first, last)) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Such characters can only stand inside JSON strings, where their escapes mean the same.
fn visible(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_control(c) || is_format(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[derive(Serialize)]
#[serde(remote = "Notice", tag = "event", rename_all = "snake_case")]
enum Event {
    Started {
        #[serde(flatten, serialize_with = "write_program")]
        who: Who,
        temporary: bool,
        locked: bool,
    },
    Listening {
        addresses: Vec<String>,
        #[serde(skip)]
        tunnels: Vec<(String, String)>,
    },
    Bridge {
        url: String,
    },
    Joined {
        room: RoomId,
        #[serde(serialize_with = "write_members")]
        members: Vec<MemberInfo>,
        locked: bool,
        #[serde(serialize_with = "write_who")]
        founder: Who,
    },
    Left {
        room: RoomId,
    },
    MemberJoined {
        #[serde(serialize_with = "write_member")]
        member: MemberInfo,
    },
    MemberLeft {
        #[serde(serialize_with = "write_member")]
        member: MemberInfo,
    },
    NameChanged {
        #[serde(serialize_with = "write_member")]
        member: MemberInfo,
        #[serde(serialize_with = "write_text")]
        before: Untrusted,
    },
    Message {
        id: EntryId,
        #[serde(serialize_with = "write_who")]
        from: Who,
        #[serde(serialize_with = "write_text")]
        text: Untrusted,
        #[serde(rename = "time", serialize_with = "write_time")]
        time_ms: i64,
        own: bool,
        history: bool,
        order: String,
        #[serde(skip_serializing_if = "is_true")]
        known: bool,
    },
    Held {
        id: EntryId,
        held_by: usize,
        present: usize,
    },
    HashProgress {
        #[serde(serialize_with = "write_path")]
        path: PathBuf,
        bytes_done: u64,
        size: u64,
    },
    HashFailed {
        #[serde(serialize_with = "write_path")]
        path: PathBuf,
        #[serde(flatten, serialize_with = "write_code_and_text")]
        failure: Failure,
    },
    FileOffered {
        id: EntryId,
        #[serde(serialize_with = "write_file")]
        file: FileInfo,
        #[serde(serialize_with = "write_who")]
        from: Who,
        #[serde(rename = "time", serialize_with = "write_time")]
        time_ms: i64,
        own: bool,
        history: bool,
        replaces: Option<EntryId>,
        order: String,
        #[serde(skip_serializing)]
        alike: bool,
    },
    FileWithdrawn {
        id: EntryId,
        #[serde(serialize_with = "write_file")]
        file: FileInfo,
        #[serde(serialize_with = "write_who")]
        from: Who,
        #[serde(rename = "time", serialize_with = "write_time")]
        time_ms: i64,
        own: bool,
        history: bool,
        order: String,
    },
    #[serde(rename = "notice")]
    AlreadyHave {
        #[serde(flatten, serialize_with = "write_already_have")]
        file: FileInfo,
        #[serde(serialize_with = "write_path")]
        path: PathBuf,
    },
    DownloadQueued {
        #[serde(serialize_with = "write_file")]
        file: FileInfo,
    },
    DownloadStarted {
        #[serde(serialize_with = "write_file")]
        file: FileInfo,
    },
    DownloadProgress {
        #[serde(serialize_with = "write_file")]
        file: FileInfo,
        bytes_done: u64,
        bytes_per_second: u64,
        seconds_left: Option<u64>,
        hosts: usize,
    },
    DownloadFinished {
        #[serde(serialize_with = "write_file")]
        file: FileInfo,
        #[serde(serialize_with = "write_path")]
        path: PathBuf,
        bytes_fetched: u64,
        #[serde(rename = "seconds", serialize_with = "write_seconds")]
        took_ms: u64,
        hosts: usize,
    },
    DownloadFailed {
        #[serde(serialize_with = "write_file")]
        file: FileInfo,
        #[serde(flatten, serialize_with = "write_code_and_text")]
        failure: Failure,
    },
    RoomLocked {
        #[serde(serialize_with = "write_who")]
        by: Who,
        #[serde(skip_serializing)]
        own: bool,
        password: bool,
        #[serde(serialize_with = "write_people")]
        out: Vec<Who>,
        me_out: bool,
    },
    RoomUnlocked {
        #[serde(serialize_with = "write_who")]
        by: Who,
        #[serde(skip_serializing)]
        own: bool,
    },
    MemberRemoved {
        #[serde(serialize_with = "write_known")]
        member: Who,
        #[serde(serialize_with = "write_who")]
        by: Who,
        #[serde(skip_serializing)]
        own: bool,
        me_out: bool,
        #[serde(serialize_with = "write_people")]
        also: Vec<Who>,
    },
    StewardChanged {
        #[serde(serialize_with = "write_known")]
        member: Who,
        #[serde(skip_serializing)]
        own: bool,
        off: bool,
    },
    Invitation {
        #[serde(flatten, serialize_with = "write_invitation")]
        text: String,
        #[serde(rename = "expires", serialize_with = "write_time")]
        until_ms: i64,
        once: bool,
    },
    Invitations {
        #[serde(serialize_with = "write_invitation_rows")]
        list: Vec<InvitationLine>,
    },
    PasswordRequired {
        address: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<u64>,
    },
    Members {
        #[serde(serialize_with = "write_member_rows")]
        list: Vec<MemberLine>,
    },
    #[serde(rename = "verify")]
    Words {
        #[serde(serialize_with = "write_member")]
        member: MemberInfo,
        words: String,
        asked: bool,
    },
    MemberVerified {
        #[serde(serialize_with = "write_member")]
        member: MemberInfo,
    },
    Doctor {
        #[serde(serialize_with = "write_findings")]
        list: Vec<Finding>,
    },
    Files {
        #[serde(serialize_with = "write_file_rows")]
        list: Vec<FileLine>,
    },
    Transfers {
        #[serde(serialize_with = "write_transfer_rows")]
        list: Vec<TransferLine>,
    },
    CommandDone {
        line: u64,
        command: &'static str,
    },
    #[serde(rename = "notice")]
    Remark {
        text: String,
    },
    Error {
        line: Option<u64>,
        command: Option<&'static str>,
        #[serde(flatten, serialize_with = "write_code_and_text")]
        failure: Failure,
    },
    Stopped {
        exit_code: u8,
    },
}
