//! How wide texts are on a terminal, and how long ones are broken.
//!
//! Texts here are klatch's own or escaped: the only control sequences in them are colours
//! (`ESC [ … m`), which have no width.

use unicode_width::UnicodeWidthChar;

/// Begins all rows but the first, so that none can look like a line of klatch's.
pub const INDENT: &str = "    ";
/// Terminals narrower than this break lines themselves.
const NARROWEST: usize = 20;

/// How many columns a text fills.
#[must_use]
pub fn width(text: &str) -> usize {
    parts(text).map(|(_, columns)| columns).sum()
}

/// The text cut to this many columns, ending with an ellipsis if something is missing.
#[must_use]
pub fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut fitted = String::new();
    let mut used = 0;
    for (part, columns_of) in parts(text) {
        if used + columns_of >= columns && columns_of > 0 {
            break;
        }
        used += columns_of;
        fitted += part;
    }
    if columns > 0 {
        fitted.push('…');
    }
    if fitted.contains('\x1b') { fitted + "\x1b[0m" } else { fitted }
}

/// The text within this many columns, with an ellipsis if its middle is missing: the end of a
/// file's name says what it is. For texts without colours.
#[must_use]
pub fn fit_middle(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let end = columns.saturating_sub(1) / 3;
    let (mut tail, mut used) = (text.len(), 0);
    for (part, columns_of) in parts(text).collect::<Vec<_>>().into_iter().rev() {
        if used + columns_of > end {
            break;
        }
        used += columns_of;
        tail -= part.len();
    }
    fit(text, columns.saturating_sub(used)) + text.get(tail..).unwrap_or_default()
}

/// The text padded with spaces to this many columns.
#[must_use]
pub fn pad(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    format!("{text}{:missing$}", "")
}

/// Breaks each line of a text into rows of at most `columns` columns, between words if possible;
/// rows after the first are indented.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> String {
    if columns < NARROWEST {
        return text.to_owned();
    }
    let lines: Vec<String> = text.split('\n').map(|line| wrap_line(line, columns)).collect();
    lines.join("\n")
}

fn wrap_line(line: &str, columns: usize) -> String {
    let mut out = String::with_capacity(line.len());
    let mut used = 0;
    // Where the row can be broken: after its last space, and the columns up to there.
    let mut space: Option<(usize, usize)> = None;
    for (part, columns_of) in parts(line) {
        if used + columns_of > columns {
            match space.take() {
                // A word that would leave most of the row empty is itself broken.
                Some((at, before)) if before > columns / 2 => {
                    out.insert_str(at, &format!("\n{INDENT}"));
                    used = used - before + INDENT.len();
                }
                _ => {
                    out.push('\n');
                    out += INDENT;
                    used = INDENT.len();
                }
            }
        }
        out += part;
        used += columns_of;
        if part == " " && used > INDENT.len() {
            space = Some((out.len(), used));
        }
    }
    out
}

/// A text's characters and colours, each with its width.
fn parts(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let length = match rest.strip_prefix("\x1b[") {
            Some(colour) => colour.find('m').map_or(rest.len(), |end| end + 3),
            None => first.len_utf8(),
        };
        let (part, after) = rest.split_at(length);
        rest = after;
        let columns = if first == '\x1b' { 0 } else { first.width().unwrap_or(0) };
        Some((part, columns))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_and_colours_are_counted_as_terminals_do() {
        assert_eq!(width("abc"), 3);
        assert_eq!(width("日本語"), 6);
        assert_eq!(width("e\u{301}"), 1);
        assert_eq!(width("\x1b[1;31mred\x1b[0m"), 3);
        assert_eq!(pad("日", 4), "日  ");
    }

    #[test]
    fn what_does_not_fit_is_cut_at_a_whole_character() {
        assert_eq!(fit("report.pdf", 10), "report.pdf");
        assert_eq!(fit("report.pdf", 6), "repor…");
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(fit("\x1b[2mlong text\x1b[0m", 5), "\x1b[2mlong…\x1b[0m");
        assert_eq!(fit("abc", 0), "");
    }

    #[test]
    fn a_name_keeps_its_beginning_and_its_end() {
        assert_eq!(fit_middle("report.pdf", 10), "report.pdf");
        assert_eq!(fit_middle("holiday in the mountains.jpg", 16), "holiday in…s.jpg");
        assert_eq!(width(&fit_middle(&"日本".repeat(20), 21)), 21);
        assert_eq!(fit_middle("abcdef", 1), "…");
        assert_eq!(fit_middle("abcdef", 0), "");
    }

    #[test]
    fn long_lines_are_broken_and_nothing_is_lost() {
        assert_eq!(wrap("short", 20), "short");
        let text = "bob: the quick brown fox jumps over the lazy dog";
        let wrapped = wrap(text, 20);
        assert_eq!(wrapped, "bob: the quick \n    brown fox jumps \n    over the lazy \n    dog");
        // A forged line ends up indented.
        let forged = format!("eve: {}* bob left", " ".repeat(35));
        for row in wrap(&forged, 40).lines().skip(1) {
            assert!(row.starts_with(INDENT), "{row:?}");
        }
        for text in [&"x".repeat(100), &"日".repeat(50), &format!("a {}", "y".repeat(70))] {
            let wrapped = wrap(text, 30);
            assert!(wrapped.lines().all(|row| width(row) <= 30), "{wrapped}");
            let whole: String = wrapped.split(&format!("\n{INDENT}")).collect();
            assert_eq!(&whole, text);
        }
    }
}
