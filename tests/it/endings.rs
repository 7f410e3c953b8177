//! How klatch ends: the end of stdin, signals, exit codes.

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::common::{DEADLINE, Folder, Options, Peer, Program, join, room};

#[test]
fn a_script_ends_by_itself_with_everything_done() {
    let mut alice = Options::new("alice").args(["--stay"]).start();
    let folder = Folder::new();
    alice.done("welcome");
    alice.done(&format!("send {}", folder.file("book.txt", &[b'x'; 3_000_000])));
    let mut bob = Peer::start("bob");
    // All at once, as when read from a file.
    let script = format!(
        "connect {}\nwait message welcome\nwait file book.txt\ndownload book.txt\nthank you\n",
        alice.address
    );
    bob.program.type_bytes(script.as_bytes());
    assert_eq!(bob.end(), 0);
    let places: Vec<usize> =
        (1..=5).map(|line| bob.place(json!({"event": "command_done", "line": line}))).collect();
    assert!(places.is_sorted(), "{places:?}");
    bob.expect(json!({"event": "command_done", "line": 4, "command": "download"}));
    bob.expect(json!({"event": "command_done", "line": 5, "command": "say"}));
    let left = bob.place(json!({"event": "left"}));
    assert!(left < bob.place(json!({"event": "stopped", "exit_code": 0})));
    alice.hears("thank you");
    alice.expect(json!({"event": "member_left", "member": {"name": "bob"}}));
    assert_eq!(bob.saved().len(), 1);
}

#[test]
fn the_end_of_stdin_waits_until_members_hold_what_was_said() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    bob.program.signal(Signal::STOP);
    alice.done("can you hear me?");
    alice.program.close_stdin();
    bob.program.signal(Signal::CONT);
    assert_eq!(alice.ended(), 0);
    let said = alice.hears("can you hear me?")["id"].clone();
    alice.expect(json!({"event": "held", "id": said, "held_by": 1, "present": 1}));
    bob.hears("can you hear me?");
    bob.quit();
}

#[test]
fn the_end_of_stdin_waits_for_who_fetches_from_here_alone() {
    const SIZE: u64 = 512 << 20;
    let [mut alice, mut bob] = room(["alice", "bob"]);
    let folder = Folder::new();
    let path = folder.path("last copy.img");
    std::fs::File::create(&path).unwrap().set_len(SIZE).unwrap();
    alice.done(&format!("send {}", path.display()));
    bob.done("wait file last copy.img");
    // So slow that its progress is seen.
    bob.done("limit down 200MB/s");
    let number = bob.say("download last copy.img");
    // She can wait only for what she knows of.
    while {
        alice.done("wait 0.02");
        alice.done("transfers");
        alice.expect(json!({"event": "transfers"}))["list"] == json!([])
    } {}
    alice.program.close_stdin();
    bob.ended_well(number);
    assert_eq!(alice.ended(), 0);
    assert_eq!(bob.expect(json!({"event": "download_finished"}))["bytes_fetched"], SIZE);
}

#[test]
fn who_spoke_to_nobody_is_told() {
    let mut alice = Peer::start("alice");
    alice.done("hello?");
    assert_eq!(alice.end(), 1);
    let error = alice.expect(json!({"event": "error", "code": "nobody_present"}));
    assert_eq!((&error["line"], &error["command"]), (&json!(null), &json!(null)));
    assert!(alice.program.stderr.contains("nobody was ever here"), "{}", alice.program.stderr);

    let folder = Folder::new();
    let mut bob = Peer::start("bob");
    bob.done(&format!("send {}", folder.file("for nobody.txt", b"")));
    assert_eq!(bob.end(), 1);
    bob.expect(json!({"event": "error", "code": "nobody_present"}));

    // A peer that said nothing misses nobody; one that is left alone had company.
    let mut carol = Peer::start("carol");
    carol.done("members");
    assert_eq!(carol.end(), 0);
    assert!(carol.all(json!({"event": "left"})).is_empty(), "it was never in a room");
    let [mut dave, mut erin] = room(["dave", "erin"]);
    erin.quit();
    dave.expect(json!({"event": "member_left"}));
    dave.done("farewell");
    assert_eq!(dave.end(), 0);
}

#[test]
fn a_failed_command_is_remembered_to_the_end() {
    let mut alice = Peer::start("alice");
    alice.refused("download nothing", "no_such_offer");
    alice.done("files");
    assert_eq!(alice.end(), 1);
    let errors: Vec<_> = alice.program.stderr.lines().collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with("error: nobody offers nothing"), "{errors:?}");
    let mut alice = Peer::start("alice");
    alice.refused("download nothing", "no_such_offer");
    alice.say("quit");
    assert_eq!(alice.ended(), 1);
}

#[test]
fn with_stay_it_runs_until_a_signal() {
    let mut alice = Options::new("alice").args(["--stay"]).start();
    alice.program.close_stdin();
    let mut bob = Peer::start("bob");
    join(&mut bob, &mut alice);
    bob.done("are you still there?");
    alice.hears("are you still there?");
    ends_by(&mut alice, Signal::TERM);
    bob.expect(json!({"event": "member_left", "member": {"name": "alice"}}));
}

#[test]
fn signals_leave_the_room() {
    for signal in [Signal::INT, Signal::TERM] {
        let [mut alice, mut bob] = room(["alice", "bob"]);
        // In the middle of a command, too.
        alice.say("wait message never within 600");
        ends_by(&mut alice, signal);
        bob.expect(json!({"event": "member_left", "member": {"name": "alice"}}));
        bob.quit();
    }
}

/// A signal ends it cleanly and soon: not after a minute, as the end of stdin may.
fn ends_by(peer: &mut Peer, signal: Signal) {
    let began = Instant::now();
    peer.program.signal(signal);
    peer.expect(json!({"event": "left"}));
    peer.expect(json!({"event": "stopped"}));
    peer.ended();
    // Two seconds, plus the time that a busy computer takes to notice.
    assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
}

#[test]
fn a_signal_ends_it_though_nobody_reads_and_a_second_one_at_once() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut unread = Unread::start();
        unread.signal(signal);
        assert_eq!(unread.child.wait().unwrap().code(), Some(0), "it had nothing to complain of");
        let mut unread = Unread::start();
        // A signal right after the first is an echo, but a later one is meant: it works long before
        // klatch gives up on its reader.
        let status = loop {
            unread.signal(signal);
            unread.witness.done("wait 0.05");
            if let Some(status) = unread.child.try_wait().unwrap() {
                break status;
            }
        };
        assert_eq!(status.code(), Some(code));
        unread.expect_left();
    }
}

/// `timeout` signals its child and then the whole group: the user meant that once.
#[test]
fn a_signal_that_comes_twice_at_once_is_one() {
    for signal in [Signal::INT, Signal::TERM] {
        let [mut alice, mut bob] = room(["alice", "bob"]);
        alice.program.signal(signal);
        alice.program.signal(signal);
        alice.expect(json!({"event": "left"}));
        alice.expect(json!({"event": "stopped", "exit_code": 0}));
        assert_eq!(alice.ended(), 0);
        bob.expect(json!({"event": "member_left", "member": {"name": "alice"}}));
    }
}

/// A pipe holds 64 KiB, and the text of `help` is shorter than what is left.
const PIPE_NEARLY_FULL_BYTES: u64 = 60_000;

/// A klatch whose stdout is full and unread, in a room with a peer that receives.
struct Unread {
    child: std::process::Child,
    witness: Peer,
}

impl Unread {
    fn start() -> Self {
        let mut witness = Peer::start("witness");
        let args =
            ["--ui", "terminal", "--ephemeral", "--name", "unread", "--listen", "127.0.0.1:0"];
        let mut command = Program::command();
        command.args(args).args(["--connect", &witness.address]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        // More than a pipe holds, so a thread types it; it ends with the program.
        let mut stdin = child.stdin.take().unwrap();
        std::thread::spawn(move || {
            for _ in 0..1_000 {
                if stdin.write_all(b"help\n").is_err() {
                    return;
                }
            }
        });
        witness.expect(json!({"event": "joined"}));
        // Before that, it could end before anybody is missed.
        let unread = child.stdout.as_ref().unwrap();
        while rustix::io::ioctl_fionread(unread).unwrap() < PIPE_NEARLY_FULL_BYTES {
            witness.done("wait 0.05");
        }
        Self { child, witness }
    }

    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal)
            .unwrap();
    }

    fn expect_left(&mut self) {
        self.witness.expect(json!({"event": "member_left", "member": {"name": "unread"}}));
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn when_nobody_can_read_any_more_it_ends() {
    let mut witness = Peer::start("witness");
    let mut command = Program::command();
    command.args(["--ui", "terminal", "--ephemeral", "--stay", "--name", "unread"]);
    command.args(["--listen", "127.0.0.1:0", "--connect", &witness.address]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    witness.expect(json!({"event": "joined"}));
    drop(child.stdout.take());
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < DEADLINE, "it goes on without a reader");
        witness.done("anything to print");
        witness.done("wait 0.05");
    }
    witness.expect(json!({"event": "member_left", "member": {"name": "unread"}}));
}

#[test]
fn wrong_usage_is_2_and_what_cannot_start_is_3() {
    for args in [
        &["--nonsense"][..],
        &["--ui", "page"],
        &["--listen", "70000"],
        &["--name", "a:b"],
        &["--ui", "terminal", "--ephemeral", "--connect", "not an address"],
    ] {
        let mut program = Program::run("wrong", args);
        assert_eq!(program.end(), 2, "{args:?}");
        assert!(!program.stderr.is_empty(), "{args:?}");
        assert!(program.lines.is_empty(), "{args:?}: {:?}", program.lines);
    }
    for (args, shown) in [(["--help"], "--password-file"), (["--version"], "klatch ")] {
        let mut program = Program::run("asked", args);
        assert_eq!(program.end(), 0);
        assert!(program.lines.iter().any(|line| line.contains(shown)), "{:?}", program.lines);
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let mut program =
        Program::run("late", ["--ui", "terminal", "--ephemeral", "--listen", addr.as_str()]);
    assert_eq!(program.end(), 3);
    let port = addr.rsplit_once(':').unwrap().1;
    assert!(program.stderr.contains(port), "{}", program.stderr);
}
