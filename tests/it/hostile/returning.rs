//! H11 and H17: Eve was in, and is out: the room was closed without her, or she was removed. She
//! comes back with everything that she recorded, with others' records, under her key and new ones.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use klatch::crypto::binding::Role;
use klatch::crypto::random::random;
use klatch::limits::Limits;
use klatch::router::command::{Command, LockWish};
use klatch::router::event::Entry;
use klatch::router::ids::RunId;
use klatch::router::membership::record::{Record, Ticket};
use klatch::router::message::{Message, Refusal, Why};
use klatch::router::notice::Code;
use klatch::router::signed::{Presence, SignedPresence, SignedRecord};

use super::eve::{Eve, Granted, Records, Session};
use super::host::{Host, password};

const FIRST: &str = "correct horse";
const SECOND: &str = "battery staple";

impl Eve {
    /// Says goodbye and leaves; returns the room and everything that she recorded of it.
    pub(super) fn leaves(&self, mut session: Session) -> (Granted, Records) {
        let body = Presence { bye: true, ..self.presence(&session.room, 2, vec![]).body.clone() };
        let bye = SignedPresence::sign(&session.room, &self.identity, body);
        session.say(&Message::Presence(bye));
        while session.hear(super::host::SOON).is_some() {}
        session.goes()
    }

    /// The same person in another run.
    pub(super) fn again(&self) -> Self {
        let (identity, name) = (self.identity.clone(), self.name.clone());
        Self { identity, run: RunId(random()), name, from: self.from }
    }
}

impl Session {
    /// Her own ticket.
    pub(super) fn ticket(&self) -> Arc<SignedRecord> {
        let me = self.identity.public();
        let mine = |of: &&Arc<SignedRecord>| match &of.record {
            Record::Ticket(ticket) => ticket.member.0 == me,
            _ => false,
        };
        self.known.iter().find(mine).expect("she holds a ticket").clone()
    }

    /// Does something in an open room, so that others know who let her in.
    pub(super) fn speaks(&mut self, host: &mut Host, text: &str) {
        let ticket = self.ticket();
        self.say(&Message::Records(vec![ticket]));
        let text_message = self.chain().text(text);
        self.say(&text_message);
        host.hears_text(text);
    }
}

/// How eve tries to come back: she dials alice, or alice's user dials her.
fn tries(
    alice: &mut Host,
    eve: &Eve,
    home: &Granted,
    chain: &[Arc<SignedRecord>],
    dials: bool,
) -> Result<Session, Refusal> {
    let eve = eve.again();
    if dials {
        return eve.comes_back(alice.addr(), home, chain);
    }
    let ear = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let line = alice.connecting(ear.local_addr().unwrap(), LockWish::Unknown);
    let result = eve.goes_on(Eve::answer(&ear), home, chain);
    assert_eq!(alice.outcome(line).is_ok(), result.is_ok());
    result
}

fn refused(result: Result<Session, Refusal>) -> Refusal {
    match result {
        Ok(_) => panic!("eve is in the room again"),
        Err(refusal) => refusal,
    }
}

/// What eve can show: all that she recorded, nothing, her old ticket, another's chain, and
/// everybody's chains with hers.
fn chains(home: &Granted, known: &Records, ticket: &Arc<SignedRecord>) -> Vec<Records> {
    let others: Records = known.iter().filter(|of| of.id != ticket.id).cloned().collect();
    vec![
        known.iter().chain(&home.chain).cloned().collect(),
        Vec::new(),
        vec![ticket.clone()],
        others,
    ]
}

/// Eve was in the open room, perhaps spoke, and left; bob spoke and stayed; then alice closed it.
fn was_in(speaks: bool) -> (Host, Host, Eve, Granted, Records, Arc<SignedRecord>) {
    let (mut alice, mut bob) = Host::pair();
    bob.say("bob was here");
    alice.hears_text("bob was here");
    let eve = Eve::new();
    let mut session = eve.join(alice.addr());
    let ticket = session.ticket();
    if speaks {
        session.speaks(&mut alice, "so was eve");
        session.settle();
    }
    let (home, known) = eve.leaves(session);
    alice.hears_leaving("eve");
    alice.closes(FIRST);
    bob.hears_lock();
    (alice, bob, eve, home, known, ticket)
}

#[test]
fn h11_who_was_in_while_the_room_was_open_is_outside_with_everything_recorded() {
    for speaks in [false, true] {
        let (mut alice, mut bob, eve, home, known, ticket) = was_in(speaks);
        for dials in [true, false] {
            for (number, chain) in chains(&home, &known, &ticket).iter().enumerate() {
                let refusal = refused(tries(&mut alice, &eve, &home, chain, dials));
                assert_eq!(refusal.why, Why::NotMember, "{speaks} {dials} {number}");
                // A closing names people: it is shown only to those who were known as members, and
                // to those who show the ticket that it ended.
                let named = speaks || chain.iter().any(|of| of.id == ticket.id);
                let shown = refusal.record.map(|record| record.record.by());
                assert_eq!(shown, named.then_some(home.host), "{speaks} {dials} {number}");
            }
        }
        assert_eq!((alice.linked(), bob.linked()), (1, 1));
        alice.say("still among us");
        bob.hears_text("still among us");
    }
}

#[test]
fn h11_old_tickets_that_somebody_else_shows_are_the_holders() {
    let (mut alice, _bob, eve, home, known, ticket) = was_in(true);
    // Under a new key, with all that eve and bob had; also under bob's name.
    for name in ["mallory", "bob"] {
        let mallory = Eve { name: name.into(), ..Eve::new() };
        for dials in [true, false] {
            let everything: Records = known.iter().chain([&ticket]).cloned().collect();
            let refusal = refused(tries(&mut alice, &mallory, &home, &everything, dials));
            assert_eq!((refusal.why, refusal.record), (Why::NotMember, None));
        }
    }
    // As a newcomer she is only told that the room is closed.
    let mut wire = eve.dial(alice.addr(), Role::Session);
    wire.greet(eve.hello(), &super::eve::NOWHERE);
    assert_eq!(wire.ended(), Some(Why::Locked));
    assert_eq!(alice.linked(), 1);
}

/// Eve came in by password, bob is a member too, and alice has removed eve.
fn was_removed() -> (Host, Host, Eve, Granted, Records) {
    let mut alice = Host::locked("alice", FIRST);
    let eve = Eve::new();
    let mut session = eve.join_with(alice.addr(), Some(&password(FIRST)), Vec::new());
    let mut bob = Host::new("bob");
    bob.connect_with(alice.addr(), FIRST).unwrap();
    bob.meets(2);
    alice.removes("eve");
    let refusal = session.hear_or("anything else", |message| matches!(message, Message::Entry(_)));
    let refusal = refusal.unwrap_err();
    assert_eq!(refusal.why, Why::Removed);
    let record = refusal.record.expect("it is shown who did it");
    assert_eq!(record.record.by(), session.host);
    assert_eq!(bob.hears_removal(), ("eve".into(), "alice".into()));
    let (home, mut known) = session.goes();
    known.push(record);
    (alice, bob, eve, home, known)
}

#[test]
fn h17_the_removed_is_refused_under_the_same_key_and_shown_the_record() {
    let (mut alice, mut bob, eve, home, known) = was_removed();
    let alice_id = home.host;
    for dials in [true, false] {
        for host in [&mut alice, &mut bob] {
            for chain in [Vec::new(), known.clone(), known[..known.len() - 1].to_vec()] {
                let refusal = refused(tries(host, &eve, &home, &chain, dials));
                assert_eq!(refusal.why, Why::Removed);
                let record = refusal.record.expect("it is shown");
                assert_eq!(record.record.by(), alice_id);
                assert!(record.is_removal());
            }
        }
    }
    // The old password no longer opens the room, and the new one does not open it to her.
    for host in [&alice, &bob] {
        let mut wire = eve.dial(host.addr(), Role::Session);
        let entry = Entry::Password(password(FIRST));
        wire.greet(eve.hello_with(&entry), &super::eve::NOWHERE);
        assert_eq!(wire.ended(), Some(Why::NoPassword));
    }
    alice.closes(SECOND);
    bob.hears_lock();
    for host in [&alice, &bob] {
        let entry = Entry::Password(password(SECOND));
        // Unless she says that she knows the room, she cannot read the record that she is shown.
        let refusal = refused(eve.try_to_join(host.addr(), &entry, Vec::new()));
        assert_eq!((refusal.why, refusal.record), (Why::Removed, None));
    }
    assert_eq!((alice.linked(), bob.linked()), (1, 1));
}

/// One command lets her in again: alice's, not bob's.
#[test]
fn h17_only_a_pardon_lets_the_removed_in_again() {
    let (mut alice, mut bob, eve, home, known) = was_removed();
    let undo = Command::Remove { nick: "eve".into(), undo: true, asks: false };
    assert_eq!(bob.run(undo).unwrap_err().code, Code::NotAbove);
    refused(tries(&mut bob, &eve, &home, &known, true));
    alice.takes_in_again("eve");
    let session = eve.again().comes_back(alice.addr(), &home, &known).expect("she is pardoned");
    assert_eq!(session.host, home.host);
    // And she can be removed again.
    alice.removes("eve");
    drop(session);
    let refusal = refused(tries(&mut alice, &eve, &home, &known, true));
    assert_eq!(refusal.why, Why::Removed);
}

/// Invitations that she held: the one by which she came is ended; another one no longer lets her
/// key in, and tells her why.
#[test]
fn h17_old_invitations_do_not_bring_the_removed_back() {
    let mut alice = Host::locked("alice", FIRST);
    let (hers, other) = (alice.invites(false), alice.invites(false));
    let eve = Eve::new();
    let session = eve.join_by(alice.addr(), &Entry::Invitation(hers.clone()), Vec::new());
    // Another guest of the same invitation stays.
    let mut bob = Host::new("bob");
    bob.joins(&hers).unwrap();
    bob.meets(2);
    alice.removes("eve");
    assert_eq!(bob.hears_removal(), ("eve".into(), "alice".into()));
    drop(session);
    for host in [&alice, &bob] {
        let old = Entry::Invitation(hers.clone());
        for guest in [&eve.again(), &Eve::new()] {
            let refusal = refused(guest.try_to_join(host.addr(), &old, Vec::new()));
            assert_eq!((refusal.why, refusal.record), (Why::NoInvitation, None));
        }
        let live = Entry::Invitation(other.clone());
        let refusal = refused(eve.again().try_to_join(host.addr(), &live, Vec::new()));
        assert_eq!(refusal.why, Why::Removed);
    }
    bob.say("bob stays");
    alice.hears_text("bob stays");
    // A reusable invitation stays open to a new key until it is ended.
    let mallory = Eve::new();
    let session = mallory.join_by(bob.addr(), &Entry::Invitation(other.clone()), Vec::new());
    mallory.leaves(session);
    alice.run(Command::InviteOff).unwrap();
    alice.say("no more guests");
    bob.hears_text("no more guests");
    for host in [&alice, &bob] {
        let live = Entry::Invitation(other.clone());
        let refusal = refused(Eve::new().try_to_join(host.addr(), &live, Vec::new()));
        assert_eq!(refusal.why, Why::NoInvitation);
    }
}

/// Those whom she let in go with her, and those whom she lets in afterwards do not get in.
#[test]
fn h17_puppets_of_the_removed_are_outside() {
    let mut alice = Host::locked("alice", FIRST);
    let eve = Eve::new();
    let mut session = eve.join_with(alice.addr(), Some(&password(FIRST)), Vec::new());
    let hers = session.ticket();
    let puppets = ["puppet", "doll"].map(|name| Eve { name: name.into(), ..Eve::new() });
    let ticket = |puppet: &Eve| {
        let Record::Ticket(ticket) = &hers.record else { unreachable!() };
        let ticket =
            Ticket { by: eve.id(), parent: Some(hers.id), member: puppet.id(), ..ticket.clone() };
        SignedRecord::sign(&session.room, &eve.identity, Record::Ticket(ticket), None)
    };
    let [before, after] = [ticket(&puppets[0]), ticket(&puppets[1])];
    session.say(&Message::Records(vec![before.clone()]));
    session.settle();
    let home = session.home.clone();
    let first = puppets[0].comes_back(alice.addr(), &home, &[]).expect("a member's guest");
    drop(first);
    alice.removes("eve");
    for (puppet, ticket) in puppets.iter().zip([before, after]) {
        for dials in [true, false] {
            let chain = [hers.clone(), ticket.clone()];
            // Both are shown who removed them.
            let refusal = refused(tries(&mut alice, puppet, &home, &chain, dials));
            assert_eq!(refusal.why, Why::Removed);
            let record = refusal.record.expect("it is shown");
            assert!(matches!(&record.record, Record::Removal(of) if of.member == Some(eve.id())));
        }
    }
    assert_eq!(alice.linked(), 0);
}

/// Alice dials somebody she knew; those whom the closing put out learn nothing but her key.
#[test]
fn h11_a_member_that_dials_a_former_one_shows_no_more_than_its_key() {
    let limits = Limits { redial_min_ms: 50, ..Limits::default() };
    let mut alice = Host::with("alice", limits);
    let ear = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr: SocketAddr = ear.local_addr().unwrap();
    let eve = Eve::new();
    let session = eve.join_with(alice.addr(), None, vec![addr]);
    let (home, known) = eve.leaves(session);
    alice.hears_leaving("eve");
    alice.closes(FIRST);
    alice.say("said behind the door");
    let line = alice.connecting(addr, LockWish::Unknown);
    let mut wire = Eve::answer(&ear);
    let theirs = wire.greet(eve.hello_of_member(), &home.room);
    assert!(theirs.locked);
    assert_eq!(wire.shown(), Ok(home.host));
    wire.show(&eve.identity, &home.room);
    // Eve shows her chain when asked, and learns what ended it, and nothing else.
    let asked = wire.told();
    assert_eq!(asked, Ok(klatch::wire::opening::Opening::Unknown));
    wire.show_chain(&known);
    let refusal = wire.told().unwrap_err();
    assert_eq!(refusal.why, Why::NotMember);
    assert_eq!(refusal.record.map(|record| record.record.by()), Some(home.host));
    assert_eq!(wire.ended(), None);
    assert!(alice.outcome(line).is_err());
}
