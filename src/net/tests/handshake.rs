//! Every plan, to its good and its bad end.

use super::*;
use crate::crypto::lock::Lock;
use crate::crypto::password::Password;
use crate::router::message::{Refusal, Why};
use crate::router::signed::{Record, SignedRecord};

type Played = (bool, Result<Outcome, Closed>);

/// Alice dials bob; both follow their plans.
fn shake(alice: &Peer, bob: &Peer, plans: [Plan; 2], rooms: [RoomId; 2]) -> [Played; 2] {
    alice.dial(bob.addr, Role::Session);
    let (ours, theirs) = (alice.opened(), bob.opened());
    let [plan, their_plan] = plans;
    std::thread::scope(|scope| {
        let played = scope.spawn(move || bob.play(theirs, rooms[1], their_plan));
        let ours = alice.play(ours, rooms[0], plan);
        [ours, played.join().unwrap()]
    })
}

fn peers() -> (Peer, Peer) {
    (Peer::new(patient()), Peer::new(patient()))
}

fn locked(password: &str) -> Arc<SignedRecord> {
    let setter = Identity::generate();
    let me = MemberId(setter.public());
    let body = Record {
        epoch: 1,
        key: RoomKey::from_bytes([9; 32]),
        lock: Some(Lock::new(&Password::new(password).unwrap(), &ROOM.0).unwrap()),
        members: vec![me; 256],
        setter: Some(me),
    };
    SignedRecord::sign(&ROOM, &setter, &RoomKey::from_bytes([8; 32]), body)
}

fn refused(why: Why) -> Result<Outcome, Closed> {
    Err(Closed::Refused(Refusal::of(why)))
}

const OTHER: RoomId = RoomId([8; 32]);

#[test]
fn members_of_one_room_prove_the_newest_key_that_both_have() {
    let (alice, bob) = peers();
    let [ours, theirs] = shake(&alice, &bob, [prove(0..3), prove(1..5)], [ROOM; 2]);
    let mark = |epoch| keys(epoch..epoch + 1)[0].0;
    let outcome = |newest| Ok(Outcome::Proven { common: mark(2), newest: mark(newest) });
    assert_eq!([ours, theirs], [(true, outcome(4)), (true, outcome(2))]);
}

#[test]
fn without_a_common_key_both_are_told() {
    let (alice, bob) = peers();
    let played = shake(&alice, &bob, [prove(0..1), prove(1..2)], [ROOM; 2]);
    assert_eq!(played, [(true, refused(Why::NoKey)), (true, refused(Why::NoKey))]);
}

#[test]
fn a_key_of_the_right_name_with_other_bytes_is_no_key() {
    let (alice, bob) = peers();
    let mut wrong = keys(0..1);
    wrong[0].1 = RoomKey::from_bytes([99; 32]);
    let wrong = Plan::Prove { room: ROOM, keys: wrong };
    let played = shake(&alice, &bob, [wrong, prove(0..1)], [ROOM; 2]);
    assert_eq!(played, [(true, refused(Why::NoKey)), (true, refused(Why::NoKey))]);
}

#[test]
fn two_fresh_rooms_exchange_their_keys() {
    let (alice, bob) = peers();
    let key = |byte| RoomKey::from_bytes([byte; 32]);
    let plans = [Plan::Merge { room: ROOM, key: key(1) }, Plan::Merge { room: OTHER, key: key(2) }];
    let played = shake(&alice, &bob, plans, [ROOM, OTHER]);
    let got = |room, byte| (false, Ok(Outcome::Merged { room, key: key(byte) }));
    assert_eq!(played, [got(OTHER, 2), got(ROOM, 1)]);
}

#[test]
fn an_open_room_is_joined_at_once() {
    let (alice, bob) = peers();
    let record = SignedRecord::first(&ROOM, RoomKey::from_bytes([3; 32]));
    let grant = Plan::Grant { room: ROOM, record: Arc::clone(&record) };
    let played = shake(&alice, &bob, [Plan::Join { password: None }, grant], [OTHER, ROOM]);
    let joined = Outcome::Joined { room: ROOM, record };
    assert_eq!(played, [(false, Ok(joined)), (false, Ok(Outcome::Granted))]);
}

#[test]
fn the_password_opens_a_locked_room_however_many_are_listed() {
    let (alice, bob) = peers();
    let record = locked("correct horse");
    let join = Plan::Join { password: Some(Password::new("correct horse").unwrap()) };
    let grant = Plan::Grant { room: ROOM, record: Arc::clone(&record) };
    let played = shake(&alice, &bob, [join, grant], [OTHER, ROOM]);
    let joined = Outcome::Joined { room: ROOM, record };
    assert_eq!(played, [(false, Ok(joined)), (false, Ok(Outcome::Granted))]);
}

#[test]
fn after_a_wrong_password_the_newcomer_says_nothing_more() {
    let (alice, bob) = peers();
    let join = Plan::Join { password: Some(Password::new("wrong horse").unwrap()) };
    let grant = Plan::Grant { room: ROOM, record: locked("correct horse") };
    let played = shake(&alice, &bob, [join, grant], [OTHER, ROOM]);
    assert_eq!(played, [(false, refused(Why::WrongPassword)), (false, Err(Closed::Gone))]);
}

#[test]
fn h5_a_room_that_should_be_locked_and_answers_open_is_left() {
    let (alice, bob) = peers();
    let record = SignedRecord::first(&ROOM, RoomKey::from_bytes([3; 32]));
    let join = Plan::Join { password: Some(Password::new("correct horse").unwrap()) };
    let played = shake(&alice, &bob, [join, Plan::Grant { room: ROOM, record }], [OTHER, ROOM]);
    assert_eq!(played[0], (false, refused(Why::NotLocked)));
    assert!(played[1].1.is_err());
}

#[test]
fn plans_that_do_not_fit_end_as_a_protocol_error() {
    let (alice, bob) = peers();
    let merge = Plan::Merge { room: OTHER, key: RoomKey::from_bytes([1; 32]) };
    let [ours, theirs] = shake(&alice, &bob, [prove(0..1), merge], [ROOM; 2]);
    for (_, played) in [ours, theirs] {
        let told = Err(Closed::Refused(Refusal::of(Why::Protocol)));
        assert!(matches!(played, Err(Closed::Protocol(_))) || played == told, "{played:?}");
    }
}

#[test]
fn a_refusal_is_told_with_its_particulars() {
    let (alice, bob) = peers();
    let refusal = Refusal { why: Why::TooManyAttempts, wait_ms: Some(1_500), port: Some(51692) };
    let ours = alice.dial(bob.addr, Role::Session);
    let theirs = bob.opened();
    assert_eq!(alice.opened(), ours);
    alice.order(ours, Order::SendHello { hello: hello(), room: ROOM });
    bob.order(theirs, Order::SendHello { hello: hello(), room: ROOM });
    assert!(matches!(bob.event(), Event::HelloArrived { .. }));
    assert!(matches!(alice.event(), Event::HelloArrived { .. }));
    bob.order(theirs, Order::Refuse(refusal.clone()));
    alice.order(ours, Order::Proceed(prove(0..1)));
    assert_eq!(bob.closed(theirs), Closed::ByUs);
    assert_eq!(alice.closed(ours), Closed::Refused(refusal));
}

#[test]
fn the_router_can_end_a_handshake_that_waits_for_the_peer() {
    let (alice, bob) = peers();
    let ours = alice.dial(bob.addr, Role::Session);
    let theirs = bob.opened();
    assert_eq!(alice.opened(), ours);
    alice.order(ours, Order::SendHello { hello: hello(), room: ROOM });
    alice.order(ours, Order::Refuse(Refusal::of(Why::Leaving)));
    assert_eq!(alice.closed(ours), Closed::ByUs);
    bob.order(theirs, Order::SendHello { hello: hello(), room: ROOM });
    assert!(matches!(bob.event(), Event::HelloArrived { .. }));
    bob.order(theirs, Order::Proceed(prove(0..1)));
    assert_eq!(bob.closed(theirs), Closed::Refused(Refusal::of(Why::Leaving)));
}

#[test]
fn a_session_carries_messages_and_last_words() {
    let (alice, bob) = peers();
    let (ours, theirs) = linked(&alice, &bob, bob.addr, Role::Session);
    for number in 0..1_000 {
        alice.say(ours, Message::Ping(number));
        bob.say(theirs, Message::Pong(number));
        assert_eq!(bob.said(theirs), Message::Ping(number));
        assert_eq!(alice.said(ours), Message::Pong(number));
    }
    alice.say(ours, Message::Ping(7));
    alice.order(ours, Order::Refuse(Refusal::of(Why::Leaving)));
    assert_eq!(bob.said(theirs), Message::Ping(7));
    assert_eq!(bob.said(theirs), Message::Refuse(Refusal::of(Why::Leaving)));
    assert_eq!(bob.closed(theirs), Closed::Gone);
    assert_eq!(alice.closed(ours), Closed::ByUs);
}

#[test]
fn a_lane_is_handed_over_when_both_sides_admitted_it() {
    let (alice, bob) = peers();
    let (ours, theirs) = linked(&alice, &bob, bob.addr, Role::LaneServe);
    alice.order(ours, Order::StartLane { member: bob.member(), fetch: false });
    bob.order(theirs, Order::StartLane { member: alice.member(), fetch: true });
    assert_eq!(alice.closed(ours), Closed::Gone);
    assert_eq!(bob.closed(theirs), Closed::Gone);
    let (conn, member, fetch, mut channel) = alice.lanes.0.lock().unwrap().pop().unwrap();
    assert_eq!((conn, member, fetch), (ours, bob.member(), false));
    let (.., fetch, mut their_channel) = bob.lanes.0.lock().unwrap().pop().unwrap();
    assert!(fetch);
    assert!(channel.send(b"bytes").is_err() || their_channel.recv(8).is_err());
}

#[test]
fn a_lane_that_is_refused_is_told_why() {
    let (alice, bob) = peers();
    let (ours, theirs) = linked(&alice, &bob, bob.addr, Role::LaneFetch);
    alice.order(ours, Order::StartLane { member: bob.member(), fetch: true });
    bob.order(theirs, Order::Refuse(Refusal::of(Why::NoSession)));
    assert_eq!(alice.closed(ours), Closed::Refused(Refusal::of(Why::NoSession)));
    assert_eq!(bob.closed(theirs), Closed::ByUs);
}
