//! Contents and vectors shared by the tests of this module.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::merkle::{ChunkHasher, FileTree, chunk_count, chunk_range};

/// A line of tests/vectors/bep52.txt, which says how it was made.
#[derive(Debug)]
pub(crate) struct Vector {
    pub(crate) content: &'static str,
    pub(crate) len: u64,
    pub(crate) piece_bytes: u32,
    pub(crate) root: String,
    pub(crate) layer: Option<String>,
}

pub(crate) fn vectors() -> Vec<Vector> {
    let text = include_str!("../../tests/vectors/bep52.txt");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let vectors: Vec<_> = lines
        .map(|line| {
            let columns: Vec<&str> = line.split(' ').collect();
            Vector {
                content: columns[0],
                len: columns[1].parse().unwrap(),
                piece_bytes: columns[2].parse().unwrap(),
                root: columns[3].to_owned(),
                layer: (columns[4] != "-").then(|| columns[4].to_owned()),
            }
        })
        .collect();
    assert!(vectors.len() >= 15);
    vectors
}

/// The vectors' content `count`: `bytes` bytes from `offset`, a multiple of 8.
pub(crate) fn count_bytes(offset: u64, bytes: usize) -> Vec<u8> {
    let mut out: Vec<u8> =
        (0..bytes.div_ceil(8) as u64).flat_map(|word| (offset / 8 + word).to_be_bytes()).collect();
    out.truncate(bytes);
    out
}

/// The tree of a file of `len` bytes of `content(offset, bytes)`.
pub(crate) fn tree_of(len: u64, content: impl Fn(u64, usize) -> Vec<u8>) -> FileTree {
    let chunks = (0..chunk_count(len))
        .map(|index| {
            let (offset, bytes) = chunk_range(len, index).unwrap();
            let mut hasher = ChunkHasher::new(len, index);
            hasher.update(&content(offset, bytes as usize));
            hasher.finish().unwrap()
        })
        .collect();
    FileTree::new(len, chunks).unwrap()
}

/// Writes `bytes` to `name` in `dir`.
pub(crate) fn write(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
    path
}
