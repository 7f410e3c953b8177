//! The life of a connection on its own thread, from the first byte to the last.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::channel::Channel;
use super::conn::Connection;
use super::handshake::{self, Admitted, HandshakeRun};
use super::stream::Stream;
use super::{Net, session};
use crate::crypto::binding::{Role, Side};
use crate::crypto::noise::HandshakeHash;
use crate::router::event::Event;
use crate::thread::{STACK_LARGE_BYTES, spawn_scoped};

/// How long, and for how many bytes from the peer, a connection that has sent its last message
/// waits for the peer to read it.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_BYTES: usize = 64 * 1024;

/// A connection whose channel is up.
pub(super) struct Opened {
    pub(super) side: Side,
    pub(super) role: Role,
    pub(super) channel: Channel,
    pub(super) h: HandshakeHash,
    pub(super) since: Instant,
}

/// A connection whose peer is known.
struct Introduced<'a> {
    report: EndReport<'a>,
    role: Role,
    channel: Channel,
    admitted: Admitted,
}

/// The whole life of a connection, beginning with `open`. The router hears of its channel and,
/// exactly once, of its end.
pub(super) fn run(net: &Net, conn: &Connection, open: impl FnOnce() -> Option<Opened> + Send) {
    let introduced = on_deep_stack(|| introduce(net, conn, open()?));
    let Some(Introduced { report, role, channel, admitted }) = introduced.flatten() else { return };
    match role {
        Role::Session => session::run(net, conn, channel, admitted),
        Role::LaneFetch | Role::LaneServe => lane(net, conn, channel),
    }
    drop(report);
}

/// Runs `work` on a thread that ends with it. Handshakes compute, and the stack that they touch
/// would stay in memory as long as the connection lasts, three times what it needs later. The stack
/// must have a different size, because the system keeps stacks for reuse, and would give a session
/// the one that a handshake used. If no thread can be started, `work` runs here. `None` if it
/// panicked.
#[inline(never)]
fn on_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    let mut work = Some(work);
    let done = std::thread::scope(|scope| {
        let run = || work.take().map(|work| work());
        let thread = spawn_scoped(scope, "handshake", STACK_LARGE_BYTES, run);
        thread.map(|thread| thread.join().ok().flatten())
    });
    done.unwrap_or_else(|error| {
        tracing::warn!(%error, "no thread could be started for a handshake");
        work.take().map(|work| work())
    })
}

/// The handshake, and the closing if it fails.
fn introduce<'a>(net: &'a Net, conn: &'a Connection, opened: Opened) -> Option<Introduced<'a>> {
    let Opened { side, role, channel, h, since } = opened;
    let remote = channel.remote();
    let stream = Arc::clone(channel.stream());
    net.inbox.send(Event::ConnOpened { conn: conn.id, side, role, remote }).ok()?;
    let report = EndReport { net, conn };
    let mut handshake = HandshakeRun::new(net, conn, (side, role), (channel, h), since);
    match handshake.run() {
        Ok(admitted) => {
            let channel = handshake.into_channel();
            Some(Introduced { report, role, channel, admitted })
        }
        Err(end) => {
            let told = handshake.end(end);
            // First, so that nobody waits for the farewell.
            drop(report);
            if told {
                linger(&*stream);
            }
            None
        }
    }
}

/// Reports the end of a connection, even if its thread panics.
struct EndReport<'a> {
    net: &'a Net,
    conn: &'a Connection,
}

impl Drop for EndReport<'_> {
    // Out of line: an event on the stack would cost every idle link its size.
    #[inline(never)]
    fn drop(&mut self) {
        let event = Event::ConnClosed { conn: self.conn.id, how: self.conn.cause() };
        // Without a router there is nobody to tell.
        let _ = self.net.inbox.send(event);
    }
}

/// Waits for the router's word, and for the peer's, that the lane is admitted. Out of line, because
/// otherwise an idle session would pay for stack that only lanes need.
#[inline(never)]
fn lane(net: &Net, conn: &Connection, mut channel: Channel) {
    let patience = Duration::from_millis(net.limits.dead_after_ms);
    match handshake::start_lane(net, conn, &mut channel, Instant::now() + patience) {
        Ok((member, fetch)) => {
            conn.note(net.lanes.lane(conn.id, member, fetch, channel));
        }
        Err(end) => {
            if handshake::farewell(net, conn, &mut channel, end) {
                linger(&**channel.stream());
            }
        }
    }
}

/// Lets the peer read our last message: closing a stream that still has unread bytes resets it, and
/// the message may be lost.
fn linger(stream: &dyn Stream) {
    let deadline = Instant::now() + LINGER;
    let mut left = LINGER_BYTES;
    let mut room = [0; 1024];
    if stream.shut(Shutdown::Write).is_err() {
        return;
    }
    while left > 0 {
        let time = deadline.saturating_duration_since(Instant::now());
        if time.is_zero() || stream.set_read_timeout(time).is_err() {
            return;
        }
        match stream.read(&mut room) {
            Ok(count) if count > 0 => left = left.saturating_sub(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}
