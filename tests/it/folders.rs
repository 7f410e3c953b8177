//! Whole folders: sent, fetched, passed on, and refused.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::common::{Folder, Options, Peer, content, room, same};

/// Files of a folder, among them empty ones, equal ones and a long one.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("readme.txt", b"look inside".to_vec()),
        ("2024/summer/a.jpg", content(1, 70_000)),
        ("2024/summer/b.jpg", content(2, 200_000)),
        ("2024/copy of a.jpg", content(1, 70_000)),
        ("2024/film.mp4", content(3, 1_500_000)),
        ("2024/nothing", Vec::new()),
    ]
}

fn make(top: &Path) {
    for (path, bytes) in files() {
        let path = top.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    fs::create_dir(top.join("empty")).unwrap();
}

fn arrived(top: &Path) {
    for (path, bytes) in files() {
        assert!(same(&top.join(path), &bytes), "{path} differs");
    }
    assert!(top.join("empty").is_dir());
}

#[test]
fn a_folder_arrives_whole_and_can_be_fetched_from_those_who_have_it() {
    let [mut alice, mut bob, mut carol] = room(["alice", "bob", "carol"]);
    let folder = Folder::new();
    let top = folder.path("photos");
    make(&top);
    alice.done(&format!("send '{}'", top.display()));
    bob.done("wait file photos");
    let offered = bob.expect(json!({"event": "file_offered", "file": {"name": "photos"}}));
    let total: usize = files().iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(offered["folder"], json!({"files": 6, "bytes": total}));
    bob.done("download photos");
    let finished = bob.expect(json!({"event": "download_finished"}));
    arrived(finished["path"].as_str().unwrap().as_ref());
    let beside = fs::read_dir(bob.folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let beside = beside.filter(|name| name.to_string_lossy().contains("klatch-"));
    assert_eq!(beside.collect::<Vec<_>>(), Vec::<std::ffi::OsString>::new());
    alice.quit();
    carol.done("download photos");
    let finished = carol.expect(json!({"event": "download_finished"}));
    arrived(finished["path"].as_str().unwrap().as_ref());
}

#[test]
fn a_folder_sent_again_is_a_new_version() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let folder = Folder::new();
    let top = folder.path("photos");
    make(&top);
    let send = format!("send '{}'", top.display());
    alice.done(&send);
    let first = bob.expect(json!({"event": "file_offered"}));
    fs::write(top.join("new.txt"), b"more").unwrap();
    alice.done(&send);
    let second = bob.expect(json!({"event": "file_offered", "replaces": first["id"]}));
    assert_eq!(second["folder"]["files"], 7);
}

#[test]
fn a_folder_that_changes_is_not_offered_any_more() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let folder = Folder::new();
    let top = folder.path("photos");
    make(&top);
    alice.done(&format!("send '{}'", top.display()));
    bob.done("wait file photos");
    fs::write(top.join("readme.txt"), b"look elsewhere").unwrap();
    bob.say("download photos");
    alice.expect(json!({"event": "error", "code": "host_changed_file"}));
    bob.expect(json!({"event": "file_withdrawn"}));
}

#[test]
fn a_folder_is_sent_and_fetched_by_one_shots() {
    let folder = Folder::new();
    let top = folder.path("photos");
    make(&top);
    let [mut alice] = room(["alice"]);
    alice.done(&format!("send '{}'", top.display()));
    let fetched = Folder::new();
    for (name, whole) in [("photos", true), ("photos/2024/summer/**", false)] {
        let output = fetched.path(if whole { "all" } else { "some" });
        fs::create_dir(&output).unwrap();
        let output = format!("{}/", output.display());
        let args = ["get", name, "--from", &alice.address, "--output", &output];
        assert_eq!(Options::new("once").args(args).launch().ended(), 0, "{name}");
        let saved = Path::new(&output).join("photos");
        assert!(same(&saved.join("2024/summer/a.jpg"), &content(1, 70_000)));
        assert_eq!(saved.join("readme.txt").exists(), whole);
    }
}

#[test]
fn a_part_of_a_folder_can_be_fetched() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let folder = Folder::new();
    let top = folder.path("photos");
    make(&top);
    alice.done(&format!("send '{}'", top.display()));
    bob.done("wait file photos");
    bob.done("download photos/2024/summer/*.jpg");
    let finished = bob.expect(json!({"event": "download_finished"}));
    let saved = Path::new(finished["path"].as_str().unwrap()).to_owned();
    assert!(same(&saved.join("2024/summer/a.jpg"), &content(1, 70_000)));
    assert!(same(&saved.join("2024/summer/b.jpg"), &content(2, 200_000)));
    assert!(!saved.join("readme.txt").exists() && !saved.join("2024/film.mp4").exists());
    bob.refused("download photos/2025", "nothing_matches");
}

#[test]
fn several_parts_of_a_folder_are_fetched_at_once() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let folder = Folder::new();
    let top = folder.path("my photos");
    make(&top);
    fs::write(top.join("a b.txt"), b"with a blank").unwrap();
    alice.done(&format!("send '{}'", top.display()));
    bob.done("wait file my photos");
    let fetch = |bob: &mut Peer, what: &str| {
        bob.done(&format!("download {what}"));
        let finished = bob.expect(json!({"event": "download_finished"}));
        Path::new(finished["path"].as_str().unwrap()).to_owned()
    };
    let saved = fetch(&mut bob, "my photos/a b.txt");
    assert!(same(&saved.join("a b.txt"), b"with a blank"));
    assert_eq!(fs::read_dir(&saved).unwrap().count(), 1);
    let words = "\"my photos/2024/summer\" my\\ photos/readme.txt \"my photos/a b.txt\"";
    let saved = fetch(&mut bob, words);
    for path in ["2024/summer/b.jpg", "readme.txt", "a b.txt"] {
        assert!(saved.join(path).exists(), "{path}");
    }
    assert!(!saved.join("2024/film.mp4").exists());
    bob.refused("download \"my photos/readme.txt\" \"my photos/2025\"", "nothing_matches");
}

/// A row of what is in a folder.
fn row(name: &str, folder: bool, files: u32, bytes: usize) -> Value {
    json!({"name": name, "folder": folder, "files": files, "bytes": bytes})
}

#[test]
fn what_is_in_a_folder_is_listed_without_it() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let folder = Folder::new();
    let top = folder.path("photos");
    make(&top);
    alice.done(&format!("send '{}'", top.display()));
    bob.done("wait file photos");
    let summer = row("summer", true, 2, 270_000);
    let inside = json!([
        summer,
        row("copy of a.jpg", false, 1, 70_000),
        row("film.mp4", false, 1, 1_500_000),
        row("nothing", false, 1, 0),
    ]);
    for person in [&mut bob, &mut alice] {
        person.done("files photos");
        let listed = person.expect(json!({"event": "folder", "path": "", "more": 0}));
        assert_eq!(listed["file"]["name"], "photos");
        assert_eq!(listed["list"][0], row("2024", true, 5, 1_840_000));
        for line in ["files photos 2024/", "files photos/2024", "/ls \"photos\" '2024'"] {
            person.done(line);
            let listed = person.expect(json!({"event": "folder", "path": "2024/"}));
            assert_eq!(listed["list"], inside, "{line}");
        }
        person.refused("files photos 2025", "nothing_matches");
        person.refused("files films", "no_such_offer");
    }
    let here = fs::read_dir(bob.folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let here: Vec<_> = here.filter(|name| name.to_string_lossy().contains("photos")).collect();
    assert!(here.is_empty(), "{here:?} was downloaded");
    bob.done("download photos");
    let finished = bob.expect(json!({"event": "download_finished"}));
    arrived(finished["path"].as_str().unwrap().as_ref());
    bob.done("files photos 2024/summer");
    let listed = bob.expect(json!({"event": "folder"}));
    assert_eq!(listed["list"][1], row("b.jpg", false, 1, 200_000));
}

#[test]
fn of_a_new_version_only_the_difference_is_fetched() {
    let [mut alice, mut bob, mut carol] = room(["alice", "bob", "carol"]);
    let folder = Folder::new();
    let top = folder.path("photos");
    make(&top);
    fs::create_dir(top.join("many")).unwrap();
    for number in 0..400 {
        fs::write(top.join(format!("many/{number}")), content(number + 10, 3_000)).unwrap();
    }
    let send = format!("send '{}'", top.display());
    alice.done(&send);
    let all = alice.expect(json!({"event": "file_offered"}));
    for person in [&mut bob, &mut carol] {
        person.done("wait file photos");
        person.done("download photos");
        person.expect(json!({"event": "download_finished"}));
    }
    fs::write(top.join("many/200"), content(9, 2_999)).unwrap();
    alice.done(&send);
    for person in [&mut bob, &mut carol] {
        person.expect(json!({"event": "file_offered", "replaces": all["id"]}));
        person.done("download photos");
        let finished = person.expect(json!({"event": "download_finished"}));
        assert_eq!(finished["bytes_fetched"], 2_999);
        let saved = Path::new(finished["path"].as_str().unwrap());
        arrived(saved);
        assert!(same(&saved.join("many/200"), &content(9, 2_999)));
        assert!(same(&saved.join("many/399"), &content(409, 3_000)));
    }
}

#[test]
fn a_folder_that_was_fetched_before_is_brought_up_to_date() {
    let folder = Folder::new();
    let top = folder.path("photos");
    make(&top);
    let [mut alice] = room(["alice"]);
    let send = format!("send '{}'", top.display());
    alice.done(&send);
    let here = Folder::new();
    let saved = here.path("mine");
    let address = alice.address.clone();
    let get = |more: &[&str]| {
        let saved = saved.display().to_string();
        let args = ["get", "photos", "--from", &address, "--output", &saved];
        let args = args.iter().chain(more).copied();
        Options::new("once").args(args).launch().ended()
    };
    assert_eq!(get(&[]), 0);
    arrived(&saved);
    fs::write(saved.join("readme.txt"), b"my words").unwrap();
    fs::write(saved.join("notes.txt"), b"my notes").unwrap();
    fs::write(top.join("2024/new.jpg"), content(5, 5_000)).unwrap();
    alice.done(&send);
    assert_eq!(get(&[]), 0);
    assert!(same(&saved.join("2024/new.jpg"), &content(5, 5_000)));
    assert!(same(&saved.join("readme.txt"), b"look inside"));
    assert!(same(&saved.join("readme (2).txt"), b"my words"));
    fs::remove_file(top.join("2024/new.jpg")).unwrap();
    alice.done(&send);
    assert_eq!(get(&[]), 0);
    assert!(saved.join("2024/new.jpg").exists());
    assert_eq!(get(&["--delete"]), 0);
    arrived(&saved);
    assert!(!saved.join("2024/new.jpg").exists());
    assert!(same(&saved.join("readme (2).txt"), b"my words"));
    assert!(same(&saved.join("notes.txt"), b"my notes"));
    assert_eq!(fs::read_dir(saved.parent().unwrap()).unwrap().count(), 1);
    let other = here.path("other");
    fs::create_dir(&other).unwrap();
    let output = other.display().to_string();
    let args = ["get", "photos", "--from", &alice.address, "--output", &output];
    assert_eq!(Options::new("once").args(args).launch().ended(), 1, "it is no earlier version");
    assert_eq!(fs::read_dir(&other).unwrap().count(), 0);
}
