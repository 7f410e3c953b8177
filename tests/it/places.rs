//! Places that klatch cannot use: folders, disks, ports.

use std::fs;
use std::net::TcpListener;

use serde_json::json;

use crate::common::{Folder, Options, Peer, join, root};

#[test]
fn the_identity_outlives_the_program() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data").display().to_string();
    let identity = || {
        let mut peer = kept("ana", &dir).start();
        let started = peer.all(json!({"event": "started", "temporary": false}));
        assert_eq!(started.len(), 1);
        peer.quit();
        peer.id.clone()
    };
    assert_eq!(identity(), identity());
    let mut ephemeral = Peer::start("ana");
    assert_eq!(ephemeral.all(json!({"event": "started", "temporary": true})).len(), 1);
    ephemeral.quit();
}

/// A peer with a data directory.
fn kept(name: &str, dir: &str) -> Options {
    Options::bare(name).args(["--ui", "terminal", "--listen", "127.0.0.1:0", "--data-dir", dir])
}

/// It does not start, and gives this reason.
fn refused(options: Options, code: &str) -> String {
    let mut peer = options.launch();
    assert_eq!(peer.ended(), 3);
    let error = peer.expect(json!({"event": "error", "code": code, "line": null, "command": null}));
    assert!(peer.all(json!({"event": "started"})).is_empty());
    let text = error["text"].as_str().unwrap().to_owned();
    assert_eq!(peer.program.stderr, format!("error: {text}\n"));
    text
}

#[test]
fn a_chosen_data_directory_serves_one_program() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().display().to_string();
    let mut first = kept("ana", &dir).start();
    let text = refused(kept("bob", &dir), "data_dir_in_use");
    assert!(text.contains(&dir), "{text}");
    // The same when the environment names the directory.
    let by_environment = Options::bare("bob")
        .args(["--ui", "terminal", "--listen", "127.0.0.1:0"])
        .env("KLATCH_DATA_DIR", home.path());
    refused(by_environment, "data_dir_in_use");
    first.quit();
    kept("bob", &dir).start().quit();
}

#[test]
fn the_default_data_directory_gives_way_to_a_temporary_identity() {
    let home = tempfile::tempdir().unwrap();
    let start = |name| {
        Options::bare(name)
            .args(["--ui", "terminal", "--listen", "127.0.0.1:0"])
            .env("XDG_DATA_HOME", home.path())
            .start()
    };
    let (mut ana, mut bob) = (start("ana"), start("bob"));
    assert_eq!(ana.all(json!({"event": "started", "temporary": false})).len(), 1);
    assert_eq!(bob.all(json!({"event": "started", "temporary": true})).len(), 1);
    join(&mut bob, &mut ana);
    bob.done("two of us on one machine");
    ana.hears("two of us on one machine");
}

#[test]
fn a_data_directory_that_cannot_be_is_said() {
    let folder = Folder::new();
    let file = folder.file("in the way", b"");
    let text = refused(kept("ana", &file), "data_dir_not_writable");
    assert!(text.contains("in the way") && text.contains("--ephemeral"), "{text}");
    refused(kept("ana", &format!("{file}/below")), "data_dir_not_writable");
    // Nobody can make a folder here, not even root.
    refused(kept("ana", "/proc/klatch"), "data_dir_not_writable");
}

#[test]
fn a_port_in_use_is_not_replaced() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let options = Options::bare("ana").args(["--ui", "terminal", "--ephemeral", "--listen", &addr]);
    let text = refused(options, "port_in_use");
    assert!(text.contains(&taken.local_addr().unwrap().port().to_string()), "{text}");
    let options =
        Options::bare("ana").args(["--ui", "terminal", "--ephemeral", "--listen", "192.0.2.99:9"]);
    refused(options, "bad_address");
}

#[test]
fn downloads_need_a_folder_that_can_be_written() {
    let mut alice = Peer::start("alice");
    let folder = Folder::new();
    alice.done(&format!("send {}", folder.file("x.txt", b"some text")));
    let missing = folder.path("no such folder").display().to_string();
    let mut places = vec![(missing.clone(), "io_error")];
    if root() {
        // Permissions do not stop root, but nobody can make files here.
        places.push(("/proc".to_owned(), "io_error"));
    } else {
        fs::create_dir(folder.path("closed")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o500);
        fs::set_permissions(folder.path("closed"), mode).unwrap();
        places.push((folder.path("closed").display().to_string(), "permission_denied"));
    }
    for (place, code) in places {
        let mut bob = Options::new("bob").args(["--downloads", &place]).start();
        if place == missing {
            fs::remove_dir(&place).unwrap();
        }
        join(&mut bob, &mut alice);
        bob.done("wait file x.txt");
        let number = bob.say("download x.txt");
        let failed = bob.expect(json!({"event": "download_failed"}));
        let text = bob.expect_that("the error", |event| event["line"] == number)["text"].clone();
        assert_eq!(failed["text"], text);
        assert_ne!(failed["code"], "disk_full");
        let expected = [code, "permission_denied", "file_not_found"];
        assert!(expected.iter().any(|code| failed["code"] == *code), "{place}: {failed}");
        assert!(text.as_str().unwrap().contains(&place), "{text}");
        bob.done("talking still works");
        alice.hears("talking still works");
        assert_eq!(bob.end(), 1);
    }
}

/// Names on a disk are bytes, and some are not text.
#[test]
fn paths_that_are_no_text_work_on_the_command_line() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new();
    let named = |name: &[u8]| folder.path("").join(std::ffi::OsStr::from_bytes(name));
    let (password, data) = (named(b"pass\xff"), named(b"data\xfe"));
    let (saved, sent) = (named(b"saved \xe9"), named(b"sent \xe8.txt"));
    fs::write(&password, "correct horse\n").unwrap();
    fs::write(&sent, b"some text").unwrap();
    let mut alice = Options::bare("alice")
        .args(["--ui", "terminal", "--listen", "127.0.0.1:0"])
        .arg("--downloads", &saved)
        .arg("--data-dir", &data)
        .start();
    alice.done("password correct horse");
    let address = alice.address.clone();
    let mut bob = Options::new("bob")
        .arg("send", &sent)
        .args(["--to", &address])
        .arg("--password-file", &password)
        .start();
    let offered = alice.expect(json!({"event": "file_offered"}));
    assert_eq!(offered["file"]["name"], "sent \u{fffd}.txt");
    alice.done(&format!("download {}", offered["file"]["id"].as_str().unwrap()));
    assert_eq!(bob.ended(), 0);
    let there = fs::read_dir(&saved).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read(there).unwrap(), b"some text");
    assert!(data.join("identity").exists());
    alice.quit();
}
