//! Ends links with those who are no longer members.

use crate::router::Router;
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
}
