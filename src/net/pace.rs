//! How fast members are heard: each has a bucket of tokens for each kind of message, and so have
//! those who come from one place together. What is said beyond that is heard later: the link is
//! read more slowly, until the system takes no more of the peer's, and nobody else waits.
//!
//! Entries that are pushed are slowed down late, because a script's thousands of lines may come at
//! once. But verifying a signature costs more than all else: those that the router would drop
//! anyway are not verified. Whose they are is not known by then, so only the member that sends
//! them pays.
//!
//! Buckets outlive connections. Their bursts are the floor: they hold more than any klatch says at
//! once, so nobody is slowed down who only does what klatch does.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::router::address::{is_own_computer, source_of};
use crate::router::ids::MemberId;
use crate::router::message::{Held, Message};
use crate::router::time::Millis;
use crate::router::tokens::{Buckets, TokenRate};

/// Buckets that are remembered.
const BUCKETS_MAX: usize = 16_384;
/// Those who come from one place may do so many times as much as one member.
const SHARES_OF_A_SOURCE: u32 = 8;
/// What the answer to a question may cost, and more than that: it has at most 256 entries.
const ANSWER_ENTRIES: u64 = 1_024;
/// No message waits longer. The link would count as silent before long.
const WAIT_MAX_MS: u64 = 2_000;

/// Messages that cost about the same, and are said about as often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum MessageKind {
    Presence,
    /// Of others, passed on.
    PresenceOfOthers,
    Records,
    /// All of them signed by others: passed on.
    RecordsOfOthers,
    Secrets,
    Entries,
    /// Of authors that others cannot reach, passed on.
    EntriesOfOthers,
    /// Those whose signatures are verified.
    EntriesVerified,
    /// The same of what is passed on.
    EntriesOfOthersVerified,
    Haves,
    Questions,
    Answers,
    Files,
    Chunks,
    BadChunks,
    LanesWanted,
    Words,
    Signs,
    Others,
}

impl MessageKind {
    /// Tokens per second, and at once.
    fn rate(self) -> (u32, u32) {
        match self {
            // On linking those of all members, each with others out of its reach.
            Self::Presence => (50, 4_096),
            // What a member between those who cannot reach each other passes on of all of them.
            Self::PresenceOfOthers => (400, 16_384),
            // A person locks and removes by hand.
            Self::Records => (10, 1_024),
            // On linking a whole register, 32 at a time; then ten times a second what is new.
            Self::RecordsOfOthers => (100, 2_048),
            Self::Secrets => (10, 512),
            // Ten thousand lines out of a pipe. What exceeds the log's own rate is repaired.
            Self::Entries | Self::EntriesOfOthers => (1_000, 16_384),
            // A little more than the router takes of one author: it is to see that there is more.
            Self::EntriesVerified => (60, 1_200),
            // Bursts of two scripts, and then as much as four may say.
            Self::EntriesOfOthersVerified => (200, 2_000),
            Self::Haves => (400, 8_192),
            Self::Questions => (200, 2_048),
            // And what each question brings, see [`ANSWER_ENTRIES`].
            Self::Answers => (100, 2_048),
            // On linking all files that are held; later as chunks come, of eight downloads.
            Self::Files => (1_000, 16_384),
            Self::Chunks => (1_000, 8_192),
            // Each has a chunk read and hashed.
            Self::BadChunks => (1, 64),
            Self::LanesWanted => (2, 64),
            Self::Words => (2, 32),
            Self::Signs => (100, 1_024),
            Self::Others => (50, 512),
        }
    }

    /// The bucket of so many members.
    fn tokens(self, members: u32) -> TokenRate {
        let (per_s, burst) = self.rate();
        TokenRate { per_min: 60 * members * per_s, burst: members * burst }
    }

    /// The kind of a message, and what it costs; `None` for the last of all.
    fn of(member: &MemberId, message: Option<&Message>) -> Option<(Self, u64)> {
        let pieces = |many: usize, each: usize| 1 + (many / each) as u64;
        Some(match message {
            None => (Self::Others, 1),
            Some(Message::Presence(record)) => {
                let own = record.body.member == *member;
                let kind = if own { Self::Presence } else { Self::PresenceOfOthers };
                (kind, pieces(record.body.unlinked.len(), 64))
            }
            Some(Message::Records(records)) => {
                let signed = records.iter().filter(|of| of.record.signer() == *member);
                let (own, acts) =
                    signed.fold((false, 0), |(_, acts), of| (true, acts + u64::from(of.is_act())));
                let kind = if own { Self::Records } else { Self::RecordsOfOthers };
                (kind, pieces(records.len(), 8) + 4 * acts.max(1))
            }
            Some(Message::Password { .. } | Message::Invitation { .. }) => (Self::Secrets, 1),
            Some(Message::Entry(entry)) => {
                let own = entry.body.chain.author == *member;
                (if own { Self::Entries } else { Self::EntriesOfOthers }, 1)
            }
            Some(Message::Have(list)) => (Self::Haves, pieces(list.len(), 16)),
            Some(Message::Receipt { .. }) => (Self::Haves, 1),
            Some(Message::Ask { chains, .. }) => (Self::Questions, pieces(chains.len(), 16)),
            Some(Message::Hosting { held, .. }) => (Self::Files, cost_of_bitmap(held)),
            Some(Message::Gained { chunks, .. }) => (Self::Files, pieces(chunks.len(), 256)),
            Some(Message::Dropped { .. }) => (Self::Files, 1),
            Some(Message::Unwanted { .. }) => (Self::Chunks, 1),
            Some(Message::BadChunk { .. }) => (Self::BadChunks, 1),
            Some(Message::LaneWanted) => (Self::LanesWanted, 1),
            Some(Message::VerifyCommit(_) | Message::VerifyNonce(_)) => (Self::Words, 1),
            Some(Message::Ping(_) | Message::Pong(_)) => (Self::Signs, 1),
            Some(Message::Ready { .. } | Message::Register(_) | Message::Ids { .. }) => {
                (Self::Others, 1)
            }
            // Each entry was verified.
            Some(Message::Answer { entries, .. }) => (Self::Answers, pieces(entries.len(), 1)),
            Some(Message::Refuse(_)) => return None,
        })
    }
}

fn cost_of_bitmap(held: &Held) -> u64 {
    match held {
        Held::All => 1,
        Held::Some(bitmap) => 1 + u64::from(bitmap.len() / 8_192),
    }
}

/// Who has a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Speaker {
    Member(MemberId),
    Source(IpAddr),
}

/// The buckets of all members.
#[derive(Debug)]
pub struct MemberPace {
    began: Instant,
    buckets: Mutex<Buckets<(Speaker, MessageKind)>>,
}

impl MemberPace {
    /// Nobody said anything yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { began: now, buckets: Mutex::new(Buckets::new(BUCKETS_MAX)) }
    }

    /// This node asks a member: it may answer, as fast as it can.
    pub fn ask(&self, (member, from): (MemberId, IpAddr)) {
        let mut buckets = self.lock();
        for who in [Speaker::Member(member), Speaker::Source(source_of(from))] {
            buckets.give((who, MessageKind::Answers), ANSWER_ENTRIES);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Buckets<(Speaker, MessageKind)>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A member said something (`None`: of a kind that this klatch does not know); how long it is
    /// to wait before anything more of it is read.
    #[must_use]
    pub fn hear(
        &self,
        (member, from): (MemberId, IpAddr),
        message: Option<&Message>,
        now: Instant,
    ) -> Duration {
        let Some(costs) = MessageKind::of(&member, message) else { return Duration::ZERO };
        self.owe((member, from), costs, now)
    }

    /// A member pushes an entry that names this author. It is verified while the member has tokens
    /// for that.
    ///
    /// # Errors
    /// It has none: how long to wait before anything more of it is read.
    pub fn push(
        &self,
        (member, from): (MemberId, IpAddr),
        author: &MemberId,
        now: Instant,
    ) -> Result<(), Duration> {
        let (read, verified) = if *author == member {
            (MessageKind::Entries, MessageKind::EntriesVerified)
        } else {
            (MessageKind::EntriesOfOthers, MessageKind::EntriesOfOthersVerified)
        };
        if self.take((member, from), verified, now) {
            return Ok(());
        }
        Err(self.owe((member, from), (read, 1), now))
    }

    fn owe(
        &self,
        (member, from): (MemberId, IpAddr),
        (kind, cost): (MessageKind, u64),
        now: Instant,
    ) -> Duration {
        let now = self.since(now);
        let mut buckets = self.lock();
        let own = buckets.get((Speaker::Member(member), kind), kind.tokens(1), now);
        let (mut wait_ms, taken) = own.owe(cost, WAIT_MAX_MS, now);
        if !is_own_computer(from) {
            let source = (Speaker::Source(source_of(from)), kind);
            let together = buckets.get(source, kind.tokens(SHARES_OF_A_SOURCE), now);
            // What one's own bucket never pays is no debt of one's neighbours either.
            wait_ms = wait_ms.max(together.owe(taken, WAIT_MAX_MS, now).0);
        }
        Duration::from_millis(wait_ms)
    }

    fn take(&self, (member, from): (MemberId, IpAddr), kind: MessageKind, now: Instant) -> bool {
        let now = self.since(now);
        let mut buckets = self.lock();
        let source = (Speaker::Source(source_of(from)), kind);
        buckets.get((Speaker::Member(member), kind), kind.tokens(1), now).take(1, now)
            && (is_own_computer(from)
                || buckets.get(source, kind.tokens(SHARES_OF_A_SOURCE), now).take(1, now))
    }

    fn since(&self, now: Instant) -> Millis {
        let passed = now.saturating_duration_since(self.began).as_millis();
        Millis(u64::try_from(passed).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::crypto::identity::Identity;
    use crate::router::ids::{FileId, LogNonce, RoomId, RunId};
    use crate::router::membership::record::{Lock, Record};
    use crate::router::signed::{
        Chain, EntryBody, Kind, Presence, SignedEntry, SignedPresence, SignedRecord,
    };

    const STRANGER: &str = "198.51.100.7";
    const BEN: MemberId = MemberId([3; 32]);

    fn presence(unlinked: usize) -> Message {
        let identity = Identity::from_seed([3; 32]);
        let body = Presence {
            member: MemberId(identity.public()),
            run: RunId([3; 16]),
            version: 1,
            name: "eve".into(),
            addresses: Vec::new(),
            unlinked: (0..unlinked).map(|n| MemberId([n as u8; 32])).collect(),
            bye: false,
        };
        Message::Presence(SignedPresence::sign(&RoomId([1; 32]), &identity, body))
    }

    fn entry(me: &Identity) -> Arc<SignedEntry> {
        let body = EntryBody {
            chain: Chain { author: MemberId(me.public()), nonce: LogNonce([4; 8]) },
            seq: 1,
            depth: 1,
            prev: None,
            parents: Vec::new(),
            time_ms: 0,
            kind: Kind::Text("words".into()),
        };
        SignedEntry::sign(&RoomId([1; 32]), me, body)
    }

    /// Somebody says a message again and again for ten seconds, and waits as it is made to; how
    /// often it was heard.
    fn heard(pace: &MemberPace, of: u8, from: &str, message: &Message, at: &mut Instant) -> u64 {
        let (who, end) =
            ((MemberId([of; 32]), from.parse().unwrap()), *at + Duration::from_secs(10));
        let mut count = 0;
        while *at < end {
            *at += Duration::from_micros(60) + pace.hear(who, Some(message), *at);
            count += 1;
        }
        count
    }

    /// R7: presence at 15,000 a second made others wait half a second for each text.
    #[test]
    fn r7_each_kind_is_heard_at_a_rate_beyond_its_burst() {
        let file = FileId([5; 32]);
        let kinds = [
            presence(0),
            Message::Have(Vec::new()),
            Message::Ask { number: 1, chains: Vec::new() },
            Message::Dropped { file, done: None },
            Message::Unwanted { file, chunk: 1 },
            Message::BadChunk { file, chunk: 1 },
            Message::LaneWanted,
            Message::VerifyCommit(crate::router::ids::Digest32([1; 32])),
            Message::Ping(1),
            Message::Ready { seen: STRANGER.parse().unwrap() },
            Message::Records(Vec::new()),
        ];
        for message in kinds {
            let mut now = Instant::now();
            let pace = MemberPace::new(now);
            let (kind, cost) = MessageKind::of(&BEN, Some(&message)).unwrap();
            let (per_s, burst) = kind.rate();
            heard(&pace, 1, STRANGER, &message, &mut now);
            let later = heard(&pace, 1, STRANGER, &message, &mut now);
            assert!(later <= u64::from(11 * per_s.max(1)), "{kind:?}: {later}");
            // Others of its place are heard, and those of other places as if nothing were.
            let neighbour = (MemberId([2; 32]), STRANGER.parse().unwrap());
            assert_eq!(pace.hear(neighbour, Some(&message), now), Duration::ZERO, "{kind:?}");
            for _ in 0..u64::from(burst) / cost {
                let ben = (MemberId([3; 32]), "203.0.113.5".parse().unwrap());
                assert_eq!(pace.hear(ben, Some(&message), now), Duration::ZERO, "{kind:?}");
            }
        }
    }

    #[test]
    fn r7_a_bucket_outlives_connections_and_identities_of_one_place_share() {
        let mut now = Instant::now();
        let pace = MemberPace::new(now);
        let message = presence(0);
        let in_all: u64 = (0..127).map(|of| heard(&pace, of, STRANGER, &message, &mut now)).sum();
        let (per_s, burst) = MessageKind::PresenceOfOthers.rate();
        // And the one of each that went too far.
        let most = SHARES_OF_A_SOURCE * (burst + per_s * 10 * 127) + 127 * per_s;
        assert!(in_all <= u64::from(most), "{in_all} of {most}");
        // It comes again: nothing is forgotten.
        let again = heard(&pace, 126, STRANGER, &message, &mut now);
        assert!(again <= u64::from(SHARES_OF_A_SOURCE * per_s * 11), "{again}");
        // On one's own computer members count, and not where they are.
        let here = (MemberId([200; 32]), "127.0.0.1".parse().unwrap());
        for _ in 0..burst {
            assert_eq!(pace.hear(here, Some(&message), now), Duration::ZERO);
        }
    }

    /// Who passes on what a noisy member says of itself is not heard more slowly for it; and one
    /// that owes much leaves its neighbours their part.
    #[test]
    fn r7_neither_relays_nor_neighbours_pay_for_a_noisy_member() {
        let mut now = Instant::now();
        let (pace, relay) = (MemberPace::new(now), (BEN, "203.0.113.5".parse().unwrap()));
        for _ in 0..100 {
            now += Duration::from_secs(1);
            for _ in 0..200 {
                assert_eq!(pace.hear(relay, Some(&presence(100)), now), Duration::ZERO);
            }
        }
        let (eve, carol) = (MemberId([1; 32]), MemberId([2; 32]));
        let from = STRANGER.parse().unwrap();
        let (asks, of) = (Message::Ask { number: 1, chains: Vec::new() }, MessageKind::Questions);
        for _ in 0..3_600 * of.rate().0 {
            now += pace.hear((eve, from), Some(&asks), now);
            let _ = pace.hear((eve, from), Some(&asks), now);
        }
        assert_eq!(pace.hear((carol, from), Some(&asks), now), Duration::ZERO);
    }

    /// R7: who passed on what a noisy member said was heard more slowly itself.
    #[test]
    fn r7_what_is_passed_on_is_counted_apart() {
        let (me, room) = (Identity::from_seed([3; 32]), RoomId([1; 32]));
        let author = MemberId(me.public());
        let kind = |by: &MemberId, message: &Message| MessageKind::of(by, Some(message));
        let lock = Lock {
            by: author,
            standing: [].into(),
            closed: false,
            password: None,
            over: [].into(),
            kept: Vec::new(),
        };
        let lock = SignedRecord::sign(&room, &me, Record::Lock(lock), None);
        let records = Message::Records(vec![lock; 8]);
        assert_eq!(kind(&author, &records), Some((MessageKind::Records, 2 + 4 * 8)));
        assert_eq!(kind(&BEN, &records), Some((MessageKind::RecordsOfOthers, 2 + 4)));
        let entry = Message::Entry(entry(&me).into());
        assert_eq!(kind(&author, &entry), Some((MessageKind::Entries, 1)));
        assert_eq!(kind(&BEN, &entry), Some((MessageKind::EntriesOfOthers, 1)));
    }

    /// R7: each of 20 hostile members had 16,384 signatures verified at once.
    #[test]
    fn r7_a_surplus_of_entries_is_dropped_before_it_is_verified() {
        let now = Instant::now();
        let (pace, home) = (MemberPace::new(now), STRANGER.parse().unwrap());
        let (eve, mallory) = (MemberId([1; 32]), MemberId([2; 32]));
        let verified = |from: MemberId, author: &MemberId, many: usize| {
            (0..many).filter(|_| pace.push((from, home), author, now).is_ok()).count()
        };
        let (own, passed_on) = (1_200, 2_000);
        assert_eq!(verified(eve, &eve, 16_000), own);
        // What she says in others' names is hers all the same.
        assert_eq!(verified(eve, &BEN, 10_000) + verified(eve, &mallory, 3_000), passed_on);
        assert_eq!(verified(BEN, &BEN, 1_000), 1_000, "ben is verified as if she said nothing");
        // Ten thousand lines out of a pipe are dropped, but the link is not slowed down.
        let carol = (MemberId([4; 32]), home);
        let waits = (0..10_000).filter_map(|_| pace.push(carol, &carol.0, now).err());
        assert_eq!(waits.max(), Some(Duration::ZERO));
    }

    #[test]
    fn long_messages_cost_more_and_no_wait_is_long() {
        let now = Instant::now();
        let cost = |message: &Message| MessageKind::of(&BEN, Some(message)).unwrap().1;
        assert_eq!((cost(&presence(0)), cost(&presence(128))), (1, 3));
        let (pace, eve) = (MemberPace::new(now), (MemberId([1; 32]), STRANGER.parse().unwrap()));
        let waits: Vec<_> =
            (0..2_000).map(|_| pace.hear(eve, Some(&Message::LaneWanted), now)).collect();
        assert_eq!(waits.iter().max(), Some(&Duration::from_millis(WAIT_MAX_MS)));
    }

    /// R7: what nobody asked for is verified at a rate; a history that was asked for is not slowed.
    #[test]
    fn r7_answers_are_heard_as_fast_as_they_are_asked_for() {
        let now = Instant::now();
        let (pace, ben) = (MemberPace::new(now), (MemberId([1; 32]), STRANGER.parse().unwrap()));
        let entry = entry(&Identity::from_seed([3; 32]));
        let answer = Message::Answer { number: 1, entries: vec![entry; 256], last: false };
        for _ in 0..1_000 {
            pace.ask(ben);
            for _ in 0..3 {
                assert_eq!(pace.hear(ben, Some(&answer), now), Duration::ZERO);
            }
        }
        let waits = (0..100).map(|_| pace.hear(ben, Some(&answer), now));
        assert_eq!(waits.max(), Some(Duration::from_millis(WAIT_MAX_MS)));
    }

    /// The reverse: ten thousand lines out of a pipe are heard as fast as they come.
    #[test]
    fn an_honest_burst_is_not_slowed_down() {
        let now = Instant::now();
        let (pace, ben) = (MemberPace::new(now), (MemberId([1; 32]), STRANGER.parse().unwrap()));
        let (file, fetching) = (FileId([5; 32]), false);
        let hosting = Message::Hosting { file, held: Held::All, fetching };
        for _ in 0..4_096 {
            assert_eq!(pace.hear(ben, Some(&hosting), now), Duration::ZERO);
            assert_eq!(pace.hear(ben, Some(&presence(0)), now), Duration::ZERO);
        }
        let (_, lines) = MessageKind::Entries.rate();
        assert!(lines > 10_000);
    }
}
