//! The room that this node is in: what is said in it, and moving to another.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::Router;
use super::event::{Draw, Effect};
use super::ids::{EntryId, LogNonce, MemberId, RoomId};
use super::log::{Log, Order, Placed};
use super::notice::{Code, Failure, MemberInfo, Notice, Receipt};
use super::registry::Registry;
use super::signed::{Chain, ENTRY_MAX_BYTES, EntryBody, Kind, Offer, SignedEntry};
use super::text::Untrusted;
use super::time::Millis;

/// Own messages whose receipts are still counted.
const UNHELD_MAX: usize = 1_000;

/// An own message that not every present member holds yet.
#[derive(Debug)]
pub(super) struct Unheld {
    pub(super) seq: u64,
    pub(super) shown: EntryId,
    pub(super) told: Option<(usize, usize)>,
    pub(super) tell_at: Millis,
}

/// A room, and this node's stay in it.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) id: RoomId,
    /// A link was committed in it.
    pub(super) settled: bool,
    /// `joined` was told.
    pub(super) announced: bool,
    /// Who put this node out of it.
    pub(super) out_by: Option<MemberId>,
    /// It was told that others say that we are no member.
    pub(super) told_outside: bool,
    /// The founder was told that it is the only one who can remove anybody.
    pub(super) steward_proposed: bool,
    pub(super) log: Log,
    pub(super) chain: Chain,
    /// Ids under which entries signed anew were first shown.
    pub(super) aliases: BTreeMap<EntryId, EntryId>,
    /// How long chains were in the room that we joined.
    pub(super) history: BTreeMap<Chain, u64>,
    /// The link that admitted us still tells us its history.
    pub(super) history_from: Option<MemberId>,
    /// How far each member has our chain.
    pub(super) receipts: BTreeMap<MemberId, u64>,
    pub(super) unheld: VecDeque<Unheld>,
    /// Somebody was present at some time.
    pub(super) ever_met: bool,
    /// Something was said or offered.
    pub(super) spoke: bool,
}

impl Room {
    pub(super) fn new(id: RoomId, me: MemberId, nonce: LogNonce) -> Self {
        Self {
            id,
            settled: false,
            announced: false,
            out_by: None,
            told_outside: false,
            steward_proposed: false,
            log: Log::new(),
            chain: Chain { author: me, nonce },
            aliases: BTreeMap::new(),
            history: BTreeMap::new(),
            history_from: None,
            receipts: BTreeMap::new(),
            unheld: VecDeque::new(),
            ever_met: false,
            spoke: false,
        }
    }

    /// The id under which faces know an entry.
    pub(super) fn shown(&self, id: &EntryId) -> EntryId {
        self.aliases.get(id).copied().unwrap_or(*id)
    }
}

impl Router {
    /// Says something: an own entry, pushed to every link at once.
    pub(super) fn post(&mut self, kind: Kind) -> Result<EntryId, Failure> {
        if self.room.log.is_forked(&self.room.chain) {
            return Err(Failure::new(
                Code::ChainForked,
                "another program speaks with this identity in this room; leave and connect again",
            ));
        }
        if self.room.log.chain_len(&self.room.chain) == 0 && !matches!(kind, Kind::Name(_)) {
            let name = self.cx.config.name.clone();
            self.append(Kind::Name(name), None)?;
        }
        self.publish_ticket();
        let id = self.append(kind, None)?;
        self.room.spoke = true;
        Ok(id)
    }

    fn append(&mut self, kind: Kind, shown: Option<(EntryId, i64)>) -> Result<EntryId, Failure> {
        let chain = self.room.chain;
        let (seq, prev, parents) = self.room.log.next_of(&chain);
        let time_ms = shown.map_or_else(|| self.cx.wall_ms(), |(_, time_ms)| time_ms);
        let body = EntryBody { chain, seq, prev, parents, time_ms, kind };
        let entry = SignedEntry::sign(&self.room.id, &self.cx.me, body);
        if entry.bytes().len() > ENTRY_MAX_BYTES {
            return Err(Failure::new(
                Code::MessageTooLong,
                "too long to be said: send it as a file",
            ));
        }
        if let Some((first, _)) = shown {
            self.room.aliases.insert(entry.id, first);
        }
        let Placed::Accepted(_) = self.room.log.place(&entry, &self.cx.config.limits) else {
            return Err(Failure::new(
                Code::IoError,
                "this room's log is full: nothing more can be said in it; leave for a fresh one",
            ));
        };
        self.accepted(&entry, shown.is_some());
        self.push(&entry, None);
        Ok(entry.id)
    }

    /// Sends a new entry to every link that is not congested; repair brings it to the others.
    pub(super) fn push(&mut self, entry: &Arc<SignedEntry>, only: Option<&[MemberId]>) {
        let message = super::message::Message::Entry(entry.clone());
        let targets: Vec<_> = self
            .links()
            .filter(|(_, link)| link.congested.is_none() && link.member != entry.body.chain.author)
            .filter(|(_, link)| only.is_none_or(|only| only.contains(&link.member)))
            .map(|(conn, _)| conn)
            .collect();
        for conn in targets {
            self.cx.effect(Effect::Send { conn, message: message.clone() });
        }
    }

    /// Everything that follows from an entry that the log took in. `again`: faces know it already.
    pub(super) fn accepted(&mut self, entry: &Arc<SignedEntry>, again: bool) {
        let chain = entry.body.chain;
        let due = self.cx.now.plus(1_000);
        self.mark_links(|link| {
            if link.member == chain.author {
                link.say_haves_at = Some(Millis(0));
            } else if link.say_haves.is_empty() {
                link.say_haves_at = Some(link.say_haves_at.map_or(due, |at| at.min(due)));
            }
            link.say_haves.insert(chain);
        });
        let own = chain.author == self.cx.my_id;
        let order = self.room.log.order_of(entry);
        let history = self.room.history.get(&chain).is_some_and(|len| entry.body.seq <= *len);
        match &entry.body.kind {
            Kind::Text(_) | Kind::Unknown => {
                if own && chain == self.room.chain {
                    self.count_receipts_of(entry);
                }
                if !again {
                    self.show_message(entry, order, own, history);
                }
            }
            Kind::Offer(offer) => self.offered(entry, offer, order, again || own, history),
            Kind::Withdraw(id) => self.withdrawn(entry, *id, order, again, history),
            Kind::Name(name) => self.named(chain.author, name, history || again),
        }
    }

    fn show_message(&mut self, entry: &Arc<SignedEntry>, order: Order, own: bool, history: bool) {
        let (text, known) = match &entry.body.kind {
            Kind::Text(text) => (text.clone(), true),
            _ => (Untrusted::default(), false),
        };
        if self.members.is_ignored(&entry.body.chain.author) {
            return;
        }
        if !own {
            self.message_seen(&text);
        }
        self.cx.notify(Notice::Message {
            id: self.room.shown(&entry.id),
            from: self.members.who(&entry.body.chain.author),
            text,
            time_ms: entry.body.time_ms,
            own,
            history,
            order: order_text(order),
            known,
        });
    }

    /// A name in the log counts for members that no presence record speaks for.
    fn named(&mut self, author: MemberId, name: &str, quiet: bool) {
        let present = self.members.get(&author).is_some_and(|member| member.record.is_some());
        if !present && author != self.cx.my_id {
            self.rename(author, name, quiet);
        }
    }

    pub(super) fn rename(&mut self, member: MemberId, name: &str, quiet: bool) {
        // As people saw it: told apart from others of that name.
        let before = self.members.name_of(&member);
        if self.members.set_name(member, name) && !quiet {
            let info = self.member_info(&member);
            self.cx.notify(Notice::NameChanged { member: info, before });
            self.warn_if_lookalike(&member);
        }
    }

    pub(super) fn member_info(&self, id: &MemberId) -> MemberInfo {
        let own = *id == self.cx.my_id;
        let link = self.link_of(id);
        let remote = link.and_then(|(conn, _)| self.conns.get(&conn)).and_then(|conn| conn.remote);
        let taught = || self.members.get(id)?.record.as_ref()?.body.addresses.first().copied();
        let mine = || self.presence.first_address();
        let address = if own { mine() } else { taught().or(remote) };
        MemberInfo {
            who: self.members.who(id),
            address: address.map(|addr| addr.to_string()).unwrap_or_default(),
        }
    }

    fn count_receipts_of(&mut self, entry: &SignedEntry) {
        if self.room.unheld.len() >= UNHELD_MAX {
            self.room.unheld.pop_front();
        }
        self.room.unheld.push_back(Unheld {
            seq: entry.body.seq,
            shown: self.room.shown(&entry.id),
            told: None,
            tell_at: self.cx.now.plus(1_000),
        });
    }

    /// Receipts of own messages that not every present member holds yet.
    pub(super) fn unheld_receipts(&self) -> Vec<Receipt> {
        let held = |(id, _): (&MemberId, _)| self.room.receipts.get(id).copied().unwrap_or(0);
        let lengths: Vec<u64> = self.members.present().map(held).collect();
        let receipts = self.room.unheld.iter().map(|unheld| Receipt {
            id: unheld.shown,
            held_by: lengths.iter().filter(|len| **len >= unheld.seq).count(),
            present: lengths.len(),
        });
        receipts.collect()
    }

    /// Tells `held` for messages that all present members hold now, and from time to time for
    /// those that some hold.
    pub(super) fn tell_held(&mut self) {
        let present: Vec<u64> = self
            .members
            .present()
            .map(|(id, _)| self.room.receipts.get(id).copied().unwrap_or(0))
            .collect();
        if present.is_empty() {
            return;
        }
        let floor = present.iter().copied().min().unwrap_or(0);
        let mut told = Vec::new();
        while self.room.unheld.front().is_some_and(|unheld| unheld.seq <= floor) {
            if let Some(unheld) = self.room.unheld.pop_front() {
                told.push((unheld.shown, present.len()));
            }
        }
        let now = self.cx.now;
        for unheld in self.room.unheld.iter_mut().filter(|unheld| unheld.tell_at <= now).take(16) {
            let held_by = present.iter().filter(|len| **len >= unheld.seq).count();
            unheld.tell_at = now.plus(1_000);
            if unheld.told != Some((held_by, present.len())) {
                unheld.told = Some((held_by, present.len()));
                told.push((unheld.shown, held_by));
            }
        }
        for (id, held_by) in told {
            self.cx.notify(Notice::Held { id, held_by, present: present.len() });
        }
    }

    /// Own text and offers that not every present member holds.
    pub(super) fn has_unheld(&self) -> bool {
        let own = self.room.log.chain_len(&self.room.chain);
        self.members.present().any(|(id, _)| self.room.receipts.get(id).copied().unwrap_or(0) < own)
    }

    /// Into another room, taking along what was said and offered while alone.
    ///
    /// The chain keeps its nonce: entries are signed for their room and nobody else has those of
    /// the room left behind, so it cannot fork; and what was said alone keeps the place in the
    /// order that faces were told.
    pub(super) fn move_to(&mut self, id: RoomId, registry: Registry, via: MemberId) {
        debug_assert_eq!(id, registry.room());
        let nonce = self.room.chain.nonce;
        self.registry = registry;
        let mut room = Room::new(id, self.cx.my_id, nonce);
        room.spoke = self.room.spoke;
        room.history_from = Some(via);
        let old = std::mem::replace(&mut self.room, room);
        self.catalogue.clear();
        self.asked.clear();
        self.presence.forget();
        // What they refer to has another id as well.
        let mut ids = BTreeMap::new();
        let new_id = |ids: &BTreeMap<_, _>, id: &EntryId| ids.get(id).copied().unwrap_or(*id);
        for entry in old.log.entries() {
            let shown = old.shown(&entry.id);
            let kind = match &entry.body.kind {
                Kind::Offer(offer) => {
                    let replaces = offer.replaces.map(|id| new_id(&ids, &id));
                    Kind::Offer(Offer { replaces, ..offer.clone() })
                }
                Kind::Withdraw(id) => Kind::Withdraw(new_id(&ids, id)),
                kind => kind.clone(),
            };
            // The old log held them, so the new one, which is empty, has room for them.
            if let Ok(id) = self.append(kind, Some((shown, entry.body.time_ms))) {
                ids.insert(entry.id, id);
            }
        }
    }

    /// Alone into a fresh room; the old one is told.
    pub(super) fn leave(&mut self, draw: &Draw) {
        let (old, announced) = (self.room.id, self.room.announced);
        self.acknowledge();
        self.say_bye();
        self.drop_all_conns();
        self.drop_downloads();
        self.park_offers();
        self.drop_shares();
        self.registry = Registry::new(self.cx.my_id, self.cx.my_id, draw.room);
        self.room = Room::new(self.registry.room(), self.cx.my_id, draw.nonce);
        self.members.forget_all();
        self.members.set_name(self.cx.my_id, &self.cx.config.name);
        self.catalogue.clear();
        self.asked.clear();
        self.presence.forget();
        self.cx.effect(Effect::Forget);
        self.guesses.forget_untold();
        self.end_of_leave();
        if announced {
            self.cx.notify(Notice::Left { room: old });
        }
        self.cx.remark("you are alone in a new open room");
    }
}

/// The order of an entry as faces sort by it.
pub(super) fn order_text((depth, chain, seq): Order) -> String {
    format!("{depth:012}-{}-{}-{seq:012}", chain.author.short(), chain.nonce)
}
