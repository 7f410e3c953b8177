//! T4: a panic leaves the terminal as it was. The program that panics is this test's own, run once
//! more on a pseudo-terminal.

use std::io::Read;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rustix::termios::{LocalModes, tcgetattr};
use time::UtcOffset;

use super::*;
use crate::ui::notice::Style;

/// Says which thread shall panic; without it, none does.
const WHERE: &str = "KLATCH_TEST_PANIC";

#[test]
#[ignore = "run by the next test, on a terminal"]
fn a_program_that_panics() {
    let Ok(place) = std::env::var(WHERE) else { return };
    let tty = Tty::take().unwrap();
    let view = LiveView::new(Style::terminal(UtcOffset::UTC), false, 0);
    let (output, mut input) = open(view, true, None).unwrap();
    report_panics(tty.clone(), output.log());
    let (typing, typed) = crossbeam_channel::bounded(1);
    let editor = std::thread::Builder::new().name("stdin".into());
    let editor = editor.spawn(move || {
        let first = input.next();
        typing.send(()).unwrap();
        assert!(place != "editor", "panic in the editor's thread");
        drop(first);
        input.next();
    });
    typed.recv().unwrap();
    if editor.as_ref().is_ok_and(|_| std::env::var(WHERE).is_ok_and(|place| place == "editor")) {
        assert!(editor.unwrap().join().is_err());
    } else {
        // A line is edited when the terminal gives keys and not lines.
        while tcgetattr(std::io::stdin()).unwrap().local_modes.contains(LocalModes::ICANON) {
            std::thread::yield_now();
        }
        // As `main` would: the hook goes by the name of the thread.
        let main = std::thread::Builder::new().name("main".into());
        let main = main.spawn(move || {
            let _tty = tty;
            panic!("panic while a line is edited");
        });
        assert!(main.unwrap().join().is_err());
    }
    std::process::exit(101);
}

#[test]
fn t4_a_panic_leaves_the_terminal_as_it_was() {
    for place in ["editor", "main"] {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let tty = std::fs::File::open(pair.master.tty_name().unwrap()).unwrap();
        let before = tcgetattr(&tty).unwrap();
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
                    keys.write_all(b"one\r").unwrap();
                }
            }
            (String::from_utf8_lossy(&bytes).into_owned(), keys)
        });
        assert_eq!(child.wait().unwrap().exit_code(), 101, "{place}");
        let after = tcgetattr(&tty).unwrap();
        assert!(after.local_modes.contains(LocalModes::ECHO | LocalModes::ICANON), "{place}");
        assert_eq!(after.local_modes, before.local_modes, "{place}");
        assert_eq!(after.input_modes, before.input_modes, "{place}");
        drop(tty);
        let (written, _keys) = reading.join().unwrap();
        assert!(written.contains("klatch has a bug"), "{place}: {written:?}");
        let last = written.rfind("\x1b[?2004h").unwrap();
        assert!(written[last..].contains("\x1b[?2004l"), "{place}: {written:?}");
    }
}
