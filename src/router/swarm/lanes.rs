//! Lanes: data connections beside a session, dialled by whoever can. Who is dialled is decided
//! here, and done elsewhere.

use core::net::SocketAddr;

use super::{DownloadStage, Swarm};
use crate::router::context::Context;
use crate::router::event::{Effect, Target};
use crate::router::ids::{ConnId, MemberId};
use crate::router::links::Purpose;
use crate::router::message::Message;

/// Wait after every address of a host failed.
const RETRY_MS: u64 = 2_000;
/// Wait after a lane ended or could not be dialled.
const PAUSE_MS: u64 = 50;

impl Swarm {
    /// Whether lanes to a host should be dialled now.
    pub(in crate::router) fn lacks_lanes(&mut self, cx: &Context, host: MemberId) -> bool {
        let lanes = self.lanes.entry(host).or_default();
        lanes.fetching.len() < cx.limits().lanes_per_pair
            && cx.now >= lanes.retry_at
            && !self.choice.rests(&host, cx.now)
    }

    /// Dials a host that has these addresses for as many lanes as are missing; if none of the
    /// addresses works from here, it is asked to dial us.
    pub(in crate::router) fn dial_lanes(
        &mut self,
        cx: &mut Context,
        host: MemberId,
        addresses: &[SocketAddr],
    ) {
        let per_pair = cx.limits().lanes_per_pair;
        let lanes = self.lanes.entry(host).or_default();
        if let Some(address) = addresses.get(lanes.next_address) {
            while lanes.fetching.len() < per_pair {
                let conn = cx.dial(Target::Addr(*address), Purpose::Lane(host));
                lanes.fetching.insert(conn);
            }
<<<<<<< HEAD
            return;
        }
        lanes.next_address = 0;
        lanes.retry_at = cx.now.plus(RETRY_MS);
        lanes.asked_back = true;
        if let Some(conn) = self.holders.conn_of(&host) {
            cx.effect(Effect::Send { conn, message: Message::LaneWanted });
=======
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
>>>>>>> main
        }
    }

    /// A member asks to be dialled for its lanes: whether it is heard.
    pub(in crate::router) fn hears_lane_wanted(&mut self, cx: &Context, conn: ConnId) -> bool {
        self.holders.get_mut(conn).is_some_and(|holder| holder.wants_lane(cx.now))
    }

    /// Whether a lane over which to fetch from a member was dialled or asked for.
    pub(in crate::router) fn expects_lane(&self, member: &MemberId, conn: ConnId) -> bool {
        let lanes = self.lanes.get(member);
        lanes.is_some_and(|lanes| lanes.fetching.contains(&conn) || lanes.asked_back)
    }

<<<<<<< HEAD
    /// A lane over which to fetch is open.
    pub(in crate::router) fn lane_opened(&mut self, host: MemberId, conn: ConnId, rtt_ms: u64) {
        let lanes = self.lanes.entry(host).or_default();
        lanes.fetching.insert(conn);
        lanes.next_address = 0;
        self.choice.rtt(host, rtt_ms);
        self.choice.opened(host, conn);
    }

    /// A dial for a lane failed: the next of the host's addresses is next.
    pub(in crate::router) fn lane_failed(
        &mut self,
        cx: &Context,
        host: MemberId,
        (failed, addresses): (Option<SocketAddr>, &[SocketAddr]),
        is_there: impl Fn(ConnId) -> bool,
    ) {
        let Some(lanes) = self.lanes.get_mut(&host) else { return };
        let before = lanes.fetching.len();
        lanes.fetching.retain(|conn| is_there(*conn));
        if lanes.fetching.len() == before {
=======
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
>>>>>>> main
            return; // It was one to serve over.
        }
        let failed = failed.and_then(|failed| addresses.iter().position(|at| *at == failed));
        if failed.is_none_or(|failed| failed == lanes.next_address) {
            lanes.next_address += 1;
        }
        lanes.retry_at = lanes.retry_at.max(cx.now.plus(PAUSE_MS));
    }

    /// A lane ended; its requests are answered with errors one by one.
    pub(in crate::router) fn lane_down(&mut self, cx: &Context, conn: ConnId, member: MemberId) {
        if let Some(lanes) = self.lanes.get_mut(&member) {
            lanes.fetching.remove(&conn);
            lanes.retry_at = lanes.retry_at.max(cx.now.plus(PAUSE_MS));
        }
        self.choice.closed(conn);
        for download in self.downloads.values_mut() {
            if let DownloadStage::List(lanes, _) = &mut download.stage {
                lanes.remove(&conn);
            }
        }
    }
}
