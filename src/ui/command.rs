//! The line grammar: what a person or a pipe writes on one line becomes one [`Input`].
//!
//! A line is a command when it starts with a command's word, in lower case, or with `/`; anything
//! else is a message. A command's word in a line that does not fit the command's form is an error
//! and never a message: what was meant for klatch does not reach the room.

use super::address::{is_number, read_address, read_port};
use super::rate::parse_rate;
use crate::config::DEFAULT_PORT;
use crate::crypto::password::{Password, PasswordError};
use crate::router::command::{Command, LockWish, Wait};
use crate::router::near::nearest;
use crate::router::notice::{Code, Failure};
use crate::router::text::{TextError, Untrusted, check_message, check_name, is_control};

/// How long `wait` waits unless told.
pub const WAIT_DEFAULT_MS: u64 = 60_000;
/// The help texts start two after this column; a longer form gets a line of its own.
const HELP_COLUMN: usize = 25;
/// A line of help fits a terminal of 80 columns, with the mark that stands before it.
const HELP_WIDTH: usize = 78;
/// What errors show of a text at most, in characters.
const SHOWN_MAX_CHARS: usize = 60;

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Nothing: the line is ignored.
    Empty,
    /// Something for the router.
    Command(Command),
    /// Help about everything or about one of the words of [`COMMANDS`]: see [`help_lines`].
    Help(Option<String>),
    /// A fresh address of the page, which the program prints itself.
    Browser,
}

/// One row of the help, and how the rest of such a line is read.
#[derive(Debug)]
pub struct CommandHelp {
    /// The word that starts the line.
    pub word: &'static str,
    /// The whole form, for people.
    pub form: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    read: fn(&str) -> Result<Input, Misfit>,
}

/// Why the rest of a line was not taken.
enum Misfit {
    /// It does not fit the command's form.
    Form,
    /// It fits, and this is wrong with it.
    Failure(Failure),
}

impl From<Failure> for Misfit {
    fn from(failure: Failure) -> Self {
        Misfit::Failure(failure)
    }
}

macro_rules! commands {
    ($($form:literal, $help:literal, $word:literal => $read:expr;)*) => {
        /// Every command, in the order in which `help` shows them.
        pub const COMMANDS: &[CommandHelp] =
            &[$(CommandHelp { word: $word, form: $form, help: $help, read: $read }),*];
    };
}

commands! {
    "connect <address> [<port>] [locked]",
    "link with a peer; `locked`: only if its room is",
    "connect" => connect;

    "password [<password>]", "lock the room, or change its password",
    "password" => password;

    "unlock", "open the room again",
    "unlock" => |rest| alone(rest, Command::Unlock);

    "send <path>", "offer a file to everyone",
    "send" => |rest| with_text(rest, |path| Command::Send { paths: candidates(path, home()) });

    "download <filename or id>", "fetch a file from everyone who has it",
    "download" => |rest| with_text(rest, download);

    "cancel <filename or id>", "stop a download (again: its part too), or an offer",
    "cancel" => |rest| with_text(rest, |text| Command::Cancel { wanted: text.to_owned() });

    "files", "what is offered here",
    "files" => |rest| alone(rest, Command::Files);

    "members", "who is here",
    "members" => |rest| alone(rest, Command::Members);

    "transfers", "what is moving",
    "transfers" => |rest| alone(rest, Command::Transfers);

    "name <nick>", "change your nickname",
    "name" => name;

    "say <text>", "send a text that starts with a command's word",
    "say" => |rest| say(unquoted(some(rest)?)).map_err(Misfit::Failure);

    "wait <seconds> | members <n> | file <name> | message <text> | downloads [within <seconds>]",
    "for scripts: wait until it holds",
    "wait" => wait;

    "limit up|down <rate|off>", "what files may take: limit up 5MB/s, limit down off",
    "limit" => limit;

    "doctor", "what is wrong, and what to do",
    "doctor" => |rest| alone(rest, Command::Doctor);

    "verify <nick> [same]", "compare short words; `same`: you did, and they are",
    "verify" => |rest| verify(some(unquoted(rest))?);

    "browser", "a fresh address of this room's page, good once",
    "browser" => |_| Ok(Input::Browser);

    "leave", "into a fresh room, alone",
    "leave" => |rest| alone(rest, Command::LeaveWhenServed { asks: false });

    "quit", "end klatch",
    "quit" => |rest| alone(rest, Command::QuitWhenServed { asks: false });

    "help [<command>]", "this list, or one line of it",
    "help" => help;
}

/// Reads one line, without its line feed.
///
/// # Errors
/// `usage` for a command whose form is missed and for control characters, `unknown_command` after
/// a `/`, and what is wrong with an address, a password, a name or a message.
pub fn parse(line: &str) -> Result<Input, Failure> {
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.trim().is_empty() {
        return Ok(Input::Empty);
    }
    if let Some(c) = line.chars().find(|&c| is_control(c) && c != '\t') {
        return Err(text_failure(TextError::Control(c as u32)));
    }
    let body = line.strip_prefix('/');
    let (word, rest) = split_word(body.unwrap_or(line));
    match find(word) {
        Some(command) => (command.read)(rest.trim()).map_err(|misfit| match misfit {
            Misfit::Form => form_failure(command),
            Misfit::Failure(failure) => failure,
        }),
        None if body.is_some() => {
            let (near, word) = (near_command(word), shown(&format!("/{word}")));
            let text = format!(
                "there is no command {word}{near}: help shows them all (to say it: say /…)"
            );
            Err(Failure::new(Code::UnknownCommand, text))
        }
        None => say(line),
    }
}

/// Reads the argument of the option `--connect`: `ADDR[:PORT]`.
///
/// # Errors
/// `bad_address`.
pub fn connect_argument(text: &str) -> Result<Command, Failure> {
    let (host, port) = read_address(text.trim())?;
    Ok(Command::Connect { host, port: port.unwrap_or(DEFAULT_PORT), lock: LockWish::Unknown })
}

/// A text that is a message whatever it begins with; line breaks are allowed.
///
/// # Errors
/// What is wrong with it.
pub fn message(text: &str) -> Result<Input, Failure> {
    say(text)
}

/// What `help` prints: every command, or the one that is named; one line per element.
#[must_use]
pub fn help_lines(topic: Option<&str>) -> Vec<String> {
    if let Some(command) = topic.and_then(find) {
        return vec![format!("{}: {}", command.form, command.help)];
    }
    let mut lines = Vec::new();
    for CommandHelp { form, help, .. } in COMMANDS {
        if form.len() > HELP_COLUMN {
            lines.extend(form_lines(form));
            lines.push(format!("{:HELP_COLUMN$}  {help}", ""));
        } else {
            lines.push(format!("{form:HELP_COLUMN$}  {help}"));
        }
    }
    lines.push("anything else is a message to the room; a leading / always means a command".into());
    lines
}

/// A form, on a second line from its last alternative on where it is too long for one.
fn form_lines(form: &str) -> Vec<String> {
    match form.rfind(" | ").filter(|_| form.len() > HELP_WIDTH) {
        Some(at) => vec![form[..at].to_owned(), format!("   {}", &form[at..])],
        None => vec![form.to_owned()],
    }
}

/// Where a line holds a password: what stands before it, and the password with all that follows.
#[must_use]
pub fn secret_part(line: &str) -> Option<(&str, &str)> {
    let body = line.strip_prefix('/').unwrap_or(line);
    let rest = body.strip_prefix("password")?;
    let secret = rest.trim_start_matches([' ', '\t']);
    let is_word = secret.len() < rest.len() && !secret.is_empty();
    is_word.then(|| line.split_at(line.len() - secret.len()))
}

/// The text for an error message: escaped, and cut when it is long.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN_MAX_CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("\"{}\"", Untrusted::new(short).line())
}

fn find(word: &str) -> Option<&'static CommandHelp> {
    COMMANDS.iter().find(|command| command.word == word)
}

/// ` (did you mean password?)`, of a word that is nearly one.
fn near_command(word: &str) -> String {
    let near = nearest(word, COMMANDS.iter().map(|command| command.word));
    near.map_or_else(String::new, |near| format!(" (did you mean {near}?)"))
}

fn split_word(text: &str) -> (&str, &str) {
    text.split_once([' ', '\t']).unwrap_or((text, ""))
}

/// The arguments are not repeated: they may hold a password in the wrong place.
fn form_failure(command: &CommandHelp) -> Failure {
    let CommandHelp { word, form, .. } = command;
    let text = format!("{word} is used as: {form} (did you mean to say it? say {word} …)");
    Failure::new(Code::Usage, text)
}

fn text_failure(error: TextError) -> Failure {
    let code = match error {
        TextError::TooLong { .. } => Code::MessageTooLong,
        _ => Code::Usage,
    };
    Failure::new(code, error.to_string())
}

fn some(rest: &str) -> Result<&str, Misfit> {
    if rest.is_empty() { Err(Misfit::Form) } else { Ok(rest) }
}

fn alone(rest: &str, command: Command) -> Result<Input, Misfit> {
    if rest.is_empty() { Ok(Input::Command(command)) } else { Err(Misfit::Form) }
}

fn limit(rest: &str) -> Result<Input, Misfit> {
    let (way, rate) = some(rest)?.split_once(char::is_whitespace).ok_or(Misfit::Form)?;
    let up = match way {
        "up" => true,
        "down" => false,
        _ => return Err(Misfit::Form),
    };
    let failure = |text| Misfit::Failure(Failure::new(Code::Usage, format!("limit: {text}")));
    let bytes_per_second = parse_rate(rate).map_err(failure)?;
    Ok(Input::Command(Command::Limit { up, bytes_per_second }))
}

/// A download that fails without a host: whoever goes on typing meanwhile sets it to be patient.
fn download(wanted: &str) -> Command {
    Command::Download { wanted: wanted.to_owned(), patient: false }
}

fn with_text(rest: &str, command: impl FnOnce(&str) -> Command) -> Result<Input, Misfit> {
    Ok(Input::Command(command(some(unquoted(rest))?)))
}

fn say(text: &str) -> Result<Input, Failure> {
    check_message(text).map_err(text_failure)?;
    Ok(Input::Command(Command::Say { text: text.to_owned() }))
}

/// A nickname may have spaces, and the last word may be what says that the words are the same.
fn verify(rest: &str) -> Result<Input, Misfit> {
    let (nick, same) = match rest.strip_suffix(" same") {
        Some(nick) => (unquoted(nick), true),
        None => (rest, false),
    };
    Ok(Input::Command(Command::Verify { nick: some(nick)?.to_owned(), same }))
}

fn name(rest: &str) -> Result<Input, Misfit> {
    let name = check_name(some(unquoted(rest))?).map_err(text_failure)?;
    Ok(Input::Command(Command::Name { name }))
}

fn password(rest: &str) -> Result<Input, Misfit> {
    let password = match rest {
        "" => None,
        given => Some(read_password(unquoted(given))?),
    };
    Ok(Input::Command(Command::Password { password }))
}

/// Makes a password of a text, wherever it was typed.
///
/// # Errors
/// `password_too_short`; `usage` for what else a password may not be.
pub fn read_password(text: &str) -> Result<Password, Failure> {
    Password::new(text).map_err(|error| {
        let code = match error {
            PasswordError::TooShort { .. } => Code::PasswordTooShort,
            _ => Code::Usage,
        };
        Failure::new(code, error.to_string())
    })
}

fn help(rest: &str) -> Result<Input, Misfit> {
    let word = rest.strip_prefix('/').unwrap_or(rest);
    match find(word) {
        Some(_) => Ok(Input::Help(Some(word.to_owned()))),
        None if rest.is_empty() => Ok(Input::Help(None)),
        None if word.contains([' ', '\t']) => Err(Misfit::Form),
        None => {
            let (near, word) = (near_command(word), shown(word));
            let text = format!(
                "there is no command {word}{near}: help alone shows them all (did you mean to say \
                 it? say help …)"
            );
            Err(Failure::new(Code::UnknownCommand, text).into())
        }
    }
}

fn connect(rest: &str) -> Result<Input, Misfit> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (place, lock) = match words.as_slice() {
        [place @ .., "locked"] if !place.is_empty() => (place, LockWish::Locked),
        place => (place, LockWish::Unknown),
    };
    let (host, port) = match *place {
        [address] => read_address(address)?,
        [address, port] if is_number(port) => {
            let (host, None) = read_address(address)? else { return Err(Misfit::Form) };
            (host, Some(read_port(port)?))
        }
        _ => return Err(Misfit::Form),
    };
    let port = port.unwrap_or(DEFAULT_PORT);
    Ok(Input::Command(Command::Connect { host, port, lock }))
}

fn wait(rest: &str) -> Result<Input, Misfit> {
    let (rest, within_ms) = split_within(rest);
    let (kind, argument) = split_word(rest);
    let argument = argument.trim();
    let what = match kind {
        "members" if is_number(argument) => {
            Wait::Members(argument.parse().map_err(|_| Misfit::Form)?)
        }
        "file" => Wait::File(some(unquoted(argument))?.to_owned()),
        "message" => Wait::Message(some(unquoted(argument))?.to_owned()),
        "downloads" if argument.is_empty() => Wait::Downloads,
        seconds if argument.is_empty() => Wait::Time(read_seconds(seconds).ok_or(Misfit::Form)?),
        _ => return Err(Misfit::Form),
    };
    let default_ms = match what {
        // Passing time is the point of it: its own end comes first.
        Wait::Time(time_ms) => time_ms.saturating_add(WAIT_DEFAULT_MS),
        _ => WAIT_DEFAULT_MS,
    };
    let within_ms = within_ms.unwrap_or(default_ms);
    Ok(Input::Command(Command::Wait { what, within_ms }))
}

/// Takes `within <seconds>` off the end. Inside quotes the last word would end with a quote and
/// be no number, so quotes need no look of their own.
fn split_within(rest: &str) -> (&str, Option<u64>) {
    let taken = || {
        let (before, seconds) = rest.rsplit_once([' ', '\t'])?;
        let within_ms = read_seconds(seconds)?;
        let before = before.trim_end().strip_suffix("within")?;
        before.ends_with([' ', '\t']).then(|| (before.trim_end(), Some(within_ms)))
    };
    taken().unwrap_or((rest, None))
}

/// Decimal seconds such as `2` or `0.25` in milliseconds; what is finer is cut off.
fn read_seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let fraction_ms: u64 =
        fraction.chars().chain("00".chars()).take(3).collect::<String>().parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(fraction_ms)
}

/// Less one enclosing pair of quotes.
fn unquoted(text: &str) -> &str {
    let text = text.trim();
    ['"', '\'']
        .iter()
        .find_map(|&quote| text.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(text)
}

fn home() -> Option<String> {
    etcetera::home_dir().ok()?.into_os_string().into_string().ok()
}

/// The paths that a text may mean: as it stands, then with `~` and `\ ` as a shell would read
/// them, which is what terminals write when a file is dropped on them.
fn candidates(text: &str, home: Option<String>) -> Vec<String> {
    let mut meant = String::with_capacity(text.len());
    let after_tilde =
        text.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let rest = match (after_tilde, home) {
        (Some(rest), Some(home)) => {
            meant.push_str(&home);
            rest
        }
        _ => text,
    };
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = |next: &char| *next == ' ' || next.is_ascii_punctuation();
        match chars.next_if(|next| c == '\\' && escaped(next)) {
            Some(next) => meant.push(next),
            None => meant.push(c),
        }
    }
    let as_it_stands = text.to_owned();
    if meant == as_it_stands { vec![as_it_stands] } else { vec![as_it_stands, meant] }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
