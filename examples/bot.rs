//! A bot in a room: it answers `!time` and `!files`.
//!
//! ```sh
//! cargo run --example bot -- --name bot 192.168.1.5
//! ```
//!
//! What follows `--` is for klatch: an address or an invitation, and options. The bot starts klatch
//! and talks to it through pipes: each line of its stdout is an event (`klatch --json-schema`),
//! each line of its stdin a command. `KLATCH_BIN` names a klatch that is not in the path.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;

fn main() -> io::Result<ExitCode> {
    let program = std::env::var_os("KLATCH_BIN").unwrap_or_else(|| "klatch".into());
    run(Command::new(program).args(std::env::args_os().skip(1)))
}

/// Answers until klatch ends, and returns its exit code.
pub(crate) fn run(klatch: &mut Command) -> io::Result<ExitCode> {
    klatch.args(["--ui", "terminal", "--json"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut klatch = klatch.spawn()?;
    let (Some(mut commands), Some(events)) = (klatch.stdin.take(), klatch.stdout.take()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let mut files = BTreeMap::new(); // names of the offered files, by the ids of their offers
    for line in BufReader::new(events).lines() {
        let event: Value = serde_json::from_str(&line?)?;
        let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
        match event["event"].as_str() {
            Some("file_offered") => {
                files.insert(text(&event["id"]), text(&event["file"]["name"]));
            }
            Some("file_withdrawn") => {
                files.remove(&text(&event["id"]));
            }
            // Never to itself, or it would talk for ever; nor to what was said before it came.
            Some("message") if event["own"] == false && event["history"] == false => {
                if let Some(answer) = answer(&text(&event["text"]), &text(&event["time"]), &files) {
                    // Others choose file names, and a line feed would begin a command.
                    let answer = answer.replace(char::is_control, " ");
                    // If klatch has ended, this fails, and the loop ends as well.
                    let _ = writeln!(commands, "say {answer}");
                }
            }
            _ => {}
        }
    }
    let code = klatch.wait()?.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The answer to a message, if it has one.
fn answer(text: &str, time: &str, files: &BTreeMap<String, String>) -> Option<String> {
    match text.trim() {
        "!time" => Some(format!("you said that at {time}")),
        "!files" if files.is_empty() => Some("nothing is offered".into()),
        "!files" => Some(files.values().cloned().collect::<Vec<_>>().join(", ")),
        _ => None,
    }
}
