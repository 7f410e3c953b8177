//! The names of members, and how to tell apart those that look alike.

use core::ops::Bound::{Excluded, Unbounded};
use std::collections::{BTreeMap, BTreeSet};

use crate::router::ids::MemberId;
use crate::router::text::{DIGITS_MARK, look};

/// Digits that are shown behind a name at least, where any are.
const DIGITS_MIN: usize = 4;

/// The names of everyone who ever spoke.
#[derive(Debug, Default)]
pub(super) struct Names {
    given: BTreeMap<MemberId, String>,
    /// By what a name looks like: two that look alike are told apart as well.
    bearers: BTreeMap<String, Bearers>,
}

/// Whose names look alike.
#[derive(Debug, Default)]
pub(super) struct Bearers {
    all: BTreeSet<MemberId>,
    here: BTreeSet<MemberId>,
}

impl Bearers {
    pub(super) fn contains(&self, id: &MemberId) -> bool {
        self.all.contains(id)
    }

    /// Whether there is anybody but `id`, or anybody who is here.
    pub(super) fn has_others(&self, id: &MemberId, here: bool) -> bool {
        let bearers = if here { &self.here } else { &self.all };
        bearers.iter().take(2).any(|other| other != id)
    }

    /// The ones next to `id` in the order of keys: no others have more first digits in common
    /// with it.
    pub(super) fn beside(&self, id: &MemberId) -> impl Iterator<Item = &MemberId> {
        let before = self.all.range(..id).next_back();
        before.into_iter().chain(self.all.range((Excluded(id), Unbounded)).next())
    }
}

impl Names {
    /// Names that are remembered.
    pub(super) fn len(&self) -> usize {
        self.given.len()
    }

    /// The name as the member gave it.
    pub(super) fn get(&self, id: &MemberId) -> Option<&str> {
        self.given.get(id).map(String::as_str)
    }

    /// Everybody with a name, and that.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&MemberId, &String)> {
        self.given.iter()
    }

    /// Everybody whose name looks like that.
    pub(super) fn bearers_of(&self, seen: &str) -> Option<&Bearers> {
        self.bearers.get(seen)
    }

    /// Takes note of a name, and whether its bearer `is_here`; whether it takes the place of
    /// another one.
    pub(super) fn set(&mut self, id: MemberId, name: &str, is_here: bool) -> bool {
        if self.get(&id).is_some_and(|before| before == name) {
            return false;
        }
        let before = self.given.insert(id, name.to_owned());
        if let Some(before) = &before {
            self.remove_bearer(&id, before);
        }
        let bearers = self.bearers.entry(look(name)).or_default();
        bearers.all.insert(id);
        if is_here {
            bearers.here.insert(id);
        }
        before.is_some()
    }

    /// A member came or went.
    pub(super) fn note_presence(&mut self, id: MemberId, is_here: bool) {
        let seen = self.given.get(&id).map(|name| look(name));
        let Some(bearers) = seen.and_then(|seen| self.bearers.get_mut(&seen)) else { return };
        if is_here {
            bearers.here.insert(id);
        } else {
            bearers.here.remove(&id);
        }
    }

    /// A member and its name are forgotten.
    pub(super) fn forget(&mut self, id: &MemberId) {
        if let Some(name) = self.given.remove(id) {
            self.remove_bearer(id, &name);
        }
    }

    fn remove_bearer(&mut self, id: &MemberId, name: &str) {
        let look = look(name);
        if let Some(bearers) = self.bearers.get_mut(&look) {
            bearers.all.remove(id);
            bearers.here.remove(id);
            if bearers.all.is_empty() {
                self.bearers.remove(&look);
            }
        }
    }
}

/// Whom the person at this node has verified, each with the name that it had then.
#[derive(Debug, Default)]
pub(super) struct Verified {
    names: BTreeMap<MemberId, String>,
    by_look: BTreeMap<String, BTreeSet<MemberId>>,
}

impl Verified {
    pub(super) fn of(names: BTreeMap<MemberId, String>) -> Self {
        let mut verified = Self::default();
        for (id, name) in names {
            verified.insert(id, name);
        }
        verified
    }

    pub(super) fn contains(&self, id: &MemberId) -> bool {
        self.names.contains_key(id)
    }

    /// Who was verified under a name that looks like that, the smallest key first.
    pub(super) fn under(&self, seen: &str) -> impl Iterator<Item = &MemberId> {
        self.by_look.get(seen).into_iter().flatten()
    }

    pub(super) fn is_under(&self, id: &MemberId, seen: &str) -> bool {
        self.by_look.get(seen).is_some_and(|verified| verified.contains(id))
    }

    pub(super) fn insert(&mut self, id: MemberId, name: String) {
        let seen = look(&name);
        if let Some(before) = self.names.insert(id, name)
            && let Some(verified) = self.by_look.get_mut(&look(&before))
        {
            verified.remove(&id);
        }
        self.by_look.entry(seen).or_default().insert(id);
    }
}

/// A name told apart from those of `others` by the first digits of its bearer: as many as it takes,
/// for anybody can make keys until one begins like another's.
pub(super) fn with_digits<'a>(
    name: &str,
    id: &MemberId,
    others: impl Iterator<Item = &'a MemberId>,
) -> String {
    let digits = id.to_string();
    let alike = |other: &MemberId| {
        let other = other.to_string();
        digits.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count()
    };
    let apart = others.map(|other| alike(other) + 1).fold(DIGITS_MIN, usize::max);
    format!("{name}{DIGITS_MARK}{}", digits.get(..apart).unwrap_or(&digits))
}

/// A name and the digits behind it, of what was typed as [`with_digits`] shows it.
pub(super) fn without_digits(nick: &str) -> Option<(&str, &str)> {
    let (name, digits) = nick.rsplit_once(DIGITS_MARK)?;
    let is_digits = digits.len() >= DIGITS_MIN && digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_digits.then_some((name, digits))
}
