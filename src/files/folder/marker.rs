//! A small file by which klatch knows a folder again that it made: whose it is, and what it put
//! there. Only folders that may be brought up to date later have one.
//!
//! It is as hostile as anything on the disk: whatever it says, a file counts as klatch's only if it
//! has the content that is listed.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::manifest::{MANIFEST_MAX_BYTES, Manifest};
use crate::router::ids::MemberId;
use crate::sys::files::{Facts, FileId, FileKind};
use crate::sys::folders::FolderHandle;

/// Its name, which nothing else in a folder may have.
pub const MARKER: &str = ".klatch-folder";
/// What it begins with.
const MAGIC: &[u8] = b"klatch made this folder 1\n";
/// Longest name, in bytes.
const NAME_MAX_BYTES: usize = 4_096;

/// What klatch made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderMarker {
    /// Who offered the folder.
    pub from: MemberId,
    /// Under which name.
    pub name: String,
    /// What is in it; the paths are those on this computer.
    pub manifest: Manifest,
}

impl FolderMarker {
    /// As it is written.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut name = self.name.as_str();
        while name.len() > NAME_MAX_BYTES {
            name = name.get(..name.len() - 1).unwrap_or_default();
        }
        let len = u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes();
        [MAGIC, &self.from.0, &len, name.as_bytes(), self.manifest.bytes()].concat()
    }

    /// Reads one; `None` if it is none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (from, rest) = rest.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let (name, rest) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
        let name = std::str::from_utf8(name).ok()?.to_owned();
        let manifest = Manifest::decode(rest.to_vec()).ok()?;
        Some(Self { from: MemberId(*from), name, manifest })
    }

    fn read(top: &FolderHandle) -> io::Result<Option<Self>> {
        let file = match top.file(OsStr::new(MARKER), false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if Facts::of(&file)?.kind != FileKind::File {
            return Ok(None);
        }
        let most = MANIFEST_MAX_BYTES + NAME_MAX_BYTES + 1_024;
        let mut bytes = Vec::new();
        file.take(most as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Self::from_bytes(&bytes))
    }
}

/// Whether something of this name is a marker, as the disk that distinguishes least sees it.
#[must_use]
pub fn is_marker(name: &str) -> bool {
    name.eq_ignore_ascii_case(MARKER)
}

/// An earlier version of a folder, which klatch made.
#[derive(Debug)]
pub struct EarlierFolder {
    /// Where it lies.
    pub path: PathBuf,
    /// The folder.
    pub top: FolderHandle,
    /// Which folder it is.
    pub id: FileId,
    /// What klatch made of it.
    pub marker: FolderMarker,
}

impl EarlierFolder {
    /// What lies at a path: nothing, or an earlier version of what this member offers under this
    /// name; an error of the kind `AlreadyExists` is something else.
    ///
    /// # Errors
    /// This, and the system's error.
    pub fn at(path: &Path, from: &MemberId, name: &str) -> io::Result<Option<Self>> {
        let foreign = || io::Error::from(io::ErrorKind::AlreadyExists);
        match Facts::of_name(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(facts) if facts.kind == FileKind::Folder => {}
            facts => return Err(facts.err().unwrap_or_else(foreign)),
        }
        let top = FolderHandle::open(path)?;
        let id = top.facts()?.id;
        if Facts::of_name(path)?.id != id {
            return Err(foreign());
        }
        let marker = FolderMarker::read(&top)?.ok_or_else(foreign)?;
        match marker.from == *from && marker.name == name {
            true => Ok(Some(Self { path: path.to_owned(), top, id, marker })),
            false => Err(foreign()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::testing::write;

    #[test]
    fn a_marker_is_read_as_it_was_written_and_nothing_else_is_one() {
        let (from, name) = (MemberId([7; 32]), "photos".to_owned());
        let manifest = Manifest::encode(&[]).unwrap();
        let marker = FolderMarker { from, name, manifest };
        let bytes = marker.to_bytes();
        assert_eq!(FolderMarker::from_bytes(&bytes), Some(marker.clone()));
        for end in 0..bytes.len() {
            assert_eq!(FolderMarker::from_bytes(&bytes[..end]), None, "{end}");
        }
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| EarlierFolder::at(dir.path(), &from, name).map(|of| of.is_some());
        let foreign = |found: io::Result<bool>| {
            found.is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists)
        };
        assert!(foreign(at("photos")), "there is no marker");
        write(dir.path(), MARKER, &bytes);
        assert!(at("photos").unwrap());
        assert!(foreign(at("films")));
        let elsewhere = dir.path().join("none");
        assert!(EarlierFolder::at(&elsewhere, &from, "photos").unwrap().is_none());
        let file = EarlierFolder::at(&dir.path().join(MARKER), &from, "photos");
        assert!(foreign(file.map(|of| of.is_some())));
    }
}
