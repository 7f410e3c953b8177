//! The machine for comparing short words with a member.
//!
//! The initiator commits to a random value, the responder reveals its own, then the initiator does:
//! the words are derived from both values and both identities. A man in the middle, with an
//! identity of its own for each side, must fix its values before it knows the resulting words, so
//! it has one guess in 2^44 per comparison (RFC 6189, 4.4.1.1, uses the same idea).
//!
//! It decides which words are shown and when they can have been compared. [`Members`] remembers
//! whom the person has verified.

mod words;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use self::words::{commit_to, words};
use super::context::Context;
use super::event::Effect;
use super::ids::{ConnId, Digest32, FaceId, MemberId};
use super::members::Members;
use super::message::{Message, Why};
use super::notice::{Code, Failure, MemberInfo, Notice};
use super::time::Millis;
use super::timers::Timer;
use super::tokens::{Buckets, TokenRate};

/// How long to wait for words: the other side answers automatically.
const WORDS_MS: u64 = 10_000;
/// How many comparisons one member may begin.
const ASKED: TokenRate = TokenRate { per_min: 6, burst: 8 };
/// Members for which that is remembered.
const ASKING_MAX: usize = 1_024;

/// How far a comparison over one link has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparing {
    /// This node began; its value is being drawn.
    Drawing,
    /// It committed to this value, and waits for the peer's.
    Committed(Digest32),
    /// The peer made this commitment; this node's value is being drawn.
    Answering(Digest32),
    /// This node revealed its value, and waits for the one that the peer committed to.
    Answered { commit: Digest32, mine: Digest32 },
}

/// A link over which words can be compared.
#[derive(Debug)]
struct WordsLink {
    member: MemberId,
    /// Whether its klatch can compare words.
    able: bool,
    comparing: Option<Comparing>,
}

/// A command that waits for words over a link.
#[derive(Debug)]
struct Awaited {
    face: FaceId,
    line: u64,
    conn: ConnId,
    until: Millis,
}

/// Comparisons in progress, and what was shown.
#[derive(Debug)]
pub(crate) struct Comparisons {
    links: BTreeMap<ConnId, WordsLink>,
    awaited: Vec<Awaited>,
    /// Members whose words were shown: only they can have been compared.
    shown: BTreeSet<MemberId>,
    /// How often members may still begin, over any links.
    asked: Buckets<MemberId>,
}

impl Default for Comparisons {
    fn default() -> Self {
        Self {
            links: BTreeMap::new(),
            awaited: Vec::new(),
            shown: BTreeSet::new(),
            asked: Buckets::new(ASKING_MAX),
        }
    }
}

impl Comparisons {
    /// A link is up.
    pub(crate) fn link_up(&mut self, conn: ConnId, member: MemberId, able: bool) {
        self.links.insert(conn, WordsLink { member, able, comparing: None });
    }

    /// A link is gone: no words come over it.
    pub(crate) fn link_down(&mut self, cx: &mut Context, conn: ConnId) {
        self.links.remove(&conn);
        let text = "the link was lost before the words were there: try again";
        self.end_waiting(cx, conn, &Err(Failure::new(Code::Unreachable, text)));
    }

    /// Shows the words of a member, or answers why it cannot.
    pub(crate) fn compare(
        &mut self,
        cx: &mut Context,
        members: &Members,
        (face, line): (FaceId, u64),
        id: &MemberId,
    ) {
        let Some((conn, link)) = self.links.iter_mut().find(|(_, link)| link.member == *id) else {
            let name = members.who(id).marked();
            let text = format!("there is no direct link with {name}: words need one");
            return cx.reply(face, line, "verify", Err(Failure::new(Code::Unreachable, text)));
        };
        if !link.able {
            let name = members.who(id).marked();
            let text = format!("{name}'s klatch cannot compare words: a newer one can");
            return cx.reply(face, line, "verify", Err(Failure::new(Code::Unreachable, text)));
        }
        let conn = *conn;
        // The words of a comparison in progress are shown as well.
        if link.comparing.is_none() {
            link.comparing = Some(Comparing::Drawing);
            cx.effect(Effect::DrawValue { conn });
        }
        self.awaited.push(Awaited { face, line, conn, until: cx.now.plus(WORDS_MS) });
        self.rearm(cx);
    }

    /// The person confirms that the other side reads the same words.
    ///
    /// # Errors
    /// If they were not shown.
    pub(crate) fn confirm(&mut self, members: &Members, id: &MemberId) -> Result<(), Failure> {
        // A member that has since taken this name was never compared.
        if self.shown.remove(id) {
            return Ok(());
        }
        let text = format!("compare the words first: verify {}", members.name_of(id));
        Err(Failure::new(Code::Usage, text))
    }

    /// Answers commands that wait for words over a link.
    fn end_waiting(&mut self, cx: &mut Context, conn: ConnId, result: &Result<(), Failure>) {
        for over in self.awaited.extract_if(.., |of| of.conn == conn) {
            cx.reply(over.face, over.line, "verify", result.clone());
        }
        self.rearm(cx);
    }

    /// Ends comparisons that were not answered in time.
    pub(crate) fn expire(&mut self, cx: &mut Context) {
        let now = cx.now;
        for late in self.awaited.extract_if(.., |of| of.until <= now) {
            if let Some(link) = self.links.get_mut(&late.conn) {
                link.comparing = None;
            }
            let text = "no words came in 10 s from the other side: try again";
            cx.reply(late.face, late.line, "verify", Err(Failure::new(Code::Timeout, text)));
        }
        self.rearm(cx);
    }

    fn rearm(&self, cx: &mut Context) {
        cx.timers.set(Timer::Words, self.awaited.iter().map(|of| of.until).min());
    }

    /// Random bytes for a comparison are here.
    pub(crate) fn value_drawn(&mut self, cx: &mut Context, conn: ConnId, value: [u8; 32]) {
        let value = Digest32(value);
        let Some(link) = self.links.get_mut(&conn) else { return };
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
        cx.effect(Effect::Send { conn, message });
    }

    /// The peer wants to compare words. If both began, the smaller key's comparison continues.
    pub(crate) fn committed(&mut self, cx: &mut Context, conn: ConnId, commit: Digest32) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let both = matches!(link.comparing, Some(Comparing::Drawing | Comparing::Committed(_)));
        if both && cx.my_id < link.member {
            return;
        }
        // Unwanted words must not fill the screen; the other side will time out.
        if !both && !self.asked.get(link.member, ASKED, cx.now).take(1, cx.now) {
            return;
        }
        link.comparing = Some(Comparing::Answering(commit));
        cx.effect(Effect::DrawValue { conn });
    }

    /// The peer, known to people as `member`, revealed its value.
    ///
    /// # Errors
    /// Why the link is refused: the peer had committed to another value.
    pub(crate) fn revealed(
        &mut self,
        cx: &mut Context,
        members: &Members,
        (conn, member): (ConnId, MemberInfo),
        theirs: Digest32,
    ) -> Result<(), Why> {
        let Some(link) = self.links.get_mut(&conn) else { return Ok(()) };
        let id = link.member;
        let (mine, asked) = match link.comparing.take() {
            Some(Comparing::Committed(mine)) => (mine, false),
            Some(Comparing::Answered { commit, mine }) if commit_to(&theirs) == commit => {
                (mine, true)
            }
            Some(Comparing::Answered { .. }) => return Err(Why::Protocol),
            other => {
                link.comparing = other;
                return Ok(());
            }
        };
        if !asked {
            cx.effect(Effect::Send { conn, message: Message::VerifyNonce(mine) });
        }
        // The initiator's value comes first.
        let (first, second) = if asked { (&theirs, &mine) } else { (&mine, &theirs) };
        let words = words(&cx.my_id, &id, first, second);
        if asked && members.is_ignored(&id) {
            return Ok(());
        }
        if self.shown.len() >= cx.limits().members {
            self.shown.clear();
        }
        self.shown.insert(id);
        cx.notify(Notice::Words { member, words, asked });
        self.end_waiting(cx, conn, &Ok(()));
        Ok(())
    }
}
