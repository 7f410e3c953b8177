//! Lanes that write at once, also of an earlier opening; long bundles, equal files, early syncs.

use std::sync::Weak;

use super::*;
use crate::files::merkle::CHUNK_MIN_BYTES;

/// A disk that tries to write a unit whenever a time is set.
#[derive(Debug, Default)]
struct Intruder {
    staging: Mutex<Weak<Staging>>,
    tried: AtomicU32,
    let_in: AtomicU32,
}

impl Disk for Intruder {
    fn set_modified(&self, file: &File, time: SystemTime) -> io::Result<()> {
        if let Some(staging) = lock_of(&self.staging).upgrade() {
            self.tried.fetch_add(1, Ordering::Relaxed);
            for unit in 0..2 {
                let is_in = staging.writer(unit).unwrap().is_some();
                self.let_in.fetch_add(is_in.into(), Ordering::Relaxed);
            }
        }
        SystemDisk.set_modified(file, time)
    }
}

#[test]
fn nobody_writes_a_file_that_is_copied() {
    let (sent, dir) = (photos(), tempfile::tempdir().unwrap());
    let intruder = Arc::new(Intruder::default());
    let (staging, _) = open(&(Arc::clone(&intruder) as Arc<dyn Disk>), &dir, sent.plan());
    let staging = Arc::new(staging);
    let mut bundle = staging.writer(0).unwrap().unwrap();
    let mut chunk = staging.writer(1).unwrap().unwrap();
    assert_eq!(bundle.files().iter().map(|file| file.entry).collect::<Vec<_>>(), [0, 3, 6]);
    bundle.write(b"firstsec").unwrap();
    *lock_of(&intruder.staging) = Arc::downgrade(&staging);
    let from = |bytes: &[u8]| {
        let path = dir.path().join("from");
        fs::write(&path, bytes).unwrap();
        File::open(path).unwrap()
    };
    assert!(staging.copy_in(3, &from(b"second"), &|| true).unwrap().is_some());
    assert_eq!(intruder.tried.load(Ordering::Relaxed), 1);
    assert_eq!(intruder.let_in.load(Ordering::Relaxed), 1, "into the other unit");
    *lock_of(&intruder.staging) = Weak::new();
    // Whoever began before is not let on, and whoever begins now is not asked for the copy.
    assert!(matches!(bundle.write(b"ond#!"), Err(PartError::Superseded)));
    assert!(matches!(chunk.write(b"x"), Err(PartError::Superseded)), "by the intruder");
    let left = staging.writer(0).unwrap().unwrap();
    assert_eq!(left.files().iter().map(|file| file.entry).collect::<Vec<_>>(), [6]);
    *lock_of(&intruder.staging) = Arc::downgrade(&staging);
    assert!(staging.copy_in(4, &from(&count_bytes(0, 600_000)), &|| true).unwrap().is_some());
    assert_eq!(intruder.let_in.load(Ordering::Relaxed), 2, "into the bundle");
    *lock_of(&intruder.staging) = Weak::new();
    assert!(sent.fetch(&staging, 0).unwrap());
    sent.assert_arrived(&staging.finish("a", "b").unwrap(), &[]);
}

/// A folder so large that its bundles are of 512 KiB; only two files of it are wanted.
fn long_bundle() -> (FolderPlan, [Vec<u8>; 2]) {
    let files = [count_bytes(0, 500_000), b"short".to_vec()];
    let listed = |size, root| ListedFile { size, root, modified_s: TIME_S, executable: false };
    let entry = |path: String, file| ManifestEntry { path, file: Some(file) };
    let wanted = (0..2).map(|number: usize| {
        let tree = tree(&files[number]);
        entry(number.to_string(), listed(tree.len(), *tree.root()))
    });
    let others = (0..70_000_u32).map(|number| {
        let mut root = [7; 32];
        root[..4].copy_from_slice(&number.to_be_bytes());
        entry(format!("2{number:06}"), listed(300_000, Digest32(root)))
    });
    let entries: Vec<_> = wanted.chain(others).collect();
    let manifest = Arc::new(Manifest::encode(&entries).unwrap());
    let units = Arc::new(Units::of(&manifest).unwrap());
    let paths = Arc::new(LocalPaths::of(&manifest, false).unwrap());
    let mut wanted = Bitmap::none(manifest.len());
    for entry in 0..2 {
        wanted.insert(entry);
    }
    (FolderPlan { manifest, units, paths, wanted, exec: false }, files)
}

#[test]
fn a_long_bundle_is_written_as_it_comes() {
    let (plan, [long, short]) = long_bundle();
    assert_eq!(plan.units.len_bytes(0), Some(500_005));
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(SystemDisk) as Arc<dyn Disk>);
    let (staging, _) = open(&disk, &dir, plan);
    let bytes = [&long[..], &short[..]].concat();
    let mut wrong = bytes.clone();
    wrong[400_000] ^= 1;
    let lies = staging.path().join("0");
    let mut writer = staging.writer(0).unwrap().unwrap();
    for (number, piece) in wrong.chunks(65_536).enumerate() {
        writer.write(piece).unwrap();
        assert_eq!(lies.exists(), (3..7).contains(&number), "piece {number}");
        if number == 3 {
            assert_eq!(fs::metadata(&lies).unwrap().len(), u64::from(CHUNK_MIN_BYTES));
        }
    }
    assert!(!writer.finish(&[]).unwrap());
    assert_eq!(names(staging.path()), ["1"], "what is right stays");
    assert_eq!(staging.wanted_of(0).len(), 1);
    let mut writer = staging.writer(0).unwrap().unwrap();
    writer.write(&long[..300_000]).unwrap();
    // Another program is at it meanwhile.
    File::options().write(true).open(&lies).unwrap().write_all_at(b"!", 9).unwrap();
    writer.write(&long[300_000..]).unwrap();
    assert!(writer.finish(&[]).unwrap());
    assert!(matches!(staging.finish("a", "b"), Err(PartError::Meddled { .. })));
    drop(staging);
    let (plan, _) = long_bundle();
    let (staging, _) = open(&disk, &dir, plan);
    assert!(!staging.verify_claimed(0, &[]));
    let mut writer = staging.writer(0).unwrap().unwrap();
    writer.write(&long).unwrap();
    assert!(writer.finish(&[]).unwrap());
    let path = staging.finish("a", "b").unwrap();
    assert_eq!(names(&path), ["0", "1"]);
    assert!(fs::read(path.join("0")).unwrap() == long);
}

#[test]
fn a_file_that_occurs_twice_arrives_twice_whatever_happens_to_the_first() {
    let (sent, disk) = (photos(), Arc::new(SystemDisk) as Arc<dyn Disk>);
    // Only the second is wanted, a short one and a long one.
    let (dir, twice) = (tempfile::tempdir().unwrap(), ["2024/copy.jpg", "zlarge"]);
    let (staging, _) = open(&disk, &dir, sent.plan_of(&twice));
    sent.fetch_all(&staging);
    let path = staging.finish("a", "b").unwrap();
    let others: Vec<_> = sent.files.keys().copied().filter(|of| !twice.contains(of)).collect();
    sent.assert_arrived(&path, &others);
    // The first is changed or gone before it is copied, and comes again with the next run.
    let changes: [fn(&Path); 2] =
        [|first| fs::write(first, b"wrong").unwrap(), |first| fs::remove_file(first).unwrap()];
    for change in changes {
        for plan in [sent.plan(), sent.plan_of(&twice)] {
            let dir = tempfile::tempdir().unwrap();
            let (staging, _) = open(&disk, &dir, plan.clone());
            sent.fetch_all(&staging);
            change(&staging.path().join("2024/a.jpg"));
            change(&staging.path().join("large"));
            assert!(matches!(staging.finish("a", "b"), Err(PartError::Meddled { .. })));
            drop(staging);
            let (staging, claimed) = open(&disk, &dir, plan.clone());
            assert!(claimed.iter().all(|unit| !sent.verify(&staging, unit) || unit > 0));
            for unit in staging.needed().iter().filter(|unit| !staging.verified().has(*unit)) {
                assert!(sent.fetch(&staging, unit).unwrap(), "unit {unit}");
            }
            let path = staging.finish("a", "b").unwrap();
            let is_whole = plan.wanted.is_all();
            sent.assert_arrived(&path, if is_whole { &[] } else { &others });
        }
    }
}

#[test]
fn equal_files_arrive_from_what_an_earlier_run_left() {
    let (sent, dir) = (photos(), tempfile::tempdir().unwrap());
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let faulty = Arc::new(FaultyDisk::default());
    let (staging, _) = open(&(Arc::clone(&faulty) as Arc<dyn Disk>), &dir, sent.plan());
    sent.fetch_all(&staging);
    // The copies are made by the time this fails.
    faulty.change(|faults| faults.rename = Some(Errno::NOSPC));
    assert!(staging.finish("a", "b").is_err());
    drop(staging);
    let (staging, claimed) = open(&disk, &dir, sent.plan());
    assert!(claimed.iter().all(|unit| sent.verify(&staging, unit)));
    sent.assert_arrived(&staging.finish("a", "b").unwrap(), &[]);
}

#[test]
fn long_files_are_synced_while_they_come() {
    let (sent, dir) = (photos(), tempfile::tempdir().unwrap());
    let faulty = Arc::new(FaultyDisk::default());
    let (staging, _) = open(&(Arc::clone(&faulty) as Arc<dyn Disk>), &dir, sent.plan());
    sent.fetch_all_but(&staging, 2);
    assert!(!staging.wants_sync(1), "so little is synced at the end");
    assert!(!staging.wants_sync_after(0, 1), "bundles are synced at the end");
    assert!(staging.wants_sync_after(1, 200_000));
    assert!(!staging.wants_sync_after(3, 200_000), "it is about to be");
    staging.skip_sync(3);
    assert!(staging.wants_sync_after(3, 200_000));
    staging.sync_early(3);
    assert!(!staging.wants_sync_after(1, 1));
    assert!(sent.fetch(&staging, 2).unwrap());
    assert!(staging.wants_sync_after(2, 200_000));
    faulty.change(|faults| faults.sync = Some(Errno::IO));
    staging.sync_early(2);
    faulty.change(|faults| faults.sync = None);
    assert!(matches!(staging.finish("a", "b"), Err(PartError::Lost { .. })));
}
