//! Files on POSIX systems.

use std::fs::{self, DirBuilder, File, FileType, Metadata, OpenOptions, Permissions};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{
    DirBuilderExt, FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt,
};
use std::path::Path;

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};

use super::{Facts, FileId, FileKind, Owner, Positional};

pub(super) fn facts_of(file: &File) -> io::Result<Facts> {
    file.metadata().map(|metadata| facts(&metadata))
}

pub(super) fn facts_at(path: &Path) -> io::Result<Facts> {
    fs::metadata(path).map(|metadata| facts(&metadata))
}

pub(super) fn facts_of_name(path: &Path) -> io::Result<Facts> {
    fs::symlink_metadata(path).map(|metadata| facts(&metadata))
}

fn facts(metadata: &Metadata) -> Facts {
    let seconds = i128::from(metadata.mtime());
    Facts {
        kind: kind(metadata.file_type()),
        len: metadata.len(),
        modified_ns: seconds * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
        id: FileId { device: metadata.dev(), number: metadata.ino() },
        names: metadata.nlink(),
        // POSIX leaves the unit open; it is 512 bytes wherever klatch runs.
        allocated_bytes: metadata.blocks() * 512,
        owner: metadata.uid(),
        is_executable: metadata.mode() & 0o100 != 0,
    }
}

fn kind(kind: FileType) -> FileKind {
    match kind {
        _ if kind.is_file() => FileKind::File,
        _ if kind.is_dir() => FileKind::Folder,
        _ if kind.is_symlink() => FileKind::Link,
        _ if kind.is_fifo() => FileKind::Pipe,
        _ if kind.is_socket() => FileKind::Socket,
        _ if kind.is_block_device() || kind.is_char_device() => FileKind::Device,
        _ => FileKind::Other,
    }
}

pub(super) fn me() -> Owner {
    rustix::process::geteuid().as_raw()
}

pub(super) fn is_mine(metadata: &Metadata) -> bool {
    metadata.uid() == me()
}

impl Positional for File {
    fn read_at(&self, space: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, space, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn read_vectored_at(&self, space: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::preadv(self, space, offset)?)
    }
}

#[cfg(target_os = "linux")]
pub(super) fn take_room(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};

    Ok(fallocate(file, FallocateFlags::KEEP_SIZE, offset, bytes)?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn take_room(_file: &File, _offset: u64, _bytes: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
pub(super) fn clone_bytes(from: &File, to: &File) -> io::Result<()> {
    Ok(rustix::fs::ioctl_ficlone(to, from)?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn clone_bytes(_from: &File, _to: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

pub(super) fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

pub(super) fn open_folder(folder: &Path) -> io::Result<File> {
    File::open(folder)
}

pub(super) fn open_quietly(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

pub(super) fn open_as_it_is(path: &Path, write: bool) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options.read(true).write(write).custom_flags(flags.bits().cast_signed());
    options.open(path)
}

pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

pub(super) fn make_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

pub(super) fn private_folders<'a, 'b, 'c>(
    builder: &'a mut tempfile::Builder<'b, 'c>,
) -> &'a mut tempfile::Builder<'b, 'c> {
    builder.permissions(Permissions::from_mode(0o700))
}

pub(super) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}
