//! The router's orders for one connection, in sequence, from its first step to its last message.
//!
//! The handshake thread takes orders one by one, a session's writer takes them in batches. The
//! router's side never blocks: a queue that is half full reports it once, a full one refuses. It is
//! a plain queue under a lock, because an idle link must cost next to nothing (a channel allocates
//! its thousand slots at once), and because messages, bytes and fill levels must change together.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::limits::Limits;
use crate::router::event::Plan;
use crate::router::ids::{MemberId, RoomId};
use crate::router::message::{Hello, Message, Refusal};
use crate::wire::message::size_hint;

/// Bytes of messages taken and written at once: a few full records.
const BATCH_BYTES: usize = 64 * 1024;

/// Something that a connection should do.
#[derive(Debug, Clone, PartialEq)]
pub enum ConnOrder {
    /// Say Hello, with the tag of this room.
    SendHello {
        /// What to say.
        hello: Hello,
        /// The room for the tag.
        room: RoomId,
    },
    /// Continue the handshake by this plan.
    Proceed(Plan),
    /// The peer is known, or must show its chain.
    Judged {
        /// Whether it is known.
        known: bool,
    },
    /// The lane is admitted.
    StartLane {
        /// The member at the other end.
        member: MemberId,
        /// This side asks.
        fetch: bool,
    },
    /// Send this.
    Send(Message),
    /// Give this reason, then close.
    Refuse(Refusal),
    /// Close, once what was queued before is sent.
    Close,
}

impl ConnOrder {
    /// Whether the connection ends with it.
    pub(super) fn is_last(&self) -> bool {
        matches!(self, Self::Refuse(_) | Self::Close)
    }

    fn cost_bytes(&self) -> usize {
        match self {
            Self::Send(message) => size_hint(message),
            _ => 0,
        }
    }
}

/// Result of queuing an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queued {
    /// It is queued.
    Fine,
    /// It is queued, and the outbox has just become half full.
    HalfFull,
    /// It is lost because the outbox is full: the connection must end.
    Full,
    /// It is lost because the connection is ending.
    Ending,
}

/// Why there is no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoOrder {
    /// None came in time.
    TimedOut,
    /// None will come.
    Ended,
}

/// The orders of one connection.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<OutboxState>,
    wake: Condvar,
    max_messages: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct OutboxState {
    orders: VecDeque<ConnOrder>,
    /// Bytes in `orders`.
    bytes: usize,
    /// Messages and bytes of the batch that is being written.
    writing: (usize, usize),
    half_full: bool,
    /// The last order is queued.
    ending: bool,
    /// Nobody takes orders any more.
    ended: bool,
}

impl OutboxState {
    fn fill(&self) -> (usize, usize) {
        (self.orders.len() + self.writing.0, self.bytes + self.writing.1)
    }

    fn pop(&mut self) -> Option<ConnOrder> {
        let order = self.orders.pop_front()?;
        self.bytes = self.bytes.saturating_sub(order.cost_bytes());
        if self.orders.is_empty() {
            // Otherwise a burst would cost memory until the link ends.
            self.orders = VecDeque::new();
        }
        Some(order)
    }
}

impl Outbox {
    /// An empty one, bounded by `limits.outbox_messages` and `limits.outbox_bytes`.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            max_messages: limits.outbox_messages,
            max_bytes: limits.outbox_bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, OutboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an order; never blocks. A refusal or a close always fits, and nothing is queued after
    /// it.
    pub fn push(&self, order: ConnOrder) -> Queued {
        let mut state = self.lock();
        if state.ending || state.ended {
            return Queued::Ending;
        }
        let (messages, bytes) = state.fill();
        let (messages, bytes) = (messages + 1, bytes + order.cost_bytes());
        if order.is_last() {
            state.ending = true;
        } else if messages > self.max_messages || bytes > self.max_bytes {
            return Queued::Full;
        }
        state.bytes += order.cost_bytes();
        state.orders.push_back(order);
        let half = 2 * messages > self.max_messages || 2 * bytes > self.max_bytes;
        let newly = half && !state.half_full && !state.ending;
        state.half_full |= newly;
        drop(state);
        self.wake.notify_all();
        if newly { Queued::HalfFull } else { Queued::Fine }
    }

    /// Whether the last order is queued, so that nothing more is expected from the peer.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        let state = self.lock();
        state.ending || state.ended
    }

    /// The next order.
    ///
    /// # Errors
    /// [`NoOrder`].
    pub fn next(&self, deadline: Instant) -> Result<ConnOrder, NoOrder> {
        let mut state = self.wait(Some(deadline))?;
        state.pop().ok_or(NoOrder::Ended)
    }

    /// Waits for orders and moves the next few to `batch`. They count until [`Outbox::written`].
    ///
    /// # Errors
    /// [`NoOrder::Ended`].
    pub fn take(&self, batch: &mut Vec<ConnOrder>) -> Result<(), NoOrder> {
        let mut state = self.wait(None)?;
        let before = state.bytes;
        let mut taken = 0;
        while taken < BATCH_BYTES {
            let Some(order) = state.pop() else { break };
            taken += order.cost_bytes();
            batch.push(order);
        }
        state.writing = (batch.len(), before - state.bytes);
        Ok(())
    }

    /// The batch is written. True if this drained an outbox that was half full.
    #[must_use]
    pub fn written(&self) -> bool {
        let mut state = self.lock();
        state.writing = (0, 0);
        let (messages, bytes) = state.fill();
        let drained =
            state.half_full && 4 * messages < self.max_messages && 4 * bytes < self.max_bytes;
        state.half_full &= !drained;
        drained
    }

    /// Whether nothing is waiting: a moment to release buffers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().orders.is_empty()
    }

    /// Drops what is waiting and accepts no more; wakes threads that wait for orders.
    pub fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let dropped = std::mem::take(&mut state.orders);
        state.bytes = 0;
        drop(state);
        self.wake.notify_all();
        drop(dropped);
    }

    fn wait(&self, deadline: Option<Instant>) -> Result<MutexGuard<'_, OutboxState>, NoOrder> {
        let mut state = self.lock();
        loop {
            if state.ended {
                return Err(NoOrder::Ended);
            }
            if !state.orders.is_empty() {
                return Ok(state);
            }
            state = match deadline {
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(NoOrder::TimedOut);
                    }
                    let waited = self.wake.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(messages: usize, bytes: usize) -> Outbox {
        let limits = Limits { outbox_messages: messages, outbox_bytes: bytes, ..Limits::default() };
        Outbox::new(&limits)
    }

    fn ping(number: u32) -> ConnOrder {
        ConnOrder::Send(Message::Ping(number))
    }

    #[test]
    fn fill_levels_are_told_once_and_count_what_is_being_written() {
        let outbox = outbox(8, usize::MAX / 4);
        let pushed: Vec<_> = (0..9).map(|n| outbox.push(ping(n))).collect();
        let expected = [[Queued::Fine; 4].as_slice(), &[Queued::HalfFull], &[Queued::Fine; 3]];
        assert_eq!(pushed[..8], expected.concat());
        assert_eq!(pushed[8], Queued::Full);

        let mut batch = Vec::new();
        outbox.take(&mut batch).unwrap();
        assert_eq!(batch.len(), 8);
        assert_eq!(outbox.push(ping(9)), Queued::Full);
        assert!(outbox.written());
        assert!(!outbox.written());
        assert_eq!(outbox.push(ping(10)), Queued::Fine);
    }

    #[test]
    fn bytes_are_bounded_as_well() {
        let one = size_hint(&Message::Ping(0));
        let outbox = outbox(1_000, 4 * one);
        let pushed: Vec<_> = (0..5).map(|n| outbox.push(ping(n))).collect();
        assert_eq!(pushed[2], Queued::HalfFull);
        assert_eq!(pushed[3..], [Queued::Fine, Queued::Full]);
    }

    #[test]
    fn the_last_order_always_fits_and_nothing_follows_it() {
        let outbox = outbox(1, usize::MAX / 4);
        outbox.push(ping(1));
        assert_eq!(outbox.push(ping(2)), Queued::Full);
        assert_eq!(outbox.push(ConnOrder::Close), Queued::Fine);
        assert!(outbox.is_ending());
        assert_eq!(outbox.push(ping(3)), Queued::Ending);
        let mut batch = Vec::new();
        outbox.take(&mut batch).unwrap();
        assert_eq!(batch, [ping(1), ConnOrder::Close]);
    }

    #[test]
    fn ending_wakes_whoever_waits() {
        let outbox = outbox(8, 1_000);
        assert_eq!(outbox.next(Instant::now()), Err(NoOrder::TimedOut));
        std::thread::scope(|scope| {
            scope.spawn(|| assert_eq!(outbox.take(&mut Vec::new()), Err(NoOrder::Ended)));
            outbox.end();
        });
        assert_eq!(outbox.push(ping(1)), Queued::Ending);
    }
}
