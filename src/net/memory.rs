//! A stream inside this process, for tests: two ends, and a bounded buffer in each direction.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::stream::Stream;

/// Bytes that one direction holds before the writer must wait: about as many as a socket.
const BUFFER_BYTES: usize = 1024 * 1024;

/// The two ends of a new stream.
pub(crate) fn pair() -> (Arc<dyn Stream>, Arc<dyn Stream>) {
    let (there, back) = (Arc::new(Direction::default()), Arc::new(Direction::default()));
    let end = |reads: &Arc<Direction>, writes: &Arc<Direction>| {
        let timeouts = Mutex::new([None; 2]);
        Arc::new(MemoryEnd { reads: Arc::clone(reads), writes: Arc::clone(writes), timeouts })
    };
    (end(&back, &there), end(&there, &back))
}

#[derive(Debug, Default)]
struct Direction {
    state: Mutex<Buffer>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Buffer {
    bytes: VecDeque<u8>,
    /// The writer has finished.
    ended: bool,
    /// The reader is gone. As in a network, some more is taken from the writer before it notices.
    deaf: bool,
    lost: usize,
}

impl Direction {
    /// Waits until `ready`, and then does `work`.
    fn when<T>(
        &self,
        timeout: Option<Duration>,
        ready: impl Fn(&Buffer) -> bool,
        work: impl FnOnce(&mut Buffer) -> T,
    ) -> io::Result<T> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut state = lock(&self.state);
        while !ready(&state) {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => return Err(ErrorKind::TimedOut.into()),
                Some(left) => wait_for(&self.changed, state, left),
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        let done = work(&mut state);
        self.changed.notify_all();
        Ok(done)
    }

    fn end(&self) {
        lock(&self.state).ended = true;
        self.changed.notify_all();
    }

    fn deafen(&self) {
        let mut state = lock(&self.state);
        state.deaf = true;
        state.bytes.clear();
        self.changed.notify_all();
    }
}

#[derive(Debug)]
struct MemoryEnd {
    reads: Arc<Direction>,
    writes: Arc<Direction>,
    /// For reading and for writing.
    timeouts: Mutex<[Option<Duration>; 2]>,
}

impl Stream for MemoryEnd {
    fn read(&self, room: &mut [u8]) -> io::Result<usize> {
        let [timeout, _] = *lock(&self.timeouts);
        self.reads.when(timeout, is_readable, |buffer| {
            let count = room.len().min(buffer.bytes.len());
            room.iter_mut().zip(buffer.bytes.drain(..count)).for_each(|(to, from)| *to = from);
            count
        })
    }

    fn wait(&self) -> io::Result<usize> {
        let [timeout, _] = *lock(&self.timeouts);
        self.reads.when(timeout, is_readable, |buffer| buffer.bytes.len())
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let [_, timeout] = *lock(&self.timeouts);
        self.writes.when(timeout, is_writable, |buffer| {
            if buffer.ended || buffer.lost > BUFFER_BYTES {
                return 0;
            }
            if buffer.deaf {
                buffer.lost += bytes.len();
                return bytes.len();
            }
            let count = bytes.len().min(BUFFER_BYTES - buffer.bytes.len());
            buffer.bytes.extend(bytes.iter().take(count));
            count
        })
    }

    fn shut(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read {
            self.writes.end();
        }
        if how != Shutdown::Write {
            self.reads.deafen();
        }
        Ok(())
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        lock(&self.timeouts)[0] = Some(timeout);
        Ok(())
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        lock(&self.timeouts)[1] = Some(timeout);
        Ok(())
    }

    fn bound_unsent(&self, _: u32) {}
}

impl Drop for MemoryEnd {
    fn drop(&mut self) {
        self.reads.deafen();
        self.writes.end();
    }
}

fn is_readable(buffer: &Buffer) -> bool {
    !buffer.bytes.is_empty() || buffer.ended || buffer.deaf
}

fn is_writable(buffer: &Buffer) -> bool {
    buffer.bytes.len() < BUFFER_BYTES || buffer.ended || buffer.deaf
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait_for<'a>(
    changed: &Condvar,
    state: MutexGuard<'a, Buffer>,
    left: Duration,
) -> MutexGuard<'a, Buffer> {
    changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
}
