//! The rest of a line after the commands that exist only with `/`.

use super::command::{Input, Misfit, shown, some, unquoted};
use crate::router::command::Command;
use crate::router::invite_link::{InviteLink, SCHEME};
use crate::router::notice::{Code, Failure};

/// Milliseconds of an hour.
pub(crate) const HOUR_MS: u64 = 3_600_000;
/// An invitation is valid for at least an hour.
const INVITE_MIN_HOURS: u64 = 1;
/// An invitation is valid for at most a week.
pub(crate) const INVITE_MAX_HOURS: u64 = 7 * 24;
/// An invitation is much longer, and no word in a sentence is this long.
const INVITATION_MIN_CHARS: usize = 20;
/// Text that a person may have copied along with an invitation.
const PROGRAM: &str = "klatch";

/// `/lock`: like a bare `password`. A password on the line would stay on the screen.
pub(super) fn lock(rest: &str) -> Result<Input, Misfit> {
    if !rest.is_empty() {
        let text = "/lock takes nothing on its line: it asks for the password";
        return Err(Failure::new(Code::Usage, text).into());
    }
    Ok(Input::Command(Command::Password { password: None, asks: false }))
}

pub(super) fn invite(rest: &str) -> Result<Input, Misfit> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    if words == ["off"] {
        return Ok(Input::Command(Command::InviteOff));
    }
    let (mut once, mut for_ms) = (false, None);
    for word in words {
        match word {
            "once" if !once => once = true,
            time if for_ms.is_none() && time.starts_with(|c: char| c.is_ascii_digit()) => {
                for_ms = Some(invite_time(time)?);
            }
            _ => return Err(Misfit::Form),
        }
    }
    Ok(Input::Command(Command::Invite { once, for_ms }))
}

/// `1h` to `168h`, `1d` to `7d`.
fn invite_time(text: &str) -> Result<u64, Failure> {
    let read = || {
        let (number, hours) = match text.strip_suffix('h') {
            Some(number) => (number, 1),
            None => (text.strip_suffix('d')?, 24),
        };
        let is_number = number.bytes().all(|b| b.is_ascii_digit());
        let hours = number.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(hours)?;
        (INVITE_MIN_HOURS..=INVITE_MAX_HOURS).contains(&hours).then_some(hours * HOUR_MS)
    };
    read().ok_or_else(|| {
        let text = format!(
            "an invitation cannot last {}: write hours or days, from 1h to 7d",
            shown(text)
        );
        Failure::new(Code::Usage, text)
    })
}

pub(super) fn remove(rest: &str) -> Result<Input, Misfit> {
    nick_and(rest, "off", |nick, undo| Command::Remove { nick, undo, asks: false })
}

pub(super) fn steward(rest: &str) -> Result<Input, Misfit> {
    nick_and(rest, "off", |nick, off| Command::Steward { nick, off })
}

pub(super) fn ignore(rest: &str) -> Result<Input, Misfit> {
    nick_and(rest, "off", |nick, off| Command::Ignore { nick, off })
}

/// A nickname may contain spaces, and one of klatch's words may follow it; in quotes everything is
/// the nickname.
pub(super) fn nick_and(
    rest: &str,
    word: &str,
    command: impl FnOnce(String, bool) -> Command,
) -> Result<Input, Misfit> {
    let whole = unquoted(rest);
    let (nick, followed) = match rest.rsplit_once([' ', '\t']) {
        Some((nick, last)) if last == word && whole.len() == rest.len() => (unquoted(nick), true),
        _ => (whole, false),
    };
    Ok(Input::Command(command(some(nick)?.to_owned(), followed)))
}

/// What follows a command or is on the command line, if it begins as an invitation does. A whole
/// line that others are told to type counts as well.
pub(crate) fn invitation(text: &str) -> Option<Result<Command, Failure>> {
    let text = text.trim();
    let text = match text.split_once(char::is_whitespace) {
        Some((PROGRAM, rest)) => rest.trim_start(),
        _ => text,
    };
    let scheme = text.get(..SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return None;
    }
    let link = InviteLink::from_text(text);
    Some(link.map(|link| Command::Join { link }).map_err(|error| {
        // It is not repeated, because even a damaged one may be a secret.
        Failure::new(Code::BadAddress, error.to_string())
    }))
}

/// The invitation that a line consists of, apart from words that go with one. A damaged one counts,
/// too, because it may still be a secret.
pub(super) fn invitation_alone(line: &str) -> Option<String> {
    let mut rest = line.trim();
    while let Some((word, more)) = rest.split_once(char::is_whitespace) {
        let known = ["klatch", "join", "get", "connect"];
        // Spelled exactly, the word is a command, which itself reports what is wrong.
        if word == "connect" || !known.iter().any(|known| word.eq_ignore_ascii_case(known)) {
            break;
        }
        rest = more.trim_start();
    }
    let scheme = rest.get(..SCHEME.len())?;
    let letters = rest.get(SCHEME.len()..)?;
    let base32 = |c: char| c.is_ascii_alphabetic() || ('2'..='7').contains(&c);
    // If it was broken into lines, only its last part may be short.
    let mut parts: Vec<&str> = letters.split_whitespace().collect();
    if parts.len() > 1 {
        parts.pop();
    }
    let fits = scheme.eq_ignore_ascii_case(SCHEME)
        && !letters.starts_with(char::is_whitespace)
        && !parts.is_empty()
        && parts.iter().all(|part| part.len() >= INVITATION_MIN_CHARS)
        && letters.chars().all(|c| base32(c) || c.is_whitespace());
    fits.then(|| rest.split_whitespace().collect())
}

/// Where a line contains an invitation: the text before it, and the invitation.
pub(super) fn invitation_part(line: &str) -> Option<(&str, &str)> {
    // In lower case it has the same length, because only ASCII is converted.
    let at = line.to_ascii_lowercase().find(SCHEME)?;
    let starts = line.get(..at)?;
    let is_word = starts.is_empty() || starts.ends_with([' ', '\t', '"', '\'']);
    is_word.then(|| line.split_at(at))
}

#[cfg(test)]
mod tests {
    use super::super::command::{parse, secret_part};
    use super::*;
    use crate::crypto::invite::{InviteSecret, SECRET_BYTES};

    fn command(line: &str) -> Command {
        match parse(line) {
            Ok(Input::Command(command)) => command,
            other => panic!("{line:?} gave {other:?}"),
        }
    }

    fn code(line: &str) -> Code {
        parse(line).expect_err(line).code
    }

    fn link() -> InviteLink {
        InviteLink {
            secret: InviteSecret::from_bytes([7; SECRET_BYTES]),
            room: [1; 8],
            until_ms: 1_767_225_600_000 + 9_000 * 3_600_000,
            once: false,
            locked: true,
            addrs: vec!["192.168.1.5:51692".parse().unwrap()],
        }
    }

    #[test]
    fn they_exist_only_with_a_slash() {
        for line in ["lock", "remove eve", "kick eve", "steward ana", "invite", "ignore eve"] {
            assert_eq!(command(line), Command::Say { text: line.into() });
            assert!(parse(&format!("/{line}")).is_ok(), "{line}");
        }
        assert_eq!(command("join us"), Command::Say { text: "join us".into() });
    }

    #[test]
    fn a_nick_may_have_spaces_and_digits_and_off_is_the_last_word() {
        let removed = |line| match command(line) {
            Command::Remove { nick, undo, asks: false } => (nick, undo),
            other => panic!("{line} gave {other:?}"),
        };
        for (line, nick, undo) in [
            ("/remove eve", "eve", false),
            ("/kick eve", "eve", false),
            ("/remove eve off", "eve", true),
            ("/remove  Eve the Second·3f9c\toff ", "Eve the Second·3f9c", true),
            ("/remove off", "off", false),
            ("/remove off off", "off", true),
            ("/remove \"turn it off\"", "turn it off", false),
            ("/remove \"turn it off\" off", "turn it off", true),
            ("/remove eve offline", "eve offline", false),
        ] {
            assert_eq!(removed(line), (nick.to_owned(), undo), "{line}");
        }
        let nick = || "ana maria".to_owned();
        let steward = |off| Command::Steward { nick: nick(), off };
        assert_eq!(command("/steward ana maria"), steward(false));
        assert_eq!(command("/steward ana maria off"), steward(true));
        assert_eq!(command("/ignore ana maria off"), Command::Ignore { nick: nick(), off: true });
        for line in ["/remove", "/kick", "/steward", "/ignore \"\"", "/remove \"\" off"] {
            assert_eq!(code(line), Code::Usage, "{line}");
        }
    }

    #[test]
    fn an_invitation_lasts_from_an_hour_to_a_week() {
        for (line, once, hours) in [
            ("/invite", false, None),
            ("/invite once", true, None),
            ("/invite 1h", false, Some(1)),
            ("/invite once 7d", true, Some(168)),
            ("/invite 36h once", true, Some(36)),
        ] {
            let for_ms = hours.map(|hours| hours * HOUR_MS);
            assert_eq!(command(line), Command::Invite { once, for_ms }, "{line}");
        }
        assert_eq!(command("/invite off"), Command::InviteOff);
        for line in [
            "/invite 0h",
            "/invite 8d",
            "/invite 169h",
            "/invite 30m",
            "/invite 7",
            "/invite 1h 2h",
            "/invite once once",
            "/invite once off",
            "/invite ben",
            "/invite 99999999999999999999d",
        ] {
            assert_eq!(code(line), Code::Usage, "{line}");
        }
    }

    #[test]
    fn an_invitation_is_taken_wherever_an_address_is() {
        let text = link().to_text();
        let join = Command::Join { link: link() };
        let broken = format!("{}\t{}", &text[..40], &text[40..]);
        for line in [
            format!("/join {text}"),
            format!("/join klatch {text}"),
            format!("/join {}", text.to_uppercase()),
            format!("/join  {broken} "),
            format!("connect {text}"),
            format!("/connect klatch {text}"),
        ] {
            assert_eq!(command(&line), join, "{line}");
        }
        assert_eq!(super::super::command::connect_argument(&text), Ok(join.clone()));
        let pasted = format!(" klatch {text}\n");
        assert_eq!(super::super::command::connect_argument(&pasted), Ok(join));
        let damaged = parse(&format!("/join {}", &text[..text.len() - 1])).unwrap_err();
        assert_eq!(damaged.code, Code::BadAddress);
        assert!(!damaged.text.contains(&text[8..20]), "{}", damaged.text);
        assert_eq!(code("/join"), Code::Usage);
    }

    #[test]
    fn lock_asks_and_takes_no_password_on_its_line() {
        assert_eq!(command("/lock"), Command::Password { password: None, asks: false });
        let failure = parse("/lock correct horse").unwrap_err();
        assert_eq!(failure.code, Code::Usage);
        assert!(failure.text.contains("asks") && !failure.text.contains("horse"));
        assert_eq!(secret_part("/lock correct horse"), Some(("/lock ", "correct horse")));
        assert_eq!(secret_part("lock the door"), None);
        let line = format!("/join {}", link().to_text());
        assert_eq!(invitation_part(&line).map(|(open, _)| open), Some("/join "));
        assert_eq!(invitation_part("what is an unklatch:"), None);
    }
}
