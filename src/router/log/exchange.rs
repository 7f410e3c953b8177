//! What the other end of one link has of the log, what was asked of it, and what it is still to
//! be told.

use std::collections::{BTreeMap, BTreeSet};

use super::entries::{ANSWER_BYTES, Entries};
use crate::limits::Limits;
use crate::router::ids::MemberId;
use crate::router::inspect::Load;
use crate::router::message::{Have, Message, Wanted};
use crate::router::signed::{Chain, EntryRef};
use crate::router::time::{Earliest, Millis};

/// An answer that takes longer than this will not come.
const ANSWER_MS: u64 = 30_000;
/// Receipts of others said to one link per event: more would not fit into its outbox.
const RECEIPTS_AT_ONCE: usize = 64;
/// Pages of a have-vector said to one link per event.
const PAGES_AT_ONCE: usize = 4;

/// A question that waits for its answer.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) number: u32,
    /// From then on its chains may be asked of others; a late answer is still taken.
    until: Millis,
    expired: bool,
    pub(super) chains: Vec<Wanted>,
    pub(super) received: usize,
    pub(super) received_bytes: usize,
    /// Of these something came that is not taken.
    pub(super) refused: BTreeSet<Chain>,
}

impl Question {
    /// Whether the answer has at least a quarter of what fits into one.
    pub(super) fn brought_much(&self, limits: &Limits) -> bool {
        self.received >= limits.answer_entries / 4 || self.received_bytes >= ANSWER_BYTES / 4
    }
}

/// One link, as the log sees it.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) member: MemberId,
    /// Our first have-vector: the chain to go on behind; `None` when all pages are said.
    vector: Option<Option<Chain>>,
    say_haves: BTreeSet<Chain>,
    say_haves_at: Option<Millis>,
    pub(super) say_receipts: BTreeSet<(MemberId, Chain)>,
    /// What the peer has, as far as it said.
    pub(super) theirs: BTreeMap<Chain, Have>,
    /// Its first have-vector is complete.
    pub(super) vector_heard: bool,
    /// Chains of which the peer has more.
    pub(super) behind: BTreeSet<Chain>,
    /// Where to go on comparing two versions of a chain.
    pub(super) probes: BTreeMap<Chain, u64>,
    pub(super) asked: Option<Question>,
    next_number: u32,
    /// The peer's question that is not answered yet.
    pub(super) question: Option<(u32, Vec<Wanted>)>,
    /// Its answers bring nothing that we can take: nothing is asked of it before then.
    pub(super) rests_until: Option<Millis>,
}

impl Exchange {
    pub(super) fn new(member: MemberId) -> Self {
        Self {
            member,
            vector: Some(None),
            say_haves: BTreeSet::new(),
            say_haves_at: None,
            say_receipts: BTreeSet::new(),
            theirs: BTreeMap::new(),
            vector_heard: false,
            behind: BTreeSet::new(),
            probes: BTreeMap::new(),
            asked: None,
            next_number: 0,
            question: None,
            rests_until: None,
        }
    }

    /// The peer is to hear how far we have these chains, at `due` at the latest; an author at once
    /// of its own, for that is the receipt.
    pub(super) fn say_haves(&mut self, chains: &[Chain], due: Millis) {
        let own = chains.iter().any(|chain| chain.author == self.member);
        let due = if own { Millis(0) } else { due };
        self.say_haves_at = Some(self.say_haves_at.map_or(due, |at| at.min(due)));
        self.say_haves.extend(chains);
    }

    /// The peer is to hear by `due` that an entry of this chain was refused.
    pub(super) fn say_refused(&mut self, chain: Chain, due: Millis, most: usize) {
        if self.say_haves.len() < most {
            self.say_haves_at = Some(self.say_haves_at.map_or(due, |at| at.min(due)));
            self.say_haves.insert(chain);
        }
    }

    /// The peer sent something of this chain that is not taken: it is not asked for again until
    /// the peer says more of it.
    pub(super) fn refused(&mut self, chain: Chain) {
        if let Some(asked) = self.asked.as_mut() {
            let wanted = asked.chains.iter().any(|wanted| wanted.chain == chain);
            asked.refused.extend(wanted.then_some(chain));
        }
        self.behind.remove(&chain);
    }

    /// More of an author may be taken than before; whether the peer has some of it.
    pub(super) fn look_again(
        &mut self,
        author: &MemberId,
        entries: &Entries,
        limits: &Limits,
    ) -> bool {
        let theirs = self.theirs.range(Chain::all_of(author)).map(|(_, have)| have);
        let lacked = theirs.filter(|have| entries.lacks(have, limits).is_some());
        let lacked: Vec<_> = lacked.map(|have| have.chain).collect();
        self.behind.extend(&lacked);
        !lacked.is_empty()
    }

    /// Whatever waits to be said of haves is due.
    pub(super) fn hurry(&mut self) {
        self.say_haves_at = Some(Millis(0));
    }

    /// What the peer says that it has; false if that is more than is kept in mind.
    pub(super) fn hear(&mut self, have: Have, entries: &Entries, limits: &Limits) -> bool {
        if self.theirs.len() >= limits.chains && !self.theirs.contains_key(&have.chain) {
            return false;
        }
        self.theirs.insert(have.chain, have);
        self.probes.remove(&have.chain);
        if entries.lacks(&have, limits).is_some() {
            self.behind.insert(have.chain);
        } else {
            self.behind.remove(&have.chain);
        }
        true
    }

    /// The peer wrote an entry that refers to these: so it has them.
    pub(super) fn refers_to(&mut self, parents: &[EntryRef], entries: &Entries, limits: &Limits) {
        for EntryRef { chain, seq, id } in parents {
            let known = self.theirs.get(chain);
            if known.is_none_or(|have| !have.forked && have.len < *seq) {
                let (forked, refused) = (false, false);
                let have = Have { chain: *chain, len: *seq, head: *id, forked, refused };
                self.hear(have, entries, limits);
            }
        }
    }

    /// What is due to be said of haves. Whatever it is known to know is left out, but for chains
    /// of its own and of authors whom we cannot reach, which it may pass on.
    pub(super) fn haves_to_say(
        &mut self,
        entries: &Entries,
        unlinked: &[MemberId],
        (now, page): (Millis, usize),
        messages: &mut Vec<Message>,
    ) {
        for _ in 0..PAGES_AT_ONCE {
            let Some(after) = self.vector else { break };
            let chains: Vec<_> = entries.chains_after(after).take(page).copied().collect();
            let haves: Vec<Have> = chains.iter().filter_map(|chain| entries.have(chain)).collect();
            self.vector = (chains.len() == page).then(|| chains.last().copied());
            if haves.len() == page || self.vector.is_none() {
                messages.push(Message::Have(haves));
            }
        }
        if self.vector.is_some() || self.say_haves_at.is_none_or(|at| at > now) {
            return;
        }
        let is_news = |have: &Have| {
            let author = have.chain.author;
            author == self.member
                || unlinked.contains(&author)
                || self.theirs.get(&have.chain) != Some(have)
        };
        let changed = std::mem::take(&mut self.say_haves);
        let have = |chain| entries.have(chain).unwrap_or(Have::nothing_of(*chain));
        let haves = changed.iter().map(have).filter(is_news);
        let haves: Vec<Have> = haves.collect();
        messages.extend(haves.chunks(page).map(|haves| Message::Have(haves.to_vec())));
        self.say_haves_at = None;
    }

    /// The next receipts of others to say; those that are left are said later.
    pub(super) fn receipts_to_say(&mut self) -> Vec<(MemberId, Chain)> {
        let next = std::iter::from_fn(|| self.say_receipts.pop_first());
        next.take(RECEIPTS_AT_ONCE).collect()
    }

    /// Asks for these chains.
    pub(super) fn ask(&mut self, chains: Vec<Wanted>, until: Millis) -> Message {
        self.next_number = self.next_number.wrapping_add(1);
        let number = self.next_number;
        let question = Question {
            number,
            until,
            expired: false,
            chains: chains.clone(),
            received: 0,
            received_bytes: 0,
            refused: BTreeSet::new(),
        };
        self.asked = Some(question);
        Message::Ask { number, chains }
    }

    /// The chains of a question that took too long, which others may be asked for now; after
    /// another while its answer is lost, and this link may be asked anew.
    pub(super) fn expire(&mut self, now: Millis) -> Vec<Chain> {
        let lost = |asked: &mut Question| asked.expired && now >= asked.until.plus(ANSWER_MS);
        if self.asked.take_if(lost).is_some() {
            return Vec::new();
        }
        let Some(asked) = self.asked.as_mut().filter(|of| !of.expired && now >= of.until) else {
            return Vec::new();
        };
        asked.expired = true;
        asked.chains.iter().map(|wanted| wanted.chain).collect()
    }

    /// When what was asked is looked at again.
    pub(super) fn asked_deadline(&self) -> Option<Millis> {
        let asked = self.asked.as_ref()?;
        Some(if asked.expired { asked.until.plus(ANSWER_MS) } else { asked.until })
    }

    /// When something is due that no event brings about.
    pub(super) fn deadline(&self) -> Option<Millis> {
        let mut earliest = Earliest::default();
        if self.vector.is_some() || !self.say_receipts.is_empty() {
            earliest.at(Millis(0));
        }
        if let Some(at) = self.say_haves_at.filter(|_| !self.say_haves.is_empty()) {
            earliest.at(at);
        }
        if let Some(at) = self.asked_deadline() {
            earliest.at(at);
        } else if let Some(at) = self.rests_until.filter(|_| !self.behind.is_empty()) {
            earliest.at(at);
        }
        earliest.0
    }

    /// What the peer can make grow here.
    pub(super) fn loads(&self, limits: &Limits) -> [Load; 5] {
        let load = |what, size, bound| Load { what, size, bound };
        [
            load("chains of a peer", self.theirs.len(), limits.chains),
            load("chains behind a peer", self.behind.len(), limits.chains),
            load("chains probed", self.probes.len(), limits.chains),
            load("chains to say", self.say_haves.len(), limits.chains),
            load("receipts to say", self.say_receipts.len(), limits.peers * limits.chains),
        ]
    }
}
