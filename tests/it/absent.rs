//! P5: members who were away come back without typing anything, whatever changed meanwhile.

use rustix::process::Signal;
use serde_json::json;

use crate::common::Peer;
use crate::removing::enter;

const SECRET: &str = "three blue teapots";

/// Ten people and eve are in the room, each let in by another. Eight sleep through five password
/// changes and the removal of eve. All ten come back, and eve does not.
#[test]
fn eight_of_ten_sleep_through_changes_and_come_back() {
    let mut peers = vec![Peer::start("alice")];
    peers[0].done(&format!("password {SECRET}"));
    for n in 1..10 {
        let mut peer = Peer::start(&format!("peer{n}"));
        // Each is let in by another: the tickets are a tree.
        enter(&mut peer, &mut peers[(n - 1) / 2], SECRET);
        peers.push(peer);
    }
    let mut eve = Peer::start("eve");
    enter(&mut eve, &mut peers[1], SECRET);
    for peer in &mut peers {
        peer.done("wait members 10");
    }
    eve.done("wait members 10");
    // Sleepers stand above and below those who are awake, 0 and 1.
    for peer in &peers[2..] {
        peer.program.signal(Signal::STOP);
    }
    let (awake, asleep) = peers.split_at_mut(2);
    for peer in awake.iter_mut() {
        for other in asleep.iter() {
            peer.expect(json!({"event": "member_left", "member": {"id": other.id}}));
        }
    }
    for n in 0..5 {
        awake[n % 2].done(&format!("password number {n} of five"));
        awake[1 - n % 2].expect(json!({"event": "room_locked"}));
    }
    // Bob let her in, and alice is above him.
    awake[1].done("/remove eve");
    awake[0].expect(json!({"event": "member_removed", "member": {"id": eve.id}, "also": []}));
    eve.expect(json!({"event": "member_removed", "me_out": true}));
    awake[0].done("password after the removal");
    awake[1].expect(json!({"event": "room_locked"}));
    awake[0].done("said while you slept");
    for peer in asleep.iter() {
        peer.program.signal(Signal::CONT);
    }
    for peer in asleep.iter_mut() {
        peer.hears("said while you slept");
    }
    for peer in &mut peers {
        peer.done("wait members 9");
        let text = format!("{} is back", peer.program.name);
        peer.done(&text);
    }
    let texts: Vec<String> =
        peers.iter().map(|peer| format!("{} is back", peer.program.name)).collect();
    for peer in &mut peers {
        for text in &texts {
            peer.hears(text);
        }
    }
    for peer in &peers[2..] {
        eve.refused(&format!("connect {}", peer.address), "removed");
    }
    for peer in &mut peers {
        peer.quit();
        let removed = json!({"event": "member_removed", "member": {"id": eve.id}});
        assert_eq!(peer.all(removed).len(), 1, "{}", peer.program.name);
        let asked = peer.all(json!({"event": "password_required"})).len();
        assert_eq!(asked, usize::from(peer.program.name != "alice"), "only to come in");
        assert!(peer.all(json!({"event": "room_locked", "me_out": true})).is_empty());
    }
}
