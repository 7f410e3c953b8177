//! Which chunks of a file a member holds: one bit per chunk.

use core::ops::Range;

/// A fixed-length set of chunk numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
    len: u32,
    ones: u32,
}

impl Bitmap {
    /// No chunk of `len`.
    #[must_use]
    pub fn none(len: u32) -> Self {
        Self { words: vec![0; (len as usize).div_ceil(64)], len, ones: 0 }
    }

    /// Every chunk of `len`.
    #[must_use]
    pub fn all(len: u32) -> Self {
        let mut bitmap = Self::none(len);
        for (i, word) in bitmap.words.iter_mut().enumerate() {
            let left = len as usize - 64 * i;
            *word = if left >= 64 { u64::MAX } else { (1 << left) - 1 };
        }
        bitmap.ones = len;
        bitmap
    }

    /// Number of chunks, held or not.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// True for the bitmap of an empty file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of chunks held.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.ones
    }

    /// Whether every chunk is held.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.ones == self.len
    }

    /// Whether `chunk` is held; false beyond the end.
    #[must_use]
    pub fn has(&self, chunk: u32) -> bool {
        chunk < self.len
            && self.words.get(chunk as usize / 64).is_some_and(|w| w >> (chunk % 64) & 1 == 1)
    }

    /// Whether some chunk of the range is held.
    #[must_use]
    pub fn has_any(&self, chunks: Range<u32>) -> bool {
        let (first, end) = (chunks.start, chunks.end.min(self.len));
        if first >= end {
            return false;
        }
        let (start, last) = (first as usize / 64, (end as usize - 1) / 64);
        let (low, high) = (u64::MAX << (first % 64), u64::MAX >> ((64 - end % 64) % 64));
        match self.words.get(start..=last) {
            None | Some([]) => false,
            Some([word]) => word & low & high != 0,
            Some([word, between @ .., end]) => {
                word & low != 0 || end & high != 0 || between.iter().any(|word| *word != 0)
            }
        }
    }

    /// Adds `chunk`; returns whether it is new. Beyond the end nothing happens.
    pub fn insert(&mut self, chunk: u32) -> bool {
        if chunk >= self.len || self.has(chunk) {
            return false;
        }
        if let Some(word) = self.words.get_mut(chunk as usize / 64) {
            *word |= 1 << (chunk % 64);
            self.ones += 1;
        }
        true
    }

    /// Removes `chunk`; returns whether it was there.
    pub fn remove(&mut self, chunk: u32) -> bool {
        if !self.has(chunk) {
            return false;
        }
        if let Some(word) = self.words.get_mut(chunk as usize / 64) {
            *word &= !(1 << (chunk % 64));
            self.ones -= 1;
        }
        true
    }

    /// The set with these [`Bitmap::words`]; whatever is beyond `len` is dropped.
    #[must_use]
    pub fn from_words(len: u32, words: impl IntoIterator<Item = u64>) -> Self {
        let mut bitmap = Self::all(len);
        let mut words = words.into_iter();
        for word in &mut bitmap.words {
            *word &= words.next().unwrap_or(0);
        }
        bitmap.ones = bitmap.words.iter().map(|word| word.count_ones()).sum();
        bitmap
    }

    /// The set in words of 64 chunks, chunk 0 in the lowest bit of the first.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The chunks held, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0u32..).step_by(64).zip(&self.words).flat_map(|(first, word)| {
            let some = |word: u64| Some(word).filter(|word| *word != 0);
            let rests = std::iter::successors(some(*word), move |word| some(word & (word - 1)));
            rests.map(move |word| first + word.trailing_zeros())
        })
    }

    /// Bytes, chunk 0 in the highest bit of the first byte (the order of BitTorrent, BEP 3).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0u8; (self.len as usize).div_ceil(8)];
        for chunk in self.iter() {
            if let Some(byte) = bytes.get_mut(chunk as usize / 8) {
                *byte |= 0x80 >> (chunk % 8);
            }
        }
        bytes
    }

    /// Reads [`Bitmap::to_bytes`]; `None` if the length is wrong or spare bits are set.
    #[must_use]
    pub fn from_bytes(len: u32, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != (len as usize).div_ceil(8) {
            return None;
        }
        let mut bitmap = Self::none(len);
        for (i, byte) in bytes.iter().enumerate() {
            for bit in 0..8 {
                if byte & (0x80 >> bit) != 0 {
                    let chunk = 8 * i as u32 + bit;
                    if chunk >= len {
                        return None;
                    }
                    bitmap.insert(chunk);
                }
            }
        }
        Some(bitmap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_something_where_one_of_its_chunks_is_held() {
        for len in [1, 63, 64, 65, 200] {
            for held in [0, 1, 62, 63, 64, 127, 128, 199] {
                let mut bitmap = Bitmap::none(len);
                bitmap.insert(held);
                for first in 0..=len {
                    for end in 0..=len + 1 {
                        let expected = (first..end).any(|chunk| bitmap.has(chunk));
                        assert_eq!(
                            bitmap.has_any(first..end),
                            expected,
                            "{len} {held} {first} {end}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn bytes_are_read_back_and_spare_bits_refused() {
        for len in [0, 1, 7, 8, 9, 64, 65, 1000] {
            let mut bitmap = Bitmap::none(len);
            for chunk in (0..len).step_by(3) {
                assert!(bitmap.insert(chunk));
                assert!(!bitmap.insert(chunk));
            }
            assert_eq!(Bitmap::from_bytes(len, &bitmap.to_bytes()), Some(bitmap.clone()));
            assert_eq!(bitmap.count() as usize, bitmap.iter().count());
            assert!(Bitmap::all(len).is_all());
            assert_eq!(
                Bitmap::from_bytes(len, &Bitmap::all(len).to_bytes()),
                Some(Bitmap::all(len))
            );
        }
        assert_eq!(Bitmap::from_bytes(1, &[0x40]), None);
        assert_eq!(Bitmap::from_bytes(9, &[0x40]), None);
    }
}
