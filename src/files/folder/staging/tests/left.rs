//! What earlier runs left, and what lies there that klatch did not make.

use super::*;
use crate::files::leftovers::{self, PartRemoval};

const HINTS: &str = ".klatch-abababababababab.units";
const ZEROS: &str = ".klatch-abababababababab.room";

fn system() -> Arc<dyn Disk> {
    Arc::new(SystemDisk)
}

#[test]
fn what_an_earlier_run_left_is_found_and_removed() {
    let (sent, dir) = (photos(), tempfile::tempdir().unwrap());
    let (staging, _) = sent.open(&dir);
    assert!(sent.fetch(&staging, 0).unwrap());
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    assert!(leftovers::find(&disk, dir.path()).unwrap().is_empty(), "it is still held");
    drop(staging);
    let found = leftovers::find(&disk, dir.path()).unwrap();
    assert_eq!(found.len(), 1);
    let removed = leftovers::remove(&disk, dir.path(), &found[0].id).unwrap();
    assert_eq!(removed, PartRemoval::Removed(found[0].bytes));
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_leftover_is_known_by_its_name_and_parts_by_the_id_of_their_folder() {
    let (sent, dir, disk) = (photos(), tempfile::tempdir().unwrap(), system());
    let (staging, _) = sent.open(&dir);
    let (part, _) = open(&disk, &dir, sent.plan_of(&["run.sh"]));
    assert_ne!(staging.path(), part.path());
    for staging in [&staging, &part] {
        assert!(sent.fetch(staging, 0).unwrap());
        staging.note_name("photos");
    }
    drop((staging, part));
    let found = leftovers::find(&disk, dir.path()).unwrap();
    let id = "abababababababab".to_owned();
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].id, found[0].name.as_deref()), (&id, Some("photos/")));
    for name in ["photos", "photos/"] {
        assert_eq!(leftovers::named(&*disk, dir.path(), name).unwrap(), std::slice::from_ref(&id));
    }
    assert!(leftovers::named(&*disk, dir.path(), "photo").unwrap().is_empty());
    // The name does not disturb the hints.
    let (staging, claimed) = sent.open(&dir);
    assert_eq!(claimed.iter().collect::<Vec<_>>(), [0]);
    drop(staging);
    let removed = leftovers::remove(&disk, dir.path(), &id).unwrap();
    assert_eq!(removed, PartRemoval::Removed(found[0].bytes));
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_folder_without_hints_and_zeros_without_a_folder_are_removed_too() {
    let (sent, dir, disk) = (photos(), tempfile::tempdir().unwrap(), system());
    let (staging, _) = sent.open(&dir);
    assert!(sent.fetch(&staging, 0).unwrap());
    drop(staging);
    fs::remove_file(dir.path().join(HINTS)).unwrap();
    fs::write(dir.path().join(ZEROS), [0; 5_000]).unwrap();
    let zeros = ".klatch-cdcdcdcdcdcdcdcd.room";
    fs::write(dir.path().join(zeros), [0; 5_000]).unwrap();
    let found = leftovers::find(&disk, dir.path()).unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(names(dir.path()), [STAGED, ZEROS, zeros], "looking leaves nothing");
    for left in found {
        let removed = leftovers::remove(&disk, dir.path(), &left.id).unwrap();
        assert_eq!(removed, PartRemoval::Removed(left.bytes));
    }
    assert!(names(dir.path()).is_empty());
}

#[test]
fn zeros_of_a_killed_run_go_when_the_folder_is_opened_again() {
    let (sent, dir) = (photos(), tempfile::tempdir().unwrap());
    fs::write(dir.path().join(ZEROS), [0; 5_000]).unwrap();
    let (staging, _) = sent.open(&dir);
    assert!(!dir.path().join(ZEROS).exists());
    drop(staging);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn what_does_not_belong_in_a_folder_does_not_keep_it_from_ever_being_whole() {
    let (sent, dir) = (photos(), tempfile::tempdir().unwrap());
    let (staging, _) = sent.open(&dir);
    sent.fetch_all(&staging);
    let top = staging.path().to_owned();
    fs::write(top.join("2024/sub/stray"), b"stray").unwrap();
    fs::create_dir_all(top.join("stray/deep")).unwrap();
    fs::remove_file(top.join("run.sh")).unwrap();
    fs::create_dir_all(top.join("run.sh/deep")).unwrap();
    fs::create_dir_all(top.join("nothing/deep")).unwrap();
    assert!(matches!(staging.finish("a", "b"), Err(PartError::Meddled { .. })));
    drop(staging);
    let (staging, claimed) = sent.open(&dir);
    for unit in claimed.iter() {
        assert_eq!(sent.verify(&staging, unit), unit > 0, "unit {unit}");
    }
    assert!(sent.fetch(&staging, 0).unwrap());
    sent.assert_arrived(&staging.finish("a", "b").unwrap(), &[]);
}

#[test]
fn nothing_stays_of_a_folder_that_the_disk_can_never_take() {
    let (sent, dir) = (photos(), tempfile::tempdir().unwrap());
    let faulty = Arc::new(FaultyDisk::default());
    let disk: Arc<dyn Disk> = Arc::clone(&faulty) as _;
    let (staging, _) = open(&disk, &dir, sent.plan());
    assert!(sent.fetch(&staging, 0).unwrap());
    faulty.change(|faults| faults.file_bytes = Some(500_000));
    assert!(matches!(sent.fetch(&staging, 1), Err(PartError::DiskTooSimple { .. })));
    drop(staging);
    assert!(names(dir.path()).is_empty());
    // What may pass keeps what came.
    faulty.change(|faults| faults.file_bytes = None);
    let (staging, _) = open(&disk, &dir, sent.plan());
    assert!(sent.fetch(&staging, 0).unwrap());
    faulty.change(|faults| faults.room_bytes = Some(0));
    assert!(matches!(sent.fetch(&staging, 1), Err(PartError::DiskFull { .. })));
    drop(staging);
    assert_eq!(names(dir.path()), [STAGED, HINTS]);
}
