//! A person's `connect` or `/join`: dial, ask for a password if needed, retry when both are busy,
//! and end when the room's history is here.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use super::refused::{Here, broken_off, format_address, place, refused};
use crate::crypto::password::Password;
use crate::router::command::LockWish;
use crate::router::context::Context;
use crate::router::event::{Closed, Effect, Entry, Target};
use crate::router::ids::{ConnId, FaceId, MemberId};
use crate::router::invite_link::InviteLink;
use crate::router::message::{Brings, Refusal, Why};
use crate::router::notice::{Code, Failure, Notice};
use crate::router::order::Purpose;
use crate::router::time::Millis;
use crate::router::timers::Timer;

/// How many passwords a person is asked for in one command.
const PASSWORD_TRIES: u32 = 3;
/// How long `connect` retries when the other side is busy.
const BUSY_MS: u64 = 10_000;
/// How soon a one-shot retries.
const AGAIN_MS: u64 = 1_000;
/// How long `connect` waits for the history.
const HISTORY_MS: u64 = 10_000;

/// What a connecting person brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Brought {
    Nothing,
    Password(Password),
    Invitation(InviteLink),
}

/// How far an attempt has come.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Dialling(ConnId),
    AskingPassword,
    /// Busy or crossing: redial at this time.
    Retry(Millis),
    /// Linked: wait for this member's history.
    Syncing {
        member: MemberId,
        until: Millis,
    },
}

/// One `connect`.
#[derive(Debug)]
struct Attempt {
    face: FaceId,
    line: u64,
    host: String,
    port: u16,
    /// Further addresses of an invitation, the next one last.
    elsewhere: Vec<SocketAddr>,
    /// Why the first that answered at one of them refused. Anybody may have that address now, so
    /// the others are still tried.
    refused: Option<Failure>,
    brought: Brought,
    tries: u32,
    began: Millis,
    /// Failures are retried until then, and people are told once.
    patience: Option<Millis>,
    told: bool,
    progress: Progress,
}

impl Attempt {
    fn place(&self) -> String {
        place(&self.host, self.port)
    }

    /// Starts with an invitation's first address; false if it has none.
    fn begin_anew(&mut self, link: &InviteLink) -> bool {
        self.elsewhere = link.addrs.iter().rev().copied().collect();
        let first = self.elsewhere.pop();
        if let Some(first) = first {
            (self.host, self.port) = (first.ip().to_string(), first.port());
        }
        first.is_some()
    }
}

/// How an attempt's connection ended without a link.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) how: &'a Closed,
    pub(crate) refusal: Option<&'a Refusal>,
    /// Whether a password admits to the room there.
    pub(crate) their_password: bool,
    /// The peer, once it proved its identity.
    pub(crate) agreed: Option<MemberId>,
    /// The same program is linked over another connection, as this member.
    pub(crate) linked: Option<MemberId>,
}

/// All attempts in progress, by number.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    next: u64,
    all: BTreeMap<u64, Attempt>,
}

impl Attempts {
    /// What an attempt brings to the peer that answers.
    pub(crate) fn brings(&self, id: u64) -> Option<Brings> {
        Some(match self.all.get(&id)?.brought {
            Brought::Nothing => Brings::Nothing,
            Brought::Password(_) => Brings::Password,
            Brought::Invitation(_) => Brings::Invitation,
        })
    }

    /// The same with its secret.
    pub(crate) fn entry(&self, id: u64) -> Option<Entry> {
        Some(match &self.all.get(&id)?.brought {
            Brought::Nothing => Entry::Open,
            Brought::Password(password) => Entry::Password(password.clone()),
            Brought::Invitation(link) => Entry::Invitation(link.clone()),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Starts a `connect`; failures are retried until `patience` ends.
    pub(crate) fn connect(
        &mut self,
        cx: &mut Context,
        (face, line): (FaceId, u64),
        (host, port): (String, u16),
        lock: LockWish,
        patience: Option<Millis>,
    ) {
        let asks = lock == LockWish::Locked;
        let brought = match lock {
            LockWish::Password(password) => Brought::Password(password),
            LockWish::Unknown | LockWish::Locked => Brought::Nothing,
        };
        let id = self.add(cx, (face, line), (host, port), brought, patience);
        if asks {
            self.ask_password(cx, id, false);
        } else {
            self.dial(cx, id);
        }
    }

    /// Enters a room by an invitation: its addresses are tried one after another.
    pub(crate) fn join(
        &mut self,
        cx: &mut Context,
        (face, line): (FaceId, u64),
        link: InviteLink,
        patience: Option<Millis>,
    ) {
        let brought = Brought::Invitation(link.clone());
        let id = self.add(cx, (face, line), (String::new(), 0), brought, patience);
        if self.all.get_mut(&id).is_some_and(|attempt| attempt.begin_anew(&link)) {
            return self.dial(cx, id);
        }
        self.all.remove(&id);
        let text = "the invitation names no address: ask for a new one while its maker is on a \
                    network";
        cx.reply(face, line, "join", Err(Failure::new(Code::Unreachable, text)));
    }

    fn add(
        &mut self,
        cx: &Context,
        (face, line): (FaceId, u64),
        (host, port): (String, u16),
        brought: Brought,
        patience: Option<Millis>,
    ) -> u64 {
        let id = self.next;
        self.next += 1;
        let attempt = Attempt {
            face,
            line,
            host,
            port,
            elsewhere: Vec::new(),
            refused: None,
            brought,
            tries: 0,
            began: cx.now,
            patience,
            told: false,
            progress: Progress::AskingPassword,
        };
        self.all.insert(id, attempt);
        id
    }

    /// This address did not work: try the next, or report what the first that answered said.
    pub(crate) fn not_here(&mut self, cx: &mut Context, id: u64, failure: Failure) {
        let Some(attempt) = self.all.get_mut(&id) else { return };
        if let Some(next) = attempt.elsewhere.pop() {
            (attempt.host, attempt.port) = (next.ip().to_string(), next.port());
            attempt.began = cx.now;
            return self.dial(cx, id);
        }
        let refused = attempt.refused.take();
        self.end(cx, id, Err(refused.unwrap_or(failure)));
    }

    /// The same if somebody answered.
    fn refused_here(&mut self, cx: &mut Context, id: u64, failure: Failure) {
        if let Some(attempt) = self.all.get_mut(&id) {
            attempt.refused.get_or_insert_with(|| failure.clone());
        }
        self.not_here(cx, id, failure);
    }

    fn dial(&mut self, cx: &mut Context, id: u64) {
        let Some(attempt) = self.all.get_mut(&id) else { return };
        let target = Target::Host { host: attempt.host.clone(), port: attempt.port };
        let conn = cx.dial(target, Purpose::Attempt(id));
        self.go_on(cx, id, Progress::Dialling(conn));
    }

    fn ask_password(&mut self, cx: &mut Context, id: u64, again: bool) {
        self.go_on(cx, id, Progress::AskingPassword);
        let Some(attempt) = self.all.get(&id) else { return };
        let (face, line) = (attempt.face, attempt.line);
        let address = format_address(&attempt.host, attempt.port);
        cx.effect(Effect::AskPassword { face, line, address, again });
    }

    fn go_on(&mut self, cx: &mut Context, id: u64, progress: Progress) {
        let due = match progress {
            Progress::Retry(at) | Progress::Syncing { until: at, .. } => Some(at),
            Progress::Dialling(_) | Progress::AskingPassword => None,
        };
        if let Some(attempt) = self.all.get_mut(&id) {
            attempt.progress = progress;
            cx.timers.set(Timer::Attempt(id), due);
        }
    }

    /// Answers a question of this face and line, if it was one of an attempt.
    pub(crate) fn password_given(
        &mut self,
        cx: &mut Context,
        (face, line): (FaceId, u64),
        password: Option<Password>,
        here: &Here<'_>,
    ) -> bool {
        let asking = self.all.iter_mut().find(|(_, attempt)| {
            (attempt.face, attempt.line) == (face, line)
                && attempt.progress == Progress::AskingPassword
        });
        let Some((&id, attempt)) = asking else { return false };
        if let Some(password) = password {
            attempt.brought = Brought::Password(password);
            attempt.began = cx.now;
            self.dial(cx, id);
            return true;
        }
        let at = attempt.place();
        let failure = match (attempt.tries, &attempt.brought) {
            (1.., brought @ Brought::Password(_)) => {
                refused(&at, brought, &Refusal::of(Why::WrongPassword), here)
            }
            _ => {
                let text = format!("the room at {at} is closed and needs its password");
                Failure::new(Code::PasswordRequired, text)
            }
        };
        self.end(cx, id, Err(failure));
        true
    }

    /// An attempt's connection became a link.
    pub(crate) fn linked(&mut self, cx: &mut Context, conn: ConnId, member: MemberId) {
        let until = cx.now.plus(HISTORY_MS);
        let dialled = |attempt: &Attempt| attempt.progress == Progress::Dialling(conn);
        let found = self.all.iter().find(|(_, attempt)| dialled(attempt)).map(|(id, _)| *id);
        if let Some(id) = found {
            self.go_on(cx, id, Progress::Syncing { member, until });
        }
    }

    /// An attempt's connection ended without a link.
    pub(crate) fn conn_ended(
        &mut self,
        cx: &mut Context,
        id: u64,
        ended: &Ended<'_>,
        here: &Here<'_>,
    ) {
        let Some(attempt) = self.all.get_mut(&id) else { return };
        let at = attempt.place();
        let Some(refusal) = ended.refusal else {
            return self.not_here(cx, id, broken_off(&at, ended.how));
        };
        if *ended.how == Closed::ByUs && matches!(refusal.why, Why::NotMember | Why::Removed) {
            let text = format!("whoever answers at {at} is not a member of this room");
            return self.refused_here(cx, id, Failure::new(Code::Unreachable, text));
        }
        let brings_nothing = attempt.brought == Brought::Nothing;
        match (refusal.why, ended.linked) {
            (Why::Busy | Why::Crossing, None) if cx.now.since(attempt.began) < BUSY_MS => {
                let again = cx.now.plus(cx.rng.between(100, 300));
                self.go_on(cx, id, Progress::Retry(again));
            }
            // If two dial each other at once, one may already be in the other's room.
            (Why::Busy | Why::Crossing | Why::InARoom | Why::OtherRoom, Some(member)) => {
                let until = cx.now.plus(HISTORY_MS);
                self.go_on(cx, id, Progress::Syncing { member, until });
                if refusal.why == Why::Crossing && ended.agreed.is_some() {
                    let name = here.members.who(&member).marked();
                    cx.remark(format!("you are already linked with {name}"));
                }
            }
            (Why::Locked | Why::NotMember, _) if brings_nothing && ended.their_password => {
                self.ask_password(cx, id, false);
            }
            (Why::WrongPassword, _) if attempt.tries + 1 < PASSWORD_TRIES => {
                attempt.tries += 1;
                self.ask_password(cx, id, true);
            }
            (Why::Locked | Why::NotMember, _) if !ended.their_password => {
                let none = Refusal::of(Why::NoPassword);
                let failure = refused(&at, &attempt.brought, &none, here);
                self.refused_here(cx, id, failure);
            }
            (why, _) => {
                let busy = matches!(why, Why::Busy | Why::Crossing);
                let last = attempt.elsewhere.is_empty() && !busy;
                let failure = refused(&at, &attempt.brought, refusal, here);
                let pause_ms = refusal.wait_ms.unwrap_or(0);
                if !last || !self.tries_again(cx, id, &failure, pause_ms) {
                    self.refused_here(cx, id, failure);
                }
            }
        }
    }

    /// Whether a one-shot retries after such a refusal; `pause_ms` is how long it was told to wait.
    fn tries_again(&mut self, cx: &mut Context, id: u64, failure: &Failure, pause_ms: u64) -> bool {
        let again = cx.now.plus(pause_ms.max(AGAIN_MS) + cx.rng.between(0, AGAIN_MS / 4));
        let Some(attempt) = self.all.get_mut(&id) else { return false };
        let may_pass = matches!(
            failure.code,
            Code::Unreachable | Code::Timeout | Code::RoomFull | Code::TooManyAttempts
        );
        let Some(until) = attempt.patience.filter(|until| may_pass && again < *until) else {
            return false;
        };
        attempt.began = again;
        if let Brought::Invitation(link) = attempt.brought.clone() {
            attempt.begin_anew(&link);
        }
        if !std::mem::replace(&mut attempt.told, true) {
            let (face, line) = (attempt.face, attempt.line);
            let seconds = until.since(cx.now) / 1_000;
            let text = format!("{} (trying again for up to {seconds} s)", failure.text);
            cx.effect(Effect::Tell { face, line, notice: Notice::Remark { text } });
        }
        self.go_on(cx, id, Progress::Retry(again));
        true
    }

    /// Ends an attempt, or lets it retry while that may still work.
    pub(crate) fn end(&mut self, cx: &mut Context, id: u64, result: Result<(), Failure>) {
        if let Err(failure) = &result
            && self.tries_again(cx, id, failure, 0)
        {
            return;
        }
        if let Some(attempt) = self.all.remove(&id) {
            cx.timers.set(Timer::Attempt(id), None);
            let joins = matches!(attempt.brought, Brought::Invitation(_));
            let word = if joins { "join" } else { "connect" };
            cx.reply(attempt.face, attempt.line, word, result);
        }
    }

    /// Ends what a person started and no longer wants; returns the connection that is not needed
    /// now. If the node is in the room already, it stays there.
    pub(crate) fn give_up(&mut self, cx: &mut Context, of: (FaceId, u64)) -> Option<ConnId> {
        let given = |attempt: &Attempt| (attempt.face, attempt.line) == of;
        let (&id, attempt) = self.all.iter().find(|(_, attempt)| given(attempt))?;
        let conn = match attempt.progress {
            Progress::Syncing { .. } => return None,
            Progress::Dialling(conn) => Some(conn),
            Progress::AskingPassword | Progress::Retry(_) => None,
        };
        let text = format!("you gave up joining at {}", attempt.place());
        self.end(cx, id, Err(Failure::new(Code::Cancelled, text)));
        conn
    }

    /// It is time to redial, or the history did not come in time; returns whether somebody got in
    /// by this attempt.
    pub(crate) fn due(&mut self, cx: &mut Context, id: u64) -> bool {
        match self.all.get(&id).map(|attempt| &attempt.progress) {
            Some(Progress::Syncing { .. }) => true,
            Some(Progress::Retry(_)) => {
                self.dial(cx, id);
                false
            }
            _ => false,
        }
    }

    /// The attempts that wait for the history of a member that has sent all of it.
    pub(crate) fn synced(&self, has_history_of: impl Fn(&MemberId) -> bool) -> Vec<u64> {
        let is_synced = |attempt: &Attempt| match &attempt.progress {
            Progress::Syncing { member, .. } => has_history_of(member),
            _ => false,
        };
        self.all.iter().filter(|(_, attempt)| is_synced(attempt)).map(|(id, _)| *id).collect()
    }

    /// Ends everything that a person had started, because the room is left.
    pub(crate) fn end_all(&mut self, cx: &mut Context) {
        for id in self.all.keys().copied().collect::<Vec<_>>() {
            let failure = Failure::new(Code::Cancelled, "the room was left meanwhile");
            self.end(cx, id, Err(failure));
        }
    }
}
