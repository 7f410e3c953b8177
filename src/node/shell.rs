//! The shell around the router: takes one event, lets the router handle it, performs all effects in
//! order, takes the next.
//!
//! It waits only for events: orders go into outboxes that may refuse them, slow work goes to other
//! threads, and events caused by performing an effect are handled next, from a queue that only this
//! thread knows.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::clock::Clock;
use super::faces::{Answer, Faces};
use super::feed::Feed;
use super::transfers::Transfers;
use crate::crypto::opaque::PasswordData;
use crate::crypto::password::Password;
use crate::crypto::random::random;
use crate::net::outbox::{ConnOrder, Queued};
use crate::net::session::FAREWELL;
use crate::net::{Net, dial, interfaces, listener};
use crate::router::Router;
use crate::router::event::{Closed, Effect, Event, Target};
use crate::router::ids::{ConnId, FaceId, RoomId};
use crate::router::notice::{Code, Failure};
use crate::thread::{self, STACK_LARGE_BYTES};

/// The loop checks the clocks at least this often, to notice that the machine was suspended.
const LOOK: Duration = Duration::from_secs(2);
/// How many local events may precede the inbox's turn.
const LOCALS: usize = 16;
/// How often this computer's addresses are looked up: networks come and go.
const INTERFACES: Duration = Duration::from_secs(10);

/// Everything that the router's thread owns.
pub(super) struct NodeShell {
    pub(super) router: Router,
    pub(super) clock: Clock,
    pub(super) net: Arc<Net>,
    pub(super) inbox: Option<Receiver<Event>>,
    pub(super) feed: Feed,
    pub(super) faces: Arc<Faces>,
    pub(super) transfers: Arc<Transfers>,
    pub(super) listener: BoundListener,
    pub(super) exit_code: Arc<AtomicU8>,
    pub(super) work: Work,
}

/// The listener, from the shell's side.
pub(super) struct BoundListener {
    pub(super) addr: SocketAddr,
    /// Announce addresses of virtual interfaces too.
    pub(super) with_virtual: bool,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) thread: Option<JoinHandle<()>>,
}

/// What is in progress besides the router.
#[derive(Default)]
pub(super) struct Work {
    /// Events caused by performing effects: handled before anything else.
    local: VecDeque<Event>,
    /// Connections that are ending, in the order in which their time for last messages runs out.
    ending: VecDeque<(Instant, ConnId)>,
    /// Threads that make locks.
    threads: Vec<JoinHandle<()>>,
    /// Local events handled since the last look at the inbox.
    locals: usize,
    /// The last event was a tick.
    ticked: bool,
    /// The addresses last reported to the router, and when they were looked up.
    addresses: Option<(interfaces::ReachablePlaces, Instant)>,
    stopping: bool,
}

impl NodeShell {
    /// Runs until the router wants the program to end; then ends everything else.
    pub(super) fn run(mut self) {
        while !self.work.stopping {
            let Some(event) = self.next_event() else { continue };
            for effect in self.router.handle(self.clock.now(), event) {
                self.perform(effect);
            }
        }
    }

    /// The next event; `None` if there is none yet and the clocks should be checked.
    fn next_event(&mut self) -> Option<Event> {
        self.look_after_things();
        // Local events and the inbox take turns, so that neither can starve the other.
        let inbox_first = self.work.locals >= LOCALS;
        self.work.locals = if inbox_first { 0 } else { self.work.locals + 1 };
        let waiting = |shell: &Self| shell.inbox.as_ref().and_then(|inbox| inbox.try_recv().ok());
        if inbox_first && let Some(event) = waiting(self) {
            return Some(event);
        }
        if let Some(event) = self.work.local.pop_front() {
            return Some(event);
        }
        self.work.locals = 0;
        let now = Instant::now();
        let due = self.router.next_deadline().map(|due| self.clock.instant(due));
        // Ticks and events take turns, so that neither can starve the other.
        if due.is_some_and(|due| due <= now) && !std::mem::take(&mut self.work.ticked) {
            self.work.ticked = true;
            return Some(Event::Tick);
        }
        self.work.ticked = false;
        let last_words = self.work.ending.front().map(|(at, _)| *at);
        let wake = [due, last_words].into_iter().flatten().min();
        let patience = wake.map_or(LOOK, |wake| wake.saturating_duration_since(now).min(LOOK));
        match self.inbox.as_ref()?.recv_timeout(patience) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                // Impossible while `net` holds a sender; better to end than to spin.
                self.work.stopping = true;
                None
            }
        }
    }

    fn look_after_things(&mut self) {
        let now = Instant::now();
        while let Some((_, conn)) = self.work.ending.pop_front_if(|(at, _)| *at <= now) {
            self.shut(conn);
        }
        self.net.conns.reap();
        self.work.threads.retain(|thread| !thread.is_finished());
        let woke = self.clock.slept();
        if let Some(wall_at_zero_ms) = self.clock.was_set() {
            self.work.local.push_back(Event::ClockSet { wall_at_zero_ms });
        }
        if woke {
            self.work.local.push_back(Event::Woke);
        }
        let looked = self.work.addresses.as_ref().map(|(_, at)| *at);
        if woke || looked.is_none_or(|at| now.saturating_duration_since(at) >= INTERFACES) {
            self.look_at_interfaces(now);
        }
    }

    fn look_at_interfaces(&mut self, now: Instant) {
        let places = interfaces::addresses(self.listener.addr, self.listener.with_virtual);
        let known = self.work.addresses.replace((places.clone(), now));
        if known.is_none_or(|(known, _)| known != places) {
            let port = self.listener.addr.port();
            let interfaces::ReachablePlaces { addresses, tunnels } = places;
            self.work.local.push_back(Event::Listening { port, addresses, tunnels });
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Dial { conn, target, role } => {
                if let Err(error) = dial::start(&self.net, conn, target.clone(), role) {
                    self.work.local.push_back(no_thread(conn, &target, &error));
                }
            }
            Effect::SendHello { conn, hello, room } => {
                self.order(conn, ConnOrder::SendHello { hello, room });
            }
            Effect::Proceed { conn, plan } => self.order(conn, ConnOrder::Proceed(plan)),
            Effect::Judge { conn, known } => self.order(conn, ConnOrder::Judged { known }),
            Effect::DrawValue { conn } => {
                self.work.local.push_back(Event::ValueDrawn { conn, value: random() });
            }
            Effect::Send { conn, message } => self.order(conn, ConnOrder::Send(message)),
            Effect::Linked { conn, .. } => self.admit(conn),
            Effect::StartLane { conn, member, fetch } => {
                self.admit(conn);
                self.order(conn, ConnOrder::StartLane { member, fetch });
            }
            Effect::Refuse { conn, refusal } => self.end(conn, ConnOrder::Refuse(refusal)),
            Effect::Close { conn } => self.end(conn, ConnOrder::Close),
            Effect::AskPassword { face, line, address, again } => {
                let after = self.feed.position();
                self.answer(face, Answer::AskPassword { line, address, again, after });
            }
            Effect::Tell { face, line, notice } => {
                let after = self.feed.position();
                self.answer(face, Answer::Told { line, notice: Box::new(notice), after });
            }
            Effect::Overview { face, overview } => {
                let after = self.feed.position();
                self.answer(face, Answer::Overview { overview, after });
            }
            Effect::Confirm { face, line, question } => {
                let after = self.feed.position();
                self.answer(face, Answer::Confirm { line, question, after });
            }
            Effect::PrepareLock { face, line, room, password } => {
                self.prepare_lock(face, line, room, password);
            }
            Effect::Notify(notice) => self.feed.push(notice),
            Effect::Reply { face, line, command, result } => {
                let after = self.feed.position();
                self.answer(face, Answer::Reply { line, command, result, after });
            }
            Effect::Forget => self.feed.forget(),
            Effect::Stop { exit_code } => {
                self.exit_code.store(exit_code, Ordering::SeqCst);
                self.work.stopping = true;
            }
            bulk => self.work.local.extend(self.transfers.perform(bulk)),
        }
    }

    fn answer(&self, face: FaceId, answer: Answer) {
        self.faces.answer(face, answer);
        // Faces that pull notices wait for both at once.
        self.feed.wake();
    }

    fn order(&mut self, id: ConnId, order: ConnOrder) {
        let Some(conn) = self.net.conns.get(id) else { return };
        match conn.outbox.push(order) {
            Queued::Fine | Queued::Ending => {}
            Queued::HalfFull => self.work.local.push_back(Event::Congested { conn: id }),
            Queued::Full => {
                tracing::warn!(conn = id.0, "a link that takes nothing is closed");
                conn.note(Closed::Silent);
                conn.shut();
            }
        }
    }

    /// A connection's last order; what it cannot send in time stays unsent.
    fn end(&mut self, id: ConnId, last: ConnOrder) {
        self.order(id, last);
        self.transfers.close_lane(id);
        self.work.ending.push_back((Instant::now() + FAREWELL, id));
    }

    fn shut(&self, id: ConnId) {
        if let Some(conn) = self.net.conns.get(id) {
            conn.note(Closed::ByUs);
            conn.shut();
        }
    }

    fn admit(&self, id: ConnId) {
        if let Some(conn) = self.net.conns.get(id) {
            conn.admit(&self.net.gate);
        }
    }

    /// Makes a lock on a thread of its own, or on the router's if there is no other.
    fn prepare_lock(&mut self, face: FaceId, line: u64, room: RoomId, password: Password) {
        let inbox = self.net.inbox.clone();
        let spare = password.clone();
        let spawned = thread::spawn("lock", STACK_LARGE_BYTES, move || {
            // Without a router nobody waits for it.
            let _ = inbox.send(lock_prepared(face, line, room, &password));
        });
        match spawned {
            Ok(thread) => self.work.threads.push(thread),
            Err(error) => {
                tracing::warn!(%error, "no thread could be started for a new lock");
                self.work.local.push_back(lock_prepared(face, line, room, &spare));
            }
        }
    }

    /// Ends everything, in an order in which nothing waits for what has already ended.
    fn shut_down(&mut self) {
        let deadline = Instant::now() + Duration::from_millis(self.net.limits.shutdown_ms);
        self.listener.stop.store(true, Ordering::SeqCst);
        self.net.conns.close();
        // Threads blocked on the router continue, and find that it has ended.
        self.inbox = None;
        for conn in self.net.conns.all() {
            conn.outbox.push(ConnOrder::Close);
        }
        self.transfers.shutdown();
        listener::wake(self.listener.addr);
        let last_words = (Instant::now() + FAREWELL).min(deadline);
        if !self.net.conns.join(last_words) {
            for conn in self.net.conns.all() {
                conn.note(Closed::ByUs);
                conn.outbox.end();
                conn.shut();
            }
        }
        let mut joined = self.net.conns.join(deadline);
        joined &= self.transfers.join(deadline);
        self.work.threads.extend(self.listener.thread.take());
        joined &= self.join_threads(deadline);
        if !joined {
            tracing::error!("some threads did not end in time");
        }
        self.faces.end();
        self.feed.end();
    }

    fn join_threads(&mut self, deadline: Instant) -> bool {
        for thread in std::mem::take(&mut self.work.threads) {
            while !thread.is_finished() {
                if Instant::now() >= deadline {
                    return false;
                }
                std::thread::sleep(Duration::from_millis(2));
                // The first call may have failed for lack of a descriptor.
                if thread.thread().name() == Some(super::LISTENER) && !thread.is_finished() {
                    listener::wake(self.listener.addr);
                }
            }
            // The thread's guard logged a panic.
            let _ = thread.join();
        }
        true
    }
}

/// Also if the router panics: the other threads must not outlive it.
impl Drop for NodeShell {
    fn drop(&mut self) {
        self.shut_down();
    }
}

fn lock_prepared(face: FaceId, line: u64, room: RoomId, password: &Password) -> Event {
    match PasswordData::new(password, &room.0) {
        Ok(data) => Event::LockPrepared { face, line, room, data },
        Err(error) => {
            let text = format!("the room could not be closed with this password: {error}");
            Event::LockFailed { face, line, failure: Failure::new(Code::IoError, text) }
        }
    }
}

fn no_thread(conn: ConnId, target: &Target, error: &std::io::Error) -> Event {
    let place = match target {
        Target::Host { host, port } => format!("{host} port {port}"),
        Target::Addr(addr) => crate::net::spoken(*addr),
    };
    let text = format!("cannot dial {place}: the system starts no more threads ({error})");
    Event::DialFailed { conn, failure: Failure::new(Code::IoError, text) }
}
