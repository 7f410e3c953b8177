//! How lines look: colours with a meaning, times, and nothing of either in a pipe.

use time::{Date, OffsetDateTime, UtcOffset};

use super::json::utc;
use crate::router::ids::MemberId;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Colours.
    pub color: bool,
    /// `HH:MM` before what carries a time.
    pub timestamps: bool,
    /// Show one's own messages as well.
    pub echo_own: bool,
    /// Say more: addresses of members, every own address.
    pub verbose: bool,
    /// The local offset, for timestamps.
    pub offset: UtcOffset,
}

/// Colours of members: told apart, and readable on dark and on light (of the 256 of xterm).
/// Red is not among them: it means that something went wrong.
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
    /// Something is to be noticed.
    Warning,
    /// What went wrong.
    Error,
    /// One's own name in what somebody says.
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
    /// For pipes and `NO_COLOR`: text alone.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            color: false,
            timestamps: false,
            echo_own: false,
            verbose: false,
            offset: UtcOffset::UTC,
        }
    }

    /// For a terminal, with its local offset.
    #[must_use]
    pub fn terminal(offset: UtcOffset) -> Self {
        Self { color: true, timestamps: true, echo_own: true, verbose: false, offset }
    }

    pub(super) fn paint(&self, paint: Paint, text: &str) -> String {
        if self.color && !text.is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", paint.parameters())
        } else {
            text.to_owned()
        }
    }

    /// `HH:MM` in local time.
    pub(super) fn clock(&self, time_ms: i64) -> String {
        let local = self.local(time_ms);
        format!("{:02}:{:02}", local.hour(), local.minute())
    }

    /// `HH:MM ` before what has a time, where times are shown.
    pub(super) fn stamp(&self, time_ms: i64) -> String {
        let stamp = self.clock(time_ms);
        if self.timestamps { self.paint(Paint::Dim, &stamp) + " " } else { String::new() }
    }

    /// The local date of a moment.
    pub(super) fn day(&self, time_ms: i64) -> Date {
        self.local(time_ms).date()
    }

    fn local(&self, time_ms: i64) -> OffsetDateTime {
        let utc = utc(time_ms);
        // At the very ends of time an offset leads nowhere.
        utc.checked_to_offset(self.offset).unwrap_or(utc)
    }
}
