//! A hidden file that only this program holds, and how it gets its final name.
//!
//! Other programs and people may share the folder: nothing is followed, trusted or replaced unless
//! this program created or locked it.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::Disk;
use super::publish::{Unnamed, leads_to, publish, rename_new};
use crate::crypto::random::random;
use crate::sys::files::{Facts, FileKind, me, open_as_it_is};

/// The suffix of the hints file.
const CLAIMS: &str = "claims";
/// The same, until it is complete.
const CLAIMS_NEW: &str = "claims-new";
/// How many programs may fetch one file into one folder at once.
pub(super) const NUMBERS: u32 = 64;

/// A partial file and its hints, both hidden in the download's folder. The lock on the partial file
/// covers both.
#[derive(Debug)]
pub(super) struct Hidden {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) claims: File,
    claims_path: PathBuf,
    /// Other programs have it open only by mistake or on purpose.
    pub(super) is_locked: bool,
}

/// A partial file from an earlier run.
#[derive(Debug)]
pub(super) enum LeftPart {
    /// It is held now.
    Here(Hidden),
    /// Another program holds it.
    Held,
    /// It belongs to another user, and takes up this many bytes on the disk.
    Foreign(u64),
    /// It is no partial file.
    Nothing,
}

impl Hidden {
    /// Opens `.klatch-<stem>.part` and `.claims` in `dir`, or, if another program holds them, those
    /// of `<stem>-2`, `<stem>-3`, …; `Ok(None)` if all are held.
    pub(super) fn open(disk: &Arc<dyn Disk>, dir: &Path, stem: &str) -> io::Result<Option<Self>> {
        for number in 1..=NUMBERS {
            let number = if number == 1 { String::new() } else { format!("-{number}") };
            let path = dir.join(format!(".klatch-{stem}{number}.part"));
            let Some((file, fresh)) = open_or_create(&**disk, &path)? else { continue };
            let Some(is_locked) = lock(&**disk, &file, &path) else { continue };
            let claims_path = path.with_extension(CLAIMS);
            let claims = open_claims(&**disk, &claims_path);
            let Ok(Some(claims)) = claims else {
                if fresh {
                    disk.remove(&path)?;
                }
                claims?;
                continue;
            };
            if fresh {
                // Hints whose partial file is gone are about another file.
                disk.set_len(&claims, 0)?;
            }
            let disk = Arc::clone(disk);
            return Ok(Some(Self { disk, file, path, claims, claims_path, is_locked }));
        }
        Ok(None)
    }

    /// Opens the partial file of an earlier download at `path`, with its hints.
    pub(super) fn open_left(disk: &Arc<dyn Disk>, path: &Path) -> io::Result<LeftPart> {
        let Some(file) = open_own(&**disk, path)? else { return look_at_foreign(&**disk, path) };
        let Some(is_locked) = lock(&**disk, &file, path) else { return Ok(LeftPart::Held) };
        let claims_path = path.with_extension(CLAIMS);
        // Without hints there is only the file to remove.
        let claims = match open_own(&**disk, &claims_path)? {
            Some(claims) => claims,
            None => file.try_clone()?,
        };
        let (disk, path) = (Arc::clone(disk), path.to_owned());
        Ok(LeftPart::Here(Self { disk, file, path, claims, claims_path, is_locked }))
    }

    /// Bytes that the partial file takes up on the disk; holes take none.
    pub(super) fn allocated_bytes(&self) -> u64 {
        Facts::of(&self.file).map_or(0, |facts| facts.allocated_bytes)
    }

    /// Whether the path still leads to the file that we hold.
    pub(super) fn in_place(&self) -> bool {
        leads_to(&self.path, &self.file)
    }

    /// Gives the file, which must be in place, one of these names in the folder, or one derived
    /// from the second: nothing is ever replaced.
    pub(super) fn publish(
        &self,
        dir: &Path,
        names: (Option<&str>, &str),
    ) -> Result<PathBuf, Unnamed> {
        publish(&*self.disk, &self.path, dir, names)
    }

    /// Ends the hold on a file that is now finished.
    pub(super) fn release(&self) {
        // Leftover hints cost a few bytes; a lock ends with the file's last handle.
        let _ = self.remove_claims();
        let _ = self.file.unlock();
    }

    /// Removes both files and ends the hold.
    pub(super) fn remove(&self) -> io::Result<()> {
        let removed = if self.in_place() { self.disk.remove(&self.path) } else { Ok(()) };
        self.release();
        removed
    }

    fn remove_claims(&self) -> io::Result<()> {
        if leads_to(&self.claims_path, &self.claims) {
            self.disk.remove(&self.claims_path)?;
        }
        Ok(())
    }
}

/// The hints for the partial file at `path`, held or not; `None` if this user has none.
pub(super) fn claims_of(disk: &dyn Disk, path: &Path) -> io::Result<Option<File>> {
    open_own(disk, &path.with_extension(CLAIMS))
}

/// The suffix of a partial file.
pub(super) const PART: &str = ".part";

/// The id's digits in a hidden name with this suffix; `None` for any other name.
pub(super) fn stem_of<'a>(name: &'a OsStr, suffix: &str) -> Option<&'a str> {
    let stem = name.to_str()?.strip_prefix(".klatch-")?.strip_suffix(suffix)?;
    let stem = stem.split_once('-').map_or(stem, |(stem, _)| stem);
    stem.bytes().all(|b| b.is_ascii_hexdigit()).then_some(stem)
}

impl Drop for Hidden {
    /// Handles cloned for serving must not keep the lock from the next download.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// Creates `path`, or opens it if it is ours; returns whether it was created.
pub(super) fn open_or_create(disk: &dyn Disk, path: &Path) -> io::Result<Option<(File, bool)>> {
    match disk.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => return created.map(|file| Some((file, true))),
    }
    Ok(open_own(disk, path)?.map(|file| (file, false)))
}

/// Opens the hints file, or makes it; the lock on its partial file is held. It gets its name as the
/// finished download will: if this disk cannot do that, we know before a byte is fetched.
fn open_claims(disk: &dyn Disk, path: &Path) -> io::Result<Option<File>> {
    if path.symlink_metadata().is_ok() {
        return open_own(disk, path);
    }
    let new = path.with_extension(CLAIMS_NEW);
    let created = match disk.create(&new) {
        // A killed run left it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            disk.remove(&new)?;
            disk.create(&new)
        }
        created => created,
    };
    let file = created?;
    if let Err(error) = rename_new(disk, &new, path) {
        let _ = disk.remove(&new);
        return Err(error);
    }
    Ok(Some(file))
}

/// Opens `path` if it is a regular file of ours with only this name. `Ok(None)` if there is none,
/// or if the name belongs to something else, such as a link planted so that we would write through
/// it.
pub(super) fn open_own(disk: &dyn Disk, path: &Path) -> io::Result<Option<File>> {
    let Ok(file) = open_as_it_is(path, true) else { return Ok(None) };
    let plain = is_plain(&Facts::of(&file)?);
    Ok((plain && is_ours(disk, &file, path)?).then_some(file))
}

/// A regular file with one name; some disks do not count names.
fn is_plain(facts: &Facts) -> bool {
    facts.kind == FileKind::File && facts.names <= 1
}

/// Whether a file belongs to this user, or to the owner of everything that this user creates in its
/// folder: some disks have no owners of their own.
fn is_ours(disk: &dyn Disk, file: &File, path: &Path) -> io::Result<bool> {
    let owner = disk.owner(file)?;
    if owner == me() {
        return Ok(true);
    }
    let Some(folder) = path.parent() else { return Ok(false) };
    // If it remains, it is found as a partial file.
    let trial = folder.join(format!(".klatch-{:016x}.part", u64::from_be_bytes(random())));
    // A disk that takes no file takes no download either, and reports that later.
    let Ok(made) = disk.create(&trial) else { return Ok(false) };
    let here = disk.owner(&made);
    disk.remove(&trial)?;
    Ok(here? == owner)
}

/// What to report about a partial file that is not ours.
fn look_at_foreign(disk: &dyn Disk, path: &Path) -> io::Result<LeftPart> {
    let Ok(file) = open_as_it_is(path, false) else { return Ok(LeftPart::Nothing) };
    let facts = Facts::of(&file)?;
    if !is_plain(&facts) {
        return Ok(LeftPart::Nothing);
    }
    Ok(match disk.try_lock(&file) {
        Err(TryLockError::WouldBlock) => LeftPart::Held,
        _ => LeftPart::Foreign(facts.allocated_bytes),
    })
}

/// Locks `file`, unless another program has it, or has finished or removed it meanwhile. Returns
/// whether it is locked. If the disk has no locks, it is used all the same: most likely its earlier
/// user is gone, and its content is verified at both ends.
pub(super) fn lock(disk: &dyn Disk, file: &File, path: &Path) -> Option<bool> {
    let is_locked = match disk.try_lock(file) {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => return None,
        Err(TryLockError::Error(_)) => false,
    };
    leads_to(path, file).then_some(is_locked)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::files::disk::SystemDisk;
    use crate::files::testing::write;
    use crate::sys::testing::{POSIX, link, pipe};

    fn try_open(dir: &Path) -> Option<Hidden> {
        let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
        Hidden::open(&disk, dir, "ab").unwrap()
    }

    fn name(hidden: &Hidden) -> &str {
        hidden.path.file_name().unwrap().to_str().unwrap()
    }

    #[test]
    fn two_programs_in_one_folder_do_not_collide() {
        let dir = tempfile::tempdir().unwrap();
        let open = || try_open(dir.path()).unwrap();
        let first = open();
        let second = open();
        assert_eq!((name(&first), name(&second)), (".klatch-ab.part", ".klatch-ab-2.part"));
        // A handle that keeps serving does not hold the lock.
        let serving = first.file.try_clone().unwrap();
        drop(first);
        assert_eq!(name(&open()), ".klatch-ab.part");
        drop(serving);
    }

    #[test]
    fn at_most_64_programs_hold_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let open = || try_open(dir.path());
        let held: Vec<_> = (0..NUMBERS).map(|_| open().unwrap()).collect();
        assert!(open().is_none());
        drop(held);
        assert!(open().is_some());
    }

    #[test]
    fn planted_links_pipes_and_folders_are_left_alone() {
        if !POSIX {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let mine = write(dir.path(), "mine", b"precious");
        link(&mine, &dir.path().join(".klatch-ab.part"));
        fs::hard_link(&mine, dir.path().join(".klatch-ab-2.part")).unwrap();
        pipe(&dir.path().join(".klatch-ab-3.part"));
        fs::create_dir(dir.path().join(".klatch-ab-4.part")).unwrap();
        link(Path::new("nowhere"), &dir.path().join(".klatch-ab-5.part"));
        link(&mine, &dir.path().join(".klatch-ab-6.claims"));
        let hidden = try_open(dir.path()).unwrap();
        assert_eq!(name(&hidden), ".klatch-ab-7.part");
        assert!(!dir.path().join(".klatch-ab-6.part").exists());
        assert_eq!(fs::read(&mine).unwrap(), b"precious");
    }

    #[test]
    fn what_was_put_in_our_place_is_noticed_and_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let hidden = try_open(dir.path()).unwrap();
        fs::remove_file(&hidden.path).unwrap();
        fs::write(&hidden.path, b"foreign").unwrap();
        assert!(!hidden.in_place());
        hidden.remove().unwrap();
        assert_eq!(fs::read(&hidden.path).unwrap(), b"foreign");
    }
}
