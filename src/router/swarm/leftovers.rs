//! Partial files that earlier runs left on this disk.
//!
//! A partial file records the first digits of its content's id and the name under which it was
//! started, so one without an offer is named by these.

use std::collections::BTreeMap;

use crate::router::event::{Leftover, Leftovers};
use crate::router::ids::FileId;
use crate::router::text::{Untrusted, size};
use crate::router::word::FileWord;

/// Most partial files listed at the start; further ones are counted.
const LISTED: usize = 4;

/// Partial files that no download of this run uses.
#[derive(Debug, Default)]
pub(super) struct PartialFiles {
    /// By the first digits of the files' ids.
    by_id: BTreeMap<String, Leftover>,
}

impl PartialFiles {
    pub(super) fn found(leftovers: Leftovers) -> Self {
        let by_id = leftovers.files.into_iter().map(|left| (left.id.clone(), left));
        Self { by_id: by_id.collect() }
    }

    /// How many bytes are left from a download of this file.
    pub(super) fn bytes_of(&self, file: &FileId) -> u64 {
        if self.by_id.is_empty() {
            return 0;
        }
        let id = file.to_string();
        let last = self.by_id.range(..=id.clone()).next_back();
        last.filter(|(digits, _)| id.starts_with(*digits)).map_or(0, |(_, left)| left.bytes)
    }

    /// A partial file is removed, or now belongs to a download of this run.
    pub(super) fn forget(&mut self, wanted: &str) {
        let word = FileWord::new(wanted);
        let is_of = |id: &str| {
            word.digits().is_some_and(|typed| typed.starts_with(id) || id.starts_with(typed))
        };
        // The name of a folder ends with a slash, which nobody has to type.
        let is_name =
            |of: &str| word.is_name(of) || of.strip_suffix('/').is_some_and(|of| word.is_name(of));
        let is_called = |left: &Leftover| left.name.as_deref().is_some_and(is_name);
        self.by_id.retain(|id, left| !is_of(id) && !is_called(left));
    }
}

/// Reports what earlier runs left behind, with how to continue it and how to remove it.
pub(super) fn describe(leftovers: &Leftovers) -> Option<String> {
    let Leftovers { folder, files } = leftovers;
    let total: u64 = files.iter().map(|left| left.bytes).sum();
    let named = |left: &Leftover| {
        // Several may have one name, and only ids tell them apart.
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
        0 => return None,
        1..=LISTED => {}
        more => listed.push(format!("{} more", more - LISTED)),
    }
    let (count, plural) = (files.len(), if files.len() == 1 { "" } else { "s" });
    let folder = folder.to_string_lossy();
    Some(format!(
        "{count} unfinished download{plural} of earlier ({}) in {}: {}; download the same file to \
         go on with it, or cancel <name or id> to remove it",
        size(total),
        Untrusted::new(&*folder).line(),
        listed.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_left_is_named_with_its_slash_or_without() {
        let left = |id: &str, name: &str| Leftover {
            id: id.to_owned(),
            name: Some(name.to_owned()),
            bytes: 7,
        };
        let files = vec![left("abababababababab", "photos/"), left("cdcdcdcdcdcdcdcd", "photo")];
        for name in ["photos", "photos/", "abababababababab"] {
            let folder = std::path::PathBuf::from("downloads");
            let mut partial = PartialFiles::found(Leftovers { folder, files: files.clone() });
            assert_eq!(partial.bytes_of(&FileId([0xab; 32])), 7);
            partial.forget(name);
            assert_eq!(partial.bytes_of(&FileId([0xab; 32])), 0, "{name}");
            assert_eq!(partial.bytes_of(&FileId([0xcd; 32])), 7);
        }
    }
}
