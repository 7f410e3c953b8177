//! Own entries, others' entries, and everything that follows from them.

use std::sync::Arc;

use crate::router::Router;
use crate::router::ids::{ConnId, EntryId, MemberId};
use crate::router::log::{EntryOrder, Log, Placed, order_text};
use crate::router::message::Why;
use crate::router::notice::{Code, Failure, Notice, WithdrawalReason};
use crate::router::quiet::Topic;
use crate::router::signed::{Chain, Kind, SignedEntry};
use crate::router::text::Untrusted;

impl Router {
    /// Says something: makes an own entry and pushes it to every link at once.
    pub(crate) fn post(&mut self, kind: Kind) -> Result<EntryId, Failure> {
        // By now others should know who let this node in.
        self.publish_ticket();
        self.flush_links();
        if self.log.is_silent() && !matches!(kind, Kind::Name(_)) {
            let name = self.cx.config.name.clone();
            self.append(Kind::Name(name), None)?;
        }
        // Merely telling one's name is not speaking.
        let speaks = !matches!(kind, Kind::Name(_));
        let id = self.append(kind, None)?;
        if speaks {
            self.log.note_speech();
        }
        Ok(id)
    }

    fn append(&mut self, kind: Kind, shown: Option<(EntryId, i64)>) -> Result<EntryId, Failure> {
        let ways = |id: &MemberId| self.registry.ways_in(id);
        let entry = self.log.write(&self.cx, &self.stay.room(), (kind, shown), &ways)?;
        self.accepted(&entry, shown.is_some());
        self.push(&entry, None);
        Ok(entry.id)
    }

    /// Sends a new entry to every link that is not congested, or only to these members.
    fn push(&mut self, entry: &Arc<SignedEntry>, only: Option<&[MemberId]>) {
        let links = &self.links;
        self.log.push(&mut self.cx, entry, |conn, member| {
            links.link(conn).is_some_and(|link| !link.is_congested())
                && only.is_none_or(|only| only.contains(member))
        });
    }

    /// Repeats, in a room just entered, what was said and offered while alone. What was said alone
    /// keeps the place in the order that faces know.
    pub(crate) fn say_again(&mut self, old: &Log) {
        // The old log could hold them, so the new and empty one can.
        old.said_again(|kind, shown| self.append(kind, Some(shown)).ok());
    }

    /// A peer sends an entry unasked.
    pub(crate) fn entry_pushed(&mut self, conn: ConnId, entry: &Arc<SignedEntry>) {
        let ways = |id: &MemberId| self.registry.ways_in(id);
        let Some(member) = self.log.take_pushed(&mut self.cx, conn, entry, &ways) else {
            return;
        };
        let author = entry.body.chain.author;
        if self.place(conn, entry) && member == author {
            // Members that the author cannot reach get its entries through us.
            let targets = self.members.unreached_by(&author);
            if !targets.is_empty() {
                self.push(entry, Some(&targets));
            }
        }
    }

    /// A peer answers a question.
    pub(crate) fn answered(
        &mut self,
        conn: ConnId,
        number: u32,
        entries: &[Arc<SignedEntry>],
        last: bool,
    ) {
        let Ok(wanted) = self.log.answered(&self.cx, conn, number, entries) else {
            return self.cx.refuse(conn, Why::Protocol);
        };
        for entry in wanted {
            self.place(conn, entry);
            self.log.compared(conn, entry);
        }
        if last {
            self.log.answer_ended(&mut self.cx, conn, number);
        }
    }

    /// Adds an entry; returns whether it is new here.
    fn place(&mut self, via: ConnId, entry: &Arc<SignedEntry>) -> bool {
        let ways = |id: &MemberId| self.registry.ways_in(id);
        let entries = match self.log.place(&mut self.cx, via, entry, &ways) {
            Placed::Accepted(entries) => entries,
            Placed::Forked { first, dropped, woken } => {
                self.withdraw_forked(&dropped);
                if first {
                    self.complain_of_fork(entry.body.chain, via);
                }
                woken
            }
            Placed::Proof => Vec::new(),
            Placed::Conflict
            | Placed::Known
            | Placed::Waits
            | Placed::Crowded
            | Placed::Refused => return false,
        };
        for entry in &entries {
            self.accepted(entry, false);
        }
        true
    }

    /// Entries that refer to something that never came are added without it.
    pub(crate) fn parents_overdue(&mut self) {
        let ways = |id: &MemberId| self.registry.ways_in(id);
        for entry in self.log.take_overdue(&mut self.cx, &ways) {
            self.accepted(&entry, false);
        }
    }

    /// A fork undoes these entries.
    fn withdraw_forked(&mut self, dropped: &[(EntryOrder, Arc<SignedEntry>)]) {
        for (order, entry) in dropped {
            self.undo_offer(entry, *order);
            let shown = matches!(entry.body.kind, Kind::Text(_) | Kind::Unknown)
                && !self.members.is_ignored(&entry.body.chain.author);
            if shown {
                let (id, reason) = (self.log.shown(&entry.id), WithdrawalReason::Fork);
                self.cx.notify(Notice::MessageWithdrawn { id, reason });
            }
        }
    }

    fn complain_of_fork(&mut self, chain: Chain, via: ConnId) {
        if self.log.is_own_chain(&chain) {
            let text =
                "another program speaks with your identity in this room; leave and connect again";
            return self.cx.complain(Failure::new(Code::ChainForked, text));
        }
        let name = self.members.who(&chain.author).marked();
        let text =
            format!("two programs speak with the identity of {name}; what differs is left out");
        let failure = Failure::new(Code::ChainForked, text);
        let notice = Notice::Error { line: None, command: None, failure };
        // Who brings many forks may have made the keys.
        let teller = self.links.link(via).map_or(chain.author, |link| link.member());
        let origin = self.members.origin_of(&teller);
        self.cx.notify_from(origin, (Topic::Fork, chain.author), notice);
    }

    /// Everything that follows from a new entry in the log. `again`: faces know it already.
    fn accepted(&mut self, entry: &Arc<SignedEntry>, again: bool) {
        self.log.accepted(&mut self.cx, entry);
        let author = entry.body.chain.author;
        let own = author == self.cx.my_id;
        let order = self.log.order_of(entry);
        let history = self.log.is_history(entry);
        match &entry.body.kind {
            Kind::Text(_) | Kind::Unknown if again => {}
            Kind::Text(_) | Kind::Unknown => self.show_message(entry, order, own, history),
            Kind::Offer(offer) => self.offered(entry, offer, order, again || own, history),
            Kind::Withdraw(id) => self.withdrawn(entry, *id, order, again, history),
            Kind::Name(name) => self.named(author, name, history || again),
        }
    }

    fn show_message(
        &mut self,
        entry: &Arc<SignedEntry>,
        order: EntryOrder,
        own: bool,
        history: bool,
    ) {
        let (text, known) = match &entry.body.kind {
            Kind::Text(text) => (text.clone(), true),
            _ => (Untrusted::default(), false),
        };
        if self.members.is_ignored(&entry.body.chain.author) {
            return;
        }
        if !own {
            self.desk.message_seen(&text);
        }
        self.cx.notify(Notice::Message {
            id: self.log.shown(&entry.id),
            from: self.members.who(&entry.body.chain.author),
            text,
            time_ms: entry.body.time_ms,
            own,
            history,
            order: order_text(order),
            known,
        });
    }

    /// A name in the log is used for members that have no presence record.
    fn named(&mut self, author: MemberId, name: &str, quiet: bool) {
        if !self.members.has_record(&author) && author != self.cx.my_id {
            self.members.rename(&mut self.cx, author, name, quiet);
        }
    }
}
