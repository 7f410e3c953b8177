//! Ends links with those who are no longer members, or who give way in a full room.

use core::net::IpAddr;
use std::collections::BTreeMap;

use crate::router::Router;
use crate::router::address::{is_own_computer, neighbourhood_of};
use crate::router::ids::{ConnId, MemberId};
use crate::router::links::Conn;
use crate::router::links::places::{Lineage, LinkGroup, LinkPlace, to_give_way};
use crate::router::log::WayIn;
use crate::router::message::Why;

/// A branch of the room with more than this part of the places gives way.
const BRANCH_SHARE: usize = 4;

impl Router {
    /// Ends links and lanes with those who are not members.
    pub(crate) fn close_outsiders(&mut self) {
        for (conn, refusal) in self.registry.take_outsiders() {
            self.cx.refuse_with(conn, refusal);
        }
        let registry = &self.registry;
        for lane in self.links.lanes_with(|member| registry.may_link(member).is_err()) {
            self.cx.refuse(lane, Why::NoSession);
        }
    }

    /// Whether somebody is a member by tickets of which none, up to the founder's, is open: those
    /// who came by an open door can let in others.
    fn came_in_properly(&self, member: &MemberId) -> bool {
        !self.lineages_of(member, None).is_empty()
    }

    /// Whether there is no place for a link over this connection, with a peer that may turn out to
    /// be a member.
    pub(crate) fn is_full_for(&self, id: ConnId, perhaps_member: bool) -> bool {
        self.links.count() >= self.cx.limits().peers
            && self.stranger_to_give_way(id, perhaps_member).is_none()
            && !(perhaps_member && self.member_to_give_way(&[]).is_some())
    }

    /// In a full room, the link that gives way to one with `member` over `id`.
    pub(crate) fn to_give_way(&self, id: ConnId, member: &MemberId) -> Option<ConnId> {
        let lineages = self.lineages_of(member, self.links.get(id).and_then(near));
        let proper = !lineages.is_empty();
        let of_branch = || self.member_to_give_way(&lineages);
        self.stranger_to_give_way(id, proper).or_else(|| of_branch().filter(|_| proper))
    }

    /// Anybody can come by an open door under any number of names. Of those who only did that, and
    /// of those whom they let in, one gives way, from the busiest neighbourhood, to a member or to
    /// somebody from a less busy one. Those who have said nothing go first, and the older before
    /// the younger.
    fn stranger_to_give_way(&self, id: ConnId, is_proper: bool) -> Option<ConnId> {
        let newcomer = self.links.get(id)?;
        let mut by_place: BTreeMap<IpAddr, Vec<_>> = BTreeMap::new();
        for (id, conn) in self.links.all() {
            if let (Some(link), Some(from)) = (conn.link(), near(conn))
                && !self.came_in_properly(&link.member())
            {
                let has_ticket = self.registry.is_member(&link.member());
                by_place.entry(from).or_default().push((has_ticket, conn.began(), id));
            }
        }
        let own = near(newcomer).and_then(|from| by_place.get(&from)).map_or(0, Vec::len);
        let busiest = by_place.into_values().max_by_key(Vec::len)?;
        let gives_way = is_proper || busiest.len() > own + 1;
        busiest.into_iter().min().filter(|_| gives_way).map(|(_, _, id)| id)
    }

    /// Nor can a member keep others out with those that it lets in, or by coming in many times.
    fn member_to_give_way(&self, lineages: &[Lineage]) -> Option<ConnId> {
        let linked = self.links.all().filter_map(|(id, conn)| Some((id, conn, conn.link()?)));
        let places = linked.map(|(conn, of, link)| LinkPlace {
            conn,
            began: of.began(),
            lineages: self.lineages_of(&link.member(), near(of)),
        });
        let places = places.filter(|place| !place.lineages.is_empty());
        let share = self.cx.limits().peers / BRANCH_SHARE;
        to_give_way(&places.collect::<Vec<_>>(), lineages, share)
    }

    /// A member and those who let it in, for each of its tickets without an open one above it, and
    /// the neighbourhood from which it comes.
    fn lineages_of(&self, member: &MemberId, near: Option<IpAddr>) -> Vec<Lineage> {
        if !self.registry.is_member(member) {
            return Vec::new();
        }
        let ways = self.registry.ways_in(member).into_iter();
        let proper = ways.filter(|way| way.doors.is_empty() && !way.by_founder);
        let lineage = |way: WayIn| {
            let members = way.above.into_iter().chain([*member]).map(LinkGroup::Branch);
            members.chain(near.map(LinkGroup::Near)).collect()
        };
        proper.map(lineage).collect()
    }
}

/// The neighbourhood at the other end, if that is not this computer.
fn near(conn: &Conn) -> Option<IpAddr> {
    let from = conn.remote().map(|remote| remote.ip());
    from.filter(|ip| !is_own_computer(*ip)).map(neighbourhood_of)
}
