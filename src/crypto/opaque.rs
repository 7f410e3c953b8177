//! Entering a closed room by its password: OPAQUE (RFC 9807) over ristretto255, SHA-512, Argon2id.
//!
//! The newcomer is OPAQUE's client, any member its server: members keep what the server keeps,
//! never the password. An eavesdropper, or an impostor on either side, learns nothing that can be
//! tested offline: one exchange tests one guess. (A member can test guesses offline, with the data
//! that it keeps.) The credential identifier is the room's id, there are no other identities, and
//! the context is [`password_context`], so an exchange that is relayed to another connection fails.
//!
//! OPAQUE's session key is not used: the channel has keys of its own, and its handshake hash is in
//! the context.

use std::fmt;

use opaque_ke::argon2::{Algorithm, Argon2, Params, Version};
use opaque_ke::errors::{InternalError, ProtocolError};
use opaque_ke::generic_array::{ArrayLength, GenericArray};
use opaque_ke::rand::{self, CryptoRng, RngCore};
use opaque_ke::{
    CipherSuite, ClientLogin, ClientLoginFinishParameters, ClientRegistration,
    ClientRegistrationFinishParameters, CredentialFinalization, CredentialRequest,
    CredentialResponse, Identifiers, Ristretto255, ServerLogin, ServerLoginParameters,
    ServerRegistration, ServerSetup, TripleDh, ksf::Ksf,
};
use thiserror::Error;
use zeroize::Zeroizing;

use super::binding::password_context;
use super::hash;
use super::noise::HandshakeHash;
use super::password::Password;
use super::random;

/// Bytes of [`PasswordData::setup`].
pub const SETUP_BYTES: usize = 128;
/// Bytes of [`PasswordData::registration`].
pub const REGISTRATION_BYTES: usize = 192;
/// Bytes of the exchange's first message, from the newcomer (RFC 9807: KE1).
pub const FIRST_BYTES: usize = 96;
/// Bytes of its second message, from the member (KE2).
pub const SECOND_BYTES: usize = 320;
/// Bytes of its third message, from the newcomer (KE3).
pub const THIRD_BYTES: usize = 64;

const LABEL: &[u8] = b"klatch password data 1\0";

/// Argon2id (RFC 9106) with 64 MiB, three passes, one lane: the second of the RFC's recommended
/// settings except for the lanes. Fixed by the protocol's major version, as every newcomer must
/// compute the same as the member that set the password.
const STRETCHING: Params = match Params::new(64 * 1024, 3, 1, None) {
    Ok(params) => params,
    Err(_) => panic!("these parameters are within Argon2's bounds; the compiler checks it"),
};

/// Why password data could not be made, or an exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpaqueError {
    /// The password is wrong, or the exchange was tampered with: nobody can tell which.
    #[error("wrong password; ask a member of the room for the right one")]
    Wrong,
    /// A message that no honest peer sends.
    #[error("the peer sent a password message that is none; it may run another program")]
    Malformed,
    /// Bytes that are not password data.
    #[error("the password data that a member sent are damaged; join through another member")]
    Damaged,
    /// The library refused what it should always accept.
    #[error("the password could not be processed; please report this")]
    Internal,
}

/// What members keep of a room's password: enough to check it, and to guess it offline, so only
/// members get it. Any member can admit with it.
///
/// Wiped when dropped, never printed. Boxed, because moving it must leave no copy behind, and
/// because many events have room for one.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordData {
    setup: Box<Zeroizing<[u8; SETUP_BYTES]>>,
    registration: Box<Zeroizing<[u8; REGISTRATION_BYTES]>>,
}

impl PasswordData {
    /// What members of `room` keep of `password`. Slow on purpose: about 0.1 s and 64 MiB.
    ///
    /// # Errors
    /// [`OpaqueError::Internal`] only.
    pub fn new(password: &Password, room: &[u8; 32]) -> Result<Self, OpaqueError> {
        let password = password.expose().as_bytes();
        let setup = ServerSetup::<Suite>::new(&mut SystemRandom);
        let start = ClientRegistration::<Suite>::start(&mut SystemRandom, password)?;
        let answer = ServerRegistration::start(&setup, start.message, room)?.message;
        let parameters = ClientRegistrationFinishParameters::default();
        let finish = start.state.finish(&mut SystemRandom, password, answer, parameters)?;
        let registration = ServerRegistration::finish(finish.message);
        Ok(Self {
            setup: Box::new(secret(setup.serialize())?),
            registration: Box::new(secret(registration.serialize())?),
        })
    }

    /// The data in the parts that a member sent.
    ///
    /// # Errors
    /// [`OpaqueError::Damaged`] if a length is wrong or they are not valid keys.
    pub fn from_bytes(setup: &[u8], registration: &[u8]) -> Result<Self, OpaqueError> {
        let setup = setup.try_into().map_err(|_| OpaqueError::Damaged)?;
        let registration = registration.try_into().map_err(|_| OpaqueError::Damaged)?;
        let data = Self {
            setup: Box::new(Zeroizing::new(setup)),
            registration: Box::new(Zeroizing::new(registration)),
        };
        data.parse()?;
        Ok(data)
    }

    /// OPAQUE's server setup: the OPRF seed and the server's key pair. Secret among members.
    #[must_use]
    pub fn setup(&self) -> &[u8; SETUP_BYTES] {
        &self.setup
    }

    /// OPAQUE's registration record of the password. Secret among members.
    #[must_use]
    pub fn registration(&self) -> &[u8; REGISTRATION_BYTES] {
        &self.registration
    }

    /// Names the data in the lock record that they belong to: SHA-256 over label and both parts.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        hash::digest(&[LABEL, &self.setup()[..], &self.registration()[..]])
    }

    fn parse(&self) -> Result<(ServerSetup<Suite>, ServerRegistration<Suite>), OpaqueError> {
        let setup = ServerSetup::deserialize(self.setup());
        let registration = ServerRegistration::deserialize(self.registration());
        setup.and_then(|setup| Ok((setup, registration?))).map_err(|_| OpaqueError::Damaged)
    }
}

impl fmt::Debug for PasswordData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordData(secret)")
    }
}

/// The newcomer's end of an exchange. Each use tests one password once.
pub struct Joiner {
    password: Password,
    state: ClientLogin<Suite>,
}

impl Joiner {
    /// Begins; returns the first message, of [`FIRST_BYTES`].
    ///
    /// # Errors
    /// [`OpaqueError::Internal`] only.
    pub fn start(password: &Password) -> Result<(Self, Vec<u8>), OpaqueError> {
        let bytes = password.expose().as_bytes();
        let start = ClientLogin::start(&mut SystemRandom, bytes)?;
        let first = start.message.serialize().to_vec();
        Ok((Self { password: password.clone(), state: start.state }, first))
    }

    /// Checks the member's message and returns the third, of [`THIRD_BYTES`]: now the newcomer
    /// knows that the other end of this very connection has data of this password. Slow on purpose:
    /// about 0.1 s and 64 MiB.
    ///
    /// # Errors
    /// [`OpaqueError::Wrong`]; [`OpaqueError::Malformed`] for bytes that are no second message.
    pub fn finish(self, second: &[u8], h: &HandshakeHash) -> Result<Vec<u8>, OpaqueError> {
        let second = sized::<SECOND_BYTES>(second)?;
        let second = CredentialResponse::deserialize(second)?;
        let context = password_context(h);
        let parameters =
            ClientLoginFinishParameters::new(Some(&context), Identifiers::default(), None);
        let password = self.password.expose().as_bytes();
        let finish = self.state.finish(&mut SystemRandom, password, second, parameters)?;
        Ok(finish.message.serialize().to_vec())
    }
}

impl fmt::Debug for Joiner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joiner").finish_non_exhaustive()
    }
}

/// The member's end of an exchange.
pub struct Admitter {
    state: ServerLogin<Suite>,
    context: Vec<u8>,
}

impl Admitter {
    /// Answers a first message with the second, of [`SECOND_BYTES`]. Fast. From then on the
    /// newcomer can test one password, so this is what counts as an attempt.
    ///
    /// # Errors
    /// [`OpaqueError::Malformed`] for bytes that are no first message.
    pub fn respond(
        data: &PasswordData,
        room: &[u8; 32],
        first: &[u8],
        h: &HandshakeHash,
    ) -> Result<(Self, Vec<u8>), OpaqueError> {
        let first = CredentialRequest::deserialize(sized::<FIRST_BYTES>(first)?)?;
        let (setup, registration) = data.parse()?;
        let context = password_context(h);
        let start = ServerLogin::start(
            &mut SystemRandom,
            &setup,
            Some(registration),
            first,
            room,
            in_context(&context),
        )?;
        let second = start.message.serialize().to_vec();
        Ok((Self { state: start.state, context }, second))
    }

    /// Checks the third message: if it is valid, the other end of this very connection knows the
    /// password.
    ///
    /// # Errors
    /// [`OpaqueError::Wrong`]; [`OpaqueError::Malformed`] for bytes that are no third message.
    pub fn verify(self, third: &[u8]) -> Result<(), OpaqueError> {
        let third = CredentialFinalization::deserialize(sized::<THIRD_BYTES>(third)?)?;
        self.state.finish(third, in_context(&self.context))?;
        Ok(())
    }
}

impl fmt::Debug for Admitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitter").finish_non_exhaustive()
    }
}

/// The recommended suite of RFC 9807, 7, with our stretching.
struct Suite;

impl CipherSuite for Suite {
    type OprfCs = Ristretto255;
    // The hash of ristretto255's suite (RFC 9497, 4.1): SHA-512 from the crate generation that
    // opaque-ke is built on, which is older than our sha2.
    type KeyExchange = TripleDh<Ristretto255, <Ristretto255 as voprf::CipherSuite>::Hash>;
    type Ksf = Stretch;
}

/// A stretching function of our own, so that leaving out a parameter cannot select the library's
/// weaker default.
#[derive(Default)]
struct Stretch;

impl Ksf for Stretch {
    fn hash<L: ArrayLength<u8>>(
        &self,
        input: GenericArray<u8, L>,
    ) -> Result<GenericArray<u8, L>, InternalError> {
        Ksf::hash(&Argon2::new(Algorithm::Argon2id, Version::V0x13, STRETCHING), input)
    }
}

/// The system's random numbers, for the version of the `rand` traits that opaque-ke uses.
struct SystemRandom;

impl RngCore for SystemRandom {
    fn next_u32(&mut self) -> u32 {
        u32::from_ne_bytes(random::random())
    }

    fn next_u64(&mut self) -> u64 {
        u64::from_ne_bytes(random::random())
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        random::fill(dest);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand::Error> {
        random::fill(dest);
        Ok(())
    }
}

impl CryptoRng for SystemRandom {}

impl From<ProtocolError> for OpaqueError {
    fn from(error: ProtocolError) -> Self {
        match error {
            // A reflected value is our own first message, sent back by a peer without the password.
            ProtocolError::InvalidLoginError | ProtocolError::ReflectedValueError => Self::Wrong,
            ProtocolError::SerializationError | ProtocolError::SizeError { .. } => Self::Malformed,
            // Invalid points are found while parsing, by the OPRF library.
            ProtocolError::LibraryError(InternalError::OprfError(_)) => Self::Malformed,
            ProtocolError::LibraryError(_) | ProtocolError::Custom(_) => Self::Internal,
        }
    }
}

fn in_context(context: &[u8]) -> ServerLoginParameters<'_, '_> {
    ServerLoginParameters { context: Some(context), identifiers: Identifiers::default() }
}

/// The message if it has its kind's length: the library ignores anything after it.
fn sized<const N: usize>(message: &[u8]) -> Result<&[u8], OpaqueError> {
    if message.len() == N { Ok(message) } else { Err(OpaqueError::Malformed) }
}

fn secret<const N: usize, L: ArrayLength<u8>>(
    bytes: GenericArray<u8, L>,
) -> Result<Zeroizing<[u8; N]>, OpaqueError> {
    let bytes = Zeroizing::new(bytes);
    Ok(Zeroizing::new(bytes.as_slice().try_into().map_err(|_| OpaqueError::Internal)?))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    const ROOM: [u8; 32] = [1; 32];
    const H: HandshakeHash = HandshakeHash([2; 32]);

    /// Made once, because that is slow.
    static DATA: LazyLock<PasswordData> =
        LazyLock::new(|| PasswordData::new(&password(), &ROOM).unwrap());

    fn password() -> Password {
        Password::new("correct horse").unwrap()
    }

    #[test]
    fn the_right_password_opens_the_room_of_any_member() {
        let (joiner, first) = Joiner::start(&password()).unwrap();
        assert_eq!(first.len(), FIRST_BYTES);
        // Bob did not set the password: he has the data from alice.
        let bobs = PasswordData::from_bytes(DATA.setup(), DATA.registration()).unwrap();
        assert_eq!(bobs, *DATA);
        let (admitter, second) = Admitter::respond(&bobs, &ROOM, &first, &H).unwrap();
        assert_eq!(second.len(), SECOND_BYTES);
        let third = joiner.finish(&second, &H).unwrap();
        assert_eq!(third.len(), THIRD_BYTES);
        assert_eq!(admitter.verify(&third), Ok(()));

        // A proof for this exchange is not valid in another.
        let (_, first) = Joiner::start(&password()).unwrap();
        let (admitter, _) = Admitter::respond(&bobs, &ROOM, &first, &H).unwrap();
        assert_eq!(admitter.verify(&third), Err(OpaqueError::Wrong));
    }

    #[test]
    fn a_wrong_password_opens_nothing() {
        let eve = Password::new("correct house").unwrap();
        let (joiner, first) = Joiner::start(&eve).unwrap();
        let (admitter, second) = Admitter::respond(&DATA, &ROOM, &first, &H).unwrap();
        assert_eq!(joiner.finish(&second, &H), Err(OpaqueError::Wrong));
        assert_eq!(admitter.verify(&[0; THIRD_BYTES]), Err(OpaqueError::Wrong));
    }

    /// Eve relays the messages between her two connections: the ends have different contexts.
    #[test]
    fn an_exchange_passed_on_to_another_connection_fails() {
        let (joiner, first) = Joiner::start(&password()).unwrap();
        let (_, second) = Admitter::respond(&DATA, &ROOM, &first, &HandshakeHash([3; 32])).unwrap();
        assert_eq!(joiner.finish(&second, &H), Err(OpaqueError::Wrong));
    }

    #[test]
    fn password_data_admit_to_their_room_only() {
        let (joiner, first) = Joiner::start(&password()).unwrap();
        let (_, second) = Admitter::respond(&DATA, &[9; 32], &first, &H).unwrap();
        assert_eq!(joiner.finish(&second, &H), Err(OpaqueError::Wrong));
    }

    #[test]
    fn garbage_is_refused_without_a_panic() {
        for (length, byte) in (0..=400).flat_map(|length| [(length, 0), (length, 0xff)]) {
            let garbage = vec![byte; length];
            let answer = Admitter::respond(&DATA, &ROOM, &garbage, &H);
            assert_eq!(answer.unwrap_err(), OpaqueError::Malformed);
            assert_eq!(
                PasswordData::from_bytes(&garbage, DATA.registration()),
                Err(OpaqueError::Damaged)
            );
            assert_eq!(PasswordData::from_bytes(DATA.setup(), &garbage), Err(OpaqueError::Damaged));
        }
        let (_, first) = Joiner::start(&password()).unwrap();
        for length in (0..400).filter(|length| *length != THIRD_BYTES) {
            let (admitter, _) = Admitter::respond(&DATA, &ROOM, &first, &H).unwrap();
            assert_eq!(admitter.verify(&vec![7; length]), Err(OpaqueError::Malformed));
        }
        for length in 0..400 {
            let (joiner, _) = Joiner::start(&password()).unwrap();
            let error = joiner.finish(&vec![0xff; length], &H).unwrap_err();
            assert_eq!(error, OpaqueError::Malformed);
        }
    }

    #[test]
    fn a_first_message_sent_back_is_refused() {
        let (joiner, first) = Joiner::start(&password()).unwrap();
        let (_, mut second) = Admitter::respond(&DATA, &ROOM, &first, &H).unwrap();
        second[..32].copy_from_slice(&first[..32]);
        assert_eq!(joiner.finish(&second, &H), Err(OpaqueError::Wrong));
    }

    #[test]
    fn password_data_are_not_printed() {
        assert_eq!(format!("{:?}", *DATA), "PasswordData(secret)");
    }
}
