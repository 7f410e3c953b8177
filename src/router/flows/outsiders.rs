//! Those who are no members, or not any more: what they hear, and the end of links with them.

use std::sync::Arc;

use crate::router::Router;
use crate::router::ids::ConnId;
use crate::router::message::{Refusal, Why};
use crate::router::signed::SignedRecord;

impl Router {
    /// Ends links and lanes with those who are no members.
    pub(in crate::router) fn close_outsiders(&mut self) {
        for (conn, refusal) in self.registry.take_outsiders() {
            self.cx.refuse_with(conn, refusal);
        }
        let registry = &self.registry;
        for lane in self.links.lanes_with(|member| registry.may_link(member).is_err()) {
            self.cx.refuse(lane, Why::NoSession);
        }
    }

    /// Somebody who is no member: it is shown who put it out.
    pub(in crate::router) fn refuse_outsider(
        &mut self,
        id: ConnId,
        record: Option<Arc<SignedRecord>>,
    ) {
        let removed = record.as_ref().is_some_and(|of| of.is_removal());
        let why = if removed { Why::Removed } else { Why::NotMember };
        let by = record.as_ref().map(|record| record.record.by());
        let steward = by.and_then(|by| self.registry.steward_ticket_of(&by));
        self.cx.refuse_with(id, Refusal { why, wait_ms: None, record, steward });
    }
}
