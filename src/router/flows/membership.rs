//! New records of the register, and everything that follows from them.

use std::sync::Arc;

use crate::router::Router;
use crate::router::ids::{ConnId, MemberId};
use crate::router::membership::record::How;
use crate::router::notice::Failure;
use crate::router::registry::{Registry, Scene};
use crate::router::signed::{Claim, SignedRecord};

impl Router {
    /// Changes the register. Those who become members by it may be present at once.
    pub(crate) fn with_registry<T>(
        &mut self,
        act: impl FnOnce(&mut Registry, &mut Scene<'_>) -> T,
    ) -> T {
        let mut at = Scene { cx: &mut self.cx, members: &self.members, log: &self.log };
        let before = self.registry.changes();
        let result = act(&mut self.registry, &mut at);
        if self.registry.changes() != before {
            let registry = &self.registry;
            self.members.register_changed(self.cx.now, |id| registry.may_link(id).is_ok());
            self.log.register_changed(&mut self.cx, &|id| registry.ways_in(id));
        }
        result
    }

    /// Adds records, from a link or this node's own.
    pub(crate) fn records_arrived(&mut self, records: &[Arc<SignedRecord>], from: Option<ConnId>) {
        self.with_registry(|registry, at| {
            registry.take_in(at, records, from);
        });
    }

    /// A linked peer says records; what comes too often waits for more.
    pub(crate) fn records_said(&mut self, conn: ConnId, records: &[Arc<SignedRecord>]) {
        if self.registry.admits(&mut self.cx, records) {
            self.records_arrived(records, Some(conn));
        }
    }

    /// Records that waited are taken in together.
    pub(crate) fn records_due(&mut self) {
        let records = self.registry.take_waiting(self.cx.now);
        self.records_arrived(&records, None);
    }

    /// This node does something in an open room: from now on others know who let it in.
    pub(crate) fn publish_ticket(&mut self) {
        self.with_registry(Registry::publish_ticket);
    }

    /// Admits somebody, if this node can.
    pub(crate) fn issue(
        &mut self,
        member: MemberId,
        how: How,
        claim: Option<Claim>,
    ) -> Option<Arc<SignedRecord>> {
        self.with_registry(|registry, at| registry.issue(at, member, how, claim))
    }

    /// Refuses what a node outside its room may not do.
    ///
    /// # Errors
    /// `removed`.
    pub(crate) fn must_be_in(&self) -> Result<(), Failure> {
        self.registry.must_be_in(&self.members)
    }
}
