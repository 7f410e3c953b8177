//! Notices for people: a clear sentence each, which no peer can forge.
//!
//! There are three kinds of lines: `alice: hello`, system lines that begin with `* `, and `error:
//! …`. Peers' text is always escaped, further lines of a message are indented, and a nickname
//! cannot begin a line of another kind.

use std::cmp::Ordering;
use std::path::Path;

use super::paint::{Paint, Style};
use super::width::INDENT;
use super::{rooms, tables};
use crate::router::invite_link::COMMAND_LINE;
use crate::router::notice::{Code, Failure, FileInfo, FolderInfo, Notice, Who};
pub use crate::router::text::size;
use crate::router::text::{Untrusted, VERIFIED_MARK, without_marks};

/// Most members named in one sentence; the rest are counted.
const NAMED_MAX: usize = 8;
/// Most lines of a message that a terminal shows whole.
const LINES_MAX: usize = 24;
/// Lines shown of a longer one, which is folded.
const LINES_SHOWN: usize = 20;

/// The notice as one or more lines for people, without the last line feed; `None` for what people
/// are not told. Only [`Notice::Error`] belongs on stderr: [`error_line`].
#[must_use]
pub fn to_lines(notice: &Notice, style: &Style) -> Option<String> {
    let lines = match notice {
        Notice::Error { failure, .. } => return Some(error_line(failure, style)),
        Notice::Message { own: true, .. } if !style.echo_own => return None,
        Notice::Message { from, text, time_ms, history, known: true, .. } => {
            return Some(message(from, text, style.stamp(*time_ms), *history, style));
        }
        Notice::Message { time_ms, .. }
        | Notice::FileOffered { time_ms, .. }
        | Notice::FileWithdrawn { time_ms, .. } => {
            return Some(
                style.stamp(*time_ms)
                    + &system_lines(&sentences(notice, style), meaning(notice), style),
            );
        }
        _ => sentences(notice, style),
    };
    (!lines.is_empty()).then(|| system_lines(&lines, meaning(notice), style))
}

/// A failure as the one line that stderr gets, in either mode.
#[must_use]
pub fn error_line(failure: &Failure, style: &Style) -> String {
    style.paint(Paint::Error, &format!("error: {}", safe(&failure.text)))
}

/// A hint as the one line that stderr gets.
pub(super) fn hint_line(text: &str) -> String {
    format!("* {}", safe(text))
}

fn system_lines(lines: &[String], paint: Paint, style: &Style) -> String {
    let marked = lines.iter().map(|line| match is_copyable(line) {
        true => line.clone(),
        false => style.paint(paint, &format!("* {line}")),
    });
    marked.collect::<Vec<_>>().join("\n")
}

/// A line that people pass on as it is: nothing comes before it, and nothing breaks it. No message
/// looks like it, because a space follows the colon after a nickname.
pub(super) fn is_copyable(line: &str) -> bool {
    let letters = line.strip_prefix(COMMAND_LINE).unwrap_or_default();
    !letters.is_empty() && letters.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// The meaning of a line of klatch's.
fn meaning(notice: &Notice) -> Paint {
    match notice {
        Notice::FileOffered { own: false, history: false, .. } => Paint::Offer,
        Notice::DownloadFinished { .. } | Notice::MemberVerified { .. } => Paint::Good,
        Notice::Remark { text } if text.starts_with("warning:") => Paint::Warning,
        Notice::MemberRemoved { .. } | Notice::StewardChanged { .. } => Paint::Warning,
        Notice::Words { asked: true, .. } => Paint::Warning,
        Notice::DownloadFailed { failure, .. } if failure.code != Code::Cancelled => Paint::Error,
        Notice::Held { .. } => Paint::Warning,
        Notice::RoomLocked { .. } | Notice::RoomUnlocked { .. } => Paint::Warning,
        _ => Paint::Dim,
    }
}

/// A message's text: further lines are indented. A long one is folded at a terminal.
pub(super) fn spoken(text: &Untrusted, style: &Style) -> String {
    // A tab moves the cursor, if only by a little.
    let mut text = text.block().replace('\t', INDENT);
    if style.echo_own && text.matches('\n').count() >= LINES_MAX {
        let end = text.match_indices('\n').nth(LINES_SHOWN - 1).map_or(text.len(), |(at, _)| at);
        let more = text.split_off(end).matches('\n').count();
        text += &format!("\n{INDENT}… {more} more lines: browser shows them");
    }
    text
}

fn message(from: &Who, text: &Untrusted, stamp: String, history: bool, style: &Style) -> String {
    let text = spoken(text, style);
    if history {
        stamp + &style.paint(Paint::Dim, &format!("{}: {text}", nick(from)))
    } else {
        format!("{stamp}{}: {text}", style.paint(Paint::Member(from.id), &nick(from)))
    }
}

/// What klatch says, one sentence per line; nothing for what people need not know.
fn sentences(notice: &Notice, style: &Style) -> Vec<String> {
    let one = match notice {
        Notice::Started { who, temporary, locked } => return started(who, *temporary, *locked),
        Notice::Listening { addresses, tunnels } => {
            return listening(addresses, tunnels, style);
        }
        Notice::Bridge { url } => format!("your room as a page: {}", safe(url)),
        Notice::Members { list } => return tables::member_rows(list, style),
        Notice::Doctor { list } => return tables::finding_rows(list),
        Notice::MemberVerified { member } => {
            format!("{} is verified from now on", nick(&member.who))
        }
        Notice::Files { list } => return tables::file_rows(list, style),
        Notice::Folder { file, path, list, more } => {
            return tables::folder_rows((file, path), (list, *more), style);
        }
        Notice::Transfers { list } => return tables::transfer_rows(list, style),
        Notice::Left { .. } => "you left the room".into(),
        Notice::MemberJoined { member } => {
            let address = Some(&member.address).filter(|a| style.verbose && !a.is_empty());
            let from = address.map(|address| format!(" from {}", safe(address)));
            format!("{} joined{}", nick(&member.who), from.unwrap_or_default())
        }
        Notice::MemberLeft { member } => format!("{} left", nick(&member.who)),
        Notice::NameChanged { member, .. } if style.seen.is_me(&member.who) => {
            format!("you are now called {}", nick(&member.who))
        }
        Notice::NameChanged { member, before } => {
            let before = Who { name: before.clone(), ..member.who.clone() };
            format!("{} is now called {}", nick(&before), nick(&member.who))
        }
        Notice::Message { from, .. } => {
            format!("{} said something that only a newer klatch can show", nick(from))
        }
        Notice::PasswordRequired { address, .. } if address.is_empty() => {
            "which password should the room have? (8 characters or more; - for none)".into()
        }
        Notice::PasswordRequired { address, .. } => {
            format!("the room at {} is closed: what is its password?", safe(address))
        }
        Notice::Held { refused_by, .. } if !refused_by.is_empty() => format!(
            "{} did not take what you said: your share of the log is used up there",
            listed_nicks(refused_by)
        ),
        Notice::Remark { text } => safe(text),
        _ => match rooms::sentences(notice, style) {
            Some(lines) => return lines,
            None => return about_file(notice).into_iter().collect(),
        },
    };
    vec![one]
}

fn about_file(notice: &Notice) -> Option<String> {
    Some(match notice {
        Notice::HashProgress { path, bytes_done, size } => {
            let name = path.file_name().map(Path::new).unwrap_or(path);
            format!("reading {}: {}", path_text(name), percent(*bytes_done, *size))
        }
        Notice::FileOffered { file, folder, own: true, replaces, .. } => {
            format!("you offer {}{}", version(replaces), offered(file, folder.as_ref()))
        }
        Notice::FileOffered { file, folder, from, replaces, alike, .. } => {
            let typed = if *alike { file.id.short() } else { typed(file) };
            let version = version(replaces);
            format!(
                "{} offers {version}{}: download {typed}",
                nick(from),
                offered(file, folder.as_ref())
            )
        }
        Notice::FileWithdrawn { file, own: true, .. } => {
            format!("you withdrew {}", file.name)
        }
        Notice::FileWithdrawn { file, from, .. } => {
            format!("{} withdrew {}", nick(from), file.name)
        }
        Notice::AlreadyHave { file, path } => {
            format!("you already have {}, as {}: not downloaded again", file.name, path_text(path))
        }
        Notice::DownloadQueued { file } => {
            format!("{} is queued behind other downloads", titled(file))
        }
        Notice::DownloadStarted { file } => format!("fetching {}", titled(file)),
        Notice::DownloadProgress { file, bytes_done, bytes_per_second, hosts, .. } => format!(
            "{}: {}, {}/s from {}",
            file.name,
            percent(*bytes_done, file.size),
            size(*bytes_per_second),
            counted(*hosts, "member"),
        ),
        Notice::DownloadFinished { path, bytes_fetched: 0, .. } => {
            format!("saved as {}", path_text(path))
        }
        Notice::DownloadFinished { file, path, bytes_fetched, took_ms, hosts } => format!(
            "saved as {} ({} in {}.{} s{} from {})",
            path_text(path),
            // Chunks kept from an earlier attempt did not come now; chunks that came twice make it
            // more than the file.
            match bytes_fetched.cmp(&file.size) {
                Ordering::Less => {
                    format!("{}, {} of it now", size(file.size), size(*bytes_fetched))
                }
                Ordering::Equal => size(file.size),
                Ordering::Greater => {
                    format!("{}, {} fetched", size(file.size), size(*bytes_fetched))
                }
            },
            took_ms / 1_000,
            took_ms % 1_000 / 100,
            speed(*bytes_fetched, *took_ms),
            counted(*hosts, "member"),
        ),
        Notice::DownloadFailed { file, failure } => {
            format!("{} was not fetched: {}", file.name, safe(&failure.text))
        }
        _ => return None,
    })
}

/// For an offer that replaces an earlier one.
fn version<T>(replaces: &Option<T>) -> &'static str {
    if replaces.is_some() { "a new version of " } else { "" }
}

/// `, 12.3 MB/s`, if it took long enough to tell.
fn speed(bytes: u64, took_ms: u64) -> String {
    let per_second = bytes.saturating_mul(1_000).checked_div(took_ms);
    let worth_it = |_: &u64| took_ms >= 1_000;
    per_second.filter(worth_it).map_or_else(String::new, |rate| format!(", {}/s", size(rate)))
}

fn started(who: &Who, temporary: bool, locked: bool) -> Vec<String> {
    let kind = match locked {
        true => "closed room: others need its password or an invitation",
        false => "open room: anyone who can reach this computer can join",
    };
    let mut lines = vec![format!("you are {}, alone in a new {kind}", nick(who))];
    if temporary {
        lines.push("your identity is temporary: it ends with this run".into());
    }
    lines
}

/// The lines for others to type; of the ways to reach this computer from itself, one is enough.
fn listening(addresses: &[String], tunnels: &[(String, String)], style: &Style) -> Vec<String> {
    let line = |address: &String, place: &str| {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        format!("{place}: connect {} {}", safe(host), safe(port)).trim_end().to_owned()
    };
    let (here, network): (Vec<_>, Vec<_>) = addresses.iter().partition(|a| is_loopback(a));
    let shown = if style.verbose { here.len() } else { 1 };
    let network = network.into_iter().map(|address| {
        match tunnels.iter().find(|(through, _)| through == address) {
            Some((_, name)) => line(address, &format!("through {}", safe(name))),
            None => line(address, "on your network"),
        }
    });
    let here = here.into_iter().take(shown).map(|address| line(address, "on this computer"));
    network.chain(here).chain(["type a message, or help".to_owned()]).collect()
}

fn is_loopback(address: &str) -> bool {
    address.parse::<std::net::SocketAddr>().is_ok_and(|addr| addr.ip().is_loopback())
}

/// A nickname with the mark that a verified member has.
pub(super) fn nick(who: &Who) -> String {
    let mut name = typed_nick(who);
    name.extend(who.verified.then_some(VERIFIED_MARK));
    name
}

/// A nickname that cannot be mistaken for klatch's own text, even from a peer that checks none.
pub(super) fn typed_nick(who: &Who) -> String {
    let name = without_marks(&who.name.short()).replace(':', "\\u{3a}");
    let id: String = who.id.short().chars().take(4).collect();
    match name.chars().next() {
        None => format!("·{id}"),
        Some(c) if c.is_whitespace() || matches!(c, '*' | '/') => {
            let rest: String = name.chars().skip(1).collect();
            format!("\\u{{{:x}}}{rest}", c as u32)
        }
        // Only klatch itself writes `error: …`.
        Some(_) if name.trim().eq_ignore_ascii_case("error") => format!("{name}·{id}"),
        Some(_) => name,
    }
}

/// What to type for a file: its name, or its id if the name cannot be typed as it is shown.
pub(super) fn typed(file: &FileInfo) -> String {
    let name = file.name.short();
    let plain = name == file.name.raw()
        && name.trim() == name
        && !name.is_empty()
        && !name.starts_with(['"', '\'']);
    if plain { name } else { file.id.short() }
}

pub(super) fn titled(file: &FileInfo) -> String {
    format!("{} ({})", file.name, size(file.size))
}

/// A file or folder that is offered.
fn offered(file: &FileInfo, folder: Option<&FolderInfo>) -> String {
    match folder {
        Some(folder) => format!("{}/ ({})", file.name, folder_size(folder)),
        None => titled(file),
    }
}

/// How much is in a folder.
pub(super) fn folder_size(folder: &FolderInfo) -> String {
    let files = counted(usize::try_from(folder.files).unwrap_or(usize::MAX), "file");
    format!("{files}, {}", size(folder.bytes))
}

pub(super) fn safe(text: &str) -> String {
    Untrusted::new(text).line()
}

pub(super) fn path_text(path: &Path) -> String {
    safe(&path.to_string_lossy())
}

pub(super) fn percent(done: u64, size: u64) -> String {
    let percent = (u128::from(done) * 100).checked_div(u128::from(size)).unwrap_or(100);
    format!("{} %", percent.min(100))
}

pub(super) fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// The same of members.
pub(super) fn listed_nicks(members: &[Who]) -> String {
    listed(&members.iter().map(nick).collect::<Vec<_>>())
}

/// `ana, bob and carol`.
pub(super) fn listed(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED_MAX);
    let mut named: Vec<String> = names.iter().take(NAMED_MAX).cloned().collect();
    if more > 0 {
        named.push(format!("{more} more"));
    }
    match named.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => "nobody".into(),
    }
}
