//! `cancel`, and what is left of downloads that are not under way: partial files on this disk.
//!
//! A download that is cancelled keeps what is verified for the next time; cancelled once more, or
//! after a restart, its partial file is removed. A partial file knows its content's id only, so
//! one whose offer is gone is named by that.

use std::collections::BTreeSet;

use super::Router;
use super::catalogue::PREFIX_MIN;
use super::event::{Effect, Leftovers};
use super::ids::{FaceId, FileId};
use super::notice::{Code, Failure};
use super::text::{Untrusted, size};

/// Hex digits of an id.
const HEX_DIGITS: usize = 64;
/// Partial files that are listed at the start; more are counted.
const LISTED: usize = 4;

impl Router {
    pub(super) fn cancel(&mut self, face: FaceId, line: u64, wanted: &str) {
        let result = match self.swarm.named(wanted) {
            Some(file) => {
                self.cancel_download(file);
                Ok(())
            }
            None => match self.find_file(wanted, true) {
                Ok(offered) => {
                    self.withdraw(offered.file).map(|()| self.discard_copy(offered.file))
                }
                Err(failure) if failure.code == Code::NoSuchOffer => {
                    return self.cancel_leftover(face, line, wanted);
                }
                Err(failure) => Err(failure),
            },
        };
        self.reply(face, line, "cancel", result);
    }

    /// Neither a download nor an own offer: perhaps there is a partial file of it.
    fn cancel_leftover(&mut self, face: FaceId, line: u64, wanted: &str) {
        let files = self.catalogue.named(wanted);
        let digits = wanted.to_ascii_lowercase();
        let is_prefix = (PREFIX_MIN..=HEX_DIGITS).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let prefix = match (files.len(), files.first()) {
            (1, Some(file)) => file.to_string(),
            (0, _) if is_prefix => digits,
            (0, _) => {
                let result = Err(nothing_of(wanted));
                return self.reply(face, line, "cancel", result);
            }
            _ => {
                let result = Err(ambiguous(wanted, &files));
                return self.reply(face, line, "cancel", result);
            }
        };
        let wanted = wanted.to_owned();
        self.effect(Effect::RemovePart { face, line, wanted, prefix });
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
                let (name, freed) = (Untrusted::new(name), size(bytes));
                self.remark(format!("the partial file of {name} is removed ({freed} freed)"));
                Ok(())
            }
            Ok(None) => Err(nothing_of(wanted)),
            Err(failure) => Err(failure),
        };
        self.reply(face, line, "cancel", result);
    }

    /// Tells what earlier runs left behind, with the way to go on and the way to be rid of it.
    pub(super) fn leftovers_found(&mut self, leftovers: &Leftovers) {
        let Leftovers { folder, files } = leftovers;
        let total: u64 = files.iter().map(|(_, bytes)| bytes).sum();
        let mut listed: Vec<String> = files
            .iter()
            .take(LISTED)
            .map(|(id, bytes)| format!("{id} ({})", size(*bytes)))
            .collect();
        match files.len() {
            0 => return,
            1..=LISTED => {}
            more => listed.push(format!("{} more", more - LISTED)),
        }
        let (count, plural) = (files.len(), if files.len() == 1 { "" } else { "s" });
        let folder = folder.to_string_lossy();
        self.remark(format!(
            "{count} unfinished download{plural} of earlier ({}) in {}: {}; download the same file \
             to go on with it, or cancel <id> to remove it",
            size(total),
            Untrusted::new(&*folder),
            listed.join(", ")
        ));
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

fn ambiguous(wanted: &str, files: &BTreeSet<FileId>) -> Failure {
    let ids: Vec<_> = files.iter().map(FileId::short).collect();
    let (shown, ids) = (Untrusted::new(wanted), ids.join(", "));
    Failure::new(
        Code::AmbiguousName,
        format!("{shown} names several files; give the id instead: {ids}"),
    )
}
