//! From a channel to a known peer: Hellos, and how a newcomer is admitted.

use core::net::SocketAddr;
use std::sync::Arc;

use crate::crypto::binding::{Role, Side};
use crate::router::Router;
use crate::router::event::{Effect, Home, Outcome, Plan};
use crate::router::ids::{ConnId, InvitationId, MemberId, RunId};
use crate::router::links::{Conn, Greeting, Reason, Standpoint};
use crate::router::message::{Brings, Hello, Refusal, Why};
use crate::router::notice::Notice;
use crate::router::order::Purpose;
use crate::router::quiet::Topic;
use crate::router::registry::{Judged, Registry};
use crate::router::signed::{SignedInvitation, SignedRecord};

impl Router {
    fn standpoint(&self) -> Standpoint {
        Standpoint {
            room: self.stay.room(),
            settled: self.stay.is_settled(),
            locked: self.registry.is_closed(),
            password: self.registry.password_data().is_some(),
        }
    }

    pub(crate) fn conn_opened(&mut self, id: ConnId, side: Side, role: Role, remote: SocketAddr) {
        let attempt = self.links.opened(&self.cx, id, (side, role), remote);
        let brings = attempt.and_then(|attempt| self.attempts.brings(attempt));
        let stand = self.standpoint();
        self.links.say_hello(&mut self.cx, id, stand, brings);
    }

    pub(crate) fn hello_arrived(&mut self, id: ConnId, theirs: &Hello, same_room: bool) {
        let stand = self.standpoint();
        // A peer that may be a member gets a place even if others only came in by an open door.
        let perhaps_member = same_room || theirs.brings != Brings::Nothing;
        let full = self.is_full_for(id, perhaps_member);
        let greeting = self.links.greet(id, (theirs, same_room), stand, full);
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
                Ok(plan) => (Some(plan), Some(brings)),
                Err(refusal) => return self.cx.refuse_with(id, refusal),
            },
        };
        if let Some(plan) = plan {
            self.links.proceed(&mut self.cx, id, plan, enters);
        }
    }

    /// How a newcomer that brings this is admitted, or why it is not.
    fn admission_plan(&mut self, id: ConnId, brings: Brings) -> Result<Plan, Refusal> {
        let entrance = self.registry.entrance(brings, self.cx.wall_ms()).map_err(Refusal::of)?;
        if brings == Brings::Password
            && let Some(remote) = self.links.get(id).and_then(Conn::remote)
        {
            self.links.admits_by(id, self.registry.password_lock());
            let begun = self.guesses.begin(id, remote.ip(), self.cx.now, self.cx.limits());
            if let Err(wait) = begun {
                let refusal = Refusal::of(Why::TooManyAttempts);
                return Err(Refusal { wait_ms: Some(wait), ..refusal });
            }
        }
        Ok(Plan::Admit { home: self.registry.home(), entrance })
    }

    /// The peer proved that it is `member`: decides whether it may link, or be admitted.
    pub(crate) fn shown(
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
            let knows = (conn.is_same_room(), self.cx.wall_ms());
            return match self.registry.refuses_newcomer(&member, invitation.as_ref(), knows) {
                Some(refusal) => self.cx.refuse_with(id, refusal),
                None => self.cx.effect(Effect::Judge { conn: id, known: true }),
            };
        }
        match self.registry.judge(&member, chain.as_deref()) {
            Judged::Known => self.cx.effect(Effect::Judge { conn: id, known: true }),
            Judged::Unknown => self.cx.effect(Effect::Judge { conn: id, known: false }),
            Judged::KnownBy(chain) => {
                self.records_arrived(&chain, Some(id));
                self.cx.effect(Effect::Judge { conn: id, known: true });
            }
            Judged::Outside(record) => {
                self.cx.refuse_with(id, self.registry.refusal_of(record));
            }
        }
    }

    /// A room admits us: checks that it is the requested one, and that the peer is a member.
    pub(crate) fn welcomed(
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
        // The newcomer's ticket or password is for the room that it asked for, and no other.
        let other = home.room != self.stay.room();
        if other && (conn.is_same_room() || self.stay.is_settled()) {
            return self.cx.refuse(id, Why::OtherRoom);
        }
        let maker = invitation.map(|invitation| invitation.body.maker);
        let who: Vec<MemberId> = maker.into_iter().chain([member]).collect();
        if self.registry.are_members_of(home, &who) {
            self.cx.effect(Effect::Judge { conn: id, known: true });
        } else {
            self.cx.refuse(id, Why::Protocol);
        }
    }

    pub(crate) fn identified(&mut self, id: ConnId, member: MemberId, outcome: Outcome) {
        let Some(conn) = self.links.get(id) else { return };
        let remote = conn.remote();
        if conn.role() != Role::Session {
            return self.lane_identified(id, member);
        }
        let (room, reason) = match outcome {
            Outcome::Recognised => (self.stay.room(), Reason::Recognised),
            Outcome::Admitted { how, claim } => {
                if let Some(remote) = remote {
                    self.guesses.succeeded(id, remote.ip());
                }
                let (way, lock) = ((how, claim.as_ref()), conn.lock());
                let now = self.cx.wall_ms();
                if let Some(why) = self.registry.is_shut_again(&member, way, lock, now) {
                    return self.cx.refuse(id, why);
                }
                let Some(ticket) = self.issue(member, how, claim) else {
                    return self.cx.refuse(id, Why::Full);
                };
                (self.stay.room(), Reason::Admitted { ticket })
            }
            Outcome::Entered(home) if home.room == self.stay.room() => {
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

    /// The older link of `member` is alive: the newer connection of the pair is refused.
    pub(crate) fn link_lives(&mut self, member: MemberId, run: RunId) {
        for (id, same_run) in self.links.doubting(member, run) {
            if same_run {
                self.cx.refuse(id, Why::Crossing);
            } else {
                let name = self.members.who(&member).marked();
                self.cx.refuse(id, Why::IdentityInUse);
                let text = format!(
                    "a second program tried to connect with the identity of {name} and was refused"
                );
                self.cx.notify_of(Topic::SecondRun, member, Notice::Remark { text });
            }
        }
    }
}
