//! What every machine of the router may use: this node's identity and settings, the time, and the
//! list of effects.

use std::collections::{BTreeSet, VecDeque};

use super::event::{Closed, Config, Effect, Target};
use super::ids::{ConnId, FaceId, MemberId};
use super::message::{Refusal, Why};
use super::notice::{Failure, Notice};
use super::order::{GivenCommand, Order, Purpose};
use super::quiet::{Origin, Quiet, Topic, WAITING_MAX};
use super::replies::Replies;
use super::rng::Rng;
use super::time::{Millis, WallClock};
use super::timers::{Timer, Timers};
use crate::crypto::identity::Identity;
use crate::limits::Limits;

/// Ids of accepted connections begin at 0.
const FIRST_DIALLED: u64 = 1 << 63;

/// Handed to the machines by the router, one event at a time.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) me: Identity,
    pub(crate) my_id: MemberId,
    pub(crate) config: Config,
    /// The time of the event being handled.
    pub(crate) now: Millis,
    pub(crate) clock: WallClock,
    pub(crate) rng: Rng,
    effects: Vec<Effect>,
    pub(crate) replies: Replies,
    pub(crate) timers: Timers,
    /// Links that have something to say.
    marked: BTreeSet<ConnId>,
    orders: VecDeque<Order>,
    next_conn: u64,
    quiet: Quiet,
}

impl Context {
    pub(crate) fn new(config: Config, me: Identity, seed: u64) -> Self {
        Self {
            my_id: MemberId(me.public()),
            me,
            now: Millis(0),
            clock: WallClock::new(config.wall_at_zero_ms),
            rng: Rng::new(seed),
            effects: Vec::new(),
            replies: Replies::default(),
            timers: Timers::default(),
            marked: BTreeSet::new(),
            orders: VecDeque::new(),
            next_conn: FIRST_DIALLED,
            quiet: Quiet::default(),
            config,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.config.limits
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(crate) fn notify(&mut self, notice: Notice) {
        self.effects.push(Effect::Notify(notice));
    }

    /// Reports something that others can cause as often as they like.
    pub(crate) fn notify_of(&mut self, topic: Topic, member: MemberId, notice: Notice) {
        self.notify_from(Origin::Member(member), (topic, member), notice);
    }

    /// The same, if others than the member may have caused it.
    pub(crate) fn notify_from(&mut self, origin: Origin, of: (Topic, MemberId), notice: Notice) {
        if let Some(notice) = self.quiet.admit(origin, of, notice, self.now) {
            self.notify(notice);
        }
        self.rearm_quiet();
    }

    /// Others told of a member, which now speaks for itself.
    pub(crate) fn speaks(&mut self, member: MemberId, origin: Origin) {
        self.quiet.speaks(member, origin);
        self.rearm_quiet();
    }

    /// The same, at once, because this node caused it or is affected itself.
    pub(crate) fn notify_now(&mut self, topic: Topic, member: MemberId, notice: Notice) {
        self.quiet.forget((topic, member));
        self.notify(notice);
    }

    /// It is time to report something that waited.
    pub(crate) fn notify_due(&mut self) {
        let due = self.quiet.take_due(self.now);
        due.into_iter().for_each(|notice| self.notify(notice));
        self.rearm_quiet();
    }

    /// The room changes: nothing that waited is reported.
    pub(crate) fn forget_notices(&mut self) {
        self.quiet.forget_all();
        self.rearm_quiet();
    }

    /// How many notices are waiting, and how many may.
    pub(crate) fn notices_waiting(&self) -> (usize, usize) {
        (self.quiet.len(), WAITING_MAX)
    }

    fn rearm_quiet(&mut self) {
        let at = self.quiet.next_due(self.now);
        self.timers.set(Timer::Notices, at);
    }

    pub(crate) fn remark(&mut self, text: impl Into<String>) {
        self.notify(Notice::Remark { text: text.into() });
    }

    pub(crate) fn complain(&mut self, failure: Failure) {
        self.notify(Notice::Error { line: None, command: None, failure });
    }

    /// Answers a command.
    pub(crate) fn reply(
        &mut self,
        face: FaceId,
        line: u64,
        command: &'static str,
        result: Result<(), Failure>,
    ) {
        if let Some(result) = self.replies.settle((face, line), command, result) {
            self.effect(Effect::Reply { face, line, command, result });
        }
    }

    /// Answers a command that was waiting.
    pub(crate) fn answer(&mut self, given: &GivenCommand, result: Result<(), Failure>) {
        self.reply(given.face, given.line, given.command.word(), result);
    }

    /// A link has something to say, or may have.
    pub(crate) fn mark(&mut self, conn: ConnId) {
        self.marked.insert(conn);
    }

    /// A link is gone, and has nothing to say any more.
    pub(crate) fn unmark(&mut self, conn: ConnId) {
        self.marked.remove(&conn);
    }

    /// The next link that may have something to say.
    pub(crate) fn next_marked(&mut self) -> Option<ConnId> {
        self.marked.pop_first()
    }

    /// Asks the router for something that involves other machines. It is done as soon as the asking
    /// machine has finished.
    pub(crate) fn order(&mut self, order: Order) {
        let pending = |of: &Order| matches!(of, Order::CloseOutsiders);
        // Outsiders are determined when it is carried out, so one order is enough.
        if !pending(&order) || !self.orders.iter().any(pending) {
            self.orders.push_back(order);
        }
    }

    /// Refuses a connection: the peer is told why, and it ends.
    pub(crate) fn refuse(&mut self, conn: ConnId, why: Why) {
        self.refuse_with(conn, Refusal::of(why));
    }

    /// The same with details.
    pub(crate) fn refuse_with(&mut self, conn: ConnId, refusal: Refusal) {
        self.effect(Effect::Refuse { conn, refusal: refusal.clone() });
        self.order(Order::EndConn { conn, how: Closed::ByUs, refusal: Some(refusal) });
    }

    /// Closes a connection, with this as the way in which it ended.
    pub(crate) fn close(&mut self, conn: ConnId, how: Closed) {
        self.effect(Effect::Close { conn });
        self.order(Order::EndConn { conn, how, refusal: None });
    }

    /// Dials somebody, over a connection with this id.
    pub(crate) fn dial(&mut self, target: Target, purpose: Purpose) -> ConnId {
        self.next_conn += 1;
        let conn = ConnId(self.next_conn);
        self.order(Order::Dial { conn, target, purpose });
        conn
    }

    /// Drops dials that have not begun.
    pub(crate) fn drop_dials(&mut self) {
        self.orders.retain(|order| !matches!(order, Order::Dial { .. }));
    }

    /// The order that comes next.
    pub(crate) fn next_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// The wall clock: milliseconds since 1970 UTC.
    pub(crate) fn wall_ms(&self) -> i64 {
        self.clock.at(self.now)
    }

    /// Takes back effects that nobody must see.
    pub(crate) fn retract(&mut self, unseen: impl Fn(&Effect) -> bool) {
        self.effects.retain(|effect| !unseen(effect));
    }

    /// All effects since the last call, in order.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }
}

#[cfg(test)]
impl Context {
    /// The context of a node with this name, whose secrets are made of one byte.
    pub(crate) fn of_test(name: &str, byte: u8) -> Self {
        let draw = super::event::Draw {
            room: [byte; 32],
            nonce: super::ids::LogNonce([byte; 8]),
            secret: crate::crypto::invite::InviteSecret::from_bytes([byte; 16]),
        };
        let config = Config {
            name: name.to_owned(),
            temporary: false,
            locked: false,
            run: super::ids::RunId([byte; 16]),
            wall_at_zero_ms: 0,
            limits: Limits::default(),
            draw,
            verified: Default::default(),
        };
        Self::new(config, Identity::from_seed([byte; 32]), byte.into())
    }
}
