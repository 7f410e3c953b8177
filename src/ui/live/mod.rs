//! What a person sees at a live terminal: rows that stay, the last own message with its delivery
//! state, and a block of transfers that is redrawn in place.
//!
//! Everything here is a value: notices and the time go in, [`Piece`]s come out.

mod moving;
mod noise;

use std::collections::VecDeque;

use time::Date;

use super::lines::{self, nick};
use super::paint::{Paint, Style};
use super::width::{fit, wrap};
use crate::router::ids::EntryId;
use crate::router::notice::{Notice, Who};
use crate::router::text::Untrusted;
pub use moving::Moving;
use noise::Noise;

/// Most own messages whose delivery is followed.
const FOLLOWED_MAX: usize = 64;
/// Most columns of an own message that are repeated when its delivery is reported.
const QUOTED_COLUMNS: usize = 30;

/// Something for the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Rows that stay, without their last line feed.
    Rows(String),
    /// Rows of an own message, which may change until something is shown below them.
    Tail(EntryId, String),
    /// How that message's rows read now, if they can still change.
    Remark(EntryId, String),
    /// Somebody mentions this person by name.
    Bell,
}

/// What the terminal shows, and how.
#[derive(Debug)]
pub struct LiveView {
    style: Style,
    bell: bool,
    columns: usize,
    my_name: String,
    /// The day of the last row with a time.
    day: Date,
    followed: VecDeque<Followed>,
    moving: Moving,
    noise: Noise,
}

/// An own message under way.
#[derive(Debug)]
struct Followed {
    id: EntryId,
    rows: String,
    quote: String,
    /// It was reported that somebody present did not hold it in time.
    complained: bool,
    /// Nothing was shown below it.
    last: bool,
}

impl LiveView {
    /// A view that has shown nothing; `now_ms` tells which day it is, `bell` whether a mention
    /// rings the bell.
    #[must_use]
    pub fn new(style: Style, bell: bool, now_ms: i64) -> Self {
        Self {
            day: style.day(now_ms),
            style,
            bell,
            columns: 80,
            my_name: String::new(),
            followed: VecDeque::new(),
            moving: Moving::default(),
            noise: Noise::default(),
        }
    }

    /// The terminal now has this many columns.
    pub fn resize(&mut self, columns: usize) {
        self.columns = columns;
        self.style.columns = Some(columns);
    }

    /// What to show for a notice.
    pub fn hear(&mut self, notice: &Notice, now_ms: i64) -> Vec<Piece> {
        self.note_own_name(notice);
        self.style.seen.now_ms = Some(now_ms);
        self.moving.hear(notice);
        let mut pieces = Vec::new();
        match notice {
            Notice::Held { id, held_by, present, refused_by } => {
                self.held(id, (*held_by, *present), refused_by, &mut pieces);
            }
            Notice::MemberJoined { member } | Notice::MemberLeft { member } => {
                let joined = matches!(notice, Notice::MemberJoined { .. });
                if self.noise.admit(&member.who, joined, now_ms) {
                    self.rows(lines::to_lines(notice, &self.style), &mut pieces);
                }
            }
            Notice::DownloadQueued { .. }
            | Notice::DownloadStarted { .. }
            | Notice::DownloadProgress { .. }
            | Notice::HashProgress { .. }
            | Notice::HashFailed { .. }
            | Notice::CommandDone { .. } => {}
            Notice::Message { id, from, text, time_ms, own, history, known: true, .. } => {
                self.new_day(*time_ms, &mut pieces);
                let mine = *own && !*history;
                let rows = self.message(from, text, *time_ms, mine, *history);
                if mine {
                    self.follow(*id, text, rows, &mut pieces);
                } else {
                    let called = !history && !own && self.is_called(text);
                    self.rows(Some(rows), &mut pieces);
                    if called && self.bell {
                        pieces.push(Piece::Bell);
                    }
                }
            }
            _ => {
                if let Notice::Invitation { .. } = notice {
                    self.copyable(lines::to_lines(notice, &self.style), &mut pieces);
                    return pieces;
                }
                if let Notice::FileOffered { time_ms, .. } | Notice::FileWithdrawn { time_ms, .. } =
                    notice
                {
                    self.new_day(*time_ms, &mut pieces);
                }
                if let Notice::Left { .. } = notice {
                    self.noise.leave();
                }
                self.rows(lines::to_lines(notice, &self.style), &mut pieces);
            }
        }
        self.style.seen.hear(notice);
        pieces
    }

    /// When [`LiveView::tick`] has something to say if no notice comes, in milliseconds since 1970.
    #[must_use]
    pub fn due_ms(&self) -> Option<i64> {
        self.noise.due_ms()
    }

    /// What changes only because time passes.
    pub fn tick(&mut self, now_ms: i64) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for text in self.noise.summaries(now_ms) {
            let text = self.style.paint(Paint::Dim, &format!("* {text}"));
            self.rows(Some(text), &mut pieces);
        }
        pieces
    }

    /// A line of klatch's own that is not a notice, such as a command that was just given.
    pub fn aside(&mut self, text: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        self.rows(Some(self.style.paint(Paint::Dim, text)), &mut pieces);
        pieces
    }

    /// The transfers, a row each.
    #[must_use]
    pub fn block(&self) -> Vec<String> {
        // The last column stays free, because some terminals break the line when it is filled.
        let rows = self.moving.rows(self.columns.saturating_sub(1)).into_iter();
        rows.map(|row| self.style.paint(Paint::Good, &row)).collect()
    }

    fn rows(&mut self, rows: Option<String>, pieces: &mut Vec<Piece>) {
        if let Some(rows) = rows.filter(|rows| !rows.is_empty()) {
            pieces.push(Piece::Rows(wrap(&rows, self.columns)));
            self.followed.iter_mut().for_each(|followed| followed.last = false);
        }
    }

    /// Rows with one to be copied, which the terminal itself breaks, so that it stays one line.
    fn copyable(&mut self, rows: Option<String>, pieces: &mut Vec<Piece>) {
        let rows = rows.map(|rows| {
            let row = |row: &str| match lines::is_copyable(row) {
                true => row.to_owned(),
                false => wrap(row, self.columns),
            };
            rows.lines().map(row).collect::<Vec<_>>().join("\n")
        });
        pieces.extend(rows.map(Piece::Rows));
        self.followed.iter_mut().for_each(|followed| followed.last = false);
    }

    fn new_day(&mut self, time_ms: i64, pieces: &mut Vec<Piece>) {
        let day = self.style.day(time_ms);
        if day != self.day {
            self.day = day;
            let text = format!("* {}, {} {} {}", day.weekday(), day.day(), day.month(), day.year());
            self.rows(Some(self.style.paint(Paint::Dim, &text)), pieces);
        }
    }

    fn message(
        &self,
        from: &Who,
        text: &Untrusted,
        time_ms: i64,
        mine: bool,
        history: bool,
    ) -> String {
        let style = &self.style;
        let text = lines::spoken(text, style);
        let stamp = style.stamp(time_ms);
        if history {
            return stamp + &style.paint(Paint::Dim, &format!("{}: {text}", nick(from)));
        }
        if mine {
            return format!("{stamp}{}: {text}", style.paint(Paint::Own, &nick(from)));
        }
        let name = style.paint(Paint::Member(from.id), &nick(from));
        let mut out = format!("{stamp}{name}: ");
        let mut rest = text.as_str();
        while let Some((at, length)) = find_name(rest, &self.my_name) {
            let (before, found) = rest.split_at(at);
            let (name, after) = found.split_at(length);
            out += before;
            out += &style.paint(Paint::Mention, name);
            rest = after;
        }
        out + rest
    }

    fn is_called(&self, text: &Untrusted) -> bool {
        find_name(&text.block(), &self.my_name).is_some()
    }

    fn note_own_name(&mut self, notice: &Notice) {
        match notice {
            Notice::Started { who, .. } => {
                self.my_name = who.name.line();
            }
            Notice::NameChanged { member, .. } if self.style.seen.is_me(&member.who) => {
                self.my_name = member.who.name.line();
            }
            _ => {}
        }
    }

    fn follow(&mut self, id: EntryId, text: &Untrusted, rows: String, pieces: &mut Vec<Piece>) {
        self.followed.iter_mut().for_each(|followed| followed.last = false);
        if self.followed.len() >= FOLLOWED_MAX {
            self.followed.pop_front();
        }
        let quote = fit(&text.line(), QUOTED_COLUMNS);
        pieces.push(Piece::Tail(id, wrap(&rows, self.columns)));
        self.followed.push_back(Followed { id, rows, quote, complained: false, last: true });
    }

    fn held(
        &mut self,
        id: &EntryId,
        (held_by, present): (usize, usize),
        refused_by: &[Who],
        pieces: &mut Vec<Piece>,
    ) {
        let Some(at) = self.followed.iter().position(|followed| followed.id == *id) else { return };
        let all = held_by >= present;
        let Some(followed) = self.followed.get_mut(at) else { return };
        let refused = match refused_by {
            [] => String::new(),
            _ => format!(", refused by {}", lines::listed_nicks(refused_by)),
        };
        let mark = match all {
            true => "✓".to_owned(),
            false => format!("({held_by} of {present} have it{refused})"),
        };
        let (last, quote) = (followed.last, followed.quote.clone());
        let complained = std::mem::replace(&mut followed.complained, !all);
        if last {
            let marked = format!("{} {}", followed.rows, self.style.paint(Paint::Dim, &mark));
            pieces.push(Piece::Remark(*id, wrap(&marked, self.columns)));
        } else if all && complained {
            let text = format!("* all {present} have this now: {quote}");
            self.rows(Some(self.style.paint(Paint::Dim, &text)), pieces);
        } else if !all && !complained {
            let text = match held_by {
                0 if refused.is_empty() => format!("* nobody here has this yet: {quote}"),
                _ => format!("* {held_by} of {present} have this{refused}: {quote}"),
            };
            self.rows(Some(self.style.paint(Paint::Warning, &text)), pieces);
        }
        if held_by + refused_by.len() >= present {
            self.followed.remove(at);
        }
    }
}

/// Where a name occurs in a text as a word of its own, ignoring case.
fn find_name(text: &str, name: &str) -> Option<(usize, usize)> {
    if name.is_empty() {
        return None;
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut before = None;
    for (at, c) in text.char_indices() {
        let rest = text.get(at..).unwrap_or_default();
        if !before.is_some_and(is_word)
            && let Some(length) = starts_with_name(rest, name)
            && !rest.get(length..).and_then(|after| after.chars().next()).is_some_and(is_word)
        {
            return Some((at, length));
        }
        before = Some(c);
    }
    None
}

/// The length of the name at the start of the text.
fn starts_with_name(text: &str, name: &str) -> Option<usize> {
    let mut rest = text.chars();
    for wanted in name.chars() {
        let found = rest.next()?;
        if found != wanted && !found.to_lowercase().eq(wanted.to_lowercase()) {
            return None;
        }
    }
    Some(text.len() - rest.as_str().len())
}

#[cfg(test)]
mod tests;
