//! Pages and the terminal of one klatch, in step with each other.

use serde_json::json;

use super::page::{Page, browser, printed};
use crate::common::{Peer, join};

#[test]
fn a_page_begins_with_how_things_stand_and_then_hears_what_happens() {
    let (mut alice, address) = browser("alice");
    let mut bob = Peer::start("bob");
    join(&mut bob, &mut alice);
    bob.done("said before the page came");
    alice.hears("said before the page came");
    let mut page = Page::open(&address);
    let snapshot = page.snapshot.clone();
    assert_eq!(snapshot["self"]["name"], "alice");
    assert_eq!(snapshot["room"]["settled"], true);
    assert_eq!(snapshot["members"][1]["name"], "bob");
    assert_eq!(snapshot["messages"][0]["text"], "said before the page came");
    assert_eq!(snapshot["earlier"], 0);
    page.done(json!({"command": "say", "text": "from the page"}));
    page.expect(json!({"event": "message", "text": "from the page", "own": true}));
    bob.hears("from the page");
    alice.hears("from the page");
    bob.done("from bob");
    page.expect(json!({"event": "message", "text": "from bob", "own": false}));
    alice.done("from the terminal");
    page.expect(json!({"event": "message", "text": "from the terminal", "own": true}));
    alice.done("browser");
    let mut other = Page::open(&printed(&mut alice));
    let texts = |page: &Page| {
        let messages = page.snapshot["messages"].as_array().unwrap().clone();
        messages.iter().map(|m| m["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let wanted = ["said before the page came", "from the page", "from bob", "from the terminal"];
    assert_eq!(texts(&other), wanted);
    other.done(json!({"command": "name", "name": "alicia"}));
    for page in [&mut page, &mut other] {
        page.expect(json!({"event": "name_changed", "member": {"name": "alicia"}}));
    }
    page.done(json!({"command": "quit"}));
    for page in [&mut page, &mut other] {
        page.expect(json!({"event": "stopped", "exit_code": 0}));
    }
    assert_eq!(alice.ended(), 0);
    bob.quit();
}

#[test]
fn a_page_locks_its_room_and_another_enters_with_the_password() {
    let ((mut alice, to_alice), (mut bob, to_bob)) = (browser("alice"), browser("bob"));
    let (mut first, mut second) = (Page::open(&to_alice), Page::open(&to_bob));
    first.refused(json!({"command": "password", "password": "short"}), "password_too_short");
    let line = first.give(json!({"command": "suggest_password"}));
    let suggested = first.expect(json!({"event": "suggested_password", "line": line}));
    let password = suggested["password"].as_str().unwrap().to_owned();
    first.done(json!({"command": "password", "password": password}));
    first.expect(json!({"event": "room_locked"}));
    let connect = json!({"command": "connect", "address": alice.address});
    let line = second.give(connect.clone());
    let asked = second.expect(json!({"event": "password_required", "line": line}));
    assert_eq!(asked["address"], alice.address);
    second.expect(json!({"event": "error", "line": line, "code": "password_required"}));
    let with = |password: &str| {
        let mut connect = connect.clone();
        connect["password"] = password.into();
        connect
    };
    second.refused(with("not the password"), "wrong_password");
    second.done(with(&password));
    let snapshot = second.expect_that("a snapshot of the room", |event| {
        event["event"] == "snapshot" && event["room"]["settled"] == true
    });
    assert_eq!(snapshot["room"]["locked"], true);
    assert_eq!(snapshot["room"]["id"], first.snapshot["room"]["id"]);
    // Each leaves the room that it was in, and starts a new one.
    second.done(json!({"command": "leave"}));
    let fresh = second.expect_that("a snapshot of a room of its own", |event| {
        event["event"] == "snapshot" && event["room"]["settled"] == false
    });
    assert_ne!(fresh["room"]["id"], snapshot["room"]["id"]);
    assert_eq!(fresh["messages"], json!([]));
    assert_eq!(fresh["members"].as_array().unwrap().len(), 1);
    first.done(json!({"command": "unlock"}));
    // The failed command was reported in its page: the program itself ends well.
    alice.quit();
    bob.quit();
}

#[test]
fn lists_go_to_the_face_that_asked() {
    let (mut alice, address) = browser("alice");
    let mut page = Page::open(&address);
    page.done(json!({"command": "members"}));
    page.expect(json!({"event": "members", "list": [{"name": "alice", "own": true}]}));
    alice.done("files");
    alice.expect(json!({"event": "files", "list": []}));
    page.done(json!({"command": "transfers"}));
    page.expect(json!({"event": "transfers", "list": []}));
    assert!(alice.all(json!({"event": "members"})).is_empty());
    alice.quit();
}
