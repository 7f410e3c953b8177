//! A way to a peer that is long, narrow, or both: a relay that passes bytes on later.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use socket2::SockRef;

use crate::relay::relay;

/// Bytes that travel together: at 100 Mbit/s a millisecond.
const PIECE_BYTES: usize = 12 * 1024;
/// What waits in front of the narrow place before the sender is held up, as a router's buffer does.
const BUFFER: Duration = Duration::from_millis(50);
/// Pieces on their way: more than a narrow place lets through in all of the delay.
const PIECES: usize = 1 << 16;
/// Room of the relay's own sockets: small, so that the bytes on the way are those of the link.
const SOCKET_BYTES: usize = 256 * 1024;

/// What the way is like, the same for both directions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    /// What all connections together may carry, in bytes per second.
    pub(crate) bytes_per_s: f64,
    /// How long each byte is under way.
    pub(crate) delay: Duration,
    /// After so many bytes a connection carries one byte per second.
    pub(crate) crawls_after: u64,
}

/// A relay; it goes on until the program ends.
pub(crate) struct NarrowRelay {
    /// Where to connect.
    pub(crate) addr: SocketAddr,
    places: Arc<[Narrow; 2]>,
}

/// A narrow place, passed by one piece after the other.
struct Narrow {
    /// When it is free again.
    free: Mutex<Instant>,
    passed_bytes: AtomicU64,
}

/// A piece and when it arrives.
type Piece = (Instant, Vec<u8>);

impl NarrowRelay {
    /// Passes every connection on to `target`.
    pub(crate) fn start(target: SocketAddr, way: Way) -> Result<Self> {
        let places = Arc::new([Narrow::new(), Narrow::new()]);
        let narrow = Arc::clone(&places);
        let addr = relay(Ipv4Addr::UNSPECIFIED, target, move |(_, side), from, into| {
            // Sockets of another size are less like the link.
            let _ = SockRef::from(from).set_recv_buffer_size(SOCKET_BYTES);
            let _ = SockRef::from(into).set_send_buffer_size(SOCKET_BYTES);
            let (send, arriving) = sync_channel(PIECES);
            std::thread::scope(|scope| {
                scope.spawn(|| deliver(arriving, into));
                take_in(from, &way, &narrow[side], &send);
                drop(send);
            });
        })?;
        Ok(Self { addr, places })
    }

    /// Bytes that came back from the target so far.
    pub(crate) fn came_back_bytes(&self) -> u64 {
        self.places[1].passed_bytes.load(Ordering::Relaxed)
    }
}

fn take_in(mut from: &TcpStream, way: &Way, narrow: &Narrow, arriving: &SyncSender<Piece>) {
    let mut buffer = vec![0; PIECE_BYTES];
    let mut carried = 0;
    loop {
        let crawling = carried >= way.crawls_after;
        let room = if crawling { 1 } else { PIECE_BYTES };
        let Ok(count @ 1..) = from.read(&mut buffer[..room]) else { return };
        carried += count as u64;
        if crawling {
            std::thread::sleep(Duration::from_secs(1));
        }
        let through = narrow.pass(count, way.bytes_per_s);
        if arriving.send((through + way.delay, buffer[..count].to_vec())).is_err() {
            return;
        }
        std::thread::sleep(through.saturating_duration_since(Instant::now() + BUFFER));
    }
}

fn deliver(arriving: Receiver<Piece>, mut into: &TcpStream) {
    for (at, piece) in arriving {
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        if into.write_all(&piece).is_err() {
            return;
        }
    }
}

impl Narrow {
    fn new() -> Self {
        Self { free: Mutex::new(Instant::now()), passed_bytes: AtomicU64::new(0) }
    }

    /// When so many bytes, which are here now, will be through.
    fn pass(&self, bytes: usize, bytes_per_s: f64) -> Instant {
        let took = Duration::from_secs_f64(bytes as f64 / bytes_per_s);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        *free = (*free).max(Instant::now()) + took;
        self.passed_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        *free
    }
}
