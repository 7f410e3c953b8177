//! The listener: binds the port and accepts connections.
//!
//! The accepting thread hands every connection to a thread of its own and never waits for a peer. A
//! connection from its own program wakes it; when descriptors run out it pauses and carries on.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::conn::Connection;
use super::life::{self, Opened};
use super::stream::Stream;
use super::{Net, preamble, spoken};
use crate::crypto::binding::Side;
use crate::router::notice::{Code, Failure};
use crate::sys::sockets::take_lingering_port;

/// The port that klatch listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 51_692;
/// Connections that the system may queue for the accepting thread.
const BACKLOG: i32 = 256;
/// Pause when the system refuses to accept: long enough not to spin, short enough to go unnoticed.
pub const PAUSE: Duration = Duration::from_millis(100);

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Listen {
    /// One address only; all interfaces if `None`.
    pub ip: Option<IpAddr>,
    /// Only this port, or any free one if 0; if `None`, [`DEFAULT_PORT`] or, if that is taken, any
    /// free one.
    pub port: Option<u16>,
}

/// A bound port.
#[derive(Debug)]
pub struct PortListener {
    socket: TcpListener,
    addr: SocketAddr,
}

impl PortListener {
    /// Binds the port.
    ///
    /// # Errors
    /// A [`Failure`] with `port_in_use`, `permission_denied`, `bad_address` or `io_error`.
    pub fn bind(listen: Listen) -> Result<Self, Failure> {
        let port = listen.port.unwrap_or(DEFAULT_PORT);
        let bound = match bind_port(listen.ip, port) {
            Err(error) if listen.port.is_none() && is_taken(&error) => bind_port(listen.ip, 0),
            bound => bound,
        };
        let socket = bound.map_err(|error| failure(&error, listen.ip, port))?;
        let addr = socket.local_addr().map_err(|error| failure(&error, listen.ip, port))?;
        Ok(Self { socket, addr })
    }

    /// The bound address; unspecified if it listens on all interfaces.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Accepts until `stop` is set and [`wake`] is called.
    pub fn run(self, net: &Arc<Net>, stop: &AtomicBool) {
        while !stop.load(Ordering::SeqCst) {
            match self.socket.accept() {
                Ok((stream, remote)) => {
                    // If this fails, the connection is already gone.
                    if !stop.load(Ordering::SeqCst) && stream.set_nodelay(true).is_ok() {
                        admit(net, Arc::new(stream), remote);
                    }
                }
                Err(error) if is_transient(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "no connection could be accepted");
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }
}

/// Wakes a listener that is bound to `addr`. This can fail when descriptors have run out, so
/// callers that wait for the listener repeat it.
pub fn wake(addr: SocketAddr) {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let reached = TcpStream::connect_timeout(&SocketAddr::new(ip, addr.port()), PAUSE);
    if reached.is_err() && addr.ip().is_unspecified() {
        // A dual-stack socket is reached over IPv4 if loopback has no IPv6.
        let loopback = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), addr.port());
        let _ = TcpStream::connect_timeout(&loopback, PAUSE);
    }
}

/// Gives a connection a place and a thread, or turns it away, whatever its transport.
pub fn admit(net: &Arc<Net>, stream: Arc<dyn Stream>, remote: SocketAddr) {
    let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
    let now = Instant::now();
    let Ok(permit) = net.gate.enter(remote.ip(), now) else {
        return preamble::turn_away(&*stream);
    };
    permit.attach(&stream);
    let shared = Arc::clone(net);
    let id = net.conns.next_accepted();
    let started = net.conns.start(id, &net.limits, Some(permit), move |conn| {
        life::run(&shared, conn, || accepted(&shared, conn, &stream, remote, now));
    });
    if let Err(error) = started {
        tracing::warn!(%error, "no thread could be started for a connection");
    }
}

fn accepted(
    net: &Net,
    conn: &Connection,
    stream: &Arc<dyn Stream>,
    remote: SocketAddr,
    since: Instant,
) -> Option<Opened> {
    conn.attach(stream, remote.ip());
    let deadline = since + Duration::from_millis(net.limits.handshake_deadline_ms);
    match preamble::answer(stream, remote, deadline) {
        Ok((role, channel, h)) => Some(Opened { side: Side::Listener, role, channel, h, since }),
        Err(error) => {
            tracing::debug!(%error, %remote, "a connection came to nothing");
            None
        }
    }
}

fn bind_port(ip: Option<IpAddr>, port: u16) -> io::Result<TcpListener> {
    match ip {
        Some(ip) => bind_addr(SocketAddr::new(ip, port)),
        None => bind_addr((Ipv6Addr::UNSPECIFIED, port).into()).or_else(|error| {
            // Only if there is no IPv6: a port that is taken stays taken.
            if is_taken(&error) || error.kind() == io::ErrorKind::PermissionDenied {
                return Err(error);
            }
            bind_addr((Ipv4Addr::UNSPECIFIED, port).into())
        }),
    }
}

fn bind_addr(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    take_lingering_port(&socket)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

/// Errors of one connection, not of the listener.
#[must_use]
pub fn is_transient(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

fn failure(error: &io::Error, ip: Option<IpAddr>, port: u16) -> Failure {
    let place = match ip {
        Some(ip) => spoken(SocketAddr::new(ip, port)),
        None => format!("port {port}"),
    };
    match error.kind() {
        io::ErrorKind::AddrInUse => Failure::new(
            Code::PortInUse,
            format!("cannot listen on {place}: another program does; choose another with --listen"),
        ),
        io::ErrorKind::PermissionDenied => Failure::new(
            Code::PermissionDenied,
            format!("cannot listen on {place}: not allowed; choose a port above 1023"),
        ),
        io::ErrorKind::AddrNotAvailable => Failure::new(
            Code::BadAddress,
            format!("cannot listen on {place}: this computer does not have that address"),
        ),
        _ => Failure::new(Code::IoError, format!("cannot listen on {place}: {error}")),
    }
}
