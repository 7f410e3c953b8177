//! From a channel to a known peer: Hellos, the verdict, and who is let in by which way.

use core::net::SocketAddr;
use std::sync::Arc;

use crate::crypto::binding::{Role, Side};
use crate::router::Router;
use crate::router::event::{Closed, Effect, Entrance, Entry, Findable, Home, Outcome, Plan};
use crate::router::ids::{ConnId, InvitationId, MemberId};
use crate::router::links::{Agreement, Conn, Purpose, Reason, Stage, Verdict, decide};
use crate::router::membership::Membership;
use crate::router::membership::record::How;
use crate::router::message::{Brings, Hello, Refusal, Why};
use crate::router::registry::{Judged, Registry};
use crate::router::signed::{Claim, SignedInvitation, SignedRecord};

impl Router {
    pub(in crate::router) fn conn_opened(
        &mut self,
        conn: ConnId,
        side: Side,
        role: Role,
        remote: SocketAddr,
    ) {
        let now = self.cx.now;
        let opened = self.conns.entry(conn).or_insert_with(|| Conn::new(side, role, now));
        opened.remote = Some(remote);
        opened.began = now;
        let brings = match opened.purpose {
            Some(Purpose::Attempt(attempt)) => self.attempts.brings(attempt),
            _ => None,
        };
        let hello = Hello {
            run: self.cx.config.run,
            settled: self.room.settled,
            locked: self.registry.is_closed(),
            password: self.registry.password_data().is_some(),
            moves: brings.is_some(),
            brings: brings.unwrap_or(Brings::Nothing),
        };
        let room = self.room.id;
        if let Some(opened) = self.conns.get_mut(&conn) {
            opened.my_hello = Some((hello.clone(), room));
        }
        self.cx.effect(Effect::SendHello { conn, hello, room });
    }

    pub(in crate::router) fn hello_arrived(&mut self, id: ConnId, theirs: &Hello, same_room: bool) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let Some((mine, room)) = conn.my_hello.clone() else { return };
        conn.their_run = Some(theirs.run);
        conn.their_password = theirs.password;
        conn.same_room = same_room;
        let (side, role) = (conn.side, conn.role);
        if role != Role::Session {
            return self.lane_hello(id, theirs, same_room);
        }
        let verdict = match side {
            Side::Dialer => decide(&mine, theirs, same_room),
            Side::Listener => decide(theirs, &mine, same_room),
        };
        let registry = &self.registry;
        let stale = room != self.room.id
            || mine.settled != self.room.settled
            || mine.locked != registry.is_closed()
            || mine.password != registry.password_data().is_some();
        let brings = match verdict {
            Verdict::Refuse(why) => return self.refuse(id, why),
            _ if stale => return self.refuse(id, Why::Busy),
            _ if self.links().count() >= self.cx.limits().peers => {
                return self.refuse(id, Why::Full);
            }
            // Somebody lets us in elsewhere: this room is about to be left.
            Verdict::Enter(_) if side == Side::Listener && self.is_entering() => {
                return self.refuse(id, Why::Busy);
            }
            Verdict::Recognise => None,
            Verdict::Enter(brings) => Some(brings),
        };
        let plan = match (brings, side) {
            (None, _) => {
                Some(Plan::Recognise { room: self.room.id, chain: self.registry.my_chain() })
            }
            (Some(_), Side::Dialer) => self.entry_of(id).map(Plan::Enter),
            (Some(brings), Side::Listener) => self.admission_plan(id, brings),
        };
        let Some(plan) = plan else { return };
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.stage = Stage::Planned;
            conn.enters = brings;
        }
        self.cx.effect(Effect::Proceed { conn: id, plan });
    }

    /// A member of another room proved who it is, and lets this node in.
    fn is_entering(&self) -> bool {
        let entered = |of: &Agreement| matches!(of.reason, Reason::Entered { .. });
        self.conns.values().filter_map(Conn::agreement).any(entered)
    }

    fn entry_of(&self, id: ConnId) -> Option<Entry> {
        let Some(Purpose::Attempt(attempt)) = self.conns.get(&id)?.purpose else { return None };
        self.attempts.entry(attempt)
    }

    /// How a newcomer that brings this is let in; refuses it if it is not.
    fn admission_plan(&mut self, id: ConnId, brings: Brings) -> Option<Plan> {
        // Whoever is no member of a closed room has nobody to let in.
        if self.registry.is_closed() && !self.registry.is_member(&self.cx.my_id) {
            self.refuse(id, Why::Locked);
            return None;
        }
        if self.registry.my_standing().is_none() {
            self.refuse(id, Why::Busy);
            return None;
        }
        if !self.registry.has_room_for_ticket(&self.cx.my_id) {
            self.refuse(id, Why::Full);
            return None;
        }
        let entrance = match brings {
            Brings::Nothing => Some(Entrance::Open),
            Brings::Password => {
                let data = self.registry.password_data().cloned()?;
                let lock = self.registry.password_lock();
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.lock = lock;
                }
                let ip = self.conns.get(&id)?.remote?.ip();
                if let Err(wait) = self.guesses.begin(id, ip, self.cx.now, &self.cx.config.limits) {
                    let why = Why::TooManyAttempts;
                    let refusal = Refusal { wait_ms: Some(wait), ..Refusal::of(why) };
                    self.refuse_with(id, refusal);
                    return None;
                }
                Some(Entrance::Password(data))
            }
            Brings::Invitation => Some(Entrance::Invitations(self.findable())),
        };
        let home = Home {
            room: self.room.id,
            founder: self.registry.founder(),
            nonce: self.registry.nonce(),
            chain: self.registry.my_chain(),
        };
        entrance.map(|entrance| Plan::Admit { home, entrance })
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
        let Some(conn) = self.conns.get(&id) else { return };
        let (role, enters) = (conn.role, conn.enters);
        if role != Role::Session {
            return self.lane_shown(id, member);
        }
        if matches!(&conn.purpose, Some(Purpose::Redial(expected)) if *expected != member) {
            return self.refuse(id, Why::Unexpected);
        }
        if member == self.cx.my_id {
            return self.refuse(id, Why::IdentityInUse);
        }
        if enters.is_some() {
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
            return self.refuse(id, why);
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
                let knows = self.conns.get(&id).is_some_and(|conn| conn.same_room);
                let (why, record) = (Why::Removed, Some(record).filter(|_| knows));
                self.refuse_with(id, Refusal { record, ..Refusal::of(why) });
            }
            None => self.cx.effect(Effect::Judge { conn: id, known: true }),
        }
    }

    /// Somebody who is no member: it is shown who put it out.
    pub(in crate::router) fn refuse_outsider(
        &mut self,
        id: ConnId,
        record: Option<Arc<SignedRecord>>,
    ) {
        let removed = record.as_ref().is_some_and(|of| of.is_removal());
        let why = if removed { Why::Removed } else { Why::NotMember };
        let by = record.as_ref().map(|record| record.record.by());
        let steward = by.and_then(|by| self.registry.steward_ticket_of(&by));
        self.refuse_with(id, Refusal { why, wait_ms: None, record, steward });
    }

    /// A room lets us in: whether it is the one that was asked for, and who lets us in is a member.
    pub(in crate::router) fn welcomed(
        &mut self,
        id: ConnId,
        member: MemberId,
        home: &Home,
        invitation: Option<Arc<SignedInvitation>>,
    ) {
        let Some(conn) = self.conns.get(&id) else { return };
        if member == self.cx.my_id {
            return self.refuse(id, Why::IdentityInUse);
        }
        // What was brought opens the room that was asked for; it does not lead into another.
        let other = home.room != self.room.id;
        if other && (conn.same_room || self.room.settled) {
            return self.refuse(id, Why::OtherRoom);
        }
        let shown = home.chain.iter().map(|record| (record.id, &record.record));
        let known = self.registry.records().filter(|_| !other);
        let known = known.map(|record| (record.id, &record.record));
        let membership = Membership::of(home.founder, shown.chain(known));
        let maker = invitation.map(|invitation| invitation.body.maker);
        if membership.is_member(&member) && maker.is_none_or(|maker| membership.is_member(&maker)) {
            self.cx.effect(Effect::Judge { conn: id, known: true });
        } else {
            self.refuse(id, Why::Protocol);
        }
    }

    pub(in crate::router) fn identified(&mut self, id: ConnId, member: MemberId, outcome: Outcome) {
        let Some(conn) = self.conns.get(&id) else { return };
        let remote = conn.remote;
        if conn.role != Role::Session {
            return self.lane_identified(id, member);
        }
        let (room, reason) = match outcome {
            Outcome::Recognised => (self.room.id, Reason::Recognised),
            Outcome::Admitted { how, claim } => {
                if let Some(remote) = remote {
                    self.guesses.succeeded(id, remote.ip());
                }
                if let Some(why) = self.is_shut_again(id, &member, how, claim.as_ref()) {
                    return self.refuse(id, why);
                }
                let Some(ticket) = self.issue(member, how, claim) else {
                    return self.refuse(id, Why::Full);
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
        if let Some(conn) = self.conns.get_mut(&id) {
            let agreement = Agreement::new(member, room, reason);
            conn.stage = Stage::Agreeing(Box::new(agreement));
        }
        match self.link_of(&member) {
            Some((older, _)) => self.doubt(id, older),
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
                let lock = self.conns.get(&id).and_then(|conn| conn.lock);
                (lock.is_none() || lock != registry.password_lock()).then_some(Why::Busy)
            }
            (_, Some(claim)) => {
                registry.why_over(&claim.invitation, Some(member), self.cx.wall_ms())
            }
            _ => None,
        }
    }

    /// A second connection of a pair: the older must answer a ping, or it is replaced.
    fn doubt(&mut self, id: ConnId, older: ConnId) {
        let now = self.cx.now;
        if let Some(agreement) = self.agreement_mut(id) {
            agreement.doubts = Some(now);
        }
        self.ping(older);
    }

    /// The older link of `member` lives: the newer connection of the pair is refused.
    pub(in crate::router) fn link_lives(
        &mut self,
        member: MemberId,
        run: crate::router::ids::RunId,
    ) {
        let doubting: Vec<_> = self
            .conns
            .iter()
            .filter_map(|(id, conn)| {
                let agreement = conn.agreement()?;
                let doubts = agreement.member == member && agreement.doubts.is_some();
                doubts.then_some((*id, conn.their_run == Some(run)))
            })
            .collect();
        for (id, same_run) in doubting {
            if same_run {
                self.refuse(id, Why::Crossing);
            } else {
                let name = self.members.who(&member).marked();
                self.refuse(id, Why::IdentityInUse);
                self.cx.remark(format!(
                    "a second program tried to connect with the identity of {name} and was refused"
                ));
            }
        }
    }

    /// The peer refused, before or after the link was up.
    pub(in crate::router) fn refused(&mut self, id: ConnId, refusal: &Refusal) {
        self.cx.effect(Effect::Close { conn: id });
        self.forget_conn(id, Closed::Refused(refusal.clone()), Some(refusal));
    }
}
