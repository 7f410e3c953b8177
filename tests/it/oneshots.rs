//! One-shots: when they begin, what they wait for, how they end, and what they leave behind.

use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::json;

use crate::common::{Folder, Options, Peer, Program, content, join, room, same};

/// A one-shot that speaks JSON.
fn launch<'a>(name: &str, args: impl IntoIterator<Item = &'a str>) -> Peer {
    Options::new(name).args(args).launch()
}

/// Waits until klatch says this, in a notice or on stderr.
fn told(peer: &mut Peer, part: &str) {
    peer.expect_that(part, |event| event["text"].as_str().is_some_and(|text| text.contains(part)));
}

/// A one-shot as people start it, with this on stdin; its exit code, stdout and stderr.
fn plain(folder: &Path, args: &[&str], stdin: &str) -> (i32, String, String) {
    let mut command = Program::command();
    command.args(["--ephemeral", "--listen", "127.0.0.1:0", "--name", "once"]).args(args);
    command.current_dir(folder).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may not read any of it.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[test]
fn send_ends_when_those_who_were_here_have_it() {
    let folder = Folder::new();
    let file = folder.file("a.txt", b"for those who are here");
    let mut ana = Peer::start("ana");
    let mut desk = launch("desk", ["send", &file, "--to", &ana.address]);
    told(&mut desk, "waiting for ana to fetch a.txt");
    // A peer that comes later and only talks keeps nobody waiting.
    let mut idle = Peer::start("idle");
    join(&mut idle, &mut ana);
    idle.done("wait file a.txt");
    ana.done("download a.txt");
    assert_eq!(desk.ended(), 0);
    idle.quit();
    ana.quit();
}

#[test]
fn send_until_so_many_have_it_counts_those_who_left() {
    let folder = Folder::new();
    let file = folder.file("a.txt", b"for two");
    let [mut ana, mut idle] = room(["ana", "idle"]);
    let mut desk = launch("desk", ["send", &file, "--to", &ana.address, "--until", "2"]);
    ana.done("wait file a.txt");
    ana.done("download a.txt");
    told(&mut desk, "ana fetched a.txt (1 of 2 have a.txt)");
    ana.quit();
    idle.done("download a.txt");
    assert_eq!(desk.ended(), 0);
    told(&mut desk, "idle fetched a.txt (2 of 2 have a.txt)");
    idle.quit();
}

#[test]
fn send_within_a_time_fails_when_it_is_over() {
    let folder = Folder::new();
    let file = folder.file("a.txt", b"for nobody");
    let mut ana = Peer::start("ana");
    let mut desk = launch("desk", ["send", &file, "--to", &ana.address, "--within", "2s"]);
    assert_eq!(desk.ended(), 1);
    let error = desk.expect(json!({"event": "error", "code": "wait_timeout"}));
    let text = error["text"].as_str().unwrap();
    assert!(text.contains("ana did not fetch what is offered in time"), "{text}");
    ana.quit();
}

#[test]
fn with_stay_send_and_get_go_on_serving() {
    let folder = Folder::new();
    let file = folder.file("a.txt", b"for all who come");
    let mut desk = launch("desk", ["send", &file, "--stay"]);
    let invitation = desk.expect(json!({"event": "invitation"}))["text"].clone();
    let invitation = invitation.as_str().unwrap();
    let mut first = launch("first", ["get", invitation, "--stay"]);
    first.expect(json!({"event": "download_finished"}));
    let mut second = launch("second", ["get", invitation]);
    assert_eq!(second.ended(), 0);
    // Its work is done: a signal ends it with success.
    desk.program.signal(Signal::TERM);
    assert_eq!(desk.ended(), 0);
    let third = first.expect(json!({"event": "listening"}))["addresses"][0].clone();
    let mut third = launch("third", ["get", "a.txt", "--from", third.as_str().unwrap()]);
    // The room is closed, and a reader lets nobody in.
    assert_eq!(third.ended(), 1);
    first.program.signal(Signal::INT);
    assert_eq!(first.ended(), 0);
}

#[test]
fn what_is_refused_is_tried_again() {
    let folder = Folder::new();
    // Nobody listens there yet.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let place = format!("127.0.0.1:{port}");
    let mut reader = launch("reader", ["get", "--from", &place]);
    told(&mut reader, "trying again for up to");
    let data = folder.path("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("settings.toml"), "max_peers = 1\n").unwrap();
    let args = ["--ui", "terminal", "--data-dir", data.to_str().unwrap(), "--listen", &place];
    let mut ana = Options::bare("ana").args(args).start();
    ana.done(&format!("send {}", folder.file("a.txt", b"all")));
    assert_eq!(reader.ended(), 0);
    assert!(same(&reader.folder().join("a.txt"), b"all"));
    // Now the room is full.
    let mut guest = Peer::start("guest");
    join(&mut guest, &mut ana);
    let mut crier = launch("crier", ["say", "at last", "--to", &ana.address]);
    told(&mut crier, "has no place for another peer (trying again");
    guest.quit();
    assert_eq!(crier.ended(), 0);
    ana.hears("at last");
    ana.quit();
    // What cannot change is not retried.
    let mut lost = launch("lost", ["say", "hello", "--to", "127.0.0.256"]);
    assert_eq!(lost.program.end(), 2);
}

#[test]
fn a_one_shot_that_a_signal_ends_too_early_says_so() {
    let folder = Folder::new();
    let file = folder.file("a.txt", b"for nobody");
    let mut ana = Peer::start("ana");
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let name = format!("desk {code}");
        let mut desk = launch(&name, ["send", &file, "--to", &ana.address]);
        told(&mut desk, "waiting for ana");
        desk.program.signal(signal);
        assert_eq!(desk.ended(), code);
        ana.expect(json!({"event": "member_left", "member": {"name": name}}));
    }
    ana.quit();
}

#[test]
fn a_hangup_ends_it_in_good_order_unless_it_is_ignored() {
    let [mut ana, mut ben] = room(["ana", "ben"]);
    ana.program.signal(Signal::HUP);
    ana.expect(json!({"event": "left"}));
    assert_eq!(ana.ended(), 0);
    ben.expect(json!({"event": "member_left"}));
    let options = Options::new("cora").within(&["sh", "-c", "trap '' HUP; exec \"$@\"", "nohup"]);
    let mut cora = options.start();
    join(&mut cora, &mut ben);
    cora.program.signal(Signal::HUP);
    cora.done("still here");
    ben.hears("still here");
    cora.quit();
    ben.quit();
}

#[test]
fn send_without_a_place_prints_the_line_that_fetches() {
    let folder = Folder::new();
    let bytes = content(4, 2_000_000);
    folder.file("two words.bin", &bytes);
    folder.file("notes.txt", b"notes");
    let mut command = Program::command();
    command.args(["send", "*.bin", "notes.txt", "--ephemeral", "--listen", "127.0.0.1:0"]);
    let mut desk = Program::spawn("desk", command.current_dir(folder.path("")));
    let line = desk.expect_line("klatch get klatch:");
    assert_eq!(desk.lines, std::slice::from_ref(&line), "and nothing for people at a prompt");
    let out = tempfile::tempdir().unwrap();
    let invitation = line.strip_prefix("klatch get ").unwrap();
    let (code, said, errors) = plain(out.path(), &["get", invitation], "");
    assert_eq!((code, errors.as_str()), (0, ""), "{said}");
    assert!(said.lines().all(|line| line.starts_with("* saved as ")), "{said}");
    assert_eq!(said.lines().count(), 2);
    let saved: Vec<_> = std::fs::read_dir(out.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(saved.iter().any(|path| same(path, &bytes)), "{saved:?}");
    assert_eq!(desk.end(), 0);
}

#[test]
fn a_single_file_keeps_its_name_where_that_is_free() {
    let folder = Folder::new();
    let mut ana = Peer::start("ana");
    ana.done(&format!("send {}", folder.file("a.txt", b"first")));
    let out = Folder::new();
    let get = |args: &[&str]| {
        let args = [&["get", "--from", ana.address.as_str()], args].concat();
        plain(&out.path(""), &args, "")
    };
    assert_eq!(get(&["a.txt"]).0, 0);
    assert!(same(&out.path("a.txt"), b"first"));
    // No file is replaced.
    out.file("a.txt", b"mine");
    assert_eq!(get(&["a.txt"]).0, 0);
    assert!(same(&out.path("a.txt"), b"mine"));
    assert_eq!(std::fs::read_dir(out.path("")).unwrap().count(), 2);
    let (code, said, errors) = get(&["a.*", "--skip-existing"]);
    assert_eq!((code, said.as_str()), (0, ""));
    assert!(errors.contains("a.txt already exists: skipped"), "{errors}");
    // In another place, under another name, and into a pipe.
    assert_eq!(get(&["a.txt", "--output", "other name"]).0, 0);
    assert!(same(&out.path("other name"), b"first"));
    let (code, _, errors) = get(&["a.txt", "--output", "other name"]);
    assert_eq!(code, 1);
    assert!(errors.contains("other name already exists"), "{errors}");
    assert_eq!(get(&["a.txt", "--output", "sub/"]).0, 0);
    assert!(same(&out.path("sub/a.txt"), b"first"));
    assert_eq!(get(&["a.txt", "--output", "-"]), (0, "first".into(), String::new()));
    ana.quit();
}

#[test]
fn what_a_glob_fits_is_saved_under_the_name_that_it_fits() {
    let folder = Folder::new();
    let mut ana = Peer::start("ana");
    // Each name is an offer of its own, even with equal bytes, and a name may look like a glob.
    for (name, bytes) in [("autorun.py", "bytes"), ("report.pdf", "bytes"), ("*.pdf", "more")] {
        folder.file(name, bytes.as_bytes());
        ana.done(&format!("send {}", folder.path(name).display()));
    }
    let get = |args: &[&str]| {
        let out = tempfile::tempdir().unwrap();
        let args = [&["get", "--from", ana.address.as_str()], args].concat();
        let (code, _, errors) = plain(out.path(), &args, "");
        assert_eq!(code, 0, "{errors}");
        let saved = std::fs::read_dir(out.path()).unwrap();
        let name = |entry: std::fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut names: Vec<_> = saved.map(|entry| name(entry.unwrap())).collect();
        names.sort_by_key(|name| name.rsplit('_').next().unwrap().to_owned());
        names
    };
    let names = get(&["*.pdf"]);
    assert!(names.len() == 2 && names[1].ends_with("report.pdf"), "{names:?}");
    let names = get(&[]);
    assert!(names.len() == 3 && names[1].ends_with("autorun.py"), "{names:?}");
    ana.quit();
}

#[test]
fn what_was_fetched_by_an_earlier_run_is_skipped_by_the_next() {
    let folder = Folder::new();
    let mut ana = Peer::start("ana");
    for name in ["one.txt", "two.txt"] {
        ana.done(&format!("send {}", folder.file(name, name.as_bytes())));
    }
    let out = tempfile::tempdir().unwrap();
    let args = ["get", "--from", ana.address.as_str(), "*.txt", "--skip-existing"];
    for skips in [false, true] {
        let (code, _, errors) = plain(out.path(), &args, "");
        assert_eq!((code, errors.matches("skipped").count()), (0, if skips { 2 } else { 0 }));
        assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 2);
    }
    ana.quit();
}

#[test]
fn what_stdin_says_is_a_file_and_a_file_may_have_another_name() {
    let folder = Folder::new();
    let mut ana = Options::new("ana").start();
    ana.done("name ana");
    let sent = |args: &[&str], stdin: &str| {
        let args = [&["send", "--to", ana.address.as_str(), "--within", "1m"], args].concat();
        let (args, stdin): (Vec<String>, _) =
            (args.iter().map(|arg| (*arg).to_owned()).collect(), stdin.to_owned());
        let place = folder.path("");
        std::thread::spawn(move || {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            plain(&place, &args, &stdin)
        })
    };
    let first = sent(&["-", "--as", "dump.sql"], "select 1;");
    let second = {
        folder.file("b.txt", b"b");
        sent(&["b.txt", "--as", "c.txt"], "")
    };
    for name in ["dump.sql", "c.txt"] {
        ana.done(&format!("wait file {name}"));
        ana.done(&format!("download {name}"));
    }
    for sender in [first, second] {
        let (code, said, errors) = sender.join().unwrap();
        assert_eq!((code, said.as_str()), (0, ""), "{errors}");
    }
    let (code, _, errors) = plain(&folder.path(""), &["send", "*.nothing"], "");
    assert_eq!(code, 1);
    assert!(errors.contains("no file matches *.nothing"), "{errors}");
    assert!(folder.path("b.txt").exists(), "it is nobody's copy");
    ana.quit();
}

#[test]
fn the_error_of_a_one_shot_names_what_is_missing() {
    let here = tempfile::tempdir().unwrap();
    for (args, part) in [
        (&["get", "192.168.1.5"][..], "klatch get --from 192.168.1.5"),
        (&["get"], "--from WHERE"),
        (&["say", "hello"], "--to WHERE"),
        (&["send", "a", "b", "--as", "c"], "--as"),
        (&["send", "-", "--as", "x/../y.txt"], "--as gives the file a name"),
        (&["get", "-dash.txt", "--from", "127.0.0.1"], "-- -dash.txt"),
        (&["get", "-copy.txt", "--from", "127.0.0.1"], "-- -copy.txt"),
        (&["sned", "a", "b"], "did you mean klatch send"),
        (&["--send", "a"], "--send"),
        (&["--lock", "127.0.0.1", "--ui", "terminal"], "--lock"),
    ] {
        let (code, said, errors) = plain(here.path(), args, "");
        assert_eq!((code, said.as_str()), (2, ""), "{args:?}: {errors}");
        assert!(errors.contains(part), "{args:?}: {errors}");
    }
}

#[test]
fn a_room_that_begins_closed_never_was_open() {
    const PASSWORD: &str = "four red kettles";
    let folder = Folder::new();
    let secret = folder.file("secret", format!("{PASSWORD}\n").as_bytes());
    let mut ana = Options::new("ana").args(["--lock", "--password-file", &secret]).launch();
    assert_eq!(ana.expect(json!({"event": "started"}))["locked"], true);
    ana.expect(json!({"event": "room_locked"}));
    let address = ana.expect(json!({"event": "listening"}))["addresses"][0].clone();
    let address = address.as_str().unwrap();
    let mut eve = Peer::start("eve");
    let number = eve.say(&format!("connect {address}"));
    eve.expect(json!({"event": "password_required"}));
    eve.say("not the password");
    eve.failed(number, "wrong_password");
    let ben = Options::new("ben").args(["--password-file", &secret, address]);
    let mut ben = ben.launch();
    assert_eq!(ben.expect(json!({"event": "joined"}))["locked"], true);
    ben.quit();
    ana.quit();
}

#[test]
fn a_room_that_is_to_begin_closed_is_closed_though_nobody_gives_a_password() {
    let args = ["--ui", "terminal", "--ephemeral", "--listen", "127.0.0.1:0", "--lock"];
    let mut ana = Program::run("ana", args);
    ana.type_line("short");
    let here = ana.expect_line("on this computer: connect ");
    let line = here.split_once(": ").unwrap().1.to_owned();
    assert!(ana.lines[0].contains("alone in a new closed room"), "{:?}", ana.lines);
    let mut eve = Peer::start("eve");
    eve.refused(&line, "members_only");
    assert_eq!(ana.end(), 1);
    assert!(ana.stderr.contains("5 characters"), "{}", ana.stderr);
}

#[test]
fn who_brings_a_password_file_sends_nothing_to_an_open_room() {
    let folder = Folder::new();
    let secret = folder.file("secret", b"four red kettles\n");
    let file = folder.file("a.txt", b"for members");
    let mut ana = Peer::start("ana");
    for args in [&["say", "psst"][..], &["send", &file]] {
        let args = [args, &["--to", &ana.address, "--password-file", &secret]].concat();
        let mut desk = launch("desk", args);
        assert_eq!(desk.ended(), 1);
        desk.expect(json!({"event": "error", "code": "room_not_locked"}));
    }
    assert!(ana.all(json!({"event": "member_joined"})).is_empty());
    // Alone it does not close the room, and says so.
    let options = Options::new("cora").args(["--password-file", &secret]);
    let mut cora = options.launch();
    told(&mut cora, "--lock closes it");
    cora.quit();
    ana.quit();
}

/// A script's messages are sent even if klatch's output goes nowhere: into a closed pipe, or to a
/// full disk.
#[test]
fn output_that_cannot_be_written_is_an_error_and_what_was_to_be_said_is_said() {
    let mut ana = Peer::start("ana");
    let klatch = format!(
        "{} --ui terminal --ephemeral --listen 127.0.0.1:0 --connect {}",
        env!("CARGO_BIN_EXE_klatch"),
        ana.address
    );
    let script = "printf 'one\\ntwo\\nwait 0.2\\nthree\\n'";
    for (number, sink) in ["exec 1>/dev/full;"].iter().enumerate() {
        let line = format!("{sink} {script} | {klatch} --name n{number}");
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.starts_with("error: cannot write to stdout"), "{errors}");
        for text in ["one", "two", "three"] {
            ana.expect(
                json!({"event": "message", "text": text, "from": {"name": format!("n{number}")}}),
            );
        }
    }
    let line = format!("{{ {script} | {klatch} --name head; echo $? >&2; }} | head -1");
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.ends_with("\n1\n") && errors.lines().count() == 2, "{errors}");
    for text in ["one", "two", "three"] {
        ana.expect(json!({"event": "message", "text": text, "from": {"name": "head"}}));
    }
    ana.quit();
}

#[test]
fn a_send_whose_only_line_cannot_be_written_does_not_wait_for_anybody() {
    let folder = Folder::new();
    let line = format!(
        "exec {} send '{}' --ephemeral --listen 127.0.0.1:0 >/dev/full",
        env!("CARGO_BIN_EXE_klatch"),
        folder.file("a.txt", b"for nobody")
    );
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("error: cannot write to stdout"), "{errors}");
}

#[test]
fn a_lock_whose_password_is_none_does_not_start() {
    let folder = Folder::new();
    let file = folder.file("password", b"short\n");
    let args = ["--ui", "terminal", "--lock", "--password-file", &file, "--stay"];
    let (code, out, errors) = plain(&folder.path(""), &args, "");
    assert_eq!((code, out.as_str()), (3, ""), "{errors}");
    assert!(errors.contains("at least 8 are needed"), "{errors}");
}

#[test]
fn a_file_size_limit_is_an_error_and_no_end_without_a_word() {
    let folder = Folder::new();
    let line = format!("ulimit -f 0; exec {} --man >man", env!("CARGO_BIN_EXE_klatch"));
    let mut command = Command::new("sh");
    let output = command.args(["-c", &line]).current_dir(folder.path("")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.starts_with("error: cannot write to stdout: File too large"), "{errors}");
}

#[test]
fn a_mistyped_line_of_a_person_does_not_count() {
    use crate::common::person::{ENTER, Person};
    let folder = Folder::new();
    let mut ana = Person::start("ana", &folder.path(""), &[]);
    ana.sees("type a message, or help");
    ana.types(&format!("/nonsense{ENTER}"));
    ana.sees("there is no command");
    ana.types(&format!("/quit{ENTER}"));
    assert_eq!(ana.ends(), 0);
}
