//! Messages from a page: one JSON object each, first the key, then commands.

use serde::Deserialize;

use crate::config::DEFAULT_PORT;
use crate::router::command::{Command, LeaveWhen, LockWish, NewPassword};
use crate::router::ids::{EntryId, FileId};
use crate::router::notice::{Code, Failure};
use crate::router::part::PathPattern;
use crate::router::text::{TextError, check_message, check_name};
use crate::ui::address::{read_address, read_port};
use crate::ui::command::read_password;
use crate::ui::slash::{HOUR_MS, INVITE_MAX_HOURS, invitation};

/// A page's first message.
#[derive(Deserialize)]
pub(super) struct TabGreeting {
    pub(super) hello: TabHello,
}

/// What it shows to open the bridge.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TabHello {
    /// A code from an address.
    Code(String),
    /// The token of an earlier visit.
    Token(String),
}

/// A command, numbered by the page.
#[derive(Deserialize)]
pub(super) struct Given {
    pub(super) line: u64,
    #[serde(flatten)]
    pub(super) order: TabOrder,
}

/// Any message with a number, whatever else is wrong with it.
#[derive(Deserialize)]
struct Numbered {
    line: u64,
}

/// One offer, or many.
#[derive(Deserialize)]
pub(super) struct Offers {
    offer: Option<EntryId>,
    #[serde(default)]
    offers: Vec<EntryId>,
}

impl Offers {
    fn all(self) -> Vec<EntryId> {
        self.offer.into_iter().chain(self.offers).collect()
    }
}

#[derive(Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub(super) enum TabOrder {
    Connect {
        address: String,
        port: Option<u16>,
        #[serde(default)]
        locked: bool,
        password: Option<String>,
    },
    /// Without a password only invitations let people in.
    Password {
        password: Option<String>,
    },
    Unlock,
    Invite {
        #[serde(default)]
        once: bool,
        /// From an hour to a week; without it a day.
        hours: Option<u64>,
    },
    /// Ends this node's invitations.
    InviteOff,
    Remove {
        nick: String,
        #[serde(default)]
        off: bool,
    },
    Steward {
        nick: String,
        #[serde(default)]
        off: bool,
    },
    Ignore {
        nick: String,
        #[serde(default)]
        off: bool,
    },
    Verify {
        nick: String,
        #[serde(default)]
        same: bool,
    },
    /// The answer to a yes-or-no question.
    Confirm {
        /// The command that asked.
        of: u64,
        yes: bool,
        /// Whether the person gives up the command.
        #[serde(default)]
        cancel: bool,
    },
    /// The answer to the question for a new password.
    GivePassword {
        /// The command that asked.
        of: u64,
        /// As for `Password`.
        password: Option<String>,
        /// Whether the person wants no change at all.
        #[serde(default)]
        cancel: bool,
    },
    Say {
        text: String,
    },
    /// Fetches the file in an offer.
    Download {
        offer: EntryId,
        /// Of a folder only these files and folders, by their paths in it.
        paths: Option<Vec<String>>,
    },
    /// Stops fetching a file.
    Cancel {
        file: FileId,
    },
    /// For a while `restore` can undo it.
    Withdraw(Offers),
    Restore(Offers),
    /// Ends a `connect` that is in progress.
    GiveUp {
        /// The number of that command.
        of: u64,
    },
    Name {
        name: String,
    },
    Leave,
    Quit,
    Members,
    /// All offers, or what is in the folder of an offer, there where a path leads.
    Files {
        offer: Option<EntryId>,
        #[serde(default)]
        path: String,
    },
    Transfers,
    History {
        before: Option<String>,
        count: usize,
    },
    Media {
        offer: EntryId,
    },
    SuggestPassword,
}

/// Who answers a command.
pub(super) enum For {
    Router(Command),
    /// The router, for a command that asked a yes-or-no question.
    Confirmed {
        of: u64,
        yes: Option<bool>,
    },
    /// The router, for a command that asked for a new password.
    Password {
        of: u64,
        password: Option<NewPassword>,
    },
    /// The bridge: entries of the history.
    History {
        before: Option<String>,
        count: usize,
    },
    /// The bridge: where a file can be viewed.
    Media(EntryId),
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
        // The input is not repeated, because it may contain a password.
        let text = format!("the page sent something that is {kind}: reload it");
        (line, Failure::new(Code::Usage, text))
    })
}

impl TabOrder {
    /// Who should carry it out, with valid values.
    ///
    /// # Errors
    /// `usage`, `bad_address`, `message_too_long`, `password_too_short`.
    pub(super) fn addressed(self) -> Result<For, Failure> {
        Ok(For::Router(match self {
            Self::Connect { address, port, locked, password } => {
                connect(&address, port, locked, password)?
            }
            Self::Password { password } => {
                Command::Password { password: Some(new_password(password)?), asks: true }
            }
            Self::Unlock => Command::Unlock,
            Self::Invite { once, hours } => {
                Command::Invite { once, for_ms: hours.map(invite_ms).transpose()? }
            }
            Self::InviteOff => Command::InviteOff,
            Self::Remove { nick, off } => Command::Remove { nick, undo: off, asks: true },
            Self::Steward { nick, off } => Command::Steward { nick, off },
            Self::Ignore { nick, off } => Command::Ignore { nick, off },
            Self::Verify { nick, same } => Command::Verify { nick, same },
            Self::Confirm { of, yes, cancel } => {
                let yes = (!cancel).then_some(yes);
                return Ok(For::Confirmed { of, yes });
            }
            Self::GivePassword { of, cancel: true, .. } => {
                return Ok(For::Password { of, password: None });
            }
            Self::GivePassword { of, password, .. } => {
                return Ok(For::Password { of, password: Some(new_password(password)?) });
            }
            Self::Say { text } => {
                check_message(&text).map_err(text_failure)?;
                Command::Say { text }
            }
            Self::Download { offer, paths } => {
                let (wanted, paths) = (offer.to_string(), selected(paths)?);
                Command::Download { wanted, paths, patient: true, asks: false }
            }
            Self::Cancel { file } => Command::Cancel { wanted: file.to_string() },
            Self::Withdraw(offers) => Command::Withdraw { offers: offers.all() },
            Self::Restore(offers) => Command::Restore { offers: offers.all() },
            Self::GiveUp { of } => Command::GiveUp { of },
            Self::Name { name } => {
                Command::Name { name: check_name(name.trim()).map_err(text_failure)? }
            }
            // The page asks its person first, and says what would be cut off.
            Self::Leave => Command::Leave(LeaveWhen::Now),
            Self::Quit => Command::Quit(LeaveWhen::Now),
            Self::Members => Command::Members,
            Self::Files { offer: None, .. } => Command::Files,
            Self::Files { offer: Some(offer), path } => {
                Command::Inside { wanted: offer.to_string(), path: Some(path) }
            }
            Self::Transfers => Command::Transfers,
            Self::History { before, count } => return Ok(For::History { before, count }),
            Self::Media { offer } => return Ok(For::Media(offer)),
            Self::SuggestPassword => return Ok(For::Suggestion),
        }))
    }

    /// The word by which answers name it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Password { .. } => "password",
            Self::Unlock => "unlock",
            Self::Invite { .. } | Self::InviteOff => "invite",
            Self::Remove { .. } => "remove",
            Self::Steward { .. } => "steward",
            Self::Ignore { .. } => "ignore",
            Self::Verify { .. } => "verify",
            Self::Confirm { .. } => "confirm",
            Self::GivePassword { .. } => "give_password",
            Self::Say { .. } => "say",
            Self::Download { .. } => "download",
            Self::Cancel { .. } => "cancel",
            Self::Withdraw(_) => "withdraw",
            Self::Restore(_) => "restore",
            Self::GiveUp { .. } => "give_up",
            Self::Name { .. } => "name",
            Self::Leave => "leave",
            Self::Quit => "quit",
            Self::Members => "members",
            Self::Files { .. } => "files",
            Self::Transfers => "transfers",
            Self::History { .. } => "history",
            Self::Media { .. } => "media",
            Self::SuggestPassword => "suggest_password",
        }
    }
}

/// Paths are meant literally, whatever characters are in them.
fn selected(paths: Option<Vec<String>>) -> Result<Vec<PathPattern>, Failure> {
    match paths {
        Some(paths) if paths.is_empty() => {
            let text = "nothing of the folder is selected: select something in it";
            Err(Failure::new(Code::Usage, text))
        }
        paths => Ok(paths.iter().flatten().map(|path| PathPattern::of_path(path)).collect()),
    }
}

fn new_password(typed: Option<String>) -> Result<NewPassword, Failure> {
    typed.map_or(Ok(NewPassword::Nothing), |typed| read_password(&typed).map(NewPassword::Set))
}

fn invite_ms(hours: u64) -> Result<u64, Failure> {
    match hours {
        1..=INVITE_MAX_HOURS => Ok(hours * HOUR_MS),
        _ => Err(Failure::new(Code::Usage, "an invitation lasts from an hour to 7 days")),
    }
}

/// An invitation is accepted in place of an address. An address may contain its port, as in the
/// line that others are told to type.
fn connect(
    address: &str,
    port: Option<u16>,
    locked: bool,
    password: Option<String>,
) -> Result<Command, Failure> {
    if let Some(join) = invitation(address) {
        return join;
    }
    let (host, own_port) = read_address(address.trim())?;
    let port = own_port.or(port).map(|port| read_port(&port.to_string())).transpose()?;
    let port = port.unwrap_or(DEFAULT_PORT);
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
    fn what_concerns_folders_is_read() {
        let id = "0a".repeat(32);
        let of = |rest: &str| format!(r#"{{"line":1,"offer":"{id}","command":{rest}}}"#);
        let inside = |path: &str| {
            let path = Some(path.to_owned());
            Ok(Command::Inside { wanted: id.clone(), path })
        };
        assert_eq!(command(&of(r#""files""#)), inside(""));
        assert_eq!(command(&of(r#""files","path":"2024/""#)), inside("2024/"));
        assert_eq!(command(r#"{"line":1,"command":"files"}"#), Ok(Command::Files));
        let download = |paths: &[&str]| {
            let paths = paths.iter().map(|path| PathPattern::Exact((*path).to_owned())).collect();
            Ok(Command::Download { wanted: id.clone(), paths, patient: true, asks: false })
        };
        assert_eq!(command(&of(r#""download""#)), download(&[]));
        let two = of(r#""download","paths":["a[1].jpg","2024/**"]"#);
        assert_eq!(command(&two), download(&["a[1].jpg", "2024"]));
        let none = of(r#""download","paths":[]"#);
        assert_eq!(command(&none).unwrap_err().code, Code::Usage);
    }

    #[test]
    fn what_concerns_members_is_read() {
        let remove = |off: &str| format!(r#"{{"line":1,"command":"remove","nick":"eve"{off}}}"#);
        let removed = |undo| Command::Remove { nick: "eve".into(), undo, asks: true };
        assert_eq!(command(&remove("")), Ok(removed(false)));
        assert_eq!(command(&remove(r#","off":true"#)), Ok(removed(true)));
        let open = r#"{"line":1,"command":"password"}"#;
        let nothing = Command::Password { password: Some(NewPassword::Nothing), asks: true };
        assert_eq!(command(open), Ok(nothing));
        let invite = r#"{"line":1,"command":"invite","once":true,"hours":168}"#;
        let week = Command::Invite { once: true, for_ms: Some(168 * HOUR_MS) };
        assert_eq!(command(invite), Ok(week));
        let invite = r#"{"line":1,"command":"invite","hours":169}"#;
        assert_eq!(command(invite).unwrap_err().code, Code::Usage);
        let off = r#"{"line":1,"command":"invite_off"}"#;
        assert_eq!(command(off), Ok(Command::InviteOff));
        let damaged = r#"{"line":1,"command":"connect","address":"klatch klatch:abc"}"#;
        assert_eq!(command(damaged).unwrap_err().code, Code::BadAddress);
    }

    #[test]
    fn answers_to_questions_name_the_command_that_asked() {
        let answer = |text: &str| read(text).ok().unwrap().order.addressed();
        let yes = answer(r#"{"line":9,"command":"confirm","of":8,"yes":true}"#);
        assert!(matches!(yes, Ok(For::Confirmed { of: 8, yes: Some(true) })));
        let given_up = answer(r#"{"line":9,"command":"confirm","of":8,"yes":false,"cancel":true}"#);
        assert!(matches!(given_up, Ok(For::Confirmed { of: 8, yes: None })));
        let none = answer(r#"{"line":9,"command":"give_password","of":8}"#);
        let nothing = Some(NewPassword::Nothing);
        assert!(matches!(none, Ok(For::Password { of: 8, password }) if password == nothing));
        let no = answer(r#"{"line":9,"command":"give_password","of":8,"cancel":true}"#);
        assert!(matches!(no, Ok(For::Password { of: 8, password: None })));
        let short = answer(r#"{"line":9,"command":"give_password","of":8,"password":"short"}"#);
        assert!(short.is_err_and(|failure| failure.code == Code::PasswordTooShort));
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
            (r#"{"line":3,"command":"download","offer":"abc"}"#, Some(3)),
        ] {
            let (numbered, failure) = read(text).err().unwrap();
            assert_eq!((numbered, failure.code), (line, Code::Usage), "{text}");
        }
    }
}
