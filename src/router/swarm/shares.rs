//! Which files this node holds, whole or in part, and which it will not fetch.

use std::collections::{BTreeMap, BTreeSet};

use crate::router::ids::FileId;
use crate::router::message::Done;

/// Most files that were passed on and are remembered.
const PASSED_MAX: usize = 65_536;

/// How much of a file is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Portion {
    Whole,
    /// The chunks that its download has: see the choice's picker.
    Part,
}

/// What is served here.
#[derive(Debug, Default)]
pub(super) struct Shares {
    files: BTreeMap<FileId, Portion>,
    /// Manifests of folders, all of them here. Somebody may share the same as a file.
    manifests: BTreeSet<FileId>,
    /// This program only gives: nobody waits for it to fetch anything.
    only_gives: bool,
    /// Files that were fetched and passed on, and are no longer here.
    passed: BTreeSet<FileId>,
}

impl Shares {
    /// Files and folders as somebody shares or fetches them, without manifests.
    pub(super) fn plain(&self) -> impl Iterator<Item = FileId> {
        self.files.keys().copied()
    }

    pub(super) fn files(&self) -> impl Iterator<Item = FileId> {
        let manifests = self.manifests.iter().filter(|file| !self.files.contains_key(file));
        self.plain().chain(manifests.copied())
    }

    pub(super) fn portion(&self, file: &FileId) -> Option<Portion> {
        match self.manifests.contains(file) {
            true => Some(Portion::Whole),
            false => self.files.get(file).copied(),
        }
    }

    /// All of a manifest is here.
    pub(super) fn share_manifest(&mut self, file: FileId) {
        self.passed.remove(&file);
        // What there was of it before was for its folder.
        if self.files.get(&file) == Some(&Portion::Part) {
            self.files.remove(&file);
        }
        self.manifests.insert(file);
    }

    /// Says whether it was shared as a manifest.
    pub(super) fn remove_manifest(&mut self, file: &FileId) -> bool {
        self.manifests.remove(file)
    }

    pub(super) fn share(&mut self, file: FileId, portion: Portion) {
        self.passed.remove(&file);
        self.files.insert(file, portion);
    }

    pub(super) fn remove(&mut self, file: &FileId) -> bool {
        self.files.remove(file).is_some()
    }

    /// A file was fetched, passed on, and is not kept.
    pub(super) fn pass_on(&mut self, file: FileId) {
        if self.passed.len() >= PASSED_MAX {
            self.passed.pop_first();
        }
        self.passed.insert(file);
    }

    pub(super) fn only_give(&mut self) {
        self.only_gives = true;
    }

    /// Why a file that is not here will not be fetched, if so.
    pub(super) fn done_with(&self, file: &FileId) -> Option<Done> {
        if self.portion(file).is_some() {
            None
        } else if self.passed.contains(file) {
            Some(Done::Fetched)
        } else {
            self.only_gives.then_some(Done::Declined)
        }
    }

    /// The room was left, and nothing of it is served any more; returns what was.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = FileId> + use<> {
        self.passed.clear();
        self.manifests.clear();
        std::mem::take(&mut self.files).into_keys()
    }
}
