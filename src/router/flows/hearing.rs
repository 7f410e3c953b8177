//! Passes each message of a linked peer to its machine.

use crate::router::Router;
use crate::router::event::Closed;
use crate::router::ids::ConnId;
use crate::router::message::Message;

impl Router {
    /// A message on any connection.
    pub(crate) fn said(&mut self, id: ConnId, message: Message) {
        let Some((member, run)) = self.links.hear(self.cx.now, id) else {
            return self.heard_before_link(id, message);
        };
        match message {
            Message::Ping(number) => self.links.answer_ping(&mut self.cx, id, number),
            Message::Pong(number) => {
                if let Some(rtt_ms) = self.links.pong(&mut self.cx, id, number) {
                    self.swarm.rtt(member, rtt_ms);
                }
            }
            Message::Entry(entry) => self.entry_pushed(id, &entry),
            Message::Have(haves) => self.log.haves_arrived(&mut self.cx, id, haves, &self.members),
            Message::Receipt { holder, have } => {
                self.log.receipt_told(&mut self.cx, holder, &have, &self.members);
            }
            Message::Ask { number, chains } => self.log.asked(&mut self.cx, id, number, chains),
            Message::Answer { number, entries, last } => self.answered(id, number, &entries, last),
            Message::Presence(record) => self.presence_arrived(id, &record),
            Message::Records(records) => self.records_said(id, &records),
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
                    self.cx.refuse(id, why);
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
            Message::Refuse(refusal) => self.cx.close(id, Closed::Refused(refusal)),
            // These belong to an agreement, which is over.
            Message::Ready { .. } | Message::Register(_) | Message::Ids { .. } => {}
        }
        self.link_lives(member, run);
    }
}
