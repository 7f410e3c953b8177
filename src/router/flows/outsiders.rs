//! The end of links with those who are no members any more.

use crate::router::Router;
use crate::router::links::Stage;
use crate::router::message::Why;

impl Router {
    /// Ends links and lanes with those who are no members.
    pub(in crate::router) fn close_outsiders(&mut self) {
        for (conn, member, record) in self.registry.take_outsiders() {
            self.refuse_outsider(conn, record);
            self.members.put_out(&member);
        }
        let registry = &self.registry;
        let outside = |stage: &Stage| matches!(stage, Stage::Lane { member, .. } if registry.may_link(member).is_err());
        let lanes = self.conns.iter().filter(|(_, conn)| outside(&conn.stage));
        for lane in lanes.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.refuse(lane, Why::NoSession);
        }
    }
}
