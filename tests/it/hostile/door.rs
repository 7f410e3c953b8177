//! H14 and H15: Eve at the door with another's run id, with handshakes that hang, and as a host
//! whose refusals try to make klatch say something in its own voice.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use klatch::crypto::binding::Role;
use klatch::crypto::identity::Identity;
use klatch::crypto::opaque::{Admitter, PasswordData};
use klatch::limits::Limits;
use klatch::router::command::LockWish;
use klatch::router::ids::{MemberId, RoomId, RunId};
use klatch::router::membership::record::{Record, Removal};
use klatch::router::message::{Hello, Refusal, Why};
use klatch::router::notice::{Code, Failure, Notice};
use klatch::router::signed::SignedRecord;
use klatch::wire::opening::Opening;
use serde_json::json;

use super::eve::{Eve, NOWHERE, Wire};
use super::host::{Host, password};

/// The run id of the listening host.
fn run_of(host: &Host) -> RunId {
    let eve = Eve::new();
    eve.dial(host.addr(), Role::Session).greet(eve.hello(), &NOWHERE).run
}

/// Eve under this run id, hanging once after each step of the handshake.
fn hang(run: RunId, host: &Host) -> Vec<Wire> {
    let mut hanging = Vec::new();
    for steps in 0..4 {
        let eve = Eve { run, ..Eve::new() };
        let mut wire = eve.dial(host.addr(), Role::Session);
        if steps > 0 {
            wire.greet(eve.hello(), &NOWHERE);
        }
        if steps > 1 {
            wire.come(&eve);
        }
        if steps > 2
            && let Ok(granted) = wire.granted(false)
        {
            wire.show(&eve.identity, &granted.room);
        }
        hanging.push(wire);
    }
    hanging
}

fn patient() -> Limits {
    Limits { handshake_deadline_ms: 20_000, ..Limits::default() }
}

#[test]
fn h14_anothers_run_in_a_hello_delays_nobody() {
    let (mut alice, mut bob) = (Host::with("alice", patient()), Host::with("bob", patient()));
    let runs = [run_of(&alice), run_of(&bob)];
    // At both ends, with the other's run id and with the victim's own.
    let mut hanging = Vec::new();
    for host in [&alice, &bob] {
        for run in runs {
            hanging.extend(hang(run, host));
        }
    }
    assert_eq!(bob.connect(alice.addr()), Ok(()));
    alice.say("here you are");
    bob.hears_text("here you are");
    // While they are linked, a newcomer comes in, and they stay linked.
    for host in [&alice, &bob] {
        for run in runs {
            hanging.extend(hang(run, host));
        }
    }
    let mut carol = Host::new("carol");
    assert_eq!(carol.connect(bob.addr()), Ok(()));
    carol.meets(2);
    alice.say("all three");
    carol.hears_text("all three");
    assert_eq!((alice.linked(), bob.linked()), (2, 2));
    drop(hanging);
}

/// Somebody whose run id eve uses: the two are told apart by identity, not by what Hello says.
#[test]
fn h14_a_guest_with_anothers_run_is_a_guest() {
    let (mut alice, mut bob) = Host::pair();
    let eve = Eve { run: run_of(&bob), ..Eve::new() };
    let mut session = eve.join(alice.addr());
    session.settle();
    alice.say("to both");
    bob.hears_text("to both");
    // With alice's own run id she is taken for alice, and sent away.
    let mut wire = Eve::new().dial(alice.addr(), Role::Session);
    wire.greet(Hello { run: run_of(&alice), ..Eve::new().hello() }, &NOWHERE);
    assert_eq!(wire.ended(), Some(Why::SelfConnect));
    assert_eq!(bob.linked(), 1);
}

#[test]
fn h14_hanging_handshakes_keep_a_fresh_node_from_nothing() {
    let mut alice = Host::locked("alice", "correct horse");
    let mut bob = Host::with("bob", patient());
    let hanging: Vec<_> = (0..3).flat_map(|_| hang(Eve::new().run, &bob)).collect();
    assert_eq!(bob.connect_with(alice.addr(), "correct horse"), Ok(()));
    alice.say("come in");
    bob.hears_text("come in");
    drop(hanging);
}

/// Eve listens, and refuses each connection.
fn refusing(bob: &mut Host, refuse: impl FnOnce(Wire) + Send) -> Failure {
    let ear = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let line = bob.connecting(ear.local_addr().unwrap(), LockWish::Unknown);
    std::thread::scope(|scope| {
        scope.spawn(|| refuse(Eve::answer(&ear)));
        bob.outcome(line).unwrap_err()
    })
}

fn greeting() -> Hello {
    Hello { settled: true, moves: false, ..Eve::new().hello() }
}

/// Whatever word, number and text a refusal has, none of it is repeated.
#[test]
fn h15_no_refusal_makes_klatch_repeat_an_address_or_a_lie() {
    let lie = "connect 203.0.113.9 4444 and type your password";
    let words = Why::ALL.iter().map(|(_, word)| *word).chain([lie]);
    let mut bob = Host::new("bob");
    for word in words {
        // These are retried for a while.
        if ["busy", "crossing"].contains(&word) {
            continue;
        }
        let failure = refusing(&mut bob, |mut wire| {
            wire.greet(greeting(), &NOWHERE);
            let refusal = json!({"kind": "refuse", "why": word, "wait_ms": u64::MAX, "port": 4444,
                "address": lie, "text": lie, "record": {"bytes": lie, "signature": lie}});
            wire.raw(&serde_json::to_vec(&refusal).unwrap());
            let refusal = json!({"kind": "refuse", "why": word, "wait_ms": u64::MAX, "port": 4444,
                "address": lie, "text": lie});
            wire.raw(&serde_json::to_vec(&refusal).unwrap());
            wire.ended();
        });
        for part in ["203.0.113.9", "4444", "type your password"] {
            assert!(!failure.text.contains(part), "{word}: {}", failure.text);
        }
    }
    let said = format!("{:?}", bob.rest());
    assert!(!said.contains("203.0.113.9") && !said.contains("type your password"), "{said}");
}

/// "ana removed you" needs ana's record for this room; without it klatch does not say it.
#[test]
fn h15_a_removal_that_is_not_shown_or_not_by_a_member_is_hearsay() {
    let mallory = Identity::generate();
    let removal_of = |member: MemberId, by: &Identity, room: RoomId| {
        let removal = Removal {
            by: MemberId(by.public()),
            member: Some(member),
            invitations: Default::default(),
            earlier: 0,
            kept: Vec::new(),
        };
        SignedRecord::sign(&room, by, Record::Removal(removal), None)
    };
    let mut bob = Host::new("bob");
    let me = bob.members().into_iter().find(|line| line.own).unwrap().member.who.id;
    let refusal = |record| Refusal { record, ..Refusal::of(Why::Removed) };
    for which in 0..3 {
        let mallory = &mallory;
        let failure = refusing(&mut bob, move |mut wire| {
            wire.greet(greeting(), &NOWHERE);
            let eve = Eve::new();
            if which == 0 {
                wire.say(&Opening::Refuse(refusal(None)));
                wire.ended();
                return;
            }
            // In a room that she shows him: removed by herself, its founder, and by somebody else.
            let Ok(Opening::Newcomer { .. }) = wire.hear() else { panic!("no newcomer") };
            let (founder, nonce) = (eve.id(), [1; 32]);
            let room = RoomId::of(&founder, &nonce);
            wire.say(&Opening::Grant { founder, nonce });
            wire.room = room;
            let by = if which == 1 { &eve.identity } else { mallory };
            wire.say(&Opening::Refuse(refusal(Some(removal_of(me, by, room)))));
            wire.ended();
        });
        assert_eq!(failure.code, Code::Removed, "{which}");
        assert!(failure.text.contains("says that you were removed"), "{which}: {}", failure.text);
    }
    let told = |notice: &Arc<Notice>| matches!(**notice, Notice::MemberRemoved { .. });
    assert!(!bob.rest().iter().any(told));
}

/// In the room itself: eve, whom bob knows as a member, refuses him with a record that she may not
/// sign, and with none. He is told nothing in klatch's own voice, and stays a member.
#[test]
fn h15_a_member_that_refuses_another_with_a_lie_is_not_believed() {
    let limits = Limits { redial_min_ms: 50, redial_max_ms: 200, ..Limits::default() };
    let (mut alice, mut bob) = (Host::new("alice"), Host::with("bob", limits));
    bob.connect(alice.addr()).unwrap();
    bob.say("bob is here");
    alice.hears_text("bob is here");
    let ear = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let eve = Eve::new();
    let mut session = eve.join_with(bob.addr(), None, vec![ear.local_addr().unwrap()]);
    session.speaks(&mut bob, "eve is here");
    alice.hears_text("eve is here");
    let bobs = session.host;
    let record = session.signs(Record::Removal(Removal {
        by: eve.id(),
        member: Some(bobs),
        invitations: Default::default(),
        earlier: 0,
        kept: Vec::new(),
    }));
    let (home, _) = session.goes();
    for record in [Some(record), None] {
        let mut wire = Eve::answer(&ear);
        wire.greet(eve.hello_of_member(), &home.room);
        wire.say(&Opening::Refuse(Refusal { record, ..Refusal::of(Why::Removed) }));
        wire.ended();
        // After that she is not dialled again until there is news of her.
        let session = eve.again().comes_back(bob.addr(), &home, &[]);
        session.expect("she is a member").goes();
    }
    bob.hears_remark("somebody who was reached says that");
    let told = |notice: &Arc<Notice>| matches!(**notice, Notice::MemberRemoved { .. });
    assert!(!bob.rest().iter().any(told));
    alice.say("you are in");
    bob.hears_text("you are in");
}

/// A room that opens with an old or wrong password is named after its founder, not its address: the
/// guest sees whose room it is.
#[test]
fn a_false_host_that_knows_the_password_is_shown_as_the_founder_that_it_is() {
    let ear = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut bob = Host::new("bob");
    let line =
        bob.connecting(ear.local_addr().unwrap(), LockWish::Password(password("correct horse")));
    let eve = Eve { name: "alice".into(), ..Eve::new() };
    let (founder, nonce) = (eve.id(), [1; 32]);
    let room = RoomId::of(&founder, &nonce);
    let data = PasswordData::new(&password("correct horse"), &room.0).unwrap();
    let mut wire = Eve::answer(&ear);
    wire.greet(Hello { locked: true, password: true, ..greeting() }, &NOWHERE);
    let Ok(Opening::Password { step: 1, bytes }) = wire.hear() else { panic!("no guess") };
    let (admitter, second) = Admitter::respond(&data, &room.0, &bytes, &wire.h()).unwrap();
    wire.say(&Opening::Password { step: 2, bytes: second });
    let Ok(Opening::Password { step: 3, bytes }) = wire.hear() else { panic!("no proof") };
    admitter.verify(&bytes).unwrap();
    assert!(matches!(wire.hear(), Ok(Opening::Newcomer { .. })));
    wire.say(&Opening::Grant { founder, nonce });
    wire.show(&eve.identity, &room);
    wire.show_chain(&[]);
    wire.room = room;
    let home = super::eve::Granted {
        room,
        founder,
        nonce,
        host: bob_of(&mut wire),
        chain: Vec::new(),
        invitation: None,
    };
    let session = eve.agrees(wire, home, &[]).expect("he links");
    let who = bob.hears("whose room it is", |notice| match notice {
        Notice::Joined { founder, .. } => Some(founder.clone()),
        _ => None,
    });
    assert_eq!(who.id, eve.id());
    drop(session);
    let _ = bob.outcome(line);
}

fn bob_of(wire: &mut Wire) -> MemberId {
    wire.shown().expect("he shows himself for the room")
}
