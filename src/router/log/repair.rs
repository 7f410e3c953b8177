//! Repair: links tell each other how far they have each chain, and ask for what they lack.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Log;
use super::asked::ASK_TIMEOUT_MS;
use super::exchange::Exchange;
use super::pushes::Accountable;
use super::shares::{WaysIn, parts_of};
use crate::router::context::Context;
use crate::router::ids::{ConnId, MemberId};
use crate::router::members::Members;
use crate::router::message::{Have, Message, Wanted};
use crate::router::notice::Receipt;
use crate::router::signed::{Chain, SignedEntry};
use crate::router::timers::Timer;

/// The longest that others wait to hear how far we have a chain.
pub(super) const HAVES_PAUSE_MS: u64 = 1_000;
/// The longest that an author waits to hear that it was refused.
const REFUSALS_PAUSE_MS: u64 = 250;
/// Signed bytes in one message of an answer: base64 and JSON fit into 32 KiB with them.
const ANSWER_PART_BYTES: usize = 20 * 1024;
/// What an entry of an answer costs beside its bytes.
const ENTRY_EXTRA_BYTES: usize = 160;

impl Log {
    /// A link is up: both ends tell each other all that they have.
    pub(crate) fn link_up(
        &mut self,
        cx: &mut Context,
        conn: ConnId,
        member: MemberId,
        members: &Members,
    ) {
        self.exchanges.insert(conn, Exchange::new(member));
        self.entries.link(member, true);
        cx.mark(conn);
        // It learns what those hold of it that it cannot reach.
        let apart = |other: &Exchange| members.have_no_link(&other.member, &member);
        let apart = self.exchanges.values().filter(|other| apart(other)).map(|other| other.member);
        for holder in apart.collect::<Vec<_>>() {
            self.receipts_between(cx, member, holder, members);
        }
    }

    /// A link is over: what was asked of it may be asked of others.
    pub(crate) fn link_down(&mut self, cx: &mut Context, conn: ConnId) {
        let Some(Exchange { member, .. }) = self.exchanges.remove(&conn) else { return };
        if self.exchanges.values().all(|other| other.member != member) {
            self.entries.link(member, false);
        }
        cx.timers.set(Timer::Repair(conn), None);
        if self.asked.link_down(conn) {
            self.mark_all(cx);
        }
    }

    /// A member is not present any more.
    pub(crate) fn member_left(&mut self, id: &MemberId) {
        self.receipts.forget(id);
    }

    /// Whether an entry that a peer sends unasked is taken; what comes too fast is left to
    /// repair, which brings it at a pace that we set. The peer, if so.
    pub(crate) fn take_pushed(
        &mut self,
        cx: &mut Context,
        conn: ConnId,
        entry: &SignedEntry,
        ways: WaysIn<'_>,
    ) -> Option<MemberId> {
        let (peer, author) = (self.exchanges.get(&conn)?.member, entry.body.chain.author);
        if self.entries.knows(entry) {
            return Some(peer);
        }
        let (linked, ways_in) = (author == peer, ways(&author));
        // Anybody can make authors: of those whom nobody let in the peer answers for all.
        let known = linked || !ways_in.is_empty();
        let (who, parts) = if known {
            (Accountable::Author(author), parts_of(&author, ways_in))
        } else {
            (Accountable::StrangersBy(peer), parts_of(&peer, ways(&peer)))
        };
        if self.pushes.take(who, &parts, linked, cx.now) {
            return Some(peer);
        }
        if known && self.pushes.overrun(author, cx.now) {
            self.entries.hurry(&author, cx.now);
            cx.timers.set(Timer::Parents, self.entries.next_overdue());
        }
        None
    }

    /// An entry waits for what it refers to: its author has that, and is asked for it at once.
    pub(super) fn ask_author(&mut self, cx: &mut Context, via: ConnId, entry: &SignedEntry) {
        let author = entry.body.chain.author;
        if let Some(exchange) = self.exchanges.get_mut(&via).filter(|of| of.member == author) {
            exchange.refers_to(&entry.body.parents, &self.entries, cx.limits());
            cx.mark(via);
        }
    }

    /// Somebody has another version of a chain: it is compared from its beginning.
    pub(super) fn compare(&mut self, cx: &mut Context, conn: ConnId, chain: Chain) {
        if let Some(exchange) = self.exchanges.get_mut(&conn) {
            exchange.probes.entry(chain).or_insert(0);
            exchange.behind.insert(chain);
            cx.mark(conn);
        }
    }

    /// Everybody is to be told within `pause_ms` how far we have these chains.
    pub(super) fn say_haves(&mut self, cx: &mut Context, chains: &[Chain], pause_ms: u64) {
        let due = cx.now.plus(pause_ms);
        for (conn, exchange) in self.exchanges.iter_mut().filter(|_| !chains.is_empty()) {
            exchange.say_haves(chains, due);
            cx.mark(*conn);
        }
    }

    /// An entry of this chain was refused: its author is to know, or whoever brought it.
    pub(super) fn say_refused(&mut self, cx: &mut Context, via: ConnId, chain: Chain) {
        let most = cx.limits().chains;
        let author = |exchange: &Exchange| exchange.member == chain.author;
        let linked = self.exchanges.values().any(author);
        for (conn, exchange) in &mut self.exchanges {
            let brought = *conn == via;
            if brought {
                exchange.refused(chain);
            }
            if author(exchange) || brought && !linked {
                exchange.say_refused(chain, cx.now.plus(REFUSALS_PAUSE_MS), most);
                cx.mark(*conn);
            }
        }
    }

    /// The register changed. Who was refused may have come in by another way, and what it said is
    /// asked for again.
    pub(crate) fn register_changed(&mut self, cx: &mut Context, ways: WaysIn<'_>) {
        for author in self.entries.take_refused(ways, cx.limits()) {
            for (conn, exchange) in &mut self.exchanges {
                if exchange.look_again(&author, &self.entries, cx.limits()) {
                    cx.mark(*conn);
                }
            }
        }
    }

    /// The same for all chains of a member that we cannot reach: somebody can pass it on.
    pub(crate) fn say_haves_of(&mut self, cx: &mut Context, author: &MemberId) {
        let chains: Vec<_> = self.entries.chains_of(author).copied().collect();
        self.say_haves(cx, &chains, HAVES_PAUSE_MS);
    }

    /// What is still to be said of haves is said now, so that authors know what arrived.
    pub(crate) fn acknowledge(&mut self, cx: &mut Context) {
        self.exchanges.values_mut().for_each(Exchange::hurry);
        self.mark_all(cx);
    }

    /// A peer says how far it has chains.
    pub(crate) fn haves_arrived(
        &mut self,
        cx: &mut Context,
        conn: ConnId,
        haves: Vec<Have>,
        members: &Members,
    ) {
        let (page, chains) = (cx.limits().have_page, cx.limits().chains);
        let short = haves.len() < page;
        let Some(exchange) = self.exchanges.get_mut(&conn) else { return };
        let member = exchange.member;
        let admitting = self.history_from == Some(member) && !exchange.vector_heard;
        exchange.vector_heard |= short;
        let mut news = false;
        for have in haves {
            if admitting && self.history.len() < chains && have.chain != self.chain {
                self.history.insert(have.chain, have.len);
            }
            let Some(exchange) = self.exchanges.get_mut(&conn) else { return };
            if exchange.hear(have, &self.entries, cx.limits()) {
                news |= self.receipt(member, &have, members);
                self.pass_on_receipt(cx, member, have.chain, members);
            }
        }
        if admitting && short {
            self.history_from = None;
        }
        if news {
            self.tell_held(cx, members);
        }
        cx.mark(conn);
    }

    /// Somebody tells what another holds: believed of those only who cannot say it themselves.
    pub(crate) fn receipt_told(
        &mut self,
        cx: &mut Context,
        holder: MemberId,
        have: &Have,
        members: &Members,
    ) {
        if members.conn_of(&holder).is_none() && self.receipt(holder, have, members) {
            self.tell_held(cx, members);
        }
    }

    /// Somebody holds a chain: counts when it is ours, as we have it. True if that is news.
    fn receipt(&mut self, holder: MemberId, have: &Have, members: &Members) -> bool {
        let here = members.is_present(&holder) || members.conn_of(&holder).is_some();
        if have.chain != self.chain || !here {
            return false;
        }
        let entries = &self.entries;
        let nothing = have.refused && have.len == 0;
        let head = match have.forked {
            true => entries.have(&have.chain).filter(|ours| ours.forked).map(|ours| ours.head),
            false => entries.entry_at(&have.chain, have.len).map(|entry| entry.id),
        };
        let len = have.len.min(entries.chain_len(&have.chain));
        (nothing || head == Some(have.head)) && self.receipts.hold(holder, len, have.refused)
    }

    /// The author of a chain that the holder cannot reach learns through us that it arrived.
    fn pass_on_receipt(
        &mut self,
        cx: &mut Context,
        holder: MemberId,
        chain: Chain,
        members: &Members,
    ) {
        if members.have_no_link(&holder, &chain.author)
            && let Some(conn) = members.conn_of(&chain.author)
            && let Some(exchange) = self.exchanges.get_mut(&conn)
        {
            exchange.say_receipts.insert((holder, chain));
            cx.mark(conn);
        }
    }

    /// Two members have no link any more: each learns from us what the other already holds of it.
    pub(crate) fn receipts_between(
        &mut self,
        cx: &mut Context,
        a: MemberId,
        b: MemberId,
        members: &Members,
    ) {
        for (author, holder) in [(a, b), (b, a)] {
            let of = |member| members.conn_of(member);
            let held = of(&holder).and_then(|conn| self.exchanges.get(&conn));
            let chains = held.into_iter().flat_map(|exchange| exchange.theirs.keys());
            // Of chains that nobody has shown us there is nothing to pass on.
            let known = |chain: &&Chain| self.entries.have(chain).is_some();
            let chains = chains.filter(|chain| chain.author == author).filter(known);
            let receipts: Vec<_> = chains.map(|chain| (holder, *chain)).collect();
            if let Some(conn) = of(&author)
                && let Some(exchange) = self.exchanges.get_mut(&conn)
            {
                exchange.say_receipts.extend(receipts);
                cx.mark(conn);
            }
        }
    }

    /// Tells how many of those present hold what this node said, as far as that is news.
    pub(crate) fn tell_held(&mut self, cx: &mut Context, members: &Members) {
        self.receipts.tell(cx, members);
    }

    /// Receipts of own messages that not every present member holds yet.
    pub(crate) fn unheld_receipts(&self, members: &Members) -> Vec<Receipt> {
        self.receipts.outstanding(members)
    }

    /// Own text and offers that not every present member holds.
    pub(crate) fn has_unheld(&self, members: &Members) -> bool {
        let own = self.entries.chain_len(&self.chain);
        let settled = |id| self.receipts.is_settled(&id, own);
        // What everybody refuses has reached nobody.
        let taken = members.present().any(|id| self.receipts.is_held(&id, own));
        !members.present().all(settled) || !taken && members.present_count() > 0
    }

    /// A peer asks for entries.
    pub(crate) fn asked(
        &mut self,
        cx: &mut Context,
        conn: ConnId,
        number: u32,
        chains: Vec<Wanted>,
    ) {
        if let Some(exchange) = self.exchanges.get_mut(&conn) {
            exchange.question = Some((number, chains));
            cx.mark(conn);
        }
    }

    /// Entries came for a question: those that were asked for; none of an answer that nobody waits
    /// for.
    ///
    /// # Errors
    /// There are more than one answer may have.
    pub(crate) fn answered<'e>(
        &mut self,
        cx: &Context,
        conn: ConnId,
        number: u32,
        entries: &'e [Arc<SignedEntry>],
    ) -> Result<Vec<&'e Arc<SignedEntry>>, ()> {
        let asked = self.exchanges.get_mut(&conn).and_then(|exchange| exchange.asked.as_mut());
        let Some(asked) = asked.filter(|asked| asked.number == number) else {
            return Ok(Vec::new());
        };
        if asked.received + entries.len() > cx.limits().answer_entries {
            return Err(());
        }
        asked.received += entries.len();
        asked.received_bytes += entries.iter().map(|entry| entry.bytes().len()).sum::<usize>();
        let wanted = |entry: &&Arc<SignedEntry>| {
            asked.chains.iter().any(|wanted| wanted.chain == entry.body.chain)
        };
        Ok(entries.iter().filter(wanted).collect())
    }

    /// An entry of an answer was looked at.
    pub(crate) fn compared(&mut self, conn: ConnId, entry: &SignedEntry) {
        let exchange = self.exchanges.get_mut(&conn);
        if let Some(probe) = exchange.and_then(|of| of.probes.get_mut(&entry.body.chain)) {
            *probe = (*probe).max(entry.body.seq);
        }
    }

    /// An answer is complete. What it did not bring is not asked of this link again until it says
    /// more.
    pub(crate) fn answer_ended(&mut self, cx: &mut Context, conn: ConnId, number: u32) {
        let Some(exchange) = self.exchanges.get_mut(&conn) else { return };
        let Some(asked) = exchange.asked.take_if(|asked| asked.number == number) else { return };
        let mut any = false;
        for wanted in &asked.chains {
            let Some(have) = exchange.theirs.get(&wanted.chain) else {
                self.asked.answered(&wanted.chain, conn, (false, cx.now));
                continue;
            };
            let lacks = self.entries.lacks(have, cx.limits());
            let progress = match (lacks, exchange.probes.get(&wanted.chain)) {
                // It came whole.
                (None, _) => asked.received > 0,
                (Some(Err(())), Some(probe)) => *probe > wanted.from,
                (Some(Err(())), None) => true,
                (Some(Ok(from)), Some(probe)) => from > wanted.from || *probe > wanted.from,
                (Some(Ok(from)), None) => from > wanted.from,
            };
            any |= progress;
            let refused = asked.refused.contains(&wanted.chain);
            if lacks.is_none() {
                self.asked.is_here(&wanted.chain);
            } else {
                let much = progress && !refused && asked.brought_much(cx.limits());
                self.asked.answered(&wanted.chain, conn, (much, cx.now));
            }
            if lacks.is_none() || refused || !progress && asked.received == 0 {
                exchange.behind.remove(&wanted.chain);
            } else if progress {
                exchange.behind.insert(wanted.chain);
            }
        }
        if !any {
            // What it sent could not be taken, for want of room or of parents: not at once again.
            exchange.rests_until = Some(cx.now.plus(ASK_TIMEOUT_MS));
        }
        self.mark_all(cx);
    }

    /// The next question for a link, if it has something that we lack.
    fn next_question(&mut self, cx: &Context, conn: ConnId) -> Option<Message> {
        let (now, limits) = (cx.now, cx.limits());
        let exchange = self.exchanges.get_mut(&conn)?;
        exchange.rests_until.take_if(|until| now >= *until);
        if exchange.asked.is_some() || exchange.behind.is_empty() || exchange.rests_until.is_some()
        {
            return None;
        }
        let peer = exchange.member;
        let idle = |of: &&Exchange| of.asked.is_none() && of.rests_until.is_none();
        let authors: BTreeMap<MemberId, &BTreeSet<Chain>> =
            self.exchanges.values().filter(idle).map(|of| (of.member, &of.behind)).collect();
        // Whoever wrote a chain has it; others may only say so.
        let of_author = |chain: &Chain| {
            chain.author != peer && authors.get(&chain.author).is_some_and(|of| of.contains(chain))
        };
        let exchange = self.exchanges.get(&conn)?;
        let missing = self.entries.missing();
        let first = exchange.behind.intersection(&missing);
        let rest = exchange.behind.difference(&missing);
        let (mut chains, mut settled) = (Vec::new(), Vec::new());
        for chain in first.chain(rest) {
            if !self.asked.may_ask(chain, conn, now) || of_author(chain) {
                continue;
            }
            let Some(have) = exchange.theirs.get(chain) else { continue };
            let probe = exchange.probes.get(chain).copied();
            let from = match self.entries.lacks(have, limits) {
                Some(Ok(from)) => probe.map_or(from, |probe| probe.min(from)),
                Some(Err(())) => probe.unwrap_or(0),
                None => {
                    settled.push(*chain);
                    continue;
                }
            };
            chains.push(Wanted { chain: *chain, from });
            if chains.len() >= limits.have_page {
                break;
            }
        }
        let exchange = self.exchanges.get_mut(&conn)?;
        for chain in &settled {
            exchange.behind.remove(chain);
            self.asked.is_here(chain);
        }
        if chains.is_empty() {
            return None;
        }
        for wanted in &chains {
            self.asked.ask(wanted.chain, conn, now, limits.chains);
            if self.entries.chain_len(&wanted.chain) > wanted.from {
                exchange.probes.entry(wanted.chain).or_insert(wanted.from);
            }
        }
        Some(exchange.ask(chains, now.plus(ASK_TIMEOUT_MS)))
    }

    /// Something is due on a link. Questions that nobody answered may go to others.
    pub(crate) fn repair_due(&mut self, cx: &mut Context, conn: ConnId) {
        let Some(exchange) = self.exchanges.get_mut(&conn) else { return };
        cx.mark(conn);
        let expired = exchange.expire(cx.now);
        // Even while the link takes nothing; otherwise it is set again when it is spoken to.
        cx.timers.set(Timer::Repair(conn), exchange.asked_deadline());
        let freed = expired.iter().filter(|chain| self.asked.is_late(chain, conn, cx.now)).count();
        if freed > 0 {
            self.mark_all(cx);
        }
    }

    /// What one link is to be told now.
    pub(crate) fn flush(
        &mut self,
        cx: &mut Context,
        conn: ConnId,
        members: &Members,
        messages: &mut Vec<Message>,
    ) {
        let (now, page) = (cx.now, cx.limits().have_page);
        let Some(exchange) = self.exchanges.get_mut(&conn) else { return };
        let unlinked = members.own().unlinked();
        exchange.haves_to_say(&self.entries, unlinked, (now, page), messages);
        let receipts = exchange.receipts_to_say();
        let question = exchange.question.take();
        for (holder, chain) in receipts {
            let theirs = members.conn_of(&holder).and_then(|conn| self.exchanges.get(&conn));
            let have = theirs.and_then(|exchange| exchange.theirs.get(&chain).copied());
            messages.extend(have.map(|have| Message::Receipt { holder, have }));
        }
        if let Some((number, chains)) = question {
            answer(number, self.entries.answer(&chains, cx.limits()), messages);
        }
        messages.extend(self.next_question(cx, conn));
        let deadline = self.exchanges.get(&conn).and_then(Exchange::deadline);
        cx.timers.set(Timer::Repair(conn), deadline);
    }

    /// Whether the first have-vector of a member is here, and all that it promised.
    pub(crate) fn has_history_of(&self, conn: ConnId) -> bool {
        self.exchanges.get(&conn).is_none_or(|exchange| {
            exchange.vector_heard && exchange.behind.is_empty() && exchange.asked.is_none()
        })
    }

    fn mark_all(&self, cx: &mut Context) {
        self.exchanges.keys().for_each(|conn| cx.mark(*conn));
    }
}

/// An answer in messages of a size that fits.
fn answer(number: u32, entries: Vec<Arc<SignedEntry>>, messages: &mut Vec<Message>) {
    let mut part: Vec<Arc<SignedEntry>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        let cost = entry.bytes().len() + ENTRY_EXTRA_BYTES;
        if bytes + cost > ANSWER_PART_BYTES && !part.is_empty() {
            let entries = std::mem::take(&mut part);
            messages.push(Message::Answer { number, entries, last: false });
            bytes = 0;
        }
        bytes += cost;
        part.push(entry);
    }
    messages.push(Message::Answer { number, entries: part, last: true });
}
