//! The line grammar: one line from a person or a pipe becomes one [`Input`].
//!
//! A line is a command if it starts with a word of [`COMMANDS`], in lower case, or with `/`;
//! anything else is a message. The words of [`SLASH_COMMANDS`] are commands only after a `/`. A
//! line that starts with a command's word but does not have the command's form is an error and
//! never a message: what was meant for klatch does not reach the room.

use super::address::{is_number, read_address, read_port};
use super::rate::parse_rate;
use super::slash;
use crate::config::DEFAULT_PORT;
use crate::crypto::password::{Password, PasswordError};
use crate::router::command::{Command, LeaveWhen, LockWish, NewPassword, RateLimit, Wait};
use crate::router::near::nearest;
use crate::router::notice::{Code, Failure};
use crate::router::text::{TextError, Untrusted, check_message, check_name, is_control};

/// Stands for no password at all.
const NO_PASSWORD: &str = "-";
/// How long `wait` waits, unless told otherwise.
pub const WAIT_DEFAULT_MS: u64 = 60_000;
/// Help texts start two columns after this; a longer form gets a line of its own.
const HELP_COLUMN: usize = 26;
/// A line of help fits a terminal of 80 columns, including the mark before it.
const HELP_WIDTH: usize = 78;
/// Most characters of a text that errors show.
const SHOWN_MAX_CHARS: usize = 60;

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Nothing: the line is ignored.
    Empty,
    /// Something for the router.
    Command(Command),
    /// Help about everything or about one command's word: see [`help_lines`].
    Help(Option<String>),
    /// A new address of the page, which the program itself prints.
    Browser,
}

/// A row of the help, with the way to read the rest of such a line.
#[derive(Debug)]
pub struct CommandHelp {
    /// The word that starts the line.
    pub word: &'static str,
    /// The whole form, as shown to people.
    pub form: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    read: fn(&str) -> Result<Input, Misfit>,
}

/// Why the rest of a line was not accepted.
pub(crate) enum Misfit {
    /// It does not have the command's form.
    Form,
    /// It has the form, but this is wrong with it.
    Failure(Failure),
}

impl From<Failure> for Misfit {
    fn from(failure: Failure) -> Self {
        Misfit::Failure(failure)
    }
}

macro_rules! commands {
    ($(#[$doc:meta])* $name:ident:
     $($form:literal, $help:literal, $word:literal => $read:expr;)*) => {
        $(#[$doc])*
        pub const $name: &[CommandHelp] =
            &[$(CommandHelp { word: $word, form: $form, help: $help, read: $read }),*];
    };
}

/// Other words for commands after a `/`.
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("get", "download"),
    ("nick", "name"),
    ("who", "members"),
    ("names", "members"),
    ("ls", "files"),
    ("part", "leave"),
    ("exit", "quit"),
    ("kick", "remove"),
];

/// Words known from other programs that are no commands in klatch, and what to use instead.
const INSTEAD: &[(&str, &str)] = &[
    ("msg", "klatch has no private messages: messages go to everybody in the room (just type)"),
    ("query", "klatch has no private messages: messages go to everybody in the room (just type)"),
    ("resume", "to resume a download, download the same file again: /download <name>"),
    ("discard", "to discard a partial download: /cancel <name or id>"),
    ("me", "klatch has no actions: send a message instead (type it without the /)"),
];

commands! {
    /// Every command that needs no `/`, in the order in which `help` shows them. There will be no
    /// others: a message must not become a command because klatch learned a word.
    COMMANDS:

    "/connect <address> [<port>] [locked]",
    "join a peer's room; `locked`: only a closed one",
    "connect" => connect;

    "/password [<password>]", "close the room, or change its password; -: none",
    "password" => password;

    "/unlock", "open the room again, to anyone who can reach it",
    "unlock" => |rest| alone(rest, Command::Unlock);

    "/send <path>…", "offer files to everyone",
    "send" => |rest| some(unquoted(rest)).map(|_| Input::Command(send(rest)));

    "/download <name, id, glob or all>", "fetch files from everyone who has them",
    "download" => |rest| Ok(Input::Command(download(some(enclosed(rest))?)));

    "/cancel <filename or id>", "stop a download (again: discard it) or an offer",
    "cancel" => |rest| with_text(rest, |text| Command::Cancel { wanted: text.to_owned() });

    "/files [<folder> [<path>]]", "list offers, or what is in a folder",
    "files" => files;

    "/members", "list who is here",
    "members" => |rest| alone(rest, Command::Members);

    "/transfers", "list transfers",
    "transfers" => |rest| alone(rest, Command::Transfers);

    "/name <nick>", "change your nickname",
    "name" => name;

    "/say <text>", "send a text that starts with a command's word",
    "say" => |rest| say(unquoted(some(rest)?)).map_err(Misfit::Failure);

    "/wait <seconds> | members <n> | file <name> | message <text> | downloads [within <seconds>]",
    "for scripts: wait for one of these",
    "wait" => wait;

    "/limit [up|down <rate|off>]", "limit bandwidth: /limit up 5MB/s; alone: show",
    "limit" => limit;

    "/doctor", "find problems, and say what to do",
    "doctor" => |rest| alone(rest, Command::Doctor);

    "/verify <nick> [same]", "compare 4 words; `same`: confirm them",
    "verify" => verify;

    "/browser", "a new address of this room's page, good once",
    "browser" => |rest| if rest.is_empty() { Ok(Input::Browser) } else { Err(Misfit::Form) };

    "/leave", "leave for a new room, alone",
    "leave" => |rest| alone(rest, Command::Leave(LeaveWhen::Served));

    "/quit", "quit klatch",
    "quit" => |rest| alone(rest, Command::Quit(LeaveWhen::Served));

    "/help [<command>]", "this list, or help on one command",
    "help" => help;
}

commands! {
    /// Every command that exists only with `/`, in the order in which `help` shows them.
    SLASH_COMMANDS:

    "/invite [once] [1h|7d] [off]", "close the room, and print an invitation",
    "invite" => slash::invite;

    "/join <invitation>", "join the room that you are invited to",
    "join" => connect;

    "/lock", "like /password, but always asks for it",
    "lock" => slash::lock;

    "/remove <nick> [off]", "remove somebody who came in through you",
    "remove" => slash::remove;

    "/steward <nick> [off]", "founder only: name who may remove others",
    "steward" => slash::steward;

    "/ignore <nick> [off]", "hide somebody, on your side only",
    "ignore" => slash::ignore;
}

/// Reads one line, without its line feed.
///
/// # Errors
/// `usage` for a command in the wrong form and for control characters, `unknown_command` after a
/// `/`, and what is wrong with an address, a password, a name or a message.
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
    match find(word, body.is_some()) {
        Some(command) => (command.read)(rest.trim()).map_err(|misfit| match misfit {
            Misfit::Form => form_failure(command, body.is_some()),
            Misfit::Failure(failure) => failure,
        }),
        None if body.is_some() => {
            if let Some((_, text)) = INSTEAD.iter().find(|(known, _)| *known == word) {
                return Err(Failure::new(Code::UnknownCommand, *text));
            }
            let (near, word) = (near_command(word, "/"), shown(&format!("/{word}")));
            let text = format!(
                "there is no command {word}{near}: /help shows them all (to say it: /say /…)"
            );
            Err(Failure::new(Code::UnknownCommand, text))
        }
        None => say(line),
    }
}

/// Reads where to begin, as given on the command line: an invitation, `ADDR[:PORT]`, or the line
/// that others are told to type.
///
/// # Errors
/// `bad_address`.
pub fn connect_argument(text: &str) -> Result<Command, Failure> {
    let text = text.trim();
    let place = text.strip_prefix("connect ").unwrap_or(text).trim_start();
    match connect(place) {
        Ok(Input::Command(command)) => Ok(command),
        Err(Misfit::Failure(failure)) => Err(failure),
        // Report what is wrong with it as one address.
        _ => {
            let (host, port) = read_address(place)?;
            let port = port.unwrap_or(DEFAULT_PORT);
            Ok(Command::Connect { host, port, lock: LockWish::Unknown })
        }
    }
}

/// A text that is a message whatever it begins with; line breaks are allowed.
///
/// # Errors
/// What is wrong with it.
pub fn message(text: &str) -> Result<Input, Failure> {
    say(text)
}

/// What `help` prints: every command, or the named one; one line per element.
#[must_use]
pub fn help_lines(topic: Option<&str>) -> Vec<String> {
    if let Some(command) = topic.and_then(|word| find(word, true)) {
        return vec![format!("{}: {}", command.form, command.help)];
    }
    let mut lines = Vec::new();
    for CommandHelp { form, help, .. } in COMMANDS.iter().chain(SLASH_COMMANDS) {
        if form.len() > HELP_COLUMN {
            lines.extend(form_lines(form));
            lines.push(format!("{:HELP_COLUMN$}  {help}", ""));
        } else {
            lines.push(format!("{form:HELP_COLUMN$}  {help}"));
        }
    }
    lines.push("anything else is a message; the commands up to /help also work without /".into());
    lines
}

/// A form; if too long for one line, its last alternative goes on a second one.
fn form_lines(form: &str) -> Vec<String> {
    match form.rfind(" | ").filter(|_| form.len() > HELP_WIDTH) {
        Some(at) => vec![form[..at].to_owned(), format!("   {}", &form[at..])],
        None => vec![form.to_owned()],
    }
}

/// If a line contains a password: the text before it, and the password with the rest.
#[must_use]
pub fn secret_part(line: &str) -> Option<(&str, &str)> {
    let body = line.strip_prefix('/').unwrap_or(line);
    // `/lock` refuses a password, but one that is typed there is still a secret.
    let lock = || line.strip_prefix("/lock");
    let rest = body.strip_prefix("password").or_else(lock)?;
    let secret = rest.trim_start_matches([' ', '\t']);
    let is_word = secret.len() < rest.len() && !secret.is_empty();
    is_word.then(|| line.split_at(line.len() - secret.len()))
}

/// Whether a line that begins with this word, or with `/` and this word, is a command.
#[must_use]
pub fn is_command(word: &str, slash: bool) -> bool {
    find(word, slash).is_some()
}

/// Whether a text begins as an invitation does.
#[must_use]
pub fn is_invitation(text: &str) -> bool {
    slash::invitation_part(text).is_some_and(|(open, _)| open.is_empty())
}

/// Whether a line contains something that lets people in: a password, or an invitation.
#[must_use]
pub fn holds_secret(line: &str) -> bool {
    secret_part(line).is_some() || slash::invitation_part(line).is_some()
}

/// The text for an error message: escaped, and shortened if it is long.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN_MAX_CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("\"{}\"", Untrusted::new(short).line())
}

fn find(word: &str, slashed: bool) -> Option<&'static CommandHelp> {
    let alias = ALIASES.iter().find(|(alias, _)| slashed && *alias == word);
    let meant = alias.map_or(word, |(_, meant)| meant);
    let more = || SLASH_COMMANDS.iter().find(|command| slashed && command.word == meant);
    COMMANDS.iter().find(|command| command.word == meant).or_else(more)
}

/// ` (did you mean /password?)`, for a word that is nearly one.
fn near_command(word: &str, mark: &str) -> String {
    let all = COMMANDS.iter().chain(SLASH_COMMANDS).map(|command| command.word);
    let near = nearest(word, all.chain(ALIASES.iter().map(|(alias, _)| *alias)));
    near.map_or_else(String::new, |near| {
        let only_slash = !COMMANDS.iter().any(|command| command.word == near);
        let mark = if only_slash { "/" } else { mark };
        format!(" (did you mean {mark}{near}?)")
    })
}

fn split_word(text: &str) -> (&str, &str) {
    text.split_once([' ', '\t']).unwrap_or((text, ""))
}

/// The arguments are not repeated: they may contain a password in the wrong place.
fn form_failure(command: &CommandHelp, slashed: bool) -> Failure {
    let CommandHelp { word, form, .. } = command;
    let text = match slashed {
        true => format!("/{word} is used as: {form}"),
        false => format!("{word} is used as: {form} (did you mean to say it? /say {word} …)"),
    };
    Failure::new(Code::Usage, text)
}

fn text_failure(error: TextError) -> Failure {
    let code = match error {
        TextError::TooLong { .. } => Code::MessageTooLong,
        _ => Code::Usage,
    };
    Failure::new(code, error.to_string())
}

pub(super) fn some(rest: &str) -> Result<&str, Misfit> {
    if rest.is_empty() { Err(Misfit::Form) } else { Ok(rest) }
}

fn alone(rest: &str, command: Command) -> Result<Input, Misfit> {
    if rest.is_empty() { Ok(Input::Command(command)) } else { Err(Misfit::Form) }
}

fn limit(rest: &str) -> Result<Input, Misfit> {
    if rest.is_empty() {
        return Ok(Input::Command(Command::Limit { change: None }));
    }
    let (way, rate) = some(rest)?.split_once(char::is_whitespace).ok_or(Misfit::Form)?;
    let up = match way {
        "up" => true,
        "down" => false,
        _ => return Err(Misfit::Form),
    };
    let failure = |text| Misfit::Failure(Failure::new(Code::Usage, format!("limit: {text}")));
    let bytes_per_second = parse_rate(rate).map_err(failure)?;
    let change = Some(RateLimit { up, bytes_per_second });
    Ok(Input::Command(Command::Limit { change }))
}

/// A download that fails without a host; a face whose person keeps typing makes it patient.
fn download(wanted: &str) -> Command {
    Command::Download { wanted: wanted.to_owned(), paths: Vec::new(), patient: false, asks: false }
}

/// What is a name and what a path depends on what is offered.
fn files(rest: &str) -> Result<Input, Misfit> {
    Ok(Input::Command(match rest {
        "" => Command::Files,
        wanted => Command::Inside { wanted: wanted.to_owned(), path: None },
    }))
}

fn with_text(rest: &str, command: impl FnOnce(&str) -> Command) -> Result<Input, Misfit> {
    Ok(Input::Command(command(some(unquoted(rest))?)))
}

fn say(text: &str) -> Result<Input, Failure> {
    check_message(text).map_err(text_failure)?;
    Ok(Input::Command(Command::Say { text: text.to_owned() }))
}

fn verify(rest: &str) -> Result<Input, Misfit> {
    slash::nick_and(rest, "same", |nick, same| Command::Verify { nick, same })
}

fn name(rest: &str) -> Result<Input, Misfit> {
    let name = check_name(some(unquoted(rest))?).map_err(text_failure)?;
    Ok(Input::Command(Command::Name { name }))
}

fn password(rest: &str) -> Result<Input, Misfit> {
    let password = match rest {
        "" => None,
        NO_PASSWORD => Some(NewPassword::Nothing),
        given => Some(NewPassword::Set(read_password(unquoted(given))?)),
    };
    Ok(Input::Command(Command::Password { password, asks: false }))
}

/// Reads the answer to the question for a new password for one's own room: `-` means none.
///
/// # Errors
/// As [`read_password`].
pub fn read_new_password(text: &str) -> Result<NewPassword, Failure> {
    match text.trim() {
        NO_PASSWORD => Ok(NewPassword::Nothing),
        _ => read_password(text).map(NewPassword::Set),
    }
}

/// Makes a password from a text, wherever it was typed.
///
/// # Errors
/// `password_too_short`; `usage` for anything else that a password must not be.
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
    match find(word, true) {
        Some(_) => Ok(Input::Help(Some(word.to_owned()))),
        None if rest.is_empty() => Ok(Input::Help(None)),
        None if word.contains([' ', '\t']) => Err(Misfit::Form),
        None => {
            let (near, word) = (near_command(word, "/"), shown(word));
            let text = format!(
                "there is no command {word}{near}: /help alone shows them all (did you mean to \
                 say it? /say help …)"
            );
            Err(Failure::new(Code::UnknownCommand, text).into())
        }
    }
}

fn connect(rest: &str) -> Result<Input, Misfit> {
    if let Some(join) = slash::invitation(rest) {
        return Ok(Input::Command(join?));
    }
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
        // Time passes on purpose here, so the wait's own end comes first.
        Wait::Time(time_ms) => time_ms.saturating_add(WAIT_DEFAULT_MS),
        _ => WAIT_DEFAULT_MS,
    };
    let within_ms = within_ms.unwrap_or(default_ms);
    Ok(Input::Command(Command::Wait { what, within_ms }))
}

/// Removes `within <seconds>` from the end. Inside quotes the last word would end with a quote and
/// not be a number, so quotes need no special handling.
fn split_within(rest: &str) -> (&str, Option<u64>) {
    let taken = || {
        let (before, seconds) = rest.rsplit_once([' ', '\t'])?;
        let within_ms = read_seconds(seconds)?;
        let before = before.trim_end().strip_suffix("within")?;
        before.ends_with([' ', '\t']).then(|| (before.trim_end(), Some(within_ms)))
    };
    taken().unwrap_or((rest, None))
}

/// Decimal seconds such as `2` or `0.25`, in milliseconds; finer digits are dropped.
fn read_seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let fraction_ms: u64 =
        fraction.chars().chain("00".chars()).take(3).collect::<String>().parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(fraction_ms)
}

/// Which files are meant depends on which exist, and so does the meaning of quotes.
fn send(rest: &str) -> Command {
    Command::Send { paths: vec![rest.into()] }
}

/// The same, but words in quotes of their own stay as they are: `"a b/c" "a b/d"`.
fn enclosed(text: &str) -> &str {
    let (inside, text) = (unquoted(text), text.trim());
    let Some(quote) = text.chars().next().filter(|_| inside.len() < text.len()) else {
        return inside;
    };
    // The first word ends before another one begins.
    let ends = inside.split_once(quote).map(|(_, rest)| rest);
    let next =
        ends.is_some_and(|rest| rest.starts_with(' ') && inside.matches(quote).count() % 2 == 0);
    if next { text } else { inside }
}

/// Without one enclosing pair of quotes.
#[must_use]
pub fn unquoted(text: &str) -> &str {
    let text = text.trim();
    ['"', '\'']
        .iter()
        .find_map(|&quote| text.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(text)
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
