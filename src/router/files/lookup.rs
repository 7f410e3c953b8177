//! Which offers a word means, and what is offered here, given who is present.

use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::{Catalogue, Offered};
use crate::router::ids::{FileId, MemberId};
use crate::router::members::Members;
use crate::router::near::nearest;
use crate::router::notice::{Code, Failure, FileLine};
use crate::router::swarm::Swarm;
use crate::router::text::{Untrusted, few};
use crate::router::word::{FileWord, WordFit, best, digits_apart, nfc};

/// Most offers named one by one.
const NAMED_MAX: usize = 8;
/// How many names are compared with a mistyped one.
const COMPARED_MAX: usize = 1_000;

/// The offers of a room, with regard to who is here and holds what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lookup<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) swarm: &'a Swarm,
    pub(super) members: &'a Members,
    pub(super) me: MemberId,
}

impl<'a> Lookup<'a> {
    /// Hosts of a file among those present.
    pub(super) fn hosts_of(&self, file: &FileId) -> usize {
        self.swarm.hosts_of(file, |member| self.catalogue.offers(member, *file))
    }

    fn is_own(&self, offered: &Offered) -> bool {
        offered.author() == self.me
    }

    /// Whether an offer has a host that is present, or may soon announce itself.
    fn is_candidate(&self, offered: &Offered) -> bool {
        self.is_own(offered)
            || self.members.is_present(&offered.author())
            || self.hosts_of(&offered.file()) > 0
            || self.swarm.may_have_more()
    }

    /// Whether somebody else offers a file with this name.
    pub(crate) fn is_offered_by_others(&self, name: &str) -> bool {
        let word = FileWord::new(name);
        let mut named = self.catalogue.named(&word);
        named.any(|offered| !self.is_own(offered) && self.is_candidate(offered))
    }

    /// The same in the form that faces get.
    pub(crate) fn rows_meant(&self, wanted: Option<&str>) -> Vec<FileLine> {
        self.meant_or_around(wanted).into_iter().map(|offered| self.row(offered)).collect()
    }

    /// What a word means, or else the folders in which it means something: it names them before
    /// its first `/`.
    pub(crate) fn meant_or_around(&self, wanted: Option<&str>) -> Vec<&'a Offered> {
        let meant = self.meant(wanted);
        let folder = wanted.and_then(|word| word.split_once('/')).filter(|_| meant.is_empty());
        let Some((folder, _)) = folder else { return meant };
        let mut around = self.meant(Some(folder));
        around.retain(|offered| offered.named_file().folder.is_some());
        around
    }

    /// The files that a name, a glob or an id means and that can be fetched, in the order in which
    /// they were offered: of others' files those that the word names or matches as a glob, or else
    /// those that this node offers under that name. Without a word, everything that others offer.
    pub(crate) fn meant(&self, wanted: Option<&str>) -> Vec<&'a Offered> {
        let mut meant = match wanted.map(FileWord::new) {
            None => self.catalogue.all().collect(),
            Some(word) => self.fitting(&word),
        };
        meant.retain(|offered| self.is_candidate(offered));
        let (own, mut found): (Vec<_>, Vec<_>) =
            meant.into_iter().partition(|offered| self.is_own(offered));
        if found.is_empty() && wanted.is_some() {
            found = own;
        }
        found.sort_by_key(|offered| offered.order());
        // Equal contents with the same name are one file.
        let mut seen = BTreeSet::new();
        found.retain(|offered| seen.insert((offered.file(), nfc(&offered.named_file().name))));
        found
    }

    /// What a word names, and what it matches as a glob.
    fn fitting(&self, word: &FileWord) -> Vec<&'a Offered> {
        let glob = word.glob();
        if glob.is_none() && word.digits().is_none() {
            return self.catalogue.named(word).collect();
        }
        let matches = |offered: &Offered| {
            glob.as_ref().is_some_and(|glob| glob.matches(&nfc(&offered.named_file().name)))
        };
        let fits = |offered| fit(word, offered).or(matches(offered).then_some(WordFit::Name));
        best(self.catalogue.all().filter_map(|offered| Some((fits(offered)?, offered))))
    }

    /// Says that nobody here offers a file with this name, and which names come closest.
    pub(crate) fn nobody_offers(&self, name: Option<&str>) -> String {
        let Some(name) = name else { return "nobody here offers anything".to_owned() };
        let (shown, word) = (Untrusted::new(name), FileWord::new(name));
        if self.catalogue.named(&word).next().is_some() {
            return format!("{shown} was offered, but nobody who has it is here now");
        }
        let here = self.catalogue.all();
        let here = here.filter(|offered| !self.is_own(offered) && self.is_candidate(offered));
        let here: BTreeSet<&str> = here.map(|offered| offered.named_file().name.as_str()).collect();
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

    /// Which offers a person means: all are of one file. `own`: search only one's own.
    pub(crate) fn find(&self, wanted: &str, own: bool) -> Result<Vec<&'a Offered>, Failure> {
        let (shown, word) = (Untrusted::new(wanted), FileWord::new(wanted));
        let all = || self.catalogue.all().filter(|offered| !own || self.is_own(offered));
        let found = best(all().filter_map(|offered| Some((fit(&word, offered)?, offered))));
        let none_fits = found.is_empty();
        let mut here: Vec<_> =
            found.into_iter().filter(|offered| self.is_candidate(offered)).collect();
        // For equal contents, the first offer's name.
        here.sort_by_key(|offered| offered.order());
        let files: BTreeSet<_> = here.iter().map(|offered| offered.file()).collect();
        match files.len() {
            1 => Ok(here),
            0 if none_fits => {
                let names = all().map(|offered| offered.named_file().name.as_str());
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
                let from = |of: &Offered| self.members.who(&of.author()).marked();
                let whose = here.iter().map(|offered| (offered.file(), from(offered)));
                Err(ambiguous(wanted, whose))
            }
        }
    }

    /// The error for a word that names several of these files, of any member.
    pub(crate) fn ambiguous<'f>(
        &self,
        wanted: &str,
        files: impl IntoIterator<Item = &'f FileId>,
    ) -> Failure {
        let whose = |file: &FileId| {
            let offers = self.catalogue.of_file(*file);
            let authors = offers.map(|offered| self.members.who(&offered.author()).marked());
            let names = few(authors.collect::<BTreeSet<_>>());
            (*file, if names.is_empty() { "nobody any more".to_owned() } else { names })
        };
        ambiguous(wanted, files.into_iter().map(whose))
    }

    /// What is offered, by name.
    pub(crate) fn rows(&self) -> Vec<FileLine> {
        let mut offers: Vec<&Offered> = self.catalogue.all().collect();
        let key = |offered: &&Offered| offered.order();
        offers.sort_by(|one, other| {
            let names = one.named_file().name.cmp(&other.named_file().name);
            names.then_with(|| key(one).cmp(&key(other)))
        });
        offers.into_iter().map(|offered| self.row(offered)).collect()
    }

    /// An offer in the form that faces get.
    pub(crate) fn row(&self, offered: &Offered) -> FileLine {
        let file = offered.file();
        FileLine {
            id: offered.shown(),
            file: offered.info(),
            folder: offered.named_file().folder_info(),
            from: self.members.who(&offered.author()),
            hosts: self.hosts_of(&file),
            own: self.is_own(offered),
            held: self.swarm.holds_all(&file),
            fetching: self.swarm.is_fetching(&file),
            kept: self.swarm.kept_of(&file).min(offered.named_file().size),
        }
    }
}

/// How a word matches an offer, by its name or by an id.
fn fit(word: &FileWord, offered: &Offered) -> Option<WordFit> {
    word.fit(&offered.named_file().name, [&offered.file(), &offered.shown()])
}

/// The error for a word that matches several files: gives each id, and who offers it.
fn ambiguous(wanted: &str, whose: impl Iterator<Item = (FileId, String)>) -> Failure {
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, from) in whose {
        files.entry(file.to_string()).or_default().insert(from);
    }
    // If digits were typed, somebody may also have used more of them as a name.
    let digits = match FileWord::new(wanted).digits() {
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
