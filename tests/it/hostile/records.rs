//! H12, H13 and H16: records of membership that are replayed, withheld, made in parallel or told
//! differently to each; and secrets that belong to members only.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use klatch::crypto::binding::Role;
use klatch::crypto::identity::Identity;
use klatch::crypto::opaque::PasswordData;
use klatch::router::command::Command;
use klatch::router::event::Entry;
use klatch::router::ids::{Digest32, MemberId, RecordId, RoomId};
use klatch::router::membership::kept_id;
use klatch::router::membership::record::{How, Lock, Record, Removal, Ticket};
use klatch::router::message::{Message, Why};
use klatch::router::notice::{Code, Notice};
use klatch::router::signed::SignedRecord;
use klatch::wire::opening::Opening;

use super::eve::{Eve, Granted, NOWHERE, Records, Session, Wire};
use super::host::{Host, password};

const FIRST: &str = "correct horse";

impl Session {
    /// A session after the handshake, with nothing said yet.
    fn silent(wire: Wire, room: RoomId, host: MemberId, home: Granted, identity: Identity) -> Self {
        let (known, early) = (Records::new(), VecDeque::new());
        Self { wire, room, host, home, known, identity, early }
    }

    pub(super) fn me(&self) -> MemberId {
        MemberId(self.identity.public())
    }

    /// A record that she signs, whether she may or not.
    pub(super) fn signs(&self, record: Record) -> Arc<SignedRecord> {
        SignedRecord::sign(&self.room, &self.identity, record, None)
    }

    fn closing(&self, standing: RecordId, password: u8) -> Record {
        Record::Lock(Lock {
            by: self.me(),
            standing: [standing].into(),
            closed: true,
            password: Some(Digest32([password; 32])),
            over: BTreeSet::new(),
            kept: Vec::new(),
        })
    }

    fn removal(&self, member: MemberId) -> Record {
        Record::Removal(Removal {
            by: self.me(),
            member: Some(member),
            invitations: BTreeSet::new(),
            earlier: 0,
            kept: Vec::new(),
        })
    }

    fn lets_in(&self, parent: RecordId, member: MemberId) -> Record {
        Record::Ticket(Ticket {
            by: self.me(),
            parent: Some(parent),
            member,
            how: How::Kept,
            rank: 0,
            knows: BTreeSet::new(),
            pardons: BTreeSet::new(),
            invited: None,
        })
    }

    fn tells(&mut self, records: &[&Arc<SignedRecord>]) {
        self.say(&Message::Records(records.iter().map(|of| Arc::clone(of)).collect()));
        self.settle();
    }

    /// The ticket by which she is a member once somebody kept her in a record.
    fn kept(&self) -> RecordId {
        let me = self.me();
        let of =
            |record: &&Arc<SignedRecord>| record.record.kept().iter().any(|kept| kept.member == me);
        let record = self.known.iter().rev().find(of).expect("somebody keeps her");
        kept_id(&record.id, &me)
    }
}

/// A host's register, as a guest who asks for all of it receives it.
pub(super) fn register_of(host: &Host) -> BTreeMap<RecordId, Arc<SignedRecord>> {
    let session = Eve::new().join(host.addr());
    let mine = session.ticket().id;
    let known = session.known.iter().filter(|of| of.id != mine);
    known.map(|of| (of.id, Arc::clone(of))).collect()
}

/// Alice and bob still work, and what eve did left nothing behind.
fn assert_well(alice: &mut Host, bob: &mut Host) {
    alice.say("still here");
    bob.hears_text("still here");
    bob.say("so am I");
    alice.hears_text("so am I");
    let gone = |notice: &Arc<Notice>| {
        matches!(&**notice, Notice::MemberLeft { member }
            if ["alice", "bob"].contains(&member.who.name.raw()))
    };
    assert!(!alice.rest().iter().any(gone) && !bob.rest().iter().any(gone));
}

/// A room in which everybody has spoken, so that all tickets are known.
fn room_with_eve() -> (Host, Host, Eve, Session) {
    let (mut alice, mut bob) = Host::pair();
    bob.say("bob was here");
    alice.hears_text("bob was here");
    let eve = Eve::new();
    let mut session = eve.join(alice.addr());
    session.speaks(&mut alice, "so was eve");
    bob.hears_text("so was eve");
    (alice, bob, eve, session)
}

#[test]
fn h12_an_abandoned_lock_that_an_outsider_replays_is_not_followed() {
    let (mut alice, mut bob, eve, session) = room_with_eve();
    let hers = session.ticket();
    // She signed it while she was a member, and showed it to nobody; then she was removed.
    let closing = session.signs(session.closing(hers.id, 1));
    let removal = session.signs(session.removal(session.host));
    alice.removes("eve");
    bob.hears_removal();
    drop(session);
    let mut mallory = Eve::new().join(bob.addr());
    mallory.tells(&[&hers, &closing, &removal]);
    let mut mallory = eve_elsewhere(&alice);
    mallory.tells(&[&closing, &hers, &removal]);
    assert_well(&mut alice, &mut bob);
    let locked = |notice: &Arc<Notice>| matches!(**notice, Notice::RoomLocked { .. });
    assert!(!alice.rest().iter().chain(&bob.rest()).any(locked));
    // The door is open, though not to eve, who was removed.
    let mut carol = Host::new("carol");
    carol.connect(alice.addr()).unwrap();
    let refusal = eve.again().try_to_join(alice.addr(), &Entry::Open, Vec::new()).err();
    assert_eq!(refusal.expect("she is removed").why, Why::Removed);
}

fn eve_elsewhere(host: &Host) -> Session {
    Eve::new().join(host.addr())
}

/// A closing that was undone closes nothing when it is replayed.
#[test]
fn h12_what_was_undone_stays_undone() {
    let mut alice = Host::new("alice");
    let mut bob = Host::new("bob");
    bob.connect(alice.addr()).unwrap();
    alice.closes(FIRST);
    bob.hears_lock();
    let carol = Eve::new();
    let session = carol.join_with(alice.addr(), Some(&password(FIRST)), Vec::new());
    let (_, known) = carol.leaves(session);
    alice.run(Command::Unlock).unwrap();
    let mut mallory = Eve::new().join(bob.addr());
    for record in &known {
        mallory.tells(&[record]);
    }
    let mut dave = Host::new("dave");
    dave.connect(bob.addr()).unwrap();
    dave.say("open");
    alice.hears_text("open");
}

#[test]
fn h12_records_of_another_room_and_with_bad_signatures_end_the_link() {
    let (mut alice, mut bob, eve, session) = room_with_eve();
    let hers = session.ticket();
    let foreign = |record: Record| SignedRecord::sign(&NOWHERE, &eve.identity, record, None);
    let bad = |record: &Arc<SignedRecord>, signature| {
        Arc::new(SignedRecord { signature, ..(**record).clone() })
    };
    let good = session.signs(session.closing(hers.id, 1));
    let mut other = Eve::new().join(alice.addr());
    let others = other.signs(session.closing(hers.id, 1));
    other.settle();
    let lies = [
        foreign(session.closing(hers.id, 1)),
        foreign(session.removal(session.host)),
        bad(&good, [0; 64]),
        bad(&good, others.signature),
        bad(&hers, good.signature),
        // In eve's name, signed by another.
        others,
    ];
    for (number, lie) in lies.iter().enumerate() {
        let mut session = Eve::new().join(alice.addr());
        session.say(&Message::Records(vec![Arc::clone(lie)]));
        assert_eq!(session.wire.ended(), Some(Why::Protocol), "{number}");
        // The same before there is a link.
        let stranger = Eve::new();
        let mut wire = stranger.dial(alice.addr(), Role::Session);
        wire.greet(stranger.hello_of_member(), &session.room);
        assert_eq!(wire.recognise(&stranger, &[]), Ok(session.host));
        let (home, room) = (session.home.clone(), session.room);
        let (host, identity) = (session.host, stranger.identity.clone());
        let mut early = Session::silent(wire, room, host, home, identity);
        early.say(&Message::Records(vec![Arc::clone(lie)]));
        assert_eq!(early.wire.ended(), Some(Why::Protocol), "{number}");
    }
    // And in a chain that a guest is asked to show.
    alice.closes(FIRST);
    bob.hears_lock();
    for (number, lie) in lies.iter().enumerate() {
        let stranger = Eve::new();
        let mut wire = stranger.dial(alice.addr(), Role::Session);
        wire.greet(stranger.hello_of_member(), &session.room);
        wire.show(&stranger.identity, &session.room);
        assert_eq!(wire.told(), Ok(Opening::Unknown), "{number}");
        wire.show_chain(std::slice::from_ref(lie));
        assert_eq!(wire.ended(), Some(Why::Protocol), "{number}");
    }
    assert_well(&mut alice, &mut bob);
}

/// A ticket counts once its parent is there; if somebody withholds that, the ticket is not lost.
#[test]
fn h12_what_waits_for_a_withheld_record_counts_when_it_comes() {
    let (mut alice, mut bob, _eve, mut session) = room_with_eve();
    alice.closes(FIRST);
    bob.hears_lock();
    session.hear_until("the closing", |message| matches!(message, Message::Records(_)));
    let (first, second) = (Eve::new(), Eve::new());
    let above = session.signs(session.lets_in(session.kept(), first.id()));
    let home = session.home.clone();
    let below = eve_like(&session, &first);
    let below = below.signs(below.lets_in(above.id, second.id()));
    session.tells(&[&below]);
    // With its parent withheld from her own chain she is nobody.
    let chain = [Arc::clone(&below)];
    let refusal = second.comes_back(bob.addr(), &home, &chain).err();
    assert_eq!(refusal.expect("nobody let her in").why, Why::NotMember);
    session.tells(&[&above]);
    alice.say("heard");
    bob.hears_text("heard");
    let guest = second.comes_back(bob.addr(), &home, &[]);
    drop(guest.expect("her ticket counts now"));
    assert_well(&mut alice, &mut bob);
}

/// A session that is never used to speak: only to sign with `signer`'s key.
fn eve_like(session: &Session, signer: &Eve) -> Session {
    let to = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = to.local_addr().unwrap();
    let answering = std::thread::spawn(move || drop(Eve::answer(&to)));
    let wire = signer.dial(addr, Role::Session);
    answering.join().unwrap();
    let home = session.home.clone();
    Session::silent(wire, session.room, session.host, home, signer.identity.clone())
}

/// Eve claims to have everything, or what does not exist: others agree all the same.
#[test]
fn h12_whoever_lies_about_what_it_has_keeps_nothing_from_others() {
    let (mut alice, mut bob, eve, session) = room_with_eve();
    let (home, known) = session.goes();
    for ids in [
        known.iter().map(|of| of.id).collect::<Vec<_>>(),
        (0..600_u16).map(|n| RecordId([n.to_be_bytes()[1]; 32])).collect(),
    ] {
        let again = eve.again();
        let mut wire = again.dial(alice.addr(), Role::Session);
        wire.greet(again.hello_of_member(), &home.room);
        let host = match wire.recognise(&again, &[]) {
            Ok(host) => host,
            // Her last link is still being closed.
            Err(refusal) => panic!("{refusal:?}"),
        };
        let (room, identity) = (home.room, again.identity.clone());
        let mut session = Session::silent(wire, room, host, home.clone(), identity);
        let unique: BTreeSet<_> = ids.into_iter().collect();
        session.say(&Message::Register(Digest32([7; 32])));
        session.say(&Message::Ids { list: unique.into_iter().collect(), last: true });
        let ready = session.hear_or("ready", |message| matches!(message, Message::Ready { .. }));
        assert!(ready.is_ok(), "{ready:?}");
        session.goes();
    }
    let mut carol = Host::new("carol");
    carol.connect(bob.addr()).unwrap();
    carol.hears_text("so was eve");
    assert_well(&mut alice, &mut bob);
}

/// Eve runs twice: her locks do not know of each other. People are told; nobody is lost.
#[test]
fn h12_parallel_locks_of_one_member_are_told_and_lose_nobody() {
    let (mut alice, mut bob, _eve, mut session) = room_with_eve();
    let hers = session.ticket();
    let locks = [1, 2].map(|password| session.signs(session.closing(hers.id, password)));
    session.tells(&[&locks[0], &locks[1]]);
    for host in [&mut alice, &mut bob] {
        host.hears_remark("two conflicting locks");
    }
    assert_well(&mut alice, &mut bob);
    // The founder opens the room that she closed.
    alice.run(Command::Unlock).unwrap();
    let mut carol = Host::new("carol");
    carol.connect(bob.addr()).unwrap();
}

/// H13: each gets a different lock, and the removal of the other. Eve is above nobody, so nobody is
/// lost; both receive both, and agree.
#[test]
fn h13_another_change_to_each_parts_nobody() {
    let (mut alice, mut bob, eve, mut session) = room_with_eve();
    let hers = session.ticket();
    bob.say("hello");
    let home = session.home.clone();
    let with_bob = eve.comes_back(bob.addr(), &home, &[]);
    let mut with_bob = with_bob.expect("she is a member");
    let bobs = with_bob.host;
    let mine = [session.signs(session.closing(hers.id, 1)), session.signs(session.removal(bobs))];
    let theirs =
        [session.signs(session.closing(hers.id, 2)), session.signs(session.removal(home.host))];
    for (session, records) in [(&mut session, &mine), (&mut with_bob, &theirs)] {
        let list: Vec<&Arc<SignedRecord>> = records.iter().collect();
        session.say(&Message::Records(list.into_iter().cloned().collect()));
    }
    session.settle();
    with_bob.settle();
    assert_well(&mut alice, &mut bob);
    let removed = |notice: &Arc<Notice>| matches!(**notice, Notice::MemberRemoved { .. });
    assert!(!alice.rest().iter().chain(&bob.rest()).any(removed));
    // Bob is not above her, but alice is.
    assert_eq!(bob.run(Command::Unlock).unwrap_err().code, Code::NotAbove);
    alice.run(Command::Unlock).unwrap();
    assert_well(&mut alice, &mut bob);
    assert_eq!(register_of(&alice), register_of(&bob));
}

/// The same where bob never spoke: only alice knows that she let him in.
#[test]
fn h13_another_change_to_each_parts_no_visitor_that_is_linked() {
    let (mut alice, mut bob) = Host::pair();
    let eve = Eve::new();
    let mut session = eve.join(alice.addr());
    session.speaks(&mut alice, "eve is here");
    bob.hears_text("eve is here");
    let hers = session.ticket();
    let closing = session.signs(session.closing(hers.id, 1));
    session.tells(&[&closing]);
    alice.hears_lock();
    alice.say("among us");
    bob.hears_text("among us");
    bob.say("yes");
    alice.hears_text("yes");
    let gone = |notice: &Arc<Notice>| matches!(**notice, Notice::MemberLeft { .. });
    assert!(!bob.rest().iter().any(gone), "bob lost alice over a lock of eve's");
}

/// H16: what a link is told of secrets, after everything else that it is told at the beginning.
fn secrets(session: &mut Session) -> Vec<Message> {
    let number = 77;
    session.say(&Message::Ping(number));
    let mut secrets = Vec::new();
    loop {
        match session.hear(super::host::SOON) {
            Some(Message::Pong(heard)) if heard == number => return secrets,
            Some(message @ (Message::Password { .. } | Message::Invitation { .. })) => {
                secrets.push(message);
            }
            Some(_) => {}
            None => panic!("the link ended"),
        }
    }
}

fn locks_of(secrets: &[Message]) -> Vec<(RecordId, PasswordData)> {
    let locks = secrets.iter().filter_map(|message| match message {
        Message::Password { lock, data } => Some((*lock, data.clone())),
        _ => None,
    });
    locks.collect()
}

#[test]
fn h16_only_secrets_in_force_are_told_and_only_to_members() {
    let mut alice = Host::locked("alice", FIRST);
    let carol = Eve { name: "carol".into(), ..Eve::new() };
    let mut session = carol.join_with(alice.addr(), Some(&password(FIRST)), Vec::new());
    let first = locks_of(&secrets(&mut session));
    let (home, _) = carol.leaves(session);
    alice.hears_leaving("carol");
    // Changes, and an invitation that ends while she is away; another that lives.
    for text in ["battery staple", "four red kettles", "three blue teapots"] {
        alice.closes(text);
    }
    let ended = alice.invites(false);
    alice.run(Command::InviteOff).unwrap();
    let lives = alice.invites(true);
    let again = carol.again();
    let mut session = again.comes_back(alice.addr(), &home, &[]).expect("she was kept");
    let told = secrets(&mut session);
    let locks = locks_of(&told);
    assert_eq!((first.len(), locks.len()), (1, 1));
    assert_ne!(first[0].0, locks[0].0);
    let with_password = |record: &Arc<SignedRecord>, hash: [u8; 32]| match &record.record {
        Record::Lock(lock) => lock.password == Some(Digest32(hash)),
        _ => false,
    };
    let newest = session.known.iter().find(|of| of.id == locks[0].0).expect("she heard the lock");
    assert!(with_password(newest, locks[0].1.hash()));
    let invitations: Vec<_> = told
        .iter()
        .filter_map(|message| match message {
            Message::Invitation { find, .. } => Some(find.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(invitations, [lives.secret.find_key()]);
    assert!(!invitations.contains(&ended.secret.find_key()));
}

#[test]
fn h16_visitors_and_the_removed_hear_no_secret() {
    let mut alice = Host::locked("alice", FIRST);
    let eve = Eve::new();
    let session = eve.join_with(alice.addr(), Some(&password(FIRST)), Vec::new());
    let (home, known) = session.goes();
    alice.hears_leaving("eve");
    alice.removes("eve");
    alice.closes("battery staple");
    let _link = alice.invites(false);
    // From outside she learns only that she was removed.
    for chain in [Vec::new(), known.clone()] {
        let mut wire = eve.again().dial(alice.addr(), Role::Session);
        wire.greet(eve.hello_of_member(), &home.room);
        let told = wire.recognise(&eve, &chain).unwrap_err();
        assert_eq!(told.why, Why::Removed);
        assert_eq!(told.record.map(|record| record.record.by()), Some(home.host));
        assert_eq!(wire.ended(), None);
    }
    // The door is opened: a visitor receives the register, and nothing that opens a closed room.
    alice.run(Command::Unlock).unwrap();
    let mallory = Eve { name: "mallory".into(), ..Eve::new() };
    let mut visitor = mallory.join(alice.addr());
    assert_eq!(secrets(&mut visitor), []);
    // She was removed, and is still outside under her key.
    let refusal = eve.again().comes_back(alice.addr(), &home, &known).err();
    assert_eq!(refusal.expect("she is removed").why, Why::Removed);
    // A visitor who left before the room was closed again learns nothing of what came after.
    let (seen, recorded) = visitor.goes();
    alice.hears_leaving("mallory");
    alice.closes("three blue teapots");
    let mallory = mallory.again();
    for chain in [Vec::new(), recorded] {
        let refusal = mallory.comes_back(alice.addr(), &seen, &chain).err();
        assert_eq!(refusal.expect("she is no member").why, Why::NotMember);
    }
}
