//! A node's virtual disk: which chunks of which file it holds, with a number for their content.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use klatch::files::merkle;
use klatch::router::bitmap::Bitmap;
use klatch::router::event::{DiskError, Hashed, PartState};
use klatch::router::ids::{Digest32, FileId, MemberId};
use klatch::router::layout::FolderLayout;
use klatch::router::notice::{Code, Failure};
use klatch::router::swarm::sent::{Picked, Sent};

use crate::folders::FOLDER;

/// A file, whole or in parts.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// Length in bytes.
    pub size: u64,
    /// Content of each chunk; `None`: not here.
    pub chunks: Vec<Option<u64>>,
    /// Whether the list of chunk hashes is here.
    pub list: bool,
    /// Its root, if it is the manifest of a folder.
    pub manifest: Option<Digest32>,
    /// Its units, if it is a folder.
    pub folder: Option<Units>,
}

/// The units of a folder.
#[derive(Debug, Clone)]
pub struct Units {
    pub layout: FolderLayout,
    /// The entries whose lists of chunk hashes are here.
    pub lists: BTreeSet<u32>,
}

/// Everything that survives a crash.
#[derive(Debug, Default)]
pub struct Disk {
    /// Files by content.
    pub files: BTreeMap<FileId, Stored>,
    /// Files that a person could send, by path: length and a seed of the content.
    pub local: BTreeMap<String, (u64, u64)>,
    /// Places of finished downloads.
    pub saved: BTreeMap<String, FileId>,
    /// Whether wrong bytes are served.
    pub lies: bool,
    /// There is no space, or the device fails.
    pub broken: Option<Code>,
    /// The same, when a file gets its final name.
    pub broken_at_the_end: Option<Code>,
    /// What this run's threads have: files served whole, and open partial files by turn.
    pub serving: BTreeSet<FileId>,
    /// Files that were served before and may be served again.
    pub parked: BTreeSet<FileId>,
    /// Files that were changed since they were offered.
    pub changed: BTreeSet<FileId>,
    /// Open partial files.
    pub open: BTreeMap<FileId, u64>,
    /// Finished hash jobs.
    pub jobs: BTreeMap<u64, FileId>,
    /// Chunks that members asked for and no longer need.
    pub cancelled: BTreeSet<(MemberId, FileId, u32)>,
    /// What was sent to whom.
    pub sent: BTreeMap<FileId, Sent>,
}

/// The content of a file's chunk.
pub fn content(file: &FileId, chunk: u32) -> u64 {
    let head = file.0.iter().take(8).fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    head ^ u64::from(chunk).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Disk {
    /// The program ends: what is on the disk stays, the threads' work ends.
    pub fn crash(&mut self) {
        // Manifests lie in memory.
        self.files.retain(|_, stored| stored.manifest.is_none());
        self.serving.clear();
        self.parked.clear();
        self.open.clear();
        self.jobs.clear();
        self.sent.clear();
        self.cancelled.clear();
    }

    /// Hashes the file at a path.
    pub fn hash(&mut self, job: u64, path: &Path) -> Option<Hashed> {
        let path = path.to_str()?;
        let (size, seed) = *self.local.get(path)?;
        if path.ends_with(FOLDER) {
            return Some(self.hash_folder(job, path, size, seed));
        }
        let mut root = Digest32([7; 32]);
        root.0[..8].copy_from_slice(&seed.to_be_bytes());
        if size == 0 {
            root = Digest32::default();
        }
        let file = merkle::file_id(size, &root);
        let chunks = (0..merkle::chunk_count(size)).map(|c| Some(content(&file, c))).collect();
        self.files.insert(file, Stored { size, chunks, list: true, ..Stored::default() });
        self.jobs.insert(job, file);
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        Some(Hashed { path: path.into(), name, file, size, root, folder: None, left_out: None })
    }

    /// Whether something can be written.
    pub fn writable(&self) -> Result<(), DiskError> {
        self.broken.map_or(Ok(()), |code| Err(failed(code)))
    }

    /// Whether a file can get its final name.
    pub fn finishable(&self) -> Result<(), DiskError> {
        self.broken_at_the_end.map_or(Ok(()), |code| Err(failed(code)))
    }

    /// Removes what is not open of the files whose ids begin so; returns how much.
    pub fn remove_part(&mut self, prefix: &str) -> Option<u64> {
        let serving = self.serving.clone();
        let open = self.open.clone();
        let taken = self.files.extract_if(.., |file, _| {
            let used = serving.contains(file) || open.contains_key(file);
            !used && file.to_string().starts_with(prefix)
        });
        let held = |stored: &Stored| stored.chunks.iter().flatten().count() as u64;
        taken.map(|(_, stored)| held(&stored) << 20).reduce(|a, b| a + b)
    }

    /// Opens a partial file.
    pub fn open_part(&mut self, file: FileId, turn: u64, size: u64, copy: bool) -> PartState {
        self.open.insert(file, turn);
        if copy && self.serving.contains(&file) {
            return PartState::Complete;
        }
        let count = merkle::chunk_count(size);
        let stored = self.files.entry(file).or_insert_with(|| Stored {
            size,
            chunks: vec![None; count as usize],
            list: count <= 1,
            ..Stored::default()
        });
        if stored.list { PartState::Verified(held(stored)) } else { PartState::NeedsList }
    }

    /// What is sent when a host is asked for a chunk; `None`: it lacks or does not serve it.
    pub fn chunk(&self, file: &FileId, chunk: u32) -> Option<u64> {
        if !self.serving.contains(file) && !self.open.contains_key(file) {
            return None;
        }
        let held = self.files.get(file)?.chunks.get(chunk as usize).copied().flatten()?;
        Some(if self.lies { !held } else { held })
    }

    /// Which of the chunks that a member wants a host sends.
    pub fn pick(&mut self, file: &FileId, member: MemberId, of: &Bitmap) -> Picked {
        let held: Vec<_> = of.iter().map(|chunk| self.chunk(file, chunk).is_some()).collect();
        let held: BTreeSet<u32> =
            of.iter().zip(held).filter(|(_, held)| *held).map(|(chunk, _)| chunk).collect();
        let sent = self.sent.entry(*file).or_insert_with(|| Sent::new(of.len()));
        sent.pick(member, of, |chunk| held.contains(&chunk))
    }

    /// Whether the list of chunk hashes is available here.
    pub fn list(&self, file: &FileId) -> bool {
        (self.serving.contains(file) || self.open.contains_key(file))
            && self.files.get(file).is_some_and(|stored| stored.list)
    }

    /// Verified chunks.
    pub fn held(&self, file: &FileId) -> Option<Bitmap> {
        self.files.get(file).map(held)
    }

    /// Whether every chunk is here and correct.
    pub fn exact(&self, file: &FileId) -> bool {
        self.files.get(file).is_some_and(|stored| {
            (0u32..).zip(&stored.chunks).all(|(i, c)| *c == Some(content(file, i)))
        })
    }
}

fn failed(code: Code) -> DiskError {
    let failure = Failure::new(code, "cannot write the partial file");
    DiskError { failure, may_pass: true }
}

fn held(stored: &Stored) -> Bitmap {
    let mut bitmap = Bitmap::none(u32::try_from(stored.chunks.len()).unwrap());
    for (chunk, held) in (0u32..).zip(&stored.chunks) {
        if held.is_some() && stored.is_verifiable(chunk) {
            bitmap.insert(chunk);
        }
    }
    bitmap
}
