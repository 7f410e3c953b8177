//! The encrypted channel: `Noise_NN_25519_AESGCM_SHA256` (Noise Protocol Framework, revision 34).
//!
//! Two messages without payloads, `e` and `e, ee`, give both sides two keys and one handshake hash.
//! NN authenticates neither side; [`super::binding`] ties identities to the channel. Each direction
//! then numbers its records: one that was altered, repeated, dropped or reordered does not open.
//! There is no rekeying: a channel that has used up its numbers is replaced.

use std::fmt;

use snow::{Builder, HandshakeState};
use thiserror::Error;
use zeroize::Zeroize;

use super::primitives::{Primitives, RecordKey};

/// How many bytes a sealed record is longer than its content.
pub const TAG_BYTES: usize = 16;
/// Most bytes of a sealed record (Noise specification, 3).
pub const RECORD_MAX_BYTES: usize = 65_535;
/// Most bytes that one record can carry.
pub const RECORD_MAX_PLAIN_BYTES: usize = RECORD_MAX_BYTES - TAG_BYTES;
/// Bytes of the dialer's handshake message, `e`.
pub const DIALER_MESSAGE_BYTES: usize = 32;
/// Bytes of the listener's handshake message, `e, ee`.
pub const LISTENER_MESSAGE_BYTES: usize = 48;

const PROTOCOL: &str = "Noise_NN_25519_AESGCM_SHA256";

/// Why a handshake or a channel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoiseError {
    /// A call out of turn: writing when reading is due, or continuing after a failure.
    #[error("the handshake was continued at the wrong step or after it failed; connect again")]
    OutOfTurn,
    /// The peer's handshake message is not one, or belongs to another prologue.
    #[error("the peer's handshake message does not fit; does it run the same version of klatch?")]
    BadHandshake,
    /// A record that was altered, repeated, omitted or reordered, or is none.
    #[error("a record from the peer was altered or is out of order; close the connection")]
    BadRecord,
    /// More than a record can carry.
    #[error("{bytes} bytes do not fit into one record; at most {RECORD_MAX_PLAIN_BYTES} do")]
    TooLong {
        /// How many bytes there were.
        bytes: usize,
    },
    /// The buffer for the result is too small.
    #[error("the result needs a buffer of {needed} bytes")]
    SmallBuffer {
        /// How many bytes are needed.
        needed: usize,
    },
    /// All record numbers of a direction are used (2^64 - 1).
    #[error("the connection has used up its record numbers; connect again")]
    Exhausted,
    /// The library refused what it should always accept.
    #[error("the encrypted channel failed inside klatch; please report this")]
    Internal,
}

/// The hash over both ephemeral keys and the prologue: it names one channel (Noise specification,
/// 11.2). It is not secret, but nobody can create a second channel with the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandshakeHash(pub [u8; 32]);

/// A handshake in progress. The dialer writes, then reads; the listener reads, then writes.
///
/// The first error ends it: any further call is [`NoiseError::OutOfTurn`].
pub struct Handshake {
    /// None after a failure.
    state: Option<HandshakeState>,
}

impl Handshake {
    /// The dialer's side. Both sides must pass the same `prologue`: what they agreed in clear.
    ///
    /// # Errors
    /// [`NoiseError::Internal`] only.
    pub fn dialer(prologue: &[u8]) -> Result<Self, NoiseError> {
        Self::started(builder(prologue).and_then(Builder::build_initiator))
    }

    /// The listener's side.
    ///
    /// # Errors
    /// [`NoiseError::Internal`] only.
    pub fn listener(prologue: &[u8]) -> Result<Self, NoiseError> {
        Self::started(builder(prologue).and_then(Builder::build_responder))
    }

    fn started(state: Result<HandshakeState, snow::Error>) -> Result<Self, NoiseError> {
        Ok(Self { state: Some(state.map_err(|_| NoiseError::Internal)?) })
    }

    /// Writes this side's message to the beginning of `out` and returns its length:
    /// [`DIALER_MESSAGE_BYTES`] or [`LISTENER_MESSAGE_BYTES`].
    ///
    /// # Errors
    /// [`NoiseError::OutOfTurn`]; [`NoiseError::SmallBuffer`]; [`NoiseError::BadHandshake`] if
    /// the peer's key is one that no honest peer has.
    pub fn write(&mut self, out: &mut [u8]) -> Result<usize, NoiseError> {
        let mut state = self.state.take().ok_or(NoiseError::OutOfTurn)?;
        // snow wants room for a tag even in the first message, which has none.
        let mut message = [0; LISTENER_MESSAGE_BYTES];
        let needed = state.write_message(&[], &mut message).map_err(handshake_error)?;
        let small = NoiseError::SmallBuffer { needed };
        let message = message.get(..needed).ok_or(NoiseError::Internal)?;
        out.get_mut(..needed).ok_or(small)?.copy_from_slice(message);
        self.state = Some(state);
        Ok(needed)
    }

    /// Takes the other side's message, all of it and nothing else.
    ///
    /// # Errors
    /// [`NoiseError::OutOfTurn`]; [`NoiseError::BadHandshake`] for a message of another length,
    /// with another prologue, or altered on its way.
    pub fn read(&mut self, message: &[u8]) -> Result<(), NoiseError> {
        let mut state = self.state.take().ok_or(NoiseError::OutOfTurn)?;
        // Without room for a payload snow refuses a message that has one.
        state.read_message(message, &mut []).map_err(handshake_error)?;
        self.state = Some(state);
        Ok(())
    }

    /// Ends the handshake; gives the two directions, each for one thread, and the channel's hash.
    ///
    /// # Errors
    /// [`NoiseError::OutOfTurn`] before both messages have passed.
    pub fn finish(self) -> Result<(Sealer, Opener, HandshakeHash), NoiseError> {
        let state = self.state.filter(HandshakeState::is_handshake_finished);
        let mut state = state.ok_or(NoiseError::OutOfTurn)?;
        let h = state.get_handshake_hash().try_into().map_err(|_| NoiseError::Internal)?;
        // The first key is for the dialer's records (Noise specification, 5.2).
        let (mut dialers, mut listeners) = state.dangerously_get_raw_split();
        let keys = (RecordKey::new(&dialers), RecordKey::new(&listeners));
        dialers.zeroize();
        listeners.zeroize();
        let (Some(dialers), Some(listeners)) = keys else { return Err(NoiseError::Internal) };
        let (sealing, opening) =
            if state.is_initiator() { (dialers, listeners) } else { (listeners, dialers) };
        let sealer = Sealer { key: sealing, next: 0 };
        Ok((sealer, Opener { key: opening, next: 0 }, HandshakeHash(h)))
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").finish_non_exhaustive()
    }
}

/// The sending direction of a channel. Only it owns its record counter, so no number is ever used
/// twice.
pub struct Sealer {
    key: RecordKey,
    next: u64,
}

impl Sealer {
    /// Seals the next record in place: all of `record` except its last [`TAG_BYTES`], which are
    /// room for the tag. Allocates nothing.
    ///
    /// # Errors
    /// [`NoiseError::TooLong`] above [`RECORD_MAX_PLAIN_BYTES`]; [`NoiseError::SmallBuffer`];
    /// [`NoiseError::Exhausted`]. Then nothing is sealed and no number used.
    pub fn seal(&mut self, record: &mut [u8]) -> Result<(), NoiseError> {
        let needed = TAG_BYTES;
        let bytes =
            record.len().checked_sub(TAG_BYTES).ok_or(NoiseError::SmallBuffer { needed })?;
        if bytes > RECORD_MAX_PLAIN_BYTES {
            return Err(NoiseError::TooLong { bytes });
        }
        // The last number is for rekeying (Noise specification, 5.1).
        let next = self.next.checked_add(1).ok_or(NoiseError::Exhausted)?;
        self.key.seal(self.next, record).ok_or(NoiseError::Internal)?;
        self.next = next;
        Ok(())
    }
}

/// The receiving direction of a channel.
pub struct Opener {
    key: RecordKey,
    next: u64,
}

impl Opener {
    /// Opens the next record, which begins at `from` and ends with `room`, into the beginning of
    /// `room`, and returns the length of its content; so adjacent records are joined as they are
    /// opened. Allocates nothing.
    ///
    /// # Errors
    /// [`NoiseError::BadRecord`] if it is not the peer's next record: the channel cannot go on
    /// without that, so close the connection. The counter stays, so garbage does not shift it, and
    /// `room` contains nothing of the record. [`NoiseError::Exhausted`].
    pub fn open(&mut self, room: &mut [u8], from: usize) -> Result<usize, NoiseError> {
        let sealed = room.len().checked_sub(from).ok_or(NoiseError::BadRecord)?;
        if !(TAG_BYTES..=RECORD_MAX_BYTES).contains(&sealed) {
            return Err(NoiseError::BadRecord);
        }
        let next = self.next.checked_add(1).ok_or(NoiseError::Exhausted)?;
        let length = self.key.open(self.next, room, from).ok_or(NoiseError::BadRecord)?;
        self.next = next;
        Ok(length)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("next", &self.next).finish_non_exhaustive()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("next", &self.next).finish_non_exhaustive()
    }
}

fn builder(prologue: &[u8]) -> Result<Builder<'_>, snow::Error> {
    Builder::with_resolver(PROTOCOL.parse()?, Box::new(Primitives)).prologue(prologue)
}

fn handshake_error(error: snow::Error) -> NoiseError {
    match error {
        snow::Error::State(_) => NoiseError::OutOfTurn,
        snow::Error::Input | snow::Error::Dh | snow::Error::Decrypt => NoiseError::BadHandshake,
        _ => NoiseError::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct End {
        sealer: Sealer,
        opener: Opener,
        h: HandshakeHash,
    }

    fn end(handshake: Handshake) -> End {
        let (sealer, opener, h) = handshake.finish().unwrap();
        End { sealer, opener, h }
    }

    /// Alice, who dialled, and bob, who listened.
    fn channel() -> (End, End) {
        let mut alice = Handshake::dialer(b"klatch").unwrap();
        let mut bob = Handshake::listener(b"klatch").unwrap();
        let mut wire = [0; LISTENER_MESSAGE_BYTES];
        assert_eq!(alice.write(&mut wire), Ok(DIALER_MESSAGE_BYTES));
        bob.read(&wire[..DIALER_MESSAGE_BYTES]).unwrap();
        assert_eq!(bob.write(&mut wire), Ok(LISTENER_MESSAGE_BYTES));
        alice.read(&wire).unwrap();
        (end(alice), end(bob))
    }

    fn seal(sealer: &mut Sealer, plain: &[u8]) -> Vec<u8> {
        let mut record = [plain, &[0; TAG_BYTES]].concat();
        sealer.seal(&mut record).unwrap();
        record
    }

    fn open(opener: &mut Opener, sealed: &[u8]) -> Result<Vec<u8>, NoiseError> {
        // Not at the beginning, as when records are joined.
        let mut room = [&[7; 18], sealed].concat();
        let length = opener.open(&mut room, 18)?;
        room.truncate(length);
        Ok(room)
    }

    #[test]
    fn records_arrive_both_ways() {
        let (mut alice, mut bob) = channel();
        assert_eq!(alice.h, bob.h);
        assert_ne!(alice.h, channel().0.h);
        for plain in [&b"hello"[..], b"", &[7; RECORD_MAX_PLAIN_BYTES]] {
            let sealed = seal(&mut alice.sealer, plain);
            assert_eq!(open(&mut bob.opener, &sealed).unwrap(), plain);
            let sealed = seal(&mut bob.sealer, plain);
            assert_eq!(open(&mut alice.opener, &sealed).unwrap(), plain);
        }
    }

    #[test]
    fn reader_and_writer_may_be_two_threads() {
        fn sendable<T: Send + 'static>() {}
        sendable::<Sealer>();
        sendable::<Opener>();
        sendable::<Handshake>();
    }

    #[test]
    fn an_altered_record_does_not_open_and_does_not_shift_the_counter() {
        let (mut alice, mut bob) = channel();
        let sealed = seal(&mut alice.sealer, b"pay bob");
        for index in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[index] ^= 1;
            assert_eq!(open(&mut bob.opener, &altered), Err(NoiseError::BadRecord));
            assert_eq!(open(&mut bob.opener, &sealed[..index]), Err(NoiseError::BadRecord));
        }
        let too_long = vec![0; RECORD_MAX_BYTES + 1];
        assert_eq!(open(&mut bob.opener, &too_long), Err(NoiseError::BadRecord));
        assert_eq!(open(&mut bob.opener, &sealed).unwrap(), b"pay bob");
    }

    #[test]
    fn repeated_reordered_and_reflected_records_do_not_open() {
        let (mut alice, mut bob) = channel();
        let first = seal(&mut alice.sealer, b"first");
        let second = seal(&mut alice.sealer, b"second");
        assert_eq!(open(&mut bob.opener, &second), Err(NoiseError::BadRecord));
        assert_eq!(open(&mut bob.opener, &first).unwrap(), b"first");
        assert_eq!(open(&mut bob.opener, &first), Err(NoiseError::BadRecord));
        assert_eq!(open(&mut alice.opener, &second), Err(NoiseError::BadRecord));
        assert_eq!(open(&mut channel().1.opener, &first), Err(NoiseError::BadRecord));
    }

    #[test]
    fn other_prologues_and_altered_messages_end_the_handshake() {
        let mut wire = [0; LISTENER_MESSAGE_BYTES];
        for (prologue, flip) in [(&b"lane"[..], 0), (b"session", 1)] {
            let mut alice = Handshake::dialer(b"session").unwrap();
            let mut bob = Handshake::listener(prologue).unwrap();
            alice.write(&mut wire).unwrap();
            bob.read(&wire[..DIALER_MESSAGE_BYTES]).unwrap();
            bob.write(&mut wire).unwrap();
            wire[5] ^= flip;
            assert_eq!(alice.read(&wire), Err(NoiseError::BadHandshake));
            assert_eq!(alice.read(&wire), Err(NoiseError::OutOfTurn));
            assert_eq!(alice.finish().unwrap_err(), NoiseError::OutOfTurn);
        }
    }

    #[test]
    fn messages_of_another_length_are_refused() {
        for length in [0, 31, 33, 48, RECORD_MAX_BYTES + 1] {
            let mut bob = Handshake::listener(b"").unwrap();
            assert_eq!(bob.read(&vec![9; length]), Err(NoiseError::BadHandshake));
        }
    }

    #[test]
    fn eve_cannot_choose_the_keys_with_a_zero_point() {
        let mut bob = Handshake::listener(b"").unwrap();
        bob.read(&[0; DIALER_MESSAGE_BYTES]).unwrap();
        let answer = bob.write(&mut [0; LISTENER_MESSAGE_BYTES]);
        assert_eq!(answer, Err(NoiseError::BadHandshake));
    }

    #[test]
    fn steps_have_an_order() {
        let mut bob = Handshake::listener(b"").unwrap();
        assert_eq!(bob.write(&mut [0; 48]), Err(NoiseError::OutOfTurn));
        let alice = Handshake::dialer(b"").unwrap();
        assert_eq!(alice.finish().unwrap_err(), NoiseError::OutOfTurn);
        let mut alice = Handshake::dialer(b"").unwrap();
        assert_eq!(alice.write(&mut [0; 31]), Err(NoiseError::SmallBuffer { needed: 32 }));
    }

    #[test]
    fn lengths_are_checked() {
        let (mut alice, mut bob) = channel();
        let bytes = RECORD_MAX_PLAIN_BYTES + 1;
        let error = NoiseError::TooLong { bytes };
        assert_eq!(alice.sealer.seal(&mut vec![0; bytes + TAG_BYTES]), Err(error));
        let error = NoiseError::SmallBuffer { needed: TAG_BYTES };
        assert_eq!(alice.sealer.seal(&mut [0; 15]), Err(error));
        let sealed = seal(&mut alice.sealer, b"hi");
        assert_eq!(bob.opener.open(&mut sealed.clone(), 19), Err(NoiseError::BadRecord));
        assert_eq!(bob.opener.open(&mut [0; 15], 0), Err(NoiseError::BadRecord));
        assert_eq!(open(&mut bob.opener, &sealed).unwrap(), b"hi");
    }

    #[test]
    fn records_are_joined_while_they_are_opened() {
        let (mut alice, mut bob) = channel();
        let texts = ["one behind", " the other", ""];
        let mut wire: Vec<u8> =
            texts.iter().flat_map(|text| seal(&mut alice.sealer, text.as_bytes())).collect();
        let (mut plain, mut at) = (0, 0);
        for text in texts {
            let end = at + text.len() + TAG_BYTES;
            plain += bob.opener.open(&mut wire[plain..end], at - plain).unwrap();
            at = end;
        }
        assert_eq!(&wire[..plain], b"one behind the other");
    }

    #[test]
    fn the_last_record_number_is_never_used() {
        let (mut alice, mut bob) = channel();
        (alice.sealer.next, bob.opener.next) = (u64::MAX - 1, u64::MAX - 1);
        let last = seal(&mut alice.sealer, b"last");
        assert_eq!(open(&mut bob.opener, &last).unwrap(), b"last");
        assert_eq!(alice.sealer.seal(&mut [0; 16]), Err(NoiseError::Exhausted));
        assert_eq!(bob.opener.open(&mut [0; 16], 0), Err(NoiseError::Exhausted));
    }
}
