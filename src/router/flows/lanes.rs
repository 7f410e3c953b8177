//! Lanes from the dial to the end: connections that carry chunks between two that are linked.

use core::net::SocketAddr;

use crate::crypto::binding::{Role, Side};
use crate::router::Router;
use crate::router::event::{Effect, Plan, Target};
use crate::router::ids::{ConnId, MemberId};
use crate::router::links::{Conn, Purpose, Stage, plain_ip};
use crate::router::message::{Hello, Why};

impl Router {
    /// Sees to it that lanes to `host` exist or are on their way.
    pub(super) fn want_lanes(&mut self, host: MemberId) {
        if !self.swarm.lacks_lanes(&self.cx, host) {
            return;
        }
        if let Some((conn, _)) = self.link_of(&host) {
            // How much to ask of it depends on how far it is.
            self.ping(conn);
        }
        let addresses = self.addresses_for_lane(host);
        self.swarm.dial_lanes(&mut self.cx, host, &addresses);
    }

    /// Where a linked member can be dialled: the address of the link if we dialled it, then what
    /// it says of itself.
    fn addresses_for_lane(&self, member: MemberId) -> Vec<SocketAddr> {
        let Some((id, _)) = self.link_of(&member) else { return Vec::new() };
        let Some(conn) = self.conns.get(&id) else { return Vec::new() };
        let mut addresses: Vec<SocketAddr> = Vec::new();
        if conn.side == Side::Dialer {
            addresses.extend(conn.remote);
        }
        for address in self.members.addresses_of(&member) {
            let address = SocketAddr::new(plain_ip(address.ip()), address.port());
            let usable = !address.ip().is_loopback() || self.on_loopback(id);
            if usable && address.port() >= 1024 && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    /// A member cannot dial us for its lanes: dial it, to serve.
    pub(in crate::router) fn lane_wanted(&mut self, id: ConnId) {
        let Some(member) = self.member_of(id) else { return };
        if !self.swarm.hears_lane_wanted(&self.cx, id)
            || self.members.teaches_bad_addresses(&self.cx, &member)
        {
            return;
        }
        let open = self
            .conns
            .values()
            .filter(|conn| conn.role == Role::LaneServe && conn.side == Side::Dialer)
            .filter(|conn| {
                conn.purpose == Some(Purpose::Serve(member))
                    || matches!(&conn.stage, Stage::Lane { member: m, .. } if *m == member)
            })
            .count();
        let Some(address) = self.addresses_for_lane(member).first().copied() else { return };
        for _ in open..self.cx.limits().lanes_per_pair {
            self.cx.dial(Target::Addr(address), Purpose::Serve(member));
        }
    }

    /// The Hello of a lane: it needs a live session with the same run.
    pub(in crate::router) fn lane_hello(&mut self, id: ConnId, theirs: &Hello, same_room: bool) {
        let session = self.links().any(|(_, link)| link.run == theirs.run);
        if !session || !same_room {
            return self.refuse(id, Why::NoSession);
        }
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.stage = Stage::Planned;
        }
        // Whoever has a session is known: no chain is shown over a lane.
        let plan = Plan::Recognise { room: self.room.id, chain: Vec::new() };
        self.cx.effect(Effect::Proceed { conn: id, plan });
    }

    /// The peer of a lane proved who it is: only who has a live session is known.
    pub(in crate::router) fn lane_shown(&mut self, id: ConnId, member: MemberId) {
        let Some(conn) = self.conns.get(&id) else { return };
        let same_run = self.link_of(&member).is_some_and(|(_, l)| Some(l.run) == conn.their_run);
        if same_run {
            self.cx.effect(Effect::Judge { conn: id, known: true });
        } else {
            self.refuse(id, Why::NoSession);
        }
    }

    /// Both ends of a lane are known.
    pub(in crate::router) fn lane_identified(&mut self, id: ConnId, member: MemberId) {
        let Some(conn) = self.conns.get(&id) else { return };
        let (side, role, purpose) = (conn.side, conn.role, conn.purpose.clone());
        let same_run = self.link_of(&member).is_some_and(|(_, l)| Some(l.run) == conn.their_run);
        let expected = [None, Some(Purpose::Lane(member)), Some(Purpose::Serve(member))];
        if !same_run || !expected.contains(&purpose) {
            return self.refuse(id, Why::NoSession);
        }
        let fetch = (side == Side::Dialer) == (role == Role::LaneFetch);
        let per_pair = self.cx.limits().lanes_per_pair;
        let is_other = |(other, conn): &(&ConnId, &Conn)| {
            **other != id
                && matches!(&conn.stage, Stage::Lane { member: m, fetch: f, .. }
                    if *m == member && *f == fetch)
        };
        let others = self.conns.iter().filter(is_other).count();
        // A lane that the peer gave up may linger for a moment: as many again as the pair has.
        let most = if fetch { per_pair } else { 2 * per_pair };
        let wanted = match fetch {
            true => self.swarm.expects_lane(&member, id),
            false => !self.members.is_ignored(&member),
        };
        if others >= most || !wanted {
            return self.refuse(id, Why::Busy);
        }
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.stage = Stage::Lane { member, fetch, open: false };
        }
        self.cx.effect(Effect::StartLane { conn: id, member, fetch });
    }

    pub(in crate::router) fn lane_opened(&mut self, id: ConnId) {
        let Some(Conn { stage: Stage::Lane { member, fetch, open }, .. }) = self.conns.get_mut(&id)
        else {
            return;
        };
        *open = true;
        let (member, fetch) = (*member, *fetch);
        if fetch {
            let rtt_ms = self.link_of(&member).map_or(0, |(_, link)| link.rtt_ms);
            self.swarm.lane_opened(member, id, rtt_ms);
        }
    }

    /// A dial for a lane failed: the next address is next.
    pub(in crate::router) fn lane_failed(&mut self, member: MemberId, conn: &Conn) {
        if conn.role == Role::LaneServe {
            // It asked for this dial, and named the address.
            self.members.record_bad_address(self.cx.now, member);
        }
        let addresses = self.addresses_for_lane(member);
        let conns = &self.conns;
        let tried = (conn.remote, addresses.as_slice());
        self.swarm.lane_failed(&self.cx, member, tried, |conn| conns.contains_key(&conn));
    }

    /// A lane ended.
    pub(in crate::router) fn lane_down(&mut self, id: ConnId, member: MemberId) {
        self.swarm.lane_down(&self.cx, id, member);
    }

    /// Nothing is to come over a lane any more.
    pub(in crate::router) fn drop_lane(&mut self, id: ConnId) {
        if let Some(member) = self.member_of(id)
            && self.conns.remove(&id).is_some()
        {
            self.cx.effect(Effect::Close { conn: id });
            self.lane_down(id, member);
        }
    }

    pub(in crate::router) fn close_lanes_of(&mut self, member: MemberId) {
        let is_lane =
            |conn: &Conn| matches!(&conn.stage, Stage::Lane { member: of, .. } if *of == member);
        let lanes = self.conns.iter().filter(|(_, conn)| is_lane(conn)).map(|(id, _)| *id);
        for id in lanes.collect::<Vec<_>>() {
            self.drop_lane(id);
        }
    }
}
