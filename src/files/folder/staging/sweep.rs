//! Removes from a folder of an earlier run what does not belong there. Otherwise it could never
//! become whole: whatever else lies in it at the end refuses it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;

use super::Staging;
use super::tree::{LOOKED_AT, remove_in};
use crate::files::folder::paths::TOP;
use crate::sys::files::FileKind;
use crate::sys::folders::FolderHandle;

/// What may have a name in a folder.
enum Belongs {
    File,
    EmptyFolder,
    Folder(u32),
}

/// What belongs where: pairs of a folder's number and that of an entry, or of a folder in it, each
/// sorted.
struct Expected {
    entries: Vec<(u32, u32)>,
    folders: Vec<(u32, u32)>,
}

impl Staging {
    /// Removes what klatch did not make there; nothing is done where nothing lies.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn sweep(&self) -> io::Result<()> {
        if self.tree.is_empty() {
            return Ok(());
        }
        let paths = &self.plan.paths;
        let place = |entry| Some((paths.folder(entry)?, entry));
        let mut entries: Vec<_> = self.fetched.iter().filter_map(place).collect();
        let numbered = (0..).zip(paths.folders()).skip(1);
        let mut folders: Vec<_> = numbered.map(|(number, of)| (of.parent, number)).collect();
        entries.sort_unstable();
        folders.sort_unstable();
        self.sweep_in(&self.tree.top()?, TOP, &Expected { entries, folders })
    }

    fn sweep_in(&self, folder: &FolderHandle, number: u32, all: &Expected) -> io::Result<()> {
        let expected = self.belongs_in(number, all);
        for (name, kind) in folder.names(LOOKED_AT)? {
            let belongs = name.to_str().and_then(|name| expected.get(name));
            match (belongs, kind) {
                (Some(Belongs::File), FileKind::File) => {}
                (Some(Belongs::Folder(inner)), FileKind::Folder) => {
                    self.sweep_in(&folder.folder(&name)?, *inner, all)?;
                }
                (Some(Belongs::EmptyFolder), FileKind::Folder) => {
                    remove_in(&folder.folder(&name)?)?;
                }
                (_, FileKind::Folder) => {
                    remove_in(&folder.folder(&name)?)?;
                    folder.remove_folder(OsStr::new(&name))?;
                }
                _ => folder.remove_file(&name)?,
            }
        }
        Ok(())
    }

    /// The names that belong in a folder.
    fn belongs_in(&self, number: u32, all: &Expected) -> HashMap<String, Belongs> {
        let paths = &self.plan.paths;
        let mut names = HashMap::new();
        for entry in within(&all.entries, number) {
            let Some(listed) = self.plan.manifest.entry(entry) else { continue };
            let belongs = match listed.file {
                Some(_) => Belongs::File,
                None => Belongs::EmptyFolder,
            };
            if let Some((_, name)) = paths.place(entry, &listed.path) {
                names.insert(name.to_owned(), belongs);
            }
        }
        for inner in within(&all.folders, number) {
            if let Some(folder) = paths.folders().get(inner as usize) {
                names.insert(folder.name.to_string(), Belongs::Folder(inner));
            }
        }
        names
    }
}

/// The second numbers of the pairs that begin with this one.
fn within(pairs: &[(u32, u32)], first: u32) -> impl Iterator<Item = u32> + '_ {
    let from = pairs.partition_point(|(of, _)| *of < first);
    let rest = pairs.get(from..).unwrap_or_default().iter();
    rest.take_while(move |(of, _)| *of == first).map(|(_, second)| *second)
}
