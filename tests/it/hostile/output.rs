//! What eve can make a victim print.

use std::cell::Cell;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use klatch::router::command::Command;
use klatch::router::ids::Digest32;
use klatch::router::message::{Hello, Message, Why};
use klatch::router::notice::Code;
use klatch::router::signed::{Kind, Offer, Presence, SignedPresence};
use klatch::router::text::{is_control, is_format};
use serde_json::json;

use super::eve::{Eve, NOWHERE, Session};
use super::host::Host;
use super::program::Program;

/// What terminals act on: CSI, OSC 8 and 52, DCS, their C1 forms, carriage return and the like,
/// line breaks that forge a line, and characters that hide or reorder.
pub(crate) const TRICKS: [&str; 14] = [
    "\u{1b}[2J\u{1b}[31mred",
    "\u{1b}]8;;http://evil.invalid\u{7}link\u{1b}]8;;\u{7}",
    "\u{1b}]52;c;ZXZpbA==\u{7}",
    "\u{1b}]0;title\u{1b}\\",
    "\u{1b}P+q544e\u{1b}\\",
    "\u{9b}2J\u{9d}52;c;ZXZpbA==\u{9c}\u{90}q\u{9c}",
    "over\rwritten",
    "back\u{8}\u{8}\u{8}space",
    "bell\u{7} tab\t vt\u{b} ff\u{c} nul\0 del\u{7f} so\u{e}",
    "one\n* eve left\nerror: no\nalice: hello",
    "\u{85}next\u{2028}line\u{2029}paragraph",
    "\u{202e}fdp.exe\u{2066}",
    "zero\u{200b}width\u{feff}\u{ad}",
    "\u{e0041}\u{e007f}tags",
];

/// Says every trick in every field that a member controls.
pub(crate) fn plays_every_trick(victim: SocketAddr) {
    let mut session = Eve::new().join(victim);
    let mut writer = session.chain();
    for trick in TRICKS {
        for kind in [
            Kind::Text(trick.into()),
            Kind::Text(format!("before {trick} after").into()),
            Kind::Name(trick.into()),
            Kind::Offer(Offer {
                name: trick.into(),
                size: 0,
                root: Digest32::default(),
                folder: None,
                replaces: None,
            }),
            Kind::Offer(Offer {
                name: format!("a/{trick}.txt"),
                size: 7,
                root: Digest32([1; 32]),
                folder: None,
                replaces: None,
            }),
        ] {
            let entry = writer.write(kind);
            session.say(&Message::Entry(entry.into()));
        }
    }
    session.settle();
    for trick in TRICKS {
        let eve = Eve { name: trick.into(), ..Eve::new() };
        let mut named = eve_named(&eve, victim);
        named.say_json(&json!({"kind": "refuse", "why": trick, "wait_ms": u64::MAX, "port": 1}));
        named.wire.ended();
        let mut odd = Eve::new().join(victim);
        odd.say_json(&json!({"kind": trick, trick: trick}));
        odd.say_json(&json!({"kind": "ping", "number": trick}));
        assert_eq!(odd.wire.ended(), Some(Why::Protocol));
    }
}

/// Joins, then takes a name; a name that is not allowed ends the link.
fn eve_named(eve: &Eve, victim: SocketAddr) -> Session {
    let plain = Eve { name: "mallory".into(), identity: eve.identity.clone(), ..*eve };
    let mut session = plain.join(victim);
    let body = Presence {
        name: eve.name.clone(),
        ..plain.presence(&session.room, 2, vec![]).body.clone()
    };
    let record: Arc<SignedPresence> = SignedPresence::sign(&session.room, &eve.identity, body);
    session.say(&Message::Presence(record));
    session
}

/// Hosts that the victim dials: one refuses with a trick, one is no klatch.
fn tricks_of_hosts(program: &mut Program) {
    let ear = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = ear.local_addr().unwrap().port();
    for trick in TRICKS {
        program.types(&format!("connect 127.0.0.1 {port}"));
        let mut wire = Eve::answer(&ear);
        let hello = Hello { settled: true, moves: false, ..Eve::new().hello() };
        wire.greet(hello, &NOWHERE);
        let refusal = json!({"kind": "refuse", "why": trick, "wait_ms": 1, "port": 1});
        wire.raw(&serde_json::to_vec(&refusal).unwrap());
        program.types(&format!("connect 127.0.0.1 {port}"));
        let (mut socket, _) = ear.accept().unwrap();
        socket.write_all(trick.as_bytes()).unwrap();
    }
}

/// One more stranger, with a harmless text.
pub(crate) fn says_goodbye(victim: SocketAddr, text: &str) {
    let mut last = Eve::new().join(victim);
    let goodbye = last.chain().text(text);
    last.say(&goodbye);
    last.settle();
}

fn assert_harmless(bytes: &[u8], allowed: &[char]) {
    let text = std::str::from_utf8(bytes).unwrap();
    for line in text.split('\n') {
        let foreign =
            line.chars().find(|&c| (is_control(c) || is_format(c)) && !allowed.contains(&c));
        assert_eq!(foreign, None, "{}", line.escape_debug());
    }
}

fn victim(json: bool) -> (Vec<u8>, Vec<u8>) {
    let mut program = Program::start("alice", json);
    plays_every_trick(program.addr);
    for command in ["files", "members", "transfers", "name ana", "cancel report.txt"] {
        program.types(command);
    }
    tricks_of_hosts(&mut program);
    program.types("download 0000000000000000");
    says_goodbye(program.addr, "that was all");
    program.reads_text("that was all");
    let (_, out, err) = program.quit();
    (out, err)
}

#[test]
fn t1_nothing_foreign_reaches_the_screen_of_a_person() {
    let (out, err) = victim(false);
    assert_harmless(&out, &[]);
    assert_harmless(&err, &[]);
    let out = String::from_utf8(out).unwrap();
    // The tricks were received, and shown escaped.
    assert!(out.contains("eve offers \\u{1b}]52;c;ZXZpbA==\\u{7}"), "{out}");
    // Lines that eve causes begin with her name or four spaces, whatever she says.
    let lines: Vec<_> = out.lines().collect();
    assert!(!lines.contains(&"* eve left") && !lines.contains(&"alice: hello"));
    assert!(lines.contains(&"    * eve left"), "{out}");
}

#[test]
fn t1_nothing_foreign_reaches_the_screen_behind_a_script() {
    let (out, err) = victim(true);
    assert_harmless(&out, &[]);
    assert_harmless(&err, &[]);
    let events: Vec<serde_json::Value> = String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // Escaped in JSON, and yet the exact text.
    let offered = |event: &serde_json::Value| {
        event["event"] == "file_offered" && event["file"]["name"] == TRICKS[2]
    };
    assert!(events.iter().any(offered));
    let forged = |event: &serde_json::Value| event["text"] == "hello";
    assert!(!events.iter().any(forged));
}

/// Comparing words does not wait for ever; and a peer cannot fill the screen with requests.
#[test]
fn h10_words_are_not_waited_for_in_vain_and_come_at_a_rate() {
    let mut alice = Host::new("alice");
    let eve = Eve::new();
    let mut session = eve.join(alice.addr());
    alice.meets(1);
    let nick = eve.name.clone();
    let given = alice.give(Command::Verify { nick, same: false });
    session.hear_until("a commitment", |message| matches!(message, Message::VerifyCommit(_)));
    assert_eq!(alice.outcome(given).unwrap_err().code, Code::Timeout);
    for byte in 0..100 {
        session.say(&Message::VerifyCommit(Digest32([byte; 32])));
    }
    session.say(&Message::Ping(7));
    let answers = Cell::new(0);
    session.hear_until("pong", |message| {
        answers.set(answers.get() + usize::from(matches!(message, Message::VerifyNonce(_))));
        *message == Message::Pong(7)
    });
    assert!((1..50).contains(&answers.get()), "{answers:?}");
}
