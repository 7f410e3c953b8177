//! Plans between two members of one room, ending well and badly, and what comes after.

use std::collections::BTreeSet;

use super::*;
use crate::router::ids::RecordId;
use crate::router::membership::record::{How, Record, Ticket};
use crate::router::message::{Refusal, Why};
use crate::router::signed::SignedRecord;

type Played = (bool, Result<Outcome, Closed>);

/// Alice dials bob; both follow their plans.
pub(super) fn shake(
    alice: &Peer,
    bob: &Peer,
    [plan, their_plan]: [Plan; 2],
    rooms: [RoomId; 2],
) -> [Played; 2] {
    alice.dial(bob, Role::Session);
    let (ours, theirs) = (alice.opened(), bob.opened());
    std::thread::scope(|scope| {
        let played = scope.spawn(move || bob.play(theirs, rooms[1], their_plan));
        let ours = alice.play(ours, rooms[0], plan);
        [ours, played.join().unwrap()]
    })
}

pub(super) fn peers() -> (Peer, Peer) {
    (Peer::new(patient()), Peer::new(patient()))
}

pub(super) fn refused(why: Why) -> Result<Outcome, Closed> {
    Err(Closed::Refused(Refusal::of(why)))
}

pub(super) const OTHER: RoomId = RoomId([8; 32]);

/// A ticket of this room, lengthened by this many ids that it knows.
fn ticket(number: u8, knows: u8) -> Arc<SignedRecord> {
    let by = Identity::from_seed([number; 32]);
    let ticket = Ticket {
        by: MemberId(by.public()),
        parent: None,
        member: MemberId([number; 32]),
        how: How::Kept,
        rank: 0,
        knows: (0..knows).map(|id| RecordId([id; 32])).collect(),
        pardons: BTreeSet::new(),
        invited: None,
    };
    SignedRecord::sign(&ROOM, &by, Record::Ticket(ticket), None)
}

#[test]
fn two_who_know_each_other_say_nothing_but_who_they_are() {
    let (alice, bob) = peers();
    alice.dial(&bob, Role::Session);
    let (ours, theirs) = (alice.opened(), bob.opened());
    let (mut seen, mut their_seen) = (Vec::new(), Vec::new());
    let known = ConnOrder::Judged { known: true };
    std::thread::scope(|scope| {
        let played = scope.spawn(|| {
            let judge = |event: &Event| {
                their_seen.push(event.clone());
                ConnOrder::Judged { known: true }
            };
            bob.play_as(theirs, ROOM, recognise(), judge)
        });
        let judge = |event: &Event| {
            seen.push(event.clone());
            known.clone()
        };
        let ours = alice.play_as(ours, ROOM, recognise(), judge);
        assert_eq!(ours, (true, Ok(Outcome::Recognised)));
        assert_eq!(played.join().unwrap(), (true, Ok(Outcome::Recognised)));
    });
    let shown = |conn, member| Event::Shown { conn, member, chain: None, invitation: None };
    assert_eq!(seen, [shown(ours, bob.member())]);
    assert_eq!(their_seen, [shown(theirs, alice.member())]);
}

/// Both show each other this chain; returns what each was shown.
fn chains_shown(chain: &[Arc<SignedRecord>]) -> [Result<Vec<Arc<SignedRecord>>, Closed>; 2] {
    let (alice, bob) = peers();
    alice.dial(&bob, Role::Session);
    let (ours, theirs) = (alice.opened(), bob.opened());
    let plan = Plan::Recognise { room: ROOM, chain: chain.to_vec() };
    let play = |peer: &Peer, conn, plan| {
        let mut shown = None;
        let judge = |event: &Event| match event {
            Event::Shown { chain: Some(chain), .. } => {
                shown = Some(chain.clone());
                ConnOrder::Judged { known: true }
            }
            _ => ConnOrder::Judged { known: false },
        };
        let (same_room, played) = peer.play_as(conn, ROOM, plan, judge);
        assert!(same_room);
        played.map(|_| shown.expect("no chain was shown"))
    };
    std::thread::scope(|scope| {
        let their_plan = plan.clone();
        let played = scope.spawn(|| play(&bob, theirs, their_plan));
        [play(&alice, ours, plan), played.join().unwrap()]
    })
}

#[test]
fn whoever_is_not_known_shows_its_whole_chain() {
    // No record, one, and the longest chain, which takes several messages.
    for chain in [
        Vec::new(),
        vec![ticket(1, 0)],
        (0..64).map(|number| ticket(number, 40)).collect::<Vec<_>>(),
    ] {
        let shown = chains_shown(&chain);
        assert_eq!(shown, [Ok(chain.clone()), Ok(chain)]);
    }
}

#[test]
fn a_chain_that_is_too_long_ends_the_connection() {
    let chain: Vec<_> = (0..129).map(|number| ticket(number, 0)).collect();
    let [ours, theirs] = chains_shown(&chain);
    // Bob, who is dialled, sees alice's first.
    assert!(matches!(theirs, Err(Closed::Protocol(_))), "{theirs:?}");
    assert_eq!(ours.unwrap_err(), Closed::Refused(Refusal::of(Why::Protocol)));
}

#[test]
fn who_is_still_unknown_with_its_chain_is_told_so() {
    let (alice, bob) = peers();
    alice.dial(&bob, Role::Session);
    let (ours, theirs) = (alice.opened(), bob.opened());
    let never = |_: &Event| ConnOrder::Judged { known: false };
    std::thread::scope(|scope| {
        let played = scope.spawn(|| bob.play_as(theirs, ROOM, recognise(), never).1);
        let ours = alice.play(ours, ROOM, recognise()).1;
        assert_eq!(ours, refused(Why::NotMember));
        assert_eq!(played.join().unwrap(), refused(Why::NotMember));
    });
}

/// P8: a refused member is shown the record that puts it out.
#[test]
fn a_refusal_carries_the_record_of_whoever_removed_the_refused() {
    let record = ticket(9, 3);
    for dialled in [false, true] {
        let (alice, bob) = peers();
        alice.dial(&bob, Role::Session);
        let (ours, theirs) = (alice.opened(), bob.opened());
        let refusal = Refusal { record: Some(Arc::clone(&record)), ..Refusal::of(Why::Removed) };
        let refuses = |_: &Event| ConnOrder::Refuse(refusal.clone());
        let agrees = |_: &Event| ConnOrder::Judged { known: true };
        let (a, b) = std::thread::scope(|scope| {
            let (alice, bob) = (&alice, &bob);
            if dialled {
                let played = scope.spawn(|| bob.play_as(theirs, ROOM, recognise(), agrees).1);
                (alice.play_as(ours, ROOM, recognise(), refuses).1, played.join().unwrap())
            } else {
                let played = scope.spawn(|| bob.play_as(theirs, ROOM, recognise(), refuses).1);
                let refused = alice.play_as(ours, ROOM, recognise(), agrees).1;
                (played.join().unwrap(), refused)
            }
        });
        assert_eq!(a, Err(Closed::ByUs), "{dialled}");
        assert_eq!(b, Err(Closed::Refused(refusal.clone())), "{dialled}");
    }
}

#[test]
fn plans_that_do_not_fit_end_as_a_protocol_error() {
    use crate::router::event::Entry;
    let (alice, bob) = peers();
    let played = shake(&alice, &bob, [Plan::Enter(Entry::Open), recognise()], [ROOM; 2]);
    for (_, played) in played {
        let told = Err(Closed::Refused(Refusal::of(Why::Protocol)));
        assert!(matches!(played, Err(Closed::Protocol(_))) || played == told, "{played:?}");
    }
}

#[test]
fn a_refusal_is_told_with_its_particulars() {
    let (alice, bob) = peers();
    let refusal = Refusal { wait_ms: Some(1_500), ..Refusal::of(Why::TooManyAttempts) };
    let ours = alice.dial(&bob, Role::Session);
    let theirs = bob.opened();
    assert_eq!(alice.opened(), ours);
    alice.order(ours, ConnOrder::SendHello { hello: hello(), room: ROOM });
    bob.order(theirs, ConnOrder::SendHello { hello: hello(), room: ROOM });
    assert!(matches!(bob.event(), Event::HelloArrived { .. }));
    assert!(matches!(alice.event(), Event::HelloArrived { .. }));
    bob.order(theirs, ConnOrder::Refuse(refusal.clone()));
    alice.order(ours, ConnOrder::Proceed(recognise()));
    assert_eq!(bob.closed(theirs), Closed::ByUs);
    assert_eq!(alice.closed(ours), Closed::Refused(refusal));
}

#[test]
fn the_router_can_end_a_handshake_that_waits_for_the_peer() {
    let (alice, bob) = peers();
    let ours = alice.dial(&bob, Role::Session);
    let theirs = bob.opened();
    assert_eq!(alice.opened(), ours);
    alice.order(ours, ConnOrder::SendHello { hello: hello(), room: ROOM });
    alice.order(ours, ConnOrder::Refuse(Refusal::of(Why::Leaving)));
    assert_eq!(alice.closed(ours), Closed::ByUs);
    bob.order(theirs, ConnOrder::SendHello { hello: hello(), room: ROOM });
    assert!(matches!(bob.event(), Event::HelloArrived { .. }));
    bob.order(theirs, ConnOrder::Proceed(recognise()));
    assert_eq!(bob.closed(theirs), Closed::Refused(Refusal::of(Why::Leaving)));
}

#[test]
fn a_session_carries_messages_and_last_words() {
    let (alice, bob) = peers();
    let (ours, theirs) = linked(&alice, &bob, Role::Session);
    for number in 0..1_000 {
        alice.say(ours, Message::Ping(number));
        bob.say(theirs, Message::Pong(number));
        assert_eq!(bob.said(theirs), Message::Ping(number));
        assert_eq!(alice.said(ours), Message::Pong(number));
    }
    alice.say(ours, Message::Ping(7));
    alice.order(ours, ConnOrder::Refuse(Refusal::of(Why::Leaving)));
    assert_eq!(bob.said(theirs), Message::Ping(7));
    assert_eq!(bob.said(theirs), Message::Refuse(Refusal::of(Why::Leaving)));
    assert_eq!(bob.closed(theirs), Closed::Gone);
    assert_eq!(alice.closed(ours), Closed::ByUs);
}

#[test]
fn a_lane_is_handed_over_when_both_sides_admitted_it() {
    let (alice, bob) = peers();
    let (ours, theirs) = linked(&alice, &bob, Role::LaneServe);
    alice.order(ours, ConnOrder::StartLane { member: bob.member(), fetch: false });
    bob.order(theirs, ConnOrder::StartLane { member: alice.member(), fetch: true });
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
    let (ours, theirs) = linked(&alice, &bob, Role::LaneFetch);
    alice.order(ours, ConnOrder::StartLane { member: bob.member(), fetch: true });
    bob.order(theirs, ConnOrder::Refuse(Refusal::of(Why::NoSession)));
    assert_eq!(alice.closed(ours), Closed::Refused(Refusal::of(Why::NoSession)));
    assert_eq!(bob.closed(theirs), Closed::ByUs);
}
