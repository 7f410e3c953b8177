//! Eve in the middle: relays that split, cut, repeat and reflect.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use klatch::router::command::Command;

use super::host::{Host, content};
use super::tamper::{CLEAR, pass_records};
use crate::common::relay;

/// Relays every connection to `to`. `tamper` sees each record of connection 0, 1, … with the side
/// that it comes from (0 dialer, 1 listener) and its number from that side, and returns what to
/// pass in its place; `None` cuts the connection.
fn tampering(
    to: SocketAddr,
    tamper: impl Fn((usize, usize), usize, Vec<u8>) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> SocketAddr {
    let carry = relay(Ipv4Addr::UNSPECIFIED, to, move |(conn, side), from, into| {
        pass_records(from, into, CLEAR[side], |number, record| {
            tamper((conn, side), number, record)
        });
        [from, into].iter().for_each(|end| drop(end.shutdown(Shutdown::Both)));
    });
    carry.unwrap()
}

/// Relays every connection byte by byte.
fn splitter(to: SocketAddr) -> SocketAddr {
    let split = relay(Ipv4Addr::UNSPECIFIED, to, |_, mut from, mut into| {
        let mut room = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut room) {
            if room[..count].iter().any(|byte| into.write_all(&[*byte]).is_err()) {
                break;
            }
        }
    });
    split.unwrap()
}

#[test]
fn w2_a_relay_that_splits_at_every_offset_changes_nothing() {
    let (mut alice, mut bob) = (Host::locked("alice", "correct horse"), Host::new("bob"));
    alice.say("before");
    let bytes = content(2, 100_000);
    alice.send("report.pdf", &bytes);
    bob.connect_with(splitter(alice.addr()), "correct horse").unwrap();
    bob.hears_text("before");
    bob.say("from bob");
    alice.hears_text("from bob");
    bob.download("report.pdf").unwrap();
    assert!(bob.saved()[0].1 == bytes);
}

/// A newcomer's connection is cut after `cut` records of one side; then it connects undisturbed.
fn cut_and_come_again(password: Option<&str>, side: usize, cut: usize) {
    let mut alice = match password {
        Some(password) => Host::locked("alice", password),
        None => Host::new("alice"),
    };
    let mut bob = Host::new("bob");
    let via = tampering(alice.addr(), move |(_, from), number, record| {
        (from != side || number < cut).then_some(record)
    });
    let connect = |bob: &mut Host, to| match password {
        Some(password) => bob.connect_with(to, password),
        None => bob.connect(to),
    };
    let first = connect(&mut bob, via);
    // Hello, the messages of the plan, and each side's identity come before anything is committed.
    if cut < 3 {
        assert!(first.is_err(), "complete behind {cut} records of side {side}");
    }
    let again = connect(&mut bob, alice.addr());
    assert_eq!(again, Ok(()), "{password:?} {side} {cut}");
    bob.say("here I am");
    alice.hears_text("here I am");
    assert_eq!((alice.linked(), bob.linked()), (1, 1));
}

#[test]
fn w4_a_handshake_cut_at_any_record_changes_nothing() {
    for side in [0, 1] {
        for cut in 0..7 {
            cut_and_come_again(None, side, cut);
        }
        for cut in 0..8 {
            cut_and_come_again(Some("correct horse"), side, cut);
        }
    }
}

/// Alice's records that pass untouched: the handshake, the agreement, the first have-vectors, and
/// her address as bob saw it, without which he cannot redial her.
const UNDISTURBED: usize = 12;

/// Bob links through a relay that tampers with records of the first connection, then hears what
/// alice says: everything, once, over a later link.
fn heard_once_through(
    what: &str,
    tamper: impl Fn(usize, Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
) {
    let (mut alice, mut bob) = (Host::new("alice"), Host::new("bob"));
    let connections = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&connections);
    let via = tampering(alice.addr(), move |(connection, side), number, record| {
        seen.fetch_max(connection + 1, Ordering::SeqCst);
        match (connection, side) {
            (0, 1) if number >= UNDISTURBED => Some(tamper(number, record)),
            _ => Some(record),
        }
    });
    bob.connect(via).unwrap();
    for number in 0..12 {
        alice.say(&format!("line {number}"));
    }
    bob.hears_text("line 11");
    alice.say("the end");
    bob.say("mine");
    alice.hears_text("mine");
    assert_eq!(bob.run(Command::Members), Ok(()));
    assert_eq!(bob.linked(), 1, "{what}");
    let repeated =
        bob.rest().iter().filter(|notice| format!("{notice:?}").contains("line ")).count();
    assert_eq!(repeated, 0, "{what}");
}

#[test]
fn w5_replayed_duplicated_and_reordered_records_show_nothing_twice() {
    heard_once_through("duplicated", |_, record| [&record[..], &record].concat());
    let old = std::sync::Mutex::new(Vec::new());
    heard_once_through("replayed", move |number, record| {
        let mut old = old.lock().unwrap();
        if number == UNDISTURBED + 1 {
            *old = record.clone();
        }
        if number == UNDISTURBED + 3 { old.clone() } else { record }
    });
    let held = std::sync::Mutex::new(Vec::new());
    heard_once_through("reordered", move |number, record| {
        let mut held = held.lock().unwrap();
        match number % 2 {
            0 => {
                *held = record;
                Vec::new()
            }
            _ => [record, std::mem::take(&mut held)].concat(),
        }
    });
    heard_once_through("altered", |_, mut record| {
        *record.last_mut().unwrap() ^= 1;
        record
    });
}

#[test]
fn w5_what_a_side_said_sent_back_to_it_ends_the_connection() {
    // Hello, the messages of the plan, identity: nothing is committed before these.
    for reflected in 0..3 {
        let (alice, mut bob) = (Host::new("alice"), Host::new("bob"));
        let via = relay(Ipv4Addr::UNSPECIFIED, alice.addr(), move |(_, side), from, into| {
            pass_records(from, into, CLEAR[side], |number, record| {
                let reflects = side == 0 && number == reflected;
                let (mut back, passed) = (from, if reflects { Vec::new() } else { record.clone() });
                (!reflects || back.write_all(&record).is_ok()).then_some(passed)
            });
        });
        let via = via.unwrap();
        assert!(bob.connect(via).is_err(), "{reflected}");
        assert_eq!(bob.linked(), 0);
        drop(alice);
    }
}

#[test]
fn w7_a_node_never_links_with_itself() {
    let mut alice = Host::new("alice");
    let addr = alice.addr();
    let failure = alice.connect(addr).unwrap_err();
    assert_eq!(failure.code.word(), "self_connect");
    let via = splitter(alice.addr());
    assert_eq!(alice.connect(via).unwrap_err().code.word(), "self_connect");
    assert_eq!(alice.linked(), 0);
}

#[test]
fn w7_two_that_connect_at_once_have_exactly_one_link() {
    for _ in 0..8 {
        let (mut alice, mut bob) = (Host::new("alice"), Host::new("bob"));
        let (to_alice, to_bob) = (alice.addr(), bob.addr());
        std::thread::scope(|scope| {
            let dialling = scope.spawn(|| alice.connect(to_bob));
            assert_eq!(bob.connect(to_alice), Ok(()));
            assert_eq!(dialling.join().unwrap(), Ok(()));
        });
        alice.say("one");
        bob.hears_text("one");
        for (host, other) in [(&mut alice, "bob"), (&mut bob, "alice")] {
            let members = host.members();
            let others: Vec<_> = members.iter().filter(|member| !member.own).collect();
            assert!(matches!(&others[..], [one] if is_linked(one, other)));
        }
    }
}

fn is_linked(line: &klatch::router::notice::MemberLine, name: &str) -> bool {
    line.linked && line.member.who.name.raw() == name
}
