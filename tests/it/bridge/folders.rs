//! Folders that a page sends.

use std::fs;
use std::io::Write;
use std::net::Shutdown;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::files::{headers, lying, sharing};
use super::page::{Answer, Page, answer, connect};
use crate::common::{Folder, Peer, content, join, same};

/// What is in the folder, sorted; `None` stands for an empty folder.
fn photos() -> Vec<(&'static str, Option<Vec<u8>>)> {
    vec![
        ("2024/a.jpg", Some(content(1, 70_000))),
        ("2024/none", None),
        ("2024/summer/b.jpg", Some(content(2, 300_000))),
        ("nothing.txt", Some(Vec::new())),
    ]
}

fn list(files: &[(&str, Option<Vec<u8>>)]) -> String {
    let entry = |(path, bytes): &(&str, Option<Vec<u8>>)| match bytes {
        Some(bytes) => json!({"path": path, "size": bytes.len(), "modified": 1_700_000_000}),
        None => json!({ "path": path }),
    };
    files.iter().map(|file| format!("{}\n", entry(file))).collect()
}

/// Begins to give a folder whose body is to have this length.
fn begin(page: &Page, name: &str, list: &str, length: usize) -> std::net::TcpStream {
    let mut stream = connect(page.addr);
    let (addr, headers, bytes) = (page.addr, headers(page, length), list.len());
    let target = format!("/share/folder?name={name}&list={bytes}");
    let head = format!("PUT {target} HTTP/1.1\r\nHost: {addr}\r\n{headers}\r\n{list}");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

fn give(page: &Page, name: &str, files: &[(&str, Option<Vec<u8>>)]) -> Answer {
    let list = list(files);
    let bytes: Vec<u8> = files.iter().filter_map(|(_, bytes)| bytes.clone()).flatten().collect();
    let mut stream = begin(page, name, &list, list.len() + bytes.len());
    stream.write_all(&bytes).unwrap();
    answer(&mut stream)
}

fn share(page: &Page, name: &str) -> String {
    let answer = give(page, name, &photos());
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.json()["file"]["size"], 370_000);
    answer.json()["file"]["id"].as_str().unwrap().to_owned()
}

fn arrived(top: &Path) {
    for (path, bytes) in photos() {
        match bytes {
            Some(bytes) => assert!(same(&top.join(path), &bytes), "{path} differs"),
            None => assert!(top.join(path).is_dir(), "{path} is missing"),
        }
    }
    let time = fs::metadata(top.join("2024/a.jpg")).unwrap().modified().unwrap();
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(since.as_secs(), 1_700_000_000);
}

#[test]
fn a_folder_given_in_the_page_is_one_offer_and_arrives_whole() {
    let folder = Folder::new();
    let (mut alice, mut page, dir) = sharing(&folder);
    let mut bob = Peer::start("bob");
    join(&mut bob, &mut alice);
    let id = share(&page, "photos");
    let offered = |id: &str| json!({"event": "file_offered", "file": {"id": id}});
    let first = page.expect(offered(&id));
    assert_eq!(first["folder"], json!({"files": 3, "bytes": 370_000}));
    arrived(&dir.join("photos"));
    bob.done("wait file photos");
    bob.done("download photos");
    let finished = bob.expect(json!({"event": "download_finished"}));
    arrived(finished["path"].as_str().unwrap().as_ref());
    // There is nothing of it to be shown.
    page.refused(json!({"command": "media", "offer": first["id"]}), "no_such_offer");
    // The same again has a copy of its own, and each goes with its offer.
    share(&page, "photos");
    let second = page.expect(offered(&id));
    arrived(&dir.join("photos (2)"));
    alice.done(&format!("cancel {}", second["id"].as_str().unwrap()));
    page.expect(json!({"event": "file_withdrawn", "id": second["id"]}));
    let mut carol = Peer::start("carol");
    join(&mut carol, &mut alice);
    bob.quit();
    carol.done("wait file photos");
    carol.done("download photos");
    let finished = carol.expect(json!({"event": "download_finished"}));
    arrived(finished["path"].as_str().unwrap().as_ref());
    page.done(json!({"command": "withdraw", "offer": first["id"]}));
    arrived(&dir.join("photos"));
    page.done(json!({"command": "restore", "offer": first["id"]}));
    let again = page.expect(offered(&id))["id"].clone();
    page.done(json!({"command": "withdraw", "offer": again}));
    alice.quit();
    carol.quit();
    assert_eq!(lying(&dir), Vec::<PathBuf>::new(), "no copy outlives its offer");
}

#[test]
fn a_folder_that_is_hostile_wrong_or_breaks_off_leaves_nothing() {
    let folder = Folder::new();
    let (mut alice, page, dir) = sharing(&folder);
    let one = |path: &'static str| vec![(path, Some(b"x".to_vec()))];
    let told = |answer: &Answer| (answer.status, answer.json()["code"].clone());
    for files in [
        one("../outside"),
        one("/tmp/outside"),
        one("a/../../b"),
        [one("a"), one("a")].concat(),
        [one("a"), one("a/b")].concat(),
        [one("b"), one("a")].concat(),
    ] {
        let refused = told(&give(&page, "photos", &files));
        assert_eq!(refused, (400, json!("usage")), "{files:?}");
    }
    // Sizes that are not those of the body, and a list that is longer than it.
    let listed = list(&photos());
    for length in [listed.len() + 369_999, listed.len() + 370_001, listed.len() - 1] {
        let refused = told(&answer(&mut begin(&page, "photos", &listed, length)));
        assert_eq!(refused, (400, json!("usage")), "{length}");
    }
    let huge = json!({"path": "a", "size": (1_u64 << 41) + 1}).to_string();
    let length = usize::try_from(1_u64 << 41).unwrap() + 1 + huge.len();
    assert_eq!(answer(&mut begin(&page, "photos", &huge, length)).status, 400);
    assert!(!dir.exists() || lying(&dir).is_empty());
    for part in [0, 100_000] {
        let mut stream = begin(&page, "photos", &listed, listed.len() + 370_000);
        stream.write_all(&content(1, part)).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut rest).unwrap();
        assert_eq!((rest, lying(&dir)), (Vec::new(), Vec::new()));
    }
    alice.quit();
}

#[test]
fn what_a_person_put_into_a_copy_stays() {
    let folder = Folder::new();
    let (mut alice, mut page, dir) = sharing(&folder);
    let id = share(&page, "photos");
    let offered = page.expect(json!({"event": "file_offered", "file": {"id": id}}));
    fs::write(dir.join("photos/2024/own.txt"), "mine").unwrap();
    page.done(json!({"command": "withdraw", "offer": offered["id"]}));
    alice.quit();
    assert_eq!(lying(&dir.join("photos/2024")), [dir.join("photos/2024/own.txt")]);
    assert_eq!(lying(&dir.join("photos")).len(), 1);
}
