//! `cancel`: a download, a file being hashed, an own offer, or a partial file.
//!
//! A cancelled download keeps its verified chunks for the next time; cancelled again, or after a
//! restart, its partial file is removed.

use crate::router::Router;
use crate::router::event::Effect;
use crate::router::files::Offered;
use crate::router::ids::{FaceId, FileId};
use crate::router::notice::{Code, Failure};
use crate::router::text::Untrusted;
use crate::router::word::FileWord;

impl Router {
    pub(crate) fn cancel(&mut self, (face, line): (FaceId, u64), wanted: &str) {
        let word = FileWord::new(wanted);
        let downloads = match self.swarm.named(&word) {
            // By an offer's id.
            downloads if downloads.is_empty() => self.fetched_by_offer(wanted),
            downloads => downloads,
        };
        let result = match downloads.as_slice() {
            [file] => {
                self.swarm.cancel(&mut self.cx, *file);
                Ok(())
            }
            [] if self.files.hashing().cancel(&mut self.cx, &word) => Ok(()),
            [] => match self.own_offers_meant(wanted) {
                Ok(offers) => self.withdraw(&offers),
                Err(failure) if failure.code == Code::NoSuchOffer => {
                    match self.leftover_meant(wanted, &word) {
                        Ok(prefix) => {
                            let wanted = wanted.to_owned();
                            let remove = Effect::RemovePart { face, line, wanted, prefix };
                            return self.cx.effect(remove);
                        }
                        Err(failure) => Err(failure),
                    }
                }
                Err(failure) => Err(failure),
            },
            several => Err(self.lookup().ambiguous(wanted, several)),
        };
        self.cx.reply(face, line, "cancel", result);
    }

    fn own_offers_meant(&self, wanted: &str) -> Result<Vec<Offered>, Failure> {
        let found = self.lookup().find(wanted, true)?;
        Ok(found.into_iter().cloned().collect())
    }

    /// The download of the file in the offer with that id.
    fn fetched_by_offer(&self, wanted: &str) -> Vec<FileId> {
        let found = self.lookup().find(wanted, false);
        let by_id = |of: &&Offered| FileWord::new(wanted).fit("", [&of.shown()]).is_some();
        let files = found.unwrap_or_default().into_iter().filter(by_id).map(Offered::file);
        files.filter(|file| self.swarm.is_fetching(file)).take(1).collect()
    }

    /// Neither a download nor an own offer: perhaps it has a partial file. Returns the first digits
    /// of its id, if they are known.
    fn leftover_meant(&self, wanted: &str, word: &FileWord) -> Result<Option<String>, Failure> {
        let files = self.files.files_named(word);
        match (files.len(), files.first()) {
            (1, Some(file)) => Ok(Some(file.to_string())),
            (0, _) => Ok(word.digits().map(str::to_owned)),
            _ => Err(self.lookup().ambiguous(wanted, &files)),
        }
    }

    /// [`Effect::RemovePart`] is done.
    pub(crate) fn part_removed(
        &mut self,
        (face, line): (FaceId, u64),
        wanted: &str,
        result: Result<Option<u64>, Failure>,
    ) {
        let result = match result {
            Ok(Some(bytes)) => {
                // A page names files by id, which tells people nothing.
                let file = FileId::from_hex(wanted).ok();
                let known = file.and_then(|file| self.files.any(&file));
                let name = known.map_or(wanted, |offered| &offered.named_file().name);
                self.swarm.leftover_removed(&mut self.cx, wanted, (name, bytes));
                Ok(())
            }
            Ok(None) => {
                let text = format!(
                    "no download or offer of yours is called {}, and there is no partial file of \
                     it",
                    Untrusted::new(wanted)
                );
                Err(Failure::new(Code::NoSuchOffer, text))
            }
            Err(failure) => Err(failure),
        };
        self.cx.reply(face, line, "cancel", result);
    }
}
