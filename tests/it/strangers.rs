//! Connecting to something that is not klatch, or to nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::common::{Peer, join};

/// A server that does this with its connections, until the test ends.
fn server(treat: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(treat));
    addr
}

#[test]
fn nobody_listens_there() {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut alice = Peer::start("alice");
    let text = alice.refused(&format!("connect 127.0.0.1 {}", addr.port()), "unreachable");
    assert!(text.contains("127.0.0.1") && text.contains(&addr.port().to_string()), "{text}");
    let text = alice.refused(&format!("connect [::1]:{}", addr.port()), "unreachable");
    assert!(text.contains("::1"), "{text}");
    alice.done("members");
}

#[test]
fn nobody_accepts_there() {
    // Nobody accepts connections here, and no more fit into the queue: new ones get lost, as they
    // do behind a firewall.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    let fill = || {
        let other = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        other.set_nonblocking(true).unwrap();
        // Stays in progress for ever.
        let _ = other.connect(&addr.into());
        other
    };
    let _queued: Vec<Socket> = (0..4).map(|_| fill()).collect();
    let mut alice = Peer::start("alice");
    let text = alice.refused(&format!("connect {addr}"), "timeout");
    let wanted = format!(
        "no answer from 127.0.0.1 port {} in 10 s: is klatch running there, and does its firewall \
         allow this port?",
        addr.port()
    );
    assert_eq!(text, wanted);
}

#[test]
fn somebody_takes_the_connection_and_says_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut alice = Peer::start("alice");
    let number = alice.say(&format!("connect {}", silent.local_addr().unwrap()));
    let (mut conn, _) = silent.accept().unwrap();
    let mut first = [0; 8];
    conn.read_exact(&mut first).unwrap();
    assert_eq!(&first[..6], b"KLATCH");
    alice.failed(number, "timeout");
    // Nothing is left over: the connection is closed.
    assert!(conn.read_to_end(&mut Vec::new()).is_ok());
}

#[test]
fn a_web_server_is_no_klatch() {
    let web = server(|mut conn| {
        let _ = conn.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    });
    let closing = server(drop);
    let noise = server(|mut conn| {
        let _ = conn.write_all(&[0xa5; 4096]);
    });
    let mut alice = Peer::start("alice");
    for addr in [web, closing, noise] {
        let text = alice.refused(&format!("connect {addr}"), "not_klatch");
        assert!(text.contains(&addr.port().to_string()), "{text}");
    }
}

#[test]
fn a_newer_klatch_is_told_apart() {
    let newer = server(|mut conn| {
        let _ = conn.write_all(b"KLATCH\x63\x01");
        let _ = conn.read(&mut [0; 64]);
    });
    let mut alice = Peer::start("alice");
    let text = alice.refused(&format!("connect {newer}"), "version_mismatch");
    assert!(text.contains("99"), "{text}");
}

#[test]
fn who_knocks_without_being_klatch_disturbs_nobody() {
    let mut alice = Peer::start("alice");
    for first in
        [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"\x16\x03\x01\x02\x00", &[0; 999], b""]
    {
        let mut conn = TcpStream::connect(&alice.address).unwrap();
        // The peer may close before all is written.
        let _ = conn.write_all(first);
    }
    let mut older = TcpStream::connect(&alice.address).unwrap();
    older.write_all(b"KLATCH\x00\x01").unwrap();
    let mut answer = [0; 8];
    older.read_exact(&mut answer).unwrap();
    assert_eq!(&answer[..6], b"KLATCH", "it learns at least which version is spoken here");
    let mut bob = Peer::start("bob");
    join(&mut bob, &mut alice);
    bob.done("all is well");
    alice.hears("all is well");
    alice.quit();
    assert!(alice.all(json!({"event": "error"})).is_empty());
    assert_eq!(alice.all(json!({"event": "member_joined"})).len(), 0);
}

#[test]
fn a_command_after_a_failed_one_works() {
    let mut alice = Peer::start("alice");
    let mut bob = Peer::start("bob");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bob.refused(&format!("connect {nobody}"), "unreachable");
    join(&mut bob, &mut alice);
    bob.done("here after all");
    alice.hears("here after all");
    assert_eq!(bob.end(), 1);
    assert_eq!(alice.end(), 0);
}
