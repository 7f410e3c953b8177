//! Downloads of folders: the manifest into memory, then its units into a folder that is built
//! beside its destination.

mod finishing;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use super::owed::ReplyGuard;
use super::{TransferShared, Transfers, failures};
use crate::files::folder::listing::list;
use crate::files::folder::manifest::{Manifest, ManifestError};
use crate::files::folder::marker::EarlierFolder;
use crate::files::folder::memory::ManifestBytes;
use crate::files::folder::paths::LocalPaths;
use crate::files::folder::select::select;
use crate::files::folder::served::ServedFolder;
use crate::files::folder::staging::{FolderPlan, Staging, foreign};
use crate::files::folder::units::{EntrySource, UnitContent, Units};
use crate::files::held::HeldUnits;
use crate::files::merkle::{FileTree, chunk_count, file_id};
use crate::files::part::PartError;
use crate::files::served::{OpenFiles, Served};
use crate::net::lane::ChunkWanted;
use crate::router::bitmap::Bitmap;
use crate::router::command::SaveAs;
use crate::router::event::{DiskError, Event, PartState, ReadManifest};
use crate::router::ids::{Digest32, FaceId, FileId};
use crate::router::layout::{FolderLayout, ListedUnits};
use crate::router::notice::{Code, Failure, FileInfo};
use crate::router::part::FolderPart;
use crate::router::signed::FolderSummary;
use crate::router::swarm::FILE_MAX_BYTES;
use crate::router::text::Untrusted;

/// No opening of the router's, which counts them up.
const NO_TURN: u64 = u64::MAX;

/// The manifest of a folder, on its way into memory.
#[derive(Debug)]
pub(super) struct ManifestContent {
    pub(super) file: FileId,
    pub(super) size: u64,
    pub(super) bytes: Arc<ManifestBytes>,
    served: OnceLock<Arc<Served>>,
}

impl ManifestContent {
    /// What is verified of it, once its list of hashes is known.
    pub(super) fn served(&self) -> Option<&Arc<Served>> {
        self.served.get()
    }

    /// Its list of hashes is here.
    pub(super) fn adopt(&self, tree: FileTree, open_files: &Arc<OpenFiles>) -> &Arc<Served> {
        self.served.get_or_init(|| {
            let chunks = HeldUnits::none(chunk_count(self.size));
            Arc::new(Served::in_memory(tree, Arc::clone(&self.bytes), chunks, open_files))
        })
    }
}

/// A folder that is being built.
#[derive(Debug)]
pub(super) struct FolderContent {
    pub(super) folder: FileId,
    manifest: FileId,
    pub(super) staging: Staging,
    pub(super) served: Arc<ServedFolder>,
    paths: Arc<LocalPaths>,
    /// What an earlier run said that it had.
    claimed: Bitmap,
    /// What of it is wanted; `None`: all. Only all of it is served.
    part: Option<FolderPart>,
    /// The earlier version whose place it takes.
    pub(super) earlier: Option<EarlierFolder>,
    turn: AtomicU64,
    /// The last field: tells when the staging folder is closed.
    _gone: BuiltGuard,
}

/// The folders that are being built, which lanes may still do for an earlier opening.
#[derive(Debug, Default)]
pub(super) struct BuiltFolders {
    by_folder: Mutex<BTreeMap<FileId, Weak<FolderContent>>>,
    changed: Condvar,
    /// They are opened one at a time.
    opening: Mutex<()>,
}

impl BuiltFolders {
    /// The folder that is open, or one that `begin` opens, of this part. Waits while another thread
    /// opens or closes it.
    fn obtain(
        &self,
        folder: FileId,
        part: Option<&FolderPart>,
        begin: impl FnOnce() -> Result<FolderContent, DiskError>,
    ) -> Result<Arc<FolderContent>, DiskError> {
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        let open = self.get(folder);
        if let Some(open) = open.filter(|open| open.part.as_ref() == part) {
            return Ok(open);
        }
        let content = Arc::new(begin()?);
        self.lock().insert(folder, Arc::downgrade(&content));
        Ok(content)
    }

    fn get(&self, folder: FileId) -> Option<Arc<FolderContent>> {
        let mut by_folder = self.lock();
        loop {
            if let Some(open) = by_folder.get(&folder)?.upgrade() {
                return Some(open);
            }
            by_folder = self.changed.wait(by_folder).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Does something with folders that are being built while no other thread opens one.
    pub(super) fn alone<T>(&self, work: impl FnOnce() -> T) -> T {
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        work()
    }

    /// Removes what is still open of folders whose ids begin so; returns how many bytes of them
    /// had come.
    pub(super) fn discard(&self, prefix: &str) -> Option<u64> {
        let begins = |of: &&Arc<FolderContent>| of.folder.to_string().starts_with(prefix);
        let open: Vec<_> = self.lock().values().filter_map(Weak::upgrade).collect();
        let mut freed = None;
        for content in open.iter().filter(begins) {
            let units = content.served.units();
            let came = content.staging.verified();
            let came: u64 = came.iter().filter_map(|of| units.len_bytes(of)).map(u64::from).sum();
            if content.staging.discard().is_ok() {
                freed = Some(freed.unwrap_or(0) + came);
            }
            self.retire(content.folder);
        }
        freed
    }

    /// The folder has its name: whoever downloads it again begins with another.
    fn retire(&self, folder: FileId) {
        self.lock().remove(&folder);
        self.changed.notify_all();
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<FileId, Weak<FolderContent>>> {
        self.by_folder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room for the next opening of a folder when it is dropped.
#[derive(Debug)]
struct BuiltGuard {
    built: Arc<BuiltFolders>,
    folder: FileId,
}

impl Drop for BuiltGuard {
    fn drop(&mut self) {
        let mut by_folder = self.built.lock();
        // By now there may be another one of this folder.
        if by_folder.get(&self.folder).is_some_and(|open| open.strong_count() == 0) {
            by_folder.remove(&self.folder);
            self.built.changed.notify_all();
        }
    }
}

impl FolderContent {
    /// Whether `turn` is still the opening that the router is interested in.
    fn is_for(&self, turn: u64) -> bool {
        self.turn.load(Ordering::Acquire) == turn
    }

    fn set_turn(&self, turn: u64) {
        self.turn.store(turn, Ordering::Release);
    }

    /// The hashes of the chunks in a unit; none for a bundle, `None` without the file's list.
    pub(super) fn hashes(&self, unit: u32) -> Option<Vec<Digest32>> {
        match self.served.units().content(unit)? {
            UnitContent::Bundle(_) => Some(Vec::new()),
            UnitContent::Chunks { entry, chunks, .. } => {
                let tree = self.served.tree(entry)?;
                chunks.map(|chunk| tree.chunk(chunk).copied()).collect()
            }
        }
    }

    /// How to ask for a unit: of a bundle only for files that are not here.
    pub(super) fn wanted(&self, unit: u32) -> ChunkWanted {
        let Some(UnitContent::Bundle(files)) = self.served.units().content(unit) else {
            return ChunkWanted::Chunk(unit);
        };
        let wanted = self.staging.wanted_of(unit);
        if wanted.is_empty() || wanted.len() == files.len() {
            return ChunkWanted::Chunk(unit);
        }
        let mut of = Bitmap::none(u32::try_from(files.len()).unwrap_or(u32::MAX));
        // Both are in the same order.
        let mut wanted = wanted.iter().map(|file| file.entry).peekable();
        for (index, file) in (0..).zip(&files) {
            if wanted.next_if_eq(&file.entry).is_some() {
                of.insert(index);
            }
        }
        ChunkWanted::Files { unit, of }
    }

    /// The list of a long file, by its entry: size and id, to check it.
    pub(super) fn listed(&self, entry: u32) -> Option<(u64, FileId)> {
        let file = self.served.manifest().entry(entry)?.file?;
        Some((file.size, file_id(file.size, &file.root)))
    }

    /// Verifies what an earlier run claimed of these units, while `go_on` says so.
    fn verify(&self, units: impl Iterator<Item = u32>, go_on: &dyn Fn() -> bool) {
        for unit in units.take_while(|_| go_on()).filter(|unit| self.claimed.has(*unit)) {
            let hashes = self.hashes(unit);
            if hashes.is_some_and(|hashes| self.staging.verify_claimed(unit, &hashes)) {
                self.served.held().insert(unit);
            }
        }
    }

    /// Takes the list of a long file; what is verified of the folder then.
    pub(super) fn adopt(&self, entry: u32, tree: FileTree, turn: u64) -> Bitmap {
        self.served.add_tree(entry, Arc::new(tree));
        if let Some(EntrySource::Units(units)) = self.served.units().source(entry) {
            self.verify(units, &|| self.is_for(turn));
        }
        self.served.held().to_bitmap()
    }
}

/// What the router calls the download of a manifest.
pub(super) struct OpenManifest {
    pub(super) turn: u64,
    pub(super) content: Arc<ManifestContent>,
}

/// What the router calls the download of a folder.
pub(super) struct OpenFolder {
    pub(super) turn: u64,
    /// None until it is open.
    pub(super) content: Option<Arc<FolderContent>>,
}

/// [`crate::router::event::Effect::OpenFolder`].
pub(super) struct FolderOpening {
    pub(super) file: FileId,
    pub(super) turn: u64,
    pub(super) manifest: FileId,
    pub(super) name: String,
    pub(super) part: Option<FolderPart>,
    pub(super) copy: bool,
    pub(super) to: (Option<PathBuf>, SaveAs),
}

impl super::TransfersState {
    pub(super) fn manifest(&self, file: FileId, turn: u64) -> Option<Arc<ManifestContent>> {
        let open = self.manifests.get(&file).filter(|open| open.turn == turn)?;
        Some(Arc::clone(&open.content))
    }

    /// Ends the download of a manifest, unless there is another by now.
    fn take_manifest(&mut self, file: FileId, turn: u64) -> Option<OpenManifest> {
        let current = self.manifests.get(&file).is_some_and(|open| open.turn == turn);
        if current { self.manifests.remove(&file) } else { None }
    }

    pub(super) fn folder(&self, file: FileId, turn: u64) -> Option<Arc<FolderContent>> {
        self.folders.get(&file).filter(|open| open.turn == turn)?.content.clone()
    }
}

impl Transfers {
    pub(super) fn open_manifest(
        &self,
        (file, turn): (FileId, u64),
        (size, root): (u64, Digest32),
        copy: bool,
    ) -> Option<Event> {
        let bytes = ManifestBytes::growing(usize::try_from(size).unwrap_or(0));
        let served = OnceLock::new();
        let content = Arc::new(ManifestContent { file, size, bytes: Arc::new(bytes), served });
        let open = OpenManifest { turn, content: Arc::clone(&content) };
        self.shared.lock().manifests.insert(file, open);
        let answer = move |state| Event::PartOpened { file, turn, result: Ok(state) };
        let shared = &self.shared;
        let here = shared.host.sources.manifest(&file);
        if copy && here.is_some_and(|here| here.held().is_all()) {
            return Some(answer(PartState::Complete));
        }
        let known = shared.host.sources.get(&file);
        let hashes = match chunk_count(size) {
            0 => Some(Vec::new()),
            1 => Some(vec![root]),
            _ => known.as_ref().map(|known| known.tree().chunks().to_vec()),
        };
        let tree = hashes.and_then(|hashes| FileTree::verified(&file, size, hashes));
        let Some(tree) = tree else { return Some(answer(PartState::NeedsList)) };
        let served = content.adopt(tree, &shared.open_files);
        shared.host.sources.insert_manifest_if_absent(file, Arc::clone(served));
        Some(answer(PartState::Verified(served.held())))
    }

    /// Reads a manifest that is whole.
    pub(super) fn read_manifest(&self, file: FileId, turn: u64) -> Option<Event> {
        let shared = Arc::clone(&self.shared);
        let answer = move |result| Event::ManifestRead { file, turn, result };
        let submitted = self.disk.submit(move || {
            let owed = ReplyGuard::new(&shared.host.inbox, answer(Err(failures::inside())));
            owed.send(answer(shared.read_manifest(file, turn)));
        });
        submitted.err().map(|_| answer(Err(failures::too_much())))
    }

    /// Looks what a manifest that is here lists at a path.
    pub(super) fn list_folder(
        &self,
        (face, line): (FaceId, u64),
        folder: FileInfo,
        manifest: FileId,
        path: String,
    ) -> Option<Event> {
        let shared = Arc::clone(&self.shared);
        let (of, answered) = (folder.clone(), folder.clone());
        let answer =
            move |folder: FileInfo, result| Event::FolderListed { face, line, folder, result };
        let submitted = self.disk.submit(move || {
            let failed = answer(of.clone(), Err(failures::inside()));
            let owed = ReplyGuard::new(&shared.host.inbox, failed);
            let listed = shared.manifest_here(&manifest).and_then(|manifest| {
                list(&manifest, &path).ok_or_else(|| nothing_like(of.name.raw(), &path))
            });
            owed.send(answer(of, listed));
        });
        submitted.err().map(|_| answer(answered, Err(failures::too_much())))
    }

    pub(super) fn open_folder(&self, opening: FolderOpening) -> Option<Event> {
        let FolderOpening { file, turn, .. } = opening;
        let earlier = {
            let open = OpenFolder { turn, content: None };
            self.shared.lock().folders.insert(file, open)
        };
        earlier.into_iter().for_each(|earlier| self.put_folder_away(earlier));
        let shared = Arc::clone(&self.shared);
        let answer = move |result| Event::PartOpened { file, turn, result };
        // It may have much to copy.
        let submitted = self.slow.submit(move || {
            let failed = answer(Err(failures::lasting(failures::inside())));
            let owed = ReplyGuard::new(&shared.host.inbox, failed);
            owed.send(answer(shared.open_folder(&opening)));
        });
        submitted.err().map(|_| answer(Err(failures::lasting(failures::too_much()))))
    }

    /// Ends the download of a manifest or a folder, if this is one; what is verified of a folder
    /// stays.
    pub(super) fn drop_folder(&self, file: FileId, turn: u64) {
        let (manifest, dropped) = {
            let mut state = self.shared.lock();
            let current = state.folders.get(&file).is_some_and(|open| open.turn == turn);
            let dropped = if current { state.folders.remove(&file) } else { None };
            (state.take_manifest(file, turn), dropped)
        };
        if let Some(served) = manifest.as_ref().and_then(|open| open.content.served()) {
            self.shared.host.sources.remove_this_manifest(&file, served);
        }
        dropped.into_iter().for_each(|dropped| self.put_folder_away(dropped));
    }

    fn put_folder_away(&self, open: OpenFolder) {
        let Some(content) = open.content else { return };
        content.set_turn(NO_TURN);
        self.shared.host.sources.remove_this_folder(&content.folder, &content.served);
        // If there is no room for the job the files are closed here: late beats never.
        let _ = self.disk.submit(move || drop(content));
    }
}

impl TransferShared {
    /// A manifest that is here: in memory, or as somebody's file.
    fn manifest_here(&self, manifest: &FileId) -> Result<Arc<Manifest>, Failure> {
        let known = self.host.sources.get(manifest).ok_or_else(failures::inside)?;
        if let Some(manifest) = known.manifest() {
            return Ok(manifest);
        }
        let path = known.path_now().ok_or_else(failures::inside)?;
        let read = std::fs::read(path).map_err(|_| failures::inside())?;
        let decoded = Manifest::decode(read).map_err(|error| bad_manifest(&error))?;
        Ok(Arc::new(decoded))
    }

    fn read_manifest(&self, file: FileId, turn: u64) -> Result<ReadManifest, Failure> {
        // Nobody waits for the answer to an earlier opening.
        let content = self.lock().manifest(file, turn).ok_or_else(failures::inside)?;
        let known = || self.host.sources.manifest(&file).and_then(|known| known.manifest());
        let manifest = match content.bytes.read() {
            // It was here already, and nothing came.
            Err(_) => known().ok_or(ManifestError::Magic),
            read => read,
        };
        let units = manifest.and_then(|of| Units::of(&of).map(|units| (of, units)));
        let (manifest, units) = units.map_err(|error| bad_manifest(&error))?;
        let open = self.lock().take_manifest(file, turn).ok_or_else(failures::inside)?;
        if let Some(served) = open.content.served() {
            self.host.sources.insert_manifest(file, Arc::clone(served));
        }
        let (files, bytes) = (manifest.files(), manifest.total_bytes());
        let summary = FolderSummary { files, bytes, units: units.count() };
        Ok(ReadManifest { summary, layout: layout(&units) })
    }

    fn open_folder(&self, opening: &FolderOpening) -> Result<PartState, DiskError> {
        let FolderOpening { file, turn, .. } = *opening;
        let begin = || self.begin_folder(opening);
        let content = self.built.obtain(file, opening.part.as_ref(), begin)?;
        {
            let mut state = self.lock();
            let current = state.folders.get_mut(&file).filter(|current| current.turn == turn);
            // Nobody waits for the answer any more.
            let Some(current) = current else { return Ok(PartState::NeedsList) };
            content.set_turn(turn);
            current.content = Some(Arc::clone(&content));
        }
        let go_on = || content.is_for(turn) && !self.is_stopping();
        content.verify(0..content.served.units().count(), &go_on);
        let here = self.host.sources.folder(&file).filter(|_| opening.copy);
        self.copy_known(&content, here, &go_on).map_err(|error| failures::of_part(&error))?;
        if go_on() && content.part.is_none() {
            self.host.sources.insert_folder_if_absent(file, Arc::clone(&content.served));
        }
        let (staging, held) = (&content.staging, content.served.held().to_bitmap());
        let needed = content.part.as_ref().map(|_| staging.needed().clone());
        let begun = staging.begun();
        Ok(match (needed, begun.count()) {
            _ if staging.is_complete() => PartState::Complete,
            (None, 0) => PartState::Verified(held),
            (needed, _) => PartState::Partly { held, needed, begun },
        })
    }

    fn begin_folder(&self, opening: &FolderOpening) -> Result<FolderContent, DiskError> {
        let FolderOpening { file, manifest: manifest_id, .. } = *opening;
        let missing = || failures::lasting(failures::inside());
        let list = self.host.sources.manifest(&manifest_id).ok_or_else(missing)?;
        let manifest = list.manifest().ok_or_else(missing)?;
        let bad = |error| failures::lasting(bad_manifest(&error));
        let units = Arc::new(Units::of(&manifest).map_err(bad)?);
        let paths = Arc::new(LocalPaths::of(&manifest, false).map_err(bad)?);
        let selected = opening.part.as_ref().map(|part| select(&manifest, part)).transpose();
        let selected = selected.map_err(|missing| nothing_like(&opening.name, missing.text()));
        let wanted = selected.map_err(failures::lasting)?;
        let wanted = wanted.unwrap_or_else(|| Bitmap::all(manifest.len()));
        let plan = FolderPlan {
            wanted,
            manifest: Arc::clone(&manifest),
            units: Arc::clone(&units),
            paths: Arc::clone(&paths),
            exec: false,
        };
        let (folder, save) = &opening.to;
        let folder = folder.as_ref().unwrap_or(&self.folder);
        let earlier = earlier_folder(folder, save, &opening.name);
        let earlier = earlier.map_err(|error| failures::of_part(&error))?;
        let opened = Staging::open(&self.disk, folder, &file.0, plan, FILE_MAX_BYTES);
        let (staging, claimed) = opened.map_err(|error| failures::of_part(&error))?;
        staging.note_name(&opening.name);
        let top = staging.path().to_owned();
        let served = ServedFolder::received((manifest, units), Arc::clone(&paths), top);
        served.keep_list(list);
        let served = Arc::new(served);
        let turn = AtomicU64::new(NO_TURN);
        let part = opening.part.clone();
        let gone = BuiltGuard { built: Arc::clone(&self.built), folder: file };
        Ok(FolderContent {
            folder: file,
            manifest: manifest_id,
            staging,
            served,
            paths,
            claimed,
            part,
            earlier,
            turn,
            _gone: gone,
        })
    }
}

/// The earlier version of a folder whose place it is to take, if there is one.
fn earlier_folder(
    folder: &Path,
    save: &SaveAs,
    offered: &str,
) -> Result<Option<EarlierFolder>, PartError> {
    let SaveAs::Mirror { name, from, .. } = save else { return Ok(None) };
    let path = folder.join(name);
    EarlierFolder::at(&path, from, offered).map_err(|error| foreign(&path, offered, error))
}

/// What the router needs to know of the units.
pub(super) fn layout(units: &Units) -> FolderLayout {
    let count = units.count();
    let mut lists: Vec<ListedUnits> = Vec::new();
    for unit in 0..count {
        if let Some(UnitContent::Chunks { entry, .. }) = units.content(unit) {
            match lists.last_mut().filter(|last| last.entry == entry) {
                Some(last) => last.units.end = unit + 1,
                None => lists.push(ListedUnits { entry, units: unit..unit + 1 }),
            }
        }
    }
    let lens_bytes = (0..count).filter_map(|unit| units.len_bytes(unit)).collect();
    FolderLayout { lens_bytes, lists }
}

/// There is nothing like that in the folder.
pub(super) fn nothing_like(folder: &str, path: &str) -> Failure {
    let (name, path) = (Untrusted::new(folder), Untrusted::new(path));
    let text = format!("{name} has nothing like {path} in it: `files {name}` shows what it has");
    Failure::new(Code::NothingMatches, text)
}

fn bad_manifest(error: &ManifestError) -> Failure {
    Failure::new(Code::BadManifest, format!("the list of the folder is no good: {error}"))
}
