//! The clock of connections: agreements that take too long, pings, silence, and what is due to be
//! said.

use super::{Conn, Stage};
use crate::router::Router;
use crate::router::event::{Closed, Effect};
use crate::router::message::{Brings, Why};
use crate::router::time::{Earliest, Millis};

impl Router {
    /// Handshakes that take too long after the peer is known, pings, and silence.
    pub(in crate::router) fn link_timers(&mut self) {
        let ids: Vec<_> = self.conns.keys().copied().collect();
        for id in ids {
            let Some(conn) = self.conns.get(&id) else { continue };
            match &conn.stage {
                Stage::Agreeing(agreement) => {
                    let doubted = agreement.doubts;
                    let member = agreement.member;
                    if self.cx.now >= self.admit_by(conn) {
                        self.refuse(id, Why::Busy);
                    } else if doubted.is_some_and(|at| {
                        self.cx.now >= at.plus(self.cx.limits().duplicate_ping_ms)
                    }) {
                        if let Some((older, _)) = self.link_of(&member) {
                            self.cx.effect(Effect::Close { conn: older });
                            self.forget_conn(older, Closed::Silent, None);
                        }
                        if let Some(Stage::Agreeing(agreement)) =
                            self.conns.get_mut(&id).map(|conn| &mut conn.stage)
                        {
                            agreement.doubts = None;
                        }
                        self.agree(id);
                    }
                }
                Stage::Linked(link) => {
                    let (heard, pinged, congested) = (link.heard, link.pinged, link.congested);
                    let limits = self.cx.limits();
                    if self.cx.now >= heard.plus(limits.dead_after_ms)
                        || congested.is_some_and(|at| self.cx.now >= at.plus(limits.stuck_link_ms))
                    {
                        self.cx.effect(Effect::Close { conn: id });
                        self.forget_conn(id, Closed::Silent, None);
                    } else if pinged.is_none()
                        && self.cx.now >= heard.plus(limits.ping_after_idle_ms)
                    {
                        self.ping(id);
                    }
                }
                _ => {}
            }
        }
    }

    pub(in crate::router) fn link_deadlines(&self, earliest: &mut Earliest) {
        let limits = self.cx.limits();
        for conn in self.conns.values() {
            match &conn.stage {
                Stage::Agreeing(agreement) => {
                    earliest.at(self.admit_by(conn));
                    if let Some(at) = agreement.doubts {
                        earliest.at(at.plus(limits.duplicate_ping_ms));
                    }
                }
                Stage::Linked(link) => {
                    earliest.at(link.heard.plus(if link.pinged.is_some() {
                        limits.dead_after_ms
                    } else {
                        limits.ping_after_idle_ms
                    }));
                    if let Some(at) = link.congested {
                        earliest.at(at.plus(limits.stuck_link_ms));
                    }
                }
                _ => {}
            }
        }
    }

    fn admit_by(&self, conn: &Conn) -> Millis {
        let limits = self.cx.limits();
        conn.began.plus(if conn.enters == Some(Brings::Password) {
            limits.password_deadline_ms
        } else {
            limits.handshake_deadline_ms
        })
    }
}
