//! The list of what is in a folder, as it is sent: strictly ascending by the bytes of the paths,
//! and with exactly one encoding for each folder.
//!
//! - Magic, the number of entries (32 bits), then the entries; numbers are big-endian.
//! - An entry: kind (0 a file, 1 a file that can be executed, 2 an empty folder), how many bytes of
//!   the path before it shares, 16 bits, how many follow, 16 bits, and these. Of a file also: size,
//!   64 bits, time of the last modification in seconds since 1970, 64 bits, and unless it is empty
//!   its root (BEP 52).
//! - A path is UTF-8, its components apart by `/`. Folders that are not empty are not listed.
//!
//! Whatever a peer sends is refused before it costs memory: see [`ManifestError`].

use crate::crypto::hash::digest;
use crate::router::ids::{Digest32, FileId};

#[cfg(test)]
mod tests;

/// Entries that a manifest has at most, and folders.
pub const ENTRIES_MAX: u32 = 262_144;
/// Bytes of the longest manifest.
pub const MANIFEST_MAX_BYTES: usize = 32 * 1024 * 1024;
/// Components that a path has at most.
pub const DEPTH_MAX: usize = 32;
/// Bytes of the longest component.
pub const COMPONENT_MAX_BYTES: usize = 255;
/// Bytes of the longest path.
pub const PATH_MAX_BYTES: usize = 1_024;
/// Bytes of all files together, at most.
pub const FOLDER_MAX_BYTES: u64 = 1 << 41;

/// What a manifest begins with.
const MAGIC: &[u8; 16] = b"klatch folder 1\n";
/// Says in the hash of a folder's id what it is a hash of.
const FOLDER_LABEL: &[u8] = b"klatch folder 1\0";
/// Bytes of the shortest entry: an empty folder whose path has one more byte than the one before.
const ENTRY_MIN_BYTES: usize = 6;
/// Every so many entries the whole path is kept, so that none is far from one.
const MARK_ENTRIES: u32 = 32;

/// Why bytes are no manifest. An entry is named by its number from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It begins with something else.
    #[error("this is no list of a folder")]
    Magic,
    /// More than [`MANIFEST_MAX_BYTES`].
    #[error("the list has {bytes} bytes, and {MANIFEST_MAX_BYTES} at most are allowed")]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// More than [`ENTRIES_MAX`] entries.
    #[error("the list has {entries} entries, and {ENTRIES_MAX} at most are allowed")]
    TooManyEntries {
        /// How many it has.
        entries: u64,
    },
    /// It ends within an entry.
    #[error("entry {entry} is cut off")]
    Cut {
        /// Number of the entry.
        entry: u32,
    },
    /// Bytes follow the last entry.
    #[error("{bytes} bytes follow the last entry")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// Neither a file nor an empty folder.
    #[error("entry {entry} is of the unknown kind {kind}")]
    Kind {
        /// Number of the entry.
        entry: u32,
        /// The kind that it states.
        kind: u8,
    },
    /// The number of shared bytes is not the greatest possible.
    #[error("entry {entry} shares another number of bytes with the path before it than it states")]
    Shared {
        /// Number of the entry.
        entry: u32,
    },
    /// The path is no good.
    #[error("the path of entry {entry} {fault}")]
    Path {
        /// Number of the entry.
        entry: u32,
        /// What is wrong with it.
        fault: PathFault,
    },
    /// It does not come after the entry before.
    #[error("entry {entry} is not sorted, or listed twice")]
    Order {
        /// Number of the entry.
        entry: u32,
    },
    /// An entry above it is a file, or a folder that is listed as empty.
    #[error("entry {entry} lies in a file or in an empty folder")]
    Inside {
        /// Number of the entry.
        entry: u32,
    },
    /// More than [`ENTRIES_MAX`] folders.
    #[error("with entry {entry} there are more than {ENTRIES_MAX} folders")]
    TooManyFolders {
        /// Number of the entry.
        entry: u32,
    },
    /// More than [`FOLDER_MAX_BYTES`].
    #[error("with entry {entry} the files have more than {FOLDER_MAX_BYTES} bytes")]
    TooLarge {
        /// Number of the entry.
        entry: u32,
    },
    /// More than [`UNITS_MAX`](super::units::UNITS_MAX).
    #[error("the files come in more units than are allowed")]
    TooManyUnits,
    /// Its name on this computer would be longer than [`PATH_MAX_BYTES`].
    #[error("the path of entry {entry} is too long once it is made safe")]
    SafePath {
        /// Number of the entry.
        entry: u32,
    },
}

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// No UTF-8.
    #[error("is not UTF-8")]
    NotText,
    /// More than [`PATH_MAX_BYTES`].
    #[error("is too long")]
    TooLong,
    /// More than [`DEPTH_MAX`] components.
    #[error("leads through too many folders")]
    TooDeep,
    /// It begins with `/`.
    #[error("is absolute")]
    Absolute,
    /// Nothing before, between or behind two `/`.
    #[error("has an empty component")]
    Empty,
    /// A component is `.` or `..`.
    #[error("has a component of dots")]
    Dots,
    /// A component is longer than [`COMPONENT_MAX_BYTES`].
    #[error("has a component that is too long")]
    LongComponent,
    /// The byte 0.
    #[error("has a NUL")]
    Nul,
}

/// What a manifest says about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedFile {
    /// Length in bytes.
    pub size: u64,
    /// The root of its tree; zeros for the empty file.
    pub root: Digest32,
    /// Time of the last modification, in seconds since 1970.
    pub modified_s: i64,
    /// Whether its owner may execute it.
    pub executable: bool,
}

/// One file or empty folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestEntry {
    /// Its path below the folder, components apart by `/`.
    pub path: String,
    /// What is known of the file; `None` for an empty folder.
    pub file: Option<ListedFile>,
}

/// A valid list. It is kept as it is sent, since the paths written out can be far longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    bytes: Vec<u8>,
    entries: u32,
    files: u32,
    folders: u32,
    total_bytes: u64,
    marks: Vec<PathMark>,
    /// The paths before the marks, joined.
    paths: String,
}

/// Where every [`MARK_ENTRIES`]th entry begins, and where in [`Manifest::paths`] the path of the
/// entry before it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PathMark {
    offset: u32,
    path_end: u32,
}

impl Manifest {
    /// Writes a list of entries, which are sorted by the bytes of their paths.
    ///
    /// # Errors
    /// What would be refused by [`Manifest::decode`].
    pub fn encode<'a, I>(entries: I) -> Result<Self, ManifestError>
    where
        I: IntoIterator<Item = &'a ManifestEntry>,
    {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([0; 4]);
        let mut before: &str = "";
        let mut count: u32 = 0;
        for entry in entries {
            count += 1;
            if count > ENTRIES_MAX {
                return Err(ManifestError::TooManyEntries { entries: count.into() });
            }
            let path = entry.path.as_str();
            check_path(path.as_bytes())
                .map_err(|fault| ManifestError::Path { entry: count, fault })?;
            write_entry(&mut bytes, before, path, entry.file.as_ref());
            before = path;
            if bytes.len() > MANIFEST_MAX_BYTES {
                return Err(ManifestError::TooLong { bytes: bytes.len() });
            }
        }
        if let Some(place) = bytes.get_mut(MAGIC.len()..MAGIC.len() + 4) {
            place.copy_from_slice(&count.to_be_bytes());
        }
        Self::decode(bytes)
    }

    /// Reads a list that a peer wrote.
    ///
    /// # Errors
    /// When it is not exactly what [`Manifest::encode`] writes for some list.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, ManifestError> {
        if bytes.len() > MANIFEST_MAX_BYTES {
            return Err(ManifestError::TooLong { bytes: bytes.len() });
        }
        let rest = bytes.strip_prefix(MAGIC).ok_or(ManifestError::Magic)?;
        let (count, rest) = rest.split_first_chunk().ok_or(ManifestError::Magic)?;
        let entries = u32::from_be_bytes(*count);
        if entries > ENTRIES_MAX {
            return Err(ManifestError::TooManyEntries { entries: entries.into() });
        }
        if (rest.len() / ENTRY_MIN_BYTES) < entries as usize {
            let whole = u32::try_from(rest.len() / ENTRY_MIN_BYTES).unwrap_or(u32::MAX);
            return Err(ManifestError::Cut { entry: whole.saturating_add(1) });
        }
        let mut check = Check::default();
        let (mut marks, mut paths) = (Vec::new(), String::new());
        let mut left = rest;
        for number in 0..entries {
            if number.is_multiple_of(MARK_ENTRIES) {
                paths.push_str(check.path()?);
                let offset = u32::try_from(bytes.len() - left.len()).unwrap_or(u32::MAX);
                let path_end = u32::try_from(paths.len()).unwrap_or(u32::MAX);
                marks.push(PathMark { offset, path_end });
            }
            let (entry, later) = RawEntry::read(left).map_err(|fault| fault.of(number + 1))?;
            check.take(&entry)?;
            left = later;
        }
        if !left.is_empty() {
            return Err(ManifestError::Trailing { bytes: left.len() });
        }
        let Check { files, folders, total_bytes, .. } = check;
        Ok(Self { bytes, entries, files, folders, total_bytes, marks, paths })
    }

    /// The list as it is sent.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.entries
    }

    /// Whether nothing is in the folder.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Number of files.
    #[must_use]
    pub fn files(&self) -> u32 {
        self.files
    }

    /// Number of folders in it, listed or not.
    #[must_use]
    pub fn folders(&self) -> u32 {
        self.folders
    }

    /// Bytes of all files together.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// The entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = ManifestEntry> + '_ {
        self.walk_from(0)
    }

    /// What is known of the files, in the order of entries; `None` stands for an empty folder.
    pub fn listed(&self) -> impl Iterator<Item = Option<ListedFile>> + '_ {
        let mut left = self.bytes.get(MAGIC.len() + 4..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (entry, later) = RawEntry::read(left).ok()?;
            left = later;
            Some(entry.file)
        })
    }

    /// The entry with this index; `None` beyond the end.
    #[must_use]
    pub fn entry(&self, index: u32) -> Option<ManifestEntry> {
        let mark = index / MARK_ENTRIES;
        self.walk_from(mark as usize).nth((index % MARK_ENTRIES) as usize)
    }

    fn walk_from(&self, mark: usize) -> impl Iterator<Item = ManifestEntry> + '_ {
        let start = mark.checked_sub(1).and_then(|before| self.marks.get(before));
        let start = start.map_or(0, |before| before.path_end as usize);
        let place = self.marks.get(mark);
        let offset = place.map_or(usize::MAX, |mark| mark.offset as usize);
        let end = place.map_or(start, |mark| mark.path_end as usize);
        let mut path = self.paths.get(start..end).unwrap_or_default().as_bytes().to_vec();
        let mut left = self.bytes.get(offset..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (entry, later) = RawEntry::read(left).ok()?;
            left = later;
            path.truncate(entry.shared);
            path.extend_from_slice(entry.rest);
            // What is kept was checked.
            let path = std::str::from_utf8(&path).ok()?.to_owned();
            Some(ManifestEntry { path, file: entry.file })
        })
    }
}

/// The id of a folder: SHA-256 over a label and the file id of its manifest.
#[must_use]
pub fn folder_id(manifest: &FileId) -> [u8; 32] {
    digest(&[FOLDER_LABEL, &manifest.0])
}

fn write_entry(bytes: &mut Vec<u8>, before: &str, path: &str, file: Option<&ListedFile>) {
    let shared = shared_bytes(before.as_bytes(), path.as_bytes());
    let (_, rest) = path.as_bytes().split_at(shared);
    bytes.push(match file {
        Some(file) => u8::from(file.executable),
        None => 2,
    });
    // Paths are checked: 16 bits hold their lengths.
    for length in [shared, rest.len()] {
        bytes.extend(u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    }
    bytes.extend_from_slice(rest);
    if let Some(file) = file {
        bytes.extend(file.size.to_be_bytes());
        bytes.extend(file.modified_s.to_be_bytes());
        if file.size > 0 {
            bytes.extend(file.root.0);
        }
    }
}

/// How many bytes two paths have in common at their beginning.
fn shared_bytes(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

/// An entry as it is written.
struct RawEntry<'a> {
    shared: usize,
    rest: &'a [u8],
    file: Option<ListedFile>,
}

/// Why an entry could not be read, before it is known which one it is.
enum ReadFault {
    Cut,
    Kind(u8),
}

impl ReadFault {
    fn of(self, entry: u32) -> ManifestError {
        match self {
            Self::Cut => ManifestError::Cut { entry },
            Self::Kind(kind) => ManifestError::Kind { entry, kind },
        }
    }
}

impl<'a> RawEntry<'a> {
    /// Reads the first entry; gives what follows it, too.
    fn read(mut bytes: &'a [u8]) -> Result<(Self, &'a [u8]), ReadFault> {
        let [kind] = take(&mut bytes)?;
        if kind > 2 {
            return Err(ReadFault::Kind(kind));
        }
        let shared = u16::from_be_bytes(take(&mut bytes)?).into();
        let length = u16::from_be_bytes(take(&mut bytes)?);
        let (rest, mut bytes) = bytes.split_at_checked(length.into()).ok_or(ReadFault::Cut)?;
        let file = match kind {
            2 => None,
            _ => Some(read_file(&mut bytes, kind == 1)?),
        };
        Ok((Self { shared, rest, file }, bytes))
    }
}

fn read_file(bytes: &mut &[u8], executable: bool) -> Result<ListedFile, ReadFault> {
    let size = u64::from_be_bytes(take(bytes)?);
    let modified_s = i64::from_be_bytes(take(bytes)?);
    let root = if size > 0 { Digest32(take(bytes)?) } else { Digest32::default() };
    Ok(ListedFile { size, root, modified_s, executable })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], ReadFault> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(ReadFault::Cut)?;
    *bytes = rest;
    Ok(*taken)
}

/// Checks entries, one after the other.
#[derive(Default)]
struct Check {
    /// Number of the entry, from 1.
    entry: u32,
    /// Its path.
    path: Vec<u8>,
    /// Lengths of the entries' paths that begin this one, ascending, its own included.
    beginnings: Vec<usize>,
    files: u32,
    folders: u32,
    total_bytes: u64,
}

impl Check {
    fn path(&self) -> Result<&str, ManifestError> {
        let (entry, fault) = (self.entry, PathFault::NotText);
        std::str::from_utf8(&self.path).map_err(|_| ManifestError::Path { entry, fault })
    }

    fn take(&mut self, raw: &RawEntry<'_>) -> Result<(), ManifestError> {
        self.entry += 1;
        let entry = self.entry;
        let path_fault = |fault| ManifestError::Path { entry, fault };
        let (shared, old) = (raw.shared, self.path.get(raw.shared..));
        let old = old.ok_or(ManifestError::Shared { entry })?;
        if shared + raw.rest.len() > PATH_MAX_BYTES {
            return Err(path_fault(PathFault::TooLong));
        }
        match (old.first(), raw.rest.first()) {
            (Some(old), Some(new)) if old == new => return Err(ManifestError::Shared { entry }),
            (Some(old), Some(new)) if old > new => return Err(ManifestError::Order { entry }),
            (Some(_), None) => return Err(ManifestError::Order { entry }),
            (None, None) if entry > 1 => return Err(ManifestError::Order { entry }),
            _ => {}
        }
        self.path.truncate(shared);
        self.path.extend_from_slice(raw.rest);
        check_path(&self.path).map_err(path_fault)?;
        // An entry above this one begins its path, and those between begin with it, too: it is
        // the longest beginning left. Shorter ones lie above the entry before as well.
        while self.beginnings.last().is_some_and(|length| *length > shared) {
            self.beginnings.pop();
        }
        if self.beginnings.last() == Some(&shared) && raw.rest.starts_with(b"/") {
            return Err(ManifestError::Inside { entry });
        }
        self.beginnings.push(self.path.len());
        self.count(raw)
    }

    /// Counts what the entry adds.
    fn count(&mut self, raw: &RawEntry<'_>) -> Result<(), ManifestError> {
        let entry = self.entry;
        // What lies in one folder stands together, so a folder is new wherever a path differs.
        let above = raw.rest.iter().filter(|byte| **byte == b'/').count();
        self.folders += u32::try_from(above).unwrap_or(u32::MAX) + u32::from(raw.file.is_none());
        if self.folders > ENTRIES_MAX {
            return Err(ManifestError::TooManyFolders { entry });
        }
        if let Some(file) = raw.file {
            self.files += 1;
            let total = self.total_bytes.checked_add(file.size);
            self.total_bytes = total
                .filter(|total| *total <= FOLDER_MAX_BYTES)
                .ok_or(ManifestError::TooLarge { entry })?;
        }
        Ok(())
    }
}

/// Checks that a path leads to something below the folder, and is within the limits.
///
/// # Errors
/// What is wrong with it.
pub fn check_path(path: &[u8]) -> Result<(), PathFault> {
    if path.len() > PATH_MAX_BYTES {
        return Err(PathFault::TooLong);
    }
    if path.starts_with(b"/") {
        return Err(PathFault::Absolute);
    }
    if path.contains(&0) {
        return Err(PathFault::Nul);
    }
    let mut depth = 0;
    for component in path.split(|byte| *byte == b'/') {
        depth += 1;
        match component {
            b"" => return Err(PathFault::Empty),
            b"." | b".." => return Err(PathFault::Dots),
            _ if component.len() > COMPONENT_MAX_BYTES => return Err(PathFault::LongComponent),
            _ => {}
        }
    }
    if depth > DEPTH_MAX {
        return Err(PathFault::TooDeep);
    }
    std::str::from_utf8(path).map(drop).map_err(|_| PathFault::NotText)
}
