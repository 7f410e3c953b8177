//! Eve at the door: guessing passwords, playing the host, moving proofs, wasting time.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use klatch::crypto::binding::{Binding, Role, identity_message, key_proof};
use klatch::crypto::identity::Identity;
use klatch::crypto::lock::{Admitter, FIRST_BYTES, Joiner, Lock};
use klatch::crypto::noise::HandshakeHash;
use klatch::crypto::room_key::RoomKey;
use klatch::limits::Limits;
use klatch::net::stream::RecvError;
use klatch::router::command::LockWish;
use klatch::router::ids::{MemberId, RoomId};
use klatch::router::message::{Hello, Message, Refusal, Why};
use klatch::router::notice::Code;
use klatch::router::signed::SignedRecord;
use klatch::wire::opening::{Opening, Proven};

use super::eve::{Eve, LAST_ROOM, Session, Wire};
use super::host::{Host, password};

const RIGHT: &str = "correct horse";
const WRONG: &str = "wrong horse 1";

/// A stranger who says that she brings a password.
fn knock(eve: &Eve, alice: &Host) -> (Wire, Hello) {
    let mut wire = eve.dial(alice.addr(), Role::Session);
    let hello = Hello { password: true, ..eve.hello() };
    let theirs = wire.greet(hello, &LAST_ROOM);
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
    // Nothing that alice said tells the right one from any other candidate.
    for candidate in [RIGHT, "another one"] {
        let (joiner, _) = Joiner::start(&password(candidate)).unwrap();
        assert!(joiner.finish(&bytes, &wire.h()).is_err());
    }
    // Nor does she answer a second time on this connection.
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
    let Err(Opening::Refuse(Refusal { why, wait_ms, .. })) = wire.guess(&password(RIGHT)) else {
        panic!("a sixth guess was answered");
    };
    assert_eq!(why, Why::TooManyAttempts);
    let wait_ms = wait_ms.unwrap();
    assert!(wait_ms > 0 && wait_ms <= limits.password_window_ms, "{wait_ms}");

    // Somebody else is not kept out, and whoever knows the password is not counted.
    for _ in 0..2 * limits.password_attempts_per_addr {
        let bob = Eve::at(Ipv4Addr::new(127, 0, 0, 67));
        bob.join_with(alice.addr(), Some(&password(RIGHT)), Vec::new());
    }
}

/// Bob tries to enter what he takes for a locked room; what `play` gives, and how he fared.
fn false_host<T: Send>(
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
    Hello { settled: true, locked: true, moves: false, ..Eve::new().hello() }
}

/// Eve guesses what bob will type, and answers as a member of a room with that password would.
fn hosted(guess: &str, typed: &str) -> (Vec<u8>, Result<Opening, RecvError>, Code) {
    let room = RoomId([7; 32]);
    let lock = Lock::new(&password(guess), &room.0).unwrap();
    let ((first, third), outcome, _) = false_host(typed, |mut wire| {
        wire.greet(locked_hello(), &room);
        let Ok(Opening::Password { step: 1, bytes: first }) = wire.hear() else {
            panic!("no first message");
        };
        let (_, second) = Admitter::respond(&lock, &room.0, &first, &wire.h()).unwrap();
        wire.say(&Opening::Password { step: 2, bytes: second });
        (first, wire.hear())
    });
    (first, third, outcome.unwrap_err().code)
}

#[test]
fn h3_a_false_host_tests_one_candidate_and_hears_nothing_if_it_is_wrong() {
    let (first, third, code) = hosted(WRONG, RIGHT);
    assert_eq!((third, code), (Err(RecvError::Closed), Code::WrongPassword));
    // What she has heard is blinded anew each time: it is no function of the password.
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
fn h5_a_room_pinned_as_locked_that_says_open_hears_nothing_of_the_users() {
    let (said, outcome, mut bob) = false_host(RIGHT, |mut wire| {
        wire.greet(Hello { locked: false, ..locked_hello() }, &RoomId([7; 32]));
        wire.hear()
    });
    let quiet = matches!(&said, Ok(Opening::Refuse(_)) | Err(RecvError::Closed));
    assert!(quiet, "{said:?}");
    assert_eq!(outcome.unwrap_err().code, Code::RoomNotLocked);

    // She says locked, and grants as if it were open.
    let room = RoomId([7; 32]);
    let (said, outcome, _) = false_host(RIGHT, |mut wire| {
        wire.greet(locked_hello(), &room);
        let first = wire.hear();
        assert!(matches!(first, Ok(Opening::Password { step: 1, .. })));
        let record = SignedRecord::first(&room, RoomKey::generate());
        wire.say(&Opening::Grant { room, record });
        wire.hear()
    });
    assert_eq!(said, Err(RecvError::Closed));
    assert_eq!(outcome.unwrap_err().code, Code::RoomNotLocked);
    assert_eq!(bob.linked(), 0);
}

/// Eve knows the room's key and links again; `prove` and `show` are what she brings.
fn again(
    eve: &Eve,
    member: &Session,
    alice: &Host,
    prove: impl Fn(&Wire) -> [u8; 32],
    show: impl Fn(&Wire) -> (MemberId, [u8; 64]),
) -> Option<Why> {
    let mut wire = eve.dial(alice.addr(), Role::Session);
    wire.greet(eve.hello_of_member(), &member.room);
    let (mark, proof) = (member.mark(), prove(&wire));
    wire.say(&Opening::Keys(vec![Proven { mark, proof }]));
    let (member, signature) = show(&wire);
    wire.say(&Opening::Identity { member, signature });
    wire.ended()
}

#[test]
fn h6_proofs_and_identities_of_other_sessions_roles_sides_and_rooms_are_refused() {
    let (alice, _bob) = Host::pair();
    let eve = Eve::new();
    let member = eve.join(alice.addr());
    let (mark, key) = (member.mark(), member.record.body.key.clone());
    let bound = |wire: &Wire, which: usize| match which {
        0 => wire.binding,
        1 => wire.binding.other_side(),
        2 => Binding { role: Role::LaneFetch, ..wire.binding },
        _ => Binding { h: HandshakeHash([9; 32]), ..wire.binding },
    };
    let proof = |which| {
        let key = &key;
        move |wire: &Wire| key_proof(&bound(wire, which), key, mark.epoch, &mark.hash.0)
    };
    let carol = Identity::generate();
    let signed = |which, room: RoomId| {
        let carol = &carol;
        move |wire: &Wire| {
            let message = identity_message(&bound(wire, which), &room.0);
            (MemberId(carol.public()), carol.sign(&message))
        }
    };
    for which in 1..4 {
        let why = again(&eve, &member, &alice, proof(which), signed(0, member.room));
        assert_eq!(why, Some(Why::NoKey), "proof {which}");
        let why = again(&eve, &member, &alice, proof(0), signed(which, member.room));
        assert_eq!(why, Some(Why::Protocol), "identity {which}");
    }
    let why = again(&eve, &member, &alice, proof(0), signed(0, RoomId([9; 32])));
    assert_eq!(why, Some(Why::Protocol), "room");
    let other_key = RoomKey::generate();
    let other = |wire: &Wire| key_proof(&wire.binding, &other_key, mark.epoch, &mark.hash.0);
    let why = again(&eve, &member, &alice, other, signed(0, member.room));
    assert_eq!(why, Some(Why::NoKey), "key");
    // Another's identity without its key.
    let bobs = |_: &Wire| (member.host, [7; 64]);
    let why = again(&eve, &member, &alice, proof(0), bobs);
    assert_eq!(why, Some(Why::Protocol), "signature");
}

#[test]
fn h6_lanes_of_strangers_and_of_other_runs_are_refused() {
    let (alice, _bob) = Host::pair();
    let eve = Eve::new();
    let member = eve.join(alice.addr());
    let lane = |dialer: &Eve, hello: Hello, identity: &Identity, room: RoomId| {
        let mut wire = dialer.dial(alice.addr(), Role::LaneFetch);
        wire.greet(hello, &room);
        wire.prove(member.mark(), &member.record.body.key);
        wire.show(identity, &member.room);
        wire.ended()
    };
    let mallory = Eve::new();
    let refused = Some(Why::NoSession);
    let hello = eve.hello_of_member();
    assert_eq!(lane(&mallory, mallory.hello_of_member(), &mallory.identity, member.room), refused);
    // Another identity in eve's run, and eve's run in another room.
    assert_eq!(lane(&eve, hello.clone(), &mallory.identity, member.room), refused);
    assert_eq!(lane(&eve, hello, &eve.identity, LAST_ROOM), refused);
}

#[test]
fn r2_drips_at_each_step_of_a_handshake_buy_no_time() {
    let limits = Limits { handshake_deadline_ms: 2_000, ..Limits::default() };
    let mut alice = Host::with("alice", limits);
    for step in 0..5 {
        let eve = Eve::new();
        let mut wire = eve.dial(alice.addr(), Role::Session);
        if step > 0 {
            wire.greet(eve.hello(), &LAST_ROOM);
        }
        if step > 1 {
            wire.say(&Opening::Room { room: LAST_ROOM, key: RoomKey::generate() });
            let Ok(Opening::Room { room, .. }) = wire.hear() else { panic!("no room") };
            if step > 2 {
                wire.show(&eve.identity, &room);
            }
            if step > 3 {
                let presence = eve.presence(&room, 1, Vec::new());
                let mut plain = Vec::new();
                let limits = Limits::default();
                let message = Message::Presence(presence);
                klatch::wire::message::encode(&message, &limits, &mut plain).unwrap();
                wire.raw(&plain);
            }
        }
        drip(&mut wire);
    }
    // Nobody was let in, and the door is still open.
    assert_eq!(alice.linked(), 0);
    let mut bob = Host::new("bob");
    assert_eq!(bob.connect(alice.addr()), Ok(()));
}

/// Sends the beginning of a record, a byte now and then, until the other side has had enough: long
/// before the record's end, which takes six seconds.
fn drip(wire: &mut Wire) {
    use std::io::Write;
    let mut record = [0, 200].into_iter().chain([7; 200]);
    loop {
        match wire
            .channel
            .recv_by(usize::from(u16::MAX), Instant::now() + Duration::from_millis(30))
        {
            Ok(_) => {}
            Err(RecvError::TimedOut) => {
                let byte = record.next().expect("a record came to its end");
                let _ = (&**wire.channel.socket()).write_all(&[byte]);
            }
            Err(_) => return,
        }
    }
}
