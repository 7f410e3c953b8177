//! Jobs: `send`, `get` and `say` beside a klatch of the same person.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::json;

use crate::common::{Folder, Options, Peer, Program, content, join, same};

/// A klatch that keeps its data, and so takes jobs.
fn running(name: &str) -> Peer {
    let options = Options::bare(name).args(["--ui", "terminal", "--listen", "127.0.0.1:0"]);
    options.start()
}

/// The same with somebody else in its room.
fn in_company(name: &str, other: &str) -> (Peer, Peer) {
    let mut ana = running(name);
    let mut ben = Peer::start(other);
    join(&mut ben, &mut ana);
    (ana, ben)
}

fn beside<'a>(peer: &Peer, args: impl IntoIterator<Item = &'a str>) -> Peer {
    Options::beside(peer).args(args).launch()
}

/// What people see of a job: its exit code, stdout and stderr.
fn plain(peer: &Peer, folder: &Folder, args: &[&str], stdin: &str) -> (i32, String, String) {
    let mut command = Program::command();
    command.env("HOME", peer.folder()).env("XDG_DATA_HOME", peer.folder().join("data"));
    command.args(args).current_dir(folder.path("")).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may not read any of it.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn socket(peer: &Peer) -> PathBuf {
    peer.folder().join("data/klatch/socket")
}

fn told(peer: &mut Peer, part: &str) {
    peer.expect_that(part, |event| event["text"].as_str().is_some_and(|text| text.contains(part)));
}

#[test]
fn a_job_says_what_it_says_under_the_name_of_the_running_klatch() {
    let (mut ana, mut ben) = in_company("ana", "ben");
    let mut job = beside(&ana, ["say", "hello from a job"]);
    let started = job.expect(json!({"event": "started", "name": "ana", "temporary": false}));
    assert_eq!(started["id"], ana.id.as_str());
    assert_eq!(job.ended(), 0);
    assert_eq!(job.place(json!({"event": "started"})), 0);
    assert!(
        job.all(json!({"event": "message", "text": "hello from a job", "own": true})).len() == 1
    );
    assert_eq!(ben.hears("hello from a job")["from"]["id"], ana.id.as_str());
    // Earlier messages are not shown again, unless asked for.
    let mut job = beside(&ana, ["say", "again"]);
    assert_eq!(job.ended(), 0);
    assert!(job.all(json!({"text": "hello from a job"})).is_empty());
    let mut job = beside(&ana, ["say", "and again", "--backlog", "all"]);
    assert_eq!(job.ended(), 0);
    job.expect(json!({"event": "message", "text": "hello from a job", "history": true}));
    // Nobody joined for it.
    ben.say("members");
    let members = ben.expect(json!({"event": "members"}))["list"].clone();
    assert_eq!(members.as_array().unwrap().len(), 2);
    ana.quit();
    ben.quit();
}

#[test]
fn lines_of_stdin_are_said_in_their_order() {
    let (mut ana, mut ben) = in_company("ana", "ben");
    let lines: Vec<_> = (0..200).map(|number| format!("line {number}")).collect();
    let folder = Folder::new();
    let done = plain(&ana, &folder, &["say", "-"], &format!("{}\n\n", lines.join("\n")));
    assert_eq!(done, (0, String::new(), String::new()));
    ben.hears("line 199");
    let heard = ben.all(json!({"event": "message"}));
    let heard: Vec<_> = heard.iter().map(|event| event["text"].as_str().unwrap()).collect();
    assert_eq!(heard, lines);
    ana.quit();
    ben.quit();
}

#[test]
fn a_job_that_sends_waits_for_its_own_offers_and_leaves_them() {
    let (mut ana, mut ben) = in_company("ana", "ben");
    let folder = Folder::new();
    ana.done(&format!("send {}", folder.file("persons.txt", b"of the person")));
    folder.file("one.txt", b"one");
    folder.file("two.txt", b"two");
    let from = folder.path("").display().to_string();
    let glob = format!("{from}/*o*.txt");
    let mut first = beside(&ana, ["send", &glob]);
    told(&mut first, "waiting for ben to fetch");
    let mut second = beside(&ana, ["send", &folder.file("three.txt", b"three")]);
    told(&mut second, "waiting for ben to fetch three.txt");
    ben.done("download three.txt");
    assert_eq!(second.ended(), 0);
    for name in ["one.txt", "two.txt", "persons.txt"] {
        ben.done(&format!("wait file {name}"));
        ben.done(&format!("download {name}"));
    }
    assert_eq!(first.ended(), 0);
    assert!(first.all(json!({"event": "invitation"})).is_empty());
    assert!(ben.all(json!({"event": "file_withdrawn"})).is_empty());
    ana.quit();
    ben.quit();
}

#[test]
fn a_job_that_ends_badly_leaves_the_offers_that_stood_before_it() {
    let (mut ana, mut ben) = in_company("ana", "ben");
    let folder = Folder::new();
    let file = folder.file("a.txt", b"of the person");
    ana.done(&format!("send {file}"));
    ben.done("wait file a.txt");
    let mut job = beside(&ana, ["send", &file, "--as", "b.txt", "--within", "1s"]);
    assert_eq!(job.ended(), 1);
    ben.expect(json!({"event": "file_withdrawn", "file": {"name": "b.txt"}}));
    ben.done("download a.txt");
    assert!(ben.all(json!({"event": "file_withdrawn", "file": {"name": "a.txt"}})).is_empty());
    ana.quit();
    ben.quit();
}

#[test]
fn a_stdin_that_cannot_be_read_offers_nothing() {
    let (mut ana, mut ben) = in_company("ana", "ben");
    let folder = Folder::new();
    for args in [&["send", "-", "--as", "dump.sql"][..], &["say", "-"]] {
        let mut command = Program::command();
        command.env("HOME", ana.folder()).env("XDG_DATA_HOME", ana.folder().join("data"));
        // A folder can be opened, but not read.
        command.args(args).stdin(fs::File::open(folder.path("")).unwrap());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains("cannot read stdin: "), "{errors}");
    }
    ana.done("say after that");
    ben.hears("after that");
    assert!(ben.all(json!({"event": "file_offered"})).is_empty());
    ana.quit();
    ben.quit();
}

#[test]
fn a_place_that_has_to_be_closed_is_not_an_open_room() {
    let (mut ana, mut ben) = in_company("ana", "ben");
    let place = format!("{} locked", ben.address);
    let said = ["say", "for a closed room", "--to", &place];
    let (code, _, errors) = plain(&ana, &Folder::new(), &said, "pass word\n");
    assert_eq!(code, 1);
    assert!(errors.contains("is not closed") || errors.contains("is open"), "{errors}");
    ana.done("say after that");
    ben.hears("after that");
    assert!(ben.all(json!({"text": "for a closed room"})).is_empty());
    ana.quit();
    ben.quit();
}

#[test]
fn what_came_by_stdin_is_offered_for_as_long_as_the_running_klatch_runs() {
    let (mut ana, mut ben) = in_company("ana", "ben");
    let mut job = beside(&ana, ["send", "-", "--as", "dump.sql", "--until", "1"]);
    job.program.type_bytes(&content(3, 300_000));
    job.program.close_stdin();
    ben.done("wait file dump.sql");
    ben.done("download dump.sql");
    assert_eq!(job.ended(), 0);
    let mut cora = Peer::start("cora");
    join(&mut cora, &mut ana);
    ben.quit();
    cora.done("wait file dump.sql");
    cora.done("download dump.sql");
    assert!(same(&cora.saved()[0], &content(3, 300_000)));
    ana.quit();
    cora.quit();
}

#[test]
fn a_job_fetches_to_where_it_was_started() {
    let (mut ana, mut ben) = in_company("ana", "ben");
    let folder = Folder::new();
    ben.done(&format!("send {}", folder.file("a.txt", b"of ben")));
    ana.done("wait file a.txt");
    let out = Folder::new();
    let (code, said, errors) = plain(&ana, &out, &["get", "a.txt", "--output", "-"], "");
    assert_eq!((code, said.as_str(), errors.as_str()), (0, "of ben", ""));
    // A file that was only passed on is not stored here.
    ana.say("files");
    let list = ana.expect(json!({"event": "files"}))["list"].clone();
    assert_eq!((&list[0]["own"], &list[0]["held"]), (&json!(false), &json!(false)));
    let (code, said, errors) = plain(&ana, &out, &["get", "a.txt"], "");
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(said.starts_with("* saved as ") && said.contains("/a.txt ("), "{said}");
    assert!(same(&out.path("a.txt"), b"of ben"));
    assert!(ana.saved().is_empty());
    // A file that is already here is copied, even if its host has left.
    ben.quit();
    ana.expect(json!({"event": "member_left"}));
    let elsewhere = Folder::new();
    let mut job =
        beside(&ana, ["get", "a.txt", "--output", elsewhere.path("b.txt").to_str().unwrap()]);
    assert_eq!(job.ended(), 0);
    job.expect(json!({"event": "download_finished", "bytes_fetched": 0}));
    assert!(same(&elsewhere.path("b.txt"), b"of ben"));
    // And a file that is already in place is not fetched again.
    let (code, said, _) = plain(&ana, &out, &["get", "a.txt"], "");
    assert_eq!((code, said.as_str()), (0, ""));
    assert_eq!(fs::read_dir(out.path("")).unwrap().count(), 1);
    ana.quit();
}

#[test]
fn what_its_person_offers_or_fetches_is_copied_for_a_job() {
    let (mut ana, mut ben) = in_company("ana", "ben");
    let (folder, out) = (Folder::new(), Folder::new());
    ana.done(&format!("send {}", folder.file("own.txt", b"of ana")));
    let (code, ..) = plain(&ana, &out, &["get", "own.txt"], "");
    assert_eq!(code, 0);
    assert!(same(&out.path("own.txt"), b"of ana"));
    let bytes = content(9, 3_000_000);
    ben.done(&format!("send {}", folder.file("large.bin", &bytes)));
    ana.done("wait file large.bin");
    ben.done("limit up 500KB/s");
    let number = ana.say("download large.bin");
    ana.expect(json!({"event": "download_progress"}));
    let mut job = beside(&ana, ["get", "large.bin"]);
    job.expect(json!({"event": "download_progress"}));
    ben.done("limit up off");
    assert_eq!(job.ended(), 0);
    ana.ended_well(number);
    assert!(same(&job.folder().join("large.bin"), &bytes));
    assert!(same(&ana.saved()[0], &bytes));
    let finished = job.all(json!({"event": "download_finished"}));
    let path = job.folder().canonicalize().unwrap().join("large.bin");
    assert_eq!(finished.len(), 1, "{finished:?}");
    assert_eq!(finished[0]["path"], path.to_str().unwrap());
    ana.quit();
    ben.quit();
}

#[test]
fn the_socket_is_for_its_owner_and_goes_with_klatch() {
    let mut ana = running("ana");
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&socket(&ana)), 0o600);
    let home = {
        ana.done("members");
        ana.killed()
    };
    let path = home.path().join("data/klatch/socket");
    assert!(path.exists(), "nobody was left to remove it");
    let options = Options::bare("ana").at_home(home);
    let mut ana = options.args(["--ui", "terminal", "--listen", "127.0.0.1:0"]).start();
    assert_eq!(mode(&path), 0o600);
    let mut ben = Peer::start("ben");
    join(&mut ben, &mut ana);
    assert_eq!(beside(&ana, ["say", "hello"]).ended(), 0);
    ana.quit();
    assert!(!path.exists());
    ben.quit();
    // Without a running klatch this is an error, as ever.
    let (code, _, errors) = plain(&ana, &Folder::new(), &["say", "hello"], "");
    assert_eq!(code, 2);
    assert!(errors.contains("no klatch is running with this data directory"), "{errors}");
}

#[test]
fn a_data_directory_may_lie_deep_and_be_chosen() {
    let home = Folder::new();
    let dir = home.path(&format!("{}/{}", "d".repeat(100), "e".repeat(100)));
    fs::create_dir_all(&dir).unwrap();
    let dir = dir.to_str().unwrap();
    let options = Options::bare("ana").args(["--ui", "terminal", "--listen", "127.0.0.1:0"]);
    let mut ana = options.args(["--data-dir", dir]).start();
    let mut ben = Peer::start("ben");
    join(&mut ben, &mut ana);
    let mut job = beside(&ana, ["say", "from the depths", "--data-dir", dir]);
    assert_eq!(job.ended(), 0);
    assert_eq!(ben.hears("from the depths")["from"]["id"], ana.id.as_str());
    let args = ["say", "hello", "--data-dir", dir, "--alone", "--to", &ben.address];
    let mut alone = beside(&ana, args);
    alone.expect(json!({"event": "error", "code": "data_dir_in_use"}));
    assert_eq!(alone.ended(), 3);
    ana.quit();
    ben.quit();
}

#[test]
fn whoever_ends_a_job_takes_back_what_it_offered() {
    let (mut ana, mut ben) = in_company("ana", "ben");
    let folder = Folder::new();
    let withdrawn = |ben: &mut Peer, name: &str| {
        ben.expect(json!({"event": "file_withdrawn", "file": {"name": name}}));
    };
    let file = folder.file("killed.txt", b"killed");
    let mut job = beside(&ana, ["send", &file]);
    told(&mut job, "waiting for ben");
    job.killed();
    withdrawn(&mut ben, "killed.txt");
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let name = format!("signal {code}.txt");
        let mut job = beside(&ana, ["send", &folder.file(&name, name.as_bytes())]);
        told(&mut job, "waiting for ben");
        job.program.signal(signal);
        assert_eq!(job.ended(), code);
        withdrawn(&mut ben, &name);
    }
    // If stdin breaks off, nothing is offered.
    let mut job = beside(&ana, ["send", "-", "--as", "half.bin"]);
    job.program.type_bytes(&content(1, 200_000));
    job.expect(json!({"event": "started"}));
    job.program.signal(Signal::INT);
    assert_eq!(job.ended(), 130);
    // With --stay its work is done, so it ends well.
    let mut job = beside(&ana, ["send", &folder.file("stay.txt", b"stay"), "--stay"]);
    ben.done("wait file stay.txt");
    ben.done("download stay.txt");
    job.program.signal(Signal::TERM);
    assert_eq!(job.ended(), 0);
    withdrawn(&mut ben, "stay.txt");
    // When its time is up, the offer is taken back as well.
    let args = ["send", &folder.file("late.txt", b"late"), "--within", "1s"];
    let mut job = beside(&ana, args);
    job.expect(json!({"event": "error", "code": "wait_timeout"}));
    assert_eq!(job.ended(), 1);
    withdrawn(&mut ben, "late.txt");
    assert!(ben.all(json!({"file": {"name": "half.bin"}})).is_empty());
    ana.done("members");
    ana.quit();
    ben.quit();
}

#[test]
fn a_download_ends_with_its_job() {
    let (mut ana, mut ben) = in_company("ana", "ben");
    let folder = Folder::new();
    ben.done("limit up 100KB/s");
    ben.done(&format!("send {}", folder.file("large.bin", &content(5, 5_000_000))));
    ana.done("wait file large.bin");
    let mut job = beside(&ana, ["get", "large.bin"]);
    job.expect(json!({"event": "download_progress"}));
    job.program.signal(Signal::INT);
    assert_eq!(job.ended(), 130);
    ana.expect(json!({"event": "download_failed", "code": "cancelled"}));
    ana.quit();
    ben.quit();
}

#[test]
fn a_job_fails_when_the_running_klatch_ends() {
    let (mut ana, mut ben) = in_company("ana", "ben");
    let folder = Folder::new();
    let file = folder.file("a.txt", b"for ben");
    let mut waits = beside(&ana, ["send", &file]);
    told(&mut waits, "waiting for ben");
    let mut stays = beside(&ana, ["send", &file, "--stay"]);
    stays.expect(json!({"event": "started"}));
    told(&mut stays, "you offer a.txt already");
    ana.quit();
    for job in [&mut waits, &mut stays] {
        assert_eq!(job.ended(), 1);
        job.expect(json!({"event": "error", "code": "cancelled"}));
        let text = "error: the running klatch ended before this was done\n";
        assert!(job.program.stderr.ends_with(text), "{}", job.program.stderr);
    }
    ben.quit();
}

#[test]
fn a_job_that_names_another_place_does_on_its_own() {
    let (mut ana, mut ben) = in_company("ana", "ben");
    let mut cora = Peer::start("cora");
    let temporary = |job: &mut Peer| job.expect(json!({"event": "started"}))["temporary"].clone();
    let mut job = beside(&ana, ["say", "here", "--to", &ana.address]);
    assert_eq!(temporary(&mut job), false);
    assert_eq!(job.ended(), 0);
    ben.hears("here");
    let mut job = beside(&ana, ["say", "elsewhere", "--to", &cora.address]);
    assert_eq!(temporary(&mut job), true);
    assert_eq!(job.ended(), 0);
    cora.hears("elsewhere");
    for options in [&["--alone"][..], &["--room", "new"], &["--name", "ana2"]] {
        let mut job = beside(&ana, [&["say", "alone", "--to", &ana.address], options].concat());
        assert_eq!(temporary(&mut job), true);
        assert_eq!(job.ended(), 0);
        ben.hears("alone");
    }
    // An invitation leads into its maker's room.
    ana.done("/invite");
    let invitation = ana.expect(json!({"event": "invitation"}))["text"].clone();
    let mut job = beside(&ana, ["say", "invited", "--to", invitation.as_str().unwrap()]);
    assert_eq!(temporary(&mut job), false);
    assert_eq!(job.ended(), 0);
    cora.done("/invite");
    let invitation = cora.expect(json!({"event": "invitation"}))["text"].clone();
    let mut job = beside(&ana, ["say", "invited", "--to", invitation.as_str().unwrap()]);
    assert_eq!(temporary(&mut job), true);
    assert_eq!(job.ended(), 0);
    ana.quit();
    ben.quit();
    cora.quit();
}

/// Members can claim any address.
#[test]
fn an_address_is_that_of_a_member_only_if_the_member_was_reached_there() {
    let mut ana = running("ana");
    let (mut ben, mut cora) = (Peer::start("ben"), Peer::start("cora"));
    join(&mut ana, &mut ben);
    join(&mut cora, &mut ana);
    for (place, temporary) in [(&ben.address, false), (&cora.address, true)] {
        let mut job = beside(&ana, ["say", "here", "--to", place]);
        job.expect(json!({"event": "started", "temporary": temporary}));
        assert_eq!(job.ended(), 0);
    }
    ana.quit();
    ben.quit();
    cora.quit();
}

#[test]
fn a_job_may_name_the_room_and_gives_no_options_for_a_klatch_of_its_own() {
    let (mut ana, mut ben) = in_company("ana", "ben");
    let room = ana.all(json!({"event": "joined"}))[0]["room"].as_str().unwrap().to_owned();
    let mut job = beside(&ana, ["say", "here", "--room", &room[..8]]);
    assert_eq!(job.ended(), 0);
    let mut job = beside(&ana, ["say", "here", "--room", "0123456789"]);
    assert_eq!(job.ended(), 1);
    job.expect(json!({"event": "error", "code": "room_unknown"}));
    let folder = Folder::new();
    for option in ["--name=cora", "--lock", "--listen=127.0.0.1:0", "--limit-up=1MB/s"] {
        let (code, _, errors) = plain(&ana, &folder, &["say", "hello", option], "");
        assert_eq!(code, 2, "{option}");
        assert!(errors.contains(option.split('=').next().unwrap()), "{errors}");
        assert!(errors.contains("--alone"), "{errors}");
    }
    ana.quit();
    // Nobody is there to ask about a room.
    let (code, _, errors) = plain(&ana, &folder, &["say", "hello", "--room", &room], "");
    assert_eq!(code, 1);
    assert!(errors.contains("no klatch with this data directory"), "{errors}");
    ben.quit();
}

#[test]
fn what_is_no_job_is_refused_and_no_more_are_taken_than_there_is_room_for() {
    let (mut ana, mut ben) = in_company("ana", "ben");
    let path = socket(&ana);
    let said = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(&path).unwrap();
        // The other end may have hung up before the end.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let request =
        |json: &str| [b"r", &(json.len() as u32).to_be_bytes()[..], json.as_bytes()].concat();
    let endless = vec![b'a'; 1_000_000];
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"", b"r\0\xff\xff\xff", b"w\0\0\0\0"] {
        let answer = said(bytes);
        assert!(answer.contains("io_error"), "{bytes:?}: {answer}");
    }
    // Hanging up before all was read may cut off the answer.
    let answer = said(&endless);
    assert!(answer.contains("io_error") || answer.is_empty(), "{answer}");
    assert!(said(&request("{}")).contains("io_error"));
    assert!(said(&request("[1, 2")).contains("io_error"));
    assert!(said(&request("{\"version\": 1}")).contains("io_error"));
    assert!(said(&request("{\"version\": 99}")).contains("version_mismatch"));
    // Connections that say nothing take a place each, for a while.
    let silent: Vec<_> = (0..16).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let (code, _, errors) = plain(&ana, &Folder::new(), &["say", "one too many"], "");
    assert_eq!(code, 1);
    assert!(errors.contains("busy with 16 other jobs"), "{errors}");
    drop(silent);
    ana.done("hello");
    ben.hears("hello");
    ana.quit();
    ben.quit();
}

#[test]
fn whoever_does_not_read_holds_up_nobody() {
    let (mut ana, mut ben) = in_company("ana", "ben");
    let folder = Folder::new();
    let mut command = Program::command();
    command.env("HOME", ana.folder()).env("XDG_DATA_HOME", ana.folder().join("data"));
    command.args(["send", &folder.file("a.txt", b"a"), "--json", "--stay"]);
    let mut job = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    ben.done("wait file a.txt");
    for _ in 0..200 {
        ana.done(&"x".repeat(8_000));
    }
    ben.done("wait members 1");
    ana.quit();
    ben.quit();
    assert!(!socket(&ana).exists());
    let mut said = String::new();
    job.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(job.wait().unwrap().code(), Some(1));
    assert!(said.lines().last().unwrap().contains("\"stopped\""));
}
