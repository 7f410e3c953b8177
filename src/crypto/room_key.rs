//! The key that the members of a room share for one epoch.

use std::fmt;

use zeroize::Zeroizing;

use super::{hash, random};

/// A room's 256-bit key. Who knows it is, or was during its epoch, a member.
///
/// Wiped when dropped, never printed, compared in constant time. It is no `Copy`: every copy is
/// one more to wipe, so [`Clone`] is written out.
#[derive(Clone)]
pub struct RoomKey(Zeroizing<[u8; 32]>);

impl RoomKey {
    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        let mut key = Zeroizing::new([0; 32]);
        random::fill(&mut *key);
        Self(key)
    }

    /// The key with these bytes, as another member sent them.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key's bytes, for sending to a newcomer. Never log or show them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// HMAC-SHA256 (RFC 2104) of `message` under this key.
    ///
    /// A message must begin with a [`Label`](super::binding::Label) of its kind, so that a MAC
    /// made for one purpose serves no other.
    #[must_use]
    pub fn mac(&self, message: &[u8]) -> [u8; 32] {
        hash::hmac(&self.0, message)
    }

    /// Whether `mac` is the MAC of `message` under this key, in constant time.
    #[must_use]
    pub fn check_mac(&self, message: &[u8], mac: &[u8; 32]) -> bool {
        hash::check_hmac(&self.0, message, mac)
    }
}

impl PartialEq for RoomKey {
    fn eq(&self, other: &Self) -> bool {
        hash::equal(&self.0, &other.0)
    }
}

impl Eq for RoomKey {}

impl fmt::Debug for RoomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomKey(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_holds_for_its_key_and_message_only() {
        let key = RoomKey::generate();
        let mac = key.mac(b"alice locked the room");
        assert!(key.check_mac(b"alice locked the room", &mac));
        assert!(!key.check_mac(b"eve locked the room", &mac));
        assert!(!RoomKey::generate().check_mac(b"alice locked the room", &mac));
    }

    #[test]
    fn keys_compare_by_their_bytes_and_are_not_printed() {
        let key = RoomKey::from_bytes([7; 32]);
        assert_eq!(key, RoomKey::from_bytes(*key.clone().as_bytes()));
        assert_ne!(key, RoomKey::from_bytes([8; 32]));
        assert_eq!(format!("{key:?}"), "RoomKey(secret)");
    }
}
