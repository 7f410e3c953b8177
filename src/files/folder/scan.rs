//! A folder of the user's own that is to be sent: what is in it, and the roots of its files.
//!
//! - Links are not followed; they are left out and counted, as sockets and devices are, and the
//!   files of unfinished downloads.
//! - What cannot be read, or has a name that is no text, refuses the whole: nobody gets half a
//!   folder without knowing it.
//! - Too many files are refused before any is hashed.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::chain::FolderChain;
use super::manifest::{
    ENTRIES_MAX, FOLDER_MAX_BYTES, ListedFile, ManifestEntry, PathFault, check_path,
};
use super::marker::is_marker;
use super::served::FolderTrees;
use super::staging::{FOLDER, ROOM_ENDING, UNITS};
use crate::files::hash::{BUFFER_BYTES, HashError, hash_chunk, hash_file};
use crate::files::merkle::{CHUNK_MIN_BYTES, FileTree};
use crate::files::source::Stamp;
use crate::router::ids::Digest32;
use crate::sys::files::{Facts, FileId, FileKind, Positional};
use crate::sys::folders::FolderHandle;

#[cfg(test)]
mod tests;

/// Names that an error tells.
const NAMED: usize = 3;
/// A file that changed so shortly before it was hashed can change again without another time.
const SETTLED: Duration = Duration::from_secs(2);

/// Why a folder cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// It cannot be read itself.
    #[error("cannot send {path}: {source}")]
    Folder {
        /// As given.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Something in it cannot be read.
    #[error("cannot send the folder: {names} cannot be read ({source}); change permissions first")]
    Unreadable {
        /// Up to three of them.
        names: FirstNames,
        /// The first error.
        source: io::Error,
    },
    /// Names that are no Unicode.
    #[error("cannot send the folder: the name of {names} is no text; rename it first")]
    NotText {
        /// Up to three of them.
        names: FirstNames,
    },
    /// A path that no manifest may have.
    #[error("cannot send the folder: the path of {path} {fault}")]
    Path {
        /// Below the folder.
        path: PathBuf,
        /// What is wrong with it.
        fault: PathFault,
    },
    /// More than [`ENTRIES_MAX`] files or folders.
    #[error(
        "cannot send the folder: it has more than {ENTRIES_MAX} files or folders; send its parts, \
         or an archive"
    )]
    TooManyFiles,
    /// More than [`FOLDER_MAX_BYTES`].
    #[error(
        "cannot send the folder: it has more than {FOLDER_MAX_BYTES} bytes; send its parts instead"
    )]
    TooLarge,
    /// A file changed since the folder was scanned.
    #[error("{path} changed meanwhile: try again when nothing writes to it")]
    Changed {
        /// Below the folder.
        path: PathBuf,
    },
    /// The caller said so.
    #[error("reading the folder was cancelled")]
    Cancelled,
}

/// The first of several names.
#[derive(Debug, Default)]
pub struct FirstNames(Vec<PathBuf>);

impl std::fmt::Display for FirstNames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, path) in self.0.iter().enumerate() {
            write!(f, "{}{}", if number == 0 { "" } else { ", " }, path.display())?;
        }
        Ok(())
    }
}

/// A folder as it was found.
#[derive(Debug)]
pub struct ScannedFolder {
    /// Files and empty folders, sorted by the bytes of their paths.
    pub entries: Vec<ScannedEntry>,
    /// Bytes of all files together.
    pub total_bytes: u64,
    /// What is not sent.
    pub left_out: LeftOut,
}

/// A file or an empty folder of a folder that was scanned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedEntry {
    /// Its path below the folder, components apart by `/`.
    pub path: String,
    /// The file as it was found; `None` for an empty folder.
    pub file: Option<ScannedFile>,
}

/// A file as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScannedFile {
    /// Shows whether it changed since.
    pub stamp: Stamp,
    /// Whether its owner may execute it.
    pub executable: bool,
}

/// How much in a folder is not sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Symbolic links.
    pub links: u32,
    /// Pipes, sockets and devices.
    pub special: u32,
    /// Files and folders of unfinished downloads.
    pub unfinished: u32,
}

/// Finds what is in a folder; a link to the folder itself is followed.
///
/// # Errors
/// Why it cannot be sent; setting `should_stop` to true ends it.
pub fn scan(top: &Path, should_stop: &dyn Fn() -> bool) -> Result<ScannedFolder, ScanError> {
    scan_at_most(top, ENTRIES_MAX, should_stop)
}

fn scan_at_most(
    top: &Path,
    most: u32,
    should_stop: &dyn Fn() -> bool,
) -> Result<ScannedFolder, ScanError> {
    let failed = |source| ScanError::Folder { path: top.to_owned(), source };
    let folder = FolderHandle::open(top).map_err(failed)?;
    let mut walk = Walk::new(most, should_stop);
    walk.read(&folder, "").map_err(|fault| match fault {
        WalkFault::Error(error) => error,
        // It could be opened and not read.
        WalkFault::Io(source) => ScanError::Folder { path: top.to_owned(), source },
    })?;
    walk.finish()
}

/// A walk through a folder.
struct Walk<'a> {
    /// Entries and folders, at most, and so many names in a folder.
    most: u32,
    /// How many more names may be read, also of what is left out.
    names_left: usize,
    should_stop: &'a dyn Fn() -> bool,
    found: Vec<ScannedEntry>,
    folders: u32,
    total_bytes: u64,
    left_out: LeftOut,
    not_text: FirstNames,
    unreadable: FirstNames,
    first_error: Option<io::Error>,
}

/// Why a folder could not be walked through: as a whole, or by itself.
enum WalkFault {
    Error(ScanError),
    Io(io::Error),
}

impl From<ScanError> for WalkFault {
    fn from(error: ScanError) -> Self {
        Self::Error(error)
    }
}

impl<'a> Walk<'a> {
    fn new(most: u32, should_stop: &'a dyn Fn() -> bool) -> Self {
        Self {
            most,
            names_left: most as usize * 2,
            should_stop,
            found: Vec::new(),
            folders: 0,
            total_bytes: 0,
            left_out: LeftOut::default(),
            not_text: FirstNames::default(),
            unreadable: FirstNames::default(),
            first_error: None,
        }
    }

    fn finish(mut self) -> Result<ScannedFolder, ScanError> {
        let (unreadable, first) = (self.unreadable, self.first_error);
        if let Some(source) = first {
            return Err(ScanError::Unreadable { names: unreadable, source });
        }
        if !self.not_text.0.is_empty() {
            return Err(ScanError::NotText { names: self.not_text });
        }
        self.found.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        let (entries, total_bytes) = (self.found, self.total_bytes);
        Ok(ScannedFolder { entries, total_bytes, left_out: self.left_out })
    }

    /// Reads a folder whose path is `above`, which ends with `/` unless it is the whole.
    fn read(&mut self, folder: &FolderHandle, above: &str) -> Result<(), WalkFault> {
        let most = self.names_left.min(self.most as usize);
        let names = folder.names(most + 1).map_err(WalkFault::Io)?;
        // Whoever reads only some of them would leave out the others without a word.
        if names.len() > most {
            return Err(ScanError::TooManyFiles.into());
        }
        self.names_left -= names.len();
        let mut empty = true;
        for (name, kind) in names {
            if (self.should_stop)() {
                return Err(ScanError::Cancelled.into());
            }
            match kind {
                _ if is_unfinished(&name) => self.left_out.unfinished += 1,
                // It says what klatch did here, and is nobody's file.
                _ if name.to_str().is_some_and(is_marker) => {}
                FileKind::Link => self.left_out.links += 1,
                FileKind::File | FileKind::Folder => {
                    empty = false;
                    self.take(folder, above, name, kind)?;
                }
                _ => self.left_out.special += 1,
            }
        }
        if empty && let Some(path) = above.strip_suffix('/') {
            self.add(ScannedEntry { path: path.to_owned(), file: None })?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        folder: &FolderHandle,
        above: &str,
        name: OsString,
        kind: FileKind,
    ) -> Result<(), ScanError> {
        let Some(text) = name.to_str() else {
            note(&mut self.not_text, Path::new(above).join(name));
            return Ok(());
        };
        let path = format!("{above}{text}");
        check_path(path.as_bytes())
            .map_err(|fault| ScanError::Path { path: PathBuf::from(&path), fault })?;
        let read = match kind {
            FileKind::Folder => self.take_folder(folder, &name, &path),
            _ => self.take_file(folder, &name, &path),
        };
        match read {
            Ok(()) => Ok(()),
            Err(WalkFault::Error(error)) => Err(error),
            // It is gone: so it was not in the folder.
            Err(WalkFault::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(WalkFault::Io(error)) => {
                note(&mut self.unreadable, PathBuf::from(path));
                self.first_error.get_or_insert(error);
                Ok(())
            }
        }
    }

    fn take_folder(
        &mut self,
        above: &FolderHandle,
        name: &OsString,
        path: &str,
    ) -> Result<(), WalkFault> {
        self.folders += 1;
        if self.folders > self.most {
            return Err(ScanError::TooManyFiles.into());
        }
        let folder = above.folder(name).map_err(WalkFault::Io)?;
        self.read(&folder, &format!("{path}/"))
    }

    fn take_file(
        &mut self,
        folder: &FolderHandle,
        name: &OsString,
        path: &str,
    ) -> Result<(), WalkFault> {
        let file = folder.file(name, false).map_err(WalkFault::Io)?;
        let facts = Facts::of(&file).map_err(WalkFault::Io)?;
        if facts.kind != FileKind::File {
            self.left_out.special += 1;
            return Ok(());
        }
        let total = self.total_bytes.checked_add(facts.len);
        let total = total.filter(|total| *total <= FOLDER_MAX_BYTES);
        self.total_bytes = total.ok_or(ScanError::TooLarge)?;
        let stamp = Stamp::in_facts(&facts);
        let file = ScannedFile { stamp, executable: facts.is_executable };
        Ok(self.add(ScannedEntry { path: path.to_owned(), file: Some(file) })?)
    }

    fn add(&mut self, entry: ScannedEntry) -> Result<(), ScanError> {
        if self.found.len() == self.most as usize {
            return Err(ScanError::TooManyFiles);
        }
        self.found.push(entry);
        Ok(())
    }
}

fn note(names: &mut FirstNames, path: PathBuf) {
    if names.0.len() < NAMED {
        names.0.push(path);
    }
}

/// Whether something with this name belongs to an unfinished download.
fn is_unfinished(name: &std::ffi::OsStr) -> bool {
    let rest = name.to_str().and_then(|name| name.strip_prefix(".klatch-"));
    let endings = [".part", ".claims", ".claims-new", FOLDER, UNITS, ROOM_ENDING];
    rest.is_some_and(|rest| endings.iter().any(|ending| rest.ends_with(ending)))
}

/// Roots of files as they were, so that sending a folder again hashes only what changed.
#[derive(Debug, Clone, Default)]
pub struct KnownRoots(HashMap<FileId, (Stamp, HashedFile)>);

/// What is known of the content of a file.
#[derive(Debug, Clone)]
struct HashedFile {
    root: Digest32,
    /// Its list of chunk hashes, if it is long enough for one.
    tree: Option<Arc<FileTree>>,
}

impl KnownRoots {
    /// Bytes that it takes in memory, nearly.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let lists = self.0.values().filter_map(|(_, hashed)| hashed.tree.as_ref());
        let listed: usize = lists.map(|tree| tree.chunks().len()).sum();
        self.0.capacity() * size_of::<(FileId, (Stamp, HashedFile))>()
            + listed * size_of::<Digest32>()
    }

    fn of(&self, stamp: &Stamp) -> Option<HashedFile> {
        let (known, hashed) = self.0.get(&stamp.id)?;
        (known == stamp).then(|| hashed.clone())
    }
}

/// A folder whose files were hashed.
#[derive(Debug)]
pub struct HashedFolder {
    /// The entries of the manifest.
    pub entries: Vec<ManifestEntry>,
    /// The lists of chunk hashes of the files that have more than one chunk, by their entries.
    pub trees: FolderTrees,
    /// What is known for the next time.
    pub known: KnownRoots,
}

/// Hashes the files of a folder in order, but for those whose roots are known. `progress` gets the
/// bytes of which the roots are known so far.
///
/// # Errors
/// [`ScanError::Changed`] names the first file that is not as it was found; what the disk says;
/// setting `should_stop` to true ends it within 16 MiB.
pub fn hash(
    top: &Path,
    scanned: &ScannedFolder,
    known: &KnownRoots,
    threads: usize,
    progress: &(dyn Fn(u64) + Sync),
    should_stop: &(dyn Fn() -> bool + Sync),
) -> Result<HashedFolder, ScanError> {
    let failed = |source| ScanError::Folder { path: top.to_owned(), source };
    let folder = FolderHandle::open(top).map_err(failed)?;
    let settled_ns = settled_ns(SystemTime::now());
    let work = FolderHashing { threads, progress, should_stop };
    let mut chain = FolderChain::new(folder);
    let (mut entries, mut trees) = (Vec::new(), FolderTrees::new());
    let mut roots = KnownRoots::default();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut done_bytes = 0;
    for ScannedEntry { path, file } in &scanned.entries {
        if should_stop() {
            return Err(ScanError::Cancelled);
        }
        let Some(ScannedFile { stamp, executable }) = *file else {
            entries.push(ManifestEntry { path: path.clone(), file: None });
            continue;
        };
        let hashed = match known.of(&stamp) {
            Some(hashed) => hashed,
            None => work.hashed(&mut chain, path, &stamp, done_bytes, &mut buffer)?,
        };
        let root = hashed.root;
        if let Some(tree) = &hashed.tree {
            trees.insert(u32::try_from(entries.len()).unwrap_or(u32::MAX), Arc::clone(tree));
        }
        if stamp.modified_ns < settled_ns {
            roots.0.insert(stamp.id, (stamp, hashed));
        }
        done_bytes += stamp.len;
        progress(done_bytes);
        let seconds = stamp.modified_ns.div_euclid(1_000_000_000);
        let modified_s = i64::try_from(seconds).unwrap_or(0);
        let file = ListedFile { size: stamp.len, root, modified_s, executable };
        entries.push(ManifestEntry { path: path.clone(), file: Some(file) });
    }
    Ok(HashedFolder { entries, trees, known: roots })
}

/// Files that were changed before this time, in nanoseconds since 1970, get another one if they
/// change again.
fn settled_ns(now: SystemTime) -> i128 {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i128::try_from(since.saturating_sub(SETTLED).as_nanos()).unwrap_or(0)
}

struct FolderHashing<'a> {
    threads: usize,
    progress: &'a (dyn Fn(u64) + Sync),
    should_stop: &'a (dyn Fn() -> bool + Sync),
}

impl FolderHashing<'_> {
    /// The content of a file that must still be as it was found.
    fn hashed(
        &self,
        chain: &mut FolderChain,
        path: &str,
        stamp: &Stamp,
        done_bytes: u64,
        buffer: &mut [u8],
    ) -> Result<HashedFile, ScanError> {
        let changed = || ScanError::Changed { path: path.into() };
        let unreadable = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => changed(),
            _ => ScanError::Unreadable { names: FirstNames(vec![path.into()]), source },
        };
        let file = chain.file(path).map_err(unreadable)?;
        let as_found = || Ok(Stamp::of(&file).map_err(unreadable)? == *stamp);
        if !as_found()? {
            return Err(changed());
        }
        let hashed = match stamp.len {
            0 => Ok(HashedFile { root: Digest32::default(), tree: None }),
            len if len <= u64::from(CHUNK_MIN_BYTES) => {
                let read_at = |space: &mut [u8], offset| file.read_at(space, offset);
                let root = hash_chunk(read_at, len, 0, buffer, |_| Ok(()));
                root.map(|root| HashedFile { root, tree: None })
            }
            len => self.large(&file, len, done_bytes),
        };
        match hashed {
            Ok(hashed) if as_found()? => Ok(hashed),
            Ok(_) | Err(HashError::Changed) => Err(changed()),
            Err(HashError::Cancelled) => Err(ScanError::Cancelled),
            Err(HashError::Read(error)) => Err(unreadable(error)),
        }
    }

    fn large(&self, file: &File, len: u64, done_bytes: u64) -> Result<HashedFile, HashError> {
        let cancel = AtomicBool::new(false);
        let progress = |bytes| {
            (self.progress)(done_bytes + bytes);
            if (self.should_stop)() {
                cancel.store(true, Ordering::Relaxed);
            }
        };
        let tree = hash_file(file, len, self.threads, &progress, &cancel)?;
        Ok(HashedFile { root: *tree.root(), tree: Some(Arc::new(tree)) })
    }
}
