//! What this node knows of who is a member of a room: the register, secrets that go with it, and
//! tickets for an open door, which nobody is shown before their holders do something.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::changes::KNOWN_MAX;
use super::event::Home;
use super::ids::{Digest32, InvitationId, MemberId, RecordId, RoomId, RoomNonce};
use super::membership::record::{How, Kept, Lock, Record, Ticket};
use super::membership::register::{Inserted, Register};
use super::membership::{DEPTH_MAX, Membership, Standing, kept_id};
use super::message::Why;
use super::signed::{SignedInvitation, SignedRecord};
use crate::crypto::invite::FindKey;
use crate::crypto::opaque::PasswordData;

/// Invitations of one maker that live at a time.
pub(super) const INVITATIONS_PER_MAKER: usize = 4;
/// Invitations in all: a guest is compared with each.
const INVITATIONS_MAX: usize = 128;
/// So long after its time an invitation is remembered, so that its guest hears what is wrong.
const KEPT_AFTER_MS: i64 = 24 * 3_600_000;
/// Password data that are kept at a time.
const PASSWORDS_MAX: usize = 8;
/// Tickets for an open door that are remembered until they are shown.
const ISSUED_MAX: usize = 1_024;

/// An invitation that members answer.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) invitation: Arc<SignedInvitation>,
    pub(super) find: FindKey,
}

/// What is known of somebody who proved who it is.
#[derive(Debug)]
pub(super) enum Judged {
    /// It may link.
    Known,
    /// It has to show why.
    Unknown,
    /// These records make it a member.
    KnownBy(Vec<Arc<SignedRecord>>),
    /// It may not, because of this record.
    Outside(Option<Arc<SignedRecord>>),
}

/// Membership of one room, as far as this node knows.
#[derive(Debug)]
pub(super) struct Registry {
    me: MemberId,
    founder: MemberId,
    nonce: RoomNonce,
    register: Register<SignedRecord>,
    /// This node's ticket for an open door and what it hangs below, not published yet.
    held: Vec<Arc<SignedRecord>>,
    /// Such tickets that this node issued.
    issued: BTreeMap<MemberId, Arc<SignedRecord>>,
    /// The ticket by which this node came in. It goes on signing below that one while it lives:
    /// whoever gives it another one gains nothing above it.
    came_by: Option<RecordId>,
    /// Passwords by the locks that set them: the one in force, and those that no later lock is
    /// over, because the next record may put them in force (again).
    passwords: BTreeMap<RecordId, PasswordData>,
    invitations: BTreeMap<InvitationId, Live>,
}

impl Registry {
    pub(super) fn new(me: MemberId, founder: MemberId, nonce: RoomNonce) -> Self {
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
        }
    }

    /// That of a room that lets this node in.
    pub(super) fn of(me: MemberId, home: &Home) -> Self {
        let mut registry = Self::new(me, home.founder, home.nonce);
        for record in &home.chain {
            registry.insert(record.clone());
        }
        registry
    }

    pub(super) fn room(&self) -> RoomId {
        RoomId::of(&self.founder, &self.nonce)
    }

    pub(super) fn founder(&self) -> MemberId {
        self.founder
    }

    pub(super) fn nonce(&self) -> RoomNonce {
        self.nonce
    }

    pub(super) fn membership(&self) -> &Membership {
        self.register.membership()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.membership().is_closed()
    }

    pub(super) fn is_member(&self, member: &MemberId) -> bool {
        self.membership().is_member(member)
    }

    // The set.

    pub(super) fn holds(&self, id: &RecordId) -> bool {
        self.register.get(id).is_some()
    }

    pub(super) fn record(&self, id: &RecordId) -> Option<&Arc<SignedRecord>> {
        self.register.get(id)
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &Arc<SignedRecord>> {
        self.register.ids().filter_map(|id| self.register.get(&id))
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = RecordId> {
        self.register.ids()
    }

    pub(super) fn digest(&self) -> Digest32 {
        self.register.digest()
    }

    /// Records that somebody with `theirs` lacks, parents first.
    pub(super) fn missing_from(&self, theirs: &BTreeSet<RecordId>) -> Vec<Arc<SignedRecord>> {
        let missing = self.register.missing_from(theirs);
        missing.iter().filter_map(|id| self.record(id).cloned()).collect()
    }

    /// Takes a record in; false if it was there already or has no place.
    pub(super) fn insert(&mut self, record: Arc<SignedRecord>) -> bool {
        let (id, holder) = (record.id, ticket_holder(&record));
        let mine = lets_in(&record.record, &self.me);
        let new = matches!(self.register.insert(id, record), Inserted::New { .. });
        if let Some(holder) = holder.filter(|_| new)
            && self.issued.get(&holder).is_some_and(|issued| issued.id == id)
        {
            self.issued.remove(&holder);
        }
        if new && mine {
            self.note_own_ticket();
        }
        new
    }

    /// Whom `act`, which keeps nobody yet, is to keep ([`super::membership::plan_keep`]).
    pub(super) fn plan_keep(&self, act: &Record, stay: &dyn Fn(&MemberId) -> bool) -> Vec<Kept> {
        self.register.plan_keep(act, stay)
    }

    /// Remembers by which ticket this node came in, or came back.
    fn note_own_ticket(&mut self) {
        if self.came_by.is_some_and(|first| self.membership().lives(&first)) {
            return;
        }
        self.came_by = match self.membership().standing(&self.me) {
            Standing::Ticket(id) => Some(id),
            Standing::Founder | Standing::Outside => None,
        };
    }

    /// Password data and invitations that are over are forgotten.
    /// Gives the invitations that ended.
    pub(super) fn forget_old_secrets(&mut self) -> Vec<Live> {
        let mut passwords = std::mem::take(&mut self.passwords);
        passwords.retain(|lock, data| self.is_password_of(lock, data));
        self.passwords = passwords;
        let membership = self.register.membership();
        let mut ended = Vec::new();
        self.invitations.retain(|id, live| {
            let body = &live.invitation.body;
            let lives = match body.ticket {
                Some(ticket) => membership.lives(&ticket),
                None => body.maker == membership.founder(),
            };
            let goes_on = lives && !membership.is_ended(id, &body.maker, body.ticket.as_ref());
            if !goes_on {
                ended.push(live.clone());
            }
            goes_on
        });
        ended
    }

    /// Whether this node may sign one more record of its own without taking more than its share.
    pub(super) fn has_room_for_ticket(&self, me: &MemberId) -> bool {
        let standing = self.my_standing().flatten();
        let depth = standing.map_or(0, |ticket| self.membership().depth(&ticket));
        self.register.room_for(me).tickets > 0 && depth < DEPTH_MAX
    }

    pub(super) fn has_room_for_act(&self, me: &MemberId) -> bool {
        self.register.room_for(me).acts > 0
    }

    // Tickets.

    /// As what this node signs: `None` if it may not, `Some(None)` as the founder.
    pub(super) fn my_standing(&self) -> Option<Option<RecordId>> {
        match self.membership().standing(&self.me) {
            Standing::Founder => Some(None),
            Standing::Ticket(id) => {
                let first = self.came_by.filter(|first| self.membership().lives(first));
                Some(Some(first.unwrap_or(id)))
            }
            Standing::Outside if self.is_closed() => None,
            Standing::Outside if !self.holds_living_ticket() => None,
            Standing::Outside => self.held.last().map(|ticket| Some(ticket.id)),
        }
    }

    /// What makes `member` a steward.
    pub(super) fn steward_ticket_of(&self, member: &MemberId) -> Option<Arc<SignedRecord>> {
        let mut seats = self.membership().tickets_of(member);
        let seat = seats.find(|seat| seat.how == How::Steward)?;
        self.record(&seat.record).cloned()
    }

    /// What makes `member` a member, parents first.
    pub(super) fn chain_of(&self, member: &MemberId) -> Vec<Arc<SignedRecord>> {
        let ids = self.register.chain_of(member);
        ids.iter().filter_map(|id| self.record(id).cloned()).collect()
    }

    pub(super) fn my_chain(&self) -> Vec<Arc<SignedRecord>> {
        let chain = self.chain_of(&self.me);
        if chain.is_empty() { self.held.clone() } else { chain }
    }

    /// Whether it is this node's ticket for an open door, which it need not show.
    pub(super) fn is_visitors_ticket(record: &SignedRecord, me: &MemberId) -> bool {
        matches!(&record.record, Record::Ticket(Ticket { member, how: How::Open, .. })
            if member == me)
    }

    /// Closings that a ticket for an open door below `parent` has to name, or they would end it. Of
    /// very many only those that can: others count if their authors become stewards.
    pub(super) fn closings_to_know(&self, parent: Option<RecordId>) -> BTreeSet<RecordId> {
        let membership = self.membership();
        let mut closings = membership.all_closings();
        if closings.len() > KNOWN_MAX {
            let seat = parent.and_then(|parent| membership.ticket(&parent));
            let mut above = parent.map_or(vec![self.founder], |parent| membership.above(&parent));
            above.extend(seat.map(|seat| seat.member));
            above.extend(membership.stewards());
            closings.retain(|id| self.record(id).is_some_and(|of| above.contains(&of.record.by())));
        }
        closings
    }

    fn holds_living_ticket(&self) -> bool {
        let held = self.held.iter().map(|record| (record.id, &record.record));
        !self.held.is_empty() && self.register.membership_with(held).is_member(&self.me)
    }

    /// Keeps this node's ticket for an open door, unless it has one that lives.
    pub(super) fn hold(&mut self, ticket: Arc<SignedRecord>) {
        if self.holds_living_ticket() {
            return;
        }
        if let Record::Ticket(Ticket { parent, .. }) = &ticket.record {
            let holder = parent.and_then(|parent| self.membership().ticket(&parent));
            let mut chain = holder.map_or(Vec::new(), |seat| self.chain_of(&seat.member));
            chain.push(ticket);
            self.held = chain;
        }
    }

    /// This node's ticket for an open door, to be published now that it does something.
    pub(super) fn take_held(&mut self) -> Vec<Arc<SignedRecord>> {
        if self.is_member(&self.me) { Vec::new() } else { std::mem::take(&mut self.held) }
    }

    pub(super) fn remember_issued(&mut self, member: MemberId, ticket: Arc<SignedRecord>) {
        if self.issued.len() >= ISSUED_MAX && !self.issued.contains_key(&member) {
            return; // Those who are here keep theirs.
        }
        self.issued.insert(member, ticket);
    }

    /// Tickets for an open door of those who are `here`, and of this node, that make them members
    /// although a closing or a removal by somebody beside them puts out whoever has none.
    pub(super) fn tickets_to_show(&self, here: &BTreeSet<MemberId>) -> Vec<Arc<SignedRecord>> {
        let membership = self.membership();
        let stays = |member: &MemberId, tickets: &[Arc<SignedRecord>]| {
            let shown = tickets.iter().map(|record| (record.id, &record.record));
            !membership.is_member(member)
                && (self.is_closed() || !membership.removals_of(member).is_empty())
                && self.register.membership_with(shown).is_member(member)
        };
        let issued = self.issued.iter().filter(|(member, _)| here.contains(*member));
        let issued = issued.filter(|(member, ticket)| stays(member, &[(*ticket).clone()]));
        let mut tickets: Vec<Arc<SignedRecord>> =
            issued.map(|(_, ticket)| ticket.clone()).collect();
        if !self.held.is_empty() && stays(&self.me, &self.held) {
            tickets.extend(self.held.iter().filter(|of| !self.holds(&of.id)).cloned());
        }
        tickets
    }

    /// The ticket that this node issued to a visitor who has not shown it.
    pub(super) fn issued_to(&self, member: &MemberId) -> Option<&Arc<SignedRecord>> {
        self.issued.get(member)
    }

    // Who may link.

    pub(super) fn judge(&self, member: &MemberId, chain: Option<&[Arc<SignedRecord>]>) -> Judged {
        let Err(record) = self.may_link(member) else { return Judged::Known };
        let Some(chain) = chain else { return Judged::Unknown };
        let shown = chain.iter().map(|record| (record.id, &record.record));
        let together = self.register.membership_with(shown);
        if together.is_member(member) {
            return Judged::KnownBy(chain.to_vec());
        }
        // It does not know what ended its ticket, or it would not have shown it.
        let tickets = chain.iter().flat_map(|record| [record.id, kept_id(&record.id, member)]);
        let own = tickets.filter(|id| together.ticket(id).is_some_and(|of| of.member == *member));
        let ends: Vec<RecordId> = own.filter_map(|id| together.end_of(&id)).collect();
        let end = ends.iter().find_map(|id| self.record(id).cloned());
        Judged::Outside(end.or(record))
    }

    /// Whether somebody may be linked with this node; else the record that puts it out.
    pub(super) fn may_link(&self, member: &MemberId) -> Result<(), Option<Arc<SignedRecord>>> {
        let membership = self.membership();
        if membership.is_member(member) {
            return Ok(());
        }
        if let Some(removal) = self.removal_in_force(member) {
            return Err(Some(removal));
        }
        match membership.closings().next() {
            None => Ok(()),
            // A closing names people: only who was among them is shown it.
            Some(closing) => {
                let known = self.records().any(|record| lets_in(&record.record, member));
                Err(self.record(&closing.id).filter(|_| known).cloned())
            }
        }
    }

    /// The removal that puts out somebody who is no member. Others' removals of a visitor count
    /// once its ticket is known: only then is it known who stands above it.
    fn removal_in_force(&self, member: &MemberId) -> Option<Arc<SignedRecord>> {
        let membership = self.membership();
        let removals = membership.removals_of(member);
        let (first, _) = removals.first()?;
        // Whom this node let in itself, and whom the removal does not reach.
        let issued = self.issued.get(member).map(|of| (of.id, &of.record));
        if issued.is_some_and(|of| self.register.membership_with([of]).is_member(member)) {
            return None;
        }
        let stewards = membership.stewards();
        let over_all = |by: &MemberId| *by == self.founder || stewards.contains(by);
        let own = self.held.iter().filter(|_| *member == self.me);
        let had_ticket = || self.records().chain(own).any(|of| lets_in(&of.record, member));
        let found = removals.iter().find(|(_, by)| over_all(by)).map(|(id, _)| id);
        self.record(found.or_else(|| had_ticket().then_some(first))?).cloned()
    }

    /// A removal because of which a ticket for `member` by `issuer` would not live.
    pub(super) fn removal_against(
        &self,
        member: &MemberId,
        (issuer, ticket): (MemberId, Option<RecordId>),
    ) -> Option<Arc<SignedRecord>> {
        let membership = self.membership();
        if membership.is_member(member) {
            return None;
        }
        let above = |by: &MemberId| {
            *by == issuer
                || *by == self.founder
                || membership.stewards().contains(by)
                || ticket.is_some_and(|ticket| membership.is_above(by, &ticket))
        };
        let removals = membership.removals_of(member);
        let (id, _) = removals.iter().find(|(_, by)| above(by))?;
        self.record(id).cloned()
    }

    /// How often `by` removed `member`.
    pub(super) fn removals_by(&self, by: &MemberId, member: &MemberId) -> u32 {
        let removals = self.records().filter(|record| match &record.record {
            Record::Removal(removal) => removal.by == *by && removal.member == Some(*member),
            _ => false,
        });
        u32::try_from(removals.count()).unwrap_or(u32::MAX)
    }

    // Secrets.

    /// What members keep of the password in force.
    pub(super) fn password_data(&self) -> Option<&PasswordData> {
        let (in_force, _) = self.membership().password()?;
        self.passwords.get(&in_force)
    }

    pub(super) fn password_lock(&self) -> Option<RecordId> {
        self.password_data()?;
        self.membership().password().map(|(lock, _)| lock)
    }

    /// Takes in password data, if they are or may yet be those in force; true if they are new and
    /// in force.
    pub(super) fn learn_password(&mut self, lock: RecordId, data: PasswordData) -> bool {
        if self.passwords.contains_key(&lock) || !self.is_password_of(&lock, &data) {
            return false;
        }
        self.passwords.insert(lock, data);
        let in_force = self.membership().password().map(|(lock, _)| lock);
        if self.passwords.len() > PASSWORDS_MAX {
            let goes = self.passwords.keys().find(|lock| Some(**lock) != in_force).copied();
            goes.and_then(|goes| self.passwords.remove(&goes));
        }
        in_force == Some(lock)
    }

    /// Whether `lock` names these data and is in force, or no lock of a member is over it.
    fn is_password_of(&self, lock: &RecordId, data: &PasswordData) -> bool {
        let membership = self.membership();
        let hash = Some(Digest32(data.hash()));
        let is_over = |of: &Arc<SignedRecord>| {
            membership.knows(&of.id, lock) && membership.is_member(&of.record.by())
        };
        match self.record(lock).map(|record| &record.record) {
            Some(Record::Lock(Lock { closed: true, password, .. })) if *password == hash => {
                membership.password().is_some_and(|(in_force, _)| in_force == *lock)
                    || !self.records().any(is_over)
            }
            _ => false,
        }
    }

    pub(super) fn invitations(&self) -> impl Iterator<Item = &Live> {
        self.invitations.values()
    }

    pub(super) fn invitation(&self, id: &InvitationId) -> Option<&Live> {
        self.invitations.get(id)
    }

    /// Takes in an invitation that lives; true if it is new.
    pub(super) fn learn_invitation(&mut self, live: Live, now_ms: i64) -> bool {
        let (id, maker) = (live.invitation.id, live.invitation.body.maker);
        let of_maker = self.invitations.values().filter(|of| of.invitation.body.maker == maker);
        let ids: Vec<InvitationId> = of_maker.map(|of| of.invitation.id).collect();
        self.invitations.retain(|_, of| of.invitation.body.until > now_ms - KEPT_AFTER_MS);
        let fits = self.why_over(&live.invitation, None, now_ms).is_none() && !ids.contains(&id);
        if !fits || self.invitations.len() >= INVITATIONS_MAX && maker != self.me {
            return false;
        }
        if ids.len() >= INVITATIONS_PER_MAKER {
            // One that lets nobody in any more gives way, else the largest id.
            let over = |of: &&InvitationId| {
                let live = self.invitations.get(of);
                live.is_some_and(|live| self.why_over(&live.invitation, None, now_ms).is_some())
            };
            let goes = ids.iter().find(over).or(ids.last()).copied();
            match goes {
                Some(goes) if goes > id || ids.iter().any(|of| over(&of)) => {
                    self.invitations.remove(&goes);
                }
                _ => return false,
            }
        }
        self.invitations.insert(id, live);
        true
    }

    pub(super) fn forget_invitation(&mut self, id: &InvitationId) {
        self.invitations.remove(id);
    }

    /// Guests that came by an invitation, as far as is known.
    pub(super) fn uses_of(&self, id: &InvitationId) -> usize {
        self.uses_by_others(id, None)
    }

    fn uses_by_others(&self, id: &InvitationId, guest: Option<&MemberId>) -> usize {
        let guests = self.records().filter_map(|record| match &record.record {
            Record::Ticket(Ticket { member, invited: Some(invited), .. })
                if invited.invitation == *id && Some(member) != guest =>
            {
                Some(*member)
            }
            _ => None,
        });
        guests.collect::<BTreeSet<_>>().len()
    }

    /// Why an invitation lets nobody in any more, or not this guest: what broke off behind its
    /// ticket is no use by somebody else.
    pub(super) fn why_over(
        &self,
        invitation: &SignedInvitation,
        guest: Option<&MemberId>,
        now_ms: i64,
    ) -> Option<Why> {
        let (membership, body) = (self.membership(), &invitation.body);
        let lives = match body.ticket {
            Some(ticket) => {
                let holder = membership.ticket(&ticket).map(|seat| seat.member);
                membership.lives(&ticket) && holder == Some(body.maker)
            }
            None => body.maker == self.founder,
        };
        let ended = membership.is_ended(&invitation.id, &body.maker, body.ticket.as_ref());
        if !lives || ended {
            Some(Why::NoInvitation)
        } else if body.until <= now_ms {
            Some(Why::InvitationExpired)
        } else if body
            .uses
            .is_some_and(|uses| self.uses_by_others(&invitation.id, guest) >= uses as usize)
        {
            Some(Why::InvitationUsed)
        } else {
            None
        }
    }
}

/// Whether a record has a ticket of `member`.
pub(super) fn lets_in(record: &Record, member: &MemberId) -> bool {
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
