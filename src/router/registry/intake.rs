//! Records and secrets that come or are made, and what is still to be said of them over each link.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Registry;
use super::secrets::Live;
use crate::crypto::invite::FindKey;
use crate::crypto::opaque::PasswordData;
use crate::router::context::Context;
use crate::router::ids::{ConnId, InvitationId, MemberId, RecordId};
use crate::router::members::Members;
use crate::router::membership::lost_between;
use crate::router::message::Message;
use crate::router::order::Order;
use crate::router::signed::{SignedInvitation, SignedRecord, pages};
use crate::router::time::Millis;
use crate::router::timers::Timer;
use crate::router::tokens::Tokens;

/// Signed bytes of records said to one link per event: others choose how long records are, and an
/// outbox takes them at once.
const SAID_AT_ONCE_BYTES: usize = 64 * 1024;

/// What the other end of a connection is still to be told, and how much it may tell.
#[derive(Debug)]
struct Telling {
    member: MemberId,
    /// It is a link: until then what is to be told waits.
    up: bool,
    records: BTreeSet<RecordId>,
    /// Password data and invitations may have to be said.
    secrets: bool,
    password_said: Option<RecordId>,
    invitations_said: BTreeSet<InvitationId>,
    /// For records that it says.
    tokens: Tokens,
}

/// Connections that are links, or will be once both sides have agreed.
#[derive(Debug, Default)]
pub(super) struct Tellings(BTreeMap<ConnId, Telling>);

impl Tellings {
    fn up(&self) -> impl Iterator<Item = (ConnId, MemberId)> {
        self.0.iter().filter(|(_, of)| of.up).map(|(conn, of)| (*conn, of.member))
    }

    fn members(&self) -> BTreeSet<MemberId> {
        self.up().map(|(_, member)| member).collect()
    }

    /// Whether there is a link with `member`.
    pub(super) fn has(&self, member: &MemberId) -> bool {
        self.up().any(|(_, linked)| linked == *member)
    }

    fn mark_secrets(&mut self, cx: &mut Context) {
        for (conn, of) in self.0.iter_mut().filter(|(_, of)| of.up) {
            of.secrets = true;
            cx.mark(*conn);
        }
    }
}

impl Registry {
    /// This node named its register to a peer: what comes from now on is said once they are
    /// linked.
    pub(in crate::router) fn register_named(&mut self, cx: &Context, conn: ConnId, peer: MemberId) {
        let limits = cx.limits();
        self.links.0.entry(conn).or_insert_with(|| Telling {
            member: peer,
            up: false,
            records: BTreeSet::new(),
            secrets: true,
            password_said: None,
            invitations_said: BTreeSet::new(),
            tokens: Tokens::new(limits.records_per_s, limits.records_burst, cx.now),
        });
    }

    /// Records that were too many to be said before the link.
    pub(in crate::router) fn say_later(&mut self, conn: ConnId, records: &[Arc<SignedRecord>]) {
        if let Some(of) = self.links.0.get_mut(&conn) {
            of.records.extend(records.iter().map(|record| record.id));
        }
    }

    /// A link is up.
    pub(in crate::router) fn link_up(&mut self, cx: &mut Context, conn: ConnId, peer: MemberId) {
        self.register_named(cx, conn, peer);
        if let Some(of) = self.links.0.get_mut(&conn) {
            of.up = true;
            cx.mark(conn);
        }
    }

    /// A connection is over.
    pub(in crate::router) fn link_down(&mut self, cx: &mut Context, conn: ConnId) {
        self.links.0.remove(&conn);
        cx.timers.set(Timer::RecordsLeft(conn), None);
    }

    /// Whether the peer may say so many records now.
    pub(in crate::router) fn may_hear(&mut self, conn: ConnId, many: usize, now: Millis) -> bool {
        self.links.0.get_mut(&conn).is_none_or(|of| of.tokens.take(many as u64, now))
    }

    /// Takes in records, from a link or of this node's own.
    pub(in crate::router) fn take_in(
        &mut self,
        cx: &mut Context,
        members: &Members,
        records: &[Arc<SignedRecord>],
        from: Option<ConnId>,
    ) {
        if records.iter().all(|record| self.holds(&record.id)) {
            return;
        }
        let before = self.membership().clone();
        let mut new = Vec::new();
        for record in records {
            if self.insert(record.clone()) {
                new.push(record.clone());
            }
        }
        if new.is_empty() {
            return;
        }
        // Visitors whom a closing or a removal by somebody beside them does not reach are members:
        // now others have to know it.
        for ticket in self.tickets_to_show(&self.links.members()) {
            if self.insert(ticket.clone()) {
                new.push(ticket);
            }
        }
        let ended = self.forget_old_secrets();
        for (_, of) in self.links.0.iter_mut().filter(|(conn, _)| Some(**conn) != from) {
            of.records.extend(new.iter().map(|record| record.id));
        }
        self.links.mark_secrets(cx);
        let after = self.membership().clone();
        let losses = lost_between(&before, &after);
        self.tell_changes(cx, members, (&before, &after), &new, &losses);
        self.losses.extend(losses);
        self.changes += 1;
        cx.order(Order::CloseOutsiders);
        self.tell_of_invitations(cx, &ended, &new);
    }

    /// A link is up: whoever came may be a visitor whom a closing does not reach, and nobody
    /// needed to know before.
    pub(in crate::router) fn show_who_came(&mut self, cx: &mut Context, members: &Members) {
        let tickets = self.tickets_to_show(&self.links.members());
        self.take_in(cx, members, &tickets, None);
    }

    /// Links with those who are no members, and which record put them out. Whoever went along with
    /// somebody else has to hear of that one.
    pub(in crate::router) fn take_outsiders(
        &mut self,
    ) -> Vec<(ConnId, MemberId, Option<Arc<SignedRecord>>)> {
        let losses = std::mem::take(&mut self.losses);
        let why = |member: &MemberId| {
            let record = self.may_link(member).err()?;
            let loss = losses.iter().find(|loss| loss.member == *member);
            let cause = loss.and_then(|loss| loss.cause.record());
            Some(cause.and_then(|id| self.record(&id).cloned()).or(record))
        };
        self.links.up().filter_map(|(conn, member)| Some((conn, member, why(&member)?))).collect()
    }

    // Secrets.

    /// A member told password data.
    pub(in crate::router) fn password_told(
        &mut self,
        cx: &mut Context,
        lock: RecordId,
        data: PasswordData,
    ) {
        if self.learn_password(lock, data) {
            self.links.mark_secrets(cx);
        }
    }

    /// An invitation was told or made; whether it was new and had a place.
    pub(in crate::router) fn invitation_told(
        &mut self,
        cx: &mut Context,
        invitation: Arc<SignedInvitation>,
        find: FindKey,
    ) -> bool {
        let new = self.learn_invitation(Live { invitation, find }, cx.wall_ms());
        if new {
            self.links.mark_secrets(cx);
        }
        new
    }

    // Saying it.

    /// What is to be said over one link now.
    pub(in crate::router) fn flush(
        &mut self,
        cx: &mut Context,
        conn: ConnId,
        messages: &mut Vec<Message>,
    ) {
        let Some(mut of) = self.links.0.remove(&conn) else { return };
        let (mut records, mut bytes) = (Vec::new(), 0);
        while bytes < SAID_AT_ONCE_BYTES
            && let Some(record) = of.records.pop_first()
        {
            if let Some(record) = self.record(&record) {
                bytes += record.bytes.len();
                records.push(record.clone());
            }
        }
        messages.extend(pages(&records).into_iter().map(Message::Records));
        if std::mem::take(&mut of.secrets) && self.is_member(&of.member) {
            self.say_secrets(cx.wall_ms(), &mut of, messages);
        }
        let left = !of.records.is_empty();
        cx.timers.set(Timer::RecordsLeft(conn), left.then_some(cx.now));
        self.links.0.insert(conn, of);
    }

    /// Only what is in force, and to members only.
    fn say_secrets(&self, now_ms: i64, of: &mut Telling, messages: &mut Vec<Message>) {
        if let (Some(lock), Some(data)) = (self.password_lock(), self.password_data())
            && of.password_said != Some(lock)
        {
            of.password_said = Some(lock);
            messages.push(Message::Password { lock, data: data.clone() });
        }
        for Live { invitation, find } in self.living_invitations(now_ms) {
            if of.invitations_said.insert(invitation.id) {
                let (invitation, find) = (invitation.clone(), find.clone());
                messages.push(Message::Invitation { invitation, find });
            }
        }
        of.invitations_said.retain(|id| self.invitation(id).is_some());
    }
}
