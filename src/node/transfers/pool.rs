//! A few threads that take jobs in order: started when there is work, ended when there is none.
//!
//! Bulk work (hashing, disks) runs here, at lower priority, so that it never delays chat. Each pool
//! bounds its threads and waiting jobs; submitting never blocks.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::thread;

/// How long a thread without work waits before it ends: long enough to take the next job, short
/// enough that an idle node has none.
const LINGER: Duration = Duration::from_millis(500);

/// A job.
type PoolJob = Box<dyn FnOnce() + Send>;

/// All threads are busy and no more jobs may wait, or the pool has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("every thread for this kind of work is busy; try again later")]
pub(super) struct Busy;

/// The bounds of a pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Name of its threads.
    pub name: &'static str,
    /// Most threads.
    pub threads: usize,
    /// Jobs that may wait for a thread.
    pub waiting: usize,
    /// Stack of a thread, in bytes.
    pub stack_bytes: usize,
}

/// Threads that share one queue of jobs.
pub(super) struct Pool {
    shared: Arc<PoolShared>,
}

struct PoolShared {
    bounds: Bounds,
    state: Mutex<PoolState>,
    work: Condvar,
    ended: Condvar,
}

struct PoolState {
    queue: VecDeque<PoolJob>,
    threads: usize,
    idle: usize,
    stopped: bool,
    handles: Vec<JoinHandle<()>>,
}

impl Pool {
    /// A pool without threads yet.
    #[must_use]
    pub(super) fn new(bounds: Bounds) -> Self {
        let state = PoolState {
            queue: VecDeque::new(),
            threads: 0,
            idle: 0,
            stopped: false,
            handles: Vec::new(),
        };
        let (work, ended) = (Condvar::new(), Condvar::new());
        Self { shared: Arc::new(PoolShared { bounds, state: Mutex::new(state), work, ended }) }
    }

    /// Queues a job, which begins at once if a thread is free or can start. Never blocks.
    ///
    /// # Errors
    /// [`Busy`]: the job was dropped.
    pub(super) fn submit(&self, job: impl FnOnce() + Send + 'static) -> Result<(), Busy> {
        let bounds = &self.shared.bounds;
        let mut state = self.shared.lock();
        if state.stopped {
            return Err(Busy);
        }
        if state.idle > state.queue.len() {
            state.queue.push_back(Box::new(job));
            self.shared.work.notify_one();
            return Ok(());
        }
        let begun = state.threads < bounds.threads && self.begin(&mut state);
        if !begun && (state.threads == 0 || state.queue.len() >= bounds.waiting) {
            return Err(Busy);
        }
        state.queue.push_back(Box::new(job));
        Ok(())
    }

    fn begin(&self, state: &mut PoolState) -> bool {
        state.handles.retain(|handle| !handle.is_finished());
        let shared = Arc::clone(&self.shared);
        let bounds = &self.shared.bounds;
        match thread::spawn(bounds.name, bounds.stack_bytes, move || work(&shared)) {
            Ok(handle) => {
                state.handles.push(handle);
                state.threads += 1;
                true
            }
            Err(error) => {
                tracing::warn!(%error, name = bounds.name, "no thread could be started");
                false
            }
        }
    }

    /// Accepts no more jobs and drops those that wait; running ones continue.
    pub(super) fn stop(&self) {
        let mut state = self.shared.lock();
        state.stopped = true;
        let waiting = std::mem::take(&mut state.queue);
        drop(state);
        self.shared.work.notify_all();
        // A dropped job's contents may report its end: never do that under the lock.
        drop(waiting);
    }

    /// Waits for all threads to end; false if some still run at `deadline`.
    pub(super) fn join(&self, deadline: Instant) -> bool {
        let mut state = self.shared.lock();
        while state.threads > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.ended.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let handles = std::mem::take(&mut state.handles);
        drop(state);
        handles.into_iter().all(|handle| handle.join().is_ok())
    }
}

impl PoolShared {
    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job; `None` if the thread should end. It is counted out in the same moment, so that
    /// no job is left to a thread that is about to end.
    fn next(&self) -> Option<PoolJob> {
        let mut state = self.lock();
        let mut waited_in_vain = false;
        loop {
            if let Some(job) = state.queue.pop_front() {
                return Some(job);
            }
            if state.stopped || waited_in_vain {
                state.threads -= 1;
                self.ended.notify_all();
                return None;
            }
            state.idle += 1;
            let waited = self.work.wait_timeout(state, LINGER);
            let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.idle -= 1;
            waited_in_vain = timeout.timed_out();
        }
    }
}

fn work(shared: &PoolShared) {
    thread::lower_priority();
    while let Some(job) = shared.next() {
        // What the job owned reports its end; the thread stays for the others.
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!(name = shared.bounds.name, "a job panicked; its work is given up");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::{Receiver, Sender, bounded};

    fn pool(threads: usize, waiting: usize) -> Pool {
        Pool::new(Bounds { name: "test", threads, waiting, stack_bytes: 64 * 1024 })
    }

    /// A job that reports its start, and ends when told.
    fn held(pool: &Pool) -> Result<(Receiver<()>, Sender<()>), Busy> {
        let (began, begun) = bounded(1);
        let (end, ended) = bounded::<()>(0);
        pool.submit(move || {
            let _ = began.send(());
            let _ = ended.recv();
        })?;
        Ok((begun, end))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn threads_and_waiting_jobs_are_bounded() {
        let pool = pool(2, 1);
        let (first, end_first) = held(&pool).unwrap();
        let (second, _end_second) = held(&pool).unwrap();
        first.recv().unwrap();
        second.recv().unwrap();
        let (third, _end_third) = held(&pool).unwrap();
        assert_eq!(held(&pool).err(), Some(Busy));
        drop(end_first);
        third.recv().unwrap();
    }

    #[test]
    fn a_stopped_pool_drops_what_waits_and_can_be_joined() {
        let pool = pool(1, 1);
        let (begun, end) = held(&pool).unwrap();
        begun.recv().unwrap();
        let (waiting, _end_waiting) = held(&pool).unwrap();
        pool.stop();
        assert!(waiting.recv().is_err());
        assert_eq!(held(&pool).err(), Some(Busy));
        assert!(!pool.join(Instant::now()));
        drop(end);
        assert!(pool.join(soon()));
    }

    #[test]
    fn a_panic_costs_the_job_and_not_the_thread() {
        let pool = pool(1, 8);
        pool.submit(|| panic!("a test of panics")).unwrap();
        let (begun, _end) = held(&pool).unwrap();
        begun.recv().unwrap();
    }

    #[test]
    fn idle_threads_are_used_again_and_end_after_a_while() {
        let pool = pool(8, 0);
        for _ in 0..20 {
            let (begun, end) = held(&pool).unwrap();
            begun.recv().unwrap();
            drop(end);
            let busy = || {
                let state = pool.shared.lock();
                state.threads > 0 && state.idle == 0
            };
            while busy() {
                std::thread::yield_now();
            }
        }
        assert!(pool.shared.lock().threads <= 1, "one is enough for one after another");
        let deadline = soon();
        while pool.shared.lock().threads > 0 {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(pool.join(soon()));
    }
}
