//! Questions at the terminal: which interface, and passwords.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use super::command::shown;
use super::line_reader::LineReader;
use crate::config::UiChoice;
use crate::router::notice::{Code, Failure};

/// The first thing that klatch says.
pub const UI_QUESTION: &str = "Use the browser interface? [y/N]";
/// Longest answer to a question, in bytes.
const ANSWER_MAX_BYTES: usize = 4_096;

/// Asks for the interface. If `interactive`, a person is asked, again after an invalid answer; the
/// answer of a pipe is its first line, and what follows that is left in `input`.
///
/// # Errors
/// `usage` if a pipe's answer is invalid, or the input ends; `io_error` if it cannot be read.
pub fn ask_ui(
    input: &mut impl BufRead,
    out: &mut impl Write,
    interactive: bool,
) -> Result<UiChoice, Failure> {
    let mut lines = LineReader::new(input, ANSWER_MAX_BYTES);
    loop {
        // A pipe echoes no line feed after the answer, so what follows starts on a line of its own.
        let end = if interactive { " " } else { "\n" };
        // Nobody may be reading, but the answer is taken all the same.
        let _ = write!(out, "{UI_QUESTION}{end}").and_then(|()| out.flush());
        let line = lines.next_line().map_err(stdin_failure)?.into_text();
        let answer = match &line {
            Ok(Some(text)) => text.trim(),
            Ok(None) => return Err(no_answer("stdin ended")),
            Err(failure) => &failure.text,
        };
        match answer.to_lowercase().as_str() {
            "y" | "yes" => return Ok(UiChoice::Browser),
            "n" | "no" | "" => return Ok(UiChoice::Terminal),
            _ if interactive => {
                let _ = writeln!(out, "please answer y or n");
            }
            _ => return Err(no_answer(&format!("stdin said {}", shown(answer)))),
        }
    }
}

/// Takes the answer to a password question from the next line of a pipe; never from the terminal
/// behind it.
///
/// # Errors
/// `password_required` at the end of the stream, and what is wrong with the line.
pub fn answer_from_lines<R: BufRead>(lines: &mut LineReader<R>) -> Result<String, Failure> {
    lines.next_line().map_err(stdin_failure)?.into_text()?.ok_or_else(|| {
        let text = "stdin ended before the password: name a file that holds it with \
                    --password-file, or write it on the next line";
        Failure::new(Code::PasswordRequired, text)
    })
}

/// Asks a person for a password, without echo. Ctrl-C restores the terminal and raises SIGINT.
///
/// # Errors
/// `cancelled` if the person gives up, `io_error` without a terminal.
pub fn answer_from_terminal(prompt: &str) -> Result<String, Failure> {
    rpassword::prompt_password(prompt).map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof => {
            Failure::new(Code::Cancelled, "no password was given")
        }
        _ => {
            let text = format!("cannot ask for a password on the terminal: {error}");
            Failure::new(Code::IoError, text)
        }
    })
}

/// Takes the answer to password questions from the first line of a file (`--password-file`).
///
/// # Errors
/// `file_not_found`, `permission_denied` or `io_error` for the file, `password_required` if it is
/// empty, `usage` if it has more than one line.
pub fn answer_from_file(path: &Path) -> Result<String, Failure> {
    let name = shown(&path.to_string_lossy());
    let failed = |error: io::Error| {
        let code = match error.kind() {
            io::ErrorKind::NotFound => Code::FileNotFound,
            io::ErrorKind::PermissionDenied => Code::PermissionDenied,
            _ => Code::IoError,
        };
        Failure::new(code, format!("cannot read the password file {name}: {error}"))
    };
    let file = File::open(path).map_err(failed)?;
    let mut lines = LineReader::new(BufReader::new(file), ANSWER_MAX_BYTES);
    let Some(text) = lines.next_line().map_err(failed)?.into_text()? else {
        let text = format!("the password file {name} is empty: write the password into it");
        return Err(Failure::new(Code::PasswordRequired, text));
    };
    if lines.next_line().map_err(failed)?.into_text()?.is_some() {
        let text = format!("the password file {name} has more than one line");
        return Err(Failure::new(Code::Usage, text));
    }
    Ok(text)
}

fn stdin_failure(error: io::Error) -> Failure {
    Failure::new(Code::IoError, format!("cannot read stdin: {error}"))
}

fn no_answer(what: &str) -> Failure {
    let text = format!(
        "{what} where y or n was expected: answer the question in the first line, or start with \
         --ui terminal or --ui browser"
    );
    Failure::new(Code::Usage, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(mut input: &[u8], interactive: bool) -> (Result<UiChoice, Failure>, String, String) {
        let mut out = Vec::new();
        let choice = ask_ui(&mut input, &mut out, interactive);
        (choice, String::from_utf8(out).unwrap(), String::from_utf8_lossy(input).into_owned())
    }

    #[test]
    fn the_first_line_of_a_pipe_is_the_answer_and_the_rest_is_left() {
        for (input, choice) in [
            ("y\nhello\n", UiChoice::Browser),
            ("YES\r\nhello\n", UiChoice::Browser),
            ("n\nhello\n", UiChoice::Terminal),
            (" No \nhello\n", UiChoice::Terminal),
            ("\nhello\n", UiChoice::Terminal),
        ] {
            let (answer, out, rest) = ask(input.as_bytes(), false);
            assert_eq!(answer, Ok(choice), "{input:?}");
            assert_eq!(out, "Use the browser interface? [y/N]\n");
            assert_eq!(rest, "hello\n");
        }
    }

    #[test]
    fn a_pipe_that_does_not_answer_is_told_of_the_option() {
        for input in [&b""[..], b"connect alice\n", b"\xff\n", &[b'x'; 100_000]] {
            let failure = ask(input, false).0.unwrap_err();
            assert_eq!(failure.code, Code::Usage);
            assert!(failure.text.contains("--ui"), "{}", failure.text);
        }
    }

    #[test]
    fn a_person_is_asked_again() {
        let (answer, out, _) = ask(b"what?\nperhaps\ny\n", true);
        assert_eq!(answer, Ok(UiChoice::Browser));
        assert_eq!(out.matches(UI_QUESTION).count(), 3);
        assert!(out.starts_with("Use the browser interface? [y/N] please answer y or n\n"));
        assert_eq!(ask(b"what?\n", true).0.unwrap_err().code, Code::Usage);
    }

    #[test]
    fn a_pipe_gives_its_password_on_the_next_line() {
        let mut lines = LineReader::new(&b"correct horse\r\n-\n"[..], 64);
        assert_eq!(answer_from_lines(&mut lines).unwrap(), "correct horse");
        assert_eq!(answer_from_lines(&mut lines).unwrap(), "-");
        let failure = answer_from_lines(&mut lines).unwrap_err();
        assert_eq!(failure.code, Code::PasswordRequired);
    }

    #[test]
    fn a_password_file_holds_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        let read = |content: &str| {
            std::fs::write(&file, content).unwrap();
            answer_from_file(&file).map_err(|failure| failure.code)
        };
        assert_eq!(read("correct horse\n").as_deref(), Ok("correct horse"));
        assert_eq!(read("correct horse").as_deref(), Ok("correct horse"));
        assert_eq!(read(""), Err(Code::PasswordRequired));
        assert_eq!(read("correct horse\nbattery staple\n"), Err(Code::Usage));
        let missing = answer_from_file(&dir.path().join("missing")).unwrap_err();
        assert_eq!(missing.code, Code::FileNotFound);
    }
}
