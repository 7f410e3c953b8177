//! Strangers at the door, and doors that are not klatch's.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use socket2::{Domain, Socket, Type};

use super::*;
use crate::net::preamble::{MAGIC, MAJOR};
use crate::router::notice::Code;

/// What bob answers to these first bytes before he closes, and how long that takes.
fn answer_to(bob: &Peer, bytes: &[u8]) -> (Vec<u8>, Duration) {
    let mut socket = TcpStream::connect(bob.addr).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let began = Instant::now();
    socket.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    let mut room = [0; 1_024];
    // A reset is an end as well: bob does not read what he does not understand.
    while let Ok(count @ 1..) = socket.read(&mut room) {
        answer.extend_from_slice(&room[..count]);
    }
    (answer, began.elapsed())
}

#[test]
fn h10_other_protocols_get_at_most_one_short_reply() {
    let bob = Peer::new(patient());
    let strangers: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a client hello",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"KLATCHER",
        &[0; 64],
    ];
    for stranger in strangers {
        let (answer, took) = answer_to(&bob, stranger);
        assert!(answer.len() <= 8, "{answer:?}");
        let patience = Duration::from_millis(patient().handshake_deadline_ms);
        assert!(took < patience, "he waited for more: {took:?}");
    }
    assert!(bob.events.try_recv().is_err());
}

#[test]
fn h10_other_versions_and_roles_are_told_ours() {
    let bob = Peer::new(patient());
    for (major, role) in [(MAJOR + 1, 1), (0, 1), (MAJOR, 77)] {
        let mut first = MAGIC.to_vec();
        first.extend([major, role]);
        first.extend([0; 32]);
        let (answer, _) = answer_to(&bob, &first);
        assert_eq!(answer, [&MAGIC[..], &[MAJOR, 0]].concat());
    }
    assert!(bob.events.try_recv().is_err());
}

#[test]
fn r2_bytes_that_drip_do_not_buy_time() {
    let bob = Peer::new(Limits { handshake_deadline_ms: 300, ..Limits::default() });
    let mut socket = TcpStream::connect(bob.addr).unwrap();
    // At this rate they would take 20 seconds.
    let mut dripped = MAGIC.iter().chain(&[MAJOR, 1]).chain(&[9; 1_000]);
    while dripped.next().is_some_and(|byte| socket.write_all(&[*byte]).is_ok()) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(dripped.next().is_some(), "everything was taken");
}

#[test]
fn an_address_with_too_many_connections_is_turned_away_and_told() {
    let bob = Peer::new(patient());
    let places = bob.net.limits.pending_conns_per_addr;
    let knock = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let stranger: SocketAddr = "127.0.0.2:0".parse().unwrap();
        socket.bind(&stranger.into()).unwrap();
        socket.connect(&bob.addr.into()).unwrap();
        TcpStream::from(socket)
    };
    let _waiting: Vec<_> = (0..places).map(|_| knock()).collect();
    let mut told = Vec::new();
    knock().read_to_end(&mut told).unwrap();
    assert_eq!(told, [&MAGIC[..], &[MAJOR, 0xff]].concat());
}

/// What alice is told if the listening program sends `answer`, and then closes or waits.
fn failure(answer: &'static [u8], closes: bool) -> (Code, String) {
    // A silent program takes until the deadline; one that has answered gets all the time it needs.
    let nothing = Limits { handshake_deadline_ms: 300, ..Limits::default() };
    let waits = answer.is_empty() && !closes;
    let alice = Peer::new(if waits { nothing } else { patient() });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let conn = alice.dial_addr(listener.local_addr().unwrap());
    let (mut socket, _) = listener.accept().unwrap();
    socket.read_exact(&mut [0; 40]).unwrap();
    socket.write_all(answer).unwrap();
    if closes {
        drop(socket);
        return failed(&alice, conn);
    }
    failed(&alice, conn)
}

fn failed(alice: &Peer, conn: ConnId) -> (Code, String) {
    match alice.event() {
        Event::DialFailed { conn: failed, failure } if failed == conn => {
            (failure.code, failure.text)
        }
        other => panic!("not failed: {other:?}"),
    }
}

#[test]
fn what_is_no_klatch_is_named_as_what_it_is() {
    assert_eq!(failure(b"HTTP/1.1 400 Bad Request\r\n\r\n", true).0, Code::NotKlatch);
    assert_eq!(failure(b"SSH-2.0-OpenSSH_9.9\r\n", false).0, Code::NotKlatch);
    assert_eq!(failure(b"", true).0, Code::NotKlatch);
    assert_eq!(failure(b"", false).0, Code::Timeout);
    assert_eq!(failure(b"KLATCH\x01\xff", true).0, Code::TooManyAttempts);
    let (code, text) = failure(b"KLATCH\x02\x01", false);
    assert_eq!(code, Code::VersionMismatch);
    assert!(text.contains("version 2"), "{text}");
}

#[test]
fn a_dial_that_nobody_wants_any_more_ends_at_once() {
    let alice = Peer::new(patient());
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let conn = alice.dial_addr(deaf.local_addr().unwrap());
    let _socket = deaf.accept().unwrap();
    alice.net.conns.get(conn).unwrap().shut();
    // After the deadline it would be a timeout.
    assert!(matches!(failed(&alice, conn).0, Code::Cancelled));
}

#[test]
fn every_address_of_a_name_is_tried() {
    let (alice, bob) = (Peer::new(patient()), Peer::new(patient()));
    let conn = ConnId(u64::MAX);
    let target = Target::Host { host: "localhost".into(), port: bob.addr.port() };
    dial::start(&alice.net, conn, target, Role::Session).unwrap();
    assert_eq!(alice.opened(), conn);
}
