//! Texts written by people and peers: the rules for them, and the one type for peers' text.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};
use unicode_normalization::UnicodeNormalization;
use unicode_width::UnicodeWidthChar;

/// Longest message, in bytes.
pub const MESSAGE_MAX_BYTES: usize = 8 * 1024;
/// Longest nickname, in characters.
pub const NAME_MAX_CHARS: usize = 32;

/// Most columns of a name in a sentence.
const SHOWN_COLUMNS: usize = 64;

/// Text that somebody else had a hand in.
///
/// Its only exits are escaped: [`fmt::Display`] and [`Untrusted::line`] replace whatever could move
/// a cursor, colour a screen, hide or reorder text; [`Untrusted::raw`] is for JSON, which escapes
/// by itself, and for comparing. As [`fmt::Display`] it is a name in a sentence:
/// [`Untrusted::short`].
///
/// It is a piece of a shared text: a message is kept once, inside the entry that says it, however
/// many faces show it.
#[derive(Clone)]
pub struct Untrusted {
    whole: Arc<str>,
    /// Two small numbers, because everything that people see has one of these.
    piece: Range<u32>,
}

impl Untrusted {
    /// Wraps a text.
    pub fn new(text: impl AsRef<str>) -> Self {
        let whole: Arc<str> = text.as_ref().into();
        let length = u32::try_from(whole.len()).unwrap_or(u32::MAX);
        Self { whole, piece: 0..length }
    }

    /// Wraps the piece of `whole` that `piece` points into, or else a copy of `piece`.
    #[must_use]
    pub fn within(whole: &Arc<str>, piece: &str) -> Self {
        let start = piece.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
        let end = start.wrapping_add(piece.len());
        let lies_in_it = whole.get(start..end).is_some_and(|same| same.as_ptr() == piece.as_ptr());
        match (u32::try_from(start), u32::try_from(end)) {
            (Ok(start), Ok(end)) if lies_in_it => Self { whole: whole.clone(), piece: start..end },
            _ => Self::new(piece),
        }
    }

    /// The text as it is: for comparing, and for encoders that escape it themselves.
    #[must_use]
    pub fn raw(&self) -> &str {
        self.whole.get(self.piece.start as usize..self.piece.end as usize).unwrap_or_default()
    }

    /// The text on one line: line feeds are escaped as well.
    #[must_use]
    pub fn line(&self) -> String {
        let mut out = String::with_capacity(self.raw().len());
        self.raw().chars().for_each(|c| push_escaped(&mut out, c, false));
        out
    }

    /// A name in a sentence: on one line, with white space squeezed, and without its middle if it
    /// is long. However it is padded, no later part of it can end up at the beginning of a row,
    /// where it would look like a line of klatch's.
    #[must_use]
    pub fn short(&self) -> String {
        let mut squeezed = String::new();
        for c in self.line().chars() {
            if !c.is_whitespace() {
                squeezed.push(c);
            } else if !squeezed.ends_with(' ') {
                squeezed.push(' ');
            }
        }
        // Marks without a column of their own are limited as well.
        let columns = |c: char| c.width().unwrap_or(1).max(1);
        if squeezed.chars().map(columns).sum::<usize>() <= SHOWN_COLUMNS {
            return squeezed;
        }
        let within = |most: usize| {
            let mut used = 0;
            move |c: &char| {
                used += columns(*c);
                used <= most
            }
        };
        let half = SHOWN_COLUMNS / 2;
        let head: String = squeezed.chars().take_while(within(half)).collect();
        let tail: Vec<char> = squeezed.chars().rev().take_while(within(half - 1)).collect();
        head + "…" + &tail.into_iter().rev().collect::<String>()
    }

    /// The text with its line feeds and tabs; further lines are indented by four spaces, so that
    /// nothing in it can look like a line of klatch's.
    #[must_use]
    pub fn block(&self) -> String {
        let mut out = String::with_capacity(self.raw().len());
        for c in self.raw().chars() {
            push_escaped(&mut out, c, true);
            if c == '\n' {
                out.push_str("    ");
            }
        }
        out
    }
}

impl Default for Untrusted {
    fn default() -> Self {
        Self::new("")
    }
}

impl PartialEq for Untrusted {
    fn eq(&self, other: &Self) -> bool {
        self.raw() == other.raw()
    }
}

impl Eq for Untrusted {}

impl PartialOrd for Untrusted {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Untrusted {
    fn cmp(&self, other: &Self) -> Ordering {
        self.raw().cmp(other.raw())
    }
}

impl From<&str> for Untrusted {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Untrusted {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl Serialize for Untrusted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.raw())
    }
}

impl JsonSchema for Untrusted {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Untrusted".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.line())
    }
}

fn push_escaped(out: &mut String, c: char, keep_breaks: bool) {
    // Joiners make emoji and some scripts readable, and can hide nothing in a message.
    let kept = matches!(c, '\n' | '\t' | '\u{200c}' | '\u{200d}');
    if keep_breaks && kept || !(is_control(c) || is_format(c)) {
        out.push(c);
    } else {
        out.push_str(&format!("\\u{{{:x}}}", c as u32));
    }
}

/// A number of bytes for people: decimal units, one digit after the point.
#[must_use]
pub fn size(bytes: u64) -> String {
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    // Tenths of the unit, rounded: 999,950 bytes are 1.0 MB and not 1000.0 kB.
    let mut unit: u128 = 1;
    let mut tenths = u128::MAX;
    let mut name = "";
    for next in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        if tenths < 10_000 {
            break;
        }
        unit *= 1_000;
        tenths = (u128::from(bytes) * 10 + unit / 2) / unit;
        name = next;
    }
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// C0, DEL and C1 controls, and the line and paragraph separators.
#[must_use]
pub fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Characters that hide or reorder text: bidirectional marks, zero-width and other invisible
/// format characters (Unicode general category Cf and its look-alikes), tags, noncharacters.
#[must_use]
pub fn is_format(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
        | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Follows the name of a member that this node's person has verified.
pub const VERIFIED_MARK: char = '✓';

/// Characters that could be taken for [`VERIFIED_MARK`].
#[must_use]
pub fn is_mark(c: char) -> bool {
    matches!(
        c,
        VERIFIED_MARK
            | '\u{2714}'
            | '\u{2705}'
            | '\u{2611}'
            | '\u{221a}'
            | '\u{23b7}'
            | '\u{237b}'
            | '\u{aa9c}'
            | '\u{10102}'
            | '\u{1f5f8}'
            | '\u{1f5f9}'
            | '\u{1fbb1}'
    )
}

/// The name with such characters escaped: nobody can mark themselves.
#[must_use]
pub fn without_marks(name: &str) -> String {
    without(name, is_mark)
}

/// Comes between a name and the digits that tell it apart.
pub const DIGITS_MARK: char = '·';

/// Characters that could be taken for [`DIGITS_MARK`], alone or as part of another one.
#[must_use]
pub fn is_digits_mark(c: char) -> bool {
    let alike = || unicode_security::skeleton(c.encode_utf8(&mut [0; 4])).any(|c| c == DIGITS_MARK);
    // Characters that fonts draw the same way, but that the table lacks.
    let further = matches!(
        c,
        DIGITS_MARK | '\u{387}' | '\u{2024}' | '\u{2e33}' | '\u{318d}' | '\u{119e}' | '\u{302e}'
    );
    further || !c.is_ascii() && alike()
}

/// A name as its owner chose it, with everything escaped that only klatch adds to names.
#[must_use]
pub fn as_chosen(name: &str) -> String {
    without(name, |c| is_mark(c) || is_digits_mark(c))
}

fn without(name: &str, is_unwanted: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if is_unwanted(c) { out += &format!("\\u{{{:x}}}", c as u32) } else { out.push(c) }
    }
    out
}

/// Names, one by one; if there are more than three, the number of the others.
pub(crate) fn few(names: impl IntoIterator<Item = String>) -> String {
    let mut names = names.into_iter();
    let first: Vec<_> = names.by_ref().take(3).collect();
    match names.count() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// What a name looks like at a glance: names with the same look are easily confused (the skeleton
/// of Unicode Technical Standard 39, 4, ignoring case).
#[must_use]
pub fn look(name: &str) -> String {
    let name: String = name.chars().filter(|c| !is_mark(*c)).collect();
    // Capitals first, as some of them look like small letters of another name.
    let looks: String = unicode_security::skeleton(&name).collect();
    let small = looks.to_lowercase();
    unicode_security::skeleton(&small).filter(|c| *c != DIGITS_MARK).collect()
}

/// Whether a word is a glob, which means all its matches, and not just a name.
#[must_use]
pub fn is_glob(word: &str) -> bool {
    word.contains(['*', '?', '['])
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Longer than allowed.
    #[error("the message has {bytes} bytes; {MESSAGE_MAX_BYTES} are allowed: send it as a file")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// A control character.
    #[error("the text contains the control character U+{0:04X}, which is not allowed")]
    Control(u32),
    /// Empty.
    #[error("the text is empty")]
    Empty,
    /// A name that is too long.
    #[error("the name has {chars} characters; 1 to {NAME_MAX_CHARS} are allowed")]
    NameTooLong {
        /// Its length in characters.
        chars: usize,
    },
    /// A name that could be mistaken for something of klatch's own.
    #[error("a name may not contain ':' nor begin with '*' or '/'")]
    NameForm,
    /// A name with the character that klatch puts before the digits that tell names apart.
    #[error("a name may not contain '·' or what looks like it: digits behind it tell names apart")]
    NameDigits,
    /// A name that klatch itself uses to speak.
    #[error("a name may not look like you, klatch or error: klatch itself speaks under these")]
    NameReserved,
}

/// Whether a name with this [`look`] can be taken for one that klatch itself uses to speak.
#[must_use]
pub fn is_reserved(seen: &str) -> bool {
    static LOOKS: LazyLock<[String; 3]> = LazyLock::new(|| ["you", "klatch", "error"].map(look));
    LOOKS.iter().any(|reserved| reserved == seen)
}

/// Checks a message: 1 byte to 8 KiB, no control characters except line feed and tab.
///
/// # Errors
/// Says what is wrong.
pub fn check_message(text: &str) -> Result<(), TextError> {
    if text.len() > MESSAGE_MAX_BYTES {
        return Err(TextError::TooLong { bytes: text.len() });
    }
    if text.trim().is_empty() {
        return Err(TextError::Empty);
    }
    match text.chars().find(|&c| is_control(c) && c != '\n' && c != '\t') {
        Some(c) => Err(TextError::Control(c as u32)),
        None => Ok(()),
    }
}

/// Checks a nickname that this node's person chooses: [`read_name`], none that klatch itself uses
/// to speak, and none that could be taken for another one with its digits.
///
/// # Errors
/// Says what is wrong.
pub fn check_name(name: &str) -> Result<String, TextError> {
    let name = read_name(name)?;
    if is_reserved(&look(&name)) {
        return Err(TextError::NameReserved);
    }
    if name.contains(is_digits_mark) { Err(TextError::NameDigits) } else { Ok(name) }
}

/// Reads a nickname and returns it trimmed and in NFC: 1 to 32 characters, no `:`, no control or
/// format characters, no leading `*` or `/`. Part of what is *valid*, so it never changes.
///
/// # Errors
/// Says what is wrong.
pub fn read_name(name: &str) -> Result<String, TextError> {
    if name.len() > 8 * NAME_MAX_CHARS {
        return Err(TextError::NameTooLong { chars: name.chars().count() });
    }
    let name: String = name.trim().nfc().collect();
    let chars = name.chars().count();
    if chars == 0 {
        return Err(TextError::Empty);
    }
    if chars > NAME_MAX_CHARS {
        return Err(TextError::NameTooLong { chars });
    }
    if let Some(c) = name.chars().find(|&c| is_control(c) || is_format(c)) {
        return Err(TextError::Control(c as u32));
    }
    if name.contains(':') || name.starts_with(['*', '/']) {
        return Err(TextError::NameForm);
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_a_text_is_no_copy() {
        let whole: Arc<str> = "one two".into();
        let piece = Untrusted::within(&whole, &whole[4..]);
        assert_eq!((piece.raw(), Arc::strong_count(&whole)), ("two", 2));
        let others = ["two".to_owned(), String::new()].map(|text| Untrusted::within(&whole, &text));
        assert_eq!(others.each_ref().map(Untrusted::raw), ["two", ""]);
        assert_eq!(Arc::strong_count(&whole), 2, "only what lies in it shares it");
    }

    #[test]
    fn escaped_text_holds_no_control_and_no_bidi() {
        let hostile = "a\u{1b}[2Jb\u{9b}c\r\u{202e}d\u{7f}\n* eve joined";
        let line = Untrusted::new(hostile).line();
        assert_eq!(line, "a\\u{1b}[2Jb\\u{9b}c\\u{d}\\u{202e}d\\u{7f}\\u{a}* eve joined");
        let block = Untrusted::new("one\ntwo").block();
        assert_eq!(block, "one\n    two");
    }

    #[test]
    fn a_name_in_a_sentence_is_neither_padded_nor_long() {
        let shown = |name: &str| Untrusted::new(name).to_string();
        assert_eq!(shown("my  film.mkv"), "my film.mkv");
        let forged = format!("a.txt{}error: the disk is full", " \u{3000}\u{a0}".repeat(99));
        assert_eq!(shown(&forged), "a.txt error: the disk is full");
        let long = format!("{}.tar.gz", "x".repeat(500));
        let cut = format!("{}…{}.tar.gz", "x".repeat(32), "x".repeat(24));
        assert_eq!(shown(&long), cut);
        // Wide characters and marks without width do not make it longer.
        assert_eq!(shown(&"\u{6f22}".repeat(500)).chars().count(), 32);
        assert_eq!(shown(&format!("e{}", "\u{301}".repeat(500))).chars().count(), 64);
        assert_eq!(Untrusted::new(long.as_str()).line(), long);
    }

    #[test]
    fn names_that_look_alike_have_one_look() {
        for (one, other) in [
            ("ana", "\u{430}n\u{430}"),
            ("ana", "Ana"),
            ("bill", "BiII"),
            ("bill", "bi11"),
            ("ana", "\u{ff41}na"),
            ("rn", "m"),
            ("ana", "ana\u{2714}"),
        ] {
            assert_eq!(look(one), look(other), "{one} {other}");
        }
        for (one, other) in [("ana", "anna"), ("bob", "rob"), ("a b", "ab")] {
            assert_ne!(look(one), look(other), "{one} {other}");
        }
    }

    /// T6: digits after a name are klatch's own.
    #[test]
    fn t6_nobody_puts_digits_behind_a_name() {
        for c in
            ['·', '\u{387}', '\u{2d1}', '\u{2022}', '\u{2219}', '\u{30fb}', '\u{ff65}', '\u{140}']
        {
            assert!(is_digits_mark(c), "{c} U+{:04X}", c as u32);
            let name = format!("ben{c}9359");
            assert_eq!(check_name(&name), Err(TextError::NameDigits), "{name}");
            assert!(!as_chosen(&name).contains(is_digits_mark));
        }
        assert_eq!(as_chosen("ben·9359✓"), "ben\\u{b7}9359\\u{2713}");
        assert_eq!(check_name("Gal.la"), Ok("Gal.la".into()));
    }

    #[test]
    fn names_and_messages_are_held_to_the_contract() {
        assert_eq!(check_name(" ana "), Ok("ana".into()));
        assert_eq!(check_name("e\u{301}"), Ok("\u{e9}".into()));
        assert_eq!(check_name("* ana"), Err(TextError::NameForm));
        assert_eq!(check_name("a:b"), Err(TextError::NameForm));
        for name in ["you", "Klatch", "\u{435}rror", "kl\u{430}tch", "you\u{2714}"] {
            assert_eq!(check_name(name), Err(TextError::NameReserved), "{name}");
            assert_eq!(read_name(name), Ok(name.into()), "shown with digits of the key: {name}");
        }
        assert_eq!(check_name("young"), Ok("young".into()));
        assert_eq!(check_name("a\u{200b}"), Err(TextError::Control(0x200b)));
        assert_eq!(check_name(&"x".repeat(33)), Err(TextError::NameTooLong { chars: 33 }));
        assert_eq!(check_message("a\nb\tc"), Ok(()));
        assert_eq!(check_message("a\u{7}"), Err(TextError::Control(7)));
        assert_eq!(check_message(&"x".repeat(8193)), Err(TextError::TooLong { bytes: 8193 }));
    }

    #[test]
    fn sizes_have_decimal_units() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (12_345_678, "12.3 MB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (1 << 41, "2.2 TB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
