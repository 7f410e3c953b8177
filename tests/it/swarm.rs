//! The room is the swarm: everyone who has a piece of a file serves it to the others.

use std::fs;

use serde_json::json;

use crate::common::{Folder, Peer, content, join, room, same};

#[test]
fn a_file_comes_from_everyone_who_has_it() {
    let [mut alice, mut bob, mut carol] = room(["alice", "bob", "carol"]);
    let folder = Folder::new();
    let bytes = content(7, 24 << 20);
    alice.done(&format!("send {}", folder.file("film.mkv", &bytes)));
    bob.done("wait file film.mkv");
    bob.done("download film.mkv");
    assert_eq!(bob.expect(json!({"event": "download_finished"}))["hosts"], 1);
    carol.done("wait file film.mkv");
    carol.done("download film.mkv");
    let finished = carol.expect(json!({"event": "download_finished"}));
    assert_eq!(finished["hosts"], 2, "{finished}");
    assert_eq!(finished["bytes_fetched"], bytes.len());
    assert!(same(finished["path"].as_str().unwrap().as_ref(), &bytes));
    // The peer that offered it leaves; the file stays in the room.
    alice.quit();
    for peer in [&mut bob, &mut carol] {
        peer.expect(json!({"event": "member_left", "member": {"name": "alice"}}));
    }
    let mut dave = Peer::start("dave");
    join(&mut dave, &mut bob);
    dave.done("wait members 2");
    dave.done("wait file film.mkv");
    dave.done("files");
    let files = dave.expect(json!({"event": "files"}));
    assert_eq!(files["list"][0]["file"]["name"], "film.mkv");
    dave.done("download film.mkv");
    let finished = dave.expect(json!({"event": "download_finished"}));
    assert!(same(finished["path"].as_str().unwrap().as_ref(), &bytes));
}

#[test]
fn who_downloads_serves_what_it_has() {
    let [mut alice, mut bob, mut carol] = room(["alice", "bob", "carol"]);
    let folder = Folder::new();
    let bytes = content(8, 64 << 20);
    alice.done(&format!("send {}", folder.file("both.bin", &bytes)));
    for peer in [&mut bob, &mut carol] {
        peer.done("wait file both.bin");
    }
    let numbers = [&mut bob, &mut carol].map(|peer| peer.say("download both.bin"));
    for (peer, number) in [&mut bob, &mut carol].into_iter().zip(numbers) {
        peer.ended_well(number);
        let finished = peer.expect(json!({"event": "download_finished"}));
        assert!(same(finished["path"].as_str().unwrap().as_ref(), &bytes));
        assert_eq!(finished["hosts"], 2, "{finished}");
    }
}

#[test]
fn a_host_that_is_killed_is_replaced_by_the_others() {
    let [mut alice, mut bob, mut carol] = room(["alice", "bob", "carol"]);
    let folder = Folder::new();
    let path = folder.path("sparse.img");
    fs::File::create(&path).unwrap().set_len(256 << 20).unwrap();
    for host in [&mut alice, &mut bob] {
        host.done(&format!("send {}", path.display()));
    }
    for name in ["alice", "bob"] {
        carol.expect(json!({"event": "file_offered", "from": {"name": name}}));
    }
    let number = carol.say("download sparse.img");
    carol.expect(json!({"event": "download_started"}));
    alice.program.signal(rustix::process::Signal::KILL);
    carol.ended_well(number);
    let finished = carol.expect(json!({"event": "download_finished"}));
    assert_eq!(finished["file"]["size"], 256 << 20);
    carol.expect(json!({"event": "member_left", "member": {"name": "alice"}}));
    bob.expect(json!({"event": "member_left", "member": {"name": "alice"}}));
    alice.ended();
}

#[test]
fn chat_goes_on_while_a_large_file_moves_in_little_memory() {
    const SIZE: u64 = 1 << 30;
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let folder = Folder::new();
    let path = folder.path("disk.img");
    fs::File::create(&path).unwrap().set_len(SIZE).unwrap();
    alice.done(&format!("send {}", path.display()));
    bob.done("wait file disk.img");
    // So slow that its progress is seen.
    bob.done("limit down 300MB/s");
    let number = bob.say("download disk.img");
    let progress = bob.expect(json!({"event": "download_progress", "hosts": 1}));
    assert!(progress["bytes_done"].as_u64().unwrap() <= SIZE);
    alice.done("transfers");
    let moving = alice.expect(json!({"event": "transfers"}));
    let row = &moving["list"][0];
    assert_eq!((&row["file"]["name"], &row["state"]), (&json!("disk.img"), &json!("serving")));
    alice.done("how fast is it?");
    bob.hears("how fast is it?");
    bob.ended_well(number);
    let finished = bob.expect(json!({"event": "download_finished"}));
    assert_eq!(finished["bytes_fetched"], SIZE);
    assert_eq!(fs::metadata(finished["path"].as_str().unwrap()).unwrap().len(), SIZE);
    let said = bob.place(json!({"event": "message", "text": "how fast is it?"}));
    assert!(said < bob.place(json!({"event": "download_finished"})), "chat waited for the file");
    for peer in [&alice, &bob] {
        let peak = peak_kib(peer);
        assert!(peak < 40 * 1024, "{}: {peak} KiB", peer.program.name);
    }
}

/// The most memory that a process has ever held, in KiB.
fn peak_kib(peer: &Peer) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", peer.program.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
