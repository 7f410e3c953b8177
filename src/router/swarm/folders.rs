//! Downloads of folders: first the manifest, by a download of its own that nobody is told of, then
//! the units. Those of long files wait for the file's list of chunk hashes.

use core::ops::Range;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Choice, Download, DownloadStage, NamedFile, Swarm};
use crate::router::bitmap::Bitmap;
use crate::router::context::Context;
use crate::router::event::{Effect, FetchError, ReadManifest};
use crate::router::ids::{ConnId, FileId, MemberId};
use crate::router::layout::{Layout, ListedUnits};
use crate::router::members::Members;
use crate::router::notice::Failure;
use crate::router::signed::FolderSummary;
use crate::router::time::Millis;

/// Lists of one folder that are asked for at a time.
const LISTS_AT_ONCE: usize = 16;
/// Lists that are looked at for a host at a time.
const LISTS_LOOKED_AT: usize = 64;
/// Time after which another host is asked for a list as well.
const LIST_MS: u64 = 1_000;

/// The lists of chunk hashes that a folder still needs, by the entries of their files.
#[derive(Debug, Default)]
pub(super) struct FolderLists {
    waiting: BTreeMap<u32, Range<u32>>,
    asked: BTreeMap<u32, AskedList>,
    /// Where to look next for one that somebody has, and when that was done last.
    next: u32,
    looked: Millis,
}

/// A list that was asked for.
#[derive(Debug)]
struct AskedList {
    units: Range<u32>,
    lanes: BTreeSet<ConnId>,
    at: Millis,
}

impl FolderLists {
    /// Nothing is to come over a lane any more.
    pub(super) fn lane_gone(&mut self, conn: ConnId) {
        let entries: Vec<u32> = self.asked.keys().copied().collect();
        entries.into_iter().for_each(|entry| self.unanswered(entry, conn));
    }

    /// A list did not come over a lane; if it comes over no other, it waits again.
    fn unanswered(&mut self, entry: u32, conn: ConnId) {
        let Some(list) = self.asked.get_mut(&entry) else { return };
        list.lanes.remove(&conn);
        if list.lanes.is_empty()
            && let Some(list) = self.asked.remove(&entry)
        {
            self.waiting.insert(entry, list.units);
        }
    }

    /// When to ask others for what takes long, or to look at further ones.
    pub(super) fn due(&self) -> Option<Millis> {
        let again = (!self.waiting.is_empty()).then(|| self.looked.plus(LIST_MS));
        self.asked.values().map(|list| list.at.plus(LIST_MS)).min().or(again)
    }

    /// The lists that may be asked for now: those that take long, then some that wait.
    fn to_ask(&self, now: Millis) -> Vec<(u32, Range<u32>)> {
        let late = self.asked.iter().filter(|(_, list)| now.since(list.at) >= LIST_MS);
        let late = late.map(|(entry, list)| (*entry, list.units.clone()));
        let most = match LISTS_AT_ONCE.saturating_sub(self.asked.len()) {
            0 => 0,
            _ => LISTS_LOOKED_AT,
        };
        let later = self.waiting.range(self.next..).chain(self.waiting.range(..self.next));
        let later = later.take(most).map(|(entry, units)| (*entry, units.clone()));
        late.chain(later).collect()
    }

    /// It was asked for over a lane.
    fn ask(&mut self, entry: u32, units: Range<u32>, conn: ConnId, now: Millis) {
        self.waiting.remove(&entry);
        let new = || AskedList { units, lanes: BTreeSet::new(), at: now };
        let list = self.asked.entry(entry).or_insert_with(new);
        list.lanes.insert(conn);
        list.at = now;
    }

    fn was_asked_of(&self, entry: u32, choice: &Choice, host: &MemberId) -> bool {
        let lanes = self.asked.get(&entry).into_iter().flat_map(|list| &list.lanes);
        lanes.into_iter().any(|conn| choice.host_of(*conn).as_ref() == Some(host))
    }
}

/// The id under which requests for a list are counted: not that of the folder, of which picks may
/// be under way over the same lane.
fn list_id(folder: &FileId, entry: u32) -> FileId {
    let mut id = *folder;
    for (byte, of) in id.0.iter_mut().zip(entry.wrapping_add(1).to_be_bytes()) {
        *byte ^= of;
    }
    id
}

impl Swarm {
    /// Has the manifest of a folder fetched. If somebody wants it as a file, that is waited for.
    pub(super) fn begin_manifest(&mut self, cx: &mut Context, id: FileId) {
        let Some(download) = self.downloads.get_mut(&id) else { return };
        download.stage = DownloadStage::Manifest;
        let folder = download.file.clone();
        self.begin_hidden(cx, &folder);
    }

    /// Begins the hidden download of a manifest, for a folder that is fetched or looked into.
    pub(super) fn begin_hidden(&mut self, cx: &mut Context, folder: &NamedFile) {
        let Some(of) = folder.folder else { return };
        if self.queued.contains_key(&of.manifest) {
            self.begin_download(cx, of.manifest);
        }
        if self.downloads.contains_key(&of.manifest) {
            return self.hasten_manifest(&folder.id);
        }
        let download = self.downloads.get(&folder.id);
        let place = download.map(|download| download.place.clone()).unwrap_or_default();
        let patient = download.is_some_and(|download| download.patient);
        let number = download.map_or(self.next_number, |download| download.number);
        let (name, size, root) = (folder.name.clone(), of.manifest_bytes, folder.root);
        let file = NamedFile { id: of.manifest, name, size, root, folder: None };
        let mut manifest = Download::new(file, place, patient, cx.now);
        manifest.number = number;
        manifest.part_of = Some(folder.id);
        self.downloads.insert(of.manifest, manifest);
        self.ask_for_hosts(cx, of.manifest);
        self.open_part(cx, of.manifest);
    }

    /// Somebody waits for a folder who did not before.
    pub(super) fn hasten_manifest(&mut self, folder: &FileId) {
        let Some(download) = self.downloads.get(folder) else { return };
        let (patient, of) = (download.patient, download.file.folder);
        let manifest = of.and_then(|of| self.downloads.get_mut(&of.manifest));
        if let Some(manifest) = manifest.filter(|manifest| manifest.part_of == Some(*folder)) {
            manifest.patient = patient;
        }
    }

    /// A file that somebody wanted is here, or will not come: a folder may need it as its manifest.
    pub(super) fn manifest_over(&mut self, cx: &mut Context, file: FileId) {
        let needs = |download: &&Download| {
            let of = download.file.folder.is_some_and(|of| of.manifest == file);
            of && download.stage == DownloadStage::Manifest
        };
        let folder = self.downloads.values().find(needs).map(|download| download.file.id);
        folder.into_iter().for_each(|folder| self.begin_manifest(cx, folder));
        self.look_on(cx, file);
    }

    /// A download of a folder has ended before its manifest came.
    pub(super) fn drop_manifest(&mut self, cx: &mut Context, of: &Download) {
        let Some(folder) = of.file.folder else { return };
        let manifest = self.downloads.get(&folder.manifest);
        if manifest.is_some_and(|manifest| manifest.part_of == Some(of.file.id))
            && let Some(manifest) = self.downloads.remove(&folder.manifest)
        {
            let file = folder.manifest;
            self.choice.end(&file);
            cx.effect(Effect::DropPart { file, turn: manifest.turn });
            if !self.holds_all(&file) {
                self.unshare(cx, file);
            }
            for request in manifest.then {
                self.enqueue_answered(cx, request);
            }
        }
    }

    /// [`Effect::ReadManifest`] is done.
    pub(crate) fn manifest_read(
        &mut self,
        cx: &mut Context,
        (file, turn): (FileId, u64),
        result: Result<ReadManifest, Failure>,
        is_offered: impl Fn(&FileId, FolderSummary) -> bool,
    ) {
        let Some(folder) = self.live(&file, turn).and_then(|manifest| manifest.part_of) else {
            return;
        };
        let ReadManifest { summary, layout } = match result {
            Ok(read) => read,
            Err(failure) => return self.fail_download(cx, file, failure),
        };
        let Some(download) = self.downloads.get_mut(&folder) else {
            return self.looked_inside(cx, file, summary, is_offered(&folder, summary));
        };
        let asked_for = download.file.to_offer().folder == Some(summary);
        // Anybody may offer the same with wrong figures: that must not keep it from those who ask
        // for what another offers.
        if !asked_for && !is_offered(&folder, summary) {
            let failure = download.file.other_files();
            return self.fail_download(cx, folder, failure);
        }
        download.file = download.file.clone().measured(summary);
        download.layout = Layout::Folder(Arc::new(layout));
        download.stage = DownloadStage::Opening;
        let then = self.downloads.remove(&file).map(|manifest| manifest.then);
        self.share_manifest(cx, folder, file);
        for request in then.into_iter().flatten() {
            self.enqueue_answered(cx, request);
        }
        self.look_on(cx, file);
        self.open_part(cx, folder);
    }

    /// The manifest of a folder is here, and served as long as the folder is.
    pub(super) fn share_manifest(&mut self, cx: &mut Context, folder: FileId, manifest: FileId) {
        self.manifests.insert(folder, manifest);
        self.shares.share_manifest(manifest);
        self.tell_hosting(cx, manifest);
    }

    /// All of a folder is here and served, with its manifest.
    pub(crate) fn share_folder(&mut self, cx: &mut Context, folder: FileId, manifest: FileId) {
        self.share_manifest(cx, folder, manifest);
        self.share_all(cx, folder);
    }

    /// Units of long files that are not here wait for the files' lists.
    pub(super) fn want_lists(&mut self, id: &FileId, held: &Bitmap) {
        let Some(download) = self.downloads.get_mut(id) else { return };
        let Layout::Folder(of) = &download.layout else { return };
        let lacks = |of: &&ListedUnits| of.units.clone().any(|unit| !held.has(unit));
        for ListedUnits { entry, units } in of.lists.iter().filter(lacks) {
            self.choice.hold_back(id, units.clone());
            download.lists.waiting.insert(*entry, units.clone());
        }
    }

    /// Only some units are wanted: lists of files without one are not.
    pub(super) fn skip_lists(&mut self, id: &FileId, needed: &Bitmap) {
        if let Some(download) = self.downloads.get_mut(id) {
            let wanted = |units: &Range<u32>| needed.has_any(units.clone());
            download.lists.waiting.retain(|_, units| wanted(units));
        }
    }

    /// Asks hosts for lists that folders still need.
    pub(super) fn ask_for_folder_lists(&mut self, cx: &mut Context) {
        let Self { downloads, choice, .. } = self;
        for (id, download) in downloads {
            if download.stage != DownloadStage::Fetching {
                continue;
            }
            let lists = &mut download.lists;
            lists.looked = cx.now;
            let picker = choice.picker(id);
            let mut free: Vec<MemberId> = picker.iter().flat_map(|of| of.hosts()).collect();
            free.retain(|host| choice.free_lane(host, cx.now, cx.limits()).is_some());
            for (entry, units) in lists.to_ask(cx.now) {
                let is_full = lists.asked.len() >= LISTS_AT_ONCE;
                if free.is_empty() || is_full && !lists.asked.contains_key(&entry) {
                    break;
                }
                lists.next = entry.saturating_add(1);
                let Some(picker) = choice.picker(id) else { break };
                let useful = |host: &&MemberId| {
                    !lists.was_asked_of(entry, choice, host) && picker.has_any(host, units.clone())
                };
                let lane = |host| choice.free_lane(host, cx.now, cx.limits());
                let Some(conn) = free.iter().filter(useful).find_map(lane) else { continue };
                lists.ask(entry, units, conn, cx.now);
                choice.ask_list(conn, list_id(id, entry), cx.now);
                let (file, turn) = (*id, download.turn);
                cx.effect(Effect::FetchFolderList { file, turn, conn, entry });
            }
        }
    }

    /// [`Effect::FetchFolderList`] is done.
    pub(crate) fn folder_list_fetched(
        &mut self,
        cx: &mut Context,
        (file, turn, conn): (FileId, u64, ConnId),
        entry: u32,
        result: Result<Bitmap, FetchError>,
        members: &Members,
    ) {
        let host = self.choice.host_of(conn);
        self.choice.failed(conn, &list_id(&file, entry), None, 0, cx.now);
        self.lane_suffers(cx, conn, result.as_ref().err());
        let Some(download) = self.live(&file, turn) else { return };
        let Some(units) = download.lists.asked.get(&entry).map(|list| list.units.clone()) else {
            // Another host brought it.
            return;
        };
        match result {
            Ok(held) => {
                download.lists.asked.remove(&entry);
                self.folder_list_came(cx, file, units, &held);
            }
            Err(error) => {
                download.lists.unanswered(entry, conn);
                match (error, host) {
                    (FetchError::NotHeld, Some(host)) => self.lacks_list(file, units, &host),
                    (error, host) => self.fetch_failed(cx, file, (host, None), error, members),
                }
            }
        }
    }

    fn folder_list_came(
        &mut self,
        cx: &mut Context,
        file: FileId,
        units: Range<u32>,
        held: &Bitmap,
    ) {
        let is_gain = held.has_any(units.clone());
        self.choice.list_came(&file, units, held);
        if is_gain {
            self.tell_hosting(cx, file);
        }
        self.finish_if_done(cx, file);
    }

    /// A host without the list of a file has none of its units either.
    fn lacks_list(&mut self, file: FileId, units: Range<u32>, host: &MemberId) {
        let Some(download) = self.downloads.get(&file) else { return };
        let count = download.layout.count();
        for unit in units {
            self.not_held(host, file, Some(unit), count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::command::SaveAs;
    use crate::router::event::{Fetched, PartState};
    use crate::router::ids::{Digest32, FaceId, RoomId};
    use crate::router::layout::FolderLayout;
    use crate::router::message::Held;
    use crate::router::notice::{Code, Notice};
    use crate::router::signed::Offer;
    use crate::router::swarm::FileRequest;

    const BOB: MemberId = MemberId([2; 32]);
    const LINK: ConnId = ConnId(1);
    const LANE: ConnId = ConnId(9);
    const SUMMARY: FolderSummary = FolderSummary { files: 3, bytes: 300, units: 3 };

    struct Fetcher {
        cx: Context,
        swarm: Swarm,
        members: Members,
        folder: FileId,
        manifest: FileId,
    }

    impl Fetcher {
        /// Wants a folder that bob has.
        fn new() -> Self {
            let cx = Context::of_test("ada", 1);
            let members = Members::new(&cx, RoomId([0; 32]), BTreeMap::new());
            let root = Digest32([1; 32]);
            let (name, folder) = ("photos".to_owned(), Some(SUMMARY));
            let file = NamedFile::of(&Offer { name, size: 100, root, folder, replaces: None });
            let (folder, manifest) = (file.id, file.folder.unwrap().manifest);
            let mut it = Self { cx, swarm: Swarm::default(), members, folder, manifest };
            it.swarm.link_up(&it.cx, LINK, BOB, std::iter::empty());
            for file in [manifest, folder] {
                it.swarm.hosting(&mut it.cx, LINK, file, (Held::All, false), None);
            }
            it.swarm.choice.opened(BOB, LANE);
            let (face, line, place) = (FaceId::TERMINAL, 1, (SaveAs::Dated, None));
            let (patient, asks, part) = (true, false, None);
            let request = FileRequest { face, line, file, patient, asks, place, part };
            it.swarm.fetch(&mut it.cx, request);
            it
        }

        fn find<T>(&mut self, is_it: impl FnMut(Effect) -> Option<T>) -> Option<T> {
            self.cx.take_effects().into_iter().find_map(is_it)
        }

        fn rows(&self) -> usize {
            self.swarm.transfer_rows(self.cx.now, &self.members, |_| None).len()
        }

        /// The manifest comes, and says so much, which only the offer that was chosen may say.
        fn reads(&mut self, summary: FolderSummary) {
            self.reads_among(summary, &[SUMMARY]);
        }

        /// The same where these are the offers.
        fn reads_among(&mut self, summary: FolderSummary, offers: &[FolderSummary]) {
            let manifest = self.manifest;
            let opened = |effect| match effect {
                Effect::OpenManifest { file, turn, size: 100, .. } => Some((file, turn)),
                _ => None,
            };
            let (file, turn) = self.find(opened).unwrap();
            assert_eq!((file, self.rows()), (manifest, 1), "nobody is told of it");
            let state = PartState::Verified(Bitmap::none(1));
            self.swarm.part_opened(&mut self.cx, (file, turn), Ok(state));
            let (conn, chunk, bytes, more) = (LANE, Some(0), 100, 100);
            let fetched = Fetched { file, turn, conn, chunk, bytes, more, result: Ok(()) };
            self.swarm.chunk_fetched(&mut self.cx, fetched, &self.members);
            let read = Effect::ReadManifest { file, turn };
            assert!(self.find(|effect| (effect == read).then_some(())).is_some());
            let lists = vec![ListedUnits { entry: 2, units: 1..3 }];
            let layout = FolderLayout { lens_bytes: vec![100; 3], lists };
            let read = ReadManifest { summary, layout };
            let is_offered = |_: &FileId, summary| offers.contains(&summary);
            self.swarm.manifest_read(&mut self.cx, (file, turn), Ok(read), is_offered);
        }

        fn free(&self) -> Vec<u32> {
            self.swarm.choice.picker(&self.folder).unwrap().free().collect()
        }
    }

    #[test]
    fn a_folder_comes_by_its_manifest_and_long_files_in_it_by_their_lists() {
        let mut ada = Fetcher::new();
        ada.reads(SUMMARY);
        let opened = |effect| match effect {
            Effect::OpenFolder { file, turn, manifest, .. } => Some((file, turn, manifest)),
            _ => None,
        };
        let (file, turn, manifest) = ada.find(opened).unwrap();
        assert_eq!((file, manifest), (ada.folder, ada.manifest));
        assert!(ada.swarm.holds_all(&manifest));
        let state = PartState::Verified(Bitmap::none(3));
        ada.swarm.part_opened(&mut ada.cx, (file, turn), Ok(state));
        assert_eq!(ada.free(), [0], "the others wait for their list");
        ada.swarm.schedule(&mut ada.cx);
        let asked = |effect| match effect {
            Effect::FetchFolderList { file, turn, conn, entry: 2 } => Some((file, turn, conn)),
            _ => None,
        };
        let of = ada.find(asked).unwrap();
        assert_eq!(of, (file, turn, LANE));
        let mut held = Bitmap::none(3);
        held.insert(2);
        ada.swarm.folder_list_fetched(&mut ada.cx, of, 2, Ok(held), &ada.members);
        assert_eq!(ada.free(), [0, 1], "the last was here");
        ada.swarm.cancel(&mut ada.cx, file);
        assert!(!ada.swarm.is_shared(&manifest) && ada.swarm.is_idle());
    }

    #[test]
    fn a_manifest_that_is_not_what_was_offered_ends_the_download() {
        let mut ada = Fetcher::new();
        ada.reads(FolderSummary { files: 4, ..SUMMARY });
        let failed = |effect| match effect {
            Effect::Notify(Notice::DownloadFailed { file, failure }) => {
                Some((file.id, failure.code))
            }
            _ => None,
        };
        assert_eq!(ada.find(failed), Some((ada.folder, Code::BadManifest)));
        assert!(ada.swarm.is_idle() && !ada.swarm.is_shared(&ada.manifest));
    }

    #[test]
    fn an_offer_with_wrong_figures_does_not_keep_a_folder_that_another_offers() {
        let (mut ada, right) = (Fetcher::new(), FolderSummary { files: 4, bytes: 9, ..SUMMARY });
        ada.reads_among(right, &[SUMMARY, right]);
        let opened = |effect| matches!(effect, Effect::OpenFolder { .. }).then_some(());
        assert!(ada.find(opened).is_some());
        let download = &ada.swarm.downloads[&ada.folder];
        assert_eq!(download.file.to_offer().folder, Some(right));
    }

    #[test]
    fn a_folder_that_was_not_served_for_a_while_is_shared_with_its_manifest_at_the_end() {
        let mut ada = Fetcher::new();
        ada.reads(SUMMARY);
        ada.swarm.unshare(&mut ada.cx, ada.folder);
        assert!(!ada.swarm.is_shared(&ada.manifest));
        ada.swarm.end_download(&mut ada.cx, ada.folder, "photos".into());
        assert!(ada.swarm.holds_all(&ada.folder) && ada.swarm.holds_all(&ada.manifest));
    }

    #[test]
    fn a_manifest_that_is_shared_as_a_file_too_ends_as_the_one_and_stays_as_the_other() {
        let mut ada = Fetcher::new();
        let (folder, manifest) = (ada.folder, ada.manifest);
        let unserved = |it: &mut Fetcher| {
            let effects = it.cx.take_effects().into_iter();
            let ends = |effect: &Effect| {
                matches!(effect, Effect::Unserve { .. } | Effect::UnserveManifest { .. })
            };
            effects.filter(ends).collect::<Vec<_>>()
        };
        ada.swarm.share_all(&mut ada.cx, manifest);
        ada.swarm.share_folder(&mut ada.cx, folder, manifest);
        ada.swarm.unshare(&mut ada.cx, folder);
        assert!(ada.swarm.holds_all(&manifest) && !ada.swarm.is_shared(&folder));
        let ended = [Effect::UnserveManifest { file: manifest }, Effect::Unserve { file: folder }];
        assert_eq!(unserved(&mut ada), ended);
        ada.swarm.share_folder(&mut ada.cx, folder, manifest);
        ada.swarm.unshare(&mut ada.cx, manifest);
        assert!(ada.swarm.holds_all(&manifest) && ada.swarm.holds_all(&folder));
        assert_eq!(unserved(&mut ada), [Effect::Unserve { file: manifest }]);
        ada.swarm.unshare(&mut ada.cx, folder);
        assert!(!ada.swarm.is_shared(&manifest));
    }

    #[test]
    fn names_that_are_others_here_are_told_when_the_folder_is_saved() {
        let mut ada = Fetcher::new();
        ada.reads(SUMMARY);
        let turn = ada.swarm.downloads[&ada.folder].turn;
        let names = Some("1 renamed: .git".to_owned());
        let finished = ((ada.folder, turn), Ok("photos".into()), names);
        ada.swarm.part_finished(&mut ada.cx, finished.0, finished.1, finished.2);
        let told = |effect| match effect {
            Effect::Notify(Notice::Remark { text }) => Some(text),
            _ => None,
        };
        assert_eq!(ada.find(told).as_deref(), Some("names in photos: 1 renamed: .git"));
    }

    #[test]
    fn a_manifest_that_is_cancelled_is_that_of_its_folder() {
        let mut ada = Fetcher::new();
        let word = crate::router::word::FileWord::new("photos");
        assert_eq!(ada.swarm.named(&word), [ada.folder]);
        ada.swarm.end_face(&mut ada.cx, FaceId::TERMINAL);
        assert!(ada.swarm.is_idle() && ada.rows() == 0);
    }
}
