//! Lists and removes what no program holds of earlier downloads: partial files, and folders that
//! were being built.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;

use super::disk::Disk;
use super::folder::staging::{FOLDER, LeftFolder, ROOM_ENDING, UNITS, hints_of};
use super::hidden::{Hidden, LeftPart, PART, claims_of, open_own, stem_of};
use super::noted::name_in;
use super::part::STEM_DIGITS;
pub use crate::router::event::Leftover;

/// Most partial files looked at in one folder.
const LOOKED_AT: usize = 4_096;

/// Result of a removal.
#[derive(Debug, PartialEq, Eq)]
pub enum PartRemoval {
    /// No partial file has such an id.
    Nothing,
    /// Several files have ids that begin so; nothing was removed.
    Several(Vec<String>),
    /// Another program holds it.
    Held,
    /// It belongs to another user.
    Foreign(PathBuf),
    /// Removed, which freed this many bytes.
    Removed(u64),
}

/// Finds the partial files in `folder` that no program holds, sorted by id. Each is held for a
/// moment, in which nothing in this process may open it.
///
/// # Errors
/// When the folder cannot be read.
pub fn find(disk: &Arc<dyn Disk>, folder: &Path) -> io::Result<Vec<Leftover>> {
    let mut found: Vec<Leftover> = Vec::new();
    let mut add = |id: String, name, bytes| match found.last_mut().filter(|last| last.id == id) {
        Some(last) => {
            last.bytes += bytes;
            last.name = last.name.take().or(name);
        }
        None => found.push(Leftover { id, name, bytes }),
    };
    for (id, path) in parts(folder, "")? {
        let (bytes, name) = match Hidden::open_left(disk, &path)? {
            LeftPart::Here(hidden) => (hidden.allocated_bytes(), name_in(&hidden.claims)),
            LeftPart::Foreign(bytes) => (bytes, None),
            LeftPart::Held | LeftPart::Nothing => continue,
        };
        add(id, name, bytes);
    }
    for (id, path) in folders(folder, "")? {
        if let Some(left) = LeftFolder::open(disk, &path)? {
            let name = left.name().map(|name| format!("{name}/"));
            add(id, name, left.allocated_bytes());
        }
    }
    found.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(found)
}

/// The ids of partial files in `folder` that were started under this name, compared in NFC; folders
/// also with a `/` behind it.
///
/// # Errors
/// When the folder cannot be read.
pub fn named(disk: &dyn Disk, folder: &Path, name: &str) -> io::Result<Vec<String>> {
    let is_called = |hints: io::Result<Option<File>>, name: &str| {
        let found = hints.ok().flatten().and_then(|hints| name_in(&hints));
        found.is_some_and(|found| found.nfc().eq(name.nfc()))
    };
    let parts = parts(folder, "")?.into_iter();
    let parts = parts.filter(|(_, path)| is_called(claims_of(disk, path), name));
    let plain = name.strip_suffix('/').unwrap_or(name);
    let folders = folders(folder, "")?.into_iter();
    let folders = folders.filter(|(_, path)| is_called(open_own(disk, path), plain));
    let mut ids: Vec<String> = parts.chain(folders).map(|(id, _)| id).collect();
    ids.sort();
    ids.dedup();
    Ok(ids)
}

/// Removes the partial files in `folder` whose ids begin with `prefix` and that no program holds.
///
/// # Errors
/// When the folder cannot be read or a file cannot be removed.
pub fn remove(disk: &Arc<dyn Disk>, folder: &Path, prefix: &str) -> io::Result<PartRemoval> {
    let prefix = prefix.get(..STEM_DIGITS).unwrap_or(prefix);
    let parts = parts(folder, prefix)?;
    let folders = folders(folder, prefix)?;
    let mut ids: Vec<String> = parts.iter().chain(&folders).map(|(id, _)| id.clone()).collect();
    ids.sort();
    ids.dedup();
    if ids.len() > 1 {
        return Ok(PartRemoval::Several(ids));
    }
    let (mut removed, mut foreign) = (None, None);
    for (_, path) in &parts {
        match Hidden::open_left(disk, path)? {
            LeftPart::Here(hidden) => {
                let bytes = hidden.allocated_bytes();
                hidden.remove()?;
                removed = Some(removed.unwrap_or(0) + bytes);
            }
            LeftPart::Foreign(_) => foreign = Some(path.clone()),
            LeftPart::Held | LeftPart::Nothing => {}
        }
    }
    for (_, path) in &folders {
        if let Some(left) = LeftFolder::open(disk, path)? {
            let bytes = left.allocated_bytes();
            left.remove()?;
            removed = Some(removed.unwrap_or(0) + bytes);
        }
    }
    if let Some(path) = foreign {
        return Ok(PartRemoval::Foreign(path));
    }
    Ok(match removed {
        Some(bytes) => PartRemoval::Removed(bytes),
        None if ids.is_empty() => PartRemoval::Nothing,
        None => PartRemoval::Held,
    })
}

/// Partial files whose id begins with `prefix`, sorted.
fn parts(folder: &Path, prefix: &str) -> io::Result<Vec<(String, PathBuf)>> {
    hidden(folder, prefix, PART)
}

/// The hints of folders whose id begins with `prefix`, sorted; also those that are missing.
fn folders(folder: &Path, prefix: &str) -> io::Result<Vec<(String, PathBuf)>> {
    let mut all = hidden(folder, prefix, UNITS)?;
    for suffix in [FOLDER, ROOM_ENDING] {
        let others = hidden(folder, prefix, suffix)?.into_iter();
        all.extend(others.map(|(id, path)| (id, hints_of(&path))));
    }
    all.sort();
    all.dedup();
    Ok(all)
}

fn hidden(folder: &Path, prefix: &str, suffix: &str) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = std::fs::read_dir(folder)?.filter_map(Result::ok);
    let named = entries.filter_map(|entry| {
        let name = entry.file_name();
        let id = stem_of(&name, suffix).filter(|id| id.starts_with(prefix))?;
        Some((id.to_owned(), entry.path()))
    });
    let mut parts: Vec<_> = named.take(LOOKED_AT).collect();
    parts.sort();
    Ok(parts)
}
