//! What is offered in the room, from the log: names, who offers them, and which a command means.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Router;
use super::ids::{Digest32, FileId, MemberId};
use super::log::Order;
use super::near::nearest;
use super::notice::{Code, Failure, FileInfo, FileLine, Notice};
use super::room::order_text;
use super::signed::{Kind, Offer, SignedEntry};
use super::text::Untrusted;
use super::waits::Seen;
use crate::files::merkle;

/// Hex digits of an id prefix, at least.
pub(super) const PREFIX_MIN: usize = 8;
/// Offers that are named one by one.
const NAMED_MAX: usize = 8;
/// So many names are compared with one that was mistyped.
const COMPARED_MAX: usize = 1_000;

/// An offer that stands.
#[derive(Debug, Clone)]
pub(super) struct Offered {
    pub(super) file: FileId,
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) root: Digest32,
    order: Order,
}

/// Offers by author and name, and what was taken back.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    offers: BTreeMap<(MemberId, String), Offered>,
    withdrawn: BTreeMap<(MemberId, FileId), Order>,
    by_file: BTreeMap<FileId, BTreeSet<(MemberId, String)>>,
    pub(super) seen: Seen,
}

impl Catalogue {
    pub(super) fn clear(&mut self) {
        *self = Self { seen: std::mem::take(&mut self.seen), ..Self::default() };
    }

    /// Any standing offer of a file: its length and root are the same in all.
    pub(super) fn any(&self, file: &FileId) -> Option<&Offered> {
        self.offers.get(self.by_file.get(file)?.first()?)
    }

    pub(super) fn offers_of(&self, author: MemberId, file: FileId) -> Option<&Offered> {
        let names = self.by_file.get(&file)?;
        self.offers.get(names.iter().find(|(by, _)| *by == author)?)
    }

    /// What an author offers.
    pub(super) fn offers_by(&self, author: MemberId) -> impl Iterator<Item = &Offered> {
        self.offers.iter().filter(move |((by, _), _)| *by == author).map(|(_, offered)| offered)
    }

    /// What an author offers under a name.
    pub(super) fn named_by(&self, author: MemberId, name: &str) -> Option<FileId> {
        self.offers.get(&(author, name.to_owned())).map(|offered| offered.file)
    }

    /// Files that are or were offered under a name, whether or not anybody who has them is here.
    pub(super) fn named(&self, name: &str) -> BTreeSet<FileId> {
        let named = self.offers.iter().filter(|((_, offered), _)| offered == name);
        named.map(|(_, offered)| offered.file).collect()
    }

    fn insert(&mut self, author: MemberId, offered: Offered) -> bool {
        let key = (author, offered.name.clone());
        let withdrawn = self.withdrawn.get(&(author, offered.file));
        let newer = |order: &Order| *order >= offered.order;
        if withdrawn.is_some_and(newer) || self.offers.get(&key).is_some_and(|o| newer(&o.order)) {
            return false;
        }
        let file = offered.file;
        if let Some(before) = self.offers.insert(key.clone(), offered) {
            self.unlist(before.file, &key);
        }
        self.by_file.entry(file).or_default().insert(key);
        true
    }

    fn withdraw(&mut self, author: MemberId, file: FileId, order: Order) -> Option<Offered> {
        let at = self.withdrawn.entry((author, file)).or_insert(order);
        *at = (*at).max(order);
        let mut taken = None;
        for key in self.by_file.get(&file).cloned().unwrap_or_default() {
            let older = self.offers.get(&key).is_some_and(|offered| offered.order < order);
            if key.0 == author && older {
                taken = self.offers.remove(&key);
                self.unlist(file, &key);
            }
        }
        taken
    }

    fn unlist(&mut self, file: FileId, key: &(MemberId, String)) {
        if let Some(keys) = self.by_file.get_mut(&file) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_file.remove(&file);
            }
        }
    }
}

impl Offered {
    fn of(offer: &Offer, order: Order) -> Self {
        Self {
            file: merkle::file_id(offer.size, &offer.root),
            name: offer.name.clone(),
            size: offer.size,
            root: offer.root,
            order,
        }
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
        let own = author == self.my_id;
        let again = again || self.is_ignored(&author);
        let offered = Offered::of(offer, order);
        let file = offered.info();
        let known = !self.catalogue.insert(author, offered);
        if own && !known && entry.body.chain != self.room.chain {
            self.offer_came_back(file.id);
        }
        if (again && !own) || known || self.room.shown(&entry.id) != entry.id {
            return;
        }
        let (from, time_ms) = (self.who(&author), entry.body.time_ms);
        let order = order_text(order);
        self.notify(Notice::FileOffered { file, from, time_ms, own, history, order });
    }

    pub(super) fn withdrawn(
        &mut self,
        entry: &Arc<SignedEntry>,
        file: FileId,
        order: Order,
        again: bool,
        history: bool,
    ) {
        let author = entry.body.chain.author;
        let Some(offered) = self.catalogue.withdraw(author, file, order) else { return };
        let stands = self.catalogue.offers_of(self.my_id, file).is_some();
        if author == self.my_id && entry.body.chain != self.room.chain && !stands {
            // Said in an earlier stay, after an offer that was just taken up again.
            self.unshare(file);
        }
        if again {
            return;
        }
        let (from, time_ms, own) = (self.who(&author), entry.body.time_ms, author == self.my_id);
        let file = offered.info();
        let order = order_text(order);
        self.notify(Notice::FileWithdrawn { file, from, time_ms, own, history, order });
    }

    /// After a fork some entries count no more.
    pub(super) fn rebuild_catalogue(&mut self, entries: &[Arc<SignedEntry>]) {
        self.catalogue.clear();
        for entry in entries {
            let order = self.room.log.order_of(entry);
            let author = entry.body.chain.author;
            match &entry.body.kind {
                Kind::Offer(offer) => {
                    self.catalogue.insert(author, Offered::of(offer, order));
                }
                Kind::Withdraw(file) => {
                    self.catalogue.withdraw(author, *file, order);
                }
                Kind::Text(_) | Kind::Name(_) | Kind::Unknown => {}
            }
        }
    }

    /// Hosts of a file among those present: linked members that hold some of it, and this node.
    pub(super) fn hosts_of(&self, file: &FileId) -> usize {
        let linked = self.links().filter(|(_, link)| {
            link.hosting
                .get(file)
                .is_some_and(|h| h.held.as_ref().is_none_or(|held| held.count() > 0))
        });
        linked.count() + usize::from(self.sharing.holds_all(file))
    }

    /// An offer of which a host is present, or may be about to say so.
    fn is_candidate(&self, author: &MemberId, offered: &Offered) -> bool {
        *author == self.my_id
            || self.roster.get(author).is_some_and(|member| member.present)
            || self.hosts_of(&offered.file) > 0
    }

    pub(super) fn is_offered_by_somebody(&self, name: &str) -> bool {
        self.catalogue.offers.iter().any(|((author, offered_name), offered)| {
            offered_name == name && *author != self.my_id && self.is_candidate(author, offered)
        })
    }

    /// That nobody here offers a file of this name, and what comes closest to it.
    pub(super) fn nobody_offers(&self, name: &str) -> String {
        let shown = Untrusted::new(name);
        if self.catalogue.offers.keys().any(|(_, offered)| offered == name) {
            return format!("{shown} was offered, but nobody who has it is here now");
        }
        let here = self.catalogue.offers.iter().filter(|((author, _), offered)| {
            *author != self.my_id && self.is_candidate(author, offered)
        });
        let here: BTreeSet<&str> = here.map(|((_, name), _)| name.as_str()).collect();
        let hint = match nearest(name, here.iter().copied().take(COMPARED_MAX)) {
            Some(near) => format!("did you mean {}?", Untrusted::new(near)),
            None if here.is_empty() => "nothing is offered here".to_owned(),
            None => {
                let names = here.iter().take(NAMED_MAX).map(|name| Untrusted::new(*name).line());
                let mut names: Vec<String> = names.collect();
                if here.len() > NAMED_MAX {
                    names.push(format!("{} more", here.len() - NAMED_MAX));
                }
                format!("offered here: {}", names.join(", "))
            }
        };
        format!("nobody here offers {shown} ({hint})")
    }

    /// Which file a person means: exact name first, then a unique id prefix. `own`: among one's
    /// own offers only.
    pub(super) fn find_file(&self, wanted: &str, own: bool) -> Result<Offered, Failure> {
        let all = || {
            self.catalogue
                .offers
                .iter()
                .filter(move |((author, _), _)| !own || *author == self.my_id)
        };
        let named: Vec<_> = all().filter(|((_, name), _)| name == wanted).collect();
        // A whole id can only be meant as one, even where somebody gave a file that name.
        let id = FileId::from_hex(wanted).ok();
        let by_id = || all().filter(|(_, offered)| Some(offered.file) == id).collect::<Vec<_>>();
        let by_prefix = || {
            let digits = wanted.to_ascii_lowercase();
            let hex = digits.len() >= PREFIX_MIN && digits.chars().all(|c| c.is_ascii_hexdigit());
            all()
                .filter(|(_, offered)| hex && offered.file.to_string().starts_with(&digits))
                .collect::<Vec<_>>()
        };
        let found = match by_id() {
            by_id if !by_id.is_empty() => by_id,
            _ if named.is_empty() => by_prefix(),
            _ => named,
        };
        let reachable: Vec<_> =
            found.iter().filter(|((author, _), o)| self.is_candidate(author, o)).collect();
        let files: BTreeSet<_> = reachable.iter().map(|(_, offered)| offered.file).collect();
        let shown = Untrusted::new(wanted);
        let near = || {
            let names = all().map(|((_, name), _)| name.as_str());
            let near = nearest(wanted, names.take(COMPARED_MAX));
            near.map_or_else(String::new, |near| {
                format!(" (did you mean {}?)", Untrusted::new(near))
            })
        };
        match (files.len(), reachable.first()) {
            (1, Some((_, offered))) => Ok((*offered).clone()),
            (0, _) if found.is_empty() => Err(Failure::new(
                Code::NoSuchOffer,
                format!("nobody offers {shown}{}: type files to see what there is", near()),
            )),
            (0, _) => Err(Failure::new(
                Code::NoHost,
                format!("{shown} was offered, but nobody who has it is here now"),
            )),
            _ => {
                let mut choices: Vec<_> = reachable
                    .iter()
                    .map(|((author, _), offered)| {
                        format!("{} from {}", offered.file.short(), self.who(author).marked())
                    })
                    .collect();
                choices.dedup();
                Err(Failure::new(
                    Code::AmbiguousName,
                    format!(
                        "{shown} names several files; give the id instead: {}",
                        choices.join(", ")
                    ),
                ))
            }
        }
    }

    pub(super) fn files_notice(&self) -> Notice {
        Notice::Files { list: self.file_rows() }
    }

    /// What is offered, by name.
    pub(super) fn file_rows(&self) -> Vec<FileLine> {
        let mut lines: BTreeMap<(String, FileId), FileLine> = BTreeMap::new();
        for ((author, name), offered) in &self.catalogue.offers {
            let line = lines.entry((name.clone(), offered.file)).or_insert_with(|| FileLine {
                file: offered.info(),
                from: Vec::new(),
                hosts: self.hosts_of(&offered.file),
                own: false,
                held: self.sharing.holds_all(&offered.file),
                fetching: self.swarm.is_fetching(&offered.file),
            });
            line.from.push(self.who(author));
            line.own |= *author == self.my_id;
        }
        lines.into_values().collect()
    }
}
