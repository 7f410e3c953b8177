//! The data directory: it holds the identity and the secret of the pages' tokens, and only one
//! program uses it at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use crate::config::DataDir;
use crate::crypto::identity::Identity;
use crate::crypto::random::random;
use crate::router::notice::{Code, Failure};
use crate::sys::files::{make_private_folder, private, sync_folder};

/// The seed of the identity, as 64 hex digits and a line feed.
const IDENTITY: &str = "identity";
/// The secret for making the pages' tokens, in the same form.
const PAGE_SECRET: &str = "page-secret";
/// Locked while a program runs.
const LOCK: &str = "lock";

/// An identity for this run, and the lock that reserves the directory for it.
#[derive(Debug)]
pub struct HeldIdentity {
    /// The identity.
    pub identity: Identity,
    /// Why it ends with this run, if it does.
    pub temporary: Option<String>,
    /// The directory of what is kept; `None` for a temporary identity.
    path: Option<PathBuf>,
    /// Released when dropped; `None` for a temporary identity.
    _lock: Option<File>,
}

impl HeldIdentity {
    fn temporary(reason: impl Into<String>) -> Self {
        let temporary = Some(reason.into());
        Self { identity: Identity::generate(), temporary, path: None, _lock: None }
    }

    /// The secret for making the pages' tokens, created if missing; `None` if nothing is kept.
    ///
    /// # Errors
    /// `data_dir_not_writable`, with the path and what to do.
    pub fn page_secret(&self) -> Result<Option<[u8; 32]>, Failure> {
        let Some(path) = &self.path else { return Ok(None) };
        let secret = read_or_make(&path.join(PAGE_SECRET), random);
        secret.map(Some).map_err(|error| not_writable(path, &error))
    }
}

/// Opens the data directory, creating it and an identity if missing; `None` is `--ephemeral`.
///
/// If another klatch uses it, a default directory gives a temporary identity, and one that a person
/// chose is an error.
///
/// # Errors
/// `data_dir_in_use` and `data_dir_not_writable`, with the path and what to do.
pub fn open(dir: Option<&DataDir>) -> Result<HeldIdentity, Failure> {
    let Some(dir) = dir else { return Ok(HeldIdentity::temporary("--ephemeral")) };
    let path = &dir.path;
    let lock = lock(path).map_err(|error| not_writable(path, &error))?;
    let Some(lock) = lock else {
        if dir.chosen {
            let text = format!(
                "another klatch uses the data directory {}: end it, or choose another --data-dir",
                path.display()
            );
            return Err(Failure::new(Code::DataDirInUse, text));
        }
        return Ok(HeldIdentity::temporary(format!("another klatch uses {}", path.display())));
    };
    let seed = read_or_make(&path.join(IDENTITY), || Identity::generate().seed());
    let seed = seed.map_err(|error| not_writable(path, &error))?;
    let identity = Identity::from_seed(seed);
    Ok(HeldIdentity { identity, temporary: None, path: Some(path.clone()), _lock: Some(lock) })
}

fn not_writable(path: &Path, error: &io::Error) -> Failure {
    let text = format!(
        "cannot use the data directory {}: {error}; choose another --data-dir, or --ephemeral",
        path.display()
    );
    Failure::new(Code::DataDirNotWritable, text)
}

/// `None` if another program holds it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    make_private_folder(path)?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    let file = private(&mut options).open(path.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn read_or_make(path: &Path, new: impl FnOnce() -> [u8; 32]) -> io::Result<[u8; 32]> {
    match File::open(path) {
        Ok(file) => read(file, path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path, new()),
        Err(error) => Err(error),
    }
}

fn read(file: File, path: &Path) -> io::Result<[u8; 32]> {
    let mut text = String::new();
    file.take(128).read_to_string(&mut text)?;
    let digits = text.trim_end();
    let mut seed = [0; 32];
    let whole = digits.len() == 64
        && HEXLOWER.decode_mut(digits.as_bytes(), &mut seed).is_ok_and(|n| n == seed.len());
    if !whole {
        let name = path.file_name().unwrap_or_default().display();
        let text = format!("its file \"{name}\" is damaged: remove it for a new one");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(seed)
}

/// Writes a new secret, so that the file is there completely or not at all.
fn make(path: &Path, seed: [u8; 32]) -> io::Result<[u8; 32]> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".secret-").tempfile_in(dir)?;
    writeln!(file, "{}", HEXLOWER.encode(&seed))?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    sync_folder(dir)?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::sys::testing::{POSIX, mode};

    fn at(path: &Path, chosen: bool) -> DataDir {
        DataDir { path: path.to_owned(), chosen }
    }

    #[test]
    fn an_identity_is_made_once_for_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let dir = at(&home.path().join("a/klatch"), true);
        let first = open(Some(&dir)).unwrap();
        assert!(!POSIX || mode(&dir.path.join(IDENTITY)) == 0o600);
        let public = first.identity.public();
        let secret = first.page_secret().unwrap();
        assert!(secret.is_some_and(|secret| secret != first.identity.seed()));
        assert!(!POSIX || mode(&dir.path.join(PAGE_SECRET)) == 0o600);
        drop(first);
        let again = open(Some(&dir)).unwrap();
        assert_eq!(again.identity.public(), public);
        assert_eq!(again.page_secret().unwrap(), secret);
        assert_eq!(open(None).unwrap().page_secret().unwrap(), None);
    }

    #[test]
    fn a_second_program_is_refused_or_gets_a_temporary_identity() {
        let home = tempfile::tempdir().unwrap();
        let first = open(Some(&at(home.path(), true))).unwrap();
        let refused = open(Some(&at(home.path(), true))).unwrap_err();
        assert_eq!(refused.code, Code::DataDirInUse);
        let second = open(Some(&at(home.path(), false))).unwrap();
        assert!(second.temporary.is_some());
        assert_ne!(second.identity.public(), first.identity.public());
    }

    #[test]
    fn a_damaged_identity_and_a_file_in_the_way_are_said_clearly() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(IDENTITY), "abc").unwrap();
        let failure = open(Some(&at(home.path(), true))).unwrap_err();
        assert_eq!(failure.code, Code::DataDirNotWritable);
        assert!(failure.text.contains("damaged"), "{}", failure.text);
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        let failure = open(Some(&at(&file.join("dir"), true))).unwrap_err();
        assert_eq!(failure.code, Code::DataDirNotWritable);
    }
}
