//! From a channel to a link: Hellos, the verdict, the reservation, the agreement, the commit.

use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::event::{Closed, Effect, Outcome, Plan};
use super::ids::{ConnId, MemberId};
use super::links::{Agreement, Conn, Grounds, Link, Purpose, Stage, Verdict, decide, plain_ip};
use super::lock::LockState;
use super::message::{Hello, Message, Refusal, Why};
use super::notice::Notice;
use super::signed::{SignedPresence, SignedRecord};
use super::{Router, is_loopback};
use crate::crypto::binding::{Role, Side};

impl Router {
    pub(super) fn guesses_end(&mut self, conn: ConnId) {
        self.guesses.end(conn);
    }

    pub(super) fn conn_opened(&mut self, conn: ConnId, side: Side, role: Role, remote: SocketAddr) {
        let now = self.now;
        let opened = self.conns.entry(conn).or_insert_with(|| Conn {
            side,
            role,
            remote: None,
            purpose: None,
            began: now,
            my_hello: None,
            their_run: None,
            with_password: false,
            planned: None,
            stage: Stage::Opening,
        });
        opened.remote = Some(remote);
        opened.began = now;
        let purpose = opened.purpose.clone();
        let attempt = match purpose {
            Some(Purpose::Attempt(attempt)) => self.attempts.get(attempt),
            _ => None,
        };
        let moves = attempt.is_some();
        let password = attempt.is_some_and(|attempt| attempt.password.is_some());
        let hello = Hello {
            run: self.config.run,
            settled: self.room.settled,
            locked: self.room.lock.is_locked(),
            joining: role == Role::Session && self.is_moving(),
            moves,
            password,
        };
        let room = self.room.id;
        if let Some(opened) = self.conns.get_mut(&conn) {
            opened.my_hello = Some((hello.clone(), room));
            opened.with_password = password;
        }
        self.effect(Effect::SendHello { conn, hello, room });
    }

    fn is_moving(&self) -> bool {
        self.reserved.is_some() || self.commands.locking
    }

    pub(super) fn hello_arrived(&mut self, id: ConnId, theirs: &Hello, same_room: bool) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let Some((mine, room)) = conn.my_hello.clone() else { return };
        conn.their_run = Some(theirs.run);
        let (side, role) = (conn.side, conn.role);
        if role != Role::Session {
            return self.lane_hello(id, theirs, same_room);
        }
        let verdict = match side {
            Side::Dialer => decide(&mine, theirs, same_room),
            Side::Listener => decide(theirs, &mine, same_room),
        };
        let stale = room != self.room.id
            || mine.settled != self.room.settled
            || mine.locked != self.room.lock.is_locked();
        let moves_me = matches!(verdict, Verdict::Merge)
            || matches!(verdict, Verdict::Join(joiner) if joiner == side);
        let refusal = match verdict {
            Verdict::Refuse(why) => Some(why),
            _ if stale => Some(Why::Busy),
            _ if self.crossing_loses(id) => Some(Why::Crossing),
            Verdict::Prove => None,
            _ if self.is_moving() => Some(Why::Busy),
            _ => None,
        };
        if let Some(why) = refusal {
            return self.refuse(id, why);
        }
        if self.links().count() >= self.limits().peers {
            return self.refuse(id, Why::Full);
        }
        let Some(plan) = self.plan_for(id, verdict, moves_me) else { return };
        if moves_me {
            self.reserved = Some(id);
        }
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.stage = Stage::Planned;
            conn.planned = Some(self.room.lock.mark());
        }
        self.effect(Effect::Proceed { conn: id, plan });
    }

    fn plan_for(&mut self, id: ConnId, verdict: Verdict, moves_me: bool) -> Option<Plan> {
        let newest = self.room.lock.newest().clone();
        match verdict {
            Verdict::Refuse(_) => None,
            Verdict::Prove => Some(Plan::Prove { room: self.room.id, keys: self.room.lock.keys() }),
            Verdict::Merge => {
                Some(Plan::Merge { room: self.room.id, key: newest.body.key.clone() })
            }
            Verdict::Join(_) if moves_me => {
                let attempt = match self.conns.get(&id)?.purpose {
                    Some(Purpose::Attempt(attempt)) => self.attempts.get(attempt),
                    _ => None,
                };
                let password = attempt.and_then(|attempt| attempt.password.clone());
                Some(Plan::Join { password })
            }
            Verdict::Join(_) => {
                if newest.body.lock.is_some() {
                    let ip = self.conns.get(&id)?.remote?.ip();
                    if let Err(wait) = self.guesses.begin(id, ip, self.now, &self.config.limits) {
                        let why = Why::TooManyAttempts;
                        let refusal = Refusal { why, wait_ms: Some(wait), port: None };
                        self.refuse_with(id, refusal);
                        return None;
                    }
                    if let Some(conn) = self.conns.get_mut(&id) {
                        conn.with_password = true;
                    }
                }
                Some(Plan::Grant { room: self.room.id, record: newest })
            }
        }
    }

    /// Two dials of one pair that cross: the one dialled by the smaller run id stays, unless the
    /// other is further along. Returns whether `id` is the one to refuse.
    fn crossing_loses(&mut self, id: ConnId) -> bool {
        let Some(conn) = self.conns.get(&id) else { return false };
        let Some(theirs) = conn.their_run else { return false };
        let dialled_by = |side| if side == Side::Dialer { self.config.run } else { theirs };
        let ours_wins = dialled_by(conn.side) == theirs.min(self.config.run);
        let rival = self.conns.iter().find(|(other_id, other)| {
            **other_id != id
                && other.their_run == Some(theirs)
                && other.role == Role::Session
                && !matches!(other.stage, Stage::Linked(_) | Stage::Opening)
        });
        let Some((rival, other)) = rival.map(|(id, conn)| (*id, conn)) else { return false };
        let committed = matches!(&other.stage, Stage::Agreeing(agreement) if agreement.sent_ready);
        if committed || other.side == conn.side || !ours_wins {
            return true;
        }
        self.refuse(rival, Why::Crossing);
        false
    }

    pub(super) fn identified(&mut self, id: ConnId, member: MemberId, outcome: Outcome) {
        let Some(conn) = self.conns.get(&id) else { return };
        if conn.role != Role::Session {
            return self.lane_identified(id, member);
        }
        let remote = conn.remote;
        if matches!(&conn.purpose, Some(Purpose::Redial(expected)) if *expected != member) {
            return self.refuse(id, Why::Unexpected);
        }
        if member == self.my_id {
            return self.refuse(id, Why::IdentityInUse);
        }
        let (room, grounds) = match outcome {
            Outcome::Proven { common, newest } => {
                (self.room.id, Grounds::Member { common, newest })
            }
            Outcome::Merged { room, key } => {
                let ours = self.room.lock.newest().body.key.clone();
                let (room, key) =
                    if room < self.room.id { (room, key) } else { (self.room.id, ours) };
                (room, Grounds::Merged { key })
            }
            Outcome::Granted => {
                if let (Some(remote), true) = (remote, conn.with_password) {
                    self.guesses.succeeded(id, remote.ip());
                }
                (self.room.id, Grounds::Granted)
            }
            // A password opens the room that was asked for; it does not lead into another.
            Outcome::Joined { room, .. } if self.room.settled && room != self.room.id => {
                return self.refuse(id, Why::OtherRoom);
            }
            Outcome::Joined { room, record } => (room, Grounds::Joined { record }),
        };
        let agreement = Agreement {
            member,
            room,
            grounds,
            our_mark: self.room.lock.mark(),
            sent_ready: false,
            doubts: None,
            presence: None,
            early: None,
        };
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.stage = Stage::Agreeing(Box::new(agreement));
        }
        if let Some((older, _)) = self.link_of(&member) {
            self.doubt(id, older);
        } else {
            self.agree(id);
        }
    }

    /// A second connection of a pair: the older must answer a ping, or it is replaced.
    fn doubt(&mut self, id: ConnId, older: ConnId) {
        let now = self.now;
        if let Some(Stage::Agreeing(agreement)) =
            self.conns.get_mut(&id).map(|conn| &mut conn.stage)
        {
            agreement.doubts = Some(now);
        }
        self.ping(older);
    }

    /// The older link of `member` lives: the newer connection of the pair is refused.
    pub(super) fn link_lives(&mut self, member: MemberId, run: super::ids::RunId) {
        let doubting: Vec<_> = self
            .conns
            .iter()
            .filter_map(|(id, conn)| match &conn.stage {
                Stage::Agreeing(agreement)
                    if agreement.member == member && agreement.doubts.is_some() =>
                {
                    Some((*id, conn.their_run == Some(run)))
                }
                _ => None,
            })
            .collect();
        for (id, same_run) in doubting {
            if same_run {
                self.refuse(id, Why::Crossing);
            } else {
                let name = self.who(&member).marked();
                self.refuse(id, Why::IdentityInUse);
                self.remark(format!(
                    "a second program tried to connect with the identity of {name} and was refused"
                ));
            }
        }
    }

    /// Says what the peer lacks of lock records, and that we are ready, once we agree.
    pub(super) fn agree(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(&id) else { return };
        let Stage::Agreeing(agreement) = &conn.stage else { return };
        let (member, room) = (agreement.member, agreement.room);
        if agreement.sent_ready || agreement.doubts.is_some() {
            return;
        }
        if self.grant_is_stale(id) {
            return self.refuse(id, Why::Busy);
        }
        let mut records = Vec::new();
        if let Grounds::Member { common, newest } = &agreement.grounds {
            let ours = self.room.lock.mark();
            if ours < *newest {
                return; // Its records come first.
            }
            if ours > *newest {
                if self.room.lock.is_locked() && !self.room.lock.lists(&member) {
                    return self.refuse(id, Why::NotListed);
                }
                records = self.room.lock.after(common).unwrap_or_default();
            }
        }
        for record in records {
            self.effect(Effect::Send { conn: id, message: Message::Record(record) });
        }
        let presence = self.sign_presence_for(&room);
        self.effect(Effect::Send { conn: id, message: Message::Presence(presence) });
        let seen = self.conns.get(&id).and_then(|conn| conn.remote).map(|remote| remote.ip());
        let seen = plain_ip(seen.unwrap_or(core::net::Ipv4Addr::UNSPECIFIED.into()));
        let port = self.presence.port().unwrap_or(0);
        self.effect(Effect::Send { conn: id, message: Message::Ready { port, seen } });
        if let Some(Stage::Agreeing(agreement)) =
            self.conns.get_mut(&id).map(|conn| &mut conn.stage)
        {
            agreement.sent_ready = true;
            agreement.our_mark = self.room.lock.mark();
            if let Some((port, seen)) = agreement.early.take() {
                self.commit(id, port, seen);
            }
        }
    }

    /// A message on a connection that is not a link yet.
    pub(super) fn said_before_link(&mut self, id: ConnId, message: Message) {
        let Some(Stage::Agreeing(agreement)) = self.conns.get_mut(&id).map(|conn| &mut conn.stage)
        else {
            return;
        };
        match message {
            Message::Presence(record) if record.body.member == agreement.member => {
                agreement.presence = Some(record);
            }
            Message::Record(record) => {
                let member_grounds = matches!(agreement.grounds, Grounds::Member { .. });
                if agreement.sent_ready || !member_grounds {
                    return self.refuse(id, Why::Protocol);
                }
                let member = agreement.member;
                if self.record_arrived(id, &record) {
                    self.agree(id);
                } else if record.rank() < self.room.lock.newest().rank() {
                    self.refuse(id, Why::Busy);
                } else {
                    self.locked_out(member);
                    self.refuse(id, Why::NotListed);
                }
            }
            Message::Ready { port, seen } if agreement.sent_ready => {
                self.commit(id, port, plain_ip(seen));
            }
            Message::Ready { port, seen } => agreement.early = Some((port, plain_ip(seen))),
            Message::Refuse(refusal) => self.refused(id, &refusal),
            _ => self.refuse(id, Why::Protocol),
        }
    }

    /// The lock changed since somebody was let in under it: an open door that was locked
    /// meanwhile, or a password that is no longer the one.
    fn grant_is_stale(&self, id: ConnId) -> bool {
        let Some(conn) = self.conns.get(&id) else { return true };
        let granted =
            matches!(&conn.stage, Stage::Agreeing(a) if matches!(a.grounds, Grounds::Granted));
        granted && conn.planned != Some(self.room.lock.mark())
    }

    fn commit(&mut self, id: ConnId, port: u16, seen: IpAddr) {
        let Some(conn) = self.conns.get(&id) else { return };
        let Stage::Agreeing(agreement) = &conn.stage else { return };
        let agreement = agreement.clone();
        let (member, with_password) = (agreement.member, conn.with_password);
        let (Some(run), Some(record)) = (conn.their_run, agreement.presence.clone()) else {
            return self.refuse(id, Why::Protocol);
        };
        if self.grant_is_stale(id) {
            return self.refuse(id, Why::Busy);
        }
        // Whoever proved an older key only is a member if the newest record says so.
        if let Grounds::Member { common, .. } = agreement.grounds {
            let lock = &self.room.lock;
            if lock.is_locked() && common != lock.mark() && !lock.lists(&member) {
                return self.refuse(id, Why::NotListed);
            }
        }
        let full = self.links().count() >= self.limits().peers;
        if full && self.link_of(&member).is_none() {
            return self.refuse(id, Why::Full);
        }
        let moving = agreement.room != self.room.id;
        let changed = self.room.lock.mark() != agreement.our_mark;
        if (moving && self.reserved != Some(id)) || (changed && !with_password) {
            return self.refuse(id, Why::Busy);
        }
        match agreement.grounds {
            Grounds::Merged { ref key } if moving => {
                let first = SignedRecord::first(&agreement.room, key.clone());
                self.take_room(&agreement, first);
            }
            Grounds::Joined { ref record } if moving => {
                self.take_room(&agreement, record.clone());
            }
            // Whoever comes back by password takes the lock that the password opened, whatever
            // its rank: that is what the person asked for. Only a host that lags behind us
            // learns our record instead.
            Grounds::Joined { ref record } if !self.room.lock.knows(record) => {
                let mine = self.room.lock.newest().body.setter == Some(self.my_id);
                let overruled = mine && self.room.lock.newest().body.epoch >= record.body.epoch;
                self.room.lock.adopt(record.clone());
                self.lock_changed(record, overruled, Some(id));
            }
            _ => {}
        }
        if self.reserved == Some(id) {
            self.reserved = None;
        }
        self.room.settled = true;
        self.link_up(id, member, run, &record, port, seen);
        // Who came by password may still hold another record than the one who let it in.
        let mark = (!with_password).then(|| self.room.lock.mark());
        self.mark_link(id, |link| {
            link.say_record = with_password && !moving;
            link.record_said = mark;
        });
        self.run_deferred();
    }

    fn take_room(&mut self, agreement: &Agreement, record: Arc<SignedRecord>) {
        let lock = LockState::new(record, self.limits().lock_records);
        self.move_to(agreement.room, lock, agreement.member);
    }

    fn link_up(
        &mut self,
        id: ConnId,
        member: MemberId,
        run: super::ids::RunId,
        record: &Arc<SignedPresence>,
        port: u16,
        seen: IpAddr,
    ) {
        let mut link = Link::new(member, run, self.now, self.limits());
        link.say_presence = self.present_with_records();
        link.say_presence.remove(&member);
        link.say_presence.remove(&self.my_id);
        link.say_hosting = self.sharing.files();
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.stage = Stage::Linked(Box::new(link));
        }
        self.dirty.insert(id);
        self.effect(Effect::Linked { conn: id, member });
        self.presence_linked(id, member, record, port, seen);
        self.receipts_for(member);
        let info = self.member_info(&member);
        let newly = self
            .roster
            .members
            .get_mut(&member)
            .is_some_and(|known| !std::mem::replace(&mut known.present, true));
        self.room.ever_met = true;
        if !std::mem::replace(&mut self.room.announced, true) {
            let (room, locked) = (self.room.id, self.room.lock.is_locked());
            self.notify(Notice::Joined { room, members: vec![info], locked });
        } else if newly {
            self.notify(Notice::MemberJoined { member: info });
        }
        self.beware_of(&member);
        self.attempt_linked(id, member);
    }

    /// The peer refused, before or after the link was up.
    pub(super) fn refused(&mut self, id: ConnId, refusal: &Refusal) {
        self.effect(Effect::Close { conn: id });
        self.forget_conn(id, Closed::Refused(refusal.clone()), Some(refusal));
    }

    pub(super) fn conn_closed(&mut self, id: ConnId, how: Closed) {
        let refusal = match &how {
            Closed::Refused(refusal) => Some(refusal.clone()),
            _ => None,
        };
        self.forget_conn(id, how, refusal.as_ref());
    }

    /// A connection is over: whoever waited for it is told. Safe to call twice.
    pub(super) fn forget_conn(&mut self, id: ConnId, how: Closed, refusal: Option<&Refusal>) {
        let Some(conn) = self.conns.remove(&id) else { return };
        self.dirty.remove(&id);
        // A guesser may call it off in the same words.
        let ours = |refusal: &Refusal| {
            how == Closed::ByUs && matches!(refusal.why, Why::Crossing | Why::Busy)
        };
        if self.guesses.end(id)
            && !refusal.is_some_and(ours)
            && let Some(remote) = conn.remote
        {
            self.guess_failed(remote.ip());
        }
        let asked = self.asked.len();
        self.asked.retain(|_, (conn, _)| *conn != id);
        if self.asked.len() < asked {
            self.mark_links(|_| {}); // Others may be asked now.
        }
        if self.reserved == Some(id) {
            self.reserved = None;
            self.run_deferred();
        }
        let agreed = match &conn.stage {
            Stage::Agreeing(agreement) => Some(agreement.member),
            _ => None,
        };
        match &conn.stage {
            Stage::Linked(link) => self.link_down(id, link, &how, refusal),
            Stage::Lane { member, .. } => self.lane_down(id, *member),
            _ => {}
        }
        match conn.purpose {
            Some(Purpose::Attempt(attempt)) if conn.link().is_none() => {
                self.attempt_ended(attempt, &conn, how, refusal, agreed);
            }
            Some(Purpose::Redial(member)) if conn.link().is_none() => {
                self.redial_failed(member, &how, refusal);
            }
            Some(Purpose::Lane(member))
                if !matches!(conn.stage, Stage::Lane { open: true, .. }) =>
            {
                self.lane_failed(member, &conn);
            }
            _ => {
                if let (Some(member), Some(Why::NotListed)) = (agreed, refusal.map(|r| r.why)) {
                    self.maybe_locked_out(member, &how);
                }
            }
        }
    }

    pub(super) fn maybe_locked_out(&mut self, member: MemberId, how: &Closed) {
        if matches!(how, Closed::Refused(_)) {
            self.locked_out(member);
        }
    }

    /// Loopback may be taught by whoever is on loopback itself.
    pub(super) fn on_loopback(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).and_then(|conn| conn.remote).is_some_and(|r| is_loopback(r.ip()))
    }
}
