//! From a known peer to a link: registers are made equal in one round, then both are ready.
//!
//! Of two connections of a pair that cross, the one dialled by the smaller member key stays. Both
//! ends follow the same two rules, whatever they see first: a side never says ready on the other
//! one while that one is under way; and once it said ready on that one, it commits no other.

use core::net::IpAddr;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::crypto::binding::{Role, Side};
use crate::router::Router;
use crate::router::event::{Closed, Effect};
use crate::router::ids::{ConnId, Digest32, MemberId, RecordId, RunId};
use crate::router::links::{Agreement, Conn, Link, Purpose, Reason, Stage, plain_ip};
use crate::router::membership::record::How;
use crate::router::message::{Message, Refusal, Why};
use crate::router::notice::Notice;
use crate::router::registry::{Registry, lets_in};
use crate::router::signed::{RECORD_EXTRA_BYTES, SignedPresence, SignedRecord, pages};

/// Ids in one message: as base64 in JSON they fit into it.
const IDS_AT_ONCE: usize = 640;
/// Ids that a peer may say in all.
const IDS_MAX: usize = 8_192;
/// Signed bytes of records said before the link; an outbox takes them at once. The rest follows
/// as far as it drains.
const RECORDS_BEFORE_LINK_BYTES: usize = 256 * 1024;

impl Router {
    pub(in crate::router) fn agreement_mut(&mut self, id: ConnId) -> Option<&mut Agreement> {
        match &mut self.conns.get_mut(&id)?.stage {
            Stage::Agreeing(agreement) => Some(agreement),
            _ => None,
        }
    }

    /// The register that this agreement is about.
    fn registry_for<'a>(&'a self, agreement: &'a Agreement) -> Option<&'a Registry> {
        match &agreement.reason {
            Reason::Entered { registry } => Some(registry),
            _ if agreement.room == self.room.id => Some(&self.registry),
            _ => None,
        }
    }

    /// Goes on with what is to be said before the link.
    pub(in crate::router) fn agree(&mut self, id: ConnId) {
        let Some(agreement) = self.conns.get(&id).and_then(Conn::agreement) else { return };
        if agreement.sent_ready || agreement.doubts.is_some() {
            return;
        }
        let Some(registry) = self.registry_for(agreement) else {
            return self.refuse(id, Why::Busy);
        };
        let Some(mine) = agreement.my_digest else {
            return self.say_digest(id);
        };
        match agreement.their_digest {
            None => return,
            Some(theirs) if theirs == mine => {}
            Some(_) if !agreement.sent_ids => return self.say_ids(id),
            Some(_) if !agreement.ids_heard => return,
            Some(_) => {
                let missing = registry.missing_from(&agreement.their_ids);
                self.say_records(id, &missing);
            }
        }
        if self.is_outdone(id) {
            return; // Until the other connection of the pair fails.
        }
        self.say_ready(id);
    }

    fn say_digest(&mut self, id: ConnId) {
        // A ticket for an open door is shown to its holder only.
        let ticket = match self.conns.get(&id).and_then(Conn::agreement) {
            Some(Agreement { reason: Reason::Admitted { ticket }, .. }) => Some(ticket.clone()),
            Some(Agreement { reason: Reason::Recognised, member, .. })
                if !self.registry.is_closed()
                    && !self.registry.is_member(member)
                    && self.registry.is_member(&self.cx.my_id) =>
            {
                self.issue(*member, How::Open, None)
            }
            _ => None,
        };
        if let Some(ticket) = ticket.filter(|of| !self.registry.holds(&of.id)) {
            self.cx.effect(Effect::Send { conn: id, message: Message::Records(vec![ticket]) });
        }
        let Some(agreement) = self.conns.get(&id).and_then(Conn::agreement) else { return };
        let Some(digest) = self.registry_for(agreement).map(Registry::digest) else { return };
        if let Some(agreement) = self.agreement_mut(id) {
            agreement.my_digest = Some(digest);
            let member = agreement.member;
            self.registry.register_named(&self.cx, id, member);
        }
        self.cx.effect(Effect::Send { conn: id, message: Message::Register(digest) });
        self.agree(id);
    }

    fn say_ids(&mut self, id: ConnId) {
        let Some(agreement) = self.conns.get(&id).and_then(Conn::agreement) else { return };
        let Some(registry) = self.registry_for(agreement) else { return };
        let ids: Vec<RecordId> = registry.ids().collect();
        if let Some(agreement) = self.agreement_mut(id) {
            agreement.sent_ids = true;
        }
        let count = ids.len().div_ceil(IDS_AT_ONCE).max(1);
        for at in 0..count {
            let page = ids.iter().skip(at * IDS_AT_ONCE).take(IDS_AT_ONCE);
            let message = Message::Ids { list: page.copied().collect(), last: at + 1 == count };
            self.cx.effect(Effect::Send { conn: id, message });
        }
        self.agree(id);
    }

    fn say_records(&mut self, id: ConnId, records: &[Arc<SignedRecord>]) {
        let mut bytes = 0;
        let first = records.iter().take_while(|record| {
            bytes += record.bytes.len() + RECORD_EXTRA_BYTES;
            bytes <= RECORDS_BEFORE_LINK_BYTES
        });
        let (now, later) = records.split_at(first.count());
        self.registry.say_later(id, later);
        for list in pages(now) {
            self.cx.effect(Effect::Send { conn: id, message: Message::Records(list) });
        }
    }

    fn say_ready(&mut self, id: ConnId) {
        let Some(agreement) = self.conns.get(&id).and_then(Conn::agreement) else { return };
        let room = agreement.room;
        let presence = self.members.record_for(&self.cx, &room);
        self.cx.effect(Effect::Send { conn: id, message: Message::Presence(presence) });
        let seen = self.conns.get(&id).and_then(|conn| conn.remote).map(|remote| remote.ip());
        let seen = plain_ip(seen.unwrap_or(core::net::Ipv4Addr::UNSPECIFIED.into()));
        self.cx.effect(Effect::Send { conn: id, message: Message::Ready { seen } });
        if let Some(agreement) = self.agreement_mut(id) {
            agreement.sent_ready = true;
        }
        self.commit(id);
    }

    /// A message on a connection that is not a link yet.
    pub(in crate::router) fn said_before_link(&mut self, id: ConnId, message: Message) {
        let Some(agreement) = self.agreement_mut(id) else { return };
        match message {
            Message::Presence(record) if record.body.member == agreement.member => {
                agreement.presence = Some(record);
            }
            Message::Register(digest) if agreement.their_digest.is_none() => {
                agreement.their_digest = Some(digest);
                self.agree(id);
            }
            Message::Ids { list, last } if !agreement.ids_heard => {
                agreement.their_ids.extend(list);
                agreement.ids_heard = last;
                if agreement.their_ids.len() > IDS_MAX {
                    return self.refuse(id, Why::Protocol);
                }
                self.agree(id);
            }
            Message::Records(records) if agreement.ready.is_none() => {
                self.records_before_link(id, records);
            }
            Message::Ready { seen } => {
                agreement.ready = Some(plain_ip(seen));
                self.commit(id);
            }
            Message::Refuse(refusal) => self.refused(id, &refusal),
            _ => self.refuse(id, Why::Protocol),
        }
    }

    fn records_before_link(&mut self, id: ConnId, records: Vec<Arc<SignedRecord>>) {
        let me = self.cx.my_id;
        let Some(agreement) = self.agreement_mut(id) else { return };
        agreement.records_heard += records.len();
        if agreement.records_heard > IDS_MAX {
            return self.refuse(id, Why::Protocol);
        }
        // A ticket for an open door is ours to publish: it comes before the peer names its
        // register, and what comes later others know already.
        let unpublished = agreement.their_digest.is_none();
        let (mine, others): (Vec<_>, Vec<_>) = records
            .into_iter()
            .partition(|record| unpublished && Registry::is_visitors_ticket(record, &me));
        if let Reason::Entered { registry } = &mut agreement.reason {
            for record in others {
                registry.insert(record);
            }
            mine.into_iter().take(1).for_each(|ticket| registry.hold(ticket));
        } else {
            self.records_arrived(&others, Some(id));
            mine.into_iter().take(1).for_each(|ticket| self.registry.hold(ticket));
        }
    }

    /// The connection of this pair that stays if both are under way was dialled by the smaller key.
    fn dialled_by(&self, conn: &Conn, member: MemberId) -> MemberId {
        if conn.side == Side::Dialer { self.cx.my_id } else { member }
    }

    /// Whether another connection of this pair is under way that wins over `id`.
    fn is_outdone(&self, id: ConnId) -> bool {
        self.rivals(id).any(|(rival, _, wins)| wins && rival != id)
    }

    /// Other connections of the pair that are being agreed on, and whether they win over `id`.
    fn rivals(&self, id: ConnId) -> impl Iterator<Item = (ConnId, &Agreement, bool)> {
        let this = self.conns.get(&id);
        let member = this.and_then(Conn::agreement).map(|agreement| agreement.member);
        self.conns.iter().filter_map(move |(other, conn)| {
            let (this, member) = (this?, member?);
            let agreement = conn.agreement().filter(|of| of.member == member)?;
            if *other == id || agreement.doubts.is_some() {
                return None;
            }
            let (mine, theirs) = (self.dialled_by(this, member), self.dialled_by(conn, member));
            let wins = match theirs.cmp(&mine) {
                core::cmp::Ordering::Less => true,
                core::cmp::Ordering::Greater => false,
                // Both dialled by one side, which decides: it goes on with the older.
                core::cmp::Ordering::Equal => this.side == Side::Dialer && *other < id,
            };
            Some((*other, agreement, wins))
        })
    }

    /// Commits once both are ready.
    fn commit(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(&id) else { return };
        let Some(agreement) = conn.agreement() else { return };
        let (true, Some(seen)) = (agreement.sent_ready, agreement.ready) else { return };
        // Who said ready on the connection that wins commits no other.
        if self.rivals(id).any(|(_, rival, wins)| wins && rival.sent_ready) {
            return;
        }
        let (member, run) = (agreement.member, conn.their_run);
        let (Some(run), Some(record)) = (run, agreement.presence.clone()) else {
            return self.refuse(id, Why::Protocol);
        };
        if self.links().count() >= self.cx.limits().peers && self.link_of(&member).is_none() {
            return self.refuse(id, Why::Full);
        }
        if agreement.room == self.room.id {
            if let Err(record) = self.registry.may_link(&member) {
                let admitted = matches!(agreement.reason, Reason::Admitted { .. });
                let removed = record.as_ref().is_some_and(|record| record.is_removal());
                // It came by a door that was closed meanwhile: it may have another way.
                return if admitted && !removed {
                    self.refuse(id, Why::Busy)
                } else {
                    self.refuse_outsider(id, record)
                };
            }
        } else {
            // Only who is still in the fresh room that it dialled from moves.
            let from = conn.my_hello.as_ref().map(|(_, room)| *room);
            let fresh = from == Some(self.room.id) && !self.room.settled;
            let entered = self.conns.get_mut(&id).filter(|_| fresh).and_then(Conn::take_entered);
            let Some((room, registry)) = entered else { return self.refuse(id, Why::Busy) };
            // The records that it told may have put the peer itself out.
            if registry.may_link(&member).is_err() {
                return self.refuse(id, Why::Busy);
            }
            self.move_to(room, registry, member);
        }
        self.room.settled = true;
        self.link_up(id, member, run, &record, seen);
        self.refuse_rivals(id, member);
        if !self.log.is_silent() {
            self.publish_ticket(); // What was said before counts as said in this room.
        }
    }

    fn refuse_rivals(&mut self, id: ConnId, member: MemberId) {
        let rivals: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(other, conn)| {
                **other != id && conn.agreement().is_some_and(|of| of.member == member)
            })
            .map(|(other, _)| *other)
            .collect();
        for rival in rivals {
            self.refuse(rival, Why::Crossing);
        }
    }

    fn link_up(
        &mut self,
        id: ConnId,
        member: MemberId,
        run: RunId,
        record: &Arc<SignedPresence>,
        seen: IpAddr,
    ) {
        let link = Link::new(member, run, self.cx.now);
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.stage = Stage::Linked(Box::new(link));
        }
        self.swarm.link_up(&self.cx, id, member, self.files.offered_by(member));
        self.cx.mark(id);
        self.cx.effect(Effect::Linked { conn: id, member });
        let Some(via) = self.via(id) else { return };
        let newly = self.members.link_up(&mut self.cx, via, record, seen, &self.log);
        self.registry.link_up(&mut self.cx, id, member);
        self.comparisons.link_up(id, member);
        self.with_registry(|registry, cx, people| registry.show_who_came(cx, people.members));
        self.log.link_up(&mut self.cx, id, member, &self.members);
        let info = self.members.info(&member);
        self.room.ever_met = true;
        if !std::mem::replace(&mut self.room.announced, true) {
            let (room, locked) = (self.room.id, self.registry.is_closed());
            let founder = self.members.who(&self.registry.founder());
            self.cx.notify(Notice::Joined { room, members: vec![info], locked, founder });
        } else if newly {
            self.cx.notify(Notice::MemberJoined { member: info });
        }
        self.members.warn_if_lookalike(&mut self.cx, &member);
        self.attempts.linked(&mut self.cx, id, member);
        self.log.tell_held(&mut self.cx, &self.members);
        self.registry.propose_steward(&mut self.cx);
    }

    pub(in crate::router) fn conn_closed(&mut self, id: ConnId, how: Closed) {
        let refusal = match &how {
            Closed::Refused(refusal) => Some(refusal.clone()),
            _ => None,
        };
        self.forget_conn(id, how, refusal.as_ref());
    }

    /// A connection is over: whoever waited for it is told. Safe to call twice.
    pub(in crate::router) fn forget_conn(
        &mut self,
        id: ConnId,
        how: Closed,
        refusal: Option<&Refusal>,
    ) {
        let Some(conn) = self.conns.remove(&id) else { return };
        self.cx.unmark(id);
        self.registry.link_down(&mut self.cx, id);
        // A guesser may call it off in the same words.
        let ours = |refusal: &Refusal| {
            how == Closed::ByUs && matches!(refusal.why, Why::Crossing | Why::Busy)
        };
        if self.guesses.end(id)
            && !refusal.is_some_and(ours)
            && let Some(remote) = conn.remote
        {
            self.guesses.failed(&mut self.cx, remote.ip());
        }
        self.log.link_down(&mut self.cx, id);
        if let (Closed::Refused(_), Some(refusal)) = (&how, refusal) {
            self.heed_refusal(&conn, refusal);
        }
        let agreed = conn.agreement().map(|agreement| agreement.member);
        match &conn.stage {
            Stage::Linked(link) => {
                self.comparisons.link_down(&mut self.cx, id);
                self.link_down(id, link.member, &how, refusal);
            }
            Stage::Lane { member, .. } => self.lane_down(id, *member),
            _ => {}
        }
        match conn.purpose {
            Some(Purpose::Attempt(attempt)) if conn.link().is_none() => {
                self.attempt_ended(attempt, &conn, &how, refusal, agreed);
            }
            Some(Purpose::Redial(member)) if conn.link().is_none() => {
                self.redial_failed(member, refusal);
            }
            Some(Purpose::Lane(member) | Purpose::Serve(member))
                if !matches!(conn.stage, Stage::Lane { open: true, .. }) =>
            {
                self.lane_failed(member, &conn);
            }
            _ => {}
        }
        // The other connection of the pair goes on, unless one of them is the link already.
        if let Some(member) = agreed.filter(|member| self.link_of(member).is_none()) {
            let waiting: Vec<ConnId> = self
                .conns
                .iter()
                .filter(|(_, conn)| conn.agreement().is_some_and(|of| of.member == member))
                .map(|(id, _)| *id)
                .collect();
            for id in waiting {
                self.agree(id);
                self.commit(id);
            }
        }
    }

    /// Who put us out shows it: from then on it is so here as well. Without that it is hearsay.
    fn heed_refusal(&mut self, conn: &Conn, refusal: &Refusal) {
        // A link is in the room, by whichever way it was entered.
        let here = conn.my_hello.as_ref().is_some_and(|(_, room)| *room == self.room.id)
            && (conn.enters.is_none() || conn.same_room);
        if conn.role != Role::Session || !here && conn.link().is_none() {
            return;
        }
        let outside = matches!(refusal.why, Why::NotMember | Why::Removed);
        match refusal.record.clone() {
            Some(record) if self.is_heeded(&record, refusal) => {
                let records: Vec<_> = refusal.steward.clone().into_iter().chain([record]).collect();
                self.records_arrived(&records, None);
            }
            _ if outside
                && !matches!(conn.purpose, Some(Purpose::Attempt(_)))
                && !std::mem::replace(&mut self.room.told_outside, true) =>
            {
                self.cx.remark(
                    "somebody who was reached says that this room is closed and that you are not \
                     a member of it any more",
                );
            }
            _ => {}
        }
    }

    /// Whether a record that puts us out is by a member, or by whom the founder made a steward.
    fn is_heeded(&self, record: &SignedRecord, refusal: &Refusal) -> bool {
        let (by, registry) = (record.record.by(), &self.registry);
        let named = refusal.steward.as_ref().is_some_and(|steward| {
            steward.record.by() == registry.founder() && lets_in(&steward.record, &by)
        });
        named || registry.is_member(&by)
    }

    fn link_down(
        &mut self,
        conn: ConnId,
        member: MemberId,
        how: &Closed,
        refusal: Option<&Refusal>,
    ) {
        let closed = !matches!(how, Closed::Silent);
        let refused = refusal.map(|refusal| refusal.why);
        let in_doubt = self.registry.is_closed() && self.registry.is_member(&self.cx.my_id);
        let standing = (in_doubt, self.registry.am_out());
        self.members.link_down(&mut self.cx, conn, closed, refused, standing);
        if matches!(refused, Some(Why::NotMember | Why::Removed)) {
            self.close_lanes_of(member);
        }
        self.swarm.link_down(&mut self.cx, conn);
    }

    /// Loopback may be taught by whoever is on loopback itself.
    pub(in crate::router) fn on_loopback(&self, conn: ConnId) -> bool {
        let remote = self.conns.get(&conn).and_then(|conn| conn.remote);
        remote.is_some_and(|remote| crate::router::is_loopback(remote.ip()))
    }
}

impl Agreement {
    pub(in crate::router) fn new(
        member: MemberId,
        room: crate::router::ids::RoomId,
        reason: Reason,
    ) -> Self {
        Self {
            member,
            room,
            reason,
            my_digest: None::<Digest32>,
            their_digest: None,
            sent_ids: false,
            their_ids: BTreeSet::new(),
            records_heard: 0,
            ids_heard: false,
            sent_ready: false,
            doubts: None,
            presence: None,
            ready: None,
        }
    }
}
