//! The connections of a node, shared by the shell and their threads.
//!
//! Invariants: every connection that the router knows of ends with exactly one event, however its
//! thread ends; the first cause of its end is the one reported; a finished thread waits in the
//! table to be joined, which never blocks the shell.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Shutdown};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::gate::{Gate, Permit};
use super::outbox::Outbox;
use super::stream::Stream;
use crate::limits::Limits;
use crate::router::event::Closed;
use crate::router::ids::ConnId;
use crate::thread;

/// Dialled connections have numbers from here on, drawn by the router.
const DIALLED: u64 = 1 << 63;
/// How often a pausing thread checks whether it still has to.
const PAUSE_SLICE: Duration = Duration::from_millis(50);

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// Its number.
    pub id: ConnId,
    /// What the router wants to send on it.
    pub outbox: Outbox,
    socket: Mutex<Socket>,
    cause: OnceLock<Closed>,
    permit: Mutex<Option<Permit>>,
}

#[derive(Debug)]
enum Socket {
    /// A dial in progress.
    None,
    Open(Arc<dyn Stream>, IpAddr),
    Shut,
}

impl Connection {
    fn new(id: ConnId, limits: &Limits, permit: Option<Permit>) -> Self {
        Self {
            id,
            outbox: Outbox::new(limits),
            socket: Mutex::new(Socket::None),
            cause: OnceLock::new(),
            permit: Mutex::new(permit),
        }
    }

    /// Registers the socket, so that [`Connection::shut`] reaches it, even if that came first.
    pub fn attach(&self, stream: &Arc<dyn Stream>, remote: IpAddr) {
        let mut socket = lock(&self.socket);
        match *socket {
            Socket::Shut => shut(&**stream),
            Socket::None | Socket::Open(..) => *socket = Socket::Open(Arc::clone(stream), remote),
        }
    }

    /// Records why the connection ends, unless something else ended it before.
    pub fn note(&self, cause: Closed) {
        // The first cause wins.
        let _ = self.cause.set(cause);
    }

    /// Why the connection ended; a closed socket if nothing better is known.
    #[must_use]
    pub fn cause(&self) -> Closed {
        self.cause.get().cloned().unwrap_or(Closed::Gone)
    }

    /// Wakes every thread of the connection by closing its socket in both directions.
    pub fn shut(&self) {
        let socket = std::mem::replace(&mut *lock(&self.socket), Socket::Shut);
        if let Socket::Open(stream, _) = socket {
            shut(&*stream);
        }
    }

    /// Whether [`Connection::shut`] was called.
    #[must_use]
    pub fn is_shut(&self) -> bool {
        matches!(*lock(&self.socket), Socket::Shut)
    }

    /// Waits this long, or until the connection ends.
    #[cold]
    pub fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let left = || until.saturating_duration_since(Instant::now());
        while !left().is_zero() && !self.is_shut() && !self.outbox.is_ending() {
            std::thread::sleep(left().min(PAUSE_SLICE));
        }
    }

    /// The connection is admitted: it no longer counts as pending, and `gate` favours its address
    /// while it lasts.
    pub fn admit(&self, gate: &Arc<Gate>) {
        if let Socket::Open(_, remote) = *lock(&self.socket) {
            // This releases the memory that it had before.
            *lock(&self.permit) = Some(gate.admitted(remote));
        }
    }
}

fn shut(stream: &dyn Stream) {
    // A socket that is closed already is fine.
    let _ = stream.shut(Shutdown::Both);
}

/// The table of connections.
#[derive(Debug, Default)]
pub struct Conns {
    table: Mutex<Table>,
    accepted: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    open: BTreeMap<ConnId, TableRow>,
    ended: Vec<JoinHandle<()>>,
    closed: bool,
}

#[derive(Debug)]
struct TableRow {
    conn: Arc<Connection>,
    thread: Option<JoinHandle<()>>,
}

impl Conns {
    /// A number for an accepted connection.
    pub fn next_accepted(&self) -> ConnId {
        ConnId(self.accepted.fetch_add(1, Ordering::Relaxed) % DIALLED)
    }

    /// Registers a connection and starts its thread, which does `work` and leaves the table when
    /// that ends.
    ///
    /// # Errors
    /// When the system cannot start another thread, or the table is closed: `work` is dropped.
    pub fn start<F>(
        self: &Arc<Self>,
        id: ConnId,
        limits: &Limits,
        permit: Option<Permit>,
        work: F,
    ) -> io::Result<()>
    where
        F: FnOnce(&Arc<Connection>) + Send + 'static,
    {
        let conn = Arc::new(Connection::new(id, limits, permit));
        let entry = TableRow { conn: Arc::clone(&conn), thread: None };
        {
            let mut table = lock(&self.table);
            if table.closed {
                return Err(io::Error::other("klatch is ending"));
            }
            table.open.insert(id, entry);
        }
        let leaving = Leaving { conns: Arc::clone(self), id };
        let name = format!("conn {:x}", id.0 % DIALLED);
        let thread = thread::spawn(&name, thread::STACK_SMALL_BYTES, move || {
            let _leaving = leaving;
            work(&conn);
        })?;
        self.keep(id, thread);
        Ok(())
    }

    /// The handle goes to wherever the thread is: it may have ended already.
    fn keep(&self, id: ConnId, thread: JoinHandle<()>) {
        let mut table = lock(&self.table);
        match table.open.get_mut(&id) {
            Some(entry) => entry.thread = Some(thread),
            None => table.ended.push(thread),
        }
    }

    /// A connection that has not ended.
    #[must_use]
    pub fn get(&self, id: ConnId) -> Option<Arc<Connection>> {
        lock(&self.table).open.get(&id).map(|entry| Arc::clone(&entry.conn))
    }

    /// All connections that have not ended.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Connection>> {
        lock(&self.table).open.values().map(|entry| Arc::clone(&entry.conn)).collect()
    }

    /// Joins the threads that have ended; never waits.
    pub fn reap(&self) {
        let mut table = lock(&self.table);
        let (finished, running): (Vec<_>, Vec<_>) =
            std::mem::take(&mut table.ended).into_iter().partition(JoinHandle::is_finished);
        table.ended = running;
        drop(table);
        for thread in finished {
            // The thread's guard logged a panic, and the connection's reported it.
            let _ = thread.join();
        }
    }

    /// Accepts no more connections.
    pub fn close(&self) {
        lock(&self.table).closed = true;
    }

    /// Waits until every connection has ended and its thread is joined; false if some were left at
    /// `deadline`.
    pub fn join(&self, deadline: Instant) -> bool {
        loop {
            self.reap();
            let table = lock(&self.table);
            if table.open.is_empty() && table.ended.is_empty() {
                return true;
            }
            drop(table);
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Removes a connection from the table when its thread ends, even by a panic.
struct Leaving {
    conns: Arc<Conns>,
    id: ConnId,
}

impl Drop for Leaving {
    // Out of line, so that idle connections do not pay for it.
    #[inline(never)]
    fn drop(&mut self) {
        let mut table = lock(&self.conns.table);
        let entry = table.open.remove(&self.id);
        if let Some(entry) = entry {
            table.ended.extend(entry.thread);
            drop(table);
            entry.conn.outbox.end();
            entry.conn.shut();
            // Released at once, though the shell may still hold the connection for a moment.
            lock(&entry.conn.permit).take();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
