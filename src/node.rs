//! A node: the router, the shell that performs its effects, and everything that the shell owns.
//!
//! Nothing is global, so that several nodes can run in one process.

mod clock;
mod faces;
mod feed;
mod shell;
#[cfg(test)]
mod tests;
pub mod transfers;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::bounded;

pub use faces::{Answer, Face, Handle, Stopped};
pub use feed::{Feed, FeedItem, FeedReader};

use crate::crypto::identity::Identity;
use crate::crypto::random::random;
use crate::files::disk::{Disk, SystemDisk};
use crate::limits::Limits;
use crate::net::conn::Conns;
use crate::net::gate::Gate;
use crate::net::listener::{Listen, PortListener};
use crate::net::pace::MemberPace;
use crate::net::{Lanes, Net, draw};
use crate::router::Router;
use crate::router::event::Config;
use crate::router::ids::{MemberId, RunId};
use crate::router::notice::{Code, Failure};
use crate::thread::{self, STACK_LARGE_BYTES, STACK_SMALL_BYTES};
use clock::Clock;
use faces::Faces;
use shell::{BoundListener, NodeShell, Work};
use transfers::{Library, Transfers};

/// Notices kept for slow faces.
const NOTICE_RING: usize = 4_096;
/// Events that may wait for the router; beyond that, bringing one means waiting.
const INBOX_EVENTS: usize = 1_024;
/// Name of the thread that accepts connections.
const LISTENER: &str = "listener";
/// Exit code of a node whose router failed.
pub const FAILED: u8 = u8::MAX;

/// How to start a node.
#[derive(Debug)]
pub struct NodeConfig {
    /// Nickname.
    pub name: String,
    /// Its identity.
    pub identity: Identity,
    /// The identity is for this run only.
    pub temporary: bool,
    /// Bounds.
    pub limits: Limits,
    /// It begins in a closed room.
    pub locked: bool,
    /// Where it listens for peers.
    pub listen: Listen,
    /// Folder for downloads.
    pub downloads: PathBuf,
    /// Announce the addresses of virtual machines' and containers' interfaces, too.
    pub virtual_interfaces: bool,
    /// Members verified in earlier runs, with the names that they had then.
    pub verified: BTreeMap<MemberId, String>,
}

impl NodeConfig {
    /// A node on a free port that only this computer reaches, with an identity that ends with it;
    /// it downloads to `downloads`.
    #[must_use]
    pub fn on_loopback(name: &str, limits: Limits, downloads: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            identity: Identity::generate(),
            temporary: true,
            limits,
            locked: false,
            listen: Listen { ip: Some(Ipv4Addr::LOCALHOST.into()), port: Some(0) },
            downloads,
            virtual_interfaces: false,
            verified: BTreeMap::new(),
        }
    }
}

/// A running node. Dropping it makes it leave, and waits until it has left.
#[derive(Debug)]
pub struct Node {
    handle: Handle,
    feed: Feed,
    library: Library,
    addr: SocketAddr,
    exit_code: Arc<AtomicU8>,
    router: Option<JoinHandle<()>>,
}

/// All that a face needs of a node; clones share the same node.
#[derive(Debug, Clone)]
pub struct Access {
    /// Where it takes commands.
    pub handle: Handle,
    /// What it tells.
    pub feed: Feed,
    /// The files that are stored here.
    pub library: Library,
}

impl Node {
    /// Binds the port and starts the threads. [`Node::feed`] has everything from the first moment
    /// on.
    ///
    /// # Errors
    /// A [`Failure`] when the port cannot be bound or no thread started.
    pub fn start(config: NodeConfig) -> Result<Self, Failure> {
        Self::start_on(config, Arc::new(SystemDisk))
    }

    /// The same on a given disk.
    fn start_on(config: NodeConfig, disk: Arc<dyn Disk>) -> Result<Self, Failure> {
        let NodeConfig {
            name,
            identity,
            temporary,
            limits,
            locked,
            listen,
            downloads,
            virtual_interfaces: with_virtual,
            verified,
        } = config;
        let listener = PortListener::bind(listen)?;
        let addr = listener.addr();
        let clock = Clock::start();
        let router = Config {
            name,
            temporary,
            locked,
            run: RunId(random()),
            wall_at_zero_ms: clock.wall_at_zero_ms(),
            limits: limits.clone(),
            draw: draw(),
            verified,
        };
        let router = Router::new(router, identity.clone(), u64::from_be_bytes(random()));
        let limits = Arc::new(limits);
        let (inbox, events) = bounded(INBOX_EVENTS);
        let transfers = Transfers::new(inbox.clone(), Arc::clone(&limits), downloads, disk);
        let transfers = Arc::new(transfers);
        transfers.look_for_leftovers();
        let net = Arc::new(Net {
            limits: Arc::clone(&limits),
            identity: Arc::new(identity),
            inbox: inbox.clone(),
            conns: Arc::new(Conns::default()),
            gate: Gate::new(&limits, Instant::now()),
            pace: MemberPace::new(Instant::now()),
            lanes: Arc::clone(&transfers) as Arc<dyn Lanes>,
        });
        let library = transfers.library();
        let feed = Feed::new(NOTICE_RING, limits.log_bytes);
        // A page may be opened at any time, and shows earlier messages.
        feed.keep_history();
        let faces = Arc::new(Faces::default());
        let exit_code = Arc::new(AtomicU8::new(FAILED));
        let stop = Arc::new(AtomicBool::new(false));
        let mut shell = NodeShell {
            router,
            clock,
            net: Arc::clone(&net),
            inbox: Some(events),
            feed: feed.clone(),
            faces: Arc::clone(&faces),
            transfers,
            listener: BoundListener { addr, with_virtual, stop: Arc::clone(&stop), thread: None },
            exit_code: Arc::clone(&exit_code),
            work: Work::default(),
        };
        // If the second thread fails to start, the shell is dropped, which ends the first.
        let accepting = thread::spawn(LISTENER, STACK_SMALL_BYTES, move || {
            listener.run(&net, &stop);
        });
        shell.listener.thread = Some(accepting.map_err(|error| no_thread(&error))?);
        let router = thread::spawn("router", STACK_LARGE_BYTES, move || shell.run());
        let router = Some(router.map_err(|error| no_thread(&error))?);
        Ok(Self { handle: Handle::new(inbox, faces), feed, library, addr, exit_code, router })
    }

    /// Where it takes commands.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// What it tells.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// What further faces need.
    #[must_use]
    pub fn access(&self) -> Access {
        let Self { handle, feed, library, .. } = self;
        Access { handle: handle.clone(), feed: feed.clone(), library: library.clone() }
    }

    /// The bound address; unspecified if it listens on all interfaces.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits until the node and all its threads have ended; returns the program's exit code.
    #[must_use]
    pub fn wait_stopped(mut self) -> u8 {
        self.join();
        self.exit_code.load(Ordering::SeqCst)
    }

    fn join(&mut self) {
        if let Some(router) = self.router.take() {
            // The thread's guard logged a panic, and the exit code reports it.
            let _ = router.join();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.router.is_some() {
            // If the node has ended already, that is fine.
            let _ = self.handle.end();
            self.join();
        }
    }
}

fn no_thread(error: &std::io::Error) -> Failure {
    Failure::new(Code::IoError, format!("cannot start a thread: {error}"))
}
