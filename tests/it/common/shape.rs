//! The table of events: which fields an event has, in which order.

use std::fmt;
use std::sync::LazyLock;

use klatch::router::notice::Code;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::schema::Schema;

const MEMBER: &[&str] = &["id", "name", "address"];
const PERSON: &[&str] = &["id", "name"];
const FILE: &[&str] = &["id", "name", "size"];
const FOLDER: &[&str] = &["files", "bytes"];

/// Each event, its fields, and the fields that are absent when they have nothing to say.
const EVENTS: &[(&str, &[&str], &[&str])] = &[
    ("started", &["version", "schema", "id", "name", "temporary", "locked"], &[]),
    ("listening", &["addresses"], &[]),
    ("bridge", &["url"], &[]),
    ("joined", &["room", "members", "locked", "founder"], &[]),
    ("left", &["room"], &[]),
    ("member_joined", &["member"], &[]),
    ("member_left", &["member"], &[]),
    ("name_changed", &["member", "before"], &[]),
    ("message", &["id", "from", "text", "time", "own", "history", "order"], &["known"]),
    ("message_withdrawn", &["id", "reason"], &[]),
    ("held", &["id", "held_by", "present", "refused_by"], &[]),
    ("hash_progress", &["path", "bytes_done", "size"], &[]),
    ("hash_failed", &["path", "code", "text"], &[]),
    (
        "file_offered",
        &["id", "file", "from", "time", "own", "history", "replaces", "folder", "order"],
        &[],
    ),
    ("file_withdrawn", &["id", "file", "from", "time", "own", "history", "order"], &[]),
    ("download_queued", &["file"], &[]),
    ("download_started", &["file"], &[]),
    (
        "download_progress",
        &["file", "bytes_done", "bytes_per_second", "seconds_left", "hosts"],
        &[],
    ),
    ("download_finished", &["file", "path", "bytes_fetched", "seconds", "hosts"], &[]),
    ("download_failed", &["file", "code", "text"], &[]),
    ("room_locked", &["by", "password", "out", "me_out"], &[]),
    ("room_unlocked", &["by"], &[]),
    ("member_removed", &["member", "by", "me_out", "also"], &[]),
    ("steward_changed", &["member", "off"], &[]),
    ("invitation", &["text", "line", "expires", "once"], &[]),
    ("invitations", &["list"], &[]),
    ("password_required", &["address"], &[]),
    ("members", &["list"], &[]),
    ("verify", &["member", "words", "asked"], &[]),
    ("member_verified", &["member"], &[]),
    ("doctor", &["list"], &[]),
    ("files", &["list"], &[]),
    ("folder", &["file", "path", "list", "more"], &[]),
    ("transfers", &["list"], &[]),
    ("command_done", &["line", "command"], &[]),
    ("notice", &["text"], &["code", "file", "path"]),
    ("error", &["line", "command", "code", "text"], &[]),
    ("stopped", &["exit_code"], &[]),
];

/// The names of all events.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    EVENTS.iter().map(|(name, ..)| *name)
}

/// Asserts that a line is one event of the table, with its fields in order and of the right kind.
pub(crate) fn check(line: &str) {
    let shown = line.chars().find(|c| c.is_control());
    assert!(shown.is_none(), "a control character in {line}");
    let Ok(Tree::Object(fields)) = serde_json::from_str(line) else {
        panic!("no JSON object: {line}")
    };
    let Some((first, Tree::Leaf(Value::String(event)))) = fields.first() else {
        panic!("no event comes first: {line}")
    };
    assert_eq!(first, "event", "{line}");
    let row = EVENTS.iter().find(|(name, ..)| name == event);
    let (_, wanted, may_follow) = row.unwrap_or_else(|| panic!("not in the table: {line}"));
    let names: Vec<&str> = fields[1..].iter().map(|(name, _)| name.as_str()).collect();
    let (there, more) = names.split_at(wanted.len().min(names.len()));
    assert_eq!(there, *wanted, "{line}");
    assert!(more.iter().all(|name| may_follow.contains(name)), "{line}");
    for (name, value) in &fields[1..] {
        assert!(fits(event, name, value), "{name} of {line}");
    }
    let event: Value = serde_json::from_str(line).unwrap();
    static SCHEMA: LazyLock<Schema> = LazyLock::new(published);
    assert_eq!(SCHEMA.fault(&event), None, "{line}");
}

/// The schema that klatch prints.
pub(crate) fn published() -> Schema {
    Schema::strict(klatch::ui::notice::schema().to_value())
}

/// Whether a field's value is of the kind that its name promises.
fn fits(event: &str, name: &str, value: &Tree) -> bool {
    match name {
        "id" | "room" => value.text().is_some_and(is_id),
        "member" => value.has(MEMBER),
        "from" | "by" | "founder" => value.has(PERSON),
        "out" | "also" | "refused_by" => {
            value.items().is_some_and(|items| items.iter().all(|i| i.has(PERSON)))
        }
        "file" => value.has(FILE),
        "members" => value.items().is_some_and(|items| items.iter().all(|item| item.has(MEMBER))),
        "list" | "addresses" => value.items().is_some(),
        "line" if event == "invitation" => {
            value.text().is_some_and(|line| line.starts_with("klatch klatch:"))
        }
        "time" | "expires" => value.text().is_some_and(is_time),
        "path" if event == "folder" => value.text().is_some_and(|path| !path.starts_with('/')),
        "path" => value.text().is_some_and(|path| path.starts_with('/')),
        "code" => value.text().and_then(Code::from_word).is_some(),
        "own" | "history" | "temporary" | "locked" | "known" | "password" | "me_out" | "off"
        | "once" | "asked" => value.is(|value| value.is_boolean()),
        "line" | "command" if event == "error" => {
            value.is(|value| value.is_null() || value.is_u64() || value.is_string())
        }
        "schema" | "held_by" | "present" | "bytes_done" | "size" | "bytes_per_second" | "hosts"
        | "bytes_fetched" | "line" | "exit_code" | "more" => value.is(Value::is_u64),
        "folder" => value.is(Value::is_null) || value.has(FOLDER),
        "replaces" => value.is(Value::is_null) || value.text().is_some_and(is_id),
        "seconds_left" => value.is(|value| value.is_null() || value.is_u64()),
        "seconds" => value.is(Value::is_number),
        _ => value.text().is_some(),
    }
}

/// 256 bits in lower-case hex.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// RFC 3339 in UTC, to the millisecond.
fn is_time(text: &str) -> bool {
    let digits_masked: String =
        text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    digits_masked == "0000-00-00T00:00:00.000Z"
}

/// JSON that remembers the order of its fields.
enum Tree {
    Object(Vec<(String, Tree)>),
    List(Vec<Tree>),
    Leaf(Value),
}

impl Tree {
    fn is(&self, kind: impl Fn(&Value) -> bool) -> bool {
        matches!(self, Tree::Leaf(value) if kind(value))
    }

    fn text(&self) -> Option<&str> {
        if let Tree::Leaf(Value::String(text)) = self { Some(text) } else { None }
    }

    fn items(&self) -> Option<&[Tree]> {
        if let Tree::List(items) = self { Some(items) } else { None }
    }

    /// Whether it is an object with these fields and no others, in this order.
    fn has(&self, names: &[&str]) -> bool {
        let Tree::Object(fields) = self else { return false };
        // `verified` is there only where it says something.
        let mark = |name: &&String| name.as_str() == "verified" && names.contains(&"name");
        let said = fields.iter().map(|(name, _)| name).filter(|name| !mark(name));
        said.eq(names)
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut fields = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            fields.push(entry);
        }
        Ok(Tree::Object(fields))
    }
}
