//! Proofs and signatures that are sent back, or moved to another connection.

use super::entering::{home_of, invitation, invites, password};
use super::hostile::{Eve, against};
use super::*;
use crate::crypto::binding::{
    check_find_proof, find_proof, guest_message, identity_message, newcomer_message,
};
use crate::router::event::{Entrance, Entry};
use crate::router::message::{Refusal, Why};
use crate::router::signed::Claim;
use crate::wire::opening::Opening;

/// What alice must make of eve's message, sent after the Hellos.
fn protocol(played: &Result<Outcome, Closed>) {
    assert!(matches!(played, Err(Closed::Protocol(_))), "{played:?}");
}

#[test]
fn w5_ones_own_hello_sent_back_names_no_room() {
    let alice = Peer::new(patient());
    let (mut eve, conn) = Eve::dialled_by(&alice);
    alice.order(conn, ConnOrder::SendHello { hello: hello(), room: ROOM });
    eve.echoes();
    let Event::HelloArrived { same_room, .. } = alice.event() else { panic!("no hello") };
    assert!(!same_room);
}

#[test]
fn h6_ones_own_identity_sent_back_is_refused() {
    let alice = Peer::new(patient());
    let (mut eve, conn) = Eve::dialled_by(&alice);
    let played = against(&alice, conn, || {
        eve.says_hello();
        eve.echoes();
    });
    protocol(&played);
}

#[test]
fn h6_an_identity_shown_in_another_connection_is_refused() {
    let (alice, bob) = (Peer::new(patient()), Peer::new(patient()));
    let (mut with_bob, conn_of_bob) = Eve::dialled_by(&bob);
    let mut bobs = None;
    let _ = against(&bob, conn_of_bob, || {
        with_bob.says_hello();
        bobs = Some(with_bob.hears());
        with_bob.shows_herself();
    });
    // Eve dials alice, so that both signatures are a dialer's.
    let mut eve = Eve::dials(&alice);
    let conn = alice.opened();
    let played = against(&alice, conn, || {
        eve.says_hello();
        eve.says(&bobs.unwrap());
    });
    protocol(&played);
}

/// A signature that needs no secret key: with a point of small order every message has one
/// (Chalkias, Garillot, Nikolaenko: "Taming the many EdDSAs", 2020).
#[test]
fn h6_an_identity_of_small_order_is_refused() {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    for key in [neutral, [0; 32]] {
        let alice = Peer::new(patient());
        let mut eve = Eve::dials(&alice);
        let conn = alice.opened();
        let played = against(&alice, conn, || {
            eve.says_hello();
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(&key);
            eve.says(&Opening::Identity { member: MemberId(key), signature });
        });
        protocol(&played);
    }
}

/// Bob's signature as a newcomer to eve's open room opens no other; nor is it an identity.
#[test]
fn h6_a_newcomers_signature_is_good_for_one_connection() {
    let (alice, bob) = (Peer::new(patient()), Peer::new(patient()));
    let (mut with_bob, conn_of_bob) = Eve::dialled_by(&bob);
    let bobs = std::thread::scope(|scope| {
        let heard = scope.spawn(|| {
            with_bob.says_hello();
            let heard = with_bob.hears();
            with_bob.says(&Opening::Refuse(Refusal::of(Why::Full)));
            heard
        });
        let _ = bob.play(conn_of_bob, ROOM, Plan::Enter(Entry::Open));
        heard.join().unwrap()
    });
    let Opening::Newcomer { member, signature } = bobs else { panic!("{bobs:?}") };
    assert_eq!(member, bob.member());
    let home = home_of(&alice);
    for said in [Opening::Newcomer { member, signature }, Opening::Identity { member, signature }] {
        let mut eve = Eve::dials(&alice);
        let conn = alice.opened();
        let admit = Plan::Admit { home: home.clone(), entrance: Entrance::Open };
        let played = std::thread::scope(|scope| {
            scope.spawn(|| {
                eve.says_hello();
                eve.says(&said);
            });
            alice.play(conn, home.room, admit).1
        });
        protocol(&played);
    }
}

/// A newcomer that is let in shows the same identity again, for the room: eve cannot use another's.
#[test]
fn h6_a_newcomer_stays_who_it_was() {
    let alice = Peer::new(patient());
    let home = home_of(&alice);
    let mut eve = Eve::dials(&alice);
    let conn = alice.opened();
    let admit = Plan::Admit { home: home.clone(), entrance: Entrance::Open };
    let played = std::thread::scope(|scope| {
        scope.spawn(|| {
            eve.says_hello();
            let signature = eve.identity.sign(&newcomer_message(&eve.binding, &[0; 32]));
            eve.says(&Opening::Newcomer { member: eve.member(), signature });
            eve.identity = Identity::generate();
            eve.room = home.room;
            eve.shows_herself();
        });
        alice.play(conn, home.room, admit).1
    });
    protocol(&played);
}

/// Eve is no member: she passes bob's proof on to alice, who knows the invitation.
#[test]
fn h6_a_find_proof_moved_to_another_connection_finds_nothing() {
    let (alice, bob) = (Peer::new(patient()), Peer::new(patient()));
    let home = home_of(&alice);
    let (findable, link) = invitation(&alice, &home, 1);
    let (mut with_bob, conn_of_bob) = Eve::dialled_by(&bob);
    let mut eve = Eve::dials(&alice);
    let conn = alice.opened();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            with_bob.says_hello();
            let proof = with_bob.hears();
            assert!(matches!(proof, Opening::Find(_)), "{proof:?}");
            eve.says_hello();
            eve.says(&proof);
            // Now she can only send bob a proof that is invalid.
            with_bob.says(&Opening::Found([7; 32]));
        });
        let list = vec![findable];
        let with_alice = scope.spawn(|| alice.play(conn, home.room, invites(&home, list)).1);
        let enter = Plan::Enter(Entry::Invitation(link));
        let played = bob.play(conn_of_bob, ROOM, enter).1;
        let nobody = Err(Closed::Refused(Refusal::of(Why::NoInvitation)));
        assert_eq!(played, nobody);
        assert_eq!(with_alice.join().unwrap(), nobody);
    });
}

/// Bob's own proof, sent back to him, is not the member's.
#[test]
fn h6_a_find_proof_sent_back_is_not_the_members() {
    let bob = Peer::new(patient());
    let home = home_of(&bob);
    let (_, link) = invitation(&bob, &home, 1);
    let (mut eve, conn) = Eve::dialled_by(&bob);
    let played = std::thread::scope(|scope| {
        scope.spawn(|| {
            eve.says_hello();
            let Opening::Find(proof) = eve.hears() else { panic!("no proof") };
            eve.says(&Opening::Found(proof));
            assert!(eve.channel.recv(4_096).is_err(), "bob said more");
        });
        bob.play(conn, ROOM, Plan::Enter(Entry::Invitation(link))).1
    });
    assert_eq!(played, Err(Closed::Refused(Refusal::of(Why::NoInvitation))));
}

/// Eve is a member, so she knows the find key: what bob gives her does not let her in elsewhere as
/// a guest, nor as bob.
#[test]
fn h6_what_a_guest_signs_is_good_for_one_connection() {
    let (alice, bob) = (Peer::new(patient()), Peer::new(patient()));
    let home = home_of(&alice);
    let (findable, link) = invitation(&alice, &home, 1);
    let find = findable.find.clone();
    let (mut with_bob, conn_of_bob) = Eve::dialled_by(&bob);
    let bobs = std::thread::scope(|scope| {
        let heard = scope.spawn(|| {
            with_bob.says_hello();
            let Opening::Find(proof) = with_bob.hears() else { panic!("no proof") };
            let theirs = with_bob.binding.other_side();
            assert!(check_find_proof(&theirs, find.expose(), &proof));
            with_bob.says(&Opening::Found(find_proof(&with_bob.binding, find.expose())));
            let guest = with_bob.hears();
            with_bob.says(&Opening::Refuse(Refusal::of(Why::Full)));
            guest
        });
        let _ = bob.play(conn_of_bob, ROOM, Plan::Enter(Entry::Invitation(link)));
        heard.join().unwrap()
    });
    let Opening::Guest { invitation: by_key, .. } = bobs else { panic!("{bobs:?}") };
    let key = findable.invitation.body.key;
    for as_bob in [true, false] {
        let mut eve = Eve::dials(&alice);
        let conn = alice.opened();
        let list = vec![findable.clone()];
        let played = std::thread::scope(|scope| {
            scope.spawn(|| {
                eve.says_hello();
                eve.says(&Opening::Find(find_proof(&eve.binding, find.expose())));
                assert!(matches!(eve.hears(), Opening::Found(_)));
                let signature = eve.identity.sign(&newcomer_message(&eve.binding, &key.0));
                let own = Opening::Guest { member: eve.member(), signature, invitation: by_key };
                eve.says(if as_bob { &bobs } else { &own });
            });
            alice.play(conn, home.room, invites(&home, list)).1
        });
        protocol(&played);
    }
}

/// Eve holds the invitation, and claims a ticket with what another guest signed for its own.
#[test]
fn h6_a_claim_is_its_guests_and_its_rooms() {
    let alice = Peer::new(patient());
    let home = home_of(&alice);
    let (findable, link) = invitation(&alice, &home, 1);
    let (other, _) = invitation(&alice, &home, 2);
    let key = link.secret.identity();
    let bob = MemberId([2; 32]);
    for which in 0..4 {
        let mut eve = Eve::dials(&alice);
        let conn = alice.opened();
        let me = eve.member();
        let message = match which {
            0 => Claim::message(&home.room, &bob, &findable.invitation.id),
            1 => Claim::message(&ROOM, &me, &findable.invitation.id),
            2 => Claim::message(&home.room, &me, &other.invitation.id),
            _ => guest_message(&eve.binding, &me.0, &key.public()),
        };
        let list = vec![findable.clone()];
        let played = std::thread::scope(|scope| {
            scope.spawn(|| {
                eve.says_hello();
                let find = link.secret.find_key();
                eve.says(&Opening::Find(find_proof(&eve.binding, find.expose())));
                assert!(matches!(eve.hears(), Opening::Found(_)));
                let guest = Opening::Guest {
                    member: me,
                    signature: eve.identity.sign(&newcomer_message(&eve.binding, &key.public())),
                    invitation: key.sign(&guest_message(&eve.binding, &me.0, &key.public())),
                };
                eve.says(&guest);
                eve.room = home.room;
                eve.shows_herself();
                eve.says(&Opening::Claim(key.sign(&message)));
            });
            alice.play(conn, home.room, invites(&home, list)).1
        });
        protocol(&played);
    }
}

#[test]
fn h5_nothing_follows_the_first_password_message_when_the_room_answers_open() {
    let alice = Peer::new(patient());
    let (mut eve, conn) = Eve::dialled_by(&alice);
    let enter = Plan::Enter(Entry::Password(password("correct horse")));
    let played = std::thread::scope(|scope| {
        scope.spawn(|| {
            eve.says_hello();
            assert!(matches!(eve.hears(), Opening::Password { step: 1, .. }));
            eve.says(&Opening::Grant { founder: eve.member(), nonce: [1; 32] });
            assert!(eve.channel.recv(4_096).is_err());
        });
        alice.play(conn, ROOM, enter).1
    });
    assert_eq!(played, Err(Closed::Refused(Refusal::of(Why::NotLocked))));
}

/// A member that lets a newcomer in proves its identity for that very room.
#[test]
fn h6_a_host_shows_itself_for_the_room_that_it_grants() {
    let alice = Peer::new(patient());
    for which in 0..2 {
        let (mut eve, conn) = Eve::dialled_by(&alice);
        let played = std::thread::scope(|scope| {
            scope.spawn(|| {
                eve.says_hello();
                assert!(matches!(eve.hears(), Opening::Newcomer { .. }));
                eve.says(&Opening::Grant { founder: eve.member(), nonce: [1; 32] });
                let granted = RoomId::of(&eve.member(), &[1; 32]);
                match which {
                    // For another room.
                    0 => eve.shows_herself(),
                    // As somebody else.
                    _ => {
                        let message = identity_message(&eve.binding, &granted.0);
                        let signature = eve.identity.sign(&message);
                        eve.says(&Opening::Identity { member: alice.member(), signature });
                    }
                }
            });
            alice.play(conn, ROOM, Plan::Enter(Entry::Open)).1
        });
        protocol(&played);
    }
}
