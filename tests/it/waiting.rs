//! `wait`: what scripts rely on.

use serde_json::json;

use crate::common::{Folder, Peer, join, room};

#[test]
fn time_passes() {
    let mut alice = Peer::start("alice");
    let began = std::time::Instant::now();
    alice.done("wait 0.3");
    // The room's clock counts whole milliseconds.
    assert!(began.elapsed().as_millis() >= 298, "it waited for {:?}", began.elapsed());
    alice.done("wait 0");
}

#[test]
fn members_are_counted_without_oneself() {
    let mut alice = Peer::start("alice");
    alice.done("wait members 0");
    let text = alice.refused("wait members 1 within 0.1", "wait_timeout");
    assert!(text.contains("0 of 1"), "{text}");
    // The wait begins before they come, and ends when they are there.
    let number = alice.say("wait members 2");
    let mut bob = Peer::start("bob");
    let mut carol = Peer::start("carol");
    for peer in [&mut bob, &mut carol] {
        peer.done(&format!("connect {}", alice.address));
    }
    alice.ended_well(number);
    alice.done("wait members 2");
    alice.done("wait members 1");
    bob.quit();
    carol.quit();
    alice.expect(json!({"event": "member_left", "member": {"name": "bob"}}));
    alice.expect(json!({"event": "member_left", "member": {"name": "carol"}}));
    alice.refused("wait members 1 within 0.1", "wait_timeout");
    assert_eq!(alice.end(), 1);
}

#[test]
fn each_message_satisfies_one_wait() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    alice.done("ready, says alice");
    bob.done("ready, says bob");
    alice.hears("ready, says bob");
    // Earlier messages count; one's own do not.
    alice.done("wait message ready");
    alice.refused("wait message ready within 0.1", "wait_timeout");
    let number = alice.say("wait message ready");
    bob.done("ready again");
    alice.ended_well(number);
    // Each wait searches only after the message that satisfied the one before.
    for text in ["first", "second", "third"] {
        bob.done(text);
    }
    alice.done("wait message third");
    alice.refused("wait message first within 0.1", "wait_timeout");
    bob.done("two words, \"quoted\"");
    alice.done("wait message \"two words, \"quoted\"\"");
    bob.done("done within 5");
    // Inside quotes it is not a time.
    alice.done("wait message \"done within 5\" within 20");
    let text = alice.refused("wait message never said within 0.1", "wait_timeout");
    assert!(text.contains("never said"), "{text}");
}

#[test]
fn history_counts_for_a_newcomer() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    alice.done("said before");
    bob.hears("said before");
    let mut carol = Peer::start("carol");
    join(&mut carol, &mut bob);
    carol.done("wait message said before");
}

#[test]
fn files_and_downloads_are_waited_for() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let folder = Folder::new();
    bob.done("wait downloads");
    bob.refused("wait file to come.txt within 0.1", "wait_timeout");
    let number = bob.say("wait file to come.txt");
    alice.done(&format!("send {}", folder.file("to come.txt", b"here")));
    bob.ended_well(number);
    bob.done("wait file \"to come.txt\"");
    // A wait is not satisfied by one's own offer.
    alice.refused("wait file to come.txt within 0.1", "wait_timeout");
    bob.done("download to come.txt");
    bob.done("wait downloads within 1");
}

#[test]
fn what_does_not_fit_the_form_is_refused() {
    let mut alice = Peer::start("alice");
    for line in [
        "wait",
        "wait long",
        "wait members",
        "wait members many",
        "wait members -1",
        "wait file",
        "wait message",
        "wait downloads now",
        "wait 1 2",
    ] {
        let text = alice.refused(line, "usage");
        assert!(text.contains("wait <seconds>") && text.contains("say"), "{text}");
    }
}
