//! What peers say over their links, each message to the machine that it is for.

use crate::router::Router;
use crate::router::event::Effect;
use crate::router::ids::ConnId;
use crate::router::message::{Message, Why};

impl Router {
    /// A message of any connection.
    pub(in crate::router) fn said(&mut self, id: ConnId, message: Message) {
        let now = self.cx.now;
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let Some(link) = conn.link_mut() else { return self.said_before_link(id, message) };
        link.heard = now;
        let (member, run) = (link.member, link.run);
        match message {
            Message::Ping(number) => self.mark_link(id, |link| link.pong = Some(number)),
            Message::Pong(number) => self.pong(id, number),
            Message::Entry(entry) => self.entry_pushed(id, &entry),
            Message::Have(haves) => self.log.haves_arrived(&mut self.cx, id, haves, &self.members),
            Message::Receipt { holder, have } => {
                self.log.receipt_told(&mut self.cx, holder, &have, &self.members);
            }
            Message::Ask { number, chains } => self.log.asked(&mut self.cx, id, number, chains),
            Message::Answer { number, entries, last } => self.answered(id, number, &entries, last),
            Message::Presence(record) => self.presence_arrived(id, &record),
            // What was dropped would never be said again: the link goes, and both begin anew.
            Message::Records(records) if !self.registry.may_hear(id, records.len(), now) => {
                return self.refuse(id, Why::Busy);
            }
            Message::Records(records) => self.records_arrived(&records, Some(id)),
            Message::Password { lock, data } => {
                self.registry.password_told(&mut self.cx, lock, data);
            }
            Message::Invitation { invitation, find } => {
                self.registry.invitation_told(&mut self.cx, invitation, find);
            }
            Message::VerifyCommit(digest) => {
                self.comparisons.committed(&mut self.cx, id, digest);
            }
            Message::VerifyNonce(value) => {
                let from = (id, self.members.info(&member));
                let (words, cx) = (&mut self.comparisons, &mut self.cx);
                if let Err(why) = words.revealed(cx, &self.members, from, value) {
                    self.refuse(id, why);
                }
            }
            Message::Hosting { file, held, fetching } => self.hosting(id, file, held, fetching),
            Message::Gained { file, chunks } => self.swarm.gained(id, file, &chunks),
            Message::Dropped { file, done } => self.swarm.dropped(id, file, done),
            Message::LaneWanted => self.lane_wanted(id),
            Message::Unwanted { file, chunk } => {
                self.swarm.unwanted(&mut self.cx, id, (file, chunk));
            }
            Message::BadChunk { file, chunk } => {
                self.swarm.blamed(&mut self.cx, id, (file, chunk));
            }
            Message::Refuse(refusal) => self.refused(id, &refusal),
            // Of an agreement that is over.
            Message::Ready { .. } | Message::Register(_) | Message::Ids { .. } => {}
        }
        self.link_lives(member, run);
    }

    pub(in crate::router) fn ping(&mut self, id: ConnId) {
        let now = self.cx.now;
        let number = self.cx.rng.next_u64() as u32;
        let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link_mut()) else { return };
        if link.pinged.is_none() {
            link.pinged = Some((number, now));
            self.cx.effect(Effect::Send { conn: id, message: Message::Ping(number) });
        }
    }

    fn pong(&mut self, id: ConnId, number: u32) {
        let now = self.cx.now;
        if let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link_mut())
            && let Some((expected, at)) = link.pinged
            && expected == number
        {
            link.pinged = None;
            link.rtt_ms = now.since(at);
            link.rtt_known = true;
            let (member, rtt_ms) = (link.member, link.rtt_ms);
            self.swarm.rtt(member, rtt_ms);
        }
    }

    pub(in crate::router) fn congested(&mut self, id: ConnId, congested: bool) {
        let now = self.cx.now;
        self.mark_link(id, |link| {
            link.congested = congested.then(|| link.congested.unwrap_or(now));
        });
    }
}
