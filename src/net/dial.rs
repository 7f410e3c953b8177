//! Dialling: from an address, typed by a person or advertised by a member, to a channel.
//!
//! Names are resolved on a separate thread, because nothing can interrupt that. All addresses of a
//! name are tried, each a little after the one before (RFC 8305, "Happy Eyeballs"), under one
//! deadline; closing the connection or ending the program interrupts it.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};
use socket2::{Domain, Protocol, Socket, Type};

use super::conn::Connection;
use super::life::{self, Opened};
use super::preamble::{self, PreambleError};
use super::stream::Stream;
use super::{Net, interfaces, spoken};
use crate::crypto::binding::{Role, Side};
use crate::router::event::{Event, Target};
use crate::router::ids::ConnId;
use crate::router::notice::{Code, Failure};
use crate::router::text::Untrusted;
use crate::sys::errors::is_connecting;
use crate::thread;

/// Timeout of a connect attempt.
const CONNECT_TIMEOUT_MS: u64 = 10_000;
/// How many addresses of one name are tried.
const ADDRESSES_MAX: usize = 8;
/// Delay before the next address is tried as well (RFC 8305, 5).
const STAGGER: Duration = Duration::from_millis(250);
/// First and longest pause between two checks of the sockets that are connecting.
const LOOK_MIN: Duration = Duration::from_micros(200);
const LOOK_MAX: Duration = Duration::from_millis(20);
/// How often a dial that waits for a name checks whether it is still wanted.
const SLICE: Duration = Duration::from_millis(50);

/// Starts a dial, which ends with [`Event::ConnOpened`] or [`Event::DialFailed`].
///
/// # Errors
/// When the system cannot start another thread: then nothing is reported.
pub fn start(net: &Arc<Net>, id: ConnId, target: Target, role: Role) -> io::Result<()> {
    let shared = Arc::clone(net);
    net.conns.start(id, &net.limits, None, move |conn| {
        let dialled = || dial(&shared, conn, target, role);
        life::run(&shared, conn, || or_report(&shared, conn, dialled));
    })
}

/// Starts a connection as its dialer, over an existing stream that was not dialled by an address of
/// its own. It ends with [`Event::ConnOpened`] or [`Event::DialFailed`].
///
/// # Errors
/// As [`start`].
pub fn start_over(
    net: &Arc<Net>,
    id: ConnId,
    (stream, remote): (Arc<dyn Stream>, SocketAddr),
    role: Role,
) -> io::Result<()> {
    let shared = Arc::clone(net);
    net.conns.start(id, &net.limits, None, move |conn| {
        let dialled = || open(&shared, conn, (stream, remote), role, &spoken(remote));
        life::run(&shared, conn, || or_report(&shared, conn, dialled));
    })
}

fn or_report(
    net: &Net,
    conn: &Connection,
    dialled: impl FnOnce() -> Result<Opened, Failure>,
) -> Option<Opened> {
    let panicked = "the connection failed inside klatch; please report this";
    let failure = Some(Failure::new(Code::IoError, panicked));
    let mut report = DialReport { net, conn, failure };
    match dialled() {
        Ok(opened) => {
            report.failure = None;
            Some(opened)
        }
        Err(failure) => {
            report.failure = Some(failure);
            None
        }
    }
}

/// Reports a failed dial, even if its thread panics.
struct DialReport<'a> {
    net: &'a Net,
    conn: &'a Connection,
    failure: Option<Failure>,
}

impl Drop for DialReport<'_> {
    fn drop(&mut self) {
        if let Some(failure) = self.failure.take() {
            // Without a router there is nobody to tell.
            let _ = self.net.inbox.send(Event::DialFailed { conn: self.conn.id, failure });
        }
    }
}

fn dial(net: &Net, conn: &Connection, target: Target, role: Role) -> Result<Opened, Failure> {
    let time = Duration::from_millis(CONNECT_TIMEOUT_MS);
    let deadline = Instant::now() + time;
    let (addrs, name) = match target {
        Target::Addr(addr) => (zoned(addr)?, spoken(addr)),
        Target::Host { host, port } => match host.parse::<IpAddr>() {
            Ok(ip) => (zoned(SocketAddr::new(ip, port))?, spoken(SocketAddr::new(ip, port))),
            Err(_) => {
                let name = format!("{} port {port}", Untrusted::new(host.as_str()).line());
                (resolve(conn, host, port, deadline)?, name)
            }
        },
    };
    let (stream, remote) =
        connect(conn, &addrs, deadline).map_err(|missed| missed.failure(&name, time))?;
    open(net, conn, (Arc::new(stream), remote), role, &name)
}

/// The dialer's part of a new channel.
fn open(
    net: &Net,
    conn: &Connection,
    (stream, remote): (Arc<dyn Stream>, SocketAddr),
    role: Role,
    name: &str,
) -> Result<Opened, Failure> {
    let since = Instant::now();
    conn.attach(&stream, remote.ip());
    let patience = Duration::from_millis(net.limits.handshake_deadline_ms);
    let channel = preamble::dial(&stream, remote, role, since + patience);
    let (channel, h) = channel.map_err(|error| no_channel(error, conn, name, patience))?;
    Ok(Opened { side: Side::Dialer, role, channel, h, since })
}

/// The addresses to dial. A link-local one is valid on one network only, and people or members
/// often do not say on which (RFC 4007, 11.2: each computer has zones of its own), so it is tried
/// on every network that there is.
fn zoned(addr: SocketAddr) -> Result<Vec<SocketAddr>, Failure> {
    match addr {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 => {
            in_zones(v6, &interfaces::zones())
        }
        addr => Ok(vec![addr]),
    }
}

fn in_zones(addr: SocketAddrV6, zones: &[u32]) -> Result<Vec<SocketAddr>, Failure> {
    if zones.is_empty() {
        let text = format!(
            "nobody answers at {}: that address is good on a network right beside this computer \
             only, and it has none: is the cable plugged in, and IPv6 switched on?",
            spoken(addr.into())
        );
        return Err(Failure::new(Code::Unreachable, text));
    }
    let zones = zones.iter().take(ADDRESSES_MAX);
    Ok(zones.map(|&zone| SocketAddrV6::new(*addr.ip(), addr.port(), 0, zone).into()).collect())
}

/// Whether the router, or the end of the program, wants this dial to end.
fn is_unwanted(conn: &Connection) -> bool {
    conn.is_shut() || conn.outbox.is_ending()
}

fn resolve(
    conn: &Connection,
    host: String,
    port: u16,
    deadline: Instant,
) -> Result<Vec<SocketAddr>, Failure> {
    let name = Untrusted::new(host.as_str()).line();
    let is_zoned = host.contains('%');
    let (answer, answered) = bounded(1);
    let started = thread::spawn_exempt("resolver", move || {
        let addrs = (host.as_str(), port).to_socket_addrs();
        let addrs = addrs.map(|addrs| addrs.take(ADDRESSES_MAX).collect::<Vec<_>>());
        // The dial may have ended meanwhile.
        let _ = answer.send(addrs);
    });
    started.map_err(|error| Failure::new(Code::IoError, format!("no thread to dial: {error}")))?;
    loop {
        match answered.recv_timeout(SLICE) {
            Ok(Ok(addrs)) if !addrs.is_empty() => return Ok(addrs),
            Err(RecvTimeoutError::Timeout) if is_unwanted(conn) => return Err(cancelled(&name)),
            Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
            Err(RecvTimeoutError::Timeout) => {
                let text = format!(
                    "no answer to the question for the address of {name}: \
                    is this computer online?"
                );
                return Err(Failure::new(Code::Timeout, text));
            }
            _ if is_zoned => {
                let text = format!(
                    "{name} names a network interface that this computer does not have: leave out \
                     what follows the %, and klatch tries them all"
                );
                return Err(Failure::new(Code::NameNotFound, text));
            }
            _ => {
                let text = format!("no address is known for {name}: is the name spelt right?");
                return Err(Failure::new(Code::NameNotFound, text));
            }
        }
    }
}

/// Why no address could be reached.
enum Missed {
    Cancelled,
    TimedOut,
    Failed(io::Error),
}

impl Missed {
    fn failure(self, name: &str, time: Duration) -> Failure {
        let error = match self {
            Self::Cancelled => return cancelled(name),
            Self::TimedOut => return timed_out(name, time),
            Self::Failed(error) => error,
        };
        let (code, why) = match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                (Code::Unreachable, "the connection was refused: is klatch running there?")
            }
            io::ErrorKind::TimedOut => return timed_out(name, time),
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
                (Code::Unreachable, "there is no way to that network: is this computer online?")
            }
            io::ErrorKind::HostUnreachable => {
                (Code::Unreachable, "there is no way to that computer: is it on, and online?")
            }
            io::ErrorKind::PermissionDenied => (
                Code::Unreachable,
                "this computer itself forbids it: a route of its own says `prohibit`, or its \
                 firewall does; `ip route get` and the address show which",
            ),
            io::ErrorKind::InvalidInput => (
                Code::Unreachable,
                "this computer itself drops what goes there: a route of its own says \
                 `blackhole`; `ip route get` and the address show it",
            ),
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported => (
                Code::Unreachable,
                "this computer has no address of that kind: is IPv6 switched on here?",
            ),
            _ => {
                let text = format!("nobody answers at {name}: {error}");
                return Failure::new(Code::Unreachable, text);
            }
        };
        Failure::new(code, format!("nobody answers at {name}: {why}"))
    }
}

fn cancelled(name: &str) -> Failure {
    Failure::new(Code::Cancelled, format!("the connection to {name} is no longer wanted"))
}

fn timed_out(name: &str, time: Duration) -> Failure {
    let seconds = time.as_secs_f32();
    let text = format!(
        "no answer from {name} in {seconds} s: is klatch running there, and does its firewall \
         allow this port?"
    );
    Failure::new(Code::Timeout, text)
}

/// Connects to the first of `addrs` that answers.
fn connect(
    conn: &Connection,
    addrs: &[SocketAddr],
    deadline: Instant,
) -> Result<(TcpStream, SocketAddr), Missed> {
    let mut waiting = addrs.iter().copied();
    let mut trying: Vec<(Socket, SocketAddr)> = Vec::new();
    let mut last_error = io::Error::from(io::ErrorKind::HostUnreachable);
    let mut next_at = Instant::now();
    let mut pause = LOOK_MIN;
    loop {
        let now = Instant::now();
        if trying.is_empty() || now >= next_at {
            match waiting.next().map(|addr| (begin(addr), addr)) {
                Some((Ok(socket), addr)) => trying.push((socket, addr)),
                Some((Err(error), _)) => last_error = error,
                None if trying.is_empty() => return Err(Missed::Failed(last_error)),
                None => {}
            }
            (next_at, pause) = (now + STAGGER, LOOK_MIN);
        }
        let mut connected = None;
        trying.retain(|(socket, addr)| match look(socket, *addr) {
            Ok(true) => {
                connected = connected.or(Some(*addr));
                true
            }
            Ok(false) => true,
            Err(error) => {
                last_error = error;
                false
            }
        });
        let found = trying.iter().position(|(_, addr)| Some(*addr) == connected);
        if let Some((socket, addr)) = found.map(|at| trying.swap_remove(at)) {
            return finish(socket).map(|stream| (stream, addr)).map_err(Missed::Failed);
        }
        if is_unwanted(conn) {
            return Err(Missed::Cancelled);
        }
        if now >= deadline {
            return Err(Missed::TimedOut);
        }
        std::thread::sleep(pause);
        pause = (2 * pause).min(LOOK_MAX);
    }
}

/// Begins to connect without waiting.
fn begin(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    match socket.connect(&addr.into()) {
        Err(error) if !is_connecting(&error) => Err(error),
        _ => Ok(socket),
    }
}

/// Whether the socket is connected now.
fn look(socket: &Socket, addr: SocketAddr) -> io::Result<bool> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    if socket.peer_addr().is_err() {
        return Ok(false);
    }
    // A socket that dials a free port of its own computer can connect to itself (RFC 9293, 3.5).
    let own = socket.local_addr()?.as_socket();
    if own == Some(addr) {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(true)
}

fn finish(socket: Socket) -> io::Result<TcpStream> {
    socket.set_nonblocking(false)?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

fn no_channel(error: PreambleError, conn: &Connection, name: &str, patience: Duration) -> Failure {
    let seconds = patience.as_secs_f32();
    match error {
        PreambleError::Closed if is_unwanted(conn) => cancelled(name),
        PreambleError::Closed => Failure::new(
            Code::NotKlatch,
            format!("{name} closed the connection without a word: is it klatch that runs there?"),
        ),
        PreambleError::TimedOut => Failure::new(
            Code::Timeout,
            format!(
                "{name} took the connection but said nothing for {seconds} s: is it klatch that \
                 runs there?"
            ),
        ),
        PreambleError::NotKlatch | PreambleError::Noise(_) => Failure::new(
            Code::NotKlatch,
            format!("what answers at {name} is not klatch: is the port right?"),
        ),
        PreambleError::Version(theirs) => Failure::new(
            Code::VersionMismatch,
            format!(
                "{name} speaks version {theirs} of klatch's protocol and this program version \
                 {}: update the older one",
                preamble::MAJOR
            ),
        ),
        PreambleError::Busy => Failure::new(
            Code::TooManyAttempts,
            format!("{name} has too many connections under way: try again in a second"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_local_address_without_a_zone_is_tried_in_every_zone() {
        let SocketAddr::V6(addr) = "[fe80::1]:51692".parse().unwrap() else { panic!() };
        let all = in_zones(addr, &[2, 7]).unwrap();
        let texts: Vec<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["[fe80::1%2]:51692", "[fe80::1%7]:51692"]);
        let failure = in_zones(addr, &[]).unwrap_err();
        assert!(failure.text.contains("fe80::1") && failure.text.contains("cable"), "{failure:?}");
        // An address with a zone stays as it is, and so does any that needs none.
        for text in ["[fe80::1%3]:51692", "[::1]:51692", "169.254.1.1:51692"] {
            let addr: SocketAddr = text.parse().unwrap();
            assert_eq!(zoned(addr).unwrap(), [addr]);
        }
    }

    #[test]
    fn what_the_own_routes_forbid_is_told_in_words() {
        use crate::sys::errors::Errno;
        for (errno, words) in [
            (Errno::ACCESS, "prohibit"),
            (Errno::PERM, "firewall"),
            (Errno::INVAL, "blackhole"),
            (Errno::NETUNREACH, "is this computer online"),
            (Errno::HOSTUNREACH, "is it on"),
            (Errno::ADDRNOTAVAIL, "IPv6"),
        ] {
            let failure = Missed::Failed(errno.into()).failure("10.1.1.1 port 5", STAGGER);
            assert!(failure.text.contains(words), "{errno:?}: {}", failure.text);
            assert!(!failure.text.contains("os error"), "{}", failure.text);
        }
    }
}
