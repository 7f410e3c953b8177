//! S7: a disk that is really full. (`node::tests` has disks that fail in every other way.)

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::common::{Folder, Options, Peer, content, join, same};

const OWN_MOUNTS: [&str; 4] = ["unshare", "--user", "--map-root-user", "--mount"];
const SIZE: usize = 8 << 20;

#[test]
fn s7_a_download_waits_until_there_is_room_on_its_disk() {
    let check = ["sh", "-c", "mount -t tmpfs none /mnt"];
    let can = Command::new(OWN_MOUNTS[0]).args(&OWN_MOUNTS[1..]).args(check).output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this computer lets nobody mount a disk of one's own (unshare, mount)");
        return;
    }
    let script = "mkdir small && mount -t tmpfs -o size=10m none small \
        && head -c 6000000 /dev/zero > small/ballast && exec \"$0\" \"$@\"";
    let wrapper: Vec<&str> = OWN_MOUNTS.into_iter().chain(["sh", "-c", script]).collect();
    let mut bob = Options::new("bob").args(["--downloads", "small"]).within(&wrapper).start();
    // The path of its small disk from outside its namespace.
    let small = format!("/proc/{}/root{}/small", bob.program.pid(), bob.folder().display());
    let mut alice = Peer::start("alice");
    join(&mut bob, &mut alice);
    let (folder, bytes) = (Folder::new(), content(7, SIZE));
    alice.done(&format!("send {}", folder.file("film.mkv", &bytes)));
    bob.done("wait file film.mkv");
    let number = bob.say("download film.mkv");
    let told = bob.expect(json!({"event": "error", "line": null, "code": "disk_full"}));
    let text = told["text"].as_str().unwrap();
    assert!(text.starts_with("film.mkv waits: ") && text.contains("the disk is full"), "{text}");
    // The download is a pipe's command: what is typed now waits for it, but chat still arrives.
    alice.done("how is it going?");
    bob.hears("how is it going?");
    let shown = |name: &str| !name.starts_with('.') && name != "ballast";
    let names = || fs::read_dir(&small).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names().any(|name| shown(name.to_str().unwrap())), "half a file is no file");
    fs::remove_file(format!("{small}/ballast")).unwrap();
    bob.ended_well(number);
    let finished = bob.expect(json!({"event": "download_finished"}));
    let name = finished["path"].as_str().unwrap().rsplit('/').next().unwrap();
    assert!(same(format!("{small}/{name}").as_ref(), &bytes));
    assert_eq!(bob.all(json!({"event": "error", "code": "disk_full"})).len(), 1, "told once");
    assert_eq!(names().count(), 1, "nothing is left over");
}
