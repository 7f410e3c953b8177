//! One peer sends, another fetches: every kind of name and size, and changes of mind.

use std::fs;

use serde_json::{Value, json};

use crate::common::{Folder, Peer, content, room, same};

/// Downloads, until the file is in place; returns the event that says so.
fn fetch(peer: &mut Peer, wanted: &str) -> Value {
    peer.done(&format!("download {wanted}"));
    peer.expect(json!({"event": "download_finished"}))
}

fn path(finished: &Value) -> &str {
    finished["path"].as_str().unwrap()
}

#[test]
fn files_of_every_size_arrive_whole() {
    const CHUNK: usize = 256 * 1024;
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let folder = Folder::new();
    let sizes = [0, 1, 16 * 1024, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 1_000_003];
    for size in sizes {
        let name = format!("{size}.bin");
        let bytes = content(size as u64, size);
        alice.done(&format!("send {}", folder.file(&name, &bytes)));
        bob.done(&format!("wait file {name}"));
        let offered = bob.expect(json!({"event": "file_offered", "file": {"name": name}}));
        assert_eq!(offered["file"]["size"], size);
        assert_eq!(offered["from"]["name"], "alice");
        let finished = fetch(&mut bob, &name);
        assert_eq!(finished["bytes_fetched"], size, "{finished}");
        assert_eq!(finished["file"], offered["file"]);
        assert!(same(path(&finished).as_ref(), &bytes), "{name} differs");
        assert!(path(&finished).ends_with(&format!("_{name}")), "{finished}");
    }
    let saved = bob.saved();
    assert_eq!(saved.len(), sizes.len());
    for path in saved {
        // `[datetime]_filename`, such as 2026-11-22_14-05-33_report.pdf.
        let name = path.file_name().unwrap().to_str().unwrap();
        let (stamp, _) = name.split_at("2026-11-22_14-05-33_".len());
        let shape: String =
            stamp.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00_00-00-00_", "{name}");
    }
    let entries = fs::read_dir(bob.folder()).unwrap().count();
    assert_eq!(entries, sizes.len(), "something is left beside the downloads");
}

#[test]
fn names_with_spaces_and_quotes_work() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let folder = Folder::new();
    let names = [
        "two words.txt",
        "it's \"quoted\".txt",
        "'single'",
        "ünïcödé 日本語.txt",
        "no extension",
        "a  b   c",
        "percent%20.tar.gz",
        "back\\slash.txt",
    ];
    for (n, name) in names.into_iter().enumerate() {
        let bytes = content(n as u64, 100 + n);
        alice.done(&format!("send {}", folder.file(name, &bytes)));
        let shown = bob.expect(json!({"event": "file_offered", "from": {"name": "alice"}}));
        let shown = shown["file"]["name"].as_str().unwrap();
        assert_eq!(shown, name);
        let finished = fetch(&mut bob, &format!("\"{name}\""));
        assert!(same(path(&finished).as_ref(), &bytes), "{name} differs");
    }
    // As a person writes it: in quotes, with backslashes, from home.
    let quoted = folder.file("in quotes.txt", b"1");
    alice.done(&format!("send \"{quoted}\""));
    bob.done("wait file \"in quotes.txt\"");
    let escaped = folder.file("with backslashes.txt", b"2").replace(' ', "\\ ");
    alice.done(&format!("send {escaped}"));
    bob.done("wait file with backslashes.txt");
    fs::write(alice.folder().join("at home.txt"), b"3").unwrap();
    alice.done("send ~/at home.txt");
    bob.done("wait file at home.txt");
    fetch(&mut bob, "at home.txt");
}

#[test]
fn two_files_of_one_name_are_told_apart_by_id() {
    let [mut alice, mut bob, mut carol] = room(["alice", "bob", "carol"]);
    let (hers, his) = (Folder::new(), Folder::new());
    alice.done(&format!("send {}", hers.file("notes.txt", b"notes of alice")));
    bob.done(&format!("send {}", his.file("notes.txt", b"notes of bob!")));
    let mut offered = |name| {
        carol.expect(json!({"event": "file_offered", "from": {"name": name}}))["file"]["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (of_alice, of_bob) = (offered("alice"), offered("bob"));
    let text = carol.refused("download notes.txt", "ambiguous_name");
    for part in [&of_alice[..8], &of_bob[..8], "alice", "bob"] {
        assert!(text.contains(part), "no {part} in: {text}");
    }
    let finished = fetch(&mut carol, &of_bob[..8]);
    assert!(same(path(&finished).as_ref(), b"notes of bob!"));
    let finished = fetch(&mut carol, &of_alice.to_uppercase());
    assert!(same(path(&finished).as_ref(), b"notes of alice"));
    carol.refused(&format!("download {}", &of_bob[..7]), "no_such_offer");

    // The same path again is a new version; another path with that name is a file beside it.
    bob.done(&format!("send {}", his.file("notes.txt", b"notes of bob, second edition")));
    let newer = carol.expect(json!({"event": "file_offered", "from": {"name": "bob"}}));
    assert!(newer["replaces"].is_string(), "{newer}");
    bob.done(&format!("send {}", his.file("old/notes.txt", b"notes of bob as a child")));
    let older = carol.expect(json!({"event": "file_offered", "from": {"name": "bob"}}));
    assert_eq!(older["replaces"], json!(null));
    carol.refused("download notes.txt", "ambiguous_name");
    bob.refused("cancel notes.txt", "ambiguous_name");
    bob.done(&format!("cancel {}", older["id"].as_str().unwrap()));
    alice.done("cancel notes.txt");
    carol.expect(json!({"event": "file_withdrawn", "from": {"name": "alice"}}));
    let finished = fetch(&mut carol, "notes.txt");
    assert!(same(path(&finished).as_ref(), b"notes of bob, second edition"));
}

#[test]
fn what_is_here_already_is_not_fetched_again() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let folder = Folder::new();
    let bytes = content(1, 700_000);
    alice.done(&format!("send {}", folder.file("a.bin", &bytes)));
    alice.done(&format!("send {}", folder.file("b.bin", &bytes)));
    bob.done("wait file b.bin");
    let first = fetch(&mut bob, "a.bin");
    assert_eq!(first["bytes_fetched"], 700_000);
    // The same bytes are here under another name: this is reported, with the path, as no failure.
    bob.done("download b.bin");
    let said = bob.expect(json!({"event": "notice", "code": "already_have"}));
    assert_eq!((&said["path"], &said["file"]["id"]), (&first["path"], &first["file"]["id"]));
    assert!(same(path(&first).as_ref(), &bytes), "the first one was touched");
    assert_eq!(bob.saved().len(), 1);
    // One's own offer is here as well.
    alice.done("download a.bin");
    let said = alice.expect(json!({"event": "notice", "code": "already_have"}));
    assert!(said["path"].as_str().unwrap().ends_with("bin"), "{said}");
    // What was deleted is no longer here.
    fs::remove_file(path(&first)).unwrap();
    let again = fetch(&mut bob, "b.bin");
    assert_eq!(again["bytes_fetched"], 700_000);
    assert!(path(&again).ends_with("_b.bin"), "{again}");
}

#[test]
fn nothing_is_ever_replaced() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let folder = Folder::new();
    // Twelve of one name within ten seconds: some get the same timestamp.
    let paths: Vec<String> = (0..12)
        .map(|number| {
            let file = folder.file(&format!("{number}/again.txt"), &[number; 9]);
            alice.done(&format!("send {file}"));
            let offered = bob.expect(json!({"event": "file_offered"}));
            path(&fetch(&mut bob, offered["id"].as_str().unwrap())).to_owned()
        })
        .collect();
    assert_eq!(bob.saved().len(), 12, "{paths:?}");
    for (path, number) in paths.iter().zip(0..) {
        assert!(same(path.as_ref(), &[number; 9]), "{path}");
    }
    assert!(paths.iter().any(|path| path.ends_with("_again (2).txt")), "{paths:?}");
}

#[test]
fn a_download_outlives_a_withdrawal_of_its_offer() {
    const SIZE: u64 = 512 << 20;
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let folder = Folder::new();
    let path = folder.path("big.img");
    fs::File::create(&path).unwrap().set_len(SIZE).unwrap();
    alice.done(&format!("send {}", path.display()));
    bob.done("wait file big.img");
    let number = bob.say("download big.img");
    bob.expect(json!({"event": "download_started"}));
    // The host withdraws: nobody has the file any more, but the verified chunks stay.
    alice.done("cancel big.img");
    bob.expect(json!({"event": "file_withdrawn", "file": {"name": "big.img"}, "own": false}));
    alice.done(&format!("send {}", path.display()));
    bob.ended_well(number);
    let finished = bob.expect(json!({"event": "download_finished"}));
    assert_eq!(finished["bytes_fetched"], SIZE, "{finished}");
    assert_eq!(fs::metadata(self::path(&finished)).unwrap().len(), SIZE);
}

#[test]
fn what_is_withdrawn_is_gone() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let folder = Folder::new();
    alice.done(&format!("send {}", folder.file("gone.txt", b"soon")));
    bob.done("wait file gone.txt");
    bob.refused("cancel gone.txt", "no_such_offer");
    alice.done("cancel gone.txt");
    bob.expect(json!({"event": "file_withdrawn", "file": {"name": "gone.txt"}}));
    bob.refused("download gone.txt", "no_such_offer");
    bob.done("files");
    let list = bob.expect(json!({"event": "files"}))["list"].clone();
    assert_eq!(list, json!([]));
    bob.refused("wait file gone.txt within 0.1", "wait_timeout");
    alice.refused("cancel gone.txt", "no_such_offer");
    bob.refused("download never offered.txt", "no_such_offer");
    // It may be offered again.
    alice.done(&format!("send {}", folder.path("gone.txt").display()));
    bob.done("wait file gone.txt");
    fetch(&mut bob, "gone.txt");
}

#[test]
fn an_offer_whose_host_is_gone_cannot_be_fetched() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let folder = Folder::new();
    alice.done(&format!("send {}", folder.file("away.txt", b"with alice")));
    bob.done("wait file away.txt");
    alice.quit();
    bob.expect(json!({"event": "member_left", "member": {"name": "alice"}}));
    bob.refused("download away.txt", "no_host");
}

#[test]
fn a_file_that_changes_on_disk_is_withdrawn_by_its_host() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let folder = Folder::new();
    let file = folder.file("draft.txt", b"first version");
    alice.done(&format!("send {file}"));
    bob.done("wait file draft.txt");
    fs::write(&file, b"second version, longer").unwrap();
    bob.say("download draft.txt");
    alice.expect(json!({"event": "error", "code": "host_changed_file"}));
    bob.expect(json!({"event": "file_withdrawn", "file": {"name": "draft.txt"}}));
    assert!(bob.saved().is_empty(), "nothing wrong is ever saved");
}

#[test]
fn a_glob_and_all_fetch_what_they_mean_and_not_what_is_here() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let folder = Folder::new();
    bob.done(&format!("send {}", folder.file("own.txt", b"own")));
    for name in ["one.txt", "two.txt", "three.pdf"] {
        alice.done(&format!("send {}", folder.file(name, name.as_bytes())));
        bob.done(&format!("wait file {name}"));
    }
    let names = |peer: &mut Peer| {
        let all = peer.all(json!({"event": "download_finished"}));
        let mut names: Vec<_> =
            all.iter().map(|event| event["file"]["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    bob.done("download *.txt");
    assert_eq!(names(&mut bob), ["one.txt", "two.txt"]);
    bob.done("download all");
    bob.expect_that("what is here", |event| {
        event["text"].as_str().is_some_and(|text| text.starts_with("you already have "))
    });
    assert_eq!(names(&mut bob), ["one.txt", "three.pdf", "two.txt"]);
    bob.refused("download *.mkv", "no_such_offer");
    alice.quit();
    bob.quit_with(1);
}
