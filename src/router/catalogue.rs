//! What is offered in the room, from the log: every offer that stands, whose it is, and which a
//! command means.
//!
//! An offer is known by its entry. It stands until its author takes it back, or offers another in
//! its place; what else its author or anybody else offers, under whatever name and with whatever
//! content, stands beside it. Nobody has a say in the offers of others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Router;
use super::ids::{Digest32, EntryId, FileId, MemberId};
use super::log::Order;
use super::log::order_text;
use super::near::nearest;
use super::notice::{Code, Failure, FileInfo, FileLine, Notice};
use super::signed::{Kind, Offer, SignedEntry};
use super::swarm::NamedFile;
use super::text::{Untrusted, few};
use super::word::{Fit, Word, best, digits_apart, nfc};
use crate::files::merkle;

/// Offers that are named one by one.
const NAMED_MAX: usize = 8;
/// So many names are compared with one that was mistyped.
const COMPARED_MAX: usize = 1_000;

/// An offer that stands.
#[derive(Debug, Clone)]
pub(super) struct Offered {
    pub(super) id: EntryId,
    pub(super) author: MemberId,
    pub(super) file: FileId,
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) root: Digest32,
    order: Order,
}

/// Offers by their entries, and what was taken back.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    offers: BTreeMap<EntryId, Offered>,
    /// Entries that their author took back or replaced, last by this one, whether or not they are
    /// here yet: what comes before that does not stand.
    ended: BTreeMap<(MemberId, EntryId), Order>,
    by_file: BTreeMap<FileId, BTreeSet<(MemberId, EntryId)>>,
    /// By their names in NFC.
    by_name: BTreeMap<String, BTreeSet<EntryId>>,
    /// Counts what may change who can be fetched from: offers, members and hosts that came or
    /// went.
    changes: u64,
}

impl Catalogue {
    pub(super) fn clear(&mut self) {
        *self = Self { changes: self.changes + 1, ..Self::default() };
    }

    /// What a word means may have changed.
    pub(super) fn touch(&mut self) {
        self.changes += 1;
    }

    /// It is worthwhile to look again what a word means, if this is not what it was then.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// The offers of a file that stand, whoever made them: its length and root are the same in all.
    pub(super) fn of_file(&self, file: FileId) -> impl Iterator<Item = &Offered> {
        let ids = self.by_file.get(&file).into_iter().flatten();
        ids.filter_map(|(_, id)| self.offers.get(id))
    }

    /// Any of them.
    pub(super) fn any(&self, file: &FileId) -> Option<&Offered> {
        self.of_file(*file).next()
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

    /// What an author offers.
    pub(super) fn offers_by(&self, author: MemberId) -> impl Iterator<Item = &Offered> {
        self.offers.values().filter(move |offered| offered.author == author)
    }

    /// An offer by its entry.
    pub(super) fn get(&self, id: &EntryId) -> Option<&Offered> {
        self.offers.get(id)
    }

    /// Offers under a name, whether or not anybody who has their files is here.
    fn named(&self, word: &Word) -> impl Iterator<Item = &Offered> {
        let ids = self.by_name.get(word.name()).into_iter().flatten();
        ids.filter_map(|id| self.offers.get(id))
    }

    /// Files that are offered under a name.
    pub(super) fn files_named(&self, word: &Word) -> BTreeSet<FileId> {
        self.named(word).map(|offered| offered.file).collect()
    }

    /// Another offer that stands has this name too, and another content.
    fn is_alike(&self, offered: &Offered) -> bool {
        let word = Word::new(&offered.name);
        self.named(&word).take(COMPARED_MAX).any(|other| other.file != offered.file)
    }

    /// Takes an offer in, and out what it replaces; false if it does not stand.
    fn insert(&mut self, offered: Offered, replaces: Option<EntryId>) -> (bool, Option<Offered>) {
        self.touch();
        let before = replaces.and_then(|id| self.end(offered.author, id, offered.order));
        let ended = self.ended.get(&(offered.author, offered.id));
        if ended.is_some_and(|order| *order > offered.order) {
            return (false, before);
        }
        self.by_file.entry(offered.file).or_default().insert((offered.author, offered.id));
        self.by_name.entry(nfc(&offered.name)).or_default().insert(offered.id);
        (self.offers.insert(offered.id, offered).is_none(), before)
    }

    /// An entry by `author`, at that place in the order, ends an offer of that author; returned if
    /// it stood.
    fn end(&mut self, author: MemberId, id: EntryId, order: Order) -> Option<Offered> {
        let at = self.ended.entry((author, id)).or_insert(order);
        *at = (*at).max(order);
        let ends = |offered: &Offered| offered.author == author && offered.order < order;
        if !self.offers.get(&id).is_some_and(ends) {
            return None;
        }
        let offered = self.offers.remove(&id)?;
        self.touch();
        unlist(&mut self.by_file, &offered.file, &(author, id));
        unlist(&mut self.by_name, &nfc(&offered.name), &id);
        Some(offered)
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
    fn of(entry: &SignedEntry, offer: &Offer, order: Order) -> Self {
        Self {
            id: entry.id,
            author: entry.body.chain.author,
            file: merkle::file_id(offer.size, &offer.root),
            name: offer.name.clone(),
            size: offer.size,
            root: offer.root,
            order,
        }
    }

    /// The file under the name that its author gave it.
    pub(super) fn named_file(&self) -> NamedFile {
        NamedFile { id: self.file, name: self.name.clone(), size: self.size, root: self.root }
    }

    pub(super) fn info(&self) -> FileInfo {
        FileInfo { id: self.file, name: Untrusted::new(&self.name), size: self.size }
    }
}

impl Router {
    pub(super) fn offered(
        &mut self,
        entry: &Arc<SignedEntry>,
        offer: &Offer,
        order: Order,
        again: bool,
        history: bool,
    ) {
        let author = entry.body.chain.author;
        let own = author == self.cx.my_id;
        let again = again || self.members.is_ignored(&author);
        let offered = Offered::of(entry, offer, order);
        let file = offered.info();
        let alike = self.catalogue.is_alike(&offered);
        let (stands, before) = self.catalogue.insert(offered, offer.replaces);
        if own && !self.log.is_own(entry) {
            if let Some(before) = &before {
                self.own_offer_ended(before);
            }
            if stands {
                self.offer_came_back(file.id);
            }
        }
        self.swarm.say_done_with(&mut self.cx, author, file.id);
        let id = self.log.shown(&entry.id);
        if (again && !own) || !stands || id != entry.id {
            return;
        }
        let (from, time_ms) = (self.members.who(&author), entry.body.time_ms);
        let replaces = before.map(|before| self.log.shown(&before.id));
        let order = order_text(order);
        self.cx.notify(Notice::FileOffered {
            id,
            file,
            from,
            time_ms,
            own,
            history,
            replaces,
            order,
            alike,
        });
    }

    pub(super) fn withdrawn(
        &mut self,
        entry: &Arc<SignedEntry>,
        id: EntryId,
        order: Order,
        again: bool,
        history: bool,
    ) {
        let author = entry.body.chain.author;
        let Some(offered) = self.catalogue.end(author, id, order) else { return };
        if author == self.cx.my_id && !self.log.is_own(entry) {
            // Said in an earlier stay, after an offer that was just taken up again.
            self.own_offer_ended(&offered);
        }
        if again || self.members.is_ignored(&author) {
            return;
        }
        let (from, time_ms, own) =
            (self.members.who(&author), entry.body.time_ms, author == self.cx.my_id);
        let (id, file) = (self.log.shown(&offered.id), offered.info());
        let order = order_text(order);
        self.cx.notify(Notice::FileWithdrawn { id, file, from, time_ms, own, history, order });
    }

    /// After a fork some entries count no more.
    pub(super) fn rebuild_catalogue(&mut self, entries: &[Arc<SignedEntry>]) {
        self.catalogue.clear();
        for entry in entries {
            let order = self.log.order_of(entry);
            match &entry.body.kind {
                Kind::Offer(offer) => {
                    self.catalogue.insert(Offered::of(entry, offer, order), offer.replaces);
                }
                Kind::Withdraw(id) => {
                    self.catalogue.end(entry.body.chain.author, *id, order);
                }
                Kind::Text(_) | Kind::Name(_) | Kind::Unknown => {}
            }
        }
    }

    /// Hosts of a file among those present.
    pub(super) fn hosts_of(&self, file: &FileId) -> usize {
        self.swarm.hosts_of(file, |member| self.catalogue.offers(member, *file))
    }

    /// An offer of which a host is present, or may be about to say so.
    fn is_candidate(&self, offered: &Offered) -> bool {
        let Offered { author, file, .. } = offered;
        *author == self.cx.my_id
            || self.members.is_present(author)
            || self.hosts_of(file) > 0
            || self.swarm.may_have_more()
    }

    pub(super) fn is_offered_by_somebody(&self, name: &str) -> bool {
        let word = Word::new(name);
        let mut named = self.catalogue.named(&word);
        named.any(|offered| offered.author != self.cx.my_id && self.is_candidate(offered))
    }

    /// The files that a name, a glob or an id means and that can be fetched, in the order in which
    /// they were offered: of others what the word names, and what it fits as a glob, or else what
    /// this node offers under that name. Without a word, all that others offer.
    pub(super) fn meant_by(&self, wanted: Option<&str>) -> Vec<FileLine> {
        self.meant_offers(wanted).into_iter().map(|offered| self.file_row(offered)).collect()
    }

    /// The same as they stand in the catalogue.
    pub(super) fn meant_offers(&self, wanted: Option<&str>) -> Vec<&Offered> {
        let mut meant = match wanted.map(Word::new) {
            None => self.catalogue.offers.values().collect(),
            Some(word) => self.fitting(&word),
        };
        meant.retain(|offered| self.is_candidate(offered));
        let (own, mut found): (Vec<_>, Vec<_>) =
            meant.into_iter().partition(|offered| offered.author == self.cx.my_id);
        if found.is_empty() && wanted.is_some() {
            found = own;
        }
        found.sort_by_key(|offered| offered.order);
        // Equal contents under one name are one file.
        let mut seen = BTreeSet::new();
        found.retain(|offered| seen.insert((offered.file, nfc(&offered.name))));
        found
    }

    /// What a word names, and what it fits as a glob.
    fn fitting(&self, word: &Word) -> Vec<&Offered> {
        let glob = word.glob();
        if glob.is_none() && word.digits().is_none() {
            return self.catalogue.named(word).collect();
        }
        let fits = |offered: &Offered| {
            let matches = |glob: &glob::Pattern| glob.matches(&nfc(&offered.name));
            let shown = self.log.shown(&offered.id);
            let by_glob = glob.as_ref().is_some_and(matches).then_some(Fit::Name);
            word.fit(&offered.name, [&offered.file, &shown]).or(by_glob)
        };
        let all = self.catalogue.offers.values();
        best(all.filter_map(|offered| Some((fits(offered)?, offered))))
    }

    /// That nobody here offers a file of this name, and what comes closest to it.
    pub(super) fn nobody_offers(&self, name: Option<&str>) -> String {
        let Some(name) = name else { return "nobody here offers anything".to_owned() };
        let (shown, word) = (Untrusted::new(name), Word::new(name));
        if self.catalogue.named(&word).next().is_some() {
            return format!("{shown} was offered, but nobody who has it is here now");
        }
        let here = self
            .catalogue
            .offers
            .values()
            .filter(|offered| offered.author != self.cx.my_id && self.is_candidate(offered));
        let here: BTreeSet<&str> = here.map(|offered| offered.name.as_str()).collect();
        let hint = match nearest(name, here.iter().copied().take(COMPARED_MAX)) {
            Some(near) => format!("did you mean {}?", Untrusted::new(near)),
            None if here.is_empty() => "nothing is offered here".to_owned(),
            None => {
                let names = here.iter().take(NAMED_MAX).map(|name| Untrusted::new(*name).short());
                let mut names: Vec<String> = names.collect();
                if here.len() > NAMED_MAX {
                    names.push(format!("{} more", here.len() - NAMED_MAX));
                }
                format!("offered here: {}", names.join(", "))
            }
        };
        format!("nobody here offers {shown} ({hint})")
    }

    /// What fits a word: among one's `own` offers only, or among all.
    fn meant(&self, word: &Word, own: bool) -> Vec<&Offered> {
        let all = self.catalogue.offers.values();
        best(all.filter(|offered| !own || offered.author == self.cx.my_id).filter_map(|offered| {
            let shown = self.log.shown(&offered.id);
            Some((word.fit(&offered.name, [&offered.file, &shown])?, offered))
        }))
    }

    /// Which offers a person means: all are of one file. `own`: among one's own only.
    pub(super) fn find_offers(&self, wanted: &str, own: bool) -> Result<Vec<Offered>, Failure> {
        let (shown, word) = (Untrusted::new(wanted), Word::new(wanted));
        let found = self.meant(&word, own);
        let none_fits = found.is_empty();
        let mut here: Vec<_> =
            found.into_iter().filter(|offered| self.is_candidate(offered)).collect();
        // Of equal contents the name of whoever offered it first.
        here.sort_by_key(|offered| offered.order);
        let files: BTreeSet<_> = here.iter().map(|offered| offered.file).collect();
        match files.len() {
            1 => Ok(here.into_iter().cloned().collect()),
            0 if none_fits => {
                let all = self.catalogue.offers.values();
                let names = all.filter(|offered| !own || offered.author == self.cx.my_id);
                let names = names.map(|offered| offered.name.as_str());
                let near = nearest(wanted, names.take(COMPARED_MAX));
                let near = near.map_or_else(String::new, |near| {
                    format!(" (did you mean {}?)", Untrusted::new(near))
                });
                let text = format!("nobody offers {shown}{near}: type files to see what there is");
                Err(Failure::new(Code::NoSuchOffer, text))
            }
            0 => {
                let text = format!("{shown} was offered, but nobody who has it is here now");
                Err(Failure::new(Code::NoHost, text))
            }
            _ => {
                let whose = here.iter().map(|o| (o.file, self.members.who(&o.author).marked()));
                Err(ambiguous(wanted, whose))
            }
        }
    }

    pub(super) fn files_notice(&self) -> Notice {
        Notice::Files { list: self.file_rows() }
    }

    /// What is offered, by name.
    pub(super) fn file_rows(&self) -> Vec<FileLine> {
        let mut offers: Vec<&Offered> = self.catalogue.offers.values().collect();
        offers.sort_by(|one, other| (&one.name, one.order).cmp(&(&other.name, other.order)));
        offers.into_iter().map(|offered| self.file_row(offered)).collect()
    }

    pub(super) fn file_row(&self, offered: &Offered) -> FileLine {
        FileLine {
            id: self.log.shown(&offered.id),
            file: offered.info(),
            from: self.members.who(&offered.author),
            hosts: self.hosts_of(&offered.file),
            own: offered.author == self.cx.my_id,
            held: self.swarm.holds_all(&offered.file),
            fetching: self.swarm.is_fetching(&offered.file),
            kept: self.swarm.kept_of(&offered.file).min(offered.size),
        }
    }
}

/// A word that fits several files: each with its id, and who offers it.
pub(super) fn ambiguous(wanted: &str, whose: impl Iterator<Item = (FileId, String)>) -> Failure {
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, from) in whose {
        files.entry(file.to_string()).or_default().insert(from);
    }
    // Where digits were typed, somebody may have given more of them as a name as well.
    let digits = match Word::new(wanted).digits() {
        Some(_) => usize::MAX,
        None => digits_apart(&files.keys().cloned().collect()),
    };
    let choice = |(id, from): (&String, &BTreeSet<String>)| {
        let id = id.get(..digits).unwrap_or(id);
        format!("{id} from {}", few(from.iter().cloned()))
    };
    let more = files.len().saturating_sub(NAMED_MAX);
    let mut choices: Vec<String> = files.iter().take(NAMED_MAX).map(choice).collect();
    choices.extend((more > 0).then(|| format!("{more} more")));
    let (shown, choices) = (Untrusted::new(wanted), choices.join(", "));
    Failure::new(
        Code::AmbiguousName,
        format!("{shown} names several files; give the id instead: {choices}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::ids::LogNonce;
    use crate::router::signed::Chain;

    const ALICE: MemberId = MemberId([1; 32]);
    const EVE: MemberId = MemberId([2; 32]);

    /// What an entry does: the depth of it stands for its place in the order.
    #[derive(Debug, Clone, Copy)]
    enum Does {
        /// Offers under this id, in place of that one.
        Offer(u8, Option<u8>),
        /// Takes that one back.
        Withdraw(u8),
    }

    fn order(author: MemberId, depth: u64) -> Order {
        (depth, Chain { author, nonce: LogNonce([0; 8]) }, depth)
    }

    fn played(entries: &[(MemberId, u64, Does)]) -> Vec<u8> {
        let mut catalogue = Catalogue::default();
        for (author, depth, does) in entries {
            let (author, order) = (*author, order(*author, *depth));
            match does {
                Does::Offer(id, replaces) => {
                    let offered = Offered {
                        id: EntryId([*id; 32]),
                        author,
                        file: FileId([*id; 32]),
                        name: "shot.png".into(),
                        size: 1,
                        root: Digest32::default(),
                        order,
                    };
                    catalogue.insert(offered, replaces.map(|id| EntryId([id; 32])));
                }
                Does::Withdraw(id) => drop(catalogue.end(author, EntryId([*id; 32]), order)),
            }
        }
        let word = Word::new("shot.png");
        let named = catalogue.named(&word).map(|offered| offered.id);
        assert!(named.eq(catalogue.offers.keys().copied()));
        assert_eq!(catalogue.by_file.len(), catalogue.offers.len());
        catalogue.offers.keys().map(|id| id.0[0]).collect()
    }

    /// Every order in which the entries can come.
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
                assert_eq!(played(&entries), stand, "{story}: {entries:?}");
            }
        }
    }

    #[test]
    fn an_ambiguous_word_lists_ids_that_tell_the_files_apart() {
        let (mut one, mut other) = ([0xab; 32], [0xab; 32]);
        (one[6], other[6]) = (1, 2);
        let whose = [(one, "ana"), (other, "eve"), (other, "bob")];
        let whose = whose.into_iter().map(|(id, name)| (FileId(id), name.to_owned()));
        let failure = ambiguous("a.txt", whose);
        let text = "a.txt names several files; give the id instead: abababababab01 from ana, \
                    abababababab02 from bob, eve";
        assert_eq!((failure.code, failure.text.as_str()), (Code::AmbiguousName, text));
    }
}
