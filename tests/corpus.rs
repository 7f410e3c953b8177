//! Plays the files of `fuzz/corpus` to the fuzz targets: each as it is, and with changes drawn from
//! a fixed seed. What the fuzzer finds becomes a file there.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A target panics when something does not hold.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use targets::TARGETS;

/// How often each file is changed.
const CHANGED: usize = 2_000;
/// Tokens that parsers trip over.
const TOKENS: [&[u8]; 16] = [
    b"null",
    b"-1",
    b"0",
    b"1e999",
    b"4294967296",
    b"18446744073709551616",
    b"\"\"",
    b"[]",
    b"{}",
    b"\\u0000",
    b"\\ud800",
    b"\r\n",
    b"../",
    b"%00",
    b"\xff",
    "\u{202e}".as_bytes(),
];

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// A generator that is the same everywhere (xorshift64*).
struct Random(u64);

impl Random {
    /// A number below `most`, which is not 0.
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % most
    }

    /// `bytes` with up to four changes, some of which use bytes of `other`.
    fn changed(&mut self, bytes: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let until = (at + self.below(16)).min(bytes.len());
            match self.below(7) {
                0 => bytes.iter_mut().skip(at).take(1).for_each(|b| *b ^= 1 << self.below(8)),
                1 => bytes.iter_mut().skip(at).take(1).for_each(|b| *b = self.below(256) as u8),
                2 => bytes.truncate(at),
                3 => drop(bytes.drain(at..until)),
                4 => bytes.extend_from_within(at..),
                5 => {
                    let token = TOKENS[self.below(TOKENS.len())];
                    bytes.splice(at..until, token.iter().copied());
                }
                _ => {
                    let from = self.below(other.len() + 1);
                    bytes.splice(at.., other[from..].iter().copied());
                }
            }
            bytes.truncate(8_192);
        }
        bytes
    }
}

#[test]
fn every_target_has_a_small_corpus_and_nothing_else_lies_there() {
    let folders = listed(&corpora());
    let folders = folders.iter().map(|path| path.file_name().unwrap().to_str().unwrap());
    let targets: BTreeSet<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(folders.collect::<BTreeSet<_>>(), targets);
    for target in targets {
        let files = listed(&corpora().join(target));
        assert!(!files.is_empty(), "{target} has no corpus");
        for file in files {
            assert!(fs::metadata(&file).unwrap().len() <= 2_048, "{file:?} is not small");
        }
    }
}

#[test]
fn nothing_in_the_corpora_breaks_a_target_however_it_is_changed() {
    for (name, target) in TARGETS {
        let paths = listed(&corpora().join(name));
        let corpus: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
        let understood = corpus.iter().any(|bytes| catch_unwind(|| target(bytes)).unwrap_or(true));
        assert!(understood, "{name} understands nothing of its corpus");
        let mut random = Random(0x6b6c_6174_6368);
        for (path, bytes) in paths.iter().zip(&corpus) {
            for number in 0..=CHANGED {
                let other = &corpus[random.below(corpus.len())];
                let bytes = match number {
                    0 => bytes.clone(),
                    _ => random.changed(bytes, other),
                };
                let broken = catch_unwind(|| target(&bytes)).is_err();
                assert!(!broken, "{path:?}, change {number}: b\"{}\"", bytes.escape_ascii());
            }
        }
    }
}
