//! Looking into folders: their lists are fetched without them, by the same hidden downloads.

use std::collections::VecDeque;

use super::{DOWNLOADS_MAX, NamedFile, Portion, Swarm};
use crate::router::context::Context;
use crate::router::event::Effect;
use crate::router::ids::{FaceId, FileId};
use crate::router::notice::{Code, Failure};
use crate::router::signed::FolderSummary;

/// Lists of folders that are not here, kept for the next look: so many, with so many bytes.
const KEPT: usize = 4;
const KEPT_BYTES: u64 = 1 << 25;
/// Looks of one face that wait for lists.
const WAITING_EACH: usize = 64;
/// Bytes of the longest path that is looked for: more than any has in a list.
const PATH_MAX_BYTES: usize = 4_096;

/// Somebody wants to know what is in a folder.
#[derive(Debug)]
pub(crate) struct FolderLook {
    pub(crate) face: FaceId,
    pub(crate) line: u64,
    pub(crate) folder: NamedFile,
    /// Where in it.
    pub(crate) path: String,
}

impl FolderLook {
    fn is_for(&self, manifest: FileId) -> bool {
        self.folder.folder.is_some_and(|of| of.manifest == manifest)
    }
}

/// Who waits for the list of a folder, and which lists are here for nothing else.
#[derive(Debug, Default)]
pub(super) struct FolderLooks {
    waiting: Vec<FolderLook>,
    /// With their lengths, the latest last.
    kept: VecDeque<(FileId, u64)>,
}

impl FolderLooks {
    fn take(&mut self, manifest: FileId) -> Vec<FolderLook> {
        self.waiting.extract_if(.., |look| look.is_for(manifest)).collect()
    }

    /// The room is left: nothing is kept any more.
    pub(super) fn forget_kept(&mut self) {
        self.kept.clear();
    }
}

impl Swarm {
    /// Somebody wants to know what is in a folder, whose list is fetched if it is not here.
    pub(crate) fn look_inside(&mut self, cx: &mut Context, look: FolderLook) {
        let Some(of) = look.folder.folder else { return };
        if look.path.len() > PATH_MAX_BYTES {
            let failure = Failure::new(Code::NothingMatches, "no path in a folder is so long");
            return cx.reply(look.face, look.line, "files", Err(failure));
        }
        let waiting = self.looks.waiting.iter().filter(|other| other.face == look.face);
        if waiting.count() >= WAITING_EACH {
            let text = format!("{WAITING_EACH} looks into folders wait for their lists: wait, too");
            let failure = Failure::new(Code::IoError, text);
            return cx.reply(look.face, look.line, "files", Err(failure));
        }
        let here = self.holds_all(&of.manifest) || self.downloads.contains_key(&of.manifest);
        if !here && self.downloads.len() >= DOWNLOADS_MAX {
            let text = format!("{DOWNLOADS_MAX} downloads are running: wait for one to end");
            let failure = Failure::new(Code::IoError, text);
            return cx.reply(look.face, look.line, "files", Err(failure));
        }
        self.looks.waiting.push(look);
        self.look_on(cx, of.manifest);
    }

    /// The list of a folder is here, or it is fetched for those who wait for it.
    pub(super) fn look_on(&mut self, cx: &mut Context, manifest: FileId) {
        let Some(look) = self.looks.waiting.iter().find(|look| look.is_for(manifest)) else {
            return;
        };
        if !self.holds_all(&manifest) {
            let folder = look.folder.clone();
            return self.begin_hidden(cx, &folder);
        }
        for FolderLook { face, line, folder, path } in self.looks.take(manifest) {
            let folder = folder.info();
            cx.effect(Effect::ListFolder { face, line, folder, manifest, path });
        }
    }

    /// The list of a folder that nobody downloads is here, and says so much.
    pub(super) fn looked_inside(
        &mut self,
        cx: &mut Context,
        manifest: FileId,
        summary: FolderSummary,
        is_offered: bool,
    ) {
        let then = self.downloads.remove(&manifest).map(|manifest| manifest.then);
        self.choice.end(&manifest);
        let (mut bytes, mut liars) = (0, Vec::new());
        for look in self.looks.take(manifest) {
            bytes = look.folder.folder.map_or(0, |of| of.manifest_bytes);
            match is_offered || look.folder.to_offer().folder == Some(summary) {
                true => self.looks.waiting.push(look),
                false => liars.push(look),
            }
        }
        for FolderLook { face, line, folder, .. } in liars {
            cx.reply(face, line, "files", Err(folder.other_files()));
        }
        self.share(cx, manifest, Portion::Whole);
        self.looks.kept.push_back((manifest, bytes));
        self.look_on(cx, manifest);
        for request in then.into_iter().flatten() {
            self.enqueue_answered(cx, request);
        }
        let too_many = |kept: &VecDeque<(FileId, u64)>| {
            kept.len() > KEPT || kept.iter().map(|(_, bytes)| bytes).sum::<u64>() > KEPT_BYTES
        };
        while self.looks.kept.len() > 1 && too_many(&self.looks.kept) {
            let Some((old, _)) = self.looks.kept.pop_front() else { return };
            let is_needed = self.manifests.values().any(|of| *of == old);
            if !is_needed && old != manifest && !self.is_fetching(&old) {
                self.unshare(cx, old);
            }
        }
    }

    /// The list of a folder that nobody downloads does not come.
    pub(super) fn end_look(&mut self, cx: &mut Context, manifest: FileId, failure: &Failure) {
        for FolderLook { face, line, .. } in self.looks.take(manifest) {
            cx.reply(face, line, "files", Err(failure.clone()));
        }
        let Some(download) = self.downloads.remove(&manifest) else { return };
        self.choice.end(&manifest);
        cx.effect(Effect::DropPart { file: manifest, turn: download.turn });
        if !self.holds_all(&manifest) {
            self.unshare(cx, manifest);
        }
        for request in download.then {
            self.enqueue_answered(cx, request);
        }
    }

    /// Nobody can look into anything now.
    pub(super) fn fail_looks(&mut self, cx: &mut Context, failure: &Failure) {
        for FolderLook { face, line, .. } in std::mem::take(&mut self.looks.waiting) {
            cx.reply(face, line, "files", Err(failure.clone()));
        }
        self.end_idle_looks(cx, failure);
    }

    /// A face ended, and wants to see nothing more.
    pub(super) fn end_looks_of(&mut self, cx: &mut Context, face: FaceId) {
        self.looks.waiting.retain(|look| look.face != face);
        let failure = Failure::new(Code::Cancelled, "nobody waits for the list any more");
        self.end_idle_looks(cx, &failure);
    }

    /// Ends downloads of lists that nobody waits for.
    fn end_idle_looks(&mut self, cx: &mut Context, failure: &Failure) {
        let hidden = self.downloads.iter().filter_map(|(id, of)| Some((*id, of.part_of?)));
        let idle = hidden.filter(|(manifest, folder)| {
            !self.is_fetching(folder)
                && !self.looks.waiting.iter().any(|look| look.is_for(*manifest))
        });
        for (manifest, _) in idle.collect::<Vec<_>>() {
            self.end_look(cx, manifest, failure);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::event::PartState;
    use crate::router::ids::Digest32;
    use crate::router::signed::Offer;

    const SUMMARY: FolderSummary = FolderSummary { files: 3, bytes: 300, units: 3 };

    /// Somebody who looks into folders.
    struct Looker {
        cx: Context,
        swarm: Swarm,
    }

    impl Looker {
        fn new() -> Self {
            Self { cx: Context::of_test("ada", 1), swarm: Swarm::default() }
        }

        /// Looks into the folder with this number; gives its manifest.
        fn looks(&mut self, number: u8, line: u64) -> FileId {
            let (name, folder) = ("photos".to_owned(), Some(SUMMARY));
            let root = Digest32([number; 32]);
            let offer = Offer { name, size: 100, root, folder, replaces: None };
            let (face, folder) = (FaceId::TERMINAL, NamedFile::of(&offer));
            let manifest = folder.folder.unwrap().manifest;
            let look = FolderLook { face, line, folder, path: "2024".to_owned() };
            self.swarm.look_inside(&mut self.cx, look);
            manifest
        }

        /// What became of the looks: listed, or not for this reason.
        fn ends(&mut self) -> Vec<(u64, Option<Code>)> {
            let end = |effect| match effect {
                Effect::ListFolder { line, path, .. } if path == "2024" => Some((line, None)),
                Effect::Reply { line, result, .. } => Some((line, Some(result.unwrap_err().code))),
                _ => None,
            };
            self.cx.take_effects().into_iter().filter_map(end).collect()
        }

        /// The manifest is here.
        fn reads(&mut self, manifest: FileId, summary: FolderSummary) {
            let turn = self.swarm.downloads.get(&manifest).unwrap().turn;
            let opened = Ok(PartState::Complete);
            self.swarm.part_opened(&mut self.cx, (manifest, turn), opened);
            self.swarm.looked_inside(&mut self.cx, manifest, summary, false);
        }
    }

    #[test]
    fn a_list_is_fetched_once_for_all_who_look_and_a_few_are_kept() {
        let mut ada = Looker::new();
        let manifest = ada.looks(1, 1);
        assert_eq!(ada.looks(1, 2), manifest);
        assert_eq!(ada.ends(), []);
        ada.reads(manifest, SUMMARY);
        assert_eq!(ada.ends(), [(1, None), (2, None)]);
        ada.looks(1, 3);
        assert_eq!(ada.ends(), [(3, None)]);
        assert!(ada.swarm.is_idle() && ada.swarm.holds_all(&manifest));
        for number in 2..6 {
            let other = ada.looks(number, 4);
            ada.reads(other, SUMMARY);
        }
        assert!(!ada.swarm.holds_all(&manifest));
    }

    #[test]
    fn who_looks_hears_why_nothing_comes() {
        let mut ada = Looker::new();
        let manifest = ada.looks(1, 1);
        ada.reads(manifest, FolderSummary { files: 4, ..SUMMARY });
        assert_eq!(ada.ends(), [(1, Some(Code::BadManifest))]);
        let manifest = ada.looks(2, 2);
        let failure = Failure::new(Code::NoHost, "nobody");
        ada.swarm.fail_download(&mut ada.cx, manifest, failure.clone());
        assert_eq!(ada.ends(), [(2, Some(Code::NoHost))]);
        ada.looks(2, 3);
        ada.swarm.fail_all(&mut ada.cx, &failure);
        assert_eq!(ada.ends(), [(3, Some(Code::NoHost))]);
        ada.looks(3, 4);
        assert!(!ada.swarm.is_idle());
        ada.swarm.end_face(&mut ada.cx, FaceId::TERMINAL);
        assert!(ada.swarm.is_idle() && ada.ends().is_empty());
    }
}
