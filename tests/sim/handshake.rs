//! The shell's handshake threads: what both ends say until each knows the other, record by record
//! as in `net/plan.rs`, so that round trips count.
//!
//! A node is what it says it is: a claim of its own counts as signed. Records and invitations are
//! real, and verified by each reader.

use std::collections::VecDeque;
use std::sync::Arc;

use klatch::crypto::invite::FindKey;
use klatch::crypto::password::Password;
use klatch::router::event::{Closed, Entrance, Entry, Event, Findable, Home, Outcome, Plan};
use klatch::router::ids::{ConnId, Digest32, MemberId, RoomId, RoomNonce};
use klatch::router::invite_link::InviteLink;
use klatch::router::membership::record::How;
use klatch::router::message::{Refusal, Why};
use klatch::router::signed::{Claim, SignedInvitation, SignedRecord, room_hint};

use crate::pipe::{End, Parcel};
use crate::world::{Happening, World};

/// Most records in a chain.
const CHAIN_MAX: usize = 64;

/// A record of the handshake, as far as it matters here.
#[derive(Debug, Clone)]
pub enum Step {
    Identity(MemberId),
    Known,
    Unknown,
    Chain(Vec<Arc<SignedRecord>>),
    Newcomer(MemberId),
    /// OPAQUE's three messages; the second names the password data that the answerer has.
    First,
    Second(Digest32),
    Third,
    /// Stands for a MAC under the find key: those who have the key recognise it.
    Find(FindKey),
    Found(FindKey),
    /// A guest, and the key of the invitation that signed for it.
    Guest(MemberId, Digest32),
    Grant(MemberId, RoomNonce),
    Invitation(Arc<SignedInvitation>),
    Claim([u8; 64]),
}

/// What a handshaking thread waits for.
#[derive(Debug, Clone, Default)]
pub enum Turn {
    /// The plan of its router.
    #[default]
    Plan,
    /// The peer shows its identity; whether our chain was shown.
    Identity(bool),
    /// The router looks the peer up; whether the peer's chain was shown.
    Judge(MemberId, bool),
    Chain(MemberId),
    /// The peer looks us up; whether our chain was shown.
    Lookup(MemberId, bool),
    First,
    Third,
    Newcomer,
    Find,
    Guest(Findable),
    /// The router decides whether a newcomer may be let in.
    Newcomers(MemberId, Option<Findable>),
    Same(MemberId, Option<Findable>),
    Claim(MemberId, Findable),
    Second,
    /// Argon2 runs.
    Stretch(Digest32),
    Found,
    Grant,
    Host(Home),
    Invitation(MemberId, Home),
    HostsChain(MemberId, Home, Option<Arc<SignedInvitation>>),
    /// The router decides whether it enters.
    Welcome(MemberId, Home, Option<Arc<SignedInvitation>>),
    /// Each knows the other.
    Done,
}

impl Turn {
    fn hears(&self) -> bool {
        !matches!(
            self,
            Self::Plan
                | Self::Judge(..)
                | Self::Newcomers(..)
                | Self::Stretch(_)
                | Self::Welcome(..)
                | Self::Done
        )
    }
}

/// Whether the longer deadline applies.
pub fn is_slow(plan: &Plan) -> bool {
    match plan {
        Plan::Admit { entrance, .. } => matches!(entrance, Entrance::Password(_)),
        Plan::Enter(entry) => matches!(entry, Entry::Password(_)),
        Plan::Recognise { .. } => false,
    }
}

impl World {
    /// The router chose how to go on.
    pub(crate) fn proceed(&mut self, node: usize, conn: ConnId, plan: Plan) {
        let Some((pipe, end)) = self.end_of(node, conn) else { return };
        self.check_plan(node, pipe, &plan);
        if self.nodes[node].hangs {
            return;
        }
        let me = self.id(node);
        let turn = match &plan {
            Plan::Recognise { .. } => {
                if end == 0 {
                    self.tell(pipe, end, Step::Identity(me));
                }
                Turn::Identity(false)
            }
            Plan::Admit { entrance, .. } => match entrance {
                Entrance::Open => Turn::Newcomer,
                Entrance::Password(_) => Turn::First,
                Entrance::Invitations(_) => Turn::Find,
            },
            Plan::Enter(Entry::Open) => {
                self.tell(pipe, end, Step::Newcomer(me));
                Turn::Grant
            }
            Plan::Enter(Entry::Password(_)) => {
                self.tell(pipe, end, Step::First);
                Turn::Second
            }
            Plan::Enter(Entry::Invitation(link)) => {
                self.tell(pipe, end, Step::Find(link.secret.find_key()));
                Turn::Found
            }
        };
        self.pipes[pipe].ends[end].plan = Some(plan);
        self.pipes[pipe].ends[end].turn = turn;
        self.shake(pipe, end);
    }

    fn tell(&mut self, pipe: usize, end: usize, step: Step) {
        self.post(pipe, end, Parcel::Step(step));
    }

    fn wait(&mut self, pipe: usize, end: usize, turn: Turn) {
        self.pipes[pipe].ends[end].turn = turn;
    }

    /// Something came before the peer was known: the thread reads it when it gets that far.
    pub(crate) fn heard(&mut self, pipe: usize, end: usize, parcel: Parcel) {
        self.pipes[pipe].ends[end].heard.push_back(parcel);
        self.shake(pipe, end);
    }

    /// Continues a handshake as far as possible.
    fn shake(&mut self, pipe: usize, end: usize) {
        loop {
            let this = &mut self.pipes[pipe].ends[end];
            if !this.open {
                return;
            }
            if matches!(this.turn, Turn::Done) {
                let heard: VecDeque<Parcel> = std::mem::take(&mut this.heard);
                for parcel in heard {
                    self.hears(pipe, end, parcel);
                }
                return;
            }
            let over = matches!(this.heard.front(), Some(Parcel::Refused(_) | Parcel::Fin));
            let heard = this.turn.hears() || (over && matches!(this.turn, Turn::Plan));
            if !heard {
                return;
            }
            let Some(parcel) = this.heard.pop_front() else { return };
            match parcel {
                Parcel::Step(step) => self.take_step(pipe, end, step),
                Parcel::Refused(refusal) => match self.decoded_refusal(pipe, end, refusal) {
                    Some(refusal) => self.ended(pipe, end, Closed::Refused(refusal)),
                    None => self.breaks(pipe, end, "a forged record"),
                },
                Parcel::Fin => self.ended(pipe, end, Closed::Gone),
                other => panic!("{other:?} before the handshake is over"),
            }
        }
    }

    fn take_step(&mut self, pipe: usize, end: usize, step: Step) {
        let turn = std::mem::take(&mut self.pipes[pipe].ends[end].turn);
        let End { node, conn, .. } = self.pipes[pipe].ends[end];
        let me = self.id(node);
        match (turn, step) {
            (Turn::Identity(_), Step::Identity(member)) => {
                self.wait(pipe, end, Turn::Judge(member, false));
                self.show(pipe, end, member, None, None);
            }
            (Turn::Identity(false), Step::Unknown) => {
                self.show_chain(pipe, end);
                self.wait(pipe, end, Turn::Identity(true));
            }
            (Turn::Chain(member), Step::Chain(chain)) => {
                let Some(chain) = self.decoded(pipe, end, chain) else {
                    return self.breaks(pipe, end, "a forged chain");
                };
                self.wait(pipe, end, Turn::Judge(member, true));
                self.show(pipe, end, member, Some(chain), None);
            }
            (Turn::Lookup(member, _), Step::Known) => {
                self.introduced(pipe, end, member, Outcome::Recognised);
            }
            (Turn::Lookup(member, false), Step::Unknown) => {
                self.show_chain(pipe, end);
                self.wait(pipe, end, Turn::Lookup(member, true));
            }
            (Turn::First, Step::First) => {
                let Some(Plan::Admit { entrance: Entrance::Password(data), .. }) =
                    &self.pipes[pipe].ends[end].plan
                else {
                    panic!("no password data")
                };
                let hash = Digest32(data.hash());
                self.tell(pipe, end, Step::Second(hash));
                self.wait(pipe, end, Turn::Third);
            }
            (Turn::Third, Step::Third) => self.wait(pipe, end, Turn::Newcomer),
            (Turn::Newcomer, Step::Newcomer(member)) => {
                self.wait(pipe, end, Turn::Newcomers(member, None));
                self.show(pipe, end, member, None, None);
            }
            (Turn::Find, Step::Find(key)) => self.find(pipe, end, &key),
            (Turn::Guest(found), Step::Guest(member, key)) => {
                if found.invitation.body.key != key {
                    return self.breaks(pipe, end, "not the invitation's key");
                }
                let invitation = Some(found.invitation.id);
                self.wait(pipe, end, Turn::Newcomers(member, Some(found)));
                self.show(pipe, end, member, None, invitation);
            }
            (Turn::Same(member, found), Step::Identity(again)) => {
                assert_eq!(member, again, "nobody becomes somebody else");
                match found {
                    Some(found) => self.wait(pipe, end, Turn::Claim(member, found)),
                    None => self.admitted(pipe, end, member, None),
                }
            }
            (Turn::Claim(member, found), Step::Claim(signature)) => {
                let claim = Claim { invitation: found.invitation.clone(), signature };
                let room = self.pipes[pipe].ends[end].room;
                if !claim.holds(&room, &member) {
                    return self.breaks(pipe, end, "a guest that does not hold its invitation");
                }
                self.admitted(pipe, end, member, Some(claim));
            }
            (Turn::Second, Step::Second(hash)) => {
                self.wait(pipe, end, Turn::Stretch(hash));
                let argon = self.rng.between(150, 400);
                self.after(argon, Happening::Stretched { pipe });
            }
            (Turn::Second, Step::Grant(..)) => {
                let refusal = Refusal::of(Why::NotLocked);
                self.breaks_off(pipe, end, Parcel::Fin, Closed::Refused(refusal));
            }
            (Turn::Found, Step::Found(key)) => {
                let Some(link) = self.link_text(pipe, end) else { panic!("no invitation") };
                assert!(link.secret.find_key() == key, "only members can answer");
                let key = Digest32(link.secret.identity().public());
                self.tell(pipe, end, Step::Guest(me, key));
                self.wait(pipe, end, Turn::Grant);
            }
            (Turn::Grant, Step::Grant(founder, nonce)) => {
                let room = RoomId::of(&founder, &nonce);
                self.pipes[pipe].ends[end].room = room;
                let home = Home { room, founder, nonce, chain: Vec::new() };
                self.wait(pipe, end, Turn::Host(home));
            }
            (Turn::Host(home), Step::Identity(member)) => {
                let next = match self.link_text(pipe, end) {
                    Some(_) => Turn::Invitation(member, home),
                    None => Turn::HostsChain(member, home, None),
                };
                self.wait(pipe, end, next);
            }
            (Turn::Invitation(member, home), Step::Invitation(invitation)) => {
                let Some(link) = self.link_text(pipe, end) else { panic!("no invitation") };
                let body = &invitation.body;
                let fits = room_hint(&home.room, &body.maker) == link.room
                    && body.key.0 == link.secret.identity().public()
                    && body.find.0 == link.secret.find_key().hash()
                    && is_signed(&home.room, &invitation);
                if !fits {
                    return self.breaks(pipe, end, "an invitation of another room");
                }
                self.wait(pipe, end, Turn::HostsChain(member, home, Some(invitation)));
            }
            (Turn::HostsChain(member, home, invitation), Step::Chain(chain)) => {
                let Some(chain) = self.decoded(pipe, end, chain) else {
                    return self.breaks(pipe, end, "a forged chain");
                };
                let home = Home { chain, ..home };
                self.wait(pipe, end, Turn::Welcome(member, home.clone(), invitation.clone()));
                self.feed(node, Event::Welcomed { conn, member, home, invitation });
            }
            (turn, step) => panic!("{} hears {step:?} in {turn:?}", self.nodes[node].name),
        }
    }

    fn link_text(&self, pipe: usize, end: usize) -> Option<InviteLink> {
        match &self.pipes[pipe].ends[end].plan {
            Some(Plan::Enter(Entry::Invitation(link))) => Some(link.clone()),
            _ => None,
        }
    }

    fn show(
        &mut self,
        pipe: usize,
        end: usize,
        member: MemberId,
        chain: Option<Vec<Arc<SignedRecord>>>,
        invitation: Option<klatch::router::ids::InvitationId>,
    ) {
        let End { node, conn, .. } = self.pipes[pipe].ends[end];
        self.pipes[pipe].ends[end].shown = true;
        self.feed(node, Event::Shown { conn, member, chain, invitation });
    }

    fn show_chain(&mut self, pipe: usize, end: usize) {
        let node = self.pipes[pipe].ends[end].node;
        let Some(Plan::Recognise { chain, .. }) = &self.pipes[pipe].ends[end].plan else {
            panic!("no chain to show")
        };
        assert!(chain.len() <= CHAIN_MAX, "a chain of {} records", chain.len());
        let chain = self.nodes[node].poses.clone().unwrap_or_else(|| chain.clone());
        self.tell(pipe, end, Step::Chain(chain));
    }

    fn find(&mut self, pipe: usize, end: usize, key: &FindKey) {
        let Some(Plan::Admit { entrance: Entrance::Invitations(list), .. }) =
            &self.pipes[pipe].ends[end].plan
        else {
            panic!("no invitations")
        };
        let found = list.iter().find(|of| of.find == *key).cloned();
        let why = match &found {
            Some(found) => found.over,
            None => Some(Why::NoInvitation),
        };
        match (found, why) {
            (Some(found), None) => {
                self.tell(pipe, end, Step::Found(found.find.clone()));
                self.wait(pipe, end, Turn::Guest(found));
            }
            (_, why) => self.refuses(pipe, end, why.unwrap_or(Why::NoInvitation)),
        }
    }

    /// The router judged the identity that the peer showed.
    pub(crate) fn judged(&mut self, node: usize, conn: ConnId, known: bool) {
        let Some((pipe, end)) = self.end_of(node, conn) else { return };
        let turn = std::mem::take(&mut self.pipes[pipe].ends[end].turn);
        let me = self.id(node);
        match turn {
            Turn::Judge(member, _) if known && end == 0 => {
                self.tell(pipe, end, Step::Known);
                self.introduced(pipe, end, member, Outcome::Recognised);
            }
            Turn::Judge(member, _) if known => {
                self.tell(pipe, end, Step::Identity(me));
                self.wait(pipe, end, Turn::Lookup(member, false));
            }
            Turn::Judge(member, false) => {
                self.tell(pipe, end, Step::Unknown);
                self.wait(pipe, end, Turn::Chain(member));
            }
            Turn::Judge(_, true) => self.refuses(pipe, end, Why::NotMember),
            Turn::Newcomers(member, found) => {
                self.grant(pipe, end, found.as_ref());
                self.wait(pipe, end, Turn::Same(member, found));
            }
            Turn::Welcome(member, home, invitation) => {
                self.tell(pipe, end, Step::Identity(me));
                if let (Some(link), Some(invitation)) = (self.link_text(pipe, end), invitation) {
                    let message = Claim::message(&home.room, &me, &invitation.id);
                    let signature = link.secret.identity().sign(&message);
                    self.tell(pipe, end, Step::Claim(signature));
                }
                self.introduced(pipe, end, member, Outcome::Entered(home));
            }
            turn => panic!("{} judges in {turn:?}", self.nodes[node].name),
        }
    }

    fn grant(&mut self, pipe: usize, end: usize, found: Option<&Findable>) {
        let me = self.id(self.pipes[pipe].ends[end].node);
        let Some(Plan::Admit { home, .. }) = self.pipes[pipe].ends[end].plan.clone() else {
            panic!("nothing to grant")
        };
        let mut chain = home.chain.clone();
        self.tell(pipe, end, Step::Grant(home.founder, home.nonce));
        self.tell(pipe, end, Step::Identity(me));
        if let Some(found) = found {
            chain.extend(found.chain.iter().filter(|of| !home.chain.contains(of)).cloned());
            self.tell(pipe, end, Step::Invitation(found.invitation.clone()));
        }
        assert!(chain.len() <= CHAIN_MAX, "a chain of {} records", chain.len());
        self.tell(pipe, end, Step::Chain(chain));
    }

    /// Argon2 is done: OPAQUE says whether the password is right.
    pub(crate) fn stretched(&mut self, pipe: usize) {
        let End { open, node, ref turn, ref plan, .. } = self.pipes[pipe].ends[0];
        let (true, Turn::Stretch(hash)) = (open, turn.clone()) else { return };
        let Some(Plan::Enter(Entry::Password(password))) = plan.clone() else { return };
        if !self.opens(&password, &hash) {
            let refusal = Refusal::of(Why::WrongPassword);
            return self.breaks_off(pipe, 0, Parcel::Fin, Closed::Refused(refusal));
        }
        let me = self.id(node);
        self.tell(pipe, 0, Step::Third);
        self.tell(pipe, 0, Step::Newcomer(me));
        self.wait(pipe, 0, Turn::Grant);
        self.shake(pipe, 0);
    }

    fn opens(&self, password: &Password, hash: &Digest32) -> bool {
        self.passwords.get(&hash.0).is_some_and(|right| right == password.expose())
    }

    fn admitted(&mut self, pipe: usize, end: usize, member: MemberId, claim: Option<Claim>) {
        let how = match &self.pipes[pipe].ends[end].plan {
            Some(Plan::Admit { entrance: Entrance::Open, .. }) => How::Open,
            Some(Plan::Admit { entrance: Entrance::Password(_), .. }) => How::Password,
            _ => How::Invitation,
        };
        self.note_admitted(pipe, end, member, how);
        self.introduced(pipe, end, member, Outcome::Admitted { how, claim });
    }

    fn introduced(&mut self, pipe: usize, end: usize, member: MemberId, outcome: Outcome) {
        let this = &mut self.pipes[pipe].ends[end];
        this.turn = Turn::Done;
        this.identified = true;
        let (node, conn) = (this.node, this.conn);
        self.feed(node, Event::Identified { conn, member, outcome });
    }

    // How a handshake ends early.

    fn refuses(&mut self, pipe: usize, end: usize, why: Why) {
        let refusal = Refusal::of(why);
        let last = Parcel::Refused(refusal.clone());
        self.breaks_off(pipe, end, last, Closed::Refused(refusal));
    }

    pub(crate) fn breaks(&mut self, pipe: usize, end: usize, what: &str) {
        let last = Parcel::Refused(Refusal::of(Why::Protocol));
        self.breaks_off(pipe, end, last, Closed::Protocol(what.to_owned()));
    }

    fn breaks_off(&mut self, pipe: usize, end: usize, last: Parcel, how: Closed) {
        let End { node, conn, .. } = self.pipes[pipe].ends[end];
        self.shut_quietly(node, conn, last);
        self.feed(node, Event::ConnClosed { conn, how });
    }
}

fn is_signed(room: &RoomId, invitation: &SignedInvitation) -> bool {
    SignedInvitation::verify(room, &invitation.bytes, &invitation.signature).is_ok()
}
