//! What a page says: one JSON object per message, first its key, then commands.

use serde::Deserialize;

use crate::config::DEFAULT_PORT;
use crate::router::command::{Command, LockWish};
use crate::router::ids::FileId;
use crate::router::notice::{Code, Failure};
use crate::router::text::{TextError, check_message, check_name};
use crate::ui::address::read_address;
use crate::ui::command::read_password;

/// A page's first message.
#[derive(Deserialize)]
pub(super) struct Greeting {
    pub(super) hello: Hello,
}

/// What it opens the bridge with.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Hello {
    /// A code out of an address.
    Code(String),
    /// The token of an earlier visit.
    Token(String),
}

/// A command, numbered by the page.
#[derive(Deserialize)]
pub(super) struct Given {
    pub(super) line: u64,
    #[serde(flatten)]
    pub(super) order: Order,
}

/// Any message with a number, whatever else is wrong with it.
#[derive(Deserialize)]
struct Numbered {
    line: u64,
}

#[derive(Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub(super) enum Order {
    Connect {
        address: String,
        port: Option<u16>,
        #[serde(default)]
        locked: bool,
        password: Option<String>,
    },
    Password {
        password: String,
    },
    Unlock,
    Say {
        text: String,
    },
    Download {
        file: FileId,
    },
    Cancel {
        file: FileId,
    },
    Withdraw {
        file: FileId,
    },
    Name {
        name: String,
    },
    Leave,
    Quit,
    Members,
    Files,
    Transfers,
    History {
        before: Option<String>,
        count: usize,
    },
    Media {
        file: FileId,
    },
    SuggestPassword,
}

/// Who answers a command.
pub(super) enum For {
    Router(Command),
    /// The bridge: entries of the history.
    History {
        before: Option<String>,
        count: usize,
    },
    /// The bridge: where a file can be looked at.
    Media(FileId),
    /// The bridge: a password that is easy to dictate.
    Suggestion,
}

/// Reads a command.
///
/// # Errors
/// What is wrong with it, with its number if it has one.
pub(super) fn read(text: &str) -> Result<Given, (Option<u64>, Failure)> {
    serde_json::from_str(text).map_err(|error| {
        let line = serde_json::from_str(text).map(|Numbered { line }| line).ok();
        let kind = match error.classify() {
            serde_json::error::Category::Data => "no command of this klatch",
            _ => "no JSON",
        };
        // What was sent is not repeated: it may hold a password.
        let text = format!("the page sent something that is {kind}: reload it");
        (line, Failure::new(Code::Usage, text))
    })
}

impl Order {
    /// Who is to do it, with valid values.
    ///
    /// # Errors
    /// `usage`, `bad_address`, `message_too_long`, `password_too_short`.
    pub(super) fn addressed(self) -> Result<For, Failure> {
        Ok(For::Router(match self {
            Self::Connect { address, port, locked, password } => {
                connect(&address, port, locked, password)?
            }
            Self::Password { password } => {
                Command::Password { password: Some(read_password(&password)?) }
            }
            Self::Unlock => Command::Unlock,
            Self::Say { text } => {
                check_message(&text).map_err(text_failure)?;
                Command::Say { text }
            }
            Self::Download { file } => {
                Command::Download { wanted: file.to_string(), patient: true }
            }
            Self::Cancel { file } | Self::Withdraw { file } => {
                Command::Cancel { wanted: file.to_string() }
            }
            Self::Name { name } => {
                Command::Name { name: check_name(name.trim()).map_err(text_failure)? }
            }
            Self::Leave => Command::Leave,
            // As for a person at the terminal: who would cut others off is told so first.
            Self::Quit => Command::QuitWhenServed { asks: true },
            Self::Members => Command::Members,
            Self::Files => Command::Files,
            Self::Transfers => Command::Transfers,
            Self::History { before, count } => return Ok(For::History { before, count }),
            Self::Media { file } => return Ok(For::Media(file)),
            Self::SuggestPassword => return Ok(For::Suggestion),
        }))
    }

    /// The word that answers name.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Password { .. } => "password",
            Self::Unlock => "unlock",
            Self::Say { .. } => "say",
            Self::Download { .. } => "download",
            Self::Cancel { .. } => "cancel",
            Self::Withdraw { .. } => "withdraw",
            Self::Name { .. } => "name",
            Self::Leave => "leave",
            Self::Quit => "quit",
            Self::Members => "members",
            Self::Files => "files",
            Self::Transfers => "transfers",
            Self::History { .. } => "history",
            Self::Media { .. } => "media",
            Self::SuggestPassword => "suggest_password",
        }
    }
}

/// An address may carry its port, as it does in the line that others are told to type.
fn connect(
    address: &str,
    port: Option<u16>,
    locked: bool,
    password: Option<String>,
) -> Result<Command, Failure> {
    let (host, own_port) = read_address(address.trim())?;
    let port = own_port.or(port).unwrap_or(DEFAULT_PORT);
    let lock = match (password, locked) {
        (Some(password), _) => LockWish::Password(read_password(&password)?),
        (None, true) => LockWish::Locked,
        (None, false) => LockWish::Unknown,
    };
    Ok(Command::Connect { host, port, lock })
}

fn text_failure(error: TextError) -> Failure {
    let code = match error {
        TextError::TooLong { .. } => Code::MessageTooLong,
        _ => Code::Usage,
    };
    Failure::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(text: &str) -> Result<Command, Failure> {
        let given = read(text).unwrap_or_else(|(_, failure)| panic!("{text}: {failure:?}"));
        match given.order.addressed()? {
            For::Router(command) => Ok(command),
            _ => panic!("{text} is the bridge's own"),
        }
    }

    #[test]
    fn commands_become_what_lines_of_the_terminal_become() {
        let host = || "192.168.1.5".to_owned();
        let connect = |port, lock| Ok(Command::Connect { host: host(), port, lock });
        let text = r#"{"line":1,"command":"connect","address":"192.168.1.5","port":5000}"#;
        assert_eq!(command(text), connect(5_000, LockWish::Unknown));
        let text = r#"{"line":1,"command":"connect","address":" 192.168.1.5:7 ","locked":true}"#;
        assert_eq!(command(text), connect(7, LockWish::Locked));
        let text = r#"{"line":1,"command":"say","text":"two\nlines"}"#;
        assert_eq!(command(text), Ok(Command::Say { text: "two\nlines".into() }));
        let text = r#"{"line":9,"command":"unlock"}"#;
        assert_eq!(command(text), Ok(Command::Unlock));
    }

    #[test]
    fn wrong_values_are_refused_as_in_the_terminal() {
        let code = |text| command(text).unwrap_err().code;
        let long = "x".repeat(8 * 1024 + 1);
        let say = format!(r#"{{"line":1,"command":"say","text":"{long}"}}"#);
        assert_eq!(code(&say), Code::MessageTooLong);
        for (text, wanted) in [
            (r#"{"line":1,"command":"say","text":"\u001b[2J"}"#, Code::Usage),
            (r#"{"line":1,"command":"name","name":"a:b"}"#, Code::Usage),
            (r#"{"line":1,"command":"password","password":"short"}"#, Code::PasswordTooShort),
            (r#"{"line":1,"command":"connect","address":"a b"}"#, Code::BadAddress),
        ] {
            assert_eq!(code(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_command_is_answered_under_its_number_if_it_has_one() {
        for (text, line) in [
            ("", None),
            ("{", None),
            ("[]", None),
            (r#"{"line":-1,"command":"quit"}"#, None),
            (r#"{"line":3}"#, Some(3)),
            (r#"{"line":3,"command":"send","path":"/etc/passwd"}"#, Some(3)),
            (r#"{"line":3,"command":"download","file":"abc"}"#, Some(3)),
        ] {
            let (numbered, failure) = read(text).err().unwrap();
            assert_eq!((numbered, failure.code), (line, Code::Usage), "{text}");
        }
    }
}
