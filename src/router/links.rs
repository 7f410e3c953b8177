//! Connections and links as values: what a connection is for, how far it is, and the one rule by
//! which two Hellos decide what happens.

use core::net::{IpAddr, SocketAddr};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bitmap::Bitmap;
use super::ids::{FileId, MemberId, RoomId, RunId};
use super::message::{Have, Hello, KeyMark, Wanted, Why};
use super::signed::{Chain, SignedPresence, SignedRecord};
use super::time::Millis;
use crate::crypto::binding::{Role, Side};
use crate::crypto::room_key::RoomKey;
use crate::limits::Limits;

/// What both ends conclude from both Hellos.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing comes of it.
    Refuse(Why),
    /// Rule 1: one room; prove its keys.
    Prove,
    /// Rule 2: two fresh open rooms become the one with the smaller id.
    Merge,
    /// Rule 3: this side joins the room of the other.
    Join(Side),
}

/// The one rule, the same at both ends: it sees nothing but the Hellos and who dialled.
#[must_use]
pub fn decide(dialer: &Hello, listener: &Hello, same_room: bool) -> Verdict {
    if dialer.run == listener.run {
        return Verdict::Refuse(Why::SelfConnect);
    }
    if dialer.joining || listener.joining {
        return Verdict::Refuse(Why::Busy);
    }
    if dialer.password {
        // Nothing but a locked room will do; a member that missed a change comes back this way.
        let may_move = same_room || (!dialer.settled && !dialer.locked);
        return match (listener.locked, may_move) {
            (false, _) => Verdict::Refuse(Why::NotLocked),
            (true, true) => Verdict::Join(Side::Dialer),
            (true, false) => Verdict::Refuse(Why::InARoom),
        };
    }
    if same_room {
        return Verdict::Prove;
    }
    if !dialer.moves {
        return Verdict::Refuse(Why::OtherRoom);
    }
    let free = |hello: &Hello| !hello.settled && !hello.locked;
    match (free(dialer), free(listener)) {
        (true, true) => Verdict::Merge,
        (true, false) if listener.locked => Verdict::Refuse(Why::Locked),
        (true, false) => Verdict::Join(Side::Dialer),
        (false, true) if dialer.locked => Verdict::Refuse(Why::DialerLocked),
        (false, true) => Verdict::Join(Side::Listener),
        (false, false) => Verdict::Refuse(Why::InARoom),
    }
}

/// Why this node dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A person's `connect`, by the number of its attempt.
    Attempt(u64),
    /// A known member, without moving anyone.
    Redial(MemberId),
    /// Bulk data.
    Lane(MemberId),
}

/// What was agreed on once the peer is known, until both are ready.
#[derive(Debug, Clone)]
pub(super) struct Agreement {
    pub(super) member: MemberId,
    pub(super) room: RoomId,
    pub(super) grounds: Grounds,
    /// Our newest record when we began to agree.
    pub(super) our_mark: KeyMark,
    pub(super) sent_ready: bool,
    /// The peer was ready before us: its port, and our address as it sees it.
    /// An older link of this pair was pinged then.
    pub(super) doubts: Option<Millis>,
    pub(super) presence: Option<Arc<SignedPresence>>,
    /// The peer was ready before us.
    pub(super) early: Option<(u16, IpAddr)>,
}

#[derive(Debug, Clone)]
pub(super) enum Grounds {
    /// Both are in the room: the newest record that both know, and the peer's newest.
    Member { common: KeyMark, newest: KeyMark },
    /// Both rooms were fresh; the key of the room that both take.
    Merged { key: RoomKey },
    /// We admitted the peer.
    Granted,
    /// We were admitted.
    Joined { record: Arc<SignedRecord> },
}

/// How far a connection is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Dialled, or its Hello is under way.
    Opening,
    /// A plan is being carried out.
    Planned,
    /// The peer is known.
    Agreeing(Box<Agreement>),
    /// A session of the room.
    Linked(Box<Link>),
    /// A data connection; `bool`: this side fetches.
    Lane { member: MemberId, fetch: bool, open: bool },
}

/// A connection of any kind.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) side: Side,
    pub(super) role: Role,
    pub(super) remote: Option<SocketAddr>,
    pub(super) purpose: Option<Purpose>,
    pub(super) began: Millis,
    pub(super) my_hello: Option<(Hello, RoomId)>,
    pub(super) their_run: Option<RunId>,
    pub(super) with_password: bool,
    /// Our newest lock record when the plan was made.
    pub(super) planned: Option<KeyMark>,
    pub(super) stage: Stage,
}

impl Conn {
    pub(super) fn link(&self) -> Option<&Link> {
        match &self.stage {
            Stage::Linked(link) => Some(link),
            _ => None,
        }
    }

    pub(super) fn link_mut(&mut self) -> Option<&mut Link> {
        match &mut self.stage {
            Stage::Linked(link) => Some(link),
            _ => None,
        }
    }
}

/// A question of repair that waits for its answer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) number: u32,
    /// From then on its chains may be asked of others; a late answer is still taken.
    pub(super) until: Millis,
    pub(super) expired: bool,
    pub(super) chains: Vec<Wanted>,
    pub(super) received: usize,
}

/// What a peer hosts of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hosting {
    /// `None`: every chunk.
    pub(super) held: Option<Bitmap>,
    pub(super) fetching: bool,
}

/// A committed link: what is known of the peer, and what is still to be said to it.
///
/// Nothing waits here as a copy: everything to say is a mark, and becomes a message when the
/// outbox has room.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) member: MemberId,
    pub(super) run: RunId,
    pub(super) congested: Option<Millis>,

    pub(super) heard: Millis,
    pub(super) pinged: Option<(u32, Millis)>,
    pub(super) rtt_ms: u64,
    /// It was measured.
    pub(super) rtt_known: bool,

    pub(super) say_record: bool,
    /// The newest record of which the peer knows that we have it.
    pub(super) record_said: Option<KeyMark>,
    pub(super) say_presence: BTreeSet<MemberId>,
    /// Our first have-vector: the chain to go on behind; `None` when all pages are said.
    pub(super) vector: Option<Option<Chain>>,
    pub(super) say_haves: BTreeSet<Chain>,
    pub(super) say_haves_at: Option<Millis>,
    pub(super) say_receipts: BTreeSet<(MemberId, Chain)>,
    pub(super) say_hosting: BTreeSet<FileId>,
    pub(super) say_gained: BTreeMap<FileId, BTreeSet<u32>>,
    pub(super) say_gained_at: Option<Millis>,
    /// When the last of these were said.
    pub(super) gained_said: Millis,
    pub(super) pong: Option<u32>,

    /// What the peer has, as far as it said.
    pub(super) theirs: BTreeMap<Chain, Have>,
    /// Its first have-vector is complete.
    pub(super) vector_heard: bool,
    /// Chains of which the peer has more.
    pub(super) behind: BTreeSet<Chain>,
    /// Where to go on comparing two versions of a chain.
    pub(super) probes: BTreeMap<Chain, u64>,
    pub(super) asked: Option<Asked>,
    pub(super) next_number: u32,
    /// The peer's question that is not answered yet.
    pub(super) question: Option<(u32, Vec<Wanted>)>,
    /// For entries that it pushes.
    pub(super) push_tokens: Tokens,

    pub(super) hosting: BTreeMap<FileId, Hosting>,
    pub(super) bitmap_bytes: usize,
    /// For chunks in the bitmaps that it says.
    pub(super) bitmap_tokens: Tokens,
    pub(super) lane_wanted: Option<Millis>,
    /// When the peer last called a chunk of ours bad.
    pub(super) blamed: Option<Millis>,
    /// Its answers bring nothing that we can take: nothing is asked of it before then.
    pub(super) rests_until: Millis,
}

impl Link {
    pub(super) fn new(member: MemberId, run: RunId, now: Millis, limits: &Limits) -> Self {
        Self {
            member,
            run,
            congested: None,
            heard: now,
            pinged: None,
            rtt_ms: 0,
            rtt_known: false,
            say_record: false,
            record_said: None,
            say_presence: BTreeSet::new(),
            vector: Some(None),
            say_haves: BTreeSet::new(),
            say_haves_at: None,
            say_receipts: BTreeSet::new(),
            say_hosting: BTreeSet::new(),
            say_gained: BTreeMap::new(),
            say_gained_at: None,
            gained_said: Millis(0),
            pong: None,
            theirs: BTreeMap::new(),
            vector_heard: false,
            behind: BTreeSet::new(),
            probes: BTreeMap::new(),
            asked: None,
            next_number: 0,
            question: None,
            push_tokens: Tokens::new(limits.pushed_entries_per_s, limits.pushed_entries_burst, now),
            hosting: BTreeMap::new(),
            bitmap_bytes: 0,
            bitmap_tokens: Tokens::new(limits.said_chunks_per_s, limits.said_chunks_burst, now),
            lane_wanted: None,
            blamed: None,
            rests_until: Millis(0),
        }
    }
}

/// What a peer may still do at once of what costs us something: more with time.
#[derive(Debug)]
pub(super) struct Tokens {
    per_s: u64,
    burst: u64,
    thousandths: u64,
    counted: Millis,
}

impl Tokens {
    fn new(per_s: u32, burst: u32, now: Millis) -> Self {
        let burst = 1000 * u64::from(burst);
        Self { per_s: per_s.into(), burst, thousandths: burst, counted: now }
    }

    /// Takes so many; false, and nothing taken, when there are fewer.
    pub(super) fn take(&mut self, many: u64, now: Millis) -> bool {
        let more = now.since(self.counted).saturating_mul(self.per_s);
        self.thousandths = self.thousandths.saturating_add(more).min(self.burst);
        self.counted = now;
        let left = self.thousandths.checked_sub(many.saturating_mul(1000));
        self.thousandths = left.unwrap_or(self.thousandths);
        left.is_some()
    }
}

/// An address in the form in which it is compared and counted.
pub(super) fn plain_ip(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_with_time_up_to_a_burst_and_none_are_taken_in_vain() {
        let mut tokens = Tokens::new(10, 100, Millis(0));
        assert!(tokens.take(60, Millis(0)));
        assert!(!tokens.take(60, Millis(0)), "40 are left");
        assert!(tokens.take(40, Millis(0)));
        assert!(!tokens.take(1, Millis(99)));
        assert!(tokens.take(1, Millis(100)));
        assert!(!tokens.take(101, Millis(1_000_000)), "more than a burst");
        assert!(tokens.take(100, Millis(1_000_000)));
    }
}
