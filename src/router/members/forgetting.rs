//! Who is forgotten where too many are known. Anybody can tell of others, and in an open room of
//! keys that it makes up: so those without a link are shared out by who told of them.

use std::collections::BTreeMap;

use super::Members;
use super::member::Member;
use crate::router::context::Context;
use crate::router::ids::MemberId;
use crate::router::notice::Notice;
use crate::router::quiet::{Origin, Topic};

impl Members {
    /// Makes room for somebody of whom an `origin` told, or who is linked, `direct`: false if there
    /// is none. A member that is forgotten keeps its name only if it `is_author` of an entry.
    pub(super) fn make_room(
        &mut self,
        cx: &mut Context,
        origin: Origin,
        direct: bool,
        is_author: impl Fn(&MemberId) -> bool,
    ) -> bool {
        if self.known.len() < cx.limits().members {
            return true;
        }
        let Some(id) = self.to_forget(origin, direct) else { return false };
        self.forget(cx, &id, is_author(&id));
        true
    }

    /// Of the origin that told of most, who is absent for longest, or else came last; an origin
    /// that told of about as many itself replaces only its own that are absent.
    fn to_forget(&self, origin: Origin, direct: bool) -> Option<MemberId> {
        let unlinked = || self.known.iter().filter(|(_, of)| of.conn.is_none());
        let mut counts: BTreeMap<Origin, usize> = BTreeMap::new();
        for (_, of) in unlinked() {
            *counts.entry(of.origin).or_default() += 1;
        }
        let own = counts.get(&origin).copied().unwrap_or(0);
        let (most, count) = counts.iter().max_by_key(|(_, count)| **count)?;
        let displaces = direct || *count > own + 1;
        let from = if displaces { *most } else { origin };
        let of_it = || unlinked().filter(|(_, of)| of.origin == from);
        let absent = of_it().filter(|(_, of)| !of.present).min_by_key(|(_, of)| of.heard);
        let last = || of_it().max_by_key(|(_, of)| of.since).filter(|_| displaces);
        absent.or_else(last).map(|(id, _)| *id)
    }

    fn forget(&mut self, cx: &mut Context, id: &MemberId, keep_name: bool) {
        let member = self.info(id);
        let forgotten = self.known.remove(id);
        if let Some(Member { origin, .. }) = forgotten.filter(|of| of.present) {
            self.names.note_presence(*id, false);
            self.forgotten.push(*id);
            cx.notify_from(origin, (Topic::Presence, *id), Notice::MemberLeft { member });
        }
        if !keep_name {
            self.names.forget(id);
        }
        for telling in self.tellings.values_mut() {
            telling.forget(id);
        }
        self.changed = true;
    }

    /// Who told of a member, or the member itself if it was linked.
    pub(crate) fn origin_of(&self, id: &MemberId) -> Origin {
        self.known.get(id).map_or(Origin::Member(*id), |member| member.origin)
    }
}
