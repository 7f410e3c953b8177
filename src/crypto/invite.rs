//! The secret of an invitation, and the keys derived from it.
//!
//! The maker of an invitation draws 128 random bits and gives them to its guest. Members get what
//! they need to answer the guest (the find key) and to check it (the public key), never the secret
//! itself, so only the maker can pass the invitation on.

use std::fmt;

use zeroize::Zeroizing;

use super::hash;
use super::identity::Identity;

/// Bytes of the secret.
pub const SECRET_BYTES: usize = 16;

const FIND: &[u8] = b"klatch find 1";
const KEY: &[u8] = b"klatch invitation key 1";
const FIND_HASH: &[u8] = b"klatch find hash 1\0";

/// What a guest has. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct InviteSecret(Zeroizing<[u8; SECRET_BYTES]>);

impl InviteSecret {
    /// The secret with these bytes; they must be random.
    #[must_use]
    pub fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret itself, for the text that is passed on. Never log it.
    #[must_use]
    pub fn expose(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }

    /// With this key guest and member find out that they mean the same invitation.
    #[must_use]
    pub fn find_key(&self) -> FindKey {
        FindKey(Zeroizing::new(hash::hmac(&self.key(), FIND)))
    }

    /// The key pair of the invitation: holding it proves holding the invitation.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::from_seed(hash::hmac(&self.key(), KEY))
    }

    /// As the key of an HMAC, which pads short keys with zeros (RFC 2104).
    fn key(&self) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        key[..SECRET_BYTES].copy_from_slice(&self.0[..]);
        key
    }
}

impl fmt::Debug for InviteSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteSecret(secret)")
    }
}

/// What members know of the secret. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct FindKey(Zeroizing<[u8; 32]>);

impl FindKey {
    /// The key as received from a member.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key itself.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Names the key in its invitation: SHA-256 over label and key.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        hash::digest(&[FIND_HASH, &self.0[..]])
    }
}

impl fmt::Debug for FindKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FindKey(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_of_a_secret_differs_and_is_stable() {
        let secret = InviteSecret::from_bytes([7; SECRET_BYTES]);
        assert_eq!(secret.find_key(), InviteSecret::from_bytes([7; SECRET_BYTES]).find_key());
        assert_ne!(secret.find_key(), InviteSecret::from_bytes([8; SECRET_BYTES]).find_key());
        assert_ne!(secret.find_key().expose(), &secret.identity().seed());
        assert_ne!(&secret.find_key().hash(), secret.find_key().expose());
        assert_eq!(
            format!("{secret:?} {:?}", secret.find_key()),
            "InviteSecret(secret) FindKey(secret)"
        );
    }
}
