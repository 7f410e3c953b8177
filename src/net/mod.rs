//! Blocking threads around sockets.
//!
//! There is one thread per connection: it performs the handshake under one absolute deadline,
//! asking the router at each step, and then becomes the reader of a session or one end of a lane.
//! Nothing is decided here: threads report events and carry out orders.
//!
//! Absent: any state of the room, any knowledge of other connections.

pub mod channel;
pub mod chunk;
pub mod conn;
pub mod dial;
pub mod gate;
pub mod handshake;
pub mod interfaces;
pub mod lane;
pub mod listener;
pub mod outbox;
pub mod pace;
pub mod places;
pub mod preamble;
pub mod serve;
pub mod session;
pub mod sources;
pub mod stream;
pub mod throttle;

mod life;
#[cfg(test)]
pub(crate) mod memory;
mod plan;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use crossbeam_channel::Sender;

use crate::crypto::identity::Identity;
use crate::crypto::invite::InviteSecret;
use crate::crypto::random::random;
use crate::limits::Limits;
use crate::router::event::{Closed, Draw, Event};
use crate::router::ids::{ConnId, LogNonce, MemberId};
use channel::Channel;
use conn::Conns;
use gate::Gate;
use pace::MemberPace;

/// What handles admitted lanes.
pub trait Lanes: Send + Sync {
    /// Uses the lane, on its connection's own thread, until it ends: serves, or (`fetch`) fetches
    /// what is requested. Reports [`Event::LaneOpened`] when ready for that, and returns how it
    /// ended.
    fn lane(&self, conn: ConnId, member: MemberId, fetch: bool, channel: Channel) -> Closed;
}

/// What all connections of a node share.
pub struct Net {
    /// The bounds.
    pub limits: Arc<Limits>,
    /// This node's identity.
    pub identity: Arc<Identity>,
    /// The router's inbox. Connection threads may block on it, but the router never on them.
    pub inbox: Sender<Event>,
    /// The connections.
    pub conns: Arc<Conns>,
    /// Admits or denies strangers.
    pub gate: Arc<Gate>,
    /// Limits how fast members are heard.
    pub pace: MemberPace,
    /// Handles admitted lanes.
    pub lanes: Arc<dyn Lanes>,
}

/// `192.168.1.5 port 51692`: an address as shown to people.
#[must_use]
pub fn spoken(addr: SocketAddr) -> String {
    format!("{} port {}", addr.ip().to_canonical(), addr.port())
}

/// Fresh secrets for an event that may need them.
#[must_use]
pub fn draw() -> Draw {
    let secret = InviteSecret::from_bytes(random());
    Draw { room: random(), nonce: LogNonce(random()), secret }
}
