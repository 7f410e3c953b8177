//! HTTP/1.1 (RFC 9112), as much of it as a page needs: heads under a deadline and a limit, bodies
//! of a known length, answers with security headers.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tungstenite::handshake::derive_accept_key;

/// A browser that takes nothing of what was written, or sends nothing, for this long is cut off.
pub(super) const STUCK: Duration = Duration::from_secs(10);
/// Idle timeout of a connection without a request.
const IDLE_MS: u64 = 15_000;
/// From the first byte of a head to its last, absolute.
const HEAD_MS: u64 = 5_000;
/// Most bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// Most headers of a request: browsers send about twenty.
const HEADERS_MAX: usize = 64;
/// Bytes read at a time while a head arrives.
const PIECE_BYTES: usize = 4 * 1024;
/// What a browser may do with any answer: nothing except show this origin's own page.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' blob:; media-src 'self'; connect-src 'self'; frame-ancestors 'none'; \
    base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'";
/// How long to keep reading from a refused connection, so that its sender sees the answer and not a
/// broken connection.
const DRAIN: Duration = Duration::from_millis(500);
/// The same for the body of a file.
const DRAIN_BODY: Duration = Duration::from_secs(10);

/// What a request may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Put,
    Other,
}

/// Why a head was not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reject {
    /// With this status.
    With(u16),
    /// Nobody is there to be answered.
    Gone,
}

/// The head of a request.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: Method,
    /// As it came, with percent-encoding; begins with a slash.
    pub(super) path: String,
    /// As it came; empty if there is none.
    pub(super) query: String,
    /// Bytes of the body, if stated.
    pub(super) length: Option<u64>,
    pub(super) keep_alive: bool,
    /// Names in lower case.
    headers: Vec<(String, String)>,
}

impl Head {
    /// The head at the beginning of `bytes`, and its length; `None` until it is complete.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<(usize, Self)>, Reject> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => {
                Self::parse(&request).map(|head| Some((length, head)))
            }
            Ok(httparse::Status::Partial) => Ok(None),
            Err(httparse::Error::TooManyHeaders) => Err(Reject::With(431)),
            Err(_) => Err(Reject::With(400)),
        }
    }

    fn parse(parsed: &httparse::Request<'_, '_>) -> Result<Self, Reject> {
        let bad = Reject::With(400);
        if parsed.version != Some(1) {
            return Err(Reject::With(505));
        }
        let method = match parsed.method.unwrap_or_default() {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "PUT" => Method::Put,
            _ => Method::Other,
        };
        let target = parsed.path.filter(|target| target.starts_with('/')).ok_or(bad)?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = Vec::new();
        for header in parsed.headers.iter() {
            let value = str::from_utf8(header.value).map_err(|_| Reject::With(400))?;
            headers.push((header.name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut head = Self {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            length: None,
            keep_alive: true,
            headers,
        };
        // A length that can be read in two ways allows requests to be smuggled.
        if head.count("transfer-encoding") > 0 {
            return Err(Reject::With(411));
        }
        head.length = match head.count("content-length") {
            0 => None,
            _ => Some(head.only("content-length").and_then(read_number).ok_or(Reject::With(400))?),
        };
        head.keep_alive = !head.has_word("connection", "close");
        Ok(head)
    }

    /// The value of a header that came exactly once.
    pub(super) fn only(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(other, _)| other == name);
        let (_, value) = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// How often a header came.
    pub(super) fn count(&self, name: &str) -> usize {
        self.headers.iter().filter(|(other, _)| other == name).count()
    }

    /// The origin that the request states.
    pub(super) fn origin(&self) -> Option<&str> {
        self.only("origin")
    }

    /// Whether a header with a list of words contains this one.
    fn has_word(&self, name: &str, word: &str) -> bool {
        let values = self.headers.iter().filter(|(other, _)| other == name);
        values.flat_map(|(_, value)| value.split(',')).any(|w| w.trim().eq_ignore_ascii_case(word))
    }

    /// Proof that the request for a WebSocket was understood (RFC 6455, 4.2.2); `None` if the
    /// request is not valid.
    pub(super) fn websocket_accept(&self) -> Option<String> {
        let asks = self.has_word("upgrade", "websocket") && self.has_word("connection", "upgrade");
        let version = self.only("sec-websocket-version") == Some("13");
        let key = self.only("sec-websocket-key")?;
        let fits = key.len() == 24 && self.length.unwrap_or(0) == 0;
        (asks && version && fits).then(|| derive_accept_key(key.as_bytes()))
    }

    /// A parameter of the query, decoded; `None` if it is missing or not text.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
        percent_decoded(value)
    }
}

/// Digits only: `u64::from_str` would accept a sign.
pub(super) fn read_number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Undoes percent-encoding (RFC 3986, 2.1); `None` if the result is not text.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Status and headers of an answer.
#[derive(Debug)]
pub(super) struct Reply {
    status: u16,
    headers: String,
    policy: Option<&'static str>,
}

impl Reply {
    pub(super) fn new(status: u16) -> Self {
        Self { status, headers: String::new(), policy: Some(PAGE_POLICY) }
    }

    /// Adds a header; it is left out if either part contains a line break.
    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        if !value.contains(['\r', '\n']) {
            self.headers.push_str(&format!("{name}: {value}\r\n"));
        }
        self
    }

    /// A policy that differs from the page's.
    pub(super) fn policy(self, policy: &'static str) -> Self {
        Self { policy: Some(policy), ..self }
    }

    /// No policy: for what is always a part of a page, which has one.
    pub(super) fn part(self) -> Self {
        Self { policy: None, ..self }
    }

    fn text(&self, length: Option<u64>, keep_alive: bool) -> String {
        let Self { status, headers, policy } = self;
        let reason = reason(*status);
        let length = length.map(|length| format!("Content-Length: {length}\r\n"));
        let length = length.unwrap_or_default();
        let connection = if keep_alive { "" } else { "Connection: close\r\n" };
        let policy = policy.map(|policy| {
            format!(
                "Content-Security-Policy: {policy}\r\nReferrer-Policy: no-referrer\r\n\
                 Cross-Origin-Opener-Policy: same-origin\r\n"
            )
        });
        let policy = policy.unwrap_or_default();
        format!(
            "HTTP/1.1 {status} {reason}\r\n{headers}{length}{connection}{policy}\
             X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\n\r\n"
        )
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        206 => "Partial Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "Internal Server Error",
    }
}

/// The other end of a connection.
#[derive(Debug)]
pub(super) struct Client<'a> {
    stream: &'a Arc<TcpStream>,
    /// Whether it showed a key.
    proven: &'a AtomicBool,
    /// Bytes read but not used: the beginning of a body, or further requests.
    pending: Vec<u8>,
}

impl<'a> Client<'a> {
    pub(super) fn new(stream: &'a Arc<TcpStream>, proven: &'a AtomicBool) -> Self {
        Self { stream, proven, pending: Vec::new() }
    }

    /// It showed a key that only one of klatch's pages has: it gives way to nobody.
    pub(super) fn prove(&self) {
        self.proven.store(true, Ordering::SeqCst);
    }

    /// Its socket.
    pub(super) fn stream(&self) -> &'a Arc<TcpStream> {
        self.stream
    }

    /// The bytes after the head.
    pub(super) fn take_pending(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.pending)
    }

    /// The next head; `None` if there will be none.
    pub(super) fn head(&mut self) -> Result<Option<Head>, Reject> {
        let idle = Duration::from_millis(IDLE_MS);
        if self.pending.is_empty() {
            match self.read_more(Instant::now() + idle) {
                Ok(0) | Err(_) => return Ok(None),
                Ok(_) => {}
            }
        }
        let deadline = Instant::now() + Duration::from_millis(HEAD_MS);
        loop {
            if let Some((length, head)) = Head::read(&self.pending)? {
                self.pending.drain(..length);
                return Ok(Some(head));
            }
            if self.pending.len() >= HEAD_BYTES {
                return Err(Reject::With(431));
            }
            match self.read_more(deadline) {
                Ok(0) => return Err(Reject::Gone),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => return Err(Reject::With(408)),
                Err(_) => return Err(Reject::Gone),
            }
        }
    }

    fn read_more(&mut self, deadline: Instant) -> io::Result<usize> {
        let mut piece = [0; PIECE_BYTES];
        let count = read(self.stream, &mut piece, Some(deadline))?;
        self.pending.extend_from_slice(piece.get(..count).unwrap_or_default());
        Ok(count)
    }

    /// Reads some of a body; 0 at its end.
    pub(super) fn read_body(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if !self.pending.is_empty() {
            let count = (&*self.pending).read(out)?;
            self.pending.drain(..count);
            return Ok(count);
        }
        self.stream.set_read_timeout(Some(STUCK))?;
        read(self.stream, out, None)
    }

    /// Whether the other end has closed the connection.
    pub(super) fn is_gone(&self) -> bool {
        let patience = Duration::from_millis(1);
        if !self.pending.is_empty() || self.stream.set_read_timeout(Some(patience)).is_err() {
            return false;
        }
        match self.stream.peek(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => !is_timeout(&error) && error.kind() != io::ErrorKind::Interrupted,
        }
    }

    /// Sends a whole answer.
    pub(super) fn respond(&mut self, head: &Head, reply: &Reply, body: &[u8]) -> io::Result<()> {
        let text = reply.text(Some(body.len() as u64), head.keep_alive);
        self.write(text.as_bytes())?;
        if head.method == Method::Head { Ok(()) } else { self.write(body) }
    }

    /// Sends the head of an answer whose body, of `length` bytes, follows by [`Client::write`].
    pub(super) fn begin(&mut self, head: &Head, reply: &Reply, length: u64) -> io::Result<()> {
        self.write(reply.text(Some(length), head.keep_alive).as_bytes())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        write(self.stream, bytes, STUCK)
    }

    /// Tells the client to send the body (RFC 9110, 10.1.1).
    pub(super) fn go_on(&mut self, head: &Head) -> io::Result<()> {
        if head.has_word("expect", "100-continue") {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        Ok(())
    }

    /// Announces that a WebSocket follows.
    pub(super) fn upgrade(&mut self, accept: &str) -> io::Result<()> {
        let text = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        self.write(text.as_bytes())
    }

    /// Refuses a request, which ends the connection.
    pub(super) fn refuse(&mut self, status: u16) {
        self.last_words(&Reply::new(status), reason(status).as_bytes(), DRAIN);
    }

    /// Refuses a file whose bytes may be on their way.
    pub(super) fn refuse_body(&mut self, reply: &Reply, answer: &[u8]) {
        self.last_words(reply, answer, DRAIN_BODY);
    }

    /// Keeps reading for a while: closing a connection that has unread bytes resets it, and the
    /// answer would be lost.
    fn last_words(&mut self, reply: &Reply, body: &[u8], patience: Duration) {
        let text = reply.text(Some(body.len() as u64), false);
        let sent = self.write(text.as_bytes()).and_then(|()| self.write(body));
        if sent.and_then(|()| self.stream.shutdown(Shutdown::Write)).is_err() {
            return;
        }
        let deadline = Instant::now() + patience;
        let mut buffer = vec![0; 16 * PIECE_BYTES];
        while read(self.stream, &mut buffer, Some(deadline)).is_ok_and(|count| count > 0) {}
    }
}

/// From now on blocking reads end at `deadline`.
fn set_read_deadline(stream: &TcpStream, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    // The system rounds to microseconds, and takes zero for no timeout.
    stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))
}

/// Reads until `deadline`, or for as long as was set before; again if klatch was stopped (Ctrl-Z)
/// and continues, because Linux then ends reads that have a timeout (signal(7)).
pub(super) fn read(
    mut stream: &TcpStream,
    out: &mut [u8],
    deadline: Option<Instant>,
) -> io::Result<usize> {
    loop {
        if let Some(deadline) = deadline {
            set_read_deadline(stream, deadline)?;
        }
        match stream.read(out) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Writes all of `bytes` within `patience`: if the system takes a byte now and then for a page that
/// reads nothing, that must not delay its end. The time starts afresh if klatch was stopped
/// (Ctrl-Z) and continues. Only one thread at a time may write.
pub(super) fn write(
    mut stream: &TcpStream,
    mut bytes: &[u8],
    patience: Duration,
) -> io::Result<()> {
    let mut deadline = Instant::now() + patience;
    while !bytes.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_write_timeout(Some(left.max(Duration::from_millis(1))))?;
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                deadline = Instant::now() + patience;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Systems use both to report that a read waited too long.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use socket2::SockRef;

    use super::*;

    #[test]
    fn whoever_takes_a_little_now_and_then_does_not_hold_a_write_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut slow = listener.accept().unwrap().0;
        SockRef::from(&stream).set_send_buffer_size(64 * 1024).unwrap();
        SockRef::from(&slow).set_recv_buffer_size(64 * 1024).unwrap();
        let reading = std::thread::spawn(move || {
            let mut some = vec![0; 64 * 1024];
            while slow.read(&mut some).is_ok_and(|count| count > 0) {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let all = vec![7; 16 * 1024 * 1024];
        let error = write(&stream, &all, Duration::from_millis(300)).unwrap_err();
        assert!(is_timeout(&error), "{error}");
        drop(stream);
        reading.join().unwrap();
    }
}
