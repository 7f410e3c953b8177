//! Codes, tokens and ports: who gets in, and who comes back.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::page::{Address, BROWSER, Page, browser, greeted, next, printed, started};
use crate::common::{Options, Program};

#[test]
fn a_code_is_good_once() {
    let (mut alice, address) = browser("alice");
    let page = Page::open(&address);
    for hello in [json!({"code": address.code}), json!({"code": ""}), json!({"token": ""})] {
        let (mut socket, answer) = greeted(address.addr, hello);
        assert_eq!(answer["code"], "expired_address");
        assert!(answer["text"].as_str().unwrap().contains("browser"));
        assert_eq!(next(&mut socket), None, "and it is closed");
    }
    alice.done("browser");
    let fresh = printed(&mut alice);
    assert_eq!(fresh.addr, address.addr);
    let other = Page::open(&fresh);
    assert_ne!(page.token, other.token);
    assert_eq!(page.run, other.run);
    alice.quit();
}

#[test]
fn a_token_outlives_a_restart_on_the_same_port() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().to_str().unwrap();
    let start = |bridge: &str| {
        let options = Options::bare("alice").args(BROWSER);
        started(options.args(["--data-dir", data, "--bridge", bridge]))
    };
    let (mut alice, address) = start("0");
    let before = Page::open(&address);
    let port = address.addr.port().to_string();
    alice.quit();
    let (mut alice, address) = start(&port);
    let after = Page::again(address.addr, &before.token);
    assert_ne!(after.run, before.run, "the page learns that this is another run");
    assert_ne!(after.snapshot["room"]["id"], before.snapshot["room"]["id"]);
    assert_eq!(after.snapshot["self"]["id"], before.snapshot["self"]["id"]);
    // A tab that was duplicated has the same token as the first.
    let twin = Page::again(address.addr, &before.token);
    assert_eq!(twin.run, after.run);
    alice.quit();
}

#[test]
fn without_anything_kept_a_token_ends_with_its_run() {
    let (mut alice, address) = browser("alice");
    let token = Page::open(&address).token;
    let token = Page::again(address.addr, &token).token;
    alice.quit();
    let (mut alice, address) = browser("alice");
    let (_, answer) = greeted(address.addr, json!({"token": token}));
    assert_eq!(answer["code"], "expired_address");
    alice.quit();
}

#[test]
fn two_browser_peers_on_one_machine_need_no_options() {
    // Of this machine's real ports only the page's may be in use by another program.
    let home = tempfile::tempdir().unwrap();
    let start = |name: &str| {
        let options = Options::bare(name).args(["--ui", "browser", "--no-open"]);
        started(options.env("XDG_DATA_HOME", home.path()))
    };
    let (mut alice, to_alice) = start("alice");
    let (mut bob, to_bob) = start("bob");
    assert_ne!(to_alice.addr.port(), to_bob.addr.port());
    let (mut first, mut second) = (Page::open(&to_alice), Page::open(&to_bob));
    assert_eq!(first.snapshot["self"]["temporary"], false);
    assert_eq!(second.snapshot["self"]["temporary"], true);
    let addresses = first.snapshot["addresses"].as_array().unwrap();
    let address = addresses.iter().filter_map(Value::as_str).find(|a| a.starts_with("127."));
    second.done(json!({"command": "connect", "address": address.unwrap()}));
    first.expect(json!({"event": "joined"}));
    first.done(json!({"command": "say", "text": "hello from page to page"}));
    second.expect(json!({"event": "message", "text": "hello from page to page"}));
    alice.quit();
    bob.quit();
}

#[test]
fn a_port_that_was_chosen_is_never_replaced() {
    let (mut alice, address) = browser("alice");
    let port = address.addr.port().to_string();
    let options = Options::bare("bob").args(BROWSER).args(["--ephemeral", "--bridge", &port]);
    let mut bob = options.launch();
    bob.expect(json!({"event": "error", "code": "port_in_use"}));
    assert_eq!(bob.ended(), 3);
    alice.quit();
}

#[test]
fn the_question_is_answered_and_the_end_of_a_pipe_ends_nothing() {
    let options =
        ["--ephemeral", "--no-open", "--json", "--listen", "127.0.0.1:0", "--bridge", "0"];
    let mut program = Program::run("alice", options);
    program.type_line("y");
    program.close_stdin();
    let line: Value = serde_json::from_str(&program.expect_line("\"bridge\"")).unwrap();
    let address = Address::of(line["url"].as_str().unwrap());
    let mut page = Page::open(&address);
    page.done(json!({"command": "say", "text": "still here"}));
    program.signal(Signal::TERM);
    page.expect(json!({"event": "stopped", "exit_code": 0}));
    assert_eq!(program.end(), 0);
}

#[test]
fn the_terminal_opens_the_bridge_when_it_is_asked_to() {
    let mut alice = Options::new("alice").args(["--bridge", "0"]).start();
    alice.done("said before");
    alice.done("browser");
    let page = Page::open(&printed(&mut alice));
    assert_eq!(page.snapshot["messages"][0]["text"], "said before");
    // This is not browser mode: the end of stdin ends it, though nobody else was ever here.
    assert_eq!(alice.end(), 1);
}
