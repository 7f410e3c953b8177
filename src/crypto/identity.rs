//! A member's identity: an Ed25519 key pair (RFC 8032), verified strictly.
//!
//! Strictly means one valid signature per key, message and nonce, and none by a weak key: `s` must
//! be below the group's order, neither the key nor `R` may have small order, and the equation is
//! checked without the cofactor. So everybody agrees on what is valid, and a signature cannot be
//! altered into another valid one.

use std::fmt;

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use super::random;

/// The secret key of a member; its public key *is* the member.
///
/// Wiped when dropped; printed by its public key; compared in constant time.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity(SigningKey);

impl Identity {
    /// A new identity.
    #[must_use]
    pub fn generate() -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        random::fill(&mut *seed);
        Self(SigningKey::from_bytes(&seed))
    }

    /// The identity saved as `seed` (RFC 8032, 5.1.5: any 32 bytes are a private key).
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&Zeroizing::new(seed)))
    }

    /// The secret, for keeping in a file that nobody else can read. Never log or show it.
    #[must_use]
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs `message`; deterministic, as in RFC 8032.
    ///
    /// A message must begin with a [`Label`](super::binding::Label) of its kind, so that a
    /// signature made for one purpose serves no other.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", HEXLOWER.encode(&self.public()))
    }
}

/// Whether the holder of `public` signed `message` with `signature`, verified strictly: also false
/// for a key that is no curve point or has small order, and for a malleated signature.
#[must_use]
pub fn verify(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let signature = Signature::from_bytes(signature);
    VerifyingKey::from_bytes(public).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
    }

    /// RFC 8032, 7.1, test 2.
    #[test]
    fn signatures_match_the_rfc() {
        let alice = Identity::from_seed(hex(
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        ));
        assert_eq!(
            alice.public(),
            hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
        );
        let signature = alice.sign(&[0x72]);
        assert_eq!(
            signature,
            hex(concat!(
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
                "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
            ))
        );
        assert!(verify(&alice.public(), &[0x72], &signature));
        assert!(!verify(&alice.public(), &[0x73], &signature));
        assert!(!verify(&Identity::generate().public(), &[0x72], &signature));
    }

    /// The group's order L, little-endian (RFC 8032, 5.1).
    fn order() -> [u8; 32] {
        hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
    }

    #[test]
    fn a_malleated_signature_is_refused() {
        let alice = Identity::generate();
        let mut signature = alice.sign(b"hello");
        assert!(verify(&alice.public(), b"hello", &signature));
        let mut carry = 0;
        for (byte, addend) in signature[32..].iter_mut().zip(order()) {
            let sum = u16::from(*byte) + u16::from(addend) + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert_eq!(carry, 0);
        assert!(!verify(&alice.public(), b"hello", &signature));
    }

    /// With a key of small order one signature (R = the key, s = 0) can hold for any message.
    #[test]
    fn a_key_of_small_order_is_refused() {
        let identity_point =
            hex("0100000000000000000000000000000000000000000000000000000000000000");
        let order_two = hex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
        let order_four = [0; 32];
        let order_eight = hex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05");
        for weak in [identity_point, order_two, order_four, order_eight] {
            for r in [identity_point, weak] {
                let mut signature = [0; 64];
                signature[..32].copy_from_slice(&r);
                assert!((0..=u8::MAX).all(|n| !verify(&weak, &[n], &signature)));
            }
        }
    }

    #[test]
    fn bytes_that_are_no_key_are_refused() {
        assert!(!verify(&[2; 32], b"hello", &[0; 64]));
        assert!(!verify(&[0xff; 32], b"hello", &[0xff; 64]));
    }

    #[test]
    fn an_identity_survives_its_file_and_is_not_printed() {
        let alice = Identity::from_seed([0x5a; 32]);
        assert_eq!(alice, Identity::from_seed(alice.clone().seed()));
        assert_ne!(alice, Identity::generate());
        assert!(!format!("{alice:?}").contains("5a5a5a"));
    }
}
