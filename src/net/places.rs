//! A few places for chunks that are on their way, given to members in turn.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::router::ids::MemberId;

/// A place that is held for so long is given to who waits.
const PLACE_HELD: Duration = Duration::from_secs(1);
/// Who waited so long for a place is told that the host is busy, and may ask another one.
const PLACE_WAIT: Duration = Duration::from_secs(5);

/// The places of a node.
///
/// Few at a time, because a chunk that has arrived can be passed on, and several that are under way
/// can not. A receiver that takes long loses its place to who waits, and goes on without: so those
/// on slow lines do not keep a host from the others. Who holds fewer goes first, so that nobody has
/// more of a host for asking over more lanes.
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
    /// Who holds a place, and since when.
    holders: BTreeMap<u64, (MemberId, Instant)>,
    /// Who waits, in the order of asking.
    waiting: VecDeque<(u64, MemberId)>,
    next: u64,
    closed: bool,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place<'a> {
    places: &'a Places,
    number: u64,
}

impl Places {
    /// So many places.
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

    /// Waits for a place to send to `member`; `None` when none came free in time, or after
    /// [`Places::close`].
    #[must_use]
    pub fn take(&self, member: MemberId) -> Option<Place<'_>> {
        let deadline = Instant::now() + self.patience;
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.waiting.push_back((number, member));
        loop {
            let now = Instant::now();
            if state.closed || now >= deadline {
                state.waiting.retain(|(waiting, _)| *waiting != number);
                // Whoever is first now may have been waiting behind this one only.
                self.freed.notify_all();
                return None;
            }
            if state.next() == Some(number) && state.make_room(self.most, now, self.held) {
                state.waiting.retain(|(waiting, _)| *waiting != number);
                state.holders.insert(number, (member, now));
                self.freed.notify_all();
                return Some(Place { places: self, number });
            }
            let oldest = state.holders.values().map(|(_, since)| *since).min();
            let over = oldest.map(|since| since + self.held);
            let until = over.filter(|at| *at > now).unwrap_or(deadline).min(deadline);
            let waited = self.freed.wait_timeout(state, until - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Gives no more places, and sends away who waits.
    pub fn close(&self) {
        self.lock().closed = true;
        self.freed.notify_all();
    }
}

impl Taken {
    /// Whose turn it is: of those whose members hold the fewest places, who came first.
    fn next(&self) -> Option<u64> {
        let held = |member: &MemberId| self.holders.values().filter(|(by, _)| by == member).count();
        let first = self.waiting.iter().min_by_key(|(number, member)| (held(member), *number));
        first.map(|(number, _)| *number)
    }

    /// Whether there is a free place, taking one from a receiver that is slow if need be.
    fn make_room(&mut self, most: usize, now: Instant, held: Duration) -> bool {
        if self.holders.len() >= most {
            self.holders.retain(|_, (_, since)| now.saturating_duration_since(*since) < held);
        }
        self.holders.len() < most
    }
}

impl Drop for Place<'_> {
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
    const ALICE: MemberId = MemberId([1; 32]);
    const BOB: MemberId = MemberId([2; 32]);

    #[test]
    fn places_are_given_in_the_order_of_asking() {
        let places = Places::with_times(1, LONG, LONG);
        let (told, order) = unbounded();
        std::thread::scope(|scope| {
            let first = places.take(ALICE).unwrap();
            for number in 0..5 {
                let (told, places) = (told.clone(), &places);
                scope.spawn(move || {
                    let _place = places.take(ALICE).unwrap();
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
    fn who_holds_a_place_waits_for_those_who_hold_none() {
        let places = Places::with_times(2, LONG, LONG);
        let (told, order) = unbounded();
        std::thread::scope(|scope| {
            let (first, _second) = (places.take(ALICE).unwrap(), places.take(ALICE).unwrap());
            for (number, member) in [ALICE, ALICE, BOB].into_iter().enumerate() {
                let (told, places) = (told.clone(), &places);
                scope.spawn(move || {
                    let _place = places.take(member).unwrap();
                    told.send(member).unwrap();
                });
                while places.lock().waiting.len() <= number {
                    std::thread::yield_now();
                }
            }
            drop(first);
        });
        assert_eq!(order.try_iter().collect::<Vec<_>>(), [BOB, ALICE, ALICE]);
    }

    #[test]
    fn a_receiver_that_takes_long_loses_its_place_to_who_waits() {
        let places = Places::with_times(1, Duration::from_millis(50), LONG);
        let stuck = places.take(ALICE).unwrap();
        let next = places.take(ALICE).unwrap();
        // It goes on without a place, and takes none from others by that.
        drop(stuck);
        assert_eq!(places.lock().holders.len(), 1);
        drop(next);
        assert_eq!(places.lock().holders.len(), 0);
    }

    #[test]
    fn who_waits_too_long_is_sent_away_and_nobody_waits_for_a_closed_one() {
        let places = Places::with_times(1, LONG, Duration::from_millis(50));
        let held = places.take(ALICE).unwrap();
        assert!(places.take(ALICE).is_none());
        drop(held);
        assert!(places.take(ALICE).is_some());
        places.close();
        assert!(places.take(ALICE).is_none());
        assert!(places.lock().waiting.is_empty());
    }
}
