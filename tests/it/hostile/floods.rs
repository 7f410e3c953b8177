//! What a member could make another store, compute or send: each of these was once possible.
//!
//! The router runs alone here, without sockets, so that a flood takes seconds and what it stores
//! can be counted.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use klatch::crypto::binding::{Role, Side};
use klatch::crypto::identity::Identity;
use klatch::crypto::random::random;
use klatch::limits::Limits;
use klatch::net::draw;
use klatch::router::Router;
use klatch::router::command::Command;
use klatch::router::event::{Closed, Config, Effect, Event, Outcome};
use klatch::router::ids::{
    ConnId, Digest32, EntryId, FaceId, LogNonce, MemberId, RecordId, RoomId, RunId,
};
use klatch::router::membership::record::{How, Lock, Record, Ticket};
use klatch::router::message::{Have, Message, Why};
use klatch::router::notice::{Code, Notice};
use klatch::router::rights::FaceRights;
use klatch::router::signed::{Chain, Kind, Presence, SignedPresence, SignedRecord};
use klatch::router::time::Millis;
use klatch::wire::message::encode;

use super::eve::Eve;
use super::writer::Writer;

/// Alice's router, driven by the test.
pub(super) struct Alice {
    pub(super) router: Router,
    pub(super) now: u64,
    pub(super) room: RoomId,
    conns: u64,
}

impl Alice {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(super) fn with(limits: Limits) -> Self {
        let (me, draw) = (Identity::generate(), draw());
        let room = RoomId::of(&MemberId(me.public()), &draw.room);
        let config = Config {
            name: "alice".into(),
            temporary: true,
            run: RunId(random()),
            locked: false,
            wall_at_zero_ms: 1_700_000_000_000,
            verified: Default::default(),
            limits,
            draw,
        };
        let mut alice = Self { router: Router::new(config, me, 7), now: 0, room, conns: 0 };
        let addresses = vec![SocketAddr::from(([192, 0, 2, 1], 51_692))];
        alice.event(Event::Listening { port: 51_692, addresses, tunnels: Vec::new() });
        alice
    }

    pub(super) fn event(&mut self, event: Event) -> Vec<Effect> {
        self.router.handle(Millis(self.now), event)
    }

    fn gives(&mut self, command: Command) -> Vec<Effect> {
        let (face, rights) = (FaceId::TERMINAL, FaceRights::TERMINAL);
        self.event(Event::Commanded { face, rights, line: 1, command, draw: draw() })
    }

    /// Somebody comes in by the open door; also gives all that alice says meanwhile.
    pub(super) fn joins(&mut self, eve: &Eve) -> (ConnId, Vec<Effect>) {
        self.joins_from(eve, [192, 0, 2, 66])
    }

    /// The same from a given address.
    fn joins_from(&mut self, eve: &Eve, from: [u8; 4]) -> (ConnId, Vec<Effect>) {
        let (conn, all) = self.meets(eve, from, Outcome::Admitted { how: How::Open, claim: None });
        let linked = all.iter().any(|effect| matches!(effect, Effect::Linked { .. }));
        assert!(linked, "{all:?}");
        (conn, all)
    }

    /// Somebody connects and proves who it is.
    fn meets(&mut self, eve: &Eve, from: [u8; 4], outcome: Outcome) -> (ConnId, Vec<Effect>) {
        self.conns += 1;
        let conn = ConnId(self.conns);
        let remote = SocketAddr::from((from, 4_000));
        let (side, role) = (Side::Listener, Role::Session);
        self.event(Event::ConnOpened { conn, side, role, remote });
        let same_room = outcome == Outcome::Recognised;
        let theirs = if same_room { eve.hello_of_member() } else { eve.hello() };
        let mut all = self.event(Event::HelloArrived { conn, theirs, same_room });
        let member = eve.id();
        all.extend(self.event(Event::Shown { conn, member, chain: None, invitation: None }));
        all.extend(self.event(Event::Identified { conn, member, outcome }));
        all.extend(self.hears(conn, Message::Register(Digest32([0; 32]))));
        all.extend(self.hears(conn, Message::Ids { list: Vec::new(), last: true }));
        all.extend(self.hears(conn, Message::Presence(eve.presence(&self.room, 1, vec![]))));
        let seen = Ipv4Addr::new(192, 0, 2, 1).into();
        all.extend(self.hears(conn, Message::Ready { seen }));
        (conn, all)
    }

    pub(super) fn hears(&mut self, conn: ConnId, message: Message) -> Vec<Effect> {
        self.event(Event::Said { conn, message })
    }

    /// Time passes, with all that is due in it.
    pub(super) fn waits(&mut self, ms: u64) -> Vec<Effect> {
        let until = self.now + ms;
        let mut all = Vec::new();
        while let Some(due) = self.router.next_deadline().filter(|due| due.0 <= until) {
            self.now = self.now.max(due.0);
            all.extend(self.event(Event::Tick));
            self.now += 1;
        }
        self.now = until;
        all
    }

    #[track_caller]
    pub(super) fn assert_bounded(&self) {
        for load in self.router.loads() {
            assert!(load.size <= load.bound, "{load:?}");
        }
    }
}

fn presence(room: &RoomId, version: u64, bye: bool, unlinked: Vec<MemberId>) -> Message {
    let identity = Identity::generate();
    let body = Presence {
        member: MemberId(identity.public()),
        run: RunId([3; 16]),
        version,
        name: format!("ghost {version}"),
        addresses: Vec::new(),
        unlinked,
        bye,
    };
    Message::Presence(SignedPresence::sign(room, &identity, body))
}

/// Every message that alice sends fits into a record.
fn assert_sendable(effects: &[Effect]) {
    for effect in effects {
        if let Effect::Send { message, .. } = effect {
            let mut plain = Vec::new();
            assert_eq!(encode(message, &Limits::default(), &mut plain), Ok(()));
        }
    }
}

/// Bytes that one event makes alice queue for one connection.
fn queued(effects: &[Effect], to: ConnId) -> usize {
    let to = effects.iter().filter_map(|effect| match effect {
        Effect::Send { conn, message } if *conn == to => Some(message),
        _ => None,
    });
    to.map(klatch::wire::message::size_hint).sum()
}

#[test]
fn ghosts_that_say_goodbye_are_forgotten() {
    let mut alice = Alice::new();
    let (conn, _) = alice.joins(&Eve::new());
    let (room, limits) = (alice.room, Limits::default());
    for version in 0..(limits.members + limits.chains + 1_000) as u64 {
        alice.hears(conn, presence(&room, version, true, Vec::new()));
    }
    alice.assert_bounded();
    // And some that come and go slowly.
    for round in 0..6 {
        for version in 0..limits.members as u64 {
            alice.hears(conn, presence(&room, version + round, false, Vec::new()));
        }
        alice.waits(15_001);
        alice.hears(conn, Message::Pong(0));
    }
    alice.assert_bounded();
}

#[test]
fn a_room_full_of_ghosts_can_still_be_joined() {
    let mut alice = Alice::new();
    let (conn, _) = alice.joins(&Eve::new());
    let room = alice.room;
    for version in 0..900 {
        alice.hears(conn, presence(&room, version, false, Vec::new()));
    }
    // Alice cannot reach any of them, and says so to others.
    let effects = alice.waits(4_000);
    assert_sendable(&effects);
    let (_, effects) = alice.joins(&Eve::new());
    assert_sendable(&effects);
}

#[test]
fn long_presence_records_do_not_burst_the_outbox_of_a_newcomer() {
    let mut alice = Alice::new();
    let (conn, _) = alice.joins(&Eve::new());
    let (room, limits) = (alice.room, Limits::default());
    for version in 0..300 {
        let unlinked = (0..240).map(|n| MemberId([n; 32])).collect();
        alice.hears(conn, presence(&room, version, false, unlinked));
    }
    let (bob, effects) = alice.joins(&Eve::new());
    // If one event fills more than half an outbox, alice cannot react to its being half full.
    assert!(queued(&effects, bob) < limits.outbox_bytes / 2, "{}", queued(&effects, bob));
    let after = alice.waits(200);
    let told = |effects: &[Effect]| {
        effects.iter().filter(|effect| {
            matches!(effect, Effect::Send { conn, message: Message::Presence(_) } if *conn == bob)
        }).count()
    };
    assert!(told(&effects) + told(&after) >= 300, "{}", told(&effects) + told(&after));
}

#[test]
fn receipts_of_nobody_are_not_kept() {
    let mut alice = Alice::new();
    let (conn, _) = alice.joins(&Eve::new());
    alice.gives(Command::Say { text: "hello".into() });
    let effects = alice.waits(2_000);
    let own = effects.iter().find_map(|effect| match effect {
        Effect::Send { message: Message::Have(list), .. } => list.first().copied(),
        _ => None,
    });
    let have = own.expect("alice says what she has");
    for _ in 0..20_000 {
        alice.hears(conn, Message::Receipt { holder: MemberId(random()), have });
    }
    alice.assert_bounded();
}

#[test]
fn an_endless_history_is_not_kept() {
    let mut alice = Alice::new();
    let (conn, _) = alice.joins(&Eve::new());
    let claim = || Have {
        chain: Chain { author: MemberId(random()), nonce: LogNonce([1; 8]) },
        len: 1 << 60,
        head: EntryId([7; 32]),
        forked: false,
        refused: false,
    };
    for _ in 0..100 {
        alice.hears(conn, Message::Have((0..100).map(|_| claim()).collect()));
    }
    alice.assert_bounded();
}

/// How long she computes over these messages.
fn timed(alice: &mut Alice, conn: ConnId, messages: Vec<Message>) -> Duration {
    let began = computed();
    for message in messages {
        alice.hears(conn, message);
        alice.now += 25;
    }
    computed() - began
}

/// This thread's own computing time: other busy threads do not count.
fn computed() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.try_into().unwrap()
}

/// Alice with a log of 20,000 texts.
fn with_history() -> (Alice, ConnId) {
    let mut alice = Alice::new();
    let eve = Eve::new();
    let (conn, _) = alice.joins(&eve);
    let mut writer = Writer::new(Identity::generate(), alice.room);
    for _ in 0..20_000 {
        let entry = writer.write(Kind::Text("words".into()));
        alice.hears(conn, Message::Entry(entry.into()));
        alice.now += 25;
    }
    (alice, conn)
}

/// A fork is proved by the two smallest ids: eve brings ever smaller ones.
#[test]
fn better_proofs_of_a_fork_are_taken_quietly() {
    let (mut alice, conn) = with_history();
    let fork = Writer::new(Identity::generate(), alice.room);
    let mut versions: Vec<_> = (0..1_000)
        .map(|n| fork.draft(1, Vec::new(), Kind::Text(format!("version {n}").into())))
        .collect();
    versions.sort_by_key(|entry| std::cmp::Reverse(entry.id));
    let mut complaints = 0;
    let began = computed();
    for version in versions {
        let effects = alice.hears(conn, Message::Entry(version.into()));
        alice.now += 25;
        complaints += effects.iter().filter(|effect| matches!(effect,
            Effect::Notify(Notice::Error { failure, .. }) if failure.code == Code::ChainForked
        )).count();
    }
    assert_eq!(complaints, 1, "people are told of a fork once");
    let took = computed() - began;
    assert!(took < Duration::from_secs(4), "{took:?}");
}

/// Entries that wait for what never comes must not make later ones more costly.
#[test]
fn entries_that_wait_do_not_slow_down_the_others() {
    let mut alice = Alice::new();
    let (conn, _) = alice.joins(&Eve::new());
    let limits = Limits::default();
    for _ in 0..limits.waiting_entries {
        let waiting = Writer::new(Identity::generate(), alice.room);
        let entry = waiting.draft(9, Vec::new(), Kind::Unknown);
        alice.hears(conn, Message::Entry(entry.into()));
        alice.now += 25;
    }
    let others: Vec<_> = (0..60).map(|_| alice.joins(&Eve::new()).0).collect();
    let mut writer = Writer::new(Identity::generate(), alice.room);
    let texts: Vec<_> = (0..200).map(|_| writer.text("words")).collect();
    let took = timed(&mut alice, others[0], texts);
    assert!(took < Duration::from_secs(2), "{took:?}");
    alice.assert_bounded();
}

/// Eve's ticket, as alice showed it to her.
pub(super) fn ticket_of(effects: &[Effect], eve: &Eve) -> Arc<SignedRecord> {
    let records = effects.iter().filter_map(|effect| match effect {
        Effect::Send { message: Message::Records(list), .. } => Some(list),
        _ => None,
    });
    let mut tickets = records.flatten().filter(
        |record| matches!(&record.record, Record::Ticket(ticket) if ticket.member == eve.id()),
    );
    tickets.next().expect("a ticket").clone()
}

/// R7: a member fills the register with all that it may sign. Its share is bounded, in number and
/// in the cost of judging; others' records still find room, and alice can still act.
#[test]
fn a_register_that_a_member_fills_stays_bounded_and_leaves_room_for_others() {
    let mut alice = Alice::new();
    let eve = Eve::new();
    let (conn, effects) = alice.joins(&eve);
    let hers = ticket_of(&effects, &eve);
    alice.hears(conn, Message::Records(vec![hers.clone()]));
    let sign = |record| SignedRecord::sign(&alice.room, &eve.identity, record, None);
    let ticket = |_| {
        sign(Record::Ticket(Ticket {
            by: eve.id(),
            parent: Some(hers.id),
            member: MemberId(random()),
            how: How::Kept,
            rank: 0,
            knows: Default::default(),
            pardons: Default::default(),
            invited: None,
        }))
    };
    let lock = |_| {
        sign(Record::Lock(Lock {
            by: eve.id(),
            standing: [hers.id].into(),
            closed: false,
            password: None,
            over: [RecordId(random())].into(),
            kept: Vec::new(),
        }))
    };
    let flood: Vec<_> = (0..1_000).map(ticket).chain((0..1_000).map(lock)).collect();
    let began = computed();
    for page in flood.chunks(32) {
        alice.hears(conn, Message::Records(page.to_vec()));
        alice.now += 25;
    }
    let took = computed() - began;
    let members = alice.router.inspect().members.len();
    assert!(members <= 2 + 256, "{members}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    // Alice closes the room, and nobody is lost except those whom eve let in.
    let (bob, _) = alice.joins(&Eve::new());
    assert_ne!(bob, conn);
    let closing = Command::Password {
        password: Some(klatch::router::command::NewPassword::Nothing),
        asks: false,
    };
    let effects = alice.gives(closing);
    let done = |effect: &Effect| matches!(effect, Effect::Reply { result: Ok(()), .. });
    assert!(effects.iter().any(done), "{effects:?}");
    assert!(alice.router.inspect().closed);
    alice.assert_bounded();
}

/// R7: names and locks that change all the time become a few lines, and the last change is told.
#[test]
fn r7_what_a_member_changes_all_the_time_is_a_few_lines() {
    let mut alice = Alice::new();
    let mut eve = Eve::new();
    let (conn, effects) = alice.joins(&eve);
    let hers = ticket_of(&effects, &eve);
    alice.hears(conn, Message::Records(vec![hers.clone()]));
    let lines = |effects: &[Effect]| {
        let told = effects.iter().filter_map(|effect| match effect {
            Effect::Notify(notice) => Some(notice),
            _ => None,
        });
        told.filter(|notice| {
            matches!(
                notice,
                Notice::Remark { .. }
                    | Notice::NameChanged { .. }
                    | Notice::RoomLocked { .. }
                    | Notice::RoomUnlocked { .. }
            )
        })
        .count()
    };
    let (mut renamed, mut locked) = (0, 0);
    for version in 2..5_000 {
        eve.name = format!("eve {version}");
        let presence = eve.presence(&alice.room, version, vec![]);
        renamed += lines(&alice.hears(conn, Message::Presence(presence)));
    }
    assert!((1..=16).contains(&renamed), "{renamed}");
    let mut over: std::collections::BTreeSet<RecordId> = Default::default();
    for number in 0..250 {
        let closed = number % 2 == 0;
        let (by, standing) = (eve.id(), [hers.id].into());
        let before = std::mem::take(&mut over);
        let lock = Lock { by, standing, closed, password: None, over: before, kept: Vec::new() };
        let lock = SignedRecord::sign(&alice.room, &eve.identity, Record::Lock(lock), None);
        over.insert(lock.id);
        locked += lines(&alice.hears(conn, Message::Records(vec![lock])));
    }
    assert!((1..=8).contains(&locked), "{locked}");
    alice.assert_bounded();
    let told = alice.waits(10_000);
    let last = told.iter().find_map(|effect| match effect {
        Effect::Notify(Notice::NameChanged { member, before }) => Some((member, before)),
        _ => None,
    });
    let (member, before) = last.expect("her last name");
    assert_eq!(member.who.name.raw(), "eve 4999");
    assert_eq!(before.raw(), "eve 17", "the last that was told");
}

/// R9: somebody came in by the open door under 127 names, and nobody else found a place.
#[test]
fn r9_names_from_one_place_do_not_fill_the_room() {
    let mut alice = Alice::new();
    let peers = Limits::default().peers;
    for _ in 0..peers {
        alice.joins(&Eve::new());
    }
    for n in 0..3 {
        let (_, effects) = alice.joins_from(&Eve::new(), [203, 0, n, 5]);
        assert_eq!(turned_away(&effects).len(), 1, "one of the many gives way");
        assert_eq!(alice.router.inspect().links.len(), peers);
    }
    // She does not come back in another's place.
    let (conn, eve) = (ConnId(1_000), Eve::new());
    let remote = SocketAddr::from(([192, 0, 2, 67], 4_000));
    let (side, role) = (Side::Listener, Role::Session);
    alice.event(Event::ConnOpened { conn, side, role, remote });
    let theirs = eve.hello();
    let effects = alice.event(Event::HelloArrived { conn, theirs, same_room: false });
    assert_eq!(turned_away(&effects), [conn]);
    assert_eq!(alice.router.inspect().links.len(), peers);
    alice.assert_bounded();
}

/// R9: a member of a closed room let in 127 keys of its own, and nobody else found a place.
#[test]
fn r9_members_whom_one_let_in_do_not_fill_the_room() {
    let mut alice = Alice::new();
    let (bob, eve) = (Eve::new(), Eve::new());
    let (of_bob, _) = alice.joins(&bob);
    let (of_eve, _) = alice.joins(&eve);
    alice.gives(Command::Invite { once: true, for_ms: None });
    assert!(alice.router.inspect().closed);
    alice.event(Event::ConnClosed { conn: of_bob, how: Closed::Gone });
    let seat = alice.router.membership().tickets_of(&eve.id()).next().unwrap().id;
    let let_in = |alice: &mut Alice, from: u8| {
        let puppet = Eve::new();
        let ticket = Ticket {
            by: eve.id(),
            parent: Some(seat),
            member: puppet.id(),
            how: How::Kept,
            rank: 0,
            knows: Default::default(),
            pardons: Default::default(),
            invited: None,
        };
        let ticket = SignedRecord::sign(&alice.room, &eve.identity, Record::Ticket(ticket), None);
        alice.hears(of_eve, Message::Records(vec![ticket]));
        alice.meets(&puppet, [203, 0, from, 5], Outcome::Recognised)
    };
    let peers = Limits::default().peers;
    let puppets: Vec<ConnId> = (1..peers).map(|n| let_in(&mut alice, n as u8).0).collect();
    assert_eq!(alice.router.inspect().links.len(), peers);
    let (of_bob, effects) = alice.meets(&bob, [192, 0, 2, 66], Outcome::Recognised);
    assert_eq!(turned_away(&effects), puppets[puppets.len() - 1..], "the latest gives way");
    assert!(alice.router.inspect().links.contains(&(bob.id(), of_bob)));
    // More of her guests do not take bob's place.
    let (another, effects) = let_in(&mut alice, 200);
    assert_eq!(turned_away(&effects), [another]);
    alice.assert_bounded();
}

/// Connections that are told that the room is full.
fn turned_away(effects: &[Effect]) -> Vec<ConnId> {
    let refusals = effects.iter().filter_map(|effect| match effect {
        Effect::Refuse { conn, refusal } => Some((*conn, refusal.why)),
        _ => None,
    });
    refusals.filter(|(_, why)| *why == Why::Full).map(|(conn, _)| conn).collect()
}

/// N2: the answering member's clock decides, and the refusal says why.
#[test]
fn n2_an_invitation_is_over_when_its_time_is() {
    use klatch::router::event::{Entrance, Plan};
    use klatch::router::message::{Brings, Hello};
    let mut alice = Alice::new();
    alice.gives(Command::Invite { once: false, for_ms: Some(3_600_000) });
    let over = |alice: &mut Alice, number| {
        let (conn, eve) = (ConnId(number), Eve::new());
        let remote = SocketAddr::from(([192, 0, 2, 66], 4_000));
        let (side, role) = (Side::Listener, Role::Session);
        alice.event(Event::ConnOpened { conn, side, role, remote });
        let theirs = Hello { brings: Brings::Invitation, ..eve.hello() };
        let effects = alice.event(Event::HelloArrived { conn, theirs, same_room: false });
        let mut lists = effects.iter().filter_map(|effect| match effect {
            Effect::Proceed { plan: Plan::Admit { entrance, .. }, .. } => Some(entrance.clone()),
            _ => None,
        });
        let Some(Entrance::Invitations(list)) = lists.next_back() else { panic!("{effects:?}") };
        list.iter().map(|of| of.over).collect::<Vec<_>>()
    };
    assert_eq!(over(&mut alice, 1), [None]);
    alice.waits(3_599_000);
    assert_eq!(over(&mut alice, 2), [None]);
    alice.waits(2_000);
    assert_eq!(over(&mut alice, 3), [Some(Why::InvitationExpired)]);
}
