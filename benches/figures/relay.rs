//! A way to a peer that is long, narrow, or both: a relay on loopback that passes bytes on later.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use socket2::SockRef;

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
pub(crate) struct Relay {
    /// Where to connect.
    pub(crate) addr: SocketAddr,
    way: Arc<Both>,
}

/// The two directions.
struct Both {
    way: Way,
    there: Narrow,
    back: Narrow,
}

/// A narrow place, passed by one piece after the other.
struct Narrow {
    /// When it is free again.
    free: Mutex<Instant>,
    passed_bytes: AtomicU64,
}

/// A piece and when it arrives.
type Piece = (Instant, Vec<u8>);

impl Relay {
    /// Passes every connection on to `target`.
    pub(crate) fn start(target: SocketAddr, way: Way) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let way = Arc::new(Both { way, there: Narrow::new(), back: Narrow::new() });
        let both = Arc::clone(&way);
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                // A connection that cannot be passed on ends.
                let _ = TcpStream::connect(target).map_err(anyhow::Error::from).and_then(|far| {
                    couple(&near, &far, &both, |both| &both.there)?;
                    couple(&far, &near, &both, |both| &both.back)
                });
            }
        });
        Ok(Self { addr, way })
    }

    /// Bytes that came back from the target so far.
    pub(crate) fn came_back_bytes(&self) -> u64 {
        self.way.back.passed_bytes.load(Ordering::Relaxed)
    }
}

/// Begins to carry bytes from one connection to the other.
fn couple(
    from: &TcpStream,
    to: &TcpStream,
    both: &Arc<Both>,
    narrow: fn(&Both) -> &Narrow,
) -> Result<()> {
    SockRef::from(from).set_recv_buffer_size(SOCKET_BYTES)?;
    SockRef::from(to).set_send_buffer_size(SOCKET_BYTES)?;
    to.set_nodelay(true)?;
    let (from, to, both) = (from.try_clone()?, to.try_clone()?, Arc::clone(both));
    let (send, arriving) = sync_channel(PIECES);
    std::thread::spawn(move || take_in(from, &both.way, narrow(&both), &send));
    std::thread::spawn(move || deliver(&arriving, to));
    Ok(())
}

fn take_in(mut from: TcpStream, way: &Way, narrow: &Narrow, arriving: &SyncSender<Piece>) {
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

fn deliver(arriving: &Receiver<Piece>, mut to: TcpStream) {
    for (at, piece) in arriving {
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        if to.write_all(&piece).is_err() {
            break;
        }
    }
    // One that is gone already needs no farewell.
    let _ = to.shutdown(Shutdown::Write);
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
