//! Lanes from dial to end: connections that carry chunks between two linked members.

use core::net::SocketAddr;

use crate::crypto::binding::Role;
use crate::router::Router;
use crate::router::address::{is_loopback, plain_ip};
use crate::router::event::{Effect, Plan, Target};
use crate::router::ids::{ConnId, MemberId};
use crate::router::links::{Conn, Lane, Link};
use crate::router::message::{Hello, Why};
use crate::router::order::Purpose;
use crate::router::swarm::LANES_PER_PAIR;

impl Router {
    /// Makes sure that lanes to `host` exist or are being opened.
    pub(super) fn want_lanes(&mut self, host: MemberId) {
        if !self.swarm.lacks_lanes(&self.cx, host) {
            return;
        }
        if let Some(conn) = self.members.conn_of(&host) {
            // How much to request from it depends on how far away it is.
            self.links.ping(&mut self.cx, conn);
        }
        let addresses = self.addresses_for_lane(host);
        self.swarm.dial_lanes(&mut self.cx, host, &addresses);
    }

    /// Where a linked member can be dialled: the link's address if we dialled it, then the
    /// addresses that it claims.
    fn addresses_for_lane(&self, member: MemberId) -> Vec<SocketAddr> {
        let conn = self.members.conn_of(&member).and_then(|id| self.links.get(id));
        let Some(conn) = conn else { return Vec::new() };
        // Loopback counts only if the peer itself is on loopback.
        let is_here = conn.remote().is_some_and(|remote| is_loopback(remote.ip()));
        let mut addresses: Vec<SocketAddr> = Vec::new();
        if conn.is_dialled() {
            addresses.extend(conn.remote());
        }
        for address in self.members.addresses_of(&member) {
            let address = SocketAddr::new(plain_ip(address.ip()), address.port());
            let usable = is_here || !address.ip().is_loopback();
            if usable && address.port() >= 1024 && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    /// A member cannot dial us for its lanes, so we dial it, to serve.
    pub(crate) fn lane_wanted(&mut self, id: ConnId) {
        let Some(member) = self.links.get(id).and_then(Conn::member) else { return };
        if !self.swarm.hears_lane_wanted(&self.cx, id) {
            return;
        }
        let serves = Some(Purpose::Serve(member));
        let open = self.links.all().filter(|(_, conn)| conn.purpose() == serves).count();
        let Some(address) = self.addresses_for_lane(member).first().copied() else { return };
        for _ in open..LANES_PER_PAIR {
            if !self.members.pays_for_lane(&self.cx, member) {
                return;
            }
            self.cx.dial(Target::Addr(address), Purpose::Serve(member));
        }
    }

    /// The Hello of a lane, which needs a live session with the same run.
    pub(crate) fn lane_hello(&mut self, id: ConnId, theirs: &Hello, same_room: bool) {
        if !self.links.has_run(theirs.run) || !same_room {
            return self.cx.refuse(id, Why::NoSession);
        }
        // A peer with a session is known: no chain is shown on a lane.
        let plan = Plan::Recognise { room: self.stay.room(), chain: Vec::new() };
        self.links.proceed(&mut self.cx, id, plan, None);
    }

    fn link_with(&self, member: &MemberId) -> Option<&Link> {
        self.members.conn_of(member).and_then(|conn| self.links.link(conn))
    }

    /// Whether a connection leads to the program that is linked as this member.
    fn is_same_run(&self, id: ConnId, member: &MemberId) -> bool {
        let run = self.links.get(id).and_then(Conn::their_run);
        self.link_with(member).is_some_and(|link| Some(link.run()) == run)
    }

    /// A lane's peer proved its identity: it is known only if it has a live session.
    pub(crate) fn lane_shown(&mut self, id: ConnId, member: MemberId) {
        if self.is_same_run(id, &member) {
            self.cx.effect(Effect::Judge { conn: id, known: true });
        } else {
            self.cx.refuse(id, Why::NoSession);
        }
    }

    /// Both ends of a lane are known.
    pub(crate) fn lane_identified(&mut self, id: ConnId, member: MemberId) {
        let Some(conn) = self.links.get(id) else { return };
        let expected = [None, Some(Purpose::Lane(member)), Some(Purpose::Serve(member))];
        if !self.is_same_run(id, &member) || !expected.contains(&conn.purpose()) {
            return self.cx.refuse(id, Why::NoSession);
        }
        if conn.purpose() == Some(Purpose::Serve(member)) {
            self.members.lane_led_to(member);
        }
        let fetch = conn.is_dialled() == (conn.role() == Role::LaneFetch);
        let is_other = |(other, conn): &(ConnId, &Conn)| {
            let same = |lane: Lane| lane.member == member && lane.fetch == fetch;
            *other != id && conn.lane().is_some_and(same)
        };
        let others = self.links.all().filter(is_other).count();
        // A lane that the peer gave up may linger for a moment, so twice as many may be open.
        let most = if fetch { LANES_PER_PAIR } else { 2 * LANES_PER_PAIR };
        let wanted = match fetch {
            true => self.swarm.expects_lane(&member, id),
            false => !self.members.is_ignored(&member),
        };
        if others >= most || !wanted {
            return self.cx.refuse(id, Why::Busy);
        }
        self.links.begin_lane(&mut self.cx, id, member, fetch);
    }

    pub(crate) fn lane_opened(&mut self, id: ConnId) {
        if let Some(Lane { member, fetch: true, .. }) = self.links.open_lane(id) {
            let rtt_ms = self.link_with(&member).and_then(Link::rtt_ms);
            self.swarm.lane_opened(member, id, rtt_ms.unwrap_or(0));
        }
    }

    /// A dial for a lane failed: tries the next address.
    pub(crate) fn lane_failed(&mut self, member: MemberId, conn: &Conn) {
        let addresses = self.addresses_for_lane(member);
        let links = &self.links;
        let tried = (conn.remote(), addresses.as_slice());
        self.swarm.lane_failed(&self.cx, member, tried, |conn| links.get(conn).is_some());
    }

    /// Nothing more should come over a lane.
    pub(crate) fn drop_lane(&mut self, id: ConnId) {
        if let Some(member) = self.links.remove(&mut self.cx, id).and_then(|conn| conn.member()) {
            self.cx.effect(Effect::Close { conn: id });
            self.swarm.lane_down(&self.cx, id, member);
        }
    }

    pub(crate) fn close_lanes_of(&mut self, member: MemberId) {
        for id in self.links.lanes_with(|of| *of == member) {
            self.drop_lane(id);
        }
    }
}
