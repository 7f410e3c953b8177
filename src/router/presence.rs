//! Who is here: one's own presence record, those of others, redialling, and the roster's clock.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeSet;
use std::sync::Arc;

use super::event::{Closed, Effect, Target};
use super::ids::{ConnId, MemberId, RoomId};
use super::links::{Conn, Link, Purpose, plain_ip};
use super::members::Member;
use super::message::{Message, Refusal, Why};
use super::notice::Notice;
use super::signed::{Presence, SignedPresence};
use super::time::{Earliest, Millis};
use super::{Router, is_loopback};

/// Ports that taught addresses may not name: those of other services.
const FIRST_TAUGHT_PORT: u16 = 1024;

/// Members that a record lists as out of reach: more would not fit into a message.
const UNLINKED_MAX: usize = 128;

/// Least time between records that outdo those of another run.
const OUTDO_MS: u64 = 1_000;

/// For so long a dial that led nowhere counts against whoever taught the address.
const TELLER_MS: u64 = 60_000;

/// One's own record and what goes into it.
#[derive(Debug, Default)]
pub(super) struct Own {
    port: u16,
    interfaces: Vec<SocketAddr>,
    /// As others see us, newest last.
    seen: Vec<SocketAddr>,
    version: u64,
    unlinked: Vec<MemberId>,
    refreshed: Millis,
    record: Option<Arc<SignedPresence>>,
    /// Others hold a record of an earlier run of ours with a higher version.
    outdone: bool,
}

impl Own {
    pub(super) fn listen(&mut self, port: u16, interfaces: Vec<SocketAddr>) {
        self.port = port;
        self.interfaces = interfaces;
        self.seen.clear();
    }

    pub(super) fn port(&self) -> Option<u16> {
        (self.port != 0).then_some(self.port)
    }

    pub(super) fn first_address(&self) -> Option<SocketAddr> {
        self.interfaces.first().copied()
    }

    pub(super) fn interfaces(&self) -> &[SocketAddr] {
        &self.interfaces
    }

    /// This node's addresses as others see them.
    pub(super) fn seen(&self) -> &[SocketAddr] {
        &self.seen
    }

    /// The interfaces' addresses as people type them, best first.
    pub(super) fn spoken_addresses(&self) -> Vec<String> {
        self.interfaces.iter().map(ToString::to_string).collect()
    }

    /// Members that count as present and cannot be reached from here.
    pub(super) fn unlinked(&self) -> &[MemberId] {
        &self.unlinked
    }

    /// The record is of another room.
    pub(super) fn forget(&mut self) {
        self.record = None;
        self.unlinked.clear();
    }

    pub(super) fn addresses(&self, most: usize) -> Vec<SocketAddr> {
        let mut addresses: Vec<_> = self.seen.iter().rev().copied().collect();
        for address in &self.interfaces {
            if !is_loopback(address.ip()) && !addresses.contains(address) {
                addresses.push(*address);
            }
        }
        addresses.truncate(most);
        addresses
    }
}

impl Router {
    fn own_body(&mut self, bye: bool) -> Presence {
        let clock = u64::try_from(self.cx.wall_ms()).unwrap_or(0);
        self.presence.version = clock.max(self.presence.version.saturating_add(1));
        Presence {
            member: self.cx.my_id,
            run: self.cx.config.run,
            version: self.presence.version,
            name: self.cx.config.name.clone(),
            addresses: self.presence.addresses(self.cx.limits().addresses_per_member),
            unlinked: self.presence.unlinked.iter().take(UNLINKED_MAX).copied().collect(),
            bye,
        }
    }

    /// One's own record for a room that this node may be about to enter.
    pub(super) fn sign_presence_for(&mut self, room: &RoomId) -> Arc<SignedPresence> {
        if *room == self.room.id
            && let Some(record) = &self.presence.record
        {
            return record.clone();
        }
        let body = self.own_body(false);
        let record = SignedPresence::sign(room, &self.cx.me, body);
        if *room == self.room.id {
            self.presence.record = Some(record.clone());
        }
        record
    }

    /// Signs the record anew and tells it to every link.
    pub(super) fn renew_presence(&mut self) {
        self.presence.record = None;
        self.presence.outdone = false;
        self.presence.refreshed = self.cx.now;
        let room = self.room.id;
        self.sign_presence_for(&room);
        let me = self.cx.my_id;
        self.mark_links(|link| {
            link.say_presence.insert(me);
        });
    }

    /// The record to pass on for a member.
    pub(super) fn record_of(&mut self, member: &MemberId) -> Option<Arc<SignedPresence>> {
        if *member == self.cx.my_id {
            let room = self.room.id;
            return Some(self.sign_presence_for(&room));
        }
        self.members.get(member)?.record.clone()
    }

    /// Whom to tell of on linking. A goodbye of somebody who is here is one of an earlier run.
    pub(super) fn present_with_records(&self) -> BTreeSet<MemberId> {
        let speaks = |member: &Member| member.record.is_some() && !member.said_bye();
        self.members.present().filter(|(_, member)| speaks(member)).map(|(id, _)| *id).collect()
    }

    pub(super) fn say_bye(&mut self) {
        let body = self.own_body(true);
        let record = SignedPresence::sign(&self.room.id, &self.cx.me, body);
        let links: Vec<_> = self.links().map(|(conn, _)| conn).collect();
        for conn in links {
            self.cx.effect(Effect::Send { conn, message: Message::Presence(record.clone()) });
        }
    }

    /// A record came over a link, perhaps passed on.
    pub(super) fn presence_arrived(&mut self, via: ConnId, record: &Arc<SignedPresence>) {
        let body = &record.body;
        let Some(teller) = self.member_of(via) else { return };
        if self.registry.may_link(&body.member).is_err() && body.member != self.cx.my_id {
            return;
        }
        if body.member == self.cx.my_id {
            // The clock was set back since an earlier run, whose record still counts: outdo it.
            if body.run != self.cx.config.run && body.version >= self.presence.version {
                self.presence.version = body.version;
                self.presence.outdone = true;
            }
            return;
        }
        let (now, limits) = (self.cx.now, self.cx.config.limits.clone());
        let here = self.on_loopback(via);
        let log = &self.log;
        let spoke = |id: &MemberId| log.is_author(id);
        let known = self.members.entry(body.member, now, teller, (&limits, spoke));
        let Some(member) = known else { return };
        if let Some(known) = &member.record
            && known.body.version >= body.version
        {
            // Not even a sign of life: anybody can repeat it for ever.
            return;
        }
        let before = member.record.replace(record.clone());
        // Its clock was set back, and others hold that goodbye, too: they hear of it from us.
        let outdone = before.as_ref().is_some_and(|before| before.body.bye && !body.bye);
        let outdone = outdone && teller == body.member;
        let listed = before.map_or(Vec::new(), |before| before.body.unlinked.clone());
        member.heard = now;
        member.taught_by = teller;
        member.taught_here = here;
        // It said something in this room since: it is worth a dial again, whoever passed it on.
        member.redial.given_up = false;
        let quiet = !member.present;
        // It came, and not to us: those who have a link with us may not have heard, either.
        let came = quiet && !body.bye && member.conn.is_none();
        self.rename(body.member, &body.name, quiet);
        let unlinked = &body.unlinked;
        let seekers = self.links_without(&body.member, unlinked);
        self.mark_links(|link| {
            // Whoever is new here heard of it from us, and had no time yet to list it.
            let new = now.since(link.up) < limits.unlinked_after_ms;
            let wanted = outdone || came || (new && body.bye) || seekers.contains(&link.member);
            if wanted && link.member != teller {
                link.say_presence.insert(body.member);
            }
        });
        for other in body.unlinked.iter().filter(|other| !listed.contains(other)) {
            self.log.receipts_between(&mut self.cx, body.member, *other, &self.members);
            self.say_goodbye_of(other, body.member);
        }
        if body.bye
            && let Some(conn) = self.members.get(&body.member).and_then(|member| member.conn)
        {
            self.cx.effect(Effect::Close { conn });
            self.forget_conn(conn, Closed::Refused(Refusal::of(Why::Leaving)), None);
        }
    }

    /// `listener` looks for `member`, which said goodbye before we could know that it does.
    fn say_goodbye_of(&mut self, member: &MemberId, listener: MemberId) {
        let gone = |member: &Member| member.said_bye() && member.conn.is_none();
        let conn = self.members.get(&listener).and_then(|listener| listener.conn);
        if let Some(conn) = conn
            && self.members.get(member).is_some_and(gone)
        {
            self.mark_link(conn, |link| {
                link.say_presence.insert(*member);
            });
        }
    }

    /// Those linked with us that have no link with `member`, which lists the `unlinked` itself: as
    /// either of the two says.
    fn links_without(&self, member: &MemberId, unlinked: &[MemberId]) -> Vec<MemberId> {
        let lists = |id: &MemberId| {
            let record = self.members.get(id).and_then(|known| known.record.as_ref());
            record.is_some_and(|record| record.body.unlinked.contains(member))
        };
        let links = self.links().map(|(_, link)| link.member);
        links.filter(|id| unlinked.contains(id) || lists(id)).collect()
    }

    /// A link with `member` is up: its record came with the agreement.
    pub(super) fn presence_linked(
        &mut self,
        conn: ConnId,
        id: MemberId,
        record: &Arc<SignedPresence>,
        seen: IpAddr,
    ) {
        let (now, limits) = (self.cx.now, self.cx.config.limits.clone());
        let here = self.on_loopback(conn);
        let log = &self.log;
        let spoke = |id: &MemberId| log.is_author(id);
        if let Some(known) = self.members.entry(id, now, id, (&limits, spoke)) {
            known.conn = Some(conn);
            known.taught_here = here;
            known.lost = None;
            known.redial.conn = None;
            known.redial.wait_ms = limits.redial_min_ms;
            known.redial.given_up = false;
            known.heard = now;
            let version = known.record.as_ref().map(|known| known.body.version);
            if version.is_none_or(|version| version < record.body.version) {
                known.record = Some(record.clone());
            }
            if version.is_some_and(|version| version > record.body.version) {
                self.mark_link(conn, |link| {
                    link.say_presence.insert(id);
                });
            }
        }
        self.rename(id, &record.body.name, true);
        if let Some(port) = self.presence.port() {
            let address = SocketAddr::new(seen, port);
            let usable = !seen.is_unspecified() && (!is_loopback(seen) || self.on_loopback(conn));
            if usable && !self.presence.seen.contains(&address) {
                self.presence.seen.push(address);
                if self.presence.seen.len() > 2 {
                    self.presence.seen.remove(0);
                }
                self.renew_presence();
            }
        }
    }

    /// A link is over.
    pub(super) fn link_down(
        &mut self,
        conn: ConnId,
        link: &Link,
        how: &Closed,
        refusal: Option<&Refusal>,
    ) {
        let closed = !matches!(how, Closed::Silent);
        let jitter = self.cx.rng.between(50, 250);
        let (now, min) = (self.cx.now, self.cx.config.limits.redial_min_ms);
        let in_doubt = self.is_member_of_closed();
        let outside = self.registry.may_link(&self.cx.my_id).is_err();
        if let Some(member) = self.members.members.get_mut(&link.member)
            && member.conn == Some(conn)
        {
            member.conn = None;
            member.lost = Some((now, closed));
            member.without_link = now;
            member.redial.at = now.plus(jitter);
            member.redial.wait_ms = min;
            member.redial.next_address = 0;
            if let Some(refusal) = refusal {
                member.redial.given_up = match refusal.why {
                    Why::Leaving | Why::OtherRoom => true,
                    // It may not have heard of what takes us in again.
                    Why::Removed => outside,
                    Why::NotMember => !in_doubt,
                    _ => false,
                };
                if matches!(refusal.why, Why::NotMember | Why::Removed | Why::Leaving) {
                    member.lost = Some((now, false));
                }
            }
        }
        if refusal.is_some_and(|of| matches!(of.why, Why::NotMember | Why::Removed)) {
            self.close_lanes_of(link.member);
        }
        self.swarm.link_down(&mut self.cx, conn);
    }

    /// Whoever says that this node is no member has not heard of something yet.
    fn is_member_of_closed(&self) -> bool {
        self.registry.is_closed() && self.registry.is_member(&self.cx.my_id)
    }

    pub(super) fn redial_failed(&mut self, id: MemberId, refusal: Option<&Refusal>) {
        let (now, jitter) = (self.cx.now, self.cx.rng.between(0, 250));
        let max = self.cx.config.limits.redial_max_ms;
        let outside = self.registry.may_link(&self.cx.my_id).is_err();
        let Some(member) = self.members.members.get_mut(&id) else { return };
        let teller = member.taught_by;
        member.redial.conn = None;
        let addresses = member.record.as_ref().map_or(0, |record| record.body.addresses.len());
        let why = refusal.map(|refusal| refusal.why);
        // Somebody else may live at one address; the member may still be at the next.
        let elsewhere =
            matches!(why, None | Some(Why::OtherRoom | Why::SelfConnect | Why::Unexpected));
        if elsewhere && member.redial.next_address < addresses {
            member.redial.at = now;
            if why.is_none() && teller != id {
                self.record_bad_address(teller);
            }
            return;
        } else {
            member.redial.next_address = 0;
            member.redial.at = now.plus(member.redial.wait_ms + jitter);
            member.redial.wait_ms = (member.redial.wait_ms * 2).min(max);
        }
        match why {
            // A word that anybody at that address can say counts only if it is so by our register.
            Some(Why::NotMember | Why::Removed) => member.redial.given_up = outside,
            Some(Why::OtherRoom | Why::SelfConnect | Why::Unexpected) => {
                member.redial.given_up = true;
            }
            Some(_) => {}
            None if teller != id => self.record_bad_address(teller),
            None => {}
        }
    }

    /// An address that `teller` taught led nowhere.
    pub(super) fn record_bad_address(&mut self, teller: MemberId) {
        let now = self.cx.now;
        self.failed_dials.retain(|_, failed| {
            failed.retain(|at| now.since(*at) < TELLER_MS);
            !failed.is_empty()
        });
        self.failed_dials.entry(teller).or_default().push_back(now);
    }

    /// A teller whose taught addresses fail too often is not followed for a while.
    fn is_backed_off(&self, teller: &MemberId, subject: &MemberId) -> bool {
        // What a member says of itself over its own link is worth any number of dials.
        teller != subject && self.teaches_bad_addresses(teller)
    }

    pub(super) fn teaches_bad_addresses(&self, teller: &MemberId) -> bool {
        let recent = |at: &&Millis| self.cx.now.since(**at) < TELLER_MS;
        let failed = self.failed_dials.get(teller).map_or(0, |at| at.iter().filter(recent).count());
        failed >= self.cx.limits().failed_dials_per_teller_min
    }

    /// Redials that may begin now.
    fn free_redials(&self) -> usize {
        if self.links().count() >= self.cx.limits().peers {
            return 0;
        }
        let redial = |conn: &&Conn| {
            conn.link().is_none() && matches!(conn.purpose, Some(Purpose::Redial(_)))
        };
        self.cx.limits().dials.saturating_sub(self.conns.values().filter(redial).count())
    }

    fn redial_due(&mut self) {
        let mut free = self.free_redials();
        let due: Vec<_> = self
            .members
            .members
            .iter()
            .filter(|(id, member)| {
                member.wants_dial()
                    && member.redial.at <= self.cx.now
                    && !self.is_backed_off(&member.taught_by, id)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            if free == 0 {
                return;
            }
            let Some(member) = self.members.members.get_mut(&id) else { continue };
            let Some(record) = &member.record else { continue };
            let next = record.body.addresses.iter().enumerate().skip(member.redial.next_address);
            let usable = next.into_iter().find(|(_, address)| {
                address.port() >= FIRST_TAUGHT_PORT
                    && !address.ip().is_unspecified()
                    && (!is_loopback(address.ip()) || member.taught_here)
            });
            let Some((index, address)) = usable.map(|(index, address)| (index, *address)) else {
                member.redial.next_address = 0;
                member.redial.at = self.cx.now.plus(member.redial.wait_ms);
                member.redial.wait_ms =
                    (member.redial.wait_ms * 2).min(self.cx.config.limits.redial_max_ms);
                continue;
            };
            member.redial.next_address = index + 1;
            let address = SocketAddr::new(plain_ip(address.ip()), address.port());
            let conn = self.dial(Target::Addr(address), Purpose::Redial(id));
            if let Some(member) = self.members.members.get_mut(&id) {
                member.redial.conn = Some(conn);
            }
            free -= 1;
        }
    }

    pub(super) fn presence_timers(&mut self) {
        let limits = self.cx.config.limits.clone();
        let mut changed = Vec::new();
        for (id, member) in &mut self.members.members {
            let present = member.present_until(&limits).is_none_or(|until| until > self.cx.now);
            if present != member.present {
                member.present = present;
                self.catalogue.touch();
                if member.conn.is_none() && present {
                    member.without_link = self.cx.now;
                }
                changed.push((*id, present));
            }
        }
        for (id, present) in changed {
            let member = self.member_info(&id);
            if present {
                self.room.ever_met = true;
                self.cx.notify(Notice::MemberJoined { member });
                self.warn_if_lookalike(&id);
            } else {
                self.log.member_left(&id);
                self.cx.notify(Notice::MemberLeft { member });
            }
        }
        let mut unlinked: Vec<_> = self
            .members
            .members
            .iter()
            .filter(|(_, member)| {
                member.missed_until(&limits).is_some_and(|until| self.cx.now < until)
                    && self.cx.now >= member.without_link.plus(limits.unlinked_after_ms)
            })
            .map(|(id, member)| (member.lost.is_none(), *id))
            .collect();
        // Those that we once were linked with come first, should there be too many.
        unlinked.sort_unstable();
        unlinked.truncate(UNLINKED_MAX);
        let unlinked: Vec<_> = unlinked.into_iter().map(|(_, id)| id).collect();
        let refresh = !unlinked.is_empty()
            && self.cx.now >= self.presence.refreshed.plus(limits.presence_refresh_ms);
        // Two programs with one identity would outdo each other: not more often than this.
        let outdo = self.presence.outdone && self.cx.now >= self.presence.refreshed.plus(OUTDO_MS);
        if unlinked != self.presence.unlinked || refresh || outdo {
            let before = std::mem::replace(&mut self.presence.unlinked, unlinked.clone());
            self.renew_presence();
            for author in unlinked.iter().filter(|author| !before.contains(author)) {
                self.log.say_haves_of(&mut self.cx, author);
            }
        }
        self.redial_due();
        self.log.tell_held(&mut self.cx, &self.members);
    }

    pub(super) fn presence_deadlines(&self, earliest: &mut Earliest) {
        let limits = self.cx.limits();
        let dials_free = self.free_redials() > 0;
        for (id, member) in &self.members.members {
            if member.present
                && let Some(until) = member.present_until(limits)
            {
                earliest.at(until);
            }
            if let Some(until) = member.missed_until(limits).filter(|until| *until > self.cx.now) {
                let unlinked_at = member.without_link.plus(limits.unlinked_after_ms);
                earliest.at(if unlinked_at > self.cx.now { unlinked_at } else { until });
            }
            if member.wants_dial() && dials_free {
                // A teller that taught too much is looked at again from time to time.
                let tired = self.is_backed_off(&member.taught_by, id);
                earliest.at(member.redial.at.max(self.cx.now.plus(if tired { 1_000 } else { 0 })));
            }
        }
        if !self.presence.unlinked.is_empty() {
            earliest.at(self.presence.refreshed.plus(limits.presence_refresh_ms));
        }
        if self.presence.outdone {
            earliest.at(self.presence.refreshed.plus(OUTDO_MS));
        }
    }

    /// Ends every connection and forgets who was on them.
    pub(super) fn drop_all_conns(&mut self) {
        let ids: Vec<_> = self.conns.keys().copied().collect();
        for id in ids {
            self.no_words(id);
            self.cx.effect(Effect::Close { conn: id });
            self.conns.remove(&id);
            self.cx.unmark(id);
            self.guesses.end(id);
        }
        self.attempts.end_all(&mut self.cx);
        self.drop_questions();
    }
}
