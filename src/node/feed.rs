//! Notices on their way to the faces: the router's thread, which never waits, writes them, and each
//! reader pulls them at its own pace.
//!
//! Messages, offers and withdrawals are kept until every reader has passed them. Everything else is
//! kept in a ring, and a reader that falls behind is told how many notices it missed. One sequence
//! covers both, so that every reader sees them in the order in which they came.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::router::notice::Notice;

/// What a reader gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedItem {
    /// A notice.
    Notice(Arc<Notice>),
    /// The room was left: what was said in it is history.
    Forget,
    /// This many notices were lost because the reader was too slow.
    Missed(u64),
    /// Nothing came in time.
    Nothing,
    /// Nothing more will come.
    Ended,
}

/// The notices of one node; clones share the same feed.
#[derive(Debug, Clone)]
pub struct Feed {
    shared: Arc<SharedFeed>,
}

#[derive(Debug)]
struct SharedFeed {
    state: Mutex<FeedState>,
    wake: Condvar,
}

/// A reader's position in both parts, counted in notices since the start.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    log: u64,
    ring: u64,
}

#[derive(Debug)]
struct FeedState {
    log: NumberedQueue,
    ring: NumberedQueue,
    ring_max: usize,
    log_max_bytes: usize,
    /// Number of the next notice.
    next: u64,
    readers: BTreeMap<u64, Cursor>,
    next_reader: u64,
    keep_history: bool,
    /// Position in the log where the present room begins.
    room_from: u64,
    ended: bool,
}

/// A queue whose positions are numbered since the start.
#[derive(Debug, Default)]
struct NumberedQueue {
    items: VecDeque<FeedEntry>,
    /// Number of the first item.
    first: u64,
    bytes: usize,
}

#[derive(Debug)]
struct FeedEntry {
    sequence: u64,
    /// `None`: the room was left.
    notice: Option<Arc<Notice>>,
    bytes: usize,
}

impl NumberedQueue {
    fn end(&self) -> u64 {
        self.first + self.items.len() as u64
    }

    fn get(&self, place: u64) -> Option<&FeedEntry> {
        self.items.get(usize::try_from(place.checked_sub(self.first)?).ok()?)
    }

    fn push(&mut self, item: FeedEntry) {
        self.bytes += item.bytes;
        self.items.push_back(item);
    }

    fn pop(&mut self) {
        if let Some(item) = self.items.pop_front() {
            self.bytes -= item.bytes;
            self.first += 1;
        }
    }
}

impl Feed {
    /// An empty feed with space for `ring` notices that are not the room's, and `log_bytes` of the
    /// room's notices for readers that do not read.
    #[must_use]
    pub fn new(ring: usize, log_bytes: usize) -> Self {
        let state = FeedState {
            log: NumberedQueue::default(),
            ring: NumberedQueue::default(),
            ring_max: ring,
            log_max_bytes: log_bytes,
            next: 0,
            readers: BTreeMap::new(),
            next_reader: 0,
            keep_history: false,
            room_from: 0,
            ended: false,
        };
        Self { shared: Arc::new(SharedFeed { state: Mutex::new(state), wake: Condvar::new() }) }
    }

    /// Adds a notice; never blocks.
    pub fn push(&self, notice: Notice) {
        let mut state = self.shared.lock();
        let of_room = is_of_room(&notice);
        state.add(Some(notice), of_room);
        drop(state);
        self.shared.wake.notify_all();
    }

    /// The room was left: readers are told when they reach this position, and history ends here.
    pub fn forget(&self) {
        let mut state = self.shared.lock();
        state.add(None, true);
        drop(state);
        self.shared.wake.notify_all();
    }

    /// From now on the room's notices are kept until it is left, for readers that come later.
    pub fn keep_history(&self) {
        self.shared.lock().keep_history = true;
    }

    /// A reader that begins with the oldest notice kept: before the first reader notices are
    /// dropped only for lack of space.
    #[must_use]
    pub fn reader(&self) -> FeedReader {
        let mut state = self.shared.lock();
        let id = state.next_reader;
        state.next_reader += 1;
        let cursor = Cursor { log: state.log.first, ring: state.ring.first };
        state.readers.insert(id, cursor);
        FeedReader { feed: self.clone(), id }
    }

    /// A reader that begins with the next notice, and with what was said in the room before, as far
    /// as that is kept.
    #[must_use]
    pub fn reader_from_here(&self) -> FeedReader {
        let mut state = self.shared.lock();
        let id = state.next_reader;
        state.next_reader += 1;
        let log = state.room_from.max(state.log.first);
        let cursor = Cursor { log, ring: state.ring.end() };
        state.readers.insert(id, cursor);
        FeedReader { feed: self.clone(), id }
    }

    /// The room's messages, in the order in which they came, as far as they are kept.
    #[must_use]
    pub fn history(&self) -> Vec<Arc<Notice>> {
        let state = self.shared.lock();
        let skipped = state.room_from.saturating_sub(state.log.first);
        let of_room = state.log.items.iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX));
        of_room.filter_map(|item| item.notice.clone()).collect()
    }

    /// Lets every reader check whether the other thing that it waits for is there.
    pub fn wake(&self) {
        // A reader that looked before this and saw nothing is waiting when it is notified.
        drop(self.shared.lock());
        self.shared.wake.notify_all();
    }

    /// How many notices there have been: a reader has passed everything up to this moment once its
    /// [`FeedReader::position`] is not below this.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.shared.lock().next
    }

    /// There are no more notices: readers end when they have read what is there.
    pub fn end(&self) {
        self.shared.lock().ended = true;
        self.shared.wake.notify_all();
    }
}

impl SharedFeed {
    fn lock(&self) -> MutexGuard<'_, FeedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FeedState {
    fn add(&mut self, notice: Option<Notice>, of_room: bool) {
        let bytes = notice.as_ref().map_or(0, cost_bytes);
        let item = FeedEntry { sequence: self.next, notice: notice.map(Arc::new), bytes };
        self.next += 1;
        if of_room {
            let left = item.notice.is_none();
            self.log.push(item);
            if left {
                self.room_from = self.log.end();
            }
            self.trim_log();
            while self.log.bytes > self.log_max_bytes {
                self.log.pop();
            }
        } else {
            self.ring.push(item);
            if self.ring.items.len() > self.ring_max {
                self.ring.pop();
            }
        }
    }

    /// Drops what no reader needs any more.
    fn trim_log(&mut self) {
        let mut keep_from = match self.readers.values().map(|cursor| cursor.log).min() {
            Some(slowest) => slowest,
            None if self.next_reader == 0 => return,
            None => self.log.end(),
        };
        if self.keep_history {
            keep_from = keep_from.min(self.room_from);
        }
        while self.log.first < keep_from.min(self.log.end()) {
            self.log.pop();
        }
    }

    /// What comes next for a reader, whose cursor advances; `None` if there is nothing.
    fn pull(&mut self, id: u64) -> Option<FeedItem> {
        let cursor = *self.readers.get(&id)?;
        let behind = Cursor {
            log: self.log.first.saturating_sub(cursor.log),
            ring: self.ring.first.saturating_sub(cursor.ring),
        };
        let mut moved = Cursor { log: cursor.log + behind.log, ring: cursor.ring + behind.ring };
        let heard = if behind.log + behind.ring > 0 {
            FeedItem::Missed(behind.log + behind.ring)
        } else {
            let (said, other) = (self.log.get(cursor.log), self.ring.get(cursor.ring));
            let item = match (said, other) {
                (Some(said), Some(other)) if other.sequence < said.sequence => other,
                (Some(said), _) => said,
                (None, other) => other?,
            };
            let of_room = said.is_some_and(|said| said.sequence == item.sequence);
            *(if of_room { &mut moved.log } else { &mut moved.ring }) += 1;
            item.notice.clone().map_or(FeedItem::Forget, FeedItem::Notice)
        };
        self.readers.insert(id, moved);
        if moved.log > cursor.log {
            self.trim_log();
        }
        Some(heard)
    }

    /// Number of the next notice for a reader.
    fn position(&self, id: u64) -> u64 {
        let next = |part: &NumberedQueue, place| part.get(place).map(|item| item.sequence);
        let cursor = self.readers.get(&id);
        let waiting = cursor.and_then(|cursor| {
            let both = [next(&self.log, cursor.log), next(&self.ring, cursor.ring)];
            both.into_iter().flatten().min()
        });
        waiting.unwrap_or(self.next)
    }
}

/// One reader's place in the feed.
#[derive(Debug)]
pub struct FeedReader {
    feed: Feed,
    id: u64,
}

impl FeedReader {
    /// The next notice; waits up to `patience` for it, or forever if `None`.
    pub fn next(&mut self, patience: Option<Duration>) -> FeedItem {
        self.next_unless(patience, || false)
    }

    /// The next notice; stops waiting when `other` has something, see [`Feed::wake`].
    pub fn next_unless(
        &mut self,
        patience: Option<Duration>,
        other: impl Fn() -> bool,
    ) -> FeedItem {
        let shared = &self.feed.shared;
        let deadline = patience.map(|patience| Instant::now() + patience);
        let mut state = shared.lock();
        loop {
            if let Some(heard) = state.pull(self.id) {
                return heard;
            }
            if state.ended {
                return FeedItem::Ended;
            }
            if other() {
                return FeedItem::Nothing;
            }
            state = match deadline {
                None => shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return FeedItem::Nothing;
                    }
                    let waited = shared.wake.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Reads up to `position` without waiting; returns what was said in the room of that moment.
    pub fn catch_up(&mut self, position: u64) -> Vec<Arc<Notice>> {
        let mut said = Vec::new();
        while self.position() < position {
            match self.next(Some(Duration::ZERO)) {
                FeedItem::Notice(notice) if is_of_room(&notice) => said.push(notice),
                FeedItem::Notice(_) | FeedItem::Missed(_) => {}
                FeedItem::Forget => said.clear(),
                FeedItem::Nothing | FeedItem::Ended => break,
            }
        }
        said
    }

    /// How far it has read: the number of the next notice for it, see [`Feed::position`].
    #[must_use]
    pub fn position(&self) -> u64 {
        self.feed.shared.lock().position(self.id)
    }
}

impl Drop for FeedReader {
    fn drop(&mut self) {
        let mut state = self.feed.shared.lock();
        state.readers.remove(&self.id);
        state.trim_log();
    }
}

/// Members' messages, which no reader may miss.
fn is_of_room(notice: &Notice) -> bool {
    matches!(
        notice,
        Notice::Message { .. }
            | Notice::MessageWithdrawn { .. }
            | Notice::FileOffered { .. }
            | Notice::FileWithdrawn { .. }
    )
}

/// Roughly how many bytes keeping a notice of the room costs.
fn cost_bytes(notice: &Notice) -> usize {
    let text = match notice {
        Notice::Message { text, .. } => text.raw().len(),
        Notice::FileOffered { file, .. } | Notice::FileWithdrawn { file, .. } => {
            file.name.raw().len()
        }
        _ => 0,
    };
    text + 512
}
