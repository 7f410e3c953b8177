//! Files to pass around, and memory kept warm.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// The page cache drops clean pages on some machines; memory does not.
const MEMORY: &str = "/dev/shm";
/// Memory to touch: enough for a file of 1 GiB several times over.
const BALLAST_BYTES: u64 = 8 << 30;
/// Size of the blocks in which the system hands back free memory.
const BLOCK_BYTES: u64 = 2 << 20;
/// How much of each block is kept.
const PAGE_BYTES: u64 = 4 << 10;
/// Bytes read or written at a time.
const PIECE_BYTES: usize = 1 << 20;

/// A folder in memory where that is possible.
pub(crate) fn memory_folder() -> Result<TempDir> {
    let memory = Path::new(MEMORY);
    Ok(if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? })
}

/// A file or folder to send, in memory.
pub(crate) struct Source {
    folder: TempDir,
    /// Its length in bytes, or that of its files together.
    pub(crate) bytes: u64,
    is_folder: bool,
}

impl Source {
    /// Fresh random bytes: nothing on the way can compress them or know them already.
    pub(crate) fn random(bytes: u64) -> Result<Self> {
        let source = Self { folder: memory_folder()?, bytes, is_folder: false };
        let mut random = File::open("/dev/urandom")?.take(bytes);
        let mut out = BufWriter::with_capacity(PIECE_BYTES, File::create(source.path())?);
        std::io::copy(&mut random, &mut out)?;
        out.flush()?;
        Ok(source)
    }

    /// Has only a length, for figures that depend on nothing else.
    pub(crate) fn sparse(bytes: u64) -> Result<Self> {
        let source = Self { folder: memory_folder()?, bytes, is_folder: false };
        File::create(source.path())?.set_len(bytes)?;
        Ok(source)
    }

    /// A folder that `fill` puts files into.
    pub(crate) fn folder(fill: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let mut source = Self { folder: memory_folder()?, bytes: 0, is_folder: true };
        fs::create_dir(source.path())?;
        fill(&source.path())?;
        source.bytes = files_in(&source.path())?.iter().map(|(_, bytes)| bytes).sum();
        Ok(source)
    }

    /// A folder of 64 MiB: 512 files of 16 KiB, 40 of 400 KiB and 4 of 10 MiB.
    pub(crate) fn mixed() -> Result<Self> {
        Self::folder(|top| {
            for (name, files, bytes) in
                [("small", 512, 16 << 10), ("middle", 40, 400 << 10), ("long", 4, 10 << 20)]
            {
                random_files(&top.join(name), files, bytes)?;
            }
            Ok(())
        })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join(if self.is_folder { "source" } else { "source.bin" })
    }

    /// Compares a copy byte for byte, and removes it.
    pub(crate) fn take_back(&self, copy: &Path) -> Result<()> {
        if self.is_folder {
            let mut comparing = Command::new("diff");
            comparing.args(["-rq", "--no-dereference"]).arg(self.path()).arg(copy);
            if !comparing.status().context("starting diff")?.success() {
                bail!("{} is not what was sent", copy.display());
            }
            return fs::remove_dir_all(copy)
                .with_context(|| format!("removing {}", copy.display()));
        }
        let (mut ours, mut theirs) = (File::open(self.path())?, File::open(copy)?);
        let (mut left, mut right) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
        if theirs.metadata()?.len() != self.bytes {
            bail!("{} is of another length than what was sent", copy.display());
        }
        let mut rest = self.bytes;
        while rest > 0 {
            let count = rest.min(PIECE_BYTES as u64) as usize;
            let (left, right) = (&mut left[..count], &mut right[..count]);
            ours.read_exact(left)?;
            theirs.read_exact(right)?;
            if left != right {
                bail!("{} is not what was sent", copy.display());
            }
            rest -= count as u64;
        }
        fs::remove_file(copy).with_context(|| format!("removing {}", copy.display()))
    }
}

/// So many files of random bytes in a new folder, 100 in each folder below it.
pub(crate) fn random_files(top: &Path, files: usize, bytes: usize) -> Result<()> {
    let mut random = File::open("/dev/urandom")?;
    let mut content = vec![0; bytes];
    for number in 0..files {
        let folder = top.join(format!("{:04}", number / 100));
        if number % 100 == 0 {
            fs::create_dir_all(&folder)?;
        }
        random.read_exact(&mut content)?;
        fs::write(folder.join(format!("{number:06}.bin")), &content)?;
    }
    Ok(())
}

/// Every file below a folder, by its path in it, with its length.
pub(crate) fn files_in(top: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(top.join(&folder))? {
            let entry = entry?;
            let (path, of) = (folder.join(entry.file_name()), entry.metadata()?);
            if of.is_dir() {
                folders.push(path);
            } else {
                files.push((path, of.len()));
            }
        }
    }
    Ok(files)
}

/// Memory that has been touched.
///
/// A virtual machine may hand free memory back to its host, block by block, and the next touch is
/// slow (2 s per GiB). This touches memory once and frees all but a page of each block, so that the
/// blocks stay, and stay warm, until it is dropped.
pub(crate) struct Ballast {
    _pages: Option<File>,
}

impl Ballast {
    /// Touches the memory, which may take some seconds.
    pub(crate) fn load() -> Result<Self> {
        if !Path::new(MEMORY).is_dir() {
            return Ok(Self { _pages: None });
        }
        let mut pages = tempfile::tempfile_in(MEMORY)?;
        let zeros = vec![0; PIECE_BYTES];
        for _ in 0..BALLAST_BYTES / PIECE_BYTES as u64 {
            pages.write_all(&zeros).context("touching memory")?;
        }
        for block in (0..BALLAST_BYTES).step_by(BLOCK_BYTES as usize) {
            free(&pages, block + PAGE_BYTES, BLOCK_BYTES - PAGE_BYTES)?;
        }
        Ok(Self { _pages: Some(pages) })
    }
}

#[cfg(target_os = "linux")]
fn free(file: &File, offset: u64, bytes: u64) -> Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    Ok(fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, bytes)?)
}

#[cfg(not(target_os = "linux"))]
fn free(_: &File, _: u64, _: u64) -> Result<()> {
    bail!("there is no way here to free a part of a file")
}
