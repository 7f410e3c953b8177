//! Lanes: data connections beside a session, dialled by whoever can.

use core::net::SocketAddr;

use super::{FileId, Router};
use crate::crypto::binding::{Role, Side};
use crate::router::event::{Effect, Plan, Target};
use crate::router::ids::{ConnId, MemberId};
use crate::router::links::{Conn, Purpose, Stage, plain_ip};
use crate::router::message::{Hello, Message, Why};
use crate::router::time::{Earliest, Millis};

/// Wait after every address of a host failed.
const RETRY_MS: u64 = 2_000;

impl Router {
    /// Sees to it that lanes to `host` exist or are on their way.
    pub(super) fn want_lanes(&mut self, host: MemberId) {
        let per_pair = self.cx.limits().lanes_per_pair;
        let now = self.cx.now;
        let lanes = self.swarm.lanes.entry(host).or_default();
        if lanes.fetching.len() >= per_pair
            || now < lanes.retry_at
            || self.swarm.choice.rests(&host, now)
        {
            return;
        }
        let missing = per_pair - lanes.fetching.len();
        if let Some((conn, _)) = self.link_of(&host) {
            // How much to ask of it depends on how far it is.
            self.ping(conn);
        }
        let addresses = self.addresses_for_lane(host);
        let Some(lanes) = self.swarm.lanes.get_mut(&host) else { return };
        let Some(address) = addresses.get(lanes.next_address).copied() else {
            // No address works from here: the host should dial us.
            lanes.next_address = 0;
            lanes.retry_at = now.plus(RETRY_MS);
            lanes.asked_back = true;
            if let Some((conn, _)) = self.link_of(&host) {
                self.cx.effect(Effect::Send { conn, message: Message::LaneWanted });
            }
            return;
        };
        for _ in 0..missing {
            let conn = self.dial(Target::Addr(address), Purpose::Lane(host));
            if let Some(lanes) = self.swarm.lanes.get_mut(&host) {
                lanes.fetching.insert(conn);
            }
        }
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
        let (now, per_pair) = (self.cx.now, self.cx.limits().lanes_per_pair);
        let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link_mut()) else { return };
        if link.lane_wanted.is_some_and(|at| now < at.plus(1_000)) {
            return;
        }
        link.lane_wanted = Some(now);
        if self.members.teaches_bad_addresses(&self.cx, &member) {
            return;
        }
        let open = self
            .conns
            .values()
            .filter(|conn| conn.role == Role::LaneServe && conn.side == Side::Dialer)
            .filter(|conn| {
                conn.purpose == Some(Purpose::Lane(member))
                    || matches!(&conn.stage, Stage::Lane { member: m, .. } if *m == member)
            })
            .count();
        let Some(address) = self.addresses_for_lane(member).first().copied() else { return };
        self.swarm.serving_dials.insert(member, 1);
        for _ in open..per_pair {
            self.dial(Target::Addr(address), Purpose::Lane(member));
        }
        self.swarm.serving_dials.remove(&member);
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
        let expected = purpose.is_none_or(|purpose| purpose == Purpose::Lane(member));
        let fetch = (side == Side::Dialer) == (role == Role::LaneFetch);
        let per_pair = self.cx.limits().lanes_per_pair;
        let others = self
            .conns
            .iter()
            .filter(|(other, conn)| {
                **other != id
                    && matches!(&conn.stage, Stage::Lane { member: m, fetch: f, .. }
                        if *m == member && *f == fetch)
            })
            .count();
        if !same_run || !expected {
            return self.refuse(id, Why::NoSession);
        }
        // A lane that the peer gave up may linger for a moment: as many again as the pair has.
        let lingering = usize::from(!fetch) * per_pair;
        let wanted = !fetch
            || self
                .swarm
                .lanes
                .get(&member)
                .is_some_and(|lanes| lanes.fetching.contains(&id) || lanes.asked_back);
        if others >= per_pair + lingering || !wanted || !fetch && self.members.is_ignored(&member) {
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
            let lanes = self.swarm.lanes.entry(member).or_default();
            lanes.fetching.insert(id);
            lanes.next_address = 0;
            let rtt_ms = self.link_of(&member).map_or(0, |(_, link)| link.rtt_ms);
            self.swarm.choice.rtt(member, rtt_ms);
            self.swarm.choice.opened(member, id);
        }
    }

    /// A dial for a lane failed: the next address is next.
    pub(in crate::router) fn lane_failed(&mut self, member: MemberId, conn: &Conn) {
        if conn.role == Role::LaneServe {
            // It asked for this dial, and named the address.
            self.members.record_bad_address(self.cx.now, member);
        }
        let remote = conn.remote;
        let addresses = self.addresses_for_lane(member);
        let Some(lanes) = self.swarm.lanes.get_mut(&member) else { return };
        let gone: Vec<_> =
            lanes.fetching.iter().filter(|conn| !self.conns.contains_key(conn)).copied().collect();
        if gone.is_empty() {
            return; // It was one to serve over.
        }
        for conn in &gone {
            lanes.fetching.remove(conn);
        }
        let failed = remote.and_then(|remote| addresses.iter().position(|a| *a == remote));
        if failed == Some(lanes.next_address) || failed.is_none() {
            lanes.next_address += 1;
        }
        lanes.retry_at = lanes.retry_at.max(self.cx.now.plus(50));
    }

    /// A lane ended; its requests are answered with errors one by one.
    pub(in crate::router) fn lane_down(&mut self, id: ConnId, member: MemberId) {
        if let Some(lanes) = self.swarm.lanes.get_mut(&member) {
            lanes.fetching.remove(&id);
            lanes.retry_at = lanes.retry_at.max(self.cx.now.plus(50));
        }
        self.swarm.choice.closed(id);
        for download in self.swarm.downloads.values_mut() {
            if let super::Stage::List(lanes, _) = &mut download.stage {
                lanes.remove(&id);
            }
        }
    }

    pub(in crate::router) fn close_lanes_of(&mut self, member: MemberId) {
        let ids: Vec<_> = self
            .conns
            .iter()
            .filter(
                |(_, conn)| matches!(&conn.stage, Stage::Lane { member: m, .. } if *m == member),
            )
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.cx.effect(Effect::Close { conn: id });
            self.conns.remove(&id);
            self.lane_down(id, member);
        }
    }

    pub(super) fn lane_deadlines(&self, earliest: &mut Earliest) {
        for (host, lanes) in &self.swarm.lanes {
            let hosts = |file: &FileId| {
                self.link_of(host).is_some_and(|(_, link)| link.hosting.contains_key(file))
            };
            let wanted = self.swarm.downloads.keys().any(hosts);
            if wanted
                && lanes.fetching.len() < self.cx.limits().lanes_per_pair
                && lanes.retry_at > self.cx.now
            {
                earliest.at(lanes.retry_at.max(Millis(0)));
            }
        }
    }
}
