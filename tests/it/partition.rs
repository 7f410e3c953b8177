//! A room whose halves are cut apart, and what becomes of it when they find each other again.
//!
//! Members teach each other their addresses, so nothing but a network that really is cut keeps
//! them apart: two network namespaces and the cable between them. They are made in a user
//! namespace, so that no rights are needed where the system lets everybody make one, and nothing
//! of it outlives the test.

use std::process::Command;

use serde_json::json;

use crate::common::{Options, Peer, alone, is_alone, join};

const OWN_NETWORK: [&str; 5] = ["unshare", "--user", "--map-root-user", "--net", "--mount"];
/// Peers live at addresses that do not go away with the cable.
const LEFT: &str = "10.77.1.1";
const RIGHT: &str = "10.77.2.1";

#[test]
fn two_halves_converge_after_a_cut() {
    let check = "mount -t tmpfs none /run && ip netns add x && ip netns exec x true";
    let can =
        Command::new(OWN_NETWORK[0]).args(&OWN_NETWORK[1..]).args(["sh", "-c", check]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this computer lets nobody make a network of one's own (unshare, ip)");
        return;
    }
    alone("partition::cut_and_heal", &OWN_NETWORK);
    alone("partition::halves_change_the_password", &OWN_NETWORK);
}

fn shell(script: &str) {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

fn lay_cable() {
    shell("mount -t tmpfs none /run; ip netns add left; ip netns add right");
    shell("ip -n left link add cable type veth peer name cable netns right");
    for (side, home, cable) in [("left", LEFT, "10.77.0.1"), ("right", RIGHT, "10.77.0.2")] {
        shell(&format!(
            "ip -n {side} link set lo up; ip -n {side} addr add {home}/32 dev lo; \
             ip -n {side} addr add {cable}/24 dev cable"
        ));
    }
    heal();
}

fn heal() {
    for (side, home, other, gate) in
        [("left", LEFT, RIGHT, "10.77.0.2"), ("right", RIGHT, LEFT, "10.77.0.1")]
    {
        shell(&format!(
            "ip -n {side} link set cable up; \
             ip -n {side} route replace {other}/32 via {gate} src {home}"
        ));
    }
}

fn cut() {
    shell("ip -n right link set cable down");
}

fn start(name: &str, side: &str, home: &str) -> Peer {
    Options::bare(name)
        .args(["--ui", "terminal", "--ephemeral", "--listen", &format!("{home}:0")])
        .within(&["ip", "netns", "exec", side])
        .start()
}

#[test]
#[ignore = "in a network of its own, by the test above"]
fn cut_and_heal() {
    if !is_alone() {
        return;
    }
    lay_cable();
    let mut alice = start("alice", "left", LEFT);
    let mut bob = start("bob", "left", LEFT);
    let mut carol = start("carol", "right", RIGHT);
    let mut dave = start("dave", "right", RIGHT);
    for peer in [&mut bob, &mut carol, &mut dave] {
        join(peer, &mut alice);
    }
    for peer in [&mut alice, &mut bob, &mut carol, &mut dave] {
        peer.done("wait members 3");
    }
    alice.done("before the cut");
    for peer in [&mut bob, &mut carol, &mut dave] {
        peer.hears("before the cut");
    }

    cut();
    // Some speak before they know, some after.
    alice.done("alice, in the cut");
    carol.done("carol, in the cut");
    bob.hears("alice, in the cut");
    dave.hears("carol, in the cut");
    for (peer, gone) in [
        (&mut alice, ["carol", "dave"]),
        (&mut bob, ["carol", "dave"]),
        (&mut carol, ["alice", "bob"]),
        (&mut dave, ["alice", "bob"]),
    ] {
        for name in gone {
            peer.expect(json!({"event": "member_left", "member": {"name": name}}));
        }
    }
    bob.done("bob, alone with alice");
    dave.done("dave, alone with carol");
    alice.hears("bob, alone with alice");
    carol.hears("dave, alone with carol");

    heal();
    let all = [
        "before the cut",
        "alice, in the cut",
        "carol, in the cut",
        "bob, alone with alice",
        "dave, alone with carol",
    ];
    for peer in [&mut alice, &mut bob, &mut carol, &mut dave] {
        peer.done("wait members 3");
        for text in all {
            while peer.all(json!({"event": "message", "text": text})).is_empty() {
                peer.hears(text);
            }
        }
    }
    let orders: Vec<_> = [&mut alice, &mut bob, &mut carol, &mut dave].map(order).into();
    assert!(orders.iter().all(|order| *order == orders[0]), "{orders:?}");
    assert_eq!(orders[0].len(), all.len());
}

/// Closed before the cut, each half changes the password, and one removes somebody of the other.
/// When they meet, nobody is lost but the removed, and one password opens the room.
#[test]
#[ignore = "in a network of its own, by the test above"]
fn halves_change_the_password() {
    if !is_alone() {
        return;
    }
    lay_cable();
    let mut alice = start("alice", "left", LEFT);
    let mut bob = start("bob", "left", LEFT);
    let mut carol = start("carol", "right", RIGHT);
    let mut dave = start("dave", "right", RIGHT);
    alice.done("password of all four");
    for peer in [&mut bob, &mut carol, &mut dave] {
        crate::removing::enter(peer, &mut alice, "of all four");
    }
    for peer in [&mut alice, &mut bob, &mut carol, &mut dave] {
        peer.done("wait members 3");
    }
    cut();
    for (peer, gone) in [
        (&mut alice, ["carol", "dave"]),
        (&mut bob, ["carol", "dave"]),
        (&mut carol, ["alice", "bob"]),
        (&mut dave, ["alice", "bob"]),
    ] {
        for name in gone {
            peer.expect(json!({"event": "member_left", "member": {"name": name}}));
        }
    }
    alice.done("password of the left half");
    bob.expect(json!({"event": "room_locked", "by": {"name": "alice"}}));
    carol.done("password of the right half");
    dave.expect(json!({"event": "room_locked", "by": {"name": "carol"}}));
    alice.done("/remove dave");
    bob.expect(json!({"event": "member_removed", "member": {"name": "dave"}}));
    alice.done("password of the left half again");
    bob.expect(json!({"event": "room_locked", "by": {"name": "alice"}}));

    heal();
    for peer in [&mut carol, &mut dave] {
        peer.expect(json!({"event": "member_removed", "member": {"name": "dave"},
            "by": {"name": "alice"}}));
    }
    for peer in [&mut alice, &mut bob, &mut carol] {
        peer.done("wait members 2");
        let text = format!("{} is here", peer.program.name);
        peer.done(&text);
    }
    for peer in [&mut alice, &mut bob, &mut carol] {
        for name in ["alice", "bob", "carol"] {
            peer.hears(&format!("{name} is here"));
        }
    }
    // The founder's, who knew of the removal, is in force at all of them.
    let mut erin = start("erin", "right", RIGHT);
    for member in [&alice, &carol] {
        for wrong in ["of all four", "of the right half", "of the left half"] {
            let number = erin.say(&format!("connect {}", member.address));
            erin.say(wrong);
            erin.failed(number, "wrong_password");
        }
    }
    crate::removing::enter(&mut erin, &mut carol, "of the left half again");
    erin.done("I am in");
    for peer in [&mut alice, &mut bob, &mut carol] {
        peer.hears("I am in");
        peer.quit();
        assert!(peer.all(json!({"event": "room_locked", "me_out": true})).is_empty());
    }
}

/// Every message of a peer in the room's order, heard to the end.
fn order(peer: &mut Peer) -> Vec<(String, String)> {
    peer.quit();
    let said = peer.all(json!({"event": "message"}));
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let mut said: Vec<_> =
        said.iter().map(|message| (text(&message["order"]), text(&message["text"]))).collect();
    said.sort();
    said
}
