//! S7: disks that are full, broken, or take little at a time.

use std::time::Duration;

use super::tests::{CHUNK, LEN, MAX, STAMP, chunk_of, names, receive, tree};
use super::*;
use crate::files::faulty::FaultyDisk;
use crate::files::leftovers::{self, Leftover, PartRemoval};
use crate::files::testing::count_bytes;
use crate::sys::errors::Errno;
use crate::sys::files::Facts;

fn open(disk: &Arc<FaultyDisk>, dir: &Path) -> Result<(Part, Bitmap), PartError> {
    let disk = Arc::clone(disk) as Arc<dyn Disk>;
    Part::open(&disk, dir, &tree().id(), LEN, MAX)
}

fn check_saved(part: &Part) {
    let path = part.finish("a", STAMP, &tree()).unwrap();
    assert!(std::fs::read(path).unwrap() == count_bytes(0, LEN as usize));
}

#[test]
fn s7_short_and_interrupted_writes_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::default());
    disk.change(|faults| faults.most_bytes = Some(1_000));
    let (part, _) = open(&disk, dir.path()).unwrap();
    (0..4).for_each(|chunk| assert!(receive(&part, chunk)));
    check_saved(&part);
}

#[test]
fn s7_a_full_disk_takes_the_rest_of_a_chunk_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::default());
    let (part, _) = open(&disk, dir.path()).unwrap();
    assert!(receive(&part, 0));
    disk.change(|faults| faults.room_bytes = Some(100_000));
    let mut writer = part.writer(1).unwrap();
    let bytes = chunk_of(1);
    let error = writer.write(&bytes).unwrap_err();
    assert!(matches!(error, PartError::DiskFull { .. }) && error.may_pass());
    assert!(matches!(part.try_room(&[2]), Err(PartError::DiskFull { .. })));
    disk.change(|faults| faults.room_bytes = None);
    writer.write(&bytes).unwrap();
    assert!(writer.finish(tree().chunk(1).unwrap()).unwrap());
    (2..4).for_each(|chunk| assert!(receive(&part, chunk)));
    check_saved(&part);
}

#[test]
fn s7_trying_for_room_spoils_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::default());
    let (part, _) = open(&disk, dir.path()).unwrap();
    (0..2).for_each(|chunk| assert!(receive(&part, chunk)));
    drop(part);
    let (part, claimed) = open(&disk, dir.path()).unwrap();
    assert_eq!(claimed.count(), 2);
    assert!(part.verify_claimed(0, tree().chunk(0).unwrap()));
    let mut late = part.writer(2).unwrap();
    late.write(&chunk_of(2)[..1_000]).unwrap();
    // One that is verified, one that is claimed, two that are missing, and two that do not exist.
    part.try_room(&[0, 1, 2, 3, 4, u32::MAX]).unwrap();
    assert!(matches!(late.write(b"late"), Err(PartError::Superseded)));
    assert!(part.verify_claimed(1, tree().chunk(1).unwrap()));
    (2..4).for_each(|chunk| assert!(receive(&part, chunk)));
    check_saved(&part);
}

#[test]
fn s7_every_way_of_failing_is_told_and_can_be_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::default());
    for errno in [Errno::NOSPC, Errno::DQUOT, Errno::IO] {
        disk.change(|faults| faults.create = Some(errno));
        assert!(open(&disk, dir.path()).unwrap_err().may_pass());
        disk.change(|faults| (faults.create, faults.write) = (None, Some(errno)));
        assert!(open(&disk, dir.path()).unwrap_err().may_pass());
        disk.change(|faults| faults.write = None);
        let (part, _) = open(&disk, dir.path()).unwrap();
        (0..4).for_each(|chunk| assert!(receive(&part, chunk)));
        disk.change(|faults| faults.rename = Some(errno));
        assert!(part.finish("a", STAMP, &tree()).unwrap_err().may_pass());
        disk.change(|faults| (faults.rename, faults.sync) = (None, Some(errno)));
        assert!(part.finish("a", STAMP, &tree()).unwrap_err().may_pass());
        disk.change(|faults| (faults.sync, faults.write) = (None, Some(errno)));
        assert!(part.finish("a", STAMP, &tree()).unwrap_err().may_pass(), "it is written again");
        disk.change(|faults| faults.write = None);
        check_saved(&part);
    }
    let (part, _) = open(&disk, dir.path()).unwrap();
    (0..4).for_each(|chunk| assert!(receive(&part, chunk)));
    std::fs::remove_file(part.path()).unwrap();
    let error = part.finish("a", STAMP, &tree()).unwrap_err();
    assert!(!error.may_pass() && matches!(error, PartError::Meddled { .. }), "{error}");
}

#[test]
fn s7_what_cannot_be_read_now_counts_at_the_next_opening() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::default());
    let (part, _) = open(&disk, dir.path()).unwrap();
    (0..3).for_each(|chunk| assert!(receive(&part, chunk)));
    drop(part);
    disk.change(|faults| faults.read = Some(Errno::IO));
    let (part, claimed) = open(&disk, dir.path()).unwrap();
    assert_eq!(claimed.count(), 3);
    assert!((0..3).all(|chunk| !part.verify_claimed(chunk, tree().chunk(chunk).unwrap())));
    drop(part);
    disk.change(|faults| faults.read = None);
    let (part, _) = open(&disk, dir.path()).unwrap();
    assert!((0..3).all(|chunk| part.verify_claimed(chunk, tree().chunk(chunk).unwrap())));
}

#[test]
fn a_disk_that_fills_up_still_has_room_for_every_claim() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::default());
    let (part, _) = open(&disk, dir.path()).unwrap();
    let claims = names(dir.path()).into_iter().find(|name| name.ends_with("claims")).unwrap();
    assert_eq!(std::fs::metadata(dir.path().join(claims)).unwrap().len(), 1);
    drop(part);
}

#[test]
fn leftovers_are_found_and_removed_unless_somebody_holds_them() {
    let dir = tempfile::tempdir().unwrap();
    let faulty = Arc::new(FaultyDisk::default());
    let disk = Arc::clone(&faulty) as Arc<dyn Disk>;
    let id: String = tree().id().to_string();
    let (stem, folder) = (id[..STEM_DIGITS].to_owned(), dir.path());
    assert_eq!(leftovers::find(&disk, folder).unwrap(), []);
    assert_eq!(leftovers::remove(&disk, folder, &id).unwrap(), PartRemoval::Nothing);
    let open_two = || {
        let (first, _) = open(&faulty, folder).unwrap();
        let (second, _) = open(&faulty, folder).unwrap();
        assert!(receive(&first, 0) && receive(&second, 1));
        (first, second)
    };
    let (first, second) = open_two();
    assert_eq!(leftovers::find(&disk, folder).unwrap(), []);
    assert_eq!(leftovers::remove(&disk, folder, &id[..8]).unwrap(), PartRemoval::Held);
    drop(second);
    let found = leftovers::find(&disk, folder).unwrap();
    assert!(
        matches!(&found[..], [Leftover { id, bytes, .. }] if *id == stem && *bytes >= CHUNK as u64)
    );
    assert!(matches!(leftovers::remove(&disk, folder, &id), Ok(PartRemoval::Removed(_))));
    assert_eq!(names(folder).len(), 2, "the first is held");
    drop(first);
    drop(open_two());
    std::fs::write(folder.join(".klatch-report.part"), b"no partial file").unwrap();
    std::fs::write(folder.join("klatch-0123456789abcdef.part"), b"mine").unwrap();
    let found = leftovers::find(&disk, folder).unwrap();
    assert!(matches!(&found[..], [Leftover { bytes, .. }] if *bytes >= 2 * CHUNK as u64));
    let other = format!("{}0000000f", &id[..8]);
    std::fs::write(folder.join(format!(".klatch-{other}.part")), b"another").unwrap();
    let removal = leftovers::remove(&disk, folder, &id[..8]).unwrap();
    assert!(matches!(removal, PartRemoval::Several(ids) if ids.len() == 2));
    assert!(matches!(leftovers::remove(&disk, folder, &other), Ok(PartRemoval::Removed(_))));
    assert!(matches!(leftovers::remove(&disk, folder, &id[..12]), Ok(PartRemoval::Removed(_))));
    assert_eq!(names(folder), [".klatch-report.part", "klatch-0123456789abcdef.part"]);
}

/// Receives what is missing, and checks the resulting file.
fn check_received(part: &Part) {
    for chunk in (0..4).filter(|&chunk| part.writer(chunk).is_some()) {
        assert!(receive(part, chunk));
    }
    check_saved(part);
}

#[test]
fn a_disk_without_exclusive_renames_and_hard_links_gets_its_files_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::default());
    disk.change(|faults| (faults.rename, faults.link) = (Some(Errno::INVAL), Some(Errno::PERM)));
    for taken in ["_a", "_a (2)"] {
        let (part, _) = open(&disk, dir.path()).unwrap();
        check_received(&part);
        assert!(names(dir.path()).iter().any(|name| name.ends_with(taken)));
    }
    assert_eq!(names(dir.path()).len(), 2, "nothing else stays");
}

#[test]
fn what_a_folder_never_allows_is_told_before_a_byte_is_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::default());
    disk.change(|faults| {
        (faults.rename, faults.link) = (Some(Errno::PERM), Some(Errno::PERM));
        faults.rename_over = Some(Errno::PERM);
    });
    let error = open(&disk, dir.path()).unwrap_err();
    assert!(!error.may_pass(), "{error}");
    assert_eq!(names(dir.path()), [""; 0]);
    disk.change(|faults| *faults = crate::files::faulty::Faults::default());
    disk.change(|faults| faults.file_bytes = Some(LEN - 1));
    let error = open(&disk, dir.path()).unwrap_err();
    assert!(matches!(error, PartError::DiskTooSimple { .. }) && !error.may_pass(), "{error}");
    assert_eq!(names(dir.path()), [""; 0]);
    for errno in [Errno::PERM, Errno::INVAL, Errno::NOTSUP, Errno::ROFS, Errno::NAMETOOLONG] {
        disk.change(|faults| faults.create = Some(errno));
        let error = open(&disk, dir.path()).unwrap_err();
        assert!(!error.may_pass() && error.to_string().contains("--downloads"), "{error}");
    }
}

#[test]
fn a_disk_that_gives_all_files_to_somebody_else_is_resumed_on() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::default());
    disk.change(|faults| faults.owner = Some(12_345));
    let (part, _) = open(&disk, dir.path()).unwrap();
    assert!(receive(&part, 1));
    drop(part);
    let (part, claimed) = open(&disk, dir.path()).unwrap();
    assert_eq!(claimed.iter().collect::<Vec<_>>(), [1]);
    assert!(part.verify_claimed(1, tree().chunk(1).unwrap()));
    check_received(&part);
    assert_eq!(names(dir.path()).len(), 1, "nothing hidden stays");
}

#[test]
fn what_somebody_else_left_is_listed_and_neither_used_nor_removed() {
    let dir = tempfile::tempdir().unwrap();
    let faulty = Arc::new(FaultyDisk::default());
    let disk = Arc::clone(&faulty) as Arc<dyn Disk>;
    let (part, _) = open(&faulty, dir.path()).unwrap();
    assert!(receive(&part, 1));
    let foreign = part.path().to_owned();
    let inode = Facts::at(&foreign).unwrap().id.number;
    drop(part);
    faulty.change(|faults| faults.foreign = Some(inode));
    let found = leftovers::find(&disk, dir.path()).unwrap();
    assert!(matches!(&found[..], [Leftover { bytes, .. }] if *bytes >= CHUNK as u64), "{found:?}");
    let removal = leftovers::remove(&disk, dir.path(), &tree().id().to_string()).unwrap();
    assert_eq!(removal, PartRemoval::Foreign(foreign.clone()));
    let (part, claimed) = open(&faulty, dir.path()).unwrap();
    assert!(claimed.count() == 0 && part.path() != foreign);
    check_received(&part);
    assert_eq!(names(dir.path()).len(), 3, "the file, and what is not ours");
}

#[test]
fn a_disk_without_locks_is_resumed_on_and_looked_through_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let faulty = Arc::new(FaultyDisk::default());
    let disk = Arc::clone(&faulty) as Arc<dyn Disk>;
    faulty.change(|faults| faults.lock = Some(Errno::NOSYS));
    let (part, _) = open(&faulty, dir.path()).unwrap();
    assert!(receive(&part, 2));
    drop(part);
    assert_eq!(leftovers::find(&disk, dir.path()).unwrap().len(), 1);
    let (part, claimed) = open(&faulty, dir.path()).unwrap();
    assert_eq!(claimed.iter().collect::<Vec<_>>(), [2]);
    assert!(part.verify_claimed(2, tree().chunk(2).unwrap()));
    check_received(&part);
    assert_eq!(names(dir.path()).len(), 1);
}

#[test]
fn what_another_program_changed_after_it_was_verified_is_noticed_and_fetched_again() {
    let then = [0, 2, 3];
    for fault in [None, Some(Errno::PERM)] {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(FaultyDisk::default());
        disk.change(|faults| faults.set_modified = fault);
        let (part, _) = open(&disk, dir.path()).unwrap();
        (0..3).for_each(|chunk| assert!(receive(&part, chunk)));
        let other = File::options().write(true).open(part.path()).unwrap();
        other.write_all_at(b"!", CHUNK as u64 + 5).unwrap();
        assert!(receive(&part, 3));
        for _ in 0..2 {
            let error = part.finish("a", STAMP, &tree()).unwrap_err();
            assert!(matches!(error, PartError::Meddled { .. }) && !error.may_pass(), "{error}");
        }
        drop(part);
        let (part, claimed) = open(&disk, dir.path()).unwrap();
        assert_eq!(claimed.iter().collect::<Vec<_>>(), then);
        for chunk in then {
            assert!(part.verify_claimed(chunk, tree().chunk(chunk).unwrap()));
        }
        check_received(&part);
        assert_eq!(names(dir.path()).len(), 1);
    }
}

#[test]
fn a_change_that_changed_nothing_is_no_hindrance_and_the_file_is_of_today() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::default());
    let before = SystemTime::now();
    let (part, _) = open(&disk, dir.path()).unwrap();
    (0..4).for_each(|chunk| assert!(receive(&part, chunk)));
    let other = File::options().write(true).open(part.path()).unwrap();
    other.write_all_at(&chunk_of(1), CHUNK as u64).unwrap();
    let path = part.finish("a", STAMP, &tree()).unwrap();
    // A system's time stamps may lag by a tick.
    let modified = std::fs::metadata(path).unwrap().modified().unwrap();
    assert!(modified > before - Duration::from_secs(5));
}

#[test]
fn short_names_are_no_hindrance() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::default());
    disk.change(|faults| faults.name_bytes = Some(143));
    let (part, _) = open(&disk, dir.path()).unwrap();
    (0..4).for_each(|chunk| assert!(receive(&part, chunk)));
    let path = part.finish(&format!("{}.pdf", "x".repeat(250)), STAMP, &tree()).unwrap();
    assert!(path.to_str().unwrap().ends_with("xxx.pdf"));
}
