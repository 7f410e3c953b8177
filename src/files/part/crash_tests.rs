//! The computer crashes in the middle: nothing wrong is ever trusted, served or renamed.

use super::crashing::Computer;
use super::tests::{CHUNK, LEN, MAX, STAMP, chunk_of, names, tree};
use super::*;
use crate::files::testing::count_bytes;
use crate::router::rng::Rng;

const CHUNKS: u32 = 4;

fn all_bytes() -> Vec<u8> {
    count_bytes(0, LEN as usize)
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap();
    (dir, path)
}

/// Whether the file on disk has the right bytes for a chunk.
fn is_right(part: &Part, chunk: u32) -> bool {
    let expected = chunk_of(chunk);
    let mut there = vec![0; expected.len()];
    let offset = u64::from(chunk) * CHUNK as u64;
    part.file().unwrap().read_exact_at(&mut there, offset).is_ok() && there == expected
}

/// Fetches what is missing and gives the file its name, while there is power; counts the chunks
/// fetched.
fn live(computer: &Arc<Computer>, dir: &Path, rng: &mut Rng, fetched: &mut u32) -> Option<PathBuf> {
    let (tree, disk) = (tree(), Arc::clone(computer) as Arc<dyn Disk>);
    let (part, claimed) = Part::open(&disk, dir, &tree.id(), LEN, MAX).ok()?;
    for chunk in 0..CHUNKS {
        let right = claimed.has(chunk) && is_right(&part, chunk);
        if claimed.has(chunk) {
            let counts = part.verify_claimed(chunk, tree.chunk(chunk).unwrap());
            assert_eq!(counts, right, "chunk {chunk} counts by its bytes alone");
        }
    }
    let mut missing: Vec<u32> = (0..CHUNKS).collect();
    while !missing.is_empty() {
        let chunk = missing.swap_remove(rng.below(missing.len() as u64) as usize);
        let Some(mut writer) = part.writer(chunk) else { continue };
        for piece in chunk_of(chunk).chunks(100_000) {
            writer.write(piece).ok()?;
        }
        *fetched += 1;
        assert!(writer.finish(tree.chunk(chunk).unwrap()).unwrap());
    }
    part.finish("a.bin", STAMP, &tree).ok()
}

/// A file with a visible name is complete.
fn check_visible(dir: &Path) {
    for name in names(dir).iter().filter(|name| !name.starts_with('.')) {
        assert!(std::fs::read(dir.join(name)).unwrap() == all_bytes(), "{name} is not whole");
    }
}

#[test]
fn power_that_goes_at_any_moment_leaves_nothing_wrong() {
    let mut resumed = 0;
    for seed in 0..150 {
        let mut rng = Rng::new(seed);
        let mut place = folder();
        let mut fetched = 0;
        let saved = loop {
            let power = rng.below(45);
            let computer = Arc::new(Computer::boot(&place.1, power));
            let saved = live(&computer, &place.1, &mut rng, &mut fetched);
            check_visible(&place.1);
            let next = folder();
            computer.crash(&mut rng, &next.1);
            check_visible(&next.1);
            place = next;
            if let Some(saved) = saved {
                break saved;
            }
        };
        // A file reported as saved survives a crash, under its name, if its folder was synced.
        let visible = names(&place.1).iter().filter(|name| !name.starts_with('.')).count();
        assert!(visible <= 2, "seed {seed}");
        assert!(saved.file_name().is_some());
        resumed += u32::from(fetched < 8);
    }
    assert!(resumed > 10, "{resumed} of 150 resumed what they found");
}

#[test]
fn what_is_called_saved_outlives_a_crash() {
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let (dir, next) = (folder(), folder());
        let computer = Arc::new(Computer::boot(&dir.1, u64::MAX));
        let saved = live(&computer, &dir.1, &mut rng, &mut 0).unwrap();
        computer.crash(&mut rng, &next.1);
        let found = std::fs::read(next.1.join(saved.file_name().unwrap())).unwrap();
        assert!(found == all_bytes(), "seed {seed}");
    }
}

#[test]
fn after_a_sync_that_failed_all_is_written_again() {
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let (dir, next) = (folder(), folder());
        let computer = Arc::new(Computer::boot(&dir.1, u64::MAX));
        computer.fail_syncs(2);
        let disk = Arc::clone(&computer) as Arc<dyn Disk>;
        let (part, _) = Part::open(&disk, &dir.1, &tree().id(), LEN, MAX).unwrap();
        (0..CHUNKS).for_each(|chunk| assert!(super::tests::receive(&part, chunk)));
        for _ in 0..2 {
            let error = part.finish("a.bin", STAMP, &tree()).unwrap_err();
            assert!(error.may_pass(), "{error}");
            assert!(names(&dir.1).iter().all(|name| name.starts_with('.')));
        }
        let saved = part.finish("a.bin", STAMP, &tree()).unwrap();
        computer.crash(&mut rng, &next.1);
        let found = std::fs::read(next.1.join(saved.file_name().unwrap())).unwrap();
        assert!(found == all_bytes(), "seed {seed}");
    }
}

/// All chunks are written, but could not be synced.
fn with_a_failed_sync() -> ((tempfile::TempDir, PathBuf), Part) {
    let dir = folder();
    let computer = Arc::new(Computer::boot(&dir.1, u64::MAX));
    computer.fail_syncs(1);
    let disk = Arc::clone(&computer) as Arc<dyn Disk>;
    let (part, _) = Part::open(&disk, &dir.1, &tree().id(), LEN, MAX).unwrap();
    (0..CHUNKS).for_each(|chunk| assert!(super::tests::receive(&part, chunk)));
    part.finish("a.bin", STAMP, &tree()).unwrap_err();
    (dir, part)
}

#[test]
fn a_new_run_trusts_nothing_of_a_sync_that_failed() {
    let (dir, part) = with_a_failed_sync();
    // A killed program drops nothing in order, and what the system takes for written stays.
    std::mem::forget(part);
    let copy = folder();
    for name in names(&dir.1) {
        std::fs::copy(dir.1.join(&name), copy.1.join(&name)).unwrap();
    }
    let disk: Arc<dyn Disk> = Arc::new(Computer::boot(&copy.1, u64::MAX));
    let (part, claimed) = Part::open(&disk, &copy.1, &tree().id(), LEN, MAX).unwrap();
    assert_eq!(claimed.count(), 0);
    assert!(is_right(&part, 0), "although it can still be read");
}

#[test]
fn what_was_lost_for_good_is_not_renamed() {
    let (dir, part) = with_a_failed_sync();
    // The system has dropped a page, and reads what is on the disk.
    part.file().unwrap().write_all_at(&[0; 4_096], CHUNK as u64).unwrap();
    let error = part.finish("a.bin", STAMP, &tree()).unwrap_err();
    assert!(matches!(error, PartError::Lost { .. }) && !error.may_pass(), "{error}");
    drop(part);
    assert!(names(&dir.1).is_empty(), "nothing is left that could be trusted");
}
