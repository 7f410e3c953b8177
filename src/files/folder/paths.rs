//! Under which names the entries of a folder lie on this computer.
//!
//! - Each component is made safe ([`safe_component`]); whatever a peer sends, the paths lead to
//!   different places below the folder.
//! - Names that programs act upon get a dash before them, unless the person wants them as they are.
//! - Names that some disk would take for one are numbered in the order of the manifest, on every
//!   system alike; a renamed folder has everything in it that it had.
//!
//! Pure: nothing is asked of a disk.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use unicode_normalization::UnicodeNormalization;

use super::manifest::{Manifest, ManifestError, PATH_MAX_BYTES};
use super::marker::is_marker;
use crate::files::names::{SAFE_COMPONENT_MAX_BYTES, numbered, safe_component, shortened};
use crate::router::bitmap::Bitmap;
use crate::router::text::is_format;

#[cfg(test)]
mod tests;

/// Renamed names that are kept to be told.
const TOLD: usize = 3;
/// Bytes that the number of a name takes at most, with its blank and its parentheses.
const NUMBER_BYTES: usize = 9;

/// Names that programs act upon without being asked, in lower case: repositories with their hooks,
/// settings that name commands, keys, and what Windows looks for in a folder that is shown.
const ACTED_UPON: [&str; 21] = [
    ".bzr",
    ".cargo",
    ".envrc",
    ".exrc",
    ".gdbinit",
    ".git",
    ".gnupg",
    ".hg",
    ".idea",
    ".jj",
    ".lldbinit",
    ".npmrc",
    ".nvim.lua",
    ".nvimrc",
    ".ssh",
    ".svn",
    ".vimrc",
    ".vscode",
    "_darcs",
    "autorun.inf",
    "desktop.ini",
];

/// The folder itself, among [`LocalPaths::folders`].
pub const TOP: u32 = 0;

/// Where the entries of a manifest lie on this computer. Only names that differ from the manifest's
/// are kept for files; of each folder the name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPaths {
    folders: Vec<LocalFolder>,
    entries: Vec<LocalEntry>,
    changes: NameChanges,
}

/// A folder that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFolder {
    /// The folder in which it lies, of a lower number; [`TOP`] lies in itself.
    pub parent: u32,
    /// Its name there: one safe component; empty for [`TOP`].
    pub name: Box<str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct LocalEntry {
    folder: u32,
    renamed: Option<Box<str>>,
}

/// What people are told about the names in a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameChanges {
    /// Files and folders whose names begin with a dot.
    pub hidden: u32,
    /// Files and folders that are called something else here.
    pub renamed: u32,
    /// The first of these: the name that the peer chose, and the one here.
    pub first: Vec<(String, String)>,
}

impl LocalPaths {
    /// Chooses the names of all entries. With `exec`, names that programs act upon stay.
    ///
    /// # Errors
    /// [`ManifestError::SafePath`] when safe names make a path too long.
    pub fn of(manifest: &Manifest, exec: bool) -> Result<Self, ManifestError> {
        let top = LocalFolder { parent: TOP, name: Box::default() };
        let mut paths = Self {
            folders: vec![top],
            entries: Vec::with_capacity(manifest.len() as usize),
            changes: NameChanges::default(),
        };
        let mut open = vec![PathAbove::default()];
        let mut before = String::new();
        for (number, entry) in (1..).zip(manifest.iter()) {
            let both = before.bytes().zip(entry.path.bytes());
            let shared = both.take_while(|(one, other)| one == other).count();
            while open.last().is_some_and(|folder| folder.begin > shared) {
                open.pop();
            }
            paths
                .add(&mut open, &entry.path, exec)
                .ok_or(ManifestError::SafePath { entry: number })?;
            before = entry.path;
        }
        Ok(paths)
    }

    /// Adds an entry that lies in the last folder that is open, or below it; `None` when its path
    /// gets too long.
    fn add(&mut self, open: &mut Vec<PathAbove>, path: &str, exec: bool) -> Option<()> {
        let mut begin = open.last()?.begin;
        let mut rest = path.get(begin..)?;
        while let Some((name, later)) = rest.split_once('/') {
            let parent = open.last_mut()?;
            let local = self.name(parent, name, exec)?;
            let local_bytes = parent.local_bytes + local.len() + 1;
            let number = u32::try_from(self.folders.len()).ok()?;
            self.folders.push(LocalFolder { parent: parent.number, name: local.into() });
            begin += name.len() + 1;
            open.push(PathAbove { number, begin, local_bytes, ..PathAbove::default() });
            rest = later;
        }
        let folder = open.last_mut()?;
        let local = self.name(folder, rest, exec)?;
        let renamed = (local != rest).then(|| local.into());
        self.entries.push(LocalEntry { folder: folder.number, renamed });
        Some(())
    }

    /// The name here of something in a folder; `None` when its path gets too long.
    fn name(&mut self, folder: &mut PathAbove, name: &str, exec: bool) -> Option<String> {
        let local = folder.names.choose(name, exec);
        if folder.local_bytes + local.len() > PATH_MAX_BYTES {
            return None;
        }
        self.changes.add(name, &local);
        Some(local)
    }

    /// The folder itself and all that are not empty in it, each after the one it lies in.
    #[must_use]
    pub fn folders(&self) -> &[LocalFolder] {
        &self.folders
    }

    /// In which of the folders an entry lies, and under which name; `path` is its path in the
    /// manifest. `None` beyond the last entry.
    #[must_use]
    pub fn place<'a>(&'a self, entry: u32, path: &'a str) -> Option<(u32, &'a str)> {
        let LocalEntry { folder, renamed } = self.entries.get(entry as usize)?;
        let own = || path.rsplit('/').next().unwrap_or_default();
        Some((*folder, renamed.as_deref().unwrap_or_else(own)))
    }

    /// In which of the folders an entry lies; `None` beyond the last entry.
    #[must_use]
    pub fn folder(&self, entry: u32) -> Option<u32> {
        Some(self.entries.get(entry as usize)?.folder)
    }

    /// The whole path of an entry below the folder, whose path in the manifest is `path`.
    #[must_use]
    pub fn path(&self, entry: u32, path: &str) -> Option<String> {
        let (mut folder, name) = self.place(entry, path)?;
        let mut names = vec![name];
        while folder != TOP {
            let LocalFolder { parent, name } = self.folders.get(folder as usize)?;
            names.push(name);
            folder = *parent;
        }
        names.reverse();
        Some(names.join("/"))
    }

    /// What people are told about the names.
    #[must_use]
    pub fn changes(&self) -> &NameChanges {
        &self.changes
    }

    /// The same about the names of these entries, and of the folders in which they lie.
    #[must_use]
    pub fn changes_of(&self, manifest: &Manifest, entries: &Bitmap) -> NameChanges {
        if entries.is_all() {
            return self.changes.clone();
        }
        let (mut changes, mut seen) = (NameChanges::default(), HashSet::from([TOP]));
        for entry in entries.iter() {
            let Some(listed) = manifest.entry(entry) else { continue };
            let Some((mut folder, name)) = self.place(entry, &listed.path) else { continue };
            let mut theirs = listed.path.rsplit('/');
            changes.add(theirs.next().unwrap_or_default(), name);
            for theirs in theirs {
                let local = self.folders.get(folder as usize);
                // Those above one that was seen were seen as well.
                let Some(local) = local.filter(|_| seen.insert(folder)) else { break };
                changes.add(theirs, &local.name);
                folder = local.parent;
            }
        }
        changes
    }
}

impl NameChanges {
    /// Counts something that a peer calls `theirs` and that is called `here` on this computer.
    fn add(&mut self, theirs: &str, here: &str) {
        self.hidden += u32::from(here.starts_with('.'));
        if here != theirs {
            self.renamed += 1;
            if self.first.len() < TOLD {
                self.first.push((theirs.to_owned(), here.to_owned()));
            }
        }
    }
}

/// A folder to which entries are still added.
#[derive(Default)]
struct PathAbove {
    number: u32,
    /// Where the names of what is in it begin, in the paths of the manifest.
    begin: usize,
    /// Bytes of its path here, with the `/` behind it.
    local_bytes: usize,
    names: TakenNames,
}

/// The names in a folder, as the disk that distinguishes least sees them.
#[derive(Default)]
struct TakenNames {
    taken: HashSet<String>,
    /// The number that the next one of these gets.
    next: HashMap<String, u32>,
}

impl TakenNames {
    fn choose(&mut self, name: &str, exec: bool) -> String {
        let safe = safe_component(name);
        let is_acted_upon = !exec && is_acted_upon(&safe) || is_marker(&folded(&safe));
        let dash = if is_acted_upon { "-" } else { "" };
        let whole = format!("{dash}{safe}");
        if self.taken.insert(folded(&whole).into_owned()) {
            return whole;
        }
        let stem = shortened(&safe, SAFE_COMPONENT_MAX_BYTES - NUMBER_BYTES);
        let next = self.next.entry(folded(&stem).into_owned()).or_insert(2);
        loop {
            let name = format!("{dash}{}", numbered(&stem, *next));
            *next += 1;
            if self.taken.insert(folded(&name).into_owned()) {
                return name;
            }
        }
    }
}

/// The form that is the same for all names that some disk takes for one: without case, composed or
/// not, with what is ignored or without.
fn folded(name: &str) -> Cow<'_, str> {
    if name.is_ascii() && !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Borrowed(name);
    }
    let seen = name.nfd().filter(|c| !is_format(*c) && !('\u{fe00}'..='\u{fe0f}').contains(c));
    // Some letters meet only in upper case, some only in lower case.
    let upper = seen.flat_map(char::to_lowercase).flat_map(char::to_uppercase);
    Cow::Owned(upper.flat_map(char::to_lowercase).nfc().collect())
}

/// Whether programs act upon something of this safe name on some system.
fn is_acted_upon(name: &str) -> bool {
    let name = folded(name);
    ACTED_UPON.contains(&&*name) || ACTED_UPON.iter().any(|other| is_short_name(&name, other))
}

/// Whether NTFS may give a file of the name `long` the short name `name`, both in lower case: its
/// first letters, or two of them and four digits, then `~` and a number.
fn is_short_name(name: &str, long: &str) -> bool {
    let base = name.split('.').next().unwrap_or_default();
    let Some((letters, number)) = base.split_once('~') else { return false };
    let numbers = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let long = long.trim_start_matches('.').split('.').next().unwrap_or_default();
    let begins = |letters: &str| !letters.is_empty() && long.starts_with(letters);
    let hashed = || {
        let (first, digits) = letters.split_at_checked(letters.len().saturating_sub(4))?;
        let is_hash = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        Some(is_hash && first.len() <= 2 && begins(first))
    };
    let shortened = || letters.len() == long.len().min(6) && begins(letters);
    numbers && (shortened() || hashed().unwrap_or(false))
}
