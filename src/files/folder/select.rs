//! Which entries of a folder a person means: `*` stands for anything within a component of the
//! path, `**` for any number of components, and the name of a folder for all that is in it.

use glob::{MatchOptions, Pattern};
use unicode_normalization::UnicodeNormalization;

use super::manifest::Manifest;
use crate::router::bitmap::Bitmap;

/// The entries that a word fits, compared in NFC; none if it fits nothing.
#[must_use]
pub fn select(manifest: &Manifest, word: &str) -> Bitmap {
    let word: String = word.trim_end_matches('/').nfc().collect();
    let pattern = Pattern::new(&word).ok();
    let options = MatchOptions { require_literal_separator: true, ..MatchOptions::default() };
    let is_in = |path: &str| {
        path.strip_prefix(word.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut selected = Bitmap::none(manifest.len());
    for (entry, listed) in (0..).zip(manifest.iter()) {
        let path: String = listed.path.nfc().collect();
        let fits = pattern.as_ref().is_some_and(|of| of.matches_with(&path, options));
        if fits || is_in(&path) {
            selected.insert(entry);
        }
    }
    selected
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::folder::manifest::ManifestEntry;

    #[test]
    fn words_mean_files_and_all_that_is_in_folders() {
        let paths = ["2024/a.jpg", "2024/b.png", "2024/may/c.jpg", "2025/d.jpg", "caf\u{e9}"];
        let entry = |path: &str| ManifestEntry { path: path.to_owned(), file: None };
        let entries: Vec<_> = paths.iter().map(|path| entry(path)).collect();
        let manifest = Manifest::encode(&entries).unwrap();
        for (word, expected) in [
            ("2024/a.jpg", &[0][..]),
            ("2024", &[0, 1, 2]),
            ("2024/", &[0, 1, 2]),
            ("2024/*.jpg", &[0]),
            ("*/*.jpg", &[0, 3]),
            ("**/*.jpg", &[0, 2, 3]),
            ("202", &[]),
            ("cafe\u{301}", &[4]),
            ("[", &[]),
        ] {
            let found: Vec<u32> = select(&manifest, word).iter().collect();
            assert_eq!(found, expected, "{word}");
        }
    }
}
