//! From a known peer to a link: registers are exchanged in one round, then both sides say ready.
//!
//! If two connections of a pair cross, the one dialled by the smaller member key wins. Both ends
//! follow the same two rules, whichever connection they see first: a side never says ready on the
//! other one while the winner is under way; and once it has said ready on the winner, it commits no
//! other.

use core::cmp::Ordering;
use core::net::IpAddr;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::Links;
use super::conn::{Conn, Link, Stage};
use crate::crypto::binding::Side;
use crate::router::address::plain_ip;
use crate::router::context::Context;
use crate::router::event::Effect;
use crate::router::ids::{ConnId, Digest32, MemberId, RecordId, RoomId, RunId};
use crate::router::message::{Message, Refusal, Why};
use crate::router::registry::Registry;
use crate::router::signed::{SignedPresence, SignedRecord};
use crate::router::time::Millis;

/// Ids in one message: as base64 in JSON they fit into it.
const IDS_AT_ONCE: usize = 640;
/// Ids, and records, that a peer may send before the commit.
const IDS_MAX: usize = 8_192;

/// Why the two may link.
#[derive(Debug)]
pub(crate) enum Reason {
    /// Both are in the room.
    Recognised,
    /// We let the peer in with this ticket.
    Admitted { ticket: Arc<SignedRecord> },
    /// We were let in: what we know of the room.
    Entered { registry: Box<Registry> },
}

/// The state from the peer's recognition until both sides are ready.
#[derive(Debug)]
pub(crate) struct Agreement {
    member: MemberId,
    room: RoomId,
    reason: Reason,
    /// The digest of our register when we sent it.
    my_digest: Option<Digest32>,
    their_digest: Option<Digest32>,
    sent_ids: bool,
    their_ids: BTreeSet<RecordId>,
    /// How many records came.
    records_heard: usize,
    /// Whether all of them came.
    ids_heard: bool,
    sent_records: bool,
    sent_ready: bool,
    /// An older link of this pair was pinged then.
    pub(super) doubts: Option<Millis>,
    presence: Option<Arc<SignedPresence>>,
    /// The peer is ready; our address as it sees it.
    ready: Option<IpAddr>,
    /// The peer has committed this connection, so it commits no other of the pair.
    peer_committed: bool,
}

impl Agreement {
    /// The peer.
    pub(crate) fn member(&self) -> MemberId {
        self.member
    }

    /// The room that both will be in.
    pub(crate) fn room(&self) -> RoomId {
        self.room
    }

    /// Why the two may link.
    pub(crate) fn reason(&self) -> &Reason {
        &self.reason
    }

    /// The register that it is about; `None` if that is no longer ours.
    fn registry<'a>(&'a self, ours: &'a Registry) -> Option<&'a Registry> {
        match &self.reason {
            Reason::Entered { registry } => Some(registry),
            _ => (self.room == ours.room()).then_some(ours),
        }
    }
}

/// The next step of the agreement.
#[derive(Debug)]
pub(crate) enum NextWord {
    /// Which register is ours.
    Register,
    /// Which records are in it.
    Ids,
    /// Those that the peer lacks.
    Records(Vec<Arc<SignedRecord>>),
    /// That we are ready.
    Ready,
}

/// The result of a message before the link.
#[derive(Debug)]
pub(crate) enum Heard {
    Nothing,
    /// A step may be due now.
    GoOn,
    /// The peer is ready.
    Ready,
    /// Records for our own register; `ticket` is this node's own open one.
    Records {
        others: Vec<Arc<SignedRecord>>,
        ticket: Option<Arc<SignedRecord>>,
    },
    /// A message of a link: the peer has committed this connection.
    OverLink(Message),
    /// The peer refuses.
    Refused(Refusal),
    /// It is to be refused.
    Refuse(Why),
}

/// A link that both sides are ready for.
#[derive(Debug)]
pub(crate) struct Commitment {
    pub(crate) member: MemberId,
    pub(crate) run: RunId,
    /// The peer's own.
    pub(crate) record: Arc<SignedPresence>,
    /// Where the peer sees this node.
    pub(crate) seen: IpAddr,
    pub(crate) room: RoomId,
    /// We let it in.
    pub(crate) admitted: bool,
}

impl Links {
    /// The peer is known: the agreement begins.
    pub(crate) fn begin_agreement(
        &mut self,
        cx: &mut Context,
        id: ConnId,
        (member, room): (MemberId, RoomId),
        reason: Reason,
    ) {
        let agreement = Agreement {
            member,
            room,
            reason,
            my_digest: None,
            their_digest: None,
            sent_ids: false,
            their_ids: BTreeSet::new(),
            records_heard: 0,
            ids_heard: false,
            sent_records: false,
            sent_ready: false,
            doubts: None,
            presence: None,
            ready: None,
            peer_committed: false,
        };
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.stage = Stage::Agreeing(Box::new(agreement));
            self.rearm(cx, id);
        }
    }

    pub(super) fn agreement_mut(&mut self, id: ConnId) -> Option<&mut Agreement> {
        self.conns.get_mut(&id)?.agreement_mut()
    }

    /// The next step on a connection that is not a link yet; `None`: it is the turn of the
    /// peer, or of another connection of the pair.
    ///
    /// # Errors
    /// Why the connection is to be refused.
    pub(crate) fn next_word(
        &self,
        me: MemberId,
        id: ConnId,
        ours: &Registry,
    ) -> Result<Option<NextWord>, Why> {
        let Some(of) = self.get(id).and_then(Conn::agreement) else { return Ok(None) };
        if of.sent_ready || of.doubts.is_some() {
            return Ok(None);
        }
        let registry = of.registry(ours).ok_or(Why::Busy)?;
        let Some(mine) = of.my_digest else { return Ok(Some(NextWord::Register)) };
        match of.their_digest {
            None => return Ok(None),
            Some(theirs) if theirs == mine => {}
            Some(_) if !of.sent_ids => return Ok(Some(NextWord::Ids)),
            Some(_) if !of.ids_heard => return Ok(None),
            Some(_) if !of.sent_records => {
                return Ok(Some(NextWord::Records(registry.missing_from(&of.their_ids))));
            }
            Some(_) => {}
        }
        // Until the other connection of the pair fails.
        let outdone = self.rivals(me, id).any(|(_, wins)| wins);
        Ok((!outdone).then_some(NextWord::Ready))
    }

    /// Sends the digest of our register.
    pub(crate) fn say_register(&mut self, cx: &mut Context, id: ConnId, ours: &Registry) {
        let Some(of) = self.agreement_mut(id) else { return };
        let Some(digest) = of.registry(ours).map(Registry::digest) else { return };
        of.my_digest = Some(digest);
        cx.effect(Effect::Send { conn: id, message: Message::Register(digest) });
    }

    /// Sends the ids of our register.
    pub(crate) fn say_ids(&mut self, cx: &mut Context, id: ConnId, ours: &Registry) {
        let Some(of) = self.agreement_mut(id) else { return };
        let Some(registry) = of.registry(ours) else { return };
        let ids: Vec<RecordId> = registry.ids().collect();
        of.sent_ids = true;
        let count = ids.len().div_ceil(IDS_AT_ONCE).max(1);
        for at in 0..count {
            let page = ids.iter().skip(at * IDS_AT_ONCE).take(IDS_AT_ONCE);
            let message = Message::Ids { list: page.copied().collect(), last: at + 1 == count };
            cx.effect(Effect::Send { conn: id, message });
        }
    }

    /// The records that the peer lacks were sent.
    pub(crate) fn records_said(&mut self, id: ConnId) {
        if let Some(of) = self.agreement_mut(id) {
            of.sent_records = true;
        }
    }

    /// Sends our presence record and `ready`.
    pub(crate) fn say_ready(
        &mut self,
        cx: &mut Context,
        id: ConnId,
        presence: Arc<SignedPresence>,
    ) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let seen = conn.remote.map(|remote| remote.ip());
        let seen = plain_ip(seen.unwrap_or(core::net::Ipv4Addr::UNSPECIFIED.into()));
        let Some(of) = conn.agreement_mut() else { return };
        of.sent_ready = true;
        cx.effect(Effect::Send { conn: id, message: Message::Presence(presence) });
        cx.effect(Effect::Send { conn: id, message: Message::Ready { seen } });
    }

    /// A message on a connection that is not a link yet.
    pub(crate) fn hear_before_link(&mut self, me: MemberId, id: ConnId, message: Message) -> Heard {
        let Some(of) = self.agreement_mut(id) else { return Heard::Nothing };
        match message {
            Message::Presence(record) if record.body.member == of.member => {
                of.presence = Some(record);
                Heard::Nothing
            }
            Message::Register(digest) if of.their_digest.is_none() => {
                of.their_digest = Some(digest);
                Heard::GoOn
            }
            Message::Ids { list, last } if !of.ids_heard => {
                of.their_ids.extend(list);
                of.ids_heard = last;
                if of.their_ids.len() > IDS_MAX {
                    Heard::Refuse(Why::Protocol)
                } else {
                    Heard::GoOn
                }
            }
            Message::Records(records) if of.ready.is_none() => of.hear_records(me, records),
            Message::Ready { seen } => {
                of.ready = Some(plain_ip(seen));
                Heard::Ready
            }
            Message::Refuse(refusal) => Heard::Refused(refusal),
            // Here another connection of the pair wins, on which the peer is not ready yet; its
            // refusal of that one may come later than this.
            message if of.sent_ready && of.ready.is_some() => {
                of.peer_committed = true;
                Heard::OverLink(message)
            }
            _ => Heard::Refuse(Why::Protocol),
        }
    }

    /// Other connections of the pair that are being agreed on: whether they said ready, and
    /// whether they win over `id`.
    fn rivals(&self, me: MemberId, id: ConnId) -> impl Iterator<Item = (bool, bool)> {
        let this = self.get(id);
        let member = this.and_then(Conn::agreement).map(|agreement| agreement.member);
        self.conns.iter().filter_map(move |(other, conn)| {
            let (this, member) = (this?, member?);
            let of = conn.agreement().filter(|of| of.member == member && of.doubts.is_none())?;
            if *other == id {
                return None;
            }
            let dialled_by = |conn: &Conn| if conn.is_dialled() { me } else { member };
            let wins = match dialled_by(conn).cmp(&dialled_by(this)) {
                Ordering::Less => true,
                Ordering::Greater => false,
                // Both dialled by one side, which decides: it goes on with the older.
                Ordering::Equal => this.side == Side::Dialer && *other < id,
            };
            Some((of.sent_ready, wins))
        })
    }

    /// Connections of a pair that are being agreed on.
    pub(crate) fn agreeing_with(&self, member: MemberId) -> Vec<ConnId> {
        let with = |conn: &Conn| conn.agreement().is_some_and(|of| of.member == member);
        self.conns.iter().filter(|(_, conn)| with(conn)).map(|(id, _)| *id).collect()
    }

    /// What can be committed, once both are ready.
    ///
    /// # Errors
    /// Why the connection is to be refused.
    pub(crate) fn commitment(&self, me: MemberId, id: ConnId) -> Result<Option<Commitment>, Why> {
        let Some(conn) = self.get(id) else { return Ok(None) };
        let Some(of) = conn.agreement() else { return Ok(None) };
        let (true, Some(seen)) = (of.sent_ready, of.ready) else { return Ok(None) };
        // A side that said ready on the connection that wins commits no other, unless the peer did.
        let mut rivals = self.rivals(me, id);
        if !of.peer_committed && rivals.any(|(sent_ready, wins)| wins && sent_ready) {
            return Ok(None);
        }
        let run = conn.their_run.ok_or(Why::Protocol)?;
        let record = of.presence.clone().ok_or(Why::Protocol)?;
        let admitted = matches!(of.reason, Reason::Admitted { .. });
        Ok(Some(Commitment { member: of.member, run, record, seen, room: of.room, admitted }))
    }

    /// What is known of the room that was entered.
    pub(crate) fn take_entered(&mut self, id: ConnId) -> Option<Registry> {
        let of = self.agreement_mut(id)?;
        match std::mem::replace(&mut of.reason, Reason::Recognised) {
            Reason::Entered { registry } => Some(*registry),
            other => {
                of.reason = other;
                None
            }
        }
    }

    /// The connection is a link from here on.
    pub(crate) fn link_up(
        &mut self,
        cx: &mut Context,
        id: ConnId,
        (member, run): (MemberId, RunId),
    ) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.stage = Stage::Linked(Box::new(Link::new(member, run, cx.now)));
            cx.mark(id);
            cx.effect(Effect::Linked { conn: id, member });
            self.rearm(cx, id);
        }
    }
}

impl Agreement {
    fn hear_records(&mut self, me: MemberId, records: Vec<Arc<SignedRecord>>) -> Heard {
        self.records_heard += records.len();
        if self.records_heard > IDS_MAX {
            return Heard::Refuse(Why::Protocol);
        }
        // An open ticket is ours to publish if it comes before the peer's `register`; later ones
        // are known to others already.
        let unpublished = self.their_digest.is_none();
        let (mine, others): (Vec<_>, Vec<_>) = records
            .into_iter()
            .partition(|record| unpublished && Registry::is_visitors_ticket(record, &me));
        let ticket = mine.into_iter().next();
        let Reason::Entered { registry } = &mut self.reason else {
            return Heard::Records { others, ticket };
        };
        registry.insert_all(&others);
        if let Some(ticket) = ticket {
            registry.hold(ticket);
        }
        Heard::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::binding::Role;
    use crate::router::signed::Presence;

    fn record_of(cx: &Context, room: &RoomId) -> Arc<SignedPresence> {
        let body = Presence {
            member: cx.my_id,
            run: cx.config.run,
            version: 1,
            name: cx.config.name.clone(),
            addresses: Vec::new(),
            unlinked: Vec::new(),
            bye: false,
        };
        SignedPresence::sign(room, &cx.me, body)
    }

    #[test]
    fn a_connection_that_the_peer_committed_is_committed_although_another_one_wins() {
        let room = RoomId([7; 32]);
        let (mut cx, bob) = (Context::of_test("alice", 1), Context::of_test("bob", 2));
        let (me, peer) = (cx.my_id, bob.my_id);
        let (loser, winner) = (ConnId(1), ConnId(2));
        let mut dialled = [Side::Listener, Side::Dialer];
        if peer < me {
            dialled.reverse();
        }
        let mut links = Links::default();
        for (id, side) in [loser, winner].into_iter().zip(dialled) {
            let mut conn = Conn::new(side, Role::Session, cx.now);
            conn.their_run = Some(bob.config.run);
            links.conns.insert(id, conn);
            links.begin_agreement(&mut cx, id, (peer, room), Reason::Recognised);
            let record = record_of(&cx, &room);
            links.say_ready(&mut cx, id, record);
        }
        let seen = core::net::Ipv4Addr::LOCALHOST.into();
        for message in [Message::Presence(record_of(&bob, &room)), Message::Ready { seen }] {
            links.hear_before_link(me, loser, message);
        }
        assert!(matches!(links.commitment(me, loser), Ok(None)), "the other one wins here");

        let heard = links.hear_before_link(me, loser, Message::Ping(1));
        assert!(matches!(heard, Heard::OverLink(Message::Ping(1))), "{heard:?}");
        assert!(matches!(links.commitment(me, loser), Ok(Some(_))));

        let heard = links.hear_before_link(me, winner, Message::Ping(1));
        assert!(matches!(heard, Heard::Refuse(Why::Protocol)), "it is not ready: {heard:?}");
    }
}
