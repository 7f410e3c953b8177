//! Comparing short words with a member, whom one has verified, and who only has a known name.
//!
//! Both sides compute the same words from both identities. Who sits between two members and shows
//! each of them an identity of its own would need two identities that give both the same words: a
//! collision of 88 bits in which each trial costs [`ROUNDS`] hashes.

use std::collections::{BTreeMap, BTreeSet};

use super::Router;
use super::ids::{FaceId, MemberId};
use super::notice::{Code, Failure, Notice};
use super::roster::with_digits;
use super::text::{Untrusted, VERIFIED_MARK, look};
use crate::crypto::hash::digest;

/// How many words are compared, of 2,048 each.
const WORDS: usize = 8;
/// Bits of a word.
const WORD_BITS: usize = 11;
/// Hashes one after the other: some milliseconds for an honest side.
const ROUNDS: u32 = 65_536;
const LABEL: &[u8; 16] = b"klatch verify 1\n";

/// Whom the person at this node has verified.
#[derive(Debug, Default)]
pub(super) struct Verified {
    /// Each with the name that it had then.
    members: BTreeMap<MemberId, String>,
    /// Others under such a name that were told of.
    told: BTreeSet<MemberId>,
    /// Whose words were shown last: only they can have been compared.
    shown: Option<MemberId>,
}

impl Verified {
    pub(super) fn new(members: BTreeMap<MemberId, String>) -> Self {
        Self { members, told: BTreeSet::new(), shown: None }
    }
}

impl Router {
    pub(super) fn is_verified(&self, id: &MemberId) -> bool {
        self.verified.members.contains_key(id)
    }

    /// `verify <nick>` shows the words; `same` says that the other side reads them too.
    pub(super) fn verify(&mut self, face: FaceId, line: u64, nick: &str, same: bool) {
        let result = self.find_member(nick).and_then(|id| {
            if same {
                let shown = self.roster.name_of(&id);
                // Whoever came under that name since then was never compared.
                if self.verified.shown.take() != Some(id) {
                    let text = format!("compare the words first: verify {shown}");
                    return Err(Failure::new(Code::Usage, text));
                }
                let name = self.roster.bare_name(&id).unwrap_or_default().to_owned();
                self.verified.members.insert(id, name);
                let member = self.member_info(&id);
                self.notify(Notice::MemberVerified { member });
            } else {
                self.verified.shown = Some(id);
                let words = words(&self.my_id, &id);
                let member = self.member_info(&id);
                self.notify(Notice::Words { member, words });
            }
            Ok(())
        });
        self.reply(face, line, "verify", result);
    }

    /// Who is meant by a name as it is shown, or by one that only one member has.
    fn find_member(&self, nick: &str) -> Result<MemberId, Failure> {
        // Whoever copies a name from the screen may have its mark too.
        let nick = nick.strip_suffix(VERIFIED_MARK).unwrap_or(nick);
        let name = |id: &MemberId| self.roster.name_of(id).raw().to_owned();
        let bare = |id: &MemberId| self.roster.bare_name(id).unwrap_or_default().to_owned();
        let shown = |id: &MemberId| name(id) == nick || with_digits(&name(id), id) == nick;
        let bare = |id: &MemberId| bare(id) == nick;
        let found = |wanted: &dyn Fn(&MemberId) -> bool| -> Vec<MemberId> {
            self.roster.present().map(|(id, _)| *id).filter(wanted).collect()
        };
        let mut candidates = found(&shown);
        if candidates.is_empty() {
            candidates = found(&bare);
        }
        let quoted = Untrusted::new(nick);
        match candidates.as_slice() {
            [one] => Ok(*one),
            [] => {
                let text = format!("nobody here is called {quoted}: members shows who is");
                Err(Failure::new(Code::NameNotFound, text))
            }
            several => {
                let names: Vec<String> = several.iter().map(|id| self.who(id).marked()).collect();
                let text = format!("several here are called {quoted}: {}", names.join(", "));
                Err(Failure::new(Code::AmbiguousName, text))
            }
        }
    }

    /// A member is here under this name: one that looks like a verified one and has another key
    /// is told of, once.
    pub(super) fn beware_of(&mut self, id: &MemberId) {
        if self.is_verified(id) || *id == self.my_id || self.verified.told.contains(id) {
            return;
        }
        let Some(name) = self.roster.bare_name(id) else { return };
        let seen = look(name);
        let known = self.verified.members.iter().find(|(_, known)| look(known) == seen);
        if let Some((known, _)) = known {
            let digits = known.short();
            let name = self.roster.name_of(id);
            self.remark(format!(
                "careful: {name} has another key than the one that you verified ({digits}); \
                 verify {name} compares anew"
            ));
            if self.verified.told.len() >= self.limits().members {
                self.verified.told.clear();
            }
            self.verified.told.insert(*id);
        }
    }
}

/// The words of two identities, whichever of them asks.
fn words(mine: &MemberId, theirs: &MemberId) -> String {
    let (first, second) = (mine.min(theirs), mine.max(theirs));
    let mut hash = digest(&[LABEL, &first.0, &second.0]);
    for _ in 0..ROUNDS {
        hash = digest(&[LABEL, &hash, &first.0, &second.0]);
    }
    let list = bip39::Language::English.word_list();
    let bit = |at: usize| {
        let byte = hash.get(at / 8).copied().unwrap_or_default();
        usize::from(byte >> (7 - at % 8) & 1)
    };
    let word = |index: usize| {
        let bits = (0..WORD_BITS).map(|at| bit(index * WORD_BITS + at));
        let number = bits.fold(0, |number, bit| number << 1 | bit);
        list.get(number).copied().unwrap_or_default()
    };
    (0..WORDS).map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_read_the_same_words_and_a_third_reads_others() {
        let [a, b, c] = [1, 2, 3].map(|byte| MemberId([byte; 32]));
        let both = words(&a, &b);
        assert_eq!(both, words(&b, &a));
        assert_eq!(both.split(' ').count(), WORDS);
        assert_ne!(both, words(&a, &c));
        // What people have compared once must stay what it was.
        assert_eq!(both, "obvious tree evidence apology use kite either discover");
    }
}
