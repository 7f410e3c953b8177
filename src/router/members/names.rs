//! The names of members, and how to tell apart those that look alike.

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
    holders: BTreeMap<String, BTreeSet<MemberId>>,
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

    /// Others whose name looks like a member's.
    pub(super) fn others_like(&self, id: &MemberId, seen: &str) -> impl Iterator<Item = &MemberId> {
        self.holders.get(seen).into_iter().flatten().filter(move |other| *other != id)
    }

    /// Takes note of a name; whether it takes the place of another one.
    pub(super) fn set(&mut self, id: MemberId, name: &str) -> bool {
        if self.get(&id).is_some_and(|before| before == name) {
            return false;
        }
        let before = self.given.insert(id, name.to_owned());
        if let Some(before) = &before {
            self.remove_holder(&id, before);
        }
        self.holders.entry(look(name)).or_default().insert(id);
        before.is_some()
    }

    /// A member and its name are forgotten.
    pub(super) fn forget(&mut self, id: &MemberId) {
        if let Some(name) = self.given.remove(id) {
            self.remove_holder(id, &name);
        }
    }

    fn remove_holder(&mut self, id: &MemberId, name: &str) {
        let look = look(name);
        if let Some(holders) = self.holders.get_mut(&look) {
            holders.remove(id);
            if holders.is_empty() {
                self.holders.remove(&look);
            }
        }
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
