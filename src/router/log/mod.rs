//! The machine of what is said in the room: its entries, this node's own chain, and how all
//! members come to hold the same.
//!
//! It decides what is taken in and in which order, what to ask of whom, and who holds what this
//! node said. What an entry means is none of its business: a text, a name and an offer are alike
//! to it.

mod asked;
mod entries;
mod exchange;
mod openings;
mod placing;
mod pushes;
mod receipts;
mod refused;
mod repair;
mod shares;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::asked::AskedChains;
use self::entries::Entries;
use self::exchange::Exchange;
use self::openings::Openings;
pub(crate) use self::placing::{EntryOrder, Placed, Terms};
use self::pushes::{AUTHORS_MAX, Pushes};
use self::receipts::Receipts;
use self::refused::REFUSED_MAX;
use self::repair::HAVES_PAUSE_MS;
pub(crate) use self::shares::{WayIn, WaysIn};
use crate::limits::Limits;
use crate::router::context::Context;
use crate::router::event::Effect;
use crate::router::ids::{ConnId, EntryId, LogNonce, MemberId, RoomId};
use crate::router::inspect::Load;
use crate::router::message::{Message, PushedEntry};
use crate::router::notice::{Code, Failure};
use crate::router::signed::{Chain, ENTRY_MAX_BYTES, EntryBody, Kind, Offer, SignedEntry};
use crate::router::timers::Timer;

/// What is said in a room, and this node's part of it.
#[derive(Debug)]
pub(crate) struct Log {
    entries: Entries,
    /// This node's own chain.
    chain: Chain,
    /// Ids under which entries signed anew were first shown.
    aliases: BTreeMap<EntryId, EntryId>,
    /// How long chains were in the room that we joined.
    history: BTreeMap<Chain, u64>,
    /// The link that admitted us still tells us its history.
    history_from: Option<MemberId>,
    /// Something was said or offered.
    spoke: bool,
    receipts: Receipts,
    openings: Openings,
    pushes: Pushes,
    exchanges: BTreeMap<ConnId, Exchange>,
    asked: AskedChains,
}

impl Log {
    /// Nothing is said yet.
    pub(crate) fn new(me: MemberId, nonce: LogNonce) -> Self {
        Self {
            entries: Entries::new(me),
            chain: Chain { author: me, nonce },
            aliases: BTreeMap::new(),
            history: BTreeMap::new(),
            history_from: None,
            spoke: false,
            receipts: Receipts::default(),
            openings: Openings::default(),
            pushes: Pushes::default(),
            exchanges: BTreeMap::new(),
            asked: AskedChains::default(),
        }
    }

    /// The log of another room, of which `via` tells the history; returns the old one. The chain
    /// keeps its nonce: entries are signed for their room and nobody else has those of the room
    /// left behind, so it cannot fork.
    pub(crate) fn replace(&mut self, via: MemberId) -> Self {
        let mut log = Self::new(self.chain.author, self.chain.nonce);
        log.spoke = self.spoke;
        log.history_from = Some(via);
        std::mem::replace(self, log)
    }

    /// What was said in the old log as it has to be said in a new one: each with the id and the
    /// time under which faces know it. `new_id` gives the new id of what an entry refers to.
    pub(crate) fn said_again(&self, mut say: impl FnMut(Kind, (EntryId, i64)) -> Option<EntryId>) {
        let mut ids = BTreeMap::new();
        let new_id = |ids: &BTreeMap<_, _>, id: &EntryId| ids.get(id).copied().unwrap_or(*id);
        for entry in self.entries.entries() {
            let kind = match &entry.body.kind {
                Kind::Offer(offer) => {
                    let replaces = offer.replaces.map(|id| new_id(&ids, &id));
                    Kind::Offer(Offer { replaces, ..offer.clone() })
                }
                Kind::Withdraw(id) => Kind::Withdraw(new_id(&ids, id)),
                kind => kind.clone(),
            };
            if let Some(id) = say(kind, (self.shown(&entry.id), entry.body.time_ms)) {
                ids.insert(entry.id, id);
            }
        }
    }

    /// An entry of this node's own, signed and taken in; `shown`: the id and time under which
    /// faces know it already.
    ///
    /// # Errors
    /// `chain_forked`, `message_too_long`, or `io_error` where the log is full.
    pub(crate) fn write(
        &mut self,
        cx: &Context,
        room: &RoomId,
        (kind, shown): (Kind, Option<(EntryId, i64)>),
        ways: WaysIn<'_>,
    ) -> Result<Arc<SignedEntry>, Failure> {
        if self.entries.is_forked(&self.chain) {
            let text = "another program speaks with this identity in this room; leave and connect \
                        again";
            return Err(Failure::new(Code::ChainForked, text));
        }
        let says_too_much = |author: &MemberId| self.pushes.has_overrun(author, cx.now);
        let (seq, depth, prev, parents) = self.entries.next_of(&self.chain, says_too_much);
        let time_ms = shown.map_or_else(|| cx.wall_ms(), |(_, time_ms)| time_ms);
        let body = EntryBody { chain: self.chain, seq, depth, prev, parents, time_ms, kind };
        let entry = SignedEntry::sign(room, &cx.me, body);
        if entry.bytes().len() > ENTRY_MAX_BYTES {
            let text = "too long to be said: send it as a file";
            return Err(Failure::new(Code::MessageTooLong, text));
        }
        if let Some((first, _)) = shown {
            self.aliases.insert(entry.id, first);
        }
        let (limits, pushes) = (cx.limits(), &self.pushes);
        let terms = Terms { now: cx.now, limits, ways, pushes, from: None };
        let Placed::Accepted(_) = self.entries.place(&entry, terms) else {
            let text =
                "this room's log is full: nothing more can be said in it; leave for a fresh one";
            return Err(Failure::new(Code::IoError, text));
        };
        Ok(entry)
    }

    /// Takes in an entry that came over a link, and remembers what is to be said of it.
    pub(crate) fn place(
        &mut self,
        cx: &mut Context,
        via: ConnId,
        entry: &Arc<SignedEntry>,
        ways: WaysIn<'_>,
    ) -> Placed {
        let chain = entry.body.chain;
        let from = self.exchanges.get(&via).map(|of| of.member);
        let terms = Terms { now: cx.now, limits: cx.limits(), ways, pushes: &self.pushes, from };
        let by_author = from == Some(chain.author);
        let opens = by_author && self.entries.opens(entry) && !self.history.contains_key(&chain);
        let placed = if opens && !self.openings.has_one(&chain.author, cx.now) {
            self.entries.refuse(&chain, terms)
        } else {
            self.entries.place(entry, terms)
        };
        if opens && matches!(placed, Placed::Accepted(_) | Placed::Waits) {
            self.openings.take(chain.author, cx.now, cx.limits().members);
        }
        cx.timers.set(Timer::Parents, self.entries.next_overdue());
        match &placed {
            Placed::Forked { .. } => self.say_haves(cx, &[chain], 0),
            // All come to the same proof, and whoever makes better ones makes no haste.
            Placed::Proof => self.say_haves(cx, &[chain], HAVES_PAUSE_MS),
            Placed::Conflict => self.compare(cx, via, chain),
            Placed::Refused => self.say_refused(cx, via, chain),
            Placed::Waits => self.ask_author(cx, via, entry),
            Placed::Accepted(_) | Placed::Known | Placed::Crowded => {}
        }
        placed
    }

    /// Entries that waited long enough for others are taken in now.
    pub(crate) fn take_overdue(
        &mut self,
        cx: &mut Context,
        ways: WaysIn<'_>,
    ) -> Vec<Arc<SignedEntry>> {
        let (limits, pushes) = (cx.limits(), &self.pushes);
        let terms = Terms { now: cx.now, limits, ways, pushes, from: None };
        let accepted = self.entries.take_overdue(terms);
        cx.timers.set(Timer::Parents, self.entries.next_overdue());
        accepted
    }

    /// Sends a new entry to every link that is `open`; repair brings it to the others.
    pub(crate) fn push(
        &self,
        cx: &mut Context,
        entry: &Arc<SignedEntry>,
        open: impl Fn(ConnId, &MemberId) -> bool,
    ) {
        let pushed = PushedEntry::from(entry.clone());
        for (conn, exchange) in &self.exchanges {
            let member = exchange.member;
            if member != entry.body.chain.author && open(*conn, &member) {
                cx.effect(Effect::Send { conn: *conn, message: Message::Entry(pushed.clone()) });
            }
        }
    }

    /// An entry was taken in: links are told how far we have its chain, and of our own messages
    /// the receipts are counted.
    pub(crate) fn accepted(&mut self, cx: &mut Context, entry: &SignedEntry) {
        let chain = entry.body.chain;
        self.say_haves(cx, &[chain], HAVES_PAUSE_MS);
        if chain == self.chain && matches!(entry.body.kind, Kind::Text(_) | Kind::Unknown) {
            self.receipts.expect(cx, entry.body.seq, self.shown(&entry.id));
        }
    }

    /// The id under which faces know an entry.
    pub(crate) fn shown(&self, id: &EntryId) -> EntryId {
        self.aliases.get(id).copied().unwrap_or(*id)
    }

    /// Whether an entry was said before this node came.
    pub(crate) fn is_history(&self, entry: &SignedEntry) -> bool {
        self.history.get(&entry.body.chain).is_some_and(|len| entry.body.seq <= *len)
    }

    /// Whether an entry is of this stay of this node.
    pub(crate) fn is_own(&self, entry: &SignedEntry) -> bool {
        entry.body.chain == self.chain
    }

    /// Whether a chain is this node's own.
    pub(crate) fn is_own_chain(&self, chain: &Chain) -> bool {
        *chain == self.chain
    }

    /// This node has no entry of its own yet, not even its name.
    pub(crate) fn is_silent(&self) -> bool {
        self.entries.chain_len(&self.chain) == 0
    }

    /// Something was said or offered here.
    pub(crate) fn has_spoken(&self) -> bool {
        self.spoke
    }

    /// Something was said or offered.
    pub(crate) fn note_speech(&mut self) {
        self.spoke = true;
    }

    /// Where an entry stands in the order that all members agree on.
    pub(crate) fn order_of(&self, entry: &SignedEntry) -> EntryOrder {
        self.entries.order_of(entry)
    }

    /// Entries in the order in which they were taken in.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Arc<SignedEntry>> {
        self.entries.entries()
    }

    /// Whether anything of an author is held.
    pub(crate) fn is_author(&self, member: &MemberId) -> bool {
        self.entries.chains_of(member).next().is_some()
    }

    /// Everybody of whom anything is held, once for each chain.
    pub(crate) fn authors(&self) -> impl Iterator<Item = MemberId> {
        self.entries.chains_after(None).map(|chain| chain.author)
    }

    /// Entries that wait for what they refer to.
    pub(crate) fn waiting_count(&self) -> usize {
        self.entries.waiting_count()
    }

    /// What others can make grow here.
    pub(crate) fn loads(&self, limits: &Limits) -> Vec<Load> {
        let load = |what, size, bound| Load { what, size, bound };
        let (authors, refused) = self.entries.author_counts();
        let (pushing, overran, branches) = self.pushes.counts();
        let mut loads = vec![
            load("authors", authors, limits.chains),
            load("authors refused", refused, REFUSED_MAX),
            load("authors that open chains", self.openings.len(), limits.members),
            load("authors that push entries", pushing, AUTHORS_MAX),
            load("authors that push too many", overran, AUTHORS_MAX),
            load("branches that push entries", branches, AUTHORS_MAX),
            load("chains", self.entries.chain_count(), limits.chains),
            load("waiting entries", self.entries.waiting_count(), limits.waiting_entries),
            load("blocked places", self.entries.blocked_count(), limits.waiting_entries),
            load("receipts", self.receipts.len(), limits.members),
            load("history", self.history.len(), limits.chains),
            load("chains asked", self.asked.len(), limits.chains),
        ];
        loads.extend(self.exchanges.values().flat_map(|exchange| exchange.loads(limits)));
        loads
    }
}

/// The order of an entry as faces sort by it.
pub(crate) fn order_text((depth, chain, seq): EntryOrder) -> String {
    format!("{depth:020}-{}-{}-{seq:012}", chain.author.short(), chain.nonce)
}
