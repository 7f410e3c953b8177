//! The word by which a person names a file: its name in any Unicode normalisation, or an id.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;

use super::text::is_glob;

/// Fewest hex digits of an id that can name something.
pub(crate) const PREFIX_MIN: usize = 8;

/// How a word matches. A full id always means its file, even if somebody gave another file that id
/// as its name. The first digits of an id match as well as a name does: a person told to type these
/// digits must not get a file that somebody else named so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WordFit {
    Id,
    Name,
    Prefix,
}

/// What was typed, prepared for comparing.
#[derive(Debug)]
pub(crate) struct FileWord {
    name: String,
    /// In lower case, if it can begin an id.
    digits: Option<String>,
}

impl FileWord {
    pub(crate) fn new(typed: &str) -> Self {
        let digits = typed.to_ascii_lowercase();
        let is_prefix = digits.len() >= PREFIX_MIN && digits.bytes().all(|b| b.is_ascii_hexdigit());
        Self { name: nfc(typed), digits: Some(digits).filter(|_| is_prefix) }
    }

    /// What was typed, in NFC.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The digits, if it can begin an id.
    pub(crate) fn digits(&self) -> Option<&str> {
        self.digits.as_deref()
    }

    /// The glob that it may mean, if it has a glob's characters.
    pub(crate) fn glob(&self) -> Option<glob::Pattern> {
        glob::Pattern::new(&self.name).ok().filter(|_| is_glob(&self.name))
    }

    /// Whether this is that name, compared in NFC.
    pub(crate) fn is_name(&self, name: &str) -> bool {
        name == self.name || !name.is_ascii() && name.nfc().eq(self.name.chars())
    }

    /// How it matches something with this name and these ids.
    pub(crate) fn fit<const N: usize>(
        &self,
        name: &str,
        ids: [&dyn ToString; N],
    ) -> Option<WordFit> {
        let by_id = self.digits().and_then(|digits| {
            let ids = ids.iter().map(|id| id.to_string());
            ids.filter(|id| id.starts_with(digits))
                .map(|id| if id == digits { WordFit::Id } else { WordFit::Prefix })
                .min()
        });
        let by_name = self.is_name(name).then_some(WordFit::Name);
        [by_id, by_name].into_iter().flatten().min()
    }
}

/// A name in the form in which names are compared.
pub(crate) fn nfc(name: &str) -> String {
    name.nfc().collect()
}

/// The match with this exact id, or else all matches.
pub(crate) fn best<T>(fitting: impl Iterator<Item = (WordFit, T)>) -> Vec<T> {
    let (mut by_id, mut others) = (Vec::new(), Vec::new());
    for (fit, item) in fitting {
        match fit {
            WordFit::Id => by_id.push(item),
            WordFit::Name | WordFit::Prefix => others.push(item),
        }
    }
    if by_id.is_empty() { others } else { by_id }
}

/// How many digits tell these ids apart, at least [`PREFIX_MIN`]: anybody can make two files whose
/// ids begin alike.
pub(crate) fn digits_apart(ids: &BTreeSet<String>) -> usize {
    let common = |(one, other): (&String, &String)| {
        one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count() + 1
    };
    ids.iter().zip(ids.iter().skip(1)).map(common).fold(PREFIX_MIN, usize::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::ids::FileId;

    #[test]
    fn a_name_is_itself_in_every_normalisation_and_an_id_counts_from_eight_digits() {
        let id = FileId([0xab; 32]);
        let fit = |typed: &str, name: &str| FileWord::new(typed).fit(name, [&id]);
        assert_eq!(fit("cafe\u{301}.txt", "caf\u{e9}.txt"), Some(WordFit::Name));
        assert_eq!(fit("caf\u{e9}.txt", "cafe\u{301}.txt"), Some(WordFit::Name));
        assert_eq!(fit("cafe.txt", "caf\u{e9}.txt"), None);
        assert_eq!(fit("ABABABAB", "a"), Some(WordFit::Prefix));
        assert_eq!(fit("abababa", "a"), None);
        assert_eq!(fit("ababababab", "ababababab"), Some(WordFit::Name));
        assert_eq!(fit(&"ab".repeat(32), &"ab".repeat(32)), Some(WordFit::Id));
        let fits =
            [(WordFit::Prefix, 1), (WordFit::Name, 2), (WordFit::Name, 3), (WordFit::Prefix, 4)];
        assert_eq!(best(fits.into_iter()), [1, 2, 3, 4]);
        assert_eq!(best([(WordFit::Name, 1), (WordFit::Id, 2)].into_iter()), [2]);
    }

    #[test]
    fn ids_that_begin_alike_are_shown_longer() {
        let ids = |list: &[&str]| list.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(digits_apart(&ids(&["abcdefabcdef", "0bcdefabcdef"])), 8);
        assert_eq!(digits_apart(&ids(&["abcdefabcdef", "abcdefabcd00"])), 11);
    }
}
