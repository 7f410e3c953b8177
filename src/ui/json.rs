//! Notices for programs: one JSON object per line, `"event"` first.
//!
//! [`Event`] mirrors [`Notice`] and is the contract: its order is the order of the fields, and a
//! kind of notice that is missing from it does not compile. What is not in the contract's table
//! stands behind `skip_serializing_if` and appears only where it says something.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::router::ids::{EntryId, FileId, MemberId, RoomId};
use crate::router::notice::{
    Failure, FileInfo, FileLine, Finding, MemberInfo, MemberLine, Notice, Overview, Receipt,
    TransferLine, Who,
};
use crate::router::text::{Untrusted, is_control, is_format};

/// Grows when a script that relies on the events has to change.
const SCHEMA: u32 = 1;
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

/// How things stand, as the one object that a page begins with.
#[must_use]
pub fn snapshot(overview: &Overview, said: &Said<'_>, saved: &[(FileId, PathBuf)]) -> String {
    let Overview { me, temporary, room, locked, settled, addresses, .. } = overview;
    let view = SnapshotView {
        event: "snapshot",
        me: MeView {
            id: me.id,
            name: me.name.raw(),
            temporary: *temporary,
            version: env!("CARGO_PKG_VERSION"),
        },
        room: RoomView { id: *room, locked: *locked, settled: *settled },
        addresses,
        members: &overview.members,
        messages: said.notices,
        earlier: said.earlier,
        held: overview.unheld.iter().map(ReceiptView::from).collect(),
        files: &overview.files,
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
    },
    Listening {
        addresses: Vec<String>,
    },
    Bridge {
        url: String,
    },
    Joined {
        room: RoomId,
        #[serde(serialize_with = "write_members")]
        members: Vec<MemberInfo>,
        locked: bool,
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
    FileOffered {
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
    FileWithdrawn {
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
        #[serde(skip_serializing_if = "is_false")]
        overruled: bool,
    },
    RoomUnlocked {
        #[serde(serialize_with = "write_who")]
        by: Who,
        #[serde(skip_serializing)]
        own: bool,
        #[serde(skip_serializing_if = "is_false")]
        overruled: bool,
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

#[derive(Serialize)]
struct ProgramView<'a> {
    version: &'static str,
    schema: u32,
    id: MemberId,
    name: &'a str,
}

#[derive(Serialize)]
struct FailureView<'a> {
    code: &'static str,
    text: &'a str,
}

#[derive(Serialize)]
struct WhoView<'a> {
    id: MemberId,
    name: &'a str,
    #[serde(skip_serializing_if = "is_false")]
    verified: bool,
}

#[derive(Serialize)]
struct MemberView<'a> {
    id: MemberId,
    name: &'a str,
    address: &'a str,
    #[serde(skip_serializing_if = "is_false")]
    verified: bool,
}

#[derive(Serialize)]
struct FileView<'a> {
    id: FileId,
    name: &'a str,
    size: u64,
}

#[derive(Serialize)]
struct MemberRow<'a> {
    id: MemberId,
    name: &'a str,
    address: &'a str,
    linked: bool,
    own: bool,
    since: Option<String>,
    round_trip_ms: Option<u64>,
    fingerprint: &'a str,
    verified: bool,
}

#[derive(Serialize)]
struct FindingRow<'a> {
    good: bool,
    text: &'a str,
    advice: &'a str,
}

#[derive(Serialize)]
struct FileRow<'a> {
    file: FileView<'a>,
    from: Vec<WhoView<'a>>,
    hosts: usize,
    own: bool,
    held: bool,
    fetching: bool,
}

#[derive(Serialize)]
struct TransferRow<'a> {
    file: FileView<'a>,
    download: bool,
    bytes_done: u64,
    bytes_per_second: u64,
    seconds_left: Option<u64>,
    hosts: usize,
    to: Option<WhoView<'a>>,
    waiting: bool,
}

#[derive(Serialize)]
struct SnapshotView<'a> {
    event: &'static str,
    #[serde(rename = "self")]
    me: MeView<'a>,
    room: RoomView,
    addresses: &'a [String],
    #[serde(serialize_with = "write_member_rows")]
    members: &'a [MemberLine],
    #[serde(serialize_with = "write_notices")]
    messages: &'a [Arc<Notice>],
    earlier: usize,
    held: Vec<ReceiptView>,
    #[serde(serialize_with = "write_file_rows")]
    files: &'a [FileLine],
    #[serde(serialize_with = "write_transfer_rows")]
    transfers: &'a [TransferLine],
    saved: Vec<SavedView<'a>>,
}

#[derive(Serialize)]
struct HistoryView<'a> {
    event: &'static str,
    line: u64,
    #[serde(serialize_with = "write_notices")]
    messages: &'a [Arc<Notice>],
    earlier: usize,
}

#[derive(Serialize)]
struct MeView<'a> {
    id: MemberId,
    name: &'a str,
    temporary: bool,
    version: &'static str,
}

#[derive(Serialize)]
struct RoomView {
    id: RoomId,
    locked: bool,
    settled: bool,
}

#[derive(Serialize)]
struct ReceiptView {
    id: EntryId,
    held_by: usize,
    present: usize,
}

#[derive(Serialize)]
struct SavedView<'a> {
    id: FileId,
    #[serde(serialize_with = "write_path")]
    path: &'a Path,
}

/// A notice inside of something larger.
#[derive(Serialize)]
struct NoticeView<'a>(#[serde(serialize_with = "write_notice")] &'a Notice);

impl From<&Receipt> for ReceiptView {
    fn from(receipt: &Receipt) -> Self {
        Self { id: receipt.id, held_by: receipt.held_by, present: receipt.present }
    }
}

impl<'a> From<&'a Who> for WhoView<'a> {
    fn from(who: &'a Who) -> Self {
        Self { id: who.id, name: who.name.raw(), verified: who.verified }
    }
}

impl<'a> From<&'a MemberInfo> for MemberView<'a> {
    fn from(member: &'a MemberInfo) -> Self {
        let MemberInfo { who, address, .. } = member;
        Self { id: who.id, name: who.name.raw(), address, verified: who.verified }
    }
}

impl<'a> From<&'a FileInfo> for FileView<'a> {
    fn from(file: &'a FileInfo) -> Self {
        Self { id: file.id, name: file.name.raw(), size: file.size }
    }
}

fn write_program<S: Serializer>(who: &Who, serializer: S) -> Result<S::Ok, S::Error> {
    let version = env!("CARGO_PKG_VERSION");
    ProgramView { version, schema: SCHEMA, id: who.id, name: who.name.raw() }.serialize(serializer)
}

fn write_code_and_text<S: Serializer>(failure: &Failure, serializer: S) -> Result<S::Ok, S::Error> {
    FailureView { code: failure.code.word(), text: &failure.text }.serialize(serializer)
}

fn write_who<S: Serializer>(who: &Who, serializer: S) -> Result<S::Ok, S::Error> {
    WhoView::from(who).serialize(serializer)
}

fn write_member<S: Serializer>(member: &MemberInfo, serializer: S) -> Result<S::Ok, S::Error> {
    MemberView::from(member).serialize(serializer)
}

fn write_members<S: Serializer>(list: &[MemberInfo], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(MemberView::from))
}

fn write_file<S: Serializer>(file: &FileInfo, serializer: S) -> Result<S::Ok, S::Error> {
    FileView::from(file).serialize(serializer)
}

fn write_member_rows<S: Serializer>(list: &[MemberLine], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|row| MemberRow {
        id: row.member.who.id,
        name: row.member.who.name.raw(),
        address: &row.member.address,
        linked: row.member.linked,
        own: row.member.own,
        since: row.since_ms.map(rfc3339),
        round_trip_ms: row.round_trip_ms,
        fingerprint: &row.fingerprint,
        verified: row.member.who.verified,
    }))
}

fn write_findings<S: Serializer>(list: &[Finding], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|finding| FindingRow {
        good: finding.good,
        text: &finding.text,
        advice: &finding.advice,
    }))
}

fn write_file_rows<S: Serializer>(list: &[FileLine], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|row| FileRow {
        file: (&row.file).into(),
        from: row.from.iter().map(WhoView::from).collect(),
        hosts: row.hosts,
        own: row.own,
        held: row.held,
        fetching: row.fetching,
    }))
}

fn write_transfer_rows<S: Serializer>(
    list: &[TransferLine],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|row| TransferRow {
        file: (&row.file).into(),
        download: row.download,
        bytes_done: row.bytes_done,
        bytes_per_second: row.bytes_per_second,
        seconds_left: row.seconds_left,
        hosts: row.hosts,
        to: row.to.as_ref().map(WhoView::from),
        waiting: row.waiting,
    }))
}

fn write_notice<S: Serializer>(notice: &&Notice, serializer: S) -> Result<S::Ok, S::Error> {
    Event::serialize(notice, serializer)
}

fn write_notices<S: Serializer>(list: &[Arc<Notice>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|notice| NoticeView(notice)))
}

fn write_text<S: Serializer>(text: &Untrusted, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text.raw())
}

/// A path that is no UTF-8 is written with replacement characters rather than not at all.
fn write_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

fn write_time<S: Serializer>(time_ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time_ms))
}

fn write_seconds<S: Serializer>(took_ms: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(*took_ms as f64 / 1_000.0)
}

fn is_true(value: &bool) -> bool {
    *value
}

fn is_false(value: &bool) -> bool {
    !*value
}
