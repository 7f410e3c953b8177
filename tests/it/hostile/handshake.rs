//! Eve at the door: guessing passwords, playing the host, moving proofs, wasting time.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use klatch::crypto::binding::{Binding, Role, identity_message, newcomer_message};
use klatch::crypto::identity::Identity;
use klatch::crypto::noise::HandshakeHash;
use klatch::crypto::opaque::{Admitter, FIRST_BYTES, Joiner, PasswordData};
use klatch::limits::Limits;
use klatch::net::channel::RecvError;
use klatch::router::command::LockWish;
use klatch::router::event::Entry;
use klatch::router::ids::{Digest32, MemberId, RoomId};
use klatch::router::message::{Brings, Hello, Message, Refusal, Why};
use klatch::router::notice::Code;
use klatch::wire::opening::Opening;

use super::eve::{Eve, Granted, NOWHERE, Wire};
use super::host::{Host, password};

const RIGHT: &str = "correct horse";
const WRONG: &str = "wrong horse 1";

/// A stranger who says that she brings a password.
fn knock(eve: &Eve, alice: &Host) -> (Wire, Hello) {
    let mut wire = eve.dial(alice.addr(), Role::Session);
    let theirs = wire.greet(Hello { brings: Brings::Password, ..eve.hello() }, &NOWHERE);
    (wire, theirs)
}

fn second(wire: &mut Wire, first: Vec<u8>) -> Vec<u8> {
    wire.say(&Opening::Password { step: 1, bytes: first });
    match wire.hear().unwrap() {
        Opening::Password { step: 2, bytes } => bytes,
        other => panic!("no second message: {other:?}"),
    }
}

#[test]
fn h3_an_exchange_tests_only_the_password_that_it_began_with() {
    let alice = Host::locked("alice", RIGHT);
    let (mut wire, _) = knock(&Eve::new(), &alice);
    let (wrong, first) = Joiner::start(&password(WRONG)).unwrap();
    let bytes = second(&mut wire, first);
    assert!(wrong.finish(&bytes, &wire.h()).is_err());
    // Nothing that alice said helps to tell the right password from any other candidate.
    for candidate in [RIGHT, "another one"] {
        let (joiner, _) = Joiner::start(&password(candidate)).unwrap();
        assert!(joiner.finish(&bytes, &wire.h()).is_err());
    }
    // Nor does she answer twice on one connection.
    let (_, first) = Joiner::start(&password(RIGHT)).unwrap();
    wire.say(&Opening::Password { step: 1, bytes: first });
    assert_eq!(wire.ended(), Some(Why::Protocol));
}

#[test]
fn h3_guesses_are_counted_by_address_and_the_right_one_is_given_back() {
    let limits = Limits::default();
    let alice = Host::locked("alice", RIGHT);
    let eve = Eve::at(Ipv4Addr::new(127, 0, 0, 66));
    for _ in 0..limits.password_attempts_per_addr {
        let (mut wire, _) = knock(&eve, &alice);
        assert_eq!(wire.guess(&password(WRONG)), Ok(()));
        wire.say(&Opening::Password { step: 3, bytes: vec![0; 64] });
        assert_eq!(wire.ended(), Some(Why::WrongPassword));
    }
    let (mut wire, theirs) = knock(&eve, &alice);
    assert!(theirs.locked);
    let Err(Refusal { why, wait_ms, .. }) = wire.guess(&password(RIGHT)) else {
        panic!("a sixth guess was answered");
    };
    assert_eq!(why, Why::TooManyAttempts);
    let wait_ms = wait_ms.unwrap();
    assert!(wait_ms > 0 && wait_ms <= 10 * 60_000, "{wait_ms}");

    // Others are not kept out, and attempts with the right password are not counted.
    for _ in 0..2 * limits.password_attempts_per_addr {
        let bob = Eve::at(Ipv4Addr::new(127, 0, 0, 67));
        bob.join_with(alice.addr(), Some(&password(RIGHT)), Vec::new());
    }
}

/// Bob tries to enter what he takes for a locked room; returns what `play` gives, and bob's result.
pub(super) fn false_host<T: Send>(
    typed: &str,
    play: impl FnOnce(Wire) -> T + Send,
) -> (T, Result<(), klatch::router::notice::Failure>, Host) {
    let ear = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = ear.local_addr().unwrap();
    let mut bob = Host::new("bob");
    let (played, outcome) = std::thread::scope(|scope| {
        let playing = scope.spawn(|| play(Eve::answer(&ear)));
        let line = bob.connecting(to, LockWish::Password(password(typed)));
        (playing.join(), bob.outcome(line))
    });
    (played.unwrap(), outcome, bob)
}

fn locked_hello() -> Hello {
    Hello { settled: true, locked: true, password: true, moves: false, ..Eve::new().hello() }
}

/// Eve guesses what bob will type, and answers as a member of a room with that password.
fn hosted(guess: &str, typed: &str) -> (Vec<u8>, Result<Opening, RecvError>, Code) {
    let room = RoomId([7; 32]);
    let data = PasswordData::new(&password(guess), &room.0).unwrap();
    let ((first, third), outcome, _) = false_host(typed, |mut wire| {
        wire.greet(locked_hello(), &room);
        let Ok(Opening::Password { step: 1, bytes: first }) = wire.hear() else {
            panic!("no first message");
        };
        let (_, second) = Admitter::respond(&data, &room.0, &first, &wire.h()).unwrap();
        wire.say(&Opening::Password { step: 2, bytes: second });
        (first, wire.hear())
    });
    (first, third, outcome.unwrap_err().code)
}

#[test]
fn h3_a_false_host_tests_one_candidate_and_hears_nothing_if_it_is_wrong() {
    let (first, third, code) = hosted(WRONG, RIGHT);
    assert_eq!((third, code), (Err(RecvError::Closed), Code::WrongPassword));
    // What she hears is blinded anew each time: it does not depend on the password alone.
    let (again, third, _) = hosted(RIGHT, RIGHT);
    assert!(matches!(third, Ok(Opening::Password { step: 3, .. })));
    assert_eq!(first.len(), FIRST_BYTES);
    let equal = first.iter().zip(&again).filter(|(a, b)| a == b).count();
    assert!(equal < 16, "{equal} bytes of {FIRST_BYTES} are the same in both");
}

#[test]
fn h3_an_eavesdropper_sees_the_same_whatever_the_password_is() {
    use std::io::{Read, Write};
    use std::sync::{Arc, Mutex};
    let transcript = |typed: &str| {
        let alice = Host::locked("alice", RIGHT);
        let (ear, to) = (TcpListener::bind("127.0.0.1:0").unwrap(), alice.addr());
        let via = ear.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let tap = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut bob = ear.accept().unwrap().0;
            let mut alice = std::net::TcpStream::connect(to).unwrap();
            let (mut from, mut back) = (alice.try_clone().unwrap(), bob.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut back));
            let mut room = [0; 4096];
            while let Ok(count @ 1..) = bob.read(&mut room) {
                tap.lock().unwrap().extend_from_slice(&room[..count]);
                let _ = alice.write_all(&room[..count]);
            }
        });
        let mut bob = Host::new("bob");
        assert_eq!(bob.connect_with(via, typed).unwrap_err().code, Code::WrongPassword);
        std::mem::take(&mut *heard.lock().unwrap())
    };
    let (short, long) = (transcript("12345678"), transcript(&"a long password ".repeat(8)));
    // Only run ids and keys differ, and those are sealed.
    assert_eq!(short.len(), long.len());
    assert!(!long.windows(6).any(|window| window == b"a long"));
}

#[test]
fn h5_a_room_pinned_as_closed_that_says_open_hears_nothing_of_the_users() {
    let (said, outcome, mut bob) = false_host(RIGHT, |mut wire| {
        wire.greet(Hello { locked: false, ..locked_hello() }, &RoomId([7; 32]));
        wire.hear()
    });
    let quiet = matches!(&said, Ok(Opening::Refuse(_)) | Err(RecvError::Closed));
    assert!(quiet, "{said:?}");
    assert_eq!(outcome.unwrap_err().code, Code::RoomNotLocked);

    // She says locked, but grants as if the room were open.
    let room = RoomId([7; 32]);
    let (said, outcome, _) = false_host(RIGHT, |mut wire| {
        wire.greet(locked_hello(), &room);
        let first = wire.hear();
        assert!(matches!(first, Ok(Opening::Password { step: 1, .. })));
        wire.say(&Opening::Grant { founder: Eve::new().id(), nonce: [1; 32] });
        wire.hear()
    });
    assert_eq!(said, Err(RecvError::Closed));
    assert_eq!(outcome.unwrap_err().code, Code::RoomNotLocked);
    assert_eq!(bob.linked(), 0);
}

/// Eve knows the room and links again under the identity that `show` gives.
fn again(
    eve: &Eve,
    home: &Granted,
    alice: &Host,
    show: impl Fn(&Wire) -> (MemberId, [u8; 64]),
) -> Option<Why> {
    let mut wire = eve.dial(alice.addr(), Role::Session);
    wire.greet(eve.hello_of_member(), &home.room);
    let (member, signature) = show(&wire);
    wire.say(&Opening::Identity { member, signature });
    wire.ended()
}

/// The binding of this connection, and bindings with another side, role and connection.
fn bindings(wire: &Wire) -> [Binding; 4] {
    [
        wire.binding,
        wire.binding.other_side(),
        Binding { role: Role::LaneFetch, ..wire.binding },
        Binding { h: HandshakeHash([9; 32]), ..wire.binding },
    ]
}

#[test]
fn h6_identities_of_other_sessions_roles_sides_and_rooms_are_refused() {
    let (mut alice, _bob) = Host::pair();
    let eve = Eve::new();
    let (home, _) = eve.join(alice.addr()).goes();
    let carol = Identity::generate();
    let signed = |message: Vec<u8>| (MemberId(carol.public()), carol.sign(&message));
    for which in 1..4 {
        let why = again(&eve, &home, &alice, |wire| {
            signed(identity_message(&bindings(wire)[which], &home.room.0))
        });
        assert_eq!(why, Some(Why::Protocol), "{which}");
    }
    let elsewhere = |wire: &Wire| signed(identity_message(&wire.binding, &[9; 32]));
    assert_eq!(again(&eve, &home, &alice, elsewhere), Some(Why::Protocol), "room");
    let newcomer = |wire: &Wire| signed(newcomer_message(&wire.binding, &home.room.0));
    assert_eq!(again(&eve, &home, &alice, newcomer), Some(Why::Protocol), "newcomer");
    // Bob's identity without its key, and alice's own, which she showed on this very connection.
    let bobs = |_: &Wire| (home.host, [7; 64]);
    assert_eq!(again(&eve, &home, &alice, bobs), Some(Why::Protocol), "signature");
    assert_eq!(alice.linked(), 1);
}

#[test]
fn h6_newcomers_of_other_sessions_roles_sides_and_rooms_are_refused() {
    let mut alice = Host::new("alice");
    let eve = Eve::new();
    for which in 1..6 {
        let mut wire = eve.dial(alice.addr(), Role::Session);
        wire.greet(eve.hello(), &NOWHERE);
        let message = match which {
            1..4 => newcomer_message(&bindings(&wire)[which], &[0; 32]),
            // With an invitation that she does not have; as a member of that room.
            4 => newcomer_message(&wire.binding, &[1; 32]),
            _ => identity_message(&wire.binding, &[0; 32]),
        };
        let signature = eve.identity.sign(&message);
        wire.say(&Opening::Newcomer { member: eve.id(), signature });
        assert_eq!(wire.ended(), Some(Why::Protocol), "{which}");
    }
    // Let in as herself, she then claims to be mallory for the room.
    let mut wire = eve.dial(alice.addr(), Role::Session);
    wire.greet(eve.hello(), &NOWHERE);
    wire.come(&eve);
    let granted = wire.granted(false).unwrap();
    wire.show(&Identity::generate(), &granted.room);
    assert_eq!(wire.ended(), Some(Why::Protocol));
    // And a claim for another room than the one that she was shown.
    let mut wire = eve.dial(alice.addr(), Role::Session);
    wire.greet(eve.hello(), &NOWHERE);
    wire.come(&eve);
    wire.granted(false).unwrap();
    wire.show(&eve.identity, &NOWHERE);
    assert_eq!(wire.ended(), Some(Why::Protocol));
    assert_eq!(alice.linked(), 0);
}

/// Alice dials eve again, who shows an identity signed for something else.
#[test]
fn h6_who_is_dialled_shows_itself_for_this_connection() {
    let limits = Limits { redial_min_ms: 50, redial_max_ms: 200, ..Limits::default() };
    let mut alice = Host::with("alice", limits);
    let ear = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let eve = Eve::new();
    let session = eve.join_with(alice.addr(), None, vec![ear.local_addr().unwrap()]);
    let (home, _) = session.goes();
    for which in 1..5 {
        let mut wire = Eve::answer(&ear);
        wire.greet(eve.hello_of_member(), &home.room);
        assert_eq!(wire.shown(), Ok(home.host));
        let binding = bindings(&wire)[which % 4];
        let room = if which == 4 { NOWHERE } else { home.room };
        let signature = eve.identity.sign(&identity_message(&binding, &room.0));
        wire.say(&Opening::Identity { member: eve.id(), signature });
        assert_eq!(wire.ended(), Some(Why::Protocol), "{which}");
    }
    // As herself she is recognised by alice.
    let mut session = eve.goes_on(Eve::answer(&ear), &home, &[]).unwrap();
    session.say(&Message::Ping(9));
    session.hear_or("pong", |message| *message == Message::Pong(9)).unwrap();
    assert_eq!(alice.linked(), 1);
}

#[test]
fn h6_lanes_of_strangers_and_of_other_runs_are_refused() {
    let (alice, _bob) = Host::pair();
    let eve = Eve::new();
    let member = eve.join(alice.addr());
    let lane = |dialer: &Eve, hello: Hello, identity: &Identity, room: RoomId| {
        let mut wire = dialer.dial(alice.addr(), Role::LaneFetch);
        wire.greet(hello, &room);
        wire.show(identity, &member.room);
        wire.ended()
    };
    let mallory = Eve::new();
    let refused = Some(Why::NoSession);
    let hello = eve.hello_of_member();
    assert_eq!(lane(&mallory, mallory.hello_of_member(), &mallory.identity, member.room), refused);
    // Another identity with eve's run id, and eve's run id in another room.
    assert_eq!(lane(&eve, hello.clone(), &mallory.identity, member.room), refused);
    assert_eq!(lane(&eve, hello, &eve.identity, NOWHERE), refused);
}

/// Takes `steps` steps of being let in: Hello, and each record after it; fewer if it took too long.
fn goes_so_far(eve: &Eve, wire: &mut Wire, entry: &Entry, steps: usize) -> Result<(), Refusal> {
    let mut room = NOWHERE;
    for step in 0..steps {
        match (step, entry) {
            (0, _) => drop(wire.greet(eve.hello_with(entry), &NOWHERE)),
            (1, Entry::Password(password)) => wire.guess(password)?,
            (1, Entry::Invitation(link)) => wire.find(link)?,
            (2, Entry::Invitation(link)) => wire.come_as_guest(eve, link),
            (1, Entry::Open) | (2, Entry::Password(_)) => wire.come(eve),
            (2, Entry::Open) | (3, _) if room == NOWHERE => {
                let invited = matches!(entry, Entry::Invitation(_));
                room = wire.granted(invited)?.room;
                wire.show(&eve.identity, &room);
            }
            // The first messages of a session; a guest has to claim its ticket before them.
            _ => {
                let mut plain = Vec::new();
                let message = Message::Register(Digest32([0; 32]));
                klatch::wire::message::encode(&message, &Limits::default(), &mut plain).unwrap();
                wire.raw(&plain);
            }
        }
    }
    Ok(())
}

#[test]
fn r2_drips_at_each_step_of_a_handshake_buy_no_time() {
    let limits = Limits {
        handshake_deadline_ms: 3_000,
        password_deadline_ms: 3_000,
        trust_loopback: true,
        ..Limits::default()
    };
    let mut open = Host::with("alice", limits.clone());
    let mut closed = Host::with("alice", limits);
    closed.closes(RIGHT);
    let by_invitation = Entry::Invitation(closed.invites(false));
    let by_password = Entry::Password(password(RIGHT));
    let drips = |alice: &Host, entry: &Entry, steps: usize| {
        let eve = Eve::new();
        let mut wire = eve.dial(alice.addr(), Role::Session);
        if goes_so_far(&eve, &mut wire, entry, steps).is_ok() {
            drip(&mut wire);
        }
    };
    // At most so many passwords are tried at once.
    for group in [0..3, 3..5] {
        std::thread::scope(|scope| {
            let (open, closed, drips) = (&open, &closed, &drips);
            for steps in group {
                scope.spawn(move || drips(open, &Entry::Open, steps));
                let (by_password, by_invitation) = (&by_password, &by_invitation);
                scope.spawn(move || drips(closed, by_password, steps));
                scope.spawn(move || drips(closed, by_invitation, steps));
            }
        });
    }
    // Nobody was let in, and both doors still work.
    assert_eq!((open.linked(), closed.linked()), (0, 0));
    let mut bob = Host::new("bob");
    assert_eq!(bob.connect(open.addr()), Ok(()));
    let mut carol = Host::new("carol");
    assert_eq!(carol.connect_with(closed.addr(), RIGHT), Ok(()));
}

/// Sends the beginning of a record, a byte now and then, until the other side gives up: long before
/// the record's end, which takes a minute.
fn drip(wire: &mut Wire) {
    let mut record = [7, 208].into_iter().chain([7; 2_000]);
    loop {
        match wire
            .channel
            .recv_by(usize::from(u16::MAX), Instant::now() + Duration::from_millis(30))
        {
            Ok(_) => {}
            Err(RecvError::TimedOut) => {
                let byte = record.next().expect("a record came to its end");
                let _ = wire.channel.stream().write(&[byte]);
            }
            Err(_) => return,
        }
    }
}
