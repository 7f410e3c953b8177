//! Files on Windows, with only the standard library and safe crates. What these cannot do is left
//! out, and the function's documentation says so.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, IoSliceMut};
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

use tempfile::TempPath;
use winapi_util::file::information;

use super::{Facts, FileId, FileKind, Owner, Positional};

/// Opens folders as well (`FILE_FLAG_BACKUP_SEMANTICS`).
const FOLDERS_TOO: u32 = 0x0200_0000;
/// Opens the entry with this exact name (`FILE_FLAG_OPEN_REPARSE_POINT`).
const AS_IT_IS: u32 = 0x0020_0000;

pub(super) fn facts_of(file: &File) -> io::Result<Facts> {
    let (metadata, known) = (file.metadata()?, information(file)?);
    Ok(Facts {
        kind: kind(&metadata),
        len: metadata.len(),
        modified_ns: nanoseconds(&metadata)?,
        id: FileId { device: known.volume_serial_number(), number: known.file_index() },
        names: known.number_of_links(),
        allocated_bytes: metadata.len(),
        owner: me(),
        is_executable: false,
    })
}

pub(super) fn facts_at(path: &Path) -> io::Result<Facts> {
    facts_of(&look(path, FOLDERS_TOO)?)
}

pub(super) fn facts_of_name(path: &Path) -> io::Result<Facts> {
    facts_of(&look(path, FOLDERS_TOO | AS_IT_IS)?)
}

/// A handle that can be used only to ask for facts.
fn look(path: &Path, flags: u32) -> io::Result<File> {
    OpenOptions::new().access_mode(0).custom_flags(flags).open(path)
}

fn kind(metadata: &Metadata) -> FileKind {
    match metadata.file_type() {
        kind if kind.is_file() => FileKind::File,
        kind if kind.is_dir() => FileKind::Folder,
        kind if kind.is_symlink() => FileKind::Link,
        _ => FileKind::Other,
    }
}

fn nanoseconds(metadata: &Metadata) -> io::Result<i128> {
    let whole = |nanoseconds: u128| i128::try_from(nanoseconds).unwrap_or(i128::MAX);
    Ok(match metadata.modified()?.duration_since(UNIX_EPOCH) {
        Ok(since) => whole(since.as_nanos()),
        Err(before) => -whole(before.duration().as_nanos()),
    })
}

pub(super) fn me() -> Owner {
    0
}

pub(super) fn is_mine(_metadata: &Metadata) -> bool {
    true
}

impl Positional for File {
    fn read_at(&self, space: &mut [u8], offset: u64) -> io::Result<usize> {
        self.seek_read(space, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.seek_write(bytes, offset)
    }

    fn read_vectored_at(&self, space: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        let mut all = 0;
        for part in space {
            let read = self.read_at(part, offset + all as u64)?;
            all += read;
            if read < part.len() {
                break;
            }
        }
        Ok(all)
    }
}

pub(super) fn take_room(_file: &File, _offset: u64, _bytes: u64) -> io::Result<()> {
    Ok(())
}

pub(super) fn clone_bytes(_from: &File, _to: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn exchange(_one: &Path, _other: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    // The standard library's rename replaces; this one moves without replacing.
    match TempPath::try_from_path(from)?.persist_noclobber(to) {
        Ok(()) => Ok(()),
        Err(mut failed) => {
            // It is not a temporary file: dropping its path must not remove it.
            failed.path.disable_cleanup(true);
            Err(failed.error)
        }
    }
}

pub(super) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

pub(super) fn open_folder(folder: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(FOLDERS_TOO).open(folder)
}

pub(super) fn open_quietly(path: &Path) -> io::Result<File> {
    File::open(path)
}

pub(super) fn open_as_it_is(path: &Path, write: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(write).custom_flags(AS_IT_IS).open(path)
}

pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

pub(super) fn make_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(path)
}

pub(super) fn private_folders<'a, 'b, 'c>(
    builder: &'a mut tempfile::Builder<'b, 'c>,
) -> &'a mut tempfile::Builder<'b, 'c> {
    builder
}

pub(super) fn free_bytes(_folder: &Path) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}
