//! Lanes: data connections beside a session, dialled by the side that can. Whom to dial is decided
//! here, and done elsewhere.

use core::net::SocketAddr;

use super::{DownloadStage, Swarm};
use crate::router::context::Context;
use crate::router::event::{Effect, Target};
use crate::router::ids::{ConnId, MemberId};
use crate::router::message::Message;
use crate::router::order::Purpose;

/// Lanes per pair of members and direction of the bytes: with a second one, a member that is behind
/// others in a host's turns can catch up.
pub const LANES_PER_PAIR: usize = 2;
/// Wait after every address of a host failed.
const RETRY_MS: u64 = 2_000;
/// Wait after a lane ended or could not be dialled.
const PAUSE_MS: u64 = 50;

impl Swarm {
    /// Whether lanes to a host should be dialled now.
    pub(crate) fn lacks_lanes(&mut self, cx: &Context, host: MemberId) -> bool {
        let lanes = self.lanes.entry(host).or_default();
        lanes.fetching.len() < LANES_PER_PAIR
            && cx.now >= lanes.retry_at
            && !self.choice.rests(&host, cx.now)
    }

    /// Dials a host at these addresses for as many lanes as are missing; if none of the addresses
    /// works from here, it is asked to dial us.
    pub(crate) fn dial_lanes(
        &mut self,
        cx: &mut Context,
        host: MemberId,
        addresses: &[SocketAddr],
    ) {
        let lanes = self.lanes.entry(host).or_default();
        if let Some(address) = addresses.get(lanes.next_address) {
            while lanes.fetching.len() < LANES_PER_PAIR {
                let conn = cx.dial(Target::Addr(*address), Purpose::Lane(host));
                lanes.fetching.insert(conn);
            }
            return;
        }
        lanes.next_address = 0;
        lanes.retry_at = cx.now.plus(RETRY_MS);
        lanes.asked_back = true;
        if let Some(conn) = self.holders.conn_of(&host) {
            cx.effect(Effect::Send { conn, message: Message::LaneWanted });
        }
    }

    /// A member asks to be dialled for its lanes; returns whether to do so.
    pub(crate) fn hears_lane_wanted(&mut self, cx: &Context, conn: ConnId) -> bool {
        self.holders.get_mut(conn).is_some_and(|holder| holder.wants_lane(cx.now))
    }

    /// Whether a lane for fetching from a member was dialled or requested.
    pub(crate) fn expects_lane(&self, member: &MemberId, conn: ConnId) -> bool {
        let lanes = self.lanes.get(member);
        lanes.is_some_and(|lanes| lanes.fetching.contains(&conn) || lanes.asked_back)
    }

    /// A lane for fetching is open.
    pub(crate) fn lane_opened(&mut self, host: MemberId, conn: ConnId, rtt_ms: u64) {
        let lanes = self.lanes.entry(host).or_default();
        lanes.fetching.insert(conn);
        lanes.next_address = 0;
        self.choice.rtt(host, rtt_ms);
        self.choice.opened(host, conn);
    }

    /// A dial for a lane failed: next comes the host's next address.
    pub(crate) fn lane_failed(
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
            return; // It was a lane for serving.
        }
        let failed = failed.and_then(|failed| addresses.iter().position(|at| *at == failed));
        if failed.is_none_or(|failed| failed == lanes.next_address) {
            lanes.next_address += 1;
        }
        lanes.retry_at = lanes.retry_at.max(cx.now.plus(PAUSE_MS));
    }

    /// A lane ended: what was requested over it is free again.
    pub(crate) fn lane_down(&mut self, cx: &Context, conn: ConnId, member: MemberId) {
        if let Some(lanes) = self.lanes.get_mut(&member) {
            lanes.fetching.remove(&conn);
            lanes.retry_at = lanes.retry_at.max(cx.now.plus(PAUSE_MS));
        }
        self.choice.closed(conn);
        for download in self.downloads.values_mut() {
            download.lists.lane_gone(conn);
            if let DownloadStage::List(lanes, _) = &mut download.stage {
                lanes.remove(&conn);
            }
        }
    }
}
