//! The primitives for snow's handshakes: X25519 (RFC 7748) by x25519-dalek, AES-256-GCM (NIST SP
//! 800-38D) by ring, which is the fastest, SHA-256, and the system's random numbers. There are no
//! others.
//!
//! Some calls of snow's traits cannot return an error; if given something impossible (a length that
//! snow never passes) they do nothing or return 0 bytes, which [`super::noise`] refuses.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use snow::Error;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use x25519_dalek::{PublicKey, StaticSecret};

use super::hash::{BLOCK_BYTES, Hasher};
use super::{noise::TAG_BYTES, random};

/// Resolves `25519`, `AESGCM` and `SHA256`, and nothing else.
pub(super) struct Primitives;

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(SnowRandom))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        match choice {
            DHChoice::Curve25519 => Some(Box::new(X25519::from([0; 32]))),
            DHChoice::Curve448 => None,
        }
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        match choice {
            HashChoice::SHA256 => Some(Box::new(Sha256(Hasher::default()))),
            HashChoice::SHA512 | HashChoice::Blake2s | HashChoice::Blake2b => None,
        }
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        match choice {
            CipherChoice::AESGCM => Some(Box::new(AesGcm(None))),
            CipherChoice::ChaChaPoly => None,
        }
    }
}

struct SnowRandom;

impl Random for SnowRandom {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        random::fill(dest);
        Ok(())
    }
}

/// A key pair; zeros until snow generates one.
struct X25519 {
    secret: StaticSecret,
    public: PublicKey,
}

impl From<[u8; 32]> for X25519 {
    fn from(secret: [u8; 32]) -> Self {
        let secret = StaticSecret::from(secret);
        Self { public: PublicKey::from(&secret), secret }
    }
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, privkey: &[u8]) {
        if let Ok(secret) = <[u8; 32]>::try_from(privkey) {
            *self = Self::from(secret);
        }
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), Error> {
        let mut secret = [0; 32];
        rng.try_fill_bytes(&mut secret)?;
        *self = Self::from(secret);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn privkey(&self) -> &[u8] {
        self.secret.as_bytes()
    }

    /// snow passes buffers as long as its longest keys; we use the beginning. A public key that
    /// forces the secret to be zero is refused, as RFC 7748, 6.1 allows.
    fn dh(&self, pubkey: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let theirs = PublicKey::from(*pubkey.first_chunk::<32>().ok_or(Error::Dh)?);
        let shared = self.secret.diffie_hellman(&theirs);
        if !shared.was_contributory() {
            return Err(Error::Dh);
        }
        *out.first_chunk_mut().ok_or(Error::Dh)? = shared.to_bytes();
        Ok(())
    }
}

struct Sha256(Hasher);

impl Hash for Sha256 {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        BLOCK_BYTES
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0 = Hasher::default();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        if let Some(out) = out.first_chunk_mut() {
            *out = self.0.finish();
        }
    }
}

/// AES-256-GCM; without a key until snow sets one.
struct AesGcm(Option<LessSafeKey>);

impl AesGcm {
    /// Encrypts in place and appends the tag; `None` if `out` is too short or there is no key.
    fn seal(&self, nonce: u64, authtext: &[u8], plain: &[u8], out: &mut [u8]) -> Option<usize> {
        let key = self.0.as_ref()?;
        let (body, rest) = out.split_at_mut_checked(plain.len())?;
        let tag_slot = rest.first_chunk_mut::<TAG_BYTES>()?;
        body.copy_from_slice(plain);
        let tag = key.seal_in_place_separate_tag(noise_nonce(nonce), Aad::from(authtext), body);
        *tag_slot = tag.ok()?.as_ref().try_into().ok()?;
        Some(plain.len() + TAG_BYTES)
    }

    /// Decrypts into the beginning of `out`, which holds zeros if the tag does not verify.
    fn open(&self, nonce: u64, authtext: &[u8], sealed: &[u8], out: &mut [u8]) -> Option<usize> {
        let key = self.0.as_ref()?;
        let (body, tag) = sealed.split_last_chunk::<TAG_BYTES>()?;
        let out = out.get_mut(..body.len())?;
        out.copy_from_slice(body);
        let (nonce, aad) = (noise_nonce(nonce), Aad::from(authtext));
        if key.open_in_place_separate_tag(nonce, aad, Tag::from(*tag), out, 0..).is_err() {
            out.fill(0);
            return None;
        }
        Some(body.len())
    }
}

/// The key of one direction of a channel whose handshake is over. It seals and opens records in
/// place, whereas snow's own transport copies each. Boxed, because moving half a kilobyte through
/// several functions would cost that much stack each time, in every idle link.
pub(super) struct RecordKey(Box<LessSafeKey>);

impl RecordKey {
    /// The key with these bytes.
    pub(super) fn new(key: &[u8; 32]) -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM, key).ok()?;
        Some(Self(Box::new(LessSafeKey::new(key))))
    }

    /// Seals all of `record` except its last [`TAG_BYTES`], which are for the tag.
    pub(super) fn seal(&self, number: u64, record: &mut [u8]) -> Option<()> {
        let (body, tag_slot) = record.split_last_chunk_mut::<TAG_BYTES>()?;
        let sealed = self.0.seal_in_place_separate_tag(noise_nonce(number), Aad::empty(), body);
        *tag_slot = sealed.ok()?.as_ref().try_into().ok()?;
        Some(())
    }

    /// Opens the record that begins at `from` and ends with `room`, into the beginning of `room`;
    /// returns its length. If it does not open, nothing of it stays readable.
    pub(super) fn open(&self, number: u64, room: &mut [u8], from: usize) -> Option<usize> {
        let opened = self.0.open_within(noise_nonce(number), Aad::empty(), room, from..);
        opened.ok().map(|plain| plain.len())
    }
}

impl Cipher for AesGcm {
    fn name(&self) -> &'static str {
        "AESGCM"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0 = UnboundKey::new(&AES_256_GCM, key).ok().map(LessSafeKey::new);
    }

    fn encrypt(&self, nonce: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        self.seal(nonce, authtext, plaintext, out).unwrap_or(0)
    }

    fn decrypt(
        &self,
        nonce: u64,
        authtext: &[u8],
        ciphertext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Error> {
        self.open(nonce, authtext, ciphertext, out).ok_or(Error::Decrypt)
    }
}

/// Four zero bytes and the counter, big-endian (Noise specification, 12.4).
fn noise_nonce(counter: u64) -> Nonce {
    let [_, _, _, _, nonce @ ..] = u128::from(counter).to_be_bytes();
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use snow::{Builder, HandshakeState};

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        HEXLOWER.decode(text.as_bytes()).unwrap()
    }

    /// RFC 7748, 6.1; the buffers are as long as snow's.
    #[test]
    fn x25519_matches_the_rfc() {
        let mut alice = Primitives.resolve_dh(&DHChoice::Curve25519).unwrap();
        let mut bob = Primitives.resolve_dh(&DHChoice::Curve25519).unwrap();
        alice.set(&hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
        bob.set(&hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
        let public = hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
        assert_eq!(bob.pubkey(), public);
        let mut theirs = [0xff; 56];
        theirs[..32].copy_from_slice(bob.pubkey());
        let mut shared = [0; 56];
        alice.dh(&theirs, &mut shared).unwrap();
        let known = hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        assert_eq!(shared[..32], known);
    }

    #[test]
    fn a_public_key_that_decides_the_secret_alone_is_refused() {
        let mut bob = X25519::from([0; 32]);
        bob.generate(&mut SnowRandom).unwrap();
        assert_eq!(bob.dh(&[0; 32], &mut [0; 32]), Err(Error::Dh));
        assert_eq!(bob.dh(&[9; 31], &mut [0; 32]), Err(Error::Dh));
    }

    /// Test case 14 of the GCM specification (McGrew and Viega): key, nonce and plaintext zero.
    #[test]
    fn aes_256_gcm_matches_the_specification() {
        let mut cipher = Primitives.resolve_cipher(&CipherChoice::AESGCM).unwrap();
        cipher.set(&[0; 32]);
        let mut sealed = [0; 32];
        assert_eq!(cipher.encrypt(0, &[], &[0; 16], &mut sealed), 32);
        let known = hex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
        assert_eq!(sealed.to_vec(), known);
        assert_eq!(cipher.decrypt(0, &[], &sealed, &mut [0; 16]), Ok(16));
    }

    #[test]
    fn nothing_is_sealed_without_a_key_or_room() {
        let mut cipher = AesGcm(None);
        assert_eq!(cipher.encrypt(0, &[], b"hi", &mut [0; 18]), 0);
        cipher.set(&[1; 32]);
        assert_eq!(cipher.encrypt(0, &[], b"hi", &mut [0; 17]), 0);
        assert_eq!(cipher.decrypt(0, &[], &[0; 15], &mut [0; 15]), Err(Error::Decrypt));
        let mut out = [7; 2];
        assert_eq!(cipher.decrypt(0, &[], &[0; 18], &mut out), Err(Error::Decrypt));
        assert_eq!(out, [0; 2]);
    }

    fn vector_state(secret: &str, initiator: bool) -> HandshakeState {
        let (prologue, secret) = (hex("4a6f686e2047616c74"), hex(secret));
        let params = "Noise_NN_25519_AESGCM_SHA256".parse().unwrap();
        let builder = Builder::with_resolver(params, Box::new(Primitives))
            .prologue(&prologue)
            .unwrap()
            .fixed_ephemeral_key_for_testing_only(&secret);
        if initiator { builder.build_initiator() } else { builder.build_responder() }.unwrap()
    }

    /// This protocol's vector from the cacophony set, against which all implementations are tested.
    #[test]
    fn handshakes_match_the_noise_test_vector() {
        let init = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a";
        let resp = "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b";
        let (mut alice, mut bob) = (vector_state(init, true), vector_state(resp, false));
        let (mut wire, mut payload) = ([0; 128], [0; 128]);

        let n = alice.write_message(&hex("4c756477696720766f6e204d69736573"), &mut wire).unwrap();
        let e = "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944";
        assert_eq!(wire[..n], hex(&format!("{e}4c756477696720766f6e204d69736573")));
        bob.read_message(&wire[..n], &mut payload).unwrap();

        let n = bob.write_message(&hex("4d757272617920526f746862617264"), &mut wire).unwrap();
        let e_ee = concat!(
            "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843",
            "934ff73eebb9d930ebf62b8e4db8133ca936872b5551efd7c9989c646d8cf0"
        );
        assert_eq!(wire[..n], hex(e_ee));
        alice.read_message(&wire[..n], &mut payload).unwrap();

        let h = hex("6301958d25cd7d1ffe6ad7d0ca2ad284b4e478d9acd9198f7750432d225043d0");
        assert_eq!(alice.get_handshake_hash(), h);
        assert_eq!(bob.get_handshake_hash(), h);

        let alice = alice.into_stateless_transport_mode().unwrap();
        let n = alice.write_message(0, &hex("462e20412e20486179656b"), &mut wire).unwrap();
        assert_eq!(wire[..n], hex("8d372b94914e80018211a344b8b1c5a2869492a0db46990c0362f3"));
    }
}
