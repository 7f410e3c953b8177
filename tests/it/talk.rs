//! People talk: two, three, ten, late, alone, and under the same name.

use rustix::process::Signal;
use serde_json::json;

use crate::common::{Peer, join, room};

#[test]
fn two_converse() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    alice.done("hello bob");
    let heard = bob.hears("hello bob");
    assert_eq!(heard["from"], json!({"id": alice.id, "name": "alice"}));
    assert_eq!((&heard["own"], &heard["history"]), (&json!(false), &json!(false)));
    bob.done("hello alice, how are you?");
    alice.hears("hello alice, how are you?");
    // It is the same message at both ends, with the same place in the order.
    let own = alice.hears("hello bob");
    assert_eq!((&own["id"], &own["order"]), (&heard["id"], &heard["order"]));
    assert_eq!(own["own"], true);
    alice.expect(json!({"event": "held", "id": own["id"], "held_by": 1, "present": 1}));
    alice.quit();
    bob.expect(json!({"event": "member_left", "member": {"id": alice.id}}));
    bob.quit();
    assert_eq!(bob.all(json!({"event": "message", "text": "hello bob"})).len(), 1);
}

#[test]
fn joined_comes_once_at_both_ends_and_the_room_is_the_same() {
    let [mut alice, mut bob, mut carol] = room(["alice", "bob", "carol"]);
    for peer in [&mut carol, &mut bob, &mut alice] {
        peer.quit();
    }
    let joined = json!({"event": "joined", "locked": false});
    let rooms: Vec<_> = [&alice, &bob, &carol]
        .map(|peer| {
            let joined = peer.all(joined.clone());
            assert_eq!(joined.len(), 1, "{}", peer.program.name);
            joined[0]["room"].clone()
        })
        .into();
    assert!(rooms.iter().all(|room| *room == rooms[0]), "{rooms:?}");
    assert_eq!(alice.all(json!({"event": "left", "room": rooms[0]})).len(), 1);
}

#[test]
fn three_converse_and_a_member_who_is_no_founder_admits() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let mut carol = Peer::start("carol");
    join(&mut carol, &mut bob);
    // Carol learns alice's address from bob, and a link is made.
    for peer in [&mut alice, &mut carol] {
        peer.done("wait members 2");
    }
    for (speaker, text) in [(0, "I am alice"), (1, "I am bob"), (2, "I am carol")] {
        let all = [&mut alice, &mut bob, &mut carol];
        all[speaker].done(text);
        for peer in all {
            peer.hears(text);
        }
    }
    // Without bob the others still have each other.
    bob.quit();
    for peer in [&mut alice, &mut carol] {
        peer.expect(json!({"event": "member_left", "member": {"name": "bob"}}));
    }
    carol.done("only us now");
    alice.hears("only us now");
    alice.done("members");
    let list = alice.expect(json!({"event": "members"}))["list"].clone();
    assert_eq!(list.as_array().unwrap().len(), 2, "{list}");
    carol.quit();
    alice.quit();
}

#[test]
fn ten_in_a_room_lose_one_to_kill_9_and_nine_go_on() {
    let mut peers: Vec<Peer> = (0..10).map(|n| Peer::start(&format!("peer{n}"))).collect();
    for n in 1..peers.len() {
        // Each is admitted by another one: the room has no centre.
        let (before, rest) = peers.split_at_mut(n);
        join(&mut rest[0], &mut before[(n - 1) / 2]);
    }
    for peer in &mut peers {
        peer.done("wait members 9");
    }
    let mut dead = peers.remove(4);
    dead.program.signal(Signal::KILL);
    assert_eq!(dead.ended(), -1);
    for peer in &mut peers {
        peer.expect(json!({"event": "member_left", "member": {"id": dead.id}}));
    }
    for peer in &mut peers {
        let text = format!("{} is still here", peer.program.name);
        peer.done(&text);
    }
    let names: Vec<String> = peers.iter().map(|peer| peer.program.name.clone()).collect();
    let texts: Vec<String> = names.iter().map(|name| format!("{name} is still here")).collect();
    for peer in &mut peers {
        for text in &texts {
            peer.hears(text);
        }
    }
    for peer in &mut peers {
        peer.quit();
        for text in &texts {
            let heard = peer.all(json!({"event": "message", "text": text}));
            assert_eq!(heard.len(), 1, "{}: {heard:?}", peer.program.name);
        }
        let left = peer.all(json!({"event": "member_left", "member": {"id": dead.id}}));
        assert_eq!(left.len(), 1, "{}: {left:?}", peer.program.name);
    }
}

#[test]
fn who_comes_late_hears_what_was_said_before() {
    let folder = crate::common::Folder::new();
    let [mut alice, mut bob] = room(["alice", "bob"]);
    for n in 0..300 {
        let speaker = if n % 2 == 0 { &mut alice } else { &mut bob };
        speaker.done(&format!("message {n}"));
    }
    alice.done(&format!("send {}", folder.file("plan.txt", b"the plan")));
    bob.expect(json!({"event": "file_offered", "file": {"name": "plan.txt"}, "history": false}));
    let mut carol = Peer::start("carol");
    // `connect` ends when the admitting member's history has arrived.
    join(&mut carol, &mut bob);
    carol.done("download plan.txt");
    let offered = carol.expect(json!({"event": "file_offered", "file": {"name": "plan.txt"}}));
    assert_eq!((&offered["history"], &offered["from"]["name"]), (&json!(true), &json!("alice")));
    for n in 0..300 {
        carol.expect(json!({"event": "message", "text": format!("message {n}"), "history": true}));
    }
    let done = json!({"event": "command_done", "command": "connect"});
    let last = json!({"event": "message", "text": "message 299"});
    assert!(carol.place(last) < carol.place(done), "connect ended before the history was here");
    // Both ends sort the messages the same way.
    let order = |peer: &Peer| {
        let said: Vec<_> = peer.all(json!({"event": "message"})).into_iter().cloned().collect();
        let mut said: Vec<_> =
            said.iter().map(|m| (m["order"].to_string(), m["id"].to_string())).collect();
        said.sort();
        said
    };
    carol.done("thank you");
    alice.hears("thank you");
    for peer in [&mut alice, &mut bob, &mut carol] {
        peer.quit();
    }
    assert_eq!(order(&alice), order(&carol));
    assert_eq!(order(&bob), order(&carol));
}

#[test]
fn what_is_said_alone_waits_and_comes_along() {
    let folder = crate::common::Folder::new();
    let mut alice = Peer::start("alice");
    alice.done("is anybody here?");
    alice.expect_that("a remark that nobody is here", |event| {
        event["event"] == "notice"
            && event["text"].as_str().unwrap().contains("nobody else is here")
    });
    alice.done(&format!("send {}", folder.file("letter.txt", b"dear bob")));
    alice.done("name alix");
    let said = alice.hears("is anybody here?");
    let mut bob = Peer::start("bob");
    // This time the peer that spoke alone is the dialer.
    join(&mut alice, &mut bob);
    bob.hears("is anybody here?");
    bob.done("wait file letter.txt");
    bob.done("download letter.txt");
    alice.expect(json!({"event": "held", "id": said["id"], "held_by": 1, "present": 1}));
    bob.quit();
    alice.quit();
    let own = alice.all(json!({"event": "message", "text": "is anybody here?"}));
    assert_eq!(own.len(), 1, "shown once, though it was signed anew");
}

#[test]
fn leaving_begins_a_fresh_room_without_the_old_history() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    alice.done("a secret of the old room");
    bob.hears("a secret of the old room");
    let old = bob.all(json!({"event": "joined"}))[0]["room"].clone();
    bob.done("leave");
    bob.expect(json!({"event": "left", "room": old}));
    alice.expect(json!({"event": "member_left", "member": {"name": "bob"}}));
    let mut carol = Peer::start("carol");
    join(&mut carol, &mut bob);
    bob.done("a fresh start");
    carol.hears("a fresh start");
    carol.done("members");
    let list = carol.expect(json!({"event": "members"}))["list"].clone();
    assert_eq!(list.as_array().unwrap().len(), 2, "{list}");
    bob.quit();
    carol.quit();
    alice.quit();
    let fresh = carol.all(json!({"event": "joined"}))[0]["room"].clone();
    assert_ne!(fresh, old);
    assert!(carol.all(json!({"event": "message", "text": "a secret of the old room"})).is_empty());
    assert!(alice.all(json!({"event": "message", "text": "a fresh start"})).is_empty());
}

#[test]
fn who_left_can_come_back_and_hears_the_history_again() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    alice.done("first");
    bob.hears("first");
    bob.done("second");
    alice.hears("second");
    bob.done("leave");
    alice.expect(json!({"event": "member_left", "member": {"name": "bob"}}));
    join(&mut bob, &mut alice);
    bob.expect(json!({"event": "message", "text": "first", "history": true}));
    bob.done("third");
    alice.hears("third");
    alice.quit();
    bob.quit();
    let first = alice.all(json!({"event": "message", "text": "second"}));
    assert_eq!(first.len(), 1, "{first:?}");
}

#[test]
fn names_change_and_are_told_apart() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    bob.done("name Bär the 2nd");
    let changed = alice.expect(json!({"event": "name_changed", "before": "bob"}));
    assert_eq!(changed["member"]["name"], "Bär the 2nd");
    bob.done("it is me");
    assert_eq!(alice.hears("it is me")["from"]["name"], "Bär the 2nd");
    for wrong in ["name", "name a:b", "name *star", "name /root", "name \u{202e}x", "name b·93"] {
        bob.refused(wrong, "usage");
    }
    bob.refused(&format!("name {}", "x".repeat(33)), "usage");
    bob.done(&format!("name {}", "ü".repeat(32)));

    // Now two have the same name.
    bob.done("name alice");
    alice.expect(
        json!({"event": "name_changed", "member": {"id": bob.id}, "before": "ü".repeat(32)}),
    );
    bob.done("which alice am I?");
    let shown = alice.hears("which alice am I?")["from"]["name"].clone();
    assert_eq!(shown, format!("alice·{}", &bob.id[..4]));
    bob.done("members");
    let list = bob.expect(json!({"event": "members"}))["list"].clone();
    let names: Vec<_> = list.as_array().unwrap().iter().map(|m| m["name"].clone()).collect();
    for id in [&alice.id, &bob.id] {
        assert!(names.contains(&json!(format!("alice·{}", &id[..4]))), "{names:?}");
    }
    bob.done("name bob");
    alice.expect(json!({"event": "name_changed", "member": {"name": "bob"}}));
    bob.done("bob again");
    alice.hears("bob again");
    alice.done("members");
    let list = alice.expect(json!({"event": "members"}))["list"].clone();
    let own = list.as_array().unwrap().iter().find(|m| m["id"] == alice.id.as_str()).unwrap();
    assert_eq!(own["name"], "alice");
    alice.quit();
    bob.program.close_stdin();
    assert_eq!(bob.ended(), 1, "some of its commands were refused");
}

#[test]
fn connecting_again_ends_well_and_to_oneself_does_not() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    bob.done(&format!("connect {}", alice.address));
    bob.expect_that("a notice that they are linked", |event| event["event"] == "notice");
    alice.done(&format!("connect {}", bob.address));
    bob.refused(&format!("connect {}", bob.address.clone()), "self_connect");
    bob.done("still here");
    alice.hears("still here");
    alice.quit();
}

#[test]
fn two_rooms_with_people_do_not_merge() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let [mut carol, mut dave] = room(["carol", "dave"]);
    carol.refused(&format!("connect {}", alice.address), "in_a_room");
    carol.done("we stay among us");
    dave.hears("we stay among us");
    alice.done("we too");
    bob.hears("we too");
    for peer in [&mut alice, &mut bob, &mut dave] {
        peer.quit();
        assert!(
            peer.all(json!({"event": "member_joined", "member": {"name": "carol"}})).is_empty()
        );
    }
}

#[test]
fn two_who_dial_each_other_at_once_meet_once() {
    let (mut alice, mut bob) = (Peer::start("alice"), Peer::start("bob"));
    let first = alice.say(&format!("connect {}", bob.address));
    let second = bob.say(&format!("connect {}", alice.address));
    alice.ended_well(first);
    bob.ended_well(second);
    alice.done("met");
    bob.hears("met");
    alice.quit();
    bob.quit();
    for peer in [&alice, &bob] {
        assert_eq!(peer.all(json!({"event": "joined"})).len(), 1);
    }
}

#[test]
fn text_arrives_as_it_was_written() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let long = "ö".repeat(4 * 1024);
    for text in
        ["Send me that", " files is a word", "日本語 🎉 e\u{301}", "a\tb", "\"quoted\"", &long]
    {
        alice.done(text);
        bob.hears(text);
    }
    for (line, text) in [
        ("say connect us", "connect us"),
        ("say \"help wanted\"", "help wanted"),
        ("/say quit while you are ahead", "quit while you are ahead"),
    ] {
        alice.done(line);
        bob.hears(text);
    }
    alice.refused(&"x".repeat(8 * 1024 + 1), "message_too_long");
    alice.refused("a\u{1b}[2Jb", "usage");
    alice.say("");
    alice.done("say after an empty line");
}
