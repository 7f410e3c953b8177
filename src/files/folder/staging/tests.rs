//! Folders that arrive whole, in part, wrongly, or while somebody is at them.

use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;
use std::time::SystemTime;

use tempfile::TempDir;

use super::*;
use crate::files::disk::SystemDisk;
use crate::files::faulty::FaultyDisk;
use crate::files::folder::served::ServedFolder;
use crate::files::merkle::FileTree;
use crate::files::testing::{count_bytes, tree_of};
use crate::sys::errors::Errno;
use crate::sys::testing::{POSIX, close_to_others, link, mode};

mod lanes;
mod left;
mod update;

const MAX: u64 = 1 << 41;
const TIME_S: i64 = 1_000_000_000;

/// A folder at its sender's: paths and contents, of which `None` is an empty folder.
struct Sent {
    files: BTreeMap<&'static str, Option<Vec<u8>>>,
    /// The hashes of the chunks of each entry.
    chunks: Vec<Vec<Digest32>>,
    manifest: Arc<Manifest>,
    units: Arc<Units>,
}

fn tree(bytes: &[u8]) -> FileTree {
    tree_of(bytes.len() as u64, |at, len| bytes[at as usize..at as usize + len].to_vec())
}

impl Sent {
    fn new(files: &[(&'static str, Option<&[u8]>)]) -> Self {
        let files: BTreeMap<_, _> =
            files.iter().map(|(path, bytes)| (*path, bytes.map(<[u8]>::to_vec))).collect();
        let trees: Vec<_> =
            files.values().map(|bytes| tree(bytes.as_deref().unwrap_or_default())).collect();
        let listed = |path: &str, tree: &FileTree| ListedFile {
            size: tree.len(),
            root: *tree.root(),
            modified_s: TIME_S,
            executable: path.ends_with(".sh"),
        };
        let entry = |((path, bytes), tree): ((&&str, &Option<Vec<u8>>), &FileTree)| {
            let file = bytes.is_some().then(|| listed(path, tree));
            ManifestEntry { path: (*path).to_owned(), file }
        };
        let entries: Vec<_> = files.iter().zip(&trees).map(entry).collect();
        let chunks = trees.iter().map(|tree| tree.chunks().to_vec()).collect();
        let manifest = Arc::new(Manifest::encode(&entries).unwrap());
        let units = Arc::new(Units::of(&manifest).unwrap());
        Self { files, chunks, manifest, units }
    }

    fn plan(&self) -> FolderPlan {
        FolderPlan {
            manifest: Arc::clone(&self.manifest),
            units: Arc::clone(&self.units),
            paths: Arc::new(LocalPaths::of(&self.manifest, false).unwrap()),
            wanted: Bitmap::all(self.manifest.len()),
            exec: false,
        }
    }

    /// The same, of which only some is wanted.
    fn plan_of(&self, paths: &[&str]) -> FolderPlan {
        let mut wanted = Bitmap::none(self.manifest.len());
        for (entry, path) in (0..).zip(self.files.keys()) {
            if paths.contains(path) {
                wanted.insert(entry);
            }
        }
        FolderPlan { wanted, ..self.plan() }
    }

    fn name(&self, entry: u32) -> &'static str {
        self.files.keys().nth(entry as usize).unwrap()
    }

    fn bytes(&self, entry: u32) -> &[u8] {
        self.files.values().nth(entry as usize).unwrap().as_deref().unwrap()
    }

    fn open(&self, dir: &TempDir) -> (Staging, Bitmap) {
        open(&(Arc::new(SystemDisk) as Arc<dyn Disk>), dir, self.plan())
    }

    /// What is sent of a unit, and the hashes of its chunks.
    fn unit(&self, staging: &Staging, unit: u32) -> (Vec<u8>, Vec<Digest32>) {
        match self.units.content(unit).unwrap() {
            UnitContent::Bundle(_) => {
                let files = staging.wanted_of(unit);
                (files.iter().flat_map(|file| self.bytes(file.entry).to_vec()).collect(), vec![])
            }
            UnitContent::Chunks { entry, chunks, offset } => {
                let len = self.units.len_bytes(unit).unwrap() as usize;
                let bytes = &self.bytes(entry)[offset as usize..offset as usize + len];
                let chunks = chunks.start as usize..chunks.end as usize;
                (bytes.to_vec(), self.chunks[entry as usize][chunks].to_vec())
            }
        }
    }

    fn fetch(&self, staging: &Staging, unit: u32) -> Result<bool, PartError> {
        let Some(mut writer) = staging.writer(unit)? else { return Ok(false) };
        let (bytes, hashes) = self.unit(staging, unit);
        for piece in bytes.chunks(30_000) {
            writer.write(piece)?;
        }
        writer.finish(&hashes)
    }

    fn fetch_all(&self, staging: &Staging) {
        for unit in staging.needed().iter() {
            assert!(self.fetch(staging, unit).unwrap(), "unit {unit}");
        }
    }

    fn verify(&self, staging: &Staging, unit: u32) -> bool {
        let (_, hashes) = self.unit(staging, unit);
        staging.verify_claimed(unit, &hashes)
    }

    /// Looks that a folder is what was sent, but for what is not wanted.
    fn assert_arrived(&self, folder: &Path, left_out: &[&str]) {
        let mut expected: BTreeMap<String, Option<Vec<u8>>> =
            self.files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.clone())).collect();
        expected.retain(|path, _| !left_out.contains(&path.as_str()));
        assert_eq!(read(folder, ""), expected);
    }
}

fn open(disk: &Arc<dyn Disk>, dir: &TempDir, plan: FolderPlan) -> (Staging, Bitmap) {
    Staging::open(disk, dir.path(), &[0xab; 32], plan, MAX).unwrap()
}

/// Files and empty folders below a folder.
fn read(folder: &Path, above: &str) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{above}{}", entry.file_name().into_string().unwrap());
        if !entry.file_type().unwrap().is_dir() {
            found.insert(path, Some(fs::read(entry.path()).unwrap()));
            continue;
        }
        let below = read(&entry.path(), &format!("{path}/"));
        if below.is_empty() {
            found.insert(path, None);
        }
        found.extend(below);
    }
    found
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

fn photos() -> &'static Sent {
    static PHOTOS: LazyLock<Sent> = LazyLock::new(some_photos);
    &PHOTOS
}

fn some_photos() -> Sent {
    let large = count_bytes(0, 600_000);
    Sent::new(&[
        ("2024/a.jpg", Some(b"first")),
        ("2024/copy.jpg", Some(b"first")),
        ("2024/empty", Some(b"")),
        ("2024/sub/b.jpg", Some(b"second")),
        ("large", Some(&large)),
        ("nothing", None),
        ("run.sh", Some(b"#!")),
        ("zlarge", Some(&large)),
    ])
}

const STAGED: &str = ".klatch-abababababababab.folder";

#[test]
fn a_folder_appears_when_it_is_whole() {
    let (sent, dir) = (photos(), tempfile::tempdir().unwrap());
    let (staging, claimed) = sent.open(&dir);
    assert_eq!((claimed.count(), staging.needed().count()), (0, 4));
    assert_eq!(names(dir.path()), [STAGED, ".klatch-abababababababab.units"]);
    for unit in 0..4 {
        let early = staging.finish("photos", "now");
        assert!(matches!(early, Err(PartError::Incomplete { missing }) if missing == 4 - unit));
        assert!(sent.fetch(&staging, unit).unwrap());
        assert!(staging.writer(unit).unwrap().is_none());
    }
    let path = staging.finish("photos", "now").unwrap();
    assert!(path.ends_with("now_photos"), "{path:?}");
    sent.assert_arrived(&path, &[]);
    assert_eq!(names(dir.path()), ["now_photos"]);
    for name in ["2024/a.jpg", "2024/copy.jpg", "2024/empty", "large", "zlarge"] {
        let modified = fs::metadata(path.join(name)).unwrap().modified().unwrap();
        assert_eq!(modified, tree::time_of(TIME_S).unwrap(), "{name}");
    }
    assert!(matches!(staging.finish("photos", "now"), Err(PartError::Ended)));
    drop(staging);
    assert_eq!(names(dir.path()), ["now_photos"]);
    if POSIX {
        assert_eq!(mode(&path.join("run.sh")) & 0o111, 0);
    }
}

#[test]
fn a_folder_replaces_nothing_and_keeps_what_can_be_executed_if_asked() {
    let (sent, dir) = (photos(), tempfile::tempdir().unwrap());
    fs::create_dir(dir.path().join("now_photos")).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let (staging, _) = open(&disk, &dir, FolderPlan { exec: true, ..sent.plan() });
    sent.fetch_all(&staging);
    let path = staging.finish("photos", "now").unwrap();
    assert!(path.ends_with("now_photos (2)"), "{path:?}");
    assert!(names(&dir.path().join("now_photos")).is_empty());
    if POSIX {
        assert_ne!(mode(&path.join("run.sh")) & 0o100, 0);
        assert_eq!(mode(&path.join("large")) & 0o111, 0);
    }
}

#[test]
fn wrong_bytes_do_not_count_and_right_files_of_a_bundle_stay() {
    let (sent, dir) = (photos(), tempfile::tempdir().unwrap());
    let (staging, _) = sent.open(&dir);
    let wanted = staging.wanted_of(0);
    assert_eq!(wanted.iter().map(|file| file.entry).collect::<Vec<_>>(), [0, 3, 6]);
    let (bytes, _) = sent.unit(&staging, 0);
    for wrong in [&bytes[1..], &[&bytes[..], b"!"].concat()[..]] {
        let mut writer = staging.writer(0).unwrap().unwrap();
        writer.write(wrong).unwrap();
        assert!(!writer.finish(&[]).unwrap());
        assert_eq!(staging.wanted_of(0), wanted);
    }
    let mut writer = staging.writer(0).unwrap().unwrap();
    writer
        .write(&bytes.iter().map(|b| if *b == b's' { b'x' } else { *b }).collect::<Vec<_>>())
        .unwrap();
    assert!(!writer.finish(&[]).unwrap());
    assert_eq!(read(staging.path(), ""), BTreeMap::from([("run.sh".into(), Some(b"#!".to_vec()))]));
    assert_eq!(staging.wanted_of(0).len(), 2);
    // A chunk with a wrong byte, one that is too long, and one that is not whole.
    let (chunk, hashes) = sent.unit(&staging, 2);
    let mut changed = chunk.clone();
    changed[9] ^= 1;
    for wrong in [&changed[..], &[&chunk[..], b"!"].concat()[..], &chunk[1..]] {
        let mut writer = staging.writer(2).unwrap().unwrap();
        writer.write(wrong).unwrap();
        assert!(!writer.finish(&hashes).unwrap());
    }
    sent.fetch_all(&staging);
    sent.assert_arrived(&staging.finish("a", "b").unwrap(), &[]);
}

#[test]
fn the_newest_writer_of_a_unit_wins() {
    let (sent, dir) = (photos(), tempfile::tempdir().unwrap());
    let (staging, _) = sent.open(&dir);
    let mut late = staging.writer(1).unwrap().unwrap();
    late.write(b"late").unwrap();
    assert!(sent.fetch(&staging, 1).unwrap());
    assert!(matches!(late.write(b"later"), Err(PartError::Superseded)));
    assert!(matches!(late.finish(&[]), Err(PartError::Superseded)));
}

#[test]
fn what_an_earlier_run_claimed_is_hashed_again() {
    let (sent, dir) = (photos(), tempfile::tempdir().unwrap());
    let (staging, _) = sent.open(&dir);
    for unit in [0, 1, 2] {
        assert!(sent.fetch(&staging, unit).unwrap());
    }
    drop(staging);
    // Nothing shows the change of the small file but its content; the chunk is as it was.
    fs::write(dir.path().join(STAGED).join("2024/sub/b.jpg"), b"SECOND").unwrap();
    let (staging, claimed) = sent.open(&dir);
    assert_eq!(claimed.iter().collect::<Vec<_>>(), [0, 1, 2]);
    assert!(!staging.is_complete());
    assert!(!sent.verify(&staging, 0) && sent.verify(&staging, 1) && sent.verify(&staging, 2));
    assert_eq!(staging.wanted_of(0).len(), 1);
    assert!(sent.fetch(&staging, 0).unwrap() && sent.fetch(&staging, 3).unwrap());
    sent.assert_arrived(&staging.finish("a", "b").unwrap(), &[]);
}

#[test]
fn two_programs_do_not_collide_and_nothing_is_left_of_nothing() {
    let (sent, dir) = (photos(), tempfile::tempdir().unwrap());
    let (first, _) = sent.open(&dir);
    let (second, _) = sent.open(&dir);
    assert_ne!(first.path(), second.path());
    sent.fetch_all(&second);
    let path = second.finish("a", "b").unwrap();
    sent.fetch_all(&first);
    first.discard().unwrap();
    drop((first, second));
    drop(sent.open(&dir));
    assert_eq!(names(dir.path()), ["b_a"]);
    sent.assert_arrived(&path, &[]);
    let over = Staging::open(
        &(Arc::new(SystemDisk) as Arc<dyn Disk>),
        dir.path(),
        &[1; 32],
        sent.plan(),
        1_000,
    );
    assert!(matches!(over, Err(PartError::TooLarge { .. })));
}

#[test]
fn only_what_is_wanted_is_fetched_and_arrives() {
    let sent = Sent::new(&[
        ("a/deep/source", Some(b"same")),
        ("a/other", Some(b"other")),
        ("b/copy", Some(b"same")),
        ("c", None),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let (staging, _) = open(&disk, &dir, sent.plan_of(&["b/copy"]));
    // The copy's source is fetched, and does not stay.
    assert_eq!(staging.wanted_of(0).iter().map(|file| file.entry).collect::<Vec<_>>(), [0]);
    sent.fetch_all(&staging);
    let path = staging.finish("a", "b").unwrap();
    sent.assert_arrived(&path, &["a/deep/source", "a/other", "c"]);
    assert_eq!(names(&path), ["b"]);
    let (staging, _) = open(&disk, &dir, sent.plan_of(&["c"]));
    assert!(staging.is_complete());
    sent.assert_arrived(
        &staging.finish("a", "c").unwrap(),
        &["a/deep/source", "a/other", "b/copy"],
    );
}

#[test]
fn what_is_here_already_is_copied_and_not_fetched() {
    let (sent, dir) = (photos(), tempfile::tempdir().unwrap());
    let elsewhere = tempfile::tempdir().unwrap();
    let (staging, _) = sent.open(&dir);
    let file = |bytes: &[u8]| {
        fs::write(elsewhere.path().join("f"), bytes).unwrap();
        File::open(elsewhere.path().join("f")).unwrap()
    };
    assert!(staging.copy_in(3, &file(b"secomd"), &|| true).unwrap().is_none());
    assert!(staging.copy_in(3, &file(b"second"), &|| true).unwrap().is_some());
    assert_eq!(staging.wanted_of(0).len(), 2);
    // A copy that is wrong undoes nothing that came, and what was begun is begun anew.
    let large = count_bytes(0, 600_000);
    let mut begun = staging.writer(1).unwrap().unwrap();
    begun.write(b"begun").unwrap();
    assert!(staging.copy_in(4, &file(&vec![0; 600_000]), &|| true).unwrap().is_none());
    assert!(matches!(begun.write(b"more"), Err(PartError::Superseded)));
    let (other_dir, large_file) = (tempfile::tempdir().unwrap(), file(&large));
    let (other, _) = sent.open(&other_dir);
    assert!(sent.fetch(&other, 1).unwrap());
    assert!(other.copy_in(4, &large_file, &|| true).unwrap().is_none());
    sent.fetch_all_but(&other, 1);
    sent.assert_arrived(&other.finish("a", "b").unwrap(), &[]);
    assert!(staging.copy_in(4, &large_file, &|| false).unwrap().is_none());
    assert!(staging.copy_in(4, &large_file, &|| true).unwrap().is_some());
    assert!(!staging.is_complete() && staging.writer(2).unwrap().is_none());
    assert!(sent.fetch(&staging, 0).unwrap() && staging.is_complete());
    sent.assert_arrived(&staging.finish("a", "b").unwrap(), &[]);
}

#[test]
fn a_link_in_place_of_a_folder_leads_nowhere() {
    if !POSIX {
        return;
    }
    let sent = photos();
    for again in [false, true] {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(outside.path().join("sub")).unwrap();
        fs::write(outside.path().join("a.jpg"), b"precious").unwrap();
        let before = read(outside.path(), "");
        let (mut staging, _) = sent.open(&dir);
        assert!(sent.fetch(&staging, 1).unwrap());
        if !again {
            // The folder is open already.
            let _ = staging.tree.folder(&staging.plan.paths, 1).unwrap();
            fs::rename(staging.path().join("2024"), dir.path().join("moved")).unwrap();
        } else {
            drop(staging);
            staging = sent.open(&dir).0;
        }
        link(outside.path(), &staging.path().join("2024"));
        let fetched = sent.fetch(&staging, 0);
        assert!(!again || matches!(fetched, Err(PartError::Meddled { .. })), "{fetched:?}");
        for unit in 1..4 {
            let _ = sent.fetch(&staging, unit);
        }
        assert!(staging.finish("a", "b").is_err());
        assert_eq!(read(outside.path(), ""), before);
        staging.discard().unwrap();
        assert_eq!(read(outside.path(), ""), before);
    }
}

#[test]
fn a_link_in_place_of_a_file_is_replaced_and_not_written_through() {
    if !POSIX {
        return;
    }
    let (sent, dir) = (photos(), tempfile::tempdir().unwrap());
    let outside = tempfile::tempdir().unwrap();
    let precious = outside.path().join("precious");
    fs::write(&precious, b"precious").unwrap();
    let (staging, _) = sent.open(&dir);
    link(&precious, &staging.path().join("large"));
    link(&precious, &staging.path().join("run.sh"));
    fs::hard_link(&precious, staging.path().join("zlarge")).unwrap();
    sent.fetch_all(&staging);
    sent.assert_arrived(&staging.finish("a", "b").unwrap(), &[]);
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
    // A link in place of the whole.
    let (staging, _) = sent.open(&dir);
    sent.fetch_all(&staging);
    fs::rename(staging.path(), outside.path().join("moved")).unwrap();
    link(outside.path(), staging.path());
    assert!(matches!(staging.finish("a", "c"), Err(PartError::Meddled { .. })));
    assert!(!dir.path().join("c_a").exists());
    assert!(staging.discard().is_err());
    assert_eq!(names(outside.path()), ["moved", "precious"]);
    // One that was there before klatch came.
    fs::remove_file(staging.path()).unwrap();
    drop(staging);
    let planted = dir.path().join(STAGED);
    link(outside.path(), &planted);
    let (staging, _) = sent.open(&dir);
    assert_ne!(staging.path().file_name(), planted.file_name());
}

#[test]
fn what_others_changed_is_not_called_finished() {
    let sent = photos();
    type Change = fn(&Path);
    let now = |path: &Path| {
        File::options().write(true).open(path).unwrap().set_modified(SystemTime::now()).unwrap();
    };
    let changes: [Change; 6] = [
        |top| fs::write(top.join("2024/a.jpg"), b"FIRST").unwrap(),
        |top| fs::write(top.join("run.sh"), b"longer").unwrap(),
        |top| fs::write(top.join("2024/sub/more"), b"").unwrap(),
        |top| fs::create_dir_all(top.join("nothing/more")).unwrap(),
        |top| fs::remove_file(top.join("2024/sub/b.jpg")).unwrap(),
        |top| {
            let file = File::options().write(true).open(top.join("large")).unwrap();
            file.write_all_at(b"!", 300_000).unwrap();
        },
    ];
    for (number, change) in changes.iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let (staging, _) = sent.open(&dir);
        sent.fetch_all(&staging);
        change(staging.path());
        let finished = staging.finish("a", "b");
        assert!(matches!(finished, Err(PartError::Meddled { .. })), "{number}: {finished:?}");
        assert!(!dir.path().join("b_a").exists());
    }
    // Only the time of this one was changed.
    let dir = tempfile::tempdir().unwrap();
    let (staging, _) = sent.open(&dir);
    sent.fetch_all(&staging);
    now(&staging.path().join("2024/a.jpg"));
    now(&staging.path().join("large"));
    let path = staging.finish("a", "b").unwrap();
    let modified = fs::metadata(path.join("large")).unwrap().modified().unwrap();
    assert_eq!(modified, tree::time_of(TIME_S).unwrap());
}

#[test]
fn a_long_file_that_is_changed_meanwhile_is_noticed() {
    let (sent, dir) = (photos(), tempfile::tempdir().unwrap());
    let (staging, _) = sent.open(&dir);
    assert!(sent.fetch(&staging, 1).unwrap());
    File::options()
        .write(true)
        .open(staging.path().join("large"))
        .unwrap()
        .write_all_at(b"!", 9)
        .unwrap();
    // The later chunks give it its time again.
    sent.fetch_all_but(&staging, 1);
    assert!(matches!(staging.finish("a", "b"), Err(PartError::Meddled { .. })));
}

impl Sent {
    fn fetch_all_but(&self, staging: &Staging, but: u32) {
        for unit in staging.needed().iter().filter(|unit| *unit != but) {
            assert!(self.fetch(staging, unit).unwrap());
        }
    }
}

#[test]
fn a_full_disk_can_be_mended_and_a_failed_sync_is_a_loss() {
    let (sent, dir) = (photos(), tempfile::tempdir().unwrap());
    let faulty = Arc::new(FaultyDisk::default());
    let disk: Arc<dyn Disk> = Arc::clone(&faulty) as _;
    let (staging, _) = open(&disk, &dir, sent.plan());
    faulty.change(|faults| faults.room_bytes = Some(100_000));
    assert!(matches!(sent.fetch(&staging, 1), Err(PartError::DiskFull { .. })));
    faulty.change(|faults| faults.room_bytes = Some(3));
    assert!(matches!(sent.fetch(&staging, 0), Err(PartError::DiskFull { .. })));
    let before = names(dir.path());
    assert!(matches!(staging.try_room(&[0, 1]), Err(PartError::DiskFull { .. })));
    faulty.change(|faults| faults.room_bytes = None);
    assert!(staging.try_room(&[0, 1]).is_ok());
    assert_eq!(names(dir.path()), before, "no zeros stay");
    sent.fetch_all(&staging);
    let unwanted = staging.finish_as(None, "b_a", &|| false);
    assert!(matches!(unwanted, Err(PartError::Cancelled)) && !dir.path().join("b_a").exists());
    faulty.change(|faults| faults.rename = Some(Errno::NOSPC));
    assert!(matches!(staging.finish("a", "b"), Err(PartError::DiskFull { .. })));
    faulty.change(|faults| {
        faults.rename = None;
        faults.sync = Some(Errno::IO);
    });
    assert!(staging.finish("a", "b").unwrap_err().may_pass());
    faulty.change(|faults| faults.sync = None);
    assert!(matches!(staging.finish("a", "b"), Err(PartError::Lost { .. })));
    drop(staging);
    assert!(!dir.path().join("b_a").exists());
    // Nothing of it is claimed, so nothing of it is left.
    assert!(names(dir.path()).is_empty());
}

#[test]
fn files_whose_times_the_disk_does_not_keep_are_served_until_they_change() {
    let (sent, dir) = (photos(), tempfile::tempdir().unwrap());
    let faulty = Arc::new(FaultyDisk::default());
    faulty.change(|faults| faults.set_modified = Some(Errno::PERM));
    let (staging, _) = open(&(faulty as Arc<dyn Disk>), &dir, sent.plan());
    sent.fetch_all(&staging);
    let content = (Arc::clone(&sent.manifest), Arc::clone(&sent.units));
    let served = ServedFolder::received(content, sent.plan().paths, staging.path().to_owned());
    let path = staging.finish("a", "b").unwrap();
    served.finish(path.clone(), staging.take_untimed());
    assert!(served.unchanged());
    let listed = sent.manifest.listed().position(|file| file.is_some_and(|file| file.size > 0));
    let entry = listed.unwrap() as u32;
    let lies = path.join(sent.plan().paths.path(entry, sent.name(entry)).unwrap().as_str());
    fs::write(lies, b"edited").unwrap();
    assert!(!served.unchanged());
}

#[test]
fn many_files_and_odd_times_arrive() {
    let names: Vec<&'static str> =
        (0..700).map(|n| &*Box::leak(format!("d{}/{n}", n % 7).into_boxed_str())).collect();
    let files: Vec<(&'static str, Option<&[u8]>)> =
        names.iter().map(|name| (*name, Some(name.as_bytes()))).collect();
    let (sent, dir) = (Sent::new(&files), tempfile::tempdir().unwrap());
    let (staging, _) = sent.open(&dir);
    sent.fetch_all(&staging);
    sent.assert_arrived(&staging.finish("many", "now").unwrap(), &[]);
    for seconds in [i64::MIN, -1, 0, i64::MAX] {
        let _ = tree::time_of(seconds);
    }
    assert!(tree::has_time(-1_000_000_000, -1) && !tree::has_time(3_000_000_000, 0));
    assert!(!tree::has_time(0, i64::MAX) && !tree::has_time(0, i64::MIN));
}
