//! `/remove`, `/steward`, `/ignore`, `verify`: what members decide about each other.

use rustix::process::Signal;
use serde_json::json;

use crate::common::{Options, Peer, has_joined, room};
use crate::inviting::{invite, join_by, row};

const SECRET: &str = "three blue teapots";

/// Enters with a password.
pub(crate) fn enter(newcomer: &mut Peer, member: &mut Peer, password: &str) {
    let number = newcomer.say(&format!("connect {}", member.address));
    newcomer.expect(json!({"event": "password_required"}));
    newcomer.say(password);
    newcomer.ended_well(number);
    let id = &newcomer.id;
    member.expect_that("the newcomer here", |event| has_joined(event, id));
}

/// Peers that keep their identities, in a room that alice closed.
fn closed_room<const N: usize>(names: [&str; N]) -> (Peer, [Peer; N]) {
    let mut alice = Peer::start("alice");
    alice.done(&format!("password {SECRET}"));
    let mut others = names.map(|name| {
        let options = Options::bare(name).args(["--ui", "terminal", "--listen", "127.0.0.1:0"]);
        options.start()
    });
    for other in &mut others {
        enter(other, &mut alice, SECRET);
    }
    for peer in others.iter_mut().chain([&mut alice]) {
        peer.done(&format!("wait members {N}"));
    }
    (alice, others)
}

fn again(name: &str, home: tempfile::TempDir) -> Peer {
    let options = Options::bare(name).args(["--ui", "terminal", "--listen", "127.0.0.1:0"]);
    options.at_home(home).start()
}

/// Eve knew the password. She comes back as herself, in the same run and in another, under a new
/// identity, and by an invitation that she held.
#[test]
fn the_removed_is_out_whatever_she_tries() {
    let (mut alice, [mut bob, mut eve]) = closed_room(["bob", "eve"]);
    let text = invite(&mut alice, "/invite");
    alice.done("/remove eve");
    for peer in [&mut alice, &mut bob] {
        peer.expect(json!({"event": "member_removed", "member": {"id": eve.id},
            "by": {"name": "alice"}, "me_out": false, "also": []}));
    }
    eve.expect(json!({"event": "member_removed", "by": {"name": "alice"}, "me_out": true}));
    for member in [&alice, &bob] {
        let said = eve.refused(&format!("connect {}", member.address), "removed");
        assert_eq!(said, "alice removed you from this room");
    }
    eve.refused("/remove bob", "not_above");
    // In another run she is unknown there: neither her key nor what she knew opens the door.
    let home = eve.killed();
    let mut eve = again("eve", home);
    for member in [&alice, &bob] {
        eve.refused(&format!("connect {}", member.address), "members_only");
    }
    let said = eve.refused(&format!("/join {text}"), "removed");
    assert!(said.contains("says that you were removed"), "{said}");
    // Alice sets a new password, and eve finds it out.
    alice.done("password four red kettles");
    bob.expect(json!({"event": "room_locked", "by": {"name": "alice"}}));
    let number = eve.say(&format!("connect {}", bob.address));
    eve.say("four red kettles");
    eve.failed(number, "removed");
    // Under a new identity she has the old password, and the invitation, which is taken back.
    alice.done("/invite off");
    alice.done("taken back");
    bob.hears("taken back");
    let mut mallory = Peer::start("mallory");
    mallory.refused(&format!("/join {text}"), "no_invitation");
    let number = mallory.say(&format!("connect {}", alice.address));
    mallory.say(SECRET);
    mallory.failed(number, "wrong_password");
    bob.done("nobody came back");
    alice.hears("nobody came back");
    for peer in [&mut alice, &mut bob] {
        peer.quit();
        let came = peer.all(json!({"event": "member_joined", "member": {"name": "mallory"}}));
        assert!(came.is_empty());
    }
    assert_eq!(eve.end(), 1);
}

#[test]
fn one_word_takes_the_removed_in_again() {
    let (mut alice, [mut bob, mut eve]) = closed_room(["bob", "eve"]);
    alice.done("/remove eve");
    eve.expect(json!({"event": "member_removed", "me_out": true}));
    bob.expect(json!({"event": "member_removed"}));
    let said = bob.refused("/remove eve off", "not_above");
    assert!(said.contains("alice"), "{said}");
    alice.done("/remove eve off");
    eve.done(&format!("connect {}", alice.address));
    eve.done("thank you");
    for peer in [&mut alice, &mut bob] {
        peer.hears("thank you");
    }
    // And alice can remove her again.
    alice.done("/remove eve");
    eve.expect(json!({"event": "member_removed", "me_out": true}));
    eve.refused(&format!("connect {}", bob.address), "removed");
}

/// A member can remove only those whom it let in, and those below them.
#[test]
fn who_is_not_above_removes_nobody() {
    let (mut alice, [mut bob, mut carol]) = closed_room(["bob", "carol"]);
    for name in ["alice", "carol"] {
        let said = bob.refused(&format!("/remove {name}"), "not_above");
        assert!(said.contains("alice"), "{said}");
    }
    bob.refused("/remove nobody", "name_not_found");
    // Bob's guest is below bob, and below alice too.
    let mut dave = Peer::start("dave");
    enter(&mut dave, &mut bob, SECRET);
    let mut erin = Peer::start("erin");
    enter(&mut erin, &mut dave, SECRET);
    for peer in [&mut alice, &mut carol] {
        peer.done("wait members 4");
    }
    carol.refused("/remove dave", "not_above");
    alice.done("/remove dave");
    let also = json!({"event": "member_removed", "member": {"name": "dave"}});
    let removed = carol.expect(also);
    assert_eq!(removed["also"][0]["name"], "erin", "{removed}");
    erin.expect(json!({"event": "member_removed", "member": {"name": "dave"}, "me_out": true}));
    dave.expect(json!({"event": "member_removed", "me_out": true}));
    bob.done("three are left");
    carol.hears("three are left");
}

#[test]
fn a_steward_removes_in_the_founders_stead() {
    let (mut alice, [mut bob, mut carol, mut dave]) = closed_room(["bob", "carol", "dave"]);
    let said = bob.refused("/steward carol", "not_above");
    assert!(said.contains("alice"), "{said}");
    alice.done("/steward bob");
    let steward = json!({"event": "steward_changed", "member": {"id": bob.id}, "off": false});
    for peer in [&mut alice, &mut bob, &mut carol] {
        peer.expect(steward.clone());
    }
    alice.refused("/steward bob", "usage");
    assert_eq!(row(&mut carol, &bob.id)["standing"], "steward");
    assert_eq!(row(&mut carol, &alice.id)["standing"], "founder");
    bob.refused("/remove alice", "not_above");
    bob.done("/remove carol");
    carol.expect(json!({"event": "member_removed", "by": {"name": "bob"}, "me_out": true}));
    dave.expect(json!({"event": "member_removed", "by": {"name": "bob"}}));
    alice.expect(json!({"event": "member_removed", "by": {"name": "bob"}}));
    alice.done("/steward bob off");
    bob.expect(json!({"event": "steward_changed", "off": true}));
    bob.refused("/remove dave", "not_above");
    // He becomes a steward again, and stops being one again.
    alice.done("/steward bob");
    bob.expect(json!({"event": "steward_changed", "off": false}));
    alice.done("/steward bob off");
    bob.expect(json!({"event": "steward_changed", "off": true}));
    // What he did as a steward lasts; he stays a member.
    bob.done("a member like others");
    dave.hears("a member like others");
}

#[test]
fn whom_one_ignores_is_hidden_here_only() {
    let [mut alice, mut bob, mut carol] = room(["alice", "bob", "carol"]);
    alice.done("/ignore bob");
    alice.refused("/ignore nobody", "name_not_found");
    bob.done("do you hear me?");
    carol.hears("do you hear me?");
    carol.done("she does not");
    alice.hears("she does not");
    assert_eq!(row(&mut alice, &bob.id)["ignored"], true);
    assert_eq!(row(&mut carol, &bob.id)["ignored"], false);
    alice.done("/ignore bob off");
    alice.refused("/ignore bob off", "usage");
    bob.done("and now?");
    alice.hears("and now?");
    // Two of her commands failed.
    alice.quit_with(1);
    assert!(alice.all(json!({"event": "message", "text": "do you hear me?"})).is_empty());
}

/// Four words, the same on both screens, and four others the next time.
#[test]
fn both_compare_the_same_words() {
    let [mut alice, mut bob, mut carol] = room(["alice", "bob", "carol"]);
    let words = |peer: &mut Peer, of: &str, asked: bool| {
        let pattern = json!({"event": "verify", "member": {"id": of}, "asked": asked});
        peer.expect(pattern)["words"].as_str().unwrap().to_owned()
    };
    alice.done("verify bob");
    let first = words(&mut alice, &bob.id, false);
    assert_eq!(first, words(&mut bob, &alice.id, true));
    assert_eq!(first.split_whitespace().count(), 4, "{first}");
    bob.done("verify alice");
    let second = words(&mut bob, &alice.id, false);
    assert_eq!(second, words(&mut alice, &bob.id, true));
    assert_ne!(first, second);
    carol.refused("verify bob same", "usage");
    alice.done("verify bob same");
    alice.expect(json!({"event": "member_verified", "member": {"id": bob.id}}));
    assert_eq!(row(&mut alice, &bob.id)["verified"], true);
    assert_ne!(row(&mut bob, &alice.id)["verified"], true);
    // Both begin at once: each sees words, and they are the same.
    let (a, b) = (alice.say("verify carol"), carol.say("verify alice"));
    alice.ended_well(a);
    carol.ended_well(b);
    let last = |peer: &mut Peer, of: &str| {
        let pattern = json!({"event": "verify", "member": {"id": of}});
        peer.expect(pattern)["words"].as_str().unwrap().to_owned()
    };
    assert_eq!(last(&mut alice, &carol.id), last(&mut carol, &alice.id));
}

/// Bob slept while eve was removed: she can talk with him until he hears of it; then she is out.
#[test]
fn the_removed_is_out_at_who_slept_as_soon_as_it_hears() {
    let (mut alice, [mut bob, mut eve]) = closed_room(["bob", "eve"]);
    bob.program.signal(Signal::STOP);
    for peer in [&mut alice, &mut eve] {
        peer.expect(json!({"event": "member_left", "member": {"name": "bob"}}));
    }
    alice.done("/remove eve");
    eve.expect(json!({"event": "member_removed", "me_out": true}));
    bob.program.signal(Signal::CONT);
    bob.expect(json!({"event": "member_removed", "member": {"id": eve.id}}));
    let said = eve.refused(&format!("connect {}", bob.address), "removed");
    assert_eq!(said, "alice removed you from this room");
    bob.done("awake");
    alice.hears("awake");
}

/// The invitation was made for her; under a new name she tries it again, but it is used.
#[test]
fn a_used_invitation_does_not_bring_the_removed_back() {
    let mut alice = Peer::start("alice");
    let text = invite(&mut alice, "/invite once");
    let mut eve = Peer::start("eve");
    join_by(&mut eve, &mut alice, &text);
    alice.done("/remove eve");
    eve.expect(json!({"event": "member_removed", "me_out": true}));
    let mut mallory = Peer::start("mallory");
    mallory.refused(&format!("/join {text}"), "no_invitation");
    alice.quit();
}
