//! Upload places: few chunks are sent at a time, in the order of the requests.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A place held longer than this is given to the next in the queue.
const PLACE_HELD: Duration = Duration::from_secs(1);
/// After this time in the queue a request is answered busy, and may go to another host.
const PLACE_WAIT: Duration = Duration::from_secs(5);

/// The places of a node.
///
/// There are few, because a chunk that has arrived can be passed on, while several under way
/// cannot. A slow receiver loses its place to the next in the queue and goes on without one, so
/// slow lines do not keep a host from others. Turns go by lane, not by member: a member that lags
/// behind asks over a second lane, and so catches up.
#[derive(Debug)]
pub struct Places {
    most: usize,
    held: Duration,
    patience: Duration,
    state: Mutex<Taken>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Taken {
    /// The holders of places, and since when.
    holders: BTreeMap<u64, Instant>,
    /// The waiting, first come first served.
    waiting: VecDeque<u64>,
    next: u64,
    closed: bool,
}

/// A place, held until it is dropped.
#[derive(Debug)]
pub struct ThreadPlace<'a> {
    places: &'a Places,
    number: u64,
}

impl Places {
    /// This many places.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self::with_times(most, PLACE_HELD, PLACE_WAIT)
    }

    fn with_times(most: usize, held: Duration, patience: Duration) -> Self {
        let (state, freed) = (Mutex::default(), Condvar::new());
        Self { most: most.max(1), held, patience, state, freed }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place; `None` if none became free in time, or after [`Places::close`].
    #[must_use]
    pub fn take(&self) -> Option<ThreadPlace<'_>> {
        let deadline = Instant::now() + self.patience;
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.waiting.push_back(number);
        loop {
            let now = Instant::now();
            if state.closed || now >= deadline {
                state.waiting.retain(|waiting| *waiting != number);
                // Perhaps only this one kept the next from taking a place.
                self.freed.notify_all();
                return None;
            }
            if state.waiting.front() == Some(&number) && state.make_room(self.most, now, self.held)
            {
                state.waiting.pop_front();
                state.holders.insert(number, now);
                self.freed.notify_all();
                return Some(ThreadPlace { places: self, number });
            }
            let over = state.holders.values().min().map(|oldest| *oldest + self.held);
            let until = over.filter(|at| *at > now).unwrap_or(deadline).min(deadline);
            let waited = self.freed.wait_timeout(state, until - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Gives out no more places, and sends away those that wait.
    pub fn close(&self) {
        self.lock().closed = true;
        self.freed.notify_all();
    }
}

impl Taken {
    /// Whether there is a free place, if necessary by taking one from a slow receiver.
    fn make_room(&mut self, most: usize, now: Instant, held: Duration) -> bool {
        if self.holders.len() >= most {
            self.holders.retain(|_, since| now.saturating_duration_since(*since) < held);
        }
        self.holders.len() < most
    }
}

impl Drop for ThreadPlace<'_> {
    fn drop(&mut self) {
        if self.places.lock().holders.remove(&self.number).is_some() {
            self.places.freed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::unbounded;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn places_are_given_in_the_order_of_asking() {
        let places = Places::with_times(1, LONG, LONG);
        let (told, order) = unbounded();
        std::thread::scope(|scope| {
            let first = places.take().unwrap();
            for number in 0..5 {
                let (told, places) = (told.clone(), &places);
                scope.spawn(move || {
                    let _place = places.take().unwrap();
                    told.send(number).unwrap();
                });
                while places.lock().waiting.len() <= number {
                    std::thread::yield_now();
                }
            }
            drop(first);
        });
        assert_eq!(order.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_receiver_that_takes_long_loses_its_place_to_who_waits() {
        let places = Places::with_times(1, Duration::from_millis(50), LONG);
        let stuck = places.take().unwrap();
        let next = places.take().unwrap();
        // It goes on without a place, so it takes none from others.
        drop(stuck);
        assert_eq!(places.lock().holders.len(), 1);
        drop(next);
        assert_eq!(places.lock().holders.len(), 0);
    }

    #[test]
    fn who_waits_too_long_is_sent_away_and_nobody_waits_for_a_closed_one() {
        let places = Places::with_times(1, LONG, Duration::from_millis(50));
        let held = places.take().unwrap();
        assert!(places.take().is_none());
        drop(held);
        assert!(places.take().is_some());
        places.close();
        assert!(places.take().is_none());
        assert!(places.lock().waiting.is_empty());
    }
}
