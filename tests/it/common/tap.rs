//! A relay to a peer through which files move only as far as the test lets them.
//!
//! Links pass freely; lanes pass as many bytes towards the dialer as the test allows, and then
//! stop. So a test can stop a transfer in the middle, on any machine.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::DEADLINE;

/// Magic, major version and role: what a dialer sends in clear, and as many bytes in answer.
const CLEAR_BYTES: usize = 8;
/// The role byte of a session; all others are lanes.
const SESSION: u8 = 1;
/// More than a handshake takes, and less than a chunk.
const FREE_BYTES: u64 = 4 * 1024;

#[derive(Debug, Default)]
struct State {
    target: String,
    allowed_bytes: u64,
    /// Lanes that have used up what they may pass.
    standing: usize,
}

/// The tap. It lets nothing through until it is told to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tap(Arc<(Mutex<State>, Condvar)>);

impl Tap {
    /// Listens on a free port and passes every connection on to `target`. It ends with the test.
    pub(crate) fn before(target: &str) -> (Self, SocketAddr) {
        let tap = Self::default();
        tap.lead_to(target);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let accepting = tap.clone();
        std::thread::spawn(move || {
            for conn in listener.incoming().map_while(Result::ok) {
                let target = accepting.lock().target.clone();
                if let Ok(onward) = TcpStream::connect(target) {
                    accepting.clone().couple(conn, onward);
                }
            }
        });
        (tap, addr)
    }

    /// From now on connections lead to another peer.
    pub(crate) fn lead_to(&self, target: &str) {
        target.clone_into(&mut self.lock().target);
    }

    /// Lets this many more bytes through.
    pub(crate) fn allow(&self, bytes: u64) {
        let mut state = self.lock();
        state.allowed_bytes = state.allowed_bytes.saturating_add(bytes);
        self.0.1.notify_all();
    }

    /// Lets a byte through each second, for as long as the test lasts.
    pub(crate) fn drip(&self) {
        let tap = self.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::park_timeout(Duration::from_secs(1));
                tap.allow(1);
            }
        });
    }

    /// Waits until all that was allowed has passed and a lane has stopped.
    pub(crate) fn stands(&self) {
        let state = self.lock();
        let moving = |state: &mut State| state.allowed_bytes > 0 || state.standing == 0;
        let (_state, waited) = self.0.1.wait_timeout_while(state, DEADLINE, moving).unwrap();
        assert!(!waited.timed_out(), "nothing wants to pass");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    fn couple(self, mut dialer: TcpStream, mut target: TcpStream) {
        std::thread::spawn(move || {
            let mut clear = [0; CLEAR_BYTES];
            let begun = dialer.read_exact(&mut clear).and_then(|()| target.write_all(&clear));
            if begun.is_err() {
                return;
            }
            let is_lane = clear[CLEAR_BYTES - 1] != SESSION;
            let (mut from, mut to) = (dialer.try_clone().unwrap(), target.try_clone().unwrap());
            std::thread::spawn(move || {
                // A connection that breaks is passed on as if it had ended.
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            let _ = if is_lane {
                self.pass(&mut target, &mut dialer)
            } else {
                io::copy(&mut target, &mut dialer).map(|_| ())
            };
            let _ = dialer.shutdown(Shutdown::Both);
            let _ = target.shutdown(Shutdown::Both);
        });
    }

    fn pass(&self, from: &mut TcpStream, to: &mut TcpStream) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let mut free = FREE_BYTES;
        loop {
            let most = if free > 0 { free as usize } else { buffer.len() };
            let length = from.read(&mut buffer[..most])?;
            if length == 0 {
                return Ok(());
            }
            if free > 0 {
                free -= length as u64;
                to.write_all(&buffer[..length])?;
                continue;
            }
            let mut rest = &buffer[..length];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(self.take(rest.len()));
                to.write_all(now)?;
                rest = later;
            }
        }
    }

    /// Waits until a byte may pass; returns how many of `wanted` may.
    fn take(&self, wanted: usize) -> usize {
        let mut state = self.lock();
        while state.allowed_bytes == 0 {
            state.standing += 1;
            self.0.1.notify_all();
            state = self.0.1.wait(state).unwrap();
            state.standing -= 1;
        }
        let taken = state.allowed_bytes.min(wanted as u64);
        state.allowed_bytes -= taken;
        self.0.1.notify_all();
        usize::try_from(taken).unwrap()
    }
}
