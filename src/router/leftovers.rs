//! `cancel`, and what is left of downloads that are not under way: partial files on this disk.
//!
//! A download that is cancelled keeps what is verified for the next time; cancelled once more, or
//! after a restart, its partial file is removed. A partial file knows the first digits of its
//! content's id and the name under which it was begun, so one whose offer is gone is named by
//! these.

use std::collections::BTreeSet;

use super::Router;
use super::catalogue::{Offered, ambiguous};
use super::event::{Effect, Leftover, Leftovers};
use super::ids::{FaceId, FileId};
use super::notice::{Code, Failure};
use super::text::{Untrusted, few, size};
use super::word::Word;

/// Partial files that are listed at the start; more are counted.
const LISTED: usize = 4;

impl Router {
    pub(super) fn cancel(&mut self, face: FaceId, line: u64, wanted: &str) {
        let word = Word::new(wanted);
        let downloads = match self.swarm.named(&word) {
            // By the id of an offer.
            downloads if downloads.is_empty() => self.fetched_by_offer(wanted),
            downloads => downloads,
        };
        let result = match downloads.as_slice() {
            [file] => {
                self.cancel_download(*file);
                Ok(())
            }
            [] if self.cancel_hashing(&word) => Ok(()),
            [] => match self.find_offers(wanted, true) {
                Ok(offers) => self.withdraw(&offers),
                Err(failure) if failure.code == Code::NoSuchOffer => {
                    return self.cancel_leftover(face, line, wanted, &word);
                }
                Err(failure) => Err(failure),
            },
            several => Err(self.ambiguous_files(wanted, several)),
        };
        self.cx.reply(face, line, "cancel", result);
    }

    fn ambiguous_files<'f>(
        &self,
        wanted: &str,
        files: impl IntoIterator<Item = &'f FileId>,
    ) -> Failure {
        let whose = |file: &FileId| {
            let offers = self.catalogue.of_file(*file);
            let authors = offers.map(|offered| self.members.who(&offered.author).marked());
            let names = few(authors.collect::<BTreeSet<_>>());
            (*file, if names.is_empty() { "nobody any more".to_owned() } else { names })
        };
        ambiguous(wanted, files.into_iter().map(whose))
    }

    /// The download of what an offer of that id is of.
    fn fetched_by_offer(&self, wanted: &str) -> Vec<FileId> {
        let found = self.find_offers(wanted, false).unwrap_or_default();
        let by_id = |offered: &&Offered| {
            let shown = self.log.shown(&offered.id);
            Word::new(wanted).fit("", [&shown]).is_some()
        };
        let files = found.iter().filter(by_id).map(|offered| offered.file);
        files.filter(|file| self.swarm.is_fetching(file)).take(1).collect()
    }

    /// Neither a download nor an own offer: perhaps there is a partial file of it.
    fn cancel_leftover(&mut self, face: FaceId, line: u64, wanted: &str, word: &Word) {
        let files = self.catalogue.files_named(word);
        let prefix = match (files.len(), files.first()) {
            (1, Some(file)) => Some(file.to_string()),
            (0, _) => word.digits().map(str::to_owned),
            _ => {
                let result = Err(self.ambiguous_files(wanted, &files));
                return self.cx.reply(face, line, "cancel", result);
            }
        };
        let wanted = wanted.to_owned();
        self.cx.effect(Effect::RemovePart { face, line, wanted, prefix });
    }

    pub(super) fn part_removed(
        &mut self,
        face: FaceId,
        line: u64,
        wanted: &str,
        result: Result<Option<u64>, Failure>,
    ) {
        let result = match result {
            Ok(Some(bytes)) => {
                self.forget_leftover(wanted);
                // A page names files by their ids, which tell people nothing.
                let file = FileId::from_hex(wanted).ok();
                let known = file.and_then(|file| self.catalogue.any(&file));
                let name = known.map_or(wanted, |offered| &offered.name);
                let (name, freed) = (Untrusted::new(name), size(bytes));
                self.cx.remark(format!("the partial file of {name} is removed ({freed} freed)"));
                Ok(())
            }
            Ok(None) => Err(nothing_of(wanted)),
            Err(failure) => Err(failure),
        };
        self.cx.reply(face, line, "cancel", result);
    }

    /// Tells what earlier runs left behind, with the way to go on and the way to be rid of it.
    pub(super) fn leftovers_found(&mut self, leftovers: Leftovers) {
        let Leftovers { folder, files } = &leftovers;
        let total: u64 = files.iter().map(|left| left.bytes).sum();
        let named = |left: &Leftover| {
            // Of one name there may be several, and only ids tell them apart.
            let same = files.iter().filter(|other| other.name == left.name).count();
            let (id, bytes) = (&left.id, size(left.bytes));
            match left.name.as_ref().map(Untrusted::new) {
                Some(name) if same == 1 => format!("{name} ({bytes})"),
                Some(name) => format!("{name} ({id}, {bytes})"),
                None => format!("{id} ({bytes})"),
            }
        };
        let mut most: Vec<&Leftover> = files.iter().collect();
        most.sort_by_key(|left| std::cmp::Reverse(left.bytes));
        let mut listed: Vec<String> = most.into_iter().take(LISTED).map(named).collect();
        match files.len() {
            0 => return,
            1..=LISTED => {}
            more => listed.push(format!("{} more", more - LISTED)),
        }
        let (count, plural) = (files.len(), if files.len() == 1 { "" } else { "s" });
        let folder = folder.to_string_lossy();
        self.cx.remark(format!(
            "{count} unfinished download{plural} of earlier ({}) in {}: {}; download the same file \
             to go on with it, or cancel <name or id> to remove it",
            size(total),
            Untrusted::new(&*folder).line(),
            listed.join(", ")
        ));
        let by_id = leftovers.files.into_iter().map(|left| (left.id.clone(), left));
        self.leftovers = by_id.collect();
    }

    /// Bytes that an earlier run left of a download of this file.
    pub(super) fn kept_of(&self, file: &FileId) -> u64 {
        if self.leftovers.is_empty() {
            return 0;
        }
        let id = file.to_string();
        let last = self.leftovers.range(..=id.clone()).next_back();
        last.filter(|(digits, _)| id.starts_with(*digits)).map_or(0, |(_, left)| left.bytes)
    }

    /// Its partial file is removed, or belongs to a download of this run.
    pub(super) fn forget_leftover(&mut self, wanted: &str) {
        let word = Word::new(wanted);
        let is_of = |id: &str| {
            word.digits().is_some_and(|typed| typed.starts_with(id) || id.starts_with(typed))
        };
        let is_called = |left: &Leftover| left.name.as_deref().is_some_and(|of| word.is_name(of));
        self.leftovers.retain(|id, left| !is_of(id) && !is_called(left));
    }
}

fn nothing_of(wanted: &str) -> Failure {
    let shown = Untrusted::new(wanted);
    Failure::new(
        Code::NoSuchOffer,
        format!(
            "neither a download nor an offer of yours is called {shown}, and no part of it is here"
        ),
    )
}
