//! The contract of `--json`. Whenever a test hears an event, it checks it against the table
//! ([`crate::common::shape`]); here one session causes events of every kind.

use std::collections::BTreeSet;

use serde_json::json;

use crate::common::{Folder, Options, Peer, join, shape};

#[test]
fn a_session_shows_every_event() {
    let folder = Folder::new();
    let large = folder.path("large.img");
    std::fs::File::create(&large).unwrap().set_len(768 << 20).unwrap();
    let mut alice = Peer::start("alice");
    let mut bob = Peer::start("bob");
    alice.done("is anybody there?");
    join(&mut bob, &mut alice);
    bob.done("name robert");
    alice.expect(json!({"event": "name_changed", "before": "bob"}));
    alice.done(&format!("send {}", large.display()));
    bob.done("wait file large.img");
    let photos = folder.path("photos");
    std::fs::create_dir(&photos).unwrap();
    std::fs::write(photos.join("a.jpg"), b"a picture").unwrap();
    alice.done(&format!("send {}", photos.display()));
    bob.done("wait file photos");
    bob.done("files photos");
    bob.done("download large.img");
    bob.done("verify alice");
    bob.expect(json!({"event": "verify"}));
    bob.done("verify alice same");
    for command in ["members", "doctor", "files", "transfers", "help", "help connect"] {
        bob.say(command);
    }
    bob.refused("download nothing", "no_such_offer");
    alice.done("cancel large.img");
    bob.expect(json!({"event": "file_withdrawn"}));
    let number = alice.say("password");
    alice.say("a password to lock with");
    alice.ended_well(number);
    bob.expect(json!({"event": "room_locked"}));
    let mut carol = Peer::start("carol");
    let number = carol.say(&format!("connect {}", bob.address));
    carol.say("a password to lock with");
    carol.ended_well(number);
    bob.expect(json!({"event": "member_joined", "member": {"name": "carol"}}));
    alice.expect(json!({"event": "member_joined", "member": {"name": "carol"}}));
    for command in ["/invite", "/invite once", "/steward robert"] {
        alice.done(command);
    }
    bob.expect(json!({"event": "steward_changed"}));
    alice.done("/remove carol");
    bob.expect(json!({"event": "member_removed"}));
    assert_eq!(carol.end(), 0);
    alice.done("unlock");
    bob.expect(json!({"event": "room_unlocked"}));
    bob.expect(json!({"event": "member_left"}));
    // A download fails because its folder is gone.
    let gone = folder.path("gone").display().to_string();
    let mut dave = Options::new("dave").args(["--downloads", &gone]).start();
    std::fs::remove_dir(&gone).unwrap();
    join(&mut dave, &mut alice);
    alice.done(&format!("send {}", folder.file("small.txt", b"small")));
    dave.done("wait file small.txt");
    dave.say("download small.txt");
    dave.expect(json!({"event": "download_failed"}));
    assert_eq!(dave.end(), 1);
    bob.done("leave");
    alice.quit();
    assert_eq!(bob.end(), 1);

    let mut seen: BTreeSet<String> = BTreeSet::new();
    for peer in [&alice, &bob, &carol, &dave] {
        let events = peer.all(json!({}));
        seen.extend(events.iter().map(|event| event["event"].as_str().unwrap().to_owned()));
        assert_eq!(events[0]["event"], "started", "it comes first");
        assert_eq!(peer.all(json!({"event": "stopped"})).len(), 1);
        assert_eq!(events.last().unwrap()["event"], "stopped", "it comes last");
    }
    let published = shape::published().events();
    let mut known: Vec<_> = shape::names().collect();
    known.sort_unstable();
    assert_eq!(published, known, "the table here is the one that is published");
    let missing: Vec<_> = shape::names().filter(|name| !seen.contains(*name)).collect();
    // The bridge and forks have tests of their own; input from a pipe runs one command at a time.
    assert_eq!(missing, ["bridge", "message_withdrawn", "hash_failed", "download_queued"]);
}

#[test]
fn every_command_says_when_it_is_done_and_with_which_line() {
    let [mut alice, mut bob] = crate::common::room(["alice", "bob"]);
    let folder = Folder::new();
    let send = format!("send {}", folder.file("a.txt", b"a"));
    let mut number = alice.say("");
    for (line, command) in [
        ("hello", "say"),
        ("say hello", "say"),
        ("/members", "members"),
        ("members", "members"),
        ("files", "files"),
        ("transfers", "transfers"),
        ("/who", "members"),
        ("/names", "members"),
        ("/ls", "files"),
        ("limit", "limit"),
        ("doctor", "doctor"),
        ("verify bob", "verify"),
        ("wait 0", "wait"),
        ("name alicia", "name"),
        (&send, "send"),
        ("cancel a.txt", "cancel"),
        ("password a password of mine", "password"),
        ("/invite once 1h", "invite"),
        ("/invite off", "invite"),
        ("/ignore bob", "ignore"),
        ("/ignore bob off", "ignore"),
        ("/steward bob", "steward"),
        ("/steward bob off", "steward"),
        ("/remove bob", "remove"),
        ("/kick bob off", "remove"),
        ("unlock", "unlock"),
        (&format!("connect {}", bob.address), "connect"),
        ("/part", "leave"),
    ] {
        let given = alice.say(line);
        number += 1;
        assert_eq!(given, number);
        alice.expect(json!({"event": "command_done", "line": given, "command": command}));
    }
    for line in &alice.program.lines {
        let secret = line.contains("a password of mine");
        assert!(!secret, "the arguments are never repeated: {line}");
    }
    bob.quit();
    alice.quit();
}
