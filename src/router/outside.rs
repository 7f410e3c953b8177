//! When this node is out of its room: removed, or put out by a closing. What it says then reaches
//! nobody, and nothing comes in.

use std::sync::Arc;

use super::Router;
use super::ids::MemberId;
use super::membership::record::Record;
use super::notice::{Code, Failure, Finding};
use super::signed::SignedRecord;

impl Router {
    /// Who put this node out of its room; `None` while it is in.
    fn who_put_me_out(&self) -> Option<MemberId> {
        let denied = self.registry.may_link(&self.cx.my_id).err()?;
        self.room.out_by.or_else(|| denied.map(|record| record.record.by()))
    }

    /// What is refused to whoever is out of the room.
    ///
    /// # Errors
    /// `removed`.
    pub(super) fn must_be_in(&self) -> Result<(), Failure> {
        self.who_put_me_out().map_or(Ok(()), |by| Err(self.outside(by)))
    }

    fn outside(&self, by: MemberId) -> Failure {
        let text = format!(
            "you are out of this room: {} put you out, and nobody in it hears you; /leave begins \
             a fresh one",
            self.members.who(&by).marked()
        );
        Failure::new(Code::Removed, text)
    }

    pub(super) fn examine_standing(&self, list: &mut Vec<Finding>) {
        if let Some(by) = self.who_put_me_out() {
            let name = self.members.who(&by).marked();
            list.push(Finding::bad(
                format!("you are out of this room: {name} put you out"),
                format!("/leave begins a fresh one; {name} can take you in again"),
            ));
        }
    }

    /// Whether this node may link with nobody in the room.
    pub(super) fn am_out(&self) -> bool {
        self.registry.may_link(&self.cx.my_id).is_err()
    }

    /// This node was put out just now.
    pub(super) fn put_me_out(&mut self, by: MemberId) {
        self.room.out_by = Some(by);
        self.cx.remark("nobody in this room hears you any more: /leave begins a fresh one");
        let failure = self.outside(by);
        self.swarm.fail_all(&mut self.cx, &failure);
    }

    /// Whoever was out and is taken in again is told so.
    pub(super) fn tell_return(&mut self, new: &[Arc<SignedRecord>]) {
        let me = self.cx.my_id;
        if self.room.out_by.is_none() || self.registry.may_link(&me).is_err() {
            return;
        }
        self.room.out_by = None;
        let takes_in = |record: &Record| match record {
            Record::Ticket(ticket) => ticket.member == me,
            Record::Lock(lock) => !lock.closed || lock.kept.iter().any(|kept| kept.member == me),
            Record::Removal(removal) => removal.kept.iter().any(|kept| kept.member == me),
        };
        let by = new.iter().rev().find(|record| takes_in(&record.record));
        let by = by.map_or_else(String::new, |record| {
            format!(": {} took you in", self.members.who(&record.record.by()).marked())
        });
        self.cx.remark(format!("you are in again{by}"));
    }
}
