//! Records of the register as they come and are made, and what they mean for links and people.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Router;
use super::event::Home;
use super::ids::{ConnId, MemberId, RecordId};
use super::links::Stage;
use super::membership::record::{Below, How, Invited, Kept, Record, Ticket};
use super::membership::{Cause, Loss, Membership, lost_between};
use super::message::Message;
use super::notice::Notice;
use super::registry::{Live, Registry};
use super::signed::{Claim, KEPT_MAX, RECORD_MAX_BYTES, SignedInvitation, SignedRecord};
use crate::crypto::invite::FindKey;
use crate::crypto::opaque::PasswordData;

/// Closings that one ticket names: with these it is far from too long.
pub(super) const KNOWN_MAX: usize = 256;

impl Router {
    pub(super) fn registry_of(&self, home: &Home) -> Registry {
        Registry::of(self.cx.my_id, home)
    }

    /// Signs a record of this node's and puts it in force, here and for everybody linked.
    pub(super) fn register_own(&mut self, record: Record, claim: Option<Claim>) -> RecordId {
        let signed = SignedRecord::sign(&self.room.id, &self.cx.me, record, claim);
        let id = signed.id;
        self.records_arrived(&[signed], None);
        id
    }

    /// The same for a record that keeps people. Those whom it has no room for are kept by tickets
    /// of their own, right after it.
    pub(super) fn register_own_keeping(&mut self, mut record: Record) -> RecordId {
        let mut rest = Vec::new();
        let signed = loop {
            let signed = SignedRecord::sign(&self.room.id, &self.cx.me, record.clone(), None);
            let list = match &mut record {
                Record::Removal(removal) => &mut removal.kept,
                Record::Lock(lock) => &mut lock.kept,
                Record::Ticket(_) => break signed,
            };
            let fits = signed.bytes.len() <= RECORD_MAX_BYTES && list.len() <= KEPT_MAX;
            if fits || list.is_empty() {
                break signed;
            }
            let half = (list.len() / 2).min(KEPT_MAX);
            rest = [list.split_off(half), rest].concat();
        };
        let (id, standing) = (signed.id, self.registry.my_standing().flatten());
        self.records_arrived(&[signed], None);
        let mut tickets = Vec::new();
        for kept in rest {
            let parent = match kept.below {
                Below::Ticket(ticket) if self.registry.membership().lives(&ticket) => Some(ticket),
                _ => standing,
            };
            let ticket = kept_ticket(self.cx.my_id, parent, kept.member, kept.pardons);
            tickets.push(SignedRecord::sign(&self.room.id, &self.cx.me, ticket, None));
        }
        // All at once: what follows from the register is found once for all of them.
        self.records_arrived(&tickets, None);
        id
    }

    /// Takes in records, from a link or of this node's own.
    pub(super) fn records_arrived(&mut self, records: &[Arc<SignedRecord>], from: Option<ConnId>) {
        let registry = &mut self.registry;
        if records.iter().all(|record| registry.holds(&record.id)) {
            return;
        }
        let before = registry.membership().clone();
        let mut new = Vec::new();
        for record in records {
            if registry.insert(record.clone()) {
                new.push(record.clone());
            }
        }
        if new.is_empty() {
            return;
        }
        new.extend(self.show_visitors());
        let registry = &mut self.registry;
        let ended = registry.forget_old_secrets();
        for (id, conn) in &mut self.conns {
            if let Some(link) = conn.link_mut() {
                if Some(*id) != from {
                    link.say_records.extend(new.iter().map(|record| record.id));
                }
                link.say_secrets = true;
                self.cx.mark(*id);
            } else if let Stage::Agreeing(agreement) = &mut conn.stage
                && agreement.my_digest.is_some()
                && Some(*id) != from
            {
                agreement.later.extend(new.iter().map(|record| record.id));
            }
        }
        self.register_changed(&before, &new);
        self.tell_of_invitations(&ended, &new);
    }

    /// Visitors whom a closing or a removal by somebody beside them does not reach are members: now
    /// others have to know it. Gives their tickets.
    fn show_visitors(&mut self) -> Vec<Arc<SignedRecord>> {
        let tickets = self.tickets_to_show();
        tickets.into_iter().filter(|ticket| self.registry.insert(ticket.clone())).collect()
    }

    fn tickets_to_show(&self) -> Vec<Arc<SignedRecord>> {
        let here: BTreeSet<MemberId> = self.links().map(|(_, link)| link.member).collect();
        self.registry.tickets_to_show(&here)
    }

    /// A link is up: whoever came may be a visitor of that kind, and nobody needed to know before.
    pub(super) fn show_who_came(&mut self) {
        let tickets = self.tickets_to_show();
        self.records_arrived(&tickets, None);
    }

    /// The maker hears what became of its invitations.
    fn tell_of_invitations(&mut self, ended: &[Live], new: &[Arc<SignedRecord>]) {
        let me = self.cx.my_id;
        let mine = |of: &SignedInvitation| of.body.maker == me;
        let own = new.iter().all(|record| record.record.signer() == me);
        if !own && ended.iter().any(|live| mine(&live.invitation)) {
            self.cx.remark(
                "an invitation of yours lets nobody in any more: make a new one with /invite",
            );
        }
        let mut twice = BTreeSet::new();
        for claim in new.iter().filter_map(|record| record.claim.as_ref()) {
            let uses = claim.invitation.body.uses;
            let used = self.registry.uses_of(&claim.invitation.id);
            if mine(&claim.invitation) && uses.is_some_and(|uses| used > uses as usize) {
                twice.insert(used);
            }
        }
        for used in twice {
            self.cx.remark(format!(
                "an invitation of yours for one guest let in {used}: two members answered it who \
                 could not hear of each other"
            ));
        }
    }

    fn register_changed(&mut self, before: &Membership, new: &[Arc<SignedRecord>]) {
        let after = self.registry.membership().clone();
        let losses = lost_between(before, &after);
        self.tell_changes(before, &after, new, &losses);
        self.close_outsiders(&losses);
        let registry = &self.registry;
        self.members.register_changed(self.cx.now, |id| registry.may_link(id).is_ok());
    }

    /// Ends links and lanes with those who are no members.
    fn close_outsiders(&mut self, losses: &[Loss]) {
        let links: Vec<_> = self.links().map(|(conn, link)| (conn, link.member)).collect();
        for (conn, member) in links {
            if let Err(record) = self.registry.may_link(&member) {
                // Whoever went along with somebody else has to hear of that one.
                let loss = losses.iter().find(|loss| loss.member == member);
                let cause = loss.and_then(|loss| loss.cause.record());
                let cause = cause.and_then(|id| self.registry.record(&id).cloned());
                self.refuse_outsider(conn, cause.or(record));
            }
        }
        let registry = &self.registry;
        let lanes: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(_, conn)| {
                matches!(&conn.stage, Stage::Lane { member, .. }
                    if registry.may_link(member).is_err())
            })
            .map(|(id, _)| *id)
            .collect();
        for lane in lanes {
            self.refuse(lane, super::message::Why::NoSession);
        }
    }

    /// This node does something in an open room: from now on others know through whom it came.
    pub(super) fn publish_ticket(&mut self) {
        let held = self.registry.take_held();
        if !held.is_empty() {
            self.records_arrived(&held, None);
        }
    }

    /// What was said before a room was entered counts as said in it.
    pub(super) fn publish_what_was_said(&mut self) {
        if !self.log.is_silent() {
            self.publish_ticket();
        }
    }

    /// Lets somebody in. A ticket for an open door is shown to its holder only, unless somebody
    /// removed that one; `None`: this node's share of the register is full, or it is no member
    /// itself.
    pub(super) fn issue(
        &mut self,
        member: MemberId,
        how: How,
        claim: Option<Claim>,
    ) -> Option<Arc<SignedRecord>> {
        self.publish_ticket();
        let registry = &self.registry;
        let standing = registry.my_standing()?;
        if !registry.has_room_for_ticket(&self.cx.my_id) {
            return None;
        }
        let mut ticket = Ticket {
            by: self.cx.my_id,
            parent: standing,
            member,
            how,
            rank: 0,
            knows: BTreeSet::new(),
            pardons: BTreeSet::new(),
            invited: None,
        };
        if let Some(claim) = &claim {
            let body = &claim.invitation.body;
            (ticket.by, ticket.parent) = (body.maker, body.ticket);
            let invitation = claim.invitation.id;
            ticket.invited = Some(Invited { invitation, answerer: self.cx.my_id, standing });
        } else if how == How::Open {
            if registry.is_closed() {
                return None; // Who comes by an open door cannot know what closed it.
            }
            ticket.knows = registry.closings_to_know(standing);
            if ticket.knows.len() > KNOWN_MAX {
                return None;
            }
        }
        let signed = SignedRecord::sign(&self.room.id, &self.cx.me, Record::Ticket(ticket), claim);
        // Others have to know by what somebody is in whom somebody removed.
        let removed = !self.registry.membership().removals_of(&member).is_empty();
        if how == How::Open && !removed {
            self.registry.remember_issued(member, signed.clone());
        } else {
            self.records_arrived(std::slice::from_ref(&signed), None);
        }
        Some(signed)
    }

    // Secrets.

    pub(super) fn password_told(&mut self, lock: RecordId, data: PasswordData) {
        if self.registry.learn_password(lock, data) {
            self.mark_links(|link| link.say_secrets = true);
        }
    }

    /// Whether it was new and had a place.
    pub(super) fn invitation_told(
        &mut self,
        invitation: Arc<SignedInvitation>,
        find: FindKey,
    ) -> bool {
        let now = self.cx.wall_ms();
        let new = self.registry.learn_invitation(Live { invitation, find }, now);
        if new {
            self.mark_links(|link| link.say_secrets = true);
        }
        new
    }

    /// What a link is still to be told of secrets: members only, and only what is in force.
    pub(super) fn secrets_to_say(&mut self, id: ConnId) -> Vec<Message> {
        let now = self.cx.wall_ms();
        let registry = &self.registry;
        let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link_mut()) else {
            return Vec::new();
        };
        let mut messages = Vec::new();
        if !std::mem::take(&mut link.say_secrets) || !registry.is_member(&link.member) {
            return messages;
        }
        if let (Some(lock), Some(data)) = (registry.password_lock(), registry.password_data())
            && link.password_said != Some(lock)
        {
            link.password_said = Some(lock);
            messages.push(Message::Password { lock, data: data.clone() });
        }
        let live = registry
            .invitations()
            .filter(|of| registry.why_over(&of.invitation, None, now).is_none());
        for Live { invitation, find } in live {
            if link.invitations_said.insert(invitation.id) {
                let (invitation, find) = (invitation.clone(), find.clone());
                messages.push(Message::Invitation { invitation, find });
            }
        }
        link.invitations_said.retain(|id| registry.invitation(id).is_some());
        messages
    }

    // What people are told. All of it is of records whose signatures were verified.

    fn tell_changes(
        &mut self,
        before: &Membership,
        after: &Membership,
        new: &[Arc<SignedRecord>],
        losses: &[Loss],
    ) {
        let mut told = BTreeSet::new();
        for record in new {
            match &record.record {
                Record::Removal(removal) => {
                    let Some(member) = removal.member else { continue };
                    if removal.kept.iter().any(|kept| kept.member == member) {
                        self.tell_steward(before, after, member, removal.by);
                    } else {
                        self.tell_removal(record, member, removal.by, losses, &mut told);
                    }
                }
                Record::Ticket(Ticket { how: How::Steward, member, by, .. }) => {
                    self.tell_steward(before, after, *member, *by);
                }
                Record::Ticket(_) | Record::Lock(_) => {}
            }
        }
        self.tell_lock(before, after, new, losses, &mut told);
        for loss in losses.iter().filter(|loss| !told.contains(&loss.member)) {
            self.tell_loss(loss);
        }
        self.tell_copies(after, new);
        self.tell_return(new);
    }

    fn tell_steward(
        &mut self,
        before: &Membership,
        after: &Membership,
        member: MemberId,
        by: MemberId,
    ) {
        let (was, is) = (before.stewards().contains(&member), after.stewards().contains(&member));
        if was != is {
            let (member, own) = (self.members.who(&member), by == self.cx.my_id);
            self.cx.notify(Notice::StewardChanged { member, own, off: was });
        }
    }

    fn tell_removal(
        &mut self,
        record: &SignedRecord,
        member: MemberId,
        by: MemberId,
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
        let here = member == self.cx.my_id || self.members.conn_of(&member).is_some();
        let visitor = here && self.registry.may_link(&member).is_err();
        // In an open room, who came along with somebody that was removed may still link.
        let me_out = self.am_out()
            && ((gone || visitor) && member == self.cx.my_id || also.contains(&self.cx.my_id));
        if !gone && !visitor && also.is_empty() {
            return;
        }
        let also =
            also.iter().filter(|id| **id != self.cx.my_id).map(|id| self.members.who(id)).collect();
        let (member, own) = (self.members.who(&member), by == self.cx.my_id);
        let by = self.members.who(&by);
        let author = by.id;
        self.cx.notify(Notice::MemberRemoved { member, by, own, me_out, also });
        if me_out {
            self.put_me_out(author);
        }
    }

    fn tell_lock(
        &mut self,
        before: &Membership,
        after: &Membership,
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
                let (by, own) = (self.members.who(&by), by == self.cx.my_id);
                self.cx.notify(Notice::RoomUnlocked { by, own });
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
        let was_in = before.is_member(&self.cx.my_id) || !before.is_closed();
        let me_out = was_in && !after.is_member(&self.cx.my_id);
        let by = newest.record.by();
        let own = by == self.cx.my_id;
        let out =
            out.iter().filter(|id| **id != self.cx.my_id).map(|id| self.members.who(id)).collect();
        let password = after.password().is_some();
        let by = self.members.who(&by);
        let author = by.id;
        self.cx.notify(Notice::RoomLocked { by, own, password, out, me_out });
        if me_out {
            self.put_me_out(author);
        }
    }

    /// Somebody who dropped out when two halves of the room met.
    fn tell_loss(&mut self, loss: &Loss) {
        let name = self.members.who(&loss.member).marked();
        let who =
            if loss.member == self.cx.my_id { "you are".to_owned() } else { format!("{name} is") };
        let by = |by: &MemberId, what: &str| {
            if *by == self.cx.my_id {
                format!("you {what}")
            } else {
                format!("{} {what}", self.members.who(by).marked())
            }
        };
        let why = match &loss.cause {
            Cause::Removed { by: author, .. } => by(author, "removed it"),
            Cause::InvitationEnded { by: author, .. } => {
                by(author, "ended the invitation that it came by")
            }
            Cause::ClosedOut { by: author, .. } => by(author, "had closed the room"),
            Cause::IssuerGone { issuer } => {
                format!("{} is no steward any more", self.members.who(issuer).marked())
            }
            Cause::Missing => "the register of the room is full".to_owned(),
        };
        let with = match loss.with.filter(|with| *with != self.cx.my_id) {
            Some(with) => format!(" with {}", self.members.who(&with).marked()),
            None => String::new(),
        };
        let again = format!("/remove {name} off lets it in again");
        self.cx.remark(format!("{who} out{with}: {why}; {again}"));
        let (Cause::Removed { by, .. }
        | Cause::InvitationEnded { by, .. }
        | Cause::ClosedOut { by, .. }) = loss.cause
        else {
            return;
        };
        if loss.member == self.cx.my_id && self.am_out() {
            self.put_me_out(by);
        }
    }

    /// Two locks of one author that do not know of each other.
    fn tell_copies(&mut self, after: &Membership, new: &[Arc<SignedRecord>]) {
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
                let name = self.members.who(&author).marked();
                self.cx.remark(format!(
                    "warning: two locks of {name} do not know of each other: there are two copies \
                     of {name}, or somebody has its identity file"
                ));
            }
        }
    }
}

/// A plain ticket `how: kept` below `parent`.
pub(super) fn kept_ticket(
    by: MemberId,
    parent: Option<RecordId>,
    member: MemberId,
    pardons: BTreeSet<RecordId>,
) -> Record {
    Record::Ticket(Ticket {
        by,
        parent,
        member,
        how: How::Kept,
        rank: 0,
        knows: BTreeSet::new(),
        pardons,
        invited: None,
    })
}

/// Whom a record keeps besides those who would drop out: people who hold no ticket yet.
pub(super) fn kept_below(
    members: impl IntoIterator<Item = MemberId>,
    parent: Option<RecordId>,
) -> Vec<Kept> {
    let below = parent.map_or(Below::Founder, Below::Ticket);
    members.into_iter().map(|member| Kept { member, below, pardons: BTreeSet::new() }).collect()
}
