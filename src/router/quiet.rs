//! Notices that others can cause again and again. A few are reported at once; after that they wait,
//! and only the latest state is reported from time to time. Those who cause them take turns:
//! whoever causes many waits for its own, and delays others by one notice each.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use super::address::{is_own_computer, source_of};
use super::ids::MemberId;
use super::notice::Notice;
use super::time::Millis;
use super::tokens::{TokenRate, Tokens};

/// Most notices that wait: more than there can be members, as each has another member or topic.
pub(crate) const WAITING_MAX: usize = 4_096;

/// What a notice is about, apart from the member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// Somebody came or went.
    Presence,
    /// It changes its name.
    Name,
    /// The room is closed or open.
    Lock,
    /// Somebody was removed.
    Removal,
    /// It is a steward, or no longer one.
    Steward,
    /// It looks like somebody else.
    Lookalike,
    /// Its signatures show that it runs twice.
    Copies,
    /// It tells different things to different members.
    Fork,
    /// Another program came with its identity.
    SecondRun,
}

/// Who causes something: all members from one source count as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// Members that come from this source.
    Source(IpAddr),
    /// A member on this computer, or from an unknown address.
    Member(MemberId),
}

impl Origin {
    /// The origin of a member that comes from this address.
    pub(crate) fn of(member: MemberId, from: Option<IpAddr>) -> Self {
        let from = from.filter(|from| !is_own_computer(*from));
        from.map_or(Self::Member(member), |from| Self::Source(source_of(from)))
    }
}

impl Topic {
    /// The rate for all members together.
    fn rate(self) -> TokenRate {
        let (burst, per_min) = match self {
            // A whole room may arrive at once.
            Self::Presence => (256, 120),
            Self::Name | Self::Removal => (16, 12),
            Self::Lock | Self::Steward | Self::Lookalike => (8, 6),
            Self::Copies | Self::Fork | Self::SecondRun => (2, 2),
        };
        TokenRate { per_min, burst }
    }
}

/// What may be reported, and what is waiting.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    tokens: BTreeMap<Topic, Tokens>,
    /// The turn of the last report.
    turns: BTreeMap<Topic, u64>,
    /// Oldest first.
    waiting: Vec<WaitingNotice>,
}

#[derive(Debug)]
struct WaitingNotice {
    topic: Topic,
    about: MemberId,
    origin: Origin,
    /// The lowest of its topic comes first. Each notice of one origin has a turn of its own.
    turn: u64,
    notice: Notice,
}

impl WaitingNotice {
    fn is_of(&self, of: (Topic, MemberId)) -> bool {
        (self.topic, self.about) == of
    }
}

impl Quiet {
    /// Whether to report a notice now: then it is returned. Otherwise it waits, replacing an
    /// earlier one about the same thing. If there are too many, the origin that has most loses one.
    pub(crate) fn admit(
        &mut self,
        origin: Origin,
        (topic, member): (Topic, MemberId),
        notice: Notice,
        now: Millis,
    ) -> Option<Notice> {
        if let Some(at) = self.waiting.iter().position(|of| of.is_of((topic, member))) {
            let before = self.waiting.remove(at);
            if let Some(notice) = merged(before.notice, notice) {
                self.waiting.insert(at, WaitingNotice { notice, ..before });
            }
            return None;
        }
        if self.tokens(topic, now).take(1, now) {
            return Some(notice);
        }
        let turn = self.next_turn(topic, origin);
        self.waiting.push(WaitingNotice { topic, about: member, origin, turn, notice });
        if self.waiting.len() > WAITING_MAX {
            self.drop_one();
        }
        None
    }

    fn drop_one(&mut self) {
        let mut counts: BTreeMap<Origin, usize> = BTreeMap::new();
        for of in &self.waiting {
            *counts.entry(of.origin).or_default() += 1;
        }
        let most = counts.iter().max_by_key(|(_, count)| **count).map(|(origin, _)| *origin);
        if let Some(at) = self.waiting.iter().rposition(|of| Some(of.origin) == most) {
            self.waiting.remove(at);
        }
    }

    /// Others told of a member, which now speaks for itself: what waits about it waits in its own
    /// turn.
    pub(crate) fn speaks(&mut self, about: MemberId, origin: Origin) {
        for topic in [Topic::Presence, Topic::Name] {
            let turn = self.next_turn(topic, origin);
            let waiting = self.waiting.iter_mut().find(|of| of.is_of((topic, about)));
            if let Some(waiting) = waiting.filter(|of| of.origin != origin) {
                (waiting.origin, waiting.turn) = (origin, turn);
            }
        }
    }

    fn next_turn(&self, topic: Topic, origin: Origin) -> u64 {
        let own = self.waiting.iter().filter(|of| of.topic == topic && of.origin == origin);
        let last = own.map(|of| of.turn).max().or(self.turns.get(&topic).copied());
        last.unwrap_or(0) + 1
    }

    /// What this node does itself is reported at once, replacing what waits about the same thing.
    pub(crate) fn forget(&mut self, of: (Topic, MemberId)) {
        self.waiting.retain(|waiting| !waiting.is_of(of));
    }

    /// The room changes: waiting notices are of no use there.
    pub(crate) fn forget_all(&mut self) {
        self.waiting.clear();
    }

    /// How many are waiting.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// What may be reported now.
    pub(crate) fn take_due(&mut self, now: Millis) -> Vec<Notice> {
        let mut due = Vec::new();
        let topics: BTreeSet<Topic> = self.waiting.iter().map(|of| of.topic).collect();
        for topic in topics {
            while let Some(at) = self.next_of(topic)
                && self.tokens(topic, now).take(1, now)
            {
                let next = self.waiting.remove(at);
                self.turns.insert(topic, next.turn);
                due.push(next.notice);
            }
        }
        due
    }

    fn next_of(&self, topic: Topic) -> Option<usize> {
        let waiting = self.waiting.iter().enumerate().filter(|(_, of)| of.topic == topic);
        waiting.min_by_key(|(_, of)| of.turn).map(|(at, _)| at)
    }

    /// When something may be reported.
    pub(crate) fn next_due(&mut self, now: Millis) -> Option<Millis> {
        let mut next = None;
        let waits = |of: &Topic| self.waiting.iter().any(|waiting| waiting.topic == *of);
        for tokens in self.tokens.iter_mut().filter(|(of, _)| waits(of)).map(|(_, of)| of) {
            let at = now.plus(tokens.wait_ms(1, now));
            next = Some(next.map_or(at, |next: Millis| next.min(at)));
        }
        next
    }

    fn tokens(&mut self, topic: Topic, now: Millis) -> &mut Tokens {
        self.tokens.entry(topic).or_insert_with(|| Tokens::at(topic.rate(), now))
    }
}

/// One notice in place of two, as faces have not seen the first; `None` if nothing changed.
fn merged(first: Notice, second: Notice) -> Option<Notice> {
    Some(match (first, second) {
        (Notice::NameChanged { before, .. }, Notice::NameChanged { member, .. }) => {
            if member.who.name == before {
                return None;
            }
            Notice::NameChanged { member, before }
        }
        (Notice::MemberJoined { .. }, Notice::MemberLeft { .. })
        | (Notice::MemberLeft { .. }, Notice::MemberJoined { .. }) => return None,
        (Notice::StewardChanged { off: first, .. }, Notice::StewardChanged { off, .. })
            if first != off =>
        {
            return None;
        }
        (
            Notice::RoomLocked { out: mut first, .. },
            Notice::RoomLocked { by, own, password, out, me_out },
        ) => {
            let new = out.into_iter().filter(|who| !first.iter().any(|known| known.id == who.id));
            let new: Vec<_> = new.collect();
            first.extend(new);
            Notice::RoomLocked { by, own, password, out: first, me_out }
        }
        (_, second) => second,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::notice::{MemberInfo, Who};
    use crate::router::text::Untrusted;

    const EVES: Origin = Origin::Member(MemberId([1; 32]));
    const BENS: Origin = Origin::Member(MemberId([2; 32]));

    fn renamed(of: u8, before: &str, name: &str) -> Notice {
        let who = Who { id: MemberId([of; 32]), name: Untrusted::new(name), verified: false };
        let member = MemberInfo { who, address: String::new() };
        Notice::NameChanged { member, before: Untrusted::new(before) }
    }

    /// R7: the screen showed 120,000 lines about new names.
    #[test]
    fn r7_what_changes_all_the_time_is_told_as_it_is_from_time_to_time() {
        let mut quiet = Quiet::default();
        let about = (Topic::Name, MemberId([1; 32]));
        let mut told = Vec::new();
        for number in 0..120_000_u64 {
            let (before, name) = (format!("eve {number}"), format!("eve {}", number + 1));
            let now = Millis(number / 12);
            told.extend(quiet.take_due(now));
            told.extend(quiet.admit(EVES, about, renamed(1, &before, &name), now));
        }
        assert!(told.len() <= 16 + 2, "{}", told.len());
        assert_eq!(quiet.len(), 1);
        // Others' changes are reported in their turn, and only outdated ones are lost.
        let ben = (Topic::Name, MemberId([2; 32]));
        assert_eq!(quiet.admit(BENS, ben, renamed(2, "ben", "benno"), Millis(9_999)), None);
        assert_eq!(quiet.admit(BENS, ben, renamed(2, "benno", "bernd"), Millis(9_999)), None);
        let mut now = Millis(9_999);
        let mut last = Vec::new();
        while let Some(at) = quiet.next_due(now) {
            now = at;
            last.extend(quiet.take_due(now));
        }
        assert!(now <= Millis(20_000), "{now:?}");
        let Notice::NameChanged { before: shown, .. } = told.last().cloned().unwrap() else {
            unreachable!()
        };
        assert_ne!(shown.raw(), "eve 120000");
        assert_eq!(last.len(), 2);
        assert_eq!(last[1], renamed(2, "ben", "bernd"));
        let Notice::NameChanged { member, .. } = &last[0] else { unreachable!() };
        assert_eq!(member.who.name.raw(), "eve 120000");
        // A change that was reversed is not worth a notice.
        for _ in 0..16 {
            quiet.admit(BENS, ben, renamed(2, "bernd", "ben"), now);
        }
        quiet.forget_all();
        assert_eq!(quiet.admit(BENS, ben, renamed(2, "ben", "b"), now), None);
        assert_eq!(quiet.admit(BENS, ben, renamed(2, "b", "ben"), now), None);
        assert_eq!(quiet.len(), 0);
    }

    /// R7: a member announced a thousand others that it had made up, and real newcomers were
    /// reported minutes later, or never.
    #[test]
    fn r7_who_causes_much_does_not_delay_others() {
        let mut quiet = Quiet::default();
        let joined = |number: u64| {
            let mut id = [9; 32];
            id[..8].copy_from_slice(&number.to_be_bytes());
            let who = Who { id: MemberId(id), name: Untrusted::new("new"), verified: false };
            let member = MemberInfo { who, address: String::new() };
            ((Topic::Presence, MemberId(id)), Notice::MemberJoined { member })
        };
        let now = Millis(0);
        for number in 0..6_000 {
            let (about, notice) = joined(number);
            quiet.admit(EVES, about, notice, now);
        }
        assert_eq!(quiet.len(), WAITING_MAX);
        let honest: Vec<_> = (10_000..10_003).map(joined).collect();
        for (about, notice) in &honest {
            assert_eq!(quiet.admit(BENS, *about, notice.clone(), now), None);
        }
        assert_eq!(quiet.len(), WAITING_MAX);
        // They take turns with hers.
        let mut told = Vec::new();
        for tick in 1..=6 {
            told.extend(quiet.take_due(Millis(500 * tick)));
        }
        assert_eq!(told.len(), 6);
        assert!(honest.iter().all(|(_, notice)| told.contains(notice)), "{told:?}");
    }
}
