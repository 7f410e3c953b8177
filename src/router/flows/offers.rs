//! Offers and withdrawals in the log, and everything that follows from them.

use std::sync::Arc;

use crate::router::Router;
use crate::router::files::{Lookup, Offered, ParkingPlace};
use crate::router::ids::{EntryId, MemberId};
use crate::router::log::{EntryOrder, order_text};
use crate::router::notice::Notice;
use crate::router::signed::{Offer, SignedEntry};

/// Most files named one by one.
const NAMED_MAX: usize = 4;

impl Router {
    /// The offers, with regard to the members here and what they hold.
    pub(crate) fn lookup(&self) -> Lookup<'_> {
        self.files.lookup(&self.swarm, &self.members)
    }

    pub(crate) fn offered(
        &mut self,
        entry: &Arc<SignedEntry>,
        offer: &Offer,
        order: EntryOrder,
        again: bool,
        history: bool,
    ) {
        let author = entry.body.chain.author;
        let own = author == self.cx.my_id;
        let shown = self.log.shown(&entry.id);
        let came = self.files.offer_came(entry, offer, (order, shown));
        let (file, folder) = (came.offered.info(), came.offered.named_file().folder_info());
        if own && !self.log.is_own(entry) {
            if let Some(before) = &came.before {
                self.own_offer_ended(before);
            }
            if came.stands {
                let place = self.parking_place();
                self.files.came_back(&mut self.cx, &place, file.id, &self.swarm);
            }
        }
        self.swarm.say_done_with(&mut self.cx, author, file.id);
        let quiet = (again || self.members.is_ignored(&author)) && !own;
        if quiet || !came.stands || shown != entry.id {
            return;
        }
        self.cx.notify(Notice::FileOffered {
            id: shown,
            file,
            folder,
            from: self.members.who(&author),
            time_ms: entry.body.time_ms,
            own,
            history,
            replaces: came.before.map(|before| before.shown()),
            order: order_text(order),
            alike: came.alike,
        });
    }

    pub(crate) fn withdrawn(
        &mut self,
        entry: &Arc<SignedEntry>,
        id: EntryId,
        order: EntryOrder,
        again: bool,
        history: bool,
    ) {
        let author = entry.body.chain.author;
        let own = author == self.cx.my_id;
        let Some(offered) = self.files.withdrawn(author, id, order) else { return };
        if own && !self.log.is_own(entry) {
            // From an earlier stay, after an offer that was just restored.
            self.own_offer_ended(&offered);
        }
        if again || self.members.is_ignored(&author) {
            return;
        }
        self.cx.notify(Notice::FileWithdrawn {
            id: offered.shown(),
            file: offered.info(),
            from: self.members.who(&author),
            time_ms: entry.body.time_ms,
            own,
            history,
            order: order_text(order),
        });
    }

    /// A fork undid an entry, and the offer that it made.
    pub(crate) fn undo_offer(&mut self, entry: &SignedEntry, order: EntryOrder) {
        let Some(offered) = self.files.undo(entry, order) else { return };
        let author = entry.body.chain.author;
        let own = author == self.cx.my_id;
        if own {
            self.own_offer_ended(&offered);
        }
        if self.members.is_ignored(&author) {
            return;
        }
        self.cx.notify(Notice::FileWithdrawn {
            id: offered.shown(),
            file: offered.info(),
            from: self.members.who(&author),
            time_ms: entry.body.time_ms,
            own,
            history: self.log.is_history(entry),
            order: order_text(order),
        });
    }

    /// An own offer no longer stands: its file is no longer served, unless another own offer has
    /// the same content.
    pub(super) fn own_offer_ended(&mut self, offered: &Offered) {
        if self.files.own_offer_ended(&mut self.cx, offered) {
            self.swarm.unshare(&mut self.cx, offered.file());
        }
    }

    /// The room, with the closings in force in it.
    pub(super) fn parking_place(&self) -> ParkingPlace {
        let closings = self.registry.membership().closings();
        (self.stay.room(), closings.map(|closing| closing.id).collect())
    }

    /// The room is about to be left, and there are no more links: nothing is fetched or served, and
    /// its offers are parked.
    pub(crate) fn leave_files(&mut self) {
        self.swarm.drop_links(&mut self.cx);
        self.swarm.drop_downloads(&mut self.cx);
        if self.stay.is_settled() {
            let place = self.parking_place();
            self.files.park(&mut self.cx, place, &self.swarm);
        }
        self.files.left(&mut self.cx);
        self.swarm.drop_shares(&mut self.cx);
    }

    /// Reports own offers that stand in this room but that nobody here can fetch.
    pub(crate) fn tell_unserved(&mut self) {
        let unserved = self.files.unserved(&self.parking_place(), &self.swarm, &self.members);
        let (first, verb) = match unserved.len() {
            0 => return,
            1 => ("an offer of yours".to_owned(), "is"),
            count => (format!("{count} offers of yours"), "are"),
        };
        let mut names: Vec<String> = unserved.iter().take(NAMED_MAX).cloned().collect();
        if unserved.len() > NAMED_MAX {
            names.push(format!("{} more", unserved.len() - NAMED_MAX));
        }
        let them = if unserved.len() == 1 { "it" } else { "them" };
        self.cx.remark(format!(
            "{first} from an earlier stay {verb} not served now: {}; send {them} again, or cancel \
             {them}",
            names.join(", ")
        ));
    }

    /// Nodes that only give wait for others, not for each other.
    pub(crate) fn decline_files(&mut self) {
        let offered_by = |member: &MemberId| self.files.offered_by(*member).collect();
        self.swarm.only_give(&mut self.cx, offered_by);
    }
}
