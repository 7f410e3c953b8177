//! `cancel`, and what is left of downloads that are not under way: partial files on this disk.
//!
//! A download that is cancelled keeps what is verified for the next time; cancelled once more, or
//! after a restart, its partial file is removed. A partial file knows the first digits of its
//! content's id and the name under which it was begun, so one whose offer is gone is named by
//! these.

use std::collections::BTreeSet;

use super::Router;
use super::catalogue::{Offered, ambiguous};
use super::event::Effect;
use super::ids::{FaceId, FileId};
use super::notice::{Code, Failure};
use super::text::{Untrusted, few};
use super::word::Word;

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
                self.swarm.cancel(&mut self.cx, *file);
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
                // A page names files by their ids, which tell people nothing.
                let file = FileId::from_hex(wanted).ok();
                let known = file.and_then(|file| self.catalogue.any(&file));
                let name = known.map_or(wanted, |offered| &offered.name);
                self.swarm.leftover_removed(&mut self.cx, wanted, (name, bytes));
                Ok(())
            }
            Ok(None) => Err(nothing_of(wanted)),
            Err(failure) => Err(failure),
        };
        self.cx.reply(face, line, "cancel", result);
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
