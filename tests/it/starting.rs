//! The question at the start, and what is printed first.

use serde_json::json;

use crate::common::{Options, Program};

const QUESTION: &str = "Use the browser interface? [y/N]";
const REST: [&str; 3] = ["--ephemeral", "--listen", "127.0.0.1:0"];

#[test]
fn the_first_line_of_a_pipe_is_the_answer() {
    for answer in ["n", "no", "", "N", "No"] {
        let mut program = Program::run("asked", REST);
        program.type_line(answer);
        program.type_line("members");
        assert_eq!(program.end(), 0, "{answer:?}");
        assert_eq!(program.lines[0], QUESTION, "it comes first, on a line of its own");
        assert!(program.lines.iter().any(|line| line.contains("1 member here")), "{answer:?}");
        assert!(program.stderr.is_empty(), "{}", program.stderr);
    }
}

#[test]
fn what_is_no_answer_is_told_of_the_option() {
    for input in [&b""[..], b"connect 127.0.0.1\n", b"maybe\n", b"\xff\n"] {
        let mut program = Program::run("asked", REST);
        program.type_bytes(input);
        assert_eq!(program.end(), 2, "{input:?}");
        assert_eq!(program.lines, [QUESTION], "nothing was started");
        assert!(program.stderr.contains("--ui"), "{}", program.stderr);
    }
}

#[test]
fn with_json_the_question_is_on_stderr() {
    let mut peer = Options::bare("ana").args(REST).launch();
    peer.say("n");
    let started = peer.expect(json!({"event": "started", "name": "ana", "temporary": true}));
    assert_eq!(started["version"], env!("CARGO_PKG_VERSION"));
    assert!(started["schema"].is_u64());
    // The first line was the answer, so this is a command.
    peer.done("members");
    assert_eq!(peer.end(), 0);
    assert_eq!(peer.place(json!({"event": "started"})), 0);
    assert_eq!(peer.place(json!({"event": "listening"})), 1);
    assert_eq!(peer.program.stderr.lines().collect::<Vec<_>>(), [QUESTION]);
}

#[test]
fn it_says_where_one_stands() {
    let mut program =
        Program::run("ana", [&REST[..], &["--ui", "terminal", "--name", "ana"]].concat());
    assert_eq!(program.end(), 0);
    let first = "* you are ana, alone in a new open room: ";
    assert!(program.lines[0].starts_with(first), "{}", program.lines[0]);
    let here = program.expect_line("on this computer: connect 127.0.0.1 ");
    let port = here.rsplit_once(' ').unwrap().1;
    assert!(port.parse::<u16>().is_ok_and(|port| port != 0), "{here}");
    assert_eq!(program.lines.last().unwrap(), "* type a message, or help");
}

#[test]
fn the_login_name_is_the_nickname() {
    let mut program = Program::spawn(
        "login",
        Program::command().env("USER", "grace").args(REST).args(["--ui", "terminal"]),
    );
    assert_eq!(program.end(), 0);
    assert!(program.lines[0].contains("you are grace,"), "{:?}", program.lines);
}

/// As when started by cron.
#[test]
fn the_login_name_is_known_without_the_environment() {
    let id = std::process::Command::new("id").arg("-un").output().unwrap();
    let login = String::from_utf8(id.stdout).unwrap();
    let mut command = Program::command();
    command.env_remove("USER").env_remove("LOGNAME").args(REST).args(["--ui", "terminal"]);
    let mut program = Program::spawn("login", &mut command);
    assert_eq!(program.end(), 0);
    let you = format!("you are {},", login.trim());
    assert!(program.lines[0].contains(&you), "{:?}", program.lines);
}

#[test]
fn two_people_on_one_machine_need_no_options() {
    let home = tempfile::tempdir().unwrap();
    let start = |name: &str| {
        let mut command = Program::command();
        command.env("HOME", home.path()).env("XDG_DATA_HOME", home.path().join("data"));
        Program::spawn(name, command.env("USER", name).current_dir(home.path()))
    };
    let connect_line = |program: &mut Program| {
        let line = program.expect_line("on this computer: connect ");
        line.split_once(": ").unwrap().1.to_owned()
    };
    let mut ana = start("ana");
    ana.type_line("n");
    let of_ana = connect_line(&mut ana);
    let mut bob = start("bob");
    bob.type_line("n");
    // The port and the data directory are in use, and both are replaced.
    let of_bob = connect_line(&mut bob);
    assert_ne!(of_ana, of_bob);
    assert!(bob.lines.iter().any(|line| line.contains("temporary")), "{:?}", bob.lines);
    assert!(!ana.lines.iter().any(|line| line.contains("temporary")), "{:?}", ana.lines);
    bob.type_line(&of_ana);
    bob.type_line("hello ana");
    ana.expect_line("bob: hello ana");
    assert_eq!(bob.end(), 0);
    ana.expect_line("* bob left");
    assert_eq!(ana.end(), 0);
    assert!(home.path().join("data/klatch/identity").exists());
}

#[test]
fn the_folder_for_downloads_is_made_if_only_it_is_missing() {
    let home = tempfile::tempdir().unwrap();
    let start = |folder: &std::path::Path| {
        let mut command = Program::command();
        command.args(REST).args(["--ui", "terminal", "--downloads"]).arg(folder);
        Program::spawn("grace", &mut command)
    };
    let folder = home.path().join("downloads");
    let mut program = start(&folder);
    assert_eq!(program.end(), 0);
    assert!(folder.is_dir());
    let told = format!("* made the folder {} for downloads", folder.display());
    assert!(program.lines.contains(&told), "{:?}", program.lines);
    let mut program = start(&folder);
    assert_eq!(program.end(), 0);
    assert!(!program.lines.contains(&told), "it is there");
    // A slip, or a missing disk, is found before anything is fetched.
    let slip = home.path().join("donwloads/of/mine");
    let file = home.path().join("file");
    std::fs::write(&file, b"").unwrap();
    for folder in [slip, file] {
        let mut program = start(&folder);
        assert_eq!(program.end(), 3);
        assert!(program.stderr.contains(folder.to_str().unwrap()), "{}", program.stderr);
        assert!(program.stderr.contains("--downloads"), "{}", program.stderr);
    }
    assert!(!home.path().join("donwloads").exists());
}

/// klatch first says who it is, then answers what a script asked at once.
#[test]
fn started_comes_before_every_answer() {
    for _ in 0..10 {
        let args = [&["--ui", "terminal", "--json"][..], &REST].concat();
        let mut program = Program::run("asked", args);
        program.type_line("help");
        program.type_line("quit");
        assert_eq!(program.end(), 0);
        assert!(program.lines[0].starts_with("{\"event\":\"started\""), "{}", program.lines[0]);
    }
}
