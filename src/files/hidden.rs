//! A hidden file that this program alone holds, and the way it gets its name in the end.
//!
//! The folder may be shared with other programs and other people: nothing is followed, trusted or
//! replaced that this program did not make or lock.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use super::disk::Disk;
use super::source::Stamp;

/// The ending of the file of hints.
const CLAIMS: &str = "claims";
/// How many programs may fetch one file into one folder at once.
const NUMBERS: u32 = 64;

/// A partial file and the hints about it, both hidden in the folder of the download. The lock on
/// the partial file covers both.
#[derive(Debug)]
pub(super) struct Hidden {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) claims: File,
    claims_path: PathBuf,
}

impl Hidden {
    /// Opens `.klatch-<stem>.part` and `.claims` in `dir`, or, where another program holds them,
    /// those of `<stem>-2`, `<stem>-3`, …; `Ok(None)` when all are held.
    pub(super) fn open(disk: &Arc<dyn Disk>, dir: &Path, stem: &str) -> io::Result<Option<Self>> {
        for number in 1..=NUMBERS {
            let number = if number == 1 { String::new() } else { format!("-{number}") };
            let path = dir.join(format!(".klatch-{stem}{number}.part"));
            let claims_path = path.with_extension(CLAIMS);
            let Some((file, fresh)) = open_or_create(&**disk, &path)? else { continue };
            if !lock(&file, &path, fresh) {
                continue;
            }
            let claims = open_or_create(&**disk, &claims_path);
            let Ok(Some((claims, _))) = claims else {
                if fresh {
                    disk.remove(&path)?;
                }
                claims?;
                continue;
            };
            if fresh {
                // Hints without their file are about another one.
                disk.set_len(&claims, 0)?;
            }
            return Ok(Some(Self { disk: Arc::clone(disk), file, path, claims, claims_path }));
        }
        Ok(None)
    }

    /// Opens the partial file at `path`, of an earlier download, with what belongs to it; `None`
    /// when another program holds it, or it is no partial file of this user's.
    pub(super) fn open_left(disk: &Arc<dyn Disk>, path: &Path) -> io::Result<Option<Self>> {
        let Some(file) = open_own(path)? else { return Ok(None) };
        if !lock(&file, path, false) {
            return Ok(None);
        }
        let claims_path = path.with_extension(CLAIMS);
        // Without hints there is no more to remove than the file.
        let claims = match open_own(&claims_path)? {
            Some(claims) => claims,
            None => file.try_clone()?,
        };
        let (disk, path) = (Arc::clone(disk), path.to_owned());
        Ok(Some(Self { disk, file, path, claims, claims_path }))
    }

    /// Bytes that the partial file takes on the disk; holes take none.
    pub(super) fn allocated_bytes(&self) -> u64 {
        // POSIX leaves the unit open; it is 512 bytes wherever klatch runs.
        self.file.metadata().map_or(0, |metadata| metadata.blocks() * 512)
    }

    /// Whether the path still leads to the file that is held.
    pub(super) fn in_place(&self) -> bool {
        leads_to(&self.path, &self.file)
    }

    /// Gives the file, which must be in place, the name `to`, which must not exist: nothing is ever
    /// replaced.
    pub(super) fn publish(&self, to: &Path) -> io::Result<()> {
        self.disk.rename(&self.path, to)
    }

    /// Ends the hold on what is a finished file now.
    pub(super) fn release(&self) {
        // A hint that stays behind costs a few bytes; a lock ends with the file's last handle.
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

/// The digits of the id in the name of a partial file; `None` for any other name.
pub(super) fn stem_of(name: &OsStr) -> Option<&str> {
    let stem = name.to_str()?.strip_prefix(".klatch-")?.strip_suffix(".part")?;
    let stem = stem.split_once('-').map_or(stem, |(stem, _)| stem);
    stem.bytes().all(|b| b.is_ascii_hexdigit()).then_some(stem)
}

impl Drop for Hidden {
    /// Handles that were cloned for serving must not keep the lock from the next download.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// Creates `path`, or opens it if it is ours; says whether it was created.
fn open_or_create(disk: &dyn Disk, path: &Path) -> io::Result<Option<(File, bool)>> {
    match disk.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => return created.map(|file| Some((file, true))),
    }
    Ok(open_own(path)?.map(|file| (file, false)))
}

/// Opens `path` if it is a regular file of ours under this one name. `Ok(None)` when there is
/// none, or something else bears the name, such as a link that somebody planted there so that we
/// would write through it.
fn open_own(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(flags.bits().cast_signed());
    let Ok(file) = options.open(path) else { return Ok(None) };
    let metadata = file.metadata()?;
    let own = metadata.uid() == rustix::process::geteuid().as_raw();
    Ok((metadata.is_file() && own && metadata.nlink() == 1).then_some(file))
}

/// Locks `file`, unless another program has it, or has finished or removed it meanwhile.
fn lock(file: &File, path: &Path, fresh: bool) -> bool {
    match file.try_lock() {
        Ok(()) => leads_to(path, file),
        Err(TryLockError::WouldBlock) => false,
        // Where the disk knows no locks, only a file that we created is surely ours alone.
        Err(TryLockError::Error(_)) => fresh,
    }
}

fn leads_to(path: &Path, file: &File) -> bool {
    let there = fs::symlink_metadata(path).map(|metadata| Stamp::of(&metadata));
    let here = file.metadata().map(|metadata| Stamp::of(&metadata));
    matches!((there, here), (Ok(there), Ok(here)) if there.is_same_file(&here))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::CWD;

    use super::*;
    use crate::files::disk::SystemDisk;
    use crate::files::testing::write;

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
        // A handle that goes on serving does not hold the lock.
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
        let dir = tempfile::tempdir().unwrap();
        let mine = write(dir.path(), "mine", b"precious");
        symlink(&mine, dir.path().join(".klatch-ab.part")).unwrap();
        fs::hard_link(&mine, dir.path().join(".klatch-ab-2.part")).unwrap();
        let pipe = dir.path().join(".klatch-ab-3.part");
        rustix::fs::mkfifoat(CWD, &pipe, 0o600.into()).unwrap();
        fs::create_dir(dir.path().join(".klatch-ab-4.part")).unwrap();
        symlink("nowhere", dir.path().join(".klatch-ab-5.part")).unwrap();
        symlink(&mine, dir.path().join(".klatch-ab-6.claims")).unwrap();
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
