//! Timeouts of connections: agreements that take too long, pings, and silence.

use super::Links;
use super::conn::{Conn, Stage};
use crate::router::context::Context;
use crate::router::event::Effect;
use crate::router::ids::{ConnId, MemberId, RunId};
use crate::router::message::{Brings, Message};
use crate::router::time::Millis;
use crate::router::timers::Timer;

/// How long a second connection of a pair waits for the first to answer a ping.
const DUPLICATE_PING_MS: u64 = 2_000;

/// What is to happen to a connection whose time has come.
#[derive(Debug)]
pub(crate) enum Overdue {
    /// Both did not come to an agreement in time.
    Agreement,
    /// The older link with a member did not answer, and gives way.
    OlderLink(MemberId),
    /// Nothing comes any more, or nothing is taken.
    Silence,
}

impl Links {
    /// Looks at a connection whose deadline has come.
    pub(crate) fn due(&mut self, cx: &mut Context, id: ConnId) -> Option<Overdue> {
        let conn = self.conns.get_mut(&id)?;
        let admit_by = admit_by(conn, cx);
        let limits = cx.limits();
        let overdue = match &mut conn.stage {
            Stage::Agreeing(_) if cx.now >= admit_by => Some(Overdue::Agreement),
            Stage::Agreeing(of) => {
                let late = |at: &mut Millis| cx.now >= at.plus(DUPLICATE_PING_MS);
                of.doubts.take_if(late).map(|_| Overdue::OlderLink(of.member()))
            }
            Stage::Linked(link) => {
                let stuck = |at: Millis| cx.now >= at.plus(limits.stuck_link_ms);
                if cx.now >= link.heard.plus(limits.dead_after_ms)
                    || link.congested.is_some_and(stuck)
                {
                    Some(Overdue::Silence)
                } else {
                    if cx.now >= link.heard.plus(limits.ping_after_idle_ms) {
                        self.ping(cx, id);
                    }
                    None
                }
            }
            Stage::Opening | Stage::Planned | Stage::Lane(_) => None,
        };
        self.rearm(cx, id);
        overdue
    }

    /// Sets the deadline of a connection. It is not set again for each message that comes: when it
    /// has come, it is looked at anew.
    pub(super) fn rearm(&self, cx: &mut Context, id: ConnId) {
        let deadline = self.get(id).and_then(|conn| deadline(conn, cx));
        cx.timers.set(Timer::Link(id), deadline);
    }

    /// Asks the other end of a link for a sign of life.
    pub(crate) fn ping(&mut self, cx: &mut Context, id: ConnId) {
        let number = cx.rng.next_u64() as u32;
        let Some(link) = self.conns.get_mut(&id).and_then(Conn::link_mut) else { return };
        if link.pinged.is_none() {
            link.pinged = Some((number, cx.now));
            cx.effect(Effect::Send { conn: id, message: Message::Ping(number) });
            self.rearm(cx, id);
        }
    }

    /// The answer of a link; its round trip in milliseconds, if it is that.
    pub(crate) fn pong(&mut self, cx: &mut Context, id: ConnId, number: u32) -> Option<u64> {
        let link = self.conns.get_mut(&id)?.link_mut()?;
        let (_, at) = link.pinged.take_if(|(expected, _)| *expected == number)?;
        let rtt_ms = cx.now.since(at);
        link.rtt_ms = Some(rtt_ms);
        self.rearm(cx, id);
        Some(rtt_ms)
    }

    /// Something came over a connection: whose link it is, if it is one.
    pub(crate) fn hear(&mut self, now: Millis, id: ConnId) -> Option<(MemberId, RunId)> {
        let link = self.conns.get_mut(&id)?.link_mut()?;
        link.heard = now;
        Some((link.member, link.run))
    }

    /// The other end of a link asks for a sign of life.
    pub(crate) fn answer_ping(&mut self, cx: &mut Context, id: ConnId, number: u32) {
        if let Some(link) = self.conns.get_mut(&id).and_then(Conn::link_mut) {
            link.pong = Some(number);
            cx.mark(id);
        }
    }

    /// The sign of life that is owed.
    pub(crate) fn flush(&mut self, id: ConnId, messages: &mut Vec<Message>) {
        let link = self.conns.get_mut(&id).and_then(Conn::link_mut);
        messages.extend(link.and_then(|link| link.pong.take()).map(Message::Pong));
    }

    /// The outbox of a link is full, or empty again.
    pub(crate) fn congested(&mut self, cx: &mut Context, id: ConnId, congested: bool) {
        if let Some(link) = self.conns.get_mut(&id).and_then(Conn::link_mut) {
            link.congested = congested.then(|| link.congested.unwrap_or(cx.now));
            cx.mark(id);
            self.rearm(cx, id);
        }
    }

    /// A second connection of a pair: the older must answer a ping, or it is replaced.
    pub(crate) fn doubt(&mut self, cx: &mut Context, id: ConnId, older: ConnId) {
        if let Some(of) = self.agreement_mut(id) {
            of.doubts = Some(cx.now);
        }
        self.rearm(cx, id);
        self.ping(cx, older);
    }

    /// Newer connections of a pair whose older link has shown that it lives; whether each leads to
    /// the same program.
    pub(crate) fn doubting(&self, member: MemberId, run: RunId) -> Vec<(ConnId, bool)> {
        let doubts = |conn: &Conn| {
            conn.agreement().is_some_and(|of| of.member() == member && of.doubts.is_some())
        };
        let doubting = self.conns.iter().filter(|(_, conn)| doubts(conn));
        doubting.map(|(id, conn)| (*id, conn.their_run == Some(run))).collect()
    }

    /// After a suspend nothing that was heard before counts: links must answer now.
    pub(crate) fn woke(&mut self, cx: &mut Context) {
        let (after, dead) = (cx.limits().ping_after_idle_ms, cx.limits().dead_after_ms);
        let heard = Millis(cx.now.0.saturating_sub(dead - after));
        for link in self.conns.values_mut().filter_map(Conn::link_mut) {
            link.heard = heard;
            link.pinged = None;
        }
        self.conns.keys().for_each(|id| self.rearm(cx, *id));
    }
}

fn deadline(conn: &Conn, cx: &Context) -> Option<Millis> {
    let limits = cx.limits();
    match &conn.stage {
        Stage::Agreeing(of) => {
            let doubted = of.doubts.map(|at| at.plus(DUPLICATE_PING_MS));
            Some(doubted.map_or(admit_by(conn, cx), |at| at.min(admit_by(conn, cx))))
        }
        Stage::Linked(link) => {
            let patience_ms = match link.pinged {
                Some(_) => limits.dead_after_ms,
                None => limits.ping_after_idle_ms,
            };
            let silent = link.heard.plus(patience_ms);
            let stuck = link.congested.map(|at| at.plus(limits.stuck_link_ms));
            Some(stuck.map_or(silent, |at| at.min(silent)))
        }
        Stage::Opening | Stage::Planned | Stage::Lane(_) => None,
    }
}

/// Until when both have to be ready.
fn admit_by(conn: &Conn, cx: &Context) -> Millis {
    let limits = cx.limits();
    conn.began.plus(match conn.enters {
        Some(Brings::Password) => limits.password_deadline_ms,
        _ => limits.handshake_deadline_ms,
    })
}
