//! Bad input: a clear error with its code, and the program goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use serde_json::json;

use crate::common::{Folder, Options, Peer, room, root};

#[test]
fn addresses_that_are_none_are_refused() {
    let mut alice = Peer::start("alice");
    for (line, code) in [
        ("connect", "usage"),
        ("connect 127.0.0.1 port", "usage"),
        ("connect 127.0.0.1 -1", "usage"),
        ("connect 127.0.0.1 +5", "usage"),
        ("connect 127.0.0.1 1 2 3", "usage"),
        ("connect 127.0.0.1:9 9", "usage"),
        ("connect 127.0.0.1 0", "bad_address"),
        ("connect 127.0.0.1 65536", "bad_address"),
        ("connect 127.0.0.1:99999999999999999999", "bad_address"),
        ("connect 127.0.0.256", "bad_address"),
        ("connect 127.0.0.1:", "bad_address"),
        ("connect [::1", "bad_address"),
        ("connect [127.0.0.1]:9", "bad_address"),
        ("connect ::1:::9", "bad_address"),
        ("connect http://127.0.0.1/", "bad_address"),
        ("connect a_name,with~letters", "bad_address"),
    ] {
        let text = alice.refused(line, code);
        assert!(text.len() > 20, "{line}: {text}");
    }
    let text = alice.refused("connect 127.0.0.1 65536", "bad_address");
    assert!(text.contains("65536") && text.contains("1 to 65535"), "{text}");
    alice.done("members");
    assert_eq!(alice.end(), 1);
    assert_eq!(alice.program.stderr.lines().count(), 17, "one line for each");
}

#[test]
fn a_command_that_misses_its_form_shows_it() {
    let mut alice = Peer::start("alice");
    for line in [
        "send",
        "download",
        "cancel",
        "say",
        "name",
        "members of parliament",
        "transfers, please",
        "leave me alone",
        "unlock the door",
        "quit it",
        "help me please",
    ] {
        // A word with punctuation attached is a message, not a command.
        if line.starts_with("transfers,") {
            alice.done(line);
            continue;
        }
        let text = alice.refused(line, "usage");
        let word = line.split(' ').next().unwrap();
        assert!(text.contains(word) && text.contains("say"), "{line}: {text}");
    }
    let text = alice.refused("files now please", "no_such_offer");
    assert!(text.contains("say"), "{text}");
    for line in ["/nonsense", "/", "/ connect", "/Send x"] {
        let text = alice.refused(line, "unknown_command");
        assert!(text.contains("help"), "{text}");
    }
    alice.expect(json!({"event": "message", "text": "transfers, please"}));
    assert_eq!(alice.all(json!({"event": "message"})).len(), 1, "none of it was said");
}

#[test]
fn in_a_pipe_a_slip_is_an_error_and_no_message() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    for line in ["pasword hunter2222", "Password hunter2222", " connect 127.0.0.1", "conect ::1"] {
        let text = alice.refused(line, "did_you_mean");
        assert!(text.contains("/say") && !text.contains("hunter2222"), "{text}");
    }
    alice.done("contact me");
    alice.done("say pasword is misspelt");
    bob.hears("contact me");
    bob.hears("pasword is misspelt");
    assert_eq!(bob.all(json!({"event": "message"})).len(), 2);
    bob.quit();
}

#[test]
fn what_cannot_be_sent_says_why() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let folder = Folder::new();
    let at = |name: &str| format!("'{}'", folder.path(name).display());
    alice.refused(&format!("send {}", at("missing.txt")), "file_not_found");
    fs::create_dir(folder.path("album")).unwrap();
    if !crate::common::root() {
        fs::write(folder.path("album/secret"), b"").unwrap();
        let nobody = fs::Permissions::from_mode(0o0);
        fs::set_permissions(folder.path("album/secret"), nobody).unwrap();
        let text = alice.refused(&format!("send {}", at("album")), "permission_denied");
        assert!(text.contains("secret cannot be read"), "{text}");
    }
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.path("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let text = alice.refused(&format!("send {}", at("pipe")), "not_a_file");
    assert!(text.contains("pipe"), "{text}");
    for device in ["/dev/null", "/dev/zero", "/dev/full"] {
        let text = alice.refused(&format!("send {device}"), "not_a_file");
        assert!(text.contains("device"), "{text}");
    }
    let _socket = UnixListener::bind(folder.path("socket")).unwrap();
    let text = alice.refused(&format!("send {}", at("socket")), "not_a_file");
    assert!(text.contains("socket"), "{text}");
    std::os::unix::fs::symlink(folder.path("nowhere"), folder.path("dangling")).unwrap();
    alice.refused(&format!("send {}", at("dangling")), "file_not_found");
    folder.file("secret.txt", b"mine");
    fs::set_permissions(folder.path("secret.txt"), fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read everything on a disk, except what the kernel makes write-only.
    let unreadable =
        if root() { "/proc/sys/vm/compact_memory".to_owned() } else { at("secret.txt") };
    let text = alice.refused(&format!("send {unreadable}"), "permission_denied");
    assert!(text.contains(unreadable.trim_matches('\'')), "{text}");
    // Through a link it is still the same file.
    folder.file("real.txt", b"real");
    std::os::unix::fs::symlink(folder.path("real.txt"), folder.path("link.txt")).unwrap();
    alice.done(&format!("send {}", at("link.txt")));
    bob.done("wait file link.txt");
    alice.quit_with(1);
    assert_eq!(bob.all(json!({"event": "file_offered"})).len(), 1);
}

#[test]
fn bytes_that_are_no_text_cost_their_line_only() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let number = alice.say_bytes(b"caf\xe9\n");
    alice.failed(number, "invalid_utf8");
    let number = alice.say_bytes(b"send /tmp/\xff\xfe\n");
    alice.failed(number, "invalid_utf8");
    let mut megabyte = vec![b'x'; 1 << 20];
    megabyte.push(b'\n');
    let number = alice.say_bytes(&megabyte);
    let text = alice.failed(number, "message_too_long");
    assert!(text.contains("1048576") && text.contains("file"), "{text}");
    for bytes in [&b"nul\0byte\n"[..], b"escape\x1b[31m\n", b"bell\x07\n", b"back\x08\n"] {
        let number = alice.say_bytes(bytes);
        alice.failed(number, "usage");
    }
    alice.done("and it goes on");
    bob.hears("and it goes on");
    let number = alice.say_bytes(b"from another system\r\n");
    alice.ended_well(number);
    bob.hears("from another system");
    bob.quit();
    assert_eq!(bob.all(json!({"event": "message"})).len(), 2);
}

#[test]
fn a_short_password_locks_nothing() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let text = alice.refused("password abc", "password_too_short");
    assert!(text.contains("3 characters") && text.contains('8'), "{text}");
    assert!(!text.contains("abc"), "{text}");
    // Characters count, not bytes.
    alice.refused("password äöüäöüä", "password_too_short");
    alice.done("still open");
    bob.hears("still open");
    bob.quit();
    assert!(bob.all(json!({"event": "room_locked"})).is_empty());
}

#[test]
fn names_that_the_system_does_not_know_are_said() {
    // In a network of its own nothing can answer, and no query leaves this computer.
    let mut peer = Options::bare("ana").args(["--ui", "terminal", "--ephemeral", "--listen", "0"]);
    let alone = ["unshare", "--user", "--map-root-user", "--net"];
    let can = std::process::Command::new(alone[0]).args(&alone[1..]).arg("true").output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this computer lets nobody make a network of one's own (unshare)");
        return;
    }
    peer = peer.within(&alone);
    let mut peer = peer.launch();
    peer.expect(json!({"event": "listening"}));
    let text = peer.refused("connect no-such-host.invalid", "name_not_found");
    assert!(text.contains("no-such-host.invalid"), "{text}");
    assert_eq!(peer.end(), 1);
}
