//! SHA-256 and HMAC-SHA256 (FIPS 180-4, RFC 2104).

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Bytes of a SHA-256 block: what HMAC pads its key to.
pub(super) const BLOCK_BYTES: usize = 64;

/// SHA-256 of the parts, one after another.
///
/// Nothing marks where a part ends: each but the last must have a fixed length, or one given by an
/// earlier part, or two different lists could have the same digest.
#[must_use]
pub fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Hasher::default();
    for part in parts {
        hasher.update(part);
    }
    hasher.finish()
}

/// SHA-256 of data that come piece by piece.
#[derive(Default)]
pub(super) struct Hasher(Sha256);

impl Hasher {
    /// Takes in the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything taken in; then starts afresh.
    pub(super) fn finish(&mut self) -> [u8; 32] {
        self.0.finalize_reset().into()
    }
}

/// HMAC-SHA256 of `message` under `key`.
#[must_use]
pub fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    keyed(key, message).finalize().into_bytes().into()
}

/// Whether `tag` is [`hmac()`] of `message` under `key`, in constant time.
#[must_use]
pub fn check_hmac(key: &[u8; 32], message: &[u8], tag: &[u8; 32]) -> bool {
    keyed(key, message).verify(tag.into()).is_ok()
}

fn keyed(key: &[u8; 32], message: &[u8]) -> Hmac<Sha256> {
    // HMAC itself pads a short key with zeros to a block; a whole block is a key whose length
    // cannot be refused.
    let mut block = Zeroizing::new([0; BLOCK_BYTES]);
    for (slot, byte) in block.iter_mut().zip(key) {
        *slot = *byte;
    }
    Hmac::<Sha256>::new((&*block).into()).chain_update(message)
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn digest_of_the_empty_string_and_of_parts() {
        let empty = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest(&[]).to_vec(), HEXLOWER.decode(empty).unwrap());
        assert_eq!(digest(&[b"a", b"", b"bc"]), digest(&[b"abc"]));
    }

    /// RFC 4231, test case 2, whose key ("Jefe") is padded with zeros in HMAC as it is here.
    #[test]
    fn hmac_matches_the_rfc() {
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let tag = hmac(&key, b"what do ya want for nothing?");
        let known = b"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(tag.to_vec(), HEXLOWER.decode(known).unwrap());
        assert!(check_hmac(&key, b"what do ya want for nothing?", &tag));
        assert!(!check_hmac(&key, b"what do ya want for nothing!", &tag));
    }
}
