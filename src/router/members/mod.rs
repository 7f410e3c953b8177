//! The machine of who is here: presence records, names, and whom to dial when.
//!
//! It decides who counts as present, which records are passed on, and which members are redialled.
//! It asks others who may be in the room, and never looks at what anybody says.

mod dials;
mod finding;
mod forgetting;
mod health;
mod ignoring;
mod member;
mod names;
mod own;
mod presence;
mod redial;
#[cfg(test)]
mod tests;

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet};

use self::dials::{PAYERS_MAX, Payer};
use self::member::Member;
use self::names::{Names, Verified, with_digits, without_digits};
use self::own::Own;
use self::presence::Telling;
pub(crate) use self::presence::Via;
use crate::limits::Limits;
use crate::router::context::Context;
use crate::router::ids::{ConnId, MemberId, RoomId};
use crate::router::inspect::Load;
use crate::router::notice::{MemberInfo, Notice, Who};
use crate::router::quiet::Topic;
use crate::router::text::{Untrusted, as_chosen, is_reserved, look};
use crate::router::tokens::Buckets;

/// Members of the room but this one, and the names of everyone who ever spoke.
#[derive(Debug)]
pub(crate) struct Members {
    me: MemberId,
    room: RoomId,
    own: Own,
    known: BTreeMap<MemberId, Member>,
    names: Names,
    verified: Verified,
    /// Members with such a name that were reported.
    told_lookalikes: BTreeSet<MemberId>,
    /// Whom the person at this node does not want to hear.
    ignored: BTreeSet<MemberId>,
    /// What each link is still to be told of other members.
    tellings: BTreeMap<ConnId, Telling>,
    /// Who was present, and had to be forgotten just now.
    forgotten: Vec<MemberId>,
    /// What those may still cost who name addresses to dial.
    budgets: Buckets<Payer>,
    /// Something changed that may change who is present or dialled.
    changed: bool,
}

impl Members {
    /// Nobody but this node is known.
    pub(crate) fn new(cx: &Context, room: RoomId, verified: BTreeMap<MemberId, String>) -> Self {
        let mut members = Self {
            me: cx.my_id,
            room,
            own: Own::default(),
            known: BTreeMap::new(),
            names: Names::default(),
            verified: Verified::of(verified),
            told_lookalikes: BTreeSet::new(),
            ignored: BTreeSet::new(),
            tellings: BTreeMap::new(),
            forgotten: Vec::new(),
            budgets: Buckets::new(PAYERS_MAX),
            changed: false,
        };
        members.names.set(cx.my_id, &cx.config.name, true);
        members
    }

    /// This node moves into a room with the same people.
    pub(crate) fn move_to(&mut self, room: RoomId) {
        self.room = room;
        self.own.forget();
    }

    /// This node moves alone into another room, where it knows nobody.
    pub(crate) fn leave(&mut self, cx: &Context, room: RoomId) {
        self.move_to(room);
        self.known.clear();
        self.names = Names::default();
        self.names.set(self.me, &cx.config.name, true);
    }

    /// This node's own record.
    pub(crate) fn own(&self) -> &Own {
        &self.own
    }

    /// A member as faces know it.
    pub(crate) fn who(&self, id: &MemberId) -> Who {
        Who { id: *id, name: self.name_of(id), verified: self.is_verified(id) }
    }

    /// A member and where it is: where it says, or else where it proved to be.
    pub(crate) fn info(&self, id: &MemberId) -> MemberInfo {
        let address = if *id == self.me {
            self.own.interfaces().first().copied()
        } else {
            let known = self.known.get(id);
            known.and_then(|member| member.addresses().first().copied().or(member.remote))
        };
        let address = address.map(|addr| addr.to_string()).unwrap_or_default();
        MemberInfo { who: self.who(id), address }
    }

    /// Whether a member speaks for itself by a presence record.
    pub(crate) fn has_record(&self, id: &MemberId) -> bool {
        self.known.get(id).is_some_and(|member| member.record.is_some())
    }

    /// Where a member says that it can be dialled.
    pub(crate) fn addresses_of(&self, id: &MemberId) -> &[SocketAddr] {
        self.known.get(id).map_or(&[], Member::addresses)
    }

    /// Whether a member is present.
    pub(crate) fn is_present(&self, id: &MemberId) -> bool {
        self.known.get(id).is_some_and(|member| member.present)
    }

    fn is_here(&self, id: &MemberId) -> bool {
        *id == self.me || self.is_present(id)
    }

    /// Who is present.
    pub(crate) fn present(&self) -> impl Iterator<Item = MemberId> {
        self.known.iter().filter(|(_, member)| member.present).map(|(id, _)| *id)
    }

    /// How many are present.
    pub(crate) fn present_count(&self) -> usize {
        self.present().count()
    }

    /// The link with a member.
    pub(crate) fn conn_of(&self, id: &MemberId) -> Option<ConnId> {
        self.known.get(id)?.conn
    }

    /// Whether a member says that it cannot reach another.
    fn misses(&self, of: &MemberId, whom: &MemberId) -> bool {
        self.known.get(of).is_some_and(|member| member.unlinked().contains(whom))
    }

    /// Whether a member, by its own record, can reach another.
    pub(crate) fn reaches(&self, of: &MemberId, whom: &MemberId) -> bool {
        self.has_record(of) && !self.misses(of, whom)
    }

    /// Whether one of two members says that it cannot reach the other.
    pub(crate) fn have_no_link(&self, a: &MemberId, b: &MemberId) -> bool {
        self.misses(a, b) || self.misses(b, a)
    }

    /// Members that have no link with `author`, as either side says.
    pub(crate) fn unreached_by(&self, author: &MemberId) -> Vec<MemberId> {
        let mut ids =
            self.known.get(author).map_or(Vec::new(), |member| member.unlinked().to_vec());
        ids.extend(self.present().filter(|id| self.misses(id, author)));
        ids
    }

    // Names.

    /// A member calls itself so; people are told unless it is `quiet`.
    pub(crate) fn rename(&mut self, cx: &mut Context, id: MemberId, name: &str, quiet: bool) {
        // As people saw it: told apart from others of that name.
        let before = self.name_of(&id);
        if self.names.set(id, name, self.is_here(&id)) && !quiet {
            let notice = Notice::NameChanged { member: self.info(&id), before };
            if id == self.me {
                cx.notify(notice);
            } else {
                cx.notify_from(self.origin_of(&id), (Topic::Name, id), notice);
            }
            self.warn_if_lookalike(cx, &id);
        }
    }

    /// The name as the member gave it.
    pub(crate) fn bare_name(&self, id: &MemberId) -> Option<&str> {
        self.names.get(id)
    }

    /// Who is shown or was ever known under a name, here or gone.
    pub(crate) fn known_as(&self, nick: &str) -> Vec<MemberId> {
        let others = || self.names.iter().filter(|(id, _)| **id != self.me);
        let found: Vec<MemberId> =
            others().filter(|(id, _)| self.is_shown_as(id, nick)).map(|(id, _)| *id).collect();
        if !found.is_empty() {
            return found;
        }
        others().filter(|(_, name)| *name == nick).map(|(id, _)| *id).collect()
    }

    /// Whether a member is shown under a name, or would be with these digits.
    fn is_shown_as(&self, id: &MemberId, nick: &str) -> bool {
        let chosen = as_chosen(self.bare_name(id).unwrap_or_default());
        let with_digits = |(name, digits): (&str, &str)| {
            chosen == name && id.to_string().starts_with(&digits.to_ascii_lowercase())
        };
        // Who has no name is shown by its id.
        (chosen == nick || chosen.is_empty()) && self.name_of(id).raw() == nick
            || without_digits(nick).is_some_and(with_digits)
    }

    /// The name to show: digits tell it apart from the same name of others, and from klatch's own;
    /// the id if no name is known. Members that are gone do not affect the names of those here, so
    /// a visitor leaves no trace; those that are gone are told apart from all others. A verified
    /// member needs no digits: the others of its name have them, even while it is gone.
    pub(crate) fn name_of(&self, id: &MemberId) -> Untrusted {
        let Some(name) = self.names.get(id) else { return Untrusted::new(id.short()) };
        let seen = look(name);
        let Some(bearers) = self.names.bearers_of(&seen) else {
            return Untrusted::new(as_chosen(name));
        };
        let sure = self.verified.is_under(id, &seen);
        let mut verified = self.verified.under(&seen);
        let other_sure = verified.any(|other| other != id && bearers.contains(other));
        let shared = bearers.has_others(id, self.is_here(id)) || other_sure;
        let apart = shared && (!sure || other_sure) || is_reserved(&seen);
        let name = as_chosen(name);
        Untrusted::new(if apart { with_digits(&name, id, bearers.beside(id)) } else { name })
    }

    // Whom the person at this node trusts, or does not want to hear.

    /// Whether a member was verified.
    pub(crate) fn is_verified(&self, id: &MemberId) -> bool {
        self.verified.contains(id)
    }

    /// The person at this node has verified a member under the name that it has now.
    pub(crate) fn verify(&mut self, id: MemberId) {
        let name = self.bare_name(&id).unwrap_or_default().to_owned();
        self.verified.insert(id, name);
    }

    /// Warns once of a member that looks like a verified one but has another key.
    pub(crate) fn warn_if_lookalike(&mut self, cx: &mut Context, id: &MemberId) {
        if self.is_verified(id) || *id == self.me || self.told_lookalikes.contains(id) {
            return;
        }
        let Some(seen) = self.names.get(id).map(look) else { return };
        let Some(known) = self.verified.under(&seen).next() else { return };
        let (name, digits) = (self.name_of(id), known.short());
        let text = format!(
            "warning: {name}'s key is not the one you verified ({digits}); verify {name} compares \
             again"
        );
        let origin = self.origin_of(id);
        cx.notify_from(origin, (Topic::Lookalike, *id), Notice::Remark { text });
        if self.told_lookalikes.len() >= cx.limits().members {
            self.told_lookalikes.clear();
        }
        self.told_lookalikes.insert(*id);
    }

    /// Whether the person does not want to hear a member.
    pub(crate) fn is_ignored(&self, id: &MemberId) -> bool {
        self.ignored.contains(id)
    }

    /// What others can make grow here.
    pub(crate) fn loads(&self, limits: &Limits) -> Vec<Load> {
        let load = |what, size, bound| Load { what, size, bound };
        let mut loads = vec![
            load("members", self.known.len(), limits.members),
            load("names", self.names.len(), limits.members + limits.chains),
            load("tellers", self.budgets.len(), PAYERS_MAX),
        ];
        let to_say = |telling: &Telling| load("presence to say", telling.len(), limits.members);
        loads.extend(self.tellings.values().map(to_say));
        loads
    }
}
