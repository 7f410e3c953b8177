//! Hashes several leaves at once on one core.
//!
//! Each round of SHA-256 waits for the one before, so a core that hashes one message is half idle.
//! Here the rounds of several messages are interleaved. With the SHA-256 instructions of x86-64,
//! two or four leaves take about half the time; elsewhere sha2 gets their blocks in turn, which
//! also helps a processor that executes out of order.

use multiversion::multiversion;
use multiversion::target::match_target;
use sha2::{Digest, Sha256};

use super::merkle::LEAF_BYTES;
use crate::router::ids::Digest32;

/// Bytes that SHA-256 takes in at a time.
const BLOCK_BYTES: usize = 64;

/// The bytes under one leaf.
pub(super) type Leaf = [u8; LEAF_BYTES];

/// SHA-256 of each of the leaves.
#[multiversion(targets("x86_64+sha+sse2+ssse3+sse4.1"))]
pub(super) fn hash<const N: usize>(leaves: &[Leaf; N]) -> [Digest32; N] {
    match_target! {
        "x86_64+sha+sse2+ssse3+sse4.1" => x86_64::hash(leaves),
        _ => in_turns(leaves),
    }
}

fn in_turns<const N: usize>(leaves: &[Leaf; N]) -> [Digest32; N] {
    let mut hashers = [(); N].map(|()| Sha256::new());
    for at in (0..LEAF_BYTES).step_by(BLOCK_BYTES) {
        for (hasher, leaf) in hashers.iter_mut().zip(leaves) {
            hasher.update(leaf.get(at..at + BLOCK_BYTES).unwrap_or_default());
        }
    }
    hashers.map(|hasher| Digest32(hasher.finalize().into()))
}

/// With the SHA extensions, which name the parts of the state so: `abef` and `cdgh`.
#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32,
        _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi32,
    };

    use super::{BLOCK_BYTES, Leaf};
    use crate::files::merkle::LEAF_BYTES;
    use crate::router::ids::Digest32;

    /// SHA-256's initial hash value (FIPS 180-4, 5.3.3): `abef`, then `cdgh`, lowest word first.
    const START: [[u32; 4]; 2] = [
        [0x9b05_688c, 0x510e_527f, 0xbb67_ae85, 0x6a09_e667],
        [0x5be0_cd19, 0x1f83_d9ab, 0xa54f_f53a, 0x3c6e_f372],
    ];

    /// The round constants (FIPS 180-4, 4.2.2), four rounds a row.
    const ADDED: [[u32; 4]; 16] = [
        [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
        [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
        [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
        [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
        [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
        [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
        [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
        [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
        [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
        [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
        [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
        [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
        [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
        [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
        [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
        [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
    ];

    /// The state of one hash.
    #[derive(Clone, Copy)]
    struct Sha256State {
        abef: __m128i,
        cdgh: __m128i,
    }

    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    pub(super) fn hash<const N: usize>(leaves: &[Leaf; N]) -> [Digest32; N] {
        let [abef, cdgh] = START.map(|words| vector(words));
        let mut states = [Sha256State { abef, cdgh }; N];
        let end = load(&END);
        for at in (0..LEAF_BYTES).step_by(BLOCK_BYTES) {
            let mut blocks = [end; N];
            for (block, leaf) in blocks.iter_mut().zip(leaves) {
                *block = load(leaf[at..].first_chunk().unwrap_or(&END));
            }
            compress(&mut states, blocks);
        }
        compress(&mut states, [end; N]);
        states.map(|state| digest(state))
    }

    /// The block after a leaf: a 1 bit, zeros, and the leaf's number of bits.
    const END: [u8; BLOCK_BYTES] = {
        let mut block = [0; BLOCK_BYTES];
        block[0] = 0x80;
        let (_, length) = block.split_at_mut(BLOCK_BYTES - size_of::<u64>());
        length.copy_from_slice(&(LEAF_BYTES as u64 * 8).to_be_bytes());
        block
    };

    /// Takes a block of each message into its state. The rounds are written out, so that the
    /// compiler knows which `words` each needs, and keeps them in registers.
    #[inline]
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn compress<const N: usize>(states: &mut [Sha256State; N], mut blocks: [[__m128i; 4]; N]) {
        let before = *states;
        macro_rules! four_rounds {
            ($($row:literal)*) => { $(
                for (state, words) in states.iter_mut().zip(&mut blocks) {
                    let (next, second) = ($row % 4, ($row + 1) % 4);
                    let (third, last) = (($row + 2) % 4, ($row + 3) % 4);
                    if $row >= 4 {
                        let begun = _mm_sha256msg1_epu32(words[next], words[second]);
                        let older = _mm_alignr_epi8(words[last], words[third], 4);
                        let sum = _mm_add_epi32(begun, older);
                        words[next] = _mm_sha256msg2_epu32(sum, words[last]);
                    }
                    let added = _mm_add_epi32(words[next], vector(ADDED[$row]));
                    state.cdgh = _mm_sha256rnds2_epu32(state.cdgh, state.abef, added);
                    let added = _mm_shuffle_epi32(added, 0b1110);
                    state.abef = _mm_sha256rnds2_epu32(state.abef, state.cdgh, added);
                }
            )* };
        }
        four_rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        for (state, before) in states.iter_mut().zip(before) {
            state.abef = _mm_add_epi32(state.abef, before.abef);
            state.cdgh = _mm_add_epi32(state.cdgh, before.cdgh);
        }
    }

    #[inline]
    #[target_feature(enable = "ssse3")]
    fn load(block: &[u8; BLOCK_BYTES]) -> [__m128i; 4] {
        // Loops, which are compiled in place even where closures are not.
        let (words, _) = block.as_chunks();
        let mut rows = [[0; 4]; 4];
        for (at, word) in words.iter().enumerate() {
            rows[at / 4][at % 4] = u32::from_be_bytes(*word);
        }
        [vector(rows[0]), vector(rows[1]), vector(rows[2]), vector(rows[3])]
    }

    /// A vector of these words, lowest first.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn vector(words: [u32; 4]) -> __m128i {
        let [a, b, c, d] = words;
        _mm_set_epi32(d.cast_signed(), c.cast_signed(), b.cast_signed(), a.cast_signed())
    }

    #[inline]
    #[target_feature(enable = "sse4.1")]
    fn digest(Sha256State { abef, cdgh }: Sha256State) -> Digest32 {
        let words = [
            _mm_extract_epi32(abef, 3),
            _mm_extract_epi32(abef, 2),
            _mm_extract_epi32(cdgh, 3),
            _mm_extract_epi32(cdgh, 2),
            _mm_extract_epi32(abef, 1),
            _mm_extract_epi32(abef, 0),
            _mm_extract_epi32(cdgh, 1),
            _mm_extract_epi32(cdgh, 0),
        ];
        let mut bytes = [0; 32];
        for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *place = word.to_be_bytes();
        }
        Digest32(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::testing::count_bytes;

    /// Compares what runs on this processor, and on others, with sha2 on one leaf at a time.
    #[test]
    fn leaves_that_are_hashed_at_once_have_the_hashes_that_each_has_alone() {
        fn check<const N: usize>(bytes: &[u8]) {
            let leaves = bytes.as_chunks::<LEAF_BYTES>().0.as_chunks::<N>().0;
            assert!(!leaves.is_empty());
            for leaves in leaves {
                let alone = leaves.each_ref().map(|leaf| Digest32(Sha256::digest(leaf).into()));
                assert_eq!(hash(leaves), alone);
                assert_eq!(in_turns(leaves), alone);
            }
        }
        let zeros = vec![0; 8 * LEAF_BYTES];
        let ones = vec![0xff; 8 * LEAF_BYTES];
        for bytes in [count_bytes(7, 24 * LEAF_BYTES), zeros, ones] {
            check::<1>(&bytes);
            check::<2>(&bytes);
            check::<4>(&bytes);
        }
    }
}
