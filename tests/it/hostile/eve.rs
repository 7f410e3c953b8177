//! Eve: an end of a connection that speaks the protocol and says what the test wants.
//!
//! She is built from klatch's own code for bytes, channels and signatures, but has no router:
//! nothing keeps her from saying what no klatch says.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use klatch::crypto::binding::{
    Binding, Role, Side, check_find_proof, find_proof, guest_message, identity_message,
    newcomer_message, room_tag,
};
use klatch::crypto::identity::{Identity, verify};
use klatch::crypto::noise::HandshakeHash;
use klatch::crypto::opaque::Joiner;
use klatch::crypto::password::Password;
use klatch::crypto::random::random;
use klatch::limits::Limits;
use klatch::net::channel::{Channel, RecvError};
use klatch::net::preamble::{self, PreambleError};
use klatch::net::stream::Stream;
use klatch::router::event::Entry;
use klatch::router::ids::{Digest32, MemberId, RoomId, RoomNonce, RunId};
use klatch::router::invite_link::InviteLink;
use klatch::router::message::{Brings, Capability, Hello, Message, Refusal, Why};
use klatch::router::signed::{Claim, Presence, SignedInvitation, SignedPresence, SignedRecord};
use klatch::wire::message::{decode, encode};
use klatch::wire::opening::Opening;
use socket2::{Domain, Socket, Type};

use super::host::SOON;

/// A room that nobody is in.
pub(super) const NOWHERE: RoomId = RoomId([0xff; 32]);

/// The form in which eve keeps records.
pub(super) type Records = Vec<Arc<SignedRecord>>;

pub(super) struct Eve {
    pub(super) identity: Identity,
    pub(super) run: RunId,
    pub(super) name: String,
    /// The address that she comes from.
    pub(super) from: Ipv4Addr,
}

/// Waits until `holds`; looks again whenever something may have changed.
pub(crate) fn wait_until(what: &str, holds: impl FnMut() -> bool) {
    wait_within(SOON, what, holds);
}

/// The same, for something slow.
pub(crate) fn wait_within(patience: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
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

    /// A stranger at another of this computer's addresses.
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

    /// A channel to `to`; retries, as programs do, while the peer is busy.
    pub(super) fn dial(&self, to: SocketAddr, role: Role) -> Wire {
        let mut wire = None;
        wait_until("she has time", || {
            let socket: Arc<dyn Stream> = Arc::new(self.socket(to));
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

    /// Waits for a peer that dials her.
    pub(super) fn answer(ear: &TcpListener) -> Wire {
        let (socket, remote) = ear.accept().unwrap();
        let socket: Arc<dyn Stream> = Arc::new(socket);
        let (role, channel, h) = preamble::answer(&socket, remote, Instant::now() + SOON).unwrap();
        Wire::new(channel, Binding { side: Side::Listener, role, h })
    }

    /// The Hello of a newcomer that brings nothing.
    pub(super) fn hello(&self) -> Hello {
        let (settled, locked, password, moves) = (false, false, false, true);
        let (brings, can) = (Brings::Nothing, Capability::ALL.into());
        Hello { run: self.run, settled, locked, password, moves, brings, can }
    }

    /// The Hello of a newcomer that brings this.
    pub(super) fn hello_with(&self, entry: &Entry) -> Hello {
        let brings = match entry {
            Entry::Open => Brings::Nothing,
            Entry::Password(_) => Brings::Password,
            Entry::Invitation(_) => Brings::Invitation,
        };
        Hello { brings, ..self.hello() }
    }

    /// The Hello of a member that links again.
    pub(super) fn hello_of_member(&self) -> Hello {
        Hello { settled: true, moves: false, ..self.hello() }
    }

    /// Becomes a guest of an open room as anybody would.
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
        let entry = password.map_or(Entry::Open, |password| Entry::Password(password.clone()));
        self.join_by(to, &entry, addresses)
    }

    /// The same, by any kind of entry.
    pub(super) fn join_by(
        &self,
        to: SocketAddr,
        entry: &Entry,
        addresses: Vec<SocketAddr>,
    ) -> Session {
        match self.try_to_join(to, entry, addresses) {
            Ok(session) => session,
            Err(refusal) => panic!("not admitted: {refusal:?}"),
        }
    }

    /// The same; returns her refusal if she is refused.
    pub(super) fn try_to_join(
        &self,
        to: SocketAddr,
        entry: &Entry,
        addresses: Vec<SocketAddr>,
    ) -> Result<Session, Refusal> {
        let mut joined = None;
        wait_until("she is heard", || {
            let mut wire = self.dial(to, Role::Session);
            wire.greet(self.hello_with(entry), &NOWHERE);
            let granted = wire.enter(self, entry);
            let result = granted.and_then(|granted| self.agrees(wire, granted, &addresses));
            // Somebody else was being admitted at the same moment.
            if !matches!(&result, Err(Refusal { why: Why::Busy, .. })) {
                joined = Some(result);
            }
            joined.is_some()
        });
        joined.unwrap()
    }

    /// Links again as somebody who knows the room, with the records that make her a member.
    pub(super) fn comes_back(
        &self,
        to: SocketAddr,
        home: &Granted,
        chain: &[Arc<SignedRecord>],
    ) -> Result<Session, Refusal> {
        let wire = self.dial(to, Role::Session);
        self.goes_on(wire, home, chain)
    }

    /// The same over a connection, whoever dialled it.
    pub(super) fn goes_on(
        &self,
        mut wire: Wire,
        home: &Granted,
        chain: &[Arc<SignedRecord>],
    ) -> Result<Session, Refusal> {
        wire.greet(self.hello_of_member(), &home.room);
        let host = wire.recognise(self, chain)?;
        let home = Granted { host, ..home.clone() };
        self.agrees(wire, home, &[])
    }

    /// Turns a known peer into a link: she receives all records, and has none to give.
    pub(super) fn agrees(
        &self,
        wire: Wire,
        home: Granted,
        addresses: &[SocketAddr],
    ) -> Result<Session, Refusal> {
        let (room, host, known) = (home.room, home.host, home.chain.clone());
        let identity = self.identity.clone();
        let mut session =
            Session { wire, room, host, home, known, identity, early: VecDeque::new() };
        session.say(&Message::Register(Digest32([0; 32])));
        session.say(&Message::Ids { list: Vec::new(), last: true });
        session.hear_or("ready", |message| matches!(message, Message::Ready { .. }))?;
        session.say(&Message::Presence(self.presence(&room, 1, addresses.to_vec())));
        session.say(&Message::Ready { seen: Ipv4Addr::LOCALHOST.into() });
        // A peer that said ready may still change its mind; a link answers.
        session.say(&Message::Ping(0));
        let mut early = VecDeque::new();
        loop {
            match session.hear(SOON) {
                Some(Message::Pong(0)) => break,
                Some(Message::Refuse(refusal)) => return Err(refusal),
                Some(message) => early.push_back(message),
                None => return Err(Refusal::of(Why::Leaving)),
            }
        }
        session.early = early;
        Ok(session)
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

/// A room that lets her in, as the host shows it.
#[derive(Debug, Clone)]
pub(super) struct Granted {
    pub(super) room: RoomId,
    pub(super) founder: MemberId,
    pub(super) nonce: RoomNonce,
    /// The member that lets her in.
    pub(super) host: MemberId,
    /// What makes the host a member.
    pub(super) chain: Records,
    /// The invitation that she brought.
    pub(super) invitation: Option<Arc<SignedInvitation>>,
}

/// A connection whose peer does not know yet who she is.
pub(super) struct Wire {
    pub(super) channel: Channel,
    pub(super) binding: Binding,
    /// The room that everything she hears must be signed for.
    pub(super) room: RoomId,
}

impl Wire {
    fn new(channel: Channel, binding: Binding) -> Self {
        channel.set_timeouts(SOON, SOON).unwrap();
        Self { channel, binding, room: NOWHERE }
    }

    pub(super) fn h(&self) -> HandshakeHash {
        self.binding.h
    }

    pub(super) fn say(&mut self, opening: &Opening) {
        self.raw(&opening.encode(&Limits::default()).unwrap());
    }

    /// Sends any bytes. A peer that has closed already does not hear them.
    pub(super) fn raw(&mut self, plain: &[u8]) {
        let _ = self.channel.send(plain);
    }

    pub(super) fn hear(&mut self) -> Result<Opening, RecvError> {
        let plain = self.channel.recv(Limits::default().message_max_bytes)?;
        Ok(Opening::decode(plain, &self.room).unwrap())
    }

    /// What she is told, unless it is a refusal; to end without a word counts as one.
    pub(super) fn told(&mut self) -> Result<Opening, Refusal> {
        match self.hear() {
            Ok(Opening::Refuse(refusal)) => Err(refusal),
            Ok(opening) => Ok(opening),
            Err(RecvError::Closed) => Err(Refusal::of(Why::Leaving)),
            Err(other) => panic!("nothing is said: {other}"),
        }
    }

    pub(super) fn greet(&mut self, hello: Hello, room: &RoomId) -> Hello {
        self.room = *room;
        let tag = room_tag(&self.binding, &room.0);
        self.say(&Opening::Hello { hello, tag });
        match self.hear().unwrap() {
            Opening::Hello { hello, .. } => hello,
            other => panic!("no hello: {other:?}"),
        }
    }

    /// Gets in with what she brings.
    pub(super) fn enter(&mut self, eve: &Eve, entry: &Entry) -> Result<Granted, Refusal> {
        match entry {
            Entry::Open => self.come(eve),
            Entry::Password(password) => {
                self.guess(password)?;
                self.come(eve);
            }
            Entry::Invitation(link) => {
                self.find(link)?;
                self.come_as_guest(eve, link);
            }
        }
        let granted = self.granted(matches!(entry, Entry::Invitation(_)))?;
        self.show(&eve.identity, &granted.room);
        if let (Entry::Invitation(link), Some(invitation)) = (entry, &granted.invitation) {
            let message = Claim::message(&granted.room, &eve.id(), &invitation.id);
            self.say(&Opening::Claim(link.secret.identity().sign(&message)));
        }
        Ok(granted)
    }

    /// Tries a password. The other end learns whether it is right only from her next record.
    pub(super) fn guess(&mut self, password: &Password) -> Result<(), Refusal> {
        let (joiner, first) = Joiner::start(password).unwrap();
        self.say(&Opening::Password { step: 1, bytes: first });
        match self.told()? {
            Opening::Password { step: 2, bytes } => {
                // Without a third message nothing more is sent: the attempt stays open.
                let Ok(third) = joiner.finish(&bytes, &self.h()) else { return Ok(()) };
                self.say(&Opening::Password { step: 3, bytes: third });
                Ok(())
            }
            other => panic!("no second message: {other:?}"),
        }
    }

    /// Shows her identity to a room that she does not know.
    pub(super) fn come(&mut self, eve: &Eve) {
        let signature = eve.identity.sign(&newcomer_message(&self.binding, &[0; 32]));
        self.say(&Opening::Newcomer { member: eve.id(), signature });
    }

    /// Looks for a host that knows her invitation.
    pub(super) fn find(&mut self, link: &InviteLink) -> Result<(), Refusal> {
        let find = link.secret.find_key();
        self.say(&Opening::Find(find_proof(&self.binding, find.expose())));
        match self.told()? {
            Opening::Found(proof) => {
                let theirs = self.binding.other_side();
                assert!(check_find_proof(&theirs, find.expose(), &proof));
                Ok(())
            }
            other => panic!("not found: {other:?}"),
        }
    }

    pub(super) fn come_as_guest(&mut self, eve: &Eve, link: &InviteLink) {
        let key = link.secret.identity();
        let signature = eve.identity.sign(&newcomer_message(&self.binding, &key.public()));
        let message = guest_message(&self.binding, &eve.id().0, &key.public());
        self.say(&Opening::Guest { member: eve.id(), signature, invitation: key.sign(&message) });
    }

    /// Hears which room it is; checks what is shown of it.
    pub(super) fn granted(&mut self, invited: bool) -> Result<Granted, Refusal> {
        let Opening::Grant { founder, nonce } = self.told()? else { panic!("no grant") };
        let room = RoomId::of(&founder, &nonce);
        self.room = room;
        let host = self.shown()?;
        let invitation = match invited.then(|| self.told()).transpose()? {
            None => None,
            Some(Opening::Invitation(invitation)) => Some(invitation),
            other => panic!("no invitation: {other:?}"),
        };
        let chain = self.hear_chain()?;
        Ok(Granted { room, founder, nonce, host, chain, invitation })
    }

    /// Shows her identity in a room that both know; returns the other's identity.
    pub(super) fn recognise(
        &mut self,
        eve: &Eve,
        chain: &[Arc<SignedRecord>],
    ) -> Result<MemberId, Refusal> {
        let room = self.room;
        if self.binding.side == Side::Dialer {
            self.show(&eve.identity, &room);
            let mut told = self.told()?;
            if told == Opening::Unknown {
                self.show_chain(chain);
                told = self.told()?;
            }
            let host = self.check(told);
            self.say(&Opening::Known);
            return Ok(host);
        }
        let host = self.shown()?;
        self.show(&eve.identity, &room);
        match self.told()? {
            Opening::Known => {}
            Opening::Unknown => {
                self.show_chain(chain);
                assert_eq!(self.told()?, Opening::Known);
            }
            other => panic!("not looked up: {other:?}"),
        }
        Ok(host)
    }

    pub(super) fn show_chain(&mut self, chain: &[Arc<SignedRecord>]) {
        let mut parts = chain.chunks(16).peekable();
        if parts.peek().is_none() {
            self.say(&Opening::Chain { list: Vec::new(), last: true });
        }
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            self.say(&Opening::Chain { list: part.to_vec(), last });
        }
    }

    pub(super) fn hear_chain(&mut self) -> Result<Records, Refusal> {
        let mut chain = Vec::new();
        loop {
            match self.told()? {
                Opening::Chain { list, last } => {
                    chain.extend(list);
                    if last {
                        return Ok(chain);
                    }
                }
                other => panic!("no chain: {other:?}"),
            }
        }
    }

    pub(super) fn show(&mut self, identity: &Identity, room: &RoomId) {
        let signature = identity.sign(&identity_message(&self.binding, &room.0));
        self.say(&Opening::Identity { member: MemberId(identity.public()), signature });
    }

    pub(super) fn shown(&mut self) -> Result<MemberId, Refusal> {
        let told = self.told()?;
        Ok(self.check(told))
    }

    fn check(&self, told: Opening) -> MemberId {
        let Opening::Identity { member, signature } = told else {
            panic!("no identity: {told:?}");
        };
        let message = identity_message(&self.binding.other_side(), &self.room.0);
        assert!(verify(&member.0, &message, &signature));
        member
    }

    /// Listens until the peer closes; returns the reason, if it gives one.
    pub(super) fn ended(&mut self) -> Option<Why> {
        self.refused().map(|refusal| refusal.why)
    }

    /// The same, with the whole refusal.
    pub(super) fn refused(&mut self) -> Option<Refusal> {
        let mut told = None;
        let deadline = Instant::now() + SOON;
        loop {
            match self.channel.recv_by(usize::from(u16::MAX), deadline) {
                Ok(plain) => {
                    let said: serde_json::Value = serde_json::from_slice(plain).unwrap();
                    if said["kind"] == "refuse"
                        && let Ok(Opening::Refuse(refusal)) = Opening::decode(plain, &self.room)
                    {
                        told = Some(refusal);
                    }
                }
                Err(RecvError::Closed) => return told,
                Err(other) => panic!("not closed: {other}"),
            }
        }
    }
}

/// A link: eve is in the room.
pub(super) struct Session {
    pub(super) wire: Wire,
    pub(super) room: RoomId,
    /// The member at the other end.
    pub(super) host: MemberId,
    /// How the room was shown.
    pub(super) home: Granted,
    /// Every record of membership that she has heard of.
    pub(super) known: Records,
    pub(super) identity: Identity,
    /// What she was told while she was waiting for the link.
    pub(super) early: VecDeque<Message>,
}

impl Session {
    pub(super) fn say(&mut self, message: &Message) {
        let mut plain = Vec::new();
        encode(message, &Limits::default(), &mut plain).unwrap();
        self.wire.raw(&plain);
    }

    /// Ends the link without a word; returns the room and everything that she recorded of it.
    pub(super) fn goes(self) -> (Granted, Records) {
        let _ = self.wire.channel.stream().shut(std::net::Shutdown::Both);
        (self.home, self.known)
    }

    pub(super) fn say_json(&mut self, value: &serde_json::Value) {
        self.wire.raw(&serde_json::to_vec(value).unwrap());
    }

    /// The next message within this time; pings are answered on the way.
    pub(super) fn hear(&mut self, within: Duration) -> Option<Message> {
        let limits = Limits::default();
        let deadline = Instant::now() + within;
        if let Some(message) = self.early.pop_front() {
            return Some(message);
        }
        loop {
            let plain = match self.wire.channel.recv_by(limits.message_max_bytes, deadline) {
                Ok(plain) => plain,
                Err(_) => return None,
            };
            match decode(plain, &self.room, &limits).unwrap() {
                Some(Message::Ping(number)) => self.say(&Message::Pong(number)),
                Some(message) => {
                    if let Message::Records(list) = &message {
                        self.known.extend(list.iter().cloned());
                    }
                    return Some(message);
                }
                None => {}
            }
        }
    }

    pub(super) fn hear_until(&mut self, what: &str, wanted: impl Fn(&Message) -> bool) -> Message {
        match self.hear_or(what, wanted) {
            Ok(message) => message,
            Err(refusal) => panic!("eve never heard: {what}, but {refusal:?}"),
        }
    }

    /// The same; or her refusal if she is refused meanwhile, even without a word.
    pub(super) fn hear_or(
        &mut self,
        what: &str,
        wanted: impl Fn(&Message) -> bool,
    ) -> Result<Message, Refusal> {
        loop {
            match self.hear(SOON) {
                Some(message) if wanted(&message) => return Ok(message),
                Some(Message::Refuse(refusal)) => return Err(refusal),
                Some(_) => {}
                None => {
                    eprintln!("eve does not hear: {what}");
                    return Err(Refusal::of(Why::Leaving));
                }
            }
        }
    }

    /// Waits until the victim has processed everything that was sent before.
    pub(super) fn settle(&mut self) {
        let number = u32::from_be_bytes(random());
        self.say(&Message::Ping(number));
        self.hear_until("pong", |message| *message == Message::Pong(number));
    }
}
