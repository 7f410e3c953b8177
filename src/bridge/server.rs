//! The port of the bridge: accepts connections, and gives each a thread that answers its requests
//! one by one.

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::http::{Client, Head, Method, Reject, Reply};
use super::keys::Keys;
use super::{assets, media, tab, upload};
use crate::net::listener::{PAUSE, is_transient, wake};
use crate::node::Access;
use crate::router::notice::{Code, Failure};
use crate::thread::{self, STACK_LARGE_BYTES, STACK_SMALL_BYTES};

/// Most connections of browsers at once.
const CONNS: usize = 64;
/// Name of the thread that accepts connections.
const BRIDGE: &str = "bridge";
/// How long pages have at the end to hear that klatch has stopped, and go.
const FAREWELL: Duration = Duration::from_millis(500);
/// Requests after which a connection is closed: a browser opens another.
const REQUESTS_MAX: usize = 10_000;
/// The system's buffer for a page that does not read.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// Shared by all connections.
#[derive(Debug)]
pub(super) struct BridgeShared {
    pub(super) addr: SocketAddr,
    pub(super) node: Access,
    pub(super) keys: Keys,
    /// Where files given in pages are stored.
    pub(super) share_dir: PathBuf,
    /// Pages that are open.
    pub(super) tabs: Counter,
    /// Files and folders being uploaded.
    pub(super) uploads: Counter,
    /// Folders among them.
    pub(super) folders: Counter,
    /// Their bytes that are still to come.
    pub(super) upload_bytes: AtomicU64,
    pub(super) stopping: AtomicBool,
    conns: Mutex<TabConns>,
}

/// Counts something that is limited in number.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicUsize);

/// One of the counted things; dropping it subtracts it.
#[derive(Debug)]
pub(super) struct Counted<'a>(&'a AtomicUsize);

impl Counter {
    /// Counts one more, if there are fewer than `most`.
    pub(super) fn enter(&self, most: usize) -> Option<Counted<'_>> {
        let order = Ordering::SeqCst;
        let more = |count| (count < most).then_some(count + 1);
        self.0.fetch_update(order, order, more).ok().map(|_| Counted(&self.0))
    }

    fn is_zero(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A connection of a browser, or of anything else on this computer.
#[derive(Debug)]
struct TabConn {
    stream: Arc<TcpStream>,
    thread: Option<JoinHandle<()>>,
    /// Whether it showed a key that only one of klatch's pages has.
    proven: Arc<AtomicBool>,
    /// Whether it gave way to another, and is ending.
    leaving: bool,
}

#[derive(Debug, Default)]
struct TabConns {
    open: BTreeMap<u64, TabConn>,
    ended: Vec<JoinHandle<()>>,
    next: u64,
    closed: bool,
}

impl BridgeShared {
    pub(super) fn new(addr: SocketAddr, node: Access, keys: Keys, share_dir: PathBuf) -> Self {
        Self {
            addr,
            node,
            keys,
            share_dir,
            tabs: Counter::default(),
            uploads: Counter::default(),
            folders: Counter::default(),
            upload_bytes: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            conns: Mutex::default(),
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, TabConns> {
        self.conns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a connection's thread, unless there are too many.
    fn admit(self: &Arc<Self>, stream: TcpStream) {
        let stream = Arc::new(stream);
        let mut conns = self.lock();
        for thread in std::mem::take(&mut conns.ended) {
            // It is over except for its last instructions; its guard logged any panic.
            let _ = thread.join();
        }
        if conns.closed || !conns.make_room() {
            return;
        }
        let id = conns.next;
        conns.next += 1;
        let (shared, socket) = (Arc::clone(self), Arc::clone(&stream));
        let proven = Arc::new(AtomicBool::new(false));
        let proof = Arc::clone(&proven);
        let started = thread::spawn("bridge-conn", STACK_LARGE_BYTES, move || {
            let _gone = Leaver { shared: &shared, id };
            serve(&shared, &socket, &proof);
        });
        match started {
            // The thread may have ended, but cannot have left the table, which is locked.
            Ok(thread) => {
                let thread = Some(thread);
                conns.open.insert(id, TabConn { stream, thread, proven, leaving: false });
            }
            Err(error) => tracing::warn!(%error, "no thread could be started for a browser"),
        }
    }
}

impl TabConns {
    /// Whether there is a place for one more: the oldest of those that showed no key gives way.
    fn make_room(&mut self) -> bool {
        let staying = self.open.values().filter(|conn| !conn.leaving).count();
        if staying < CONNS {
            return true;
        }
        let unproven = |conn: &&mut TabConn| !conn.leaving && !conn.proven.load(Ordering::SeqCst);
        // Its thread leaves the table once it has noticed.
        let most = self.open.len() < 2 * CONNS;
        match self.open.values_mut().find(unproven).filter(|_| most) {
            Some(oldest) => {
                oldest.leaving = true;
                // It may be closed already, which is what we want.
                let _ = oldest.stream.shutdown(Shutdown::Both);
                true
            }
            None => false,
        }
    }
}

/// Removes a connection from the table when its thread ends.
struct Leaver<'a> {
    shared: &'a BridgeShared,
    id: u64,
}

impl Drop for Leaver<'_> {
    fn drop(&mut self) {
        let mut conns = self.shared.lock();
        if let Some(conn) = conns.open.remove(&self.id) {
            // A socket that is closed already is fine.
            let _ = conn.stream.shutdown(Shutdown::Both);
            conns.ended.extend(conn.thread);
        }
    }
}

/// The thread that accepts.
#[derive(Debug)]
pub(super) struct Server {
    addr: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(
        listener: TcpListener,
        addr: SocketAddr,
        shared: &Arc<BridgeShared>,
    ) -> Result<Self, Failure> {
        let shared = Arc::clone(shared);
        let started = thread::spawn(BRIDGE, STACK_SMALL_BYTES, move || accept(&listener, &shared));
        let thread = started.map_err(|error| {
            let text = format!("cannot start a thread for the page: {error}");
            Failure::new(Code::IoError, text)
        })?;
        Ok(Self { addr, thread: Some(thread) })
    }

    /// Ends all connections, then the port; false if something still runs at the deadline. The node
    /// has ended already, but pages still hear its last notices.
    pub(super) fn stop(&mut self, shared: &BridgeShared, deadline: Instant) -> bool {
        let Some(accepting) = self.thread.take() else { return true };
        shared.stopping.store(true, Ordering::SeqCst);
        let farewell = (Instant::now() + FAREWELL).min(deadline);
        while !shared.tabs.is_zero() && Instant::now() < farewell {
            std::thread::sleep(Duration::from_millis(2));
        }
        let mut threads = vec![accepting];
        {
            let mut conns = shared.lock();
            conns.closed = true;
            for conn in conns.open.values_mut() {
                let _ = conn.stream.shutdown(Shutdown::Both);
                threads.extend(conn.thread.take());
            }
            threads.append(&mut conns.ended);
        }
        shared.node.feed.wake();
        for thread in threads {
            while !thread.is_finished() {
                if Instant::now() >= deadline {
                    return false;
                }
                if thread.thread().name() == Some(BRIDGE) {
                    wake(self.addr);
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            // The thread's guard logged a panic.
            let _ = thread.join();
        }
        true
    }
}

fn accept(listener: &TcpListener, shared: &Arc<BridgeShared>) {
    while !shared.is_stopping() {
        match listener.accept() {
            Ok((stream, _)) => shared.admit(stream),
            Err(error) if is_transient(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no browser could be accepted");
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// Answers the requests on one connection, one after another.
fn serve(shared: &BridgeShared, stream: &Arc<TcpStream>, proven: &AtomicBool) {
    let Ok(local) = stream.local_addr() else { return };
    // This bounds the bytes that a page has not taken, however many the system would buffer.
    let _ = SockRef::from(&**stream).set_send_buffer_size(SEND_BUFFER_BYTES);
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut client = Client::new(stream, proven);
    for _ in 0..REQUESTS_MAX {
        let head = match client.head() {
            Ok(Some(head)) => head,
            Ok(None) | Err(Reject::Gone) => return,
            Err(Reject::With(status)) => return client.refuse(status),
        };
        if !is_own_host(&head, local) || !is_own_origin(&head) {
            return client.refuse(403);
        }
        match answer(shared, &mut client, &head) {
            Ok(true) if head.keep_alive => {}
            // A client that broke off needs no answer.
            Ok(_) | Err(_) => return,
        }
    }
}

/// Answers a request; false if the connection must not be used again.
fn answer(shared: &BridgeShared, client: &mut Client<'_>, head: &Head) -> io::Result<bool> {
    match (head.method, head.path.as_str()) {
        (Method::Get, "/ws") => {
            if head.origin().is_none() {
                client.refuse(403);
            } else if let Some(accept) = head.websocket_accept() {
                client.upgrade(&accept)?;
                tab::run(shared, client);
            } else {
                client.refuse(400);
            }
            Ok(false)
        }
        (Method::Put, upload::FILE | upload::FOLDER) if head.origin().is_none() => {
            client.refuse(403);
            Ok(false)
        }
        (Method::Put, upload::FILE | upload::FOLDER) => upload::receive(shared, client, head),
        // The body would come next.
        _ if head.length.is_some_and(|length| length > 0) => {
            client.refuse(400);
            Ok(false)
        }
        (Method::Get | Method::Head, path) if path.starts_with("/files/") => {
            media::serve(shared, client, head)
        }
        (Method::Get | Method::Head, path) => match assets::find(path) {
            Some(asset) => {
                let reply = Reply::new(200).header("Content-Type", asset.kind);
                let reply = if asset.is_document { reply } else { reply.part() };
                client.respond(head, &reply, &asset.bytes)?;
                Ok(true)
            }
            None => {
                client.respond(head, &Reply::new(404), b"there is nothing here")?;
                Ok(true)
            }
        },
        _ => {
            client.refuse(405);
            Ok(false)
        }
    }
}

/// Whether a request names this very host, once: a page of another origin that was led here names
/// its own (DNS rebinding).
fn is_own_host(head: &Head, local: SocketAddr) -> bool {
    let port = local.port();
    let own = SocketAddr::new(local.ip().to_canonical(), port).to_string();
    let names = [own, format!("localhost:{port}")];
    let Some(host) = head.only("host") else { return false };
    // Browsers leave out HTTP's default port.
    let usual = |name: &String| port == 80 && name.strip_suffix(":80") == Some(host);
    names.iter().any(|name| name == host || usual(name))
}

/// Whether the origin that a request states, if any, is this one.
fn is_own_origin(head: &Head) -> bool {
    let own = || head.only("host").map(|host| format!("http://{host}"));
    head.count("origin") == 0 || head.origin().is_some() && head.origin() == own().as_deref()
}
