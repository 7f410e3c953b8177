//! Blocking threads around sockets.
//!
//! One thread per connection: it shakes hands under one absolute deadline, asking the router at
//! each turn, and then becomes what its Hello declared: the reader of a session or the end of a
//! lane. Nothing is decided here: threads report events and carry out orders.
//!
//! Absent: any state of the room, any knowledge of other connections.

pub mod chunk;
pub mod conn;
pub mod dial;
pub mod gate;
pub mod handshake;
pub mod interfaces;
pub mod lane;
pub mod listener;
pub mod outbox;
pub mod places;
pub mod preamble;
pub mod serve;
pub mod session;
pub mod stream;

mod plan;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use crate::crypto::binding::{Role, Side};
use crate::crypto::identity::Identity;
use crate::crypto::noise::HandshakeHash;
use crate::crypto::random::random;
use crate::crypto::room_key::RoomKey;
use crate::limits::Limits;
use crate::router::event::{Closed, Draw, Event};
use crate::router::ids::{ConnId, LogNonce, MemberId, RoomId};
use conn::{Conn, Conns};
use gate::Gate;
use handshake::Handshake;
use stream::Channel;

/// Where admitted lanes go.
pub trait Lanes: Send + Sync {
    /// Uses the lane, on its connection's own thread, until it ends: serves, or (`fetch`) lets
    /// others ask for chunks over it. Reports [`Event::LaneOpened`] when it is ready for that, and
    /// returns how it ended.
    fn lane(&self, conn: ConnId, member: MemberId, fetch: bool, channel: Channel) -> Closed;
}

/// What all connections of a node share.
pub struct Net {
    /// The bounds.
    pub limits: Arc<Limits>,
    /// Who this node is.
    pub identity: Arc<Identity>,
    /// The router's inbox. Threads of connections may block on it, never the other way round.
    pub inbox: Sender<Event>,
    /// The connections.
    pub conns: Arc<Conns>,
    /// Who may knock.
    pub gate: Arc<Gate>,
    /// Where admitted lanes go.
    pub lanes: Arc<dyn Lanes>,
}

/// A connection whose channel is up.
struct Opened {
    side: Side,
    role: Role,
    channel: Channel,
    h: HandshakeHash,
    since: Instant,
}

/// Everything from the channel to the end of the connection, on its own thread. The router hears
/// of its beginning and, exactly once, of its end.
fn run(net: &Net, conn: &Conn, opened: Opened) {
    let Opened { side, role, channel, h, since } = opened;
    let remote = channel.remote();
    let socket = Arc::clone(channel.socket());
    let event = Event::ConnOpened { conn: conn.id, side, role, remote };
    if net.inbox.send(event).is_err() {
        return;
    }
    let report = Report { net, conn };
    let mut handshake = Handshake::new(net, conn, (side, role), (channel, h), since);
    match handshake.run() {
        Ok(admitted) => {
            let channel = handshake.into_channel();
            match role {
                Role::Session => session::run(net, conn, channel, admitted.room),
                Role::LaneFetch | Role::LaneServe => lane(net, conn, channel),
            }
            drop(report);
        }
        Err(end) => {
            let told = handshake.end(end);
            // First, so that nobody waits for the farewell.
            drop(report);
            if told {
                linger(&socket);
            }
        }
    }
}

/// Reports the end of a connection, also when its thread panics.
struct Report<'a> {
    net: &'a Net,
    conn: &'a Conn,
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        let event = Event::ConnClosed { conn: self.conn.id, how: self.conn.cause() };
        // Without a router there is nobody left to tell.
        let _ = self.net.inbox.send(event);
    }
}

/// Waits for the router's word that the lane is admitted, and for the peer's.
fn lane(net: &Net, conn: &Conn, mut channel: Channel) {
    let patience = Duration::from_millis(net.limits.dead_after_ms);
    match handshake::start_lane(net, conn, &mut channel, Instant::now() + patience) {
        Ok((member, fetch)) => {
            conn.note(net.lanes.lane(conn.id, member, fetch, channel));
        }
        Err(end) => {
            if handshake::farewell(net, conn, &mut channel, end) {
                linger(channel.socket());
            }
        }
    }
}

/// Lets the peer read the last words: a socket that is closed while bytes of the peer's are
/// unread is reset, and what was sent last may be lost with it.
fn linger(socket: &std::net::TcpStream) {
    use std::io::Read;
    use std::net::Shutdown;
    const TIME: Duration = Duration::from_millis(500);
    const BYTES: usize = 64 * 1024;
    let deadline = Instant::now() + TIME;
    let mut left = BYTES;
    let mut room = [0; 1024];
    if socket.shutdown(Shutdown::Write).is_err() {
        return;
    }
    while left > 0 {
        let time = deadline.saturating_duration_since(Instant::now());
        if time.is_zero() || socket.set_read_timeout(Some(time)).is_err() {
            return;
        }
        match (&*socket).read(&mut room) {
            Ok(count) if count > 0 => left = left.saturating_sub(count),
            _ => return,
        }
    }
}

/// `192.168.1.5 port 51692`: how people name an address.
#[must_use]
pub fn spoken(addr: SocketAddr) -> String {
    format!("{} port {}", addr.ip().to_canonical(), addr.port())
}

/// Fresh secrets for an event that may need them.
#[must_use]
pub fn draw() -> Draw {
    Draw { room: RoomId(random()), key: RoomKey::generate(), nonce: LogNonce(random()) }
}
