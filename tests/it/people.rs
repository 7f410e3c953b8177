//! What people see: a whole session as a committed text, and no control byte in it.

use crate::common::{Folder, Program, content};

/// What the session must look like: everybody's stdout and stderr, with what varies between runs
/// masked.
const GOLDEN: &str = include_str!("people.txt");

/// A program with output for people, on a pipe.
fn person(name: &str, folder: &Folder) -> Program {
    let args = ["--ui", "terminal", "--ephemeral", "--listen", "127.0.0.1:0", "--name", name];
    let mut command = Program::command();
    Program::spawn(name, command.args(args).arg("--downloads").arg(folder.path("")))
}

fn address(program: &mut Program) -> String {
    let line = program.expect_line("on this computer: connect ");
    line.split_once("connect ").unwrap().1.to_owned()
}

#[test]
fn a_session_reads_as_it_should() {
    let folder = Folder::new();
    let (mut alice, mut bob) = (person("alice", &folder), person("bob", &folder));
    let of_alice = address(&mut alice);
    let of_bob = address(&mut bob);
    bob.type_line(&format!("connect {of_alice}"));
    alice.expect_line("with bob (");
    bob.expect_line("with alice (");
    alice.type_line("hello bob\twith a tab");
    bob.expect_line("alice: hello bob");
    bob.type_line("say help is here, \u{1f600} é");
    alice.expect_line("bob: help is here");
    bob.type_line("members");
    bob.expect_line("2 members here");
    bob.type_line("files");
    bob.expect_line("no files are offered");

    alice.type_line(&format!("send {}", folder.file("my report.pdf", &content(1, 1_234_567))));
    bob.expect_line("alice offers");
    bob.type_line("download my report.pdf");
    bob.expect_line("saved as");
    bob.type_line("files");
    bob.expect_line("1 file offered");
    bob.type_line("transfers");
    bob.expect_line("no transfers");
    bob.type_line("download nothing");
    bob.type_line("/nonsense");
    bob.type_line("connect");
    bob.type_line("help send");
    bob.expect_line("send <path>…: ");
    alice.type_line("cancel my report.pdf");
    bob.expect_line("alice withdrew");

    alice.type_line("password four red kettles");
    bob.expect_line("alice closed the room");
    let mut eve = person("eve", &folder);
    address(&mut eve);
    eve.type_line(&format!("connect {of_bob}"));
    eve.type_line("four green kettles");
    assert_eq!(eve.end(), 1);
    bob.expect_line("wrong password tried");
    bob.type_line("name robert");
    alice.expect_line("bob is now called robert");
    alice.type_line("unlock");
    bob.expect_line("alice opened the room");
    bob.type_line("leave");
    alice.expect_line("robert left");
    bob.expect_line("you left the room");
    alice.type_line("goodbye, room");
    alice.type_line("quit");
    assert_eq!(alice.end(), 0);
    bob.type_line("talking to nobody");
    assert_eq!(bob.end(), 1);

    let mut session = String::new();
    for program in [&alice, &bob, &eve] {
        for stream in [program.lines.join("\n"), program.stderr.trim_end().to_owned()] {
            let control = stream.chars().find(|&c| c.is_control() && c != '\n');
            assert!(control.is_none(), "{control:?} from {}", program.name);
            assert!(!stream.contains("kettles"), "a password was printed");
        }
        session += &format!("== stdout of {}\n{}\n", program.name, program.lines.join("\n"));
        session += &format!("== stderr of {}\n{}", program.name, program.stderr);
    }
    let session = masked(&session, &folder);
    assert!(session == GOLDEN, "the session differs; if it should:\n{session}");
}

/// The session without what varies between runs.
fn masked(session: &str, folder: &Folder) -> String {
    let folder = folder.path("").display().to_string();
    let mut masked = String::new();
    for line in session.replace(&folder, "FOLDER/").lines() {
        // How often progress is shown depends on how busy the computer is.
        let words: Vec<&str> = line.split(' ').collect();
        if line.contains(" %, ") || line.starts_with("* reading ") {
            continue;
        }
        if let Some(row) = member_row(&words) {
            masked += &row;
            continue;
        }
        let words = without_speed(words);
        let mut before = "";
        for word in &words {
            let plain = word.trim_end_matches([':', ',']);
            let is_number = !plain.is_empty() && plain.bytes().all(|b| b.is_ascii_digit());
            let is_port = is_number && matches!(before, "127.0.0.1" | "port");
            let is_id = plain.len() == 8 && plain.bytes().all(|b| b.is_ascii_hexdigit());
            let shown = match *word {
                word if is_port => word.replace(plain, "PORT"),
                word if is_id => word.replace(plain, "SHORT_ID"),
                word if word.starts_with("127.0.0.1:") => "127.0.0.1:PORT".to_owned(),
                word if word.starts_with("FOLDER/") => stampless(word),
                word if before == "in" && word.contains('.') => "SECONDS".to_owned(),
                word => word.to_owned(),
            };
            masked += if std::ptr::eq(word, &words[0]) { "" } else { " " };
            masked += &shown;
            before = word;
        }
        masked.push('\n');
    }
    masked
}

/// A row of `members` without what varies: the time of the link, its speed and the fingerprint.
fn member_row(words: &[&str]) -> Option<String> {
    let is_hex = |word: &&&str| word.len() == 4 && word.bytes().all(|b| b.is_ascii_hexdigit());
    if words.iter().filter(is_hex).count() != 4 {
        return None;
    }
    let stays = |word: &&&str| !word.is_empty() && !is_hex(word) && !word.contains(':');
    let words: Vec<&str> = words.iter().filter(stays).copied().collect();
    let speed = words.iter().position(|word| *word == "ms").map_or(words.len(), |at| at - 1);
    let row = words.get(..speed).unwrap_or_default().join(" ");
    Some(row.trim_end_matches(" under").to_owned() + " FINGERPRINT\n")
}

/// How fast a file is fetched varies.
fn without_speed(mut words: Vec<&str>) -> Vec<&str> {
    if let Some(at) = words.iter().position(|word| word.ends_with("/s")) {
        words.drain(at - 1..=at);
    }
    for word in &mut words {
        *word = if *word == "s," { "s" } else { word };
    }
    words
}

/// The path of a saved file without the time in its name.
fn stampless(path: &str) -> String {
    match path.split_at_checked("FOLDER/2026-11-22_14-05-33_".len()) {
        Some((stamped, name)) if stamped.ends_with('_') => format!("FOLDER/STAMP_{name}"),
        _ => path.to_owned(),
    }
}
