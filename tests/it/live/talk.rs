//! What is shown: messages above the line being typed, who has them, and names.

use serde_json::json;

use crate::common::person::{CTRL_C, ENTER, Person};
use crate::common::{Folder, Peer};

#[test]
fn messages_appear_above_the_line_being_typed() {
    let folder = Folder::new();
    let mut ana = Person::start("ana", &folder.path(""), &[]);
    let mut bob = Peer::start("bob");
    bob.done(&format!("connect {}", ana.address()));
    ana.sees("with bob (");
    ana.types("half a thou");
    ana.sees("> half a thou");
    bob.done("hello ana");
    ana.sees("bob: hello ana");
    ana.until("the line", |screen| screen.trim_end().ends_with("> half a thou"));
    ana.types("ght");
    ana.sees("> half a thought");
    ana.types(ENTER);
    bob.hears("half a thought");
    // The line became a message, which bob holds.
    let screen = ana.sees("ana: half a thought ✓");
    assert!(!screen.contains("> half"), "{screen}");
    // A command is shown, but is not a message.
    ana.types(&format!("members{ENTER}"));
    let screen = ana.until("bob's row", |screen| {
        screen.lines().any(|row| row.contains("*   bob") && row.contains("since "))
    });
    assert!(screen.contains("> members"), "{screen}");
    let row = screen.lines().find(|row| row.contains("*   bob")).unwrap();
    let fingerprint = format!("{} {}", &bob.id[..4], &bob.id[4..8]);
    assert!(row.contains("since ") && row.contains(&fingerprint), "{row}");
    ana.types(&format!("quit{ENTER}"));
    assert_eq!(ana.ends(), 0);
    assert!(ana.is_as_it_was());
    bob.expect(json!({"event": "member_left"}));
}

/// Ana, fetching a large file from bob.
fn who_fetches(options: &[&str]) -> (Folder, Person, Peer) {
    let folder = Folder::new();
    let mut ana = Person::start("ana", &folder.path(""), options);
    let mut bob = Peer::start("bob");
    bob.done(&format!("connect {}", ana.address()));
    let large = folder.path("large.img");
    std::fs::File::create(&large).unwrap().set_len(512 << 20).unwrap();
    bob.done(&format!("send {}", large.display()));
    ana.sees("bob offers large.img");
    ana.types(&format!("download large.img{ENTER}"));
    (folder, ana, bob)
}

#[test]
fn a_download_has_a_row_that_changes_in_place() {
    let (_folder, mut ana, _bob) = who_fetches(&[]);
    ana.types("still typing");
    ana.has_written("⇣ large.img");
    let screen = ana.sees("* saved as ");
    assert!(!screen.contains("⇣"), "the row is gone: {screen}");
    ana.until("the line", |screen| screen.contains("> still typing"));
    assert_eq!(screen.matches("large.img (536.9 MB)").count(), 1, "{screen}");
}

#[test]
fn ones_name_is_marked_and_rings() {
    let folder = Folder::new();
    let data = folder.path("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("settings.toml"), "bell = true\nname = \"ana\"\n").unwrap();
    let mut ana = Person::start("ana", &folder.path(""), &["--data-dir", data.to_str().unwrap()]);
    let mut bob = Peer::start("bob");
    bob.done(&format!("connect {}", ana.address()));
    bob.done("banana");
    ana.sees("bob: banana");
    assert!(!ana.raw.contains(&7), "it rings for nothing");
    bob.done("look, Ana!");
    ana.has_written("\x1b[1;33mAna\x1b[0m!");
    ana.has_written("\x07");
}

#[test]
fn words_are_compared_and_a_new_key_under_the_name_is_told() {
    let folder = Folder::new();
    let data = folder.path("data");
    let args = ["--data-dir", data.to_str().unwrap()];
    let mut ana = Person::start("ana", &folder.path(""), &args);
    let mut bob = Peer::start("bob");
    let to_ana = format!("connect {}", ana.address());
    bob.done(&to_ana);
    ana.sees("with bob (");
    bob.done("verify ana");
    let words = bob.expect(json!({"event": "verify"}))["words"].as_str().unwrap().to_owned();
    ana.types(&format!("verify bob{ENTER}"));
    ana.sees(&format!("*   {words}"));
    ana.sees("do both of you have the same words? [y/N]");
    ana.types(&format!("y{ENTER}"));
    ana.sees("* bob✓ is verified from now on");
    // From then on the mark appears wherever the name does.
    bob.done("it is me");
    ana.sees("bob✓: it is me");
    bob.done("name bobby");
    ana.sees("* bob✓ is now called bobby✓");
    bob.done("name bob");
    ana.sees("* bobby✓ is now called bob✓");
    ana.types(&format!("members{ENTER}"));
    ana.until("bob's row", |screen| screen.lines().any(|row| row.contains("*   bob✓  ")));
    bob.done("leave");
    ana.sees("* bob✓ left");
    bob.done(&to_ana);
    ana.sees("* bob✓ joined");
    // Only klatch adds the mark: no name can contain it.
    let mut eve = Peer::start("eve✓");
    eve.done(&format!("connect {}", ana.address()));
    ana.sees("* eve\\u{2713} joined");
    ana.types(&format!("quit{ENTER}"));
    ana.ends();
    drop((bob, eve));

    // In the next run somebody else comes under that name, or under a similar one.
    let mut ana = Person::start("ana", &folder.path(""), &args);
    let mut other = Peer::start("b\u{43e}b");
    other.done(&format!("connect {}", ana.address()));
    ana.sees("warning: ");
    let screen = ana.sees("not the one ");
    assert!(screen.contains("key is not the one"), "{screen}");
}

#[test]
fn names_that_look_alike_are_told_apart() {
    let folder = Folder::new();
    let mut ana = Person::start("ana", &folder.path(""), &[]);
    // With Cyrillic letters.
    let mut eve = Peer::start("\u{430}n\u{430}");
    eve.done(&format!("connect {}", ana.address()));
    eve.done("it is me, ana");
    let shown = format!("\u{430}n\u{430}·{}", &eve.id[..4]);
    ana.sees(&format!("{shown}: it is me"));
    eve.done("name eve");
    ana.sees(&format!("* {shown} is now called eve"));
}

#[test]
fn what_is_here_already_is_asked_about() {
    let folder = Folder::new();
    let mut ana = Person::start("ana", &folder.path(""), &[]);
    let mut bob = Peer::start("bob");
    bob.done(&format!("connect {}", ana.address()));
    bob.done(&format!("send {}", folder.file("notes.txt", b"once")));
    ana.sees("bob offers notes.txt");
    ana.types(&format!("download notes.txt{ENTER}"));
    ana.sees("* saved as ");
    ana.types(&format!("/get notes.txt{ENTER}"));
    ana.sees("* you already have notes.txt, as ");
    ana.sees("download it again? [y/N]");
    ana.types(&format!("n{ENTER}"));
    ana.types(&format!("/who{ENTER}"));
    let screen = ana.sees("2 members here");
    assert_eq!(screen.matches("* saved as ").count(), 1, "{screen}");
}

#[test]
fn how_a_download_ended_is_said_once() {
    let (_folder, mut ana, _bob) = who_fetches(&["--limit-down", "1MB/s"]);
    ana.has_written("⇣ large.img ");
    ana.types(&format!("cancel large.img{ENTER}"));
    ana.sees("large.img was not fetched: the download was cancelled");
    // Other news comes before the answer to this.
    ana.types(&format!("members{ENTER}"));
    let screen = ana.sees("2 members here");
    assert_eq!(screen.matches("was cancelled").count(), 1, "{screen}");
}

/// If a question is left without an answer, nothing is closed and nobody put out.
#[test]
fn whoever_leaves_a_question_ends_its_command() {
    let folder = Folder::new();
    let mut ana = Person::start("ana", &folder.path(""), &[]);
    let mut bob = Peer::start("bob");
    bob.done(&format!("connect {}", ana.address()));
    bob.done("hello");
    ana.sees("bob: hello");
    bob.quit();
    ana.sees("bob left");
    ana.types(&format!("/lock{ENTER}"));
    ana.sees("New password");
    ana.types(ENTER);
    ana.sees("bob spoke here and is not here now; keep this person in? [y/N]");
    ana.types(CTRL_C);
    let screen = ana.sees("given up: nothing was changed");
    assert!(!screen.contains("you closed the room"), "{screen}");
    for line in ["send me the file please", "download the thing", "verify this claim"] {
        let (word, _) = line.split_once(' ').unwrap();
        ana.types(&format!("{line}{ENTER}"));
        // The hint may wrap from one row to the next.
        let hint = format!("/say {word} …");
        let joined = |screen: &str| screen.split_whitespace().collect::<Vec<_>>().join(" ");
        ana.until(&hint, |screen| joined(screen).contains(&hint));
        ana.types(&format!("/{line}{ENTER}"));
    }
}
