//! Clients that are not the page: other origins, other names, and what is not HTTP or WebSocket.
//! B1, B2, B4, B5, B8; B9 is in `files`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::json;
use tungstenite::Message;

use super::page::{Page, answer, browser, connect, get, next, raw, socket};
use crate::common::{DEADLINE, Peer, join};
#[cfg(target_os = "linux")]
use crate::hostile::wait_within;

/// A request for the WebSocket with these headers in place of the page's own.
fn upgrade(addr: SocketAddr, headers: &str) -> u16 {
    let head = format!(
        "GET /ws HTTP/1.1\r\n{headers}Upgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    raw(addr, head.as_bytes()).status
}

#[test]
fn b1_no_other_origin_gets_a_socket() {
    let (mut alice, address) = browser("alice");
    let (addr, port) = (address.addr, address.addr.port());
    let host = format!("Host: {addr}\r\n");
    for origin in [
        String::new(),
        "Origin: null\r\n".into(),
        "Origin: \r\n".into(),
        "Origin: http://evil.example\r\n".into(),
        format!("Origin: http://127.0.0.1:{}\r\n", port.wrapping_add(1)),
        "Origin: http://127.0.0.1\r\n".into(),
        format!("Origin: https://{addr}\r\n"),
        format!("Origin: http://{addr}.evil.example\r\n"),
        format!("Origin: http://evil.example/{addr}\r\n"),
        format!("Origin: http://{addr}/\r\n"),
        format!("Origin: http://evil@{addr}\r\n"),
        format!("Origin: http://localhost:{port}\r\n"),
        format!("Origin: http://{addr}\r\nOrigin: http://evil.example\r\n"),
        format!("Origin: http://{addr}\r\nOrigin: http://{addr}\r\n"),
    ] {
        assert_eq!(upgrade(addr, &format!("{host}{origin}")), 403, "{origin}");
    }
    assert_eq!(upgrade(addr, &format!("{host}Origin: http://{addr}\r\n")), 101);
    let localhost = format!("localhost:{port}");
    let by_name = format!("Host: {localhost}\r\nOrigin: http://{localhost}\r\n");
    assert_eq!(upgrade(addr, &by_name), 101);
    alice.quit();
}

#[test]
fn b2_no_other_host_gets_anything() {
    let (mut alice, address) = browser("alice");
    let (addr, port) = (address.addr, address.addr.port());
    for host in [
        String::new(),
        "Host: \r\n".into(),
        "Host: evil.example\r\n".into(),
        format!("Host: evil.example:{port}\r\n"),
        "Host: 127.0.0.1\r\n".into(),
        format!("Host: 127.0.0.1.:{port}\r\n"),
        format!("Host: localhost.:{port}\r\n"),
        format!("Host: 127.0.0.2:{port}\r\n"),
        format!("Host: 0.0.0.0:{port}\r\n"),
        format!("Host: 127.1:{port}\r\n"),
        format!("Host: {addr}.evil.example\r\n"),
        format!("Host: evil@{addr}\r\n"),
        format!("Host: {addr}\r\nHost: {addr}\r\n"),
        format!("Host: {addr}\r\nHost: evil.example\r\n"),
        format!("Host: {addr}, evil.example\r\n"),
    ] {
        for path in ["/", "/ws", "/files/x/y"] {
            let head = format!("GET {path} HTTP/1.1\r\n{host}\r\n");
            assert_eq!(raw(addr, head.as_bytes()).status, 403, "{path} {host}");
        }
        let origin = host.replace("Host: ", "Origin: http://");
        assert_eq!(upgrade(addr, &format!("{host}{origin}")), 403, "{host}");
    }
    let page = get(addr, "/", "");
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-security-policy"),
        Some(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
             media-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
             form-action 'none'; require-trusted-types-for 'script'"
        )
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    alice.quit();
}

/// A frame with this first byte, this announced length, and these bytes after the mask.
fn frame(first: u8, length: u64, bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | 127];
    frame.extend(length.to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(bytes);
    frame
}

/// Waits until the other end has closed, and ignores what it says before.
fn closes(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    // A reset ends the connection as well.
    while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
}

#[test]
fn b4_what_is_no_message_of_a_page_ends_the_connection() {
    let (mut alice, address) = browser("alice");
    let token = Page::open(&address).token;
    let open = || Page::again(address.addr, &token);
    let attacks: [(&str, Vec<u8>); 6] = [
        ("a frame of 1 GiB", frame(0x81, 1 << 30, b"")),
        ("a frame of 2^63", frame(0x81, u64::MAX, b"")),
        ("an unmasked frame", vec![0x81, 2, b'{', b'}']),
        ("no UTF-8", frame(0x81, 2, &[0xff, 0xfe])),
        ("a reserved opcode", frame(0x83, 0, b"")),
        ("bytes that are no text", frame(0x82, 1, b"x")),
    ];
    for (what, bytes) in attacks {
        let mut page = open();
        page.socket.get_mut().write_all(&bytes).unwrap();
        closes(page.socket.get_mut());
        println!("{what}: closed");
    }
    // A message that never ends, in small frames.
    let mut page = open();
    let stream = page.socket.get_mut();
    let piece = vec![b'x'; 64 * 1024];
    let mut sent = stream.write_all(&frame(0x01, piece.len() as u64, &piece));
    for _ in 0..64 {
        sent = sent.and_then(|()| stream.write_all(&frame(0x00, piece.len() as u64, &piece)));
    }
    closes(stream);
    // Pings without end.
    let mut page = open();
    let stream = page.socket.get_mut();
    let pings = frame(0x89, 0, b"").repeat(1_000);
    let mut sent = Ok(());
    while sent.is_ok() {
        sent = stream.write_all(&pings);
    }
    // Nonsense inside messages is only answered.
    let mut page = open();
    for text in ["", "{}", "[", "null", r#"{"line":1,"command":"format"}"#] {
        page.socket.send(Message::text(text)).unwrap();
        page.expect(json!({"event": "error", "code": "usage"}));
    }
    page.done(json!({"command": "say", "text": "all well"}));
    alice.quit();
}

#[test]
fn b4_a_socket_without_a_key_is_closed_in_time() {
    let (mut alice, address) = browser("alice");
    let mut silent = socket(address.addr);
    let mut dripping = socket(address.addr);
    let mut eager = socket(address.addr);
    eager.send(Message::text(r#"{"line":1,"command":"quit"}"#)).unwrap();
    assert_eq!(next(&mut eager), None);
    let mut wordy = socket(address.addr);
    wordy.send(Message::text(json!({"hello": {"code": "x".repeat(5_000)}}).to_string())).unwrap();
    assert_eq!(next(&mut wordy), None);
    // Neither gets any further, however it spends its time.
    let drip = dripping.get_mut();
    drip.write_all(&[0x81, 0xfe]).unwrap();
    assert_eq!(next(&mut silent), None);
    assert_eq!(next(&mut dripping), None);
    let mut page = Page::open(&address);
    page.done(json!({"command": "say", "text": "it has not ended"}));
    alice.quit();
}

/// Pages that this program serves.
#[cfg(target_os = "linux")]
fn tabs(program: u32) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{program}/task")).unwrap();
    let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")));
    // A thread may end while we look at it.
    names.filter(|name| name.as_ref().is_ok_and(|name| name == "tab\n")).count()
}

#[cfg(target_os = "linux")]
#[test]
fn b5_a_tab_that_stops_reading_is_cut_and_begins_anew() {
    /// Eight times what the buffers of both ends can hold.
    const MESSAGES: usize = 1_000;
    const LENGTH: usize = 8_000;
    let (mut alice, address) = browser("alice");
    let mut bob = Peer::start("bob");
    join(&mut bob, &mut alice);
    let token = Page::open(&address).token;
    // Nobody reads this one from here on.
    let asleep = Page::again(address.addr, &token);
    let mut awake = Page::again(address.addr, &token);
    let text = "x".repeat(LENGTH);
    let last = format!("{} {text}", MESSAGES - 1);
    let said = text.clone();
    let saying = std::thread::spawn(move || {
        for number in 0..MESSAGES {
            bob.say(&format!("{number} {said}"));
        }
        bob
    });
    awake.expect(json!({"event": "message", "text": last}));
    alice.hears(&last);
    let mut bob = saying.join().unwrap();
    // It cannot be told: the notice would queue behind what it does not read.
    let only = "only the page that reads is left";
    wait_within(DEADLINE, only, || tabs(alice.program.pid()) == 1);
    let mut back = Page::again(address.addr, &asleep.token);
    let messages = back.snapshot["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 200);
    assert_eq!(messages[199]["text"], last);
    assert_eq!(back.snapshot["earlier"], MESSAGES - 200);
    let before = messages[0]["order"].clone();
    back.done(json!({"command": "history", "before": before, "count": 200}));
    let page = back.expect(json!({"event": "history"}));
    assert_eq!(page["earlier"], MESSAGES - 400);
    let page = page["messages"].as_array().unwrap();
    assert_eq!(page[199]["text"], format!("{} {text}", MESSAGES - 201));
    bob.quit();
    alice.quit();
}

#[test]
fn b8_slow_and_hasty_requests_are_answered_or_end() {
    let (mut alice, address) = browser("alice");
    let addr = address.addr;
    // A head that comes byte by byte is given up, and so is one that never begins.
    let mut drip = connect(addr);
    let head = format!("GET / HTTP/1.1\r\nHost: {addr}\r\nX: ");
    drip.write_all(head.as_bytes()).unwrap();
    let silent = connect(addr);
    // Pipelined requests are answered in order.
    let mut hasty = connect(addr);
    let one = format!("GET / HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    let other = format!("GET /nothing HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    hasty.write_all(format!("{one}{other}").repeat(20).as_bytes()).unwrap();
    for _ in 0..20 {
        assert_eq!(answer(&mut hasty).status, 200);
        assert_eq!(answer(&mut hasty).status, 404);
    }
    let long = format!("GET / HTTP/1.1\r\nHost: {addr}\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    assert_eq!(raw(addr, long.as_bytes()).status, 431);
    let many = format!("GET / HTTP/1.1\r\nHost: {addr}\r\n{}\r\n", "X: y\r\n".repeat(100));
    assert_eq!(raw(addr, many.as_bytes()).status, 431);
    for (bytes, status) in [
        ("\0\0\0\0\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), 505),
        (format!("GET http://{addr}/ HTTP/1.1\r\nHost: {addr}\r\n\r\n"), 400),
        (format!("CONNECT {addr} HTTP/1.1\r\nHost: {addr}\r\n\r\n"), 400),
        (format!("POST / HTTP/1.1\r\nHost: {addr}\r\n\r\n"), 405),
        (format!("GET / HTTP/1.1\r\nHost: {addr}\r\nContent-Length: 5\r\n\r\nhello"), 400),
        (format!("GET /ws HTTP/1.1\r\nHost: {addr}\r\nOrigin: http://{addr}\r\n\r\n"), 400),
    ] {
        assert_eq!(raw(addr, bytes.as_bytes()).status, status, "{bytes:?}");
    }
    assert_eq!(answer(&mut drip).status, 408);
    drop(silent);
    alice.quit();
}

#[test]
fn more_tabs_than_there_may_be_are_told_so() {
    let (mut alice, address) = browser("alice");
    let first = Page::open(&address);
    let mut tabs: Vec<_> = (1..8).map(|_| Page::again(first.addr, &first.token)).collect();
    let (_, answer) = super::page::greeted(first.addr, json!({"token": first.token}));
    assert_eq!(answer["code"], "too_many_tabs");
    let gone = tabs.pop().unwrap();
    drop(gone);
    // Its place is free as soon as klatch has noticed that it left.
    let again = || super::page::greeted(first.addr, json!({"token": first.token})).1;
    let event = std::iter::repeat_with(again).find(|answer| answer["event"] == "session");
    assert!(event.is_some());
    alice.quit();
}

/// R9: some other program on this computer took all connections and starved the page.
#[test]
fn r9_connections_without_a_key_give_way_to_the_page() {
    let (mut alice, address) = browser("alice");
    let mut page = Page::open(&address);
    let idle: Vec<TcpStream> =
        (0..200).map(|_| TcpStream::connect(address.addr).unwrap()).collect();
    assert_eq!(get(address.addr, "/", "").status, 200);
    // The page that is open showed its key, and stays.
    page.done(json!({"command": "say", "text": "still here"}));
    drop(idle);
    alice.quit();
}
