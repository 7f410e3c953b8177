//! From a channel to a plan: both Hellos, and what follows from them.

use core::net::SocketAddr;

use super::Links;
use super::agreement::Reason;
use super::conn::{Conn, Stage};
use super::verdict::{Verdict, decide};
use crate::crypto::binding::{Role, Side};
use crate::router::context::Context;
use crate::router::event::{Effect, Plan};
use crate::router::ids::{ConnId, RecordId, RoomId};
use crate::router::message::{Brings, Capability, Hello, Why};
use crate::router::order::Purpose;

/// How things stand in this node's room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standpoint {
    pub(crate) room: RoomId,
    /// A link was committed in it.
    pub(crate) settled: bool,
    pub(crate) locked: bool,
    /// A password lets people in.
    pub(crate) password: bool,
}

/// What both Hellos come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greeting {
    Refuse(Why),
    /// It is a lane: it needs a link with the same program.
    Lane,
    /// Both are in one room.
    Recognise,
    /// This node enters the other room, by this attempt.
    Enter(u64, Brings),
    /// The peer enters this room, with what it brings.
    Admit(Brings),
}

impl Links {
    /// A channel is up; the attempt that it was dialled for.
    pub(crate) fn opened(
        &mut self,
        cx: &Context,
        id: ConnId,
        (side, role): (Side, Role),
        remote: SocketAddr,
    ) -> Option<u64> {
        let conn = self.conns.entry(id).or_insert_with(|| Conn::new(side, role, cx.now));
        conn.remote = Some(remote);
        conn.began = cx.now;
        match conn.purpose {
            Some(Purpose::Attempt(attempt)) => Some(attempt),
            _ => None,
        }
    }

    /// Says how things stand here, and what the one who dialled brings.
    pub(crate) fn say_hello(
        &mut self,
        cx: &mut Context,
        id: ConnId,
        stand: Standpoint,
        brings: Option<Brings>,
    ) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let hello = Hello {
            run: cx.config.run,
            settled: stand.settled,
            locked: stand.locked,
            password: stand.password,
            moves: brings.is_some(),
            brings: brings.unwrap_or(Brings::Nothing),
            can: Capability::ALL.into(),
        };
        conn.my_hello = Some((hello.clone(), stand.room));
        cx.effect(Effect::SendHello { conn: id, hello, room: stand.room });
    }

    /// The peer's Hello is here, and whether it is of the same room.
    pub(crate) fn greet(
        &mut self,
        cx: &Context,
        id: ConnId,
        (theirs, same_room): (&Hello, bool),
        stand: Standpoint,
    ) -> Option<Greeting> {
        let conn = self.conns.get_mut(&id)?;
        let (mine, room) = conn.my_hello.clone()?;
        conn.their_run = Some(theirs.run);
        conn.their_password = theirs.password;
        conn.their_can.clone_from(&theirs.can);
        conn.same_room = same_room;
        let (side, purpose) = (conn.side, conn.purpose);
        if conn.role != Role::Session {
            return Some(Greeting::Lane);
        }
        let verdict = match side {
            Side::Dialer => decide(&mine, theirs, same_room),
            Side::Listener => decide(theirs, &mine, same_room),
        };
        let said = Standpoint {
            room,
            settled: mine.settled,
            locked: mine.locked,
            password: mine.password,
        };
        Some(match (verdict, side) {
            (Verdict::Refuse(why), _) => Greeting::Refuse(why),
            _ if said != stand => Greeting::Refuse(Why::Busy),
            _ if self.count() >= cx.limits().peers => Greeting::Refuse(Why::Full),
            (Verdict::Recognise, _) => Greeting::Recognise,
            (Verdict::Enter(brings), Side::Dialer) => match purpose {
                Some(Purpose::Attempt(attempt)) => Greeting::Enter(attempt, brings),
                _ => return None,
            },
            // Somebody lets us in elsewhere: this room is about to be left.
            (Verdict::Enter(_), Side::Listener) if self.is_entering() => {
                Greeting::Refuse(Why::Busy)
            }
            (Verdict::Enter(brings), Side::Listener) => Greeting::Admit(brings),
        })
    }

    /// A member of another room proved who it is, and lets this node in.
    fn is_entering(&self) -> bool {
        let entered = |conn: &Conn| {
            conn.agreement().is_some_and(|of| matches!(of.reason(), Reason::Entered { .. }))
        };
        self.conns.values().any(entered)
    }

    /// The lock whose password lets the dialer in.
    pub(crate) fn admits_by(&mut self, id: ConnId, lock: Option<RecordId>) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.lock = lock;
        }
    }

    /// Goes on with a plan; the dialer enters with what it brings, unless both are in one room.
    pub(crate) fn proceed(
        &mut self,
        cx: &mut Context,
        id: ConnId,
        plan: Plan,
        enters: Option<Brings>,
    ) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.stage = Stage::Planned;
            conn.enters = enters;
            cx.effect(Effect::Proceed { conn: id, plan });
        }
    }
}
