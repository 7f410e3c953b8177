//! The words for two identities and two values, computed the same way on both sides.

use crate::crypto::hash::digest;
use crate::router::ids::{Digest32, MemberId};

/// How many words are compared, each of 2,048.
const WORDS: usize = 4;
/// Bits of a word.
const WORD_BITS: usize = 11;
const LABEL: &[u8] = b"klatch verify 1\0";
const COMMIT: &[u8] = b"klatch verify commit 1\0";

/// A commitment to a value before it is revealed.
pub(super) fn commit_to(value: &Digest32) -> Digest32 {
    Digest32(digest(&[COMMIT, &value.0]))
}

/// The words for two identities and two values, the same on either side.
pub(super) fn words(
    mine: &MemberId,
    theirs: &MemberId,
    began: &Digest32,
    answered: &Digest32,
) -> String {
    let (first, second) = (mine.min(theirs), mine.max(theirs));
    let hash = digest(&[LABEL, &first.0, &second.0, &began.0, &answered.0]);
    let list = bip39::Language::English.word_list();
    let bit = |at: usize| {
        let byte = hash.get(at / 8).copied().unwrap_or_default();
        usize::from(byte >> (7 - at % 8) & 1)
    };
    let word = |index: usize| {
        let bits = (0..WORD_BITS).map(|at| bit(index * WORD_BITS + at));
        let number = bits.fold(0, |number, bit| number << 1 | bit);
        list.get(number).copied().unwrap_or_default()
    };
    (0..WORDS).map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_read_the_same_words_and_others_read_others() {
        let [a, b, c] = [1, 2, 3].map(|byte| MemberId([byte; 32]));
        let [x, y] = [4, 5].map(|byte| Digest32([byte; 32]));
        let both = words(&a, &b, &x, &y);
        assert_eq!(both, words(&b, &a, &x, &y));
        assert_eq!(both.split(' ').count(), WORDS);
        assert_ne!(both, words(&a, &c, &x, &y));
        assert_ne!(both, words(&a, &b, &y, &x));
        assert_ne!(commit_to(&x), commit_to(&y));
    }
}
