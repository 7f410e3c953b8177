//! Where the entries of hostile and of honest folders lie.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use proptest::prelude::*;

use super::*;
use crate::files::folder::manifest::{ListedFile, ManifestEntry};
use crate::router::ids::Digest32;

fn manifest(paths: &[&str]) -> Manifest {
    let file = ListedFile { size: 0, root: Digest32::default(), modified_s: 0, executable: false };
    let entry = |path: &&str| ManifestEntry { path: (*path).to_owned(), file: Some(file) };
    let mut entries: Vec<_> = paths.iter().map(entry).collect();
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    Manifest::encode(&entries).unwrap()
}

/// The path of each entry here, in the order of the manifest.
fn all(manifest: &Manifest, paths: &LocalPaths) -> Vec<String> {
    let local = (0..).zip(manifest.iter()).map(|(n, entry)| paths.path(n, &entry.path).unwrap());
    local.collect()
}

fn local(paths: &[&str]) -> Vec<String> {
    let manifest = manifest(paths);
    all(&manifest, &LocalPaths::of(&manifest, false).unwrap())
}

#[test]
fn honest_names_stay_as_they_are() {
    let paths = [".bashrc", "2024/été.jpg", "2024/日本.jpg", "Makefile", "a b/.c/d-e", "run.sh"];
    let manifest = manifest(&paths);
    let local = LocalPaths::of(&manifest, false).unwrap();
    assert_eq!(all(&manifest, &local), paths);
    let changes = NameChanges { hidden: 2, ..NameChanges::default() };
    assert_eq!(local.changes(), &changes);
    assert!(local.entries.iter().all(|entry| entry.renamed.is_none()));
    assert_eq!(local.folders().len(), 4);
}

#[test]
fn names_that_some_disk_takes_for_one_are_numbered() {
    let list = ["Photo.jpg", "photo.JPG", "photo.jpg"];
    assert_eq!(local(&list), ["Photo.jpg", "photo (2).JPG", "photo (3).jpg"]);
    assert_eq!(local(&[".GIT", ".git"]), ["-.GIT", "-.git (2)"]);
    // The number that is due is taken already.
    let list = ["A", "a", "a (2)"];
    assert_eq!(local(&list), ["A", "a (2)", "a (2) (2)"]);
    // Decomposed sorts before composed, ß as ss, and invisible characters go.
    assert_eq!(local(&["e\u{301}", "é"]), ["é", "é (2)"]);
    assert_eq!(local(&["STRASSE", "straße"]), ["STRASSE", "straße (2)"]);
    assert_eq!(local(&["a\u{200d}b", "ab"]), ["ab", "ab (2)"].map(String::from).to_vec());
    assert_eq!(local(&["\u{212a}", "k"]), ["k", "K (2)"]);
    assert_eq!(local(&["a:b", "a?b", "a\\b"]), ["a_b", "a_b (2)", "a_b (3)"]);
}

#[test]
fn a_renamed_folder_takes_along_what_is_in_it() {
    let list = ["Docs/A", "Docs/a", "docs", "DOCS/x/y", "docs./b", "docs./c/B", "docs./c/b"];
    assert_eq!(
        local(&list),
        [
            "DOCS/x/y",
            "Docs (2)/A",
            "Docs (2)/a (2)",
            "docs (3)",
            "docs (4)/b",
            "docs (4)/c/B",
            "docs (4)/c/b (2)",
        ]
    );
    // Others sort in between.
    assert_eq!(local(&["d-e", "d/a", "D", "d.f"]), ["D", "d-e", "d.f", "d (2)/a"]);
}

#[test]
fn names_that_programs_act_upon_get_a_dash() {
    for name in [
        ".git",
        ".GIT",
        ".gIt",
        ".git.",
        ".git . ",
        ".g\u{200c}it",
        ".gi\u{fe0f}t",
        "\u{feff}.git",
        "..git",
        "GIT~1",
        "git~12",
        "GI7EBA~1",
        ".hg",
        "HG~1",
        ".\u{17f}\u{17f}h",
        ".ssh",
        "SSH~1",
        "DESKTO~1.INI",
        "Desktop.ini",
        "-desktop.ini",
        "GNUPG~1",
        "VSCODE~2",
    ] {
        let path = format!("a/{name}/b");
        let manifest = manifest(&[&path]);
        let paths = LocalPaths::of(&manifest, false).unwrap();
        let place = paths.path(0, &path).unwrap();
        assert!(place.starts_with("a/-") && place.ends_with("/b"), "{name}: {place}");
        assert_eq!(paths.changes().renamed, u32::from(!name.starts_with('-')), "{name}");
        let paths = LocalPaths::of(&manifest, true).unwrap();
        assert!(!paths.path(0, &path).unwrap().starts_with("a/-"), "{name}");
    }
    let others = [".github/a", ".gitignore", "backup~1", "gi", "git/config", "git~", "readme~1.md"];
    assert_eq!(local(&others), others);
    let manifest = manifest(&[".a", ".git/config", "b?", "c*", "d|"]);
    let paths = LocalPaths::of(&manifest, false).unwrap();
    let first = [(".git", "-.git"), ("b?", "b_"), ("c*", "c_")];
    let first = first.map(|(from, to)| (from.to_owned(), to.to_owned())).to_vec();
    assert_eq!(paths.changes(), &NameChanges { hidden: 1, renamed: 4, first });
}

#[test]
fn a_path_that_gets_too_long_is_refused() {
    let long = |name: &str| format!("{}{}", format!("{}/", "a".repeat(200)).repeat(5), name);
    let just = long(&"b".repeat(19));
    assert_eq!(just.len(), PATH_MAX_BYTES);
    assert_eq!(local(&[&just]), std::slice::from_ref(&just));
    let upper = long(&"B".repeat(19));
    let clash = manifest(&["A", &upper, &just]);
    let refused = LocalPaths::of(&clash, false);
    assert_eq!(refused, Err(ManifestError::SafePath { entry: 3 }));
}

#[test]
fn many_clashes_take_no_more_time_than_as_many_names() {
    let names: Vec<String> = (0..20_000_u32)
        .map(|n| (0..15).map(|bit| if n >> bit & 1 == 1 { 'A' } else { 'a' }).collect())
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let local: BTreeSet<_> = local(&names).iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(local.len(), names.len());
}

/// Names that have hurt others, and such as meet.
fn component() -> impl Strategy<Value = String> {
    let known = [
        "a", "A", "a.", "a ", "-a", ".a", "a:", "a\\b", "..a", "...", " ", "-", "CON", "con.txt",
        "aux ", ".git", ".GIT", "GIT~1", "-.git", ".ssh", "e\u{301}", "é", "É", "\u{202e}", "ſ",
        "s", "ß", "ss", "ẞ", "a (2)", "A (2)", "a (3)", "ı", "I", "i", "İ", "file", ".file",
    ];
    let known = proptest::sample::select(known.map(String::from).to_vec());
    prop_oneof![known, "[^/\0]{1,6}", "[aA.]{1,3}", "[aéÉ]{80,120}"]
}

proptest! {
    #[test]
    fn whatever_comes_lies_apart_and_below_the_folder(
        list in proptest::collection::btree_set(
            proptest::collection::vec(component(), 1..4).prop_map(|names| names.join("/")),
            1..60,
        ),
        exec in any::<bool>(),
    ) {
        let mut kept: Vec<ManifestEntry> = Vec::new();
        for path in list {
            // What no manifest may have is left out.
            let mut with = kept.clone();
            with.push(ManifestEntry { path, file: None });
            if Manifest::encode(&with).is_ok() {
                kept = with;
            }
        }
        let manifest = Manifest::encode(&kept).unwrap();
        let paths = LocalPaths::of(&manifest, exec).unwrap();
        let mut places = BTreeSet::new();
        let local = all(&manifest, &paths);
        for path in &local {
            prop_assert!(path.len() <= PATH_MAX_BYTES);
            for name in path.split('/') {
                let parts: Vec<_> = Path::new(name).components().collect();
                prop_assert!(matches!(parts[..], [Component::Normal(_)]), "{name:?}");
                let own = name.strip_prefix('-').unwrap_or(name);
                prop_assert_eq!(safe_component(own), own);
                prop_assert!(exec || !is_acted_upon(name), "{name:?}");
            }
            prop_assert!(places.insert(folded(path).into_owned()), "{path:?}");
        }
        // No folder meets a file, and as many folders are there as were.
        let mut folders = BTreeSet::new();
        for path in &local {
            for (at, _) in path.match_indices('/') {
                prop_assert!(!places.contains(&*folded(&path[..at])));
                folders.insert(folded(&path[..at]).into_owned());
            }
        }
        prop_assert_eq!(folders.len() + 1, paths.folders().len());
    }
}

#[test]
fn of_some_entries_only_their_names_are_told() {
    let paths = ["a/.git/config", "a/.git/hooks/x", "a/.hidden", "b/.hidden", "b/plain"];
    let manifest = manifest(&paths);
    let local = LocalPaths::of(&manifest, false).unwrap();
    let changes = |entries: &[u32]| {
        let mut some = Bitmap::none(manifest.len());
        for entry in entries {
            some.insert(*entry);
        }
        local.changes_of(&manifest, &some)
    };
    let first = vec![(".git".to_owned(), "-.git".to_owned())];
    let all = NameChanges { hidden: 2, renamed: 1, first };
    assert_eq!((&changes(&[0, 1, 2, 3, 4]), local.changes()), (&all, &all));
    assert_eq!(changes(&[0, 1]), NameChanges { hidden: 0, ..all.clone() });
    assert_eq!(changes(&[1, 2]), NameChanges { hidden: 1, ..all });
    assert_eq!(changes(&[3, 4]), NameChanges { hidden: 1, ..NameChanges::default() });
    assert_eq!(changes(&[4]), NameChanges::default());
}
