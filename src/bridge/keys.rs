//! The keys of the bridge: one-time codes for a first visit, tokens for coming back, tickets for
//! files.
//!
//! A token consists of a random session, the time, and a MAC over both, so nothing about it needs
//! to be stored: tokens outlive a restart if the MAC's secret does.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};

use crate::crypto::hash::{check_hmac, hmac};
use crate::crypto::random::random;
use crate::router::ids::FileId;

/// Most valid one-time codes; the oldest goes first.
const CODES: usize = 64;
/// How long a one-time code is valid.
const CODE_AGE: Duration = Duration::from_secs(10 * 60);
/// How long a page's token is valid after it was last seen: a week.
const TOKEN_AGE_S: u64 = 7 * 24 * 3_600;
/// Most valid unguessable file paths; the oldest goes first.
const TICKETS: usize = 1_024;
const LABEL: &[u8] = b"klatch bridge token 1";
const SESSION_BYTES: usize = 16;
const TIME_BYTES: usize = 8;
const MAC_BYTES: usize = 32;

/// Distinguishes the sessions of pages; a page keeps its own when it comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Session([u8; SESSION_BYTES]);

/// A file that a session may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileTicket {
    pub(super) session: Session,
    pub(super) file: FileId,
    /// The name in the offer.
    pub(super) name: String,
    pub(super) size: u64,
}

pub(super) struct Keys {
    secret: [u8; 32],
    /// Distinguishes this run of klatch from others.
    pub(super) run: String,
    state: Mutex<KeysState>,
}

/// Secrets are not for logs.
impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct KeysState {
    /// Oldest first, with the time from which each is invalid.
    codes: VecDeque<(String, Instant)>,
    /// Oldest first.
    tickets: VecDeque<(String, FileTicket)>,
}

impl Keys {
    /// Tokens are valid as long as the secret is the same; `None`: for this run.
    pub(super) fn new(secret: Option<[u8; 32]>) -> Self {
        Self {
            secret: secret.unwrap_or_else(random),
            run: HEXLOWER.encode(&random::<16>()),
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, KeysState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A code that opens the bridge once.
    pub(super) fn new_code(&self, now: Instant) -> String {
        let code = unguessable();
        let mut state = self.lock();
        if state.codes.len() >= CODES {
            state.codes.pop_front();
        }
        let until = now + CODE_AGE;
        state.codes.push_back((code.clone(), until));
        code
    }

    /// Whether a code was valid; from now on it is not.
    pub(super) fn take_code(&self, code: &str, now: Instant) -> bool {
        let mut state = self.lock();
        state.codes.retain(|(_, until)| *until > now);
        // How long a comparison takes reveals nothing useful about 128 random bits that it uses up.
        let found = state.codes.iter().position(|(known, _)| known == code);
        found.and_then(|index| state.codes.remove(index)).is_some()
    }

    /// A new session.
    pub(super) fn new_session(&self) -> Session {
        Session(random())
    }

    /// A token for a session, valid from now on.
    pub(super) fn token(&self, session: Session, now: SystemTime) -> String {
        let mut bytes = session.0.to_vec();
        bytes.extend(seconds(now).to_be_bytes());
        let mac = self.mac(&bytes);
        bytes.extend(mac);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// The session of a token, if the token is this bridge's and not too old.
    pub(super) fn session(&self, token: &str, now: SystemTime) -> Option<Session> {
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
        let (rest, mac) = bytes.split_last_chunk::<MAC_BYTES>()?;
        let (session, time) = rest.split_last_chunk::<TIME_BYTES>()?;
        let session: [u8; SESSION_BYTES] = session.try_into().ok()?;
        if !check_hmac(&self.secret, &[LABEL, rest].concat(), mac) {
            return None;
        }
        // A token from the future was made before the clock was set back.
        let age_s = seconds(now).saturating_sub(u64::from_be_bytes(*time));
        (age_s <= TOKEN_AGE_S).then_some(Session(session))
    }

    fn mac(&self, bytes: &[u8]) -> [u8; MAC_BYTES] {
        hmac(&self.secret, &[LABEL, bytes].concat())
    }

    /// The unguessable part of the path at which a session finds a file.
    pub(super) fn ticket_for(&self, ticket: FileTicket) -> String {
        let mut state = self.lock();
        let known = state.tickets.iter().find(|(_, known)| *known == ticket);
        if let Some((path, _)) = known {
            return path.clone();
        }
        if state.tickets.len() >= TICKETS {
            state.tickets.pop_front();
        }
        let path = unguessable();
        state.tickets.push_back((path.clone(), ticket));
        path
    }

    /// The file at such a path.
    pub(super) fn ticket(&self, path: &str) -> Option<FileTicket> {
        let state = self.lock();
        let found = state.tickets.iter().find(|(known, _)| known == path);
        found.map(|(_, ticket)| ticket.clone())
    }
}

/// 128 random bits as text.
fn unguessable() -> String {
    BASE64URL_NOPAD.encode(&random::<16>())
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_good_once_and_not_for_ever() {
        let keys = Keys::new(None);
        let now = Instant::now();
        let (first, second) = (keys.new_code(now), keys.new_code(now));
        assert_ne!(first, second);
        assert!(!keys.take_code("", now) && !keys.take_code(&first[1..], now));
        assert!(keys.take_code(&first, now));
        assert!(!keys.take_code(&first, now));
        let late = now + CODE_AGE;
        assert!(!keys.take_code(&second, late));
    }

    #[test]
    fn the_oldest_code_makes_room() {
        let keys = Keys::new(None);
        let now = Instant::now();
        let codes = [(); CODES + 1].map(|()| keys.new_code(now));
        let good = codes.map(|code| keys.take_code(&code, now));
        assert_eq!((good[0], good.iter().filter(|good| **good).count()), (false, CODES));
    }

    #[test]
    fn a_token_outlives_the_run_only_with_a_secret_that_does() {
        let now = SystemTime::now();
        let again = || Keys::new(Some([7; 32]));
        let session = again().new_session();
        let token = again().token(session, now);
        assert_eq!(again().session(&token, now), Some(session));
        assert_eq!(Keys::new(Some([8; 32])).session(&token, now), None);
        assert_eq!(Keys::new(None).session(&token, now), None);
        let late = now + Duration::from_secs(TOKEN_AGE_S + 1);
        assert_eq!(again().session(&token, late), None);
    }

    #[test]
    fn no_changed_token_is_one() {
        let keys = Keys::new(None);
        let now = SystemTime::now();
        let token = keys.token(keys.new_session(), now);
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).unwrap();
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            assert_eq!(keys.session(&BASE64URL_NOPAD.encode(&changed), now), None);
            assert_eq!(keys.session(&BASE64URL_NOPAD.encode(&bytes[..index]), now), None);
        }
        assert_eq!(keys.session("", now), None);
        assert_eq!(keys.session("no token at all", now), None);
    }

    #[test]
    fn a_ticket_is_one_per_session_and_file() {
        let keys = Keys::new(None);
        let ticket = |size| FileTicket {
            session: Session([1; SESSION_BYTES]),
            file: FileId([7; 32]),
            name: "a.png".into(),
            size,
        };
        let first = keys.ticket_for(ticket(1));
        assert_eq!(keys.ticket_for(ticket(1)), first);
        assert_eq!(keys.ticket(&first), Some(ticket(1)));
        let other = FileTicket { session: Session([2; SESSION_BYTES]), ..ticket(1) };
        assert_ne!(keys.ticket_for(other), first);
        let more: Vec<_> = (2..=TICKETS as u64).map(|n| keys.ticket_for(ticket(n))).collect();
        assert!(more.iter().all(|path| keys.ticket(path).is_some()));
        assert_eq!(keys.ticket(&first), None, "it was the oldest");
    }
}
