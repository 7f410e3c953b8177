//! Which entries of a folder are meant by a word or by patterns: `*` stands for anything within a
//! component of the path, `**` for any number of components, and the name of a folder for all that
//! is in it. Paths are compared in NFC.

use std::borrow::Cow;
use std::collections::HashMap;

use glob::{MatchOptions, Pattern};
use unicode_normalization::UnicodeNormalization;

use super::manifest::Manifest;
use crate::router::bitmap::Bitmap;
use crate::router::part::{FolderPart, PathPattern};

/// The entries that are meant.
///
/// # Errors
/// A pattern that fits nothing.
pub fn select<'a>(manifest: &Manifest, part: &'a FolderPart) -> Result<Bitmap, &'a PathPattern> {
    let mut missing = None;
    for patterns in part.readings() {
        match select_all(manifest, patterns) {
            Ok(selected) => return Ok(selected),
            Err(pattern) => missing = Some(pattern),
        }
    }
    missing.map_or_else(|| Ok(Bitmap::none(manifest.len())), Err)
}

fn select_all<'a>(
    manifest: &Manifest,
    patterns: &'a [PathPattern],
) -> Result<Bitmap, &'a PathPattern> {
    let mut selected = Bitmap::none(manifest.len());
    let mut fits = vec![false; patterns.len()];
    let mut exact: HashMap<String, Vec<usize>> = HashMap::new();
    let mut globs = Vec::new();
    for (index, pattern) in patterns.iter().enumerate() {
        let word: String = pattern.text().trim_end_matches('/').nfc().collect();
        if matches!(pattern, PathPattern::Glob(_))
            && let Ok(glob) = Pattern::new(&word)
        {
            globs.push((index, glob));
        }
        exact.entry(word).or_default().push(index);
    }
    let options = MatchOptions { require_literal_separator: true, ..MatchOptions::default() };
    for (entry, listed) in (0..).zip(manifest.iter()) {
        let path = nfc(&listed.path);
        // The path, and those of the folders that it lies in.
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let beginnings = ends.filter_map(|end| exact.get(path.get(..end)?)).flatten().copied();
        let by_glob = globs.iter().filter(|(_, glob)| glob.matches_with(&path, options));
        for index in beginnings.chain(by_glob.map(|(index, _)| *index)) {
            selected.insert(entry);
            fits.get_mut(index).into_iter().for_each(|fits| *fits = true);
        }
    }
    let missing = patterns.iter().zip(fits).find(|(_, fits)| !fits);
    missing.map_or(Ok(selected), |(pattern, _)| Err(pattern))
}

/// A path in the form in which paths are compared.
pub(super) fn nfc(path: &str) -> Cow<'_, str> {
    if path.is_ascii() { Cow::Borrowed(path) } else { Cow::Owned(path.nfc().collect()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::folder::manifest::ManifestEntry;

    fn manifest() -> Manifest {
        let paths =
            ["2024/a.jpg", "2024/b.png", "2024/may/c.jpg", "2025/d.jpg", "a[1].jpg", "caf\u{e9}"];
        let entry = |path: &str| ManifestEntry { path: path.to_owned(), file: None };
        let entries: Vec<_> = paths.iter().map(|path| entry(path)).collect();
        Manifest::encode(&entries).unwrap()
    }

    fn found(part: &FolderPart) -> Result<Vec<u32>, String> {
        match select(&manifest(), part) {
            Ok(selected) => Ok(selected.iter().collect()),
            Err(missing) => Err(missing.text().to_owned()),
        }
    }

    #[test]
    fn words_mean_files_and_all_that_is_in_folders() {
        for (word, expected) in [
            ("2024/a.jpg", &[0][..]),
            ("2024", &[0, 1, 2]),
            ("2024/", &[0, 1, 2]),
            ("2024/*.jpg", &[0]),
            ("*/*.jpg", &[0, 3]),
            ("**/*.jpg", &[0, 2, 3, 4]),
            ("202", &[]),
            ("cafe\u{301}", &[5]),
            ("a[1].jpg", &[4]),
            ("[", &[]),
        ] {
            let found = found(&FolderPart::of_line(word, None)).unwrap_or_default();
            assert_eq!(found, expected, "{word}");
        }
    }

    #[test]
    fn each_of_several_patterns_must_fit_something() {
        let exact = |paths: &[&str]| {
            FolderPart::of(paths.iter().map(|path| PathPattern::of_path(path)).collect())
        };
        assert_eq!(found(&exact(&["2024/may/**", "a[1].jpg"])), Ok(vec![2, 4]));
        assert_eq!(found(&exact(&["2024", "*.jpg"])), Err("*.jpg".to_owned()));
        let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
        let two = words(&["2025", "caf\u{e9}"]);
        assert_eq!(found(&FolderPart::of_line("2025 photos/caf\u{e9}", two)), Ok(vec![3, 5]));
        let two = words(&["2025", "2026"]);
        assert_eq!(found(&FolderPart::of_line("2024/a.jpg", two.clone())), Ok(vec![0]));
        assert_eq!(found(&FolderPart::of_line("2025 p/2026", two)), Err("2026".to_owned()));
    }
}
