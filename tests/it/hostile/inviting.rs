//! N2, and H5 and H6 for invitations: forged, expired, used, ended; guests that do not hold what
//! they bring; hosts that are not what the invitation says.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use klatch::crypto::binding::{Role, find_proof, guest_message, newcomer_message};
use klatch::crypto::invite::{FindKey, InviteSecret};
use klatch::net::channel::RecvError;
use klatch::router::command::Command;
use klatch::router::event::Entry;
use klatch::router::ids::RoomId;
use klatch::router::invite_link::InviteLink;
use klatch::router::message::{Hello, Message, Refusal, Why};
use klatch::router::notice::{Code, Failure};
use klatch::router::signed::{Invitation, SignedInvitation};
use klatch::wire::opening::Opening;

use super::eve::{Eve, NOWHERE, Session, Wire};
use super::host::{Host, password};

const FIRST: &str = "correct horse";

fn by(link: &InviteLink) -> Entry {
    Entry::Invitation(link.clone())
}

fn refused(result: Result<Session, klatch::router::message::Refusal>) -> Why {
    match result {
        Ok(_) => panic!("she is let in"),
        Err(refusal) => refusal.why,
    }
}

/// The same invitation, with this address only.
fn leading_to(link: &InviteLink, addr: SocketAddr) -> InviteLink {
    InviteLink { addrs: vec![addr], ..link.clone() }
}

#[test]
fn n2_an_invitation_lets_in_and_closes_the_room_for_others() {
    let mut alice = Host::new("alice");
    let link = alice.invites(false);
    assert!(link.locked && !link.once);
    let mut bob = Host::new("bob");
    bob.joins(&link).unwrap();
    bob.meets(1);
    // Any member answers, and the guest ends up below the maker.
    let mut carol = Host::new("carol");
    carol.joins(&leading_to(&link, bob.addr())).unwrap();
    carol.meets(2);
    carol.say("by invitation");
    alice.hears_text("by invitation");
    let line = carol.members().into_iter().find(|line| line.own).unwrap();
    assert_eq!(line.through.expect("she came through somebody").name.raw(), "alice");
    let mut dave = Host::new("dave");
    assert_eq!(dave.connect(alice.addr()).unwrap_err().code, Code::MembersOnly);
}

#[test]
fn n2_an_invitation_for_one_lets_in_one() {
    let mut alice = Host::locked("alice", FIRST);
    let link = alice.invites(true);
    let mut bob = Host::new("bob");
    bob.joins(&link).unwrap();
    bob.meets(1);
    let mut carol = Host::new("carol");
    // Those who came when it was already used never heard of it.
    for (host, code, why) in [
        (&alice, Code::InvitationUsed, Why::InvitationUsed),
        (&bob, Code::NoInvitation, Why::NoInvitation),
    ] {
        let failure = carol.joins(&leading_to(&link, host.addr())).unwrap_err();
        assert_eq!(failure.code, code);
        assert_eq!(refused(Eve::new().try_to_join(host.addr(), &by(&link), vec![])), why);
    }
    assert_eq!(alice.linked(), 1);
}

/// Many try one invitation at once, at two members: all who get in are told; the first stays well.
#[test]
fn n2_an_invitation_for_one_at_one_member_lets_in_one_of_many_at_once() {
    let mut alice = Host::locked("alice", FIRST);
    let link = alice.invites(true);
    let to = alice.addr();
    let let_in: usize = std::thread::scope(|scope| {
        let guests: Vec<_> = (0..4)
            .map(|_| {
                let entry = by(&link);
                scope.spawn(move || Eve::new().try_to_join(to, &entry, vec![]).is_ok())
            })
            .collect();
        guests.into_iter().map(|guest| usize::from(guest.join().unwrap())).sum()
    });
    assert_eq!(let_in, 1);
}

#[test]
fn n2_an_ended_invitation_lets_nobody_in() {
    let mut alice = Host::locked("alice", FIRST);
    let mut bob = Host::new("bob");
    bob.connect_with(alice.addr(), FIRST).unwrap();
    let link = alice.invites(false);
    let guest = Eve::new();
    let session = guest.join_by(alice.addr(), &by(&link), vec![]);
    alice.run(Command::InviteOff).unwrap();
    alice.say("ended");
    bob.hears_text("ended");
    for host in [&alice, &bob] {
        assert_eq!(
            refused(Eve::new().try_to_join(host.addr(), &by(&link), vec![])),
            Why::NoInvitation
        );
    }
    // A guest who came by it stays, and comes back.
    let (home, _) = session.goes();
    assert!(guest.again().comes_back(alice.addr(), &home, &[]).is_ok());
    assert_eq!(alice.run(Command::InviteOff).unwrap_err().code, Code::NoInvitation);
}

/// What only looks like an invitation: another secret, no address, an address where nobody lives.
#[test]
fn n2_a_forged_invitation_leads_nowhere() {
    let mut alice = Host::locked("alice", FIRST);
    let link = alice.invites(false);
    let mut bob = Host::new("bob");
    let code = |result: Result<(), Failure>| result.unwrap_err().code;
    let secret = InviteSecret::from_bytes([7; 16]);
    assert_eq!(code(bob.joins(&InviteLink { secret, ..link.clone() })), Code::NoInvitation);
    assert_eq!(
        code(bob.joins(&InviteLink { addrs: Vec::new(), ..link.clone() })),
        Code::Unreachable
    );
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    assert_eq!(code(bob.joins(&leading_to(&link, nobody))), Code::Unreachable);
    // The right secret with the name of another room.
    let other = InviteLink { room: [9; 8], ..link.clone() };
    assert_eq!(code(bob.joins(&other)), Code::NotKlatch);
    assert_eq!((alice.linked(), bob.linked()), (0, 0));
    // Of several addresses it is enough that the first live one answers.
    let several = InviteLink { addrs: vec![nobody, alice.addr()], ..link };
    assert_eq!(bob.joins(&several), Ok(()));
}

fn refuse_one(ear: &TcpListener, why: Why) {
    let mut wire = Eve::answer(ear);
    wire.greet(greeting(), &NOWHERE);
    wire.hear().unwrap();
    wire.say(&Opening::Refuse(Refusal::of(why)));
}

/// Whoever has one of its addresses now speaks only for itself.
#[test]
fn n2_no_answer_at_one_address_keeps_the_next_from_being_tried() {
    let mut alice = Host::locked("alice", FIRST);
    let link = alice.invites(false);
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let mut stranger = Host::new("stranger");
    let closed = Host::locked("closed", "another room");
    let others = stranger.invites(false);
    let mut guest = Host::new("guest");
    guest.joins(&others).unwrap();
    for at in [nobody, stranger.addr(), closed.addr(), guest.addr()] {
        let mut bob = Host::new("bob");
        let several = InviteLink { addrs: vec![at, alice.addr()], ..link.clone() };
        assert_eq!(bob.joins(&several), Ok(()), "{at}");
    }
    // Eve plays the member that answers, and refuses.
    for why in [Why::InvitationUsed, Why::InvitationExpired, Why::Full, Why::TooManyAttempts] {
        let ear = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = ear.local_addr().unwrap();
        let mut bob = Host::new("bob");
        std::thread::scope(|scope| {
            scope.spawn(|| refuse_one(&ear, why));
            let several = InviteLink { addrs: vec![addr, alice.addr()], ..link.clone() };
            assert_eq!(bob.joins(&several), Ok(()), "{why:?}");
        });
    }
    // If no address lets bob in, he is told what the first that answered said.
    let ear = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = ear.local_addr().unwrap();
    let mut bob = Host::new("bob");
    std::thread::scope(|scope| {
        scope.spawn(|| refuse_one(&ear, Why::Full));
        let several = InviteLink { addrs: vec![addr, nobody], ..link.clone() };
        assert_eq!(bob.joins(&several).unwrap_err().code, Code::RoomFull);
    });
}

/// A member of alice's room who hears of an invitation: all but its secret.
fn member_who_hears(alice: &mut Host) -> (Eve, Session, InviteLink, FindKey) {
    let eve = Eve::new();
    let mut session = eve.join_with(alice.addr(), Some(&password(FIRST)), vec![]);
    let link = alice.invites(false);
    let heard = session
        .hear_until("the invitation", |message| matches!(message, Message::Invitation { .. }));
    let Message::Invitation { find, .. } = heard else { unreachable!() };
    assert_eq!(find, link.secret.find_key());
    (eve, session, link, find)
}

/// Members know how to answer a guest, but not how to be one.
#[test]
fn h6_a_guest_without_the_invitations_key_is_refused() {
    let mut alice = Host::locked("alice", FIRST);
    let (_eve, _session, link, find) = member_who_hears(&mut alice);
    let key = link.secret.identity().public();
    for which in 0..3 {
        let guest = Eve::new();
        let mut wire = guest.dial(alice.addr(), Role::Session);
        wire.greet(guest.hello_with(&by(&link)), &NOWHERE);
        if which == 0 {
            // She does not even have the find key.
            wire.say(&Opening::Find([7; 32]));
            assert_eq!(wire.ended(), Some(Why::NoInvitation));
            continue;
        }
        wire.say(&Opening::Find(find_proof(&wire.binding, find.expose())));
        assert!(matches!(wire.hear(), Ok(Opening::Found(_))));
        let signature = guest.identity.sign(&newcomer_message(&wire.binding, &key));
        let message = guest_message(&wire.binding, &guest.id().0, &key);
        let invitation = if which == 1 { [0; 64] } else { guest.identity.sign(&message) };
        wire.say(&Opening::Guest { member: guest.id(), signature, invitation });
        assert_eq!(wire.ended(), Some(Why::Protocol));
    }
    // With the find key, but without the claim for a ticket, she is not let in either.
    let guest = Eve::new();
    let mut wire = guest.dial(alice.addr(), Role::Session);
    wire.greet(guest.hello_with(&by(&link)), &NOWHERE);
    wire.find(&link).unwrap();
    wire.come_as_guest(&guest, &link);
    let granted = wire.granted(true).unwrap();
    wire.show(&guest.identity, &granted.room);
    wire.say(&Opening::Claim(link.secret.identity().sign(b"a ticket, please")));
    assert_eq!(wire.ended(), Some(Why::Protocol));
    assert_eq!(alice.linked(), 1);
}

/// Bob follows the invitation to eve, who plays the member that answers.
fn false_host<T: Send>(
    link: &InviteLink,
    play: impl FnOnce(Wire) -> T + Send,
) -> (T, Failure, Host) {
    let ear = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let link = leading_to(link, ear.local_addr().unwrap());
    let mut bob = Host::new("bob");
    let (played, outcome) = std::thread::scope(|scope| {
        let playing = scope.spawn(|| play(Eve::answer(&ear)));
        let outcome = bob.joins(&link);
        (playing.join().unwrap(), outcome)
    });
    (played, outcome.unwrap_err(), bob)
}

fn greeting() -> Hello {
    Hello { settled: true, locked: true, moves: false, ..Eve::new().hello() }
}

#[test]
fn h5_a_host_that_does_not_know_the_invitation_learns_nothing() {
    let mut alice = Host::locked("alice", FIRST);
    let link = alice.invites(false);
    let (said, failure, mut bob) = false_host(&link, |mut wire| {
        wire.greet(greeting(), &NOWHERE);
        let Ok(Opening::Find(proof)) = wire.hear() else { panic!("nothing was looked for") };
        // She has only the guest's own proof.
        wire.say(&Opening::Found(proof));
        wire.hear()
    });
    // She does not even learn whom it would have let in.
    assert_eq!(said, Err(RecvError::Closed));
    assert_eq!(failure.code, Code::NoInvitation);
    // Now as a host that skips that step altogether.
    let (said, _, _) = false_host(&link, |mut wire| {
        wire.greet(greeting(), &NOWHERE);
        wire.hear().unwrap();
        wire.say(&Opening::Grant { founder: Eve::new().id(), nonce: [1; 32] });
        wire.hear()
    });
    assert!(matches!(said, Ok(Opening::Refuse(_)) | Err(RecvError::Closed)), "{said:?}");
    assert_eq!((alice.linked(), bob.linked()), (0, 0));
}

/// A member turned false host: it knows the find key, so bob shows himself. It can lead him to no
/// other room and no other maker, and what he signed brings nobody in.
#[test]
fn h5_a_member_that_answers_for_another_room_or_maker_is_found_out() {
    let mut alice = Host::locked("alice", FIRST);
    let (eve, session, link, find) = member_who_hears(&mut alice);
    let home = session.home.clone();
    let real = invitation_of(alice.addr(), &link);
    for which in 0..4 {
        let (eve, find, home, real) = (&eve, &find, &home, &real);
        let (guest, failure, mut bob) = false_host(&link, move |mut wire| {
            wire.greet(greeting(), &NOWHERE);
            let Ok(Opening::Find(_)) = wire.hear() else { panic!("nothing was looked for") };
            wire.say(&Opening::Found(find_proof(&wire.binding, find.expose())));
            let guest = wire.hear().unwrap();
            assert!(matches!(guest, Opening::Guest { .. }), "{guest:?}");
            let (founder, nonce) = match which {
                0 | 1 => (eve.id(), [1; 32]),
                _ => (home.founder, home.nonce),
            };
            let room = RoomId::of(&founder, &nonce);
            wire.say(&Opening::Grant { founder, nonce });
            wire.show(&eve.identity, &room);
            let own = |body: Invitation| SignedInvitation::sign(&room, &eve.identity, body);
            let invitation = match which {
                // Her own room with alice's invitation, then with one of her own.
                0 => real.clone(),
                1 => own(Invitation { maker: eve.id(), ticket: None, ..real.body.clone() }),
                // Alice's room with an invitation that eve made, then with one that has her key.
                2 => own(Invitation { maker: eve.id(), ..real.body.clone() }),
                _ => own(real.body.clone()),
            };
            wire.say(&Opening::Invitation(invitation));
            wire.show_chain(&home.chain);
            wire.ended();
            guest
        });
        assert_eq!(failure.code, Code::NotKlatch, "{which}: {}", failure.text);
        assert_eq!(bob.linked(), 0, "{which}");
        // What bob signed for eve's connection does not open one to alice.
        let mut wire = eve.again().dial(alice.addr(), Role::Session);
        wire.greet(eve.hello_with(&by(&link)), &NOWHERE);
        wire.say(&Opening::Find(find_proof(&wire.binding, find.expose())));
        assert!(matches!(wire.hear(), Ok(Opening::Found(_))));
        wire.say(&guest);
        assert_eq!(wire.ended(), Some(Why::Protocol), "{which}");
    }
    drop(session);
    // With the real host bob comes in.
    let mut bob = Host::new("bob");
    bob.joins(&link).unwrap();
}

/// The invitation as alice signed it: every guest is shown it.
fn invitation_of(to: SocketAddr, link: &InviteLink) -> std::sync::Arc<SignedInvitation> {
    let guest = Eve::new();
    let mut wire = guest.dial(to, Role::Session);
    wire.greet(guest.hello_with(&by(link)), &NOWHERE);
    wire.find(link).unwrap();
    wire.come_as_guest(&guest, link);
    wire.granted(true).unwrap().invitation.expect("it is shown")
}
