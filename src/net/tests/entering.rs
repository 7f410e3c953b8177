//! Newcomers: by an open door, by password, by invitation; and rooms that are not what they claim.

use super::handshake::{OTHER, peers, refused, shake};
use super::*;
use crate::crypto::invite::InviteSecret;
use crate::crypto::opaque::PasswordData;
use crate::crypto::password::Password;
use crate::router::event::{Entrance, Entry, Findable, Home};
use crate::router::ids::Digest32;
use crate::router::invite_link::InviteLink;
use crate::router::membership::record::How;
use crate::router::message::{Refusal, Why};
use crate::router::signed::{Invitation, SignedInvitation, room_hint};

const NONCE: [u8; 32] = [5; 32];

/// This founder's room, as the founder itself shows it.
pub(super) fn home_of(founder: &Peer) -> Home {
    let founder = founder.member();
    Home { room: RoomId::of(&founder, &NONCE), founder, nonce: NONCE, chain: Vec::new() }
}

pub(super) fn password(text: &str) -> Password {
    Password::new(text).unwrap()
}

fn by_password(home: &Home, text: &str) -> Plan {
    let data = PasswordData::new(&password(text), &home.room.0).unwrap();
    Plan::Admit { home: home.clone(), entrance: Entrance::Password(data) }
}

fn entered(home: &Home) -> (bool, Result<Outcome, Closed>) {
    (false, Ok(Outcome::Entered(home.clone())))
}

fn admitted(how: How) -> (bool, Result<Outcome, Closed>) {
    (false, Ok(Outcome::Admitted { how, claim: None }))
}

/// An invitation from this maker, and its text.
pub(super) fn invitation(maker: &Peer, home: &Home, seed: u8) -> (Findable, InviteLink) {
    let secret = InviteSecret::from_bytes([seed; 16]);
    let body = Invitation {
        maker: maker.member(),
        ticket: None,
        key: Digest32(secret.identity().public()),
        find: Digest32(secret.find_key().hash()),
        until: i64::MAX,
        uses: None,
    };
    let invitation = SignedInvitation::sign(&home.room, &maker.net.identity, body);
    let findable = Findable { invitation, find: secret.find_key(), over: None, chain: Vec::new() };
    let link = InviteLink {
        secret,
        room: room_hint(&home.room, &maker.member()),
        until_ms: i64::MAX,
        once: false,
        locked: true,
        addrs: Vec::new(),
    };
    (findable, link)
}

pub(super) fn invites(home: &Home, list: Vec<Findable>) -> Plan {
    Plan::Admit { home: home.clone(), entrance: Entrance::Invitations(list) }
}

#[test]
fn an_open_room_is_entered_at_once_and_shows_what_its_id_is_made_of() {
    let (alice, bob) = peers();
    let home = home_of(&bob);
    let admit = Plan::Admit { home: home.clone(), entrance: Entrance::Open };
    let plans = [Plan::Enter(Entry::Open), admit];
    let played = shake(&alice, &bob, plans, [OTHER, home.room]);
    assert_eq!(played, [entered(&home), admitted(How::Open)]);
}

#[test]
fn the_password_opens_a_closed_room() {
    let (alice, bob) = peers();
    let home = home_of(&bob);
    let enter = Plan::Enter(Entry::Password(password("correct horse")));
    let plans = [enter, by_password(&home, "correct horse")];
    let played = shake(&alice, &bob, plans, [OTHER, home.room]);
    assert_eq!(played, [entered(&home), admitted(How::Password)]);
}

#[test]
fn after_a_wrong_password_the_newcomer_says_nothing_more() {
    let (alice, bob) = peers();
    let home = home_of(&bob);
    let enter = Plan::Enter(Entry::Password(password("wrong horse")));
    let plans = [enter, by_password(&home, "correct horse")];
    let played = shake(&alice, &bob, plans, [OTHER, home.room]);
    assert_eq!(played, [(false, refused(Why::WrongPassword)), (false, Err(Closed::Gone))]);
}

#[test]
fn h5_a_room_that_should_be_closed_and_answers_open_is_left() {
    let (alice, bob) = peers();
    let home = home_of(&bob);
    let enter = Plan::Enter(Entry::Password(password("correct horse")));
    let admit = Plan::Admit { home: home.clone(), entrance: Entrance::Open };
    let [(_, ours), (_, theirs)] = shake(&alice, &bob, [enter, admit], [OTHER, home.room]);
    assert!(ours.is_err() && theirs.is_err(), "{ours:?} {theirs:?}");
}

#[test]
fn an_invitation_lets_in_and_its_guest_signs_for_a_ticket() {
    let (alice, bob) = peers();
    let home = home_of(&bob);
    let (findable, link) = invitation(&bob, &home, 1);
    let (other, _) = invitation(&bob, &home, 2);
    let list = vec![other, findable.clone()];
    let plans = [Plan::Enter(Entry::Invitation(link)), invites(&home, list)];
    let [ours, (_, theirs)] = shake(&alice, &bob, plans, [OTHER, home.room]);
    assert_eq!(ours, entered(&home));
    let Ok(Outcome::Admitted { how: How::Invitation, claim: Some(claim) }) = theirs else {
        panic!("not admitted: {theirs:?}");
    };
    assert_eq!(claim.invitation, findable.invitation);
    assert!(claim.holds(&home.room, &alice.member()));
    assert!(!claim.holds(&home.room, &bob.member()) && !claim.holds(&OTHER, &alice.member()));
}

#[test]
fn n2_an_invitation_that_nobody_knows_or_that_is_over_is_told_as_what_it_is() {
    for (over, known, told) in [
        (None, false, Why::NoInvitation),
        (Some(Why::NoInvitation), true, Why::NoInvitation),
        (Some(Why::InvitationUsed), true, Why::InvitationUsed),
        (Some(Why::InvitationExpired), true, Why::InvitationExpired),
    ] {
        let (alice, bob) = peers();
        let home = home_of(&bob);
        let (mut findable, link) = invitation(&bob, &home, 1);
        findable.over = over;
        let list = if known { vec![findable] } else { vec![invitation(&bob, &home, 2).0] };
        let plans = [Plan::Enter(Entry::Invitation(link)), invites(&home, list)];
        let played = shake(&alice, &bob, plans, [OTHER, home.room]);
        assert_eq!(played, [(false, refused(told)), (false, refused(told))], "{over:?}");
    }
}

/// A false host that is a member elsewhere: it knows the find key, and shows another room, another
/// maker, another key.
#[test]
fn h5_an_invitation_leads_into_its_own_room_and_through_its_own_maker_only() {
    type Falsify = fn(&mut Findable, &mut Home, &Peer);
    let another_room: Falsify = |findable, home, bob| {
        home.nonce = [6; 32];
        home.room = RoomId::of(&home.founder, &home.nonce);
        let body = findable.invitation.body.clone();
        findable.invitation = SignedInvitation::sign(&home.room, &bob.net.identity, body);
    };
    let another_maker: Falsify = |findable, home, _| {
        let mallory = Identity::generate();
        let body =
            Invitation { maker: MemberId(mallory.public()), ..findable.invitation.body.clone() };
        findable.invitation = SignedInvitation::sign(&home.room, &mallory, body);
    };
    let another_key: Falsify = |findable, home, bob| {
        let key = Digest32([9; 32]);
        let body = Invitation { key, ..findable.invitation.body.clone() };
        findable.invitation = SignedInvitation::sign(&home.room, &bob.net.identity, body);
    };
    let forged: Falsify = |findable, _, _| {
        let mut invitation = (*findable.invitation).clone();
        invitation.signature[0] ^= 1;
        findable.invitation = Arc::new(invitation);
    };
    for (number, falsify) in [another_room, another_maker, another_key, forged].iter().enumerate() {
        let (alice, bob) = peers();
        let mut home = home_of(&bob);
        let (mut findable, link) = invitation(&bob, &home, 1);
        falsify(&mut findable, &mut home, &bob);
        let plans = [Plan::Enter(Entry::Invitation(link)), invites(&home, vec![findable])];
        let [(_, ours), (_, theirs)] = shake(&alice, &bob, plans, [OTHER, home.room]);
        assert!(theirs.is_err(), "{number}: {theirs:?}");
        // If the host itself rejects the key, it says so first.
        let told = Err(Closed::Refused(Refusal::of(Why::Protocol)));
        assert!(matches!(ours, Err(Closed::Protocol(_))) || ours == told, "{number}: {ours:?}");
    }
}

/// A peer that the router does not want is told so before it learns which room this is.
#[test]
fn a_newcomer_that_is_not_wanted_learns_nothing_of_the_room() {
    let (alice, bob) = peers();
    let home = home_of(&bob);
    alice.dial(&bob, Role::Session);
    let (ours, theirs) = (alice.opened(), bob.opened());
    let admit = by_password(&home, "correct horse");
    let refuses = |_: &Event| ConnOrder::Refuse(Refusal::of(Why::Removed));
    std::thread::scope(|scope| {
        let played = scope.spawn(|| bob.play_as(theirs, home.room, admit, refuses).1);
        let enter = Plan::Enter(Entry::Password(password("correct horse")));
        // She never hears of a room, so there is nothing to judge.
        let judge = |event: &Event| panic!("shown: {event:?}");
        assert_eq!(alice.play_as(ours, OTHER, enter, judge).1, refused(Why::Removed));
        assert_eq!(played.join().unwrap(), Err(Closed::ByUs));
    });
}
