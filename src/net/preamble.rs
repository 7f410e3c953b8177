//! The first bytes of a connection: in clear, then the Noise handshake.
//!
//! The dialer sends eight bytes (magic, major version, role) and Noise's `e`; the listener answers
//! with its own eight and `e, ee`. The dialer's eight bytes are the prologue of the Noise
//! handshake, so a man in the middle cannot change them unnoticed. A peer that does not speak this
//! version gets at most the listener's eight bytes, and is not read any further.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use thiserror::Error;

use super::channel::Channel;
use super::stream::Stream;
use crate::crypto::binding::Role;
use crate::crypto::noise::{
    DIALER_MESSAGE_BYTES, Handshake, HandshakeHash, LISTENER_MESSAGE_BYTES, NoiseError,
};

/// What every version of klatch sends first.
pub const MAGIC: [u8; 6] = *b"KLATCH";
/// The version of the protocol that this program speaks; others are refused.
pub const MAJOR: u8 = 1;

/// In place of a role: the listener has no place for another connection at the moment.
const BUSY: u8 = 0xff;
/// In place of a role: the listener does not know the dialer's role.
const NO_ROLE: u8 = 0;
/// Bytes that each side sends in clear.
pub const CLEAR_BYTES: usize = 8;

/// Why there is no channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PreambleError {
    /// The connection was closed.
    #[error("the connection was closed before the first word")]
    Closed,
    /// Not everything came in time.
    #[error("the peer did not say its first word in time")]
    TimedOut,
    /// The peer is something else.
    #[error("the peer does not speak klatch's protocol")]
    NotKlatch,
    /// The peer speaks another version.
    #[error("the peer speaks version {0} of klatch's protocol, not {MAJOR}")]
    Version(u8),
    /// The listener has no place at the moment.
    #[error("the peer has too many connections under way")]
    Busy,
    /// The encrypted channel failed.
    #[error(transparent)]
    Noise(#[from] NoiseError),
}

/// The dialer's side.
///
/// # Errors
/// [`PreambleError`].
pub fn dial(
    stream: &Arc<dyn Stream>,
    remote: SocketAddr,
    role: Role,
    deadline: Instant,
) -> Result<(Channel, HandshakeHash), PreambleError> {
    let clear = clear_bytes(role.byte());
    let mut noise = Handshake::dialer(&clear)?;
    let mut first = [0; CLEAR_BYTES + DIALER_MESSAGE_BYTES];
    let (head, body) = first.split_at_mut(CLEAR_BYTES);
    head.copy_from_slice(&clear);
    noise.write(body)?;
    write(&**stream, &first)?;

    let (theirs, answer_role) = read_clear(&**stream, deadline)?;
    match answer_role {
        _ if theirs != MAJOR => return Err(PreambleError::Version(theirs)),
        BUSY => return Err(PreambleError::Busy),
        same if same == role.byte() => {}
        _ => return Err(PreambleError::NotKlatch),
    }
    let mut message = [0; LISTENER_MESSAGE_BYTES];
    read(&**stream, &mut message, deadline)?;
    noise.read(&message)?;
    let (sealer, opener, h) = noise.finish()?;
    Ok((Channel::new(Arc::clone(stream), sealer, opener, remote), h))
}

/// The listener's side.
///
/// # Errors
/// [`PreambleError`]; a klatch of another version is told this one's.
pub fn answer(
    stream: &Arc<dyn Stream>,
    remote: SocketAddr,
    deadline: Instant,
) -> Result<(Role, Channel, HandshakeHash), PreambleError> {
    let (theirs, role) = read_clear(&**stream, deadline)?;
    let Some(role) = Role::from_byte(role).filter(|_| theirs == MAJOR) else {
        write(&**stream, &clear_bytes(NO_ROLE))?;
        return Err(if theirs == MAJOR {
            PreambleError::NotKlatch
        } else {
            PreambleError::Version(theirs)
        });
    };
    let clear = clear_bytes(role.byte());
    let mut noise = Handshake::listener(&clear)?;
    let mut message = [0; DIALER_MESSAGE_BYTES];
    read(&**stream, &mut message, deadline)?;
    noise.read(&message)?;
    let mut answer = [0; CLEAR_BYTES + LISTENER_MESSAGE_BYTES];
    let (head, body) = answer.split_at_mut(CLEAR_BYTES);
    head.copy_from_slice(&clear);
    noise.write(body)?;
    write(&**stream, &answer)?;
    let (sealer, opener, h) = noise.finish()?;
    Ok((role, Channel::new(Arc::clone(stream), sealer, opener, remote), h))
}

/// Tells a dialer that there is no place at the moment; never blocks, as eight bytes always fit
/// into the buffer of a new stream.
pub fn turn_away(stream: &dyn Stream) {
    // A dialer that is already gone need not be told.
    let _ = stream.write(&clear_bytes(BUSY));
}

fn clear_bytes(role: u8) -> [u8; CLEAR_BYTES] {
    let [k, l, a, t, c, h] = MAGIC;
    [k, l, a, t, c, h, MAJOR, role]
}

/// The peer's major version and role byte.
fn read_clear(stream: &dyn Stream, deadline: Instant) -> Result<(u8, u8), PreambleError> {
    let mut clear = [0; CLEAR_BYTES];
    read(stream, &mut clear, deadline)?;
    parse_clear(clear)
}

/// The major version and the role byte in a peer's first bytes.
///
/// # Errors
/// [`PreambleError::NotKlatch`].
pub fn parse_clear(clear: [u8; CLEAR_BYTES]) -> Result<(u8, u8), PreambleError> {
    match clear {
        [magic @ .., major, role] if magic == MAGIC => Ok((major, role)),
        _ => Err(PreambleError::NotKlatch),
    }
}

/// Fills `room` by `deadline`, however slowly the bytes drip.
fn read(stream: &dyn Stream, mut room: &mut [u8], deadline: Instant) -> Result<(), PreambleError> {
    while !room.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(PreambleError::TimedOut);
        }
        stream.set_read_timeout(left).map_err(|_| PreambleError::Closed)?;
        match stream.read(room) {
            Ok(0) => return Err(PreambleError::Closed),
            Ok(count) => room = room.get_mut(count..).unwrap_or_default(),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                _ => return Err(PreambleError::Closed),
            },
        }
    }
    Ok(())
}

fn write(stream: &dyn Stream, mut bytes: &[u8]) -> Result<(), PreambleError> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return Err(PreambleError::Closed),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Err(PreambleError::Closed),
        }
    }
    Ok(())
}
