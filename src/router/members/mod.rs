//! Who is in the room: presence records, names, and when to dial whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

mod finding;
mod ignoring;

use crate::limits::Limits;
use crate::router::ids::{ConnId, MemberId};
use crate::router::notice::Who;
use crate::router::signed::SignedPresence;
use crate::router::text::{Untrusted, is_reserved, look, without_marks};
use crate::router::time::Millis;

/// When a member will be dialled again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::router) struct Redial {
    pub(in crate::router) at: Millis,
    pub(in crate::router) wait_ms: u64,
    pub(in crate::router) conn: Option<ConnId>,
    pub(in crate::router) next_address: usize,
    /// It is not in this room any more, or will not have us: no more dials until it says something.
    pub(in crate::router) given_up: bool,
}

/// What is known of a member.
#[derive(Debug)]
pub(in crate::router) struct Member {
    pub(in crate::router) record: Option<Arc<SignedPresence>>,
    /// What it last said of itself before it was put out.
    said_before: Option<Arc<SignedPresence>>,
    pub(in crate::router) heard: Millis,
    pub(in crate::router) taught_by: MemberId,
    /// Taught from this very computer, so that its loopback addresses mean something here.
    pub(in crate::router) taught_here: bool,
    pub(in crate::router) conn: Option<ConnId>,
    /// When the last link was lost, and whether its socket closed (not just silence).
    pub(in crate::router) lost: Option<(Millis, bool)>,
    pub(in crate::router) present: bool,
    pub(in crate::router) without_link: Millis,
    pub(in crate::router) redial: Redial,
}

impl Member {
    fn new(now: Millis, taught_by: MemberId, limits: &Limits) -> Self {
        Self {
            record: None,
            said_before: None,
            heard: now,
            taught_by,
            taught_here: false,
            conn: None,
            lost: None,
            present: false,
            without_link: now,
            redial: Redial {
                at: now,
                wait_ms: limits.redial_min_ms,
                conn: None,
                next_address: 0,
                given_up: false,
            },
        }
    }

    /// It is no member any more: it is not here, and not dialled.
    pub(in crate::router) fn put_out(&mut self) {
        self.said_before = self.record.take().or(self.said_before.take());
        self.lost = None;
        self.redial.given_up = true;
    }

    /// It may be here again: unless somebody begins, two who cannot dial each other never hear of
    /// each other any more.
    pub(in crate::router) fn take_in(&mut self, now: Millis) {
        if self.record.is_none()
            && let Some(record) = self.said_before.take()
        {
            self.record = Some(record);
            self.heard = now;
            self.without_link = now;
        }
    }

    pub(in crate::router) fn said_bye(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.body.bye)
    }

    /// Until when it counts as present if nothing more is heard; `None` while it is linked.
    pub(in crate::router) fn present_until(&self, limits: &Limits) -> Option<Millis> {
        if self.conn.is_some() {
            return None;
        }
        if self.said_bye() {
            return Some(Millis(0));
        }
        let grace = match self.lost {
            Some((at, true)) => at.plus(limits.closed_grace_ms),
            _ => Millis(0),
        };
        let fresh = self.record.is_some() && self.lost.is_none_or(|(at, _)| self.heard > at);
        let by_record = if fresh { self.heard.plus(limits.presence_ttl_ms) } else { Millis(0) };
        Some(grace.max(by_record))
    }

    /// Until when others are to hear that there is no link with it, so that they pass on what we
    /// say; `None` while it is linked or gone for good. One that fell silent counts for a while
    /// although it is not present: it may see us fall silent too, and both have to begin somehow.
    pub(in crate::router) fn missed_until(&self, limits: &Limits) -> Option<Millis> {
        let present = self.present_until(limits)?;
        if self.said_bye() {
            return None;
        }
        let missed = match self.lost {
            Some((at, _)) if !self.redial.given_up => at.plus(limits.presence_ttl_ms),
            _ => Millis(0),
        };
        Some(present.max(missed))
    }

    pub(in crate::router) fn wants_dial(&self) -> bool {
        self.conn.is_none()
            && self.redial.conn.is_none()
            && !self.redial.given_up
            && self.record.as_ref().is_some_and(|r| !r.body.bye && !r.body.addresses.is_empty())
    }
}

/// Members of the room but this one, and the names of everyone who ever spoke.
#[derive(Debug)]
pub(in crate::router) struct Members {
    me: MemberId,
    pub(in crate::router) members: BTreeMap<MemberId, Member>,
    names: BTreeMap<MemberId, String>,
    /// By what a name looks like: two that look alike are told apart as well.
    holders: BTreeMap<String, BTreeSet<MemberId>>,
    /// Whom the person at this node has verified, each with the name that it had then.
    verified: BTreeMap<MemberId, String>,
    /// Whom the person at this node does not want to hear.
    ignored: BTreeSet<MemberId>,
}

impl Members {
    pub(in crate::router) fn new(me: MemberId, verified: BTreeMap<MemberId, String>) -> Self {
        let (members, names, holders, ignored) = Default::default();
        Self { me, members, names, holders, verified, ignored }
    }

    /// A member as faces know it.
    pub(in crate::router) fn who(&self, id: &MemberId) -> Who {
        Who { id: *id, name: self.name_of(id), verified: self.is_verified(id) }
    }

    pub(in crate::router) fn is_verified(&self, id: &MemberId) -> bool {
        self.verified.contains_key(id)
    }

    /// The person at this node has verified a member under the name that it has now.
    pub(in crate::router) fn verify(&mut self, id: MemberId) {
        let name = self.bare_name(&id).unwrap_or_default().to_owned();
        self.verified.insert(id, name);
    }

    /// Another member that was verified, under a name that looks like this one.
    pub(in crate::router) fn verified_as(&self, name: &str) -> Option<MemberId> {
        let seen = look(name);
        self.verified.iter().find(|(_, known)| look(known) == seen).map(|(id, _)| *id)
    }

    pub(in crate::router) fn is_ignored(&self, id: &MemberId) -> bool {
        self.ignored.contains(id)
    }

    pub(in crate::router) fn get(&self, id: &MemberId) -> Option<&Member> {
        self.members.get(id)
    }

    /// The member, newly known if need be; `None` when too many are known and all are present.
    /// Whoever is forgotten for it keeps its name only if it `spoke`.
    pub(in crate::router) fn entry(
        &mut self,
        id: MemberId,
        now: Millis,
        taught_by: MemberId,
        (limits, spoke): (&Limits, impl Fn(&MemberId) -> bool),
    ) -> Option<&mut Member> {
        if !self.members.contains_key(&id) && self.members.len() >= limits.members {
            let absent = self
                .members
                .iter()
                .filter(|(_, member)| !member.present && member.conn.is_none())
                .min_by_key(|(_, member)| member.heard)
                .map(|(id, _)| *id)?;
            self.members.remove(&absent);
            if !spoke(&absent) {
                self.forget_name(&absent);
            }
        }
        Some(self.members.entry(id).or_insert_with(|| Member::new(now, taught_by, limits)))
    }

    /// The link with a member.
    pub(in crate::router) fn conn_of(&self, id: &MemberId) -> Option<ConnId> {
        self.members.get(id)?.conn
    }

    /// Whether a member says that it cannot reach another.
    fn misses(&self, of: &MemberId, whom: &MemberId) -> bool {
        let record = self.get(of).and_then(|member| member.record.as_ref());
        record.is_some_and(|record| record.body.unlinked.contains(whom))
    }

    /// Whether one of two members says that it cannot reach the other.
    pub(in crate::router) fn have_no_link(&self, a: &MemberId, b: &MemberId) -> bool {
        self.misses(a, b) || self.misses(b, a)
    }

    /// Members that have no link with `author`, as either side says.
    pub(in crate::router) fn unreached_by(&self, author: &MemberId) -> Vec<MemberId> {
        let record = self.get(author).and_then(|member| member.record.as_deref());
        let mut ids = record.map_or(Vec::new(), |record| record.body.unlinked.clone());
        ids.extend(self.present().map(|(id, _)| *id).filter(|id| self.misses(id, author)));
        ids
    }

    pub(in crate::router) fn present(&self) -> impl Iterator<Item = (&MemberId, &Member)> {
        self.members.iter().filter(|(_, member)| member.present)
    }

    pub(in crate::router) fn present_count(&self) -> usize {
        self.present().count()
    }

    /// Members whose name is remembered.
    pub(in crate::router) fn names_known(&self) -> usize {
        self.names.len()
    }

    /// Takes note of a name; whether it takes the place of another one.
    pub(in crate::router) fn set_name(&mut self, id: MemberId, name: &str) -> bool {
        if self.names.get(&id).is_some_and(|before| before == name) {
            return false;
        }
        let before = self.names.insert(id, name.to_owned());
        if let Some(before) = &before {
            self.remove_name(&id, before);
        }
        self.holders.entry(look(name)).or_default().insert(id);
        before.is_some()
    }

    fn forget_name(&mut self, id: &MemberId) {
        if let Some(name) = self.names.remove(id) {
            self.remove_name(id, &name);
        }
    }

    fn remove_name(&mut self, id: &MemberId, name: &str) {
        let look = look(name);
        if let Some(holders) = self.holders.get_mut(&look) {
            holders.remove(id);
            if holders.is_empty() {
                self.holders.remove(&look);
            }
        }
    }

    /// The name as the member gave it.
    pub(in crate::router) fn bare_name(&self, id: &MemberId) -> Option<&str> {
        self.names.get(id).map(String::as_str)
    }

    /// Who is shown or was ever known under a name, here or gone.
    pub(in crate::router) fn known_as(&self, nick: &str) -> Vec<MemberId> {
        let shown = |id: &MemberId| {
            let name = self.name_of(id);
            name.raw() == nick || with_digits(name.raw(), id) == nick
        };
        let found: Vec<MemberId> =
            self.names.keys().filter(|id| **id != self.me && shown(id)).copied().collect();
        if !found.is_empty() {
            return found;
        }
        let bare = self.names.iter().filter(|(id, name)| **id != self.me && *name == nick);
        bare.map(|(id, _)| *id).collect()
    }

    fn is_here(&self, id: &MemberId) -> bool {
        *id == self.me || self.members.get(id).is_some_and(|member| member.present)
    }

    /// The name to show: told apart by four digits from others who bear it, and from klatch itself;
    /// the id where none is known. Whoever is here yields to nobody who is gone, so a visitor
    /// leaves no trace on the name that it took; and whoever is gone is told apart from all others.
    pub(in crate::router) fn name_of(&self, id: &MemberId) -> Untrusted {
        let Some(name) = self.names.get(id) else { return Untrusted::new(id.short()) };
        let here = self.is_here(id);
        let seen = look(name);
        let holders = self.holders.get(&seen).into_iter().flatten();
        let mut others = holders.filter(|other| *other != id);
        let shared = others.any(|other| !here || self.is_here(other));
        let name = without_marks(name);
        Untrusted::new(if shared || is_reserved(&seen) { with_digits(&name, id) } else { name })
    }

    /// Another room: nobody is known.
    pub(in crate::router) fn forget_all(&mut self) {
        self.members.clear();
        self.names.clear();
        self.holders.clear();
    }
}

/// A name told apart from others by the first digits of its bearer.
pub(in crate::router) fn with_digits(name: &str, id: &MemberId) -> String {
    let digits = id.short();
    format!("{name}·{}", digits.get(..4).unwrap_or_default())
}
