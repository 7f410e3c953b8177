//! Bandwidth limits: `--limit-up` and `--limit-down`.
//!
//! There is one for each direction of a node, shared by all lanes. Chat is never throttled.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How much unused time is credited, so that a pause causes no burst.
const BURST: Duration = Duration::from_millis(50);
/// Pieces per second of a limited sender, so that a low rate is steady.
const PIECES_PER_S: u64 = 16;
/// No piece is shorter than this, because the overhead of a piece costs bytes too.
const PIECE_MIN_BYTES: usize = 1024;

/// A limit of bytes per second, or none.
#[derive(Debug)]
pub struct Throttle {
    /// Bytes per second; 0: no limit.
    rate: AtomicU64,
    /// When everything admitted so far will have passed at this rate.
    free_at: Mutex<Instant>,
    changed: Condvar,
}

impl Throttle {
    /// Bytes per second; `None`: no limit.
    #[must_use]
    pub fn new(bytes_per_second: Option<u64>) -> Self {
        let (free_at, changed) = (Mutex::new(Instant::now()), Condvar::new());
        let throttle = Self { rate: AtomicU64::new(0), free_at, changed };
        throttle.limit(bytes_per_second);
        throttle
    }

    fn lock(&self) -> MutexGuard<'_, Instant> {
        self.free_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the bytes per second from now on; `None`: no limit.
    pub fn limit(&self, bytes_per_second: Option<u64>) {
        let mut free_at = self.lock();
        self.rate.store(bytes_per_second.map_or(0, |rate| rate.max(1)), Ordering::Release);
        *free_at = Instant::now();
        self.changed.notify_all();
    }

    /// Whether there is a limit.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.rate.load(Ordering::Acquire) != 0
    }

    /// Bytes to pass at a time under the limit, or `most` without one.
    #[must_use]
    pub fn piece_bytes(&self, most: usize) -> usize {
        match self.rate.load(Ordering::Acquire) {
            0 => most,
            rate => {
                usize::try_from(rate / PIECES_PER_S).unwrap_or(most).clamp(PIECE_MIN_BYTES, most)
            }
        }
    }

    /// Waits until `bytes` may pass. A change of the limit applies at once.
    pub fn take(&self, bytes: usize) {
        if !self.is_limited() {
            return;
        }
        let mut free_at = self.lock();
        loop {
            let (now, rate) = (Instant::now(), self.rate.load(Ordering::Acquire));
            if rate == 0 {
                return;
            }
            let left = free_at.saturating_duration_since(now);
            if left.is_zero() {
                let from = now.checked_sub(BURST).map_or(now, |since| since.max(*free_at));
                *free_at = from + Duration::from_secs_f64(bytes as f64 / rate as f64);
                return;
            }
            let waited = self.changed.wait_timeout(free_at, left);
            free_at = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_and_can_be_lifted_while_somebody_waits() {
        let throttle = Throttle::new(None);
        // Without a limit nobody waits.
        throttle.take(usize::MAX);
        throttle.limit(Some(1_000));
        assert_eq!(throttle.piece_bytes(32_768), PIECE_MIN_BYTES);
        throttle.take(1_000_000);
        std::thread::scope(|scope| {
            // A thousand seconds, if the limit did not change.
            let waiting = scope.spawn(|| throttle.take(1));
            while !waiting.is_finished() {
                throttle.limit(None);
                std::thread::yield_now();
            }
        });
        throttle.limit(Some(1_000_000));
        let began = Instant::now();
        for _ in 0..20 {
            throttle.take(10_000);
        }
        assert!(began.elapsed() >= Duration::from_millis(100), "{:?}", began.elapsed());
    }
}
