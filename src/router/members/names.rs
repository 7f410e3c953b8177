//! The names of members, and how to tell apart those that look alike.

use std::collections::{BTreeMap, BTreeSet};

use crate::router::ids::MemberId;
use crate::router::text::look;

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

    /// Others whose name looks like that of a member.
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

/// A name told apart from others by the first digits of its bearer.
pub(crate) fn with_digits(name: &str, id: &MemberId) -> String {
    let digits = id.short();
    format!("{name}·{}", digits.get(..4).unwrap_or_default())
}
