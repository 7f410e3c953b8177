//! Type-ahead: lines typed while a command was awaited, or before a question came. They wait here,
//! in order, and are shown above the line being typed.

use std::collections::VecDeque;

use crate::router::text::Untrusted;
use crate::ui::command::secret_part;
use crate::ui::width::fit;

/// Most rows for waiting lines; further ones are only counted.
const ROWS_MAX: usize = 4;

/// The lines.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    lines: VecDeque<LineAhead>,
}

#[derive(Debug)]
struct LineAhead {
    text: String,
    /// The person was asked about it already: it counts as a line typed by itself.
    pasted: bool,
    /// Not shown.
    secret: bool,
    /// It may be a password.
    confirm_next: bool,
}

/// The next line to be taken.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) text: String,
    pub(super) pasted: bool,
    pub(super) confirm_next: bool,
}

impl Ahead {
    /// A line was typed.
    pub(super) fn push(&mut self, text: String, secret: bool) {
        self.lines.push_back(LineAhead { text, pasted: false, secret, confirm_next: false });
    }

    /// Pasted lines come before all others.
    pub(super) fn put_first(&mut self, lines: Vec<String>, confirm_next: bool) {
        for text in lines.into_iter().rev() {
            self.lines.push_front(LineAhead {
                text,
                pasted: true,
                secret: confirm_next,
                confirm_next,
            });
        }
    }

    /// A password was asked for: earlier lines may have been meant as one.
    pub(super) fn confirm_next(&mut self) {
        self.lines.iter_mut().for_each(|line| line.confirm_next = true);
    }

    /// Takes the next line.
    pub(super) fn next(&mut self) -> Option<Next> {
        let LineAhead { text, pasted, confirm_next, .. } = self.lines.pop_front()?;
        Some(Next { text, pasted, confirm_next })
    }

    /// Takes the lines before the first that may be secret.
    pub(super) fn take_shown(&mut self) -> Vec<String> {
        let shown = self.lines.iter().take_while(|line| !line.secret && !line.confirm_next).count();
        self.lines.drain(..shown).map(|line| line.text).collect()
    }

    /// The lines as rows to be shown.
    pub(super) fn rows(&self, columns: usize) -> Vec<String> {
        let row = |line: &LineAhead| {
            let text = Untrusted::new(&line.text).line();
            let text = match secret_part(&line.text) {
                _ if line.secret => "•••".to_owned(),
                Some((open, _)) => format!("{}•••", Untrusted::new(open).line()),
                None => text,
            };
            fit(&format!("> {text}"), columns.saturating_sub(1))
        };
        let mut rows: Vec<String> = self.lines.iter().take(ROWS_MAX).map(row).collect();
        let more = self.lines.len().saturating_sub(ROWS_MAX);
        if more > 0 {
            rows.push(fit(&format!("  and {more} more lines"), columns.saturating_sub(1)));
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_wait_in_order_and_secrets_are_not_shown() {
        let mut ahead = Ahead::default();
        ahead.push("hello".into(), false);
        ahead.push("password four-red-kettles".into(), false);
        ahead.push("four red kettles".into(), true);
        assert_eq!(ahead.rows(80), ["> hello", "> password •••", "> •••"]);
        ahead.put_first(vec!["one".into(), "two".into()], false);
        assert_eq!(ahead.rows(80)[..2], ["> one", "> two"]);
        assert_eq!(ahead.rows(80)[4], "  and 1 more lines");
        let first = ahead.next().unwrap();
        assert_eq!((first.text.as_str(), first.pasted, first.confirm_next), ("one", true, false));
        assert_eq!(ahead.take_shown(), ["two", "hello", "password four-red-kettles"]);
        assert_eq!(ahead.take_shown(), [""; 0], "what is not shown stays");
        ahead.push("hello".into(), false);
        ahead.confirm_next();
        assert!(ahead.next().unwrap().confirm_next && ahead.next().unwrap().confirm_next);
        assert!(ahead.next().is_none());
    }
}
