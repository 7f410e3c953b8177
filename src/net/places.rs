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
/// on slow lines do not keep a host from the others. Members take turns, so that nobody has more of
/// a host for asking over more lanes.
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
    /// Whom chunks are sent without a place, because they took too long.
    beside: BTreeMap<u64, MemberId>,
    /// Who waits, who is next first: in the order of asking, but those of whom one had its turn
    /// behind all others.
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
                state.give(number, member, now);
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
    /// Whose turn it is: the first of those whose members are sent the fewest chunks.
    fn next(&self) -> Option<u64> {
        let mut sent: BTreeMap<MemberId, usize> = BTreeMap::new();
        let holders = self.holders.values().map(|(member, _)| member);
        for member in holders.chain(self.beside.values()) {
            *sent.entry(*member).or_default() += 1;
        }
        let of = |member: &MemberId| sent.get(member).copied().unwrap_or(0);
        self.waiting.iter().min_by_key(|(_, member)| of(member)).map(|(number, _)| *number)
    }

    /// Gives the one with this number a place; others of the same member wait behind all others.
    fn give(&mut self, number: u64, member: MemberId, now: Instant) {
        self.waiting.retain(|(waiting, _)| *waiting != number);
        self.waiting.make_contiguous().sort_by_key(|(_, other)| *other == member);
        self.holders.insert(number, (member, now));
    }

    /// Whether there is a free place, taking one from a receiver that is slow if need be.
    fn make_room(&mut self, most: usize, now: Instant, held: Duration) -> bool {
        if self.holders.len() >= most {
            let late = |_: &u64, (_, since): &mut (MemberId, Instant)| {
                now.saturating_duration_since(*since) >= held
            };
            let late = self.holders.extract_if(.., late);
            self.beside.extend(late.map(|(number, (member, _))| (number, member)));
        }
        self.holders.len() < most
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.places.lock();
        state.beside.remove(&self.number);
        state.holders.remove(&self.number);
        drop(state);
        self.places.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::unbounded;

    const LONG: Duration = Duration::from_secs(60);
    const ALICE: MemberId = MemberId([1; 32]);
    const BOB: MemberId = MemberId([2; 32]);
    const CAROL: MemberId = MemberId([3; 32]);

    /// In which order these, who ask one after another, have the place that `first` gives back.
    fn order(places: &Places, first: Place<'_>, members: &[MemberId]) -> Vec<usize> {
        let (told, order) = unbounded();
        std::thread::scope(|scope| {
            for (number, member) in members.iter().enumerate() {
                let told = told.clone();
                scope.spawn(move || {
                    let _place = places.take(*member).unwrap();
                    told.send(number).unwrap();
                });
                while places.lock().waiting.len() <= number {
                    std::thread::yield_now();
                }
            }
            drop(first);
        });
        order.try_iter().collect()
    }

    #[test]
    fn places_are_given_in_the_order_of_asking() {
        let places = Places::with_times(1, LONG, LONG);
        let first = places.take(ALICE).unwrap();
        let five: Vec<_> = (3..8).map(|number| MemberId([number; 32])).collect();
        assert_eq!(order(&places, first, &five), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn members_take_turns_however_often_they_ask() {
        let places = Places::with_times(1, LONG, LONG);
        let first = places.take(BOB).unwrap();
        let asking = [ALICE, ALICE, ALICE, BOB, CAROL, CAROL];
        assert_eq!(order(&places, first, &asking), [0, 3, 4, 1, 5, 2]);
    }

    #[test]
    fn who_is_sent_a_chunk_waits_for_those_who_are_sent_none() {
        let places = Places::with_times(2, LONG, LONG);
        let (first, _second) = (places.take(ALICE).unwrap(), places.take(ALICE).unwrap());
        assert_eq!(order(&places, first, &[ALICE, ALICE, BOB]), [2, 0, 1]);
    }

    #[test]
    fn who_lost_its_place_for_being_slow_is_still_sent_a_chunk() {
        let places = Places::with_times(1, LONG, LONG);
        let next = places.take(CAROL).unwrap();
        places.lock().beside.insert(u64::MAX, ALICE);
        assert_eq!(order(&places, next, &[ALICE, BOB]), [1, 0]);
    }

    #[test]
    fn a_receiver_that_takes_long_loses_its_place_to_who_waits() {
        let places = Places::with_times(1, Duration::from_millis(50), LONG);
        let stuck = places.take(ALICE).unwrap();
        let next = places.take(ALICE).unwrap();
        // It goes on without a place, and takes none from others by that.
        drop(stuck);
        assert_eq!(places.lock().holders.len(), 1);
        assert!(places.lock().beside.is_empty());
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
