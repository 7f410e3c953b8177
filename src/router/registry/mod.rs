//! The machine of who may be in the room: the register of records, the secrets that go with it,
//! what a person does with them (closing, removing, inviting), and what each link is still to be
//! told of them.
//!
//! It decides who may link and who admits whom. It never ends a connection: it orders that links
//! with outsiders be closed ([`Order::CloseOutsiders`](super::order::Order)). It looks at messages
//! ([`Scene`]) and never changes them.
//!
//! One [`Registry`] is about one room; entering another room brings another one.

mod admitting;
mod closing;
mod intake;
mod inviting;
mod judging;
mod links;
mod locking;
mod outside;
mod removals;
mod removing;
mod secrets;
mod signing;
mod stewards;
mod telling;
mod tickets;
mod ways;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::context::Context;
use super::event::Home;
use super::ids::{Digest32, FaceId, InvitationId, MemberId, RecordId, RoomId, RoomNonce};
use super::log::{Log, WayIn};
use super::members::Members;
use super::membership::record::{Kept, Record};
use super::membership::register::Register;
use super::membership::{Loss, Membership, SignsAs};
use super::signed::SignedRecord;
use crate::crypto::opaque::PasswordData;

pub(crate) use judging::Judged;

/// What an act needs beside the register: the time, who is here, and who spoke here.
pub(crate) struct Scene<'a> {
    pub(crate) cx: &'a mut Context,
    pub(crate) members: &'a Members,
    pub(crate) log: &'a Log,
}

/// Membership of one room, as far as this node knows.
#[derive(Debug)]
pub(crate) struct Registry {
    me: MemberId,
    founder: MemberId,
    nonce: RoomNonce,
    register: Register<SignedRecord>,
    /// This node's open ticket, not published yet, with the records that it depends on.
    held: Vec<Arc<SignedRecord>>,
    /// Such tickets that this node issued.
    issued: BTreeMap<MemberId, Arc<SignedRecord>>,
    /// The ticket by which this node came in. It keeps signing below that one while it lives:
    /// giving it another one puts nobody above it.
    came_by: Option<RecordId>,
    /// Passwords by the locks that set them: the one in force, and those that no later lock is
    /// over, because the next record may put them in force (again).
    passwords: BTreeMap<RecordId, PasswordData>,
    invitations: BTreeMap<InvitationId, secrets::Live>,
    links: links::RecordsLinks,
    /// How members came in, worked out until the next change.
    ways: RefCell<BTreeMap<MemberId, Vec<WayIn>>>,
    intake: intake::Intake,
    /// How often the set changed.
    changes: u64,
    /// Those that dropped out, until links with outsiders are ended.
    losses: Vec<Loss>,
    /// The member that put this node out of the room.
    out_by: Option<MemberId>,
    /// The founder was told that it is the only one who can remove anybody.
    steward_proposed: bool,
    /// A change of the lock that is not made yet.
    locking: Option<locking::LockChange>,
    /// Removals after which something is still to be asked.
    removing: BTreeMap<(FaceId, u64), VecDeque<removing::RemovalQuestion>>,
}

impl Registry {
    /// The registry of a room with nobody in it but its founder.
    pub(crate) fn new(me: MemberId, founder: MemberId, nonce: RoomNonce) -> Self {
        Self {
            me,
            founder,
            nonce,
            register: Register::new(founder),
            held: Vec::new(),
            issued: BTreeMap::new(),
            came_by: None,
            passwords: BTreeMap::new(),
            invitations: BTreeMap::new(),
            links: links::RecordsLinks::default(),
            ways: RefCell::default(),
            intake: intake::Intake::default(),
            changes: 0,
            losses: Vec::new(),
            out_by: None,
            steward_proposed: false,
            locking: None,
            removing: BTreeMap::new(),
        }
    }

    /// Into another room. Commands under way in this one are still answered, and peers in an
    /// agreement are still told what comes.
    pub(crate) fn enter(&mut self, room: Self) {
        let old = std::mem::replace(self, room);
        (self.locking, self.removing, self.links) = (old.locking, old.removing, old.links);
        // What waited was of the room left behind.
        self.intake.rested(old.intake);
    }

    /// That of a room that lets this node in.
    pub(crate) fn of(me: MemberId, home: &Home) -> Self {
        let mut registry = Self::new(me, home.founder, home.nonce);
        for record in &home.chain {
            registry.insert_all(std::slice::from_ref(record));
        }
        registry
    }

    /// The room that it is about.
    pub(crate) fn room(&self) -> RoomId {
        RoomId::of(&self.founder, &self.nonce)
    }

    /// The founder of the room.
    pub(crate) fn founder(&self) -> MemberId {
        self.founder
    }

    /// Who is a member by all records.
    pub(crate) fn membership(&self) -> &Membership {
        self.register.membership()
    }

    /// Whether the room is closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.membership().is_closed()
    }

    /// Whether somebody is a member.
    pub(crate) fn is_member(&self, member: &MemberId) -> bool {
        self.membership().is_member(member)
    }

    // The set.

    /// Whether a record is in the set.
    pub(crate) fn holds(&self, id: &RecordId) -> bool {
        self.register.get(id).is_some()
    }

    /// A record of the set.
    pub(crate) fn record(&self, id: &RecordId) -> Option<&Arc<SignedRecord>> {
        self.register.get(id)
    }

    /// All records.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Arc<SignedRecord>> {
        self.register.ids().filter_map(|id| self.register.get(&id))
    }

    /// Their ids.
    pub(crate) fn ids(&self) -> impl Iterator<Item = RecordId> {
        self.register.ids()
    }

    /// Names the set: two nodes whose digests are equal have the same records.
    pub(crate) fn digest(&self) -> Digest32 {
        self.register.digest()
    }

    /// Records that somebody with `theirs` lacks, parents first.
    pub(crate) fn missing_from(&self, theirs: &BTreeSet<RecordId>) -> Vec<Arc<SignedRecord>> {
        let missing = self.register.missing_from(theirs);
        missing.iter().filter_map(|id| self.record(id).cloned()).collect()
    }

    /// Differs once records were taken in.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Takes records in; returns those that were not there and have a place.
    pub(crate) fn insert_all(&mut self, records: &[Arc<SignedRecord>]) -> Vec<Arc<SignedRecord>> {
        self.ways.get_mut().clear();
        let list = records.iter().map(|record| (record.id, record.clone()));
        let new = self.register.insert_all(list);
        let new: Vec<_> = new.iter().filter_map(|id| self.record(id).cloned()).collect();
        for record in &new {
            if let Some(holder) = ticket_holder(record)
                && self.issued.get(&holder).is_some_and(|issued| issued.id == record.id)
            {
                self.issued.remove(&holder);
            }
        }
        if new.iter().any(|record| lets_in(&record.record, &self.me)) {
            self.note_own_ticket();
        }
        new
    }

    /// Members that `act`, which keeps nobody yet, is to keep: [`super::membership::plan_keep`].
    fn plan_keep(&self, act: &Record, stay: &dyn Fn(&MemberId) -> bool) -> Vec<Kept> {
        self.register.plan_keep(act, stay)
    }

    /// Remembers by which ticket this node came in, or came back.
    fn note_own_ticket(&mut self) {
        if self.came_by.is_some_and(|first| self.membership().lives(&first)) {
            return;
        }
        self.came_by = match self.membership().standing(&self.me) {
            SignsAs::Ticket(id) => Some(id),
            SignsAs::Founder | SignsAs::Outside => None,
        };
    }
}

/// Whether a record has a ticket of `member`.
fn lets_in(record: &Record, member: &MemberId) -> bool {
    match record {
        Record::Ticket(ticket) => ticket.member == *member,
        _ => record.kept().iter().any(|kept| kept.member == *member),
    }
}

fn ticket_holder(record: &SignedRecord) -> Option<MemberId> {
    match &record.record {
        Record::Ticket(ticket) => Some(ticket.member),
        _ => None,
    }
}
