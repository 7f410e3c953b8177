//! Presence records: this node's own, those of others, and which of them each link is told.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeSet;
use std::sync::Arc;

use super::Members;
use super::member::Member;
use super::own::UNLINKED_MAX;
use crate::router::address::is_loopback;
use crate::router::context::Context;
use crate::router::event::Effect;
use crate::router::ids::{ConnId, MemberId, RoomId};
use crate::router::message::{Message, Why};
use crate::router::notice::Notice;
use crate::router::quiet::{Origin, Topic};
use crate::router::signed::SignedPresence;
use crate::router::time::{Earliest, Millis};
use crate::router::timers::Timer;

/// A pair that failed to link for this long is `unlinked`.
const UNLINKED_AFTER_MS: u64 = 2_000;
/// Refresh interval of presence records while somebody is unlinked.
const PRESENCE_REFRESH_MS: u64 = 5_000;
/// Least time between records that replace those of another run.
const OUTDO_MS: u64 = 1_000;
/// Presence records said to one link per event.
const RECORDS_AT_ONCE: usize = 128;
/// Their signed bytes: others choose how long records are, and an outbox takes them at once.
const RECORDS_AT_ONCE_BYTES: usize = 64 * 1024;

/// What one link is still to be told of other members.
#[derive(Debug)]
pub(super) struct Telling {
    member: MemberId,
    /// When the link was committed.
    up: Millis,
    say: BTreeSet<MemberId>,
}

impl Telling {
    pub(super) fn len(&self) -> usize {
        self.say.len()
    }

    pub(super) fn forget(&mut self, id: &MemberId) {
        self.say.remove(id);
    }
}

/// Over which connection somebody said something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Via {
    pub(crate) conn: ConnId,
    /// Who is at its other end, and where.
    pub(crate) member: MemberId,
    pub(crate) remote: Option<SocketAddr>,
    /// This node dialled.
    pub(crate) dialled: bool,
}

impl Via {
    /// Loopback counts only from a peer that is on loopback itself.
    pub(crate) fn is_here(&self) -> bool {
        self.remote.is_some_and(|remote| is_loopback(remote.ip()))
    }

    fn origin(&self) -> Origin {
        Origin::of(self.member, self.remote.map(|remote| remote.ip()))
    }
}

/// What else follows from a presence record.
#[derive(Debug, Default)]
pub(crate) struct HeardOf {
    /// Members that the subject cannot reach any more.
    pub(crate) apart: Vec<MemberId>,
    /// The link that ends, because the subject said goodbye.
    pub(crate) ends: Option<ConnId>,
}

/// Who came and went.
#[derive(Debug, Default)]
pub(crate) struct Comings {
    pub(crate) came: bool,
    pub(crate) left: Vec<MemberId>,
    /// Members that can be reached through others only, from now on.
    pub(crate) apart: Vec<MemberId>,
}

impl Members {
    /// This node can be reached there.
    pub(crate) fn listen(&mut self, cx: &mut Context, port: u16, interfaces: Vec<SocketAddr>) {
        self.own.listen(port, interfaces);
        self.renew(cx);
    }

    /// This node calls itself otherwise.
    pub(crate) fn rename_me(&mut self, cx: &mut Context, name: &str) {
        self.rename(cx, self.me, name, false);
        self.renew(cx);
    }

    /// One's own record for a room that this node may be about to enter.
    pub(crate) fn record_for(&mut self, cx: &Context, room: &RoomId) -> Arc<SignedPresence> {
        if *room == self.room { self.own.record(cx, room) } else { self.own.sign(cx, room) }
    }

    /// Signs the record anew and tells it to every link.
    fn renew(&mut self, cx: &mut Context) {
        self.own.renew(cx.now);
        self.changed = true;
        let me = self.me;
        for (conn, telling) in &mut self.tellings {
            telling.say.insert(me);
            cx.mark(*conn);
        }
    }

    /// Tells everybody that this node goes.
    pub(crate) fn say_goodbye(&mut self, cx: &mut Context) {
        let record = self.own.goodbye(cx, &self.room);
        for conn in self.tellings.keys() {
            cx.effect(Effect::Send { conn: *conn, message: Message::Presence(record.clone()) });
        }
    }

    /// The member, newly known if need be; `None` when too many are known.
    fn entry(
        &mut self,
        cx: &mut Context,
        id: MemberId,
        via: Via,
        is_author: impl Fn(&MemberId) -> bool,
    ) -> Option<&mut Member> {
        let (teller, origin) = (via.member, via.origin());
        let known = self.known.contains_key(&id);
        if !known && !self.make_room(cx, origin, id == teller, is_author) {
            return None;
        }
        let new = || Member::new(cx.now, teller, origin, cx.limits());
        Some(self.known.entry(id).or_insert_with(new))
    }

    /// A record came over a link, perhaps passed on, of somebody who may be in the room.
    pub(crate) fn heard_of(
        &mut self,
        cx: &mut Context,
        via: Via,
        record: &Arc<SignedPresence>,
        is_author: impl Fn(&MemberId) -> bool,
    ) -> HeardOf {
        let (body, teller) = (&record.body, via.member);
        let id = body.member;
        if id == self.me {
            // The clock was set back since an earlier run, whose record still counts.
            if body.run != cx.config.run {
                self.own.outdo(body.version);
                self.changed = true;
            }
            return HeardOf::default();
        }
        let Some(member) = self.entry(cx, id, via, is_author) else { return HeardOf::default() };
        if member.record.as_ref().is_some_and(|known| known.body.version >= body.version) {
            // Not even a sign of life: anybody can replay it forever.
            return HeardOf::default();
        }
        let before = member.record.replace(record.clone());
        // Its clock was set back, and others hold that goodbye, too: they hear of it from us.
        let outdone = before.as_ref().is_some_and(|before| before.body.bye && !body.bye);
        let outdone = outdone && teller == id;
        let listed = before.map_or(Vec::new(), |before| before.body.unlinked.clone());
        member.heard = cx.now;
        member.taught_by = teller;
        member.taught_here = via.is_here();
        member.taught_from = via.remote.map(|remote| remote.ip());
        // It spoke in this room since: it is worth a dial again.
        member.redial.given_up = false;
        let quiet = !member.present;
        // It came, and not to us: those who have a link with us may not have heard, either.
        let came = quiet && !body.bye && member.conn.is_none();
        let ends = member.conn.filter(|_| body.bye);
        self.changed = true;
        self.rename(cx, id, &body.name, quiet);
        for (conn, telling) in &mut self.tellings {
            // A new link heard of it from us, and had no time yet to list it.
            let new = cx.now.since(telling.up) < UNLINKED_AFTER_MS;
            let seeks = || {
                let known = self.known.get(&telling.member);
                body.unlinked.contains(&telling.member)
                    || known.is_some_and(|known| known.unlinked().contains(&id))
            };
            if telling.member != teller && (outdone || came || new && body.bye || seeks()) {
                telling.say.insert(id);
                cx.mark(*conn);
            }
        }
        let apart = body.unlinked.iter().filter(|other| !listed.contains(other)).copied();
        let apart: Vec<MemberId> = apart.collect();
        for other in &apart {
            self.say_goodbye_of(cx, other, id);
        }
        HeardOf { apart, ends }
    }

    /// `listener` looks for `member`, which said goodbye before we could know that it does.
    fn say_goodbye_of(&mut self, cx: &mut Context, member: &MemberId, listener: MemberId) {
        let gone = |member: &Member| member.said_bye() && member.conn.is_none();
        if self.known.get(member).is_some_and(gone)
            && let Some(conn) = self.conn_of(&listener)
            && let Some(telling) = self.tellings.get_mut(&conn)
        {
            telling.say.insert(*member);
            cx.mark(conn);
        }
    }

    /// A link is up: its record came with the agreement, and it sees this node at the address
    /// `seen`. Whether somebody came by it.
    pub(crate) fn link_up(
        &mut self,
        cx: &mut Context,
        via: Via,
        record: &Arc<SignedPresence>,
        seen: IpAddr,
        is_author: impl Fn(&MemberId) -> bool,
    ) -> bool {
        let id = via.member;
        // A goodbye of somebody who is here is one of an earlier run.
        let speaks = |of: &Member| of.present && of.record.is_some() && !of.said_bye();
        let speaking = self.known.iter().filter(|(other, of)| **other != id && speaks(of));
        let say = speaking.map(|(id, _)| *id).collect();
        let mut telling = Telling { member: id, up: cx.now, say };
        let mut newly = false;
        let mut paid = Vec::new();
        cx.speaks(id, via.origin());
        if let Some(known) = self.entry(cx, id, via, is_author) {
            known.origin = via.origin();
            if let Some(remote) = via.remote.filter(|_| via.dialled) {
                known.reach_at(remote, cx.limits());
                paid = std::mem::take(&mut known.redial.paid);
            }
            known.taught_from = via.remote.map(|remote| remote.ip());
            known.came_from = known.taught_from;
            known.conn = Some(via.conn);
            known.remote = via.remote;
            known.taught_here = via.is_here();
            known.lost = None;
            known.redial.conn = None;
            known.redial.wait_ms = cx.limits().redial_min_ms;
            known.redial.given_up = false;
            known.heard = cx.now;
            newly = !std::mem::replace(&mut known.present, true);
            let version = known.record.as_ref().map(|known| known.body.version);
            if version.is_none_or(|version| version < record.body.version) {
                known.record = Some(record.clone());
            }
            if version.is_some_and(|version| version > record.body.version) {
                telling.say.insert(id);
            }
        }
        if newly {
            self.names.note_presence(id, true);
        }
        self.pay_back(&paid);
        self.tellings.insert(via.conn, telling);
        cx.mark(via.conn);
        self.changed = true;
        self.rename(cx, id, &record.body.name, true);
        if self.own.see(via.remote.map(|remote| remote.ip()), seen, !via.dialled) {
            self.renew(cx);
        }
        newly
    }

    /// A link is over; `refused`: the peer's reason. `in_doubt`: a peer that says that this node is
    /// not a member may lack a record; `outside`: it is right.
    pub(crate) fn link_down(
        &mut self,
        cx: &mut Context,
        conn: ConnId,
        closed: bool,
        refused: Option<Why>,
        (in_doubt, outside): (bool, bool),
    ) {
        let Some(telling) = self.tellings.remove(&conn) else { return };
        cx.timers.set(Timer::Presence(conn), None);
        let jitter = cx.rng.between(50, 250);
        self.changed = true;
        let known = self.known.get_mut(&telling.member);
        let Some(member) = known.filter(|member| member.conn == Some(conn)) else { return };
        let gone = matches!(refused, Some(Why::NotMember | Why::Removed | Why::Leaving));
        member.conn = None;
        member.remote = None;
        member.lost = Some((cx.now, closed && !gone));
        member.without_link = cx.now;
        member.redial.at = cx.now.plus(jitter);
        member.redial.wait_ms = cx.limits().redial_min_ms;
        member.redial.next_address = 0;
        if let Some(why) = refused {
            member.redial.given_up = match why {
                Why::Leaving | Why::OtherRoom => true,
                // It may not have heard of what takes us in again.
                Why::Removed => outside,
                Why::NotMember => !in_doubt,
                _ => false,
            };
        }
    }

    /// All links are over.
    pub(crate) fn drop_links(&mut self) {
        self.tellings.clear();
    }

    /// Others may be in the room now, by these rules.
    pub(crate) fn register_changed(&mut self, now: Millis, may_link: impl Fn(&MemberId) -> bool) {
        self.changed = true;
        for (id, member) in &mut self.known {
            // Who would not have us before may have us now.
            member.redial.given_up = false;
            if may_link(id) {
                member.take_in(now);
            } else if member.conn.is_none() {
                member.put_out();
            }
        }
    }

    /// A member that is no member any more lost its link.
    pub(crate) fn put_out(&mut self, id: &MemberId) {
        if let Some(member) = self.known.get_mut(id).filter(|member| member.conn.is_none()) {
            member.put_out();
            self.changed = true;
        }
    }

    /// Updates who is present, who is out of reach, and whom to dial, if anything changed or a
    /// deadline came.
    pub(crate) fn settle(&mut self, cx: &mut Context) -> Comings {
        if !std::mem::take(&mut self.changed) {
            return Comings::default();
        }
        let mut comings = self.note_presence(cx);
        comings.left.append(&mut self.forgotten);
        let unlinked = self.out_of_reach(cx);
        let at = self.own.refreshed;
        let refresh = !unlinked.is_empty() && cx.now >= at.plus(PRESENCE_REFRESH_MS);
        // Two programs with one identity would outdo each other: not more often than this.
        let outdo = self.own.outdone && cx.now >= at.plus(OUTDO_MS);
        if unlinked != self.own.unlinked || refresh || outdo {
            let before = std::mem::replace(&mut self.own.unlinked, unlinked.clone());
            self.renew(cx);
            comings.apart = unlinked.into_iter().filter(|id| !before.contains(id)).collect();
        }
        self.redial(cx);
        self.changed = false;
        let deadline = self.deadline(cx);
        cx.timers.set(Timer::Members, deadline);
        comings
    }

    /// What changed since it was looked at is looked at with the next event, which is due at once.
    pub(crate) fn rearm(&self, cx: &mut Context) {
        if self.changed {
            cx.timers.set(Timer::Members, Some(cx.now));
        }
    }

    /// It is time to look.
    pub(crate) fn due(&mut self) {
        self.changed = true;
    }

    fn note_presence(&mut self, cx: &mut Context) -> Comings {
        let mut comings = Comings::default();
        let mut changed = Vec::new();
        for (id, member) in &mut self.known {
            let present = member.present_until().is_none_or(|until| until > cx.now);
            if present != member.present {
                member.present = present;
                if member.conn.is_none() && present {
                    member.without_link = cx.now;
                }
                changed.push((*id, present));
            }
        }
        for (id, present) in &changed {
            self.names.note_presence(*id, *present);
        }
        for (id, present) in changed {
            let (member, origin) = (self.info(&id), self.origin_of(&id));
            if present {
                comings.came = true;
                cx.notify_from(origin, (Topic::Presence, id), Notice::MemberJoined { member });
                self.warn_if_lookalike(cx, &id);
            } else {
                comings.left.push(id);
                cx.notify_from(origin, (Topic::Presence, id), Notice::MemberLeft { member });
            }
        }
        comings
    }

    /// Members that count as present and cannot be reached from here.
    fn out_of_reach(&self, cx: &Context) -> Vec<MemberId> {
        let missed = |member: &Member| {
            member.missed_until().is_some_and(|until| cx.now < until)
                && cx.now >= member.without_link.plus(UNLINKED_AFTER_MS)
        };
        let unlinked = self.known.iter().filter(|(_, member)| missed(member));
        // Those that we once were linked with come first, should there be too many.
        let mut unlinked: Vec<_> =
            unlinked.map(|(id, member)| (member.lost.is_none(), *id)).collect();
        unlinked.sort_unstable();
        unlinked.into_iter().take(UNLINKED_MAX).map(|(_, id)| id).collect()
    }

    fn deadline(&self, cx: &Context) -> Option<Millis> {
        let mut earliest = Earliest::default();
        for member in self.known.values() {
            if member.present
                && let Some(until) = member.present_until()
            {
                earliest.at(until);
            }
            if let Some(until) = member.missed_until().filter(|until| *until > cx.now) {
                let unlinked_at = member.without_link.plus(UNLINKED_AFTER_MS);
                earliest.at(if unlinked_at > cx.now { unlinked_at } else { until });
            }
        }
        if !self.own.unlinked.is_empty() {
            earliest.at(self.own.refreshed.plus(PRESENCE_REFRESH_MS));
        }
        if self.own.outdone {
            earliest.at(self.own.refreshed.plus(OUTDO_MS));
        }
        self.redial_deadline(cx, &mut earliest);
        earliest.0
    }

    /// The presence records that a link is told now; what is left waits for the next event.
    pub(crate) fn flush(&mut self, cx: &mut Context, conn: ConnId, messages: &mut Vec<Message>) {
        let Some(telling) = self.tellings.get_mut(&conn) else { return };
        let (mut count, mut bytes) = (0, 0);
        while count < RECORDS_AT_ONCE
            && bytes < RECORDS_AT_ONCE_BYTES
            && let Some(member) = telling.say.pop_first()
        {
            let record = if member == self.me {
                Some(self.own.record(cx, &self.room))
            } else {
                self.known.get(&member).and_then(|member| member.record.clone())
            };
            if let Some(record) = record {
                count += 1;
                bytes += record.bytes.len();
                messages.push(Message::Presence(record));
            }
        }
        let more = !telling.say.is_empty();
        cx.timers.set(Timer::Presence(conn), more.then_some(cx.now));
    }
}
