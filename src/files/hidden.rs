//! A hidden file that this program alone holds, and the way it gets its name in the end.
//!
//! The folder may be shared with other programs and other people: nothing is followed, trusted or
//! replaced that this program did not make or lock.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::source::Stamp;

/// How many programs may fetch one file into one folder at once.
const NUMBERS: u32 = 64;

/// A partial file and the hints about it, both hidden in the folder of the download. The lock on
/// the partial file covers both.
#[derive(Debug)]
pub(super) struct Hidden {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) claims: File,
    claims_path: PathBuf,
}

impl Hidden {
    /// Opens `.klatch-<stem>.part` and `.claims` in `dir`, or, where another program holds them,
    /// those of `<stem>-2`, `<stem>-3`, …; `Ok(None)` when all are held.
    pub(super) fn open(dir: &Path, stem: &str) -> io::Result<Option<Self>> {
        for number in 1..=NUMBERS {
            let number = if number == 1 { String::new() } else { format!("-{number}") };
            let path = dir.join(format!(".klatch-{stem}{number}.part"));
            let claims_path = dir.join(format!(".klatch-{stem}{number}.claims"));
            let Some((file, fresh)) = open_own(&path)? else { continue };
            if !lock(&file, &path, fresh) {
                continue;
            }
            let Some((claims, _)) = open_own(&claims_path)? else {
                if fresh {
                    fs::remove_file(&path)?;
                }
                continue;
            };
            if fresh {
                // Hints without their file are about another one.
                claims.set_len(0)?;
            }
            return Ok(Some(Self { file, path, claims, claims_path }));
        }
        Ok(None)
    }

    /// Whether the path still leads to the file that is held.
    pub(super) fn in_place(&self) -> bool {
        leads_to(&self.path, &self.file)
    }

    /// Gives the file the name `to`, which must not exist: nothing is ever replaced.
    pub(super) fn publish(&self, to: &Path) -> io::Result<()> {
        if !self.in_place() {
            return Err(io::Error::other("the partial file was moved or replaced meanwhile"));
        }
        rename_new(&self.path, to)
    }

    /// Ends the hold on what is a finished file now.
    pub(super) fn release(&self) {
        // A hint that stays behind costs a few bytes; a lock ends with the file's last handle.
        let _ = self.remove_claims();
        let _ = self.file.unlock();
    }

    /// Removes both files and ends the hold.
    pub(super) fn remove(&self) -> io::Result<()> {
        let removed = if self.in_place() { fs::remove_file(&self.path) } else { Ok(()) };
        self.release();
        removed
    }

    fn remove_claims(&self) -> io::Result<()> {
        if leads_to(&self.claims_path, &self.claims) {
            fs::remove_file(&self.claims_path)?;
        }
        Ok(())
    }
}

impl Drop for Hidden {
    /// Handles that were cloned for serving must not keep the lock from the next download.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// Creates `path`, or opens it if it is a regular file of ours under this one name; says whether
/// it was created. `Ok(None)` when something else bears the name, such as a link that somebody
/// planted there so that we would write through it.
fn open_own(path: &Path) -> io::Result<Option<(File, bool)>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match options.clone().create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => return created.map(|file| Some((file, true))),
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let Ok(file) = options.custom_flags(flags.bits().cast_signed()).open(path) else {
        return Ok(None);
    };
    let metadata = file.metadata()?;
    let own = metadata.uid() == rustix::process::geteuid().as_raw();
    Ok((metadata.is_file() && own && metadata.nlink() == 1).then_some((file, false)))
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

/// Renames a file without replacing anything.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some network disks cannot do it in one step; a hard link replaces nothing either.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => link_new(from, to),
        renamed => Ok(renamed?),
    }
}

fn link_new(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)?;
    // The file has its name; a second, hidden one that stays behind takes no space.
    let _ = fs::remove_file(from);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::files::testing::write;

    fn name(hidden: &Hidden) -> &str {
        hidden.path.file_name().unwrap().to_str().unwrap()
    }

    #[test]
    fn two_programs_in_one_folder_do_not_collide() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Hidden::open(dir.path(), "ab").unwrap().unwrap();
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
        let open = || Hidden::open(dir.path(), "ab").unwrap();
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
        let hidden = Hidden::open(dir.path(), "ab").unwrap().unwrap();
        assert_eq!(name(&hidden), ".klatch-ab-7.part");
        assert!(!dir.path().join(".klatch-ab-6.part").exists());
        assert_eq!(fs::read(&mine).unwrap(), b"precious");
    }

    #[test]
    fn a_name_that_is_taken_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let taken = write(dir.path(), "taken", b"old");
        for publish in [rename_new, link_new] {
            let from = write(dir.path(), "from", b"new");
            let error = publish(&from, &taken).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            let to = dir.path().join("to");
            publish(&from, &to).unwrap();
            assert!(!from.exists());
            assert_eq!(fs::read(&to).unwrap(), b"new");
            fs::remove_file(&to).unwrap();
        }
        assert_eq!(fs::read(&taken).unwrap(), b"old");
    }

    #[test]
    fn what_was_put_in_our_place_is_neither_published_nor_removed() {
        let dir = tempfile::tempdir().unwrap();
        let hidden = Hidden::open(dir.path(), "ab").unwrap().unwrap();
        fs::remove_file(&hidden.path).unwrap();
        fs::write(&hidden.path, b"foreign").unwrap();
        assert!(hidden.publish(&dir.path().join("to")).is_err());
        hidden.remove().unwrap();
        assert_eq!(fs::read(&hidden.path).unwrap(), b"foreign");
    }
}
