//! A folder that is served to other members: the user's own, or one that was received or is still
//! being received.
//!
//! Files are opened one after the other while a unit is read, each from the folder above it, and
//! looked at before and after: whoever edits one makes the host notice it first.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::chain::FolderChain;
use super::manifest::{ListedFile, Manifest};
use super::paths::LocalPaths;
use super::staging::has_time;
use super::units::{UnitContent, Units};
use crate::files::hash::{BUFFER_BYTES, HashError, hash_chunk, hash_file};
use crate::files::held::HeldUnits;
use crate::files::merkle::FileTree;
use crate::files::served::{ServeError, Served};
use crate::files::source::Stamp;
use crate::router::bitmap::Bitmap;
use crate::sys::files::{Facts, Positional};
use crate::sys::folders::FolderHandle;

mod places;

/// How long a reader waits for other files to be closed, and how long between two tries.
const SCARCE: Duration = Duration::from_secs(1);
const SCARCE_STEP: Duration = Duration::from_millis(50);

/// The lists of chunk hashes of files in a folder, by their entries.
pub type FolderTrees = BTreeMap<u32, Arc<FileTree>>;

/// Under which names the files lie, and how to see whether they are what they were.
#[derive(Debug)]
enum FolderNames {
    /// Those of the manifest, with what the files looked like when they were hashed.
    Own(Vec<Option<Stamp>>),
    /// Names made safe; files bear the times of the manifest.
    Received(Arc<LocalPaths>),
}

/// A folder that is served. Shared by the threads that serve it.
#[derive(Debug)]
pub struct ServedFolder {
    manifest: Arc<Manifest>,
    units: Arc<Units>,
    held: HeldUnits,
    trees: Mutex<FolderTrees>,
    names: FolderNames,
    top: RwLock<PathBuf>,
    finished: AtomicBool,
    /// Received files whose times the disk did not take, as they were found at the end.
    untimed: OnceLock<BTreeMap<u32, Stamp>>,
    /// The same content in other places.
    elsewhere: Mutex<Vec<Arc<Self>>>,
    /// It is not served from here any more.
    given_up: AtomicBool,
    /// Its manifest, as it is served.
    list: OnceLock<Arc<Served>>,
    /// The entry of a file that is not what it was.
    changed: OnceLock<u32>,
}

impl ServedFolder {
    /// A folder of the user's own, all of which is here. `stamps` are of its entries as they were
    /// hashed, `trees` of the files that have more than one chunk.
    #[must_use]
    pub fn own(
        (manifest, units): (Arc<Manifest>, Arc<Units>),
        top: PathBuf,
        stamps: Vec<Option<Stamp>>,
        trees: FolderTrees,
    ) -> Self {
        let held = HeldUnits::all(units.count());
        Self::new((manifest, units), (held, trees), FolderNames::Own(stamps), (top, true))
    }

    /// A folder that is being received below `top`; nothing is held yet.
    #[must_use]
    pub fn received(
        (manifest, units): (Arc<Manifest>, Arc<Units>),
        paths: Arc<LocalPaths>,
        top: PathBuf,
    ) -> Self {
        let held = HeldUnits::none(units.count());
        let here = (held, FolderTrees::new());
        Self::new((manifest, units), here, FolderNames::Received(paths), (top, false))
    }

    fn new(
        (manifest, units): (Arc<Manifest>, Arc<Units>),
        (held, trees): (HeldUnits, FolderTrees),
        names: FolderNames,
        (top, finished): (PathBuf, bool),
    ) -> Self {
        Self {
            manifest,
            units,
            held,
            trees: Mutex::new(trees),
            names,
            top: RwLock::new(top),
            finished: finished.into(),
            untimed: OnceLock::new(),
            elsewhere: Mutex::default(),
            given_up: false.into(),
            list: OnceLock::new(),
            changed: OnceLock::new(),
        }
    }

    /// It is whole, and lies there now. `untimed` are those files in it whose times the disk did
    /// not take.
    pub fn finish(&self, top: PathBuf, untimed: BTreeMap<u32, Stamp>) {
        // It is finished once.
        let _ = self.untimed.set(untimed);
        *self.top.write().unwrap_or_else(PoisonError::into_inner) = top;
        self.finished.store(true, Ordering::Release);
    }

    /// Where it lies; `None` while it is being received.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        let finished = self.finished.load(Ordering::Acquire);
        finished.then(|| self.top())
    }

    fn top(&self) -> PathBuf {
        self.top.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn open_top(&self) -> Result<FolderHandle, ServeError> {
        let tried = self.top();
        FolderHandle::open(&tried).map_err(|error| match error.kind() {
            // It may just be getting its name.
            io::ErrorKind::NotFound
                if self.path().is_none() || self.top() != tried || self.is_given_up() =>
            {
                ServeError::Scarce
            }
            _ => gone_or(error),
        })
    }

    /// What is in it.
    #[must_use]
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// Keeps its manifest as it is served, so that it need not be hashed again.
    pub fn keep_list(&self, list: Arc<Served>) {
        // It is always the same.
        let _ = self.list.set(list);
    }

    /// Its manifest as it is served, if it was kept.
    #[must_use]
    pub fn list(&self) -> Option<&Arc<Served>> {
        self.list.get()
    }

    /// The path in the manifest of a file that was found to be another than it was.
    #[must_use]
    pub fn changed_path(&self) -> Option<String> {
        Some(self.manifest.entry(*self.changed.get()?)?.path)
    }

    fn note_changed(&self, entry: u32) {
        // The first is told.
        let _ = self.changed.set(entry);
    }

    /// Its units.
    #[must_use]
    pub fn units(&self) -> &Arc<Units> {
        &self.units
    }

    /// Which units are held, and what was sent of them.
    #[must_use]
    pub fn held(&self) -> &HeldUnits {
        &self.held
    }

    /// The list of chunk hashes of a file, if it is known.
    #[must_use]
    pub fn tree(&self, entry: u32) -> Option<Arc<FileTree>> {
        self.trees.lock().unwrap_or_else(PoisonError::into_inner).get(&entry).cloned()
    }

    /// The list of a file is here.
    pub fn add_tree(&self, entry: u32, tree: Arc<FileTree>) {
        self.trees.lock().unwrap_or_else(PoisonError::into_inner).insert(entry, tree);
    }

    /// Reads a unit, or the files of it that are marked. `None` unless there is such a unit, and as
    /// many files in it as marks.
    ///
    /// # Errors
    /// When the folder, or the first file, cannot be opened.
    pub fn reader(
        &self,
        unit: u32,
        of: Option<&Bitmap>,
    ) -> Result<Option<UnitReader<'_>>, ServeError> {
        let Some(pieces) = self.pieces(unit, of) else { return Ok(None) };
        let chain = FolderChain::new(self.open_top()?);
        let mut reader = UnitReader { folder: self, chain, pieces, at: 0, open: None };
        // What shows with the first file is known before anything is promised.
        if let Some(first) = reader.pieces.first() {
            reader.open = Some(self.open(&mut reader.chain, first.entry)?);
        }
        Ok(Some(reader))
    }

    fn pieces(&self, unit: u32, of: Option<&Bitmap>) -> Option<Vec<UnitPiece>> {
        match self.units.content(unit)? {
            UnitContent::Chunks { entry, offset, .. } => {
                let len = self.units.len_bytes(unit)?.into();
                of.is_none().then(|| vec![UnitPiece { entry, begin: 0, offset, len }])
            }
            UnitContent::Bundle(files) => {
                if of.is_some_and(|of| of.len() as usize != files.len()) {
                    return None;
                }
                let marked = |index: &u32| of.is_none_or(|of| of.has(*index));
                let mut begin = 0;
                let mut piece = |entry, len| {
                    let piece = UnitPiece { entry, begin, offset: 0, len };
                    begin += len;
                    piece
                };
                let files = (0..).zip(files).filter(|(index, _)| marked(index));
                Some(files.map(|(_, file)| piece(file.entry, file.len.into())).collect())
            }
        }
    }

    /// Whether a unit is still what the manifest says. A unit of a file whose list is not known
    /// counts as right.
    ///
    /// # Errors
    /// When the disk does not give the bytes.
    pub fn recheck(&self, unit: u32) -> Result<bool, ServeError> {
        let Some(content) = self.units.content(unit) else { return Ok(true) };
        let mut chain = FolderChain::new(self.open_top()?);
        let opened = |chain: &mut FolderChain, entry| match self.open(chain, entry) {
            Err(ServeError::Changed) => Ok(None),
            opened => opened.map(Some),
        };
        match content {
            UnitContent::Bundle(files) => {
                for file in files {
                    let Some((open, listed)) = opened(&mut chain, file.entry)? else {
                        return Ok(false);
                    };
                    let never = AtomicBool::new(false);
                    match hash_file(&open, listed.size, 1, &|_| (), &never) {
                        Ok(tree) if *tree.root() == listed.root => {}
                        Err(HashError::Read(error)) => return Err(error.into()),
                        _ => {
                            self.note_changed(file.entry);
                            return Ok(false);
                        }
                    }
                }
                Ok(true)
            }
            UnitContent::Chunks { entry, chunks, .. } => {
                let Some(tree) = self.tree(entry) else { return Ok(true) };
                let Some((open, listed)) = opened(&mut chain, entry)? else { return Ok(false) };
                let mut buffer = vec![0; BUFFER_BYTES];
                let read = |space: &mut [u8], offset| open.read_at(space, offset);
                for chunk in chunks {
                    match hash_chunk(read, listed.size, chunk, &mut buffer, |_| Ok(())) {
                        Ok(hash) if tree.chunk(chunk) == Some(&hash) => {}
                        Err(HashError::Read(error)) => return Err(error.into()),
                        _ => {
                            self.note_changed(entry);
                            return Ok(false);
                        }
                    }
                }
                Ok(true)
            }
        }
    }

    /// Whether every file is as it was, as far as one can see without reading it. What cannot be
    /// looked at because too many files are open counts as it was.
    #[must_use]
    pub fn unchanged(&self) -> bool {
        let mut chain = match self.open_top() {
            Ok(top) => FolderChain::new(top),
            Err(error) => return error.is_scarcity(),
        };
        let mut files = (0..).zip(self.manifest.listed()).filter(|(_, listed)| listed.is_some());
        files.all(|(entry, _)| match self.open(&mut chain, entry) {
            Ok(_) => true,
            Err(error) => error.is_scarcity(),
        })
    }

    /// Opens the files of these entries, one after the other, as long as they are as they were and
    /// `with` says to go on.
    pub fn each_file(&self, entries: &[u32], mut with: impl FnMut(u32, &File) -> bool) {
        let Ok(mut chain) = self.open_top().map(FolderChain::new) else { return };
        for entry in entries {
            if let Ok((file, _)) = self.open(&mut chain, *entry)
                && !with(*entry, &file)
            {
                return;
            }
        }
    }

    /// Opens the file of an entry, if it is as it was; else it is noted.
    fn open(&self, chain: &mut FolderChain, entry: u32) -> Result<(File, ListedFile), ServeError> {
        let opened = self.open_here(chain, entry).map_err(|error| match error {
            // Whoever asks again is served from elsewhere.
            ServeError::Changed if self.is_given_up() => ServeError::Scarce,
            error => error,
        });
        if matches!(opened, Err(ServeError::Changed)) {
            self.note_changed(entry);
        }
        opened
    }

    fn open_here(
        &self,
        chain: &mut FolderChain,
        entry: u32,
    ) -> Result<(File, ListedFile), ServeError> {
        let listed = self.manifest.entry(entry).ok_or(ServeError::Changed)?;
        let facts = listed.file.ok_or(ServeError::Changed)?;
        let file = match &self.names {
            FolderNames::Own(_) => chain.file(&listed.path),
            FolderNames::Received(paths) => {
                let path = paths.path(entry, &listed.path).ok_or(ServeError::Changed)?;
                chain.file(&path)
            }
        };
        let file = file.map_err(gone_or)?;
        match self.is_unchanged(&file, entry, &facts) {
            true => Ok((file, facts)),
            false => Err(ServeError::Changed),
        }
    }

    /// The same in the middle of an answer, which nobody breaks off lightly: where too many files
    /// are open it waits a while for one to be closed.
    fn await_file(
        &self,
        chain: &mut FolderChain,
        entry: u32,
    ) -> Result<(File, ListedFile), ServeError> {
        let due = Instant::now() + SCARCE;
        loop {
            match self.open(chain, entry) {
                Err(ServeError::Scarce) if Instant::now() < due => std::thread::sleep(SCARCE_STEP),
                opened => return opened,
            }
        }
    }

    fn is_unchanged(&self, file: &File, entry: u32, listed: &ListedFile) -> bool {
        match &self.names {
            FolderNames::Own(stamps) => {
                let stamp = stamps.get(entry as usize).copied().flatten();
                stamp.is_some() && Stamp::of(file).ok() == stamp
            }
            // A long file that is being written bears the time of its last chunk.
            FolderNames::Received(_) if self.path().is_none() => true,
            FolderNames::Received(_) => {
                let Ok(facts) = Facts::of(file) else { return false };
                match self.untimed.get().and_then(|untimed| untimed.get(&entry)) {
                    Some(stamp) => *stamp == Stamp::in_facts(&facts),
                    None => {
                        facts.len == listed.size && has_time(facts.modified_ns, listed.modified_s)
                    }
                }
            }
        }
    }
}

/// What is gone was changed; another error is the disk's.
fn gone_or(error: io::Error) -> ServeError {
    match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::InvalidFilename => ServeError::Changed,
        _ => ServeError::of(error),
    }
}

/// Bytes of a unit that lie together in one file.
#[derive(Debug)]
struct UnitPiece {
    entry: u32,
    /// Where they begin in the answer.
    begin: u64,
    /// And in the file.
    offset: u64,
    len: u64,
}

/// Reads a unit from its first byte on; one file is open at a time.
#[derive(Debug)]
pub struct UnitReader<'a> {
    folder: &'a ServedFolder,
    chain: FolderChain,
    pieces: Vec<UnitPiece>,
    at: usize,
    open: Option<(File, ListedFile)>,
}

impl UnitReader<'_> {
    /// Bytes in all.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.pieces.last().map_or(0, |last| last.begin + last.len)
    }

    /// Reads the next bytes, which begin at `offset`, into several places.
    ///
    /// # Errors
    /// When there are not as many, when a file was changed, or when the disk fails.
    pub fn read_into(
        &mut self,
        mut offset: u64,
        out: &mut [IoSliceMut<'_>],
    ) -> Result<(), ServeError> {
        for out in out {
            let mut out = &mut **out;
            while !out.is_empty() {
                let end = offset + out.len() as u64;
                let piece = self.pieces.get(self.at).ok_or(ServeError::NotHeld { offset, end })?;
                let into = offset.saturating_sub(piece.begin);
                let left = usize::try_from(piece.len - into.min(piece.len)).unwrap_or(usize::MAX);
                let (now, later) = out.split_at_mut(left.min(out.len()));
                let entry = piece.entry;
                let (file, listed) = match &self.open {
                    Some(open) => open,
                    None => self.open.insert(self.folder.await_file(&mut self.chain, entry)?),
                };
                file.read_exact_at(now, piece.offset + into).map_err(|error| {
                    match error.kind() {
                        io::ErrorKind::UnexpectedEof => {
                            self.folder.note_changed(entry);
                            ServeError::Truncated
                        }
                        _ => ServeError::Read(error),
                    }
                })?;
                offset += now.len() as u64;
                if now.len() == left {
                    if !self.folder.is_unchanged(file, entry, listed) {
                        self.folder.note_changed(entry);
                        return Err(ServeError::Changed);
                    }
                    self.open = None;
                    self.at += 1;
                }
                out = later;
            }
        }
        Ok(())
    }
}
