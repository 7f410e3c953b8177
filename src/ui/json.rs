//! Events for programs and the page: one JSON object per line. Their form is that of
//! [`crate::router::notice`]; events that only a page asks for are defined here.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use crate::router::ids::{FileId, MemberId, RoomId};
use crate::router::notice::{
    FileLine, MemberLine, Notice, Overview, Receipt, TransferLine, Who, form,
};
use crate::router::text::{Untrusted, is_control, is_format};

/// The notice as one line of JSON, without a line feed.
///
/// Characters that could affect a terminal (controls, invisible and reordering ones) are written as
/// `\uXXXX`: the same text to a parser, and harmless to look at.
#[must_use]
pub fn to_json(notice: &Notice) -> String {
    text_of(notice)
}

/// What [`to_json`] writes, as a JSON Schema of draft 2020-12.
#[must_use]
pub fn schema() -> Schema {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    generator.into_root_schema_for::<NamedNotice>()
}

/// A notice, under the name that it has for programs.
struct NamedNotice;

impl JsonSchema for NamedNotice {
    fn schema_name() -> Cow<'static, str> {
        "NamedNotice".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Notice::json_schema(generator);
        // Events with the same name differ in their fields, and both may grow.
        if let Some(kinds) = schema.remove("oneOf") {
            schema.insert("anyOf".into(), kinds);
        }
        let what = "An event of klatch --json, one per line. Further events and fields may be \
                    added; what is here stays.";
        schema.insert("description".into(), what.into());
        schema
    }
}

/// The state of things, as the single object that a page starts with.
#[derive(Serialize)]
struct Snapshot<'a> {
    event: &'static str,
    #[serde(rename = "self")]
    me: Me<'a>,
    room: SavedRoom<'a>,
    addresses: &'a [String],
    members: &'a [MemberLine],
    messages: &'a [Arc<Notice>],
    earlier: usize,
    held: &'a [Receipt],
    files: &'a [FileLine],
    files_left_out: usize,
    transfers: &'a [TransferLine],
    saved: Vec<SavedFile<'a>>,
}

#[derive(Serialize)]
struct Me<'a> {
    id: MemberId,
    name: &'a Untrusted,
    temporary: bool,
    version: &'static str,
}

#[derive(Serialize)]
struct SavedRoom<'a> {
    id: RoomId,
    locked: bool,
    password: bool,
    settled: bool,
    founder: &'a Who,
}

#[derive(Serialize)]
struct SavedFile<'a> {
    id: FileId,
    #[serde(serialize_with = "form::path")]
    path: &'a Path,
}

/// A page of the history.
#[derive(Serialize)]
struct HistoryPage<'a> {
    event: &'static str,
    line: u64,
    messages: &'a [Arc<Notice>],
    earlier: usize,
}

/// The state of things, as the single object that a page starts with; this many files are left out.
#[must_use]
pub fn snapshot(
    overview: &Overview,
    files_left_out: usize,
    said: &Said<'_>,
    saved: &[(FileId, PathBuf)],
) -> String {
    text_of(&Snapshot {
        event: "snapshot",
        me: Me {
            id: overview.me.id,
            name: &overview.me.name,
            temporary: overview.temporary,
            version: env!("CARGO_PKG_VERSION"),
        },
        room: SavedRoom {
            id: overview.room,
            locked: overview.locked,
            password: overview.password,
            settled: overview.settled,
            founder: &overview.founder,
        },
        addresses: &overview.addresses,
        members: &overview.members,
        messages: said.notices,
        earlier: said.earlier,
        held: &overview.unheld,
        files: &overview.files,
        files_left_out,
        transfers: &overview.transfers,
        saved: saved.iter().map(|(id, path)| SavedFile { id: *id, path }).collect(),
    })
}

/// A page of the history, in answer to the command `history`.
#[must_use]
pub fn history(line: u64, said: &Said<'_>) -> String {
    text_of(&HistoryPage { event: "history", line, messages: said.notices, earlier: said.earlier })
}

/// A part of the room's history, in order, and how much came before it.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// Messages, offers and withdrawals.
    pub notices: &'a [Arc<Notice>],
    /// How many come before them.
    pub earlier: usize,
}

fn text_of(event: &impl Serialize) -> String {
    // Events consist of texts, numbers and lists: writing them to memory cannot fail.
    visible(&serde_json::to_string(event).unwrap_or_default())
}

/// Such characters can only be inside JSON strings, where their escapes mean the same.
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
