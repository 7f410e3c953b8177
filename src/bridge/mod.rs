//! The bridge: serves the room as a page to browsers on this computer.
//!
//! One port speaks HTTP/1.1 and, after an upgrade, WebSocket; each connection has a thread, and
//! each page a second one that writes. Pages are faces like the terminal: the same commands in, the
//! same notices out.
//!
//! Anything on this computer can reach the port, and any web page can make a browser send requests
//! to it. So every request must name this address as its host, requests that change anything must
//! come from this origin, and nothing about the room is revealed before a valid code or token.
//! Codes work once and travel in the address's fragment, which browsers do not send.
//!
//! Absent: cookies, templates, caches, and a copy of the messages, which the feed keeps.

mod assets;
#[doc(hidden)]
pub mod foreign;
mod http;
mod keys;
mod media;
mod orders;
mod range;
mod server;
mod socket;
mod tab;
mod tab_writer;
pub(crate) mod temporary;
mod upload;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::keys::Keys;
use self::server::{BridgeShared, Server};
use self::temporary::Temporary;
use crate::config::ListenAt;
use crate::node::Access;
use crate::router::notice::{Code, Failure};

/// How many ports to try after the usual one, before any free one is taken.
const NEXT_PORTS: u16 = 100;

/// A bound port that is not served yet.
#[derive(Debug)]
pub struct BridgeListener {
    socket: TcpListener,
    addr: SocketAddr,
}

impl BridgeListener {
    /// Binds; a port that the person did not choose gives way to the next free one.
    ///
    /// # Errors
    /// A [`Failure`] with `port_in_use`, `permission_denied`, `bad_address` or `io_error`.
    pub fn bind(at: &ListenAt) -> Result<Self, Failure> {
        let ip = at.addr.unwrap_or(Ipv4Addr::LOCALHOST.into());
        let last = if at.explicit { at.port } else { at.port.saturating_add(NEXT_PORTS) };
        let others = (at.port..=last).skip(1).chain((!at.explicit).then_some(0));
        let mut bound = TcpListener::bind((ip, at.port));
        for port in others {
            if !bound.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse) {
                break;
            }
            bound = TcpListener::bind((ip, port));
        }
        let failed = |error| failure(&error, ip, at.port);
        let socket = bound.map_err(failed)?;
        let addr = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, addr })
    }
}

/// How to start the bridge.
#[derive(Debug)]
pub struct BridgeConfig {
    /// Keeps tokens valid after a restart; `None`: they end with this run.
    pub secret: Option<[u8; 32]>,
    /// Where files given in pages are stored; `None`: in a folder that is removed with the bridge.
    pub share_dir: Option<PathBuf>,
}

/// A running bridge. Dropping it ends it.
#[derive(Debug)]
pub struct Bridge {
    server: Server,
    shared: Arc<BridgeShared>,
    /// Removed with the bridge.
    _temporary: Option<Temporary>,
}

impl Bridge {
    /// Starts serving pages of a node.
    ///
    /// # Errors
    /// A [`Failure`] if no folder can be made or no thread started.
    pub fn start(
        listener: BridgeListener,
        node: Access,
        config: BridgeConfig,
    ) -> Result<Self, Failure> {
        let (share_dir, temporary) = share_dir(config.share_dir)?;
        let keys = Keys::new(config.secret);
        let shared = Arc::new(BridgeShared::new(listener.addr, node, keys, share_dir));
        let server = Server::start(listener.socket, listener.addr, &shared)?;
        Ok(Self { server, shared, _temporary: temporary })
    }

    /// A new address of the page, which works once.
    #[must_use]
    pub fn address(&self) -> String {
        let code = self.shared.keys.new_code(Instant::now());
        format!("http://{}/#{code}", self.shared.addr)
    }

    /// Ends the bridge; false if some of its threads still run at the deadline.
    pub fn stop(&mut self, patience: Duration) -> bool {
        self.server.stop(&self.shared, Instant::now() + patience)
    }
}

/// The folder for copies, made with the first one, or one that is removed with the bridge.
fn share_dir(kept: Option<PathBuf>) -> Result<(PathBuf, Option<Temporary>), Failure> {
    if let Some(dir) = kept {
        return Ok((dir, None));
    }
    let made = temporary::make(&std::env::temp_dir(), temporary::SHARED).map_err(|error| {
        let text = format!(
            "cannot make a folder for files given in the page: {error}; name one with share_dir in \
             settings.toml"
        );
        Failure::new(Code::IoError, text)
    })?;
    Ok((made.path().to_owned(), Some(made)))
}

/// Removes what killed runs left in this computer's temporary folder.
pub fn clear_up() {
    let base = std::env::temp_dir();
    temporary::clear(&base, temporary::SHARED, |folder| std::fs::remove_dir_all(folder));
}

fn failure(error: &io::Error, ip: IpAddr, port: u16) -> Failure {
    let place = crate::net::spoken(SocketAddr::new(ip, port));
    match error.kind() {
        io::ErrorKind::AddrInUse => Failure::new(
            Code::PortInUse,
            format!(
                "cannot serve the page at {place}: another program is there; choose another port \
                 with --bridge"
            ),
        ),
        io::ErrorKind::PermissionDenied => Failure::new(
            Code::PermissionDenied,
            format!("cannot serve the page at {place}: not allowed; choose a port above 1023"),
        ),
        io::ErrorKind::AddrNotAvailable => Failure::new(
            Code::BadAddress,
            format!("cannot serve the page at {place}: this computer does not have that address"),
        ),
        _ => Failure::new(Code::IoError, format!("cannot serve the page at {place}: {error}")),
    }
}
