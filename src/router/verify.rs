//! Comparing short words with a member, whom one has verified, and who only has a known name.
//!
//! One side commits to a random value, the other tells its own, the first reveals: the words are
//! made of both values and both identities. Who sits between two members, with an identity of its
//! own for each, has to fix its values before it knows what words they give, so it has one guess
//! of 44 bits for each comparison (RFC 6189, 4.4.1.1, has the same idea).

use std::collections::BTreeSet;

use super::Router;
use super::event::Effect;
use super::ids::{ConnId, Digest32, FaceId, MemberId};
use super::links::Conn;
use super::members::with_digits;
use super::message::{Message, Why};
use super::notice::{Code, Failure, Notice};
use super::text::{Untrusted, VERIFIED_MARK};
use super::time::{Earliest, Millis};
use crate::crypto::hash::digest;

/// How many words are compared, of 2,048 each.
const WORDS: usize = 4;
/// Bits of a word.
const WORD_BITS: usize = 11;
/// How long words are waited for: the other side answers by itself.
const WORDS_MS: u64 = 10_000;
/// Least time between comparisons that one peer begins over a link.
const ASKED_MS: u64 = 1_000;
const LABEL: &[u8] = b"klatch verify 1\0";
const COMMIT: &[u8] = b"klatch verify commit 1\0";

/// How far a comparison over one link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparing {
    /// This node began; its value is being drawn.
    Drawing,
    /// It committed to this value and waits for the peer's.
    Committed(Digest32),
    /// The peer committed so; this node's value is being drawn.
    Answering(Digest32),
    /// This node told its value and waits for the one that the peer committed to.
    Answered { commit: Digest32, mine: Digest32 },
}

/// Comparisons that are under way, and what was told.
#[derive(Debug, Default)]
pub(super) struct Verified {
    /// Whose words were shown: only they can have been compared.
    shown: BTreeSet<MemberId>,
    /// Commands that wait for words, over which links, and until when.
    waiting: Vec<(FaceId, u64, ConnId, Millis)>,
}

impl Router {
    /// `verify <nick>` shows the words; `same` says that the other side reads them too.
    pub(super) fn verify(&mut self, face: FaceId, line: u64, nick: &str, same: bool) {
        let mut waits = false;
        let result = self.find_member(nick).and_then(|id| {
            if same {
                let shown = self.members.name_of(&id);
                // Whoever came under that name since then was never compared.
                if !self.verified.shown.remove(&id) {
                    let text = format!("compare the words first: verify {shown}");
                    return Err(Failure::new(Code::Usage, text));
                }
                self.members.verify(id);
                let member = self.members.info(&id);
                self.cx.notify(Notice::MemberVerified { member });
            } else {
                let Some((conn, link)) = self.link_of(&id) else {
                    let name = self.members.who(&id).marked();
                    let text = format!("there is no direct link with {name}: words need one");
                    return Err(Failure::new(Code::Unreachable, text));
                };
                // Of a comparison that is under way the words are told as well.
                let begins = link.comparing.is_none();
                self.verified.waiting.push((face, line, conn, self.cx.now.plus(WORDS_MS)));
                waits = true;
                if begins {
                    self.mark_link(conn, |link| link.comparing = Some(Comparing::Drawing));
                    self.cx.effect(Effect::DrawValue { conn });
                }
            }
            Ok(())
        });
        if !waits {
            self.cx.reply(face, line, "verify", result);
        }
    }

    /// Answers whoever waits for words over a link.
    fn end_waiting(&mut self, conn: ConnId, result: &Result<(), Failure>) {
        let over = self.verified.waiting.extract_if(.., |(_, _, waited, _)| *waited == conn);
        for (face, line, ..) in over.collect::<Vec<_>>() {
            self.cx.reply(face, line, "verify", result.clone());
        }
    }

    /// Whoever does not answer a comparison is not waited for.
    pub(super) fn verify_timers(&mut self) {
        let now = self.cx.now;
        let late = self.verified.waiting.extract_if(.., |(.., until)| *until <= now);
        for (face, line, conn, _) in late.collect::<Vec<_>>() {
            if let Some(link) = self.conns.get_mut(&conn).and_then(Conn::link_mut) {
                link.comparing = None;
            }
            let text = "no words came in 10 s from the other side: try again";
            self.cx.reply(face, line, "verify", Err(Failure::new(Code::Timeout, text)));
        }
    }

    pub(super) fn verify_deadlines(&self, earliest: &mut Earliest) {
        self.verified.waiting.iter().for_each(|(.., until)| earliest.at(*until));
    }

    /// A link is over: no words come over it.
    pub(super) fn no_words(&mut self, conn: ConnId) {
        let text = "the link was lost before the words were there: try again";
        self.end_waiting(conn, &Err(Failure::new(Code::Unreachable, text)));
    }

    /// Random bytes for a comparison are here.
    pub(super) fn value_drawn(&mut self, conn: ConnId, value: [u8; 32]) {
        let value = Digest32(value);
        let Some(link) = self.conns.get_mut(&conn).and_then(Conn::link_mut) else { return };
        let message = match link.comparing {
            Some(Comparing::Drawing) => {
                link.comparing = Some(Comparing::Committed(value));
                Message::VerifyCommit(commit_to(&value))
            }
            Some(Comparing::Answering(commit)) => {
                link.comparing = Some(Comparing::Answered { commit, mine: value });
                Message::VerifyNonce(value)
            }
            _ => return,
        };
        self.cx.effect(Effect::Send { conn, message });
    }

    /// The peer wants to compare words. If both began, the smaller key goes on.
    pub(super) fn verify_committed(&mut self, conn: ConnId, commit: Digest32) {
        let (me, now) = (self.cx.my_id, self.cx.now);
        let Some(link) = self.conns.get_mut(&conn).and_then(Conn::link_mut) else { return };
        let both = matches!(link.comparing, Some(Comparing::Drawing | Comparing::Committed(_)));
        if both && me < link.member {
            return;
        }
        // Words that nobody asked for are not to fill the screen; the other side waits in vain.
        if !both && link.asked_words.is_some_and(|at| now.since(at) < ASKED_MS) {
            return;
        }
        link.asked_words = Some(now);
        link.comparing = Some(Comparing::Answering(commit));
        self.cx.effect(Effect::DrawValue { conn });
    }

    /// The peer told its value.
    pub(super) fn verify_revealed(&mut self, conn: ConnId, theirs: Digest32) {
        let Some(link) = self.conns.get_mut(&conn).and_then(Conn::link_mut) else { return };
        let member = link.member;
        let (mine, asked) = match link.comparing.take() {
            Some(Comparing::Committed(mine)) => (mine, false),
            Some(Comparing::Answered { commit, mine }) if commit_to(&theirs) == commit => {
                (mine, true)
            }
            Some(Comparing::Answered { .. }) => return self.refuse(conn, Why::Protocol),
            other => {
                link.comparing = other;
                return;
            }
        };
        if !asked {
            self.cx.effect(Effect::Send { conn, message: Message::VerifyNonce(mine) });
        }
        // First the value of whoever began.
        let (first, second) = if asked { (&theirs, &mine) } else { (&mine, &theirs) };
        let words = words(&self.cx.my_id, &member, first, second);
        if asked && self.members.is_ignored(&member) {
            return;
        }
        if self.verified.shown.len() >= self.cx.limits().members {
            self.verified.shown.clear();
        }
        self.verified.shown.insert(member);
        let member = self.members.info(&member);
        self.cx.notify(Notice::Words { member, words, asked });
        self.end_waiting(conn, &Ok(()));
    }

    /// Who is meant by a name as it is shown, or by one that only one member has.
    pub(super) fn find_member(&self, nick: &str) -> Result<MemberId, Failure> {
        // Whoever copies a name from the screen may have its mark too.
        let nick = nick.strip_suffix(VERIFIED_MARK).unwrap_or(nick);
        let name = |id: &MemberId| self.members.name_of(id).raw().to_owned();
        let bare = |id: &MemberId| self.members.bare_name(id).unwrap_or_default().to_owned();
        let shown = |id: &MemberId| name(id) == nick || with_digits(&name(id), id) == nick;
        let bare = |id: &MemberId| bare(id) == nick;
        let found = |wanted: &dyn Fn(&MemberId) -> bool| -> Vec<MemberId> {
            self.members.present().filter(wanted).collect()
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
                let names: Vec<String> =
                    several.iter().map(|id| self.members.who(id).marked()).collect();
                let text = format!("several here are called {quoted}: {}", names.join(", "));
                Err(Failure::new(Code::AmbiguousName, text))
            }
        }
    }
}

fn commit_to(value: &Digest32) -> Digest32 {
    Digest32(digest(&[COMMIT, &value.0]))
}

/// The words of two identities and two values, whichever side computes them.
fn words(mine: &MemberId, theirs: &MemberId, began: &Digest32, answered: &Digest32) -> String {
    let (first, second) = (mine.min(theirs), mine.max(theirs));
    let hash = digest(&[LABEL, &first.0, &second.0, &began.0, &answered.0]);
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
    fn both_sides_read_the_same_words_and_others_read_others() {
        let [a, b, c] = [1, 2, 3].map(|byte| MemberId([byte; 32]));
        let [x, y] = [4, 5].map(|byte| Digest32([byte; 32]));
        let both = words(&a, &b, &x, &y);
        assert_eq!(both, words(&b, &a, &x, &y));
        assert_eq!(both.split(' ').count(), WORDS);
        assert_ne!(both, words(&a, &c, &x, &y));
        assert_ne!(both, words(&a, &b, &y, &x));
        assert_ne!(commit_to(&x), commit_to(&y));
    }
}
