//! New versions in place of earlier ones.

use std::sync::Mutex;

use super::*;
use crate::files::folder::marker::{EarlierFolder, MARKER};
use crate::router::ids::MemberId;

const ANA: MemberId = MemberId([7; 32]);

fn first() -> Sent {
    Sent::new(&[
        ("a.txt", Some(b"a1")),
        ("b.txt", Some(b"b1")),
        ("c.txt", Some(b"c1")),
        ("d/x.txt", Some(b"x1")),
        ("empty", None),
        ("gone.txt", Some(b"g1")),
        ("gone/y.txt", Some(b"y1")),
    ])
}

fn second() -> Sent {
    Sent::new(&[
        ("a.txt", Some(b"a2")),
        ("b.txt", Some(b"b1")),
        ("c.txt", Some(b"c2")),
        ("d", Some(b"a file")),
        ("empty", None),
        ("mine.txt", Some(b"theirs")),
    ])
}

/// Receives a folder as `photos` in `dir`.
fn receive(
    disk: &Arc<dyn Disk>,
    dir: &TempDir,
    sent: &Sent,
    (delete, go_on): (bool, GoOn<'_>),
) -> Result<PathBuf, PartError> {
    let (staging, _) = open(disk, dir, sent.plan());
    sent.fetch_all(&staging);
    finish(&staging, delete, go_on)
}

fn finish(staging: &Staging, delete: bool, go_on: GoOn<'_>) -> Result<PathBuf, PartError> {
    let (name, offered) = ("photos", ("the photos", ANA));
    staging.finish_update(&FolderUpdate { name, offered, delete }, "dated", go_on)
}

/// It is still wanted.
fn on() -> bool {
    true
}

/// What lies in a folder, without the marker.
fn texts(folder: &Path) -> BTreeMap<String, String> {
    let mut found = read(folder, "");
    assert!(found.remove(MARKER).is_some(), "there is no marker");
    let text = |bytes: Option<Vec<u8>>| {
        bytes.map_or("/".to_owned(), |bytes| String::from_utf8(bytes).unwrap())
    };
    found.into_iter().map(|(path, bytes)| (path, text(bytes))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn a_new_version_takes_the_place_of_the_earlier_and_what_was_changed_here_stays() {
    for exchange in [None, Some(Errno::INVAL)] {
        let dir = tempfile::tempdir().unwrap();
        let faulty = Arc::new(FaultyDisk::default());
        faulty.change(|faults| faults.exchange = exchange);
        let disk: Arc<dyn Disk> = faulty;
        let path = receive(&disk, &dir, &first(), (false, &on)).unwrap();
        assert_eq!(path.file_name().unwrap(), "photos");
        let write = |name: &str, text: &str| fs::write(path.join(name), text).unwrap();
        write("a.txt", "my a");
        write("mine.txt", "mine");
        write("d/mine.txt", "mine in d");
        fs::create_dir(path.join("my folder")).unwrap();
        if POSIX {
            link(Path::new("nowhere"), &path.join("link"));
        }
        assert_eq!(receive(&disk, &dir, &second(), (false, &on)).unwrap(), path);
        let is_link = |path: &Path| path.symlink_metadata().is_ok_and(|of| of.is_symlink());
        assert!(!POSIX || is_link(&path.join("link")));
        if POSIX {
            fs::remove_file(path.join("link")).unwrap();
        }
        let mut expected = pairs(&[
            ("a.txt", "a2"),
            ("a (2).txt", "my a"),
            ("b.txt", "b1"),
            ("c.txt", "c2"),
            ("d", "a file"),
            ("d (2)/mine.txt", "mine in d"),
            ("d (2)/x.txt", "x1"),
            ("empty", "/"),
            ("gone.txt", "g1"),
            ("gone/y.txt", "y1"),
            ("mine.txt", "theirs"),
            ("mine (2).txt", "mine"),
            ("my folder", "/"),
        ]);
        assert_eq!(texts(&path), expected);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something is left beside it");
        // What klatch made and did not list any more counts as the person's own.
        write("gone/y.txt", "my y");
        assert_eq!(receive(&disk, &dir, &second(), (true, &on)).unwrap(), path);
        expected.remove("gone.txt");
        expected.insert("gone/y.txt".to_owned(), "my y".to_owned());
        assert_eq!(texts(&path), expected);
    }
}

#[test]
fn a_part_leaves_alone_what_is_not_wanted_now() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let path = receive(&disk, &dir, &first(), (false, &on)).unwrap();
    let sent = second();
    let (staging, _) = open(&disk, &dir, sent.plan_of(&["c.txt"]));
    sent.fetch_all(&staging);
    finish(&staging, true, &on).unwrap();
    let expected = [("a.txt", "a1"), ("b.txt", "b1"), ("c.txt", "c2"), ("empty", "/")];
    assert_eq!(texts(&path), pairs(&expected));
    receive(&disk, &dir, &first(), (true, &on)).unwrap();
    assert_eq!(texts(&path).len(), 7, "all that was kept is known to be klatch's");
}

#[test]
fn what_klatch_did_not_make_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let path = dir.path().join("photos");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("a.txt"), "mine").unwrap();
    let refused = receive(&disk, &dir, &first(), (true, &on));
    assert!(matches!(refused, Err(PartError::Foreign { .. })), "{refused:?}");
    assert_eq!(read(&path, "").len(), 1);
    assert!(EarlierFolder::at(&path, &ANA, "the photos").is_err());
}

#[test]
fn a_failure_leaves_the_earlier_version_and_can_be_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let faulty = Arc::new(FaultyDisk::default());
    let disk: Arc<dyn Disk> = Arc::clone(&faulty) as Arc<dyn Disk>;
    let path = receive(&disk, &dir, &first(), (false, &on)).unwrap();
    fs::write(path.join("mine.txt"), "mine").unwrap();
    fs::write(path.join("d/mine.txt"), "mine").unwrap();
    let before = texts(&path);
    let sent = second();
    let (staging, _) = open(&disk, &dir, sent.plan());
    sent.fetch_all(&staging);
    faulty.change(|faults| faults.exchange = Some(Errno::IO));
    assert!(finish(&staging, true, &on).is_err());
    assert_eq!(texts(&path), before);
    assert!(matches!(finish(&staging, true, &|| false), Err(PartError::Cancelled)));
    faulty.change(|faults| faults.exchange = None);
    finish(&staging, true, &on).unwrap();
    let after = texts(&path);
    assert_eq!(after.get("mine (2).txt").map(String::as_str), Some("mine"));
    assert_eq!(after.get("d (2)/mine.txt").map(String::as_str), Some("mine"));
    assert_eq!(after.len(), 8);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn what_comes_into_the_earlier_version_at_the_last_moment_is_in_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let path = receive(&disk, &dir, &first(), (false, &on)).unwrap();
    let written = Mutex::new(Vec::new());
    let go_on = || {
        let mut written = written.lock().unwrap();
        let name = format!("late {}", written.len());
        fs::write(path.join(&name), &name).unwrap();
        written.push(name);
        true
    };
    receive(&disk, &dir, &second(), (true, &go_on)).unwrap();
    let found = texts(&path);
    for name in written.into_inner().unwrap() {
        assert_eq!(found.get(&name), Some(&name));
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// Killed between the exchange and the removal of the earlier version: what lies in that may be the
/// only copy of what somebody has just saved.
#[test]
fn an_earlier_version_is_never_taken_for_an_unfinished_download() {
    for exchange in [None, Some(Errno::INVAL)] {
        let dir = tempfile::tempdir().unwrap();
        let faulty = Arc::new(FaultyDisk::default());
        faulty.change(|faults| faults.exchange = exchange);
        let disk: Arc<dyn Disk> = faulty;
        let path = receive(&disk, &dir, &first(), (false, &on)).unwrap();
        fs::write(path.join("saved just now.txt"), "mine").unwrap();
        let (staging, _) = open(&disk, &dir, second().plan());
        second().fetch_all(&staging);
        let (_, aside) = staging.exchange(&path).unwrap();
        drop(staging);
        let mine = aside.join("saved just now.txt");
        assert!(!aside.file_name().unwrap().to_string_lossy().starts_with('.'), "{aside:?}");
        let (staging, _) = open(&disk, &dir, second().plan());
        second().fetch_all(&staging);
        assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
        drop(staging);
        assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
    }
}

#[test]
fn a_folder_that_was_empty_may_have_something_in_it_now() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    receive(&disk, &dir, &first(), (false, &on)).unwrap();
    let sent = Sent::new(&[("empty/x.txt", Some(b"x"))]);
    let path = receive(&disk, &dir, &sent, (true, &on)).unwrap();
    assert_eq!(texts(&path), pairs(&[("empty/x.txt", "x")]));
    let path = receive(&disk, &dir, &first(), (false, &on)).unwrap();
    assert_eq!(texts(&path)["empty/x.txt"], "x", "the sender's empty folder has what was kept");
}

/// What is closed to others stays so, also in what is carried over.
#[test]
fn folders_let_in_whom_they_let_in_before() {
    if !POSIX {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let path = receive(&disk, &dir, &first(), (false, &on)).unwrap();
    fs::create_dir_all(path.join("private/diary")).unwrap();
    fs::write(path.join("private/diary/today.txt"), "mine").unwrap();
    let closed = ["", "private", "private/diary"].map(|of| path.join(of));
    closed.iter().for_each(|of| close_to_others(of));
    assert_eq!(receive(&disk, &dir, &second(), (false, &on)).unwrap(), path);
    for of in closed {
        assert_eq!(mode(&of), 0o700, "{of:?}");
    }
}
