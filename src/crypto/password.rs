//! The password of a closed room, as people type it.
//!
//! [`super::opaque`] opens a room with it. Strength is not judged beyond the length: [`suggest`]
//! offers a strong one.

use std::fmt;

use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::random;

/// Fewest characters of a password.
pub const MIN_CHARACTERS: usize = 8;
/// Most bytes of a password, in UTF-8 and normal form C: a bound, not advice.
pub const MAX_BYTES: usize = 1_024;

/// Normalising to form C makes UTF-8 at most three times as long (Unicode's FAQ on
/// normalization).
const MAX_EXPANSION: usize = 3;

/// Characters that are hard to confuse, whether read or heard: no `l`, `o`, `0`, `1`. Each is worth
/// five bits.
const ALPHABET: [u8; 32] = *b"abcdefghijkmnpqrstuvwxyz23456789";
const GROUPS: usize = 4;
const GROUP_LETTERS: usize = 4;

/// Why a text is not a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PasswordError {
    /// It has fewer than [`MIN_CHARACTERS`].
    #[error("the password has {}; at least {MIN_CHARACTERS} are needed", counted(*.characters))]
    TooShort {
        /// How many it has.
        characters: usize,
    },
    /// It has more than [`MAX_BYTES`].
    #[error("the password has {bytes} bytes; at most {MAX_BYTES} are possible")]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// It has a character that nobody types on purpose, such as a tab or a line break.
    #[error("the password has a control character; leave it out")]
    ControlCharacter,
}

/// A password in Unicode normal form C (so that two keyboards' encodings of `é` are the same), of
/// at least [`MIN_CHARACTERS`] and without control characters.
///
/// Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// The password as typed; nothing is trimmed.
    ///
    /// # Errors
    /// [`PasswordError`]: too short, too long, or with a control character.
    pub fn new(typed: &str) -> Result<Self, PasswordError> {
        // A string that grows would leave parts of the password behind in memory.
        let room = typed.len().saturating_mul(MAX_EXPANSION);
        let mut password = Zeroizing::new(String::with_capacity(room));
        password.extend(typed.nfc());
        let characters = password.chars().count();
        if password.chars().any(char::is_control) {
            Err(PasswordError::ControlCharacter)
        } else if characters < MIN_CHARACTERS {
            Err(PasswordError::TooShort { characters })
        } else if password.len() > MAX_BYTES {
            Err(PasswordError::TooLong { bytes: password.len() })
        } else {
            Ok(Self(password))
        }
    }

    /// The password itself, for showing a suggestion. Never log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(secret)")
    }
}

/// A random password of 80 bits that is easy to read out and type, such as `k7pw-x2mf-9acd-tq5h`.
#[must_use]
pub fn suggest() -> Password {
    let drawn = Zeroizing::new(random::random::<{ GROUPS * GROUP_LETTERS }>());
    let mut text = Zeroizing::new(String::with_capacity(GROUPS * (GROUP_LETTERS + 1)));
    for (index, byte) in drawn.iter().enumerate() {
        if index > 0 && index % GROUP_LETTERS == 0 {
            text.push('-');
        }
        // The alphabet's length divides 256, so every letter is equally likely.
        text.push(char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
    }
    Password(text)
}

fn counted(characters: usize) -> String {
    format!("{characters} character{}", if characters == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn short_passwords_are_counted_in_characters() {
        let error = Password::new("äöü").unwrap_err();
        assert_eq!(error.to_string(), "the password has 3 characters; at least 8 are needed");
        let error = Password::new("a").unwrap_err();
        assert_eq!(error.to_string(), "the password has 1 character; at least 8 are needed");
        assert_eq!(Password::new("1234567"), Err(PasswordError::TooShort { characters: 7 }));
        assert!(Password::new("12345678").is_ok());
        // Eight characters as typed, four when normalised.
        let error = PasswordError::TooShort { characters: 4 };
        assert_eq!(Password::new("e\u{301}e\u{301}e\u{301}e\u{301}"), Err(error));
    }

    #[test]
    fn long_ones_and_control_characters_are_refused() {
        assert!(Password::new(&"x".repeat(MAX_BYTES)).is_ok());
        let error = PasswordError::TooLong { bytes: MAX_BYTES + 1 };
        assert_eq!(Password::new(&"x".repeat(MAX_BYTES + 1)), Err(error));
        for control in ["\n", "\t", "\0", "\u{1b}", "\u{85}"] {
            let typed = format!("correct{control}horse");
            assert_eq!(Password::new(&typed), Err(PasswordError::ControlCharacter));
        }
    }

    #[test]
    fn two_ways_to_write_one_password_are_equal() {
        let composed = Password::new("caf\u{e9} noir").unwrap();
        assert_eq!(Password::new("cafe\u{301} noir").unwrap(), composed);
        assert_eq!(composed.expose(), "caf\u{e9} noir");
        assert_ne!(Password::new("Caf\u{e9} noir").unwrap(), composed);
    }

    /// These become three times as many bytes, which is the maximum.
    #[test]
    fn normalising_never_outgrows_the_string() {
        for typed in ["\u{1d160}".repeat(64), "\u{fb2c}".repeat(64), "\u{390}".repeat(64)] {
            let room = typed.len() * MAX_EXPANSION;
            assert!(typed.nfc().collect::<String>().len() <= room);
        }
    }

    #[test]
    fn suggestions_are_valid_different_and_as_documented() {
        let suggested: BTreeSet<_> = (0..100).map(|_| suggest().expose().to_owned()).collect();
        assert_eq!(suggested.len(), 100);
        for text in &suggested {
            assert_eq!(Password::new(text).unwrap().expose(), text);
            let groups: Vec<_> = text.split('-').collect();
            assert!(groups.len() == 4 && groups.iter().all(|group| group.len() == 4));
            assert!(groups.concat().bytes().all(|byte| ALPHABET.contains(&byte)));
        }
        assert_eq!(BTreeSet::from(ALPHABET).len(), 32);
    }

    #[test]
    fn a_password_is_not_printed() {
        let password = Password::new("correct horse").unwrap();
        assert_eq!(format!("{password:?}"), "Password(secret)");
    }
}
