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
