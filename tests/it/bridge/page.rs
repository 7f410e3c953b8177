//! A page as a browser runs it, without the browser: HTTP requests and a WebSocket.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

use crate::common::{DEADLINE, Options, Peer};

/// A klatch in browser mode that keeps nothing, and where its page is.
pub(super) fn browser(name: &str) -> (Peer, Address) {
    started(Options::bare(name).args(BROWSER).args(["--ephemeral", "--bridge", "0"]))
}

pub(super) const BROWSER: [&str; 5] = ["--ui", "browser", "--no-open", "--listen", "127.0.0.1:0"];

/// A peer that was started in browser mode, and the address that it printed.
pub(super) fn started(options: Options) -> (Peer, Address) {
    let mut peer = options.start();
    let address = printed(&mut peer);
    (peer, address)
}

/// The next address that the peer prints.
pub(super) fn printed(peer: &mut Peer) -> Address {
    let event = peer.expect(json!({"event": "bridge"}));
    Address::of(event["url"].as_str().unwrap())
}

/// Where a page is, and the code that opens it once.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) addr: SocketAddr,
    pub(super) code: String,
}

impl Address {
    pub(super) fn of(url: &str) -> Self {
        let (place, code) = url.split_once("/#").unwrap();
        let addr = place.strip_prefix("http://").unwrap().parse().unwrap();
        Self { addr, code: code.to_owned() }
    }
}

/// A page that is open.
pub(super) struct Page {
    pub(super) socket: WebSocket<TcpStream>,
    pub(super) addr: SocketAddr,
    pub(super) token: String,
    pub(super) run: String,
    pub(super) snapshot: Value,
    /// What it heard, and whether the test has expected it.
    events: Vec<(Value, bool)>,
    line: u64,
}

/// An upgraded connection on which nothing was said yet.
pub(super) fn socket(addr: SocketAddr) -> WebSocket<TcpStream> {
    let mut request = format!("ws://{addr}/ws").into_client_request().unwrap();
    let origin = format!("http://{addr}").parse().unwrap();
    request.headers_mut().insert("Origin", origin);
    let stream = connect(addr);
    tungstenite::client(request, stream).unwrap().0
}

pub(super) fn connect(addr: SocketAddr) -> TcpStream {
    // However much the system would buffer for a reader that does not read.
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(256 * 1024).unwrap();
    socket.connect(&addr.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// What klatch answers to the first message of a page.
pub(super) fn greeted(addr: SocketAddr, hello: Value) -> (WebSocket<TcpStream>, Value) {
    let mut socket = socket(addr);
    socket.send(Message::text(json!({ "hello": hello }).to_string())).unwrap();
    let answer = next(&mut socket).expect("an answer");
    (socket, answer)
}

/// The next event; `None` when the connection ends, or nothing comes in time.
pub(super) fn next(socket: &mut WebSocket<TcpStream>) -> Option<Value> {
    let deadline = Instant::now() + DEADLINE;
    // Pings keep coming, so the socket's own timeout never strikes.
    while Instant::now() < deadline {
        match socket.read() {
            Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
            Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
    None
}

impl Page {
    pub(super) fn open(address: &Address) -> Self {
        Self::greet(address.addr, json!({ "code": address.code }))
    }

    /// Comes back with the token of an earlier visit.
    pub(super) fn again(addr: SocketAddr, token: &str) -> Self {
        Self::greet(addr, json!({ "token": token }))
    }

    fn greet(addr: SocketAddr, hello: Value) -> Self {
        let (socket, session) = greeted(addr, hello);
        assert_eq!(session["event"], "session", "{session}");
        let text = |name: &str| session[name].as_str().unwrap().to_owned();
        let (token, run) = (text("token"), text("run"));
        let (events, snapshot) = (Vec::new(), Value::Null);
        let mut page = Self { socket, addr, token, run, snapshot, events, line: 0 };
        page.snapshot = page.expect(json!({"event": "snapshot"}));
        page
    }

    /// Gives a command without waiting; returns its number.
    pub(super) fn give(&mut self, mut command: Value) -> u64 {
        self.line += 1;
        command["line"] = self.line.into();
        self.socket.send(Message::text(command.to_string())).unwrap();
        self.line
    }

    /// Gives a command and waits until it succeeds.
    pub(super) fn done(&mut self, command: Value) {
        let line = self.give(command.clone());
        let ended = self.ended(line);
        assert_eq!(ended["event"], "command_done", "{command}: {ended}");
    }

    /// Gives a command and waits until it fails with this code.
    pub(super) fn refused(&mut self, command: Value, code: &str) {
        let line = self.give(command.clone());
        let ended = self.ended(line);
        assert_eq!(ended["code"], code, "{command}: {ended}");
    }

    fn ended(&mut self, line: u64) -> Value {
        self.expect_that("end of a command", |event| {
            event["line"] == line && (event["event"] == "command_done" || event["event"] == "error")
        })
    }

    /// Waits for an event, heard before or not, that has at least these fields and that no earlier
    /// expectation took.
    pub(super) fn expect(&mut self, pattern: Value) -> Value {
        self.expect_that(&pattern.to_string(), |event| fits(event, &pattern))
    }

    pub(super) fn expect_that(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let taken = self.events.iter_mut().find(|(event, used)| !used && wanted(event));
        if let Some((event, used)) = taken {
            *used = true;
            return event.clone();
        }
        let deadline = Instant::now() + DEADLINE;
        while let Some(event) = next(&mut self.socket) {
            assert!(Instant::now() < deadline, "no {what} in time");
            let found = wanted(&event);
            self.events.push((event.clone(), found));
            if found {
                return event;
            }
        }
        let last = self.events.iter().rev().take(5);
        let last: Vec<String> =
            last.map(|(event, _)| event.to_string().chars().take(500).collect()).collect();
        panic!("no {what}; what came last:\n{}", last.join("\n"))
    }

    /// The path under which this page gets a file.
    pub(super) fn media(&mut self, offer: &str) -> String {
        self.done(json!({"command": "media", "offer": offer}));
        let media = self.expect(json!({"event": "media", "line": self.line}));
        media["url"].as_str().unwrap().to_owned()
    }
}

/// Whether an event has at least the fields of a pattern.
pub(super) fn fits(event: &Value, pattern: &Value) -> bool {
    match (event, pattern) {
        (Value::Object(event), Value::Object(pattern)) => pattern
            .iter()
            .all(|(name, wanted)| event.get(name).is_some_and(|value| fits(value, wanted))),
        (Value::Array(event), Value::Array(pattern)) => {
            let pairs = || event.iter().zip(pattern);
            event.len() == pattern.len() && pairs().all(|(value, wanted)| fits(value, wanted))
        }
        _ => event == pattern,
    }
}

/// An answer to a request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Sends a request with this method and target, and the page's own headers.
pub(super) fn request(addr: SocketAddr, line: &str, headers: &str) -> Answer {
    let head = format!("{line} HTTP/1.1\r\nHost: {addr}\r\n{headers}\r\n");
    raw(addr, head.as_bytes())
}

pub(super) fn get(addr: SocketAddr, path: &str, headers: &str) -> Answer {
    request(addr, &format!("GET {path}"), headers)
}

/// Sends bytes and reads one answer.
pub(super) fn raw(addr: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = connect(addr);
    stream.write_all(bytes).unwrap();
    answer(&mut stream)
}

pub(super) fn answer(stream: &mut TcpStream) -> Answer {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        let read = stream.read_exact(&mut byte);
        assert!(read.is_ok(), "{read:?} after {}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let (status, headers) = head.trim_end().split_once("\r\n").unwrap();
    let status = status.split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = headers
        .lines()
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut answer = Answer { status, headers, body: Vec::new() };
    let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
    answer.body = vec![0; length];
    stream.read_exact(&mut answer.body).unwrap();
    answer
}
