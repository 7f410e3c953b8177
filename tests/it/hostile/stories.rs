//! Eve and real programs: what the other files try on whole nodes, repeated from outside.

use std::net::{SocketAddr, TcpListener};

use klatch::crypto::binding::Role;
use klatch::crypto::opaque::Joiner;
use klatch::limits::Limits;
use klatch::router::event::Entry;
use klatch::router::message::{Message, Refusal, Why};
use klatch::wire::opening::Opening;
use serde_json::json;

use super::eve::{Eve, NOWHERE, Records};
use super::host::{Host, password};
use crate::common::{Options, Peer, room};
use crate::removing::enter;

const FIRST: &str = "three blue teapots";
const WRONG: &str = "three green teapots";

fn addr(peer: &Peer) -> SocketAddr {
    peer.address.parse().unwrap()
}

/// Eve was in while the room was open, and spoke. Then it is closed; she comes back to each of the
/// two with everything, as the dialer and as the dialled.
#[test]
fn h11_who_was_in_the_open_room_finds_it_closed() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    bob.done("bob was here");
    alice.hears("bob was here");
    let eve = Eve::new();
    let mut session = eve.join(addr(&alice));
    let ticket = session.ticket();
    session.say(&Message::Records(vec![ticket.clone()]));
    let text = session.chain().text("so was eve");
    session.say(&text);
    alice.hears("so was eve");
    bob.hears("so was eve");
    let (home, known) = eve.leaves(session);
    alice.expect(json!({"event": "member_left", "member": {"name": "eve"}}));
    alice.done(&format!("password {FIRST}"));
    bob.expect(json!({"event": "room_locked"}));
    alice.done("behind the door");
    bob.hears("behind the door");
    let others: Records = known.iter().filter(|of| of.id != ticket.id).cloned().collect();
    let ear = TcpListener::bind("127.0.0.1:0").unwrap();
    let way = format!("connect {}", ear.local_addr().unwrap());
    for chain in [known.clone(), Vec::new(), vec![ticket], others] {
        for peer in [&mut alice, &mut bob] {
            let refusal = eve.again().comes_back(addr(peer), &home, &chain).err();
            assert_eq!(refusal.expect("she is outside").why, Why::NotMember);
            let number = peer.say(&way);
            let refusal = eve.again().goes_on(Eve::answer(&ear), &home, &chain).err();
            assert_eq!(refusal.expect("she is outside").why, Why::NotMember);
            peer.failed(number, "unreachable");
        }
    }
    alice.done("nobody came");
    bob.hears("nobody came");
    for peer in [&mut alice, &mut bob] {
        peer.quit_with(1);
        let came = json!({"event": "member_joined", "member": {"name": "eve"}});
        assert!(peer.all(came).len() <= 1, "{}", peer.program.name);
    }
}

/// A wrong guess that is answered: it costs no computing on this side.
fn guess(to: SocketAddr) -> Option<Refusal> {
    let eve = Eve::new();
    let mut wire = eve.dial(to, Role::Session);
    wire.greet(eve.hello_with(&Entry::Password(password(WRONG))), &NOWHERE);
    let (_, first) = Joiner::start(&password(WRONG)).unwrap();
    wire.say(&Opening::Password { step: 1, bytes: first });
    match wire.told() {
        Ok(Opening::Password { step: 2, .. }) => {}
        Ok(other) => panic!("no answer: {other:?}"),
        Err(refusal) => return Some(refusal),
    }
    wire.say(&Opening::Password { step: 3, bytes: vec![0; 64] });
    wire.refused()
}

/// Guesses until one is not answered, `most` times at most.
fn answered(to: SocketAddr, most: usize) -> usize {
    let tries = (0..most).take_while(|_| match guess(to) {
        Some(Refusal { why: Why::WrongPassword, .. }) => true,
        Some(Refusal { why: Why::TooManyAttempts, wait_ms: Some(1..), .. }) => false,
        other => panic!("neither wrong nor too many: {other:?}"),
    });
    tries.count()
}

/// Being on this computer earns no trust: after three quarters of an hour's guesses the rest is
/// answered slowly, unless the setting says that this computer is trusted.
#[test]
fn h3_guesses_from_this_computer_count_unless_it_is_trusted() {
    let limits = Limits { password_attempts_per_hour: 8, ..Limits::default() };
    let trusting = Limits { trust_loopback: true, ..limits.clone() };
    for (limits, most) in [(limits, 6), (trusting, 20)] {
        let mut alice = Host::with("alice", limits);
        alice.closes(FIRST);
        assert_eq!(answered(alice.addr(), 20), most);
        alice.hears_remark("tried");
    }
}

#[test]
fn h3_the_setting_is_read_and_the_default_is_not_to_trust() {
    let folder = tempfile::tempdir().unwrap();
    let most = Limits::default().password_attempts_per_hour * 3 / 4;
    for (setting, expected) in [("", most), ("trust_loopback = true\n", most + 5)] {
        std::fs::write(folder.path().join("settings.toml"), setting).unwrap();
        let dir = folder.path().display().to_string();
        let mut alice = Options::bare("alice")
            .args(["--ui", "terminal", "--listen", "127.0.0.1:0", "--data-dir", &dir])
            .start();
        alice.done(&format!("password {FIRST}"));
        assert_eq!(answered(addr(&alice), most + 5), expected, "{setting}");
        if expected > most {
            // And guests who know the password were never kept out.
            let mut bob = Peer::start("bob");
            enter(&mut bob, &mut alice, FIRST);
        }
        alice.quit_with(0);
    }
}

/// Eve's guests, and her records from before the removal, change nothing for members who slept: a
/// program that was stopped during the removal learns of it from the first that tells it, even eve.
#[test]
fn h17_a_sleeper_follows_the_removal_as_soon_as_it_hears() {
    use rustix::process::Signal;
    let mut alice = Peer::start("alice");
    alice.done(&format!("password {FIRST}"));
    let eve = Eve::new();
    let session = eve.join_with(addr(&alice), Some(&password(FIRST)), Vec::new());
    let (home, _) = session.goes();
    let mut bob = Peer::start("bob");
    enter(&mut bob, &mut alice, FIRST);
    // Bob sleeps until alice considers him gone, so that nothing of hers is on its way to him.
    bob.program.signal(Signal::STOP);
    let left = |_: &Message| false;
    alice.expect(json!({"event": "member_left", "member": {"name": "bob"}}));
    let mut session = eve.again().comes_back(addr(&alice), &home, &[]).expect("a member");
    alice.done("/remove eve");
    let refusal = session.hear_or("the removal", left).unwrap_err();
    let removal = refusal.record.expect("it is shown");
    alice.program.signal(Signal::STOP);
    bob.program.signal(Signal::CONT);
    bob.expect(json!({"event": "member_left", "member": {"name": "alice"}}));
    // He has not heard of it: to him she is a member.
    let again = eve.again();
    let mut with_bob = again.comes_back(addr(&bob), &home, &[]).expect("he does not know yet");
    let text = with_bob.chain().text("do you still talk to me?");
    with_bob.say(&text);
    bob.hears("do you still talk to me?");
    alice.program.signal(Signal::CONT);
    bob.expect(json!({"event": "member_removed", "member": {"name": "eve"},
        "by": {"name": "alice"}}));
    let refusal = with_bob.hear_or("the removal", left).unwrap_err();
    assert_eq!((refusal.why, refusal.record), (Why::Removed, Some(removal)));
    let refusal = eve.again().comes_back(addr(&bob), &home, &[]).err();
    assert_eq!(refusal.expect("he knows now").why, Why::Removed);
    bob.done("the two of us");
    alice.hears("the two of us");
}
