//! Hashing files of the user's own, so that they can be offered.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::failures;
use crate::files::folder::manifest::{Manifest, folder_id};
use crate::files::folder::memory::ManifestBytes;
use crate::files::folder::scan::{self, KnownRoots, LeftOut, scan};
use crate::files::folder::served::ServedFolder;
use crate::files::folder::units::Units;
use crate::files::hash::{HashError, hash_file};
use crate::files::held::HeldUnits;
use crate::files::merkle::{ChunkHasher, FileTree, chunk_bytes, chunk_count};
use crate::files::names::offer_name;
use crate::files::served::{OpenFiles, Served};
use crate::files::source::open;
use crate::router::event::{Event, Hashed};
use crate::router::ids::FileId;
use crate::router::notice::Failure;
use crate::router::signed::FolderSummary;

/// Progress is reported at most this often.
const PROGRESS: Duration = Duration::from_millis(100);
/// Bytes of memory that remembered roots may take.
const CACHED_BYTES: usize = 64 << 20;

/// A file that is being hashed, or that was and waits to be served.
#[derive(Debug, Default)]
pub(super) struct HashJob {
    /// The name in the offer, if it is not the file's own.
    name: Option<String>,
    cancelled: AtomicBool,
    served: OnceLock<HashedSource>,
}

/// What was hashed, ready to be served.
#[derive(Debug)]
pub(super) enum HashedSource {
    File(Arc<Served>),
    /// A folder, and its manifest.
    Folder(Arc<ServedFolder>, Arc<Served>),
}

/// Roots of files in folders that were offered, by the paths of the folders; the last are the
/// newest.
#[derive(Debug, Default)]
pub(super) struct RootCache(Mutex<Vec<(PathBuf, Arc<KnownRoots>)>>);

impl RootCache {
    fn get(&self, path: &Path) -> Arc<KnownRoots> {
        let folders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = folders.iter().find(|(of, _)| of == path);
        found.map(|(_, known)| Arc::clone(known)).unwrap_or_default()
    }

    fn put(&self, path: &Path, known: KnownRoots) {
        self.put_within(path, known, CACHED_BYTES);
    }

    /// The same within so many bytes: the oldest make room.
    fn put_within(&self, path: &Path, known: KnownRoots, most_bytes: usize) {
        let mut folders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        folders.retain(|(of, _)| of != path);
        folders.push((path.to_owned(), Arc::new(known)));
        let mut bytes: usize = folders.iter().map(|(_, known)| known.memory_bytes()).sum();
        let over = folders.iter().take_while(|(_, known)| {
            let is_over = bytes > most_bytes;
            bytes = bytes.saturating_sub(known.memory_bytes());
            is_over
        });
        let over = over.count();
        folders.drain(..over);
    }
}

impl HashJob {
    /// Hashes a file that is offered under this name.
    pub(super) fn named(name: String) -> Self {
        Self { name: Some(name), ..Self::default() }
    }

    /// Ends the work soon.
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// The hashed file or folder, ready to be served.
    pub(super) fn served(&self) -> Option<&HashedSource> {
        self.served.get()
    }

    /// Hashes the file or folder at `path` on all cores, and tells `inbox` how far it is.
    pub(super) fn run(
        &self,
        job: u64,
        path: PathBuf,
        max_bytes: u64,
        inbox: &Sender<Event>,
        (open_files, roots): (&Arc<OpenFiles>, &RootCache),
    ) -> Result<Hashed, Failure> {
        let cancelled = || self.cancelled.load(Ordering::Relaxed);
        if cancelled() {
            return Err(failures::of_hash(&HashError::Cancelled));
        }
        let path = std::path::absolute(&path).unwrap_or(path);
        if path.is_dir() {
            return self.run_folder(job, path, inbox, (open_files, roots));
        }
        let opened = open(&path, max_bytes);
        let (file, stamp) = opened.map_err(|error| failures::of_send(&error))?;
        // Without a router nobody wants to know.
        let _ = inbox.send(Event::HashBegan { job, path: path.clone(), size: stamp.len });
        let progress = progress_to(inbox, job);
        let threads = available_parallelism().map_or(1, |cores| cores.get());
        let tree = hash_file(&file, stamp.len, threads, &progress, &self.cancelled)
            .map_err(|error| failures::of_hash(&error))?;
        let name = self.name.clone().unwrap_or_else(|| offer_name(&path));
        let (id, size, root) = (tree.id(), tree.len(), *tree.root());
        let served = Arc::new(Served::complete(tree, path.clone(), stamp, open_files));
        self.served.get_or_init(|| HashedSource::File(served));
        let (folder, left_out) = (None, None);
        Ok(Hashed { path, name, file: id, size, root, folder, left_out })
    }

    fn run_folder(
        &self,
        job: u64,
        path: PathBuf,
        inbox: &Sender<Event>,
        (open_files, roots): (&Arc<OpenFiles>, &RootCache),
    ) -> Result<Hashed, Failure> {
        let should_stop = || self.cancelled.load(Ordering::Relaxed);
        let scanned = scan(&path, &should_stop).map_err(|error| failures::of_scan(&error))?;
        let size = scanned.total_bytes;
        // Without a router nobody wants to know how it goes.
        let _ = inbox.send(Event::HashBegan { job, path: path.clone(), size });
        let (known, progress) = (roots.get(&path), progress_to(inbox, job));
        let threads = available_parallelism().map_or(1, |cores| cores.get());
        let hashed = scan::hash(&path, &scanned, &known, threads, &progress, &should_stop)
            .map_err(|error| failures::of_scan(&error))?;
        let manifest = Manifest::encode(&hashed.entries);
        let of = manifest.and_then(|manifest| Ok((Units::of(&manifest)?, manifest)));
        let (units, manifest) = of.map_err(|error| failures::of_manifest(&error))?;
        roots.put(&path, hashed.known);
        let (files, bytes) = (manifest.files(), manifest.total_bytes());
        let folder = Some(FolderSummary { files, bytes, units: units.count() });
        let (manifest, units) = (Arc::new(manifest), Arc::new(units));
        let list = serve_manifest(&manifest, open_files);
        let list = list.ok_or_else(failures::inside)?;
        let stamps = scanned.entries.iter().map(|entry| Some(entry.file?.stamp)).collect();
        let served = ServedFolder::own((manifest, units), path.clone(), stamps, hashed.trees);
        served.keep_list(Arc::clone(&list));
        let (id, size, root) = (list.tree().id(), list.tree().len(), *list.tree().root());
        let source = HashedSource::Folder(Arc::new(served), list);
        self.served.get_or_init(|| source);
        let name = self.name.clone().unwrap_or_else(|| offer_name(&path));
        let (file, left_out) = (FileId(folder_id(&id)), left_out(&scanned.left_out));
        Ok(Hashed { path, name, file, size, root, folder, left_out })
    }
}

/// What is not sent, in words for people.
fn left_out(of: &LeftOut) -> Option<String> {
    let counts = [
        (of.links, "link"),
        (of.special, "pipe, socket or device"),
        (of.unfinished, "unfinished download"),
    ];
    let counted = |(count, what): &(u32, &str)| match count {
        1 => format!("1 {what}"),
        count if what.contains(',') => format!("{count} pipes, sockets or devices"),
        count => format!("{count} {what}s"),
    };
    let parts: Vec<_> = counts.iter().filter(|(count, _)| *count > 0).map(counted).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The manifest of a folder, to be served from memory.
pub(super) fn serve_manifest(
    manifest: &Arc<Manifest>,
    open_files: &Arc<OpenFiles>,
) -> Option<Arc<Served>> {
    let len = manifest.bytes().len() as u64;
    let hash = |(index, bytes): (u32, &[u8])| {
        let mut hasher = ChunkHasher::new(len, index);
        hasher.update(bytes);
        hasher.finish()
    };
    let chunks = (0..).zip(manifest.bytes().chunks(chunk_bytes(len) as usize));
    let tree = FileTree::new(len, chunks.map(hash).collect::<Option<_>>()?)?;
    let (bytes, held) = (ManifestBytes::whole(Arc::clone(manifest)), chunk_count(len));
    let held = HeldUnits::all(held);
    Some(Arc::new(Served::in_memory(tree, Arc::new(bytes), held, open_files)))
}

/// Tells how many bytes are hashed, from time to time.
fn progress_to(inbox: &Sender<Event>, job: u64) -> impl Fn(u64) + Sync + '_ {
    let told = Mutex::new(Instant::now());
    move |bytes_done| {
        // Who finds it locked has nothing newer to tell.
        if let Ok(mut told) = told.try_lock()
            && told.elapsed() >= PROGRESS
        {
            *told = Instant::now();
            let _ = inbox.send(Event::HashProgressed { job, bytes_done });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn roots_are_remembered_within_so_many_bytes() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            fs::write(dir.path().join(name), name).unwrap();
            let file = File::options().write(true).open(dir.path().join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
        let scanned = scan(dir.path(), &|| false).unwrap();
        let none = KnownRoots::default();
        let hashed = scan::hash(dir.path(), &scanned, &none, 1, &|_| (), &|| false);
        let known = hashed.unwrap().known;
        let each = known.memory_bytes();
        assert!(each > 3 * 32);
        let cache = RootCache::default();
        let put = |path: &str| cache.put_within(Path::new(path), known.clone(), 2 * each);
        let kept = |path: &str| cache.get(Path::new(path)).memory_bytes() > 0;
        ["z", "a", "z"].into_iter().for_each(put);
        assert!(kept("z") && kept("a"));
        put("b");
        assert!(kept("b") && kept("z") && !kept("a"), "the oldest makes room");
        cache.put_within(Path::new("c"), known.clone(), each - 1);
        assert!(["a", "b", "c", "z"].into_iter().all(|path| !kept(path)));
    }
}
