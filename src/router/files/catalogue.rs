//! The offers of the room, derived from the log: which stand, whose they are, and which a command
//! means.
//!
//! An offer is identified by its entry. It stands until its author withdraws or replaces it; other
//! offers, by the same author or others, of any name and content, stand beside it. Nobody can
//! affect the offers of others.

use std::collections::{BTreeMap, BTreeSet};

use crate::router::ids::{EntryId, FileId, MemberId};
use crate::router::log::EntryOrder;
use crate::router::notice::FileInfo;
use crate::router::signed::{Offer, SignedEntry};
use crate::router::swarm::NamedFile;
use crate::router::text::Untrusted;
use crate::router::word::{FileWord, nfc};

/// How many offers are searched for another content with the same name.
const COMPARED_MAX: usize = 1_000;

/// An offer that stands.
#[derive(Debug, Clone)]
pub(crate) struct Offered {
    id: EntryId,
    /// The id under which faces know it.
    shown: EntryId,
    author: MemberId,
    file: NamedFile,
    order: EntryOrder,
}

/// Entries that can end another entry, with their places in the order.
type Enders = BTreeSet<EntryOrder>;

/// Offers by their entries, and what was withdrawn.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    offers: BTreeMap<EntryId, Offered>,
    /// Offers that do not stand, unless a fork undoes what ended them.
    over: BTreeMap<EntryId, Offered>,
    /// Entries that their author withdrew or replaced, with the entries that did so, whether or not
    /// the former have arrived: what comes before the last of the latter does not stand.
    ended: BTreeMap<(MemberId, EntryId), Enders>,
    by_file: BTreeMap<FileId, BTreeSet<(MemberId, EntryId)>>,
    /// By their names in NFC.
    by_name: BTreeMap<String, BTreeSet<EntryId>>,
    /// Counts changes of whom something can be fetched from: offers, members and hosts that came or
    /// went.
    changes: u64,
}

impl Catalogue {
    pub(super) fn clear(&mut self) {
        *self = Self { changes: self.changes + 1, ..Self::default() };
    }

    /// A word's meaning may have changed.
    pub(super) fn touch(&mut self) {
        self.changes += 1;
    }

    /// If this is no longer the same, it is worth checking again what a word means.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// All members' standing offers of a file: its length and root are the same in all.
    pub(super) fn of_file(&self, file: FileId) -> impl Iterator<Item = &Offered> {
        let ids = self.by_file.get(&file).into_iter().flatten();
        ids.filter_map(|(_, id)| self.offers.get(id))
    }

    /// An author's offers of a file.
    pub(super) fn offers_of(
        &self,
        author: MemberId,
        file: FileId,
    ) -> impl Iterator<Item = &Offered> {
        let all = (author, EntryId([0; 32]))..=(author, EntryId([u8::MAX; 32]));
        let ids = self.by_file.get(&file).into_iter().flat_map(move |ids| ids.range(all.clone()));
        ids.filter_map(|(_, id)| self.offers.get(id))
    }

    /// Whether an author offers a file.
    pub(super) fn offers(&self, author: MemberId, file: FileId) -> bool {
        self.offers_of(author, file).next().is_some()
    }

    /// The offers of an author.
    pub(super) fn offers_by(&self, author: MemberId) -> impl Iterator<Item = &Offered> {
        self.offers.values().filter(move |offered| offered.author == author)
    }

    /// All standing offers.
    pub(super) fn all(&self) -> impl Iterator<Item = &Offered> {
        self.offers.values()
    }

    /// An offer by its entry.
    pub(super) fn get(&self, id: &EntryId) -> Option<&Offered> {
        self.offers.get(id)
    }

    /// Offers under a name, whether or not anybody who has their files is here.
    pub(super) fn named(&self, word: &FileWord) -> impl Iterator<Item = &Offered> {
        let ids = self.by_name.get(word.name()).into_iter().flatten();
        ids.filter_map(|id| self.offers.get(id))
    }

    /// Whether another standing offer has the same name and another content.
    pub(super) fn is_alike(&self, offered: &Offered) -> bool {
        let word = FileWord::new(&offered.file.name);
        self.named(&word).take(COMPARED_MAX).any(|other| other.file.id != offered.file.id)
    }

    /// Adds an offer, and removes what it replaces; false if it does not stand.
    pub(super) fn insert(
        &mut self,
        offered: Offered,
        replaces: Option<EntryId>,
    ) -> (bool, Option<Offered>) {
        self.touch();
        let before = replaces.and_then(|id| self.end(offered.author, id, offered.order));
        if self.is_ended(&offered) {
            self.over.insert(offered.id, offered);
            return (false, before);
        }
        (self.stand(offered), before)
    }

    fn is_ended(&self, offered: &Offered) -> bool {
        let ended = self.ended.get(&(offered.author, offered.id));
        ended.and_then(BTreeSet::last).is_some_and(|order| *order > offered.order)
    }

    fn stand(&mut self, offered: Offered) -> bool {
        self.by_file.entry(offered.file.id).or_default().insert((offered.author, offered.id));
        self.by_name.entry(nfc(&offered.file.name)).or_default().insert(offered.id);
        self.offers.insert(offered.id, offered).is_none()
    }

    fn take(&mut self, id: &EntryId) -> Option<Offered> {
        let offered = self.offers.remove(id)?;
        self.touch();
        unlist(&mut self.by_file, &offered.file.id, &(offered.author, *id));
        unlist(&mut self.by_name, &nfc(&offered.file.name), id);
        Some(offered)
    }

    /// An entry by `author`, at this place in the order, ends an offer of that author, which is
    /// returned if it stood.
    pub(super) fn end(
        &mut self,
        author: MemberId,
        id: EntryId,
        order: EntryOrder,
    ) -> Option<Offered> {
        self.ended.entry((author, id)).or_default().insert(order);
        let ends = |offered: &Offered| offered.author == author && offered.order < order;
        if !self.offers.get(&id).is_some_and(ends) {
            return None;
        }
        let offered = self.take(&id)?;
        self.over.insert(id, offered.clone());
        Some(offered)
    }

    /// A fork undid the entry of an offer; returned if it stood.
    pub(super) fn undo_offer(&mut self, id: &EntryId) -> Option<Offered> {
        self.over.remove(id);
        self.take(id)
    }

    /// A fork undid an entry that ends an offer, which stands again if nothing else ends it.
    pub(super) fn undo_end(&mut self, author: MemberId, id: EntryId, order: EntryOrder) {
        unlist(&mut self.ended, &(author, id), &order);
        let over = self.over.get(&id).filter(|of| of.author == author && !self.is_ended(of));
        if over.is_some()
            && let Some(offered) = self.over.remove(&id)
        {
            self.touch();
            self.stand(offered);
        }
    }
}

fn unlist<K: Ord, V: Ord>(lists: &mut BTreeMap<K, BTreeSet<V>>, key: &K, id: &V) {
    if let Some(ids) = lists.get_mut(key) {
        ids.remove(id);
        if ids.is_empty() {
            lists.remove(key);
        }
    }
}

impl Offered {
    /// The file that an entry offers.
    pub(super) fn of(
        entry: &SignedEntry,
        offer: &Offer,
        order: EntryOrder,
        shown: EntryId,
    ) -> Self {
        let file = NamedFile::of(offer);
        Self { id: entry.id, shown, author: entry.body.chain.author, file, order }
    }

    /// Its entry.
    pub(crate) fn id(&self) -> EntryId {
        self.id
    }

    /// The id under which faces know it.
    pub(crate) fn shown(&self) -> EntryId {
        self.shown
    }

    pub(crate) fn author(&self) -> MemberId {
        self.author
    }

    pub(crate) fn file(&self) -> FileId {
        self.file.id
    }

    /// The file under the name that its author gave it.
    pub(crate) fn named_file(&self) -> &NamedFile {
        &self.file
    }

    pub(crate) fn name(&self) -> Untrusted {
        Untrusted::new(&self.file.name)
    }

    /// Its place in the log's order.
    pub(super) fn order(&self) -> EntryOrder {
        self.order
    }

    pub(crate) fn info(&self) -> FileInfo {
        FileInfo { id: self.file.id, name: self.name(), size: self.file.size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::ids::{Digest32, LogNonce};
    use crate::router::signed::Chain;

    const ALICE: MemberId = MemberId([1; 32]);
    const EVE: MemberId = MemberId([2; 32]);

    /// What an entry does; its depth is used as its place in the order.
    #[derive(Debug, Clone, Copy)]
    enum Does {
        /// Makes an offer with this id, replacing that one.
        Offer(u8, Option<u8>),
        /// Withdraws that one.
        Withdraw(u8),
    }

    fn order(author: MemberId, depth: u64) -> EntryOrder {
        (depth, Chain { author, nonce: LogNonce([0; 8]) }, depth)
    }

    fn played(entries: &[(MemberId, u64, Does)], undone: Option<usize>) -> Vec<u8> {
        let mut catalogue = Catalogue::default();
        for (author, depth, does) in entries {
            let (author, order) = (*author, order(*author, *depth));
            match does {
                Does::Offer(id, replaces) => {
                    let offered = Offered {
                        id: EntryId([*id; 32]),
                        shown: EntryId([*id; 32]),
                        author,
                        file: NamedFile {
                            id: FileId([*id; 32]),
                            name: "shot.png".into(),
                            size: 1,
                            root: Digest32::default(),
                            folder: None,
                        },
                        order,
                    };
                    catalogue.insert(offered, replaces.map(|id| EntryId([id; 32])));
                }
                Does::Withdraw(id) => drop(catalogue.end(author, EntryId([*id; 32]), order)),
            }
        }
        if let Some((author, depth, does)) = undone.map(|at| entries[at]) {
            let order = order(author, depth);
            match does {
                Does::Offer(id, replaces) => {
                    let before = replaces.map(|id| EntryId([id; 32]));
                    before.into_iter().for_each(|id| catalogue.undo_end(author, id, order));
                    catalogue.undo_offer(&EntryId([id; 32]));
                }
                Does::Withdraw(id) => catalogue.undo_end(author, EntryId([id; 32]), order),
            }
        }
        let word = FileWord::new("shot.png");
        let named = catalogue.named(&word).map(|offered| offered.id);
        assert!(named.eq(catalogue.offers.keys().copied()));
        assert_eq!(catalogue.by_file.len(), catalogue.offers.len());
        catalogue.offers.keys().map(|id| id.0[0]).collect()
    }

    /// Every order in which the entries can arrive.
    fn permutations<T: Copy>(items: &[T]) -> Vec<Vec<T>> {
        let [first, rest @ ..] = items else { return vec![Vec::new()] };
        let shorter = permutations(rest);
        let with = |at: usize| {
            shorter.iter().map(move |list| [&list[..at], &[*first], &list[at..]].concat())
        };
        (0..items.len()).flat_map(with).collect()
    }

    #[test]
    fn what_stands_follows_from_the_entries_in_whatever_order_they_come() {
        use Does::{Offer, Withdraw};
        for (story, entries, stand) in [
            (
                "one name twice, from one member and from another",
                &[(ALICE, 1, Offer(1, None)), (ALICE, 2, Offer(2, None)), (EVE, 3, Offer(3, None))]
                    [..],
                &[1, 2, 3][..],
            ),
            (
                "a new version of a new version",
                &[
                    (ALICE, 1, Offer(1, None)),
                    (ALICE, 2, Offer(2, Some(1))),
                    (ALICE, 3, Offer(3, Some(2))),
                ],
                &[3],
            ),
            (
                "what was replaced stays so when its successor is taken back",
                &[
                    (ALICE, 1, Offer(1, None)),
                    (ALICE, 2, Offer(2, Some(1))),
                    (ALICE, 3, Withdraw(2)),
                ],
                &[],
            ),
            (
                "somebody else's offer",
                &[
                    (ALICE, 1, Offer(1, None)),
                    (EVE, 2, Offer(2, Some(1))),
                    (EVE, 3, Withdraw(1)),
                    (EVE, 4, Withdraw(2)),
                ],
                &[1],
            ),
            (
                "an offer that comes later in the order, of another chain",
                &[
                    (EVE, 5, Offer(5, None)),
                    (EVE, 2, Offer(2, Some(5))),
                    (EVE, 3, Withdraw(5)),
                    (EVE, 4, Offer(4, Some(4))),
                ],
                &[2, 4, 5],
            ),
        ] {
            for entries in permutations(entries) {
                assert_eq!(played(&entries, None), stand, "{story}: {entries:?}");
                for undone in 0..entries.len() {
                    let mut rest = entries.clone();
                    rest.remove(undone);
                    let without = played(&rest, None);
                    assert_eq!(played(&entries, Some(undone)), without, "{story}: {entries:?}");
                }
            }
        }
    }
}
