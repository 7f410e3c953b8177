//! What is in a folder, one level at a time, as its manifest lists it.

use std::collections::BTreeMap;

use super::manifest::Manifest;
use super::select::nfc;
use crate::router::event::FolderListing;
use crate::router::notice::FolderRow;
use crate::router::text::Untrusted;

/// Rows of a listing, at most; the rest is counted.
pub const ROWS_MAX: usize = 1_000;

/// What lies directly in a folder of the manifest, by its path; nothing means the whole. The path
/// of a file lists that file. `None` if nothing has that path.
#[must_use]
pub fn list(manifest: &Manifest, path: &str) -> Option<FolderListing> {
    let wanted = nfc(path.trim_matches('/')).into_owned();
    let (mut folders, mut files) = (BTreeMap::<String, (u32, u64)>::new(), BTreeMap::new());
    let mut found = wanted.is_empty();
    let depth = wanted.matches('/').count();
    for entry in manifest.iter() {
        let size = entry.file.map(|file| file.size);
        let Some(rest) = below(&entry.path, (&wanted, depth)) else { continue };
        found = true;
        let (name, is_inside) = match rest.split_once('/') {
            Some((name, _)) => (name, true),
            None => (rest, size.is_none()),
        };
        if rest.is_empty() {
            // The entry itself: a file, or a folder without anything.
            if let Some(size) = size {
                let name = entry.path.rsplit('/').next().unwrap_or_default();
                files.insert(name.to_owned(), size);
            }
        } else if is_inside {
            let folder = folders.entry(name.to_owned()).or_default();
            folder.0 += u32::from(size.is_some());
            folder.1 += size.unwrap_or_default();
        } else {
            files.insert(name.to_owned(), size.unwrap_or_default());
        }
    }
    let row = |name: String, folder, (files, bytes)| {
        let name = Untrusted::new(name);
        FolderRow { name, folder, files, bytes }
    };
    let all = folders.len() + files.len();
    let folders = folders.into_iter().map(|(name, sums)| row(name, true, sums));
    let files = files.into_iter().map(|(name, size)| row(name, false, (1, size)));
    let list = folders.chain(files).take(ROWS_MAX).collect();
    let more = u32::try_from(all.saturating_sub(ROWS_MAX)).unwrap_or(u32::MAX);
    let path = if wanted.is_empty() { wanted } else { wanted + "/" };
    found.then_some(FolderListing { path, list, more })
}

/// What of a path lies below a folder so deep, or nothing if it is that path itself.
fn below<'a>(path: &'a str, (folder, depth): (&str, usize)) -> Option<&'a str> {
    if folder.is_empty() {
        return Some(path);
    }
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    let end = ends.into_iter().nth(depth)?;
    let (above, rest) = path.split_at_checked(end)?;
    (nfc(above) == folder).then(|| rest.strip_prefix('/').unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::folder::manifest::{ListedFile, ManifestEntry};
    use crate::router::ids::Digest32;

    fn manifest<'a>(paths: impl IntoIterator<Item = (&'a str, Option<u64>)>) -> Manifest {
        let entry = |(path, size): (&str, Option<u64>)| {
            let root = Digest32([1; 32]);
            let listed = |size| ListedFile { size, root, modified_s: 0, executable: false };
            ManifestEntry { path: path.to_owned(), file: size.map(listed) }
        };
        let entries: Vec<_> = paths.into_iter().map(entry).collect();
        Manifest::encode(&entries).unwrap()
    }

    fn rows(manifest: &Manifest, path: &str) -> Option<(String, Vec<String>)> {
        let listing = list(manifest, path)?;
        let row = |row: &FolderRow| {
            let slash = if row.folder { "/" } else { "" };
            format!("{}{slash} {} {}", row.name.raw(), row.files, row.bytes)
        };
        Some((listing.path, listing.list.iter().map(row).collect()))
    }

    #[test]
    fn a_level_lists_folders_then_files() {
        let manifest = manifest(
            [
                ("2024/a.jpg", Some(3)),
                ("2024/empty", None),
                ("2024/may/b.jpg", Some(4)),
                ("2024/may/c/d.jpg", Some(5)),
                ("2024.txt", Some(1)),
                ("caf\u{e9}/e", Some(6)),
            ]
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        );
        let all = |path: &str, rows: &[&str]| {
            Some((path.to_owned(), rows.iter().map(|row| (*row).to_owned()).collect()))
        };
        let top = all("", &["2024/ 3 12", "caf\u{e9}/ 1 6", "2024.txt 1 1"]);
        assert_eq!(rows(&manifest, ""), top);
        let inside = all("2024/", &["empty/ 0 0", "may/ 2 9", "a.jpg 1 3"]);
        assert_eq!(rows(&manifest, "2024"), inside);
        assert_eq!(rows(&manifest, "2024/"), inside);
        assert_eq!(rows(&manifest, "2024/may/c"), all("2024/may/c/", &["d.jpg 1 5"]));
        assert_eq!(rows(&manifest, "2024/a.jpg"), all("2024/a.jpg/", &["a.jpg 1 3"]));
        assert_eq!(rows(&manifest, "2024/empty"), all("2024/empty/", &[]));
        assert_eq!(rows(&manifest, "cafe\u{301}"), all("caf\u{e9}/", &["e 1 6"]));
        for nothing in ["202", "2024/a.jpg/x", "2024/ma", ".."] {
            assert_eq!(rows(&manifest, nothing), None, "{nothing}");
        }
    }

    #[test]
    fn what_is_too_long_to_be_listed_is_counted() {
        let names: Vec<String> = (0..1_203).map(|number| format!("{number:04}")).collect();
        let manifest = manifest(names.iter().map(|name| (name.as_str(), Some(1))));
        let listing = list(&manifest, "").unwrap();
        assert_eq!((listing.list.len(), listing.more), (ROWS_MAX, 203));
    }
}
