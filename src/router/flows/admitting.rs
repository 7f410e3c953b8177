//! From a channel to a known peer: Hellos, and who is let in by which way.

use core::net::SocketAddr;
use std::sync::Arc;

use crate::crypto::binding::{Role, Side};
use crate::router::Router;
use crate::router::event::{Effect, Entrance, Findable, Home, Outcome, Plan};
use crate::router::ids::{ConnId, InvitationId, MemberId, RunId};
use crate::router::links::{Conn, Greeting, Reason, Standpoint};
use crate::router::membership::Membership;
use crate::router::membership::record::How;
use crate::router::message::{Brings, Hello, Refusal, Why};
use crate::router::order::Purpose;
use crate::router::registry::{Judged, Registry};
use crate::router::signed::{Claim, SignedInvitation, SignedRecord};

impl Router {
    fn standpoint(&self) -> Standpoint {
        Standpoint {
            room: self.room.id,
            settled: self.room.settled,
            locked: self.registry.is_closed(),
            password: self.registry.password_data().is_some(),
        }
    }

    pub(in crate::router) fn conn_opened(
        &mut self,
        id: ConnId,
        side: Side,
        role: Role,
        remote: SocketAddr,
    ) {
        let attempt = self.links.opened(&self.cx, id, (side, role), remote);
        let brings = attempt.and_then(|attempt| self.attempts.brings(attempt));
        let stand = self.standpoint();
        self.links.say_hello(&mut self.cx, id, stand, brings);
    }

    pub(in crate::router) fn hello_arrived(&mut self, id: ConnId, theirs: &Hello, same_room: bool) {
        let stand = self.standpoint();
        let greeting = self.links.greet(&self.cx, id, (theirs, same_room), stand);
        let (plan, enters) = match greeting {
            None => return,
            Some(Greeting::Refuse(why)) => return self.cx.refuse(id, why),
            Some(Greeting::Lane) => return self.lane_hello(id, theirs, same_room),
            Some(Greeting::Recognise) => {
                let chain = self.registry.my_chain();
                (Some(Plan::Recognise { room: stand.room, chain }), None)
            }
            Some(Greeting::Enter(attempt, brings)) => {
                (self.attempts.entry(attempt).map(Plan::Enter), Some(brings))
            }
            Some(Greeting::Admit(brings)) => match self.admission_plan(id, brings) {
                Ok(plan) => (plan, Some(brings)),
                Err(refusal) => return self.cx.refuse_with(id, refusal),
            },
        };
        if let Some(plan) = plan {
            self.links.proceed(&mut self.cx, id, plan, enters);
        }
    }

    /// How a newcomer that brings this is let in, or why it is not.
    fn admission_plan(&mut self, id: ConnId, brings: Brings) -> Result<Option<Plan>, Refusal> {
        // Whoever is no member of a closed room has nobody to let in.
        if self.registry.is_closed() && !self.registry.is_member(&self.cx.my_id) {
            return Err(Refusal::of(Why::Locked));
        }
        if self.registry.my_standing().is_none() {
            return Err(Refusal::of(Why::Busy));
        }
        if !self.registry.has_room_for_ticket() {
            return Err(Refusal::of(Why::Full));
        }
        let entrance = match brings {
            Brings::Nothing => Entrance::Open,
            Brings::Password => {
                let remote = self.links.get(id).and_then(Conn::remote);
                let data = self.registry.password_data().cloned();
                let (Some(data), Some(remote)) = (data, remote) else { return Ok(None) };
                self.links.admits_by(id, self.registry.password_lock());
                let begun = self.guesses.begin(id, remote.ip(), self.cx.now, self.cx.limits());
                if let Err(wait) = begun {
                    let refusal = Refusal::of(Why::TooManyAttempts);
                    return Err(Refusal { wait_ms: Some(wait), ..refusal });
                }
                Entrance::Password(data)
            }
            Brings::Invitation => Entrance::Invitations(self.findable()),
        };
        let home = Home {
            room: self.room.id,
            founder: self.registry.founder(),
            nonce: self.registry.nonce(),
            chain: self.registry.my_chain(),
        };
        Ok(Some(Plan::Admit { home, entrance }))
    }

    fn findable(&self) -> Vec<Findable> {
        let (registry, now) = (&self.registry, self.cx.wall_ms());
        let live = registry.invitations().map(|live| Findable {
            invitation: live.invitation.clone(),
            find: live.find.clone(),
            // Whether it is used up is looked at when its guest is known.
            over: registry
                .why_over(&live.invitation, None, now)
                .filter(|why| *why != Why::InvitationUsed),
            chain: registry.chain_of(&live.invitation.body.maker),
        });
        live.collect()
    }

    /// The peer proved that it is `member`: whether it may link, or may be let in.
    pub(in crate::router) fn shown(
        &mut self,
        id: ConnId,
        member: MemberId,
        chain: Option<Vec<Arc<SignedRecord>>>,
        invitation: Option<InvitationId>,
    ) {
        let Some(conn) = self.links.get(id) else { return };
        if conn.role() != Role::Session {
            return self.lane_shown(id, member);
        }
        if matches!(conn.purpose(), Some(Purpose::Redial(expected)) if expected != member) {
            return self.cx.refuse(id, Why::Unexpected);
        }
        if member == self.cx.my_id {
            return self.cx.refuse(id, Why::IdentityInUse);
        }
        if conn.enters().is_some() {
            return self.newcomer_shown(id, member, invitation);
        }
        match self.registry.judge(&member, chain.as_deref()) {
            Judged::Known => self.cx.effect(Effect::Judge { conn: id, known: true }),
            Judged::Unknown => self.cx.effect(Effect::Judge { conn: id, known: false }),
            Judged::KnownBy(chain) => {
                self.records_arrived(&chain, Some(id));
                self.cx.effect(Effect::Judge { conn: id, known: true });
            }
            Judged::Outside(record) => self.refuse_outsider(id, record),
        }
    }

    fn newcomer_shown(&mut self, id: ConnId, member: MemberId, invitation: Option<InvitationId>) {
        if let Some(invitation) = invitation
            && let Some(live) = self.registry.invitation(&invitation)
            && let Some(why) =
                self.registry.why_over(&live.invitation, Some(&member), self.cx.wall_ms())
        {
            return self.cx.refuse(id, why);
        }
        let issuer = match invitation {
            Some(invitation) => self
                .registry
                .invitation(&invitation)
                .map(|live| (live.invitation.body.maker, live.invitation.body.ticket)),
            None => self.registry.my_standing().map(|ticket| (self.cx.my_id, ticket)),
        };
        let issuer = issuer.unwrap_or((self.cx.my_id, None));
        match self.registry.removal_against(&member, issuer) {
            // Who does not know the room cannot check a record of it.
            Some(record) => {
                let knows = self.links.get(id).is_some_and(Conn::is_same_room);
                let (why, record) = (Why::Removed, Some(record).filter(|_| knows));
                self.cx.refuse_with(id, Refusal { record, ..Refusal::of(why) });
            }
            None => self.cx.effect(Effect::Judge { conn: id, known: true }),
        }
    }

    /// A room lets us in: whether it is the one that was asked for, and who lets us in is a member.
    pub(in crate::router) fn welcomed(
        &mut self,
        id: ConnId,
        member: MemberId,
        home: &Home,
        invitation: Option<Arc<SignedInvitation>>,
    ) {
        let Some(conn) = self.links.get(id) else { return };
        if member == self.cx.my_id {
            return self.cx.refuse(id, Why::IdentityInUse);
        }
        // What was brought opens the room that was asked for; it does not lead into another.
        let other = home.room != self.room.id;
        if other && (conn.is_same_room() || self.room.settled) {
            return self.cx.refuse(id, Why::OtherRoom);
        }
        let shown = home.chain.iter().map(|record| (record.id, &record.record));
        let known = self.registry.records().filter(|_| !other);
        let known = known.map(|record| (record.id, &record.record));
        let membership = Membership::of(home.founder, shown.chain(known));
        let maker = invitation.map(|invitation| invitation.body.maker);
        if membership.is_member(&member) && maker.is_none_or(|maker| membership.is_member(&maker)) {
            self.cx.effect(Effect::Judge { conn: id, known: true });
        } else {
            self.cx.refuse(id, Why::Protocol);
        }
    }

    pub(in crate::router) fn identified(&mut self, id: ConnId, member: MemberId, outcome: Outcome) {
        let Some(conn) = self.links.get(id) else { return };
        let remote = conn.remote();
        if conn.role() != Role::Session {
            return self.lane_identified(id, member);
        }
        let (room, reason) = match outcome {
            Outcome::Recognised => (self.room.id, Reason::Recognised),
            Outcome::Admitted { how, claim } => {
                if let Some(remote) = remote {
                    self.guesses.succeeded(id, remote.ip());
                }
                if let Some(why) = self.is_shut_again(id, &member, how, claim.as_ref()) {
                    return self.cx.refuse(id, why);
                }
                let Some(ticket) = self.issue(member, how, claim) else {
                    return self.cx.refuse(id, Why::Full);
                };
                (self.room.id, Reason::Admitted { ticket })
            }
            Outcome::Entered(home) if home.room == self.room.id => {
                self.records_arrived(&home.chain, Some(id));
                (home.room, Reason::Recognised)
            }
            Outcome::Entered(home) => {
                let registry = Registry::of(self.cx.my_id, &home);
                (home.room, Reason::Entered { registry: Box::new(registry) })
            }
        };
        self.links.begin_agreement(&mut self.cx, id, (member, room), reason);
        match self.members.conn_of(&member) {
            Some(older) => self.links.doubt(&mut self.cx, id, older),
            None => self.agree(id),
        }
    }

    /// Whether the way by which somebody came was shut while it came.
    fn is_shut_again(
        &self,
        id: ConnId,
        member: &MemberId,
        how: How,
        claim: Option<&Claim>,
    ) -> Option<Why> {
        let registry = &self.registry;
        match (how, claim) {
            // A ticket that is made now would know the closing, and so outlive it.
            (How::Open, _) => registry.is_closed().then_some(Why::Busy),
            // It tries again, and the password is wrong now.
            (How::Password, _) => {
                let lock = self.links.get(id).and_then(Conn::lock);
                (lock.is_none() || lock != registry.password_lock()).then_some(Why::Busy)
            }
            (_, Some(claim)) => {
                registry.why_over(&claim.invitation, Some(member), self.cx.wall_ms())
            }
            _ => None,
        }
    }

    /// The older link of `member` lives: the newer connection of the pair is refused.
    pub(in crate::router) fn link_lives(&mut self, member: MemberId, run: RunId) {
        for (id, same_run) in self.links.doubting(member, run) {
            if same_run {
                self.cx.refuse(id, Why::Crossing);
            } else {
                let name = self.members.who(&member).marked();
                self.cx.refuse(id, Why::IdentityInUse);
                self.cx.remark(format!(
                    "a second program tried to connect with the identity of {name} and was refused"
                ));
            }
        }
    }
}
