//! Lines that could reveal a secret or end something by mistake: klatch asks before it runs or
//! sends them, or refuses them if it cannot ask.

use super::command::{ALIASES, Input, SLASH_COMMANDS, parse, secret_part, shown};
use super::slash::invitation_alone;
use crate::router::invite_link::SCHEME;
use crate::router::near::steps;
use crate::router::notice::{Code, Failure};
use crate::router::text::Untrusted;

/// A password is seldom mistyped by more than this.
const PASSWORD_STEPS: usize = 2;
/// Many words are near `connect`: `correct`, `contact` and `context` are two steps away.
const CONNECT_STEPS: usize = 1;

/// What to ask a person about a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// It matches a command: ask whether to run it.
    Run,
    /// It matches none, or none without a `/`, but this may be meant: ask whether to send it.
    Say(&'static str),
    /// It is just an invitation: ask whether to join that room.
    Enter(String),
}

impl Doubt {
    /// The question.
    #[must_use]
    pub fn question(&self) -> String {
        match self {
            Self::Run => "run this command?".into(),
            Self::Say(word) => format!("did you mean /{word}? send this as a message?"),
            Self::Enter(_) => "join that room?".into(),
        }
    }

    /// What the question is about, without its secrets.
    #[must_use]
    pub fn about(&self, line: &str) -> String {
        let masked = |open: &str| format!("{}•••", Untrusted::new(open).line());
        let first = line.trim_start();
        let first = first.split([' ', '\t']).next().unwrap_or_default();
        match (self, secret_part(line)) {
            (_, Some((open, _))) => masked(open),
            (Self::Enter(_), _) => masked(SCHEME),
            (Self::Say("password" | "lock"), _) if line.trim() != first => {
                masked(&format!("{first} "))
            }
            _ => shown(line.trim()),
        }
    }
}

/// The bare command word with which a line almost begins.
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

/// What to ask a person at a live terminal about a line, if anything.
#[must_use]
pub fn doubt(line: &str) -> Option<Doubt> {
    if let Some(invitation) = invitation_alone(line) {
        return Some(Doubt::Enter(format!("/join {invitation}")));
    }
    if let Some(word) = near_miss(line).or_else(|| without_slash(line)) {
        return Some(Doubt::Say(word));
    }
    let (word, rest) = line.split_once([' ', '\t'])?;
    let words = rest.split_whitespace().count();
    let (word, is_doubtful) = match word {
        "password" => ("password", words > 1),
        "name" => ("name", words > 2),
        "connect" => ("connect", !is_address(rest)),
        "leave" => ("leave", words > 0),
        "unlock" => ("unlock", words > 0),
        "quit" => ("quit", words > 0),
        _ => return None,
    };
    let runs = matches!(parse(line), Ok(Input::Command(_)));
    is_doubtful.then_some(if runs { Doubt::Run } else { Doubt::Say(word) })
}

/// The command that needs a `/`, if the whole line would be one with it.
fn without_slash(line: &str) -> Option<&'static str> {
    let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let words = rest.split_whitespace().count();
    let word = slash_only().find(|known| *known == word)?;
    let fits = match word {
        "lock" => words <= 1,
        "invite" => matches!(parse(&format!("/{line}")), Ok(Input::Command(_))),
        _ => words == 1,
    };
    fits.then_some(word)
}

/// Words that are commands only after a `/`, and that people type without it.
fn slash_only() -> impl Iterator<Item = &'static str> {
    let is_own = |meant: &str| SLASH_COMMANDS.iter().any(|command| command.word == meant);
    let aliases = ALIASES.iter().filter(move |(_, meant)| is_own(meant)).map(|(alias, _)| *alias);
    SLASH_COMMANDS.iter().map(|command| command.word).chain(aliases)
}

/// Whether a line that begins with a bare word of these may be a sentence: usually, what follows
/// the word does not match anything.
#[must_use]
pub fn is_sentence(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let is_word = |word: &str| ["send", "download", "cancel", "files", "verify"].contains(&word);
    words.next().is_some_and(|word| line.starts_with(word) && is_word(word)) && words.count() > 1
}

/// Why a line is refused if nobody can be asked: it may contain something not meant for the room.
///
/// # Errors
/// `did_you_mean`.
pub fn certain(line: &str) -> Result<(), Failure> {
    if invitation_alone(line).is_some() {
        let text = "this is an invitation, and was not sent: write /join … to join that room, or \
                    /say … to send it";
        return Err(Failure::new(Code::DidYouMean, text));
    }
    near_miss(line).map_or(Ok(()), |word| Err(did_you_mean(word)))
}

/// The error for a near miss if nobody can be asked; it repeats nothing of the line.
fn did_you_mean(word: &str) -> Failure {
    let text = format!(
        "did you mean /{word}? The line was neither run nor sent: write /{word} …, or /say … to \
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
            ("connect the dots here", Some(Doubt::Say("connect"))),
            ("leave", None),
            ("leave me alone", Some(Doubt::Say("leave"))),
            ("unlock the door", Some(Doubt::Say("unlock"))),
            ("quit it", Some(Doubt::Say("quit"))),
            ("/quit it", None),
            ("pasword hunter22", Some(Doubt::Say("password"))),
            ("files and folders", None),
            ("hello there", None),
        ] {
            assert_eq!(doubt(line), asked, "{line:?}");
        }
    }

    #[test]
    fn commands_without_their_slash_are_asked_about_where_the_whole_line_is_one() {
        for (line, meant) in [
            ("lock", "lock"),
            ("lock hunter22", "lock"),
            ("invite", "invite"),
            ("invite once 1h", "invite"),
            ("join 10.0.0.1", "join"),
            ("remove ana", "remove"),
            ("kick ana", "kick"),
            ("ignore ana", "ignore"),
            ("steward ana", "steward"),
        ] {
            assert_eq!(doubt(line), Some(Doubt::Say(meant)), "{line:?}");
            assert!(certain(line).is_ok(), "in a pipe it is a message: {line:?}");
        }
        for line in [
            "lock the door",
            "invite ana",
            "join",
            "join us later",
            "remove that from it",
            " lock",
            "Lock",
            "kick",
        ] {
            assert_eq!(doubt(line), None, "{line:?}");
        }
        let question = Doubt::Say("lock").question();
        assert_eq!(question, "did you mean /lock? send this as a message?");
    }

    #[test]
    fn sentences_begin_with_a_bare_word_and_go_on() {
        for line in ["send me the file please", "verify this claim", "cancel my subscription"] {
            assert!(is_sentence(line), "{line:?}");
        }
        for line in ["send report.pdf", "/send me the file", "download", "hello to all", ""] {
            assert!(!is_sentence(line), "{line:?}");
        }
    }

    #[test]
    fn an_invitation_and_nothing_else_is_asked_about() {
        let secret = "abcdefg234567".repeat(5);
        let text = format!("klatch:{secret}");
        for line in [
            text.clone(),
            format!("klatch {text}"),
            format!("Klatch {}", text.to_uppercase()),
            format!("  join {text} "),
            format!("klatch get {text}"),
            format!("klatch {} {}", &text[..30], &text[30..]),
        ] {
            let Some(Doubt::Enter(enters)) = doubt(&line) else { panic!("{line:?}") };
            assert_eq!(enters.to_lowercase(), format!("/join {text}"));
            assert!(!Doubt::Enter(enters).about(&line).contains("abc"));
            let failure = certain(&line).unwrap_err();
            assert_eq!(failure.code, Code::DidYouMean);
            assert!(failure.text.contains("/join") && failure.text.contains("/say"));
            assert!(!failure.text.contains("abc"), "{}", failure.text);
        }
        for line in [
            format!("come here: {text}"),
            format!("{text} and be quick"),
            format!("/join {text}"),
            format!("connect {text}"),
            format!("say {text}"),
            "klatch: I wonder".into(),
            "klatch:hello".into(),
            "join klatch:".into(),
        ] {
            assert_eq!(doubt(&line).filter(|of| matches!(of, Doubt::Enter(_))), None, "{line:?}");
            assert!(certain(&line).is_ok(), "{line:?}");
        }
    }

    #[test]
    fn a_question_shows_what_it_is_about_without_its_secrets() {
        for (line, about) in [
            ("pasword hunter22", "pasword •••"),
            (" password hunter22", "password •••"),
            ("password is what you need", "password •••"),
            ("lock hunter22", "lock •••"),
            ("lock", "\"lock\""),
            ("leave me\tal\u{202e}one", "\"leave me\\u{9}al\\u{202e}one\""),
        ] {
            assert_eq!(doubt(line).unwrap().about(line), about, "{line:?}");
        }
        let long = format!("leave {}", "x".repeat(500));
        assert!(doubt(&long).unwrap().about(&long).chars().count() < 70);
    }
}
