//! The programs in `examples/`, in a real room.

use std::process::{Command, ExitCode};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::common::{Folder, Peer};

#[allow(dead_code)] // `main` is not used here.
#[path = "../../examples/bot.rs"]
mod bot;

#[test]
fn a_bot_answers_others_and_ends_with_its_klatch() {
    let folder = Folder::new();
    let mut alice = Peer::start("alice");
    // The shell writes down its process id, then becomes klatch.
    let mut klatch = Command::new("sh");
    klatch.args(["-c", "echo $$ >pid && exec \"$@\"", "sh", env!("CARGO_BIN_EXE_klatch")]);
    klatch.args(["--ephemeral", "--listen", "127.0.0.1:0", "--name", "bot", &alice.address]);
    klatch.current_dir(folder.path(""));
    let running = std::thread::spawn(move || bot::run(&mut klatch).unwrap());
    alice.expect(json!({"event": "joined"}));
    alice.say("!files");
    alice.hears("nothing is offered");
    alice.done(&format!("send {}", folder.file("two words.txt", b"content")));
    alice.say("!files");
    alice.hears("two words.txt");
    alice.say("!time");
    alice.expect_that("the time", |event| {
        event["text"].as_str().is_some_and(|text| text.starts_with("you said that at 20"))
    });
    let pid = std::fs::read_to_string(folder.path("pid")).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let code = running.join().unwrap();
    assert_ne!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
    alice.quit();
}
