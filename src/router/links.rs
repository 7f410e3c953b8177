//! Connections and links as values: what a connection is for, how far it is, and the one rule by
//! which two Hellos decide what happens.

use core::net::{IpAddr, SocketAddr};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bitmap::Bitmap;
use super::ids::{Digest32, FileId, InvitationId, MemberId, RecordId, RoomId, RunId};
use super::message::{Brings, Done, Have, Hello, Wanted, Why};
use super::registry::Registry;
use super::signed::{Chain, SignedPresence, SignedRecord};
use super::time::Millis;
use super::tokens::Tokens;
use super::verify::Comparing;
use crate::crypto::binding::{Role, Side};
use crate::limits::Limits;

/// What both ends conclude from both Hellos.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing comes of it.
    Refuse(Why),
    /// One room: both show who they are.
    Recognise,
    /// The dialer enters the listener's room with what it brings.
    Enter(Brings),
}

/// The one rule, the same at both ends: it sees nothing but the Hellos and who dialled. Only a
/// dialer moves, so no stranger moves anybody.
#[must_use]
pub fn decide(dialer: &Hello, listener: &Hello, same_room: bool) -> Verdict {
    let free = !dialer.settled && !dialer.locked;
    let refuse = match dialer.brings {
        _ if dialer.run == listener.run => Why::SelfConnect,
        Brings::Password if !listener.locked => Why::NotLocked,
        Brings::Password if !listener.password => Why::NoPassword,
        Brings::Password | Brings::Invitation if same_room || free => {
            return Verdict::Enter(dialer.brings);
        }
        Brings::Password | Brings::Invitation => Why::InARoom,
        Brings::Nothing if same_room => return Verdict::Recognise,
        Brings::Nothing if !dialer.moves => Why::OtherRoom,
        Brings::Nothing if !free && dialer.settled => Why::InARoom,
        Brings::Nothing if !free => Why::DialerLocked,
        Brings::Nothing if listener.locked => Why::Locked,
        Brings::Nothing => return Verdict::Enter(Brings::Nothing),
    };
    Verdict::Refuse(refuse)
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

/// What is known once the peer is, until both are ready.
#[derive(Debug)]
pub(super) struct Agreement {
    pub(super) member: MemberId,
    pub(super) room: RoomId,
    pub(super) reason: Reason,
    /// Our register when we named it.
    pub(super) my_digest: Option<Digest32>,
    pub(super) their_digest: Option<Digest32>,
    pub(super) sent_ids: bool,
    pub(super) their_ids: BTreeSet<RecordId>,
    /// Records that came.
    pub(super) records_heard: usize,
    /// All of them came.
    pub(super) ids_heard: bool,
    /// Records that came since we named our register: said once the link is up.
    pub(super) later: BTreeSet<RecordId>,
    pub(super) sent_ready: bool,
    /// An older link of this pair was pinged then.
    pub(super) doubts: Option<Millis>,
    pub(super) presence: Option<Arc<SignedPresence>>,
    /// The peer is ready; our address as it sees it.
    pub(super) ready: Option<IpAddr>,
}

/// Why the two may link.
#[derive(Debug)]
pub(super) enum Reason {
    /// Both are in the room.
    Recognised,
    /// We let the peer in with this ticket.
    Admitted { ticket: Arc<SignedRecord> },
    /// We were let in: what we know of the room.
    Entered { registry: Box<Registry> },
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
    /// A password admits to the peer's room.
    pub(super) their_password: bool,
    pub(super) same_room: bool,
    /// The dialer is let in with this; `None`: both are in the room already.
    pub(super) enters: Option<Brings>,
    /// The lock whose password lets the dialer in.
    pub(super) lock: Option<RecordId>,
    pub(super) stage: Stage,
}

impl Conn {
    pub(super) fn new(side: Side, role: Role, began: Millis) -> Self {
        Self {
            side,
            role,
            remote: None,
            purpose: None,
            began,
            my_hello: None,
            their_run: None,
            their_password: false,
            same_room: false,
            enters: None,
            lock: None,
            stage: Stage::Opening,
        }
    }

    pub(super) fn agreement(&self) -> Option<&Agreement> {
        match &self.stage {
            Stage::Agreeing(agreement) => Some(agreement),
            _ => None,
        }
    }

    /// The room that was entered, and what is known of it.
    pub(super) fn take_entered(&mut self) -> Option<(RoomId, Registry)> {
        let agreement = match std::mem::replace(&mut self.stage, Stage::Planned) {
            Stage::Agreeing(agreement) => *agreement,
            other => {
                self.stage = other;
                return None;
            }
        };
        match agreement.reason {
            Reason::Entered { registry } => Some((agreement.room, *registry)),
            _ => None,
        }
    }

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
    /// When it was committed.
    pub(super) up: Millis,
    pub(super) congested: Option<Millis>,

    pub(super) heard: Millis,
    pub(super) pinged: Option<(u32, Millis)>,
    pub(super) rtt_ms: u64,
    /// It was measured.
    pub(super) rtt_known: bool,

    pub(super) say_records: BTreeSet<RecordId>,
    /// Password data and invitations may have to be said.
    pub(super) say_secrets: bool,
    pub(super) password_said: Option<RecordId>,
    pub(super) invitations_said: BTreeSet<InvitationId>,
    /// Words are being compared with the peer.
    pub(super) comparing: Option<Comparing>,
    /// When the peer last began to compare words.
    pub(super) asked_words: Option<Millis>,
    pub(super) say_presence: BTreeSet<MemberId>,
    /// Our first have-vector: the chain to go on behind; `None` when all pages are said.
    pub(super) vector: Option<Option<Chain>>,
    pub(super) say_haves: BTreeSet<Chain>,
    pub(super) say_haves_at: Option<Millis>,
    pub(super) say_receipts: BTreeSet<(MemberId, Chain)>,
    pub(super) say_hosting: BTreeSet<FileId>,
    /// Files served here that the peer does not hold and will not fetch.
    pub(super) done: BTreeMap<FileId, Done>,
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
    /// For records of the register that it says.
    pub(super) record_tokens: Tokens,

    pub(super) hosting: BTreeMap<FileId, Hosting>,
    /// The peer has more than is kept in mind: what is wanted of the rest is asked for.
    pub(super) hosts_more: bool,
    pub(super) bitmap_bytes: usize,
    /// For chunks in the bitmaps that it says.
    pub(super) bitmap_tokens: Tokens,
    pub(super) lane_wanted: Option<Millis>,
    /// When the peer last called a chunk of ours bad.
    pub(super) blamed: Option<Millis>,
    /// Its answers bring nothing that we can take: nothing is asked of it before then.
    pub(super) rests_until: Option<Millis>,
}

impl Link {
    pub(super) fn new(member: MemberId, run: RunId, now: Millis, limits: &Limits) -> Self {
        Self {
            member,
            run,
            up: now,
            congested: None,
            heard: now,
            pinged: None,
            rtt_ms: 0,
            rtt_known: false,
            say_records: BTreeSet::new(),
            say_secrets: false,
            password_said: None,
            invitations_said: BTreeSet::new(),
            comparing: None,
            asked_words: None,
            say_presence: BTreeSet::new(),
            vector: Some(None),
            say_haves: BTreeSet::new(),
            say_haves_at: None,
            say_receipts: BTreeSet::new(),
            say_hosting: BTreeSet::new(),
            done: BTreeMap::new(),
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
            record_tokens: Tokens::new(limits.records_per_s, limits.records_burst, now),
            hosting: BTreeMap::new(),
            hosts_more: false,
            bitmap_bytes: 0,
            bitmap_tokens: Tokens::new(limits.said_chunks_per_s, limits.said_chunks_burst, now),
            lane_wanted: None,
            blamed: None,
            rests_until: None,
        }
    }
}

/// An address in the form in which it is compared and counted.
pub(super) fn plain_ip(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}
