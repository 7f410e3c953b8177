//! What is read again as it was written, and what is refused.

use proptest::prelude::*;

use super::*;

fn file(path: &str, size: u64) -> ManifestEntry {
    let root = Digest32([if size > 0 { 7 } else { 0 }; 32]);
    let file = ListedFile { size, root, modified_s: -5, executable: path.ends_with(".sh") };
    ManifestEntry { path: path.to_owned(), file: Some(file) }
}

fn empty(path: &str) -> ManifestEntry {
    ManifestEntry { path: path.to_owned(), file: None }
}

fn refused(entries: &[ManifestEntry]) -> ManifestError {
    Manifest::encode(entries).unwrap_err()
}

/// The bytes of files with these paths, without any check: each as long as 5 bytes.
fn unchecked(paths: &[&[u8]]) -> Vec<u8> {
    let shared = |at: usize| match at.checked_sub(1) {
        Some(before) => shared_bytes(paths[before], paths[at]),
        None => 0,
    };
    let mut bytes = [&MAGIC[..], &(paths.len() as u32).to_be_bytes()].concat();
    for (at, path) in paths.iter().enumerate() {
        let rest = &path[shared(at)..];
        bytes.push(0);
        bytes.extend((shared(at) as u16).to_be_bytes());
        bytes.extend((rest.len() as u16).to_be_bytes());
        bytes.extend_from_slice(rest);
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9]);
        bytes.extend([3; 32]);
    }
    bytes
}

fn fault(path: &[u8]) -> PathFault {
    match Manifest::decode(unchecked(&[b"!", path])).unwrap_err() {
        ManifestError::Path { entry: 2, fault } => fault,
        other => panic!("{other}"),
    }
}

#[test]
fn a_list_is_read_as_it_was_written() {
    let entries = [
        file("a", 0),
        file("b/c\\d", 5),
        file("b/run.sh", 300_000),
        empty("b/z"),
        empty("c/d/e"),
        file("dé", 1),
    ];
    let manifest = Manifest::encode(&entries).unwrap();
    assert_eq!(manifest.iter().collect::<Vec<_>>(), entries);
    let listed: Vec<_> = entries.iter().map(|entry| entry.file).collect();
    assert_eq!(manifest.listed().collect::<Vec<_>>(), listed);
    assert_eq!((manifest.len(), manifest.files()), (6, 4));
    // b, b/z, c, c/d and c/d/e.
    assert_eq!((manifest.folders(), manifest.total_bytes()), (5, 300_006));
    assert_eq!(Manifest::decode(manifest.bytes().to_vec()), Ok(manifest));
    let nothing = Manifest::encode(&[]).unwrap();
    assert!(nothing.is_empty() && nothing.iter().next().is_none());
}

#[test]
fn every_entry_is_found_by_its_index() {
    let entries: Vec<_> = (0..200).map(|n| file(&format!("dir {}/{n:03}", n / 70), n)).collect();
    let manifest = Manifest::encode(&entries).unwrap();
    for (index, entry) in (0..).zip(&entries) {
        assert_eq!(manifest.entry(index).as_ref(), Some(entry));
    }
    assert_eq!(manifest.entry(200), None);
    assert_eq!(manifest.entry(u32::MAX), None);
}

#[test]
fn the_bytes_are_those_of_the_format() {
    let bytes = Manifest::encode(&[file("ab.sh", 2), empty("ac")]).unwrap().bytes().to_vec();
    let wanted = [
        &b"klatch folder 1\n\0\0\0\x02"[..],
        b"\x01\0\0\0\x05ab.sh\0\0\0\0\0\0\0\x02\xff\xff\xff\xff\xff\xff\xff\xfb",
        &[7; 32],
        b"\x02\0\x01\0\x01c",
    ];
    assert_eq!(bytes, wanted.concat());
    let id = folder_id(&FileId([1; 32]));
    assert_eq!(id, digest(&[b"klatch folder 1\0", &[1; 32]]));
}

#[test]
fn paths_that_lead_elsewhere_or_nowhere_are_refused() {
    for (path, wanted) in [
        (&b".."[..], PathFault::Dots),
        (b"a/../b", PathFault::Dots),
        (b"a/.", PathFault::Dots),
        (b"./a", PathFault::Dots),
        (b"/a", PathFault::Absolute),
        (b"a//b", PathFault::Empty),
        (b"a/", PathFault::Empty),
        (b"a\0b", PathFault::Nul),
        (b"a\xff", PathFault::NotText),
        (&[b'a'; 256], PathFault::LongComponent),
        ([&b"a/".repeat(32)[..], b"b"].concat().as_slice(), PathFault::TooDeep),
        ([&[b'a'; 200][..], b"/"].concat().repeat(6).as_slice(), PathFault::TooLong),
    ] {
        assert_eq!(fault(path), wanted, "{}", path.escape_ascii());
    }
    assert!(Manifest::decode(unchecked(&[b"...", b".a", b"a\\..\\b", b"c:"])).is_ok());
    let deepest = [&b"a/".repeat(31)[..], b"b"].concat();
    assert!(Manifest::decode(unchecked(&[&deepest])).is_ok());
    let error = refused(&[file("a", 1), file("b/..", 1)]).to_string();
    assert_eq!(error, "the path of entry 2 has a component of dots");
}

#[test]
fn only_what_is_strictly_ascending_is_read() {
    for paths in [[&b"b"[..], b"a"], [b"a", b"a"], [b"ab", b"a"], [b"a/b", b"a-b"]] {
        let read = Manifest::decode(unchecked(&paths));
        assert_eq!(read, Err(ManifestError::Order { entry: 2 }));
    }
    let empty_path = Manifest::decode(unchecked(&[b""]));
    let fault = PathFault::Empty;
    assert_eq!(empty_path, Err(ManifestError::Path { entry: 1, fault }));
}

#[test]
fn nothing_lies_in_a_file_or_in_an_empty_folder() {
    let inside = |entry| ManifestError::Inside { entry };
    assert_eq!(refused(&[file("a", 1), file("a/b", 1)]), inside(2));
    assert_eq!(refused(&[empty("a"), file("a/b/c", 1)]), inside(2));
    let between = ["a", "a b", "a b/x", "a-b", "a-b.c", "a.txt", "a/c"].map(|path| file(path, 1));
    assert_eq!(refused(&between), ManifestError::Inside { entry: 3 });
    let between = ["a", "a b", "a bx", "a-b", "a-b.c", "a.txt", "a/c"].map(|path| file(path, 1));
    assert_eq!(refused(&between), inside(7));
    let deep = ["d/a", "d/a!", "d/a!b", "d/a-/x/y", "d/a/c/d"].map(|path| file(path, 1));
    assert_eq!(refused(&deep), inside(5));
    let apart = ["a", "a-b/c", "a-b/d", "a.b/c", "ab/c"].map(|path| file(path, 1));
    assert!(Manifest::encode(&apart).is_ok());
}

#[test]
fn there_is_one_encoding_only() {
    let good = unchecked(&[b"abc", b"abd"]);
    assert!(Manifest::decode(good.clone()).is_ok());
    let at = good.len() - 48 - 5;
    let mut less = good.clone();
    less.splice(at - 1.., [0, 0, 1, 0, 2, b'b', b'd']);
    less.extend_from_slice(&good[good.len() - 48..]);
    assert_eq!(Manifest::decode(less), Err(ManifestError::Shared { entry: 2 }));
    let mut more = good.clone();
    more[at] = 9;
    assert_eq!(Manifest::decode(more), Err(ManifestError::Shared { entry: 2 }));
    let mut trailing = good.clone();
    trailing.push(0);
    assert_eq!(Manifest::decode(trailing), Err(ManifestError::Trailing { bytes: 1 }));
    let mut kind = good.clone();
    kind[20] = 3;
    assert_eq!(Manifest::decode(kind), Err(ManifestError::Kind { entry: 1, kind: 3 }));
    for length in 0..good.len() {
        let error = Manifest::decode(good[..length].to_vec()).unwrap_err();
        let expected = if length < 20 { ManifestError::Magic } else { error.clone() };
        assert_eq!(error, expected);
        assert!(matches!(error, ManifestError::Magic | ManifestError::Cut { .. }), "{error}");
    }
}

#[test]
fn limits_hold_before_anything_is_allocated() {
    let claim = |entries: u32| [&MAGIC[..], &entries.to_be_bytes()].concat();
    let entries = u64::from(ENTRIES_MAX) + 1;
    assert_eq!(
        Manifest::decode(claim(ENTRIES_MAX + 1)),
        Err(ManifestError::TooManyEntries { entries })
    );
    assert_eq!(Manifest::decode(claim(ENTRIES_MAX)), Err(ManifestError::Cut { entry: 1 }));
    let bytes = MANIFEST_MAX_BYTES + 1;
    assert_eq!(Manifest::decode(vec![0; bytes]), Err(ManifestError::TooLong { bytes }));
    let half = FOLDER_MAX_BYTES / 2;
    assert!(Manifest::encode(&[file("a", half), file("b", half)]).is_ok());
    let too_large = [file("a", half), file("b", half), file("c", 1)];
    assert_eq!(refused(&too_large), ManifestError::TooLarge { entry: 3 });
    let overflow = [file("a", 1), file("b", u64::MAX)];
    assert_eq!(refused(&overflow), ManifestError::TooLarge { entry: 2 });
    // 31 folders for each entry.
    let deep: Vec<_> = (0..8_457).map(|n| empty(&format!("{n:05}{}", "/a".repeat(30)))).collect();
    assert_eq!(refused(&deep), ManifestError::TooManyFolders { entry: 8_457 });
    assert!(Manifest::encode(&deep[..8_456]).is_ok());
}

#[test]
fn as_many_entries_as_are_allowed_stay_small() {
    let dir = "x".repeat(100);
    let entries: Vec<_> = (0..ENTRIES_MAX).map(|n| file(&format!("{dir}/{n:06}"), 0)).collect();
    let manifest = Manifest::encode(&entries).unwrap();
    assert_eq!(manifest.len(), ENTRIES_MAX);
    // Written out they are 28 MB.
    assert!(manifest.bytes.len() + manifest.paths.len() < 8 << 20);
    assert_eq!(manifest.entry(ENTRIES_MAX - 1).as_ref(), entries.last());
    let mut more = entries;
    more.push(file("y", 0));
    assert!(matches!(refused(&more), ManifestError::TooManyEntries { .. }));
}

/// Writes what fuzzing begins with: `cargo test --lib write_corpus -- --ignored`.
#[test]
#[ignore = "it writes fuzz/corpus"]
fn write_corpus() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/manifest");
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    let good = |name: &str, entries: &[ManifestEntry]| {
        write(name, Manifest::encode(entries).unwrap().bytes());
    };
    good("nothing", &[]);
    good("flat", &[file("a.txt", 3), file("b.sh", 0), empty("c"), file("été", 300_000)]);
    good("deep", &[file("a/b/c/d.jpg", 1), file("a/b/c/e.jpg", 1), empty("a/b/d"), file("a/c", 2)]);
    good("clashes", &["A/b", "a/B", "a/b", "e\u{301}", "é"].map(|path| file(path, 5)));
    good(
        "acted-upon",
        &[".git/config", ".ssh", "GIT~1/a", "desktop.ini"].map(|path| file(path, 9)),
    );
    good("unsafe", &["CON", "a:b", "a\\..\\b", "b. ", "c\u{202e}d"].map(|path| file(path, 7)));
    good("large", &[file("a", FOLDER_MAX_BYTES / 2), file("b", 1 << 40), empty("c")]);
    good("between", &["a", "a b", "a-b/c", "a.b/c", "ab"].map(|path| file(path, 1)));
    let many: Vec<_> = (0..60).map(|n| file(&format!("photos/{n:02}"), 0)).collect();
    good("many", &many);
    write("hostile-dots", &unchecked(&[b"a", b"a/../../b"]));
    write("hostile-inside", &unchecked(&[b"a", b"a-b", b"a/c"]));
    write("hostile-order", &unchecked(&[b"b", b"a"]));
    write("hostile-count", &[&MAGIC[..], &[0, 4, 0, 0, 0, 0]].concat());
}

/// Few letters, so that paths meet.
fn entries() -> impl Strategy<Value = Vec<ManifestEntry>> {
    let entry = ("[a-c]{1,2}([/ .-][a-c]{1,2}){0,3}", 0..4_u64);
    proptest::collection::vec(entry, 0..80).prop_map(|list| {
        let list = list.into_iter().map(|(path, size)| match size {
            3 => empty(&path),
            size => file(&path, size),
        });
        let mut list: Vec<_> = list.collect();
        list.sort_by(|one, other| one.path.cmp(&other.path));
        list
    })
}

proptest! {
    #[test]
    fn what_is_written_is_checked_as_by_comparing_all(entries in entries()) {
        let paths: Vec<_> = entries.iter().map(|entry| entry.path.as_str()).collect();
        let twice = paths.windows(2).any(|two| two[0] == two[1]);
        let above = |path: &str| paths.iter().any(|other| {
            path.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'))
        });
        let good = !twice && !paths.iter().any(|path| above(path));
        match Manifest::encode(&entries) {
            Ok(manifest) => {
                prop_assert!(good, "{paths:?}");
                prop_assert_eq!(manifest.iter().collect::<Vec<_>>(), entries.clone());
                let folders: std::collections::BTreeSet<_> = entries.iter().flat_map(|entry| {
                    let cuts = entry.path.match_indices('/').map(|(at, _)| &entry.path[..at]);
                    cuts.chain(entry.file.is_none().then_some(entry.path.as_str()))
                }).collect();
                prop_assert_eq!(manifest.folders() as usize, folders.len());
            }
            Err(error) => prop_assert!(!good, "{error}: {paths:?}"),
        }
    }

    #[test]
    fn what_is_read_is_written_alike(
        entries in entries(),
        at in any::<prop::sample::Index>(),
        with in any::<u8>(),
    ) {
        let Ok(manifest) = Manifest::encode(&entries) else { return Ok(()) };
        let mut bytes = manifest.bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = with;
        if let Ok(other) = Manifest::decode(bytes.clone()) {
            let list: Vec<_> = other.iter().collect();
            let again = Manifest::encode(&list).unwrap();
            prop_assert_eq!(again.bytes(), bytes);
        }
    }
}
