//! Files to pass around.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Bytes that differ for every seed and do not repeat.
pub(crate) fn content(seed: u64, bytes: usize) -> Vec<u8> {
    // SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    });
    words.flat_map(u64::to_le_bytes).take(bytes).collect()
}

/// A folder for files to send.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and returns its path as text.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path.into_os_string().into_string().unwrap()
    }
}

/// Whether a file holds exactly this, for `assert!`: nobody wants megabytes of difference printed.
pub(crate) fn same(path: &Path, content: &[u8]) -> bool {
    fs::read(path).is_ok_and(|read| read == content)
}

/// Whether these tests run as root, which no permission stops.
pub(crate) fn root() -> bool {
    rustix::process::geteuid().is_root()
}
