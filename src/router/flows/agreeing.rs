//! From a known peer to a link: the agreement, and everything that follows from a new link.

use std::sync::Arc;

use crate::router::Router;
use crate::router::event::{Closed, Effect};
use crate::router::ids::{ConnId, MemberId};
use crate::router::links::{Commitment, Conn, Heard, NextWord, Reason};
use crate::router::membership::record::How;
use crate::router::message::{Capability, Message, Why};
use crate::router::notice::Notice;
use crate::router::quiet::Topic;
use crate::router::registry::Registry;
use crate::router::signed::{RECORD_EXTRA_BYTES, SignedRecord, pages};

/// Signed bytes of records sent before the link, which an outbox takes at once. The rest follows as
/// it drains.
const RECORDS_BEFORE_LINK_BYTES: usize = 256 * 1024;

impl Router {
    /// Continues the agreement with whatever is due.
    pub(crate) fn agree(&mut self, id: ConnId) {
        loop {
            match self.links.next_word(self.cx.my_id, id, &self.registry) {
                Err(why) => return self.cx.refuse(id, why),
                Ok(None) => return self.commit(id),
                Ok(Some(NextWord::Register)) => self.say_register(id),
                Ok(Some(NextWord::Ids)) => self.links.say_ids(&mut self.cx, id, &self.registry),
                Ok(Some(NextWord::Records(records))) => self.say_records(id, &records),
                Ok(Some(NextWord::Ready)) => self.say_ready(id),
            }
        }
    }

    fn say_register(&mut self, id: ConnId) {
        let Some(of) = self.links.get(id).and_then(Conn::agreement) else { return };
        let member = of.member();
        // An open ticket is shown only to its holder.
        let ticket = match of.reason() {
            Reason::Admitted { ticket } => Some(ticket.clone()),
            Reason::Recognised if self.is_visitor_of_mine(&member) => {
                self.issue(member, How::Open, None)
            }
            _ => None,
        };
        if let Some(ticket) = ticket.filter(|of| !self.registry.holds(&of.id)) {
            self.cx.effect(Effect::Send { conn: id, message: Message::Records(vec![ticket]) });
        }
        self.links.say_register(&mut self.cx, id, &self.registry);
        self.registry.register_named(id, member);
    }

    /// Whether a member needs a ticket from this node to be in an open room.
    fn is_visitor_of_mine(&self, member: &MemberId) -> bool {
        !self.registry.is_closed()
            && !self.registry.is_member(member)
            && self.registry.is_member(&self.cx.my_id)
    }

    fn say_records(&mut self, id: ConnId, records: &[Arc<SignedRecord>]) {
        let mut bytes = 0;
        let first = records.iter().take_while(|record| {
            bytes += record.bytes.len() + RECORD_EXTRA_BYTES;
            bytes <= RECORDS_BEFORE_LINK_BYTES
        });
        let (now, later) = records.split_at(first.count());
        self.registry.say_later(id, later);
        self.links.records_said(id);
        for list in pages(now) {
            self.cx.effect(Effect::Send { conn: id, message: Message::Records(list) });
        }
    }

    fn say_ready(&mut self, id: ConnId) {
        let Some(of) = self.links.get(id).and_then(Conn::agreement) else { return };
        let presence = self.members.record_for(&self.cx, &of.room());
        self.links.say_ready(&mut self.cx, id, presence);
    }

    /// A message on a connection that is not a link yet.
    pub(crate) fn heard_before_link(&mut self, id: ConnId, message: Message) {
        match self.links.hear_before_link(self.cx.my_id, id, message) {
            Heard::Nothing => {}
            Heard::GoOn => self.agree(id),
            Heard::Ready => self.commit(id),
            Heard::Records { others, ticket } => {
                self.records_arrived(&others, Some(id));
                if let Some(ticket) = ticket {
                    self.registry.hold(ticket);
                }
            }
            Heard::OverLink(message) => {
                self.commit(id);
                if self.links.link(id).is_some() {
                    self.said(id, message);
                }
            }
            Heard::Refused(refusal) => self.cx.close(id, Closed::Refused(refusal)),
            Heard::Refuse(why) => self.cx.refuse(id, why),
        }
    }

    /// Commits the link once both are ready.
    fn commit(&mut self, id: ConnId) {
        let commitment = match self.links.commitment(self.cx.my_id, id) {
            Ok(Some(commitment)) => commitment,
            Ok(None) => return,
            Err(why) => return self.cx.refuse(id, why),
        };
        let Commitment { member, room, admitted, .. } = commitment;
        // One link for a pair is enough; another connection may just have become it.
        if self.members.conn_of(&member).is_some() {
            return self.cx.refuse(id, Why::Crossing);
        }
        if self.links.count() >= self.cx.limits().peers {
            match self.to_give_way(id, &member) {
                Some(other) if self.links.may_displace(self.cx.now) => {
                    self.cx.refuse(other, Why::Full);
                }
                Some(_) | None => return self.cx.refuse(id, Why::Full),
            }
        }
        if room == self.stay.room() {
            if let Err(record) = self.registry.may_link(&member) {
                let removed = record.as_ref().is_some_and(|record| record.is_removal());
                // The room was closed meanwhile, but it may have another way in.
                return if admitted && !removed {
                    self.cx.refuse(id, Why::Busy)
                } else {
                    self.cx.refuse_with(id, self.registry.refusal_of(record))
                };
            }
        } else {
            // A node moves only if it is still in the new room from which it dialled.
            let from = self.links.get(id).and_then(Conn::my_room);
            let fresh = from == Some(self.stay.room()) && !self.stay.is_settled();
            let registry = if fresh { self.links.take_entered(id) } else { None };
            // The peer's own records may have put it out.
            match registry.filter(|registry| registry.may_link(&member).is_ok()) {
                Some(registry) => self.move_to(room, registry, member),
                None => return self.cx.refuse(id, Why::Busy),
            }
        }
        self.stay.settle();
        self.link_up(id, &commitment);
        for rival in self.links.agreeing_with(member) {
            self.cx.refuse(rival, Why::Crossing);
        }
        if !self.log.is_silent() {
            self.publish_ticket(); // What was said before counts as said in this room.
        }
    }

    fn link_up(&mut self, id: ConnId, commitment: &Commitment) {
        let Commitment { member, run, ref record, seen, .. } = *commitment;
        self.links.link_up(&mut self.cx, id, (member, run));
        self.swarm.link_up(&self.cx, id, member, self.files.offered_by(member));
        let Some(via) = self.via(id) else { return };
        let log = &self.log;
        let newly = self.members.link_up(&mut self.cx, via, record, seen, |id| log.is_author(id));
        self.registry.link_up(&mut self.cx, id, member);
        let able = self.links.get(id).is_some_and(|conn| conn.can(Capability::Verify));
        self.comparisons.link_up(id, member, able);
        self.with_registry(Registry::show_who_came);
        self.log.link_up(&mut self.cx, id, member, &self.members);
        let info = self.members.info(&member);
        self.stay.meet();
        if self.stay.announce() {
            let (room, locked) = (self.stay.room(), self.registry.is_closed());
            let founder = self.members.who(&self.registry.founder());
            self.cx.notify(Notice::Joined { room, members: vec![info], locked, founder });
        } else if newly {
            let origin = self.members.origin_of(&member);
            let notice = Notice::MemberJoined { member: info };
            self.cx.notify_from(origin, (Topic::Presence, member), notice);
        }
        self.members.warn_if_lookalike(&mut self.cx, &member);
        self.attempts.linked(&mut self.cx, id, member);
        self.log.tell_held(&mut self.cx, &self.members);
        self.registry.propose_steward(&mut self.cx);
    }
}
