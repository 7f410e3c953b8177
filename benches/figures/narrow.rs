//! A long or narrow link, or both: a relay that passes bytes on later.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use socket2::SockRef;

use crate::relay::relay;

/// Bytes that travel together: a millisecond at 100 Mbit/s.
const PIECE_BYTES: usize = 12 * 1024;
/// How much queues before the narrow place until the sender must wait, as in a router's buffer.
const BUFFER: Duration = Duration::from_millis(50);
/// Pieces under way: more than a narrow place lets through during the whole delay.
const PIECES: usize = 1 << 16;
/// Buffers of the relay's own sockets: small, so that the bytes under way are those of the link.
const SOCKET_BYTES: usize = 256 * 1024;

/// What the link is like, the same in both directions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    /// What all connections together may carry, in bytes per second.
    pub(crate) bytes_per_s: f64,
    /// How long each byte takes.
    pub(crate) delay: Duration,
    /// After this many bytes a connection carries one byte per second.
    pub(crate) crawls_after: u64,
}

/// A relay that runs until the program ends.
pub(crate) struct NarrowRelay {
    /// Where to connect.
    pub(crate) addr: SocketAddr,
    places: Arc<[Narrow; 2]>,
}

/// A narrow place, which pieces pass one after another.
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
            // If this fails, the relay is only less like the link.
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

    /// Bytes received from the target so far.
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

    /// When these bytes, which have just arrived, will be through.
    fn pass(&self, bytes: usize, bytes_per_s: f64) -> Instant {
        let took = Duration::from_secs_f64(bytes as f64 / bytes_per_s);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        *free = (*free).max(Instant::now()) + took;
        self.passed_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        *free
    }
}
