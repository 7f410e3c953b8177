//! A terminal without a terminal: notices in, pieces out.

use time::UtcOffset;

use super::*;
use crate::router::ids::{FileId, MemberId};
use crate::router::notice::{FileInfo, MemberInfo};
use crate::ui::width::width;

const NOON_MS: i64 = 1_795_348_800_000;

fn who(id: u8, name: &str) -> Who {
    Who { id: MemberId([id; 32]), name: Untrusted::new(name), verified: false }
}

fn member(id: u8, name: &str) -> MemberInfo {
    MemberInfo { who: who(id, name), address: String::new() }
}

fn said(id: u8, name: &str, text: &str, own: bool) -> Notice {
    Notice::Message {
        id: EntryId([id; 32]),
        from: who(id, name),
        text: Untrusted::new(text),
        time_ms: NOON_MS,
        own,
        history: false,
        order: String::new(),
        known: true,
    }
}

fn ana() -> LiveView {
    let style = Style { color: false, ..Style::terminal(UtcOffset::UTC) };
    let mut view = LiveView::new(style, true, NOON_MS);
    view.hear(&Notice::Started { who: who(1, "ana"), temporary: false, locked: false }, NOON_MS);
    view
}

fn rows(pieces: &[Piece]) -> Vec<&str> {
    let rows = pieces.iter().map(|piece| match piece {
        Piece::Rows(rows) | Piece::Tail(_, rows) | Piece::Remark(_, rows) => rows.as_str(),
        Piece::Bell => "BELL",
    });
    rows.collect()
}

#[test]
fn an_own_message_says_who_holds_it() {
    let mut view = ana();
    let id = EntryId([1; 32]);
    let pieces = view.hear(&said(1, "ana", "hello", true), NOON_MS);
    assert_eq!(pieces, [Piece::Tail(id, "12:00 ana: hello".into())]);
    let held = |held_by, present| Notice::Held { id, held_by, present, refused_by: Vec::new() };
    let pieces = view.hear(&held(1, 2), NOON_MS);
    assert_eq!(pieces, [Piece::Remark(id, "12:00 ana: hello (1 of 2 have it)".into())]);
    let pieces = view.hear(&held(2, 2), NOON_MS);
    assert_eq!(pieces, [Piece::Remark(id, "12:00 ana: hello ✓".into())]);
    assert_eq!(view.hear(&held(2, 2), NOON_MS), [], "it is known by now");

    // With other rows below it, only a problem is worth a row.
    view.hear(&said(1, "ana", "hello again", true), NOON_MS);
    view.hear(&said(2, "bob", "hi", false), NOON_MS);
    assert_eq!(rows(&view.hear(&held(1, 2), NOON_MS)), ["* 1 of 2 have this: hello again"]);
    assert!(view.hear(&held(1, 2), NOON_MS).is_empty());
    assert_eq!(rows(&view.hear(&held(2, 2), NOON_MS)), ["* all 2 have this now: hello again"]);
    view.hear(&said(1, "ana", "hello?", true), NOON_MS);
    view.hear(&said(2, "bob", "hi", false), NOON_MS);
    assert_eq!(rows(&view.hear(&held(0, 2), NOON_MS)), ["* nobody here has this yet: hello?"]);
    view.hear(&held(2, 2), NOON_MS);
    view.hear(&said(1, "ana", "and again", true), NOON_MS);
    view.hear(&said(2, "bob", "hi", false), NOON_MS);
    assert!(view.hear(&held(2, 2), NOON_MS).is_empty());
}

#[test]
fn ones_name_rings_as_a_word_only() {
    let mut view = ana();
    for (text, rings) in [
        ("ana?", true),
        ("hello Ana, hello", true),
        ("@ANA", true),
        ("banana", false),
        ("anaconda", false),
        ("", false),
    ] {
        let pieces = view.hear(&said(2, "bob", text, false), NOON_MS);
        assert_eq!(pieces.contains(&Piece::Bell), rings, "{text}");
    }
    let coloured = Style::terminal(UtcOffset::UTC);
    let mut view = LiveView::new(coloured, false, NOON_MS);
    view.hear(&Notice::Started { who: who(1, "ana"), temporary: false, locked: false }, NOON_MS);
    let pieces = view.hear(&said(2, "bob", "so, Ana and banana", false), NOON_MS);
    let [Piece::Rows(shown)] = pieces.as_slice() else { panic!("{pieces:?}") };
    assert!(shown.ends_with("so, \x1b[1;33mAna\x1b[0m and banana"), "{shown:?}");
}

#[test]
fn a_crowd_is_one_sentence() {
    let mut view = ana();
    let mut shown = Vec::new();
    for guest in 0..20_u8 {
        let notice = Notice::MemberJoined { member: member(guest, &format!("guest{guest}")) };
        shown.extend(view.hear(&notice, NOON_MS));
    }
    assert_eq!(shown.len(), 4);
    view.hear(&Notice::MemberLeft { member: member(9, "guest9") }, NOON_MS);
    let due = view.due_ms().unwrap();
    assert!(view.tick(due - 1).is_empty());
    let pieces = view.tick(due);
    let summary = "* guest4, guest5, guest6, guest7, \
                   guest8, guest9, guest10, guest11 and 8 more \n    \
                   joined; guest9 left";
    assert_eq!(rows(&pieces), [summary]);
    assert_eq!(view.due_ms(), None);
}

/// A script that says something every minute, each time with another id.
#[test]
fn who_comes_and_goes_again_and_again_is_told_in_one_sentence() {
    let mut view = ana();
    let joins = |id, name| Notice::MemberJoined { member: member(id, name) };
    let leaves = |id, name| Notice::MemberLeft { member: member(id, name) };
    let at = |minute: i64| NOON_MS + minute * 60_000;
    let mut told = Vec::new();
    let rows = |pieces: Vec<Piece>| -> Vec<String> {
        super::tests::rows(&pieces).into_iter().map(str::to_owned).collect()
    };
    for minute in 0..6 {
        let id = 10 + minute as u8;
        while let Some(due) = view.due_ms().filter(|due| *due <= at(minute)) {
            told.extend(rows(view.tick(due)));
        }
        told.extend(rows(view.hear(&joins(id, "job"), at(minute))));
        told.extend(rows(view.hear(&said(id, "job", "done", false), at(minute) + 100)));
        told.extend(rows(view.hear(&leaves(id, "job"), at(minute) + 200)));
    }
    let done = "12:00 job: done";
    assert_eq!(told, ["* job joined", done, "* job left", done, done, done, done, done]);
    let due = view.due_ms().unwrap();
    assert_eq!(rows(view.tick(due)), ["* job (5 times) came and went"]);
    assert_eq!(view.due_ms(), None);
    // One that stays is shown, and so is its leaving.
    assert!(view.hear(&joins(20, "job"), at(7)).is_empty());
    let due = view.due_ms().unwrap();
    assert_eq!(rows(view.tick(due)), ["* job joined"]);
    assert_eq!(rows(view.hear(&leaves(20, "job"), at(9))), ["* job left"]);
    // The name no longer counts as a visitor's.
    assert_eq!(rows(view.hear(&joins(21, "bob"), at(9))), ["* bob joined"]);
}

#[test]
fn a_new_day_is_announced_once() {
    let mut view = ana();
    let tomorrow = NOON_MS + 24 * 3_600_000;
    let mut notice = said(2, "bob", "good morning", false);
    if let Notice::Message { time_ms, .. } = &mut notice {
        *time_ms = tomorrow;
    }
    let pieces = view.hear(&notice, tomorrow);
    assert_eq!(rows(&pieces), ["* Monday, 23 November 2026", "12:00 bob: good morning"]);
    assert_eq!(rows(&view.hear(&notice, tomorrow)), ["12:00 bob: good morning"]);
}

#[test]
fn an_invitation_stays_one_line_however_narrow_the_terminal_is() {
    let mut view = ana();
    view.resize(40);
    let text = format!("klatch:{}", "a2".repeat(49));
    let notice = Notice::Invitation { text: text.clone(), until_ms: NOON_MS, once: false };
    let pieces = view.hear(&notice, NOON_MS);
    let lines: Vec<&str> = rows(&pieces).into_iter().flat_map(str::lines).collect();
    assert_eq!(*lines.last().unwrap(), format!("klatch {text}"));
    let above = &lines[..lines.len() - 1];
    assert!(above.iter().all(|row| width(row) <= 40), "{above:?}");
}

#[test]
fn transfers_have_a_row_each_while_they_move() {
    let mut view = ana();
    view.resize(60);
    let file = |id: u8| FileInfo {
        id: FileId([id; 32]),
        name: Untrusted::new("hoß\u{1b}[2J.pdf"),
        size: 4_000_000,
    };
    for id in 0..6 {
        view.hear(&Notice::DownloadStarted { file: file(id) }, NOON_MS);
    }
    assert_eq!(view.block().len(), 5);
    assert_eq!(view.block()[4], "  and 2 more: transfers shows all");
    view.hear(&Notice::DownloadQueued { file: file(9) }, NOON_MS);
    assert_eq!(view.block()[4], "  and 3 more: transfers shows all", "what moves comes first");
    for id in 1..6 {
        view.hear(
            &Notice::DownloadFailed {
                file: file(id),
                failure: crate::router::notice::Failure::new(
                    crate::router::notice::Code::Cancelled,
                    "no",
                ),
            },
            NOON_MS,
        );
    }
    let progress = Notice::DownloadProgress {
        file: file(0),
        bytes_done: 1_000_000,
        bytes_per_second: 1_000_000,
        seconds_left: Some(9),
        hosts: 2,
    };
    assert!(view.hear(&progress, NOON_MS).is_empty());
    let block = view.block();
    assert_eq!(block[1], "⇣ hoß\\u{1b}[2J.pdf: queued");
    assert_eq!(block[..1], ["⇣ hoß\\u{1b}[2J.pdf 25 % of 4.0 MB, 1.0 MB/s, 9 s left"]);
    view.resize(40);
    assert_eq!(view.block()[..1], ["⇣ hoß\\u{1….pdf 25 %, 1.0 MB/s, 9 s left"]);
    view.resize(12);
    assert!(width(&view.block()[0]) < 12, "{:?}", view.block());
    view.resize(200);
    assert!(view.block()[0].ends_with("1.0 MB/s, 9 s left from 2 members"), "{:?}", view.block());
}

/// A message of nothing but line feeds took 4,002 rows.
#[test]
fn t1_a_long_message_is_folded_and_says_where_the_rest_is() {
    let mut view = ana();
    let pieces = view.hear(&said(2, "eve", &("\n".repeat(4_000) + "x"), false), NOON_MS);
    let told = rows(&pieces).join("\n");
    assert_eq!(told.lines().count(), 21);
    assert!(told.ends_with("\n    … 3981 more lines: browser shows them"), "{told:?}");
    // A few pasted lines are shown at once.
    let few = (1..=24).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
    let pieces = view.hear(&said(3, "bob", &few, false), NOON_MS);
    assert_eq!(rows(&pieces).join("\n").lines().count(), 24);
    // Programs read a pipe, and get all of it.
    let long = said(3, "bob", &"1\n".repeat(100), false);
    let piped = lines::to_lines(&long, &Style::plain()).unwrap_or_default();
    assert_eq!(piped.matches('\n').count(), 100);
}
