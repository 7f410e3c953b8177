//! This node outside its room: it was removed, or put out by a closing. Its messages reach nobody,
//! and nothing comes in.

use std::sync::Arc;

use super::{Registry, Scene};
use crate::router::ids::MemberId;
use crate::router::members::Members;
use crate::router::membership::record::Record;
use crate::router::notice::{Code, Failure, Finding};
use crate::router::order::Order;
use crate::router::signed::SignedRecord;

impl Registry {
    /// Who put this node out of its room; `None` while it is in.
    fn who_put_me_out(&self) -> Option<MemberId> {
        let denied = self.may_link(&self.me).err()?;
        self.out_by.or_else(|| denied.map(|record| record.record.by()))
    }

    /// Refuses an action while this node is out of the room.
    ///
    /// # Errors
    /// `removed`.
    pub(crate) fn must_be_in(&self, members: &Members) -> Result<(), Failure> {
        self.who_put_me_out().map_or(Ok(()), |by| Err(outside(members, by)))
    }

    /// What `doctor` says of it.
    pub(crate) fn examine_standing(&self, members: &Members, list: &mut Vec<Finding>) {
        if let Some(by) = self.who_put_me_out() {
            let name = members.who(&by).marked();
            list.push(Finding::bad(
                format!("you are out of this room: {name} put you out"),
                format!("/leave starts a new one; {name} can take you in again"),
            ));
        }
    }

    /// Whether this node may link with nobody in the room.
    pub(crate) fn am_out(&self) -> bool {
        self.may_link(&self.me).is_err()
    }

    /// This node was put out just now.
    pub(super) fn put_me_out(&mut self, at: &mut Scene<'_>, by: MemberId) {
        self.out_by = Some(by);
        at.cx.remark("nobody in this room hears you any more: /leave starts a new one");
        at.cx.order(Order::FailDownloads(outside(at.members, by)));
    }

    /// Tells the person that this node was taken in again.
    pub(super) fn tell_return(&mut self, at: &mut Scene<'_>, new: &[Arc<SignedRecord>]) {
        let me = self.me;
        if self.out_by.is_none() || self.am_out() {
            return;
        }
        self.out_by = None;
        let takes_in = |record: &Record| match record {
            Record::Ticket(ticket) => ticket.member == me,
            Record::Lock(lock) => !lock.closed || lock.kept.iter().any(|kept| kept.member == me),
            Record::Removal(removal) => removal.kept.iter().any(|kept| kept.member == me),
        };
        let by = new.iter().rev().find(|record| takes_in(&record.record));
        let by = by.map_or_else(String::new, |record| {
            format!(": {} took you in", at.members.who(&record.record.by()).marked())
        });
        at.cx.remark(format!("you are in again{by}"));
    }
}

/// The failure of an action while this node is out.
fn outside(members: &Members, by: MemberId) -> Failure {
    let text = format!(
        "you are out of this room: {} put you out, and nobody in it hears you; /leave starts \
         a new one",
        members.who(&by).marked()
    );
    Failure::new(Code::Removed, text)
}
