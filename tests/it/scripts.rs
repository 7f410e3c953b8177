//! For scripts: one-shots, what klatch prints about itself, the scripts of docs/, and packages.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::common::person::Person;
use crate::common::{DEADLINE, Folder, Options, Peer, Program, content, same};

fn printed(option: &[&str]) -> String {
    let output = Program::command().args(option).output().unwrap();
    assert!(output.status.success(), "{option:?}");
    assert!(output.stderr.is_empty(), "{option:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_schema_that_is_printed_is_the_one_that_tests_hold_klatch_to() {
    let schema: Value = serde_json::from_str(&printed(&["--json-schema"])).unwrap();
    assert_eq!(schema, klatch::ui::notice::schema().to_value());
}

#[test]
fn help_man_page_and_completions_name_what_there_is() {
    let man = printed(&["--man"]);
    // Hyphens of options are escaped in a man page.
    let plain = man.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "");
    let help = printed(&["--help"]);
    let mut talk =
        Program::run("asked", ["--ui", "terminal", "--ephemeral", "--listen", "127.0.0.1:0"]);
    talk.type_line("help");
    talk.end();
    // A form that is too long for a line continues on the next.
    let in_program = talk.lines.join("\n").replace("\n*     |", " |");
    for command in klatch::ui::command::COMMANDS {
        assert!(plain.contains(command.form), "the man page lacks {}", command.form);
        assert!(in_program.contains(command.form), "help lacks {}", command.form);
        assert!(in_program.contains(command.help), "help lacks {}", command.help);
    }
    let options: Vec<&str> = help
        .split([' ', '\n', ','])
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .collect();
    assert!(options.len() > 15, "{options:?}");
    let [bash, zsh, fish] = ["bash", "zsh", "fish"].map(|shell| printed(&["--completions", shell]));
    for option in options {
        // Some appear in a sentence.
        let option = option.trim_end_matches([',', '.', ']', ';', ':']);
        assert!(plain.contains(option), "the man page lacks {option}");
        assert!(bash.contains(option), "bash lacks {option}");
        assert!(zsh.contains(option), "zsh lacks {option}");
        assert!(fish.contains(&option[2..]), "fish lacks {option}");
    }
    let good = Command::new("bash").args(["-n", "-c", &bash]).status().unwrap();
    assert!(good.success(), "bash reads its completions");
}

#[test]
fn settings_are_written_on_demand_and_a_wrong_key_names_its_line() {
    let folder = Folder::new();
    let data = folder.path("data").display().to_string();
    let mut program = Program::run("init", ["--init-config", "--data-dir", &data]);
    assert_eq!(program.end(), 0, "{}", program.stderr);
    let path = folder.path("data/settings.toml");
    assert!(program.lines[0].contains(path.to_str().unwrap()), "{:?}", program.lines);
    let mut program = Program::run("again", ["--init-config", "--data-dir", &data]);
    assert_eq!(program.end(), 3);
    assert!(program.stderr.contains("already exists"), "{}", program.stderr);

    std::fs::write(&path, "# mine\nname = \"grace\"\nbel = true\n").unwrap();
    let args = ["--ui", "terminal", "--listen", "127.0.0.1:0", "--data-dir", &data];
    let mut program = Program::run("wrong", args);
    assert_eq!(program.end(), 2);
    assert!(program.stderr.contains("line 3") && program.stderr.contains("bel"));
    std::fs::write(&path, "# mine\nname = \"grace\"\n").unwrap();
    let mut program = Program::run("right", args);
    assert_eq!(program.end(), 0);
    assert!(program.lines[0].contains("you are grace"), "{:?}", program.lines);
}

#[test]
fn files_are_sent_and_fetched_in_one_go() {
    let folder = Folder::new();
    let content = content(1, 3_000_000);
    let offers = folder.file("two words.txt", &content);
    let mut seed = Options::new("seed").args(["--stay"]).start();
    let mut desk = Options::new("desk").args(["send", &offers, "--to", &seed.address]).launch();
    seed.expect(json!({"event": "file_offered"}));
    // The desk stays until everybody here has it.
    seed.done("download two words.txt");
    assert_eq!(desk.ended(), 0);
    let told = &desk.program.stderr;
    assert!(told.contains("* waiting for seed to fetch two words.txt\n"), "{told}");
    assert!(told.ends_with("* seed fetched two words.txt\n"), "{told}");
    let mut reader = Options::new("reader")
        .args(["get", "two words.txt", "nothing like it", "--from", &seed.address])
        .launch();
    reader.expect(json!({"event": "download_finished"}));
    // A file that nobody offers yet is waited for, and people are told so.
    reader.expect_that("a notice", |event| {
        let text = event["text"].as_str().unwrap_or_default();
        event["event"] == "notice" && text.contains("nobody here offers nothing like it")
    });
    assert!(reader.all(json!({"event": "error"})).is_empty());
    seed.done(&format!("send {}", folder.file("nothing like it", b"after all")));
    assert_eq!(reader.ended(), 0);
    let told = &reader.program.stderr;
    assert!(told.contains("(offered here: two words.txt); waiting up to 60 s for it"), "{told}");
    let saved = reader.saved();
    assert_eq!(saved.len(), 2);
    assert!(saved.iter().any(|path| same(path, &content)), "{saved:?}");
    seed.quit();
}

#[test]
fn what_nobody_offers_is_told_at_once_and_a_slip_is_understood() {
    let folder = Folder::new();
    let mut seed = Peer::start("seed");
    seed.done(&format!("send {}", folder.file("nightly.tar", b"all of it")));
    let args = ["get", "nighly.tar", "--from", &seed.address];
    let mut reader = Options::new("reader").args(args).launch();
    reader.expect_that("that it waits", |event| {
        event["text"].as_str().is_some_and(|text| text.contains("waiting up to 60 s"))
    });
    seed.done(&format!("send {}", folder.file("nighly.tar", b"that one")));
    assert_eq!(reader.ended(), 0);
    let told = "* nobody here offers nighly.tar (did you mean nightly.tar?); waiting up to 60 s \
                for it\n";
    assert_eq!(reader.program.stderr, told);
    assert_eq!(reader.saved(), [reader.folder().join("nighly.tar")], "it keeps its name");
    seed.refused("download nightly.ta", "no_such_offer");
}

#[test]
fn an_errand_that_fails_says_so() {
    let folder = Folder::new();
    let missing = folder.path("missing.txt").display().to_string();
    let mut desk = Options::new("desk").args(["send", &missing]).launch();
    assert_eq!(desk.ended(), 1);
    desk.expect(json!({"event": "error", "code": "file_not_found", "line": null}));
    let reader =
        Options::new("reader").args(["get", "file", "--from", "127.0.0.1:9", "--within", "2s"]);
    let mut reader = reader.launch();
    assert_eq!(reader.ended(), 1);
    reader.expect(json!({"event": "error", "code": "unreachable", "command": "connect"}));
    assert_eq!(reader.all(json!({"event": "error"})).len(), 1, "the rest follows from it");
}

#[test]
fn an_errand_shows_a_bar_where_stderr_is_a_terminal() {
    let folder = Folder::new();
    let large = folder.path("large.img");
    std::fs::File::create(&large).unwrap().set_len(512 << 20).unwrap();
    let mut seed = Peer::start("seed");
    seed.done(&format!("send {}", large.display()));
    let args = ["get", "large.img", "--from", &seed.address];
    let mut reader = Person::start("reader", &folder.path(""), &args);
    reader.has_written("\r⇣ large.img ━");
    let screen = reader.sees("* saved as ");
    assert!(!screen.contains('⇣'), "{screen}");
    assert_eq!(reader.ends(), 0);
    assert!(reader.is_as_it_was());
}

#[test]
fn messages_from_a_pipe_reach_a_room_in_one_line_of_shell() {
    let mut ana = Peer::start("ana");
    let line = format!(
        "printf 'the backup is done\\nsend /etc/hostname\\n\\n/quit\\n' | {} say - \
         --ephemeral --name backup --to {}",
        env!("CARGO_BIN_EXE_klatch"),
        ana.address
    );
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    // None of this is a command: a log may contain anything.
    for text in ["the backup is done", "send /etc/hostname", "/quit"] {
        ana.hears(text);
    }
    assert!(ana.all(json!({"event": "file_offered"})).is_empty());
    ana.quit();
}

#[test]
fn the_nightly_drop_of_the_docs_delivers() {
    let folder = Folder::new();
    let content = content(2, 5_000_000);
    let files = [folder.file("day 1.tar", &content), folder.file("notes.txt", b"notes")];
    let out = folder.path("out");
    std::fs::create_dir(&out).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/nightly-drop");
    let mut command = Command::new(script);
    command.args(files).current_dir(&out).env("KLATCH_BIN", env!("CARGO_BIN_EXE_klatch"));
    let output = command.output().unwrap();
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");
    assert!(said.contains("dropped day 1.tar") && said.contains("collected notes.txt"), "{said}");
    assert!(same(&out.join("day 1.tar"), &content));
    assert!(same(&out.join("notes.txt"), b"notes"));
}

/// The service's own lines, with this test's paths instead of the system's.
#[test]
fn the_seed_that_starts_with_the_computer_runs_as_its_unit_says() {
    const PASSWORD: &str = "four red kettles";
    let unit = include_str!("../../packaging/klatch-seed.service").replace("\\\n", " ");
    let value = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let folder = Folder::new();
    let state = folder.path("state");
    std::fs::create_dir(&state).unwrap();
    let password = folder.file("password", format!("{PASSWORD}\n").as_bytes());
    let mut ana = Peer::start("ana");
    ana.done(&format!("password {PASSWORD}"));
    let conf = include_str!("../../packaging/seed.conf")
        .replace("ROOM=alice.example\n", &format!("ROOM={}\n", ana.address))
        .replace("#LISTEN=51692\n", "LISTEN=127.0.0.1:0\n");
    let conf = folder.file("seed.conf", conf.as_bytes());
    let start = value("ExecStart=klatch-seed ").replace("%E/klatch/seed.password", "$PASSWORD");
    let environment = value("Environment=");
    let seed = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/klatch-seed");
    let mut service = Command::new("sh");
    service
        // A path is one word, as it is for systemd.
        .args(["-c", &format!("IFS=; export {environment}; . \"$CONF\"; exec \"$SEED\" {start}")])
        .env("KLATCH_BIN", env!("CARGO_BIN_EXE_klatch"))
        .envs([("CONF", conf.as_str()), ("PASSWORD", &password), ("SEED", seed)])
        .env("STATE_DIRECTORY", &state)
        .env("TMPDIR", folder.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0);
    let mut service = Service(service.spawn().unwrap());
    ana.expect(json!({"event": "joined"}));
    let content = content(3, 300_000);
    ana.done(&format!("send {}", folder.file("to keep.bin", &content)));
    let kept = || {
        let files = std::fs::read_dir(state.join("files")).into_iter().flatten();
        let mut paths = files.map(|entry| entry.unwrap().path());
        paths.any(|path| path.to_string_lossy().ends_with("_to keep.bin"))
    };
    let deadline = Instant::now() + DEADLINE;
    while !kept() {
        assert!(Instant::now() < deadline, "the seed keeps nothing");
        ana.done("wait 0.05");
    }
    let pipes = std::fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> =
        pipes.filter(|name| name.to_string_lossy().contains("klatch-seed")).collect();
    assert!(left.is_empty(), "{left:?}");
    // As systemd does with KillMode=mixed: only the service's first process gets the signal.
    let first = rustix::process::Pid::from_child(&service.0);
    rustix::process::kill_process(first, rustix::process::Signal::TERM).unwrap();
    ana.expect(json!({"event": "member_left", "member": {"name": "seed"}}));
    assert!(service.0.wait().unwrap().success(), "klatch's exit code is the seed's");
    ana.quit();
}

#[test]
fn a_seed_that_reaches_nobody_ends_with_an_error() {
    let folder = Folder::new();
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/klatch-seed"))
        .args(["--ephemeral", "--listen", "127.0.0.1:0", "--connect", "127.0.0.1:9"])
        .env("KLATCH_BIN", env!("CARGO_BIN_EXE_klatch"))
        .env("TMPDIR", folder.path(""))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nobody answers at 127.0.0.1"));
}

#[test]
fn the_packages_start_klatch_with_options_that_it_has() {
    let desktop = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/klatch.desktop");
    let entry = std::fs::read_to_string(desktop).unwrap();
    let exec = entry.lines().find_map(|line| line.strip_prefix("Exec=klatch ")).unwrap();
    let container = include_str!("../../packaging/Containerfile").replace("\\\n", " ");
    let first = container.lines().find_map(|line| line.strip_prefix("ENTRYPOINT ")).unwrap();
    let first: Vec<String> = serde_json::from_str(first).unwrap();
    assert_eq!(first[0], "klatch-seed");
    let unit = include_str!("../../packaging/klatch-seed.service").replace("\\\n", " ");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=klatch-seed ")).unwrap();
    let start = start.replace("${LISTEN}", "51692").replace("${ROOM}", "alice.example");
    for options in [exec.split_whitespace().collect::<Vec<_>>(), start.split_whitespace().collect()]
    {
        let output = Program::command().args(&options).arg("--version").output().unwrap();
        assert!(output.status.success(), "{options:?}: {output:?}");
    }
    let output = Program::command().args(&first[1..]).arg("--version").output().unwrap();
    assert!(output.status.success(), "{first:?}: {output:?}");
    // Only where the tool is installed, as in scripts/package.
    if let Ok(status) = Command::new("desktop-file-validate").arg(desktop).status() {
        assert!(status.success());
    }
}

#[test]
fn everything_in_packaging_is_packed_or_told_of() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let told = ["scripts/package", "docs/seed.md"]
        .map(|path| std::fs::read_to_string(root.join(path)).unwrap())
        .concat();
    for entry in std::fs::read_dir(root.join("packaging")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(told.contains(&format!("packaging/{name}")), "{name}");
    }
}

/// Ends with the test, together with everything that it started.
struct Service(std::process::Child);

impl Drop for Service {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.0);
        // It may have ended by itself.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.0.wait();
    }
}

/// Several paths, quotes and globs work in the room as they do with `klatch send`.
#[test]
fn a_line_offers_several_files() {
    let folder = Folder::new();
    let mut ana = Peer::start("ana");
    for name in ["a.txt", "b b.txt", "c.txt", "d.pdf", "e e.pdf"] {
        folder.file(name, name.as_bytes());
    }
    let quoted = |name: &str| folder.path(name).display().to_string();
    let at = |name: &str| quoted(name).replace(' ', r"\ ");
    let offered = |ana: &mut Peer| {
        let all = ana.all(json!({"event": "file_offered"}));
        all.iter().map(|event| event["file"]["name"].as_str().unwrap().to_owned()).collect()
    };
    ana.done(&format!("send {} '{}'", at("a.txt"), quoted("b b.txt")));
    let names: Vec<String> = offered(&mut ana);
    assert_eq!(names, ["a.txt", "b b.txt"]);
    // The line is tried as a single path first, whatever it looks like.
    ana.done(&format!("send {}", at("e e.pdf")));
    ana.done(&format!("send {}", at("*.pdf")));
    let names: Vec<String> = offered(&mut ana);
    assert_eq!(names[2], "e e.pdf");
    assert!(names[3..].contains(&"d.pdf".to_owned()), "{names:?}");
    // What exists is offered, and the rest is reported with the reason.
    let text = ana.refused(&format!("send {} {}", at("none"), at("c.txt")), "file_not_found");
    assert!(text.contains("no such file"), "{text}");
    let names: Vec<String> = offered(&mut ana);
    assert_eq!(names.last().unwrap(), "c.txt");
    ana.refused(&format!("send {}", at("*.mkv")), "nothing_matches");
    ana.quit_with(1);
}
