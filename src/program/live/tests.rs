//! T4: a panic leaves the terminal as it was. The program that panics is this test itself, run
//! again on a pseudo-terminal.

use std::io::Read;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use time::UtcOffset;

use super::*;
use crate::sys::terminal::Modes;
use crate::sys::testing::{POSIX, terminal};
use crate::ui::notice::Style;

/// Names the place where the program should panic; without it, it does not.
const WHERE: &str = "KLATCH_TEST_PANIC";

/// The line at which the editor panics in tests.
pub(super) const TRAP: &str = "trap";

/// In the editor's thread, which edits a line; in the main one while a line is edited; and in the
/// main one just when a line begins or ends.
const PLACES: [&str; 3] = ["editor", "edited", "begins"];

#[test]
#[ignore = "run by the next test, on a terminal"]
fn a_program_that_panics() {
    let Ok(place) = std::env::var(WHERE) else { return };
    let view = LiveView::new(Style::terminal(UtcOffset::UTC), false, 0);
    let (tty, output, mut input) = open(view, true, None).unwrap();
    report_panics(tty.clone(), output.log());
    let (typing, typed) = crossbeam_channel::bounded(1);
    let editor = std::thread::Builder::new().name("stdin".into());
    let editor = editor.spawn(move || {
        input.next();
        typing.send(()).unwrap();
        while matches!(input.next(), Typed::Line { .. }) {}
    });
    typed.recv().unwrap();
    if place == "editor" {
        assert!(editor.unwrap().join().is_err());
        tty.restore();
        std::process::exit(101);
    }
    // Only while a line is edited do Ctrl-C and the like arrive as keys.
    let edited = || !Modes::of_stdin().unwrap().raise_signals();
    while place == "edited" && !edited() {
        std::thread::yield_now();
    }
    // As `main` is: the hook goes by the thread's name.
    let main = std::thread::Builder::new().name("main".into());
    let main = main.spawn(move || {
        let _tty = tty;
        panic!("panic while a line is edited");
    });
    assert!(main.unwrap().join().is_err());
    std::process::exit(101);
}

#[test]
fn t4_a_panic_leaves_the_terminal_as_it_was() {
    if !POSIX {
        return;
    }
    // The moment differs each time.
    for place in PLACES.into_iter().chain(["begins"; 7]) {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let tty = terminal(&*pair.master);
        let before = Modes::of(&tty).unwrap();
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        let name = "program::live::tests::a_program_that_panics";
        command.args(["--exact", name, "--ignored", "--nocapture"]);
        command.env(WHERE, place);
        command.env("TERM", "xterm-256color");
        let mut child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let mut keys = pair.master.take_writer().unwrap();
        let reading = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let mut typed = false;
            let mut chunk = [0; 4_096];
            while let Ok(length) = reader.read(&mut chunk) {
                bytes.extend_from_slice(&chunk[..length]);
                if length == 0 {
                    break;
                }
                if !typed && bytes.windows(8).any(|part| part == b"\x1b[?2004h") {
                    typed = true;
                    let next: &[u8] =
                        if place == "editor" { TRAP.as_bytes() } else { b"two\rthree\r" };
                    keys.write_all(b"one\r").unwrap();
                    keys.write_all(next).unwrap();
                }
            }
            (String::from_utf8_lossy(&bytes).into_owned(), keys)
        });
        assert_eq!(child.wait().unwrap().exit_code(), 101, "{place}");
        let after = Modes::of(&tty).unwrap();
        assert!(after.echo_lines(), "{place}");
        assert!(after.are_like(&before), "{place}: {before:?} {after:?}");
        drop(tty);
        let (written, _keys) = reading.join().unwrap();
        assert!(written.contains("klatch has a bug"), "{place}: {written:?}");
        let last = written.rfind("\x1b[?2004h").unwrap();
        assert!(written[last..].contains("\x1b[?2004l"), "{place}: {written:?}");
    }
}
