//! The only place where threads start. Each is named, has an explicit stack size, is guarded
//! against panics, and is counted, so that a shutdown can wait for all of them and a test can check
//! that none is left.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};

/// Stack of a thread that only moves bytes.
pub const STACK_SMALL_BYTES: usize = 192 * 1024;
/// Stack of a thread that computes (router, hashing, password exchange).
pub const STACK_LARGE_BYTES: usize = 1024 * 1024;

static LIVE: AtomicUsize = AtomicUsize::new(0);

/// Owned threads that have not ended (without those of [`spawn_exempt`]).
#[must_use]
pub fn live() -> usize {
    LIVE.load(Ordering::SeqCst)
}

struct CountedThread;

impl CountedThread {
    fn new() -> Self {
        LIVE.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for CountedThread {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Starts an owned thread. The caller keeps the handle and joins it.
///
/// # Errors
/// When the system cannot start another thread.
pub fn spawn<F>(name: &str, stack_bytes: usize, work: F) -> io::Result<JoinHandle<()>>
where
    F: FnOnce() + Send + 'static,
{
    let counted = CountedThread::new();
    Builder::new().name(name.to_owned()).stack_size(stack_bytes).spawn(move || {
        let _counted = counted;
        guard(work);
    })
}

/// Starts a thread that is not joined, because nothing can wake it: the line reader, the printers
/// of notices and of answers, the one that wakes the line editor, the resolver, and the signal
/// handlers'. There are no others; tests/tidy.rs lists their names.
///
/// # Errors
/// When the system cannot start another thread.
pub fn spawn_exempt<F>(name: &str, work: F) -> io::Result<()>
where
    F: FnOnce() + Send + 'static,
{
    Builder::new().name(name.to_owned()).stack_size(STACK_LARGE_BYTES).spawn(|| guard(work))?;
    Ok(())
}

/// Starts a thread that ends before `scope` does. Out of line, so that starting it does not deepen
/// the stack of the thread that waits for it.
///
/// # Errors
/// When the system cannot start another thread.
#[inline(never)]
pub fn spawn_scoped<'scope, 'env, F, T>(
    scope: &'scope Scope<'scope, 'env>,
    name: &str,
    stack_bytes: usize,
    work: F,
) -> io::Result<ScopedJoinHandle<'scope, T>>
where
    F: FnOnce() -> T + Send + 'scope,
    T: Send + 'scope,
{
    let counted = CountedThread::new();
    Builder::new().name(name.to_owned()).stack_size(stack_bytes).spawn_scoped(scope, move || {
        let _counted = counted;
        work()
    })
}

/// Runs `work`; a panic is logged, and ends only this thread's work. Threads that wait for its
/// result notice when what it owned is dropped.
fn guard<F: FnOnce()>(work: F) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        report_panic();
    }
}

/// Out of line, or every thread would need stack for it.
#[cold]
#[inline(never)]
fn report_panic() {
    let name = std::thread::current().name().unwrap_or("unnamed").to_owned();
    tracing::error!(thread = name, "a thread panicked; what it served is closed");
}

/// Lowers the priority of the calling thread, because bulk work must not delay chat. Works only on
/// Linux.
pub fn lower_priority() {
    crate::sys::process::lower_thread_priority();
}
