//! What people are told of changes, always based on records with verified signatures.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::secrets::Live;
use super::{Registry, Scene};
use crate::router::context::Context;
use crate::router::ids::{MemberId, RecordId};
use crate::router::membership::record::{How, Record, Ticket};
use crate::router::membership::{Cause, Loss, Membership};
use crate::router::notice::Notice;
use crate::router::signed::{SignedInvitation, SignedRecord};

impl Registry {
    /// Tells what new records change.
    pub(super) fn tell_changes(
        &mut self,
        at: &mut Scene<'_>,
        (before, after): (&Membership, &Membership),
        new: &[Arc<SignedRecord>],
        losses: &[Loss],
    ) {
        let (both, mut told) = ((before, after), BTreeSet::new());
        for record in new {
            match &record.record {
                Record::Removal(removal) => {
                    let Some(member) = removal.member else { continue };
                    if removal.kept.iter().any(|kept| kept.member == member) {
                        self.tell_steward(at, both, (member, removal.by));
                    } else {
                        let who = (member, removal.by);
                        self.tell_removal(at, record, who, losses, &mut told);
                    }
                }
                Record::Ticket(Ticket { how: How::Steward, member, by, .. }) => {
                    self.tell_steward(at, both, (*member, *by));
                }
                Record::Ticket(_) | Record::Lock(_) => {}
            }
        }
        self.tell_lock(at, both, new, losses, &mut told);
        for loss in losses.iter().filter(|loss| !told.contains(&loss.member)) {
            self.tell_loss(at, loss);
        }
        self.tell_copies(at, after, new);
        self.tell_return(at, new);
    }

    fn tell_steward(
        &self,
        at: &mut Scene<'_>,
        (before, after): (&Membership, &Membership),
        (member, by): (MemberId, MemberId),
    ) {
        let (was, is) = (before.stewards().contains(&member), after.stewards().contains(&member));
        if was != is {
            let (member, own) = (at.members.who(&member), by == self.me);
            at.cx.notify(Notice::StewardChanged { member, own, off: was });
        }
    }

    fn tell_removal(
        &mut self,
        at: &mut Scene<'_>,
        record: &SignedRecord,
        (member, by): (MemberId, MemberId),
        losses: &[Loss],
        told: &mut BTreeSet<MemberId>,
    ) {
        let mut also = Vec::new();
        let mut gone = false;
        for loss in losses {
            let removal = match loss.cause {
                Cause::Removed { removal, .. } | Cause::InvitationEnded { removal, .. } => removal,
                _ => continue,
            };
            if removal == record.id {
                told.insert(loss.member);
                if loss.member == member {
                    gone = true;
                } else {
                    also.push(loss.member);
                }
            }
        }
        // A visitor holds no ticket that everybody knows.
        let here = member == self.me || self.links.has(&member);
        let visitor = here && self.may_link(&member).is_err();
        // In an open room, who came along with somebody that was removed may still link.
        let me_out =
            self.am_out() && ((gone || visitor) && member == self.me || also.contains(&self.me));
        if !gone && !visitor && also.is_empty() {
            return;
        }
        let also = also.iter().filter(|id| **id != self.me).map(|id| at.members.who(id)).collect();
        let (member, own) = (at.members.who(&member), by == self.me);
        let by = at.members.who(&by);
        let author = by.id;
        at.cx.notify(Notice::MemberRemoved { member, by, own, me_out, also });
        if me_out {
            self.put_me_out(at, author);
        }
    }

    fn tell_lock(
        &mut self,
        at: &mut Scene<'_>,
        (before, after): (&Membership, &Membership),
        new: &[Arc<SignedRecord>],
        losses: &[Loss],
        told: &mut BTreeSet<MemberId>,
    ) {
        let locks: Vec<&Arc<SignedRecord>> =
            new.iter().filter(|record| matches!(record.record, Record::Lock(_))).collect();
        if locks.is_empty() {
            return;
        }
        if !after.is_closed() {
            let opening = locks
                .iter()
                .rev()
                .find(|record| matches!(&record.record, Record::Lock(lock) if !lock.closed));
            if let (true, Some(opening)) = (before.is_closed(), opening) {
                let by = opening.record.by();
                let (by, own) = (at.members.who(&by), by == self.me);
                at.cx.notify(Notice::RoomUnlocked { by, own });
            }
            return;
        }
        let in_force: BTreeSet<RecordId> = after.closings().map(|closing| closing.id).collect();
        let with_password = after.password().map(|(lock, _)| lock);
        let newest = locks.iter().rev().find(|record| Some(record.id) == with_password);
        if newest.is_none() && with_password.is_some() && before.is_closed() {
            return; // Others closed it too, with a password that is not in force.
        }
        let newest = newest.or_else(|| locks.iter().rev().find(|of| in_force.contains(&of.id)));
        let Some(newest) = newest else { return };
        let out: Vec<MemberId> = losses
            .iter()
            .filter(|loss| matches!(loss.cause, Cause::ClosedOut { .. }))
            .map(|loss| loss.member)
            .collect();
        told.extend(&out);
        let was_in = before.is_member(&self.me) || !before.is_closed();
        let me_out = was_in && !after.is_member(&self.me);
        let by = newest.record.by();
        let own = by == self.me;
        let out = out.iter().filter(|id| **id != self.me).map(|id| at.members.who(id)).collect();
        let password = after.password().is_some();
        let by = at.members.who(&by);
        let author = by.id;
        at.cx.notify(Notice::RoomLocked { by, own, password, out, me_out });
        if me_out {
            self.put_me_out(at, author);
        }
    }

    /// Somebody who dropped out when two halves of the room met.
    fn tell_loss(&mut self, at: &mut Scene<'_>, loss: &Loss) {
        let name = at.members.who(&loss.member).marked();
        let (who, them, they) = if loss.member == self.me {
            ("you are".to_owned(), "you", "you")
        } else {
            (format!("{name} is"), "them", "they")
        };
        let by = |by: &MemberId, what: &str| {
            if *by == self.me {
                format!("you {what}")
            } else {
                format!("{} {what}", at.members.who(by).marked())
            }
        };
        let why = match &loss.cause {
            Cause::Removed { by: author, .. } => by(author, &format!("removed {them}")),
            Cause::InvitationEnded { by: author, .. } => {
                by(author, &format!("ended the invitation that {they} came by"))
            }
            Cause::ClosedOut { by: author, .. } => by(author, "had closed the room"),
            Cause::IssuerGone { issuer } => {
                format!("{} is no longer a steward", at.members.who(issuer).marked())
            }
            Cause::Missing => "the register of the room is full".to_owned(),
        };
        let with = match loss.with.filter(|with| *with != self.me) {
            Some(with) => format!(" with {}", at.members.who(&with).marked()),
            None => String::new(),
        };
        let again = format!("/remove {name} off takes {them} in again");
        at.cx.remark(format!("{who} out{with}: {why}; {again}"));
        let (Cause::Removed { by, .. }
        | Cause::InvitationEnded { by, .. }
        | Cause::ClosedOut { by, .. }) = loss.cause
        else {
            return;
        };
        if loss.member == self.me && self.am_out() {
            self.put_me_out(at, by);
        }
    }

    /// Two locks of one author that do not know of each other.
    fn tell_copies(&self, at: &mut Scene<'_>, after: &Membership, new: &[Arc<SignedRecord>]) {
        let authors: BTreeSet<MemberId> = new
            .iter()
            .filter(|record| matches!(record.record, Record::Lock(_)))
            .map(|record| record.record.by())
            .collect();
        for author in authors {
            let is_new = |id: &RecordId| new.iter().any(|record| record.id == *id);
            if let Some((first, second)) = after.copies_of(&author)
                && (is_new(&first) || is_new(&second))
            {
                let name = at.members.who(&author).marked();
                at.cx.remark(format!(
                    "warning: {name} signed two conflicting locks: there are two copies of {name}, \
                     or somebody has its identity file"
                ));
            }
        }
    }

    /// The maker hears what became of its invitations.
    pub(super) fn tell_of_invitations(
        &self,
        cx: &mut Context,
        ended: &[Live],
        new: &[Arc<SignedRecord>],
    ) {
        let me = self.me;
        let mine = |of: &SignedInvitation| of.body.maker == me;
        let own = new.iter().all(|record| record.record.signer() == me);
        if !own && ended.iter().any(|live| mine(&live.invitation)) {
            cx.remark("an invitation of yours has ended: make a new one with /invite");
        }
        let mut twice = BTreeSet::new();
        for claim in new.iter().filter_map(|record| record.claim.as_ref()) {
            let uses = claim.invitation.body.uses;
            let used = self.uses_of(&claim.invitation.id);
            if mine(&claim.invitation) && uses.is_some_and(|uses| used > uses as usize) {
                twice.insert(used);
            }
        }
        for used in twice {
            cx.remark(format!(
                "an invitation of yours for one guest admitted {used}: two members answered it \
                 that could not reach each other"
            ));
        }
    }
}
