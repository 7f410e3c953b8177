//! Gives a finished file its name without ever replacing anything, on every kind of disk.
//!
//! - It renames without replacing; if the disk cannot do that (FUSE, some network disks), it makes
//!   a hard link; if it cannot do that either (exFAT, FAT), an empty file reserves the name and the
//!   finished one then replaces it.
//! - A folder cannot have two names: an empty one reserves the name, and is replaced while it is
//!   empty.
//! - A name that is too long for the disk is cut, and characters that it does not allow become `_`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::names::{numbered, plain, shortened};
use crate::sys::errors::{is_about_the_name, is_unknown_way};
use crate::sys::files::Facts;

/// Most files with the same name in one folder.
const SAME_NAMES: u32 = 1_000;
/// Lengths to which an overlong name is shortened: encrypted folders allow 143 bytes at most, and a
/// number must fit as well.
const SHORTER_BYTES: [usize; 2] = [130, 60];

/// Why a file did not get its name.
#[derive(Debug)]
pub struct Unnamed {
    /// The name that it should have got.
    pub path: PathBuf,
    /// The system's error.
    pub error: io::Error,
}

/// Gives the file `from` the name `chosen` in the folder `dir`, on the same disk, if that is free;
/// else `name`, with ` (2)` and so on before the extension if that is taken. Returns its path.
///
/// # Errors
/// The disk's error.
pub fn publish(
    disk: &dyn Disk,
    from: &Path,
    dir: &Path,
    names: (Option<&str>, &str),
) -> Result<PathBuf, Unnamed> {
    publish_by(&|to| rename_new(disk, from, to), dir, names)
}

/// The same for a folder.
///
/// # Errors
/// The disk's error.
pub fn publish_folder(
    disk: &dyn Disk,
    from: &Path,
    dir: &Path,
    names: (Option<&str>, &str),
) -> Result<PathBuf, Unnamed> {
    publish_by(&|to| rename_folder_new(disk, from, to), dir, names)
}

fn publish_by(
    rename: &dyn Fn(&Path) -> io::Result<()>,
    dir: &Path,
    (chosen, name): (Option<&str>, &str),
) -> Result<PathBuf, Unnamed> {
    if let Some(path) = chosen.map(|chosen| dir.join(chosen)) {
        match rename(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if is_about_the_name(&error) => {}
            Err(error) => return Err(Unnamed { path, error }),
        }
    }
    let plain = plain(name);
    let shorter = SHORTER_BYTES.iter();
    let mut forms = vec![name.to_owned()];
    forms.extend(shorter.clone().map(|&most| shortened(name, most)));
    forms.push(plain.clone());
    forms.extend(shorter.map(|&most| shortened(&plain, most)));
    forms.dedup();
    let taken = io::Error::from(io::ErrorKind::AlreadyExists);
    let mut failed = Unnamed { path: dir.join(name), error: taken };
    for form in forms {
        for number in 1..=SAME_NAMES {
            let path = dir.join(numbered(&form, number));
            match rename(&path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if is_about_the_name(&error) => {
                    failed = Unnamed { path, error };
                    break;
                }
                Err(error) => return Err(Unnamed { path, error }),
            }
        }
    }
    Err(failed)
}

/// Gives the file `from` the name `to`, which must not exist yet.
///
/// # Errors
/// The disk's error.
pub(super) fn rename_new(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    match disk.rename(from, to) {
        Err(error) if is_unknown_way(&error) => {}
        renamed => return renamed,
    }
    match disk.link(from, to) {
        Ok(()) => {
            // The file has its name; if the hidden second one remains, it takes no space.
            let _ = disk.remove(from);
            Ok(())
        }
        Err(error) if is_unknown_way(&error) => take_place(disk, from, to),
        Err(error) => Err(error),
    }
}

/// Gives the folder `from` the name `to`, which must not exist yet.
fn rename_folder_new(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    match disk.rename(from, to) {
        Err(error) if is_unknown_way(&error) => {}
        renamed => return renamed,
    }
    // An empty folder reserves the name; one that is not empty is never replaced.
    fs::create_dir(to)?;
    let renamed = disk.rename_over(from, to);
    if renamed.is_err() {
        // The rename's error says more.
        let _ = fs::remove_dir(to);
    }
    renamed
}

/// Makes an empty file of that name, and replaces it with the finished one.
fn take_place(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    let empty = disk.create(to)?;
    let is_ours = || leads_to(to, &empty) && empty.metadata().is_ok_and(|there| there.len() == 0);
    if !is_ours() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let renamed = disk.rename_over(from, to);
    if renamed.is_err() && is_ours() {
        // The rename's error says more.
        let _ = disk.remove(to);
    }
    renamed
}

/// Whether `path` leads to the file that is open.
pub(super) fn leads_to(path: &Path, file: &File) -> bool {
    let (there, here) = (Facts::of_name(path), Facts::of(file));
    matches!((there, here), (Ok(there), Ok(here)) if there.id == here.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::faulty::FaultyDisk;
    use crate::files::testing::write;
    use crate::sys::errors::Errno;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_name_that_is_taken_is_never_replaced_whatever_the_disk_can_do() {
        let unknown = [Errno::INVAL, Errno::NOSYS, Errno::NOTSUP, Errno::PERM].map(Some);
        for rename in [None].into_iter().chain(unknown) {
            for link in [None].into_iter().chain(unknown) {
                let dir = tempfile::tempdir().unwrap();
                let disk = FaultyDisk::default();
                disk.change(|faults| (faults.rename, faults.link) = (rename, link));
                let from = write(dir.path(), "from", b"new");
                let taken = write(dir.path(), "a.txt", b"old");
                let error = rename_new(&disk, &from, &taken).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{rename:?} {link:?}");
                let path = publish(&disk, &from, dir.path(), (None, "a.txt")).unwrap();
                assert_eq!(fs::read(&path).unwrap(), b"new");
                assert_eq!(fs::read(&taken).unwrap(), b"old");
                assert_eq!(names(dir.path()), ["a (2).txt", "a.txt"]);
            }
        }
    }

    #[test]
    fn a_folder_that_is_there_is_never_replaced_whatever_the_disk_can_do() {
        for rename in [None, Some(Errno::INVAL), Some(Errno::NOSYS)] {
            let dir = tempfile::tempdir().unwrap();
            let disk = FaultyDisk::default();
            disk.change(|faults| faults.rename = rename);
            let (from, taken) = (dir.path().join("from"), dir.path().join("a"));
            for folder in [&from, &taken] {
                fs::create_dir(folder).unwrap();
            }
            write(&from, "new", b"new");
            write(dir.path(), "b", b"old");
            let path = publish_folder(&disk, &from, dir.path(), (Some("b"), "a")).unwrap();
            assert!(path.ends_with("a (2)"), "{}", path.display());
            assert_eq!((names(&path), names(&taken)), (vec!["new".to_owned()], vec![]));
            assert_eq!(names(dir.path()), ["a", "a (2)", "b"]);
            disk.change(|faults| faults.rename_over = Some(Errno::IO));
            fs::rename(&path, &from).unwrap();
            let again = publish_folder(&disk, &from, dir.path(), (None, "a"));
            assert_eq!(again.is_err(), rename.is_some());
            assert!(names(dir.path()).len() == 3);
        }
    }

    #[test]
    fn a_rename_that_fails_leaves_no_empty_file() {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        disk.change(|faults| {
            (faults.rename, faults.link) = (Some(Errno::INVAL), Some(Errno::PERM));
            faults.rename_over = Some(Errno::IO);
        });
        let from = write(dir.path(), "from", b"new");
        let failed = publish(&disk, &from, dir.path(), (None, "a.txt")).unwrap_err();
        assert_eq!(Errno::from_io_error(&failed.error), Some(Errno::IO));
        assert_eq!(names(dir.path()), ["from"]);
    }

    #[test]
    fn a_disk_with_short_names_gets_a_short_name() {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let long = format!("2026-11-22_14-05-33_{}.tar.gz", "\u{fc}".repeat(70));
        for (most, same) in [(255, true), (143, false), (80, false)] {
            disk.change(|faults| faults.name_bytes = Some(most));
            for _ in 0..2 {
                let from = write(dir.path(), "from", b"new");
                let path = publish(&disk, &from, dir.path(), (None, &long)).unwrap();
                let name = path.file_name().unwrap().to_str().unwrap();
                assert!(name.len() <= most && name.ends_with(".gz"), "{name}");
                assert!(name.starts_with("2026-11-22_14-05-33_"), "{name}");
                assert!(!same || name.len() > 143);
            }
        }
        disk.change(|faults| faults.name_bytes = Some(20));
        let from = write(dir.path(), "from", b"new");
        let failed = publish(&disk, &from, dir.path(), (None, &long)).unwrap_err();
        assert_eq!(Errno::from_io_error(&failed.error), Some(Errno::NAMETOOLONG));
        assert_eq!(fs::read(&from).unwrap(), b"new");
    }

    #[test]
    fn a_disk_that_knows_no_umlaut_gets_a_name_without() {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        disk.change(|faults| faults.ascii = true);
        let from = write(dir.path(), "from", b"new");
        let path = publish(&disk, &from, dir.path(), (None, "sch\u{f6}n.txt")).unwrap();
        assert!(path.ends_with("sch_n.txt"), "{}", path.display());
    }
}
