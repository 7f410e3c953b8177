//! The part of a handshake that the verdict chose: recognising a member, admitting a newcomer, or
//! being admitted.
//!
//! Until each side has looked up the other, only keys and chains are exchanged. Signatures are made
//! for this connection; what a peer shows of a room is checked against the room's id.

use std::sync::Arc;

use super::handshake::{End, HandshakeRun};
use crate::crypto::binding::{
    Side, check_find_proof, find_proof, guest_message, identity_message, newcomer_message,
};
use crate::crypto::identity;
use crate::crypto::opaque::{Admitter, Joiner, OpaqueError, PasswordData};
use crate::crypto::password::Password;
use crate::router::event::{Closed, Entrance, Entry, Findable, Home, Outcome, Plan};
use crate::router::ids::{MemberId, RoomId};
use crate::router::invite_link::InviteLink;
use crate::router::membership::record::How;
use crate::router::membership::register::CHAIN_MAX;
use crate::router::message::{Refusal, Why};
use crate::router::signed::{Claim, SignedInvitation, SignedRecord, pages, room_hint};
use crate::wire::opening::Opening;

/// A newcomer without an invitation signs this instead of an invitation's key.
const NO_INVITATION: [u8; 32] = [0; 32];
/// Most records shown at once: the chains of a member and of an invitation's maker.
const SHOWN_MAX: usize = 2 * CHAIN_MAX;

/// Tickets of one member, as it shows them.
type ShownTickets = Vec<Arc<SignedRecord>>;

impl HandshakeRun<'_> {
    /// Carries out the plan; returns who the peer is, and what it gave.
    pub(super) fn carry_out(&mut self, plan: Plan) -> Result<(MemberId, Outcome), End> {
        match plan {
            Plan::Recognise { chain, .. } => {
                let member = match self.binding.side {
                    Side::Dialer => self.recognise_dialling(&chain)?,
                    Side::Listener => self.recognise_dialled(&chain)?,
                };
                Ok((member, Outcome::Recognised))
            }
            Plan::Admit { home, entrance } => match entrance {
                Entrance::Open => self.admit_to_open(&home),
                Entrance::Password(data) => self.admit_by_password(&home, &data),
                Entrance::Invitations(list) => self.admit_by_invitation(&home, &list),
            },
            Plan::Enter(Entry::Open) => self.enter_open(),
            Plan::Enter(Entry::Password(password)) => self.enter_by_password(&password),
            Plan::Enter(Entry::Invitation(link)) => self.enter_by_invitation(&link),
        }
    }

    // One room.

    /// The dialer shows its identity first, because the listener shows its own only to members.
    fn recognise_dialling(&mut self, chain: &ShownTickets) -> Result<MemberId, End> {
        self.show_identity()?;
        let mut next = self.recv(self.large())?;
        if next == Opening::Unknown {
            self.show_chain(chain)?;
            next = self.recv(self.large())?;
        }
        let member = self.identity_of(&next)?;
        self.look_up(member)?;
        self.send(&Opening::Known)?;
        Ok(member)
    }

    fn recognise_dialled(&mut self, chain: &ShownTickets) -> Result<MemberId, End> {
        let shown = self.recv(self.large())?;
        let member = self.identity_of(&shown)?;
        self.look_up(member)?;
        self.show_identity()?;
        match self.recv(self.large())? {
            Opening::Known => return Ok(member),
            Opening::Unknown => self.show_chain(chain)?,
            _ => return Err(End::out_of_turn()),
        }
        match self.recv(self.large())? {
            Opening::Known => Ok(member),
            _ => Err(End::out_of_turn()),
        }
    }

    /// Asks the router whether `member` may link; if unknown, then with the chain that it shows.
    fn look_up(&mut self, member: MemberId) -> Result<(), End> {
        if self.is_known(member, None, None)? {
            return Ok(());
        }
        self.send(&Opening::Unknown)?;
        let chain = self.recv_chain()?;
        if self.is_known(member, Some(chain), None)? {
            Ok(())
        } else {
            Err(End::refuse(Why::NotMember))
        }
    }

    fn show_identity(&mut self) -> Result<(), End> {
        let identity = &self.net.identity;
        let signature = identity.sign(&identity_message(&self.binding, &self.room.0));
        self.send(&Opening::Identity { member: MemberId(identity.public()), signature })
    }

    fn identity_of(&self, shown: &Opening) -> Result<MemberId, End> {
        let Opening::Identity { member, signature } = shown else {
            return Err(End::out_of_turn());
        };
        let message = identity_message(&self.binding.other_side(), &self.room.0);
        self.check_signer(*member, &message, signature)
    }

    fn check_signer(
        &self,
        member: MemberId,
        message: &[u8],
        signature: &[u8; 64],
    ) -> Result<MemberId, End> {
        if identity::verify(&member.0, message, signature) {
            Ok(member)
        } else {
            Err(End::protocol("the peer is not who it says it is"))
        }
    }

    fn show_chain(&mut self, chain: &ShownTickets) -> Result<(), End> {
        let mut parts = pages(chain);
        if parts.is_empty() {
            parts.push(Vec::new());
        }
        let count = parts.len();
        for (at, list) in parts.into_iter().enumerate() {
            self.send(&Opening::Chain { list, last: at + 1 == count })?;
        }
        Ok(())
    }

    fn recv_chain(&mut self) -> Result<ShownTickets, End> {
        let mut chain = Vec::new();
        loop {
            match self.recv(self.large())? {
                Opening::Chain { list, last } => {
                    let ends = last || list.is_empty();
                    chain.extend(list);
                    if chain.len() > SHOWN_MAX {
                        return Err(End::protocol("a chain is too long"));
                    }
                    if ends {
                        return Ok(chain);
                    }
                }
                _ => return Err(End::out_of_turn()),
            }
        }
    }

    // Letting a newcomer in.

    fn admit_to_open(&mut self, home: &Home) -> Result<(MemberId, Outcome), End> {
        let member = self.recv_newcomer()?;
        self.is_known(member, None, None)?;
        self.grant(home, None)?;
        self.recv_same(member)?;
        Ok((member, Outcome::Admitted { how: How::Open, claim: None }))
    }

    fn admit_by_password(
        &mut self,
        home: &Home,
        data: &PasswordData,
    ) -> Result<(MemberId, Outcome), End> {
        let h = self.binding.h;
        let first = self.recv_password(1)?;
        let (admitter, second) =
            Admitter::respond(data, &home.room.0, &first, &h).map_err(end_of_exchange)?;
        self.send(&Opening::Password { step: 2, bytes: second })?;
        let third = self.recv_password(3)?;
        admitter.verify(&third).map_err(end_of_exchange)?;
        let member = self.recv_newcomer()?;
        self.is_known(member, None, None)?;
        self.grant(home, None)?;
        self.recv_same(member)?;
        Ok((member, Outcome::Admitted { how: How::Password, claim: None }))
    }

    fn admit_by_invitation(
        &mut self,
        home: &Home,
        list: &[Findable],
    ) -> Result<(MemberId, Outcome), End> {
        let Opening::Find(proof) = self.recv(self.small())? else {
            return Err(End::out_of_turn());
        };
        let guests = self.binding.other_side();
        let found = list.iter().find(|of| check_find_proof(&guests, of.find.expose(), &proof));
        let Some(found) = found else { return Err(End::refuse(Why::NoInvitation)) };
        if let Some(why) = found.over {
            return Err(End::refuse(why));
        }
        self.send(&Opening::Found(find_proof(&self.binding, found.find.expose())))?;
        let key = found.invitation.body.key;
        let member = match self.recv(self.small())? {
            Opening::Guest { member, signature, invitation } => {
                let message = guest_message(&guests, &member.0, &key.0);
                self.check_signer(MemberId(key.0), &message, &invitation)?;
                self.check_signer(member, &newcomer_message(&guests, &key.0), &signature)?
            }
            _ => return Err(End::out_of_turn()),
        };
        self.is_known(member, None, Some(found.invitation.id))?;
        self.grant(home, Some(found))?;
        self.recv_same(member)?;
        let Opening::Claim(signature) = self.recv(self.small())? else {
            return Err(End::out_of_turn());
        };
        let claim = Claim { invitation: found.invitation.clone(), signature };
        if !claim.holds(&home.room, &member) {
            return Err(End::protocol("the peer does not hold the invitation"));
        }
        Ok((member, Outcome::Admitted { how: How::Invitation, claim: Some(claim) }))
    }

    /// Shows the room, and that this node is a member of it.
    fn grant(&mut self, home: &Home, found: Option<&Findable>) -> Result<(), End> {
        self.send(&Opening::Grant { founder: home.founder, nonce: home.nonce })?;
        self.show_identity()?;
        let mut chain = home.chain.clone();
        if let Some(found) = found {
            let more = found.chain.iter().filter(|of| !home.chain.contains(of));
            chain.extend(more.cloned());
            self.send(&Opening::Invitation(found.invitation.clone()))?;
        }
        self.show_chain(&chain)
    }

    fn recv_newcomer(&mut self) -> Result<MemberId, End> {
        match self.recv(self.small())? {
            Opening::Newcomer { member, signature } => {
                let message = newcomer_message(&self.binding.other_side(), &NO_INVITATION);
                self.check_signer(member, &message, &signature)
            }
            _ => Err(End::out_of_turn()),
        }
    }

    /// The newcomer's identity again, now that it knows the room.
    fn recv_same(&mut self, member: MemberId) -> Result<(), End> {
        let shown = self.recv(self.small())?;
        if self.identity_of(&shown)? == member {
            Ok(())
        } else {
            Err(End::protocol("the peer became somebody else"))
        }
    }

    // Being let in.

    fn enter_open(&mut self) -> Result<(MemberId, Outcome), End> {
        self.show_newcomer()?;
        let (member, home, _) = self.recv_grant(None)?;
        self.show_identity()?;
        Ok((member, Outcome::Entered(home)))
    }

    /// Accepts nothing but OPAQUE.
    fn enter_by_password(&mut self, password: &Password) -> Result<(MemberId, Outcome), End> {
        let (joiner, first) = Joiner::start(password).map_err(end_of_exchange)?;
        self.send(&Opening::Password { step: 1, bytes: first })?;
        let second = match self.recv(self.large())? {
            Opening::Password { step: 2, bytes } => bytes,
            // The peer "answers" that the room is open: nothing more of the user's is sent.
            Opening::Grant { .. } => return Err(quiet(Why::NotLocked)),
            _ => return Err(End::out_of_turn()),
        };
        // A wrong password ends it here: the next message would tell whether it was right.
        let third = joiner.finish(&second, &self.binding.h).map_err(|error| match error {
            OpaqueError::Wrong => quiet(Why::WrongPassword),
            other => end_of_exchange(other),
        })?;
        self.send(&Opening::Password { step: 3, bytes: third })?;
        self.show_newcomer()?;
        let (member, home, _) = self.recv_grant(None)?;
        self.show_identity()?;
        Ok((member, Outcome::Entered(home)))
    }

    fn enter_by_invitation(&mut self, link: &InviteLink) -> Result<(MemberId, Outcome), End> {
        let (find, key) = (link.secret.find_key(), link.secret.identity());
        self.send(&Opening::Find(find_proof(&self.binding, find.expose())))?;
        match self.recv(self.large())? {
            Opening::Found(proof)
                if check_find_proof(&self.binding.other_side(), find.expose(), &proof) => {}
            Opening::Found(_) => return Err(quiet(Why::NoInvitation)),
            _ => return Err(End::out_of_turn()),
        }
        let me = &self.net.identity;
        let member = MemberId(me.public());
        let signature = me.sign(&newcomer_message(&self.binding, &key.public()));
        let message = guest_message(&self.binding, &member.0, &key.public());
        let invitation = key.sign(&message);
        self.send(&Opening::Guest { member, signature, invitation })?;
        let (host, home, invitation) = self.recv_grant(Some(link))?;
        let Some(invitation) = invitation else { return Err(End::out_of_turn()) };
        self.show_identity()?;
        let signature = key.sign(&Claim::message(&home.room, &member, &invitation.id));
        self.send(&Opening::Claim(signature))?;
        Ok((host, Outcome::Entered(home)))
    }

    fn show_newcomer(&mut self) -> Result<(), End> {
        let identity = &self.net.identity;
        let signature = identity.sign(&newcomer_message(&self.binding, &NO_INVITATION));
        self.send(&Opening::Newcomer { member: MemberId(identity.public()), signature })
    }

    /// The room that admits us, and the member that does, if the router agrees. `link` is the
    /// invitation that we brought.
    fn recv_grant(
        &mut self,
        link: Option<&InviteLink>,
    ) -> Result<(MemberId, Home, Option<Arc<SignedInvitation>>), End> {
        let (founder, nonce) = match self.recv(self.large())? {
            Opening::Grant { founder, nonce } => (founder, nonce),
            _ => return Err(End::out_of_turn()),
        };
        let room = RoomId::of(&founder, &nonce);
        self.room = room;
        let shown = self.recv(self.large())?;
        let member = self.identity_of(&shown)?;
        let invitation = match link {
            Some(link) => Some(self.recv_invitation(link)?),
            None => None,
        };
        let chain = self.recv_chain()?;
        let home = Home { room, founder, nonce, chain };
        self.is_welcome(member, home.clone(), invitation.clone())?;
        Ok((member, home, invitation))
    }

    /// The invitation that the text means, if its room, maker and secret match.
    fn recv_invitation(&mut self, link: &InviteLink) -> Result<Arc<SignedInvitation>, End> {
        let Opening::Invitation(invitation) = self.recv(self.small())? else {
            return Err(End::out_of_turn());
        };
        let body = &invitation.body;
        let fits = room_hint(&self.room, &body.maker) == link.room
            && body.key.0 == link.secret.identity().public()
            && body.find.0 == link.secret.find_key().hash();
        if fits { Ok(invitation) } else { Err(End::protocol("the invitation is of another room")) }
    }

    fn recv_password(&mut self, wanted: u8) -> Result<Vec<u8>, End> {
        match self.recv(self.small())? {
            Opening::Password { step, bytes } if step == wanted => Ok(bytes),
            _ => Err(End::out_of_turn()),
        }
    }
}

/// Ends without a word, for a reason that our own router must learn.
fn quiet(why: Why) -> End {
    End::Quiet(Closed::Refused(Refusal::of(why)))
}

fn end_of_exchange(error: OpaqueError) -> End {
    match error {
        OpaqueError::Wrong => End::refuse(Why::WrongPassword),
        other => End::protocol(other.to_string()),
    }
}
