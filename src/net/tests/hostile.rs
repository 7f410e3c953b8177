//! A man in the middle, a liar, and a peer that withholds.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use super::tamper::{CLEAR, pass_records};
use super::*;
use crate::crypto::binding::{Binding, Side, identity_message};
use crate::crypto::noise::HandshakeHash;
use crate::net::preamble;
use crate::router::ids::{FileId, LogNonce};
use crate::router::signed::{Chain, EntryBody, Kind, SignedEntry};
use crate::wire::message::encode;
use crate::wire::opening::Opening;

impl Read for &dyn Stream {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        Stream::read(*self, room)
    }
}

impl Write for &dyn Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Stream::write(*self, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Dials bob for alice, through a relay that passes the connection on record by record; `tamper`
/// sees those in the direction `from_dialer`, numbered from 0, and returns what to pass in place of
/// each; `None` closes the connection in both directions.
fn dial_through(
    (alice, bob): (&Peer, &Peer),
    from_dialer: bool,
    tamper: impl FnMut(usize, Vec<u8>) -> Option<Vec<u8>> + Send + 'static,
) -> ConnId {
    let ((ours, dialer), (theirs, listener)) = (memory::pair(), memory::pair());
    let relaying = spawn("relay", STACK_SMALL_BYTES, move || {
        let (from, into, clear) = match from_dialer {
            true => (&*dialer, &*listener, CLEAR[0]),
            false => (&*listener, &*dialer, CLEAR[1]),
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _ = io::copy(&mut &*into, &mut &*from);
                let _ = from.shut(Shutdown::Write);
            });
            pass_records(from, into, clear, tamper);
            // A cut affects both directions; an end that came by itself is passed on.
            let _ = into.shut(Shutdown::Both);
            let _ = from.shut(Shutdown::Both);
        });
    });
    relaying.unwrap();
    let conn = alice.dial_over(ours, Role::Session);
    bob.accept(theirs);
    conn
}

/// Records of the dialer's handshake in one room (Hello, identity, known), and of the listener's.
const HANDSHAKE_RECORDS: [usize; 2] = [3, 2];

#[test]
fn w4_a_connection_cut_between_any_two_records_ends_for_both() {
    for (from_dialer, records) in [true, false].into_iter().zip(HANDSHAKE_RECORDS) {
        for cut in 0..=records {
            let (alice, bob) = (Peer::new(patient()), Peer::new(patient()));
            let ours = dial_through((&alice, &bob), from_dialer, move |number, record| {
                (number < cut).then_some(record)
            });
            assert_eq!(alice.opened(), ours);
            let theirs = bob.opened();
            let (a, b) = std::thread::scope(|scope| {
                let played = scope.spawn(|| bob.play(theirs, ROOM, recognise()).1);
                let a = alice.play(ours, ROOM, recognise()).1;
                if a.is_ok() {
                    // In the session: the next record is cut off.
                    (0..4).for_each(|number| alice.say(ours, Message::Ping(number)));
                }
                (a, played.join().unwrap())
            });
            let receiver = if from_dialer { &b } else { &a };
            assert_eq!(receiver.is_ok(), cut == records, "{from_dialer} {cut}");
            if b.is_ok() {
                bob.say(theirs, Message::Ping(9));
            }
            for (peer, conn, played) in [(&alice, ours, a), (&bob, theirs, b)] {
                let how = played.map_or_else(|how| how, |_| peer.last(conn));
                assert_eq!(how, Closed::Gone, "{from_dialer} {cut}");
            }
        }
    }
}

impl Peer {
    /// How the connection ended, whatever was said before.
    fn last(&self, conn: ConnId) -> Closed {
        loop {
            match self.event() {
                Event::ConnClosed { conn: closed, how } if closed == conn => return how,
                Event::Said { .. } | Event::Identified { .. } | Event::Drained { .. } => {}
                other => panic!("not closed: {other:?}"),
            }
        }
    }
}

/// Alice sends 0, 1, 2, 3 through a relay that starts tampering at the record of 1.
fn bob_hears_through(
    mut tamper: impl FnMut(usize, Vec<u8>) -> Vec<u8> + Send + 'static,
) -> Vec<Message> {
    let (alice, bob) = (Peer::new(patient()), Peer::new(patient()));
    dial_through((&alice, &bob), true, move |number, record| Some(tamper(number, record)));
    let (ours, theirs) = agreed(&alice, &bob);
    (0..4).for_each(|number| alice.say(ours, Message::Ping(number)));
    let mut heard = Vec::new();
    let how = loop {
        match bob.event() {
            Event::Said { message, .. } => heard.push(message),
            Event::ConnClosed { conn, how } if conn == theirs => break how,
            other => panic!("unexpected: {other:?}"),
        }
    };
    assert!(matches!(how, Closed::Protocol(_)), "{how:?}");
    assert!(matches!(alice.last(ours), Closed::Gone | Closed::ByUs));
    heard
}

const TAMPERED: usize = HANDSHAKE_RECORDS[0] + 1;

#[test]
fn w5_a_record_that_comes_twice_closes_the_session() {
    let heard = bob_hears_through(|number, record| match number {
        TAMPERED => [&record[..], &record].concat(),
        _ => record,
    });
    assert_eq!(heard, [Message::Ping(0), Message::Ping(1)]);
}

#[test]
fn w5_an_old_record_closes_the_session() {
    let mut old = Vec::new();
    let heard = bob_hears_through(move |number, record| {
        if number == TAMPERED - 1 {
            old = record.clone();
        }
        if number == TAMPERED { old.clone() } else { record }
    });
    assert_eq!(heard, [Message::Ping(0)]);
}

#[test]
fn w5_records_out_of_order_close_the_session() {
    let mut held = Vec::new();
    let heard = bob_hears_through(move |number, record| match number {
        TAMPERED => {
            held = record;
            Vec::new()
        }
        _ if number == TAMPERED + 1 => [&record[..], &held].concat(),
        _ => record,
    });
    assert_eq!(heard, [Message::Ping(0)]);
}

#[test]
fn w5_an_altered_record_closes_the_session() {
    let heard = bob_hears_through(|number, mut record| {
        if number == TAMPERED {
            *record.last_mut().unwrap() ^= 1;
        }
        record
    });
    assert_eq!(heard, [Message::Ping(0)]);
}

/// Eve: an end of a connection that says what the test wants.
pub(super) struct Eve {
    pub(super) identity: Identity,
    pub(super) channel: Channel,
    pub(super) binding: Binding,
    /// The room that everything she hears must be signed for.
    pub(super) room: RoomId,
}

impl Eve {
    pub(super) fn dials(peer: &Peer) -> Self {
        let (ours, theirs) = memory::pair();
        peer.accept(theirs);
        let made = preamble::dial(&ours, NOWHERE, Role::Session, Instant::now() + SOON);
        Self::of(made.unwrap(), Side::Dialer)
    }

    /// Alice dials her, as the connection with this number.
    pub(super) fn dialled_by(alice: &Peer) -> (Self, ConnId) {
        let (ours, theirs) = memory::pair();
        let conn = alice.dial_over(theirs, Role::Session);
        let made = preamble::answer(&ours, NOWHERE, Instant::now() + SOON);
        let (_, channel, h) = made.unwrap();
        assert_eq!(alice.opened(), conn);
        (Self::of((channel, h), Side::Listener), conn)
    }

    fn of((channel, h): (Channel, HandshakeHash), side: Side) -> Self {
        channel.set_timeouts(SOON, SOON).unwrap();
        let binding = Binding { side, role: Role::Session, h };
        Self { identity: Identity::generate(), channel, binding, room: ROOM }
    }

    pub(super) fn member(&self) -> MemberId {
        MemberId(self.identity.public())
    }

    pub(super) fn says(&mut self, opening: &Opening) {
        self.channel.send(&opening.encode(&Limits::default()).unwrap()).unwrap();
    }

    pub(super) fn hears(&mut self) -> Opening {
        let plain = self.channel.recv(Limits::default().message_max_bytes).unwrap();
        Opening::decode(plain, &self.room).unwrap()
    }

    pub(super) fn says_hello(&mut self) {
        self.says(&Opening::Hello { hello: hello(), tag: [0; 32] });
        assert!(matches!(self.hears(), Opening::Hello { .. }));
    }

    /// Sends back what alice said.
    pub(super) fn echoes(&mut self) {
        let heard = self.hears();
        self.says(&heard);
    }

    pub(super) fn shows_herself(&mut self) {
        let signature = self.identity.sign(&identity_message(&self.binding, &self.room.0));
        self.says(&Opening::Identity { member: self.member(), signature });
    }
}

/// Eve plays while alice or bob goes through a handshake in one room.
pub(super) fn against(
    peer: &Peer,
    conn: ConnId,
    eve: impl FnOnce() + Send,
) -> Result<Outcome, Closed> {
    std::thread::scope(|scope| {
        scope.spawn(eve);
        peer.play(conn, ROOM, recognise()).1
    })
}

#[test]
fn w1_a_length_above_the_stages_limit_is_refused_at_once() {
    let bob = Peer::new(patient());
    let eve = Eve::dials(&bob);
    let conn = bob.opened();
    bob.order(conn, ConnOrder::SendHello { hello: hello(), room: ROOM });
    (&**eve.channel.stream()).write_all(&(4_096u16 + 17).to_be_bytes()).unwrap();
    let how = bob.closed(conn);
    assert!(matches!(&how, Closed::Protocol(text) if text.contains("4097")), "{how:?}");
}

#[test]
fn w1_lying_lengths_with_the_body_withheld_are_gone_in_time() {
    let limits =
        Limits { handshake_deadline_ms: 500, handshake_burst: 10_000, ..Limits::default() };
    let places = limits.pending_conns;
    let bob = Peer::new(limits);
    let mut open = Vec::new();
    let (mut let_in, mut turned_away) = (0, 0);
    for _ in 0..1_000 {
        let (ours, theirs) = memory::pair();
        bob.accept(theirs);
        match preamble::dial(&ours, NOWHERE, Role::Session, Instant::now() + SOON) {
            Ok((channel, _)) => {
                // If she is turned away, this is not taken.
                let _ = (&**channel.stream()).write_all(&4_000u16.to_be_bytes());
                open.push(channel);
                let_in += 1;
            }
            Err(_) => turned_away += 1,
        }
        assert!(bob.net.conns.all().len() < places);
        while let Ok(event) = bob.events.try_recv() {
            if let Event::ConnOpened { conn, .. } = event {
                bob.order(conn, ConnOrder::SendHello { hello: hello(), room: ROOM });
            }
        }
    }
    assert!(let_in >= places - 1 && turned_away > 0, "{let_in} {turned_away}");
    let deadline = Instant::now() + SOON;
    while !bob.net.conns.all().is_empty() {
        let _ = bob.events.try_recv();
        assert!(Instant::now() < deadline, "connections are left");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_peer_that_takes_nothing_is_given_up_and_told_apart() {
    let bob = Peer::new(Limits { stuck_link_ms: 300, ..patient() });
    let mut eve = Eve::dials(&bob);
    let conn = bob.opened();
    let played = against(&bob, conn, || {
        eve.says_hello();
        eve.shows_herself();
        assert!(matches!(eve.hears(), Opening::Identity { .. }));
        eve.says(&Opening::Known);
    });
    assert!(played.is_ok());
    let gained = Message::Gained { file: FileId([1; 32]), chunks: vec![100_000; 4_096] };
    let deadline = Instant::now() + SOON;
    while let Some(link) = bob.net.conns.get(conn) {
        link.outbox.push(ConnOrder::Send(gained.clone()));
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_micros(100));
    }
    assert_eq!(bob.last(conn), Closed::Silent);
}

/// R7: what a member pushes beyond what the router takes costs no signature.
#[test]
fn r7_a_surplus_of_pushed_entries_is_not_even_verified() {
    let bob = Peer::new(patient());
    let mut eve = Eve::dials(&bob);
    let conn = bob.opened();
    against(&bob, conn, || {
        eve.says_hello();
        eve.shows_herself();
        assert!(matches!(eve.hears(), Opening::Identity { .. }));
        eve.says(&Opening::Known);
    })
    .unwrap();
    let chain = Chain { author: eve.member(), nonce: LogNonce([1; 8]) };
    let (seq, depth, prev, parents) = (1, 1, None, Vec::new());
    let kind = Kind::Name("eve".into());
    let body = EntryBody { chain, seq, depth, prev, parents, time_ms: 0, kind };
    let entry = SignedEntry::sign(&ROOM, &eve.identity, body.clone());
    let forged = SignedEntry::sign(&ROOM, &bob.net.identity, body);
    let said = |message: &Message| {
        let mut bytes = Vec::new();
        encode(message, &Limits::default(), &mut bytes).unwrap();
        bytes
    };
    let [entry, forged] = [entry, forged].map(|of| said(&Message::Entry(of.into())));
    let heard = std::thread::scope(|scope| {
        scope.spawn(|| {
            (0..3_000).for_each(|_| eve.channel.send(&entry).unwrap());
            eve.channel.send(&forged).unwrap();
            eve.channel.send(&said(&Message::Ping(1))).unwrap();
        });
        std::iter::from_fn(|| Some(bob.said(conn)).filter(|said| *said != Message::Ping(1))).count()
    });
    assert!((1_200..2_999).contains(&heard), "{heard}");
}

#[test]
fn r5_a_thread_that_panics_costs_its_own_connection_only() {
    let (alice, bob) = (Peer::new(patient()), Peer::new(patient()));
    let (session, bobs_session) = linked(&alice, &bob, Role::Session);
    // The next thread to lock the shelf panics: bob's, for the next lane.
    let shelf = Arc::clone(&bob.lanes);
    let poisoned = std::panic::catch_unwind(move || {
        let _held = shelf.0.lock();
        panic!("a test of panics");
    });
    assert!(poisoned.is_err());
    let (lane, bobs_lane) = linked(&alice, &bob, Role::LaneServe);
    alice.order(lane, ConnOrder::StartLane { member: bob.member(), fetch: false });
    bob.order(bobs_lane, ConnOrder::StartLane { member: alice.member(), fetch: true });
    assert_eq!(bob.closed(bobs_lane), Closed::Gone);
    assert_eq!(alice.closed(lane), Closed::Gone);
    alice.say(session, Message::Ping(1));
    assert_eq!(bob.said(bobs_session), Message::Ping(1));
    bob.say(bobs_session, Message::Pong(1));
    assert_eq!(alice.said(session), Message::Pong(1));
    linked(&alice, &bob, Role::Session);
}
