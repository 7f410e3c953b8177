//! Every kind of notice, in both forms, with honest and with hostile texts.

use time::UtcOffset;

use super::schema_tests::Schema;
use super::*;
use crate::router::ids::{EntryId, FileId, InvitationId, MemberId, RoomId};
use crate::router::notice::form::rfc3339;
use crate::router::notice::{
    Code, Failure, FileInfo, FileLine, Finding, FolderInfo, FolderRow, InvitationLine, MemberInfo,
    MemberLine, MovingFile, Standing, TransferLine, TransferState, Who, WithdrawalReason,
};
use crate::router::text::{Untrusted, is_control, is_format};

/// 2026-11-22T14:05:33.123Z.
const AFTERNOON_MS: i64 = 1_795_356_333_123;

/// The contract's words, copied from it.
const CODES: &str = "usage unknown_command bad_address name_not_found unreachable timeout \
    not_klatch version_mismatch self_connect in_a_room room_locked room_not_locked room_full \
    wrong_password password_required password_too_short too_many_attempts file_not_found \
    not_a_file permission_denied no_such_offer ambiguous_name no_host disk_full io_error \
    message_too_long invalid_utf8 wait_timeout cancelled port_in_use data_dir_in_use \
    data_dir_not_writable nobody_present identity_in_use already_have chain_forked bad_chunk \
    host_changed_file not_above members_only removed no_invitation invitation_used \
    invitation_expired did_you_mean output_failed folder_changed \
    too_many_files bad_manifest nothing_matches room_unknown";

/// The contract's events that are notices, with their fields, copied from it.
const EVENTS: &[(&str, &str)] = &[
    ("started", "version schema id name temporary locked"),
    ("listening", "addresses"),
    ("bridge", "url"),
    ("joined", "room members locked founder"),
    ("left", "room"),
    ("member_joined", "member"),
    ("member_left", "member"),
    ("name_changed", "member before"),
    ("message", "id from text time own history order"),
    ("held", "id held_by present refused_by"),
    ("hash_progress", "path bytes_done size"),
    ("file_offered", "id file from time own history replaces folder order"),
    ("file_withdrawn", "id file from time own history order"),
    ("download_started", "file"),
    ("download_progress", "file bytes_done bytes_per_second seconds_left hosts"),
    ("download_finished", "file path bytes_fetched seconds hosts"),
    ("download_failed", "file code text"),
    ("room_locked", "by password out me_out"),
    ("room_unlocked", "by"),
    ("member_removed", "member by me_out also"),
    ("steward_changed", "member off"),
    ("invitation", "text line expires once"),
    ("invitations", "list"),
    ("password_required", "address"),
    ("members", "list"),
    ("verify", "member words asked"),
    ("member_verified", "member"),
    ("doctor", "list"),
    ("files", "list"),
    ("transfers", "list"),
    ("command_done", "line command"),
    ("notice", "text"),
    ("error", "line command code text"),
    ("stopped", "exit_code"),
    ("hash_failed", "path code text"),
    ("download_queued", "file"),
    ("notice", "text code file path"),
    ("message_withdrawn", "id reason"),
    ("folder", "file path list more"),
];

fn who(name: &str) -> Who {
    Who { id: MemberId([0x3f; 32]), name: Untrusted::new(name), verified: false }
}

fn member(name: &str, address: &str) -> MemberInfo {
    MemberInfo { who: who(name), address: address.into() }
}

fn line(name: &str, address: &str) -> MemberLine {
    MemberLine {
        member: member(name, address),
        linked: true,
        own: false,
        since_ms: Some(AFTERNOON_MS),
        round_trip_ms: Some(3),
        fingerprint: "3f3f 3f3f".into(),
        standing: Standing::Member,
        through: Some(who(name)),
        ignored: false,
    }
}

fn invitation(maker: &str) -> InvitationLine {
    InvitationLine {
        id: InvitationId([4; 32]),
        maker: who(maker),
        own: false,
        until_ms: AFTERNOON_MS,
        left: Some(1),
    }
}

fn file(name: &str) -> FileInfo {
    FileInfo { id: FileId([0xab; 32]), name: Untrusted::new(name), size: 12_345_678 }
}

fn message(name: &str, text: &str) -> Notice {
    Notice::Message {
        id: EntryId([1; 32]),
        from: who(name),
        text: Untrusted::new(text),
        time_ms: AFTERNOON_MS,
        own: false,
        history: false,
        order: "000a".into(),
        known: true,
    }
}

fn offer(from: &str, name: &str) -> Notice {
    let (file, from) = (file(name), who(from));
    Notice::FileOffered {
        id: EntryId([1; 32]),
        file,
        folder: None,
        from,
        time_ms: AFTERNOON_MS,
        own: false,
        history: false,
        replaces: None,
        order: String::new(),
        alike: false,
    }
}

/// One notice of every kind, in the order of [`EVENTS`], with `text` in every text field.
fn all(text: &str) -> Vec<Notice> {
    let failure = Failure::new(Code::NoHost, text);
    let (room, id, time_ms) = (RoomId([2; 32]), EntryId([1; 32]), AFTERNOON_MS);
    let history = false;
    let row = TransferLine {
        file: MovingFile { id: Some(file(text).id), name: Untrusted::new(text), size: 12_345_678 },
        state: TransferState::Serving,
        bytes_done: 5,
        bytes_per_second: 5,
        seconds_left: Some(9),
        hosts: 0,
        to: Some(who(text)),
    };
    let hashing = MovingFile { id: None, ..row.file.clone() };
    let hashing = TransferLine { file: hashing, state: TransferState::Hashing, ..row.clone() };
    let (held, fetching, from) = (false, false, who(text));
    let (hosts, own, kept, folder) = (2, false, 0, Some(FolderInfo { files: 3, bytes: 9 }));
    let also = vec![who(text)];
    let inside = FolderRow { name: text.into(), folder: true, files: 2, bytes: 9 };
    let (addresses, tunnels) = (vec![text.into(), "[::1]:51692".into()], Vec::new());
    let files = FileLine { id, file: file(text), folder, from, hosts, own, held, fetching, kept };
    vec![
        Notice::Started { who: who(text), temporary: true, locked: false },
        Notice::Listening { addresses, tunnels },
        Notice::Bridge { url: text.into() },
        Notice::Joined {
            room,
            members: vec![member(text, text)],
            locked: true,
            founder: who(text),
        },
        Notice::Left { room },
        Notice::MemberJoined { member: member(text, text) },
        Notice::MemberLeft { member: member(text, text) },
        Notice::NameChanged { member: member(text, text), before: Untrusted::new(text) },
        message(text, text),
        Notice::Held { id, held_by: 4, present: 5, refused_by: vec![who(text)] },
        Notice::HashProgress { path: text.into(), bytes_done: 5, size: 10 },
        offer(text, text),
        Notice::FileWithdrawn {
            id,
            file: file(text),
            from: who(text),
            time_ms,
            own,
            history,
            order: String::new(),
        },
        Notice::DownloadStarted { file: file(text) },
        Notice::DownloadProgress {
            file: file(text),
            bytes_done: 6_000_000,
            bytes_per_second: 11_200_000,
            seconds_left: Some(9),
            hosts: 3,
        },
        Notice::DownloadFinished {
            file: file(text),
            path: text.into(),
            bytes_fetched: 12_345_678,
            took_ms: 1_250,
            hosts: 1,
        },
        Notice::DownloadFailed { file: file(text), failure: failure.clone() },
        Notice::RoomLocked {
            by: who(text),
            own,
            password: true,
            out: vec![who(text)],
            me_out: false,
        },
        Notice::RoomUnlocked { by: who(text), own },
        Notice::MemberRemoved { member: who(text), by: who(text), own, me_out: false, also },
        Notice::StewardChanged { member: who(text), own, off: false },
        Notice::Invitation { text: "klatch:abc2".into(), until_ms: time_ms, once: false },
        Notice::Invitations { list: vec![invitation(text)] },
        Notice::PasswordRequired { address: text.into(), line: None },
        Notice::Members { list: vec![line(text, text), line("bob", "")] },
        Notice::Words { member: member(text, text), words: "one two".into(), asked: false },
        Notice::MemberVerified { member: member(text, text) },
        Notice::Doctor { list: vec![Finding::good(text), Finding::bad(text, "do this")] },
        Notice::Files { list: vec![files] },
        Notice::Transfers { list: vec![row, hashing] },
        Notice::CommandDone { line: 7, command: "connect" },
        Notice::Remark { text: text.into() },
        Notice::Error { line: None, command: None, failure: failure.clone() },
        Notice::Stopped { exit_code: 1 },
        Notice::HashFailed { path: text.into(), failure },
        Notice::DownloadQueued { file: file(text) },
        Notice::AlreadyHave { file: file(text), path: text.into() },
        Notice::MessageWithdrawn { id, reason: WithdrawalReason::Fork },
        Notice::Folder { file: file(text), path: text.into(), list: vec![inside], more: 1 },
    ]
}

fn plain(notice: &Notice) -> String {
    to_lines(notice, &Style::plain()).unwrap_or_default()
}

#[test]
fn the_codes_are_those_of_the_contract() {
    let words: Vec<&str> = Code::ALL.iter().map(|code| code.word()).collect();
    assert_eq!(words, CODES.split_whitespace().collect::<Vec<_>>());
    assert!(Code::ALL.iter().all(|&code| Code::from_word(code.word()) == Some(code)));
}

#[test]
fn every_event_has_the_fields_of_the_contract_in_their_order() {
    let notices = all("ana");
    assert_eq!(notices.len(), EVENTS.len());
    for (notice, (event, fields)) in notices.iter().zip(EVENTS) {
        let json = to_json(notice);
        assert!(json.starts_with(&format!("{{\"event\":\"{event}\"")), "{json}");
        let expected: Vec<&str> = ["event"].into_iter().chain(fields.split(' ')).collect();
        assert_eq!(keys(&json), expected);
    }
}

/// The keys of the outer object, in order; its texts contain no escapes.
fn keys(json: &str) -> Vec<&str> {
    let mut depth = 0;
    let mut keys = Vec::new();
    let parts: Vec<&str> = json.split('"').collect();
    for (place, part) in parts.iter().enumerate() {
        let is_text = place % 2 == 1;
        if is_text && depth == 1 && parts[place + 1].starts_with(':') {
            keys.push(*part);
        }
        if !is_text {
            depth += part.matches(['{', '[']).count();
            depth -= part.matches(['}', ']']).count();
        }
    }
    keys
}

#[test]
fn json_shows_ids_times_and_nested_objects_as_promised() {
    let id = "3f".repeat(32);
    let entry = "01".repeat(32);
    assert_eq!(
        to_json(&message("ana", "hello\nthere")),
        format!(
            "{{\"event\":\"message\",\"id\":\"{entry}\",\"from\":{{\"id\":\"{id}\",\"name\":\
             \"ana\"}},\"text\":\"hello\\nthere\",\"time\":\"2026-11-22T14:05:33.123Z\",\
             \"own\":false,\"history\":false,\"order\":\"000a\"}}"
        )
    );
    assert_eq!(
        to_json(&Notice::MemberJoined { member: member("ana", "10.0.0.1:5") }),
        format!(
            "{{\"event\":\"member_joined\",\"member\":{{\"id\":\"{id}\",\"name\":\"ana\",\
             \"address\":\"10.0.0.1:5\"}}}}"
        )
    );
    let failure = Failure::new(Code::Usage, "no");
    assert_eq!(
        to_json(&Notice::Error { line: Some(3), command: Some("connect"), failure }),
        "{\"event\":\"error\",\"line\":3,\"command\":\"connect\",\"code\":\"usage\",\
         \"text\":\"no\"}"
    );
    let started = to_json(&Notice::Started { who: who("ana"), temporary: false, locked: false });
    let start = format!(
        "{{\"event\":\"started\",\"version\":\"{}\",\"schema\":4,\"id\":\"{id}\",\"name\":\"ana\",\
         \"temporary\":false,\"locked\":false}}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(started, start);
    let finished = "\"seconds\":1.25,\"hosts\":1}";
    assert!(all("ana").iter().any(|notice| to_json(notice).contains(finished)));
}

#[test]
fn every_event_keeps_to_the_published_schema() {
    let schema = Schema::strict(super::schema().to_value());
    let mut seen = Vec::new();
    for text in ["ana", "\u{1b}[2J\n\u{202e}"] {
        for notice in all(text) {
            let mut event: serde_json::Value = serde_json::from_str(&to_json(&notice)).unwrap();
            seen.push(event["event"].as_str().unwrap().to_owned());
            // Real notices have absolute paths.
            if event.get("path").is_some() {
                event["path"] = "/path".into();
            }
            assert_eq!(schema.fault(&event), None, "{event}");
        }
    }
    for event in schema.events() {
        assert!(seen.contains(&event), "{event} is promised and never told");
    }
    // The check notices what is wrong.
    for wrong in [
        serde_json::json!({"event": "left"}),
        serde_json::json!({"event": "left", "room": "AB"}),
        serde_json::json!({"event": "left", "room": "0".repeat(64), "more": 1}),
        serde_json::json!({"event": "stopped", "exit_code": -1}),
        serde_json::json!({"event": "new"}),
    ] {
        assert!(schema.fault(&wrong).is_some(), "{wrong}");
    }
    let codes = super::schema().to_value()["$defs"]["Code"]["enum"].clone();
    let words: Vec<&str> = Code::ALL.iter().map(|code| code.word()).collect();
    assert_eq!(codes, serde_json::json!(words));
}

#[test]
fn times_of_liars_are_written_all_the_same() {
    assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
    assert_eq!(rfc3339(i64::MIN), "0000-01-01T00:00:00.000Z");
    assert_eq!(rfc3339(i64::MAX), "9999-12-31T23:59:59.999Z");
    for (time_ms, hours) in [(i64::MIN, -12), (i64::MAX, 14)] {
        let style = Style::terminal(UtcOffset::from_hms(hours, 0, 0).unwrap());
        let mut notice = message("ana", "hello");
        if let Notice::Message { time_ms: time, .. } = &mut notice {
            *time = time_ms;
        }
        assert!(to_lines(&notice, &style).unwrap().contains("hello"));
    }
}

#[test]
fn people_read_sentences() {
    assert_eq!(plain(&message("alice", "hello\nthere")), "alice: hello\n    there");
    assert_eq!(
        plain(&offer("alice", "report.pdf")),
        "* alice offers report.pdf (12.3 MB): download report.pdf"
    );
    let started = Notice::Started { who: who("ana"), temporary: false, locked: false };
    assert_eq!(
        plain(&started),
        "* you are ana, alone in a new open room: anyone who can reach this computer can join"
    );
    let addresses = ["192.168.1.5:51692", "10.8.0.6:51692", "127.0.0.1:51692", "[::1]:51692"];
    let addresses = addresses.map(String::from);
    let tunnels = [("10.8.0.6:51692".to_owned(), "wg0".to_owned())];
    assert_eq!(
        plain(&Notice::Listening { addresses: addresses.into(), tunnels: tunnels.into() }),
        "* on your network: connect 192.168.1.5 51692\n\
         * through wg0: connect 10.8.0.6 51692\n\
         * on this computer: connect 127.0.0.1 51692\n\
         * type a message, or help"
    );
    let mut again = offer("alice", "report.pdf");
    if let Notice::FileOffered { replaces, alike, .. } = &mut again {
        (*replaces, *alike) = (Some(EntryId([2; 32])), true);
    }
    assert_eq!(
        plain(&again),
        "* alice offers a new version of report.pdf (12.3 MB): download abababab",
        "the name alone does not tell which"
    );
    let notices = all("ana");
    let lines: Vec<String> = notices.iter().map(plain).collect();
    assert_eq!(lines[35], "* ana (12.3 MB) is queued behind other downloads");
    assert_eq!(lines[36], "* you already have ana, as ana: not downloaded again");
    let transfers = "* 2 files moving:\n*   ana  serving  5 B of 12.3 MB  5 B/s  9 s left  to ana\n\
         *   ana  reading  5 B of 12.3 MB  5 B/s  9 s left  to be offered";
    assert_eq!(lines[29], transfers);
    assert_eq!(lines[3], "* you are in ana's room with ana (closed)");
    assert_eq!(lines[5], "* ana joined");
    let refused = "* ana did not take what you said: your share of the log is used up there";
    assert_eq!(lines[9], refused);
    assert_eq!(lines[14], "* ana: 48 %, 11.2 MB/s from 3 members");
    assert_eq!(lines[15], "* saved as ana (12.3 MB in 1.2 s, 9.9 MB/s from 1 member)");
    assert_eq!(
        lines[24],
        "* 2 members here:\n\
         *   ana  ana  since 14:05  3 ms  through ana  3f3f 3f3f\n\
         *   bob       since 14:05  3 ms  through bob  3f3f 3f3f"
    );
    assert!(lines[25].contains("\n*   one two\n"), "{}", lines[25]);
    assert_eq!(lines[27], "* ok  ana\n* !!  ana\n*     do this");
    assert_eq!(
        lines[28],
        "* 1 file offered:\n*   ana/  3 files, 9 B  abababab  2 have it  from ana"
    );
    assert_eq!(lines[32], "error: ana");
    let mut resumed = notices[15].clone();
    if let Notice::DownloadFinished { bytes_fetched, .. } = &mut resumed {
        *bytes_fetched = 2_000_000;
    }
    let shown = "* saved as ana (12.3 MB, 2.0 MB of it now in 1.2 s, 1.6 MB/s from 1 member)";
    assert_eq!(plain(&resumed), shown);
    // Fetching chunks twice does not make the file larger.
    if let Notice::DownloadFinished { bytes_fetched, .. } = &mut resumed {
        *bytes_fetched = 12_900_000;
    }
    let shown = plain(&resumed);
    assert!(shown.starts_with("* saved as ana (12.3 MB, 12.9 MB fetched in 1.2 s, "), "{shown}");
    for silent in [30, 33, 34, 37] {
        assert_eq!(lines[silent], "", "{:?}", notices[silent]);
    }
}

#[test]
fn a_verified_member_is_marked_wherever_it_is_named_and_nobody_marks_themselves() {
    let verified = Who { verified: true, ..who("ana") };
    let member = MemberInfo { who: verified.clone(), ..member("ana", "10.0.0.1:5") };
    let from = |notice: &mut Notice| match notice {
        Notice::Message { from, .. }
        | Notice::FileOffered { from, .. }
        | Notice::FileWithdrawn { from, .. }
        | Notice::RoomLocked { by: from, .. }
        | Notice::MemberRemoved { member: from, .. }
        | Notice::StewardChanged { member: from, .. } => *from = verified.clone(),
        Notice::MemberJoined { member: who } | Notice::MemberLeft { member: who } => {
            *who = member.clone();
        }
        Notice::Joined { members, .. } => *members = vec![member.clone()],
        Notice::Members { list } => list[0].member = member.clone(),
        _ => {}
    };
    let named = |notice: &Notice| {
        matches!(
            notice,
            Notice::Message { .. }
                | Notice::FileOffered { .. }
                | Notice::FileWithdrawn { .. }
                | Notice::RoomLocked { .. }
                | Notice::MemberRemoved { .. }
                | Notice::StewardChanged { .. }
                | Notice::MemberJoined { .. }
                | Notice::MemberLeft { .. }
                | Notice::Joined { .. }
                | Notice::Members { .. }
        )
    };
    let mut notices: Vec<_> = all("ana").into_iter().filter(named).collect();
    assert_eq!(notices.len(), 10);
    for notice in &mut notices {
        assert!(!to_json(notice).contains("\"verified\":true"), "{notice:?}");
        from(notice);
        let line = plain(notice);
        assert!(line.contains("ana✓"), "{line}");
        assert!(to_json(notice).contains("\"verified\":true"), "{notice:?}");
    }
    for mark in ['✓', '✔', '✅', '☑'] {
        let line = plain(&message(&format!("eve{mark}"), "hello"));
        assert!(line.starts_with("eve\\u{"), "{line}");
    }
}

#[test]
fn a_terminal_shows_times_and_who_speaks_and_a_pipe_no_echo() {
    let style = Style::terminal(UtcOffset::from_hms(1, 0, 0).unwrap());
    let mut notice = message("alice", "hello");
    let shown = to_lines(&notice, &style).unwrap();
    assert_eq!(shown, "\x1b[2m15:05\x1b[0m \x1b[1;38;5;98malice\x1b[0m: hello");
    if let Notice::Message { own, .. } = &mut notice {
        *own = true;
    }
    assert!(to_lines(&notice, &style).is_some());
    assert_eq!(to_lines(&notice, &Style::plain()), None);
}

#[test]
fn an_entry_of_a_later_klatch_has_a_placeholder() {
    let mut notice = message("alice", "");
    if let Notice::Message { known, .. } = &mut notice {
        *known = false;
    }
    assert_eq!(plain(&notice), "* alice said something that only a newer klatch can show");
    assert!(to_json(&notice).ends_with("\"known\":false}"));
}

#[test]
fn errors_go_to_stderr_in_both_forms() {
    let failure = Failure::new(Code::Timeout, "no answer");
    let notice = Notice::Error { line: Some(1), command: Some("connect"), failure };
    let people = Renderer::new(Format::People(Style::plain())).render(&notice);
    assert_eq!(people, NoticeOutput { out: None, err: Some("error: no answer".into()) });
    let json = Renderer::new(Format::Json).render(&notice);
    assert!(json.out.unwrap().starts_with("{\"event\":\"error\""));
    assert_eq!(json.err.unwrap(), "error: no answer");
}

#[test]
fn progress_is_told_at_each_tenth_to_people_and_always_to_programs() {
    let mut people = Renderer::new(Format::People(Style::plain()));
    let mut json = Renderer::new(Format::Json);
    let (mut lines, mut events) = (0, 0);
    for step in 0..=200 {
        let notice = Notice::DownloadProgress {
            file: FileInfo { size: 200, ..file("a") },
            bytes_done: step,
            bytes_per_second: 1,
            seconds_left: Some(9),
            hosts: 1,
        };
        lines += usize::from(people.render(&notice).out.is_some());
        events += usize::from(json.render(&notice).out.is_some());
    }
    assert_eq!((lines, events), (9, 201));
    assert!(people.progress.tenths_shown.is_empty());
}

/// Threat T1: escape sequences of every family, bidirectional and invisible characters, and
/// attempts to fake a line of klatch's.
#[test]
fn no_foreign_text_reaches_the_screen_as_anything_but_text() {
    let hostile = [
        "\u{1b}[2J\u{1b}[31mred",
        "\u{9b}2J",
        "\u{1b}]8;;http://evil\u{1b}\\link\u{1b}]8;;\u{7}",
        "\u{1b}]52;c;ZXZpbA==\u{7}",
        "\u{1b}P$q\u{1b}\\",
        "\u{90}q\u{9c}",
        "over\rwrite\u{8}\u{7f}",
        "a\u{202e}fdp.exe\u{2066}\u{200b}\u{feff}\u{e0041}",
        "a\u{85}b\u{2028}c\u{2029}d\u{0}e\tf",
        "a\n* eve joined",
        "* eve joined",
        " * eve joined",
        "error: all is lost",
        "error",
        "",
    ];
    let terminal = Style::terminal(UtcOffset::UTC);
    for text in hostile {
        for (notice, honest) in all(text).iter().zip(all("ana")) {
            let json = to_json(notice);
            assert!(!json.chars().any(|c| is_control(c) || is_format(c)), "{json:?}");
            serde_json::from_str::<serde_json::Value>(&json).unwrap();
            let lines = plain(notice);
            let bad = |c: char| c != '\n' && (is_control(c) || is_format(c));
            assert!(!lines.chars().any(bad), "{lines:?}");
            let ours = |text: &str| text.lines().filter(|line| line.starts_with("* ")).count();
            assert_eq!(ours(&lines), ours(&plain(&honest)), "{lines:?}");
            let is_error = lines.starts_with("error:");
            assert_eq!(is_error, matches!(notice, Notice::Error { .. }), "{lines:?}");

            let mut coloured = to_lines(notice, &terminal).unwrap_or_default();
            for ours in ["0", "1", "2", "31", "32", "33", "36", "1;33", "1;38;5;98"] {
                coloured = coloured.replace(&format!("\x1b[{ours}m"), "");
            }
            assert!(!coloured.chars().any(bad), "{coloured:?}");
        }
    }
    let json = to_json(&Notice::Remark { text: hostile[7].into() });
    let value = serde_json::from_str::<serde_json::Value>(&json).unwrap();
    assert_eq!(value["text"], hostile[7], "escaped, and the same text all the same");
}

#[test]
fn a_name_that_cannot_be_typed_is_offered_by_its_id() {
    let typed = [("a\u{202e}b", "abababab"), ("\"a\"", "abababab"), ("a b.txt", "a b.txt")];
    for (name, typed) in typed {
        assert!(plain(&offer("eve", name)).ends_with(&format!(": download {typed}")), "{name}");
    }
}
