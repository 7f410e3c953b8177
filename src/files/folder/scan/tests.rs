//! Folders as people have them.

use std::cell::Cell;
use std::fs;
use std::sync::atomic::AtomicU64;

use tempfile::TempDir;

use super::*;
use crate::files::folder::manifest::Manifest;
use crate::files::testing::{count_bytes, tree_of, write};
use crate::sys::testing::{POSIX, link, no_text, pipe, socket};

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
        write(dir.path(), path, bytes);
    }
    dir
}

fn found(dir: &TempDir) -> ScannedFolder {
    scan(dir.path(), &|| false).unwrap()
}

fn refused(dir: &TempDir) -> String {
    scan(dir.path(), &|| false).unwrap_err().to_string()
}

fn hashed(dir: &TempDir, scanned: &ScannedFolder, known: &KnownRoots) -> (Manifest, KnownRoots) {
    let hashed = hash(dir.path(), scanned, known, 2, &|_| (), &|| false).unwrap();
    (Manifest::encode(&hashed.entries).unwrap(), hashed.known)
}

/// Dates a file back, so that it is settled.
fn settle(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
}

#[test]
fn files_and_empty_folders_become_a_manifest() {
    let large = count_bytes(0, 600_000);
    let dir =
        folder(&[("a/b.txt", b"two"), ("a-b", b""), ("a/a/large", &large), (".hidden", b"h")]);
    fs::create_dir_all(dir.path().join("z/empty")).unwrap();
    settle(&dir.path().join("a/b.txt"));
    let scanned = found(&dir);
    let paths: Vec<&str> = scanned.entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, [".hidden", "a-b", "a/a/large", "a/b.txt", "z/empty"]);
    assert_eq!((scanned.total_bytes, scanned.left_out), (600_004, LeftOut::default()));
    let (manifest, _) = hashed(&dir, &scanned, &KnownRoots::default());
    let file = |index| manifest.entry(index).unwrap().file.unwrap();
    assert_eq!(file(1).root, Digest32::default());
    assert_eq!(file(2).root, *tree_of(600_000, count_bytes).root());
    let small = ListedFile {
        size: 3,
        root: *tree_of(3, |_, _| b"two".to_vec()).root(),
        modified_s: 1_000_000_000,
        executable: false,
    };
    assert_eq!(file(3), small);
    assert_eq!(manifest.entry(4).unwrap().file, None);
}

#[test]
fn links_and_what_is_no_file_are_left_out_and_counted() {
    if !POSIX {
        return;
    }
    let dir = folder(&[("a", b"a"), (".klatch-12.part", b""), (".klatch-12.claims", b"")]);
    let outside = folder(&[("secret", b"s")]);
    link(outside.path(), &dir.path().join("folder"));
    link(&outside.path().join("secret"), &dir.path().join("file"));
    link(Path::new("nowhere"), &dir.path().join("broken"));
    pipe(&dir.path().join("pipe"));
    let _listener = socket(&dir.path().join("socket"));
    fs::create_dir(dir.path().join("links")).unwrap();
    link(outside.path(), &dir.path().join("links/only"));
    let scanned = found(&dir);
    let paths: Vec<&str> = scanned.entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["a", "links"]);
    assert_eq!(scanned.left_out, LeftOut { links: 4, special: 2, unfinished: 2 });
    // The folder itself may be named by a link.
    link(dir.path(), &outside.path().join("link"));
    let through = scan(&outside.path().join("link"), &|| false).unwrap();
    assert_eq!(through.entries, scanned.entries);
}

#[test]
fn what_is_no_text_or_leads_too_far_refuses_the_whole() {
    let deep = folder(&[(&format!("{}b", "a/".repeat(32)), b"")]);
    assert!(refused(&deep).contains("leads through too many folders"));
    if !POSIX {
        return;
    }
    let dir = folder(&[("a/good", b"")]);
    for name in ["1", "2", "3", "4"] {
        fs::write(dir.path().join("a").join(no_text(name, "x")), b"").unwrap();
    }
    let text = refused(&dir);
    assert_eq!(text.matches("a/").count(), 3, "{text}");
    assert!(text.contains("is no text"), "{text}");
    assert!(refused_at(&dir.path().join("a/good")).contains("cannot send"));
    assert!(refused_at(&dir.path().join("none")).contains("cannot send"));
}

#[test]
fn more_files_or_folders_than_are_allowed_refuse_the_whole() {
    let files = folder(&[("a", b""), ("b/c", b""), ("b/d", b"")]);
    let folders = folder(&[("a/b/c/d", b"")]);
    for dir in [files.path(), folders.path()] {
        assert!(scan_at_most(dir, 3, &|| false).is_ok());
        assert!(matches!(scan_at_most(dir, 2, &|| false), Err(ScanError::TooManyFiles)));
    }
}

fn refused_at(path: &Path) -> String {
    scan(path, &|| false).unwrap_err().to_string()
}

#[test]
fn a_walk_and_hashing_end_early_when_told() {
    let dir = folder(&[("a", b"1"), ("b", b"2"), ("c", b"3")]);
    let left = Cell::new(2);
    let stop = || left.replace(left.get() - 1) == 0;
    assert!(matches!(scan(dir.path(), &stop), Err(ScanError::Cancelled)));
    let scanned = found(&dir);
    let done = AtomicU64::new(0);
    let ended = hash(
        dir.path(),
        &scanned,
        &KnownRoots::default(),
        1,
        &|bytes| done.store(bytes, Ordering::Relaxed),
        &|| done.load(Ordering::Relaxed) == 2,
    );
    assert!(matches!(ended, Err(ScanError::Cancelled)));
    assert_eq!(done.into_inner(), 2);
}

#[test]
fn a_file_that_changed_since_is_named() {
    let dir = folder(&[("a/b", b"old"), ("c", b"c")]);
    let scanned = found(&dir);
    let error = |scanned| {
        let failed = hash(dir.path(), scanned, &KnownRoots::default(), 1, &|_| (), &|| false);
        failed.unwrap_err().to_string()
    };
    fs::write(dir.path().join("a/b"), b"longer").unwrap();
    assert!(error(&scanned).starts_with("a/b changed meanwhile"));
    fs::remove_file(dir.path().join("a/b")).unwrap();
    assert!(error(&scanned).starts_with("a/b changed meanwhile"));
    if POSIX {
        // A folder that is a link by now is not followed.
        let outside = folder(&[("b", b"old")]);
        fs::remove_dir(dir.path().join("a")).unwrap();
        link(outside.path(), &dir.path().join("a"));
        assert!(error(&scanned).starts_with("a/b"), "{}", error(&scanned));
    }
}

#[test]
fn sending_again_hashes_only_what_changed() {
    let dir = folder(&[("a", b"one"), ("b", b"two"), ("new", b"n")]);
    settle(&dir.path().join("a"));
    settle(&dir.path().join("b"));
    let scanned = found(&dir);
    let (manifest, known) = hashed(&dir, &scanned, &KnownRoots::default());
    // What changed just now may change again within its time.
    assert_eq!(known.0.len(), 2);
    // Were it read again, this root could not come out.
    let mut wrong = known.clone();
    wrong.0.values_mut().for_each(|(_, hashed)| hashed.root = Digest32([1; 32]));
    let (from_known, _) = hashed(&dir, &scanned, &wrong);
    assert_eq!(from_known.entry(0).unwrap().file.unwrap().root, Digest32([1; 32]));
    assert_eq!(from_known.entry(2), manifest.entry(2));
    // Another time, another root.
    fs::write(dir.path().join("a"), b"1ne").unwrap();
    let (changed, _) = hashed(&dir, &found(&dir), &wrong);
    let root = *tree_of(3, |_, _| b"1ne".to_vec()).root();
    assert_eq!(changed.entry(0).unwrap().file.unwrap().root, root);
    assert_eq!(changed.entry(1).unwrap().file.unwrap().root, Digest32([1; 32]));
}

#[test]
fn nothing_is_left_out_because_there_is_much_that_is_not_sent() {
    if !POSIX {
        return;
    }
    let dir = folder(&[("file", b"")]);
    for name in ["a", "b", "c"] {
        link(Path::new("nowhere"), &dir.path().join(name));
    }
    assert_eq!(scan_at_most(dir.path(), 4, &|| false).unwrap().left_out.links, 3);
    assert!(matches!(scan_at_most(dir.path(), 3, &|| false), Err(ScanError::TooManyFiles)));
}
