//! Two nodes whose routers are played by the test; over real sockets where the kernel matters.

mod entering;
mod handshake;
mod hostile;
mod knocking;
mod moved;
#[path = "../../../tests/it/hostile/tamper.rs"]
mod tamper;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use super::channel::Channel;
use super::conn::Conns;
use super::gate::Gate;
use super::listener::{Listen, PortListener, wake};
use super::outbox::ConnOrder;
use super::pace::MemberPace;
use super::stream::Stream;
use super::{Lanes, Net, dial, listener, memory};
use crate::crypto::binding::Role;
use crate::crypto::identity::Identity;
use crate::limits::Limits;
use crate::router::event::{Closed, Event, Outcome, Plan, Target};
use crate::router::ids::{ConnId, MemberId, RoomId, RunId};
use crate::router::message::{Brings, Hello, Message};
use crate::thread::{STACK_SMALL_BYTES, spawn};

/// Nothing in these tests takes this long unless something is wrong.
const SOON: Duration = Duration::from_secs(10);

fn patient() -> Limits {
    Limits { handshake_deadline_ms: 10_000, ..Limits::default() }
}

/// Keeps every lane that it is given, for the test to use.
#[derive(Default)]
struct Shelf(Mutex<Vec<(ConnId, MemberId, bool, Channel)>>);

impl Lanes for Shelf {
    fn lane(&self, conn: ConnId, member: MemberId, fetch: bool, channel: Channel) -> Closed {
        self.0.lock().unwrap().push((conn, member, fetch, channel));
        Closed::Gone
    }
}

/// A node with the test as its router.
struct Peer {
    net: Arc<Net>,
    events: Receiver<Event>,
    lanes: Arc<Shelf>,
    addr: SocketAddr,
    stop: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl Peer {
    fn new(limits: Limits) -> Self {
        let ip = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let listener = PortListener::bind(Listen { ip, port: Some(0) }).unwrap();
        let (inbox, events) = bounded(1_024);
        let lanes = Arc::new(Shelf::default());
        let net = Arc::new(Net {
            gate: Gate::new(&limits, Instant::now()),
            pace: MemberPace::new(Instant::now()),
            limits: Arc::new(limits),
            identity: Arc::new(Identity::generate()),
            inbox,
            conns: Arc::new(Conns::default()),
            lanes: Arc::clone(&lanes) as Arc<dyn Lanes>,
        });
        let (addr, stop) = (listener.addr(), Arc::new(AtomicBool::new(false)));
        let (shared, stopped) = (Arc::clone(&net), Arc::clone(&stop));
        let listener =
            spawn("listener", STACK_SMALL_BYTES, move || listener.run(&shared, &stopped));
        Self { net, events, lanes, addr, stop, listener: Some(listener.unwrap()) }
    }

    fn member(&self) -> MemberId {
        MemberId(self.net.identity.public())
    }

    /// A connection to `bob`, inside this process.
    fn dial(&self, bob: &Self, role: Role) -> ConnId {
        let (ours, theirs) = memory::pair();
        let conn = self.dial_over(ours, role);
        bob.accept(theirs);
        conn
    }

    /// Starts a connection over a stream, as the dialer.
    fn dial_over(&self, stream: Arc<dyn Stream>, role: Role) -> ConnId {
        let conn = next_dialled();
        dial::start_over(&self.net, conn, (stream, NOWHERE), role).unwrap();
        conn
    }

    /// Starts a connection over a stream, as the listener.
    fn accept(&self, stream: Arc<dyn Stream>) {
        listener::admit(&self.net, stream, NOWHERE);
    }

    /// A connection through the kernel.
    fn dial_addr(&self, addr: SocketAddr) -> ConnId {
        let conn = next_dialled();
        dial::start(&self.net, conn, Target::Addr(addr), Role::Session).unwrap();
        conn
    }

    fn event(&self) -> Event {
        self.events.recv_timeout(SOON).unwrap()
    }

    fn opened(&self) -> ConnId {
        match self.event() {
            Event::ConnOpened { conn, .. } => conn,
            other => panic!("not opened: {other:?}"),
        }
    }

    fn closed(&self, conn: ConnId) -> Closed {
        match self.event() {
            Event::ConnClosed { conn: closed, how } if closed == conn => how,
            other => panic!("not closed: {other:?}"),
        }
    }

    fn said(&self, conn: ConnId) -> Message {
        match self.event() {
            Event::Said { conn: from, message } if from == conn => message,
            other => panic!("nothing said: {other:?}"),
        }
    }

    fn order(&self, conn: ConnId, order: ConnOrder) {
        if let Some(conn) = self.net.conns.get(conn) {
            conn.outbox.push(order);
        }
    }

    fn say(&self, conn: ConnId, message: Message) {
        self.order(conn, ConnOrder::Send(message));
    }

    /// Like [`Self::play_as`], with a router that accepts everybody.
    fn play(&self, conn: ConnId, room: RoomId, plan: Plan) -> (bool, Result<Outcome, Closed>) {
        self.play_as(conn, room, plan, |_| ConnOrder::Judged { known: true })
    }

    /// Answers `ConnOpened` and `HelloArrived`, and other questions by `judge`; returns the plan's
    /// result, and whether the tags said that both are in one room.
    fn play_as(
        &self,
        conn: ConnId,
        room: RoomId,
        plan: Plan,
        mut judge: impl FnMut(&Event) -> ConnOrder,
    ) -> (bool, Result<Outcome, Closed>) {
        self.order(conn, ConnOrder::SendHello { hello: hello(), room });
        let same_room = match self.event() {
            Event::HelloArrived { same_room, .. } => same_room,
            Event::ConnClosed { how, .. } => return (false, Err(how)),
            other => panic!("no hello: {other:?}"),
        };
        self.order(conn, ConnOrder::Proceed(plan));
        loop {
            match self.event() {
                Event::Identified { outcome, .. } => return (same_room, Ok(outcome)),
                Event::ConnClosed { how, .. } => return (same_room, Err(how)),
                event @ (Event::Shown { .. } | Event::Welcomed { .. }) => {
                    self.order(conn, judge(&event));
                }
                other => panic!("not identified: {other:?}"),
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.net.conns.close();
        self.net.conns.all().iter().for_each(|conn| {
            conn.outbox.end();
            conn.shut();
        });
        wake(self.addr);
        let _ = self.listener.take().unwrap().join();
        if !std::thread::panicking() {
            assert!(self.net.conns.join(Instant::now() + SOON), "threads are left");
        }
    }
}

fn next_dialled() -> ConnId {
    static NEXT: AtomicU64 = AtomicU64::new(1 << 63);
    ConnId(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Where streams inside this process seem to come from.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

fn hello() -> Hello {
    Hello {
        run: RunId([1; 16]),
        settled: true,
        locked: false,
        password: false,
        moves: true,
        brings: Brings::Nothing,
        can: BTreeSet::new(),
    }
}

const ROOM: RoomId = RoomId([7; 32]);

/// The plan of both sides in one room, without a chain to show.
fn recognise() -> Plan {
    Plan::Recognise { room: ROOM, chain: Vec::new() }
}

/// Links alice (dialling) and bob, who know each other; returns each one's end.
fn linked(alice: &Peer, bob: &Peer, role: Role) -> (ConnId, ConnId) {
    alice.dial(bob, role);
    agreed(alice, bob)
}

/// Both ends of the connection that was just dialled, once they know each other.
fn agreed(alice: &Peer, bob: &Peer) -> (ConnId, ConnId) {
    let (ours, theirs) = (alice.opened(), bob.opened());
    std::thread::scope(|scope| {
        let played = scope.spawn(|| bob.play(theirs, ROOM, recognise()));
        alice.play(ours, ROOM, recognise()).1.unwrap();
        played.join().unwrap().1.unwrap();
    });
    (ours, theirs)
}
