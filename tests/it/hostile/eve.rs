//! Eve: an end of a connection that speaks the protocol and says what the test wants.
//!
//! She is made of klatch's own parts for bytes, channels and signatures, and has no router: nothing
//! keeps her from saying what no klatch says.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use klatch::crypto::binding::{Binding, Role, Side, identity_message, key_proof, room_tag};
use klatch::crypto::identity::Identity;
use klatch::crypto::lock::Joiner;
use klatch::crypto::noise::HandshakeHash;
use klatch::crypto::password::Password;
use klatch::crypto::random::random;
use klatch::crypto::room_key::RoomKey;
use klatch::limits::Limits;
use klatch::net::preamble::{self, PreambleError};
use klatch::net::stream::{Channel, RecvError};
use klatch::router::ids::{EntryId, LogNonce, MemberId, RoomId, RunId};
use klatch::router::message::{Hello, KeyMark, Message, Refusal, Why};
use klatch::router::signed::{
    Chain, EntryBody, EntryRef, Kind, Presence, SignedEntry, SignedPresence, SignedRecord,
};
use klatch::wire::message::{decode, encode};
use klatch::wire::opening::{MINOR, Opening, Proven};
use socket2::{Domain, Socket, Type};

use super::host::SOON;

/// Sorts behind every room of anybody else's, so that a merge leaves the victim in its own.
pub(super) const LAST_ROOM: RoomId = RoomId([0xff; 32]);

pub(super) struct Eve {
    pub(super) identity: Identity,
    pub(super) run: RunId,
    pub(super) name: String,
    /// The address that she comes from.
    pub(super) from: Ipv4Addr,
}

/// Waits until `holds`; looks again whenever something may have changed.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    let (_never, silence) = bounded::<()>(0);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        let _ = silence.recv_timeout(Duration::from_millis(20));
    }
}

impl Eve {
    pub(super) fn new() -> Self {
        Self::at(Ipv4Addr::LOCALHOST)
    }

    /// A stranger at another address of this computer.
    pub(super) fn at(from: Ipv4Addr) -> Self {
        Self { identity: Identity::generate(), run: RunId(random()), name: "eve".into(), from }
    }

    pub(super) fn id(&self) -> MemberId {
        MemberId(self.identity.public())
    }

    pub(super) fn socket(&self, to: SocketAddr) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(self.from.into(), 0).into()).unwrap();
        socket.connect(&to.into()).unwrap();
        socket.set_tcp_nodelay(true).unwrap();
        socket.into()
    }

    /// A channel to `to`; again and again, as programs do, while that has too much to do.
    pub(super) fn dial(&self, to: SocketAddr, role: Role) -> Wire {
        let mut wire = None;
        wait_until("she has time", || {
            let socket = Arc::new(self.socket(to));
            match preamble::dial(&socket, to, role, Instant::now() + SOON) {
                Ok((channel, h)) => {
                    wire = Some(Wire::new(channel, Binding { side: Side::Dialer, role, h }));
                }
                Err(PreambleError::Busy) => {}
                Err(error) => panic!("no channel: {error}"),
            }
            wire.is_some()
        });
        wire.unwrap()
    }

    /// Waits for somebody who dials her.
    pub(super) fn answer(ear: &TcpListener) -> Wire {
        let (socket, remote) = ear.accept().unwrap();
        socket.set_nodelay(true).unwrap();
        let answered = preamble::answer(&Arc::new(socket), remote, Instant::now() + SOON);
        let (role, channel, h) = answered.unwrap();
        Wire::new(channel, Binding { side: Side::Listener, role, h })
    }

    /// What a newcomer says.
    pub(super) fn hello(&self) -> Hello {
        Hello {
            run: self.run,
            settled: false,
            locked: false,
            joining: false,
            moves: true,
            password: false,
        }
    }

    /// What a member says that links again.
    pub(super) fn hello_of_member(&self) -> Hello {
        Hello { settled: true, moves: false, ..self.hello() }
    }

    /// Becomes a member as anybody would.
    pub(super) fn join(&self, to: SocketAddr) -> Session {
        self.join_with(to, None, Vec::new())
    }

    /// The same, with a password, and with addresses to say in her presence record.
    pub(super) fn join_with(
        &self,
        to: SocketAddr,
        password: Option<&Password>,
        addresses: Vec<SocketAddr>,
    ) -> Session {
        let mut joined = None;
        wait_until("she lets eve in", || {
            let mut wire = self.dial(to, Role::Session);
            match self.admitted(&mut wire, password) {
                Ok((room, record)) => joined = Some((wire, room, record)),
                // Somebody else was admitted at the same moment.
                Err(Opening::Refuse(Refusal { why: Why::Busy, .. })) => {}
                Err(other) => panic!("not admitted: {other:?}"),
            }
            joined.is_some()
        });
        let (mut wire, room, record) = joined.unwrap();
        wire.show(&self.identity, &room);
        let host = wire.shown();
        let mut session = Session { wire, room, record, host, identity: self.identity.clone() };
        session.hear_until("ready", |message| matches!(message, Message::Ready { .. }));
        session.say(&Message::Presence(self.presence(&room, 1, addresses)));
        session.say(&Message::Ready { port: 0, seen: Ipv4Addr::LOCALHOST.into() });
        session
    }

    /// The room that she is let into, and its lock; or what was said instead.
    fn admitted(
        &self,
        wire: &mut Wire,
        password: Option<&Password>,
    ) -> Result<(RoomId, Arc<SignedRecord>), Opening> {
        let hello = Hello { password: password.is_some(), ..self.hello() };
        let theirs = wire.greet(hello, &LAST_ROOM);
        if let Some(password) = password {
            wire.guess(password)?;
        } else if !theirs.settled {
            wire.say(&Opening::Room { room: LAST_ROOM, key: RoomKey::generate() });
        }
        match wire.hear().unwrap() {
            Opening::Grant { room, record } => Ok((room, record)),
            Opening::Room { room, key } => Ok((room, SignedRecord::first(&room, key))),
            other => Err(other),
        }
    }

    pub(super) fn presence(
        &self,
        room: &RoomId,
        version: u64,
        addresses: Vec<SocketAddr>,
    ) -> Arc<SignedPresence> {
        let body = Presence {
            member: self.id(),
            run: self.run,
            version,
            name: self.name.clone(),
            addresses,
            unlinked: Vec::new(),
            bye: false,
        };
        SignedPresence::sign(room, &self.identity, body)
    }
}

/// A connection whose peer does not know yet who speaks.
pub(super) struct Wire {
    pub(super) channel: Channel,
    pub(super) binding: Binding,
}

impl Wire {
    fn new(channel: Channel, binding: Binding) -> Self {
        channel.set_timeouts(SOON, SOON).unwrap();
        Self { channel, binding }
    }

    pub(super) fn h(&self) -> HandshakeHash {
        self.binding.h
    }

    pub(super) fn say(&mut self, opening: &Opening) {
        self.raw(&opening.encode(&Limits::default()).unwrap());
    }

    /// Says any bytes. A peer that has closed already hears nothing.
    pub(super) fn raw(&mut self, plain: &[u8]) {
        let _ = self.channel.send(plain);
    }

    pub(super) fn hear(&mut self) -> Result<Opening, RecvError> {
        let limits = Limits::default();
        let plain = self.channel.recv(limits.message_max_bytes)?;
        Ok(Opening::decode(plain, &limits).unwrap())
    }

    pub(super) fn greet(&mut self, hello: Hello, room: &RoomId) -> Hello {
        let tag = room_tag(&self.binding, &room.0);
        self.say(&Opening::Hello { minor: MINOR, hello, tag });
        match self.hear().unwrap() {
            Opening::Hello { hello, .. } => hello,
            other => panic!("no hello: {other:?}"),
        }
    }

    /// Tries a password; false if the other end has another one.
    pub(super) fn guess(&mut self, password: &Password) -> Result<(), Opening> {
        let (joiner, first) = Joiner::start(password).unwrap();
        self.say(&Opening::Password { step: 1, bytes: first });
        match self.hear().unwrap() {
            Opening::Password { step: 2, bytes } => {
                // Without a third message nothing more is said: the attempt stays open.
                let Ok(third) = joiner.finish(&bytes, &self.h()) else { return Ok(()) };
                self.say(&Opening::Password { step: 3, bytes: third });
                Ok(())
            }
            other => Err(other),
        }
    }

    pub(super) fn prove(&mut self, mark: KeyMark, key: &RoomKey) {
        let proven = self.proven(mark, key);
        self.say(&Opening::Keys(vec![proven]));
    }

    pub(super) fn proven(&self, mark: KeyMark, key: &RoomKey) -> Proven {
        Proven { mark, proof: key_proof(&self.binding, key, mark.epoch, &mark.hash.0) }
    }

    pub(super) fn show(&mut self, identity: &Identity, room: &RoomId) {
        let signature = identity.sign(&identity_message(&self.binding, &room.0));
        self.say(&Opening::Identity { member: MemberId(identity.public()), signature });
    }

    fn shown(&mut self) -> MemberId {
        match self.hear().unwrap() {
            Opening::Identity { member, .. } => member,
            other => panic!("no identity: {other:?}"),
        }
    }

    /// Listens until the peer closes; gives why, if it says so.
    pub(super) fn ended(&mut self) -> Option<Why> {
        let mut why = None;
        let deadline = Instant::now() + SOON;
        loop {
            match self.channel.recv_by(usize::from(u16::MAX), deadline) {
                Ok(plain) => {
                    let said: serde_json::Value = serde_json::from_slice(plain).unwrap();
                    if said["kind"] == "refuse" {
                        why = said["why"].as_str().map(Why::from_word);
                    }
                }
                Err(RecvError::Closed) => return why,
                Err(other) => panic!("not closed: {other}"),
            }
        }
    }
}

/// A link: eve is a member.
pub(super) struct Session {
    pub(super) wire: Wire,
    pub(super) room: RoomId,
    pub(super) record: Arc<SignedRecord>,
    /// With whom.
    pub(super) host: MemberId,
    pub(super) identity: Identity,
}

impl Session {
    pub(super) fn mark(&self) -> KeyMark {
        let body = &self.record.body;
        KeyMark { epoch: body.epoch, locked: body.lock.is_some(), hash: self.record.hash }
    }

    pub(super) fn say(&mut self, message: &Message) {
        let mut plain = Vec::new();
        encode(message, &Limits::default(), &mut plain).unwrap();
        self.wire.raw(&plain);
    }

    pub(super) fn say_json(&mut self, value: &serde_json::Value) {
        self.wire.raw(&serde_json::to_vec(value).unwrap());
    }

    /// The next message within this time; pings are answered on the way.
    pub(super) fn hear(&mut self, within: Duration) -> Option<Message> {
        let limits = Limits::default();
        let deadline = Instant::now() + within;
        loop {
            let plain = match self.wire.channel.recv_by(limits.message_max_bytes, deadline) {
                Ok(plain) => plain,
                Err(_) => return None,
            };
            match decode(plain, &self.room, &limits).unwrap() {
                Some(Message::Ping(number)) => self.say(&Message::Pong(number)),
                Some(message) => return Some(message),
                None => {}
            }
        }
    }

    pub(super) fn hear_until(&mut self, what: &str, wanted: impl Fn(&Message) -> bool) -> Message {
        loop {
            match self.hear(SOON) {
                Some(message) if wanted(&message) => return message,
                Some(_) => {}
                None => panic!("eve never heard: {what}"),
            }
        }
    }

    /// Waits until the victim has taken in everything that was said before.
    pub(super) fn settle(&mut self) {
        let number = u32::from_be_bytes(random());
        self.say(&Message::Ping(number));
        self.hear_until("pong", |message| *message == Message::Pong(number));
    }

    /// A chain of eve's that nobody has heard of.
    pub(super) fn chain(&self) -> Writer {
        Writer::new(self.identity.clone(), self.room)
    }
}

/// One chain of somebody, entry by entry.
pub(super) struct Writer {
    pub(super) identity: Identity,
    pub(super) room: RoomId,
    pub(super) chain: Chain,
    pub(super) seq: u64,
    pub(super) prev: Option<EntryId>,
    pub(super) time_ms: i64,
}

impl Writer {
    pub(super) fn new(identity: Identity, room: RoomId) -> Self {
        let chain = Chain { author: MemberId(identity.public()), nonce: LogNonce(random()) };
        Self { identity, room, chain, seq: 0, prev: None, time_ms: 1_700_000_000_000 }
    }

    /// The next entry.
    pub(super) fn write(&mut self, kind: Kind) -> Arc<SignedEntry> {
        self.write_after(Vec::new(), kind)
    }

    pub(super) fn write_after(&mut self, parents: Vec<EntryRef>, kind: Kind) -> Arc<SignedEntry> {
        let entry = self.draft(self.seq + 1, parents, kind);
        self.seq += 1;
        self.prev = Some(entry.id);
        entry
    }

    /// An entry with any number, of which the chain takes no note.
    pub(super) fn draft(&self, seq: u64, parents: Vec<EntryRef>, kind: Kind) -> Arc<SignedEntry> {
        let prev = if seq == 1 { None } else { Some(self.prev.unwrap_or_default()) };
        let (chain, time_ms) = (self.chain, self.time_ms);
        let body = EntryBody { chain, seq, prev, parents, time_ms, kind };
        SignedEntry::sign(&self.room, &self.identity, body)
    }

    pub(super) fn text(&mut self, text: &str) -> Message {
        Message::Entry(self.write(Kind::Text(text.into())))
    }
}
