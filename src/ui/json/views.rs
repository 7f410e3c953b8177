//! How the values inside of events are written.

use std::path::Path;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::super::rooms::invitation_line;
use super::{Event, SCHEMA, rfc3339};
use crate::router::ids::{EntryId, FileId, InvitationId, MemberId, RoomId};
use crate::router::notice::{
    Code, Failure, FileInfo, FileLine, Finding, InvitationLine, MemberInfo, MemberLine, Notice,
    Receipt, TransferLine, Who,
};
use crate::router::text::Untrusted;

#[derive(Serialize)]
pub(super) struct ProgramView<'a> {
    pub(super) version: &'static str,
    pub(super) schema: u32,
    pub(super) id: MemberId,
    pub(super) name: &'a str,
}

#[derive(Serialize)]
pub(super) struct InvitationView<'a> {
    pub(super) text: &'a str,
    pub(super) line: String,
}

#[derive(Serialize)]
pub(super) struct FailureView<'a> {
    pub(super) code: &'static str,
    pub(super) text: &'a str,
}

#[derive(Serialize)]
pub(super) struct WhoView<'a> {
    pub(super) id: MemberId,
    pub(super) name: &'a str,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) verified: bool,
}

#[derive(Serialize)]
pub(super) struct MemberView<'a> {
    pub(super) id: MemberId,
    pub(super) name: &'a str,
    pub(super) address: &'a str,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) verified: bool,
}

#[derive(Serialize)]
pub(super) struct FileView<'a> {
    pub(super) id: FileId,
    pub(super) name: &'a str,
    pub(super) size: u64,
}

#[derive(Serialize)]
pub(super) struct MemberRow<'a> {
    pub(super) id: MemberId,
    pub(super) name: &'a str,
    pub(super) address: &'a str,
    pub(super) linked: bool,
    pub(super) own: bool,
    pub(super) since: Option<String>,
    pub(super) round_trip_ms: Option<u64>,
    pub(super) fingerprint: &'a str,
    pub(super) verified: bool,
    pub(super) standing: &'static str,
    pub(super) through: Option<WhoView<'a>>,
    pub(super) ignored: bool,
}

#[derive(Serialize)]
pub(super) struct InvitationRow<'a> {
    pub(super) id: InvitationId,
    pub(super) maker: WhoView<'a>,
    pub(super) own: bool,
    pub(super) expires: String,
    pub(super) left: Option<u32>,
}

#[derive(Serialize)]
pub(super) struct FindingRow<'a> {
    pub(super) good: bool,
    pub(super) text: &'a str,
    pub(super) advice: &'a str,
}

#[derive(Serialize)]
pub(super) struct AlreadyHaveView<'a> {
    pub(super) text: String,
    pub(super) code: &'static str,
    pub(super) file: FileView<'a>,
}

#[derive(Serialize)]
pub(super) struct FileRow<'a> {
    pub(super) id: EntryId,
    pub(super) file: FileView<'a>,
    pub(super) from: WhoView<'a>,
    pub(super) hosts: usize,
    pub(super) own: bool,
    pub(super) held: bool,
    pub(super) fetching: bool,
}

#[derive(Serialize)]
pub(super) struct TransferRow<'a> {
    pub(super) file: MovingView<'a>,
    pub(super) download: bool,
    pub(super) state: &'static str,
    pub(super) bytes_done: u64,
    pub(super) bytes_per_second: u64,
    pub(super) seconds_left: Option<u64>,
    pub(super) hosts: usize,
    pub(super) to: Option<WhoView<'a>>,
}

/// A file whose id may not be known yet.
#[derive(Serialize)]
pub(super) struct MovingView<'a> {
    pub(super) id: Option<FileId>,
    pub(super) name: &'a str,
    pub(super) size: u64,
}

#[derive(Serialize)]
pub(super) struct SnapshotView<'a> {
    pub(super) event: &'static str,
    #[serde(rename = "self")]
    pub(super) me: MeView<'a>,
    pub(super) room: RoomView<'a>,
    pub(super) addresses: &'a [String],
    #[serde(serialize_with = "write_member_rows")]
    pub(super) members: &'a [MemberLine],
    #[serde(serialize_with = "write_notices")]
    pub(super) messages: &'a [Arc<Notice>],
    pub(super) earlier: usize,
    pub(super) held: Vec<ReceiptView>,
    #[serde(serialize_with = "write_file_rows")]
    pub(super) files: &'a [FileLine],
    pub(super) files_left_out: usize,
    #[serde(serialize_with = "write_transfer_rows")]
    pub(super) transfers: &'a [TransferLine],
    pub(super) saved: Vec<SavedView<'a>>,
}

#[derive(Serialize)]
pub(super) struct HistoryView<'a> {
    pub(super) event: &'static str,
    pub(super) line: u64,
    #[serde(serialize_with = "write_notices")]
    pub(super) messages: &'a [Arc<Notice>],
    pub(super) earlier: usize,
}

#[derive(Serialize)]
pub(super) struct MeView<'a> {
    pub(super) id: MemberId,
    pub(super) name: &'a str,
    pub(super) temporary: bool,
    pub(super) version: &'static str,
}

#[derive(Serialize)]
pub(super) struct RoomView<'a> {
    pub(super) id: RoomId,
    pub(super) locked: bool,
    pub(super) password: bool,
    pub(super) settled: bool,
    pub(super) founder: WhoView<'a>,
}

#[derive(Serialize)]
pub(super) struct ReceiptView {
    pub(super) id: EntryId,
    pub(super) held_by: usize,
    pub(super) present: usize,
}

#[derive(Serialize)]
pub(super) struct SavedView<'a> {
    pub(super) id: FileId,
    #[serde(serialize_with = "write_path")]
    pub(super) path: &'a Path,
}

/// A notice inside of something larger.
#[derive(Serialize)]
pub(super) struct NoticeView<'a>(#[serde(serialize_with = "write_notice")] &'a Notice);

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

pub(super) fn write_program<S: Serializer>(who: &Who, serializer: S) -> Result<S::Ok, S::Error> {
    let version = env!("CARGO_PKG_VERSION");
    ProgramView { version, schema: SCHEMA, id: who.id, name: who.name.raw() }.serialize(serializer)
}

pub(super) fn write_code_and_text<S: Serializer>(
    failure: &Failure,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    FailureView { code: failure.code.word(), text: &failure.text }.serialize(serializer)
}

pub(super) fn write_who<S: Serializer>(who: &Who, serializer: S) -> Result<S::Ok, S::Error> {
    WhoView::from(who).serialize(serializer)
}

pub(super) fn write_member<S: Serializer>(
    member: &MemberInfo,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    MemberView::from(member).serialize(serializer)
}

pub(super) fn write_people<S: Serializer>(list: &[Who], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(WhoView::from))
}

/// A member of which nothing but the name counts any more.
pub(super) fn write_known<S: Serializer>(who: &Who, serializer: S) -> Result<S::Ok, S::Error> {
    let (id, name, verified) = (who.id, who.name.raw(), who.verified);
    MemberView { id, name, address: "", verified }.serialize(serializer)
}

pub(super) fn write_members<S: Serializer>(
    list: &[MemberInfo],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(MemberView::from))
}

pub(super) fn write_file<S: Serializer>(file: &FileInfo, serializer: S) -> Result<S::Ok, S::Error> {
    FileView::from(file).serialize(serializer)
}

/// A notice that scripts can tell from others.
pub(super) fn write_already_have<S: Serializer>(
    file: &FileInfo,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let text = format!("you have {} already: it is not fetched again", file.name);
    let code = Code::AlreadyHave.word();
    AlreadyHaveView { text, code, file: file.into() }.serialize(serializer)
}

pub(super) fn write_member_rows<S: Serializer>(
    list: &[MemberLine],
    serializer: S,
) -> Result<S::Ok, S::Error> {
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
        standing: row.standing.word(),
        through: row.through.as_ref().map(WhoView::from),
        ignored: row.ignored,
    }))
}

pub(super) fn write_invitation<S: Serializer>(
    text: &str,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    InvitationView { text, line: invitation_line(text) }.serialize(serializer)
}

pub(super) fn write_invitation_rows<S: Serializer>(
    list: &[InvitationLine],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|row| InvitationRow {
        id: row.id,
        maker: (&row.maker).into(),
        own: row.own,
        expires: rfc3339(row.until_ms),
        left: row.left,
    }))
}

pub(super) fn write_findings<S: Serializer>(
    list: &[Finding],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|finding| FindingRow {
        good: finding.good,
        text: &finding.text,
        advice: &finding.advice,
    }))
}

pub(super) fn write_file_rows<S: Serializer>(
    list: &[FileLine],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|row| FileRow {
        id: row.id,
        file: (&row.file).into(),
        from: (&row.from).into(),
        hosts: row.hosts,
        own: row.own,
        held: row.held,
        fetching: row.fetching,
    }))
}

pub(super) fn write_transfer_rows<S: Serializer>(
    list: &[TransferLine],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|row| TransferRow {
        file: MovingView { id: row.file, name: row.name.raw(), size: row.size },
        download: row.state.is_download(),
        state: row.state.word(),
        bytes_done: row.bytes_done,
        bytes_per_second: row.bytes_per_second,
        seconds_left: row.seconds_left,
        hosts: row.hosts,
        to: row.to.as_ref().map(WhoView::from),
    }))
}

pub(super) fn write_notice<S: Serializer>(
    notice: &&Notice,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Event::serialize(notice, serializer)
}

pub(super) fn write_notices<S: Serializer>(
    list: &[Arc<Notice>],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|notice| NoticeView(notice)))
}

pub(super) fn write_text<S: Serializer>(
    text: &Untrusted,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text.raw())
}

/// A path that is no UTF-8 is written with replacement characters rather than not at all.
pub(super) fn write_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

pub(super) fn write_time<S: Serializer>(time_ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time_ms))
}

pub(super) fn write_seconds<S: Serializer>(
    took_ms: &u64,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(*took_ms as f64 / 1_000.0)
}

pub(super) fn is_true(value: &bool) -> bool {
    *value
}

pub(super) fn is_false(value: &bool) -> bool {
    !*value
}
