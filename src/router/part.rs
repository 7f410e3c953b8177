//! What of a folder somebody wants: some of its files, by patterns of their paths.

/// What fits a path below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathPattern {
    /// This very path, or everything that lies below it.
    Exact(String),
    /// The same, or what a glob fits: `*` stands for anything within a component of the path, `**`
    /// for any number of components.
    Glob(String),
}

impl PathPattern {
    /// A path as a program gives it: taken literally, but that it may end with `/**`, which means
    /// everything below.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        Self::Exact(path.strip_suffix("/**").unwrap_or(path).to_owned())
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Glob(text) => text,
        }
    }
}

/// Some files of a folder. A line may be read in several ways: the first counts of which every
/// pattern fits something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderPart {
    readings: Vec<Vec<PathPattern>>,
}

impl FolderPart {
    /// What any of these fits.
    #[must_use]
    pub fn of(patterns: Vec<PathPattern>) -> Self {
        Self { readings: vec![patterns] }
    }

    /// What the rest of a line means: one path, or else several.
    #[must_use]
    pub fn of_line(line: &str, words: Option<Vec<String>>) -> Self {
        let one = vec![PathPattern::Glob(line.to_owned())];
        let several = words.map(|words| words.into_iter().map(PathPattern::Glob).collect());
        Self { readings: std::iter::once(one).chain(several).collect() }
    }

    /// The ways to read it; there is at least one.
    #[must_use]
    pub fn readings(&self) -> &[Vec<PathPattern>] {
        &self.readings
    }
}

/// The words of a line, as a shell reads them: quotes and backslashes keep blanks within a word.
/// `None` where a quote is not closed.
pub(crate) fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word): (Vec<String>, Option<String>) = (Vec::new(), None);
    let (mut quote, mut chars) = (None, line.chars().peekable());
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '\\') if chars.peek().is_some_and(|c| matches!(c, ' ' | '"' | '\'' | '\\')) => {
                word.get_or_insert_default().extend(chars.next());
            }
            (None, ' ' | '\t') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// A name without the pair of quotes that encloses it, if there is one.
pub(crate) fn bare(text: &str) -> &str {
    let within = |quote: char| {
        let inside = text.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inside.contains(quote)).then_some(inside)
    };
    ['"', '\''].into_iter().find_map(within).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_words_like_a_shells() {
        for (line, expected) in [
            ("a b", Some(&["a", "b"][..])),
            (" a/\"b c\"  'd e'/f ", Some(&["a/b c", "d e/f"])),
            ("a\\ b c\\d", Some(&["a b", "c\\d"])),
            ("\"\"", Some(&[""])),
            ("", Some(&[])),
            ("it's", None),
        ] {
            let expected = expected.map(|words| words.iter().map(|of| (*of).to_owned()).collect());
            assert_eq!(words(line), expected, "{line}");
        }
    }

    #[test]
    fn one_pair_of_quotes_is_taken_off() {
        for (text, expected) in
            [("\"a b\"", "a b"), ("'a'", "a"), ("'a' 'b'", "'a' 'b'"), ("\"", "\""), ("a", "a")]
        {
            assert_eq!(bare(text), expected);
        }
    }

    #[test]
    fn a_path_of_a_program_is_no_glob() {
        let exact = |text: &str| PathPattern::Exact(text.to_owned());
        assert_eq!(PathPattern::of_path("a[1].jpg"), exact("a[1].jpg"));
        assert_eq!(PathPattern::of_path("2024/x/**"), exact("2024/x"));
        assert_eq!(PathPattern::of_path("2024/**.jpg"), exact("2024/**.jpg"));
    }
}
