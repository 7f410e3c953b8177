//! What the world knows of memberships, and what must hold of them at every step: P1 to P10 of the
//! contract. What nodes conclude is compared with the rules of `oracle`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use klatch::router::event::{Closed, Entrance, Event, Outcome, Plan};
use klatch::router::ids::{ConnId, Digest32, InvitationId, MemberId, RecordId, RoomId};
use klatch::router::membership::record::{How, Record};
use klatch::router::message::{Message, Refusal};
use klatch::router::notice::Notice;
use klatch::router::signed::{SignedInvitation, SignedRecord};

use crate::oracle::Oracle;
use crate::world::World;

/// A record as it was sent, and as it was read.
type Decoded = (Arc<SignedRecord>, Option<Arc<SignedRecord>>);

/// Facts that no node can be asked about.
#[derive(Default)]
pub struct Truth {
    /// Whether registers are too large here to be judged at each step.
    pub lax: bool,
    /// Identities that do what they like.
    pub hostile: BTreeSet<MemberId>,
    /// Records as first seen, with the result of decoding: `None` for forged ones.
    decoded: HashMap<(RoomId, usize), Decoded>,
    /// Every register seen, judged.
    registers: HashMap<(RoomId, Digest32), Rc<Oracle>>,
    /// Who let in whom, and how, as the handshakes know.
    admitted: BTreeSet<(MemberId, MemberId, How)>,
    /// Guests of invitations, by who answered.
    guests: BTreeMap<(InvitationId, MemberId), BTreeSet<MemberId>>,
    /// Checked steps from one register to the next.
    steps: BTreeSet<(Digest32, Digest32)>,
}

impl Truth {
    /// Every record of a room that anybody has read.
    pub fn of_room(&self, room: &RoomId) -> Vec<Arc<SignedRecord>> {
        let good = self.decoded.iter().filter(|((of, _), _)| of == room);
        let good = good.filter_map(|(_, (_, good))| good.clone());
        let sorted: BTreeMap<RecordId, _> = good.map(|record| (record.id, record)).collect();
        sorted.into_values().collect()
    }
}

impl World {
    // Decoding, as every reader of the wire does it.

    fn decode(&mut self, room: RoomId, record: &Arc<SignedRecord>) -> Option<Arc<SignedRecord>> {
        let key = (room, Arc::as_ptr(record).addr());
        let known = self.truth.decoded.entry(key).or_insert_with(|| {
            let good = SignedRecord::verify(&room, &record.bytes, &record.signature).ok();
            // If the record that is there is equal, it is taken: it was verified as well.
            let good = good.map(|good| if good == *record { record.clone() } else { good });
            (record.clone(), good)
        });
        known.1.clone()
    }

    pub(crate) fn decoded(
        &mut self,
        pipe: usize,
        end: usize,
        records: Vec<Arc<SignedRecord>>,
    ) -> Option<Vec<Arc<SignedRecord>>> {
        let room = self.pipes[pipe].ends[end].room;
        records.iter().map(|record| self.decode(room, record)).collect()
    }

    pub(crate) fn decoded_refusal(
        &mut self,
        pipe: usize,
        end: usize,
        refusal: Refusal,
    ) -> Option<Refusal> {
        let room = self.pipes[pipe].ends[end].room;
        let record = match &refusal.record {
            Some(record) => Some(self.decode(room, record)?),
            None => None,
        };
        let steward = match &refusal.steward {
            Some(record) => Some(self.decode(room, record)?),
            None => None,
        };
        Some(Refusal { record, steward, ..refusal })
    }

    pub(crate) fn decoded_message(
        &mut self,
        pipe: usize,
        end: usize,
        message: Message,
    ) -> Option<Message> {
        let room = self.pipes[pipe].ends[end].room;
        Some(match message {
            Message::Records(records) => Message::Records(self.decoded(pipe, end, records)?),
            Message::Refuse(refusal) => Message::Refuse(self.decoded_refusal(pipe, end, refusal)?),
            Message::Invitation { invitation, find } => {
                let (bytes, signature) = (&invitation.bytes, &invitation.signature);
                let invitation = SignedInvitation::verify(&room, bytes, signature).ok()?;
                if invitation.body.find.0 != find.hash() {
                    return None;
                }
                Message::Invitation { invitation, find }
            }
            other => other,
        })
    }

    // Every step.

    /// Checks what a node concludes after an event.
    pub(crate) fn judge(&mut self, node: usize, event: &Event) {
        self.note_given(node, event);
        if self.truth.lax {
            return;
        }
        let Some(router) = &self.nodes[node].router else { return };
        let (room, digest) = router.register();
        let seen = self.nodes[node].register.replace((room, digest));
        if seen == Some((room, digest)) {
            return;
        }
        let after = self.oracle(node);
        let router = self.nodes[node].router.as_ref().unwrap();
        let (name, membership) = (&self.nodes[node].name, router.membership());
        let members: BTreeSet<MemberId> = membership.members().collect();
        assert_eq!(
            members, after.members,
            "P2, P4, P6: {name} counts other members than its records give"
        );
        let closings: BTreeSet<RecordId> = membership.closings().map(|of| of.id).collect();
        assert_eq!(closings, after.closings, "P4, P9: {name} takes other closings to be in force");
        assert_eq!(
            membership.password(),
            after.password,
            "P7: {name} takes another password to be in force"
        );
        self.check_tickets(&after);
        self.check_links_allowed(node, &after);
        let earlier = seen.filter(|(before, _)| *before == room).map(|(_, digest)| digest);
        if let Some(before) = earlier
            && self.truth.steps.insert((before, digest))
        {
            let before = self.truth.registers[&(room, before)].clone();
            self.check_step(node, &before, &after);
        }
    }

    /// A node's register, judged by our own rules.
    pub fn oracle(&mut self, node: usize) -> Rc<Oracle> {
        let router = self.nodes[node].router.as_ref().unwrap();
        let known = self.truth.registers.entry(router.register());
        let judge =
            || Rc::new(Oracle::of(router.membership().founder(), router.records().cloned()));
        known.or_insert_with(judge).clone()
    }

    fn check_step(&self, node: usize, before: &Oracle, after: &Oracle) {
        let name = &self.nodes[node].name;
        let new = after.records.iter().filter(|(id, _)| !before.records.contains_key(*id));
        let new: Vec<&Arc<SignedRecord>> = new.map(|(_, record)| record).collect();
        if before.records.keys().any(|id| !after.records.contains_key(id)) {
            return; // The register is full, which is tested elsewhere.
        }
        let authors: BTreeSet<MemberId> =
            new.iter().flat_map(|record| [record.record.by(), record.record.signer()]).collect();
        for lost in before.members.difference(&after.members) {
            for ticket in before.living(lost) {
                assert!(
                    !after.reach(&ticket).is_disjoint(&authors),
                    "P3: {lost:?} dropped out at {name} by records of {authors:?}, none of whom \
                     is above it: {new:?}"
                );
            }
        }
        for gained in after.members.difference(&before.members) {
            for ticket in after.living(gained) {
                assert!(
                    !after.reach(&ticket).is_disjoint(&authors),
                    "P3: {gained:?} became a member at {name} by records of {authors:?}: {new:?}"
                );
            }
        }
        for closing in before.closings.difference(&after.closings) {
            let closer = before.locks[closing].by;
            // A member came back, and so did the opening that it had signed.
            let came = after.members.difference(&before.members).next().is_some();
            assert!(
                !after.members.contains(&closer)
                    || came
                    || authors.iter().any(|author| after.may_open(author, closing)),
                "P9: what {closer:?} closed was opened at {name} by {authors:?}: {new:?}"
            );
        }
    }

    /// Honest members let in only those who brought what is required.
    fn check_tickets(&mut self, after: &Oracle) {
        for record in after.records.values() {
            let signer = record.record.signer();
            let Record::Ticket(ticket) = &record.record else { continue };
            if self.truth.hostile.contains(&signer) {
                continue;
            }
            if matches!(ticket.how, How::Password | How::Invitation) {
                assert!(
                    self.truth.admitted.contains(&(signer, ticket.member, ticket.how)),
                    "P1: {signer:?} let {:?} in by {:?}, which it did not bring",
                    ticket.member,
                    ticket.how
                );
            }
            let (Some(invited), Some(claim)) = (ticket.invited, &record.claim) else { continue };
            let key = (invited.invitation, signer);
            let guests = self.truth.guests.entry(key).or_default();
            guests.insert(ticket.member);
            let most = claim.invitation.body.uses.unwrap_or(u32::MAX) as usize;
            assert!(
                guests.len() <= most,
                "P1: {signer:?} let {} guests in by an invitation for {most}",
                guests.len()
            );
        }
    }

    fn check_links_allowed(&mut self, node: usize, after: &Oracle) {
        if after.closings.is_empty() {
            return;
        }
        let links = self.nodes[node].router.as_mut().unwrap().inspect().links;
        for (member, _) in links {
            assert!(
                after.members.contains(&member),
                "P1, P6: {} is linked with {member:?}, who is no member of a closed room",
                self.nodes[node].name
            );
        }
    }

    // What nodes do.

    /// A link is committed.
    pub(crate) fn check_linked(&mut self, node: usize, conn: ConnId, member: &MemberId) {
        if self.truth.lax {
            return;
        }
        let oracle = self.oracle(node);
        let name = &self.nodes[node].name;
        assert!(
            oracle.closings.is_empty() || oracle.members.contains(member),
            "P1: {name} links in a closed room with {member:?}, who is no member"
        );
        let over_all = |by: &MemberId| *by == oracle.founder || oracle.stewards.contains(by);
        let mut removals = oracle.removals.values();
        let removed = removals.any(|of| of.member == Some(*member) && over_all(&of.by));
        assert!(
            !removed || oracle.members.contains(member),
            "P2: {name} links with {member:?}, whom somebody above all removed"
        );
        if let Some((pipe, end)) = self.end_of(node, conn) {
            let this = &self.pipes[pipe].ends[end];
            assert!(this.identified, "P10: {name} links with somebody that it does not know");
            assert!(
                !this.stale,
                "P1: {name} links with {member:?}, who came by a password that is not in force"
            );
        }
    }

    /// A message is sent.
    pub(crate) fn check_said(&mut self, node: usize, conn: ConnId, message: &Message) {
        if self.truth.lax {
            return;
        }
        let Some((pipe, end)) = self.end_of(node, conn) else { return };
        let name = &self.nodes[node].name;
        assert!(
            self.pipes[pipe].ends[end].identified,
            "P10: {name} says {} before it knows to whom",
            crate::trace::brief(message)
        );
        let room = self.nodes[node].router.as_ref().map(|router| router.register().0);
        if room.is_some_and(|room| room != self.pipes[pipe].ends[end].room) {
            return; // It has just left the room, and these are its last messages there.
        }
        let in_force = match message {
            Message::Password { lock, data } => Some((*lock, Digest32(data.hash()))),
            Message::Invitation { .. } => None,
            _ => return,
        };
        if self.truth.hostile.contains(&self.id(node)) {
            return;
        }
        let oracle = self.oracle(node);
        let name = &self.nodes[node].name;
        let to = self.id(self.pipes[pipe].ends[1 - end].node);
        assert!(
            oracle.members.contains(&to),
            "P7: {name} tells a secret to {to:?}, who is no member"
        );
        if let Some(told) = in_force {
            assert_eq!(Some(told), oracle.password, "P7: {name} tells a password not in force");
        }
    }

    /// A connection is refused.
    pub(crate) fn check_refusal(&mut self, node: usize, conn: ConnId, refusal: &Refusal) {
        let Some((pipe, end)) = self.end_of(node, conn) else { return };
        let this = &self.pipes[pipe].ends[end];
        assert!(
            refusal.record.is_none() || this.shown || this.identified,
            "P10: {} shows a record to somebody that it does not know",
            self.nodes[node].name
        );
    }

    /// A handshake continues by some plan.
    pub(crate) fn check_plan(&mut self, node: usize, pipe: usize, plan: &Plan) {
        if self.truth.lax {
            return;
        }
        let closed = !self.oracle(node).closings.is_empty();
        let name = &self.nodes[node].name;
        let hellos = self.pipes[pipe].ends.iter().all(|end| end.hello.is_some());
        assert!(hellos, "{name} goes on before both said Hello");
        if let Plan::Admit { entrance: Entrance::Open, .. } = plan {
            assert!(!closed, "P1, P10: {name} lets anybody into a closed room");
        }
    }

    /// A handshake let somebody in.
    pub(crate) fn note_admitted(&mut self, pipe: usize, end: usize, member: MemberId, how: How) {
        let node = self.pipes[pipe].ends[end].node;
        self.truth.admitted.insert((self.id(node), member, how));
        if self.truth.lax {
            return;
        }
        if let Some(Plan::Admit { entrance: Entrance::Password(data), .. }) =
            &self.pipes[pipe].ends[end].plan
        {
            let brought = Digest32(data.hash());
            let in_force = self.oracle(node).password.map(|(_, hash)| hash);
            self.pipes[pipe].ends[end].stale = in_force != Some(brought);
        }
    }

    fn note_given(&mut self, node: usize, event: &Event) {
        let mut records: Vec<Arc<SignedRecord>> = Vec::new();
        match event {
            Event::Said { message: Message::Records(list), .. } => records.extend(list.clone()),
            Event::Said { message: Message::Presence(record), .. } => {
                self.nodes[node].heard_of.insert(record.body.member);
            }
            Event::Said { message: Message::Refuse(refusal), .. }
            | Event::ConnClosed { how: Closed::Refused(refusal), .. } => {
                records.extend(refusal.record.clone());
                records.extend(refusal.steward.clone());
            }
            Event::Shown { chain: Some(chain), .. } => records.extend(chain.clone()),
            Event::Welcomed { home, .. }
            | Event::Identified { outcome: Outcome::Entered(home), .. } => {
                records.extend(home.chain.clone());
            }
            _ => return,
        }
        self.nodes[node].given.extend(records.into_iter().map(|record| (record.id, record)));
    }

    /// What klatch says in its own voice was verified.
    pub(crate) fn check_notice(&self, node: usize, notice: &Notice) {
        let n = &self.nodes[node];
        let had = |by: &MemberId, is: &dyn Fn(&Record) -> bool| {
            n.given.values().any(|record| record.record.by() == *by && is(&record.record))
        };
        let proven = match notice {
            Notice::MemberRemoved { member, by, own: false, .. } => {
                let removed = Some(member.id);
                had(&by.id, &|record| matches!(record, Record::Removal(of) if of.member == removed))
            }
            Notice::RoomLocked { by, own: false, .. } => {
                had(&by.id, &|record| matches!(record, Record::Lock(lock) if lock.closed))
            }
            Notice::RoomUnlocked { by, own: false } => {
                had(&by.id, &|record| matches!(record, Record::Lock(lock) if !lock.closed))
            }
            _ => true,
        };
        assert!(proven, "P8: {} is told {notice:?} without a record of it", n.name);
    }
}
