//! Lines that may hold a secret, or end something, by a slip: they are asked about before they act
//! or are sent, or are errors where nobody can be asked.

use super::command::{Input, parse};
use crate::router::near::steps;
use crate::router::notice::{Code, Failure};

/// A password is seldom mistyped further than this.
const PASSWORD_STEPS: usize = 2;
/// Many words are near `connect`: `correct`, `contact` and `context` are two steps away.
const CONNECT_STEPS: usize = 1;

/// What a person is asked about a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// It fits a command: shall that be done?
    Run,
    /// It fits none: shall it be said?
    Say,
}

impl Doubt {
    /// The question.
    #[must_use]
    pub fn question(self) -> &'static str {
        match self {
            Self::Run => "run this command?",
            Self::Say => "send this as a message?",
        }
    }
}

/// The bare command word that a line nearly begins with.
#[must_use]
pub fn near_miss(line: &str) -> Option<&'static str> {
    if line.starts_with('/') {
        return None;
    }
    let start = line.trim_start();
    let (word, rest) = start.split_once([' ', '\t']).unwrap_or((start, ""));
    let is_exact = |command: &str| word == command && start.len() == line.len();
    if word.is_empty() || is_exact("password") || is_exact("connect") {
        return None;
    }
    let lower = word.to_lowercase();
    if steps(&lower, "password") <= PASSWORD_STEPS {
        return Some("password");
    }
    let near = steps(&lower, "connect");
    let is_near = near == 0 || near <= CONNECT_STEPS && is_address(rest);
    is_near.then_some("connect")
}

/// What a person at a live terminal is asked about a line, if anything.
#[must_use]
pub fn doubt(line: &str) -> Option<Doubt> {
    if near_miss(line).is_some() {
        return Some(Doubt::Say);
    }
    let (word, rest) = line.split_once([' ', '\t'])?;
    let words = rest.split_whitespace().count();
    let is_doubtful = match word {
        "password" => words > 1,
        "name" => words > 2,
        "connect" => !is_address(rest),
        "leave" | "unlock" | "quit" => words > 0,
        _ => false,
    };
    let runs = matches!(parse(line), Ok(Input::Command(_)));
    is_doubtful.then_some(if runs { Doubt::Run } else { Doubt::Say })
}

/// The error of a near miss where nobody can be asked; nothing of the line is repeated.
#[must_use]
pub fn did_you_mean(word: &str) -> Failure {
    let text = format!(
        "did you mean /{word}? The line was neither done nor sent: write /{word} …, or /say … to \
         send it"
    );
    Failure::new(Code::DidYouMean, text)
}

fn is_address(rest: &str) -> bool {
    matches!(parse(&format!("/connect {rest}")), Ok(Input::Command(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearly_a_command_that_takes_a_secret_is_found() {
        for line in [
            "pasword hunter22",
            "passwort hunter22",
            "Password hunter22",
            " password hunter22",
            "\tpassword",
            "PASSWORD",
            "passwords are for everybody",
        ] {
            assert_eq!(near_miss(line), Some("password"), "{line:?}");
        }
        for line in [
            "conect 10.0.0.1",
            "connnect 10.0.0.1 51692 locked",
            "Connect 10.0.0.1",
            " connect alice.example",
            "CONNECT",
        ] {
            assert_eq!(near_miss(line), Some("connect"), "{line:?}");
        }
        for line in [
            "",
            "   ",
            "password hunter22",
            "connect 10.0.0.1",
            "/pasword hunter22",
            "correct 10.0.0.1",
            "contact 10.0.0.1",
            "context matters",
            "conect us with the others, please",
            "the password is hunter22",
            "swordfish",
            "Send me that",
        ] {
            assert_eq!(near_miss(line), None, "{line:?}");
        }
        let failure = did_you_mean("password");
        assert_eq!(failure.code, Code::DidYouMean);
        assert!(failure.text.contains("/say"));
    }

    #[test]
    fn sentences_that_begin_with_a_command_are_asked_about() {
        for (line, asked) in [
            ("password hunter22", None),
            ("password", None),
            ("password is what you need", Some(Doubt::Run)),
            ("name ana", None),
            ("name ana maria", None),
            ("name one that I know", Some(Doubt::Run)),
            ("connect 10.0.0.1 51692", None),
            ("connect the dots here", Some(Doubt::Say)),
            ("leave", None),
            ("leave me alone", Some(Doubt::Say)),
            ("unlock the door", Some(Doubt::Say)),
            ("quit it", Some(Doubt::Say)),
            ("/quit it", None),
            ("pasword hunter22", Some(Doubt::Say)),
            ("files and folders", None),
            ("hello there", None),
        ] {
            assert_eq!(doubt(line), asked, "{line:?}");
        }
    }
}
