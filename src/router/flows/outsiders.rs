//! Ends links with those who are no longer members, or who give way in a full room.

use core::net::IpAddr;
use std::collections::BTreeMap;

use crate::router::Router;
use crate::router::address::{is_own_computer, neighbourhood_of};
use crate::router::ids::{ConnId, MemberId};
use crate::router::links::Conn;
use crate::router::message::Why;

impl Router {
    /// Ends links and lanes with those who are no members.
    pub(crate) fn close_outsiders(&mut self) {
        for (conn, refusal) in self.registry.take_outsiders() {
            self.cx.refuse_with(conn, refusal);
        }
        let registry = &self.registry;
        for lane in self.links.lanes_with(|member| registry.may_link(member).is_err()) {
            self.cx.refuse(lane, Why::NoSession);
        }
    }

    /// Whether somebody is a member by more than an open door.
    pub(crate) fn came_in_properly(&self, member: &MemberId) -> bool {
        let membership = self.registry.membership();
        membership.is_member(member) && !membership.is_passer_by(member)
    }

    /// Whether there is no place for a link with whoever comes over a connection.
    pub(crate) fn is_full_for(&self, id: ConnId, is_member: bool) -> bool {
        self.links.count() >= self.cx.limits().peers && self.to_give_way(id, is_member).is_none()
    }

    /// In a full room the link that gives way to whoever comes over `id`. Anybody can walk through
    /// an open door under any number of names: of those who only did that, one of the
    /// neighbourhood that has most goes, for a member or for somebody from where fewer are. Who
    /// said nothing yet goes before who did, and the older before the younger.
    pub(crate) fn to_give_way(&self, id: ConnId, is_member: bool) -> Option<ConnId> {
        let near = |conn: &Conn| {
            let from = conn.remote().map(|remote| remote.ip());
            from.filter(|ip| !is_own_computer(*ip)).map(neighbourhood_of)
        };
        let membership = self.registry.membership();
        let newcomer = self.links.get(id)?;
        let mut by_place: BTreeMap<IpAddr, Vec<_>> = BTreeMap::new();
        for (id, conn) in self.links.all() {
            if let (Some(link), Some(from)) = (conn.link(), near(conn))
                && !self.came_in_properly(&link.member())
            {
                let spoke = membership.is_member(&link.member());
                by_place.entry(from).or_default().push((spoke, conn.began(), id));
            }
        }
        let own = near(newcomer).and_then(|from| by_place.get(&from)).map_or(0, Vec::len);
        let busiest = by_place.into_values().max_by_key(Vec::len)?;
        let gives_way = is_member || busiest.len() > own + 1;
        busiest.into_iter().min().filter(|_| gives_way).map(|(_, _, id)| id)
    }
}
