//! A new version takes the place of an earlier one that klatch made.
//!
//! What the person changed or added there is carried over into the new version while that still
//! lies beside the old one; then the two are exchanged in one step, and the old one is removed,
//! but for what changed in it meanwhile.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::tree::copy_bytes;
use super::{GoOn, Staging, root_of};
use crate::files::disk::Disk;
use crate::files::folder::manifest::{ListedFile, Manifest, ManifestEntry, ManifestError};
use crate::files::folder::marker::{EarlierFolder, FolderMarker, MARKER};
use crate::files::folder::paths::TOP;
use crate::files::names::numbered;
use crate::files::part::PartError;
use crate::files::publish::publish_folder;
use crate::files::source::Stamp;
use crate::router::ids::MemberId;
use crate::sys::errors::is_unknown_way;
use crate::sys::files::{Facts, FileId, FileKind};
use crate::sys::folders::FolderHandle;

/// Names in a folder that are looked at.
const LOOKED_AT: usize = 1 << 20;
/// How deep folders may lie in an earlier version.
const DEPTH_MAX: usize = 64;
/// Numbers that are tried for a name.
const NUMBERED: u32 = 1_000;

/// How a folder becomes the one at a path, now and later.
#[derive(Debug)]
pub struct FolderUpdate<'a> {
    /// Its name on this computer.
    pub name: &'a str,
    /// The name under which it is offered, and by whom.
    pub offered: (&'a str, MemberId),
    /// What klatch made and the sender no longer has is removed.
    pub delete: bool,
}

impl Staging {
    /// Gives the complete folder its name, with a marker by which klatch knows it again; an earlier
    /// version there, made from an offer of this name by the same member, gives way to it. What
    /// else lies there is not touched.
    ///
    /// # Errors
    /// As [`Staging::finish`]; and when something else lies there.
    pub fn finish_update(
        &self,
        update: &FolderUpdate<'_>,
        dated: &str,
        go_on: GoOn<'_>,
    ) -> Result<PathBuf, PartError> {
        let purge = || self.purge().map_err(|error| self.failed("remove", error));
        self.finish_by(go_on, purge, || {
            let path = self.dir.join(update.name);
            let (name, from) = update.offered;
            let earlier = EarlierFolder::at(&path, &from, name);
            match earlier.map_err(|error| foreign(&path, name, error))? {
                None => {
                    self.mark(update, Vec::new())?;
                    self.publish(Some(update.name), dated)
                }
                Some(earlier) => self.replace(update, &earlier, go_on),
            }
        })
    }

    fn replace(
        &self,
        update: &FolderUpdate<'_>,
        earlier: &EarlierFolder,
        go_on: GoOn<'_>,
    ) -> Result<PathBuf, PartError> {
        let failed = |error| PartError::on("bring up to date", &earlier.path)(error);
        let top = || self.tree.folder(&self.plan.paths, TOP).map_err(failed);
        // Before anything of the person's lies in it.
        top()?.take_mode_of(&earlier.top).map_err(failed)?;
        let mut carry = Carry::new(self, update, earlier, go_on);
        carry.walk(&earlier.top, Path::new(""), 0).map_err(failed)?;
        if !go_on() {
            return Err(PartError::Cancelled);
        }
        let Carry { kept, seen, target, .. } = carry;
        target.take_modes(&*top()?, &earlier.top).map_err(failed)?;
        self.mark(update, kept)?;
        match top()?.sync_disk() {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                let top = top()?;
                target.sync(&top).map_err(failed)?;
            }
            synced => synced.map_err(failed)?,
        }
        let still = Facts::of_name(&earlier.path).is_ok_and(|facts| facts.id == earlier.id);
        if !self.tree.in_place() || !still || !go_on() {
            return Err(PartError::Meddled { path: self.path().to_owned() });
        }
        self.tree.close();
        let (path, aside) = self.exchange(&earlier.path)?;
        // The folder is whole and in place: a disk that cannot sync folders is no error.
        let _ = self.disk.sync_folder(&self.dir);
        if let Err(error) = sweep(&earlier.top, &aside, &path, seen) {
            tracing::warn!(%error, path = %aside.display(), "an earlier version is not removed");
        }
        Ok(path)
    }

    /// Exchanges the folder with the earlier version; says where it lies now, and where that does.
    ///
    /// The earlier version may hold what nobody has looked at, so it never lies where unfinished
    /// downloads do: whatever is killed when, the next run takes it for a folder of the person's.
    pub(super) fn exchange(&self, path: &Path) -> Result<(PathBuf, PathBuf), PartError> {
        let failed = |error| PartError::on("exchange folders at", path)(error);
        let disk = &*self.disk;
        let name = |of: &Path| of.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let moved = |from: &Path, name: &str| {
            publish_folder(disk, from, &self.dir, (None, name)).map_err(|unnamed| unnamed.error)
        };
        let ours = moved(self.path(), &aside_name(path)).map_err(failed)?;
        let exchanged = match self.disk.exchange(&ours, path) {
            Ok(()) => return Ok((path.to_owned(), ours)),
            Err(error) if is_unknown_way(&error) => {
                // In two steps: until the new version has the name, the earlier one has another.
                moved(path, &aside_name(path)).and_then(|aside| match moved(&ours, &name(path)) {
                    Ok(path) => Ok((path, aside)),
                    Err(error) => {
                        // It keeps the other name if even this fails.
                        let _ = moved(&aside, &name(path));
                        Err(error)
                    }
                })
            }
            Err(error) => Err(error),
        };
        if exchanged.is_err() {
            // So that the next try finds it; else what was received is one more folder.
            let _ = moved(&ours, &name(self.path()));
        }
        exchanged.map_err(failed)
    }

    /// Writes the marker: what was received, and what is kept of earlier versions.
    fn mark(&self, update: &FolderUpdate<'_>, kept: Vec<ManifestEntry>) -> Result<(), PartError> {
        let failed = |error| self.failed("write", error);
        let (name, from) = update.offered;
        let own = self.plan.manifest.iter();
        let own = (0..).zip(own).filter(|(entry, _)| self.plan.wanted.has(*entry));
        let own = own.filter_map(|(entry, listed)| {
            let path = self.plan.paths.path(entry, &listed.path)?;
            Some(ManifestEntry { path, file: listed.file })
        });
        let own: Vec<_> = own.collect();
        let all = own.iter().cloned().chain(kept).collect();
        // Where they are too many, what is kept counts as the person's from now on.
        let manifest = manifest_of(all).or_else(|_| manifest_of(own));
        let manifest = manifest.map_err(|_| failed(io::ErrorKind::FileTooLarge.into()))?;
        let marker = FolderMarker { from, name: name.to_owned(), manifest };
        let top = self.tree.folder(&self.plan.paths, TOP).map_err(failed)?;
        let mut file = top.create_file(OsStr::new(MARKER)).map_err(failed)?;
        file.write_all(&marker.to_bytes()).map_err(failed)?;
        self.disk.sync(&file).and_then(|()| top.sync()).map_err(failed)
    }

    /// Removes what an earlier try carried over.
    fn purge(&self) -> io::Result<()> {
        let paths = &self.plan.paths;
        let mut own: HashSet<(u32, OsString)> = HashSet::new();
        let (mut folders, mut empty) = (BTreeSet::from([TOP]), Vec::new());
        for (entry, listed) in (0..).zip(self.plan.manifest.iter()) {
            if !self.fetched.has(entry) {
                continue;
            }
            let Some((mut folder, name)) = paths.place(entry, &listed.path) else { continue };
            if listed.file.is_none() {
                empty.push((folder, OsString::from(name)));
            }
            own.insert((folder, name.into()));
            while folders.insert(folder) {
                let Some(local) = paths.folders().get(folder as usize) else { break };
                own.insert((local.parent, OsString::from(&*local.name)));
                folder = local.parent;
            }
        }
        for number in folders {
            let folder = self.tree.folder(paths, number)?;
            for (name, kind) in folder.names(LOOKED_AT)? {
                if own.contains(&(number, name.clone())) {
                    continue;
                }
                match kind {
                    FileKind::Folder => {
                        super::tree::remove_in(&folder.folder(&name)?)?;
                        folder.remove_folder(&name)?;
                    }
                    _ => folder.remove_file(&name)?,
                }
            }
        }
        for (above, name) in empty {
            // One that is not there is made at the end.
            if let Ok(folder) = self.tree.folder(paths, above)?.folder(&name) {
                super::tree::remove_in(&folder)?;
            }
        }
        Ok(())
    }
}

/// The list of these entries. A folder that was empty need not be any more.
fn manifest_of(mut entries: Vec<ManifestEntry>) -> Result<Manifest, ManifestError> {
    let mut above = HashSet::new();
    for entry in &entries {
        let ends = entry.path.match_indices('/').map(|(at, _)| at);
        above.extend(ends.filter_map(|end| entry.path.get(..end)).map(str::to_owned));
    }
    entries.retain(|entry| entry.file.is_some() || !above.contains(&entry.path));
    entries.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Manifest::encode(&entries)
}

/// The name of an earlier version that cannot be removed, or not yet.
fn aside_name(path: &Path) -> String {
    format!("{} (earlier)", path.file_name().unwrap_or_default().to_string_lossy())
}

/// Why the folder does not get this name.
pub fn foreign(path: &Path, name: &str, error: io::Error) -> PartError {
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            PartError::Foreign { path: path.to_owned(), name: name.to_owned() }
        }
        _ => PartError::on("read", path)(error),
    }
}

/// What is known of something in the earlier version, by which it may be removed there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SeenItem {
    /// It has another name in the new version.
    Linked,
    /// It is not needed, or there is a copy, as long as it is as it was.
    As(Stamp),
}

/// Where things are carried to. Where a file has the name of a folder that is needed, the folder
/// has a number.
#[derive(Debug, Default)]
struct CarryTarget {
    renamed: BTreeMap<PathBuf, OsString>,
    /// The folders in which something was put.
    used: BTreeSet<PathBuf>,
}

impl CarryTarget {
    /// The folder of the new version that has this path, made if it is missing.
    fn folder(&mut self, top: &FolderHandle, path: &Path) -> io::Result<Option<FolderHandle>> {
        let mut open: Option<FolderHandle> = None;
        let mut at = PathBuf::new();
        for component in path.components() {
            let above = open.as_ref().unwrap_or(top);
            at.push(component);
            let known = self.renamed.get(&at).cloned();
            let (name, folder) = match known {
                Some(name) => (name.clone(), above.folder(&name)?),
                None => make_folder(above, component.as_os_str())?,
            };
            if name != component.as_os_str() {
                self.renamed.insert(at.clone(), name);
            }
            open = Some(folder);
            self.used.insert(at.clone());
        }
        Ok(open)
    }

    /// Lets those in whom the folders of the earlier version let in.
    fn take_modes(&self, top: &FolderHandle, earlier: &FolderHandle) -> io::Result<()> {
        let mut target = Self { renamed: self.renamed.clone(), used: BTreeSet::new() };
        for path in &self.used {
            let mut from: Option<FolderHandle> = None;
            for component in path.components() {
                from = from.as_ref().unwrap_or(earlier).folder(component.as_os_str()).map(Some)?;
            }
            if let (Some(folder), Some(from)) = (target.folder(top, path)?, from) {
                folder.take_mode_of(&from)?;
            }
        }
        Ok(())
    }

    /// Whether what lies in a folder has the path that it had.
    fn is_plain(&self, path: &Path) -> bool {
        !path.ancestors().any(|above| self.renamed.contains_key(above))
    }

    fn sync(&self, top: &FolderHandle) -> io::Result<()> {
        let mut target = Self { renamed: self.renamed.clone(), used: BTreeSet::new() };
        for path in &self.used {
            let folder = target.folder(top, path)?;
            folder.as_ref().unwrap_or(top).sync()?;
        }
        top.sync()
    }
}

/// Opens a folder, or makes it, with a number if something else has the name.
fn make_folder(above: &FolderHandle, name: &OsStr) -> io::Result<(OsString, FolderHandle)> {
    for number in 1..=NUMBERED {
        let name = numbered_os(name, number);
        match above.create_folder(&name) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if let Ok(folder) = above.folder(&name) {
            return Ok((name, folder));
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// A name with a number, in whatever characters it is.
fn numbered_os(name: &OsStr, number: u32) -> OsString {
    match name.to_str() {
        Some(text) => numbered(text, number).into(),
        None if number < 2 => name.to_owned(),
        None => {
            let mut name = name.to_owned();
            name.push(format!(" ({number})"));
            name
        }
    }
}

/// A walk through the earlier version.
struct Carry<'a> {
    staging: &'a Staging,
    update: &'a FolderUpdate<'a>,
    earlier: &'a EarlierFolder,
    go_on: GoOn<'a>,
    /// What klatch made there.
    made: HashMap<String, Option<ListedFile>>,
    /// The paths here of what was received now, and of everything that the sender has.
    received: HashSet<String>,
    offered: HashSet<String>,
    /// What klatch made earlier and stays.
    kept: Vec<ManifestEntry>,
    seen: HashMap<FileId, SeenItem>,
    target: CarryTarget,
}

impl<'a> Carry<'a> {
    fn new(
        staging: &'a Staging,
        update: &'a FolderUpdate<'a>,
        earlier: &'a EarlierFolder,
        go_on: GoOn<'a>,
    ) -> Self {
        let made = earlier.marker.manifest.iter().map(|entry| (entry.path, entry.file)).collect();
        let plan = &staging.plan;
        let (mut received, mut offered) = (HashSet::new(), HashSet::new());
        for (entry, listed) in (0..).zip(plan.manifest.iter()) {
            let Some(path) = plan.paths.path(entry, &listed.path) else { continue };
            if plan.wanted.has(entry) {
                received.insert(path.clone());
            }
            offered.insert(path);
        }
        let (kept, seen, target) = (Vec::new(), HashMap::new(), CarryTarget::default());
        Self { staging, update, earlier, go_on, made, received, offered, kept, seen, target }
    }

    fn walk(&mut self, folder: &FolderHandle, path: &Path, depth: usize) -> io::Result<()> {
        if depth > DEPTH_MAX {
            return Err(io::ErrorKind::InvalidFilename.into());
        }
        let names = folder.names(LOOKED_AT)?;
        let is_empty = names.is_empty();
        for (name, kind) in names {
            if !(self.go_on)() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let path = path.join(&name);
            let facts = match Facts::of_name(&self.earlier.path.join(&path)) {
                // Another program has just removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                facts => facts?,
            };
            if kind == FileKind::Folder {
                self.walk(&folder.folder(&name)?, &path, depth + 1)?;
            } else if path == Path::new(MARKER) {
                self.seen.insert(facts.id, SeenItem::As(Stamp::in_facts(&facts)));
            } else {
                self.item(folder, &name, &path, &facts)?;
            }
        }
        if is_empty && depth > 0 {
            self.empty_folder(path)?;
        }
        Ok(())
    }

    /// Its path in the form of manifests, if it has one.
    fn text(path: &Path) -> Option<String> {
        let parts = path.components().map(|part| part.as_os_str().to_str());
        Some(parts.collect::<Option<Vec<_>>>()?.join("/"))
    }

    /// Whether the sender no longer has something that klatch made, and it is to go.
    fn goes(&self, path: &str) -> bool {
        self.update.delete && !self.offered.contains(path)
    }

    fn empty_folder(&mut self, path: &Path) -> io::Result<()> {
        let text = Self::text(path);
        let is_made = text.as_ref().is_some_and(|text| self.made.get(text) == Some(&None));
        let Some(text) = text.filter(|_| is_made) else { return self.keep_folder(path) };
        if self.received.contains(&text) || self.goes(&text) {
            return Ok(());
        }
        self.keep_folder(path)?;
        if self.target.is_plain(path) {
            self.kept.push(ManifestEntry { path: text, file: None });
        }
        Ok(())
    }

    fn keep_folder(&mut self, path: &Path) -> io::Result<()> {
        let top = self.staging.tree.folder(&self.staging.plan.paths, TOP)?;
        self.target.folder(&top, path).map(drop)
    }

    fn item(
        &mut self,
        folder: &FolderHandle,
        name: &OsStr,
        path: &Path,
        facts: &Facts,
    ) -> io::Result<()> {
        let text = Self::text(path);
        let stamp = Stamp::in_facts(facts);
        let listed = text.as_ref().and_then(|text| self.made.get(text).copied()).flatten();
        let intact = listed.filter(|listed| {
            facts.kind == FileKind::File
                && facts.len == listed.size
                && is_intact(folder, name, (stamp, listed))
        });
        if let (Some(_), Some(text)) = (intact, &text)
            && (self.received.contains(text) || self.goes(text))
        {
            self.seen.insert(facts.id, SeenItem::As(stamp));
            return Ok(());
        }
        let above = path.parent().unwrap_or(Path::new(""));
        let top = self.staging.tree.folder(&self.staging.plan.paths, TOP)?;
        let target = self.target.folder(&top, above)?;
        let target = target.as_ref().unwrap_or(&top);
        let disk = &*self.staging.disk;
        let carried = carry_over((disk, self.go_on), folder, name, (target, facts));
        let (is_plain, seen) = match carried {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            carried => carried?,
        };
        self.seen.insert(facts.id, seen);
        if let (Some(file), Some(path), true) = (intact, text, is_plain)
            && self.target.is_plain(above)
        {
            self.kept.push(ManifestEntry { path, file: Some(file) });
        }
        Ok(())
    }
}

/// Whether a file has the content with which klatch made it. It is read for that: neither length
/// nor time shows every change.
fn is_intact(folder: &FolderHandle, name: &OsStr, (stamp, listed): (Stamp, &ListedFile)) -> bool {
    let file = folder.file(name, false).ok();
    let file = file.filter(|file| Stamp::of(file).is_ok_and(|now| now == stamp));
    file.and_then(|file| root_of(&file, listed.size).ok()) == Some(listed.root)
}

/// Gives a file or a link a name in the new version as well, or copies a file; says whether it is
/// the same name.
fn carry_over(
    (disk, go_on): (&dyn Disk, GoOn<'_>),
    folder: &FolderHandle,
    name: &OsStr,
    (target, facts): (&FolderHandle, &Facts),
) -> io::Result<(bool, SeenItem)> {
    for number in 1..=NUMBERED {
        let to = numbered_os(name, number);
        match folder.link(name, target, &to) {
            Ok(()) => return Ok((number == 1, SeenItem::Linked)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) if facts.kind != FileKind::File => return Err(error),
            Err(_) => {}
        }
        let from = folder.file(name, false)?;
        let copy = match target.create_file(&to) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            copy => copy?,
        };
        copy.set_permissions(from.metadata()?.permissions())?;
        let stamp = Stamp::of(&from)?;
        copy_all(disk, &from, &copy, (stamp.len, go_on))?;
        return Ok((number == 1, SeenItem::As(stamp)));
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn copy_all(
    disk: &dyn Disk,
    from: &File,
    to: &File,
    (len, go_on): (u64, GoOn<'_>),
) -> io::Result<()> {
    copy_bytes(disk, from, to, (len, go_on))?;
    if to.metadata()?.len() != len {
        return Err(io::ErrorKind::Interrupted.into());
    }
    if let Ok(time) = from.metadata()?.modified() {
        let _ = disk.set_modified(to, time);
    }
    disk.sync(to)
}

/// Removes the earlier version, which lies at `aside`; what is not as it was when it was looked at
/// gets a name in the new version, at `path`.
fn sweep(
    earlier: &FolderHandle,
    aside: &Path,
    path: &Path,
    seen: HashMap<FileId, SeenItem>,
) -> io::Result<()> {
    let aside_facts = Facts::of_name(aside)?;
    if aside_facts.kind != FileKind::Folder || aside_facts.id != earlier.facts()?.id {
        return Err(io::ErrorKind::NotFound.into());
    }
    let top = FolderHandle::open(path)?;
    let mut sweep = Sweep { aside, top, seen, target: CarryTarget::default() };
    sweep.folder(earlier, Path::new(""), 0)?;
    let (Some(dir), Some(name)) = (aside.parent(), aside.file_name()) else { return Ok(()) };
    FolderHandle::open(dir)?.remove_folder(name)
}

struct Sweep<'a> {
    aside: &'a Path,
    top: FolderHandle,
    seen: HashMap<FileId, SeenItem>,
    target: CarryTarget,
}

impl Sweep<'_> {
    fn folder(&mut self, folder: &FolderHandle, path: &Path, depth: usize) -> io::Result<()> {
        if depth > DEPTH_MAX {
            return Err(io::ErrorKind::InvalidFilename.into());
        }
        for (name, kind) in folder.names(LOOKED_AT)? {
            let path = path.join(&name);
            if kind == FileKind::Folder {
                self.folder(&folder.folder(&name)?, &path, depth + 1)?;
                folder.remove_folder(&name)?;
                continue;
            }
            let facts = Facts::of_name(&self.aside.join(&path))?;
            let is_over = match self.seen.get(&facts.id) {
                Some(SeenItem::Linked) => true,
                Some(SeenItem::As(stamp)) => *stamp == Stamp::in_facts(&facts),
                None => false,
            };
            match is_over {
                true => folder.remove_file(&name)?,
                false => self.rescue(folder, &name, &path)?,
            }
        }
        Ok(())
    }

    fn rescue(&mut self, folder: &FolderHandle, name: &OsStr, path: &Path) -> io::Result<()> {
        let above = path.parent().unwrap_or(Path::new(""));
        let target = self.target.folder(&self.top, above)?;
        let target = target.as_ref().unwrap_or(&self.top);
        for number in 1..=NUMBERED {
            match folder.rename(name, target, &numbered_os(name, number)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                renamed => return renamed,
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}
