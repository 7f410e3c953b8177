//! A room whose halves are cut off from each other, and what happens when they meet again.
//!
//! Members tell each other their addresses, so only a real cut keeps them apart: two network
//! namespaces and a cable between them. They are made in a user namespace, so that they need no
//! rights where the system lets everybody make one, and nothing outlives the test.

use std::process::Command;

use serde_json::json;

use crate::common::{Options, Peer, alone, is_alone, join};

const OWN_NETWORK: [&str; 5] = ["unshare", "--user", "--map-root-user", "--net", "--mount"];
/// The peers' addresses do not go away with the cable.
const LEFT: &str = "10.77.1.1";
const RIGHT: &str = "10.77.2.1";

/// Whether this computer lets us create networks.
fn can_part() -> bool {
    let check = "mount -t tmpfs none /run && ip netns add x && ip netns exec x true";
    let can =
        Command::new(OWN_NETWORK[0]).args(&OWN_NETWORK[1..]).args(["sh", "-c", check]).output();
    let can = can.is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("skipped: this computer lets nobody make a network of one's own (unshare, ip)");
    }
    can
}

#[test]
fn two_halves_converge_after_a_cut() {
    if can_part() {
        alone("partition::cut_and_heal", &OWN_NETWORK);
        alone("partition::halves_change_the_password", &OWN_NETWORK);
    }
}

#[test]
fn link_local_addresses_are_enough_and_own_routes_are_told_in_words() {
    if can_part() {
        alone("partition::on_one_cable", &OWN_NETWORK);
        alone("partition::forbidden_ways", &OWN_NETWORK);
    }
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

/// Two peers on each side of a cable that can be cut.
fn four() -> [Peer; 4] {
    lay_cable();
    let places = [("alice", "left", LEFT), ("bob", "left", LEFT), ("carol", "right", RIGHT)];
    let [alice, bob, carol] = places.map(|(name, side, home)| start(name, side, home));
    [alice, bob, carol, start("dave", "right", RIGHT)]
}

#[test]
#[ignore = "in a network of its own, by the test above"]
fn cut_and_heal() {
    if !is_alone() {
        return;
    }
    let [mut alice, mut bob, mut carol, mut dave] = four();
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
    // Some speak before they notice the cut, some after.
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

/// The room was closed before the cut. Each half changes the password, and one removes a member of
/// the other. When they meet, only the removed is lost, and one password opens the room.
#[test]
#[ignore = "in a network of its own, by the test above"]
fn halves_change_the_password() {
    if !is_alone() {
        return;
    }
    let [mut alice, mut bob, mut carol, mut dave] = four();
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
    // The founder's password, set with the removal known, is in force for all of them.
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

/// Every message of a peer in the room's order, after all have arrived.
fn order(peer: &mut Peer) -> Vec<(String, String)> {
    peer.quit();
    let said = peer.all(json!({"event": "message"}));
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let mut said: Vec<_> =
        said.iter().map(|message| (text(&message["order"]), text(&message["text"]))).collect();
    said.sort();
    said
}

/// Three computers on one cable without a router: there are only link-local addresses. An address
/// without a zone works, third members find each other, and all relink after an outage.
#[test]
#[ignore = "in a network of its own, by the test above"]
fn on_one_cable() {
    if !is_alone() {
        return;
    }
    shell("mount -t tmpfs none /run; ip netns add hub; ip -n hub link add hub type bridge");
    shell("ip -n hub link set hub up");
    for (number, place) in ["a", "b", "c"].into_iter().enumerate() {
        shell(&format!(
            "ip netns add {place}; \
             ip netns exec {place} sh -c 'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad'; \
             ip -n hub link add port{place} type veth peer name cable netns {place}; \
             ip -n hub link set port{place} master hub up; \
             ip -n {place} link set cable address 02:00:00:00:00:0{number}; \
             ip -n {place} link set lo up; ip -n {place} link set cable up; \
             until ip -n {place} addr show cable | grep -q 'inet6 fe80'; do sleep 0.05; done"
        ));
    }
    let mut peers = ["a", "b", "c"].map(|place| {
        Options::bare(place)
            .args(["--ui", "terminal", "--ephemeral", "--listen", "51692"])
            .within(&["ip", "netns", "exec", place])
            .start()
    });
    let [a, b, c] = &mut peers;
    assert_eq!(a.address, "[fe80::ff:fe00:0]:51692");
    b.done("connect fe80::ff:fe00:0%cable 51692");
    c.done("connect fe80::ff:fe00:0 51692");
    let linked = |peers: &mut [Peer; 3]| {
        for peer in peers.iter_mut() {
            let all = |event: &serde_json::Value| {
                let rows = event["list"].as_array().unwrap();
                rows.len() == 3
                    && rows.iter().all(|row| row["own"] == true || row["linked"] == true)
            };
            loop {
                peer.done("members");
                let members = peer.expect(json!({"event": "members"}));
                if all(&members) {
                    break;
                }
                peer.done("wait 0.2");
            }
        }
    };
    for peer in &mut peers {
        peer.done("wait members 2");
    }
    linked(&mut peers);
    shell("ip -n hub link set porta down");
    for name in ["b", "c"] {
        peers[0].expect(json!({"event": "member_left", "member": {"name": name}}));
    }
    shell("ip -n hub link set porta up");
    for peer in &mut peers {
        peer.done("wait members 2");
    }
    linked(&mut peers);
}

/// If the system's own routes forbid or drop packets, the error says so, and not by number.
#[test]
#[ignore = "in a network of its own, by the test above"]
fn forbidden_ways() {
    if !is_alone() {
        return;
    }
    shell("mount -t tmpfs none /run; ip netns add left; ip -n left link set lo up");
    for (kind, address) in [
        ("prohibit", "10.1.1.1"),
        ("blackhole", "10.1.1.2"),
        ("unreachable", "10.1.1.3"),
        ("prohibit", "2001:db8::1"),
        ("blackhole", "2001:db8::2"),
    ] {
        shell(&format!("ip -n left route add {kind} {address}"));
    }
    let mut alice = start("alice", "left", "127.0.0.1");
    for (address, words) in [
        ("10.1.1.1", "`prohibit`"),
        ("10.1.1.2", "`blackhole`"),
        ("10.1.1.3", "no way to that computer"),
        ("10.2.2.2", "no way to that network"),
        ("2001:db8::1", "`prohibit`"),
        ("2001:db8::2", "`blackhole`"),
        ("fe80::5", "right beside this computer"),
    ] {
        let text = alice.refused(&format!("connect {address} 51692"), "unreachable");
        assert!(text.contains(words) && !text.contains("os error"), "{address}: {text}");
    }
    let text = alice.refused("connect fe80::5%nosuch 51692", "name_not_found");
    assert!(text.contains("network interface"), "{text}");
    alice.quit_with(1);
}
