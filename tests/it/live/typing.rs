//! Keys: completion, pasting, passwords, the size of the screen, and ways to leave.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
#[cfg(target_os = "linux")]
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::json;

use crate::common::person::{CTRL_C, CTRL_D, ENTER, Person, TAB, UP};
use crate::common::{Folder, Peer, Program};
#[cfg(target_os = "linux")]
use crate::hostile::{stop_for_a_while, wait_until};

const SECRET: &str = "four red kettles";

#[test]
fn words_are_completed() {
    let folder = Folder::new();
    folder.file("my report.pdf", b"report");
    let mut ana = Person::start("ana", &folder.path(""), &[]);
    let mut bob = Peer::start("bob");
    bob.done(&format!("connect {}", ana.address()));
    ana.sees("with bob (");
    ana.types(&format!("mem{TAB}"));
    ana.sees("> /members ");
    ana.clears();
    ana.types(&format!("send my{TAB}"));
    ana.sees("> send \"my report.pdf\"");
    ana.types(ENTER);
    ana.sees("* you offer my report.pdf");
    ana.types(&format!("bo{TAB}hi{ENTER}"));
    bob.hears("bob: hi");
    // Several candidates are listed, and messages still arrive above the line.
    ana.types(&format!("w{TAB}"));
    ana.sees("> /wait ");
    ana.types(TAB);
    ana.sees("downloads");
    bob.done("meanwhile");
    ana.sees("bob: meanwhile");
    ana.until("the line", |screen| screen.trim_end().ends_with("> /wait"));
    ana.clears();
    ana.types(&format!("thanks b{TAB}"));
    ana.sees("> thanks bob ");
}

#[test]
fn pasted_lines_are_asked_about() {
    let folder = Folder::new();
    let mut ana = Person::start("ana", &folder.path(""), &[]);
    let mut bob = Peer::start("bob");
    bob.done(&format!("connect {}", ana.address()));
    ana.sees("with bob (");
    let paste = |text: &str| format!("\x1b[200~{text}\x1b[201~");
    ana.types(&paste("one\ntwo\n\nthree"));
    ana.types(ENTER);
    ana.sees("send these 3 lines?");
    ana.types(&format!("n{ENTER}"));
    ana.sees("nothing was sent");
    ana.types(UP);
    ana.sees("three");
    ana.types(ENTER);
    ana.sees("send these 3 lines?");
    ana.types(&format!("y{ENTER}"));
    for text in ["one", "two", "three"] {
        bob.hears(text);
    }
    ana.types(&paste("four\nfive"));
    ana.types(ENTER);
    ana.sees("send these 2 lines?");
    ana.types(&format!("o{ENTER}"));
    bob.hears("four\nfive");
    // A single line needs no question, and nothing pasted acts on the terminal.
    ana.types(&paste("six\u{9b}2J\u{7}\u{202e}"));
    ana.sees("> six");
    ana.clears();
    ana.types(&paste("seven\n"));
    ana.types(ENTER);
    bob.hears("seven");
    super::hostile::assert_only_ours(&ana.raw);
}

#[test]
fn a_password_is_never_shown_and_in_no_file() {
    let folder = Folder::new();
    let data = folder.path("data");
    let args = ["--data-dir", data.to_str().unwrap()];
    let mut ana = Person::start("ana", &folder.path(""), &args);
    let address = ana.address();
    ana.types(&format!("password{ENTER}"));
    ana.sees("New password");
    ana.types(SECRET);
    ana.types(ENTER);
    ana.sees("* you closed the room");
    // A password typed after the command, then one typed ahead of the question.
    ana.types(&format!("password {SECRET}"));
    ana.sees("> password ••••");
    ana.types(ENTER);
    // The line might as well be a sentence.
    ana.sees("run this command? [y/N]");
    ana.types(&format!("y{ENTER}"));
    ana.until("a second change", |screen| screen.matches("you changed the password").count() == 1);
    // Typed ahead of the question it is no answer; nor may it become a message, and it is not seen.
    ana.types(&format!("password{ENTER}{SECRET}{ENTER}"));
    ana.sees("New password");
    ana.types(&format!("{SECRET}{ENTER}"));
    ana.until("a third change", |screen| screen.matches("you changed the password").count() == 2);
    ana.sees("this may be a password: send it to the room as a message? [y/N]");
    ana.types(ENTER);
    ana.sees("* not sent");
    // The arrow up does not bring the password back.
    ana.types(&format!("{UP}{UP}{UP}"));
    ana.until("an earlier line", |screen| screen.trim_end().ends_with("> password"));
    ana.clears();

    let mut bob = Person::start("bob", &folder.path(""), &[]);
    bob.address();
    bob.types(&format!("connect {address}{ENTER}"));
    bob.sees("Password of the room at");
    bob.types(&format!("not the {SECRET}{ENTER}"));
    bob.sees("That is not the password");
    bob.types(&format!("{SECRET}{ENTER}"));
    bob.sees("with ana (closed)");
    ana.sees("with bob (closed)");
    for person in [&mut ana, &mut bob] {
        person.types(&format!("quit{ENTER}"));
        assert!(person.ends() <= 1);
        let shown = String::from_utf8_lossy(&person.raw).into_owned();
        assert!(!shown.contains("kettles"), "a password was shown");
        assert!(person.is_as_it_was());
    }
    let history = std::fs::read_to_string(data.join("history")).unwrap();
    assert!(history.lines().all(|line| line == "password" || line == "quit"), "{history}");
    no_file_has_it(&folder.path(""));
}

#[test]
fn a_password_typed_once_too_often_is_no_message() {
    let folder = Folder::new();
    let mut bob = Peer::start("bob");
    bob.done(&format!("password {SECRET}"));
    let data = folder.path("data");
    let mut ana = Person::start("ana", &folder.path(""), &["--data-dir", data.to_str().unwrap()]);
    ana.address();
    ana.types(&format!("connect {}{ENTER}", bob.address.replace(':', " ")));
    ana.sees("Password of the room at");
    for guess in ["one", "two", "three"] {
        ana.answers_unseen(&format!("{guess} {SECRET}"));
        ana.until("the next question", |screen| {
            screen.trim_end().ends_with("give up):") || screen.contains("check it and try again")
        });
    }
    ana.sees("check it and try again");
    bob.expect_that("a notice", |event| {
        let text = event["text"].as_str().unwrap_or_default();
        event["event"] == "notice" && text.contains("wrong password tried from 127.0.0.1")
    });
    // Typed again here, as if the question were still open.
    let question = "* this may be a password: send it to the room as a message? [y/N]";
    ana.types(&format!("{SECRET}{ENTER}"));
    ana.sees(question);
    ana.types(ENTER);
    ana.sees("* not sent");
    assert!(!ana.screen().contains(SECRET), "{}", ana.screen());
    // After a no, the next message is asked about too; a command is not.
    ana.types(&format!("hello?{ENTER}"));
    ana.sees(question);
    ana.types(&format!("y{ENTER}"));
    ana.sees("ana: hello?");
    ana.types(&format!("connect {}{ENTER}", bob.address.replace(':', " ")));
    let question =
        |screen: &str| screen.lines().last().is_some_and(|row| row.contains("Password of"));
    ana.until("the question", question);
    ana.types(&format!("{SECRET}{ENTER}"));
    ana.sees("with bob (closed)");
    ana.types(&format!("and hello again{ENTER}"));
    ana.sees("ana: and hello again ✓");
    bob.hears("and hello again");
    let said = bob.all(json!({"event": "message"}));
    assert!(said.iter().all(|event| !event.to_string().contains("kettles")), "{said:?}");
    ana.types(&format!("{UP}{UP}{UP}{UP}{UP}"));
    ana.until("an earlier line", |screen| !screen.trim_end().ends_with('>'));
    assert!(!ana.screen().contains("kettles"), "{}", ana.screen());
    ana.clears();
    ana.types(&format!("quit{ENTER}"));
    ana.ends();
    no_file_has_it(&folder.path(""));
}

#[test]
fn what_stood_in_the_line_when_a_password_is_asked_for_is_not_seen() {
    let folder = Folder::new();
    let mut ana = Person::start("ana", &folder.path(""), &[]);
    ana.address();
    ana.types(&format!("password{ENTER}four-red-ket"));
    ana.sees("New password");
    ana.types(&format!("{SECRET}{ENTER}"));
    ana.sees("* you closed the room");
    ana.sees("this may be a password: send it to the room as a message? [y/N]");
    ana.types(ENTER);
    ana.sees("* not sent");
    assert!(!ana.screen().contains("red"), "{}", ana.screen());
    ana.types(&format!("quit{ENTER}"));
    ana.ends();
    assert!(!String::from_utf8_lossy(&ana.raw).contains("red"), "it was shown");
}

fn no_file_has_it(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            no_file_has_it(&path);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            let has = bytes.windows(7).any(|part| part == b"kettles");
            assert!(!has, "{} holds the password", path.display());
        }
    }
}

#[test]
fn the_screen_may_change_its_size() {
    let folder = Folder::new();
    let mut ana = Person::start("ana", &folder.path(""), &[]);
    let mut bob = Peer::start("bob");
    bob.done(&format!("connect {}", ana.address()));
    ana.sees("with bob (");
    ana.types("typed before");
    ana.sees("> typed before");
    ana.resize(60, 30);
    let long = "word ".repeat(30);
    bob.done(long.trim_end());
    let screen = ana.until("all rows", |screen| screen.matches("word").count() >= 30);
    // Rows after the first are indented for the new width.
    let rows: Vec<&str> = screen.lines().filter(|row| row.contains("word word")).collect();
    assert!(rows.len() >= 3, "{screen}");
    assert!(rows[1..].iter().all(|row| row.starts_with("    word")), "{screen}");
    ana.types(" and after");
    ana.sees("> typed before and after");
    // Wide characters, to the end of the row and beyond.
    ana.resize(40, 30);
    let wide = "日本語のとても長い文章がここにあります。本当に長いのです。";
    ana.clears();
    ana.types(&format!("{wide}{ENTER}"));
    bob.hears(wide);
    ana.types("next");
    ana.until("a prompt of its own", |screen| screen.lines().any(|row| row == "> next"));
}

/// Where things end up afterwards depends on the terminal: some rewrap long rows, some cut them.
#[test]
fn another_size_leaves_no_stale_copies_and_cuts_nothing() {
    let folder = Folder::new();
    let mut ana = Person::start("ana", &folder.path(""), &["--limit-down", "1MB/s"]);
    let mut bob = Peer::start("bob");
    bob.done(&format!("connect {}", ana.address()));
    ana.sees("with bob (");
    for (name, mib) in [("one", 64), ("two", 65)] {
        let path = folder.path(name);
        std::fs::File::create(&path).unwrap().set_len(mib << 20).unwrap();
        bob.done(&format!("send {}", path.display()));
        ana.sees(&format!("bob offers {name}"));
        ana.types(&format!("download {name}{ENTER}"));
        ana.sees(&format!("⇣ {name}"));
    }
    let said = format!("{}and the end", "word ".repeat(15));
    bob.done(&said);
    ana.sees("and the end");
    ana.types(&format!("draft {}finish", "more ".repeat(16)));
    ana.sees("finish");
    for (cols, rows) in [(60, 40), (45, 30), (70, 30), (100, 50)] {
        ana.resize(cols, rows);
        ana.until("everything once", |screen| {
            let once = ["and the end", "> draft", "⇣ one", "⇣ two", "finish"];
            once.iter().all(|text| screen.matches(text).count() == 1)
                && screen.trim_end().ends_with("finish")
        });
    }
}

#[test]
fn ctrl_c_clears_the_line_and_twice_leaves() {
    let folder = Folder::new();
    let mut ana = Person::start("ana", &folder.path(""), &[]);
    ana.address();
    ana.types("something wrong");
    ana.sees("> something wrong");
    ana.clears();
    // Other input in between: the first Ctrl-C no longer counts.
    ana.types("again");
    ana.sees("> again");
    ana.clears();
    ana.types("still here");
    ana.sees("> still here");
    ana.clears();
    ana.types(CTRL_C);
    assert_eq!(ana.ends(), 0);
    assert!(ana.is_as_it_was());
}

/// Whatever a shell did to the terminal meanwhile.
#[test]
#[cfg(target_os = "linux")]
fn a_klatch_that_was_stopped_has_its_terminal_back() {
    let folder = Folder::new();
    let mut bob = Peer::start("bob");
    bob.done(&format!("password {SECRET}"));
    let mut ana = Person::start("ana", &folder.path(""), &[]);
    ana.address();
    ana.types(&format!("connect {}{ENTER}", bob.address.replace(':', " ")));
    ana.sees("Password of the room at");
    stop_for_a_while(ana.pid(), || as_a_shell_would(&ana));
    wait_until("keys are the editor's", || keys_of(&ana).is_empty());
    ana.types(&format!("{SECRET}{ENTER}"));
    ana.sees("with bob (closed)");
    assert!(!ana.screen().contains(SECRET), "{}", ana.screen());
    ana.types("half a line");
    ana.sees("> half a line");
    ana.raw.clear();
    stop_for_a_while(ana.pid(), || as_a_shell_would(&ana));
    // The line is there again, below what a shell may have written.
    ana.has_written("> half a line");
    wait_until("keys are the editor's", || keys_of(&ana).is_empty());
    ana.types(&format!(" goes on{ENTER}"));
    bob.hears("half a line goes on");
    ana.types(CTRL_D);
    assert_eq!(ana.ends(), 0);
}

/// A listener that never answers, and the command that waits for it.
fn deaf() -> (std::net::TcpListener, String) {
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = deaf.local_addr().unwrap().port();
    (deaf, format!("connect 127.0.0.1 {port}"))
}

#[test]
fn ctrl_c_ends_the_waiting_for_a_command() {
    let folder = Folder::new();
    let mut ana = Person::start("ana", &folder.path(""), &[]);
    ana.address();
    for times in 1..=2 {
        let (deaf, connect) = deaf();
        ana.types(&format!("{connect}{ENTER}"));
        let _socket = deaf.accept().unwrap();
        if times == 2 {
            // The first Ctrl-C clears what was typed meanwhile.
            ana.types("meanwhile");
            ana.sees("> meanwhile");
            ana.clears();
        }
        ana.types(CTRL_C);
        ana.until("the waiting ends", |screen| {
            screen.matches("connect continues in the background").count() == times
        });
    }
    ana.types("still here");
    ana.sees("> still here");
    ana.clears();
    ana.types(CTRL_D);
    ana.ends();
    assert!(ana.is_as_it_was());
}

#[test]
fn what_is_typed_while_a_command_runs_is_seen_and_kept() {
    let folder = Folder::new();
    let mut ana = Person::start("ana", &folder.path(""), &[]);
    ana.address();
    let (deaf, connect) = deaf();
    ana.types(&format!("{connect}{ENTER}"));
    let (socket, _) = deaf.accept().unwrap();
    ana.types("one");
    ana.sees("> one");
    ana.types(&format!("{ENTER}/members{ENTER}and a draft"));
    let screen = ana.sees("> and a draft");
    assert!(screen.contains("> one\n> /members\n> and a draft"), "{screen}");
    assert!(!screen.contains("ana: one"), "its turn has not come: {screen}");
    // The command ends, and the typed lines follow in order.
    drop((socket, deaf));
    ana.sees("error: ");
    ana.sees("ana: one");
    ana.sees("1 member here");
    let screen = ana.until("the draft", |screen| screen.trim_end().ends_with("> and a draft"));
    assert!(!screen.contains("> one"), "{screen}");
    assert!(screen.find("ana: one") < screen.find("1 member here"), "{screen}");
    ana.types(&format!(" goes on{ENTER}"));
    ana.sees("ana: and a draft goes on");
}

#[test]
fn what_was_typed_before_a_question_is_no_answer_to_it() {
    let folder = Folder::new();
    let mut ana = Person::start("ana", &folder.path(""), &[]);
    let mut bob = Peer::start("bob");
    bob.done(&format!("connect {}", ana.address()));
    ana.sees("with bob (");
    bob.done("verify ana");
    ana.types(&format!("verify bob{ENTER}y{ENTER}dra"));
    let screen = ana.sees("do both of you have the same words? [y/N]");
    assert!(screen.contains("\n> y\n"), "it waits: {screen}");
    ana.types(&format!("n{ENTER}"));
    ana.sees("bob is not verified");
    bob.hears("y");
    ana.until("the draft", |screen| screen.trim_end().ends_with("> dra"));
    ana.types(&format!("ft{ENTER}"));
    bob.hears("draft");
    // The same for a possible slip: what was typed after it comes back for correction with it.
    ana.types(&format!("pasword hunter{ENTER}y{ENTER}"));
    ana.sees("send this as a message? [y/N]");
    ana.types(&format!("y{ENTER}"));
    bob.hears("pasword hunter");
    bob.hears("y");
    ana.until("no question", |screen| !screen.contains("[y/N]"));
    ana.types(&format!("leave me alone{ENTER}y{ENTER}"));
    ana.sees("[y/N]");
    ana.types(ENTER);
    ana.sees("> leave me alone");
    ana.types(ENTER);
    ana.sees("send these 2 lines?");
    ana.types(ENTER);
    // Leaving asks first if somebody is fetching, and passwords if a room is closed.
    bob.done(&format!("password {SECRET}"));
    let mut eve = Person::start("eve", &folder.path(""), &[]);
    eve.address();
    eve.types(&format!("connect {}{ENTER}hello{ENTER}", bob.address.replace(':', " ")));
    eve.sees("Password of the room at");
    eve.types(&format!("{SECRET}{ENTER}"));
    eve.sees("with bob");
    eve.sees("this may be a password: send it to the room as a message? [y/N]");
    eve.types(&format!("y{ENTER}"));
    bob.hears("hello");
}

/// Which of the terminal's own key handling modes are on.
#[cfg(target_os = "linux")]
fn keys_of(ana: &Person) -> LocalModes {
    let all = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
    tcgetattr(ana.tty()).unwrap().local_modes & all
}

/// Turns all of them on.
#[cfg(target_os = "linux")]
fn as_a_shell_would(ana: &Person) {
    let tty = ana.tty();
    let mut modes = tcgetattr(&tty).unwrap();
    modes.local_modes.insert(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    tcsetattr(&tty, OptionalActions::Now, &modes).unwrap();
}

/// In the middle of a search, a quoted key or an Esc the editor reacts to nothing else.
#[test]
fn whatever_the_editor_waits_for_signals_end_klatch() {
    let folder = Folder::new();
    for keys in ["\x1b", "\x12", "\x16", "\x18"] {
        let mut ana = Person::start("ana", &folder.path(""), &[]);
        ana.address();
        ana.types(&format!("half a line{keys}"));
        ana.sees("half a line");
        let pid = Pid::from_raw(i32::try_from(ana.pid()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        assert_eq!(ana.ends(), 0);
        assert!(ana.is_as_it_was());
    }
}

#[test]
fn ctrl_d_and_signals_leave_the_terminal_as_it_was() {
    let folder = Folder::new();
    let mut ana = Person::start("ana", &folder.path(""), &[]);
    ana.address();
    assert!(!ana.is_as_it_was(), "a line is edited");
    ana.types(CTRL_D);
    assert_eq!(ana.ends(), 0);
    assert!(ana.is_as_it_was());
    for (signal, code) in [(Signal::INT, 0), (Signal::TERM, 0), (Signal::QUIT, 131)] {
        let mut ana = Person::start("ana", &folder.path(""), &[]);
        ana.address();
        ana.types("half a line");
        ana.sees("> half a line");
        let pid = Pid::from_raw(i32::try_from(ana.pid()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        assert_eq!(ana.ends(), code);
        assert!(ana.is_as_it_was());
    }
}

/// Ana on a terminal with this environment variable.
fn ana_with(variable: &str, folder: &Folder) -> Person {
    let mut command = portable_pty::CommandBuilder::new("env");
    command.args([variable, env!("CARGO_BIN_EXE_klatch"), "--ui", "terminal", "--ephemeral"]);
    command.args(["--name", "ana", "--listen", "127.0.0.1:0"]);
    command.cwd(folder.path(""));
    Person::spawn("ana", command)
}

/// Somebody on a terminal who hears bob say hello; returns everything written to it.
fn hears_hello(variable: &str) -> Vec<u8> {
    let folder = Folder::new();
    let mut ana = ana_with(variable, &folder);
    let address = ana.address();
    let mut bob = Program::run(
        "bob",
        ["--ui", "terminal", "--ephemeral", "--listen", "127.0.0.1:0", "--connect", &address],
    );
    bob.type_line("hello");
    let screen = ana.sees(": hello");
    let line = screen.lines().find(|line| line.ends_with("nobody: hello")).unwrap();
    let (hours, minutes) = line.split_once(' ').unwrap().0.split_once(':').unwrap();
    assert!(hours.parse::<u8>().is_ok() && minutes.parse::<u8>().is_ok(), "{line}");
    ana.types(&format!("quit{ENTER}"));
    assert_eq!(ana.ends(), 0);
    ana.raw.clone()
}

#[test]
fn without_colours_a_line_is_edited_all_the_same() {
    let raw = String::from_utf8(hears_hello("NO_COLOR=1")).unwrap();
    assert!(raw.contains("\x1b[?2004h"), "the line is edited: {raw:?}");
    let mut codes = raw.split("\x1b[").skip(1);
    let colour = codes.find(|code| {
        let end = code.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(0);
        // A code that resets all colours is not a colour.
        code[end..].starts_with('m') && !matches!(&code[..end], "" | "0")
    });
    assert_eq!(colour, None, "{raw:?}");
}

#[test]
fn a_terminal_that_cannot_edit_gets_lines_with_times_and_nothing_else() {
    for variable in ["TERM=dumb", "TERM="] {
        let raw = hears_hello(variable);
        let control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\r' | b'\n');
        assert!(!raw.iter().any(control), "{:?}", String::from_utf8_lossy(&raw));
    }
}

#[test]
fn ctrl_d_where_no_line_is_edited_waits_for_who_fetches_from_here_alone() {
    let folder = Folder::new();
    folder.file("last copy.img", &vec![b'x'; 64 << 20]);
    let mut ana = ana_with("TERM=dumb", &folder);
    let mut bob = Peer::start("bob");
    bob.done(&format!("connect {}", ana.address()));
    ana.types(&format!("send last copy.img{ENTER}"));
    bob.done("wait file last copy.img");
    bob.done("limit down 16MB/s");
    let number = bob.say("download last copy.img");
    bob.expect(json!({"event": "download_progress"}));
    ana.types(CTRL_D);
    ana.sees("bob is still fetching it: klatch ends when that is done");
    bob.ended_well(number);
    assert_eq!(ana.ends(), 0);
}

/// A slip must not tell the room a password, and a sentence must not run a command.
#[test]
fn what_may_be_a_slip_is_asked_about_and_comes_back_to_be_mended() {
    let folder = Folder::new();
    let mut ana = Person::start("ana", &folder.path(""), &[]);
    let mut bob = Peer::start("bob");
    bob.done(&format!("connect {}", ana.address()));
    ana.sees("with bob (");
    ana.types(&format!("pasword four-red-kettles{ENTER}"));
    ana.sees("* pasword •••: did you mean /password? send this as a message? [y/N]");
    ana.types(&format!("n{ENTER}"));
    ana.sees("> pasword four-red-kettles");
    ana.clears();
    ana.types(&format!("lock{ENTER}"));
    ana.sees("* \"lock\": did you mean /lock? send this as a message? [y/N]");
    ana.types(CTRL_C);
    ana.until("the line", |screen| screen.trim_end().ends_with("> lock"));
    ana.clears();
    let invitation = format!("klatch klatch:{}", "abcdefg234567".repeat(5));
    ana.types(&format!("{invitation}{ENTER}"));
    ana.sees("* klatch:•••: join that room? [y/N]");
    ana.types(&format!("y{ENTER}"));
    ana.sees("the invitation is damaged");
    ana.types(&format!("leave me alone{ENTER}"));
    ana.sees("* \"leave me alone\": did you mean /leave? send this as a message? [y/N]");
    ana.types(&format!("y{ENTER}"));
    bob.hears("leave me alone");
    ana.types(&format!("name one that I know{ENTER}"));
    ana.sees("run this command? [y/N]");
    ana.types(ENTER);
    ana.sees("> name one that I know");
    ana.clears();
    ana.types(&format!("correct me if I am wrong{ENTER}"));
    bob.hears("correct me if I am wrong");
    assert_eq!(bob.all(json!({"event": "message"})).len(), 2);
    assert!(bob.all(json!({"event": "name_changed"})).is_empty());
    bob.quit();
    ana.types(&format!("/quit{ENTER}"));
    assert_eq!(ana.ends(), 0);
}
