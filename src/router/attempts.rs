//! A person's `connect` or `/join`: dial, ask for a password if need be, try again when both are
//! busy, and end when the room's history is here.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use super::Router;
use super::admission::Brought;
use super::command::{Command, LockWish};
use super::event::{Closed, Effect, Target};
use super::ids::{ConnId, FaceId, MemberId};
use super::invite_link::InviteLink;
use super::links::{Conn, Purpose};
use super::message::{Refusal, Why};
use super::notice::{Code, Failure, Notice};
use super::time::{Earliest, Millis};
use crate::crypto::password::Password;

/// Passwords asked of a person for one command.
const PASSWORD_TRIES: u32 = 3;
/// How long `connect` goes on trying when the other side is busy.
const BUSY_MS: u64 = 10_000;
/// A one-shot tries again so soon.
const AGAIN_MS: u64 = 1_000;
/// How long `connect` waits for the history.
const HISTORY_MS: u64 = 10_000;

#[derive(Debug, PartialEq, Eq)]
enum State {
    Dialling(ConnId),
    AskingPassword,
    /// Busy or crossing: dial again then.
    Retry(Millis),
    /// Linked: wait for the history of this member.
    Syncing {
        member: MemberId,
        until: Millis,
    },
}

/// One `connect`.
#[derive(Debug)]
pub(super) struct Attempt {
    face: FaceId,
    line: u64,
    host: String,
    port: u16,
    /// Further addresses of an invitation.
    elsewhere: Vec<SocketAddr>,
    /// What the first who answered at one of them had against it. Anybody may live there by now,
    /// so the others are tried all the same.
    refused: Option<Failure>,
    pub(super) brought: Brought,
    tries: u32,
    began: Millis,
    /// What fails is tried again until then, and people are told once.
    patience: Option<Millis>,
    told: bool,
    state: State,
}

/// All that are under way.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    next: u64,
    all: BTreeMap<u64, Attempt>,
    /// Of the attempt that is just being made.
    patience: Option<Millis>,
}

impl Attempts {
    pub(super) fn get(&self, id: u64) -> Option<&Attempt> {
        self.all.get(&id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl Router {
    /// `connect` or `/join` that tries again for as long as it may still work.
    pub(super) fn reach(&mut self, face: FaceId, line: u64, by: Command, within_ms: u64) {
        self.attempts.patience = Some(self.cx.now.plus(within_ms));
        match by {
            Command::Connect { host, port, lock } => self.connect(face, line, host, port, lock),
            Command::Join { link } => self.join(face, line, link),
            // Nothing else leads anywhere.
            other => self.cx.reply(face, line, other.word(), Ok(())),
        }
        self.attempts.patience = None;
    }

    pub(super) fn connect(
        &mut self,
        face: FaceId,
        line: u64,
        host: String,
        port: u16,
        lock: LockWish,
    ) {
        let id = self.attempts.next;
        self.attempts.next += 1;
        let brought = match &lock {
            LockWish::Password(password) => Brought::Password(password.clone()),
            LockWish::Unknown | LockWish::Locked => Brought::Nothing,
        };
        let attempt = Attempt {
            face,
            line,
            host,
            port,
            elsewhere: Vec::new(),
            refused: None,
            brought,
            tries: 0,
            began: self.cx.now,
            patience: self.attempts.patience,
            told: false,
            state: State::AskingPassword,
        };
        self.attempts.all.insert(id, attempt);
        if lock == LockWish::Locked {
            self.ask_password(id, false);
        } else {
            self.dial_attempt(id);
        }
    }

    /// Enters a room by an invitation: its addresses are tried one after the other.
    pub(super) fn join(&mut self, face: FaceId, line: u64, link: InviteLink) {
        let mut addrs = link.addrs.clone();
        addrs.reverse();
        let Some(first) = addrs.pop() else {
            let text = "the invitation names no address: ask for a new one while its maker is \
                        on a network";
            return self.cx.reply(face, line, "join", Err(Failure::new(Code::Unreachable, text)));
        };
        let id = self.attempts.next;
        self.attempts.next += 1;
        let attempt = Attempt {
            face,
            line,
            host: first.ip().to_string(),
            port: first.port(),
            elsewhere: addrs,
            refused: None,
            brought: Brought::Invitation(link),
            tries: 0,
            began: self.cx.now,
            patience: self.attempts.patience,
            told: false,
            state: State::AskingPassword,
        };
        self.attempts.all.insert(id, attempt);
        self.dial_attempt(id);
    }

    /// Goes on with the next address; false if there is none.
    fn try_elsewhere(&mut self, id: u64) -> bool {
        let Some(attempt) = self.attempts.all.get_mut(&id) else { return false };
        let Some(next) = attempt.elsewhere.pop() else { return false };
        (attempt.host, attempt.port) = (next.ip().to_string(), next.port());
        attempt.began = self.cx.now;
        self.dial_attempt(id);
        true
    }

    /// Nobody came in at this address: the next, or what was said at the first that answered.
    fn not_here(&mut self, id: u64, failure: Failure) {
        if self.try_elsewhere(id) {
            return;
        }
        let refused = self.attempts.all.get_mut(&id).and_then(|attempt| attempt.refused.take());
        self.end_attempt(id, Err(refused.unwrap_or(failure)));
    }

    /// The same for somebody who answered.
    fn refused_here(&mut self, id: u64, failure: Failure) {
        if let Some(attempt) = self.attempts.all.get_mut(&id) {
            attempt.refused.get_or_insert_with(|| failure.clone());
        }
        self.not_here(id, failure);
    }

    fn dial_attempt(&mut self, id: u64) {
        let Some(attempt) = self.attempts.all.get(&id) else { return };
        let target = Target::Host { host: attempt.host.clone(), port: attempt.port };
        let conn = self.dial(target, Purpose::Attempt(id));
        if let Some(attempt) = self.attempts.all.get_mut(&id) {
            attempt.state = State::Dialling(conn);
        }
    }

    fn ask_password(&mut self, id: u64, again: bool) {
        let Some(attempt) = self.attempts.all.get_mut(&id) else { return };
        attempt.state = State::AskingPassword;
        let (face, line) = (attempt.face, attempt.line);
        let address = format_address(&attempt.host, attempt.port);
        self.cx.effect(Effect::AskPassword { face, line, address, again });
    }

    /// Answers a question of this face and line, if it was one of an attempt.
    pub(super) fn attempt_password(
        &mut self,
        face: FaceId,
        line: u64,
        password: Option<Password>,
    ) -> bool {
        let asking = self.attempts.all.iter_mut().find(|(_, attempt)| {
            attempt.face == face && attempt.line == line && attempt.state == State::AskingPassword
        });
        let Some((id, attempt)) = asking else { return false };
        let id = *id;
        match password {
            Some(password) => {
                attempt.brought = Brought::Password(password);
                attempt.began = self.cx.now;
                self.dial_attempt(id);
            }
            None => {
                let failure = match (attempt.tries, &attempt.brought) {
                    (1.., Brought::Password(_)) => {
                        self.refusal_failure(id, &Refusal::of(Why::WrongPassword))
                    }
                    _ => Failure::new(
                        Code::PasswordRequired,
                        format!(
                            "the room at {} is closed and needs its password",
                            place(&attempt.host, attempt.port)
                        ),
                    ),
                };
                self.end_attempt(id, Err(failure));
            }
        }
        true
    }

    pub(super) fn dial_failed(&mut self, conn: ConnId, failure: Failure) {
        let Some(dialled) = self.conns.remove(&conn) else { return };
        match dialled.purpose {
            Some(Purpose::Attempt(id)) => self.not_here(id, failure),
            Some(Purpose::Redial(member)) => self.redial_failed(member, None),
            Some(Purpose::Lane(member)) => self.lane_failed(member, &dialled),
            None => {}
        }
    }

    /// The connection of an attempt became a link.
    pub(super) fn attempt_linked(&mut self, conn: ConnId, member: MemberId) {
        let until = self.cx.now.plus(HISTORY_MS);
        let dialled =
            self.attempts.all.values_mut().find(|attempt| attempt.state == State::Dialling(conn));
        if let Some(attempt) = dialled {
            attempt.state = State::Syncing { member, until };
        }
    }

    /// The connection of an attempt ended without a link.
    pub(super) fn attempt_ended(
        &mut self,
        id: u64,
        conn: &Conn,
        how: Closed,
        refusal: Option<&Refusal>,
        agreed: Option<MemberId>,
    ) {
        let Some(attempt) = self.attempts.all.get_mut(&id) else { return };
        let linked = conn
            .their_run
            .and_then(|run| self.conns.values().filter_map(Conn::link).find(|l| l.run == run))
            .map(|link| link.member);
        let Some(refusal) = refusal else {
            let failure = failure_of(&attempt.host, attempt.port, &how);
            return self.not_here(id, failure);
        };
        if how == Closed::ByUs && matches!(refusal.why, Why::NotMember | Why::Removed) {
            let at = place(&attempt.host, attempt.port);
            let text = format!("whoever answers at {at} is not a member of this room");
            return self.refused_here(id, Failure::new(Code::Unreachable, text));
        }
        let brings_nothing = attempt.brought == Brought::Nothing;
        let last = attempt.elsewhere.is_empty();
        match refusal.why {
            Why::Busy | Why::Crossing if linked.is_none() => self.try_later(id, refusal),
            // Of two who dial each other at once, one may be in the room of the other already.
            Why::Busy | Why::Crossing | Why::InARoom | Why::OtherRoom if linked.is_some() => {
                let member = linked.unwrap_or_default();
                let until = self.cx.now.plus(HISTORY_MS);
                attempt.state = State::Syncing { member, until };
                if refusal.why == Why::Crossing && agreed.is_some() {
                    let name = self.members.who(&member).marked();
                    self.cx.remark(format!("you are already linked with {name}"));
                }
            }
            Why::Locked | Why::NotMember if brings_nothing && conn.their_password => {
                self.ask_password(id, false);
            }
            Why::WrongPassword if attempt.tries + 1 < PASSWORD_TRIES => {
                attempt.tries += 1;
                self.ask_password(id, true);
            }
            Why::Locked | Why::NotMember if !conn.their_password => {
                let failure = self.refusal_failure(id, &Refusal::of(Why::NoPassword));
                self.refused_here(id, failure);
            }
            _ => {
                let failure = self.refusal_failure(id, refusal);
                let pause_ms = refusal.wait_ms.unwrap_or(0);
                if !last || !self.tries_again(id, &failure, pause_ms) {
                    self.refused_here(id, failure);
                }
            }
        }
    }

    fn try_later(&mut self, id: u64, refusal: &Refusal) {
        let wait = self.cx.rng.between(100, 300);
        let Some(attempt) = self.attempts.all.get_mut(&id) else { return };
        if self.cx.now.since(attempt.began) < BUSY_MS {
            attempt.state = State::Retry(self.cx.now.plus(wait));
        } else {
            let failure = self.refusal_failure(id, refusal);
            self.refused_here(id, failure);
        }
    }

    fn refusal_failure(&self, id: u64, refusal: &Refusal) -> Failure {
        let Some(attempt) = self.attempts.all.get(&id) else {
            return Failure::new(refusal.why.code(), "the connection was refused");
        };
        let at = place(&attempt.host, attempt.port);
        let wait = refusal.wait_ms.unwrap_or(0).div_ceil(1000);
        let text = match refusal.why {
            Why::Busy | Why::Crossing => {
                format!("{at} was busy with another connection for 10 s: try again")
            }
            // Whoever made it may be back soon, at that address or another.
            Why::SelfConnect if matches!(attempt.brought, Brought::Invitation(_)) => {
                let text = format!("nobody of that room answers: {at} is this klatch itself now");
                return Failure::new(Code::Unreachable, text);
            }
            Why::SelfConnect => format!("{at} is this klatch itself: connect to somebody else"),
            Why::Locked | Why::NotMember => {
                format!("the room at {at} is closed and needs its password")
            }
            Why::NoPassword => format!(
                "the room at {at} is closed and has no password: ask a member for an invitation"
            ),
            Why::Removed => match &refusal.record {
                Some(record) if self.is_own_record(record) => {
                    format!(
                        "{} removed you from this room",
                        self.members.who(&record.record.by()).marked()
                    )
                }
                _ => format!("{at} says that you were removed from the room there"),
            },
            Why::NoInvitation => {
                format!("nobody at {at} knows this invitation, or it was ended: ask for a new one")
            }
            Why::InvitationUsed => {
                format!("the invitation was used already, says {at}: ask for a new one")
            }
            Why::InvitationExpired => {
                format!("the time of the invitation is over, says {at}: ask for a new one")
            }
            Why::NotLocked => format!(
                "{at}, or somebody between, says that the room there is open, but a closed one \
                 was asked for; nothing was sent: connect without a password if that is what you \
                 want"
            ),
            Why::InARoom | Why::OtherRoom => self.in_a_room(&at),
            Why::DialerLocked => self.dialer_locked(&at),
            Why::WrongPassword => {
                format!("the password does not open the room at {at}: check it and try again")
            }
            Why::TooManyAttempts => format!("too many attempts at {at}: wait {wait} s"),
            Why::Full => format!("the room at {at} has no place for another peer"),
            Why::IdentityInUse => format!(
                "another program with the same identity is connected at {at}: end it, or start \
                 this one with another --data-dir"
            ),
            Why::Unexpected | Why::NoSession | Why::Protocol => {
                format!("{at} broke off the handshake: is it a klatch of another version?")
            }
            Why::Leaving => format!("the klatch at {at} is just leaving"),
        };
        Failure::new(refusal.why.code(), text)
    }

    /// Whether a record was signed for this very room.
    fn is_own_record(&self, record: &super::signed::SignedRecord) -> bool {
        self.registry.holds(&record.id)
    }

    fn in_a_room(&self, at: &str) -> String {
        let with = self.members.present().next().map(|(id, _)| self.members.who(id).marked());
        match with {
            Some(name) => format!("you are in a room with {name}; leave first"),
            None if self.room.settled || self.registry.is_closed() => {
                "you are in a room of your own; leave first".to_owned()
            }
            None => format!("{at} is in another room"),
        }
    }

    fn dialer_locked(&self, at: &str) -> String {
        let line = self.presence.first_address().map_or_else(
            || "connect <your address> <your port> locked".to_owned(),
            |addr| format!("connect {} {} locked", addr.ip(), addr.port()),
        );
        format!("your room is closed, so {at} has to come to you: let them type: {line}")
    }

    /// Whether a one-shot that was refused so tries again; `pause_ms` is what it was told to wait.
    fn tries_again(&mut self, id: u64, failure: &Failure, pause_ms: u64) -> bool {
        let pause = pause_ms.max(AGAIN_MS) + self.cx.rng.between(0, AGAIN_MS / 4);
        let Some(attempt) = self.attempts.all.get_mut(&id) else { return false };
        let again = self.cx.now.plus(pause);
        let may_pass = matches!(
            failure.code,
            Code::Unreachable | Code::Timeout | Code::RoomFull | Code::TooManyAttempts
        );
        let Some(until) = attempt.patience.filter(|until| may_pass && again < *until) else {
            return false;
        };
        attempt.state = State::Retry(again);
        attempt.began = again;
        if let Brought::Invitation(link) = &attempt.brought {
            attempt.elsewhere = link.addrs.iter().rev().copied().collect();
            if let Some(first) = attempt.elsewhere.pop() {
                (attempt.host, attempt.port) = (first.ip().to_string(), first.port());
            }
        }
        if !std::mem::replace(&mut attempt.told, true) {
            let (face, line) = (attempt.face, attempt.line);
            let seconds = until.since(self.cx.now) / 1_000;
            let text = format!("{} (trying again for up to {seconds} s)", failure.text);
            self.cx.effect(Effect::Tell { face, line, notice: Notice::Remark { text } });
        }
        true
    }

    fn end_attempt(&mut self, id: u64, result: Result<(), Failure>) {
        if let Err(failure) = &result
            && self.tries_again(id, failure, 0)
        {
            return;
        }
        if let Some(attempt) = self.attempts.all.remove(&id) {
            let joins = matches!(attempt.brought, Brought::Invitation(_));
            let word = if joins { "join" } else { "connect" };
            self.cx.reply(attempt.face, attempt.line, word, result);
        }
    }

    /// Ends what a person began and does not want any more. Who is in the room already stays there.
    pub(super) fn give_up(&mut self, face: FaceId, line: u64) {
        let given = |attempt: &Attempt| attempt.face == face && attempt.line == line;
        let found = self.attempts.all.iter().find(|(_, attempt)| given(attempt));
        let Some((&id, attempt)) = found else { return };
        let conn = match attempt.state {
            State::Syncing { .. } => return,
            State::Dialling(conn) => Some(conn),
            State::AskingPassword | State::Retry(_) => None,
        };
        let text = format!("you gave up joining at {}", place(&attempt.host, attempt.port));
        self.end_attempt(id, Err(Failure::new(Code::Cancelled, text)));
        if let Some(conn) = conn {
            self.cx.effect(Effect::Close { conn });
            self.forget_conn(conn, Closed::ByUs, None);
        }
    }

    pub(super) fn attempt_timers(&mut self) {
        let ids: Vec<_> = self.attempts.all.keys().copied().collect();
        for id in ids {
            match self.attempts.all.get(&id).map(|attempt| &attempt.state) {
                Some(State::Retry(at)) if *at <= self.cx.now => self.dial_attempt(id),
                Some(State::Syncing { member, until })
                    if *until <= self.cx.now || self.has_history_of(member) =>
                {
                    self.tell_unserved();
                    self.end_attempt(id, Ok(()));
                }
                _ => {}
            }
        }
    }

    fn has_history_of(&self, member: &MemberId) -> bool {
        self.members.conn_of(member).is_none_or(|conn| self.log.has_history_of(conn))
    }

    pub(super) fn attempt_deadlines(&self, earliest: &mut Earliest) {
        for attempt in self.attempts.all.values() {
            match attempt.state {
                State::Retry(at) | State::Syncing { until: at, .. } => earliest.at(at),
                State::Dialling(_) | State::AskingPassword => {}
            }
        }
    }

    /// Stops what a person had begun; used when the room is left.
    pub(super) fn drop_attempts(&mut self) {
        let ids: Vec<_> = self.attempts.all.keys().copied().collect();
        for id in ids {
            let failure = Failure::new(Code::Cancelled, "the room was left meanwhile");
            self.end_attempt(id, Err(failure));
        }
    }
}

fn place(host: &str, port: u16) -> String {
    format!("{} port {port}", super::text::Untrusted::new(host).line())
}

fn format_address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn failure_of(host: &str, port: u16, how: &Closed) -> Failure {
    let at = place(host, port);
    match how {
        Closed::Silent => Failure::new(
            Code::Timeout,
            format!("{at} accepted the connection but did not finish the handshake in time"),
        ),
        Closed::Gone | Closed::ByUs | Closed::Refused(_) => Failure::new(
            Code::Unreachable,
            format!("{at} closed the connection during the handshake: try again"),
        ),
        Closed::Protocol(what) => {
            Failure::new(Code::NotKlatch, format!("{at} does not speak klatch's protocol: {what}"))
        }
    }
}
