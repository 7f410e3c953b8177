//! The end of a connection, and everything that follows from it.

use crate::crypto::binding::Role;
use crate::router::Router;
use crate::router::event::Closed;
use crate::router::ids::{ConnId, MemberId};
use crate::router::links::{Conn, Overdue};
use crate::router::message::{Refusal, Why};
use crate::router::order::Order;
use crate::router::order::Purpose;

impl Router {
    /// A connection is over: tells everything that waited for it. `refusal`: why this side refused
    /// it. Calling this twice is harmless.
    pub(crate) fn conn_ended(&mut self, id: ConnId, how: Closed, refusal: Option<Refusal>) {
        let refusal = match &how {
            Closed::Refused(refusal) => Some(refusal),
            _ => refusal.as_ref(),
        };
        let Some(conn) = self.links.remove(&mut self.cx, id) else { return };
        self.registry.link_down(&mut self.cx, id);
        self.log.link_down(&mut self.cx, id);
        // A guesser may break off with the same reason.
        let ours = |refusal: &Refusal| {
            how == Closed::ByUs && matches!(refusal.why, Why::Crossing | Why::Busy)
        };
        if self.guesses.end(id)
            && !refusal.is_some_and(ours)
            && let Some(remote) = conn.remote()
        {
            self.guesses.failed(&mut self.cx, remote.ip());
        }
        if let Closed::Refused(refusal) = &how {
            self.heed_refusal(&conn, refusal);
        }
        if let Some(link) = conn.link() {
            self.comparisons.link_down(&mut self.cx, id);
            self.link_down(id, link.member(), &how, refusal);
        }
        if let Some(lane) = conn.lane() {
            self.swarm.lane_down(&self.cx, id, lane.member);
        }
        match conn.purpose() {
            Some(Purpose::Attempt(attempt)) if conn.link().is_none() => {
                self.attempt_ended(attempt, &conn, &how, refusal);
            }
            Some(Purpose::Redial(member)) if conn.link().is_none() => {
                self.redial_failed(member, refusal);
            }
            Some(Purpose::Lane(member) | Purpose::Serve(member))
                if conn.lane().is_none_or(|lane| !lane.open) =>
            {
                self.lane_failed(member, &conn);
            }
            _ => {}
        }
        // The pair's other connection continues, unless one of them is the link already.
        if let Some(of) = conn.agreement()
            && self.members.conn_of(&of.member()).is_none()
        {
            for id in self.links.agreeing_with(of.member()) {
                self.cx.order(Order::Agree(id));
            }
        }
    }

    /// A connection's deadline has come.
    pub(crate) fn link_due(&mut self, id: ConnId) {
        match self.links.due(&mut self.cx, id) {
            Some(Overdue::Agreement) => self.cx.refuse(id, Why::Busy),
            Some(Overdue::OlderLink(member)) => {
                if let Some(older) = self.members.conn_of(&member) {
                    self.cx.close(older, Closed::Silent);
                }
                self.cx.order(Order::Agree(id));
            }
            Some(Overdue::Silence) => self.cx.close(id, Closed::Silent),
            None => {}
        }
    }

    fn link_down(
        &mut self,
        conn: ConnId,
        member: MemberId,
        how: &Closed,
        refusal: Option<&Refusal>,
    ) {
        let closed = !matches!(how, Closed::Silent);
        let refused = refusal.map(|refusal| refusal.why);
        let in_doubt = self.registry.is_closed() && self.registry.is_member(&self.cx.my_id);
        let standing = (in_doubt, self.registry.am_out());
        self.members.link_down(&mut self.cx, conn, closed, refused, standing);
        if self.registry.may_link(&member).is_err() {
            self.members.put_out(&member);
        }
        if matches!(refused, Some(Why::NotMember | Why::Removed)) {
            self.close_lanes_of(member);
        }
        self.swarm.link_down(&mut self.cx, conn);
    }

    /// A refusal with the record that put us out takes effect here; without that record it is
    /// hearsay.
    fn heed_refusal(&mut self, conn: &Conn, refusal: &Refusal) {
        // A link is in the room, however that was entered.
        let here = conn.my_room() == Some(self.stay.room())
            && (conn.enters().is_none() || conn.is_same_room());
        if conn.role() != Role::Session || !here && conn.link().is_none() {
            return;
        }
        let outside = matches!(refusal.why, Why::NotMember | Why::Removed);
        match refusal.record.clone() {
            Some(record) if self.registry.heeds(&record, refusal.steward.as_deref()) => {
                let records: Vec<_> = refusal.steward.clone().into_iter().chain([record]).collect();
                self.records_arrived(&records, None);
            }
            _ if outside
                && !matches!(conn.purpose(), Some(Purpose::Attempt(_)))
                && self.stay.tell_outside() =>
            {
                self.cx.remark(
                    "somebody who was reached says that this room is closed and that you are not \
                     a member of it any more",
                );
            }
            _ => {}
        }
    }
}
