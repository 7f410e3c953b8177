//! How lines look: colours with a meaning, and times; neither in a pipe.

use time::{Date, OffsetDateTime, UtcOffset};

use crate::router::ids::MemberId;
use crate::router::notice::form::utc;
use crate::router::notice::{Notice, Who};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Colours.
    pub color: bool,
    /// Colours of errors, which may go elsewhere.
    pub color_errors: bool,
    /// `HH:MM` before everything that has a time.
    pub timestamps: bool,
    /// Show one's own messages as well.
    pub echo_own: bool,
    /// Say more: addresses of members, every own address.
    pub verbose: bool,
    /// The offset for timestamps; `None`: the system's at each moment, because summers end and
    /// computers travel.
    pub offset: Option<UtcOffset>,
    /// The terminal's columns; rows of a table that do not fit are folded.
    pub columns: Option<usize>,
    /// What sentences depend on.
    pub seen: Seen,
}

/// What was shown before, as far as sentences depend on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// This node.
    pub me: Option<MemberId>,
    /// The room is closed.
    pub closed: bool,
    /// The approximate present, if known: wall-clock milliseconds since 1970 UTC.
    pub now_ms: Option<i64>,
}

impl Seen {
    /// Records a notice that was shown.
    pub fn hear(&mut self, notice: &Notice) {
        match notice {
            Notice::Started { who, .. } => self.me = Some(who.id),
            Notice::Joined { locked, .. } => self.closed = *locked,
            Notice::RoomLocked { .. } => self.closed = true,
            Notice::RoomUnlocked { .. } | Notice::Left { .. } => self.closed = false,
            _ => {}
        }
    }

    /// Whether it is this node.
    #[must_use]
    pub fn is_me(&self, who: &Who) -> bool {
        self.me == Some(who.id)
    }
}

/// Members' colours: distinct, and readable on dark and on light (from xterm's 256). Red is not
/// among them, because it means that something went wrong.
const MEMBER_COLOURS: [u8; 12] = [33, 37, 70, 98, 136, 166, 168, 62, 30, 133, 107, 75];

/// What a colour means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// This node's own name.
    Own,
    /// A member, always in the same colour.
    Member(MemberId),
    /// What may be skipped: klatch's own lines, history, times.
    Dim,
    /// Something can be done now: an offer.
    Offer,
    /// Something is done.
    Good,
    /// Something to notice.
    Warning,
    /// What went wrong.
    Error,
    /// One's own name in somebody's message.
    Mention,
}

impl Paint {
    /// Select Graphic Rendition parameters (ECMA-48, 8.3.117).
    fn parameters(self) -> String {
        match self {
            Paint::Own => "1".into(),
            Paint::Member(id) => {
                let which = usize::from(id.0[0]) % MEMBER_COLOURS.len();
                let colour = MEMBER_COLOURS.get(which).copied().unwrap_or(33);
                format!("1;38;5;{colour}")
            }
            Paint::Dim => "2".into(),
            Paint::Offer => "36".into(),
            Paint::Good => "32".into(),
            Paint::Warning => "33".into(),
            Paint::Error => "31".into(),
            Paint::Mention => "1;33".into(),
        }
    }
}

impl Style {
    /// For pipes: text only.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            color: false,
            color_errors: false,
            timestamps: false,
            echo_own: false,
            verbose: false,
            offset: Some(UtcOffset::UTC),
            columns: None,
            seen: Seen::default(),
        }
    }

    /// For a terminal, with its local offset.
    #[must_use]
    pub fn terminal(offset: UtcOffset) -> Self {
        Self { offset: Some(offset), ..Self::here() }
    }

    /// For a terminal, in the system's time zone at each moment.
    #[must_use]
    pub fn here() -> Self {
        let plain = Self::plain();
        Self {
            color: true,
            color_errors: true,
            timestamps: true,
            echo_own: true,
            offset: None,
            ..plain
        }
    }

    pub(super) fn paint(&self, paint: Paint, text: &str) -> String {
        if self.color && !text.is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", paint.parameters())
        } else {
            text.to_owned()
        }
    }

    /// `HH:MM` in local time, with the date if that is known to differ from today's.
    pub(super) fn since(&self, time_ms: i64) -> String {
        let (day, clock) = (self.day(time_ms), self.clock(time_ms));
        match self.seen.now_ms {
            Some(now_ms) if self.day(now_ms) != day => format!("{} {clock}", date(day)),
            _ => clock,
        }
    }

    /// `HH:MM` in local time.
    pub(super) fn clock(&self, time_ms: i64) -> String {
        let local = self.local(time_ms);
        format!("{:02}:{:02}", local.hour(), local.minute())
    }

    /// `HH:MM ` before what has a time, if times are shown; with the date if that is another.
    pub(super) fn stamp(&self, time_ms: i64) -> String {
        let stamp = self.since(time_ms);
        if self.timestamps { self.paint(Paint::Dim, &stamp) + " " } else { String::new() }
    }

    /// `today 14:02`, `tomorrow 14:02`, or with the date if that is further away or the present is
    /// unknown; scripts and pipes get it in UTC, and labelled so.
    pub(super) fn moment(&self, time_ms: i64) -> String {
        let (day, clock) = (self.day(time_ms), self.clock(time_ms));
        let today = self.seen.now_ms.map(|now_ms| self.day(now_ms));
        let zone = if self.timestamps { "" } else { " UTC" };
        match today {
            Some(today) if today == day => format!("today {clock}"),
            Some(today) if today.next_day() == Some(day) => format!("tomorrow {clock}"),
            _ => format!("{} {clock}{zone}", date(day)),
        }
    }

    /// The local date of a moment.
    pub(super) fn day(&self, time_ms: i64) -> Date {
        self.local(time_ms).date()
    }

    fn local(&self, time_ms: i64) -> OffsetDateTime {
        let utc = utc(time_ms);
        // Without a time zone, UTC.
        let system = || UtcOffset::local_offset_at(utc).unwrap_or(UtcOffset::UTC);
        let offset = self.offset.unwrap_or_else(system);
        // At the very ends of time an offset cannot be added.
        utc.checked_to_offset(offset).unwrap_or(utc)
    }
}

/// `2026-11-29`.
fn date(day: Date) -> String {
    format!("{}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_not_of_today_carries_its_date() {
        let seen = Seen { now_ms: Some(1_764_424_800_000), ..Seen::default() };
        let style = Style { timestamps: true, seen, ..Style::plain() };
        assert_eq!(style.stamp(1_764_421_200_000), "13:00 ");
        assert_eq!(style.stamp(1_764_334_800_000), "2025-11-28 13:00 ");
        assert_eq!(Style::plain().stamp(1_764_334_800_000), "");
    }
}
