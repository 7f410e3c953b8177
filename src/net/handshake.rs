//! From the channel to an identified peer, under one absolute deadline.
//!
//! Both sides send Hello at once, ask their routers for the verdict and carry out the resulting
//! plan (the `plan` module). The router decides and this thread speaks; there is only one exit,
//! which determines what the peer is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Net;
use super::channel::{Channel, RecvError};
use super::conn::Connection;
use super::outbox::{ConnOrder, NoOrder};
use crate::crypto::binding::{Binding, Role, Side, room_tag};
use crate::crypto::noise::HandshakeHash;
use crate::router::event::{Closed, Entrance, Entry, Event, Home, Plan};
use crate::router::ids::{InvitationId, MemberId, RoomId};
use crate::router::message::{Hello, Refusal, Why};
use crate::router::signed::{SignedInvitation, SignedRecord};
use crate::wire::WireError;
use crate::wire::opening::Opening;
use crate::wire::opening::RECORD_MAX_BYTES;

/// How often a thread that waits for the peer checks whether the router wants it to end.
const SLICE: Duration = Duration::from_millis(200);
/// All that is sent here fits into any socket's buffer; a write that blocks this long never ends.
const WRITE_TIMEOUT: Duration = Duration::from_millis(500);

/// How a connection ends before it is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The peer is told why.
    Tell(Refusal, Closed),
    /// Without a word.
    Quiet(Closed),
}

impl End {
    /// This side refuses, and its own router must learn why.
    pub(super) fn refuse(why: Why) -> Self {
        Self::Tell(Refusal::of(why), Closed::Refused(Refusal::of(why)))
    }

    /// The peer broke the protocol.
    pub(super) fn protocol(what: impl Into<String>) -> Self {
        Self::Tell(Refusal::of(Why::Protocol), Closed::Protocol(what.into()))
    }

    pub(super) fn out_of_turn() -> Self {
        WireError::OutOfTurn.into()
    }

    /// The router orders something other than the next step.
    fn ordered(order: ConnOrder) -> Self {
        match order {
            ConnOrder::Refuse(refusal) => Self::Tell(refusal, Closed::ByUs),
            _ => Self::Quiet(Closed::ByUs),
        }
    }
}

impl From<WireError> for End {
    fn from(error: WireError) -> Self {
        Self::protocol(error.to_string())
    }
}

impl From<RecvError> for End {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Closed => Self::Quiet(Closed::Gone),
            RecvError::TimedOut => Self::Quiet(Closed::Silent),
            RecvError::TooLong { .. } | RecvError::BadRecord => Self::protocol(error.to_string()),
        }
    }
}

/// Who is at the other end, and in which room the link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Admitted {
    pub(super) member: MemberId,
    pub(super) room: RoomId,
}

/// A handshake in progress.
pub(super) struct HandshakeRun<'a> {
    pub(super) net: &'a Net,
    conn: &'a Connection,
    /// The binding for what this side makes.
    pub(super) binding: Binding,
    /// The room that signatures must be for: our own, or the one that was granted.
    pub(super) room: RoomId,
    channel: Channel,
    since: Instant,
    deadline: Instant,
}

impl<'a> HandshakeRun<'a> {
    pub(super) fn new(
        net: &'a Net,
        conn: &'a Connection,
        (side, role): (Side, Role),
        (channel, h): (Channel, HandshakeHash),
        since: Instant,
    ) -> Self {
        let deadline = since + Duration::from_millis(net.limits.handshake_deadline_ms);
        let binding = Binding { side, role, h };
        Self { net, conn, binding, room: RoomId::default(), channel, since, deadline }
    }

    pub(super) fn into_channel(self) -> Channel {
        self.channel
    }

    /// Carries the handshake out.
    pub(super) fn run(&mut self) -> Result<Admitted, End> {
        // If the socket is gone, the next call reports it.
        let _ = self.channel.stream().set_write_timeout(WRITE_TIMEOUT);
        let (theirs, same_room) = self.exchange_hellos()?;
        self.tell(Event::HelloArrived { conn: self.conn.id, theirs, same_room })?;
        let plan = match self.order()? {
            ConnOrder::Proceed(plan) => plan,
            other => return Err(End::ordered(other)),
        };
        if takes_a_password(&plan) {
            let time = Duration::from_millis(self.net.limits.password_deadline_ms);
            self.deadline = self.since + time;
        }
        let (member, outcome) = self.carry_out(plan)?;
        self.tell(Event::Identified { conn: self.conn.id, member, outcome })?;
        Ok(Admitted { member, room: self.room })
    }

    /// Says goodbye; returns whether there is something for the peer to read.
    pub(super) fn end(&mut self, end: End) -> bool {
        farewell(self.net, self.conn, &mut self.channel, end)
    }

    fn exchange_hellos(&mut self) -> Result<(Hello, bool), End> {
        let (hello, room) = match self.order()? {
            ConnOrder::SendHello { hello, room } => (hello, room),
            other => return Err(End::ordered(other)),
        };
        self.room = room;
        let tag = room_tag(&self.binding, &room.0);
        self.send(&Opening::Hello { hello, tag })?;
        match self.recv(self.small())? {
            Opening::Hello { hello, tag, .. } => {
                let same_room = tag == room_tag(&self.binding.other_side(), &room.0);
                Ok((hello, same_room))
            }
            _ => Err(End::out_of_turn()),
        }
    }

    /// Whether the peer, which proved to be `member`, may link; if false, it must show its chain.
    pub(super) fn is_known(
        &mut self,
        member: MemberId,
        chain: Option<Vec<Arc<SignedRecord>>>,
        invitation: Option<InvitationId>,
    ) -> Result<bool, End> {
        let conn = self.conn.id;
        self.judged(Event::Shown { conn, member, chain, invitation })
    }

    /// Whether we enter the room that admits us.
    pub(super) fn is_welcome(
        &mut self,
        member: MemberId,
        home: Home,
        invitation: Option<Arc<SignedInvitation>>,
    ) -> Result<(), End> {
        let conn = self.conn.id;
        self.judged(Event::Welcomed { conn, member, home, invitation }).map(|_| ())
    }

    fn judged(&mut self, event: Event) -> Result<bool, End> {
        self.tell(event)?;
        match self.order()? {
            ConnOrder::Judged { known } => Ok(known),
            other => Err(End::ordered(other)),
        }
    }

    /// Size limit of most records.
    pub(super) fn small(&self) -> usize {
        RECORD_MAX_BYTES
    }

    /// The same from a peer that knows the room, or that we dialled: others' records may be in it.
    pub(super) fn large(&self) -> usize {
        self.net.limits.message_max_bytes
    }

    fn tell(&self, event: Event) -> Result<(), End> {
        self.net.inbox.send(event).map_err(|_| End::Quiet(Closed::ByUs))
    }

    fn order(&self) -> Result<ConnOrder, End> {
        order(self.conn, self.deadline)
    }

    pub(super) fn send(&mut self, opening: &Opening) -> Result<(), End> {
        send(self.net, &mut self.channel, opening)
    }

    /// The peer's next record, of at most `max` bytes.
    pub(super) fn recv(&mut self, max: usize) -> Result<Opening, End> {
        recv(self.conn, &mut self.channel, max, self.deadline, &self.room)
    }
}

fn takes_a_password(plan: &Plan) -> bool {
    match plan {
        Plan::Admit { entrance, .. } => matches!(entrance, Entrance::Password(_)),
        Plan::Enter(entry) => matches!(entry, Entry::Password(_)),
        Plan::Recognise { .. } => false,
    }
}

/// Waits until the router admits the lane, says so, and waits for the same from the peer. Returns
/// the member at the other end, and whether this side asks.
pub(super) fn start_lane(
    net: &Net,
    conn: &Connection,
    channel: &mut Channel,
    deadline: Instant,
) -> Result<(MemberId, bool), End> {
    let started = match order(conn, deadline)? {
        ConnOrder::StartLane { member, fetch } => (member, fetch),
        other => return Err(End::ordered(other)),
    };
    send(net, channel, &Opening::Ready)?;
    match recv(conn, channel, RECORD_MAX_BYTES, deadline, &RoomId::default())? {
        Opening::Ready => Ok(started),
        _ => Err(End::out_of_turn()),
    }
}

/// Records why the connection ends and tells the peer; returns whether it was told anything.
pub(super) fn farewell(net: &Net, conn: &Connection, channel: &mut Channel, end: End) -> bool {
    match end {
        End::Tell(refusal, cause) => {
            conn.note(cause);
            send(net, channel, &Opening::Refuse(refusal)).is_ok()
        }
        End::Quiet(cause) => {
            conn.note(cause);
            false
        }
    }
}

fn order(conn: &Connection, deadline: Instant) -> Result<ConnOrder, End> {
    conn.outbox.next(deadline).map_err(|error| match error {
        NoOrder::TimedOut => End::Tell(Refusal::of(Why::Busy), Closed::Silent),
        NoOrder::Ended => End::Quiet(Closed::ByUs),
    })
}

fn send(net: &Net, channel: &mut Channel, opening: &Opening) -> Result<(), End> {
    let bytes = opening.encode(&net.limits)?;
    channel.send(&bytes).map_err(|_| End::Quiet(Closed::Gone))
}

/// The peer's next record. A refusal ends the connection; so may the router, while nothing comes.
fn recv(
    conn: &Connection,
    channel: &mut Channel,
    max: usize,
    deadline: Instant,
    room: &RoomId,
) -> Result<Opening, End> {
    loop {
        let now = Instant::now();
        match channel.recv_by(max, deadline.min(now + SLICE)) {
            Ok(plain) => {
                return match Opening::decode(plain, room)? {
                    Opening::Refuse(refusal) => Err(End::Quiet(Closed::Refused(refusal))),
                    opening => Ok(opening),
                };
            }
            Err(RecvError::TimedOut) if now < deadline => {
                if conn.outbox.is_ending() {
                    return Err(order(conn, now).map_or_else(|end| end, End::ordered));
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}
