//! Members that do what they like: they sign whatever their keys can, send it to anybody, and
//! withhold or replay what others signed. Otherwise their programs are honest.

use std::collections::BTreeSet;
use std::sync::Arc;

use klatch::crypto::identity::Identity;
use klatch::crypto::invite::InviteSecret;
use klatch::router::event::Effect;
use klatch::router::ids::{Digest32, InvitationId, MemberId, RecordId, RoomId};
use klatch::router::membership::record::{
    Below, How, Invited, Kept, Lock, Record, Removal, Ticket,
};
use klatch::router::message::Message;
use klatch::router::rng::Rng;
use klatch::router::signed::{Claim, Invitation, SignedInvitation, SignedRecord};

use crate::secrets::password_data;
use crate::world::World;

/// A hostile node, and all that it can get.
pub struct Hostile<'a> {
    rng: &'a mut Rng,
    me: Identity,
    id: MemberId,
    room: RoomId,
    people: Vec<MemberId>,
    /// Every record of the room, no matter who was shown it.
    records: Vec<Arc<SignedRecord>>,
    /// All tickets, its own, and those below its own.
    seats: Vec<RecordId>,
    own: Vec<RecordId>,
    below: Vec<RecordId>,
    acts: Vec<RecordId>,
}

impl<'a> Hostile<'a> {
    /// What a node could do, if it is in a room that it did not found.
    pub fn at(world: &mut World, rng: &'a mut Rng, node: usize) -> Option<Self> {
        let id = world.id(node);
        let oracle = world.oracle(node);
        let links = world.inspect(node).links;
        if oracle.founder == id || links.is_empty() {
            return None;
        }
        world.truth.hostile.insert(id);
        let room = world.inspect(node).room;
        let records = world.truth.of_room(&room);
        let seats: Vec<RecordId> = oracle.seats.keys().copied().collect();
        let own = seats.iter().copied().filter(|seat| oracle.seats[seat].member == id).collect();
        let below = seats.iter().copied().filter(|seat| oracle.above(seat).contains(&id)).collect();
        let acts = records
            .iter()
            .filter(|record| !matches!(record.record, Record::Ticket(_)))
            .map(|record| record.id)
            .collect();
        let mut people: Vec<MemberId> = (0..world.nodes.len()).map(|node| world.id(node)).collect();
        people.push(MemberId(Identity::from_seed(world.draw_bytes()).public()));
        let me = Identity::from_seed(world.nodes[node].key);
        Some(Self { rng, me, id, room, people, records, seats, own, below, acts })
    }

    fn one<T: Clone>(rng: &mut Rng, of: &[T]) -> Option<T> {
        (!of.is_empty()).then(|| of[rng.below(of.len() as u64) as usize].clone())
    }

    fn some<T: Copy + Ord>(rng: &mut Rng, of: &[T]) -> BTreeSet<T> {
        let most = rng.below(4);
        of.iter().copied().filter(|_| rng.below(4) < most).take(48).collect()
    }

    fn anybody(&mut self) -> MemberId {
        Self::one(self.rng, &self.people).unwrap()
    }

    /// A ticket to sign something below: mostly its own or one below that.
    fn place(&mut self) -> Option<RecordId> {
        match self.rng.below(6) {
            0 => None,
            1 => Self::one(self.rng, &self.seats),
            2 => Self::one(self.rng, &self.below),
            _ => Self::one(self.rng, &self.own),
        }
    }

    fn kept(&mut self) -> Vec<Kept> {
        let mut kept: Vec<Kept> = Vec::new();
        for _ in 0..self.rng.below(4) {
            let member = self.anybody();
            if kept.iter().any(|kept| kept.member == member) {
                continue;
            }
            let below = match self.rng.below(4) {
                0 => Below::Founder,
                1 if !kept.is_empty() => Below::Kept(kept[kept.len() - 1].member),
                _ => self.place().map_or(Below::Founder, Below::Ticket),
            };
            let pardons = Self::some(self.rng, &self.acts);
            kept.push(Kept { member, below, pardons });
        }
        kept
    }

    /// Any record that its key can sign.
    pub fn record(&mut self) -> Arc<SignedRecord> {
        match self.rng.below(10) {
            0..3 => self.ticket(),
            3 => self.guest(),
            4..7 => self.removal(),
            _ => self.lock(),
        }
    }

    fn sign(&self, record: Record, claim: Option<Claim>) -> Arc<SignedRecord> {
        SignedRecord::sign(&self.room, &self.me, record, claim)
    }

    fn ticket(&mut self) -> Arc<SignedRecord> {
        let kinds = [How::Open, How::Password, How::Kept, How::Steward];
        let how = kinds[self.rng.below(4) as usize];
        let ticket = Ticket {
            by: self.id,
            parent: self.place(),
            member: self.anybody(),
            how,
            rank: if how == How::Steward { self.rng.below(3) as u32 } else { 0 },
            knows: Self::some(self.rng, &self.acts),
            pardons: Self::some(self.rng, &self.acts),
            invited: None,
        };
        self.sign(Record::Ticket(ticket), None)
    }

    /// A guest of its own invitation, or another member's guest answered a second time.
    fn guest(&mut self) -> Arc<SignedRecord> {
        let old: Vec<(MemberId, Claim)> = self
            .records
            .iter()
            .filter_map(|record| match &record.record {
                Record::Ticket(ticket) => Some((ticket.member, record.claim.clone()?)),
                _ => None,
            })
            .collect();
        let old = Self::one(self.rng, &old).filter(|_| self.rng.below(2) == 0);
        let (guest, claim) = old.unwrap_or_else(|| {
            let mut secret = [0; 16];
            secret[..8].copy_from_slice(&self.rng.next_u64().to_be_bytes());
            let secret = InviteSecret::from_bytes(secret);
            let body = Invitation {
                maker: self.id,
                ticket: self.place(),
                key: Digest32(secret.identity().public()),
                find: Digest32(secret.find_key().hash()),
                until: i64::MAX,
                uses: None,
            };
            let invitation = SignedInvitation::sign(&self.room, &self.me, body);
            let guest = self.anybody();
            let message = Claim::message(&self.room, &guest, &invitation.id);
            (guest, Claim { signature: secret.identity().sign(&message), invitation })
        });
        let body = &claim.invitation.body;
        let (invitation, standing) = (claim.invitation.id, self.place());
        let ticket = Ticket {
            by: body.maker,
            parent: body.ticket,
            member: guest,
            how: How::Invitation,
            rank: 0,
            knows: BTreeSet::new(),
            pardons: BTreeSet::new(),
            invited: Some(Invited { invitation, answerer: self.id, standing }),
        };
        self.sign(Record::Ticket(ticket), Some(claim))
    }

    fn removal(&mut self) -> Arc<SignedRecord> {
        let invitations: Vec<InvitationId> = self
            .records
            .iter()
            .filter_map(|record| Some(record.claim.as_ref()?.invitation.id))
            .collect();
        let removal = Removal {
            by: self.id,
            member: (self.rng.below(8) > 0).then(|| self.anybody()),
            invitations: Self::some(self.rng, &invitations),
            earlier: self.rng.below(2) as u32,
            kept: self.kept(),
        };
        self.sign(Record::Removal(removal), None)
    }

    fn lock(&mut self) -> Arc<SignedRecord> {
        let closed = self.rng.below(3) > 0;
        let named = if self.rng.below(4) == 0 { &self.seats } else { &self.own };
        let lock = Lock {
            by: self.id,
            standing: Self::some(self.rng, named),
            closed,
            password: (closed && self.rng.below(2) == 0)
                .then(|| Digest32([self.rng.below(256) as u8; 32])),
            over: Self::some(self.rng, &self.acts),
            kept: self.kept(),
        };
        self.sign(Record::Lock(lock), None)
    }

    /// A record in another's name, or one that was changed after signing.
    fn forgery(&mut self) -> Arc<SignedRecord> {
        let mut record = match Self::one(self.rng, &self.records) {
            Some(record) if self.rng.below(2) == 0 => (*record).clone(),
            _ => {
                let (by, member) = (self.anybody(), Some(self.anybody()));
                let (invitations, kept) = (BTreeSet::new(), Vec::new());
                let removal = Removal { by, member, invitations, earlier: 0, kept };
                (*self.sign(Record::Removal(removal), None)).clone()
            }
        };
        record.signature[self.rng.below(64) as usize] ^= 1;
        Arc::new(record)
    }

    fn message(&mut self) -> Message {
        match self.rng.below(40) {
            0 => Message::Records(vec![self.forgery()]),
            1 => {
                let lock = Self::one(self.rng, &self.acts).unwrap_or_default();
                let data = password_data([self.rng.below(256) as u8; 32]);
                Message::Password { lock, data }
            }
            2..8 => {
                let old = (0..3).filter_map(|_| Self::one(self.rng, &self.records));
                Message::Records(old.collect())
            }
            _ => Message::Records(vec![self.record()]),
        }
    }
}

impl World {
    /// A hostile node does one thing to some of its peers: the same to all, or something different
    /// to each.
    pub fn misbehave(&mut self, rng: &mut Rng, node: usize) {
        let links = self.inspect(node).links;
        let Some(mut hostile) = Hostile::at(self, rng, node) else { return };
        match hostile.rng.below(12) {
            0 => {
                type Withholds = Option<fn(&Message) -> bool>;
                let withholds: [Withholds; 3] = [
                    None,
                    Some(|message| matches!(message, Message::Records(_))),
                    Some(|message| matches!(message, Message::Records(_) | Message::Entry(_))),
                ];
                let drawn = hostile.rng.below(3) as usize;
                self.nodes[node].withholds = withholds[drawn];
            }
            1 => {
                let mut chain: Vec<Arc<SignedRecord>> =
                    (0..hostile.rng.below(6)).map(|_| hostile.record()).collect();
                chain.extend(hostile.records.iter().take(40).cloned());
                let poses = hostile.rng.below(2) == 0;
                self.nodes[node].poses = poses.then_some(chain);
            }
            _ => {
                let same = hostile.message();
                let each = hostile.rng.below(2) == 0;
                let mut said = Vec::new();
                for (_, conn) in links {
                    if hostile.rng.below(3) > 0 {
                        let message = if each { hostile.message() } else { same.clone() };
                        said.push((conn, message));
                    }
                }
                for (conn, message) in said {
                    self.say_anyway(node, conn, message);
                }
            }
        }
    }

    /// Sends a message that the node's router did not.
    pub fn say_anyway(&mut self, node: usize, conn: klatch::router::ids::ConnId, message: Message) {
        let withholds = self.nodes[node].withholds.take();
        self.perform(node, Effect::Send { conn, message });
        self.nodes[node].withholds = withholds;
    }
}
