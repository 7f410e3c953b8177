//! The running klatch's side of the socket: accepts, and starts a thread for each job.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::frames::Writer;
use super::listener::JobListener;
use super::work;
use crate::node::Access;
use crate::program::pages::Pages;
use crate::router::notice::{Code, Failure};
use crate::sys::local::{self, Stream};
use crate::thread::{self, STACK_LARGE_BYTES, STACK_SMALL_BYTES};

/// Most jobs at once.
const JOBS_MAX: usize = 16;
/// How long jobs may write their last output after klatch has ended.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// How long to wait for their threads.
const LAST_JOBS: Duration = Duration::from_millis(1_500);
/// Pause after a system error, such as running out of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// What every job needs.
pub(super) struct JobShared {
    pub(super) node: Access,
    /// Where the node listens.
    pub(super) addr: SocketAddr,
    pub(super) pages: Arc<Pages>,
    /// Folders that are removed with the program.
    pub(super) kept: Arc<Mutex<Vec<TempDir>>>,
    stopping: AtomicBool,
}

/// Takes jobs until it is dropped, which ends them.
pub(in crate::program) struct Jobs {
    shared: Arc<JobShared>,
    wake: Option<Stream>,
    thread: Option<JoinHandle<()>>,
}

impl Jobs {
    /// Takes jobs for a running node.
    pub(in crate::program) fn start(
        listener: JobListener,
        (node, addr): (Access, SocketAddr),
        pages: &Arc<Pages>,
        kept: &Arc<Mutex<Vec<TempDir>>>,
    ) -> Self {
        let (pages, kept) = (Arc::clone(pages), Arc::clone(kept));
        let stopping = AtomicBool::new(false);
        let shared = Arc::new(JobShared { node, addr, pages, kept, stopping });
        let started = local::pair().and_then(|(wake, woken)| {
            let shared = Arc::clone(&shared);
            let accept = move || accept(listener, &shared, &woken);
            Ok((wake, thread::spawn("jobs", STACK_SMALL_BYTES, accept)?))
        });
        match started {
            Ok((wake, thread)) => Self { shared, wake: Some(wake), thread: Some(thread) },
            Err(error) => {
                tracing::error!(%error, "no jobs are taken: the system starts no thread for them");
                Self { shared, wake: None, thread: None }
            }
        }
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        drop(self.wake.take());
        if let Some(thread) = self.thread.take() {
            // The thread's guard logged a panic.
            let _ = thread.join();
        }
    }
}

/// A job that was begun.
struct Begun {
    stream: Stream,
    thread: JoinHandle<()>,
}

/// Accepts until [`Jobs`] is dropped, which hangs up on `woken`.
fn accept(listener: JobListener, shared: &Arc<JobShared>, woken: &Stream) {
    let mut jobs = BTreeMap::<u64, Begun>::new();
    for number in 0.. {
        // If the wait is interrupted, there is nothing to accept.
        let waited = listener.socket.wait(woken);
        if shared.stopping.load(Ordering::SeqCst) {
            break;
        }
        jobs.retain(|_, job| !job.thread.is_finished());
        let begun = waited.and_then(|()| listener.socket.accept());
        let begun = begun.and_then(|stream| begin(stream, shared, jobs.len()));
        match begun {
            Ok(Some(job)) => drop(jobs.insert(number, job)),
            Ok(None) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => {
                tracing::warn!(%error, "a job could not be taken");
                std::thread::sleep(PAUSE);
            }
        }
    }
    // No more connections can come.
    drop(listener);
    end(&mut jobs);
}

fn begin(stream: Stream, shared: &Arc<JobShared>, jobs: usize) -> std::io::Result<Option<Begun>> {
    if jobs >= JOBS_MAX {
        // So few bytes fit into a stream to which nobody has written.
        stream.set_nonblocking(true)?;
        let text = format!("klatch is busy with {JOBS_MAX} other jobs: try again later");
        work::refuse(&Writer::new(stream), &Failure::new(Code::IoError, text));
        return Ok(None);
    }
    stream.set_nonblocking(false)?;
    let (working, shared) = (stream.try_clone()?, Arc::clone(shared));
    let thread = thread::spawn("job", STACK_LARGE_BYTES, move || work::run(&shared, &working))?;
    Ok(Some(Begun { stream, thread }))
}

/// The node has ended: jobs end by themselves, except those whose clients do not read.
fn end(jobs: &mut BTreeMap<u64, Begun>) {
    let begun = Instant::now();
    let mut shut = false;
    loop {
        jobs.retain(|_, job| !job.thread.is_finished());
        if jobs.is_empty() {
            return;
        }
        if !shut && begun.elapsed() >= LAST_WORDS {
            shut = true;
            for job in jobs.values() {
                // It may be shut already.
                let _ = job.stream.shutdown(std::net::Shutdown::Both);
            }
        }
        if begun.elapsed() >= LAST_JOBS {
            tracing::error!("some jobs did not end in time");
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
