//! T1 on a real terminal: whatever eve says, only klatch's own control sequences get there.

use klatch::router::text::{is_control, is_format};

use crate::common::Folder;
use crate::common::person::{ENTER, Person};
use crate::hostile::output::{TRICKS, plays_every_trick, says_goodbye};

/// Asserts that the output is only text, line ends and what klatch and its editor write.
pub(super) fn assert_only_ours(raw: &[u8]) {
    let text = String::from_utf8_lossy(raw).into_owned();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(|c| (is_control(c) || is_format(c)) && !matches!(c, '\r' | '\n'))
    {
        let (before, found) = rest.split_at(at);
        let length = ours(found);
        let shown: String = found.chars().take(20).collect();
        let context: String =
            before.chars().rev().take(40).collect::<Vec<_>>().into_iter().rev().collect();
        assert!(length > 0, "foreign: {:?} behind {context:?}", shown);
        rest = &found[length..];
    }
}

/// The length of a control sequence that klatch writes: colours, up, right, down, left, clearing
/// below and to the right, bracketed paste, synchronised updates, the cursor, the bell.
fn ours(text: &str) -> usize {
    if text.starts_with('\x07') {
        return 1;
    }
    let Some(sequence) = text.strip_prefix("\x1b[") else { return 0 };
    let length = sequence.find(|c: char| !matches!(c, '0'..='9' | ';' | '?')).unwrap_or(0);
    let (parameters, rest) = sequence.split_at(length);
    let Some(last) = rest.chars().next() else { return 0 };
    let known = match last {
        'm' => !parameters.contains('?'),
        'A' | 'B' | 'C' | 'D' => parameters.len() <= 3,
        'H' | 'J' | 'K' => parameters.is_empty(),
        'h' | 'l' => matches!(parameters, "?2004" | "?2026" | "?25"),
        _ => false,
    };
    if known { 2 + length + 1 } else { 0 }
}

/// A message of 4,002 rows would push everything else out of sight.
#[test]
fn t1_a_message_of_line_feeds_does_not_fill_the_screen() {
    let folder = Folder::new();
    let mut alice = Person::start("alice", &folder.path(""), &[]);
    let address = alice.address().parse().unwrap();
    says_goodbye(address, &format!("top{}bottom", "\n".repeat(4_000)));
    alice.sees("3981 more lines: browser shows them");
    alice.types(&format!("quit{ENTER}"));
    alice.ends();
    let rows = alice.raw.iter().filter(|byte| **byte == b'\n').count();
    assert!(rows < 200, "{rows} rows");
}

#[test]
fn t1_nothing_foreign_reaches_a_live_terminal() {
    let folder = Folder::new();
    let mut alice = Person::start("alice", &folder.path(""), &[]);
    let address = alice.address().parse().unwrap();
    plays_every_trick(address);
    for command in ["files", "members", "transfers", "doctor", "name ana"] {
        alice.types(&format!("{command}{ENTER}"));
    }
    says_goodbye(address, "that was all");
    alice.sees("that was all");
    // Anything typed before the line is being edited would be lost with Ctrl-C.
    alice.types("a");
    alice.until("the line", |screen| screen.trim_end().ends_with("> a"));
    alice.types("\t");
    alice.clears();
    alice.types(&format!("quit{ENTER}"));
    alice.ends();
    assert_only_ours(&alice.raw);
    let shown = String::from_utf8_lossy(&alice.raw).into_owned();
    // The tricks were received, and shown escaped.
    assert!(shown.contains("eve offers \\u{1b}]52;c;ZXZpbA==\\u{7}"), "{shown}");
    assert!(shown.contains("\r\n    * eve left"), "her lines are indented");
    assert!(!shown.contains("\n* eve left\r\nerror: no"));
    // The check would notice them.
    for trick in TRICKS {
        let escapes = trick.chars().any(|c| (is_control(c) || is_format(c)) && c != '\n');
        let caught = std::panic::catch_unwind(|| assert_only_ours(trick.as_bytes())).is_err();
        // The editor writes some of these itself; they are searched for exactly.
        let looks_like_ours = ["bell", "over"].iter().any(|start| trick.starts_with(start));
        assert!(!escapes || caught || looks_like_ours, "{trick:?}");
        assert!(!escapes || !shown.contains(trick), "{trick:?}");
    }
}
