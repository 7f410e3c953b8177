use std::fs;

use super::*;
use crate::files::disk::SystemDisk;
use crate::files::merkle::file_id;
use crate::files::testing::{count_bytes, tree_of, write};
use crate::sys::errors::Errno;
use crate::sys::files::Facts;
use crate::sys::testing::{POSIX, link};

pub(super) const MAX: u64 = 1 << 41;
pub(super) const CHUNK: usize = 256 * 1024;
pub(super) const LEN: u64 = 3 * CHUNK as u64 + 5;
pub(super) const STAMP: &str = "2026-11-22_14-05-33";

fn disk() -> Arc<dyn Disk> {
    Arc::new(SystemDisk)
}

pub(super) fn tree() -> FileTree {
    tree_of(LEN, count_bytes)
}

fn open(dir: &Path) -> (Part, Vec<u32>) {
    let (part, claimed) = Part::open(&disk(), dir, &tree().id(), LEN, MAX).unwrap();
    (part, claimed.iter().collect())
}

/// The bytes of a chunk, as an honest host sends them.
pub(super) fn chunk_of(chunk: u32) -> Vec<u8> {
    let (offset, bytes) = chunk_range(LEN, chunk).unwrap();
    count_bytes(offset, bytes as usize)
}

pub(super) fn receive(part: &Part, chunk: u32) -> bool {
    let mut writer = part.writer(chunk).unwrap();
    for piece in chunk_of(chunk).chunks(100_000) {
        writer.write(piece).unwrap();
    }
    writer.finish(tree().chunk(chunk).unwrap()).unwrap()
}

pub(super) fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_download_is_exact_and_gets_its_name_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let (part, claimed) = open(dir.path());
    assert!(claimed.is_empty());
    for chunk in [3, 0, 2] {
        assert!(receive(&part, chunk));
    }
    let early = part.finish("report.pdf", STAMP, &tree());
    assert!(matches!(early, Err(PartError::Incomplete { missing: 1 })));
    assert!(receive(&part, 1));
    assert!(part.is_complete() && part.writer(1).is_none());
    let path = part.finish("../report.pdf", STAMP, &tree()).unwrap();
    assert_eq!(names(dir.path()), ["2026-11-22_14-05-33_report.pdf"]);
    assert_eq!(fs::read(&path).unwrap(), count_bytes(0, LEN as usize));
    assert!(matches!(part.finish("report.pdf", STAMP, &tree()), Err(PartError::Ended)));
    assert!(matches!(part.discard(), Err(PartError::Ended)));
    drop(part);
    assert!(path.exists());
}

#[test]
fn nothing_is_ever_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let mine = write(dir.path(), "2026-11-22_14-05-33_a.txt", b"mine");
    let second = dir.path().join("2026-11-22_14-05-33_a (2).txt");
    match POSIX {
        true => link(Path::new("gone"), &second),
        false => fs::create_dir(&second).unwrap(),
    }
    let (part, _) = open(dir.path());
    (0..4).for_each(|chunk| assert!(receive(&part, chunk)));
    let path = part.finish("a.txt", STAMP, &tree()).unwrap();
    assert!(path.ends_with("2026-11-22_14-05-33_a (3).txt"));
    assert_eq!(fs::read(mine).unwrap(), b"mine");
    assert_eq!(names(dir.path()).len(), 3);
}

#[test]
fn the_empty_file_works_and_leaves_nothing_when_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let id = file_id(0, &Digest32::default());
    drop(Part::open(&disk(), dir.path(), &id, 0, MAX).unwrap());
    assert!(names(dir.path()).is_empty());
    let (part, _) = Part::open(&disk(), dir.path(), &id, 0, MAX).unwrap();
    let path = part.finish("", STAMP, &FileTree::new(0, Vec::new()).unwrap()).unwrap();
    assert!(path.ends_with("2026-11-22_14-05-33_file"));
    assert_eq!(fs::read(path).unwrap(), b"");
}

#[test]
fn one_wrong_byte_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let (part, _) = open(dir.path());
    let tree = tree();
    let send = |chunk, bytes: &[u8]| {
        let mut writer = part.writer(chunk).unwrap();
        writer.write(bytes).unwrap();
        writer.finish(tree.chunk(chunk).unwrap()).unwrap()
    };
    let mut bytes = chunk_of(1);
    bytes[77] ^= 1;
    assert!(!send(1, &bytes));
    bytes[77] ^= 1;
    assert!(!send(1, &bytes[1..]));
    assert!(receive(&part, 2));
    bytes.push(0);
    assert!(!send(1, &bytes), "too many bytes are refused");
    assert!(receive(&part, 1));
    // None of the overlong chunk's bytes went into the next chunk.
    let mut disk = vec![0; CHUNK];
    part.file().unwrap().read_exact_at(&mut disk, 2 * CHUNK as u64).unwrap();
    assert_eq!(disk, chunk_of(2));
}

#[test]
fn late_bytes_of_a_slow_host_cannot_spoil_a_chunk_that_was_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let (part, _) = open(dir.path());
    let expected = *tree().chunk(0).unwrap();
    let mut slow = part.writer(0).unwrap();
    slow.write(b"wrong").unwrap();
    let mut fast = part.writer(0).unwrap();
    fast.write(&chunk_of(0)[..1000]).unwrap();
    assert!(matches!(slow.write(b"wrong"), Err(PartError::Superseded)));
    fast.write(&chunk_of(0)[1000..]).unwrap();
    assert!(fast.finish(&expected).unwrap());
    assert!(matches!(slow.write(b"wrong"), Err(PartError::Superseded)));
    assert!(matches!(slow.finish(&expected), Err(PartError::Superseded)));
    let mut disk = vec![0; CHUNK];
    part.file().unwrap().read_exact_at(&mut disk, 0).unwrap();
    assert_eq!(disk, chunk_of(0));
}

#[test]
fn what_is_claimed_is_verified_again_before_it_counts() {
    let dir = tempfile::tempdir().unwrap();
    let tree = tree();
    let (part, _) = open(dir.path());
    (0..3).for_each(|chunk| assert!(receive(&part, chunk)));
    part.file().unwrap().write_all_at(b"rot", CHUNK as u64 + 9).unwrap();
    drop(part);

    let (part, claimed) = open(dir.path());
    assert_eq!(claimed, [0, 1, 2]);
    assert!(!part.is_complete());
    let good: Vec<_> = (0..5)
        .filter(|&chunk| {
            let expected = tree.chunk(chunk).copied().unwrap_or_default();
            part.verify_claimed(chunk, &expected)
        })
        .collect();
    assert_eq!(good, [0, 2]);
    drop(part);

    let (part, claimed) = open(dir.path());
    assert_eq!(claimed, [0, 2]);
    drop(part);
    // Damaged hints, or a file that is too long, do no harm.
    let claims = names(dir.path()).into_iter().find(|name| name.ends_with("claims")).unwrap();
    fs::write(dir.path().join(claims), [0xff; 100]).unwrap();
    let path = open(dir.path()).0.path().to_owned();
    File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .unwrap()
        .set_len(LEN + 1)
        .unwrap();
    let (part, claimed) = open(dir.path());
    assert!(claimed.is_empty());
    (0..4).for_each(|chunk| assert!(receive(&part, chunk)));
    let path = part.finish("a", STAMP, &tree).unwrap();
    assert_eq!(fs::read(path).unwrap(), count_bytes(0, LEN as usize));
}

#[test]
fn two_programs_fetch_one_file_into_one_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (first, _) = open(dir.path());
    let (second, _) = open(dir.path());
    for part in [&first, &second] {
        (0..4).for_each(|chunk| assert!(receive(part, chunk)));
    }
    let first = first.finish("a.txt", STAMP, &tree()).unwrap();
    let second = second.finish("a.txt", STAMP, &tree()).unwrap();
    assert_eq!(names(dir.path()).len(), 2);
    assert_eq!(fs::read(first).unwrap(), fs::read(second).unwrap());
}

#[test]
fn an_offer_that_lies_about_its_length_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let id = FileId([7; 32]);
    let refused = Part::open(&disk(), dir.path(), &id, 1 << 63, MAX);
    assert!(matches!(refused, Err(PartError::TooLarge { .. })));
    assert!(names(dir.path()).is_empty());
    let (part, _) = Part::open(&disk(), dir.path(), &id, MAX, MAX).unwrap();
    let mut writer = part.writer(131_071).unwrap();
    writer.write(&[1; 4096]).unwrap();
    let facts = Facts::of(&part.file().unwrap()).unwrap();
    let is_counted = POSIX.then_some(facts.allocated_bytes);
    assert!(is_counted.is_none_or(|bytes| bytes <= 64 * 1024), "only what was written is there");
}

#[test]
fn errors_say_what_to_do() {
    let told = |number| {
        let error = io::Error::from_raw_os_error(number);
        PartError::on("write", Path::new("x"))(error).to_string()
    };
    assert!(told(Errno::NOSPC.raw_os_error()).contains("make room"));
    assert!(told(Errno::DQUOT.raw_os_error()).contains("make room"));
    assert!(told(Errno::ROFS.raw_os_error()).contains("read-only"));
    assert!(told(Errno::ACCESS.raw_os_error()).contains("permission denied"));
    assert!(told(Errno::FBIG.raw_os_error()).contains("no file so long"));
    assert!(told(Errno::IO.raw_os_error()).starts_with("cannot write x: "));
    let missing =
        Part::open(&disk(), Path::new("/nonexistent"), &FileId([1; 32]), 1, MAX).unwrap_err();
    assert!(missing.to_string().contains("create it"));
}

#[test]
fn threads_write_different_chunks_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (part, _) = open(dir.path());
    std::thread::scope(|scope| {
        for chunk in 0..4 {
            let part = &part;
            scope.spawn(move || assert!(receive(part, chunk)));
        }
    });
    let path = part.finish("a", STAMP, &tree()).unwrap();
    assert_eq!(fs::read(path).unwrap(), count_bytes(0, LEN as usize));
}
