//! Which units of something are here, and what was sent of them: shared by the threads that fetch
//! and those that serve.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::router::bitmap::Bitmap;
use crate::router::ids::MemberId;
use crate::router::swarm::sent::{Picked, Sent};

/// The units of a file or folder that are verified and on disk.
#[derive(Debug)]
pub struct HeldUnits {
    count: u32,
    held: Box<[AtomicU64]>,
    sent: Mutex<Sent>,
    /// Units that came.
    arrivals: AtomicU64,
    /// Told when a unit came.
    came: (Mutex<()>, Condvar),
}

impl HeldUnits {
    /// None of so many.
    #[must_use]
    pub fn none(count: u32) -> Self {
        Self {
            count,
            held: (0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            sent: Mutex::new(Sent::new(count)),
            arrivals: AtomicU64::new(0),
            came: (Mutex::new(()), Condvar::new()),
        }
    }

    /// All of so many.
    #[must_use]
    pub fn all(count: u32) -> Self {
        let units = Self::none(count);
        (0..count).for_each(|unit| units.insert(unit));
        units
    }

    /// How many there are, held or not.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether a unit is held; false beyond the end.
    #[must_use]
    pub fn has(&self, unit: u32) -> bool {
        // Acquire: who sees the bit sees the bytes, which were written before it was set.
        unit < self.count
            && self
                .held
                .get(unit as usize / 64)
                .is_some_and(|word| word.load(Ordering::Acquire) >> (unit % 64) & 1 == 1)
    }

    /// Says that a unit is verified and on disk. Beyond the end nothing happens.
    pub fn insert(&self, unit: u32) {
        if let Some(word) = self.held.get(unit as usize / 64) {
            word.fetch_or(1 << (unit % 64), Ordering::AcqRel);
            self.arrivals.fetch_add(1, Ordering::Relaxed);
            // A thread that looked before this and saw nothing is waiting when it is told.
            drop(self.came.0.lock().unwrap_or_else(PoisonError::into_inner));
            self.came.1.notify_all();
        }
    }

    /// Waits for a unit for at most `patience`; says whether it is held.
    #[must_use]
    pub fn wait_for(&self, unit: u32, patience: Duration) -> bool {
        let (lock, came) = &self.came;
        let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let lacking = |(): &mut ()| !self.has(unit);
        // Poisoned or not, what counts is the unit.
        drop(came.wait_timeout_while(guard, patience, lacking));
        self.has(unit)
    }

    /// Another number than before whenever other units may be held, or have been sent.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.arrivals.load(Ordering::Relaxed).wrapping_add(self.sent().changes())
    }

    /// The units held, as they are advertised.
    #[must_use]
    pub fn to_bitmap(&self) -> Bitmap {
        let mut bitmap = Bitmap::none(self.count);
        for unit in (0..self.count).filter(|&unit| self.has(unit)) {
            bitmap.insert(unit);
        }
        bitmap
    }

    /// What was sent to whom.
    pub fn sent(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Picks what to send to `member`, of the units that it wants ([`Sent::pick`]).
    pub fn pick(&self, member: MemberId, of: &Bitmap) -> Picked {
        self.sent().pick(member, of, |unit| self.has(unit))
    }
}
