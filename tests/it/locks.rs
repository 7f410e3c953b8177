//! Locked rooms: who gets in, who does not, and what changing the password does.

use std::io;
use std::net::Ipv4Addr;

use rustix::process::Signal;
use serde_json::json;

use crate::common::{Options, Peer, has_joined, join, relay, room};

const SECRET: &str = "three blue teapots";

/// Connects with a password, which is asked for.
fn join_with(newcomer: &mut Peer, member: &mut Peer, password: &str) {
    let number = newcomer.say(&format!("connect {}", member.address));
    newcomer.expect(json!({"event": "password_required", "address": member.address}));
    newcomer.say(password);
    newcomer.ended_well(number);
    let id = &newcomer.id;
    member.expect_that("the newcomer here", |event| has_joined(event, id));
}

fn locked_room() -> [Peer; 2] {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    alice.done(&format!("password {SECRET}"));
    for peer in [&mut alice, &mut bob] {
        peer.expect(json!({"event": "room_locked", "by": {"name": "alice"}}));
    }
    [alice, bob]
}

#[test]
fn a_locked_room_opens_for_its_password_alone() {
    let [mut alice, mut bob] = locked_room();
    alice.done("said behind the door");
    let mut eve = Peer::start("eve");
    let number = eve.say(&format!("connect {}", alice.address));
    eve.expect(json!({"event": "password_required", "address": alice.address}));
    eve.say("three green teapots");
    let text = eve.failed(number, "wrong_password");
    assert!(text.contains("127.0.0.1"), "{text}");
    // A pipe has one try; the next line is a command again.
    eve.done("members");
    assert_eq!(eve.expect(json!({"event": "members"}))["list"].as_array().unwrap().len(), 1);

    // Any member admits, and the next line is the password.
    let mut carol = Peer::start("carol");
    join_with(&mut carol, &mut bob, SECRET);
    carol.expect(json!({"event": "joined", "locked": true}));
    carol.expect(json!({"event": "message", "text": "said behind the door", "history": true}));
    carol.done("wait members 2");
    carol.done("thank you for the password");
    alice.hears("thank you for the password");

    // With `locked` the password is asked for before connecting.
    let mut dave = Peer::start("dave");
    let (host, port) = carol.address.rsplit_once(':').unwrap();
    let line = format!("connect {host} {port} locked");
    let number = dave.say(&line);
    dave.say(SECRET);
    dave.ended_well(number);
    alice.expect(json!({"event": "member_joined", "member": {"name": "dave"}}));
    assert_eq!(eve.end(), 1);
    for peer in [&mut alice, &mut bob, &mut carol, &mut dave] {
        peer.quit();
    }
    for peer in [&alice, &bob, &carol, &dave] {
        assert!(peer.all(json!({"event": "member_joined", "member": {"name": "eve"}})).is_empty());
        for line in &peer.program.lines {
            assert!(!line.contains("teapots"), "a password was printed: {line}");
        }
    }
    assert!(eve.all(json!({"event": "message"})).is_empty());
}

#[test]
fn without_a_password_nobody_gets_in() {
    let [alice, _bob] = locked_room();
    let mut eve = Peer::start("eve");
    let number = eve.say(&format!("connect {}", alice.address));
    eve.expect(json!({"event": "password_required"}));
    eve.program.close_stdin();
    eve.failed(number, "password_required");
    assert_eq!(eve.ended(), 1);

    let mut eve = Peer::start("eve");
    let number = eve.say(&format!("connect {}", alice.address));
    eve.say("short");
    // The complaint names what is wrong; the line after it is a command again.
    eve.expect_that("a complaint", |event| {
        event["event"] == "error" && event["code"] == "password_too_short"
    });
    eve.expect_that("the end of connect", |event| {
        event["event"] == "error" && event["line"] == number
    });
    eve.done("members");
}

#[test]
fn an_open_room_takes_no_line_and_no_password() {
    let mut alice = Peer::start("alice");
    let mut bob = Peer::start("bob");
    let (host, port) = alice.address.rsplit_once(':').unwrap();
    let number = bob.say(&format!("connect {host} {port} locked"));
    bob.say("not to be sent");
    let text = bob.failed(number, "room_not_locked");
    assert!(text.contains("nothing was sent"), "{text}");
    // The same room without `locked`: the next line is a message.
    join(&mut bob, &mut alice);
    bob.done("this is a message");
    alice.hears("this is a message");
    alice.quit();
    assert!(alice.all(json!({"event": "message", "text": "not to be sent"})).is_empty());
    assert!(alice.all(json!({"event": "message"})).len() == 1);
}

#[test]
fn a_password_changes_and_only_who_is_above_opens_again() {
    let [mut alice, mut bob] = locked_room();
    bob.done("password four red kettles");
    let locked =
        json!({"event": "room_locked", "by": {"name": "bob"}, "password": true, "out": []});
    alice.expect(locked.clone());
    bob.expect(locked);
    alice.done("we are still together");
    bob.hears("we are still together");

    let mut carol = Peer::start("carol");
    let number = carol.say(&format!("connect {}", alice.address));
    carol.say(SECRET);
    carol.failed(number, "wrong_password");
    join_with(&mut carol, &mut alice, "four red kettles");

    carol.done("wait members 2");
    bob.expect(json!({"event": "member_joined", "member": {"name": "carol"}}));
    // Alice closed it: members who came by password, or changed it, are not above her.
    for peer in [&mut carol, &mut bob] {
        let text = peer.refused("unlock", "not_above");
        assert!(text.contains("alice"), "{text}");
    }
    alice.done("unlock");
    for peer in [&mut alice, &mut bob, &mut carol] {
        peer.expect(json!({"event": "room_unlocked", "by": {"name": "alice"}}));
    }
    carol.refused("unlock", "room_not_locked");
    let mut dave = Peer::start("dave");
    join(&mut dave, &mut bob);
    assert_eq!(dave.all(json!({"event": "joined", "locked": false})).len(), 1);
    dave.done("the door is open");
    alice.hears("the door is open");
}

/// The first link tells both ends whose room it is.
#[test]
fn a_room_names_its_founder() {
    let [alice, bob] = room(["alice", "bob"]);
    let mut carol = Peer::start("carol");
    carol.done(&format!("connect {}", bob.address));
    // The founder's name follows right after that.
    carol.expect(json!({"event": "joined", "founder": {"id": alice.id}}));
    for peer in [&alice, &bob] {
        let founder = json!({"event": "joined", "founder": {"id": alice.id}});
        assert_eq!(peer.all(founder).len(), 1, "{}", peer.program.name);
    }
}

/// Only the dialer moves: being dialled makes nobody change rooms.
#[test]
fn only_a_dialer_moves() {
    let [mut alice, bob] = room(["alice", "bob"]);
    let mut carol = Peer::start("carol");
    let text = alice.refused(&format!("connect {}", carol.address), "in_a_room");
    assert!(text.contains("bob") && text.contains("leave first"), "{text}");
    carol.done(&format!("connect {}", bob.address));
    carol.expect(json!({"event": "joined", "founder": {"id": alice.id}}));
}

/// A room closed without a password: those present stay, and others come in only by invitation.
#[test]
fn a_room_without_a_password_is_for_members() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    alice.done("password -");
    for peer in [&mut alice, &mut bob] {
        peer.expect(json!({"event": "room_locked", "by": {"name": "alice"}, "password": false}));
    }
    let mut eve = Peer::start("eve");
    for member in [&alice, &bob] {
        let text = eve.refused(&format!("connect {}", member.address), "members_only");
        assert!(text.contains("invitation"), "{text}");
    }
    bob.done("just us");
    alice.hears("just us");
}

#[test]
fn the_command_password_asks_and_refuses_short_ones() {
    let mut alice = Peer::start("alice");
    alice.refused("password short", "password_too_short");
    let number = alice.say("password");
    alice.expect(json!({"event": "password_required"}));
    alice.say(SECRET);
    alice.ended_well(number);
    alice.expect(json!({"event": "room_locked", "by": {"name": "alice"}}));
    let mut bob = Peer::start("bob");
    join_with(&mut bob, &mut alice, SECRET);
    // The same letters composed differently are the same password (NFC).
    alice.done("password \"cafe\u{301} au lait\"");
    bob.expect(json!({"event": "room_locked"}));
    let mut carol = Peer::start("carol");
    join_with(&mut carol, &mut bob, "caf\u{e9} au lait");
}

#[test]
fn a_password_file_answers_and_takes_no_line() {
    let [alice, mut bob] = locked_room();
    let folder = crate::common::Folder::new();
    let file = folder.file("secret", format!("{SECRET}\n").as_bytes());
    let mut carol =
        Options::new("carol").args(["--password-file", &file, "--connect", &alice.address]).start();
    carol.done("nobody took this line");
    bob.hears("nobody took this line");
    carol.quit();
    assert!(carol.all(json!({"event": "password_required"})).is_empty());

    let wrong = folder.file("wrong", b"four red kettles");
    let mut eve = Options::new("eve").args(["--password-file", &wrong]).start();
    eve.refused(&format!("connect {}", alice.address), "wrong_password");
    assert_eq!(eve.end(), 1);
}

#[test]
fn a_locked_room_stays_where_it_is() {
    let mut alice = Peer::start("alice");
    alice.done(&format!("password {SECRET}"));
    let mut bob = Peer::start("bob");
    // The peer in the locked room cannot go to the open one: the other has to come.
    alice.refused(&format!("connect {}", bob.address), "in_a_room");
    join_with(&mut bob, &mut alice, SECRET);
    bob.done("here I am");
    alice.hears("here I am");
}

/// Those present when the room was closed are members from then on, and need not type it again.
#[test]
fn who_missed_changes_comes_back_with_nothing_typed_and_keeps_the_history() {
    let [mut alice, mut bob, mut carol] = room(["alice", "bob", "carol"]);
    alice.done(&format!("password {SECRET}"));
    for peer in [&mut bob, &mut carol] {
        peer.expect(json!({"event": "room_locked"}));
    }
    carol.done("before I slept");
    for peer in [&mut alice, &mut bob] {
        peer.hears("before I slept");
    }
    carol.program.signal(Signal::STOP);
    for peer in [&mut alice, &mut bob] {
        peer.expect(json!({"event": "member_left", "member": {"name": "carol"}}));
    }
    for password in ["four red kettles", "five green cups", "six blue spoons"] {
        alice.done(&format!("password {password}"));
        bob.expect(json!({"event": "room_locked"}));
    }
    alice.done("said while she slept");
    bob.hears("said while she slept");
    carol.program.signal(Signal::CONT);
    carol.hears("said while she slept");
    carol.done("I am back");
    for peer in [&mut alice, &mut bob] {
        peer.hears("I am back");
    }
    for peer in [&mut carol, &mut alice, &mut bob] {
        peer.quit();
        for text in ["before I slept", "said while she slept", "I am back"] {
            let heard = peer.all(json!({"event": "message", "text": text}));
            assert_eq!(heard.len(), 1, "{}: {heard:?}", peer.program.name);
        }
    }
    assert!(carol.all(json!({"event": "password_required"})).is_empty());
}

#[test]
fn of_two_changes_at_once_one_holds_for_all() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let first = alice.say("password of alice, the first");
    let second = bob.say("password of bob, the second");
    alice.ended_well(first);
    bob.ended_well(second);
    // Links keep the order: messages sent now arrive after the changes.
    for (speaker, listener) in [(0, 1), (1, 0), (0, 1)] {
        let both = [&mut alice, &mut bob];
        let text = format!("turn of {speaker} for {listener}");
        both[speaker].done(&text);
        both[listener].hears(&text);
    }
    let holds =
        |peer: &Peer| peer.all(json!({"event": "room_locked"})).last().unwrap()["by"].clone();
    let winner = holds(&alice);
    assert_eq!(winner, holds(&bob), "they disagree about whose password holds");
    let (right, wrong) = if winner["name"] == "alice" {
        ("of alice, the first", "of bob, the second")
    } else {
        ("of bob, the second", "of alice, the first")
    };
    let mut carol = Peer::start("carol");
    for member in [&alice, &bob] {
        let number = carol.say(&format!("connect {}", member.address));
        carol.say(wrong);
        carol.failed(number, "wrong_password");
    }
    join_with(&mut carol, &mut alice, right);
    carol.done("in");
    bob.hears("in");
}

#[test]
fn guessing_is_slowed_down() {
    let [mut alice, bob] = locked_room();
    let mut eve = Peer::start("eve");
    // Guesses from 127.0.0.1 itself are not counted by address.
    let (elsewhere, address) = (Ipv4Addr::new(127, 0, 0, 66), alice.address.parse().unwrap());
    let via = relay(elsewhere, address, |_, mut from, mut into| {
        drop(io::copy(&mut from, &mut into));
    });
    let connect = format!("connect {}", via.unwrap());
    for n in 0..5 {
        let number = eve.say(&connect);
        eve.say(&format!("guess number {n}"));
        eve.failed(number, "wrong_password");
    }
    let number = eve.say(&connect);
    eve.say("guess number 5");
    let text = eve.failed(number, "too_many_attempts");
    assert!(text.contains("wait"), "{text}");
    // Others do not have to wait because of her.
    let mut carol = Peer::start("carol");
    join_with(&mut carol, &mut alice, SECRET);
    drop(bob);
}
