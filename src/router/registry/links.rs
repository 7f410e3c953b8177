//! Which records and secrets each link is still to be told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Registry;
use super::secrets::Live;
use crate::router::context::Context;
use crate::router::ids::{ConnId, InvitationId, MemberId, RecordId};
use crate::router::message::Message;
use crate::router::signed::{SignedRecord, pages};
use crate::router::timers::Timer;

/// Signed bytes of records said to one link per event: others choose how long records are, and an
/// outbox takes them at once.
const SAID_AT_ONCE_BYTES: usize = 64 * 1024;

/// What the other end of a connection is still to be told.
#[derive(Debug)]
struct RecordsLink {
    member: MemberId,
    /// It is a link; before that, marks wait.
    up: bool,
    records: BTreeSet<RecordId>,
    /// Password data and invitations may have to be said.
    secrets: bool,
    password_said: Option<RecordId>,
    invitations_said: BTreeSet<InvitationId>,
}

/// Connections that are links, or will be once both sides have agreed.
#[derive(Debug, Default)]
pub(super) struct RecordsLinks(BTreeMap<ConnId, RecordsLink>);

impl RecordsLinks {
    /// The links, with their members.
    pub(super) fn up(&self) -> impl Iterator<Item = (ConnId, MemberId)> {
        self.0.iter().filter(|(_, of)| of.up).map(|(conn, of)| (*conn, of.member))
    }

    /// Who is linked.
    pub(super) fn members(&self) -> BTreeSet<MemberId> {
        self.up().map(|(_, member)| member).collect()
    }

    /// Whether there is a link with `member`.
    pub(super) fn has(&self, member: &MemberId) -> bool {
        self.up().any(|(_, linked)| linked == *member)
    }

    /// Records are new: all but the one who told them are to hear of them.
    pub(super) fn mark_records(&mut self, new: &[Arc<SignedRecord>], from: Option<ConnId>) {
        for (_, of) in self.0.iter_mut().filter(|(conn, _)| Some(**conn) != from) {
            of.records.extend(new.iter().map(|record| record.id));
        }
    }

    /// Password data or invitations may have to be said.
    pub(super) fn mark_secrets(&mut self, cx: &mut Context) {
        for (conn, of) in self.0.iter_mut().filter(|(_, of)| of.up) {
            of.secrets = true;
            cx.mark(*conn);
        }
    }
}

impl Registry {
    /// This node named its register to a peer: what comes from now on is said once they are
    /// linked.
    pub(crate) fn register_named(&mut self, conn: ConnId, peer: MemberId) {
        self.links.0.entry(conn).or_insert_with(|| RecordsLink {
            member: peer,
            up: false,
            records: BTreeSet::new(),
            secrets: true,
            password_said: None,
            invitations_said: BTreeSet::new(),
        });
    }

    /// Records that were too many to be said before the link.
    pub(crate) fn say_later(&mut self, conn: ConnId, records: &[Arc<SignedRecord>]) {
        if let Some(of) = self.links.0.get_mut(&conn) {
            of.records.extend(records.iter().map(|record| record.id));
        }
    }

    /// A link is up.
    pub(crate) fn link_up(&mut self, cx: &mut Context, conn: ConnId, peer: MemberId) {
        self.register_named(conn, peer);
        if let Some(of) = self.links.0.get_mut(&conn) {
            of.up = true;
            cx.mark(conn);
        }
    }

    /// A connection is over.
    pub(crate) fn link_down(&mut self, cx: &mut Context, conn: ConnId) {
        self.links.0.remove(&conn);
        cx.timers.set(Timer::RecordsLeft(conn), None);
    }

    /// What is to be said over one link now.
    pub(crate) fn flush(&mut self, cx: &mut Context, conn: ConnId, messages: &mut Vec<Message>) {
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
        let left = !of.records.is_empty();
        // What they belong to comes first.
        if !left && std::mem::take(&mut of.secrets) && self.is_member(&of.member) {
            self.say_secrets(cx.wall_ms(), &mut of, messages);
        }
        cx.timers.set(Timer::RecordsLeft(conn), left.then_some(cx.now));
        self.links.0.insert(conn, of);
    }

    /// Only what is in force, and to members only.
    fn say_secrets(&self, now_ms: i64, of: &mut RecordsLink, messages: &mut Vec<Message>) {
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
