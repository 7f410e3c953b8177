//! The JSON form of values in notices, where it differs from the value.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::macros::format_description;

use super::{Code, FileInfo, MemberInfo, Who};
use crate::router::ids::MemberId;
use crate::router::invite_link::command_line;
use crate::router::text::Untrusted;

/// Grows when a script that relies on the events has to change.
pub const SCHEMA: u32 = 4;
/// 0000-01-01T00:00:00Z and the last millisecond of the year 9999: what RFC 3339 can write.
const TIME_MS_RANGE: (i64, i64) = (-62_167_219_200_000, 253_402_300_799_999);

/// A moment in the form of RFC 3339, in UTC with milliseconds.
#[derive(JsonSchema)]
pub struct Time(
    #[schemars(regex(pattern = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"))]
    #[expect(dead_code, reason = "only its schema is used")]
    String,
);

/// Who this program is.
#[derive(Serialize, JsonSchema)]
pub struct Program<'a> {
    /// Of klatch.
    version: &'static str,
    /// The form of the events.
    schema: u32,
    /// This node's identity.
    id: MemberId,
    /// Its nickname.
    name: &'a Untrusted,
}

/// An invitation, and the line that its guest types.
#[derive(Serialize, JsonSchema)]
pub struct InvitationForm<'a> {
    /// The invitation.
    text: &'a str,
    /// A whole command line.
    line: String,
}

/// A notice that programs can tell from others.
#[derive(Serialize, JsonSchema)]
pub struct AlreadyHave<'a> {
    /// A sentence.
    text: String,
    /// `already_have`.
    code: Code,
    /// The file.
    file: &'a FileInfo,
}

pub(super) fn program<S: Serializer>(who: &Who, serializer: S) -> Result<S::Ok, S::Error> {
    let version = env!("CARGO_PKG_VERSION");
    Program { version, schema: SCHEMA, id: who.id, name: &who.name }.serialize(serializer)
}

pub(super) fn invitation<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    InvitationForm { text, line: command_line(text) }.serialize(serializer)
}

pub(super) fn already_have<S: Serializer>(
    file: &FileInfo,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let text = format!("you already have {}: it is not downloaded again", file.name);
    AlreadyHave { text, code: Code::AlreadyHave, file }.serialize(serializer)
}

/// A member that has no address any more.
pub(super) fn member_without_address<S: Serializer>(
    who: &Who,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    MemberInfo { who: who.clone(), address: String::new() }.serialize(serializer)
}

/// A path that is no UTF-8 is written with replacement characters rather than not at all.
pub(crate) fn path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

pub(super) fn time<S: Serializer>(time_ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time_ms))
}

pub(super) fn time_if_any<S: Serializer>(
    time_ms: &Option<i64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time_ms.map(rfc3339).serialize(serializer)
}

pub(super) fn seconds<S: Serializer>(took_ms: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(*took_ms as f64 / 1_000.0)
}

pub(super) fn is_true(value: &bool) -> bool {
    *value
}

pub(super) fn is_false(value: &bool) -> bool {
    !*value
}

/// RFC 3339 in UTC with milliseconds; a time that it cannot write becomes the nearest that it can.
#[must_use]
pub fn rfc3339(time_ms: i64) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    utc(time_ms).format(format).unwrap_or_default()
}

/// The moment, held within the years 0 to 9999.
#[must_use]
pub fn utc(time_ms: i64) -> OffsetDateTime {
    let (first, last) = TIME_MS_RANGE;
    let nanos = i128::from(time_ms.clamp(first, last)) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
